//! Calls that only look (`ReadOnlyScheduler`): at the committed state, so that nobody sees what may
//! yet be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurora_api::api::{self, Result as Arm, read_only_scheduler as calls};

use super::quota::{Consumption, aggregate};
use super::reply::{Problem, Reply};
use super::{Api, Outcome, manage, validate};
use crate::core::config::{Config, ConfigNo};
use crate::core::name::JobKey;
use crate::core::query::Query;
use crate::core::state::{State, Update};
use crate::core::status::Status;
use crate::core::task::Task;

impl Api {
    pub(super) fn get_role_summary(&self, _: calls::GetRoleSummaryArgs) -> Outcome {
        let state = self.state()?;
        let mut roles = BTreeMap::<&str, (i32, i32)>::new();
        for job in state.jobs() {
            roles.entry(job.role()).or_default().0 += 1;
        }
        for (job, _) in state.crons() {
            roles.entry(job.role()).or_default().1 += 1;
        }
        let summaries: BTreeSet<_> = roles
            .into_iter()
            .map(|(role, (jobs, crons))| api::RoleSummary {
                role: Some(role.to_owned()),
                job_count: Some(jobs),
                cron_job_count: Some(crons),
                ..Default::default()
            })
            .collect();
        let count = summaries.len();
        let result = api::RoleSummaryResult { summaries: Some(summaries), ..Default::default() };
        Ok(Reply::read(Arm::RoleSummaryResult(result), count))
    }

    pub(super) fn get_job_summary(&self, args: calls::GetJobSummaryArgs) -> Outcome {
        let state = self.state()?;
        let jobs = jobs(&state, args.role.as_deref(), false);
        let summaries: BTreeSet<_> = jobs
            .into_iter()
            .map(|(key, job)| api::JobSummary {
                stats: Some(stats(state.tasks_of_job(&key))),
                job: Some(job),
                ..Default::default()
            })
            .collect();
        let count = summaries.len();
        let result = api::JobSummaryResult { summaries: Some(summaries), ..Default::default() };
        Ok(Reply::read(Arm::JobSummaryResult(result), count))
    }

    pub(super) fn get_tasks_status(&self, args: calls::GetTasksStatusArgs) -> Outcome {
        self.tasks(args.query.as_ref(), |task| task.into())
    }

    pub(super) fn get_tasks_without_configs(
        &self,
        args: calls::GetTasksWithoutConfigsArgs,
    ) -> Outcome {
        self.tasks(args.query.as_ref(), |task| {
            let mut task = api::ScheduledTask::from(task);
            let config = task.assigned_task.as_mut().and_then(|assigned| assigned.task.as_mut());
            if let Some(executor) = config.and_then(|config| config.executor_config.as_mut()) {
                executor.data = None;
            }
            task
        })
    }

    fn tasks(
        &self,
        query: Option<&api::TaskQuery>,
        show: impl Fn(&Task) -> api::ScheduledTask,
    ) -> Outcome {
        let state = self.state()?;
        let query = parse(query)?;
        let paged = query.offset > 0 || query.limit.is_some();
        let mut tasks: Vec<&Arc<Task>> = state.query(&query).collect();
        if paged {
            // Pages must fit each other, whatever index finds the tasks.
            tasks.sort_unstable_by(|a, b| {
                let place = |task: &Task| (task.config.job.clone(), task.instance);
                place(a).cmp(&place(b)).then_with(|| a.id.cmp(&b.id))
            });
        }
        let limit = query.limit.unwrap_or(usize::MAX);
        let page = tasks.into_iter().skip(query.offset).take(limit);
        let tasks: Vec<_> = page.map(|task| show(task)).collect();
        let count = tasks.len();
        let result = api::ScheduleStatusResult { tasks: Some(tasks), ..Default::default() };
        Ok(Reply::read(Arm::ScheduleStatusResult(result), count))
    }

