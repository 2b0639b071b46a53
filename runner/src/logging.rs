//! The runner's own log: lines in the original's form, to standard error and to one bounded file.
//!
//! `Lmmdd hh:mm:ss.uuuuuu PID file:line] message`, local time. Lines for the file are collected and
//! written when the runner has nothing else to do, at the latest before it sleeps.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Mode, OFlags};

use crate::engine::Level;

/// A log file is started anew (the old one becomes `.1`) when it reaches this many bytes: it lies in
/// the task's sandbox and counts against the task's disk.
const MAX_FILE: u64 = 10 << 20;

/// Bytes collected before they are written without waiting for a quiet moment.
const MAX_PENDING: usize = 16 << 10;

struct Sink {
    to_stderr: Option<Level>,
    google: bool,
    file: Option<LogFile>,
}

struct LogFile {
    level: Level,
    directory: std::os::fd::OwnedFd,
    name: String,
    file: File,
    written: u64,
    pending: String,
}

static SINK: Mutex<Sink> =
    Mutex::new(Sink { to_stderr: Some(Level::Error), google: false, file: None });

fn sink() -> MutexGuard<'static, Sink> {
    SINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets what goes to standard error: lines of this level and louder (`None`: nothing), in the full
/// form or as `LEVEL] message`.
pub fn to_stderr(level: Option<Level>, google: bool) {
    let mut sink = sink();
    sink.to_stderr = level;
    sink.google = google;
}

fn open(directory: &std::os::fd::OwnedFd, name: &str) -> std::io::Result<File> {
    crate::files::open_regular(directory, name, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)
}

/// Also writes lines of this level and louder to `DIRECTORY/NAME.log`.
pub fn to_disk(directory: &Path, name: &str, level: Level) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    let name = format!("{name}.log");
    let file = open(&directory, &name)?;
    let written = file.metadata()?.len();
    sink().file = Some(LogFile { level, directory, name, file, written, pending: String::new() });
    Ok(())
}

/// Logs a message. Use through [`crate::log!`].
pub fn log(level: Level, source: &str, line: u32, message: &str) {
    let mut sink = sink();
    let on_stderr = sink.to_stderr.is_some_and(|least| level >= least);
    let in_file = sink.file.as_ref().is_some_and(|file| level >= file.level);
    if !on_stderr && !in_file {
        return;
    }
    let letter = match level {
        Level::Debug => 'D',
        Level::Info => 'I',
        Level::Warn => 'W',
        Level::Error => 'E',
    };
    let source = source.rsplit('/').next().unwrap_or(source);
    let text = format!(
        "{letter}{} {} {source}:{line}] {message}\n",
        chrono::Local::now().format("%m%d %H:%M:%S%.6f"),
        std::process::id()
    );
    if on_stderr {
        let name = format!("{level:?}").to_uppercase();
        let plain = format!("{name}] {message}\n");
        // Nothing can be done about a standard error that is gone.
        let _ = std::io::stderr().write_all(if sink.google { &text } else { &plain }.as_bytes());
    }
    if in_file && let Some(file) = &mut sink.file {
        file.pending.push_str(&text);
        if file.pending.len() >= MAX_PENDING {
            file.write();
        }
    }
}

/// Writes what was collected for the file.
pub fn flush() {
    if let Some(file) = &mut sink().file {
        file.write();
    }
}

impl LogFile {
    fn write(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        if self.written >= MAX_FILE {
            let old = format!("{}.1", self.name);
            let renamed = rustix::fs::renameat(&self.directory, &self.name, &self.directory, &old);
            if renamed.is_ok()
                && let Ok(file) = open(&self.directory, &self.name)
            {
                self.file = file;
                self.written = 0;
            }
        }
        // A log that cannot be written must not stop the task.
        if self.file.write_all(self.pending.as_bytes()).is_ok() {
            self.written += self.pending.len() as u64;
        }
        self.pending.clear();
        self.pending.shrink_to(1024);
    }
}

/// `log!(Level::Info, "format {}", argument)`.
#[macro_export]
macro_rules! log {
    ($level:expr, $($argument:tt)+) => {
        $crate::logging::log($level, file!(), line!(), &format!($($argument)+))
    };
}
