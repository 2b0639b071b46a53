//! The scheduler: launches with some offers, writes updates down, slowly.

use std::time::Duration;

use mesos_scheduler::v1::scheduler::Call;
use mesos_scheduler::v1::{TaskId, TaskInfo};
use mesos_scheduler::{CallError, Event, call};

use super::later::Later;
use super::{SECOND, World};

impl World {
    /// What it does about an event.
    pub(super) fn scheduler(&mut self, event: Event) {
        match event {
            Event::Subscribed { framework_id, .. } => {
                assert_eq!(framework_id, "f");
                self.command(call::reconcile([]));
            }
            Event::Offers(offers) => {
                for offer in offers {
                    let id = offer.id.value;
                    if self.random.chance(40) {
                        self.command(call::decline(&[&id], SECOND));
                        continue;
                    }
                    let task = TaskInfo {
                        name: id.clone(),
                        task_id: TaskId { value: format!("task-{id}") },
                        agent_id: offer.agent_id,
                        ..TaskInfo::default()
                    };
                    self.command(call::accept(&[&id], vec![call::launch(vec![task])], SECOND));
                }
            }
            Event::Update { receipt, status } => {
                self.writing += 1;
                let slow = self.random.chance(5) && self.now < self.calm;
                let after = self.random.ms(if slow { 8000 } else { 60 });
                self.later(after, Later::Written { receipt, uuid: status.uuid });
            }
            Event::Refused { call, error } => {
                let accept = call.accept.unwrap_or_else(|| panic!("{error}"));
                let offer = accept.offer_ids[0].value.clone();
                match error {
                    CallError::NotSent(_) => assert!(self.not_sent.insert(offer)),
                    CallError::Unknown(_) => assert!(self.unknown.insert(offer)),
                    CallError::Rejected(rejection) => panic!("{rejection}"),
                }
            }
            Event::Disconnected { .. } => self.losses += 1,
            Event::GaveUp(reason) => self.gave_up = Some(reason),
            _ => {}
        }
    }

    /// At once, but after what is going on.
    pub(super) fn command(&mut self, call: Call) {
        self.later(Duration::ZERO, Later::Command(Box::new(call)));
    }
}
