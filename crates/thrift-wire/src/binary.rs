//! TBinaryProtocol: big-endian numbers, fields by type byte and id.
//!
//! | value | bytes |
//! |---|---|
//! | `bool`, `i8`, `i16`, `i32`, `i64`, `double` | 1, 1, 2, 4, 8, 8 |
//! | `string`, `binary` | `i32` length, bytes |
//! | list, set | element type byte, `i32` count, elements |
//! | map | key type byte, value type byte, `i32` count, keys and values |
//! | struct | per field type byte, `i16` id, value; then a 0 byte |
//! | message, strict | `0x80010000` + kind, name, `i32` sequence number, struct |
//! | message, non-strict | name, kind byte, `i32` sequence number, struct |
//!
//! Any `bool` byte other than 0 reads as true.

use crate::message::{InMessage, MessageHead, MessageKind, OutMessage};
use crate::wire::deeper;
use crate::{DecodeError, ErrorKind, Field, In, Items, Out, StructDef, TType, Value, Wire};

/// The encoding of `value`.
pub fn to_vec<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    append(value, &mut out);
    out
}

/// Adds the encoding of `value` to `out`.
pub fn append<T: Wire>(value: &T, out: &mut Vec<u8>) {
    value.write(&mut Writer::new(out));
}

/// Decodes a value that takes up all of `bytes`.
///
/// # Errors
/// `bytes` is not the encoding of a `T`, or more follows it.
pub fn from_slice<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut input = Reader::new(bytes);
    let value = T::read(&mut input)?;
    input.finish()?;
    Ok(value)
}

/// Decodes a value from the start of `bytes` and says how many bytes it took.
///
/// # Errors
/// `bytes` does not begin with the encoding of a `T`.
pub fn from_prefix<T: Wire>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    let mut input = Reader::new(bytes);
    let value = T::read(&mut input)?;
    Ok((value, input.pos))
}

/// A length as Thrift writes it; -1, which no reader takes, if it does not fit.
fn length(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(-1)
}

/// Writes TBinaryProtocol to the end of a vector.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    strict: bool,
}

impl<'a> Writer<'a> {
    /// A writer of strict messages.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, strict: true }
    }

    /// A writer of messages without the version word. Values are the same in both.
    pub fn non_strict(out: &'a mut Vec<u8>) -> Self {
        Self { out, strict: false }
    }
}

impl Out for Writer<'_> {
    #[inline]
    fn struct_begin(&mut self, _def: &'static StructDef) {}

    #[inline]
    fn field_begin(&mut self, field: &'static Field) {
        let [high, low] = field.id.to_be_bytes();
        self.out.extend_from_slice(&[field.ttype as u8, high, low]);
    }

    #[inline]
    fn field_end(&mut self) {}

    fn unknown_field(&mut self, id: i16, value: &Value) {
        self.out.push(value.ttype() as u8);
        self.i16(id);
        value.write(self);
    }

    #[inline]
    fn struct_end(&mut self) {
        self.out.push(TType::Stop as u8);
    }

    #[inline]
    fn list_begin(&mut self, element: TType, len: usize) {
        self.out.push(element as u8);
        self.i32(length(len));
    }

    #[inline]
    fn item(&mut self) {}

    #[inline]
    fn list_end(&mut self) {}

    #[inline]
    fn map_begin(&mut self, key: TType, value: TType, len: usize) {
        self.out.extend_from_slice(&[key as u8, value as u8]);
        self.i32(length(len));
    }

    #[inline]
    fn entry_begin(&mut self, _key: TType) {}

    #[inline]
    fn entry_value(&mut self, _key: TType) {}

    #[inline]
    fn entry_end(&mut self, _key: TType) {}

    #[inline]
    fn map_end(&mut self, _key: TType) {}

    #[inline]
    fn bool(&mut self, value: bool) {
        self.out.push(u8::from(value));
    }

    #[inline]
    fn i8(&mut self, value: i8) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn i16(&mut self, value: i16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn double(&mut self, value: f64) {
        self.out.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    #[inline]
    fn string(&mut self, value: &str) {
        self.binary(value.as_bytes());
    }

    #[inline]
    fn binary(&mut self, value: &[u8]) {
        self.i32(length(value.len()));
        self.out.extend_from_slice(value);
    }

    #[inline]
    fn enumeration(&mut self, value: i32, _name: Option<&'static str>) {
        self.i32(value);
    }
}

/// The upper half of the first word of a strict message.
const VERSION_1: u32 = 0x8001_0000;
const VERSION_MASK: u32 = 0xffff_0000;

impl OutMessage for Writer<'_> {
    fn message_begin(&mut self, name: &str, kind: MessageKind, seq: i32) {
        if self.strict {
            self.out.extend_from_slice(&(VERSION_1 | kind as u32).to_be_bytes());
            self.string(name);
        } else {
            self.string(name);
            self.out.push(kind as u8);
        }
        self.i32(seq);
    }

    fn message_end(&mut self) {}
}

/// Reads TBinaryProtocol from a slice.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    depth: usize,
}

