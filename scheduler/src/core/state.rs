//! All that is durable.
//!
//! Everything sits in persistent maps: a clone costs a few pointers, so that readers, snapshots and
//! the log keep a moment of it while the core goes on. Exactly one function changes it,
//! [`State::apply`], whether a change was just decided, comes from a peer or is read from the log.

use std::hint::black_box;
use std::sync::Arc;

use aurora_api::api;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, VectorSync};

use super::index::Index;
use super::name::{Agent, Fixed, JobKey, TaskId, Text, half_hash_of};
use super::op::{Op, Transaction, UpdateKey};
use super::paged::Paged;
use super::rows::{Marks, Row, Rows};
use super::status::{Status, StatusSet};
use super::task::{Host, Task};

/// All that is durable, with its indexes.
#[derive(Clone, Debug)]
pub struct State {
    framework: Option<Text>,
    /// Few to a page: the first change of a page after a clone touches all of its tasks.
    tasks: Paged<Option<Arc<Task>>, 8>,
    /// Rows of `tasks` that are empty, to be used again.
    free: VectorSync<Row>,
    by_id: Index,
    by_job: RedBlackTreeMapSync<JobKey, Rows>,
    by_status: [Marks; Status::COUNT],
    /// Tasks that have, or last had, a place.
    by_host: Index,
    hosts: HashTrieMapSync<Text, Arc<Host>, Fixed>,
    crons: RedBlackTreeMapSync<JobKey, Arc<api::JobConfiguration>>,
    quotas: RedBlackTreeMapSync<Text, Arc<api::ResourceAggregate>>,
    updates: RedBlackTreeMapSync<UpdateKey, Update>,
    drains: RedBlackTreeMapSync<Text, Arc<api::HostMaintenanceRequest>>,
}

/// An update and all that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The update.
    pub update: Arc<api::JobUpdate>,
    /// States that it entered, oldest first.
    pub events: VectorSync<api::JobUpdateEvent>,
    /// Steps for single instances, oldest first.
    pub instance_events: VectorSync<api::JobInstanceUpdateEvent>,
}

impl Update {
    /// Is it not over? One without events has not begun, and counts.
    pub fn is_active(&self) -> bool {
        let status = self.events.last().and_then(|event| event.status);
        status.is_none_or(|status| api::ACTIVE_JOB_UPDATE_STATES.contains(&status))
    }
}

impl Default for State {
    fn default() -> State {
        State {
            framework: None,
            tasks: Paged::default(),
            free: VectorSync::new_sync(),
            by_id: Index::default(),
            by_job: RedBlackTreeMapSync::new_sync(),
            by_status: Default::default(),
            by_host: Index::default(),
            hosts: HashTrieMapSync::new_with_hasher_and_ptr_kind(Fixed::default()),
            crons: RedBlackTreeMapSync::new_sync(),
            quotas: RedBlackTreeMapSync::new_sync(),
            updates: RedBlackTreeMapSync::new_sync(),
            drains: RedBlackTreeMapSync::new_sync(),
        }
    }
}

// ------------------------------------------------------------------------------------------ Changes

impl State {
    /// Makes all changes of a transaction.
    pub fn apply_all(&mut self, transaction: &Transaction) {
        for op in &transaction.ops {
            self.apply(op);
        }
    }

