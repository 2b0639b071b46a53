//! Tasks that wait for a place, in groups of equal ones that take turns.
//!
//! Source: the scheduler's task groups and their tests. Each group has its own queue, its own
//! back-off and its own rounds, so that a large job cannot keep a small one waiting.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::config::{Config, ConfigNo};
use super::name::{Millis, TaskId};
use super::offers::Sight;
use super::resources::Bag;

/// Equal tasks that wait for a place.
#[derive(Debug)]
pub struct Group {
    /// What they run.
    pub config: Arc<Config>,
    /// What each needs, its executor included.
    pub needs: Bag,
    /// May their resources be taken back?
    pub revocable: bool,
    /// The tasks, in order of their arrival. Some may not wait any more.
    pub queue: VecDeque<TaskId>,
    /// How many of them wait.
    pub waiting: usize,
    /// How long it waited before this round.
    pub penalty: Millis,
    /// What is known of the offers.
    pub sight: Sight,
    /// Why they have no place, found out then.
    pub nearest: Option<(Millis, Vec<String>)>,
}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<ConfigNo, Group>,
    /// Groups whose turn it is, in order.
    ready: VecDeque<ConfigNo>,
}

impl Groups {
    /// Lets a task wait with its equals, if there are any.
    pub fn join(&mut self, config: ConfigNo, id: &TaskId) -> bool {
        let Some(group) = self.groups.get_mut(&config) else { return false };
        group.queue.push_back(id.clone());
        group.waiting += 1;
        true
    }

    /// One of the group's tasks does not wait any more. Returns true if it was the last one, with
    /// which the group ends.
    pub fn leave(&mut self, config: ConfigNo) -> bool {
        let Some(group) = self.groups.get_mut(&config) else { return false };
        group.waiting = group.waiting.saturating_sub(1);
        group.waiting == 0 && self.groups.remove(&config).is_some()
    }

    /// A group that was not there.
    pub fn insert(&mut self, group: Group) {
        self.groups.insert(group.config.number, group);
    }

    /// The group of a configuration.
    pub fn get_mut(&mut self, config: ConfigNo) -> Option<&mut Group> {
        self.groups.get_mut(&config)
    }

    /// It is the turn of a group, after those whose turn it is already.
    pub fn make_ready(&mut self, config: ConfigNo) {
        if self.groups.contains_key(&config) {
            self.ready.push_back(config);
        }
    }

    /// The group whose turn it is.
    pub fn take_ready(&mut self) -> Option<ConfigNo> {
        while let Some(config) = self.ready.pop_front() {
            if self.groups.contains_key(&config) {
                return Some(config);
            }
        }
        None
    }

    /// Is it the turn of any group?
    pub fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// All groups, in order of their configurations' numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }
}

/// Lets rounds through at a certain rate. What was not used during the last second may be used at
/// once.
#[derive(Debug)]
pub struct RateLimit {
    /// Milliseconds between rounds.
    interval: f64,
    /// When the next round may be, in milliseconds.
    next: f64,
}

/// For how long unused turns are kept, in milliseconds.
const BURST: f64 = 1000.0;

impl RateLimit {
    /// So many rounds per second, from now on.
    pub fn new(per_second: f64, now: Millis) -> RateLimit {
        RateLimit { interval: 1000.0 / per_second, next: now as f64 }
    }

    /// May there be a round? If so, it is counted.
    pub fn admit(&mut self, now: Millis) -> bool {
        let next = self.next.max(now as f64 - BURST);
        let admit = next <= now as f64;
        if admit {
            self.next = next + self.interval;
        }
        admit
    }

    /// When there may be the next round.
    pub fn next(&self) -> Millis {
        self.next.ceil() as Millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate() {
        let mut limit = RateLimit::new(40.0, 0);
        let mut rounds =
            |from: Millis, to: Millis| (from..to).filter(|now| limit.admit(*now)).count();
        assert_eq!(rounds(0, 1000), 40);
        // Two idle seconds are worth one.
        assert!((0..100).filter(|_| limit.admit(3000)).count() == 41);
        assert_eq!(limit.next(), 3025);
        assert!(!limit.admit(3024) && limit.admit(3025));
    }
}
