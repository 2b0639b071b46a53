//! Rows of tasks and hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::config::Config;
use super::name::{Agent, Millis, TaskId, Text};
use super::status::Status;

/// One run of an instance and what became of it.
///
/// Rows are never changed in place: each change makes a new one, so that snapshots keep the old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub id: TaskId,
    /// What runs.
    pub config: Arc<Config>,
    /// The instance, from 0.
    pub instance: i32,
    /// Its present state.
    pub status: Status,
    /// How often this instance has failed, earlier runs included.
    pub failures: i32,
    /// How often its agent could not be reached.
    pub partitions: i32,
    /// The run that this one replaces.
    pub ancestor: Option<TaskId>,
    /// Where it runs, once it has a place.
    pub agent: Option<Arc<Agent>>,
    /// Port numbers by name, in order of the names.
    pub ports: Box<[(Text, i32)]>,
    /// The states it entered, oldest first.
    pub events: Box<[TaskEvent]>,
}

/// A state that a task entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// When.
    pub at: Millis,
    /// The state.
    pub status: Status,
    /// Why, for people.
    pub message: Option<Text>,
    /// Host name of the scheduler that saw it.
    pub scheduler: Option<Text>,
}

impl Task {
    /// When it last changed its state; 0 if that is not known.
    pub fn last_change(&self) -> Millis {
        self.events.last().map_or(0, |event| event.at)
    }

    /// Was it ever in this state?
    pub fn has_been(&self, status: Status) -> bool {
        self.events.iter().any(|event| event.status == status)
    }

    /// Host that it runs on, once it has a place.
    pub fn host(&self) -> Option<&Text> {
        self.agent.as_ref().map(|agent| &agent.host)
    }
}

/// Attributes of a host: values by name.
pub type Attributes = BTreeMap<Text, BTreeSet<Text>>;

/// What is known of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: Text,
    /// Id of its agent.
    pub agent: Text,
    /// What its agent announced.
    pub attributes: Attributes,
    /// Its maintenance.
    pub mode: Mode,
}

/// Maintenance of a host, in order of how much it keeps tasks away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// None: it takes tasks.
    #[default]
    None,
    /// Takes tasks only where there is no other place for them.
    Scheduled,
    /// Takes no tasks; those it runs are moved away.
    Draining,
    /// Takes no tasks and runs none.
    Drained,
}
