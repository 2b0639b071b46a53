//! `aurora job kill` and `aurora job killall`.

use std::collections::BTreeSet;

use aurora_api::api::aurora_scheduler_manager::{KillTasks, KillTasksArgs};

use super::Killing;
use super::create::warn_of_sla;
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::hooks::{Call, Hooks};
use crate::keys::{InstancesKey, listed, to_api};
use crate::monitor::{self, ACTIVE, Until, instance};
use crate::select::JobKey;

/// Kills instances.
pub(super) fn kill(
    context: &mut Context<'_>,
    key: &InstancesKey,
    options: &Killing,
    strict: bool,
) -> Result<u8, Failure> {
    let Some(instances) = &key.instances else {
        let message = "The instances list cannot be omitted in a kill command!; use killall to kill \
                       all instances";
        return Err(Failure::parameter(message));
    };
    check_batch_size(options)?;
    let job = &key.job;
    let active = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
    warn_of_sla(context, &active, "Killing");
    if strict {
        let known = active_instances(context, job)?;
        let strange: Vec<&i32> = instances.difference(&known).collect();
        if !strange.is_empty() {
            return Err(Failure::parameter(format!(
                "Invalid instance parameter: {}",
                listed(strange)
            )));
        }
    }
    let code = killed(context, job, Some(instances), options)?;
    finish(context, job, options, code, "Job kill succeeded")
}

/// Kills a job.
pub(super) fn killall(
    context: &mut Context<'_>,
    job: &JobKey,
    options: &Killing,
) -> Result<u8, Failure> {
    check_batch_size(options)?;
    let code = killed(context, job, None, options)?;
    finish(context, job, options, code, "Job killall succeeded")
}

fn killed(
    context: &mut Context<'_>,
    job: &JobKey,
    instances: Option<&BTreeSet<i32>>,
    options: &Killing,
) -> Result<u8, Failure> {
    let mut hooks = options.hooks.load(context, job)?;
    match options.no_batching {
        true => at_once(context, job, instances, options, &mut hooks),
        false => in_batches(context, job, instances, options, &mut hooks),
    }
}

fn check_batch_size(options: &Killing) -> Result<(), Failure> {
    match options.batch_size {
        ..1 => {
            let message = format!("--batch-size must be at least 1, not {}", options.batch_size);
            Err(Failure::parameter(message))
        }
        _ => Ok(()),
    }
}

fn finish(
    context: &mut Context<'_>,
    job: &JobKey,
    options: &Killing,
    code: u8,
    message: &str,
) -> Result<u8, Failure> {
    if code != code::OK {
        return Ok(code);
    }
    options.browser.show(context, job)?;
    context.say(message);
    Ok(code)
}

fn active_instances(context: &mut Context<'_>, job: &JobKey) -> Result<BTreeSet<i32>, Failure> {
    let active = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
    Ok(active.iter().map(instance).collect())
}

/// Sends one call.
fn send(
    context: &mut Context<'_>,
    job: &JobKey,
    instances: Option<&BTreeSet<i32>>,
    options: &Killing,
    hooks: &mut Hooks,
    lead: &str,
) -> Result<(), Failure> {
    let call = Call::kill_job(job, instances, options.message.as_ref());
    hooks.before(context, &call)?;
    context.info(format_args!("Killing tasks for job: {job}"));
    if let Some(instances) = instances {
        context.info(format_args!("Instances to be killed: {}", listed(instances)));
    }
    let arguments = KillTasksArgs {
        job: Some(to_api(job)),
        instances: instances.cloned(),
        message: options.message.clone(),
        ..Default::default()
    };
    let answered = context.call::<KillTasks>(&job.cluster, &arguments);
    let response = hooks.after(context, &call, answered)?;
    context.check(&response, code::API, lead)
}

/// All of them with one call.
fn at_once(
    context: &mut Context<'_>,
    job: &JobKey,
    instances: Option<&BTreeSet<i32>>,
    options: &Killing,
    hooks: &mut Hooks,
) -> Result<u8, Failure> {
    send(context, job, instances, options, hooks, "Command failure:")?;
    if context.wait_for(job, instances, Until::Over, false)? {
        return Ok(code::OK);
    }
    let which = instances.map_or("None".to_owned(), listed);
    context.complain(format_args!("Instances {which} were not killed in time"));
    Ok(code::TIMEOUT)
}

/// Some at a time. A batch that is not over in time counts as a failure.
fn in_batches(
    context: &mut Context<'_>,
    job: &JobKey,
    wanted: Option<&BTreeSet<i32>>,
    options: &Killing,
    hooks: &mut Hooks,
) -> Result<u8, Failure> {
    let active = active_instances(context, job)?;
    if active.is_empty() {
        context.complain(format_args!("No tasks to kill found for job {job}"));
        return Ok(code::OK);
    }
    let (chosen, inactive) = choose(&active, wanted);
    if !inactive.is_empty() {
        context.complain(format_args!(
            "Instances {} are not active and were left out",
            listed(&inactive)
        ));
    }
    let mut failures = 0;
    for batch in batches(&chosen, options.batch_size) {
        let lead = format!("Kill of instances {} failed with error:", listed(&batch));
        send(context, job, Some(&batch), options, hooks, &lead)?;
        if context.wait_for(job, Some(&batch), Until::Over, false)? {
            context.say(format_args!("Successfully killed instances {}", listed(&batch)));
            continue;
        }
        context.complain(format_args!("Instances {} were not killed in time", listed(&batch)));
        failures += 1;
        if failures > options.max_total_failures {
            let message = "Exceeded maximum number of errors while killing instances";
            return Err(Failure::new(code::COMMAND_FAILURE, message));
        }
    }
    match failures {
        0 => Ok(code::OK),
        _ => {
            let message = "Errors occurred while killing instances";
            Err(Failure::new(code::COMMAND_FAILURE, message))
        }
    }
}

/// Which of the active instances are meant, and which are meant but not active.
fn choose(active: &BTreeSet<i32>, wanted: Option<&BTreeSet<i32>>) -> (Vec<i32>, Vec<i32>) {
    match wanted {
        None => (active.iter().copied().collect(), Vec::new()),
        Some(wanted) => (
            wanted.intersection(active).copied().collect(),
            wanted.difference(active).copied().collect(),
        ),
    }
}

/// Instances in order, so many at a time.
fn batches(instances: &[i32], size: i64) -> Vec<BTreeSet<i32>> {
    let size = usize::try_from(size.max(1)).unwrap_or(usize::MAX);
    instances.chunks(size).map(|batch| batch.iter().copied().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_instances_in_which_batches() {
        let active = BTreeSet::from([0, 1, 2, 4]);
        for (wanted, size, expected, inactive) in [
            (None, 3, "[0, 1, 2] [4]", "[]"),
            (None, 1, "[0] [1] [2] [4]", "[]"),
            (Some(vec![0, 2, 9]), 2, "[0, 2]", "[9]"),
            (Some(vec![9]), 2, "", "[9]"),
            (Some(vec![0, 1, 2]), i64::MAX, "[0, 1, 2]", "[]"),
        ] {
            let wanted = wanted.map(BTreeSet::from_iter);
            let (chosen, left) = choose(&active, wanted.as_ref());
            let all: Vec<String> = batches(&chosen, size).iter().map(listed).collect();
            assert_eq!(all.join(" "), expected);
            assert_eq!(listed(&left), inactive);
        }
    }
}
