//! What happens later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::config::ConfigNo;
use super::name::{Millis, TaskId, Text};

/// Something that becomes due. Nothing is ever cancelled: who is told looks whether it still
/// matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// An offer was held long enough.
    Offer(Text),
    /// It is the turn of a group.
    Group(ConfigNo),
    /// A task may not stay in its state any longer.
    Transient(Watch),
    /// A task may not have heard that it is to end; the last delay.
    KillRetry(Watch, Millis),
    /// A task has waited out its penalty.
    Throttled(Watch),
    /// A task's agent was away for too long.
    Partitioned(Watch),
    /// A task has been over for long enough to be forgotten.
    History(TaskId),
    /// It is time to ask Mesos about the tasks that should run.
    ReconcileExplicit,
    /// It is time to ask Mesos about the tasks that it knows.
    ReconcileImplicit,
    /// Mesos can be asked about the next tasks.
    ReconcileBatch,
}

/// A task and the moment when it entered the state that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The task.
    pub task: TaskId,
    /// When it entered the state.
    pub since: Millis,
}

/// Everything that is to happen later, in order of time; at equal times, in the order it was set.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    at: Millis,
    number: u64,
    due: Due,
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, at: Millis, due: Due) {
        self.count += 1;
        self.heap.push(Reverse(Entry { at, number: self.count, due }));
    }

    /// The next one that is due, and since when.
    pub fn pop(&mut self, now: Millis) -> Option<(Millis, Due)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.due))
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Millis> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// All that are set, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Due> {
        self.heap.iter().map(|Reverse(entry)| &entry.due)
    }
}
