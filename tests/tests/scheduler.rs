//! The scheduler with a real Mesos and the real executor: jobs over Thrift, in both encodings, while
//! agents, the master and the scheduler itself are killed.
//!
//! `AURORA_TEST_KILLS` sets how often the scheduler is killed, `AURORA_TEST_JOBS` how many services
//! there are meanwhile, `AURORA_TEST_SERVICES` how many there are at once (100 fit on the agent).
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use aurora_api::api::aurora_scheduler_manager as manage;
use aurora_api::api::read_only_scheduler as read;
use aurora_api::api::{self, Response, ResponseCode, Result as Arm, ScheduleStatus};
use aurora_api::{binary, tjson};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thermos_tests::masters::{self, Real};
use thermos_tests::mesos::{executor_binary, job as executor_job, process};
use thermos_tests::wait_for;
use thrift_wire::{Double, Method, read_reply, write_call};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The account that tasks run as.
const ROLE: &str = "nobody";

/// The scheduler under test: beside this test's own profile, in `release` or `debug`, or in the
/// directory that `THERMOS_BIN` names.
fn scheduler_binary() -> PathBuf {
    let test = env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let named = env::var_os("THERMOS_BIN").map(PathBuf::from);
    let places = named.into_iter().chain([target.join("release"), target.join("debug")]);
    let files = places.map(|dir| dir.join("aurora-scheduler"));
    files.into_iter().find(|file| file.is_file()).unwrap_or_else(|| {
        panic!("there is no aurora-scheduler: build it with `cargo build -p aurora-scheduler`")
    })
}

/// A scheduler in a directory, which can be killed and started again.
struct Scheduler {
    child: Option<Child>,
    directory: PathBuf,
    address: SocketAddr,
    flags: Vec<String>,
}

impl Scheduler {
    fn start(directory: &Path, master: SocketAddr, flags: &[&str]) -> Scheduler {
        let address = SocketAddr::from(([127, 0, 0, 1], masters::free_port()));
        // Fetched instead of the executor: that is large, and the same for all tasks.
        let wrapper = directory.join("executor.sh");
        let text = format!("#!/bin/sh\nexec {} \"$@\"\n", executor_binary().display());
        fs::write(&wrapper, text).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let mut line = vec![
            "-cluster_name=test".to_owned(),
            format!("-mesos_master_address={master}"),
            format!("-native_log_file_path={}", directory.join("log").display()),
            format!("-thermos_executor_path={}", wrapper.display()),
            format!("-http_port={}", address.port()),
            "-thermos_executor_cpu=0.003".to_owned(),
            "-thermos_executor_ram=4MB".to_owned(),
            "-max_schedule_attempts_per_sec=1000".to_owned(),
            "-max_schedule_penalty=2secs".to_owned(),
            "-max_reschedule_task_delay_on_startup=100ms".to_owned(),
            "-initial_task_kill_retry_interval=1secs".to_owned(),
            "-transient_task_state_timeout=30secs".to_owned(),
            "-reconciliation_initial_delay=1secs".to_owned(),
            "-reconciliation_schedule_spread=1secs".to_owned(),
            "-reconciliation_explicit_interval=3secs".to_owned(),
            "-reconciliation_implicit_interval=3secs".to_owned(),
            "-offer_filter_duration=0secs".to_owned(),
            "-initial_flapping_task_delay=1secs".to_owned(),
            "-max_flapping_task_delay=2secs".to_owned(),
        ];
        line.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let directory = directory.to_owned();
        let mut scheduler = Scheduler { child: None, directory, address, flags: line };
        scheduler.restart();
        scheduler
    }

