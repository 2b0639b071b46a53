//! What the driver costs, as ratios to floors that nothing can be below.
//!
//! | figure | floor |
//! |---|---|
//! | an update: framing, decoding, delivery, acknowledgement | the same records through prost alone |
//! | an offer, of 10,000 in one record | the same record through prost alone |
//! | a call over loopback, one after the other | the same bytes there and back on a plain socket |
//! | acknowledgements over loopback | the same |
//!
//! Each figure is the best of some runs: other work on the machine only makes them worse.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may fail")]

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use mesos_executor::recordio;
use mesos_scheduler::session::{Command, Input, Output, Response, Session};
use mesos_scheduler::v1::scheduler::Event as Record;
use mesos_scheduler::v1::scheduler::event::{Offers, Subscribed, Type, Update};
use mesos_scheduler::v1::{
    AgentId, FrameworkId, Offer, OfferId, Resource, TaskId, TaskState, TaskStatus, value,
};
use mesos_scheduler::{Client, Endpoint, Event, Format, Framework, Masters, Options, call};
use prost::Message as _;

const UPDATES: usize = 20_000;
const OFFERS: usize = 10_000;
const CALLS: usize = 5_000;
const RUNS: usize = 5;

fn main() {
    println!("{:<44} {:>12} {:>12} {:>7}", "", "driver", "floor", "ratio");
    let updates: Vec<Record> = (0..UPDATES).map(update).collect();
    print("one update, acknowledged", UPDATES, session(&updates, UPDATES), decode(&updates));
    let offers = [offers()];
    print("one offer, of 10,000 in a record", OFFERS, session(&offers, 0), decode(&offers));
    let floor = there_and_back();
    print("one call, in order, over loopback", CALLS, calls(false), floor);
    print("one acknowledgement over loopback", CALLS, calls(true), floor);
}

fn print(what: &str, count: usize, driver: Duration, floor: Duration) {
    let each = |time: Duration| time.as_secs_f64() / count as f64 * 1e6;
    let ratio = driver.as_secs_f64() / floor.as_secs_f64();
    println!("{what:<44} {:>9.2} µs {:>9.2} µs {ratio:>7.2}", each(driver), each(floor));
}

fn best(run: impl FnMut() -> Duration) -> Duration {
    std::iter::repeat_with(run).take(RUNS).min().unwrap()
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Record::default() }
}

fn subscribed() -> Record {
    let framework_id = FrameworkId { value: "f".into() };
    let subscribed = Subscribed { framework_id, ..Subscribed::default() };
    Record { subscribed: Some(subscribed), ..of_type(Type::Subscribed) }
}

fn update(place: usize) -> Record {
    let status = TaskStatus {
        task_id: TaskId {
            value: format!("www-data-prod-hello-{place}-0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        },
        state: TaskState::TaskRunning.into(),
        message: Some("running".into()),
        agent_id: Some(AgentId { value: "a1ab55ef-2bee-40fc-9b5a-730b49083c6a-S0".into() }),
        timestamp: Some(1.75e9),
        uuid: Some((place as u128).to_be_bytes().to_vec()),
        ..TaskStatus::default()
    };
    Record { update: Some(Update { status }), ..of_type(Type::Update) }
}

fn offers() -> Record {
    let scalar = |name: &str, amount: f64| Resource {
        name: name.into(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value: amount }),
        role: Some("*".into()),
        ..Resource::default()
    };
    let offer = |place: usize| Offer {
        id: OfferId { value: format!("a1ab55ef-2bee-40fc-9b5a-730b49083c6a-O{place}") },
        framework_id: FrameworkId { value: "f".into() },
        agent_id: AgentId { value: format!("a1ab55ef-2bee-40fc-9b5a-730b49083c6a-S{place}") },
        hostname: format!("host-{place}.example.com"),
        resources: vec![scalar("cpus", 16.0), scalar("mem", 65_536.0), scalar("disk", 1e6)],
        ..Offer::default()
    };
    let offers = Offers { offers: (0..OFFERS).map(offer).collect() };
    Record { offers: Some(offers), ..of_type(Type::Offers) }
}

fn stream(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        recordio::encode(&record.encode_to_vec(), &mut bytes);
    }
    bytes
}

/// Decodes and does nothing.
fn decode(records: &[Record]) -> Duration {
    let records: Vec<Vec<u8>> = records.iter().map(Record::encode_to_vec).collect();
    best(|| {
        let begun = Instant::now();
        for record in &records {
            black_box(Record::decode(record.as_slice()).unwrap());
        }
        begun.elapsed()
    })
}

