//! Replays every recorded connection between a scheduler and real masters: the session must make the
//! recorded calls and deliver the recorded events, however the bytes are cut, and understand every
//! recorded refusal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use mesos_executor::recordio::Decoder;
use mesos_scheduler::answer::Rejection;
use mesos_scheduler::session::{Command, Input, Output, Response, Session, StreamId};
use mesos_scheduler::v1::scheduler::event::Type;
use mesos_scheduler::v1::scheduler::{Call, Event as Record, call};
use mesos_scheduler::{
    CallError, Credentials, Endpoint, Event, Format, GiveUp, Options, Receipt, json,
};

#[path = "../../mesos-executor/tests/support/capture.rs"]
mod capture;

use capture::{Chunk, Direction, Message};

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mesos-scheduler")
}

fn captures() -> Vec<(String, Vec<Chunk>)> {
    let read = |name: String| {
        let chunks = capture::read(&directory(), &name);
        (name, chunks)
    };
    capture::names(&directory()).into_iter().map(read).collect()
}

fn response<'a>(message: &'a Message, body: &'a [u8]) -> Response<'a> {
    Response {
        status: message.status(),
        content_type: message.header("content-type"),
        stream_id: message.header("mesos-stream-id"),
        location: message.header("location"),
        body,
    }
}

/// What was sent, with the recorded answer.
struct Exchange {
    request: Message,
    call: Option<Call>,
    format: Format,
    answer: Message,
    body: Vec<u8>,
}

/// `later`: what the same connection got after the request.
fn exchange<'a>(request: &[u8], later: impl Iterator<Item = &'a Chunk>) -> Exchange {
    let mut message = Message::default();
    let body = message.push(request);
    let format = message.header("content-type").and_then(Format::from_content_type);
    let call = format.and_then(|f| f.decode(&body).ok());
    let (mut answer, mut body) = (Message::default(), Vec::new());
    for chunk in later {
        body.extend(answer.push(&chunk.bytes));
        if answer.head.is_some() {
            break;
        }
    }
    Exchange { request: message, call, format: format.unwrap_or_default(), answer, body }
}

/// A subscription of which the stream is open.
struct Live {
    session: Session,
    id: StreamId,
    message: Message,
    /// The name of the stream.
    name: String,
    bytes: Vec<u8>,
    delivered: Vec<Event>,
    receipts: BTreeMap<Vec<u8>, Receipt>,
    gave_up: Option<GiveUp>,
    /// The session has learned from the answer to a call that the stream is another's.
    taken_over: bool,
}

impl Live {
    fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output> {
        let mut others = Vec::new();
        for output in self.session.handle(now, input) {
            match output {
                Output::Deliver(Event::GaveUp(reason)) => self.gave_up = Some(reason),
                Output::Deliver(event) => {
                    if let Event::Update { receipt, status } = &event
                        && let Some(uuid) = &status.uuid
                    {
                        self.receipts.insert(uuid.clone(), *receipt);
                    }
                    self.delivered.push(event);
                }
                other => others.push(other),
            }
        }
        others
    }
}

fn master() -> Endpoint {
    Endpoint::parse("127.0.0.1:5050").unwrap()
}

/// A session that has sent this SUBSCRIBE.
fn subscribe(exchange: &Exchange, call: &Call, now: Duration) -> (Session, StreamId) {
    let mut framework = call.subscribe.as_ref().unwrap().framework_info.clone();
    framework.id = call.framework_id.clone();
    let credentials = exchange.request.header("authorization").map(|header| {
        let pair = header.strip_prefix("Basic ").unwrap();
        // Of the recorded ones.
        let (principal, secret) = match pair {
            "YXVyb3JhOnMzY3JldA==" => ("aurora", "s3cret"),
            "YXVyb3JhOndyb25n" => ("aurora", "wrong"),
            other => panic!("{other}"),
        };
        Credentials::new(principal, secret).unwrap()
    });
    let options = Options { format: exchange.format, credentials, ..Options::default() };
    let mut session = Session::new(framework, options, 7);
    let outputs = session.handle(now, Input::Masters(vec![master()]));
    let opened = outputs.into_iter().find_map(|output| match output {
        Output::OpenSubscription(stream, request) => Some((stream, request)),
        _ => None,
    });
    let (stream, request) = opened.unwrap();
    let ours: Call = exchange.format.decode(&request.body).unwrap();
    let mut recorded = call.clone();
    if let (Some(id), Some(subscribe)) = (&recorded.framework_id, &mut recorded.subscribe) {
        subscribe.framework_info.id = Some(id.clone());
    }
    // The recorded scheduler suppressed a role that it does not have, which the session does not.
    if let Some(subscribe) = &mut recorded.subscribe {
        subscribe.suppressed_roles.clear();
    }
    assert_eq!(ours, recorded);
    for (name, value) in &request.headers {
        let recorded = exchange.request.header(name);
        match *name {
            "host" | "accept" => {}
            _ => assert_eq!(recorded, Some(value.as_str()), "{name}"),
        }
    }
    (session, stream)
}

