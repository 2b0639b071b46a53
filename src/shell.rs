//! The shell around the executor's core: one thread that waits for the agent, the runner, signals
//! and the clock.

use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mesos_executor::v1::{self, TaskStatus};
use mesos_executor::{Client, Environment, Handle};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use thermos_runner::coordinator::{Reaped, reap};
use thermos_runner::engine::Level;
use thermos_runner::files::{LastName, TaskFiles};
use thermos_runner::plan::Micros;
use thermos_runner::proc::Proc;
use thermos_runner::reach::Reach;
use thermos_runner::shell::StopOrder;
use thermos_runner::state::Stage;
use thermos_runner::users::{self, User};
use thermos_runner::view::View;
use thermos_runner::{kill, log, logging};
use tokio::net::UnixDatagram;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::assignment::{self, Assignment, Isolation};
use crate::executor::{Effect, Event, Executor, Phase};
use crate::options::{self, Options, Wish};
use crate::outcome::{Status, TaskState};
use crate::sandbox::{self, Sandbox, Usage};

/// How long the system may take to say who a user is.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How many names in a sandbox are looked at before anything else gets its turn.
const NAMES: usize = 256;

/// How often the use of the disk is looked at.
const DISK_INTERVAL: Duration = Duration::from_secs(60);

/// What must not reach the task.
const SECRETS: &[&str] = &[mesos_executor::environment::AUTHENTICATION_TOKEN];

