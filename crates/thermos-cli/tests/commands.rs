//! The program itself: every command, its exit codes, its messages.
//!
//! Commands also search this machine's own tasks: ids of tasks to be killed are unlikely there.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Home, finish, fixture, until};

const SLEEP: &str = r#"{"name": "sleep", "finalization_wait": 1, "processes": [
    {"name": "main", "cmdline": "echo up; exec sleep 60"},
    {"name": "last", "final": true, "cmdline": "echo finalized"}]}"#;

#[test]
fn help() {
    let home = Home::new();
    let overview = home.thermos(&["help"]).expect(0);
    for command in
        ["status", "run", "help", "read", "inspect", "simplerun", "launch", "tail", "kill", "demo"]
    {
        assert!(overview.out.contains(&format!("\n    {command:<10}\t")), "{}", overview.out);
        let help =
            home.thermos(&["help", command]).expect(0).says(&format!("command {command}:\n"));
        assert!(help.out.contains(&format!("Usage: thermos {command}")), "{}", help.out);
        home.thermos(&[command, "--help"]).expect(0).says("Usage: thermos");
    }
    assert_eq!(home.thermos(&["--help"]).expect(0).out, overview.out);
    assert_eq!(home.thermos(&["-h"]).expect(0).out, overview.out);
    home.thermos(&["help", "exit-codes"]).expect(0).says("    3  the task was run");
    home.thermos(&["--version"]).expect(0).says("thermos ");
}

#[test]
fn wrong_command_lines() {
    let home = Home::new();
    let list = "Must supply one of the following commands: ";
    home.thermos(&[]).expect(2).complains(list);
    home.thermos(&["nosuch"]).expect(2).complains(list).complains("nosuch");
    home.thermos(&["help", "nosuch"]).expect(2).complains("unknown command: nosuch");
    home.thermos(&["status", "--only=bogus"]).expect(2).complains("bogus");
    home.thermos(&["status", "--nosuch"]).expect(2).complains("--nosuch");
    home.thermos(&["status", "("]).expect(2).complains("regular expression");
    home.thermos(&["run"]).expect(2).complains("Should specify precisely one config");
    home.thermos(&["run", "/nosuch.json"]).expect(2).complains("/nosuch.json");
    home.thermos(&["read"]).expect(2).complains("Expected one checkpoint file, got 0");
    home.thermos(&["read", "/nosuch"]).expect(2).complains("Could not find /nosuch");
    home.thermos(&["tail"]).expect(2).complains("Expected a task to tail, got nothing!");
    home.thermos(&["tail", "--all", "a", "b"]).expect(2).complains("--all");
    home.thermos(&["kill"]).expect(2).complains("Must specify tasks!");
}

#[test]
fn demo_twice() {
    let home = Home::new();
    for _ in 0..2 {
        let done = home.thermos(&["demo"]).expect(0).says("SUCCESS").says("thermos status");
        let id = done.out.lines().find_map(|line| line.strip_prefix("Task demo-")).unwrap();
        let id = format!("demo-{}", id.split(':').next().unwrap());
        // No --root: the user's own tasks are found.
        home.thermos(&["status", "--verbosity=3", &id]).expect(0).says("- flaky runs: 2 last:");
        let tail = home.thermos(&["tail", &id, "combine"]).expect(0);
        let expected =
            "hello from .thermos_profile\none\ntwo\nthree\nwould serve it on port 8080\n";
        assert!(tail.out.ends_with(expected), "{}", tail.out);
        home.thermos(&["tail", &id, "cleanup"]).expect(0).says("3 lines in the result");
    }
}

#[test]
fn demo_elsewhere() {
    let home = Home::new();
    let root = home.root();
    let root = root.to_str().unwrap();
    let done = home.thermos(&["--root", root, "demo", "--sandbox", "here"]).expect(0);
    assert!(done.out.contains(&format!("thermos status --root={root} ")), "{}", done.out);
    assert!(home.path("here/result").exists());
    assert!(!home.path("state").exists());
    home.thermos(&["demo", "--show"]).expect(0).says("\"processes\"");
}