#[derive(Debug, Default, PartialEq)]
struct Count {
    streams: usize,
    calls: usize,
    refused: usize,
    events: usize,
}

fn replay(name: &str, chunks: &[Chunk], piece: usize) -> Count {
    let mut count = Count::default();
    let mut live: HashMap<String, Live> = HashMap::new();
    let mut over: Vec<Live> = Vec::new();
    for (place, chunk) in chunks.iter().enumerate() {
        let now = chunk.at;
        match chunk.direction {
            Direction::Out => {
                let later = chunks[place + 1..]
                    .iter()
                    .filter(|c| c.conn == chunk.conn && c.direction == Direction::In);
                let exchange = exchange(&chunk.bytes, later);
                if exchange.request.first() != "POST /api/v1/scheduler HTTP/1.1" {
                    continue;
                }
                let Some(call) = exchange.call.clone() else { continue };
                match call.r#type() {
                    call::Type::Unknown => {}
                    call::Type::Subscribe if exchange.answer.status() == 200 => {
                        let (session, id) = subscribe(&exchange, &call, now);
                        let name = exchange.answer.header("mesos-stream-id").unwrap().to_owned();
                        let stream = Live {
                            session,
                            id,
                            name,
                            message: Message::default(),
                            bytes: Vec::new(),
                            delivered: Vec::new(),
                            receipts: BTreeMap::new(),
                            gave_up: None,
                            taken_over: false,
                        };
                        live.insert(chunk.conn.clone(), stream);
                        count.streams += 1;
                    }
                    call::Type::Subscribe => count.refused += not_subscribed(&exchange, &call),
                    _ => {
                        let stream = exchange.request.header("mesos-stream-id");
                        let streams = live.values_mut();
                        let of_stream =
                            |l: &&mut Live| Some(l.name.as_str()) == stream && l.gave_up.is_none();
                        if let Some(live) = streams.into_iter().find(of_stream)
                            && live.session.is_connected()
                        {
                            made(name, live, now, &exchange, &call, &mut count);
                        }
                    }
                }
            }
            Direction::In => {
                let Some(stream) = live.get_mut(&chunk.conn) else { continue };
                let started = stream.message.head.is_some();
                let body = stream.message.push(&chunk.bytes);
                if !started && stream.message.head.is_some() {
                    let message = std::mem::take(&mut stream.message);
                    let id = stream.id;
                    stream.handle(
                        now,
                        Input::Response { stream: id, response: response(&message, &[]) },
                    );
                    stream.message = message;
                }
                stream.bytes.extend_from_slice(&body);
                for piece in body.chunks(piece) {
                    let id = stream.id;
                    stream.handle(now, Input::Bytes { stream: id, bytes: piece });
                }
                if stream.message.ended {
                    let mut stream = live.remove(&chunk.conn).unwrap();
                    let id = stream.id;
                    stream.handle(now, Input::Disconnected { stream: id, reason: "ended".into() });
                    over.push(stream);
                }
            }
            Direction::Closed => {
                if let Some(mut stream) = live.remove(&chunk.conn) {
                    let id = stream.id;
                    let cut = Input::Disconnected { stream: id, reason: "cut".into() };
                    let outputs = stream.handle(now, cut);
                    // It is tried again, soon.
                    let timer = outputs.iter().find_map(|output| match output {
                        Output::SetTimer(at) => *at,
                        _ => None,
                    });
                    if stream.gave_up.is_none() {
                        assert!(timer.unwrap() - now <= Options::default().min_pause, "{name}");
                    }
                    over.push(stream);
                }
            }
        }
    }
    over.extend(live.into_values());
    for stream in &over {
        check(name, stream, &mut count);
    }
    count
}

