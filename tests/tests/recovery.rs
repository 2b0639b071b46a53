//! The runner comes back: after its own death and that of others, to torn, forged and strange
//! streams, and with a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use aurora_api::thermos::{ProcessState, ProcessStatus, RunnerCkpt};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value as Json, json};
use thermos_tests::stream::{self, Record, outcomes, runs, states, task_state};
use thermos_tests::{Process, Runner, World, need_program, need_root, strace, tckpt, wait_for};
use thrift_wire::{Double, binary};

const SOON: Duration = Duration::from_secs(20);

fn process(name: &str, cmdline: &str) -> Json {
    json!({"name": name, "cmdline": cmdline, "min_duration": 0})
}

fn task(processes: &[Json]) -> String {
    json!({"processes": processes}).to_string()
}

/// A process that runs until there is a file `go`, the first time; later it just succeeds.
fn once(name: &str) -> Json {
    process(
        name,
        "[ -e up ] && exit 0; sleep 301 & touch up; until [ -e go ]; do sleep 0.05; done; \
         echo done",
    )
}

fn go(world: &World) {
    fs::write(world.sandbox().join("go"), "").unwrap();
}

fn wait_up(world: &World) {
    wait_for("the process", SOON, || world.sandbox().join("up").exists().then_some(()));
}

fn kill_pid(pid: i64) {
    // It may be gone already, with what was killed before.
    let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
}

/// Waits for the end of a process of which somebody else is the parent.
fn wait_gone(pid: i64) {
    let pid = i32::try_from(pid).unwrap();
    wait_for("the end of it", SOON, || Process::read(pid).is_none().then_some(()));
}

#[test]
fn killed_at_system_calls() {
    strace::kill_at_calls(23);
}

#[test]
fn whoever_dies_the_task_goes_on() {
    need_root();
    let cases: [(&[&str], &[&str]); 7] = [
        (&["runner"], &["SUCCESS"]),
        (&["coordinator"], &["LOST", "SUCCESS"]),
        (&["bash"], &["KILLED", "SUCCESS"]),
        (&["coordinator", "bash"], &["LOST", "SUCCESS"]),
        (&["runner", "coordinator"], &["LOST", "SUCCESS"]),
        (&["runner", "bash"], &["KILLED", "SUCCESS"]),
        (&["runner", "coordinator", "bash"], &["LOST", "SUCCESS"]),
    ];
    for user in [&[][..], &["--setuid=nobody"]] {
        for (dead, expected) in cases {
            let world = World::new();
            // The task's user must be able to write here.
            fs::create_dir(world.sandbox()).unwrap();
            chown(world.sandbox(), Some(65534), Some(65534)).unwrap();
            let task = task(&[once("a")]);
            let mut runner = Runner::start(&world, "deaths", &task, user);
            let running = runner.wait_process("a", "RUNNING", SOON);
            let forked = runner.wait_process("a", "FORKED", SOON);
            wait_up(&world);
            for victim in dead {
                match *victim {
                    "runner" => {
                        runner.signal(Signal::SIGKILL);
                        runner.wait(SOON);
                    }
                    "coordinator" => kill_pid(forked.coordinator_pid.unwrap()),
                    _ => kill_pid(running.pid.unwrap()),
                }
            }
            if dead.contains(&"runner") {
                if dead.len() > 1 {
                    wait_gone(running.pid.unwrap());
                    wait_gone(forked.coordinator_pid.unwrap());
                }
                runner = Runner::start(&world, "deaths", &task, user);
            }
            if dead == ["runner"] {
                go(&world);
            }
            runner.finish(&world);
            let records = runner.records();
            let context = || format!("{dead:?} {user:?}: {:#?}", states(&records));
            assert_eq!(task_state(&records), Some("SUCCESS"), "{}", context());
            assert_eq!(outcomes(&records, "a"), expected, "{}", context());
        }
    }
}