    /// Makes a change. The only function that does.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::SaveFramework(id) => self.framework = Some(id.clone()),
            Op::SaveTasks(tasks) => {
                // New instances of a job come one after the other: they join it together.
                for tasks in tasks.chunk_by(|one, next| one.config.job == next.config.job) {
                    let new: Vec<Row> =
                        tasks.iter().filter_map(|task| self.save_task(task)).collect();
                    if let (Some(task), false) = (tasks.first(), new.is_empty()) {
                        self.join_job(&task.config.job, &new);
                    }
                }
            }
            Op::RemoveTasks(ids) => {
                for id in ids {
                    self.remove_task(id);
                }
            }
            Op::SaveHost(host) => self.hosts.insert_mut(host.name.clone(), host.clone()),
            Op::SaveCron(job, cron) => self.crons.insert_mut(job.clone(), cron.clone()),
            Op::RemoveCron(job) => _ = self.crons.remove_mut(job),
            Op::SaveQuota(role, quota) => self.quotas.insert_mut(role.clone(), quota.clone()),
            Op::RemoveQuota(role) => _ = self.quotas.remove_mut(role),
            Op::SaveUpdate(key, update) => match self.updates.get_mut(key) {
                Some(row) => row.update = update.clone(),
                None => {
                    let row = Update {
                        update: update.clone(),
                        events: VectorSync::new_sync(),
                        instance_events: VectorSync::new_sync(),
                    };
                    self.updates.insert_mut(key.clone(), row);
                }
            },
            Op::SaveUpdateEvent(key, event) => {
                if let Some(row) = self.updates.get_mut(key) {
                    row.events.push_back_mut(event.clone());
                }
            }
            Op::SaveInstanceEvent(key, event) => {
                if let Some(row) = self.updates.get_mut(key) {
                    row.instance_events.push_back_mut(event.clone());
                }
            }
            Op::RemoveUpdates(keys) => {
                for key in keys {
                    self.updates.remove_mut(key);
                }
            }
            Op::SaveDrain(host, wish) => self.drains.insert_mut(host.clone(), wish.clone()),
            Op::RemoveDrain(host) => _ = self.drains.remove_mut(host),
        }
    }

    /// Creates or replaces a task. The row of a new one is to be joined to its job.
    fn save_task(&mut self, task: &Arc<Task>) -> Option<Row> {
        let Some(row) = self.row_of(&task.id) else { return Some(self.add_task(task)) };
        task.id.is_at(row);
        let old = self.tasks.get_mut(row as usize)?.replace(task.clone())?;
        if old.status != task.status {
            self.by_status[old.status as usize].remove(row);
            self.by_status[task.status as usize].insert(row);
        }
        if old.host() != task.host() {
            self.leave_host(&old, row);
            self.join_host(task, row);
        }
        if old.config.job != task.config.job {
            self.leave_job(&old.config.job, row);
            self.join_job(&task.config.job, &[row]);
        }
        None
    }

    fn add_task(&mut self, task: &Arc<Task>) -> Row {
        let row = match self.free.last() {
            Some(&row) => {
                self.free.drop_last_mut();
                if let Some(slot) = self.tasks.get_mut(row as usize) {
                    *slot = Some(task.clone());
                }
                row
            }
            None => {
                self.tasks.push(Some(task.clone()));
                (self.tasks.len() - 1) as Row
            }
        };
        self.by_id.insert(task.id.hash(), row);
        task.id.is_at(row);
        self.by_status[task.status as usize].insert(row);
        self.join_host(task, row);
        row
    }

    fn remove_task(&mut self, id: &TaskId) {
        let Some(row) = self.row_of(id) else { return };
        self.by_id.remove(id.hash(), row);
        let Some(task) = self.tasks.get_mut(row as usize).and_then(Option::take) else { return };
        self.free.push_back_mut(row);
        self.by_status[task.status as usize].remove(row);
        self.leave_job(&task.config.job, row);
        self.leave_host(&task, row);
    }

    fn join_job(&mut self, job: &JobKey, new: &[Row]) {
        match self.by_job.get_mut(job) {
            Some(rows) => new.iter().for_each(|row| rows.insert(*row)),
            None => {
                let mut rows = Rows::default();
                new.iter().for_each(|row| rows.insert(*row));
                self.by_job.insert_mut(job.clone(), rows);
            }
        }
    }

    fn leave_job(&mut self, job: &JobKey, row: Row) {
        let Some(rows) = self.by_job.get_mut(job) else { return };
        rows.remove(row);
        if rows.is_empty() {
            self.by_job.remove_mut(job);
        }
    }

    fn join_host(&mut self, task: &Task, row: Row) {
        if let Some(agent) = &task.agent {
            self.by_host.insert(agent.host_hash(), row);
        }
    }

    fn leave_host(&mut self, task: &Task, row: Row) {
        if let Some(agent) = &task.agent {
            self.by_host.remove(agent.host_hash(), row);
        }
    }
}

