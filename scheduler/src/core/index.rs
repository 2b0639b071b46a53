//! Which rows have a name, without the names.

use super::paged::Paged;
use super::rows::Row;

/// A persistent hash index: from hashes of names to row numbers. It keeps no names: whoever asks
/// compares the rows that it is given.
///
/// Buckets hold their entries themselves, so that a look costs the memory of one bucket, and none of
/// the rows. They are added one at a time (linear hashing), each with the row that makes it necessary,
/// so that no row has to wait until a large table is made anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    buckets: Paged<Bucket, 4>,
    /// What has no room in its bucket. Some are spare.
    more: Paged<Bucket, 4>,
    /// The first spare one of `more`; each names the next.
    spare: Link,
    len: usize,
}

/// A number in `more` plus one; 0 for none.
type Link = u32;

/// How many entries a bucket has room for: with the rest of it, four lines of cache.
const ROOM: usize = 31;

/// How many entries there are for each bucket. As one that is yet to be divided has twice as many as
/// one that was, few have no room.
const LOAD: usize = 14;

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    len: u32,
    /// Where its other entries are. If there are any, all buckets but the first one are full.
    next: Link,
    entries: [Entry; ROOM],
}

/// A hash and a row that has it.
type Entry = (u32, Row);

impl Bucket {
    fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.iter().copied().take(self.len as usize)
    }

    /// Adds an entry, if there is room.
    fn push(&mut self, entry: Entry) -> bool {
        let slot = self.entries.get_mut(self.len as usize);
        let room = slot.map(|slot| *slot = entry).is_some();
        self.len += u32::from(room);
        room
    }

    /// Takes the last entry away.
    fn pop(&mut self) -> Option<Entry> {
        self.len = self.len.checked_sub(1)?;
        self.entries.get(self.len as usize).copied()
    }

    /// The place of a row.
    fn place(&self, row: Row) -> Option<usize> {
        self.entries().position(|(_, there)| there == row)
    }

    fn set(&mut self, place: usize, entry: Entry) {
        if let Some(slot) = self.entries.get_mut(place) {
            *slot = entry;
        }
    }
}

impl Index {
    /// How many rows are in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a row that is not in it.
    pub(super) fn insert(&mut self, hash: u32, row: Row) {
        if self.len >= self.buckets.len() * LOAD {
            self.split();
        }
        self.put((hash, row));
        self.len += 1;
    }

    /// Takes a row out of it. One that is not in it is passed over.
    pub(super) fn remove(&mut self, hash: u32, row: Row) {
        let Some(number) = self.bucket(hash) else { return };
        let Some(first) = self.buckets.get(number) else { return };
        let mut place = first.place(row).map(|place| (0, place));
        let mut link = first.next;
        while let (None, Some(bucket)) = (place, self.another(link)) {
            place = bucket.place(row).map(|place| (link, place));
            link = bucket.next;
        }
        let Some((link, place)) = place else { return };
        // The last entry of the first bucket, which is never empty, takes its place.
        let Some(first) = self.buckets.get_mut(number) else { return };
        let Some(last) = first.pop() else { return };
        match link.checked_sub(1) {
            None => first.set(place, last),
            Some(link) => {
                if let Some(bucket) = self.more.get_mut(link as usize) {
                    bucket.set(place, last);
                }
            }
        }
        self.len -= 1;
        self.refill(number);
    }

