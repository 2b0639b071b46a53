//! Between Python's values and those of the configuration language.
//!
//! Source of behaviour: Aurora configuration reference, "Lazy coercion", "Construction and calls",
//! "List", "Map", "Enum", "Choice".

use std::sync::Arc;

use aurora_schema::error::suggestion as suggest;
use aurora_schema::json::Json;
use aurora_schema::number::{self, Integer};
use aurora_schema::template::is_templated;
use aurora_schema::types::{ChoiceType, ListType, MapType, StructType, Type};
use aurora_schema::value::{Origin, Raw, Value};
use rustpython_vm as vm;
use vm::builtins::{PyDict, PyFloat, PyInt, PyList, PyStr, PyTuple};
use vm::function::FuncArgs;
use vm::{AsObject, PyObject, PyObjectRef, PyResult, VirtualMachine};

use crate::classes::{self, raise};
use crate::object::{text, value_of};

/// Sources of our own, whose frames are not the user's, are named like this.
pub(crate) fn is_own(path: &str) -> bool {
    path.starts_with('<')
}

/// Where the user's code is right now.
pub(crate) fn here(vm: &VirtualMachine) -> Option<Origin> {
    let mut frame = vm.current_frame();
    while let Some(current) = frame {
        let path = current.code.source_path().as_wtf8().to_string_lossy();
        if !is_own(&path) {
            let location = current.current_location();
            return Some(Origin {
                file: classes::shared_name(&path),
                line: location.line.get() as u32,
                column: location.character_offset.get() as u32,
            });
        }
        frame = current.f_back(vm);
    }
    None
}

/// `; did you mean "x"?`, or nothing.
pub(crate) fn suggestion(name: &str, known: &[String]) -> String {
    suggest(name, known.iter().map(String::as_str))
}

/// An argument that must be text.
pub(crate) fn text_argument(object: &PyObject, vm: &VirtualMachine) -> PyResult<String> {
    match object.downcast_ref::<PyStr>() {
        Some(text) => Ok(text.as_wtf8().to_string_lossy().into_owned()),
        None => {
            let class = object.class().name().to_string();
            Err(vm.new_type_error(format!("expected a string, got '{class}'")))
        }
    }
}

/// The content of a scalar. What is neither text nor number is only kept as its printed form, and
/// fits no type.
fn raw(object: &PyObject, vm: &VirtualMachine) -> PyResult<Raw> {
    if let Some(text) = object.downcast_ref::<PyStr>() {
        return Ok(Raw::Text(text.as_wtf8().to_string_lossy().as_ref().into()));
    }
    if let Some(integer) = object.downcast_ref::<PyInt>() {
        let big = integer.as_bigint();
        if object.class().is(vm.ctx.types.bool_type) {
            return Ok(Raw::Bool(big.sign() != num_bigint::Sign::NoSign));
        }
        let small = i64::try_from(big).ok().map(Integer::Small);
        return Ok(match small.or_else(|| Integer::parse(&big.to_string())) {
            Some(integer) => Raw::Integer(integer),
            None => Raw::Foreign("a number with thousands of digits".into()),
        });
    }
    if let Some(float) = object.downcast_ref::<PyFloat>() {
        return Ok(Raw::Float(float.to_f64()));
    }
    if vm.is_none(object) {
        return Ok(Raw::Foreign("None".into()));
    }
    Ok(Raw::Foreign(object.str(vm)?.as_wtf8().to_string_lossy().as_ref().into()))
}

/// What a type's attribute, element or key is made of: a value of the type as it is, everything else
/// through the type's constructor.
pub(crate) fn coerce(ty: &Type, object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    if let Some(value) = value_of(object)
        && value.ty() == *ty
    {
        return Ok(value.clone());
    }
    made_of(ty, object, vm)
}

/// What the constructor of a type makes of one argument.
fn made_of(ty: &Type, object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    match ty {
        Type::String | Type::Integer | Type::Float | Type::Boolean => {
            Ok(Value::scalar(ty.clone(), raw(object, vm)?))
        }
        Type::Enum(words) => {
            let raw = raw(object, vm)?;
            let known = match &raw {
                Raw::Text(text) => is_templated(text) || words.contains(text),
                _ => false,
            };
            if known {
                return Ok(Value::scalar(ty.clone(), raw));
            }
            let words: Vec<&str> = words.words().collect();
            Err(vm.new_value_error(format!(
                "{ty} only accepts the following values: {}",
                words.join(", ")
            )))
        }
        Type::List(list) => list_of(list, object, vm),
        Type::Map(map) => map_of(map, &[object.to_owned()], vm),
        Type::Choice(choice) => choice_of(choice, object, vm),
        Type::Struct(structure) => {
            let mut attributes = Attributes::new(structure);
            attributes.set_all(object, vm)?;
            attributes.finish(here(vm).as_ref(), vm)
        }
    }
}

