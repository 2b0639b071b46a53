//! Interpolated jobs as the original dumped them: they fit the Job schema, every attribute keeps
//! its type, every default is the same, and what is left to be bound at run time is found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use aurora_schema::check::check_interpolated;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json;
use aurora_schema::schema::{self, MESOS_JOB, UPDATE_CONFIG};
use aurora_schema::value::{Strictness, Value};
use serde_json::Value as J;

fn table() -> Vec<J> {
    serde_json::from_str(include_str!("../../../fixtures/config/jobs.json")).unwrap()
}

fn job(json: &J) -> Value {
    let document = json::parse(json.to_string().as_bytes()).unwrap();
    schema::from_json(&MESOS_JOB, document, Strictness::Strict).unwrap()
}

#[test]
fn dumped_jobs_read_back() {
    let table = table();
    assert!(table.len() > 150, "{}", table.len());
    for row in &table {
        let case = &row["case"];
        let done = interpolate(&job(&row["job"]), &Limits::default())
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        if done.unescaped || !done.unbound.is_empty() {
            // Run-time variables stay; anything else was resolved before the dump.
            let foreign: Vec<String> = done
                .unbound
                .keys()
                .map(ToString::to_string)
                .filter(|name| !row["unbound"].as_array().unwrap().iter().any(|u| u == name))
                .collect();
            if foreign.is_empty() {
                let ours: J = serde_json::from_str(&done.value.to_json()).unwrap();
                assert_eq!(ours, row["job"], "{case}");
            }
            continue;
        }
        // Null: the original broke while checking, because of a mistake inside a choice.
        let checked = check_interpolated(&done.value);
        let expected = row["check"]["ok"].as_bool().unwrap_or(false);
        assert_eq!(checked.is_ok(), expected, "{case}: {checked:?}");
        // 1 and 1.0 differ for this comparison: floats stay floats, integers integers.
        let ours: J = serde_json::from_str(&done.value.to_json()).unwrap();
        assert_eq!(ours, row["job"], "{case}");
    }
}

/// What a job leaves out is filled in as the original did: attributes that have their default
/// value in the dump may be removed from it.
#[test]
fn defaults_are_those_of_the_original() {
    let mut removed = 0;
    for row in table() {
        let mut bare = row["job"].clone();
        let members = bare.as_object_mut().unwrap();
        for field in MESOS_JOB.fields() {
            let default = match field.presence() {
                aurora_schema::types::Presence::Default(value) => value.to_json(),
                _ => continue,
            };
            let same = members.get(field.name()).is_some_and(|given| {
                let given = json::parse(given.to_string().as_bytes()).unwrap();
                json::same_value(&given, &json::parse(default.as_bytes()).unwrap())
            });
            if same {
                members.remove(field.name());
                removed += 1;
            }
        }
        assert_eq!(serde_json::from_str::<J>(&job(&bare).to_json()).unwrap(), row["job"]);
    }
    assert!(removed > 1_000, "{removed}");
    let empty = json::parse(b"{}").unwrap();
    let update = schema::from_json(&UPDATE_CONFIG, empty, Strictness::Strict).unwrap();
    assert_eq!(
        update.to_json(),
        "{\"batch_size\": 1, \"watch_secs\": 45, \"max_per_shard_failures\": 0, \
         \"max_total_failures\": 0, \"rollback_on_failure\": true, \
         \"wait_for_batch_completion\": false, \"sla_aware\": false}"
    );
}

/// A job read leniently loses unknown attributes of structs that are directly in it, but not of
/// those in lists.
#[test]
fn lenient_reading() {
    let read = |text: &str, strictness| {
        let document = json::parse(text.as_bytes()).unwrap();
        schema::from_json(&MESOS_JOB, document, strictness)
    };
    let loose = "{\"zzz\": 1, \"health_check_config\": {\"endpoint\": \"/x\"}, \
                 \"task\": {\"processes\": [], \"zzz\": {}}}";
    let job = read(loose, Strictness::Lenient).unwrap();
    assert!(!job.to_json().contains("zzz") && !job.to_json().contains("/x"));
    let error = read(loose, Strictness::Strict).unwrap_err();
    assert!(error.to_string().contains("has no attribute"), "{error}");
    for (text, path) in [
        ("{\"task\": {\"processes\": [{\"zzz\": 1}]}}", "task.processes[0]"),
        ("{\"task\": {\"constraints\": [{\"zzz\": 1}]}}", "task.constraints[0]"),
        ("{\"container\": {\"zzz\": 1}}", "container"),
    ] {
        let error = read(text, Strictness::Lenient).unwrap_err();
        assert_eq!(error.path().to_string(), path);
    }
    let error = read("{\"task\": null}", Strictness::Lenient).unwrap_err();
    assert_eq!(error.to_string(), "task: expected an object (Task), got null");
}

/// What a process in a task in a job sees: the nearest attribute of a name, outer ones by their
/// own names, and the job (not the task) as `super`.
#[test]
fn scopes_of_a_job() {
    let source = serde_json::json!({
        "name": "j", "role": "r", "cluster": "c", "environment": "e",
        "task": {
            "name": "t",
            "processes": [{
                "name": "p",
                "cmdline": "{{name}} {{super.name}} {{task.name}} {{role}} {{cluster}} \
                            {{finalization_wait}} {{mesos.instance}} {{&role}}",
            }],
        },
    });
    let once = interpolate(&job(&source), &Limits::default()).unwrap();
    let cmdline = |value: &Value| {
        let processes = value.attribute("task").unwrap().attribute("processes").unwrap();
        let process = &processes.items().unwrap()[0];
        process.attribute("cmdline").unwrap().as_text().unwrap().to_owned()
    };
    assert_eq!(cmdline(&once.value), "p j t r c 30 {{mesos.instance}} {{role}}");
    assert!(once.unescaped);
    // An escape lasts for one interpolation.
    let twice = interpolate(&once.value, &Limits::default()).unwrap();
    assert_eq!(cmdline(&twice.value), "p j t r c 30 {{mesos.instance}} r");
}

/// After an interpolation, text keeps the scopes bound to it only when nothing was left unbound.
#[test]
fn bindings_after_an_interpolation() {
    let twice = |text: &str| {
        let mut bindings = aurora_schema::Bindings::new();
        bindings.bind("x", "v").unwrap();
        let value = Value::string(text).bind([bindings.scope()]);
        let once = interpolate(&value, &Limits::default()).unwrap().value;
        let twice = interpolate(&once, &Limits::default()).unwrap().value;
        twice.as_text().unwrap().to_owned()
    };
    assert_eq!(twice("{{&x}} {{x}}"), "v v");
    assert_eq!(twice("{{&x}} {{nosuch}}"), "{{x}} {{nosuch}}");
}
