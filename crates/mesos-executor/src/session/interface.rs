//! What a session is told, and what it says must be done.

use std::time::Duration;

use crate::codec::Format;
use crate::event::Event;
use crate::v1::TaskStatus;

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
pub struct StreamId(pub(super) u64);

/// Identifies a call. The answer to one that was abandoned is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// A `POST` to [`PATH`](super::PATH). `Content-Length` is the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// A [`Call`](crate::v1::executor::Call) in the session's format.
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
