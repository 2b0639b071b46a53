//! Drains that go wrong, which nobody recorded: recorded ones, changed.

use std::ffi::OsString;
use std::rc::Rc;

use crate::case::{Bodies, Step, cases};
use crate::scheduler::Scheduler;
use crate::world::Recorded;

/// The one step of a recorded case.
fn step(name: &str) -> Step {
    let mut case = cases("aurora_admin").into_iter().find(|case| case.name == name).unwrap();
    case.steps.remove(0)
}

/// Runs a step; returns its exit code, and what was printed on both streams.
fn run(step: &Step, script_exit: Option<u8>) -> (u8, String, String) {
    let scheduler = Scheduler::new(Rc::new(Bodies::load()), step.all_calls());
    let mut world = Recorded::new(scheduler, step.now);
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("clusters.json"), crate::CLUSTERS).unwrap();
    let root = home.path().to_string_lossy().into_owned();
    world.variables.insert("AURORA_CONFIG_ROOT".to_owned(), root);
    if let Some(exit) = script_exit {
        world.programs_end_with(exit);
    }
    let argv: Vec<OsString> = step.argv.iter().map(OsString::from).collect();
    let exit = crate::AURORA_ADMIN(argv, &mut world);
    assert_eq!(world.scheduler.borrow_mut().finish(), [""; 0]);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (exit, text(world.fake.out), text(world.fake.error))
}

#[test]
fn a_host_whose_script_fails_is_named() {
    let (exit, out, error) = run(&step("host-drain-script"), Some(3));
    // The script has its say first.
    assert_eq!((exit, out.lines().last()), (0, Some("agent01.example")));
    assert!(error.contains("failed for agent01.example with exit code 3"), "{error}");
    assert!(error.contains("WERE NOT DRAINED"), "{error}");
}

#[test]
fn a_host_that_is_not_drained_in_time_is_named() {
    let mut step = step("host-drain");
    // The answer to the first look, every five seconds for five minutes.
    let looks = step.calls.iter().position(|call| call.method == "maintenanceStatus").unwrap();
    step.calls.truncate(looks + 1);
    let mut last = step.calls[looks].clone();
    last.number += 59;
    step.calls.push(last);
    let (exit, out, error) = run(&step, None);
    assert_eq!((exit, out.as_str()), (0, "agent01.example\n"));
    assert!(error.contains("Not drained within 5 minutes: agent01.example"), "{error}");
    assert_eq!(error.matches("Maintenance status for").count(), 60);
}

#[test]
fn what_is_refused_before_anything_is_done() {
    for (change, why) in [
        ("--grouping=rack", "Unknown grouping function rack"),
        ("--override_reason=x", "All --override_* options are required"),
        ("--filename=/nowhere/hosts", "Please specify either --filename or --hosts"),
    ] {
        let mut step = step("host-drain");
        step.calls.clear();
        step.argv.insert(2, change.to_owned());
        let (exit, out, error) = run(&step, None);
        assert_eq!((exit, out.as_str()), (1, ""), "{change}");
        assert!(error.contains(why), "{change}: {error}");
    }
}
