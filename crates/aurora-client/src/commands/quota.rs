//! `aurora quota`: what a role may use, and what it does use.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", and the recorded cases `quota-*`.

use std::fmt::Write as _;
use std::str::FromStr;

use aurora_api::api::read_only_scheduler::{GetQuota, GetQuotaArgs};
use aurora_api::api::{self, GetQuotaResult, Resource, ResourceAggregate};
use aurora_api::readable;
use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Failure, code};

/// The verbs of `quota`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Prints the quota of a role and what its jobs consume
    Get {
        /// As JSON
        #[arg(long)]
        write_json: bool,
        /// The role
        #[arg(value_name = "CLUSTER/ROLE")]
        role: Role,
    },
}

/// A role of a cluster: `CLUSTER/ROLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Role {
    /// The cluster.
    pub cluster: String,
    /// The role.
    pub role: String,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        match text.split_once('/') {
            Some((cluster, role))
                if !cluster.is_empty() && !role.is_empty() && !role.contains('/') =>
            {
                Ok(Role { cluster: cluster.to_owned(), role: role.to_owned() })
            }
            _ => Err("a role is given as CLUSTER/ROLE".to_owned()),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// There is no answer, or a refusal.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    let Verb::Get { write_json, role } = verb;
    let Some(quota) = get(context, &role.cluster, &role.role)? else {
        let message = format!("The answer about the quota of {} has no quota in it", role.role);
        return Err(Failure::new(code::API, message));
    };
    match write_json {
        true => context.say(readable::to_string(&quota)),
        false => context.print(&text(&quota)),
    }
    Ok(code::OK)
}

/// Asks for the quota of a role.
///
/// # Errors
/// There is no answer, or a refusal.
pub(crate) fn get(
    context: &mut Context<'_>,
    cluster: &str,
    role: &str,
) -> Result<Option<GetQuotaResult>, Failure> {
    context.info(format_args!("Getting quota for: {role}"));
    let arguments = GetQuotaArgs { owner_role: Some(role.to_owned()), ..Default::default() };
    let response = context.call::<GetQuota>(cluster, &arguments)?;
    let lead = format!("Error retrieving quota for role {role}");
    context.check(&response, code::API, &lead)?;
    Ok(match response.result {
        Some(api::Result::GetQuotaResult(quota)) => Some(quota),
        _ => None,
    })
}

/// Quota and consumption, for people.
fn text(quota: &GetQuotaResult) -> String {
    let mut text = String::new();
    for (title, resources) in [
        ("Allocated", &quota.quota),
        ("Production shared pool resources consumed", &quota.prod_shared_consumption),
        ("Production dedicated pool resources consumed", &quota.prod_dedicated_consumption),
        ("Non-production shared pool resources consumed", &quota.non_prod_shared_consumption),
        ("Non-production dedicated pool resources consumed", &quota.non_prod_dedicated_consumption),
    ] {
        let Some(resources) = resources else { continue };
        let amounts = Amounts::of(resources);
        let _ = write!(
            text,
            "{title}:\n  CPU: {:?} core(s)\n  RAM: {} MB\n  Disk: {} MB\n",
            amounts.cpus, amounts.ram_mb, amounts.disk_mb
        );
        if amounts.gpus > 0 {
            let _ = writeln!(text, "  GPU: {} GPU(s)", amounts.gpus);
        }
    }
    text
}

/// How much of each resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Amounts {
    pub(crate) cpus: f64,
    pub(crate) ram_mb: i64,
    pub(crate) disk_mb: i64,
    pub(crate) gpus: i64,
}

impl Amounts {
    /// The sums of what is listed; what is not listed is none.
    pub(crate) fn of(aggregate: &ResourceAggregate) -> Amounts {
        let mut amounts = Amounts::default();
        for resource in aggregate.resources.iter().flatten() {
            match resource {
                Resource::NumCpus(cpus) => amounts.cpus += cpus.0,
                Resource::RamMb(mb) => amounts.ram_mb = amounts.ram_mb.saturating_add(*mb),
                Resource::DiskMb(mb) => amounts.disk_mb = amounts.disk_mb.saturating_add(*mb),
                Resource::NumGpus(gpus) => amounts.gpus = amounts.gpus.saturating_add(*gpus),
                Resource::NamedPort(_) | Resource::Unknown(..) => {}
            }
        }
        amounts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles() {
        let role = Role { cluster: "west".to_owned(), role: "web".to_owned() };
        assert_eq!("west/web".parse(), Ok(role));
        for text in ["", "west", "west/", "/web", "west/web/prod"] {
            assert!(text.parse::<Role>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_printed() {
        let resources = [Resource::NumCpus(0.5.into()), Resource::NumGpus(2)].into();
        let quota = ResourceAggregate { resources: Some(resources), ..Default::default() };
        let quota = GetQuotaResult { quota: Some(quota), ..Default::default() };
        let wanted = "Allocated:\n  CPU: 0.5 core(s)\n  RAM: 0 MB\n  Disk: 0 MB\n  GPU: 2 GPU(s)\n";
        assert_eq!(text(&quota), wanted);
    }
}
