//! The agent: what it keeps when it dies, and what it forgets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_executor::session::{CallId, StreamId};
use mesos_executor::v1::executor::event::{Acknowledged, Launch, Subscribed, Type};
use mesos_executor::v1::executor::{Call, Event as Record, call};
use mesos_executor::v1::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo,
    TaskState, TaskStatus,
};

use super::chance::{Cut, framed, nonsense};
use super::later::Later;
use super::{End, MAX_RECORD, MS, World};

#[derive(Default)]
pub(super) struct Agent {
    /// Counts restarts.
    life: u32,
    up: bool,
    /// Listens, but does not take subscriptions yet.
    recovering: bool,
    subscribed: bool,
    stream: Option<Stream>,
    /// On disk: tasks by id, and whether an update of it was processed.
    tasks: BTreeMap<String, bool>,
    pub(super) dropped: BTreeSet<String>,
    terminating: bool,
    torn_down: bool,
    /// It died with updates that it had accepted, and nobody could know.
    pub(super) forgot: bool,
    /// On disk: uuids that went to the scheduler.
    known: BTreeSet<Vec<u8>>,
    /// In memory: accepted, not processed.
    accepted: Vec<TaskStatus>,
    /// What the scheduler got.
    pub(super) scheduler: Vec<(String, TaskState)>,
}

pub(super) struct Stream {
    id: StreamId,
    /// Bytes until it is cut; `None`: it is not.
    cut: Cut,
    /// When the last piece arrives.
    last: Duration,
}

impl Agent {
    pub(super) fn new() -> Agent {
        Agent { up: true, ..Agent::default() }
    }

    /// The stream is no more, if it is this one.
    pub(super) fn closed(&mut self, stream: StreamId) {
        self.stream.take_if(|own| own.id == stream);
    }
}

fn executor(id: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId { value: id.into() },
        framework_id: Some(FrameworkId { value: "framework".into() }),
        ..Default::default()
    }
}

pub(super) fn task(id: &str, executor_id: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        agent_id: AgentId { value: "agent".into() },
        executor: Some(executor(executor_id)),
        data: Some(id.as_bytes().repeat(5)),
        ..Default::default()
    }
}

fn subscribed(executor_id: &str, framework_id: &str) -> Record {
    Record {
        r#type: Some(Type::Subscribed.into()),
        subscribed: Some(Subscribed {
            executor_info: executor(executor_id),
            framework_info: FrameworkInfo {
                user: "u".into(),
                name: "n".into(),
                id: Some(FrameworkId { value: framework_id.into() }),
                ..Default::default()
            },
            agent_info: AgentInfo { hostname: "h".into(), ..Default::default() },
            container_id: None,
        }),
        ..Default::default()
    }
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Default::default() }
}

impl World {
    pub(super) fn subscribe(&mut self, stream: StreamId, body: &[u8]) {
        if !self.agent.up || self.bad(5) {
            return self.later(MS, Later::Gone { stream, closed: false });
        }
        if self.agent.recovering {
            let status = if self.random.chance(50) { 503 } else { 404 };
            return self.later(MS, Later::Response { stream, status, content_type: "" });
        }
        if self.bad(5) {
            let status = [500, 503, 404, 502, 302][self.random.below(5) as usize];
            return self.later(MS, Later::Response { stream, status, content_type: "" });
        }
        if self.bad(1) {
            // Silence; the agent never saw it.
            return;
        }
        let call: Call = self.format.decode(body).unwrap();
        let subscribe = call.subscribe.unwrap();
        // The former stream gets its last chunk.
        if let Some(old) = self.agent.stream.take() {
            let after = old.last.saturating_sub(self.now) + MS;
            self.later(after, Later::Gone { stream: old.id, closed: true });
        }
        self.agent.subscribed = true;
        let content_type = if self.bad(1) { "text/html" } else { self.format.content_type() };
        self.later(MS, Later::Response { stream, status: 200, content_type });
        let cut = self.bad(25).then(|| self.random.below(1500) as usize);
        let cut = Cut(cut);
        self.agent.stream = Some(Stream { id: stream, cut, last: self.now + MS });
        if self.agent.terminating {
            // It does not look at the rest of the call.
            self.record(&of_type(Type::Shutdown));
            if let Some(old) = self.agent.stream.take() {
                let after = old.last.saturating_sub(self.now) + MS;
                self.later(after, Later::Gone { stream: old.id, closed: true });
            }
            return;
        }
        let listed: BTreeSet<String> =
            subscribe.unacknowledged_tasks.iter().map(|t| t.task_id.value.clone()).collect();
        let waiting: Vec<_> = self.agent.accepted.iter().map(|s| s.task_id.value.clone()).collect();
        for update in subscribe.unacknowledged_updates {
            self.accept(update.status);
        }
        for (id, processed) in &self.agent.tasks {
            if !processed && !listed.contains(id) && !waiting.contains(id) {
                self.agent.dropped.insert(id.clone());
            }
        }
        let wrong = self.bad(3);
        let first = match (wrong, self.random.chance(50)) {
            (true, true) => subscribed("other", "framework"),
            (true, false) => subscribed("executor", "other"),
            (false, _) => subscribed("executor", "framework"),
        };
        self.record(&first);
        if self.bad(5) {
            self.record(&first);
        }
    }