    pub(super) fn get_pending_reason(&self, args: calls::GetPendingReasonArgs) -> Outcome {
        let query = args.query.ok_or_else(|| Problem::error("query must be set."))?;
        let given = |set: Option<usize>| set.is_some_and(|members| members > 0);
        let hosts = given(query.slave_hosts.as_ref().map(BTreeSet::len));
        if hosts || given(query.statuses.as_ref().map(BTreeSet::len)) {
            let text = "Statuses or slaveHosts are not supported in getPendingReason";
            return Err(Problem::invalid(text));
        }
        let query = Query::try_from(&query)?;
        let reasons = self.handle.look(move |core| core.pending_reasons(&query))?;
        let reasons: BTreeSet<_> = reasons
            .into_iter()
            .map(|(task, reason)| api::PendingReason {
                task_id: Some(task.to_string()),
                reason: Some(reason),
                ..Default::default()
            })
            .collect();
        let count = reasons.len();
        let result = api::GetPendingReasonResult { reasons: Some(reasons), ..Default::default() };
        Ok(Reply::read(Arm::GetPendingReasonResult(result), count))
    }

    pub(super) fn get_config_summary(&self, args: calls::GetConfigSummaryArgs) -> Outcome {
        let job = manage::key(args.job.as_ref())?;
        let state = self.state()?;
        let groups = groups(state.active_tasks_of_job(&job).map(|t| (&*t.config, t.instance)));
        let count = groups.len();
        let summary = api::ConfigSummary {
            key: Some((&job).into()),
            groups: Some(groups),
            ..Default::default()
        };
        let result = api::ConfigSummaryResult { summary: Some(summary), ..Default::default() };
        Ok(Reply::read(Arm::ConfigSummaryResult(result), count))
    }

    pub(super) fn get_jobs(&self, args: calls::GetJobsArgs) -> Outcome {
        let state = self.state()?;
        let configs: BTreeSet<_> =
            jobs(&state, args.owner_role.as_deref(), true).into_values().collect();
        let count = configs.len();
        let result = api::GetJobsResult { configs: Some(configs), ..Default::default() };
        Ok(Reply::read(Arm::GetJobsResult(result), count))
    }

    pub(super) fn get_quota(&self, args: calls::GetQuotaArgs) -> Outcome {
        let role = args.owner_role.filter(|role| !role.trim().is_empty());
        let role = role.ok_or_else(|| Problem::error("ownerRole must not be blank."))?;
        let state = self.state()?;
        let quota = state.quota(&role).map(|quota| (**quota).clone());
        let used = Consumption::of(&state, &role);
        let result = api::GetQuotaResult {
            quota: Some(quota.unwrap_or_else(|| aggregate(&Default::default()))),
            prod_shared_consumption: Some(aggregate(&used.prod_shared)),
            non_prod_shared_consumption: Some(aggregate(&used.other_shared)),
            prod_dedicated_consumption: Some(aggregate(&used.prod_dedicated)),
            non_prod_dedicated_consumption: Some(aggregate(&used.other_dedicated)),
            ..Default::default()
        };
        Ok(Reply::result(Arm::GetQuotaResult(result)))
    }

    pub(super) fn populate_job_config(&self, args: calls::PopulateJobConfigArgs) -> Outcome {
        let job = args.description.ok_or_else(|| Problem::error("description must be set."))?;
        let job = validate::job(&self.rules, job)
            .map_err(|invalid| Problem::invalid(format!("Invalid configuration: {invalid}")))?;
        let result = api::PopulateJobResult { task_config: Some(job.config), ..Default::default() };
        Ok(Reply::result(Arm::PopulateJobResult(result)))
    }

    pub(super) fn get_job_update_summaries(
        &self,
        args: calls::GetJobUpdateSummariesArgs,
    ) -> Outcome {
        let state = self.state()?;
        let query = args.job_update_query.unwrap_or_default();
        let summaries: Vec<_> =
            updates(&state, &query).into_iter().map(|(summary, _)| summary).collect();
        let count = summaries.len();
        let result = api::GetJobUpdateSummariesResult {
            update_summaries: Some(summaries),
            ..Default::default()
        };
        Ok(Reply::read(Arm::GetJobUpdateSummariesResult(result), count))
    }

