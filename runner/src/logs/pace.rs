//! How often a busy pipe is emptied.
//!
//! A process that writes line by line would wake its copier for every line. So after something was
//! read, the next bytes may gather for a moment; what comes after silence is read at once. The moment
//! is as long as leaves the pipe less than half full, and never longer than [`LONGEST`].

use super::Micros;

/// The longest time that bytes gather, and so the longest that a follower waits for them.
pub const LONGEST: Micros = 2_000;

/// The shortest time that is worth sleeping.
const SHORTEST: Micros = 60;

/// The pace of one copier.
#[derive(Clone, Debug)]
pub struct Pace {
    /// How long bytes gather; 0: not at all.
    pause: Micros,
    last_read: Micros,
}

impl Default for Pace {
    fn default() -> Self {
        Pace::new()
    }
}

impl Pace {
    /// Nothing was read yet.
    pub const fn new() -> Pace {
        Pace { pause: LONGEST, last_read: Micros::MIN }
    }

    /// How long to leave what is there, in microseconds; 0: read it.
    pub fn wait(&self, now: Micros) -> Micros {
        let left = self.last_read.saturating_add(self.pause).saturating_sub(now);
        if left < SHORTEST { 0 } else { left.min(LONGEST) }
    }

    /// So many bytes were there when a pipe that holds `capacity` was emptied.
    pub fn read(&mut self, now: Micros, bytes: usize, capacity: usize) {
        self.last_read = now;
        if bytes >= capacity / 2 {
            self.pause = if self.pause < 2 * SHORTEST { 0 } else { self.pause / 2 };
        } else if bytes < capacity / 8 {
            self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_silence_is_read_at_once() {
        let mut pace = Pace::new();
        assert_eq!(pace.wait(0), 0);
        pace.read(0, 100, 65536);
        assert_eq!(pace.wait(LONGEST), 0);
        assert_eq!(pace.wait(500), LONGEST - 500);
    }

    #[test]
    fn a_clock_that_goes_back_delays_nobody_for_long() {
        let mut pace = Pace::new();
        pace.read(1_000_000_000, 1, 65536);
        assert_eq!(pace.wait(0), LONGEST);
    }

    /// A writer of so many bytes per second, in steps of one pause each.
    #[test]
    fn the_pause_leaves_room_in_the_pipe() {
        for rate in [1_000, 1_000_000, 20_000_000, 100_000_000, 1_000_000_000i64] {
            let capacity = 256 << 10;
            let (mut pace, mut now, mut stalls) = (Pace::new(), 0, 0);
            for round in 0..200 {
                let waited = pace.wait(now + 10) + 10;
                now += waited;
                let bytes = (rate * waited / 1_000_000).min(capacity) as usize;
                stalls += i32::from(round > 20 && bytes == capacity as usize);
                pace.read(now, bytes, capacity as usize);
            }
            assert_eq!(stalls, 0, "{rate}");
            if rate <= 20_000_000 {
                assert_eq!(pace.wait(now), LONGEST, "{rate}");
            }
        }
    }
}
