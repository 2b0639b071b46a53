//! The Thermos executor: what a Mesos agent launches to run one task and report on it.
//!
//! ```text
//! agent ─ event ─► shell ─► assignment (decode, bind, validate) ─► executor (core)
//!   ▲                │                                                │
//!   └── update ──────┴── sandbox, runner (this very file, in another role) ◄─ effect
//! ```
//!
//! [`executor`], [`assignment`] and [`outcome`] are pure; [`shell`] and [`sandbox`] act.

pub mod assignment;
pub mod executor;
pub mod options;
pub mod outcome;
pub mod sandbox;
pub mod shell;

/// The first argument that makes this program the runner: an agent copies one file into a sandbox,
/// under any name, and that file must be everything.
pub const RUNNER_ROLE: &str = "--thermos-role=runner";
