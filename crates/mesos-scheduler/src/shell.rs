//! The session on hyper and tokio.
//!
//! ```no_run
//! # use mesos_scheduler::{call, Client, Event, Framework, Masters, Options};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let masters = Masters::parse("127.0.0.1:5050")?.watch()?;
//! let mut client = Client::start(masters, Framework::default().info(), Options::default());
//! let handle = client.handle();
//! while let Some(event) = client.next().await {
//!     match event {
//!         Event::Subscribed { framework_id, .. } => { /* write it down */ }
//!         Event::Offers(offers) => { /* handle.call(call::accept(…)) */ }
//!         Event::Update { receipt, status } => { /* write it down, then */ handle.durable(receipt) }
//!         Event::GaveUp(_) => break,
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! The subscription has a connection of its own; calls go over others, which are kept. The stream
//! is read only while the scheduler takes its events and has written down enough of them.

use std::collections::VecDeque;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use hyper_util::rt::TokioIo;
use mesos_executor::environment::Endpoint;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::event::{Event, Receipt};
use crate::session::{
    ACKNOWLEDGEMENTS, CallId, Command, Input, Options, Output, PATH, Request, Response, Session,
    StreamId,
};
use crate::v1::FrameworkInfo;
use crate::v1::scheduler::Call;

/// Events that wait for the scheduler before the stream is not read further.
const EVENTS: usize = 16;

/// Buffer of a connection, in bytes.
const BUFFER: usize = 64 << 10;

/// Longest answer to a call that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// TCP: the kernel asks after this silence whether the master's host is there, then every so often,
/// and gives it up after so many.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 4);

/// The header that names a stream.
const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// A connection to the masters. Dropped, it is cut; the framework's tasks live on for its
/// `failover_timeout`.
#[derive(Debug)]
pub struct Client {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    _task: Task,
}

impl Client {
    /// Subscribes, in a task of the current tokio runtime, which needs its time and IO drivers.
    /// `masters`: where they are, as of [`Masters::watch`](crate::Masters::watch).
    pub fn start(
        masters: watch::Receiver<Vec<Endpoint>>,
        framework: FrameworkInfo,
        options: Options,
    ) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let (sender, events) = mpsc::channel(EVENTS);
        let task = Task(tokio::spawn(run(masters, framework, options, received, sender)));
        Self { handle: Handle { commands }, events, _task: task }
    }

    /// For sending; can be cloned. Handles do not keep the connection alive.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The next event. `None`: the last one, [`Event::GaveUp`], was taken, and nothing that is sent
    /// has any effect. No event is lost if the future is dropped, as in `select!`.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

/// Sends to the master. Nothing here waits or fails: what becomes of it is told by events.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
}

impl Handle {
    /// Makes a call; [`call`](crate::call) makes them. See [`Command::Call`].
    pub fn call(&self, call: Call) {
        self.send(Command::Call(Box::new(call)));
    }

    /// An update is durable, and need not come again.
    pub fn durable(&self, receipt: Receipt) {
        self.send(Command::Durable(receipt));
    }

    fn send(&self, command: Command) {
        // Without a client nobody waits for an event about it either.
        let _ = self.commands.send(command);
    }
}

/// Runs a session until the masters are given up or one of the channels has no other side.
pub async fn run(
    mut masters: watch::Receiver<Vec<Endpoint>>,
    framework: FrameworkInfo,
    options: Options,
    mut commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<Event>,
) {
    let start = Instant::now();
    let mut shell = Shell {
        session: Session::new(framework, options, seed()),
        start,
        pending: VecDeque::new(),
        timer: None,
        opening: None,
        body: None,
        calls: JoinSet::new(),
        out: Vec::new(),
        connections: Vec::new(),
        reading: true,
    };
    let known = masters.borrow_and_update().clone();
    shell.handle(Input::Masters(known));
    let mut watching = true;
    let mut sleep = std::pin::pin!(sleep_until(start));
    loop {
        if let Some(at) = shell.timer.map(|at| start + at)
            && sleep.deadline() != at
        {
            sleep.as_mut().reset(at);
        }
        // The stream is read only when the scheduler has room for what it says.
        let waiting = !shell.pending.is_empty();
        let reading = !waiting && shell.session.wants_bytes();
        if shell.reading != reading {
            shell.reading = reading;
            shell.handle(Input::Reading(reading));
            continue;
        }
        let timed = shell.timer.is_some();
        let opening = shell.opening.is_some();
        let reading = reading && shell.body.is_some();
        let calling = !shell.calls.is_empty();
        tokio::select! {
            permit = events.reserve(), if waiting => match permit {
                Ok(permit) => {
                    if let Some(event) = shell.pending.pop_front() {
                        let last = matches!(event, Event::GaveUp(_));
                        permit.send(event);
                        if last {
                            return;
                        }
                    }
                }
                Err(_) => return,
            },
            () = events.closed(), if !waiting => return,
            command = commands.recv() => match command {
                Some(command) => shell.handle(Input::Command(command)),
                None => return,
            },
            changed = masters.changed(), if watching => match changed {
                Ok(()) => {
                    let known = masters.borrow_and_update().clone();
                    shell.handle(Input::Masters(known));
                }
                // They do not change any more.
                Err(_) => watching = false,
            },
            () = sleep.as_mut(), if timed => {
                shell.timer = None;
                shell.handle(Input::Tick);
            }
            result = ready(&mut shell.opening), if opening => shell.opened(result),
            frame = frame(&mut shell.body), if reading => shell.read(frame),
            result = shell.calls.join_next(), if calling => shell.answered(result),
        }
    }
}