    /// Starts it, and waits until it answers.
    fn restart(&mut self) {
        assert!(self.child.is_none());
        let log = self.directory.join("scheduler.log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(scheduler_binary())
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_for("the scheduler", LIMIT, || {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the scheduler has ended: {}", self.log());
            self.try_call::<read::GetRoleSummary>(Default::default(), true).ok()
        });
    }

    /// Kills it with SIGKILL.
    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it in order.
    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("scheduler.log")).unwrap_or_default()
    }

    /// One call. `Err`: no answer came, and whether it was done is not known.
    fn try_call<M: Method<Output = Response>>(
        &self,
        args: M::Args,
        in_binary: bool,
    ) -> io::Result<Response> {
        let mut bytes = Vec::new();
        let mut text = String::new();
        let headers = if in_binary {
            write_call::<M, _>(&mut binary::Writer::new(&mut bytes), 0, &args);
            "Content-Type: application/vnd.apache.thrift.binary\r\n\
             Accept: application/vnd.apache.thrift.binary\r\n"
        } else {
            write_call::<M, _>(&mut tjson::Writer::new(&mut text), 0, &args);
            "Content-Type: application/x-thrift\r\nContent-Type: application/x-thrift\r\n"
        };
        let body = if in_binary { &bytes[..] } else { text.as_bytes() };
        let head = format!(
            "POST /api HTTP/1.1\r\nHost: scheduler\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let body = &answer[end.ok_or_else(|| io::Error::other("no answer"))? + 4..];
        let response = if in_binary {
            read_reply::<M, _>(&mut binary::Reader::new(body), 0).ok()
        } else {
            read_reply::<M, _>(&mut tjson::Reader::new(body), 0).ok()
        };
        let response = response.ok_or_else(|| io::Error::other("half an answer"))?;
        match response.response_code {
            Some(ResponseCode::ERROR_TRANSIENT) => Err(io::Error::other("not ready")),
            _ => Ok(response),
        }
    }

    fn call<M: Method<Output = Response>>(&self, args: M::Args, in_binary: bool) -> Response {
        self.try_call::<M>(args, in_binary).unwrap()
    }

    fn tasks(&self) -> io::Result<Vec<api::ScheduledTask>> {
        let query = Some(api::TaskQuery { role: some(ROLE), ..Default::default() });
        let args = read::GetTasksWithoutConfigsArgs { query, ..Default::default() };
        match self.try_call::<read::GetTasksWithoutConfigs>(args, true)?.result {
            Some(Arm::ScheduleStatusResult(result)) => Ok(result.tasks.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    /// Instances that run, of all jobs; fails if an instance counts twice.
    fn running(&self) -> usize {
        let tasks = self.tasks().unwrap();
        check_instances(&tasks);
        tasks.iter().filter(|task| task.status == Some(ScheduleStatus::RUNNING)).count()
    }

    fn wait_running(&self, count: usize) {
        let begun = Instant::now();
        loop {
            let running = self.running();
            if running == count {
                return;
            }
            assert!(
                begun.elapsed() < LIMIT,
                "{running} of {count} run: {:?}\n{}",
                self.statuses(),
                self.log()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn statuses(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for task in self.tasks().unwrap() {
            *counts.entry(task.status.unwrap().to_string()).or_default() += 1;
        }
        counts
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.log());
        }
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// At most one task counts for each instance.
fn check_instances(tasks: &[api::ScheduledTask]) {
    let mut seen = BTreeSet::new();
    for task in tasks {
        let status = task.status.unwrap();
        if !api::ACTIVE_STATES.contains(&status) {
            continue;
        }
        let assigned = task.assigned_task.as_ref().unwrap();
        let job = assigned.task.as_ref().unwrap().job.as_ref().unwrap();
        let instance = (job.name.clone(), assigned.instance_id);
        assert!(seen.insert(instance.clone()), "{instance:?} counts twice");
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn key(name: &str) -> api::JobKey {
    api::JobKey {
        role: some(ROLE),
        environment: some("prod"),
        name: some(name),
        ..Default::default()
    }
}

/// A service that sleeps.
fn service(name: &str, instances: i32) -> manage::CreateJobArgs {
    let resources =
        [api::Resource::NumCpus(Double(0.003)), api::Resource::RamMb(4), api::Resource::DiskMb(8)];
    let data = executor_job(ROLE, &[process("sleep", "sleep 100000")]).to_string();
    let job = api::JobConfiguration {
        key: Some(key(name)),
        owner: Some(api::Identity { user: some(ROLE), ..Default::default() }),
        task_config: Some(api::TaskConfig {
            job: Some(key(name)),
            is_service: Some(true),
            max_task_failures: Some(-1),
            resources: Some(resources.into()),
            executor_config: Some(api::ExecutorConfig {
                name: some("AuroraExecutor"),
                data: Some(data),
                ..Default::default()
            }),
            ..Default::default()
        }),
        instance_count: Some(instances),
        ..Default::default()
    };
    manage::CreateJobArgs { description: Some(job), ..Default::default() }
}

fn kill_of(name: &str, instances: &[i32]) -> manage::KillTasksArgs {
    manage::KillTasksArgs {
        job: Some(key(name)),
        instances: (!instances.is_empty()).then(|| instances.iter().copied().collect()),
        ..Default::default()
    }
}

fn ok(response: &Response) {
    assert_eq!(response.response_code, Some(ResponseCode::OK), "{:?}", response.details);
}

/// A directory that accounts other than root can enter.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn number(name: &str, default: usize) -> usize {
    env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// A whole cluster in one command; it comes back with its services, and leaves nothing behind.
#[test]
fn local_cluster() {
    let directory = directory();
    let work = directory.path().join("cluster");
    let address = SocketAddr::from(([127, 0, 0, 1], masters::free_port()));
    let flags = vec![
        "-local".to_owned(),
        format!("-work_dir={}", work.display()),
        format!("-http_port={}", address.port()),
        format!("-thermos_executor_path={}", executor_binary().display()),
    ];
    let path = directory.path().to_owned();
    let mut scheduler = Scheduler { child: None, directory: path, address, flags };
    scheduler.restart();
    ok(&scheduler.call::<manage::CreateJob>(service("a", 3), false));
    scheduler.wait_running(3);
    ok(&scheduler.call::<manage::KillTasks>(kill_of("a", &[0]), true));
    scheduler.wait_running(2);
    scheduler.stop();
    wait_until_nothing_is_in(&work);

    // Its master remembers nothing, but the scheduler does.
    scheduler.restart();
    scheduler.wait_running(2);
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

/// Agents are given up after a second of silence.
const MASTER: [(&str, &str); 2] =
    [("AGENT_PING_TIMEOUT", "1secs"), ("MAX_AGENT_PING_TIMEOUTS", "1")];

#[test]
fn jobs_on_a_real_mesos() {
    let mut mesos = Real::start(&MASTER);
    let directory = directory();
    let mut scheduler = Scheduler::start(directory.path(), mesos.address(), &[]);

    ok(&scheduler.call::<manage::CreateJob>(service("binary", 2), true));
    ok(&scheduler.call::<manage::CreateJob>(service("json", 3), false));
    scheduler.wait_running(5);

    // Killed for good.
    ok(&scheduler.call::<manage::KillTasks>(kill_of("json", &[1]), false));
    wait_for("the kill", LIMIT, || {
        scheduler.statuses().get("KILLED").filter(|n| **n == 1).copied()
    });
    assert_eq!(scheduler.running(), 4);

    // Started anew.
    let restart = manage::RestartShardsArgs {
        job: Some(key("binary")),
        shard_ids: Some([0, 1].into()),
        ..Default::default()
    };
    ok(&scheduler.call::<manage::RestartShards>(restart, true));
    wait_for("the kills", LIMIT, || {
        scheduler.statuses().get("KILLED").filter(|n| **n == 3).copied()
    });
    scheduler.wait_running(4);

    // More of the same.
    let add = manage::AddInstancesArgs {
        key: Some(api::InstanceKey {
            job_key: Some(key("binary")),
            instance_id: Some(0),
            ..Default::default()
        }),
        count: Some(2),
        ..Default::default()
    };
    ok(&scheduler.call::<manage::AddInstances>(add, true));
    scheduler.wait_running(6);

    // The scheduler dies; what runs runs on, and it knows.
    let before: BTreeSet<_> = ids(&scheduler.tasks().unwrap());
    scheduler.kill();
    scheduler.restart();
    scheduler.wait_running(6);
    assert_eq!(ids(&scheduler.tasks().unwrap()), before);

    // The master dies and comes back.
    mesos.kill_master();
    thread::sleep(Duration::from_millis(500));
    mesos.start_master();
    ok(&scheduler.call::<manage::CreateJob>(service("later", 1), true));
    scheduler.wait_running(7);

    // The agent is gone for good, as far as anybody knows; then it is back.
    mesos.kill_agent();
    wait_for("tasks to be lost", LIMIT, || {
        scheduler.statuses().get("LOST").filter(|lost| **lost >= 7).copied()
    });
    mesos.start_agent();
    scheduler.wait_running(7);

    ok(&scheduler.call::<manage::KillTasks>(kill_of("binary", &[]), true));
    ok(&scheduler.call::<manage::KillTasks>(kill_of("json", &[]), true));
    ok(&scheduler.call::<manage::KillTasks>(kill_of("later", &[]), true));
    wait_for("all kills to end", LIMIT, || {
        let tasks = scheduler.tasks().unwrap();
        let active =
            |task: &&api::ScheduledTask| api::ACTIVE_STATES.contains(&task.status.unwrap());
        (tasks.iter().filter(active).count() == 0).then_some(())
    });
}

/// Services of five instances each, created through both encodings, all at once.
#[test]
fn many_services() {
    let services = number("AURORA_TEST_SERVICES", 6);
    let mesos = Real::start(&MASTER);
    let directory = directory();
    let scheduler = Scheduler::start(directory.path(), mesos.address(), &[]);
    let begun = Instant::now();
    for number in 0..services {
        ok(&scheduler
            .call::<manage::CreateJob>(service(&format!("s{number}"), 5), number % 2 == 0));
    }
    println!("{services} jobs created after {:?}", begun.elapsed());
    scheduler.wait_running(5 * services);
    println!("{} instances run after {:?}", 5 * services, begun.elapsed());
    for number in 0..services {
        ok(&scheduler.call::<manage::KillTasks>(kill_of(&format!("s{number}"), &[]), true));
    }
    wait_for("all kills to end", LIMIT, || {
        let killed = scheduler.statuses().get("KILLED").copied().unwrap_or(0);
        (killed == 5 * services).then_some(())
    });
    println!("all killed after {:?}", begun.elapsed());
}

fn ids(tasks: &[api::ScheduledTask]) -> BTreeSet<String> {
    let id = |task: &api::ScheduledTask| task.assigned_task.clone().unwrap().task_id.unwrap();
    tasks.iter().map(id).collect()
}

/// The scheduler is killed at random moments while jobs come and go.
#[test]
fn killed_at_any_moment() {
    let kills = number("AURORA_TEST_KILLS", 20);
    let jobs = number("AURORA_TEST_JOBS", 4);
    let mesos = Real::start(&MASTER);
    let directory = directory();
    let mut scheduler = Scheduler::start(directory.path(), mesos.address(), &[]);
    let mut dice = 0x9e37_79b9_u64;
    let mut roll = |sides: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % sides
    };

    // What was confirmed: instances of each job that must exist, and those that were killed.
    let mut wanted = BTreeMap::<String, BTreeSet<i32>>::new();
    let mut killed = BTreeSet::<(String, i32)>::new();
    let mut unsure = BTreeSet::<(String, i32)>::new();
    for round in 0..kills {
        // A few calls, in the middle of which it dies.
        let until = Instant::now() + Duration::from_millis(roll(1500));
        while Instant::now() < until {
            let name = format!("job{}", roll(jobs as u64));
            let in_binary = roll(2) == 0;
            match wanted.get_mut(&name) {
                None => {
                    let created =
                        scheduler.try_call::<manage::CreateJob>(service(&name, 5), in_binary);
                    ok(&created.unwrap());
                    wanted.insert(name, (0..5).collect());
                }
                Some(instances) if roll(3) == 0 && instances.len() > 2 => {
                    let instance =
                        *instances.iter().nth(roll(instances.len() as u64) as usize).unwrap();
                    let args = kill_of(&name, &[instance]);
                    ok(&scheduler.try_call::<manage::KillTasks>(args, in_binary).unwrap());
                    instances.remove(&instance);
                    killed.insert((name, instance));
                }
                Some(_) => {
                    check_instances(&scheduler.tasks().unwrap());
                    thread::sleep(Duration::from_millis(roll(100)));
                }
            }
        }
        // One more whose answer is not waited for.
        if let Some((name, instances)) = wanted.iter_mut().next_back()
            && instances.len() > 2
            && roll(2) == 0
        {
            let instance = *instances.iter().next().unwrap();
            let name = name.clone();
            instances.remove(&instance);
            unsure.insert((name.clone(), instance));
            let address = scheduler.address;
            let args = kill_of(&name, &[instance]);
            let mut text = String::new();
            write_call::<manage::KillTasks, _>(&mut tjson::Writer::new(&mut text), 0, &args);
            let head = format!(
                "POST /api HTTP/1.1\r\nHost: s\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            thread::sleep(Duration::from_micros(roll(3000)));
            scheduler.kill();
        } else {
            scheduler.kill();
        }
        scheduler.restart();
        let tasks = scheduler.tasks().unwrap();
        check_instances(&tasks);
        let counts = active(&tasks);
        for (name, instances) in &wanted {
            for instance in instances {
                let there = counts.contains(&(name.clone(), *instance));
                assert!(there, "round {round}: {name}/{instance} was confirmed and is gone");
            }
        }
    }
    // Everything that should run does, and nothing else; all kills have ended.
    let expected: BTreeSet<_> = wanted
        .iter()
        .flat_map(|(name, instances)| instances.iter().map(|n| (name.clone(), *n)))
        .collect();
    wait_for("everything to be as it was asked for", LIMIT * 2, || {
        let tasks = scheduler.tasks().unwrap();
        check_instances(&tasks);
        let running = tasks.iter().filter(|task| task.status == Some(ScheduleStatus::RUNNING));
        let running = active(&running.cloned().collect::<Vec<_>>());
        let all = active(&tasks);
        let settled = all == running && killed.iter().all(|instance| !all.contains(instance));
        let rest: BTreeSet<_> = all.difference(&unsure).cloned().collect();
        (settled && rest == expected).then_some(())
    });
}

/// Instances that count.
fn active(tasks: &[api::ScheduledTask]) -> BTreeSet<(String, i32)> {
    let counts = |task: &&api::ScheduledTask| api::ACTIVE_STATES.contains(&task.status.unwrap());
    let instance = |task: &api::ScheduledTask| {
        let assigned = task.assigned_task.as_ref().unwrap();
        let job = assigned.task.as_ref().unwrap().job.as_ref().unwrap();
        (job.name.clone().unwrap(), assigned.instance_id.unwrap())
    };
    tasks.iter().filter(counts).map(instance).collect()
}
