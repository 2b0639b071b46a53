//! Type codes, field tables and the two base types Rust lacks.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A wire type. The discriminants are TBinaryProtocol's type bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TType {
    /// End of a struct. As an element type only in an empty container that does not say its type.
    Stop = 0,
    /// `bool`
    Bool = 2,
    /// `byte` or `i8`
    I8 = 3,
    /// `double`, IEEE 754 with 64 bits
    Double = 4,
    /// `i16`
    I16 = 6,
    /// `i32`, and every enum
    I32 = 8,
    /// `i64`
    I64 = 10,
    /// `string` and `binary`
    String = 11,
    /// A struct, union or exception
    Struct = 12,
    /// `map`
    Map = 13,
    /// `set`
    Set = 14,
    /// `list`
    List = 15,
}

impl TType {
    /// The type of a TBinaryProtocol type byte, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Stop,
            2 => Self::Bool,
            3 => Self::I8,
            4 => Self::Double,
            6 => Self::I16,
            8 => Self::I32,
            10 => Self::I64,
            11 => Self::String,
            12 => Self::Struct,
            13 => Self::Map,
            14 => Self::Set,
            15 => Self::List,
            _ => return None,
        })
    }

    /// TJSONProtocol's tag.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Bool => "tf",
            Self::I8 => "i8",
            Self::Double => "dbl",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            // An empty container of no stated type has to state one here; any will do.
            Self::String | Self::Stop => "str",
            Self::Struct => "rec",
            Self::Map => "map",
            Self::Set => "set",
            Self::List => "lst",
        }
    }

    pub(crate) fn from_tag(tag: &str) -> Option<Self> {
        Some(match tag {
            "tf" => Self::Bool,
            "i8" => Self::I8,
            "dbl" => Self::Double,
            "i16" => Self::I16,
            "i32" => Self::I32,
            "i64" => Self::I64,
            "str" => Self::String,
            "rec" => Self::Struct,
            "map" => Self::Map,
            "set" => Self::Set,
            "lst" => Self::List,
            _ => return None,
        })
    }

    /// Whether a JSON object key can hold a value of this type.
    pub(crate) fn is_scalar(self) -> bool {
        !matches!(self, Self::Struct | Self::Map | Self::Set | Self::List)
    }
}

impl fmt::Display for TType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "no type",
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::Double => "double",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::String => "string",
            Self::Struct => "struct",
            Self::Map => "map",
            Self::Set => "set",
            Self::List => "list",
        })
    }
}

/// A declared field of a struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The id on the wire.
    pub id: i16,
    /// The name in the interface definition; the key in the readable form.
    pub name: &'static str,
    /// The declared type.
    pub ttype: TType,
}

/// A declared struct, union or exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructDef {
    /// The name in the interface definition.
    pub name: &'static str,
    /// The fields, in ascending order of their ids.
    pub fields: &'static [Field],
}

/// A `double` with a total order (that of [`f64::total_cmp`]), so that any struct can be an element
/// of a set and equal values encode equally. Hence `-0.0 != 0.0`, and a NaN equals itself.
#[derive(Clone, Copy, Default)]
pub struct Double(pub f64);

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Double {}

impl PartialOrd for Double {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Double {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Double {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<f64> for Double {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<Double> for f64 {
    fn from(value: Double) -> Self {
        value.0
    }
}

/// A `binary`: any bytes. Base64 in the JSON forms.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(value: Vec<u8>) -> Self {
        Self(value)
    }
}

impl From<&[u8]> for Bytes {
    fn from(value: &[u8]) -> Self {
        Self(value.to_vec())
    }
}

impl From<&str> for Bytes {
    fn from(value: &str) -> Self {
        Self(value.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_codes_and_tags_map_both_ways() {
        for code in 0..=255_u8 {
            if let Some(ttype) = TType::from_code(code) {
                assert_eq!(ttype as u8, code);
                if ttype != TType::Stop {
                    assert_eq!(TType::from_tag(ttype.tag()), Some(ttype));
                }
            }
        }
        assert_eq!(TType::from_tag("bool"), None);
    }

    #[test]
    fn doubles_have_a_total_order() {
        let mut all = [f64::NAN, 1.0, -0.0, f64::NEG_INFINITY, 0.0].map(Double);
        all.sort();
        assert_eq!(all, [f64::NEG_INFINITY, -0.0, 0.0, 1.0, f64::NAN].map(Double));
        assert_ne!(Double(0.0), Double(-0.0));
    }
}
