//! JSON for people and REST-like endpoints: field names as keys, enum values by name.
//!
//! | value | text |
//! |---|---|
//! | `bool` | `true`, `false` |
//! | integers, `double` | a number; as a map key in quotes; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | enum | its name in quotes; the number if it has none |
//! | `string`, `binary` | a string, base64 |
//! | list, set | an array |
//! | map | an object; an array of `[key, value]` arrays if keys are structs or containers |
//! | struct, union | an object; fields that are not set are left out |
//! | unknown field | keyed by its id, as in [`tjson`]: `"7":{"i32":5}` |
//!
//! Reading also takes enum values by number, bools as 0 and 1, `null` for a field that is not set,
//! and whatever `tjson` takes for numbers and strings. Names that the struct does not have are
//! passed over.

use crate::json;
use crate::tjson;
use crate::{DecodeError, ErrorKind, Field, In, Items, Out, StructDef, TType, Value, Wire};

/// The encoding of `value`, on one line.
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

/// Writes the readable form to the end of a string.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut String,
    /// Right after an opening bracket, where no comma goes.
    fresh: bool,
    /// Inside a map key, where everything is quoted.
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

    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.fresh = false;
    }

    fn quote(&mut self) {
        if self.key {
            self.out.push('"');
        }
    }

    fn integer(&mut self, value: i64) {
        self.quote();
        json::write_integer(self.out, value);
        self.quote();
    }
}

impl Out for Writer<'_> {
    fn struct_begin(&mut self, _def: &'static StructDef) {
        self.open('{');
    }

    fn field_begin(&mut self, field: &'static Field) {
        self.comma();
        json::write_string(self.out, field.name);
        self.out.push(':');
    }

    fn field_end(&mut self) {}

    fn unknown_field(&mut self, id: i16, value: &Value) {
        self.comma();
        self.out.push('"');
        json::write_integer(self.out, id.into());
        self.out.push_str("\":");
        tjson::Writer::new(self.out).tagged(value);
    }

    fn struct_end(&mut self) {
        self.close('}');
    }

    fn list_begin(&mut self, _element: TType, _len: usize) {
        self.open('[');
    }

    fn item(&mut self) {
        self.comma();
    }

    fn list_end(&mut self) {
        self.close(']');
    }

    fn map_begin(&mut self, key: TType, _value: TType, _len: usize) {
        self.open(if key.is_scalar() { '{' } else { '[' });
    }

    fn entry_begin(&mut self, key: TType) {
        self.comma();
        if key.is_scalar() {
            self.key = true;
        } else {
            self.open('[');
        }
    }

    fn entry_value(&mut self, key: TType) {
        self.out.push(if key.is_scalar() { ':' } else { ',' });
        self.key = false;
    }

    fn entry_end(&mut self, key: TType) {
        if !key.is_scalar() {
            self.close(']');
        }
    }

    fn map_end(&mut self, key: TType) {
        self.close(if key.is_scalar() { '}' } else { ']' });
    }

    fn bool(&mut self, value: bool) {
        self.quote();
        self.out.push_str(if value { "true" } else { "false" });
        self.quote();
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
        let key = self.key;
        self.key &= value.is_finite();
        self.quote();
        json::write_double(self.out, value);
        self.quote();
        self.key = key;
    }

    fn string(&mut self, value: &str) {
        json::write_string(self.out, value);
    }

    fn binary(&mut self, value: &[u8]) {
        json::write_base64(self.out, value);
    }

    fn enumeration(&mut self, value: i32, name: Option<&'static str>) {
        match name {
            Some(name) => json::write_string(self.out, name),
            None => self.integer(value.into()),
        }
    }
}

/// Reads the readable form from text.
#[derive(Debug)]
pub struct Reader<'a> {
    // Lexing and nesting are those of TJSON, and so are the values of unknown fields.
    base: tjson::Reader<'a>,
}

impl<'a> Reader<'a> {
    /// A reader of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { base: tjson::Reader::new(text) }
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// More than white space is left.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        self.base.finish()
    }
}

/// Enum names listed in an error at most.
const NAMES_SHOWN: usize = 20;

