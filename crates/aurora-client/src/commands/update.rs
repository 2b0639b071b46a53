//! `aurora update`: updates that the scheduler carries out.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", and the recorded cases `update-*`.

mod print;
mod start;

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use aurora_api::api::aurora_scheduler_manager::{
    AbortJobUpdate, AbortJobUpdateArgs, PauseJobUpdate, PauseJobUpdateArgs, ResumeJobUpdate,
    ResumeJobUpdateArgs, RollbackJobUpdate, RollbackJobUpdateArgs,
};
use aurora_api::api::read_only_scheduler::{
    GetJobUpdateDetails, GetJobUpdateDetailsArgs, GetJobUpdateSummaries, GetJobUpdateSummariesArgs,
};
use aurora_api::api::{
    self, ACTIVE_JOB_UPDATE_STATES, JobUpdateDetails, JobUpdateKey, JobUpdateQuery,
    JobUpdateStatus, JobUpdateSummary, Response,
};
use clap::Subcommand;

use crate::context::Context;
use crate::exit::{Failure, code};
use crate::keys::{self, to_api};
use crate::select::JobKey;

pub(crate) use start::Start;

/// Pause between two looks at an update.
const PAUSE: Duration = Duration::from_secs(5);

/// The verbs of `update`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Starts a rolling update of a job to what its file says; only instances that differ are touched
    ///
    /// How fast it goes and how many failures it bears is said by update_config in the file. A job
    /// that does not run is started. `aurora job diff` shows beforehand what would change.
    Start(Start),
    /// Interrupts the update of a job
    Pause(Change),
    /// Goes on with the update of a job
    Resume(Change),
    /// Ends the update of a job as it stands
    Abort(Change),
    /// Undoes the update of a job
    Rollback {
        #[command(flatten)]
        change: Change,
        /// Waits until it has ended
        #[arg(long)]
        wait: bool,
    },
    /// Waits until an update has ended
    Wait {
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
        /// The update
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Lists updates
    List {
        /// Only those in this state, or this group of states; may be given several times
        #[arg(long, value_name = "STATUS", value_parser = States::parser())]
        status: Vec<String>,
        /// Only those that this user started
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// As JSON
        #[arg(long)]
        write_json: bool,
        /// Whose
        #[arg(value_name = "CLUSTER[/ROLE[/ENV[/JOB]]]")]
        filter: Filter,
    },
    /// Prints everything about an update
    Info {
        /// As JSON
        #[arg(long)]
        write_json: bool,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
        /// The update; default: the one that is active
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
}

/// What all changes of an active update need.
#[derive(Debug, clap::Args)]
pub(crate) struct Change {
    /// Why, for the update's history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// The job
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
    key: JobKey,
}

/// Whose updates are listed: `CLUSTER[/ROLE[/ENV[/JOB]]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    cluster: String,
    role: Option<String>,
    environment: Option<String>,
    name: Option<String>,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Filter, String> {
        let mut parts = text.split('/').map(str::to_owned);
        let (cluster, role) = (parts.next().unwrap_or_default(), parts.next());
        let (environment, name) = (parts.next(), parts.next());
        if parts.next().is_some() || cluster.is_empty() {
            return Err(format!("{text:?} is not of the form CLUSTER[/ROLE[/ENV[/JOB]]]"));
        }
        for part in [&role, &environment, &name].into_iter().flatten() {
            keys::identifier(part)?;
        }
        Ok(Filter { cluster, role, environment, name })
    }
}

/// States of updates as `--status` names them.
struct States;

/// Names for several states.
const GROUPS: [(&str, &[JobUpdateStatus]); 7] = {
    type S = JobUpdateStatus;
    [
        ("active", ACTIVE_JOB_UPDATE_STATES),
        ("all", S::VALUES),
        ("blocked", api::AWAITNG_PULSE_JOB_UPDATE_STATES),
        ("failed", &[S::ROLLED_BACK, S::ERROR, S::FAILED]),
        ("inactive", &[S::ROLLED_FORWARD, S::ROLLED_BACK, S::ABORTED, S::ERROR, S::FAILED]),
        ("paused", &[S::ROLL_FORWARD_PAUSED, S::ROLL_BACK_PAUSED]),
        ("succeeded", &[S::ROLLED_FORWARD]),
    ]
};

impl States {
    fn parser() -> clap::builder::PossibleValuesParser {
        let states = JobUpdateStatus::NAMES.iter().map(|(name, _)| *name);
        GROUPS.iter().map(|(name, _)| *name).chain(states).collect::<Vec<_>>().into()
    }

