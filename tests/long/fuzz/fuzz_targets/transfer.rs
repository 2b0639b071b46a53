//! Any bytes as what the evaluator hands over: no panic, and what is understood is written and read
//! again as itself, and can be interpolated, checked and printed within its limits.

#![no_main]

use aurora_schema::check::check_interpolated;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::{json, transfer};
use libfuzzer_sys::fuzz_target;

/// Small, so that no input takes long.
const LIMITS: Limits = Limits { text: 1 << 16, work: 1 << 20 };

fuzz_target!(|source: &[u8]| {
    let Ok(document) = json::parse(source) else { return };
    let Ok(values) = transfer::decode(&document) else { return };
    let written = transfer::encode(&values);
    let Ok(again) = json::parse(written.as_bytes()) else {
        panic!("no JSON: {written}");
    };
    match transfer::decode(&again) {
        // NaN differs from itself, also inside what is otherwise equal.
        Ok(again) if !written.contains("NaN") => assert_eq!(again, values),
        Ok(_) => {}
        Err(error) => panic!("{error}: {written}"),
    }
    for value in &values {
        let _ = value.attribute("name");
        if let Ok(done) = interpolate(value, &LIMITS) {
            let _ = check_interpolated(&done.value);
            let _ = done.value.to_json();
        }
    }
});
