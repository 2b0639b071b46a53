//! States of a task, and sets of them.
//!
//! Source: scheduler's interface (`ScheduleStatus` and the constants beside it).

use std::fmt;

/// State of a stored task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Status {
    /// Waits because it ended too often too soon.
    Throttled,
    /// Waits for a place.
    Pending,
    /// Has a place; nothing was heard from there yet.
    Assigned,
    /// The executor prepares it.
    Starting,
    /// Runs.
    Running,
    /// Its agent cannot be reached.
    Partitioned,
    /// Being killed to make room for another task.
    Preempting,
    /// Being killed to be started again.
    Restarting,
    /// Being killed because its host is under maintenance.
    Draining,
    /// Being killed on request.
    Killing,
    /// Ended well. Terminal.
    Finished,
    /// Ended badly. Terminal.
    Failed,
    /// Killed. Terminal.
    Killed,
    /// Its end was not seen. Terminal.
    Lost,
}

use Status::{
    Assigned, Draining, Failed, Finished, Killed, Killing, Lost, Partitioned, Pending, Preempting,
    Restarting, Running, Starting, Throttled,
};

impl Status {
    /// How many there are.
    pub const COUNT: usize = 14;

    /// All of them, in the order of their numbers.
    pub const ALL: [Status; Status::COUNT] = [
        Throttled,
        Pending,
        Assigned,
        Starting,
        Running,
        Partitioned,
        Preempting,
        Restarting,
        Draining,
        Killing,
        Finished,
        Failed,
        Killed,
        Lost,
    ];

    /// The name on the wire and for people.
    pub fn name(self) -> &'static str {
        match self {
            Throttled => "THROTTLED",
            Pending => "PENDING",
            Assigned => "ASSIGNED",
            Starting => "STARTING",
            Running => "RUNNING",
            Partitioned => "PARTITIONED",
            Preempting => "PREEMPTING",
            Restarting => "RESTARTING",
            Draining => "DRAINING",
            Killing => "KILLING",
            Finished => "FINISHED",
            Failed => "FAILED",
            Killed => "KILLED",
            Lost => "LOST",
        }
    }

    /// What a state of Mesos (`TaskState`, by its number) means here; `None` for a number that
    /// Mesos does not define.
    ///
    /// Of a task that Mesos is killing nothing more is expected, so that it counts as killed.
    pub fn of_mesos(state: i32) -> Option<Status> {
        Some(match state {
            // TASK_STARTING, TASK_STAGING
            0 | 6 => Starting,
            1 => Running,
            2 => Finished,
            3 => Failed,
            // TASK_KILLED, TASK_KILLING
            4 | 8 => Killed,
            // TASK_LOST, TASK_ERROR, TASK_DROPPED, TASK_GONE, TASK_GONE_BY_OPERATOR
            5 | 7 | 9 | 11 | 12 => Lost,
            // TASK_UNREACHABLE, TASK_UNKNOWN
            10 | 13 => Partitioned,
            _ => return None,
        })
    }

    /// Has the task ended?
    pub fn is_terminal(self) -> bool {
        TERMINAL.has(self)
    }

    /// Does the task count as an instance of its job?
    pub fn is_active(self) -> bool {
        ACTIVE.has(self)
    }

    /// Has the task a place that it still holds?
    pub fn is_placed(self) -> bool {
        PLACED.has(self)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of states.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct StatusSet(u16);

impl StatusSet {
    /// The set of these.
    pub const fn of(statuses: &[Status]) -> StatusSet {
        let (mut bits, mut i) = (0, 0);
        while i < statuses.len() {
            bits |= 1 << statuses[i] as u16;
            i += 1;
        }
        StatusSet(bits)
    }

    /// Is it one of them?
    pub const fn has(self, status: Status) -> bool {
        self.0 & (1 << status as u16) != 0
    }

    /// Is it the empty set?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The states that are in both.
    pub const fn both(self, other: StatusSet) -> StatusSet {
        StatusSet(self.0 & other.0)
    }

    /// Its members, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Status> {
        Status::ALL.into_iter().filter(move |status| self.has(*status))
    }
}

impl FromIterator<Status> for StatusSet {
    fn from_iter<T: IntoIterator<Item = Status>>(statuses: T) -> StatusSet {
        statuses.into_iter().fold(StatusSet(0), |set, s| StatusSet(set.0 | (1 << s as u16)))
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Of a task that counts as an instance of its job.
pub const ACTIVE: StatusSet = StatusSet::of(&[
    Throttled,
    Pending,
    Assigned,
    Starting,
    Running,
    Partitioned,
    Preempting,
    Restarting,
    Draining,
    Killing,
]);

/// Of a task that has a place and still holds it.
pub const PLACED: StatusSet = StatusSet::of(&[
    Assigned,
    Starting,
    Running,
    Partitioned,
    Preempting,
    Restarting,
    Draining,
    Killing,
]);

/// Of a task that has ended.
pub const TERMINAL: StatusSet = StatusSet::of(&[Finished, Failed, Killed, Lost]);

/// Of a task that must not stay in it for long.
///
/// STARTING is not among them: an executor may take its time to fetch what it needs.
pub const TRANSIENT: StatusSet =
    StatusSet::of(&[Assigned, Preempting, Restarting, Draining, Killing]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        assert_eq!(ACTIVE.iter().count() + TERMINAL.iter().count(), Status::COUNT);
        assert!(ACTIVE.both(TERMINAL).is_empty());
        assert_eq!(PLACED.both(ACTIVE), PLACED);
        for (number, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, number);
        }
    }

    #[test]
    fn states_of_mesos() {
        let names = [
            "STARTING",
            "RUNNING",
            "FINISHED",
            "FAILED",
            "KILLED",
            "LOST",
            "STARTING",
            "LOST",
            "KILLED",
            "LOST",
            "PARTITIONED",
            "LOST",
            "LOST",
            "PARTITIONED",
        ];
        for (number, name) in names.into_iter().enumerate() {
            assert_eq!(Status::of_mesos(number as i32).map(Status::name), Some(name), "{number}");
        }
        assert_eq!(Status::of_mesos(14), None);
        assert_eq!(Status::of_mesos(-1), None);
    }
}
