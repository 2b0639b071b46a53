//! The Thrift types of Aurora and Thermos, generated from the definitions in `idl/`.
//!
//! All of them are [`thrift_wire::Wire`]; encode and decode them with [`binary`], [`tjson`] and
//! [`readable`]:
//!
//! ```
//! use aurora_api::binary;
//! use aurora_api::thermos::{RunnerCkpt, TaskState, TaskStatus};
//!
//! let status = TaskStatus { state: Some(TaskState::ACTIVE), ..Default::default() };
//! let record = RunnerCkpt::TaskStatus(status);
//! let bytes = binary::to_vec(&record);
//! assert_eq!(binary::from_slice::<RunnerCkpt>(&bytes), Ok(record));
//! ```

pub use thrift_wire::{binary, readable, tjson};

/// What a scheduler and its clients say to each other, and the tasks that agents get.
///
/// The services extend one another: `aurora_admin::dispatch` serves the methods of all three.
pub mod api {
    include!(concat!(env!("OUT_DIR"), "/api.rs"));
}

/// What a scheduler writes to its replicated log and to backups.
pub mod storage {
    include!(concat!(env!("OUT_DIR"), "/storage.rs"));
}

/// The records of Thermos checkpoint streams.
pub mod thermos {
    include!(concat!(env!("OUT_DIR"), "/thermos.rs"));
}
