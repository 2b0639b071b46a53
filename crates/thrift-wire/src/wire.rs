//! The traits that tie types to encodings.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Bytes, DecodeError, Double, ErrorKind, Field, StructDef, TType, Value};

/// Deepest nesting of structs, lists, sets and maps that is read. Writing has no limit.
pub const MAX_DEPTH: usize = 64;

/// Elements reserved ahead for a list. Longer ones grow as their elements really arrive.
const RESERVE_LIMIT: usize = 256;

/// A type that can be written to and read from any encoding.
pub trait Wire: Sized {
    /// Its type on the wire.
    const TTYPE: TType;

    /// Writes the value.
    fn write<O: Out>(&self, out: &mut O);

    /// Reads a value.
    ///
    /// # Errors
    /// The input is not a value of this type in the encoding of `input`.
    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError>;
}

/// The writing half of an encoding.
///
/// Calls nest: a struct is `struct_begin`, then `field_begin`, a value, `field_end` per field, then
/// `struct_end`. Lists and sets call `item` before each element. Maps wrap each entry in
/// `entry_begin`, key, `entry_value`, value, `entry_end`; these get the key's type.
///
/// Writing cannot fail. A length that does not fit Thrift's `i32` is written as -1, which every
/// reader refuses.
pub trait Out {
    /// Starts a struct, union or exception.
    fn struct_begin(&mut self, def: &'static StructDef);
    /// Starts a declared field; its value follows.
    fn field_begin(&mut self, field: &'static Field);
    /// Ends a declared field.
    fn field_end(&mut self);
    /// Writes a whole field that has no declaration.
    fn unknown_field(&mut self, id: i16, value: &Value);
    /// Ends a struct.
    fn struct_end(&mut self);
    /// Starts a list or set of `len` elements.
    fn list_begin(&mut self, element: TType, len: usize);
    /// Comes before each element.
    fn item(&mut self);
    /// Ends a list or set.
    fn list_end(&mut self);
    /// Starts a map of `len` entries.
    fn map_begin(&mut self, key: TType, value: TType, len: usize);
    /// Comes before each key.
    fn entry_begin(&mut self, key: TType);
    /// Comes between key and value.
    fn entry_value(&mut self, key: TType);
    /// Comes after each value.
    fn entry_end(&mut self, key: TType);
    /// Ends a map.
    fn map_end(&mut self, key: TType);
    /// Writes a `bool`.
    fn bool(&mut self, value: bool);
    /// Writes an `i8`.
    fn i8(&mut self, value: i8);
    /// Writes an `i16`.
    fn i16(&mut self, value: i16);
    /// Writes an `i32`.
    fn i32(&mut self, value: i32);
    /// Writes an `i64`.
    fn i64(&mut self, value: i64);
    /// Writes a `double`.
    fn double(&mut self, value: f64);
    /// Writes a `string`.
    fn string(&mut self, value: &str);
    /// Writes a `binary`.
    fn binary(&mut self, value: &[u8]);
    /// Writes an enum value, with its name if it has one.
    fn enumeration(&mut self, value: i32, name: Option<&'static str>);
}

/// Position inside a list, set or map that is being read.
#[derive(Debug)]
pub struct Items {
    /// How many are left, where the encoding says so.
    pub(crate) left: Option<usize>,
    /// A readable map written as a list of pairs, because its keys are no scalars.
    pub(crate) pairs: bool,
}

impl Items {
    pub(crate) fn counted(left: usize) -> Self {
        Self { left: Some(left), pairs: false }
    }

    /// Room worth reserving.
    fn reserve(&self) -> usize {
        self.left.unwrap_or(0).min(RESERVE_LIMIT)
    }
}

/// The reading half of an encoding. The order of calls mirrors [`Out`]; `field_begin` returning
/// `None`, and `item` and `entry` returning `false`, are the end of what was begun.
///
/// Every method fails if the input ends, is malformed or holds something else.
#[allow(clippy::missing_errors_doc)]
pub trait In: Sized {
    /// Starts a struct, union or exception.
    fn struct_begin(&mut self, def: &'static StructDef) -> Result<(), DecodeError>;
    /// Id and type of the next field, or `None` at the end of the struct.
    fn field_begin(&mut self, def: &'static StructDef)
    -> Result<Option<(i16, TType)>, DecodeError>;
    /// Ends a field.
    fn field_end(&mut self) -> Result<(), DecodeError>;
    /// Reads the value of a field that the struct does not declare with this type.
    fn unknown(&mut self, ttype: TType) -> Result<Value, DecodeError>;
    /// Starts a list or set, expected to hold `element`s. Returns the element type found.
    fn list_begin(&mut self, element: TType) -> Result<(TType, Items), DecodeError>;
    /// Whether an element follows.
    fn item(&mut self, items: &mut Items) -> Result<bool, DecodeError>;
    /// Starts a map. Returns the key and value types found.
    fn map_begin(&mut self, key: TType, value: TType)
    -> Result<(TType, TType, Items), DecodeError>;
    /// Whether an entry follows; its key comes next.
    fn entry(&mut self, items: &mut Items) -> Result<bool, DecodeError>;
    /// Comes between key and value.
    fn entry_value(&mut self, items: &Items) -> Result<(), DecodeError>;
    /// Comes after each value.
    fn entry_end(&mut self, items: &Items) -> Result<(), DecodeError>;
    /// Reads a `bool`.
    fn bool(&mut self) -> Result<bool, DecodeError>;
    /// Reads an `i8`.
    fn i8(&mut self) -> Result<i8, DecodeError>;
    /// Reads an `i16`.
    fn i16(&mut self) -> Result<i16, DecodeError>;
    /// Reads an `i32`.
    fn i32(&mut self) -> Result<i32, DecodeError>;
    /// Reads an `i64`.
    fn i64(&mut self) -> Result<i64, DecodeError>;
    /// Reads a `double`.
    fn double(&mut self) -> Result<f64, DecodeError>;
    /// Reads a `string`, which must be UTF-8.
    fn string(&mut self) -> Result<String, DecodeError>;
    /// Reads a `binary`.
    fn binary(&mut self) -> Result<Vec<u8>, DecodeError>;
    /// Reads a `string` or `binary` as it stands, without checking or decoding.
    fn raw_string(&mut self) -> Result<Vec<u8>, DecodeError>;
    /// Reads an enum value; `names` are the declared ones.
    fn enumeration(&mut self, names: &'static [(&'static str, i32)]) -> Result<i32, DecodeError>;
    /// Bytes read so far.
    fn offset(&self) -> usize;
    /// An error at the current place.
    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> DecodeError {
        DecodeError::new(kind, self.offset(), message)
    }
}

/// One level of nesting more, if the limit allows it.
pub(crate) fn deeper(depth: &mut usize, offset: usize) -> Result<(), DecodeError> {
    if *depth >= MAX_DEPTH {
        return Err(DecodeError::new(
            ErrorKind::Limit,
            offset,
            format!("structs and containers are nested more than {MAX_DEPTH} deep"),
        ));
    }
    *depth += 1;
    Ok(())
}

macro_rules! base_type {
    ($($type:ty, $ttype:ident, $method:ident;)*) => {$(
        impl Wire for $type {
            const TTYPE: TType = TType::$ttype;

            #[inline]
            fn write<O: Out>(&self, out: &mut O) {
                out.$method(*self);
            }

            #[inline]
            fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
                input.$method()
            }
        }
    )*};
}

base_type! {
    bool, Bool, bool;
    i8, I8, i8;
    i16, I16, i16;
    i32, I32, i32;
    i64, I64, i64;
}

impl Wire for Double {
    const TTYPE: TType = TType::Double;

    #[inline]
    fn write<O: Out>(&self, out: &mut O) {
        out.double(self.0);
    }

    #[inline]
    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        input.double().map(Self)
    }
}

impl Wire for String {
    const TTYPE: TType = TType::String;

