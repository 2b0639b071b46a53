//! The session, one situation at a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use mesos_executor::recordio;
use mesos_executor::session::{CallId, Command, Input, Now, Output, Request, Session, StreamId};
use mesos_executor::v1::executor::event::{
    Acknowledged, Error, Kill, Launch, LaunchGroup, Message, Subscribed, Type,
};
use mesos_executor::v1::executor::{Call, Event as Record, call};
use mesos_executor::v1::{
    AgentId, AgentInfo, DurationInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo,
    KillPolicy, TaskGroupInfo, TaskId, TaskInfo, TaskState, TaskStatus,
};
use mesos_executor::{Environment, Event, Format, GiveUp, Options};
use rstest::rstest;

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

#[test]
fn requests() {
    let (mut h, stream) = {
        let h = Harness::new(true);
        let (_, request) = h.opened.clone().unwrap();
        assert_eq!(
            request.headers,
            [
                ("host", "10.0.0.1:5051".to_owned()),
                ("content-type", "application/x-protobuf".to_owned()),
                ("authorization", "Bearer secret".to_owned()),
                ("accept", "application/x-protobuf".to_owned()),
            ]
        );
        assert!(!format!("{:?}", h.session).contains("secret"));
        let mut h = h;
        let stream = h.subscribe();
        (h, stream)
    };
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    let (_, request) = h.call.clone().unwrap();
    assert_eq!(request.headers.len(), 3);
    assert!(request.headers.contains(&("authorization", "Bearer secret".to_owned())));
    let update = h.posted().update.unwrap().status;
    assert_eq!(update.timestamp, Some(1.5));
    assert_eq!(update.source(), mesos_executor::v1::task_status::Source::Executor);
    let uuid = update.uuid();
    assert_eq!((uuid.len(), uuid[6] >> 4, uuid[8] >> 6), (16, 4, 2));
    h.handle(Input::Command(Command::Message(b"hello".to_vec())));
    h.answer(202, "");
    assert_eq!(h.posted().message.unwrap().data, b"hello");
    h.answer(202, "");
    // Nothing to do, nothing to wake up for.
    assert_eq!(h.timer, None);
    assert!(h.call.is_none());
}