    fn accept(&mut self, status: TaskStatus) {
        self.agent.accepted.push(status);
        let slow = self.random.chance(25);
        let after = self.random.ms(if slow { 400 } else { 5 });
        let life = self.agent.life;
        self.later(after, Later::Work { life });
    }

    /// Processes the oldest update: writes it down, passes it on, acknowledges it.
    pub(super) fn work(&mut self, life: u32) {
        if life != self.agent.life || self.agent.accepted.is_empty() {
            return;
        }
        let status = self.agent.accepted.remove(0);
        let task = status.task_id.value.clone();
        let uuid = status.uuid().to_vec();
        assert_eq!(uuid.len(), 16);
        assert_eq!(status.source(), mesos_executor::v1::task_status::Source::Executor);
        assert!(status.timestamp.is_some());
        if self.agent.torn_down {
            return;
        }
        assert!(!self.agent.dropped.contains(&task), "an update of a dropped task {task}");
        if self.agent.known.insert(uuid.clone()) {
            self.agent.scheduler.push((task.clone(), status.state()));
        }
        self.agent.tasks.insert(task.clone(), true);
        let slow = self.random.chance(33);
        let after = self.random.ms(if slow { 200 } else { 2 });
        let life = self.agent.life;
        self.later(after, Later::Acknowledge { life, task, uuid });
    }

    /// Sends a record on the stream, if there is one, in pieces.
    fn record(&mut self, record: &Record) {
        self.bytes(framed(&self.format.encode(record)));
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        let Some(stream) = &mut self.agent.stream else { return };
        let id = stream.id;
        let (bytes, gone) = stream.cut.pass(bytes);
        let mut last = stream.last.max(self.now);
        for (pause, bytes) in self.random.pieces(&bytes) {
            last += pause;
            let after = last - self.now;
            self.later(after, Later::Piece { stream: id, bytes });
        }
        if gone {
            self.agent.stream = None;
            let after = last - self.now + MS;
            self.later(after, Later::Gone { stream: id, closed: false });
        } else if let Some(stream) = &mut self.agent.stream {
            stream.last = last;
        }
    }

    /// Now and then the stream carries nonsense.
    fn nonsense(&mut self) {
        match self.random.below(6) {
            which @ 0..4 => self.bytes(nonsense(which, MAX_RECORD)),
            4 => self.record(&Record { launch: None, ..of_type(Type::Launch) }),
            _ => self.record(&Record {
                launch: Some(Launch { task: task("foreign", "other") }),
                ..of_type(Type::Launch)
            }),
        }
    }

    pub(super) fn call(&mut self, call: CallId, body: &[u8], answered: bool) {
        if !self.agent.up {
            return self.later(MS, Later::CallFailed { call });
        }
        let status = if self.agent.recovering {
            503
        } else if !self.agent.subscribed {
            403
        } else {
            let call: Call = self.format.decode(body).unwrap();
            assert_eq!(call.r#type(), call::Type::Update);
            self.accept(call.update.unwrap().status);
            202
        };
        if answered {
            let after = self.random.ms(10);
            self.later(after, Later::Answer { call, status });
        }
    }

    pub(super) fn acknowledge(&mut self, life: u32, task: String, uuid: Vec<u8>) {
        if life != self.agent.life {
            return;
        }
        let record = Record {
            acknowledged: Some(Acknowledged { task_id: TaskId { value: task }, uuid }),
            ..of_type(Type::Acknowledged)
        };
        self.record(&record);
        if self.bad(10) {
            self.record(&record);
        }
        if self.bad(5) {
            self.nonsense();
        }
    }

    pub(super) fn launch(&mut self, id: String) {
        if !self.agent.up || !self.agent.subscribed || self.agent.terminating {
            // It comes when there is an executor; later ones are the scheduler's business.
            if self.now < self.calm {
                self.later(100 * MS, Later::Launch { task: id });
            }
            return;
        }
        self.agent.tasks.insert(id.clone(), false);
        let launch = Some(Launch { task: task(&id, "executor") });
        let record = Record { launch, ..of_type(Type::Launch) };
        self.record(&record);
        if self.bad(10) {
            self.record(&record);
        }
    }

    pub(super) fn die(&mut self) {
        self.agent.life += 1;
        self.agent.up = false;
        self.agent.subscribed = false;
        // Without a stream nobody hears of the death.
        let forgets = !self.agent.accepted.is_empty() && self.agent.stream.is_none();
        self.agent.forgot |= forgets && self.agent.terminating;
        self.agent.accepted.clear();
        if let Some(stream) = self.agent.stream.take() {
            let after = self.random.ms(5);
            self.later(after, Later::Gone { stream: stream.id, closed: false });
        }
        let after = self.random.ms(3000);
        self.later(after, Later::Back);
    }

    /// It is there again, and then takes subscriptions.
    pub(super) fn back(&mut self) {
        if self.agent.up {
            self.agent.recovering = false;
        } else {
            self.agent.up = true;
            self.agent.recovering = true;
            let after = self.random.ms(500);
            self.later(after, Later::Back);
        }
    }

    pub(super) fn terminate(&mut self) {
        self.agent.terminating = true;
        self.agent.torn_down = self.end == End::Teardown;
        self.record(&of_type(Type::Shutdown));
    }
}
