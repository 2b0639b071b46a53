//! Mesos' v1 HTTP API from the side of a scheduler.
//!
//! * [`v1`]: the messages, of which this crate makes those between master and scheduler;
//! * [`codec`] and [`json`]: those messages as protobuf and as Mesos' JSON;
//! * [`call`]: what a scheduler says to a master, ready made;
//! * [`framework`]: who a scheduler is, and its credentials;
//! * [`answer`]: what a master's answer to a call means;
//! * [`session`]: the protocol of a scheduler, as a state machine without clock, socket or thread;
//! * [`master`]: where masters are, from a list or from ZooKeeper;
//! * [`shell`]: that machine on hyper and tokio;
//! * [`strict`]: messages as people write them in configuration files.
//!
//! A scheduler needs [`Client`], [`Handle`], [`Event`], and the messages that it fills in.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod answer;
pub mod call;
mod event;
pub mod framework;
pub mod master;
pub mod session;
pub mod shell;
pub mod strict;
#[cfg(feature = "zookeeper")]
mod zookeeper;

// The codec is the executor's, over the table of this crate, which has more messages.
#[path = "../../mesos-executor/src/base64.rs"]
mod base64;
#[path = "../../mesos-executor/src/codec.rs"]
pub mod codec;
#[path = "../../mesos-executor/src/json.rs"]
pub mod json;
#[path = "../../mesos-executor/src/schema.rs"]
mod schema;

pub use codec::Format;
pub use event::{CallError, Event, GiveUp, Receipt};
pub use framework::{Credentials, Framework};
pub use master::Masters;
pub use mesos_executor::environment::Endpoint;
pub use session::Options;
pub use shell::{Client, Handle};

/// Package `mesos.v1`: what all of Mesos' v1 APIs share.
pub mod v1 {
    pub use mesos_executor::v1::*;

    /// Package `mesos.v1.scheduler`: calls of schedulers and events for them.
    #[allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )]
    pub mod scheduler {
        include!(concat!(env!("OUT_DIR"), "/mesos.v1.scheduler.rs"));
    }
}
