//! Who is offered what, and which offers are still good.

use std::collections::BTreeMap;
use std::time::Duration;

use mesos_scheduler::v1::scheduler::Event;
use mesos_scheduler::v1::scheduler::event::{Offers, Rescind, Type};
use mesos_scheduler::v1::{FrameworkId, Offer, OfferId};

use crate::master::pool::Pool;

use super::{
    AgentInfo, Effect, Framework, Master, Now, Outstanding, REFUSE, agent_id, executor_id, of_type,
};

impl Master {
    pub(super) fn take_offer(&mut self, framework: &str, offer: &str) -> Option<Outstanding> {
        let ours = self.offers.get(offer).is_some_and(|offer| offer.framework == framework);
        if ours { self.offers.remove(offer) } else { None }
    }

    pub(super) fn filter(&mut self, framework: &str, agent: String, until: Duration) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.filters.insert(agent, until);
        }
    }

    pub(super) fn rescind(&mut self, offer: &str, out: &mut Vec<Effect>) {
        if let Some(outstanding) = self.offers.remove(offer) {
            let rescind = Rescind { offer_id: OfferId { value: offer.to_owned() } };
            let event = Event { rescind: Some(rescind), ..of_type(Type::Rescind) };
            self.send(&outstanding.framework, event, out);
        }
    }

    /// What nobody has of an agent.
    pub(super) fn free(&self, agent: &AgentInfo) -> Pool {
        let offered = self.offers.values().filter(|o| o.agent == agent.id).map(|o| &o.resources);
        let tasks = self.frameworks.values().flat_map(|f| f.tasks.values());
        let tasks = tasks.filter(|t| t.agent == agent.id).filter_map(|t| t.resources.as_ref());
        let executors = self.frameworks.values().flat_map(|f| &f.executors);
        let executors = executors.filter(|((of, _), _)| *of == agent.id).map(|(_, e)| &e.resources);
        let mut used = Pool::default();
        for resources in offered.chain(tasks).chain(executors) {
            used.add(resources);
        }
        // An executor of a framework that was removed may still hold something for a moment.
        agent.resources.without(&used).unwrap_or_default()
    }

    /// Offers all that is free of each agent to one of the frameworks that want it, in turns.
    pub(super) fn allocate(&mut self, now: Now, out: &mut Vec<Effect>) {
        let wants = |framework: &Framework| framework.stream.is_some() && !framework.suppressed;
        let waiting: Vec<String> =
            self.frameworks.iter().filter(|(_, f)| wants(f)).map(|(id, _)| id.clone()).collect();
        let mut made: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for agent in self.agents.values().cloned().collect::<Vec<_>>() {
            let free = self.free(&agent);
            if !free.is_offerable() {
                continue;
            }
            let wanted = |id: &&String| {
                let filters = self.frameworks.get(*id).map(|framework| &framework.filters);
                filters.is_some_and(|filters| {
                    filters.get(&agent.id).is_none_or(|until| *until <= now.mono)
                })
            };
            let count = waiting.len();
            let order = (0..count).filter_map(|n| waiting.get((self.turn + n) % count.max(1)));
            let Some(id) = order.clone().find(wanted).cloned() else { continue };
            self.turn = self.turn.wrapping_add(1);
            let Some(framework) = self.frameworks.get(&id) else { continue };
            let offer_id = format!("{}-O{}", self.settings.info.id, self.next_offer);
            self.next_offer += 1;
            let executors = framework.executors.keys().filter(|(of, _)| *of == agent.id);
            let offer = Offer {
                id: OfferId { value: offer_id.clone() },
                framework_id: FrameworkId { value: id.clone() },
                agent_id: agent_id(agent.id.clone()),
                hostname: agent.hostname.clone(),
                resources: free.resources(&framework.style),
                executor_ids: executors.map(|(_, e)| executor_id(e.clone())).collect(),
                attributes: agent.attributes.clone(),
                allocation_info: framework.style.allocation(),
                ..Offer::default()
            };
            made.entry(id.clone()).or_default().push(offer);
            let since = now.mono;
            let outstanding =
                Outstanding { framework: id, agent: agent.id.clone(), resources: free, since };
            self.offers.insert(offer_id, outstanding);
        }
        for (id, offers) in made {
            let event = Event { offers: Some(Offers { offers }), ..of_type(Type::Offers) };
            self.send(&id, event, out);
        }
    }
}

/// Until when an agent is not offered again.
pub(super) fn refused_until(now: Now, filters: Option<&mesos_scheduler::v1::Filters>) -> Duration {
    let seconds = filters.and_then(|filters| filters.refuse_seconds);
    let refuse = seconds.map_or(REFUSE, |seconds| {
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
    });
    now.mono.saturating_add(refuse)
}
