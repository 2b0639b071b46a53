//! Benchmarks of the core against what the original's own benchmarks recorded.
//!
//! ```sh
//! cargo bench -p aurora-scheduler --bench core                # everything, some minutes
//! cargo bench -p aurora-scheduler --bench core -- --quick     # small and rough
//! cargo bench -p aurora-scheduler --bench core -- fill veto   # only what is named
//! cargo bench -p aurora-scheduler --bench core -- fill 1000   # with so many hosts
//! ```
//!
//! What a placement costs apart from the time that memory takes to answer are its instructions, which
//! valgrind counts:
//!
//! ```sh
//! export CARGO_PROFILE_BENCH_STRIP=false
//! cargo bench -p aurora-scheduler --bench core --no-run       # names the program
//! valgrind --tool=callgrind target/release/deps/core-… --bench count 1000
//! callgrind_annotate --inclusive=yes callgrind.out.* | grep place_all
//! ```
//!
//! Fixtures are those of the original: hosts of 8 CPUs, 16 GB of memory, 256 GB of disk and 1,024
//! ports with attributes `host` and `rack`, tasks of 6 CPUs, 8 GB and 128 GB, so that one fits per
//! offer; random order of offers; storage in memory. Effects and transactions are made and dropped.
//! Rates are per second of processor time, as the core is one thread that waits for nothing: so they
//! mean the same on a busy machine. Nothing here judges them: it prints figures and their ratios to
//! the original's.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufReader, BufWriter, Write};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aurora_api::api;
use aurora_scheduler::core::config::Config;
use aurora_scheduler::core::convert::Pool;
use aurora_scheduler::core::engine::{Core, Effect, Effects, Event, StatusUpdate};
use aurora_scheduler::core::jobs::Request;
use aurora_scheduler::core::name::{Agent, JobKey, TaskId};
use aurora_scheduler::core::offers::{Offer, Supply};
use aurora_scheduler::core::op::Op;
use aurora_scheduler::core::query::Query;
use aurora_scheduler::core::resources::Kind;
use aurora_scheduler::core::settings::Settings;
use aurora_scheduler::core::state::State;
use aurora_scheduler::core::status::Status;
use aurora_scheduler::core::task::{Task, TaskEvent};
use rustix::time::{ClockId, clock_gettime};

/// Hosts per rack.
const PER_RACK: usize = 2;

type Scenario = fn(&Sizes);

/// How large everything is.
struct Sizes {
    hosts: Vec<usize>,
    stored: usize,
    seconds: f64,
}

impl Sizes {
    fn full() -> Sizes {
        Sizes { hosts: vec![1_000, 10_000, 200_000], stored: 1_000_000, seconds: 2.0 }
    }

    fn quick() -> Sizes {
        Sizes { hosts: vec![1_000, 10_000], stored: 100_000, seconds: 0.2 }
    }
}

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let names: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [flag, file] = names.as_slice()
        && flag == "--recover"
    {
        return recover(file);
    }
    let quick = names.iter().any(|name| name == "--quick");
    let mut sizes = if quick { Sizes::quick() } else { Sizes::full() };
    let hosts: Vec<usize> = names.iter().filter_map(|name| name.parse().ok()).collect();
    if !hosts.is_empty() {
        sizes.hosts = hosts;
    }
    let named = |name: &&String| !name.starts_with('-') && name.parse::<usize>().is_err();
    let wanted: Vec<_> = names.iter().filter(named).collect();
    let scenarios: [(&str, Scenario); 6] = [
        ("memory", memory),
        ("fill", fill),
        ("veto", veto),
        ("insert", insert),
        ("status", status),
        ("stored", stored),
    ];
    if wanted.iter().any(|wanted| *wanted == "count") {
        return count(&sizes);
    }
    for (name, run) in scenarios {
        match wanted.as_slice() {
            [only] if *only == name => run(&sizes),
            [_] => {}
            several if several.is_empty() || several.iter().any(|wanted| *wanted == name) => {
                alone(name, &names);
            }
            _ => {}
        }
    }
}

