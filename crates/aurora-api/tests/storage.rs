//! Log entries and backups as recorded.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/recorded.rs"]
mod recorded;

use std::collections::BTreeSet;
use std::fmt::Debug;

use aurora_api::api::{
    HostAttributes, HostMaintenanceRequest, JobConfiguration, JobUpdateDetails, ResourceAggregate,
    ScheduledTask, TaskConfig,
};
use aurora_api::binary;
use aurora_api::storage::{Frame, LogEntry, Op, Snapshot};
use recorded::{Form, Record, assert_reads, assert_same, assert_survives, unknown_fields};
use thrift_wire::{Bytes, Value, Wire};

/// Decodes a record, checks that it survives, and cuts it short.
fn check<T: Wire + PartialEq + Debug>(record: &Record) -> Option<T> {
    let (place, bytes) = (format!("{} {}", record.place, record.str("name")), record.bytes());
    if record.has("broken") || bytes.is_empty() {
        binary::from_slice::<T>(&bytes).unwrap_err();
        return None;
    }
    let value: T = binary::from_slice(&bytes).unwrap_or_else(|e| panic!("{place}: {e}"));
    if record.has("unknown") {
        assert_eq!(unknown_fields(&value).len(), 1, "{place}");
    } else {
        assert_eq!(unknown_fields(&value), [""; 0], "{place}");
    }
    if let Some(readable_form) = record.json.get("value") {
        assert_reads(&value, readable_form, &place);
    }
    assert_survives(&value, &place);
    assert_same(Form::Binary, &bytes, &binary::to_vec(&value), &place);
    // Every byte of the short ones, some of the long ones.
    for len in (0..bytes.len()).step_by(bytes.len() / 1000 + 1) {
        assert!(binary::from_slice::<T>(&bytes[..len]).is_err(), "{place}: {len} bytes");
    }
    Some(value)
}

#[test]
fn records() {
    let (mut ops, mut entries, mut types) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for record in Record::all("storage.jsonl") {
        let kind = record.str("type");
        types.insert(kind.to_owned());
        match kind {
            "Op" => {
                let op = check::<Op>(&record).unwrap();
                ops.insert(only_field(&op));
            }
            "LogEntry" => {
                if let Some(entry) = check::<LogEntry>(&record) {
                    entries.insert(only_field(&entry));
                }
            }
            "Snapshot" => _ = check::<Snapshot>(&record),
            "HostAttributes" => _ = check::<HostAttributes>(&record),
            "HostMaintenanceRequest" => _ = check::<HostMaintenanceRequest>(&record),
            "JobConfiguration" => _ = check::<JobConfiguration>(&record),
            "JobUpdateDetails" => _ = check::<JobUpdateDetails>(&record),
            "ResourceAggregate" => _ = check::<ResourceAggregate>(&record),
            "ScheduledTask" => _ = check::<ScheduledTask>(&record),
            "TaskConfig" => _ = check::<TaskConfig>(&record),
            other => panic!("{}: {other}", record.place),
        }
    }
    assert_eq!(types.len(), 10, "{types:?}");
    // Every op and every entry there is.
    assert_eq!(ops, Op::DEF.fields.iter().map(|f| f.id).collect());
    assert_eq!(entries, LogEntry::DEF.fields.iter().map(|f| f.id).collect());
}

/// The id of the field that a union has.
fn only_field<T: Wire>(union: &T) -> i16 {
    let fields: thrift_wire::Fields = binary::from_slice(&binary::to_vec(union)).unwrap();
    assert_eq!(fields.0.len(), 1);
    fields.0[0].0
}

fn named(name: &str) -> Record {
    let mut records = Record::all("storage.jsonl").into_iter();
    records.find(|record| record.str("name") == name).unwrap()
}

#[test]
fn chunks_make_an_entry() {
    let log: Vec<LogEntry> = Record::all("storage.jsonl")
        .iter()
        .filter(|record| record.str("name").starts_with("logs/framed-exact/"))
        .map(|record| binary::from_slice(&record.bytes()).unwrap())
        .collect();
    let [LogEntry::Frame(Frame::Header(header)), chunks @ ..] = log.as_slice() else {
        panic!("{log:?}")
    };
    assert_eq!(header.chunk_count, Some(2));
    assert_eq!(header.checksum.as_ref().map(|sum| sum.len()), Some(16));
    let mut bytes = Vec::new();
    for chunk in chunks {
        let LogEntry::Frame(Frame::Chunk(chunk)) = chunk else { panic!("{chunk:?}") };
        bytes.extend_from_slice(chunk.data.as_ref().unwrap());
    }
    assert!(matches!(binary::from_slice(&bytes), Ok(LogEntry::Transaction(_))));
}

#[test]
fn what_a_newer_version_wrote_is_kept() {
    let record = named("logs/unknown-field/000.rec");
    let LogEntry::Transaction(transaction) = binary::from_slice(&record.bytes()).unwrap() else {
        panic!()
    };
    assert_eq!(transaction.unknown.get(99), Some(&Value::String(Bytes::from("new"))));
    let record = named("logs/unknown-op/000.rec");
    let LogEntry::Transaction(transaction) = binary::from_slice(&record.bytes()).unwrap() else {
        panic!()
    };
    let ops = transaction.ops.unwrap();
    assert!(matches!(ops.as_slice(), [Op::Unknown(99, Value::Struct(_))]), "{ops:?}");
}