#[test]
fn simplerun() {
    let home = Home::new();
    let done = home
        .with_root(&[
            "simplerun",
            "--task_id=a b%",
            "-E",
            "who=me",
            "--",
            "echo",
            "hello",
            "{{who}}",
        ])
        .expect(0)
        .complains("the sandbox is ");
    assert_eq!(done.out.matches("Running command: 'echo hello {{who}}'\n").count(), 1);
    home.with_root(&["tail", "a b%"]).expect(0).says("hello me\n");
    home.with_root(&["status", "a b%"]).expect(0).says("  a b%                 [owner: ");
    // The first word that is no option ends them.
    let root = home.root();
    let root = root.to_str().unwrap();
    home.thermos(&["-root", root, "simplerun", "--task-id", "x", "echo", "-n", "--root"]).expect(0);
    home.with_root(&["tail", "x"]).expect(0).says("--root");
    // Nothing is an empty command line.
    home.with_root(&["simplerun", "--quiet"]).expect(0);
}

#[test]
fn simplerun_cleans_up() {
    let home = Home::new();
    let sandboxes = || {
        std::fs::read_dir(home.path(""))
            .unwrap()
            .filter(|entry| {
                entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("thermos-")
            })
            .count()
    };
    home.with_root(&["simplerun", "--rm", "--task_id=gone", "touch x; exit 3"])
        .expect(3)
        .says("removed");
    assert_eq!(sandboxes(), 0);
    home.with_root(&["tail", "gone"]).expect(1).complains("There is no log at ");
    home.with_root(&["simplerun", "true"]).expect(0);
    assert_eq!(sandboxes(), 1);
}

