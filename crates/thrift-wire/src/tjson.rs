//! TJSONProtocol: JSON with field ids and type tags.
//!
//! | value | text |
//! |---|---|
//! | `bool` | 0 or 1 |
//! | integers, `double` | a number; as a map key in quotes; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | `string` | a string |
//! | `binary` | base64, written with padding, read with or without |
//! | list, set | `["i32",2,1,2]` |
//! | map | `["str","i32",1,{"a":1}]` |
//! | struct | `{"1":{"i32":5},"2":{"str":"x"}}` |
//! | message | `[1,"name",1,0,{...}]` with kind and sequence number |
//!
//! A map whose keys are structs or containers has them in place of the key strings, as in other
//! implementations, although that is not JSON.
//!
//! Reading takes what peers are known to write: quoted numbers anywhere, control characters without
//! escapes, bare `inf` and `nan`.

use crate::json::{self, Lexer};
use crate::message::{InMessage, MessageHead, MessageKind, OutMessage};
use crate::wire::deeper;
use crate::{DecodeError, ErrorKind, Field, In, Items, Out, StructDef, TType, Value, Wire};

/// The encoding of `value`.
pub fn to_string<T: Wire>(value: &T) -> String {
    let mut out = String::new();
    append(value, &mut out);
    out
}

/// Adds the encoding of `value` to `out`.
pub fn append<T: Wire>(value: &T, out: &mut String) {
    value.write(&mut Writer::new(out));
}

/// Decodes a value that takes up all of `text`.
///
/// # Errors
/// `text` is not the encoding of a `T`, or more than white space follows it.
pub fn from_str<T: Wire>(text: &str) -> Result<T, DecodeError> {
    from_slice(text.as_bytes())
}

/// Decodes a value that takes up all of `text`, whose strings must be UTF-8.
///
/// # Errors
/// `text` is not the encoding of a `T`, or more than white space follows it.
pub fn from_slice<T: Wire>(text: &[u8]) -> Result<T, DecodeError> {
    let mut input = Reader::new(text);
    let value = T::read(&mut input)?;
    input.finish()?;
    Ok(value)
}

/// Writes TJSONProtocol to the end of a string.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut String,
    /// Right after an opening bracket, where no comma goes.
    fresh: bool,
    /// Inside a map key, where numbers are quoted.
    key: bool,
}

impl<'a> Writer<'a> {
    /// A writer that adds to `out`.
    pub fn new(out: &'a mut String) -> Self {
        Self { out, fresh: true, key: false }
    }

    fn comma(&mut self) {
        if !self.fresh {
            self.out.push(',');
        }
        self.fresh = false;
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.fresh = true;
        self.key = false;
    }

    fn close(&mut self, brackets: &str) {
        self.out.push_str(brackets);
        self.fresh = false;
    }

    fn tag(&mut self, ttype: TType) {
        self.comma();
        self.out.push('"');
        self.out.push_str(ttype.tag());
        self.out.push('"');
    }

    fn count(&mut self, len: usize) {
        self.out.push(',');
        json::write_integer(self.out, i32::try_from(len).unwrap_or(-1).into());
    }

    fn integer(&mut self, value: i64) {
        if self.key {
            self.out.push('"');
        }
        json::write_integer(self.out, value);
        if self.key {
            self.out.push('"');
        }
    }

    fn field(&mut self, id: i16, ttype: TType) {
        self.comma();
        self.out.push('"');
        json::write_integer(self.out, id.into());
        self.out.push_str("\":{\"");
        self.out.push_str(ttype.tag());
        self.out.push_str("\":");
    }

    /// A value with its type, for the unknown fields of the readable form.
    pub(crate) fn tagged(&mut self, value: &Value) {
        self.out.push_str("{\"");
        self.out.push_str(value.ttype().tag());
        self.out.push_str("\":");
        value.write(self);
        self.out.push('}');
    }
}

