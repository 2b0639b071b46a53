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

use crate::call::Type;
use crate::codec::Records;
use crate::event::Receipt;
use crate::v1::FrameworkInfo;
use crate::v1::scheduler::{Call, OfferConstraints};

mod calls;
mod deadlines;
mod interface;
mod masters;
mod random;
mod subscription;

pub use interface::{CallId, Command, Input, Options, Output, Request, Response, StreamId};

use calls::lane_of;
use random::Random;

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
    records: Records,
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

    /// What is to be done, now that this happened. After
    /// [`Event::GaveUp`](crate::Event::GaveUp) nothing is. `now`: since some fixed moment, on a
    /// clock that does not go back.
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
}
