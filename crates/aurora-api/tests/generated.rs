//! What the compiler makes of every feature of the language.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::everything::{self as e, Defaults, Needs, Shape, Tree};
use support::shared_types::{self as s, Color, Point};
use thrift_wire::{Bytes, Double};

#[test]
fn constants() {
    const { assert!(e::YES) };
    assert_eq!(e::TINY, -128);
    assert_eq!(e::SMALL, 0x7fff);
    assert_eq!(e::HUGE, i64::MIN);
    assert_eq!(e::RATIO, Double(-0.0015));
    assert_eq!(e::WHOLE, Double(3.0));
    assert_eq!(e::GREETING, "say \"hi\"\n");
    assert_eq!(e::RAW, b"raw");
    assert_eq!(e::WORDS, ["a", "b"]);
    assert_eq!(e::COLORS, [Color::RED, Color::ULTRA]);
    assert_eq!(e::TABLE, [("one", &[1][..]), ("two", &[1, 42][..])]);
    let origin = Point { x: Some(0), y: Some(0), ..Default::default() };
    assert_eq!(e::origin(), origin);
    assert_eq!(e::shapes(), [Shape::Circle(Double(1.5)), Shape::Point(origin)]);
    assert_eq!(e::BEST, Color::GREEN);
}

#[test]
fn enums() {
    assert_eq!(Color::RED.0, 0);
    assert_eq!(Color::BLUE.0, 6);
    assert_eq!(Color::INFRA_RED.0, -1);
    assert_eq!(Color::INFRA_RED.name(), Some("Infra_Red"));
    assert_eq!(Color::from_name("blue"), Some(Color::BLUE));
    assert_eq!(Color::from_name("BLUE"), None);
    assert_eq!(Color(77).name(), None);
    assert_eq!(Color::VALUES.len(), 5);
    assert_eq!(format!("{} {:?} {}", Color::GREEN, Color::BLUE, Color(77)), "GREEN blue 77");
    assert_eq!(format!("{:>6}|", Color::RED), "   RED|");
}

#[test]
fn defaults() {
    let defaults = Defaults::default();
    assert_eq!(defaults.number, 7);
    assert_eq!(defaults.text, e::GREETING);
    assert_eq!(defaults.numbers, [1, 2, 42]);
    let at = Point { x: Some(1), ..Default::default() };
    assert_eq!(defaults.shape, Shape::Point(at));
    assert_eq!(defaults.color, Color::GREEN);
    assert_eq!(defaults.ratios, BTreeMap::from([("pi".to_owned(), Double(3.25))]));
    assert_eq!(defaults.none, BTreeSet::new());
    assert!(defaults.flag);
    assert_eq!(defaults.words.len(), 2);
    assert_eq!(defaults.raw, Bytes::from("bytes"));
    assert_eq!(defaults.at, e::origin());
    assert_eq!(Needs::default().name, "none");
}

#[test]
fn recursive_types_are_boxed() {
    let leaf = Tree { label: Some("leaf".to_owned()), ..Default::default() };
    let tree = Tree {
        left: Some(Box::new(leaf.clone())),
        forest: Some(Box::new(e::Forest {
            first: Some(Box::new(leaf.clone())),
            rest: Some(BTreeSet::from([leaf.clone()])),
            ..Default::default()
        })),
        children: Some(vec![leaf]),
        ..Default::default()
    };
    let bytes = thrift_wire::binary::to_vec(&tree);
    assert_eq!(thrift_wire::binary::from_slice(&bytes), Ok(tree));
}

#[test]
fn exceptions_are_errors() {
    let error: Box<dyn std::error::Error> =
        Box::new(s::Exhausted { message: Some("no cpu".to_owned()), ..Default::default() });
    assert_eq!(error.to_string(), r#"Exhausted {"message":"no cpu"}"#);
}

#[test]
fn reserved_names() {
    let result = e::Result {
        r#type: Some(1),
        self_: Some(2),
        unknown_: Some(3),
        option: Some(4),
        r#fn: Some(5),
        out: Some(6),
        input: Some(7),
        rest: Some(8),
        unknown: Default::default(),
    };
    assert_eq!(
        thrift_wire::readable::to_string(&result),
        r#"{"type":1,"self":2,"unknown":3,"Option":4,"fn":5,"out":6,"input":7,"rest":8}"#
    );
    assert_eq!(
        thrift_wire::readable::to_string(&Shape::UnknownField("x".to_owned())),
        r#"{"unknown":"x"}"#
    );
}
