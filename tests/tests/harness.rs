//! The helpers themselves: a test that cannot fail proves nothing.

use std::time::Duration;

use thermos_tests::stream::states;
use thermos_tests::{Runner, World, need_root};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_task_is_followed_to_its_end() {
    need_root();
    let world = World::new();
    let task = r#"{"processes": [{"name": "hello", "cmdline": "echo hello"}]}"#;
    let mut runner = Runner::start(&world, "hello", task, &[]);
    let done = runner.wait_process("hello", "SUCCESS", SOON);
    assert_eq!((done.seq, done.return_code), (3, Some(0)));
    runner.wait_task("SUCCESS", SOON);
    assert!(runner.wait(SOON).success(), "{}", runner.output());
    assert_eq!(
        states(&runner.records()),
        [
            "TASK ACTIVE",
            "HEADER",
            "hello#0 WAITING",
            "hello#1 FORKED",
            "hello#2 RUNNING",
            "hello#3 SUCCESS rc=0",
            "TASK CLEANING",
            "TASK FINALIZING",
            "TASK SUCCESS",
        ]
    );
    world.wait_until_empty(SOON);
}

#[test]
fn what_a_killed_runner_leaves_is_found_and_killed() {
    need_root();
    let world = World::new();
    let task = r#"{"processes": [
        {"name": "plain", "cmdline": "sleep 301"},
        {"name": "apart", "cmdline": "cd /; setsid sleep 302 & sleep 303"}
    ]}"#;
    let runner = Runner::start(&world, "left", task, &[]);
    for process in ["plain", "apart"] {
        runner.wait_process(process, "RUNNING", SOON);
    }
    // The shell of `apart` has to come to its last command.
    let left = thermos_tests::wait_for("all of them", SOON, || {
        let left = world.leftovers();
        let has = |what: &str| left.iter().any(|process| process.command.trim_end() == what);
        ["sleep 301", "sleep 302", "sleep 303"].iter().all(|what| has(what)).then_some(left)
    });
    assert!(left.iter().any(|process| process.pid == runner.pid()), "{left:#?}");
    drop(runner);
    assert!(world.kill_all() >= 3);
    assert!(world.leftovers().is_empty());
}
