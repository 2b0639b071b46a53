//! The Python classes of the configuration language's types, and what the prelude defines.
//!
//! Classes are made when they are first needed and found again by their type, so that an attribute of
//! type Process is an instance of the Process that the file knows. One interpreter lives in one
//! thread; what belongs to it is kept there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use aurora_schema::error::{Cause, Error, Fault};
use aurora_schema::types::{EnumType, Field, Presence, StructType, Type};
use aurora_schema::value::Value;
use aurora_schema::{schema, wording};
use rustpython_vm as vm;
use vm::builtins::{PyBaseExceptionRef, PyDict, PyStr, PyType, PyTypeRef};
use vm::class::StaticType;
use vm::{AsObject, PyObject, PyObjectRef, PyResult, VirtualMachine};

use crate::convert;
use crate::object::{Object, wrap};

/// How deep types may be nested: `List(List(…))`.
const MAX_DEPTH: usize = 50;

#[derive(Default)]
struct Registry {
    /// Types by the address of their class.
    types: HashMap<usize, (PyTypeRef, Type)>,
    /// Classes by the address of their type; the type stays alive with `types`.
    classes: HashMap<usize, PyTypeRef>,
    /// Classes by the name of their type, to find equal types that are not the same.
    named: HashMap<String, Vec<(Type, PyTypeRef)>>,
    /// What the prelude defined, by name.
    helpers: HashMap<String, PyObjectRef>,
    /// Names of files, to be shared by everything made in them.
    files: HashMap<String, Arc<str>>,
}

thread_local! {
    static REGISTRY: RefCell<Registry> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Registry) -> T) -> T {
    REGISTRY.with(|registry| work(&mut registry.borrow_mut()))
}

/// The name of a file as something to share.
pub(crate) fn shared_name(path: &str) -> Arc<str> {
    with(|registry| match registry.files.get(path) {
        Some(name) => Arc::clone(name),
        None => {
            let name: Arc<str> = path.into();
            registry.files.insert(path.to_owned(), Arc::clone(&name));
            name
        }
    })
}

/// Takes over what the prelude defined.
pub(crate) fn set_helpers(names: &PyDict) {
    let entries = names.items_vec();
    with(|registry| {
        for (name, object) in entries {
            if let Some(name) = name.downcast_ref::<PyStr>() {
                registry.helpers.insert(name.as_wtf8().to_string_lossy().into_owned(), object);
            }
        }
    });
}

/// Something that the prelude defined.
pub(crate) fn helper(name: &str, vm: &VirtualMachine) -> PyResult {
    let found = with(|registry| registry.helpers.get(name).cloned());
    found.ok_or_else(|| vm.new_runtime_error(format!("{name} is not defined yet")))
}

/// Whether this is the `Empty` of the language.
pub(crate) fn is_empty(object: &PyObject) -> bool {
    let empty = with(|registry| registry.helpers.get("Empty").cloned());
    empty.is_some_and(|empty| empty.is(object))
}

/// An exception of a class that the prelude defined.
pub(crate) fn exception(
    class: &str,
    message: impl Into<String>,
    vm: &VirtualMachine,
) -> PyBaseExceptionRef {
    let message: String = message.into();
    match helper(class, vm).map(PyObjectRef::downcast::<PyType>) {
        Ok(Ok(class)) => vm.new_exception_msg(class, message.into()),
        _ => vm.new_value_error(message),
    }
}

/// A mistake found by the schema, as the exception that the language has for it.
pub(crate) fn raise(error: &Error, vm: &VirtualMachine) -> PyBaseExceptionRef {
    let message = wording::message(error);
    match error.cause() {
        Some(Cause::Coercion { .. } | Cause::NoAlternative { .. }) => {
            exception("CoercionError", message, vm)
        }
        Some(Cause::UnknownAttribute(_)) => vm.new_attribute_error(message),
        Some(Cause::BadReference(_)) => exception("InvalidRefError", message, vm),
        Some(Cause::Endless(_)) => exception("Uninterpolatable", message, vm),
        Some(Cause::Index) => vm.new_index_error(message),
        Some(Cause::Overflow) => vm.new_overflow_error(message),
        Some(Cause::Required | Cause::Unresolved { .. }) => vm.new_value_error(message),
        None => match error.fault() {
            Fault::Interpolation => exception("Uninterpolatable", message, vm),
            Fault::Schema => vm.new_value_error(message),
        },
    }
}

/// The address of a type that is shared; scalars have none.
fn address(ty: &Type) -> Option<usize> {
    Some(match ty {
        Type::String | Type::Integer | Type::Float | Type::Boolean => return None,
        Type::Enum(ty) => Arc::as_ptr(ty) as usize,
        Type::List(ty) => Arc::as_ptr(ty) as usize,
        Type::Map(ty) => Arc::as_ptr(ty) as usize,
        Type::Choice(ty) => Arc::as_ptr(ty) as usize,
        Type::Struct(ty) => Arc::as_ptr(ty) as usize,
    })
}

