//! Values whose type is known only from the wire.

use crate::{Bytes, DecodeError, Double, ErrorKind, In, Out, StructDef, TType, Wire};

/// A value of any type, as it stood on the wire.
///
/// `string` and `binary` are one wire type, so [`Value::String`] holds bytes. In TJSON the two
/// differ (text or base64) and the input does not say which it is: text is taken as it stands, so
/// TJSON to TJSON and binary to binary are exact. From binary to TJSON, bytes that are UTF-8 become
/// text and others base64.
///
/// Elements stay in the order of the wire, duplicates included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `i8`
    I8(i8),
    /// `i16`
    I16(i16),
    /// `i32` or an enum
    I32(i32),
    /// `i64`
    I64(i64),
    /// `double`
    Double(Double),
    /// `string` or `binary`
    String(Bytes),
    /// A struct, union or exception
    Struct(Fields),
    /// `map`
    Map {
        /// Type of every key.
        key: TType,
        /// Type of every value.
        value: TType,
        /// Keys and values.
        entries: Vec<(Value, Value)>,
    },
    /// `set`
    Set {
        /// Type of every element.
        element: TType,
        /// The elements.
        items: Vec<Value>,
    },
    /// `list`
    List {
        /// Type of every element.
        element: TType,
        /// The elements.
        items: Vec<Value>,
    },
}

impl Value {
    /// The wire type.
    pub fn ttype(&self) -> TType {
        match self {
            Self::Bool(_) => TType::Bool,
            Self::I8(_) => TType::I8,
            Self::I16(_) => TType::I16,
            Self::I32(_) => TType::I32,
            Self::I64(_) => TType::I64,
            Self::Double(_) => TType::Double,
            Self::String(_) => TType::String,
            Self::Struct(_) => TType::Struct,
            Self::Map { .. } => TType::Map,
            Self::Set { .. } => TType::Set,
            Self::List { .. } => TType::List,
        }
    }

    pub(crate) fn write<O: Out>(&self, out: &mut O) {
        match self {
            Self::Bool(v) => out.bool(*v),
            Self::I8(v) => out.i8(*v),
            Self::I16(v) => out.i16(*v),
            Self::I32(v) => out.i32(*v),
            Self::I64(v) => out.i64(*v),
            Self::Double(v) => out.double(v.0),
            Self::String(v) => match std::str::from_utf8(v) {
                Ok(text) => out.string(text),
                Err(_) => out.binary(v),
            },
            Self::Struct(fields) => fields.write(out),
            Self::Map { key, value, entries } => {
                out.map_begin(*key, *value, entries.len());
                for (k, v) in entries {
                    out.entry_begin(*key);
                    k.write(out);
                    out.entry_value(*key);
                    v.write(out);
                    out.entry_end(*key);
                }
                out.map_end(*key);
            }
            Self::Set { element, items } | Self::List { element, items } => {
                out.list_begin(*element, items.len());
                for item in items {
                    out.item();
                    item.write(out);
                }
                out.list_end();
            }
        }
    }

    /// Reads a value of type `ttype` from an encoding that states element types.
    pub(crate) fn read<I: In>(input: &mut I, ttype: TType) -> Result<Self, DecodeError> {
        Ok(match ttype {
            TType::Stop => {
                return Err(input.error(ErrorKind::Invalid, "type 0 cannot be an element's type"));
            }
            TType::Bool => Self::Bool(input.bool()?),
            TType::I8 => Self::I8(input.i8()?),
            TType::I16 => Self::I16(input.i16()?),
            TType::I32 => Self::I32(input.i32()?),
            TType::I64 => Self::I64(input.i64()?),
            TType::Double => Self::Double(Double(input.double()?)),
            TType::String => Self::String(Bytes(input.raw_string()?)),
            TType::Struct => Self::Struct(Fields::read(input)?),
            TType::Map => {
                let (key, value, mut items) = input.map_begin(TType::Stop, TType::Stop)?;
                let mut entries = Vec::new();
                while input.entry(&mut items)? {
                    let k = Self::read(input, key)?;
                    input.entry_value(&items)?;
                    let v = Self::read(input, value)?;
                    input.entry_end(&items)?;
                    entries.push((k, v));
                }
                Self::Map { key, value, entries }
            }
            TType::Set | TType::List => {
                let (element, mut left) = input.list_begin(TType::Stop)?;
                let mut items = Vec::new();
                while input.item(&mut left)? {
                    items.push(Self::read(input, element)?);
                }
                if ttype == TType::Set {
                    Self::Set { element, items }
                } else {
                    Self::List { element, items }
                }
            }
        })
    }
}

/// Fields by id, in the order of the wire: a struct whose definition is not at hand, or the part of
/// a struct that its definition does not cover.
///
/// As a [`Wire`] type it reads and writes any struct in [`binary`](crate::binary) and
/// [`tjson`](crate::tjson). In the readable form each field is keyed by its id and tagged with its
/// type: `{"7":{"i32":1}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fields(pub Vec<(i16, Value)>);

/// The fields of a struct that its definition does not know. An empty one costs no allocation.
pub type UnknownFields = Fields;

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first field with this id.
    pub fn get(&self, id: i16) -> Option<&Value> {
        self.0.iter().find(|(i, _)| *i == id).map(|(_, value)| value)
    }

    /// Adds a field after the others.
    pub fn push(&mut self, id: i16, value: Value) {
        self.0.push((id, value));
    }
}

/// For a struct without a definition.
static NO_DEF: StructDef = StructDef { name: "", fields: &[] };

impl Wire for Fields {
    const TTYPE: TType = TType::Struct;

    fn write<O: Out>(&self, out: &mut O) {
        out.struct_begin(&NO_DEF);
        for (id, value) in &self.0 {
            out.unknown_field(*id, value);
        }
        out.struct_end();
    }

    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        let mut fields = Self::new();
        input.struct_begin(&NO_DEF)?;
        while let Some((id, ttype)) = input.field_begin(&NO_DEF)? {
            crate::support::keep(input, &mut fields, id, ttype)?;
        }
        Ok(fields)
    }
}
