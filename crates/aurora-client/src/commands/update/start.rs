//! `aurora update start`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use aurora_api::api::aurora_scheduler_manager::{StartJobUpdate, StartJobUpdateArgs};
use aurora_api::api::read_only_scheduler::{GetJobUpdateDiff, GetJobUpdateDiffArgs};
use aurora_api::api::{
    self, GetJobUpdateDiffResult, JobUpdateRequest, Metadata, Response, ResponseCode,
    StartJobUpdateResult,
};

use super::{PAUSE, forward, wait};
use crate::commands::job::diff as job_diff;
use crate::commands::{Loaded, Reading, TiersOf};
use crate::context::{Context, details};
use crate::exit::{Failure, code};
use crate::hooks::Call;
use crate::keys::{InstancesKey, listed};
use crate::monitor::{self, ACTIVE};
use crate::select::JobKey;
use crate::settings::update_settings;

/// The metadata by which an update is known again when the answer to its start was lost.
const OWN_UPDATE: &str = "org.apache.aurora.client.update_id";

/// The options of `update start`.
#[derive(Debug, clap::Args)]
pub(crate) struct Start {
    #[command(flatten)]
    reading: Reading,
    /// Opens the update's page in a browser
    #[arg(long)]
    open_browser: bool,
    /// Pause between two looks at the update, with --wait
    #[arg(long, value_name = "SECONDS")]
    healthcheck_interval_seconds: Option<u64>,
    /// Why, for the update's history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Refuses instances that the job does not have
    #[arg(long)]
    strict: bool,
    /// Waits until the update has ended
    #[arg(long)]
    wait: bool,
    /// The job, and which of its instances; default: all
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
    key: InstancesKey,
    /// The configuration file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Start {
    /// Runs the command.
    ///
    /// # Errors
    /// The file or its settings are wrong, or the scheduler refuses.
    pub(super) fn run(&self, context: &mut Context<'_>) -> Result<u8, Failure> {
        let job = &self.key.job;
        if self.strict {
            self.check_instances(context)?;
        }
        let source = self.reading.source(&self.file)?;
        let (loaded, mut hooks) = context.load_hooked(job, &source, TiersOf::Scheduler)?;
        if loaded.configuration.cron_schedule.is_some() {
            let message = "Cron jobs may only be updated with \"aurora cron schedule\" command";
            return Err(Failure::new(code::COMMAND_FAILURE, message));
        }
        let mut request = self.request(context, loaded)?;
        let diff = diff(context, &job.cluster, &request)?;
        describe(context, &diff);

        let own = uuid::Builder::from_random_bytes(context.world.random()).into_uuid().to_string();
        let message = self.message.as_ref();
        let instances = self.key.instances.as_ref();
        let call = Call::start_job_update(job, message, instances, (OWN_UPDATE, &own));
        hooks.before(context, &call)?;
        if let Some(changed) = context.changed(&mut hooks)? {
            request = self.request(context, changed)?;
        }
        request.metadata = Some(
            [Metadata {
                key: Some(OWN_UPDATE.to_owned()),
                value: Some(own.clone()),
                ..Default::default()
            }]
            .into(),
        );
        context.info(format_args!("Starting update for: {}", job.name));
        let args = StartJobUpdateArgs {
            request: Some(request),
            message: self.message.clone(),
            ..Default::default()
        };
        let answered = context.call::<StartJobUpdate>(&job.cluster, &args);
        let answered = answered.map(|response| known_again(response, &own));
        let response = hooks.after(context, &call, answered)?;
        context.check(&response, code::API, "Failed to start update due to error:")?;
        match started(&response).and_then(|result| result.key.clone()) {
            Some(update) => self.follow(context, job, &update),
            // Nothing to do.
            None => {
                context.say(details(&response));
                Ok(code::OK)
            }
        }
    }

    /// What the scheduler is asked for.
    fn request(
        &self,
        context: &mut Context<'_>,
        loaded: Loaded,
    ) -> Result<JobUpdateRequest, Failure> {
        let mut settings = update_settings(&loaded.job).map_err(|problem| {
            context.refuse_as(&problem, "Error loading update configuration", code::UNKNOWN)
        })?;
        settings.update_only_these_instances = self.key.instances.as_ref().map(job_diff::ranges_of);
        Ok(JobUpdateRequest {
            task_config: loaded.configuration.task_config,
            instance_count: loaded.configuration.instance_count,
            settings: Some(settings),
            ..Default::default()
        })
    }

