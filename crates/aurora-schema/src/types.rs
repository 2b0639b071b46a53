//! Descriptions of types: what a value may be.
//!
//! Source of behaviour: Aurora configuration reference, "Pystachio types", "Structs" and
//! "Containers, enums, choices".

use std::fmt;
use std::sync::Arc;

use crate::value::Value;

/// A type of the configuration language. Cheap to copy: everything large is shared. Types are equal
/// when they have the same name and the same parts.
#[derive(Clone, Debug)]
pub enum Type {
    /// Text.
    String,
    /// A whole number of any size.
    Integer,
    /// A float.
    Float,
    /// True or false.
    Boolean,
    /// One of a few words.
    Enum(Arc<EnumType>),
    /// A sequence of values of one type.
    List(Arc<ListType>),
    /// Keys of one type with values of one type.
    Map(Arc<MapType>),
    /// A value of the first alternative that fits.
    Choice(Arc<ChoiceType>),
    /// Named attributes.
    Struct(Arc<StructType>),
}

impl Type {
    /// A list of such elements.
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(ListType { element }))
    }

    /// A map of such keys and values.
    pub fn map(key: Type, value: Type) -> Type {
        Type::Map(Arc::new(MapType { key, value }))
    }

    /// An enumeration. Words are matched exactly, upper and lower case differ.
    pub fn enumeration(name: &str, words: &[&str]) -> Type {
        let words = words.iter().map(|word| Box::from(*word)).collect();
        Type::Enum(Arc::new(EnumType { name: name.into(), words }))
    }

    /// A choice between alternatives, tried in this order.
    pub fn choice(alternatives: Vec<Type>) -> Type {
        Type::Choice(Arc::new(ChoiceType { name: None, alternatives }))
    }

    /// A choice with a name of its own.
    pub fn named_choice(name: &str, alternatives: Vec<Type>) -> Type {
        Type::Choice(Arc::new(ChoiceType { name: Some(name.into()), alternatives }))
    }

    /// A struct with these attributes.
    pub fn structure(name: &str, fields: Vec<Field>) -> Type {
        Type::Struct(StructType::new(name, fields))
    }

    /// Whether values are scalars: text, numbers, booleans and enumerations.
    pub fn is_scalar(&self) -> bool {
        matches!(self, Type::String | Type::Integer | Type::Float | Type::Boolean | Type::Enum(_))
    }

    /// What is expected of a value, for messages: `an integer`, `one of "a", "b"`.
    pub(crate) fn expectation(&self) -> String {
        match self {
            Type::String => "a string".to_owned(),
            Type::Integer => "an integer".to_owned(),
            Type::Float => "a number".to_owned(),
            Type::Boolean => "true or false".to_owned(),
            Type::Enum(ty) => {
                let words: Vec<String> =
                    ty.words.iter().map(|word| crate::error::quoted(word)).collect();
                format!("one of {}", words.join(", "))
            }
            Type::List(ty) => format!("a list of {}", ty.element),
            Type::Map(ty) => format!("an object from {} to {}", ty.key, ty.value),
            Type::Choice(ty) => {
                let names: Vec<String> = ty.alternatives.iter().map(Type::to_string).collect();
                format!("one of {}", names.join(", "))
            }
            Type::Struct(ty) => format!("an object ({})", ty.name),
        }
    }
}

/// Most types that are compared are one and the same, and need not be gone through.
impl PartialEq for Type {
    fn eq(&self, other: &Type) -> bool {
        fn same<T: PartialEq>(a: &Arc<T>, b: &Arc<T>) -> bool {
            Arc::ptr_eq(a, b) || **a == **b
        }
        match (self, other) {
            (Type::String, Type::String)
            | (Type::Integer, Type::Integer)
            | (Type::Float, Type::Float)
            | (Type::Boolean, Type::Boolean) => true,
            (Type::Enum(a), Type::Enum(b)) => same(a, b),
            (Type::List(a), Type::List(b)) => same(a, b),
            (Type::Map(a), Type::Map(b)) => same(a, b),
            (Type::Choice(a), Type::Choice(b)) => same(a, b),
            (Type::Struct(a), Type::Struct(b)) => same(a, b),
            _ => false,
        }
    }
}