/// A recorded SUBSCRIBE that got no stream: what the session makes of the answer. Counts 1 if this
/// is a call that the session could have made.
fn not_subscribed(exchange: &Exchange, call: &Call) -> usize {
    let info = &call.subscribe.as_ref().map(|s| s.framework_info.clone());
    let Some(info) = info else { return 0 };
    if info.id != call.framework_id || exchange.request.header("mesos-stream-id").is_some() {
        return 0;
    }
    let (mut session, stream) = subscribe(exchange, call, Duration::ZERO);
    let response = response(&exchange.answer, &exchange.body);
    let outputs = session.handle(Duration::ZERO, Input::Response { stream, response });
    let gave_up = outputs.iter().find_map(|output| match output {
        Output::Deliver(Event::GaveUp(reason)) => Some(reason.clone()),
        _ => None,
    });
    let text = String::from_utf8(exchange.body.clone()).unwrap();
    match exchange.answer.status() {
        401 => assert_eq!(gave_up, Some(GiveUp::Unauthorized(text))),
        status @ (400 | 406) => {
            let rejection = Rejection { status, text };
            assert_eq!(gave_up, Some(GiveUp::Rejected(rejection)));
        }
        307 => {
            let location = exchange.answer.header("location").unwrap();
            let leader = location.trim_start_matches('/').split('/').next().unwrap();
            let asked = outputs.iter().find_map(|output| match output {
                Output::OpenSubscription(_, request) => Some(request.master.to_string()),
                _ => None,
            });
            assert_eq!(asked.as_deref(), Some(leader), "{outputs:?}");
        }
        404 | 503 => {
            let timer = |output: &Output| matches!(output, Output::SetTimer(Some(_)));
            assert!(gave_up.is_none() && outputs.iter().any(timer), "{outputs:?}");
        }
        other => panic!("{other}: {text}"),
    }
    1
}

/// A recorded call on an open stream: the session makes the same, and understands the answer.
fn made(
    name: &str,
    live: &mut Live,
    now: Duration,
    exchange: &Exchange,
    call: &Call,
    count: &mut Count,
) {
    let known = live.session.is_connected()
        && call.framework_id.as_ref().map(|id| id.value.as_str()) == framework_id(live);
    if !known {
        return;
    }
    let receipt = call.acknowledge.as_ref().and_then(|a| live.receipts.remove(&a.uuid));
    let command = match receipt {
        Some(receipt) => Command::Durable(receipt),
        None => Command::Call(Box::new(Call { framework_id: None, ..call.clone() })),
    };
    let outputs = live.handle(now, Input::Command(command));
    let posted = outputs.into_iter().find_map(|output| match output {
        Output::PostCall(id, request) => Some((id, request)),
        _ => None,
    });
    let (id, request) = posted.unwrap_or_else(|| panic!("{name}: {call:?}"));
    // In the encoding of the session, which the recorded one changes now and then.
    let format = request.headers.iter().find(|(name, _)| *name == "content-type").unwrap();
    let format = Format::from_content_type(&format.1).unwrap();
    let ours: Call = format.decode(&request.body).unwrap();
    assert_eq!(&ours, call, "{name}");
    let stream = request.headers.iter().find(|(name, _)| *name == "mesos-stream-id").unwrap();
    assert_eq!(stream.1, live.name, "{name}");
    let before = live.delivered.len();
    let response = response(&exchange.answer, &exchange.body);
    live.handle(now, Input::Answer { call: id, response });
    let events: Vec<Event> = live.delivered.drain(before..).collect();
    match exchange.answer.status() {
        200 | 202 if call.r#type() == call::Type::Teardown => {
            assert_eq!(live.gave_up, Some(GiveUp::TornDown));
            count.calls += 1;
        }
        200 | 202 => {
            assert_eq!(events, [], "{name}");
            count.calls += 1;
        }
        status => {
            let text = String::from_utf8(exchange.body.clone()).unwrap();
            if let [Event::Disconnected { reason }] = events.as_slice() {
                // The stream is another scheduler's since.
                assert!(reason.contains(text.trim()), "{name}: {reason}");
                live.taken_over = true;
                count.refused += 1;
                return;
            }
            let [Event::Refused { call: refused, error: CallError::Rejected(rejection) }] =
                events.as_slice()
            else {
                panic!("{name}: {status} {text}: {events:?}")
            };
            assert_eq!(rejection.status, status);
            assert_eq!(rejection.text, text.trim());
            assert_eq!(refused.r#type(), call.r#type());
            count.refused += 1;
        }
    }
}

fn framework_id(live: &Live) -> Option<&str> {
    live.delivered.iter().find_map(|event| match event {
        Event::Subscribed { framework_id, .. } => Some(framework_id.as_str()),
        _ => None,
    })
}

