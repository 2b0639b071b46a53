//! A durable, replicated log of a state machine's changes.
//!
//! The application has a state that is changed by entries of the log and by nothing else. It decides
//! on its own copy, ahead of the log: an entry has its position as soon as it is appended, and all
//! that follows from it waits until that position is committed.
//!
//! ```text
//! application ── entry, image of the state ──► Writer ── queue ──► batcher ──► raft
//!      ▲                                                                        │
//!      │                                            segments ◄── journal ◄──────┤
//!      └── Progress: committed up to … ◄── machine: adopt or apply ◄────────────┘
//!                                             └── snapshots, in the background
//! ```
//!
//! Raft is openraft's; nothing of it is seen outside of this crate. What is on disk is ours:
//! [`segment`] and [`snapshot`] are the formats, pure; `journal` and `snapshots` do the reading and
//! writing.
//!
//! * An entry is committed when it is durable on a quorum of the voters, synced, not in a cache.
//! * A log that was cut, flipped or mixed up is refused with the name of the file and the place; only
//!   the last write before a crash, which nobody was told about, is cut off.
//! * After any failed write or sync nothing is written any more: the process must end.
//!
//! ```no_run
//! # use replicated_log::{Log, Options, StateMachine};
//! # async fn example<S: StateMachine>(state: S, entry: bytes::Bytes, image: S::Image)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let (log, recovered) = Log::open(Options::new("/var/lib/scheduler/log"), state).await?;
//! let (mut writer, state_to_begin_with) = log.lead().await?;
//! let position = writer.append(entry, image).map_err(|refused| format!("{:?}", refused.reason))?;
//! writer.wait(position).await?;
//! # Ok(())
//! # }
//! ```

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// Tests share an application with those that see this crate from outside.
#[cfg(test)]
extern crate self as replicated_log;
#[cfg(test)]
#[path = "../tests/app/mod.rs"]
mod app;

mod batch;
mod codec;
mod disk;
mod error;
mod journal;
mod log;
mod machine;
mod metrics;
mod network;
mod random;
mod seal;
pub mod segment;
pub mod snapshot;
mod snapshots;
mod store;
mod types;

pub use error::{Ended, Fatal, OpenError, TornTail};
pub use log::{Log, MAX_ENTRY, Options, Progress, Reason, Recovered, Refused, Role, Writer};
pub use machine::StateMachine;
pub use metrics::{Histogram, Metrics};
pub use snapshots::SnapshotPolicy;
pub use types::{ClusterId, Position, ReplicaId, Term};
