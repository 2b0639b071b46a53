//! Which tasks are meant.
//!
//! Source: the interface's `TaskQuery`. All that is given must hold; of a set, any member will do,
//! and an empty set restricts nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::name::{JobKey, TaskId, Text};
use super::rows::Row;
use super::state::State;
use super::status::StatusSet;
use super::task::Task;

/// Which tasks are meant. The default means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Role of the job.
    pub role: Option<String>,
    /// Environment of the job.
    pub environment: Option<String>,
    /// Name of the job.
    pub name: Option<String>,
    /// Ids of tasks.
    pub ids: BTreeSet<TaskId>,
    /// States; unset and empty differ for who prunes, not for who reads.
    pub statuses: Option<StatusSet>,
    /// Only states were asked for that no stored task has.
    pub impossible: bool,
    /// Instances.
    pub instances: BTreeSet<i32>,
    /// Hosts.
    pub hosts: BTreeSet<Text>,
    /// Jobs.
    pub jobs: BTreeSet<JobKey>,
    /// How many to pass over.
    pub offset: usize,
    /// How many at most.
    pub limit: Option<usize>,
}

impl Query {
    /// The tasks of a job.
    pub fn of_job(job: &JobKey) -> Query {
        Query { jobs: BTreeSet::from([job.clone()]), ..Query::default() }
    }

    /// Those of them in some states.
    #[must_use]
    pub fn in_states(self, statuses: StatusSet) -> Query {
        Query { statuses: Some(statuses), ..self }
    }

    /// Is this task meant?
    pub fn matches(&self, task: &Task) -> bool {
        let job = &task.config.job;
        let any = |empty: bool, member: bool| empty || member;
        let is = |asked: &Option<String>, part: &str| asked.as_deref().is_none_or(|a| a == part);
        !self.impossible
            && is(&self.role, job.role())
            && is(&self.environment, job.environment())
            && is(&self.name, job.name())
            && any(self.ids.is_empty(), self.ids.contains(&task.id))
            && self.statuses.is_none_or(|set| any(set.is_empty(), set.has(task.status)))
            && any(self.instances.is_empty(), self.instances.contains(&task.instance))
            && any(self.hosts.is_empty(), task.host().is_some_and(|h| self.hosts.contains(h)))
            && any(self.jobs.is_empty(), self.jobs.contains(job))
    }
}

impl State {
    /// The tasks that are meant, in order of their rows, or of the index that finds them fastest.
    /// `offset` and `limit` are not applied: see [`State::page`].
    pub fn query<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = &'a Arc<Task>> {
        let rows: Box<dyn Iterator<Item = Row> + 'a> =
            match (&query.role, &query.environment, &query.name) {
                _ if query.impossible => Box::new(std::iter::empty()),
                _ if !query.ids.is_empty() => {
                    Box::new(query.ids.iter().filter_map(|id| self.row_of(id)))
                }
                _ if !query.jobs.is_empty() => {
                    Box::new(query.jobs.iter().flat_map(|job| self.rows_of_job(job)))
                }
                (Some(role), Some(environment), Some(name)) => {
                    let job = JobKey::new(role, environment, name);
                    // The key does not live as long as the iterator.
                    let rows: Vec<Row> = self.rows_of_job(&job).collect();
                    Box::new(rows.into_iter())
                }
                _ if !query.hosts.is_empty() => {
                    Box::new(query.hosts.iter().flat_map(|host| self.rows_on(host)))
                }
                (Some(role), ..) => {
                    Box::new(self.jobs_of_role(role).flat_map(|job| self.rows_of_job(job)))
                }
                _ => match query.statuses {
                    Some(set) if !set.is_empty() => Box::new(self.rows_in(set)),
                    _ => Box::new(self.all_rows()),
                },
            };
        rows.filter_map(|row| self.task_at(row)).filter(|task| query.matches(task))
    }

    /// One page of the tasks that are meant.
    pub fn page<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = &'a Arc<Task>> {
        self.query(query).skip(query.offset).take(query.limit.unwrap_or(usize::MAX))
    }
}
