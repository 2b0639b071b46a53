//! What launches and status updates cost through the durable log: the real loop, core and log, under a
//! master that offers whatever is asked for.
//!
//! ```sh
//! cargo bench -p aurora-scheduler --bench durable
//! cargo bench -p aurora-scheduler --bench durable -- --quick --dir DIR
//! ```
//!
//! Agents offer room for one task, or for sixteen, and again as soon as it is used; each task that is
//! launched reports TASK_STARTING and TASK_RUNNING, one event each as Mesos sends them. Users keep a
//! few thousand tasks waiting. The log is a directory on a real disk (`--dir`; the system's folder for
//! temporary files). The floor, taken after it, is a bare loop of write and `fdatasync` of as many
//! bytes as the log wrote per `fdatasync`. Nothing here judges a time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aurora_api::api;
use aurora_scheduler::core::engine::{Effect, Event, Receipt, StatusUpdate};
use aurora_scheduler::core::name::Agent;
use aurora_scheduler::core::offers::{Offer, Supply};
use aurora_scheduler::core::resources::Kind;
use aurora_scheduler::core::settings::Settings;
use aurora_scheduler::core::status::Status;
use aurora_scheduler::core::task::Task;
use aurora_scheduler::shell::{self, Ask, Driver, Handle, Happened, Phase, Plan};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{mpsc, watch};

/// Agents that offer.
const AGENTS: usize = 500;

/// Tasks of a job, and how many of all jobs users keep waiting.
const INSTANCES: usize = 500;
const WAITING: usize = 4_000;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut parent = std::env::temp_dir();
    let mut time = Duration::from_secs(8);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--quick" => time = Duration::from_secs(1),
            "--dir" => parent = PathBuf::from(arguments.next().unwrap()),
            _ => {}
        }
    }
    println!(
        "{:<24}{:>12}{:>12}{:>12}{:>12}{:>12}{:>14}{:>12}",
        "an offer has room for",
        "launches/s",
        "updates/s",
        "CPU µs each",
        "fdatasync/s",
        "launches",
        "updates",
        "floor/s"
    );
    println!("{:<72}{:>24}{:>14}", "", "per fdatasync", "");
    for room in [1, 16] {
        measure(&parent, room, time);
    }
}

fn measure(parent: &Path, room: usize, time: Duration) {
    let dir = tempfile::Builder::new().prefix("aurora-bench-").tempdir_in(parent).unwrap();
    let counts = Arc::new(Counts::default());
    let (handle, door) = shell::door();
    let (stop, stopped) = watch::channel(false);
    let plan = Plan {
        settings: Settings { max_rounds_per_second: f64::INFINITY, ..Settings::default() },
        log: replicated_log::Options::new(dir.path().join("log")),
        snapshot_interval: Duration::from_secs(3600),
        max_registration_delay: Duration::from_secs(60),
    };
    let loop_counts = counts.clone();
    let scheduler = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let connect = |_: Option<String>| Ok(Master::new(room, loop_counts));
        runtime.unwrap().block_on(shell::run(plan, door, connect, stopped))
    });
    while handle.phase() != Phase::Active {
        std::thread::sleep(Duration::from_millis(1));
    }
    let users = Users::start(handle.clone());
    // To begin with, everything is cold.
    std::thread::sleep(time / 4);
    let before = Sample::take(&handle, &counts);
    std::thread::sleep(time);
    let after = Sample::take(&handle, &counts);
    users.stop();
    stop.send_replace(true);
    scheduler.join().unwrap().unwrap();

    let seconds = (after.at - before.at).as_secs_f64();
    let launches = (after.launches - before.launches) as f64;
    let updates = (after.updates - before.updates) as f64;
    let syncs = (after.log.syncs - before.log.syncs) as f64;
    let bytes = (after.log.segment_bytes - before.log.segment_bytes) as f64 / syncs;
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    println!(
        "{:<24}{:>12.0}{:>12.0}{:>12.1}{:>12.0}{:>12.1}{:>14.1}{:>12.0}",
        room,
        launches / seconds,
        updates / seconds,
        cpu * 1e6 / launches,
        syncs / seconds,
        launches / syncs,
        updates / syncs,
        floor(dir.path(), bytes as usize, time / 4),
    );
}

