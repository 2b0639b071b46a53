//! `thermos launch`: a task under the real executor, which an agent in this very process launches.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_api::api::AssignedTask;
use chrono::Local;
use mesos_executor::session::is_terminal;
use mesos_executor::v1::task_status::Source;
use mesos_executor::v1::{
    AgentId, CommandInfo, ExecutorId, ExecutorInfo, TaskId, TaskInfo, TaskState, TaskStatus,
};
use mini_agent::{Added, Agent, Framework, Options, Report};
use thermos_runner::files::{LastName, TaskFiles};
use thermos_runner::kill::{self, KillError};
use thermos_runner::state::Stage;
use thermos_runner::{flags, users};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::assign::Job;
use crate::cli::{Global, Launch};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::outcome::Summary;
use crate::output::{emit, quoted, shown, warn};
use crate::record::Record;
use crate::roots;

/// The executor's file.
const EXECUTOR: &str = "thermos_executor";

/// The agent, for paths and ids.
const AGENT_ID: &str = "local-S0";

/// How long an executor may stay after its task is over.
const PARTING: Duration = Duration::from_secs(10);

/// A task, ready to be launched.
#[derive(Debug)]
struct Task {
    id: String,
    name: String,
    data: Vec<u8>,
    notes: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(global: &Global, options: &Launch) -> Outcome {
    let [file] = options.files.as_slice() else {
        return Err(Failure::usage(format!(
            "Expected precisely one file, got {}",
            options.files.len()
        )));
    };
    let text = std::fs::read(file)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    let executor = executor(options)?;
    let root = match &global.mesos_root {
        Some(root) => root.clone(),
        None => roots::own_mesos_root()?,
    };
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let task = if options.blob {
        of_blob(&text, options)?
    } else {
        of_job(&text, file, options, &hostname)?
    };
    for note in &task.notes {
        warn(&format!("{}: {}", file.display(), shown(note)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::system("start the agent", error))?;
    let agent = Options {
        agent_id: AGENT_ID.to_owned(),
        hostname,
        framework: Framework {
            id: "local-0000".to_owned(),
            name: "thermos launch".to_owned(),
            user: current_user(),
            // The executor ends with this agent, which never comes back.
            checkpoint: false,
        },
        ..Options::new(&root, mini_agent::agent::this_program())
    };
    let launched = runtime.block_on(launch(agent, &executor, options, &task))?;
    launched.conclude(options.rm)
}

/// Why a task cannot even be launched.
fn invalid(file: &Path, why: &str) -> Failure {
    Failure::new(Code::InvalidTask, format!("{}: {why}", file.display()))
}

fn of_job(text: &[u8], file: &Path, options: &Launch, hostname: &str) -> Result<Task, Failure> {
    let user = current_user();
    // Nobody else can become somebody.
    let role = match &options.role {
        Some(role) => Some(role.clone()),
        None if rustix::process::geteuid().is_root() => None,
        None => Some(user.clone()),
    };
    check_role(role.as_deref(), &user)?;
    let instance = options.instance.unwrap_or(0);
    let job = Job::read(text, options.json_job, role.as_deref(), &user)
        .map_err(|why| invalid(file, &why))?;
    let mut notes = job.notes.clone();
    let mut ports = ports(&options.ports)?;
    // They are held until all are picked, so that each is another.
    let mut held = Vec::new();
    for name in job.ports(instance, hostname) {
        if ports.contains_key(&name) {
            continue;
        }
        let free = TcpListener::bind(("0.0.0.0", 0))
            .and_then(|listener| Ok((listener.local_addr()?.port(), listener)));
        let (port, listener) =
            free.map_err(|error| Failure::system("find a port that is free", error))?;
        notes.push(format!("port {name}: {port} (--port={name}:NUMBER assigns another)"));
        held.push(listener);
        ports.insert(name, i32::from(port));
    }
    let unique =
        mini_agent::new_id().map_err(|error| Failure::system("get random bytes", error))?;
    let id = job.task_id(instance, &unique);
    let assigned = job.assign(&id, AGENT_ID, hostname, instance, ports);
    Ok(Task { id, name: job.name, data: aurora_api::binary::to_vec(&assigned), notes })
}

/// Bytes as a scheduler sent them; whatever is wrong with them is for the executor to say.
fn of_blob(data: &[u8], options: &Launch) -> Result<Task, Failure> {
    check_role(options.role.as_deref(), &current_user())?;
    let decoded = aurora_api::binary::from_slice::<AssignedTask>(data);
    let mut notes = Vec::new();
    let mut assigned = match decoded {
        Ok(assigned) => assigned,
        Err(error) => {
            notes.push(format!(
                "it is no assigned task: {error}; the executor gets it all the same"
            ));
            let id =
                mini_agent::new_id().map_err(|error| Failure::system("get random bytes", error))?;
            return Ok(Task { name: id.clone(), id, data: data.to_vec(), notes });
        }
    };
    let id = match &assigned.task_id {
        Some(id) if mini_agent::directory::is_name(id) => id.clone(),
        _ => mini_agent::new_id().map_err(|error| Failure::system("get random bytes", error))?,
    };
    let before = assigned.clone();
    if let Some(role) = &options.role
        && let Some(job) = assigned.task.as_mut().and_then(|task| task.job.as_mut())
    {
        job.role = Some(role.clone());
    }
    if let Some(instance) = options.instance {
        assigned.instance_id = Some(instance);
    }
    let ports = ports(&options.ports)?;
    if !ports.is_empty() {
        assigned.assigned_ports.get_or_insert_default().extend(ports);
    }
    let data = if assigned == before {
        // To the byte, however it was written.
        data.to_vec()
    } else {
        aurora_api::binary::to_vec(&assigned)
    };
    Ok(Task { name: id.clone(), id, data, notes })
}

fn ports(given: &[String]) -> Result<BTreeMap<String, i32>, Failure> {
    let mut ports = BTreeMap::new();
    for port in given {
        let wrong =
            |error: &dyn std::fmt::Display| Failure::usage(format!("option --port: {error}"));
        let (name, number) = flags::port(port).map_err(|error| wrong(&error))?;
        ports.insert(name, i32::try_from(number).map_err(|error| wrong(&error))?);
    }
    Ok(ports)
}

fn current_user() -> String {
    let uid = rustix::process::geteuid().as_raw();
    match users::by_uid(&users::System, uid) {
        Ok(Some(user)) => user.name,
        Ok(None) | Err(_) => uid.to_string(),
    }
}

fn check_role(role: Option<&str>, user: &str) -> Result<(), Failure> {
    let Some(role) = role.filter(|role| *role != user) else { return Ok(()) };
    if !rustix::process::geteuid().is_root() {
        let text = format!("option --role: becoming {role} needs root");
        return Err(Failure::new(Code::UnknownUser, text));
    }
    Ok(())
}

/// The executor's file: as told, beside this program, or where the shell would find it.
fn executor(options: &Launch) -> Result<PathBuf, Failure> {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if let Some(path) = &options.executor {
        let path = std::path::absolute(path)
            .map_err(|error| Failure::usage(format!("option --executor: {error}")))?;
        if !runs(&path) {
            return Err(Failure::usage(format!(
                "option --executor: {} is no program",
                path.display()
            )));
        }
        return Ok(path);
    }
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(EXECUTOR)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(EXECUTOR));
    beside.into_iter().chain(found).find(|path| runs(path)).ok_or_else(|| {
        Failure::usage(format!(
            "there is no {EXECUTOR} beside this program or on PATH; build it with `cargo build -p \
             thermos-executor`, or say where it is with --executor"
        ))
    })
}

/// A launch that is over.
#[derive(Debug)]
struct Launched {
    task_id: String,
    added: Added,
    last: Option<TaskState>,
    /// Exit code of the executor; `None`: it was killed.
    code: Option<i32>,
}

async fn launch(
    agent: Options,
    executor: &Path,
    options: &Launch,
    task: &Task,
) -> Result<Launched, Failure> {
    let listening = |name: &'static str| move |error: std::io::Error| Failure::system(name, error);
    let handlers = listening("install signal handlers");
    let mut interrupts = signal(SignalKind::interrupt()).map_err(&handlers)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(&handlers)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(&handlers)?;
    let refused = |error: mini_agent::agent::Error| Failure::new(Code::System, error.to_string());
    let (agent, mut reports) = Agent::start(agent).await.map_err(listening("start the agent"))?;
    let executor_id = executor_id(&task.id);
    let mut value = quoted(&executor.display().to_string());
    if let Some(flags) = &options.executor_flags {
        let _ = write!(value, " {flags}");
    }
    let info = ExecutorInfo {
        executor_id: ExecutorId { value: executor_id.clone() },
        name: Some("aurora.task".to_owned()),
        source: Some(task.name.clone()),
        command: Some(CommandInfo { value: Some(value), ..CommandInfo::default() }),
        ..ExecutorInfo::default()
    };
    let added = agent.add(info.clone()).map_err(refused)?;
    emit(&places(&task.id, executor, &added))?;
    let task_info = TaskInfo {
        name: task.name.clone(),
        task_id: TaskId { value: task.id.clone() },
        agent_id: AgentId { value: AGENT_ID.to_owned() },
        executor: Some(info),
        data: Some(task.data.clone()),
        ..TaskInfo::default()
    };
    agent.launch(&executor_id, task_info).map_err(refused)?;
    agent.start_process(&executor_id).map_err(refused)?;
    let mut launched = Launched { task_id: task.id.clone(), added, last: None, code: None };
    let mut alarm = options
        .timeout
        .map(|seconds| tokio::time::Instant::now() + Duration::from_secs(seconds.into()));
    let mut orders = 0;
    let mut parting = false;
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(Report::Exited { code, .. }) => {
                    launched.code = code;
                    drain(&mut reports, &mut launched)?;
                    break;
                }
                Some(report) => {
                    launched.note(&report)?;
                    if launched.is_over() && !parting {
                        parting = true;
                        // There is nothing to kill any more.
                        orders = orders.max(1);
                        alarm = Some(tokio::time::Instant::now() + PARTING);
                    }
                    continue;
                }
                None => break,
            },
            _ = interrupts.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            () = wait_until(alarm) => {
                alarm = None;
                if orders == 0 {
                    emit("Time is up.\n")?;
                }
            }
        }
        // An order to end that is not the first is stronger than those before.
        match orders {
            0 => {
                emit("Killing the task; ^C again shuts the executor down.\n")?;
                agent.kill(&executor_id, &task.id, None).map_err(refused)?;
            }
            1 => {
                emit("Shutting the executor down; ^C again kills everything.\n")?;
                agent.shutdown(&executor_id).map_err(refused)?;
            }
            _ => break,
        }
        orders += 1;
    }
    // What still lives is killed with the agent.
    drop(agent);
    Ok(launched)
}