#[test]
fn events_are_taken_apart() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    let group = TaskGroupInfo { tasks: vec![task("a"), task("b")] };
    let group = Some(LaunchGroup { task_group: group });
    h.record(stream, &Record { launch_group: group, ..of_type(Type::LaunchGroup) });
    let kill = |nanoseconds| {
        let grace_period = Some(DurationInfo { nanoseconds });
        let kill_policy = Some(KillPolicy { grace_period });
        let kill = Some(Kill { task_id: TaskId { value: "t".into() }, kill_policy });
        Record { kill, ..of_type(Type::Kill) }
    };
    h.record(stream, &kill(2_000_000_000));
    h.record(stream, &kill(-1));
    h.record(
        stream,
        &Record { message: Some(Message { data: b"m".to_vec() }), ..of_type(Type::Message) },
    );
    h.record(stream, &of_type(Type::Heartbeat));
    h.record(stream, &Record { r#type: Some(77), ..Default::default() });
    h.record(stream, &Record::default());
    // What was never sent cannot be acknowledged.
    h.record(stream, &acknowledged("t", &[1; 16]));
    h.record(stream, &subscribed());
    let killed = |grace| Event::Kill { task_id: "t".into(), grace: Some(grace) };
    assert_eq!(
        h.events(),
        [
            Event::Launch(Box::new(task("t"))),
            Event::LaunchGroup(vec![task("a"), task("b")]),
            killed(2 * SECOND),
            killed(Duration::ZERO),
            Event::Message(b"m".to_vec()),
            Event::Trouble("ignored an event of the unknown type 77".into()),
            Event::Trouble("ignored an event of the unknown type 0".into()),
            Event::Trouble("ignored another SUBSCRIBED on the same stream".into()),
        ]
    );
    assert!(h.session.is_connected());
    h.record(
        stream,
        &Record { error: Some(Error { message: "bad".into() }), ..of_type(Type::Error) },
    );
    assert_eq!(h.events(), [Event::Error("bad".into())]);
}

#[test]
fn acknowledged_updates_are_not_listed() {
    let (mut h, stream) = Harness::up(true);
    for id in ["a", "b"] {
        h.record(stream, &launch(id));
        h.update(id, TaskState::TaskStarting);
        let uuid = h.posted_uuid();
        h.answer(202, "");
        if id == "a" {
            h.record(stream, &acknowledged(id, &uuid));
            h.record(stream, &acknowledged(id, &uuid));
            // Another task's name does not count.
        } else {
            h.record(stream, &acknowledged("a", &uuid));
        }
    }
    h.update("a", TaskState::TaskRunning);
    assert_eq!(h.session.unacknowledged(), 2);
    let got = h.events().into_iter().filter(|e| matches!(e, Event::Acknowledged { .. }));
    assert_eq!(got.count(), 1);
    h.cut(stream);
    assert_eq!(h.abandoned.len(), 1);
    h.update("b", TaskState::TaskFinished);
    h.tick();
    let subscribe = h.opened();
    assert_eq!(subscribe.unacknowledged_tasks, [task("b")]);
    let updates: Vec<_> = subscribe
        .unacknowledged_updates
        .iter()
        .map(|u| (u.status.task_id.value.as_str(), u.status.state()))
        .collect();
    let expected = [
        ("b", TaskState::TaskStarting),
        ("a", TaskState::TaskRunning),
        ("b", TaskState::TaskFinished),
    ];
    assert_eq!(updates, expected);
    // The agent has them now; nothing is posted again.
    h.subscribe();
    assert!(h.call.is_none());
    let input = Input::Command(Command::Flush { within: SECOND });
    h.handle(input);
    assert_eq!(h.events(), [Event::Disconnected { reason: "connection refused".into() }]);
    h.tick();
    assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 3 }]);
}

#[test]
fn updates_that_an_agent_would_refuse() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.events();
    let wrong = [
        (status("", TaskState::TaskRunning), "it has no task id"),
        (status("t", TaskState::TaskStaging), "TASK_STAGING is not an executor's to send"),
        (TaskStatus { state: 99, ..status("t", TaskState::TaskLost) }, "its state is not known"),
        (
            TaskStatus { uuid: Some(vec![1; 3]), ..status("t", TaskState::TaskLost) },
            "its uuid is not 16 bytes",
        ),
    ];
    for (status, reason) in wrong {
        h.handle(Input::Command(Command::Update(Box::new(status.clone()))));
        let [Event::Refused { status: refused, reason: text }] = &h.events()[..] else { panic!() };
        assert_eq!((&**refused, text.as_str()), (&status, reason));
    }
    let uuid = Some(vec![5; 16]);
    let with = TaskStatus { uuid: uuid.clone(), ..status("t", TaskState::TaskFinished) };
    h.handle(Input::Command(Command::Update(Box::new(with))));
    assert_eq!(h.posted().update.unwrap().status.uuid, uuid);
    for (id, again, reason) in [
        ("t", [6; 16], "the task has a terminal update already"),
        ("u", [5; 16], "its uuid is that of another update"),
    ] {
        let status = TaskStatus { uuid: Some(again.to_vec()), ..status(id, TaskState::TaskLost) };
        h.handle(Input::Command(Command::Update(Box::new(status))));
        let [Event::Refused { reason: text, .. }] = &h.events()[..] else { panic!() };
        assert_eq!(text, reason);
    }
    // The agent's own refusal; another terminal update is possible then.
    h.answer(400, "Not a valid UUID");
    let [Event::Refused { reason, .. }] = &h.events()[..] else { panic!() };
    assert_eq!(reason, "the agent answered a call with HTTP 400: Not a valid UUID");
    h.update("t", TaskState::TaskFailed);
    assert!(h.call.is_some());
    assert_eq!(h.session.unacknowledged(), 1);
}

