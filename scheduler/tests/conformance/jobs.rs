//! What users ask of jobs, as far as the core answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use aurora_api::api;
use aurora_scheduler::core::config::Config;
use aurora_scheduler::core::engine::{Effect, Event, Receipt, StatusUpdate};
use aurora_scheduler::core::jobs::{Done, Refusal, Reply, Request};
use aurora_scheduler::core::name::JobKey;
use aurora_scheduler::core::op::{Op, Transaction, UpdateKey};
use aurora_scheduler::core::query::Query;
use aurora_scheduler::core::state::State;
use aurora_scheduler::core::status::{Status, StatusSet, TERMINAL};

use Status::*;

use crate::support::{World, job, offer, settings, whole};

fn config(world: &mut World, whole: api::TaskConfig) -> Arc<Config> {
    world.core.pool().configs.intern(whole).unwrap()
}

fn create(world: &mut World, whole: api::TaskConfig, instances: usize) -> Reply {
    let config = config(world, whole);
    world.request(Request::CreateJob { config, instances })
}

fn kill(job: &str, instances: impl Into<BTreeSet<i32>>, message: Option<&str>) -> Request {
    Request::KillTasks {
        job: JobKey::new("role", "env", job),
        instances: instances.into(),
        user: "ann".into(),
        message: message.map(str::to_owned),
    }
}

fn restart(instances: impl Into<BTreeSet<i32>>) -> Request {
    let job = JobKey::new("role", "env", "job");
    Request::RestartShards { job, instances: instances.into(), user: "ann".into() }
}

fn add(template: i32, count: i32) -> Request {
    Request::AddInstances { job: JobKey::new("role", "env", "job"), template, count }
}

/// A world that begins with these changes.
fn with_ops(ops: Vec<Op>) -> World {
    let mut state = State::default();
    state.apply_all(&Transaction { ops });
    World::of(state, settings())
}

fn cron() -> Op {
    Op::SaveCron(JobKey::new("role", "env", "job"), Arc::default())
}

fn update(status: api::JobUpdateStatus) -> Vec<Op> {
    let key = UpdateKey { job: JobKey::new("role", "env", "job"), id: "u1".into() };
    let event = api::JobUpdateEvent { status: Some(status), ..Default::default() };
    vec![Op::SaveUpdate(key.clone(), Arc::default()), Op::SaveUpdateEvent(key, event)]
}

/// 11.13.1, the part that depends on what is stored.
#[test]
fn create_job() {
    let mut world = World::new();
    assert_eq!(create(&mut world, whole(), 3), Ok(Done::Tasks(3)));
    let exists = Refusal::Exists(JobKey::new("role", "env", "job"));
    assert_eq!(create(&mut world, whole(), 1), Err(exists.clone()));
    assert_eq!(exists.to_string(), "Job role/env/job already exists");
    for instances in [0, 4001] {
        let refusal = create(&mut world, job("other"), instances).unwrap_err();
        let text = "Instance count must be between 1 and 4000 inclusive.";
        assert_eq!(refusal.to_string(), text);
    }
    let mut world = with_ops(vec![cron()]);
    assert_eq!(create(&mut world, whole(), 1), Err(exists));
    let mut world = with_ops(update(api::JobUpdateStatus::ROLL_FORWARD_PAUSED));
    assert_eq!(create(&mut world, whole(), 1), Err(Refusal::Updating));
    let mut world = with_ops(update(api::JobUpdateStatus::ABORTED));
    assert_eq!(create(&mut world, whole(), 1), Ok(Done::Tasks(1)));
    // A job whose tasks have all ended can be created again.
    let id = world.tasks(&JobKey::new("role", "env", "job")).remove(0);
    world.offer([offer("o", "a")]);
    world.wait(1);
    world.report(&id, 2);
    assert_eq!(create(&mut world, whole(), 1), Ok(Done::Tasks(1)));
}