#[test]
fn killed_again_and_again() {
    need_root();
    let world = World::new();
    let names: Vec<String> = (0..10).map(|i| format!("p{i}")).collect();
    let processes: Vec<Json> = names
        .iter()
        .map(|name| process(name, &format!("echo {name} >> order; sleep 0.05")))
        .collect();
    let task = json!({"processes": processes, "constraints": [{"order": names}]}).to_string();
    let begun = Instant::now();
    for attempt in 0u64.. {
        let mut runner = Runner::start(&world, "again", &task, &[]);
        let deadline = Instant::now() + Duration::from_millis(20 + attempt * 37 % 60);
        let is_over = || {
            runner
                .records()
                .iter()
                .any(|it| matches!(it, Record::Task(it) if it.state == "SUCCESS"))
        };
        while Instant::now() < deadline && !is_over() {
            thread::sleep(Duration::from_millis(2));
        }
        if is_over() {
            runner.finish(&world);
            break;
        }
        runner.signal(Signal::SIGKILL);
        runner.wait(SOON);
        assert!(begun.elapsed() < SOON, "{:#?}", states(&runner.records()));
    }
    let order = fs::read_to_string(world.sandbox().join("order")).unwrap();
    assert!(order.lines().eq(names.iter()), "{order}");
}

#[test]
fn a_kill_survives_the_death_of_the_runner() {
    need_root();
    let world = World::new();
    let deaf = process("a", r#"trap "" TERM; touch up; while :; do sleep 0.05; done"#);
    let mut last = process("last", "true");
    last["final"] = true.into();
    let task = task(&[deaf, last]);
    let args = ["--stop_grace_secs=2"];
    let mut runner = Runner::start(&world, "goal", &task, &args);
    wait_up(&world);
    runner.signal(Signal::SIGTERM);
    runner.wait_task("CLEANING", SOON);
    runner.signal(Signal::SIGKILL);
    runner.wait(SOON);
    let begun = Instant::now();
    // Told once is enough; and the time goes on.
    let mut runner = Runner::start(&world, "goal", &task, &args);
    runner.finish(&world);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"), "{:#?}", states(&records));
    assert_eq!(outcomes(&records, "a"), ["KILLED"]);
}

/// Copies of the files of a task's checkpoint.
struct Snapshot {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Snapshot {
    fn of(world: &World, task_id: &str) -> Snapshot {
        let streams = fs::read_dir(world.streams(task_id)).unwrap().map(|it| it.unwrap().path());
        let active = world.root().join("tasks/active").join(task_id);
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        Snapshot { files: streams.chain([active]).map(read).collect() }
    }

    fn stream(&self, name: &str) -> &[u8] {
        let named = |(path, _): &&(PathBuf, Vec<u8>)| path.file_name().unwrap() == name;
        &self.files.iter().find(named).unwrap().1
    }

    /// Puts all of it back into the same files, with other contents of one stream.
    fn restore(&self, world: &World, name: &str, content: &[u8]) {
        // There is none before the first end of the task.
        let _ = fs::remove_dir_all(world.root().join("tasks/finished"));
        for (path, bytes) in &self.files {
            let is_it = path.file_name().unwrap() == name;
            fs::write(path, if is_it { content } else { bytes }).unwrap();
        }
    }
}

/// Where the last record of a stream begins.
fn last_record(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if at + 4 + length == bytes.len() {
            return at;
        }
        at += 4 + length;
    }
}

#[test]
fn a_runner_stream_torn_at_any_byte_is_taken_over() {
    need_root();
    let world = World::new();
    let task = task(&[once("a")]);
    let mut runner = Runner::start(&world, "torn", &task, &[]);
    runner.wait_process("a", "RUNNING", SOON);
    wait_up(&world);
    runner.signal(Signal::SIGKILL);
    runner.wait(SOON);
    let whole = Snapshot::of(&world, "torn");
    let bytes = whole.stream("runner");
    let mut cuts: Vec<usize> = (last_record(bytes)..bytes.len()).collect();
    cuts.reverse();
    let last = cuts.len() - 1;
    for (i, cut) in cuts.into_iter().enumerate() {
        whole.restore(&world, "runner", &bytes[..cut]);
        let mut runner = Runner::start(&world, "torn", &task, &[]);
        // It knows from the coordinator's stream what is missing in its own.
        runner.wait_process("a", "RUNNING", SOON);
        if i < last {
            wait_for("control", SOON, || {
                let active = |it: &&Record| matches!(it, Record::Task(it) if it.state == "ACTIVE");
                (runner.records().iter().filter(active).count() == 2).then_some(())
            });
            runner.signal(Signal::SIGKILL);
            runner.wait(SOON);
            continue;
        }
        go(&world);
        runner.finish(&world);
        let records = runner.records();
        assert_eq!(task_state(&records), Some("SUCCESS"), "cut at {cut}");
        assert_eq!(outcomes(&records, "a"), ["SUCCESS"], "cut at {cut}");
        assert!(!tckpt(&world.streams("torn").join("runner")).contains("TRUNCATED"));
    }
    let log = fs::read_to_string(world.sandbox().join(".logs/a/0/stdout")).unwrap();
    assert_eq!(log, "done\n");
}

#[test]
fn a_coordinator_stream_torn_at_any_byte_is_a_lost_run() {
    need_root();
    let world = World::new();
    let task = task(&[once("a")]);
    let mut runner = Runner::start(&world, "torn", &task, &[]);
    let forked = runner.wait_process("a", "FORKED", SOON);
    runner.wait_process("a", "RUNNING", SOON);
    wait_up(&world);
    runner.signal(Signal::SIGKILL);
    runner.wait(SOON);
    // The run ends while nobody looks.
    go(&world);
    wait_gone(forked.coordinator_pid.unwrap());
    let whole = Snapshot::of(&world, "torn");
    let bytes = whole.stream("coordinator.a");
    assert_eq!(states(&stream::records(bytes)).len(), 3);
    let from = last_record(bytes);
    for cut in (from..=bytes.len()).rev() {
        whole.restore(&world, "coordinator.a", &bytes[..cut]);
        let mut runner = Runner::start(&world, "torn", &task, &[]);
        let status = runner.wait(SOON);
        assert!(status.success(), "cut at {cut}: {status}: {}", runner.output());
        let records = runner.records();
        assert_eq!(task_state(&records), Some("SUCCESS"), "cut at {cut}");
        let expected: &[&str] =
            if cut == bytes.len() { &["SUCCESS"] } else { &["LOST", "SUCCESS"] };
        assert_eq!(outcomes(&records, "a"), expected, "cut at {cut}");
        stream::records(&fs::read(world.streams("torn").join("coordinator.a")).unwrap());
        if cut % 8 == 0 {
            let said = tckpt(&world.streams("torn").join("coordinator.a"));
            assert!(!said.contains("TRUNCATED"), "cut at {cut}: {said}");
        }
    }
    world.wait_until_clean(SOON);
}

/// The records of a stream, each changed as wanted.
fn forge(bytes: &[u8], change: impl Fn(&mut RunnerCkpt)) -> Vec<u8> {
    let mut rest = bytes;
    let mut forged = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let (payload, more) = more.split_at(u32::from_be_bytes(*length) as usize);
        rest = more;
        let mut record: RunnerCkpt = binary::from_slice(payload).unwrap();
        change(&mut record);
        let payload = binary::to_vec(&record);
        forged.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        forged.extend(payload);
    }
    forged
}

/// Somebody's process, which leads a session.
struct Victim {
    child: Child,
}

impl Victim {
    fn new(uid: u32) -> Victim {
        need_program("setpriv", "util-linux");
        let child = Command::new("setsid")
            .args(["setpriv", &format!("--reuid={uid}"), "--clear-groups", "sleep", "304"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let victim = Victim { child };
        wait_for("the victim", SOON, || {
            (Process::read(victim.pid())?.command.trim_end() == "sleep 304").then_some(())
        });
        victim
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    fn assert_unharmed(&mut self, context: &str) {
        thread::sleep(Duration::from_millis(50));
        assert!(self.child.try_wait().unwrap().is_none(), "a stranger was signalled: {context}");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// When a process started, in clock ticks since boot.
fn start_ticks(pid: i32) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(19).unwrap().parse().unwrap()
}

fn seconds_since_epoch(pid: i32) -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap();
    boot.parse::<f64>().unwrap() + start_ticks(pid) as f64 / 100.0
}

/// What a forged stream says about a process that is none of the task's.
#[derive(Debug, Clone, Copy)]
enum Claim {
    /// The truth: its start ticks and times.
    Exact,
    /// Another process had this pid, but it started at about the same time.
    OtherTicks,
    /// The same ticks after another boot.
    OtherBoot,
    /// A stream without ticks, as the original writes, and the time is right.
    TimeOnly,
    /// The same, and the time is that of another process.
    OtherTime,
}

/// Takes over a task of `nobody` whose stream names the victim as coordinator and bash, and ends it
/// in all ways.
fn take_over_with_claim(victim: i32, claim: Claim) -> String {
    let world = World::new();
    fs::create_dir(world.sandbox()).unwrap();
    chown(world.sandbox(), Some(65534), Some(65534)).unwrap();
    let task = task(&[once("a")]);
    let args = ["--setuid=nobody", "--stop_grace_secs=1"];
    let mut runner = Runner::start(&world, "forged", &task, &args);
    let running = runner.wait_process("a", "RUNNING", SOON);
    let forked = runner.wait_process("a", "FORKED", SOON);
    wait_up(&world);
    runner.signal(Signal::SIGKILL);
    runner.wait(SOON);
    kill_pid(forked.coordinator_pid.unwrap());
    wait_gone(running.pid.unwrap());
    world.kill_all();
    let ticks = match claim {
        Claim::Exact | Claim::OtherBoot => Some(start_ticks(victim)),
        Claim::OtherTicks => Some(start_ticks(victim) - 1),
        Claim::TimeOnly | Claim::OtherTime => None,
    };
    let off = if matches!(claim, Claim::OtherTime) { 11.0 } else { 0.0 };
    let time = Some(Double(seconds_since_epoch(victim) - off));
    let change = |record: &mut RunnerCkpt| match record {
        RunnerCkpt::ProcessStatus(it) => {
            if it.coordinator_pid.is_some() {
                it.coordinator_pid = Some(victim);
                it.coordinator_start_ticks = ticks;
                it.fork_time = time;
            }
            if it.pid.is_some() {
                it.pid = Some(victim);
                it.start_ticks = ticks;
                it.start_time = time;
            }
        }
        RunnerCkpt::TaskStatus(it) => match claim {
            Claim::OtherBoot => it.boot_id = Some("01234567-89ab-cdef-0123-456789abcdef".into()),
            Claim::TimeOnly | Claim::OtherTime => it.boot_id = None,
            Claim::Exact | Claim::OtherTicks => {}
        },
        _ => {}
    };
    for name in ["runner", "coordinator.a"] {
        let path = world.streams("forged").join(name);
        let forged = forge(&fs::read(&path).unwrap(), change);
        fs::write(&path, forged).unwrap();
    }
    let whole = Snapshot::of(&world, "forged");
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
        whole.restore(&world, "", &[]);
        let mut runner = Runner::start(&world, "forged", &task, &args);
        // The handlers are installed before the stream is opened.
        wait_for("control", SOON, || {
            let active = |it: &&Record| matches!(it, Record::Task(it) if it.state == "ACTIVE");
            (runner.records().iter().filter(active).count() >= 2).then_some(())
        });
        // It may be over by now.
        runner.signal(signal);
        let status = runner.wait(SOON);
        assert!(status.success(), "{claim:?} {signal}: {status}: {}", runner.output());
    }
    // Left alone, the run is lost, and is done again.
    whole.restore(&world, "", &[]);
    let mut runner = Runner::start(&world, "forged", &task, &args);
    runner.finish(&world);
    states(&runner.records()).join("\n")
}

#[test]
fn strangers_that_a_stream_names_are_not_signalled() {
    need_root();
    // Other users' processes, root's among them, whatever the stream says about them.
    for uid in [0, 1] {
        for claim in [Claim::Exact, Claim::TimeOnly] {
            let mut victim = Victim::new(uid);
            let said = take_over_with_claim(victim.pid(), claim);
            let context = format!("uid {uid}, {claim:?}: {said}");
            victim.assert_unharmed(&context);
            assert!(said.contains("LOST") && said.ends_with("TASK SUCCESS"), "{context}");
        }
    }
}

#[test]
fn processes_that_took_over_a_recorded_pid_are_not_signalled() {
    need_root();
    // Even those of the task's user.
    for claim in [Claim::OtherTicks, Claim::OtherBoot, Claim::OtherTime] {
        let mut victim = Victim::new(65534);
        let said = take_over_with_claim(victim.pid(), claim);
        let context = format!("{claim:?}: {said}");
        victim.assert_unharmed(&context);
        assert!(said.contains("LOST") && said.ends_with("TASK SUCCESS"), "{context}");
    }
}

#[test]
fn another_tasks_coordinator_is_not_taken_for_ours() {
    need_root();
    let other = World::new();
    let runner =
        Runner::start(&other, "other", &task(&[process("a", "touch up; sleep 305; true")]), &[]);
    let forked = runner.wait_process("a", "FORKED", SOON);
    runner.wait_process("a", "RUNNING", SOON);
    wait_up(&other);
    let victim = i32::try_from(forked.coordinator_pid.unwrap()).unwrap();
    let said =
        thread::scope(|scope| scope.spawn(|| take_over_with_claim(victim, Claim::Exact)).join());
    let last = outcomes(&runner.records(), "a");
    assert_eq!(last, ["RUNNING"], "the other task: {:#?}", states(&runner.records()));
    assert!(Process::read(victim).is_some(), "it was killed");
    assert!(said.is_ok(), "the task did not go on without it");
}

/// Runs a task whose checkpoint somebody has prepared, and gives exit code and output.
fn run_on(world: &World, args: &[&str]) -> (Option<i32>, String) {
    let mut runner = Runner::start(world, "strange", &task(&[process("a", "true")]), args);
    let begun = Instant::now();
    let status = runner.wait(SOON);
    assert!(begun.elapsed() < Duration::from_secs(5), "it was held up");
    (status.code(), runner.output())
}

/// Puts something in the way, given the path and that of a file that must not change.
type Make = fn(&Path, &Path);

/// What can stand in the way of a stream.
const OBSTACLES: &[(&str, Make)] = &[
    ("pipe", |path, _| mkfifo(path, Mode::from_bits_truncate(0o666)).unwrap()),
    ("link", |path, target| symlink(target, path).unwrap()),
    ("link to nothing", |path, target| symlink(target.with_extension("x"), path).unwrap()),
    ("directory", |path, _| fs::create_dir(path).unwrap()),
    ("socket", |path, _| drop(UnixListener::bind(path).unwrap())),
    ("foreign file", |path, _| {
        fs::write(path, "").unwrap();
        chown(path, Some(65534), Some(65534)).unwrap();
    }),
    ("device", |path, _| {
        assert!(Command::new("mknod").arg(path).args(["c", "1", "3"]).status().unwrap().success());
    }),
];

/// A world in whose checkpoint something stands in the way of a stream.
fn obstructed(stream: &str, make: Make) -> (World, PathBuf) {
    let world = World::new();
    fs::create_dir_all(world.streams("strange")).unwrap();
    let target = world.path().join("target");
    fs::write(&target, "untouched").unwrap();
    let path = world.streams("strange").join(stream);
    make(&path, &target);
    (world, path)
}

fn assert_untouched(world: &World, what: &str) {
    let target = world.path().join("target");
    assert_eq!(fs::read(&target).unwrap(), b"untouched", "{what}");
    assert_eq!(fs::metadata(&target).unwrap().uid(), 0, "{what}");
    assert!(!target.with_extension("x").exists(), "{what}");
}

#[test]
fn what_is_no_stream_is_refused() {
    need_root();
    for (what, make) in OBSTACLES {
        let (world, path) = obstructed("runner", *make);
        let (code, said) = run_on(&world, &["--setuid=nobody"]);
        assert_eq!(code, Some(103), "{what}: {said}");
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
        assert!(said.contains(path.to_str().unwrap()), "{what}: {said}");
        assert!(!world.sandbox().exists(), "{what}");
        assert_untouched(&world, what);
        world.wait_until_clean(SOON);
    }
}

#[test]
fn a_coordinator_stream_that_is_none_fails_the_process_only() {
    need_root();
    for (what, make) in OBSTACLES {
        let (world, _) = obstructed("coordinator.a", *make);
        let processes = [process("a", "true"), process("b", "echo fine")];
        let all = json!({"processes": processes, "max_failures": 2}).to_string();
        let mut runner = Runner::start(&world, "strange", &all, &["--setuid=nobody"]);
        runner.finish(&world);
        let records = runner.records();
        assert_eq!(task_state(&records), Some("SUCCESS"), "{what}");
        assert_eq!(outcomes(&records, "a"), ["FAILED"], "{what}");
        assert_eq!(outcomes(&records, "b"), ["SUCCESS"], "{what}");
        let reason = runs(&records, "a").concat().pop().unwrap().reason.unwrap();
        assert!(reason.contains("coordinator.a"), "{what}: {reason}");
        assert_untouched(&world, what);
    }
}

#[test]
fn links_among_the_checkpoint_directories_are_refused() {
    need_root();
    for name in ["checkpoints", "checkpoints/strange", "tasks", "tasks/active"] {
        let world = World::new();
        let elsewhere = world.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let link = world.root().join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(&elsewhere, &link).unwrap();
        let (code, said) = run_on(&world, &[]);
        assert_eq!(code, Some(103), "{name}: {said}");
        assert!(said.contains(link.to_str().unwrap()), "{name}: {said}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{name}");
        assert!(!world.sandbox().exists(), "{name}");
    }
}

#[test]
fn garbage_in_a_stream_is_refused_and_processes_left_alone() {
    need_root();
    let world = World::new();
    let task = task(&[once("a")]);
    let mut runner = Runner::start(&world, "garbage", &task, &[]);
    let forked = runner.wait_process("a", "FORKED", SOON);
    runner.wait_process("a", "RUNNING", SOON);
    wait_up(&world);
    runner.signal(Signal::SIGKILL);
    runner.wait(SOON);
    let path = world.streams("garbage").join("runner");
    let bytes = fs::read(&path).unwrap();
    let second = 4 + u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let mut huge = bytes.clone();
    huge.extend([0x7f, 0xff, 0xff, 0xff, 1]);
    let mut flipped = bytes.clone();
    flipped[second + 4] ^= 0x55;
    let mut doubled = bytes.clone();
    doubled.extend(&bytes[second..]);
    for (what, content) in [("huge length", huge), ("flipped", flipped), ("doubled", doubled)] {
        fs::write(&path, &content).unwrap();
        let mut runner = Runner::start(&world, "garbage", &task, &[]);
        assert_eq!(runner.wait(SOON).code(), Some(1), "{what}: {}", runner.output());
        assert!(runner.output().contains(path.to_str().unwrap()), "{what}: {}", runner.output());
        assert_eq!(fs::read(&path).unwrap(), content, "{what}");
        let coordinator = i32::try_from(forked.coordinator_pid.unwrap()).unwrap();
        assert!(Process::read(coordinator).is_some(), "{what}");
    }
    fs::write(&path, &bytes).unwrap();
    go(&world);
    let mut runner = Runner::start(&world, "garbage", &task, &[]);
    runner.finish(&world);
    assert_eq!(outcomes(&runner.records(), "a"), ["SUCCESS"]);
}

/// A mount namespace in which the world's checkpoint root is a small file system.
struct SmallDisk {
    holder: Child,
    root: PathBuf,
}

impl SmallDisk {
    fn new(world: &World, size: &str) -> SmallDisk {
        for (program, package) in
            [("unshare", "util-linux"), ("nsenter", "util-linux"), ("mount", "mount")]
        {
            need_program(program, package);
        }
        fs::create_dir(world.root()).unwrap();
        let mount = format!(
            "mount -t tmpfs -o size={size},mode=755 small {0} && touch {0}/mounted && exec sleep 600",
            world.root().display()
        );
        let holder = Command::new("unshare")
            .args(["--mount", "bash", "-c", &mount])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let root = world.root();
        let inside = PathBuf::from(format!("/proc/{}/root", holder.id()))
            .join(root.strip_prefix("/").unwrap());
        wait_for("the small disk", SOON, || inside.join("mounted").exists().then_some(()));
        SmallDisk { holder, root: inside }
    }

    fn namespace(&self) -> String {
        format!("--mount=/proc/{}/ns/mnt", self.holder.id())
    }

    fn records(&self, task_id: &str) -> Vec<Record> {
        let stream = self.root.join("checkpoints").join(task_id).join("runner");
        stream::records(&fs::read(stream).unwrap_or_default())
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let mut file =
            File::options().create(true).append(true).open(self.root.join("fill")).unwrap();
        for size in [4096, 1] {
            while file.write(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.root.join("fill")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_full_disk_holds_a_task_up_until_there_is_room() {
    need_root();
    let world = World::new();
    let disk = SmallDisk::new(&world, "256k");
    // Enough records for several pages, as a file system gives room by the page.
    let names: Vec<String> = (0..30).map(|i| format!("p{i}")).collect();
    let first = "touch up; until [ -e go ]; do sleep 0.05; done; ";
    let processes: Vec<Json> = names
        .iter()
        .map(|name| {
            let wait = if name == "p0" { first } else { "" };
            process(name, &format!("{wait} echo {name} >> order"))
        })
        .collect();
    let task = json!({"processes": processes, "constraints": [{"order": names}]}).to_string();
    let command = ["nsenter", &disk.namespace()];
    let mut runner = Runner::start_under(&world, &command, "full", &task, &[]);
    wait_up(&world);
    disk.fill();
    go(&world);
    thread::sleep(Duration::from_secs(3));
    let held = states(&disk.records("full"));
    assert_ne!(held.last().unwrap(), "TASK SUCCESS", "the disk was not full: {held:#?}");
    disk.make_room();
    let status = runner.wait(Duration::from_secs(30));
    let records = disk.records("full");
    let context = || format!("{:#?}\n{}", states(&records), runner.output());
    assert!(status.success(), "{status}: {}", context());
    assert_eq!(task_state(&records), Some("SUCCESS"), "{}", context());
    assert!(runner.output().contains("No space left on device"), "{}", context());
    let order = fs::read_to_string(world.sandbox().join("order")).unwrap();
    let started: Vec<&str> = order.lines().collect();
    assert_eq!(started, names, "each exactly once: {}", context());
    drop(disk);
    world.wait_until_clean(SOON);
}

#[test]
fn a_fork_that_cannot_be_recorded_waits_for_room() {
    unwritten(&[0, 10]);
}

#[test]
fn a_start_that_cannot_be_recorded_is_not_forgotten() {
    unwritten(&[64, 74]);
}

#[test]
fn an_end_that_cannot_be_recorded_is_not_forgotten() {
    unwritten(&[128, 138]);
}

/// Runs a process while the disk is full, with so many bytes left in the page of its stream, of
/// which the FORKED and the RUNNING record need 64 each.
fn unwritten(rooms: &[usize]) {
    need_root();
    for left in rooms {
        let world = World::new();
        let disk = SmallDisk::new(&world, "64k");
        let stream = disk.root.join("checkpoints/unwritten/coordinator.a");
        fs::create_dir_all(stream.parent().unwrap()).unwrap();
        fs::write(&stream, filler(4096 - left)).unwrap();
        let cmdline = r#"echo x >> started; exit 0"#;
        let processes = [
            process("wait", "touch up; until [ -e go ]; do sleep 0.02; done"),
            process("a", cmdline),
        ];
        let task = json!({"processes": processes, "constraints": [{"order": ["wait", "a"]}]});
        let command = ["nsenter", &disk.namespace()];
        let all = task.to_string();
        let mut runner = Runner::start_under(&world, &command, "unwritten", &all, &[]);
        wait_up(&world);
        // `up` comes before the record that says that it runs.
        wait_for("RUNNING", SOON, || {
            (outcomes(&disk.records("unwritten"), "wait") == ["RUNNING"]).then_some(())
        });
        disk.fill();
        go(&world);
        thread::sleep(Duration::from_millis(1500));
        disk.make_room();
        let status = runner.wait(Duration::from_secs(30));
        let records = disk.records("unwritten");
        let context = || format!("{left} bytes left: {:#?}\n{}", states(&records), runner.output());
        assert!(status.success(), "{status}: {}", context());
        assert_eq!(task_state(&records), Some("SUCCESS"), "{}", context());
        let started = fs::read_to_string(world.sandbox().join("started")).unwrap();
        assert_eq!(started, "x\n", "it ran more than once: {}", context());
        let lost = outcomes(&records, "a").iter().filter(|outcome| **outcome == "LOST").count();
        assert!(lost <= 2, "{lost} runs were lost: {}", context());
        stream::records(&fs::read(&stream).unwrap());
        drop(disk);
        world.wait_until_clean(SOON);
    }
}

/// A stream of this length, with one record that is about another process.
fn filler(length: usize) -> Vec<u8> {
    let framed = |name: usize| {
        let status = ProcessStatus {
            seq: Some(0),
            process: Some("x".repeat(name)),
            state: Some(ProcessState::WAITING),
            ..ProcessStatus::default()
        };
        let payload = binary::to_vec(&RunnerCkpt::ProcessStatus(status));
        let mut framed = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(payload);
        framed
    };
    let filler = framed(length - framed(0).len());
    assert_eq!(filler.len(), length);
    filler
}

#[test]
fn a_disk_that_is_full_from_the_start_is_an_error() {
    need_root();
    let world = World::new();
    let disk = SmallDisk::new(&world, "64k");
    disk.fill();
    let command = ["nsenter", &disk.namespace()];
    let all = task(&[process("a", "true")]);
    let mut runner = Runner::start_under(&world, &command, "full", &all, &[]);
    // It waits for room, or says at once that there is none.
    thread::sleep(Duration::from_millis(500));
    disk.make_room();
    let status = runner.wait(SOON);
    if !status.success() {
        assert_eq!(status.code(), Some(103), "{}", runner.output());
        assert!(runner.output().contains("No space left on device"), "{}", runner.output());
        let mut runner = Runner::start_under(&world, &command, "full", &all, &[]);
        assert!(runner.wait(SOON).success(), "{}", runner.output());
    }
    assert_eq!(task_state(&disk.records("full")), Some("SUCCESS"));
    drop(disk);
    world.wait_until_clean(SOON);
}