#[rstest]
#[case(401, "no", Some(GiveUp::Unauthorized("no".into())))]
#[case(400, "Framework cannot be found",
    Some(GiveUp::Unknown("Framework cannot be found".into())))]
#[case(400, "Executor cannot be found", Some(GiveUp::Unknown("Executor cannot be found".into())))]
#[case(400, "bad\nbody", Some(GiveUp::Rejected(400, "bad body".into())))]
#[case(403, "", Some(GiveUp::Rejected(403, "".into())))]
#[case(406, "", Some(GiveUp::Rejected(406, "".into())))]
#[case(415, "", Some(GiveUp::Rejected(415, "".into())))]
#[case(404, "", None)]
#[case(429, "", None)]
#[case(500, "", None)]
#[case(503, "", None)]
#[case(202, "", None)]
#[case(307, "", None)]
fn answers_to_subscribe(
    #[case] status: u16,
    #[case] body: &str,
    #[case] reason: Option<GiveUp>,
    #[values(false, true)] checkpoint: bool,
) {
    let mut h = Harness::new(checkpoint);
    let (stream, _) = h.opened.take().unwrap();
    h.handle(Input::Response { stream, status, content_type: None, body: body.as_bytes() });
    assert_eq!(h.closed, [stream]);
    match reason {
        Some(reason) => {
            assert_eq!(h.events(), [Event::GaveUp(reason)]);
            assert_eq!(h.timer, None);
            h.handle(Input::Command(Command::Flush { within: SECOND }));
            assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 0 }]);
            h.handle(Input::Start);
            assert!(h.opened.is_none());
        }
        None => {
            h.tick();
            assert!(h.opened.is_some());
            assert_eq!(h.events(), []);
        }
    }
}

#[rstest]
#[case(403, "Executor is not subscribed", true)]
#[case(401, "", true)]
#[case(400, "Executor cannot be found", true)]
#[case(500, "", false)]
#[case(503, "", false)]
#[case(404, "", false)]
fn answers_to_updates(#[case] status: u16, #[case] body: &str, #[case] resubscribes: bool) {
    // Also without checkpoints: the agent is there.
    let (mut h, stream) = Harness::up(false);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    h.update("t", TaskState::TaskFinished);
    let uuid = h.posted_uuid();
    h.events();
    h.answer(status, body);
    assert!(h.call.is_none());
    h.tick();
    if resubscribes {
        assert_eq!(h.closed, [stream]);
        assert!(matches!(&h.events()[..], [Event::Disconnected { .. }]));
        assert_eq!(h.opened().unacknowledged_updates.len(), 2);
    } else {
        assert!(h.closed.is_empty());
        // The same update, before the next.
        assert_eq!(h.posted_uuid(), uuid);
    }
}

#[test]
fn calls_that_never_get_through() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    let uuid = h.posted_uuid();
    let mut tries = 0;
    while h.opened.is_none() {
        if h.call.is_some() {
            tries += 1;
            assert_eq!(h.posted_uuid(), uuid);
            let (call, _) = h.call.take().unwrap();
            h.handle(Input::CallFailed { call, reason: "reset".into() });
        }
        h.tick();
    }
    assert_eq!(tries, 8);
    assert_eq!(h.closed, [stream]);
    assert_eq!(h.opened().unacknowledged_updates.len(), 1);
}

#[test]
fn silence() {
    // No answer to the subscription, then none to a call.
    let mut h = Harness::new(true);
    let (stream, _) = h.opened.clone().unwrap();
    assert_eq!(h.timer, Some(h.now + 5 * SECOND));
    h.tick();
    assert_eq!(h.closed, [stream]);
    h.tick();
    assert!(h.opened.is_some());
    // An answer without events is none.
    h.accept();
    h.tick();
    assert_eq!(h.closed.len(), 2);
    h.tick();
    let stream = h.subscribe();
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    let uuid = h.posted_uuid();
    let (call, _) = h.call.clone().unwrap();
    assert_eq!(h.timer, Some(h.now + 5 * SECOND));
    h.tick();
    assert_eq!(h.abandoned, [call]);
    h.tick();
    assert_eq!(h.posted_uuid(), uuid);
    // The late answer to the first is not taken for one to the second.
    h.handle(Input::Answer { call, status: 202, body: b"" });
    assert!(h.call.is_some());
}

