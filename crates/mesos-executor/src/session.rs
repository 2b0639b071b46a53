//! The protocol of an executor, without clock, socket or thread.
//!
//! A [`Session`] is told what happened ([`Input`]) and answers with what must be done ([`Output`]),
//! in order. It knows which tasks and updates the agent has not taken responsibility for, and brings
//! them back to it: over the stream's SUBSCRIBE after a loss, else by one call at a time. So for each
//! task updates reach the agent in order; a call whose fate is not known is repeated, with the same
//! uuid, before anything later goes out, and the agent passes on one of the copies.
//!
//! Acknowledgements are never waited for before the next update: for some updates (of a task that
//! the agent dropped, of a framework that is torn down) none comes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::codec::Format;
use crate::environment::{Environment, Token};
use crate::event::{self, Event, GiveUp, Parsed};
use crate::recordio::Decoder;
use crate::v1::executor::{Call, call};
use crate::v1::{ExecutorId, FrameworkId, TaskInfo, TaskState, TaskStatus, task_status};

/// Path of the API on the agent.
pub const PATH: &str = "/api/v1/executor";

/// Longest pause between two tries to subscribe or to make a call. A restarted agent waits only 2 s
/// for its executors.
pub const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Pause after the first failure; it doubles from one to the next.
const MIN_PAUSE: Duration = Duration::from_millis(25);

/// A stream that lived as long counts as a success: pauses are short again after it.
const STABLE: Duration = Duration::from_secs(1);

/// Failures of calls in a row after which the stream is not believed either.
const MAX_CALL_FAILURES: u32 = 8;

/// After SHUTDOWN: how long acknowledgements are waited for after the last update was accepted. If
/// the framework was torn down they never come.
const SHUTDOWN_PATIENCE: Duration = Duration::from_millis(250);

/// Most messages that wait for their turn; those above are dropped.
const MAX_MESSAGES: usize = 1000;

/// Longest part of an agent's error text that is kept, in characters.
const MAX_TEXT: usize = 512;

/// What an executor may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Encoding of calls and, if the agent agrees, of events.
    pub format: Format,
    /// Longest record of the stream, in bytes. A longer one costs a reconnection, and the task in
    /// it, if it is a LAUNCH, becomes TASK_DROPPED.
    pub max_record: usize,
    /// Time from opening a subscription to its first event.
    pub subscribe_timeout: Duration,
    /// Time from making a call to its answer.
    pub call_timeout: Duration,
    /// How long the first subscription is tried, unless the recovery timeout of a checkpointing
    /// framework is longer. Agents kill executors that did not subscribe after a minute.
    pub registration_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Protobuf,
            max_record: 16 << 20,
            subscribe_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(5),
            registration_timeout: Duration::from_secs(60),
        }
    }
}

/// One moment on two clocks: the wall clock for time stamps, one that never goes back for waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Since the epoch.
    pub wall: Duration,
    /// Since some fixed moment.
    pub mono: Duration,
}

/// Identifies a subscription. What comes from one that was closed is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(u64);

/// Identifies a call. The answer to one that was abandoned is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(u64);

/// A `POST` to [`PATH`]. `Content-Length` is the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// A [`Call`] in the session's format.
    pub body: Vec<u8>,
}

