//! Partitions, timeouts, kill retries, throttling, rescheduling, history.

use aurora_api::api;
use aurora_scheduler::core::dice::Dice;
use aurora_scheduler::core::name::TaskId;
use aurora_scheduler::core::reschedule::{flapped, penalty};
use aurora_scheduler::core::status::Status;

use Status::*;

use crate::support::{Steps, World, job, ledger, offer, service, settings, whole};

const MINUTE: i64 = 60_000;

// Numbers of states in Mesos.
const RUNNING: i32 = 1;
const FINISHED: i32 = 2;
const FAILED: i32 = 3;
const KILLED: i32 = 4;
const UNREACHABLE: i32 = 10;

fn with_policy(reschedule: bool, delay_secs: Option<i64>) -> api::TaskConfig {
    let policy =
        api::PartitionPolicy { reschedule: Some(reschedule), delay_secs, ..Default::default() };
    api::TaskConfig { partition_policy: Some(policy), ..whole() }
}

/// 11.3.1
#[test]
fn partition_policies() {
    for (config, delay) in [
        (with_policy(false, None), None),
        (with_policy(false, Some(1)), None),
        (whole(), Some(0)),
        (with_policy(true, None), Some(0)),
        (with_policy(true, Some(30)), Some(30_000)),
    ] {
        let mut world = World::new();
        let id = world.running(config, "a");
        world.report(&id, UNREACHABLE);
        assert_eq!(world.status(&id), Partitioned);
        let Some(delay) = delay else {
            world.wait(1000 * MINUTE);
            assert_eq!(world.status(&id), Partitioned);
            continue;
        };
        if delay > 0 {
            world.wait(delay - 1);
            assert_eq!(world.status(&id), Partitioned);
        }
        world.wait(1);
        let task = world.row(&id);
        assert_eq!(task.status, Lost);
        let message = task.events.last().unwrap().message.as_deref();
        assert_eq!(message, Some("Task partitioned for too long."));
        assert_eq!(world.kills(), std::slice::from_ref(&id));
        assert_eq!(world.tasks(&task.config.job).len(), 1);
    }
}

/// 11.3.2
#[test]
fn a_partition_that_ends_is_forgotten_and_a_restart_counts_from_its_beginning() {
    let mut world = World::new();
    let id = world.running(with_policy(true, Some(60)), "a");
    world.report(&id, UNREACHABLE);
    world.wait(30_000);
    world.report(&id, RUNNING);
    world.wait(2 * MINUTE);
    assert_eq!(world.status(&id), Running);

    world.report(&id, UNREACHABLE);
    world.wait(40_000);
    let mut world = world.restart(settings());
    world.wait(19_999);
    assert_eq!(world.status(&id), Partitioned);
    world.wait(1);
    assert_eq!(world.status(&id), Lost);
}

/// 11.3.3
#[test]
fn another_partition_has_its_own_delay() {
    let mut world = World::new();
    let id = world.running(with_policy(true, Some(60)), "a");
    world.report(&id, UNREACHABLE);
    world.wait(30_000);
    world.report(&id, RUNNING);
    world.report(&id, UNREACHABLE);
    world.wait(59_999);
    assert_eq!(world.status(&id), Partitioned);
    world.wait(1);
    assert_eq!(world.status(&id), Lost);
}

/// 11.3.4 and 11.3.5
#[test]
fn transient_states_end_in_lost() {
    for state in [Assigned, Preempting, Restarting, Draining, Killing] {
        let mut world = World::new();
        let id = transient(&mut world, state);
        world.wait(5 * MINUTE - 1);
        assert_eq!(world.status(&id), state);
        world.wait(1);
        let task = world.row(&id);
        assert_eq!(task.status, Lost, "{state}");
        assert_eq!(task.events.last().unwrap().message.as_deref(), Some("Task timed out"));
        assert_eq!(world.stats().timed_out_tasks, 1);
    }
    // Whoever leaves in time stays.
    let mut world = World::new();
    let id = transient(&mut world, Assigned);
    world.wait(4 * MINUTE);
    world.report(&id, 0);
    world.wait(60 * MINUTE);
    assert_eq!(world.status(&id), Starting, "STARTING may take its time");
    // The time of another transient state is its own.
    let id = transient(&mut World::new(), Assigned);
    let mut world = World::new();
    let same = transient(&mut world, Assigned);
    assert_eq!(same, id);
    world.wait(4 * MINUTE);
    force(&mut world, &id, Killing);
    world.wait(5 * MINUTE - 1);
    assert_eq!(world.status(&id), Killing);
    world.wait(1);
    assert_eq!(world.status(&id), Lost);
}

