//! The state machine of a task, as one table.
//!
//! Source: the scheduler's documented task life cycle and `TaskStateMachine`'s tests. The table is
//! the diagram; everybody else asks it and never compares states to find out what is allowed.

use super::status::Status;

/// Where a task is, or is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not stored yet.
    Init,
    /// Stored, in this state.
    Stored(Status),
    /// Not stored any more, or never was.
    Deleted,
}

/// What became of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The task was there already.
    Noop,
    /// It was made.
    Success,
    /// It is not allowed, and nothing was done.
    Illegal,
    /// It is not allowed, but it shows that something must be killed, which was done.
    IllegalWithKill,
    /// The task was not in the state that was expected, or does not exist.
    Unexpected,
}

impl Outcome {
    /// The name in statistics.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Noop => "NOOP",
            Outcome::Success => "SUCCESS",
            Outcome::Illegal => "ILLEGAL",
            Outcome::IllegalWithKill => "ILLEGAL_WITH_SIDE_EFFECTS",
            Outcome::Unexpected => "INVALID_CAS_STATE",
        }
    }
}

/// Something to do in a transition. They are done in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Action {
    /// Count a failure.
    CountFailure,
    /// Store the new state.
    Save,
    /// Start the instance anew, as another task.
    Reschedule,
    /// Go on to LOST at once.
    GiveUp,
    /// Have Mesos kill the task.
    Kill,
    /// Forget the task.
    Delete,
}

impl Action {
    /// All actions, in order.
    pub const ALL: [Action; 6] = [
        Action::CountFailure,
        Action::Save,
        Action::Reschedule,
        Action::GiveUp,
        Action::Kill,
        Action::Delete,
    ];
}

/// What to do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Actions(u8);

impl Actions {
    /// Is it among them?
    pub fn has(self, action: Action) -> bool {
        self.0 & (1 << action as u8) != 0
    }

    /// All of them, in order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.into_iter().filter(move |action| self.has(*action))
    }

    const fn and(self, action: Action) -> Actions {
        Actions(self.0 | 1 << action as u8)
    }
}

/// What a decision depends on besides the states.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Is it a service?
    pub service: bool,
    /// Failures after which the instance is not started again; -1 is no limit.
    pub max_failures: i32,
    /// Failures until now.
    pub failures: i32,
    /// Was it ever asked to be killed?
    pub was_killing: bool,
}

/// A cell of the table: what a transition does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// Illegal.
    No,
    /// Illegal; the task is killed.
    NoKill,
    /// Legal, with these actions.
    Do(Actions),
    /// With these, and a new task if it is a service.
    Service(Actions),
    /// Counts a failure, with these and a new task if it may still fail.
    Failure(Actions),
    /// With these, and a new task unless it was being killed.
    UnlessKilling(Actions),
}

use Status::{
    Assigned, Draining, Failed, Finished, Killed, Killing, Lost, Partitioned, Pending, Preempting,
    Restarting, Running, Starting, Throttled,
};

const SAVE: Actions = Actions(0).and(Action::Save);

const __: Cell = Cell::No;
const XK: Cell = Cell::NoKill;
const S_: Cell = Cell::Do(SAVE);
const SK: Cell = Cell::Do(SAVE.and(Action::Kill));
const SR: Cell = Cell::Do(SAVE.and(Action::Reschedule));
const RK: Cell = Cell::Do(SAVE.and(Action::Reschedule).and(Action::Kill));
const SL: Cell = Cell::Do(SAVE.and(Action::GiveUp));
const SV: Cell = Cell::Service(SAVE);
const SF: Cell = Cell::Failure(SAVE.and(Action::CountFailure));
const KU: Cell = Cell::UnlessKilling(SAVE.and(Action::Kill));
const D_: Cell = Cell::Do(Actions(0).and(Action::Delete));