/// Runs the executor; returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = String>) -> i32 {
    let options = match options::parse(arguments) {
        Ok(Wish::Run(options)) => options,
        Ok(Wish::Print(text)) => {
            print!("{text}");
            return 0;
        }
        Err(error) => {
            eprintln!("Usage: thermos_executor [options]\n\nthermos_executor: error: {error}");
            return 2;
        }
    };
    let environment = match Environment::from_vars(std::env::vars_os()) {
        Ok(environment) => environment,
        Err(error) => {
            eprintln!("thermos_executor: error: {error}; this program is started by a Mesos agent");
            return 1;
        }
    };
    logging::to_stderr(Some(Level::Warn), true);
    if let Err(error) = logging::to_disk(&environment.sandbox, "thermos_executor", Level::Info) {
        log!(Level::Warn, "cannot write a log to {}: {error}", environment.sandbox.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = match runtime {
        Ok(runtime) => runtime.block_on(run(options, environment)),
        Err(error) => Err(error),
    };
    let code = match code {
        Ok(()) => 0,
        Err(error) => {
            log!(Level::Error, "{error}");
            1
        }
    };
    logging::flush();
    code
}

struct Shell {
    options: Options,
    environment: Environment,
    agent: Handle,
    core: Executor,
    begun: Instant,
    reach: Reach,
    task_id: Option<String>,
    /// Arguments for starting the runner, again if need be.
    runner_arguments: Vec<String>,
    sandbox: Option<Sandbox>,
    looking_up: Option<LookUp>,
    runner: Option<i32>,
    /// A socket that keeps messages apart and knows an end, to the runner.
    socket: Option<UnixDatagram>,
    disk_limit: u64,
    /// A look at the use of the disk that is not finished.
    usage: Option<Usage>,
}

/// A user whom the system's files do not know: others are asked, who may not answer.
struct LookUp {
    assignment: Box<Assignment>,
    name: String,
    answer: oneshot::Receiver<std::io::Result<Option<User>>>,
    until: Instant,
}

async fn run(options: Options, environment: Environment) -> std::io::Result<()> {
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        log!(Level::Warn, "cannot become subreaper ({error}): escaped processes will be missed");
    }
    let mut children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut client = Client::start(environment.clone(), mesos_executor::Options::default());
    let stop_timeout = options.stop_timeout.saturating_mul(1_000_000);
    let mut shell = Shell {
        agent: client.handle(),
        core: Executor::new(0, stop_timeout),
        begun: Instant::now(),
        reach: Reach::new(Proc::open()?, rustix::process::getuid().as_raw()),
        task_id: None,
        runner_arguments: Vec::new(),
        sandbox: None,
        looking_up: None,
        runner: None,
        socket: None,
        disk_limit: u64::MAX,
        usage: None,
        options,
        environment,
    };
    let disk = Ticks::every(DISK_INTERVAL)?;
    while shell.core.phase() != Phase::Done {
        logging::flush();
        let wakeup = shell.core.wakeup().map(|at| shell.begun + Duration::from_micros(at as u64));
        tokio::select! {
            event = client.next() => shell.agent_event(event),
            stage = told(shell.socket.as_ref()) => match stage {
                Some(stage) => shell.tell(Event::Stage(stage)),
                None => shell.socket = None,
            },
            // Who looks up a user waits for a child of its own.
            _ = children.recv(), if shell.looking_up.is_none() => shell.reap(),
            answer = looked_up(shell.looking_up.as_mut()) => shell.looked_up(answer),
            _ = terminate.recv() => shell.shutdown(),
            _ = interrupt.recv() => shell.shutdown(),
            () = sleep_until(wakeup) => shell.tell(Event::Tick),
            () = disk.tick(), if shell.runner.is_some() => {
                shell.usage = shell.sandbox.as_ref().map(|sandbox| Usage::of(&sandbox.directory));
            }
            () = tokio::task::yield_now(), if shell.usage.is_some() => shell.check_disk(),
        }
    }
    // Nothing outlives the executor, on purpose: the agent would only kill it less cleanly.
    shell.kill_everything();
    Ok(())
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// A clock that ticks and wakes for nothing else. Timers of the runtime wake several times on the way
/// to a moment that is far away.
struct Ticks(pipe::Receiver);

impl Ticks {
    fn every(interval: Duration) -> std::io::Result<Ticks> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
        let every = Timespec { tv_sec: seconds, tv_nsec: interval.subsec_nanos().into() };
        let times = Itimerspec { it_interval: every, it_value: every };
        rustix::time::timerfd_settime(&fd, TimerfdTimerFlags::empty(), &times)?;
        // Like a pipe it is waited for, and read.
        Ok(Ticks(pipe::Receiver::from_owned_fd_unchecked(fd)?))
    }

    async fn tick(&self) {
        // The number of ticks since the last look.
        let mut ticks = [0; 8];
        while self.0.readable().await.is_ok() {
            if self.0.try_read(&mut ticks).is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}

/// Who the user is; `None`: nobody says so in time.
async fn looked_up(look_up: Option<&mut LookUp>) -> Option<std::io::Result<Option<User>>> {
    let Some(look_up) = look_up else { return std::future::pending().await };
    let answer = tokio::time::timeout_at(look_up.until.into(), &mut look_up.answer).await;
    answer.ok()?.ok()
}

/// The next state that the runner tells; `None`: it has closed its end.
async fn told(socket: Option<&UnixDatagram>) -> Option<Stage> {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        let mut byte = [0u8];
        match socket.recv(&mut byte).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {
                if let Some(stage) = stage_of(byte[0]) {
                    return Some(stage);
                }
            }
        }
    }
}

fn stage_of(number: u8) -> Option<Stage> {
    Stage::ALL.into_iter().find(|stage| stage.wire().0 == i32::from(number))
}