/// A type called like a function.
pub(crate) fn construct(ty: &Type, args: FuncArgs, vm: &VirtualMachine) -> PyResult<Value> {
    match ty {
        Type::Struct(structure) => {
            let mut attributes = Attributes::new(structure);
            for object in &args.args {
                attributes.set_all(object, vm)?;
            }
            for (name, object) in &args.kwargs {
                attributes.set(name, object, vm)?;
            }
            attributes.finish(here(vm).as_ref(), vm)
        }
        Type::Map(map) if args.kwargs.is_empty() => map_of(map, &args.args, vm),
        _ => match (args.args.as_slice(), args.kwargs.is_empty()) {
            ([object], true) => made_of(ty, object, vm),
            _ => Err(vm.new_type_error(format!(
                "{ty} is made of one value, got {}",
                args.args.len() + args.kwargs.len()
            ))),
        },
    }
}

/// What these give was a list in Python 2, and files use it as one.
fn is_list_in_python2(object: &PyObject) -> bool {
    matches!(
        &*object.class().name(),
        "map" | "filter" | "zip" | "range" | "dict_keys" | "dict_values" | "dict_items"
    )
}

fn list_of(ty: &Arc<ListType>, object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    let elements = match (object.downcast_ref::<PyList>(), object.downcast_ref::<PyTuple>()) {
        (Some(list), _) => list.borrow_vec().to_vec(),
        (_, Some(tuple)) => tuple.as_slice().to_vec(),
        _ if is_list_in_python2(object) => vm.extract_elements_with(object, Ok)?,
        _ => {
            let printed = object.repr(vm)?;
            let printed = printed.as_wtf8().to_string_lossy();
            let lazy = matches!(
                &*object.class().name(),
                "generator" | "reversed" | "enumerate" | "chain" | "islice"
            );
            if lazy {
                return Err(vm.new_type_error(format!(
                    "ListContainer expects an iterable, got {printed}: it is not a list yet, write \
                     list(...) around it"
                )));
            }
            return Err(
                vm.new_value_error(format!("ListContainer expects an iterable, got {printed}"))
            );
        }
    };
    let items = elements.iter().map(|element| coerce(&ty.element, element, vm));
    let items = items.collect::<PyResult<Vec<Value>>>()?;
    Value::list(ty, items).map_err(|error| raise(&error, vm))
}

fn map_of(ty: &Arc<MapType>, objects: &[PyObjectRef], vm: &VirtualMachine) -> PyResult<Value> {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    if let [object] = objects
        && let Some(dict) = object.downcast_ref::<PyDict>()
    {
        for (key, value) in dict.items_vec() {
            entries.push((coerce(&ty.key, &key, vm)?, coerce(&ty.value, &value, vm)?));
        }
    } else {
        for pair in objects {
            let parts: Option<Vec<PyObjectRef>> = vm.extract_elements_with(pair, Ok).ok();
            let Some([key, value]) = parts.as_deref() else {
                let printed = pair.repr(vm)?;
                return Err(vm.new_value_error(format!(
                    "Unexpected input to MapContainer: {}",
                    printed.as_wtf8()
                )));
            };
            entries.push((coerce(&ty.key, key, vm)?, coerce(&ty.value, value, vm)?));
        }
    }
    Value::map(ty, entries).map_err(|error| raise(&error, vm))
}

/// Alternatives are tried in order. A plain object whose attributes the first struct does not know is
/// not tried further; like everything about choices, that comes out when the value is used.
fn choice_of(ty: &Arc<ChoiceType>, object: &PyObject, vm: &VirtualMachine) -> PyResult<Value> {
    if let Some(value) = value_of(object)
        && ty.alternatives.contains(&value.ty())
    {
        return Value::choice(ty, value.clone()).map_err(|error| raise(&error, vm));
    }
    let raw = raw(object, vm)?;
    if !matches!(raw, Raw::Foreign(_)) {
        return Ok(Value::open_choice(ty, raw));
    }
    for alternative in ty.alternatives.iter().filter(|ty| !ty.is_scalar()) {
        match coerce(alternative, object, vm) {
            Ok(value) => {
                return Value::choice(ty, value).map_err(|error| raise(&error, vm));
            }
            Err(error) if error.class().is(vm.ctx.exceptions.attribute_error) => {
                let message = error.as_object().str(vm)?.as_wtf8().to_string_lossy().into_owned();
                let name = message.rsplit(' ').next().unwrap_or_default();
                return Ok(Value::unfit_choice(ty, raw, alternative, name));
            }
            Err(_) => {}
        }
    }
    Ok(Value::open_choice(ty, raw))
}

