//! The Thermos process runner.
//!
//! It runs one *task*: a set of bash *processes* that share a sandbox, start in declared order, are
//! retried, finalized, logged and checkpointed. See `ARCHITECTURE.md` at the top of the repository.
//!
//! * [`plan`] and [`state`] say what may happen, [`engine`] decides what happens: pure.
//! * [`shell`] makes it happen: one thread, one loop. [`coordinator`] supervises one process run.
//! * [`stream`], [`files`] and [`view`] are the data on disk, compatible with the original.
//! * [`logs`] is about the output of processes: cutting, counting, copying, following.
//! * [`proc`], [`reach`] and [`kill`] are about processes, and who may be signalled.

pub mod command;
pub mod coordinator;
pub mod engine;
pub mod error;
pub mod files;
pub mod flags;
pub mod kill;
pub mod launch;
pub mod logging;
pub mod logs;
pub mod plan;
pub mod proc;
pub mod reach;
pub mod shell;
pub mod signals;
pub mod state;
pub mod stream;
pub mod users;
pub mod view;
