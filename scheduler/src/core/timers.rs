//! What happens later.
//!
//! A timer is forgotten as soon as what it is about is gone or has moved on, so that there are never
//! more of them than offers, groups and tasks that wait for something, however many came and went.

use std::collections::BTreeMap;

use super::config::ConfigNo;
use super::name::{Map, Millis, NOWHERE, TaskId, Text};

/// Something that becomes due.
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
    queue: BTreeMap<Ticket, Due>,
    offers: Map<Text, Ticket>,
    groups: Map<ConfigNo, Ticket>,
    /// Of each task the timer of its state.
    states: ByRow,
    /// Of each task the timer that repeats its kill.
    kills: Map<TaskId, Ticket>,
    count: u64,
}

/// The place of a timer: its time, and how many were set until then.
type Ticket = (Millis, u64);

/// A ticket for each row of the table of tasks, as the ids know it. Tasks are changed mostly in the
/// order in which they came, and so this is read in the order in which it lies, which a table of ids
/// would not be. The timer of a task whose row is not known is not here, and cannot be forgotten: it
/// becomes due in vain.
#[derive(Debug, Default)]
struct ByRow {
    /// Of many rows each, so that no large one has to be made anew when there are more rows.
    pages: Vec<Box<[Ticket; PAGE]>>,
}

/// Rows in a page.
const PAGE: usize = 4096;

impl ByRow {
    /// The ticket of a task, to be changed. It is [`NONE`] if there is none.
    fn of(&mut self, id: &TaskId) -> Option<&mut Ticket> {
        let row = Some(id.row()).filter(|row| *row != NOWHERE)? as usize;
        while self.pages.len() <= row / PAGE {
            self.pages.push(Box::new([NONE; PAGE]));
        }
        self.pages.get_mut(row / PAGE)?.get_mut(row % PAGE)
    }
}

/// Not the place of any timer.
const NONE: Ticket = (0, 0);

impl Due {
    /// The task that it moves on, or forgets.
    fn state_of(&self) -> Option<&TaskId> {
        match self {
            Due::Transient(watch) | Due::Throttled(watch) | Due::Partitioned(watch) => {
                Some(&watch.task)
            }
            Due::History(task) => Some(task),
            _ => None,
        }
    }
}

impl Timers {
    /// Sets a timer, in place of one of the same kind for the same offer, group or task.
    pub fn set(&mut self, at: Millis, due: Due) {
        self.count += 1;
        let ticket = (at, self.count);
        let before = match &due {
            Due::Offer(id) => self.offers.insert(id.clone(), ticket),
            Due::Group(config) => self.groups.insert(*config, ticket),
            Due::Transient(watch) | Due::Throttled(watch) | Due::Partitioned(watch) => {
                self.keep(&watch.task, ticket)
            }
            Due::History(task) => self.keep(task, ticket),
            Due::KillRetry(watch, _) => self.kills.insert(watch.task.clone(), ticket),
            Due::ReconcileExplicit | Due::ReconcileImplicit | Due::ReconcileBatch => None,
        };
        self.drop_ticket(before);
        self.queue.insert(ticket, due);
    }

    /// The next one that is due, and since when.
    pub fn pop(&mut self, now: Millis) -> Option<(Millis, Due)> {
        if self.next()? > now {
            return None;
        }
        let (ticket, due) = self.queue.pop_first()?;
        match &due {
            Due::Offer(id) => _ = self.offers.remove(id),
            Due::Group(config) => _ = self.groups.remove(config),
            Due::KillRetry(watch, _) => _ = self.kills.remove(&watch.task),
            _ => {
                let slot = due.state_of().and_then(|id| self.states.of(id));
                if let Some(slot) = slot.filter(|slot| **slot == ticket) {
                    *slot = NONE;
                }
            }
        }
        Some((ticket.0, due))
    }

    /// An offer is not held any more.
    pub fn forget_offer(&mut self, id: &Text) {
        let ticket = self.offers.remove(id);
        self.drop_ticket(ticket);
    }

    /// No offer is held any more.
    pub fn forget_offers(&mut self) {
        for (_, ticket) in std::mem::take(&mut self.offers) {
            self.queue.remove(&ticket);
        }
    }