/// Through a session, without a socket, as it would come in pieces of 64 KiB. `updates`: how many
/// are acknowledged in the end.
fn session(records: &[Record], updates: usize) -> Duration {
    let stream_bytes = stream(records);
    best(|| {
        let options = Options { max_waiting: usize::MAX, ..Options::default() };
        let mut session = Session::new(Framework::default().info(), options, 1);
        let now = Duration::from_secs(1);
        let master = Endpoint::parse("a:1").unwrap();
        let outputs = session.handle(now, Input::Masters(vec![master]));
        let opened = outputs.iter().find_map(|output| match output {
            Output::OpenSubscription(stream, _) => Some(*stream),
            _ => None,
        });
        let stream_id = opened.unwrap();
        let response = Response { status: 200, stream_id: Some("s"), ..Response::default() };
        session.handle(now, Input::Response { stream: stream_id, response });
        let first = stream(&[subscribed()]);
        session.handle(now, Input::Bytes { stream: stream_id, bytes: &first });
        let accepted = Response { status: 202, ..Response::default() };
        let mut acknowledged = 0;
        let begun = Instant::now();
        for bytes in stream_bytes.chunks(64 << 10) {
            let mut todo = session.handle(now, Input::Bytes { stream: stream_id, bytes });
            while let Some(output) = todo.pop() {
                match output {
                    Output::Deliver(Event::Update { receipt, status }) => {
                        black_box(status);
                        let durable = Input::Command(Command::Durable(receipt));
                        todo.extend(session.handle(now, durable));
                    }
                    Output::PostCall(call, request) => {
                        black_box(request);
                        acknowledged += 1;
                        let answer = Input::Answer { call, response: accepted };
                        todo.extend(session.handle(now, answer));
                    }
                    other => drop(black_box(other)),
                }
            }
        }
        let time = begun.elapsed();
        assert_eq!(acknowledged, updates);
        time
    })
}

/// Serves schedulers: SUBSCRIBE with some records, everything else with 202.
fn server(records: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let records = records.clone();
            std::thread::spawn(move || serve(stream.unwrap(), &records));
        }
    });
    address
}

fn serve(mut stream: TcpStream, records: &[u8]) {
    stream.set_nodelay(true).unwrap();
    let (mut buffer, mut filled) = (vec![0; 64 << 10], 0);
    loop {
        let end = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        let Some(end) = end else {
            match stream.read(&mut buffer[filled..]) {
                Ok(0) | Err(_) => return,
                Ok(n) => filled += n,
            }
            continue;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let whole = end + length.parse::<usize>().unwrap();
        while filled < whole {
            filled += stream.read(&mut buffer[filled..]).unwrap();
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
        if head.contains("mesos-stream-id") {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").unwrap();
        } else {
            let head =
                "HTTP/1.1 200 OK\r\nMesos-Stream-Id: s\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(format!("{head}{:x}\r\n", records.len()).as_bytes()).unwrap();
            stream.write_all(records).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
    }
}

/// A request of a call's length and its answer, again and again.
fn there_and_back() -> Duration {
    let address = server(Vec::new());
    best(|| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let body = "x".repeat(100);
        let request = format!(
            "POST /api/v1/scheduler HTTP/1.1\r\nhost: {address}\r\nmesos-stream-id: s\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = [0; 256];
        let begun = Instant::now();
        for _ in 0..CALLS {
            stream.write_all(request.as_bytes()).unwrap();
            assert!(stream.read(&mut answer).unwrap() > 0);
        }
        begun.elapsed()
    })
}

/// Calls of a client: kills, or acknowledgements of what the master sends.
fn calls(acknowledge: bool) -> Duration {
    let mut records = vec![subscribed()];
    if acknowledge {
        records.extend((0..CALLS).map(update));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    best(|| {
        let address = server(stream(&records));
        runtime.block_on(async {
            let options = Options { format: Format::Protobuf, ..Options::default() };
            let masters = Masters::parse(&address.to_string()).unwrap().watch().unwrap();
            let mut client = Client::start(masters, Framework::default().info(), options);
            let handle = client.handle();
            while !matches!(client.next().await.unwrap(), Event::Subscribed { .. }) {}
            let begun = Instant::now();
            if acknowledge {
                // The last ones can only come when nearly all before are acknowledged.
                for _ in 0..CALLS {
                    let Event::Update { receipt, .. } = client.next().await.unwrap() else {
                        panic!("something else");
                    };
                    handle.durable(receipt);
                }
                return begun.elapsed();
            }
            for place in 0..CALLS {
                handle.call(call::kill(&format!("www-data-prod-hello-{place}"), None, None));
            }
            // The last of them, after which the driver ends.
            handle.call(call::teardown());
            while !matches!(client.next().await.unwrap(), Event::GaveUp(_)) {}
            begun.elapsed()
        })
    })
}