    #[inline]
    fn write<O: Out>(&self, out: &mut O) {
        out.string(self);
    }

    #[inline]
    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        input.string()
    }
}

impl Wire for Bytes {
    const TTYPE: TType = TType::String;

    #[inline]
    fn write<O: Out>(&self, out: &mut O) {
        out.binary(&self.0);
    }

    #[inline]
    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        input.binary().map(Self)
    }
}

impl<T: Wire> Wire for Box<T> {
    const TTYPE: TType = T::TTYPE;

    fn write<O: Out>(&self, out: &mut O) {
        T::write(self, out);
    }

    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        T::read(input).map(Self::new)
    }
}

/// Refuses elements of another type than declared, unless there are none: some writers state no
/// proper type for an empty container.
fn check_element<I: In>(
    input: &I,
    items: &Items,
    role: &str,
    expected: TType,
    found: TType,
) -> Result<(), DecodeError> {
    if found == expected || items.left == Some(0) {
        return Ok(());
    }
    Err(input.error(
        ErrorKind::Invalid,
        format!(
            "expected a container with {role}s of type {expected}, found {role}s of type {found}"
        ),
    ))
}

/// Reads the elements of a list or set into `push`, naming the index in errors.
fn read_items<T: Wire, I: In, C>(
    input: &mut I,
    make: impl FnOnce(usize) -> C,
    mut push: impl FnMut(&mut C, T),
) -> Result<C, DecodeError> {
    let (found, mut items) = input.list_begin(T::TTYPE)?;
    check_element(input, &items, "element", T::TTYPE, found)?;
    let mut all = make(items.reserve());
    let mut index = 0;
    while input.item(&mut items)? {
        push(&mut all, T::read(input).map_err(|e| e.at_index(index))?);
        index += 1;
    }
    Ok(all)
}

