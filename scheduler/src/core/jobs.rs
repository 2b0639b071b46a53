//! What users ask of jobs: created, killed, restarted, grown.
//!
//! Source: the scheduler's interface (`createJob`, `killTasks`, `restartShards`, `addInstances`,
//! `forceTaskState`, `pruneTasks`) and its tests. Requests come checked and parsed; what is refused
//! here depends on what is stored. Faces turn a [`Refusal`] into a response; its text is what users
//! see.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::config::Config;
use super::engine::Core;
use super::machine::Outcome;
use super::manager::NotInserted;
use super::name::{JobKey, TaskId, Text};
use super::query::Query;
use super::status::{ACTIVE, Status, TERMINAL};

/// Something that a user asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Create a job that is no cron job, with instances from 0 on.
    CreateJob {
        /// What its instances run.
        config: Arc<Config>,
        /// How many.
        instances: usize,
    },
    /// End instances for good.
    KillTasks {
        /// The job.
        job: JobKey,
        /// Which; empty for all of them.
        instances: BTreeSet<i32>,
        /// Who asks.
        user: String,
        /// Why, for people.
        message: Option<String>,
    },
    /// Start instances anew.
    RestartShards {
        /// The job.
        job: JobKey,
        /// Which. Not empty.
        instances: BTreeSet<i32>,
        /// Who asks.
        user: String,
    },
    /// Add instances that run what another one runs.
    AddInstances {
        /// The job.
        job: JobKey,
        /// The other one.
        template: i32,
        /// How many.
        count: i32,
    },
    /// Move a task to a state, if it may go there.
    ForceState {
        /// The task.
        task: TaskId,
        /// The state.
        status: Status,
        /// Who asks.
        user: String,
    },
    /// Forget tasks that have ended.
    PruneTasks(Query),
    /// Ask Mesos about every task that should run.
    ReconcileExplicit {
        /// Tasks per call; the configured number if unset. Not 0.
        batch: Option<usize>,
    },
    /// Ask Mesos about every task that it knows.
    ReconcileImplicit,
}

/// What became of a request.
pub type Reply = Result<Done, Refusal>;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was done.
    Ok,
    /// So many tasks were concerned, perhaps none.
    Tasks(usize),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An update of the job is not over.
    Updating,
    /// The job exists, as tasks or as a cron job.
    Exists(JobKey),
    /// Too many instances; the limit.
    TooMany(usize),
    /// Cron jobs have as many instances as they say.
    Cron,
    /// No positive number of instances.
    NotPositive,
    /// The instance to copy does not run.
    NoTemplate,
    /// Not all of the instances run.
    NotActive,
    /// One of the instances exists already.
    Collision,
    /// Tasks that have not ended were to be forgotten.
    NotEnded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Updating => f.write_str("Job is currently updating"),
            Refusal::Exists(job) => write!(f, "Job {job} already exists"),
            Refusal::TooMany(max) => {
                write!(f, "Instance count must be between 1 and {max} inclusive.")
            }
            Refusal::Cron => f.write_str("Instances may not be added to cron jobs."),
            Refusal::NotPositive => f.write_str("Instance count must be positive."),
            Refusal::NoTemplate => f.write_str("No active task found for a given instance ID."),
            Refusal::NotActive => f.write_str("Not all requested shards are active."),
            Refusal::Collision => f.write_str("Instance ID collision detected."),
            Refusal::NotEnded => f.write_str("Tasks in non-terminal state cannot be pruned."),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<NotInserted> for Refusal {
    fn from(reason: NotInserted) -> Refusal {
        match reason {
            NotInserted::Empty => Refusal::NotPositive,
            NotInserted::Collision => Refusal::Collision,
        }
    }
}

impl Core {
    /// Does what a user asks for.
    pub(super) fn request(&mut self, request: Request) -> Reply {
        match request {
            Request::CreateJob { config, instances } => self.create_job(&config, instances),
            Request::KillTasks { job, instances, user, message } => {
                self.kill_tasks(&job, &instances, &user, message.as_deref())
            }
            Request::RestartShards { job, instances, user } => {
                self.restart_shards(&job, &instances, &user)
            }
            Request::AddInstances { job, template, count } => {
                self.add_instances(&job, template, count)
            }
            Request::ForceState { task, status, user } => {
                let message = Text::from(format!("Transition forced by {user}"));
                let outcome = self.ledger.change(&task, None, status, Some(message));
                Ok(Done::Tasks(usize::from(outcome == Outcome::Success)))
            }
            Request::PruneTasks(query) => self.prune_tasks(query),
            Request::ReconcileExplicit { batch } => {
                self.reconcile_explicit(batch.unwrap_or(self.ledger.settings.reconcile_batch));
                Ok(Done::Ok)
            }
            Request::ReconcileImplicit => {
                self.reconcile_implicit();
                Ok(Done::Ok)
            }
        }
    }

