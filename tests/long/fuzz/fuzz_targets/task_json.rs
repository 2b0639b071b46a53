//! Any bytes as a task: no panic, and what is accepted loads again as itself.

#![no_main]

use aurora_schema::Bindings;
use aurora_schema::task;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &[u8]| {
    let mut bindings = Bindings::new();
    for (address, value) in [
        ("thermos.task_id", "id"),
        ("thermos.user", "user"),
        ("thermos.ports[http]", "31337"),
        ("a", "{{b}}"),
        ("b", "{{&c}}"),
    ] {
        if bindings.bind(address, value).is_err() {
            return;
        }
    }
    let _ = task::referenced_ports(source, "task.json", &bindings);
    match task::load(source, "task.json", &bindings) {
        Ok(loaded) => {
            assert!(loaded.json.is_ascii() && !loaded.json.contains('\n'));
            assert_eq!(loaded.task.dependencies().len(), loaded.task.processes.len());
            let again = task::load(loaded.json.as_bytes(), "again", &Bindings::new());
            // NaN differs from itself, also inside what is otherwise equal.
            if !loaded.json.contains("NaN") {
                assert_eq!(again.map(|a| (a.task, a.json)), Ok((loaded.task, loaded.json.clone())));
            }
            assert!(task::same_task(&loaded.json, &loaded.json));
        }
        Err(error) => {
            let _ = (error.to_string(), error.path().to_string());
        }
    }
});