    /// Those that the query means; without one, that of the deprecated key.
    pub(super) fn get_job_update_details(&self, args: calls::GetJobUpdateDetailsArgs) -> Outcome {
        let state = self.state()?;
        let details = |query: &api::JobUpdateQuery| -> Vec<_> {
            let found = updates(&state, query).into_iter();
            found.map(|(summary, update)| update_details(summary, update)).collect()
        };
        match (args.query, args.key) {
            (Some(query), _) => {
                let list = details(&query);
                let count = list.len();
                let result = api::GetJobUpdateDetailsResult {
                    details_list: Some(list),
                    ..Default::default()
                };
                Ok(Reply::read(Arm::GetJobUpdateDetailsResult(result), count))
            }
            (None, Some(key)) => {
                let text = |key: &api::JobUpdateKey| {
                    let job = key.job.clone().unwrap_or_default();
                    let parts = [job.role, job.environment, job.name, key.id.clone()];
                    parts.map(Option::unwrap_or_default).join("/")
                };
                let name = text(&key);
                let query = api::JobUpdateQuery { key: Some(key), ..Default::default() };
                let found = details(&query).into_iter().next();
                let found =
                    found.ok_or_else(|| Problem::invalid(format!("Invalid update: {name}")))?;
                let result =
                    api::GetJobUpdateDetailsResult { details: Some(found), ..Default::default() };
                let remark = "The key argument is deprecated, use the query argument instead";
                Ok(Reply::read(Arm::GetJobUpdateDetailsResult(result), 1).remark(remark))
            }
            (None, None) => Err(Problem::error("Either key or query must be set.")),
        }
    }

    pub(super) fn get_job_update_diff(&self, args: calls::GetJobUpdateDiffArgs) -> Outcome {
        let request = args.request.ok_or_else(|| Problem::error("request must be set."))?;
        let config =
            request.task_config.ok_or_else(|| Problem::error("taskConfig must be set."))?;
        let count = request.instance_count.unwrap_or_default();
        let config = validate::task(&self.rules, config, count)?;
        let job = manage::key(config.job.as_ref())?;
        let state = self.state()?;
        if state.cron(&job).is_some() {
            return Err(Problem::invalid("Cron jobs are not supported."));
        }
        let settings = request.settings.unwrap_or_default();
        let scope: Vec<(i32, i32)> = settings
            .update_only_these_instances
            .iter()
            .flatten()
            .map(|range| (range.first.unwrap_or_default(), range.last.unwrap_or_default()))
            .collect();
        let meant = |instance: i32| {
            scope.is_empty()
                || scope.iter().any(|(first, last)| (*first..=*last).contains(&instance))
        };
        let wanted = |instance: i32| (0..count).contains(&instance);
        let active: Vec<&Arc<Task>> =
            state.active_tasks_of_job(&job).filter(|task| meant(task.instance)).collect();
        let old = |which: &dyn Fn(&Task) -> bool| {
            let tasks = active.iter().filter(|task| which(task));
            groups(tasks.map(|task| (&*task.config, task.instance)))
        };
        let same = |task: &Task| task.config.whole == config;
        let remove = old(&|task| !wanted(task.instance));
        let update = old(&|task| wanted(task.instance) && !same(task));
        let unchanged = old(&|task| wanted(task.instance) && same(task));
        let taken: BTreeSet<i32> = active.iter().map(|task| task.instance).collect();
        // Bounded: a job has no more instances than that in any case.
        let count = count.min(MAX_DIFF);
        let new: BTreeSet<i32> =
            (0..count).filter(|instance| meant(*instance) && !taken.contains(instance)).collect();
        let add = match ranges(&new) {
            instances if instances.is_empty() => BTreeSet::new(),
            instances => BTreeSet::from([api::ConfigGroup {
                config: Some(config.clone()),
                instances: Some(instances),
                ..Default::default()
            }]),
        };
        let result = api::GetJobUpdateDiffResult {
            add: Some(add),
            remove: Some(remove),
            update: Some(update),
            unchanged: Some(unchanged),
            ..Default::default()
        };
        Ok(Reply::result(Arm::GetJobUpdateDiffResult(result)))
    }

