//! The Aurora scheduler.
//!
//! [`core`] decides and does nothing: a deterministic function of (state, event, now). [`shell`]
//! does and decides nothing: one loop between the core, the log, Mesos ([`driver`]) and callers.
//! Faces parse at the door: [`flags`] and [`options`], [`api`] for Thrift, [`http`] for all that
//! comes in. [`command`] puts them together.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod command;
pub mod core;
pub mod counters;
pub mod driver;
pub mod flags;
pub mod http;
pub mod local;
pub mod options;
pub mod shell;
pub mod taskinfo;
