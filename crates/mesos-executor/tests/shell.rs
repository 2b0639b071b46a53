//! The client on real sockets, against an agent that follows a script.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use mesos_executor::recordio;
use mesos_executor::session::MAX_PAUSE;
use mesos_executor::v1::executor::event::{Acknowledged, Launch, Message, Subscribed, Type};
use mesos_executor::v1::executor::{Call, Event as Record, call};
use mesos_executor::v1::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkInfo, TaskId, TaskInfo, TaskState,
    TaskStatus,
};
use mesos_executor::{Client, Environment, Event, Format, GiveUp, Options};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

fn environment(port: u16, extra: &[(&str, &str)]) -> Environment {
    let endpoint = format!("127.0.0.1:{port}");
    let vars = [
        ("MESOS_AGENT_ENDPOINT", endpoint.as_str()),
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_DIRECTORY", "/d"),
        ("MESOS_CHECKPOINT", "1"),
    ];
    Environment::from_vars(vars.into_iter().chain(extra.iter().copied())).unwrap()
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Default::default() }
}

fn subscribed() -> Record {
    let executor_id = ExecutorId { value: "e".into() };
    let subscribed = Subscribed {
        executor_info: ExecutorInfo { executor_id, ..Default::default() },
        framework_info: FrameworkInfo { user: "u".into(), name: "n".into(), ..Default::default() },
        agent_info: AgentInfo { hostname: "h".into(), ..Default::default() },
        container_id: None,
    };
    Record { subscribed: Some(subscribed), ..of_type(Type::Subscribed) }
}

fn launch() -> Record {
    let task = TaskInfo {
        name: "t".into(),
        task_id: TaskId { value: "t".into() },
        agent_id: AgentId { value: "a".into() },
        ..Default::default()
    };
    Record { launch: Some(Launch { task }), ..of_type(Type::Launch) }
}

fn acknowledged(status: &TaskStatus) -> Record {
    let task_id = status.task_id.clone();
    let uuid = status.uuid().to_vec();
    Record { acknowledged: Some(Acknowledged { task_id, uuid }), ..of_type(Type::Acknowledged) }
}

fn running() -> TaskStatus {
    let task_id = TaskId { value: "t".into() };
    TaskStatus { task_id, state: TaskState::TaskRunning.into(), ..Default::default() }
}

/// The agent's end of a connection.
struct Peer<S> {
    io: S,
    rest: Vec<u8>,
    format: Format,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(io: S, format: Format) -> Self {
        Self { io, rest: Vec::new(), format }
    }

    /// The next request: its head and the call.
    async fn request(&mut self) -> (String, Call) {
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(self.rest[..end].to_vec()).unwrap();
                let head = head.to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                if self.rest.len() >= end + 4 + length {
                    let body: Vec<u8> = self.rest.drain(..end + 4 + length).skip(end + 4).collect();
                    return (head, self.format.decode(&body).unwrap());
                }
            }
            let n = timeout(SOON, self.io.read(&mut buffer)).await.unwrap().unwrap();
            assert!(n > 0, "closed");
            self.rest.extend_from_slice(&buffer[..n]);
        }
    }

    async fn stream(&mut self) {
        let head = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: {}\r\n\r\n",
            self.format.content_type()
        );
        self.io.write_all(head.as_bytes()).await.unwrap();
    }

    async fn record(&mut self, record: &Record) {
        let mut bytes = Vec::new();
        recordio::encode(&self.format.encode(record), &mut bytes);
        // Chunks have nothing to do with records.
        let (a, b) = bytes.split_at(bytes.len() / 2);
        for part in [a, b] {
            let chunk = format!("{:x}\r\n", part.len());
            self.io.write_all(chunk.as_bytes()).await.unwrap();
            self.io.write_all(part).await.unwrap();
            self.io.write_all(b"\r\n").await.unwrap();
        }
    }

    async fn answer(&mut self, status: &str) {
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\ntext");
        self.io.write_all(answer.as_bytes()).await.unwrap();
    }

    async fn accepted(&mut self) {
        self.io.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    }
}

