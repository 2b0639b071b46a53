//! Checkpoint streams written by the original survive decoding and encoding.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use aurora_api::thermos::{
    ProcessState, ProcessStatus, RunnerCkpt, RunnerHeader, TaskState, TaskStatus,
};
use aurora_api::{binary, readable, tjson};
use thrift_wire::{Bytes, Double, Value};

fn fixtures(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(dir)
}

/// All files below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The payloads of a stream, and how many bytes of a torn record follow them.
fn payloads(mut stream: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut all = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<4>()
        && let Some((payload, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    {
        all.push(payload);
        stream = rest;
    }
    (all, stream.len())
}

#[test]
fn checkpoint_records_survive() {
    let mut records = 0;
    let mut torn = 0;
    for path in files(&fixtures("checkpoints")) {
        let stream = fs::read(&path).unwrap();
        let (payloads, left) = payloads(&stream);
        torn += usize::from(left > 0);
        for payload in payloads {
            let place = path.display();
            let record: RunnerCkpt =
                binary::from_slice(payload).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert_eq!(binary::to_vec(&record), payload, "{place}");
            let unknown = match &record {
                RunnerCkpt::RunnerHeader(header) => &header.unknown,
                RunnerCkpt::ProcessStatus(status) => &status.unknown,
                RunnerCkpt::TaskStatus(status) => &status.unknown,
                RunnerCkpt::LogStatus(status) => &status.unknown,
                RunnerCkpt::Unknown(id, _) => panic!("{place}: unknown record {id}"),
            };
            assert!(unknown.is_empty(), "{place}");
            assert_eq!(tjson::from_str(&tjson::to_string(&record)).as_ref(), Ok(&record));
            assert_eq!(readable::from_str(&readable::to_string(&record)).as_ref(), Ok(&record));
            records += 1;
        }
    }
    assert!(records > 1000, "only {records} records");
    assert_eq!(torn, 2, "the torn stream and its copy");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_byte_for_byte() {
    let task = RunnerCkpt::TaskStatus(TaskStatus {
        state: Some(TaskState::ACTIVE),
        timestamp_ms: Some(0x1a1_f8a9_7c32),
        runner_pid: Some(0x53d9),
        runner_uid: Some(0),
        ..Default::default()
    });
    let process = RunnerCkpt::ProcessStatus(ProcessStatus {
        seq: Some(1),
        process: Some("a".to_owned()),
        state: Some(ProcessState::FORKED),
        coordinator_pid: Some(7),
        fork_time: Some(Double(1.5)),
        coordinator_start_ticks: Some(9),
        ..Default::default()
    });
    let header = RunnerCkpt::RunnerHeader(RunnerHeader {
        task_id: Some(String::new()),
        ports: Some(Default::default()),
        uid: Some(-1),
        ..Default::default()
    });
    for (record, bytes, text) in [
        (
            task,
            "0c0003080001000000000a0002000001a1f8a97c32080003000053d90800040000000000\
             00",
            r#"{"task_status":{"state":"ACTIVE","timestamp_ms":1795173219378,"runner_pid":21465,"runner_uid":0}}"#,
        ),
        (
            process,
            "0c00020a000100000000000000010b00030000000161080005000000010\
             8000a0000000704000b3ff80000000000000a006400000000000000090000",
            r#"{"process_status":{"seq":1,"process":"a","state":"FORKED","coordinator_pid":7,"fork_time":1.5,"coordinator_start_ticks":9}}"#,
        ),
        (
            header,
            "0c00010b0001000000000d00060b0a00000000080008ffffffff0000",
            r#"{"runner_header":{"task_id":"","ports":{},"uid":-1}}"#,
        ),
    ] {
        assert_eq!(hex(&binary::to_vec(&record)), bytes);
        assert_eq!(readable::to_string(&record), text);
        assert_eq!(readable::from_str(text), Ok(record));
    }
    let unknown = RunnerCkpt::Unknown(9, Value::String(Bytes::from("later")));
    let mut bytes = vec![0xaa];
    binary::append(&unknown, &mut bytes);
    assert_eq!(hex(&bytes), "aa0b0009000000056c6174657200");
    assert_eq!(binary::from_slice(&bytes[1..]), Ok(unknown));
}
