//! Task groups and rounds.

use aurora_scheduler::core::engine::Event;
use aurora_scheduler::core::jobs::Request;
use aurora_scheduler::core::status::Status;

use Status::*;

use crate::support::{World, job, offer, whole, with_limit, with_value};

fn offers(count: usize) -> Vec<aurora_scheduler::core::offers::Offer> {
    (0..count).map(|n| offer(&format!("o{n}"), &format!("a{n}"))).collect()
}

/// 11.4.1
#[test]
fn a_new_task_is_looked_at_after_the_first_delay() {
    let mut settings = crate::support::settings();
    settings.first_schedule_delay = 700;
    let mut world = World::with(settings);
    world.offer(offers(1));
    let id = world.create(whole(), 1).remove(0);
    world.wait(699);
    assert_eq!(world.status(&id), Pending);
    world.wait(1);
    assert_eq!(world.status(&id), Assigned);
}

/// 11.4.2
#[test]
fn rounds_take_some_tasks_and_groups_take_turns() {
    let mut settings = crate::support::settings();
    settings.max_tasks_per_round = 2;
    settings.max_rounds_per_second = 1.0;
    let mut world = World::with(settings);
    world.wait(1000);
    let large = world.create(job("large"), 6);
    let small = world.create(job("small"), 2);
    world.offer(offers(20));
    let mut order = vec![];
    for _ in 0..5 {
        world.wait(1000);
        let launched = world.launches();
        let large_ones = launched.iter().filter(|(_, id)| large.contains(id)).count();
        order.push((large_ones, launched.len() - large_ones));
    }
    assert_eq!(order.iter().map(|(l, s)| l + s).sum::<usize>(), 8);
    // Nobody gets more than a round's worth, and the small job need not wait for the large one.
    let small_done = order.iter().position(|(_, s)| *s > 0).unwrap();
    let large_before: usize = order[..=small_done].iter().map(|(l, _)| l).sum();
    assert!(large_before <= 4, "{order:?}");
    assert!(small.iter().all(|id| world.status(id) == Assigned));
}

/// 11.4.3
#[test]
fn a_deleted_task_is_not_tried_again() {
    let mut world = World::new();
    let id = world.create(whole(), 1).remove(0);
    world.wait(5_000);
    let tries = world.stats().schedule_attempts_fired;
    assert!(tries > 1);
    let job = world.row(&id).config.job.clone();
    let kill =
        Request::KillTasks { job, instances: Default::default(), user: "u".into(), message: None };
    world.request(kill).unwrap();
    world.wait(100_000);
    assert_eq!(world.stats().schedule_attempts_fired, tries);
    assert_eq!(world.core.groups().count(), 0);
}

/// 11.4.4: see also the start-up delay of restored tasks.
#[test]
fn restored_tasks_are_looked_at() {
    let mut world = World::new();
    let ids = world.create(whole(), 3);
    let mut settings = crate::support::settings();
    settings.max_startup_delay = 0;
    let mut world = world.restart(settings);
    // The first look was before there were offers.
    world.offer(offers(3));
    world.wait(2_000);
    assert!(ids.iter().all(|id| world.status(id) == Assigned));
}

/// 11.4.5
#[test]
fn other_states_join_no_group() {
    let mut world = World::new();
    let id = world.running(whole(), "a");
    assert_eq!(world.core.groups().count(), 0);
    world.report(&id, 10);
    assert_eq!(world.core.groups().count(), 0);
}

/// 11.4.6
#[test]
fn waiting_for_the_rate_limit_is_counted() {
    let mut settings = crate::support::settings();
    settings.max_rounds_per_second = 1.0;
    let mut world = World::with(settings);
    for number in 0..3 {
        world.create(job(&format!("job{number}")), 1);
    }
    world.offer(offers(3));
    world.wait(1);
    assert_eq!(world.launches().len(), 1);
    assert_eq!(world.stats().schedule_attempts_blocks, 1);
    assert_eq!(world.core.next_deadline(), Some(world.now - 1 + 1000));
    world.wait(2000);
    assert_eq!(world.launches().len(), 2);
}

/// 11.4.7
#[test]
fn what_is_placed_or_does_not_wait_leaves_the_group() {
    let mut world = World::new();
    let ids = world.create(whole(), 7);
    world.event(Event::Request(
        1,
        Request::KillTasks {
            job: world.row(&ids[0]).config.job.clone(),
            instances: [1].into(),
            user: "u".into(),
            message: None,
        },
    ));
    world.offer(offers(6));
    world.wait(10);
    assert_eq!(world.launches().len(), 6);
    assert_eq!(world.core.groups().count(), 0);
}

/// 11.4.8: the members of a group are equal by construction; what differs is another group.
#[test]
fn different_configurations_are_different_groups() {
    let mut world = World::new();
    world.create(job("one"), 2);
    world.create(with_limit(job("two"), "host", 1), 2);
    world.create(with_value(job("three"), "host", false, &["x"]), 2);
    assert_eq!(world.core.groups().count(), 3);
    assert!(world.core.groups().all(|group| group.queue.len() == 2));
}

/// 11.4.9 and 11.4.10: an agent that is kept for a group is used by it, and then by anybody.
#[test]
fn reservations_of_a_group_end_when_they_are_used() {
    let mut world = World::new();
    let ids = world.create(job("one"), 1);
    let config = world.row(&ids[0]).config.number;
    let until = world.now + 60_000;
    world.core.reservations().reserve_for_group("a0".into(), config, until);
    assert!(world.core.reservations().has_group(config));
    world.offer(offers(1));
    world.wait(1);
    assert_eq!(world.launches().len(), 1);
    assert!(!world.core.reservations().has_group(config));
}

/// 11.4.12 is about threads. What remains of it: rounds share transactions up to the limit.
#[test]
fn rounds_share_transactions() {
    let mut settings = crate::support::settings();
    settings.max_rounds_per_transaction = 3;
    let mut world = World::with(settings);
    for number in 0..7 {
        world.create(job(&format!("job{number}")), 1);
    }
    world.offer(offers(7));
    let before = world.core.position();
    world.wait(1);
    assert_eq!(world.launches().len(), 7);
    assert_eq!(world.core.position() - before, 3);
}

/// Nothing found: the next look is later each time.
#[test]
fn a_group_without_a_place_backs_off() {
    let mut world = World::new();
    world.create(whole(), 1);
    let mut rounds = vec![];
    for _ in 0..600 {
        world.wait(1000);
        rounds.push(world.stats().schedule_attempts_fired);
    }
    assert!((4..20).contains(&rounds[59]), "{}", rounds[59]);
    let later = rounds[599] - rounds[299];
    assert!((4..=6).contains(&later), "once per minute: {later}");
    assert_eq!(world.stats().schedule_attempts_no_match, rounds[599]);
}