// -------------------------------------------------------------------------------------------- Reads

impl State {
    /// The id that Mesos gave the scheduler.
    pub fn framework(&self) -> Option<&Text> {
        self.framework.as_ref()
    }

    /// How many tasks are stored.
    pub fn task_count(&self) -> usize {
        self.by_id.len()
    }

    /// The task of this id.
    pub fn task(&self, id: &TaskId) -> Option<&Arc<Task>> {
        self.find(id).map(|(_, task)| task)
    }

    /// Reads the memory that is needed to look for tasks of these ids, or to add them: of all of them
    /// together, as no one waits for another.
    pub(super) fn touch(&self, ids: &[TaskId]) {
        black_box(ids.iter().map(|id| self.by_id.touch(id.hash())).fold(0, u32::wrapping_add));
    }

    /// Reads the memory that is needed to let a task have its place on a host.
    pub(super) fn touch_host(&self, agent: &Agent) -> u32 {
        self.by_host.touch(agent.host_hash())
    }

    fn find(&self, id: &TaskId) -> Option<(Row, &Arc<Task>)> {
        let task_at = |row| self.task_at(row).filter(|task| task.id == *id).map(|task| (row, task));
        task_at(id.row()).or_else(|| self.by_id.find(id.hash()).find_map(task_at))
    }

    pub(super) fn task_at(&self, row: Row) -> Option<&Arc<Task>> {
        self.tasks.get(row as usize)?.as_ref()
    }

    pub(super) fn row_of(&self, id: &TaskId) -> Option<Row> {
        self.find(id).map(|(row, _)| row)
    }

    pub(super) fn all_rows(&self) -> std::ops::Range<Row> {
        0..self.tasks.len() as Row
    }

