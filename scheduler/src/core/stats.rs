//! What happened how often, by the names under which operators know it.

use std::collections::BTreeMap;

use super::status::Status;
use super::task::{Attributes, Host, Task};

macro_rules! counters {
    ($($name:ident: $doc:literal,)*) => {
        /// Counters. They start at 0 with the process.
        #[derive(Clone, Debug, Default)]
        pub struct Stats {
            $(#[doc = $doc] pub $name: u64,)*
            /// Counters whose names are made of what happened.
            pub named: BTreeMap<String, u64>,
        }

        impl Stats {
            /// All counters with their names.
            pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
                let fixed = [$((stringify!($name), self.$name),)*];
                fixed.into_iter().chain(self.named.iter().map(|(name, n)| (name.as_str(), *n)))
            }
        }
    };
}

counters! {
    scheduler_illegal_task_state_transitions: "Transitions that are not allowed.",
    scheduler_status_update: "Status updates of Mesos.",
    scheduler_resource_offers: "Offers of Mesos.",
    offers_rescinded: "Offers that Mesos took back.",
    offer_cancel_failures: "Offers taken back that were not held.",
    offer_accept_races: "Launches on offers that were gone.",
    veto_evaluated_offers: "Offers that were compared with a task.",
    scheduling_veto_static: "Vetoes that hold as long as the offer.",
    scheduling_veto_dynamic: "Vetoes that depend on other tasks.",
    scheduling_veto_mixed: "Vetoes of both kinds at once.",
    schedule_attempts_fired: "Tasks that a place was looked for.",
    schedule_attempts_no_match: "Tasks that no place was found for.",
    schedule_attempts_failed: "Rounds that failed.",
    schedule_attempts_blocks: "Rounds that waited for the rate limit.",
    assigner_launch_failures: "Launches that failed.",
    timed_out_tasks: "Tasks that were given up in a transient state.",
    task_kill_retries: "Kills that were sent again.",
    tasks_pruned: "Ended tasks that were forgotten.",
    reconciliation_explicit_runs: "Explicit reconciliations.",
    reconciliation_implicit_runs: "Implicit reconciliations.",
}

impl Stats {
    /// Adds one to a counter of vetoes.
    pub fn veto(&mut self, name: &'static str) {
        match self.named.get_mut(name) {
            Some(count) => *count += 1,
            None => self.count(name.to_owned()),
        }
    }

    /// A task entered this state on this host, or was in it when the process began: tasks that failed
    /// or were lost are counted by job, lost ones by rack and by whom the host is dedicated to as well.
    pub fn task(&mut self, task: &Task, host: Option<&Host>) {
        let status = task.status;
        if !matches!(status, Status::Failed | Status::Lost) {
            return;
        }
        self.count(format!("tasks_{status}_{}", task.config.job));
        if let (Status::Lost, Some(host)) = (status, host) {
            for name in lost_on(&host.attributes) {
                self.count(name);
            }
        }
    }

    /// A host is known: what may be counted of it is there from then on, so that operators can watch it.
    pub fn host(&mut self, host: &Host) {
        for name in lost_on(&host.attributes) {
            self.named.entry(name).or_default();
        }
    }

    /// Adds one to a counter whose name is made of what happened.
    pub fn count(&mut self, name: String) {
        *self.named.entry(name).or_default() += 1;
    }
}

/// The counters of tasks that are lost on a host with these attributes.
fn lost_on(attributes: &Attributes) -> impl Iterator<Item = String> {
    let values = |name: &str| attributes.get(name).into_iter().flatten();
    // A host is in one rack. Should it say otherwise, the first counts.
    let rack = values("rack").take(1).map(|rack| format!("tasks_lost_rack_{rack}"));
    let dedicated = values("dedicated");
    rack.chain(dedicated.map(|role| format!("tasks_lost_dedicated_{}", role.replace('*', "_"))))
}
