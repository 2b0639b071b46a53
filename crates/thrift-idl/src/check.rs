//! Meaning: what names refer to, which types contain which, and what constants are worth.

use std::collections::{HashMap, HashSet};

use crate::MAX_NESTING;
use crate::ast::{
    Base, Const, ConstKind, Field, Function, Ident, Item, ItemKind, Need, Program, StructKind, Type,
};
use crate::error::{Error, Pos};
use crate::names;

/// An item of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ref {
    pub(crate) program: usize,
    pub(crate) item: usize,
}

/// A type with its names resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    Base(Base),
    Enum(Ref),
    /// Struct, union or exception.
    Struct(Ref),
    List(Box<Ty>),
    Set(Box<Ty>),
    Map(Box<Ty>, Box<Ty>),
}

/// A constant of a known type.
#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    Binary(String),
    Enum(Ref, i32),
    List(Vec<Literal>),
    Map(Vec<(Literal, Literal)>),
    /// The fields given, by index.
    Struct(Ref, Vec<(usize, Literal)>),
}

/// All programs of a compilation.
pub(crate) struct World {
    pub(crate) programs: Vec<Program>,
    /// Per program, its items by name.
    names: Vec<HashMap<String, usize>>,
}

impl World {
    pub(crate) fn new(programs: Vec<Program>) -> Result<Self, Error> {
        let mut names = Vec::new();
        for program in &programs {
            let mut known: HashMap<String, usize> = HashMap::new();
            for (index, item) in program.items.iter().enumerate() {
                if let Some(first) = known.insert(item.name.text.clone(), index) {
                    let first = program.items.get(first).map_or(0, |i| i.name.pos.line);
                    return Err(Error::at(
                        &program.path,
                        item.name.pos,
                        format!("`{}` is defined already, on line {first}", item.name.text),
                    ));
                }
            }
            names.push(known);
        }
        for (index, program) in programs.iter().enumerate() {
            if let Some(other) = programs.iter().take(index).find(|p| p.module == program.module) {
                return Err(Error::file(
                    &program.path,
                    format!(
                        "its module `{}` is that of {} too",
                        program.module,
                        other.path.display()
                    ),
                )
                .hint("set another one with `namespace rs NAME`"));
            }
        }
        Ok(Self { programs, names })
    }

    pub(crate) fn item(&self, at: Ref) -> Option<&Item> {
        self.programs.get(at.program)?.items.get(at.item)
    }

    fn error(&self, program: usize, pos: Pos, message: String) -> Error {
        match self.programs.get(program) {
            Some(program) => Error::at(&program.path, pos, message),
            None => Error::at("?".as_ref(), pos, message),
        }
    }

    /// The item that `name` means in `program`.
    fn lookup(&self, program: usize, name: &str) -> Option<Ref> {
        if let Some((prefix, name)) = name.rsplit_once('.') {
            let includes = &self.programs.get(program)?.includes;
            return includes.iter().filter(|i| i.prefix == prefix).find_map(|include| {
                let item = *self.names.get(include.program)?.get(name)?;
                Some(Ref { program: include.program, item })
            });
        }
        Some(Ref { program, item: *self.names.get(program)?.get(name)? })
    }

    fn unknown(&self, program: usize, name: &Ident, what: &str) -> Error {
        let error = self.error(program, name.pos, format!("there is no {what} `{}`", name.text));
        if let Some((prefix, _)) = name.text.rsplit_once('.') {
            let known = self.programs.get(program).map_or(&[][..], |p| &p.includes);
            if !known.iter().any(|i| i.prefix == prefix) {
                return error.hint(format!("no file called `{prefix}` is included here"));
            }
            return error;
        }
        let known = self.names.get(program).into_iter().flat_map(|n| n.keys().map(String::as_str));
        const BASES: [&str; 8] = ["bool", "i8", "i16", "i32", "i64", "double", "string", "binary"];
        match names::nearest(&name.text, known.chain(BASES)) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
    }

    /// Resolves a type as written in `program`.
    pub(crate) fn ty(&self, program: usize, ty: &Type) -> Result<Ty, Error> {
        self.ty_at(program, ty, 0)
    }

