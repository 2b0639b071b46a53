//! What the original's clients were recorded doing, played again with ours: the same requests in the
//! same order, the same output and exit code, given the same answers. What differs on purpose is in
//! `defended.txt`, with the row of COMPATIBILITY.md that says why.
//!
//! Requests are compared by what they mean: unset is not the same as empty, sets have no order, the
//! executor's data is compared as a value. Output is compared line by line; JSON by what it says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod case;
mod copies;
mod defended;
mod documented;
mod drains;
mod message;
mod output;
mod scheduler;
mod world;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use aurora_client::testing::Fake;
use case::{Bodies, Case, Step, cases, fixtures};
use regex::{Captures, Regex};
use scheduler::Scheduler;
use serde_json::Value as Json;
use world::Recorded;

const DEFENDED: &str = include_str!("defended.txt");

/// Where the recordings had their files.
const RECORDED_ROOT: &str = "/mnt/";

/// The system's clusters.json, unless a case has another.
const CLUSTERS: &str = r#"[{"name": "golden", "scheduler_uri": "http://scheduler.example:8081",
    "auth_mechanism": "UNAUTHENTICATED", "slave_root": "/var/lib/mesos",
    "slave_run_directory": "latest"}]"#;

/// Every defence names a row that says why.
#[test]
fn defences_have_rows() {
    let file = fixtures().join("../COMPATIBILITY.md");
    let text = fs::read_to_string(file).unwrap();
    let rows: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .map(str::trim)
        .collect();
    let missing: BTreeSet<String> = ["aurora", "aurora_admin"]
        .into_iter()
        .flat_map(|program| defended::sections(DEFENDED, program))
        .map(|section| section.row)
        .filter(|row| !rows.contains(&**row))
        .collect();
    assert!(missing.is_empty(), "no row in COMPATIBILITY.md for {missing:#?}");
}

/// Runs a program with its arguments, and returns its exit code.
type Run = fn(Vec<OsString>, &mut Fake) -> u8;

const AURORA: Run = |argv, world| aurora_client::run(argv, world);
const AURORA_ADMIN: Run = |argv, world| aurora_client::admin::run(argv, world);

#[test]
fn aurora_does_as_the_original_or_is_defended() {
    play("aurora", AURORA);
}

#[test]
fn aurora_admin_does_as_the_original_or_is_defended() {
    play("aurora_admin", AURORA_ADMIN);
}

/// Plays all cases of a program, or those that `CASES` names.
fn play(program: &str, run: Run) {
    // Job files are named relative to where the client runs.
    std::env::set_current_dir(fixtures().join("clients/files")).unwrap();
    let bodies = Rc::new(Bodies::load());
    let wanted = std::env::var("CASES").ok();
    let mut all = cases(program);
    assert!(all.len() > 60, "only {} cases", all.len());
    // Without the evaluator there are only the cases that read no file in Python syntax.
    all.retain(|case| cfg!(feature = "evaluator") || !case.needs_evaluator());
    if let Some(wanted) = &wanted {
        all.retain(|case| wanted.split(',').any(|name| case.name.starts_with(name)));
    }
    let complete = cfg!(feature = "evaluator") && wanted.is_none();
    let sections = defended::sections(DEFENDED, program);
    let differences: Vec<_> =
        all.iter().map(|case| (case.name.clone(), differences(case, &bodies, run))).collect();
    let wrong = defended::undefended(&sections, &differences, complete);
    let same = differences.iter().filter(|(_, lines)| lines.is_empty()).count();
    println!("{program}: {} cases, {same} without any difference", all.len());
    assert!(wrong.is_empty(), "{}\n{} lines", wrong.join("\n"), wrong.len());
}

/// Plays a case and says how it differs.
fn differences(case: &Case, bodies: &Rc<Bodies>, run: Run) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    prepare(case, root);
    let mut all = Vec::new();
    for (index, step) in case.steps.iter().enumerate() {
        let mut world = world_of(case, step, bodies, root);
        let here = |text: &str| text.replace(RECORDED_ROOT, &format!("{}/", root.display()));
        let argv = with_evaluator(step.argv.iter().map(|argument| here(argument).into()).collect());
        let exit = run(argv, &mut world);
        let mut lines = Vec::new();
        if exit != step.exit {
            lines.push(format!("exit {exit}, recorded {}", step.exit));
        }
        lines.extend(world.scheduler.borrow_mut().finish());
        lines.extend(output::compare("spawned", &listed(&world.spawned()), &listed(&step.spawned)));
        for (name, found, recorded) in
            [("stdout", &world.out, &step.stdout), ("stderr", &world.error, &step.stderr)]
        {
            let text = String::from_utf8_lossy(found).replace(&*root.to_string_lossy(), "/mnt");
            lines.extend(compare_output(name, &text, recorded));
        }
        for (path, content) in &step.files {
            let found = fs::read_to_string(here(path)).unwrap_or_default();
            lines.extend(output::compare(path, &found, content));
        }
        let step =
            if case.steps.len() > 1 { format!("step {}: ", index + 1) } else { String::new() };
        all.extend(lines.into_iter().map(|line| format!("{step}{line}")));
    }
    all
}

