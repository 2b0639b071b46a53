//! Chance from a seed, and what it does to a stream of records.

use std::time::Duration;

use mesos_executor::recordio;

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn ms(&mut self, below: u64) -> Duration {
        Duration::from_micros(self.below(below * 1000))
    }

    /// Cuts bytes anywhere: each piece, and the time after the one before.
    pub(crate) fn pieces(&mut self, bytes: &[u8]) -> Vec<(Duration, Vec<u8>)> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = match self.below(3) {
                0 => 1 + self.below(4) as usize,
                1 => 1 + self.below(60) as usize,
                _ => rest.len(),
            };
            let (piece, later) = rest.split_at(length.min(rest.len()));
            rest = later;
            pieces.push((self.ms(1), piece.to_vec()));
        }
        pieces
    }
}

/// The stream of a connection that breaks after so many bytes, if it does.
pub(crate) struct Cut(pub(crate) Option<usize>);

impl Cut {
    /// What of these bytes still comes; and whether it was the last.
    pub(crate) fn pass(&mut self, mut bytes: Vec<u8>) -> (Vec<u8>, bool) {
        let Some(left) = &mut self.0 else { return (bytes, false) };
        let gone = bytes.len() >= *left;
        bytes.truncate(*left);
        *left -= bytes.len();
        (bytes, gone)
    }
}

/// A record with its length.
pub(crate) fn framed(record: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    recordio::encode(record, &mut bytes);
    bytes
}

/// Bytes that no decoder takes that allows `max` bytes in a record: one of four.
pub(crate) fn nonsense(which: u64, max: usize) -> Vec<u8> {
    match which {
        0 => format!("{}\n", max + 1).into_bytes(),
        1 => b"99999999999999999999999\n".to_vec(),
        2 => b"nonsense\n".to_vec(),
        _ => framed(b"\xff\xff\xff"),
    }
}
