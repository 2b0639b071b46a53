//! `aurora job restart`: some instances at a time, each watched until it has run for a while.
//!
//! What happens is decided by [`Rollout`] and [`Watch`], which know neither clock nor scheduler.
//!
//! Source of behaviour: the recorded cases `job-restart*`. Two things are otherwise: an instance
//! that failed too often is not restarted again, and a restart that gives up says so in its exit code.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use aurora_api::api::aurora_scheduler_manager::{RestartShards, RestartShardsArgs};
use aurora_api::api::{Response, ResponseCode, ScheduleStatus};

use super::Restarting;
use crate::context::{Context, Level, details};
use crate::exit::{Failure, code};
use crate::hooks::{Call, Hooks};
use crate::keys::{InstancesKey, listed, to_api};
use crate::monitor::{self, ACTIVE, instance};
use crate::select::JobKey;

/// Restarts instances.
pub(super) fn restart(
    context: &mut Context<'_>,
    key: &InstancesKey,
    options: &Restarting,
    hooks: &mut Hooks,
) -> Result<u8, Failure> {
    if options.max_total_failures < 0 {
        context.complain(format_args!(
            "max_total_failures option must be >0, but you specified {}",
            options.max_total_failures
        ));
        return Ok(code::INVALID_PARAMETER);
    }
    if options.batch_size < 1 {
        let message = format!("--batch-size must be at least 1, not {}", options.batch_size);
        return Err(Failure::parameter(message));
    }
    let job = &key.job;
    let active = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
    let active: BTreeSet<i32> = active.iter().map(instance).collect();
    if let (true, Some(wanted)) = (options.strict, &key.instances) {
        let strange: Vec<&i32> = wanted.difference(&active).collect();
        if !strange.is_empty() {
            let message = format!("Invalid instance parameter: {}", listed(strange));
            return Err(Failure::parameter(message));
        }
    }
    let call = Call::restart(job, key.instances.as_ref(), settings(options));
    hooks.before(context, &call)?;
    let mut lost = Vec::new();
    let answered = roll(context, key, active, options, &mut lost);
    let response = hooks.after(context, &call, answered)?;
    context.check(&response, code::API, &format!("Error restarting job {job}:"))?;
    match lost.is_empty() {
        true => context.say(format_args!("Job {job} restarted successfully")),
        false => context.say(format_args!(
            "Job {job} restarted successfully, but for instances {}",
            listed(&lost)
        )),
    }
    Ok(code::OK)
}

/// The options as hooks know them.
fn settings(options: &Restarting) -> Vec<(&'static str, i64)> {
    vec![
        ("batch_size", options.batch_size),
        ("max_per_instance_failures", options.max_per_instance_failures),
        ("max_total_failures", options.max_total_failures),
        ("watch_secs", i64::from(options.watch_secs)),
        ("health_check_interval_seconds", i64::from(options.healthcheck_interval_seconds)),
    ]
}

/// Restarts instances, or all active ones, batch by batch. Returns the last answer of the scheduler,
/// or its refusal; `lost` are those that failed, within what is allowed.
fn roll(
    context: &mut Context<'_>,
    key: &InstancesKey,
    active: BTreeSet<i32>,
    options: &Restarting,
    lost: &mut Vec<i32>,
) -> Result<Response, Failure> {
    let job = &key.job;
    let mut response = Response { response_code: Some(ResponseCode::OK), ..Response::default() };
    let wanted = key.instances.clone().unwrap_or(active);
    if wanted.is_empty() {
        context.info(format_args!(
            "No instances specified, and no active instances found in job {job}"
        ));
        context.info("Nothing to do.");
        return Ok(response);
    }
    context.info(format_args!(
        "Performing rolling restart of job {job} (instances: {})",
        listed(&wanted)
    ));
    let limits = Limits {
        batch: usize::try_from(options.batch_size).unwrap_or(usize::MAX),
        per_instance: options.max_per_instance_failures,
        total: options.max_total_failures,
    };
    let mut rollout = Rollout::new(&wanted, limits);
    while let Some(batch) = rollout.next() {
        response = send(context, job, &batch)?;
        if response.response_code != Some(ResponseCode::OK) {
            return Ok(response);
        }
        let failed = watch(context, job, &batch, options)?;
        rollout.failed(&failed);
    }
    *lost = finish(context, job, &rollout)?;
    Ok(response)
}

