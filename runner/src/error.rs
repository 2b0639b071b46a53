//! Why the runner could not do its work, and with which exit code it says so.

use std::path::PathBuf;

use crate::files::FileError;

/// Exit codes of `thermos_runner`. A task that reached any terminal state is 0: what became of it is
/// in its stream (and in the exit codes of `thermos`).
pub mod exit {
    /// The task reached a terminal state.
    pub const DONE: i32 = 0;
    /// Control was not taken: the stored task differs, or the stream cannot be understood.
    pub const REFUSED: i32 = 1;
    /// Wrong flags, or a task file that cannot be read or understood.
    pub const USAGE: i32 = 2;
    /// Ports that the task refers to were not given.
    pub const INTERNAL_ERROR: i32 = 101;
    /// The task is understood, but not valid.
    pub const INVALID_TASK: i32 = 102;
    /// Another runner has control, or the files of the task cannot be used.
    pub const UNKNOWN_ERROR: i32 = 103;
    /// The user to run as does not exist, or cannot be switched to.
    pub const UNKNOWN_USER: i32 = 104;
    /// The task id belongs to a task that is over.
    pub const TERMINAL_TASK: i32 = 105;
}

/// Why a task could not be run.
#[derive(Debug)]
pub enum RunError {
    /// The task id cannot name files.
    TaskId {
        /// The id.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another runner holds the stream.
    Locked {
        /// The stream.
        stream: PathBuf,
    },
    /// The task id was used before, and its stream is gone.
    Finished {
        /// The task file that says so.
        file: PathBuf,
    },
    /// The task differs from the one that is running under this id.
    Changed {
        /// The stored task.
        file: PathBuf,
    },
    /// The stream holds something that cannot be understood.
    Stream {
        /// The stream.
        stream: PathBuf,
        /// What and where.
        reason: String,
    },
    /// A file could not be used.
    File(FileError),
}

impl RunError {
    /// The exit code for this error.
    pub fn exit_code(&self) -> i32 {
        match self {
            RunError::TaskId { .. } => exit::USAGE,
            RunError::Finished { .. } => exit::TERMINAL_TASK,
            RunError::Changed { .. } | RunError::Stream { .. } => exit::REFUSED,
            RunError::Locked { .. } | RunError::File(_) => exit::UNKNOWN_ERROR,
        }
    }
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RunError::TaskId { id, why } => write!(
                f,
                "task id {id:?} cannot name a directory: {why}; choose another with --task_id"
            ),
            RunError::Locked { stream } => write!(
                f,
                "another runner has control of {}; wait for its end, or end it with SIGUSR1",
                stream.display()
            ),
            RunError::Finished { file } => write!(
                f,
                "a task with this id is over: {} exists; choose another id with --task_id",
                file.display()
            ),
            RunError::Changed { file } => write!(
                f,
                "the task differs from {}, which was started under this id; its processes are left \
                 alone. Start the runner with that task, or choose another id with --task_id",
                file.display()
            ),
            RunError::Stream { stream, reason } => write!(
                f,
                "cannot take over the task: {}: {reason}. Its processes are left alone; \
                 `thermos kill` ends them",
                stream.display()
            ),
            RunError::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RunError {}

impl From<FileError> for RunError {
    fn from(error: FileError) -> Self {
        RunError::File(error)
    }
}
