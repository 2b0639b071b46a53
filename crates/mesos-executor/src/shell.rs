//! The session on hyper and tokio.
//!
//! ```no_run
//! # use mesos_executor::{Client, Environment, Event, Options};
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::from_vars(std::env::vars_os())?;
//! let mut client = Client::start(environment, Options::default());
//! let handle = client.handle();
//! while let Some(event) = client.next().await {
//!     match event {
//!         Event::Launch(task) => { /* handle.update(…) */ }
//!         Event::Shutdown | Event::GaveUp(_) => break,
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! The subscription has a connection of its own; calls go one after the other over another, which
//! is kept. The stream is read only while the executor takes its events. Nothing wakes while
//! nothing happens.

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
use hyper::header::CONTENT_TYPE;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::environment::Environment;
use crate::event::Event;
use crate::session::{
    CallId, Command, Input, Now, Options, Output, PATH, Request, Session, StreamId,
};
use crate::v1::TaskStatus;

/// Events that wait for the executor before the stream is not read further.
const EVENTS: usize = 16;

/// Buffer of a connection, in bytes.
const BUFFER: usize = 64 << 10;

/// Longest answer to a call that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// TCP: the kernel asks after this silence whether the agent's host is there, then every so often,
/// and gives it up after so many. Agents send nothing for half an hour.
const KEEP_ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(5), 4);

/// A connection to the agent. Dropped, it is cut, and what was not flushed is lost.
#[derive(Debug)]
pub struct Client {
    handle: Handle,
    events: mpsc::Receiver<Event>,
    _task: Task,
}

impl Client {
    /// Subscribes, in a task of the current tokio runtime, which needs its time and IO drivers.
    pub fn start(environment: Environment, options: Options) -> Self {
        let (commands, received) = mpsc::unbounded_channel();
        let (sender, events) = mpsc::channel(EVENTS);
        let task = Task(tokio::spawn(run(environment, options, received, sender)));
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

/// Sends to the agent. Nothing here waits or fails: what becomes of it is told by events.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
}

impl Handle {
    /// See [`Command::Update`].
    pub fn update(&self, status: TaskStatus) {
        self.send(Command::Update(Box::new(status)));
    }

    /// See [`Command::Message`].
    pub fn message(&self, data: Vec<u8>) {
        self.send(Command::Message(data));
    }

    /// See [`Command::Flush`].
    pub fn flush(&self, within: Duration) {
        self.send(Command::Flush { within });
    }

    fn send(&self, command: Command) {
        // Without a client nobody waits for an event about it either.
        let _ = self.commands.send(command);
    }
}

/// Runs a session until the agent is given up or one of the channels has no other side.
pub async fn run(
    environment: Environment,
    options: Options,
    mut commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::Sender<Event>,
) {
    let start = Instant::now();
    let session = Session::new(&environment, options, seed());
    let mut shell = Shell {
        environment,
        session,
        start,
        pending: VecDeque::new(),
        timer: None,
        opening: None,
        body: None,
        call: None,
        connection: None,
    };
    shell.handle(Input::Start);
    // One that nobody waits for any more is dropped: left alone it would wake this task for nothing.
    let mut sleep: Option<Pin<Box<Sleep>>> = None;
    loop {
        let at = shell.timer.map(|at| start + at);
        if sleep.as_ref().map(|sleep| sleep.deadline()) != at {
            sleep = at.map(|at| Box::pin(sleep_until(at)));
        }
        // The stream is read only when the executor has room for what it says.
        let waiting = !shell.pending.is_empty();
        let timed = shell.timer.is_some();
        let opening = shell.opening.is_some();
        let reading = shell.body.is_some() && !waiting;
        let calling = shell.call.is_some();
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
            () = over(&mut sleep), if timed => {
                shell.timer = None;
                shell.handle(Input::Tick);
            }
            result = ready(&mut shell.opening), if opening => shell.opened(result),
            frame = frame(&mut shell.body), if reading => shell.read(frame),
            result = ready(&mut shell.call), if calling => shell.answered(result),
        }
    }
}

