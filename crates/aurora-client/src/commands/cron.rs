//! `aurora cron`: jobs that run at given times.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", and the recorded cases `cron-*`.

use std::path::PathBuf;

use aurora_api::api::aurora_scheduler_manager::{
    DescheduleCronJob, DescheduleCronJobArgs, ScheduleCronJob, ScheduleCronJobArgs, StartCronJob,
    StartCronJobArgs,
};
use aurora_api::api::read_only_scheduler::{GetJobs, GetJobsArgs};
use aurora_api::api::{self, JobConfiguration};
use clap::Subcommand;

use super::{Browser, HookFile};
use super::{Reading, TiersOf};
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::hooks::Call;
use crate::keys::{self, to_api};
use crate::select::JobKey;

/// The verbs of `cron`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Has a job run as its cron_schedule says, or replaces what is scheduled
    Schedule {
        #[command(flatten)]
        reading: Reading,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
        /// The configuration file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Has a job run no more; what runs goes on
    Deschedule {
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
    },
    /// Runs a job now, beside its schedule
    Start {
        #[command(flatten)]
        browser: Browser,
        #[command(flatten)]
        hooks: HookFile,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
    },
    /// Prints the schedule of a job
    Show {
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
    },
}

/// Runs the command.
///
/// # Errors
/// The file is wrong, there is no answer, or a refusal.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    match verb {
        Verb::Schedule { reading, key, file } => schedule(context, reading, key, file),
        Verb::Deschedule { key } => {
            context.info(format_args!("Removing cron schedule for job {key}"));
            let args = DescheduleCronJobArgs { job: Some(to_api(key)), ..Default::default() };
            let response = context.call::<DescheduleCronJob>(&key.cluster, &args)?;
            let lead = format!("Error descheduling cron job {key}:");
            context.check(&response, code::API, &lead)?;
            context.say("Cron descheduling succeeded.");
            Ok(code::OK)
        }
        Verb::Start { browser, hooks, key } => {
            let mut hooks = hooks.load(context, key)?;
            let call = Call::start_cronjob(key);
            hooks.before(context, &call)?;
            context.info(format_args!("Starting cron job: {key}"));
            let args = StartCronJobArgs { job: Some(to_api(key)), ..Default::default() };
            let answered = context.call::<StartCronJob>(&key.cluster, &args);
            let response = hooks.after(context, &call, answered)?;
            context.check(&response, code::API, &format!("Error starting cron job {key}:"))?;
            browser.show(context, key)?;
            Ok(code::OK)
        }
        Verb::Show { key } => show(context, key),
    }
}

fn schedule(
    context: &mut Context<'_>,
    reading: &Reading,
    key: &JobKey,
    file: &std::path::Path,
) -> Result<u8, Failure> {
    let job = context.load_job(key, &reading.source(file)?, TiersOf::Scheduler)?.configuration;
    if job.cron_schedule.is_none() {
        let message = "Non-cron jobs may only be created with \"aurora job create\" command";
        return Err(Failure::new(code::COMMAND_FAILURE, message));
    }
    context.info(format_args!("Registering job {} with cron", key.name));
    let args = ScheduleCronJobArgs { description: Some(job), ..Default::default() };
    let response = context.call::<ScheduleCronJob>(&key.cluster, &args)?;
    context.check(&response, code::API, &format!("Error scheduling cron job {key}:"))?;
    let url = context.page(&key.cluster, &[&key.role, &key.environment, &key.name])?;
    context.say(format_args!("Cron job scheduled, status can be viewed at {url}"));
    Ok(code::OK)
}

fn show(context: &mut Context<'_>, key: &JobKey) -> Result<u8, Failure> {
    context.info(format_args!("Retrieving jobs for role {}", key.role));
    let args = GetJobsArgs { owner_role: Some(key.role.clone()), ..Default::default() };
    let response = context.call::<GetJobs>(&key.cluster, &args)?;
    let lead = format!("Error getting cron status for {key} from server");
    context.check(&response, code::INVALID_PARAMETER, &lead)?;
    let jobs = match response.result {
        Some(api::Result::GetJobsResult(found)) => found.configs.unwrap_or_default(),
        _ => Default::default(),
    };
    let is_wanted = |job: &&JobConfiguration| job.key.as_ref() == Some(&to_api(key));
    match jobs.iter().find(is_wanted).and_then(|job| job.cron_schedule.as_ref()) {
        Some(schedule) => {
            context.say(format_args!("{key}\t {schedule}"));
            Ok(code::OK)
        }
        None => {
            context.complain(format_args!("No cron entry found for job {key}"));
            Ok(code::INVALID_PARAMETER)
        }
    }
}
