//! The protocol of a scheduler, without clock, socket or thread.
//!
//! A [`Session`] is told what happened ([`Input`]) and answers with what must be done ([`Output`]),
//! in order. It looks for the leading master, subscribes, makes calls and takes the stream apart.
//!
//! ```text
//!            a master is known            SUBSCRIBED
//!   Down ──────────────────────► Opening ────────────► Up
//!    ▲  ◄── refused, 307, 503 ──────┘                   │
//!    └───── stream lost, no heartbeat, another leader ──┘       any ── ERROR, 401, 400 ──► Closed
//! ```
//!
//! **Calls** go one after the other over one connection, since only that keeps their order; only
//! acknowledgements, whose order does not matter, have connections of their own. What becomes of a
//! call whose fate is not known depends on what it is: a KILL is made again, an ACCEPT never, since
//! a master that gets one twice reports the running tasks of the second as lost.
//!
//! **Updates** are acknowledged when the scheduler says that they are durable. At
//! [`Options::max_waiting`] updates that are not, and acknowledgements that are not taken, the
//! session delivers no more of the stream ([`Session::wants_bytes`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mesos_executor::environment::Endpoint;
use mesos_executor::recordio::Decoder;

use crate::answer::{self, Rejection, Verdict, verdict};
use crate::call::{self, Fate, Type, fate};
use crate::codec::Format;
use crate::event::{self, CallError, Event, GiveUp, Parsed, Receipt};
use crate::framework::Credentials;
use crate::v1::scheduler::call::{Subscribe, UpdateFramework};
use crate::v1::scheduler::{Call, OfferConstraints};
use crate::v1::{FrameworkId, FrameworkInfo};

/// Path of the API on the master.
pub const PATH: &str = "/api/v1/scheduler";

/// Interval of heartbeats where the master names none.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A stream that lived as long counts as a success: pauses are short again after it.
const STABLE: Duration = Duration::from_secs(1);

/// Failures of calls in a row after which the stream is not believed either.
const MAX_CALL_FAILURES: u32 = 8;

/// Pause after the first failure of a call; it doubles from one to the next.
const CALL_PAUSE: Duration = Duration::from_millis(50);

/// Redirects in a row that are followed without a pause.
const MAX_REDIRECTS: u32 = 4;

/// Acknowledgements that are out at the same time.
pub const ACKNOWLEDGEMENTS: usize = 4;

/// Most calls that wait for their turn.
pub const MAX_CALLS: usize = 100_000;

/// What a scheduler may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Encoding of calls and, if the master agrees, of events.
    pub format: Format,
    /// For a master that wants to know who is calling.
    pub credentials: Option<Credentials>,
    /// Longest record of the stream, in bytes. The first offers after a failover may be one record
    /// of about a kilobyte for each agent.
    pub max_record: usize,
    /// Time from opening a subscription to SUBSCRIBED.
    pub subscribe_timeout: Duration,
    /// Time from making a call to its answer.
    pub call_timeout: Duration,
    /// Pause after the first failure to subscribe; it doubles from one to the next.
    pub min_pause: Duration,
    /// Longest pause between two tries to subscribe. Each is shortened by up to a half, at random.
    pub max_pause: Duration,
    /// How many heartbeats in a row may be missing before the stream counts as lost.
    pub missed_heartbeats: u32,
    /// Updates that may be undurable or unacknowledged before no more are delivered; at least 1.
    pub max_waiting: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Protobuf,
            credentials: None,
            max_record: 256 << 20,
            subscribe_timeout: Duration::from_secs(10),
            call_timeout: Duration::from_secs(10),
            min_pause: Duration::from_millis(250),
            max_pause: Duration::from_secs(10),
            missed_heartbeats: 3,
            max_waiting: 1000,
        }
    }
}

/// Identifies a subscription. What comes from one that was closed is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

/// Identifies a call. The answer to one that was abandoned is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// A `POST` to [`PATH`]. `Content-Length` is the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub master: Endpoint,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// A [`Call`] in the session's format.
    pub body: Vec<u8>,
}

/// The head of an answer, as far as it matters, and its body unless that is a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response<'a> {
    /// Status of HTTP.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Mesos-Stream-Id`.
    pub stream_id: Option<&'a str>,
    /// `Location`.
    pub location: Option<&'a str>,
    /// The body, if the status is not 200. Else it comes as [`Input::Bytes`].
    pub body: &'a [u8],
}

