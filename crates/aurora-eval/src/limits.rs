//! Limits that the process puts on itself before it looks at anything.
//!
//! They cannot be raised again: also the hard limits are set. What cannot be allocated ends the
//! process, which whoever started it reports.

use rustix::fs::{FileType, fstat};
use rustix::process::{Resource, Rlimit, setrlimit};

/// What an evaluation may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Address space in bytes, code and stacks included.
    pub(crate) memory: u64,
    /// Processor time in seconds.
    pub(crate) seconds: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: 2 << 30, seconds: 60 }
    }
}

/// No more threads are needed after the one that evaluates, and no processes at all.
const FILES: u64 = 32;

/// Largest answer in bytes, if standard output is a file. Otherwise no file is written at all.
const ANSWER: u64 = 1 << 30;

/// Sets them. Error: the one that could not be set.
pub(crate) fn apply(limits: &Limits) -> Result<(), String> {
    let set = |resource: Resource, name: &str, value: u64| {
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        match setrlimit(resource, limit) {
            Ok(()) => Ok(()),
            // A lower limit of whoever started us is as good.
            Err(rustix::io::Errno::PERM) => Ok(()),
            Err(error) => Err(format!("cannot limit {name} to {value}: {error}")),
        }
    };
    let is_file = fstat(std::io::stdout())
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    set(Resource::Core, "core dumps", 0)?;
    set(Resource::Fsize, "the size of written files", if is_file { ANSWER } else { 0 })?;
    set(Resource::Nofile, "open files", FILES)?;
    set(Resource::Cpu, "processor time", limits.seconds)?;
    set(Resource::As, "memory", limits.memory)
}

/// Forbids new processes and threads.
pub(crate) fn forbid_processes() -> Result<(), String> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Nproc, none).map_err(|error| format!("cannot forbid processes: {error}"))
}
