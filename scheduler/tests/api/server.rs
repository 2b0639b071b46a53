//! A scheduler as it runs, but for Mesos: the real log in a directory, the real core, the real HTTP
//! server, and a driver that stands for a cluster which does at once what it is told.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aurora_api::api::{self, Response};
use aurora_api::{binary, tjson};
use aurora_scheduler::api::Api;
use aurora_scheduler::core::engine::{Effect, Event, Receipt, StatusUpdate};
use aurora_scheduler::core::name::{Agent, Text};
use aurora_scheduler::core::offers::{Offer, Supply};
use aurora_scheduler::core::resources::Kind;
use aurora_scheduler::counters::Counters;
use aurora_scheduler::flags::Flags;
use aurora_scheduler::http::logconfig::Levels;
use aurora_scheduler::http::{self, Site};
use aurora_scheduler::options::Options;
use aurora_scheduler::shell::{self, Driver, Handle, Happened, Phase, Plan};
use thrift_wire::{Method, read_reply, write_call};
use tokio::sync::{mpsc, watch};

/// What a test sees of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Tasks that were launched, in order.
    pub(crate) launched: Vec<String>,
    /// Tasks that were to be killed.
    pub(crate) killed: Vec<String>,
    /// Updates that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Questions about tasks, with how many they were about.
    pub(crate) reconciled: Vec<usize>,
}

/// What the cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cluster {
    /// Offers nothing.
    Empty,
    /// Runs and kills whatever it is told.
    Obedient,
    /// Never accepts the scheduler.
    Deaf,
}

struct Fake {
    seen: Arc<Mutex<Seen>>,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    offers: u64,
}

impl Fake {
    fn new(cluster: Cluster, seen: Arc<Mutex<Seen>>) -> Fake {
        let (sender, events) = mpsc::unbounded_channel();
        let mut fake = Fake { seen, events, sender, offers: 0 };
        if cluster != Cluster::Deaf {
            fake.tell(Event::Registered("framework".into()));
        }
        if cluster == Cluster::Obedient {
            for agent in 0..4 {
                fake.offer(&format!("agent-{agent}"));
            }
        }
        fake
    }

    fn tell(&self, event: Event) {
        self.sender.send(event).unwrap();
    }

    fn offer(&mut self, agent: &str) {
        self.offers += 1;
        let supplies = [
            Supply::scalar(Kind::Cpu, 1_000_000),
            Supply::scalar(Kind::Ram, 1_000_000_000),
            Supply::scalar(Kind::Disk, 1_000_000_000),
            Supply::ports(31000..=31499),
            Supply::ports(31500..=32000),
        ];
        self.tell(Event::Offers(vec![Offer {
            id: format!("offer-{}", self.offers).into(),
            agent: Arc::new(Agent::new(agent, format!("{agent}.example"))),
            attributes: BTreeMap::from([("rack".into(), ["a".into()].into())]),
            supplies: supplies.into(),
            unavailable: None,
        }]));
    }

    fn status(&self, task: &str, agent: &str, state: i32) {
        let receipt = Receipt { agent: Text::from(agent), uuid: Box::new([1]) };
        self.tell(Event::Statuses(vec![StatusUpdate {
            task: task.into(),
            state,
            message: None,
            reason: None,
            source: None,
            receipt: Some(receipt),
        }]));
    }
}

impl Driver for Fake {
    async fn next(&mut self) -> Happened {
        match self.events.recv().await {
            Some(event) => Happened::Events(vec![event]),
            None => Happened::Over("gone".to_owned()),
        }
    }

    fn act(&mut self, effect: Effect) {
        let mut seen = self.seen.lock().unwrap();
        match effect {
            Effect::Launch { tasks, .. } => {
                seen.launched.extend(tasks.iter().map(|task| task.id.to_string()));
                drop(seen);
                let agent = tasks[0].agent.as_ref().unwrap().id.to_string();
                for task in &tasks {
                    self.status(task.id.as_str(), &agent, 0);
                    self.status(task.id.as_str(), &agent, 1);
                }
                self.offer(&agent);
            }
            Effect::Kill(task) => {
                seen.killed.push(task.to_string());
                drop(seen);
                self.status(task.as_str(), "", 4);
            }
            Effect::Acknowledge(..) => seen.acknowledged += 1,
            Effect::Reconcile(tasks) => seen.reconciled.push(tasks.len()),
            Effect::Decline { .. } | Effect::Reply(..) | Effect::Changed(_) => {}
        }
    }
}

/// A running scheduler.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) handle: Handle,
    pub(crate) site: Arc<Site>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<(), String>>>,
    /// What the levels of the log are for.
    _filter: Box<dyn Any + Send + Sync>,
}

impl Server {
    /// Begun in a directory, perhaps once more, and at work.
    pub(crate) fn start(path: &Path, cluster: Cluster, flags: &[&str]) -> Server {
        let server = Server::begin(path, cluster, flags);
        server.wait_until_active();
        server
    }

