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

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use mesos_executor::environment::Endpoint;
use mesos_executor::transport::{
    self, Body, Connection, Failure, Head, KeepAlive, Pending, Piece, Post, Stream, Target, Task,
    piece, ready, seed,
};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
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

/// Masters send heartbeats; this is for what is not read.
const KEEP_ALIVE: KeepAlive =
    KeepAlive { idle: Duration::from_secs(15), interval: Duration::from_secs(5), count: 4 };

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
        session: Session::new(framework, options, seed(0)),
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
            piece = piece(&mut shell.body), if reading => shell.read(piece),
            result = shell.calls.join_next(), if calling => shell.answered(result),
        }
    }
}

/// An answered subscription.
type Opened = Result<(Head, Body), String>;

/// A call that is over.
struct Answered {
    id: CallId,
    master: Endpoint,
    connection: Option<Connection>,
    result: Result<(Head, Bytes), Failure>,
}

struct Shell {
    session: Session,
    start: Instant,
    /// Events that the scheduler has not taken.
    pending: VecDeque<Event>,
    timer: Option<Duration>,
    opening: Pending<StreamId, Opened>,
    body: Option<Stream<StreamId>>,
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
                    self.opening = {
                        let (master, post) = post(request);
                        let open = transport::open(Target::Tcp(master, KEEP_ALIVE), post);
                        Some((stream, Box::pin(open)))
                    };
                }
                Output::CloseSubscription(_) => {
                    self.opening = None;
                    self.body = None;
                }
                Output::PostCall(call, request) => {
                    let usable = |(master, _): &(Endpoint, Connection)| *master == request.master;
                    let place = self.connections.iter().position(usable);
                    let connection = place.map(|place| self.connections.swap_remove(place).1);
                    let handle = self.calls.spawn(exchange(call, connection, request));
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

    fn opened(&mut self, result: Option<(StreamId, Opened)>) {
        match result {
            Some((stream, Ok((head, Body::Stream(body, connection))))) => {
                self.body = Some(Stream { id: stream, body, connection });
                self.respond(stream, &head, &[]);
            }
            Some((stream, Ok((head, Body::Whole(body))))) => self.respond(stream, &head, &body),
            Some((stream, Err(reason))) => self.handle(Input::Disconnected { stream, reason }),
            None => {}
        }
    }

    fn respond(&mut self, stream: StreamId, head: &Head, body: &[u8]) {
        let (status, texts) = (head.status, Texts::of(head));
        self.handle(Input::Response { stream, response: texts.response(status, body) });
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
                let texts = Texts::of(&head);
                let response = texts.response(head.status, &body);
                self.handle(Input::Answer { call: id, response });
            }
            Err(Failure { unsent, reason }) => {
                self.handle(Input::CallFailed { call: id, unsent, reason });
            }
        }
    }
}

/// The headers that matter.
struct Texts<'a> {
    content_type: Option<Cow<'a, str>>,
    stream_id: Option<Cow<'a, str>>,
    location: Option<Cow<'a, str>>,
}

impl<'a> Texts<'a> {
    fn of(head: &'a Head) -> Self {
        Self {
            content_type: head.header("content-type"),
            stream_id: head.header("mesos-stream-id"),
            location: head.header("location"),
        }
    }

    fn response(&'a self, status: u16, body: &'a [u8]) -> Response<'a> {
        Response {
            status,
            content_type: self.content_type.as_deref(),
            stream_id: self.stream_id.as_deref(),
            location: self.location.as_deref(),
            body,
        }
    }
}

fn post(request: Request) -> (Endpoint, Post) {
    let Request { master, headers, body } = request;
    (master, Post { path: PATH, headers, body: Bytes::from(body) })
}

async fn exchange(id: CallId, connection: Option<Connection>, request: Request) -> Answered {
    let (master, post) = post(request);
    let target = Target::Tcp(master.clone(), KEEP_ALIVE);
    let (connection, result) = transport::exchange(&target, connection, &post).await;
    Answered { id, master, connection, result }
}
