//! Any bytes as an event or call between master and scheduler, in both encodings, as what a master
//! sends, in a stream of records, and as what is in ZooKeeper: no panic, and what was decoded comes
//! back from its encodings.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mesos_scheduler::codec::Wire;
use mesos_scheduler::session::{Command, Input, Output, Response, Session};
use mesos_scheduler::v1::scheduler::{Call, Event};
use mesos_scheduler::{Endpoint, Event as Delivered, Format, Framework, Options, master};

/// Most updates that the scheduler can hold.
const MAX_WAITING: usize = 3;

/// Decodes `data` in each format, and what came out in each again. The texts are compared, since
/// NaN differs from itself.
fn check<M: Wire>(data: &[u8]) {
    for format in [Format::Protobuf, Format::Json] {
        match format.decode::<M>(data) {
            Ok(message) => {
                let text = Format::Json.encode(&message);
                let bytes = Format::Protobuf.encode(&message);
                match Format::Protobuf.decode::<M>(&bytes) {
                    Ok(again) => assert_eq!(Format::Json.encode(&again), text),
                    Err(error) => panic!("{error}"),
                }
                match Format::Json.decode::<M>(&text) {
                    Ok(again) => assert_eq!(Format::Json.encode(&again), text),
                    Err(error) => panic!("{error}"),
                }
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// A session whose master answers with these bytes, and which writes everything down late.
fn session(data: &[u8]) {
    let Some(endpoint) = Endpoint::parse("127.0.0.1:5050") else { return };
    let first = data.first().copied().unwrap_or_default();
    let format = if first & 1 == 1 { Format::Json } else { Format::Protobuf };
    let options =
        Options { format, max_record: 4096, max_waiting: MAX_WAITING, ..Options::default() };
    let mut session = Session::new(Framework::default().info(), options, 1);
    let now = Duration::from_secs(1);
    let mut stream = None;
    for output in session.handle(now, Input::Masters(vec![endpoint])) {
        if let Output::OpenSubscription(id, _) = output {
            stream = Some(id);
        }
    }
    let Some(stream) = stream else { return };
    let response = Response {
        status: 200,
        content_type: Some(format.content_type()),
        stream_id: Some("s"),
        ..Response::default()
    };
    let mut receipts = Vec::new();
    let mut outputs = session.handle(now, Input::Response { stream, response });
    for bytes in data.get(1..).unwrap_or_default().chunks(7) {
        outputs.extend(session.handle(now, Input::Bytes { stream, bytes }));
        for output in outputs.drain(..) {
            if let Output::Deliver(Delivered::Update { receipt, .. }) = output {
                receipts.push(receipt);
            }
        }
        assert!(session.waiting() <= MAX_WAITING);
    }
    for receipt in receipts {
        session.handle(now, Input::Command(Command::Durable(receipt)));
        assert!(session.waiting() <= MAX_WAITING);
    }
}

fuzz_target!(|data: &[u8]| {
    check::<Event>(data);
    check::<Call>(data);
    session(data);
    let _ = master::endpoint(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = master::Masters::parse(text);
    }
});
