//! A task in which nothing happens costs nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use thermos_tests::stream::{Record, task_state};
use thermos_tests::{Runner, World, need_root, wait_for};

/// How often a process has given up the processor to wait, and how often it was made to.
fn switches(pid: i64) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let count = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    (count("voluntary_ctxt_switches:"), count("nonvoluntary_ctxt_switches:"))
}

#[test]
fn fifty_sleeping_processes_wake_nobody() {
    need_root();
    let world = World::new();
    let processes: Vec<Json> =
        (0..50).map(|i| json!({"name": format!("p{i}"), "cmdline": "exec sleep 300"})).collect();
    let task = json!({"processes": processes}).to_string();
    let mut runner = Runner::start(&world, "idle", &task, &[]);
    let coordinators = wait_for("all of them", Duration::from_secs(20), || {
        let records = runner.records();
        let running =
            records.iter().filter(|it| matches!(it, Record::Process(it) if it.state == "RUNNING"));
        let coordinator = |record: &Record| match record {
            Record::Process(it) => it.coordinator_pid,
            _ => None,
        };
        let all: Vec<i64> = records.iter().filter_map(coordinator).collect();
        (running.count() == 50 && all.len() == 50).then_some(all)
    });
    // What was written is made durable once, a little later.
    thread::sleep(Duration::from_millis(2500));
    let pids: Vec<i64> = coordinators.into_iter().chain([i64::from(runner.pid())]).collect();
    let before: Vec<(u64, u64)> = pids.iter().map(|pid| switches(*pid)).collect();
    thread::sleep(Duration::from_secs(5));
    let after: Vec<(u64, u64)> = pids.iter().map(|pid| switches(*pid)).collect();
    assert_eq!(after, before, "somebody woke up");
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("KILLED"));
}