type Opening = Option<(StreamId, Pin<Box<dyn Future<Output = Result<Opened, String>> + Send>>)>;

/// Waits for what is pending, and takes it away.
async fn ready(pending: &mut Opening) -> Option<(StreamId, Result<Opened, String>)> {
    let (id, future) = pending.as_mut()?;
    let result = future.await;
    let id = *id;
    *pending = None;
    Some((id, result))
}

/// The next piece of the stream; `None` at its end.
type Piece = Option<Result<Bytes, String>>;

async fn frame(body: &mut Option<Stream>) -> Option<(StreamId, Piece)> {
    let stream = body.as_mut()?;
    loop {
        let piece = match stream.body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Some(Ok(data)),
                // Trailers.
                Err(_) => continue,
            },
            Some(Err(error)) => Some(Err(describe(&error))),
            None => None,
        };
        return Some((stream.id, piece));
    }
}

struct Stream {
    id: StreamId,
    body: Incoming,
    _connection: Connection,
}

/// The head of an answer.
#[derive(Debug, Default)]
struct Head {
    status: u16,
    content_type: Option<String>,
    stream_id: Option<String>,
    location: Option<String>,
}

impl Head {
    fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            let value = headers.get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            status,
            content_type: text(CONTENT_TYPE),
            stream_id: text(STREAM_ID),
            location: text(LOCATION),
        }
    }

    fn response<'a>(&'a self, body: &'a [u8]) -> Response<'a> {
        Response {
            status: self.status,
            content_type: self.content_type.as_deref(),
            stream_id: self.stream_id.as_deref(),
            location: self.location.as_deref(),
            body,
        }
    }
}

/// An answered subscription.
struct Opened {
    head: Head,
    body: Body,
}

enum Body {
    Stream(Incoming, Connection),
    Whole(Bytes),
}

/// A call that is over.
struct Answered {
    id: CallId,
    master: Endpoint,
    connection: Option<Connection>,
    result: Result<(Head, Bytes), Failure>,
}

struct Failure {
    unsent: bool,
    reason: String,
}

struct Shell {
    session: Session,
    start: Instant,
    /// Events that the scheduler has not taken.
    pending: VecDeque<Event>,
    timer: Option<Duration>,
    opening: Opening,
    body: Option<Stream>,
    calls: JoinSet<Answered>,
    /// To cut calls that were abandoned.
    out: Vec<(CallId, AbortHandle)>,
    /// Connections for calls, while nothing is out on them.
    connections: Vec<(Endpoint, Connection)>,
    /// What the session believes.
    reading: bool,
}

