//! What generated code calls. Not meant for others.

use std::fmt;

use crate::{
    ApplicationError, DecodeError, ErrorKind, Field, In, Out, StructDef, TType, UnknownFields,
    Value, Wire,
};

/// The unknown fields of a struct that are still to be written. They are merged with the known
/// ones by id, so that a struct read from a newer peer is written as that peer wrote it.
#[derive(Debug)]
pub struct Rest<'a>(&'a [(i16, Value)]);

impl<'a> Rest<'a> {
    #[inline]
    pub fn of(unknown: &'a UnknownFields) -> Self {
        Self(&unknown.0)
    }

    #[inline]
    fn below<O: Out>(&mut self, id: i16, out: &mut O) {
        if !self.0.is_empty() {
            self.write_while(out, |i| i < id);
        }
    }

    #[inline]
    pub fn finish<O: Out>(mut self, out: &mut O) {
        if !self.0.is_empty() {
            self.write_while(out, |_| true);
        }
    }

    #[cold]
    fn write_while<O: Out>(&mut self, out: &mut O, wanted: impl Fn(i16) -> bool) {
        while let [(id, value), tail @ ..] = self.0 {
            if !wanted(*id) {
                break;
            }
            out.unknown_field(*id, value);
            self.0 = tail;
        }
    }
}

/// Writes a field.
#[inline]
pub fn put<T: Wire, O: Out>(out: &mut O, rest: &mut Rest<'_>, field: &'static Field, value: &T) {
    rest.below(field.id, out);
    put_arm(out, field, value);
}

/// Writes a field if it is set.
#[inline]
pub fn put_set<T: Wire, O: Out>(
    out: &mut O,
    rest: &mut Rest<'_>,
    field: &'static Field,
    value: &Option<T>,
) {
    if let Some(value) = value {
        put(out, rest, field, value);
    }
}

/// Writes the one field of a union.
#[inline]
pub fn put_arm<T: Wire, O: Out>(out: &mut O, field: &'static Field, value: &T) {
    out.field_begin(field);
    value.write(out);
    out.field_end();
}

/// Reads the value of a field.
#[inline]
pub fn take<T: Wire, I: In>(input: &mut I, field: &'static Field) -> Result<T, DecodeError> {
    let value = T::read(input).map_err(|e| e.within(field.name))?;
    input.field_end()?;
    Ok(value)
}

/// Reads the value of a field that is not declared.
#[cold]
pub fn take_unknown<I: In>(input: &mut I, id: i16, ttype: TType) -> Result<Value, DecodeError> {
    let value = input.unknown(ttype).map_err(|e| e.within_unknown(id))?;
    input.field_end()?;
    Ok(value)
}

/// Reads a field that is not declared and keeps it.
#[cold]
pub fn keep<I: In>(
    input: &mut I,
    unknown: &mut UnknownFields,
    id: i16,
    ttype: TType,
) -> Result<(), DecodeError> {
    let value = take_unknown(input, id, ttype)?;
    unknown.push(id, value);
    Ok(())
}

/// The value of a `required` field.
pub fn required<T, I: In>(
    input: &I,
    def: &'static StructDef,
    field: &'static Field,
    value: Option<T>,
) -> Result<T, DecodeError> {
    value.ok_or_else(|| {
        input.error(
            ErrorKind::Invalid,
            format!("{} lacks its required field {} (id {})", def.name, field.name, field.id),
        )
    })
}

/// Puts the field just read into a union, which must not have had one.
pub fn set_arm<T, I: In>(
    input: &I,
    def: &'static StructDef,
    arm: &mut Option<T>,
    next: T,
) -> Result<(), DecodeError> {
    if arm.is_some() {
        return Err(input.error(
            ErrorKind::Invalid,
            format!("the union {} has more than one field set", def.name),
        ));
    }
    *arm = Some(next);
    Ok(())
}

/// The field of a union, which must have had one.
pub fn arm<T, I: In>(input: &I, def: &'static StructDef, arm: Option<T>) -> Result<T, DecodeError> {
    arm.ok_or_else(|| {
        input.error(ErrorKind::Invalid, format!("the union {} has no field set", def.name))
    })
}

/// Formats an enum value: its name, or the number.
pub fn fmt_enum(f: &mut fmt::Formatter<'_>, value: i32, name: Option<&'static str>) -> fmt::Result {
    match name {
        Some(name) => f.pad(name),
        None => fmt::Display::fmt(&value, f),
    }
}

/// Formats an exception: its name and its fields in readable form.
pub fn fmt_exception<T: Wire>(f: &mut fmt::Formatter<'_>, name: &str, value: &T) -> fmt::Result {
    write!(f, "{name} {}", crate::readable::to_string(value))
}

/// The error of a reply that holds neither a result nor an exception.
pub fn missing_result(method: &str) -> ApplicationError {
    ApplicationError::new(
        ApplicationError::MISSING_RESULT,
        format!("the reply to {method} holds neither a result nor an exception"),
    )
}
