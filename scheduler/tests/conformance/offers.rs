//! Offers: order, holding, giving back.

use std::sync::Arc;

use aurora_scheduler::core::engine::{Effect, Event};
use aurora_scheduler::core::name::TaskId;
use aurora_scheduler::core::offers::{Offer, Offers, Supply};
use aurora_scheduler::core::resources::Kind;
use aurora_scheduler::core::settings::OfferOrder;
use aurora_scheduler::core::task::{Host, Mode};

use crate::support::{World, job, offer, settings, whole, with_limit, with_value};

/// An offer of so much, in thousandths: CPUs, memory, disk, revocable CPUs.
fn sized(id: &str, [cpu, ram, disk, revocable]: [i64; 4]) -> Offer {
    let mut offer = offer(id, id);
    offer.supplies = [
        Supply::scalar(Kind::Cpu, cpu),
        Supply::scalar(Kind::Ram, ram),
        Supply::scalar(Kind::Disk, disk),
        Supply { revocable: true, ..Supply::scalar(Kind::Cpu, revocable) },
    ]
    .into();
    offer
}

fn ordered(order: &[OfferOrder], offers: impl IntoIterator<Item = Offer>) -> Vec<String> {
    let mut settings = crate::support::settings();
    settings.offer_order = order.to_vec();
    let mut world = World::with(settings);
    world.offer(offers);
    world.held()
}

fn host(offer: &Offer, mode: Mode) -> Arc<Host> {
    Arc::new(Host {
        name: offer.agent.host.clone(),
        agent: offer.agent.id.clone(),
        attributes: offer.attributes.clone(),
        mode,
    })
}

/// 11.7.1
#[test]
fn maintenance_comes_last_then_early_unavailability() {
    let settings = settings();
    let mut offers = Offers::default();
    let modes = [Mode::Drained, Mode::Scheduled, Mode::Draining, Mode::None];
    for (n, mode) in modes.into_iter().enumerate() {
        for (name, unavailable) in [("soon", Some(1000)), ("late", Some(2000)), ("never", None)] {
            let mut offer = offer(&format!("{mode:?} {name}"), &format!("a{n}{name}"));
            offer.unavailable = unavailable;
            let host = host(&offer, mode);
            offers.add(offer, host, &settings, None, 77);
        }
    }
    let order: Vec<_> = offers.iter().map(|held| held.id.to_string()).collect();
    let expected: Vec<_> = ["None", "Scheduled", "Draining", "Drained"]
        .iter()
        .flat_map(|mode| ["never", "late", "soon"].map(|name| format!("{mode} {name}")))
        .collect();
    assert_eq!(order, expected);
}

/// 11.7.2
#[test]
fn offers_follow_their_host() {
    let mut settings = crate::support::settings();
    settings.offer_order = vec![OfferOrder::Cpu];
    let mut offers = Offers::default();
    for id in ["a", "b"] {
        let offer = offer(id, id);
        let host = host(&offer, Mode::None);
        offers.add(offer, host, &settings, None, 0);
    }
    assert_eq!(&*offers.iter().next().unwrap().id, "a");
    offers.change_host(&host(&offer("a", "a"), Mode::Scheduled), &settings);
    let order: Vec<_> = offers.iter().map(|held| held.id.to_string()).collect();
    assert_eq!(order, ["b", "a"]);
    assert_eq!(offers.get("a").unwrap().host.mode, Mode::Scheduled);
}

/// 11.7.3
#[test]
fn a_second_offer_of_an_agent_gives_both_back() {
    let mut world = World::new();
    world.offer([offer("o1", "a"), offer("o2", "a")]);
    assert_eq!(world.declined(), ["o1", "o2"]);
    assert!(world.held().is_empty());
}

/// 11.7.4: offers come in order, so that one that is taken back was either held or never will be.
#[test]
fn offers_that_are_taken_back() {
    let mut world = World::new();
    world.offer([offer("o", "a")]);
    world.event(Event::Rescinded("o".into()));
    assert!(world.held().is_empty());
    assert_eq!((world.stats().offers_rescinded, world.stats().offer_cancel_failures), (1, 0));
    world.event(Event::Rescinded("x".into()));
    assert_eq!((world.stats().offers_rescinded, world.stats().offer_cancel_failures), (2, 1));
    assert!(world.declined().is_empty());
}

/// How many offers are looked at in the next rounds.
fn looked_at(world: &mut World, millis: i64) -> u64 {
    let before = world.stats().veto_evaluated_offers;
    world.wait(millis);
    world.stats().veto_evaluated_offers - before
}

