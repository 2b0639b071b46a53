//! Counters, for whoever publishes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes of a [`Histogram`] are powers of two of microseconds, from 1 µs on.
const CLASSES: usize = 32;

/// How long something took, how often.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    count: AtomicU64,
    nanos: AtomicU64,
    classes: [AtomicU64; CLASSES],
}

impl Timer {
    pub(crate) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        let class = (u64::BITS - (nanos / 1000).leading_zeros()) as usize;
        if let Some(class) = self.classes.get(class.min(CLASSES - 1)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Histogram {
        Histogram {
            count: self.count.load(Ordering::Relaxed),
            nanos: self.nanos.load(Ordering::Relaxed),
            classes: self.classes.each_ref().map(|class| class.load(Ordering::Relaxed)),
        }
    }
}

/// A timer as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How often.
    pub count: u64,
    /// All together, in nanoseconds.
    pub nanos: u64,
    /// How often it took less than 1 µs, 2 µs, 4 µs …; what took longer is in the last.
    pub classes: [u64; CLASSES],
}

impl Histogram {
    /// A time that this share of all, from 0 to 1, did not reach: the upper bound of a class, so up
    /// to twice the true one.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (class, count) in self.classes.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(1 << class);
            }
        }
        Duration::from_micros(1 << (CLASSES - 1))
    }
}

/// What a log has done since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Entries of the application that were committed here as leader (`entries_written`).
    pub entries: u64,
    /// Their bytes (`bytes_written`).
    pub bytes: u64,
    /// Batches that they were in.
    pub batches: u64,
    /// Bytes written to segments.
    pub segment_bytes: u64,
    /// Times that a segment was synced.
    pub syncs: u64,
    /// Segments begun.
    pub segments: u64,
    /// Snapshots taken.
    pub snapshots: u64,
    /// Bytes of data in the last one that was taken or read.
    pub snapshot_bytes: u64,
    /// Entries of the application since the last snapshot (`un_snapshotted_transactions`).
    pub since_snapshot: u64,
    /// Entries of the application applied from their bytes (`entries_read`).
    pub entries_read: u64,
    /// Their bytes (`bytes_read`).
    pub bytes_read: u64,
    /// From append to commit, of each entry.
    pub append: Histogram,
    /// Writing and syncing, of each frame.
    pub sync: Histogram,
    /// Taking a snapshot, in the background.
    pub snapshot: Histogram,
}

/// The counters themselves.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) entries: Counter,
    pub(crate) bytes: Counter,
    pub(crate) batches: Counter,
    pub(crate) segment_bytes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) segments: Counter,
    pub(crate) snapshots: Counter,
    pub(crate) snapshot_bytes: Counter,
    pub(crate) since_snapshot: Counter,
    pub(crate) entries_read: Counter,
    pub(crate) bytes_read: Counter,
    pub(crate) append: Timer,
    pub(crate) sync: Timer,
    pub(crate) snapshot: Timer,
}

impl Counters {
    pub(crate) fn read(&self) -> Metrics {
        Metrics {
            entries: self.entries.get(),
            bytes: self.bytes.get(),
            batches: self.batches.get(),
            segment_bytes: self.segment_bytes.get(),
            syncs: self.syncs.get(),
            segments: self.segments.get(),
            snapshots: self.snapshots.get(),
            snapshot_bytes: self.snapshot_bytes.get(),
            since_snapshot: self.since_snapshot.get(),
            entries_read: self.entries_read.get(),
            bytes_read: self.bytes_read.get(),
            append: self.append.read(),
            sync: self.sync.read(),
            snapshot: self.snapshot.read(),
        }
    }
}

/// One number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two() {
        let timer = Timer::default();
        for micros in [0, 1, 2, 3, 4, 1000, u64::MAX / 1000] {
            timer.record(Duration::from_micros(micros));
        }
        let read = timer.read();
        assert_eq!(read.count, 7);
        assert_eq!(&read.classes[..4], [1, 1, 2, 1]);
        assert_eq!((read.classes[10], read.classes[CLASSES - 1]), (1, 1));
        assert_eq!(read.quantile(0.5), Duration::from_micros(4));
        assert_eq!(read.quantile(0.0), Duration::from_micros(1));
    }
}