/// The type's name in the language: `Integer`, `StringList`, `StringIntegerMap`, `Process`.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::String => f.write_str("String"),
            Type::Integer => f.write_str("Integer"),
            Type::Float => f.write_str("Float"),
            Type::Boolean => f.write_str("Boolean"),
            Type::Enum(ty) => f.write_str(&ty.name),
            Type::List(ty) => write!(f, "{}List", ty.element),
            Type::Map(ty) => write!(f, "{}{}Map", ty.key, ty.value),
            Type::Choice(ty) => match &ty.name {
                Some(name) => f.write_str(name),
                None => {
                    f.write_str("Choice")?;
                    ty.alternatives.iter().try_for_each(|ty| write!(f, "_{ty}"))
                }
            },
            Type::Struct(ty) => f.write_str(&ty.name),
        }
    }
}

/// An enumeration.
#[derive(Debug, PartialEq)]
pub struct EnumType {
    name: Box<str>,
    words: Box<[Box<str>]>,
}

impl EnumType {
    /// An enumeration of these words.
    pub fn new(name: &str, words: Vec<Box<str>>) -> Arc<EnumType> {
        Arc::new(EnumType { name: name.into(), words: words.into_boxed_slice() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its words, in the order declared.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// Whether this is one of its words.
    pub fn contains(&self, word: &str) -> bool {
        self.words().any(|known| known == word)
    }
}

/// A list.
#[derive(Debug, PartialEq)]
pub struct ListType {
    /// The type of every element.
    pub element: Type,
}

/// A map.
#[derive(Debug, PartialEq)]
pub struct MapType {
    /// The type of every key.
    pub key: Type,
    /// The type of every value.
    pub value: Type,
}

/// A choice.
#[derive(Debug, PartialEq)]
pub struct ChoiceType {
    name: Option<Box<str>>,
    /// The alternatives, in the order in which they are tried.
    pub alternatives: Vec<Type>,
}

impl ChoiceType {
    /// Its name, if it has one of its own.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// A struct: a name and attributes.
#[derive(Debug, PartialEq)]
pub struct StructType {
    name: Box<str>,
    fields: Box<[Field]>,
    /// Positions in `fields`, by name.
    by_name: Box<[u16]>,
}

impl StructType {
    /// A struct with these attributes. Of repeated names the last counts; more than 65,535
    /// attributes are cut off.
    pub fn new(name: &str, fields: Vec<Field>) -> Arc<StructType> {
        let mut fields = fields;
        fields.truncate(usize::from(u16::MAX));
        let mut by_name: Vec<u16> = (0..fields.len() as u16).collect();
        by_name.sort_by(|a, b| {
            let (a_name, b_name) = (&fields[usize::from(*a)].name, &fields[usize::from(*b)].name);
            a_name.cmp(b_name).then(b.cmp(a))
        });
        by_name.dedup_by(|later, kept| {
            fields[usize::from(*later)].name == fields[usize::from(*kept)].name
        });
        Arc::new(StructType {
            name: name.into(),
            fields: fields.into_boxed_slice(),
            by_name: by_name.into_boxed_slice(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its attributes, in the order declared.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The position of an attribute in [`StructType::fields`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_name
            .binary_search_by(|position| (*self.fields[usize::from(*position)].name).cmp(name))
            .ok()
            .map(|found| usize::from(self.by_name[found]))
    }
}

/// An attribute of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub(crate) name: Box<str>,
    pub(crate) ty: Type,
    pub(crate) presence: Presence,
}

/// What holds for an attribute that is not given.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence {
    /// It stays unset.
    Optional,
    /// It fails the type check.
    Required,
    /// It has this value.
    Default(Value),
}

impl Field {
    /// An attribute without default that may stay unset.
    pub fn optional(name: &str, ty: Type) -> Field {
        Field { name: name.into(), ty, presence: Presence::Optional }
    }

    /// An attribute that the type check asks for.
    pub fn required(name: &str, ty: Type) -> Field {
        Field { name: name.into(), ty, presence: Presence::Required }
    }

    /// An attribute with a default.
    pub fn with_default(name: &str, default: Value) -> Field {
        Field { name: name.into(), ty: default.ty(), presence: Presence::Default(default) }
    }

    /// An attribute of a type with what holds when it is not given. A default must be of the type.
    pub fn new(name: &str, ty: Type, presence: Presence) -> Field {
        Field { name: name.into(), ty, presence }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its type.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// What holds when it is not given.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }
}