/// The files of a case.
fn prepare(case: &Case, root: &Path) {
    for directory in ["home/.aurora", "etc"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let clusters = case.clusters.as_ref().map_or(CLUSTERS.to_owned(), Json::to_string);
    fs::write(root.join("etc/clusters.json"), clusters).unwrap();
    for (path, content) in &case.files {
        fs::write(root.join(path.strip_prefix(RECORDED_ROOT).unwrap()), content).unwrap();
    }
}

fn world_of(case: &Case, step: &Step, bodies: &Rc<Bodies>, root: &Path) -> Recorded {
    let calls = step.all_calls();
    let answered = !calls.is_empty();
    let random = calls.iter().find_map(|call| message::own_update(bodies.get(&call.request.body)));
    let mut world = Recorded::new(Scheduler::new(Rc::clone(bodies), calls), step.now);
    world.random = random.unwrap_or_default();
    if case.down {
        world.down(!answered);
    }
    if let Some(seconds) = step.interrupted_after() {
        world.interrupt_after(seconds);
    }
    world.zookeeper.clone_from(&case.zk);
    let place = |name: &str| root.join(name).to_string_lossy().into_owned();
    world.variables.extend([
        ("HOME".to_owned(), place("home")),
        ("AURORA_CONFIG_ROOT".to_owned(), place("etc")),
        ("PATH".to_owned(), std::env::var("PATH").unwrap_or_default()),
    ]);
    world.variables.extend(step.env.clone());
    // How the stand-ins of the recordings were told to end.
    if let Some(code) = step.env.get("FAKE_EXIT") {
        world.programs_end_with(code.parse().unwrap());
    }
    world
}

#[cfg(feature = "evaluator")]
#[path = "../support/mod.rs"]
mod support;

/// A command line that knows where the evaluator is, if it reads a file in Python syntax.
#[cfg(feature = "evaluator")]
fn with_evaluator(mut argv: Vec<OsString>) -> Vec<OsString> {
    if argv.iter().any(|argument| argument.as_encoded_bytes().ends_with(b".aurora")) {
        // After noun and verb.
        argv.splice(3..3, ["--evaluator".into(), support::evaluator().into()]);
    }
    argv
}

#[cfg(not(feature = "evaluator"))]
fn with_evaluator(argv: Vec<OsString>) -> Vec<OsString> {
    argv
}

fn listed(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Compares what was printed: JSON by value, everything else line by line, without what the stand-ins
/// for other programs printed.
fn compare_output(name: &str, found: &str, recorded: &str) -> Vec<String> {
    let json = |text: &str| serde_json::from_str::<Json>(text).ok();
    if let (Some(found), Some(recorded)) = (json(found), json(recorded)) {
        let lines = message::differences(&unordered(found), &unordered(recorded));
        return lines.into_iter().map(|line| format!("{name}: {line}")).collect();
    }
    let own = |text: &str| -> String {
        text.split_inclusive('\n').filter(|line| !line.starts_with("output of ")).collect()
    };
    output::compare(name, &own(found), &own(&without_python(recorded)))
}

/// Without what only shows which language the original was written in: the frames of a traceback, how
/// sets of names are printed, and the order of a hash in which they and the ports of a task come.
fn without_python(text: &str) -> String {
    let frame = |line: &str| line.starts_with("Traceback (") || line.starts_with("  File \"/opt/");
    let set = Regex::new(r"set\(\[([^\]]*)\]\)").unwrap();
    let names = |found: &Captures<'_>| {
        let name = |item: &str| item.trim().trim_start_matches('u').trim_matches('\'').to_owned();
        let mut names: Vec<String> = found[1].split(',').map(name).collect();
        names.sort();
        names.join(", ")
    };
    let ports = Regex::new("Port: .*").unwrap();
    let sorted = |found: &Captures<'_>| {
        let mut ports: Vec<_> = found[0].split(", ").collect();
        ports.sort_unstable();
        ports.join(", ")
    };
    let lines = text.split_inclusive('\n').filter(|line| !frame(line));
    let lines: String = lines.map(|line| set.replace_all(line, names)).collect();
    ports.replace_all(&lines, sorted).into_owned()
}

/// With all arrays in one order: the original prints sets in that of a hash.
fn unordered(json: Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(unordered).collect();
            items.sort_by_cached_key(Json::to_string);
            Json::Array(items)
        }
        Json::Object(members) => Json::Object(
            members.into_iter().map(|(name, value)| (name, unordered(value))).collect(),
        ),
        other => other,
    }
}
