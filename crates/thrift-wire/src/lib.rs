//! Thrift on the wire, without dependencies.
//!
//! A type that can cross the wire implements [`Wire`]: it writes itself to any [`Out`] and reads
//! itself from any [`In`]. Three pairs of those exist:
//!
//! | module | form | use |
//! |---|---|---|
//! | [`binary`] | TBinaryProtocol | checkpoints, task data, RPC |
//! | [`tjson`] | TJSONProtocol (ids and type tags) | RPC from browsers and others |
//! | [`readable`] | JSON with field and enum names | people, REST-like endpoints, logs |
//!
//! Each has `to_vec` or `to_string`, `append`, `from_slice` and (text forms) `from_str`.
//!
//! ```
//! use std::collections::BTreeMap;
//! let ports = BTreeMap::from([("http".to_owned(), 31000_i64)]);
//! let bytes = thrift_wire::binary::to_vec(&ports);
//! assert_eq!(thrift_wire::binary::from_slice(&bytes), Ok(ports.clone()));
//! assert_eq!(thrift_wire::readable::to_string(&ports), r#"{"http":31000}"#);
//! ```
//!
//! # What is kept and what is refused
//!
//! * A field that is not on the wire is `None`, never an empty value.
//! * Fields a struct does not know are kept in its `unknown` member as [`Value`] trees and written
//!   again in order of their ids, in any encoding. The same goes for a known id that arrives with
//!   another type than declared: the field reads as unset and the value is kept as unknown.
//! * Enum values without a name are kept as numbers.
//! * A union must have exactly one field; one that this version does not know is kept.
//! * A `string` that is not UTF-8 is an error that names the field (a `binary` takes any bytes, and
//!   so do unknown fields). Nothing is replaced or dropped silently.
//! * A list, set or map whose elements have another type than declared is an error, unless empty.
//! * Duplicates in a set collapse; of equal map keys the last one wins.
//! * Nesting deeper than [`MAX_DEPTH`] and lengths beyond the end of the input are errors, found
//!   before anything is allocated for them.
//!
//! Generated code comes from the `thrift-idl` crate.

pub mod binary;
mod error;
mod json;
mod message;
pub mod readable;
#[doc(hidden)]
pub mod support;
pub mod tjson;
mod types;
mod value;
mod wire;

pub use error::{DecodeError, ErrorKind};
pub use message::{
    ApplicationError, CallError, InMessage, MessageHead, MessageKind, Method, OutMessage, Served,
    read_reply, serve, unknown_method, write_call, write_exception,
};
pub use types::{Bytes, Double, Field, StructDef, TType};
pub use value::{Fields, UnknownFields, Value};
pub use wire::{In, Items, MAX_DEPTH, Out, Wire};
