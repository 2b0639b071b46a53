//! A round: places for the first tasks of a group.
//!
//! Source: the scheduler's task assigner and its tests. Each task is placed before the next one is
//! looked at, so that limits hold within a round; the original looks at all of them first and may
//! exceed a limit.

use std::sync::Arc;

use super::config::ConfigNo;
use super::engine::Core;
use super::filter::{self, Veto, VetoGroup};
use super::machine::Outcome;
use super::manager::Ledger;
use super::name::{TaskId, Text};
use super::offers::{Face, Held, Suits};
use super::reservations::InstanceKey;
use super::spread::Spread;
use super::stats::Stats;
use super::status::Status;
use super::task::Task;

/// A group's turn.
#[derive(Debug)]
pub struct Round {
    config: ConfigNo,
    tasks: Vec<Arc<Task>>,
}

impl Round {
    /// The first tasks of a group that still wait; `None` if there are none, or no such group.
    pub(super) fn of(core: &mut Core, config: ConfigNo) -> Option<Round> {
        let group = core.groups.get_mut(config)?;
        let state = &core.ledger.state;
        let pending =
            |id: &TaskId| state.task(id).filter(|task| task.status == Status::Pending).cloned();
        // Those in front that do not wait any more are out of the way for good.
        while group.queue.front().is_some_and(|id| pending(id).is_none()) {
            group.queue.pop_front();
        }
        let tasks = group.queue.iter().filter_map(pending);
        let tasks: Vec<_> = tasks.take(core.ledger.settings.max_tasks_per_round).collect();
        (!tasks.is_empty()).then_some(Round { config, tasks })
    }

    /// Places what can be placed. Returns how many tasks that were.
    pub(super) fn run(self, core: &mut Core) -> usize {
        let (mut placed, mut hopeless) = (0, false);
        core.ledger.stats.schedule_attempts_fired += self.tasks.len() as u64;
        for task in &self.tasks {
            let instance = (task.config.job.clone(), task.instance);
            let found = match core.reservations.agent_of(&instance).cloned() {
                Some(agent) => self.reserved(core, &agent),
                // Equal tasks: what one cannot find, the next one cannot, either.
                None if hopeless => None,
                None => {
                    let found = self.search(core).or_else(|| self.search_opened(core));
                    hopeless = found.is_none();
                    found
                }
            };
            if found.is_some_and(|found| self.launch(core, task, found, &instance)) {
                placed += 1;
            } else {
                core.ledger.stats.schedule_attempts_no_match += 1;
            }
        }
        placed
    }

    /// The offer of an agent that is kept for the task, if it suits.
    fn reserved(&self, core: &mut Core, agent: &Text) -> Option<Found> {
        let group = core.groups.get_mut(self.config)?;
        let Ledger { state, settings, stats, now, .. } = &mut core.ledger;
        let spread = core.spreads.get(state, &group.config.job);
        let request = filter::Request { config: &group.config, needs: &group.needs, spread };
        let (found, place) = match core.offers.of_agent(agent) {
            Some(held) => (Found::Held(held.clone()), held.place(group.revocable)),
            None => {
                let number = core.opened.of_agent(agent)?;
                (Found::Opened(number), core.opened.get(number)?.place(group.revocable))
            }
        };
        let vetoes = filter::vetoes(&request, &place, *now, settings.unavailability_threshold);
        count(stats, &vetoes);
        vetoes.is_empty().then_some(found)
    }

