//! Typed values that may still be templates.
//!
//! A scalar keeps what it was given; it is turned into its type when it is interpolated. Every
//! value carries the scopes that were bound to it. Copies are cheap: contents are shared.
//!
//! Source of behaviour: Aurora configuration reference, "Lazy coercion", "What each scalar
//! accepts", "Structs", "Containers, enums, choices"; Thermos reference, "Types, coercion, JSON
//! loading".

use std::sync::Arc;

use crate::error::{Cause, Error, Segment, quoted, suggestion};
use crate::json::{Json, Writer};
use crate::number::{self, Integer};
use crate::scope::Scope;
use crate::types::{ChoiceType, EnumType, ListType, MapType, Presence, StructType, Type};

/// A value of a type, possibly templated, with the scopes bound to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    pub(crate) data: Data,
    pub(crate) scopes: Option<Arc<Vec<Scope>>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Scalar { ty: Type, raw: Raw },
    List(Arc<ListValue>),
    Map(Arc<MapValue>),
    Struct(Arc<StructValue>),
    Choice(Arc<ChoiceValue>),
}

/// The content of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Nothing; fits no type.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(Integer),
    /// A float.
    Float(f64),
    /// Text, possibly with references.
    Text(Arc<str>),
    /// Something of the surrounding language, which fits no type: its printed form.
    Foreign(Arc<str>),
}

