//! What will happen, and when: to masters, the network between, and the scheduler.

use std::time::Duration;

use mesos_scheduler::session::{CallId, Command, Input, Response, StreamId};
use mesos_scheduler::v1::scheduler::Call;
use mesos_scheduler::{Receipt, call};

use super::chance::Cut;
use super::{CALM, World, address};

/// Something that will happen.
pub(super) enum Later {
    /// A master gets a SUBSCRIBE.
    Subscribe {
        stream: StreamId,
        master: usize,
        body: Vec<u8>,
    },
    /// The session gets the head of an answer, a piece of a stream, or its end.
    Response {
        stream: StreamId,
        status: u16,
        location: Option<usize>,
        name: Option<String>,
    },
    Piece {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    Gone {
        stream: StreamId,
    },
    /// A master gets a call; the session hears of it, or not.
    Call {
        call: CallId,
        master: usize,
        name: String,
        body: Vec<u8>,
        answered: bool,
    },
    Answer {
        call: CallId,
        status: u16,
        location: Option<usize>,
        text: &'static str,
    },
    CallFailed {
        call: CallId,
        unsent: bool,
    },
    /// The leader's heartbeat on this stream.
    Heartbeat {
        stream: StreamId,
    },
    /// Agents offer what they have, and send what was not acknowledged.
    Agents,
    /// The leader dies or gives up; the other takes over.
    Die,
    /// A master is back, or has recovered.
    Back {
        master: usize,
    },
    /// The session hears who leads.
    Tell,
    /// The scheduler has written something down.
    Written {
        receipt: Receipt,
        uuid: Option<Vec<u8>>,
    },
    /// The scheduler kills a task.
    Kill,
    /// The scheduler makes a call.
    Command(Box<Call>),
    /// Everything that could go wrong has.
    Calm,
}

impl World {
    /// Adds what will happen after this time.
    pub(super) fn later(&mut self, after: Duration, what: Later) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), what);
    }

    fn happen(&mut self, what: Later) {
        match what {
            Later::Subscribe { stream, master, body } => {
                if self.open == Some(stream) {
                    self.subscribe(stream, master, &body);
                }
            }
            Later::Response { stream, status, location, name } => {
                // The answer to a try that the session gave up goes nowhere.
                if self.open != Some(stream) {
                    return;
                }
                let location = location.map(|master| format!("//{}/x", address(master)));
                let response = Response {
                    status,
                    content_type: Some(self.format.content_type()),
                    stream_id: name.as_deref(),
                    location: location.as_deref(),
                    body: b"",
                };
                self.handle(Input::Response { stream, response });
            }
            // What was sent on a closed stream may still come.
            Later::Piece { stream, bytes } => self.handle(Input::Bytes { stream, bytes: &bytes }),
            Later::Gone { stream } => {
                self.closed(stream);
                if self.open.take_if(|open| *open == stream).is_some() {
                    self.idle_since = Some(self.now);
                    self.handle(Input::Disconnected { stream, reason: "gone".into() });
                }
            }
            Later::Call { call, master, name, body, answered } => {
                self.call(call, master, &name, &body, answered);
            }
            Later::Answer { call, status, location, text } => {
                self.out.remove(&call);
                let location = location.map(|master| format!("//{}/x", address(master)));
                let response = Response {
                    status,
                    location: location.as_deref(),
                    body: text.as_bytes(),
                    ..Response::default()
                };
                self.handle(Input::Answer { call, response });
            }
            Later::CallFailed { call, unsent } => {
                self.out.remove(&call);
                self.handle(Input::CallFailed { call, unsent, reason: "cut".into() });
            }
            Later::Heartbeat { stream } => self.heartbeat(stream),
            Later::Agents => self.agents(),
            Later::Die => self.die(),
            Later::Back { master } => self.back(master),
            Later::Tell => self.tell(),
            Later::Written { receipt, uuid } => {
                self.writing -= 1;
                self.durable.extend(uuid);
                self.handle(Input::Command(Command::Durable(receipt)));
            }
            Later::Kill => {
                let id = format!("task-offer-{}", 1 + self.random.below(40));
                self.kills.insert(id.clone());
                self.command(call::kill(&id, None, None));
            }
            Later::Command(call) => self.handle(Input::Command(Command::Call(call))),
            Later::Calm => {
                // A stream that is to be cut or silent is no calm.
                if let Some(stream) = &mut self.stream {
                    stream.cut = Cut(None);
                }
            }
        }
    }

    fn step(&mut self) {
        let next = *self.queue.keys().next().unwrap();
        match self.timer {
            Some(at) if at < next.0 => {
                self.now = self.now.max(at);
                self.timer = None;
                self.handle(Input::Tick);
            }
            _ => {
                let (key, what) = self.queue.pop_first().unwrap();
                self.now = self.now.max(key.0);
                self.happen(what);
            }
        }
    }

    /// A whole schedule.
    pub(super) fn run(&mut self) {
        let masters = if self.told { vec![address(0)] } else { vec![address(0), address(1)] };
        self.handle(Input::Masters(masters));
        for _ in 0..self.random.below(4) {
            let after = self.random.ms(self.calm.as_millis() as u64 - 1000);
            self.later(after, Later::Die);
        }
        for _ in 0..self.random.below(6) {
            let after = self.random.ms(self.calm.as_millis() as u64);
            self.later(after, Later::Kill);
        }
        self.later(self.calm - self.now, Later::Calm);
        let end = self.calm + CALM;
        let mut steps = 0;
        while self.now < end {
            self.step();
            steps += 1;
            assert!(steps < 200_000, "too much happens");
            assert_eq!(self.gave_up, None);
        }
        self.check();
    }
}
