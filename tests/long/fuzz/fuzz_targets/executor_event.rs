//! Any bytes as an event or call, in both encodings, and as what an agent sends: no panic, and what
//! was decoded comes back from its encodings.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mesos_executor::codec::Wire;
use mesos_executor::session::{Input, Now, Output, Session};
use mesos_executor::v1::executor::{Call, Event};
use mesos_executor::{Environment, Format, Options};

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

/// A session whose agent answers with these bytes.
fn session(data: &[u8]) {
    let environment = Environment::from_vars([
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_DIRECTORY", "/d"),
        ("MESOS_CHECKPOINT", "1"),
    ]);
    let Ok(environment) = environment else { return };
    let json = data.first().is_some_and(|b| b & 1 == 1);
    let format = if json { Format::Json } else { Format::Protobuf };
    let options = Options { format, max_record: 4096, ..Options::default() };
    let mut session = Session::new(&environment, options, [1, 2, 3, 4]);
    let now = Now { wall: Duration::from_secs(1), mono: Duration::from_secs(1) };
    for output in session.handle(now, Input::Start) {
        if let Output::OpenSubscription(stream, _) = output {
            let content_type = Some(format.content_type());
            session.handle(now, Input::Response { stream, status: 200, content_type, body: b"" });
            for bytes in data.get(1..).unwrap_or_default().chunks(7) {
                session.handle(now, Input::Bytes { stream, bytes });
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    check::<Event>(data);
    check::<Call>(data);
    session(data);
});
