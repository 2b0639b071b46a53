//! Which tasks are launched with which offers, and why others are not.

use std::collections::BTreeSet;

use mesos_scheduler::v1::scheduler::event::{Type, UpdateOperationStatus};
use mesos_scheduler::v1::scheduler::{Event, call};
use mesos_scheduler::v1::task_status::Reason;
use mesos_scheduler::v1::{
    ExecutorInfo, FrameworkId, OfferId, OperationState, OperationStatus, TaskInfo, TaskState,
    TaskStatus, offer,
};

use crate::master::pool::Pool;

use super::offers::refused_until;
use super::{Effect, Executor, Framework, Master, Now, Task, agent_id, executor_id, of_type};

impl Master {
    pub(super) fn accept(
        &mut self,
        now: Now,
        id: &str,
        accept: call::Accept,
        out: &mut Vec<Effect>,
    ) {
        let until = refused_until(now, accept.filters.as_ref());
        let offered = self.take_offers(id, &accept.offer_ids);
        let mut left = match &offered {
            Ok((_, resources)) => resources.clone(),
            Err(_) => Pool::default(),
        };
        for operation in accept.operations {
            let operation_id = operation.id.clone();
            match (operation.r#type(), operation.launch, operation.launch_group) {
                (offer::operation::Type::Launch, Some(launch), _) => {
                    for task in launch.task_infos {
                        match &offered {
                            Ok((agent, _)) => {
                                self.launch(now, id, agent, task, &mut left, out);
                            }
                            Err(text) => {
                                let text = format!("Task launched with invalid offers: {text}");
                                let state = TaskState::TaskDropped;
                                let why = (state, Reason::InvalidOffers, text.as_str());
                                self.say(now, id, task_status(&task, why), out);
                            }
                        }
                    }
                }
                (offer::operation::Type::LaunchGroup, _, Some(group)) => {
                    let text = "this master does not launch groups of tasks";
                    for task in group.task_group.tasks {
                        let why = (TaskState::TaskError, Reason::TaskGroupInvalid, text);
                        self.say(now, id, task_status(&task, why), out);
                    }
                }
                // Nobody else hears of them.
                _ => {
                    if let Some(operation_id) = operation_id {
                        let status = OperationStatus {
                            operation_id: Some(operation_id),
                            state: OperationState::OperationError.into(),
                            message: Some("this master only launches tasks".to_owned()),
                            ..OperationStatus::default()
                        };
                        let update = Some(UpdateOperationStatus { status });
                        let event = Event {
                            update_operation_status: update,
                            ..of_type(Type::UpdateOperationStatus)
                        };
                        self.send(id, event, out);
                    }
                }
            }
        }
        if let Ok((agent, _)) = offered {
            self.filter(id, agent, until);
        }
    }

    /// Agent and resources of these offers together. `Err`: why some cannot be used.
    fn take_offers(&mut self, id: &str, offers: &[OfferId]) -> Result<(String, Pool), String> {
        let mut seen = BTreeSet::new();
        let mut error = None;
        let mut together: Option<(String, Pool)> = None;
        for OfferId { value } in offers {
            if !seen.insert(value) {
                error = Some(format!("Duplicate offer {value} in offer list"));
                continue;
            }
            match self.take_offer(id, value) {
                None => error = Some(format!("Offer {value} is no longer valid")),
                Some(offer) => match &mut together {
                    None => together = Some((offer.agent, offer.resources)),
                    Some((agent, resources)) if *agent == offer.agent => {
                        resources.add(&offer.resources);
                    }
                    Some((agent, _)) => {
                        error = Some(format!(
                            "Aggregated offers must belong to one single agent. Offer {value} uses \
                             agent {} and agent {agent}",
                            offer.agent
                        ));
                    }
                },
            }
        }
        match (error, together) {
            (Some(error), _) => Err(error),
            (None, Some(together)) => Ok(together),
            (None, None) => Err("No offers specified".to_owned()),
        }
    }

