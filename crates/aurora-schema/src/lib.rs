//! The typed, templated model of processes, tasks and jobs: what a `Task` may contain, how
//! `{{references}}` are replaced, what is checked, and JSON in and out. No files, no clock, no
//! interpreter.
//!
//! | module | what |
//! |---|---|
//! | [`task`] | the Thermos task, loaded and validated: what the runner needs |
//! | [`types`] | descriptions of types: scalars, enumerations, lists, maps, choices, structs |
//! | [`schema`] | the structs of Aurora and Thermos as such descriptions |
//! | [`value`] | values of these types that may still be templates |
//! | [`template`] | the grammar of references |
//! | [`scope`] | where references are looked up |
//! | [`interpolate`] | replacing them |
//! | [`check`] | the type check |
//! | [`json`], [`number`] | the JSON dialect, number formats |
//! | [`error`] | errors that name a path |
//! | [`wording`] | the same in the words of the configuration language |
//! | [`transfer`] | values with everything bound to them, from one process to another |
//!
//! Input is never trusted: nesting, text growth and work are bounded, and every mistake is an
//! error with a path, never a panic.

pub mod check;
pub mod error;
pub mod interpolate;
pub mod json;
pub mod number;
pub mod schema;
pub mod scope;
pub mod task;
pub mod template;
pub mod transfer;
pub mod types;
pub mod value;
pub mod wording;

pub use scope::{BindError, Bindings};
