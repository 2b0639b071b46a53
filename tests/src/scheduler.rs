//! The scheduler under test: the program itself, in a directory, which can be killed and started
//! again; and calls to it as clients make them, in both encodings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use aurora_api::api::aurora_scheduler_manager as manage;
use aurora_api::api::read_only_scheduler as read;
use aurora_api::api::{self, Response, ResponseCode, Result as Arm, ScheduleStatus};
use aurora_api::{binary, tjson};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use thrift_wire::{Double, Method, read_reply, write_call};

use crate::masters;
use crate::mesos::{executor_binary, job as executor_job, process};
use crate::{program, wait_for};

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The account that tasks run as.
pub const ROLE: &str = "nobody";

/// A script that executes the executor. Agents fetch it for each task instead of the executor, which
/// is large.
pub fn wrapper(directory: &Path) -> PathBuf {
    let path = directory.join("executor.sh");
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", executor_binary().display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A directory that accounts other than root can enter.
pub fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The program in a directory, with its flags. Dropping it kills it.
#[derive(Debug)]
pub struct Scheduler {
    child: Mutex<Option<Child>>,
    directory: PathBuf,
    address: SocketAddr,
    flags: Vec<String>,
}

impl Scheduler {
    /// Begun, in a directory of its own, with masters as `-mesos_master_address` names them and
    /// times that suit a test; waits until it answers.
    pub fn start(directory: &Path, masters: &str, flags: &[&str]) -> Scheduler {
        let scheduler = Scheduler::new(directory, masters, flags);
        scheduler.restart();
        scheduler
    }

    /// The same, not begun.
    pub fn new(directory: &Path, masters: &str, flags: &[&str]) -> Scheduler {
        let wrapper = wrapper(directory);
        let mut line = vec![
            "-cluster_name=test".to_owned(),
            format!("-mesos_master_address={masters}"),
            format!("-native_log_file_path={}", directory.join("log").display()),
            format!("-thermos_executor_path={}", wrapper.display()),
        ];
        // Everything that waits for a minute, or for others.
        let quick = [
            "-thermos_executor_cpu=0.003",
            "-thermos_executor_ram=4MB",
            "-max_schedule_attempts_per_sec=1000",
            "-max_schedule_penalty=2secs",
            "-max_reschedule_task_delay_on_startup=100ms",
            "-initial_task_kill_retry_interval=1secs",
            "-transient_task_state_timeout=60secs",
            "-reconciliation_initial_delay=1secs",
            "-reconciliation_schedule_spread=1secs",
            "-reconciliation_explicit_interval=3secs",
            "-reconciliation_implicit_interval=3secs",
            "-offer_filter_duration=0secs",
            "-initial_flapping_task_delay=1secs",
            "-max_flapping_task_delay=2secs",
        ];
        let own = quick.iter().filter(|flag| {
            let name = flag.split('=').next().unwrap_or_default();
            !flags.iter().any(|given| given.split('=').next() == Some(name))
        });
        line.extend(own.chain(flags).map(|flag| (*flag).to_owned()));
        Scheduler::with(directory, line)
    }

    /// One with these flags and no others but its port; not begun.
    pub fn with(directory: &Path, mut flags: Vec<String>) -> Scheduler {
        let address = SocketAddr::from(([127, 0, 0, 1], masters::free_port()));
        flags.push(format!("-http_port={}", address.port()));
        Scheduler { child: Mutex::new(None), directory: directory.to_owned(), address, flags }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it, again after [`Scheduler::kill`], and waits until it answers.
    pub fn restart(&self) {
        self.spawn();
        wait_for("the scheduler", LIMIT, || {
            let ended = self.has_ended();
            assert!(ended.is_none(), "the scheduler has ended: {ended:?} {}", self.log());
            self.try_call::<read::GetRoleSummary>(Default::default(), true).ok()
        });
    }

    fn spawn(&self) {
        let log = self.directory.join("scheduler.log");
        let log = File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(program("aurora-scheduler", "aurora-scheduler"))
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let before = self.child.lock().unwrap().replace(child);
        assert!(before.is_none());
    }

    fn has_ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().as_mut().unwrap().try_wait().unwrap()
    }

    /// Starts it and waits for its end, which is expected; gives its exit code and what it said.
    pub fn run_to_end(&self) -> (Option<i32>, String) {
        self.spawn();
        let status = wait_for("the scheduler's end", LIMIT, || self.has_ended());
        self.child.lock().unwrap().take();
        (status.code(), self.log())
    }

    /// Kills it with SIGKILL; it must not have ended by itself before.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap().take().unwrap();
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the scheduler has ended: {ended:?} {}", self.log());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it in order.
    pub fn stop(&self) {
        let mut child = self.child.lock().unwrap().take().unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("scheduler.log")).unwrap_or_default()
    }

    /// One call. `Err`: no answer came, and whether it was done is not known.
    pub fn try_call<M: Method<Output = Response>>(
        &self,
        args: M::Args,
        in_binary: bool,
    ) -> io::Result<Response> {
        let mut stream = self.send::<M>(&args, in_binary)?;
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

    fn send<M: Method<Output = Response>>(
        &self,
        args: &M::Args,
        in_binary: bool,
    ) -> io::Result<TcpStream> {
        let mut bytes = Vec::new();
        let mut text = String::new();
        let headers = if in_binary {
            write_call::<M, _>(&mut binary::Writer::new(&mut bytes), 0, args);
            "Content-Type: application/vnd.apache.thrift.binary\r\n\
             Accept: application/vnd.apache.thrift.binary\r\n"
        } else {
            write_call::<M, _>(&mut tjson::Writer::new(&mut text), 0, args);
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
        Ok(stream)
    }

    /// One call, which is answered.
    pub fn call<M: Method<Output = Response>>(&self, args: M::Args, in_binary: bool) -> Response {
        self.try_call::<M>(args, in_binary).unwrap()
    }

    /// One call, which is answered with OK.
    pub fn ok<M: Method<Output = Response>>(&self, args: M::Args, in_binary: bool) {
        let response = self.call::<M>(args, in_binary);
        assert_eq!(response.response_code, Some(ResponseCode::OK), "{:?}", response.details);
    }

    /// All tasks, as the scheduler counts them; never are there two of an instance that count.
    pub fn tasks(&self) -> io::Result<Vec<Task>> {
        let query = Some(api::TaskQuery { role: some(ROLE), ..Default::default() });
        let args = read::GetTasksWithoutConfigsArgs { query, ..Default::default() };
        let answer = self.try_call::<read::GetTasksWithoutConfigs>(args, true)?;
        let Some(Arm::ScheduleStatusResult(result)) = answer.result else { panic!("{answer:?}") };
        let tasks: Vec<_> = result.tasks.iter().flatten().map(Task::new).collect();
        let mut seen = BTreeSet::new();
        for task in tasks.iter().filter(|task| task.is_active()) {
            assert!(seen.insert(&task.instance), "{:?} counts twice: {tasks:#?}", task.instance);
        }
        Ok(tasks)
    }

    /// How many tasks are in each state.
    pub fn statuses(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for task in self.tasks().unwrap() {
            *counts.entry(task.status.to_string()).or_default() += 1;
        }
        counts
    }

    /// Tasks in a state.
    pub fn count(&self, status: ScheduleStatus) -> usize {
        self.tasks().unwrap().iter().filter(|task| task.status == status).count()
    }

    /// Waits until as many tasks as this are in a state.
    pub fn wait_count(&self, status: ScheduleStatus, count: usize) {
        let begun = Instant::now();
        while self.count(status) != count {
            let late = begun.elapsed() > LIMIT;
            assert!(!late, "not {count} {status}: {:?}\n{}", self.statuses(), self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until no task counts any more: all kills have ended.
    pub fn wait_idle(&self) {
        let begun = Instant::now();
        while self.tasks().unwrap().iter().any(Task::is_active) {
            assert!(begun.elapsed() < LIMIT, "still {:?}\n{}", self.statuses(), self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains(" INFO -")).collect();
            println!("{}", lines[lines.len().saturating_sub(200)..].join("\n"));
        }
        if let Ok(mut child) = self.child.lock()
            && let Some(child) = child.as_mut()
        {
            // Both fail where it has ended, which is what they are for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A job and the number of one of its instances.
pub type Instance = (String, i32);

/// What the scheduler says of a task.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Which instance it is, or was.
    pub instance: Instance,
    /// Its state.
    pub status: ScheduleStatus,
    /// Host name of its agent; none before it has one.
    pub host: Option<String>,
    /// Why it is in that state, if that was said.
    pub message: Option<String>,
}

impl Task {
    fn new(task: &api::ScheduledTask) -> Task {
        let assigned = task.assigned_task.as_ref().unwrap();
        let job = assigned.task.as_ref().unwrap().job.as_ref().unwrap();
        Task {
            id: assigned.task_id.clone().unwrap(),
            instance: (job.name.clone().unwrap(), assigned.instance_id.unwrap()),
            status: task.status.unwrap(),
            host: assigned.slave_host.clone(),
            message: task.task_events.iter().flatten().last().and_then(|it| it.message.clone()),
        }
    }

    /// Does it count as its instance?
    pub fn is_active(&self) -> bool {
        api::ACTIVE_STATES.contains(&self.status)
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The key of a job.
pub fn key(name: &str) -> api::JobKey {
    api::JobKey {
        role: some(ROLE),
        environment: some("prod"),
        name: some(name),
        ..Default::default()
    }
}

/// A service that sleeps.
pub fn service(name: &str, instances: i32) -> manage::CreateJobArgs {
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

/// Kills instances of a job; all, where none is named.
pub fn kill_of(name: &str, instances: &[i32]) -> manage::KillTasksArgs {
    manage::KillTasksArgs {
        job: Some(key(name)),
        instances: (!instances.is_empty()).then(|| instances.iter().copied().collect()),
        ..Default::default()
    }
}

/// Starts instances of a job anew.
pub fn restart_of(name: &str, instances: &[i32]) -> manage::RestartShardsArgs {
    manage::RestartShardsArgs {
        job: Some(key(name)),
        shard_ids: Some(instances.iter().copied().collect()),
        ..Default::default()
    }
}

/// More instances of a job like one that it has.
pub fn more_of(name: &str, like: i32, count: i32) -> manage::AddInstancesArgs {
    manage::AddInstancesArgs {
        key: Some(api::InstanceKey {
            job_key: Some(key(name)),
            instance_id: Some(like),
            ..Default::default()
        }),
        count: Some(count),
        ..Default::default()
    }
}