/// 11.7.5
#[test]
fn a_static_veto_hides_an_offer_from_one_group() {
    let mut settings = crate::support::settings();
    settings.min_offer_hold = 1_000_000;
    settings.offer_hold_jitter = 1;
    let mut world = World::with(settings);
    world.offer([offer("o", "a")]);
    world.create(with_value(job("one"), "rack", false, &["x"]), 1);
    assert_eq!(looked_at(&mut world, 100), 1);
    assert_eq!(looked_at(&mut world, 500_000), 0, "not looked at again");
    world.create(with_value(job("two"), "rack", false, &["x"]), 1);
    assert_eq!(looked_at(&mut world, 100), 1, "but by another group");
    world.offer([offer("p", "b")]);
    assert_eq!(looked_at(&mut world, 100_000), 2, "and a new offer by each");
    world.event(Event::Disconnected);
    world.offer([offer("o", "a")]);
    assert_eq!(looked_at(&mut world, 100_000), 2, "nor is it remembered beyond the connection");

    // The memory of a group ends with the longest time that an offer is held.
    let mut settings = crate::support::settings();
    settings.min_offer_hold = 1_000;
    settings.offer_hold_jitter = 1_000;
    settings.schedule_penalty.max = 1_000;
    let mut world = World::with(settings);
    world.create(with_value(job("one"), "rack", false, &["x"]), 1);
    world.wait(1);
    for n in 0..100 {
        world.offer([offer(&format!("o{n}"), "a")]);
        assert_eq!(looked_at(&mut world, 2_000), 1, "{n}");
    }
}

/// 11.7.6
#[test]
fn a_lost_connection_drops_all_offers() {
    let mut world = World::new();
    world.offer([offer("o", "a"), offer("p", "b")]);
    world.event(Event::Disconnected);
    assert!(world.held().is_empty() && world.declined().is_empty());
    // Their timers find nothing.
    world.wait(1_000_000);
    assert!(world.declined().is_empty());
}

/// 11.7.8
#[test]
fn accepting_carries_the_filter() {
    let mut settings = crate::support::settings();
    settings.offer_filter = 7_000;
    let mut world = World::with(settings);
    world.create(whole(), 1);
    world.offer([offer("o", "a")]);
    world.wait(1);
    let launch = world.effects.iter().find(|effect| matches!(effect, Effect::Launch { .. }));
    let Some(Effect::Launch { refuse, .. }) = launch else { panic!() };
    assert_eq!(*refuse, 7_000);
}

/// 11.7.9
#[test]
fn orders() {
    use OfferOrder::*;
    let sizes =
        [("a", [3, 1, 1, 0]), ("b", [2, 3, 1, 5]), ("c", [1, 2, 2, 2]), ("d", [2, 2, 3, 0])];
    for (order, expected) in [
        (&[Cpu][..], "cbda"),
        (&[Memory], "acdb"),
        (&[Disk], "abcd"),
        (&[RevocableCpu], "cbad"),
        (&[Cpu, Memory], "cdba"),
        (&[Memory, Cpu], "acdb"),
        (&[RevocableCpu, Memory], "cbad"),
        (&[Disk, Cpu, Memory], "bacd"),
    ] {
        let offers = sizes.map(|(id, size)| sized(id, size.map(|n| n * 1000)));
        assert_eq!(ordered(order, offers).concat(), expected, "{order:?}");
    }
    // By chance, but always the same.
    let many = || (0..300).map(|n| offer(&format!("{n}"), &format!("{n}")));
    let first = ordered(&[Random], many());
    assert_eq!(first, ordered(&[Random], many()));
    assert_ne!(first, many().map(|offer| offer.id.to_string()).collect::<Vec<_>>());
}

/// 11.7.10 and 11.7.15
#[test]
fn offers_are_given_back_after_their_time() {
    let mut settings = crate::support::settings();
    settings.min_offer_hold = 10_000;
    settings.offer_hold_jitter = 0;
    settings.offer_filter = 3_000;
    let mut world = World::with(settings.clone());
    world.offer([offer("o", "a")]);
    world.wait(9_999);
    assert!(world.declined().is_empty());
    world.wait(1);
    let expected = Effect::Decline { offers: vec!["o".into()], refuse: 3_000 };
    assert!(world.effects.contains(&expected) && world.held().is_empty());

    settings.offer_hold_jitter = 5_000;
    let mut world = World::with(settings.clone());
    world.offer((0..200).map(|n| offer(&format!("o{n}"), &format!("a{n}"))));
    world.wait(9_999);
    assert!(world.declined().is_empty());
    world.wait(2_500);
    let half = world.declined().len();
    assert!((60..140).contains(&half), "{half}");
    world.wait(2_500);
    assert_eq!(world.declined().len(), 200 - half);

    settings.hold_offers_forever = true;
    let mut world = World::with(settings);
    world.offer([offer("o", "a")]);
    world.wait(1_000_000_000);
    assert_eq!(world.held(), ["o"]);
}

