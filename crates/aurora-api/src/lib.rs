//! The Thrift types of Aurora and Thermos, generated from the definitions in `idl/`.
//!
//! | module | definitions | content |
//! |---|---|---|
//! | [`api`] | `api.thrift` | jobs, tasks, updates; the calls of clients and operators; task data |
//! | [`storage`] | `storage.thrift` | records of the scheduler's log, snapshots, backups |
//! | [`thermos`] | `thermos_internal.thrift` | records of checkpoint streams |
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
//!
//! A client writes a call and reads the reply; a server implements `Handler` of the three services
//! and hands messages to [`api::aurora_admin::dispatch`], which serves the methods of all of them:
//!
//! ```
//! use aurora_api::api::ResponseCode;
//! use aurora_api::api::read_only_scheduler::{GetQuota, GetQuotaArgs};
//! use aurora_api::tjson;
//! use thrift_wire::{read_reply, write_call};
//!
//! let mut call = String::new();
//! let args = GetQuotaArgs { owner_role: Some("web".to_owned()), ..Default::default() };
//! write_call::<GetQuota, _>(&mut tjson::Writer::new(&mut call), 1, &args);
//! assert_eq!(call, r#"[1,"getQuota",1,1,{"1":{"str":"web"}}]"#);
//!
//! let reply = br#"[1,"getQuota",2,1,{"0":{"rec":{"1":{"i32":0},"6":{"lst":["rec",0]}}}}]"#;
//! let response = read_reply::<GetQuota, _>(&mut tjson::Reader::new(reply), 1);
//! assert_eq!(response.map(|r| r.response_code), Ok(Some(ResponseCode::INVALID_REQUEST)));
//! ```
//!
//! # What to know about the data
//!
//! * Absent is not empty: clients send absent, empty and zero arguments alike, and each comes
//!   through as it was sent. The definitions say where they mean the same.
//! * `TaskConfig.container` alone has a default, a plain Mesos container. It is there when it was
//!   absent, and is always written.
//! * Sets and maps are written in one order, that of their elements, whatever order they came in. So
//!   equal values have equal bytes, but what others wrote in another order does not come back byte
//!   for byte.
//! * A union without a field is refused, which the original lets through and refuses later.

pub use thrift_wire::{binary, readable, tjson};

/// What a scheduler and its clients say to each other, and the tasks that agents get.
///
/// The services extend one another: [`read_only_scheduler`](api::read_only_scheduler), then
/// [`aurora_scheduler_manager`](api::aurora_scheduler_manager), then
/// [`aurora_admin`](api::aurora_admin).
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
