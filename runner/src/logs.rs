//! Logs: where the output of processes goes, how it is cut into files, and what became of each byte.
//!
//! In mode `standard`, destination `file`, a process writes into its files itself, and nothing here is
//! involved. With `mode: rotate` or `destination: both` its coordinator copies, from two pipes:
//!
//! ```text
//!              pipe                                    .logs/PROCESS/RUN/stdout, .1, .2 ...
//!  process ----------> buffer --> Rotation, Account -->
//!                         |                            runner's own stdout (destination: both)
//!                         +----> Patience ------------>
//! ```
//!
//! * [`rotation`], [`account`], [`patience`], [`pace`] and [`backlog`] decide, without IO.
//! * `files` names, opens and moves files, relative to directories and never through links; `relay`
//!   is the loop. Both run in the coordinator, with the rights of the task's user and without heap.
//! * [`gzip`] makes and reads compressed files. They are made by short-lived children of the
//!   coordinator, one at a time.
//! * [`follow`] reads a log while it is written and rotated.
//!
//! What the original does: files may overshoot their limit by a chunk of 64 KiB, a full disk ends its
//! coordinator, and a run lasts until nobody holds the pipes any more.

use std::collections::BTreeMap;

use aurora_api::thermos::{LogStatus, RunnerCkpt};
use aurora_schema::task::{Logger, LoggerDestination, LoggerMode};

use crate::stream::{Next, Reader, Source};

pub mod account;
pub mod backlog;
pub(crate) mod files;
pub mod follow;
pub mod gzip;
pub mod pace;
pub mod patience;
pub(crate) mod relay;
pub mod rotation;

/// Microseconds on a clock that does not go back.
pub type Micros = i64;

/// The size of a file before it is rotated, in bytes, if nothing else is said.
pub const DEFAULT_LOG_SIZE: i64 = 100 << 20;

/// The rotated files that are kept, if nothing else is said.
pub const DEFAULT_BACKUPS: i64 = 5;

/// What a process without a logger of its own gets, if nothing else is said.
pub const DEFAULT_LOGGER: Logger =
    Logger { destination: LoggerDestination::File, mode: LoggerMode::Standard, rotate: None };

/// One of the two outputs of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Output {
    /// Both.
    pub const ALL: [Output; 2] = [Output::Stdout, Output::Stderr];

    /// The name of the log file, and of the output in records.
    pub fn name(self) -> &'static str {
        match self {
            Output::Stdout => "stdout",
            Output::Stderr => "stderr",
        }
    }
}

/// How far the outputs of a process were copied, as the stream of its coordinators says: the last word
/// on each output of each run. A stream that ends in the middle, or in nonsense, says what it says
/// before that.
pub fn statuses(stream: &impl Source) -> BTreeMap<(i32, String), LogStatus> {
    let (mut reader, mut last) = (Reader::new(), BTreeMap::new());
    while let Ok(Next::Record(record)) = reader.next(stream) {
        if let RunnerCkpt::LogStatus(status) = record
            && let (Some(run), Some(output)) = (status.run, status.output.clone())
        {
            last.insert((run, output), status);
        }
    }
    last
}

/// When log files are rotated, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest size of a file, in bytes; at least 1.
    pub size: u64,
    /// Rotated files that are kept; at least 1.
    pub backups: u32,
    /// Rotated files are compressed.
    pub compress: bool,
}

/// How output reaches where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The process writes to its log files.
    File,
    /// The process writes to the runner's own output and error.
    Console,
    /// The process writes to `/dev/null`.
    Discard,
    /// The coordinator copies.
    Copy {
        /// Also to the runner's own output and error.
        console: bool,
        /// `None`: one file, which grows.
        limits: Option<Limits>,
    },
}

