//! What jobs of a role use, as quota counts it.

use aurora_api::api;
use thrift_wire::Double;

use crate::core::config::Config;
use crate::core::resources::{Bag, Kind};
use crate::core::state::State;

/// What the active tasks of a role use: CPU, memory and disk, without executors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumption {
    /// Tasks for production on shared hosts: what quota limits.
    pub prod_shared: Bag,
    /// Other tasks on shared hosts.
    pub other_shared: Bag,
    /// Tasks for production on hosts of their own.
    pub prod_dedicated: Bag,
    /// Other tasks on hosts of their own.
    pub other_dedicated: Bag,
}

impl Consumption {
    /// What is used by a role.
    pub fn of(state: &State, role: &str) -> Consumption {
        let mut all = Consumption::default();
        for job in state.jobs_of_role(role) {
            for task in state.active_tasks_of_job(job) {
                let place = all.place(&task.config);
                *place = *place + task.config.resources;
            }
        }
        all
    }

    fn place(&mut self, config: &Config) -> &mut Bag {
        match (config.production, config.constrains("dedicated")) {
            (true, false) => &mut self.prod_shared,
            (false, false) => &mut self.other_shared,
            (true, true) => &mut self.prod_dedicated,
            (false, true) => &mut self.other_dedicated,
        }
    }
}

/// Amounts as clients read them.
pub fn aggregate(bag: &Bag) -> api::ResourceAggregate {
    let whole = |kind| bag.get(kind) / 1000;
    let resources = [
        api::Resource::NumCpus(Double(bag.get(Kind::Cpu) as f64 / 1000.0)),
        api::Resource::RamMb(whole(Kind::Ram)),
        api::Resource::DiskMb(whole(Kind::Disk)),
    ];
    api::ResourceAggregate { resources: Some(resources.into()), ..Default::default() }
}
