//! Values of the configuration language as Python objects.
//!
//! There is one native class, [`Object`], which holds a value of [`aurora_schema`]; every type is a
//! Python subclass of it (see [`crate::classes`]). Everything that a value can do is done by the
//! schema; here it is only spelled in Python.
//!
//! Source of behaviour: Aurora configuration reference, "Operations every value has", "Access",
//! "Containers, enums, choices", "Text, equality, JSON, errors".

use std::sync::Arc;

use aurora_schema::interpolate::{Interpolated, Limits, interpolate, interpolate_part, text_of};
use aurora_schema::json::{self, Json};
use aurora_schema::scope::Scope;
use aurora_schema::types::Type;
use aurora_schema::value::{Strictness, Value};
use aurora_schema::wording;
use rustpython_vm as vm;
use vm::builtins::{PyStr, PyStrRef, PyTypeRef};
use vm::common::hash::PyHash;
use vm::common::lock::LazyLock;
use vm::function::{FuncArgs, PyComparisonValue};
use vm::protocol::{PyMappingMethods, PyNumberMethods, PySequenceMethods};
use vm::types::{
    AsMapping, AsNumber, AsSequence, Callable, Comparable, Constructor, GetAttr, Hashable,
    Iterable, PyComparisonOp, Representable,
};
use vm::{
    AsObject, FromArgs, Py, PyObject, PyObjectRef, PyPayload, PyRef, PyResult, VirtualMachine,
    atomic_func, pyclass,
};

use crate::classes::{self, raise};
use crate::convert::{self, Attributes};
use crate::environment::scopes;

/// A value of the configuration language.
#[pyclass(module = "pystachio", name = "Object")]
#[derive(Debug, PyPayload)]
pub(crate) struct Object {
    pub(crate) value: Value,
}

/// What `json_loads` is given.
#[derive(FromArgs)]
struct JsonSource {
    #[pyarg(any)]
    text: PyObjectRef,
    /// Unknown attributes are mistakes.
    #[pyarg(any, default = false)]
    strict: bool,
}

/// The value as an instance of its type's class.
pub(crate) fn wrap(value: Value, vm: &VirtualMachine) -> PyResult {
    let class = classes::class_of(&value.ty(), vm)?;
    of_class(value, class, vm)
}

fn of_class(value: Value, class: PyTypeRef, vm: &VirtualMachine) -> PyResult {
    Object { value }.into_ref_with_type(vm, class).map(Into::into)
}

/// The value behind a Python object, if it is one.
pub(crate) fn value_of(object: &PyObject) -> Option<&Value> {
    object.downcast_ref::<Object>().map(|object| &object.value)
}

/// A value's text, its references replaced.
pub(crate) fn text(value: &Value, vm: &VirtualMachine) -> PyResult<Arc<str>> {
    text_of(value, &Limits::default()).map_err(|error| raise(&error, vm))
}

fn done(value: &Value, vm: &VirtualMachine) -> PyResult<Interpolated> {
    interpolate(value, &Limits::default()).map_err(|error| raise(&error, vm))
}

/// A part of a struct, list or map as it is seen from inside.
fn part(container: &Value, part: &Value, vm: &VirtualMachine) -> PyResult {
    let done = interpolate_part(container, part, &Limits::default());
    wrap(done.map_err(|error| raise(&error, vm))?.value, vm)
}

#[pyclass(
    with(
        Constructor,
        Callable,
        GetAttr,
        Comparable,
        Hashable,
        Representable,
        Iterable,
        AsNumber,
        AsMapping,
        AsSequence
    ),
    flags(BASETYPE, HAS_DICT)
)]
impl Object {
    #[pyslot]
    fn slot_str(zelf: &PyObject, vm: &VirtualMachine) -> PyResult<PyStrRef> {
        match value_of(zelf) {
            Some(value) => Ok(vm.ctx.new_str(&*text(value, vm)?)),
            None => zelf.repr(vm),
        }
    }

    #[pymethod]
    fn bind(zelf: PyRef<Self>, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
        let value = zelf.value.bind(scopes(&args, vm)?);
        of_class(value, zelf.class().to_owned(), vm)
    }

    #[pymethod]
    fn in_scope(zelf: PyRef<Self>, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
        let value = zelf.value.in_scope(scopes(&args, vm)?);
        of_class(value, zelf.class().to_owned(), vm)
    }

    #[pymethod]
    fn copy(zelf: PyRef<Self>, vm: &VirtualMachine) -> PyResult {
        of_class(zelf.value.clone(), zelf.class().to_owned(), vm)
    }