/// Columns: where a task is to go. Rows: where it is, in the same order, between INIT and DELETED.
///
/// | cell | legal | done |
/// |---|---|---|
/// | `__` | no | nothing |
/// | `XK` | no | kill: whatever reported this should not live |
/// | `S_` | yes | save |
/// | `SK` | yes | save, kill |
/// | `SR` | yes | save, reschedule |
/// | `RK` | yes | save, reschedule, kill |
/// | `SL` | yes | save, give up as LOST |
/// | `SV` | yes | save, reschedule if a service |
/// | `SF` | yes | count a failure, save, reschedule if it may still fail |
/// | `KU` | yes | save, kill, reschedule unless it was being killed |
/// | `D_` | yes | delete |
///
/// One cell differs from the original, where a service that finished while its agent was out of reach
/// is not started again, and so has an instance too few for good.
#[rustfmt::skip]
const TABLE: [[Cell; Status::COUNT + 1]; Status::COUNT + 2] = [
    //             THR PEN ASS STA RUN PAR PRE RES DRA KIL FIN FAI KLD LOS DEL
    /* INIT     */[S_, S_, __, __, __, __, __, __, __, __, __, __, __, __, __],
    /* THROTTLD */[__, S_, __, __, __, __, __, __, __, D_, __, __, __, __, __],
    /* PENDING  */[__, __, S_, __, __, __, __, __, __, D_, __, __, __, __, __],
    /* ASSIGNED */[__, __, __, S_, S_, __, SK, SK, SK, SK, SV, SF, SR, RK, __],
    /* STARTING */[__, __, __, __, S_, S_, SK, SK, SK, SK, SV, SF, SR, SR, __],
    /* RUNNING  */[__, __, __, __, __, S_, SK, SK, SK, SK, SV, SF, SR, SR, __],
    /* PARTITND */[__, __, S_, S_, S_, __, SL, SL, SL, SL, SV, SF, __, KU, __],
    /* PREEMPTG */[__, __, XK, XK, XK, SL, __, __, __, S_, SR, SR, SR, RK, __],
    /* RESTARTG */[__, __, XK, XK, XK, SL, __, __, __, S_, SR, SR, SR, RK, __],
    /* DRAINING */[__, __, XK, XK, XK, SL, __, __, __, S_, SR, SR, SR, RK, __],
    /* KILLING  */[__, __, XK, XK, XK, SL, __, __, __, __, S_, S_, S_, S_, D_],
    /* FINISHED */[__, __, XK, XK, XK, __, __, __, __, __, __, __, __, __, D_],
    /* FAILED   */[__, __, XK, XK, XK, __, __, __, __, __, __, __, __, __, D_],
    /* KILLED   */[__, __, XK, XK, XK, __, __, __, __, __, __, __, __, __, D_],
    /* LOST     */[__, __, XK, XK, XK, __, __, __, __, __, __, __, __, __, D_],
    /* DELETED  */[__, __, XK, XK, XK, __, __, __, __, __, __, __, __, __, __],
];

// The table's order of states is the order of their numbers.
const _: () = {
    let order = [
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
    let mut i = 0;
    while i < order.len() {
        assert!(order[i] as usize == i);
        i += 1;
    }
};

/// What a transition does.
pub fn decide(from: Phase, to: Phase, facts: Facts) -> (Outcome, Actions) {
    if from == to {
        return (Outcome::Noop, Actions(0));
    }
    let row = match from {
        Phase::Init => 0,
        Phase::Stored(status) => status as usize + 1,
        Phase::Deleted => Status::COUNT + 1,
    };
    let column = match to {
        Phase::Init => return (Outcome::Illegal, Actions(0)),
        Phase::Stored(status) => status as usize,
        Phase::Deleted => Status::COUNT,
    };
    let reschedule = |actions: Actions, condition: bool| {
        let actions = if condition { actions.and(Action::Reschedule) } else { actions };
        (Outcome::Success, actions)
    };
    match TABLE[row][column] {
        Cell::No => (Outcome::Illegal, Actions(0)),
        Cell::NoKill => (Outcome::IllegalWithKill, Actions(0).and(Action::Kill)),
        Cell::Do(actions) => (Outcome::Success, actions),
        Cell::Service(actions) => reschedule(actions, facts.service),
        Cell::Failure(actions) => {
            let may_fail =
                facts.max_failures == -1 || facts.failures < facts.max_failures.saturating_sub(1);
            reschedule(actions, facts.service || may_fail)
        }
        Cell::UnlessKilling(actions) => reschedule(actions, !facts.was_killing),
    }
}