/// Tells the scheduler to restart a batch.
fn send(
    context: &mut Context<'_>,
    job: &JobKey,
    batch: &BTreeSet<i32>,
) -> Result<Response, Failure> {
    context.info(format_args!("Restarting instances: {}", listed(batch)));
    let arguments = RestartShardsArgs {
        job: Some(to_api(job)),
        shard_ids: Some(batch.clone()),
        ..Default::default()
    };
    let response = context.call::<RestartShards>(&job.cluster, &arguments)?;
    if response.response_code != Some(ResponseCode::OK) {
        let details = details(&response);
        context.log(Level::Error, format_args!("Error restarting instances: {details}"));
    }
    Ok(response)
}

/// Watches a batch. Returns the instances that failed.
fn watch(
    context: &mut Context<'_>,
    job: &JobKey,
    batch: &BTreeSet<i32>,
    options: &Restarting,
) -> Result<BTreeSet<i32>, Failure> {
    context.info(format_args!("Watching instances: {}", listed(batch)));
    let seconds = options.watch_secs;
    let pause = Duration::from_secs(u64::from(options.healthcheck_interval_seconds.max(1)));
    let mut watch = Watch::new(batch, Duration::from_secs(u64::from(seconds)));
    loop {
        let query = monitor::query(job, Some(batch), Some(&[ScheduleStatus::RUNNING]));
        let tasks = context.tasks(&job.cluster, query)?;
        let running = tasks.iter().filter_map(|task| {
            Some((instance(task), task.assigned_task.as_ref()?.task_id.clone()?))
        });
        let events = watch.look(context.world.now(), &running.collect());
        context.progress("");
        for event in events {
            match event {
                Event::Runs(instance) => {
                    context.info(format_args!("Detected RUNNING instance {instance}"));
                }
                Event::Failed(instance) => {
                    context.info(format_args!("Instance {instance} is unhealthy"));
                }
                Event::Healthy(instance) => context.info(format_args!(
                    "Instance {instance} has been up and healthy for at least {seconds} seconds"
                )),
            }
        }
        if let Some(failed) = watch.outcome() {
            return Ok(failed);
        }
        context.progress(format_args!("Waiting for instances {}", listed(&watch.open())));
        context.world.sleep(pause)?;
    }
}

/// Says how it went. Returns the instances that failed, if those are no more than may.
fn finish(context: &mut Context<'_>, job: &JobKey, rollout: &Rollout) -> Result<Vec<i32>, Failure> {
    let lost: Vec<i32> = rollout.lost().map(|(instance, _)| instance).collect();
    if !rollout.is_over() {
        if lost.is_empty() {
            context.info("All instances were restarted successfully");
        } else {
            context.info(format_args!("Instances {} failed, as many as allowed", listed(&lost)));
        }
        return Ok(lost);
    }
    context.log(
        Level::Error,
        format_args!(
            "{} failed instances observed, maximum allowed is {}",
            lost.len(),
            rollout.limits.total
        ),
    );
    for (instance, failures) in rollout.lost() {
        context.log(
            Level::Error,
            format_args!(
                "{failures} instance failures for instance {instance}, maximum allowed is {}",
                rollout.limits.per_instance
            ),
        );
    }
    context.info("Restart failures threshold reached. Aborting");
    let message = format!("Job {job} was not restarted: {} failed", listed(&lost));
    Err(Failure::new(code::COMMAND_FAILURE, message))
}