/// Runs a scenario in a process of its own, where nothing is left of the others.
fn alone(scenario: &str, names: &[String]) {
    let sizes = names.iter().filter(|name| name.starts_with('-') || name.parse::<usize>().is_ok());
    let mut program = Command::new(env::current_exe().unwrap());
    assert!(program.args(sizes).arg(scenario).status().unwrap().success(), "{scenario} failed");
}

/// Has the allocator keep what memory it has, as the original's virtual machine does. Otherwise a
/// cluster is filled while the memory of the one before is given back and fetched anew, for which the
/// kernel takes a tenth of the time. It counts only from the beginning of a process.
const KEEP_MEMORY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "-1");

/// A moment of this process's processor time.
#[derive(Clone, Copy)]
struct Moment(Duration);

impl Moment {
    fn now() -> Moment {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Moment(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    fn elapsed(self) -> Duration {
        Moment::now().0.saturating_sub(self.0)
    }
}

// ------------------------------------------------------------------------------------------ Fixtures

fn settings() -> Settings {
    Settings {
        max_tasks_per_job: i32::MAX as usize,
        // Not only very many: the clock may stand still.
        max_rounds_per_second: f64::INFINITY,
        first_schedule_delay: 0,
        hold_offers_forever: true,
        reconcile_delay: i64::MAX / 4,
        history_per_job: usize::MAX,
        ..Settings::default()
    }
}

/// A core with a clock.
struct Bench {
    core: Core,
    now: i64,
    launches: usize,
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        Bench::of(State::default(), Pool::default(), settings)
    }

    fn of(state: State, pool: Pool, settings: Settings) -> Bench {
        let mut core = Core::new(state, pool, settings, [1; 32], 1_000);
        core.listen(false);
        Bench { core, now: 1_000, launches: 0 }
    }

    fn event(&mut self, event: Event) {
        let mut out = Effects::default();
        self.core.handle(self.now, event, &mut out);
        let launches = out.held.iter().map(|(_, effect)| match effect {
            Effect::Launch { tasks, .. } => tasks.len(),
            _ => 0,
        });
        self.launches += launches.sum::<usize>();
        black_box(out);
    }

    /// Lets the groups whose turn comes next have it.
    fn round(&mut self) {
        if let Some(at) = self.core.next_deadline() {
            self.now = self.now.max(at);
            self.event(Event::Tick);
        }
    }

    fn offer(&mut self, hosts: std::ops::Range<usize>) {
        self.event(Event::Offers(hosts.map(offer).collect()));
    }

    fn create(&mut self, whole: api::TaskConfig, instances: usize) {
        let config = self.core.pool().configs.intern(whole).unwrap();
        self.event(Event::Request(0, Request::CreateJob { config, instances }));
    }
}

fn offer(number: usize) -> Offer {
    let host = format!("host-{number}");
    let rack = format!("rack-{}", number / PER_RACK);
    Offer {
        id: format!("offer-{number}").into(),
        agent: Arc::new(Agent::new(format!("agent-{number}"), &*host)),
        attributes: [
            ("host".into(), BTreeSet::from([(*host).into()])),
            ("rack".into(), BTreeSet::from([(*rack).into()])),
        ]
        .into(),
        supplies: [
            Supply::scalar(Kind::Cpu, 8_000),
            Supply::scalar(Kind::Ram, 16 * 1024 * 1000),
            Supply::scalar(Kind::Disk, 256 * 1024 * 1000),
            Supply::ports(1..=1024),
        ]
        .into(),
        unavailable: None,
    }
}

fn task(job: &str, cpus: f64) -> api::TaskConfig {
    api::TaskConfig {
        job: Some(api::JobKey {
            role: Some("role".into()),
            environment: Some("devel".into()),
            name: Some(job.into()),
            ..Default::default()
        }),
        resources: Some(
            [
                api::Resource::NumCpus(thrift_wire::Double(cpus)),
                api::Resource::RamMb(8 * 1024),
                api::Resource::DiskMb(128 * 1024),
            ]
            .into(),
        ),
        ..Default::default()
    }
}

fn constrained(job: &str, rule: api::TaskConstraint) -> api::TaskConfig {
    let constraint =
        api::Constraint { name: Some("host".into()), constraint: Some(rule), ..Default::default() };
    api::TaskConfig { constraints: Some([constraint].into()), ..task(job, 6.0) }
}

fn heading(title: &str) {
    println!("\n{title:<46}{:>14}{:>14}{:>9}", "per second", "original", "ratio");
    println!("{}", "-".repeat(83));
}

fn row(name: &str, rate: f64, original: Option<f64>) {
    let (original, ratio) = match original {
        Some(floor) => (format!("{floor:.0}"), format!("{:.1}", rate / floor)),
        None => Default::default(),
    };
    println!("{name:<46}{rate:>14.0}{original:>14}{ratio:>9}");
}

/// How often something can be done per second.
fn rate(seconds: f64, mut step: impl FnMut()) -> f64 {
    let (start, mut count) = (Moment::now(), 0_u32);
    while start.elapsed().as_secs_f64() < seconds {
        for _ in 0..10 {
            step();
        }
        count += 10;
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

// ----------------------------------------------------------------------------------------- Scenarios

/// What memory takes to answer, in as much of it as a cluster with a task on each host has: that is
/// the floor of whatever happens on hosts that are chosen by chance.
fn memory(sizes: &Sizes) {
    println!("\n{:<46}{:>14}{:>14}", "Reads by chance, ns each", "one by one", "together");
    println!("{}", "-".repeat(74));
    for &hosts in &sizes.hosts {
        // One line of cache each, each of which names the next.
        let mut lines = vec![[0_usize; 8]; hosts * PER_HOST / 64];
        let mut chance = 1_u64;
        let mut below = |end: usize| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (chance >> 33) as usize % end
        };
        let mut order: Vec<usize> = (0..lines.len()).collect();
        for end in (1..order.len()).rev() {
            order.swap(end, below(end));
        }
        for (from, to) in order.iter().zip(order.iter().cycle().skip(1)) {
            lines[*from][0] = *to;
        }
        let reads = 2_000_000;
        let (mut at, start) = (0, Moment::now());
        for _ in 0..reads {
            at = lines[at][0];
        }
        let chained = start.elapsed();
        let start = Moment::now();
        for _ in 0..reads {
            at ^= lines[below(lines.len())][0];
        }
        let together = start.elapsed();
        black_box(at);
        let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(reads);
        let name = format!("{hosts} hosts, {} MB", hosts * PER_HOST / 1_000_000);
        println!("{name:<46}{:>14.0}{:>14.0}", each(chained), each(together));
    }
}

/// Bytes for a host with its offer and a task.
const PER_HOST: usize = 2_900;

/// FillCluster: from 1 % of the hosts to 99 %, ten new tasks at a time. Clusters are filled again and
/// again.
fn fill(sizes: &Sizes) {
    if env::var_os(KEEP_MEMORY.0).is_none() {
        let mut program = Command::new(env::current_exe().unwrap());
        program.args(env::args().skip(1)).env(KEEP_MEMORY.0, KEEP_MEMORY.1);
        assert!(program.status().unwrap().success(), "it failed");
        return;
    }
    heading("FillCluster, placements");
    for &hosts in &sizes.hosts {
        for (name, one_job) in [("a job per ten tasks", false), ("one job", true)] {
            let (mut all, mut tenth) = (Filled::default(), Filled::default());
            // As with the original's, a first one does not count.
            fill_once(hosts, one_job, &mut Filled::default(), &mut Filled::default());
            while all.time.as_secs_f64() < sizes.seconds / 2.0 {
                fill_once(hosts, one_job, &mut all, &mut tenth);
            }
            row(&format!("{hosts} hosts, {name}"), all.rate(), Some(876.0));
            row("  the last tenth", tenth.rate(), None);
        }
    }
}

/// How many placements took how long.
#[derive(Default)]
struct Filled {
    placed: usize,
    time: Duration,
}

impl Filled {
    fn add(&mut self, placed: usize, since: Moment) {
        self.placed += placed;
        self.time += since.elapsed();
    }

    fn rate(&self) -> f64 {
        self.placed as f64 / self.time.as_secs_f64()
    }
}

fn fill_once(hosts: usize, one_job: bool, all: &mut Filled, last_tenth: &mut Filled) {
    let mut bench = Bench::new(settings());
    bench.offer(0..hosts);
    let full = hosts - hosts / 100;
    if one_job {
        // All of them wait; rounds place them five at a time.
        bench.create(task("job", 6.0), full);
    }
    while bench.launches < hosts / 100 {
        place_ten(&mut bench, one_job, full);
    }
    let (start, first) = (Moment::now(), bench.launches);
    let (mut since, tenth) = (None, hosts - hosts / 10);
    while bench.launches + 10 <= full {
        place_ten(&mut bench, one_job, full);
        if since.is_none() && bench.launches >= tenth {
            since = Some((Moment::now(), bench.launches));
        }
    }
    all.add(bench.launches - first, start);
    if let Some((since, from)) = since {
        last_tenth.add(bench.launches - from, since);
    }
}

/// Fills each cluster once, as [`fill`] does with a job per ten tasks, without a look at the clock.
fn count(sizes: &Sizes) {
    for &hosts in &sizes.hosts {
        let mut bench = Bench::new(settings());
        bench.offer(0..hosts);
        place_all(&mut bench, hosts);
        println!("{} placements on {hosts} hosts", bench.launches);
    }
}

/// A function of its own, so that a profiler finds it.
#[inline(never)]
fn place_all(bench: &mut Bench, hosts: usize) {
    let full = hosts - hosts / 100;
    while bench.launches + 10 <= full {
        place_ten(bench, false, full);
    }
}

fn place_ten(bench: &mut Bench, one_job: bool, full: usize) {
    let before = bench.launches;
    if !one_job {
        bench.create(task(&format!("job-{before}"), 6.0), 10);
    }
    while bench.launches < before + 10 && bench.launches < full {
        bench.round();
    }
}

/// InsufficientResources, ValueConstraintMismatch, LimitConstraintMismatch: a task that fits nowhere
/// on 1,000 hosts, of which a quarter run tasks of its job and a quarter others.
fn veto(sizes: &Sizes) {
    heading("A task that fits nowhere, rounds");
    let denied = api::TaskConstraint::Value(api::ValueConstraint {
        values: Some(["denied".to_owned()].into()),
        ..Default::default()
    });
    let limit = |limit| {
        api::TaskConstraint::Limit(api::LimitConstraint {
            limit: Some(limit),
            ..Default::default()
        })
    };
    type Make<'a> = Box<dyn Fn(&str) -> api::TaskConfig + 'a>;
    let cases: [(&str, f64, Make); 4] = [
        ("InsufficientResources", 24_000.0, Box::new(|job| task(job, 32.0))),
        ("ValueConstraint", 23_000.0, Box::new(|job| constrained(job, denied.clone()))),
        ("LimitConstraint", 2_400.0, Box::new(|job| constrained(job, limit(0)))),
        (
            "LimitConstraint, limits that are reached",
            2_400.0,
            Box::new(|job| constrained(job, limit(1))),
        ),
    ];
    for (name, original, make) in &cases {
        let everywhere = name.ends_with("reached");
        let hosts = 1_000;
        let siblings = if everywhere { hosts } else { hosts / 4 };
        for fresh in [false, true] {
            // With limits that are reached, the job must be the one that reaches them.
            if fresh && everywhere {
                continue;
            }
            // These run already, and one waits; the hosts offer what they have besides.
            let (mut state, mut pool) = (State::default(), Pool::default());
            let mut tasks = vec![];
            for host in 0..siblings.max(hosts / 2) {
                let job = if host < siblings { "waits" } else { "victim" };
                let config = pool.configs.intern(task(job, 6.0)).unwrap();
                tasks.push(Arc::new(running(host, host, &config)));
            }
            if !fresh {
                let config = pool.configs.intern(make("waits")).unwrap();
                let mut waiting = running(hosts, 0, &config);
                (waiting.status, waiting.agent) = (Status::Pending, None);
                tasks.push(Arc::new(waiting));
            }
            state.apply(&Op::SaveTasks(tasks));
            let mut bench = Bench::of(state, pool, settings());
            bench.offer(0..hosts);
            let mut number = 0_u64;
            let rate = rate(sizes.seconds, || {
                if fresh {
                    // A task of a configuration that was never seen before, and killed after.
                    bench.create(make(&format!("job-{number}")), 1);
                    bench.round();
                    bench.kill(&format!("job-{number}"));
                    number += 1;
                } else {
                    bench.round();
                }
            });
            assert_eq!(bench.launches, 0);
            // Each of them had its round, or this measures something else.
            assert!(bench.core.ledger().stats.schedule_attempts_fired >= number);
            let kind = if fresh { "a new job each time" } else { "one group" };
            row(&format!("{name}, {kind}"), rate, (!fresh).then_some(*original));
        }
    }
}

impl Bench {
    fn kill(&mut self, job: &str) {
        let request = Request::KillTasks {
            job: JobKey::new("role", "devel", job),
            instances: BTreeSet::new(),
            user: String::new(),
            message: None,
        };
        self.event(Event::Request(0, request));
    }
}

/// InsertPendingTasks and DeleteTasks.
fn insert(sizes: &Sizes) {
    heading("Tasks inserted and deleted at once, tasks");
    for (count, inserted, deleted) in
        [(1_000, 7_300.0, 14_500.0), (10_000, 7_300.0, 12_900.0), (50_000, 6_000.0, 12_500.0)]
    {
        let (mut inserting, mut deleting, mut runs) = (Duration::ZERO, Duration::ZERO, 0);
        let mut bench = Bench::new(settings());
        let begun = Moment::now();
        while begun.elapsed().as_secs_f64() < sizes.seconds {
            let start = Moment::now();
            bench.create(task(&format!("job-{runs}"), 6.0), count);
            inserting += start.elapsed();
            let finished = bench
                .core
                .state()
                .tasks()
                .map(|task| Arc::new(Task { status: Status::Finished, ..(**task).clone() }));
            let finished = Op::SaveTasks(finished.collect());
            let mut state = State::default();
            state.apply(&finished);
            drop(finished);
            bench = Bench::of(state, Pool::default(), settings());
            let start = Moment::now();
            bench.event(Event::Request(0, Request::PruneTasks(Query::default())));
            deleting += start.elapsed();
            assert_eq!(bench.core.state().task_count(), 0);
            runs += 1;
        }
        let tasks = f64::from(runs) * count as f64;
        row(&format!("insert {count} PENDING"), tasks / inserting.as_secs_f64(), Some(inserted));
        row(&format!("delete {count} FINISHED"), tasks / deleting.as_secs_f64(), Some(deleted));
    }
}

/// StatusUpdate: a thousand tasks report RUNNING at once.
fn status(sizes: &Sizes) {
    heading("Status updates, tasks");
    let mut bench = Bench::new(settings());
    let (mut time, mut count) = (Duration::ZERO, 0);
    let mut noops = Duration::ZERO;
    let begun = Moment::now();
    while begun.elapsed().as_secs_f64() < sizes.seconds {
        bench.offer(0..1_000);
        bench.create(task(&format!("job-{count}"), 6.0), 1_000);
        while bench.core.state().count_in(Status::Pending) > 0 {
            bench.round();
        }
        let assigned = [Status::Assigned].into_iter().collect();
        let ids: Vec<_> = bench.core.state().tasks_in(assigned).map(|t| t.id.clone()).collect();
        let update = |id: &TaskId| StatusUpdate {
            task: id.clone(),
            state: 1,
            message: None,
            reason: None,
            source: None,
            receipt: None,
        };
        for time in [&mut time, &mut noops] {
            let updates = ids.iter().map(update).collect();
            let start = Moment::now();
            bench.event(Event::Statuses(updates));
            *time += start.elapsed();
        }
        count += 1_000;
    }
    row("RUNNING, in batches of 1,000", f64::from(count) / time.as_secs_f64(), None);
    row("the same again: nothing to do", f64::from(count) / noops.as_secs_f64(), None);
}

fn running(number: usize, host: usize, config: &Arc<Config>) -> Task {
    let scheduler: Arc<str> = "scheduler.example.org".into();
    let event = |at: i64, status| TaskEvent {
        at,
        status,
        message: None,
        scheduler: Some(scheduler.clone()),
    };
    Task {
        id: TaskId::new(&config.job, number as i32, (number as u128).to_be_bytes()),
        config: config.clone(),
        instance: number as i32,
        status: Status::Running,
        failures: 0,
        partitions: 0,
        ancestor: None,
        agent: Some(Arc::new(Agent::new(format!("agent-{host}"), format!("host-{host}")))),
        ports: [("http".into(), 31_000), ("health".into(), 31_001)].into(),
        events: [
            event(1, Status::Pending),
            event(2, Status::Assigned),
            event(3, Status::Starting),
            event(4, Status::Running),
        ]
        .into(),
    }
}

/// Memory that the process has in use.
fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(f64::NAN) * 4096.0
}

/// Many RUNNING tasks with four events each: memory, snapshot, recovery.
fn stored(sizes: &Sizes) {
    let count = sizes.stored;
    println!("\n{count} RUNNING tasks of {} jobs on {} hosts", count / 100, count / 20);
    println!("{}", "-".repeat(83));
    let file = env::temp_dir().join(format!("aurora-scheduler-bench-{}", std::process::id()));
    {
        let (mut state, mut pool) = (State::default(), Pool::default());
        for job in 0..count / 100 {
            let config = pool.configs.intern(task(&format!("some-service-{job}"), 6.0)).unwrap();
            let tasks = (0..100).map(|instance| {
                let number = job * 100 + instance;
                Arc::new(Task {
                    instance: instance as i32,
                    ..running(number, number / 20, &config)
                })
            });
            state.apply(&Op::SaveTasks(tasks.collect()));
        }
        let (mut slowest, mut writing) = (Duration::ZERO, Duration::ZERO);
        let (mut parts, mut bytes) = (0, 0);
        // Each part is gone before the next one is made, as in the program.
        let mut output = BufWriter::new(File::create(&file).unwrap());
        let mut encoded = state.encode_snapshot();
        loop {
            let start = Moment::now();
            let Some(part) = encoded.next() else { break };
            let time = start.elapsed();
            (slowest, writing) = (slowest.max(time), writing + time);
            (parts, bytes) = (parts + 1, bytes + part.len());
            output.write_all(&(part.len() as u32).to_be_bytes()).unwrap();
            output.write_all(&part).unwrap();
        }
        output.write_all(&[0; 4]).unwrap();
        output.flush().unwrap();
        println!(
            "snapshot encoded: {:.1} s, {:.0} MB in {parts} parts, slowest part {:.1} ms; clone {:.1} µs",
            writing.as_secs_f64(),
            bytes as f64 / 1e6,
            slowest.as_secs_f64() * 1e3,
            {
                let start = Moment::now();
                for _ in 0..1000 {
                    black_box(state.clone());
                }
                start.elapsed().as_secs_f64() * 1e3
            },
        );
    }
    // Read by another process, whose memory is not used to anything yet.
    let read = Command::new(env::current_exe().unwrap()).arg("--recover").arg(&file).status();
    fs::remove_file(&file).unwrap();
    assert!(read.unwrap().success());
}

/// The other process: recovers from a snapshot.
fn recover(file: &str) {
    let before = resident();
    let start = Moment::now();
    let mut pool = Pool::default();
    let mut input = BufReader::new(File::open(file).unwrap());
    let state = State::read_snapshot(&mut input, &mut pool).unwrap();
    let decoded = start.elapsed();
    let count = state.task_count() as f64;
    let stored = resident();
    let bench = Bench::of(state, pool, settings());
    println!(
        "recovered: {:.1} s ({:.1} s of it reading)",
        start.elapsed().as_secs_f64(),
        decoded.as_secs_f64(),
    );
    println!("memory per task: {:.0} bytes", (stored - before) / count);
    println!("  with the core's own: {:.0} bytes", (resident() - before) / count);
    assert_eq!(bench.core.state().count_in(Status::Running) as f64, count);
}
