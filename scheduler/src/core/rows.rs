//! Sets of row numbers that are cheap to copy.

use rpds::RedBlackTreeMapSync;

use super::paged::Paged;

/// Number of a row in the table of tasks.
pub type Row = u32;

/// A persistent set of a few of the rows: 256 of them per node, as bits. Rows that are made together lie
/// together, so that a set costs a few bits per member, and iteration goes in one order.
#[derive(Clone, Debug)]
pub struct Rows {
    chunks: RedBlackTreeMapSync<u32, [u64; 4]>,
    len: usize,
}

impl Default for Rows {
    fn default() -> Rows {
        Rows { chunks: RedBlackTreeMapSync::new_sync(), len: 0 }
    }
}

impl Rows {
    /// Adds a member.
    pub fn insert(&mut self, row: Row) {
        let (chunk, word, bit) = place(row);
        match self.chunks.get_mut(&chunk) {
            Some(words) => {
                self.len += usize::from(words[word] & bit == 0);
                words[word] |= bit;
            }
            None => {
                let mut words = [0; 4];
                words[word] = bit;
                self.chunks.insert_mut(chunk, words);
                self.len += 1;
            }
        }
    }

    /// Takes a member away.
    pub fn remove(&mut self, row: Row) {
        let (chunk, word, bit) = place(row);
        let Some(words) = self.chunks.get_mut(&chunk) else { return };
        self.len -= usize::from(words[word] & bit != 0);
        words[word] &= !bit;
        if *words == [0; 4] {
            self.chunks.remove_mut(&chunk);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The members, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.chunks.iter().flat_map(|(chunk, words)| {
            words.iter().zip(0..).flat_map(move |(word, i)| bits(*word, chunk * 256 + i * 64))
        })
    }
}

/// A persistent set of many of the rows: a bit for each row that there is, up to the last member. To
/// add or remove one costs the same however many there are; to go through them costs a look at all
/// bits, which for a million rows are a hundred kilobytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    words: Paged<u64, 32>,
    len: usize,
}

impl Marks {
    /// Adds a member.
    pub(super) fn insert(&mut self, row: Row) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        while self.words.len() <= word {
            self.words.push(0);
        }
        if let Some(word) = self.words.get_mut(word) {
            self.len += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    /// Takes a member away.
    pub(super) fn remove(&mut self, row: Row) {
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        if let Some(word) = self.words.get_mut(word) {
            self.len -= usize::from(*word & bit != 0);
            *word &= !bit;
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The members, smallest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.words.iter().zip(0..).flat_map(|(word, i)| bits(*word, i * 64)).take(self.len)
    }
}

fn place(row: Row) -> (u32, usize, u64) {
    (row / 256, (row / 64 % 4) as usize, 1 << (row % 64))
}

fn bits(mut word: u64, base: Row) -> impl Iterator<Item = Row> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(base + bit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn like_a_set(steps in prop::collection::vec((any::<bool>(), 0..2000_u32), 0..300)) {
            let (mut rows, mut marks) = (Rows::default(), Marks::default());
            let mut model = BTreeSet::new();
            let mut before = (rows.clone(), marks.clone(), model.clone());
            for (i, (insert, row)) in steps.into_iter().enumerate() {
                if insert {
                    rows.insert(row);
                    marks.insert(row);
                    model.insert(row);
                } else {
                    rows.remove(row);
                    marks.remove(row);
                    model.remove(&row);
                }
                prop_assert_eq!(rows.len(), model.len());
                prop_assert_eq!(marks.len(), model.len());
                if i == 100 {
                    before = (rows.clone(), marks.clone(), model.clone());
                }
            }
            for (rows, marks, model) in [(rows, marks, model), before] {
                prop_assert!(rows.iter().eq(model.iter().copied()));
                prop_assert!(marks.iter().eq(model.iter().copied()));
            }
        }
    }
}