/// How much may go wrong.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Instances at a time.
    batch: usize,
    /// Failures of one instance.
    per_instance: i64,
    /// Instances with more failures than that.
    total: i64,
}

/// Which instances are still to be restarted.
struct Rollout {
    limits: Limits,
    waiting: VecDeque<i32>,
    failures: BTreeMap<i32, i64>,
}

impl Rollout {
    fn new(instances: &BTreeSet<i32>, limits: Limits) -> Rollout {
        let waiting = instances.iter().copied().collect();
        Rollout { limits, waiting, failures: BTreeMap::new() }
    }

    /// The next batch, unless there is none, or too much went wrong.
    fn next(&mut self) -> Option<BTreeSet<i32>> {
        if self.is_over() || self.waiting.is_empty() {
            return None;
        }
        let size = self.limits.batch.min(self.waiting.len());
        Some(self.waiting.drain(..size).collect())
    }

    /// Instances failed after their restart. They come again at the end, until they have failed too
    /// often.
    fn failed(&mut self, instances: &BTreeSet<i32>) {
        for instance in instances {
            let failures = self.failures.entry(*instance).or_default();
            *failures += 1;
            if *failures <= self.limits.per_instance {
                self.waiting.push_back(*instance);
            }
        }
    }

    /// The instances that failed too often, and how often.
    fn lost(&self) -> impl Iterator<Item = (i32, i64)> {
        let failures = self.failures.iter().map(|(instance, failures)| (*instance, *failures));
        failures.filter(|(_, failures)| *failures > self.limits.per_instance)
    }

