//! Calls of owners of jobs (`AuroraSchedulerManager`).

use aurora_api::api::{self, Result as Arm, aurora_scheduler_manager as calls};

use super::reply::{Problem, Reply};
use super::{Api, Outcome, USER, validate};
use crate::core::jobs::{Done, Refusal, Request};
use crate::core::name::JobKey;
use crate::shell::Ask;

/// Longest message of a call about an update.
const MAX_MESSAGE: usize = 1024;

const UPDATES: &str = "Job updates are";
const CRON: &str = "Cron jobs are";

impl Api {
    pub(super) fn create_job(&self, args: calls::CreateJobArgs) -> Outcome {
        let job = args.description.ok_or_else(|| Problem::error("description must be set."))?;
        let cron = job.cron_schedule.is_some();
        let job = validate::job(&self.rules, job)?;
        // Even an empty schedule.
        if cron {
            let text = "Cron jobs may only be created/updated by calling scheduleCronJob.";
            return Err(Problem::invalid(text));
        }
        // Positive, as it was checked.
        let instances = usize::try_from(job.instances).unwrap_or(0);
        let done = self.handle.ask(Ask::Create(Box::new(job.config), instances))?;
        Ok(Reply::changed(tasks(done)))
    }

    pub(super) fn schedule_cron_job(&self, args: calls::ScheduleCronJobArgs) -> Outcome {
        self.cron_template(args.description)
    }

    pub(super) fn replace_cron_template(&self, args: calls::ReplaceCronTemplateArgs) -> Outcome {
        self.cron_template(args.config)
    }

    fn cron_template(&self, job: Option<api::JobConfiguration>) -> Outcome {
        let job = job.ok_or_else(|| Problem::error("The job must be set."))?;
        let job = validate::job(&self.rules, job)?;
        if job.whole.cron_schedule.is_none_or(|schedule| schedule.is_empty()) {
            return Err(Problem::invalid(format!("Job {} has no cron schedule", job.key)));
        }
        Err(Problem::missing(CRON))
    }

    pub(super) fn deschedule_cron_job(&self, args: calls::DescheduleCronJobArgs) -> Outcome {
        let job = key(args.job.as_ref())?;
        let state = self.state()?;
        if state.active_update(&job).is_some() {
            return Err(Refusal::Updating.into());
        }
        match state.cron(&job) {
            Some(_) => Err(Problem::missing(CRON)),
            None => Ok(Reply::done().remark(format!("Job {job} is not scheduled with cron"))),
        }
    }

    pub(super) fn start_cron_job(&self, args: calls::StartCronJobArgs) -> Outcome {
        let job = key(args.job.as_ref())?;
        Err(Problem::invalid(format!(
            "Failed to start cron job - {job}: cron jobs are not supported by this version of the \
             scheduler."
        )))
    }

    pub(super) fn restart_shards(&self, args: calls::RestartShardsArgs) -> Outcome {
        let job = key(args.job.as_ref())?;
        let instances = args.shard_ids.unwrap_or_default();
        if instances.is_empty() {
            return Err(Problem::error("At least one shard must be specified."));
        }
        let user = USER.to_owned();
        let request = Request::RestartShards { job, instances, user };
        Ok(Reply::changed(tasks(self.handle.ask(Ask::Request(request))?)))
    }

    /// An absent set of instances, and an empty one, mean all of them.
    pub(super) fn kill_tasks(&self, args: calls::KillTasksArgs) -> Outcome {
        let job = key(args.job.as_ref())?;
        let instances = args.instances.unwrap_or_default();
        let (user, message) = (USER.to_owned(), args.message);
        let request = Request::KillTasks { job, instances, user, message };
        match tasks(self.handle.ask(Ask::Request(request))?) {
            0 => Ok(Reply::changed(0).remark("No tasks to kill.")),
            killed => Ok(Reply::changed(killed)),
        }
    }

    pub(super) fn add_instances(&self, args: calls::AddInstancesArgs) -> Outcome {
        let instance = args.key.ok_or_else(|| Problem::error("key must be set."))?;
        let job = key(instance.job_key.as_ref())?;
        let template = instance.instance_id.unwrap_or_default();
        let count = args.count.unwrap_or_default();
        let request = Request::AddInstances { job, template, count };
        Ok(Reply::changed(tasks(self.handle.ask(Ask::Request(request))?)))
    }

    pub(super) fn start_job_update(&self, args: calls::StartJobUpdateArgs) -> Outcome {
        check_message(args.message.as_deref())?;
        let request = args.request.ok_or_else(|| Problem::error("request must be set."))?;
        let config =
            request.task_config.ok_or_else(|| Problem::error("taskConfig must be set."))?;
        if config.is_service != Some(true) {
            return Err(Problem::invalid("Updates are not supported for non-service tasks."));
        }
        validate::task(&self.rules, config, request.instance_count.unwrap_or_default())?;
        Err(Problem::missing(UPDATES))
    }

    pub(super) fn pause_job_update(&self, args: calls::PauseJobUpdateArgs) -> Outcome {
        change_update(args.key.as_ref(), args.message.as_deref())
    }

    pub(super) fn resume_job_update(&self, args: calls::ResumeJobUpdateArgs) -> Outcome {
        change_update(args.key.as_ref(), args.message.as_deref())
    }

    pub(super) fn abort_job_update(&self, args: calls::AbortJobUpdateArgs) -> Outcome {
        change_update(args.key.as_ref(), args.message.as_deref())
    }

    pub(super) fn rollback_job_update(&self, args: calls::RollbackJobUpdateArgs) -> Outcome {
        change_update(args.key.as_ref(), args.message.as_deref())
    }

    /// An update that does not exist is over, as in the original; none is started by this version.
    pub(super) fn pulse_job_update(&self, args: calls::PulseJobUpdateArgs) -> Outcome {
        let update = args.key.as_ref();
        let id = update.and_then(|key| key.id.as_deref()).unwrap_or_default();
        validate::key(update.and_then(|key| key.job.as_ref()))?;
        if id.trim().is_empty() {
            return Err(Problem::invalid("The id of an update must be set."));
        }
        let status = Some(api::JobUpdatePulseStatus::FINISHED);
        let result = api::PulseJobUpdateResult { status, ..Default::default() };
        Ok(Reply::result(Arm::PulseJobUpdateResult(result)))
    }
}

/// How many tasks were concerned.
pub(super) fn tasks(done: Done) -> usize {
    match done {
        Done::Tasks(tasks) => tasks,
        Done::Ok => 0,
    }
}

/// The key of a job that must be named.
pub(super) fn key(key: Option<&api::JobKey>) -> Result<JobKey, Problem> {
    validate::key(key).map_err(|invalid| Problem::error(invalid.to_string()))
}

fn check_message(message: Option<&str>) -> Result<(), Problem> {
    match message.map(|message| message.chars().count()) {
        Some(length) if length > MAX_MESSAGE => Err(Problem::error(format!(
            "Message is too long, {MAX_MESSAGE} characters are allowed."
        ))),
        _ => Ok(()),
    }
}

fn change_update(update: Option<&api::JobUpdateKey>, message: Option<&str>) -> Outcome {
    key(update.and_then(|key| key.job.as_ref()))?;
    check_message(message)?;
    Err(Problem::missing(UPDATES))
}
