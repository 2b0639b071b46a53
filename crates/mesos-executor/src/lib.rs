//! Mesos' v1 HTTP API from the side of an executor.
//!
//! * [`v1`]: the messages, as structs made from the files in `proto/`;
//! * [`codec`]: those messages as protobuf and as Mesos' JSON, with what proto2 requires;
//! * [`json`], [`base64`], [`schema`]: what that is made of;
//! * [`recordio`]: the framing of event streams;
//! * [`environment`]: what the agent tells an executor in its environment;
//! * [`answer`]: what the other side says of an error;
//! * [`transport`]: connections of HTTP, for this and for a scheduler's side of the API;
//! * [`session`]: the protocol of an executor, as a state machine without clock, socket or thread;
//! * [`shell`]: that machine on hyper and tokio, for a `current_thread` runtime.
//!
//! An executor needs [`Environment`], [`Client`], [`Event`], and the messages that it fills in.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod answer;
pub mod base64;
pub mod codec;
pub mod duration;
pub mod environment;
mod event;
pub mod json;
pub mod recordio;
pub mod schema;
pub mod session;
pub mod shell;
pub mod transport;

pub use codec::Format;
pub use environment::Environment;
pub use event::{Event, GiveUp};
pub use session::Options;
pub use shell::{Client, Handle};

/// Package `mesos.v1`: what all of Mesos' v1 APIs share.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/mesos.v1.rs"));

    /// Package `mesos.v1.executor`: calls of executors and events for them.
    pub mod executor {
        include!(concat!(env!("OUT_DIR"), "/mesos.v1.executor.rs"));
    }

    /// Package `mesos.v1.scheduler`: calls of schedulers and events for them.
    #[cfg(feature = "scheduler")]
    pub mod scheduler {
        include!(concat!(env!("OUT_DIR"), "/mesos.v1.scheduler.rs"));
    }
}