#[rstest]
#[case(b"16777217\n", "a record of 16777217 bytes is longer than 16777216 bytes")]
#[case(b"x", "failed to read the length of a record: 'x'")]
#[case(b"2\n\xff\xff", "failed to decode Event: failed to decode Protobuf message: invalid varint")]
#[case(b"2\n\x22\x00", "Event without launch.task")]
#[case(b"2\n\x08\x02", "LAUNCH without launch")]
fn a_stream_that_makes_no_sense(#[case] bytes: &[u8], #[case] reason: &str) {
    let (mut h, stream) = Harness::up(false);
    h.handle(Input::Bytes { stream, bytes });
    assert_eq!(h.closed, [stream]);
    assert_eq!(h.events(), [Event::Disconnected { reason: reason.into() }]);
    // What else comes from that stream is nothing.
    h.record(stream, &launch("t"));
    h.cut(stream);
    assert_eq!(h.events(), []);
    h.tick();
    h.subscribe();
    assert!(h.session.is_connected());
}

#[test]
fn wrong_ids() {
    let other = ExecutorId { value: "x".into() };
    let stranger = FrameworkId { value: "x".into() };
    for which in 0..3 {
        let mut h = Harness::new(true);
        let stream = h.accept();
        let mut record = subscribed();
        let s = record.subscribed.as_mut().unwrap();
        match which {
            0 => s.executor_info.executor_id = other.clone(),
            1 => s.executor_info.framework_id = Some(stranger.clone()),
            _ => s.framework_info.id = Some(stranger.clone()),
        }
        h.record(stream, &record);
        assert_eq!(h.closed, [stream]);
        assert!(!h.session.is_connected());
        h.tick();
        let stream = h.subscribe();
        let mut task = task("t");
        let executor = task.executor.as_mut().unwrap();
        match which {
            0 => executor.executor_id = other.clone(),
            _ => executor.framework_id = Some(stranger.clone()),
        }
        h.record(stream, &Record { launch: Some(Launch { task }), ..of_type(Type::Launch) });
        let reason = "LAUNCH is for another executor".to_owned();
        assert_eq!(h.events(), [Event::Disconnected { reason }]);
        h.tick();
        assert!(h.opened().unacknowledged_tasks.is_empty());
    }
}

#[test]
fn something_before_subscribed() {
    let mut h = Harness::new(true);
    let stream = h.accept();
    h.record(stream, &of_type(Type::Heartbeat));
    assert!(h.closed.is_empty());
    h.record(stream, &launch("t"));
    assert_eq!(h.closed, [stream]);
    assert_eq!(h.events(), []);
}

#[test]
fn shutdown_first() {
    let mut h = Harness::new(true);
    let stream = h.accept();
    h.record(stream, &of_type(Type::Shutdown));
    h.record(stream, &of_type(Type::Shutdown));
    assert_eq!(h.events(), [Event::Shutdown]);
    let reason = "last chunk".to_owned();
    h.handle(Input::Disconnected { stream, closed: true, reason });
    assert_eq!((h.timer, h.opened.is_none()), (None, true));
    h.handle(Input::Command(Command::Flush { within: 5 * SECOND }));
    assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 0 }]);
}