    /// The first offer, in order, that has no task yet and suits the group.
    fn search(&self, core: &mut Core) -> Option<Found> {
        let group = core.groups.get_mut(self.config)?;
        let Ledger { state, settings, stats, now, .. } = &mut core.ledger;
        let now = *now;
        let (config, revocable) = (&group.config, group.revocable);
        let none = Spread::default();
        let spread = if config.has_limits() { core.spreads.get(state, &config.job) } else { &none };
        let request = filter::Request { config, needs: &group.needs, spread };
        let reservations = &core.reservations;
        let judge = |held: &Held, face: &Face| {
            stats.veto_evaluated_offers += 1;
            let place = held.place_at(face, revocable);
            let vetoes = filter::vetoes(&request, &place, now, settings.unavailability_threshold);
            count(stats, &vetoes);
            match Veto::group(&vetoes) {
                VetoGroup::Static => Suits::Never,
                VetoGroup::Dynamic | VetoGroup::Mixed => Suits::Later,
                VetoGroup::Empty if reservations.admits(&held.agent.id, self.config) => Suits::Now,
                VetoGroup::Empty => Suits::Later,
            }
        };
        let world = (spread.version(), reservations.version());
        let longest = settings.min_offer_hold + settings.offer_hold_jitter;
        let hold = (!settings.hold_offers_forever).then_some(longest);
        let state = &*state;
        let near = |held: &Held| state.touch_host(&held.agent);
        let (sight, needs) = (&mut group.sight, &group.needs);
        let found = core.offers.find(sight, needs, world, (now, hold), judge, near).cloned();
        found.map(Found::Held)
    }

    /// The offer with the fewest tasks of those that got some in this tick and still suit the group.
    fn search_opened(&self, core: &mut Core) -> Option<Found> {
        let group = core.groups.get_mut(self.config)?;
        let Ledger { state, settings, now, .. } = &mut core.ledger;
        let (config, revocable) = (&group.config, group.revocable);
        let none = Spread::default();
        let spread = if config.has_limits() { core.spreads.get(state, &config.job) } else { &none };
        let request = filter::Request { config, needs: &group.needs, spread };
        let found = core.opened.find(|opened| {
            let place = opened.place(revocable);
            // Most are too full: that is known before anything else is looked at.
            place.free.covers(&group.needs)
                && core.reservations.admits(&opened.held.agent.id, self.config)
                && filter::vetoes(&request, &place, *now, settings.unavailability_threshold)
                    .is_empty()
        });
        found.map(Found::Opened)
    }

    fn launch(&self, core: &mut Core, task: &Task, found: Found, instance: &InstanceKey) -> bool {
        let names = &task.config.ports;
        let (held, ports) = match &found {
            Found::Held(held) => (held, held.choose_ports(names, 0)),
            Found::Opened(number) => {
                let Some(opened) = core.opened.get(*number) else { return false };
                (&opened.held, opened.choose_ports(names))
            }
        };
        let (Some(ports), agent) = (ports, held.agent.clone()) else { return false };
        if core.ledger.assign(&task.id, &agent, ports) != Outcome::Success {
            return false;
        }
        let number = match found {
            Found::Held(held) => {
                core.take_held(&held);
                core.opened.open(held)
            }
            Found::Opened(number) => number,
        };
        core.reservations.release_instance(instance);
        core.reservations.used(&agent.id, self.config);
        if let (Some(task), Some(group)) =
            (core.ledger.state.task(&task.id).cloned(), core.groups.get_mut(self.config))
        {
            let settings = &core.ledger.settings;
            core.opened.give(number, task, &group.needs, group.revocable, settings);
        }
        core.follow();
        true
    }
}

/// A place for a task.
#[derive(Debug)]
enum Found {
    /// An offer that has no task yet.
    Held(Arc<Held>),
    /// The number of one that got some in this tick.
    Opened(usize),
}

fn count(stats: &mut Stats, vetoes: &[Veto]) {
    match Veto::group(vetoes) {
        VetoGroup::Empty => return,
        VetoGroup::Static => stats.scheduling_veto_static += 1,
        VetoGroup::Dynamic => stats.scheduling_veto_dynamic += 1,
        VetoGroup::Mixed => stats.scheduling_veto_mixed += 1,
    }
    for veto in vetoes {
        stats.veto(veto.counter());
    }
}
