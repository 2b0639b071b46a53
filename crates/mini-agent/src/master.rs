//! A small Mesos master for one machine, with agents in the same process.
//!
//! It speaks Mesos' v1 scheduler API: a scheduler cannot tell it from a real master by what is on
//! the wire. Its agents are this crate's, which run real executors in real sandboxes.
//!
//! ```text
//! scheduler ─ POST /api/v1/scheduler ─► server ─ note ─► cluster ─ input ─► core
//!     ▲                                                   │  ▲                │ effects
//!     └──────────────── stream ◄──────────────────────────┘  └── Report ── Agent ◄─┘
//! ```
//!
//! [`core`], [`api`] and [`pool`] are pure; [`Cluster`] acts. What is left out: persistence (its
//! frameworks and tasks end with it), roles other than as names, reservations, volumes, groups of
//! tasks, tasks without executors, maintenance, and archives and remote files of the fetcher.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mesos_scheduler::Format;
use mesos_scheduler::v1::scheduler::call;
use mesos_scheduler::v1::task_status::{Reason, Source};
use mesos_scheduler::v1::{
    Address, AgentId, Attribute, ExecutorInfo, MasterInfo, TaskId, TaskInfo, TaskState, TaskStatus,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::agent::{Agent, Framework, Report};
use crate::api::Refusal;
use crate::random;

pub mod api;
pub mod core;
mod fetch;
pub mod pool;
mod server;

pub use self::core::Leaving;
pub use self::pool::Pool;

use self::core::{Effect, Input, Master, Now, Settings};

/// What the cluster is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Work directory; sandboxes are below it.
    pub root: PathBuf,
    /// Where the master listens; on loopback, unless somebody says otherwise.
    pub listen: SocketAddr,
    /// The agents.
    pub agents: Vec<AgentOptions>,
    /// The program that calls [`launcher::main`](crate::launcher::main) where its first argument is
    /// [`LAUNCHER_ROLE`](crate::LAUNCHER_ROLE).
    pub launcher: PathBuf,
    /// How often resources are offered.
    pub allocation_interval: Duration,
    /// How often a stream says something.
    pub heartbeat: Duration,
    /// When an offer that is not answered is taken back; `None`: never.
    pub offer_timeout: Option<Duration>,
    /// How long an executor may take to subscribe.
    pub registration_timeout: Duration,
}

/// What an agent is to be.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Name of its host.
    pub hostname: String,
    /// What it has.
    pub resources: Pool,
    /// What is said of its host.
    pub attributes: Vec<Attribute>,
}

impl Options {
    /// A master on any port of the loopback address, with Mesos' own times, and no agents.
    pub fn new(root: impl Into<PathBuf>, launcher: impl Into<PathBuf>) -> Options {
        Options {
            root: root.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            agents: Vec::new(),
            launcher: launcher.into(),
            allocation_interval: Duration::from_secs(1),
            heartbeat: Duration::from_secs(15),
            offer_timeout: None,
            registration_timeout: Duration::from_secs(60),
        }
    }
}

/// A master and its agents, which run until it is dropped; then everything that they started is
/// killed.
#[derive(Debug)]
pub struct Cluster {
    address: SocketAddr,
    notes: UnboundedSender<Note>,
    tasks: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts to listen, in the current tokio runtime, which needs its time and IO drivers.
    pub async fn start(options: Options) -> io::Result<Cluster> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let (notes, received) = unbounded_channel();
        let actor = Actor::new(options, address, notes.clone())?;
        let serving = tokio::spawn(server::serve(listener, notes.clone()));
        let acting = tokio::spawn(actor.run(received));
        Ok(Cluster { address, notes, tasks: vec![serving, acting] })
    }

    /// Where the master listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an agent; its id.
    pub async fn add_agent(&self, agent: AgentOptions) -> Option<String> {
        let (done, wait) = oneshot::channel();
        self.note(Note::Add(agent, done));
        wait.await.ok()
    }

    /// Ids of the agents.
    pub async fn agents(&self) -> Vec<String> {
        let (done, wait) = oneshot::channel();
        self.note(Note::Agents(done));
        wait.await.unwrap_or_default()
    }

    /// Ends an agent, with everything that it has started.
    pub fn remove_agent(&self, id: &str, leaving: Leaving) {
        self.note(Note::Remove(id.to_owned(), leaving));
    }

    /// Cuts the streams of all schedulers, as a network may.
    pub fn disconnect(&self) {
        self.note(Note::Disconnect);
    }

    fn note(&self, note: Note) {
        // It is received as long as this lives.
        let _ = self.notes.send(note);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Something for the one task that acts.
enum Note {
    Call(Box<api::Request>, oneshot::Sender<Result<Answer, Refusal>>),
    StreamLost(u64),
    Report { agent: String, framework: String, report: Report },
    Add(AgentOptions, oneshot::Sender<String>),
    Agents(oneshot::Sender<Vec<String>>),
    Remove(String, Leaving),
    Disconnect,
}

/// What becomes of a request.
enum Answer {
    /// It was taken.
    Accepted,
    /// It was taken, and has had its effect.
    Done,
    /// A stream of records begins.
    Stream { records: UnboundedReceiver<Bytes>, name: String, format: Format, guard: Guard },
}

/// Tells the cluster, when dropped, that a stream is gone.
struct Guard {
    stream: u64,
    notes: UnboundedSender<Note>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.notes.send(Note::StreamLost(self.stream));
    }
}

