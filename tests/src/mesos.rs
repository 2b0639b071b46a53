//! A real Mesos master and agent on this machine, and a small scheduler that launches executors.
//!
//! [`Cluster`] is the two daemons in a directory of their own, [`Scheduler`] a framework: it speaks
//! the v1 scheduler API as JSON over plain HTTP, keeps what it is told and acknowledges updates.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, process};

use aurora_api::api::{
    AssignedTask, Container, ExecutorConfig, Identity, JobKey, MesosContainer, TaskConfig,
};
use serde_json::{Value, json};

use crate::{Process, World, need_root, wait_for, workspace};

/// How long daemons may take to start, agents to register, offers to come.
const SOON: Duration = Duration::from_secs(20);

/// The executor under test: `thermos_executor` in the directory that `THERMOS_BIN` names, or else
/// beside this test's own profile, in `release` or `debug`.
pub fn executor_binary() -> PathBuf {
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let places = match env::var_os("THERMOS_BIN") {
        Some(dir) => vec![PathBuf::from(dir)],
        None => vec![target.join("release"), target.join("debug")],
    };
    let files = places.iter().map(|dir| dir.join("thermos_executor"));
    files.into_iter().find(|file| file.is_file()).unwrap_or_else(|| {
        panic!(
            "there is no thermos_executor in {places:?}: run tests/run, or build it with \
             `cargo build --release -p thermos-executor`, or name its directory in THERMOS_BIN"
        )
    })
}

/// Where `tests/run` has set up Mesos.
fn mesos() -> PathBuf {
    let dir = workspace().join("target/mesos");
    let complete = ["bin/node", "bin/mesos-containerizer", "bin/mesos-fetcher", "lib/libmesos.so"];
    assert!(
        complete.iter().all(|file| dir.join(file).is_file()),
        "Mesos is not set up in {}: run tests/run",
        dir.display()
    );
    dir
}

/// A free port of the loopback address, outside of the range that outgoing connections get theirs
/// from: a daemon must get the same one again when it is restarted.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(process::id() % 50).unwrap() * 200;
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A daemon, killed when dropped.
#[derive(Debug)]
struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A master and an agent. Dropping it kills both and everything that the agent has started. Use it
/// on the thread that made it: the daemons end with that.
#[derive(Debug)]
pub struct Cluster {
    master: Option<Node>,
    agent: Option<Node>,
    master_address: SocketAddr,
    agent_address: SocketAddr,
    agent_flags: BTreeMap<String, String>,
    world: World,
}

impl Cluster {
    /// Both daemons, up and with each other.
    pub fn start() -> Cluster {
        Cluster::with(&[])
    }

    /// The same, with more flags for the agent, such as `("RECOVERY_TIMEOUT", "3secs")`.
    pub fn with(agent_flags: &[(&str, &str)]) -> Cluster {
        need_root();
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut cluster = Cluster {
            master: None,
            agent: None,
            master_address: address(),
            agent_address: address(),
            agent_flags: agent_flags.iter().map(own).collect(),
            world: World::new(),
        };
        cluster.start_master();
        cluster.start_agent();
        cluster
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.world.path()
    }

