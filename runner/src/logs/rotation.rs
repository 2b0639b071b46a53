//! Where a log is cut into files: a function of sizes and bytes.
//!
//! A file never grows beyond its limit. The cut is made after a line where that leaves at most
//! [`LOOK_BACK`] bytes unused, and exactly at the limit otherwise. Only bytes that cross the limit are
//! looked at.

/// So far before the limit a line end is looked for, in bytes: as much of a file may stay unused.
pub const LOOK_BACK: usize = 32 << 10;

/// What comes next for bytes that wait to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write so many of them, at least one, to the current file.
    Write(usize),
    /// Begin a new file.
    Rotate,
}

/// The current file of a log, as far as cutting depends on it.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Largest size of a file, in bytes; `None`: there is one file, and it grows.
    limit: Option<u64>,
    /// Size of the current file, in bytes.
    size: u64,
    /// Does the next byte begin a line?
    line_start: bool,
}

impl Rotation {
    /// A log whose current file is empty. A limit below 1 counts as 1.
    pub fn new(limit: Option<u64>) -> Rotation {
        Rotation { limit: limit.map(|limit| limit.max(1)), size: 0, line_start: true }
    }

    /// The size of the current file was found to be this: others may write to it, or empty it.
    pub fn found(&mut self, size: u64) {
        self.size = size;
    }

    /// What to do with these bytes, of which there is at least one.
    pub fn step(&self, bytes: &[u8]) -> Step {
        let Some(limit) = self.limit else { return Step::Write(bytes.len()) };
        let Some(room) = limit.checked_sub(self.size).filter(|room| *room > 0) else {
            return Step::Rotate;
        };
        let room = match usize::try_from(room) {
            Ok(room) if room < bytes.len() => room,
            _ => return Step::Write(bytes.len()),
        };
        let window = room.saturating_sub(LOOK_BACK);
        match bytes[window..room].iter().rposition(|byte| *byte == b'\n') {
            Some(at) => Step::Write(window + at + 1),
            // What is there ends with a whole line: the one that does not fit goes to the next file.
            None if self.line_start && self.size > 0 && room <= LOOK_BACK => Step::Rotate,
            None => Step::Write(room),
        }
    }

    /// These bytes were written to the current file.
    pub fn wrote(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if let Some(last) = bytes.last() {
            self.line_start = *last == b'\n';
        }
    }

    /// A new file has begun.
    pub fn rotated(&mut self) {
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn at(limit: u64, size: u64, line_start: bool) -> Rotation {
        Rotation { limit: Some(limit), size, line_start }
    }

    #[rstest]
    #[case::fits(at(100, 0, true), b"a\nb", Step::Write(3))]
    #[case::fits_exactly(at(3, 0, true), b"a\nb", Step::Write(3))]
    #[case::full(at(3, 3, true), b"x", Step::Rotate)]
    #[case::overfull(at(3, 9, false), b"x", Step::Rotate)]
    #[case::last_line_end_wins(at(6, 0, true), b"a\nb\ncccc", Step::Write(4))]
    #[case::line_end_at_the_limit(at(2, 0, true), b"a\nb", Step::Write(2))]
    #[case::line_end_after_the_limit(at(2, 0, true), b"aa\nb", Step::Write(2))]
    #[case::whole_lines_are_there(at(10, 8, true), b"ccc\n", Step::Rotate)]
    #[case::half_a_line_is_there(at(10, 8, false), b"ccc\n", Step::Write(2))]
    #[case::one_line_longer_than_a_file(at(4, 0, true), b"cccccc\n", Step::Write(4))]
    #[case::one_byte_files(at(1, 0, true), b"ab", Step::Write(1))]
    fn steps(#[case] rotation: Rotation, #[case] bytes: &[u8], #[case] step: Step) {
        assert_eq!(rotation.step(bytes), step);
    }

    #[test]
    fn a_line_end_is_looked_for_only_so_far_back() {
        let mut bytes = vec![b'x'; LOOK_BACK + 10];
        bytes[0] = b'\n';
        let limit = LOOK_BACK as u64 + 1;
        assert_eq!(at(limit, 0, true).step(&bytes), Step::Write(LOOK_BACK + 1));
        assert_eq!(at(limit - 1, 0, true).step(&bytes), Step::Write(1));
        // More room than that is not given up for a line that does not fit.
        let line = vec![b'x'; LOOK_BACK + 10];
        assert_eq!(at(limit + 5, 5, true).step(&line), Step::Write(LOOK_BACK + 1));
        assert_eq!(at(limit + 4, 5, true).step(&line), Step::Rotate);
    }

    #[test]
    fn without_a_limit_nothing_is_cut() {
        let mut rotation = Rotation::new(None);
        rotation.found(u64::MAX);
        rotation.wrote(b"x");
        assert_eq!(rotation.step(b"abc"), Step::Write(3));
    }

    /// Copies pieces into files, writing at most `most` bytes at a time.
    fn files(limit: u64, pieces: &[Vec<u8>], most: usize) -> Vec<Vec<u8>> {
        let (mut rotation, mut files) = (Rotation::new(Some(limit)), vec![Vec::new()]);
        for piece in pieces {
            let mut rest: &[u8] = piece;
            while !rest.is_empty() {
                match rotation.step(rest) {
                    Step::Rotate => {
                        rotation.rotated();
                        files.push(Vec::new());
                    }
                    Step::Write(n) => {
                        let n = n.min(most);
                        rotation.wrote(&rest[..n]);
                        files.last_mut().unwrap().extend_from_slice(&rest[..n]);
                        rest = &rest[n..];
                    }
                }
            }
        }
        files
    }

    proptest! {
        #[test]
        fn files_add_up_and_fit(
            limit in 1u64..60,
            pieces in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x'), any::<u8>()], 0..40),
                0..20,
            ),
            most in 1usize..50,
        ) {
            let files = files(limit, &pieces, most);
            prop_assert_eq!(files.concat(), pieces.concat());
            for (i, file) in files.iter().enumerate() {
                prop_assert!(file.len() as u64 <= limit);
                let is_last = i + 1 == files.len();
                prop_assert!(is_last || !file.is_empty(), "no file is begun for nothing");
                if !is_last && (file.len() as u64) < limit {
                    prop_assert_eq!(file.last(), Some(&b'\n'), "room is given up for whole lines only");
                }
            }
        }

        #[test]
        fn lines_that_fit_stay_whole(
            limit in 20u64..200,
            lines in proptest::collection::vec(0usize..19, 0..60),
        ) {
            let pieces: Vec<Vec<u8>> = lines
                .iter()
                .map(|n| [vec![b'x'; *n], vec![b'\n']].concat())
                .collect();
            for file in files(limit, &pieces, usize::MAX) {
                prop_assert!(file.is_empty() || file.ends_with(b"\n"));
            }
        }
    }
}
