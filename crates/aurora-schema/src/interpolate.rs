//! Replacing references by what they stand for.
//!
//! Source of behaviour: Aurora configuration reference, "Looking a reference up", "Replacing
//! references in a text", "Scopes inside structs".

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Cause, Error, Path, Segment, quoted};
use crate::number::Integer;
use crate::scope::{Binding, Environment, Scope};
use crate::template::{Component, Ref, Token, Tokens, is_templated};
use crate::types::{StructType, Type};
use crate::value::{
    ChoiceValue, Data, ListValue, MapValue, Raw, StructValue, Value, coerce, scalar_text,
};

/// A text is searched for references at most this many times; a longer chain of references is
/// taken for an endless one.
pub const MAX_PASSES: usize = 100;

/// Bounds on what templates may grow to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest text, in bytes, that replacing references may produce.
    pub text: usize,
    /// The most bytes of text, and steps of looking up (64 bytes each), that one interpolation
    /// may go through. It bounds the time that hostile templates take.
    pub work: u64,
}

impl Default for Limits {
    /// Texts of 4 MiB (a command line cannot be longer than 128 KiB), 256 MiB of work.
    fn default() -> Limits {
        Limits { text: 4 << 20, work: 256 << 20 }
    }
}

/// What an interpolation gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Interpolated {
    /// The value with everything replaced that could be. Scalars without remaining references
    /// are of their type. Only text from which an escape was removed still has scopes, since it
    /// may be a template again.
    pub value: Value,
    /// References that nothing stands for, each with one place where it is used.
    pub unbound: BTreeMap<Ref, Path>,
    /// Whether escapes (`{{&x}}`) were turned into what looks like references. A second
    /// interpolation would look these up.
    pub unescaped: bool,
    /// Bytes and steps gone through, as counted by [`Limits::work`].
    pub work: u64,
}

/// Interpolates a value and everything in it.
///
/// Errors: malformed references, endless replacement, text or work beyond the limits, scalars
/// that cannot be turned into their type. References without value are no error.
pub fn interpolate(value: &Value, limits: &Limits) -> Result<Interpolated, Error> {
    let mut run = Run {
        limits: *limits,
        work: 0,
        unbound: BTreeMap::new(),
        unescaped: false,
        path: Vec::new(),
    };
    let changed = run.value(value, None)?;
    Ok(Interpolated {
        value: changed.unwrap_or_else(|| value.clone()),
        unbound: run.unbound,
        unescaped: run.unescaped,
        work: run.work,
    })
}

/// Interpolates one part of a struct, list or map as it is seen from inside it: an attribute, an
/// element, a key. Errors: as those of [`interpolate`].
pub fn interpolate_part(
    container: &Value,
    part: &Value,
    limits: &Limits,
) -> Result<Interpolated, Error> {
    let mut run = Run {
        limits: *limits,
        work: 0,
        unbound: BTreeMap::new(),
        unescaped: false,
        path: Vec::new(),
    };
    let attributes = match &container.data {
        Data::Struct(attributes) => Some(attributes),
        _ => None,
    };
    let frame = Frame { own: container.scopes(), attributes, outer: None };
    let changed = run.value(part, Some(&frame))?;
    Ok(Interpolated {
        value: changed.unwrap_or_else(|| part.clone()),
        unbound: run.unbound,
        unescaped: run.unescaped,
        work: run.work,
    })
}

/// A value as text, its references replaced: what `str` gives in the configuration language.
/// Errors: as those of [`interpolate`].
pub fn text_of(value: &Value, limits: &Limits) -> Result<Arc<str>, Error> {
    let mut run = Run {
        limits: *limits,
        work: 0,
        unbound: BTreeMap::new(),
        unescaped: false,
        path: Vec::new(),
    };
    run.text_of(value, None)
}

/// The scopes that a value inside other values sees, innermost first. For a struct S with bound
/// scopes B inside an outer list P, the list is: S under `self`, S's attributes, B, P, and B and P
/// once more under `super`.
struct Frame<'f> {
    own: &'f [Scope],
    attributes: Option<&'f Arc<StructValue>>,
    outer: Option<&'f Frame<'f>>,
}