/// What the executor wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Report a task's state. The session fills in `uuid` and `timestamp` if they are absent, and
    /// `source`. Updates of one task arrive in the order of these commands; after a terminal one
    /// there can be no other.
    Update(Box<TaskStatus>),
    /// Bytes for the scheduler; may be lost.
    Message(Vec<u8>),
    /// Report with [`Event::Flushed`] when every update is acknowledged; or when this time is over;
    /// or, after SHUTDOWN, when the agent has accepted every update and does not acknowledge them.
    /// A later one takes the place of an earlier one.
    Flush {
        /// Longest time to wait.
        within: Duration,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// The very first input: subscribe.
    Start,
    /// The agent answered a subscription.
    Response {
        /// The subscription.
        stream: StreamId,
        /// Status of HTTP.
        status: u16,
        /// `Content-Type`, if there is one.
        content_type: Option<&'a str>,
        /// The body, if the status is not 200. Else it comes as [`Input::Bytes`].
        body: &'a [u8],
    },
    /// More of the stream, without HTTP's chunks.
    Bytes {
        /// The subscription.
        stream: StreamId,
        /// Any piece of the stream.
        bytes: &'a [u8],
    },
    /// The stream ended, or never came into being.
    Disconnected {
        /// The subscription.
        stream: StreamId,
        /// Did it end with HTTP's last chunk? Then the agent lives and meant it.
        closed: bool,
        /// Why, for people.
        reason: String,
    },
    /// The agent answered a call.
    Answer {
        /// The call.
        call: CallId,
        /// Status of HTTP.
        status: u16,
        /// The body.
        body: &'a [u8],
    },
    /// A call got no answer. The agent may have acted upon it or not.
    CallFailed {
        /// The call.
        call: CallId,
        /// Why, for people.
        reason: String,
    },
    /// The moment of the last [`Output::SetTimer`] has come.
    Tick,
    /// The executor wants something.
    Command(Command),
}

/// Something to be done, after everything before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make a connection and send this; answer with `Response` and `Bytes`, or with `Disconnected`.
    OpenSubscription(StreamId, Request),
    /// Close that connection; nothing more is expected from it.
    CloseSubscription(StreamId),
    /// Send this on the connection for calls; answer with `Answer` or `CallFailed`. There is one
    /// call at a time.
    PostCall(CallId, Request),
    /// Nothing more is expected of that call; its connection must not be used again.
    AbandonCall(CallId),
    /// Tell the executor. [`Event::GaveUp`] is the last output of all.
    Deliver(Event),
    /// Wake me with `Tick` at this moment of the clock for waiting; in place of the moment before.
    /// `None`: not at all.
    SetTimer(Option<Duration>),
}

/// How far an update has come. What was acknowledged is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not sent, or sent with unknown fate.
    Queued {
        /// Was it ever sent?
        sent: bool,
    },
    /// In the SUBSCRIBE that is not yet answered.
    Listed,
    /// The agent answered that it has it, and has not acknowledged it.
    Accepted,
}

#[derive(Debug)]
struct Update {
    uuid: [u8; 16],
    stage: Stage,
    status: TaskStatus,
}

/// The stream of events.
#[derive(Debug)]
enum Link {
    /// Nothing happened yet.
    New,
    /// None. `None`: none is wanted, since the executor is about to end.
    Down { retry_at: Option<Duration> },
    /// A SUBSCRIBE is out, and no event has come.
    Opening { stream: StreamId, until: Duration, reader: Option<Reader> },
    /// The agent takes calls.
    Up { stream: StreamId, since: Duration, reader: Reader },
    /// Given up.
    Closed,
}

#[derive(Debug)]
struct Reader {
    decoder: Decoder,
    format: Format,
}

#[derive(Debug)]
enum Content {
    Update([u8; 16]),
    Message,
}

/// The call that is out.
#[derive(Debug)]
struct InFlight {
    call: CallId,
    content: Content,
    until: Duration,
}

#[derive(Debug)]
struct Flush {
    until: Duration,
}

/// The state of an executor's connection to its agent. See the [module](self).
#[derive(Debug)]
pub struct Session {
    framework_id: FrameworkId,
    executor_id: ExecutorId,
    host: String,
    token: Option<Token>,
    checkpoint: bool,
    recovery_timeout: Duration,
    max_pause: Duration,
    options: Options,
    random: Random,

    link: Link,
    next_id: u64,
    /// Tries to subscribe that failed in a row.
    failures: u32,
    ever_subscribed: bool,
    /// Since when there is no stream, and why.
    lost: Option<(Duration, String)>,
    /// SHUTDOWN or ERROR was received: streams are not opened again without need.
    ending: bool,

