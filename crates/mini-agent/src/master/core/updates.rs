//! What frameworks hear of their tasks: updates until they are acknowledged, and what the master
//! says on its own account.

use mesos_executor::session::is_terminal;
use mesos_scheduler::v1::framework_info::capability;
use mesos_scheduler::v1::scheduler::event::{Type, Update};
use mesos_scheduler::v1::scheduler::{Event, call};
use mesos_scheduler::v1::task_status::{Reason, Source};
use mesos_scheduler::v1::{ExecutorId, TaskState, TaskStatus};

use crate::master::pool::has;

use super::{Effect, Framework, Leaving, Master, Now, RETRY, Task, agent_id, of_type, time};

impl Master {
    pub(super) fn reconcile(
        &mut self,
        now: Now,
        id: &str,
        tasks: &[call::reconcile::Task],
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let latest = |task: &Task| TaskStatus {
            uuid: None,
            data: None,
            message: Some("Reconciliation: Latest task state".to_owned()),
            ..task.latest.clone()
        };
        let statuses: Vec<TaskStatus> = if tasks.is_empty() {
            let alive = |task: &&Task| !is_terminal(task.latest.state());
            framework.tasks.values().filter(alive).map(latest).collect()
        } else {
            tasks
                .iter()
                .map(|asked| match framework.tasks.get(&asked.task_id.value) {
                    Some(task) => latest(task),
                    None => self.unknown(framework, asked),
                })
                .collect()
        };
        for mut status in statuses {
            status.set_reason(Reason::Reconciliation);
            self.say(now, id, status, out);
        }
    }

    /// What is said of a task that the master does not know.
    fn unknown(&self, framework: &Framework, asked: &call::reconcile::Task) -> TaskStatus {
        let agent = asked.agent_id.as_ref().map(|agent| agent.value.as_str());
        let unreachable = framework.unreachable.get(&asked.task_id.value);
        let (state, text, agent, since) = match (unreachable, agent) {
            (Some((agent, since)), _) => (
                TaskState::TaskUnreachable,
                "Reconciliation: Task is unreachable",
                Some(agent.as_str()),
                Some(since),
            ),
            (None, Some(agent)) if self.agents.contains_key(agent) => {
                let text = "Reconciliation: Task is unknown to the agent";
                (TaskState::TaskGone, text, Some(agent), None)
            }
            (None, Some(agent)) if self.left.get(agent) == Some(&Leaving::Gone) => {
                (TaskState::TaskGoneByOperator, "Reconciliation: Task is gone", Some(agent), None)
            }
            (None, agent) => {
                (TaskState::TaskUnknown, "Reconciliation: Task is unknown", agent, None)
            }
        };
        TaskStatus {
            task_id: asked.task_id.clone(),
            state: state.into(),
            message: Some(text.to_owned()),
            agent_id: agent.map(|agent| agent_id(agent.to_owned())),
            unreachable_time: since.map(|since| time(*since)),
            ..TaskStatus::default()
        }
    }

    /// Says something of a task on the master's own account, once.
    pub(super) fn say(
        &self,
        now: Now,
        framework: &str,
        mut status: TaskStatus,
        out: &mut Vec<Effect>,
    ) {
        status.set_source(Source::Master);
        status.timestamp = Some(now.wall.as_secs_f64());
        let status = self.as_understood(framework, status);
        let event = Event { update: Some(Update { status }), ..of_type(Type::Update) };
        self.send(framework, event, out);
    }

    /// Many states are one for frameworks that do not know them.
    fn as_understood(&self, framework: &str, mut status: TaskStatus) -> TaskStatus {
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|framework| has(&framework.info, capability::Type::PartitionAware));
        if !aware
            && matches!(
                status.state(),
                TaskState::TaskDropped
                    | TaskState::TaskUnreachable
                    | TaskState::TaskGone
                    | TaskState::TaskGoneByOperator
                    | TaskState::TaskUnknown
            )
        {
            status.set_state(TaskState::TaskLost);
        }
        status
    }

    /// An update of an executor or an agent.
    pub(super) fn update(&mut self, now: Now, id: &str, status: TaskStatus, out: &mut Vec<Effect>) {
        let status = self.as_understood(id, status);
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let task_id = status.task_id.value.clone();
        if let Some(task) = framework.tasks.get_mut(&task_id)
            && !is_terminal(task.latest.state())
        {
            if is_terminal(status.state()) {
                task.resources = None;
            }
            task.latest = status.clone();
            let executor = ExecutorId { value: task.executor.clone() };
            task.latest.executor_id.get_or_insert(executor);
        }
        let updates = framework.updates.entry(task_id).or_default();
        updates.queue.push_back(status);
        if updates.queue.len() == 1 {
            updates.again_at = Some(now.mono);
            updates.pause = RETRY.0;
        }
        self.retry(now, out);
    }

    pub(super) fn acknowledge(
        &mut self,
        now: Now,
        id: &str,
        acknowledge: &call::Acknowledge,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let task_id = &acknowledge.task_id.value;
        let Some(updates) = framework.updates.get_mut(task_id) else { return };
        if updates.queue.front().is_none_or(|oldest| oldest.uuid() != acknowledge.uuid) {
            return;
        }
        let over = updates.queue.pop_front().is_some_and(|it| is_terminal(it.state()));
        updates.again_at = Some(now.mono);
        updates.pause = RETRY.0;
        if updates.queue.is_empty() {
            framework.updates.remove(task_id);
            if over {
                framework.tasks.remove(task_id);
            }
        }
        self.retry(now, out);
    }

    /// Sends updates whose time has come.
    pub(super) fn retry(&mut self, now: Now, out: &mut Vec<Effect>) {
        for framework in self.frameworks.values_mut() {
            let Some(stream) = &framework.stream else { continue };
            for updates in framework.updates.values_mut() {
                if updates.again_at.is_some_and(|at| at <= now.mono)
                    && let Some(status) = updates.queue.front()
                {
                    let update = Some(Update { status: status.clone() });
                    let event = Event { update, ..of_type(Type::Update) };
                    out.push(Effect::Send(stream.number, Box::new(event)));
                    updates.again_at = Some(now.mono + updates.pause);
                    updates.pause = (updates.pause * 2).min(RETRY.1);
                }
            }
        }
    }
}
