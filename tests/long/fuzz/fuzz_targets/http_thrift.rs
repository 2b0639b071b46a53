//! Any call, in each encoding, and any bytes at all, over a connection of HTTP to a whole scheduler
//! with its log, but for Mesos: no panic, no hang, and every message of Thrift gets an answer that
//! can be read. Input: what it is, then the body, or all bytes of the connection.

#![no_main]

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, process, thread};

use aurora_scheduler::api::Api;
use aurora_scheduler::api::wire::METHODS;
use aurora_scheduler::core::engine::{Effect, Event};
use aurora_scheduler::counters::Counters;
use aurora_scheduler::flags::Flags;
use aurora_scheduler::http::{self, Site};
use aurora_scheduler::options::Options;
use aurora_scheduler::shell::{self, Driver, Happened, Phase, Plan};
use libfuzzer_sys::fuzz_target;
use thrift_wire::{Fields, InMessage, MessageKind, Wire, binary, tjson};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;

/// Calls to one scheduler, which has more jobs with each; then the next one begins with none.
const CALLS: usize = 5000;

/// How long a call may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A Mesos that accepts the scheduler and never offers anything.
struct Silent(Option<Event>);

impl Driver for Silent {
    async fn next(&mut self) -> Happened {
        match self.0.take() {
            Some(event) => Happened::Events(vec![event]),
            None => std::future::pending().await,
        }
    }

    fn act(&mut self, _: Effect) {}
}

struct Scheduler {
    router: axum::Router,
    runtime: Runtime,
    stop: watch::Sender<bool>,
    life: Option<JoinHandle<()>>,
    directory: PathBuf,
    calls: usize,
}

impl Scheduler {
    fn start() -> Option<Scheduler> {
        // In memory, where there is such a place: what is on disk does not matter here.
        let place = Some(Path::new("/dev/shm")).filter(|place| place.is_dir());
        let place = place.map_or_else(std::env::temp_dir, Path::to_owned);
        let directory = place.join(format!("fuzz-http-thrift-{}", process::id()));
        let _ = fs::remove_dir_all(&directory);
        let line = [
            "-cluster_name=fuzz".to_owned(),
            "-mesos_master_address=127.0.0.1:1".to_owned(),
            "-thermos_executor_path=/executor".to_owned(),
            "-max_tasks_per_job=20".to_owned(),
            "-allow_docker_parameters=true".to_owned(),
            "-allowed_container_types=MESOS,DOCKER".to_owned(),
            "-enable_mesos_fetcher=true".to_owned(),
            "-allow_container_volumes=true".to_owned(),
            format!("-native_log_file_path={}", directory.display()),
        ];
        let flags = Flags::parse(line).ok()?;
        let options = Options::new(&flags).ok()?;
        let (handle, door) = shell::door();
        let (quit, _) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let api = Api {
            identity: options.identity,
            rules: options.rules,
            handle: handle.clone(),
            counters: Arc::new(Counters::default()),
        };
        let site = Site::new(api, flags.iter().collect(), None, quit);
        let router = http::router(Arc::new(site));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().ok()?;
        let plan = Plan {
            settings: options.settings,
            log: options.log,
            snapshot_interval: options.snapshot_interval,
            max_registration_delay: options.max_registration_delay,
        };
        let core = runtime.handle().clone();
        let life = thread::spawn(move || {
            let connect = |_| Ok(Silent(Some(Event::Registered("framework".into()))));
            if let Err(failure) = core.block_on(shell::run(plan, door, connect, stopped)) {
                eprintln!("the scheduler failed: {failure}");
                process::abort();
            }
        });
        runtime.block_on(handle.reached(Phase::Active));
        Some(Scheduler { router, runtime, stop, life: Some(life), directory, calls: 0 })
    }

    /// What comes back for these bytes. `ends`: nothing more is sent.
    fn exchange(&mut self, bytes: &[u8], ends: bool) -> Vec<u8> {
        self.calls += 1;
        let (mut ours, theirs) = duplex(1 << 16);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        let router = self.router.clone();
        let stop = self.stop.subscribe();
        let done = self.runtime.block_on(async move {
            let served = tokio::spawn(http::serve_connection(theirs, peer, router, stop));
            let talk = async {
                let mut answer = Vec::new();
                let (mut from, mut to) = tokio::io::split(&mut ours);
                let send = async {
                    // They may have heard enough.
                    let _ = to.write_all(bytes).await;
                    if ends {
                        let _ = to.shutdown().await;
                    }
                };
                let (_, _) = tokio::join!(send, from.read_to_end(&mut answer));
                answer
            };
            let answer = timeout(LONG, talk).await;
            let served = timeout(LONG, served).await;
            answer.ok().filter(|_| matches!(served, Ok(Ok(()))))
        });
        match done {
            Some(answer) => answer,
            None => panic!("no answer within {LONG:?}, or a panic on the way to it"),
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(life) = self.life.take() {
            let _ = life.join();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Status and body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    Some((status, answer.get(end + 4..)?))
}

fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A reply with a result, or an exception, and nothing behind it.
fn check_message<I: InMessage>(mut input: I) {
    let head = input.message_begin();
    assert!(matches!(head.map(|head| head.kind), Ok(MessageKind::Reply | MessageKind::Exception)));
    assert!(Fields::read(&mut input).is_ok() && input.message_end().is_ok());
}

fn call(scheduler: &mut Scheduler, data: &[u8]) {
    const KIND: &str = "application/vnd.apache.thrift.binary";
    let Some((kind, body)) = data.split_first() else { return };
    let binary_answer = kind & 0x80 != 0;
    let accept = if binary_answer { format!("Accept: {KIND}\r\n") } else { String::new() };
    let bytes = match kind & 3 {
        0 => {
            scheduler.exchange(body, true);
            return;
        }
        1 => post("/api", &accept, body),
        2 => post("/api", &format!("Content-Type: {KIND}\r\n{accept}"), body),
        _ => {
            let Some((method, body)) = body.split_first() else { return };
            let method = METHODS[usize::from(*method) % METHODS.len()];
            let answer = scheduler.exchange(&post(&format!("/apibeta/{method}"), "", body), false);
            let Some((200 | 400, body)) = parse(&answer) else { panic!("{answer:?}") };
            let json = serde_json::from_slice::<serde_json::Value>(body);
            assert!(json.is_ok_and(|json| json["responseCode"].is_string()), "{answer:?}");
            return;
        }
    };
    let answer = scheduler.exchange(&bytes, false);
    match parse(&answer) {
        Some((200, body)) if binary_answer => check_message(binary::Reader::new(body)),
        Some((200, body)) => check_message(tjson::Reader::new(body)),
        // No message.
        Some((500, body)) => assert!(body.starts_with(b"this is no message of Thrift: ")),
        _ => panic!("{}", String::from_utf8_lossy(&answer)),
    }
}

thread_local! {
    static SCHEDULER: RefCell<Option<Scheduler>> = const { RefCell::new(None) };
}

fuzz_target!(|data: &[u8]| {
    SCHEDULER.with_borrow_mut(|scheduler| {
        if scheduler.as_ref().is_some_and(|scheduler| scheduler.calls >= CALLS) {
            *scheduler = None;
        }
        let scheduler = match scheduler {
            Some(scheduler) => scheduler,
            None => match Scheduler::start() {
                Some(started) => scheduler.insert(started),
                None => panic!("the scheduler cannot be started"),
            },
        };
        call(scheduler, data);
    });
});
