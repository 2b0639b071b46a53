//! May this task run there? And if not, why, and how far from it?
//!
//! Source: the scheduler's filter and its tests. Four stages, each only if those before it had
//! nothing to say: dedicated hosts, maintenance, constraints, resources.

use std::collections::BTreeSet;

use super::config::{Config, Constraint, Rule};
use super::name::{Millis, Text};
use super::resources::{Bag, Kind};
use super::spread::Spread;
use super::task::{Attributes, Host, Mode};

/// Name of the attribute that keeps a host for those who ask for it.
const DEDICATED: &str = "dedicated";

/// A reason not to run a task at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Veto {
    /// The host is kept for others.
    Dedicated,
    /// The host is being drained, by Aurora or by Mesos.
    Draining,
    /// The host is drained.
    Drained,
    /// A constraint of this name does not hold.
    Constraint(Text),
    /// Too many tasks of the job share a value of the attribute of this name.
    Limit(Text),
    /// There is too little of a resource; the number says how much too little, 0 to 1000.
    Insufficient(Kind, i64),
}

/// What kind of reasons a set of vetoes has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VetoGroup {
    /// There are none.
    Empty,
    /// All of them hold as long as the offer does.
    Static,
    /// All of them may pass when other tasks end.
    Dynamic,
    /// Both.
    Mixed,
}

impl Veto {
    /// How far from fitting: the larger, the farther.
    pub fn score(&self) -> i64 {
        match self {
            Veto::Dedicated => 1_000_000,
            Veto::Draining | Veto::Drained => 100_000,
            Veto::Constraint(_) | Veto::Limit(_) => 10_000,
            Veto::Insufficient(_, score) => *score,
        }
    }

    /// Does it hold as long as the offer does?
    pub fn is_static(&self) -> bool {
        !matches!(self, Veto::Limit(_))
    }

    /// The text for people.
    pub fn reason(&self) -> String {
        match self {
            Veto::Dedicated => "Host is dedicated".to_owned(),
            Veto::Draining => "Host draining for maintenance".to_owned(),
            Veto::Drained => "Host drained for maintenance".to_owned(),
            Veto::Constraint(name) => format!("Constraint not satisfied: {name}"),
            Veto::Limit(name) => format!("Limit not satisfied: {name}"),
            Veto::Insufficient(kind, _) => format!("Insufficient: {kind}"),
        }
    }

    /// The name of its kind in statistics.
    pub fn counter(&self) -> &'static str {
        match self {
            Veto::Dedicated => "scheduling_veto_dedicated_constraint_mismatch",
            Veto::Draining | Veto::Drained => "scheduling_veto_maintenance",
            Veto::Constraint(_) => "scheduling_veto_constraint_mismatch",
            Veto::Limit(_) => "scheduling_veto_limit_not_satisfied",
            Veto::Insufficient(..) => "scheduling_veto_insufficient_resources",
        }
    }

    /// What kind of reasons these are.
    pub fn group(vetoes: &[Veto]) -> VetoGroup {
        let fixed = vetoes.iter().filter(|veto| veto.is_static()).count();
        match (fixed, vetoes.len() - fixed) {
            (0, 0) => VetoGroup::Empty,
            (_, 0) => VetoGroup::Static,
            (0, _) => VetoGroup::Dynamic,
            _ => VetoGroup::Mixed,
        }
    }
}

/// What wants to run.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What runs.
    pub config: &'a Config,
    /// What it needs, its executor included.
    pub needs: &'a Bag,
    /// Where the tasks of its job are.
    pub spread: &'a Spread,
}

/// Where it might run.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// What is free for it there.
    pub free: &'a Bag,
    /// Attributes of the host.
    pub attributes: &'a Attributes,
    /// Is the host for those only who ask for it?
    pub dedicated: bool,
    /// Maintenance of the host.
    pub mode: Mode,
    /// When Mesos takes the host away.
    pub unavailable: Option<Millis>,
}

impl<'a> Place<'a> {
    /// A place on a host.
    pub fn on(host: &'a Host, free: &'a Bag, unavailable: Option<Millis>) -> Place<'a> {
        let Host { attributes, mode, .. } = host;
        Place { free, attributes, dedicated: is_dedicated(attributes), mode: *mode, unavailable }
    }
}

/// Is a host with these attributes for those only who ask for it?
pub fn is_dedicated(attributes: &Attributes) -> bool {
    attributes.contains_key(DEDICATED)
}

/// Why the request may not have the place; empty if it may. `threshold` is how long before Mesos
/// takes a host away nothing is started on it any more.
pub fn vetoes(request: &Request, place: &Place, now: Millis, threshold: Millis) -> Vec<Veto> {
    if place.dedicated && !request.config.constrains(DEDICATED) {
        return vec![Veto::Dedicated];
    }
    match place.mode {
        Mode::Draining => return vec![Veto::Draining],
        Mode::Drained => return vec![Veto::Drained],
        Mode::None | Mode::Scheduled => {}
    }
    if place.unavailable.is_some_and(|start| now > start.saturating_sub(threshold)) {
        return vec![Veto::Draining];
    }
    let attributes = place.attributes;
    let mut constraints = request.config.constraints.iter();
    if let Some(veto) = constraints.find_map(|c| constraint(c, attributes, request.spread)) {
        return vec![veto];
    }
    if place.free.covers(request.needs) {
        return Vec::new();
    }
    let shortfalls = Kind::ALL.map(|kind| (kind, request.needs.get(kind) - place.free.get(kind)));
    let lacking = shortfalls.into_iter().filter(|(_, shortfall)| *shortfall > 0);
    lacking.map(|(kind, shortfall)| Veto::Insufficient(kind, kind.score(shortfall))).collect()
}

fn constraint(constraint: &Constraint, attributes: &Attributes, spread: &Spread) -> Option<Veto> {
    let values = attributes.get(&constraint.name);
    let any = |asked: &[Text]| {
        values.is_some_and(|values| asked.iter().any(|value| values.contains(value)))
    };
    let holds = match &constraint.rule {
        Rule::OneOf(asked) => any(asked),
        Rule::NoneOf(asked) => !any(asked),
        Rule::Limit(limit) => {
            return match values {
                None => Some(Veto::Constraint(constraint.name.clone())),
                Some(values) if below(spread, &constraint.name, values, *limit) => None,
                Some(_) => Some(Veto::Limit(constraint.name.clone())),
            };
        }
    };
    (!holds).then(|| Veto::Constraint(constraint.name.clone()))
}

fn below(spread: &Spread, name: &str, values: &BTreeSet<Text>, limit: i32) -> bool {
    limit > 0 && values.iter().all(|value| i64::from(spread.count(name, value)) < i64::from(limit))
}
