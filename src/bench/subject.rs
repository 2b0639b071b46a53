//! What is measured: lives of executors with a task of one process, and the floor programs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use aurora_api::api::{AssignedTask, ExecutorConfig, JobKey, TaskConfig};
use mesos_executor::v1::TaskState;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use tempfile::TempDir;

use crate::agent::{self, Agent};
use crate::{Context, Result};

/// The task's id in every life.
const TASK_ID: &str = "bench";

/// How long an end may take before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The first argument that makes this program a floor.
pub(crate) const FLOOR: &str = "--floor";

/// Programs, directories, the agent.
pub(crate) struct Bench {
    agent: Agent,
    work: TempDir,
    /// Where the programs are; apart, as a memory file system may be mounted `noexec`.
    programs: TempDir,
    /// Bash connects to it, says a byte when it is there and ends when it is told a line.
    gate: TcpListener,
    user: String,
    lives: u32,
}

impl Bench {
    /// The programs are copies of the benchmark's own, so that nothing else on the machine shares
    /// their pages.
    pub(crate) fn new() -> Result<Bench> {
        let memory = Path::new("/dev/shm");
        let named = env::var_os("THERMOS_BENCH_DIR").map(PathBuf::from);
        let work = named.or_else(|| memory.is_dir().then(|| memory.to_owned()));
        let make = |dir: &Path| {
            let made = tempfile::Builder::new().prefix("thermos-bench-").tempdir_in(dir);
            made.with(|| format!("failed to make a directory in {}", dir.display()))
        };
        let work = make(&work.unwrap_or_else(env::temp_dir))?;
        let programs = make(&env::temp_dir())?;
        let own = env::current_exe().context("failed to find the benchmark program")?;
        for (from, name) in [(find_executor(&own)?, "executor"), (own, "floor")] {
            fs::copy(&from, programs.path().join(name))
                .with(|| format!("failed to copy {}", from.display()))?;
        }
        let gate = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen")?;
        let user = match nix::unistd::geteuid().is_root() {
            true => "root".to_owned(),
            // Nobody else can become somebody, and the executor does not try.
            false => env::var("USER").unwrap_or_default(),
        };
        Ok(Bench { agent: Agent::start()?, work, programs, gate, user, lives: 0 })
    }

    pub(crate) fn work(&self) -> &Path {
        self.work.path()
    }

    /// The executor's file.
    pub(crate) fn executor(&self) -> PathBuf {
        self.programs.path().join("executor")
    }

    /// What bash runs: it says that it is there, and ends when it is told to.
    fn script(&self) -> Result<String> {
        let port = self.gate.local_addr()?.port();
        Ok(format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo >&3; read -u 3 line"))
    }

    /// Starts an executor and waits until it has subscribed.
    pub(crate) fn start(&mut self) -> Result<Life<'_>> {
        self.agent.reset();
        self.lives += 1;
        let dir = self.work.path().join(self.lives.to_string());
        fs::create_dir(&dir).with(|| format!("failed to make {}", dir.display()))?;
        let output = File::create(dir.join("stderr")).context("failed to make an output file")?;
        let mut command = Command::new(self.executor());
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("MESOS_AGENT_ENDPOINT", self.agent.address().to_string())
            .env("MESOS_FRAMEWORK_ID", agent::FRAMEWORK)
            .env("MESOS_EXECUTOR_ID", agent::EXECUTOR)
            .env("MESOS_DIRECTORY", &dir)
            .env("MESOS_SANDBOX", &dir)
            .env("MESOS_CHECKPOINT", "1")
            .env("MESOS_RECOVERY_TIMEOUT", "15mins")
            .env("MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs")
            .env("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs")
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        let begun = Instant::now();
        let child = command.spawn().context("failed to start the executor")?;
        let mut life = Life { bench: self, child, dir, started: Duration::ZERO };
        life.started = life.said(life.bench.agent.subscribed())? - begun;
        Ok(life)
    }

    /// The floor of a start: a program that connects and sends the same bytes.
    pub(crate) fn floor_start(&self) -> Result<Duration> {
        self.agent.reset();
        let address = self.agent.address().to_string();
        let begun = Instant::now();
        let mut child = Command::new(self.programs.path().join("floor"))
            .args([FLOOR, "subscribe", &address])
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start the floor")?;
        let took = self.agent.subscribed().map(|at| at - begun);
        child.kill()?;
        child.wait()?;
        took
    }

    /// The floors of running and ending: bash alone, from its start to its first word, and from its
    /// release until it is reaped.
    pub(crate) fn floor_bash(&self) -> Result<(Duration, Duration)> {
        let begun = Instant::now();
        let mut child = Command::new("/bin/bash")
            .arg("-c")
            .arg(self.script()?)
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start bash")?;
        let mut bash = Bash::accept(&self.gate)?;
        let spoke = bash.spoke - begun;
        let released = bash.release()?;
        let status = child.wait()?;
        let ended = released.elapsed();
        if !status.success() {
            return Err(format!("bash alone ended with {status}").into());
        }
        Ok((spoke, ended))
    }

    /// A process of the floor that waits until it is killed.
    pub(crate) fn floor_idle(&self) -> Result<Child> {
        Command::new(self.programs.path().join("floor"))
            .args([FLOOR, "idle"])
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start the floor")
    }

