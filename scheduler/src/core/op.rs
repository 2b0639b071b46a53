//! Durable changes.
//!
//! Source: `storage.thrift` (`Op`, `Transaction`), which is also their form in the log.

use std::sync::Arc;

use aurora_api::api;

use super::name::{JobKey, Map, TaskId, Text};
use super::task::{Host, Task};

/// A change of the state.
///
/// Cron jobs, quotas, updates and wishes to drain hosts are carried in the form of the interface:
/// the core keeps them and decides nothing by them yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Keeps the id that Mesos gave the scheduler.
    SaveFramework(Text),
    /// Creates or replaces tasks.
    SaveTasks(Vec<Arc<Task>>),
    /// Removes tasks. Those that do not exist are passed over.
    RemoveTasks(Vec<TaskId>),
    /// Sets what is known of a host.
    SaveHost(Arc<Host>),
    /// Creates or replaces a cron job.
    SaveCron(JobKey, Arc<api::JobConfiguration>),
    /// Removes a cron job.
    RemoveCron(JobKey),
    /// Sets the quota of a role.
    SaveQuota(Text, Arc<api::ResourceAggregate>),
    /// Removes the quota of a role.
    RemoveQuota(Text),
    /// Creates an update.
    SaveUpdate(UpdateKey, Arc<api::JobUpdate>),
    /// Adds an event to an update.
    SaveUpdateEvent(UpdateKey, api::JobUpdateEvent),
    /// Adds an event of an instance to an update.
    SaveInstanceEvent(UpdateKey, api::JobInstanceUpdateEvent),
    /// Removes updates.
    RemoveUpdates(Vec<UpdateKey>),
    /// Creates or replaces a wish to drain a host.
    SaveDrain(Text, Arc<api::HostMaintenanceRequest>),
    /// Removes the wish to drain a host.
    RemoveDrain(Text),
}

/// Names an update of a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateKey {
    /// The job.
    pub job: JobKey,
    /// Unique within the job.
    pub id: Text,
}

/// Changes that are made together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// The changes, in order.
    pub ops: Vec<Op>,
}

/// A transaction in the making.
///
/// An op is merged with the one right before it if that loses nothing: tasks saved one after the
/// other become one op with the last value of each.
#[derive(Debug, Default)]
pub struct Draft {
    ops: Vec<Op>,
    /// Where the last op has which task, if it saves any.
    saved: Map<TaskId, usize>,
}

impl Draft {
    /// Adds a change.
    pub fn push(&mut self, op: Op) {
        match (self.ops.last_mut(), op) {
            (Some(Op::SaveTasks(tasks)), Op::SaveTasks(more)) => {
                for task in more {
                    match self.saved.get(&task.id) {
                        Some(&place) => tasks[place] = task,
                        None => {
                            self.saved.insert(task.id.clone(), tasks.len());
                            tasks.push(task);
                        }
                    }
                }
            }
            (Some(Op::RemoveTasks(ids)), Op::RemoveTasks(more)) => ids.extend(more),
            (Some(Op::SaveFramework(id)), Op::SaveFramework(newer)) => *id = newer,
            (_, op) => {
                self.saved.clear();
                if let Op::SaveTasks(tasks) = &op {
                    self.saved.extend(tasks.iter().enumerate().map(|(i, t)| (t.id.clone(), i)));
                }
                self.ops.push(op);
            }
        }
    }

    /// The changes since the last time; `None` if there are none.
    pub fn take(&mut self) -> Option<Transaction> {
        // To clear a table costs what it has room for, and after a large job that would be much.
        if self.saved.capacity() > 1024 {
            self.saved = Map::default();
        }
        self.saved.clear();
        let ops = std::mem::take(&mut self.ops);
        (!ops.is_empty()).then_some(Transaction { ops })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::convert::Pool;
    use crate::core::status::Status;

    fn task(id: &str, status: Status) -> Arc<Task> {
        let job = api::JobKey {
            role: Some("r".into()),
            environment: Some("e".into()),
            name: Some("n".into()),
            ..Default::default()
        };
        let config = api::TaskConfig { job: Some(job), ..Default::default() };
        Arc::new(Task {
            id: id.into(),
            config: Pool::default().configs.intern(config).unwrap(),
            instance: 0,
            status,
            failures: 0,
            partitions: 0,
            ancestor: None,
            agent: None,
            ports: Box::default(),
            events: Box::default(),
        })
    }

    #[test]
    fn neighbours_are_merged() {
        use Status::{Assigned, Pending};
        let save = |id, status| Op::SaveTasks(vec![task(id, status)]);
        let mut draft = Draft::default();
        draft.push(save("a", Pending));
        draft.push(save("b", Pending));
        draft.push(save("a", Assigned));
        draft.push(Op::RemoveTasks(vec!["a".into()]));
        draft.push(Op::RemoveTasks(vec!["b".into()]));
        draft.push(save("a", Pending));
        draft.push(Op::SaveFramework("x".into()));
        draft.push(Op::SaveFramework("y".into()));
        draft.push(save("a", Assigned));
        let expected = vec![
            Op::SaveTasks(vec![task("a", Assigned), task("b", Pending)]),
            Op::RemoveTasks(vec!["a".into(), "b".into()]),
            save("a", Pending),
            Op::SaveFramework("y".into()),
            save("a", Assigned),
        ];
        assert_eq!(draft.take(), Some(Transaction { ops: expected }));
        assert_eq!(draft.take(), None);
    }
}