    /// Whether too many did.
    fn is_over(&self) -> bool {
        i64::try_from(self.lost().count()).unwrap_or(i64::MAX) > self.limits.total
    }
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// It runs for the first time.
    Runs(i32),
    /// It ran, and does not any longer, or as another task.
    Failed(i32),
    /// It has run long enough.
    Healthy(i32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Watched {
    /// It does not run yet.
    Absent,
    /// It runs as this task, and is to do so until then.
    Running(String, Duration),
    Healthy,
    Failed,
}

/// Instances that are watched after their restart.
struct Watch {
    long: Duration,
    instances: BTreeMap<i32, Watched>,
}

impl Watch {
    fn new(instances: &BTreeSet<i32>, long: Duration) -> Watch {
        let instances = instances.iter().map(|instance| (*instance, Watched::Absent)).collect();
        Watch { long, instances }
    }

    /// Looks at the instances that run now, with the ids of their tasks.
    fn look(&mut self, now: Duration, running: &BTreeMap<i32, String>) -> Vec<Event> {
        let mut seen = Vec::new();
        for (instance, watched) in &mut self.instances {
            let (next, event) = match (&*watched, running.get(instance)) {
                (Watched::Absent, Some(task)) => {
                    (Watched::Running(task.clone(), now + self.long), Event::Runs(*instance))
                }
                (Watched::Running(task, _), found) if found != Some(task) => {
                    (Watched::Failed, Event::Failed(*instance))
                }
                _ => continue,
            };
            *watched = next;
            seen.push(event);
        }
        for (instance, watched) in &mut self.instances {
            if matches!(watched, Watched::Running(_, until) if now >= *until) {
                *watched = Watched::Healthy;
                seen.push(Event::Healthy(*instance));
            }
        }
        seen
    }

    /// The instances that are still watched.
    fn open(&self) -> BTreeSet<i32> {
        let open = self
            .instances
            .iter()
            .filter(|(_, watched)| matches!(watched, Watched::Absent | Watched::Running(..)));
        open.map(|(instance, _)| *instance).collect()
    }

    /// The instances that failed, when none is watched any longer.
    fn outcome(&self) -> Option<BTreeSet<i32>> {
        let failed = self.instances.iter().filter(|(_, watched)| **watched == Watched::Failed);
        self.open().is_empty().then(|| failed.map(|(instance, _)| *instance).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a rollout does if these instances fail so often: its batches, whether it gives up, and
    /// the instances that are lost.
    fn play(instances: i32, limits: Limits, failing: &[(i32, i64)]) -> (String, bool, Vec<i32>) {
        let mut failing: BTreeMap<i32, i64> = failing.iter().copied().collect();
        let mut rollout = Rollout::new(&(0..instances).collect(), limits);
        let mut batches = String::new();
        while let Some(batch) = rollout.next() {
            batches.push_str(&listed(&batch));
            let failed = batch
                .into_iter()
                .filter(|instance| match failing.get_mut(instance) {
                    Some(left) if *left > 0 => {
                        *left -= 1;
                        true
                    }
                    _ => false,
                })
                .collect();
            rollout.failed(&failed);
            assert!(batches.len() < 1000, "no end: {batches}");
        }
        let lost = rollout.lost().map(|(instance, _)| instance).collect();
        (batches, rollout.is_over(), lost)
    }

    #[test]
    fn rollouts() {
        const ALWAYS: i64 = i64::MAX;
        let limits = |batch, per_instance, total| Limits { batch, per_instance, total };
        for (limits, failing, batches, over, lost) in [
            (limits(1, 0, 0), vec![], "[0][1][2]", false, vec![]),
            (limits(2, 0, 0), vec![], "[0, 1][2]", false, vec![]),
            (limits(9, 0, 0), vec![], "[0, 1, 2]", false, vec![]),
            (limits(1, 0, 0), vec![(0, ALWAYS)], "[0]", true, vec![0]),
            (limits(1, 1, 0), vec![(0, 1)], "[0][1][2][0]", false, vec![]),
            (limits(1, 1, 0), vec![(0, ALWAYS)], "[0][1][2][0]", true, vec![0]),
            (limits(1, 1, 1), vec![(0, ALWAYS)], "[0][1][2][0]", false, vec![0]),
            (limits(1, 0, 1), vec![(0, ALWAYS), (1, 1)], "[0][1]", true, vec![0, 1]),
            (limits(2, 2, 3), vec![(0, 2), (2, 3)], "[0, 1][0, 2][0, 2][2]", false, vec![2]),
        ] {
            let (found, is_over, found_lost) = play(3, limits, &failing);
            assert_eq!(
                (&*found, is_over, found_lost),
                (batches, over, lost),
                "{limits:?} {failing:?}"
            );
        }
    }

    #[test]
    fn watching() {
        use Event::{Failed, Healthy, Runs};
        let seconds = Duration::from_secs;
        let looks = |long: u64, looks: &[&[(i32, &str)]]| {
            let mut watch = Watch::new(&BTreeSet::from([0, 1]), seconds(long));
            let mut all = Vec::new();
            for (second, running) in looks.iter().enumerate() {
                assert_eq!(watch.outcome(), None);
                let running = running
                    .iter()
                    .map(|(instance, task)| (*instance, (*task).to_owned()))
                    .collect();
                all.extend(watch.look(seconds(second as u64), &running));
            }
            (all, watch.outcome())
        };
        assert_eq!(
            looks(1, &[&[], &[(0, "a")], &[(0, "a"), (1, "b")], &[(0, "a"), (1, "b")]]),
            (vec![Runs(0), Runs(1), Healthy(0), Healthy(1)], Some(BTreeSet::new()))
        );
        // Gone, and then there again as another task: both are failures.
        assert_eq!(
            looks(9, &[&[(0, "a"), (1, "b")], &[(0, "c")]]),
            (vec![Runs(0), Runs(1), Failed(0), Failed(1)], Some(BTreeSet::from([0, 1])))
        );
        // What is over is over.
        assert_eq!(
            looks(0, &[&[(0, "a")], &[(1, "b")]]),
            (vec![Runs(0), Healthy(0), Runs(1), Healthy(1)], Some(BTreeSet::new()))
        );
        assert_eq!(looks(9, &[&[], &[]]), (vec![], None));
    }
}
