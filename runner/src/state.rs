//! The two state machines of a task, as tables.
//!
//! Source of the behaviour: Thermos internal interface definition (`ProcessState`, `TaskState`) and
//! the checkpoint dispatcher's documented diagrams. The diagram of each machine is the table itself;
//! everything else in the runner asks these tables and never compares states on its own.

use aurora_api::thermos::{ProcessState, TaskState};

/// The state of one process run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Run {
    /// Picked by the plan; nothing is forked yet.
    Waiting,
    /// The coordinator is forked; bash is not started yet.
    Forked,
    /// Bash is started.
    Running,
    /// Bash ended with 0.
    Success,
    /// Bash ended with something else, or could not be started.
    Failed,
    /// Bash died from a signal, or Thermos killed the run.
    Killed,
    /// The coordinator disappeared without saying how the run ended.
    Lost,
}

/// Every legal transition of a process run. `None` is a run that does not exist yet.
///
/// | from    | to                                        |
/// |---------|-------------------------------------------|
/// | (none)  | WAITING                                   |
/// | WAITING | FORKED, FAILED                            |
/// | FORKED  | RUNNING, KILLED, LOST                     |
/// | RUNNING | SUCCESS, FAILED, KILLED, LOST             |
pub const RUN_TRANSITIONS: &[(Option<Run>, Run)] = &[
    (None, Run::Waiting),
    (Some(Run::Waiting), Run::Forked),
    (Some(Run::Waiting), Run::Failed),
    (Some(Run::Forked), Run::Running),
    (Some(Run::Forked), Run::Killed),
    (Some(Run::Forked), Run::Lost),
    (Some(Run::Running), Run::Success),
    (Some(Run::Running), Run::Failed),
    (Some(Run::Running), Run::Killed),
    (Some(Run::Running), Run::Lost),
];

impl Run {
    /// All states, in the order of their numbers on the wire.
    pub const ALL: [Run; 7] = [
        Run::Waiting,
        Run::Forked,
        Run::Running,
        Run::Success,
        Run::Killed,
        Run::Failed,
        Run::Lost,
    ];

    /// The state that a record names; `None` for a number that this version does not know.
    pub fn from_wire(state: ProcessState) -> Option<Run> {
        Run::ALL.into_iter().find(|run| run.wire() == state)
    }

    /// The number of this state in a record.
    pub fn wire(self) -> ProcessState {
        match self {
            Run::Waiting => ProcessState::WAITING,
            Run::Forked => ProcessState::FORKED,
            Run::Running => ProcessState::RUNNING,
            Run::Success => ProcessState::SUCCESS,
            Run::Failed => ProcessState::FAILED,
            Run::Killed => ProcessState::KILLED,
            Run::Lost => ProcessState::LOST,
        }
    }

    /// Has the run ended?
    pub fn is_terminal(self) -> bool {
        matches!(self, Run::Success | Run::Failed | Run::Killed | Run::Lost)
    }

    /// Does a coordinator exist, or might one?
    pub fn is_forked(self) -> bool {
        matches!(self, Run::Forked | Run::Running)
    }

    /// May a run in state `from` go to `self`? A terminal run is followed by a new one.
    pub fn may_follow(self, from: Option<Run>) -> bool {
        let from = from.filter(|run| !run.is_terminal());
        RUN_TRANSITIONS.contains(&(from, self))
    }

    /// The state's name as checkpoints and users know it.
    pub fn name(self) -> &'static str {
        match self {
            Run::Waiting => "WAITING",
            Run::Forked => "FORKED",
            Run::Running => "RUNNING",
            Run::Success => "SUCCESS",
            Run::Failed => "FAILED",
            Run::Killed => "KILLED",
            Run::Lost => "LOST",
        }
    }
}

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The regular plan is executed.
    Active,
    /// The regular plan is over; what is left was told to end.
    Cleaning,
    /// The finalizing plan is executed.
    Finalizing,
    /// The regular plan ended healthy.
    Success,
    /// The regular plan failed.
    Failed,
    /// The task was killed.
    Killed,
    /// The task was given up.
    Lost,
}

