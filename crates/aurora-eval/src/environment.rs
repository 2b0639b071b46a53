//! Environments: tables from references to what they stand for.
//!
//! Source of behaviour: Aurora configuration reference, "Environments".

use std::sync::Arc;

use aurora_schema::scope::{Binding, Environment as Table, Scope};
use aurora_schema::template::Ref;
use aurora_schema::types::Type;
use aurora_schema::wording;
use rustpython_vm as vm;
use vm::builtins::{PyDict, PyStr, PyType};
use vm::class::StaticType;
use vm::function::FuncArgs;
use vm::types::{Constructor, Representable};
use vm::{AsObject, Py, PyObject, PyObjectRef, PyPayload, PyResult, VirtualMachine, pyclass};

use crate::classes;
use crate::convert::{Bound, bound};
use crate::object::value_of;

/// A table from references to values.
#[pyclass(module = "pystachio", name = "Environment")]
#[derive(Debug, PyPayload)]
pub(crate) struct Environment {
    table: Arc<Table>,
}

#[pyclass(with(Constructor, Representable), flags(BASETYPE))]
impl Environment {}

impl Constructor for Environment {
    type Args = FuncArgs;

    fn py_new(_: &Py<PyType>, args: FuncArgs, vm: &VirtualMachine) -> PyResult<Self> {
        let mut table = Table::new();
        for object in &args.args {
            fill(&mut table, "", object, vm)?;
        }
        for (name, object) in &args.kwargs {
            insert(&mut table, "", name, object, vm)?;
        }
        Ok(Environment { table: Arc::new(table) })
    }
}

impl Representable for Environment {
    fn repr_str(zelf: &Py<Self>, _: &VirtualMachine) -> PyResult<String> {
        let addresses: Vec<String> =
            zelf.table.entries().map(|(address, _)| address.to_string()).collect();
        Ok(format!("Environment({})", addresses.join(", ")))
    }
}

/// A table as a Python object.
pub(crate) fn wrap(table: Arc<Table>, vm: &VirtualMachine) -> PyObjectRef {
    Environment { table }.into_ref(&vm.ctx).into()
}

/// Adds a dictionary's or environment's entries, below a prefix.
fn fill(table: &mut Table, prefix: &str, object: &PyObject, vm: &VirtualMachine) -> PyResult<()> {
    if let Some(other) = object.downcast_ref::<Environment>() {
        for (address, binding) in other.table.entries() {
            table.insert(&joined(prefix, &address.to_string(), vm)?, binding.clone());
        }
        return Ok(());
    }
    let Some(dict) = object.downcast_ref::<PyDict>() else {
        let printed = object.repr(vm)?;
        return Err(vm.new_value_error(format!(
            "Environment expects dict or Environment, got {}",
            printed.as_wtf8()
        )));
    };
    for (key, value) in dict.items_vec() {
        let key = match key.downcast_ref::<PyStr>() {
            Some(key) => key.as_wtf8().to_string_lossy().into_owned(),
            None => {
                let address = vm.call_method(&key, "address", ());
                let address = address.or_else(|_| key.str(vm).map(Into::into))?;
                address.str(vm)?.as_wtf8().to_string_lossy().into_owned()
            }
        };
        insert(table, prefix, &key, &value, vm)?;
    }
    Ok(())
}

fn insert(
    table: &mut Table,
    prefix: &str,
    key: &str,
    object: &PyObject,
    vm: &VirtualMachine,
) -> PyResult<()> {
    let address = joined(prefix, key, vm)?;
    if object.downcast_ref::<PyDict>().is_some() {
        return fill(table, &address.to_string(), object, vm);
    }
    let binding = if let Some(environment) = object.downcast_ref::<Environment>() {
        Binding::Environment(Arc::clone(&environment.table))
    } else {
        match bound(object, vm)? {
            Some(Bound::Text(text)) => Binding::Text(text),
            Some(Bound::Value(value)) => Binding::Value(value),
            None => {
                return Err(vm.new_value_error(format!(
                    "Environment values must be strings, numbers, Objects or other Environments. \
                     Got {} instead.",
                    object.class().as_object().repr(vm)?.as_wtf8()
                )));
            }
        }
    };
    table.insert(&address, binding);
    Ok(())
}

fn joined(prefix: &str, key: &str, vm: &VirtualMachine) -> PyResult<Ref> {
    let own = Ref::parse(key)
        .map_err(|_| classes::exception("InvalidRefError", wording::bad_reference(key), vm))?;
    if prefix.is_empty() {
        return Ok(own);
    }
    let own = own.to_string();
    let separator = if own.starts_with('[') { "" } else { "." };
    let address = format!("{prefix}{separator}{own}");
    Ref::parse(&address)
        .map_err(|_| classes::exception("InvalidRefError", wording::bad_reference(&address), vm))
}

/// The scopes that the arguments of `bind` and `in_scope` stand for, in the order given; names come
/// last.
pub(crate) fn scopes(args: &FuncArgs, vm: &VirtualMachine) -> PyResult<Vec<Scope>> {
    let mut scopes = Vec::new();
    for object in &args.args {
        if let Some(environment) = object.downcast_ref::<Environment>() {
            scopes.push(Scope::Environment(Arc::clone(&environment.table)));
        } else if let Some(value) = value_of(object) {
            match value.ty() {
                Type::Struct(_) | Type::List(_) | Type::Map(_) => {
                    scopes.push(Scope::Value(value.clone()));
                }
                ty => {
                    return Err(vm.new_type_error(format!(
                        "a {ty} cannot be bound without a name: write NAME=VALUE"
                    )));
                }
            }
        } else if object.downcast_ref::<PyDict>().is_some() {
            let mut table = Table::new();
            fill(&mut table, "", object, vm)?;
            scopes.push(Scope::Environment(Arc::new(table)));
        } else {
            let printed = object.repr(vm)?;
            return Err(vm.new_type_error(format!(
                "{} cannot be bound without a name: write NAME=VALUE",
                printed.as_wtf8()
            )));
        }
    }
    if !args.kwargs.is_empty() {
        let mut table = Table::new();
        for (name, object) in &args.kwargs {
            insert(&mut table, "", name, object, vm)?;
        }
        scopes.push(Scope::Environment(Arc::new(table)));
    }
    Ok(scopes)
}

/// The class, for the names that files see.
pub(crate) fn class() -> PyObjectRef {
    Environment::static_type().to_owned().into()
}
