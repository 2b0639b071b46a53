//! Helpers of the end-to-end tests, which run the shipped binaries on this machine, as root.
//!
//! A test makes a [`World`], starts a [`Runner`] in it, waits for what should happen, always with
//! a limit, and lets both go: whatever is left of the task is then killed and removed. What cannot
//! be had (root, a program, a binary) makes a test fail with the reason; nothing is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid, getsid};
use tempfile::TempDir;

pub mod masters;
pub mod mesos;
pub mod scheduler;
pub mod strace;
pub mod stream;

use stream::{ProcessStatus, Record};

/// Fails unless the test runs as root.
pub fn need_root() {
    assert!(geteuid().is_root(), "this test makes namespaces and changes users: run it as root");
}

/// Fails unless `name` is a program on the search path. `package` is the Debian package it is in.
pub fn need_program(name: &str, package: &str) {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|dir| dir.join(name).is_file());
    assert!(found, "this test needs the program {name}: apt-get install {package}");
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What the reader of checkpoint streams in `tests/golden` makes of a stream, one line a record.
pub fn tckpt(stream: &Path) -> String {
    need_program("python3", "python3");
    let tool = workspace().join("tests/golden/tckpt.py");
    let output = Command::new("python3").arg("-B").arg(tool).arg(stream).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", stream.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The binaries under test.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `thermos_runner`.
    pub runner: PathBuf,
    /// `thermos`.
    pub thermos: PathBuf,
}

impl Binaries {
    /// Those in the directory that `THERMOS_BIN` names. Without it, those in `release` beside this
    /// test's own profile, or else in `debug`.
    pub fn find() -> Binaries {
        let [runner, thermos] = Binaries::named(["thermos_runner", "thermos"]);
        Binaries { runner, thermos }
    }

    /// `thermos_runner` alone, from the same places.
    pub fn runner() -> PathBuf {
        let [runner] = Binaries::named(["thermos_runner"]);
        runner
    }

    fn named<const N: usize>(names: [&str; N]) -> [PathBuf; N] {
        let test = env::current_exe().unwrap();
        // Tests are TARGET/PROFILE/deps/NAME-HASH.
        let target = test.ancestors().nth(3).unwrap();
        let places = match env::var_os("THERMOS_BIN") {
            Some(dir) => vec![PathBuf::from(dir)],
            None => vec![target.join("release"), target.join("debug")],
        };
        let all = |dir: &PathBuf| names.map(|name| dir.join(name));
        let found = places.iter().map(all).find(|files| files.iter().all(|file| file.is_file()));
        found.unwrap_or_else(|| {
            panic!(
                "no directory of {places:?} has all of {names:?}: build them with \
                 `cargo build --release -p thermos-runner` and `-p thermos-cli`, or name their \
                 directory in THERMOS_BIN"
            )
        })
    }
}

/// A program of this workspace: in the directory that `THERMOS_BIN` names, or else of this test's own
/// profile.
pub fn program(name: &str, package: &str) -> PathBuf {
    let test = env::current_exe().unwrap();
    let named = env::var_os("THERMOS_BIN").map(PathBuf::from);
    let own = test.ancestors().nth(2).map(Path::to_owned);
    let mut files = named.into_iter().chain(own).map(|dir| dir.join(name));
    files
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("there is no {name}: build it with `cargo build -p {package}`"))
}

/// Calls `probe` until it gives something, and fails when that takes longer than `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < limit, "gave up waiting for {what} after {limit:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A directory of its own for one test: sandbox and checkpoint root of its tasks. Dropping it kills
/// what still runs in it and removes it.
#[derive(Debug)]
pub struct World {
    dir: TempDir,
}

impl World {
    /// An empty world.
    #[allow(clippy::new_without_default)]
    pub fn new() -> World {
        // Other users' processes must get through to their sandbox.
        let open = fs::Permissions::from_mode(0o755);
        let builder = |name| tempfile::Builder::new().prefix(name).permissions(open).tempdir();
        World { dir: builder("thermos-test-").unwrap() }
    }

    /// The directory that holds all the others.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The sandbox, which the runner makes if the test does not.
    pub fn sandbox(&self) -> PathBuf {
        self.path().join("sandbox")
    }

