//! Recorded expressions of the configuration language with what the original made of them, evaluated
//! in one file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use serde_json::Value as Json;

mod support;

/// Expressions with another outcome on purpose.
const DEVIATIONS: &[(&str, &str)] = &[
    ("u108", "binding plain text without a name fails at once, not when it is used"),
    ("u304", "the check of a map with an unfit value fails instead of raising"),
    ("u322", "the same"),
    ("u345", "the check of a choice fails instead of giving nothing"),
    ("u346", "the same"),
];

/// Describes what expressions give, in the terms of the recording.
const DESCRIBE: &str = r#"
import json as _json

def _plain(v):
    if v is Empty: return {'$empty': True}
    if isinstance(v, type): return {'$class': v.__name__}
    if v is None or isinstance(v, (bool, str)): return v
    if isinstance(v, int): return v if abs(v) < 2 ** 53 else {'$int': str(v)}
    if isinstance(v, float):
        return v if v - v == 0 else {'$float': str(v)}
    if isinstance(v, dict): return {_key(k): _plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)): return [_plain(x) for x in v]
    if hasattr(v, 'interpolate'): return _describe(v)
    return {'$repr': repr(v)}

def _key(k):
    return str(k).lower() if isinstance(k, bool) else str(k)

def _guard(f):
    try: return f()
    except Exception as e: return {'error': {'class': type(e).__name__, 'message': str(e)}}

def _interpolated(v):
    done, unbound = v.interpolate()
    scalar = isinstance(done.get(), (str, int, float, bool, type(None)))
    value = _plain(done.get()) if scalar else _json.loads(done.json_dumps())
    return {'value': value, 'unbound': sorted(r.address() for r in unbound)}

def _check(v):
    c = v.check()
    return {'ok': c.ok(), 'message': c.message()}

def _describe(v):
    return {'object': {
        'type': type(v).__name__, 'interpolated': _guard(lambda: _interpolated(v)),
        'check': _guard(lambda: _check(v)), 'str': _guard(lambda: str(v))}}

def _result(v):
    if isinstance(v, TypeCheck): return {'typecheck': {'ok': v.ok(), 'message': v.message()}}
    if isinstance(v, type): return {'type': 'class', 'value': _plain(v)}
    if hasattr(v, 'interpolate') and hasattr(v, 'scopes'): return _describe(v)
    return {'type': type(v).__name__, 'value': _plain(v)}

_base = dict(globals())
for _unit in [_json.loads(line) for line in open(UNITS)]:
    _names = dict(_base)
    def _go():
        exec(_unit['setup'], _names)
        return _result(eval(_unit['expr'], _names))
    print(_json.dumps([_unit['id'], _guard(_go)]))
"#;

/// What of a result must be equal: errors only as errors, numbers by value, messages not at all.
fn core(result: &Json) -> Json {
    let number = |value: &Json| -> Json {
        fn walk(value: &Json) -> Json {
            match value {
                Json::Number(number) => number.as_f64().into(),
                Json::Array(elements) => elements.iter().map(walk).collect(),
                Json::Object(members) => match members.get("$int").and_then(Json::as_str) {
                    Some(digits) => digits.parse::<f64>().unwrap().into(),
                    None => members.iter().map(|(k, v)| (k.clone(), walk(v))).collect(),
                },
                other => other.clone(),
            }
        }
        walk(value)
    };
    let or_error = |value: &Json| match value.get("error") {
        Some(_) => Json::from("error"),
        None => number(value),
    };
    if result.get("error").is_some() {
        return "error".into();
    }
    if let Some(check) = result.get("typecheck") {
        return serde_json::json!({ "check": check["ok"] });
    }
    if let Some(object) = result.get("object") {
        let check = match object["check"].get("error") {
            Some(_) => Json::from("error"),
            None => object["check"]["ok"].clone(),
        };
        return serde_json::json!({
            "type": object["type"],
            "interpolated": or_error(&object["interpolated"]),
            "check": check,
            "str": object.get("str").map(&or_error),
        });
    }
    // A class is recorded by name; `Empty` in a way of its own.
    match &result["value"] {
        value if value.get("$empty").is_some() => serde_json::json!({ "$class": "Empty" }),
        value => number(value),
    }
}