    pub(super) fn get_tier_configs(&self, _: calls::GetTierConfigsArgs) -> Outcome {
        let tiers: BTreeSet<_> = self
            .rules
            .tiers
            .tiers
            .iter()
            .map(|(name, tier)| {
                let setting = |name: &str, value: bool| (name.to_owned(), value.to_string());
                let settings = [
                    setting("preemptible", tier.preemptible),
                    setting("revocable", tier.revocable),
                ];
                api::TierConfig {
                    name: Some(name.to_string()),
                    settings: Some(settings.into()),
                    ..Default::default()
                }
            })
            .collect();
        let count = tiers.len();
        let result = api::GetTierConfigResult {
            default_tier_name: Some(self.rules.tiers.default.to_string()),
            tiers: Some(tiers),
            ..Default::default()
        };
        Ok(Reply::read(Arm::GetTierConfigResult(result), count))
    }
}

/// Instances that a diff looks at.
const MAX_DIFF: i32 = 1_000_000;

fn parse(query: Option<&api::TaskQuery>) -> Result<Query, Problem> {
    let query = query.ok_or_else(|| Problem::error("query must be set."))?;
    Ok(Query::try_from(query)?)
}

/// The jobs of a role, or of all: those with tasks, perhaps active ones only, and cron jobs.
fn jobs(
    state: &State,
    role: Option<&str>,
    only_active: bool,
) -> BTreeMap<JobKey, api::JobConfiguration> {
    let role = role.filter(|role| !role.trim().is_empty());
    let keys: Box<dyn Iterator<Item = &JobKey>> = match role {
        Some(role) => Box::new(state.jobs_of_role(role)),
        None => Box::new(state.jobs()),
    };
    let mut jobs: BTreeMap<JobKey, api::JobConfiguration> = keys
        .filter_map(|key| {
            let tasks = state.tasks_of_job(key);
            let tasks = tasks.filter(|task| !only_active || task.status.is_active());
            Some((key.clone(), job(key, tasks)?))
        })
        .collect();
    let crons = state.crons().filter(|(key, _)| role.is_none_or(|role| key.role() == role));
    jobs.extend(crons.map(|(key, cron)| (key.clone(), (**cron).clone())));
    jobs
}

/// A job as its tasks show it; `None` if it has none.
fn job<'a>(
    key: &JobKey,
    tasks: impl Iterator<Item = &'a Arc<Task>>,
) -> Option<api::JobConfiguration> {
    let tasks: Vec<_> = tasks.collect();
    let shown = tasks.iter().max_by(|a, b| {
        let rank = |task: &Task| (task.status.is_active(), task.last_change());
        rank(a).cmp(&rank(b)).then_with(|| a.id.cmp(&b.id))
    })?;
    let config = shown.config.whole.clone();
    Some(api::JobConfiguration {
        key: Some(key.into()),
        owner: config.owner.clone(),
        task_config: Some(config),
        instance_count: Some(i32::try_from(tasks.len()).unwrap_or(i32::MAX)),
        ..Default::default()
    })
}

/// How many tasks are in which state, roughly.
fn stats<'a>(tasks: impl Iterator<Item = &'a Arc<Task>>) -> api::JobStats {
    let (mut pending, mut active, mut finished, mut failed) = (0, 0, 0, 0);
    for task in tasks {
        match task.status {
            Status::Pending | Status::Throttled => pending += 1,
            Status::Finished | Status::Killed => finished += 1,
            Status::Failed | Status::Lost => failed += 1,
            Status::Assigned
            | Status::Starting
            | Status::Running
            | Status::Partitioned
            | Status::Preempting
            | Status::Restarting
            | Status::Draining
            | Status::Killing => active += 1,
        }
    }
    api::JobStats {
        active_task_count: Some(active),
        finished_task_count: Some(finished),
        failed_task_count: Some(failed),
        pending_task_count: Some(pending),
        ..Default::default()
    }
}

