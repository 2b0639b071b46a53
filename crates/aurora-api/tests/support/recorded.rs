//! Recorded data: reading it, and comparing without regard to what has no order.
#![allow(dead_code)]

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use thrift_wire::{
    Bytes, Fields, InMessage, MessageHead, Out, OutMessage, StructDef, TType, Value, Wire, binary,
    readable, tjson,
};

/// A directory below the recorded data.
pub(crate) fn fixtures(dir: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(dir)
}

/// An encoding of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Text,
}

impl Form {
    pub(crate) fn encode<T: Wire>(self, value: &T) -> Vec<u8> {
        match self {
            Self::Binary => binary::to_vec(value),
            Self::Text => tjson::to_string(value).into_bytes(),
        }
    }

    pub(crate) fn decode<T: Wire>(self, bytes: &[u8]) -> Result<T, String> {
        match self {
            Self::Binary => binary::from_slice(bytes),
            Self::Text => tjson::from_slice(bytes),
        }
        .map_err(|e| e.to_string())
    }

    /// A message as header and struct.
    pub(crate) fn decode_message<T: Wire>(
        self,
        bytes: &[u8],
    ) -> Result<(MessageHead, T), thrift_wire::DecodeError> {
        fn read<T: Wire, I: InMessage>(
            input: &mut I,
        ) -> Result<(MessageHead, T), thrift_wire::DecodeError> {
            let head = input.message_begin()?;
            let value = T::read(input)?;
            input.message_end()?;
            Ok((head, value))
        }
        match self {
            Self::Binary => {
                let mut input = binary::Reader::new(bytes);
                let message = read(&mut input)?;
                input.finish().map(|()| message)
            }
            Self::Text => {
                let mut input = tjson::Reader::new(bytes);
                let message = read(&mut input)?;
                input.finish().map(|()| message)
            }
        }
    }

    pub(crate) fn encode_message<T: Wire>(self, head: &MessageHead, value: &T) -> Vec<u8> {
        fn write<T: Wire, O: OutMessage>(out: &mut O, head: &MessageHead, value: &T) {
            out.message_begin(&head.name, head.kind, head.seq);
            value.write(out);
            out.message_end();
        }
        match self {
            Self::Binary => {
                let mut bytes = Vec::new();
                write(&mut binary::Writer::new(&mut bytes), head, value);
                bytes
            }
            Self::Text => {
                let mut text = String::new();
                write(&mut tjson::Writer::new(&mut text), head, value);
                text.into_bytes()
            }
        }
    }
}

/// One line of a `.jsonl` file.
pub(crate) struct Record {
    pub(crate) place: String,
    pub(crate) json: Json,
}

impl Record {
    /// All records of a file of `clients`.
    pub(crate) fn all(file: &str) -> Vec<Self> {
        let text = fs::read_to_string(fixtures("clients").join(file)).unwrap();
        let record = |(index, line)| Self {
            place: format!("{file}:{}", index + 1),
            json: serde_json::from_str(line).unwrap(),
        };
        text.lines().enumerate().map(record).collect()
    }

    pub(crate) fn str(&self, key: &str) -> &str {
        self.json[key].as_str().unwrap_or_else(|| panic!("{}: no {key}", self.place))
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.json.get(key).is_some()
    }

    /// What was on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self.json.get("text") {
            Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
            None => readable::from_str::<Bytes>(&self.json["base64"].to_string()).unwrap().0,
        }
    }

    pub(crate) fn form(&self) -> Form {
        match self.json.get("form").and_then(Json::as_str) {
            Some("tjson") => Form::Text,
            Some("tbinary") | None => Form::Binary,
            other => panic!("{}: form {other:?}", self.place),
        }
    }
}

/// Sorts whatever has no order: fields, sets and maps.
pub(crate) fn canonical(fields: Fields) -> Fields {
    fn value(v: Value) -> Value {
        match v {
            Value::Struct(fields) => Value::Struct(canonical(fields)),
            Value::List { element, items } => {
                Value::List { element, items: items.into_iter().map(value).collect() }
            }
            Value::Set { element, items } => {
                let mut items: Vec<_> = items.into_iter().map(value).collect();
                items.sort();
                Value::Set { element, items }
            }
            Value::Map { key, value: element, entries } => {
                let mut entries: Vec<_> =
                    entries.into_iter().map(|(k, v)| (value(k), value(v))).collect();
                entries.sort();
                Value::Map { key, value: element, entries }
            }
            other => other,
        }
    }
    let mut fields: Vec<_> = fields.0.into_iter().map(|(id, v)| (id, value(v))).collect();
    fields.sort();
    Fields(fields)
}