/// Every legal transition of a task.
///
/// | from       | to                                              |
/// |------------|-------------------------------------------------|
/// | (none)     | ACTIVE                                          |
/// | ACTIVE     | CLEANING, KILLED, LOST (the last two by `thermos kill`) |
/// | CLEANING   | FINALIZING, SUCCESS, FAILED, KILLED, LOST       |
/// | FINALIZING | SUCCESS, FAILED, KILLED, LOST                   |
pub const STAGE_TRANSITIONS: &[(Option<Stage>, Stage)] = &[
    (None, Stage::Active),
    (Some(Stage::Active), Stage::Cleaning),
    (Some(Stage::Active), Stage::Killed),
    (Some(Stage::Active), Stage::Lost),
    (Some(Stage::Cleaning), Stage::Finalizing),
    (Some(Stage::Cleaning), Stage::Success),
    (Some(Stage::Cleaning), Stage::Failed),
    (Some(Stage::Cleaning), Stage::Killed),
    (Some(Stage::Cleaning), Stage::Lost),
    (Some(Stage::Finalizing), Stage::Success),
    (Some(Stage::Finalizing), Stage::Failed),
    (Some(Stage::Finalizing), Stage::Killed),
    (Some(Stage::Finalizing), Stage::Lost),
];

impl Stage {
    /// All states, in the order of their numbers on the wire.
    pub const ALL: [Stage; 7] = [
        Stage::Active,
        Stage::Success,
        Stage::Failed,
        Stage::Killed,
        Stage::Lost,
        Stage::Cleaning,
        Stage::Finalizing,
    ];

    /// The state that a record names; `None` for a number that this version does not know.
    pub fn from_wire(state: TaskState) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| stage.wire() == state)
    }

    /// The number of this state in a record.
    pub fn wire(self) -> TaskState {
        match self {
            Stage::Active => TaskState::ACTIVE,
            Stage::Cleaning => TaskState::CLEANING,
            Stage::Finalizing => TaskState::FINALIZING,
            Stage::Success => TaskState::SUCCESS,
            Stage::Failed => TaskState::FAILED,
            Stage::Killed => TaskState::KILLED,
            Stage::Lost => TaskState::LOST,
        }
    }

    /// Is the task over?
    pub fn is_terminal(self) -> bool {
        matches!(self, Stage::Success | Stage::Failed | Stage::Killed | Stage::Lost)
    }

    /// May a task in state `from` go to `self`? Repeating a state that is not terminal is how a
    /// runner announces that it has taken control, and always legal.
    pub fn may_follow(self, from: Option<Stage>) -> bool {
        (from == Some(self) && !self.is_terminal()) || STAGE_TRANSITIONS.contains(&(from, self))
    }

    /// The state's name as checkpoints and users know it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Active => "ACTIVE",
            Stage::Cleaning => "CLEANING",
            Stage::Finalizing => "FINALIZING",
            Stage::Success => "SUCCESS",
            Stage::Failed => "FAILED",
            Stage::Killed => "KILLED",
            Stage::Lost => "LOST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_table_is_what_the_original_reader_accepts() {
        // A reader of the original refuses everything else. WAITING => FAILED is what the original's
        // own runner writes when a launch fails before the fork.
        for from in [None].into_iter().chain(Run::ALL.map(Some)) {
            for to in Run::ALL {
                let expected = match (from, to) {
                    (None | Some(Run::Success | Run::Failed | Run::Killed | Run::Lost), to) => {
                        to == Run::Waiting
                    }
                    (Some(Run::Waiting), to) => matches!(to, Run::Forked | Run::Failed),
                    (Some(Run::Forked), to) => matches!(to, Run::Running | Run::Killed | Run::Lost),
                    (Some(Run::Running), to) => to.is_terminal(),
                };
                assert_eq!(to.may_follow(from), expected, "{from:?} => {to:?}");
            }
        }
    }

    #[test]
    fn terminal_stages_have_no_way_out() {
        for from in Stage::ALL.into_iter().filter(|stage| stage.is_terminal()) {
            for to in Stage::ALL {
                assert!(!to.may_follow(Some(from)), "{from:?} => {to:?}");
            }
        }
        assert!(Stage::Cleaning.may_follow(Some(Stage::Cleaning)));
        assert!(!Stage::Finalizing.may_follow(Some(Stage::Active)));
        assert!(!Stage::Success.may_follow(Some(Stage::Active)));
    }

    #[test]
    fn wire_numbers() {
        assert_eq!(Run::ALL.map(|run| run.wire().0), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(Stage::ALL.map(|stage| stage.wire().0), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(Run::from_wire(ProcessState(7)), None);
        assert_eq!(Stage::from_wire(TaskState(-1)), None);
        for run in Run::ALL {
            assert_eq!(Run::from_wire(run.wire()), Some(run));
            assert_eq!(run.wire().name(), Some(run.name()));
        }
        for stage in Stage::ALL {
            assert_eq!(Stage::from_wire(stage.wire()), Some(stage));
            assert_eq!(stage.wire().name(), Some(stage.name()));
        }
    }
}
