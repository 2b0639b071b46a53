//! What is measured: tasks under the runner, and the floor programs; started, timed, tidied up.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::interrupt::spawn;
use crate::stream::{self, Entry};
use crate::{Context, Result, floor, process_name};

const TASK_ID: &str = "bench";

/// Where the streams of the task under `dir` are.
pub(crate) fn stream_dir(dir: &Path) -> PathBuf {
    dir.join("root/checkpoints").join(TASK_ID)
}

/// How the processes of a task relate.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    Chain,
    Parallel,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Chain => "chain",
            Shape::Parallel => "parallel",
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Runner,
    FloorA,
    FloorB,
}

impl Subject {
    pub(crate) const ALL: [Subject; 3] = [Subject::Runner, Subject::FloorA, Subject::FloorB];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Runner => "thermos_runner",
            Subject::FloorA => "floor A: same forks, opens, writes",
            Subject::FloorB => "floor B: fork, exec bash, wait",
        }
    }
}

/// What one run took.
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// From the end of each process to the start of the next, in seconds; only for chains.
    pub(crate) gaps: Vec<f64>,
}

/// The directories of this benchmark, of which it leaves nothing behind.
#[derive(Clone)]
pub(crate) struct Places {
    /// Where tasks run.
    pub(crate) work: PathBuf,
    /// Where the programs are; apart, as a memory file system may be mounted `noexec`.
    programs: PathBuf,
}

impl Places {
    /// Tasks run in memory, if the environment does not say otherwise: creating files and
    /// directories on a disk takes as long as everything else together, and varies.
    pub(crate) fn choose() -> Places {
        let memory = Path::new("/dev/shm");
        let named = env::var_os("THERMOS_BENCH_DIR").map(PathBuf::from);
        let work = named.or_else(|| memory.is_dir().then(|| memory.to_owned()));
        let name = format!("thermos-bench-{}", std::process::id());
        Places {
            work: work.unwrap_or_else(env::temp_dir).join(&name),
            programs: env::temp_dir().join(format!("{name}-bin")),
        }
    }

    fn make(&self) -> Result<()> {
        for dir in [&self.work, &self.programs] {
            fs::create_dir(dir).with(|| format!("failed to make {}", dir.display()))?;
        }
        Ok(())
    }

    /// Whether nothing is left.
    pub(crate) fn remove(&self) -> bool {
        let gone = |dir: &PathBuf| fs::remove_dir_all(dir).is_ok() || !dir.exists();
        [&self.work, &self.programs].map(gone) == [true, true]
    }
}

/// What is measured. The programs are copies of its own, so that nothing else on the machine
/// shares their pages.
pub(crate) struct Bench {
    places: Places,
    runner: Option<PathBuf>,
    floor: PathBuf,
    runs: u32,
}

impl Bench {
    pub(crate) fn new(places: Places) -> Result<Bench> {
        places.make()?;
        let copy = |from: &Path, name: &str| {
            let to = places.programs.join(name);
            fs::copy(from, &to).with(|| format!("failed to copy {}", from.display()))?;
            Ok::<_, Box<dyn std::error::Error>>(to)
        };
        let own = env::current_exe().context("failed to find the benchmark program")?;
        let floor = copy(&own, "floor")?;
        let runner = find_runner(&own).map(|path| copy(&path, "thermos_runner")).transpose()?;
        Ok(Bench { places, runner, floor, runs: 0 })
    }

    fn fresh(&mut self) -> Result<PathBuf> {
        self.runs += 1;
        let dir = self.places.work.join(format!("run-{}", self.runs));
        fs::create_dir(&dir).with(|| format!("failed to make {}", dir.display()))?;
        Ok(dir)
    }

    /// Runs `count` processes once and says what it took.
    pub(crate) fn measure(
        &mut self,
        subject: Subject,
        shape: Shape,
        count: usize,
    ) -> Result<Sample> {
        let dir = self.fresh()?;
        let mut command = match subject {
            Subject::Runner => {
                let concurrency = 0;
                self.runner_command(&dir, &task(shape, count, concurrency, floor::COMMAND))?
            }
            Subject::FloorA => self.floor_command(shape.name(), count, &dir)?,
            Subject::FloorB => {
                self.floor_command(&format!("bare-{}", shape.name()), count, &dir)?
            }
        };
        let (cpu_before, begun) = (cpu_of_children()?, Instant::now());
        let mut child = spawn(&mut command)?;
        let status = child.wait().context("failed to wait for what is measured")?;
        let wall = begun.elapsed();
        let cpu = cpu_of_children()?.saturating_sub(cpu_before);
        reap();
        if let Subject::Runner = subject {
            verify(&dir, status, count)?;
        } else if !status.success() {
            let said = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
            return Err(format!("{} ended with {status}: {said}", subject.name()).into());
        }
        let gaps = match (subject, shape) {
            (Subject::FloorB, _) | (_, Shape::Parallel) => Vec::new(),
            _ => gaps(&stream_dir(&dir), count)?,
        };
        fs::remove_dir_all(&dir).with(|| format!("failed to remove {}", dir.display()))?;
        Ok(Sample { wall, cpu, gaps })
    }

