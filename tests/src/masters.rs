//! Masters and agents that a scheduler finds in its field: a real Mesos of several daemons, each of
//! which can be killed and started again, and the one of `mini-agent` in this process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
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

/// A real master and an agent. Dropping it kills both and everything that the agent has started.
/// Use it on the thread that made it: the daemons end with that.
#[derive(Debug)]
pub struct Real {
    master: Option<Daemon>,
    agent: Option<Daemon>,
    addresses: [SocketAddr; 2],
    flags: BTreeMap<&'static str, String>,
    world: World,
}

impl Real {
    /// Both, up and with each other. `flags`: more for the master, such as
    /// `("AGENT_PING_TIMEOUT", "1secs")`.
    pub fn start(flags: &[(&'static str, &str)]) -> Real {
        need_root();
        let address = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut real = Real {
            master: None,
            agent: None,
            addresses: [address(), address()],
            flags: flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            world: World::new(),
        };
        real.start_master();
        real.start_agent();
        real
    }

    /// Where the master listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    fn node(&self, role: &str, words: &[SocketAddr], flags: &[(&str, &str)]) -> Daemon {
        let path = self.world.path();
        let log = File::options().create(true).append(true).open(path.join(role)).unwrap();
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
            .env("MESOS_WORK_DIR", path.join(format!("{role}.work")))
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
        self.master = Some(self.node("master", &self.addresses[..1], &flags));
        wait_for_answer(self.addresses[0], &mut self.master, "/api/v1/scheduler");
    }

    /// Starts the agent, again after [`Real::kill_agent`].
    pub fn start_agent(&mut self) {
        let flags = [
            ("REGISTRY", "in_memory"),
            ("LAUNCHER", "posix"),
            ("ISOLATION", "posix/cpu,posix/mem,filesystem/posix"),
            ("SYSTEMD_ENABLE_SUPPORT", "false"),
            ("SWITCH_USER", "false"),
            ("REGISTRATION_BACKOFF_FACTOR", "10ms"),
            ("RESOURCES", "cpus:4;mem:4096;disk:4096;ports:[31000-31099]"),
        ];
        let [master, agent] = self.addresses;
        self.agent = Some(self.node("agent", &[agent, master], &flags));
        wait_for_answer(agent, &mut self.agent, "/api/v1/executor");
    }

    /// Kills the master with SIGKILL.
    pub fn kill_master(&mut self) {
        self.master = None;
    }

    /// Kills the agent with SIGKILL.
    pub fn kill_agent(&mut self) {
        self.agent = None;
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // Before what they have started, which they would report and restart.
        self.agent = None;
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