    fn node(&self, role: &str, words: &[String], flags: &[(&str, String)]) -> Node {
        let log = File::options().create(true).append(true).open(self.path().join(role)).unwrap();
        let work = self.path().join(format!("{role}.work"));
        // The fetcher is Python.
        let mut places = vec![workspace().join("tests/.venv/bin")];
        places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let path = env::join_paths(places).unwrap();
        let mut command = Command::new(mesos().join("bin/node"));
        command
            .arg(role)
            .args(words)
            .env_clear()
            .env("PATH", path)
            .env("NODE_DIE_WITH_PARENT", "1")
            .env("MESOS_WORK_DIR", work)
            .env("MESOS_HOSTNAME", "127.0.0.1")
            .env("MESOS_WEBUI_DIR", self.path())
            .envs(flags.iter().map(|(name, value)| (format!("MESOS_{name}"), value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        Node(command.spawn().unwrap())
    }

    fn start_master(&mut self) {
        let flags = [("ALLOCATION_INTERVAL", "50ms".to_owned())];
        self.master = Some(self.node("master", &[self.master_address.to_string()], &flags));
        self.wait_for_answer("master", self.master_address, "/api/v1/scheduler");
    }

    /// Starts the agent, again after [`Cluster::kill_agent`].
    pub fn start_agent(&mut self) {
        let words = [self.agent_address.to_string(), self.master_address.to_string()];
        let mut flags = vec![
            ("REGISTRY", "in_memory".to_owned()),
            ("LAUNCHER", "posix".to_owned()),
            ("ISOLATION", "posix/cpu,posix/mem,filesystem/posix".to_owned()),
            ("LAUNCHER_DIR", mesos().join("bin").display().to_string()),
            ("SYSTEMD_ENABLE_SUPPORT", "false".to_owned()),
            ("SWITCH_USER", "false".to_owned()),
            ("REGISTRATION_BACKOFF_FACTOR", "10ms".to_owned()),
            ("RESOURCES", "cpus:16;mem:8192;disk:8192;ports:[31000-32000]".to_owned()),
        ];
        flags.extend(self.agent_flags.iter().map(|(name, value)| (&**name, value.clone())));
        self.agent = Some(self.node("agent", &words, &flags));
        self.wait_for_answer("agent", self.agent_address, "/api/v1/executor");
    }

    /// Kills the agent with SIGKILL.
    pub fn kill_agent(&mut self) {
        self.agent = None;
    }

    /// An empty request is refused as soon as the daemon serves.
    fn wait_for_answer(&mut self, role: &str, address: SocketAddr, path: &str) {
        let begun = Instant::now();
        loop {
            if let Ok(answer) = post(address, path, &[], "")
                && matches!(answer.status, 400 | 401)
            {
                return;
            }
            let node = if role == "master" { &mut self.master } else { &mut self.agent };
            let ended = node.as_mut().unwrap().0.try_wait().unwrap();
            let log = || fs::read_to_string(self.path().join(role)).unwrap_or_default();
            assert!(ended.is_none(), "the Mesos {role} has ended: {ended:?}\n{}", log());
            assert!(begun.elapsed() < SOON, "the Mesos {role} does not answer\n{}", log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Every process that the agent has started and that lives, with everything that these started.
    pub fn processes(&self) -> Vec<Process> {
        let id = |node: &Option<Node>| node.as_ref().map(|node| node.0.id());
        let nodes = [id(&self.master), id(&self.agent)];
        let mut left = self.world.leftovers();
        left.retain(|process| !nodes.contains(&u32::try_from(process.pid).ok()));
        left
    }

    /// Waits until nothing is left of what the agent has started: no process, no mount, no open file
    /// of an executor's in any process. Fails with a listing if something is after `limit`.
    pub fn wait_until_gone(&self, limit: Duration) {
        let begun = Instant::now();
        loop {
            let processes = self.processes();
            // Files are closed and mounts go with the last process that has them.
            let held = if processes.is_empty() { self.held() } else { Vec::new() };
            if processes.is_empty() && held.is_empty() {
                return;
            }
            let late = begun.elapsed() >= limit;
            assert!(!late, "still there after {limit:?}: {processes:#?} {held:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Mounts below the cluster's directory, and open files in those of executors.
    fn held(&self) -> Vec<String> {
        let path = self.path().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts = mounts.lines().filter(|line| line.contains(&path));
        let mut held: Vec<String> = mounts.map(|line| format!("mount: {line}")).collect();
        let slaves = self.path().join("agent.work/agents/0/work/slaves");
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let fds = processes.filter_map(|entry| fs::read_dir(entry.path().join("fd")).ok());
        for fd in fds.flatten().flatten().map(|fd| fd.path()) {
            // Both the process and its file may be gone by now.
            let Ok(file) = fs::read_link(&fd) else { continue };
            if file.starts_with(&slaves) {
                held.push(format!("open: {} in {}", file.display(), fd.display()));
            }
        }
        held
    }

    /// The only executor's number. Its name is that of the executor under test, or `name`.
    pub fn executor(&self, name: &str) -> i32 {
        wait_for("the executor", SOON, || {
            let all = self.processes();
            let program = |it: &Process| {
                let first = it.command.split(' ').next().unwrap_or_default().to_owned();
                Path::new(&first).file_name().is_some_and(|file| file == name)
            };
            let mut found = all.iter().filter(|it| program(it));
            let first = found.next()?.pid;
            assert!(found.next().is_none(), "more than one {name}: {all:#?}");
            Some(first)
        })
    }

    /// The number of the runner that this executor has started.
    pub fn runner(&self, executor: i32) -> i32 {
        // Its coordinators come to the executor when it dies.
        let runner = |it: &&Process| {
            let name = fs::read_to_string(format!("/proc/{}/comm", it.pid)).unwrap_or_default();
            it.parent == executor
                && it.command.contains("--thermos-role=runner")
                && name != "thermos_coord\n"
        };
        wait_for("the runner", SOON, || self.processes().iter().find(runner).map(|it| it.pid))
    }

    /// The directory of an executor's only run: what `MESOS_DIRECTORY` names.
    pub fn directory(&self, executor_id: &str) -> PathBuf {
        let only = |dir: PathBuf| -> Option<PathBuf> {
            let mut entries = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
            entries.find(|path| path.is_dir() && !path.is_symlink())
        };
        wait_for("the executor's directory", SOON, || {
            let agent = only(self.path().join("agent.work/agents/0/work/slaves"))?;
            let frameworks = fs::read_dir(agent.join("frameworks")).ok()?.flatten();
            let runs =
                frameworks.map(|it| it.path().join("executors").join(executor_id).join("runs"));
            runs.filter_map(only).next()
        })
    }

    /// The sandbox of the task that runs in an executor with the usual id.
    pub fn sandbox(&self, task_id: &str) -> PathBuf {
        self.directory(&executor_id(task_id)).join("sandbox")
    }

    /// What is at `file` in the task's sandbox, once it is there and not empty.
    pub fn wait_file(&self, task_id: &str, file: &str) -> String {
        let path = self.sandbox(task_id).join(file);
        wait_for(&path.display().to_string(), SOON, || {
            fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'))
        })
    }

    /// What the agent has written, and with it, in this way of running it, its executors.
    pub fn agent_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path().join("agent")).unwrap()).into_owned()
    }

    /// What the executors have written, for failed tests.
    fn logs(&self) -> String {
        let mut text = String::new();
        let mut todo = vec![self.path().join("agent.work/agents/0/work/slaves")];
        while let Some(dir) = todo.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() && name != "sandbox" {
                    todo.push(entry.path());
                } else if kind.is_file() && name.contains(".log") {
                    let content = fs::read(entry.path()).unwrap_or_default();
                    let content = String::from_utf8_lossy(&content);
                    text += &format!("--- {}\n{content}\n", entry.path().display());
                }
            }
        }
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.logs());
        }
        // Before what they have started, which they would report and restart.
        self.agent = None;
        self.master = None;
    }
}

/// The executor's id for a task, as Aurora makes it.
pub fn executor_id(task_id: &str) -> String {
    format!("thermos-{task_id}")
}

// ---- HTTP ----

struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: BufReader<TcpStream>,
}

/// Sends a request and reads the head of the answer.
fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_nodelay(true)?;
    let extra: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json\r\nContent-Length: {}\r\n{extra}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes())?;
    let mut body = BufReader::new(stream);
    let mut line = String::new();
    body.read_line(&mut line)?;
    let broken = || io::Error::other("no HTTP");
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        body.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
            }
            None => return Ok(Answer { status, headers, body }),
        }
    }
}