#[test]
fn exit_codes_of_run() {
    let home = Home::new();
    let run = |id: &str, task: &str, more: &[&str]| {
        let file = home.file("task.json", task);
        let sandbox = format!("--sandbox={}", home.path("sandbox").display());
        let id = format!("--task_id={id}");
        home.with_root(&[&["run", &sandbox, &id], more, &[file.to_str().unwrap()]].concat())
    };
    let task = |cmdline: &str| {
        format!(r#"{{"name": "t", "processes": [{{"name": "p", "cmdline": "{cmdline}"}}]}}"#)
    };
    run("ok", &task("true"), &[]).expect(0).says("Task ok: SUCCESS");
    run("bad", &task("exit 4"), &[]).expect(3).says("Task bad: FAILED").says("FAILED         4");
    let quiet = run("quiet", &task("exit 4"), &["--quiet"]).expect(3);
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    // A task that is over is not run again, and its outcome is still told.
    run("bad", &task("exit 4"), &[]).expect(3).says("was over already (FAILED)");
    run("port", &task("echo {{thermos.ports[http]}}"), &[]).expect(2).complains("-P NAME:PORT");
    run("port", &task("echo {{thermos.ports[http]}}"), &["-P", "http:80"]).expect(0);
    run("ref", &task("echo {{nosuch}}"), &[]).expect(6).complains("nosuch");
    run("ref", &task("echo {{nosuch}}"), &["-E", "nosuch=1"]).expect(0);
    run("json", "{", &[]).expect(6).complains("task.json:1:2");
    run("field", r#"{"name": "t", "processes": [], "x": 1}"#, &[]).expect(6).complains("x");
    run("port", &task("true"), &["-P", "bad"]).expect(2).complains("option -P");
    run("env", &task("true"), &["-E", "1bad=x"]).expect(2).complains("option -E");
    run("user", &task("true"), &["--user=no-such-user-here"])
        .expect(7)
        .complains("no-such-user-here");
    run("a/b", &task("true"), &[]).expect(2).complains("slash");
    run("name", &task("true"), &["--task=other"]).expect(2).complains("Could not find task other!");
    std::fs::remove_dir_all(home.root().join("checkpoints/ok")).unwrap();
    run("ok", &task("true"), &[]).expect(9);
    let python = home.file("x.aurora", "jobs = []");
    // Without an evaluator next to this build the error says so; with one, that there is no task.
    home.with_root(&["run", python.to_str().unwrap()]).expect(2).complains("aurora");
}

#[test]
fn interrupt() {
    let home = Home::new();
    let child = home.start_task("int", SLEEP);
    home.with_root(&["run", "--task_id=int", "int.json"]).expect(8).complains("another runner");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    finish(child).expect(4).says("Got keyboard interrupt, killing job!\n").says("Task int: KILLED");
    let finalized = std::fs::read_to_string(home.log("int", "last", 0)).unwrap();
    assert_eq!(finalized, "finalized\n");
}

#[test]
fn daemon() {
    let home = Home::new();
    let task = home.file("task.json", SLEEP);
    // The end of the output is seen at once, although the task goes on.
    home.with_root(&[
        "run",
        "--sandbox=s",
        "--task_id=cli-test-d",
        "--daemon",
        task.to_str().unwrap(),
    ])
    .expect(0)
    .says("Daemonizing and starting runner.\n");
    until("it is active", || {
        home.with_root(&["status", "--only=active", "cli-test-d"]).code == 0
            && home.path("s/.logs/main/0/stdout").exists()
    });
    home.with_root(&["kill", "--graceful", "cli-test-d"])
        .expect(0)
        .says("Killing cli-test-d...done.\n");
    home.with_root(&["status", "--only=active", "cli-test-d"]).expect(1).says("No tasks found.\n");
    home.with_root(&["status", "--only=finished", "--verbosity=1", "cli-test-d"])
        .expect(0)
        .says("KILLED");
}

#[test]
fn kill() {
    let home = Home::new();
    let ids = ["cli-test-1", "cli-test-10", "cli-test with space", "cli-test-50%"];
    let children: Vec<_> = ids.iter().map(|id| home.start_task(id, SLEEP)).collect();
    home.with_root(&["kill", "nosuch"]).expect(1).says("No active tasks matched.\n");
    home.with_root(&["kill", "cli-test-"]).expect(1).complains("--prefix");
    let done = home.with_root(&["kill", "cli-test-1"]).expect(0);
    assert_eq!(done.out, "Killing cli-test-1...done.\n");
    home.with_root(&["kill", "cli-test-1"]).expect(1);
    home.with_root(&["status", "--verbosity=1", "cli-test-10"]).expect(0).says("ACTIVE");
    home.with_root(&["kill", "--prefix", "cli-test-1"])
        .expect(0)
        .says("Killing cli-test-10...done.\n");
    home.with_root(&["kill", "--lose", "cli-test with space", "cli-test-50%"])
        .expect(0)
        .says("Killing cli-test with space...done.\nKilling cli-test-50%...done.\n");
    home.with_root(&["status", "--verbosity=1", "cli-test-50%"]).expect(0).says("   LOST");
    for child in children {
        assert_eq!(finish(child).code, -1, "runners are killed");
    }
    assert!(!home.log("cli-test-1", "last", 0).exists(), "no finalizing processes");
}

#[test]
fn graceful_kill() {
    let home = Home::new();
    let child = home.start_task("cli-test-polite", SLEEP);
    home.with_root(&["kill", "--graceful", "cli-test-polite"])
        .expect(0)
        .says("Killing cli-test-polite...done.\n");
    finish(child).expect(4);
    assert!(home.log("cli-test-polite", "last", 0).exists(), "finalizing processes run");

    let stubborn = SLEEP.replace("exec sleep 60", "trap '' TERM; while :; do sleep 0.1; done");
    let child = home.start_task("cli-test-stubborn", &stubborn);
    until("it is deaf", || {
        std::fs::read_to_string(home.log("cli-test-stubborn", "main", 0))
            .is_ok_and(|log| log == "up\n")
    });
    std::thread::sleep(Duration::from_millis(100));
    home.with_root(&["kill", "--graceful", "--timeout=1", "cli-test-stubborn"])
        .expect(11)
        .says("Killing cli-test-stubborn...failed.\n")
        .complains("--timeout");
    home.with_root(&["kill", "cli-test-stubborn"]).expect(0);
    finish(child);
}

#[test]
fn kill_goes_on_with_the_others() {
    let home = Home::new();
    let child = home.start_task("cli-test-good", SLEEP);
    let broken = home.root().join("checkpoints/cli-test-broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("runner"), b"\0\0\0\x02xx\0\0\0\x02xx").unwrap();
    std::fs::write(home.root().join("tasks/active/cli-test-broken"), "{}").unwrap();
    let done = home.with_root(&["kill", "cli-test-(broken|good)"]).expect(11);
    assert!(done.out.contains("Killing cli-test-broken...failed.\n"), "{}", done.out);
    assert!(done.out.contains("Killing cli-test-good...done.\n"), "{}", done.out);
    assert!(done.err.contains("cannot kill cli-test-broken"), "{}", done.err);
    finish(child);
    home.with_root(&["status", "cli-test-broken"]).expect(0).says("CORRUPT or outdated format");
}

#[test]
fn tail_follows_until_the_end() {
    let home = Home::new();
    let child = home.start_task(
        "ticks",
        r#"{"name": "t", "processes": [{"name": "main", "cmdline":
            "for i in 1 2 3 4 5; do echo $i; sleep 0.2; done; echo end; echo wrong >&2"}]}"#,
    );
    let mut tail = home.start(&["tail", "--root", home.root().to_str().unwrap(), "ticks"]);
    let mut lines = BufReader::new(tail.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.starts_with("Tail of active log "), "{line}");
    line.clear();
    // Every line arrives when it is written, also in a pipe.
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    home.with_root(&["status", "--only=active", "ticks"]).expect(0);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "2\n3\n4\n5\nend\n");
    finish(tail).expect(0);
    finish(child).expect(0);
    let done = home.with_root(&["tail", "-n2", "ticks", "main"]).expect(0);
    assert!(done.out.starts_with("Tail of terminal log "), "{}", done.out);
    assert!(done.out.ends_with("/stdout\n5\nend\n"), "{}", done.out);
    home.with_root(&["tail", "--stderr", "ticks"]).expect(0).says("/stderr\nwrong\n");
    home.with_root(&["tail", "nosuch"]).expect(1).complains("Could not find task.");
    home.with_root(&["tail", "ticks", "nosuch"]).expect(1).complains("No processes found.");
}

