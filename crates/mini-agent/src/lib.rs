//! A small Mesos agent for one machine.
//!
//! It launches executors and speaks Mesos' v1 executor API with them, on loopback: an executor
//! cannot tell it from a real agent by what is on the wire, in its environment, or on disk. There
//! is no master: the user of [`Agent`] launches and kills, and reads [`Report`]s.
//!
//! ```text
//! user ─ launch, kill ─► Agent ─ input ─► core (one per executor) ─ effect ─► stream, process
//!   ▲                      ▲                                                      │
//!   └────── Report ────────┴── POST /api/v1/executor ◄── executor ◄───────────────┘
//! ```
//!
//! [`core`] and [`api`] are pure; [`agent`] serves, [`directory`] and [`process`] act. What is left
//! out: the fetcher, containers, resource isolation, changing the user, and recovery: this agent
//! ends with its process, and what it launched ends with it.
//!
//! [`master`] is a master with such agents, for a cluster in one process.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod agent;
pub mod api;
pub mod core;
pub mod directory;
mod http;
pub mod launcher;
pub mod master;
pub mod process;
mod random;
mod server;

pub use agent::{Added, Agent, Framework, Options, Report};
pub use launcher::LAUNCHER_ROLE;
pub use random::uuid_text as new_id;
