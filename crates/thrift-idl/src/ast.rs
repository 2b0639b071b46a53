//! Interface definitions as parsed.

use std::path::PathBuf;

use crate::error::Pos;

/// Lines of documentation.
pub(crate) type Doc = Vec<String>;

/// A name where it is defined or used; when used it may have dots.
#[derive(Clone, Debug)]
pub(crate) struct Ident {
    pub(crate) text: String,
    pub(crate) pos: Pos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    String,
    Binary,
}

#[derive(Clone, Debug)]
pub(crate) enum Type {
    Base(Base),
    Named(Ident),
    List(Box<Type>),
    Set(Box<Type>),
    Map(Box<Type>, Box<Type>),
}

#[derive(Clone, Debug)]
pub(crate) enum ConstKind {
    Int(i64),
    Double(f64),
    String(String),
    Name(String),
    List(Vec<Const>),
    Map(Vec<(Const, Const)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Const {
    pub(crate) kind: ConstKind,
    pub(crate) pos: Pos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Default,
    Optional,
    Required,
}

#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) doc: Doc,
    pub(crate) id: i16,
    pub(crate) need: Need,
    pub(crate) ty: Type,
    pub(crate) name: Ident,
    pub(crate) default: Option<Const>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StructKind {
    Struct,
    Union,
    Exception,
}

#[derive(Clone, Debug)]
pub(crate) struct EnumValue {
    pub(crate) doc: Doc,
    pub(crate) name: Ident,
    pub(crate) value: i32,
}

#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) doc: Doc,
    pub(crate) oneway: bool,
    /// `None` is `void`.
    pub(crate) output: Option<Type>,
    pub(crate) name: Ident,
    pub(crate) args: Vec<Field>,
    pub(crate) throws: Vec<Field>,
}

#[derive(Clone, Debug)]
pub(crate) enum ItemKind {
    Const { ty: Type, value: Const },
    Typedef(Type),
    Enum(Vec<EnumValue>),
    Struct { kind: StructKind, fields: Vec<Field> },
    Service { extends: Option<Ident>, functions: Vec<Function> },
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) doc: Doc,
    pub(crate) name: Ident,
    pub(crate) kind: ItemKind,
}

#[derive(Clone, Debug)]
pub(crate) struct Include {
    /// As written, relative to the including file.
    pub(crate) path: PathBuf,
    /// The prefix of its names: the file's name without extension.
    pub(crate) prefix: String,
    pub(crate) pos: Pos,
    /// Index of the program, once loaded.
    pub(crate) program: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Name of the Rust module.
    pub(crate) module: String,
    pub(crate) includes: Vec<Include>,
    pub(crate) items: Vec<Item>,
}