/// The content of a body sent in chunks.
struct Chunks {
    body: BufReader<TcpStream>,
    left: u64,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut line = String::new();
        if self.left == 0 {
            self.body.read_line(&mut line)?;
            self.left = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
            if self.left == 0 {
                return Ok(0);
            }
        }
        let read = (&mut self.body).take(self.left).read(buffer)?;
        self.left -= read as u64;
        if self.left == 0 {
            self.body.read_line(&mut line)?;
        }
        Ok(read)
    }
}

/// The next record: its length in decimal, a line feed, its bytes.
fn record(stream: &mut BufReader<Chunks>) -> Option<Value> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    let mut bytes = vec![0; line.trim().parse().ok()?];
    stream.read_exact(&mut bytes).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at > group.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

// ---- tasks ----

/// A process as it is in a task's JSON: it fails for good at its first failure.
pub fn process(name: &str, cmdline: &str) -> Value {
    json!({
        "name": name, "cmdline": cmdline, "daemon": false, "ephemeral": false, "final": false,
        "max_failures": 1, "min_duration": 5,
    })
}

/// A job with these processes, such as the client makes.
pub fn job(role: &str, processes: &[Value]) -> Value {
    json!({
        "cluster": "test", "role": role, "environment": "prod", "name": "job", "instances": 1,
        "cron_collision_policy": "KILL_EXISTING", "enable_hooks": false, "max_task_failures": 1,
        "priority": 0, "production": false, "service": false, "metadata": [],
        "executor_config": {"name": "AuroraExecutor", "data": ""},
        "health_check_config": {
            "health_checker": {"http": {
                "endpoint": "/health", "expected_response": "ok", "expected_response_code": 0,
            }},
            "initial_interval_secs": 15.0, "interval_secs": 10.0, "max_consecutive_failures": 0,
            "min_consecutive_successes": 1, "timeout_secs": 1.0,
        },
        "lifecycle": {"http": {
            "graceful_shutdown_endpoint": "/quitquitquit", "graceful_shutdown_wait_secs": 5,
            "port": "health", "shutdown_endpoint": "/abortabortabort", "shutdown_wait_secs": 5,
        }},
        "task": {
            "name": "task", "processes": processes, "constraints": [], "finalization_wait": 30,
            "max_concurrency": 0, "max_failures": 1,
            "resources": {"cpu": 0.1, "ram": 33_554_432, "disk": 67_108_864, "gpu": 0},
        },
    })
}

