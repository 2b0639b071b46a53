//! The executor, launched by a real Mesos agent.
//!
//! Needs what `tests/run` sets up: Mesos in `target/mesos`, and the executor.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use thermos_tests::mesos::{Cluster, Launch, Scheduler, process};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// Who processes run as where it does not matter.
const USER: &str = "daemon";

#[test]
fn success() {
    let cluster = Cluster::start();
    let mut scheduler = Scheduler::register(&cluster);
    let hello = process("hello", "echo hello from {{mesos.instance}} on {{mesos.hostname}}");
    scheduler.launch(&[Launch::of("success", USER, &[hello])]);
    scheduler.expect("success", &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], LONG);
    cluster.wait_until_gone(LONG);
}