impl Out for Writer<'_> {
    fn struct_begin(&mut self, _def: &'static StructDef) {
        self.open('{');
    }

    fn field_begin(&mut self, field: &'static Field) {
        self.field(field.id, field.ttype);
    }

    fn field_end(&mut self) {
        self.close("}");
    }

    fn unknown_field(&mut self, id: i16, value: &Value) {
        self.field(id, value.ttype());
        value.write(self);
        self.close("}");
    }

    fn struct_end(&mut self) {
        self.close("}");
    }

    fn list_begin(&mut self, element: TType, len: usize) {
        self.open('[');
        self.tag(element);
        self.count(len);
    }

    fn item(&mut self) {
        self.out.push(',');
    }

    fn list_end(&mut self) {
        self.close("]");
    }

    fn map_begin(&mut self, key: TType, value: TType, len: usize) {
        self.open('[');
        self.tag(key);
        self.tag(value);
        self.count(len);
        self.out.push(',');
        self.open('{');
    }

    fn entry_begin(&mut self, _key: TType) {
        self.comma();
        self.key = true;
    }

    fn entry_value(&mut self, _key: TType) {
        self.out.push(':');
        self.key = false;
    }

    fn entry_end(&mut self, _key: TType) {}

    fn map_end(&mut self, _key: TType) {
        self.close("}]");
    }

    fn bool(&mut self, value: bool) {
        self.integer(value.into());
    }

    fn i8(&mut self, value: i8) {
        self.integer(value.into());
    }

    fn i16(&mut self, value: i16) {
        self.integer(value.into());
    }

    fn i32(&mut self, value: i32) {
        self.integer(value.into());
    }

    fn i64(&mut self, value: i64) {
        self.integer(value);
    }

    fn double(&mut self, value: f64) {
        let quote = self.key && value.is_finite();
        if quote {
            self.out.push('"');
        }
        json::write_double(self.out, value);
        if quote {
            self.out.push('"');
        }
    }

    fn string(&mut self, value: &str) {
        json::write_string(self.out, value);
    }

    fn binary(&mut self, value: &[u8]) {
        json::write_base64(self.out, value);
    }

    fn enumeration(&mut self, value: i32, _name: Option<&'static str>) {
        self.integer(value.into());
    }
}

impl OutMessage for Writer<'_> {
    fn message_begin(&mut self, name: &str, kind: MessageKind, seq: i32) {
        self.out.push_str("[1,");
        json::write_string(self.out, name);
        self.out.push(',');
        json::write_integer(self.out, kind as i64);
        self.out.push(',');
        json::write_integer(self.out, seq.into());
        self.out.push(',');
    }

    fn message_end(&mut self) {
        self.out.push(']');
    }
}

/// Reads TJSONProtocol from text.
#[derive(Debug)]
pub struct Reader<'a> {
    pub(crate) lexer: Lexer<'a>,
    pub(crate) depth: usize,
    /// Right after an opening brace, where no comma goes.
    pub(crate) fresh: bool,
}

impl<'a> Reader<'a> {
    /// A reader of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { lexer: Lexer::new(text), depth: 0, fresh: true }
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// More than white space is left.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        self.lexer.finish()
    }

    pub(crate) fn open(&mut self, bracket: u8) -> Result<(), DecodeError> {
        self.lexer.expect(bracket)?;
        deeper(&mut self.depth, self.lexer.pos())?;
        self.fresh = true;
        Ok(())
    }

    /// Whether `bracket` closes here; if not, takes the comma where one is due.
    pub(crate) fn closes(&mut self, bracket: u8) -> Result<bool, DecodeError> {
        let fresh = std::mem::replace(&mut self.fresh, false);
        if self.lexer.accept(bracket) {
            self.depth -= 1;
            return Ok(true);
        }
        if !fresh {
            self.lexer.expect(b',')?;
        }
        Ok(false)
    }

    pub(crate) fn tag(&mut self) -> Result<TType, DecodeError> {
        let tag = self.lexer.string()?;
        TType::from_tag(&tag).ok_or_else(|| {
            let shown: String = tag.chars().take(20).collect();
            self.lexer.error(format!(
                "`{}` is no type; expected one of tf, i8, i16, i32, i64, dbl, str, rec, map, set, lst",
                shown.escape_debug()
            ))
        })
    }

    /// The count of a container, bounded by what the rest of the input can hold.
    fn count(&mut self) -> Result<usize, DecodeError> {
        self.lexer.expect(b',')?;
        let len: i64 = self.lexer.integer("a count")?;
        match usize::try_from(len) {
            // An element takes at least a comma and a digit.
            Ok(len) if len <= self.lexer.left() / 2 => Ok(len),
            _ => {
                let kind = if len < 0 { ErrorKind::Invalid } else { ErrorKind::Truncated };
                let left = self.lexer.left();
                Err(self
                    .error(kind, format!("a count of {len} is impossible, {left} bytes are left")))
            }
        }
    }
}

