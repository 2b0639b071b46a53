//! Several launches with one offer.

use std::collections::BTreeSet;

use aurora_api::api;
use aurora_scheduler::core::engine::Effect;
use aurora_scheduler::core::name::{JobKey, TaskId};
use aurora_scheduler::core::offers::{Offer, Supply};
use aurora_scheduler::core::resources::Kind;
use aurora_scheduler::core::status::Status;

use crate::support::{World, job, offer, resources, whole, with_attribute, with_limit, with_value};

/// An offer of 100 CPUs and much of everything else.
fn large(id: &str, agent: &str) -> Offer {
    Offer {
        supplies: [
            Supply::scalar(Kind::Cpu, 100_000),
            Supply::scalar(Kind::Ram, 1_000_000_000),
            Supply::scalar(Kind::Disk, 1_000_000_000),
            Supply::ports(31000..=31059),
            Supply::ports(31100..=31159),
        ]
        .into(),
        ..offer(id, agent)
    }
}

/// Calls that launch tasks since the last time: offers and tasks.
fn calls(world: &mut World) -> Vec<(String, Vec<TaskId>)> {
    let launches = world.effects.extract_if(.., |e| matches!(e, Effect::Launch { .. }));
    let calls = launches.filter_map(|effect| match effect {
        Effect::Launch { offer, tasks, .. } => {
            Some((offer.to_string(), tasks.iter().map(|task| task.id.clone()).collect()))
        }
        _ => None,
    });
    calls.collect()
}

/// How many tasks each call launches.
fn sizes(world: &mut World) -> Vec<usize> {
    calls(world).iter().map(|(_, tasks)| tasks.len()).collect()
}

#[test]
fn a_job_of_fifty_comes_up_on_one_agent_at_once() {
    // With the flags' defaults: after an idle second there may be forty rounds at once.
    let mut world = World::with(Default::default());
    world.wait(2_000);
    let ids = world.create(whole(), 50);
    world.offer([large("o", "a")]);
    world.wait(1);
    let calls = calls(&mut world);
    assert_eq!(calls, [("o".to_owned(), ids.clone())]);
    assert!(ids.iter().all(|id| world.status(id) == Status::Assigned));
    assert!(world.held().is_empty());
    assert_eq!(world.core.groups().count(), 0);
}

/// As cycle after cycle of one task per offer would have it.
#[test]
fn offers_without_a_task_go_first_and_then_those_with_the_fewest() {
    let mut world = World::new();
    world.create(whole(), 3);
    world.offer((0..4).map(|n| large(&format!("o{n}"), &format!("a{n}"))));
    world.wait(1);
    assert_eq!(sizes(&mut world), [1, 1, 1]);
    assert_eq!(world.held().len(), 1);

    world.create(job("more"), 11);
    world.offer((0..4).map(|n| large(&format!("p{n}"), &format!("b{n}"))));
    world.wait(1);
    let mut sizes = sizes(&mut world);
    sizes.sort_unstable();
    assert_eq!(sizes, [2, 2, 2, 2, 3]);
}

#[test]
fn what_is_left_counts_with_executors_and_ports() {
    let mut world = World::new();
    let executor = api::ExecutorConfig {
        name: Some(api::AURORA_EXECUTOR_NAME.to_owned()),
        ..Default::default()
    };
    // 1.25 CPUs with the executor: six fit into eight CPUs.
    world.create(api::TaskConfig { executor_config: Some(executor), ..whole() }, 7);
    world.offer([offer("o", "a")]);
    world.wait(1);
    assert_eq!(sizes(&mut world), [6]);

    // Four ports each: two fit into ten, and they share none.
    let mut config = job("ports");
    let ports = (0..4).map(|n| api::Resource::NamedPort(format!("port{n}")));
    config.resources.get_or_insert_default().extend(ports);
    let ids = world.create(config, 3);
    world.offer([offer("p", "b")]);
    world.wait(1);
    let tasks: Vec<_> = ids.iter().map(|id| world.row(id)).collect();
    let used: Vec<i32> =
        tasks.iter().flat_map(|task| task.ports.iter().map(|(_, port)| *port)).collect();
    assert_eq!(used, [31000, 31001, 31002, 31003, 31004, 31010, 31011, 31012]);
    let waits = tasks.iter().filter(|task| task.status == Status::Pending);
    assert_eq!(waits.count(), 1);
}

