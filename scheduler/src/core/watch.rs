//! Tasks that must not stay where they are: timers for states, and for what has ended.
//!
//! Source: the scheduler's task timeout, kill retry, throttler, partition manager and history
//! pruner, and their tests. After a restart all of them are set again from what is stored.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::config::PartitionPolicy;
use super::engine::Core;
use super::machine::Outcome;
use super::manager::Ledger;
use super::name::{JobKey, Millis, TaskId};
use super::reschedule;
use super::settings::Bounds;
use super::status::{Status, TRANSIENT};
use super::task::Task;
use super::timers::{Due, Watch};

/// The ended tasks of each job, those that ended first in front.
#[derive(Debug, Default)]
pub struct History {
    ended: HashMap<JobKey, BTreeSet<(Millis, TaskId)>>,
}

impl History {
    /// A task has ended.
    pub fn add(&mut self, task: &Task) {
        let entry = (task.last_change(), task.id.clone());
        self.ended.entry(task.config.job.clone()).or_default().insert(entry);
    }

    /// A task was forgotten.
    pub fn remove(&mut self, task: &Task) {
        if let Some(ended) = self.ended.get_mut(&task.config.job) {
            ended.remove(&(task.last_change(), task.id.clone()));
            if ended.is_empty() {
                self.ended.remove(&task.config.job);
            }
        }
    }

    /// Tasks of a job beyond the number that is kept, oldest first, of those that ended at or before
    /// `old`.
    pub fn excess(&self, job: &JobKey, keep: usize, old: Millis) -> Vec<TaskId> {
        let Some(ended) = self.ended.get(job) else { return Vec::new() };
        let excess = ended.iter().take(ended.len().saturating_sub(keep));
        excess.take_while(|(at, _)| *at <= old).map(|(_, id)| id.clone()).collect()
    }
}

impl Core {
    /// Sets the timers of the state that a task just entered, or had when the process began.
    pub(super) fn watch(&mut self, task: &Arc<Task>, restored: bool) {
        let now = self.ledger.now;
        let watch = Watch { task: task.id.clone(), since: task.last_change() };
        if TRANSIENT.has(task.status) {
            let at = now + self.ledger.settings.transient_timeout;
            self.timers.set(at, Due::Transient(watch.clone()));
        }
        match task.status {
            Status::Killing => self.watch_kill(watch, 0),
            Status::Throttled => {
                let Ledger { state, settings, dice, .. } = &mut self.ledger;
                let penalty = reschedule::penalty(state, task, settings, dice);
                self.timers
                    .set(watch.since.saturating_add(penalty).max(now), Due::Throttled(watch));
            }
            Status::Partitioned => {
                if let PartitionPolicy::Reschedule(delay) = task.config.partition {
                    let at = watch.since.saturating_add(delay).max(now);
                    self.timers.set(at, Due::Partitioned(watch));
                }
            }
            status if status.is_terminal() => {
                let settings = &self.ledger.settings;
                let age = if restored { now.saturating_sub(watch.since) } else { 0 };
                let wait = settings.history_min_age.max(settings.history_age.saturating_sub(age));
                self.timers.set(now + wait, Due::History(task.id.clone()));
                self.history.add(task);
                self.prune_excess(&task.config.job);
            }
            _ => {}
        }
    }

    fn watch_kill(&mut self, watch: Watch, last: Millis) {
        let settings = &self.ledger.settings;
        let bounds = Bounds { initial: settings.kill_retry, max: settings.transient_timeout };
        let delay = self.ledger.dice.back_off(bounds, last);
        self.timers.set(self.ledger.now + delay, Due::KillRetry(watch, delay));
    }

    fn prune_excess(&mut self, job: &JobKey) {
        let settings = &self.ledger.settings;
        let old = self.ledger.now - settings.history_min_age;
        let excess = self.history.excess(job, settings.history_per_job, old);
        self.prune(&excess);
    }

    pub(super) fn prune(&mut self, ids: &[TaskId]) {
        self.ledger.stats.tasks_pruned += ids.len() as u64;
        self.ledger.remove(ids);
    }

    /// Is the task still in the state that it entered then?
    fn still(&self, watch: &Watch) -> Option<&Arc<Task>> {
        self.ledger.state.task(&watch.task).filter(|task| task.last_change() == watch.since)
    }

    pub(super) fn on_transient(&mut self, watch: &Watch) {
        let Some(status) = self.still(watch).map(|task| task.status) else { return };
        if TRANSIENT.has(status) {
            let message = Some("Task timed out".into());
            let outcome = self.ledger.change(&watch.task, Some(status), Status::Lost, message);
            self.ledger.stats.timed_out_tasks += u64::from(outcome == Outcome::Success);
        }
    }

    pub(super) fn on_kill_retry(&mut self, watch: Watch, last: Millis) {
        if self.still(&watch).is_some_and(|task| task.status == Status::Killing) {
            self.ledger.kill(&watch.task);
            self.ledger.stats.task_kill_retries += 1;
            self.watch_kill(watch, last);
        }
    }

    pub(super) fn on_throttled(&mut self, watch: &Watch) {
        if self.still(watch).is_some() {
            let expected = Some(Status::Throttled);
            self.ledger.change(&watch.task, expected, Status::Pending, None);
        }
    }

    pub(super) fn on_partitioned(&mut self, watch: &Watch) {
        if self.still(watch).is_some() {
            let message = Some("Task partitioned for too long.".into());
            let expected = Some(Status::Partitioned);
            self.ledger.change(&watch.task, expected, Status::Lost, message);
        }
    }

    pub(super) fn on_history(&mut self, id: &TaskId) {
        if self.ledger.state.task(id).is_some_and(|task| task.status.is_terminal()) {
            self.prune(std::slice::from_ref(id));
        }
    }
}