struct Outgoing {
    format: Format,
    records: UnboundedSender<Bytes>,
}

/// An agent, and what was said when it was added.
struct Node {
    options: AgentOptions,
    /// One for each framework: a real agent is one for all, but its executors cannot see that.
    agents: BTreeMap<String, Agent>,
}

struct Actor {
    options: Options,
    master_id: String,
    core: Master,
    begun: Instant,
    streams: BTreeMap<u64, Outgoing>,
    next_stream: u64,
    nodes: BTreeMap<String, Node>,
    next_node: u64,
    next_framework: u64,
    frameworks: BTreeMap<String, Framework>,
    notes: UnboundedSender<Note>,
}

impl Actor {
    fn new(
        options: Options,
        address: SocketAddr,
        notes: UnboundedSender<Note>,
    ) -> io::Result<Actor> {
        let master_id = random::uuid_text()?;
        let ip = address.ip().to_string();
        let number = match address {
            SocketAddr::V4(v4) => u32::from_le_bytes(v4.ip().octets()),
            SocketAddr::V6(_) => 0,
        };
        let info = MasterInfo {
            id: master_id.clone(),
            ip: number,
            port: address.port().into(),
            pid: Some(format!("master@{address}")),
            hostname: Some(ip.clone()),
            version: Some("1.11.0".to_owned()),
            address: Some(Address {
                hostname: Some(ip.clone()),
                ip: Some(ip),
                port: address.port().into(),
            }),
            ..MasterInfo::default()
        };
        let core = Master::new(Settings {
            info,
            allocation_interval: options.allocation_interval,
            heartbeat: options.heartbeat,
            offer_timeout: options.offer_timeout,
        });
        Ok(Actor {
            options,
            master_id,
            core,
            begun: Instant::now(),
            streams: BTreeMap::new(),
            next_stream: 1,
            nodes: BTreeMap::new(),
            next_node: 0,
            next_framework: 0,
            frameworks: BTreeMap::new(),
            notes,
        })
    }

    async fn run(mut self, mut notes: UnboundedReceiver<Note>) {
        for agent in std::mem::take(&mut self.options.agents) {
            self.add(agent).await;
        }
        loop {
            // What is too far away for the clock does not come.
            let wakeup = self.core.wakeup().and_then(|at| self.begun.checked_add(at));
            let sleep = async {
                match wakeup {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.note(note).await,
                    None => return,
                },
                () = sleep => self.input(Input::Tick).await,
            }
        }
    }

    async fn note(&mut self, note: Note) {
        match note {
            Note::Call(request, answer) => {
                let result = self.request(*request).await;
                // Without a receiver the connection is gone.
                let _ = answer.send(result);
            }
            Note::StreamLost(stream) => {
                self.streams.remove(&stream);
                self.input(Input::StreamLost { stream }).await;
            }
            Note::Report { agent, framework, report } => {
                let known =
                    self.nodes.get(&agent).is_some_and(|n| n.agents.contains_key(&framework));
                if known && let Some(input) = reported(agent, framework, report) {
                    self.input(input).await;
                }
            }
            Note::Add(agent, done) => {
                let id = self.add(agent).await;
                let _ = done.send(id);
            }
            Note::Agents(done) => {
                let _ = done.send(self.nodes.keys().cloned().collect());
            }
            Note::Remove(agent, leaving) => {
                // With it ends what it has started.
                self.nodes.remove(&agent);
                self.input(Input::AgentRemoved { agent, leaving }).await;
            }
            Note::Disconnect => {
                let streams = std::mem::take(&mut self.streams);
                for stream in streams.into_keys() {
                    self.input(Input::StreamLost { stream }).await;
                }
            }
        }
    }

