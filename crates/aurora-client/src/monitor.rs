//! Waiting until tasks are where they should be.
//!
//! Source of behaviour: the recorded cases `job-create-wait-*`, `job-kill-timeout*`, `job-add-wait`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aurora_api::api::read_only_scheduler::{GetTasksWithoutConfigs, GetTasksWithoutConfigsArgs};
use aurora_api::api::{self, ScheduleStatus, ScheduledTask, TaskQuery};

use crate::context::Context;
use crate::exit::Failure;
use crate::keys::to_api;
use crate::select::JobKey;

/// Tasks that are, or should be, somewhere.
pub const ACTIVE: [ScheduleStatus; 10] = [
    ScheduleStatus::PENDING,
    ScheduleStatus::STARTING,
    ScheduleStatus::RUNNING,
    ScheduleStatus::KILLING,
    ScheduleStatus::ASSIGNED,
    ScheduleStatus::RESTARTING,
    ScheduleStatus::PREEMPTING,
    ScheduleStatus::THROTTLED,
    ScheduleStatus::DRAINING,
    ScheduleStatus::PARTITIONED,
];

/// Tasks with processes.
pub const LIVE: [ScheduleStatus; 6] = [
    ScheduleStatus::RUNNING,
    ScheduleStatus::KILLING,
    ScheduleStatus::RESTARTING,
    ScheduleStatus::PREEMPTING,
    ScheduleStatus::DRAINING,
    ScheduleStatus::PARTITIONED,
];

/// Tasks that are over.
pub const TERMINAL: [ScheduleStatus; 4] = [
    ScheduleStatus::FINISHED,
    ScheduleStatus::FAILED,
    ScheduleStatus::KILLED,
    ScheduleStatus::LOST,
];

/// A query for a job's tasks: of these instances, unless all are meant; in these states, unless in any.
pub fn query(
    job: &JobKey,
    instances: Option<&BTreeSet<i32>>,
    statuses: Option<&[ScheduleStatus]>,
) -> TaskQuery {
    TaskQuery {
        job_keys: Some(BTreeSet::from([to_api(job)])),
        instance_ids: instances.cloned(),
        statuses: statuses.map(|statuses| statuses.iter().copied().collect()),
        ..TaskQuery::default()
    }
}

