//! Logs that the coordinator copies: rotation under load with a follower, compression, deaths in
//! between, full disks, removed directories, background children, consoles that nobody reads, and a task's user who
//! puts things in the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value as Json, json};
use thermos_tests::stream::{self, LogStatus, Record, outcomes, runs, states, task_state};
use thermos_tests::{Binaries, Process, Runner, World, need_program, need_root, strace, wait_for};

const LONG: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

fn process(name: &str, cmdline: &str, logger: Json) -> Json {
    json!({"name": name, "cmdline": cmdline, "min_duration": 0, "logger": logger})
}

fn rotate(log_size: u64, backups: u32) -> Json {
    json!({"mode": "rotate", "rotate": {"log_size": log_size, "backups": backups}})
}

fn task(processes: &[Json]) -> String {
    json!({"processes": processes, "finalization_wait": 20}).to_string()
}

fn log(world: &World, name: &str) -> PathBuf {
    world.sandbox().join(".logs/p/0").join(name)
}

/// What the coordinators of process `p` have said about its logs, the last word on each output.
fn accounts(world: &World, task_id: &str) -> BTreeMap<String, LogStatus> {
    let bytes = fs::read(world.streams(task_id).join("coordinator.p")).unwrap();
    let of_log = |record| match record {
        Record::Log(log) => Some((format!("{}/{}", log.run, log.output), log)),
        _ => None,
    };
    stream::records(&bytes).into_iter().filter_map(of_log).collect()
}

/// A `thermos tail` that writes into files.
struct Tail {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Tail {
    fn start(world: &World, task_id: &str, args: &[&str]) -> Tail {
        let file = |name: &str| world.path().join(format!("tail-{task_id}.{name}"));
        let (out, err) = (file("out"), file("err"));
        let child = Command::new(Binaries::find().thermos)
            .arg("tail")
            .arg(format!("--root={}", world.root().display()))
            .args(["-n", "1000000000", task_id])
            .args(args)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        Tail { child, out, err }
    }

