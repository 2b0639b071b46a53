//! Tasks that the original runner was given, and what it made of them: the exit code and the task
//! file it left.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use aurora_schema::Bindings;
use aurora_schema::task::{self, ErrorKind, LoadError, Loaded};
use serde_json::Value;

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|case| case.join("task.json").exists()).collect();
    cases.sort();
    cases
}

fn name(case: &Path) -> &str {
    case.file_name().unwrap().to_str().unwrap()
}

fn load(case: &Path) -> Result<Loaded, LoadError> {
    let meta: Value = serde_json::from_slice(&fs::read(case.join("meta.json")).unwrap()).unwrap();
    let mut bindings = Bindings::new();
    bindings.bind("thermos.task_id", meta["task_id"].as_str().unwrap()).unwrap();
    bindings.bind("thermos.user", "root").unwrap();
    if matches!(name(case), "ports_and_context" | "extra_port") {
        bindings.bind("thermos.ports[http]", "31337").unwrap();
        bindings.bind("thermos.ports[admin]", "8081").unwrap();
    }
    task::load(&fs::read(case.join("task.json")).unwrap(), "task.json", &bindings)
}

/// What was refused, the kind of mistake, and the whole message.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "bad_after_daemon",
        "plan",
        "task.json: constraints[0].order: process \"b\" may not depend on daemon process \"a\"",
    ),
    (
        "bad_cycle",
        "plan",
        "task.json: constraints: the orders form a cycle: \"b\" before \"a\" before \"b\"",
    ),
    (
        "bad_final_regular_order",
        "plan",
        "task.json: constraints[0].order: an order may not mix regular, final and unknown \
         processes: \"a\" is a regular process, \"f\" is final",
    ),
    ("bad_json", "syntax", "task.json:1:29: expected a value, found the end of the document"),
    (
        "bad_no_cmdline",
        "schema",
        "task.json: processes[0].cmdline: required by Process, but missing",
    ),
    ("bad_no_processes", "schema", "task.json: processes: required by Task, but missing"),
    (
        "bad_unknown_in_order",
        "plan",
        "task.json: constraints[0].order: an order may not mix regular, final and unknown \
         processes: \"a\" is a regular process, there is no process \"nosuch\"",
    ),
    (
        "log_bad_destination",
        "schema",
        "task.json: processes[0].logger.destination: expected one of \"file\", \"console\", \
         \"both\", \"none\", got \"syslog\"",
    ),
    (
        "mustache_escape",
        "interpolation",
        "task.json: processes[0].cmdline: malformed reference \" \": a reference may not contain \
         blanks",
    ),
    (
        "mustache_escape_ok",
        "interpolation",
        "task.json: processes[0].cmdline: malformed reference \" \": a reference may not contain \
         blanks",
    ),
    (
        "mustache_escape_only",
        "refs",
        "task.json: processes[0].cmdline: unexpected unbound refs: {{notaref}}; make sure that \
         they are spelt right, and not nested or escaped",
    ),
    (
        "name_dot",
        "name",
        "task.json: processes[0].name: invalid process name \".hidden\": it may not start with \
         \".\"",
    ),
    (
        "name_empty",
        "name",
        "task.json: processes[0].name: invalid process name \"\": it may not be empty",
    ),
    (
        "name_slash",
        "name",
        "task.json: processes[0].name: invalid process name \"a/b\": it may not contain \"/\"",
    ),
    ("ports_missing", "ports", "task.json: unbound ports: http"),
    (
        "unbound_ref",
        "refs",
        "task.json: processes[0].cmdline: unexpected unbound refs: {{nosuch.thing}}; make sure \
         that they are spelt right, and not nested or escaped",
    ),
];

fn kind(error: &LoadError) -> &'static str {
    match error.kind() {
        ErrorKind::Syntax { .. } => "syntax",
        ErrorKind::Schema => "schema",
        ErrorKind::Interpolation => "interpolation",
        ErrorKind::UnboundPorts(_) => "ports",
        ErrorKind::Name => "name",
        ErrorKind::Plan => "plan",
        ErrorKind::UnboundRefs(_) => "refs",
        _ => "other",
    }
}