/// The tasks of an answer.
pub fn tasks(response: api::Response) -> Vec<ScheduledTask> {
    match response.result {
        Some(api::Result::ScheduleStatusResult(result)) => result.tasks.unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A task's instance.
pub fn instance(task: &ScheduledTask) -> i32 {
    task.assigned_task.as_ref().and_then(|task| task.instance_id).unwrap_or_default()
}

/// A task's state.
pub fn status(task: &ScheduledTask) -> ScheduleStatus {
    task.status.unwrap_or(ScheduleStatus::INIT)
}

/// The newest task of each instance.
pub fn newest(tasks: &[ScheduledTask]) -> BTreeMap<i32, &ScheduledTask> {
    let born = |task: &ScheduledTask| {
        let first = task.task_events.iter().flatten().next();
        first.and_then(|event| event.timestamp).unwrap_or_default()
    };
    let mut newest: BTreeMap<i32, &ScheduledTask> = BTreeMap::new();
    for task in tasks {
        let known = newest.entry(instance(task)).or_insert(task);
        if born(task) > born(known) {
            *known = task;
        }
    }
    newest
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It runs, or did.
    Running,
    /// It is over.
    Over,
}

impl Until {
    /// Whether a task in this state is there.
    pub fn is_met(self, status: ScheduleStatus) -> bool {
        match self {
            Until::Running => {
                matches!(status, ScheduleStatus::RUNNING | ScheduleStatus::FINISHED)
            }
            Until::Over => TERMINAL.contains(&status),
        }
    }
}

/// Pauses between looks, in milliseconds. A task may be where it should be in a moment; what takes
/// longer is looked at every so often. After the last one a wait that is not endless is over.
const PAUSES: [u64; 9] = [250, 750, 1000, 4000, 8000, 16_000, 32_000, 64_000, 128_000];

/// The pause after so many looks, or none when it is time to give up.
fn pause(looks: usize, is_endless: bool) -> Option<Duration> {
    let last = PAUSES.last().filter(|_| is_endless);
    PAUSES.get(looks).or(last).map(|millis| Duration::from_millis(*millis))
}

/// `3 of 5 instances: 2 PENDING, 1 ASSIGNED`: those that are waited for, by state.
fn summary(tasks: &BTreeMap<i32, &ScheduledTask>, until: Until) -> String {
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks.values().filter(|task| !until.is_met(status(task))) {
        *states.entry(status(task).to_string()).or_default() += 1;
    }
    let counts: Vec<String> =
        states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let waiting: usize = states.values().sum();
    format!("{} of {} instances: {}", waiting, tasks.len(), counts.join(", "))
}

impl Context<'_> {
    /// A job's tasks, without what their executors are told.
    ///
    /// # Errors
    /// The scheduler does not say.
    pub fn tasks(
        &mut self,
        cluster: &str,
        query: TaskQuery,
    ) -> Result<Vec<ScheduledTask>, Failure> {
        let arguments = GetTasksWithoutConfigsArgs {
            query: Some(query),
            ..GetTasksWithoutConfigsArgs::default()
        };
        let response = self.call::<GetTasksWithoutConfigs>(cluster, &arguments)?;
        self.check_plainly(&response)?;
        Ok(tasks(response))
    }

    /// Waits for the newest task of each of a job's instances. Returns whether they got there; an
    /// endless wait does not end otherwise.
    ///
    /// # Errors
    /// The scheduler does not say, or the user does not want to wait.
    pub fn wait_for(
        &mut self,
        job: &JobKey,
        instances: Option<&BTreeSet<i32>>,
        until: Until,
        is_endless: bool,
    ) -> Result<bool, Failure> {
        self.wait_while(job, instances, i32::MAX, until, is_endless)
    }

    /// Waits without end for all instances of a job that was just made of so many. What an earlier job
    /// of the same key has left, of more instances, does not count.
    ///
    /// # Errors
    /// As [`Context::wait_for`].
    pub fn wait_for_new(
        &mut self,
        job: &JobKey,
        instances: i32,
        until: Until,
    ) -> Result<(), Failure> {
        self.wait_while(job, None, instances, until, true).map(drop)
    }

    fn wait_while(
        &mut self,
        job: &JobKey,
        instances: Option<&BTreeSet<i32>>,
        below: i32,
        until: Until,
        is_endless: bool,
    ) -> Result<bool, Failure> {
        for looks in 0.. {
            let tasks = self.tasks(&job.cluster, query(job, instances, None))?;
            let mut newest = newest(&tasks);
            newest.retain(|instance, _| *instance < below);
            let is_met = newest.values().all(|task| until.is_met(status(task)));
            let pause = pause(looks, is_endless).filter(|_| !is_met);
            let Some(pause) = pause else {
                self.progress("");
                return Ok(is_met);
            };
            self.progress(format_args!("Waiting for {}", summary(&newest, until)));
            self.world.sleep(pause)?;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(instance: i32, status: ScheduleStatus, born: i64) -> ScheduledTask {
        let event = api::TaskEvent { timestamp: Some(born), ..Default::default() };
        ScheduledTask {
            assigned_task: Some(api::AssignedTask {
                instance_id: Some(instance),
                ..Default::default()
            }),
            status: Some(status),
            task_events: Some(vec![event]),
            ..Default::default()
        }
    }

    #[test]
    fn the_newest_counts() {
        let tasks = [
            task(0, ScheduleStatus::FAILED, 1),
            task(0, ScheduleStatus::RUNNING, 3),
            task(0, ScheduleStatus::LOST, 2),
            task(1, ScheduleStatus::PENDING, 1),
        ];
        let newest = newest(&tasks);
        let states: Vec<ScheduleStatus> = newest.values().map(|task| status(task)).collect();
        assert_eq!(states, [ScheduleStatus::RUNNING, ScheduleStatus::PENDING]);
        assert_eq!(summary(&newest, Until::Running), "1 of 2 instances: 1 PENDING");
        assert_eq!(summary(&newest, Until::Over), "2 of 2 instances: 1 PENDING, 1 RUNNING");
    }

    #[test]
    fn pauses() {
        let looks = |is_endless: bool| -> Vec<u64> {
            let mut at = Duration::ZERO;
            let pauses = (0..12).map_while(|looks| pause(looks, is_endless));
            pauses
                .map(|pause| {
                    at += pause;
                    at.as_secs()
                })
                .collect()
        };
        assert_eq!(looks(false), [0, 1, 2, 6, 14, 30, 62, 126, 254]);
        assert_eq!(looks(true)[8..], [254, 382, 510, 638]);
    }

    #[test]
    fn what_is_waited_for() {
        for (state, runs, over) in [
            (ScheduleStatus::PENDING, false, false),
            (ScheduleStatus::RUNNING, true, false),
            (ScheduleStatus::FINISHED, true, true),
            (ScheduleStatus::FAILED, false, true),
            (ScheduleStatus::KILLED, false, true),
            (ScheduleStatus::LOST, false, true),
            (ScheduleStatus::KILLING, false, false),
        ] {
            assert_eq!((Until::Running.is_met(state), Until::Over.is_met(state)), (runs, over));
        }
    }
}