/// After SHUTDOWN and the end of the stream updates are still made known, and not waited for.
#[rstest]
#[case(true)]
#[case(false)]
fn shutdown_with_tasks(#[case] checkpoint: bool) {
    let (mut h, stream) = Harness::up(checkpoint);
    h.record(stream, &launch("t"));
    h.record(stream, &of_type(Type::Shutdown));
    h.handle(Input::Disconnected { stream, closed: true, reason: "last chunk".into() });
    h.update("t", TaskState::TaskKilled);
    h.handle(Input::Command(Command::Flush { within: 5 * SECOND }));
    assert!(h.call.is_some());
    let start = h.now;
    h.now += 20 * MS;
    h.answer(202, "");
    h.events();
    h.tick();
    assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 1 }]);
    assert_eq!(h.now - start, 270 * MS);
    assert_eq!(h.timer, None);
}

#[test]
fn not_subscribed_any_more_after_shutdown() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.record(stream, &of_type(Type::Shutdown));
    h.handle(Input::Disconnected { stream, closed: true, reason: "last chunk".into() });
    h.update("t", TaskState::TaskKilled);
    let uuid = h.posted_uuid();
    h.answer(403, "Executor is not subscribed");
    h.tick();
    assert_eq!(h.opened().unacknowledged_updates.len(), 1);
    // It says SHUTDOWN again, and has not looked at the update.
    let stream = h.accept();
    h.record(stream, &of_type(Type::Shutdown));
    assert_eq!(h.posted_uuid(), uuid);
    let shutdowns = h.events().into_iter().filter(|e| *e == Event::Shutdown).count();
    assert_eq!(shutdowns, 1);
}

#[test]
fn without_checkpoints_the_end_is_the_end() {
    let (mut h, stream) = Harness::up(false);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    h.handle(Input::Command(Command::Flush { within: 5 * SECOND }));
    h.events();
    h.cut(stream);
    let reason = "connection refused".to_owned();
    assert_eq!(
        h.events(),
        [
            Event::Disconnected { reason: reason.clone() },
            Event::Flushed { unsent: 1, unacknowledged: 1 },
            Event::GaveUp(GiveUp::NotCheckpointing(reason)),
        ]
    );
    assert_eq!((h.timer, h.abandoned.len()), (None, 1));
}

#[rstest]
#[case(true, 60)]
#[case(false, 60)]
fn never_subscribed(#[case] checkpoint: bool, #[case] seconds: u64) {
    let mut h = Harness::new(checkpoint);
    let start = h.now;
    let mut tries = 1;
    while h.events.is_empty() {
        let before = h.now;
        h.refuse();
        while h.opened.is_none() && h.events.is_empty() {
            h.tick();
        }
        assert!(h.now - before <= 250 * MS && h.now > before);
        tries += 1;
    }
    assert_eq!(h.now - start, Duration::from_secs(seconds));
    let timeout = Duration::from_secs(seconds);
    let reason = "connection refused".to_owned();
    assert_eq!(h.events(), [Event::GaveUp(GiveUp::NeverSubscribed { timeout, reason })]);
    assert!((240..=480).contains(&tries), "{tries}");
}

#[test]
fn recovery_timeout() {
    let (mut h, stream) = Harness::up(true);
    h.cut(stream);
    let start = h.now;
    h.tick();
    // The first try is soon.
    assert!(h.now - start <= 25 * MS);
    // A subscription that does not come to SUBSCRIBED does not count.
    h.events();
    while h.events.is_empty() {
        if h.opened.is_some() {
            let stream = h.accept();
            h.cut(stream);
        }
        h.tick();
    }
    assert_eq!(h.now - start, 30 * SECOND);
    let reason = "connection refused".to_owned();
    let timeout = 30 * SECOND;
    assert_eq!(h.events(), [Event::GaveUp(GiveUp::RecoveryTimeout { timeout, reason })]);
}

#[test]
fn pauses_are_short_again_after_a_good_stream() {
    let (mut h, stream) = Harness::up(true);
    h.cut(stream);
    for _ in 0..8 {
        h.tick();
        h.refuse();
    }
    h.tick();
    let stream = h.subscribe();
    h.now += 2 * SECOND;
    let lost = h.now;
    h.cut(stream);
    h.tick();
    assert!(h.now - lost <= 25 * MS);
    // One that breaks at once is none.
    let stream = h.subscribe();
    let mut longest = Duration::ZERO;
    let mut stream = stream;
    for _ in 0..8 {
        let lost = h.now;
        h.cut(stream);
        h.tick();
        longest = longest.max(h.now - lost);
        stream = h.subscribe();
    }
    assert!(longest > 100 * MS && longest <= 250 * MS, "{longest:?}");
}

