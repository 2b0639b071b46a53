//! What became of the bytes of an output: counts, and the places of files among all that was written.

use super::Micros;

/// A count of dropped bytes that has changed is recorded again after this time.
pub const RECORD_EVERY: Micros = 1_000_000;

/// The account of one destination: every byte that was received is written, dropped, or still to be
/// written.
#[derive(Clone, Debug)]
pub struct Account<R> {
    received: u64,
    written: u64,
    dropped: u64,
    reason: Option<R>,
    /// What was dropped at the last record, and when that was.
    recorded: u64,
    recorded_at: Micros,
}

impl<R: Copy> Default for Account<R> {
    fn default() -> Self {
        Account::new()
    }
}

impl<R: Copy> Account<R> {
    /// Nothing has come.
    pub const fn new() -> Account<R> {
        Account {
            received: 0,
            written: 0,
            dropped: 0,
            reason: None,
            recorded: 0,
            recorded_at: Micros::MIN,
        }
    }

    /// So many bytes came.
    pub fn receive(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// So many of them were written.
    pub fn write(&mut self, bytes: usize) {
        self.written += bytes as u64;
    }

    /// So many of them will not be written.
    pub fn discard(&mut self, bytes: usize, reason: R) {
        self.dropped += bytes as u64;
        self.reason = Some(reason);
    }

    /// Bytes that came.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that were written: the place of the next byte in the files together.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that were dropped, and why the last of them were.
    pub fn dropped(&self) -> (u64, Option<R>) {
        (self.dropped, self.reason)
    }

    /// When the account is to be recorded; `None`: the last record still holds.
    pub fn due(&self) -> Option<Micros> {
        (self.dropped != self.recorded).then(|| self.recorded_at.saturating_add(RECORD_EVERY))
    }

    /// The account was recorded.
    pub fn recorded(&mut self, now: Micros) {
        self.recorded = self.dropped;
        self.recorded_at = now;
    }
}

/// The mark on a log file: the place of its first byte. A follower that lost sight of a log finds
/// its way back with it, and counts what it has missed.
///
/// It is text, such as `1048576 0`: the bytes that were written to earlier files of the run, and the
/// bytes that were dropped until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Place of the first byte of the file among all bytes that were written, in bytes. Negative for
    /// a file that held something before the run.
    pub start: i64,
    /// Bytes that had been dropped when the file was begun.
    pub dropped: u64,
}

/// Name of the extended attribute that holds a [`Mark`].
pub const MARK: &str = "user.thermos.log";

impl Mark {
    /// Room for the longest mark.
    pub const ROOM: usize = 48;

    /// Writes the mark; returns its length.
    pub fn encode(self, buffer: &mut [u8; Mark::ROOM]) -> usize {
        use std::io::Write;
        let mut rest: &mut [u8] = buffer;
        // Two numbers of 20 characters fit.
        let _ = write!(rest, "{} {}", self.start, self.dropped);
        Mark::ROOM - rest.len()
    }

    /// Reads a mark; `None` for anything else. Whoever owns the file can write what he likes.
    pub fn decode(bytes: &[u8]) -> Option<Mark> {
        let (start, dropped) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Mark { start: start.parse().ok()?, dropped: dropped.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn drops_are_recorded_at_once_and_then_once_a_second() {
        let mut account = Account::<()>::new();
        account.receive(10);
        account.write(4);
        assert_eq!(account.due(), None);
        account.discard(5, ());
        assert!(account.due().is_some_and(|due| due < 0));
        assert_eq!((account.received(), account.written()), (10, 4));
        assert_eq!(account.dropped(), (5, Some(())));
        account.recorded(7_000_000);
        assert_eq!(account.due(), None);
        account.discard(1, ());
        assert_eq!(account.due(), Some(8_000_000));
    }

    #[test]
    fn marks_as_text() {
        let mut buffer = [0; Mark::ROOM];
        let n = Mark { start: 1 << 20, dropped: 0 }.encode(&mut buffer);
        assert_eq!(&buffer[..n], b"1048576 0");
        for garbage in ["", "1", "1 ", " 1", "1 -1", "1 2 3", "\u{fc} 1", "99999999999999999999 0"]
        {
            assert_eq!(Mark::decode(garbage.as_bytes()), None, "{garbage:?}");
        }
        assert_eq!(Mark::decode(b"\xff 1"), None);
    }

    proptest! {
        #[test]
        fn marks_survive(start in any::<i64>(), dropped in any::<u64>()) {
            let mut buffer = [0; Mark::ROOM];
            let mark = Mark { start, dropped };
            let n = mark.encode(&mut buffer);
            prop_assert_eq!(Mark::decode(&buffer[..n]), Some(mark));
        }
    }
}