/// The fewest bytes a value of this type can take.
fn min_size(ttype: TType) -> usize {
    match ttype {
        TType::Stop | TType::Bool | TType::I8 | TType::Struct => 1,
        TType::I16 => 2,
        TType::I32 | TType::String => 4,
        TType::I64 | TType::Double => 8,
        TType::Set | TType::List => 5,
        TType::Map => 6,
    }
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`. Messages may be strict or not.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0, depth: 0 }
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// Bytes are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error(
                ErrorKind::Invalid,
                format!("the value is complete, but {left} more bytes follow"),
            )),
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.pos
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.bytes.get(self.pos..).and_then(|rest| rest.get(..len)) {
            Some(found) => {
                self.pos += len;
                Ok(found)
            }
            None => Err(self.truncated(len)),
        }
    }

    #[cold]
    fn truncated(&self, needed: usize) -> DecodeError {
        let left = self.left();
        self.error(
            ErrorKind::Truncated,
            format!("the input ends inside a value: {needed} bytes are needed, {left} are left"),
        )
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes.get(self.pos..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(found) => {
                self.pos += N;
                Ok(*found)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    fn ttype(&mut self) -> Result<TType, DecodeError> {
        let code = self.byte()?;
        TType::from_code(code).ok_or_else(|| self.bad_type(code))
    }

    #[cold]
    fn bad_type(&self, code: u8) -> DecodeError {
        DecodeError::new(
            ErrorKind::Invalid,
            self.pos.saturating_sub(1),
            format!("{code} is no type; expected one of 2, 3, 4, 6, 8, 10 to 15, or 0 for the end"),
        )
    }

    /// A count or length of things that take at least `size` bytes each.
    #[inline]
    fn length(&mut self, size: usize) -> Result<usize, DecodeError> {
        let len = self.i32()?;
        match usize::try_from(len) {
            Ok(len) if len <= self.left() / size => Ok(len),
            _ => Err(self.bad_length(len, size)),
        }
    }

    #[cold]
    fn bad_length(&self, len: i32, size: usize) -> DecodeError {
        let kind = if len < 0 { ErrorKind::Invalid } else { ErrorKind::Truncated };
        let left = self.left();
        let needs =
            if size > 1 { format!(" of at least {size} bytes each") } else { String::new() };
        DecodeError::new(
            kind,
            self.pos.saturating_sub(4),
            format!("a length of {len}{needs} is impossible, {left} bytes are left"),
        )
    }

    fn utf8(&self, bytes: &[u8]) -> Result<String, DecodeError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(DecodeError::new(
                ErrorKind::Invalid,
                self.pos - bytes.len() + e.valid_up_to(),
                "a string holds bytes that are not UTF-8",
            )),
        }
    }
}

impl In for Reader<'_> {
    #[inline]
    fn struct_begin(&mut self, _def: &'static StructDef) -> Result<(), DecodeError> {
        deeper(&mut self.depth, self.pos)
    }

    #[inline]
    fn field_begin(
        &mut self,
        _def: &'static StructDef,
    ) -> Result<Option<(i16, TType)>, DecodeError> {
        let ttype = self.ttype()?;
        if ttype == TType::Stop {
            self.depth -= 1;
            return Ok(None);
        }
        Ok(Some((self.i16()?, ttype)))
    }

    #[inline]
    fn field_end(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn unknown(&mut self, ttype: TType) -> Result<Value, DecodeError> {
        Value::read(self, ttype)
    }

    #[inline]
    fn list_begin(&mut self, _element: TType) -> Result<(TType, Items), DecodeError> {
        deeper(&mut self.depth, self.pos)?;
        let element = self.ttype()?;
        let len = self.length(min_size(element))?;
        Ok((element, Items::counted(len)))
    }

    #[inline]
    fn item(&mut self, items: &mut Items) -> Result<bool, DecodeError> {
        match items.left {
            Some(left) if left > 0 => {
                items.left = Some(left - 1);
                Ok(true)
            }
            _ => {
                self.depth -= 1;
                Ok(false)
            }
        }
    }

    #[inline]
    fn map_begin(
        &mut self,
        _key: TType,
        _value: TType,
    ) -> Result<(TType, TType, Items), DecodeError> {
        deeper(&mut self.depth, self.pos)?;
        let key = self.ttype()?;
        let value = self.ttype()?;
        let len = self.length(min_size(key) + min_size(value))?;
        Ok((key, value, Items::counted(len)))
    }

    #[inline]
    fn entry(&mut self, items: &mut Items) -> Result<bool, DecodeError> {
        self.item(items)
    }

    #[inline]
    fn entry_value(&mut self, _items: &Items) -> Result<(), DecodeError> {
        Ok(())
    }

    #[inline]
    fn entry_end(&mut self, _items: &Items) -> Result<(), DecodeError> {
        Ok(())
    }

    #[inline]
    fn bool(&mut self) -> Result<bool, DecodeError> {
        self.byte().map(|byte| byte != 0)
    }

    #[inline]
    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    #[inline]
    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    #[inline]
    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    #[inline]
    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    fn double(&mut self) -> Result<f64, DecodeError> {
        self.array().map(|bytes| f64::from_bits(u64::from_be_bytes(bytes)))
    }

    #[inline]
    fn string(&mut self) -> Result<String, DecodeError> {
        let len = self.length(1)?;
        let bytes = self.take(len)?;
        self.utf8(bytes)
    }

    #[inline]
    fn binary(&mut self) -> Result<Vec<u8>, DecodeError> {
        let len = self.length(1)?;
        self.take(len).map(<[u8]>::to_vec)
    }

    #[inline]
    fn raw_string(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.binary()
    }

    #[inline]
    fn enumeration(&mut self, _names: &'static [(&'static str, i32)]) -> Result<i32, DecodeError> {
        self.i32()
    }

    #[inline]
    fn offset(&self) -> usize {
        self.pos
    }
}

impl InMessage for Reader<'_> {
    fn message_begin(&mut self) -> Result<MessageHead, DecodeError> {
        let start = self.pos;
        let word = u32::from_be_bytes(self.array()?);
        // A length is never negative, so the top bit tells the two headers apart.
        let (name, kind) = if word & 0x8000_0000 != 0 {
            if word & VERSION_MASK != VERSION_1 {
                return Err(DecodeError::new(
                    ErrorKind::Invalid,
                    start,
                    format!("a message begins with {word:#010x}; expected version 0x8001"),
                ));
            }
            (self.string()?, (word & 0xff) as u8)
        } else {
            self.pos = start;
            (self.string()?, self.byte()?)
        };
        let kind = MessageKind::from_code(i64::from(kind)).ok_or_else(|| {
            self.error(ErrorKind::Invalid, format!("{kind} is no kind of message; expected 1 to 4"))
        })?;
        Ok(MessageHead { name, kind, seq: self.i32()? })
    }

    fn message_end(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }
}
