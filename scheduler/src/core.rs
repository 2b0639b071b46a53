//! The core of the scheduler: what is stored, what happens next.
//!
//! | module | what it is |
//! |---|---|
//! | [`engine`] | what happens next, as a function of (state, event, now) |
//! | [`state`], [`op`], [`task`], [`config`] | what is stored: rows, indexes, changes |
//! | [`convert`], [`snapshot`] | rows from and to Thrift; transactions and snapshots as bytes |
//! | [`machine`], [`manager`] | the state machine of a task as a table; changes of tasks |
//! | [`query`] | which tasks are meant |
//! | [`jobs`] | what users ask of jobs |
//! | [`offers`], [`opened`], [`filter`], [`groups`], [`assigner`] | from waiting tasks and offers to launches |
//! | [`spread`], [`reservations`], [`resources`] | what the filter and the assigner look at |
//! | [`watch`], [`reschedule`], [`timers`] | what happens later |
//! | [`reconcile`] | asking Mesos what it knows |
//! | [`settings`], [`stats`], [`dice`] | what operators set and see; chance |

pub mod assigner;
pub mod config;
pub mod convert;
pub mod dice;
pub mod engine;
pub mod filter;
pub mod groups;
mod index;
pub mod jobs;
pub mod machine;
pub mod manager;
pub mod name;
pub mod offers;
pub mod op;
pub mod opened;
mod paged;
pub mod query;
pub mod reconcile;
pub mod reschedule;
pub mod reservations;
pub mod resources;
pub mod rows;
pub mod settings;
pub mod snapshot;
pub mod spread;
pub mod state;
pub mod stats;
pub mod status;
pub mod task;
pub mod timers;
pub mod watch;
