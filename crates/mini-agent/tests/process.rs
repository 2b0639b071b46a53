//! Processes of executors. Without the usual harness: the agent starts this very program as the
//! launcher.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mesos_executor::v1::{
    AgentId, CommandInfo, DurationInfo, ExecutorId, ExecutorInfo, TaskId, TaskInfo, TaskStatus,
};
use mini_agent::{Agent, LAUNCHER_ROLE, Options, Report};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == LAUNCHER_ROLE) {
        return ExitCode::from(mini_agent::launcher::main(arguments.skip(1)));
    }
    if arguments.any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        environment_and_place().await;
        exit_codes().await;
        shutdown_kills_what_does_not_go().await;
        never_subscribes().await;
        ends_with_the_agent().await;
    });
    println!("processes: all is well");
    ExitCode::SUCCESS
}

fn info(value: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId { value: "e".to_owned() },
        shutdown_grace_period: Some(DurationInfo { nanoseconds: 300_000_000 }),
        command: Some(CommandInfo { value: Some(value.to_owned()), ..CommandInfo::default() }),
        ..ExecutorInfo::default()
    }
}

struct Test {
    agent: Option<Agent>,
    reports: tokio::sync::mpsc::UnboundedReceiver<Report>,
    directory: PathBuf,
    root: tempfile::TempDir,
}

impl Test {
    async fn start(info: ExecutorInfo, registration_timeout: Duration) -> Test {
        let root = tempfile::tempdir().unwrap();
        let mut options = Options::new(root.path(), std::env::current_exe().unwrap());
        options.registration_timeout = registration_timeout;
        let (agent, reports) = Agent::start(options).await.unwrap();
        let added = agent.add(info).unwrap();
        let task = TaskInfo {
            name: "t".to_owned(),
            task_id: TaskId { value: "t".to_owned() },
            agent_id: AgentId { value: "local-S0".to_owned() },
            ..TaskInfo::default()
        };
        agent.launch("e", task).unwrap();
        agent.start_process("e").unwrap();
        assert!(agent.start_process("e").is_err());
        let directory = added.directory.path().to_path_buf();
        Test { agent: Some(agent), reports, directory, root }
    }

    /// Everything until the end: the last update, and the exit code.
    async fn end(&mut self) -> (TaskStatus, Option<i32>) {
        let mut last = None;
        loop {
            let report = tokio::time::timeout(Duration::from_secs(10), self.reports.recv()).await;
            match report.unwrap().unwrap() {
                Report::Update { status, .. } => last = Some(*status),
                Report::Exited { code, .. } => return (last.unwrap(), code),
                _ => {}
            }
        }
    }

    async fn file(&self, name: &str) -> String {
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(self.directory.join(name)).unwrap_or_default();
            if text.ends_with('\n') {
                return text;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "no {name}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Waits for the death of processes whose ids are in a text.
fn all_dead(pids: &str) {
    for pid in pids.split_ascii_whitespace() {
        let start = Instant::now();
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while lives() {
            assert!(start.elapsed() < Duration::from_secs(5), "{pid} lives");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn environment_and_place() {
    let script = "env; pwd -P; echo $(cut -d' ' -f4,6 /proc/$$/stat); echo oops >&2; readlink \
                  /proc/$$/fd/0";
    let mut test = Test::start(info(script), Duration::from_secs(60)).await;
    let (status, code) = test.end().await;
    assert_eq!(code, Some(0));
    assert_eq!(status.message(), "Executor terminated");
    let out = fs::read_to_string(test.directory.join("stdout")).unwrap();
    assert_eq!(fs::read_to_string(test.directory.join("stderr")).unwrap(), "oops\n");
    let mut names: Vec<&str> =
        out.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    let expected = [
        "LIBPROCESS_IP",
        "LIBPROCESS_PORT",
        "MESOS_AGENT_ENDPOINT",
        "MESOS_CHECKPOINT",
        "MESOS_DIRECTORY",
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
        "MESOS_EXECUTOR_ID",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
        "MESOS_FRAMEWORK_ID",
        "MESOS_HTTP_COMMAND_EXECUTOR",
        "MESOS_SANDBOX",
        "MESOS_SLAVE_ID",
        "MESOS_SLAVE_PID",
        "PATH",
        "PWD",
    ];
    names.retain(|name| !["_", "SHLVL", "OLDPWD"].contains(name));
    assert_eq!(names, expected, "{out}");
    let grace = "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=300ms\n";
    assert!(out.contains(grace) && out.contains("MESOS_CHECKPOINT=0\n"), "{out}");
    let rest: Vec<&str> = out.lines().filter(|line| !line.contains('=')).collect();
    let place = test.directory.canonicalize().unwrap();
    assert_eq!((rest[0], rest[2]), (place.to_str().unwrap(), "/dev/null"));
    // The parent, the launcher, leads the session.
    let (parent, session) = rest[1].split_once(' ').unwrap();
    assert_eq!(parent, session);
    let executor = "slaves/local-S0/frameworks/local-0000/executors/e/runs/latest";
    assert_eq!(test.root.path().join(executor).canonicalize().unwrap(), place);
}

async fn exit_codes() {
    for (command, code) in [("exit 3", 3), ("kill -9 $$", 137), ("/nosuch/program", 127)] {
        let mut test = Test::start(info(command), Duration::from_secs(60)).await;
        assert_eq!(test.end().await.1, Some(code), "{command}");
    }
    let mut direct = info("/bin/sh");
    let command = direct.command.as_mut().unwrap();
    command.shell = Some(false);
    command.arguments = ["sh", "-c", "exit 7"].map(str::to_owned).to_vec();
    let mut test = Test::start(direct, Duration::from_secs(60)).await;
    assert_eq!(test.end().await.1, Some(7));
}

/// Ignores what can be ignored, and hides a process in a session of its own.
const STUBBORN: &str = "trap '' TERM INT HUP; (setsid sleep 60 & echo $! > hidden); \
                        sleep 60 & echo $$ $! $(cat hidden) > pids; wait; sleep 60";

async fn shutdown_kills_what_does_not_go() {
    let mut test = Test::start(info(STUBBORN), Duration::from_secs(60)).await;
    let pids = test.file("pids").await;
    let start = Instant::now();
    test.agent.as_ref().unwrap().shutdown("e").unwrap();
    let (_, code) = test.end().await;
    assert_eq!(code, None);
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    all_dead(&pids);
}

async fn never_subscribes() {
    let mut test = Test::start(info("sleep 60"), Duration::from_millis(200)).await;
    let (status, code) = test.end().await;
    assert_eq!((status.message(), code), ("Executor did not register within 200ms", None));
}

async fn ends_with_the_agent() {
    let mut test = Test::start(info(STUBBORN), Duration::from_secs(60)).await;
    let pids = test.file("pids").await;
    drop(test.agent.take());
    all_dead(&pids);
}
