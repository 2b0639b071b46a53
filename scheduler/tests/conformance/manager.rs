//! Changes of tasks.

use std::sync::Arc;

use aurora_scheduler::core::machine::Outcome;
use aurora_scheduler::core::manager::{Change, NotInserted};
use aurora_scheduler::core::name::{Agent, JobKey, TaskId};
use aurora_scheduler::core::op::Op;
use aurora_scheduler::core::state::State;
use aurora_scheduler::core::status::Status;

use Status::*;

use crate::support::{Steps, job_key, ledger, service, whole};

/// 11.2.1
#[test]
fn inserted_tasks_wait() {
    let mut ledger = ledger();
    let config = ledger.config(whole());
    let ids = ledger.insert_pending(&config, [3, 4]).unwrap();
    let task = ledger.row(&ids[0]);
    assert_eq!((task.status, task.instance, &task.config), (Pending, 3, &config));
    assert!(task.ports.is_empty() && task.agent.is_none() && task.ancestor.is_none());
    let event = &task.events[0];
    assert_eq!(
        (event.at, event.status, event.scheduler.as_deref()),
        (1000, Pending, Some("localhost"))
    );
    assert_eq!(task.events.len(), 1);
    assert_eq!(ledger.moves(), [(None, Pending), (None, Pending)]);
    // One op, however many tasks.
    assert_eq!(ledger.take_transaction().unwrap().ops.len(), 1);
}

/// 11.2.2
#[test]
fn killing_what_waits_deletes_it_once() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    let task = ledger.row(&id);
    ledger.changes();
    assert_eq!(ledger.go(&id, Killing), Outcome::Success);
    assert_eq!(ledger.changes(), [Change::Deleted(vec![task])]);
    assert_eq!(ledger.go(&id, Killing), Outcome::Illegal);
}

/// 11.2.3
#[test]
fn a_kill_is_sent_once() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Running, Killing]);
    assert_eq!(ledger.take_kills(), std::slice::from_ref(&id));
    ledger.walk(&id, &[Killed]);
    assert_eq!(ledger.go(&id, Killed), Outcome::Noop);
    assert!(ledger.take_kills().is_empty());
}

/// 11.2.4
#[test]
fn lost_while_killed_stays_lost() {
    let mut ledger = ledger();
    let id = ledger.insert(service());
    ledger.walk(&id, &[Assigned, Running, Killing, Lost]);
    assert_eq!(ledger.state.task_count(), 1);
}

/// 11.2.5: who follows a change may make another one; none is lost and none overtakes.
#[test]
fn changes_made_by_followers_are_ordered() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    let mut seen = vec![];
    while let Some(change) = ledger.next_change() {
        let Change::Moved { task, from } = change else { continue };
        seen.push((from, task.status));
        match task.status {
            Pending => ledger.walk(&id, &[Assigned]),
            Assigned => ledger.walk(&id, &[Starting, Running]),
            _ => {}
        }
    }
    let expected = [
        (None, Pending),
        (Some(Pending), Assigned),
        (Some(Assigned), Starting),
        (Some(Starting), Running),
    ];
    assert_eq!(seen, expected);
}

/// 11.2.6
#[test]
fn a_penalty_throttles_the_replacement() {
    let mut ledger = ledger();
    let first = ledger.insert(service());
    ledger.walk(&first, &[Assigned, Running, Failed]);
    let second = ledger.replacement(&first).unwrap();
    assert_eq!(second.status, Pending);
    assert_eq!(second.events[0].message.as_deref(), Some("Rescheduled"));
    ledger.moves();
    ledger.walk(&second.id, &[Assigned, Running, Failed]);
    let third = ledger.replacement(&second.id).unwrap();
    assert_eq!(third.status, Throttled);
    let message = third.events[0].message.as_deref().unwrap();
    let penalty = message.strip_prefix("Rescheduled, penalized for ").unwrap();
    let penalty: i64 = penalty.strip_suffix(" ms for flapping").unwrap().parse().unwrap();
    assert!((30_000..=60_000).contains(&penalty), "{penalty}");
    assert!(ledger.moves().contains(&(None, Throttled)));
}

/// 11.2.7
#[test]
fn an_unknown_task_that_lives_is_killed() {
    let mut ledger = ledger();
    ledger.change(&TaskId::from("x"), None, Running, None);
    assert_eq!(ledger.take_kills(), [TaskId::from("x")]);
}

/// 11.2.8
#[test]
fn what_a_replacement_inherits() {
    let mut ledger = ledger();
    let id = ledger.insert(service());
    let agent = Arc::new(Agent::new("a", "h"));
    ledger.assign(&id, &agent, [("http".into(), 31000)].into());
    ledger.walk(&id, &[Running, Partitioned, Running, Failed]);
    let next = ledger.replacement(&id).unwrap();
    assert_eq!((next.ancestor.as_ref(), next.failures), (Some(&id), 1));
    assert!(next.agent.is_none() && next.ports.is_empty() && next.partitions == 0);
    assert_eq!(next.events.len(), 1);
    assert_ne!(next.id, id);
    // The replacement is announced before the end of what it replaces.
    let moves = ledger.moves();
    assert_eq!(moves[moves.len() - 2..], [(None, Pending), (Some(Running), Failed)]);
}