/// Sorts arrays and makes whole numbers integers. Sets are arrays here, and so are lists; those are
/// compared elsewhere.
pub(crate) fn canonical_json(json: Json) -> Json {
    match json {
        Json::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(canonical_json).collect();
            items.sort_by_cached_key(Json::to_string);
            Json::Array(items)
        }
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(k, v)| (k, canonical_json(v))).collect())
        }
        #[allow(clippy::cast_possible_truncation)]
        Json::Number(n) => match n.as_f64() {
            Some(v) if n.is_f64() && v.fract() == 0.0 => Json::from(v as i64),
            _ => Json::Number(n),
        },
        other => other,
    }
}

/// Asserts that a value is what a person reads in the recording.
pub(crate) fn assert_reads<T: Wire + PartialEq + Debug>(value: &T, recorded: &Json, place: &str) {
    let text = readable::to_string(value);
    let found: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(canonical_json(found), canonical_json(recorded.clone()), "{place}");
    // Unlike the above, this minds the order of lists.
    assert_eq!(readable::from_str(&recorded.to_string()).as_ref(), Ok(value), "{place}");
}

/// Asserts that a value survives every encoding.
pub(crate) fn assert_survives<T: Wire + PartialEq + Debug>(value: &T, place: &str) {
    for form in [Form::Binary, Form::Text] {
        assert_eq!(form.decode(&form.encode(value)).as_ref(), Ok(value), "{place}");
    }
    assert_eq!(readable::from_str(&readable::to_string(value)).as_ref(), Ok(value), "{place}");
}

/// Asserts that `again` is `bytes` but for the order of sets and maps, which is ours. If even that is
/// the same, the bytes must be.
pub(crate) fn assert_same(form: Form, bytes: &[u8], again: &[u8], place: &str) {
    let found: Fields = form.decode(again).unwrap();
    let wanted: Fields = form.decode(bytes).unwrap();
    if form == Form::Binary && found == wanted {
        assert_eq!(again, bytes, "{place}");
    }
    assert_eq!(canonical(found), canonical(wanted), "{place}");
}

/// The fields of a value, at any depth, that its definition does not have: `STRUCT.ID`.
pub(crate) fn unknown_fields<T: Wire>(value: &T) -> Vec<String> {
    let mut finder = Finder::default();
    value.write(&mut finder);
    finder.found
}

/// Writes nothing and takes down unknown fields.
#[derive(Default)]
struct Finder {
    structs: Vec<&'static str>,
    found: Vec<String>,
}

impl Out for Finder {
    fn struct_begin(&mut self, def: &'static StructDef) {
        self.structs.push(def.name);
    }

    fn struct_end(&mut self) {
        self.structs.pop();
    }

    fn unknown_field(&mut self, id: i16, _value: &Value) {
        self.found.push(format!("{}.{id}", self.structs.last().unwrap()));
    }

    fn field_begin(&mut self, _field: &'static thrift_wire::Field) {}
    fn field_end(&mut self) {}
    fn list_begin(&mut self, _element: TType, _len: usize) {}
    fn item(&mut self) {}
    fn list_end(&mut self) {}
    fn map_begin(&mut self, _key: TType, _value: TType, _len: usize) {}
    fn entry_begin(&mut self, _key: TType) {}
    fn entry_value(&mut self, _key: TType) {}
    fn entry_end(&mut self, _key: TType) {}
    fn map_end(&mut self, _key: TType) {}
    fn bool(&mut self, _value: bool) {}
    fn i8(&mut self, _value: i8) {}
    fn i16(&mut self, _value: i16) {}
    fn i32(&mut self, _value: i32) {}
    fn i64(&mut self, _value: i64) {}
    fn double(&mut self, _value: f64) {}
    fn string(&mut self, _value: &str) {}
    fn binary(&mut self, _value: &[u8]) {}
    fn enumeration(&mut self, _value: i32, name: Option<&'static str>) {
        if name.is_none() {
            self.found.push(format!("{}: a number without a name", self.structs.last().unwrap()));
        }
    }
}
