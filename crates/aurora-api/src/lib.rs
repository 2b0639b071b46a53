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

/// The records of Thermos checkpoint streams.
pub mod thermos {
    include!(concat!(env!("OUT_DIR"), "/thermos.rs"));
}