    /// A group has no tasks any more.
    pub fn forget_group(&mut self, config: ConfigNo) {
        let ticket = self.groups.remove(&config);
        self.drop_ticket(ticket);
    }

    /// A task has left its state, or is gone.
    pub fn forget_task(&mut self, id: &TaskId) {
        let state = self.keep(id, NONE);
        let kill = self.kills.remove(id);
        self.drop_ticket(state);
        self.drop_ticket(kill);
    }

    /// Keeps the ticket of a task's state. Returns the one before, if it is the same task's: the row
    /// may have been another's.
    fn keep(&mut self, id: &TaskId, ticket: Ticket) -> Option<Ticket> {
        let before = std::mem::replace(self.states.of(id)?, ticket);
        let same = |due: &Due| due.state_of() == Some(id);
        (before != NONE && self.queue.get(&before).is_some_and(same)).then_some(before)
    }

    fn drop_ticket(&mut self, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            self.queue.remove(&ticket);
        }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Millis> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// All that are set, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Due> {
        self.queue.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(task: &str, row: u32) -> Watch {
        let task = TaskId::from(task);
        task.is_at(row);
        Watch { task, since: 0 }
    }

    #[test]
    fn in_order_of_time_and_then_of_setting() {
        let mut timers = Timers::default();
        timers.set(2, Due::Offer("late".into()));
        timers.set(1, Due::Offer("b".into()));
        timers.set(1, Due::Offer("a".into()));
        assert_eq!(timers.next(), Some(1));
        assert_eq!(timers.pop(0), None);
        assert_eq!(timers.pop(5), Some((1, Due::Offer("b".into()))));
        assert_eq!(timers.pop(5), Some((1, Due::Offer("a".into()))));
        assert_eq!(timers.pop(1), None);
        assert_eq!(timers.pop(2), Some((2, Due::Offer("late".into()))));
        assert_eq!(timers.next(), None);
    }

    /// Whatever came and went, nothing is left of it, in the queue or beside it.
    #[test]
    fn what_is_gone_has_no_timer() {
        let mut timers = Timers::default();
        let number = ConfigNo::default();
        let (t, u) = (watch("t", 0), watch("u", 5000));
        for _ in 0..3 {
            timers.set(1, Due::Offer("o".into()));
            timers.set(2, Due::Group(number));
            timers.set(3, Due::Transient(t.clone()));
            timers.set(4, Due::KillRetry(t.clone(), 7));
            // In place of the one before.
            timers.set(5, Due::History(t.task.clone()));
            timers.set(6, Due::Throttled(u.clone()));
            timers.set(7, Due::Partitioned(u.clone()));
        }
        assert_eq!(timers.queue.len(), 5);
        timers.forget_offer(&"o".into());
        timers.forget_group(number);
        timers.forget_task(&t.task);
        timers.forget_task(&u.task);
        timers.set(1, Due::Offer("p".into()));
        timers.set(1, Due::Offer("q".into()));
        timers.forget_offers();
        assert!(timers.queue.is_empty());
        timers.set(1, Due::Offer("o".into()));
        timers.set(2, Due::Group(number));
        timers.set(3, Due::Transient(t.clone()));
        timers.set(4, Due::KillRetry(t.clone(), 7));
        assert_eq!(std::iter::from_fn(|| timers.pop(9)).count(), 4);
        assert!(timers.offers.is_empty() && timers.groups.is_empty() && timers.kills.is_empty());
        assert!(timers.states.pages.iter().flat_map(|page| page.iter()).all(|t| *t == NONE));
    }

    /// A row may be used again before the timer of the task that had it is forgotten, and a task may
    /// be in no table at all.
    #[test]
    fn no_task_loses_the_timer_of_another() {
        let mut timers = Timers::default();
        let (old, new, nowhere) = (watch("old", 7), watch("new", 7), watch("n", NOWHERE));
        timers.set(1, Due::Transient(old.clone()));
        timers.set(2, Due::Transient(new.clone()));
        timers.set(3, Due::Transient(nowhere.clone()));
        timers.forget_task(&nowhere.task);
        assert_eq!(timers.pop(1), Some((1, Due::Transient(old))));
        timers.set(4, Due::History(new.task));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop(9)).map(|(at, _)| at).collect();
        assert_eq!(due, [3, 4]);
    }
}
