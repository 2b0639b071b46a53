//! The floors: what the kernel and bash cost when nothing supervises.
//!
//! A floor is a mode of this very program, started with `--floor MODE N DIR`, so that it forks from
//! a process that is small, fresh and single-threaded, like the runner itself. For figures that
//! compare like with like, build this program the way the runner is shipped: statically.
//!
//! | mode | what it does |
//! |---|---|
//! | `chain` | A: for each of N processes, one after the other, the forks, opens and writes that supervising it takes, and nothing else |
//! | `parallel` | A: the same, all launched first and reaped then |
//! | `bare-chain` | B: fork, exec bash, wait; N times |
//! | `bare-parallel` | B: fork and exec bash N times, then wait N times |
//! | `idle` | N forked children that each wait on a pipe; the floor for memory |

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{self, ForkResult, Pid};

use crate::stream::{FAILED, FORKED, RUNNING, SUCCESS, WAITING, process_record};
use crate::sys;
use crate::{Context, Result, process_name};

/// The command of every process that is timed.
pub(crate) const COMMAND: &str = "true";

/// Runs the mode that the arguments after `--floor` name.
pub(crate) fn main(mut args: impl Iterator<Item = String>) -> Result<()> {
    let mode = args.next().context("the floor needs a mode")?;
    let count = args.next().and_then(|n| n.parse().ok()).context("the floor needs a number")?;
    let dir = PathBuf::from(args.next().context("the floor needs a directory")?);
    let bash = Bash::new(&dir)?;
    match mode.as_str() {
        "chain" => supervised(&bash, &dir, count, true),
        "parallel" => supervised(&bash, &dir, count, false),
        "bare-chain" => bare(&bash, count, true),
        "bare-parallel" => bare(&bash, count, false),
        "idle" => idle(count),
        _ => Err(format!("there is no floor mode {mode:?}").into()),
    }
}

/// Everything that exec needs, made once.
struct Bash {
    path: CString,
    argv: [CString; 3],
    env: [CString; 4],
}

impl Bash {
    fn new(home: &Path) -> Result<Bash> {
        let path = CString::new("/bin/bash")?;
        let argv = [path.clone(), CString::new("-c")?, CString::new(COMMAND)?];
        let search = std::env::var("PATH").unwrap_or_default();
        let env = [
            CString::new(format!("HOME={}", home.display()))?,
            CString::new("LOGNAME=root")?,
            CString::new(format!("PATH={search}"))?,
            CString::new("USER=root")?,
        ];
        Ok(Bash { path, argv, env })
    }

    fn exec(&self) -> nix::Result<Infallible> {
        unistd::execve(&self.path, &self.argv, &self.env)
    }
}

fn supervised(bash: &Bash, dir: &Path, count: usize, one_by_one: bool) -> Result<()> {
    let streams = crate::subject::stream_dir(dir);
    let logs = dir.join("sandbox/.logs");
    fs::create_dir_all(&streams).context("failed to make the stream directory")?;
    fs::create_dir_all(&logs).context("failed to make the log directory")?;
    let mut floor = Floor {
        bash,
        runner: append(&streams.join("runner")).context("failed to open the runner stream")?,
        streams,
        logs,
    };
    let names: Vec<String> = (0..count).map(process_name).collect();
    if one_by_one {
        for name in &names {
            floor.waiting(name)?;
            let pid = floor.launch(name)?;
            waitpid(pid, None).context("failed to wait for a supervisor")?;
            floor.finished(name)?;
        }
    } else {
        for name in &names {
            floor.waiting(name)?;
        }
        for name in &names {
            floor.launch(name)?;
        }
        for name in &names {
            waitpid(None, None).context("failed to wait for a supervisor")?;
            floor.finished(name)?;
        }
    }
    Ok(())
}

struct Floor<'a> {
    bash: &'a Bash,
    runner: File,
    streams: PathBuf,
    logs: PathBuf,
}

