//! What the original asserts of its scheduler, one test per behaviour.
//!
//! | module | subject |
//! |---|---|
//! | [`machine`] | the state machine of a task |
//! | [`manager`] | changes of tasks |
//! | [`watch`] | partitions, timeouts, kill retries, throttling, rescheduling, history |
//! | [`groups`] | task groups and rounds |
//! | [`assigner`] | from offers to launches |
//! | [`filter`] | vetoes |
//! | [`offers`] | offers: order, holding, giving back |
//! | [`opened`] | several launches with one offer |
//! | [`stats`] | counters of tasks |
//! | [`jobs`] | what users ask of jobs, as far as the core answers |
#![allow(clippy::unwrap_used, clippy::panic)]

mod assigner;
mod filter;
mod groups;
mod jobs;
mod machine;
mod manager;
mod offers;
mod opened;
mod stats;
mod support;
mod watch;
