//! `thermos tail`: the end of logs, and what follows until the processes end.
//!
//! A process that is run again goes on in the log of its next run. The log itself, wherever rotation
//! moves it, is followed by the runner's own reader ([`thermos_runner::logs::follow`]).

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_api::thermos::{ProcessStatus, RunnerHeader};
use aurora_schema::Bindings;
use aurora_schema::task::{self, Task};
use thermos_runner::logs::Output;
use thermos_runner::logs::follow::{Follower, Found};
use thermos_runner::proc::Proc;
use thermos_runner::state::{Run, Stage};
use thermos_runner::stream::{Next, Reader};
use thermos_runner::view::View;

use crate::cli::{Global, Tail};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Sanitizer, emit, shown, warn};
use crate::record::{Record, log_directory, state_of};
use crate::roots;
use crate::walk;
use crate::watch::Watch;

/// How long to wait for news before looking anyway: the kernel reports every change of a local file,
/// so this is for those that are not.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes read at a time.
const CHUNK: usize = 64 << 10;

/// An unfinished line of a process among several is shown when it has become so long, in bytes.
const LONG_LINE: usize = 64 << 10;

/// Runs the command.
pub(crate) fn run(global: &Global, options: &Tail) -> Outcome {
    let Some((task_id, wanted)) = options.arguments.split_first() else {
        return Err(Failure::usage("Expected a task to tail, got nothing!"));
    };
    if options.all && !wanted.is_empty() {
        return Err(Failure::usage("--all means all processes: name none, or leave it out"));
    }
    let (root, record) = find_task(global, task_id)?;
    let view = match record.view {
        Ok(view) => view,
        Err(error) => {
            return Err(Failure::new(
                Code::Corrupt,
                format!("cannot understand {}: {error}", record.path.display()),
            ));
        }
    };
    let header = view.header.clone().unwrap_or_default();
    let names = choose(&view, wanted, options.all)?;
    let output = if options.stderr { Output::Stderr } else { Output::Stdout };
    let several = names.len() > 1;
    let place = Place::new(&header, output)?;
    let mut logs = Vec::with_capacity(names.len());
    for name in names {
        let (log, active) = match Log::find(&place, &view, &name) {
            Ok(found) => found,
            // Of several, some may not have begun.
            Err(failure) if several && failure.code == Code::NotFound => {
                (Log::to_come(&name, view.processes[&name].len()), true)
            }
            Err(failure) => return Err(failure),
        };
        let kind = if active { "active" } else { "terminal" };
        if log.follower.is_some() {
            let path = place.path(&name, log.run);
            emit(&format!("Tail of {kind} log {}\n", shown(&path.display().to_string())))?;
        }
        logs.push(Tailed { log, active, printer: Printer::new(several.then_some(name)) });
    }
    let printed = (|| {
        for tailed in &mut logs {
            if let Some(follower) = &mut tailed.log.follower {
                follower.rewind(options.lines)?;
            }
            if !tailed.news()? {
                return Ok(());
            }
        }
        if !options.no_follow && logs.iter().any(|tailed| tailed.active) {
            let mut progress = Progress::new(&root, task_id, &record.file);
            follow(&place, &mut progress, &mut logs)?;
        }
        logs.iter_mut().try_for_each(|tailed| tailed.printer.finish().map(drop))
    })();
    printed.map(|()| Code::Success).map_err(|error| Failure::system("print the log", error))
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

/// Picks the processes to tail.
fn choose(view: &View, wanted: &[String], all: bool) -> Result<Vec<String>, Failure> {
    let known = || view.processes.keys().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
    if view.processes.is_empty() && wanted.is_empty() {
        return Err(Failure::new(Code::NotFound, "ERROR: No processes found."));
    }
    if wanted.is_empty() {
        if view.processes.len() > 1 && !all {
            return Err(Failure::new(
                Code::NotFound,
                format!(
                    "ERROR: More than one process matches query. Name one or several of them, or say \
                     --all: {}",
                    known()
                ),
            ));
        }
        return Ok(view.processes.keys().cloned().collect());
    }
    let mut names: Vec<String> = Vec::new();
    for name in wanted {
        if !view.processes.contains_key(name) {
            return Err(Failure::new(
                Code::NotFound,
                match known() {
                    names if names.is_empty() => "ERROR: No processes found.".to_owned(),
                    names => format!("ERROR: No processes found. This task has: {names}"),
                },
            ));
        }
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

/// Where the logs of a task are.
#[derive(Debug)]
struct Place {
    log_dir: String,
    /// The part of the path that the operator chose, and the names below it.
    base: PathBuf,
    names: Vec<String>,
    output: Output,
}

impl Place {
    fn new(header: &RunnerHeader, output: Output) -> Result<Place, Failure> {
        let log_dir = log_directory(header).ok_or_else(|| {
            Failure::new(Code::Corrupt, "the task's record does not say where its logs are")
        })?;
        let (base, names) = walk::split(&log_dir, header.sandbox.as_deref()).ok_or_else(|| {
            Failure::new(
                Code::Corrupt,
                format!("the task's record names a log directory that cannot be: {log_dir:?}"),
            )
        })?;
        Ok(Place { log_dir, base, names, output })
    }

    fn path(&self, process: &str, run: usize) -> PathBuf {
        Path::new(&self.log_dir).join(process).join(run.to_string()).join(self.output.name())
    }

    /// The log directory of a run.
    fn directory(&self, process: &str, run: usize) -> io::Result<OwnedFd> {
        let number = run.to_string();
        let below: Vec<&str> =
            self.names.iter().map(String::as_str).chain([process, &number]).collect();
        walk::directory(&self.base, &below)
    }

    /// Opens the log of a run at its end.
    fn open(&self, directory: OwnedFd) -> io::Result<Follower> {
        Follower::open(directory, self.output).map_err(walk::explained)
    }
}

/// The log of one process.
#[derive(Debug)]
struct Log {
    process: String,
    /// Number of the run.
    run: usize,
    /// `None`: the log does not exist yet.
    follower: Option<Follower>,
}

impl Log {
    /// Opens the log of the newest run that has one; also says whether that run goes on.
    fn find(place: &Place, view: &View, process: &str) -> Result<(Log, bool), Failure> {
        if process.contains('/') || process == ".." {
            return Err(Failure::new(Code::Corrupt, format!("invalid process name {process:?}")));
        }
        let runs = view.processes.get(process).map(Vec::as_slice).unwrap_or_default();
        for (run, status) in runs.iter().enumerate().rev() {
            let path = place.path(process, run);
            let directory = match place.directory(process, run) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                directory => directory.map_err(|error| no_log(&path, &error))?,
            };
            let follower = place.open(directory).map_err(|error| no_log(&path, &error))?;
            let log = Log { process: process.to_owned(), run, follower: Some(follower) };
            return Ok((log, state_of(status).is_some_and(Run::is_forked)));
        }
        let path = Path::new(&place.log_dir).join(process);
        Err(no_log(&path, &io::ErrorKind::NotFound.into()))
    }

    /// The log of a run that has not begun.
    fn to_come(process: &str, runs: usize) -> Log {
        Log { process: process.to_owned(), run: runs.saturating_sub(1), follower: None }
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

/// What is known about the task while it goes on.
#[derive(Debug)]
struct Progress<'a> {
    root: PathBuf,
    task_id: String,
    runner: &'a File,
    reader: Reader,
    /// `None` if the stream cannot be understood any more.
    view: Option<View>,
    /// The task itself; `None` if it cannot be read. Then nothing is known about what runs again.
    task: Option<Task>,
}

impl<'a> Progress<'a> {
    fn new(root: &Path, task_id: &str, runner: &'a File) -> Progress<'a> {
        Progress {
            root: root.to_path_buf(),
            task_id: task_id.to_owned(),
            runner,
            reader: Reader::new(),
            view: Some(View::default()),
            task: stored_task(root, task_id),
        }
    }

    /// A coordinator goes on recording when its runner is gone.
    fn coordinator(&self, process: &str) -> Option<File> {
        let name = format!("coordinator.{process}");
        walk::regular(&self.root, &["checkpoints", &self.task_id, &name]).ok()
    }

    fn refresh(&mut self) {
        while let Some(view) = &mut self.view {
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
    }

    fn has_ended(&mut self, process: &str, run: usize) -> bool {
        // Asked first: whoever is gone now has recorded everything that it ever will.
        let gone = self.view.as_ref().is_some_and(|view| is_gone(view, process, run));
        self.refresh();
        let Some(view) = &self.view else { return true };
        if is_over(view, process, run) {
            return true;
        }
        let Some(coordinator) = self.coordinator(process) else { return gone };
        let mut view = view.clone();
        let mut reader = Reader::new();
        while let Ok(Next::Record(record)) = reader.next(&coordinator) {
            // What does not follow was copied into the runner's stream before.
            let _ = view.add(record);
        }
        gone || is_over(&view, process, run)
    }

    /// Is there a further run of a process, or will there be one? Asked when the last one has ended.
    fn goes_on(&self, process: &str, run: usize) -> bool {
        let (Some(view), Some(task)) = (&self.view, &self.task) else { return false };
        let runs = view.processes.get(process).map(Vec::as_slice).unwrap_or_default();
        if runs.len() > run + 1 {
            return true;
        }
        let Some(process) = task.processes.iter().find(|known| known.name == process) else {
            return false;
        };
        let begins = match view.stage() {
            Some(Stage::Active) => true,
            Some(Stage::Cleaning | Stage::Finalizing) => process.is_final,
            _ => false,
        };
        let states: Vec<Option<Run>> = runs.iter().map(state_of).collect();
        begins && runner_lives(view) && runs_again(process, &states)
    }
}

/// Will the plan run a process again, as far as its own runs tell? Source: the plan's fates; the limit
/// of runs is the runner's secret, but it ends the task before long.
fn runs_again(process: &task::Process, runs: &[Option<Run>]) -> bool {
    let failures = runs.iter().filter(|run| **run == Some(Run::Failed)).count();
    let most = if process.max_failures < 0 { 1 } else { process.max_failures };
    match runs.last().copied().flatten() {
        Some(Run::Success) => process.daemon,
        Some(Run::Failed) => most == 0 || i64::try_from(failures).is_ok_and(|n| n < most),
        Some(Run::Killed | Run::Lost) => true,
        Some(Run::Waiting | Run::Forked | Run::Running) => true,
        None => false,
    }
}

fn stored_task(root: &Path, task_id: &str) -> Option<Task> {
    let file = walk::regular(root, &["tasks", "active", task_id]).ok()?;
    let text = io::read_to_string(file).ok()?;
    Some(task::load(text.as_bytes(), task_id, &Bindings::new()).ok()?.task)
}

fn runner_lives(view: &View) -> bool {
    let Some(status) = view.statuses.iter().rev().find(|s| s.runner_start_ticks.is_some()) else {
        return false;
    };
    let (Some(pid), Ok(proc)) = (status.runner_pid, Proc::open()) else { return false };
    let same_boot = view.boot_id().is_none_or(|boot| proc.boot_id().as_deref() == Some(boot));
    let is_it = |ticks| status.runner_start_ticks == Some(ticks);
    same_boot && proc.stat(pid).is_some_and(|stat| !stat.zombie && is_it(stat.ticks))
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
    let runs: &[ProcessStatus] = view.processes.get(process).map(Vec::as_slice).unwrap_or_default();
    runs.get(run).is_none_or(|run| state_of(run).is_none_or(Run::is_terminal))
        || view.stage().is_some_and(|stage| stage.is_terminal())
}

/// A log that is printed.
#[derive(Debug)]
struct Tailed {
    log: Log,
    /// May more be written to it?
    active: bool,
    printer: Printer,
}

impl Tailed {
    /// Prints what is new. False if nobody reads any more.
    fn news(&mut self) -> io::Result<bool> {
        let Some(follower) = &mut self.log.follower else { return Ok(true) };
        let mut chunk = vec![0; CHUNK];
        loop {
            let goes_on = match follower.read(&mut chunk)? {
                Found::End => return Ok(true),
                Found::Bytes(n) => self.printer.print(&chunk[..n])?,
                gap => {
                    warn(&describe(gap, &self.log.process, self.log.run));
                    true
                }
            };
            if !goes_on {
                return Ok(false);
            }
        }
    }

    /// Prints what there is, and goes on to the next run if there is one. False if nobody reads any
    /// more.
    fn step(
        &mut self,
        place: &Place,
        progress: &mut Progress<'_>,
        watch: &mut Watch,
    ) -> io::Result<bool> {
        loop {
            // First the question, then the log: what was written before the end is printed.
            let ended = progress.has_ended(&self.log.process, self.log.run);
            if self.log.follower.is_none()
                && let Ok(directory) = place.directory(&self.log.process, self.log.run)
                && let Ok(mut follower) = place.open(directory)
            {
                follower.rewind(usize::MAX)?;
                watch.add_directory(follower.directory());
                watch.add(follower.part().file());
                self.log.follower = Some(follower);
            }
            if !self.news()? {
                return Ok(false);
            }
            if !ended {
                return Ok(true);
            }
            if !progress.goes_on(&self.log.process, self.log.run) {
                self.active = false;
                return self.printer.finish();
            }
            let known = progress.view.as_ref().and_then(|v| v.processes.get(&self.log.process));
            if known.is_none_or(|runs| runs.len() <= self.log.run + 1) {
                return Ok(true);
            }
            self.log.run += 1;
            self.log.follower = None;
            let (name, run) = (shown(&self.log.process), self.log.run);
            warn(&format!("{name} is run again: run {run}"));
        }
    }
}

fn describe(gap: Found, process: &str, run: usize) -> String {
    let bytes = |n: u64| if n == 1 { "1 byte".to_owned() } else { format!("{n} bytes") };
    let what = match gap {
        Found::Missed(Some(n)) => format!("{} rotated out before they were read", bytes(n)),
        Found::Missed(None) => "some output was rotated out before it was read".to_owned(),
        Found::Dropped(n) => format!("{} could not be written to the log", bytes(n)),
        Found::Bytes(_) | Found::End => String::new(),
    };
    format!("{} run {run}: gap: {what}", shown(process))
}

/// Prints until all processes end, or until nobody reads any more.
fn follow(place: &Place, progress: &mut Progress<'_>, logs: &mut [Tailed]) -> io::Result<()> {
    let mut watch = Watch::new();
    watch.add(progress.runner);
    for tailed in logs.iter() {
        if let Some(follower) = &tailed.log.follower {
            watch.add_directory(follower.directory());
            watch.add(follower.part().file());
        }
        if let Some(coordinator) = progress.coordinator(&tailed.log.process) {
            watch.add(&coordinator);
        }
    }
    loop {
        for tailed in logs.iter_mut().filter(|tailed| tailed.active) {
            let before = tailed.log.follower.as_ref().map(|follower| follower.part().id());
            if !tailed.step(place, progress, &mut watch)? {
                return Ok(());
            }
            if let Some(follower) = &tailed.log.follower
                && before != Some(follower.part().id())
            {
                // It goes on in another file, which may have grown already.
                watch.add(follower.part().file());
                if !tailed.news()? {
                    return Ok(());
                }
            }
        }
        if !logs.iter().any(|tailed| tailed.active) {
            return Ok(());
        }
        watch.wait(PATIENCE);
    }
}

/// Prints a log, harmless if it goes to a terminal.
#[derive(Debug)]
struct Printer {
    /// For terminals only.
    sanitizer: Option<Sanitizer>,
    /// In front of each line, if there are logs of several processes; these are printed whole.
    prefix: Option<String>,
    line: Vec<u8>,
}

impl Printer {
    fn new(process: Option<String>) -> Printer {
        let sanitizer = io::stdout().is_terminal().then(Sanitizer::default);
        let prefix = process.map(|name| format!("{}: ", shown(&name)));
        Printer { sanitizer, prefix, line: Vec::new() }
    }

    /// False if nobody reads any more.
    fn print(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let harmless = self.sanitizer.as_mut().map(|sanitizer| sanitizer.push(bytes));
        let bytes = harmless.as_ref().map_or(bytes, |text| text.as_bytes());
        match &self.prefix {
            None => output::write(bytes),
            Some(prefix) => output::write(&lines(prefix, &mut self.line, bytes)),
        }
    }

    /// What was kept back. False if nobody reads any more.
    fn finish(&mut self) -> io::Result<bool> {
        if let Some(text) = self.sanitizer.as_mut().map(Sanitizer::finish)
            && !self.print(text.as_bytes())?
        {
            return Ok(false);
        }
        match &self.prefix {
            Some(prefix) if !self.line.is_empty() => {
                let rest = std::mem::take(&mut self.line);
                output::write(&[prefix.as_bytes(), &rest, b"\n"].concat())
            }
            _ => Ok(true),
        }
    }
}

/// The whole lines of what came, each with its prefix; the rest is kept. A line that does not end is
/// broken some time.
fn lines(prefix: &str, kept: &mut Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + prefix.len());
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        kept.extend_from_slice(piece);
        if !kept.ends_with(b"\n") {
            if kept.len() < LONG_LINE {
                continue;
            }
            kept.push(b'\n');
        }
        out.extend_from_slice(prefix.as_bytes());
        out.append(kept);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_processes() {
        let mut kept = Vec::new();
        let mut text = |bytes: &[u8]| String::from_utf8(lines("p: ", &mut kept, bytes)).unwrap();
        assert_eq!(text(b"a\nb"), "p: a\n");
        assert_eq!(text(b""), "");
        assert_eq!(text(b"c\n\nd\n"), "p: bc\np: \np: d\n");
        let long = "x".repeat(LONG_LINE);
        assert_eq!(text(long.as_bytes()), format!("p: {long}\n"), "memory is bounded");
    }

    #[test]
    fn what_is_run_again() {
        let task = |more: &str| {
            let json =
                format!(r#"{{"name": "t", "processes": [{{"name": "p", "cmdline": "x"{more}}}]}}"#);
            task::load(json.as_bytes(), "t", &Bindings::new()).unwrap().task.processes.remove(0)
        };
        let (once, twice) = (task(""), task(r#", "max_failures": 2"#));
        let (always, daemon) = (task(r#", "max_failures": 0"#), task(r#", "daemon": true"#));
        for (process, runs, again) in [
            (&once, &[Run::Success][..], false),
            (&once, &[Run::Failed], false),
            (&once, &[Run::Killed], true),
            (&once, &[Run::Failed, Run::Lost], true),
            (&twice, &[Run::Failed], true),
            (&twice, &[Run::Failed, Run::Killed, Run::Failed], false),
            (&always, &[Run::Failed, Run::Failed, Run::Failed], true),
            (&daemon, &[Run::Success], true),
            (&daemon, &[Run::Success, Run::Failed], false),
            (&once, &[], false),
        ] {
            let states: Vec<Option<Run>> = runs.iter().copied().map(Some).collect();
            assert_eq!(runs_again(process, &states), again, "{process:?} {runs:?}");
        }
    }

    #[test]
    fn gaps_in_words() {
        assert_eq!(
            describe(Found::Missed(Some(4096)), "p", 0),
            "p run 0: gap: 4096 bytes rotated out before they were read"
        );
        assert!(
            describe(Found::Dropped(1), "p\x1b", 2).starts_with("p\\u{1b} run 2: gap: 1 byte ")
        );
    }
}
