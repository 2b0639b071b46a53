//! What an agent takes with it when it goes.

use mesos_executor::session::is_terminal;
use mesos_scheduler::v1::scheduler::Event;
use mesos_scheduler::v1::scheduler::event::{Failure, Type};
use mesos_scheduler::v1::task_status::Reason;
use mesos_scheduler::v1::{TaskId, TaskState, TaskStatus};

use super::{Effect, Leaving, Master, Now, Task, agent_id, executor_id, of_type, time};

impl Master {
    pub(super) fn agent_removed(
        &mut self,
        now: Now,
        agent: &str,
        leaving: Leaving,
        out: &mut Vec<Effect>,
    ) {
        let Some(info) = self.agents.remove(agent) else { return };
        self.left.insert(agent.to_owned(), leaving);
        let offers: Vec<String> = self
            .offers
            .iter()
            .filter(|(_, offer)| offer.agent == agent)
            .map(|(id, _)| id.clone())
            .collect();
        for offer in offers {
            self.rescind(&offer, out);
        }
        let (state, reason, text) = match leaving {
            Leaving::Unregistered => (
                TaskState::TaskLost,
                Reason::AgentRemoved,
                format!("Agent {} removed: the agent unregistered", info.hostname),
            ),
            Leaving::Unreachable => (
                TaskState::TaskUnreachable,
                Reason::AgentRemoved,
                "health check timed out".to_owned(),
            ),
            Leaving::Gone => (
                TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
                "Agent has been marked gone".to_owned(),
            ),
        };
        let ids: Vec<String> = self.frameworks.keys().cloned().collect();
        for id in ids {
            let Some(framework) = self.frameworks.get_mut(&id) else { continue };
            framework.executors.retain(|(of, _), _| of != agent);
            let lost = framework.tasks.extract_if(.., |_, task| task.agent == agent);
            let lost: Vec<(String, Task)> = lost.collect();
            for (task_id, task) in lost {
                if let Some(framework) = self.frameworks.get_mut(&id) {
                    // Nobody can send these any more.
                    framework.updates.remove(&task_id);
                }
                if is_terminal(task.latest.state()) {
                    continue;
                }
                let mut status = TaskStatus {
                    task_id: TaskId { value: task_id.clone() },
                    state: state.into(),
                    message: Some(text.clone()),
                    reason: Some(reason.into()),
                    agent_id: Some(agent_id(agent.to_owned())),
                    executor_id: Some(executor_id(task.executor)),
                    ..TaskStatus::default()
                };
                if leaving == Leaving::Unreachable {
                    status.unreachable_time = Some(time(now.wall));
                    if let Some(framework) = self.frameworks.get_mut(&id) {
                        framework.unreachable.insert(task_id, (agent.to_owned(), now.wall));
                    }
                }
                self.say(now, &id, status, out);
            }
            let failure =
                Failure { agent_id: Some(agent_id(agent.to_owned())), ..Failure::default() };
            let event = Event { failure: Some(failure), ..of_type(Type::Failure) };
            self.send(&id, event, out);
        }
    }
}
