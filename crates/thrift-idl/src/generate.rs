//! Rust code.

use std::fmt;
use std::fmt::Write as _;

use crate::ast::{
    Base, Doc, EnumValue, Field, Function, Item, ItemKind, Need, Program, StructKind,
};
use crate::check::{Literal, Ref, Ty, World};
use crate::error::Error;
use crate::names::{camel, screaming, snake};

/// The code of each module, by name.
pub(crate) fn all(world: &World) -> Result<Vec<(String, String)>, Error> {
    let mut modules = Vec::new();
    for (index, program) in world.programs.iter().enumerate() {
        let mut code = Code { world, program: index, in_service: false, text: String::new() };
        code.program(program)?;
        modules.push((program.module.clone(), code.text));
    }
    Ok(modules)
}

const OPTION: &str = "::core::option::Option";
const RESULT: &str = "::core::result::Result";
const DERIVES: &str = "Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash";

struct Code<'a> {
    world: &'a World,
    program: usize,
    /// Inside the module of a service, one level below the types.
    in_service: bool,
    text: String,
}

/// Adds a line of code.
macro_rules! line {
    ($code:expr, $($arg:tt)*) => { $code.line(format_args!($($arg)*)) };
}

/// A struct to generate: from a definition, or for the arguments or the result of a function.
struct Shape<'a> {
    doc: String,
    /// Its name on the wire.
    wire: String,
    rust: String,
    fields: Vec<Part<'a>>,
    has_default: bool,
}

/// A field of a [`Shape`].
struct Part<'a> {
    doc: String,
    id: i16,
    wire: String,
    rust: String,
    ty: Ty,
    boxed: bool,
    required: bool,
    default: Option<(Literal, &'a Field)>,
}

impl Part<'_> {
    fn plain(&self) -> bool {
        self.required || self.default.is_some()
    }
}

fn doc_or(doc: &Doc, fallback: String) -> String {
    if doc.is_empty() { fallback } else { doc.join("\n") }
}

impl<'a> Code<'a> {
    fn line(&mut self, args: fmt::Arguments<'_>) {
        _ = self.text.write_fmt(args);
        self.text.push('\n');
    }

    fn doc(&mut self, doc: &str) {
        line!(self, "#[doc = {doc:?}]");
    }

    fn program(&mut self, program: &'a Program) -> Result<(), Error> {
        let file =
            program.path.file_name().map_or_else(String::new, |f| f.to_string_lossy().into());
        line!(self, "// Generated from {file}.\n");
        for (index, item) in program.items.iter().enumerate() {
            let at = Ref { program: self.program, item: index };
            match &item.kind {
                ItemKind::Const { ty, value } => {
                    let ty = self.world.ty(self.program, ty)?;
                    let value = self.world.literal(self.program, &ty, value)?;
                    self.constant(item, &ty, &value)?;
                }
                ItemKind::Typedef(ty) => {
                    let ty = self.world.ty(self.program, ty)?;
                    self.doc(&doc_or(&item.doc, format!("`{}`", item.name.text)));
                    let target = self.ty(&ty);
                    line!(self, "pub type {} = {target};\n", camel(&item.name.text));
                }
                ItemKind::Enum(values) => self.enumeration(item, values),
                ItemKind::Struct { kind, fields } => {
                    let shape = self.shape(at, item, *kind, fields)?;
                    match kind {
                        StructKind::Union => self.union(&shape),
                        StructKind::Struct => self.structure(&shape)?,
                        StructKind::Exception => {
                            self.structure(&shape)?;
                            self.exception(&shape);
                        }
                    }
                }
                ItemKind::Service { functions, .. } => self.service(at, item, functions)?,
            }
        }
        Ok(())
    }

    fn path(&self, at: Ref) -> String {
        let up = if self.in_service { "super::" } else { "" };
        let name = self.world.item(at).map_or_else(String::new, |item| camel(&item.name.text));
        if at.program == self.program {
            format!("{up}{name}")
        } else {
            let module = self.world.programs.get(at.program).map_or("", |p| &p.module);
            format!("{up}super::{module}::{name}")
        }
    }

