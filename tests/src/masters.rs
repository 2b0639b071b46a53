//! Masters and agents that a scheduler finds in its field: a real Mesos of several daemons, each of
//! which can be killed and started again, and the one of `mini-agent` in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use mini_agent::master::{AgentOptions, Cluster, Leaving, Options, Pool};

use crate::{Binaries, World, need_root, workspace};

/// How long daemons may take to start.
const SOON: Duration = Duration::from_secs(20);

/// A free port of the loopback address, outside of the range that outgoing connections get theirs
/// from, and of that of the other tests.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(process::id() % 50).unwrap() * 20;
    loop {
        let port = 10_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 1_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A process, killed when dropped.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Starts it, on the thread with which it shall end.
    pub fn start(command: &mut Command) -> Daemon {
        Daemon(command.process_group(0).stdin(Stdio::null()).spawn().unwrap())
    }

    /// Has it ended by itself?
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what they are for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real master and agents. Dropping it kills them and everything that the agents have started.
/// Use it on the thread that made it: the daemons end with that.
#[derive(Debug)]
pub struct Real {
    master: Option<Daemon>,
    address: SocketAddr,
    agents: Vec<Agent>,
    flags: BTreeMap<&'static str, String>,
    world: World,
}

#[derive(Debug)]
struct Agent {
    daemon: Option<Daemon>,
    address: SocketAddr,
}

impl Real {
    /// A master and one agent, up and with each other. `flags`: more for the master, such as
    /// `("AGENT_PING_TIMEOUT", "1secs")`.
    pub fn start(flags: &[(&'static str, &str)]) -> Real {
        Real::with_agents(1, flags)
    }

    /// The same with as many agents as this, which have a host name each.
    pub fn with_agents(count: usize, flags: &[(&'static str, &str)]) -> Real {
        need_root();
        let agent = |_| Agent { daemon: None, address: loopback() };
        let mut real = Real {
            master: None,
            address: loopback(),
            agents: (0..count).map(agent).collect(),
            flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            world: World::new(),
        };
        real.start_master();
        for number in 0..count {
            real.start_agent(number);
        }
        real
    }

    /// Where the master listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        self.world.path()
    }

    fn node(&self, role: &str, name: &str, words: &[SocketAddr], flags: &[(&str, &str)]) -> Daemon {
        let path = self.path();
        let log = File::options().create(true).append(true).open(path.join(name)).unwrap();
        // The fetcher is Python.
        let mut places = vec![workspace().join("tests/.venv/bin")];
        places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let mesos = workspace().join("target/mesos/bin");
        assert!(mesos.join("node").is_file(), "Mesos is not set up: run tests/run");
        let mut command = Command::new(mesos.join("node"));
        command
            .arg(role)
            .args(words.iter().map(SocketAddr::to_string))
            .env_clear()
            .env("PATH", env::join_paths(places).unwrap())
            .env("NODE_DIE_WITH_PARENT", "1")
            .env("MESOS_WORK_DIR", path.join(format!("{name}.work")))
            .env("MESOS_HOSTNAME", "127.0.0.1")
            .env("MESOS_WEBUI_DIR", path)
            .env("MESOS_LAUNCHER_DIR", &mesos)
            .envs(flags.iter().map(|(name, value)| (format!("MESOS_{name}"), value)))
            .current_dir("/")
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Daemon::start(&mut command)
    }

    /// Starts the master, again after [`Real::kill_master`].
    pub fn start_master(&mut self) {
        let mut flags = vec![("ALLOCATION_INTERVAL", "100ms")];
        flags.extend(self.flags.iter().map(|(name, value)| (*name, value.as_str())));
        self.master = Some(self.node("master", "master", &[self.address], &flags));
        wait_for_answer(self.address, &mut self.master, "/api/v1/scheduler");
    }

    /// Starts an agent, again after [`Real::kill_agent`].
    pub fn start_agent(&mut self, number: usize) {
        let hostname = format!("127.0.0.{}", number + 1);
        let port = 31_000 + 100 * number;
        let resources = format!("cpus:4;mem:8192;disk:8192;ports:[{port}-{}]", port + 99);
        let flags = [
            ("HOSTNAME", &*hostname),
            ("REGISTRY", "in_memory"),
            ("LAUNCHER", "posix"),
            ("ISOLATION", "posix/cpu,posix/mem,filesystem/posix"),
            ("SYSTEMD_ENABLE_SUPPORT", "false"),
            ("SWITCH_USER", "false"),
            ("REGISTRATION_BACKOFF_FACTOR", "10ms"),
            // Hundreds may be started at once, on a machine that has other things to do.
            ("EXECUTOR_REGISTRATION_TIMEOUT", "10mins"),
            ("RESOURCES", &*resources),
        ];
        let name = format!("agent-{number}");
        let address = self.agents[number].address;
        let mut daemon = Some(self.node("agent", &name, &[address, self.address], &flags));
        wait_for_answer(address, &mut daemon, "/api/v1/executor");
        self.agents[number].daemon = daemon;
    }

    /// Kills the master with SIGKILL.
    pub fn kill_master(&mut self) {
        self.master = None;
    }

    /// Kills an agent with SIGKILL. What it has started runs on.
    pub fn kill_agent(&mut self, number: usize) {
        self.agents[number].daemon = None;
    }

    /// The master dies, and another one that knows what it knew leads at another address. Agents
    /// follow: they are started again, for they do not look for masters by themselves here.
    pub fn move_master(&mut self) {
        self.kill_master();
        self.address = loopback();
        self.start_master();
        for number in 0..self.agents.len() {
            self.kill_agent(number);
            self.start_agent(number);
        }
    }

    /// Ids of executors that run, of all agents, also of those that were killed.
    pub fn executors(&self) -> BTreeSet<String> {
        let inside = |place: PathBuf| -> Option<String> {
            let place = place.strip_prefix(self.path()).ok()?;
            let mut names = place.components().map(|name| name.as_os_str().to_string_lossy());
            names.find(|name| name == "executors")?;
            names.next().map(|name| name.into_owned())
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let places = processes.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
        places.filter_map(inside).collect()
    }

    /// A file in the directory of an executor that runs, if there is one.
    pub fn file(&self, executor_id: &str, name: &str) -> Option<PathBuf> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let places = processes.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
        let mut runs = places.filter(|place| {
            place.starts_with(self.path())
                && place.ancestors().nth(2).is_some_and(|dir| dir.ends_with(executor_id))
        });
        runs.next().map(|run| run.join(name)).filter(|file| file.is_file())
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

impl Drop for Real {
    fn drop(&mut self) {
        // Before what they have started, which they would report and restart.
        self.agents.clear();
        self.master = None;
    }
}

/// An empty request is refused as soon as the daemon serves.
fn wait_for_answer(address: SocketAddr, daemon: &mut Option<Daemon>, path: &str) {
    use std::io::{Read, Write};
    let begun = Instant::now();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    loop {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(request.as_bytes())?;
            let mut head = [0; 12];
            stream.read_exact(&mut head)?;
            Ok(matches!(&head[9..], b"400" | b"401"))
        };
        if ask().unwrap_or(false) {
            return;
        }
        assert!(!daemon.as_mut().unwrap().has_ended(), "a Mesos daemon has ended");
        assert!(begun.elapsed() < SOON, "a Mesos daemon does not answer at {address}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The master of `mini-agent`, with one agent, in this process. Dropping it ends what it started.
#[derive(Debug)]
pub struct Mini {
    cluster: Cluster,
    root: PathBuf,
    _world: World,
}

impl Mini {
    /// Up, in the current tokio runtime.
    pub async fn start() -> Mini {
        need_root();
        let world = World::new();
        let root = world.path().join("mini");
        fs::create_dir(&root).unwrap();
        let options = Options {
            agents: vec![AgentOptions {
                hostname: "127.0.0.1".to_owned(),
                resources: Pool::new(4.0, 4096.0, 4096.0, Some((31_000, 31_099))),
                attributes: Vec::new(),
            }],
            allocation_interval: Duration::from_millis(100),
            ..Options::new(&root, Binaries::find().thermos)
        };
        let cluster = Cluster::start(options).await.unwrap();
        Mini { cluster, root, _world: world }
    }

    /// Where the master listens.
    pub fn address(&self) -> SocketAddr {
        self.cluster.address()
    }

    /// Where sandboxes are.
    pub fn root(&self) -> &PathBuf {
        &self.root
    }

    /// Loses the agent, with everything on it.
    pub async fn lose_agent(&self) {
        for agent in self.cluster.agents().await {
            self.cluster.remove_agent(&agent, Leaving::Unreachable);
        }
    }
}
