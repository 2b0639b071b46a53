//! What happens to an executor: the agent's events, taken apart, and news of the connection.

use std::fmt;
use std::time::Duration;

use crate::v1::executor::event::{Subscribed, Type};
use crate::v1::{self, TaskInfo, TaskStatus};

/// Something that an executor has to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The agent takes calls from now on; also after each reconnection.
    Subscribed(Box<Subscribed>),
    /// Run a task. To be answered with an update at once: a task without one is dropped by the
    /// agent when it forgets which executor it gave the task to.
    Launch(Box<TaskInfo>),
    /// Run several tasks as a unit.
    LaunchGroup(Vec<TaskInfo>),
    /// End a task. The agent repeats this as often as the scheduler does, and enforces nothing.
    Kill {
        /// The task, which may be unknown to the executor.
        task_id: String,
        /// Grace period of the request. `None`: the task's own kill policy holds.
        grace: Option<Duration>,
    },
    /// The agent has taken over an update; it was written to disk if the framework checkpoints.
    Acknowledged {
        /// The task.
        task_id: String,
        /// Identifies the update.
        uuid: [u8; 16],
    },
    /// Bytes from the scheduler.
    Message(Vec<u8>),
    /// The agent gives up on the executor, which should end.
    Error(String),
    /// End all tasks, send their last updates and exit: the agent sends SIGKILL when the grace
    /// period is over. Delivered once; may be the very first event.
    Shutdown,
    /// The stream of events is lost; the client tries to get it back. What the agent sends
    /// meanwhile does not come later.
    Disconnected {
        /// Why, for people.
        reason: String,
    },
    /// An update will never reach the agent.
    Refused {
        /// The update.
        status: Box<TaskStatus>,
        /// Why, for people.
        reason: String,
    },
    /// The answer to [`Command::Flush`](crate::session::Command::Flush).
    Flushed {
        /// Updates that the agent may not have seen.
        unsent: usize,
        /// Updates that the agent did not acknowledge, `unsent` included. After a SHUTDOWN that is
        /// usual: a framework that is torn down acknowledges nothing.
        unacknowledged: usize,
    },
    /// Something to be logged at most.
    Trouble(String),
    /// The last event: the agent is lost, and with it every way to report. The executor should end
    /// its tasks and exit.
    GaveUp(GiveUp),
}

/// Why there is no agent any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The agent does not know the framework or the executor, as after a restart without
    /// checkpoints. With the agent's text.
    Unknown(String),
    /// The agent does not accept the authentication token, or there is none. With the agent's text.
    Unauthorized(String),
    /// The agent answers that the call is wrong: with this HTTP status and text.
    Rejected(u16, String),
    /// The stream ended and the framework does not checkpoint. With the reason of the end.
    NotCheckpointing(String),
    /// The agent did not come back within the recovery timeout.
    RecoveryTimeout {
        /// The timeout.
        timeout: Duration,
        /// Why the last try failed.
        reason: String,
    },
    /// The agent could not be reached from the start.
    NeverSubscribed {
        /// How long it was tried.
        timeout: Duration,
        /// Why the last try failed.
        reason: String,
    },
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(text) => write!(f, "the agent does not know this executor: {text}"),
            Self::Unauthorized(text) => {
                write!(f, "the agent does not accept the authentication token: {text}")
            }
            Self::Rejected(status, text) => {
                write!(f, "the agent refused the subscription with HTTP {status}: {text}")
            }
            Self::NotCheckpointing(reason) => {
                write!(f, "the agent is lost and the framework does not checkpoint: {reason}")
            }
            Self::RecoveryTimeout { timeout, reason } => {
                write!(f, "the agent did not come back within {timeout:?}: {reason}")
            }
            Self::NeverSubscribed { timeout, reason } => {
                write!(f, "failed to subscribe within {timeout:?}: {reason}")
            }
        }
    }
}

impl std::error::Error for GiveUp {}

/// A record of the stream, taken apart.
#[derive(Debug)]
pub(crate) enum Parsed {
    Event(Event),
    Heartbeat,
    /// Of a type that is not known.
    Unknown(i32),
}

/// Takes an event apart. `Err`: it lacks what its type promises.
pub(crate) fn parse(event: v1::executor::Event) -> Result<Parsed, &'static str> {
    // The raw number: an accessor would turn an unknown one into the default.
    let number = event.r#type.unwrap_or_default();
    let parsed = match Type::try_from(number) {
        Ok(Type::Subscribed) => {
            let subscribed = event.subscribed.ok_or("SUBSCRIBED without subscribed")?;
            Event::Subscribed(Box::new(subscribed))
        }
        Ok(Type::Launch) => {
            Event::Launch(Box::new(event.launch.ok_or("LAUNCH without launch")?.task))
        }
        Ok(Type::LaunchGroup) => {
            let group = event.launch_group.ok_or("LAUNCH_GROUP without launch_group")?;
            Event::LaunchGroup(group.task_group.tasks)
        }
        Ok(Type::Kill) => {
            let kill = event.kill.ok_or("KILL without kill")?;
            let grace = kill.kill_policy.and_then(|p| p.grace_period).map(duration);
            Event::Kill { task_id: kill.task_id.value, grace }
        }
        Ok(Type::Acknowledged) => {
            let acknowledged = event.acknowledged.ok_or("ACKNOWLEDGED without acknowledged")?;
            let uuid = acknowledged.uuid.try_into();
            Event::Acknowledged {
                task_id: acknowledged.task_id.value,
                uuid: uuid.map_err(|_| "ACKNOWLEDGED with a uuid that is not 16 bytes")?,
            }
        }
        Ok(Type::Message) => Event::Message(event.message.ok_or("MESSAGE without message")?.data),
        Ok(Type::Error) => Event::Error(event.error.ok_or("ERROR without error")?.message),
        Ok(Type::Shutdown) => Event::Shutdown,
        Ok(Type::Heartbeat) => return Ok(Parsed::Heartbeat),
        Ok(Type::Unknown) | Err(_) => return Ok(Parsed::Unknown(number)),
    };
    Ok(Parsed::Event(parsed))
}

/// A duration of Mesos; a negative one counts as none at all.
pub(crate) fn duration(info: v1::DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or_default())
}