/// 11.3.6
#[test]
fn a_restart_gives_transient_states_their_full_time() {
    let mut world = World::new();
    let id = transient(&mut world, Restarting);
    world.wait(4 * MINUTE);
    let mut world = world.restart(settings());
    world.wait(5 * MINUTE - 1);
    assert_eq!(world.status(&id), Restarting);
    world.wait(1);
    assert_eq!(world.status(&id), Lost);
}

/// 11.3.7: there are no timers before the core leads; what became due meanwhile happens at once.
#[test]
fn timers_that_were_missed_fire_at_once() {
    let mut world = World::new();
    let id = transient(&mut world, Killing);
    world.now += 100 * MINUTE;
    world.wait(0);
    assert_eq!(world.status(&id), Lost);
}

/// 11.3.8
#[test]
fn kills_are_sent_again_with_growing_delays() {
    let mut settings = crate::support::settings();
    settings.transient_timeout = 60 * MINUTE;
    let mut world = World::with(settings.clone());
    let id = world.running(whole(), "a");
    force(&mut world, &id, Killing);
    assert_eq!(world.kills(), std::slice::from_ref(&id));
    let mut delays = vec![];
    let mut last = world.now;
    while delays.len() < 6 {
        world.wait(1000);
        for _ in world.kills() {
            delays.push(world.now - last);
            last = world.now;
        }
    }
    assert!((15_000..=31_000).contains(&delays[0]), "{delays:?}");
    assert!(delays.windows(2).all(|two| two[1] + 1000 >= two[0]), "{delays:?}");
    assert_eq!(world.stats().task_kill_retries, 6);
    // They go on after a restart.
    let mut world = world.restart(settings);
    world.wait(31_000);
    assert!(world.kills().contains(&id));
    world.report(&id, KILLED);
    world.wait(50 * MINUTE);
    assert!(world.kills().is_empty());
}

/// 11.3.9
#[test]
fn throttled_tasks_wait_out_their_penalty() {
    let mut settings = crate::support::settings();
    settings.flapping_penalty.max = 30_000;
    let mut world = World::with(settings.clone());
    let id = flap(&mut world, 2);
    assert_eq!(world.status(&id), Throttled);
    world.wait(29_999);
    assert_eq!(world.status(&id), Throttled);
    world.wait(1);
    assert_eq!(world.status(&id), Pending);

    // The penalty counts from the event, not from a restart.
    let mut world = World::with(settings.clone());
    let id = flap(&mut world, 2);
    world.wait(20_000);
    let mut world = world.restart(settings);
    world.wait(10_000);
    assert_eq!(world.status(&id), Pending);
}

/// 11.3.10
#[test]
fn no_penalty() {
    let settings = settings();
    let mut dice = Dice::new([1; 32]);
    let mut ledger = ledger();
    let id = ledger.insert(service());
    let task = ledger.row(&id);
    assert_eq!(penalty(&ledger.state, &task, &settings, &mut dice), 0, "no ancestor");
    ledger.walk(&id, &[Assigned, Running, Failed]);
    let next = ledger.replacement(&id).unwrap();
    assert!(penalty(&ledger.state, &next, &settings, &mut dice) > 0);
    ledger.remove(&[id]);
    assert_eq!(penalty(&ledger.state, &next, &settings, &mut dice), 0, "forgotten ancestor");
    for (path, protects) in [
        (&[Assigned, Running, Restarting, Failed][..], true),
        (&[Assigned, Running, Draining, Failed], true),
        (&[Assigned, Running, Restarting, Killing, Failed], true),
        (&[Assigned, Running, Preempting, Failed], false),
    ] {
        let mut ledger = self::ledger();
        let id = ledger.insert(service());
        ledger.walk(&id, path);
        let task = ledger.row(&id);
        assert_eq!(!flapped(&task, settings.flapping_threshold), protects, "{path:?}");
    }
}