/// What the scheduler gives an executor with a task.
pub fn assigned(task_id: &str, role: &str, job: &Value) -> AssignedTask {
    AssignedTask {
        task_id: Some(task_id.to_owned()),
        slave_host: Some("127.0.0.1".to_owned()),
        instance_id: Some(0),
        task: Some(TaskConfig {
            owner: Some(Identity { user: Some(role.to_owned()), ..Identity::default() }),
            job: Some(JobKey {
                role: Some(role.to_owned()),
                environment: Some("prod".to_owned()),
                name: Some("job".to_owned()),
                ..JobKey::default()
            }),
            executor_config: Some(ExecutorConfig {
                name: Some("AuroraExecutor".to_owned()),
                data: Some(job.to_string()),
                ..ExecutorConfig::default()
            }),
            container: Container::Mesos(MesosContainer::default()),
            ..TaskConfig::default()
        }),
        ..AssignedTask::default()
    }
}

const TASK_CPUS: f64 = 0.1;
const EXECUTOR_CPUS: f64 = 0.01;

/// One launch: a task and its executor.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The task's id.
    pub task_id: String,
    /// The executor's.
    pub executor_id: String,
    /// `TaskInfo.data`.
    pub data: Vec<u8>,
    /// Runs `value` by `sh -c`, or else as a program with `arguments`.
    pub shell: bool,
    /// The command, or the program.
    pub value: String,
    /// All arguments of a program, its name included.
    pub arguments: Vec<String>,
    /// Files to be fetched and made executable; with names, where those are not the files' own.
    pub uris: Vec<(PathBuf, Option<String>)>,
    /// `ExecutorInfo.shutdown_grace_period`.
    pub shutdown_grace: Option<Duration>,
}

impl Launch {
    /// A launch as Aurora makes it: the executor is fetched and run in a shell, without flags.
    pub fn new(task_id: &str, data: Vec<u8>) -> Launch {
        Launch {
            task_id: task_id.to_owned(),
            executor_id: executor_id(task_id),
            data,
            shell: true,
            value: "${MESOS_SANDBOX=.}/thermos_executor".to_owned(),
            arguments: Vec::new(),
            uris: vec![(executor_binary(), None)],
            shutdown_grace: None,
        }
    }

    /// A launch of these processes as this user.
    pub fn of(task_id: &str, role: &str, processes: &[Value]) -> Launch {
        Launch::of_job(task_id, role, &job(role, processes))
    }

    /// A launch of a job as this user.
    pub fn of_job(task_id: &str, role: &str, job: &Value) -> Launch {
        Launch::new(task_id, aurora_api::binary::to_vec(&assigned(task_id, role, job)))
    }