impl Frame<'_> {
    /// The list as scopes that can be kept.
    fn capture(&self, into: &mut Vec<Scope>) {
        let start = into.len();
        if let Some(attributes) = self.attributes {
            let plain = Scope::Attributes(Arc::clone(attributes));
            into.push(Scope::Under("self", Arc::new(plain.clone())));
            into.push(plain);
        }
        let outer = into.len();
        into.extend_from_slice(self.own);
        if let Some(frame) = self.outer {
            frame.capture(into);
        }
        if self.attributes.is_some() && into.len() - start < MAX_CAPTURED {
            let wrapped: Vec<Scope> = into[outer..]
                .iter()
                .map(|scope| Scope::Under("super", Arc::new(scope.clone())))
                .collect();
            into.extend(wrapped);
        }
    }
}

/// `super` of `super` of … doubles the list at every level; beyond this it is no longer extended.
const MAX_CAPTURED: usize = 1_000;

/// A step towards the value being worked on.
enum Step<'v> {
    Field(&'v str),
    Index(usize),
    Key(Cow<'v, str>),
}

/// A scalar after replacing.
struct Scalar {
    raw: Raw,
    /// References are left, and `raw` is the text with them.
    open: bool,
    unescaped: bool,
}

/// A text after replacing.
struct Text {
    text: String,
    unbound: Vec<Ref>,
    unescaped: bool,
}

struct Run<'v> {
    limits: Limits,
    work: u64,
    unbound: BTreeMap<Ref, Path>,
    unescaped: bool,
    path: Vec<Step<'v>>,
}

impl<'v> Run<'v> {
    /// The interpolated value; `None` when it is as it was.
    fn value(
        &mut self,
        value: &'v Value,
        outer: Option<&Frame<'_>>,
    ) -> Result<Option<Value>, Error> {
        let changed = match &value.data {
            Data::Scalar { ty, raw } => self.scalar_value(value, ty, raw, outer)?,
            Data::List(list) => {
                let frame = Frame { own: value.scopes(), attributes: None, outer };
                self.list(list, &frame)?
            }
            Data::Map(map) => {
                let frame = Frame { own: value.scopes(), attributes: None, outer };
                self.map(map, &frame)?
            }
            Data::Struct(attributes) => {
                let frame = Frame { own: value.scopes(), attributes: Some(attributes), outer };
                self.structure(attributes, &frame)?
            }
            Data::Choice(choice) => {
                let frame = Frame { own: value.scopes(), attributes: None, outer };
                self.choice(choice, &frame)?
            }
        };
        Ok(match changed {
            None if value.scopes.is_some() => Some(value.with_scopes(Vec::new())),
            changed => changed,
        })
    }

