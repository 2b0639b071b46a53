//! What a user waits for: `aurora` from its start to its end, against a scheduler on loopback that
//! answers at once.
//!
//! ```text
//! cargo bench -p aurora-client --bench client
//! ```
//!
//! Each row is the best and the median of many runs. The floors: a program that does nothing
//! (`/bin/true`), and a bare exchange of the same bytes over a connection of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may break")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aurora_api::api::read_only_scheduler::{
    GetTasksWithoutConfigs, GetTasksWithoutConfigsArgs, GetTasksWithoutConfigsReply,
};
use aurora_api::api::{
    AssignedTask, JobKey, Resource, Response, ResponseCode, Result as Outcome, ScheduleStatus,
    ScheduleStatusResult, ScheduledTask, TaskConfig, TaskEvent, TaskQuery,
};
use aurora_api::binary;
use thrift_wire::{MessageKind, Method, OutMessage as _, Wire as _, write_call};

const RUNS: usize = 40;
const INSTANCES: i32 = 4000;

fn main() {
    let answer: Arc<[u8]> = http(&reply(INSTANCES)).into();
    let address = serve(answer.clone());
    let root = tempfile::tempdir().unwrap();
    let list = format!(r#"[{{"name": "bench", "scheduler_uri": "http://{address}"}}]"#);
    std::fs::write(root.path().join("clusters.json"), list).unwrap();
    let aurora = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aurora"));
        command.args(arguments).env("AURORA_CONFIG_ROOT", root.path()).env_remove("HOME");
        run(&mut command);
    };
    println!("{RUNS} runs each; answer of {INSTANCES} tasks: {} bytes", answer.len());
    println!("{:44} {:>9} {:>9}  of its floor", "", "best", "median");
    let nothing = measure("floor: /bin/true", None, || run(&mut Command::new("/bin/true")));
    measure("aurora --version", Some(nothing), || aurora(&["--version"]));
    let exchange = measure("floor: bare exchange", None, || bare(address));
    let key = "bench/web/prod/hello";
    measure("aurora job status", Some(exchange), || aurora(&["job", "status", key]));
    measure("aurora job status --write-json", Some(exchange), || {
        aurora(&["job", "status", "--write-json", key]);
    });
}

/// Prints and returns the best time of several runs.
fn measure(name: &str, floor: Option<Duration>, mut run: impl FnMut()) -> Duration {
    run();
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    let (best, median) = (times[0], times[RUNS / 2]);
    let ratio = floor.map(|floor| format!("{:.1}x", best.as_secs_f64() / floor.as_secs_f64()));
    println!("{name:44} {:>9.2?} {:>9.2?}  {}", best, median, ratio.unwrap_or_default());
    best
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.unwrap().success(), "{command:?}");
}

/// Asks for the tasks and reads the whole answer, without looking at it.
fn bare(address: SocketAddr) {
    let mut body = Vec::new();
    let query = Some(TaskQuery::default());
    let arguments = GetTasksWithoutConfigsArgs { query, ..Default::default() };
    write_call::<GetTasksWithoutConfigs, _>(&mut binary::Writer::new(&mut body), 0, &arguments);
    let head = format!("POST /api HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

/// A scheduler that says the same to everybody.
fn serve(answer: Arc<[u8]>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            // A call is small enough to come in one piece.
            let read = stream.read(&mut request).unwrap_or(0);
            if read > 0 {
                let _ = stream.write_all(&answer);
            }
        }
    });
    address
}

fn http(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: \
         application/vnd.apache.thrift.binary\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The tasks of one job.
fn reply(instances: i32) -> Vec<u8> {
    let tasks = (0..instances).map(task).collect();
    let result = ScheduleStatusResult { tasks: Some(tasks), ..Default::default() };
    let response = Response {
        response_code: Some(ResponseCode::OK),
        details: Some(Vec::new()),
        result: Some(Outcome::ScheduleStatusResult(result)),
        ..Default::default()
    };
    let reply: GetTasksWithoutConfigsReply = GetTasksWithoutConfigs::reply(Ok(response)).unwrap();
    let mut body = Vec::new();
    let mut out = binary::Writer::new(&mut body);
    out.message_begin(GetTasksWithoutConfigs::NAME, MessageKind::Reply, 0);
    reply.write(&mut out);
    out.message_end();
    body
}

fn task(instance: i32) -> ScheduledTask {
    let job = JobKey {
        role: Some("web".to_owned()),
        environment: Some("prod".to_owned()),
        name: Some("hello".to_owned()),
        ..Default::default()
    };
    let resources = [
        Resource::NumCpus(0.5.into()),
        Resource::RamMb(64),
        Resource::DiskMb(128),
        Resource::NamedPort("http".to_owned()),
    ];
    let config = TaskConfig {
        job: Some(job),
        is_service: Some(true),
        max_task_failures: Some(1),
        tier: Some("preferred".to_owned()),
        resources: Some(BTreeSet::from(resources)),
        ..Default::default()
    };
    let states = [
        ScheduleStatus::PENDING,
        ScheduleStatus::ASSIGNED,
        ScheduleStatus::STARTING,
        ScheduleStatus::RUNNING,
    ];
    let events = states.into_iter().enumerate().map(|(position, status)| TaskEvent {
        timestamp: Some(1_795_176_180_439 + 500 * position as i64),
        status: Some(status),
        message: Some("No health-check defined, task is assumed healthy.".to_owned()),
        scheduler: Some("scheduler.example".to_owned()),
        ..Default::default()
    });
    ScheduledTask {
        assigned_task: Some(AssignedTask {
            task_id: Some(format!("web-prod-hello-{instance}-00000000-0000-4000-8000-00000000")),
            slave_id: Some(format!("S{instance}")),
            slave_host: Some(format!("agent{instance:04}.example")),
            task: Some(config),
            assigned_ports: Some(BTreeMap::from([("http".to_owned(), 31000)])),
            instance_id: Some(instance),
            ..Default::default()
        }),
        status: Some(ScheduleStatus::RUNNING),
        failure_count: Some(0),
        task_events: Some(events.collect()),
        ..Default::default()
    }
}
