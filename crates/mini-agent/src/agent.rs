//! The agent: executors, their processes and streams, and what its user may do.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use bytes::Bytes;
use mesos_executor::v1::environment::variable;
use mesos_executor::v1::executor::Event;
use mesos_executor::v1::executor::event::{Subscribed, Type};
use mesos_executor::v1::task_status::Source;
use mesos_executor::v1::{
    AgentId, AgentInfo, ContainerId, ContainerStatus, ExecutorInfo, FrameworkId, FrameworkInfo,
    TaskInfo, TaskStatus,
};
use mesos_executor::{Format, duration, environment as names, recordio};
use rustix::process::Pid;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::api::{PATH, Refusal, Request, Wish};
use crate::core::{Effect, Executor, Input};
use crate::directory::RunDirectory;
use crate::launcher::LAUNCHER_ROLE;
use crate::{process, random, server};

/// From SHUTDOWN to SIGKILL where nobody says otherwise, as with a real agent.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// What the agent is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Work directory; sandboxes are below it.
    pub root: PathBuf,
    /// Its id.
    pub agent_id: String,
    /// The host's name.
    pub hostname: String,
    /// The framework that all executors belong to.
    pub framework: Framework,
    /// Also listen here, and tell executors to use it.
    pub domain_socket: Option<PathBuf>,
    /// The program that calls [`launcher::main`](crate::launcher::main) where its first argument is
    /// [`LAUNCHER_ROLE`]; usually that of the user.
    pub launcher: PathBuf,
    /// How long an executor may take to subscribe.
    pub registration_timeout: Duration,
}

/// The framework that executors belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Framework {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its user.
    pub user: String,
    /// Do executors outlive the agent for a while?
    pub checkpoint: bool,
}

impl Options {
    /// An agent with these ids, for a framework that does not checkpoint.
    pub fn new(root: impl Into<PathBuf>, launcher: impl Into<PathBuf>) -> Options {
        Options {
            root: root.into(),
            agent_id: "local-S0".to_owned(),
            hostname: "localhost".to_owned(),
            framework: Framework {
                id: "local-0000".to_owned(),
                name: "local".to_owned(),
                user: "root".to_owned(),
                checkpoint: false,
            },
            domain_socket: None,
            launcher: launcher.into(),
            registration_timeout: Duration::from_secs(60),
        }
    }
}

/// What happened, for the user.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// An executor subscribed, perhaps not for the first time.
    Subscribed {
        /// Which.
        executor_id: String,
    },
    /// The stream of an executor is gone.
    Disconnected {
        /// Which.
        executor_id: String,
    },
    /// A task has a state, by the word of its executor or of the agent.
    Update {
        /// Whose.
        executor_id: String,
        /// The state.
        status: Box<TaskStatus>,
    },
    /// An executor sent something to the scheduler.
    Message {
        /// Which.
        executor_id: String,
        /// What.
        data: Vec<u8>,
    },
    /// A request was refused.
    Refused {
        /// Status of HTTP.
        status: u16,
        /// The answer.
        text: String,
    },
    /// The process of an executor, and everything below it, is over. The last report about it.
    Exited {
        /// Which.
        executor_id: String,
        /// Exit code, as of a shell; `None`: the agent killed it.
        code: Option<i32>,
    },
}

