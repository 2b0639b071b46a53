//! Two masters, of which one leads, with the tasks and offers of their agents.

use std::time::Duration;

use mesos_scheduler::session::{CallId, Input, StreamId};
use mesos_scheduler::v1::scheduler::event::{Offers, Subscribed, Type, Update};
use mesos_scheduler::v1::scheduler::{Call, Event as Record, call as calls};
use mesos_scheduler::v1::{
    AgentId, FrameworkId, Offer, OfferId, TaskId, TaskState, TaskStatus, task_status,
};

use super::chance::{Cut, Random, framed, nonsense};
use super::later::Later;
use super::{MAX_RECORD, MS, SECOND, World, address};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Life {
    Dead,
    Recovering,
    Up,
}

pub(super) struct Stream {
    id: StreamId,
    name: String,
    /// Bytes until it is cut, or until nothing comes any more; `None`: neither.
    pub(super) cut: Cut,
    silent: bool,
    /// When the last piece arrives.
    last: Duration,
}

/// A record with nothing but its type.
pub(super) fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Record::default() }
}

impl World {
    pub(super) fn subscribe(&mut self, stream: StreamId, master: usize, body: &[u8]) {
        let answer = |status, location| Later::Response { stream, status, location, name: None };
        if self.lives[master] == Life::Dead || self.bad(5) {
            return self.later(MS, Later::Gone { stream });
        }
        if self.lives[master] == Life::Recovering {
            let status = if self.random.chance(50) { 503 } else { 404 };
            return self.later(MS, answer(status, None));
        }
        if self.bad(5) {
            let status = [500, 503, 404, 502][self.random.below(4) as usize];
            return self.later(MS, answer(status, None));
        }
        if self.leader != master {
            // Who leads, or whom it believes to lead.
            return self.later(MS, answer(307, Some(self.leader)));
        }
        if self.bad(1) {
            // Silence; the master never saw it.
            return;
        }
        let call: Call = self.format.decode(body).unwrap();
        let info = call.subscribe.unwrap().framework_info;
        assert_eq!(info.id, call.framework_id);
        if let Some(old) = self.stream.take() {
            self.later(MS, Later::Gone { stream: old.id });
        }
        self.streams += 1;
        let name = format!("stream-{}", self.streams);
        let named = (!self.bad(1)).then(|| name.clone());
        self.later(MS, Later::Response { stream, status: 200, location: None, name: named });
        let cut = self.bad(40).then(|| self.random.below(6000) as usize);
        let cut = Cut(cut);
        let silent = self.random.chance(30);
        let last = self.now + MS;
        self.offers.clear();
        self.stream = Some(Stream { id: stream, name, cut, silent, last });
        self.record(&Record {
            subscribed: Some(Subscribed {
                framework_id: FrameworkId { value: "f".into() },
                heartbeat_interval_seconds: Some(1.0),
                master_info: None,
            }),
            ..of_type(Type::Subscribed)
        });
        self.later(SECOND, Later::Heartbeat { stream });
        self.send_updates();
        self.later(10 * MS, Later::Agents);
    }

    /// Sends a record on the stream, if there is one, in pieces.
    fn record(&mut self, record: &Record) {
        self.bytes(framed(&self.format.encode(record)));
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        let Some(stream) = &mut self.stream else { return };
        let id = stream.id;
        let (bytes, gone) = stream.cut.pass(bytes);
        let silent = stream.silent;
        let mut last = stream.last.max(self.now);
        for (pause, bytes) in self.random.pieces(&bytes) {
            last += pause;
            let after = last - self.now;
            self.later(after, Later::Piece { stream: id, bytes });
        }
        if gone && !silent {
            self.stream = None;
            let after = last - self.now + MS;
            self.later(after, Later::Gone { stream: id });
        } else if let Some(stream) = &mut self.stream {
            stream.last = last;
        }
    }

