//! The encodings, byte for byte, and what they refuse.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use thrift_wire::{
    ApplicationError, Bytes, DecodeError, Double, ErrorKind, Fields, InMessage, MessageHead,
    MessageKind, OutMessage, TType, Value, Wire, binary, readable, tjson,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// One value in every encoding, both ways.
fn same<T: Wire + PartialEq + Debug>(value: T, in_binary: &str, in_tjson: &str, in_readable: &str) {
    assert_eq!(binary::to_vec(&value), hex(in_binary), "{value:?}");
    assert_eq!(binary::from_slice(&hex(in_binary)).as_ref(), Ok(&value));
    assert_eq!(tjson::to_string(&value), in_tjson);
    assert_eq!(tjson::from_str(in_tjson).as_ref(), Ok(&value));
    assert_eq!(readable::to_string(&value), in_readable);
    assert_eq!(readable::from_str(in_readable).as_ref(), Ok(&value));
}

fn text(s: &str) -> String {
    s.to_owned()
}

#[test]
fn base_types() {
    same(true, "01", "1", "true");
    same(false, "00", "0", "false");
    same(-2_i8, "fe", "-2", "-2");
    same(0x1234_i16, "1234", "4660", "4660");
    same(-1_i32, "ffffffff", "-1", "-1");
    same(i64::MIN, "8000000000000000", "-9223372036854775808", "-9223372036854775808");
    same(Double(1.5), "3ff8000000000000", "1.5", "1.5");
    same(Double(-0.0), "8000000000000000", "-0.0", "-0.0");
    same(Double(f64::INFINITY), "7ff0000000000000", "\"Infinity\"", "\"Infinity\"");
    same(text(""), "00000000", "\"\"", "\"\"");
    same(text("é\n"), "00000003 c3a90a", "\"é\\n\"", "\"é\\n\"");
    same(Bytes(vec![0xff, 0]), "00000002 ff00", "\"/wA=\"", "\"/wA=\"");
}