impl Floor<'_> {
    fn waiting(&mut self, name: &str) -> Result<()> {
        self.runner.write_all(&process_record(name, 0, WAITING, 0, 0.0))?;
        Ok(())
    }

    fn launch(&mut self, name: &str) -> Result<Pid> {
        let mut log_dir = self.logs.join(name);
        fs::create_dir(&log_dir)?;
        log_dir.push("0");
        fs::create_dir(&log_dir)?;
        let mut stream = append(&self.streams.join(format!("coordinator.{name}")))?;
        stream.try_lock().context("failed to lock a coordinator stream")?;
        let (go, mut start) = io::pipe()?;
        let forked = now();
        match sys::fork()? {
            ForkResult::Child => {
                drop(start);
                let outcome = self.supervise(name, &log_dir, stream, go);
                sys::leave(i32::from(outcome.is_err()))
            }
            ForkResult::Parent { child } => {
                let record = process_record(name, 1, FORKED, child.as_raw(), forked);
                stream.write_all(&record)?;
                self.runner.write_all(&record)?;
                start.write_all(b"g")?;
                Ok(child)
            }
        }
    }

    /// Writes what a runner copies from the stream of a process that has ended. The contents do not
    /// matter here, their number and sizes do.
    fn finished(&mut self, name: &str) -> Result<()> {
        self.runner.write_all(&process_record(name, 2, RUNNING, 0, 0.0))?;
        self.runner.write_all(&process_record(name, 3, SUCCESS, 0, 0.0))?;
        Ok(())
    }

    /// The child's side: what a supervisor of one process cannot do without.
    fn supervise(
        &self,
        name: &str,
        log_dir: &Path,
        mut stream: File,
        mut go: PipeReader,
    ) -> Result<()> {
        unistd::setsid()?;
        let stdout = append(&log_dir.join("stdout"))?;
        let stderr = append(&log_dir.join("stderr"))?;
        go.read_exact(&mut [0])?;
        let started = now();
        match sys::fork()? {
            ForkResult::Child => {
                let failed = unistd::dup2_stdout(&stdout)
                    .and_then(|()| unistd::dup2_stderr(&stderr))
                    .and_then(|()| self.bash.exec());
                sys::leave(if failed.is_err() { 126 } else { 0 })
            }
            ForkResult::Parent { child } => {
                stream.write_all(&process_record(name, 2, RUNNING, child.as_raw(), started))?;
                let status = waitpid(child, None)?;
                let stopped = now();
                let (state, code) = match status {
                    WaitStatus::Exited(_, 0) => (SUCCESS, 0),
                    WaitStatus::Exited(_, code) => (FAILED, code),
                    _ => (FAILED, -1),
                };
                stream.write_all(&process_record(name, 3, state, code, stopped))?;
                Ok(())
            }
        }
    }
}

fn bare(bash: &Bash, count: usize, one_by_one: bool) -> Result<()> {
    for _ in 0..count {
        match sys::fork()? {
            ForkResult::Child => {
                let failed = bash.exec();
                sys::leave(if failed.is_err() { 126 } else { 0 })
            }
            ForkResult::Parent { child } if one_by_one => drop(waitpid(child, None)?),
            ForkResult::Parent { .. } => {}
        }
    }
    if !one_by_one {
        for _ in 0..count {
            waitpid(None, None)?;
        }
    }
    Ok(())
}

/// Forks `count` children that wait on a pipe, says so with a byte on stdout, and ends with them
/// when stdin does.
fn idle(count: usize) -> Result<()> {
    let (mut wait, hold) = io::pipe()?;
    for _ in 0..count {
        if let ForkResult::Child = sys::fork()? {
            drop(hold);
            let ended = wait.read(&mut [0]);
            sys::leave(i32::from(ended.is_err()));
        }
    }
    io::stdout().write_all(b"r")?;
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    drop(hold);
    for _ in 0..count {
        waitpid(None, None)?;
    }
    Ok(())
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
