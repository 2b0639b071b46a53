//! Which rows have a name, without the names.

use super::paged::Paged;
use super::rows::Row;

/// A persistent hash index: from hashes of names to row numbers. It keeps no names: whoever asks
/// compares the rows that it is given.
///
/// Each bucket is a chain through the rows. Buckets are added one at a time (linear hashing), each
/// with the row that makes it necessary, so that no row has to wait until a large table is made
/// anew. What it takes are twelve bytes per row, wherever the row is, in pages that are copied by
/// plain moves.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// The first row of each bucket.
    buckets: Paged<Link, 128>,
    /// What each row has, if it is in the index.
    entries: Paged<Entry, 64>,
    len: usize,
}

/// A row number plus one; 0 for none.
type Link = u32;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u32,
    next: Link,
}

impl Index {
    /// How many rows are in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a row that is not in it.
    pub(super) fn insert(&mut self, hash: u64, row: Row) {
        let hash = fold(hash);
        if self.len >= self.buckets.len() {
            self.split();
        }
        while self.entries.len() <= row as usize {
            self.entries.push(Entry::default());
        }
        self.chain(hash, row);
        self.len += 1;
    }

    /// Takes a row out of it. One that is not in it is passed over.
    pub(super) fn remove(&mut self, hash: u64, row: Row) {
        let Some(bucket) = self.bucket(fold(hash)) else { return };
        let first = self.buckets.get(bucket).copied().unwrap_or_default();
        let (mut before, mut link) = (None, first);
        while link != 0 && link - 1 != row {
            before = Some(link);
            link = self.next(link);
        }
        if link == 0 {
            return;
        }
        let next = self.next(link);
        let slot = match before {
            None => self.buckets.get_mut(bucket),
            Some(before) => self.entry_mut(before).map(|entry| &mut entry.next),
        };
        if let Some(slot) = slot {
            *slot = next;
        }
        self.len -= 1;
    }

    /// The rows with this hash: those that have the name, and perhaps others, in no order.
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = Row> + '_ {
        let hash = fold(hash);
        let first = self.bucket(hash).and_then(|bucket| self.buckets.get(bucket).copied());
        let mut link = first.unwrap_or_default();
        std::iter::from_fn(move || {
            while let Some(entry) = self.entry(link) {
                let row = link - 1;
                link = entry.next;
                if entry.hash == hash {
                    return Some(row);
                }
            }
            None
        })
    }

    /// The bucket of a hash: by as many of its low bits as there are buckets for, but for those
    /// buckets that were not added yet.
    fn bucket(&self, hash: u32) -> Option<usize> {
        let count = self.buckets.len();
        let range = count.checked_next_power_of_two().filter(|_| count > 0)?;
        let bucket = hash as usize & (range - 1);
        Some(if bucket < count { bucket } else { bucket & (range / 2 - 1) })
    }

    /// Adds a bucket, and divides between it and the one that had its rows until now.
    fn split(&mut self) {
        let new = self.buckets.len();
        self.buckets.push(0);
        if new == 0 {
            return;
        }
        let old = new & !(1 << new.ilog2());
        let Some(first) = self.buckets.get_mut(old) else { return };
        let mut link = std::mem::take(first);
        while let Some(entry) = self.entry(link) {
            self.chain(entry.hash, link - 1);
            link = entry.next;
        }
    }

    /// Puts a row in front of its bucket.
    fn chain(&mut self, hash: u32, row: Row) {
        let Some(first) = self.bucket(hash).and_then(|bucket| self.buckets.get_mut(bucket)) else {
            return;
        };
        let next = std::mem::replace(first, row + 1);
        if let Some(entry) = self.entry_mut(row + 1) {
            *entry = Entry { hash, next };
        }
    }

    fn next(&self, link: Link) -> Link {
        self.entry(link).map_or(0, |entry| entry.next)
    }

    fn entry(&self, link: Link) -> Option<Entry> {
        self.entries.get(link.checked_sub(1)? as usize).copied()
    }

    fn entry_mut(&mut self, link: Link) -> Option<&mut Entry> {
        self.entries.get_mut(link.checked_sub(1)? as usize)
    }
}

/// Half of the bits are enough: a wrong row among four thousand million is only one that is compared
/// in vain.
fn fold(hash: u64) -> u32 {
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Hashes repeat, rows come again after they went, and clones stay as they were.
        #[test]
        fn like_a_map(steps in prop::collection::vec((any::<bool>(), 0..100_u32), 0..600)) {
            let hash = |row: Row| u64::from(row % 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            let mut before = (index.clone(), model.clone());
            for (number, (insert, row)) in steps.into_iter().enumerate() {
                let known = model.contains_key(&row);
                if insert && !known {
                    index.insert(hash(row), row);
                    model.insert(row, hash(row));
                } else if !insert {
                    index.remove(hash(row), row);
                    model.remove(&row);
                }
                if number == 300 {
                    before = (index.clone(), model.clone());
                }
            }
            for (index, model) in [(index, model), before] {
                prop_assert_eq!(index.len(), model.len());
                for row in 0..100 {
                    let mut found: Vec<Row> = index.find(hash(row)).collect();
                    found.sort();
                    let same = model.iter().filter(|(_, h)| **h == hash(row)).map(|(r, _)| *r);
                    prop_assert_eq!(found, same.collect::<Vec<_>>());
                }
            }
        }
    }
}
