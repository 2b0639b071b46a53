//! `thermos launch` with the real executor.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use support::{Done, Home, finish, fixture, until};

/// The executor beside the program under test; it is built if it is not there.
fn executor() -> &'static Path {
    static EXECUTOR: OnceLock<PathBuf> = OnceLock::new();
    EXECUTOR.get_or_init(|| {
        let directory = Path::new(env!("CARGO_BIN_EXE_thermos")).parent().unwrap();
        let path = directory.join("thermos_executor");
        if !path.is_file() {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo
                .args(["build", "--quiet", "-p", "thermos-executor", "--target-dir"])
                .arg(directory.parent().unwrap())
                .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
            if directory.ends_with("release") {
                cargo.arg("--release");
            }
            let built = cargo.stdin(Stdio::null()).status();
            assert!(
                built.as_ref().is_ok_and(|status| status.success()) && path.is_file(),
                "there is no {}, and building it failed: {built:?}; build it with `cargo build -p \
                 thermos-executor`",
                path.display()
            );
        }
        path
    })
}

fn start(home: &Home, arguments: &[&str]) -> Child {
    let executor = format!("--executor={}", executor().display());
    let root = format!("--mesos-root={}", home.path("mesos").display());
    home.start(&[&["launch", executor.as_str(), root.as_str()], arguments].concat())
}

fn launch(home: &Home, arguments: &[&str]) -> Done {
    finish(start(home, arguments))
}

fn blob(name: &str) -> String {
    fixture(&format!("blobs/{name}.tbinary")).to_str().unwrap().to_owned()
}

/// Root must not become somebody who cannot reach a test's directory.
fn role() -> String {
    let name = Command::new("id").arg("-un").output().unwrap().stdout;
    format!("--role={}", String::from_utf8(name).unwrap().trim())
}

/// Starts a task that says when it is up.
fn start_long(home: &Home, command: &str) -> Child {
    let up = home.path("up");
    let task = format!(
        r#"{{"name": "long", "finalization_wait": 1, "processes": [
            {{"name": "main", "cmdline": "{command} touch {}; sleep 60; sleep 60"}}]}}"#,
        up.display()
    );
    let file = home.file("long.json", &task);
    let child = start(home, &[file.to_str().unwrap()]);
    until("the task is up", || up.exists());
    child
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn success() {
    let home = Home::new();
    let task = r#"{"name": "hello", "processes": [{"name": "main", "cmdline":
        "echo {{mesos.instance}} {{thermos.ports[http]}} ${MESOS_EXECUTOR_AUTHENTICATION_TOKEN-none}"}]}"#;
    let file = home.file("hello.json", task);
    let done = launch(&home, &["--instance=3", "-Phttp:8080", file.to_str().unwrap()])
        .expect(0)
        .says("TASK_STARTING")
        .says("TASK_RUNNING")
        .says("TASK_FINISHED  task finished")
        .says("SUCCESS")
        .complains("it gets 1 CPU, 256 MiB of memory, 1 GiB of disk");
    let id = done.out.lines().find_map(|line| line.strip_prefix("task:        ")).unwrap();
    // Others find it below the agent's directory.
    let root = format!("--mesos-root={}", home.path("mesos").display());
    home.thermos(&["tail", &root, id, "main"]).expect(0).says("3 8080 none\n");
    home.thermos(&["status", &root]).expect(0).says(id);
}

#[test]
fn failure_and_removal() {
    let home = Home::new();
    let task = r#"{"role": "r", "name": "bad", "task": {"name": "bad",
        "resources": {"cpu": 1, "ram": 1048576, "disk": 1048576},
        "processes": [{"name": "main", "cmdline": "exit 3"}]}}"#;
    let file = home.file("bad.json", task);
    let arguments = ["--json-job", "--rm", &role(), file.to_str().unwrap()];
    launch(&home, &arguments).expect(3).says("TASK_FAILED").says("were removed");
    assert_eq!(std::fs::read_dir(home.path("mesos")).unwrap().count(), 0);
}

#[test]
fn blobs() {
    let home = Home::new();
    launch(&home, &["--blob", &role(), &blob("minimal")]).expect(0).says("TASK_FINISHED");
    launch(&home, &["--blob", &blob("bad_unbound_ref")]).expect(3).says("nosuch.ref");
    let junk = home.file("junk", "junk");
    launch(&home, &["--blob", junk.to_str().unwrap()])
        .expect(3)
        .says("could not deserialise")
        .complains("it is no assigned task");
}

#[test]
fn interrupted() {
    let home = Home::new();
    let child = start_long(&home, "");
    interrupt(&child);
    finish(child).expect(4).says("Killing the task").says("TASK_KILLED").says("KILLED after");
}

#[test]
fn interrupted_twice() {
    let home = Home::new();
    let mut child = start_long(&home, "trap '' TERM;");
    interrupt(&child);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("Killing the task") {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0);
    }
    interrupt(&child);
    let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
    finish(child).expect(4);
    let rest = rest.join("\n");
    assert!(rest.contains("Shutting the executor down") && rest.contains("TASK_KILLED"), "{rest}");
}

#[test]
fn interrupted_thrice() {
    let home = Home::new();
    let mut child = start_long(&home, "trap '' TERM;");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    for words in ["Killing the task", "Shutting the executor down"] {
        interrupt(&child);
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            assert_ne!(out.read_line(&mut line).unwrap(), 0);
        }
    }
    interrupt(&child);
    let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
    finish(child).expect(4).complains("the executor was killed");
    assert!(rest.join("\n").contains("KILLED after"), "{rest:?}");
    // Nothing is left that seems to run.
    let root = format!("--mesos-root={}", home.path("mesos").display());
    home.thermos(&["status", "--only=finished", &root, ".*long"]).expect(0).says("long-0");
}

#[test]
fn timed() {
    let home = Home::new();
    let task = r#"{"name": "t", "processes": [{"name": "main", "cmdline": "sleep 60"}]}"#;
    let file = home.file("t.json", task);
    launch(&home, &["--timeout=1", file.to_str().unwrap()]).expect(4).says("Time is up.");
}

#[test]
fn an_executor_that_dies() {
    let home = Home::new();
    let program = home.file("executor", "#!/bin/sh\necho last words \"$@\" >&2\nexit 7\n");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = home.file("t.json", r#"{"name": "t", "processes": []}"#);
    let program = format!("--executor={}", program.display());
    let root = format!("--mesos-root={}", home.path("mesos").display());
    home.thermos(&[
        "launch",
        &root,
        &program,
        "--executor-flags=--a 'b c'",
        file.to_str().unwrap(),
    ])
    .expect(3)
    .says("Executor terminated  (REASON_EXECUTOR_TERMINATED, by the agent)")
    .complains("exited with 7")
    .complains("last words --a b c");
}

#[test]
fn wrong_command_lines() {
    let home = Home::new();
    home.thermos(&["launch"]).expect(2).complains("Expected precisely one file, got 0");
    home.thermos(&["launch", "/nosuch"]).expect(2).complains("cannot read /nosuch");
    let file = home.file("t.json", "{}");
    let file = file.to_str().unwrap();
    launch(&home, &[file]).expect(6).complains("neither a job");
    launch(&home, &["--port=a", file]).expect(6);
    home.thermos(&["launch", "--executor=/nosuch", file]).expect(2).complains("is no program");
    home.thermos(&["launch", "--blob", "--json-job", file]).expect(2);
}