/// 11.2.9
#[test]
fn partitions_are_counted() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Starting, Partitioned]);
    assert_eq!(ledger.row(&id).partitions, 1);
}

/// 11.2.10
#[test]
fn partitioned_while_restarting_is_lost_at_once() {
    let mut ledger = ledger();
    let id = ledger.insert(service());
    ledger.walk(&id, &[Assigned, Running, Restarting, Partitioned]);
    let task = ledger.row(&id);
    assert_eq!(task.status, Lost);
    let last = task.events.last().unwrap();
    let message = "Action performed on partitioned task, marking as LOST.";
    assert_eq!(last.message.as_deref(), Some(message));
    assert_eq!(ledger.take_kills(), [id.clone(), id.clone()]);
    assert!(ledger.replacement(&id).is_some());
}

/// 11.2.11
#[test]
fn only_the_latest_partition_is_remembered() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Starting]);
    for _ in 0..5 {
        ledger.walk(&id, &[Partitioned, Running]);
    }
    ledger.walk(&id, &[Partitioned]);
    let states: Vec<_> = ledger.row(&id).events.iter().map(|event| event.status).collect();
    assert_eq!(states, [Pending, Assigned, Starting, Partitioned, Running, Partitioned]);
    assert_eq!(ledger.row(&id).partitions, 6);
}

/// 11.2.12
#[test]
fn compare_and_set() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.take_transaction();
    assert_eq!(ledger.change(&id, Some(Running), Assigned, None), Outcome::Unexpected);
    let unknown = TaskId::from("x");
    assert_eq!(ledger.change(&unknown, Some(Pending), Assigned, None), Outcome::Unexpected);
    assert!(ledger.take_transaction().is_none());
    assert_eq!(ledger.change(&id, Some(Pending), Assigned, None), Outcome::Success);
}

/// 11.2.13
#[test]
fn deletions_are_announced_together() {
    let mut ledger = ledger();
    let config = ledger.config(whole());
    let ids = ledger.insert_pending(&config, 0..3).unwrap();
    ledger.changes();
    ledger.remove(&[ids[0].clone(), "x".into(), ids[2].clone()]);
    let changes = ledger.changes();
    let [Change::Deleted(tasks)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!(tasks.iter().map(|task| &task.id).collect::<Vec<_>>(), [&ids[0], &ids[2]]);
    ledger.remove(&["x".into()]);
    assert!(ledger.changes().is_empty());
}

/// 11.2.14
#[test]
fn what_cannot_be_inserted() {
    let mut ledger = ledger();
    let config = ledger.config(whole());
    assert_eq!(ledger.insert_pending(&config, []), Err(NotInserted::Empty));
    let ids = ledger.insert_pending(&config, [1]).unwrap();
    assert_eq!(ledger.insert_pending(&config, [0, 1]), Err(NotInserted::Collision));
    assert_eq!(ledger.insert_pending(&config, [5, 5]), Err(NotInserted::Collision));
    assert_eq!(ledger.state.task_count(), 1);
    // The instance is free again when its task has ended.
    ledger.walk(&ids[0], &[Assigned, Finished]);
    assert!(ledger.insert_pending(&config, [1]).is_ok());
}

/// 11.2.15
#[test]
fn assigned_tasks_know_their_agent() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.changes();
    let agent = Arc::new(Agent::new("a", "h"));
    ledger.assign(&id, &agent, Box::default());
    let changes = ledger.changes();
    let [Change::Moved { task, from: Some(Pending) }] = changes.as_slice() else { panic!() };
    assert_eq!(task.agent.as_ref(), Some(&agent));
    assert_eq!(ledger.state.tasks_on("h").count(), 1);
}

/// 11.2.16
#[test]
fn ids_are_made_of_the_job_the_instance_and_a_uuid() {
    let id = TaskId::new(&JobKey::new("r.x", "e", "n"), 5, [1; 16]);
    let uuid = id.as_str().strip_prefix("r-x-e-n-5-").unwrap();
    assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'));
}

/// What is recorded leads to the same state as what was decided.
#[test]
fn a_transaction_is_what_was_done() {
    let mut ledger = ledger();
    let mut replica = State::default();
    let other = aurora_api::api::TaskConfig { job: Some(job_key("a", "b", "c")), ..service() };
    let ids = [ledger.insert(whole()), ledger.insert(other)];
    for path in [&[Assigned][..], &[Running], &[Partitioned], &[Running], &[Failed]] {
        for id in &ids {
            ledger.walk(id, path);
        }
        replica.apply_all(&ledger.take_transaction().unwrap());
        assert_eq!(replica, ledger.state);
    }
    ledger.remove(&ids);
    let transaction = ledger.take_transaction().unwrap();
    assert!(matches!(&transaction.ops[..], [Op::RemoveTasks(removed)] if *removed == ids));
    replica.apply_all(&transaction);
    assert_eq!(replica, ledger.state);
}