/// Waits for the moment that is waited for.
async fn over(sleep: &mut Option<Pin<Box<Sleep>>>) {
    match sleep {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}

type Pending<Id, T> = Option<(Id, Pin<Box<dyn Future<Output = T> + Send>>)>;

/// Waits for what is pending, and takes it away.
async fn ready<Id: Copy, T>(pending: &mut Pending<Id, T>) -> Option<(Id, T)> {
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

/// An answered subscription.
enum Opened {
    Stream { content_type: Option<String>, body: Incoming, connection: Connection },
    Other { status: u16, body: Bytes },
}

struct Answered {
    connection: Option<Connection>,
    result: Result<(u16, Bytes), String>,
}

struct Shell {
    environment: Environment,
    session: Session,
    start: Instant,
    /// Events that the executor has not taken.
    pending: VecDeque<Event>,
    timer: Option<Duration>,
    opening: Pending<StreamId, Result<Opened, String>>,
    body: Option<Stream>,
    call: Pending<CallId, Answered>,
    /// The connection for calls, while none is out.
    connection: Option<Connection>,
}

impl Shell {
    fn handle(&mut self, input: Input<'_>) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Now { wall, mono: self.start.elapsed() };
        for output in self.session.handle(now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    let environment = self.environment.clone();
                    let future = async move { open(&environment, request).await };
                    self.opening = Some((stream, Box::pin(future)));
                }
                Output::CloseSubscription(_) => {
                    self.opening = None;
                    self.body = None;
                }
                Output::PostCall(call, request) => {
                    let environment = self.environment.clone();
                    let connection = self.connection.take();
                    let future = async move { post(&environment, connection, request).await };
                    self.call = Some((call, Box::pin(future)));
                }
                Output::AbandonCall(_) => self.call = None,
                Output::Deliver(event) => self.pending.push_back(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    fn opened(&mut self, result: Option<(StreamId, Result<Opened, String>)>) {
        match result {
            Some((stream, Ok(Opened::Stream { content_type, body, connection }))) => {
                self.body = Some(Stream { id: stream, body, _connection: connection });
                let content_type = content_type.as_deref();
                self.handle(Input::Response { stream, status: 200, content_type, body: &[] });
            }
            Some((stream, Ok(Opened::Other { status, body }))) => {
                self.handle(Input::Response { stream, status, content_type: None, body: &body });
            }
            Some((stream, Err(reason))) => {
                self.handle(Input::Disconnected { stream, closed: false, reason });
            }
            None => {}
        }
    }

    fn read(&mut self, piece: Option<(StreamId, Piece)>) {
        match piece {
            Some((stream, Some(Ok(bytes)))) => self.handle(Input::Bytes { stream, bytes: &bytes }),
            Some((stream, Some(Err(reason)))) => {
                self.body = None;
                self.handle(Input::Disconnected { stream, closed: false, reason });
            }
            Some((stream, None)) => {
                self.body = None;
                let reason = "the agent closed the stream".to_owned();
                self.handle(Input::Disconnected { stream, closed: true, reason });
            }
            None => {}
        }
    }

    fn answered(&mut self, result: Option<(CallId, Answered)>) {
        let Some((call, Answered { connection, result })) = result else { return };
        self.connection = connection;
        match result {
            Ok((status, body)) => self.handle(Input::Answer { call, status, body: &body }),
            Err(reason) => self.handle(Input::CallFailed { call, reason }),
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
    async fn new(environment: &Environment) -> Result<Self, String> {
        match &environment.domain_socket {
            Some(path) => {
                let io = UnixStream::connect(path).await;
                let io = io.map_err(|e| format!("failed to connect to {}: {e}", path.display()))?;
                Self::handshake(io).await
            }
            None => {
                let agent = &environment.agent;
                let io = tcp(&agent.host, agent.port).await;
                let io = io.map_err(|e| format!("failed to connect to {agent}: {e}"))?;
                Self::handshake(io).await
            }
        }
    }

    async fn handshake<I>(io: I) -> Result<Self, String>
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
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

fn http(request: &Request) -> Result<hyper::Request<Full<Bytes>>, String> {
    let mut builder = hyper::Request::post(PATH);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let body = Full::new(Bytes::from(request.body.clone()));
    builder.body(body).map_err(|e| format!("failed to make a request: {e}"))
}

async fn open(environment: &Environment, request: Request) -> Result<Opened, String> {
    let request = http(&request)?;
    let mut connection = Connection::new(environment).await?;
    let response = connection.sender.send_request(request).await.map_err(|e| describe(&e))?;
    let status = response.status().as_u16();
    if status != 200 {
        return Ok(Opened::Other { status, body: collect(response.into_body()).await? });
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    Ok(Opened::Stream { content_type, body: response.into_body(), connection })
}

async fn post(
    environment: &Environment,
    connection: Option<Connection>,
    request: Request,
) -> Answered {
    let failed = |reason| Answered { connection: None, result: Err(reason) };
    let mut reused = connection;
    loop {
        let request = match http(&request) {
            Ok(request) => request,
            Err(reason) => return failed(reason),
        };
        let old = reused.is_some();
        let mut connection = match reused.take() {
            Some(connection) => connection,
            None => match Connection::new(environment).await {
                Ok(connection) => connection,
                Err(reason) => return failed(reason),
            },
        };
        // The agent may have closed a connection that was kept; then nothing was sent.
        if old && connection.sender.ready().await.is_err() {
            continue;
        }
        let response = match connection.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) if old && error.is_canceled() => continue,
            Err(error) => return failed(describe(&error)),
        };
        let status = response.status().as_u16();
        return match collect(response.into_body()).await {
            Ok(body) => Answered { connection: Some(connection), result: Ok((status, body)) },
            Err(reason) => failed(reason),
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
fn seed() -> [u64; 4] {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = (time.as_nanos(), std::process::id());
    [0u8, 1, 2, 3].map(|place| RandomState::new().hash_one((place, now)))
}