    fn create_job(&mut self, config: &Arc<Config>, instances: usize) -> Reply {
        let job = &config.job;
        self.not_updating(job)?;
        let state = &self.ledger.state;
        if state.active_tasks_of_job(job).next().is_some() || state.cron(job).is_some() {
            return Err(Refusal::Exists(job.clone()));
        }
        self.admit(instances)?;
        // Not beyond `max_tasks_per_job`, which is an i32.
        let ids = self.ledger.insert_pending(config, 0..instances as i32)?;
        Ok(Done::Tasks(ids.len()))
    }

    fn add_instances(&mut self, job: &JobKey, template: i32, count: i32) -> Reply {
        if count <= 0 {
            return Err(Refusal::NotPositive);
        }
        if self.ledger.state.cron(job).is_some() {
            return Err(Refusal::Cron);
        }
        self.not_updating(job)?;
        let active: Vec<_> = self.ledger.state.active_tasks_of_job(job).cloned().collect();
        let config = active.iter().find(|task| task.instance == template);
        let config = config.ok_or(Refusal::NoTemplate)?.config.clone();
        self.admit(active.len() + count as usize)?;
        let first = active.iter().map(|task| task.instance).max().unwrap_or(-1);
        let first = first.checked_add(1).ok_or(Refusal::Collision)?;
        let end = first.checked_add(count).ok_or(Refusal::Collision)?;
        let ids = self.ledger.insert_pending(&config, first..end)?;
        Ok(Done::Tasks(ids.len()))
    }

    fn kill_tasks(
        &mut self,
        job: &JobKey,
        instances: &BTreeSet<i32>,
        user: &str,
        message: Option<&str>,
    ) -> Reply {
        self.not_updating(job)?;
        let text = match message {
            Some(message) if !message.is_empty() => format!("Killed by {user}.\n{message}"),
            _ => format!("Killed by {user}"),
        };
        let text = Text::from(text);
        let ids = self.active_ids(job, instances);
        let mut changed = 0;
        for id in ids {
            let outcome = self.ledger.change(&id, None, Status::Killing, Some(text.clone()));
            changed += usize::from(outcome == Outcome::Success);
        }
        Ok(Done::Tasks(changed))
    }

    fn restart_shards(&mut self, job: &JobKey, instances: &BTreeSet<i32>, user: &str) -> Reply {
        self.not_updating(job)?;
        let ids = self.active_ids(job, instances);
        if ids.len() != instances.len() {
            return Err(Refusal::NotActive);
        }
        let text = Text::from(format!("Restarted by {user}"));
        for id in &ids {
            // Those that wait for a place start anew anyway: that they may not be restarted is
            // passed over, as in the original.
            self.ledger.change(id, None, Status::Restarting, Some(text.clone()));
        }
        Ok(Done::Tasks(ids.len()))
    }

    fn prune_tasks(&mut self, query: Query) -> Reply {
        let query = match query.statuses {
            Some(statuses) if !statuses.both(ACTIVE).is_empty() => return Err(Refusal::NotEnded),
            // Unlike the original, an empty set cannot mean tasks that run.
            None => query.in_states(TERMINAL),
            Some(statuses) if statuses.is_empty() => query.in_states(TERMINAL),
            Some(_) => query,
        };
        let tasks = self.ledger.state.query(&query).take(query.limit.unwrap_or(usize::MAX));
        let ids: Vec<TaskId> = tasks.map(|task| task.id.clone()).collect();
        self.prune(&ids);
        Ok(Done::Tasks(ids.len()))
    }

    /// Ids of those instances of a job that count; all of them if none are named.
    fn active_ids(&self, job: &JobKey, instances: &BTreeSet<i32>) -> Vec<TaskId> {
        let active = self.ledger.state.active_tasks_of_job(job);
        let named = active.filter(|t| instances.is_empty() || instances.contains(&t.instance));
        named.map(|task| task.id.clone()).collect()
    }

    fn not_updating(&self, job: &JobKey) -> Result<(), Refusal> {
        match self.ledger.state.active_update(job) {
            Some(_) => Err(Refusal::Updating),
            None => Ok(()),
        }
    }

    /// May a job have `total` instances?
    fn admit(&self, total: usize) -> Result<(), Refusal> {
        let max = self.ledger.settings.max_tasks_per_job.min(i32::MAX as usize);
        if total == 0 || total > max { Err(Refusal::TooMany(max)) } else { Ok(()) }
    }
}