/// Attributes given to a struct, later ones over earlier ones.
pub(crate) struct Attributes<'t> {
    ty: &'t Arc<StructType>,
    given: Vec<(usize, Option<Value>)>,
}

impl<'t> Attributes<'t> {
    /// None yet.
    pub(crate) fn new(ty: &'t Arc<StructType>) -> Attributes<'t> {
        Attributes { ty, given: Vec::new() }
    }

    /// Those of a dictionary.
    fn set_all(&mut self, object: &PyObject, vm: &VirtualMachine) -> PyResult<()> {
        let Some(dict) = object.downcast_ref::<PyDict>() else {
            let printed = object.repr(vm)?;
            return Err(vm.new_value_error(format!(
                "Expected dictionary argument, got {}{}",
                printed.as_wtf8(),
                self.hint(object)
            )));
        };
        for (name, object) in dict.items_vec() {
            let name = match name.downcast_ref::<PyStr>() {
                Some(name) => name.as_wtf8().to_string_lossy().into_owned(),
                None => name.str(vm)?.as_wtf8().to_string_lossy().into_owned(),
            };
            self.set(&name, &object, vm)?;
        }
        Ok(())
    }

    /// What was probably meant by something that is no dictionary.
    fn hint(&self, object: &PyObject) -> String {
        match value_of(object).map(Value::ty) {
            Some(Type::Struct(other)) if other.name() == self.ty.name() => {
                format!(" (there are two different structs named {})", other.name())
            }
            Some(other) => format!(" (a {other} is not a {})", self.ty.name()),
            None => format!(" (a {} is made with NAME=VALUE arguments)", self.ty.name()),
        }
    }

    /// One attribute. `Empty` unsets it.
    pub(crate) fn set(
        &mut self,
        name: &str,
        object: &PyObject,
        vm: &VirtualMachine,
    ) -> PyResult<()> {
        let Some(position) = self.ty.position(name) else {
            let error = vm.new_attribute_error(format!("Unknown schema attribute {name}"));
            let known = self.ty.fields().iter().map(|field| field.name());
            let hint = suggest(name, known);
            if let Some(hint) = hint.strip_prefix("; ") {
                let help =
                    vm.ctx.new_str(format!("{} has no such attribute; {hint}", self.ty.name()));
                error.as_object().set_attr("help", help, vm)?;
            }
            return Err(error);
        };
        let value = if classes::is_empty(object) {
            None
        } else {
            Some(coerce(self.ty.fields()[position].ty(), object, vm)?)
        };
        self.given.push((position, value));
        Ok(())
    }

    fn named(&self) -> impl Iterator<Item = (&str, Option<Value>)> {
        self.given
            .iter()
            .map(|(position, value)| (self.ty.fields()[*position].name(), value.clone()))
    }

    /// The struct, made here.
    fn finish(&self, origin: Option<&Origin>, vm: &VirtualMachine) -> PyResult<Value> {
        let value = Value::structure(self.ty, self.named());
        Ok(value.map_err(|error| raise(&error, vm))?.made_at(origin))
    }

    /// A copy of a struct with these attributes.
    pub(crate) fn replace_in(
        &self,
        value: &Value,
        origin: Option<&Origin>,
        vm: &VirtualMachine,
    ) -> PyResult<Value> {
        let value = value.with_attributes(self.named());
        Ok(value.map_err(|error| raise(&error, vm))?.made_at(origin))
    }
}

/// A value's content as plain Python: scalars as they were given, structs and maps as dictionaries
/// that can be hashed, lists as tuples.
pub(crate) fn plain(value: &Value, vm: &VirtualMachine) -> PyResult {
    if let Some((inner, open)) = value.chosen() {
        if open {
            let done = aurora_schema::interpolate::interpolate(value, &Default::default())
                .map_err(|error| raise(&error, vm))?;
            return match done.value.chosen() {
                Some((inner, _)) => plain(inner, vm),
                None => Ok(vm.ctx.none()),
            };
        }
        return plain(inner, vm);
    }
    if let Some(raw) = value.raw() {
        return Ok(match raw {
            Raw::Null => vm.ctx.none(),
            Raw::Bool(value) => vm.ctx.new_bool(*value).into(),
            Raw::Integer(value) => integer(value, vm),
            Raw::Float(value) => vm.ctx.new_float(*value).into(),
            Raw::Text(text) => vm.ctx.new_str(&**text).into(),
            Raw::Foreign(form) if **form == *"None" => vm.ctx.none(),
            Raw::Foreign(form) => vm.ctx.new_str(&**form).into(),
        });
    }
    if let Some(items) = value.items() {
        let items = items.iter().map(|item| plain(item, vm)).collect::<PyResult<Vec<_>>>()?;
        return Ok(vm.ctx.new_tuple(items).into());
    }
    let dict = vm.ctx.new_dict();
    if let Some(entries) = value.entries() {
        for (key, value) in entries {
            dict.set_item(&*plain(key, vm)?, plain(value, vm)?, vm)?;
        }
    }
    if let Some(attributes) = value.as_struct() {
        for (position, attribute) in attributes.set() {
            let name = attributes.ty().fields()[position].name();
            dict.set_item(name, plain(attribute, vm)?, vm)?;
        }
    }
    classes::helper("frozendict", vm)?.call((dict,), vm)
}

fn integer(value: &Integer, vm: &VirtualMachine) -> PyObjectRef {
    match value {
        Integer::Small(small) => vm.ctx.new_int(*small).into(),
        Integer::Big(digits) => match digits.parse::<num_bigint::BigInt>() {
            Ok(big) => vm.ctx.new_bigint(&big).into(),
            Err(_) => vm.ctx.none(),
        },
    }
}

/// Whether two interpolated values are equal: of one type and with equal content. Structs need the
/// same attributes, not the same name; enumerations that were declared apart are always different.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    if let (Some((a, _)), Some((b, _))) = (a.chosen(), b.chosen()) {
        return equal(a, b);
    }
    match (a.ty(), b.ty()) {
        (Type::Enum(a_ty), Type::Enum(b_ty)) => Arc::ptr_eq(&a_ty, &b_ty) && a.raw() == b.raw(),
        (Type::Struct(a_ty), Type::Struct(b_ty)) => {
            let (Some(a), Some(b)) = (a.as_struct(), b.as_struct()) else {
                return false;
            };
            let same = Arc::ptr_eq(&a_ty, &b_ty) || a_ty.fields() == b_ty.fields();
            same && (0..a_ty.fields().len()).all(|position| {
                match (a.get(position), b.get(position)) {
                    (Some(a), Some(b)) => equal(a, b),
                    (None, None) => true,
                    _ => false,
                }
            })
        }
        (Type::List(a_ty), Type::List(b_ty)) => {
            let (a, b) = (a.items().unwrap_or_default(), b.items().unwrap_or_default());
            a_ty == b_ty && a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Type::Map(a_ty), Type::Map(b_ty)) => {
            let (a, b) = (a.entries().unwrap_or_default(), b.entries().unwrap_or_default());
            let mut pairs = a.iter().zip(b);
            a_ty == b_ty
                && a.len() == b.len()
                && pairs.all(|(a, b)| equal(&a.0, &b.0) && equal(&a.1, &b.1))
        }
        (a_ty, b_ty) => a_ty == b_ty && a.raw() == b.raw(),
    }
}