#[test]
fn tail_ends_when_the_task_is_killed() {
    let home = Home::new();
    let child = home.start_task("cli-test-short", SLEEP);
    home.with_root(&["tail", "--no-follow", "cli-test-short", "main"]).expect(0).says("up\n");
    let tail =
        home.start(&["tail", "--root", home.root().to_str().unwrap(), "cli-test-short", "main"]);
    std::thread::sleep(Duration::from_millis(200));
    home.with_root(&["kill", "cli-test-short"]).expect(0);
    finish(tail).expect(0);
    finish(child);
}

/// With runner and coordinator gone, nobody records the end of the run.
#[test]
fn tail_ends_when_nobody_is_left() {
    let home = Home::new();
    let child = home.start_task("cli-test-lonely", SLEEP);
    let tail = home.start(&["tail", "--root", home.root().to_str().unwrap(), "cli-test-lonely"]);
    let coordinator = || {
        let done = home.with_root(&["status", "--json", "cli-test-lonely"]);
        let document: Value = serde_json::from_str(&done.out).unwrap();
        document["tasks"][0]["processes"][0]["runs"][0]["coordinator_pid"].as_i64()
    };
    until("its coordinator is known", || coordinator().is_some());
    let coordinator = Pid::from_raw(coordinator().unwrap() as i32).unwrap();
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    kill_process(coordinator, Signal::KILL).unwrap();
    finish(tail).expect(0);
    home.with_root(&["kill", "--graceful", "cli-test-lonely"]).expect(11).complains("no runner");
    home.with_root(&["kill", "cli-test-lonely"]).expect(0);
    finish(child);
}

#[test]
fn tail_trusts_no_links() {
    let home = Home::new();
    let child = home.start_task("cli-test-trap", SLEEP);
    let log = home.log("cli-test-trap", "main", 0);
    let secret = home.file("secret", "secret\n");
    std::fs::remove_file(&log).unwrap();
    symlink(&secret, &log).unwrap();
    let done = home.with_root(&["tail", "cli-test-trap"]).expect(12).complains("link");
    assert!(!done.out.contains("secret"));
    let logs = home.path("sandbox/cli-test-trap/.logs");
    std::fs::rename(&logs, home.path("elsewhere")).unwrap();
    symlink(home.path("elsewhere"), &logs).unwrap();
    home.with_root(&["tail", "cli-test-trap"]).expect(12).complains("link");
    home.with_root(&["kill", "cli-test-trap"]).expect(0);
    finish(child);
}

#[test]
fn read_streams_that_are_not_whole() {
    let home = Home::new();
    let stream = fixture("checkpoints/single_success/runner");
    let bytes = std::fs::read(&stream).unwrap();
    let cut = home.path("cut");
    std::fs::write(&cut, &bytes[..bytes.len() - 9]).unwrap();
    let cut = cut.to_str().unwrap();
    home.thermos(&["read", cut]).expect(0).says("Recovered Processes:").complains("torn");
    home.thermos(&["read", "--simple", cut]).expect(0).says("CKPT: RunnerCkpt(").complains("torn");
    let done = home.thermos(&["read", "--json", cut]).expect(0);
    let document: Value = serde_json::from_str(&done.out).unwrap();
    assert!(document["torn_bytes"].as_u64().unwrap() > 0);
    let empty = home.file("empty", "");
    home.thermos(&["read", empty.to_str().unwrap()])
        .expect(10)
        .complains("CORRUPT or outdated format");
    let text = home.file("text", "this is no checkpoint stream");
    home.thermos(&["read", text.to_str().unwrap()]).expect(10).complains("Failed to recover from ");
    home.thermos(&["read", "."]).expect(2).complains("directory");
    let coordinator = fixture("checkpoints/odd_names/coordinator.with space");
    let coordinator = coordinator.to_str().unwrap();
    home.thermos(&["read", coordinator]).expect(10).complains("stream of a coordinator");
    home.thermos(&["read", "--simple", coordinator]).expect(0).says("process=u'with space'");
}