    /// With flags for the executor.
    pub fn flags(mut self, flags: &str) -> Launch {
        self.value = format!("{} {flags}", self.value);
        self
    }

    fn to_json(&self, agent_id: &str) -> Value {
        let scalar = |name: &str, value: f64| json!({"name": name, "type": "SCALAR", "scalar": {"value": value}});
        let uris: Vec<Value> = self
            .uris
            .iter()
            .map(|(path, name)| {
                let mut uri = json!({"value": path, "executable": true});
                if let Some(name) = name {
                    uri["output_file"] = json!(name);
                }
                uri
            })
            .collect();
        let mut executor = json!({
            "executor_id": {"value": self.executor_id},
            "name": "aurora.task",
            "source": "test",
            "resources": [scalar("cpus", EXECUTOR_CPUS), scalar("mem", 32.0)],
            "command": {
                "value": self.value, "shell": self.shell, "arguments": self.arguments, "uris": uris,
            },
        });
        if let Some(grace) = self.shutdown_grace {
            executor["shutdown_grace_period"] = nanoseconds(grace);
        }
        json!({
            "name": "test/prod/job",
            "task_id": {"value": self.task_id},
            "agent_id": {"value": agent_id},
            "resources": [scalar("cpus", TASK_CPUS), scalar("mem", 32.0), scalar("disk", 64.0)],
            "executor": executor,
            "data": base64(&self.data),
        })
    }
}

fn nanoseconds(duration: Duration) -> Value {
    json!({"nanoseconds": u64::try_from(duration.as_nanos()).unwrap()})
}

// ---- the scheduler ----

/// What the scheduler is told of a task.
#[derive(Clone, Debug)]
pub struct Update {
    /// When it came.
    pub at: Instant,
    /// Which task.
    pub task_id: String,
    /// Such as `TASK_RUNNING`.
    pub state: String,
    /// For people.
    pub message: String,
    /// Who says so, such as `SOURCE_EXECUTOR`.
    pub source: String,
    /// Such as `REASON_EXECUTOR_TERMINATED`, or empty.
    pub reason: String,
    uuid: String,
}

impl Update {
    fn is_terminal(&self) -> bool {
        !matches!(&*self.state, "TASK_STAGING" | "TASK_STARTING" | "TASK_RUNNING" | "TASK_KILLING")
    }
}

#[derive(Debug, Default)]
struct Told {
    offers: Vec<Value>,
    /// Those that were sent again are not here twice.
    updates: Vec<Update>,
    /// Ids of executors that have ended.
    ended: Vec<String>,
    errors: Vec<String>,
}

/// A registered framework. Dropping it closes its stream, after which the master removes it.
#[derive(Debug)]
pub struct Scheduler {
    calls: Calls,
    stream: TcpStream,
    told: Arc<(Mutex<Told>, Condvar)>,
    reader: Option<JoinHandle<()>>,
    accepted: BTreeMap<String, Instant>,
    agent_id: Option<String>,
}

#[derive(Clone, Debug)]
struct Calls {
    master: SocketAddr,
    stream_id: String,
    framework_id: Value,
}

impl Calls {
    fn call(&self, kind: &str, payload: &Value) -> io::Result<()> {
        let mut call = json!({"type": kind, "framework_id": self.framework_id});
        if !payload.is_null() {
            call[kind.to_ascii_lowercase()] = payload.clone();
        }
        let headers = [("Mesos-Stream-Id", &*self.stream_id), ("Connection", "close")];
        let mut answer = post(self.master, "/api/v1/scheduler", &headers, &call.to_string())?;
        if answer.status == 202 {
            return Ok(());
        }
        let mut text = String::new();
        answer.body.read_to_string(&mut text)?;
        Err(io::Error::other(format!("{kind}: {} {text}", answer.status)))
    }
}

impl Scheduler {
    /// Registers, with checkpointing.
    pub fn register(cluster: &Cluster) -> Scheduler {
        Scheduler::register_with(cluster, true)
    }