async fn next(client: &mut Client) -> Event {
    timeout(SOON, client.next()).await.unwrap().unwrap()
}

async fn accept(listener: &TcpListener) -> Peer<tokio::net::TcpStream> {
    let (io, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    Peer::new(io, Format::Protobuf)
}

/// A client that has subscribed, and its stream.
async fn connected() -> (TcpListener, Client, Peer<tokio::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let environment = environment(listener.local_addr().unwrap().port(), &[]);
    let mut client = Client::start(environment, Options::default());
    let mut stream = accept(&listener).await;
    stream.request().await;
    stream.stream().await;
    stream.record(&subscribed()).await;
    assert!(matches!(next(&mut client).await, Event::Subscribed(_)));
    (listener, client, stream)
}

/// A task from its launch to the acknowledgement of an update, on any kind of socket.
async fn a_task<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: Peer<S>,
    calls: impl Future<Output = Peer<S>>,
    client: &mut Client,
) {
    let (head, call) = stream.request().await;
    assert!(head.starts_with("post /api/v1/executor http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nhost: 127.0.0.1:"), "{head}");
    assert!(head.contains("\r\nauthorization: bearer abc\r\n"), "{head}");
    assert_eq!(call.r#type(), call::Type::Subscribe);
    stream.stream().await;
    stream.record(&subscribed()).await;
    stream.record(&launch()).await;
    assert!(matches!(next(client).await, Event::Subscribed(_)));
    assert!(matches!(next(client).await, Event::Launch(_)));
    let handle = client.handle();
    handle.update(running());
    handle.message(b"hello".to_vec());
    let mut calls = calls.await;
    let (_, call) = calls.request().await;
    let status = call.update.unwrap().status;
    calls.accepted().await;
    // The next call comes over the same connection.
    let (_, call) = calls.request().await;
    assert_eq!(call.message.unwrap().data, b"hello");
    calls.accepted().await;
    stream.record(&acknowledged(&status)).await;
    let Event::Acknowledged { task_id, uuid } = next(client).await else { panic!() };
    assert_eq!((task_id.as_str(), uuid.as_slice()), ("t", status.uuid()));
    handle.flush(SOON);
    assert_eq!(next(client).await, Event::Flushed { unsent: 0, unacknowledged: 0 });
    stream.record(&of_type(Type::Shutdown)).await;
    assert_eq!(next(client).await, Event::Shutdown);
}

const TOKEN: (&str, &str) = ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "abc");

#[tokio::test]
async fn tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let environment = environment(listener.local_addr().unwrap().port(), &[TOKEN]);
    let mut client = Client::start(environment, Options::default());
    let stream = accept(&listener).await;
    a_task(stream, accept(&listener), &mut client).await;
}

#[tokio::test]
async fn unix_socket_and_json() {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = &directory.path().join("agent.sock");
    let listener = UnixListener::bind(path).unwrap();
    // Nothing listens on that port.
    let socket = ("MESOS_DOMAIN_SOCKET", path.to_str().unwrap());
    let options = Options { format: Format::Json, ..Options::default() };
    let mut client = Client::start(environment(1, &[TOKEN, socket]), options);
    let accept = async || Peer::new(listener.accept().await.unwrap().0, Format::Json);
    let stream = accept().await;
    a_task(stream, accept(), &mut client).await;
}