#[test]
fn refused_as_in_the_original() {
    for case in cases() {
        let expected = REFUSED.iter().find(|(refused, ..)| *refused == name(&case));
        match (load(&case), expected) {
            (Ok(_), None) => {}
            (Ok(_), Some(_)) => panic!("{} was accepted", name(&case)),
            (Err(error), None) => panic!("{} was refused: {error}", name(&case)),
            (Err(error), Some((_, expected_kind, message))) => {
                assert_eq!(kind(&error), *expected_kind, "{error}");
                assert_eq!(error.to_string(), *message);
            }
        }
    }
    for (refused, ..) in REFUSED {
        assert!(cases().iter().any(|case| name(case) == *refused), "{refused}");
    }
}

/// The original ended with 2 for what it could not read, 101 for ports, and left a task file
/// only for what it accepted.
#[test]
fn kinds_agree_with_exit_codes() {
    for case in cases() {
        let meta: Value =
            serde_json::from_slice(&fs::read(case.join("meta.json")).unwrap()).unwrap();
        let exit = meta["exit_code"].as_i64().unwrap();
        let left_a_task = task_file(&case).is_some();
        match load(&case) {
            Err(error) => {
                assert!(!left_a_task, "{}", name(&case));
                let allowed: &[&str] = match exit {
                    2 => &["syntax", "schema", "interpolation"],
                    101 => &["ports"],
                    1 => &["name", "plan", "refs", "schema"],
                    _ => &[],
                };
                assert!(allowed.contains(&kind(&error)), "{}: exit {exit}, {error}", name(&case));
            }
            // 104: the user is unknown, which the task does not say.
            Ok(_) => assert!(left_a_task || exit == 104, "{}: exit {exit}", name(&case)),
        }
    }
}

fn task_file(case: &Path) -> Option<String> {
    ["tasks.finished.json", "tasks.active.json"]
        .iter()
        .find_map(|file| fs::read_to_string(case.join(file)).ok())
}

#[test]
fn writes_what_the_original_wrote() {
    let mut compared = 0;
    for case in cases() {
        let (Ok(loaded), Some(theirs)) = (load(&case), task_file(&case)) else {
            continue;
        };
        // Once with our comparison, once with an independent one that tells 1 from 1.0.
        assert!(task::same_task(&loaded.json, &theirs), "{}: {}", name(&case), loaded.json);
        let ours: Value = serde_json::from_str(&loaded.json).unwrap();
        assert_eq!(ours, serde_json::from_str::<Value>(&theirs).unwrap(), "{}", name(&case));
        // The same characters, in another order.
        assert_eq!(loaded.json.len(), theirs.trim_end().len(), "{}", name(&case));
        assert!(loaded.json.is_ascii() && !loaded.json.contains('\n'));
        compared += 1;
    }
    assert!(compared >= 60, "{compared}");
}

/// What was written is a task again, and the same.
#[test]
fn what_is_written_loads_again() {
    for case in cases() {
        let Ok(loaded) = load(&case) else { continue };
        let again = task::load(loaded.json.as_bytes(), "again", &Bindings::new()).unwrap();
        assert_eq!((again.task, again.json), (loaded.task, loaded.json), "{}", name(&case));
    }
}

#[test]
fn ports_are_found() {
    let ports = |case: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden");
        let source = fs::read(root.join(case).join("task.json")).unwrap();
        let mut bindings = Bindings::new();
        bindings.bind("thermos.ports[http]", "1").unwrap();
        task::referenced_ports(&source, "task.json", &bindings).unwrap()
    };
    assert_eq!(ports("ports_and_context"), ["admin", "http"]);
    assert_eq!(ports("ports_missing"), ["http"]);
    assert_eq!(ports("extra_port"), [""; 0]);
}