    /// The states of a name.
    fn of(name: &str) -> Vec<JobUpdateStatus> {
        match GROUPS.iter().find(|(group, _)| *group == name) {
            Some((_, states)) => states.to_vec(),
            None => JobUpdateStatus::from_name(name).into_iter().collect(),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// There is no answer, or a refusal.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    match verb {
        Verb::Start(start) => start.run(context),
        Verb::Pause(change) => change.run(context, "pause", "paused", |context, key, message| {
            let args = PauseJobUpdateArgs { key: Some(key), message, ..Default::default() };
            context.call::<PauseJobUpdate>(&change.key.cluster, &args)
        }),
        Verb::Resume(change) => {
            change.run(context, "resume", "resumed", |context, key, message| {
                let args = ResumeJobUpdateArgs { key: Some(key), message, ..Default::default() };
                context.call::<ResumeJobUpdate>(&change.key.cluster, &args)
            })
        }
        Verb::Abort(change) => change.run(context, "abort", "aborted", |context, key, message| {
            let args = AbortJobUpdateArgs { key: Some(key), message, ..Default::default() };
            context.call::<AbortJobUpdate>(&change.key.cluster, &args)
        }),
        Verb::Rollback { change, wait } => rollback(context, change, *wait),
        Verb::Wait { key, id } => {
            let update =
                JobUpdateKey { job: Some(to_api(key)), id: id.clone(), ..Default::default() };
            wait(context, &key.cluster, &update, forward, PAUSE)
        }
        Verb::List { status, user, write_json, filter } => {
            list(context, status, user.clone(), *write_json, filter)
        }
        Verb::Info { write_json, key, id } => info(context, *write_json, key, id.clone()),
    }
}

impl Change {
    /// Makes one call about the active update of the job.
    fn run(
        &self,
        context: &mut Context<'_>,
        verb: &str,
        done: &str,
        call: impl FnOnce(&mut Context<'_>, JobUpdateKey, Option<String>) -> Result<Response, Failure>,
    ) -> Result<u8, Failure> {
        let Some(update) = active(context, &self.key)? else {
            context.complain("No active update found for this job.");
            return Ok(code::INVALID_PARAMETER);
        };
        let response = call(context, update, self.message.clone())?;
        context.check(&response, code::API, &format!("Failed to {verb} update due to error:"))?;
        context.say(format_args!("Update has been {done}."));
        Ok(code::OK)
    }
}

fn rollback(context: &mut Context<'_>, change: &Change, waits: bool) -> Result<u8, Failure> {
    let Change { message, key } = change;
    let Some(update) = active(context, key)? else {
        context.complain("No active update found for this job.");
        return Ok(code::INVALID_PARAMETER);
    };
    let args = RollbackJobUpdateArgs {
        key: Some(update.clone()),
        message: message.clone(),
        ..Default::default()
    };
    let response = context.call::<RollbackJobUpdate>(&key.cluster, &args)?;
    context.check(&response, code::API, "Failed to rollback update due to error:")?;
    context.say("Update rollback has started.");
    match waits {
        true => wait(context, &key.cluster, &update, backward, PAUSE),
        false => Ok(code::OK),
    }
}

/// The exit code for an update that was to roll forward, and ended.
fn forward(status: JobUpdateStatus) -> u8 {
    match status {
        JobUpdateStatus::ROLLED_FORWARD => code::OK,
        JobUpdateStatus::ROLLED_BACK => code::COMMAND_FAILURE,
        _ => code::UNKNOWN,
    }
}

/// The exit code for an update that was to roll back, and ended.
fn backward(status: JobUpdateStatus) -> u8 {
    match status {
        JobUpdateStatus::ROLLED_BACK => code::OK,
        JobUpdateStatus::ROLLED_FORWARD => code::COMMAND_FAILURE,
        _ => code::UNKNOWN,
    }
}

/// Waits until an update has ended, and prints the states that are seen.
fn wait(
    context: &mut Context<'_>,
    cluster: &str,
    update: &JobUpdateKey,
    exit: fn(JobUpdateStatus) -> u8,
    pause: Duration,
) -> Result<u8, Failure> {
    let mut last = None;
    loop {
        let query = JobUpdateQuery { key: Some(update.clone()), ..Default::default() };
        let found = summaries(context, cluster, query, "Failed to get update status:")?;
        let Some(status) = found.first().and_then(status) else {
            return Err(Failure::parameter("Job update not found."));
        };
        if last != Some(status) {
            context.progress("");
            context.say(format_args!("Current state {status}"));
            last = Some(status);
        }
        if !ACTIVE_JOB_UPDATE_STATES.contains(&status) {
            return Ok(exit(status));
        }
        context.progress(format_args!("Waiting for the end of the update: {status}"));
        context.world.sleep(pause)?;
    }
}

fn status(summary: &JobUpdateSummary) -> Option<JobUpdateStatus> {
    summary.state.as_ref().and_then(|state| state.status)
}

/// The active update of a job, if it has one.
fn active(context: &mut Context<'_>, key: &JobKey) -> Result<Option<JobUpdateKey>, Failure> {
    let query = JobUpdateQuery {
        job_key: Some(to_api(key)),
        update_statuses: Some(ACTIVE_JOB_UPDATE_STATES.iter().copied().collect()),
        ..Default::default()
    };
    let found = summaries(context, &key.cluster, query, "Failed to find the active update:")?;
    match &found[..] {
        [] => Ok(None),
        [one] => Ok(one.key.clone()),
        _ => {
            let message = "The scheduler returned multiple active updates for this job.";
            Err(Failure::new(code::API, message))
        }
    }
}

fn summaries(
    context: &mut Context<'_>,
    cluster: &str,
    query: JobUpdateQuery,
    lead: &str,
) -> Result<Vec<JobUpdateSummary>, Failure> {
    let args = GetJobUpdateSummariesArgs { job_update_query: Some(query), ..Default::default() };
    let response = context.call::<GetJobUpdateSummaries>(cluster, &args)?;
    context.check(&response, code::API, lead)?;
    Ok(match response.result {
        Some(api::Result::GetJobUpdateSummariesResult(found)) => {
            found.update_summaries.unwrap_or_default()
        }
        _ => Vec::new(),
    })
}

fn list(
    context: &mut Context<'_>,
    status: &[String],
    user: Option<String>,
    write_json: bool,
    filter: &Filter,
) -> Result<u8, Failure> {
    let statuses: BTreeSet<_> = status.iter().flat_map(|name| States::of(name)).collect();
    let Filter { cluster, role, environment, name } = filter;
    let job = name.as_ref().map(|name| api::JobKey {
        role: role.clone(),
        environment: environment.clone(),
        name: Some(name.clone()),
        ..Default::default()
    });
    let query = JobUpdateQuery {
        role: role.clone().filter(|_| job.is_none()),
        job_key: job,
        user,
        update_statuses: Some(statuses).filter(|statuses| !statuses.is_empty()),
        ..Default::default()
    };
    let mut found = summaries(context, cluster, query, "Failed to list updates:")?;
    // Schedulers cannot be asked for an environment.
    if let Some(wanted) = environment {
        found.retain(|summary| {
            let job = summary.key.as_ref().and_then(|key| key.job.as_ref());
            job.and_then(|job| job.environment.as_ref()) == Some(wanted)
        });
    }
    match write_json {
        true => context.say(print::list_as_json(cluster, &found)),
        false => context.print(&print::list(cluster, &found)),
    }
    Ok(code::OK)
}

fn info(
    context: &mut Context<'_>,
    write_json: bool,
    key: &JobKey,
    id: Option<String>,
) -> Result<u8, Failure> {
    let update = match id {
        Some(id) => JobUpdateKey { job: Some(to_api(key)), id: Some(id), ..Default::default() },
        None => match active(context, key)? {
            Some(update) => update,
            None => {
                context.complain("There is no active update for this job.");
                return Ok(code::INVALID_PARAMETER);
            }
        },
    };
    // Older schedulers know only the key.
    let query = JobUpdateQuery { key: Some(update.clone()), ..Default::default() };
    let args = GetJobUpdateDetailsArgs {
        key: Some(update.clone()),
        query: Some(query),
        ..Default::default()
    };
    let response = context.call::<GetJobUpdateDetails>(&key.cluster, &args)?;
    context.check_plainly(&response)?;
    let Some(details) = details_of(response) else {
        let id = update.id.unwrap_or_default();
        context.complain(format_args!("There is no update {id} of {key}"));
        return Ok(code::INVALID_PARAMETER);
    };
    match write_json {
        true => context.say(print::details_as_json(key, &details)),
        false => context.print(&print::details(key, &details)),
    }
    Ok(code::OK)
}

fn details_of(response: Response) -> Option<JobUpdateDetails> {
    let Some(api::Result::GetJobUpdateDetailsResult(found)) = response.result else { return None };
    found.details_list.into_iter().flatten().next().or(found.details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let of = |text: &str| text.parse::<Filter>().map(|f| (f.role, f.environment, f.name));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("west"), Ok((None, None, None)));
        assert_eq!(of("west/web"), Ok((some("web"), None, None)));
        assert_eq!(of("west/web/prod"), Ok((some("web"), some("prod"), None)));
        assert_eq!(of("west/web/prod/www"), Ok((some("web"), some("prod"), some("www"))));
        for text in ["", "/web", "west/", "west/a b", "west/web/prod/www/x", "west/web//www"] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn states_and_groups() {
        let count = |name: &str| States::of(name).len();
        assert_eq!(count("active") + count("inactive"), count("all"));
        assert_eq!(count("all"), JobUpdateStatus::VALUES.len());
        assert_eq!(States::of("ABORTED"), [JobUpdateStatus::ABORTED]);
        for (name, states) in GROUPS {
            let mut unique = states.to_vec();
            unique.sort();
            unique.dedup();
            assert_eq!(unique.len(), states.len(), "{name}");
        }
    }

    #[test]
    fn exits() {
        use JobUpdateStatus as S;
        for (status, forwards, backwards) in [
            (S::ROLLED_FORWARD, 0, 4),
            (S::ROLLED_BACK, 4, 0),
            (S::ABORTED, 20, 20),
            (S::ERROR, 20, 20),
            (S::FAILED, 20, 20),
        ] {
            assert_eq!((forward(status), backward(status)), (forwards, backwards), "{status}");
        }
    }
}