impl Way {
    /// The way of a logger. Sizes and numbers below 1 are errors that name the field.
    pub fn of(logger: &Logger) -> Result<Way, String> {
        let console = match logger.destination {
            LoggerDestination::Console => return Ok(Way::Console),
            LoggerDestination::None => return Ok(Way::Discard),
            LoggerDestination::File => false,
            LoggerDestination::Both => true,
        };
        if logger.mode == LoggerMode::Standard {
            return Ok(if console { Way::Copy { console, limits: None } } else { Way::File });
        }
        let (size, backups) = match logger.rotate {
            Some(policy) => (policy.log_size, policy.backups),
            None => (DEFAULT_LOG_SIZE, DEFAULT_BACKUPS),
        };
        let least_1 = |name: &str, value: i64| {
            u64::try_from(value)
                .ok()
                .filter(|value| *value > 0)
                .ok_or_else(|| format!("rotate.{name}: expected 1 or more, got {value}"))
        };
        let limits = Limits {
            size: least_1("log_size", size)?,
            backups: u32::try_from(least_1("backups", backups)?).unwrap_or(u32::MAX),
            compress: false,
        };
        Ok(Way::Copy { console, limits: Some(limits) })
    }

    /// The same way, on which rotated files are compressed if that is wanted. A logger cannot say so:
    /// its fields are those of the original.
    pub fn compressing(self, compress: bool) -> Way {
        match self {
            Way::Copy { console, limits } => {
                Way::Copy { console, limits: limits.map(|limits| Limits { compress, ..limits }) }
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_schema::task::RotatePolicy;

    #[test]
    fn ways() {
        use LoggerDestination::{Both, Console, File, None as Nowhere};
        use LoggerMode::{Rotate, Standard};
        let policy = RotatePolicy { log_size: 4000, backups: 3 };
        let limits = Some(Limits { size: 4000, backups: 3, compress: false });
        let default = Some(Limits { size: 100 << 20, backups: 5, compress: false });
        for (destination, mode, rotate, way) in [
            (File, Standard, None, Way::File),
            (File, Standard, Some(policy), Way::File),
            (File, Rotate, Some(policy), Way::Copy { console: false, limits }),
            (File, Rotate, None, Way::Copy { console: false, limits: default }),
            (Both, Standard, Some(policy), Way::Copy { console: true, limits: None }),
            (Both, Rotate, Some(policy), Way::Copy { console: true, limits }),
            (Console, Rotate, Some(policy), Way::Console),
            (Nowhere, Rotate, None, Way::Discard),
        ] {
            assert_eq!(Way::of(&Logger { destination, mode, rotate }), Ok(way));
        }
    }

    #[test]
    fn what_is_rotated_can_be_compressed() {
        let limits = Limits { size: 1, backups: 1, compress: false };
        let copy = |limits| Way::Copy { console: true, limits };
        assert_eq!(
            copy(Some(limits)).compressing(true),
            copy(Some(Limits { compress: true, ..limits }))
        );
        for way in [copy(None), Way::File, Way::Console, Way::Discard] {
            assert_eq!(way.compressing(true), way);
        }
    }

    #[test]
    fn the_last_word_on_each_output_counts() {
        let status = |run, output: &str, dropped| {
            RunnerCkpt::LogStatus(LogStatus {
                run: Some(run),
                output: Some(output.to_owned()),
                dropped: Some(dropped),
                ..LogStatus::default()
            })
        };
        let mut bytes = Vec::new();
        for record in [status(0, "stdout", 1), status(0, "stdout", 5), status(1, "stderr", 2)] {
            crate::stream::frame(&record, &mut bytes);
        }
        bytes.extend([0, 0]);
        let dropped = |statuses: BTreeMap<(i32, String), LogStatus>| -> Vec<_> {
            statuses.into_iter().map(|(key, status)| (key, status.dropped.unwrap())).collect()
        };
        assert_eq!(
            dropped(statuses(&bytes.as_slice())),
            [((0, "stdout".to_owned()), 5), ((1, "stderr".to_owned()), 2)]
        );
    }

    #[test]
    fn numbers_below_one_name_the_field() {
        for (log_size, backups, words) in
            [(0, 5, "rotate.log_size: expected 1"), (-1, 5, "got -1"), (1, 0, "rotate.backups")]
        {
            let rotate = Some(RotatePolicy { log_size, backups });
            let logger = Logger { mode: LoggerMode::Rotate, rotate, ..DEFAULT_LOGGER };
            let error = Way::of(&logger).unwrap_err();
            assert!(error.contains(words), "{error}");
            let unused = Logger { mode: LoggerMode::Standard, ..logger };
            assert_eq!(Way::of(&unused), Ok(Way::File), "without rotation it does not matter");
        }
    }
}
