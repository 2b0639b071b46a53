//! What a session is told, and what it says must be done.

use std::time::Duration;

use mesos_executor::environment::Endpoint;

use crate::codec::Format;
use crate::event::{Event, Receipt};
use crate::framework::Credentials;
use crate::v1::scheduler::Call;

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
pub struct StreamId(pub(super) u64);

/// Identifies a call. The answer to one that was abandoned is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(super) u64);

/// A `POST` to [`PATH`](super::PATH). `Content-Length` is the shell's.
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
    /// Make a call; see [`call`](crate::call). Calls wait until there is a stream, but for those
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
