//! Messages as bytes, in either encoding of the API, and whole: required fields are there.
//!
//! A field that this crate does not know is lost when a message is decoded; an enum number that it
//! does not know is kept as a number.

use std::fmt;

use prost::{Message, Name};

use crate::json;
use crate::recordio::Decoder;
use crate::schema::{self, Flaw};

/// A message of [`v1`](crate::v1).
pub trait Wire: Message + Name + Default {}

impl<M: Message + Name + Default> Wire for M {}

/// How messages are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Protobuf, binary.
    #[default]
    Protobuf,
    /// JSON as Mesos writes and reads it; for debugging.
    Json,
}

impl Format {
    /// The name for HTTP's `Content-Type` and `Accept`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// The format of a `Content-Type`; parameters after `;` do not matter.
    pub fn from_content_type(value: &str) -> Option<Self> {
        let name = value.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|f| f.content_type().eq_ignore_ascii_case(name))
    }

    /// Encodes a message.
    pub fn encode<M: Wire>(self, message: &M) -> Vec<u8> {
        match self {
            Self::Protobuf => message.encode_to_vec(),
            Self::Json => json::to_string(message).into_bytes(),
        }
    }

    /// Decodes a message. Fails for bytes that are none, or that lack a required field.
    pub fn decode<M: Wire>(self, bytes: &[u8]) -> Result<M, Error> {
        match self {
            Self::Protobuf => protobuf(bytes),
            Self::Json => json::from_slice(bytes),
        }
    }
}

/// The messages of a stream.
#[derive(Clone, Debug)]
pub struct Records {
    decoder: Decoder,
    format: Format,
}

impl Records {
    /// At the start of a stream with this `Content-Type`; one without is in the format that was
    /// asked for. `None`: it is in neither format. `max`: longest record, in bytes.
    pub fn new(content_type: Option<&str>, asked: Format, max: usize) -> Option<Self> {
        let format = match content_type {
            Some(name) => Format::from_content_type(name)?,
            None => asked,
        };
        Some(Self { decoder: Decoder::new(max), format })
    }

    /// Takes bytes off the front of `input` up to the end of a message, as
    /// [`Decoder::next`] does. `Err`: why the stream makes no sense.
    pub fn next<M: Wire>(&mut self, input: &mut &[u8]) -> Result<Option<M>, String> {
        let record = self.decoder.next(input).map_err(|error| error.to_string())?;
        let message = record.map(|record| self.format.decode(&record)).transpose();
        message.map_err(|error| error.to_string())
    }
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    message: &'static str,
    kind: ErrorKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ErrorKind {
    Missing(String),
    Malformed(String),
}

impl Error {
    pub(crate) fn malformed<M: Name>(reason: impl Into<String>) -> Self {
        Self { message: M::NAME, kind: ErrorKind::Malformed(reason.into()) }
    }

    fn new<M: Name>(flaw: Flaw) -> Self {
        let kind = match flaw {
            Flaw::Missing(path) => ErrorKind::Missing(path),
            Flaw::Malformed(reason) => ErrorKind::Malformed(reason),
        };
        Self { message: M::NAME, kind }
    }

    /// The path of the required field that is absent, if that is what is wrong.
    pub fn missing(&self) -> Option<&str> {
        match &self.kind {
            ErrorKind::Missing(path) => Some(path),
            ErrorKind::Malformed(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Missing(path) => write!(f, "{} without {path}", self.message),
            ErrorKind::Malformed(reason) => {
                write!(f, "failed to decode {}: {reason}", self.message)
            }
        }
    }
}

impl std::error::Error for Error {}

/// Decodes protobuf.
pub(crate) fn protobuf<M: Wire>(bytes: &[u8]) -> Result<M, Error> {
    if let Some(description) = schema::find(&M::full_name()) {
        schema::check(description, bytes).map_err(Error::new::<M>)?;
    }
    M::decode(bytes).map_err(|e| Error::malformed::<M>(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::executor::{Call, Event};
    use crate::v1::{ContainerId, TaskInfo};
    use rstest::rstest;

    #[rstest]
    #[case("application/json", Some(Format::Json))]
    #[case("Application/X-Protobuf", Some(Format::Protobuf))]
    #[case(" application/json ; charset=utf-8", Some(Format::Json))]
    #[case("text/plain", None)]
    #[case("", None)]
    fn content_types(#[case] value: &str, #[case] format: Option<Format>) {
        assert_eq!(Format::from_content_type(value), format);
    }

    #[rstest]
    #[case::nothing_is_an_event(b"", None)]
    #[case::unknown_field(&[0xa0, 0x06, 1], None)]
    #[case::launch(&[0x22, 0], Some("Event without launch.task"))]
    #[case::task(&[0x22, 2, 0x0a, 0], Some("Event without launch.task.name"))]
    #[case::truncated(&[0x22, 2, 0x0a], Some("failed to decode Event: ends inside a field"))]
    #[case::not_utf8(&[0x3a, 3, 0x0a, 1, 0xff],
        Some("failed to decode Event: failed to decode Protobuf message: Error.message: \
              Event.error: invalid string value: data is not UTF-8 encoded"))]
    fn events(#[case] bytes: &[u8], #[case] error: Option<&str>) {
        let result = Format::Protobuf.decode::<Event>(bytes);
        assert_eq!(result.err().map(|e| e.to_string()).as_deref(), error);
    }

    #[test]
    fn missing() {
        let error = Format::Protobuf.decode::<Call>(b"").unwrap_err();
        assert_eq!(error.missing(), Some("executor_id"));
        let error = Format::Json.decode::<Call>(b"{}").unwrap_err();
        assert_eq!(error.missing(), Some("executor_id"));
        assert_eq!(Format::Protobuf.decode::<TaskInfo>(b"\xff").unwrap_err().missing(), None);
    }

    #[test]
    fn too_deep() {
        let mut id = ContainerId { value: "a".into(), parent: None };
        for _ in 0..150 {
            id = ContainerId { value: "a".into(), parent: Some(Box::new(id)) };
        }
        let error = Format::Protobuf.decode::<ContainerId>(&id.encode_to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "failed to decode ContainerID: nested too deeply");
    }
}
