//! Messages as people write them in configuration files: JSON with the names of the protocol's
//! fields, read with less patience for mistakes and more for types than the wire's.
//!
//! | what is written | what it means |
//! |---|---|
//! | a property that the message does not have | an error, which names it |
//! | `null` | absent; in an array: nothing |
//! | for true or false: `"true"`, `"True"`, `"false"`, `"False"`, 0, another integer | that |
//! | for true or false: `""` | absent |
//! | a number as a string | the number |
//! | for a string: a number, true or false | its text |
//! | an enum's name, or its number | that; another name is an error |
//! | one value in place of an array | an error |

use serde_json::{Map, Value};

use crate::codec::Wire;
use crate::json;
use crate::schema::{self, ENUMS, Kind, MAX_DEPTH, MESSAGES, Message, Rule};

/// A message from a value of a configuration file. The error names the place.
pub fn from_value<M: Wire>(value: &Value) -> Result<M, String> {
    let Some(message) = schema::find(&M::full_name()) else {
        return Err(format!("{} is not a message that can be written", M::NAME));
    };
    let plain = object(message, value, &mut Vec::new())?;
    json::from_value(&plain).map_err(|error| error.to_string())
}

fn object(
    message: &'static Message,
    value: &Value,
    path: &mut Vec<String>,
) -> Result<Value, String> {
    if path.len() > MAX_DEPTH {
        return Err(wrong(path, "is nested too deeply"));
    }
    let Value::Object(map) = value else { return Err(wrong(path, "is not an object")) };
    let mut plain = Map::new();
    for (name, value) in map {
        path.push(name.clone());
        let field = message.fields.iter().find(|field| field.name == name);
        let Some(field) = field else { return Err(wrong(path, "is not known")) };
        let value = match (field.rule, field.kind) {
            (_, _) if value.is_null() => None,
            (Rule::Repeated, Kind::Message(place)) if is_map(place) => {
                Some(entries(place, value, path)?)
            }
            (Rule::Repeated, kind) => Some(array(kind, value, path)?),
            (_, kind) => single(kind, value, path)?,
        };
        if let Some(value) = value {
            plain.insert(name.clone(), value);
        }
        path.pop();
    }
    Ok(Value::Object(plain))
}

fn is_map(place: usize) -> bool {
    MESSAGES.get(place).is_some_and(|message| message.map_entry)
}

fn entries(place: usize, value: &Value, path: &mut Vec<String>) -> Result<Value, String> {
    let Value::Object(map) = value else { return Err(wrong(path, "is not an object")) };
    let fields = MESSAGES.get(place).map_or(&[] as &[_], |message| message.fields);
    let kind = fields.iter().find(|field| field.number == 2).map(|field| field.kind);
    let mut plain = Map::new();
    for (key, value) in map {
        path.push(key.clone());
        if let Some(kind) = kind
            && let Some(value) = single(kind, value, path)?
        {
            plain.insert(key.clone(), value);
        }
        path.pop();
    }
    Ok(Value::Object(plain))
}

fn array(kind: Kind, value: &Value, path: &mut Vec<String>) -> Result<Value, String> {
    let Value::Array(values) = value else { return Err(wrong(path, "is not an array")) };
    let mut plain = Vec::with_capacity(values.len());
    for (place, value) in values.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        path.push(format!("[{place}]"));
        plain.extend(single(kind, value, path)?);
        path.pop();
    }
    Ok(Value::Array(plain))
}

/// `None`: as if it were not there.
fn single(kind: Kind, value: &Value, path: &mut Vec<String>) -> Result<Option<Value>, String> {
    Ok(Some(match kind {
        Kind::Message(place) => match MESSAGES.get(place) {
            Some(message) => object(message, value, path)?,
            None => return Err(wrong(path, "is not known")),
        },
        Kind::Bool => match boolean(value) {
            Some(Some(value)) => Value::Bool(value),
            Some(None) => return Ok(None),
            None => return Err(wrong(path, "is not true or false")),
        },
        Kind::String => match value {
            Value::String(_) => value.clone(),
            Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
            _ => return Err(wrong(path, "is not a string")),
        },
        Kind::Enum(place) => {
            let values = ENUMS.get(place).map_or(&[] as &[_], |item| item.values);
            let known = match value {
                Value::String(name) => values.iter().any(|(known, _)| known == name),
                _ => values.iter().any(|(_, number)| value.as_i64() == Some(i64::from(*number))),
            };
            if !known {
                let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
                return Err(wrong(path, &format!("is none of {}", names.join(", "))));
            }
            value.clone()
        }
        _ => value.clone(),
    }))
}