/// The type that a class stands for, or the class it is derived from.
pub(crate) fn type_of_class(class: &PyTypeRef, vm: &VirtualMachine) -> PyResult<Type> {
    let find = |class: &PyTypeRef| {
        with(|registry| registry.types.get(&class.get_id()).map(|(_, ty)| ty.clone()))
    };
    if let Some(ty) = find(class) {
        return Ok(ty);
    }
    let parents = class.mro_collect();
    parents.iter().find_map(find).ok_or_else(|| {
        vm.new_type_error(format!("{} is not a type that values can be made of", class.name()))
    })
}

/// The type that an object stands for when types are combined: `List(String)`.
pub(crate) fn type_argument(object: &PyObject, vm: &VirtualMachine) -> PyResult<Type> {
    if let Some(class) = object.downcast_ref::<PyType>()
        && let Ok(ty) = type_of_class(&class.to_owned(), vm)
    {
        return Ok(ty);
    }
    let printed = object.repr(vm)?;
    Err(vm.new_value_error(format!("{} is not a type", printed.as_wtf8())))
}

/// Whether an object is a class that stands for a type.
pub(crate) fn is_type(object: &PyObject, vm: &VirtualMachine) -> bool {
    type_argument(object, vm).is_ok()
}

/// The class of a type.
pub(crate) fn class_of(ty: &Type, vm: &VirtualMachine) -> PyResult<PyTypeRef> {
    if let Some(address) = address(ty)
        && let Some(class) = with(|registry| registry.classes.get(&address).cloned())
    {
        return Ok(class);
    }
    let name = ty.to_string();
    let known = with(|registry| {
        let known = registry.named.get(&name)?;
        known.iter().find(|(known, _)| known == ty).map(|(_, class)| class.clone())
    });
    // Enumerations that were declared apart are different even if they look the same.
    match known {
        Some(class) if !matches!(ty, Type::Enum(_)) => Ok(class),
        _ => make_class(ty, vm.ctx.new_dict().into(), vm),
    }
}

