//! Mesos' JSON form of messages: field names as in the protocol files, enums by name, bytes as
//! base64, 64-bit integers as plain numbers.
//!
//! Read as agents and masters read it: numbers may also be strings, unknown fields and `null` are
//! ignored, and an enum name that is not known counts as absent. Writing and reading go through the
//! protobuf form and a table of fields, so that every message has a JSON form.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Number, Value};

use crate::base64;
use crate::codec::{Error, Wire, protobuf};
use crate::schema::{self, ENUMS, Field, Kind, MAX_DEPTH, MESSAGES, Message, Raw, Rule};

/// A message as JSON, without line breaks.
pub fn to_string<M: Wire>(message: &M) -> String {
    to_value(message).to_string()
}

/// A message as a JSON value.
pub fn to_value<M: Wire>(message: &M) -> Value {
    match schema::find(&M::full_name()) {
        Some(description) => Value::Object(object(description, &message.encode_to_vec(), 0)),
        None => Value::Object(Map::new()),
    }
}

/// A message from JSON. Fails for text that is not JSON, values of the wrong type, and absent
/// required fields; the error names the place.
pub fn from_slice<M: Wire>(json: &[u8]) -> Result<M, Error> {
    let value = serde_json::from_slice(json).map_err(|e| Error::malformed::<M>(e.to_string()))?;
    from_value(&value)
}

/// A message from a JSON value; fails as [`from_slice`] does.
pub fn from_value<M: Wire>(value: &Value) -> Result<M, Error> {
    let mut bytes = Vec::new();
    if let Some(description) = schema::find(&M::full_name()) {
        let mut path = Vec::new();
        write_message(description, value, &mut path, &mut bytes).map_err(|expected| {
            let path: String = path.iter().map(Step::text).collect();
            let path = path.trim_start_matches('.');
            let place = if path.is_empty() { M::NAME } else { path };
            Error::malformed::<M>(format!("{place} is not {expected}"))
        })?;
    }
    protobuf(&bytes)
}

// ---------- protobuf to JSON ----------

/// The fields of a message that prost encoded; what cannot be is left out.
fn object(message: &'static Message, mut bytes: &[u8], depth: usize) -> Map<String, Value> {
    let mut map = Map::new();
    while depth < MAX_DEPTH && !bytes.is_empty() {
        let Ok((number, raw)) = schema::take(&mut bytes) else { break };
        let Some(field) = message.fields.iter().find(|f| f.number == number) else { continue };
        if let (Kind::Message(inner), Raw::Bytes(entry)) = (field.kind, raw)
            && let Some(inner) = MESSAGES.get(inner)
            && inner.map_entry
        {
            let mut entry = object(inner, entry, depth + 1);
            let key = entry.remove("key").and_then(|k| k.as_str().map(str::to_owned));
            let value = entry.remove("value").unwrap_or_else(|| default(inner));
            let all = map.entry(field.name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(all) = all {
                all.insert(key.unwrap_or_default(), value);
            }
            continue;
        }
        let Some(value) = scalar(field.kind, raw, depth) else { continue };
        if field.rule == Rule::Repeated {
            let all = map.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = all {
                all.push(value);
            }
        } else {
            map.insert(field.name.to_owned(), value);
        }
    }
    map
}

/// The value of a map's entry that has none on the wire.
fn default(entry: &'static Message) -> Value {
    match entry.fields.iter().find(|f| f.number == 2).map(|f| f.kind) {
        Some(Kind::Message(_)) => Value::Object(Map::new()),
        _ => Value::from(""),
    }
}

fn scalar(kind: Kind, raw: Raw<'_>, depth: usize) -> Option<Value> {
    Some(match (kind, raw) {
        (Kind::Double, Raw::Fixed64(bits)) => {
            let value = f64::from_bits(bits);
            // Not a number in JSON; as strings they are read again.
            match Number::from_f64(value) {
                Some(number) => Value::Number(number),
                None if value.is_nan() => Value::from("NaN"),
                None if value > 0.0 => Value::from("Infinity"),
                None => Value::from("-Infinity"),
            }
        }
        (Kind::Int32, Raw::Varint(v)) => Value::from(v as i32),
        (Kind::Int64, Raw::Varint(v)) => Value::from(v as i64),
        (Kind::Uint32, Raw::Varint(v)) => Value::from(v as u32),
        (Kind::Uint64, Raw::Varint(v)) => Value::from(v),
        (Kind::Bool, Raw::Varint(v)) => Value::from(v != 0),
        (Kind::String, Raw::Bytes(b)) => Value::from(String::from_utf8_lossy(b)),
        (Kind::Bytes, Raw::Bytes(b)) => Value::from(base64::encode(b)),
        (Kind::Enum(place), Raw::Varint(v)) => {
            let number = v as i32;
            let name = ENUMS.get(place)?.values.iter().find(|(_, n)| *n == number);
            // A number without a name is kept as a number.
            name.map_or_else(|| Value::from(number), |(name, _)| Value::from(*name))
        }
        (Kind::Message(place), Raw::Bytes(b)) => {
            Value::Object(object(MESSAGES.get(place)?, b, depth + 1))
        }
        _ => return None,
    })
}

// ---------- JSON to protobuf ----------

/// A step on the way to a value.
enum Step<'a> {
    Field(&'static str),
    Key(&'a str),
    Place(usize),
}

impl Step<'_> {
    fn text(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Key(key) => format!("[{key:?}]"),
            Self::Place(place) => format!("[{place}]"),
        }
    }
}

