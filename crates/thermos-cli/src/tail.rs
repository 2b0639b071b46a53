//! `thermos tail`: the end of a log, and what follows until the process ends.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_api::thermos::ProcessStatus;
use thermos_runner::proc::Proc;
use thermos_runner::state::Run;
use thermos_runner::stream::{Next, Reader};
use thermos_runner::view::View;

use crate::cli::{Global, Tail};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Sanitizer, emit, shown};
use crate::record::{Record, log_directory, state_of};
use crate::roots;
use crate::walk;
use crate::watch::Watch;

/// How long to wait for news before looking anyway: the kernel reports every change of a local file,
/// so this is for those that are not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// Runs the command.
pub(crate) fn run(global: &Global, options: &Tail) -> Outcome {
    let (task_id, process) = match options.arguments.as_slice() {
        [] => return Err(Failure::usage("Expected a task to tail, got nothing!")),
        [task_id] => (task_id, None),
        [task_id, process] => (task_id, Some(process.as_str())),
        more => {
            return Err(Failure::usage(format!(
                "Expected at most two arguments (task and optional process), got {}",
                more.len()
            )));
        }
    };
    let (root, record) = find_task(global, task_id)?;
    let view = match &record.view {
        Ok(view) => view,
        Err(error) => {
            return Err(Failure::new(
                Code::Corrupt,
                format!("cannot understand {}: {error}", record.path.display()),
            ));
        }
    };
    let (process, runs) = choose(view, process)?;
    let stream = if options.stderr { "stderr" } else { "stdout" };
    let log = Log::find(view, process, runs, stream)?;
    let follow = log.is_active && !options.no_follow;
    let kind = if log.is_active { "active" } else { "terminal" };
    emit(&format!("Tail of {kind} log {}\n", shown(&log.path.display().to_string())))?;
    let mut printer = Printer::new(log.file);
    let printed = printer.last_lines(options.lines);
    let printed = match printed {
        Ok(true) if follow => {
            let end = RunEnd::new(&root, task_id, process, log.run, &record.file);
            printer.follow(end)
        }
        other => other,
    };
    printed
        .and_then(|_| printer.finish())
        .map(|_| Code::Success)
        .map_err(|error| Failure::system(&format!("print {}", log.path.display()), error))
}

fn find_task(global: &Global, task_id: &str) -> Result<(PathBuf, Record), Failure> {
    let mut trouble = None;
    for root in roots::search(global) {
        match Record::open(&root, task_id) {
            Ok(record) => return Ok((root, record)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => trouble = Some((root, error)),
        }
    }
    Err(match trouble {
        Some((root, error)) => Failure::new(
            Code::System,
            format!("cannot read the record of {task_id} in {}: {error}", root.display()),
        ),
        None => Failure::new(
            Code::NotFound,
            format!(
                "ERROR: Could not find task. There is no {task_id:?} in {}; say where to look with \
                 --root",
                list(&roots::search(global))
            ),
        ),
    })
}

fn list(roots: &[PathBuf]) -> String {
    match roots {
        [] => "any checkpoint root".to_owned(),
        _ => roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(", "),
    }
}

/// Picks the process to tail.
fn choose<'v>(
    view: &'v View,
    process: Option<&str>,
) -> Result<(&'v str, &'v [ProcessStatus]), Failure> {
    let names = || view.processes.keys().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    match process {
        Some(wanted) => match view.processes.get_key_value(wanted) {
            Some((name, runs)) => Ok((name, runs)),
            None => Err(Failure::new(
                Code::NotFound,
                match names() {
                    names if names.is_empty() => "ERROR: No processes found.".to_owned(),
                    names => format!("ERROR: No processes found. This task has: {names}"),
                },
            )),
        },
        None => {
            let mut all = view.processes.iter();
            match (all.next(), all.next()) {
                (Some((name, runs)), None) => Ok((name, runs)),
                (None, _) => Err(Failure::new(Code::NotFound, "ERROR: No processes found.")),
                (Some(_), Some(_)) => Err(Failure::new(
                    Code::NotFound,
                    format!(
                        "ERROR: More than one process matches query. Name one of them: {}",
                        names()
                    ),
                )),
            }
        }
    }
}

