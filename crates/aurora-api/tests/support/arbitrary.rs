//! Random values of the test definitions.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use thrift_wire::{Bytes, Double, Fields, TType, Value};

use crate::support::everything::{
    Bases, Containers, Defaults, Empty, Everything, Forest, Needs, Result as Reserved, Shape, Tree,
};
use crate::support::shared_types::{Color, Point};

fn double() -> impl Strategy<Value = Double> {
    any::<f64>().prop_map(Double)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..6).prop_map(Bytes)
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![prop::sample::select(Color::VALUES), any::<i32>().prop_map(Color)]
}

fn point() -> impl Strategy<Value = Point> {
    (of(any::<i32>()), of(any::<i32>()), unknown()).prop_map(|(x, y, unknown)| Point {
        x,
        y,
        unknown,
    })
}

/// Unknown fields, mostly none. Ids in ascending order, as they come back.
fn unknown() -> impl Strategy<Value = Fields> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::I64),
        any::<String>().prop_map(|s| Value::String(Bytes::from(&*s))),
        vec(any::<bool>(), 0..3).prop_map(|items| Value::List {
            element: TType::Bool,
            items: items.into_iter().map(Value::Bool).collect(),
        }),
    ];
    let some = btree_map(1000..2000_i16, value, 1..3)
        .prop_map(|fields| Fields(fields.into_iter().collect()));
    prop_oneof![4 => Just(Fields::new()), 1 => some]
}

fn tree(depth: u32) -> BoxedStrategy<Tree> {
    if depth == 0 {
        let leaf = |label| Tree { label, ..Default::default() };
        return of(any::<String>()).prop_map(leaf).boxed();
    }
    let below = move || tree(depth - 1);
    let forest = (of(below()), of(btree_set(below(), 0..2))).prop_map(|(first, rest)| {
        Box::new(Forest { first: first.map(Box::new), rest, unknown: Fields::new() })
    });
    (
        of(below()),
        of(vec(below(), 0..2)),
        of(btree_map(any::<String>(), below(), 0..2)),
        of(forest),
        unknown(),
    )
        .prop_map(|(left, children, by_name, forest, unknown)| Tree {
            left: left.map(Box::new),
            right: None,
            children,
            by_name,
            forest,
            label: None,
            unknown,
        })
        .boxed()
}

fn shape() -> BoxedStrategy<Shape> {
    prop_oneof![
        double().prop_map(Shape::Circle),
        point().prop_map(Shape::Point),
        btree_set(any::<String>(), 0..3).prop_map(Shape::Names),
        color().prop_map(Shape::Color),
        bytes().prop_map(Shape::Raw),
        tree(1).prop_map(Shape::Tree),
        any::<String>().prop_map(Shape::UnknownField),
        any::<i8>().prop_map(|v| Shape::Unknown(99, Value::I8(v))),
    ]
    .boxed()
}

fn bases() -> impl Strategy<Value = Bases> {
    (
        (of(any::<bool>()), of(any::<i8>()), of(any::<i16>()), of(any::<i32>()), of(any::<i64>())),
        (of(double()), of(any::<String>()), of(bytes()), of(color()), of(any::<i64>())),
        unknown(),
    )
        .prop_map(|(a, b, unknown)| Bases {
            a_bool: a.0,
            a_byte: a.1,
            an_i16: a.2,
            an_i32: a.3,
            an_i64: a.4,
            a_double: b.0,
            a_string: b.1,
            a_binary: b.2,
            a_color: b.3,
            a_time: b.4,
            unknown,
        })
}

fn containers(depth: u32) -> BoxedStrategy<Containers> {
    let nested = if depth == 0 {
        Just(None).boxed()
    } else {
        of(btree_set(containers(depth - 1), 0..2)).boxed()
    };
    let text = any::<String>;
    (
        (
            of(vec(any::<bool>(), 0..4)),
            of(btree_set(any::<i64>(), 0..4)),
            of(btree_map(any::<i32>(), text(), 0..4)),
            of(btree_map(color(), double(), 0..4)),
            of(btree_map(point(), bytes(), 0..3)),
            of(btree_set(shape(), 0..3)),
        ),
        (
            nested,
            of(vec(btree_set(text(), 0..3), 0..3)),
            of(btree_map(any::<bool>(), vec(btree_map(text(), any::<i16>(), 0..2), 0..2), 0..2)),
            of(btree_map(double(), any::<i8>(), 0..3)),
            of(btree_set(bytes(), 0..3)),
            of(btree_map(vec(any::<i32>(), 0..2), btree_set(any::<i32>(), 0..2), 0..3)),
            of(btree_map(text(), text(), 0..3)),
        ),
    )
        .prop_map(|(a, b)| Containers {
            bools: a.0,
            longs: a.1,
            by_number: a.2,
            by_color: a.3,
            by_point: a.4,
            shapes: a.5,
            nested: b.0,
            list_of_names: b.1,
            deep: b.2,
            by_double: b.3,
            blobs: b.4,
            by_list: b.5,
            strings: b.6,
            unknown: Fields::new(),
        })
        .boxed()
}

fn defaults() -> impl Strategy<Value = Defaults> {
    (any::<i32>(), any::<String>(), shape(), color(), any::<bool>(), unknown()).prop_map(
        |(number, text, shape, color, flag, unknown)| Defaults {
            number,
            text,
            shape,
            color,
            flag,
            unknown,
            ..Default::default()
        },
    )
}

fn needs() -> impl Strategy<Value = Needs> {
    (any::<i32>(), point(), any::<String>(), of(any::<String>()))
        .prop_map(|(id, at, name, note)| Needs { id, at, name, note, unknown: Fields::new() })
}

/// Any `Everything`.
pub(crate) fn everything() -> impl Strategy<Value = Everything> {
    (
        (of(bases()), of(containers(1)), of(defaults()), of(needs()), of(tree(2))),
        (of(any::<i32>()), any::<bool>(), of(shape()), of(any::<String>()), unknown()),
    )
        .prop_map(|(a, b)| Everything {
            bases: a.0,
            containers: a.1,
            defaults: a.2,
            needs: a.3,
            tree: a.4,
            result: b.0.map(|v| Reserved { r#fn: Some(v), ..Default::default() }),
            empty: b.1.then(Empty::default),
            shape: b.2,
            last: b.3,
            unknown: b.4,
        })
}
