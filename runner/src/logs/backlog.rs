//! Which rotated files are still to be compressed, and which one now: a function of rotations and of
//! compressors that end.
//!
//! ```text
//!             begun                      ended
//!   Idle ----------------> Busy ----------------------> Idle
//!    | ^                     |  rotated out, in the way
//!    | +---- ended ---- Vain <-+  or stopped
//!    | put off
//!    v
//!  Resting  (until the next rotation)
//! ```
//!
//! Files move up with each rotation. The newest that waits is next: it stays longest, so it has the
//! most time, and where a log grows faster than it can be compressed, some of it still is.

/// So many of the newest files can wait. One that does so for longer stays as it is.
pub const ROOM: u32 = u64::BITS;

/// The rotated files of one output that are to be compressed.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// Rotated files that are kept; at least 1.
    backups: u32,
    /// Which files wait: the lowest bit is file 1. Those of which there is a compressor do not.
    waiting: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is no compressor.
    Idle,
    /// There is none, and there was no room for one.
    Resting,
    /// One works on the file that has this number now.
    Busy(u32),
    /// One works, and nobody wants what it makes.
    Vain,
}

impl Backlog {
    /// Nothing waits. A number of backups below 1 counts as 1.
    pub fn new(backups: u32) -> Backlog {
        Backlog { backups: backups.max(1), waiting: 0, state: State::Idle }
    }

    /// Every file has moved to the next number, and the current one to 1.
    pub fn rotated(&mut self) {
        let kept = 1u64.checked_shl(self.backups).map_or(u64::MAX, |above| above - 1);
        self.waiting = (self.waiting << 1 | 1) & kept;
        self.state = match self.state {
            State::Busy(number) if number < self.backups => State::Busy(number + 1),
            State::Busy(_) => State::Vain,
            State::Resting => State::Idle,
            other => other,
        };
    }

    /// The number of the file to compress now.
    pub fn next(&self) -> Option<u32> {
        (self.state == State::Idle && self.waiting != 0).then(|| self.waiting.trailing_zeros() + 1)
    }