    /// Registers, with checkpointing or without.
    pub fn register_with(cluster: &Cluster, checkpoint: bool) -> Scheduler {
        let subscribe = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": {
            "user": "root", "name": "tests", "roles": ["test"], "checkpoint": checkpoint,
            "capabilities": [{"type": "MULTI_ROLE"}],
        }}});
        let answer = wait_for("the master's welcome", SOON, || {
            post(cluster.master_address, "/api/v1/scheduler", &[], &subscribe.to_string())
                .ok()
                .filter(|answer| answer.status == 200)
        });
        let stream_id = answer.headers["mesos-stream-id"].clone();
        let stream = answer.body.get_ref().try_clone().unwrap();
        let mut records = BufReader::new(Chunks { body: answer.body, left: 0 });
        let subscribed = record(&mut records).unwrap();
        let framework_id = subscribed["subscribed"]["framework_id"].clone();
        assert!(framework_id.is_object(), "not subscribed: {subscribed}");
        let calls = Calls { master: cluster.master_address, stream_id, framework_id };
        let told = Arc::<(Mutex<Told>, Condvar)>::default();
        let reader = thread::spawn({
            let (calls, told) = (calls.clone(), told.clone());
            move || {
                while let Some(event) = record(&mut records) {
                    take_in(&calls, &told, &event);
                }
            }
        });
        let accepted = BTreeMap::new();
        Scheduler { calls, stream, told, reader: Some(reader), accepted, agent_id: None }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.0.lock().unwrap()
    }

    /// Waits until `probe` finds something in what the master told.
    fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&mut Told) -> Option<T>,
    ) -> T {
        let begun = Instant::now();
        let mut told = self.told();
        loop {
            if let Some(found) = probe(&mut told) {
                return found;
            }
            let left = limit.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let (updates, errors) = (told.updates.clone(), told.errors.clone());
                drop(told);
                panic!("no {what} in {limit:?}; updates: {updates:#?}, errors: {errors:?}");
            }
            told = self.told.1.wait_timeout(told, left).unwrap().0;
        }
    }

    fn call(&self, kind: &str, payload: &Value) {
        self.calls.call(kind, payload).unwrap();
    }

    /// Launches tasks, all at once.
    pub fn launch(&mut self, launches: &[Launch]) {
        // What is left of earlier offers comes as offers of its own.
        let needed = launches.len() as f64 * (TASK_CPUS + EXECUTOR_CPUS);
        let cpus = |offer: &Value| -> f64 {
            let resources = offer["resources"].as_array().unwrap().iter();
            let cpus = resources.filter(|it| it["name"] == "cpus");
            cpus.map(|it| it["scalar"]["value"].as_f64().unwrap()).sum()
        };
        let offers = self.wait("offer", SOON, |told| {
            let enough = told.offers.iter().map(cpus).sum::<f64>() >= needed;
            enough.then(|| std::mem::take(&mut told.offers))
        });
        let agent_id = offers[0]["agent_id"]["value"].as_str().unwrap().to_owned();
        let ids: Vec<&Value> = offers.iter().map(|offer| &offer["id"]).collect();
        let infos: Vec<Value> = launches.iter().map(|launch| launch.to_json(&agent_id)).collect();
        for launch in launches {
            self.accepted.insert(launch.task_id.clone(), Instant::now());
        }
        self.agent_id = Some(agent_id);
        self.call(
            "ACCEPT",
            &json!({
                "offer_ids": ids,
                "operations": [{"type": "LAUNCH", "launch": {"task_infos": infos}}],
                "filters": {"refuse_seconds": 0.0},
            }),
        );
    }

    /// Kills a task.
    pub fn kill(&self, task_id: &str, grace: Option<Duration>) {
        let mut kill = json!({"task_id": {"value": task_id}});
        if let Some(agent_id) = &self.agent_id {
            kill["agent_id"] = json!({"value": agent_id});
        }
        if let Some(grace) = grace {
            kill["kill_policy"] = json!({"grace_period": nanoseconds(grace)});
        }
        self.call("KILL", &kill);
    }

    /// Asks for the end of a task's executor.
    pub fn shutdown(&self, executor_id: &str) {
        let agent_id = self.agent_id.as_ref().unwrap();
        self.call(
            "SHUTDOWN",
            &json!({"executor_id": {"value": executor_id}, "agent_id": {"value": agent_id}}),
        );
    }

    /// Removes the framework.
    pub fn tear_down(&self) {
        self.call("TEARDOWN", &Value::Null);
    }

    /// Waits until the task is in the state, and gives that update.
    pub fn wait_state(&self, task_id: &str, state: &str, limit: Duration) -> Update {
        self.wait(&format!("{state} of {task_id}"), limit, |told| {
            told.updates.iter().find(|it| it.task_id == task_id && it.state == state).cloned()
        })
    }

    /// Waits for the end of the task, and gives every update of it.
    pub fn wait_task(&self, task_id: &str, limit: Duration) -> Vec<Update> {
        self.wait(&format!("end of {task_id}"), limit, |told| {
            told.updates.iter().find(|it| it.task_id == task_id && it.is_terminal()).map(|_| ())
        });
        self.updates(task_id)
    }

    /// Waits for the end of the task, and of its executor, and gives every update of the task.
    pub fn wait_end(&self, task_id: &str, limit: Duration) -> Vec<Update> {
        self.wait_task(task_id, limit);
        let executor_id = executor_id(task_id);
        self.wait(&format!("end of {executor_id}"), limit, |told| {
            told.ended.contains(&executor_id).then_some(())
        });
        self.updates(task_id)
    }

    /// The same, and fails unless the states are these; gives the last update.
    pub fn expect(&self, task_id: &str, states: &[&str], limit: Duration) -> Update {
        self.wait_end(task_id, limit);
        self.expect_task(task_id, states, limit)
    }

    /// Waits for the end of the task alone, and fails unless the states are these; gives the last
    /// update. An agent that has just come back does not always tell of the end of an executor.
    pub fn expect_task(&self, task_id: &str, states: &[&str], limit: Duration) -> Update {
        let updates = self.wait_task(task_id, limit);
        let got: Vec<&str> = updates.iter().map(|update| &*update.state).collect();
        assert_eq!(got, states, "{updates:#?}");
        self.print(task_id, &updates);
        updates.last().unwrap().clone()
    }

    /// The updates of a task.
    pub fn updates(&self, task_id: &str) -> Vec<Update> {
        let told = self.told();
        told.updates.iter().filter(|update| update.task_id == task_id).cloned().collect()
    }

    /// How long after what each update came.
    pub fn print(&self, task_id: &str, updates: &[Update]) {
        let mut before = self.accepted[task_id];
        let mut line = format!("{task_id}: accepted");
        for update in updates {
            let ms = (update.at - before).as_secs_f64() * 1000.0;
            line += &format!(" +{ms:.1} ms {}", update.state);
            before = update.at;
        }
        println!("{line}");
    }
}

