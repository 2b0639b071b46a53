//! Where references are looked up: environments, and values used as environments.
//!
//! Source of behaviour: Aurora configuration reference, "Scopes and references".

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::template::{BadReference, Component, Ref};
use crate::value::{StructValue, Value};

/// Something in which a reference can be looked up.
#[derive(Clone, Debug, PartialEq)]
pub enum Scope {
    /// A table from references to values.
    Environment(Arc<Environment>),
    /// A struct, list or map, whose attributes or elements become visible. Scalars and choices
    /// know nothing.
    Value(Value),
    /// A struct's set attributes, each seen without the struct around it.
    Attributes(Arc<StructValue>),
    /// Another scope, one name further down: `self.x`, `super.x`.
    Under(&'static str, Arc<Scope>),
}

/// A table from references to what they stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    entries: BTreeMap<Box<[Component]>, Binding>,
    longest: usize,
}

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// This text. References in it are looked up where it is used.
    Text(Arc<str>),
    /// A typed value.
    Value(Value),
    /// Another table: not a value by itself, but references may lead through it.
    Environment(Arc<Environment>),
}

impl Environment {
    /// An empty table.
    pub fn new() -> Environment {
        Environment::default()
    }

    /// Adds an entry, replacing an earlier one for the same reference.
    pub fn insert(&mut self, reference: &Ref, binding: Binding) {
        let components = reference.components();
        self.longest = self.longest.max(components.len());
        self.entries.insert(components.into(), binding);
    }

    /// The entry for exactly these components.
    pub(crate) fn exact(&self, components: &[Component]) -> Option<&Binding> {
        self.entries.get(components)
    }

    /// Entries for proper prefixes of these components, longest first, each with its length.
    pub(crate) fn prefixes<'a>(
        &'a self,
        components: &'a [Component],
    ) -> impl Iterator<Item = (usize, &'a Binding)> {
        let longest = self.longest.min(components.len().saturating_sub(1));
        (1..=longest)
            .rev()
            .filter_map(|length| Some((length, self.entries.get(&components[..length])?)))
    }

    /// All entries, in the order of their references.
    pub fn entries(&self) -> impl Iterator<Item = (Ref, &Binding)> {
        let entries = self.entries.iter();
        entries.map(|(components, binding)| (Ref::from_components(components), binding))
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Values bound from outside: `thermos.task_id`, `thermos.user`, `thermos.ports[http]`, and
/// whatever a caller names with `-E NAME=VALUE` or `--bind`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bindings {
    environment: Arc<Environment>,
}

impl Bindings {
    /// Nothing bound.
    pub fn new() -> Bindings {
        Bindings::default()
    }

    /// Binds an address (without braces) to a text, replacing what it was bound to. References
    /// in the text are resolved where it is used.
    pub fn bind(&mut self, address: &str, value: &str) -> Result<(), BindError> {
        let reference = Ref::parse(address).map_err(BindError)?;
        Arc::make_mut(&mut self.environment).insert(&reference, Binding::Text(value.into()));
        Ok(())
    }

    /// The same bindings as a scope.
    pub fn scope(&self) -> Scope {
        Scope::Environment(Arc::clone(&self.environment))
    }

    /// The bindings without those below the given address.
    pub(crate) fn without(&self, prefix: &Ref) -> Bindings {
        let mut environment = Environment::clone(&self.environment);
        environment.entries.retain(|key, _| !key.starts_with(prefix.components()));
        Bindings { environment: Arc::new(environment) }
    }
}

/// The address given for a binding is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindError(BadReference);

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot bind: {}", self.0)
    }
}

impl std::error::Error for BindError {}
