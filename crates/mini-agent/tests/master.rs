//! The master on real sockets: what it refuses, in the words of a real one, and a scheduler with the
//! driver of `mesos-scheduler`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mesos_scheduler::v1::TaskState;
use mesos_scheduler::{Client, Event, Framework, Masters, call};
use mini_agent::master::{AgentOptions, Cluster, Leaving, Options, Pool};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

struct Test {
    cluster: Cluster,
    _root: tempfile::TempDir,
}

impl Test {
    async fn start() -> Test {
        let root = tempfile::tempdir().unwrap();
        let agent = AgentOptions {
            hostname: "host".to_owned(),
            resources: Pool::new(4.0, 1024.0, 1024.0, Some((31_000, 31_009))),
            attributes: Vec::new(),
        };
        let options = Options {
            agents: vec![agent],
            allocation_interval: Duration::from_millis(20),
            ..Options::new(root.path(), "/nosuch/launcher")
        };
        Test { cluster: Cluster::start(options).await.unwrap(), _root: root }
    }

    fn client(&self, id: Option<String>) -> Client {
        let masters = Masters::parse(&self.cluster.address().to_string()).unwrap();
        // For ever, or as good as.
        let failover_timeout = Duration::MAX;
        let framework =
            Framework { id, failover_timeout, partition_aware: true, ..Framework::default() };
        Client::start(masters.watch().unwrap(), framework.info(), Default::default())
    }
}

async fn find<T>(client: &mut Client, mut is: impl FnMut(&Event) -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = is(&client.next().await.unwrap()) {
                return found;
            }
        }
    };
    timeout(SOON, search).await.unwrap()
}

/// Status and body of an answer.
async fn ask(address: std::net::SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let n = timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
        answer.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1);
            let length: usize = length.unwrap().split("\r\n").next().unwrap().parse().unwrap();
            if answer.len() - head.len() - 4 >= length {
                return (head[9..12].parse().unwrap(), body.to_owned());
            }
        }
        assert!(n > 0, "{text}");
    }
}

/// Requests that a real master refused, with its answers.
fn recorded(name: &str) -> Vec<(Vec<u8>, (u16, String))> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/mesos-scheduler");
    let bytes = std::fs::read(path.join(format!("{name}.bin"))).unwrap();
    let mut rest = bytes.as_slice();
    let mut requests: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap();
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        let field = |name: &str| {
            let word = head.split(' ').find_map(|word| word.strip_prefix(name));
            word.unwrap().to_owned()
        };
        let length: usize = field("len=").parse().unwrap();
        let (conn, direction) = (field("conn="), field("dir="));
        let data = rest[end + 1..end + 1 + length].to_vec();
        rest = &rest[end + 1 + length + 1..];
        if direction == "out" {
            requests.insert(conn, data);
        } else if let Some(request) = requests.remove(&conn) {
            let text = String::from_utf8_lossy(&data).into_owned();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let status: u16 = head[9..12].parse().unwrap();
            if (400..500).contains(&status) {
                found.push((request, (status, body.to_owned())));
            }
        }
    }
    found
}