/// A log that was found.
#[derive(Debug)]
struct Log {
    file: File,
    path: PathBuf,
    /// Number of the run.
    run: usize,
    /// Is the run going on?
    is_active: bool,
}

impl Log {
    /// Opens the log of the newest run that has one.
    fn find(
        view: &View,
        process: &str,
        runs: &[ProcessStatus],
        stream: &str,
    ) -> Result<Log, Failure> {
        let header = view.header.clone().unwrap_or_default();
        let log_dir = log_directory(&header).ok_or_else(|| {
            Failure::new(Code::Corrupt, "the task's record does not say where its logs are")
        })?;
        let (base, names) = walk::split(&log_dir, header.sandbox.as_deref()).ok_or_else(|| {
            Failure::new(
                Code::Corrupt,
                format!("the task's record names a log directory that cannot be: {log_dir:?}"),
            )
        })?;
        if process.contains('/') || process == ".." {
            return Err(Failure::new(Code::Corrupt, format!("invalid process name {process:?}")));
        }
        for (run, status) in runs.iter().enumerate().rev() {
            let number = run.to_string();
            let below: Vec<&str> =
                names.iter().map(String::as_str).chain([process, &number]).collect();
            let path = Path::new(&log_dir).join(process).join(&number).join(stream);
            match walk::directory(&base, &below) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                _ => {}
            }
            let below: Vec<&str> = below.into_iter().chain([stream]).collect();
            let file = walk::regular(&base, &below).map_err(|error| no_log(&path, &error))?;
            let is_active = state_of(status).is_some_and(Run::is_forked);
            return Ok(Log { file, path, run, is_active });
        }
        let path = Path::new(&log_dir).join(process);
        Err(no_log(&path, &io::ErrorKind::NotFound.into()))
    }
}

fn no_log(path: &Path, error: &io::Error) -> Failure {
    let path = shown(&path.display().to_string()).into_owned();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(
            Code::NotFound,
            format!(
                "ERROR: There is no log at {path}. The process has not started, its logger writes no \
                 files (destination console or none), or its sandbox was removed"
            ),
        ),
        _ => Failure::new(Code::System, format!("ERROR: cannot open {path}: {error}")),
    }
}

/// Finds out whether a run has ended.
#[derive(Debug)]
struct RunEnd<'a> {
    runner: &'a File,
    reader: Reader,
    /// `None` if the stream cannot be understood any more.
    view: Option<View>,
    /// A coordinator goes on recording when its runner is gone.
    coordinator: Option<File>,
    process: String,
    run: usize,
}

impl<'a> RunEnd<'a> {
    fn new(root: &Path, task_id: &str, process: &str, run: usize, runner: &'a File) -> RunEnd<'a> {
        let name = format!("coordinator.{process}");
        RunEnd {
            runner,
            reader: Reader::new(),
            view: Some(View::default()),
            coordinator: walk::regular(root, &["checkpoints", task_id, &name]).ok(),
            process: process.to_owned(),
            run,
        }
    }

    fn has_ended(&mut self) -> bool {
        // Asked first: whoever is gone now has recorded everything that it ever will.
        let gone = self.view.as_ref().is_some_and(|view| is_gone(view, &self.process, self.run));
        loop {
            let Some(view) = &mut self.view else { return true };
            match self.reader.next(self.runner) {
                Ok(Next::Record(record)) => {
                    if view.add(record).is_err() {
                        self.view = None;
                    }
                }
                Ok(Next::End | Next::Torn(_)) => break,
                Err(_) => self.view = None,
            }
        }
        let Some(view) = &self.view else { return true };
        if is_over(view, &self.process, self.run) {
            return true;
        }
        let Some(coordinator) = &self.coordinator else { return gone };
        let mut view = view.clone();
        let mut reader = Reader::new();
        while let Ok(Next::Record(record)) = reader.next(coordinator) {
            // What does not follow was copied into the runner's stream before.
            let _ = view.add(record);
        }
        gone || is_over(&view, &self.process, self.run)
    }
}

/// Is the coordinator of a run no longer there, whatever the stream says?
fn is_gone(view: &View, process: &str, run: usize) -> bool {
    let Some(run) = view.processes.get(process).and_then(|runs| runs.get(run)) else {
        return false;
    };
    let (Some(pid), Some(ticks)) = (run.coordinator_pid, run.coordinator_start_ticks) else {
        return false;
    };
    let Ok(proc) = Proc::open() else { return false };
    let same_boot = view.boot_id().is_none_or(|boot| proc.boot_id().as_deref() == Some(boot));
    !same_boot || proc.stat(pid).is_none_or(|stat| stat.zombie || stat.ticks != ticks)
}

fn is_over(view: &View, process: &str, run: usize) -> bool {
    let runs = view.processes.get(process).map(Vec::as_slice).unwrap_or_default();
    runs.get(run).is_none_or(|run| state_of(run).is_none_or(Run::is_terminal))
        || view.stage().is_some_and(|stage| stage.is_terminal())
}

/// Prints a log that grows.
#[derive(Debug)]
struct Printer {
    log: File,
    offset: u64,
    /// For terminals only.
    sanitizer: Option<Sanitizer>,
}

impl Printer {
    fn new(log: File) -> Printer {
        let sanitizer = io::stdout().is_terminal().then(Sanitizer::default);
        Printer { log, offset: 0, sanitizer }
    }

