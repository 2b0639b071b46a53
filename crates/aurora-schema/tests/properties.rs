//! What holds for any input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use aurora_schema::Bindings;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json::{self, Json};
use aurora_schema::schema;
use aurora_schema::task::{self, ErrorKind};
use aurora_schema::template::{Token, Tokens};
use aurora_schema::types::Type;
use aurora_schema::value::{Raw, Strictness, Value};
use proptest::prelude::*;

/// Text in which references, escapes and near misses are common.
fn template() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "{{name}}", "{{self.name}}", "{{super.name}}", "{{processes[0].name}}",
            "{{processes[1].cmdline}}", "{{a}}", "{{b}}", "{{c.d[e]}}", "{{thermos.task_id}}",
            "{{max_failures}}", "{{user}}", "{{resources}}", "{{logger.mode}}",
        ]),
        1 => prop::sample::select(vec![
            "{{&a}}", "{{&&a}}", "{{&a&}}", "{{nosuch}}", "{{thermos.ports[http]}}",
            "{{processes[9]}}", "{{processes}}", "{{", "}}", "{", "}", "{{}}", "{{a{{b}}}}",
        ]),
        3 => prop::sample::select(vec!["x", " ", "é", "😀", "\n", "\"", "\\", "1", "."]),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn scalar() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        template().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|f| serde_json::json!(f)),
        any::<bool>().prop_map(Into::into),
        "-?[0-9]{1,3}|true|0|file|rotate".prop_map(Into::into),
        Just(serde_json::Value::Null),
    ]
}

/// What something is bound to. References to itself are rare: most end at a bound, which is slow.
fn bound() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["x", "", "b", "{{b}}", "1", "{{&b}}", "{{nosuch}}", "{{"]),
        1 => prop::sample::select(vec!["{{a}}", "{{name}}", "{{processes[0].name}}", "{{b}}{{b}}"]),
    ]
    .prop_map(str::to_owned)
}

fn process() -> impl Strategy<Value = Vec<(String, serde_json::Value)>> {
    let optional = prop::sample::select(vec![
        "max_failures",
        "daemon",
        "ephemeral",
        "min_duration",
        "final",
        "logger",
        "unknown",
    ]);
    let extra = (optional, scalar()).prop_map(|(name, value)| (name.to_owned(), value));
    ("[a-c]|\\{\\{a\\}\\}", template(), prop::collection::vec(extra, 0..2)).prop_map(
        |(name, cmdline, mut members)| {
            members.push(("name".to_owned(), name.into()));
            members.push(("cmdline".to_owned(), cmdline.into()));
            members
        },
    )
}

/// A task as the members of its objects, so that their order is ours to choose.
#[derive(Clone, Debug)]
struct Document {
    task: Vec<(String, serde_json::Value)>,
    processes: Vec<Vec<(String, serde_json::Value)>>,
    orders: Vec<Vec<String>>,
}

impl Document {
    fn text(&self, backwards: bool) -> String {
        let object = |members: &[(String, String)]| {
            let mut parts: Vec<String> =
                members.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
            if backwards {
                parts.reverse();
            }
            format!("{{{}}}", parts.join(", "))
        };
        let plain = |members: &[(String, serde_json::Value)]| -> Vec<(String, String)> {
            let mut kept: Vec<(String, String)> = Vec::new();
            for (name, value) in members {
                // Repeated names would make the order matter.
                if kept.iter().all(|(known, _)| known != name) {
                    kept.push((name.clone(), value.to_string()));
                }
            }
            kept
        };
        let processes: Vec<String> =
            self.processes.iter().map(|members| object(&plain(members))).collect();
        let orders: Vec<serde_json::Value> =
            self.orders.iter().map(|order| serde_json::json!({"order": order})).collect();
        let mut members = plain(&self.task);
        members.push(("processes".to_owned(), format!("[{}]", processes.join(", "))));
        members.push(("constraints".to_owned(), serde_json::json!(orders).to_string()));
        object(&members)
    }
}

fn document() -> impl Strategy<Value = Document> {
    let member = (
        prop::sample::select(vec!["name", "user", "max_failures", "finalization_wait"]),
        prop_oneof![template().prop_map(Into::into), scalar()],
    )
        .prop_map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value));
    (
        prop::collection::vec(member, 0..2),
        prop::collection::vec(process(), 0..4),
        prop::collection::vec(prop::collection::vec("[a-d]", 0..3), 0..2),
    )
        .prop_map(|(task, processes, orders)| Document { task, processes, orders })
}

fn bindings(a: &str, b: &str) -> Bindings {
    let mut bindings = Bindings::new();
    for (address, value) in
        [("thermos.task_id", "id"), ("a", a), ("b", b), ("c.d[e]", "{{b}}"), ("a1", "one")]
    {
        bindings.bind(address, value).unwrap();
    }
    bindings
}

