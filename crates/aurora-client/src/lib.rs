//! The client: reading job configurations, and what the commands do with them.
//!
//! | module | what |
//! |---|---|
//! | [`evaluate`] | files in Python syntax, through the evaluator's process; JSON files |
//! | [`select`] | job keys, and the job of a key |
//! | [`config`] | one job made ready: bindings, the client's own checks |
//! | [`convert`] | the job as the scheduler gets it |
//! | [`ports`] | which ports a job asks for |
//! | [`problem`] | mistakes, with stage and place |
//! | [`commands`] | `config list`, `config dump`, `job inspect` |
//! | [`cli`] | the command line |
//!
//! ```text
//! file ──evaluate──► values with bindings ──select──► one job ──config──► interpolated, checked
//!                                                                 │
//!                                            convert ◄────────────┘
//!                                               └──► JobConfiguration, ports
//! ```

pub mod cli;
pub mod commands;
pub mod config;
pub mod convert;
pub mod evaluate;
pub mod ports;
pub mod problem;
pub mod select;