/// 11.3.11
#[test]
fn penalties_grow_with_each_flap_up_to_the_cap() {
    let settings = settings();
    let mut ledger = ledger();
    let mut id = ledger.insert(service());
    let mut last = 0;
    for run in 0..30 {
        if ledger.row(&id).status == Throttled {
            ledger.walk(&id, &[Pending]);
        }
        ledger.walk(&id, &[Assigned, Running]);
        ledger.now += settings.flapping_threshold - 1;
        ledger.walk(&id, &[Failed]);
        id = ledger.replacement(&id).unwrap().id.clone();
        let task = ledger.row(&id);
        let now = penalty(&ledger.state, &task, &settings, &mut Dice::new([1; 32]));
        assert!(now >= last && now <= settings.flapping_penalty.max, "{run}: {last} {now}");
        last = now;
    }
    assert_eq!(last, settings.flapping_penalty.max);
    // A run that is long enough ends the chain.
    ledger.walk(&id, &[Pending, Assigned, Running]);
    ledger.now += settings.flapping_threshold;
    ledger.walk(&id, &[Failed]);
    let task = ledger.replacement(&id).unwrap();
    assert_eq!(penalty(&ledger.state, &task, &settings, &mut Dice::new([1; 32])), 0);
}

/// 11.3.12
#[test]
fn restored_tasks_are_in_no_hurry() {
    let mut world = World::new();
    for number in 0..50 {
        world.create(job(&format!("job{number}")), 1);
    }
    let mut world = world.restart(settings());
    world.offer((0..50).map(|n| offer(&format!("o{n}"), &format!("a{n}"))));
    world.wait(1000);
    let early = world.launches().len();
    assert!(early < 25, "{early}");
    world.wait(29_000);
    assert_eq!(world.launches().len(), 50 - early);
}

/// What has ended is forgotten after its time, or when there is too much of it.
#[test]
fn history_is_pruned() {
    let mut settings = crate::support::settings();
    settings.history_per_job = 3;
    let mut world = World::with(settings.clone());
    let mut ids = vec![];
    for run in 0..6 {
        let id = world.running(whole(), &format!("a{run}"));
        world.report(&id, FINISHED);
        ids.push(id);
        world.wait(MINUTE);
    }
    // Too many, but none of them is old enough.
    assert_eq!(world.core.state().task_count(), 6);
    world.wait(60 * MINUTE);
    let id = world.running(whole(), "b");
    world.report(&id, FAILED);
    let left: Vec<&TaskId> =
        ids.iter().filter(|id| world.core.state().task(id).is_some()).collect();
    assert_eq!(left, [&ids[4], &ids[5]]);
    assert_eq!(world.stats().tasks_pruned, 4);
    // A restart does not make them younger.
    world.wait(46 * 60 * MINUTE);
    let mut world = world.restart(settings);
    assert_eq!(world.core.state().task_count(), 3);
    world.wait(2 * 60 * MINUTE);
    assert_eq!(world.core.state().task_count(), 0);
}

/// A task in this state, which it just entered.
fn transient(world: &mut World, state: Status) -> TaskId {
    if state == Assigned {
        let id = world.create(whole(), 1).remove(0);
        world.offer([offer("o", "a")]);
        world.wait(1);
        assert_eq!(world.status(&id), Assigned);
        // The timer began with the launch, one millisecond ago at most.
        world.now = world.row(&id).last_change();
        return id;
    }
    let id = world.running(whole(), "a");
    force(world, &id, state);
    id
}

fn force(world: &mut World, id: &TaskId, status: Status) {
    use aurora_scheduler::core::jobs::Request;
    let request = Request::ForceState { task: id.clone(), status, user: "u".into() };
    world.request(request).unwrap();
    assert_eq!(world.status(id), status);
}

/// A service whose task has ended at once so many times; the replacement of the last.
fn flap(world: &mut World, times: usize) -> TaskId {
    let mut id = world.running(service(), "a");
    for time in 0..times {
        if time > 0 {
            world.offer([offer(&format!("o{time}"), "a")]);
            world.wait(2);
            assert_eq!(world.launches().len(), 1);
            world.report(&id, RUNNING);
        }
        world.report(&id, FAILED);
        let job = world.row(&id).config.job.clone();
        id = world.tasks(&job).remove(0);
    }
    id
}