/// Reports that came before the last one are all taken.
fn drain(reports: &mut UnboundedReceiver<Report>, launched: &mut Launched) -> Result<(), Failure> {
    while let Ok(report) = reports.try_recv() {
        launched.note(&report)?;
    }
    Ok(())
}

async fn wait_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// As the scheduler makes it, if there is room for that.
fn executor_id(task_id: &str) -> String {
    let id = format!("thermos-{task_id}");
    if mini_agent::directory::is_name(&id) { id } else { "thermos".to_owned() }
}

/// Where everything is.
fn places(task_id: &str, executor: &Path, added: &Added) -> String {
    let run = added.directory.path().display().to_string();
    format!(
        "task:        {}\nexecutor:    {}\ndirectory:   {}\n             (sandbox, checkpoints, \
         {EXECUTOR}.log, stdout and stderr of the executor)\n\n",
        shown(task_id),
        shown(&executor.display().to_string()),
        shown(&run),
    )
}

/// One line about an update.
fn line(status: &TaskStatus) -> String {
    let mut text =
        format!("{}  {:<13}", Local::now().format("%H:%M:%S%.3f"), status.state().as_str_name());
    if let Some(message) = status.message.as_deref().filter(|message| !message.is_empty()) {
        let _ = write!(text, "  {}", shown(message));
    }
    if status.source == Some(Source::Agent.into()) {
        let _ = write!(text, "  ({}, by the agent)", status.reason().as_str_name());
    }
    format!("{}\n", text.trim_end())
}