#[test]
fn different_jobs_share_an_offer() {
    let mut world = World::new();
    let small = world.create(job("small"), 2);
    let large = world
        .create(api::TaskConfig { resources: Some(resources(5.0, 128, 64)), ..job("large") }, 2);
    let elsewhere = world.create(with_value(job("elsewhere"), "rack", false, &["r2"]), 1);
    world.offer([with_attribute(offer("o", "a"), "rack", &["r1"])]);
    world.wait(1);
    let [(_, launched)] = &calls(&mut world)[..] else { panic!() };
    // 1 + 1 + 5 of 8 CPUs; not another 5, and not what wants another rack.
    let launched: BTreeSet<_> = launched.iter().collect();
    assert_eq!(launched, [&small[0], &small[1], &large[0]].into());
    assert_eq!(world.status(&large[1]), Status::Pending);
    assert_eq!(world.status(&elsewhere[0]), Status::Pending);
}

#[test]
fn limits_hold_within_an_offer() {
    let mut world = World::new();
    world.create(with_limit(whole(), "host", 2), 5);
    world.offer((0..2).map(|n| {
        let host = format!("h{n}");
        with_attribute(large(&format!("o{n}"), &format!("a{n}")), "host", &[&host])
    }));
    world.wait(10_000);
    assert_eq!(sizes(&mut world), [2, 2]);
}

/// The rest of an offer can be of one tier and not of another.
#[test]
fn revocable_resources_are_their_own() {
    let mut world = World::new();
    let tier = |tier: &str, name| api::TaskConfig {
        tier: Some(tier.to_owned()),
        resources: Some(resources(2.0, 128, 300)),
        ..job(name)
    };
    let revocable = world.create(tier("revocable", "r"), 3);
    let firm = world.create(tier("preferred", "f"), 3);
    let cpus = |milli, revocable| Supply { revocable, ..Supply::scalar(Kind::Cpu, milli) };
    world.offer([Offer {
        supplies: [
            cpus(4_000, false),
            cpus(4_000, true),
            Supply::scalar(Kind::Ram, 1_000_000),
            // Enough for three tasks, of whichever tier.
            Supply::scalar(Kind::Disk, 1_000_000),
        ]
        .into(),
        ..offer("o", "a")
    }]);
    world.wait(1);
    let assigned =
        |ids: &[TaskId]| ids.iter().filter(|id| world.status(id) == Status::Assigned).count();
    assert_eq!((assigned(&revocable), assigned(&firm)), (2, 1));
}

#[test]
fn an_instance_follows_its_reservation_into_an_opened_offer() {
    let mut world = World::new();
    world.create(job("first"), 1);
    let ids = world.create(whole(), 1);
    let until = world.now + 60_000;
    let instance = (JobKey::new("role", "env", "job"), 0);
    // Kept for one instance only, it is open to others again after it.
    world.core.reservations().reserve_for_instance("a".into(), instance, until);
    world.offer([large("o", "a")]);
    world.wait(10_000);
    let calls = calls(&mut world);
    assert!(calls[0].1.contains(&ids[0]), "{calls:?}");
    assert_eq!(calls[0].0, "o");
}

#[test]
fn one_call_launches_a_bounded_number() {
    let mut world = World::new();
    let tiny = api::TaskConfig { resources: Some(resources(0.01, 1, 1)), ..whole() };
    world.create(tiny, 300);
    world.offer([large("o", "a")]);
    world.wait(1);
    assert_eq!(sizes(&mut world), [128]);
    world.offer([large("p", "a")]);
    world.wait(120_000);
    assert_eq!(sizes(&mut world), [128]);
}

/// Every task of a launch that did not happen is started anew.
#[test]
fn all_tasks_of_a_call_that_fails_are_lost() {
    let mut world = World::new();
    let ids = world.create(whole(), 3);
    world.offer([large("o", "a")]);
    world.wait(1);
    assert_eq!(sizes(&mut world), [3]);
    for task in &ids {
        world.event(aurora_scheduler::core::engine::Event::LaunchFailed {
            task: task.clone(),
            offer_gone: false,
        });
    }
    assert!(ids.iter().all(|id| world.status(id) == Status::Lost));
    let again = world.tasks(&JobKey::new("role", "env", "job"));
    assert_eq!(again.len(), 3);
    world.offer([large("p", "a")]);
    world.wait(1);
    assert_eq!(sizes(&mut world), [3]);
}