    async fn add(&mut self, options: AgentOptions) -> String {
        let id = format!("{}-S{}", self.master_id, self.next_node);
        self.next_node += 1;
        let info = core::AgentInfo {
            id: id.clone(),
            hostname: options.hostname.clone(),
            resources: options.resources.clone(),
            attributes: options.attributes.clone(),
        };
        self.nodes.insert(id.clone(), Node { options, agents: BTreeMap::new() });
        self.input(Input::AgentAdded(info)).await;
        id
    }

    async fn request(&mut self, request: api::Request) -> Result<Answer, Refusal> {
        let api::Request { call, stream_id, format } = request;
        self.core.check(&call, stream_id.as_deref())?;
        let kind = call.r#type();
        if kind != call::Type::Subscribe {
            self.input(Input::Call(Box::new(call))).await;
            let done = kind == call::Type::UpdateFramework;
            return Ok(if done { Answer::Done } else { Answer::Accepted });
        }
        let name = random::uuid_text()
            .map_err(|error| Refusal::new(500, format!("failed to get random bytes: {error}")))?;
        let stream = self.next_stream;
        self.next_stream += 1;
        let new_id = format!("{}-{:04}", self.master_id, self.next_framework);
        self.next_framework += 1;
        if let Some(subscribe) = &call.subscribe {
            let info = &subscribe.framework_info;
            let id = info.id.as_ref().map_or_else(|| new_id.clone(), |id| id.value.clone());
            self.frameworks.entry(id.clone()).or_insert_with(|| Framework {
                id,
                name: info.name.clone(),
                user: info.user.clone(),
                checkpoint: info.checkpoint.unwrap_or(false),
            });
        }
        let (sender, records) = unbounded_channel();
        self.streams.insert(stream, Outgoing { format, records: sender });
        let guard = Guard { stream, notes: self.notes.clone() };
        let (call, stream_name) = (Box::new(call), name.clone());
        self.input(Input::Subscribe { stream, name: stream_name, call, new_id }).await;
        Ok(Answer::Stream { records, name, format, guard })
    }

    /// Tells the core, and does what it says; what comes of that is told in turn.
    async fn input(&mut self, input: Input) {
        let mut todo = VecDeque::from([input]);
        while let Some(input) = todo.pop_front() {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = Now { wall, mono: self.begun.elapsed() };
            for effect in self.core.handle(now, input) {
                self.perform(effect, &mut todo).await;
            }
        }
    }

    async fn perform(&mut self, effect: Effect, todo: &mut VecDeque<Input>) {
        // An executor that is not there any more has been reported as ended, or will be.
        match effect {
            Effect::Send(stream, event) => {
                if let Some(stream) = self.streams.get(&stream) {
                    let mut bytes = Vec::new();
                    let record = stream.format.encode(&*event);
                    mesos_executor::recordio::encode(&record, &mut bytes);
                    // A stream that is gone is told of by its guard.
                    let _ = stream.records.send(Bytes::from(bytes));
                }
            }
            Effect::Close(stream) => {
                self.streams.remove(&stream);
            }
            Effect::Launch { framework, agent, task, new_executor } => {
                let executor = task.executor.clone().unwrap_or_default();
                let launched =
                    self.launch(&framework, &agent, (*task).clone(), executor, new_executor).await;
                if let Err(reason) = launched {
                    todo.extend(failed(&framework, &agent, &task, new_executor, reason));
                }
            }
            Effect::Kill { framework, agent, executor, task, grace } => {
                if let Some(agent) = self.agent(&agent, &framework) {
                    let _ = agent.kill(&executor, &task, grace);
                }
            }
            Effect::Shutdown { framework, agent, executor } => {
                if let Some(agent) = self.agent(&agent, &framework) {
                    let _ = agent.shutdown(&executor);
                }
            }
            Effect::Message { framework, agent, executor, data } => {
                if let Some(agent) = self.agent(&agent, &framework) {
                    let _ = agent.message(&executor, data);
                }
            }
        }
    }