    /// The rows with this hash: those that have the name, and perhaps others, in no order.
    pub(super) fn find(&self, hash: u32) -> impl Iterator<Item = Row> + '_ {
        let first = self.bucket(hash).and_then(|number| self.buckets.get(number));
        let all = std::iter::successors(first, |bucket| self.another(bucket.next));
        all.flat_map(Bucket::entries).filter(move |(h, _)| *h == hash).map(|(_, row)| row)
    }

    /// Reads the memory that a look for a hash needs, and decides nothing by it: so a processor can go
    /// on with the next one while it waits.
    pub(super) fn touch(&self, hash: u32) -> u32 {
        let Some(number) = self.bucket(hash) else { return 0 };
        let Some(bucket) = self.buckets.get(number) else { return 0 };
        let free = bucket.entries.get(bucket.len as usize).map_or(0, |entry| entry.0);
        free ^ self.buckets.first_beside(number).map_or(0, |first| first.len)
    }

    /// The bucket of a hash: by as many of its low bits as there are buckets for, but for those
    /// buckets that were not added yet.
    fn bucket(&self, hash: u32) -> Option<usize> {
        let count = self.buckets.len();
        let range = count.checked_next_power_of_two().filter(|_| count > 0)?;
        let bucket = hash as usize & (range - 1);
        Some(if bucket < count { bucket } else { bucket & (range / 2 - 1) })
    }

    /// Adds a bucket, and divides between it and the one that had its entries until now.
    fn split(&mut self) {
        let new = self.buckets.len();
        self.buckets.push(Bucket::default());
        if new == 0 {
            return;
        }
        let old = new & !(1 << new.ilog2());
        let Some(first) = self.buckets.get_mut(old) else { return };
        let mut bucket = std::mem::take(first);
        loop {
            for entry in bucket.entries() {
                self.put(entry);
            }
            let Some(next) = self.another(bucket.next).copied() else { return };
            self.drop_link(bucket.next);
            bucket = next;
        }
    }

    /// Puts an entry where it belongs. If there is no room, what is there moves on as a whole.
    fn put(&mut self, entry: Entry) {
        let Some(number) = self.bucket(entry.0) else { return };
        let Some(bucket) = self.buckets.get_mut(number) else { return };
        if bucket.push(entry) {
            return;
        }
        let full = std::mem::take(bucket);
        let next = self.keep(full);
        if let Some(bucket) = self.buckets.get_mut(number) {
            bucket.next = next;
            bucket.push(entry);
        }
    }

    /// An empty bucket with others behind it becomes the next one.
    fn refill(&mut self, number: usize) {
        let Some(bucket) = self.buckets.get(number).filter(|bucket| bucket.len == 0) else {
            return;
        };
        let link = bucket.next;
        let Some(next) = self.another(link).copied() else { return };
        self.drop_link(link);
        if let Some(bucket) = self.buckets.get_mut(number) {
            *bucket = next;
        }
    }

    /// One of those that hold what has no room.
    fn another(&self, link: Link) -> Option<&Bucket> {
        self.more.get(link.checked_sub(1)? as usize)
    }

    /// Keeps a bucket among those. Returns where.
    fn keep(&mut self, bucket: Bucket) -> Link {
        let link = self.spare;
        let slot = link.checked_sub(1).and_then(|place| self.more.get_mut(place as usize));
        match slot {
            Some(slot) => {
                self.spare = slot.next;
                *slot = bucket;
                link
            }
            None => {
                self.more.push(bucket);
                self.more.len() as Link
            }
        }
    }

    /// One of those is spare.
    fn drop_link(&mut self, link: Link) {
        let spare = Bucket { next: self.spare, ..Bucket::default() };
        let slot = link.checked_sub(1).and_then(|place| self.more.get_mut(place as usize));
        if let Some(slot) = slot {
            *slot = spare;
            self.spare = link;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes repeat, rows come again after they went, and clones stay as they were.
        #[test]
        fn like_a_map(
            distinct in prop::sample::select(vec![1, 2, 31, 1000]),
            steps in prop::collection::vec((0..3_u8, 0..300_u32), 0..1500),
        ) {
            let hash = |row: Row| (row % distinct).wrapping_mul(0x9e37_79b9);
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            let mut before = (index.clone(), model.clone());
            for (number, (step, row)) in steps.into_iter().enumerate() {
                // First they grow, then they shrink.
                let insert = if number < 700 { step > 0 } else { step > 1 };
                let known = model.contains_key(&row);
                if insert && !known {
                    index.insert(hash(row), row);
                    model.insert(row, hash(row));
                } else if !insert {
                    index.remove(hash(row), row);
                    model.remove(&row);
                }
                if number == 500 {
                    before = (index.clone(), model.clone());
                }
            }
            for (index, model) in [(index, model), before] {
                prop_assert_eq!(index.len(), model.len());
                for row in 0..300 {
                    let mut found: Vec<Row> = index.find(hash(row)).collect();
                    found.sort();
                    let same = model.iter().filter(|(_, h)| **h == hash(row)).map(|(r, _)| *r);
                    prop_assert_eq!(found, same.collect::<Vec<_>>());
                }
            }
        }
    }
}