fn write_items<'a, T: Wire + 'a, O: Out>(
    out: &mut O,
    len: usize,
    items: impl Iterator<Item = &'a T>,
) {
    out.list_begin(T::TTYPE, len);
    for item in items {
        out.item();
        item.write(out);
    }
    out.list_end();
}

impl<T: Wire> Wire for Vec<T> {
    const TTYPE: TType = TType::List;

    fn write<O: Out>(&self, out: &mut O) {
        write_items(out, self.len(), self.iter());
    }

    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        read_items(input, Self::with_capacity, Self::push)
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    const TTYPE: TType = TType::Set;

    fn write<O: Out>(&self, out: &mut O) {
        write_items(out, self.len(), self.iter());
    }

    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        read_items(input, |_| Self::new(), |set, item| _ = set.insert(item))
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    const TTYPE: TType = TType::Map;

    fn write<O: Out>(&self, out: &mut O) {
        out.map_begin(K::TTYPE, V::TTYPE, self.len());
        for (key, value) in self {
            out.entry_begin(K::TTYPE);
            key.write(out);
            out.entry_value(K::TTYPE);
            value.write(out);
            out.entry_end(K::TTYPE);
        }
        out.map_end(K::TTYPE);
    }

    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        let (key, value, mut items) = input.map_begin(K::TTYPE, V::TTYPE)?;
        check_element(input, &items, "key", K::TTYPE, key)?;
        check_element(input, &items, "value", V::TTYPE, value)?;
        let mut map = Self::new();
        let mut index = 0;
        while input.entry(&mut items)? {
            let key = K::read(input).map_err(|e| e.at_index(index))?;
            input.entry_value(&items)?;
            let value = V::read(input).map_err(|e| e.at_index(index))?;
            input.entry_end(&items)?;
            map.insert(key, value);
            index += 1;
        }
        Ok(map)
    }
}