impl Launched {
    fn is_over(&self) -> bool {
        self.last.is_some_and(is_terminal)
    }

    fn note(&mut self, report: &Report) -> Result<(), Failure> {
        match report {
            Report::Update { status, .. } => {
                emit(&line(status))?;
                // What is over stays so, whatever an executor says later.
                if status.task_id.value == self.task_id && !self.is_over() {
                    self.last = Some(status.state());
                }
            }
            Report::Refused { status, text } => {
                warn(&format!("the agent refused a call with HTTP {status}: {}", shown(text)));
            }
            Report::Message { data, .. } => {
                let text = String::from_utf8_lossy(data);
                emit(&format!("message of the executor: {}\n", shown(&text)))?;
            }
            Report::Disconnected { .. } if !self.is_over() => {
                warn("the executor has lost its connection, or is gone");
            }
            Report::Subscribed { .. } | Report::Disconnected { .. } | Report::Exited { .. } => {}
        }
        Ok(())
    }

    /// Says how it ended, and cleans up if that is wanted.
    fn conclude(&self, rm: bool) -> Outcome {
        let (code, stage) = self.outcome();
        if self.code != Some(0) {
            let how = match self.code {
                Some(code) => format!("exited with {code}"),
                None => "was killed".to_owned(),
            };
            warn(&format!("the executor {how}; {}", self.last_words()));
        }
        let root = self.added.directory.path().join("checkpoints");
        self.close_record(&root);
        let view = Record::open(&root, &self.task_id).ok().and_then(|record| record.view.ok());
        match view.filter(|view| view.header.is_some() && !rm) {
            Some(view) => {
                let summary = Summary {
                    task_id: &self.task_id,
                    stage,
                    view: &view,
                    root: &root,
                    name_root: !roots::is_searched_anyway(&root),
                    was_over: false,
                    removed: false,
                };
                emit(&format!("\n{}", summary.text()))?;
            }
            None => emit(&format!("\nTask {}: {}\n", shown(&self.task_id), stage.name()))?,
        }
        if rm {
            self.added
                .directory
                .remove()
                .map_err(|error| Failure::system("remove what was made", error))?;
            emit("sandbox, logs and checkpoints were removed\n")?;
        }
        Ok(code)
    }