    /// All tasks, in order of their rows.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks.iter().flatten()
    }

    /// The tasks of a job.
    pub fn tasks_of_job(&self, job: &JobKey) -> impl Iterator<Item = &Arc<Task>> {
        self.rows_of_job(job).filter_map(|row| self.task_at(row))
    }

    pub(super) fn rows_of_job(&self, job: &JobKey) -> impl Iterator<Item = Row> + '_ {
        self.by_job.get(job).into_iter().flat_map(Rows::iter)
    }

    /// Those tasks of a job that count as its instances.
    pub fn active_tasks_of_job(&self, job: &JobKey) -> impl Iterator<Item = &Arc<Task>> {
        self.tasks_of_job(job).filter(|task| task.status.is_active())
    }

    /// The tasks in one of some states, state by state.
    pub fn tasks_in(&self, statuses: StatusSet) -> impl Iterator<Item = &Arc<Task>> {
        self.rows_in(statuses).filter_map(|row| self.task_at(row))
    }

    pub(super) fn rows_in(&self, statuses: StatusSet) -> impl Iterator<Item = Row> + '_ {
        statuses.iter().flat_map(|status| self.by_status[status as usize].iter())
    }

    /// How many tasks are in a state.
    pub fn count_in(&self, status: Status) -> usize {
        self.by_status[status as usize].len()
    }

    /// The tasks that have, or last had, their place on a host.
    pub fn tasks_on(&self, host: &str) -> impl Iterator<Item = &Arc<Task>> {
        self.rows_on(host).filter_map(|row| self.task_at(row))
    }

    pub(super) fn rows_on(&self, host: &str) -> impl Iterator<Item = Row> + '_ {
        let is_there = |row: &Row| {
            self.task_at(*row).and_then(|task| task.host()).is_some_and(|there| **there == *host)
        };
        let mut rows: Vec<Row> = self.by_host.find(half_hash_of(host)).filter(is_there).collect();
        rows.sort_unstable();
        rows.into_iter()
    }

    /// Jobs with tasks, in order.
    pub fn jobs(&self) -> impl Iterator<Item = &JobKey> {
        self.by_job.keys()
    }

    /// Jobs of a role with tasks, in order.
    pub fn jobs_of_role<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a JobKey> {
        let least = JobKey::least_of_role(role);
        self.by_job.range(least..).map(|(job, _)| job).take_while(move |job| job.role() == role)
    }

    /// What is known of a host.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.hosts.get(name)
    }

    /// All hosts, in no particular order.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<Host>> {
        self.hosts.values()
    }

    /// The cron job of this key.
    pub fn cron(&self, job: &JobKey) -> Option<&Arc<api::JobConfiguration>> {
        self.crons.get(job)
    }

    /// All cron jobs, in order.
    pub fn crons(&self) -> impl Iterator<Item = (&JobKey, &Arc<api::JobConfiguration>)> {
        self.crons.iter()
    }

    /// All quotas, by role.
    pub fn quotas(&self) -> impl Iterator<Item = (&Text, &Arc<api::ResourceAggregate>)> {
        self.quotas.iter()
    }

    /// The quota of a role.
    pub fn quota(&self, role: &str) -> Option<&Arc<api::ResourceAggregate>> {
        self.quotas.get(role)
    }

    /// All updates, by job.
    pub fn updates(&self) -> impl Iterator<Item = (&UpdateKey, &Update)> {
        self.updates.iter()
    }

    /// The update of a job that is not over. There is at most one.
    pub fn active_update(&self, job: &JobKey) -> Option<(&UpdateKey, &Update)> {
        let least = UpdateKey { job: job.clone(), id: Text::from("") };
        let mut of_job = self.updates.range(least..).take_while(|(key, _)| key.job == *job);
        of_job.find(|(_, update)| update.is_active())
    }

    /// All wishes to drain hosts, by host.
    pub fn drains(&self) -> impl Iterator<Item = (&Text, &Arc<api::HostMaintenanceRequest>)> {
        self.drains.iter()
    }
}

/// Two states are equal if they hold the same, whatever the rows.
impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        self.framework == other.framework
            && self.task_count() == other.task_count()
            && self.tasks().all(|task| other.task(&task.id) == Some(task))
            && self.hosts == other.hosts
            && self.crons == other.crons
            && self.quotas == other.quotas
            && self.updates == other.updates
            && self.drains == other.drains
    }
}