    fn ty_at(&self, program: usize, ty: &Type, depth: usize) -> Result<Ty, Error> {
        Ok(match ty {
            Type::Base(base) => Ty::Base(*base),
            Type::List(item) => Ty::List(Box::new(self.ty_at(program, item, depth)?)),
            Type::Set(item) => Ty::Set(Box::new(self.ty_at(program, item, depth)?)),
            Type::Map(key, value) => Ty::Map(
                Box::new(self.ty_at(program, key, depth)?),
                Box::new(self.ty_at(program, value, depth)?),
            ),
            Type::Named(name) => {
                let at = self
                    .lookup(program, &name.text)
                    .ok_or_else(|| self.unknown(program, name, "type"))?;
                match self.item(at).map(|item| &item.kind) {
                    Some(ItemKind::Enum(_)) => Ty::Enum(at),
                    Some(ItemKind::Struct { .. }) => Ty::Struct(at),
                    Some(ItemKind::Typedef(_)) if depth > MAX_NESTING => {
                        let message = format!("the typedef `{}` stands for itself", name.text);
                        return Err(self.error(program, name.pos, message));
                    }
                    Some(ItemKind::Typedef(ty)) => self.ty_at(at.program, ty, depth + 1)?,
                    _ => {
                        let message = format!("`{}` is no type", name.text);
                        return Err(self.error(program, name.pos, message));
                    }
                }
            }
        })
    }

    pub(crate) fn fields(&self, at: Ref) -> (StructKind, &[Field]) {
        match self.item(at).map(|item| &item.kind) {
            Some(ItemKind::Struct { kind, fields }) => (*kind, fields),
            _ => (StructKind::Struct, &[]),
        }
    }

    /// Structs that are fields of a struct, outside of any container. With `plain`, only those that
    /// a value of it cannot do without.
    fn contained(&self, at: Ref, plain: bool) -> Vec<Ref> {
        let (kind, fields) = self.fields(at);
        if plain && kind == StructKind::Union {
            return Vec::new();
        }
        let wanted = |f: &&Field| !plain || f.need == Need::Required || f.default.is_some();
        let types = fields.iter().filter(wanted).filter_map(|f| self.ty(at.program, &f.ty).ok());
        types
            .filter_map(|ty| match ty {
                Ty::Struct(inner) => Some(inner),
                _ => None,
            })
            .collect()
    }

    /// Whether a value of `from` can hold, or with `plain` always holds, one of `to` outside of any
    /// container.
    fn reaches(&self, from: Ref, to: Ref, plain: bool) -> bool {
        let mut seen = HashSet::new();
        let mut left = vec![from];
        while let Some(at) = left.pop() {
            if at == to {
                return true;
            }
            if seen.insert(at) {
                left.extend(self.contained(at, plain));
            }
        }
        false
    }

    /// Whether a field of type `ty` in struct `within` needs a box, because it can hold a `within`.
    pub(crate) fn boxed(&self, within: Ref, ty: &Ty) -> bool {
        matches!(ty, Ty::Struct(inner) if self.reaches(*inner, within, false))
    }

    /// Whether the Rust type has a `Default`.
    pub(crate) fn has_default(&self, at: Ref) -> bool {
        let (kind, fields) = self.fields(at);
        kind != StructKind::Union
            && fields.iter().filter(|f| f.need == Need::Required && f.default.is_none()).all(|f| {
                match self.ty(at.program, &f.ty) {
                    Ok(Ty::Struct(inner)) => self.has_default(inner),
                    _ => true,
                }
            })
    }

    /// What constant `value`, written in `program`, is worth as a `ty`.
    pub(crate) fn literal(&self, program: usize, ty: &Ty, value: &Const) -> Result<Literal, Error> {
        self.literal_at(program, ty, value, 0)
    }