    /// Waits until it is at work.
    pub(crate) fn wait_until_active(&self) {
        let begun = Instant::now();
        while self.handle.phase() != Phase::Active {
            let phase = self.handle.phase();
            let well = phase != Phase::Dead && begun.elapsed() < Duration::from_secs(60);
            assert!(well, "{phase:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Begun, whatever becomes of it.
    pub(crate) fn begin(path: &Path, cluster: Cluster, flags: &[&str]) -> Server {
        Server::begin_with(path, cluster, flags, |_| ())
    }

    /// The same, with something changed that no flag changes.
    pub(crate) fn begin_with(
        path: &Path,
        cluster: Cluster,
        flags: &[&str],
        edit: impl FnOnce(&mut Options),
    ) -> Server {
        let mut line = vec![
            "-cluster_name=test".to_owned(),
            "-mesos_master_address=127.0.0.1:1".to_owned(),
            "-thermos_executor_path=/thermos_executor".to_owned(),
            "-viz_job_url_prefix=http://stats/".to_owned(),
            "-max_schedule_attempts_per_sec=10000".to_owned(),
            format!("-native_log_file_path={}", path.display()),
        ];
        line.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let flags = Flags::parse(line).unwrap();
        let mut options = Options::new(&flags).unwrap();
        edit(&mut options);
        let (handle, door) = shell::door();
        let (quit, mut asked) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let api = Api {
            identity: options.identity,
            rules: options.rules,
            handle: handle.clone(),
            counters: Arc::new(Counters::default()),
        };
        let mut site = Site::new(api, flags.iter().collect(), options.cors, quit);
        let (levels, filter) = Levels::new();
        site.levels = levels;
        let site = Arc::new(site);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let plan = Plan {
            settings: options.settings,
            log: options.log,
            snapshot_interval: options.snapshot_interval,
            max_registration_delay: options.max_registration_delay,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(http::serve(listener, site.clone(), stopped.clone()));
        let ender = stop.clone();
        runtime.spawn(async move {
            if asked.wait_for(Option::is_some).await.is_ok() {
                ender.send_replace(true);
            }
        });
        let fakes = seen.clone();
        let thread = std::thread::spawn(move || {
            let connect = |_| Ok(Fake::new(cluster, fakes));
            let result = runtime.handle().block_on(shell::run(plan, door, connect, stopped));
            runtime.shutdown_timeout(Duration::from_secs(1));
            let result = result.map_err(|failure| failure.to_string());
            println!("the scheduler ended: {result:?}");
            result
        });
        Server {
            address,
            seen,
            handle,
            site,
            stop,
            thread: Some(thread),
            _filter: Box::new(filter),
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> Result<(), String> {
        self.stop.send_replace(true);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<(), String> {
        self.thread.take().unwrap().join().unwrap()
    }

    /// Sends a request, reads an answer: status, headers in lower case, body.
    pub(crate) fn http(&self, request: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer");
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, answer[end + 4..].to_vec())
    }

    /// Posts a body with some headers.
    pub(crate) fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: scheduler\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.http(&[head.as_bytes(), body].concat())
    }

    /// Gets a page.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let head = format!("GET {path} HTTP/1.1\r\nHost: scheduler\r\nConnection: close\r\n\r\n");
        let (status, _, body) = self.http(head.as_bytes());
        (status, String::from_utf8(body).unwrap())
    }

    /// A page as JSON.
    pub(crate) fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Calls a method, in TBinary.
    pub(crate) fn call<M: Method<Output = Response>>(&self, args: M::Args) -> Response
    where
        M::Fault: std::fmt::Debug,
    {
        let mut bytes = Vec::new();
        write_call::<M, _>(&mut binary::Writer::new(&mut bytes), 7, &args);
        let (status, _, body) = self.post("/api", BINARY, &bytes);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        read_reply::<M, _>(&mut binary::Reader::new(&body), 7).unwrap()
    }

    /// Calls a method, in TJSON.
    pub(crate) fn call_json<M: Method<Output = Response>>(&self, args: M::Args) -> Response
    where
        M::Fault: std::fmt::Debug,
    {
        let mut text = String::new();
        write_call::<M, _>(&mut tjson::Writer::new(&mut text), 8, &args);
        let (status, _, body) = self.post("/api", "", text.as_bytes());
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        read_reply::<M, _>(&mut tjson::Reader::new(&body), 8).unwrap()
    }

    /// Waits until something holds.
    pub(crate) fn wait_for(&self, what: &str, mut holds: impl FnMut(&Server) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < Duration::from_secs(60), "waited too long for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tasks of a job in a state.
    pub(crate) fn count(&self, name: &str, status: api::ScheduleStatus) -> usize {
        let mut query = super::query(name);
        query.statuses = Some([status].into());
        super::tasks(&super::get_tasks(self, query)).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The headers of clients that speak TBinary.
pub(crate) const BINARY: &str = "Content-Type: application/vnd.apache.thrift.binary\r\n\
                          Accept: application/vnd.apache.thrift.binary\r\n";

/// Recorded data.
pub(crate) fn fixtures(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(file)
}