    /// Now and then the stream carries nonsense.
    fn nonsense(&mut self) {
        match self.random.below(6) {
            which @ 0..4 => self.bytes(nonsense(which, MAX_RECORD)),
            4 => self.record(&of_type(Type::Update)),
            _ => self.record(&Record { r#type: Some(77), ..Record::default() }),
        }
    }

    /// What agents have to say: the oldest update of each task.
    fn send_updates(&mut self) {
        let ids: Vec<String> = self.tasks.keys().cloned().collect();
        for id in ids {
            self.send_oldest(&id);
        }
    }

    fn send_oldest(&mut self, id: &str) {
        if let Some((uuid, state)) = self.tasks.get(id).and_then(|updates| updates.front()) {
            let (uuid, state) = (uuid.clone(), *state);
            self.send_update(id, state, Some(uuid));
        }
    }

    fn send_update(&mut self, id: &str, state: TaskState, uuid: Option<Vec<u8>>) {
        let source = match uuid {
            Some(_) => task_status::Source::Executor,
            None => task_status::Source::Master,
        };
        let status = TaskStatus {
            task_id: TaskId { value: id.to_owned() },
            state: state.into(),
            agent_id: Some(AgentId { value: "agent".into() }),
            source: Some(source.into()),
            uuid,
            ..TaskStatus::default()
        };
        self.record(&Record { update: Some(Update { status }), ..of_type(Type::Update) });
    }

    /// A round of the agents; one at a time.
    pub(super) fn agents(&mut self) {
        self.queue.retain(|_, what| !matches!(what, Later::Agents));
        self.send_updates();
        if self.stream.is_some() && self.tasks.len() < 12 && self.now < self.calm {
            let offers = (0..1 + self.random.below(3)).map(|_| {
                self.next_offer += 1;
                Offer {
                    id: OfferId { value: format!("offer-{}", self.next_offer) },
                    framework_id: FrameworkId { value: "f".into() },
                    agent_id: AgentId { value: "agent".into() },
                    hostname: "h".into(),
                    ..Offer::default()
                }
            });
            let offers: Vec<Offer> = offers.collect();
            self.offers.extend(offers.iter().map(|offer| offer.id.value.clone()));
            self.record(&Record { offers: Some(Offers { offers }), ..of_type(Type::Offers) });
        }
        if self.bad(4) {
            self.nonsense();
        }
        let after = 300 * MS + self.random.ms(700);
        self.later(after, Later::Agents);
    }

    pub(super) fn call(
        &mut self,
        call: CallId,
        master: usize,
        name: &str,
        body: &[u8],
        answered: bool,
    ) {
        let answer = |status, location, text| Later::Answer { call, status, location, text };
        let answer = match (self.lives[master], &self.stream) {
            (Life::Dead, _) => Later::CallFailed { call, unsent: true },
            (Life::Recovering, _) => answer(503, None, ""),
            _ if self.leader != master => answer(307, Some(self.leader), ""),
            (Life::Up, None) => answer(403, None, "Framework is not subscribed"),
            (Life::Up, Some(stream)) if stream.name != name => answer(
                400,
                None,
                "The stream ID 'a' included in this request didn't match the stream ID of b",
            ),
            (Life::Up, Some(_)) => {
                let call: Call = self.format.decode(body).unwrap();
                assert_eq!(call.framework_id.as_ref().unwrap().value, "f");
                self.take(call);
                answer(202, None, "")
            }
        };
        if answered {
            let after = self.random.ms(10);
            self.later(after, answer);
        }
    }

    fn take(&mut self, call: Call) {
        match call.r#type() {
            calls::Type::Accept => {
                let accept = call.accept.unwrap();
                let offer = accept.offer_ids[0].value.clone();
                assert!(self.accepted.insert(offer.clone()), "an ACCEPT arrived twice");
                assert!(!self.not_sent.contains(&offer), "it was not to be sent");
                let task = accept.operations[0].launch.as_ref().unwrap().task_infos[0].clone();
                let id = task.task_id.value;
                if !self.offers.remove(&offer) {
                    return self.send_update(&id, TaskState::TaskLost, None);
                }
                let states =
                    [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished];
                let uuid = |random: &mut Random| {
                    [random.next().to_be_bytes(), random.next().to_be_bytes()].concat()
                };
                let updates = states.map(|state| (uuid(&mut self.random), state));
                self.tasks.insert(id.clone(), updates.into());
                self.send_oldest(&id);
            }
            calls::Type::Acknowledge => {
                let acknowledge = call.acknowledge.unwrap();
                let uuid = acknowledge.uuid;
                assert!(self.durable.contains(&uuid), "acknowledged before it was written down");
                let id = acknowledge.task_id.value;
                let updates = self.tasks.get_mut(&id).unwrap();
                if updates.front().is_some_and(|(oldest, _)| *oldest == uuid) {
                    updates.pop_front();
                    self.acknowledged.insert(uuid);
                    self.send_oldest(&id);
                }
            }
            calls::Type::Kill => {
                self.killed.insert(call.kill.unwrap().task_id.value);
            }
            calls::Type::Reconcile => {
                let ids: Vec<String> = self.tasks.keys().cloned().collect();
                for id in ids {
                    self.send_update(&id, TaskState::TaskRunning, None);
                }
            }
            calls::Type::Decline => {
                self.offers.remove(&call.decline.unwrap().offer_ids[0].value);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Its stream is no more, if it is this one.
    pub(super) fn closed(&mut self, stream: StreamId) {
        self.stream.take_if(|own| own.id == stream);
    }

    pub(super) fn heartbeat(&mut self, stream: StreamId) {
        if self.stream.as_ref().is_some_and(|s| s.id == stream) {
            self.record(&of_type(Type::Heartbeat));
            self.later(SECOND, Later::Heartbeat { stream });
        }
    }

    /// The leader dies or gives up; the other takes over.
    pub(super) fn die(&mut self) {
        let old = self.leader;
        self.leader = 1 - old;
        self.offers.clear();
        if let Some(stream) = self.stream.take() {
            let after = self.random.ms(5);
            self.later(after, Later::Gone { stream: stream.id });
        }
        if self.random.chance(70) {
            self.lives[old] = Life::Dead;
            let after = self.random.ms(3000);
            self.later(after, Later::Back { master: old });
        }
        let after = self.random.ms(2000);
        self.later(after, Later::Tell);
    }

    /// A master recovers, or has recovered.
    pub(super) fn back(&mut self, master: usize) {
        match self.lives[master] {
            Life::Dead => {
                self.lives[master] = Life::Recovering;
                let after = self.random.ms(500);
                self.later(after, Later::Back { master });
            }
            _ => self.lives[master] = Life::Up,
        }
    }

    /// The session hears who leads, if it is told.
    pub(super) fn tell(&mut self) {
        if self.told {
            let none = self.bad(20);
            let masters = if none { Vec::new() } else { vec![address(self.leader)] };
            self.idle_since = None;
            self.handle(Input::Masters(masters));
            if none {
                self.later(100 * MS, Later::Tell);
            }
        }
    }
}
