//! The session, one situation at a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use mesos_executor::recordio;
use mesos_executor::session::{CallId, Command, Input, Now, Output, Request, Session, StreamId};
use mesos_executor::v1::executor::event::{Acknowledged, Launch, Subscribed, Type};
use mesos_executor::v1::executor::{Call, Event as Record, call};
use mesos_executor::v1::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo,
    TaskState, TaskStatus,
};
use mesos_executor::{Environment, Event, Format, Options};

mod calls;
mod ends;
mod stream;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn environment(checkpoint: bool) -> Environment {
    Environment::from_vars([
        ("MESOS_AGENT_ENDPOINT", "10.0.0.1:5051"),
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_DIRECTORY", "/d"),
        ("MESOS_CHECKPOINT", if checkpoint { "1" } else { "0" }),
        ("MESOS_RECOVERY_TIMEOUT", "30secs"),
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "secret"),
    ])
    .unwrap()
}

fn executor() -> ExecutorInfo {
    ExecutorInfo { executor_id: ExecutorId { value: "e".into() }, ..Default::default() }
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Default::default() }
}

fn subscribed() -> Record {
    let framework_info = FrameworkInfo {
        user: "u".into(),
        name: "n".into(),
        id: Some(FrameworkId { value: "f".into() }),
        ..Default::default()
    };
    let subscribed = Subscribed {
        executor_info: executor(),
        framework_info,
        agent_info: AgentInfo { hostname: "h".into(), ..Default::default() },
        container_id: None,
    };
    Record { subscribed: Some(subscribed), ..of_type(Type::Subscribed) }
}

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        agent_id: AgentId { value: "a".into() },
        executor: Some(executor()),
        ..Default::default()
    }
}

fn launch(id: &str) -> Record {
    Record { launch: Some(Launch { task: task(id) }), ..of_type(Type::Launch) }
}

fn acknowledged(id: &str, uuid: &[u8]) -> Record {
    let acknowledged = Acknowledged { task_id: TaskId { value: id.into() }, uuid: uuid.to_vec() };
    Record { acknowledged: Some(acknowledged), ..of_type(Type::Acknowledged) }
}

fn status(id: &str, state: TaskState) -> TaskStatus {
    let task_id = TaskId { value: id.into() };
    TaskStatus { task_id, state: state.into(), ..Default::default() }
}

/// A session, what it last wanted, and a clock.
struct Harness {
    session: Session,
    now: Duration,
    timer: Option<Duration>,
    opened: Option<(StreamId, Request)>,
    closed: Vec<StreamId>,
    call: Option<(CallId, Request)>,
    abandoned: Vec<CallId>,
    events: Vec<Event>,
}

impl Harness {
    fn new(checkpoint: bool) -> Self {
        Self::with(checkpoint, Options::default())
    }

    fn with(checkpoint: bool, options: Options) -> Self {
        let mut harness = Self {
            session: Session::new(&environment(checkpoint), options, [7, 7, 7, 7]),
            now: 100 * SECOND,
            timer: None,
            opened: None,
            closed: Vec::new(),
            call: None,
            abandoned: Vec::new(),
            events: Vec::new(),
        };
        harness.handle(Input::Start);
        harness
    }

    /// A session that is subscribed.
    fn up(checkpoint: bool) -> (Self, StreamId) {
        let mut harness = Self::new(checkpoint);
        let stream = harness.subscribe();
        (harness, stream)
    }

    fn handle(&mut self, input: Input<'_>) {
        let now = Now { wall: Duration::from_millis(1_500), mono: self.now };
        for output in self.session.handle(now, input) {
            match output {
                Output::OpenSubscription(stream, request) => self.opened = Some((stream, request)),
                Output::CloseSubscription(stream) => self.closed.push(stream),
                Output::PostCall(call, request) => self.call = Some((call, request)),
                Output::AbandonCall(call) => {
                    self.call = None;
                    self.abandoned.push(call);
                }
                Output::Deliver(event) => self.events.push(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    fn accept(&mut self) -> StreamId {
        let (stream, _) = self.opened.take().unwrap();
        let content_type = Some("application/x-protobuf");
        self.handle(Input::Response { stream, status: 200, content_type, body: b"" });
        stream
    }

    fn subscribe(&mut self) -> StreamId {
        let stream = self.accept();
        self.record(stream, &subscribed());
        assert!(matches!(self.events.pop(), Some(Event::Subscribed(_))));
        stream
    }

    fn record(&mut self, stream: StreamId, record: &Record) {
        let mut bytes = Vec::new();
        recordio::encode(&Format::Protobuf.encode(record), &mut bytes);
        self.handle(Input::Bytes { stream, bytes: &bytes });
    }

    fn refuse(&mut self) {
        let (stream, _) = self.opened.take().unwrap();
        self.cut(stream);
    }

    fn cut(&mut self, stream: StreamId) {
        let reason = "connection refused".to_owned();
        self.handle(Input::Disconnected { stream, closed: false, reason });
    }

    fn answer(&mut self, status: u16, body: &str) {
        let (call, _) = self.call.take().unwrap();
        self.handle(Input::Answer { call, status, body: body.as_bytes() });
    }

    /// Lets time pass to the next wake-up.
    fn tick(&mut self) {
        self.now = self.timer.take().unwrap();
        self.handle(Input::Tick);
    }

    fn update(&mut self, id: &str, state: TaskState) {
        self.handle(Input::Command(Command::Update(Box::new(status(id, state)))));
    }

    fn posted(&self) -> Call {
        Format::Protobuf.decode(&self.call.as_ref().unwrap().1.body).unwrap()
    }

    fn posted_uuid(&self) -> Vec<u8> {
        self.posted().update.unwrap().status.uuid().to_vec()
    }

    fn opened(&self) -> call::Subscribe {
        let call: Call = Format::Protobuf.decode(&self.opened.as_ref().unwrap().1.body).unwrap();
        call.subscribe.unwrap()
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