    #[pymethod]
    fn scopes(&self, vm: &VirtualMachine) -> PyResult {
        let scopes = self.value.scopes().iter().map(|scope| match scope {
            Scope::Value(value) => wrap(value.clone(), vm),
            Scope::Environment(environment) => {
                Ok(crate::environment::wrap(Arc::clone(environment), vm))
            }
            // What only the language makes has no form of its own.
            Scope::Attributes(_) | Scope::Under(..) => {
                Ok(crate::environment::wrap(Arc::default(), vm))
            }
        });
        let scopes = scopes.collect::<PyResult<Vec<_>>>()?;
        Ok(vm.ctx.new_tuple(scopes).into())
    }

    #[pymethod]
    fn interpolate(zelf: PyRef<Self>, vm: &VirtualMachine) -> PyResult {
        let Interpolated { value, unbound, .. } = done(&zelf.value, vm)?;
        let value = of_class(value, zelf.class().to_owned(), vm)?;
        let reference = classes::helper("Ref", vm)?;
        let unbound = unbound.keys().map(|address| {
            let address = vm.ctx.new_str(address.to_string());
            vm.call_method(&reference, "from_address", (address,))
        });
        let unbound = vm.ctx.new_list(unbound.collect::<PyResult<Vec<_>>>()?);
        Ok(vm.ctx.new_tuple(vec![value, unbound.into()]).into())
    }

    #[pymethod]
    fn check(&self, vm: &VirtualMachine) -> PyResult {
        use aurora_schema::error::Cause;
        let failure = match self.value.check() {
            Ok(()) => String::new(),
            Err(error)
                if matches!(error.cause(), Some(Cause::BadReference(_) | Cause::Overflow)) =>
            {
                return Err(raise(&error, vm));
            }
            Err(error) => wording::check_message(&self.value.ty(), &error),
        };
        classes::helper("TypeCheck", vm)?.call((failure.is_empty(), failure), vm)
    }

    #[pymethod]
    fn get(&self, vm: &VirtualMachine) -> PyResult {
        convert::plain(&self.value, vm)
    }

    /// The chosen alternative of a choice, interpolated.
    #[pymethod]
    fn unwrap(&self, vm: &VirtualMachine) -> PyResult {
        let done = done(&self.value, vm)?;
        match done.value.chosen() {
            Some((inner, _)) => wrap(inner.clone(), vm),
            None => wrap(done.value, vm),
        }
    }

    #[pymethod]
    fn json_dumps(&self, vm: &VirtualMachine) -> PyResult<String> {
        Ok(done(&self.value, vm)?.value.to_json())
    }

    #[pyclassmethod]
    fn json_loads(cls: PyTypeRef, source: JsonSource, vm: &VirtualMachine) -> PyResult {
        let text = convert::text_argument(&source.text, vm)?;
        let ty = classes::type_of_class(&cls, vm)?;
        let document =
            json::parse(text.as_bytes()).map_err(|error| vm.new_value_error(error.to_string()))?;
        let strictness = match source.strict {
            true => Strictness::Strict,
            false => Strictness::Lenient,
        };
        if matches!(ty, Type::Struct(_)) && !matches!(document, Json::Object(_)) {
            return Err(vm.new_attribute_error(format!("a {ty} is made of an object")));
        }
        let value = Value::from_json(&ty, document, strictness);
        of_class(value.map_err(|error| raise(&error, vm))?, cls, vm)
    }

    /// The type as nested tuples, from which `TypeFactory` makes it again.
    #[pyclassmethod]
    fn serialize_type(cls: PyTypeRef, vm: &VirtualMachine) -> PyResult {
        classes::serialize(&classes::type_of_class(&cls, vm)?, vm)
    }
}

impl Constructor for Object {
    type Args = FuncArgs;

    fn slot_new(cls: PyTypeRef, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
        let ty = classes::type_of_class(&cls, vm)?;
        let value = convert::construct(&ty, args, vm)?;
        of_class(value, cls, vm)
    }

    fn py_new(_: &Py<vm::builtins::PyType>, _: FuncArgs, vm: &VirtualMachine) -> PyResult<Self> {
        Err(vm.new_type_error("a value is made by calling its type"))
    }
}

/// Calling a struct gives a copy with some attributes replaced.
impl Callable for Object {
    type Args = FuncArgs;

