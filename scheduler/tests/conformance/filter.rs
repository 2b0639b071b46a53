//! Vetoes.

use aurora_api::api;
use aurora_scheduler::core::convert::Pool;
use aurora_scheduler::core::filter::{Place, Request, Veto, VetoGroup, vetoes};
use aurora_scheduler::core::name::Text;
use aurora_scheduler::core::offers::Supply;
use aurora_scheduler::core::query::Query;
use aurora_scheduler::core::resources::{Bag, Kind};
use aurora_scheduler::core::spread::Spread;
use aurora_scheduler::core::task::{Attributes, Host, Mode};

use crate::support::{World, job, offer, whole, with_attribute, with_limit, with_value};

/// A host and what is free there.
struct Site {
    host: Host,
    free: Bag,
    unavailable: Option<i64>,
    spread: Spread,
}

fn site(attributes: &[(&str, &[&str])]) -> Site {
    Site {
        host: Host {
            name: "h".into(),
            agent: "a".into(),
            attributes: self::attributes(attributes),
            mode: Mode::None,
        },
        free: Bag::whole(8, 16_384, 262_144).with(Kind::Ports, 10),
        unavailable: None,
        spread: Spread::default(),
    }
}

fn attributes(attributes: &[(&str, &[&str])]) -> Attributes {
    let mut all = Attributes::new();
    for (name, values) in attributes {
        let values = values.iter().map(|value| Text::from(*value));
        all.entry((*name).into()).or_default().extend(values);
    }
    all
}

impl Site {
    fn vetoes(&self, config: api::TaskConfig) -> Vec<Veto> {
        let config = Pool::default().configs.intern(config).unwrap();
        let request = Request { config: &config, needs: &config.resources, spread: &self.spread };
        let place = Place::on(&self.host, &self.free, self.unavailable);
        vetoes(&request, &place, 1_000_000, 120_000)
    }
}

fn asking(cpu: i64, ram: i64, disk: i64, ports: usize) -> api::TaskConfig {
    let mut config = whole();
    let mut resources = crate::support::resources(cpu as f64, ram, disk);
    resources.extend((0..ports).map(|n| api::Resource::NamedPort(format!("p{n}"))));
    config.resources = Some(resources);
    config
}

fn mismatch(name: &str) -> Vec<Veto> {
    vec![Veto::Constraint(name.into())]
}

/// 11.6.1
#[test]
fn each_lacking_resource_is_named() {
    let site = site(&[]);
    assert_eq!(site.vetoes(asking(8, 16_384, 262_144, 10)), []);
    let kinds = |config| {
        let vetoes = site.vetoes(config);
        assert!(matches!(Veto::group(&vetoes), VetoGroup::Static));
        vetoes.iter().map(Veto::reason).collect::<Vec<_>>().join(",")
    };
    assert_eq!(kinds(asking(9, 1, 1, 0)), "Insufficient: CPU");
    assert_eq!(kinds(asking(1, 20_000, 1, 0)), "Insufficient: RAM");
    assert_eq!(kinds(asking(1, 1, 300_000, 0)), "Insufficient: disk");
    assert_eq!(kinds(asking(1, 1, 1, 11)), "Insufficient: ports");
    let all = "Insufficient: CPU,Insufficient: RAM,Insufficient: disk,Insufficient: ports";
    assert_eq!(kinds(asking(9, 20_000, 300_000, 11)), all);
}

/// 11.6.2
#[test]
fn dedicated_hosts() {
    let host = site(&[("dedicated", &["web/x", "db"])]);
    assert_eq!(host.vetoes(whole()), [Veto::Dedicated]);
    assert_eq!(host.vetoes(with_value(whole(), "dedicated", false, &["web/x"])), []);
    assert_eq!(host.vetoes(with_value(whole(), "dedicated", false, &["db"])), []);
    let other = with_value(whole(), "dedicated", false, &["web/y"]);
    assert_eq!(host.vetoes(other), mismatch("dedicated"));
}

/// 11.6.3
#[test]
fn a_constraint_that_does_not_hold_ends_it() {
    let host = site(&[]);
    let config = with_value(with_limit(whole(), "a", 1), "dedicated", false, &["x"]);
    assert_eq!(host.vetoes(config), mismatch("dedicated"));
}

/// 11.6.4
#[test]
fn attributes_with_several_values() {
    let host = site(&[("zone", &["a", "b"]), ("zone", &["c"])]);
    for (values, fits) in [(&["a"][..], true), (&["c", "x"], true), (&["x"], false), (&[], false)] {
        let vetoes = host.vetoes(with_value(whole(), "zone", false, values));
        assert_eq!(vetoes.is_empty(), fits, "{values:?}");
    }
}

/// 11.6.5
#[test]
fn maintenance_of_aurora() {
    for (mode, expected) in [
        (Mode::None, vec![]),
        (Mode::Scheduled, vec![]),
        (Mode::Draining, vec![Veto::Draining]),
        (Mode::Drained, vec![Veto::Drained]),
    ] {
        let mut site = site(&[]);
        site.host.mode = mode;
        assert_eq!(site.vetoes(whole()), expected);
    }
    assert_eq!(Veto::Draining.reason(), "Host draining for maintenance");
    assert_eq!(Veto::Drained.reason(), "Host drained for maintenance");
}

/// 11.6.6
#[test]
fn maintenance_of_mesos() {
    for (start, fits) in [
        (1_000_000 + 120_000, true),
        (1_000_000 + 119_999, false),
        (1_000_000, false),
        (1, false),
        (i64::MIN, false),
        (i64::MAX, true),
    ] {
        let mut site = site(&[]);
        site.unavailable = Some(start);
        assert_eq!(site.vetoes(whole()).is_empty(), fits, "{start}");
    }
}