/// Notes an event and acknowledges it if need be.
fn take_in(calls: &Calls, told: &(Mutex<Told>, Condvar), event: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut guard = told.0.lock().unwrap();
    let mut acknowledge = Value::Null;
    match event["type"].as_str() {
        Some("OFFERS") => {
            guard.offers.extend(event["offers"]["offers"].as_array().unwrap().iter().cloned());
        }
        Some("RESCIND") => {
            let id = &event["rescind"]["offer_id"];
            guard.offers.retain(|offer| offer["id"] != *id);
        }
        Some("UPDATE") => {
            let status = &event["update"]["status"];
            let update = Update {
                at: Instant::now(),
                task_id: text(&status["task_id"]["value"]),
                state: text(&status["state"]),
                message: text(&status["message"]),
                source: text(&status["source"]),
                reason: text(&status["reason"]),
                uuid: text(&status["uuid"]),
            };
            if !update.uuid.is_empty() {
                acknowledge = json!({
                    "agent_id": status["agent_id"], "task_id": status["task_id"],
                    "uuid": status["uuid"],
                });
            }
            let again = |it: &Update| !it.uuid.is_empty() && it.uuid == update.uuid;
            if !guard.updates.iter().any(again) {
                guard.updates.push(update);
            }
        }
        Some("FAILURE") => {
            guard.ended.push(text(&event["failure"]["executor_id"]["value"]));
        }
        Some("ERROR") => guard.errors.push(text(&event["error"]["message"])),
        _ => {}
    }
    drop(guard);
    told.1.notify_all();
    if !acknowledge.is_null() {
        // The master may be gone, or the framework: then nobody waits for it.
        let _ = calls.call("ACKNOWLEDGE", &acknowledge);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}