/// `Some(None)`: as if it were not there.
fn boolean(value: &Value) -> Option<Option<bool>> {
    match value {
        Value::Bool(value) => Some(Some(*value)),
        Value::Number(number) => number.as_i64().map(|number| Some(number != 0)),
        Value::String(text) => match text.trim() {
            "true" | "True" => Some(Some(true)),
            "false" | "False" => Some(Some(false)),
            "" => Some(None),
            _ => None,
        },
        _ => None,
    }
}

fn wrong(path: &[String], what: &str) -> String {
    let path = path.join(".").replace(".[", "[");
    format!("{} {what}", if path.is_empty() { "it" } else { &path })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{ContainerId, ExecutorInfo, TaskInfo, Volume};
    use rstest::rstest;
    use serde_json::json;

    fn read(value: Value) -> Result<Value, String> {
        let mut value = value;
        value["executor_id"] = json!({"value": "e"});
        let info = from_value::<ExecutorInfo>(&value)?;
        let mut written = json::to_value(&info);
        written.as_object_mut().unwrap().remove("executor_id");
        Ok(written)
    }

    #[rstest]
    #[case(json!({"command": {"shell": "false"}}), json!({"command": {"shell": false}}))]
    #[case(json!({"command": {"shell": " True "}}), json!({"command": {"shell": true}}))]
    #[case(json!({"command": {"shell": 0}}), json!({"command": {"shell": false}}))]
    #[case(json!({"command": {"shell": -3}}), json!({"command": {"shell": true}}))]
    #[case(json!({"command": {"shell": ""}}), json!({"command": {}}))]
    #[case(json!({"command": {"shell": null}}), json!({"command": {}}))]
    #[case(json!({"command": {"arguments": ["a", null, 1, true]}}),
        json!({"command": {"arguments": ["a", "1", "true"]}}))]
    #[case(json!({"type": "CUSTOM"}), json!({"type": "CUSTOM"}))]
    #[case(json!({"type": 2}), json!({"type": "CUSTOM"}))]
    #[case(json!({"resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": "512"}}]}),
        json!({"resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 512.0}}]}))]
    fn accepted(#[case] value: Value, #[case] expected: Value) {
        assert_eq!(read(value), Ok(expected));
    }

    #[rstest]
    #[case(json!({"comand": {}}), "comand is not known")]
    #[case(json!({"command": {"uris": [{"value": "a"}, {"value": "a", "exec": true}]}}),
        "command.uris[1].exec is not known")]
    #[case(json!({"command": {"uris": [{}]}}), "ExecutorInfo without command.uris.value")]
    #[case(json!({"command": {"uris": {"value": "a"}}}), "command.uris is not an array")]
    #[case(json!({"command": {"shell": "yes"}}), "command.shell is not true or false")]
    #[case(json!({"command": {"shell": 0.5}}), "command.shell is not true or false")]
    #[case(json!({"command": {"value": ["a"]}}), "command.value is not a string")]
    #[case(json!({"command": "a"}), "command is not an object")]
    #[case(json!({"type": "OTHER"}), "type is none of UNKNOWN, DEFAULT, CUSTOM")]
    #[case(json!({"type": 7}), "type is none of UNKNOWN, DEFAULT, CUSTOM")]
    #[case(json!({"resources": [{"name": "mem"}]}), "ExecutorInfo without resources.type")]
    #[case(json!({"resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": "much"}}]}),
        "failed to decode ExecutorInfo: resources[0].scalar.value is not a number")]
    fn refused(#[case] value: Value, #[case] reason: &str) {
        assert_eq!(read(value), Err(reason.to_owned()));
    }

    #[test]
    fn not_an_object() {
        assert_eq!(from_value::<Volume>(&json!(1)), Err("it is not an object".to_owned()));
    }

    #[test]
    fn maps() {
        let base = json!({
            "name": "t", "task_id": {"value": "t"}, "agent_id": {"value": "a"},
            "limits": {"cpus": {"value": "1"}},
        });
        let task: TaskInfo = from_value(&base).unwrap();
        assert_eq!(task.limits["cpus"].value, 1.0);
    }

    #[rstest]
    #[case(1, true)]
    #[case(MAX_DEPTH, true)]
    #[case(MAX_DEPTH + 1, false)]
    #[case(1000, false)]
    fn deep(#[case] depth: usize, #[case] fine: bool) {
        let mut value = json!({"value": "a"});
        for _ in 0..depth {
            value = json!({"value": "a", "parent": value});
        }
        assert_eq!(from_value::<ContainerId>(&value).is_ok(), fine);
    }
}
