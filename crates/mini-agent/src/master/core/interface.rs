//! What a master is told, and what it says must be done.

use std::time::Duration;

use mesos_scheduler::v1::scheduler::{Call, Event};
use mesos_scheduler::v1::{Attribute, MasterInfo, TaskInfo, TaskStatus};

use crate::master::pool::Pool;

/// One moment on two clocks: the wall clock for time stamps, one that never goes back for waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the epoch.
    pub wall: Duration,
    /// Since some fixed moment.
    pub mono: Duration,
}

/// What a master may be told to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What it says of itself.
    pub info: MasterInfo,
    /// How often resources are offered.
    pub allocation_interval: Duration,
    /// How often a stream says something.
    pub heartbeat: Duration,
    /// When an offer that is not answered is taken back; `None`: never.
    pub offer_timeout: Option<Duration>,
}

/// An agent, as a master sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentInfo {
    /// Its id.
    pub id: String,
    /// Its host's name.
    pub hostname: String,
    /// What it has.
    pub resources: Pool,
    /// What is said of its host.
    pub attributes: Vec<Attribute>,
}

/// How an agent goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It said goodbye.
    Unregistered,
    /// It is not heard of any more.
    Unreachable,
    /// An operator says that it will never be back.
    Gone,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An agent is there.
    AgentAdded(AgentInfo),
    /// An agent is gone, with everything on it.
    AgentRemoved {
        /// Its id.
        agent: String,
        /// How.
        leaving: Leaving,
    },
    /// A framework subscribes; this is the number of its stream, and the name of that.
    Subscribe {
        /// The number.
        stream: u64,
        /// The name.
        name: String,
        /// The call.
        call: Box<Call>,
        /// An id for it, if it needs one.
        new_id: String,
    },
    /// A stream is gone.
    StreamLost {
        /// Its number.
        stream: u64,
    },
    /// A framework calls; see [`Master::check`](super::Master::check).
    Call(Box<Call>),
    /// An executor, or the agent for it, tells the state of a task.
    Update {
        /// The framework.
        framework: String,
        /// The state.
        status: Box<TaskStatus>,
    },
    /// An executor sends something.
    Message {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// What.
        data: Vec<u8>,
    },
    /// An executor has ended, with this status as of `wait`.
    Exited {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// The status.
        status: i32,
    },
    /// The moment that [`Master::wakeup`](super::Master::wakeup) named has come.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Put an event into a stream.
    Send(u64, Box<Event>),
    /// End a stream.
    Close(u64),
    /// Let an agent launch a task.
    Launch {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The task.
        task: Box<TaskInfo>,
        /// Is its executor to be started?
        new_executor: bool,
    },
    /// Let an agent kill a task.
    Kill {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// The task.
        task: String,
        /// The time that the scheduler gives it.
        grace: Option<Duration>,
    },
    /// Let an agent shut an executor down.
    Shutdown {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
    },
    /// Send something to an executor.
    Message {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// What.
        data: Vec<u8>,
    },
}