/// Which instances run what.
fn groups<'a>(tasks: impl Iterator<Item = (&'a Config, i32)>) -> BTreeSet<api::ConfigGroup> {
    let mut groups = BTreeMap::<ConfigNo, (&Config, BTreeSet<i32>)>::new();
    for (config, instance) in tasks {
        let group = groups.entry(config.number).or_insert((config, BTreeSet::new()));
        group.1.insert(instance);
    }
    let groups = groups.into_values().map(|(config, instances)| api::ConfigGroup {
        config: Some(config.whole.clone()),
        instances: Some(ranges(&instances)),
        ..Default::default()
    });
    groups.collect()
}

/// Numbers as ranges, as few as possible.
fn ranges(numbers: &BTreeSet<i32>) -> BTreeSet<api::Range> {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let range =
        |(first, last)| api::Range { first: Some(first), last: Some(last), ..Default::default() };
    ranges.into_iter().map(range).collect()
}

/// The updates that are meant, newest change first, with their summaries.
fn updates<'a>(
    state: &'a State,
    query: &api::JobUpdateQuery,
) -> Vec<(api::JobUpdateSummary, &'a Update)> {
    let all = state.updates().map(|(_, update)| (summary(update), update));
    let mut meant: Vec<_> = all.filter(|(summary, _)| matches(query, summary)).collect();
    meant.sort_by_key(|(summary, _)| {
        let changed = summary.state.as_ref().and_then(|state| state.last_modified_timestamp_ms);
        std::cmp::Reverse(changed)
    });
    // 0 is no limit, as clients that set every number mean it.
    let positive = |number: Option<i32>| number.and_then(|n| usize::try_from(n).ok());
    let limit = positive(query.limit).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    meant.into_iter().skip(positive(query.offset).unwrap_or(0)).take(limit).collect()
}

fn matches(query: &api::JobUpdateQuery, summary: &api::JobUpdateSummary) -> bool {
    let key = summary.key.as_ref();
    let job = key.and_then(|key| key.job.as_ref());
    let status = summary.state.as_ref().and_then(|state| state.status);
    let role = job.and_then(|job| job.role.as_ref());
    let statuses = query.update_statuses.as_ref().filter(|statuses| !statuses.is_empty());
    query.role.as_ref().is_none_or(|asked| Some(asked) == role)
        && query.job_key.as_ref().is_none_or(|asked| Some(asked) == job)
        && query.user.as_ref().is_none_or(|asked| Some(asked) == summary.user.as_ref())
        && statuses.is_none_or(|set| status.is_some_and(|status| set.contains(&status)))
        // A key without an id means all updates of the job.
        && query.key.as_ref().is_none_or(|asked| {
            asked.job.as_ref() == job
                && asked.id.as_ref().is_none_or(|id| key.and_then(|k| k.id.as_ref()) == Some(id))
        })
}

/// The summary of an update, with its state, which follows from its events.
fn summary(update: &Update) -> api::JobUpdateSummary {
    let mut summary = update.update.summary.clone().unwrap_or_default();
    let times = update.events.iter().map(|event| event.timestamp_ms);
    let times = times.chain(update.instance_events.iter().map(|event| event.timestamp_ms));
    let modified = times.flatten().max();
    summary.state = Some(api::JobUpdateState {
        status: update.events.last().and_then(|event| event.status),
        created_timestamp_ms: update.events.first().and_then(|event| event.timestamp_ms),
        last_modified_timestamp_ms: modified,
        ..Default::default()
    });
    summary
}

fn update_details(summary: api::JobUpdateSummary, update: &Update) -> api::JobUpdateDetails {
    let mut details = api::JobUpdateDetails::from(update);
    if let Some(update) = details.update.as_mut() {
        update.summary = Some(summary);
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_ranges() {
        for (numbers, expected) in [
            (&[][..], &[][..]),
            (&[3], &[(3, 3)]),
            (&[0, 1, 2, 5, 7, 8], &[(0, 2), (5, 5), (7, 8)]),
            (&[i32::MAX], &[(i32::MAX, i32::MAX)]),
        ] {
            let found = ranges(&numbers.iter().copied().collect());
            let found = found.iter().filter_map(|range| Some((range.first?, range.last?)));
            assert_eq!(found.collect::<Vec<_>>(), expected);
        }
    }
}