fn depth(ty: &Type) -> usize {
    match ty {
        Type::List(ty) => 1 + depth(&ty.element),
        Type::Map(ty) => 1 + depth(&ty.key).max(depth(&ty.value)),
        Type::Choice(ty) => 1 + ty.alternatives.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A new class for a type, with additional attributes.
fn make_class(ty: &Type, attributes: PyObjectRef, vm: &VirtualMachine) -> PyResult<PyTypeRef> {
    if depth(ty) > MAX_DEPTH {
        return Err(vm.new_value_error(format!("types are nested more than {MAX_DEPTH} deep")));
    }
    let name = ty.to_string();
    let base = helper("Object", vm).unwrap_or_else(|_| Object::static_type().to_owned().into());
    let bases = vm.ctx.new_tuple(vec![base]);
    let kind: PyObjectRef = match ty {
        Type::Struct(_) => helper("StructMetaclass", vm)?,
        _ => vm.ctx.types.type_type.to_owned().into(),
    };
    let make = vm.ctx.types.type_type.to_owned();
    let make = make.as_object().get_attr("__new__", vm)?;
    let class = make.call((kind, vm.ctx.new_str(&*name), bases, attributes), vm)?;
    let class = class
        .downcast::<PyType>()
        .map_err(|_| vm.new_runtime_error("a class is no class".to_owned()))?;
    with(|registry| {
        registry.types.insert(class.get_id(), (class.clone(), ty.clone()));
        if let Some(address) = address(ty) {
            registry.classes.insert(address, class.clone());
        }
        registry.named.entry(name).or_default().push((ty.clone(), class.clone()));
    });
    Ok(class)
}

/// The name of the field signature's parts, as the prelude has them.
fn field(name: &str, object: &PyObject, vm: &VirtualMachine) -> PyResult<Option<Field>> {
    if object.downcast_ref::<PyType>().is_some() && is_type(object, vm) {
        return Ok(Some(Field::optional(name, type_argument(object, vm)?)));
    }
    let signature = helper("TypeSignature", vm)?;
    if !object.is_instance(&signature, vm)? {
        return Ok(None);
    }
    let ty = type_argument(&*object.get_attr("ty", vm)?, vm)?;
    if object.get_attr("required", vm)?.try_to_bool(vm)? {
        return Ok(Some(Field::required(name, ty)));
    }
    let default = object.get_attr("default", vm)?;
    if is_empty(&default) {
        return Ok(Some(Field::optional(name, ty)));
    }
    let default = convert::coerce(&ty, &default, vm)?;
    Ok(Some(Field::new(name, ty, Presence::Default(default))))
}

/// A struct from the body of a class statement. What is neither a type nor a field signature is
/// dropped.
pub(crate) fn define_struct(
    name: String,
    body: &PyDict,
    vm: &VirtualMachine,
) -> PyResult<PyTypeRef> {
    let mut fields = Vec::new();
    for (key, object) in body.items_vec() {
        if let Some(key) = key.downcast_ref::<PyStr>()
            && let Some(field) = field(&key.as_wtf8().to_string_lossy(), &object, vm)?
        {
            fields.push(field);
        }
    }
    let ty = Type::Struct(StructType::new(&name, fields));
    // A file that is included twice declares the same struct twice.
    class_of(&ty, vm)
}

/// A class derived from a struct: the same attributes under another name. What its body adds stays an
/// ordinary attribute of the class.
pub(crate) fn derive_struct(
    name: &str,
    parent: &PyObject,
    body: PyObjectRef,
    vm: &VirtualMachine,
) -> PyResult<PyTypeRef> {
    let Type::Struct(ty) = type_argument(parent, vm)? else {
        return Err(vm.new_type_error("only structs can be derived from".to_owned()));
    };
    make_class(&Type::Struct(StructType::new(name, ty.fields().to_vec())), body, vm)
}

/// A type as nested tuples.
pub(crate) fn serialize(ty: &Type, vm: &VirtualMachine) -> PyResult {
    let text = |text: &str| -> PyObjectRef { vm.ctx.new_str(text).into() };
    let parts = match ty {
        Type::String | Type::Integer | Type::Float | Type::Boolean => vec![text(&ty.to_string())],
        Type::Enum(ty) => {
            let words = ty.words().map(text).collect();
            vec![text("Enum"), text(ty.name()), vm.ctx.new_tuple(words).into()]
        }
        Type::List(ty) => vec![text("List"), serialize(&ty.element, vm)?],
        Type::Map(ty) => vec![text("Map"), serialize(&ty.key, vm)?, serialize(&ty.value, vm)?],
        Type::Choice(choice) => {
            let alternatives = choice.alternatives.iter().map(|ty| serialize(ty, vm));
            let alternatives = alternatives.collect::<PyResult<Vec<_>>>()?;
            vec![text("Choice"), text(&ty.to_string()), vm.ctx.new_tuple(alternatives).into()]
        }
        Type::Struct(ty) => {
            let mut parts = vec![text("Struct"), text(ty.name())];
            for field in ty.fields() {
                let (required, default) = match field.presence() {
                    Presence::Optional => (false, None),
                    Presence::Required => (true, None),
                    Presence::Default(value) => (false, Some(value)),
                };
                let default_object = match default {
                    Some(value) => convert::plain(value, vm)?,
                    None => vm.ctx.new_dict().into(),
                };
                let details = vec![
                    vm.ctx.new_bool(required).into(),
                    default_object,
                    vm.ctx.new_bool(default.is_none()).into(),
                    serialize(field.ty(), vm)?,
                ];
                let details = vm.ctx.new_tuple(details).into();
                parts.push(vm.ctx.new_tuple(vec![text(field.name()), details]).into());
            }
            parts
        }
    };
    Ok(vm.ctx.new_tuple(parts).into())
}

/// The attributes of a struct with their signatures, for those who look.
pub(crate) fn type_map(class: &PyObject, vm: &VirtualMachine) -> PyResult {
    let dict = vm.ctx.new_dict();
    if let Type::Struct(ty) = type_argument(class, vm)? {
        let signature = helper("TypeSignature", vm)?;
        for field in ty.fields() {
            let class: PyObjectRef = class_of(field.ty(), vm)?.into();
            let (required, default) = match field.presence() {
                Presence::Required => (true, helper("Empty", vm)?),
                Presence::Optional => (false, helper("Empty", vm)?),
                Presence::Default(value) => (false, wrap(Value::clone(value), vm)?),
            };
            let required = vm.ctx.new_bool(required);
            dict.set_item(field.name(), signature.call((class, required, default), vm)?, vm)?;
        }
    }
    Ok(dict.into())
}

/// An enumeration. Each is a class of its own, even with the words of another.
pub(crate) fn enumeration(name: &str, words: Vec<Box<str>>, vm: &VirtualMachine) -> PyResult {
    Ok(make_class(&Type::Enum(EnumType::new(name, words)), vm.ctx.new_dict().into(), vm)?.into())
}

/// The classes that every file sees, by name: scalars, and the schema's structs and enumerations.
pub(crate) fn standard(vm: &VirtualMachine) -> PyResult<Vec<(String, PyObjectRef)>> {
    let mut names: Vec<(String, PyObjectRef)> = Vec::new();
    for ty in [Type::String, Type::Integer, Type::Float, Type::Boolean] {
        names.push((ty.to_string(), class_of(&ty, vm)?.into()));
    }
    for ty in schema::all() {
        let class = class_of(&Type::Struct(Arc::clone(ty)), vm)?;
        names.push((ty.name().to_owned(), class.into()));
        for field in ty.fields() {
            if let Type::Enum(words) = field.ty() {
                let class = class_of(field.ty(), vm)?;
                names.push((words.name().to_owned(), class.into()));
            }
        }
    }
    Ok(names)
}
