//! The JSON that `status` and `read` print. SCHEMA.md documents every member; both change together.

use std::collections::BTreeMap;

use aurora_api::thermos::{LogStatus, ProcessStatus};
use serde::Serialize;
use thermos_runner::state::Stage;
use thermos_runner::view::View;

use crate::record::{log_directory, state_name};
use crate::time::millis;

/// Version of the schema: goes up when a member is removed or changes its meaning.
pub(crate) const VERSION: u32 = 1;

/// What `status --json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct StatusDocument {
    /// [`VERSION`].
    pub(crate) schema: u32,
    /// Matching tasks, by id.
    pub(crate) tasks: Vec<ListedTask>,
}

/// A task among others.
#[derive(Debug, Serialize)]
pub(crate) struct ListedTask {
    /// Its id.
    pub(crate) task_id: String,
    /// Its checkpoint root.
    pub(crate) root: String,
    /// Its task file has been moved to the finished ones.
    pub(crate) finished: bool,
    /// Who owns its stream.
    pub(crate) owner: Option<String>,
    /// Why its stream cannot be shown.
    pub(crate) error: Option<String>,
    /// Logs that its coordinators copy.
    pub(crate) logs: Vec<LogRecord>,
    /// What its stream says.
    #[serde(flatten)]
    pub(crate) task: Option<TaskRecord>,
}

/// One output of one run, as far as it was copied.
#[derive(Debug, Serialize)]
pub(crate) struct LogRecord {
    /// Name of the process.
    pub(crate) process: String,
    /// Number of the run.
    pub(crate) run: i32,
    /// `stdout` or `stderr`.
    pub(crate) output: String,
    /// When this was so.
    pub(crate) time_ms: Option<i64>,
    /// Bytes read from the process.
    pub(crate) received: i64,
    /// Of these, in no file.
    pub(crate) dropped: i64,
    /// Why.
    pub(crate) reason: Option<String>,
    /// Bytes that did not reach the console.
    pub(crate) console_dropped: Option<i64>,
    /// Why.
    pub(crate) console_reason: Option<String>,
}

impl LogRecord {
    /// What a record says.
    pub(crate) fn of(process: &str, (run, output): (i32, String), status: LogStatus) -> LogRecord {
        LogRecord {
            process: process.to_owned(),
            run,
            output,
            time_ms: status.time.map(|time| millis(time.0)),
            received: status.received.unwrap_or_default(),
            dropped: status.dropped.unwrap_or_default(),
            reason: status.reason,
            console_dropped: status.console_dropped,
            console_reason: status.console_reason,
        }
    }
}

/// What `read --json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct ReadDocument {
    /// [`VERSION`].
    pub(crate) schema: u32,
    /// The file that was read.
    pub(crate) file: String,
    /// What it says.
    #[serde(flatten)]
    pub(crate) task: TaskRecord,
}

/// A runner stream.
#[derive(Debug, Serialize)]
pub(crate) struct TaskRecord {
    /// Current state.
    pub(crate) state: Option<&'static str>,
    /// What does not change.
    pub(crate) header: Option<Header>,
    /// History of states.
    pub(crate) states: Vec<State>,
    /// Processes, by name.
    pub(crate) processes: Vec<Process>,
    /// Bytes of a torn last record.
    pub(crate) torn_bytes: u64,
}

/// What does not change over the life of a task.
#[derive(Debug, Serialize)]
pub(crate) struct Header {
    /// Task id.
    pub(crate) task_id: Option<String>,
    /// Launch time.
    pub(crate) launch_time_ms: Option<i64>,
    /// Host.
    pub(crate) hostname: Option<String>,
    /// User.
    pub(crate) user: Option<String>,
    /// Uid of that user.
    pub(crate) uid: Option<i32>,
    /// Sandbox.
    pub(crate) sandbox: Option<String>,
    /// Logs.
    pub(crate) log_dir: Option<String>,
    /// Ports by name.
    pub(crate) ports: BTreeMap<String, i64>,
}

/// One entry of the history.
#[derive(Debug, Serialize)]
pub(crate) struct State {
    /// The state.
    pub(crate) state: &'static str,
    /// When it was entered.
    pub(crate) timestamp_ms: Option<i64>,
    /// Pid of the runner.
    pub(crate) runner_pid: Option<i32>,
    /// Uid of the runner.
    pub(crate) runner_uid: Option<i32>,
}

/// A process.
#[derive(Debug, Serialize)]
pub(crate) struct Process {
    /// Its name.
    pub(crate) name: String,
    /// Its runs, oldest first.
    pub(crate) runs: Vec<RunRecord>,
}

/// One run of a process.
#[derive(Debug, Serialize)]
pub(crate) struct RunRecord {
    /// Its number, from 0.
    pub(crate) run: usize,
    /// Its state.
    pub(crate) state: &'static str,
    /// Pid of the process.
    pub(crate) pid: Option<i32>,
    /// Pid of its coordinator.
    pub(crate) coordinator_pid: Option<i32>,
    /// Exit code, or the signal number negated.
    pub(crate) return_code: Option<i32>,
    /// When its coordinator was forked.
    pub(crate) fork_time_ms: Option<i64>,
    /// When it started.
    pub(crate) start_time_ms: Option<i64>,
    /// When it ended.
    pub(crate) stop_time_ms: Option<i64>,
    /// Why it could not be launched or was lost.
    pub(crate) reason: Option<String>,
}

impl TaskRecord {
    /// What a folded stream says.
    pub(crate) fn of(view: &View) -> TaskRecord {
        TaskRecord {
            state: view.stage().map(Stage::name),
            header: view.header.as_ref().map(|header| Header {
                task_id: header.task_id.clone(),
                launch_time_ms: header.launch_time_ms,
                hostname: header.hostname.clone(),
                user: header.user.clone(),
                uid: header.uid,
                sandbox: header.sandbox.clone(),
                log_dir: log_directory(header),
                ports: header.ports.clone().unwrap_or_default().into_iter().collect(),
            }),
            states: view
                .statuses
                .iter()
                .map(|status| State {
                    state: status.state.and_then(Stage::from_wire).map_or("UNKNOWN", Stage::name),
                    timestamp_ms: status.timestamp_ms,
                    runner_pid: status.runner_pid,
                    runner_uid: status.runner_uid,
                })
                .collect(),
            processes: view
                .processes
                .iter()
                .map(|(name, runs)| Process {
                    name: name.clone(),
                    runs: runs.iter().enumerate().map(|(i, run)| RunRecord::of(i, run)).collect(),
                })
                .collect(),
            torn_bytes: view.torn,
        }
    }
}

impl RunRecord {
    fn of(number: usize, run: &ProcessStatus) -> RunRecord {
        RunRecord {
            run: number,
            state: state_name(run),
            pid: run.pid,
            coordinator_pid: run.coordinator_pid,
            return_code: run.return_code,
            fork_time_ms: run.fork_time.map(|time| millis(time.0)),
            start_time_ms: run.start_time.map(|time| millis(time.0)),
            stop_time_ms: run.stop_time.map(|time| millis(time.0)),
            reason: run.reason.clone(),
        }
    }
}
