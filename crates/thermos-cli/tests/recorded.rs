//! Outputs against what the original printed for the same streams and tasks.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::path::Path;

use support::{Home, fixture};

/// Streams of the original with its `read` and `status` of them.
const CASES: &[&str] = &[
    "cmd_not_executable",
    "diamond",
    "ephemeral",
    "kill_before_start",
    "odd_names",
    "percent_name",
    "ports_and_context",
    "recovery_coordinator_dead",
    "retry_exceeded",
    "retry_then_success",
    "sigusr2",
    "single_success",
    "thermos_kill",
];

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The original prints processes in no order, and loses return code and end of failed runs.
fn comparable(report: &str, starts_process: impl Fn(&str) -> bool) -> Vec<String> {
    let mut before = Vec::new();
    let mut processes: Vec<String> = Vec::new();
    for line in report.lines() {
        let failed = line.split_once(" rc=").filter(|_| line.ends_with("state:FAILED"));
        let line = failed.map_or(line, |(before, _)| before);
        if starts_process(line) {
            processes.push(line.to_owned());
        } else if let Some(process) = processes.last_mut().filter(|_| line.starts_with("    ")) {
            process.push_str(&format!("\n{line}"));
        } else {
            before.push(line.to_owned());
        }
    }
    processes.sort();
    before.extend(processes);
    before
}

#[test]
fn read() {
    let home = Home::new();
    for case in CASES {
        let stream = fixture(&format!("checkpoints/{case}/runner"));
        let done = home.thermos(&["read", stream.to_str().unwrap()]).expect(0);
        let mut expected = text(fixture(&format!("cli/{case}/read.txt")));
        if *case == "percent_name" {
            // The original crashed here.
            expected.push_str("     0: pid=, rc=, finish:None, state:WAITING\n");
        }
        let is_process = |line: &str| line.contains("   runs: ");
        assert_eq!(comparable(&done.out, is_process), comparable(&expected, is_process), "{case}");
    }
}

#[test]
fn status() {
    for case in CASES {
        let home = Home::new();
        let expected = text(fixture(&format!("cli/{case}/status.txt")));
        let id = expected.lines().nth(1).unwrap().split(" [").next().unwrap().trim();
        let list = if expected.starts_with("Active") { "active" } else { "finished" };
        let root = home.root();
        std::fs::create_dir_all(root.join("tasks").join(list)).unwrap();
        std::fs::write(root.join("tasks").join(list).join(id), "{}").unwrap();
        let checkpoints = root.join("checkpoints").join(id);
        std::fs::create_dir_all(&checkpoints).unwrap();
        std::fs::copy(fixture(&format!("checkpoints/{case}/runner")), checkpoints.join("runner"))
            .unwrap();
        let done = home.with_root(&["status", "--verbosity=3", id]).expect(0);
        let is_process = |line: &str| line.starts_with("      - ");
        // Who owns the copy is not who owned the original.
        let owner = |report: &str| {
            let (before, rest) = report.split_once("[owner: ").unwrap();
            let (owner, after) = rest.split_once(']').unwrap();
            assert!(owner.len() >= 8, "{owner:?}");
            format!("{before}[owner]{after}")
        };
        assert_eq!(
            comparable(&owner(&done.out), is_process),
            comparable(&owner(&expected), is_process),
            "{case}"
        );
    }
}

#[test]
fn failed_runs_have_a_return_code() {
    let home = Home::new();
    let stream = fixture("checkpoints/retry_then_success/runner");
    let done = home.thermos(&["read", stream.to_str().unwrap()]).expect(0);
    let failed: Vec<&str> = done.out.lines().filter(|line| line.ends_with("FAILED")).collect();
    assert_eq!(failed.len(), 2, "{}", done.out);
    for line in failed {
        assert!(line.contains("rc=1, finish:Fri Nov 20 "), "{line}");
    }
}

#[test]
fn inspect() {
    let home = Home::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture("cli/inspect")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let done = home.thermos(&["inspect", "--json", path.to_str().unwrap()]).expect(0);
            assert_eq!(done.out, text(path.with_extension("txt")), "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 10);
}

#[test]
fn inspect_with_values() {
    let home = Home::new();
    let task = text(fixture("cli/inspect/bind.json"));
    assert!(task.contains("{{greeting}} {{who}}"));
    let file = home.file("bind.json", &task);
    let file = file.to_str().unwrap();
    let options = ["inspect", "-E", "greeting=hi", "-E", "who=me"];
    let done = home.thermos(&[&options[..], &[file]].concat()).expect(0);
    assert_eq!(done.out, text(fixture("cli/inspect/bound.txt")));
    // Unlike the original, which takes ports and ignores them.
    home.thermos(&[&options[..], &["-P", "http:80", file]].concat())
        .expect(0)
        .says("u'echo hi me port 80'");
}

#[test]
fn inspect_checks_the_plan_and_prints_all_the_same() {
    let home = Home::new();
    let cycle = fixture("cli/inspect/cyc.json");
    let cycle = cycle.to_str().unwrap();
    let done = home.thermos(&["inspect", cycle]).expect(0).complains("warning");
    assert_eq!(done.out, text(fixture("cli/inspect/cyc.txt")));
    let done = home.thermos(&["inspect", "--format=json", cycle]).expect(0);
    let document: serde_json::Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(document["name"], "cyc");
    home.thermos(&["inspect", "--task=other", cycle])
        .expect(2)
        .complains("Could not find task other!");
}