#[test]
fn containers() {
    same(vec![1_i16, 2], "06 00000002 0001 0002", r#"["i16",2,1,2]"#, "[1,2]");
    same(Vec::<i64>::new(), "0a 00000000", r#"["i64",0]"#, "[]");
    same(
        BTreeSet::from([text("b"), text("a")]),
        "0b 00000002 00000001 61 00000001 62",
        r#"["str",2,"a","b"]"#,
        r#"["a","b"]"#,
    );
    same(
        BTreeMap::from([(1_i32, true), (-1, false)]),
        "08 02 00000002 ffffffff 00 00000001 01",
        r#"["i32","tf",2,{"-1":0,"1":1}]"#,
        r#"{"-1":false,"1":true}"#,
    );
    same(
        BTreeMap::from([(true, Double(0.5))]),
        "02 04 00000001 01 3fe0000000000000",
        r#"["tf","dbl",1,{"1":0.5}]"#,
        r#"{"true":0.5}"#,
    );
    same(
        BTreeMap::from([(Double(2.5), 1_i8), (Double(f64::INFINITY), 2)]),
        "04 03 00000002 4004000000000000 01 7ff0000000000000 02",
        r#"["dbl","i8",2,{"2.5":1,"Infinity":2}]"#,
        r#"{"2.5":1,"Infinity":2}"#,
    );
    same(
        BTreeMap::from([(vec![1_i8], BTreeSet::from([2_i8]))]),
        "0f 0e 00000001 03 00000001 01 03 00000001 02",
        r#"["lst","set",1,{["i8",1,1]:["i8",1,2]}]"#,
        "[[[1],[2]]]",
    );
    same(
        vec![BTreeMap::from([(text("k"), vec![text("v")])]), BTreeMap::new()],
        "0d 00000002  0b 0f 00000001 00000001 6b 0b 00000001 00000001 76  0b 0f 00000000",
        r#"["map",2,["str","lst",1,{"k":["str",1,"v"]}],["str","lst",0,{}]]"#,
        r#"[{"k":["v"]},{}]"#,
    );
}

#[test]
fn structs_without_definition() {
    let fields = Fields(vec![
        (1, Value::Bool(true)),
        (-2, Value::Double(Double(0.5))),
        (3, Value::String(Bytes::from("x"))),
        (4, Value::Struct(Fields(vec![(1, Value::I8(1))]))),
        (5, Value::List { element: TType::Struct, items: vec![Value::Struct(Fields::new())] }),
        (
            6,
            Value::Map {
                key: TType::I32,
                value: TType::I16,
                entries: vec![(Value::I32(2), Value::I16(2)), (Value::I32(1), Value::I16(1))],
            },
        ),
        (7, Value::Set { element: TType::I64, items: vec![Value::I64(2), Value::I64(2)] }),
    ]);
    same(
        fields.clone(),
        "02 0001 01  04 fffe 3fe0000000000000  0b 0003 00000001 78  0c 0004 03 0001 01 00
         0f 0005 0c 00000001 00  0d 0006 08 06 00000002 00000002 0002 00000001 0001
         0e 0007 0a 00000002 0000000000000002 0000000000000002  00",
        r#"{"1":{"tf":1},"-2":{"dbl":0.5},"3":{"str":"x"},"4":{"rec":{"1":{"i8":1}}},"5":{"lst":["rec",1,{}]},"6":{"map":["i32","i16",2,{"2":2,"1":1}]},"7":{"set":["i64",2,2,2]}}"#,
        r#"{"1":{"tf":1},"-2":{"dbl":0.5},"3":{"str":"x"},"4":{"rec":{"1":{"i8":1}}},"5":{"lst":["rec",1,{}]},"6":{"map":["i32","i16",2,{"2":2,"1":1}]},"7":{"set":["i64",2,2,2]}}"#,
    );
    assert_eq!(fields.get(-2), Some(&Value::Double(Double(0.5))));
    assert_eq!(fields.get(9), None);
}

#[test]
fn empty_containers_may_state_no_type() {
    let bytes = hex("0d 0001 00 00 00000000  0f 0002 00 00000000  00");
    let fields: Fields = binary::from_slice(&bytes).unwrap();
    assert_eq!(binary::to_vec(&fields), bytes);
    assert_eq!(binary::from_slice::<Vec<i32>>(&hex("00 00000000")), Ok(vec![]));
    assert_eq!(binary::from_slice::<Vec<i32>>(&hex("0b 00000000")), Ok(vec![]));
    assert_eq!(
        binary::from_slice::<BTreeMap<i32, i32>>(&hex("00 00 00000000")),
        Ok(BTreeMap::new())
    );
}

#[test]
fn what_peers_write() {
    assert_eq!(binary::from_slice(&[7]), Ok(true));
    assert_eq!(tjson::from_str(r#""Infinity""#), Ok(Double(f64::INFINITY)));
    assert_eq!(tjson::from_str("inf"), Ok(Double(f64::INFINITY)));
    assert_eq!(tjson::from_str("-inf"), Ok(Double(f64::NEG_INFINITY)));
    assert_eq!(tjson::from_str(r#""1.5""#), Ok(Double(1.5)));
    assert_eq!(tjson::from_str("1"), Ok(Double(1.0)));
    assert_eq!(tjson::from_str(r#""YQ""#), Ok(Bytes::from("a")));
    assert_eq!(tjson::from_str(r#""YQ==""#), Ok(Bytes::from("a")));
    assert_eq!(tjson::from_str("\"\u{1}\n\""), Ok(text("\u{1}\n")));
    assert_eq!(
        tjson::from_str(" [ \"str\" , \"i32\" , 1 , { \"a\" : 1 } ] \n"),
        Ok(BTreeMap::from([(text("a"), 1)]))
    );
    assert_eq!(readable::from_str("[1, 0, true, \"false\"]"), Ok(vec![true, false, true, false]));
}

#[test]
fn duplicates() {
    let set = BTreeSet::from([1_i8]);
    assert_eq!(binary::from_slice(&hex("03 00000002 01 01")), Ok(set.clone()));
    assert_eq!(tjson::from_str(r#"["i8",2,1,1]"#), Ok(set.clone()));
    assert_eq!(readable::from_str("[1,1]"), Ok(set));
    let map = BTreeMap::from([(text("a"), 2)]);
    assert_eq!(tjson::from_str(r#"["str","i32",2,{"a":1,"a":2}]"#), Ok(map));
}

fn refused<T: Wire + Debug>(found: Result<T, DecodeError>, kind: ErrorKind, message: &str) {
    let error = found.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
}

#[test]
fn errors_in_binary() {
    use ErrorKind::*;
    let get = |text: &str| binary::from_slice::<Vec<String>>(&hex(text));
    refused(
        binary::from_slice::<i32>(&hex("0000")),
        Truncated,
        "byte 0: the input ends inside a value: 4 bytes are needed, 2 are left",
    );
    refused(
        binary::from_slice::<i8>(&hex("0000")),
        Invalid,
        "byte 1: the value is complete, but 1 more bytes follow",
    );
    refused(
        get("0b 7fffffff"),
        Truncated,
        "byte 1: a length of 2147483647 of at least 4 bytes each is impossible, 0 bytes are left",
    );
    refused(
        get("0b ffffffff"),
        Invalid,
        "byte 1: a length of -1 of at least 4 bytes each is impossible, 0 bytes are left",
    );
    refused(
        get("0b 00000002 00000001 61 00000003 62"),
        Truncated,
        "byte 10, in [1]: a length of 3 is impossible, 1 bytes are left",
    );
    refused(
        get("0b 00000001 00000002 61ff"),
        Invalid,
        "byte 10, in [0]: a string holds bytes that are not UTF-8",
    );
    refused(
        get("08 00000001 00000000"),
        Invalid,
        "byte 5: expected a container with elements of type string, found elements of type i32",
    );
    refused(
        binary::from_slice::<Fields>(&hex("01 0000")),
        Invalid,
        "byte 0: 1 is no type; expected one of 2, 3, 4, 6, 8, 10 to 15, or 0 for the end",
    );
    refused(
        binary::from_slice::<Fields>(&hex("0f 0005 00 00000001 00 00")),
        Invalid,
        "byte 8, in <unknown field 5>: type 0 cannot be an element's type",
    );
    assert_eq!(binary::from_prefix::<i8>(&[1, 2]), Ok((1, 1)));
}

#[test]
fn errors_in_json() {
    use ErrorKind::*;
    refused(
        tjson::from_str::<Vec<i8>>(r#"["i8",2,100]"#),
        Invalid,
        "byte 11: expected `,`, found `]`",
    );
    refused(
        tjson::from_str::<Vec<i8>>(r#"["i8",1,1,2]"#),
        Invalid,
        "byte 9: expected `]`, found `,`",
    );
    refused(
        tjson::from_str::<Vec<i8>>(r#"["i8",999999999,1]"#),
        Truncated,
        "byte 15: a count of 999999999 is impossible, 3 bytes are left",
    );
    refused(
        tjson::from_str::<Vec<i8>>(r#"["i9",0]"#),
        Invalid,
        "byte 5: `i9` is no type; expected one of tf, i8, i16, i32, i64, dbl, str, rec, map, set, lst",
    );
    refused(
        tjson::from_str::<Fields>(r#"{"1":{"i8":300}}"#),
        Invalid,
        "byte 11, in <unknown field 1>: expected an i8, found `300`",
    );
    refused(
        tjson::from_str::<Fields>(r#"{"1":{"i8":3}},"#),
        Invalid,
        "byte 14: expected the end of the input, found `,`",
    );
    refused(
        tjson::from_str::<Fields>(r#"{1:{"i8":3}}"#),
        Invalid,
        "byte 1: expected a field id in quotes, found `1`",
    );
    refused(
        tjson::from_str::<Fields>("{"),
        Truncated,
        "byte 1: expected a field id in quotes, found the end of the input",
    );
    refused(
        tjson::from_str::<Bytes>("\"a+-\""),
        Invalid,
        "byte 0: expected base64, found other text",
    );
    refused(
        readable::from_str::<Vec<i8>>("[1,]"),
        Invalid,
        "byte 3, in [1]: expected an i8, found `]`",
    );
    refused(
        readable::from_str::<BTreeMap<i8, i8>>("{1:1}"),
        Invalid,
        "byte 1: expected a key in quotes, found `1`",
    );
    refused(readable::from_str::<bool>("2"), Invalid, "byte 0: expected a bool, found `2`");
}

#[test]
fn nesting_is_bounded() {
    // 64 levels of a struct holding a struct.
    let nested = |levels: usize| {
        let mut bytes = hex("0c 0001").repeat(levels - 1);
        bytes.extend(vec![0; levels]);
        bytes
    };
    assert!(binary::from_slice::<Fields>(&nested(64)).is_ok());
    assert_eq!(binary::from_slice::<Fields>(&nested(65)).unwrap_err().kind(), ErrorKind::Limit);
    for bomb in [
        hex("0c 0001").repeat(100_000),
        [hex("0f 0001"), hex("0f 00000001").repeat(100_000)].concat(),
        [hex("0d 0001"), hex("0d 0d 00000001").repeat(100_000)].concat(),
    ] {
        assert_eq!(binary::from_slice::<Fields>(&bomb).unwrap_err().kind(), ErrorKind::Limit);
    }
    for bomb in [
        r#"{"1":{"rec":"#,
        r#"{"1":{"lst":["lst",1,["lst",1,"#,
        r#"{"1":{"map":["map","i8",1,{["map","i8",1,{"#,
    ] {
        let bomb = bomb.replacen(r#"["lst",1,["lst",1,"#, &r#"["lst",1,"#.repeat(100_000), 1);
        let bomb = bomb.replacen(
            r#"["map","i8",1,{["map","i8",1,{"#,
            &r#"["map","i8",1,{"#.repeat(100_000),
            1,
        );
        let bomb = if bomb.len() < 100 { bomb.repeat(100_000) } else { bomb };
        assert_eq!(tjson::from_str::<Fields>(&bomb).unwrap_err().kind(), ErrorKind::Limit);
        assert_eq!(readable::from_str::<Fields>(&bomb).unwrap_err().kind(), ErrorKind::Limit);
    }
    let bomb = format!("{{\"x\":{}", "[".repeat(100_000));
    assert_eq!(readable::from_str::<Fields>(&bomb).unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn messages() {
    let error = ApplicationError::new(ApplicationError::UNKNOWN_METHOD, "no");
    let body = "0b 0001 00000002 6e6f 08 0002 00000001 00";
    let head = MessageHead { name: text("go"), kind: MessageKind::Exception, seq: 7 };

    let write = |strict: bool| {
        let mut out = Vec::new();
        let mut writer = binary::Writer::new(&mut out);
        if !strict {
            writer = binary::Writer::non_strict(&mut out);
        }
        writer.message_begin(&head.name, head.kind, head.seq);
        error.write(&mut writer);
        writer.message_end();
        out
    };
    let strict = hex(&format!("80010003 00000002 676f 00000007 {body}"));
    let non_strict = hex(&format!("00000002 676f 03 00000007 {body}"));
    assert_eq!(write(true), strict);
    assert_eq!(write(false), non_strict);
    for bytes in [&strict, &non_strict] {
        let mut reader = binary::Reader::new(bytes);
        assert_eq!(reader.message_begin().as_ref(), Ok(&head));
        assert_eq!(ApplicationError::read(&mut reader).as_ref(), Ok(&error));
        assert_eq!(reader.message_end().and_then(|()| reader.finish()), Ok(()));
        for len in 0..bytes.len() {
            let mut reader = binary::Reader::new(&bytes[..len]);
            let read = reader.message_begin().and_then(|_| ApplicationError::read(&mut reader));
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Truncated);
        }
    }

    let mut out = String::new();
    let mut writer = tjson::Writer::new(&mut out);
    writer.message_begin(&head.name, head.kind, head.seq);
    error.write(&mut writer);
    writer.message_end();
    assert_eq!(out, r#"[1,"go",3,7,{"1":{"str":"no"},"2":{"i32":1}}]"#);
    let mut reader = tjson::Reader::new(out.as_bytes());
    assert_eq!(reader.message_begin(), Ok(head));
    assert_eq!(ApplicationError::read(&mut reader), Ok(error));
    assert_eq!(reader.message_end().and_then(|()| reader.finish()), Ok(()));

    for (bytes, message) in [
        (
            "80020001 00000000 00000000",
            "byte 0: a message begins with 0x80020001; expected version 0x8001",
        ),
        ("80010009 00000000 00000000", "byte 8: 9 is no kind of message; expected 1 to 4"),
        ("7fffffff 61", "byte 0: a length of 2147483647 is impossible, 1 bytes are left"),
    ] {
        let error = binary::Reader::new(&hex(bytes)).message_begin().unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

/// Any value of a type; containers hold values of one type each.
fn value_of(ttype: TType, depth: u32) -> BoxedStrategy<Value> {
    let any_type = prop::sample::select(if depth == 0 {
        vec![
            TType::Bool,
            TType::I8,
            TType::I16,
            TType::I32,
            TType::I64,
            TType::Double,
            TType::String,
        ]
    } else {
        vec![TType::I32, TType::String, TType::Struct, TType::Map, TType::Set, TType::List]
    });
    let below = depth.saturating_sub(1);
    match ttype {
        TType::Stop | TType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        TType::I8 => any::<i8>().prop_map(Value::I8).boxed(),
        TType::I16 => any::<i16>().prop_map(Value::I16).boxed(),
        TType::I32 => any::<i32>().prop_map(Value::I32).boxed(),
        TType::I64 => any::<i64>().prop_map(Value::I64).boxed(),
        TType::Double => any::<f64>().prop_map(|v| Value::Double(Double(v))).boxed(),
        TType::String => any::<String>().prop_map(|v| Value::String(Bytes::from(&*v))).boxed(),
        TType::Struct => {
            let field = any_type.prop_flat_map(move |t| (any::<i16>(), value_of(t, below)));
            vec(field, 0..4).prop_map(|fields| Value::Struct(Fields(fields))).boxed()
        }
        TType::Map => (any_type.clone(), any_type)
            .prop_flat_map(move |(key, value)| {
                vec((value_of(key, below), value_of(value, below)), 0..3)
                    .prop_map(move |entries| Value::Map { key, value, entries })
            })
            .boxed(),
        TType::Set | TType::List => any_type
            .prop_flat_map(move |element| {
                vec(value_of(element, below), 0..4).prop_map(move |items| match ttype {
                    TType::Set => Value::Set { element, items },
                    _ => Value::List { element, items },
                })
            })
            .boxed(),
    }
}

fn any_fields() -> impl Strategy<Value = Fields> {
    value_of(TType::Struct, 3).prop_map(|value| match value {
        Value::Struct(fields) => fields,
        _ => Fields::new(),
    })
}

proptest! {
    #[test]
    fn any_struct_survives(fields in any_fields()) {
        let bytes = binary::to_vec(&fields);
        prop_assert_eq!(binary::from_slice::<Fields>(&bytes), Ok(fields.clone()));
        let text = tjson::to_string(&fields);
        prop_assert_eq!(tjson::from_str::<Fields>(&text), Ok(fields.clone()));
        let text = readable::to_string(&fields);
        prop_assert_eq!(readable::from_str::<Fields>(&text), Ok(fields.clone()));
    }

    #[test]
    fn no_truncation_reads(fields in any_fields()) {
        let bytes = binary::to_vec(&fields);
        for len in 0..bytes.len() {
            prop_assert!(binary::from_slice::<Fields>(&bytes[..len]).is_err());
        }
        let text = tjson::to_string(&fields).into_bytes();
        for len in 0..text.len() {
            prop_assert!(tjson::from_slice::<Fields>(&text[..len]).is_err());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..64)) {
        _ = tjson::from_slice::<Fields>(&bytes);
        _ = readable::from_slice::<Fields>(&bytes);
        _ = binary::Reader::new(&bytes).message_begin();
        _ = tjson::Reader::new(&bytes).message_begin();
        if let Ok(fields) = binary::from_slice::<Fields>(&bytes) {
            let again = binary::to_vec(&fields);
            prop_assert_eq!(binary::from_slice::<Fields>(&again), Ok(fields));
        }
    }
}
