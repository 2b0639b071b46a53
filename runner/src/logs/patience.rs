//! How long a destination that takes nothing holds up a process.
//!
//! ```text
//!          failed                    failed, PATIENCE over
//!   Good ----------> Waiting ------------------------------> Dropping
//!    ^                  |                                        |
//!    +------------------+----------------------------------------+
//!                       succeeded
//! ```
//!
//! Waiting, the bytes are kept, and the process may come to wait for its pipe. Dropping, they are
//! dropped and counted, with a try now and then whether there is room again.

use super::Micros;

/// So long a process may be held up, all in all, before its bytes are dropped.
pub const PATIENCE: Micros = 5_000_000;

/// Time between two tries.
pub const RETRY: Micros = 100_000;

/// What to do with bytes that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Keep them.
    Wait,
    /// Drop and count them.
    Drop,
}

/// The state of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It takes what it is given.
    Good,
    /// It has taken nothing since some moment.
    Waiting {
        /// That moment.
        since: Micros,
        /// When to try again.
        retry: Micros,
    },
    /// It has taken nothing for too long.
    Dropping {
        /// When to try again.
        retry: Micros,
    },
}

impl Patience {
    /// May a write be tried? If not, what to do without trying.
    pub fn admit(&self, now: Micros) -> Result<(), Verdict> {
        match *self {
            Patience::Waiting { retry, .. } if now < retry => Err(Verdict::Wait),
            Patience::Dropping { retry } if now < retry => Err(Verdict::Drop),
            _ => Ok(()),
        }
    }

    /// A write failed.
    pub fn failed(&mut self, now: Micros) -> Verdict {
        let retry = now.saturating_add(RETRY);
        let (next, verdict) = match *self {
            Patience::Good => (Patience::Waiting { since: now, retry }, Verdict::Wait),
            Patience::Waiting { since, .. } if now.saturating_sub(since) < PATIENCE => {
                (Patience::Waiting { since, retry }, Verdict::Wait)
            }
            Patience::Waiting { .. } | Patience::Dropping { .. } => {
                (Patience::Dropping { retry }, Verdict::Drop)
            }
        };
        *self = next;
        verdict
    }

    /// There is reason to try at once.
    pub fn hurry(&mut self) {
        match self {
            Patience::Good => {}
            Patience::Waiting { retry, .. } | Patience::Dropping { retry } => *retry = Micros::MIN,
        }
    }

    /// A write succeeded.
    pub fn succeeded(&mut self) {
        *self = Patience::Good;
    }

    /// When bytes that are kept can be tried again; `None`: none are kept.
    pub fn retry_at(&self) -> Option<Micros> {
        match *self {
            Patience::Waiting { retry, .. } => Some(retry),
            Patience::Good | Patience::Dropping { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wait_then_drops_until_a_write_succeeds() {
        let mut patience = Patience::Good;
        assert_eq!(patience.admit(0), Ok(()));
        assert_eq!(patience.failed(0), Verdict::Wait);
        assert_eq!(patience.retry_at(), Some(RETRY));
        assert_eq!(patience.admit(RETRY - 1), Err(Verdict::Wait));
        let mut now = RETRY;
        let mut waited = 1;
        while patience.admit(now) == Ok(()) && patience.failed(now) == Verdict::Wait {
            waited += 1;
            now += RETRY;
        }
        assert_eq!(now, PATIENCE);
        assert_eq!(waited, PATIENCE / RETRY);
        assert_eq!(patience.retry_at(), None, "nothing is kept any more");
        assert_eq!(patience.admit(now + 1), Err(Verdict::Drop));
        assert_eq!(patience.admit(now + RETRY), Ok(()));
        assert_eq!(patience.failed(now + RETRY), Verdict::Drop, "there is no second wait");
        patience.hurry();
        assert_eq!(patience.admit(now), Ok(()));
        assert_eq!(patience.failed(now), Verdict::Drop, "a hint is no success");
        patience.succeeded();
        assert_eq!(patience.failed(now), Verdict::Wait, "but after a success there is");
    }
}
