//! What becomes of a task, as the scheduler is told: pure tables.
//!
//! Source of the behaviour: the original executor's mapping of runner exits to Mesos states.

use thermos_runner::error::exit;
use thermos_runner::state::Stage;

/// The states that an executor reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// The launch was accepted.
    Starting,
    /// The task runs.
    Running,
    /// It ended well.
    Finished,
    /// It failed, or could not be run.
    Failed,
    /// It was killed.
    Killed,
    /// It is not known what became of it.
    Lost,
}

impl TaskState {
    /// Is nothing to be reported after this?
    pub fn is_terminal(self) -> bool {
        !matches!(self, TaskState::Starting | TaskState::Running)
    }
}

/// A state with the reason that users see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: TaskState,
    /// Why.
    pub message: String,
}

impl Status {
    /// A state with a reason.
    pub fn new(state: TaskState, message: impl Into<String>) -> Status {
        Status { state, message: message.into() }
    }
}

/// What the end of the runner says about its task. `code` is its exit code, negative for a signal;
/// `stage` is the last state in the runner stream;
/// `None`: there is no readable stream.
pub fn of_runner(code: i32, stage: Option<Stage>) -> Status {
    use TaskState::{Failed, Finished, Killed, Lost};
    if code < 0 {
        return Status::new(Killed, format!("task killed by signal {}", -code));
    }
    match code {
        exit::DONE | exit::TERMINAL_TASK => match stage {
            Some(Stage::Active) => Status::new(Lost, "runner died while the task was active"),
            Some(Stage::Success) => Status::new(Finished, "task finished"),
            Some(Stage::Failed) => Status::new(Failed, "task failed"),
            Some(Stage::Killed) => Status::new(Killed, "task killed"),
            Some(Stage::Lost) => Status::new(Lost, "task lost"),
            Some(Stage::Cleaning | Stage::Finalizing) | None => {
                Status::new(Lost, "checkpoint could not be read")
            }
        },
        exit::INTERNAL_ERROR => Status::new(Lost, "internal error"),
        exit::INVALID_TASK => Status::new(Failed, "invalid task"),
        exit::UNKNOWN_ERROR => Status::new(Lost, "unknown error"),
        exit::UNKNOWN_USER => Status::new(Failed, "unknown user"),
        // The original shows the code as a signed byte.
        other => Status::new(
            Lost,
            format!("unknown reason with exit status {}", (other & 0xff) as u8 as i8),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row() {
        use TaskState::*;
        for (code, stage, state, words) in [
            (-9, Some(Stage::Success), Killed, "signal 9"),
            (0, Some(Stage::Active), Lost, "active"),
            (0, Some(Stage::Success), Finished, "finished"),
            (105, Some(Stage::Success), Finished, "finished"),
            (0, Some(Stage::Failed), Failed, "failed"),
            (105, Some(Stage::Failed), Failed, "failed"),
            (0, Some(Stage::Killed), Killed, "killed"),
            (0, Some(Stage::Lost), Lost, "lost"),
            (0, Some(Stage::Cleaning), Lost, "checkpoint"),
            (0, Some(Stage::Finalizing), Lost, "checkpoint"),
            (0, None, Lost, "checkpoint"),
            (101, None, Lost, "internal error"),
            (102, None, Failed, "invalid task"),
            (103, None, Lost, "unknown error"),
            (104, None, Failed, "unknown user"),
            (13, None, Lost, "exit status 13"),
            (200, None, Lost, "exit status -56"),
        ] {
            let outcome = of_runner(code, stage);
            assert_eq!(outcome.state, state, "{code} {stage:?}");
            assert!(outcome.message.contains(words), "{outcome:?}");
        }
    }
}