/// 11.7.11
#[test]
fn never_two_offers_of_an_agent() {
    let mut world = World::new();
    world.offer([offer("o1", "a"), offer("o2", "a"), offer("o3", "a")]);
    assert_eq!(world.held(), ["o3"]);
    world.event(Event::Rescinded("o2".into()));
    assert_eq!(world.held(), ["o3"]);
    world.offer([offer("o4", "a"), offer("o5", "a")]);
    world.event(Event::Rescinded("o5".into()));
    assert!(world.held().is_empty());
}

/// 11.7.12
#[test]
fn a_reserved_agent_is_judged_without_being_hidden() {
    let mut world = World::new();
    let id = world.create(with_value(whole(), "rack", false, &["x"]), 1).remove(0);
    let instance = (world.row(&id).config.job.clone(), 0);
    let until = world.now + 200_000;
    world.core.reservations().reserve_for_instance("a".into(), instance, until);
    world.offer([offer("o", "a")]);
    world.wait(100_000);
    assert!(world.launches().is_empty());
    assert!(world.stats().scheduling_veto_static > 1, "judged each time");
    assert_eq!(world.stats().veto_evaluated_offers, 0);
}

/// 11.7.13
#[test]
fn what_is_looked_at_again() {
    let mut world = World::new();
    world.offer((0..10).map(|n| {
        crate::support::with_attribute(offer(&format!("o{n}"), &format!("a{n}")), "rack", &["r"])
    }));
    let ids = world.create(with_limit(job("limit"), "rack", 1), 2);
    world.wait(200_000);
    assert_eq!(world.launches().len(), 1);
    // One that fit, nine that may fit later: not looked at again before anything changed.
    assert_eq!(world.stats().veto_evaluated_offers, 10);
    assert_eq!(world.stats().scheduling_veto_dynamic, 9);
    let running: &TaskId = ids.iter().find(|id| world.row(id).agent.is_some()).unwrap();
    world.report(running, 2);
    world.wait(60_000);
    assert_eq!(world.launches().len(), 1);
    assert_eq!(world.stats().veto_evaluated_offers, 11);
}

/// 11.7.14
#[test]
fn offers_without_cpus_or_memory_are_held_but_not_used() {
    let mut world = World::new();
    let mut tiny = whole();
    tiny.resources = None;
    world.create(tiny, 1);
    world.offer([sized("cpu", [0, 5, 5, 0]), sized("ram", [5, 0, 5, 5])]);
    world.wait(10_000);
    assert!(world.launches().is_empty());
    assert_eq!(world.held().len(), 2);
    assert_eq!(world.stats().veto_evaluated_offers, 0);
    // Revocable ones count.
    let mut none = whole();
    none.job = Some(crate::support::job_key("role", "env", "revocable"));
    none.tier = Some("revocable".into());
    none.resources = Some(crate::support::resources(0.001, 0, 0));
    world.create(none, 1);
    world.offer([sized("revocable", [0, 5, 5, 5])]);
    world.wait(10_000);
    assert_eq!(world.launches().len(), 1);
}

/// What may be taken back is for tasks that may be, and they use nothing else of that kind.
#[test]
fn revocable_resources_are_for_revocable_tasks() {
    let mut world = World::new();
    world.create(job("firm"), 1);
    let mut revocable = job("revocable");
    revocable.tier = Some("revocable".into());
    world.create(revocable, 1);
    let gigabyte = 1024 * 1000;
    world.offer([sized("soft", [0, gigabyte, gigabyte, 8_000])]);
    world.wait(10_000);
    let launches = world.launches();
    assert!(launches[0].1.as_str().contains("revocable"), "{launches:?}");
    world.offer([sized("hard", [8_000, gigabyte, gigabyte, 0])]);
    world.wait(10_000);
    assert!(world.launches()[0].1.as_str().contains("firm"));
}