    /// Says where the update is to be seen, and waits for it if it is to.
    fn follow(
        &self,
        context: &mut Context<'_>,
        job: &JobKey,
        update: &api::JobUpdateKey,
    ) -> Result<u8, Failure> {
        let id = update.id.as_deref().unwrap_or_default();
        let parts = [&*job.role, &*job.environment, &*job.name, "update", id];
        let url = context.page(&job.cluster, &parts)?;
        if self.open_browser {
            context.browse(&url);
        }
        context.say(format_args!("Job update has started. View your update progress at {url}"));
        if !self.wait {
            return Ok(code::OK);
        }
        let pause = self.healthcheck_interval_seconds.map_or(PAUSE, Duration::from_secs);
        wait(context, &job.cluster, update, forward, pause)
    }

    fn check_instances(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let Some(wanted) = &self.key.instances else { return Ok(()) };
        let job = &self.key.job;
        let active = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
        let active: BTreeSet<i32> = active.iter().map(monitor::instance).collect();
        let strange: Vec<&i32> = wanted.difference(&active).collect();
        match strange.is_empty() {
            true => Ok(()),
            false => {
                Err(Failure::parameter(format!("Invalid instance parameter: {}", listed(strange))))
            }
        }
    }
}

/// What an update would do.
///
/// # Errors
/// There is no answer, or a refusal.
fn diff(
    context: &mut Context<'_>,
    cluster: &str,
    request: &JobUpdateRequest,
) -> Result<GetJobUpdateDiffResult, Failure> {
    let args = GetJobUpdateDiffArgs { request: Some(request.clone()), ..Default::default() };
    let response = context.call::<GetJobUpdateDiff>(cluster, &args)?;
    context.check(&response, code::COMMAND_FAILURE, "Error getting diff info from scheduler")?;
    Ok(match response.result {
        Some(api::Result::GetJobUpdateDiffResult(diff)) => diff,
        _ => GetJobUpdateDiffResult::default(),
    })
}

/// What an update would do, in words.
fn describe(context: &mut Context<'_>, diff: &GetJobUpdateDiffResult) {
    context.say("This job update will:");
    for (what, groups) in [
        ("add", &diff.add),
        ("remove", &diff.remove),
        ("update", &diff.update),
        ("not change", &diff.unchanged),
    ] {
        for group in groups.iter().flatten() {
            context.say(format_args!("{what} instances: {}", job_diff::listed(group)));
        }
    }
}

/// Turns the refusal of an update that is already there into what was answered when it started, if
/// that answer was lost: if it is our own.
fn known_again(mut response: Response, own: &str) -> Response {
    let is_own = |metadata: &Metadata| {
        metadata.key.as_deref() == Some(OWN_UPDATE) && metadata.value.as_deref() == Some(own)
    };
    let summary = started(&response).and_then(|result| result.update_summary.as_ref());
    let mut metadata = summary.into_iter().flat_map(|summary| summary.metadata.iter().flatten());
    if response.response_code == Some(ResponseCode::INVALID_REQUEST) && metadata.any(is_own) {
        response.response_code = Some(ResponseCode::OK);
        response.details = None;
    }
    response
}

fn started(response: &Response) -> Option<&StartJobUpdateResult> {
    match &response.result {
        Some(api::Result::StartJobUpdateResult(result)) => Some(result),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aurora_api::api::JobUpdateSummary;

    use super::*;

    #[test]
    fn only_our_own_update_is_known_again() {
        let refusal = |value: &str| Response {
            response_code: Some(ResponseCode::INVALID_REQUEST),
            result: Some(api::Result::StartJobUpdateResult(StartJobUpdateResult {
                update_summary: Some(JobUpdateSummary {
                    metadata: Some(
                        [Metadata {
                            key: Some(OWN_UPDATE.to_owned()),
                            value: Some(value.to_owned()),
                            ..Default::default()
                        }]
                        .into(),
                    ),
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ..Default::default()
        };
        let code = |response: Response| known_again(response, "own").response_code;
        assert_eq!(code(refusal("own")), Some(ResponseCode::OK));
        assert_eq!(code(refusal("other")), Some(ResponseCode::INVALID_REQUEST));
        let updating =
            Response { response_code: Some(ResponseCode::JOB_UPDATING_ERROR), ..refusal("own") };
        assert_eq!(code(updating), Some(ResponseCode::JOB_UPDATING_ERROR));
        assert_eq!(code(Response::default()), None);
    }
}