/// The place in a file where a value was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file as it was named.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// `web.aurora:12`
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct ListValue {
    pub(crate) ty: Arc<ListType>,
    pub(crate) items: Vec<Value>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct MapValue {
    pub(crate) ty: Arc<MapType>,
    pub(crate) entries: Vec<(Value, Value)>,
}

/// The attributes of a struct. Defaults that were not replaced are not stored but taken from the
/// type.
#[derive(Debug)]
pub struct StructValue {
    pub(crate) ty: Arc<StructType>,
    /// Attributes given, by position, ascending; `None` is one that was explicitly emptied.
    pub(crate) given: Vec<(u16, Option<Value>)>,
    /// Where it was made, if that is known.
    pub(crate) origin: Option<Origin>,
}

/// Where it was made does not matter.
impl PartialEq for StructValue {
    fn eq(&self, other: &StructValue) -> bool {
        (Arc::ptr_eq(&self.ty, &other.ty) || self.ty == other.ty) && self.given == other.given
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct ChoiceValue {
    pub(crate) ty: Arc<ChoiceType>,
    pub(crate) inner: Value,
    /// The inner value is a scalar that has not been matched with an alternative yet.
    pub(crate) open: bool,
    /// The inner value is the printed form of something that no alternative takes: the struct that
    /// was tried, and the attribute that it does not have.
    pub(crate) unfit: Option<(Arc<str>, Arc<str>)>,
}

/// What happens to keys that a struct does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// They are errors everywhere. The runner reads tasks this way.
    Strict,
    /// They are dropped from the outermost struct and from structs that are directly attributes
    /// of such a struct, but are still errors below lists, maps and choices. The executor reads
    /// jobs this way.
    Lenient,
}

impl Value {
    /// A scalar with this content, which is not looked at before interpolation. For a type that
    /// is no scalar the result is a String.
    pub fn scalar(ty: Type, raw: Raw) -> Value {
        let ty = if ty.is_scalar() { ty } else { Type::String };
        Value::from_data(Data::Scalar { ty, raw })
    }

    /// A String.
    pub fn string(text: &str) -> Value {
        Value::scalar(Type::String, Raw::Text(text.into()))
    }

    /// An Integer.
    pub fn integer(integer: i64) -> Value {
        Value::scalar(Type::Integer, Raw::Integer(Integer::Small(integer)))
    }

    /// A Float.
    pub fn float(float: f64) -> Value {
        Value::scalar(Type::Float, Raw::Float(float))
    }

    /// A Boolean.
    pub fn boolean(boolean: bool) -> Value {
        Value::scalar(Type::Boolean, Raw::Bool(boolean))
    }

    /// A list. Elements must be of the element type; error: the first that is not.
    pub fn list(ty: &Arc<ListType>, items: Vec<Value>) -> Result<Value, Error> {
        for (index, item) in items.iter().enumerate() {
            fits(item, &ty.element).map_err(|error| error.at(Segment::Index(index)))?;
        }
        Ok(Value::from_data(Data::List(Arc::new(ListValue { ty: Arc::clone(ty), items }))))
    }

    /// A map. Keys and values must be of the map's types; error: the first that is not.
    pub fn map(ty: &Arc<MapType>, entries: Vec<(Value, Value)>) -> Result<Value, Error> {
        for (key, value) in &entries {
            fits(key, &ty.key)?;
            fits(value, &ty.value)?;
        }
        Ok(Value::from_data(Data::Map(Arc::new(MapValue { ty: Arc::clone(ty), entries }))))
    }

    /// A struct with these attributes; `None` empties one that has a default. Of repeated names
    /// the last counts. Errors: an unknown attribute, a value of another type.
    pub fn structure<'n>(
        ty: &Arc<StructType>,
        attributes: impl IntoIterator<Item = (&'n str, Option<Value>)>,
    ) -> Result<Value, Error> {
        let mut given = Vec::new();
        for (name, value) in attributes {
            let position = ty.position(name).ok_or_else(|| unknown_attribute(ty, name))?;
            if let Some(value) = &value {
                fits(value, &ty.fields()[position].ty)
                    .map_err(|error| error.at(Segment::Field(name.into())))?;
            }
            given.push((position as u16, value));
        }
        Ok(Value::from_struct(Arc::clone(ty), given))
    }

    /// A copy of a struct with some attributes replaced (`None` empties one), scopes kept. Nested
    /// structs are replaced whole. Errors: not a struct, an unknown attribute, a value of another
    /// type.
    pub fn with_attributes<'n>(
        &self,
        attributes: impl IntoIterator<Item = (&'n str, Option<Value>)>,
    ) -> Result<Value, Error> {
        let Data::Struct(old) = &self.data else {
            return Err(Error::schema(format!("a value of type {} has no attributes", self.ty())));
        };
        let new = Value::structure(&old.ty, attributes)?;
        let mut given = old.given.clone();
        if let Data::Struct(new) = new.data {
            given.extend(new.given.iter().cloned());
        }
        let value = Value::from_struct(Arc::clone(&old.ty), given);
        Ok(Value { scopes: self.scopes.clone(), ..value }.made_at(old.origin.as_ref()))
    }

    /// A struct with the place where it was made; other values are as they were.
    #[must_use]
    pub fn made_at(self, origin: Option<&Origin>) -> Value {
        let Value { data, scopes } = self;
        let data = match data {
            Data::Struct(value) => {
                let mut value = Arc::unwrap_or_clone(value);
                value.origin = origin.cloned();
                Data::Struct(Arc::new(value))
            }
            other => other,
        };
        Value { data, scopes }
    }

    /// A scalar for a choice, matched with an alternative when it is interpolated.
    pub fn open_choice(ty: &Arc<ChoiceType>, raw: Raw) -> Value {
        let inner = Value::scalar(Type::String, raw);
        let ty = Arc::clone(ty);
        Value::from_data(Data::Choice(Arc::new(ChoiceValue { ty, inner, open: true, unfit: None })))
    }

    /// A choice for something whose attribute the alternative that was tried does not have, which is
    /// an error once the value is used.
    pub fn unfit_choice(ty: &Arc<ChoiceType>, raw: Raw, tried: &Type, attribute: &str) -> Value {
        let inner = Value::scalar(Type::String, raw);
        let ty = Arc::clone(ty);
        let unfit = Some((tried.to_string().into(), attribute.into()));
        Value::from_data(Data::Choice(Arc::new(ChoiceValue { ty, inner, open: true, unfit })))
    }

    /// What a choice holds, and whether that is still to be matched with an alternative.
    pub fn chosen(&self) -> Option<(&Value, bool)> {
        match &self.data {
            Data::Choice(choice) => Some((&choice.inner, choice.open)),
            _ => None,
        }
    }

    /// A value that is already one of a choice's alternatives.
    pub fn choice(ty: &Arc<ChoiceType>, alternative: Value) -> Result<Value, Error> {
        let wanted = alternative.ty();
        if !ty.alternatives.contains(&wanted) {
            let choice = Type::Choice(Arc::clone(ty));
            return Err(Error::schema(format!("expected {}, got {wanted}", choice.expectation())));
        }
        let ty = Arc::clone(ty);
        Ok(Value::from_data(Data::Choice(Arc::new(ChoiceValue {
            ty,
            inner: alternative,
            open: false,
            unfit: None,
        }))))
    }

    /// A value of the type from JSON. Scalars are not yet coerced (only `null` is refused), so
    /// that they may be templates. Errors name the path.
    pub fn from_json(ty: &Type, json: Json, strictness: Strictness) -> Result<Value, Error> {
        match (ty, json) {
            (_, Json::Null) => Err(mismatch(ty, &Json::Null)),
            (Type::List(ty), Json::Array(elements)) => {
                let items = elements.into_iter().enumerate().map(|(index, element)| {
                    Value::from_json(&ty.element, element, Strictness::Strict)
                        .map_err(|error| error.at(Segment::Index(index)))
                });
                let items = items.collect::<Result<Vec<_>, _>>()?;
                Ok(Value::from_data(Data::List(Arc::new(ListValue { ty: Arc::clone(ty), items }))))
            }
            (Type::Map(ty), Json::Object(members)) => {
                let mut entries = Vec::with_capacity(members.len());
                for (name, member) in last_of_each(members) {
                    let key = Value::from_json(
                        &ty.key,
                        Json::Text(Arc::clone(&name)),
                        Strictness::Strict,
                    );
                    let value = Value::from_json(&ty.value, member, Strictness::Strict);
                    let entry = key.and_then(|key| Ok((key, value?)));
                    entries.push(entry.map_err(|error| error.at(Segment::Key(Box::from(&*name))))?);
                }
                Ok(Value::from_data(Data::Map(Arc::new(MapValue { ty: Arc::clone(ty), entries }))))
            }
            (Type::Struct(ty), Json::Object(members)) => {
                let mut given = Vec::with_capacity(members.len());
                for (name, member) in members {
                    let Some(position) = ty.position(&name) else {
                        match strictness {
                            Strictness::Strict => return Err(unknown_attribute(ty, &name)),
                            Strictness::Lenient => continue,
                        }
                    };
                    let value = Value::from_json(&ty.fields()[position].ty, member, strictness)
                        .map_err(|error| error.at(Segment::Field(Box::from(&*name))))?;
                    given.push((position as u16, Some(value)));
                }
                Ok(Value::from_struct(Arc::clone(ty), given))
            }
            (Type::Choice(ty), json) => Value::choice_from_json(ty, json),
            (ty, json) if ty.is_scalar() => {
                let raw = match json {
                    Json::Bool(value) => Raw::Bool(value),
                    Json::Integer(value) => Raw::Integer(value),
                    Json::Float(value) => Raw::Float(value),
                    Json::Text(value) => Raw::Text(value),
                    other => return Err(mismatch(ty, &other)),
                };
                Ok(Value::scalar(ty.clone(), raw))
            }
            (ty, json) => Err(mismatch(ty, &json)),
        }
    }

    fn choice_from_json(ty: &Arc<ChoiceType>, json: Json) -> Result<Value, Error> {
        let raw = match &json {
            Json::Bool(value) => Raw::Bool(*value),
            Json::Integer(value) => Raw::Integer(value.clone()),
            Json::Float(value) => Raw::Float(*value),
            Json::Text(value) => Raw::Text(Arc::clone(value)),
            _ => Raw::Null,
        };
        let finish = |inner, open| {
            let ty = Arc::clone(ty);
            Value::from_data(Data::Choice(Arc::new(ChoiceValue { ty, inner, open, unfit: None })))
        };
        if raw != Raw::Null {
            return Ok(finish(Value::scalar(Type::String, raw), true));
        }
        let mut failures = Vec::new();
        for alternative in ty.alternatives.iter().filter(|ty| !ty.is_scalar()) {
            match Value::from_json(alternative, json.clone(), Strictness::Strict) {
                Ok(inner) => return Ok(finish(inner, false)),
                Err(error) => failures.push((alternative, error)),
            }
        }
        let choice = Type::Choice(Arc::clone(ty));
        let reasons: Vec<String> =
            failures.iter().map(|(alternative, error)| format!("{alternative}: {error}")).collect();
        let mut message = format!("expected {}, got {}", choice.expectation(), json.describe());
        if !reasons.is_empty() {
            message.push_str(&format!(" ({})", reasons.join("; ")));
        }
        Err(Error::schema(message))
    }

    pub(crate) fn from_data(data: Data) -> Value {
        Value { data, scopes: None }
    }

    pub(crate) fn from_struct(ty: Arc<StructType>, mut given: Vec<(u16, Option<Value>)>) -> Value {
        // The sort is stable: of equal positions the last given ends up last, and is kept.
        given.sort_by_key(|(position, _)| *position);
        given.reverse();
        given.dedup_by_key(|(position, _)| *position);
        given.reverse();
        given.shrink_to_fit();
        Value::from_data(Data::Struct(Arc::new(StructValue { ty, given, origin: None })))
    }

    /// Its type.
    pub fn ty(&self) -> Type {
        match &self.data {
            Data::Scalar { ty, .. } => ty.clone(),
            Data::List(list) => Type::List(Arc::clone(&list.ty)),
            Data::Map(map) => Type::Map(Arc::clone(&map.ty)),
            Data::Struct(value) => Type::Struct(Arc::clone(&value.ty)),
            Data::Choice(choice) => Type::Choice(Arc::clone(&choice.ty)),
        }
    }

    /// The scopes bound to it, in the order in which they are searched.
    pub fn scopes(&self) -> &[Scope] {
        self.scopes.as_ref().map_or(&[], |scopes| scopes)
    }

    /// A copy with more scopes in front; the last given is searched first.
    #[must_use]
    pub fn bind(&self, scopes: impl IntoIterator<Item = Scope>) -> Value {
        let mut all: Vec<Scope> = scopes.into_iter().collect();
        all.reverse();
        all.extend_from_slice(self.scopes());
        self.with_scopes(all)
    }

    /// A copy with more scopes at the back, in the order given.
    #[must_use]
    pub fn in_scope(&self, scopes: impl IntoIterator<Item = Scope>) -> Value {
        let mut all = self.scopes().to_vec();
        all.extend(scopes);
        self.with_scopes(all)
    }

    pub(crate) fn with_scopes(&self, scopes: Vec<Scope>) -> Value {
        let scopes = if scopes.is_empty() { None } else { Some(Arc::new(scopes)) };
        Value { data: self.data.clone(), scopes }
    }

    /// The content of a scalar, as given: coerced only if this value came from an interpolation.
    pub fn raw(&self) -> Option<&Raw> {
        match &self.data {
            Data::Scalar { raw, .. } => Some(raw),
            Data::Choice(choice) => choice.inner.raw(),
            _ => None,
        }
    }

    /// The text of a scalar that holds text.
    pub fn as_text(&self) -> Option<&str> {
        match self.raw()? {
            Raw::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn items(&self) -> Option<&[Value]> {
        match &self.data {
            Data::List(list) => Some(&list.items),
            Data::Choice(choice) => choice.inner.items(),
            _ => None,
        }
    }

    /// The keys and values of a map.
    pub fn entries(&self) -> Option<&[(Value, Value)]> {
        match &self.data {
            Data::Map(map) => Some(&map.entries),
            Data::Choice(choice) => choice.inner.entries(),
            _ => None,
        }
    }

    /// The attributes of a struct.
    pub fn as_struct(&self) -> Option<&StructValue> {
        match &self.data {
            Data::Struct(value) => Some(value),
            Data::Choice(choice) => choice.inner.as_struct(),
            _ => None,
        }
    }

    /// A struct's attribute, when it is set or has a default.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        let value = self.as_struct()?;
        value.get(value.ty.position(name)?)
    }

    /// Writes it as JSON: unset attributes are absent, defaults present, attributes in the order
    /// declared. Meant for interpolated values; scalars that are still templates become strings.
    pub fn write_json(&self, out: &mut Writer) {
        match &self.data {
            Data::Scalar { raw, .. } => match raw {
                Raw::Null => out.null(),
                Raw::Bool(value) => out.boolean(*value),
                Raw::Integer(value) => out.whole(value),
                Raw::Float(value) => out.float(*value),
                Raw::Text(value) | Raw::Foreign(value) => out.text(value),
            },
            Data::List(list) => {
                out.begin_array();
                list.items.iter().for_each(|item| item.write_json(out));
                out.end_array();
            }
            Data::Map(map) => {
                out.begin_object();
                for (key, value) in &map.entries {
                    out.name(&key.raw().map(json_key).unwrap_or_default());
                    value.write_json(out);
                }
                out.end_object();
            }
            Data::Struct(value) => {
                out.begin_object();
                for (field, attribute) in value.set() {
                    out.name(&value.ty.fields()[field].name);
                    attribute.write_json(out);
                }
                out.end_object();
            }
            Data::Choice(choice) => choice.inner.write_json(out),
        }
    }

    /// The same as [`Value::write_json`], as one text.
    pub fn to_json(&self) -> String {
        let mut out = Writer::new();
        self.write_json(&mut out);
        out.finish()
    }
}

impl Clone for StructValue {
    fn clone(&self) -> StructValue {
        StructValue {
            ty: Arc::clone(&self.ty),
            given: self.given.clone(),
            origin: self.origin.clone(),
        }
    }
}

impl StructValue {
    /// Where it was made, if that is known.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Its type.
    pub fn ty(&self) -> &Arc<StructType> {
        &self.ty
    }

    /// The attribute at a position of the type, when it is set or has a default.
    pub fn get(&self, position: usize) -> Option<&Value> {
        match self.given.binary_search_by_key(&position, |(given, _)| usize::from(*given)) {
            Ok(found) => self.given[found].1.as_ref(),
            Err(_) => match &self.ty.fields().get(position)?.presence {
                Presence::Default(value) => Some(value),
                _ => None,
            },
        }
    }

    /// The attributes that were given, not those with defaults, in the order declared.
    pub fn given(&self) -> impl Iterator<Item = (usize, &Value)> {
        let given = self.given.iter();
        given.filter_map(|(position, value)| Some((usize::from(*position), value.as_ref()?)))
    }

    /// The set attributes with their positions, in the order declared.
    pub fn set(&self) -> impl Iterator<Item = (usize, &Value)> {
        (0..self.ty.fields().len()).filter_map(|position| Some((position, self.get(position)?)))
    }
}

fn json_key(raw: &Raw) -> String {
    match raw {
        Raw::Null => "null".to_owned(),
        Raw::Bool(value) => value.to_string(),
        Raw::Integer(value) => value.to_string(),
        Raw::Float(value) => number::float_exact(*value),
        Raw::Text(value) | Raw::Foreign(value) => value.to_string(),
    }
}

/// Members in the order first written, each name once, with the value last written.
fn last_of_each(members: Vec<(Arc<str>, Json)>) -> Vec<(Arc<str>, Json)> {
    let mut positions = std::collections::HashMap::with_capacity(members.len());
    let mut kept: Vec<(Arc<str>, Json)> = Vec::with_capacity(members.len());
    for (name, member) in members {
        match positions.get(&name) {
            Some(position) => kept[*position] = (name, member),
            None => {
                positions.insert(Arc::clone(&name), kept.len());
                kept.push((name, member));
            }
        }
    }
    kept
}

fn fits(value: &Value, ty: &Type) -> Result<(), Error> {
    if value.ty() == *ty {
        return Ok(());
    }
    Err(Error::schema(format!("expected {}, got a value of type {}", ty.expectation(), value.ty())))
}

fn mismatch(ty: &Type, json: &Json) -> Error {
    Error::schema(format!("expected {}, got {}", ty.expectation(), json.describe()))
}

fn unknown_attribute(ty: &StructType, name: &str) -> Error {
    let known = ty.fields().iter().map(|field| &*field.name);
    Error::schema(format!(
        "{} has no attribute {}{}",
        ty.name(),
        quoted(name),
        suggestion(name, known)
    ))
    .because(Cause::UnknownAttribute(name.into()))
}

/// A scalar's content as its type has it.
pub(crate) fn coerce(ty: &Type, raw: &Raw) -> Result<Raw, Error> {
    let coerced = match (ty, raw) {
        (_, Raw::Null | Raw::Foreign(_)) => None,
        (Type::Integer, Raw::Integer(_))
        | (Type::Float, Raw::Float(_))
        | (Type::Boolean, Raw::Bool(_))
        | (Type::String, Raw::Text(_)) => Some(raw.clone()),
        (Type::String, raw) => Some(Raw::Text(scalar_text(raw))),
        (Type::Integer, Raw::Text(text)) => Integer::parse(text).map(Raw::Integer),
        (Type::Integer, Raw::Bool(value)) => Some(Raw::Integer(Integer::Small(i64::from(*value)))),
        (Type::Integer, Raw::Float(value)) => Integer::truncate(*value).map(Raw::Integer),
        (Type::Float, Raw::Text(text)) => number::parse_float(text).map(Raw::Float),
        (Type::Float, Raw::Bool(value)) => Some(Raw::Float(f64::from(u8::from(*value)))),
        (Type::Float, Raw::Integer(value)) => {
            Some(value.to_f64()).filter(|float| float.is_finite()).map(Raw::Float)
        }
        (Type::Boolean, Raw::Text(text)) => boolean_word(text).map(Raw::Bool),
        (Type::Boolean, Raw::Integer(value)) => Some(Raw::Bool(!value.is_zero())),
        (Type::Boolean, Raw::Float(value)) => Some(Raw::Bool(*value != 0.0)),
        (Type::Enum(ty), Raw::Text(text)) => ty.contains(text).then(|| raw.clone()),
        _ => None,
    };
    coerced.ok_or_else(|| {
        match (ty, raw) {
            (Type::Integer, Raw::Float(value)) if value.is_infinite() => {
                let message = "cannot convert float infinity to integer";
                return Error::schema(message).because(Cause::Overflow);
            }
            (Type::Float, Raw::Integer(_)) => {
                let message = "int too large to convert to float";
                return Error::schema(message).because(Cause::Overflow);
            }
            _ => {}
        }
        let got = match raw {
            Raw::Null => "null".to_owned(),
            Raw::Text(text) => quoted(text),
            other => scalar_text(other).chars().take(60).collect(),
        };
        let hint = match (ty, raw) {
            (Type::Enum(ty), Raw::Text(text)) => enum_hint(ty, text),
            _ => String::new(),
        };
        let words = match ty {
            Type::Enum(ty) => Some(ty.words().collect::<Vec<_>>().join(", ").into()),
            _ => None,
        };
        Error::schema(format!("expected {}, got {got}{hint}", ty.expectation())).because(
            Cause::Coercion { got: (&*scalar_text(raw)).into(), ty: ty.to_string().into(), words },
        )
    })
}

fn enum_hint(ty: &EnumType, text: &str) -> String {
    suggestion(text, ty.words())
}

fn boolean_word(text: &str) -> Option<bool> {
    if text == "1" || text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text == "0" || text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A coerced scalar's content as it appears inside text.
pub(crate) fn scalar_text(raw: &Raw) -> Arc<str> {
    match raw {
        Raw::Null => "None".into(),
        Raw::Bool(true) => "True".into(),
        Raw::Bool(false) => "False".into(),
        Raw::Integer(value) => value.to_string().into(),
        Raw::Float(value) => number::float_text(*value).into(),
        Raw::Text(text) | Raw::Foreign(text) => Arc::clone(text),
    }
}