#[test]
fn messages() {
    let mut h = Harness::new(true);
    for place in 0..1002u32 {
        let data = place.to_be_bytes().to_vec();
        h.handle(Input::Command(Command::Message(data)));
    }
    assert_eq!(h.events().len(), 2);
    h.subscribe();
    // One whose fate is not known is not sent twice.
    assert_eq!(h.posted().message.unwrap().data, 0u32.to_be_bytes());
    let (call, _) = h.call.take().unwrap();
    h.handle(Input::CallFailed { call, reason: "reset".into() });
    h.tick();
    assert_eq!(h.posted().message.unwrap().data, 1u32.to_be_bytes());
    h.answer(202, "");
    // Updates come first.
    h.update("t", TaskState::TaskRunning);
    h.answer(202, "");
    assert!(h.posted().update.is_some());
}

/// Whatever was cut off of a stream, and wherever: the next SUBSCRIBE says what the agent needs.
#[test]
fn a_cut_at_every_byte() {
    let uuids: Vec<[u8; 16]> = (0..3u8).map(|n| [n; 16]).collect();
    let records = [
        subscribed(),
        launch("t"),
        acknowledged("t", &uuids[0]),
        acknowledged("t", &uuids[1]),
        acknowledged("t", &uuids[2]),
    ];
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for record in &records {
        recordio::encode(&Format::Protobuf.encode(record), &mut bytes);
        ends.push(bytes.len());
    }
    let states = [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished];
    for cut in 0..=bytes.len() {
        let mut h = Harness::new(true);
        let stream = h.accept();
        let seen = ends.iter().filter(|end| **end <= cut).count();
        let (before, after) = bytes[..cut].split_at(cut.min(ends[1]));
        h.handle(Input::Bytes { stream, bytes: before });
        let made = if seen >= 2 { 3 } else { 0 };
        for (state, uuid) in states.iter().zip(&uuids).take(made) {
            let status = TaskStatus { uuid: Some(uuid.to_vec()), ..status("t", *state) };
            h.handle(Input::Command(Command::Update(Box::new(status))));
            h.answer(202, "");
        }
        for byte in after.chunks(1) {
            h.handle(Input::Bytes { stream, bytes: byte });
        }
        h.cut(stream);
        h.tick();
        let subscribe = h.opened();
        let left: Vec<_> =
            subscribe.unacknowledged_updates.iter().map(|u| u.status.uuid().to_vec()).collect();
        let acknowledged = seen.saturating_sub(2);
        assert_eq!(left, uuids[acknowledged.min(made)..made], "{cut}");
        let tasks = usize::from(seen == 2);
        assert_eq!(subscribe.unacknowledged_tasks.len(), tasks, "{cut}");
    }
}

/// What was in a SUBSCRIBE that was not answered does not count as sent.
#[test]
fn listed_is_not_sent() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskFinished);
    h.answer(202, "");
    h.cut(stream);
    h.tick();
    h.refuse();
    h.events();
    h.handle(Input::Command(Command::Flush { within: Duration::ZERO }));
    assert_eq!(h.events(), [Event::Flushed { unsent: 1, unacknowledged: 1 }]);
    h.tick();
    h.handle(Input::Command(Command::Flush { within: SECOND }));
    let (stream, _) = h.opened.take().unwrap();
    h.handle(Input::Response { stream, status: 401, content_type: None, body: b"" });
    let reason = GiveUp::Unauthorized(String::new());
    assert_eq!(
        h.events(),
        [Event::Flushed { unsent: 1, unacknowledged: 1 }, Event::GaveUp(reason)]
    );
}