/// How often per second this disk can be told to keep so many bytes.
fn floor(dir: &Path, bytes: usize, time: Duration) -> f64 {
    let file = File::create(dir.join("floor")).unwrap();
    let data = vec![1; bytes.max(1)];
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < time {
        file.write_all_at(&data, count * data.len() as u64).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

/// What the master saw.
#[derive(Default)]
struct Counts {
    launches: AtomicU64,
    acknowledged: AtomicU64,
}

/// Everything that was counted, at one moment.
struct Sample {
    at: Instant,
    cpu: Duration,
    launches: u64,
    updates: u64,
    log: replicated_log::Metrics,
}

impl Sample {
    fn take(handle: &Handle, counts: &Counts) -> Sample {
        let log = handle.log_metrics().unwrap();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Sample {
            at: Instant::now(),
            cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32),
            launches: counts.launches.load(Ordering::Relaxed),
            updates: counts.acknowledged.load(Ordering::Relaxed),
            log,
        }
    }
}

// --------------------------------------------------------------------------------------------- Users

/// A user who creates jobs as long as few tasks wait.
struct Users {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Users {
    fn start(handle: Handle) -> Users {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                let waiting = handle.state().map_or(0, |state| state.count_in(Status::Pending));
                if waiting >= WAITING {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                number += 1;
                handle.ask(Ask::Create(Box::new(task(number)), INSTANCES)).unwrap();
            }
        });
        Users { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn task(job: usize) -> api::TaskConfig {
    api::TaskConfig {
        job: Some(api::JobKey {
            role: Some("role".into()),
            environment: Some("devel".into()),
            name: Some(format!("job-{job}")),
            ..Default::default()
        }),
        is_service: Some(true),
        resources: Some(
            [
                api::Resource::NumCpus(thrift_wire::Double(1.0)),
                api::Resource::RamMb(1024),
                api::Resource::DiskMb(1024),
                api::Resource::NamedPort("http".to_owned()),
            ]
            .into(),
        ),
        ..Default::default()
    }
}

// -------------------------------------------------------------------------------------------- Master

/// A master over agents that never fill up.
struct Master {
    room: usize,
    counts: Arc<Counts>,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    offers: u64,
}

impl Master {
    fn new(room: usize, counts: Arc<Counts>) -> Master {
        let (sender, events) = mpsc::unbounded_channel();
        let mut master = Master { room, counts, events, sender, offers: 0 };
        master.tell(Event::Registered("framework".into()));
        for number in 0..AGENTS {
            let agent = Agent::new(format!("agent-{number}"), format!("{number}"));
            master.offer(Arc::new(agent));
        }
        master
    }

    /// The loop may be gone by now.
    fn tell(&self, event: Event) {
        let _ = self.sender.send(event);
    }

    fn offer(&mut self, agent: Arc<Agent>) {
        self.offers += 1;
        let room = self.room as i64;
        self.tell(Event::Offers(vec![Offer {
            id: format!("offer-{}", self.offers).into(),
            attributes: BTreeMap::from([("host".into(), [agent.host.clone()].into())]),
            agent,
            supplies: [
                Supply::scalar(Kind::Cpu, room * 1000),
                Supply::scalar(Kind::Ram, room * 1_024_000),
                Supply::scalar(Kind::Disk, room * 1_024_000),
                Supply::ports(31_000..=32_000),
            ]
            .into(),
            unavailable: None,
        }]));
    }

    fn update(&self, task: &Task, agent: &Agent, state: i32) {
        let receipt = Receipt { agent: agent.id.clone(), uuid: Box::new([1; 16]) };
        self.tell(Event::Statuses(vec![StatusUpdate {
            task: task.id.clone(),
            state,
            message: None,
            reason: None,
            source: Some("SOURCE_EXECUTOR".to_owned()),
            receipt: Some(receipt),
        }]));
    }
}

impl Driver for Master {
    async fn next(&mut self) -> Happened {
        match self.events.recv().await {
            Some(event) => Happened::Events(vec![event]),
            None => Happened::Over("gone".to_owned()),
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { tasks, .. } => {
                self.counts.launches.fetch_add(tasks.len() as u64, Ordering::Relaxed);
                let agent = tasks.first().and_then(|task| task.agent.clone()).unwrap();
                for task in &tasks {
                    self.update(task, &agent, 0);
                    self.update(task, &agent, 1);
                }
                self.offer(agent);
            }
            Effect::Acknowledge(..) => {
                self.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Effect::Kill(_)
            | Effect::Decline { .. }
            | Effect::Reconcile(_)
            | Effect::Reply(..)
            | Effect::Changed(_) => {}
        }
    }
}