/// What the scheduler wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Make a call; see [`call`]. Calls wait until there is a stream, but for those
    /// that are about offers, which are void then. SUBSCRIBE is the session's own, and the id of
    /// the framework is filled in.
    Call(Box<Call>),
    /// An update need not come again.
    Durable(Receipt),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<'a> {
    /// Where masters are now: the leader alone, or some that know it; none if nobody leads. The
    /// first of these starts the session. A stream with another master is given up, but an empty
    /// list leaves it alone.
    Masters(Vec<Endpoint>),
    /// The master answered a subscription.
    Response {
        /// The subscription.
        stream: StreamId,
        /// The answer.
        response: Response<'a>,
    },
    /// More of the stream, without HTTP's chunks.
    Bytes {
        /// The subscription.
        stream: StreamId,
        /// Any piece of the stream.
        bytes: &'a [u8],
    },
    /// Whether the stream is being read from now on. While it is not, no heartbeat is missed.
    Reading(bool),
    /// The stream ended, or never came into being.
    Disconnected {
        /// The subscription.
        stream: StreamId,
        /// Why, for people.
        reason: String,
    },
    /// The master answered a call.
    Answer {
        /// The call.
        call: CallId,
        /// The answer.
        response: Response<'a>,
    },
    /// A call got no answer. The master may have acted upon it or not.
    CallFailed {
        /// The call.
        call: CallId,
        /// Is it certain that nothing of it was sent?
        unsent: bool,
        /// Why, for people.
        reason: String,
    },
    /// The moment of the last [`Output::SetTimer`] has come.
    Tick,
    /// The scheduler wants something.
    Command(Command),
}

/// Something to be done, after everything before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Make a connection and send this; answer with `Response` and `Bytes`, or with `Disconnected`.
    OpenSubscription(StreamId, Request),
    /// Close that connection; nothing more is expected from it.
    CloseSubscription(StreamId),
    /// Send this on a connection on which nothing else is out, the same again if possible; answer
    /// with `Answer` or `CallFailed`.
    PostCall(CallId, Request),
    /// Nothing more is expected of that call; its connection must not be used again.
    AbandonCall(CallId),
    /// Tell the scheduler. [`Event::GaveUp`] is the last output of all.
    Deliver(Event),
    /// Wake me with `Tick` at this moment; in place of the moment before. `None`: not at all.
    SetTimer(Option<Duration>),
}

/// The stream of events.
#[derive(Debug)]
enum Link {
    /// None. `None`: no master is known.
    Down { retry_at: Option<Duration> },
    /// A SUBSCRIBE is out, and no SUBSCRIBED has come.
    Opening { stream: StreamId, master: Endpoint, until: Duration, reader: Option<Reader> },
    /// The master takes calls.
    Up { stream: StreamId, master: Endpoint, since: Duration, silence: Silence, reader: Reader },
    /// Given up.
    Closed,
}

/// How long nothing may come.
#[derive(Clone, Copy, Debug)]
struct Silence {
    limit: Duration,
    until: Duration,
}

#[derive(Debug)]
struct Reader {
    decoder: Decoder,
    format: Format,
    /// The master's name for the stream, for calls.
    id: String,
    /// What came and is not wanted yet.
    rest: Vec<u8>,
}

/// A call that is not taken yet.
#[derive(Debug)]
struct Pending {
    call: Call,
    kind: Type,
}

/// The calls that may be out at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    /// All whose order matters: one.
    Ordered,
    /// Acknowledgements: some.
    Acknowledgements,
}

#[derive(Debug)]
struct InFlight {
    id: CallId,
    pending: Pending,
    until: Duration,
}

/// What an acknowledgement needs; nothing, for the updates of a master.
#[derive(Debug)]
struct Waiting(Option<Call>);

/// The state of a scheduler's connection to the masters. See the [module](self).
#[derive(Debug)]
pub struct Session {
    framework: FrameworkInfo,
    constraints: Option<OfferConstraints>,
    suppressed: BTreeSet<String>,
    options: Options,
    random: Random,

    masters: Vec<Endpoint>,
    /// The one of them to be tried next.
    next_master: usize,
    /// How many of them were tried since the last pause.
    tried: usize,
    /// Who leads, by the word of the last master that was asked.
    redirect: Option<Endpoint>,
    redirects: u32,

    link: Link,
    next_id: u64,
    /// Rounds of tries to subscribe that failed in a row.
    failures: u32,
    ever_subscribed: bool,
    reading: bool,