#[test]
fn tasks_of_an_agent() {
    let home = Home::new();
    let runs = home.path("agent/slaves/S0/frameworks/F/executors/thermos x%/runs");
    let root = runs.join("1/checkpoints");
    std::fs::create_dir_all(&root).unwrap();
    symlink("1", runs.join("latest")).unwrap();
    let root = root.to_str().unwrap();
    home.thermos(&["simplerun", "--root", root, "--task_id=of agent", "echo found"]).expect(0);
    let agent = format!("--mesos-root={}", home.path("agent").display());
    let done = home.thermos(&[&agent, "status", "of agent"]).expect(0);
    assert_eq!(done.out.matches("of agent").count(), 1, "{}", done.out);
    home.thermos(&["tail", &agent, "of agent"]).expect(0).says("found\n");
}

/// The paths of all members in a document: `tasks[].header.ports`.
fn members(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if !path.ends_with("header.ports") => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if !value.is_array() {
                    found.insert(path.clone());
                }
                members(value, &path, found);
            }
        }
        Value::Array(items) => {
            let path = format!("{path}[]");
            found.insert(path.clone());
            for item in items {
                members(item, &path, found);
            }
        }
        _ => {}
    }
}

#[test]
fn json_is_what_the_documentation_says() {
    let home = Home::new();
    let done = home.with_root(&["status", "--json", "no such task"]).expect(1);
    let empty: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(empty, serde_json::json!({"schema": 1, "tasks": []}));

    let task = home.path("j.json");
    let logger = r#"{"mode": "rotate", "rotate": {"log_size": 4000, "backups": 2}}"#;
    let text = format!(
        r#"{{"name": "j", "processes":
            [{{"name": "j", "cmdline": "echo out; exit 3", "logger": {logger}}}]}}"#
    );
    std::fs::write(&task, text).unwrap();
    let sandbox = format!("--sandbox={}", home.path("j").display());
    let task = task.to_str().unwrap();
    home.with_root(&["run", "--task_id=j 1", "-P", "http:80", &sandbox, task]).expect(3);
    let stream = home.root().join("checkpoints/j 1/runner");
    let read = home.thermos(&["read", "--json", stream.to_str().unwrap()]).expect(0);
    let read: Value = serde_json::from_str(&read.out).unwrap();
    let status = home.with_root(&["status", "--json", "j 1"]).expect(0);
    let status: Value = serde_json::from_str(&status.out).unwrap();
    for task in [&read, &status["tasks"][0]] {
        assert_eq!(task["state"], "FAILED");
        assert_eq!(task["header"]["ports"]["http"], 80);
        assert_eq!(task["processes"][0]["runs"][0]["return_code"], 3);
    }
    assert_eq!(status["tasks"][0]["finished"], true);

    let documented = |section: &str| -> BTreeSet<String> {
        let schema = include_str!("../SCHEMA.md");
        let section = schema.split("\n## ").find(|text| text.starts_with(section)).unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.filter_map(|row| row.split_once("` |")).map(|(member, _)| member.to_owned()).collect()
    };
    let stream = documented("What a stream says");
    let mut expected = documented("`thermos read --json`");
    expected.extend(stream.iter().cloned());
    let mut found = BTreeSet::new();
    members(&read, "", &mut found);
    assert_eq!(found, expected);

    let mut expected = documented("`thermos status --json`");
    expected.extend(stream.iter().map(|member| format!("tasks[].{member}")));
    let mut found = BTreeSet::new();
    members(&status, "", &mut found);
    assert_eq!(found, expected);
}

#[test]
fn nobody_has_to_read_on() {
    let home = Home::new();
    home.with_root(&["simplerun", "--task_id=big", "seq 200000"]).expect(0);
    let mut tail =
        home.start(&["tail", "--root", home.root().to_str().unwrap(), "-n", "200000", "big"]);
    drop(tail.stdout.take());
    let done = finish(tail).expect(0);
    assert_eq!(done.err, "");
}