    fn literal_at(
        &self,
        program: usize,
        ty: &Ty,
        value: &Const,
        depth: usize,
    ) -> Result<Literal, Error> {
        if depth > 4 * MAX_NESTING {
            let message = "this constant stands for itself, or is nested too deep".to_owned();
            return Err(self.error(program, value.pos, message));
        }
        let depth = depth + 1;
        if let ConstKind::Name(name) = &value.kind {
            return self.named(program, ty, name, value.pos, depth);
        }
        let fits = |value: i64, bits: u32| value >> (bits - 1) == 0 || value >> (bits - 1) == -1;
        Ok(match (ty, &value.kind) {
            (Ty::Base(Base::Bool), ConstKind::Int(v @ (0 | 1))) => Literal::Bool(*v == 1),
            (Ty::Base(Base::I8), ConstKind::Int(v)) if fits(*v, 8) => Literal::Int(*v),
            (Ty::Base(Base::I16), ConstKind::Int(v)) if fits(*v, 16) => Literal::Int(*v),
            (Ty::Base(Base::I32), ConstKind::Int(v)) if fits(*v, 32) => Literal::Int(*v),
            (Ty::Base(Base::I64), ConstKind::Int(v)) => Literal::Int(*v),
            (Ty::Base(Base::Double), ConstKind::Int(v)) => Literal::Double(*v as f64),
            (Ty::Base(Base::Double), ConstKind::Double(v)) => Literal::Double(*v),
            (Ty::Base(Base::String), ConstKind::String(v)) => Literal::String(v.clone()),
            (Ty::Base(Base::Binary), ConstKind::String(v)) => Literal::Binary(v.clone()),
            (Ty::Enum(at), ConstKind::Int(v)) if fits(*v, 32) => {
                Literal::Enum(*at, i32::try_from(*v).unwrap_or(0))
            }
            (Ty::List(item) | Ty::Set(item), ConstKind::List(items)) => Literal::List(
                items
                    .iter()
                    .map(|i| self.literal_at(program, item, i, depth))
                    .collect::<Result<_, _>>()?,
            ),
            // Some definitions write an empty set or list with the braces of a map.
            (Ty::List(_) | Ty::Set(_), ConstKind::Map(entries)) if entries.is_empty() => {
                Literal::List(Vec::new())
            }
            (Ty::Map(key, item), ConstKind::Map(entries)) => Literal::Map(
                entries
                    .iter()
                    .map(|(k, v)| {
                        let k = self.literal_at(program, key, k, depth)?;
                        Ok((k, self.literal_at(program, item, v, depth)?))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            (Ty::Struct(at), ConstKind::Map(entries)) => {
                self.struct_literal(program, *at, entries, value.pos, depth)?
            }
            _ => {
                let message = format!("this value is no {}", self.describe(ty));
                return Err(self.error(program, value.pos, message));
            }
        })
    }

    fn struct_literal(
        &self,
        program: usize,
        at: Ref,
        entries: &[(Const, Const)],
        pos: Pos,
        depth: usize,
    ) -> Result<Literal, Error> {
        let (kind, fields) = self.fields(at);
        let name = self.item(at).map_or("?", |item| &item.name.text);
        let mut given: Vec<(usize, Literal)> = Vec::new();
        for (key, value) in entries {
            let ConstKind::String(key_text) = &key.kind else {
                let message = "expected the name of a field, in quotes".to_owned();
                return Err(self.error(program, key.pos, message));
            };
            let Some(index) = fields.iter().position(|f| f.name.text == *key_text) else {
                let error = self.error(program, key.pos, format!("`{name}` has no `{key_text}`"));
                let known = fields.iter().map(|f| f.name.text.as_str());
                return Err(match names::nearest(key_text, known) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            };
            if given.iter().any(|(other, _)| *other == index) {
                return Err(self.error(program, key.pos, format!("`{key_text}` is given twice")));
            }
            if let Some(field) = fields.get(index) {
                let ty = self.ty(at.program, &field.ty)?;
                given.push((index, self.literal_at(program, &ty, value, depth)?));
            }
        }
        if kind == StructKind::Union && given.len() != 1 {
            let message = format!("the union `{name}` needs exactly one field");
            return Err(self.error(program, pos, message));
        }
        for (index, field) in fields.iter().enumerate() {
            let needed = field.need == Need::Required && field.default.is_none();
            if needed && !given.iter().any(|(other, _)| *other == index) {
                let message = format!("`{name}` lacks its required field `{}`", field.name.text);
                return Err(self.error(program, pos, message));
            }
        }
        Ok(Literal::Struct(at, given))
    }

    /// The value of `VALUE`, `Enum.VALUE` or a constant's name.
    fn named(
        &self,
        program: usize,
        ty: &Ty,
        name: &str,
        pos: Pos,
        depth: usize,
    ) -> Result<Literal, Error> {
        match (ty, name) {
            (Ty::Base(Base::Bool), "true") => return Ok(Literal::Bool(true)),
            (Ty::Base(Base::Bool), "false") => return Ok(Literal::Bool(false)),
            _ => {}
        }
        if let Some(at) = self.lookup(program, name)
            && let Some(ItemKind::Const { value, .. }) = self.item(at).map(|item| &item.kind)
        {
            return self.literal_at(at.program, ty, value, depth);
        }
        let (owner, short) = match (name.rsplit_once('.'), ty) {
            (Some((owner, short)), _) => (self.lookup(program, owner), short),
            (None, Ty::Enum(at)) => (Some(*at), name),
            _ => (None, name),
        };
        if let Some(owner) = owner
            && let Some(ItemKind::Enum(values)) = self.item(owner).map(|item| &item.kind)
        {
            let Some(found) = values.iter().find(|v| v.name.text == short) else {
                let of = self.item(owner).map_or("?", |item| &item.name.text);
                let error = self.error(program, pos, format!("`{of}` has no value `{short}`"));
                let known = values.iter().map(|v| v.name.text.as_str());
                return Err(match names::nearest(short, known) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            };
            match ty {
                Ty::Enum(at) if *at == owner => return Ok(Literal::Enum(owner, found.value)),
                Ty::Base(Base::I32 | Base::I64) => return Ok(Literal::Int(found.value.into())),
                _ => {
                    let message = format!("`{name}` is no {}", self.describe(ty));
                    return Err(self.error(program, pos, message));
                }
            }
        }
        Err(self.unknown(program, &Ident { text: name.to_owned(), pos }, "constant"))
    }

    fn describe(&self, ty: &Ty) -> String {
        match ty {
            Ty::Base(base) => format!("{base:?}").to_lowercase(),
            Ty::Enum(at) | Ty::Struct(at) => {
                self.item(*at).map_or_else(String::new, |item| format!("`{}`", item.name.text))
            }
            Ty::List(item) => format!("list of {}", self.describe(item)),
            Ty::Set(item) => format!("set of {}", self.describe(item)),
            Ty::Map(key, value) => {
                format!("map from {} to {}", self.describe(key), self.describe(value))
            }
        }
    }

    /// The service that service `at` extends.
    pub(crate) fn base_service(&self, at: Ref) -> Result<Option<Ref>, Error> {
        let Some(ItemKind::Service { extends: Some(name), .. }) =
            self.item(at).map(|item| &item.kind)
        else {
            return Ok(None);
        };
        match self.lookup(at.program, &name.text) {
            Some(base)
                if matches!(
                    self.item(base).map(|item| &item.kind),
                    Some(ItemKind::Service { .. })
                ) =>
            {
                Ok(Some(base))
            }
            _ => Err(self.unknown(at.program, name, "service")),
        }
    }

    /// Finds whatever would make the generated code wrong.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (program, p) in self.programs.iter().enumerate() {
            let mut types = Unique::default();
            let mut modules = Unique::default();
            let mut consts = Unique::default();
            for (index, item) in p.items.iter().enumerate() {
                let at = Ref { program, item: index };
                let name = &item.name;
                match &item.kind {
                    ItemKind::Const { ty, value } => {
                        self.unique(&mut consts, program, name, names::screaming(&name.text))?;
                        let ty = self.ty(program, ty)?;
                        self.literal(program, &ty, value)?;
                    }
                    ItemKind::Typedef(ty) => {
                        self.unique(&mut types, program, name, names::camel(&name.text))?;
                        self.ty(program, ty)?;
                    }
                    ItemKind::Enum(values) => {
                        self.unique(&mut types, program, name, names::camel(&name.text))?;
                        let mut seen = Unique::default();
                        let mut numbers = HashMap::new();
                        for value in values {
                            let rust = names::screaming(&value.name.text);
                            self.unique(&mut seen, program, &value.name, rust)?;
                            if let Some(other) = numbers.insert(value.value, &value.name.text) {
                                let message = format!(
                                    "`{}` is {}, and so is `{other}`",
                                    value.name.text, value.value
                                );
                                return Err(self.error(program, value.name.pos, message));
                            }
                        }
                    }
                    ItemKind::Struct { kind, fields } => {
                        self.unique(&mut types, program, name, names::camel(&name.text))?;
                        self.check_fields(program, *kind, fields)?;
                        if *kind == StructKind::Union && fields.is_empty() {
                            let message = format!("the union `{}` has no fields", name.text);
                            return Err(self.error(program, name.pos, message));
                        }
                        if self.contained(at, true).iter().any(|c| self.reaches(*c, at, true)) {
                            return Err(self
                                .error(
                                    program,
                                    name.pos,
                                    format!("every `{}` would contain another one", name.text),
                                )
                                .hint("make a field `optional`, or take away its default value"));
                        }
                    }
                    ItemKind::Service { functions, .. } => {
                        self.unique(&mut modules, program, name, names::snake(&name.text))?;
                        self.check_service(at, name, functions)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Refuses two names that become one in Rust.
    fn unique(
        &self,
        seen: &mut Unique,
        program: usize,
        name: &Ident,
        rust: String,
    ) -> Result<(), Error> {
        match seen.0.insert(rust.clone(), name.text.clone()) {
            None => Ok(()),
            Some(other) if other == name.text => {
                let message = format!("`{}` is there already", name.text);
                Err(self.error(program, name.pos, message))
            }
            Some(other) => {
                let message = format!("`{}` and `{other}` are both `{rust}` in Rust", name.text);
                Err(self.error(program, name.pos, message))
            }
        }
    }

    fn check_fields(
        &self,
        program: usize,
        kind: StructKind,
        fields: &[Field],
    ) -> Result<(), Error> {
        let mut seen = Unique::default();
        let mut ids = HashMap::new();
        for field in fields {
            let rust = match kind {
                StructKind::Union => names::camel(&field.name.text),
                _ => names::snake(&field.name.text),
            };
            self.unique(&mut seen, program, &field.name, rust)?;
            if let Some(other) = ids.insert(field.id, &field.name.text) {
                let message =
                    format!("`{}` has the id {}, as `{other}`", field.name.text, field.id);
                return Err(self.error(program, field.name.pos, message));
            }
            let ty = self.ty(program, &field.ty)?;
            if let Some(default) = &field.default {
                if kind == StructKind::Union {
                    let message = "a field of a union cannot have a default value".to_owned();
                    return Err(self.error(program, default.pos, message));
                }
                self.literal(program, &ty, default)?;
            }
            if kind == StructKind::Union && field.need == Need::Required {
                let message = "a field of a union cannot be required".to_owned();
                return Err(self.error(program, field.name.pos, message));
            }
        }
        Ok(())
    }

    fn check_service(&self, at: Ref, name: &Ident, functions: &[Function]) -> Result<(), Error> {
        let program = at.program;
        let mut inherited = HashSet::new();
        let mut base = self.base_service(at)?;
        let mut steps = 0;
        while let Some(service) = base {
            steps += 1;
            if service == at || steps > MAX_NESTING {
                let message = format!("the service `{}` extends itself", name.text);
                return Err(self.error(program, name.pos, message));
            }
            if let Some(ItemKind::Service { functions, .. }) = self.item(service).map(|i| &i.kind) {
                inherited.extend(functions.iter().map(|f| f.name.text.as_str()));
            }
            base = self.base_service(service)?;
        }
        let mut seen = Unique::default();
        for reserved in ["Handler", "dispatch", "dispatch_call"] {
            seen.0.insert(reserved.to_owned(), reserved.to_owned());
        }
        for function in functions {
            let name = &function.name;
            if inherited.contains(name.text.as_str()) {
                let message = format!("`{}` is inherited already", name.text);
                return Err(self.error(program, name.pos, message));
            }
            self.unique(&mut seen, program, name, names::snake(&name.text))?;
            for suffix in ["", "Args", "Reply", "Fault"] {
                let rust = format!("{}{suffix}", names::camel(&name.text));
                self.unique(&mut seen, program, name, rust)?;
            }
            if let Some(output) = &function.output {
                self.ty(program, output)?;
            }
            self.check_fields(program, StructKind::Struct, &function.args)?;
            self.check_fields(program, StructKind::Struct, &function.throws)?;
            let mut variants = Unique::default();
            variants.0.insert("Application".to_owned(), "Application".to_owned());
            for field in &function.throws {
                self.unique(&mut variants, program, &field.name, names::camel(&field.name.text))?;
                let is_exception = match self.ty(program, &field.ty)? {
                    Ty::Struct(inner) => self.fields(inner).0 == StructKind::Exception,
                    _ => false,
                };
                if !is_exception || field.need == Need::Required || field.default.is_some() {
                    let message = format!("`{}` is no plain exception", field.name.text);
                    return Err(self
                        .error(program, field.name.pos, message)
                        .hint("a function throws types defined with `exception`"));
                }
            }
        }
        Ok(())
    }
}

/// Names in Rust, and what they come from.
#[derive(Default)]
struct Unique(HashMap<String, String>);