/// 11.6.7
#[test]
fn negation_turns_it_around() {
    let host = site(&[("rack", &["r1"])]);
    for (name, values, holds) in [
        ("rack", &["r1"][..], true),
        ("rack", &["r1", "r2"], true),
        ("rack", &["r2"], false),
        ("row", &["x"], false),
    ] {
        for negated in [false, true] {
            let vetoes = host.vetoes(with_value(whole(), name, negated, values));
            assert_eq!(vetoes.is_empty(), holds != negated, "{name} {values:?} {negated}");
        }
    }
}

/// 11.6.8
#[test]
fn all_constraints_must_hold() {
    let host = site(&[("rack", &["r1"]), ("zone", &["z"])]);
    let both = |rack, zone| {
        with_value(with_value(whole(), "rack", false, &[rack]), "zone", false, &[zone])
    };
    assert_eq!(host.vetoes(both("r1", "z")), []);
    assert_eq!(host.vetoes(both("r1", "x")), mismatch("zone"));
    assert_eq!(host.vetoes(both("x", "x")), mismatch("rack"));
}

/// 11.6.9
#[test]
fn limits_count_tasks_per_value() {
    let mut host = site(&[("host", &["b"]), ("rack", &["r1"])]);
    let limit = |name: &str| vec![Veto::Limit(name.into())];
    assert_eq!(host.vetoes(with_limit(whole(), "host", 1)), []);
    assert_eq!(host.vetoes(with_limit(whole(), "host", 0)), limit("host"));
    for (host_name, rack) in [("a", "r1"), ("b", "r1"), ("b", "r1"), ("c", "r2")] {
        host.spread.shift(&attributes(&[("host", &[host_name]), ("rack", &[rack])]), true);
    }
    for (name, max, expected) in [
        ("host", 2, limit("host")),
        ("host", 3, vec![]),
        ("rack", 3, limit("rack")),
        ("rack", 4, vec![]),
        ("row", 9, mismatch("row")),
    ] {
        assert_eq!(host.vetoes(with_limit(whole(), name, max)), expected, "{name} {max}");
    }
    host.spread.shift(&attributes(&[("host", &["b"])]), false);
    assert_eq!(host.vetoes(with_limit(whole(), "host", 2)), []);
}

/// 11.6.10
#[test]
fn scores() {
    let score = |config| site(&[]).vetoes(config).iter().map(Veto::score).sum::<i64>();
    assert_eq!(score(asking(10, 1, 1, 0)), 2000 / 16);
    assert_eq!(score(asking(100_000, 1, 1, 0)), 1000);
    assert_eq!(score(asking(9, 1, 1, 11)), 1000 / 16 + 1);
    assert_eq!(Veto::Dedicated.score(), 1_000_000);
    assert_eq!(Veto::Draining.score(), 100_000);
    assert_eq!(Veto::Constraint("x".into()).score(), 10_000);
    assert_eq!(Veto::Limit("x".into()).score(), 10_000);
}

/// 11.6.11
#[test]
fn groups_of_vetoes() {
    let fixed = [Veto::Constraint("x".into()), Veto::Insufficient(Kind::Cpu, 1), Veto::Drained];
    let limit = Veto::Limit("x".into());
    assert_eq!(Veto::group(&[]), VetoGroup::Empty);
    assert_eq!(Veto::group(&fixed), VetoGroup::Static);
    assert_eq!(Veto::group(std::slice::from_ref(&limit)), VetoGroup::Dynamic);
    assert_eq!(Veto::group(&[limit, fixed[0].clone()]), VetoGroup::Mixed);
}

/// 11.6.12
#[test]
fn the_nearest_fit_tells_why_a_task_waits() {
    let mut world = World::new();
    let id = world.create(with_value(asking(9, 1, 1, 0), "rack", false, &["r1"]), 1).remove(0);
    let reason = |world: &mut World| world.core.pending_reasons(&Query::default());
    assert_eq!(reason(&mut world), [(id.clone(), String::new())]);
    world.offer([with_attribute(offer("o", "a"), "dedicated", &["x"])]);
    world.wait(1);
    assert_eq!(reason(&mut world)[0].1, "Host is dedicated");
    // What was found is kept for ten minutes, or until the next round found nothing either.
    let mut near = with_attribute(offer("p", "b"), "rack", &["r1"]);
    near.supplies[1] = Supply::scalar(Kind::Ram, 1);
    world.offer([offer("q", "c"), near]);
    world.wait(10 * 60_000);
    world.offer([with_attribute(offer("r", "d"), "rack", &["r1"])]);
    world.wait(60_000);
    assert_eq!(reason(&mut world)[0].1, "Insufficient: CPU");
    assert!(
        world
            .core
            .pending_reasons(&Query { name: Some("x".into()), ..Query::default() })
            .is_empty()
    );
}

/// 11.6.13
#[test]
fn the_spread_counts_active_tasks_on_known_hosts() {
    let mut world = World::new();
    let config = || with_limit(job("limited"), "rack", 1);
    let rack = |id, agent| with_attribute(offer(id, agent), "rack", &["r1"]);
    let first = world.create(config(), 2).remove(0);
    world.offer([rack("o1", "a1"), rack("o2", "a2")]);
    world.wait(10_000);
    assert_eq!(world.launches().len(), 1);
    // Another job's tasks do not count.
    world.create(with_limit(job("other"), "rack", 1), 1);
    world.wait(10_000);
    assert_eq!(world.launches().len(), 1);
    world.offer([rack("o3", "a3")]);
    world.wait(60_000);
    assert!(world.launches().is_empty());
    // An ended task does not count any more.
    world.report(&first, 1);
    world.report(&first, 2);
    world.wait(120_000);
    assert_eq!(world.launches().len(), 1);
}
