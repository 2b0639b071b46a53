//! Every recorded blob, good and bad, and what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};

use aurora_schema::task::same_task;
use serde_json::Value as Recorded;

use super::*;

fn blobs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/blobs")
}

fn recorded(name: &str) -> Recorded {
    serde_json::from_slice(&fs::read(blobs().join(format!("{name}.json"))).unwrap()).unwrap()
}

fn data(name: &str) -> Vec<u8> {
    fs::read(blobs().join(format!("{name}.tbinary"))).unwrap()
}

fn outcome(name: &str) -> Result<Assignment, BadTask> {
    decode(&data(name)).and_then(|assigned| resolve(&assigned))
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(blobs())
        .unwrap()
        .filter_map(|entry| {
            Some(entry.unwrap().file_name().to_str()?.strip_suffix(".tbinary")?.to_owned())
        })
        .collect();
    names.sort();
    assert!(names.len() >= 14, "{names:?}");
    names
}

#[test]
fn every_blob_has_its_recorded_outcome() {
    for name in names() {
        let expected = recorded(&name);
        match outcome(&name) {
            Err(error) => assert!(
                expected.get("error").is_some_and(|error| !error.is_null()),
                "{name} is refused: {error}"
            ),
            Ok(assignment) => {
                assert!(expected.get("error").is_none_or(Recorded::is_null), "{name} is accepted");
                let ports: BTreeMap<String, i64> =
                    serde_json::from_value(expected["resolved_ports"].clone()).unwrap();
                assert_eq!(assignment.ports, ports, "{name}");
                let task = expected["thermos_task_json"].to_string();
                assert!(
                    same_task(&assignment.task_json, &task),
                    "{name}: {}",
                    assignment.task_json
                );
            }
        }
    }
}

#[test]
fn bad_blobs_say_why() {
    for (name, words) in [
        ("bad_cycle", "cycle"),
        ("bad_empty_data", "no Thermos config"),
        ("bad_no_executor_config", "no Thermos config"),
        ("bad_not_json", "no JSON: line 1"),
        ("bad_unbound_ref", "nosuch.ref"),
    ] {
        let message = outcome(name).unwrap_err().0;
        assert!(message.contains(words), "{name}: {message}");
    }
}

#[test]
fn a_blob_that_is_cut_anywhere_is_refused() {
    let whole = data("minimal");
    for cut in 0..whole.len() {
        let message = decode(&whole[..cut]).unwrap_err().0;
        assert!(message.contains("could not deserialise the assigned task"), "{message}");
    }
}

#[test]
fn containers_choose_the_isolation() {
    assert_eq!(outcome("minimal").unwrap().isolation, Isolation::Directory);
    assert_eq!(outcome("docker").unwrap().isolation, Isolation::Docker);
    assert_eq!(outcome("mesos_image_volumes").unwrap().isolation, Isolation::Image);
}

fn with_data(executor_data: &str) -> Result<Assignment, BadTask> {
    let mut assigned = decode(&data("minimal")).unwrap();
    let config = assigned.task.as_mut().unwrap().executor_config.as_mut().unwrap();
    config.data = Some(executor_data.to_owned());
    assigned.assigned_ports = Some(BTreeMap::from([("http".to_owned(), 31001)]));
    resolve(&assigned)
}

const TASK: &str = r#""task": {"processes": [{"name": "a", "cmdline": "x"}],
    "resources": {"cpu": 1, "ram": 1, "disk": 5}}"#;

#[test]
fn what_was_a_crash_is_a_message() {
    for (executor_data, words) in [
        ("[]", "no JSON object"),
        ("5", "no JSON object"),
        ("{}", "task"),
        (r#"{"task": null}"#, "task"),
        (r#"{"task": {"processes": [{"name": "a", "cmdline": "x", "nosuch": 1}]}}"#, "nosuch"),
        (r#"{"task": {"processes": [{"name": "a", "cmdline": "x"}]}}"#, "no resources"),
        (&format!(r#"{{{TASK}, "announce": {{"portmap": {{"a": "b", "b": "a"}}}}}}"#), "cycle"),
    ] {
        let message = with_data(executor_data).unwrap_err().0;
        assert!(message.contains(words) && message.starts_with(PREFIX), "{message}");
    }
}

#[test]
fn a_task_alone_is_enough_and_aliases_are_followed() {
    let job = format!(
        r#"{{{TASK}, "announce": {{"primary_port": "http", "portmap": {{
            "aurora": "{{{{primary_port}}}}", "https": "aurora", "admin": "8080", "thrift": "service"}}}}}}"#
    );
    let assignment = with_data(&job).unwrap();
    let expected = [("admin", 8080), ("aurora", 31001), ("http", 31001), ("https", 31001)];
    assert_eq!(assignment.ports, expected.map(|(name, port)| (name.to_owned(), port)).into());
    assert_eq!(assignment.disk, 5);
    assert_eq!(with_data(&format!("{{{TASK}}}")).unwrap().ports.len(), 1);
}

#[test]
fn ports_that_no_runner_takes() {
    for (name, target, words) in [
        ("a", "65536", "a port is a number from 0 to 65535"),
        ("a", "-1", "a port is a number from 0 to 65535"),
        ("", "80", "no name"),
        ("a:80", "80", "the port is no number"),
    ] {
        let job = format!(
            r#"{{{TASK}, "announce": {{"primary_port": "http", "portmap": {{"{name}": "{target}"}}}}}}"#
        );
        let message = with_data(&job).unwrap_err().0;
        assert!(message.contains(words) && message.starts_with(PREFIX), "{message}");
    }
}

#[test]
fn instance_and_host_are_bound_everywhere_and_thermos_is_left() {
    let job = r#"{"role": "r", "task": {"name": "{{role}}-{{mesos.instance}}",
        "processes": [{"name": "a",
            "cmdline": "{{mesos.hostname}} {{thermos.ports[http]}} {{thermos.task_id}}"}],
        "resources": {"cpu": 1, "ram": 1, "disk": 1}}}"#;
    let json = with_data(job).unwrap().task_json;
    assert!(json.contains("{{thermos.ports[http]}} {{thermos.task_id}}"), "{json}");
    assert!(!json.contains("mesos."), "{json}");
    assert!(json.contains(r#""name": "r-"#), "{json}");
}