    fn launch(
        &mut self,
        now: Now,
        id: &str,
        agent: &str,
        task: TaskInfo,
        left: &mut Pool,
        out: &mut Vec<Effect>,
    ) {
        let result = match self.frameworks.get(id) {
            Some(framework) => accepted(framework, id, agent, &task, left),
            None => return,
        };
        let accepted = match result {
            Ok(accepted) => accepted,
            Err(text) => {
                let why = (TaskState::TaskError, Reason::TaskInvalid, text.as_str());
                return self.say(now, id, task_status(&task, why), out);
            }
        };
        *left = accepted.left;
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let executor = accepted.executor.executor_id.value.clone();
        let latest = TaskStatus {
            task_id: task.task_id.clone(),
            state: TaskState::TaskStaging.into(),
            agent_id: Some(agent_id(agent.to_owned())),
            executor_id: Some(executor_id(executor.clone())),
            ..TaskStatus::default()
        };
        let known = Task {
            agent: agent.to_owned(),
            executor: executor.clone(),
            resources: Some(accepted.resources),
            latest,
        };
        framework.tasks.insert(task.task_id.value.clone(), known);
        let new_executor = accepted.executor_resources.is_some();
        if let Some(resources) = accepted.executor_resources {
            let info = accepted.executor;
            framework.executors.insert((agent.to_owned(), executor), Executor { info, resources });
        }
        let (framework, agent) = (id.to_owned(), agent.to_owned());
        out.push(Effect::Launch { framework, agent, task: Box::new(task), new_executor });
    }
}

/// A task that can be launched.
struct Accepted {
    executor: ExecutorInfo,
    resources: Pool,
    /// Those of its executor, if that is to be started.
    executor_resources: Option<Pool>,
    left: Pool,
}

/// `Err`: what is wrong with a task, in the words of the TASK_ERROR update.
fn accepted(
    framework: &Framework,
    id: &str,
    agent: &str,
    task: &TaskInfo,
    left: &Pool,
) -> Result<Accepted, String> {
    let task_id = &task.task_id.value;
    if task_id.is_empty() || task_id == "." || task_id == ".." || task_id.contains(['/', '\\']) {
        return Err(format!("'{task_id}' contains invalid characters"));
    }
    if framework.tasks.contains_key(task_id) {
        return Err(format!("Task has duplicate ID: {task_id}"));
    }
    if task.agent_id.value != agent {
        let used = &task.agent_id.value;
        return Err(format!("Task uses invalid agent {used} while agent {agent} is expected"));
    }
    let mut executor = match (&task.executor, &task.command) {
        (Some(executor), None) => executor.clone(),
        (None, Some(_)) => {
            return Err("this master launches only tasks with an ExecutorInfo".to_owned());
        }
        _ => {
            return Err("Task should have at least one (but not both) of CommandInfo or \
                        ExecutorInfo present"
                .to_owned());
        }
    };
    let own = FrameworkId { value: id.to_owned() };
    let framework_id = executor.framework_id.get_or_insert_with(|| own.clone());
    if *framework_id != own {
        return Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {id})",
            framework_id.value
        ));
    }
    let foreign = || "Task or executor uses resources that this master does not have".to_owned();
    let resources = Pool::of(&task.resources).ok_or_else(foreign)?;
    let executor_resources = Pool::of(&executor.resources).ok_or_else(foreign)?;
    if resources.is_empty() {
        return Err("Task uses no resources".to_owned());
    }
    let key = (agent.to_owned(), executor.executor_id.value.clone());
    let running = framework.executors.get(&key);
    if let Some(running) = running
        && running.info != executor
    {
        return Err("ExecutorInfo is not compatible with existing ExecutorInfo with same \
                    ExecutorID."
            .to_owned());
    }
    let mut wanted = resources.clone();
    if running.is_none() {
        wanted.add(&executor_resources);
    }
    let rest = left.without(&wanted).ok_or_else(|| {
        format!(
            "Total resources {wanted} required by task and its executor is more than available \
             {left}"
        )
    })?;
    let executor_resources = running.is_none().then_some(executor_resources);
    Ok(Accepted { executor, resources, executor_resources, left: rest })
}

fn task_status(task: &TaskInfo, why: (TaskState, Reason, &str)) -> TaskStatus {
    let (state, reason, message) = why;
    TaskStatus {
        task_id: task.task_id.clone(),
        state: state.into(),
        message: Some(message.to_owned()),
        reason: Some(reason.into()),
        agent_id: Some(task.agent_id.clone()),
        ..TaskStatus::default()
    }
}