    fn call(zelf: &Py<Self>, args: FuncArgs, vm: &VirtualMachine) -> PyResult {
        let Type::Struct(ty) = zelf.value.ty() else {
            let name = zelf.class().name().to_string();
            return Err(vm.new_type_error(format!("'{name}' object is not callable")));
        };
        if !args.args.is_empty() {
            return Err(vm.new_type_error(format!(
                "calling a {} replaces attributes, which are given by name (NAME=VALUE); got {} \
                 without a name",
                ty.name(),
                args.args.len()
            )));
        }
        let mut attributes = Attributes::new(&ty);
        for (name, object) in &args.kwargs {
            attributes.set(name, object, vm)?;
        }
        let changed = attributes.replace_in(&zelf.value, convert::here(vm).as_ref(), vm)?;
        of_class(changed, zelf.class().to_owned(), vm)
    }
}

/// `x.field` is a function that gives the attribute, `x.has_field` one that says whether it is set.
/// The operations above come first.
impl GetAttr for Object {
    fn getattro(zelf: &Py<Self>, name: &Py<PyStr>, vm: &VirtualMachine) -> PyResult {
        if let Some(found) = zelf.as_object().generic_getattr_opt(name, None, vm)? {
            return Ok(found);
        }
        let wanted = name.as_wtf8().to_string_lossy().into_owned();
        if let Type::Struct(ty) = zelf.value.ty() {
            if let Some(position) = ty.position(&wanted) {
                let owner = zelf.to_owned();
                let accessor = move |vm: &VirtualMachine| -> PyResult {
                    let attributes = owner.value.as_struct();
                    match attributes.and_then(|attributes| attributes.get(position)) {
                        Some(attribute) => part(&owner.value, attribute, vm),
                        None => classes::helper("Empty", vm),
                    }
                };
                return Ok(vm.new_function("attribute", accessor).into());
            }
            if let Some(position) = wanted.strip_prefix("has_").and_then(|name| ty.position(name)) {
                let owner = zelf.to_owned();
                let accessor = move |_: &VirtualMachine| -> bool {
                    let attributes = owner.value.as_struct();
                    attributes.is_some_and(|attributes| attributes.get(position).is_some())
                };
                return Ok(vm.new_function("has_attribute", accessor).into());
            }
        }
        let known = match zelf.value.ty() {
            Type::Struct(ty) => {
                let names: Vec<String> =
                    ty.fields().iter().map(|field| field.name().to_owned()).collect();
                convert::suggestion(&wanted, &names)
            }
            _ => String::new(),
        };
        let class = zelf.class().name().to_string();
        Err(vm.new_attribute_error(format!("{class} has no attribute {wanted}{known}")))
    }
}

/// Objects are compared by what they are after interpolation.
impl Comparable for Object {
    fn cmp(
        zelf: &Py<Self>,
        other: &PyObject,
        op: PyComparisonOp,
        vm: &VirtualMachine,
    ) -> PyResult<PyComparisonValue> {
        let own = done(&zelf.value, vm)?.value;
        let Some(other) = value_of(other) else {
            if matches!(op, PyComparisonOp::Eq | PyComparisonOp::Ne) {
                return op.eq_only(|| Ok(false.into()));
            }
            let own = convert::plain(&own, vm)?;
            return Ok(own.rich_compare_bool(other, op, vm)?.into());
        };
        let other = done(other, vm)?.value;
        if matches!(op, PyComparisonOp::Eq | PyComparisonOp::Ne) {
            return op.eq_only(|| Ok(convert::equal(&own, &other).into()));
        }
        if own.ty() != other.ty() {
            return Ok(PyComparisonValue::NotImplemented);
        }
        let (own, other) = (convert::plain(&own, vm)?, convert::plain(&other, vm)?);
        Ok(own.rich_compare_bool(&other, op, vm)?.into())
    }
}

/// By content as given, before interpolation.
impl Hashable for Object {
    fn hash(zelf: &Py<Self>, vm: &VirtualMachine) -> PyResult<PyHash> {
        convert::plain(&zelf.value, vm)?.hash(vm)
    }
}

impl Representable for Object {
    fn repr_str(zelf: &Py<Self>, vm: &VirtualMachine) -> PyResult<String> {
        let text = text(&zelf.value, vm)?;
        let class = zelf.class().name().to_string();
        Ok(match zelf.value.ty() {
            Type::Choice(_) => {
                let content = match zelf.value.chosen() {
                    Some((inner, _)) if inner.raw().is_none() => wrap(inner.clone(), vm)?,
                    _ => convert::plain(&zelf.value, vm)?,
                };
                format!("{class}({})", content.repr(vm)?.as_wtf8())
            }
            _ if zelf.value.raw().is_some() => format!("{class}({text})"),
            _ => text.to_string(),
        })
    }
}

