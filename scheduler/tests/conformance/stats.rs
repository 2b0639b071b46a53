//! Counters of tasks.

use aurora_scheduler::core::status::Status;

use crate::support::{World, offer, service, settings, whole, with_attribute};

const LOST: i32 = 5;
const FAILED: i32 = 3;

fn counter(world: &World, name: &str) -> Option<u64> {
    world.stats().named.get(name).copied()
}

/// 11.16.17
#[test]
fn tasks_that_are_lost_or_fail_are_counted_by_job_rack_and_dedication() {
    let mut world = World::new();
    let on_rack = |id: &str, agent: &str| with_attribute(offer(id, agent), "rack", &["r1"]);
    world.offer([on_rack("o", "a"), offer("p", "b")]);
    // There from the start, to be watched; what is never seen is not.
    assert_eq!(counter(&world, "tasks_lost_rack_r1"), Some(0));
    assert_eq!(counter(&world, "tasks_LOST_role/env/job"), None);

    let ids = world.create(service(), 2);
    world.wait(1);
    // A host without a rack is tolerated.
    for id in &ids {
        world.report(id, LOST);
    }
    assert_eq!(counter(&world, "tasks_LOST_role/env/job"), Some(2));
    assert_eq!(counter(&world, "tasks_lost_rack_r1"), Some(1));

    let dedicated = with_attribute(on_rack("q", "c"), "dedicated", &["*/web"]);
    world.offer([dedicated]);
    assert_eq!(counter(&world, "tasks_lost_dedicated__/web"), Some(0));
}

#[test]
fn what_was_lost_or_failed_before_a_restart_counts() {
    let mut world = World::new();
    let id = world.running(whole(), "a");
    world.report(&id, FAILED);
    assert_eq!(world.status(&id), Status::Failed);
    assert_eq!(counter(&world, "tasks_FAILED_role/env/job"), Some(1));
    let world = world.restart(settings());
    assert_eq!(counter(&world, "tasks_FAILED_role/env/job"), Some(1));
}