/// Why something cannot be done.
#[derive(Debug)]
pub enum Error {
    /// There is an executor with this id already.
    Duplicate(String),
    /// There is none with this id, or it is over.
    Unknown(String),
    /// It was started before.
    Started(String),
    /// The executor needs what this agent does not have.
    Unsupported(&'static str),
    /// The system refused something.
    Io(&'static str, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Duplicate(id) => write!(f, "there is an executor {id:?} already"),
            Error::Unknown(id) => write!(f, "there is no executor {id:?}"),
            Error::Started(id) => write!(f, "executor {id:?} was started before"),
            Error::Unsupported(what) => write!(f, "this agent does not support {what}"),
            Error::Io(what, error) => write!(f, "failed to {what}: {error}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

/// An executor that was made known to the agent.
#[derive(Clone, Debug)]
pub struct Added {
    /// Id of its container, and name of its directory.
    pub container_id: String,
    /// Its directory.
    pub directory: RunDirectory,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
}

/// An agent that runs until it is dropped; then everything that it started is killed.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    servers: Vec<JoinHandle<()>>,
}

impl Agent {
    /// Starts to listen, in the current tokio runtime, which needs its time and IO drivers. The
    /// other value has every report.
    pub async fn start(options: Options) -> io::Result<(Agent, UnboundedReceiver<Report>)> {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = tcp.local_addr()?;
        let unix = options.domain_socket.as_ref().map(UnixListener::bind).transpose()?;
        let (reports, receiver) = unbounded_channel();
        let shared = Arc::new(Shared {
            options,
            address,
            begun: Instant::now(),
            state: Mutex::new(State { executors: BTreeMap::new(), streams: 0 }),
            reports,
        });
        let mut servers = vec![tokio::spawn(server::serve(tcp, Arc::clone(&shared)))];
        servers.extend(unix.map(|unix| tokio::spawn(server::serve(unix, Arc::clone(&shared)))));
        Ok((Agent { shared, servers }, receiver))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Makes an executor known: its directory, its token, its environment. From now on it may
    /// subscribe, which it must in time; tasks can be launched and wait for that.
    pub fn add(&self, info: ExecutorInfo) -> Result<Added, Error> {
        self.shared.add(info)
    }

    /// Starts the process of an executor that was added.
    pub fn start_process(&self, executor_id: &str) -> Result<(), Error> {
        self.shared.start_process(executor_id)
    }

    /// Launches a task in an executor that was added.
    pub fn launch(&self, executor_id: &str, task: TaskInfo) -> Result<(), Error> {
        self.shared.input(executor_id, Input::Launch(Box::new(task)))
    }

    /// Kills a task. An executor that has no stream at the moment does not hear of it.
    pub fn kill(
        &self,
        executor_id: &str,
        task_id: &str,
        grace: Option<Duration>,
    ) -> Result<(), Error> {
        self.shared.input(executor_id, Input::Kill { task_id: task_id.to_owned(), grace })
    }

    /// Shuts an executor down; what is left of it after its grace is killed.
    pub fn shutdown(&self, executor_id: &str) -> Result<(), Error> {
        self.shared.input(executor_id, Input::Shutdown)
    }

    /// Sends bytes to an executor. One that has no stream at the moment does not get them.
    pub fn message(&self, executor_id: &str, data: Vec<u8>) -> Result<(), Error> {
        self.shared.message(executor_id, data)
    }

    /// Cuts the stream of an executor, as the death of an agent does.
    pub fn disconnect(&self, executor_id: &str) -> Result<(), Error> {
        self.shared.disconnect(executor_id)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
        let mut state = self.shared.state();
        for entry in state.executors.values_mut() {
            entry.stream = None;
            if let Process::Running(pid) = entry.process {
                process::destroy(pid);
            }
        }
        if let Some(path) = &self.shared.options.domain_socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The process of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Process {
    /// There is none yet, or the user runs it.
    None,
    /// The launcher.
    Running(Pid),
    /// It is over.
    Over,
}

#[derive(Debug)]
struct Entry {
    core: Executor,
    info: ExecutorInfo,
    container_id: String,
    directory: RunDirectory,
    environment: Vec<(String, String)>,
    token: String,
    process: Process,
    destroyed: bool,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    id: u64,
    format: Format,
    records: UnboundedSender<Bytes>,
}

#[derive(Debug)]
struct State {
    executors: BTreeMap<String, Entry>,
    streams: u64,
}

/// What the agent, its servers and its timers share.
#[derive(Debug)]
pub(crate) struct Shared {
    options: Options,
    address: SocketAddr,
    begun: Instant,
    state: Mutex<State>,
    reports: UnboundedSender<Report>,
}

/// What becomes of a request.
pub(crate) enum Answer {
    /// It was taken.
    Accepted,
    /// A stream of records begins.
    Stream {
        /// The records.
        records: UnboundedReceiver<Bytes>,
        /// Their encoding.
        format: Format,
        /// To be told when the stream is gone.
        guard: Guard,
    },
}

/// Tells the agent, when dropped, that a stream is gone.
pub(crate) struct Guard {
    shared: Arc<Shared>,
    executor_id: String,
    stream: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.stream_lost(&self.executor_id, self.stream);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn report(&self, report: Report) {
        // Without a user nobody wants to know.
        let _ = self.reports.send(report);
    }

    fn add(self: &Arc<Self>, info: ExecutorInfo) -> Result<Added, Error> {
        let executor_id = info.executor_id.value.clone();
        let command = info.command.clone().unwrap_or_default();
        if !command.uris.is_empty() {
            return Err(Error::Unsupported("the fetcher (uris)"));
        }
        if info.container.is_some() {
            return Err(Error::Unsupported("containers"));
        }
        let mut state = self.state();
        if state.executors.contains_key(&executor_id) {
            return Err(Error::Duplicate(executor_id));
        }
        let random = |error| Error::Io("get random bytes", error);
        let container_id = random::uuid_text().map_err(random)?;
        let token = random::token().map_err(random)?;
        let options = &self.options;
        let directory = RunDirectory::create(
            &options.root,
            &options.agent_id,
            &options.framework.id,
            &executor_id,
            &container_id,
        )
        .map_err(|error| Error::Io("make the executor's directory", error))?;
        let grace = grace_period(&info);
        let environment = self.environment(&info, &directory, &token, grace);
        let core = Executor::new(self.now(), grace, options.registration_timeout);
        let added = Added {
            container_id: container_id.clone(),
            directory: directory.clone(),
            environment: environment.clone(),
        };
        let entry = Entry {
            core,
            info: self.normalised(info),
            container_id,
            directory,
            environment,
            token,
            process: Process::None,
            destroyed: false,
            stream: None,
        };
        state.executors.insert(executor_id.clone(), entry);
        drop(state);
        self.set_timer(&executor_id);
        Ok(added)
    }

    /// Exactly what an agent gives.
    fn environment(
        &self,
        info: &ExecutorInfo,
        directory: &RunDirectory,
        token: &str,
        grace: Duration,
    ) -> Vec<(String, String)> {
        let directory = directory.path().display().to_string();
        let framework = &self.options.framework;
        let mut vars: BTreeMap<&str, String> = BTreeMap::from([
            ("LIBPROCESS_IP", self.address.ip().to_string()),
            ("LIBPROCESS_PORT", "0".to_owned()),
            (names::AGENT_ENDPOINT, self.address.to_string()),
            (names::CHECKPOINT, u8::from(framework.checkpoint).to_string()),
            (names::DIRECTORY, directory.clone()),
            (names::AUTHENTICATION_TOKEN, token.to_owned()),
            (names::EXECUTOR_ID, info.executor_id.value.clone()),
            (names::SHUTDOWN_GRACE_PERIOD, duration::format(grace)),
            (names::FRAMEWORK_ID, framework.id.clone()),
            ("MESOS_HTTP_COMMAND_EXECUTOR", "0".to_owned()),
            (names::SANDBOX, directory),
            (names::AGENT_ID, self.options.agent_id.clone()),
            ("MESOS_SLAVE_PID", format!("slave(1)@{}", self.address)),
            ("PATH", process::SEARCH_PATH.to_owned()),
        ]);
        if framework.checkpoint {
            vars.insert(names::RECOVERY_TIMEOUT, "15mins".to_owned());
            vars.insert(names::SUBSCRIPTION_BACKOFF_MAX, "2secs".to_owned());
        }
        if let Some(path) = &self.options.domain_socket {
            vars.insert(names::DOMAIN_SOCKET, path.display().to_string());
        }
        let own = info.command.iter().filter_map(|command| command.environment.as_ref());
        for variable in own.flat_map(|environment| &environment.variables) {
            if let Some(value) = &variable.value {
                vars.insert(&variable.name, value.clone());
            }
        }
        vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// As an agent tells it to the executor: with what is left out made explicit.
    fn normalised(&self, mut info: ExecutorInfo) -> ExecutorInfo {
        info.framework_id = Some(FrameworkId { value: self.options.framework.id.clone() });
        if let Some(command) = &mut info.command {
            command.shell.get_or_insert(true);
            for variable in command.environment.iter_mut().flat_map(|e| &mut e.variables) {
                variable.r#type.get_or_insert(variable::Type::Value.into());
            }
        }
        info
    }

    fn start_process(self: &Arc<Self>, executor_id: &str) -> Result<(), Error> {
        let mut state = self.state();
        let entry = state
            .executors
            .get_mut(executor_id)
            .ok_or_else(|| Error::Unknown(executor_id.to_owned()))?;
        if entry.process != Process::None {
            return Err(Error::Started(executor_id.to_owned()));
        }
        let log = |name| {
            entry.directory.log(name).map_err(|error| Error::Io("open the executor's logs", error))
        };
        let info = entry.info.command.clone().unwrap_or_default();
        let value = info.value.unwrap_or_default();
        let mut command = tokio::process::Command::new(&self.options.launcher);
        command.arg(LAUNCHER_ROLE);
        if info.shell.unwrap_or(true) {
            command.args(["/bin/sh", "-c", &value]);
        } else {
            // The first argument is the name by which the program knows itself, which cannot be
            // chosen here.
            command.arg(value).args(info.arguments.iter().skip(1));
        }
        let environment =
            entry.environment.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        command
            .env_clear()
            .envs(environment)
            .current_dir(entry.directory.path())
            .stdin(Stdio::null())
            .stdout(log("stdout")?)
            .stderr(log("stderr")?);
        let mut child =
            command.spawn().map_err(|error| Error::Io("start the executor's launcher", error))?;
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            entry.process = Process::Running(pid);
        }
        drop(state);
        let (shared, executor_id) = (Arc::clone(self), executor_id.to_owned());
        tokio::spawn(async move {
            let code = child.wait().await.ok().and_then(|status| status.code());
            shared.exited(&executor_id, code);
        });
        Ok(())
    }

    fn exited(self: &Arc<Self>, executor_id: &str, code: Option<i32>) {
        let mut destroyed = false;
        if let Some(entry) = self.state().executors.get_mut(executor_id) {
            entry.process = Process::Over;
            destroyed = entry.destroyed;
        }
        let _ = self.input(executor_id, Input::Exited);
        let code = code.filter(|_| !destroyed);
        self.report(Report::Exited { executor_id: executor_id.to_owned(), code });
    }

    fn input(self: &Arc<Self>, executor_id: &str, input: Input) -> Result<(), Error> {
        let mut state = self.state();
        let entry = state
            .executors
            .get_mut(executor_id)
            .ok_or_else(|| Error::Unknown(executor_id.to_owned()))?;
        let effects = entry.core.handle(self.now(), input);
        for effect in effects {
            self.perform(executor_id, entry, effect);
        }
        drop(state);
        self.set_timer(executor_id);
        Ok(())
    }

    fn perform(&self, executor_id: &str, entry: &mut Entry, effect: Effect) {
        match effect {
            Effect::Send(mut event) => {
                if event.r#type() == Type::Subscribed {
                    event.subscribed = Some(self.subscribed(entry));
                    self.report(Report::Subscribed { executor_id: executor_id.to_owned() });
                }
                send(entry, &event);
            }
            Effect::Close => entry.stream = None,
            Effect::Report(status) => {
                let status = Box::new(self.filled(entry, *status));
                self.report(Report::Update { executor_id: executor_id.to_owned(), status });
            }
            Effect::Destroy => {
                entry.destroyed = true;
                match entry.process {
                    Process::Running(pid) => process::destroy(pid),
                    // Nothing can be killed, and nobody tells of its end.
                    Process::None => {
                        for effect in entry.core.handle(self.now(), Input::Exited) {
                            self.perform(executor_id, entry, effect);
                        }
                        let executor_id = executor_id.to_owned();
                        self.report(Report::Exited { executor_id, code: None });
                    }
                    Process::Over => {}
                }
            }
        }
    }

    /// What an agent adds to an update.
    fn filled(&self, entry: &Entry, mut status: TaskStatus) -> TaskStatus {
        status.agent_id = Some(AgentId { value: self.options.agent_id.clone() });
        if status.source == Some(Source::Agent.into()) {
            status.executor_id = Some(entry.info.executor_id.clone());
            let uuid = random::uuid().ok();
            status.uuid = uuid.map(|uuid| uuid.to_vec());
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            status.timestamp = since.ok().map(|since| since.as_secs_f64());
        }
        let container = status.container_status.get_or_insert_with(ContainerStatus::default);
        container
            .container_id
            .get_or_insert(ContainerId { value: entry.container_id.clone(), parent: None });
        status
    }

    fn subscribed(&self, entry: &Entry) -> Subscribed {
        let framework = &self.options.framework;
        Subscribed {
            executor_info: entry.info.clone(),
            framework_info: FrameworkInfo {
                user: framework.user.clone(),
                name: framework.name.clone(),
                id: Some(FrameworkId { value: framework.id.clone() }),
                checkpoint: Some(framework.checkpoint),
                hostname: Some(self.options.hostname.clone()),
                ..FrameworkInfo::default()
            },
            agent_info: AgentInfo {
                hostname: self.options.hostname.clone(),
                id: Some(AgentId { value: self.options.agent_id.clone() }),
                port: Some(self.address.port().into()),
                ..AgentInfo::default()
            },
            container_id: Some(ContainerId { value: entry.container_id.clone(), parent: None }),
        }
    }

    fn message(&self, executor_id: &str, data: Vec<u8>) -> Result<(), Error> {
        use mesos_executor::v1::executor::event::Message;
        let mut state = self.state();
        let entry = state
            .executors
            .get_mut(executor_id)
            .ok_or_else(|| Error::Unknown(executor_id.to_owned()))?;
        let kind = Some(Type::Message.into());
        let message = Some(Message { data });
        send(entry, &Event { r#type: kind, message, ..Event::default() });
        Ok(())
    }

    fn disconnect(self: &Arc<Self>, executor_id: &str) -> Result<(), Error> {
        if let Some(entry) = self.state().executors.get_mut(executor_id) {
            entry.stream = None;
        }
        self.input(executor_id, Input::StreamLost)
    }

    fn stream_lost(self: &Arc<Self>, executor_id: &str, stream: u64) {
        let ours = self.state().executors.get_mut(executor_id).is_some_and(|entry| {
            let ours = entry.stream.as_ref().is_some_and(|current| current.id == stream);
            if ours {
                entry.stream = None;
            }
            ours
        });
        if ours {
            let _ = self.input(executor_id, Input::StreamLost);
            self.report(Report::Disconnected { executor_id: executor_id.to_owned() });
        }
    }

    /// Wakes the core when it wants that. A timer that comes for nothing changes nothing.
    fn set_timer(self: &Arc<Self>, executor_id: &str) {
        let wakeup = self.state().executors.get(executor_id).and_then(|e| e.core.wakeup());
        let Some(at) = wakeup else { return };
        let (shared, executor_id) = (Arc::downgrade(self), executor_id.to_owned());
        let at = tokio::time::Instant::from_std(self.begun + at);
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            if let Some(shared) = shared.upgrade() {
                let _ = shared.input(&executor_id, Input::Tick);
            }
        });
    }

    // ---- requests ----

    /// Checks the token; the id of the executor that it belongs to.
    pub(crate) fn authenticate(&self, authorization: Option<&str>) -> Result<String, Refusal> {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(Refusal::unauthorized)?;
        self.state()
            .executors
            .iter()
            .find(|(_, entry)| entry.token == token)
            .map(|(id, _)| id.clone())
            .ok_or_else(Refusal::unauthorized)
    }

    /// Does what an executor asks for. `owner`: whose token it has.
    pub(crate) fn serve(
        self: &Arc<Self>,
        owner: &str,
        request: Request,
    ) -> Result<Answer, Refusal> {
        use crate::core::Phase;
        let bad = |text: &str| Refusal::new(400, text);
        if request.framework_id != self.options.framework.id {
            return Err(bad("Framework cannot be found"));
        }
        let id = request.executor_id;
        let mut state = self.state();
        state.streams += 1;
        let stream = state.streams;
        let entry = state
            .executors
            .get_mut(&id)
            .filter(|entry| entry.core.phase() != Phase::Terminated)
            .ok_or_else(|| bad("Executor cannot be found"))?;
        if owner != id {
            return Err(Refusal::new(403, ""));
        }
        let subscribe = matches!(request.wish, Wish::Subscribe(..));
        if !subscribe && !entry.core.has_subscribed() {
            return Err(Refusal::new(403, "Executor is not subscribed"));
        }
        let (input, answer) = match request.wish {
            Wish::Subscribe(subscribe, format) => {
                let (sender, records) = unbounded_channel();
                // The former stream ends here, with its sender.
                entry.stream = Some(Stream { id: stream, format, records: sender });
                let guard = Guard { shared: Arc::clone(self), executor_id: id.clone(), stream };
                (Input::Subscribe(subscribe), Answer::Stream { records, format, guard })
            }
            Wish::Update(status) => (Input::Update(status), Answer::Accepted),
            Wish::Message(data) => {
                self.report(Report::Message { executor_id: id, data });
                return Ok(Answer::Accepted);
            }
            Wish::Heartbeat => return Ok(Answer::Accepted),
        };
        drop(state);
        let _ = self.input(&id, input);
        Ok(answer)
    }

    /// Tells the user about a refusal.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        self.report(Report::Refused { status: refusal.status, text: refusal.text.clone() });
    }

    /// Is this where calls go?
    pub(crate) fn is_endpoint(path: &str) -> bool {
        path == PATH || path == "/slave(1)/api/v1/executor"
    }
}

fn send(entry: &mut Entry, event: &Event) {
    if let Some(stream) = &entry.stream {
        let mut bytes = Vec::new();
        recordio::encode(&stream.format.encode(event), &mut bytes);
        // A stream that is gone is told of by its guard.
        let _ = stream.records.send(Bytes::from(bytes));
    }
}

fn grace_period(info: &ExecutorInfo) -> Duration {
    info.shutdown_grace_period.map_or(DEFAULT_GRACE, |period| {
        Duration::from_nanos(u64::try_from(period.nanoseconds).unwrap_or_default())
    })
}

/// The program that runs, as launcher of its executors.
pub fn this_program() -> PathBuf {
    // Also there when the file was replaced meanwhile.
    Path::new("/proc/self/exe").to_path_buf()
}
