//! Mesos' v1 HTTP API from the side of a scheduler.
//!
//! * [`v1`]: the messages; [`codec`] and [`json`]: these as protobuf and as Mesos' JSON. All of them are
//!   `mesos-executor`'s;
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

pub use mesos_executor::{codec, json, v1};

use mesos_executor::{base64, schema};

pub use codec::Format;
pub use event::{CallError, Event, GiveUp, Receipt};
pub use framework::{Credentials, Framework};
pub use master::Masters;
pub use mesos_executor::environment::Endpoint;
pub use session::Options;
pub use shell::{Client, Handle};