/// Every recorded event was delivered, in order.
fn check(name: &str, stream: &Live, count: &mut Count) {
    let format = stream.message.header("content-type").and_then(Format::from_content_type);
    let format = format.unwrap();
    let mut decoder = Decoder::new(1 << 20);
    let mut rest = stream.bytes.as_slice();
    let noise = |e: &&Event| {
        !matches!(e, Event::Disconnected { .. } | Event::Trouble(_) | Event::Subscribing { .. })
    };
    let mut delivered = stream.delivered.iter().filter(noise);
    while let Some(record) = decoder.next(&mut rest).unwrap() {
        let event: Record = format.decode(&record).unwrap();
        if format == Format::Json {
            let text: serde_json::Value = serde_json::from_slice(&record).unwrap();
            assert_eq!(json::to_value(&event), text, "{name}");
        }
        for format in [Format::Json, Format::Protobuf] {
            assert_eq!(format.decode(&format.encode(&event)).as_ref(), Ok(&event), "{name}");
        }
        count.events += 1;
        match event.r#type() {
            Type::Error => {
                let text = event.error.unwrap().message;
                let expected = match text.as_str() {
                    "Framework failed over" => GiveUp::FailedOver(text),
                    "Framework has been removed" => GiveUp::Removed(text),
                    _ => GiveUp::Error(text),
                };
                let gave_up = (!stream.taken_over).then_some(expected);
                assert_eq!(stream.gave_up, gave_up, "{name}");
            }
            // It was torn down; what comes after that is nobody's any more.
            _ if stream.gave_up == Some(GiveUp::TornDown) => {
                if let Some(event_delivered) = delivered.next() {
                    assert!(same(&event, event_delivered), "{name}: {event:?}");
                }
            }
            _ => {
                let next = delivered.next().unwrap_or_else(|| panic!("{name}: {event:?}"));
                assert!(same(&event, next), "{name}: {event:?} {next:?}");
            }
        }
    }
    assert_eq!(delivered.next(), None, "{name}");
}

fn same(record: &Record, event: &Event) -> bool {
    match (record.r#type(), event) {
        (Type::Subscribed, Event::Subscribed { framework_id, master, .. }) => {
            let subscribed = record.subscribed.as_ref().unwrap();
            subscribed.framework_id.value == *framework_id
                && subscribed.master_info.as_ref() == master.as_deref()
        }
        (Type::Offers, Event::Offers(offers)) => record.offers.as_ref().unwrap().offers == *offers,
        (Type::InverseOffers, Event::InverseOffers(offers)) => {
            record.inverse_offers.as_ref().unwrap().inverse_offers == *offers
        }
        (Type::Heartbeat, Event::Heartbeat) => true,
        (Type::Rescind, Event::Rescind { offer_id }) => {
            record.rescind.as_ref().unwrap().offer_id.value == *offer_id
        }
        (Type::RescindInverseOffer, Event::RescindInverseOffer { offer_id }) => {
            let rescind = record.rescind_inverse_offer.as_ref().unwrap();
            rescind.inverse_offer_id.value == *offer_id
        }
        (Type::Update, Event::Update { status, .. }) => {
            record.update.as_ref().unwrap().status == **status
        }
        (Type::UpdateOperationStatus, Event::UpdateOperation(status)) => {
            record.update_operation_status.as_ref().unwrap().status == **status
        }
        (Type::Message, Event::Message { agent_id, executor_id, data }) => {
            let message = record.message.as_ref().unwrap();
            message.agent_id.value == *agent_id
                && message.executor_id.value == *executor_id
                && message.data == *data
        }
        (Type::Failure, Event::Failure { agent_id, executor_id, status }) => {
            let failure = record.failure.as_ref().unwrap();
            let text = |value: Option<&String>| value.cloned();
            text(failure.agent_id.as_ref().map(|id| &id.value)) == *agent_id
                && text(failure.executor_id.as_ref().map(|id| &id.value)) == *executor_id
                && failure.status == *status
        }
        _ => false,
    }
}

fn all(piece: usize) -> Count {
    let captures = captures();
    assert_eq!(captures.len(), 47);
    let mut total = Count::default();
    for (name, chunks) in &captures {
        let count = replay(name, chunks, piece);
        assert!(count.streams > 0 && count.events > 0, "{name}: {count:?}");
        total.streams += count.streams;
        total.calls += count.calls;
        total.refused += count.refused;
        total.events += count.events;
    }
    total
}

#[test]
fn every_capture_whole() {
    let count = all(usize::MAX);
    // Nearly all of what was recorded; the rest are requests that the session cannot make.
    println!("{count:?}");
    assert!(count.streams > 60 && count.calls > 350 && count.events > 600, "{count:?}");
    assert!(count.refused >= 10, "{count:?}");
}

#[test]
fn every_capture_in_pieces() {
    let whole = all(usize::MAX);
    for piece in [1, 2, 3, 7, 64, 1000] {
        assert_eq!(all(piece), whole);
    }
}