    fn ty(&self, ty: &Ty) -> String {
        match ty {
            Ty::Base(base) => match base {
                Base::Bool => "bool",
                Base::I8 => "i8",
                Base::I16 => "i16",
                Base::I32 => "i32",
                Base::I64 => "i64",
                Base::Double => "::thrift_wire::Double",
                Base::String => "::std::string::String",
                Base::Binary => "::thrift_wire::Bytes",
            }
            .to_owned(),
            Ty::Enum(at) | Ty::Struct(at) => self.path(*at),
            Ty::List(item) => format!("::std::vec::Vec<{}>", self.ty(item)),
            Ty::Set(item) => format!("::std::collections::BTreeSet<{}>", self.ty(item)),
            Ty::Map(key, value) => {
                format!("::std::collections::BTreeMap<{}, {}>", self.ty(key), self.ty(value))
            }
        }
    }

    /// The type of a field in memory.
    fn part_ty(&self, part: &Part<'_>) -> String {
        let ty = self.boxed_ty(part);
        if part.plain() { ty } else { format!("{OPTION}<{ty}>") }
    }

    fn boxed_ty(&self, part: &Part<'_>) -> String {
        let ty = self.ty(&part.ty);
        if part.boxed { format!("::std::boxed::Box<{ty}>") } else { ty }
    }

    /// Whether constants of a type can be made at compile time.
    fn is_const(ty: &Ty) -> bool {
        match ty {
            Ty::Base(_) | Ty::Enum(_) => true,
            Ty::Struct(_) => false,
            Ty::List(item) | Ty::Set(item) => Self::is_const(item),
            Ty::Map(key, value) => Self::is_const(key) && Self::is_const(value),
        }
    }

    fn const_ty(&self, ty: &Ty) -> String {
        match ty {
            Ty::Base(Base::String) => "&str".to_owned(),
            Ty::Base(Base::Binary) => "&[u8]".to_owned(),
            Ty::List(item) | Ty::Set(item) => format!("&[{}]", self.const_ty(item)),
            Ty::Map(key, value) => {
                format!("&[({}, {})]", self.const_ty(key), self.const_ty(value))
            }
            _ => self.ty(ty),
        }
    }

    /// A constant as an expression: borrowed and made at compile time, or owned.
    fn expr(&self, ty: &Ty, value: &Literal, owned: bool) -> Result<String, Error> {
        let list = |item: &Ty, items: &[Literal]| -> Result<String, Error> {
            let items: Result<Vec<_>, _> =
                items.iter().map(|i| self.expr(item, i, owned)).collect();
            Ok(items?.join(", "))
        };
        Ok(match (ty, value) {
            (_, Literal::Bool(v)) => v.to_string(),
            (_, Literal::Int(v)) => v.to_string(),
            (_, Literal::Double(v)) => format!("::thrift_wire::Double({v:?})"),
            (_, Literal::String(v)) if owned => format!("::std::string::String::from({v:?})"),
            (_, Literal::String(v)) => format!("{v:?}"),
            (_, Literal::Binary(v)) if owned => {
                format!("::thrift_wire::Bytes::from({v:?})")
            }
            (_, Literal::Binary(v)) => format!("{v:?}.as_bytes()"),
            (_, Literal::Enum(at, v)) => format!("{}({v})", self.path(*at)),
            (Ty::List(item), Literal::List(items)) if owned => {
                format!("::std::vec::Vec::from([{}])", list(item, items)?)
            }
            (Ty::Set(item), Literal::List(items)) if owned => {
                format!("::std::collections::BTreeSet::from([{}])", list(item, items)?)
            }
            (Ty::List(item) | Ty::Set(item), Literal::List(items)) => {
                format!("&[{}]", list(item, items)?)
            }
            (Ty::Map(key, item), Literal::Map(entries)) => {
                let mut pairs = Vec::new();
                for (k, v) in entries {
                    let k = self.expr(key, k, owned)?;
                    pairs.push(format!("({k}, {})", self.expr(item, v, owned)?));
                }
                let pairs = pairs.join(", ");
                if owned {
                    format!("::std::collections::BTreeMap::from([{pairs}])")
                } else {
                    format!("&[{pairs}]")
                }
            }
            (_, Literal::Struct(at, given)) => self.struct_expr(*at, given)?,
            (_, Literal::List(_) | Literal::Map(_)) => String::new(),
        })
    }

