//! Recorded configurations: what the original made of them, compared with `aurora config dump`,
//! `config list` and `job inspect`, run as programs.
//!
//! The test starts itself as the client (`AS_CLIENT`), so that every case has its own environment and
//! the evaluator under test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use serde_json::{Value as Json, json};
use support::registry::Registry;

mod support;

/// Set in the processes that are the client.
const AS_CLIENT: &str = "AURORA_AS_CLIENT";

/// Cases with another outcome on purpose.
const DEVIATIONS: &[(&str, &str)] = &[
    ("py2_idioms", "Python 2 only; refused with the replacement"),
    ("tmpl_bad_utf8_bytes", "text is Unicode and need not be marked"),
];

/// Cases whose message the original got by breaking down, or whose wording is Python's own: ours says
/// what is wrong in other words.
const REWORDED: &[&str] = &[
    "bad_bind_type",
    "bad_call_positional",
    "bad_container_empty",
    "bad_cron_policy",
    "bad_docker_no_image",
    "bad_enum_value",
    "bad_metadata_incomplete",
    "bad_no_environment",
    "bad_order_after_daemon",
    "bad_order_after_ephemeral",
    "bad_partial_resources",
    "bad_port_dereference",
    "bad_process_no_name",
    "tut_bad_indented_block",
    "tut_bad_string_newline",
];

/// Texts that the original could not print.
const PRINTABLE_NOW: &[&str] = &["tmpl_unicode"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config/golden")
}