    /// Tasks of which no update was acknowledged, in the order of their launch.
    tasks: Vec<TaskInfo>,
    /// Tasks that have a terminal update.
    terminated: BTreeSet<String>,
    /// Updates that were not acknowledged, in the order in which they were made.
    updates: VecDeque<Update>,
    messages: VecDeque<Vec<u8>>,
    in_flight: Option<InFlight>,
    call_failures: u32,
    call_retry_at: Option<Duration>,
    /// When the agent last accepted an update, or told to shut down.
    quiet_since: Duration,
    flush: Option<Flush>,

    timer: Option<Duration>,
}

impl Session {
    /// A session that has not started. `seed` must differ from that of every other session: the
    /// uuids of updates are made from it.
    pub fn new(environment: &Environment, options: Options, seed: [u64; 4]) -> Self {
        Self {
            framework_id: FrameworkId { value: environment.framework_id.clone() },
            executor_id: ExecutorId { value: environment.executor_id.clone() },
            host: environment.agent.to_string(),
            token: environment.authentication_token.clone(),
            checkpoint: environment.checkpoint,
            recovery_timeout: environment.recovery_timeout,
            max_pause: environment.subscription_backoff_max.clamp(MIN_PAUSE, MAX_PAUSE),
            options,
            random: Random::new(seed),
            link: Link::New,
            next_id: 1,
            failures: 0,
            ever_subscribed: false,
            lost: None,
            ending: false,
            tasks: Vec::new(),
            terminated: BTreeSet::new(),
            updates: VecDeque::new(),
            messages: VecDeque::new(),
            in_flight: None,
            call_failures: 0,
            call_retry_at: None,
            quiet_since: Duration::ZERO,
            flush: None,
            timer: None,
        }
    }

