//! Ending a task from outside its runner, at once and without its cooperation.
//!
//! The runner, if there is one, is killed; everything of the task is killed; the stream is closed
//! with a terminal state. No SIGTERM, no finalizing processes: that is what signals to the runner are
//! for.

use std::fs::File;
use std::time::{Duration, Instant};

use aurora_api::thermos::{ProcessState, ProcessStatus, RunnerCkpt, TaskStatus};
use rustix::process::Signal;
use thrift_wire::Double;

use crate::engine::Claim;
use crate::files::{self, TaskFiles, failed};
use crate::proc::Proc;
use crate::reach::Reach;
use crate::state::{Run, Stage};
use crate::stream::{Next, Reader, Writer};
use crate::view::{View, ViewError};

/// How long a killed runner may take to let go of its stream.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Why a task could not be killed.
#[derive(Debug)]
pub enum KillError {
    /// Its files could not be used.
    File(files::FileError),
    /// Its stream cannot be understood.
    Stream(ViewError),
    /// Its stream names no header, so nothing is known about its processes.
    NoHeader,
    /// A runner holds the stream and could not be identified or did not go away.
    Held,
    /// The stream belongs to somebody else than the caller and root.
    Foreign,
}

impl std::fmt::Display for KillError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KillError::File(error) => error.fmt(f),
            KillError::Stream(error) => write!(f, "cannot understand its runner stream: {error}"),
            KillError::NoHeader => f.write_str("its runner stream has no header"),
            KillError::Held => f.write_str(
                "a process holds its runner stream and is not the runner that the stream names",
            ),
            KillError::Foreign => f.write_str("its runner stream belongs to another user"),
        }
    }
}

impl std::error::Error for KillError {}

impl From<files::FileError> for KillError {
    fn from(error: files::FileError) -> Self {
        KillError::File(error)
    }
}

fn runner_claim(view: &View) -> Option<Claim> {
    let pid = view.statuses.last()?.runner_pid?;
    // The identity is recorded whenever control is taken.
    let taken = view.statuses.iter().rev().find(|status| status.runner_start_ticks.is_some());
    let first =
        view.statuses.iter().rev().take_while(|status| status.runner_pid == Some(pid)).last()?;
    Some(Claim {
        pid,
        ticks: taken.filter(|status| status.runner_pid == Some(pid))?.runner_start_ticks,
        fork_time: first.timestamp_ms? as f64 / 1e3,
    })
}

/// Sends a signal to the runner of a task, if it lives and is what the stream says. False if not.
pub fn signal_runner(files: &TaskFiles, signal: Signal) -> Result<bool, KillError> {
    let (stream, _) = files.open_stream("runner")?;
    if files::try_lock(&stream).map_err(failed("lock", files.stream_path("runner")))? {
        return Ok(false);
    }
    let view = View::read(&stream).map_err(KillError::Stream)?;
    // A runner runs as whoever owns the stream.
    let uid =
        rustix::fs::fstat(&stream).map_err(failed("stat", files.stream_path("runner")))?.st_uid;
    let reach = Reach::new(Proc::open().map_err(failed("open", "/proc"))?, uid);
    if !reach.is_this_boot(view.boot_id()) {
        return Ok(false);
    }
    let handle = runner_claim(&view).and_then(|claim| reach.identify(&claim, &stream));
    Ok(handle.map(|handle| handle.signal(signal)).is_some())
}