    /// Starts a task of `count` processes and returns when `live` of them run.
    pub(crate) fn start(
        &mut self,
        count: usize,
        concurrency: usize,
        live: usize,
        command_line: &str,
    ) -> Result<Task> {
        let dir = self.fresh()?;
        let task_json = task(Shape::Parallel, count, concurrency, command_line);
        let child = spawn(&mut self.runner_command(&dir, &task_json)?)?;
        let mut task = Task { child, dir };
        let patience = Instant::now() + Duration::from_secs(60);
        while task.running()? < live {
            if let Some(status) = task.child.try_wait()? {
                let said = fs::read_to_string(task.dir.join("stderr")).unwrap_or_default();
                return Err(format!("the runner ended early with {status}: {said}").into());
            }
            if Instant::now() > patience {
                return Err(format!("{live} processes did not come to run in a minute").into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(task)
    }

    /// Starts the floor for memory: a parent and `count` children that wait on a pipe.
    pub(crate) fn start_idle(&mut self, count: usize) -> Result<Idle> {
        let dir = self.fresh()?;
        let mut command = self.floor_command("idle", count, &dir)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(&mut command)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let ready = |mut from: ChildStdout| io::Read::read_exact(&mut from, &mut [0]);
        ready(stdout.context("the floor has no output")?).context("the floor did not start")?;
        Ok(Idle { child, stdin })
    }

    /// A directory for a scenario that starts programs of its own.
    pub(crate) fn scratch(&mut self) -> Result<PathBuf> {
        self.fresh()
    }

    fn runner_command(&self, dir: &Path, task_json: &str) -> Result<Command> {
        let runner = self.runner.as_ref().context(
            "there is no thermos_runner beside this program; build it with the same profile \
             and target, or name one in THERMOS_RUNNER",
        )?;
        let json = dir.join("task.json");
        fs::write(&json, task_json).context("failed to write the task")?;
        let mut command = Command::new(runner);
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        command
            .arg(flag("thermos_json", &json))
            .arg(flag("sandbox", &dir.join("sandbox")))
            .arg(flag("checkpoint_root", &dir.join("root")))
            .arg(format!("--task_id={TASK_ID}"))
            .arg("--hostname=host.example");
        equip(&mut command, dir)?;
        Ok(command)
    }

    fn floor_command(&self, mode: &str, count: usize, dir: &Path) -> Result<Command> {
        let mut command = Command::new(&self.floor);
        command.arg("--floor").arg(mode).arg(count.to_string()).arg(dir);
        equip(&mut command, dir)?;
        Ok(command)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        kill_descendants();
        if !self.places.remove() {
            eprintln!("failed to remove {}", self.places.work.display());
        }
    }
}

/// A task that is being supervised. Dropping it ends it.
pub(crate) struct Task {
    child: Child,
    dir: PathBuf,
}

impl Task {
    pub(crate) fn runner_pid(&self) -> u32 {
        self.child.id()
    }

    /// The coordinators: the direct children of the runner.
    pub(crate) fn coordinators(&self) -> Vec<u32> {
        children_of(self.child.id())
    }

    fn running(&self) -> Result<usize> {
        let stream = fs::read(stream_dir(&self.dir).join("runner")).unwrap_or_default();
        let running =
            |entry: &&Entry| matches!(entry, Entry::Process { state: stream::RUNNING, .. });
        Ok(stream::entries(&stream)?.iter().filter(running).count())
    }
}

impl Drop for Task {
    /// Gives the task up with SIGUSR2, and ends what is left after ten seconds by force.
    fn drop(&mut self) {
        let patience = Instant::now() + Duration::from_secs(10);
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Failure means that it has ended already, which the wait below finds out.
            let _ = kill(Pid::from_raw(pid), Signal::SIGUSR2);
        }
        while Instant::now() < patience && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        kill_descendants();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A parent with idle children. Dropping it ends it.
pub(crate) struct Idle {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Idle {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// Gives a program that is measured the same surroundings, whichever it is: no input, output to a
/// file, a bare environment, a process group of its own so that ^C reaches the benchmark alone.
fn equip(command: &mut Command, dir: &Path) -> Result<()> {
    use std::os::unix::process::CommandExt;
    let stderr = File::create(dir.join("stderr")).context("failed to make an output file")?;
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", dir)
        .env("USER", "root")
        .env("LOGNAME", "root")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr);
    Ok(())
}

/// The runner named by the environment, or else the one built beside this program.
fn find_runner(own: &Path) -> Option<PathBuf> {
    if let Some(named) = env::var_os("THERMOS_RUNNER") {
        return Some(PathBuf::from(named));
    }
    // This program is PROFILE/deps/runner-HASH.
    let built = own.parent()?.parent()?.join("thermos_runner");
    built.is_file().then_some(built)
}

fn task(shape: Shape, count: usize, concurrency: usize, command_line: &str) -> String {
    let processes: Vec<String> = (0..count)
        .map(|i| {
            let name = process_name(i);
            format!(r#"{{"name":"{name}","cmdline":"{command_line}","min_duration":0}}"#)
        })
        .collect();
    let constraints = match shape {
        Shape::Parallel => String::new(),
        Shape::Chain => {
            let names: Vec<String> =
                (0..count).map(|i| format!("\"{}\"", process_name(i))).collect();
            format!(r#"{{"order":[{}]}}"#, names.join(","))
        }
    };
    format!(
        r#"{{"name":"bench","max_concurrency":{concurrency},"processes":[{}],"constraints":[{constraints}]}}"#,
        processes.join(",")
    )
}

/// A run that went wrong is no measurement.
fn verify(dir: &Path, status: ExitStatus, count: usize) -> Result<()> {
    let stream = fs::read(stream_dir(dir).join("runner")).unwrap_or_default();
    let entries = stream::entries(&stream)?;
    let succeeded = entries
        .iter()
        .filter(|entry| matches!(entry, Entry::Process { state: stream::SUCCESS, .. }))
        .count();
    let last = entries.iter().rev().find_map(|entry| match entry {
        Entry::Task { state } => Some(*state),
        _ => None,
    });
    if status.success() && succeeded == count && last == Some(stream::TASK_SUCCESS) {
        return Ok(());
    }
    let said = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
    Err(format!(
        "the task did not succeed: runner {status}, {succeeded} of {count} processes succeeded, \
         last task state {last:?}\n{said}"
    )
    .into())
}

/// From the recorded end of each process to the recorded start of the next.
fn gaps(streams: &Path, count: usize) -> Result<Vec<f64>> {
    let mut gaps = Vec::with_capacity(count);
    let mut previous: Option<f64> = None;
    for name in (0..count).map(process_name) {
        let bytes = fs::read(streams.join(format!("coordinator.{name}")))
            .with(|| format!("failed to read the stream of {name}"))?;
        let (mut started, mut stopped) = (None, None);
        for entry in stream::entries(&bytes)? {
            if let Entry::Process { start, stop, .. } = entry {
                started = started.or(start);
                stopped = stop.or(stopped);
            }
        }
        let started = started.with(|| format!("{name} has no start time"))?;
        gaps.extend(previous.map(|stopped| started - stopped));
        previous = Some(stopped.with(|| format!("{name} has no stop time"))?);
    }
    Ok(gaps)
}

/// CPU of all descendants that have been waited for.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("failed to read the CPU time")?;
    let duration = |time: TimeVal| {
        let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0))
            + Duration::from_micros(micros)
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// All live processes with their parents.
fn parents() -> Vec<(u32, u32)> {
    let Ok(listing) = fs::read_dir("/proc") else { return Vec::new() };
    let parent = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in parentheses, may itself hold blanks and parentheses.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        (state != "Z").then_some((pid, parent))
    };
    listing
        .flatten()
        .filter_map(|entry| parent(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    parents().into_iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| child).collect()
}

/// Ends every process that descends from this one; the benchmark is their subreaper, so none
/// escapes. Gives up on what does not die within five seconds.
pub(crate) fn kill_descendants() {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let parents = parents();
        let mut doomed = vec![std::process::id()];
        let mut next = 0;
        while let Some(parent) = doomed.get(next).copied() {
            doomed.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(child, _)| child));
            next += 1;
        }
        for pid in doomed.iter().skip(1).filter_map(|pid| i32::try_from(*pid).ok()) {
            // A process that has ended meanwhile is as good as killed.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if doomed.len() == 1 || Instant::now() > patience {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    reap();
}

/// Collects orphans that have ended.
fn reap() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(nix::sys::wait::WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Err(error) => return eprintln!("failed to wait for orphans: {error}"),
            Ok(_) => {}
        }
    }
}