/// The agent dies and is back; meanwhile nothing listens.
#[tokio::test]
async fn an_agent_restarts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = Client::start(environment(address.port(), &[]), Options::default());
    let mut stream = accept(&listener).await;
    stream.request().await;
    stream.stream().await;
    stream.record(&subscribed()).await;
    stream.record(&launch()).await;
    next(&mut client).await;
    next(&mut client).await;
    client.handle().update(running());
    let mut calls = accept(&listener).await;
    let (_, first) = calls.request().await;
    // It never answers.
    drop((stream, calls, listener));
    // Which of the two connections is seen to end first is chance.
    let reason = loop {
        match next(&mut client).await {
            Event::Trouble(_) => {}
            Event::Disconnected { reason } => break reason,
            event => panic!("{event:?}"),
        }
    };
    assert!(!reason.is_empty());
    // Long enough for pauses to have grown, on a clock that jumps.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_millis(600)).await;
    tokio::time::resume();
    let listener = TcpListener::bind(address).await.unwrap();
    // As often as the executor tries within the two seconds that an agent waits for it. If pauses
    // still grew from one refusal to the next, the last would be minutes, and `accept` gives up.
    let tries = Duration::from_secs(2).as_millis() / MAX_PAUSE.as_millis();
    for status in ["503 Service Unavailable", "404 Not Found"].iter().cycle().take(tries as usize) {
        let mut stream = accept(&listener).await;
        stream.request().await;
        stream.answer(status).await;
    }
    let mut stream = accept(&listener).await;
    let (_, call) = stream.request().await;
    let subscribe = call.subscribe.unwrap();
    assert_eq!(subscribe.unacknowledged_tasks.len(), 1);
    assert_eq!(subscribe.unacknowledged_updates, [first.update.unwrap()]);
    stream.stream().await;
    stream.record(&subscribed()).await;
    assert!(matches!(next(&mut client).await, Event::Subscribed(_)));
}

#[tokio::test]
async fn a_refused_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let environment = environment(listener.local_addr().unwrap().port(), &[]);
    let mut client = Client::start(environment, Options::default());
    let mut stream = accept(&listener).await;
    stream.request().await;
    stream.answer("401 Unauthorized").await;
    let reason = GiveUp::Unauthorized("text".into());
    assert_eq!(next(&mut client).await, Event::GaveUp(reason));
    assert_eq!(client.next().await, None);
    client.handle().update(running());
}

/// The last chunk and the mere end of a connection are told apart.
#[tokio::test]
async fn ends_of_streams() {
    for (bytes, expected) in [
        (b"0\r\n\r\n".as_slice(), "the agent closed the stream"),
        (b"", "error reading a body from connection"),
    ] {
        let (_listener, mut client, mut stream) = connected().await;
        stream.io.write_all(bytes).await.unwrap();
        drop(stream);
        let Event::Disconnected { reason } = next(&mut client).await else { panic!() };
        assert!(reason.starts_with(expected), "{reason}");
    }
}

/// A kept connection that the agent has closed is no failure.
#[tokio::test]
async fn a_connection_is_closed_between_calls() {
    let (listener, mut client, _stream) = connected().await;
    for place in 0..3u8 {
        client.handle().message(vec![place]);
        let mut calls = accept(&listener).await;
        let (_, call) = calls.request().await;
        assert_eq!(call.message.unwrap().data, [place]);
        calls.accepted().await;
        drop(calls);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.handle().flush(SOON);
    assert_eq!(next(&mut client).await, Event::Flushed { unsent: 0, unacknowledged: 0 });
}

/// An executor that takes no events stops the stream, not its own calls.
#[tokio::test]
async fn backpressure() {
    let (listener, mut client, mut stream) = connected().await;
    let message = Some(Message { data: vec![7; 100_000] });
    let record = Record { message, ..of_type(Type::Message) };
    let mut sent = 0;
    // Until the agent's own socket is full.
    while timeout(Duration::from_millis(300), stream.record(&record)).await.is_ok() {
        sent += 1;
        assert!(sent < 2000, "no end");
    }
    client.handle().message(b"out".to_vec());
    let mut calls = accept(&listener).await;
    calls.request().await;
    calls.accepted().await;
    for _ in 0..sent {
        let Event::Message(data) = next(&mut client).await else { panic!() };
        assert_eq!(data.len(), 100_000);
    }
}

/// Dropped, the client cuts its connections.
#[tokio::test]
async fn drop_closes() {
    let (_listener, client, mut stream) = connected().await;
    drop(client);
    let mut byte = [0];
    let end = timeout(SOON, stream.io.read(&mut byte)).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
}
