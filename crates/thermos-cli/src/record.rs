//! A task's record on disk: its runner stream, folded.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aurora_api::thermos::{ProcessStatus, RunnerHeader};
use thermos_runner::files;
use thermos_runner::logs;
use thermos_runner::state::Run;
use thermos_runner::users;
use thermos_runner::view::{View, ViewError};

use crate::document::LogRecord;
use crate::walk;

/// A runner stream, open for reading.
#[derive(Debug)]
pub(crate) struct Record {
    /// The stream.
    pub(crate) file: File,
    /// Where it is, for messages.
    pub(crate) path: PathBuf,
    /// Uid of its owner.
    pub(crate) owner: u32,
    /// What it says.
    pub(crate) view: Result<View, ViewError>,
}

impl Record {
    /// Reads the record of a task, without making or changing anything.
    pub(crate) fn open(root: &Path, task_id: &str) -> io::Result<Record> {
        if files::bad_file_name(task_id).is_some() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = walk::regular(root, &["checkpoints", task_id, "runner"])?;
        let path = root.join("checkpoints").join(task_id).join("runner");
        let owner = file.metadata()?.uid();
        let view = View::read(&file);
        Ok(Record { file, path, owner, view })
    }
}

/// The logs of a task that its coordinators copy, by process, run and output.
pub(crate) fn logs(root: &Path, task_id: &str, view: &View) -> Vec<LogRecord> {
    let of_process = |process: &String| {
        let name = format!("coordinator.{process}");
        // Without its stream nothing is known about it.
        let file = walk::regular(root, &["checkpoints", task_id, &name]).ok()?;
        Some((process.clone(), logs::statuses(&file)))
    };
    view.processes
        .keys()
        .filter_map(of_process)
        .flat_map(|(process, statuses)| {
            statuses.into_iter().map(move |(key, status)| LogRecord::of(&process, key, status))
        })
        .collect()
}

/// Names of users; each is looked up once.
#[derive(Debug, Default)]
pub(crate) struct Owners(HashMap<u32, String>);

impl Owners {
    /// The name of a user, or `uid:N`.
    pub(crate) fn name(&mut self, uid: u32) -> &str {
        self.0.entry(uid).or_insert_with(|| match users::by_uid(&users::System, uid) {
            Ok(Some(user)) => user.name,
            Ok(None) | Err(_) => format!("uid:{uid}"),
        })
    }
}

/// Where the logs of a task are.
pub(crate) fn log_directory(header: &RunnerHeader) -> Option<String> {
    match (&header.log_dir, &header.sandbox) {
        (Some(log_dir), _) => Some(log_dir.clone()),
        (None, Some(sandbox)) => Some(format!("{}/.logs", sandbox.trim_end_matches('/'))),
        (None, None) => None,
    }
}

/// The state of a run, by name.
pub(crate) fn state_name(run: &ProcessStatus) -> &'static str {
    state_of(run).map_or("UNKNOWN", Run::name)
}

/// The state of a run.
pub(crate) fn state_of(run: &ProcessStatus) -> Option<Run> {
    run.state.and_then(Run::from_wire)
}
