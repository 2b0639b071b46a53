//! Generated types in every encoding: what survives, what is refused, and that nothing panics.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/arbitrary.rs"]
mod arbitrary;
mod support;

use std::fmt::Debug;

use arbitrary::everything;
use proptest::prelude::*;
use support::everything::{
    Bases, Containers, Defaults, Empty, Everything, Needs, NeedsShape, OldEverything, Shape,
};
use support::shared_types::{Color, Point};
use thrift_wire::{
    Bytes, DecodeError, Double, ErrorKind, Fields, TType, Value, Wire, binary, readable, tjson,
};

#[test]
fn unset_is_not_empty() {
    let unset = Containers::default();
    let empty = Containers {
        bools: Some(vec![]),
        longs: Some(Default::default()),
        by_number: Some(Default::default()),
        strings: Some(Default::default()),
        ..Default::default()
    };
    let zero = Bases {
        a_bool: Some(false),
        an_i32: Some(0),
        a_string: Some(String::new()),
        a_binary: Some(Bytes::default()),
        ..Default::default()
    };
    assert_eq!(binary::to_vec(&unset), [0]);
    assert_eq!(readable::to_string(&unset), "{}");
    assert_eq!(
        readable::to_string(&empty),
        r#"{"bools":[],"longs":[],"byNumber":{},"strings":{}}"#
    );
    assert_eq!(
        tjson::to_string(&zero),
        r#"{"1":{"tf":0},"4":{"i32":0},"7":{"str":""},"8":{"str":""}}"#
    );
    for value in [unset, empty] {
        assert_eq!(binary::from_slice(&binary::to_vec(&value)).as_ref(), Ok(&value));
        assert_eq!(tjson::from_str(&tjson::to_string(&value)).as_ref(), Ok(&value));
        assert_eq!(readable::from_str(&readable::to_string(&value)).as_ref(), Ok(&value));
    }
    assert_eq!(binary::from_slice(&binary::to_vec(&zero)), Ok(zero));
}

