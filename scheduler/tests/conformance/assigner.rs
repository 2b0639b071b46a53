//! From offers to launches.

use aurora_api::api;
use aurora_scheduler::core::engine::{Effect, Event};
use aurora_scheduler::core::name::JobKey;
use aurora_scheduler::core::status::Status;

use Status::*;

use crate::support::{World, job, offer, whole, with_attribute, with_limit};

/// 11.5.1
#[test]
fn without_tasks_nothing_is_launched() {
    let mut world = World::new();
    world.offer([offer("o", "a")]);
    world.wait(10_000);
    assert!(world.launches().is_empty());
    assert_eq!(world.stats().schedule_attempts_fired, 0);
}

/// 11.5.2
#[test]
fn a_launch_that_fails_loses_the_task_and_starts_another() {
    let mut world = World::new();
    let id = world.create(whole(), 1).remove(0);
    world.offer([offer("o", "a")]);
    world.wait(1);
    world.event(Event::LaunchFailed { task: id.clone(), offer_gone: true });
    let task = world.row(&id);
    assert_eq!(task.status, Lost);
    let message = task.events.last().unwrap().message.as_deref();
    assert_eq!(message, Some("Unknown exception attempting to schedule task."));
    assert_eq!(world.stats().assigner_launch_failures, 1);
    assert_eq!(world.stats().offer_accept_races, 1);
    let next = world.tasks(&task.config.job).remove(0);
    assert_eq!(world.status(&next), Pending);
    // Too late: the task was heard of.
    world.offer([offer("o2", "a")]);
    world.wait(1);
    world.report(&next, 1);
    world.event(Event::LaunchFailed { task: next.clone(), offer_gone: false });
    assert_eq!(world.status(&next), Running);
}

/// 11.5.3
#[test]
fn an_agent_that_is_kept_for_another_group_is_passed_over() {
    let mut world = World::new();
    let other = world.create(job("other"), 1).remove(0);
    let other = world.row(&other).config.number;
    let until = world.now + 60_000;
    world.core.reservations().reserve_for_group("a".into(), other, until);
    world.create(job("mine"), 1);
    // The other job does not wait any more.
    let kill = aurora_scheduler::core::jobs::Request::KillTasks {
        job: JobKey::new("role", "env", "other"),
        instances: Default::default(),
        user: "u".into(),
        message: None,
    };
    world.request(kill).unwrap();
    world.offer([offer("o", "a")]);
    world.wait(50_000);
    assert!(world.launches().is_empty());
    // The reservation expires, and the offer is looked at again.
    world.wait(60_000);
    assert_eq!(world.launches().len(), 1);
}

/// 11.5.4
#[test]
fn a_group_with_a_reservation_may_land_elsewhere() {
    let mut world = World::new();
    let id = world.create(whole(), 1).remove(0);
    let config = world.row(&id).config.number;
    let until = world.now + 60_000;
    world.core.reservations().reserve_for_group("kept".into(), config, until);
    world.offer([offer("o", "a")]);
    world.wait(1);
    assert_eq!(world.launches(), [("o".to_owned(), id)]);
}

/// 11.5.5
#[test]
fn ports_are_chosen_from_the_offer() {
    let mut world = World::new();
    let mut config = whole();
    let ports = (0..7).map(|n| api::Resource::NamedPort(format!("port{n}")));
    config.resources.get_or_insert_default().extend(ports);
    let id = world.create(config, 1).remove(0);
    world.offer([offer("o", "a")]);
    world.wait(1);
    let task = world.row(&id);
    let ports: Vec<_> = task.ports.iter().map(|(name, port)| (&**name, *port)).collect();
    let expected = [
        ("port0", 31000),
        ("port1", 31001),
        ("port2", 31002),
        ("port3", 31003),
        ("port4", 31004),
        ("port5", 31010),
        ("port6", 31011),
    ];
    assert_eq!(ports, expected);
    assert!(
        world
            .effects
            .iter()
            .any(|e| matches!(e, Effect::Launch { tasks, .. } if *tasks == [task.clone()]))
    );
}

/// 11.5.6
#[test]
fn an_instance_with_a_reservation_goes_there_or_waits() {
    let mut world = World::new();
    let id = world.create(whole(), 1).remove(0);
    let instance = (JobKey::new("role", "env", "job"), 0);
    let until = world.now + 60_000;
    world.core.reservations().reserve_for_instance("b".into(), instance.clone(), until);
    world.offer([offer("o", "a")]);
    world.wait(30_000);
    assert!(world.launches().is_empty());
    world.offer([offer("p", "b")]);
    world.wait(20_000);
    assert_eq!(world.launches(), [("p".to_owned(), id)]);
    assert_eq!(world.core.reservations().agent_of(&instance), None);
}

/// 11.5.7
#[test]
fn instances_with_and_without_reservations() {
    let mut world = World::new();
    let ids = world.create(whole(), 2);
    let until = world.now + 60_000;
    let instance = (JobKey::new("role", "env", "job"), 0);
    world.core.reservations().reserve_for_instance("b".into(), instance, until);
    world.offer([offer("p", "b"), offer("o", "a")]);
    world.wait(1);
    let mut launches = world.launches();
    launches.sort();
    assert_eq!(launches, [("o".into(), ids[1].clone()), ("p".into(), ids[0].clone())]);
}

/// 11.5.8: limits hold within a round.
#[test]
fn the_spread_follows_each_launch() {
    let mut world = World::new();
    let ids = world.create(with_limit(whole(), "rack", 1), 5);
    world.offer((0..5).map(|n| {
        let rack = if n < 3 { "r1" } else { "r2" };
        with_attribute(offer(&format!("o{n}"), &format!("a{n}")), "rack", &[rack])
    }));
    world.wait(10_000);
    assert_eq!(world.launches().len(), 2);
    let racks: std::collections::BTreeSet<bool> =
        ids.iter().filter_map(|id| world.row(id).host().map(|host| **host < *"a3")).collect();
    assert_eq!(racks.len(), 2);
    // When one ends there is room for another.
    let first = ids.iter().find(|id| world.status(id) == Assigned).unwrap();
    world.report(first, 2);
    world.wait(100_000);
    assert_eq!(world.launches().len(), 1);
}
