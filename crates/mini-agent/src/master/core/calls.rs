//! What each call asks for.

use std::time::Duration;

use mesos_scheduler::v1::FrameworkId;
use mesos_scheduler::v1::scheduler::{Call, call};

use crate::master::pool::Style;

use super::offers::refused_until;
use super::{Effect, Master, Now};

impl Master {
    pub(super) fn call(&mut self, now: Now, call: Call, out: &mut Vec<Effect>) {
        let kind = call.r#type();
        let Some(id) = call.framework_id.as_ref().map(|id| id.value.clone()) else { return };
        if kind == call::Type::Teardown {
            return self.remove(&id, out);
        }
        let Some(framework) = self.frameworks.get_mut(&id) else { return };
        match kind {
            call::Type::Accept => {
                if let Some(accept) = call.accept {
                    self.accept(now, &id, accept, out);
                }
            }
            call::Type::Decline => {
                let decline = call.decline.unwrap_or_default();
                let until = refused_until(now, decline.filters.as_ref());
                for offer in decline.offer_ids {
                    if let Some(offer) = self.take_offer(&id, &offer.value) {
                        self.filter(&id, offer.agent, until);
                    }
                }
            }
            call::Type::Revive => {
                framework.suppressed = false;
                framework.filters.clear();
                self.allocate_at = now.mono;
            }
            call::Type::Suppress => framework.suppressed = true,
            call::Type::Kill => {
                if let Some(kill) = call.kill {
                    self.kill(now, &id, kill, out);
                }
            }
            call::Type::Shutdown => {
                if let Some(shutdown) = call.shutdown {
                    let key = (shutdown.agent_id.value, shutdown.executor_id.value);
                    if framework.executors.contains_key(&key) {
                        let (agent, executor) = key;
                        out.push(Effect::Shutdown { framework: id, agent, executor });
                    }
                }
            }
            call::Type::Acknowledge => {
                if let Some(acknowledge) = call.acknowledge {
                    self.acknowledge(now, &id, &acknowledge, out);
                }
            }
            call::Type::Reconcile => {
                let tasks = call.reconcile.unwrap_or_default().tasks;
                self.reconcile(now, &id, &tasks, out);
            }
            call::Type::Message => {
                if let Some(message) = call.message {
                    let key = (message.agent_id.value, message.executor_id.value);
                    if framework.executors.contains_key(&key) {
                        let ((agent, executor), data) = (key, message.data);
                        out.push(Effect::Message { framework: id, agent, executor, data });
                    }
                }
            }
            call::Type::UpdateFramework => {
                if let Some(update) = call.update_framework {
                    let mut info = update.framework_info;
                    info.id = Some(FrameworkId { value: id });
                    info.user.clone_from(&framework.info.user);
                    info.checkpoint = framework.info.checkpoint;
                    framework.style = Style::of(&info);
                    framework.suppressed = !update.suppressed_roles.is_empty();
                    framework.info = info;
                }
            }
            // Nothing follows from these here: there is no maintenance, operations are answered at
            // once and only once, and offers are made whoever requests.
            call::Type::AcceptInverseOffers
            | call::Type::DeclineInverseOffers
            | call::Type::AcknowledgeOperationStatus
            | call::Type::ReconcileOperations
            | call::Type::Request => {}
            call::Type::Subscribe | call::Type::Teardown | call::Type::Unknown => {}
        }
    }

    fn kill(&mut self, now: Now, id: &str, kill: call::Kill, out: &mut Vec<Effect>) {
        let task_id = kill.task_id.value.clone();
        let known = self.frameworks.get(id).and_then(|framework| framework.tasks.get(&task_id));
        match known {
            Some(task) if task.resources.is_some() => {
                let grace = kill.kill_policy.and_then(|policy| policy.grace_period);
                let nanoseconds = |grace: mesos_scheduler::v1::DurationInfo| {
                    u64::try_from(grace.nanoseconds).unwrap_or_default()
                };
                out.push(Effect::Kill {
                    framework: id.to_owned(),
                    agent: task.agent.clone(),
                    executor: task.executor.clone(),
                    task: task_id,
                    grace: grace.map(nanoseconds).map(Duration::from_nanos),
                });
            }
            _ => {
                let task = call::reconcile::Task { task_id: kill.task_id, agent_id: kill.agent_id };
                self.reconcile(now, id, &[task], out);
            }
        }
    }
}
