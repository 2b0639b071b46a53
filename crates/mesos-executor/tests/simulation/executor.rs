//! The executor: reports the states of its tasks, one after the other.

use std::time::Duration;

use mesos_executor::Event;
use mesos_executor::session::Command;
use mesos_executor::v1::{TaskId, TaskState, TaskStatus};

use super::World;
use super::agent::task;
use super::later::Later;

impl World {
    /// What it does about an event.
    pub(super) fn executor(&mut self, event: Event) {
        match event {
            Event::Launch(info) => {
                let id = info.task_id.value.clone();
                assert_eq!(*info, task(&id, "executor"), "an altered task");
                if self.reported.contains_key(&id) {
                    return;
                }
                let terminal = [
                    TaskState::TaskFinished,
                    TaskState::TaskFailed,
                    TaskState::TaskKilled,
                    TaskState::TaskLost,
                ][self.random.below(4) as usize];
                let mut plan = vec![TaskState::TaskStarting, TaskState::TaskRunning];
                if self.random.chance(30) {
                    plan.push(TaskState::TaskKilling);
                }
                plan.push(terminal);
                self.plans.insert(id.clone(), plan);
                self.reported.insert(id.clone(), Vec::new());
                self.report(&id);
            }
            Event::Shutdown => {
                assert_eq!(self.shut_down, None, "told twice");
                self.shut_down = Some(self.now);
                self.idle_since = None;
                let ids: Vec<String> = self.plans.keys().cloned().collect();
                for id in ids {
                    if let Some(plan) = self.plans.get_mut(&id) {
                        let last = plan.pop();
                        plan.clear();
                        plan.extend(last);
                    }
                    self.report(&id);
                }
                self.flush();
            }
            Event::Flushed { unsent, unacknowledged } => {
                self.flushing = false;
                self.flushed = Some((self.now, unsent, unacknowledged));
            }
            Event::GaveUp(reason) => self.gave_up = Some(reason),
            Event::Refused { status, reason } => panic!("refused {status:?}: {reason}"),
            Event::Disconnected { .. } => self.disconnects += 1,
            _ => {}
        }
    }

    /// Reports the next state of a task.
    pub(super) fn report(&mut self, id: &str) {
        let Some(plan) = self.plans.get_mut(id) else { return };
        if plan.is_empty() {
            return;
        }
        let state = plan.remove(0);
        if plan.is_empty() {
            self.plans.remove(id);
        } else {
            let slow = self.random.chance(33);
            let after = self.random.ms(if slow { 20 } else { 3000 });
            self.later(after, Later::Report { task: id.to_owned() });
        }
        self.reported.get_mut(id).unwrap().push(state);
        let status = TaskStatus {
            task_id: TaskId { value: id.to_owned() },
            state: state.into(),
            ..Default::default()
        };
        self.later(Duration::ZERO, Later::Command(Command::Update(Box::new(status))));
    }

    pub(super) fn flush(&mut self) {
        if !self.flushing {
            self.flushing = true;
            let within = Duration::from_secs(60);
            self.later(Duration::ZERO, Later::Command(Command::Flush { within }));
        }
    }
}