    fn struct_expr(&self, at: Ref, given: &[(usize, Literal)]) -> Result<String, Error> {
        let (kind, fields) = self.world.fields(at);
        let mut parts = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let ty = self.world.ty(at.program, &field.ty)?;
            let value = match (given.iter().find(|(i, _)| *i == index), &field.default) {
                (Some((_, value)), _) => Some(value.clone()),
                (None, Some(default)) => Some(self.world.literal(at.program, &ty, default)?),
                (None, None) => None,
            };
            let value = match value {
                Some(value) => {
                    let value = self.expr(&ty, &value, true)?;
                    if self.world.boxed(at, &ty) {
                        Some(format!("::std::boxed::Box::new({value})"))
                    } else {
                        Some(value)
                    }
                }
                None => None,
            };
            let name = &field.name.text;
            if kind == StructKind::Union {
                if let Some(value) = value {
                    return Ok(format!("{}::{}({value})", self.path(at), variant(name)));
                }
                continue;
            }
            let plain = field.need == Need::Required || field.default.is_some();
            let value = match value {
                Some(value) if plain => value,
                Some(value) => format!("{OPTION}::Some({value})"),
                None => format!("{OPTION}::None"),
            };
            parts.push(format!("{}: {value}, ", member(name)));
        }
        let path = self.path(at);
        Ok(format!("{path} {{ {}unknown: ::thrift_wire::UnknownFields::new() }}", parts.concat()))
    }

    fn constant(&mut self, item: &Item, ty: &Ty, value: &Literal) -> Result<(), Error> {
        self.doc(&doc_or(&item.doc, format!("`{}`", item.name.text)));
        line!(self, "#[allow(clippy::approx_constant, clippy::unreadable_literal)]");
        if Self::is_const(ty) {
            let expr = self.expr(ty, value, false)?;
            let ty = self.const_ty(ty);
            line!(self, "pub const {}: {ty} = {expr};\n", screaming(&item.name.text));
        } else {
            let expr = self.expr(ty, value, true)?;
            let ty = self.ty(ty);
            line!(self, "pub fn {}() -> {ty} {{\n{expr}\n}}\n", snake(&item.name.text));
        }
        Ok(())
    }

    fn enumeration(&mut self, item: &Item, values: &[EnumValue]) {
        let name = camel(&item.name.text);
        self.doc(&doc_or(&item.doc, format!("`{}`. Other numbers are kept.", item.name.text)));
        line!(self, "#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]");
        line!(self, "pub struct {name}(pub i32);\n");
        line!(self, "impl {name} {{");
        for value in values {
            self.doc(&doc_or(&value.doc, format!("`{}`, {}", value.name.text, value.value)));
            line!(
                self,
                "pub const {}: Self = Self({});",
                enum_const(&value.name.text),
                value.value
            );
        }
        let all: Vec<_> =
            values.iter().map(|v| format!("Self::{}", enum_const(&v.name.text))).collect();
        self.doc("The declared values, in the order of the definition.");
        line!(self, "pub const VALUES: &'static [Self] = &[{}];", all.join(", "));
        let names: Vec<_> =
            values.iter().map(|v| format!("({:?}, {})", v.name.text, v.value)).collect();
        self.doc("The declared names and numbers, in the order of the definition.");
        line!(self, "pub const NAMES: &'static [(&'static str, i32)] = &[{}];", names.join(", "));
        self.doc("The name, if the value is a declared one.");
        line!(self, "pub fn name(self) -> {OPTION}<&'static str> {{");
        if values.is_empty() {
            line!(self, "{OPTION}::None");
        } else {
            line!(self, "{OPTION}::Some(match self.0 {{");
            for value in values {
                line!(self, "{} => {:?},", value.value, value.name.text);
            }
            line!(self, "_ => return {OPTION}::None,\n}})");
        }
        line!(self, "}}");
        self.doc("The value of this name.");
        line!(self, "pub fn from_name(name: &str) -> {OPTION}<Self> {{");
        line!(
            self,
            "Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, v)| Self(*v))\n}}\n}}\n"
        );
        for format in ["Debug", "Display"] {
            line!(self, "impl ::core::fmt::{format} for {name} {{");
            line!(
                self,
                "fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{"
            );
            line!(self, "::thrift_wire::support::fmt_enum(f, self.0, self.name())\n}}\n}}\n");
        }
        line!(self, "impl ::thrift_wire::Wire for {name} {{");
        line!(self, "const TTYPE: ::thrift_wire::TType = ::thrift_wire::TType::I32;");
        self.write_fn();
        line!(self, "out.enumeration(self.0, self.name());\n}}");
        self.read_fn();
        line!(self, "input.enumeration(Self::NAMES).map(Self)\n}}\n}}\n");
    }

    fn write_fn(&mut self) {
        line!(self, "fn write<O: ::thrift_wire::Out>(&self, out: &mut O) {{");
    }

    fn read_fn(&mut self) {
        line!(
            self,
            "fn read<I: ::thrift_wire::In>(input: &mut I) \
             -> {RESULT}<Self, ::thrift_wire::DecodeError> {{"
        );
    }

    fn shape(
        &self,
        at: Ref,
        item: &Item,
        kind: StructKind,
        fields: &'a [Field],
    ) -> Result<Shape<'a>, Error> {
        let word = match kind {
            StructKind::Struct => "Struct",
            StructKind::Union => "Union",
            StructKind::Exception => "Exception",
        };
        let mut shape = Shape {
            doc: doc_or(&item.doc, format!("{word} `{}`.", item.name.text)),
            wire: item.name.text.clone(),
            rust: camel(&item.name.text),
            fields: self.parts(fields)?,
            has_default: self.world.has_default(at),
        };
        for part in &mut shape.fields {
            part.boxed = self.world.boxed(at, &part.ty);
        }
        Ok(shape)
    }

    /// Fields as they are generated, in ascending order of their ids.
    fn parts(&self, fields: &'a [Field]) -> Result<Vec<Part<'a>>, Error> {
        let mut parts = Vec::new();
        for field in fields {
            let ty = self.world.ty(self.program, &field.ty)?;
            let default = match &field.default {
                Some(value) => Some((self.world.literal(self.program, &ty, value)?, field)),
                None => None,
            };
            parts.push(Part {
                doc: doc_or(&field.doc, format!("Field {}, `{}`.", field.id, field.name.text)),
                id: field.id,
                wire: field.name.text.clone(),
                rust: member(&field.name.text),
                ty,
                boxed: false,
                required: field.need == Need::Required,
                default,
            });
        }
        parts.sort_by_key(|part| part.id);
        Ok(parts)
    }

    /// The table of fields.
    fn def(&mut self, shape: &Shape<'_>) {
        self.doc("Names, ids and types of the fields.");
        line!(
            self,
            "pub const DEF: &'static ::thrift_wire::StructDef = &::thrift_wire::StructDef {{ \
             name: {:?}, fields: &[",
            shape.wire
        );
        for part in &shape.fields {
            line!(
                self,
                "::thrift_wire::Field {{ id: {}, name: {:?}, ttype: {} }},",
                part.id,
                part.wire,
                ttype(&part.ty)
            );
        }
        line!(self, "] }};");
    }

    fn structure(&mut self, shape: &Shape<'_>) -> Result<(), Error> {
        let name = &shape.rust;
        let has_idl_defaults = shape.fields.iter().any(|part| part.default.is_some());
        self.doc(&shape.doc);
        let derive_default = shape.has_default && !has_idl_defaults;
        line!(self, "#[derive({DERIVES}{})]", if derive_default { ", Default" } else { "" });
        line!(self, "pub struct {name} {{");
        for part in &shape.fields {
            self.doc(&part.doc);
            let ty = self.part_ty(part);
            line!(self, "pub {}: {ty},", part.rust);
        }
        self.doc("Fields that this version does not know. They are kept and written again.");
        line!(self, "pub unknown: ::thrift_wire::UnknownFields,\n}}\n");

        line!(self, "impl {name} {{");
        self.def(shape);
        for (index, part) in shape.fields.iter().enumerate() {
            if let Some((value, _)) = &part.default {
                let ty = self.boxed_ty(part);
                let mut expr = self.expr(&part.ty, value, true)?;
                if part.boxed {
                    expr = format!("::std::boxed::Box::new({expr})");
                }
                line!(self, "#[allow(clippy::approx_constant, clippy::unreadable_literal)]");
                line!(self, "fn default_{index}() -> {ty} {{\n{expr}\n}}");
            }
        }
        line!(self, "}}\n");

        if shape.has_default && has_idl_defaults {
            line!(self, "impl ::core::default::Default for {name} {{\nfn default() -> Self {{");
            line!(self, "Self {{");
            for (index, part) in shape.fields.iter().enumerate() {
                match part.default {
                    Some(_) => line!(self, "{}: Self::default_{index}(),", part.rust),
                    None => line!(self, "{}: ::core::default::Default::default(),", part.rust),
                }
            }
            line!(self, "unknown: ::thrift_wire::UnknownFields::new(),\n}}\n}}\n}}\n");
        }

        line!(self, "impl ::thrift_wire::Wire for {name} {{");
        line!(self, "const TTYPE: ::thrift_wire::TType = ::thrift_wire::TType::Struct;");
        self.write_fn();
        if shape.fields.is_empty() {
            line!(self, "let rest = ::thrift_wire::support::Rest::of(&self.unknown);");
        } else {
            line!(self, "let mut rest = ::thrift_wire::support::Rest::of(&self.unknown);");
        }
        line!(self, "out.struct_begin(Self::DEF);");
        for (index, part) in shape.fields.iter().enumerate() {
            let put = if part.plain() { "put" } else { "put_set" };
            line!(
                self,
                "::thrift_wire::support::{put}(out, &mut rest, &Self::DEF.fields[{index}], &self.{});",
                part.rust
            );
        }
        line!(self, "rest.finish(out);\nout.struct_end();\n}}");

        self.read_fn();
        for (index, part) in shape.fields.iter().enumerate() {
            let ty = self.boxed_ty(part);
            line!(self, "let mut f{index}: {OPTION}<{ty}> = {OPTION}::None;");
        }
        line!(self, "let mut unknown = ::thrift_wire::UnknownFields::new();");
        line!(self, "input.struct_begin(Self::DEF)?;");
        line!(self, "while let {OPTION}::Some((id, ttype)) = input.field_begin(Self::DEF)? {{");
        let keep = "::thrift_wire::support::keep(input, &mut unknown, id, ttype)?";
        if shape.fields.is_empty() {
            line!(self, "{keep};");
        } else {
            line!(self, "match (id, ttype) {{");
            for (index, part) in shape.fields.iter().enumerate() {
                line!(
                    self,
                    "({}, {}) => f{index} = {OPTION}::Some(::thrift_wire::support::take(\
                     input, &Self::DEF.fields[{index}])?),",
                    part.id,
                    ttype(&part.ty)
                );
            }
            line!(self, "_ => {keep},\n}}");
        }
        line!(self, "}}");
        line!(self, "{RESULT}::Ok(Self {{");
        for (index, part) in shape.fields.iter().enumerate() {
            let value = if part.default.is_some() {
                format!("f{index}.unwrap_or_else(Self::default_{index})")
            } else if part.required {
                format!(
                    "::thrift_wire::support::required(\
                     input, Self::DEF, &Self::DEF.fields[{index}], f{index})?"
                )
            } else {
                format!("f{index}")
            };
            line!(self, "{}: {value},", part.rust);
        }
        line!(self, "unknown,\n}})\n}}\n}}\n");
        Ok(())
    }

    fn exception(&mut self, shape: &Shape<'_>) {
        let name = &shape.rust;
        line!(self, "impl ::core::fmt::Display for {name} {{");
        line!(self, "fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{");
        line!(self, "::thrift_wire::support::fmt_exception(f, {:?}, self)\n}}\n}}\n", shape.wire);
        line!(self, "impl ::std::error::Error for {name} {{}}\n");
    }

    fn union(&mut self, shape: &Shape<'_>) {
        let name = &shape.rust;
        self.doc(&shape.doc);
        line!(self, "#[derive({DERIVES})]");
        line!(self, "#[allow(clippy::large_enum_variant, clippy::enum_variant_names)]");
        line!(self, "pub enum {name} {{");
        for part in &shape.fields {
            self.doc(&part.doc);
            let ty = self.boxed_ty(part);
            line!(self, "{}({ty}),", variant(&part.wire));
        }
        self.doc("A field that this version does not know, or not with this type, and its id.");
        line!(self, "Unknown(i16, ::thrift_wire::Value),\n}}\n");
        line!(self, "impl {name} {{");
        self.def(shape);
        line!(self, "}}\n");

        line!(self, "impl ::thrift_wire::Wire for {name} {{");
        line!(self, "const TTYPE: ::thrift_wire::TType = ::thrift_wire::TType::Struct;");
        self.write_fn();
        line!(self, "out.struct_begin(Self::DEF);\nmatch self {{");
        for (index, part) in shape.fields.iter().enumerate() {
            line!(
                self,
                "Self::{}(value) => \
                 ::thrift_wire::support::put_arm(out, &Self::DEF.fields[{index}], value),",
                variant(&part.wire)
            );
        }
        line!(self, "Self::Unknown(id, value) => out.unknown_field(*id, value),\n}}");
        line!(self, "out.struct_end();\n}}");
        self.read_fn();
        line!(self, "let mut arm = {OPTION}::None;\ninput.struct_begin(Self::DEF)?;");
        line!(self, "while let {OPTION}::Some((id, ttype)) = input.field_begin(Self::DEF)? {{");
        line!(self, "let next = match (id, ttype) {{");
        for (index, part) in shape.fields.iter().enumerate() {
            line!(
                self,
                "({}, {}) => Self::{}(\
                 ::thrift_wire::support::take(input, &Self::DEF.fields[{index}])?),",
                part.id,
                ttype(&part.ty),
                variant(&part.wire)
            );
        }
        line!(
            self,
            "_ => Self::Unknown(id, ::thrift_wire::support::take_unknown(input, id, ttype)?),\n}};"
        );
        line!(self, "::thrift_wire::support::set_arm(input, Self::DEF, &mut arm, next)?;\n}}");
        line!(self, "::thrift_wire::support::arm(input, Self::DEF, arm)\n}}\n}}\n");
    }

    fn service(&mut self, at: Ref, item: &'a Item, functions: &'a [Function]) -> Result<(), Error> {
        let base = self.world.base_service(at)?;
        self.doc(&doc_or(&item.doc, format!("Service `{}`.", item.name.text)));
        line!(self, "#[allow(clippy::result_large_err)]");
        line!(self, "pub mod {} {{", snake(&item.name.text));
        self.in_service = true;
        for function in functions {
            self.function(item, function)?;
        }
        let base = base.map(|base| {
            let module = self.world.item(base).map_or_else(String::new, |i| snake(&i.name.text));
            if base.program == self.program {
                format!("super::{module}")
            } else {
                let file = self.world.programs.get(base.program).map_or("", |p| &p.module);
                format!("super::super::{file}::{module}")
            }
        });
        self.doc(&format!(
            "What serves `{}`. `C` is what the caller of `dispatch` knows about a call.",
            item.name.text
        ));
        line!(self, "#[allow(clippy::wrong_self_convention)]");
        let bound = base.as_ref().map_or_else(String::new, |base| format!(": {base}::Handler<C>"));
        line!(self, "pub trait Handler<C: ?Sized>{bound} {{");
        for function in functions {
            let name = camel(&function.name.text);
            self.doc(&format!(
                "{}\n\n# Errors\nA declared exception, or an application exception.",
                doc_or(&function.doc, format!("Serves `{}`.", function.name.text))
            ));
            let output = self.output(function)?;
            line!(
                self,
                "fn {}(&self, context: &C, args: {name}Args) -> {RESULT}<{output}, {name}Fault>;",
                snake(&function.name.text)
            );
        }
        line!(self, "}}\n");
        self.doc(
            "Reads a message, calls the handler and writes the reply. A method that does not exist \
             and arguments that cannot be decoded are answered with application exceptions.\n\n\
             # Errors\nThe input is no message, and there is nothing to answer.",
        );
        line!(
            self,
            "pub fn dispatch<C, H, I, O>(handler: &H, context: &C, input: &mut I, out: &mut O)"
        );
        line!(self, "-> {RESULT}<::thrift_wire::Served, ::thrift_wire::DecodeError>");
        let bounds = "where C: ?Sized, H: Handler<C> + ?Sized, I: ::thrift_wire::InMessage, \
                      O: ::thrift_wire::OutMessage,";
        line!(self, "{bounds} {{");
        line!(self, "let head = input.message_begin()?;");
        line!(
            self,
            "{RESULT}::Ok(dispatch_call(handler, context, &head, input, out)\
             .unwrap_or_else(|| ::thrift_wire::unknown_method(out, &head)))\n}}\n"
        );
        self.doc(
            "Like `dispatch`, for a message whose header was read. `None` if the service has no such \
             method; nothing is written then.",
        );
        line!(
            self,
            "pub fn dispatch_call<C, H, I, O>(handler: &H, context: &C, \
             head: &::thrift_wire::MessageHead, input: &mut I, out: &mut O)"
        );
        line!(self, "-> {OPTION}<::thrift_wire::Served>\n{bounds} {{");
        let otherwise = match &base {
            Some(base) => format!("{base}::dispatch_call(handler, context, head, input, out)"),
            None => format!("{OPTION}::None"),
        };
        if functions.is_empty() {
            if base.is_none() {
                line!(self, "let _ = (handler, context, head, input, out);");
            }
            line!(self, "{otherwise}");
        } else {
            line!(self, "match head.name.as_str() {{");
            for function in functions {
                line!(
                    self,
                    "{:?} => {OPTION}::Some(::thrift_wire::serve::<{}, I, O>(\
                     head, input, out, |args| handler.{}(context, args))),",
                    function.name.text,
                    camel(&function.name.text),
                    snake(&function.name.text)
                );
            }
            line!(self, "_ => {otherwise},\n}}");
        }
        line!(self, "}}\n}}\n");
        self.in_service = false;
        Ok(())
    }

    fn output(&self, function: &Function) -> Result<String, Error> {
        Ok(match &function.output {
            Some(ty) => self.ty(&self.world.ty(self.program, ty)?),
            None => "()".to_owned(),
        })
    }

    /// Arguments, result, exceptions and the `Method` of a function.
    fn function(&mut self, service: &Item, function: &'a Function) -> Result<(), Error> {
        let wire = &function.name.text;
        let name = camel(wire);
        let full = format!("{}.{wire}", service.name.text);

        let args = Shape {
            doc: format!("The arguments of `{full}`."),
            wire: format!("{wire}_args"),
            rust: format!("{name}Args"),
            has_default: function.args.iter().all(|field| {
                field.need != Need::Required
                    || field.default.is_some()
                    || match self.world.ty(self.program, &field.ty) {
                        Ok(Ty::Struct(inner)) => self.world.has_default(inner),
                        _ => true,
                    }
            }),
            fields: self.parts(&function.args)?,
        };
        self.structure(&args)?;

        let throws = self.parts(&function.throws)?;
        let mut fields = self.parts(&function.throws)?;
        if let Some(output) = &function.output {
            let success = Part {
                doc: "What the method returned.".to_owned(),
                id: 0,
                wire: "success".to_owned(),
                rust: "success".to_owned(),
                ty: self.world.ty(self.program, output)?,
                boxed: false,
                required: false,
                default: None,
            };
            fields.insert(0, success);
        }
        let reply = Shape {
            doc: format!("The result of `{full}`: what it returned, or an exception."),
            wire: format!("{wire}_result"),
            rust: format!("{name}Reply"),
            has_default: true,
            fields,
        };
        self.structure(&reply)?;

        self.doc(&format!("What `{full}` may fail with."));
        line!(self, "#[derive({DERIVES_FAULT})]");
        line!(self, "#[allow(clippy::large_enum_variant, clippy::enum_variant_names)]");
        line!(self, "pub enum {name}Fault {{");
        for part in &throws {
            self.doc(&part.doc);
            let ty = self.ty(&part.ty);
            line!(self, "{}({ty}),", camel(&part.wire));
        }
        self.doc("An error of the call rather than of the method.");
        line!(self, "Application(::thrift_wire::ApplicationError),\n}}\n");
        line!(self, "impl ::core::fmt::Display for {name}Fault {{");
        line!(self, "fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{");
        line!(self, "match self {{");
        for part in &throws {
            line!(self, "Self::{}(e) => ::core::fmt::Display::fmt(e, f),", camel(&part.wire));
        }
        line!(self, "Self::Application(e) => ::core::fmt::Display::fmt(e, f),\n}}\n}}\n}}\n");
        line!(self, "impl ::std::error::Error for {name}Fault {{}}\n");
        line!(
            self,
            "impl ::core::convert::From<::thrift_wire::ApplicationError> for {name}Fault {{"
        );
        line!(self, "fn from(e: ::thrift_wire::ApplicationError) -> Self {{");
        line!(self, "Self::Application(e)\n}}\n}}\n");
        for part in &throws {
            // Two exceptions of one type: `From` would not know which is meant.
            if throws.iter().filter(|other| other.ty == part.ty).count() == 1 {
                let ty = self.ty(&part.ty);
                line!(self, "impl ::core::convert::From<{ty}> for {name}Fault {{");
                line!(self, "fn from(e: {ty}) -> Self {{");
                line!(self, "Self::{}(e)\n}}\n}}\n", camel(&part.wire));
            }
        }

        let doc = format!("`{full}`.");
        self.doc(&doc_or(&function.doc, doc));
        line!(self, "#[derive(Clone, Copy, Debug)]\npub struct {name};\n");
        line!(self, "impl ::thrift_wire::Method for {name} {{");
        line!(self, "const NAME: &'static str = {wire:?};");
        line!(self, "const ONEWAY: bool = {};", function.oneway);
        let output = self.output(function)?;
        line!(self, "type Args = {name}Args;\ntype Reply = {name}Reply;");
        line!(self, "type Output = {output};\ntype Fault = {name}Fault;");
        line!(
            self,
            "fn reply(outcome: {RESULT}<{output}, {name}Fault>) \
             -> {RESULT}<{name}Reply, ::thrift_wire::ApplicationError> {{"
        );
        line!(self, "match outcome {{");
        let rest = "..::core::default::Default::default()";
        if function.output.is_some() {
            let success = format!("success: {OPTION}::Some(value)");
            line!(
                self,
                "{RESULT}::Ok(value) => {RESULT}::Ok({name}Reply {{ {success}, {rest} }}),"
            );
        } else {
            line!(self, "{RESULT}::Ok(()) => {RESULT}::Ok({name}Reply::default()),");
        }
        for part in &throws {
            line!(
                self,
                "{RESULT}::Err({name}Fault::{}(e)) => \
                 {RESULT}::Ok({name}Reply {{ {}: {OPTION}::Some(e), {rest} }}),",
                camel(&part.wire),
                part.rust
            );
        }
        line!(self, "{RESULT}::Err({name}Fault::Application(e)) => {RESULT}::Err(e),\n}}\n}}");
        line!(self, "fn outcome(reply: {name}Reply) -> {RESULT}<{output}, {name}Fault> {{");
        for part in &throws {
            line!(
                self,
                "if let {OPTION}::Some(e) = reply.{} {{ return {RESULT}::Err({name}Fault::{}(e)); }}",
                part.rust,
                camel(&part.wire)
            );
        }
        if function.output.is_some() {
            line!(
                self,
                "reply.success.ok_or_else(|| {name}Fault::Application(\
                 ::thrift_wire::support::missing_result({wire:?})))"
            );
        } else {
            if throws.is_empty() {
                line!(self, "let _ = reply;");
            }
            line!(self, "{RESULT}::Ok(())");
        }
        line!(self, "}}\n}}\n");
        Ok(())
    }
}

