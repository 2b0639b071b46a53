//! The client: reading job configurations, and the commands that do something with them.
//!
//! | module | what |
//! |---|---|
//! | [`evaluate`] | files in Python syntax, through the evaluator's process; JSON files |
//! | [`select`] | job keys, and the job of a key |
//! | [`config`] | one job made ready: bindings, the client's own checks |
//! | [`convert`] | the job as the scheduler gets it |
//! | [`ports`] | which ports a job asks for |
//! | [`settings`] | how an update goes about it |
//! | [`images`] | images by their content |
//! | [`problem`] | mistakes, with stage and place |
//!
//! ```text
//! file ──evaluate──► values with bindings ──select──► one job ──config──► interpolated, checked
//!                                                                 │
//!                                            convert ◄────────────┘
//!                                               └──► JobConfiguration, ports
//! ```
//!
//! Everything else is behind the feature `cluster`, which is on by default:
//!
//! | module | what |
//! |---|---|
//! | [`world`] | everything that is outside: clock, terminal, programs, connections; [`real`] is the one there is |
//! | [`context`] | what every command has at hand: printing, clusters, answers |
//! | [`clusters`], `schedulers` | `clusters.json`, and finding a cluster's scheduler |
//! | [`rpc`] | calls, and which of them are made again; over [`http`], [`proxy`], [`tls`], [`netrc`] |
//! | `registry` | registries of images |
//! | [`keys`] | keys on the command line, with instances or patterns |
//! | [`tiers`] | which tier a job gets |
//! | [`monitor`] | waiting for tasks |
//! | `hooks` | methods of the file's, called around calls |
//! | [`commands`] | the verbs of each noun |
//! | [`exit`] | exit codes, and why a command ends early |
//! | [`uptime`] | for how long instances have been up |
//! | [`cli`], [`admin`] | the command lines |
//!
//! A command line is one call, [`run`]: arguments and a [`World`](world::World) to an exit code. A verb
//! is a function of its options and a [`Context`](context::Context) and reads top-down:
//!
//! ```ignore
//! let response = context.call::<GetQuota>(cluster, &arguments)?; // retries as the method allows
//! context.check_plainly(&response)?;                             // or the exit code of a refusal
//! context.say(text);                                             // standard output
//! Ok(code::OK)
//! ```

#[cfg(feature = "cluster")]
pub mod admin;
#[cfg(feature = "cluster")]
pub mod cli;
#[cfg(feature = "cluster")]
pub mod clusters;
#[cfg(feature = "cluster")]
pub mod commands;
pub mod config;
#[cfg(feature = "cluster")]
pub mod context;
pub mod convert;
pub mod evaluate;
#[cfg(feature = "cluster")]
pub mod exit;
#[cfg(feature = "cluster")]
mod hooks;
#[cfg(feature = "cluster")]
pub mod http;
pub mod images;
#[cfg(feature = "cluster")]
pub mod keys;
#[cfg(feature = "cluster")]
pub mod monitor;
#[cfg(feature = "cluster")]
pub mod netrc;
pub mod ports;
pub mod problem;
#[cfg(feature = "cluster")]
pub mod proxy;
#[cfg(feature = "cluster")]
pub mod real;
#[cfg(feature = "cluster")]
mod registry;
#[cfg(feature = "cluster")]
pub mod rpc;
#[cfg(feature = "cluster")]
mod schedulers;
pub mod select;
pub mod settings;
#[cfg(any(all(test, feature = "cluster"), feature = "testing"))]
#[doc(hidden)]
pub mod testing;
#[cfg(feature = "cluster")]
pub mod tiers;
#[cfg(feature = "cluster")]
pub mod tls;
#[cfg(feature = "cluster")]
pub mod uptime;
#[cfg(feature = "cluster")]
pub mod world;

#[cfg(feature = "cluster")]
pub use cli::run;