impl Iterable for Object {
    fn iter(zelf: PyRef<Self>, vm: &VirtualMachine) -> PyResult {
        let parts: Vec<PyObjectRef> = if let Some(items) = zelf.value.items() {
            items.iter().map(|item| part(&zelf.value, item, vm)).collect::<PyResult<_>>()?
        } else if let Some(entries) = zelf.value.entries() {
            entries.iter().map(|(key, _)| part(&zelf.value, key, vm)).collect::<PyResult<_>>()?
        } else {
            let name = zelf.class().name().to_string();
            return Err(vm.new_type_error(format!("'{name}' object is not iterable")));
        };
        Ok(vm.ctx.new_list(parts).as_object().get_iter(vm)?.into())
    }
}

impl Object {
    /// `object[key]` of lists and maps.
    fn subscript(&self, key: &PyObject, vm: &VirtualMachine) -> PyResult {
        if let Some(items) = self.value.items() {
            let parts = items.iter().map(|item| part(&self.value, item, vm));
            let parts = vm.ctx.new_tuple(parts.collect::<PyResult<Vec<_>>>()?);
            return parts.as_object().get_item(key, vm);
        }
        let Some(entries) = self.value.entries() else {
            return Err(vm.new_type_error(format!("a {} has no elements", self.value.ty())));
        };
        match self.position(key, vm)? {
            Some(position) => part(&self.value, &entries[position].1, vm),
            None => {
                let message = format!("{} not found", key.str(vm)?.as_wtf8());
                Err(vm.new_key_error(vm.ctx.new_str(message).into()))
            }
        }
    }

    /// Where a map has the key. Error: it cannot be a key of this map.
    fn position(&self, key: &PyObject, vm: &VirtualMachine) -> PyResult<Option<usize>> {
        let (Type::Map(ty), Some(entries)) = (self.value.ty(), self.value.entries()) else {
            return Ok(None);
        };
        let wanted = done(&convert::coerce(&ty.key, key, vm)?, vm)?.value;
        for (position, (key, _)) in entries.iter().enumerate() {
            let key = interpolate_part(&self.value, key, &Limits::default());
            let key = key.map_err(|error| raise(&error, vm))?.value;
            if convert::equal(&key, &wanted) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    fn contains(&self, wanted: &PyObject, vm: &VirtualMachine) -> PyResult<bool> {
        if self.value.entries().is_some() {
            return Ok(self.position(wanted, vm)?.is_some());
        }
        for item in self.value.items().unwrap_or_default() {
            let item = part(&self.value, item, vm)?;
            let found = match value_of(wanted) {
                Some(_) => item.rich_compare_bool(wanted, PyComparisonOp::Eq, vm)?,
                None => {
                    let plain = convert::plain(value_of(&item).unwrap_or(&self.value), vm)?;
                    plain.rich_compare_bool(wanted, PyComparisonOp::Eq, vm)?
                }
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl AsMapping for Object {
    fn as_mapping() -> &'static PyMappingMethods {
        static METHODS: LazyLock<PyMappingMethods> = LazyLock::new(|| PyMappingMethods {
            subscript: atomic_func!(|mapping, key, vm| {
                Object::mapping_downcast(mapping).subscript(key, vm)
            }),
            ..PyMappingMethods::NOT_IMPLEMENTED
        });
        &METHODS
    }
}

impl AsSequence for Object {
    fn as_sequence() -> &'static PySequenceMethods {
        static METHODS: LazyLock<PySequenceMethods> = LazyLock::new(|| PySequenceMethods {
            contains: atomic_func!(|sequence, wanted, vm| {
                Object::sequence_downcast(sequence).contains(wanted, vm)
            }),
            ..PySequenceMethods::NOT_IMPLEMENTED
        });
        &METHODS
    }
}

/// `value % environment`: bound and interpolated.
impl AsNumber for Object {
    fn as_number() -> &'static PyNumberMethods {
        static METHODS: PyNumberMethods = PyNumberMethods {
            remainder: Some(|value, environment, vm| match value.downcast_ref::<Object>() {
                Some(object) => {
                    let args = FuncArgs::from(vec![environment.to_owned()]);
                    let bound = object.value.bind(scopes(&args, vm)?);
                    of_class(done(&bound, vm)?.value, object.class().to_owned(), vm)
                }
                None => Ok(vm.ctx.not_implemented()),
            }),
            ..PyNumberMethods::NOT_IMPLEMENTED
        };
        &METHODS
    }
}