fn client(case: &Json, arguments: &[&str]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .current_dir(fixtures())
        .env(AS_CLIENT, "1")
        .env("AURORA_EVAL", support::evaluator())
        .env("AURORA_CONFIG_ROOT", "/nonexistent")
        .env("HOME", "/nonexistent")
        .env("LOGNAME", "jdoe")
        .env("USER", "jdoe")
        .args(arguments);
    let args = &case["args"];
    for binding in args["bind"].as_array().into_iter().flatten() {
        command.arg(format!("--bind={}", binding.as_str().unwrap()));
    }
    for (name, value) in args["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().unwrap());
    }
    if args["read_json"] == true {
        command.arg("--read-json");
    }
    let Some(images) = args["docker"].as_object() else { return command.output().unwrap() };
    let images = images.iter().map(|(tag, image)| {
        let (_, digest) = image.as_str().unwrap().split_once('@').unwrap();
        (tag.clone(), digest.to_owned())
    });
    let registry = Registry::new(images.collect());
    let root = tempfile::tempdir().unwrap();
    let clusters: Vec<Json> = args["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| json!({"name": name, "docker_registry": format!("http://{}", registry.host)}))
        .collect();
    std::fs::write(root.path().join("clusters.json"), json!(clusters).to_string()).unwrap();
    let mut output = command.env("AURORA_CONFIG_ROOT", root.path()).output().unwrap();
    // The original's registry was one that is not named.
    let text = String::from_utf8(output.stdout).unwrap();
    output.stdout = text.replace(&format!("{}/", registry.host), "").into_bytes();
    output
}

fn words(text: &str) -> BTreeSet<&str> {
    let parts = text.split(|c: char| !(c.is_alphanumeric() || "_./-".contains(c)));
    parts.map(|word| word.trim_matches(['.', '/', '-'])).filter(|word| word.len() > 2).collect()
}

/// Whether an error is of the stage recorded, at its line, and says at least as much.
fn check_error(name: &str, theirs: &Json, ours: &Json) -> Result<(), String> {
    if ours.is_null() {
        return Err(format!("no error, but expected {theirs}"));
    }
    if ours["stage"] != theirs["stage"] {
        return Err(format!("stage {} instead of {}: {ours}", ours["stage"], theirs["stage"]));
    }
    if !theirs["line"].is_null() && ours["line"] != theirs["line"] {
        return Err(format!("line {} instead of {}", ours["line"], theirs["line"]));
    }
    let text = format!(
        "{} {}",
        ours["message"].as_str().unwrap(),
        ours["help"].as_str().unwrap_or_default()
    );
    let said = words(&text);
    let missing: Vec<&str> =
        words(theirs["message"].as_str().unwrap()).difference(&said).copied().collect();
    if missing.is_empty() || REWORDED.contains(&name) {
        return Ok(());
    }
    Err(format!("{text:?} does not say {missing:?}"))
}

/// Sorts the lists at these paths, whose order the original took from hashes.
fn sort(value: &mut Json, paths: &Json) {
    for path in paths.as_array().into_iter().flatten() {
        let pointer = format!("/{}", path.as_str().unwrap().replace('.', "/"));
        if let Some(Json::Array(elements)) = value.pointer_mut(&pointer) {
            elements.sort_by_cached_key(ToString::to_string);
        }
    }
}

fn check_dump(name: &str, case: &Json) -> Result<(), String> {
    let file = case["file"].as_str().unwrap();
    let mut arguments = vec!["config", "dump", "--json", file];
    let key = case["args"]["key"].as_str().map(|key| format!("--key={key}"));
    let job = case["args"]["name"].as_str().map(|name| format!("--name={name}"));
    arguments.extend(key.as_deref());
    arguments.extend(job.as_deref());
    let output = client(case, &arguments);
    let dump: Json = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    if dump["ok"] != case["ok"] || output.status.success() != (case["ok"] == true) {
        return Err(format!("ok is {}, exit {}: {}", dump["ok"], output.status, dump["error"]));
    }
    if !case["error"].is_null() {
        return check_error(name, &case["error"], &dump["error"]);
    }
    let (theirs, ours) = (case["jobs"].as_array().unwrap(), dump["jobs"].as_array().unwrap());
    if theirs.len() != ours.len() {
        return Err(format!("{} jobs instead of {}: {}", ours.len(), theirs.len(), dump["error"]));
    }
    for (theirs, ours) in theirs.iter().zip(ours) {
        if !theirs["error"].is_null() {
            check_error(name, &theirs["error"], &ours["error"])?;
            continue;
        }
        for part in ["select", "job", "unbound", "thrift", "executor_data", "ports", "ok"] {
            let (mut theirs, mut ours) = (theirs[part].clone(), ours[part].clone());
            sort(&mut theirs, &case["args"]["unordered"]);
            sort(&mut ours, &case["args"]["unordered"]);
            if theirs != ours {
                return Err(format!("{part}:\n  expected {theirs}\n  got      {ours}"));
            }
        }
        // The original broke on two of the three strategies.
        let (theirs, ours) = (&theirs["update_settings"], &ours["update_settings"]);
        if ours.is_null() || !theirs.is_null() && theirs != ours {
            return Err(format!("update_settings:\n  expected {theirs}\n  got      {ours}"));
        }
    }
    Ok(())
}

fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// `config list` and `job inspect`: exit codes, and output as a set of lines.
fn check_commands(name: &str, case: &Json) -> Result<(), String> {
    let file = case["file"].as_str().unwrap();
    let compare = |theirs: &Json, arguments: &[&str]| -> Result<(), String> {
        let Some(exit) = theirs["exit"].as_i64() else {
            // The original ended with a traceback.
            return Ok(());
        };
        let output = client(case, arguments);
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = theirs["stdout"].as_str().unwrap_or_default();
        if output.status.code() != Some(exit as i32) {
            return Err(format!(
                "{arguments:?} exits with {} instead of {exit}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        if exit == 0 && lines(&text) != lines(expected) {
            return Err(format!("{arguments:?} prints\n{text}instead of\n{expected}"));
        }
        Ok(())
    };
    if !case["list"].is_null() {
        compare(&case["list"], &["config", "list", file])?;
    }
    for job in case["jobs"].as_array().into_iter().flatten().take(2) {
        let parts: Vec<&str> = ["cluster", "role", "environment", "name"]
            .iter()
            .filter_map(|part| job["select"][part].as_str())
            .collect();
        if !job["inspect"].is_null() && parts.len() == 4 && !PRINTABLE_NOW.contains(&name) {
            // Known clusters have no scheduler here that could be asked for tiers.
            let arguments = ["job", "inspect", "--local", &parts.join("/"), file];
            compare(&job["inspect"], &arguments)?;
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    if std::env::var_os(AS_CLIENT).is_some() {
        let mut world = aurora_client::real::Real::new();
        return ExitCode::from(aurora_client::run(std::env::args_os(), &mut world));
    }
    let table = std::fs::read_to_string(fixtures().join("expected.jsonl")).unwrap();
    let cases: Vec<Json> = table.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut failures = Vec::new();
    let mut compared = 0;
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        if !case["tasks"].is_null() || name.starts_with("th_") {
            continue;
        }
        compared += 1;
        let done = check_dump(name, case).and_then(|()| check_commands(name, case));
        let deviates = DEVIATIONS.iter().any(|(deviation, _)| *deviation == name);
        match done {
            Ok(()) if deviates => failures.push(format!("{name}: no longer deviates")),
            Err(error) if !deviates => failures.push(format!("{name}: {error}")),
            _ => {}
        }
    }
    println!(
        "{compared} recorded configurations, {} deviate on purpose, {} failed",
        DEVIATIONS.len(),
        failures.len()
    );
    assert!(compared > 180);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    ExitCode::SUCCESS
}
