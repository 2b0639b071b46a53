//! `-local`: a whole cluster in one command, on loopback.
//!
//! Master and agents of `mini-agent` in this process, with the same driver over the same HTTP; real
//! executors in real sandboxes below the work directory. Where nothing else is said, jobs may use
//! this machine's CPUs, memory and a share of its disk.
//!
//! The master remembers nothing: when this process ends, so do its tasks. The log stays, and the
//! services in it are started again the next time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mini_agent::master::{AgentOptions, Cluster, Options, Pool};
use mini_agent::{agent, master};

use crate::flags::{FlagError, Flags, Value};

/// How many agents there are.
const AGENTS: u64 = 2;

/// How often resources are offered.
const OFFERS: Duration = Duration::from_millis(100);

/// Ports of an agent; each has as many of its own.
const PORTS: (u64, u64) = (31_000, 500);

/// Disk of each agent in MB: a number, as sandboxes are not measured.
const DISK: f64 = 16.0 * 1024.0;

/// The work directory, and the flags that a local cluster does not need to be told.
pub fn prepare(flags: &mut Flags) -> Result<PathBuf, FlagError> {
    for flag in ["mesos_master_address", "zk_endpoints", "framework_authentication_file"] {
        if flags.is_given(flag) {
            return Err(FlagError::new(flag, "does not go with -local, which has its own master"));
        }
    }
    let directory = match flags.text("work_dir") {
        Some(path) => PathBuf::from(path),
        None => {
            let user = rustix::process::getuid().as_raw();
            std::env::temp_dir().join(format!("aurora-local-{user}"))
        }
    };
    let problem = |error: io::Error| {
        FlagError::new("work_dir", format!("failed to use {}: {error}", directory.display()))
    };
    own(&directory).map_err(problem)?;
    let directory = directory.canonicalize().map_err(problem)?;
    let text = |value: String| Value::Text(value);
    flags.set_default("cluster_name", text("local".to_owned()));
    let log = directory.join("log").display().to_string();
    flags.set_default("native_log_file_path", text(log));
    if !flags.is_given("thermos_executor_path") {
        let executor = executor()?;
        flags.set_default("thermos_executor_path", text(executor.display().to_string()));
    }
    // On one machine nobody has to wait for others.
    flags.set_default("initial_schedule_penalty", Value::Time(OFFERS));
    flags.set_default("max_schedule_penalty", Value::Time(Duration::from_secs(1)));
    flags.set_default("max_reschedule_task_delay_on_startup", Value::Time(Duration::ZERO));
    // What a launch leaves of an offer can be used at once.
    flags.set_default("offer_filter_duration", Value::Time(Duration::ZERO));
    flags.set_default("reconciliation_initial_delay", Value::Time(Duration::from_secs(1)));
    flags.set_default("thermos_executor_cpu", Value::Number(0.01));
    flags.set_default("thermos_executor_ram", Value::Data(32 << 20));
    if !rustix::process::geteuid().is_root() {
        // Nobody else can become somebody.
        flags.set_default("thermos_executor_flags", text("--nosetuid".to_owned()));
    }
    Ok(directory)
}

/// Makes a directory that nobody else can change, or sees to it that it is one.
fn own(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    match std::fs::DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = std::fs::symlink_metadata(directory)?;
    let mine = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !mine || found.mode() & 0o022 != 0 {
        let problem = "it is no directory that belongs to this user and that nobody else can write";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    Ok(())
}

/// The executor beside this program.
fn executor() -> Result<PathBuf, FlagError> {
    let program = std::env::current_exe().ok();
    let beside = program.and_then(|program| Some(program.parent()?.join("thermos_executor")));
    beside.filter(|path| path.is_file()).ok_or_else(|| {
        let problem = "a value must be supplied: there is no thermos_executor beside this program";
        FlagError::new("thermos_executor_path", problem)
    })
}

/// Starts master and agents, in the current tokio runtime.
pub async fn start(directory: &Path) -> io::Result<Cluster> {
    let root = directory.join("agents");
    own(&root)?;
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get()) as f64;
    // More than there are: most services wait most of the time.
    let cpus = (4.0 * cpus).max(8.0) / AGENTS as f64;
    let memory = (memory_mb() / AGENTS) as f64;
    let options = Options {
        agents: (0..AGENTS).map(|number| agent(number, cpus, memory)).collect(),
        allocation_interval: OFFERS,
        ..Options::new(root, agent::this_program())
    };
    master::Cluster::start(options).await
}

fn agent(number: u64, cpus: f64, memory: f64) -> AgentOptions {
    let (first, count) = PORTS;
    let first = first + number * count;
    let hostname = format!("local-{number}");
    let attribute = |name: &str, value: &str| mesos_scheduler::v1::Attribute {
        name: name.to_owned(),
        r#type: mesos_scheduler::v1::value::Type::Text.into(),
        text: Some(mesos_scheduler::v1::value::Text { value: value.to_owned() }),
        ..Default::default()
    };
    AgentOptions {
        resources: Pool::new(cpus, memory, DISK, Some((first, first + count - 1))),
        attributes: vec![attribute("host", &hostname), attribute("rack", &hostname)],
        hostname,
    }
}

/// Memory of this machine in MB; a gigabyte where the system does not say.
fn memory_mb() -> u64 {
    let info = rustix::system::sysinfo();
    let bytes = info.totalram.saturating_mul(info.mem_unit.into());
    (bytes >> 20).max(1024)
}

/// What there is to look at, for people.
pub fn welcome(url: &str, master: &str, directory: &Path) -> String {
    format!(
        "A cluster of {AGENTS} agents on this machine:\n\n    \
         API and pages   {url}\n    \
         Mesos master    http://{master}/\n    \
         sandboxes       {}\n    \
         log             {}\n\n\
         clusters.json of clients: [{{\"name\": \"local\", \"scheduler_uri\": \"{url}\"}}]\n\
         Everything ends with this process (Ctrl-C).\n",
        directory.join("agents").display(),
        directory.join("log").display()
    )
}