    /// What it printed, without the line that names the log, and what it said besides. It must end
    /// by itself.
    fn finish(mut self) -> (String, String) {
        let status = wait_for("the end of tail", LONG, || self.child.try_wait().unwrap());
        let err = fs::read_to_string(&self.err).unwrap();
        assert!(status.success(), "{status}: {err}");
        let out = fs::read_to_string(&self.out).unwrap();
        let is_title = |line: &&str| line.starts_with("Tail of ");
        (out.split_inclusive('\n').filter(|line| !is_title(line)).collect(), err)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of 16 bytes, numbered.
fn numbered(from: u64, to: u64) -> String {
    (from..=to).map(|i| format!("{i:015}\n")).collect()
}

/// The argument that has rotated logs compressed.
const COMPRESS: &str = "--rotate_log_compress";

/// The content of a rotated file, compressed or not; `None` if there is neither. With both, they must
/// be the same.
fn rotated(world: &World, index: u32) -> Option<String> {
    let (plain, zipped) =
        (log(world, &format!("stdout.{index}")), log(world, &format!("stdout.{index}.gz")));
    let plain = fs::read_to_string(plain).ok();
    let unzipped = zipped.exists().then(|| gunzip(&zipped));
    if let (Some(plain), Some(unzipped)) = (&plain, &unzipped) {
        assert!(plain == unzipped, "two files with the number {index} and different content");
    }
    plain.or(unzipped)
}

/// What gzip reads in a file, which must be whole.
fn gunzip(path: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success(), "{}: {output:?}", path.display());
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that is kept of standard output, oldest first, and how many files that is.
fn all_of_stdout(world: &World, most: u32) -> (String, u32) {
    let mut parts: Vec<String> = (1..=most).filter_map(|index| rotated(world, index)).collect();
    parts.insert(0, fs::read_to_string(log(world, "stdout")).unwrap());
    let count = parts.len() as u32;
    (parts.into_iter().rev().collect(), count)
}

/// The number of the process that compresses a log in this world. It does not live long, so it is looked
/// for by its name first.
fn compressor(world: &World) -> Option<i32> {
    let sandbox = world.sandbox();
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let path = entry.path();
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let is_it = name == "thermos_gzip\n"
            && fs::read_link(path.join("cwd")).is_ok_and(|place| place == sandbox);
        is_it.then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// The names in the log directory of the run.
fn names(world: &World) -> Vec<String> {
    let entries = fs::read_dir(log(world, "")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Rotates so many times with a follower; what the follower prints must be what was written. Kills the
/// runner a few times in between and starts another one.
fn rotations_with_a_follower(rotations: u64, kills: u64, args: &[&str]) {
    need_root();
    let world = World::new();
    let lines = rotations * 256;
    let command = format!("echo $PPID > coordinator; seq -f %015.0f 1 {lines}; sleep 1");
    // So many are kept that moving them takes the coordinator longer than reading takes anybody.
    let task = task(&[process("p", &command, rotate(4096, 250))]);
    let mut runner = Runner::start(&world, "load", &task, args);
    runner.wait_process("p", "RUNNING", LONG);
    let tail = Tail::start(&world, "load", &["p"]);
    for round in 1..=kills {
        let enough = rotations * 4096 * round / (kills + 1);
        let printed = || fs::metadata(&tail.out).unwrap().len() >= enough;
        wait_for("output", LONG * 4, || printed().then_some(()));
        runner.signal(Signal::SIGKILL);
        runner.wait(LONG);
        runner = Runner::start(&world, "load", &task, args);
    }
    let status = runner.wait(LONG * 4);
    assert!(status.success(), "{}", runner.output());
    let (out, err) = tail.finish();
    assert_eq!(err, "", "the follower was never too far behind");
    assert!(out == numbered(1, lines), "{} bytes, expected {}", out.len(), lines * 16);
    let account = &accounts(&world, "load")["0/stdout"];
    assert_eq!((account.received, account.dropped), (lines as i64 * 16, 0));
    // The same from the files: the newest lines, none twice, none missing.
    let (kept, files) = all_of_stdout(&world, 300);
    assert_eq!(u64::from(files), rotations.min(251));
    assert!(numbered(1, lines).ends_with(&kept));
    assert_eq!(kept.len() as u64, rotations.min(251) * 4096);
    world.wait_until_clean(LONG);
}

#[test]
fn a_follower_sees_every_byte_through_rotations() {
    rotations_with_a_follower(600, 0, &[]);
}

#[test]
fn nor_does_the_death_of_the_runner_cost_a_byte() {
    rotations_with_a_follower(600, 3, &[]);
}

#[test]
#[ignore = "takes minutes; tests/long/logs runs it"]
fn ten_thousand_rotations_with_a_follower() {
    rotations_with_a_follower(10_000, 0, &[]);
}

#[test]
#[ignore = "takes minutes; tests/long/logs runs it"]
fn ten_thousand_rotations_with_a_follower_and_deaths_of_the_runner() {
    rotations_with_a_follower(10_000, 20, &[]);
}

#[test]
fn nor_does_compression_cost_a_byte() {
    rotations_with_a_follower(600, 0, &[COMPRESS]);
}

#[test]
#[ignore = "takes minutes; tests/long/logs runs it"]
fn ten_thousand_rotations_with_a_follower_and_compression() {
    rotations_with_a_follower(10_000, 0, &[COMPRESS]);
}

#[test]
#[ignore = "takes minutes; tests/long/logs runs it"]
fn ten_thousand_rotations_with_a_follower_compression_and_deaths_of_the_runner() {
    rotations_with_a_follower(10_000, 20, &[COMPRESS]);
}

#[test]
fn no_file_is_larger_than_said_and_flags_are_for_processes_without_a_logger() {
    need_root();
    let world = World::new();
    let processes = [
        json!({"name": "p", "cmdline": "seq 1 400000; head -c 2000000 /dev/zero >&2"}),
        json!({"name": "own", "cmdline": "seq 1 400000", "logger": {"destination": "file"}}),
    ];
    let flags =
        ["--process_logger_mode=rotate", "--rotate_log_size_mb=1", "--rotate_log_backups=1"];
    Runner::run(&world, "flags", &task(&processes), &flags);
    let size = |name: &str| fs::metadata(log(&world, name)).unwrap().len();
    let all: String = (1..=400_000).map(|i| format!("{i}\n")).collect();
    let text = |name: &str| fs::read_to_string(log(&world, name)).unwrap();
    assert!(all.ends_with(&(text("stdout.1") + &text("stdout"))));
    assert!(text("stdout.1").ends_with('\n'), "cut after a line");
    assert!((1 << 20) - (32 << 10) <= size("stdout.1") && size("stdout.1") <= 1 << 20);
    assert_eq!((size("stderr.1"), size("stderr")), (1 << 20, 2_000_000 - (1 << 20)));
    assert!(!log(&world, "stdout.2").exists());
    let own = world.sandbox().join(".logs/own/0");
    assert_eq!(fs::read_to_string(own.join("stdout")).unwrap(), all);
    assert!(!own.join("stdout.1").exists());
}

#[test]
fn both_goes_to_files_and_to_the_console() {
    need_root();
    let world = World::new();
    let command = "echo to both; echo error >&2";
    let processes = [process("p", command, json!({"destination": "both"}))];
    let runner = Runner::run(&world, "both", &task(&processes), &["--setuid=nobody"]);
    assert_eq!(fs::read_to_string(log(&world, "stdout")).unwrap(), "to both\n");
    let said = runner.output();
    assert!(said.contains("to both\n") && said.contains("error\n"), "{said}");
}

/// As nobody, in a sandbox of his own, so that he can write there.
#[test]
fn a_program_may_open_its_own_standard_output() {
    need_root();
    let world = World::new();
    fs::create_dir(world.sandbox()).unwrap();
    chown(world.sandbox(), Some(NOBODY), Some(NOBODY)).unwrap();
    let processes =
        [process("p", "echo out > /dev/stdout; echo err > /dev/stderr", rotate(100, 1))];
    Runner::run(&world, "dev", &task(&processes), &["--setuid=nobody"]);
    assert_eq!(fs::read_to_string(log(&world, "stdout")).unwrap(), "out\n");
    assert_eq!(fs::read_to_string(log(&world, "stderr")).unwrap(), "err\n");
    assert_eq!(fs::metadata(log(&world, "stdout")).unwrap().uid(), NOBODY);
}

#[test]
fn a_console_that_nobody_reads_holds_nobody_up_for_long() {
    need_root();
    let world = World::new();
    let processes =
        [process("p", "head -c 1000000 /dev/zero | tr '\\0' x", json!({"destination": "both"}))];
    let json = world.path().join("stuck.json");
    fs::write(&json, task(&processes)).unwrap();
    let (unread, console) = std::io::pipe().unwrap();
    let mut child = Command::new(Binaries::runner())
        .arg(format!("--thermos_json={}", json.display()))
        .arg(format!("--sandbox={}", world.sandbox().display()))
        .arg(format!("--checkpoint_root={}", world.root().display()))
        .arg("--task_id=stuck")
        .stdin(Stdio::null())
        .stdout(console)
        .spawn()
        .unwrap();
    let status = wait_for("the end of the task", LONG, || child.try_wait().unwrap());
    assert!(status.success());
    assert_eq!(fs::metadata(log(&world, "stdout")).unwrap().len(), 1_000_000);
    let account = &accounts(&world, "stuck")["0/stdout"];
    assert_eq!((account.received, account.dropped), (1_000_000, 0));
    // What a pipe holds has reached it.
    let dropped = account.console_dropped.unwrap();
    assert!((500_000..1_000_000).contains(&dropped), "{account:?}");
    let status = status_text(&world);
    let line =
        format!("p run 0: stdout: {dropped} bytes did not reach the console: nobody reads it");
    assert!(status.contains(&line), "{status}");
    drop(unread);
    world.wait_until_clean(LONG);
}

fn status_text(world: &World) -> String {
    let output = Command::new(Binaries::find().thermos)
        .arg("status")
        .arg(format!("--root={}", world.root().display()))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The sandbox as a disk of a size, for whom `unshare` gives mounts of their own: what bash is told.
fn small_disk(world: &World, size: &str) -> String {
    need_root();
    need_program("unshare", "util-linux");
    need_program("mount", "mount");
    fs::create_dir(world.sandbox()).unwrap();
    let sandbox = world.sandbox().display().to_string();
    format!("mount -t tmpfs -o size={size},mode=755 small {sandbox} && exec \"$@\"")
}

#[test]
fn a_full_disk_costs_bytes_that_are_counted_and_nothing_else() {
    let world = World::new();
    let mount = small_disk(&world, "512k");
    let command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", &mount, "mount"];
    let copies = world.path().join("copies");
    fs::create_dir(&copies).unwrap();
    let script = format!(
        "head -c 300000 /dev/zero > filler; seq -f %015.0f 1 50000; rm filler; sleep 0.5; \
         echo back; sleep 0.5; cp .logs/p/0/stdout* {}",
        copies.display()
    );
    let processes = [process("p", &script, rotate(100 << 20, 1))];
    let mut runner = Runner::start_under(&world, &command, "full", &task(&processes), &[]);
    let status = runner.wait(LONG);
    assert!(status.success(), "{}", runner.output());
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
    let text = fs::read_to_string(copies.join("stdout")).unwrap();
    assert!(text.ends_with("back\n"), "it goes on when there is room");
    assert!(text.starts_with(&numbered(1, 1000)));
    let account = &accounts(&world, "full")["0/stdout"];
    assert_eq!(account.received, 50_000 * 16 + 5);
    assert_eq!(account.received - account.dropped, text.len() as i64, "{account:?}");
    assert!(account.dropped > 0);
    let status = status_text(&world);
    let line =
        format!("p run 0: stdout: {} bytes dropped: no space left on device", account.dropped);
    assert!(status.contains(&line), "{status}");
    world.wait_until_clean(LONG);
}

#[test]
fn a_log_directory_that_was_removed_is_made_again_or_its_bytes_are_counted() {
    need_root();
    let world = World::new();
    // First what can be made again, then a place where nothing can be made.
    let script = "echo one; sleep 0.3; rm -r .logs; echo two; sleep 0.3; cp .logs/p/0/stdout again; \
                  rm -r .logs; touch .logs; echo three; sleep 6; echo four; sleep 0.3; rm .logs; \
                  sleep 0.3; echo five; sleep 0.3";
    Runner::run(&world, "gone", &task(&[process("p", script, rotate(1000, 2))]), &[]);
    assert_eq!(fs::read_to_string(world.sandbox().join("again")).unwrap(), "two\n");
    assert_eq!(fs::read_to_string(log(&world, "stdout")).unwrap(), "five\n");
    let account = &accounts(&world, "gone")["0/stdout"];
    assert_eq!((account.received, account.dropped), (4 + 4 + 6 + 5 + 5, 11), "{account:?}");
}

#[test]
fn a_run_ends_with_its_process_whoever_has_its_pipes() {
    need_root();
    need_program("setsid", "util-linux");
    let world = World::new();
    let escape = "setsid bash -c 'trap \"echo told; exit\" TERM; for i in $(seq 40); do echo $i; \
                  sleep 0.1; done' & sleep 0.2; (sleep 30; echo never) & echo now";
    let processes = [
        process("p", escape, rotate(1000, 5)),
        process("q", "sleep 1.5", json!({"mode": "rotate"})),
    ];
    let runner = Runner::run(&world, "keeper", &task(&processes), &[]);
    let records = runner.records();
    let end = |name: &str| runs(&records, name).concat().last().unwrap().stop_time.unwrap();
    let begun = runs(&records, "p").concat()[1].fork_time.unwrap();
    assert!(end("p") - begun < 1.2 && end("q") - end("p") > 0.3, "{:#?}", states(&records));
    let text = fs::read_to_string(log(&world, "stdout")).unwrap();
    assert!(text.contains("now\n") && !text.contains("never"), "{text}");
    // It was copied on, until the task was over and told it to end.
    assert!(text.contains("\n8\n") && text.ends_with("told\n"), "{text}");
    let account = &accounts(&world, "keeper")["0/stdout"];
    assert_eq!((account.received, account.dropped), (text.len() as i64, 0));
}

#[test]
fn a_coordinator_that_is_killed_leaves_nothing_that_hangs() {
    need_root();
    let world = World::new();
    let script = "echo $PPID >> ../ppids; [ $(wc -l < ../ppids) = 2 ] || { yes & yes; }";
    let processes = [process("p", script, rotate(100_000, 2))];
    let mut runner = Runner::start(&world, "killed", &task(&processes), &[]);
    let ppids = || fs::read_to_string(world.path().join("ppids")).unwrap_or_default();
    let coordinator: i32 =
        wait_for("a coordinator", LONG, || ppids().strip_suffix('\n')?.parse().ok());
    wait_for("rotations", LONG, || log(&world, "stdout.2").exists().then_some(()));
    kill(Pid::from_raw(coordinator), Signal::SIGKILL).unwrap();
    runner.finish(&world);
    assert_eq!(outcomes(&runner.records(), "p"), ["LOST", "SUCCESS"]);
}

#[test]
fn tail_goes_on_with_the_next_run_and_tells_processes_apart() {
    need_root();
    let world = World::new();
    let count =
        "n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; sleep 0.4; echo run $n; ";
    let processes = [
        json!({"name": "p", "cmdline": format!("{count} [ $n -ge 3 ]"), "min_duration": 1,
               "max_failures": 3, "logger": rotate(1000, 1)}),
        json!({"name": "q", "cmdline": "printf 'half '; sleep 0.6; echo line"}),
    ];
    let mut runner = Runner::start(&world, "again", &task(&processes), &[]);
    runner.wait_process("p", "RUNNING", LONG);
    runner.wait_process("q", "RUNNING", LONG);
    let one = Tail::start(&world, "again", &["p"]);
    let renamed = world.path().join("tail-all");
    fs::create_dir(&renamed).unwrap();
    let mut all = Command::new(Binaries::find().thermos)
        .args(["tail", "--all", "again", "--root"])
        .arg(world.root())
        .stdout(File::create(renamed.join("out")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    runner.finish(&world);
    let (out, err) = one.finish();
    assert_eq!(out, "run 1\nrun 2\nrun 3\n");
    assert!(err.contains("run 1") && err.contains("run 2"), "{err}");
    assert!(wait_for("the end of tail", LONG, || all.try_wait().unwrap()).success());
    let out = fs::read_to_string(renamed.join("out")).unwrap();
    let mut lines: Vec<&str> = out.lines().filter(|line| !line.starts_with("Tail of")).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["p: run 1", "p: run 2", "p: run 3", "q: half line"]);
}

// ---- compression ----

/// Waits, in a script, until nothing of the log is left uncompressed.
const COMPRESSED: &str = "while ls .logs/p/0/ | grep -qvE '^std(out|err)(\\.[0-9]+\\.gz)?$'; \
                          do sleep 0.05; done;";

#[test]
fn rotated_files_are_compressed_with_the_rights_of_the_user_and_read_as_before() {
    need_root();
    let world = World::new();
    fs::create_dir(world.sandbox()).unwrap();
    chown(world.sandbox(), Some(NOBODY), Some(NOBODY)).unwrap();
    let script = format!("seq -f %015.0f 1 9000; {COMPRESSED} ls .logs/p/0; sleep 0.5");
    let processes = [process("p", &script, rotate(32_000, 3))];
    let runner = Runner::run(&world, "gzip", &task(&processes), &[COMPRESS, "--setuid=nobody"]);
    assert_eq!(outcomes(&runner.records(), "p"), ["SUCCESS"]);
    assert_eq!(
        names(&world),
        ["stderr", "stdout", "stdout.1.gz", "stdout.2.gz", "stdout.3.gz"],
        "those that are kept, and none of them twice"
    );
    let listed = "stderr\nstdout\nstdout.1.gz\nstdout.2.gz\nstdout.3.gz\n";
    let all = numbered(1, 9000) + listed;
    let (kept, _) = all_of_stdout(&world, 3);
    assert!(all.ends_with(&kept) && kept.len() > 3 * 32_000, "{}", kept.len());
    for index in 1..=3 {
        let meta = fs::metadata(log(&world, &format!("stdout.{index}.gz"))).unwrap();
        let plain = fs::metadata(log(&world, "stdout")).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode()), (NOBODY, NOBODY, plain.mode()));
        assert!(meta.len() < 32_000 / 3, "{}", meta.len());
    }
    let (out, err) = Tail::start(&world, "gzip", &["p", "--no-follow"]).finish();
    assert_eq!((out, err.as_str()), (kept, ""));
    let account = &accounts(&world, "gzip")["0/stdout"];
    assert_eq!((account.received, account.dropped), (all.len() as i64, 0));
}

/// The end of a process is not held up, nor that of the task, and what waits is compressed between
/// the two.
#[test]
fn nobody_waits_for_a_compressor() {
    need_root();
    let world = World::new();
    let noise = "head -c 6000000 /dev/urandom | base64 -w 15";
    let processes = [
        process("p", &format!("{noise}; touch done"), rotate(4_000_000, 3)),
        process(
            "q",
            &format!(
                "until [ -e done ]; do sleep 0.05; done; {COMPRESSED} touch compressed; {noise}"
            ),
            rotate(8_000_000, 3),
        ),
    ];
    let mut runner = Runner::start(&world, "wait", &task(&processes), &[COMPRESS]);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    let end = |name: &str| runs(&records, name).concat().last().unwrap().stop_time.unwrap();
    assert!(world.sandbox().join("compressed").exists());
    assert!(end("p") < end("q"));
    assert_eq!(names(&world), ["stderr", "stdout", "stdout.1.gz", "stdout.2.gz"]);
    // That of the last process was told to end with everything else, and left nothing behind.
    let last = world.sandbox().join(".logs/q/0");
    assert!(!last.join("stdout.gz.tmp").exists());
    world.wait_until_clean(LONG);
}

/// What one gets to see who kills the compressor or the coordinator at any moment: each file plain, or
/// compressed and whole.
fn whole_after(world: &World, what: &str, lines: u64) {
    let all = numbered(1, lines);
    let (kept, files) = all_of_stdout(world, 300);
    // What was in the pipe of a coordinator that was killed is gone.
    assert!(all.contains(&kept), "{what}: {} files, {:?}", files, names(world));
    assert!(files > 1, "{what}");
    let zipped = |name: &&String| name.ends_with(".gz");
    for name in names(world).iter().filter(zipped) {
        gunzip(&log(world, name));
    }
}

/// The system calls that only compressors make: before a file is opened, and when all is written.
#[test]
fn a_compressor_may_die_at_any_step() {
    need_root();
    need_program("strace", "strace");
    let script = "seq -f %015.0f 1 12000; sleep 0.3; seq -f %015.0f 12001 12010; sleep 0.2";
    let calls = ["setpriority:1", "ioprio_set:1", "fgetxattr:1", "fchmod:1"];
    strace::each(calls.to_vec(), |call| {
        let (name, nth) = call.split_once(':').unwrap();
        let world = World::new();
        let inject = format!("--inject={name}:signal=KILL:when={nth}");
        let command = ["strace", "-f", "-qq", "-o", "/dev/null", &inject];
        let task = task(&[process("p", script, rotate(48_000, 20))]);
        let mut runner = Runner::start_under(&world, &command, "steps", &task, &[COMPRESS]);
        let status = runner.wait(LONG * 2);
        assert!(status.success(), "{call}: {}", runner.output());
        whole_after(&world, call, 12_010);
        assert_eq!(all_of_stdout(&world, 300).0, numbered(1, 12_010), "{call}");
        let names = names(&world);
        assert!(!names.iter().any(|name| name.contains(".gz")), "{call}: {names:?}");
        world.wait_until_clean(LONG);
    });
}

#[test]
fn a_compressor_may_die_at_any_moment() {
    need_root();
    let world = World::new();
    let script = "echo $BASHPID > pid; n=0; while [ ! -e stop ]; do seq -f %015.0f $((n+1)) $((n+20000)); \
                  n=$((n+20000)); sleep 0.02; done; echo $n > count; sleep 0.5";
    let task = task(&[process("p", script, rotate(2_000_000, 40))]);
    let mut runner = Runner::start(&world, "moments", &task, &[COMPRESS]);
    let mut killed = 0;
    for round in 0..60u64 {
        let pid = wait_for("a compressor", LONG, || compressor(&world));
        thread::sleep(Duration::from_micros(round * round * 40));
        killed += u32::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        wait_for("its end", LONG, || Process::read(pid).is_none().then_some(()));
    }
    fs::write(world.sandbox().join("stop"), "").unwrap();
    let status = runner.wait(LONG);
    assert!(status.success(), "{}", runner.output());
    assert!(killed > 10, "{killed} of 60 were still there");
    let count = fs::read_to_string(world.sandbox().join("count")).unwrap();
    let count: u64 = count.trim().parse().unwrap();
    let (kept, _) = all_of_stdout(&world, 300);
    assert!(numbered(1, count).ends_with(&kept));
    let account = &accounts(&world, "moments")["0/stdout"];
    assert_eq!((account.received, account.dropped), (count as i64 * 16, 0));
    let names = names(&world);
    assert!(names.iter().any(|name| name.ends_with(".gz")), "others did their work: {names:?}");
    assert!(!names.contains(&"stdout.gz.tmp".to_owned()), "{names:?}");
}

/// The coordinator names and removes files; killed before each such step.
#[test]
fn a_coordinator_that_compresses_may_die_at_any_step() {
    need_root();
    need_program("strace", "strace");
    let script = "for i in $(seq 0 5); do seq -f %015.0f $((i*3000+1)) $((i*3000+3000)); sleep 0.1; done; \
                  sleep 0.3";
    // The runner itself renames twice, and its first unlinks are its own as well.
    let calls = (3..24).step_by(2).map(|nth| format!("renameat:{nth}"));
    let calls = calls.chain((3..12).map(|nth| format!("unlinkat:{nth}")));
    strace::each(calls.collect(), |call| {
        let (name, nth) = call.split_once(':').unwrap();
        let world = World::new();
        let inject = format!("--inject={name}:signal=KILL:when={nth}");
        let command = ["strace", "-f", "-qq", "-o", "/dev/null", &inject];
        // Run again, it writes the same into another directory, with its steps at the same places; so
        // it may not be lost more than once.
        let script = format!("[ -e begun ] && exit 0; touch begun; {script}");
        let task = task(&[process("p", &script, rotate(40_000, 3))]);
        let mut runner = Runner::start_under(&world, &command, "steps", &task, &[COMPRESS]);
        let status = runner.wait(LONG * 2);
        assert!(status.success(), "{call}: {}", runner.output());
        whole_after(&world, &call, 18_000);
        world.wait_until_clean(LONG);
    });
}

#[test]
fn a_disk_that_compression_fills_costs_nothing_but_compression() {
    let world = World::new();
    let mount = small_disk(&world, "1200k");
    let command = ["unshare", "--mount", "--propagation", "private", "bash", "-c", &mount, "mount"];
    let copies = world.path().join("copies");
    fs::create_dir(&copies).unwrap();
    // Noise, of which the compressed form needs nearly as much room; then what has just enough room
    // when nothing is compressed.
    let script = format!(
        "head -c 500000 /dev/urandom | base64 -w 0 | head -c 600000; sleep 0.1; \
         head -c 400000 /dev/zero | tr '\\0' x; sleep 1; ls .logs/p/0 > {0}/names; cp .logs/p/0/* {0}",
        copies.display()
    );
    let processes = [process("p", &script, rotate(600_000, 2))];
    let mut runner = Runner::start_under(&world, &command, "full", &task(&processes), &[COMPRESS]);
    let status = runner.wait(LONG);
    assert!(status.success(), "{}", runner.output());
    let account = &accounts(&world, "full")["0/stdout"];
    assert_eq!((account.received, account.dropped), (1_000_000, 0), "{account:?}");
    let names = fs::read_to_string(copies.join("names")).unwrap();
    assert!(!names.contains("tmp"), "the room is given back: {names}");
    let size = |name: &str| fs::metadata(copies.join(name)).unwrap().len();
    assert_eq!(size("stdout"), 400_000);
    assert!(
        copies.join("stdout.1.gz").exists() || size("stdout.1") == 600_000,
        "one of the two is there: {names}"
    );
    world.wait_until_clean(LONG);
}

/// What the user puts where compressed files go.
#[test]
fn what_lies_where_a_compressed_log_goes_harms_nobody() {
    need_root();
    for (what, put) in OBSTACLES {
        for name in ["stdout.1.gz", "stdout.gz.tmp"] {
            let (world, secret) = hostile_world();
            let directory = world.sandbox().join(".logs/p/0");
            fs::create_dir_all(&directory).unwrap();
            chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
            let obstacle = world.path().join("obstacle");
            put(&obstacle, &secret);
            // It is put there between two rotations, when nothing is compressed.
            let script = "seq 1 5000; sleep 0.3; until [ -e go ]; do sleep 0.01; done; \
                          seq 5001 10000; sleep 0.5";
            let processes = [process("p", script, rotate(20_000, 4))];
            let mut runner =
                Runner::start(&world, "trap", &task(&processes), &[COMPRESS, "--setuid=nobody"]);
            wait_for("a compressed log", LONG, || {
                log(&world, "stdout.1.gz").exists().then_some(())
            });
            let place = log(&world, name);
            let _ = fs::remove_file(&place);
            fs::rename(&obstacle, &place).unwrap();
            fs::write(world.sandbox().join("go"), "").unwrap();
            let status = runner.wait(LONG);
            assert!(status.success(), "{what} at {name}: {}", runner.output());
            let all: String = (1..=10_000).map(|i| format!("{i}\n")).collect();
            assert!(all.ends_with(&fs::read_to_string(log(&world, "stdout")).unwrap()), "{what}");
            assert_untouched(&secret);
            world.wait_until_clean(LONG);
        }
    }
}

// ---- harm ----

/// A world with a sandbox of the task's user, and files of root beside it.
fn hostile_world() -> (World, PathBuf) {
    let world = World::new();
    fs::create_dir(world.sandbox()).unwrap();
    chown(world.sandbox(), Some(NOBODY), Some(NOBODY)).unwrap();
    let secret = world.path().join("secret");
    fs::create_dir(&secret).unwrap();
    for (name, mode) in [("open", 0o666), ("closed", 0o600)] {
        fs::write(secret.join(name), "untouched").unwrap();
        fs::set_permissions(secret.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    (world, secret)
}

fn assert_untouched(secret: &Path) {
    let mut names: Vec<_> =
        fs::read_dir(secret).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["closed", "open"]);
    for (name, mode) in [("open", 0o666), ("closed", 0o600)] {
        let meta = fs::metadata(secret.join(name)).unwrap();
        let row = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
        assert_eq!(row, (0, 0, mode), "{name}");
        assert_eq!(fs::read_to_string(secret.join(name)).unwrap(), "untouched", "{name}");
    }
    let meta = fs::metadata(secret).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (0, 0));
}

/// Puts something in the way, before the first run.
type Obstacle = fn(&Path, &Path);

const OBSTACLES: [(&str, Obstacle); 6] = [
    ("a link to a file", |path, secret| symlink(secret.join("open"), path).unwrap()),
    ("a link to nothing", |path, secret| symlink(secret.join("new"), path).unwrap()),
    ("a second name", |path, secret| fs::hard_link(secret.join("open"), path).unwrap()),
    ("a pipe", |path, _| mkfifo(path, Mode::from_bits_truncate(0o666)).unwrap()),
    ("a directory", |path, _| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), "").unwrap();
    }),
    ("a file of root", |path, _| {
        fs::write(path, "root's").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }),
];

#[test]
fn what_lies_where_a_log_goes_fails_the_run_and_harms_nobody() {
    need_root();
    for (what, put) in OBSTACLES {
        let (world, secret) = hostile_world();
        let directory = world.sandbox().join(".logs/p/0");
        fs::create_dir_all(&directory).unwrap();
        chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
        put(&log(&world, "stderr"), &secret);
        let processes = [process("p", "echo out", rotate(100, 2))];
        let runner = Runner::run(&world, "trap", &task(&processes), &["--setuid=nobody"]);
        let records = runner.records();
        assert_eq!(outcomes(&records, "p"), ["FAILED"], "{what}: {:#?}", states(&records));
        let reason = runs(&records, "p").concat().last().unwrap().reason.clone().unwrap();
        assert!(reason.contains("log file stderr"), "{what}: {reason}");
        assert_untouched(&secret);
    }
}

#[test]
fn what_lies_where_an_old_log_goes_is_moved_or_removed_and_harms_nobody() {
    need_root();
    for (what, put) in OBSTACLES {
        let (world, secret) = hostile_world();
        let directory = world.sandbox().join(".logs/p/0");
        fs::create_dir_all(&directory).unwrap();
        chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
        put(&log(&world, "stdout.1"), &secret);
        let processes = [process("p", "seq 1 200", rotate(100, 2))];
        let runner = Runner::run(&world, "trap", &task(&processes), &["--setuid=nobody"]);
        let records = runner.records();
        assert_eq!(outcomes(&records, "p"), ["SUCCESS"], "{what}: {:#?}", states(&records));
        let current = fs::symlink_metadata(log(&world, "stdout")).unwrap();
        assert!(current.is_file() && current.uid() == NOBODY && current.len() <= 100, "{what}");
        let all: String = (1..=200).map(|i| format!("{i}\n")).collect();
        assert!(all.ends_with(&fs::read_to_string(log(&world, "stdout")).unwrap()), "{what}");
        assert_untouched(&secret);
    }
}

/// The user changes what he can while his logs are rotated as fast as can be.
#[test]
fn a_user_who_exchanges_logs_while_they_are_rotated_harms_only_himself() {
    need_root();
    let (world, secret) = hostile_world();
    let secret_path = secret.display();
    let script = format!(
        "cd .logs/p/0; ( while :; do \
           ln -sf {secret_path}/open stdout.new; mv -T stdout.new stdout; \
           ln -sf {secret_path} stdout.2; ln -sf {secret_path}/closed stdout.1; \
           rm -rf stdout; mkfifo stdout; rm -rf stdout; mkdir -p stdout/x; rm -rf stdout; \
           ln {secret_path}/open stdout; \
         done ) 2>/dev/null & \
         end=$((SECONDS+4)); while [ $SECONDS -lt $end ]; do echo $RANDOM; done"
    );
    let processes = [process("p", &script, rotate(50, 3))];
    let mut runner = Runner::start(&world, "fight", &task(&processes), &["--setuid=nobody"]);
    let status = runner.wait(LONG);
    assert!(status.success(), "{}", runner.output());
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
    assert_untouched(&secret);
    world.wait_until_clean(LONG);
}

/// Nothing that copies stays awake for nothing.
#[test]
fn a_silent_process_is_not_watched_by_looking() {
    need_root();
    let world = World::new();
    let script = "echo $PPID > ppid; head -c 300000 /dev/zero; exec sleep 8";
    let processes = [process("p", script, rotate(100_000, 2))];
    let mut runner = Runner::start(&world, "idle", &task(&processes), &[]);
    let ppid = world.sandbox().join("ppid");
    let coordinator: i32 = wait_for("a coordinator", LONG, || {
        fs::read_to_string(&ppid).ok()?.strip_suffix('\n')?.parse().ok()
    });
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{coordinator}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap();
        line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()
    };
    // It gives memory back a second after the last byte, and sleeps from then on.
    let quiet = Instant::now();
    let mut last = switches();
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        assert!(quiet.elapsed() < Duration::from_secs(7), "it does not come to rest");
        thread::sleep(Duration::from_millis(50));
        if switches() != last {
            last = switches();
            since = Instant::now();
        }
    }
    assert!(Process::read(coordinator).is_some());
    runner.finish(&world);
}
