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
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::environment::Environment;
use crate::event::Event;
use crate::session::{
    CallId, Command, Input, Now, Options, Output, PATH, Request, Session, StreamId,
};
use crate::transport::{
    self, Body, Connection, Failure, Head, KeepAlive, Pending, Piece, Post, Stream, Target, Task,
    piece, ready, seed,
};
use crate::v1::TaskStatus;

/// Events that wait for the executor before the stream is not read further.
const EVENTS: usize = 16;

/// Agents send nothing for half an hour.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(30), interval: Duration::from_secs(5), count: 4 };

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
    let target = match &environment.domain_socket {
        Some(path) => Target::Unix(path.clone()),
        None => Target::Tcp(environment.agent.clone(), KEEP_ALIVE),
    };
    let session = Session::new(&environment, options, [0, 1, 2, 3].map(seed));
    let mut shell = Shell {
        target,
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
            piece = piece(&mut shell.body), if reading => shell.read(piece),
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

/// An answered subscription.
type Opened = Result<(Head, Body), String>;

/// A call that is over.
type Answered = (Option<Connection>, Result<(Head, Bytes), Failure>);

struct Shell {
    target: Target,
    session: Session,
    start: Instant,
    /// Events that the executor has not taken.
    pending: VecDeque<Event>,
    timer: Option<Duration>,
    opening: Pending<StreamId, Opened>,
    body: Option<Stream<StreamId>>,
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
                    let open = transport::open(self.target.clone(), post(request));
                    self.opening = Some((stream, Box::pin(open)));
                }
                Output::CloseSubscription(_) => {
                    self.opening = None;
                    self.body = None;
                }
                Output::PostCall(call, request) => {
                    let (target, kept) = (self.target.clone(), self.connection.take());
                    let post = post(request);
                    let exchange = async move { transport::exchange(&target, kept, &post).await };
                    self.call = Some((call, Box::pin(exchange)));
                }
                Output::AbandonCall(_) => self.call = None,
                Output::Deliver(event) => self.pending.push_back(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    fn opened(&mut self, result: Option<(StreamId, Opened)>) {
        match result {
            Some((stream, Ok((head, Body::Stream(body, connection))))) => {
                self.body = Some(Stream { id: stream, body, connection });
                let (status, content_type) = (head.status, head.header("content-type"));
                let content_type = content_type.as_deref();
                self.handle(Input::Response { stream, status, content_type, body: &[] });
            }
            Some((stream, Ok((Head { status, .. }, Body::Whole(body))))) => {
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
        let Some((call, (connection, result))) = result else { return };
        self.connection = connection;
        match result {
            Ok((head, body)) => {
                self.handle(Input::Answer { call, status: head.status, body: &body });
            }
            Err(Failure { reason, .. }) => self.handle(Input::CallFailed { call, reason }),
        }
    }
}

fn post(request: Request) -> Post {
    Post { path: PATH, headers: request.headers, body: Bytes::from(request.body) }
}
