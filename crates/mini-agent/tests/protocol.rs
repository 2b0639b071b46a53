//! The agent on real sockets, with the executors' own client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::path::Path;
use std::time::Duration;

use mesos_executor::v1::{
    AgentId, DurationInfo, ExecutorId, ExecutorInfo, TaskId, TaskInfo, TaskState, TaskStatus,
};
use mesos_executor::{Client, Environment, Event, Format, GiveUp, Options as Settings};
use mini_agent::{Added, Agent, Options, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

struct Test {
    agent: Agent,
    reports: UnboundedReceiver<Report>,
    added: Added,
    _root: tempfile::TempDir,
}

fn info(id: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId { value: id.to_owned() },
        shutdown_grace_period: Some(DurationInfo { nanoseconds: 200_000_000 }),
        ..ExecutorInfo::default()
    }
}

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId { value: id.to_owned() },
        agent_id: AgentId { value: "local-S0".to_owned() },
        data: Some(b"data".to_vec()),
        ..TaskInfo::default()
    }
}

fn status(state: TaskState) -> TaskStatus {
    let task_id = TaskId { value: "t".to_owned() };
    TaskStatus { task_id, state: state.into(), ..TaskStatus::default() }
}

impl Test {
    /// An agent with an executor `e` that has a task `t`.
    async fn new(change: impl FnOnce(&Path, &mut Options)) -> Test {
        let root = tempfile::tempdir().unwrap();
        let mut options = Options::new(root.path(), "/nosuch");
        options.framework.checkpoint = true;
        change(root.path(), &mut options);
        let (agent, reports) = Agent::start(options).await.unwrap();
        let added = agent.add(info("e")).unwrap();
        agent.launch("e", task("t")).unwrap();
        Test { agent, reports, added, _root: root }
    }

    async fn plain() -> Test {
        Test::new(|_, _| {}).await
    }

    fn client(&self, format: Format) -> Client {
        let environment = Environment::from_vars(self.added.environment.clone()).unwrap();
        Client::start(environment, Settings { format, ..Settings::default() })
    }

    async fn report(&mut self) -> Report {
        timeout(SOON, self.reports.recv()).await.unwrap().unwrap()
    }

    /// The next state of a task.
    async fn state(&mut self) -> TaskState {
        loop {
            if let Report::Update { status, .. } = self.report().await {
                return status.state();
            }
        }
    }

    /// Posts a body; status and body of the answer.
    async fn post(&self, authorization: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.agent.address()).await.unwrap();
        let request = format!(
            "POST /api/v1/executor HTTP/1.1\r\nHost: a\r\n{authorization}Connection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn bearer(&self) -> String {
        let environment = Environment::from_vars(self.added.environment.clone()).unwrap();
        format!("Authorization: Bearer {}\r\n", environment.authentication_token.unwrap().expose())
    }
}

async fn next(client: &mut Client) -> Event {
    timeout(SOON, client.next()).await.unwrap().unwrap()
}

/// Subscribes and takes the task.
async fn begin(client: &mut Client) {
    let event = next(client).await;
    let Event::Subscribed(subscribed) = event else { panic!("{event:?}") };
    assert_eq!(subscribed.framework_info.id.unwrap().value, "local-0000");
    assert_eq!(subscribed.executor_info.framework_id.unwrap().value, "local-0000");
    assert!(subscribed.container_id.is_some());
    let event = next(client).await;
    let Event::Launch(task) = event else { panic!("{event:?}") };
    assert_eq!((task.task_id.value.as_str(), task.data()), ("t", b"data".as_slice()));
}

/// Sends a state and waits for its acknowledgement.
async fn say(client: &mut Client, state: TaskState) {
    client.handle().update(status(state));
    let event = next(client).await;
    assert!(matches!(event, Event::Acknowledged { .. }), "{event:?}");
}

#[tokio::test]
async fn a_task_in_both_encodings() {
    for format in [Format::Protobuf, Format::Json] {
        let mut test = Test::plain().await;
        let mut client = test.client(format);
        begin(&mut client).await;
        assert_eq!(test.report().await, Report::Subscribed { executor_id: "e".to_owned() });
        say(&mut client, TaskState::TaskRunning).await;
        assert_eq!(test.state().await, TaskState::TaskRunning);
        test.agent.message("e", b"hi".to_vec()).unwrap();
        assert_eq!(next(&mut client).await, Event::Message(b"hi".to_vec()));
        client.handle().message(b"ho".to_vec());
        let sent = Report::Message { executor_id: "e".to_owned(), data: b"ho".to_vec() };
        assert_eq!(test.report().await, sent);
        test.agent.kill("e", "t", Some(Duration::from_secs(3))).unwrap();
        let kill = Event::Kill { task_id: "t".to_owned(), grace: Some(Duration::from_secs(3)) };
        assert_eq!(next(&mut client).await, kill);
        say(&mut client, TaskState::TaskKilled).await;
        let Report::Update { status, .. } = test.report().await else { panic!() };
        assert_eq!(status.state(), TaskState::TaskKilled);
        assert_eq!(status.agent_id.unwrap().value, "local-S0");
        assert!(status.container_status.unwrap().container_id.is_some());
    }
}

