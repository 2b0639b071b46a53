//! Records of the original's log and backups, and our own snapshots.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use aurora_api::{api, binary, storage};
use aurora_scheduler::core::convert::Pool;
use aurora_scheduler::core::name::{Agent, JobKey, TaskId};
use aurora_scheduler::core::op::{Op, Transaction};
use aurora_scheduler::core::state::State;
use aurora_scheduler::core::status::Status;
use aurora_scheduler::core::task::{Host, Mode, Task, TaskEvent};
use serde_json::Value as Json;
use thrift_wire::Wire;

/// Recorded values of a type, whole ones only.
fn recorded<T: Wire>(kind: &str) -> Vec<(String, T)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/clients/storage.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let whole = records.filter(|r| r["type"] == kind && r.get("broken").is_none());
    whole
        .filter_map(|record| {
            let bytes = base64(record["base64"].as_str()?);
            let name = record["name"].as_str()?.to_owned();
            binary::from_slice(&bytes).ok().map(|value| (name, value))
        })
        .collect()
}

fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut bytes, mut buffer, mut bits) = (vec![], 0_u32, 0);
    for value in text.bytes().filter_map(digit) {
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits) as u8);
        }
    }
    bytes
}

/// Every kind of change of the original's log is understood and written as it was.
#[test]
fn recorded_changes() {
    let mut pool = Pool::default();
    let (mut read, mut passed_over) = (BTreeSet::new(), BTreeSet::new());
    for (name, op) in recorded::<storage::Op>("Op") {
        match pool.op(op.clone()).unwrap_or_else(|bad| panic!("{name}: {bad}")) {
            Some(row) => {
                read.insert(name.clone());
                let again = storage::Op::from(&row);
                let row_again = pool.op(again).unwrap().unwrap();
                assert_eq!(row_again, row, "{name}");
            }
            None => _ = passed_over.insert(name),
        }
    }
    assert!(read.len() >= 12, "{read:?}");
    assert!(passed_over.len() >= 3, "{passed_over:?}");
}

/// Snapshots and backups of the original are read; what is written of them reads as the same state.
#[test]
fn recorded_snapshots() {
    let mut count = 0;
    let mut check = |name: &str, state: &State| {
        let mut file = vec![];
        state.write_snapshot(&mut file).unwrap();
        let read = State::read_snapshot(&mut file.as_slice(), &mut Pool::default());
        assert!(read.unwrap() == *state, "{name}");
        count += 1;
    };
    for (name, snapshot) in recorded::<storage::Snapshot>("Snapshot") {
        let (mut state, mut pool) = (State::default(), Pool::default());
        let tasks = snapshot.tasks.as_ref().map_or(0, BTreeSet::len);
        state.add_snapshot(snapshot, &mut pool).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert_eq!(state.task_count(), tasks, "{name}");
        check(&name, &state);
    }
    for (name, entry) in recorded::<storage::LogEntry>("LogEntry") {
        let (mut state, mut pool) = (State::default(), Pool::default());
        match entry {
            storage::LogEntry::Snapshot(snapshot) => {
                state.add_snapshot(snapshot, &mut pool).unwrap();
            }
            storage::LogEntry::DeduplicatedSnapshot(snapshot) => {
                state.add_deduplicated(snapshot, &mut pool).unwrap();
            }
            storage::LogEntry::Transaction(transaction) => {
                let transaction = pool.transaction(transaction);
                if name.contains("quota-bad") || name.contains("unknown-op") {
                    transaction.unwrap_err();
                    continue;
                }
                state.apply_all(&transaction.unwrap());
            }
            _ => continue,
        }
        check(&name, &state);
    }
    assert!(count >= 4, "{count}");
}

/// A state with some of everything.
fn furnished() -> (State, Pool) {
    let mut pool = Pool::default();
    let mut ops = vec![Op::SaveFramework("f".into())];
    for number in 0..3000 {
        let job = api::JobKey {
            role: Some(format!("role{}", number % 3)),
            environment: Some("env".into()),
            name: Some(format!("job{}", number % 70)),
            ..Default::default()
        };
        let config =
            api::TaskConfig { job: Some(job), priority: Some(number % 2), ..Default::default() };
        let event = |at| TaskEvent {
            at,
            status: Status::ALL[(number as usize + at as usize) % Status::COUNT],
            message: (at == 2).then(|| "m".into()),
            scheduler: Some(pool_text()),
        };
        ops.push(Op::SaveTasks(vec![Arc::new(Task {
            id: TaskId::from(&*format!("task-{}", (number * 7919) % 3001)),
            config: pool.configs.intern(config).unwrap(),
            instance: number,
            status: Status::ALL[number as usize % Status::COUNT],
            failures: number % 5,
            partitions: number % 7,
            ancestor: (number % 2 == 0).then(|| "old".into()),
            agent: (number % 3 > 0).then(|| Arc::new(Agent::new("a", format!("h{}", number % 90)))),
            ports: (0..number % 4).map(|n| (format!("p{n}").into(), 31_000 + n)).collect(),
            events: (0..i64::from(number % 5)).map(event).collect(),
        })]));
    }
    for number in 0..1200 {
        let values = ["x".into(), "y".into()];
        ops.push(Op::SaveHost(Arc::new(Host {
            name: format!("h{number}").into(),
            agent: format!("a{number}").into(),
            attributes: [("rack".into(), values.into())].into(),
            mode: [Mode::None, Mode::Scheduled, Mode::Draining, Mode::Drained][number % 4],
        })));
    }
    let mut state = State::default();
    state.apply_all(&Transaction { ops });
    (state, pool)
}

