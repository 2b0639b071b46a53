//! The test definitions as Rust, for tests and examples.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod everything {
    include!(concat!(env!("OUT_DIR"), "/everything.rs"));
}

pub mod shared_types {
    include!(concat!(env!("OUT_DIR"), "/shared_types.rs"));
}
