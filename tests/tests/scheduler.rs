//! The scheduler with a real Mesos and the real executor: jobs over Thrift, in both encodings, while
//! agents, the master and the scheduler itself are killed.
//!
//! `AURORA_TEST_KILLS` sets how often the scheduler is killed in
//! [`nothing_is_lost_whatever_dies`], `AURORA_TEST_SERVICES` how many services of five instances
//! there are (100 fit on one agent).
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use aurora_api::api::aurora_scheduler_manager as manage;
use aurora_api::api::{Response, ResponseCode, ScheduleStatus};
use serde_json::json;
use thermos_tests::masters::Real;
use thermos_tests::mesos::executor_binary;
use thermos_tests::scheduler::{
    Instance, LIMIT, Scheduler, Task, directory, kill_of, more_of, restart_of, service,
};
use thermos_tests::wait_for;
use thrift_wire::Method;

fn number(name: &str, default: usize) -> usize {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn ids(tasks: &[Task]) -> BTreeSet<String> {
    tasks.iter().map(|task| task.id.clone()).collect()
}

/// A whole cluster in one command; it comes back with its services, and leaves nothing behind.
#[test]
fn local_cluster() {
    let directory = directory();
    let work = directory.path().join("cluster");
    let flags = vec![
        "-local".to_owned(),
        format!("-work_dir={}", work.display()),
        format!("-thermos_executor_path={}", executor_binary().display()),
    ];
    let scheduler = Scheduler::with(directory.path(), flags);
    scheduler.restart();
    // For the benchmarks; not judged. The first job waits for the cluster to come up.
    for (job, instances) in [("first", 1), ("one", 1), ("ten", 10)] {
        let begun = Instant::now();
        scheduler.ok::<manage::CreateJob>(service(job, instances), true);
        wait_for("a job to run", LIMIT, || {
            let tasks = scheduler.tasks().unwrap();
            let running = |task: &&Task| task.status == ScheduleStatus::RUNNING;
            let mine = tasks.iter().filter(|task| task.instance.0 == job).filter(running);
            (mine.count() == instances as usize).then_some(())
        });
        println!(
            "-local: {instances} instances run {:?} after createJob was sent",
            begun.elapsed()
        );
        scheduler.ok::<manage::KillTasks>(kill_of(job, &[]), true);
        scheduler.wait_idle();
    }
    scheduler.ok::<manage::CreateJob>(service("a", 3), false);
    scheduler.wait_count(ScheduleStatus::RUNNING, 3);
    scheduler.ok::<manage::KillTasks>(kill_of("a", &[0]), true);
    scheduler.wait_count(ScheduleStatus::RUNNING, 2);
    scheduler.stop();
    wait_until_nothing_is_in(&work);

    // Its master remembers nothing, but the scheduler does.
    scheduler.restart();
    scheduler.wait_count(ScheduleStatus::RUNNING, 2);
    scheduler.stop();
    wait_until_nothing_is_in(&work);
}

/// Waits until no process has its directory or its program below a path.
fn wait_until_nothing_is_in(path: &Path) {
    wait_for("everything to end", LIMIT, || {
        let inside = |link: PathBuf| fs::read_link(link).is_ok_and(|place| place.starts_with(path));
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let mut left = processes.filter(|it| inside(it.join("cwd")) || inside(it.join("exe")));
        left.next().is_none().then_some(())
    });
}

/// Agents are given up after two seconds of silence.
const MASTER: [(&str, &str); 2] =
    [("AGENT_PING_TIMEOUT", "1secs"), ("MAX_AGENT_PING_TIMEOUTS", "2")];

#[test]
fn jobs_on_a_real_mesos() {
    let mesos = Real::start(&MASTER);
    let directory = directory();
    let scheduler = Scheduler::start(directory.path(), &mesos.address().to_string(), &[]);

    scheduler.ok::<manage::CreateJob>(service("binary", 2), true);
    scheduler.ok::<manage::CreateJob>(service("json", 3), false);
    scheduler.wait_count(ScheduleStatus::RUNNING, 5);

    // Killed for good.
    scheduler.ok::<manage::KillTasks>(kill_of("json", &[1]), false);
    scheduler.wait_count(ScheduleStatus::KILLED, 1);
    assert_eq!(scheduler.count(ScheduleStatus::RUNNING), 4);

    // Started anew.
    scheduler.ok::<manage::RestartShards>(restart_of("binary", &[0, 1]), true);
    scheduler.wait_count(ScheduleStatus::KILLED, 3);
    scheduler.wait_count(ScheduleStatus::RUNNING, 4);

    // More of the same.
    scheduler.ok::<manage::AddInstances>(more_of("binary", 0, 2), true);
    scheduler.wait_count(ScheduleStatus::RUNNING, 6);

    // The scheduler dies; what runs runs on, and it knows.
    let before = ids(&scheduler.tasks().unwrap());
    scheduler.kill();
    scheduler.restart();
    scheduler.wait_count(ScheduleStatus::RUNNING, 6);
    assert_eq!(ids(&scheduler.tasks().unwrap()), before);

    for job in ["binary", "json"] {
        scheduler.ok::<manage::KillTasks>(kill_of(job, &[]), true);
    }
    scheduler.wait_idle();
}

/// How often something has happened to a master, as it counts itself; 0 if it does not say.
fn counted(mesos: &Real, what: &str) -> u64 {
    let answer = || -> io::Result<String> {
        let mut stream = TcpStream::connect(mesos.address())?;
        stream.set_read_timeout(Some(LIMIT))?;
        write!(
            stream,
            "GET /metrics/snapshot HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            mesos.address()
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = answer().unwrap_or_default();
    let value = text.split_once(&format!("{what}\":")).map_or("", |(_, rest)| rest);
    let value = value.split([',', '}']).next().unwrap_or_default();
    value.parse::<f64>().map_or(0, |value| value as u64)
}

/// What a master says of the tasks of a lost agent it says once. A scheduler that was away then
/// asks as soon as it is back, and not only at the next regular reconciliation.
#[test]
fn an_agent_is_lost_while_nobody_listens() {
    let mut mesos = Real::with_agents(2, &MASTER);
    let directory = directory();
    let flags = ["-reconciliation_initial_delay=1hrs"];
    let scheduler = Scheduler::start(directory.path(), &mesos.address().to_string(), &flags);
    scheduler.ok::<manage::CreateJob>(service("a", 4), true);
    scheduler.wait_count(ScheduleStatus::RUNNING, 4);
    let before = scheduler.tasks().unwrap();
    let host = before[0].host.clone().unwrap();
    let there: Vec<_> = before.iter().filter(|task| task.host.as_ref() == Some(&host)).collect();

    scheduler.kill();
    mesos.kill_agent(if host == "127.0.0.1" { 0 } else { 1 });
    wait_for("the master to give the agent up", LIMIT, || {
        (counted(&mesos, "slave_unreachable_completed") == 1).then_some(())
    });
    scheduler.restart();
    scheduler.wait_count(ScheduleStatus::LOST, there.len());
    scheduler.wait_count(ScheduleStatus::RUNNING, 4);
    let after = scheduler.tasks().unwrap();
    let running = after.iter().filter(|task| task.status == ScheduleStatus::RUNNING);
    assert!(running.into_iter().all(|task| task.host.as_ref() != Some(&host)), "{after:?}");
}

// ------------------------------------------------------------------------------------ Everything dies

/// Services come and go on two agents while the scheduler is killed at random moments, an agent is
/// lost and comes back with what it had, and the master is started again. Throughout, at most one
/// task counts for each instance, what was confirmed is there, and what was killed does not come
/// back; in the end exactly what was asked for runs, once, and can be killed.
#[test]
fn nothing_is_lost_whatever_dies() {
    let kills = number("AURORA_TEST_KILLS", 20);
    let services = number("AURORA_TEST_SERVICES", 5);
    // Hundreds of executors that start at once keep agents from answering.
    let patient = [("AGENT_PING_TIMEOUT", "5secs"), ("MAX_AGENT_PING_TIMEOUTS", "4")];
    let mut mesos = Real::with_agents(2, if services > 20 { &patient } else { &MASTER });
    let directory = directory();
    let flags = ["-transient_task_state_timeout=10mins"];
    let scheduler = Scheduler::start(directory.path(), &mesos.address().to_string(), &flags);
    let (killed, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (called, calls) = mpsc::channel();
    thread::scope(|scope| {
        let (scheduler, killed, over) = (&scheduler, &killed, &over);
        scope.spawn(move || {
            let mut dice = Dice(0x9e37_79b9);
            while killed.load(Ordering::Relaxed) < kills && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(dice.roll(2000)));
                if dice.roll(2) == 0 {
                    // In the middle of a call, if there is one soon.
                    while calls.try_recv().is_ok() {}
                    let _ = calls.recv_timeout(Duration::from_secs(1));
                    thread::sleep(Duration::from_micros(dice.roll(2500)));
                }
                scheduler.kill();
                thread::sleep(Duration::from_millis(dice.roll(100)));
                scheduler.restart();
                killed.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Also if this thread fails.
        let _over = Over(over);
        let mut owner = Owner::new(scheduler, called);
        let mut dice = Dice(0x1234_5678);

        for number in 0..services {
            owner.create(number.is_multiple_of(2));
        }
        owner.say("all confirmed");
        owner.wait("all run", |owner, tasks| owner.all_run(tasks));
        for _ in 0..3 * services {
            owner.do_something(&mut dice);
        }

        mesos.kill_agent(1);
        owner.say("an agent dies");
        let gone = Some("127.0.0.2");
        let there = |task: &&Task| task.is_active() && task.host.as_deref() == gone;
        owner.wait("its tasks are lost", |_, tasks| !tasks.iter().any(|task| there(&task)));
        owner.wait("the lost tasks run elsewhere", |owner, tasks| {
            owner.all_run(tasks) && !tasks.iter().any(|task| there(&task))
        });
        let lost = |task: &Task| task.status == ScheduleStatus::LOST;
        assert!(owner.check().iter().any(lost), "no task was lost");
        assert!(owner.strays(&mesos) > 0, "what the agent had ran on");
        mesos.start_agent(1);
        wait_for("copies to be killed", LIMIT, || (owner.strays(&mesos) == 0).then_some(()));
        owner.say("copies are killed");

        for _ in 0..3 * services {
            owner.do_something(&mut dice);
        }
        mesos.kill_master();
        owner.create(true);
        mesos.start_master();
        owner.wait("all run under the new master", |owner, tasks| owner.all_run(tasks));

        while killed.load(Ordering::Relaxed) < kills {
            owner.do_something(&mut dice);
        }
        owner.wait("what is wanted runs, nothing else counts", |owner, tasks| {
            let active = tasks.iter().filter(|task| task.is_active());
            owner.all_run(tasks) && active.count() == owner.wanted.len()
        });
        wait_for("what runs to be what is wanted", LIMIT, || {
            let tasks = owner.check();
            let running = tasks.iter().filter(|task| task.status == ScheduleStatus::RUNNING);
            let running: BTreeSet<_> = running.map(|task| format!("thermos-{}", task.id)).collect();
            (owner.all_run(&tasks) && mesos.executors() == running).then_some(())
        });
        owner.say("exactly that runs");

        for job in owner.jobs() {
            owner.kill(&job, &[]);
        }
        owner.wait("all kills to end", |_, tasks| !tasks.iter().any(Task::is_active));
        wait_for("all executors to end", LIMIT, || mesos.executors().is_empty().then_some(()));
        println!(
            "{} calls confirmed, {} attempts had no answer; {} kills; tasks: {:#?}",
            owner.confirmed,
            owner.repeated,
            killed.load(Ordering::Relaxed),
            owner.ends()
        );
    });
}

/// Says that it is over, however it ended.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Numbers by chance, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Instances that a job has at the beginning.
const INSTANCES: i32 = 5;

/// Somebody with jobs, who remembers what was confirmed, and finds out what became of calls that
/// were not answered: the process that got them is dead by then, so what can be read is final.
struct Owner<'a> {
    scheduler: &'a Scheduler,
    /// Told of each call that is made.
    called: Sender<()>,
    begun: Instant,
    wanted: BTreeSet<Instance>,
    killed: BTreeSet<Instance>,
    next_job: usize,
    confirmed: usize,
    repeated: usize,
}

impl<'a> Owner<'a> {
    fn new(scheduler: &'a Scheduler, called: Sender<()>) -> Owner<'a> {
        Owner {
            scheduler,
            called,
            begun: Instant::now(),
            wanted: BTreeSet::new(),
            killed: BTreeSet::new(),
            next_job: 0,
            confirmed: 0,
            repeated: 0,
        }
    }

    fn say(&self, what: &str) {
        println!(
            "{:6.1} s  {what}: {} instances",
            self.begun.elapsed().as_secs_f64(),
            self.wanted.len()
        );
    }

    /// Makes a call until it is answered. `None`: it was done, says `done`, though not answered.
    fn call<M: Method<Output = Response>>(
        &mut self,
        args: M::Args,
        in_binary: bool,
        done: impl Fn(&[Task]) -> bool,
    ) -> Option<Response>
    where
        M::Args: Clone,
    {
        let begun = Instant::now();
        self.confirmed += 1;
        loop {
            // Nobody listens when all kills are done.
            let _ = self.called.send(());
            match self.scheduler.try_call::<M>(args.clone(), in_binary) {
                Ok(response) => return Some(response),
                Err(error) => assert!(begun.elapsed() < LIMIT, "no answer: {error}"),
            }
            self.repeated += 1;
            if done(&self.tasks()) {
                return None;
            }
        }
    }

    fn ok(response: Option<Response>) {
        if let Some(response) = response {
            let code = response.response_code;
            assert_eq!(code, Some(ResponseCode::OK), "{:?}", response.details);
        }
    }

    /// All tasks, as soon as somebody answers.
    fn tasks(&self) -> Vec<Task> {
        let answer = || -> io::Result<_> { self.scheduler.tasks() };
        wait_for("an answer", LIMIT, || answer().ok())
    }

    /// Looks whether all is as it was confirmed.
    fn check(&self) -> Vec<Task> {
        let tasks = self.tasks();
        let active = tasks.iter().filter(|task| task.is_active());
        let active: BTreeMap<_, _> = active.map(|task| (&task.instance, task.status)).collect();
        for instance in &self.wanted {
            let state = active.get(instance);
            let there = state.is_some_and(|state| *state != ScheduleStatus::KILLING);
            assert!(there, "{instance:?} was confirmed and is {state:?}");
        }
        for instance in &self.killed {
            let state = active.get(instance);
            let gone = state.is_none_or(|state| *state == ScheduleStatus::KILLING);
            assert!(gone, "{instance:?} was killed and is {state:?}");
        }
        tasks
    }

    fn all_run(&self, tasks: &[Task]) -> bool {
        let running = tasks.iter().filter(|task| task.status == ScheduleStatus::RUNNING);
        let running: BTreeSet<_> = running.map(|task| &task.instance).collect();
        self.wanted.iter().all(|instance| running.contains(instance))
    }

    /// Tasks of instances that do not run, some of them.
    fn wanting(&self) -> String {
        let tasks = self.tasks();
        let active = tasks.iter().filter(|task| task.is_active());
        let waiting = active.filter(|task| task.status != ScheduleStatus::RUNNING);
        let some: Vec<_> = waiting.take(20).collect();
        format!("{:?} {some:#?}", self.scheduler.statuses())
    }

    /// How tasks ended, and how often each way.
    fn ends(&self) -> BTreeMap<String, usize> {
        let mut ends = BTreeMap::new();
        for task in self.tasks() {
            let why = task.message.as_deref().unwrap_or("nothing was said");
            *ends.entry(format!("{} {why}", task.status)).or_default() += 1;
        }
        ends
    }

    /// Looks again and again, until something holds.
    fn wait(&self, what: &str, holds: impl Fn(&Owner, &[Task]) -> bool) {
        let begun = Instant::now();
        while !holds(self, &self.check()) {
            let late = begun.elapsed() > 3 * LIMIT + LIMIT * (self.wanted.len() / 50) as u32;
            assert!(!late, "gave up waiting until {what}: {}", self.wanting());
            thread::sleep(Duration::from_millis(50));
        }
        self.say(what);
    }

    /// Executors that run and whose task does not count.
    fn strays(&self, mesos: &Real) -> usize {
        let executors = mesos.executors();
        let active = self.check().into_iter().filter(Task::is_active);
        let active: BTreeSet<_> = active.map(|task| format!("thermos-{}", task.id)).collect();
        executors.difference(&active).count()
    }

    fn jobs(&self) -> BTreeSet<String> {
        self.wanted.iter().map(|(job, _)| job.clone()).collect()
    }

    /// A service with a new name.
    fn create(&mut self, in_binary: bool) {
        let job = format!("job-{}", self.next_job);
        self.next_job += 1;
        let there = |tasks: &[Task]| tasks.iter().any(|task| task.instance.0 == job);
        let answer = self.call::<manage::CreateJob>(service(&job, INSTANCES), in_binary, there);
        Self::ok(answer);
        self.wanted.extend((0..INSTANCES).map(|number| (job.clone(), number)));
    }

    /// Kills instances of a job, or all.
    fn kill(&mut self, job: &str, instances: &[i32]) {
        let meant = |(name, number): &Instance| {
            name == job && (instances.is_empty() || instances.contains(number))
        };
        let (killed, wanted) = std::mem::take(&mut self.wanted).into_iter().partition(meant);
        self.wanted = wanted;
        let in_binary = self.confirmed.is_multiple_of(2);
        // Once more does not matter.
        Self::ok(self.call::<manage::KillTasks>(kill_of(job, instances), in_binary, |_| false));
        self.killed.extend::<BTreeSet<Instance>>(killed);
    }

    fn restart(&mut self, job: &str, instances: &[i32]) {
        let args = restart_of(job, instances);
        Self::ok(self.call::<manage::RestartShards>(args, true, |_| false));
    }

    fn add(&mut self, job: &str, like: i32, count: i32) {
        let of_job = |instance: &&Instance| instance.0 == job;
        let before: BTreeSet<_> = self.wanted.iter().filter(of_job).cloned().collect();
        let alive = |tasks: &[Task]| -> BTreeSet<Instance> {
            let wanted = |task: &&Task| task.is_active() && task.status != ScheduleStatus::KILLING;
            let alive = tasks.iter().filter(wanted).map(|task| task.instance.clone());
            alive.filter(|instance| instance.0 == job).collect()
        };
        let done = |tasks: &[Task]| alive(tasks).len() > before.len();
        Self::ok(self.call::<manage::AddInstances>(more_of(job, like, count), false, done));
        let after = alive(&self.tasks());
        let added: BTreeSet<_> = after.difference(&before).cloned().collect();
        assert!(after.is_superset(&before), "{before:?} {after:?}");
        assert_eq!(added.len(), usize::try_from(count).unwrap(), "{before:?} {after:?}");
        // Numbers of killed instances may be used again.
        self.killed.retain(|instance| !added.contains(instance));
        self.wanted.extend(added);
    }

    /// Something that owners do, by chance.
    fn do_something(&mut self, dice: &mut Dice) {
        let jobs: Vec<_> = self.jobs().into_iter().collect();
        let job = jobs[dice.roll(jobs.len() as u64) as usize].clone();
        let mine = self.wanted.iter().filter(|instance| instance.0 == job);
        let instances: Vec<i32> = mine.map(|instance| instance.1).collect();
        let one = instances[dice.roll(instances.len() as u64) as usize];
        match dice.roll(6) {
            0 if instances.len() > 2 => self.kill(&job, &[one]),
            1 => self.restart(&job, &[one]),
            2 if instances.len() < 7 => self.add(&job, one, 1 + dice.roll(2) as i32),
            3 if dice.roll(4) == 0 => {
                self.kill(&job, &[]);
                self.create(dice.roll(2) == 0);
            }
            _ => thread::sleep(Duration::from_millis(dice.roll(200))),
        }
        self.check();
    }
}

// ---------------------------------------------------------------------- What only flags ask for

/// A script that leaves a mark in its sandbox and becomes the executor.
fn marking_wrapper(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    let text = format!("#!/bin/sh\necho \"$@\" >mark\nexec {}\n", executor_binary().display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// `-custom_executor_config`: a job that names an executor of the file runs under that.
#[test]
fn a_custom_executor() {
    let mesos = Real::start(&[]);
    let directory = directory();
    let program = marking_wrapper(directory.path(), "mine.sh");
    let file = directory.path().join("executors.json");
    let executors = json!([{
        "executor": {
            "name": "mine",
            "command": {
                "value": "mine.sh",
                "shell": "false",
                "arguments": ["mine.sh", "one argument", "-two"],
                "uris": [{"value": program, "executable": true, "extract": false, "cache": false}],
            },
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.25}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 48}},
            ],
        },
        "task_prefix": "mine-",
    }]);
    fs::write(&file, executors.to_string()).unwrap();
    let flag = format!("-custom_executor_config={}", file.display());
    let masters = mesos.address().to_string();
    let scheduler = Scheduler::start(directory.path(), &masters, &[&flag]);

    let named = |job: &str, executor: &str| {
        let mut args = service(job, 1);
        let task = args.description.as_mut().unwrap().task_config.as_mut().unwrap();
        task.executor_config.as_mut().unwrap().name = Some(executor.to_owned());
        args
    };
    let answer = scheduler.call::<manage::CreateJob>(named("other", "yours"), true);
    assert_eq!(answer.response_code, Some(ResponseCode::INVALID_REQUEST), "{answer:?}");
    scheduler.ok::<manage::CreateJob>(named("mine", "mine"), true);
    scheduler.ok::<manage::CreateJob>(service("usual", 1), true);
    scheduler.wait_count(ScheduleStatus::RUNNING, 2);
    let tasks = scheduler.tasks().unwrap();
    let id = |job: &str| &tasks.iter().find(|task| task.instance.0 == job).unwrap().id;
    let expected = [format!("mine-{}", id("mine")), format!("thermos-{}", id("usual"))];
    assert_eq!(mesos.executors(), expected.clone().into());
    let mark = mesos.file(&expected[0], "mark").unwrap();
    assert_eq!(fs::read_to_string(mark).unwrap(), "one argument -two\n");
    assert_eq!(mesos.file(&expected[1], "mark"), None);

    for job in ["mine", "usual"] {
        scheduler.ok::<manage::KillTasks>(kill_of(job, &[]), true);
    }
    scheduler.wait_idle();
}

/// `-framework_authentication_file` with a master that wants credentials: right ones, wrong ones,
/// none, and a file that has none.
#[test]
fn credentials() {
    let directory = directory();
    let known = directory.path().join("credentials.json");
    let all = json!({"credentials": [{"principal": "aurora", "secret": "s3cret"}]});
    fs::write(&known, all.to_string()).unwrap();
    let known = known.display().to_string();
    let mesos = Real::start(&[
        ("AUTHENTICATE_HTTP_FRAMEWORKS", "true"),
        ("HTTP_FRAMEWORK_AUTHENTICATORS", "basic"),
        ("CREDENTIALS", &known),
    ]);
    let masters = mesos.address().to_string();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        format!("-framework_authentication_file={}", path.display())
    };
    let text = |secret: &str| {
        format!(
            "# For Mesos\naurora_authentication_principal = aurora\n\
             aurora_authentication_secret = {secret}\n"
        )
    };
    let right = file("right", &text("s3cret"));
    let wrong = file("wrong", &text("guess"));
    let empty = file("empty", "aurora_authentication_principal=aurora\n");

    for (name, flags, said) in [
        ("wrong", &[&*wrong][..], "-framework_authentication_file"),
        ("none", &[], "-framework_authentication_file"),
        ("empty", &[&*empty], "-framework_authentication_file: "),
    ] {
        let place = directory.path().join(name.to_owned() + ".d");
        fs::create_dir(&place).unwrap();
        let scheduler = Scheduler::new(&place, &masters, flags);
        let (code, log) = scheduler.run_to_end();
        assert_eq!(code, Some(1), "{name}: {log}");
        assert!(log.lines().last().unwrap_or_default().contains(said), "{name}: {log}");
        assert!(!log.contains("guess"), "a secret is in the log: {log}");
    }

    let flags = [&*right, "-framework_announce_principal=true"];
    let scheduler = Scheduler::start(directory.path(), &masters, &flags);
    scheduler.ok::<manage::CreateJob>(service("a", 2), true);
    scheduler.wait_count(ScheduleStatus::RUNNING, 2);
    scheduler.ok::<manage::KillTasks>(kill_of("a", &[]), true);
    scheduler.wait_idle();
    assert!(!scheduler.log().contains("s3cret"), "a secret is in the log");
}
