//! What a stream says about a task, folded for readers: command line, observer, executor.

use std::collections::BTreeMap;
use std::fs::File;

use aurora_api::thermos::{ProcessStatus, RunnerCkpt, RunnerHeader, TaskStatus};

use crate::state::{Run, Stage};
use crate::stream::{Next, Reader, Source, StreamError};

/// A task as its runner stream tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Absent in a stream whose runner died at once.
    pub header: Option<RunnerHeader>,
    /// History of the task's states; the last is current. Repeats mark take-overs.
    pub statuses: Vec<TaskStatus>,
    /// Per process one folded status per run, oldest first. Failed runs have their return code and
    /// end, which the original's readers lose.
    pub processes: BTreeMap<String, Vec<ProcessStatus>>,
    /// Bytes of a torn last record.
    pub torn: u64,
}

/// A stream that is not one of a runner.
#[derive(Debug)]
pub enum ViewError {
    /// The stream itself is broken.
    Stream(StreamError),
    /// A record does not fit what came before.
    Misfit {
        /// Where the record starts, in bytes from the start of the stream.
        offset: u64,
        /// What does not fit.
        reason: String,
    },
}

impl std::fmt::Display for ViewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ViewError::Stream(error) => error.fmt(f),
            ViewError::Misfit { offset, reason } => {
                write!(f, "record at byte {offset}: {reason}")
            }
        }
    }
}

impl std::error::Error for ViewError {}

impl View {
    /// Reads a whole runner stream. A torn last record is no error.
    pub fn read(file: &File) -> Result<View, ViewError> {
        View::read_from(file)
    }

    /// Reads a whole runner stream from anywhere.
    pub fn read_from(source: &impl Source) -> Result<View, ViewError> {
        let mut reader = Reader::new();
        let mut view = View::default();
        loop {
            let offset = reader.offset();
            match reader.next(source).map_err(ViewError::Stream)? {
                Next::Record(record) => {
                    view.add(record).map_err(|reason| ViewError::Misfit { offset, reason })?;
                }
                Next::End => return Ok(view),
                Next::Torn(n) => {
                    view.torn = n;
                    return Ok(view);
                }
            }
        }
    }

    /// Folds one record in.
    pub fn add(&mut self, record: RunnerCkpt) -> Result<(), String> {
        match record {
            RunnerCkpt::RunnerHeader(_) if self.header.is_some() => {
                return Err("a second header in one stream".to_owned());
            }
            RunnerCkpt::RunnerHeader(header) => self.header = Some(header),
            RunnerCkpt::TaskStatus(status) => self.statuses.push(status),
            RunnerCkpt::ProcessStatus(status) => return self.add_process(status),
            RunnerCkpt::LogStatus(_) | RunnerCkpt::Unknown(..) => {}
        }
        Ok(())
    }

    fn add_process(&mut self, status: ProcessStatus) -> Result<(), String> {
        let name = status.process.clone().ok_or("a process record without a name")?;
        let run = status
            .state
            .and_then(Run::from_wire)
            .ok_or_else(|| format!("process {name:?}: a record without a known state"))?;
        let runs = self.processes.get_mut(&name);
        let last = runs.as_ref().and_then(|runs| runs.last());
        let before = last.and_then(|last| last.state).and_then(Run::from_wire);
        if let (Some(last), Some(seq)) = (last.and_then(|last| last.seq), status.seq)
            && last.checked_add(1) != Some(seq)
        {
            return Err(format!("process {name:?}: sequence number {seq} after {last}"));
        }
        if !run.may_follow(before) {
            let hint = if before.is_none() { " (is this a coordinator's stream?)" } else { "" };
            let before = before.map_or("the start", Run::name);
            return Err(format!(
                "process {name:?}: invalid transition from {before} to {}{hint}",
                run.name()
            ));
        }
        match runs {
            Some(runs) if run != Run::Waiting => {
                if let Some(last) = runs.last_mut() {
                    fold(last, status);
                }
            }
            Some(runs) => runs.push(status),
            None => drop(self.processes.insert(name, vec![status])),
        }
        Ok(())
    }

    /// The task's state; `None` for an empty stream.
    pub fn stage(&self) -> Option<Stage> {
        self.statuses.last()?.state.and_then(Stage::from_wire)
    }

    /// The boot id that the last runner recorded.
    pub fn boot_id(&self) -> Option<&str> {
        self.statuses.iter().rev().find_map(|status| status.boot_id.as_deref())
    }

    /// The last run of each process that has not ended.
    pub fn live(&self) -> impl Iterator<Item = (&str, &ProcessStatus)> {
        self.processes.iter().filter_map(|(name, runs)| {
            let last = runs.last()?;
            let run = last.state.and_then(Run::from_wire)?;
            (!run.is_terminal()).then_some((name.as_str(), last))
        })
    }
}

/// Adds what a record says to what is known about its run.
fn fold(status: &mut ProcessStatus, update: ProcessStatus) {
    macro_rules! take {
        ($($field:ident)*) => { $(if update.$field.is_some() { status.$field = update.$field; })* };
    }
    take!(seq state start_time pid stop_time return_code coordinator_pid fork_time);
    take!(coordinator_start_ticks start_ticks);
    if update.reason.is_some() {
        status.reason = update.reason;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_api::thermos::ProcessState;

    fn record(seq: i64, state: ProcessState) -> RunnerCkpt {
        RunnerCkpt::ProcessStatus(ProcessStatus {
            seq: Some(seq),
            process: Some("a".to_owned()),
            state: Some(state),
            ..ProcessStatus::default()
        })
    }

    #[test]
    fn a_failed_run_keeps_its_code_and_end() {
        let mut view = View::default();
        view.add(record(0, ProcessState::WAITING)).unwrap();
        view.add(record(1, ProcessState::FORKED)).unwrap();
        view.add(record(2, ProcessState::RUNNING)).unwrap();
        let mut failed = record(3, ProcessState::FAILED);
        if let RunnerCkpt::ProcessStatus(status) = &mut failed {
            status.return_code = Some(3);
        }
        view.add(failed).unwrap();
        assert_eq!(view.processes["a"][0].return_code, Some(3));
        assert_eq!(view.live().count(), 0);
        view.add(record(4, ProcessState::WAITING)).unwrap();
        assert_eq!(view.processes["a"].len(), 2);
    }

    #[test]
    fn gaps_repeats_and_the_last_number_of_all_are_refused() {
        for (first, second) in [(0, 2), (0, 0), (i64::MAX, i64::MIN), (i64::MAX, i64::MAX)] {
            let mut view = View::default();
            view.add(record(first, ProcessState::WAITING)).unwrap();
            view.add(record(second, ProcessState::FORKED)).unwrap_err();
        }
        let error = View::default().add(record(1, ProcessState::FORKED)).unwrap_err();
        assert!(error.contains("coordinator's stream"), "{error}");
    }
}