impl In for Reader<'_> {
    fn struct_begin(&mut self, _def: &'static StructDef) -> Result<(), DecodeError> {
        self.open(b'{')
    }

    fn field_begin(
        &mut self,
        _def: &'static StructDef,
    ) -> Result<Option<(i16, TType)>, DecodeError> {
        if self.closes(b'}')? {
            return Ok(None);
        }
        if self.lexer.peek() != Some(b'"') {
            return Err(self.lexer.unexpected("a field id in quotes"));
        }
        let id = self.lexer.integer("a field id")?;
        self.lexer.expect(b':')?;
        self.lexer.expect(b'{')?;
        let ttype = self.tag()?;
        self.lexer.expect(b':')?;
        Ok(Some((id, ttype)))
    }

    fn field_end(&mut self) -> Result<(), DecodeError> {
        self.lexer.expect(b'}')
    }

    fn unknown(&mut self, ttype: TType) -> Result<Value, DecodeError> {
        Value::read(self, ttype)
    }

    fn list_begin(&mut self, _element: TType) -> Result<(TType, Items), DecodeError> {
        self.open(b'[')?;
        let element = self.tag()?;
        let len = self.count()?;
        Ok((element, Items::counted(len)))
    }

    fn item(&mut self, items: &mut Items) -> Result<bool, DecodeError> {
        match items.left {
            Some(left) if left > 0 => {
                items.left = Some(left - 1);
                self.lexer.expect(b',')?;
                Ok(true)
            }
            _ => {
                self.lexer.expect(b']')?;
                self.depth -= 1;
                self.fresh = false;
                Ok(false)
            }
        }
    }

    fn map_begin(
        &mut self,
        _key: TType,
        _value: TType,
    ) -> Result<(TType, TType, Items), DecodeError> {
        self.open(b'[')?;
        let key = self.tag()?;
        self.lexer.expect(b',')?;
        let value = self.tag()?;
        let len = self.count()?;
        self.lexer.expect(b',')?;
        self.lexer.expect(b'{')?;
        self.fresh = true;
        Ok((key, value, Items::counted(len)))
    }

    fn entry(&mut self, items: &mut Items) -> Result<bool, DecodeError> {
        let fresh = std::mem::replace(&mut self.fresh, false);
        match items.left {
            Some(left) if left > 0 => {
                items.left = Some(left - 1);
                if !fresh {
                    self.lexer.expect(b',')?;
                }
                Ok(true)
            }
            _ => {
                self.lexer.expect(b'}')?;
                self.lexer.expect(b']')?;
                self.depth -= 1;
                Ok(false)
            }
        }
    }

    fn entry_value(&mut self, _items: &Items) -> Result<(), DecodeError> {
        self.lexer.expect(b':')
    }

    fn entry_end(&mut self, _items: &Items) -> Result<(), DecodeError> {
        self.fresh = false;
        Ok(())
    }

    fn bool(&mut self) -> Result<bool, DecodeError> {
        self.lexer.bool()
    }

    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.lexer.integer("an i8")
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.lexer.integer("an i16")
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.lexer.integer("an i32")
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.lexer.integer("an i64")
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        self.lexer.double()
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.lexer.string().map(|text| text.into_owned())
    }

    fn binary(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.lexer.base64()
    }

    fn raw_string(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.string().map(String::into_bytes)
    }

    fn enumeration(&mut self, _names: &'static [(&'static str, i32)]) -> Result<i32, DecodeError> {
        self.lexer.integer("the number of an enum value")
    }

    fn offset(&self) -> usize {
        self.lexer.pos()
    }
}

impl InMessage for Reader<'_> {
    fn message_begin(&mut self) -> Result<MessageHead, DecodeError> {
        self.lexer.expect(b'[')?;
        let version: i64 = self.lexer.integer("the version of a message")?;
        if version != 1 {
            return Err(self.lexer.error(format!("a message of version {version}; expected 1")));
        }
        self.lexer.expect(b',')?;
        let name = self.lexer.string()?.into_owned();
        self.lexer.expect(b',')?;
        let kind: i64 = self.lexer.integer("the kind of a message")?;
        let kind = MessageKind::from_code(kind).ok_or_else(|| {
            self.lexer.error(format!("{kind} is no kind of message; expected 1 to 4"))
        })?;
        self.lexer.expect(b',')?;
        let seq = self.lexer.integer("a sequence number")?;
        self.lexer.expect(b',')?;
        Ok(MessageHead { name, kind, seq })
    }

    fn message_end(&mut self) -> Result<(), DecodeError> {
        self.lexer.expect(b']')
    }
}
