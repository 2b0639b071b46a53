//! What will happen, and when: to the agent, the network between, and the executor.

use std::time::Duration;

use mesos_executor::session::{CallId, Command, Input, StreamId};

use super::{End, World};

/// Something that will happen.
pub(super) enum Later {
    /// The agent gets a SUBSCRIBE.
    Subscribe {
        stream: StreamId,
        body: Vec<u8>,
    },
    /// The session gets a piece of a stream, or its end.
    Piece {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    Response {
        stream: StreamId,
        status: u16,
        content_type: &'static str,
    },
    Gone {
        stream: StreamId,
        closed: bool,
    },
    /// The agent gets a call; the session hears of it, or not.
    Call {
        call: CallId,
        body: Vec<u8>,
        answered: bool,
    },
    Answer {
        call: CallId,
        status: u16,
    },
    CallFailed {
        call: CallId,
    },
    /// The agent works on the oldest update that it has accepted.
    Work {
        life: u32,
    },
    /// The agent sends an acknowledgement.
    Acknowledge {
        life: u32,
        task: String,
        uuid: Vec<u8>,
    },
    /// The agent launches a task.
    Launch {
        task: String,
    },
    /// The executor reports the next state of a task.
    Report {
        task: String,
    },
    /// The agent dies.
    Die,
    /// The agent is back.
    Back,
    /// The agent tells the executor to shut down.
    Shutdown,
    /// The executor wants something.
    Command(Command),
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
            Later::Subscribe { stream, body } => {
                if self.open.contains(&stream) {
                    self.subscribe(stream, &body);
                }
            }
            Later::Response { stream, status, content_type } => {
                let content_type = (!content_type.is_empty()).then_some(content_type);
                // The answer to a try that the session gave up goes nowhere.
                if self.open.contains(&stream) {
                    self.handle(Input::Response { stream, status, content_type, body: b"text" });
                }
            }
            Later::Piece { stream, bytes } => {
                // What was sent on a closed stream may still come.
                self.handle(Input::Bytes { stream, bytes: &bytes });
            }
            Later::Gone { stream, closed } => {
                self.agent.closed(stream);
                if self.open.remove(&stream) {
                    if self.shut_down.is_none() {
                        self.idle_since = Some(self.now);
                    }
                    let reason = "gone".into();
                    self.handle(Input::Disconnected { stream, closed, reason });
                }
            }
            Later::Call { call, body, answered } => self.call(call, &body, answered),
            Later::Answer { call, status } => {
                self.call.take_if(|c| *c == call);
                self.handle(Input::Answer { call, status, body: b"" });
            }
            Later::CallFailed { call } => {
                self.call.take_if(|c| *c == call);
                self.handle(Input::CallFailed { call, reason: "cut".into() });
            }
            Later::Work { life } => self.work(life),
            Later::Acknowledge { life, task, uuid } => self.acknowledge(life, task, uuid),
            Later::Launch { task } => self.launch(task),
            Later::Report { task } => self.report(&task),
            Later::Command(command) => self.handle(Input::Command(command)),
            Later::Calm => {}
            Later::Die => self.die(),
            Later::Back => self.back(),
            Later::Shutdown => self.terminate(),
        }
    }

    fn step(&mut self) -> bool {
        let next = self.queue.keys().next().map(|(at, _)| *at);
        match (next, self.timer) {
            (None, None) => return false,
            (Some(at), timer) if timer.is_none_or(|t| at <= t) => {
                let (key, what) = self.queue.pop_first().unwrap();
                self.now = self.now.max(key.0);
                self.happen(what);
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                self.timer = None;
                self.handle(Input::Tick);
            }
            (Some(_), None) => unreachable!(),
        }
        true
    }

    /// A whole schedule.
    pub(super) fn run(&mut self) {
        self.handle(Input::Start);
        let tasks = 1 + self.random.below(4);
        for place in 0..tasks {
            let after = self.random.ms(4000);
            self.later(after, Later::Launch { task: format!("task-{place}") });
        }
        for _ in 0..self.random.below(3) {
            let after = self.random.ms(self.calm.as_millis() as u64);
            self.later(after, Later::Die);
        }
        if self.end != End::Tasks {
            let after = self.random.ms(self.calm.as_millis() as u64);
            self.later(after, Later::Shutdown);
        }
        // Late enough for the last agent to be back.
        let over = self.calm + Duration::from_secs(6);
        self.later(over - self.now, Later::Calm);
        let mut steps = 0;
        while self.gave_up.is_none() && self.step() {
            steps += 1;
            assert!(steps < 100_000, "no end");
            let done = self.plans.is_empty() && self.now >= over;
            if self.end == End::Tasks && done && self.flushed.is_none() {
                self.flush();
            }
            if self.flushed.is_some() && self.plans.is_empty() && self.queue.is_empty() {
                break;
            }
        }
        self.check();
    }
}