#[test]
fn recorded_expressions() {
    let units = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/config/expressions.jsonl");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("units.aurora");
    std::fs::write(&file, format!("UNITS = {units:?}\n{DESCRIBE}")).unwrap();
    let output = Command::new(support::evaluator()).arg(&file).output().unwrap();
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    let printed = answer["output"].as_str().unwrap();
    let results: Vec<Json> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let table = std::fs::read_to_string(units).unwrap();
    assert_eq!(results.len(), table.lines().count());
    assert!(results.len() > 300);
    let mut failures = Vec::new();
    for (line, ours) in table.lines().zip(&results) {
        let unit: Json = serde_json::from_str(line).unwrap();
        let id = unit["id"].as_str().unwrap();
        assert_eq!(unit["id"], ours[0]);
        let mut ours = core(&ours[1]);
        let same = ["result", "result_py3"].iter().filter_map(|key| unit.get(key)).any(|theirs| {
            let theirs = core(theirs);
            // The text of structs is not recorded, as its order is not.
            if theirs["str"].is_null() && ours.get("str").is_some() {
                ours["str"] = Json::Null;
            }
            theirs == ours
        });
        let deviates = DEVIATIONS.iter().any(|(deviation, _)| *deviation == id);
        if same == deviates {
            failures
                .push(format!("{id} {}: expected {}, got {ours}", unit["expr"], unit["result"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// (expression, what it prints as, or the class of its error)
///
/// Facts of the configuration reference and of the library on Python 3 that no recorded case shows.
const OTHERS: &[(&str, &str)] = &[
    // What was a list in Python 2 is one here.
    ("List(Integer)(range(3))", "IntegerList(0, 1, 2)"),
    ("List(String)(map(str, [1, 2]))", "StringList(1, 2)"),
    ("List(String)(filter(None, ['a', '']))", "StringList(a)"),
    ("List(String)({'a': 1}.keys())", "StringList(a)"),
    ("List(String)(x for x in 'ab')", "!TypeError"),
    ("List(String)(reversed(['a']))", "!ValueError"),
    ("List(String)({'a'})", "!ValueError"),
    ("List(String)('ab')", "!ValueError"),
    (
        "VariableBatchUpdateStrategy(batch_sizes=range(1, 3))",
        "VariableBatchUpdateStrategy(batch_sizes=IntegerList(1, 2),\n                            autopause_after_batch=False)",
    ),
    // Keys are resolved in the map's own scopes.
    ("Map(String, Integer)({'{{x}}': '{{y}}'}).bind(x='k', y=4)['k']", "Integer(4)"),
    ("'k' in Map(String, Integer)({'{{x}}': 1}).bind(x='k')", "True"),
    ("list(Map(String, Integer)({'{{x}}': 1}).bind(x='k'))", "[String(k)]"),
    // A choice is printed with its name, as text without.
    ("Choice([Integer, String])('a')", "Choice_Integer_String('a')"),
    ("str(Choice([Integer, String])('a'))", "'a'"),
    (
        "Choice('Name', [Integer, Resources])(Resources(cpu=1))",
        "Name(Resources(cpu=1.0,\n          gpu=0))",
    ),
    // Numbers without a counterpart.
    ("Integer(float('inf'))", "!OverflowError"),
    ("Integer(float('-inf')).check()", "!OverflowError"),
    ("Integer(float('nan'))", "!CoercionError"),
    ("Float(10 ** 400)", "!OverflowError"),
    ("Integer(5.9)", "Integer(5)"),
    ("Integer(-5.9)", "Integer(-5)"),
    // Unknown keys in JSON.
    ("Constraint.json_loads('{\"order\": [\"a\"], \"zz\": 1}')", "Constraint(order=StringList(a))"),
    ("Constraint.json_loads('{\"zz\": 1}', strict=True)", "!AttributeError"),
    ("Constraint.json_loads('{\"zz\": 1}', True)", "!AttributeError"),
];

#[test]
fn other_expressions() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("others.aurora");
    let mut text = String::new();
    for (expression, _) in OTHERS {
        text.push_str(&format!(
            "try:\n  r = repr({expression})\nexcept Exception as e:\n  r = '!' + type(e).__name__\n\
             print(r.replace('\\n', '\\\\n'))\n"
        ));
    }
    std::fs::write(&file, text).unwrap();
    let output = Command::new(support::evaluator()).arg(&file).output().unwrap();
    let answer: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    let printed: Vec<&str> = answer["output"].as_str().unwrap().lines().collect();
    let expected: Vec<String> =
        OTHERS.iter().map(|(_, expected)| expected.replace('\n', "\\n")).collect();
    assert_eq!(printed, expected);
}
