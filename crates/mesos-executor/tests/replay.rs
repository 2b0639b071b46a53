//! Replays every recorded connection between an executor and a real agent: the session must make the
//! recorded calls and deliver the recorded events, however the bytes are cut.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mesos_executor::recordio::Decoder;
use mesos_executor::session::{CallId, Command, Input, MAX_PAUSE, Now, Output, Session, StreamId};
use mesos_executor::v1::executor::event::Type;
use mesos_executor::v1::executor::{Call, Event as Record, call};
use mesos_executor::{Environment, Event, Format, GiveUp, Options, json};

#[path = "support/capture.rs"]
mod capture;

use capture::{Chunk, Direction, Message};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mesos")
}

fn captures() -> Vec<(String, Vec<Chunk>, Environment)> {
    let read = |name: String| {
        let vars = fs::read_to_string(directory().join(format!("{name}.env"))).unwrap();
        let vars = vars.lines().map(|l| l.split_once('=').unwrap());
        let chunks = capture::read(&directory(), &name);
        (name, chunks, Environment::from_vars(vars).unwrap())
    };
    capture::names(&directory()).into_iter().map(read).collect()
}

/// The recorded request of a connection, if it is one that can be decoded.
fn recorded_call(bytes: &[u8]) -> (Message, Option<Call>) {
    let mut message = Message::default();
    let body = message.push(bytes);
    let format = message.header("content-type").and_then(Format::from_content_type);
    let call = format.and_then(|f| f.decode(&body).ok());
    (message, call)
}

struct Replay<'a> {
    name: &'a str,
    session: Session,
    format: Format,
    /// Sizes of the pieces in which the stream is fed.
    piece: usize,
    /// The session's clock: recorded time, and what waiting for its own timers added.
    now: Duration,
    timer: Option<Duration>,
    opening: Option<(StreamId, Vec<u8>)>,
    failed_at: Option<Duration>,
    streams: HashMap<String, StreamId>,
    /// Calls that the session made and that were not answered.
    calls: BTreeMap<Vec<u8>, (CallId, Call)>,
    /// Recorded answers that came before the session made the call.
    delivered: Vec<Event>,
    given_up: Option<GiveUp>,
}