    /// Does anything wait, or is anything being compressed?
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Busy(_) | State::Vain) || self.next().is_some()
    }

    /// The next file is nothing that can be compressed.
    pub fn skip(&mut self) {
        if self.state == State::Idle {
            // The lowest bit.
            self.waiting &= self.waiting.wrapping_sub(1);
        }
    }

    /// A compressor of the next file has begun.
    pub fn begun(&mut self) {
        if let Some(number) = self.next() {
            self.skip();
            self.state = State::Busy(number);
        }
    }

    /// There was no room for a compressor.
    pub fn put_off(&mut self) {
        if self.state == State::Idle {
            self.state = State::Resting;
        }
    }

    /// What the compressor takes up is needed: its file is given up.
    pub fn interrupt(&mut self) {
        if let State::Busy(_) = self.state {
            self.state = State::Vain;
        }
    }

    /// Nothing that waits is wanted any more.
    pub fn stop(&mut self) {
        self.waiting = 0;
        self.interrupt();
    }

    /// Works a compressor for nothing?
    pub fn is_vain(&self) -> bool {
        self.state == State::Vain
    }

    /// The compressor is gone before its time and through no fault of its file, which waits again.
    pub fn lost(&mut self) {
        match self.state {
            State::Busy(number) => {
                self.waiting |= 1u64.checked_shl(number - 1).unwrap_or(0);
                self.state = State::Idle;
            }
            State::Vain => self.state = State::Idle,
            State::Idle | State::Resting => {}
        }
    }

    /// The compressor has ended. If it did what it should and that is still wanted: the present number
    /// of its file. What failed once is not tried again.
    pub fn ended(&mut self, done: bool) -> Option<u32> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Busy(number) => done.then_some(number),
            State::Idle | State::Resting | State::Vain => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_newest_goes_first_and_is_followed_through_rotations() {
        let mut backlog = Backlog::new(5);
        assert_eq!(backlog.next(), None);
        backlog.rotated();
        backlog.rotated();
        assert_eq!(backlog.next(), Some(1));
        backlog.begun();
        assert_eq!(backlog.next(), None, "one at a time");
        backlog.rotated();
        assert_eq!(backlog.ended(true), Some(2), "it has moved meanwhile");
        assert_eq!(backlog.next(), Some(1));
        backlog.begun();
        assert_eq!(backlog.ended(false), None);
        assert_eq!(backlog.next(), Some(3), "what failed is not tried again, what waited is");
        backlog.skip();
        assert!(!backlog.is_pending());
    }

    #[test]
    fn a_file_that_is_rotated_out_is_compressed_in_vain() {
        let mut backlog = Backlog::new(2);
        backlog.rotated();
        backlog.begun();
        backlog.rotated();
        assert!(!backlog.is_vain());
        backlog.rotated();
        assert!(backlog.is_vain(), "it was the oldest of two");
        assert_eq!((backlog.next(), backlog.ended(true)), (None, None));
        assert_eq!(backlog.next(), Some(1));
        backlog.begun();
        assert_eq!(backlog.ended(true), Some(1));
        assert_eq!(backlog.next(), Some(2));
        backlog.rotated();
        backlog.rotated();
        let mut left = Vec::new();
        while let Some(number) = backlog.next() {
            left.push(number);
            backlog.skip();
        }
        assert_eq!(left, [1, 2], "no more wait than are kept");
    }

    #[test]
    fn one_that_is_in_the_way_is_given_up_and_no_other() {
        let mut backlog = Backlog::new(5);
        backlog.rotated();
        backlog.rotated();
        backlog.interrupt();
        assert!(!backlog.is_vain(), "there is none");
        backlog.begun();
        backlog.interrupt();
        assert!(backlog.is_vain() && backlog.is_pending());
        assert_eq!(backlog.ended(true), None);
        assert_eq!(backlog.next(), Some(2));
        backlog.begun();
        backlog.lost();
        assert_eq!(backlog.next(), Some(2), "who begins anew does not give it up");
        backlog.begun();
        backlog.stop();
        assert!(backlog.is_vain());
        assert_eq!(backlog.ended(true), None);
        assert!(!backlog.is_pending());
    }

    #[test]
    fn without_room_for_a_compressor_the_next_rotation_is_awaited() {
        let mut backlog = Backlog::new(5);
        backlog.rotated();
        backlog.put_off();
        assert_eq!(backlog.next(), None);
        assert!(!backlog.is_pending(), "nobody waits for it");
        backlog.rotated();
        assert_eq!(backlog.next(), Some(1));
    }

    #[test]
    fn of_many_the_newest_can_wait() {
        let mut backlog = Backlog::new(u32::MAX);
        (0..ROOM + 5).for_each(|_| backlog.rotated());
        let mut count = 0;
        while backlog.next().is_some() {
            count += 1;
            backlog.begun();
            backlog.ended(true);
        }
        assert_eq!(count, ROOM);
        backlog.rotated();
        backlog.begun();
        (0..2 * ROOM).for_each(|_| backlog.rotated());
        assert_eq!(
            backlog.ended(true),
            Some(2 * ROOM + 1),
            "what is worked on is followed further"
        );
    }

    proptest! {
        /// A log as a list of files, newest first, against the backlog's numbers.
        #[test]
        fn the_number_is_always_that_of_the_file(
            backups in prop_oneof![1u32..6, 62u32..67],
            steps in proptest::collection::vec(0u8..7, 0..150),
        ) {
            let (mut backlog, mut files) = (Backlog::new(backups), Vec::<(u32, bool)>::new());
            let (mut count, mut working) = (0, None);
            for step in steps {
                match step {
                    0..=2 => {
                        count += 1;
                        files.insert(0, (count, false));
                        files.truncate(backups as usize);
                        backlog.rotated();
                    }
                    3 => if let Some(number) = backlog.next() {
                        prop_assert_eq!(working, None);
                        let (id, zipped) = files[number as usize - 1];
                        prop_assert!(!zipped, "nothing is compressed twice");
                        working = Some(id);
                        backlog.begun();
                    },
                    4 | 5 => if let Some(id) = working.take() {
                        let at = files.iter().position(|file| file.0 == id);
                        let vain = backlog.is_vain();
                        prop_assert!(at.is_some() || vain, "gone, and nobody has noticed");
                        match backlog.ended(step == 4) {
                            Some(number) => {
                                prop_assert_eq!(Some(number as usize - 1), at);
                                files[number as usize - 1].1 = true;
                            }
                            None => prop_assert!(vain || step == 5),
                        }
                    },
                    _ => backlog.interrupt(),
                }
            }
        }
    }
}
