//! The type check: required attributes are set, every scalar is of its type.
//!
//! Source of behaviour: Aurora configuration reference, "Check".

use crate::error::{Cause, Error, Segment};
use crate::interpolate::{Limits, interpolate};
use crate::types::{Presence, Type};
use crate::value::{Data, Raw, Value, scalar_text};

impl Value {
    /// Checks it, interpolating it first. Text with references left is fine as a String and a
    /// mistake as anything else.
    pub fn check(&self) -> Result<(), Error> {
        check_interpolated(&interpolate(self, &Limits::default())?.value)
    }
}

/// Checks a value that came from an interpolation. The first mistake in the order of declaration
/// is reported.
pub fn check_interpolated(value: &Value) -> Result<(), Error> {
    match &value.data {
        Data::Scalar { ty, raw } => check_scalar(ty, raw),
        Data::List(list) => list.items.iter().enumerate().try_for_each(|(index, item)| {
            check_interpolated(item).map_err(|error| error.at(Segment::Index(index)))
        }),
        Data::Map(map) => map.entries.iter().try_for_each(|(key, value)| {
            check_interpolated(key).and_then(|()| check_interpolated(value)).map_err(|error| {
                let key = key.as_text().unwrap_or("…");
                error.at(Segment::Key(key.into()))
            })
        }),
        Data::Struct(value) => {
            for (position, field) in value.ty.fields().iter().enumerate() {
                let checked = match value.get(position) {
                    Some(attribute) => check_interpolated(attribute),
                    None if field.presence == Presence::Required => {
                        let message = format!("required by {}, but missing", value.ty.name());
                        Err(Error::schema(message).because(Cause::Required))
                    }
                    None => Ok(()),
                };
                checked.map_err(|error| error.at(Segment::Field(field.name.clone())))?;
            }
            Ok(())
        }
        Data::Choice(choice) => check_interpolated(&choice.inner),
    }
}

fn check_scalar(ty: &Type, raw: &Raw) -> Result<(), Error> {
    let fine = match (ty, raw) {
        (Type::String, Raw::Text(_))
        | (Type::Integer, Raw::Integer(_))
        | (Type::Float, Raw::Float(_))
        | (Type::Boolean, Raw::Bool(_)) => true,
        (Type::Enum(ty), Raw::Text(text)) => ty.contains(text),
        _ => false,
    };
    if fine {
        return Ok(());
    }
    let got = match raw {
        Raw::Text(text) => crate::error::quoted(text),
        _ => "something else".to_owned(),
    };
    Err(Error::schema(format!(
        "expected {}, got {got}, in which references have no value",
        ty.expectation()
    ))
    .because(Cause::Unresolved { got: (&*scalar_text(raw)).into() }))
}