    /// What the scheduler would send.
    fn assigned(&self) -> Result<Vec<u8>> {
        let job = serde_json::json!({
            "cluster": "bench", "role": self.user, "environment": "prod", "name": "bench",
            "task": {
                "name": "bench",
                "processes": [{"name": "p", "cmdline": self.script()?, "max_failures": 1}],
                "resources": {"cpu": 0.1, "ram": 33_554_432, "disk": 1_073_741_824},
            },
        });
        Ok(aurora_api::binary::to_vec(&AssignedTask {
            task_id: Some(TASK_ID.to_owned()),
            slave_host: Some("localhost".to_owned()),
            instance_id: Some(0),
            task: Some(TaskConfig {
                job: Some(JobKey { role: Some(self.user.clone()), ..JobKey::default() }),
                executor_config: Some(ExecutorConfig {
                    data: Some(job.to_string()),
                    ..ExecutorConfig::default()
                }),
                ..TaskConfig::default()
            }),
            ..AssignedTask::default()
        }))
    }
}

/// The bash of a task, connected to the benchmark.
struct Bash {
    connection: TcpStream,
    spoke: Instant,
}

impl Bash {
    fn accept(gate: &TcpListener) -> Result<Bash> {
        let (mut connection, _) = gate.accept().context("bash did not come")?;
        connection.set_nodelay(true)?;
        connection.read_exact(&mut [0]).context("bash said nothing")?;
        Ok(Bash { connection, spoke: Instant::now() })
    }

    /// Lets it end; returns the moment before.
    fn release(&mut self) -> Result<Instant> {
        let at = Instant::now();
        self.connection.write_all(b"\n").context("failed to release bash")?;
        Ok(at)
    }
}

/// An executor that has subscribed. Dropping it kills what is left of it.
pub(crate) struct Life<'a> {
    bench: &'a Bench,
    child: Child,
    dir: PathBuf,
    /// From its start to SUBSCRIBE.
    pub(crate) started: Duration,
}

/// A life with a task that runs.
pub(crate) struct Running<'a> {
    life: Life<'a>,
    bash: Bash,
    /// From LAUNCH to TASK_RUNNING.
    pub(crate) running: Duration,
    /// From LAUNCH to the first word of bash.
    pub(crate) spoke: Duration,
}

impl<'a> Life<'a> {
    /// Launches the task and waits until it runs.
    pub(crate) fn launch(self) -> Result<Running<'a>> {
        let data = self.bench.assigned()?;
        let launched = self.bench.agent.launch(TASK_ID, data)?;
        self.said(self.bench.agent.update(TaskState::TaskStarting))?;
        let running = self.said(self.bench.agent.update(TaskState::TaskRunning))? - launched;
        let bash = Bash::accept(&self.bench.gate)?;
        let spoke = bash.spoke - launched;
        Ok(Running { life: self, bash, running, spoke })
    }

    /// Adds to an error what the executor has printed.
    fn said<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let said = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
            format!("{error}; the executor said: {said}").into()
        })
    }
}

impl Running<'_> {
    /// Executor, runner and coordinator, in this order.
    pub(crate) fn processes(&self) -> Result<[u32; 3]> {
        let executor = self.life.child.id();
        let only = |of: u32, what: &str| match children_of(of)[..] {
            [child] => Ok(child),
            _ => Err(format!("there is not one {what}")),
        };
        let runner = only(executor, "runner")?;
        Ok([executor, runner, only(runner, "coordinator")?])
    }

    /// Lets the process end and waits for the end of the executor; says how long after the release
    /// the terminal update came.
    pub(crate) fn end(mut self) -> Result<Duration> {
        let released = self.bash.release()?;
        let agent = &self.life.bench.agent;
        let ended = self.life.said(agent.update(TaskState::TaskFinished))? - released;
        let until = Instant::now() + PATIENCE;
        loop {
            match self.life.child.try_wait()? {
                Some(status) if status.success() => return Ok(ended),
                Some(status) => {
                    return self.life.said(Err(format!("it ended with {status}").into()));
                }
                None if Instant::now() > until => return Err("it has not ended".into()),
                None => thread::sleep(Duration::from_micros(200)),
            }
        }
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        // A runner that loses its executor ends its task.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Runs as a floor.
pub(crate) fn floor(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    match arguments.next().as_deref() {
        Some("subscribe") => {
            let address = arguments.next().context("no address")?;
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(&agent::subscription())?;
            stream.read_exact(&mut [0])?;
            thread::sleep(PATIENCE);
        }
        Some("idle") => thread::sleep(Duration::from_secs(600)),
        other => return Err(format!("no floor is called {other:?}").into()),
    }
    Ok(())
}

/// The executor named by the environment, or else the one built beside this program.
fn find_executor(own: &Path) -> Result<PathBuf> {
    if let Some(named) = env::var_os("THERMOS_EXECUTOR") {
        return Ok(PathBuf::from(named));
    }
    // This program is PROFILE/deps/executor-HASH.
    let built = own.ancestors().nth(2).map(|profile| profile.join("thermos_executor"));
    built.filter(|path| path.is_file()).context(
        "there is no thermos_executor beside this program; build it with the same profile and \
         target, or name one in THERMOS_EXECUTOR",
    )
}

/// CPU time, user and system, of what was started by this program and has ended.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage failed")?;
    let time = |time: TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        Duration::from_micros(u64::try_from(micros).unwrap_or_default())
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

fn children_of(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    children
        .flat_map(|text| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// PSS of a process in KiB: shared pages count in equal parts for those who share them.
pub(crate) fn pss(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with(|| format!("failed to read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    Ok(number.with(|| format!("{path} has no Pss"))?.parse()?)
}

/// How often the threads of a process have gone to sleep, that is, have been woken.
pub(crate) fn sleeps(pid: u32) -> Result<u64> {
    let dir = format!("/proc/{pid}/task");
    let mut sum = 0;
    for task in fs::read_dir(&dir).with(|| format!("failed to read {dir}"))? {
        let text = fs::read_to_string(task?.path().join("status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.with(|| format!("{dir} has no count of switches"))?.trim().parse::<u64>()?;
    }
    Ok(sum)
}