    /// Is there a stream, and does the agent take calls?
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// How many updates the agent has not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.updates.len()
    }

    /// What is to be done, now that this happened. After [`Event::GaveUp`] nothing is.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        if matches!(self.link, Link::Closed) {
            // An executor that flushes although it was told that the agent is lost.
            if let Input::Command(Command::Flush { .. }) = input {
                out.push(Output::Deliver(self.flushed()));
            }
            return out;
        }
        match input {
            Input::Start => {
                if matches!(self.link, Link::New) {
                    self.lost = Some((now.mono, "not tried".to_owned()));
                    self.open(now, &mut out);
                }
            }
            Input::Response { stream, status, content_type, body } => {
                self.response(now, stream, status, content_type, body, &mut out);
            }
            Input::Bytes { stream, bytes } => self.bytes(now, stream, bytes, &mut out),
            Input::Disconnected { stream, closed, reason } => {
                if self.stream() == Some(stream) {
                    let loss = if closed { Loss::Closed } else { Loss::Cut };
                    self.lose(now, loss, reason, &mut out);
                }
            }
            Input::Answer { call, status, body } => {
                if let Some(in_flight) = self.in_flight.take_if(|c| c.call == call) {
                    self.answer(now, in_flight.content, status, body, &mut out);
                }
            }
            Input::CallFailed { call, reason } => {
                if self.in_flight.take_if(|c| c.call == call).is_some() {
                    self.call_failed(now, &reason, &mut out);
                }
            }
            // Whatever is still awaited has to be asked for again.
            Input::Tick => self.timer = None,
            Input::Command(command) => self.command(now, command, &mut out),
        }
        self.elapse(now, &mut out);
        self.post(now, &mut out);
        self.check_flush(now, &mut out);
        self.set_timer(&mut out);
        out
    }

    // ---------- the stream ----------

    fn stream(&self) -> Option<StreamId> {
        match self.link {
            Link::Opening { stream, .. } | Link::Up { stream, .. } => Some(stream),
            Link::New | Link::Down { .. } | Link::Closed => None,
        }
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Subscribes, with everything that the agent may not know.
    fn open(&mut self, now: Now, out: &mut Vec<Output>) {
        // The fate of a call that is out would be unknown; the SUBSCRIBE has its update too.
        self.abandon(out);
        self.call_retry_at = None;
        self.call_failures = 0;
        let stream = StreamId(self.next_id());
        for update in &mut self.updates {
            update.stage = Stage::Listed;
        }
        let updates = self.updates.iter().map(|u| call::Update { status: u.status.clone() });
        let subscribe = call::Subscribe {
            unacknowledged_tasks: self.tasks.clone(),
            unacknowledged_updates: updates.collect(),
        };
        let mut request =
            self.request(&Call { subscribe: Some(subscribe), ..self.call(call::Type::Subscribe) });
        let accept = self.options.format.content_type().to_owned();
        request.headers.push(("accept", accept));
        let until = now.mono + self.options.subscribe_timeout;
        self.link = Link::Opening { stream, until, reader: None };
        out.push(Output::OpenSubscription(stream, request));
    }

    fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            r#type: Some(kind.into()),
            subscribe: None,
            update: None,
            message: None,
        }
    }

    fn request(&self, call: &Call) -> Request {
        let format = self.options.format;
        let mut headers =
            vec![("host", self.host.clone()), ("content-type", format.content_type().to_owned())];
        if let Some(token) = &self.token {
            headers.push(("authorization", format!("Bearer {}", token.expose())));
        }
        Request { headers, body: format.encode(call) }
    }

    fn response(
        &mut self,
        now: Now,
        stream: StreamId,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        let Link::Opening { stream: current, reader, .. } = &mut self.link else { return };
        if *current != stream || reader.is_some() {
            return;
        }
        if status == 200 {
            let format = match content_type {
                Some(name) => Format::from_content_type(name),
                None => Some(self.options.format),
            };
            match format {
                Some(format) => {
                    let decoder = Decoder::new(self.options.max_record);
                    *reader = Some(Reader { decoder, format });
                }
                None => {
                    let name = content_type.unwrap_or_default();
                    let reason = format!("the agent answered with {}", text(name.as_bytes()));
                    self.lose(now, Loss::Ours, reason, out);
                }
            }
            return;
        }
        let text = text(body);
        match status {
            401 => self.give_up(GiveUp::Unauthorized(text), out),
            400 if is_unknown(&text) => self.give_up(GiveUp::Unknown(text), out),
            400..=499 if !is_passing(status) => {
                self.give_up(GiveUp::Rejected(status, text), out);
            }
            _ => {
                // The agent is there, so this is not its loss.
                let reason = format!("the agent answered HTTP {status}: {text}");
                self.lose(now, Loss::Ours, reason, out);
            }
        }
    }

    fn bytes(&mut self, now: Now, stream: StreamId, mut bytes: &[u8], out: &mut Vec<Output>) {
        // An event can end the stream, so it is looked up for each.
        while self.stream() == Some(stream) {
            let (Link::Up { reader, .. } | Link::Opening { reader: Some(reader), .. }) =
                &mut self.link
            else {
                return;
            };
            let event = match reader.decoder.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(record)) => reader.format.decode(&record).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let event = event.and_then(|e| event::parse(e).map_err(str::to_owned));
            let result = event.and_then(|event| self.event(now, event, out));
            if let Err(reason) = result {
                self.lose(now, Loss::Ours, reason, out);
            }
        }
    }

    /// `Err`: the stream makes no sense.
    fn event(&mut self, now: Now, event: Parsed, out: &mut Vec<Output>) -> Result<(), String> {
        let event = match event {
            Parsed::Event(event) => event,
            Parsed::Heartbeat => return Ok(()),
            Parsed::Unknown(number) => {
                let text = format!("ignored an event of the unknown type {number}");
                out.push(Output::Deliver(Event::Trouble(text)));
                return Ok(());
            }
        };
        let first = matches!(self.link, Link::Opening { .. });
        match &event {
            Event::Subscribed(subscribed) => {
                let ours = subscribed.executor_info.executor_id == self.executor_id
                    && self.is_our_framework(subscribed.executor_info.framework_id.as_ref())
                    && self.is_our_framework(subscribed.framework_info.id.as_ref());
                if !ours {
                    return Err("SUBSCRIBED is for another executor".to_owned());
                }
                if !first {
                    let text = "ignored another SUBSCRIBED on the same stream".to_owned();
                    out.push(Output::Deliver(Event::Trouble(text)));
                    return Ok(());
                }
                self.attach(now, Stage::Accepted);
            }
            // In place of SUBSCRIBED; then the agent did not look at the updates in the SUBSCRIBE.
            Event::Shutdown | Event::Error(_) if first => {
                self.attach(now, Stage::Queued { sent: true })
            }
            _ if first => return Err("the first event is not SUBSCRIBED".to_owned()),
            Event::Launch(task) => self.launch(std::slice::from_ref(task))?,
            Event::LaunchGroup(tasks) => self.launch(tasks)?,
            Event::Acknowledged { task_id, uuid } => {
                let acknowledged = |u: &Update| {
                    u.uuid == *uuid
                        && u.status.task_id.value == *task_id
                        && u.stage != Stage::Queued { sent: false }
                };
                let Some(place) = self.updates.iter().position(acknowledged) else {
                    // A repeated update is acknowledged again.
                    return Ok(());
                };
                self.updates.remove(place);
                self.tasks.retain(|t| t.task_id.value != *task_id);
            }
            _ => {}
        }
        if matches!(event, Event::Shutdown | Event::Error(_)) {
            if self.ending && event == Event::Shutdown {
                return Ok(());
            }
            self.ending = true;
            self.quiet_since = now.mono;
        }
        out.push(Output::Deliver(event));
        Ok(())
    }

    /// The first event of a stream has come.
    fn attach(&mut self, now: Now, listed: Stage) {
        for update in self.updates.iter_mut().filter(|u| u.stage == Stage::Listed) {
            update.stage = listed;
        }
        self.quiet_since = now.mono;
        self.lost = None;
        self.ever_subscribed = true;
        if let Link::Opening { stream, reader: Some(reader), .. } =
            std::mem::replace(&mut self.link, Link::Down { retry_at: None })
        {
            self.link = Link::Up { stream, since: now.mono, reader };
        }
    }

    fn is_our_framework(&self, id: Option<&FrameworkId>) -> bool {
        id.is_none_or(|id| *id == self.framework_id)
    }

    fn launch(&mut self, tasks: &[TaskInfo]) -> Result<(), String> {
        for executor in tasks.iter().filter_map(|t| t.executor.as_ref()) {
            if executor.executor_id != self.executor_id
                || !self.is_our_framework(executor.framework_id.as_ref())
            {
                return Err("LAUNCH is for another executor".to_owned());
            }
        }
        for task in tasks {
            self.terminated.remove(&task.task_id.value);
            if !self.tasks.iter().any(|t| t.task_id == task.task_id) {
                self.tasks.push(task.clone());
            }
        }
        Ok(())
    }

    /// The stream is lost, or could not be opened.
    fn lose(&mut self, now: Now, loss: Loss, reason: String, out: &mut Vec<Output>) {
        let Some(stream) = self.stream() else { return };
        if loss == Loss::Ours {
            out.push(Output::CloseSubscription(stream));
        }
        let since = match self.link {
            Link::Up { since, .. } => Some(since),
            _ => None,
        };
        for update in &mut self.updates {
            if update.stage == Stage::Listed {
                update.stage = Stage::Queued { sent: true };
            }
        }
        if self.ending {
            // Nothing that is still to come is worth a stream: calls are taken without. But an agent
            // that died may have forgotten what it had accepted.
            let again = since.is_none() || loss == Loss::Cut && !self.updates.is_empty();
            let retry_at = again.then(|| now.mono + self.pause());
            self.link = Link::Down { retry_at };
            return;
        }
        self.abandon(out);
        if since.is_some() {
            out.push(Output::Deliver(Event::Disconnected { reason: reason.clone() }));
        }
        if !self.checkpoint && self.ever_subscribed && loss != Loss::Ours {
            self.link = Link::Down { retry_at: None };
            self.give_up(GiveUp::NotCheckpointing(reason), out);
            return;
        }
        if since.is_some_and(|since| now.mono >= since + STABLE) {
            self.failures = 0;
        }
        let lost_at = self.lost.take().map_or(now.mono, |(at, _)| at);
        self.lost = Some((lost_at, reason));
        self.link = Link::Down { retry_at: Some(now.mono + self.pause()) };
    }

    /// The pause after a failure: random, so that executors do not come all at once, and longer
    /// after each.
    fn pause(&mut self) -> Duration {
        let failures = self.failures;
        self.failures = self.failures.saturating_add(1);
        self.jitter(failures)
    }

    fn jitter(&mut self, failures: u32) -> Duration {
        let longest = (MIN_PAUSE * (1 << failures.min(10))).min(self.max_pause);
        let half = longest / 2;
        half + half.mul_f64(self.random.fraction())
    }

    /// When waiting for an agent comes to an end.
    fn give_up_at(&self) -> Option<Duration> {
        let (since, _) = self.lost.as_ref()?;
        (!self.ending).then(|| *since + self.patience())
    }

    fn patience(&self) -> Duration {
        let registration = self.options.registration_timeout;
        match (self.ever_subscribed, self.checkpoint) {
            (true, _) => self.recovery_timeout,
            (false, true) => self.recovery_timeout.max(registration),
            (false, false) => registration,
        }
    }

    fn give_up(&mut self, reason: GiveUp, out: &mut Vec<Output>) {
        if let Some(stream) = self.stream() {
            out.push(Output::CloseSubscription(stream));
        }
        self.abandon(out);
        self.link = Link::Closed;
        for update in &mut self.updates {
            if update.stage == Stage::Listed {
                update.stage = Stage::Queued { sent: true };
            }
        }
        if self.flush.take().is_some() {
            out.push(Output::Deliver(self.flushed()));
        }
        out.push(Output::Deliver(Event::GaveUp(reason)));
    }

    // ---------- calls ----------

    fn command(&mut self, now: Now, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Update(mut status) => match self.complete(now, &mut status) {
                Ok(uuid) => {
                    if is_terminal(status.state()) {
                        self.terminated.insert(status.task_id.value.clone());
                    }
                    let stage = Stage::Queued { sent: false };
                    self.updates.push_back(Update { uuid, stage, status: *status });
                }
                Err(reason) => {
                    let reason = reason.to_owned();
                    out.push(Output::Deliver(Event::Refused { status, reason }));
                }
            },
            Command::Message(data) => {
                if self.messages.len() < MAX_MESSAGES {
                    self.messages.push_back(data);
                } else {
                    let text = "dropped a message: too many wait for the agent".to_owned();
                    out.push(Output::Deliver(Event::Trouble(text)));
                }
            }
            Command::Flush { within } => {
                self.flush = Some(Flush { until: now.mono.saturating_add(within) });
            }
        }
    }

    /// Fills in what every update must have. `Err`: an agent would refuse it, or worse, pass it on.
    fn complete(&mut self, now: Now, status: &mut TaskStatus) -> Result<[u8; 16], &'static str> {
        let state = TaskState::try_from(status.state).map_err(|_| "its state is not known")?;
        if state == TaskState::TaskStaging {
            return Err("TASK_STAGING is not an executor's to send");
        }
        if status.task_id.value.is_empty() {
            return Err("it has no task id");
        }
        if self.terminated.contains(&status.task_id.value) {
            return Err("the task has a terminal update already");
        }
        let uuid = match status.uuid.as_deref() {
            None => self.random.uuid(),
            Some(bytes) => bytes.try_into().map_err(|_| "its uuid is not 16 bytes")?,
        };
        if self.updates.iter().any(|u| u.uuid == uuid) {
            return Err("its uuid is that of another update");
        }
        status.uuid = Some(uuid.to_vec());
        status.set_source(task_status::Source::Executor);
        status.timestamp.get_or_insert(now.wall.as_secs_f64());
        Ok(uuid)
    }

    fn may_post(&self) -> bool {
        match self.link {
            Link::Up { .. } => true,
            Link::Down { retry_at: None } => self.ending,
            _ => false,
        }
    }

    /// Makes the next call, if it is time.
    fn post(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.in_flight.is_some() || self.call_retry_at.is_some() || !self.may_post() {
            return;
        }
        let queued = |u: &&mut Update| matches!(u.stage, Stage::Queued { .. });
        let (content, call) = if let Some(update) = self.updates.iter_mut().find(queued) {
            update.stage = Stage::Queued { sent: true };
            let (uuid, status) = (update.uuid, update.status.clone());
            let update = Some(call::Update { status });
            (Content::Update(uuid), Call { update, ..self.call(call::Type::Update) })
        } else if let Some(data) = self.messages.pop_front() {
            let message = Some(call::Message { data });
            (Content::Message, Call { message, ..self.call(call::Type::Message) })
        } else {
            return;
        };
        let request = self.request(&call);
        let call = CallId(self.next_id());
        let until = now.mono + self.options.call_timeout;
        self.in_flight = Some(InFlight { call, content, until });
        out.push(Output::PostCall(call, request));
    }

    fn abandon(&mut self, out: &mut Vec<Output>) {
        if let Some(in_flight) = self.in_flight.take() {
            out.push(Output::AbandonCall(in_flight.call));
        }
    }

    fn answer(
        &mut self,
        now: Now,
        content: Content,
        status: u16,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        if (200..=299).contains(&status) {
            self.call_failures = 0;
            self.quiet_since = now.mono;
            if let Content::Update(uuid) = content
                && let Some(update) = self.updates.iter_mut().find(|u| u.uuid == uuid)
            {
                update.stage = Stage::Accepted;
            }
            return;
        }
        let text = text(body);
        let reason = format!("the agent answered a call with HTTP {status}: {text}");
        // It does not take this executor for one that is subscribed; a SUBSCRIBE will show.
        if status == 401 || status == 403 || status == 400 && is_unknown(&text) {
            self.resubscribe(now, reason, out);
        } else if (400..=499).contains(&status) && !is_passing(status) {
            if let Content::Update(uuid) = content
                && let Some(place) = self.updates.iter().position(|u| u.uuid == uuid)
                && let Some(update) = self.updates.remove(place)
            {
                // Another one may please the agent better.
                self.terminated.remove(&update.status.task_id.value);
                let status = Box::new(update.status);
                out.push(Output::Deliver(Event::Refused { status, reason }));
            } else {
                out.push(Output::Deliver(Event::Trouble(reason)));
            }
        } else {
            self.call_failed(now, &reason, out);
        }
    }

    /// A call failed in a way that says nothing about its content.
    fn call_failed(&mut self, now: Now, reason: &str, out: &mut Vec<Output>) {
        self.call_failures = self.call_failures.saturating_add(1);
        if self.call_failures == 1 {
            out.push(Output::Deliver(Event::Trouble(format!("a call failed: {reason}"))));
        }
        if self.call_failures >= MAX_CALL_FAILURES && !self.ending {
            self.resubscribe(now, format!("calls do not get through: {reason}"), out);
            return;
        }
        let pause = self.jitter(self.call_failures.saturating_sub(1));
        self.call_retry_at = Some(now.mono + pause);
    }

    fn resubscribe(&mut self, now: Now, reason: String, out: &mut Vec<Output>) {
        if self.ending {
            if let Some(stream) = self.stream() {
                out.push(Output::CloseSubscription(stream));
            }
            self.link = Link::Down { retry_at: Some(now.mono + self.pause()) };
        } else {
            self.lose(now, Loss::Ours, reason, out);
        }
    }

    // ---------- time ----------

    fn elapse(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.in_flight.as_ref().is_some_and(|c| c.until <= now.mono) {
            self.abandon(out);
            self.call_failed(now, "no answer in time", out);
        }
        if self.call_retry_at.is_some_and(|at| at <= now.mono) {
            self.call_retry_at = None;
        }
        if let Link::Opening { until, .. } = self.link
            && until <= now.mono
        {
            self.lose(now, Loss::Ours, "the agent did not answer in time".to_owned(), out);
        }
        if self.give_up_at().is_some_and(|at| at <= now.mono) {
            let reason = self.lost.take().map(|(_, reason)| reason).unwrap_or_default();
            let timeout = self.patience();
            let reason = match self.ever_subscribed {
                true => GiveUp::RecoveryTimeout { timeout, reason },
                false => GiveUp::NeverSubscribed { timeout, reason },
            };
            self.give_up(reason, out);
        }
        if let Link::Down { retry_at: Some(at) } = self.link
            && at <= now.mono
        {
            self.open(now, out);
        }
    }

    fn flushed(&self) -> Event {
        let unsent = |u: &&Update| u.stage != Stage::Accepted;
        Event::Flushed {
            unsent: self.updates.iter().filter(unsent).count(),
            unacknowledged: self.updates.len(),
        }
    }

    /// When waiting for acknowledgements has no sense any more.
    fn patience_ends(&self) -> Option<Duration> {
        let idle = self.in_flight.is_none() && self.messages.is_empty();
        let accepted = self.updates.iter().all(|u| u.stage == Stage::Accepted);
        (self.ending && idle && accepted).then(|| self.quiet_since + SHUTDOWN_PATIENCE)
    }

    fn check_flush(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(flush) = &self.flush else { return };
        let all = self.updates.is_empty() && self.messages.is_empty() && self.in_flight.is_none();
        if all || flush.until <= now.mono || self.patience_ends().is_some_and(|at| at <= now.mono) {
            self.flush = None;
            out.push(Output::Deliver(self.flushed()));
        }
    }

    fn set_timer(&mut self, out: &mut Vec<Output>) {
        let link = match self.link {
            Link::Down { retry_at } => retry_at,
            Link::Opening { until, .. } => Some(until),
            Link::New | Link::Up { .. } | Link::Closed => None,
        };
        let flush = self.flush.as_ref();
        let timer = match self.link {
            Link::Closed => None,
            _ => [
                link,
                self.give_up_at(),
                self.in_flight.as_ref().map(|c| c.until),
                self.call_retry_at.filter(|_| self.may_post()),
                flush.map(|f| f.until),
                flush.and(self.patience_ends()),
            ]
            .into_iter()
            .flatten()
            .min(),
        };
        if timer != self.timer {
            self.timer = timer;
            out.push(Output::SetTimer(timer));
        }
    }
}