/// A JSON document as Python has it.
pub(crate) fn from_json(json: &Json, vm: &VirtualMachine) -> PyResult {
    Ok(match json {
        Json::Null => vm.ctx.none(),
        Json::Bool(value) => vm.ctx.new_bool(*value).into(),
        Json::Integer(value) => integer(value, vm),
        Json::Float(value) => vm.ctx.new_float(*value).into(),
        Json::Text(text) => vm.ctx.new_str(&**text).into(),
        Json::Array(elements) => {
            let elements = elements.iter().map(|element| from_json(element, vm));
            vm.ctx.new_list(elements.collect::<PyResult<Vec<_>>>()?).into()
        }
        Json::Object(members) => {
            let dict = vm.ctx.new_dict();
            for (name, member) in members {
                dict.set_item(&**name, from_json(member, vm)?, vm)?;
            }
            dict.into()
        }
    })
}

/// What binds: text and numbers by their text, values as they are.
pub(crate) enum Bound {
    /// A text or number as text.
    Text(Arc<str>),
    /// A value.
    Value(Value),
}

/// The text or value that an environment can hold; `None` for anything else.
pub(crate) fn bound(object: &PyObject, vm: &VirtualMachine) -> PyResult<Option<Bound>> {
    if let Some(value) = value_of(object) {
        return Ok(Some(Bound::Value(value.clone())));
    }
    Ok(match raw(object, vm)? {
        Raw::Foreign(_) | Raw::Null => None,
        Raw::Text(text) => Some(Bound::Text(text)),
        Raw::Float(float) => Some(Bound::Text(number::float_text(float).into())),
        other => Some(Bound::Text(text(&Value::scalar(Type::String, other), vm)?)),
    })
}