impl In for Reader<'_> {
    fn struct_begin(&mut self, _def: &'static StructDef) -> Result<(), DecodeError> {
        self.base.open(b'{')
    }

    fn field_begin(
        &mut self,
        def: &'static StructDef,
    ) -> Result<Option<(i16, TType)>, DecodeError> {
        loop {
            if self.base.closes(b'}')? {
                return Ok(None);
            }
            let key = self.base.lexer.string()?;
            self.base.lexer.expect(b':')?;
            if self.base.lexer.null() {
                continue;
            }
            if let Some(field) = def.fields.iter().find(|field| field.name == key) {
                return Ok(Some((field.id, field.ttype)));
            }
            let Ok(id) = key.parse::<i16>() else {
                self.base.lexer.skip(self.base.depth)?;
                continue;
            };
            self.base.lexer.expect(b'{')?;
            let ttype = self.base.tag()?;
            self.base.lexer.expect(b':')?;
            if let Some(known) = def.fields.iter().find(|f| f.id == id && f.ttype == ttype) {
                let message =
                    format!("field {id} of {} goes by its name, {}", def.name, known.name);
                return Err(self.error(ErrorKind::Invalid, message));
            }
            return Ok(Some((id, ttype)));
        }
    }

    fn field_end(&mut self) -> Result<(), DecodeError> {
        Ok(())
    }

    fn unknown(&mut self, ttype: TType) -> Result<Value, DecodeError> {
        let value = Value::read(&mut self.base, ttype)?;
        self.base.lexer.expect(b'}')?;
        Ok(value)
    }

    fn list_begin(&mut self, element: TType) -> Result<(TType, Items), DecodeError> {
        self.base.open(b'[')?;
        Ok((element, Items { left: None, pairs: false }))
    }

    fn item(&mut self, _items: &mut Items) -> Result<bool, DecodeError> {
        Ok(!self.base.closes(b']')?)
    }

    fn map_begin(
        &mut self,
        key: TType,
        value: TType,
    ) -> Result<(TType, TType, Items), DecodeError> {
        let pairs = !key.is_scalar();
        self.base.open(if pairs { b'[' } else { b'{' })?;
        Ok((key, value, Items { left: None, pairs }))
    }

    fn entry(&mut self, items: &mut Items) -> Result<bool, DecodeError> {
        if self.base.closes(if items.pairs { b']' } else { b'}' })? {
            return Ok(false);
        }
        if items.pairs {
            self.base.lexer.expect(b'[')?;
        } else if self.base.lexer.peek() != Some(b'"') {
            return Err(self.base.lexer.unexpected("a key in quotes"));
        }
        Ok(true)
    }

    fn entry_value(&mut self, items: &Items) -> Result<(), DecodeError> {
        self.base.lexer.expect(if items.pairs { b',' } else { b':' })
    }

    fn entry_end(&mut self, items: &Items) -> Result<(), DecodeError> {
        self.base.fresh = false;
        if items.pairs { self.base.lexer.expect(b']') } else { Ok(()) }
    }

    fn bool(&mut self) -> Result<bool, DecodeError> {
        self.base.bool()
    }

    fn i8(&mut self) -> Result<i8, DecodeError> {
        self.base.i8()
    }

    fn i16(&mut self) -> Result<i16, DecodeError> {
        self.base.i16()
    }

    fn i32(&mut self) -> Result<i32, DecodeError> {
        self.base.i32()
    }

    fn i64(&mut self) -> Result<i64, DecodeError> {
        self.base.i64()
    }

    fn double(&mut self) -> Result<f64, DecodeError> {
        self.base.double()
    }

    fn string(&mut self) -> Result<String, DecodeError> {
        self.base.string()
    }

    fn binary(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.base.binary()
    }

    fn raw_string(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.base.raw_string()
    }

    fn enumeration(&mut self, names: &'static [(&'static str, i32)]) -> Result<i32, DecodeError> {
        if self.base.lexer.peek() != Some(b'"') {
            return self.base.lexer.integer("the name or number of an enum value");
        }
        let start = self.offset();
        let name = self.base.lexer.string()?;
        if let Some((_, value)) = names.iter().find(|(known, _)| *known == name) {
            return Ok(*value);
        }
        name.parse().map_err(|_| {
            let shown: String = name.chars().take(40).collect();
            let mut message = format!("no enum value is named `{}`", shown.escape_debug());
            if !names.is_empty() {
                let known: Vec<_> = names.iter().take(NAMES_SHOWN).map(|(name, _)| *name).collect();
                message.push_str("; expected one of ");
                message.push_str(&known.join(", "));
                if names.len() > NAMES_SHOWN {
                    message.push_str(", ...");
                }
            }
            DecodeError::new(ErrorKind::Invalid, start, message)
        })
    }

    fn offset(&self) -> usize {
        self.base.offset()
    }
}
