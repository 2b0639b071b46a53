//! Agents that are kept for somebody.
//!
//! Two kinds, neither of them durable: an agent that was emptied by preemption is kept for the group
//! that it was emptied for, and an agent whose task is being updated is kept for the same instance.

use std::collections::BTreeMap;

use super::config::ConfigNo;
use super::name::{JobKey, Millis, Text};

/// One instance of a job.
pub type InstanceKey = (JobKey, i32);

/// All reservations.
#[derive(Debug, Default)]
pub struct Reservations {
    groups: BTreeMap<Text, (ConfigNo, Millis)>,
    instances: BTreeMap<InstanceKey, (Text, Millis)>,
    /// Changes whenever an agent becomes free for more than before.
    version: u64,
}

impl Reservations {
    /// Keeps an agent for a group until then.
    pub fn reserve_for_group(&mut self, agent: Text, group: ConfigNo, until: Millis) {
        self.groups.insert(agent, (group, until));
    }

    /// Keeps an agent for an instance until then.
    pub fn reserve_for_instance(&mut self, agent: Text, instance: InstanceKey, until: Millis) {
        self.instances.insert(instance, (agent, until));
    }

    /// The agent that is kept for an instance.
    pub fn agent_of(&self, instance: &InstanceKey) -> Option<&Text> {
        self.instances.get(instance).map(|(agent, _)| agent)
    }

    /// Has the group an agent that is kept for it?
    pub fn has_group(&self, group: ConfigNo) -> bool {
        self.groups.values().any(|(reserved_for, _)| *reserved_for == group)
    }

    /// May tasks of the group use the agent, other than by a reservation of an instance?
    pub fn admits(&self, agent: &Text, group: ConfigNo) -> bool {
        self.groups.get(agent).is_none_or(|(reserved_for, _)| *reserved_for == group)
            && !self.instances.values().any(|(reserved, _)| reserved == agent)
    }

    /// The instance has its place, or wants none.
    pub fn release_instance(&mut self, instance: &InstanceKey) {
        self.version += u64::from(self.instances.remove(instance).is_some());
    }

    /// A task of the group was placed on the agent.
    pub fn used(&mut self, agent: &Text, group: ConfigNo) {
        if self.groups.get(agent).is_some_and(|(reserved_for, _)| *reserved_for == group) {
            self.groups.remove(agent);
            self.version += 1;
        }
    }

    /// Forgets what has been kept for too long.
    pub fn expire(&mut self, now: Millis) {
        let before = self.groups.len() + self.instances.len();
        self.groups.retain(|_, (_, until)| *until > now);
        self.instances.retain(|_, (_, until)| *until > now);
        let expired = before != self.groups.len() + self.instances.len();
        self.version += u64::from(expired);
    }

    /// Changes whenever an agent becomes free for more than before.
    pub fn version(&self) -> u64 {
        self.version
    }
}
