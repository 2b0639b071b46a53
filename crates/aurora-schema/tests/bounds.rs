//! Hostile and large input: bounded work, a clear error, no panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use aurora_schema::Bindings;
use aurora_schema::interpolate::{Interpolated, Limits, interpolate};
use aurora_schema::json;
use aurora_schema::schema;
use aurora_schema::task::{self, ErrorKind, LoadError, Loaded};
use aurora_schema::value::Strictness;
use serde_json::json;

fn with_bindings(cmdline: &str, bound: &[(String, String)]) -> Result<Loaded, LoadError> {
    let mut bindings = Bindings::new();
    for (address, value) in bound {
        bindings.bind(address, value).unwrap();
    }
    let source = json!({"name": "t", "processes": [{"name": "a", "cmdline": cmdline}]});
    task::load(source.to_string().as_bytes(), "t", &bindings)
}

fn chain(length: usize, link: impl Fn(usize) -> String, end: &str) -> Vec<(String, String)> {
    let mut bound: Vec<(String, String)> =
        (0..length).map(|i| (format!("v{i}"), link(i + 1))).collect();
    bound.push((format!("v{length}"), end.to_owned()));
    bound
}

/// 98 indirections resolve, 99 do not.
#[test]
fn chains_have_a_longest_length() {
    let linked =
        |length| with_bindings("{{v0}}", &chain(length, |i| format!("{{{{v{i}}}}}"), "end"));
    assert_eq!(linked(98).unwrap().task.processes[0].cmdline, "end");
    let error = linked(99).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Interpolation);
    assert!(error.message().contains("after 100 replacements"), "{error}");
}

#[test]
fn doubling_text_is_stopped() {
    for factor in [2, 10, 1_000] {
        let link = |i| format!("{{{{v{i}}}}}").repeat(factor);
        let error = with_bindings("{{v0}}", &chain(40, link, "x")).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Interpolation);
        // Which bound is met first depends on how many references make up the text.
        let message = error.message();
        let bounded = ["grows beyond 4194304 bytes", "too much work"];
        assert!(bounded.iter().any(|words| message.contains(words)), "{error}");
        assert!(error.to_string().len() < 300);
    }
}

#[test]
fn many_small_bombs_are_stopped_together() {
    let processes: Vec<_> =
        (0..500).map(|i| json!({"name": format!("p{i}"), "cmdline": "{{v0}}"})).collect();
    let mut bindings = Bindings::new();
    for (address, value) in chain(17, |i| format!("{{{{v{i}}}}}{{{{v{i}}}}}"), "xxxxxxxx") {
        bindings.bind(&address, &value).unwrap();
    }
    let source = json!({"name": "t", "processes": processes}).to_string();
    let error = task::load(source.as_bytes(), "t", &bindings).unwrap_err();
    assert!(error.message().contains("too much work"), "{error}");
}

#[test]
fn printing_the_list_from_every_element_is_stopped() {
    let processes: Vec<_> = (0..2_000)
        .map(|i| json!({"name": format!("p{i}"), "cmdline": "{{constraints}}"}))
        .collect();
    let order: Vec<_> = (0..2_000).map(|i| format!("p{i}")).collect();
    let source =
        json!({"name": "t", "processes": processes, "constraints": [{"order": order}]}).to_string();
    let error = task::load(source.as_bytes(), "t", &Bindings::new()).unwrap_err();
    assert!(error.message().contains("too much work"), "{error}");
}

#[test]
fn nested_references() {
    let nested = format!("{}x{}", "{{a".repeat(100), "}}".repeat(100));
    let bound = [("ax".to_owned(), "x".to_owned())];
    let error = with_bindings(&nested, &bound).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Interpolation);
    let nested = format!("{}x{}", "{{a".repeat(99), "}}".repeat(99));
    assert_eq!(with_bindings(&nested, &bound).unwrap().task.processes[0].cmdline, "x");
    let error = with_bindings(&nested, &[]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnboundRefs(_)), "{error}");
}