    fn agent(&self, agent: &str, framework: &str) -> Option<&Agent> {
        self.nodes.get(agent)?.agents.get(framework)
    }

    async fn launch(
        &mut self,
        framework: &str,
        agent: &str,
        task: TaskInfo,
        executor: ExecutorInfo,
        new_executor: bool,
    ) -> Result<(), String> {
        let text = |error: crate::agent::Error| error.to_string();
        let id = executor.executor_id.value.clone();
        if new_executor {
            self.start_agent(agent, framework).await.map_err(|error| error.to_string())?;
        }
        let agent = self.agent(agent, framework).ok_or("the agent is gone")?;
        if !new_executor {
            return agent.launch(&id, task).map_err(text);
        }
        // Files are fetched here, which the agent leaves to others.
        let mut plain = executor.clone();
        let uris = plain.command.as_mut().map(|command| std::mem::take(&mut command.uris));
        let added = agent.add(plain).map_err(text)?;
        let directory = added.directory.path().to_path_buf();
        let uris = uris.unwrap_or_default();
        let fetched = tokio::task::spawn_blocking(move || fetch::fetch(&uris, &directory)).await;
        fetched.map_err(|error| error.to_string())??;
        agent.start_process(&id).map_err(text)?;
        agent.launch(&id, task).map_err(text)
    }

    /// Makes the agent for this framework, if it is not there.
    async fn start_agent(&mut self, id: &str, framework: &str) -> io::Result<()> {
        let Some(node) = self.nodes.get(id) else { return Ok(()) };
        let Some(info) = self.frameworks.get(framework) else { return Ok(()) };
        if node.agents.contains_key(framework) {
            return Ok(());
        }
        let mut options = crate::agent::Options::new(&self.options.root, &self.options.launcher);
        options.agent_id = id.to_owned();
        options.hostname.clone_from(&node.options.hostname);
        options.framework = info.clone();
        options.registration_timeout = self.options.registration_timeout;
        let (agent, mut reports) = Agent::start(options).await?;
        let notes = self.notes.clone();
        let (id, framework) = (id.to_owned(), framework.to_owned());
        let (name, of) = (id.clone(), framework.clone());
        tokio::spawn(async move {
            while let Some(report) = reports.recv().await {
                let note = Note::Report { agent: name.clone(), framework: of.clone(), report };
                if notes.send(note).is_err() {
                    return;
                }
            }
        });
        if let Some(node) = self.nodes.get_mut(&id) {
            node.agents.insert(framework, agent);
        }
        Ok(())
    }
}

/// What an agent's report is for the core.
fn reported(agent: String, framework: String, report: Report) -> Option<Input> {
    match report {
        Report::Update { status, .. } => Some(Input::Update { framework, status }),
        Report::Message { executor_id: executor, data } => {
            Some(Input::Message { framework, agent, executor, data })
        }
        Report::Exited { executor_id: executor, code } => {
            // As of `wait`: killed by the agent with SIGKILL, or ended with a code.
            let status = code.map_or(9, |code| code << 8);
            Some(Input::Exited { framework, agent, executor, status })
        }
        Report::Subscribed { .. } | Report::Disconnected { .. } | Report::Refused { .. } => None,
    }
}

/// What is said of a task that could not be launched.
fn failed(
    framework: &str,
    agent: &str,
    task: &TaskInfo,
    new_executor: bool,
    reason: String,
) -> Vec<Input> {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let executor = task.executor.as_ref().map(|executor| executor.executor_id.clone());
    let status = TaskStatus {
        task_id: TaskId { value: task.task_id.value.clone() },
        state: TaskState::TaskFailed.into(),
        message: Some(format!("Failed to launch container: {reason}")),
        source: Some(Source::Agent.into()),
        reason: Some(Reason::ContainerLaunchFailed.into()),
        agent_id: Some(AgentId { value: agent.to_owned() }),
        executor_id: executor.clone(),
        timestamp: Some(wall.as_secs_f64()),
        uuid: random::uuid().ok().map(|uuid| uuid.to_vec()),
        ..TaskStatus::default()
    };
    let framework = framework.to_owned();
    let update = Input::Update { framework: framework.clone(), status: Box::new(status) };
    let exited = executor.filter(|_| new_executor).map(|executor| Input::Exited {
        framework,
        agent: agent.to_owned(),
        executor: executor.value,
        status: 256,
    });
    std::iter::once(update).chain(exited).collect()
}