/// 11.13.3
#[test]
fn kill_tasks() {
    let mut world = World::new();
    let id = world.running(whole(), "a");
    assert_eq!(world.request(add(0, 2)), Ok(Done::Tasks(2)));
    assert_eq!(world.request(kill("job", [1], None)), Ok(Done::Tasks(1)));
    assert_eq!(world.request(kill("job", [1], None)), Ok(Done::Tasks(0)));
    assert_eq!(world.request(kill("other", [], None)), Ok(Done::Tasks(0)));
    assert_eq!(world.request(kill("job", [], Some("enough"))), Ok(Done::Tasks(2)));
    assert_eq!(world.kills(), std::slice::from_ref(&id));
    let message = world.row(&id).events.last().unwrap().message.clone();
    assert_eq!(message.as_deref(), Some("Killed by ann.\nenough"));
    // What is being killed already is not killed again.
    assert_eq!(world.request(kill("job", [], None)), Ok(Done::Tasks(0)));

    let mut world = World::new();
    let id = world.running(whole(), "a");
    world.request(kill("job", [], Some(""))).unwrap();
    let message = world.row(&id).events.last().unwrap().message.clone();
    assert_eq!(message.as_deref(), Some("Killed by ann"));
    let mut world = with_ops(update(api::JobUpdateStatus::ROLLING_FORWARD));
    assert_eq!(world.request(kill("job", [], None)), Err(Refusal::Updating));
}

/// 11.13.4
#[test]
fn prune_tasks() {
    let mut world = World::new();
    for n in 0..4 {
        let id = world.running(job(&format!("job{n}")), &format!("a{n}"));
        if n > 0 {
            world.report(&id, if n == 1 { 3 } else { 2 });
        }
    }
    let prune = |world: &mut World, query| world.request(Request::PruneTasks(query));
    for active in [&[Running][..], &[Failed, Pending]] {
        let query = Query::default().in_states(StatusSet::of(active));
        assert_eq!(prune(&mut world, query), Err(Refusal::NotEnded));
    }
    let failed = Query::default().in_states(StatusSet::of(&[Failed]));
    assert_eq!(prune(&mut world, failed), Ok(Done::Tasks(1)));
    let one = Query { limit: Some(1), ..Query::default() };
    assert_eq!(prune(&mut world, one.clone().in_states(TERMINAL)), Ok(Done::Tasks(1)));
    assert_eq!(prune(&mut world, one), Ok(Done::Tasks(1)));
    let empty = Query::default().in_states(StatusSet::default());
    assert_eq!(prune(&mut world, empty), Ok(Done::Tasks(0)));
    assert_eq!(world.core.state().task_count(), 1);
}

/// 11.13.7
#[test]
fn restart_shards() {
    let mut world = World::new();
    let id = world.running(whole(), "a");
    assert_eq!(world.request(restart([0, 1])), Err(Refusal::NotActive));
    assert_eq!(world.status(&id), Running);
    world.request(add(0, 1)).unwrap();
    // One of them waits for a place and goes on waiting.
    assert_eq!(world.request(restart([0, 1])), Ok(Done::Tasks(2)));
    assert_eq!(world.status(&id), Restarting);
    let message = world.row(&id).events.last().unwrap().message.clone();
    assert_eq!(message.as_deref(), Some("Restarted by ann"));
    world.report(&id, 4);
    let ids = world.tasks(&JobKey::new("role", "env", "job"));
    assert!(ids.len() == 2 && ids.iter().all(|id| world.status(id) == Pending));
    let mut world = with_ops(update(api::JobUpdateStatus::ROLLING_BACK));
    assert_eq!(world.request(restart([0])), Err(Refusal::Updating));
}

/// 11.13.10
#[test]
fn reconciliation() {
    let mut settings = crate::support::settings();
    settings.reconcile_batch = 2;
    settings.reconcile_delay = 1_000_000;
    let mut world = World::with(settings);
    for n in 0..5 {
        world.running(job(&format!("job{n}")), &format!("a{n}"));
    }
    world.create(job("waits"), 1);
    world.effects.clear();
    let calls = |world: &mut World| -> Vec<usize> {
        let calls = world.effects.extract_if(.., |e| matches!(e, Effect::Reconcile(_)));
        let sizes = calls.filter_map(|e| match e {
            Effect::Reconcile(tasks) => Some(tasks.len()),
            _ => None,
        });
        sizes.collect()
    };
    world.request(Request::ReconcileExplicit { batch: None }).unwrap();
    assert_eq!(calls(&mut world), [2]);
    world.wait(4_999);
    assert_eq!(calls(&mut world), [0; 0]);
    world.wait(1);
    assert_eq!(calls(&mut world), [2]);
    world.wait(50_000);
    assert_eq!(calls(&mut world), [1]);
    world.request(Request::ReconcileExplicit { batch: Some(10) }).unwrap();
    assert_eq!(calls(&mut world), [5]);
    world.request(Request::ReconcileImplicit).unwrap();
    assert_eq!(calls(&mut world), [0]);
    assert_eq!(world.stats().reconciliation_explicit_runs, 2);
    assert_eq!(world.stats().reconciliation_implicit_runs, 1);
}

