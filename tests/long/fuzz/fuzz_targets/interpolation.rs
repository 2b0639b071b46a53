//! Any text as a template of every scalar type, with two values that may refer to each other: no
//! panic, and no reference is left that is not reported. Input: three texts separated by NUL.

#![no_main]

use aurora_schema::Bindings;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json::Json;
use aurora_schema::template::{Token, Tokens};
use aurora_schema::types::Type;
use aurora_schema::value::{Strictness, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|source: &str| {
    let mut parts = source.splitn(3, '\0');
    let template = parts.next().unwrap_or_default();
    let mut bindings = Bindings::new();
    for (address, part) in ["a", "b.c[d]"].into_iter().zip(parts) {
        if bindings.bind(address, part).is_err() {
            return;
        }
    }
    // Small: a value that refers to itself goes through all of it.
    let limits = Limits { text: 1 << 12, work: 1 << 16 };
    let types = [
        Type::String,
        Type::Integer,
        Type::Float,
        Type::Boolean,
        Type::enumeration("E", &["A", "B"]),
        Type::choice(vec![Type::Integer, Type::String]),
    ];
    for ty in types {
        // Words outside an enumeration are refused when interpolated, not here.
        let text = Json::Text(template.into());
        let Ok(value) = Value::from_json(&ty, text, Strictness::Strict) else {
            continue;
        };
        let value = value.bind([bindings.scope()]);
        let Ok(done) = interpolate(&value, &limits) else {
            continue;
        };
        let text = done.value.as_text().unwrap_or_default();
        let left = Tokens::new(text).any(|token| !matches!(token, Token::Plain(_)));
        assert!(done.unescaped || left == !done.unbound.is_empty());
        if !done.unescaped {
            let again = interpolate(&done.value, &limits);
            assert_eq!(again.map(|again| again.value.to_json()), Ok(done.value.to_json()));
        }
    }
});
