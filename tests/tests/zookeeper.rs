//! The leading master in a real ZooKeeper: nodes as masters make them, their deaths, and that of the
//! server; for the driver alone, and for the program with a real master that moves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aurora_api::api::ScheduleStatus;
use aurora_api::api::aurora_scheduler_manager as manage;
use mesos_scheduler::{Client, Endpoint, Event, Framework, Masters, Options};
use tempfile::TempDir;
use thermos_tests::masters::{Daemon, Mini, Real, free_port};
use thermos_tests::scheduler::{Scheduler, directory, kill_of, service};
use thermos_tests::{need_program, need_root};
use tokio::runtime::Runtime;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;
use zookeeper_client::{Acls, Client as ZooKeeper, CreateMode};

const LONG: Duration = Duration::from_secs(60);
const JAR: &str = "/usr/share/java/zookeeper.jar";
const CREDENTIALS: &str = "mesos:s3cret";

/// A server of its own, which can be killed and started again.
struct Server {
    daemon: Option<Daemon>,
    port: u16,
    dir: TempDir,
}

impl Server {
    fn start() -> Server {
        need_root();
        need_program("java", "default-jre-headless");
        assert!(Path::new(JAR).is_file(), "this test needs {JAR}: apt-get install zookeeper");
        let mut server = Server { daemon: None, port: free_port(), dir: TempDir::new().unwrap() };
        server.again();
        server
    }

