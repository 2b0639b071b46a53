//! The protocol of an executor, without clock, socket or thread.
//!
//! A [`Session`] is told what happened ([`Input`]) and answers with what must be done ([`Output`]),
//! in order. It knows which tasks and updates the agent has not taken responsibility for, and brings
//! them back to it: over the stream's SUBSCRIBE after a loss, else by one call at a time. So for each
//! task updates reach the agent in order; a call whose fate is not known is repeated, with the same
//! uuid, before anything later goes out, and the agent passes on one of the copies.
//!
//! ```text
//!                    first event: SUBSCRIBED, SHUTDOWN or ERROR
//!   New ──► Opening ─────────────────────────────────────────────► Up
//!            ▲  │ refused, no answer                                │
//!            │  ▼                                                   │
//!           Down ◄──────── stream lost, calls do not get through ───┘
//!
//!   any ── 401, unknown, no agent for too long, no checkpoints ──► Closed
//! ```
//!
//! Acknowledgements are never waited for before the next update: for some updates (of a task that
//! the agent dropped, of a framework that is torn down) none comes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::codec::Records;
use crate::environment::{Environment, Token};
use crate::v1::{ExecutorId, FrameworkId, TaskInfo, TaskState, TaskStatus};

mod calls;
mod deadlines;
mod interface;
mod random;
mod subscription;

pub use interface::{CallId, Command, Input, Now, Options, Output, Request, StreamId};

use random::Random;
use subscription::Loss;

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
    Opening { stream: StreamId, until: Duration, reader: Option<Records> },
    /// The agent takes calls.
    Up { stream: StreamId, since: Duration, reader: Records },
    /// Given up.
    Closed,
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

    /// What is to be done, now that this happened. After
    /// [`Event::GaveUp`](crate::Event::GaveUp) nothing is.
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
