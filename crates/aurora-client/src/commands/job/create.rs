//! `aurora job create` and `aurora job add`.

use std::collections::BTreeSet;

use aurora_api::api::aurora_scheduler_manager::{
    AddInstances, AddInstancesArgs, CreateJob, CreateJobArgs,
};
use aurora_api::api::read_only_scheduler::{GetTasksWithoutConfigs, GetTasksWithoutConfigsArgs};
use aurora_api::api::{self, ResponseCode, ScheduledTask};

use super::WaitUntil;
use crate::commands::{Browser, HookFile, Source, TiersOf, job_page};
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::hooks::Call;
use crate::keys::{InstanceKey, to_api};
use crate::monitor::{self, ACTIVE, instance};
use crate::select::JobKey;

/// Creates a job.
pub(super) fn create(
    context: &mut Context<'_>,
    key: &JobKey,
    source: &Source,
    browser: &Browser,
    wait_until: WaitUntil,
) -> Result<u8, Failure> {
    let (mut job, mut hooks) = context.load_hooked(key, source, TiersOf::Scheduler)?;
    if job.configuration.cron_schedule.is_some() {
        let message = "Cron jobs may only be scheduled with \"aurora cron schedule\" command";
        return Err(Failure::new(code::COMMAND_FAILURE, message));
    }
    let call = Call::create_job(key);
    hooks.before(context, &call)?;
    if let Some(changed) = context.changed(&mut hooks)? {
        job = changed;
    }
    let count = job.configuration.instance_count.unwrap_or(1);
    context.info(format_args!("Creating job {}", key.name));
    let arguments = CreateJobArgs { description: Some(job.configuration), ..Default::default() };
    let answered = context.call::<CreateJob>(&key.cluster, &arguments);
    let response = hooks.after(context, &call, answered)?;
    context.check(&response, code::COMMAND_FAILURE, "Job creation failed due to error:")?;
    browser.show(context, key)?;
    if let Some(until) = wait_until.until() {
        context.wait_for_new(key, count, until)?;
    }
    context.info(format_args!("Checking status of {key}"));
    if !exists(context, key)? {
        let message = format!("Error occurred while creating job {key}");
        return Err(Failure::new(code::COMMAND_FAILURE, message));
    }
    let url = job_page(context, key)?;
    context.say(format_args!("Job create succeeded: job url={url}"));
    Ok(code::OK)
}

/// Whether a job has tasks.
fn exists(context: &mut Context<'_>, key: &JobKey) -> Result<bool, Failure> {
    let query = Some(monitor::query(key, None, None));
    let arguments = GetTasksWithoutConfigsArgs { query, ..Default::default() };
    let response = context.call::<GetTasksWithoutConfigs>(&key.cluster, &arguments)?;
    let answered = response.response_code == Some(ResponseCode::OK);
    Ok(answered && !monitor::tasks(response).is_empty())
}

/// What else is said about adding.
pub(super) struct Adding<'o> {
    pub(super) browser: &'o Browser,
    pub(super) hooks: &'o HookFile,
    pub(super) wait_until: WaitUntil,
}

/// Adds instances to a job.
pub(super) fn add(
    context: &mut Context<'_>,
    like: &InstanceKey,
    count: i32,
    options: &Adding<'_>,
) -> Result<u8, Failure> {
    let job = &like.job;
    let active = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
    let instances: BTreeSet<i32> = active.iter().map(instance).collect();
    if !instances.contains(&like.instance) {
        let message = format!("Invalid instance parameter: [{}]", like.instance);
        return Err(Failure::parameter(message));
    }
    let mut hooks = options.hooks.load(context, job)?;
    // Looked at as late as possible: others may have changed it.
    let active = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
    warn_of_sla(context, &active, "Adding");
    let call = Call::add_instances(job, like.instance, count);
    hooks.before(context, &call)?;
    let first = active.iter().map(instance).max().unwrap_or_default().saturating_add(1);
    context.info(format_args!(
        "Adding {count} instances to {job} using the task config of instance {}",
        like.instance
    ));
    let key = api::InstanceKey {
        job_key: Some(to_api(job)),
        instance_id: Some(like.instance),
        ..Default::default()
    };
    let arguments = AddInstancesArgs { key: Some(key), count: Some(count), ..Default::default() };
    let answered = context.call::<AddInstances>(&job.cluster, &arguments);
    let response = hooks.after(context, &call, answered)?;
    context.check_plainly(&response)?;
    options.browser.show(context, job)?;
    if let Some(until) = options.wait_until.until() {
        let added = (first..first.saturating_add(count)).collect();
        context.wait_for(job, Some(&added), until, true)?;
    }
    Ok(code::OK)
}

/// A policy that fits so many instances may not fit more or less.
pub(super) fn warn_of_sla(context: &mut Context<'_>, active: &[ScheduledTask], what: &str) {
    let has_policy = active.iter().any(|task| {
        let task = task.assigned_task.as_ref().and_then(|task| task.task.as_ref());
        task.is_some_and(|task| task.sla_policy.is_some())
    });
    if has_policy {
        context.say(format_args!("WARNING: {what} instances without updating SlaPolicy."));
    }
}
