//! `thermos kill`: ends tasks from outside their runners.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use thermos_runner::kill;
use thermos_runner::state::Stage;
use thermos_runner::stream::{Next, Reader};
use thermos_runner::view::View;

use crate::cli::{Global, Kill};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{emit, shown, warn};
use crate::record::Record;
use crate::roots::{self, Found, Patterns};
use crate::watch::Watch;

/// How long to wait for news before looking anyway, as `tail` does.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the command.
pub(crate) fn run(global: &Global, options: &Kill) -> Outcome {
    if options.patterns.is_empty() {
        return Err(Failure::usage(
            "Must specify tasks! `thermos status --only=active` lists them; '.*' means all",
        ));
    }
    let patterns = Patterns::new(&options.patterns, !options.prefix)?;
    let tasks = roots::tasks(&roots::search(global));
    let active: Vec<&Found> = tasks.iter().filter(|task| !task.finished).collect();
    let matching: Vec<&Found> =
        active.iter().copied().filter(|task| patterns.match_any(&task.id)).collect();
    if matching.is_empty() {
        emit("No active tasks matched.\n")?;
        advise(options, &active)?;
        return Ok(Code::NotFound);
    }
    let mut code = Code::Success;
    for task in matching {
        let id = shown(&task.id);
        emit(&format!("Killing {id}..."))?;
        match kill_one(options, task) {
            Ok(()) => emit("done.\n")?,
            Err(reason) => {
                emit("failed.\n")?;
                warn(&format!("cannot kill {id} in {}: {reason}", task.root.display()));
                code = Code::NotKilled;
            }
        }
    }
    Ok(code)
}

/// The original matches beginnings; who is used to that is told.
fn advise(options: &Kill, active: &[&Found]) -> Result<(), Failure> {
    if !options.prefix {
        let patterns = Patterns::new(&options.patterns, false)?;
        let near = active.iter().filter(|task| patterns.match_any(&task.id)).count();
        if near > 0 {
            warn(&format!(
                "an expression must match a whole task id; {near} would match with --prefix"
            ));
        }
    }
    Ok(())
}

fn kill_one(options: &Kill, task: &Found) -> Result<(), String> {
    if options.graceful {
        let deadline =
            options.timeout.map(|secs| Instant::now() + Duration::from_secs(secs.into()));
        let signal = if options.lose { Signal::USR2 } else { Signal::USR1 };
        return end_gracefully(&task.root, &task.id, signal, deadline);
    }
    let goal = if options.lose { Stage::Lost } else { Stage::Killed };
    kill::force(&task.root, &task.id, goal).map_err(|error| error.to_string())
}

/// Asks the runner to end the task, and waits until it has.
fn end_gracefully(
    root: &Path,
    task_id: &str,
    signal: Signal,
    deadline: Option<Instant>,
) -> Result<(), String> {
    let record = Record::open(root, task_id).map_err(|error| error.to_string())?;
    let mut watch = Watch::new();
    watch.add(&record.file);
    if !kill::signal_runner(root, task_id, signal).map_err(|error| error.to_string())? {
        return Err(
            "it has no runner that could be asked; without --graceful it is killed at once"
                .to_owned(),
        );
    }
    let (mut view, mut reader) = (View::default(), Reader::new());
    let mut abandoned = false;
    loop {
        loop {
            match reader.next(&record.file) {
                Ok(Next::Record(record)) => view.add(record)?,
                Ok(Next::End | Next::Torn(_)) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        if view.stage().is_some_and(Stage::is_terminal) {
            await_retirement(root, task_id);
            return Ok(());
        }
        if abandoned {
            return Err("its runner died; without --graceful the rest is killed".to_owned());
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(
                "it was asked to end and goes on after the time given by --timeout".to_owned()
            );
        }
        watch.wait(left.map_or(PATIENCE, |left| left.min(PATIENCE)));
        // Asked before the stream is read again: a runner that is gone now has recorded everything
        // that it ever will.
        abandoned = is_abandoned(root, task_id);
    }
}

/// The runner moves the task's file right after it has recorded the end. Who is told that a task was
/// killed should not find it among the active ones.
fn await_retirement(root: &Path, task_id: &str) {
    let active = root.join("tasks/active").join(task_id);
    let deadline = Instant::now() + PATIENCE;
    while active.symlink_metadata().is_ok() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Has a task no runner any more?
fn is_abandoned(root: &Path, task_id: &str) -> bool {
    // Signal 0 would do, were it not for the library asking for a real one; SIGCONT changes nothing
    // for a runner that is not stopped, and a stopped one is helped.
    matches!(kill::signal_runner(root, task_id, Signal::CONT), Ok(false))
}