    /// Nothing of the task lives any more: a record that was cut short must not say so.
    fn close_record(&self, root: &Path) {
        let view = Record::open(root, &self.task_id).ok().and_then(|record| record.view.ok());
        let stage = view.and_then(|view| view.stage());
        if stage.is_some_and(|stage| !stage.is_terminal())
            && let Err(error) = TaskFiles::open(root, &self.task_id, LastName::MustNotBeLink)
                .map_err(KillError::from)
                .and_then(|files| kill::force(&files, Stage::Killed))
        {
            warn(&format!("cannot close the record of the task: {error}"));
        }
    }

    fn outcome(&self) -> (Code, Stage) {
        match self.last {
            Some(TaskState::TaskFinished) => (Code::Success, Stage::Success),
            Some(TaskState::TaskFailed | TaskState::TaskError) => (Code::Failed, Stage::Failed),
            Some(state) if is_terminal(state) && state != TaskState::TaskKilled => {
                (Code::Lost, Stage::Lost)
            }
            // Also what was killed with the agent, at the third ^C.
            _ => (Code::Killed, Stage::Killed),
        }
    }

    /// The end of what the executor printed.
    fn last_words(&self) -> String {
        let path = self.added.directory.path().join("stderr");
        let text = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let mut out = format!("its last words, from {}:", path.display());
        for line in lines.iter().skip(lines.len().saturating_sub(5)) {
            let _ = write!(out, "\n    {}", shown(line));
        }
        if lines.is_empty() {
            out.push_str(" none");
        }
        out
    }
}