fn references(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::Text(text) => found.extend(Tokens::new(text).filter_map(|token| match token {
            Token::Plain(_) => None,
            Token::Reference { whole, .. } | Token::Escape { whole, .. } => Some(whole.to_owned()),
        })),
        Json::Array(items) => items.iter().for_each(|item| references(item, found)),
        Json::Object(members) => members.iter().for_each(|(_, value)| references(value, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    /// An accepted task has no references left, and loads again as itself without any bindings.
    #[test]
    fn interpolation_ends_at_a_fixed_point(
        document in document(), a in bound(), b in bound(),
    ) {
        let loaded = task::load(document.text(false).as_bytes(), "t", &bindings(&a, &b));
        if let Ok(loaded) = loaded {
            let mut left = Vec::new();
            references(&json::parse(loaded.json.as_bytes()).unwrap(), &mut left);
            prop_assert_eq!(left, Vec::<String>::new());
            let again = task::load(loaded.json.as_bytes(), "t", &Bindings::new());
            let again = again.map(|again| (again.task, again.json));
            prop_assert_eq!(again, Ok((loaded.task, loaded.json)));
        }
    }

    /// The order in which attributes are written does not matter.
    #[test]
    fn the_order_of_attributes_does_not_matter(
        document in document(), a in bound(), b in bound(),
    ) {
        let bindings = bindings(&a, &b);
        let forwards = task::load(document.text(false).as_bytes(), "t", &bindings);
        let backwards = task::load(document.text(true).as_bytes(), "t", &bindings);
        match (forwards, backwards) {
            (Ok(forwards), Ok(backwards)) => prop_assert_eq!(forwards, backwards),
            // Of several mistakes in the shape the first one written is reported.
            (Err(forwards), Err(backwards)) => {
                if !matches!(forwards.kind(), ErrorKind::Schema | ErrorKind::Interpolation) {
                    prop_assert_eq!(forwards, backwards);
                }
            }
            (forwards, backwards) => prop_assert!(false, "{:?} {:?}", forwards, backwards),
        }
    }

    /// A port that is reported missing is enough when bound, and ports are found bound or not.
    #[test]
    fn reported_ports_are_the_referenced_ones(document in document()) {
        let text = document.text(false);
        let mut bindings = bindings("x", "y");
        let before = task::load(text.as_bytes(), "t", &bindings);
        if let Err(error) = before
            && let ErrorKind::UnboundPorts(ports) = error.kind()
        {
            let found = task::referenced_ports(text.as_bytes(), "t", &bindings);
            prop_assert_eq!(found.as_ref(), Ok(ports));
            for port in ports {
                bindings.bind(&format!("thermos.ports[{port}]"), "1").unwrap();
            }
            let found = task::referenced_ports(text.as_bytes(), "t", &bindings);
            prop_assert_eq!(found.as_ref(), Ok(ports));
            if let Err(error) = task::load(text.as_bytes(), "t", &bindings) {
                prop_assert!(!matches!(error.kind(), ErrorKind::UnboundPorts(_)));
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = task::load(&bytes, "t", &Bindings::new());
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".*|[{}&a.\\[\\]]{0,40}", a in ".{0,20}") {
        let mut environment = Bindings::new();
        environment.bind("a", &a).unwrap();
        for ty in [Type::String, Type::Integer, Type::Float, Type::Boolean] {
            let value = Value::scalar(ty, Raw::Text(text.as_str().into()));
            let result = interpolate(&value.bind([environment.scope()]), &Limits::default());
            if let Ok(result) = result {
                let mut left = Vec::new();
                if let Some(text) = result.value.as_text() {
                    references(&Json::Text(text.into()), &mut left);
                }
                // Only escapes may leave more than what is reported.
                prop_assert!(result.unescaped || left.is_empty() == result.unbound.is_empty());
            }
        }
    }

    /// What is of its type stays as it is.
    #[test]
    fn coercion_is_idempotent(given in scalar()) {
        let types = [
            Type::String,
            Type::Integer,
            Type::Float,
            Type::Boolean,
            schema::LOGGER.fields()[0].ty().clone(),
            Type::choice(vec![Type::Integer, Type::String]),
        ];
        let json = json::parse(given.to_string().as_bytes()).unwrap();
        for ty in types {
            let Ok(value) = Value::from_json(&ty, json.clone(), Strictness::Strict) else {
                prop_assert!(given.is_null());
                continue;
            };
            let Ok(once) = interpolate(&value, &Limits::default()) else { continue };
            if once.unbound.is_empty() && !once.unescaped {
                prop_assert!(once.value.check().is_ok());
                let twice = interpolate(&once.value, &Limits::default()).unwrap();
                prop_assert_eq!(&once.value, &twice.value);
                let text = once.value.to_json();
                let again = json::parse(text.as_bytes()).unwrap();
                let again = Value::from_json(&ty, again, Strictness::Strict).unwrap();
                let again = interpolate(&again, &Limits::default()).unwrap().value;
                prop_assert_eq!(again.to_json(), text);
            }
        }
    }
}