#[cfg(test)]
impl State {
    /// Panics unless every index says what the table of tasks says.
    pub(super) fn check_indexes(&self) {
        let mut entries = [0; 4];
        for (number, task) in self.tasks.iter().enumerate() {
            let row = number as Row;
            let Some(task) = task else {
                entries[3] += 1;
                assert!(self.free.iter().any(|free| *free == row), "row {row} is lost");
                continue;
            };
            assert_eq!(self.row_of(&task.id), Some(row));
            assert!(self.rows_of_job(&task.config.job).any(|r| r == row), "{task:?}");
            assert!(self.rows_in(StatusSet::of(&[task.status])).any(|r| r == row), "{task:?}");
            entries[0] += 1;
            if let Some(host) = task.host() {
                assert!(self.rows_on(host).any(|r| r == row), "{task:?}");
                entries[1] += 1;
            }
        }
        assert_eq!(self.by_id.len(), entries[0]);
        assert_eq!(self.by_job.values().map(Rows::len).sum::<usize>(), entries[0]);
        assert_eq!(self.by_status.iter().map(Marks::len).sum::<usize>(), entries[0]);
        assert_eq!(self.by_host.len(), entries[1]);
        assert_eq!(self.free.len(), entries[3]);
        assert!(self.by_job.values().all(|rows| !rows.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use aurora_api::{binary, storage};
    use proptest::prelude::*;

    use super::*;
    use crate::core::convert::Pool;
    use crate::core::name::Agent;
    use crate::core::query::Query;

    /// A step of a random history: (task, job, status, host); no status removes the task.
    type Step = (u8, u8, Option<usize>, u8);

    fn op(pool: &mut Pool, (task, job, status, host): Step) -> Op {
        let id = TaskId::from(&*format!("task-{task}"));
        let Some(status) = status else { return Op::RemoveTasks(vec![id]) };
        let key = api::JobKey {
            role: Some(format!("role{}", job % 2)),
            environment: Some("env".into()),
            name: Some(format!("job{job}")),
            ..Default::default()
        };
        let config = api::TaskConfig { job: Some(key), ..Default::default() };
        let agent = Agent::new("agent", format!("host{host}"));
        Op::SaveTasks(vec![Arc::new(Task {
            id,
            config: pool.configs.intern(config).unwrap(),
            instance: i32::from(task),
            status: Status::ALL[status],
            failures: 0,
            partitions: 0,
            ancestor: None,
            agent: (host > 0).then(|| Arc::new(agent)),
            ports: Box::default(),
            events: Box::default(),
        })])
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let status = prop::option::weighted(0.8, 0..Status::COUNT);
        prop::collection::vec((0..20_u8, 0..5_u8, status, 0..4_u8), 0..200)
    }

    proptest! {
        #[test]
        fn indexes_follow_tasks_and_snapshots_stay(steps in steps()) {
            let (mut state, mut pool) = (State::default(), Pool::default());
            let mut kept = (state.clone(), Vec::new());
            for (number, step) in steps.iter().enumerate() {
                state.apply(&op(&mut pool, *step));
                if number == 50 {
                    kept = (state.clone(), state.tasks().cloned().collect());
                }
            }
            state.check_indexes();
            kept.0.check_indexes();
            prop_assert!(kept.0.tasks().eq(kept.1.iter()));
        }

        #[test]
        fn replay_leads_to_the_same_state(steps in steps()) {
            let (mut state, mut replayed) = (State::default(), State::default());
            let (mut pool, mut other) = (Pool::default(), Pool::default());
            for step in steps {
                let op = op(&mut pool, step);
                state.apply(&op);
                let bytes = binary::to_vec(&storage::Op::from(&op));
                let read = other.op(binary::from_slice(&bytes).unwrap()).unwrap().unwrap();
                prop_assert_eq!(&read, &op);
                replayed.apply(&read);
            }
            prop_assert_eq!(state, replayed);
        }

        /// Whatever index a query uses, it finds what a look at every task finds.
        #[test]
        fn queries_find_what_matches(
            steps in steps(),
            role in prop::option::of("role[0-2]"),
            environment in prop::option::of("env"),
            name in prop::option::of("job[0-4]"),
            ids in prop::collection::btree_set(0..25_u8, 0..4),
            hosts in prop::collection::btree_set("host[1-4]", 0..3),
            jobs in prop::collection::btree_set(0..5_u8, 0..3),
            statuses in prop::option::of(prop::collection::vec(0..Status::COUNT, 0..4)),
            instances in prop::collection::btree_set(0..20, 0..4),
        ) {
            let (mut state, mut pool) = (State::default(), Pool::default());
            for step in steps {
                state.apply(&op(&mut pool, step));
            }
            let key = |job| JobKey::new(&format!("role{}", job % 2), "env", &format!("job{job}"));
            let query = Query {
                role,
                environment,
                name,
                ids: ids.iter().map(|id| TaskId::from(&*format!("task-{id}"))).collect(),
                statuses: statuses.map(|set| set.into_iter().map(|s| Status::ALL[s]).collect()),
                instances,
                hosts: hosts.iter().map(|host| Text::from(&**host)).collect(),
                jobs: jobs.into_iter().map(key).collect(),
                ..Query::default()
            };
            let mut found: Vec<_> = state.query(&query).map(|task| task.id.clone()).collect();
            let matching = state.tasks().filter(|task| query.matches(task));
            let mut expected: Vec<_> = matching.map(|task| task.id.clone()).collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
