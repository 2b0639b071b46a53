//! What the generated structs do not know about the messages: names, and which fields are required.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Deepest nesting of messages; prost's own limit.
pub const MAX_DEPTH: usize = 100;

/// A message type.
#[derive(Debug)]
pub struct Message {
    /// Full name.
    pub name: &'static str,
    /// Is it the entry of a map? Then its fields are number 1, the key, and 2, the value.
    pub map_entry: bool,
    /// Its fields.
    pub fields: &'static [Field],
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Name in the protocol.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
    /// How often it occurs.
    pub rule: Rule,
    /// Its type.
    pub kind: Kind,
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Once.
    Required,
    /// Once or not at all.
    Optional,
    /// Any number of times.
    Repeated,
}

/// Type of a field; messages and enums by their place in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `double`
    Double,
    /// `int32`
    Int32,
    /// `int64`
    Int64,
    /// `uint32`
    Uint32,
    /// `uint64`
    Uint64,
    /// `bool`
    Bool,
    /// `string`
    String,
    /// `bytes`
    Bytes,
    /// Place in `ENUMS`.
    Enum(usize),
    /// Place in `MESSAGES`.
    Message(usize),
}

/// An enum type.
#[derive(Debug)]
pub struct Enum {
    /// Names and numbers.
    pub values: &'static [(&'static str, i32)],
}

include!(concat!(env!("OUT_DIR"), "/schema.rs"));

/// The description of a message by its full name.
pub fn find(name: &str) -> Option<&'static Message> {
    let place = MESSAGES.binary_search_by(|m| m.name.cmp(name)).ok()?;
    MESSAGES.get(place)
}

/// Why bytes are not the message that they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A required field is absent; its path.
    Missing(String),
    /// Not protobuf.
    Malformed(String),
}

/// The value of a field, as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Raw<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Of a type that no message here has; skipped.
    Other,
}

/// Takes one field off the front of a message.
pub(crate) fn take<'a>(buf: &mut &'a [u8]) -> Result<(u32, Raw<'a>), Flaw> {
    let malformed = |e: prost::DecodeError| Flaw::Malformed(e.to_string());
    let (number, wire) = decode_key(buf).map_err(malformed)?;
    let raw = match wire {
        WireType::Varint => Raw::Varint(decode_varint(buf).map_err(malformed)?),
        WireType::SixtyFourBit => match buf.split_first_chunk::<8>() {
            Some((bytes, rest)) => {
                *buf = rest;
                Raw::Fixed64(u64::from_le_bytes(*bytes))
            }
            None => return Err(Flaw::Malformed("ends inside a number".into())),
        },
        WireType::LengthDelimited => {
            let length = decode_varint(buf).map_err(malformed)?;
            let split = usize::try_from(length).ok().and_then(|n| buf.split_at_checked(n));
            match split {
                Some((bytes, rest)) => {
                    *buf = rest;
                    Raw::Bytes(bytes)
                }
                None => return Err(Flaw::Malformed("ends inside a field".into())),
            }
        }
        _ => {
            skip_field(wire, number, buf, DecodeContext::default()).map_err(malformed)?;
            Raw::Other
        }
    };
    Ok((number, raw))
}

/// Checks that every required field is there, in the message and in all messages inside.
///
/// A message in two parts, which a decoder would merge, must be complete in each; no encoder makes
/// such.
pub(crate) fn check(message: &'static Message, bytes: &[u8]) -> Result<(), Flaw> {
    check_at(message, bytes, &mut Vec::new())
}

fn check_at(
    message: &'static Message,
    mut bytes: &[u8],
    path: &mut Vec<&'static str>,
) -> Result<(), Flaw> {
    if path.len() > MAX_DEPTH {
        return Err(Flaw::Malformed("nested too deeply".into()));
    }
    // One bit for each field; no message has as many.
    let mut seen = 0u64;
    while !bytes.is_empty() {
        let (number, raw) = take(&mut bytes)?;
        let Some(place) = message.fields.iter().position(|f| f.number == number) else { continue };
        seen |= 1u64.checked_shl(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or(0);
        if let (Some(field), Raw::Bytes(inner)) = (message.fields.get(place), raw)
            && let Kind::Message(inner_type) = field.kind
            && let Some(inner_type) = MESSAGES.get(inner_type)
        {
            path.push(field.name);
            check_at(inner_type, inner, path)?;
            path.pop();
        }
    }
    for (place, field) in message.fields.iter().enumerate() {
        if field.rule == Rule::Required && seen & (1u64 << (place & 63)) == 0 {
            path.push(field.name);
            return Err(Flaw::Missing(path.join(".")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        assert!(MESSAGES.iter().all(|m| m.fields.len() < 64));
        assert!(MESSAGES.windows(2).all(|w| w[0].name < w[1].name));
        assert_eq!(find("mesos.v1.TaskInfo").unwrap().fields.len(), 15);
        assert!(find("mesos.v1.Nothing").is_none());
    }
}