#[test]
fn enum_values_without_a_name_survive() {
    let bases = Bases { a_color: Some(Color(1234)), ..Default::default() };
    assert_eq!(binary::from_slice(&binary::to_vec(&bases)).as_ref(), Ok(&bases));
    assert_eq!(readable::to_string(&bases), r#"{"aColor":1234}"#);
    assert_eq!(readable::from_str(r#"{"aColor":1234}"#), Ok(bases));
    for text in [r#"{"aColor":"Infra_Red"}"#, r#"{"aColor":-1}"#, r#"{"aColor":"-1"}"#] {
        let found: Bases = readable::from_str(text).unwrap();
        assert_eq!(found.a_color, Some(Color::INFRA_RED));
    }
}

#[test]
fn a_known_id_with_another_type_is_kept() {
    let odd = Fields(vec![(4, Value::String(Bytes::from("four"))), (5, Value::I64(5))]);
    let bytes = binary::to_vec(&odd);
    let bases: Bases = binary::from_slice(&bytes).unwrap();
    assert_eq!((bases.an_i32, bases.an_i64), (None, Some(5)));
    assert_eq!(bases.unknown.get(4), Some(&Value::String(Bytes::from("four"))));
    assert_eq!(binary::to_vec(&bases), bytes);
    let text = r#"{"4":{"str":"four"},"anI64":5}"#;
    assert_eq!(readable::to_string(&bases), text);
    assert_eq!(readable::from_str(text), Ok(bases));

    let shape: Shape =
        binary::from_slice(&binary::to_vec(&Fields(vec![(1, Value::I8(1))]))).unwrap();
    assert_eq!(shape, Shape::Unknown(1, Value::I8(1)));
}

#[test]
fn default_and_required_fields() {
    // What is not on the wire has its default.
    assert_eq!(binary::from_slice(&[0]), Ok(Defaults::default()));
    assert_eq!(tjson::from_str("{}"), Ok(Defaults::default()));
    let needs: Needs = readable::from_str(r#"{"id":1,"at":{},"note":null}"#).unwrap();
    assert_eq!(needs, Needs { id: 1, name: "none".to_owned(), ..Default::default() });
    for (text, message) in [
        (r#"{"at":{}}"#, "byte 9: Needs lacks its required field id (id 1)"),
        (r#"{"id":1}"#, "byte 8: Needs lacks its required field at (id 2)"),
    ] {
        assert_eq!(readable::from_str::<Needs>(text).unwrap_err().to_string(), message);
    }
    let shape = NeedsShape { shape: Shape::Circle(Double(1.0)), unknown: Fields::new() };
    assert_eq!(binary::from_slice(&binary::to_vec(&shape)), Ok(shape));
}

fn refused<T: Wire + Debug>(found: Result<T, DecodeError>, message: &str) {
    assert_eq!(found.unwrap_err().to_string(), message);
}

#[test]
fn unions_have_exactly_one_field() {
    let none = "the union Shape has no field set";
    let several = "the union Shape has more than one field set";
    refused(binary::from_slice::<Shape>(&[0]), &format!("byte 1: {none}"));
    refused(tjson::from_str::<Shape>("{}"), &format!("byte 2: {none}"));
    refused(readable::from_str::<Shape>("{}"), &format!("byte 2: {none}"));
    refused(readable::from_str::<Shape>(r#"{"cirle":1}"#), &format!("byte 11: {none}"));
    let two = Fields(vec![(1, Value::Double(Double(1.0))), (1, Value::Double(Double(1.0)))]);
    refused(binary::from_slice::<Shape>(&binary::to_vec(&two)), &format!("byte 22: {several}"));
    let other = Fields(vec![(1, Value::Double(Double(1.0))), (99, Value::I8(1))]);
    refused(binary::from_slice::<Shape>(&binary::to_vec(&other)), &format!("byte 15: {several}"));
    refused(
        readable::from_str::<Shape>(r#"{"circle":1,"names":[]}"#),
        &format!("byte 22: {several}"),
    );
}

#[test]
fn errors_name_the_place() {
    for (text, message) in [
        (
            r#"{"containers":{"shapes":[{"circle":1},{"point":{"x":1.5}}]}}"#,
            "byte 52, in containers.shapes[1].point.x: expected an i32, found `1.5`",
        ),
        (
            r#"{"bases":{"aColor":"GREY"}}"#,
            "byte 19, in bases.aColor: no enum value is named `GREY`; \
             expected one of RED, GREEN, blue, Infra_Red, ULTRA",
        ),
        (
            r#"{"bases":{"4":{"i32":1}}}"#,
            "byte 21, in bases: field 4 of Bases goes by its name, anI32",
        ),
        (r#"{"last":[]}"#, "byte 8, in last: expected a string, found `[`"),
    ] {
        refused(readable::from_str::<Everything>(text), message);
    }
    let mut bytes = binary::to_vec(&Everything {
        bases: Some(Bases { a_string: Some("ok".to_owned()), ..Default::default() }),
        ..Default::default()
    });
    bytes[10] = 0xff;
    refused(
        binary::from_slice::<Everything>(&bytes),
        "byte 10, in bases.aString: a string holds bytes that are not UTF-8",
    );
}

#[test]
fn readable_form_passes_over_what_it_does_not_know() {
    let text = r#"{"x":1,"later":{"a":[1,{"b":"}"}]},"y":2,"none":null}"#;
    let point = Point { x: Some(1), y: Some(2), ..Default::default() };
    assert_eq!(readable::from_str(text), Ok(point));
}

#[test]
fn small_input_cannot_claim_much() {
    // A list of 2^31-1 structs, and of as many empty strings, in a few bytes.
    for element in [TType::Struct, TType::String, TType::Bool] {
        for field in [1_u8, 6, 8] {
            let bytes = [
                &[12, 0, 2, if field == 6 { 14 } else { 15 }, 0, field, element as u8][..],
                &i32::MAX.to_be_bytes(),
            ]
            .concat();
            let error = binary::from_slice::<Everything>(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Truncated);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..Default::default() })]

    #[test]
    fn everything_survives(value in everything()) {
        let bytes = binary::to_vec(&value);
        prop_assert_eq!(binary::from_slice::<Everything>(&bytes), Ok(value.clone()));
        let text = tjson::to_string(&value);
        prop_assert_eq!(tjson::from_str::<Everything>(&text), Ok(value.clone()));
        let text = readable::to_string(&value);
        prop_assert_eq!(readable::from_str::<Everything>(&text), Ok(value));
    }

    /// A peer that knows few of the fields, or none, passes all of them on.
    #[test]
    fn old_peers_pass_everything_on(value in everything()) {
        let bytes = binary::to_vec(&value);
        let old: OldEverything = binary::from_slice(&bytes).unwrap();
        prop_assert_eq!(&binary::to_vec(&old), &bytes);
        let empty: Empty = binary::from_slice(&bytes).unwrap();
        prop_assert_eq!(&binary::to_vec(&empty), &bytes);

        let text = tjson::to_string(&value);
        let old: OldEverything = tjson::from_str(&text).unwrap();
        prop_assert_eq!(&tjson::to_string(&old), &text);
        // Through the readable form, where unknown fields carry their types.
        let old: OldEverything = readable::from_str(&readable::to_string(&old)).unwrap();
        prop_assert_eq!(&tjson::to_string(&old), &text);
    }

    #[test]
    fn truncation_is_an_error(value in everything(), cut in any::<prop::sample::Index>()) {
        let bytes = binary::to_vec(&value);
        let len = cut.index(bytes.len());
        prop_assert!(binary::from_slice::<Everything>(&bytes[..len]).is_err());
        let text = tjson::to_string(&value).into_bytes();
        prop_assert!(tjson::from_slice::<Everything>(&text[..cut.index(text.len())]).is_err());
        let text = readable::to_string(&value).into_bytes();
        prop_assert!(readable::from_slice::<Everything>(&text[..cut.index(text.len())]).is_err());
    }

    #[test]
    fn flipped_bits_do_not_panic(
        value in everything(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let flip = |mut bytes: Vec<u8>| {
            for (at, bit) in &flips {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            bytes
        };
        if let Ok(other) = binary::from_slice::<Everything>(&flip(binary::to_vec(&value))) {
            let again = binary::to_vec(&other);
            prop_assert_eq!(binary::from_slice::<Everything>(&again), Ok(other));
        }
        // NaN loses its payload in text, so only the text is compared here.
        let text = flip(tjson::to_string(&value).into_bytes());
        if let Ok(other) = tjson::from_slice::<Everything>(&text) {
            let text = tjson::to_string(&other);
            let again = tjson::from_str::<Everything>(&text).map(|v| tjson::to_string(&v));
            prop_assert_eq!(again, Ok(text));
        }
        let text = flip(readable::to_string(&value).into_bytes());
        if let Ok(other) = readable::from_slice::<Everything>(&text) {
            let text = readable::to_string(&other);
            let again = readable::from_str::<Everything>(&text).map(|v| readable::to_string(&v));
            prop_assert_eq!(again, Ok(text));
        }
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_of_a_record() {
    use aurora_api::thermos::{ProcessState, ProcessStatus, RunnerCkpt};
    let record = RunnerCkpt::ProcessStatus(ProcessStatus {
        seq: Some(3),
        process: Some("name".to_owned()),
        state: Some(ProcessState::FAILED),
        stop_time: Some(Double(1.25)),
        return_code: Some(1),
        reason: Some("why".to_owned()),
        ..Default::default()
    });
    let bytes = binary::to_vec(&record);
    for len in 0..bytes.len() {
        let error = binary::from_slice::<RunnerCkpt>(&bytes[..len]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{error}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = binary::from_slice::<RunnerCkpt>(&flipped) {
            assert_ne!(other, record);
            let again = binary::to_vec(&other);
            assert_eq!(binary::from_slice(&again), Ok(other));
        }
    }
}
