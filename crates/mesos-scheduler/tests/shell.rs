//! The client on real sockets, against a master of a few lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use mesos_executor::recordio;
use mesos_scheduler::v1::scheduler::event::{self, Type};
use mesos_scheduler::v1::scheduler::{Call, Event as Record, call as calls};
use mesos_scheduler::v1::{AgentId, FrameworkId, TaskId, TaskStatus};
use mesos_scheduler::{
    CallError, Client, Credentials, Endpoint, Event, Format, Framework, GiveUp, Masters, Options,
    call,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);

struct Master(TcpListener);

struct Connection(BufReader<TcpStream>);

impl Master {
    async fn new() -> Master {
        Master(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    async fn accept(&self) -> Connection {
        let (stream, _) = timeout(LONG, self.0.accept()).await.unwrap().unwrap();
        Connection(BufReader::new(stream))
    }

    /// Takes a subscription; the SUBSCRIBE and the connection.
    async fn subscribed(&self, interval: f64) -> (Call, Connection) {
        let mut connection = self.accept().await;
        let (head, call) = connection.request().await;
        assert!(!head.contains("mesos-stream-id"), "{head}");
        connection
            .write(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nMesos-Stream-Id: s-1\r\n\
                  Content-Type: application/x-protobuf\r\n\r\n",
            )
            .await;
        connection
            .record(&Record {
                subscribed: Some(event::Subscribed {
                    framework_id: FrameworkId { value: "f".into() },
                    heartbeat_interval_seconds: Some(interval),
                    master_info: None,
                }),
                ..of_type(Type::Subscribed)
            })
            .await;
        (call, connection)
    }
}

impl Connection {
    /// The head of a request, in lower case, and the call.
    async fn request(&mut self) -> (String, Call) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(LONG, self.0.read_u8()).await.unwrap().unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        assert!(head.starts_with("post /api/v1/scheduler http/1.1\r\nhost: 127.0.0.1:"), "{head}");
        (head, Format::Protobuf.decode(&body).unwrap())
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    async fn answer(&mut self, status: &str, body: &str) {
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        self.write(text.as_bytes()).await;
    }

    async fn record(&mut self, record: &Record) {
        let mut bytes = Vec::new();
        recordio::encode(&Format::Protobuf.encode(record), &mut bytes);
        let head = format!("{:x}\r\n", bytes.len());
        self.write(&[head.as_bytes(), &bytes, b"\r\n"].concat()).await;
    }
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Record::default() }
}

fn update(task: &str) -> Record {
    let status = TaskStatus {
        task_id: TaskId { value: task.into() },
        agent_id: Some(AgentId { value: "agent".into() }),
        uuid: Some(vec![7; 16]),
        ..TaskStatus::default()
    };
    Record { update: Some(event::Update { status }), ..of_type(Type::Update) }
}

fn client(masters: &str, options: Options) -> Client {
    let masters = Masters::parse(masters).unwrap().watch().unwrap();
    Client::start(masters, Framework::default().info(), options)
}

/// The next event that says something.
async fn next(client: &mut Client) -> Event {
    loop {
        let event = timeout(LONG, client.next()).await.unwrap().unwrap();
        if !matches!(event, Event::Subscribing { .. } | Event::Trouble(_)) {
            return event;
        }
    }
}

async fn is_subscribed(client: &mut Client) -> bool {
    matches!(next(client).await, Event::Subscribed { .. })
}

#[tokio::test]
async fn calls_have_a_connection_of_their_own_that_is_kept() {
    let master = Master::new().await;
    let credentials = Some(Credentials::new("aurora", "s3cret").unwrap());
    let options = Options { credentials, ..Options::default() };
    let mut client = client(&master.address(), options);
    let (call, mut stream) = master.subscribed(15.0).await;
    assert_eq!(call.subscribe.unwrap().framework_info.name, "Aurora");
    assert!(is_subscribed(&mut client).await);
    let handle = client.handle();
    handle.call(call::kill("t1", None, None));
    handle.call(call::kill("t2", Some("a"), Some(Duration::from_secs(1))));
    let mut connection = master.accept().await;
    for task in ["t1", "t2"] {
        let (head, call) = connection.request().await;
        assert!(head.contains("\r\nmesos-stream-id: s-1\r\n"), "{head}");
        assert!(head.contains("\r\nauthorization: basic yxvyb3jhonmzy3jlda==\r\n"), "{head}");
        assert_eq!(call.kill.unwrap().task_id.value, task);
        connection.answer("202 Accepted", "").await;
    }
    stream.record(&update("t1")).await;
    let Event::Update { receipt, status } = next(&mut client).await else { panic!() };
    assert_eq!(status.task_id.value, "t1");
    handle.durable(receipt);
    let (_, call) = connection.request().await;
    assert_eq!(call.r#type(), calls::Type::Acknowledge);
    // A connection that the master closes is made anew, and nothing is lost.
    connection.answer("202 Accepted", "").await;
    drop(connection);
    handle.call(call::reconcile([]));
    let mut connection = master.accept().await;
    let (_, call) = connection.request().await;
    assert_eq!(call.r#type(), calls::Type::Reconcile);
    connection.answer("400 Bad Request", "no").await;
    let Event::Refused { error: CallError::Rejected(rejection), .. } = next(&mut client).await
    else {
        panic!()
    };
    assert_eq!((rejection.status, rejection.text.as_str()), (400, "no"));
}

#[tokio::test]
async fn follows_a_redirect_and_comes_back_after_a_cut() {
    let (first, leader) = (Master::new().await, Master::new().await);
    let mut client = client(&first.address(), Options::default());
    let mut connection = first.accept().await;
    connection.request().await;
    let location = format!("307 X\r\nLocation: //{}/master/api/v1/scheduler", leader.address());
    connection.answer(&location, "").await;
    let (_, stream) = leader.subscribed(15.0).await;
    assert!(is_subscribed(&mut client).await);
    drop(stream);
    assert!(matches!(next(&mut client).await, Event::Disconnected { .. }));
    let (call, _stream) = first.subscribed(15.0).await;
    assert_eq!(call.framework_id.unwrap().value, "f");
    assert!(matches!(next(&mut client).await, Event::Subscribed { again: true, .. }));
}

#[tokio::test]
async fn silence() {
    let master = Master::new().await;
    let mut client = client(&master.address(), Options::default());
    let (_, _stream) = master.subscribed(0.05).await;
    assert!(is_subscribed(&mut client).await);
    let event = next(&mut client).await;
    assert_eq!(event, Event::Disconnected { reason: "no heartbeat for 150ms".into() });
    master.subscribed(15.0).await;
    assert!(is_subscribed(&mut client).await);
}

/// A scheduler that writes nothing down gets no more than it can hold, and the master notices.
#[tokio::test]
async fn the_stream_waits_for_a_slow_log() {
    let master = Master::new().await;
    let options = Options { max_waiting: 10, ..Options::default() };
    let mut client = client(&master.address(), options);
    let (_, mut stream) = master.subscribed(0.05).await;
    assert!(is_subscribed(&mut client).await);
    let big = Record {
        message: Some(event::Message {
            agent_id: AgentId { value: "a".into() },
            executor_id: mesos_scheduler::v1::ExecutorId { value: "e".into() },
            data: vec![0; 1 << 20],
        }),
        ..of_type(Type::Message)
    };
    for place in 0..10 {
        stream.record(&update(&format!("t{place}"))).await;
    }
    let mut receipts = Vec::new();
    for _ in 0..10 {
        let Event::Update { receipt, .. } = next(&mut client).await else { panic!() };
        receipts.push(receipt);
    }
    // More than all buffers on the way can take.
    let writer = tokio::spawn(async move {
        for _ in 0..64 {
            stream.record(&big).await;
        }
        stream
    });
    let quiet = timeout(Duration::from_millis(500), client.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert!(!writer.is_finished());
    let handle = client.handle();
    for receipt in receipts {
        handle.durable(receipt);
    }
    let answers = async {
        let serve = |mut connection: Connection| async move {
            loop {
                connection.request().await;
                connection.answer("202 Accepted", "").await;
            }
        };
        loop {
            tokio::spawn(serve(master.accept().await));
        }
    };
    let messages = async {
        for _ in 0..64 {
            assert!(matches!(next(&mut client).await, Event::Message { .. }));
        }
    };
    tokio::select! {
        () = answers => {}
        () = messages => {}
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn gives_up() {
    let master = Master::new().await;
    let mut client = client(&master.address(), Options::default());
    let mut connection = master.accept().await;
    connection.request().await;
    connection.answer("401 Unauthorized", "401 Unauthorized.").await;
    let event = next(&mut client).await;
    assert_eq!(event, Event::GaveUp(GiveUp::Unauthorized("401 Unauthorized.".into())));
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn told_where_the_leader_is() {
    let (old, new) = (Master::new().await, Master::new().await);
    let at = |master: &Master| vec![Endpoint::parse(&master.address()).unwrap()];
    let (sender, receiver) = tokio::sync::watch::channel(Vec::new());
    let mut client = Client::start(receiver, Framework::default().info(), Options::default());
    sender.send(at(&old)).unwrap();
    let (_, _old_stream) = old.subscribed(15.0).await;
    assert!(is_subscribed(&mut client).await);
    sender.send(at(&new)).unwrap();
    assert!(matches!(next(&mut client).await, Event::Disconnected { .. }));
    let (_, _new_stream) = new.subscribed(15.0).await;
    assert!(is_subscribed(&mut client).await);
}
