//! `thermos kill`: ends tasks from outside their runners.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use thermos_runner::files::{LastName, TaskFiles};
use thermos_runner::kill;
use thermos_runner::state::Stage;
use thermos_runner::stream::{Next, Reader};
use thermos_runner::view::View;

use crate::cli::{Global, Kill};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{emit, shown, warn};
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
        match kill_one(options, task, roots::last_name(global, &task.root)) {
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

fn kill_one(options: &Kill, task: &Found, last: LastName) -> Result<(), String> {
    // From here on the task is where it was found: nobody can put another in its place.
    let files = TaskFiles::open(&task.root, &task.id, last).map_err(|error| error.to_string())?;
    if options.graceful {
        let deadline =
            options.timeout.map(|secs| Instant::now() + Duration::from_secs(secs.into()));
        let signal = if options.lose { Signal::USR2 } else { Signal::USR1 };
        return end_gracefully(&files, signal, deadline);
    }
    let goal = if options.lose { Stage::Lost } else { Stage::Killed };
    kill::force(&files, goal).map_err(|error| error.to_string())
}

/// Asks the runner to end the task, and waits until it has.
fn end_gracefully(
    files: &TaskFiles,
    signal: Signal,
    deadline: Option<Instant>,
) -> Result<(), String> {
    let stream = files.read_stream("runner").map_err(|error| error.to_string())?;
    let mut watch = Watch::new();
    watch.add(&stream);
    if !kill::signal_runner(files, signal).map_err(|error| error.to_string())? {
        return Err(
            "it has no runner that could be asked; without --graceful it is killed at once"
                .to_owned(),
        );
    }
    let (mut view, mut reader) = (View::default(), Reader::new());
    let mut abandoned = false;
    loop {
        loop {
            match reader.next(&stream) {
                Ok(Next::Record(record)) => view.add(record)?,
                Ok(Next::End | Next::Torn(_)) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        if view.stage().is_some_and(Stage::is_terminal) {
            await_retirement(files);
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
        abandoned = is_abandoned(files);
    }
}

/// The runner moves the task's file right after it has recorded the end. Who is told that a task was
/// killed should not find it among the active ones.
fn await_retirement(files: &TaskFiles) {
    let deadline = Instant::now() + PATIENCE;
    while matches!(files.stored_task(false), Ok(Some(_))) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Has a task no runner any more?
fn is_abandoned(files: &TaskFiles) -> bool {
    // Signal 0 would do, were it not for the library asking for a real one; SIGCONT changes nothing
    // for a runner that is not stopped, and a stopped one is helped.
    matches!(kill::signal_runner(files, Signal::CONT), Ok(false))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use aurora_api::thermos::{RunnerCkpt, RunnerHeader, TaskStatus};
    use thermos_runner::stream::Writer;

    use super::*;

    fn options(graceful: bool) -> Kill {
        Kill { graceful, timeout: None, prefix: false, lose: false, patterns: Vec::new() }
    }

    /// A checkpoint root with a task that is active, by its stream, and has no runner.
    fn task(root: &Path) {
        let files = TaskFiles::create(root, "t", LastName::MayBeLink).unwrap();
        files.store_task("{}").unwrap();
        let (stream, size) = files.open_stream("runner").unwrap();
        let mut writer = Writer::new(stream, size);
        writer.push(&RunnerCkpt::RunnerHeader(RunnerHeader::default()));
        let state = Some(Stage::Active.wire());
        writer.push(&RunnerCkpt::TaskStatus(TaskStatus { state, ..TaskStatus::default() }));
        writer.commit().unwrap();
    }

    #[test]
    fn a_root_that_becomes_a_link_before_the_kill() {
        let dir = tempfile::tempdir().unwrap();
        let (run, others) = (dir.path().join("run"), dir.path().join("others"));
        task(&run.join("checkpoints"));
        task(&others);
        let global = Global { root: None, mesos_root: Some(dir.path().to_path_buf()) };
        let root = run.join("checkpoints");
        let found = Found { id: "t".to_owned(), root: root.clone(), finished: false };
        fs::rename(&root, run.join("away")).unwrap();
        symlink(&others, &root).unwrap();
        let stream = || fs::read(others.join("checkpoints/t/runner")).unwrap();
        let before = stream();
        for graceful in [false, true] {
            let last = roots::last_name(&global, &root);
            let error = kill_one(&options(graceful), &found, last).unwrap_err();
            assert!(error.contains("link"), "{error}");
        }
        assert_eq!(stream(), before);
        assert!(others.join("tasks/active/t").exists());
        // A root that the operator names may be a link.
        let global = Global { root: Some(root.clone()), mesos_root: None };
        kill_one(&options(false), &found, roots::last_name(&global, &root)).unwrap();
        assert!(others.join("tasks/finished/t").exists());
    }
}