/// Both kinds begin after their delays and come again at fixed intervals.
#[test]
fn reconciliation_comes_again() {
    let mut world = World::new();
    world.wait(59_999);
    assert_eq!(world.stats().reconciliation_explicit_runs, 0);
    world.wait(1);
    assert_eq!(world.stats().reconciliation_explicit_runs, 1);
    world.wait(30 * 60_000);
    assert_eq!(world.stats().reconciliation_implicit_runs, 1);
    world.wait(10 * 60 * 60_000);
    assert_eq!(world.stats().reconciliation_explicit_runs, 11);
    assert_eq!(world.stats().reconciliation_implicit_runs, 11);
}

/// 11.13.11
#[test]
fn add_instances() {
    let mut world = World::new();
    create(&mut world, whole(), 2).unwrap();
    world.request(kill("job", [0], None)).unwrap();
    assert_eq!(world.request(add(0, 1)), Err(Refusal::NoTemplate));
    assert_eq!(world.request(add(1, 0)), Err(Refusal::NotPositive));
    assert_eq!(world.request(add(1, -1)), Err(Refusal::NotPositive));
    assert_eq!(world.request(add(1, 4000)), Err(Refusal::TooMany(4000)));
    assert_eq!(world.request(add(1, i32::MAX)), Err(Refusal::TooMany(4000)));
    assert_eq!(world.request(add(1, 2)), Ok(Done::Tasks(2)));
    let job = JobKey::new("role", "env", "job");
    let instances: Vec<_> = world.tasks(&job).iter().map(|id| world.row(id).instance).collect();
    assert_eq!(instances, [1, 2, 3]);
    let mut world = with_ops(vec![cron()]);
    assert_eq!(world.request(add(0, 1)), Err(Refusal::Cron));
    let mut world = with_ops(update(api::JobUpdateStatus::ROLL_BACK_AWAITING_PULSE));
    assert_eq!(world.request(add(0, 1)), Err(Refusal::Updating));
}

/// What a state of Mesos comes with: the message, what its reason means, and the acknowledgement.
#[test]
fn status_updates() {
    let limit = "REASON_CONTAINER_LIMITATION";
    for (message, reason, expected) in [
        (Some("m"), None, Some("m")),
        (Some("m"), Some("REASON_X"), Some("m")),
        (
            None,
            Some(format!("{limit}_MEMORY")).as_deref(),
            Some("Task used more memory than requested."),
        ),
        (
            None,
            Some(format!("{limit}_DISK")).as_deref(),
            Some("Task used more disk than requested."),
        ),
        (Some("m"), Some("REASON_EXECUTOR_UNREGISTERED"), None),
        (None, None, None),
    ] {
        let mut world = World::new();
        let id = world.running(whole(), "a");
        let receipt = Receipt { agent: "a".into(), uuid: [1, 2].into() };
        let update = StatusUpdate {
            task: id.clone(),
            state: 3,
            message: message.map(str::to_owned),
            reason: reason.map(str::to_owned),
            source: Some("SOURCE_AGENT".into()),
            receipt: Some(receipt.clone()),
        };
        world.event(Event::Statuses(vec![update.clone(), update]));
        let task = world.row(&id);
        assert_eq!(task.status, Failed);
        assert_eq!(task.events.last().unwrap().message.as_deref(), expected);
        // Those that change nothing are acknowledged, too.
        let acknowledged = Effect::Acknowledge(id, receipt);
        assert_eq!(world.effects.iter().filter(|effect| **effect == acknowledged).count(), 2);
    }
}