    /// Prints the last lines. False if nobody reads any more.
    fn last_lines(&mut self, lines: usize) -> io::Result<bool> {
        self.offset = start_of_last_lines(&self.log, lines)?;
        self.news()
    }

    /// Prints what is new. False if nobody reads any more.
    fn news(&mut self) -> io::Result<bool> {
        if self.log.metadata()?.len() < self.offset {
            // Somebody emptied the file.
            self.offset = 0;
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            let n = match self.log.read_at(&mut chunk, self.offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if n == 0 {
                return Ok(true);
            }
            self.offset += n as u64;
            let goes_on = match &mut self.sanitizer {
                Some(sanitizer) => output::write(sanitizer.push(&chunk[..n]).as_bytes())?,
                None => output::write(&chunk[..n])?,
            };
            if !goes_on {
                return Ok(false);
            }
        }
    }

    /// Prints until the run ends. False if nobody reads any more.
    fn follow(&mut self, mut end: RunEnd<'_>) -> io::Result<bool> {
        let mut watch = Watch::new();
        watch.add(&self.log);
        watch.add(end.runner);
        if let Some(coordinator) = &end.coordinator {
            watch.add(coordinator);
        }
        loop {
            // First the question, then the log: what was written before the end is printed.
            let ended = end.has_ended();
            if !self.news()? || ended {
                return Ok(!ended);
            }
            watch.wait(PATIENCE);
        }
    }

    fn finish(&mut self) -> io::Result<bool> {
        match &mut self.sanitizer {
            Some(sanitizer) => output::write(sanitizer.finish().as_bytes()),
            None => Ok(true),
        }
    }
}

/// Where the last `lines` lines of a file start.
fn start_of_last_lines(file: &File, lines: usize) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let mut chunk = vec![0; CHUNK];
    let (mut at, mut seen) = (end, 0);
    while at > 0 && lines > 0 {
        let start = at.saturating_sub(CHUNK as u64);
        let part = &mut chunk[..(at - start) as usize];
        match file.read_exact_at(part, start) {
            // It shrank in between: what is there now is all new.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            other => other?,
        }
        for (i, byte) in part.iter().enumerate().rev() {
            let position = start + i as u64;
            // A line end at the very end ends the last line and starts no other.
            if *byte == b'\n' && position + 1 != end {
                seen += 1;
                if seen == lines {
                    return Ok(position + 1);
                }
            }
        }
        at = start;
    }
    Ok(if lines == 0 { end } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn last_lines() {
        let start = |text: &[u8], lines| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text).unwrap();
            start_of_last_lines(&file, lines).unwrap()
        };
        assert_eq!(start(b"", 10), 0);
        assert_eq!(start(b"a\nb\nc\n", 10), 0);
        assert_eq!(start(b"a\nb\nc\n", 2), 2);
        assert_eq!(start(b"a\nb\nc", 2), 2);
        assert_eq!(start(b"a\nb\nc\n", 0), 6);
        assert_eq!(start(b"\n\n\n", 1), 2);
        let long =
            [b"x".repeat(CHUNK + 5), b"\n".to_vec(), b"y".repeat(CHUNK), b"\n".to_vec()].concat();
        assert_eq!(start(&long, 1), CHUNK as u64 + 6);
        assert_eq!(start(&long, 2), 0);
    }
}