fn pool_text() -> Arc<str> {
    "scheduler".into()
}

#[test]
fn snapshots_come_back() {
    let (state, _) = furnished();
    assert!(state.encode_snapshot().count() > 8);
    let mut file = vec![];
    state.write_snapshot(&mut file).unwrap();
    let read = State::read_snapshot(&mut file.as_slice(), &mut Pool::default()).unwrap();
    assert_eq!(read, state);
    assert_eq!(read.tasks_of_job(&JobKey::new("role0", "env", "job0")).count(), 15);

    // Equal states give equal bytes, whatever way they came.
    let (mut other, mut pool) = (State::default(), Pool::default());
    for task in read.tasks().collect::<Vec<_>>().into_iter().rev() {
        other.apply(&Op::SaveTasks(vec![task.clone()]));
    }
    for host in state.hosts() {
        other.apply(&Op::SaveHost(host.clone()));
    }
    other.apply(&Op::SaveFramework("f".into()));
    let mut again = vec![];
    other.write_snapshot(&mut again).unwrap();
    assert!(file == again);
    _ = pool.text("x");
}

/// A snapshot that is cut anywhere is refused.
#[test]
fn cut_snapshots_are_refused() {
    let (state, _) = furnished();
    let mut file = vec![];
    state.write_snapshot(&mut file).unwrap();
    for length in (0..file.len()).step_by(file.len() / 20).chain([file.len() - 1, file.len() - 4]) {
        let read = State::read_snapshot(&mut &file[..length], &mut Pool::default());
        assert!(read.is_err(), "{length}");
    }
}

/// Bytes that are wrong anywhere are read as something else, or refused; never worse.
#[test]
fn flipped_bytes() {
    let mut pool = Pool::default();
    let ops = recorded::<storage::Op>("Op").into_iter();
    let ops = ops.filter_map(|(_, op)| pool.op(op).unwrap()).collect();
    let bytes = Transaction { ops }.encode();
    let (mut good, mut bad) = (0, 0);
    for place in (0..bytes.len()).step_by(3) {
        for flip in [0x01, 0x80] {
            let mut bytes = bytes.clone();
            bytes[place] ^= flip;
            match Transaction::decode(&bytes, &mut Pool::default()) {
                Ok(transaction) => {
                    let mut state = State::default();
                    state.apply_all(&transaction);
                    assert!(state.encode_snapshot().all(|part| !part.is_empty()));
                    good += 1;
                }
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    bad += 1;
                }
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} {bad}");
}

#[test]
fn errors_name_the_field() {
    let read = |op| Pool::default().op(op).unwrap_err().to_string();
    let save = |task| {
        storage::Op::SaveTasks(storage::SaveTasks {
            tasks: Some([task].into()),
            ..Default::default()
        })
    };
    let mut task = api::ScheduledTask::default();
    assert_eq!(read(save(task.clone())), "saveTasks.tasks.assignedTask: is missing");
    task.assigned_task = Some(api::AssignedTask::default());
    assert_eq!(read(save(task.clone())), "saveTasks.tasks.assignedTask.taskId: is missing");
    let assigned = api::AssignedTask { task_id: Some("t".into()), ..Default::default() };
    task.assigned_task = Some(assigned);
    assert_eq!(read(save(task.clone())), "saveTasks.tasks.assignedTask.task: is missing");
    let role = api::JobKey { role: Some("r".into()), ..Default::default() };
    let config = api::TaskConfig { job: Some(role), ..Default::default() };
    task.assigned_task.as_mut().unwrap().task = Some(config.clone());
    let expected = "saveTasks.tasks.assignedTask.task.job.environment: is missing";
    assert_eq!(read(save(task.clone())), expected);
    let quota = storage::SaveQuota { quota: Some(Default::default()), ..Default::default() };
    let expected = "saveQuota.quota.resources: must be exactly CPU, RAM and disk";
    assert_eq!(read(storage::Op::SaveQuota(quota)), expected);
    let unknown = storage::Op::Unknown(99, thrift_wire::Value::Bool(true));
    assert!(read(unknown).starts_with("op 99: is a change that this version does not know"));
}
