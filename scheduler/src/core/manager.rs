//! Changes of tasks: inserted, moved from state to state, removed.
//!
//! The ledger is the only place where tasks change. It applies what it decides to the state at once,
//! collects it in a draft for the log, and notes which tasks changed so that timers, groups and
//! listeners follow.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::config::Config;
use super::convert::Pool;
use super::dice::Dice;
use super::machine::{self, Action, Facts, Outcome, Phase};
use super::name::{Agent, JobKey, Millis, TaskId, Text};
use super::op::{Draft, Op, Transaction};
use super::reschedule;
use super::settings::Settings;
use super::state::State;
use super::stats::Stats;
use super::status::Status;
use super::task::{Host, Task, TaskEvent};

/// A change that others follow.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A task entered a state. By now it may be in another one.
    Moved {
        /// The task as it was stored then.
        task: Arc<Task>,
        /// The state it left; unset for a new task.
        from: Option<Status>,
    },
    /// Tasks were forgotten.
    Deleted(Vec<Arc<Task>>),
}

/// Why tasks cannot be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotInserted {
    /// No instances were given.
    Empty,
    /// One of the instances exists.
    Collision,
}

/// The state and all that is needed to change it.
#[derive(Debug)]
pub struct Ledger {
    /// All that is durable, and what will be.
    pub state: State,
    /// Shared values.
    pub pool: Pool,
    /// Chance.
    pub dice: Dice,
    /// Counters.
    pub stats: Stats,
    /// What operators set.
    pub settings: Settings,
    /// The moment that is now.
    pub now: Millis,
    draft: Draft,
    changes: VecDeque<Change>,
    kills: Vec<TaskId>,
}

impl Ledger {
    /// A ledger of this state.
    pub fn new(state: State, pool: Pool, settings: Settings, dice: Dice, now: Millis) -> Ledger {
        Ledger {
            state,
            pool,
            dice,
            stats: Stats::default(),
            settings,
            now,
            draft: Draft::default(),
            changes: VecDeque::new(),
            kills: Vec::new(),
        }
    }

    /// Makes a change and drafts it for the log.
    pub fn record(&mut self, op: Op) {
        self.state.apply(&op);
        self.draft.push(op);
    }

    /// What is to be made durable since the last time.
    pub fn take_transaction(&mut self) -> Option<Transaction> {
        self.draft.take()
    }

    /// The oldest change that nobody followed yet.
    pub fn next_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// Tasks to be killed since the last time, in order. A task may occur more than once.
    pub fn take_kills(&mut self) -> Vec<TaskId> {
        std::mem::take(&mut self.kills)
    }

    /// Has Mesos kill a task.
    pub fn kill(&mut self, id: &TaskId) {
        self.kills.push(id.clone());
    }

    /// Saves what is known of a host, if that is news.
    pub fn save_host(&mut self, host: Arc<Host>) -> bool {
        let news = self.state.host(&host.name) != Some(&host);
        if news {
            self.record(Op::SaveHost(host));
        }
        news
    }

    /// Creates tasks that wait for a place.
    pub fn insert_pending(
        &mut self,
        config: &Arc<Config>,
        instances: impl IntoIterator<Item = i32>,
    ) -> Result<Vec<TaskId>, NotInserted> {
        let mut taken: HashSet<i32> =
            self.state.active_tasks_of_job(&config.job).map(|task| task.instance).collect();
        let instances: Vec<i32> = instances.into_iter().collect();
        if instances.is_empty() {
            return Err(NotInserted::Empty);
        }
        if !instances.iter().all(|instance| taken.insert(*instance)) {
            return Err(NotInserted::Collision);
        }
        let ids = self.fresh_ids(&config.job, &instances);
        let events: Box<[TaskEvent]> = [self.event(Status::Pending, None)].into();
        let new = |id, instance| Task {
            id,
            config: config.clone(),
            instance,
            status: Status::Pending,
            failures: 0,
            partitions: 0,
            ancestor: None,
            agent: None,
            ports: Box::default(),
            events: events.clone(),
        };
        let tasks = ids.iter().cloned().zip(instances);
        let tasks: Vec<Arc<Task>> = tasks.map(|(id, i)| Arc::new(new(id, i))).collect();
        let moved = |task: &Arc<Task>| Change::Moved { task: task.clone(), from: None };
        self.changes.extend(tasks.iter().map(moved));
        self.record(Op::SaveTasks(tasks));
        Ok(ids)
    }

    /// Moves a task to a state, if it is in the expected one and may.
    pub fn change(
        &mut self,
        id: &TaskId,
        expected: Option<Status>,
        to: Status,
        message: Option<Text>,
    ) -> Outcome {
        self.change_and(id, expected, to, message, |_| ())
    }

    /// Gives a waiting task its place.
    pub fn assign(
        &mut self,
        id: &TaskId,
        agent: &Arc<Agent>,
        ports: Box<[(Text, i32)]>,
    ) -> Outcome {
        self.change_and(id, Some(Status::Pending), Status::Assigned, None, |task| {
            task.agent = Some(agent.clone());
            task.ports = ports;
        })
    }