impl Shell {
    fn handle(&mut self, input: Input<'_>) {
        let now = self.start.elapsed();
        for output in self.session.handle(now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    // Those to another master are of no use.
                    self.connections.retain(|(master, _)| *master == request.master);
                    self.opening = Some((stream, Box::pin(open(request))));
                }
                Output::CloseSubscription(_) => {
                    self.opening = None;
                    self.body = None;
                }
                Output::PostCall(call, request) => {
                    let usable = |(master, _): &(Endpoint, Connection)| *master == request.master;
                    let place = self.connections.iter().position(usable);
                    let connection = place.map(|place| self.connections.swap_remove(place).1);
                    let handle = self.calls.spawn(post(call, connection, request));
                    self.out.push((call, handle));
                }
                Output::AbandonCall(call) => {
                    for (_, handle) in self.out.extract_if(.., |(id, _)| *id == call) {
                        handle.abort();
                    }
                }
                Output::Deliver(event) => self.pending.push_back(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    fn opened(&mut self, result: Option<(StreamId, Result<Opened, String>)>) {
        match result {
            Some((stream, Ok(Opened { head, body }))) => match body {
                Body::Stream(body, connection) => {
                    self.body = Some(Stream { id: stream, body, _connection: connection });
                    self.handle(Input::Response { stream, response: head.response(&[]) });
                }
                Body::Whole(body) => {
                    self.handle(Input::Response { stream, response: head.response(&body) });
                }
            },
            Some((stream, Err(reason))) => self.handle(Input::Disconnected { stream, reason }),
            None => {}
        }
    }

    fn read(&mut self, piece: Option<(StreamId, Piece)>) {
        match piece {
            Some((stream, Some(Ok(bytes)))) => self.handle(Input::Bytes { stream, bytes: &bytes }),
            Some((stream, Some(Err(reason)))) => {
                self.body = None;
                self.handle(Input::Disconnected { stream, reason });
            }
            Some((stream, None)) => {
                self.body = None;
                let reason = "the master closed the stream".to_owned();
                self.handle(Input::Disconnected { stream, reason });
            }
            None => {}
        }
    }

    fn answered(&mut self, result: Option<Result<Answered, tokio::task::JoinError>>) {
        // Else it was abandoned.
        let Some(Ok(Answered { id, master, connection, result })) = result else { return };
        self.out.retain(|(call, _)| *call != id);
        if let Some(connection) = connection
            && self.connections.len() <= ACKNOWLEDGEMENTS
        {
            self.connections.push((master, connection));
        }
        match result {
            Ok((head, body)) => {
                self.handle(Input::Answer { call: id, response: head.response(&body) });
            }
            Err(Failure { unsent, reason }) => {
                self.handle(Input::CallFailed { call: id, unsent, reason });
            }
        }
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _task: Task,
}

impl Connection {
    async fn new(master: &Endpoint) -> Result<Self, String> {
        let io = tcp(&master.host, master.port).await;
        let io = io.map_err(|e| format!("failed to connect to {master}: {e}"))?;
        let builder = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(io)).await;
        let (sender, connection) = builder.map_err(|e| describe(&e))?;
        // Its error comes to whoever waits for the answer too.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, _task: Task(task) })
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let (idle, interval, count) = KEEP_ALIVE;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, idle)?;
    sockopt::set_tcp_keepintvl(&stream, interval)?;
    sockopt::set_tcp_keepcnt(&stream, count)?;
    Ok(stream)
}

fn http(
    headers: &[(&'static str, String)],
    body: Bytes,
) -> Result<hyper::Request<Full<Bytes>>, String> {
    let mut builder = hyper::Request::post(PATH);
    for (name, value) in headers {
        builder = builder.header(*name, value);
    }
    builder.body(Full::new(body)).map_err(|e| format!("failed to make a request: {e}"))
}

async fn open(request: Request) -> Result<Opened, String> {
    let http = http(&request.headers, Bytes::from(request.body))?;
    let mut connection = Connection::new(&request.master).await?;
    let response = connection.sender.send_request(http).await.map_err(|e| describe(&e))?;
    let head = Head::new(response.status().as_u16(), response.headers());
    let body = match head.status {
        200 => Body::Stream(response.into_body(), connection),
        _ => Body::Whole(collect(response.into_body()).await?),
    };
    Ok(Opened { head, body })
}

async fn post(id: CallId, connection: Option<Connection>, request: Request) -> Answered {
    let Request { master, headers, body } = request;
    let (connection, result) = exchange(connection, &master, &headers, Bytes::from(body)).await;
    Answered { id, master, connection, result }
}

async fn exchange(
    connection: Option<Connection>,
    master: &Endpoint,
    headers: &[(&'static str, String)],
    body: Bytes,
) -> (Option<Connection>, Result<(Head, Bytes), Failure>) {
    let failed = |unsent, reason| (None, Err(Failure { unsent, reason }));
    let mut reused = connection;
    loop {
        let request = match http(headers, body.clone()) {
            Ok(request) => request,
            Err(reason) => return failed(true, reason),
        };
        let old = reused.is_some();
        let mut connection = match reused.take() {
            Some(connection) => connection,
            None => match Connection::new(master).await {
                Ok(connection) => connection,
                Err(reason) => return failed(true, reason),
            },
        };
        // The master may have closed a connection that was kept; then nothing was sent.
        if old && connection.sender.ready().await.is_err() {
            continue;
        }
        let response = match connection.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) if old && error.is_canceled() => continue,
            Err(error) => return failed(error.is_canceled(), describe(&error)),
        };
        let head = Head::new(response.status().as_u16(), response.headers());
        return match collect(response.into_body()).await {
            Ok(body) => (Some(connection), Ok((head, body))),
            Err(reason) => failed(false, reason),
        };
    }
}

async fn collect(body: Incoming) -> Result<Bytes, String> {
    let collected = Limited::new(body, MAX_ANSWER).collect().await;
    collected.map(|c| c.to_bytes()).map_err(|e| format!("failed to read an answer: {e}"))
}

/// An error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Differs from that of every other process: std draws the keys of its hashers from the kernel.
fn seed() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    RandomState::new().hash_one((time.as_nanos(), std::process::id()))
}