    fn scalar_value(
        &mut self,
        value: &Value,
        ty: &Type,
        raw: &Raw,
        outer: Option<&Frame<'_>>,
    ) -> Result<Option<Value>, Error> {
        let own = value.scopes();
        let scalar = match self.scalar(ty, raw, own, outer, true) {
            Ok(Some(scalar)) => scalar,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.at_path(self.place())),
        };
        Ok(Some(self.finished(ty, scalar, own, outer)))
    }

    /// The value for a scalar after replacing. Where escapes became references it keeps its
    /// scopes, unless it had other references left.
    fn finished(
        &mut self,
        ty: &Type,
        scalar: Scalar,
        own: &[Scope],
        outer: Option<&Frame<'_>>,
    ) -> Value {
        let result = Value::from_data(Data::Scalar { ty: ty.clone(), raw: scalar.raw });
        if !scalar.unescaped {
            return result;
        }
        self.unescaped = true;
        if scalar.open {
            return result;
        }
        let mut scopes = Vec::new();
        Frame { own, attributes: None, outer }.capture(&mut scopes);
        result.with_scopes(scopes)
    }

    fn list(&mut self, list: &'v ListValue, frame: &Frame<'_>) -> Result<Option<Value>, Error> {
        let mut changed: Option<Vec<Value>> = None;
        for (index, item) in list.items.iter().enumerate() {
            self.path.push(Step::Index(index));
            if let Some(new) = self.value(item, Some(frame))? {
                changed.get_or_insert_with(|| list.items.clone())[index] = new;
            }
            self.path.pop();
        }
        Ok(changed.map(|items| {
            Value::from_data(Data::List(Arc::new(ListValue { ty: Arc::clone(&list.ty), items })))
        }))
    }

    fn map(&mut self, map: &'v MapValue, frame: &Frame<'_>) -> Result<Option<Value>, Error> {
        let mut changed: Option<Vec<(Value, Value)>> = None;
        for (index, (key, value)) in map.entries.iter().enumerate() {
            let name = match key.raw() {
                Some(Raw::Text(text)) => Cow::Borrowed(&**text),
                Some(raw) => Cow::Owned(scalar_text(raw).to_string()),
                None => Cow::Borrowed("…"),
            };
            self.path.push(Step::Key(name));
            let new_key = self.value(key, Some(frame))?;
            let new_value = self.value(value, Some(frame))?;
            self.path.pop();
            if new_key.is_some() || new_value.is_some() {
                let entry = &mut changed.get_or_insert_with(|| map.entries.clone())[index];
                if let Some(key) = new_key {
                    entry.0 = key;
                }
                if let Some(value) = new_value {
                    entry.1 = value;
                }
            }
        }
        Ok(changed.map(|entries| {
            Value::from_data(Data::Map(Arc::new(MapValue { ty: Arc::clone(&map.ty), entries })))
        }))
    }

    fn structure(
        &mut self,
        value: &'v StructValue,
        frame: &Frame<'_>,
    ) -> Result<Option<Value>, Error> {
        let mut changed: Option<Vec<(u16, Option<Value>)>> = None;
        for (position, attribute) in value.set() {
            self.path.push(Step::Field(value.ty.fields()[position].name()));
            if let Some(new) = self.value(attribute, Some(frame))? {
                // Appended; of two values for one position the later one counts.
                changed
                    .get_or_insert_with(|| value.given.clone())
                    .push((position as u16, Some(new)));
            }
            self.path.pop();
        }
        Ok(changed.map(|given| {
            Value::from_struct(Arc::clone(&value.ty), given).made_at(value.origin.as_ref())
        }))
    }

    fn choice(
        &mut self,
        choice: &'v ChoiceValue,
        frame: &Frame<'_>,
    ) -> Result<Option<Value>, Error> {
        let inner = if choice.open {
            let inner = self.open_choice(choice, frame, true);
            Some(inner.map_err(|error| error.at_path(self.place()))?)
        } else {
            self.value(&choice.inner, Some(frame))?
        };
        Ok(inner.map(|inner| {
            let ty = Arc::clone(&choice.ty);
            Value::from_data(Data::Choice(Arc::new(ChoiceValue {
                ty,
                inner,
                open: false,
                unfit: None,
            })))
        }))
    }

    /// The scalar of a choice as the first alternative that takes it.
    fn open_choice(
        &mut self,
        choice: &ChoiceValue,
        frame: &Frame<'_>,
        record: bool,
    ) -> Result<Value, Error> {
        let Data::Scalar { raw, .. } = &choice.inner.data else {
            return Ok(choice.inner.clone());
        };
        if let Some((tried, attribute)) = &choice.unfit {
            return Err(Error::schema(format!(
                "{tried} has no attribute {}; to mean another kind, name it, as in {}(...)",
                quoted(attribute),
                choice.ty.alternatives.last().map(Type::to_string).unwrap_or_default()
            ))
            .because(Cause::UnknownAttribute((&**attribute).into())));
        }
        for ty in choice.ty.alternatives.iter().filter(|ty| ty.is_scalar()) {
            let own = choice.inner.scopes();
            match self.scalar(ty, raw, own, Some(frame), record) {
                Ok(Some(scalar)) if record => {
                    return Ok(self.finished(ty, scalar, own, Some(frame)));
                }
                Ok(scalar) => {
                    let raw = scalar.map_or_else(|| raw.clone(), |scalar| scalar.raw);
                    return Ok(Value::from_data(Data::Scalar { ty: ty.clone(), raw }));
                }
                Err(error) if *error.fault() == crate::error::Fault::Schema => {}
                Err(error) => return Err(error),
            }
        }
        let expected = Type::Choice(Arc::clone(&choice.ty)).expectation();
        let text = scalar_text(raw);
        let cause = Cause::NoAlternative {
            got: (&*text).into(),
            ty: Type::Choice(Arc::clone(&choice.ty)).to_string().into(),
        };
        Err(Error::schema(format!("expected {expected}, got {}", quoted(&text))).because(cause))
    }

    /// Replaces references in a scalar and turns it into its type. `None` when it is as it was.
    fn scalar(
        &mut self,
        ty: &Type,
        raw: &Raw,
        own: &[Scope],
        outer: Option<&Frame<'_>>,
        record: bool,
    ) -> Result<Option<Scalar>, Error> {
        let Raw::Text(template) = raw else {
            return match (ty, raw) {
                (Type::Integer, Raw::Integer(_))
                | (Type::Float, Raw::Float(_))
                | (Type::Boolean, Raw::Bool(_)) => Ok(None),
                _ => Ok(Some(Scalar { raw: coerce(ty, raw)?, open: false, unescaped: false })),
            };
        };
        if !is_templated(template) {
            if *ty == Type::String {
                return Ok(None);
            }
            return Ok(Some(Scalar { raw: coerce(ty, raw)?, open: false, unescaped: false }));
        }
        let Text { text, unbound, unescaped } = self.replace(template, own, outer)?;
        let open = !unbound.is_empty();
        if record && open {
            let place = self.place();
            for reference in unbound {
                self.unbound.entry(reference).or_insert_with(|| place.clone());
            }
        }
        let raw = Raw::Text(text.into());
        let raw = if open { raw } else { coerce(ty, &raw)? };
        Ok(Some(Scalar { raw, open, unescaped }))
    }

    /// Replaces references until none is found any more, then removes escapes.
    fn replace(
        &mut self,
        template: &str,
        own: &[Scope],
        outer: Option<&Frame<'_>>,
    ) -> Result<Text, Error> {
        let mut text = Cow::Borrowed(template);
        for _ in 0..MAX_PASSES {
            self.charge(text.len())?;
            let mut next = String::new();
            let mut unbound = Vec::new();
            let mut replaced = false;
            let mut escaped = false;
            for token in Tokens::new(&text) {
                match token {
                    Token::Plain(plain) => next.push_str(plain),
                    Token::Escape { whole, .. } => {
                        escaped = true;
                        next.push_str(whole);
                    }
                    Token::Reference { whole, inner } => {
                        let reference = Ref::parse(inner).map_err(|error| {
                            let cause = Cause::BadReference(error.address().into());
                            Error::interpolation(error.to_string()).because(cause)
                        })?;
                        match self.lookup(reference.components(), own, outer)? {
                            Some(found) => {
                                replaced = true;
                                next.push_str(&found);
                            }
                            None => {
                                unbound.push(reference);
                                next.push_str(whole);
                            }
                        }
                    }
                }
                if next.len() > self.limits.text {
                    return Err(Error::interpolation(format!(
                        "{} grows beyond {} bytes when its references are replaced",
                        quoted(template),
                        self.limits.text
                    )));
                }
            }
            if !replaced {
                let text = if escaped { unescape(&next) } else { next };
                return Ok(Text { text, unbound, unescaped: escaped });
            }
            text = Cow::Owned(next);
        }
        Err(Error::interpolation(format!(
            "{} still has references after {MAX_PASSES} replacements; does it refer to itself?",
            quoted(template)
        ))
        .because(Cause::Endless(text.into())))
    }

    /// The text for a reference in a value with these scopes of its own, inside `outer`.
    fn lookup(
        &mut self,
        reference: &[Component],
        own: &[Scope],
        outer: Option<&Frame<'_>>,
    ) -> Result<Option<Arc<str>>, Error> {
        for scope in own {
            if let Some(found) = self.in_scope(scope, reference)? {
                return Ok(Some(found));
            }
        }
        match outer {
            Some(frame) => self.in_frame(frame, reference),
            None => Ok(None),
        }
    }

    fn in_frame(
        &mut self,
        frame: &Frame<'_>,
        reference: &[Component],
    ) -> Result<Option<Arc<str>>, Error> {
        self.charge(STEP)?;
        if let Some(attributes) = frame.attributes {
            if let Some(rest) = below("self", reference)
                && let Some(found) = self.in_attributes(attributes, rest)?
            {
                return Ok(Some(found));
            }
            if let Some(found) = self.in_attributes(attributes, reference)? {
                return Ok(Some(found));
            }
        }
        if let Some(found) = self.lookup(reference, frame.own, frame.outer)? {
            return Ok(Some(found));
        }
        match below("super", reference) {
            Some(rest) if frame.attributes.is_some() => self.lookup(rest, frame.own, frame.outer),
            _ => Ok(None),
        }
    }

    fn in_scope(
        &mut self,
        scope: &Scope,
        reference: &[Component],
    ) -> Result<Option<Arc<str>>, Error> {
        self.charge(STEP)?;
        match scope {
            Scope::Environment(environment) => self.in_environment(environment, reference),
            Scope::Value(value) => match value.data {
                Data::Scalar { .. } | Data::Choice(_) => Ok(None),
                _ => self.in_value(value, reference, None),
            },
            Scope::Attributes(attributes) => self.in_attributes(attributes, reference),
            Scope::Under(name, inner) => match below(name, reference) {
                Some(rest) => self.in_scope(inner, rest),
                None => Ok(None),
            },
        }
    }

    fn in_environment(
        &mut self,
        environment: &Environment,
        reference: &[Component],
    ) -> Result<Option<Arc<str>>, Error> {
        match environment.exact(reference) {
            Some(Binding::Text(text)) => return Ok(Some(Arc::clone(text))),
            Some(Binding::Value(value)) => return self.text_of(value, None).map(Some),
            Some(Binding::Environment(_)) | None => {}
        }
        for (length, binding) in environment.prefixes(reference) {
            let rest = &reference[length..];
            let found = match binding {
                Binding::Text(_) => None,
                Binding::Value(value) => self.in_value(value, rest, None)?,
                Binding::Environment(inner) => self.in_environment(inner, rest)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A struct's attributes as an environment: they do not see the struct they are in.
    fn in_attributes(
        &mut self,
        attributes: &StructValue,
        reference: &[Component],
    ) -> Result<Option<Arc<str>>, Error> {
        let Some((Component::Name(name), rest)) = reference.split_first() else {
            return Ok(None);
        };
        let position = attributes.ty.position(name);
        match position.and_then(|position| attributes.get(position)) {
            Some(attribute) => self.in_value(attribute, rest, None),
            None => Ok(None),
        }
    }

    /// Follows the rest of a reference into a value; the value sees `outer` around it.
    fn in_value(
        &mut self,
        value: &Value,
        rest: &[Component],
        outer: Option<&Frame<'_>>,
    ) -> Result<Option<Arc<str>>, Error> {
        self.charge(STEP)?;
        let Some((component, rest)) = rest.split_first() else {
            return self.text_of(value, outer).map(Some);
        };
        let own = value.scopes();
        match (&value.data, component) {
            (Data::Struct(attributes), Component::Name(name)) => {
                let frame = Frame { own, attributes: Some(attributes), outer };
                let position = attributes.ty.position(name);
                match position.and_then(|position| attributes.get(position)) {
                    Some(attribute) => self.in_value(attribute, rest, Some(&frame)),
                    None => Ok(None),
                }
            }
            (Data::List(list), Component::Index(index)) => {
                let frame = Frame { own, attributes: None, outer };
                match element(&list.items, index)? {
                    Some(item) => self.in_value(item, rest, Some(&frame)),
                    None => Ok(None),
                }
            }
            (Data::Map(map), Component::Index(key)) => {
                if !map.ty.key.is_scalar() {
                    return Ok(None);
                }
                let wanted = coerce(&map.ty.key, &Raw::Text(Arc::from(&**key)))?;
                let frame = Frame { own, attributes: None, outer };
                for (key, item) in &map.entries {
                    self.charge(STEP)?;
                    if let Data::Scalar { ty, raw } = &key.data
                        && self.key(ty, raw, key.scopes())? == wanted
                    {
                        return self.in_value(item, rest, Some(&frame));
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// A map's key as it is written, in its own scopes.
    fn key(&mut self, ty: &Type, raw: &Raw, own: &[Scope]) -> Result<Raw, Error> {
        let scalar = self.scalar(ty, raw, own, None, false)?;
        Ok(scalar.map_or_else(|| raw.clone(), |scalar| scalar.raw))
    }

    /// A value as text: scalars by their content, others in their printed form.
    fn text_of(&mut self, value: &Value, outer: Option<&Frame<'_>>) -> Result<Arc<str>, Error> {
        let own = value.scopes();
        if let Data::Scalar { ty, raw } = &value.data {
            let scalar = self.scalar(ty, raw, own, outer, false)?;
            return Ok(scalar_text(scalar.as_ref().map_or(raw, |scalar| &scalar.raw)));
        }
        let mut out = String::new();
        self.print(value, outer, &mut out)?;
        Ok(out.into())
    }

    fn print(
        &mut self,
        value: &Value,
        outer: Option<&Frame<'_>>,
        out: &mut String,
    ) -> Result<(), Error> {
        let own = value.scopes();
        let before = out.len();
        match &value.data {
            Data::Scalar { .. } => out.push_str(&self.text_of(value, outer)?),
            Data::List(list) => {
                let frame = Frame { own, attributes: None, outer };
                out.push_str(&format!("{}List(", list.ty.element));
                for (index, item) in list.items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    self.print(item, Some(&frame), out)?;
                }
                out.push(')');
            }
            Data::Map(map) => {
                let frame = Frame { own, attributes: None, outer };
                out.push_str(&format!("{}{}Map(", map.ty.key, map.ty.value));
                for (index, (key, value)) in map.entries.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { ", " });
                    self.print(key, Some(&frame), out)?;
                    out.push_str(" => ");
                    self.print(value, Some(&frame), out)?;
                }
                out.push(')');
            }
            Data::Struct(attributes) => {
                let frame = Frame { own, attributes: Some(attributes), outer };
                self.print_struct(&attributes.ty, attributes, &frame, out)?;
            }
            Data::Choice(choice) => {
                let frame = Frame { own, attributes: None, outer };
                if choice.open {
                    let inner = self.open_choice(choice, &frame, false)?;
                    self.print(&inner, None, out)?;
                } else {
                    self.print(&choice.inner, Some(&frame), out)?;
                }
            }
        }
        self.charge(out.len() - before)?;
        if out.len() > self.limits.text {
            return Err(Error::interpolation(format!(
                "a value of type {} is longer than {} bytes as text",
                value.ty(),
                self.limits.text
            )));
        }
        Ok(())
    }

    fn print_struct(
        &mut self,
        ty: &StructType,
        attributes: &StructValue,
        frame: &Frame<'_>,
        out: &mut String,
    ) -> Result<(), Error> {
        out.push_str(ty.name());
        out.push('(');
        let indent = ty.name().chars().count() + 1;
        for (count, (position, attribute)) in attributes.set().enumerate() {
            if count > 0 {
                out.push_str(",\n");
                out.extend(std::iter::repeat_n(' ', indent));
            }
            out.push_str(ty.fields()[position].name());
            out.push('=');
            self.print(attribute, Some(frame), out)?;
        }
        out.push(')');
        Ok(())
    }

    fn charge(&mut self, amount: usize) -> Result<(), Error> {
        self.work += amount as u64;
        if self.work > self.limits.work {
            return Err(Error::interpolation(
                "replacing the references takes too much work; do they multiply?",
            ));
        }
        Ok(())
    }

    fn place(&self) -> Path {
        let segments = self.path.iter().map(|step| match step {
            Step::Field(name) => Segment::Field(Box::from(*name)),
            Step::Index(index) => Segment::Index(*index),
            Step::Key(key) => Segment::Key(Box::from(&**key)),
        });
        Path::from_segments(segments.collect())
    }
}

/// What one step of looking up is charged.
const STEP: usize = 64;

/// The rest of a reference that starts with `.name` and goes on.
fn below<'r>(name: &str, reference: &'r [Component]) -> Option<&'r [Component]> {
    match reference.split_first() {
        Some((Component::Name(first), rest)) if **first == *name && !rest.is_empty() => Some(rest),
        _ => None,
    }
}

/// A list's element; negative indices count from the end. Not a number or too large: none.
fn element<'v>(items: &'v [Value], index: &str) -> Result<Option<&'v Value>, Error> {
    let Some(Integer::Small(index)) = Integer::parse(index) else {
        return Ok(None);
    };
    let length = items.len() as i64;
    if index < -length {
        return Err(Error::interpolation(format!(
            "[{index}] reaches before the start of a list of {length}"
        ))
        .because(Cause::Index));
    }
    let position = if index < 0 { index + length } else { index };
    Ok(usize::try_from(position).ok().and_then(|position| items.get(position)))
}

/// Turns `{{&x}}` into `{{x}}`.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for token in Tokens::new(text) {
        match token {
            Token::Plain(plain) => out.push_str(plain),
            Token::Reference { whole, .. } => out.push_str(whole),
            Token::Escape { inner, .. } => {
                out.push_str("{{");
                out.push_str(inner);
                out.push_str("}}");
            }
        }
    }
    out
}