/// What was expected in place of a value.
type Expected = &'static str;

fn write_message<'a>(
    message: &'static Message,
    value: &'a Value,
    path: &mut Vec<Step<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), Expected> {
    let Value::Object(map) = value else { return Err("an object") };
    for field in message.fields {
        let Some(value) = map.get(field.name) else { continue };
        path.push(Step::Field(field.name));
        write_field(field, value, path, out)?;
        path.pop();
    }
    Ok(())
}

fn write_field<'a>(
    field: &'static Field,
    value: &'a Value,
    path: &mut Vec<Step<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), Expected> {
    if value.is_null() {
        return Ok(());
    }
    if field.rule != Rule::Repeated {
        return write_value(field.number, field.kind, value, path, out);
    }
    if let Kind::Message(inner) = field.kind
        && let Some(entry) = MESSAGES.get(inner)
        && entry.map_entry
    {
        let Value::Object(map) = value else { return Err("an object") };
        for (key, value) in map {
            path.push(Step::Key(key));
            let mut bytes = Vec::new();
            for field in entry.fields {
                if field.number == 1 {
                    write_bytes(1, key.as_bytes(), &mut bytes);
                } else {
                    write_field(field, value, path, &mut bytes)?;
                }
            }
            write_bytes(field.number, &bytes, out);
            path.pop();
        }
        return Ok(());
    }
    let Value::Array(values) = value else { return Err("an array") };
    for (place, value) in values.iter().enumerate() {
        path.push(Step::Place(place));
        write_value(field.number, field.kind, value, path, out)?;
        path.pop();
    }
    Ok(())
}