#[tokio::test]
async fn refuses_in_the_words_of_a_real_master() {
    let test = Test::start().await;
    // About a framework that this master does not know.
    let known = |text: &str| {
        text.starts_with("The stream ID") || text.starts_with("All non-subscribe calls")
    };
    let mut compared = 0;
    for name in ["sched-errors-json", "sched-errors-protobuf"] {
        for (request, (status, text)) in recorded(name) {
            let answer = ask(test.cluster.address(), &request).await;
            let shown = String::from_utf8_lossy(&request).into_owned();
            if known(&text) {
                assert_eq!(answer, (400, "Framework cannot be found".to_owned()), "{shown}");
                continue;
            }
            assert_eq!(answer.0, status, "{shown}: {text}: {answer:?}");
            // The reason for which a message cannot be read is each parser's own.
            let common = "Failed to convert JSON into Call protobuf: ";
            if !text.starts_with(common) || text.contains("Missing required") {
                // Of what it could not read a real one leaves out control characters.
                let common = |text: &str| text.split(" near: ").next().unwrap().to_owned();
                assert_eq!(common(&answer.1), common(&text), "{shown}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 30, "{compared}");
}

#[tokio::test]
async fn a_scheduler_comes_back_and_an_agent_goes() {
    let test = Test::start().await;
    let mut client = test.client(None);
    let id = find(&mut client, |event| match event {
        Event::Subscribed { framework_id, .. } => Some(framework_id.clone()),
        _ => None,
    })
    .await;
    test.cluster.disconnect();
    find(&mut client, |e| matches!(e, Event::Disconnected { .. }).then_some(())).await;
    let again = |event: &Event| match event {
        Event::Subscribed { framework_id, again: true, .. } => Some(framework_id.clone()),
        _ => None,
    };
    assert_eq!(find(&mut client, again).await, id);
    let offer = |event: &Event| match event {
        Event::Offers(offers) => Some(offers[0].clone()),
        _ => None,
    };
    let offer = find(&mut client, offer).await;
    assert_eq!(offer.hostname, "host");
    let agents = test.cluster.agents().await;
    assert_eq!(agents, [offer.agent_id.value.as_str()]);
    test.cluster.remove_agent(&agents[0], Leaving::Gone);
    let rescinded = |event: &Event| match event {
        Event::Rescind { offer_id } => Some(offer_id.clone()),
        _ => None,
    };
    assert_eq!(find(&mut client, rescinded).await, offer.id.value);
    client.handle().call(call::reconcile([("t", Some(agents[0].as_str()))]));
    let state = |event: &Event| match event {
        Event::Update { status, .. } => Some(status.state()),
        _ => None,
    };
    assert_eq!(find(&mut client, state).await, TaskState::TaskGoneByOperator);
    let agent = AgentOptions {
        hostname: "other".to_owned(),
        resources: Pool::new(1.0, 64.0, 0.0, None),
        attributes: Vec::new(),
    };
    let added = test.cluster.add_agent(agent).await.unwrap();
    let of = |event: &Event| match event {
        Event::Offers(offers) => Some(offers[0].agent_id.value.clone()),
        _ => None,
    };
    assert_eq!(find(&mut client, of).await, added);
}

/// An executor whose files cannot be fetched, and one whose launcher does not start.
#[tokio::test]
async fn launches_that_fail() {
    use mesos_scheduler::v1::TaskInfo;
    use mesos_scheduler::v1::task_status::Reason;
    let test = Test::start().await;
    let mut client = test.client(None);
    for (id, uri) in [("fetch", "/nosuch/file"), ("launcher", "/etc/hostname")] {
        let offer = |event: &Event| match event {
            Event::Offers(offers) => Some(offers[0].clone()),
            _ => None,
        };
        let offer = find(&mut client, offer).await;
        let task: TaskInfo = mesos_scheduler::json::from_value(&serde_json::json!({
            "name": id, "task_id": {"value": id}, "agent_id": {"value": offer.agent_id.value},
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
            "executor": {
                "executor_id": {"value": id},
                "command": {"value": "true", "uris": [{"value": uri}]},
            },
        }))
        .unwrap();
        let launch = vec![call::launch(vec![task])];
        client.handle().call(call::accept(&[offer.id.value], launch, Duration::ZERO));
        let failed = |event: &Event| match event {
            Event::Update { status, receipt } => Some((status.clone(), *receipt)),
            _ => None,
        };
        let (status, receipt) = find(&mut client, failed).await;
        client.handle().durable(receipt);
        assert_eq!(status.state(), TaskState::TaskFailed);
        assert_eq!(status.reason(), Reason::ContainerLaunchFailed);
        assert!(status.message().starts_with("Failed to launch container: "), "{status:?}");
        let failure = |event: &Event| match event {
            Event::Failure { executor_id, .. } => executor_id.clone(),
            _ => None,
        };
        assert_eq!(find(&mut client, failure).await, id);
    }
}
