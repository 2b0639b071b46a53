//! A task's user who owns the sandbox and means harm: whatever he puts where the runner, as root,
//! works, nothing outside changes, and his task only fails by its rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value as Json, json};
use thermos_tests::stream::{outcomes, runs, states, task_state};
use thermos_tests::{Runner, World, need_program, need_root};

const SOON: Duration = Duration::from_secs(20);
const NOBODY: u32 = 65534;
const AS_NOBODY: &[&str] = &["--setuid=nobody"];

fn process(name: &str, cmdline: &str) -> Json {
    json!({"name": name, "cmdline": cmdline, "min_duration": 0})
}

fn task(processes: &[Json]) -> String {
    json!({"processes": processes, "max_failures": 0}).to_string()
}

/// A world whose sandbox belongs to the task's user, as agents set it up, and in which there is
/// something to protect: `secret` is a directory with files `open` (for everybody) and `closed`.
fn world() -> World {
    let world = World::new();
    fs::create_dir(world.sandbox()).unwrap();
    chown(world.sandbox(), Some(NOBODY), Some(NOBODY)).unwrap();
    let secret = world.path().join("secret");
    fs::create_dir(&secret).unwrap();
    for (name, mode) in [("open", 0o666), ("closed", 0o600)] {
        fs::write(secret.join(name), "untouched").unwrap();
        fs::set_permissions(secret.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    world
}

/// Owner, group, mode and content of everything that is to be protected.
fn protected(world: &World) -> BTreeMap<PathBuf, (u32, u32, u32, Vec<u8>)> {
    let secret = world.path().join("secret");
    let entries = fs::read_dir(&secret).unwrap().map(|entry| entry.unwrap().path());
    let row = |path: PathBuf| {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        (path, (meta.uid(), meta.gid(), meta.mode(), content))
    };
    entries.chain([secret.clone()]).map(row).collect()
}

fn pipe(path: &Path) {
    mkfifo(path, Mode::from_bits_truncate(0o666)).unwrap();
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
}

fn device(path: &Path) {
    assert!(Command::new("mknod").arg(path).args(["c", "1", "5"]).status().unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
}

type Make = fn(&Path, &Path);

/// Runs a task in whose sandbox something stands at this path, and checks that the process fails
/// with a reason, at once and alone.
fn fails_at(path: &str, what: &str, make: Make) {
    let world = world();
    let place = world.sandbox().join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    for dir in
        place.parent().unwrap().ancestors().take_while(|dir| dir.starts_with(world.sandbox()))
    {
        chown(dir, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    make(&place, &world.path().join("secret"));
    let before = protected(&world);
    let last = json!({"name": "last", "cmdline": "true", "final": true});
    let all = task(&[process("a", "echo written"), process("b", "true"), last]);
    let runner = {
        // What was opened by the test stays open until the task is over.
        let mut runner = Runner::start(&world, "hostile", &all, AS_NOBODY);
        assert!(runner.wait(SOON).success(), "{path}, {what}: {}", runner.output());
        world.wait_until_empty(SOON);
        runner
    };
    let records = runner.records();
    let context = || format!("{path}, {what}: {:#?}", states(&records));
    assert_eq!(protected(&world), before, "{}", context());
    assert_eq!(task_state(&records), Some("SUCCESS"), "{}", context());
    assert_eq!(outcomes(&records, "a"), ["FAILED"], "{}", context());
    // The others have log directories of their own, if there can be any.
    if path != ".logs" {
        assert_eq!(outcomes(&records, "b"), ["SUCCESS"], "{}", context());
        assert_eq!(outcomes(&records, "last"), ["SUCCESS"], "{}", context());
    }
    let run = runs(&records, "a").concat();
    let end = run.last().unwrap();
    let reason = end.reason.clone().unwrap_or_default();
    assert!(reason.starts_with("failed to "), "{reason:?}: {}", context());
    assert!(!reason.ends_with("system error"), "{reason:?}: {}", context());
    let took = end.stop_time.unwrap() - run[1].fork_time.unwrap();
    assert!(took < 1.0, "{took} s: {}", context());
}

#[test]
fn things_in_place_of_log_directories() {
    need_root();
    let kinds: [(&str, Make); 8] = [
        ("link to a directory", |path, secret| symlink(secret, path).unwrap()),
        ("relative link", |path, _| symlink("../../../../../../../../tmp", path).unwrap()),
        ("link to a file", |path, secret| symlink(secret.join("open"), path).unwrap()),
        ("link to nothing", |path, secret| symlink(secret.join("new"), path).unwrap()),
        ("link to itself", |path, _| symlink(path.file_name().unwrap(), path).unwrap()),
        ("file", |path, _| fs::write(path, "").unwrap()),
        ("pipe", |path, _| pipe(path)),
        ("socket", |path, _| drop(UnixListener::bind(path).unwrap())),
    ];
    for path in [".logs", ".logs/a", ".logs/a/0"] {
        for (what, make) in kinds {
            fails_at(path, what, make);
        }
    }
    fails_at(".logs/a/0", "somebody else's directory", |path, _| {
        fs::create_dir(path).unwrap();
        chown(path, Some(1), Some(1)).unwrap();
    });
    fails_at(".logs/a/0", "root's closed directory", |path, _| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn things_in_place_of_log_files() {
    need_root();
    let kinds: [(&str, Make); 11] = [
        ("link", |path, secret| symlink(secret.join("open"), path).unwrap()),
        ("link to nothing", |path, secret| symlink(secret.join("new"), path).unwrap()),
        ("hard link", |path, secret| fs::hard_link(secret.join("open"), path).unwrap()),
        ("hard link to a closed file", |path, secret| {
            fs::hard_link(secret.join("closed"), path).unwrap();
        }),
        ("directory", |path, _| fs::create_dir(path).unwrap()),
        ("pipe", |path, _| pipe(path)),
        ("pipe with a reader", |path, _| {
            pipe(path);
            let mut options = File::options();
            let reader = options.read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
            // Open until this test process ends.
            std::mem::forget(reader.unwrap());
        }),
        ("socket", |path, _| drop(UnixListener::bind(path).unwrap())),
        ("device", |path, _| device(path)),
        ("root's file", |path, _| {
            fs::write(path, "").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }),
        ("link to a device", |path, _| symlink("/dev/zero", path).unwrap()),
    ];
    for file in ["stdout", "stderr"] {
        for (what, make) in kinds {
            fails_at(&format!(".logs/a/0/{file}"), what, make);
        }
    }
}

#[test]
fn directories_of_the_user_are_used() {
    need_root();
    let world = world();
    for dir in [".logs", ".logs/a", ".logs/a/0"] {
        fs::create_dir(world.sandbox().join(dir)).unwrap();
        chown(world.sandbox().join(dir), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let log = world.sandbox().join(".logs/a/0/stdout");
    fs::write(&log, "before\n").unwrap();
    chown(&log, Some(NOBODY), Some(NOBODY)).unwrap();
    let runner = Runner::run(&world, "own", &task(&[process("a", "echo after")]), AS_NOBODY);
    assert_eq!(outcomes(&runner.records(), "a"), ["SUCCESS"]);
    assert_eq!(fs::read_to_string(&log).unwrap(), "before\nafter\n");
}

#[test]
fn logs_exchanged_between_runs() {
    need_root();
    // What the first run, as the task's user, puts there for the second.
    let tricks = [
        "mv .logs old; ln -s $S .logs",
        "mv .logs old; mkdir .logs; ln -s $S .logs/a",
        "mv .logs old; mkdir -p .logs/a; ln -s $S .logs/a/1",
        "mv .logs old; mkdir -p .logs/a/1; ln -s $S/open .logs/a/1/stdout",
        "mv .logs old; mkdir -p .logs/a/1; ln -s $S/new .logs/a/1/stderr",
        "mv .logs old; mkdir -p .logs/a/1; mkfifo .logs/a/1/stdout",
        "mv .logs old; echo > .logs",
    ];
    for trick in tricks {
        let world = world();
        let before = protected(&world);
        let secret = world.path().join("secret");
        let cmdline = format!(
            "S={}; if [ -e once ]; then exit 0; fi; touch once; {trick}; exit 1",
            secret.display()
        );
        let mut again = process("a", &cmdline);
        again["max_failures"] = 2.into();
        let runner = Runner::run(&world, "between", &task(&[again]), AS_NOBODY);
        let records = runner.records();
        assert_eq!(protected(&world), before, "{trick}");
        assert_eq!(outcomes(&records, "a"), ["FAILED", "FAILED"], "{trick}");
        let all = runs(&records, "a");
        assert_eq!(all[0].last().unwrap().reason, None, "{trick}");
        let reason = all[1].last().unwrap().reason.clone().unwrap();
        assert!(reason.starts_with("failed to "), "{trick}: {reason}");
    }
}

#[test]
fn logs_exchanged_all_the_time() {
    need_root();
    need_program("perl", "perl-base");
    let world = world();
    let before = protected(&world);
    let secret = world.path().join("secret");
    // Two who exchange `.logs` and `.logs/c/N` for links as fast as they can.
    let outer = format!(
        "exec perl -e 'symlink \"{0}\", \"link\"; while (! -e \"stop\") {{ rename \".logs\", \"kept\"; \
         rename \"link\", \".logs\"; rename \".logs\", \"link\"; rename \"kept\", \".logs\"; }}'",
        secret.display()
    );
    let inner = format!(
        "exec perl -e 'mkdir \"mine\"; mkdir \"mine/c\"; while (! -e \"stop\") {{ \
         for $n (0 .. 60) {{ rename \"mine/c/$n\", \"mine/x$n\"; symlink \"{0}\", \"mine/c/$n\"; \
         unlink \"mine/c/$n\"; }} rename \".logs\", \"theirs\"; rename \"mine\", \".logs\"; \
         for $n (0 .. 60) {{ symlink \"{0}/open\", \".logs/c/$n/stdout\"; }} \
         rename \".logs\", \"mine\"; rename \"theirs\", \".logs\"; }}'",
        secret.display()
    );
    let mut victim = process("c", "exit 1");
    victim["max_failures"] = 60.into();
    let end = process("end", "sleep 0.1; touch stop");
    let all = json!({
        "processes": [process("outer", &outer), process("inner", &inner), victim, end],
        "constraints": [{"order": ["c", "end"]}],
        "max_failures": 0,
    });
    // Whatever becomes of the runs, somebody has to say stop.
    let mut runner = Runner::start(&world, "race", &all.to_string(), AS_NOBODY);
    thermos_tests::wait_for("60 runs", SOON, || {
        let records = runner.records();
        let ended = outcomes(&records, "c").iter().filter(|outcome| **outcome == "FAILED").count();
        (ended >= 60 || task_state(&records) != Some("ACTIVE")).then_some(())
    });
    fs::write(world.sandbox().join("stop"), "").unwrap();
    runner.finish(&world);
    assert_eq!(protected(&world), before);
    assert!(runs(&runner.records(), "c").len() >= 60);
}

#[test]
fn a_sandbox_that_is_none_is_an_error() {
    need_root();
    let world = World::new();
    fs::write(world.sandbox(), "").unwrap();
    let mut runner = Runner::start(&world, "file", &task(&[process("a", "true")]), AS_NOBODY);
    assert_eq!(runner.wait(SOON).code(), Some(103), "{}", runner.output());
    assert!(runner.output().contains(world.sandbox().to_str().unwrap()), "{}", runner.output());
    world.wait_until_clean(SOON);
}

#[test]
fn strange_profiles() {
    need_root();
    let profile = |make: &dyn Fn(&Path, &Path)| {
        let world = world();
        make(&world.sandbox().join(".thermos_profile"), &world.path().join("secret"));
        world
    };
    let all = task(&[process("a", "echo ran ${FLAVOUR-none}")]);
    let stdout =
        |world: &World| fs::read_to_string(world.sandbox().join(".logs/a/0/stdout")).unwrap();
    // Links lead where the user himself may read.
    let world = profile(&|path, _| {
        fs::write(path.with_file_name("other"), "FLAVOUR=sweet").unwrap();
        symlink("other", path).unwrap();
    });
    Runner::run(&world, "profile", &all, AS_NOBODY);
    assert_eq!(stdout(&world), "ran sweet\n");
    let makes: [Make; 4] = [
        |path, secret| symlink(secret.join("closed"), path).unwrap(),
        |path, secret| symlink(secret.join("none"), path).unwrap(),
        |path, _| fs::create_dir(path).unwrap(),
        |path, _| fs::write(path, "syntax ) error (").unwrap(),
    ];
    for make in makes {
        let world = profile(&make);
        let runner = Runner::run(&world, "profile", &all, AS_NOBODY);
        assert_eq!(outcomes(&runner.records(), "a"), ["SUCCESS"]);
        assert_eq!(stdout(&world), "ran none\n");
    }
    // One that ends the shell ends the process.
    let world = profile(&|path, _| fs::write(path, "echo bye; exit 7").unwrap());
    let runner = Runner::run(&world, "profile", &all, AS_NOBODY);
    let last = runs(&runner.records(), "a").concat().pop().unwrap();
    assert_eq!((last.state, last.return_code), ("FAILED", Some(7)));
    assert_eq!(stdout(&world), "bye\n");
    // A pipe holds up the process, and nothing else.
    let world = profile(&|path, _| pipe(path));
    let two = json!({"processes": [process("a", "true"), process("b", "true")]}).to_string();
    let mut runner = Runner::start(&world, "profile", &two, AS_NOBODY);
    runner.wait_process("a", "RUNNING", SOON);
    runner.wait_process("b", "RUNNING", SOON);
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("KILLED"));
}

#[test]
fn nothing_of_the_runners_environment_is_passed_on() {
    need_root();
    let world = world();
    let command = [
        "env",
        "LD_PRELOAD=/none/preload.so",
        "LD_LIBRARY_PATH=/none",
        "BASH_ENV=/none/env",
        "ENV=/none/env",
        "SECRET=token",
        "BASH_FUNC_ls%%=() { echo forged; }",
        "PS4=$(id)",
    ];
    let all = task(&[process("a", "tr '\\0' '\\n' < /proc/$$/environ")]);
    let mut runner = Runner::start_under(&world, &command, "env", &all, AS_NOBODY);
    runner.finish(&world);
    let seen = fs::read_to_string(world.sandbox().join(".logs/a/0/stdout")).unwrap();
    let mut names: Vec<&str> =
        seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort();
    assert_eq!(names, ["HOME", "LOGNAME", "PATH", "USER"], "{seen}");
}

#[test]
fn the_coordinator_is_closed_to_the_tasks_user() {
    need_root();
    let world = world();
    // Its memory was the runner's, and its descriptors lead to the checkpoint.
    let cmdline = "for name in mem environ maps auxv; do
            head -c 1 /proc/$PPID/$name > /dev/null && echo read $name
            { : >> /proc/$PPID/$name; } && echo opened $name
        done
        ls /proc/$PPID/fd | grep . && echo listed
        for fd in $(seq 0 30); do { : >> /proc/$PPID/fd/$fd; } && echo opened $fd; done
        readlink /proc/$PPID/cwd /proc/$PPID/exe
        echo tried";
    let runner = Runner::run(&world, "closed", &task(&[process("a", cmdline)]), AS_NOBODY);
    assert_eq!(outcomes(&runner.records(), "a"), ["SUCCESS"]);
    let said = fs::read_to_string(world.sandbox().join(".logs/a/0/stdout")).unwrap();
    assert_eq!(said, "tried\n");
}

#[test]
fn a_task_that_kills_its_coordinator_harms_itself_only() {
    need_root();
    let world = world();
    let cmdline = "[ -e once ] && exit 0; touch once; sleep 301 & setsid sleep 302 & \
                   kill -KILL $PPID; sleep 303; true";
    let all = task(&[process("a", cmdline), process("b", "sleep 0.3")]);
    let runner = Runner::run(&world, "suicide", &all, AS_NOBODY);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert_eq!(outcomes(&records, "a"), ["LOST", "SUCCESS"]);
    assert_eq!(outcomes(&records, "b"), ["SUCCESS"]);
}