    queue: VecDeque<Pending>,
    acknowledgements: VecDeque<Pending>,
    in_flight: Vec<InFlight>,
    call_failures: u32,
    call_retry_at: Option<Duration>,
    tearing_down: bool,

    /// Updates that are not durable.
    waiting: BTreeMap<Receipt, Waiting>,

    timer: Option<Duration>,
}

impl Session {
    /// A session that knows no master yet. `seed`: of random pauses.
    pub fn new(framework: FrameworkInfo, options: Options, seed: u64) -> Self {
        Self {
            framework,
            constraints: None,
            suppressed: BTreeSet::new(),
            options,
            random: Random(seed),
            masters: Vec::new(),
            next_master: 0,
            tried: 0,
            redirect: None,
            redirects: 0,
            link: Link::Down { retry_at: None },
            next_id: 1,
            failures: 0,
            ever_subscribed: false,
            reading: true,
            queue: VecDeque::new(),
            acknowledgements: VecDeque::new(),
            in_flight: Vec::new(),
            call_failures: 0,
            call_retry_at: None,
            tearing_down: false,
            waiting: BTreeMap::new(),
            timer: None,
        }
    }

    /// Is there a stream, and does the master take calls?
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// How many updates are not durable, or durable and not acknowledged.
    pub fn waiting(&self) -> usize {
        self.waiting.len() + self.acknowledgements.len() + self.flying(Lane::Acknowledgements)
    }

    /// How many calls wait for their turn or their answer, acknowledgements not counted.
    pub fn queued(&self) -> usize {
        self.queue.len() + self.flying(Lane::Ordered)
    }

    /// Should the stream be read? Not while the scheduler has more updates than it can write down.
    pub fn wants_bytes(&self) -> bool {
        match &self.link {
            Link::Up { .. } => self.has_room(),
            _ => true,
        }
    }

    fn has_room(&self) -> bool {
        self.waiting() < self.options.max_waiting.max(1)
    }

    fn flying(&self, lane: Lane) -> usize {
        self.in_flight.iter().filter(|call| lane_of(call.pending.kind) == lane).count()
    }