/// Ends a task at once. `goal` is [`Stage::Killed`] or [`Stage::Lost`]. A task that is over only has
/// its task file moved.
pub fn force(files: &TaskFiles, goal: Stage) -> Result<(), KillError> {
    let path = files.stream_path("runner");
    let (stream, _) = files.open_stream("runner")?;
    let owner = rustix::fs::fstat(&stream).map_err(failed("stat", &path))?.st_uid;
    let view = View::read(&stream).map_err(KillError::Stream)?;
    if view.stage().is_some_and(Stage::is_terminal) {
        return Ok(files.retire_task()?);
    }
    let deadline = Instant::now() + LOCK_PATIENCE;
    let mut signalled = false;
    while !files::try_lock(&stream).map_err(failed("lock", &path))? {
        if !signalled {
            signalled = signal_runner(files, Signal::KILL)?;
        }
        if !signalled || Instant::now() > deadline {
            return Err(KillError::Held);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // Read again: the runner may have gone on until it was killed.
    let mut view = View::read(&stream).map_err(KillError::Stream)?;
    let Some(header) = view.header.clone() else {
        return Err(KillError::NoHeader);
    };
    let size = stream.metadata().map_err(failed("stat", &path))?.len() - view.torn;
    stream.set_len(size).map_err(failed("truncate", &path))?;
    let mut writer = Writer::new(stream, size);
    let uid = header.uid.and_then(|uid| u32::try_from(uid).ok()).unwrap_or(owner);
    let reach = Reach::new(Proc::open().map_err(failed("open", "/proc"))?, uid);
    let me = rustix::process::getpid().as_raw_pid();
    let status = |stage: Stage| {
        RunnerCkpt::TaskStatus(TaskStatus {
            state: Some(stage.wire()),
            timestamp_ms: Some((seconds() * 1e3) as i64),
            runner_pid: Some(me),
            runner_uid: i32::try_from(rustix::process::getuid().as_raw()).ok(),
            boot_id: reach.boot_id().map(str::to_owned),
            runner_start_ticks: reach.proc.stat(me).map(|stat| stat.ticks),
            ..TaskStatus::default()
        })
    };
    writer.push(&status(view.stage().unwrap_or(Stage::Active)));
    let same_boot = reach.is_this_boot(view.boot_id());
    let live: Vec<String> = view.live().map(|(name, _)| name.to_owned()).collect();
    for name in live {
        // What the coordinator recorded and the runner did not copy any more.
        let stream = files.read_stream(&format!("coordinator.{name}")).ok();
        if let Some(stream) = &stream {
            let mut reader = Reader::new();
            while let Ok(Next::Record(record)) = reader.next(stream) {
                if view.add(record.clone()).is_ok() {
                    writer.push(&record);
                }
            }
        }
        let Some((_, last)) = view.live().find(|(other, _)| *other == name) else { continue };
        if last.state == Some(ProcessState::WAITING) {
            continue;
        }
        let was_alive = same_boot && kill_run(&reach, last, stream.as_ref());
        let run = if was_alive { Run::Killed } else { Run::Lost };
        writer.push(&RunnerCkpt::ProcessStatus(ProcessStatus {
            seq: last.seq.map(|seq| seq.saturating_add(1)),
            process: Some(name),
            state: Some(run.wire()),
            stop_time: was_alive.then(|| Double(seconds())),
            return_code: was_alive.then_some(-9),
            ..ProcessStatus::default()
        }));
    }
    writer.push(&status(goal));
    writer.commit().map_err(failed("write", &path))?;
    Ok(files.retire_task()?)
}

/// SIGKILLs a coordinator, its descendants and its session. True if anything was alive.
fn kill_run(reach: &Reach, run: &ProcessStatus, stream: Option<&File>) -> bool {
    let Some(pid) = run.coordinator_pid else { return false };
    let claim = Claim {
        pid,
        ticks: run.coordinator_start_ticks,
        fork_time: run.fork_time.map_or(0.0, |time| time.0),
    };
    let coordinator = stream.and_then(|stream| reach.identify(&claim, stream));
    let tree = match &coordinator {
        Some(_) => reach.proc.descendants([pid]),
        None => Vec::new(),
    };
    if let Some(handle) = &coordinator {
        handle.signal(Signal::KILL);
    }
    for stat in &tree {
        reach.proc.signal(stat, Signal::KILL);
    }
    // Bash itself, if its coordinator is gone.
    let bash = run.pid.map(|pid| Claim {
        pid,
        ticks: run.start_ticks,
        fork_time: run.start_time.map_or(0.0, |time| time.0),
    });
    let bash = bash.and_then(|bash| reach.identify_bash(&bash, pid));
    if let Some(handle) = &bash {
        handle.signal(Signal::KILL);
    }
    // A leader that lives and was not identified is somebody else's.
    let is_free = || reach.proc.stat(pid).is_none_or(|stat| stat.zombie);
    let rest = (coordinator.is_some() || is_free()) && reach.kill_all(|| reach.session(pid, false));
    coordinator.is_some() || bash.is_some() || !tree.is_empty() || rest
}

fn seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec as f64 + (now.tv_nsec / 1000) as f64 / 1e6
}
