//! Recorded `.thermos` files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use aurora_client::evaluate::{Evaluator, Kind};
use aurora_client::select::parse_bindings;
use aurora_schema::interpolate::{Limits, interpolate};
use serde_json::Value as Json;

mod support;

#[test]
fn exported_tasks() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config/golden");
    let program = Some(support::evaluator());
    let evaluator = Evaluator { program, ..Evaluator::default() };
    let table = std::fs::read_to_string(fixtures.join("expected.jsonl")).unwrap();
    let mut compared = 0;
    for line in table.lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        let file = case["file"].as_str().unwrap();
        if !file.ends_with(".thermos") {
            continue;
        }
        compared += 1;
        let defined = evaluator.run(&fixtures.join(file), Kind::Thermos);
        if !case["error"].is_null() {
            let problem = defined.unwrap_err();
            assert_eq!(problem.stage.name(), case["error"]["stage"].as_str().unwrap(), "{file}");
            assert_eq!(problem.class, case["error"]["class"].as_str().unwrap(), "{file}");
            continue;
        }
        let bind: Vec<String> = case["args"]["bind"]
            .as_array()
            .map(|all| all.iter().map(|b| b.as_str().unwrap().to_owned()).collect())
            .unwrap_or_default();
        let bindings = parse_bindings(&bind).unwrap();
        let values = defined.unwrap().values;
        let tasks = case["tasks"].as_array().unwrap();
        assert_eq!(values.len(), tasks.len(), "{file}");
        for (value, task) in values.iter().zip(tasks) {
            let bound = value.bind([bindings.scope()]);
            let done = interpolate(&bound, &Limits::default()).unwrap();
            let ours: Json = serde_json::from_str(&done.value.to_json()).unwrap();
            assert_eq!(ours, task["task"], "{file}");
            let unbound: Vec<String> = done.unbound.keys().map(ToString::to_string).collect();
            assert_eq!(Json::from(unbound), task["unbound"], "{file}");
        }
    }
    assert!(compared >= 6);
}