#[tokio::test]
async fn over_a_unix_socket() {
    let mut test = Test::new(|root, options| {
        options.domain_socket = Some(root.join("agent.sock"));
    })
    .await;
    let mut client = test.client(Format::Protobuf);
    begin(&mut client).await;
    say(&mut client, TaskState::TaskFinished).await;
    assert_eq!(test.state().await, TaskState::TaskFinished);
}

#[tokio::test]
async fn tokens_and_ids() {
    let mut test = Test::plain().await;
    let other = test.agent.add(info("other")).unwrap();
    assert!(test.agent.add(info("other")).is_err());
    let body = |framework: &str, executor: &str, rest: &str| {
        format!(
            r#"{{"framework_id": {{"value": "{framework}"}}, "executor_id": {{"value":
            "{executor}"}}, {rest}}}"#
        )
    };
    let heartbeat = r#""type": "HEARTBEAT""#;
    let fine = body("local-0000", "e", heartbeat);
    let text = "\"Basic\" authenticator returned:\n401 Unauthorized.\n\n\"Bearer\" authenticator \
                returned:\n401 Unauthorized.";
    for wrong in ["", "Authorization: Bearer x\r\n", "Authorization: Basic Zm9vOmJhcg==\r\n"] {
        assert_eq!(test.post(wrong, &fine).await, (401, text.to_owned()));
    }
    let bearer = test.bearer();
    let cases = [
        (fine.clone(), 403, "Executor is not subscribed"),
        (body("nope", "e", heartbeat), 400, "Framework cannot be found"),
        (body("local-0000", "nope", heartbeat), 400, "Executor cannot be found"),
        (body("local-0000", "other", heartbeat), 403, ""),
    ];
    for (body, status, text) in cases {
        assert_eq!(test.post(&bearer, &body).await, (status, text.to_owned()), "{body}");
    }
    // The client gives up where a token is wrong.
    let vars = test.added.environment.iter().map(|(name, value)| {
        let token = name == "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
        (name.clone(), if token { "wrong".to_owned() } else { value.clone() })
    });
    let environment = Environment::from_vars(vars).unwrap();
    let mut client = Client::start(environment, Settings::default());
    let event = next(&mut client).await;
    assert!(matches!(event, Event::GaveUp(GiveUp::Unauthorized(_))), "{event:?}");
    // And once subscribed all is well.
    let mut client = test.client(Format::Protobuf);
    begin(&mut client).await;
    assert_eq!(test.post(&bearer, &fine).await, (202, String::new()));
    assert_ne!(other.environment, test.added.environment);
    assert!(matches!(test.report().await, Report::Refused { status: 401, .. }));
}

#[tokio::test]
async fn comes_back_with_what_was_not_acknowledged() {
    let mut test = Test::plain().await;
    let mut client = test.client(Format::Protobuf);
    begin(&mut client).await;
    say(&mut client, TaskState::TaskStarting).await;
    test.agent.disconnect("e").unwrap();
    // Sent while there is no stream, or with the next subscription.
    client.handle().update(status(TaskState::TaskRunning));
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::Acknowledged { .. })) {
        events.push(next(&mut client).await);
    }
    assert!(events.iter().any(|event| matches!(event, Event::Subscribed(_))), "{events:?}");
    say(&mut client, TaskState::TaskFinished).await;
    let mut states = Vec::new();
    while states.last() != Some(&TaskState::TaskFinished) {
        states.push(test.state().await);
    }
    // Each once, and in order.
    assert_eq!(states, [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished]);
}

#[tokio::test]
async fn killed_before_it_subscribed() {
    let mut test = Test::plain().await;
    test.agent.kill("e", "t", None).unwrap();
    assert_eq!(test.state().await, TaskState::TaskKilled);
    let mut client = test.client(Format::Json);
    assert_eq!(next(&mut client).await, Event::Shutdown);
}

#[tokio::test]
async fn shutdown() {
    let mut test = Test::plain().await;
    let mut client = test.client(Format::Protobuf);
    begin(&mut client).await;
    test.agent.shutdown("e").unwrap();
    assert_eq!(next(&mut client).await, Event::Shutdown);
    // It does not end, and has no process that could be killed: it is forgotten.
    assert_eq!(test.state().await, TaskState::TaskFailed);
    let exited = Report::Exited { executor_id: "e".to_owned(), code: None };
    assert_eq!(test.report().await, exited);
    assert!(test.agent.kill("nosuch", "t", None).is_err());
}

#[tokio::test]
async fn a_stream_that_the_executor_cuts_is_noticed() {
    let mut test = Test::plain().await;
    let mut client = test.client(Format::Protobuf);
    begin(&mut client).await;
    drop(client);
    while !matches!(test.report().await, Report::Disconnected { .. }) {}
}