/// Whose doing the end of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The agent's, which closed it in order.
    Closed,
    /// The agent's, which died, or the network's.
    Cut,
    /// The session's; the agent may well be there.
    Ours,
}

/// Is a task over in this state?
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskLost
        | TaskState::TaskError
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskStaging
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Does the agent say that it does not know the framework or the executor?
fn is_unknown(text: &str) -> bool {
    text.contains("cannot be found")
}

/// Statuses below 500 that may be gone a moment later: an agent that starts answers 404.
fn is_passing(status: u16) -> bool {
    matches!(status, 404 | 408 | 425 | 429)
}

/// An agent's text, for people.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4 * MAX_TEXT).unwrap_or(bytes)).into_owned();
    let text: String = text.trim().chars().take(MAX_TEXT).collect();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// xoshiro256**: pauses and uuids, which must not repeat but need not be secret.
#[derive(Debug)]
struct Random([u64; 4]);

impl Random {
    fn new(seed: [u64; 4]) -> Self {
        // All zeros would stay zeros.
        Self(if seed == [0; 4] { [0x9e37_79b9_7f4a_7c15, 1, 2, 3] } else { seed })
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c2, d2) = (c ^ a, d ^ b);
        self.0 = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// From 0 up to 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Version 4.
    fn uuid(&mut self) -> [u8; 16] {
        let high = (self.next() & !0xf000) | 0x4000;
        let low = (self.next() >> 2) | (1 << 63);
        ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
    }
}
