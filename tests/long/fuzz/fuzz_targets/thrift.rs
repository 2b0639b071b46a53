//! Any bytes, in every encoding: nothing panics, and what was decoded comes back from its encoding.
#![no_main]

use std::fmt::Debug;

use aurora_api::thermos::{RunnerCkpt, RunnerState};
use libfuzzer_sys::fuzz_target;
use thrift_wire::{ApplicationError, Fields, InMessage, Wire, binary, readable, tjson};

/// Decodes `data` as a `T` in each encoding, and what came out in each encoding again.
fn check<T: Wire + Eq + Debug>(data: &[u8]) {
    if let Ok(value) = binary::from_slice::<T>(data) {
        let bytes = binary::to_vec(&value);
        assert_eq!(binary::from_slice::<T>(&bytes).as_ref(), Ok(&value));
        texts(&value);
    }
    if let Ok(value) = tjson::from_slice::<T>(data) {
        let bytes = binary::to_vec(&value);
        assert_eq!(binary::from_slice::<T>(&bytes).as_ref(), Ok(&value));
        texts(&value);
    }
    if let Ok(value) = readable::from_slice::<T>(data) {
        texts(&value);
    }
    if let Ok((_, length)) = binary::from_prefix::<T>(data) {
        assert!(length <= data.len());
        assert!(binary::from_slice::<T>(&data[..length]).is_ok());
    }
}

/// The text forms keep everything but two things: the payload of a NaN, and whether an unknown
/// string that is not UTF-8 was bytes or base64. So their texts are compared, not the values.
fn texts<T: Wire>(value: &T) {
    let text = tjson::to_string(value);
    let again = tjson::from_str::<T>(&text).map(|value| tjson::to_string(&value));
    assert_eq!(again.as_ref(), Ok(&text));
    let text = readable::to_string(value);
    let again = readable::from_str::<T>(&text).map(|value| readable::to_string(&value));
    assert_eq!(again.as_ref(), Ok(&text));
}

/// Reads a message whose content is an application exception.
fn message<I: InMessage>(mut input: I) {
    if input.message_begin().is_ok() && ApplicationError::read(&mut input).is_ok() {
        _ = input.message_end();
    }
}

fuzz_target!(|data: &[u8]| {
    check::<RunnerCkpt>(data);
    check::<RunnerState>(data);
    check::<Fields>(data);
    message(binary::Reader::new(data));
    message(tjson::Reader::new(data));
});