fn write_value<'a>(
    number: u32,
    kind: Kind,
    value: &'a Value,
    path: &mut Vec<Step<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), Expected> {
    match kind {
        Kind::Double => {
            let value = match value {
                Value::Number(n) => n.as_f64(),
                Value::String(s) => s.trim().parse().ok(),
                _ => None,
            };
            let value = value.ok_or("a number")?;
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        Kind::Int32 => {
            let value = i32::try_from(integer(value)?).map_err(|_| "a 32-bit integer")?;
            write_varint(number, i64::from(value) as u64, out);
        }
        Kind::Int64 => {
            let value = i64::try_from(integer(value)?).map_err(|_| "a 64-bit integer")?;
            write_varint(number, value as u64, out);
        }
        Kind::Uint32 => {
            let value = u32::try_from(integer(value)?).map_err(|_| "a 32-bit number from 0")?;
            write_varint(number, u64::from(value), out);
        }
        Kind::Uint64 => {
            let value = u64::try_from(integer(value)?).map_err(|_| "a 64-bit number from 0")?;
            write_varint(number, value, out);
        }
        Kind::Bool => write_varint(number, u64::from(value.as_bool().ok_or("true or false")?), out),
        Kind::String => write_bytes(number, value.as_str().ok_or("a string")?.as_bytes(), out),
        Kind::Bytes => {
            let bytes = value.as_str().and_then(base64::decode).ok_or("base64")?;
            write_bytes(number, &bytes, out);
        }
        Kind::Enum(place) => {
            let values = ENUMS.get(place).map_or(&[] as &[_], |e| e.values);
            let found = match value {
                Value::String(name) => values.iter().find(|(n, _)| n == name).map(|(_, v)| *v),
                _ => Some(i32::try_from(integer(value)?).map_err(|_| "a name")?),
            };
            // A name of a later version counts as absent.
            if let Some(found) = found {
                write_varint(number, i64::from(found) as u64, out);
            }
        }
        Kind::Message(place) => {
            let mut bytes = Vec::new();
            let inner = MESSAGES.get(place).ok_or("known")?;
            write_message(inner, value, path, &mut bytes)?;
            write_bytes(number, &bytes, out);
        }
    }
    Ok(())
}

/// An integer as a number or a string; `1.0` is one too.
fn integer(value: &Value) -> Result<i128, Expected> {
    let fraction = |f: f64| (f.fract() == 0.0 && f.abs() < 1e30).then_some(f as i128);
    let found = match value {
        Value::Number(n) => match n.as_i128() {
            Some(n) => Some(n),
            None => n.as_f64().and_then(fraction),
        },
        Value::String(s) => match s.trim().parse() {
            Ok(n) => Some(n),
            Err(_) => s.trim().parse().ok().and_then(fraction),
        },
        _ => None,
    };
    found.ok_or("an integer")
}

fn write_varint(number: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(number, WireType::Varint, out);
    encode_varint(value, out);
}

fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Format;
    use crate::v1::executor::{Call, Event};
    use crate::v1::{
        ContainerId, FrameworkInfo, MasterInfo, RLimitInfo, Resource, TaskInfo, TaskStatus,
        Value as V,
    };
    use rstest::rstest;
    use serde_json::json;

    /// What comes of a text that is read and written again.
    fn again<M: Wire>(text: Value) -> Result<Value, String> {
        from_value::<M>(&text).map(|m| to_value(&m)).map_err(|e| e.to_string())
    }

    fn status(extra: Value) -> Value {
        let mut status = json!({"task_id": {"value": "t"}, "state": "TASK_RUNNING"});
        status.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        status
    }

    #[rstest]
    #[case::plain(json!({}), json!({}))]
    #[case::null(json!({"message": null}), json!({}))]
    #[case::unknown_field(json!({"nonsense": [1, {"a": 2}]}), json!({}))]
    #[case::unknown_enum(json!({"reason": "REASON_OF_TOMORROW"}), json!({}))]
    #[case::enum_number(json!({"reason": 20}), json!({"reason": "REASON_CONTAINER_LIMITATION_DISK"}))]
    #[case::enum_unknown_number(json!({"reason": 4711}), json!({"reason": 4711}))]
    #[case::bytes(json!({"uuid": "WpFh/+UxTJ+W0ADuoEsv9g=="}), json!({"uuid": "WpFh/+UxTJ+W0ADuoEsv9g=="}))]
    #[case::empty_bytes(json!({"data": ""}), json!({"data": ""}))]
    #[case::double_text(json!({"timestamp": "1.25"}), json!({"timestamp": 1.25}))]
    #[case::double_integer(json!({"timestamp": 7}), json!({"timestamp": 7.0}))]
    #[case::double_infinite(json!({"timestamp": "Infinity"}), json!({"timestamp": "Infinity"}))]
    #[case::double_nan(json!({"timestamp": "NaN"}), json!({"timestamp": "NaN"}))]
    #[case::bool(json!({"healthy": false}), json!({"healthy": false}))]
    #[case::long(
        json!({"unreachable_time": {"nanoseconds": "-9223372036854775808"}}),
        json!({"unreachable_time": {"nanoseconds": i64::MIN}}))]
    #[case::int32(
        json!({"check_status": {"command": {"exit_code": -1}}}),
        json!({"check_status": {"command": {"exit_code": -1}}}))]
    #[case::uint32_with_fraction(
        json!({"container_status": {"executor_pid": 12.0}}),
        json!({"container_status": {"executor_pid": 12}}))]
    #[case::quotes(json!({"message": "\"\\\n\u{1}é"}), json!({"message": "\"\\\n\u{1}é"}))]
    fn statuses(#[case] read: Value, #[case] written: Value) {
        assert_eq!(again::<TaskStatus>(status(read)), Ok(status(written)));
    }

    #[rstest]
    #[case(json!({"task_id": "t"}), "task_id is not an object")]
    #[case(json!({"task_id": {"value": 1}}), "task_id.value is not a string")]
    #[case(json!({"timestamp": "soon"}), "timestamp is not a number")]
    #[case(json!({"timestamp": true}), "timestamp is not a number")]
    #[case(json!({"healthy": 1}), "healthy is not true or false")]
    #[case(json!({"uuid": "?"}), "uuid is not base64")]
    #[case(json!({"reason": true}), "reason is not an integer")]
    #[case(json!({"reason": 5000000000i64}), "reason is not a name")]
    #[case(json!({"labels": {"labels": {}}}), "labels.labels is not an array")]
    #[case(json!({"labels": {"labels": [{"key": "a"}, 1]}}), "labels.labels[1] is not an object")]
    #[case(json!({"check_status": {"http": {"status_code": -1}}}),
        "check_status.http.status_code is not a 32-bit number from 0")]
    #[case(json!({"check_status": {"command": {"exit_code": 1.5}}}),
        "check_status.command.exit_code is not an integer")]
    #[case(json!({"unreachable_time": {"nanoseconds": 1e19}}),
        "unreachable_time.nanoseconds is not a 64-bit integer")]
    fn wrong(#[case] read: Value, #[case] reason: &str) {
        let expected = format!("failed to decode TaskStatus: {reason}");
        assert_eq!(again::<TaskStatus>(status(read)), Err(expected));
    }

    #[rstest]
    #[case(json!({"state": "TASK_RUNNING"}), "TaskStatus without task_id")]
    #[case(json!({"task_id": {}, "state": "TASK_RUNNING"}), "TaskStatus without task_id.value")]
    #[case(json!({"task_id": {"value": "t"}}), "TaskStatus without state")]
    #[case(json!({"task_id": {"value": "t"}, "state": "TASK_SLEEPING"}), "TaskStatus without state")]
    #[case(status(json!({"labels": {"labels": [{}]}})), "TaskStatus without labels.labels.key")]
    #[case(json!([]), "failed to decode TaskStatus: TaskStatus is not an object")]
    fn incomplete(#[case] read: Value, #[case] reason: &str) {
        assert_eq!(again::<TaskStatus>(read), Err(reason.to_owned()));
    }

    #[test]
    fn maps() {
        let task = json!({
            "name": "n", "task_id": {"value": "t"}, "agent_id": {"value": "a"},
            "limits": {"cpus": {"value": 2.0}, "mem": {"value": "Infinity"}},
        });
        assert_eq!(again::<TaskInfo>(task.clone()), Ok(task));
        let framework = json!({
            "user": "u", "name": "n",
            "offer_filters": {"r": {"min_allocatable_resources": {"quantities": [
                {"quantities": {"cpus": {"value": 0.1}}}, {},
            ]}}},
        });
        assert_eq!(again::<FrameworkInfo>(framework.clone()), Ok(framework));
        let wrong = json!({
            "name": "n", "task_id": {"value": "t"}, "agent_id": {"value": "a"},
            "limits": {"cpus": {"value": "many"}},
        });
        let reason = "failed to decode TaskInfo: limits[\"cpus\"].value is not a number";
        assert_eq!(again::<TaskInfo>(wrong), Err(reason.to_owned()));
    }

    #[test]
    fn an_empty_capability() {
        // Mesos 1.11 writes one that has no number in this API.
        let master = json!({
            "id": "i", "ip": 16777343, "port": 5050,
            "capabilities": [{"type": "AGENT_UPDATE"}, {}],
        });
        assert_eq!(again::<MasterInfo>(master.clone()), Ok(master));
    }

    #[test]
    fn large_numbers() {
        let limits = json!({"rlimits": [{"type": "RLMT_AS", "hard": u64::MAX, "soft": "18446744073709551615"}]});
        let expected =
            json!({"rlimits": [{"type": "RLMT_AS", "hard": u64::MAX, "soft": u64::MAX}]});
        assert_eq!(again::<RLimitInfo>(limits), Ok(expected));
        let ranges =
            json!({"type": "RANGES", "ranges": {"range": [{"begin": 0, "end": u64::MAX}]}});
        assert_eq!(again::<V>(ranges.clone()), Ok(ranges));
    }

    #[test]
    fn packed_enums() {
        // Proto2 packs nothing, but whoever decodes has to take both.
        let packed = [0x0a, 4, 0xe8, 0x07, 0xe9, 0x07];
        let info = Format::Protobuf.decode::<crate::v1::CapabilityInfo>(&packed).unwrap();
        assert_eq!(to_value(&info), json!({"capabilities": ["CHOWN", "DAC_OVERRIDE"]}));
    }

    #[test]
    fn text() {
        let error = from_slice::<Call>(b"{").unwrap_err().to_string();
        assert!(error.starts_with("failed to decode Call: EOF"), "{error}");
        let event = from_slice::<Event>(br#"{"type":"SHUTDOWN"}"#).unwrap();
        assert_eq!(to_string(&event), r#"{"type":"SHUTDOWN"}"#);
        assert_eq!(from_slice::<Event>(b"{}"), Ok(Event::default()));
        // An empty object inside is kept.
        let revocable = json!({"name": "cpus", "type": "SCALAR", "revocable": {}});
        assert_eq!(again::<Resource>(revocable.clone()), Ok(revocable));
    }

    #[test]
    fn too_deep() {
        let mut id = json!({"value": "a"});
        for _ in 0..110 {
            id = json!({"value": "a", "parent": id});
        }
        let error = again::<ContainerId>(id).unwrap_err();
        assert_eq!(error, "failed to decode ContainerID: nested too deeply");
    }
}