    fn again(&mut self) {
        let dir = self.dir.path();
        let config = format!(
            "tickTime=200\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
             admin.enableServer=false\nminSessionTimeout=400\nmaxSessionTimeout=60000\n",
            dir.join("data").display(),
            self.port
        );
        fs::write(dir.join("zoo.cfg"), config).unwrap();
        let log = File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let mut command = Command::new("java");
        command
            .args(["-Xmx64m", "-cp", JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain"])
            .arg(dir.join("zoo.cfg"))
            .current_dir(dir)
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.daemon = Some(Daemon::start(&mut command));
    }

    fn kill(&mut self) {
        self.daemon = None;
    }

    /// What a flag would name.
    fn masters(&self) -> String {
        format!("zk://{CREDENTIALS}@127.0.0.1:{}/test/mesos", self.port)
    }

    async fn client(&self) -> ZooKeeper {
        let cluster = format!("127.0.0.1:{}", self.port);
        let connect = async {
            loop {
                let connector = ZooKeeper::connector()
                    .with_session_timeout(Duration::from_secs(2))
                    .with_auth("digest", CREDENTIALS.as_bytes());
                match connector.connect(&cluster).await {
                    Ok(client) => return client,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let failed = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        timeout(LONG, connect).await.unwrap_or_else(|_| panic!("no ZooKeeper: {}", failed()))
    }
}

/// What a master writes, as recorded from one.
fn node(address: SocketAddr) -> String {
    format!(
        r#"{{"address":{{"hostname":"h","ip":"{}","port":{}}},"capabilities":[{{"type":"AGENT_UPDATE"}},{{}}],"hostname":"h","id":"a","ip":16777343,"pid":"master@{address}","port":{},"version":"1.11.0"}}"#,
        address.ip(),
        address.port(),
        address.port()
    )
}

/// A master that stands for election: its node is there as long as the client.
async fn stand(server: &Server, address: SocketAddr) -> ZooKeeper {
    let client = server.client().await;
    // Only they may read it, as with a master that has credentials.
    let options = CreateMode::EphemeralSequential.with_acls(Acls::creator_all());
    let data = node(address);
    client.create("/test/mesos/json.info_", data.as_bytes(), &options).await.unwrap();
    client
}

async fn expect(masters: &mut Receiver<Vec<Endpoint>>, expected: Option<SocketAddr>) {
    let expected: Vec<Endpoint> =
        expected.iter().map(|address| Endpoint::parse(&address.to_string()).unwrap()).collect();
    let known = timeout(LONG, masters.wait_for(|known| *known == expected)).await;
    known.unwrap_or_else(|_| panic!("not {expected:?}")).unwrap();
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[tokio::test]
async fn the_oldest_leads() {
    let mut server = Server::start();
    let mut masters = Masters::parse(&server.masters()).unwrap().watch().unwrap();
    // The directory is not there yet.
    assert!(masters.borrow_and_update().is_empty());
    let client = server.client().await;
    let plain = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir("/test/mesos", &plain).await.unwrap();
    for other in ["log_replicas", "info_0000000000"] {
        client.create(&format!("/test/mesos/{other}"), b"", &plain).await.unwrap();
    }
    let first = stand(&server, address(1)).await;
    expect(&mut masters, Some(address(1))).await;
    let second = stand(&server, address(2)).await;
    let third = stand(&server, address(3)).await;
    drop(second);
    drop(first);
    expect(&mut masters, Some(address(3))).await;
    drop(third);
    expect(&mut masters, None).await;
    let _fourth = stand(&server, address(4)).await;
    expect(&mut masters, Some(address(4))).await;
    // Without a server the last answer stands; the server is not the master.
    server.kill();
    let quiet = timeout(Duration::from_secs(3), masters.changed()).await;
    assert!(quiet.is_err(), "{:?}", masters.borrow());
    server.again();
    // Sessions end, and with them nodes; but who stands then is found.
    let _fifth = stand(&server, address(5)).await;
    expect(&mut masters, Some(address(5))).await;
}

#[tokio::test]
async fn a_driver_goes_where_the_leader_is() {
    let server = Server::start();
    let client = server.client().await;
    let plain = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir("/test/mesos", &plain).await.unwrap();
    let (one, two) = (Mini::start().await, Mini::start().await);
    let first = stand(&server, one.address()).await;
    let _second = stand(&server, two.address()).await;
    let masters = Masters::parse(&server.masters()).unwrap().watch().unwrap();
    let info = Framework::default().info();
    let mut client = Client::start(masters, info, Options::default());
    let mut ids = Vec::new();
    let mut subscribed = async |client: &mut Client| {
        loop {
            match timeout(LONG, client.next()).await.unwrap().unwrap() {
                Event::Subscribed { framework_id, master, .. } => {
                    ids.push(framework_id);
                    return u16::try_from(master.unwrap().port).unwrap();
                }
                Event::GaveUp(reason) => panic!("{reason}"),
                _ => {}
            }
        }
    };
    assert_eq!(subscribed(&mut client).await, one.address().port());
    drop(first);
    assert_eq!(subscribed(&mut client).await, two.address().port());
    assert_eq!(ids[0], ids[1], "it is the same framework there");
}

/// A thread for the clients of ZooKeeper, beside that of a test.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// `-mesos_master_address=zk://…`: the program waits for a master to lead, and follows it to another
/// address; what runs there runs on. Only those with the password may see who leads.
#[test]
fn the_scheduler_goes_where_the_master_is() {
    let server = Server::start();
    let runtime = runtime();
    let client = runtime.block_on(server.client());
    let plain = CreateMode::Persistent.with_acls(Acls::anyone_all());
    runtime.block_on(client.mkdir("/test/mesos", &plain)).unwrap();

    // The daemons end with this thread.
    let mut mesos = Real::start(&[]);
    let first = runtime.block_on(stand(&server, mesos.address()));
    let directory = directory();
    let scheduler = Scheduler::start(directory.path(), &server.masters(), &[]);
    scheduler.ok::<manage::CreateJob>(service("a", 2), true);
    scheduler.wait_count(ScheduleStatus::RUNNING, 2);
    let before: Vec<_> = scheduler.tasks().unwrap().into_iter().map(|task| task.id).collect();

    // The first master dies, and with it its node.
    drop(first);
    mesos.move_master();
    let second = runtime.block_on(stand(&server, mesos.address()));
    scheduler.ok::<manage::CreateJob>(service("b", 1), false);
    scheduler.wait_count(ScheduleStatus::RUNNING, 3);
    let after: Vec<_> = scheduler.tasks().unwrap().into_iter().map(|task| task.id).collect();
    assert!(before.iter().all(|id| after.contains(id)), "{before:?} {after:?}");
    assert_eq!(after.len(), 3, "nothing was started twice: {after:?}");

    // Also when the scheduler itself starts anew.
    scheduler.kill();
    scheduler.restart();
    for job in ["a", "b"] {
        scheduler.ok::<manage::KillTasks>(kill_of(job, &[]), true);
    }
    scheduler.wait_idle();
    assert!(!scheduler.log().contains("s3cret"), "the password is in the log");
    // Before the runtime that they use.
    drop((client, second));
}

/// Without the password there is no master to be found, and the program says which flag is meant.
#[test]
fn a_scheduler_without_the_password() {
    let server = Server::start();
    let runtime = runtime();
    let client = runtime.block_on(server.client());
    let plain = CreateMode::Persistent.with_acls(Acls::anyone_all());
    runtime.block_on(client.mkdir("/test/mesos", &plain)).unwrap();
    let leader = runtime.block_on(stand(&server, address(1)));
    let directory = directory();
    let masters = server.masters().replace(&format!("{CREDENTIALS}@"), "");
    let flags = ["-max_registration_delay=2secs"];
    let (code, log) = Scheduler::new(directory.path(), &masters, &flags).run_to_end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.lines().last().is_some_and(|line| line.contains("-mesos_master_address")), "{log}");
    drop((client, leader));
}
