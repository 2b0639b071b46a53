//! Integers of any size for the interpreter: `num-bigint` under the name that it asks for.

pub use num_bigint::{BigInt, BigUint, ParseBigIntError, Sign, ToBigInt, ToBigUint};