    fn change_and(
        &mut self,
        id: &TaskId,
        expected: Option<Status>,
        to: Status,
        message: Option<Text>,
        edit: impl FnOnce(&mut Task),
    ) -> Outcome {
        let old = self.state.task(id).cloned();
        let from = old.as_ref().map(|task| task.status);
        if expected.is_some() && expected != from {
            return Outcome::Unexpected;
        }
        let facts = old.as_ref().map_or(Facts::default(), |task| Facts {
            service: task.config.is_service,
            max_failures: task.config.max_failures,
            failures: task.failures,
            was_killing: task.has_been(Status::Killing),
        });
        let phase = from.map_or(Phase::Deleted, Phase::Stored);
        let (outcome, actions) = machine::decide(phase, Phase::Stored(to), facts);
        if matches!(outcome, Outcome::Illegal | Outcome::IllegalWithKill) {
            self.stats.scheduler_illegal_task_state_transitions += 1;
        }
        let mut edit = Some(edit);
        let mut saved = None;
        for action in actions.iter() {
            match (action, &old) {
                (Action::Kill, _) => self.kill(id),
                (Action::Delete, _) => self.remove(std::slice::from_ref(id)),
                (Action::GiveUp, _) => {
                    let message = "Action performed on partitioned task, marking as LOST.";
                    self.change(id, None, Status::Lost, Some(message.into()));
                }
                (Action::Save, Some(old)) => {
                    let mut task = self.moved(old, to, message.clone());
                    let more = i32::from(actions.has(Action::CountFailure));
                    task.failures = task.failures.saturating_add(more);
                    if let Some(edit) = edit.take() {
                        edit(&mut task);
                    }
                    let task = Arc::new(task);
                    self.record(Op::SaveTasks(vec![task.clone()]));
                    saved = Some(task);
                }
                (Action::Reschedule, Some(old)) => {
                    self.reschedule(saved.as_ref().unwrap_or(old));
                }
                // Counted while saving; nothing is saved or started anew of a task that is not.
                (Action::CountFailure, _) | (_, None) => {}
            }
        }
        if let Some(task) = saved {
            self.changes.push_back(Change::Moved { task, from });
        }
        outcome
    }

    /// Forgets tasks. Those that do not exist are passed over.
    pub fn remove(&mut self, ids: &[TaskId]) {
        let tasks: Vec<_> = ids.iter().filter_map(|id| self.state.task(id)).cloned().collect();
        if !tasks.is_empty() {
            self.record(Op::RemoveTasks(tasks.iter().map(|task| task.id.clone()).collect()));
            self.changes.push_back(Change::Deleted(tasks));
        }
    }

    /// A task as it is after it entered a state.
    fn moved(&self, old: &Task, to: Status, message: Option<Text>) -> Task {
        let mut events = Vec::with_capacity(old.events.len() + 1);
        events.extend_from_slice(&old.events);
        if to == Status::Partitioned {
            forget_cycle(&mut events);
        }
        events.push(self.event(to, message));
        Task {
            id: old.id.clone(),
            config: old.config.clone(),
            instance: old.instance,
            status: to,
            failures: old.failures,
            partitions: old.partitions.saturating_add(i32::from(to == Status::Partitioned)),
            ancestor: old.ancestor.clone(),
            agent: old.agent.clone(),
            ports: old.ports.clone(),
            events: events.into(),
        }
    }

    /// Starts the instance of a task that ended anew.
    fn reschedule(&mut self, old: &Task) {
        let penalty = reschedule::penalty(&self.state, old, &self.settings, &mut self.dice);
        let (status, message) = if penalty > 0 {
            let message = format!("Rescheduled, penalized for {penalty} ms for flapping");
            (Status::Throttled, message)
        } else {
            (Status::Pending, "Rescheduled".to_owned())
        };
        let Some(id) = self.fresh_ids(&old.config.job, &[old.instance]).pop() else { return };
        let task = Arc::new(Task {
            id,
            config: old.config.clone(),
            instance: old.instance,
            status,
            failures: old.failures,
            partitions: 0,
            ancestor: Some(old.id.clone()),
            agent: None,
            ports: Box::default(),
            events: [self.event(status, Some(message.into()))].into(),
        });
        self.record(Op::SaveTasks(vec![task.clone()]));
        self.changes.push_back(Change::Moved { task, from: None });
    }

    /// Ids that no stored task has, even if somebody used the same seed twice.
    fn fresh_ids(&mut self, job: &JobKey, instances: &[i32]) -> Vec<TaskId> {
        let new = |dice: &mut Dice, instance: &i32| TaskId::new(job, *instance, dice.bytes());
        let dice = &mut self.dice;
        let mut ids: Vec<_> = instances.iter().map(|instance| new(dice, instance)).collect();
        // All of them are looked for in one go: then they wait for memory together.
        self.state.touch(&ids);
        for (id, instance) in ids.iter_mut().zip(instances) {
            while self.state.task(id).is_some() {
                *id = new(&mut self.dice, instance);
            }
        }
        ids
    }

    fn event(&self, status: Status, message: Option<Text>) -> TaskEvent {
        TaskEvent {
            at: self.now,
            status,
            message,
            scheduler: Some(self.settings.scheduler.clone()),
        }
    }
}

/// Keeps the history of a task short whose agent comes and goes: of X, PARTITIONED, X only the first
/// X is kept before the next PARTITIONED.
fn forget_cycle(events: &mut Vec<TaskEvent>) {
    if let [.., before, cut, after] = events.as_slice()
        && before.status == after.status
        && cut.status == Status::Partitioned
    {
        events.truncate(events.len() - 2);
    }
}