#[test]
fn long_and_odd_text() {
    for cmdline in [
        "{".repeat(1_000_000),
        "}".repeat(1_000_000),
        "{{a".repeat(300_000),
        "{{&".repeat(300_000),
        "{{a}".repeat(200_000),
        "x".repeat(10_000_000),
    ] {
        assert_eq!(with_bindings(&cmdline, &[]).unwrap().task.processes[0].cmdline, cmdline);
    }
    let address = format!("{{{{a{}}}}}", ".a".repeat(500_000));
    assert!(with_bindings(&address, &[("a.b".to_owned(), "x".to_owned())]).is_err());
    let supers = format!("{{{{{}x}}}}", "super.".repeat(10_000));
    assert!(with_bindings(&supers, &[]).is_err());
    let escapes = format!("{{{{{}x}}}}", "&".repeat(100_000));
    let error = with_bindings(&escapes, &[]).unwrap_err();
    assert!(error.message().contains("escapes"), "{error}");
    let unknown = format!("{{\"{}\": 1}}", "k".repeat(1_000_000));
    let error = task::load(unknown.as_bytes(), "t", &Bindings::new()).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
}

#[test]
fn many_unbound_references_make_a_short_message() {
    let mut cmdline = String::new();
    for i in 0..50_000 {
        write!(cmdline, "{{{{r{i}}}}}").unwrap();
    }
    let error = with_bindings(&cmdline, &[]).unwrap_err();
    let ErrorKind::UnboundRefs(refs) = error.kind() else { panic!("{error}") };
    assert_eq!(refs.len(), 50_000);
    assert!(error.to_string().ends_with(
        "and 49990 more; make sure that they are spelt right, and not nested or escaped"
    ));
}

/// Processes in a chain, each with references.
fn chain_of(count: usize) -> String {
    let processes: Vec<_> = (0..count)
        .map(|i| {
            json!({
                "name": format!("process-{i:05}"),
                "cmdline": "echo {{name}} {{super.name}} {{thermos.task_id}} {{processes[0].name}}",
                "max_failures": "{{min_duration}}",
            })
        })
        .collect();
    let order: Vec<_> = (0..count).map(|i| format!("process-{i:05}")).collect();
    json!({"name": "chain", "processes": processes, "constraints": [{"order": order}]}).to_string()
}

fn bindings() -> Bindings {
    let mut bindings = Bindings::new();
    bindings.bind("thermos.task_id", "id").unwrap();
    bindings
}

fn interpolated(source: &str) -> Interpolated {
    let document = json::parse(source.as_bytes()).unwrap();
    let value = schema::from_json(&schema::TASK, document, Strictness::Strict).unwrap();
    interpolate(&value.bind([bindings().scope()]), &Limits::default()).unwrap()
}

/// Twice the processes are twice the work, and the work for one does not depend on the others.
#[test]
fn work_is_linear() {
    let work = |count| interpolated(&chain_of(count)).work;
    assert_eq!(work(5_000), 2 * work(2_500));
    assert!(work(5_000) <= 5_000 * 2_000, "{}", work(5_000));
}

#[test]
fn five_thousand_processes() {
    let loaded = task::load(chain_of(5_000).as_bytes(), "t", &bindings()).unwrap();
    assert_eq!(loaded.task.processes[4_999].cmdline, "echo process-04999 chain id process-00000");
    assert_eq!(loaded.task.processes[4_999].max_failures, 5);
    let dependencies = loaded.task.dependencies();
    assert!(dependencies[0].is_empty());
    assert!((1..5_000).all(|i| dependencies[i] == [i as u32 - 1]));
    assert!(task::same_task(&loaded.json, &loaded.json));
    assert_eq!(loaded.warnings, []);
}

/// A cycle through all of them is found without recursion and told in short.
#[test]
fn a_long_cycle() {
    let mut source: serde_json::Value = serde_json::from_str(&chain_of(50_000)).unwrap();
    let order = source["constraints"][0]["order"].as_array_mut().unwrap();
    order.push("process-00000".into());
    let error = task::load(source.to_string().as_bytes(), "t", &bindings()).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Plan);
    assert!(error.message().contains("49988 more"), "{error}");
    assert!(error.to_string().len() < 600);
}
