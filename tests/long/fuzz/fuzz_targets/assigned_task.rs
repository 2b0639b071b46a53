//! Any bytes as what a scheduler gives an executor with a task, and as the job in a good one of
//! these: no panic, and what is accepted is a task that a runner takes, below a name that stays in
//! its directory.
//!
//! The first byte says what the rest is: even: all of it; odd: the job of an otherwise good task.

#![no_main]

use aurora_api::api::{AssignedTask, ExecutorConfig, TaskConfig};
use aurora_schema::{Bindings, task};
use libfuzzer_sys::fuzz_target;
use thermos_executor::assignment::{Assignment, decode, resolve};
use thermos_runner::files::bad_file_name;

/// What a scheduler makes of a job.
fn around(job: &str) -> AssignedTask {
    AssignedTask {
        task_id: Some("id".to_owned()),
        slave_host: Some("host".to_owned()),
        instance_id: Some(3),
        assigned_ports: Some([("http".to_owned(), 31_001), ("a".to_owned(), 65_535)].into()),
        task: Some(TaskConfig {
            executor_config: Some(ExecutorConfig {
                data: Some(job.to_owned()),
                ..ExecutorConfig::default()
            }),
            ..TaskConfig::default()
        }),
        ..AssignedTask::default()
    }
}

/// Is this what the runner is promised?
fn check(assigned: &AssignedTask, assignment: &Assignment) {
    assert_eq!(assigned.task_id.as_deref(), Some(&*assignment.task_id));
    assert_eq!(bad_file_name(&assignment.task_id), None);
    for (name, number) in assigned.assigned_ports.iter().flatten() {
        assert_eq!(assignment.ports.get(name), Some(&i64::from(*number)));
    }
    // What only the runner knows is all that may be missing. An instance of the old form can lack
    // more, which the runner says.
    let mut bindings = Bindings::new();
    let known = ["thermos.task_id", "thermos.user", "mesos.instance", "mesos.hostname"];
    let bound = known.into_iter().all(|name| bindings.bind(name, "x").is_ok());
    let json = assignment.task_json.as_bytes();
    let ports = task::referenced_ports(json, "task", &bindings).expect("ports can be read");
    let bound = bound
        && ports.iter().all(|port| bindings.bind(&format!("thermos.ports[{port}]"), "1").is_ok());
    assert!(bound, "a name that cannot be bound: {ports:?}");
    let loaded = task::load(json, "task", &bindings).expect("the runner takes it");
    assert_eq!(loaded.task.finalization_wait, assignment.finalization_wait);
    assert_eq!(loaded.task.resources.map(|resources| resources.disk), Some(assignment.disk));
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let assigned = if kind % 2 == 0 {
        match decode(data) {
            Ok(assigned) => assigned,
            Err(error) => return assert!(error.0.contains("could not deserialise")),
        }
    } else {
        let Ok(job) = std::str::from_utf8(data) else { return };
        around(job)
    };
    match resolve(&assigned) {
        Ok(assignment) => check(&assigned, &assignment),
        Err(error) => assert!(error.0.starts_with("could not deserialise the Thermos task")),
    }
});
