//! Exit codes: what became of the task, or why there is no answer.
//!
//! The original exits with 0 whatever became of a task. Here every outcome has its own code; 1 and 2
//! keep the meaning that they have there for `status`, `tail` and wrong command lines.

use std::fmt::Write;

use thermos_runner::error::{RunError, exit};
use thermos_runner::launch;
use thermos_runner::state::Stage;

/// An exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    /// It worked; a task that was run ended as SUCCESS.
    Success = 0,
    /// What was asked for does not exist.
    NotFound = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The task ended as FAILED.
    Failed = 3,
    /// The task ended as KILLED.
    Killed = 4,
    /// The task ended as LOST.
    Lost = 5,
    /// The task is not valid.
    InvalidTask = 6,
    /// The user to run as cannot be used.
    UnknownUser = 7,
    /// Somebody else has control of the task.
    Locked = 8,
    /// The task id is taken.
    Refused = 9,
    /// A checkpoint stream cannot be understood.
    Corrupt = 10,
    /// A task could not be killed.
    NotKilled = 11,
    /// The system refused something.
    System = 12,
}

impl Code {
    /// All codes, in order.
    pub(crate) const ALL: [Code; 13] = [
        Code::Success,
        Code::NotFound,
        Code::Usage,
        Code::Failed,
        Code::Killed,
        Code::Lost,
        Code::InvalidTask,
        Code::UnknownUser,
        Code::Locked,
        Code::Refused,
        Code::Corrupt,
        Code::NotKilled,
        Code::System,
    ];

    /// The number that the shell sees.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// One line for people.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Code::Success => "it worked; a task that was run ended as SUCCESS",
            Code::NotFound => "no such task, process or log, or not just one",
            Code::Usage => "wrong options or arguments, or a file named there cannot be read",
            Code::Failed => "the task was run and ended as FAILED",
            Code::Killed => "the task was run and ended as KILLED",
            Code::Lost => "the task was run and ended as LOST",
            Code::InvalidTask => "the file is no valid task; nothing was run",
            Code::UnknownUser => "the user to run as does not exist, or becoming it needs root",
            Code::Locked => "another runner has control of the task",
            Code::Refused => "the task id belongs to another task",
            Code::Corrupt => "a checkpoint stream cannot be understood",
            Code::NotKilled => "a task could not be killed, or did not end in time",
            Code::System => "a file could not be used, or the system refused something",
        }
    }

    /// The code for the state in which a task ended.
    pub(crate) fn of_stage(stage: Stage) -> Code {
        match stage {
            Stage::Success => Code::Success,
            Stage::Failed => Code::Failed,
            Stage::Killed => Code::Killed,
            Stage::Lost => Code::Lost,
            // The runner returns terminal states only.
            Stage::Active | Stage::Cleaning | Stage::Finalizing => Code::System,
        }
    }

    /// The code for a task that was refused before it ran.
    pub(crate) fn of_failure(failure: &launch::Failure) -> Code {
        match failure.code {
            exit::INVALID_TASK => Code::InvalidTask,
            exit::UNKNOWN_USER => Code::UnknownUser,
            exit::TERMINAL_TASK | exit::REFUSED => Code::Refused,
            // Ports that were not given are missing from the command line.
            exit::USAGE | exit::INTERNAL_ERROR => Code::Usage,
            _ => Code::System,
        }
    }

    /// The code for a task that could not be run.
    pub(crate) fn of_run_error(error: &RunError) -> Code {
        match error {
            RunError::TaskId { .. } => Code::Usage,
            RunError::Locked { .. } => Code::Locked,
            RunError::Finished { .. } | RunError::Changed { .. } => Code::Refused,
            RunError::Stream { .. } => Code::Corrupt,
            RunError::File(_) => Code::System,
        }
    }
}

/// The table for `thermos help exit-codes`.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes of thermos:\n\n");
    for code in Code::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>3}  {}", code.number(), code.meaning());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_dense() {
        let numbers: Vec<u8> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, (0..Code::ALL.len() as u8).collect::<Vec<_>>());
    }

    #[test]
    fn help_and_readme_have_the_table() {
        let (help, readme) = (help(), include_str!("../README.md"));
        for code in Code::ALL {
            let row = format!("  {:>3}  {}\n", code.number(), code.meaning());
            assert!(help.contains(&row), "{code:?}");
            let row = format!("| {} | {} |\n", code.number(), code.meaning());
            assert!(readme.contains(&row), "README.md lacks: {row}");
        }
    }

    #[test]
    fn outcomes_have_codes_of_their_own() {
        let codes: Vec<u8> = Stage::ALL
            .into_iter()
            .filter(|stage| stage.is_terminal())
            .map(|stage| Code::of_stage(stage).number())
            .collect();
        assert_eq!(codes, [0, 3, 4, 5]);
    }
}
