//! How the tasks of a job are spread over attributes of hosts.
//!
//! Only jobs with limits ask, and their number is small, so a spread is counted when it is first
//! asked for and kept up to date from then on.

use std::collections::HashMap;
use std::sync::Arc;

use super::manager::Change;
use super::name::{JobKey, Text};
use super::state::State;
use super::task::{Attributes, Task};

/// How many placed tasks of a job each value of each attribute has.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    counts: HashMap<Text, HashMap<Text, u32>>,
    /// Changes whenever a count does.
    version: u64,
}

impl Spread {
    /// How many tasks are on hosts with this value.
    pub fn count(&self, attribute: &str, value: &str) -> u32 {
        self.counts.get(attribute).and_then(|values| values.get(value)).copied().unwrap_or(0)
    }

    /// Changes whenever a count does.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Counts a task on a host with these attributes, or counts it no more.
    pub fn shift(&mut self, attributes: &Attributes, arrives: bool) {
        self.version += 1;
        for (name, values) in attributes {
            let counts = self.counts.entry(name.clone()).or_default();
            for value in values {
                let count = counts.entry(value.clone()).or_default();
                *count = if arrives { *count + 1 } else { count.saturating_sub(1) };
            }
        }
    }
}

/// The spreads of all jobs that asked.
#[derive(Debug, Default)]
pub struct Spreads {
    of: HashMap<JobKey, Spread>,
    /// Versions must not repeat when spreads are counted anew.
    generation: u64,
}

impl Spreads {
    /// The spread of a job.
    pub fn get(&mut self, state: &State, job: &JobKey) -> &Spread {
        if !self.of.contains_key(job) {
            let mut spread = Spread { version: self.generation << 32, ..Spread::default() };
            let placed = state.tasks_of_job(job).filter(|task| task.status.is_placed());
            for attributes in placed.filter_map(|task| attributes(state, task)) {
                spread.shift(attributes, true);
            }
            self.of.insert(job.clone(), spread);
        }
        self.of.entry(job.clone()).or_default()
    }

    /// Follows a change of tasks.
    pub fn follow(&mut self, state: &State, change: &Change) {
        if self.of.is_empty() {
            return;
        }
        match change {
            Change::Moved { task, from } => {
                let (was, is) =
                    (from.is_some_and(|status| status.is_placed()), task.status.is_placed());
                if was != is {
                    self.shift(state, task, is);
                }
            }
            Change::Deleted(tasks) => {
                for task in tasks.iter().filter(|task| task.status.is_placed()) {
                    self.shift(state, task, false);
                }
            }
        }
    }

    /// Hosts have other attributes than before: everything is counted anew when it is asked for.
    pub fn forget(&mut self) {
        self.of.clear();
        self.generation += 1;
    }

    fn shift(&mut self, state: &State, task: &Arc<Task>, arrives: bool) {
        if let Some(spread) = self.of.get_mut(&task.config.job)
            && let Some(attributes) = attributes(state, task)
        {
            spread.shift(attributes, arrives);
            // A job that has nothing placed any more may never come back.
            if !arrives && spread.counts.values().all(|values| values.values().all(|n| *n == 0)) {
                self.of.remove(&task.config.job);
                self.generation += 1;
            }
        }
    }
}

fn attributes<'a>(state: &'a State, task: &Task) -> Option<&'a Attributes> {
    state.host(task.host()?).map(|host| &host.attributes)
}