impl Replay<'_> {
    fn handle(&mut self, input: Input<'_>) {
        let now = Now { wall: Duration::from_secs(1_700_000_000) + self.now, mono: self.now };
        for output in self.session.handle(now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    if let Some(failed) = self.failed_at.take() {
                        assert!(self.now - failed <= MAX_PAUSE, "{}", self.name);
                    }
                    let accept = request.headers.iter().find(|(n, _)| *n == "accept").unwrap();
                    assert_eq!(accept.1, self.format.content_type());
                    self.opening = Some((stream, request.body));
                }
                Output::CloseSubscription(_) => {}
                Output::PostCall(id, request) => {
                    let call: Call = self.format.decode(&request.body).unwrap();
                    self.calls.insert(key(&call), (id, call));
                }
                Output::AbandonCall(id) => self.calls.retain(|_, (i, _)| *i != id),
                Output::Deliver(Event::GaveUp(reason)) => self.given_up = Some(reason),
                Output::Deliver(event) => self.delivered.push(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    /// No agent listens until the next recorded connection.
    fn refuse(&mut self) {
        if let Some((stream, _)) = self.opening.take() {
            self.failed_at = Some(self.now);
            self.handle(Input::Disconnected {
                stream,
                closed: false,
                reason: "connection refused".into(),
            });
        }
    }

    fn advance(&mut self, to: Duration) {
        while let Some(at) = self.timer
            && at <= to
            && self.given_up.is_none()
        {
            self.now = self.now.max(at);
            self.handle(Input::Tick);
            self.refuse();
        }
        self.now = self.now.max(to);
    }

    fn ending(&self) -> bool {
        self.delivered.contains(&Event::Shutdown)
    }

    fn until_open(&mut self) -> (StreamId, Vec<u8>) {
        while self.opening.is_none() {
            self.now = self.timer.unwrap();
            self.handle(Input::Tick);
        }
        self.opening.take().unwrap()
    }
}

/// What makes a call the same call.
fn key(call: &Call) -> Vec<u8> {
    match (&call.update, &call.message) {
        (Some(update), _) => update.status.uuid().to_vec(),
        (_, Some(message)) => message.data.clone(),
        _ => Vec::new(),
    }
}

fn replay(name: &str, chunks: &[Chunk], environment: &Environment, piece: usize) {
    let format = if name.ends_with("json") { Format::Json } else { Format::Protobuf };
    let options = Options { format, ..Options::default() };
    // Some recorded executors waited for longer than they should have.
    let environment =
        Environment { recovery_timeout: Duration::from_secs(900), ..environment.clone() };
    let session = || Session::new(&environment, options.clone(), [1, 2, 3, 4]);
    let mut replay = Replay {
        name,
        session: session(),
        format,
        piece,
        now: Duration::ZERO,
        timer: None,
        opening: None,
        failed_at: None,
        streams: HashMap::new(),
        calls: BTreeMap::new(),
        delivered: Vec::new(),
        given_up: None,
    };
    let mut started = false;
    let mut updates: Vec<Vec<u8>> = Vec::new();
    let mut terminated: Vec<String> = Vec::new();
    let mut answers: HashMap<String, Message> = HashMap::new();
    let mut calls: HashMap<String, Call> = HashMap::new();
    let mut bytes: HashMap<String, Vec<u8>> = HashMap::new();
    let mut offset = Duration::ZERO;
    // Accepted calls that the session made too; that it refused to make; that it made later, in a
    // SUBSCRIBE, since there was no stream.
    let (mut compared, mut unmade, mut listed) = (0, 0, 0);

    for (place, chunk) in chunks.iter().enumerate() {
        replay.advance(chunk.at + offset);
        let response = chunks[place + 1..]
            .iter()
            .find(|c| c.conn == chunk.conn && c.direction == Direction::In);
        match chunk.direction {
            Direction::Out => {
                let (message, Some(call)) = recorded_call(&chunk.bytes) else { continue };
                let mut first = Message::default();
                let body = first.push(&response.unwrap().bytes);
                let status = first.status();
                match call.r#type() {
                    _ if replay.given_up.is_some() => {
                        // Without checkpoints: what it would have got to hear.
                        assert_eq!((call.r#type(), status), (call::Type::Subscribe, 400), "{name}");
                        refused(session(), status, &body, name);
                    }
                    call::Type::Subscribe if status != 200 => {
                        refused(session(), status, &body, name);
                    }
                    call::Type::Subscribe => {
                        let recorded = call.subscribe.as_ref().unwrap();
                        // A second subscription while the first was open.
                        for stream in replay.streams.values().copied().collect::<Vec<_>>() {
                            let reason = "replaced".to_owned();
                            replay.handle(Input::Disconnected { stream, closed: false, reason });
                        }
                        for update in &recorded.unacknowledged_updates {
                            let status = &update.status;
                            if !updates.contains(&status.uuid().to_vec()) {
                                updates.push(status.uuid().to_vec());
                                let command = Command::Update(Box::new(status.clone()));
                                replay.handle(Input::Command(command));
                            }
                        }
                        if !started {
                            replay.handle(Input::Start);
                        }
                        let (stream, body) = replay.until_open();
                        offset = replay.now.saturating_sub(chunk.at);
                        let ours: Call = format.decode(&body).unwrap();
                        let subscribe = ours.subscribe.as_ref().unwrap();
                        assert!(started || ours == call, "{name}: {ours:?}");
                        assert_eq!(ours.executor_id, call.executor_id);
                        assert_eq!(ours.framework_id, call.framework_id);
                        // The recorded executor left some out on purpose.
                        for task in &recorded.unacknowledged_tasks {
                            assert!(subscribe.unacknowledged_tasks.contains(task), "{name}");
                        }
                        for update in &recorded.unacknowledged_updates {
                            assert!(subscribe.unacknowledged_updates.contains(update), "{name}");
                        }
                        if let Some(token) = message.header("authorization") {
                            let ours = environment.authentication_token.as_ref().unwrap();
                            assert_eq!(token, format!("Bearer {}", ours.expose()));
                        }
                        started = true;
                        replay.streams.insert(chunk.conn.clone(), stream);
                        answers.insert(chunk.conn.clone(), Message::default());
                    }
                    call::Type::Update if (200..300).contains(&status) => {
                        let status = call.update.clone().unwrap().status;
                        let uuid = status.uuid().to_vec();
                        let task = status.task_id.value.clone();
                        let wrong = updates.contains(&uuid) || terminated.contains(&task);
                        let before = replay.delivered.len();
                        if mesos_executor::session::is_terminal(status.state()) {
                            terminated.push(task);
                        }
                        replay.handle(Input::Command(Command::Update(Box::new(status))));
                        if wrong {
                            // The session keeps from the agent what the recorded one sent. One that
                            // was acknowledged is forgotten, and taken for a new one.
                            let refused =
                                matches!(replay.delivered.get(before), Some(Event::Refused { .. }));
                            assert!(refused || !replay.calls.is_empty(), "{name}");
                            unmade += usize::from(refused);
                        } else {
                            updates.push(uuid);
                        }
                        listed += usize::from(!replay.session.is_connected() && !replay.ending());
                        answers.insert(chunk.conn.clone(), Message::default());
                        calls.insert(chunk.conn.clone(), call);
                    }
                    call::Type::Message if (200..300).contains(&status) => {
                        let data = call.message.clone().unwrap().data;
                        replay.handle(Input::Command(Command::Message(data)));
                        answers.insert(chunk.conn.clone(), Message::default());
                        calls.insert(chunk.conn.clone(), call);
                    }
                    _ => {}
                }
            }
            Direction::In => {
                let Some(message) = answers.get_mut(&chunk.conn) else { continue };
                let started = message.head.is_some();
                let body = message.push(&chunk.bytes);
                if let Some(call) = calls.get(&chunk.conn) {
                    let status = message.status();
                    if let Some((id, ours)) = replay.calls.remove(&key(call)) {
                        assert_eq!(&ours, call, "{name}");
                        compared += 1;
                        replay.handle(Input::Answer { call: id, status, body: &body });
                    }
                    continue;
                }
                let stream = replay.streams[&chunk.conn];
                if !started {
                    let content_type = message.header("content-type");
                    let status = message.status();
                    replay.handle(Input::Response { stream, status, content_type, body: &[] });
                }
                bytes.entry(chunk.conn.clone()).or_default().extend_from_slice(&body);
                for piece in body.chunks(replay.piece) {
                    replay.handle(Input::Bytes { stream, bytes: piece });
                }
                if message.ended {
                    replay.streams.remove(&chunk.conn);
                    replay.handle(Input::Disconnected {
                        stream,
                        closed: true,
                        reason: "last chunk".into(),
                    });
                    replay.refuse();
                }
            }
            Direction::Closed => {
                if let Some(stream) = replay.streams.remove(&chunk.conn) {
                    replay.handle(Input::Disconnected {
                        stream,
                        closed: false,
                        reason: "peer closed".into(),
                    });
                    replay.refuse();
                }
            }
        }
    }

    assert_eq!(compared + unmade + listed, calls.len(), "{name}");
    assert!(unmade == 0 || name.starts_with("exec-errors"), "{name}");
    assert!(listed == 0 || name.starts_with("exec-resubscribe"), "{name}");
    assert!(replay.calls.is_empty(), "{name}");

    // Every recorded event was delivered, in order.
    let mut conns: Vec<_> = bytes.into_iter().collect();
    conns.sort();
    let mut expected: Vec<Record> = Vec::new();
    for (_, bytes) in conns {
        let mut decoder = Decoder::new(1 << 20);
        let mut rest = bytes.as_slice();
        while let Some(record) = decoder.next(&mut rest).unwrap() {
            let event: Record = format.decode(&record).unwrap();
            if format == Format::Json {
                let text: serde_json::Value = serde_json::from_slice(&record).unwrap();
                assert_eq!(json::to_value(&event), text, "{name}");
            }
            for format in [Format::Json, Format::Protobuf] {
                assert_eq!(format.decode(&format.encode(&event)).as_ref(), Ok(&event), "{name}");
            }
            // The acknowledgement of a repeated update means nothing.
            let again = event.acknowledged.is_some() && expected.contains(&event);
            if !again {
                expected.push(event);
            }
        }
    }
    let mut delivered = replay.delivered.iter().filter(|e| {
        !matches!(e, Event::Disconnected { .. } | Event::Refused { .. } | Event::Trouble(_))
    });
    // An acknowledged update that was sent again is one more for the session, so it says so twice.
    let mut seen: Vec<&Event> = Vec::new();
    for expected in &expected {
        let event = loop {
            let event = delivered.next().unwrap_or_else(|| panic!("{name}: {expected:?}"));
            if !(matches!(event, Event::Acknowledged { .. }) && seen.contains(&event)) {
                break event;
            }
        };
        seen.push(event);
        assert!(same(expected, event), "{name}: {expected:?} {event:?}");
    }
    assert_eq!(delivered.find(|e| !seen.contains(e)), None, "{name}");
    assert!(started, "{name}");
    if !environment.checkpoint {
        assert!(matches!(replay.given_up, Some(GiveUp::NotCheckpointing(_))), "{name}");
    } else {
        assert_eq!(replay.given_up, None, "{name}");
    }
}

/// A session whose first subscription gets this answer.
fn refused(mut session: Session, status: u16, body: &[u8], name: &str) {
    let now = Now { wall: Duration::ZERO, mono: Duration::ZERO };
    let outputs = session.handle(now, Input::Start);
    let Some(Output::OpenSubscription(stream, _)) = outputs.first() else { panic!("{outputs:?}") };
    let input = Input::Response { stream: *stream, status, content_type: None, body };
    let outputs = session.handle(now, input);
    let reason = outputs.iter().find_map(|o| match o {
        Output::Deliver(Event::GaveUp(reason)) => Some(reason),
        _ => None,
    });
    let text = String::from_utf8_lossy(body);
    match (status, reason) {
        (401, Some(GiveUp::Unauthorized(_))) => {}
        (400, Some(GiveUp::Unknown(reason))) if text.contains("cannot be found") => {
            assert_eq!(*reason, text);
        }
        (400 | 406, Some(GiveUp::Rejected(number, reason))) => {
            assert_eq!((*number, reason.as_str()), (status, &*text));
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn same(record: &Record, event: &Event) -> bool {
    match (record.r#type(), event) {
        (Type::Subscribed, Event::Subscribed(s)) => record.subscribed.as_ref() == Some(s),
        (Type::Launch, Event::Launch(t)) => record.launch.as_ref().map(|l| &l.task) == Some(t),
        (Type::LaunchGroup, Event::LaunchGroup(tasks)) => {
            record.launch_group.as_ref().map(|g| &g.task_group.tasks) == Some(tasks)
        }
        (Type::Kill, Event::Kill { task_id, grace }) => {
            let kill = record.kill.as_ref().unwrap();
            let policy = kill.kill_policy.as_ref().and_then(|p| p.grace_period.as_ref());
            kill.task_id.value == *task_id
                && policy.map(|d| d.nanoseconds) == grace.map(|g| g.as_nanos() as i64)
        }
        (Type::Acknowledged, Event::Acknowledged { task_id, uuid }) => {
            let acknowledged = record.acknowledged.as_ref().unwrap();
            acknowledged.task_id.value == *task_id && acknowledged.uuid == uuid
        }
        (Type::Message, Event::Message(data)) => {
            record.message.as_ref().map(|m| &m.data) == Some(data)
        }
        (Type::Shutdown, Event::Shutdown) => true,
        _ => false,
    }
}

#[test]
fn every_capture_whole() {
    let captures = captures();
    assert_eq!(captures.len(), 48);
    for (name, chunks, environment) in &captures {
        replay(name, chunks, environment, usize::MAX);
    }
}

#[test]
fn every_capture_in_pieces() {
    for (name, chunks, environment) in &captures() {
        for piece in [1, 2, 3, 7, 64, 1000] {
            replay(name, chunks, environment, piece);
        }
    }
}

/// The recorded executor ignored its recovery timeout; the session does not.
#[test]
fn the_agent_stays_away() {
    for (name, chunks, environment) in &captures() {
        if !name.starts_with("exec-agent-gone") {
            continue;
        }
        assert_eq!(environment.recovery_timeout, Duration::from_secs(20));
        let closed = chunks.iter().find(|c| c.direction == Direction::Closed).unwrap().at;
        let mut session = Session::new(environment, Options::default(), [1, 2, 3, 4]);
        let mut now = Duration::ZERO;
        let mut outputs = session.handle(Now { wall: now, mono: now }, Input::Start);
        let Some(Output::OpenSubscription(stream, _)) = outputs.first() else { panic!() };
        let stream = *stream;
        let conn = &chunks[0].conn;
        let mut message = Message::default();
        for chunk in chunks.iter().filter(|c| c.conn == *conn && c.direction == Direction::In) {
            let start = message.head.is_none();
            let body = message.push(&chunk.bytes);
            let at = Now { wall: chunk.at, mono: chunk.at };
            if start {
                let content_type = message.header("content-type");
                let status = message.status();
                session.handle(at, Input::Response { stream, status, content_type, body: &[] });
            }
            session.handle(at, Input::Bytes { stream, bytes: &body });
        }
        now = closed;
        let gone = Input::Disconnected { stream, closed: false, reason: "gone".into() };
        outputs = session.handle(Now { wall: now, mono: now }, gone);
        let mut timer = None;
        let mut tries = 0;
        let reason = loop {
            let mut opened = None;
            let mut reason = None;
            for output in outputs {
                match output {
                    Output::OpenSubscription(stream, _) => opened = Some(stream),
                    Output::SetTimer(at) => timer = at,
                    Output::Deliver(Event::GaveUp(r)) => reason = Some(r),
                    _ => {}
                }
            }
            if let Some(reason) = reason {
                break reason;
            }
            outputs = if let Some(stream) = opened {
                tries += 1;
                let reason = "refused".to_owned();
                let input = Input::Disconnected { stream, closed: false, reason };
                session.handle(Now { wall: now, mono: now }, input)
            } else {
                now = timer.unwrap();
                session.handle(Now { wall: now, mono: now }, Input::Tick)
            };
        };
        let timeout = Duration::from_secs(20);
        assert_eq!(reason, GiveUp::RecoveryTimeout { timeout, reason: "refused".into() });
        assert_eq!(now, closed + timeout);
        assert!((80..=170).contains(&tries), "{tries}");
        assert!(
            session.handle(Now { wall: now, mono: now }, Input::Tick).is_empty(),
            "nothing after the end"
        );
    }
}