impl Shell {
    fn now(&self) -> Micros {
        i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    fn tell(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.core.handle(self.now(), event, &mut effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn shutdown(&mut self) {
        log!(Level::Info, "Told to shut down.");
        let grace = self.environment.shutdown_grace_period.as_micros();
        self.tell(Event::Shutdown { grace: i64::try_from(grace).unwrap_or(i64::MAX) });
    }

    // ---- the agent ----

    fn agent_event(&mut self, event: Option<mesos_executor::Event>) {
        use mesos_executor::Event as Agent;
        match event {
            Some(Agent::Launch(task)) => self.launch(&task),
            Some(Agent::LaunchGroup(tasks)) => {
                for task in tasks {
                    self.launch(&task);
                }
            }
            Some(Agent::Kill { task_id, grace }) => {
                log!(Level::Info, "Told to kill {task_id}.");
                let grace = grace.map(|grace| i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
                self.tell(Event::Kill { task_id, grace });
            }
            Some(Agent::Shutdown) => self.shutdown(),
            Some(Agent::Flushed { .. }) => self.tell(Event::Flushed),
            Some(Agent::GaveUp(why)) => {
                log!(Level::Error, "{why}");
                self.tell(Event::AgentGone(why.to_string()));
            }
            Some(Agent::Error(message)) => {
                log!(Level::Error, "the agent says: {message}");
                self.shutdown();
            }
            Some(Agent::Disconnected { reason }) => {
                log!(Level::Warn, "lost the agent: {reason}");
                self.tell(Event::Disconnected);
            }
            Some(Agent::Subscribed(_)) => self.tell(Event::Connected),
            Some(Agent::Refused { status, reason }) => {
                log!(Level::Error, "the agent refused an update of {:?}: {reason}", status.task_id);
            }
            Some(Agent::Trouble(what)) => log!(Level::Warn, "{what}"),
            Some(Agent::Acknowledged { .. } | Agent::Message(_)) => {}
            None => self.tell(Event::AgentGone("the agent is gone".to_owned())),
        }
    }

    fn launch(&mut self, task: &v1::TaskInfo) {
        let task_id = task.task_id.value.clone();
        log!(Level::Info, "Launching {task_id}.");
        let assignment = assignment::decode(task.data.as_deref().unwrap_or_default())
            .and_then(|assigned| assignment::resolve(&assigned))
            .map(Box::new)
            .map_err(|error| error.0);
        if let Err(reason) = &assignment {
            log!(Level::Error, "{reason}");
        }
        let policy = task.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
        let grace = policy.map(|grace| grace.nanoseconds.max(0) / 1000);
        self.tell(Event::Launch { task_id, assignment, grace });
    }

    fn update(&self, task_id: String, status: &Status) {
        log!(Level::Info, "{task_id}: {:?} {}", status.state, status.message);
        let state = match status.state {
            TaskState::Starting => v1::TaskState::TaskStarting,
            TaskState::Running => v1::TaskState::TaskRunning,
            TaskState::Finished => v1::TaskState::TaskFinished,
            TaskState::Failed => v1::TaskState::TaskFailed,
            TaskState::Killed => v1::TaskState::TaskKilled,
            TaskState::Lost => v1::TaskState::TaskLost,
        };
        self.agent.update(TaskStatus {
            task_id: v1::TaskId { value: task_id },
            state: state.into(),
            message: (!status.message.is_empty()).then(|| status.message.clone()),
            ..TaskStatus::default()
        });
    }

    // ---- the runner ----

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Update { task_id, status } => self.update(task_id, &status),
            Effect::Start(assignment) => {
                self.task_id = Some(assignment.task_id.clone());
                self.disk_limit = u64::try_from(assignment.disk).unwrap_or(u64::MAX);
                self.find_user(assignment);
            }
            Effect::Restart => {
                log!(Level::Warn, "The runner died; starting another, which takes over.");
                if let Err(error) = self.spawn() {
                    log!(Level::Error, "cannot start the runner again: {error}");
                    let stage = self.recorded_stage();
                    self.tell(Event::RunnerExited { code: 103, stage });
                }
            }
            Effect::Stop { .. } if self.looking_up.take().is_some() => {
                self.tell(Event::NotStarted("killed before it was started".to_owned()));
            }
            Effect::Stop { goal, grace } => {
                let grace_ms = u32::try_from(grace / 1000).unwrap_or(u32::MAX);
                let order = StopOrder { goal, grace_ms }.encode();
                if let Some(socket) = &self.socket {
                    // Past tokio, which may not know yet that a new socket can be written to. A runner
                    // that is gone is noticed by its exit.
                    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                    let _ = rustix::net::send(socket, &order, flags);
                }
            }
            Effect::KillEverything => self.kill_everything(),
            Effect::Flush(within) => {
                self.agent.flush(Duration::from_micros(u64::try_from(within).unwrap_or(0)));
            }
        }
    }

    fn root(&self) -> PathBuf {
        self.environment.directory.join("checkpoints")
    }

    /// Whom the sandbox is to belong to and processes run as; `None`: whoever runs the executor.
    fn user_name(&self, assignment: &Assignment) -> Option<String> {
        if self.options.nosetuid || !rustix::process::geteuid().is_root() {
            return None;
        }
        self.options.execute_as_user.clone().or_else(|| assignment.role.clone())
    }

    /// Finds that user, and starts the task or says why not, at once or later.
    fn find_user(&mut self, assignment: Box<Assignment>) {
        let refusal = match assignment.isolation {
            Isolation::Directory => None,
            Isolation::Docker => Some("Docker containers are not supported yet"),
            Isolation::Image => Some("file system images are not supported yet"),
        };
        if let Some(reason) = refusal {
            return self.not_started(reason.to_owned());
        }
        let Some(name) = self.user_name(&assignment) else { return self.start(&assignment, None) };
        if let Ok(Some(user)) = users::by_name(&FilesAlone, &name) {
            return self.start(&assignment, Some(user));
        }
        let (sender, answer) = oneshot::channel();
        let asked = name.clone();
        let thread = std::thread::Builder::new().name("user".to_owned());
        // Nobody waits for the answer any more if the task was killed meanwhile.
        let thread =
            thread.spawn(move || drop(sender.send(users::by_name(&users::System, &asked))));
        match thread {
            Ok(_) => {
                let until = Instant::now() + USER_TIMEOUT;
                self.looking_up = Some(LookUp { assignment, name, answer, until });
            }
            Err(error) => self.not_started(format!(
                "failed to initialise sandbox: cannot look up user {name}: {error}"
            )),
        }
    }

    fn looked_up(&mut self, answer: Option<std::io::Result<Option<User>>>) {
        let Some(LookUp { assignment, name, .. }) = self.looking_up.take() else { return };
        let why = match answer {
            Some(Ok(Some(user))) => return self.start(&assignment, Some(user)),
            Some(Ok(None)) => format!("user does not exist: {name}"),
            Some(Err(error)) => format!("cannot look up user {name}: {error}"),
            None => format!("looking up user {name} took longer than {USER_TIMEOUT:?}"),
        };
        self.not_started(format!("failed to initialise sandbox: {why}"));
    }

    fn not_started(&mut self, reason: String) {
        log!(Level::Error, "{reason}");
        self.tell(Event::NotStarted(reason));
    }

    fn start(&mut self, assignment: &Assignment, user: Option<User>) {
        if let Err(reason) = self.try_start(assignment, user) {
            self.not_started(reason);
        }
    }

    fn try_start(&mut self, assignment: &Assignment, user: Option<User>) -> Result<(), String> {
        let directory = self.environment.directory.clone();
        let made = sandbox::create(&directory, &assignment.task_json, user.as_ref())
            .map_err(|error| format!("failed to initialise sandbox: {error}"))?;
        self.sandbox = Some(made);
        let path = |name: &str| directory.join(name).display().to_string();
        let mut arguments = vec![
            format!("--sandbox={}", path("sandbox")),
            format!("--container_sandbox={}", path("sandbox")),
            format!("--checkpoint_root={}", path("checkpoints")),
            format!("--task_id={}", assignment.task_id),
            format!("--hostname={}", assignment.host),
            format!("--log_dir={}", directory.display()),
        ];
        arguments.extend(user.map(|user| format!("--setuid={}", user.name)));
        arguments.extend(
            assignment.ports.iter().map(|(name, number)| format!("--port={name}:{number}")),
        );
        if self.options.preserve_env {
            arguments.push("--preserve_env".to_owned());
        }
        arguments.extend(self.options.logger.iter().cloned());
        self.runner_arguments = arguments;
        self.spawn().map_err(|error| format!("cannot start the runner: {error}"))
    }

    /// Starts the runner: this very file, in its other role.
    fn spawn(&mut self) -> std::io::Result<()> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let task = match &self.sandbox {
            Some(sandbox) => sandbox.task.try_clone()?,
            None => return Err(std::io::Error::other("there is no task")),
        };
        // Only these two reach the runner, which takes them over; nobody else is started here.
        for fd in [&theirs, &task] {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
        let mut command = Command::new("/proc/self/exe");
        command
            .arg(crate::RUNNER_ROLE)
            .arg(format!("--thermos_json=/proc/self/fd/{}", task.as_raw_fd()))
            .arg(format!("--supervisor_fd={}", theirs.as_raw_fd()))
            .args(&self.runner_arguments)
            .current_dir(&self.environment.directory)
            .stdin(Stdio::null());
        for secret in SECRETS {
            command.env_remove(secret);
        }
        let child = command.spawn()?;
        self.runner = i32::try_from(child.id()).ok();
        let ours = std::os::unix::net::UnixDatagram::from(ours);
        ours.set_nonblocking(true)?;
        self.socket = Some(UnixDatagram::from_std(ours)?);
        Ok(())
    }

    fn reap(&mut self) {
        while let Reaped::Child(pid, code) = reap(false) {
            if self.runner != Some(pid) {
                continue;
            }
            self.runner = None;
            self.drain_socket();
            let stage = self.recorded_stage();
            log!(Level::Info, "The runner exited with {code}.");
            self.tell(Event::RunnerExited { code, stage });
        }
    }

    /// What the runner said last comes before its exit.
    fn drain_socket(&mut self) {
        let mut stages = Vec::new();
        if let Some(socket) = &self.socket {
            let mut byte = [0u8];
            while let Ok((1, _)) = rustix::net::recv(socket, &mut byte, RecvFlags::DONTWAIT) {
                stages.extend(stage_of(byte[0]));
            }
        }
        self.socket = None;
        for stage in stages {
            self.tell(Event::Stage(stage));
        }
    }

    /// The checkpoint root lies in a directory that belongs to the task's user.
    fn files(&self) -> Option<TaskFiles> {
        TaskFiles::open(&self.root(), self.task_id.as_deref()?, LastName::MustNotBeLink).ok()
    }

    fn recorded_stage(&self) -> Option<Stage> {
        let files = self.files()?;
        let stream = files.read_stream("runner").ok()?;
        View::read(&stream).ok()?.stage()
    }

    fn kill_everything(&mut self) {
        let me = rustix::process::getpid().as_raw_pid();
        self.reach.kill_all(|| {
            self.reach.proc.kill_children(|_| false);
            self.reach.proc.descendants([me])
        });
        self.close_stream();
    }

    /// Leaves a terminal state on record, for whoever looks later.
    fn close_stream(&self) {
        if self.recorded_stage().is_some_and(|stage| !stage.is_terminal())
            && let Some(files) = self.files()
            && let Err(error) = kill::force(&files, Stage::Killed)
        {
            log!(Level::Warn, "cannot close the record of the task: {error}");
        }
    }

    fn check_disk(&mut self) {
        let Some(used) = self.usage.as_mut().and_then(|usage| usage.look(NAMES)) else { return };
        self.usage = None;
        if used > self.disk_limit {
            self.tell(Event::DiskExceeded { used, limit: self.disk_limit });
        }
    }
}

/// The users of the system's own files, for which nobody else has to be asked.
struct FilesAlone;

impl users::Directory for FilesAlone {
    fn passwd(&self) -> std::io::Result<String> {
        users::System.passwd()
    }

    fn group(&self) -> std::io::Result<String> {
        users::System.group()
    }

    fn getent(&self, _: &str, _: &str) -> Option<String> {
        None
    }
}
