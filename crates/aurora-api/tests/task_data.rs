//! Task data that the original's scheduler would hand to an executor.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/recorded.rs"]
mod recorded;

use std::fs;
use std::path::PathBuf;

use aurora_api::api::{AssignedTask, Container, MesosContainer, Resource, TaskConfig};
use aurora_api::{binary, readable, tjson};
use recorded::{Form, assert_reads, assert_same, assert_survives, fixtures, unknown_fields};
use thrift_wire::{Double, Fields, Value};

/// The files of an encoding, with the encoding.
fn blobs() -> Vec<(PathBuf, Form)> {
    let form = |path: PathBuf| match path.extension()?.to_str()? {
        "tbinary" => Some((path, Form::Binary)),
        "tjson" => Some((path, Form::Text)),
        _ => None,
    };
    let entries = fs::read_dir(fixtures("blobs")).unwrap();
    let mut blobs: Vec<_> = entries.filter_map(|entry| form(entry.unwrap().path())).collect();
    blobs.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(blobs.len() >= 20, "only {} blobs", blobs.len());
    blobs
}

#[test]
fn task_data_survives() {
    for (path, form) in blobs() {
        let (place, bytes) = (path.display().to_string(), fs::read(&path).unwrap());
        let task: AssignedTask = form.decode(&bytes).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(unknown_fields(&task), [""; 0], "{place}");
        assert_survives(&task, &place);
        let again = form.encode(&task);
        assert_eq!(again.len(), bytes.len(), "{place}");
        assert_same(form, &bytes, &again, &place);
        // As it is, nothing is lost whatever the order.
        let data: Fields = form.decode(&bytes).unwrap();
        assert_eq!(form.encode(&data), bytes, "{place}");

        // The same value was recorded in the other form, and for people.
        let (other, extension) = match form {
            Form::Binary => (Form::Text, "tjson"),
            Form::Text => (Form::Binary, "tbinary"),
        };
        let other = other.decode(&fs::read(path.with_extension(extension)).unwrap());
        assert_eq!(other.as_ref(), Ok(&task), "{place}");
        // The latter has enum values by number.
        let text = fs::read_to_string(path.with_extension("json")).unwrap();
        let text = text.replace(r#""mode": 1"#, r#""mode": "RW""#);
        let text = text.replace(r#""mode": 2"#, r#""mode": "RO""#);
        let recorded: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_reads(&task, &recorded["values"], &place);
    }
}

#[test]
fn truncated_task_data() {
    for (path, form) in blobs() {
        let bytes = fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            let cut = form.decode::<AssignedTask>(&bytes[..len]);
            assert!(cut.is_err(), "{}: {len} bytes", path.display());
        }
    }
}

#[test]
fn a_task_without_a_container_has_the_default_one() {
    let plain = Container::Mesos(MesosContainer::default());
    let wire = r#"{"29":{"rec":{"1":{"rec":{}}}}}"#;
    assert_eq!(TaskConfig::default().container, plain);
    assert_eq!(tjson::to_string(&TaskConfig::default()), wire);
    for bytes in [&[0][..], &binary::to_vec(&TaskConfig::default())] {
        assert_eq!(binary::from_slice(bytes), Ok(TaskConfig::default()));
    }
    assert_eq!(readable::from_str("{}"), Ok(TaskConfig::default()));
    // One of a kind that this version does not know is kept.
    let other: TaskConfig = tjson::from_str(r#"{"29":{"rec":{"3":{"rec":{}}}}}"#).unwrap();
    assert_eq!(other.container, Container::Unknown(3, Value::Struct(Fields::new())));
    assert_eq!(tjson::to_string(&other), r#"{"29":{"rec":{"3":{"rec":{}}}}}"#);
    let none = tjson::from_str::<TaskConfig>(r#"{"29":{"rec":{}}}"#).unwrap_err();
    assert!(none.to_string().ends_with("the union Container has no field set"), "{none}");
}

#[test]
fn sets_have_one_order() {
    let wanted = [
        Resource::NumCpus(Double(0.5)),
        Resource::RamMb(128),
        Resource::DiskMb(64),
        Resource::NamedPort("admin".to_owned()),
        Resource::NamedPort("http".to_owned()),
    ];
    let text = r#"{"resources":[{"namedPort":"http"},{"diskMb":64},{"numCpus":0.5},
        {"namedPort":"admin"},{"ramMb":128},{"diskMb":64}],"constraints":[],"metadata":null}"#;
    let task: TaskConfig = readable::from_str(text).unwrap();
    assert_eq!(task.resources, Some(wanted.into()));
    // Empty is not unset.
    assert_eq!(task.constraints, Some(Default::default()));
    assert_eq!((task.metadata, task.mesos_fetcher_uris), (None, None));
}