/// Application exceptions are no set elements, so faults need no order.
const DERIVES_FAULT: &str = "Clone, Debug, PartialEq, Eq";

/// A member of a struct; `unknown` is taken.
fn member(name: &str) -> String {
    let name = snake(name);
    if name == "unknown" { "unknown_".to_owned() } else { name }
}

/// A variant of a union; `Unknown` is taken.
fn variant(name: &str) -> String {
    let name = camel(name);
    if name == "Unknown" { "UnknownField".to_owned() } else { name }
}

/// The constant of an enum value; some names are taken.
fn enum_const(name: &str) -> String {
    let name = screaming(name);
    if matches!(name.as_str(), "VALUES" | "NAMES") { format!("{name}_") } else { name }
}

fn ttype(ty: &Ty) -> &'static str {
    match ty {
        Ty::Base(Base::Bool) => "::thrift_wire::TType::Bool",
        Ty::Base(Base::I8) => "::thrift_wire::TType::I8",
        Ty::Base(Base::I16) => "::thrift_wire::TType::I16",
        Ty::Base(Base::I32) | Ty::Enum(_) => "::thrift_wire::TType::I32",
        Ty::Base(Base::I64) => "::thrift_wire::TType::I64",
        Ty::Base(Base::Double) => "::thrift_wire::TType::Double",
        Ty::Base(Base::String | Base::Binary) => "::thrift_wire::TType::String",
        Ty::Struct(_) => "::thrift_wire::TType::Struct",
        Ty::List(_) => "::thrift_wire::TType::List",
        Ty::Set(_) => "::thrift_wire::TType::Set",
        Ty::Map(_, _) => "::thrift_wire::TType::Map",
    }
}