    /// The checkpoint root.
    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// The directory of a task's checkpoint streams.
    pub fn streams(&self, task_id: &str) -> PathBuf {
        self.root().join("checkpoints").join(task_id)
    }

    /// What runs in this world: every live process that has its directory as, or in, its working
    /// or root directory, environment or command line (as runners, their coordinators and, by
    /// HOME, their processes do), and every process of a session that one of these has made.
    pub fn leftovers(&self) -> Vec<Process> {
        let own = getsid(None).unwrap().as_raw();
        let all = Process::all();
        let inside = |process: &&Process| process.mentions(self.path());
        let sessions: HashSet<i32> =
            all.iter().filter(inside).map(|process| process.session).collect();
        let belongs = |process: &Process| {
            process.mentions(self.path())
                || (process.session != own && sessions.contains(&process.session))
        };
        all.into_iter().filter(belongs).collect()
    }

    /// Waits until nothing is left, and fails with a listing when something is after `limit`.
    pub fn wait_until_empty(&self, limit: Duration) {
        let begun = Instant::now();
        while !self.leftovers().is_empty() {
            let left = || self.leftovers();
            assert!(begun.elapsed() < limit, "still running after {limit:?}: {:#?}", left());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until nothing is left of the tasks: no process, no open file of theirs in any process,
    /// and no lock on a stream.
    pub fn wait_until_clean(&self, limit: Duration) {
        self.wait_until_empty(limit);
        let begun = Instant::now();
        loop {
            let held: Vec<String> = self.open_files().into_iter().chain(self.locks()).collect();
            if held.is_empty() {
                return;
            }
            assert!(begun.elapsed() < limit, "still held after {limit:?}: {held:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The open files in this world, of any process.
    fn open_files(&self) -> Vec<String> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let fds = processes.filter_map(|entry| fs::read_dir(entry.path().join("fd")).ok());
        let links = fds.flatten().flatten().map(|fd| fd.path());
        let inside = |link: &PathBuf| {
            fs::read_link(link).is_ok_and(|to| to.starts_with(self.path()) && to != self.path())
        };
        links.filter(inside).map(|link| format!("open: {}", link.display())).collect()
    }

    /// The checkpoint streams that somebody has locked.
    fn locks(&self) -> Vec<String> {
        let Ok(tasks) = fs::read_dir(self.root().join("checkpoints")) else { return Vec::new() };
        let tasks = tasks.flatten().filter_map(|task| fs::read_dir(task.path()).ok());
        let streams = tasks.flatten().flatten().filter(|it| it.file_type().unwrap().is_file());
        let locked = |path: &PathBuf| File::open(path).is_ok_and(|file| file.try_lock().is_err());
        let paths = streams.map(|stream| stream.path()).filter(locked);
        paths.map(|path| format!("locked: {}", path.display())).collect()
    }

    /// Kills what is left, again until nothing is; says how many processes that were.
    pub fn kill_all(&self) -> usize {
        let mut killed = HashSet::new();
        let begun = Instant::now();
        loop {
            let left = self.leftovers();
            if left.is_empty() || begun.elapsed() > Duration::from_secs(10) {
                return killed.len();
            }
            for process in left {
                // It may have ended meanwhile, which is as good.
                let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
                killed.insert(process.pid);
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// A live process, as /proc shows it.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent: i32,
    /// Its session's.
    pub session: i32,
    /// Its arguments, each followed by a blank.
    pub command: String,
}

impl Process {
    /// Every process but zombies and those that end while we look.
    pub fn all() -> Vec<Process> {
        let names = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name());
        names.filter_map(|name| Process::read(name.to_str()?.parse().ok()?)).collect()
    }

    /// The live process with this number.
    pub fn read(pid: i32) -> Option<Process> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat).into_owned();
        // The name, in parentheses, may itself hold blanks and parentheses.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        if matches!(fields.next()?, "Z" | "X") {
            return None;
        }
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(1)?.parse().ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some(Process { pid, parent, session, command })
    }

    /// Whether the path occurs in what the process was started with or is in.
    fn mentions(&self, path: &Path) -> bool {
        let file = |name: &str| PathBuf::from(format!("/proc/{}/{name}", self.pid));
        let link = |name| fs::read_link(file(name)).is_ok_and(|to| to.starts_with(path));
        let text = |name| fs::read(file(name)).is_ok_and(|text| contains(&text, path.as_os_str()));
        link("cwd") || link("root") || text("environ") || text("cmdline")
    }
}

fn contains(text: &[u8], part: &OsStr) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

/// A `thermos_runner` that supervises one task. Dropping it kills the runner itself; its world
/// takes care of what it leaves.
#[derive(Debug)]
pub struct Runner {
    child: Child,
    output: PathBuf,
    streams: PathBuf,
}

impl Runner {
    /// Starts the runner on a task given as JSON, in the world's sandbox and checkpoint root, with
    /// further arguments. To start another one on the same task, call this again.
    pub fn start(world: &World, task_id: &str, task_json: &str, args: &[&str]) -> Runner {
        Runner::start_under(world, &[], task_id, task_json, args)
    }

    /// The same, started by another command that is given the runner and its arguments, such as
    /// `nohup`. If that does not become the runner, [`Runner::pid`] and the like are about it.
    pub fn start_under(
        world: &World,
        command: &[&str],
        task_id: &str,
        task_json: &str,
        args: &[&str],
    ) -> Runner {
        let json = world.path().join(format!("{task_id}.json"));
        fs::write(&json, task_json).unwrap();
        let output = world.path().join(format!("{task_id}.output"));
        let writer = File::options().create(true).append(true).open(&output).unwrap();
        let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let runner = Binaries::runner().into_os_string();
        let mut words = command.iter().map(OsString::from).chain([runner]);
        let child = Command::new(words.next().unwrap())
            .args(words)
            .arg(flag("thermos_json", &json))
            .arg(flag("sandbox", &world.sandbox()))
            .arg(flag("checkpoint_root", &world.root()))
            .arg(format!("--task_id={task_id}"))
            .arg("--hostname=host.example")
            .args(args)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        Runner { child, output, streams: world.streams(task_id) }
    }

    /// Runs a task to its end, which must come within half a minute, be one (exit code 0) and leave
    /// nothing behind.
    pub fn run(world: &World, task_id: &str, task_json: &str, args: &[&str]) -> Runner {
        let mut runner = Runner::start(world, task_id, task_json, args);
        runner.finish(world);
        runner
    }

    /// Waits for the end of the task, which must come within half a minute, be one (exit code 0) and
    /// leave nothing behind.
    pub fn finish(&mut self, world: &World) {
        let limit = Duration::from_secs(30);
        let status = self.wait(limit);
        let states = || stream::states(&self.records());
        assert!(status.success(), "{status}: {}\n{:#?}", self.output(), states());
        world.wait_until_clean(limit);
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for it to end, and fails when that takes longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            let output = || self.output();
            assert!(begun.elapsed() < limit, "the runner has not ended: {}", output());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has printed, on stdout and stderr.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// The records of the runner stream so far.
    pub fn records(&self) -> Vec<Record> {
        stream::records(&fs::read(self.streams.join("runner")).unwrap_or_default())
    }

    /// Waits until a run of the process has come to the state, and gives the last such record.
    pub fn wait_process(&self, process: &str, state: &str, limit: Duration) -> ProcessStatus {
        self.wait_record(&format!("{process} {state}"), limit, |record| match record {
            Record::Process(it) if it.process == process && it.state == state => Some(it),
            _ => None,
        })
    }

    /// Waits until the task has come to the state.
    pub fn wait_task(&self, state: &str, limit: Duration) {
        self.wait_record(&format!("task {state}"), limit, |record| match record {
            Record::Task(it) if it.state == state => Some(()),
            _ => None,
        });
    }

    /// Waits until `wanted` finds a record, and gives what it makes of the last one it finds.
    pub fn wait_record<T>(
        &self,
        what: &str,
        limit: Duration,
        mut wanted: impl FnMut(Record) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        loop {
            let records = self.records();
            let states = stream::states(&records);
            if let Some(found) = records.into_iter().filter_map(&mut wanted).next_back() {
                return found;
            }
            let output = || self.output();
            assert!(
                begun.elapsed() < limit,
                "no {what} in {limit:?} but {states:#?}; the runner said: {}",
                output()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what they are for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