    /// What is to be done, now that this happened. After [`Event::GaveUp`] nothing is. `now`: since
    /// some fixed moment, on a clock that does not go back.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        if matches!(self.link, Link::Closed) {
            return out;
        }
        let listened = self.listens();
        match input {
            Input::Masters(masters) => self.set_masters(now, masters, &mut out),
            Input::Response { stream, response } => {
                self.response(now, stream, response, &mut out);
            }
            Input::Bytes { stream, bytes } => self.bytes(now, stream, bytes, &mut out),
            Input::Reading(reading) => self.reading = reading,
            Input::Disconnected { stream, reason } => {
                if self.stream() == Some(stream) {
                    // There is nothing left to be closed.
                    self.lose(now, false, reason, &mut out);
                }
            }
            Input::Answer { call, response } => {
                if let Some(pending) = self.land(call) {
                    self.answer(now, pending, response, &mut out);
                }
            }
            Input::CallFailed { call, unsent, reason } => {
                if let Some(pending) = self.land(call) {
                    self.call_failed(now, pending, unsent, reason, &mut out);
                }
            }
            // Whatever is still awaited has to be asked for again.
            Input::Tick => self.timer = None,
            Input::Command(command) => self.command(command, &mut out),
        }
        if !listened && self.listens() {
            // What did not come before was not wanted.
            self.heard(now);
        }
        self.elapse(now, &mut out);
        self.read_rest(now, &mut out);
        self.post(now, &mut out);
        self.set_timer(&mut out);
        out
    }

    // ---------- masters ----------

    fn set_masters(&mut self, now: Duration, masters: Vec<Endpoint>, out: &mut Vec<Output>) {
        if masters == self.masters {
            return;
        }
        self.masters = masters;
        self.next_master = 0;
        self.tried = 0;
        self.redirect = None;
        let current = match &self.link {
            Link::Opening { master, .. } | Link::Up { master, .. } => Some(master),
            Link::Down { .. } | Link::Closed => None,
        };
        match current {
            Some(master) if !self.masters.is_empty() && !self.masters.contains(master) => {
                let reason = match self.masters.first() {
                    Some(leader) => format!("{leader} leads in place of {master}"),
                    None => String::new(),
                };
                self.lose(now, true, reason, out);
                // It is another one that failed.
                self.failures = 0;
                self.link = Link::Down { retry_at: Some(now) };
            }
            Some(_) => {}
            None => {
                self.link = Link::Down { retry_at: (!self.masters.is_empty()).then_some(now) };
            }
        }
    }

    fn take_master(&mut self) -> Option<Endpoint> {
        if let Some(master) = self.redirect.take() {
            return Some(master);
        }
        let place = self.next_master.checked_rem(self.masters.len())?;
        self.next_master = place + 1;
        self.tried += 1;
        self.masters.get(place).cloned()
    }

    // ---------- the stream ----------

    fn stream(&self) -> Option<StreamId> {
        match self.link {
            Link::Opening { stream, .. } | Link::Up { stream, .. } => Some(stream),
            Link::Down { .. } | Link::Closed => None,
        }
    }

    fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn open(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Some(master) = self.take_master() else {
            self.link = Link::Down { retry_at: None };
            return;
        };
        let stream = StreamId(self.next_id());
        let subscribe = Subscribe {
            framework_info: self.framework.clone(),
            suppressed_roles: self.suppressed.iter().cloned().collect(),
            offer_constraints: self.constraints.clone(),
        };
        let call = Call {
            framework_id: self.framework.id.clone(),
            r#type: Some(Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let mut request = self.request(master.clone(), &call);
        request.headers.push(("accept", self.options.format.content_type().to_owned()));
        out.push(Output::Deliver(Event::Subscribing { master: master.clone() }));
        let until = now + self.options.subscribe_timeout;
        self.link = Link::Opening { stream, master, until, reader: None };
        out.push(Output::OpenSubscription(stream, request));
    }

    fn request(&self, master: Endpoint, call: &Call) -> Request {
        let format = self.options.format;
        let mut headers =
            vec![("host", master.to_string()), ("content-type", format.content_type().to_owned())];
        if let Some(credentials) = &self.options.credentials {
            headers.push(("authorization", credentials.authorization()));
        }
        Request { master, headers, body: format.encode(call) }
    }

    fn response(
        &mut self,
        now: Duration,
        stream: StreamId,
        response: Response<'_>,
        out: &mut Vec<Output>,
    ) {
        let Link::Opening { stream: current, reader, master, .. } = &mut self.link else { return };
        if *current != stream || reader.is_some() {
            return;
        }
        if response.status == 200 {
            let format = match response.content_type {
                Some(name) => Format::from_content_type(name),
                None => Some(self.options.format),
            };
            match (format, response.stream_id) {
                (Some(format), Some(id)) => {
                    let decoder = Decoder::new(self.options.max_record);
                    let id = id.to_owned();
                    *reader = Some(Reader { decoder, format, id, rest: Vec::new() });
                }
                (Some(_), None) => {
                    let reason = format!("{master} answered without a Mesos-Stream-Id");
                    self.lose(now, true, reason, out);
                }
                (None, _) => {
                    let name = response.content_type.unwrap_or_default();
                    let name = answer::text(name.as_bytes());
                    let reason = format!("{master} answered with {name}");
                    self.lose(now, true, reason, out);
                }
            }
            return;
        }
        let asked = master.clone();
        match verdict(response.status, response.location, response.body) {
            Verdict::Elsewhere(Some(leader)) if self.redirects < MAX_REDIRECTS => {
                self.redirects += 1;
                self.redirect = Some(leader);
                out.push(Output::CloseSubscription(stream));
                self.link = Link::Down { retry_at: Some(now) };
            }
            Verdict::Elsewhere(leader) => {
                let reason = match leader {
                    Some(leader) => format!("{asked} says that {leader} leads, again and again"),
                    None => format!("{asked} does not lead and does not say who does"),
                };
                self.lose(now, true, reason, out);
            }
            Verdict::Accepted => {
                let status = response.status;
                let reason = format!("{asked} answered SUBSCRIBE with HTTP {status}");
                self.lose(now, true, reason, out);
            }
            Verdict::Later(reason) | Verdict::Broken(reason) => {
                self.lose(now, true, reason, out);
            }
            Verdict::Unauthorized(text) => self.give_up(GiveUp::Unauthorized(text), out),
            Verdict::Unsubscribed(text) => {
                let rejection = Rejection { status: response.status, text };
                self.give_up(GiveUp::Rejected(rejection), out);
            }
            Verdict::Refused(rejection) => self.give_up(GiveUp::Rejected(rejection), out),
        }
    }

    /// Something came, or could not have come.
    fn heard(&mut self, now: Duration) {
        if let Link::Up { silence, .. } = &mut self.link {
            silence.until = now + silence.limit;
        }
    }

    fn bytes(&mut self, now: Duration, stream: StreamId, bytes: &[u8], out: &mut Vec<Output>) {
        if self.stream() != Some(stream) {
            return;
        }
        self.heard(now);
        if let Link::Opening { reader: Some(reader), .. } | Link::Up { reader, .. } = &mut self.link
        {
            // Nearly always empty.
            if !reader.rest.is_empty() {
                reader.rest.extend_from_slice(bytes);
                return;
            }
        }
        self.records(now, stream, bytes, out);
    }

    /// Goes on with what came while the scheduler had too much to write down.
    fn read_rest(&mut self, now: Duration, out: &mut Vec<Output>) {
        if let Link::Up { stream, reader, .. } = &mut self.link
            && !reader.rest.is_empty()
        {
            let stream = *stream;
            let rest = std::mem::take(&mut reader.rest);
            self.records(now, stream, &rest, out);
        }
    }

    fn records(
        &mut self,
        now: Duration,
        stream: StreamId,
        mut bytes: &[u8],
        out: &mut Vec<Output>,
    ) {
        // An event can end the stream, so it is looked up for each.
        while self.stream() == Some(stream) {
            let room = self.wants_bytes();
            let (Link::Up { reader, .. } | Link::Opening { reader: Some(reader), .. }) =
                &mut self.link
            else {
                return;
            };
            if !room {
                reader.rest.extend_from_slice(bytes);
                return;
            }
            let event = match reader.decoder.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(record)) => reader.format.decode(&record).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let event = event.and_then(|e| event::parse(e).map_err(str::to_owned));
            let result = event.and_then(|event| self.event(now, event, out));
            if let Err(reason) = result {
                self.lose(now, true, format!("the stream makes no sense: {reason}"), out);
            }
        }
    }

    /// `Err`: the stream makes no sense.
    fn event(&mut self, now: Duration, event: Parsed, out: &mut Vec<Output>) -> Result<(), String> {
        let first = matches!(self.link, Link::Opening { .. });
        let event = match event {
            Parsed::Heartbeat => return Ok(()),
            Parsed::Unknown(number) => {
                let text = format!("ignored an event of the unknown type {number}");
                out.push(Output::Deliver(Event::Trouble(text)));
                return Ok(());
            }
            Parsed::Error(message) => {
                let reason = match GiveUp::of(message) {
                    GiveUp::Removed(_) if self.tearing_down => GiveUp::TornDown,
                    reason => reason,
                };
                self.give_up(reason, out);
                return Ok(());
            }
            Parsed::Subscribed(subscribed) => {
                let id = &subscribed.framework_id;
                if self.framework.id.as_ref().is_some_and(|ours| ours != id) {
                    return Err(format!("SUBSCRIBED is for the framework {}", id.value));
                }
                self.framework.id = Some(id.clone());
                let interval = subscribed.heartbeat_interval_seconds;
                self.attach(now, heartbeat(interval) * self.options.missed_heartbeats.max(1));
                let again = std::mem::replace(&mut self.ever_subscribed, true);
                out.push(Output::Deliver(Event::Subscribed {
                    framework_id: subscribed.framework_id.value.clone(),
                    again,
                    master: subscribed.master_info.map(Box::new),
                }));
                return Ok(());
            }
            _ if first => return Err("the first event is not SUBSCRIBED".to_owned()),
            Parsed::Update(status) => {
                let receipt = Receipt(self.next_id());
                let acknowledgement = match (&status.uuid, &status.agent_id) {
                    (Some(uuid), Some(agent)) => {
                        Some(call::acknowledge(&agent.value, &status.task_id.value, uuid))
                    }
                    _ => None,
                };
                self.waiting.insert(receipt, Waiting(acknowledgement));
                Event::Update { receipt, status }
            }
            Parsed::Event(event) => event,
        };
        out.push(Output::Deliver(event));
        Ok(())
    }

    /// The master takes calls.
    fn attach(&mut self, now: Duration, limit: Duration) {
        self.redirects = 0;
        self.tried = 0;
        let link = std::mem::replace(&mut self.link, Link::Closed);
        self.link = match link {
            Link::Opening { stream, master, reader: Some(reader), .. } => {
                let silence = Silence { limit, until: now + limit };
                Link::Up { stream, master, since: now, silence, reader }
            }
            Link::Up { stream, master, since, reader, .. } => {
                let silence = Silence { limit, until: now + limit };
                Link::Up { stream, master, since, silence, reader }
            }
            other => other,
        };
    }

    /// The stream is lost. `close`: its connection is still there.
    fn lose(&mut self, now: Duration, close: bool, reason: String, out: &mut Vec<Output>) {
        if let Some(stream) = self.stream()
            && close
        {
            out.push(Output::CloseSubscription(stream));
        }
        let since = match self.link {
            Link::Up { since, .. } => Some(since),
            _ => None,
        };
        self.link = Link::Down { retry_at: None };
        if let Some(since) = since {
            self.give_back_calls(&reason, out);
            out.push(Output::Deliver(Event::Disconnected { reason }));
            if now >= since + STABLE {
                self.failures = 0;
            }
            // It may well be there again.
            self.tried = 0;
            self.next_master = self.next_master.saturating_sub(1);
        } else {
            out.push(Output::Deliver(Event::Trouble(format!("failed to subscribe: {reason}"))));
        }
        self.redirects = 0;
        self.redirect = None;
        let retry_at = if since.is_none() && self.tried < self.masters.len() {
            // The next of them, at once.
            now
        } else {
            self.tried = 0;
            now + self.pause()
        };
        let known = !self.masters.is_empty();
        self.link = Link::Down { retry_at: known.then_some(retry_at) };
    }

    /// The pause after a round of failures: random, and longer after each.
    fn pause(&mut self) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let longest = (self.options.min_pause * (1 << doublings)).min(self.options.max_pause);
        self.random.half_to_whole(longest)
    }

    fn give_up(&mut self, reason: GiveUp, out: &mut Vec<Output>) {
        if let Some(stream) = self.stream() {
            out.push(Output::CloseSubscription(stream));
        }
        for call in std::mem::take(&mut self.in_flight) {
            out.push(Output::AbandonCall(call.id));
        }
        self.link = Link::Closed;
        if self.timer.take().is_some() {
            out.push(Output::SetTimer(None));
        }
        out.push(Output::Deliver(Event::GaveUp(reason)));
    }

    // ---------- calls ----------

    fn command(&mut self, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Durable(receipt) => {
                if let Some(Waiting(Some(call))) = self.waiting.remove(&receipt) {
                    let pending = Pending { call, kind: Type::Acknowledge };
                    self.acknowledgements.push_back(pending);
                }
            }
            Command::Call(call) => self.call(*call, out),
        }
    }

    fn call(&mut self, call: Call, out: &mut Vec<Output>) {
        let kind = call.r#type();
        let refused = |call: Call, reason: &str| {
            let error = CallError::NotSent(reason.to_owned());
            Output::Deliver(Event::Refused { call: Box::new(call), error })
        };
        if matches!(kind, Type::Subscribe | Type::Unknown) {
            out.push(refused(call, "it is not a scheduler's to make"));
            return;
        }
        if self.queue.len() >= MAX_CALLS {
            out.push(refused(call, "too many calls wait for the master"));
            return;
        }
        if !self.is_connected() && fate(kind) != Fate::Repeat {
            // An offer is void without its stream, and nobody misses a DECLINE.
            if fate(kind) == Fate::Once {
                out.push(refused(call, "there is no master at the moment"));
            }
            return;
        }
        self.note(kind, &call);
        self.queue.push_back(Pending { call, kind });
    }

    /// What a call changes for later subscriptions.
    fn note(&mut self, kind: Type, call: &Call) {
        let roles = match self.framework.roles.is_empty() {
            true => vec![self.framework.role().to_owned()],
            false => self.framework.roles.clone(),
        };
        match (kind, &call.suppress, &call.revive, &call.update_framework) {
            (Type::Suppress, suppress, ..) => {
                let named = suppress.as_ref().map(|s| s.roles.clone()).unwrap_or_default();
                let all = named.is_empty();
                self.suppressed
                    .extend(roles.into_iter().filter(|role| all || named.contains(role)));
            }
            (Type::Revive, _, revive, _) => {
                let named = revive.as_ref().map(|r| r.roles.clone()).unwrap_or_default();
                self.suppressed.retain(|role| !named.is_empty() && !named.contains(role));
            }
            (Type::UpdateFramework, _, _, Some(update)) => {
                let UpdateFramework { framework_info, suppressed_roles, offer_constraints } =
                    update;
                let id = self.framework.id.take();
                self.framework = FrameworkInfo { id, ..framework_info.clone() };
                self.suppressed = suppressed_roles.iter().cloned().collect();
                self.constraints = offer_constraints.clone();
            }
            _ => {}
        }
    }

    /// Makes the calls whose turn it is.
    fn post(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Link::Up { master, reader, .. } = &self.link else { return };
        if self.call_retry_at.is_some() {
            return;
        }
        let (master, stream_id) = (master.clone(), reader.id.clone());
        loop {
            let pending = if self.flying(Lane::Acknowledgements) < ACKNOWLEDGEMENTS
                && let Some(pending) = self.acknowledgements.pop_front()
            {
                pending
            } else if self.flying(Lane::Ordered) == 0
                && let Some(pending) = self.queue.pop_front()
            {
                pending
            } else {
                return;
            };
            self.tearing_down |= pending.kind == Type::Teardown;
            let mut call = pending.call.clone();
            call.framework_id = self.framework.id.clone();
            if let (Some(update), Some(id)) = (&mut call.update_framework, &self.framework.id) {
                update.framework_info.id = Some(FrameworkId { value: id.value.clone() });
            }
            let mut request = self.request(master.clone(), &call);
            request.headers.push(("mesos-stream-id", stream_id.clone()));
            let id = CallId(self.next_id());
            let until = now + self.options.call_timeout;
            self.in_flight.push(InFlight { id, pending, until });
            out.push(Output::PostCall(id, request));
        }
    }

    /// A call that is not out any more.
    fn land(&mut self, id: CallId) -> Option<Pending> {
        let place = self.in_flight.iter().position(|call| call.id == id)?;
        Some(self.in_flight.remove(place).pending)
    }

    /// Puts a call back to where it was taken from.
    fn put_back(&mut self, pending: Pending) {
        match lane_of(pending.kind) {
            Lane::Ordered => self.queue.push_front(pending),
            Lane::Acknowledgements => self.acknowledgements.push_front(pending),
        }
    }

    /// Without the stream: takes back what is out, and gives up what the next stream has no use
    /// for.
    fn give_back_calls(&mut self, reason: &str, out: &mut Vec<Output>) {
        self.call_failures = 0;
        self.call_retry_at = None;
        let unknown = |pending: &Pending| fate(pending.kind) == Fate::Once;
        for InFlight { id, pending, .. } in std::mem::take(&mut self.in_flight).into_iter().rev() {
            out.push(Output::AbandonCall(id));
            if unknown(&pending) {
                refuse(pending, CallError::Unknown(reason.to_owned()), out);
            } else {
                self.put_back(pending);
            }
        }
        for pending in std::mem::take(&mut self.queue) {
            match fate(pending.kind) {
                Fate::Repeat => self.queue.push_back(pending),
                Fate::WithStream => {}
                Fate::Once => refuse(pending, CallError::NotSent(reason.to_owned()), out),
            }
        }
    }

    fn answer(
        &mut self,
        now: Duration,
        pending: Pending,
        response: Response<'_>,
        out: &mut Vec<Output>,
    ) {
        match verdict(response.status, response.location, response.body) {
            Verdict::Accepted => {
                self.call_failures = 0;
                if pending.kind == Type::Teardown {
                    self.give_up(GiveUp::TornDown, out);
                }
            }
            // Nobody has looked at the call, so any can be made again.
            Verdict::Later(reason) => self.fail(now, pending, reason, out),
            Verdict::Broken(reason) => self.call_failed(now, pending, false, reason, out),
            Verdict::Elsewhere(leader) => {
                let leader_text = leader.as_ref().map(|l| format!(": {l} does"));
                let reason = format!("the master does not lead{}", leader_text.unwrap_or_default());
                self.put_back_or_refuse(pending, &reason, out);
                self.lose(now, true, reason, out);
                self.redirect = leader;
            }
            Verdict::Unsubscribed(text) => {
                self.put_back_or_refuse(pending, &text, out);
                self.lose(now, true, format!("the master does not know the stream: {text}"), out);
            }
            Verdict::Unauthorized(text) => {
                let rejection = Rejection { status: response.status, text: text.clone() };
                refuse(pending, CallError::Rejected(rejection), out);
                self.give_up(GiveUp::Unauthorized(text), out);
            }
            Verdict::Refused(rejection) => {
                self.call_failures = 0;
                refuse(pending, CallError::Rejected(rejection), out);
            }
        }
    }

    /// The master did not look at this call, and the stream is about to be given up.
    fn put_back_or_refuse(&mut self, pending: Pending, reason: &str, out: &mut Vec<Output>) {
        match fate(pending.kind) {
            Fate::Once => refuse(pending, CallError::NotSent(reason.to_owned()), out),
            Fate::Repeat | Fate::WithStream => self.put_back(pending),
        }
    }

    /// A call failed in a way that says nothing about its content.
    fn call_failed(
        &mut self,
        now: Duration,
        pending: Pending,
        unsent: bool,
        reason: String,
        out: &mut Vec<Output>,
    ) {
        if fate(pending.kind) == Fate::Once && !unsent {
            refuse(pending, CallError::Unknown(reason.clone()), out);
            self.count_failure(now, reason, out);
        } else {
            self.fail(now, pending, reason, out);
        }
    }

    fn fail(&mut self, now: Duration, pending: Pending, reason: String, out: &mut Vec<Output>) {
        self.put_back(pending);
        self.count_failure(now, reason, out);
    }

    fn count_failure(&mut self, now: Duration, reason: String, out: &mut Vec<Output>) {
        self.call_failures = self.call_failures.saturating_add(1);
        if self.call_failures == 1 {
            out.push(Output::Deliver(Event::Trouble(format!("a call failed: {reason}"))));
        }
        if self.call_failures >= MAX_CALL_FAILURES {
            self.lose(now, true, format!("calls do not get through: {reason}"), out);
            return;
        }
        let doublings = self.call_failures.saturating_sub(1).min(16);
        let longest = (CALL_PAUSE * (1 << doublings)).min(self.options.max_pause);
        self.call_retry_at = Some(now + self.random.half_to_whole(longest));
    }

    // ---------- time ----------

    fn elapse(&mut self, now: Duration, out: &mut Vec<Output>) {
        while let Some(late) = self.in_flight.iter().find(|call| call.until <= now) {
            let id = late.id;
            out.push(Output::AbandonCall(id));
            if let Some(pending) = self.land(id) {
                self.call_failed(now, pending, false, "no answer in time".to_owned(), out);
            }
        }
        if self.call_retry_at.is_some_and(|at| at <= now) {
            self.call_retry_at = None;
        }
        match &self.link {
            Link::Opening { until, master, .. } if *until <= now => {
                let reason = format!("{master} did not answer in time");
                self.lose(now, true, reason, out);
            }
            Link::Up { silence, .. } if self.listens() && silence.until <= now => {
                let reason = format!("no heartbeat for {:?}", silence.limit);
                self.lose(now, true, reason, out);
            }
            _ => {}
        }
        if let Link::Down { retry_at: Some(at) } = self.link
            && at <= now
        {
            self.open(now, out);
        }
    }

    /// Would a heartbeat be noticed?
    fn listens(&self) -> bool {
        self.reading && self.has_room()
    }

    fn set_timer(&mut self, out: &mut Vec<Output>) {
        let link = match &self.link {
            Link::Down { retry_at } => *retry_at,
            Link::Opening { until, .. } => Some(*until),
            Link::Up { silence, .. } => Some(silence.until).filter(|_| self.listens()),
            Link::Closed => return,
        };
        let calls = self.in_flight.iter().map(|call| call.until).min();
        let retry = self.call_retry_at.filter(|_| self.is_connected());
        let timer = [link, calls, retry].into_iter().flatten().min();
        if timer != self.timer {
            self.timer = timer;
            out.push(Output::SetTimer(timer));
        }
    }
}

fn lane_of(kind: Type) -> Lane {
    match kind {
        Type::Acknowledge => Lane::Acknowledgements,
        _ => Lane::Ordered,
    }
}

fn refuse(pending: Pending, error: CallError, out: &mut Vec<Output>) {
    let call = Box::new(pending.call);
    out.push(Output::Deliver(Event::Refused { call, error }));
}

/// The interval of heartbeats, by the master's word.
fn heartbeat(seconds: Option<f64>) -> Duration {
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds < 86_400.0);
    seconds.map_or(HEARTBEAT, Duration::from_secs_f64).max(Duration::from_millis(10))
}

/// SplitMix64, for pauses.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn half_to_whole(&mut self, whole: Duration) -> Duration {
        let fraction = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        whole / 2 + (whole / 2).mul_f64(fraction)
    }
}
