//! From tokens to definitions.

use std::path::Path;

use crate::MAX_NESTING;
use crate::ast::{
    Base, Const, ConstKind, Doc, EnumValue, Field, Function, Ident, Include, Item, ItemKind, Need,
    Program, StructKind, Type,
};
use crate::error::{Error, Pos};
use crate::lexer::{Token, TokenKind, tokens};
use crate::names;

/// Parses one file. Its includes are not loaded.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Program, Error> {
    let mut parser = Parser { path, tokens: tokens(path, text)?, at: 0 };
    parser.program()
}

struct Parser<'a> {
    path: &'a Path,
    tokens: Vec<Token>,
    at: usize,
}

const END: &Token =
    &Token { kind: TokenKind::End, pos: Pos { line: 0, column: 0 }, doc: Vec::new() };

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // The last token is `End`, and `next` stays there.
        self.tokens.get(self.at).unwrap_or(END)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn pos(&self) -> Pos {
        self.peek().pos
    }

    fn error(&self, pos: Pos, message: impl Into<String>) -> Error {
        Error::at(self.path, pos, message.into())
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let found = match &self.peek().kind {
            TokenKind::Name(name) => format!("`{name}`"),
            TokenKind::Int(value) => format!("`{value}`"),
            TokenKind::Double(value) => format!("`{value}`"),
            TokenKind::String(_) => "a string".to_owned(),
            TokenKind::Punct(c) => format!("`{c}`"),
            TokenKind::End => "the end of the file".to_owned(),
        };
        self.error(self.pos(), format!("expected {wanted}, found {found}"))
    }

    fn accept(&mut self, c: char) -> bool {
        let found = self.peek().kind == TokenKind::Punct(c);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, c: char) -> Result<(), Error> {
        if self.accept(c) { Ok(()) } else { Err(self.unexpected(&format!("`{c}`"))) }
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(&self.peek().kind, TokenKind::Name(name) if name == word);
        if found {
            self.at += 1;
        }
        found
    }

    /// A name, with dots if it refers to something in another file.
    fn reference(&mut self, wanted: &str) -> Result<Ident, Error> {
        let pos = self.pos();
        match &self.peek().kind {
            TokenKind::Name(text) => {
                let text = text.clone();
                self.at += 1;
                Ok(Ident { text, pos })
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// A name that is being defined.
    fn name(&mut self, wanted: &str) -> Result<Ident, Error> {
        let name = self.reference(wanted)?;
        if name.text.contains('.') {
            return Err(self.error(name.pos, format!("`{}` cannot have a dot", name.text)));
        }
        Ok(name)
    }

    fn literal(&mut self, wanted: &str) -> Result<String, Error> {
        match &self.peek().kind {
            TokenKind::String(text) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    /// The separator after a field, value, function or element, which may be left out.
    fn separator(&mut self) {
        if !self.accept(',') {
            self.accept(';');
        }
    }

    /// `(key = "value", ...)`, which means nothing here.
    fn annotations(&mut self) -> Result<(), Error> {
        if !self.accept('(') {
            return Ok(());
        }
        while !self.accept(')') {
            self.reference("the name of an annotation or `)`")?;
            if self.accept('=') {
                self.literal("the value of the annotation, in quotes")?;
            }
            self.separator();
        }
        Ok(())
    }

    fn program(&mut self) -> Result<Program, Error> {
        let stem = self.path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into());
        let mut program = Program {
            path: self.path.to_path_buf(),
            module: names::module(&stem),
            includes: Vec::new(),
            items: Vec::new(),
        };
        loop {
            let token = self.next();
            let TokenKind::Name(word) = &token.kind else {
                if token.kind == TokenKind::End {
                    return Ok(program);
                }
                self.at -= 1;
                return Err(self.unexpected("a definition"));
            };
            match word.as_str() {
                "include" => {
                    let pos = self.pos();
                    let path = self.literal("the path of a file, in quotes")?;
                    let path = Path::new(&path).to_path_buf();
                    let prefix =
                        path.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into());
                    program.includes.push(Include { path, prefix, pos, program: 0 });
                }
                "cpp_include" => _ = self.literal("the path of a file, in quotes")?,
                "namespace" => {
                    let every = self.accept('*');
                    let scope = if every { None } else { Some(self.reference("a language")?) };
                    let name = self.reference("the name of the namespace")?;
                    self.annotations()?;
                    if scope.is_some_and(|s| s.text == "rs") {
                        let last = name.text.rsplit('.').next().unwrap_or(&name.text);
                        program.module = names::module(last);
                    }
                }
                _ => {
                    let item = self.item(word, &token)?;
                    program.items.push(item);
                }
            }
            self.separator();
        }
    }

    fn item(&mut self, word: &str, token: &Token) -> Result<Item, Error> {
        let doc = token.doc.clone();
        let (name, kind) = match word {
            "const" => {
                let ty = self.ty(0)?;
                let name = self.name("the name of the constant")?;
                self.expect('=')?;
                let value = self.constant(0)?;
                (name, ItemKind::Const { ty, value })
            }
            "typedef" => {
                let ty = self.ty(0)?;
                (self.name("the new name of the type")?, ItemKind::Typedef(ty))
            }
            "enum" => {
                let name = self.name("the name of the enum")?;
                (name, ItemKind::Enum(self.enum_values()?))
            }
            "struct" | "union" | "exception" => {
                let kind = match word {
                    "struct" => StructKind::Struct,
                    "union" => StructKind::Union,
                    _ => StructKind::Exception,
                };
                let name = self.name(&format!("the name of the {word}"))?;
                self.expect('{')?;
                let fields = self.fields('}')?;
                (name, ItemKind::Struct { kind, fields })
            }
            "service" => {
                let name = self.name("the name of the service")?;
                let extends = if self.accept_word("extends") {
                    Some(self.reference("the name of a service")?)
                } else {
                    None
                };
                let functions = self.functions()?;
                (name, ItemKind::Service { extends, functions })
            }
            _ => {
                const WORDS: [&str; 9] = [
                    "const",
                    "typedef",
                    "enum",
                    "struct",
                    "union",
                    "exception",
                    "service",
                    "include",
                    "namespace",
                ];
                let error = self.error(token.pos, format!("`{word}` begins no definition"));
                return Err(match names::nearest(word, WORDS.into_iter()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("definitions begin with {}", WORDS.join(", "))),
                });
            }
        };
        self.annotations()?;
        Ok(Item { doc, name, kind })
    }

    fn enum_values(&mut self) -> Result<Vec<EnumValue>, Error> {
        self.expect('{')?;
        let mut values: Vec<EnumValue> = Vec::new();
        while !self.accept('}') {
            let doc = self.peek().doc.clone();
            let name = self.name("the name of a value or `}`")?;
            let pos = self.pos();
            let value = if self.accept('=') {
                match self.next().kind {
                    TokenKind::Int(value) => Some(value),
                    _ => return Err(self.error(pos, "expected a number after `=`")),
                }
            } else {
                Some(values.last().map_or(0, |last| i64::from(last.value) + 1))
            };
            let Some(value) = value.and_then(|v| i32::try_from(v).ok()) else {
                return Err(self.error(name.pos, format!("`{}` does not fit 32 bits", name.text)));
            };
            self.annotations()?;
            self.separator();
            values.push(EnumValue { doc, name, value });
        }
        Ok(values)
    }

    /// Fields up to `close`.
    fn fields(&mut self, close: char) -> Result<Vec<Field>, Error> {
        let mut fields = Vec::new();
        while !self.accept(close) {
            fields.push(self.field()?);
        }
        Ok(fields)
    }

    fn field(&mut self) -> Result<Field, Error> {
        let Token { kind, pos, doc } = self.peek().clone();
        let id = match kind {
            TokenKind::Int(id) => {
                self.at += 1;
                self.expect(':')?;
                match i16::try_from(id) {
                    Ok(id) if id > 0 => id,
                    _ => {
                        return Err(self
                            .error(pos, format!("{id} is no field id"))
                            .hint("ids go from 1 to 32767"));
                    }
                }
            }
            TokenKind::Name(_) => {
                return Err(self.error(pos, "this field has no id").hint(
                    "write `1: string name`; fields go by their ids on the wire, so each needs one",
                ));
            }
            _ => return Err(self.unexpected("a field id")),
        };
        let need = if self.accept_word("required") {
            Need::Required
        } else if self.accept_word("optional") {
            Need::Optional
        } else {
            Need::Default
        };
        let ty = self.ty(0)?;
        // A mark for recursion, which is found without it.
        self.accept('&');
        let name = self.name("the name of the field")?;
        let default = if self.accept('=') { Some(self.constant(0)?) } else { None };
        self.annotations()?;
        self.separator();
        Ok(Field { doc, id, need, ty, name, default })
    }

    fn functions(&mut self) -> Result<Vec<Function>, Error> {
        self.expect('{')?;
        let mut functions = Vec::new();
        while !self.accept('}') {
            let doc: Doc = self.peek().doc.clone();
            let oneway = self.accept_word("oneway");
            let output = if self.accept_word("void") { None } else { Some(self.ty(0)?) };
            let name = self.name("the name of the function")?;
            self.expect('(')?;
            let args = self.fields(')')?;
            let throws = if self.accept_word("throws") {
                self.expect('(')?;
                self.fields(')')?
            } else {
                Vec::new()
            };
            if oneway && (output.is_some() || !throws.is_empty()) {
                return Err(self
                    .error(name.pos, format!("`{}` is oneway but answers", name.text))
                    .hint("a oneway function returns `void` and throws nothing"));
            }
            self.annotations()?;
            self.separator();
            functions.push(Function { doc, oneway, output, name, args, throws });
        }
        Ok(functions)
    }

    fn too_deep(&self) -> Error {
        self.error(self.pos(), format!("nested more than {MAX_NESTING} deep"))
    }

    fn ty(&mut self, depth: usize) -> Result<Type, Error> {
        if depth > MAX_NESTING {
            return Err(self.too_deep());
        }
        let name = self.reference("a type")?;
        let base = match name.text.as_str() {
            "bool" => Base::Bool,
            "byte" | "i8" => Base::I8,
            "i16" => Base::I16,
            "i32" => Base::I32,
            "i64" => Base::I64,
            "double" => Base::Double,
            "string" => Base::String,
            "binary" => Base::Binary,
            "list" | "set" | "map" => {
                self.cpp_type()?;
                self.expect('<')?;
                let first = Box::new(self.ty(depth + 1)?);
                let ty = match name.text.as_str() {
                    "list" => Type::List(first),
                    "set" => Type::Set(first),
                    _ => {
                        self.expect(',')?;
                        Type::Map(first, Box::new(self.ty(depth + 1)?))
                    }
                };
                self.expect('>')?;
                self.cpp_type()?;
                self.annotations()?;
                return Ok(ty);
            }
            "void" => {
                return Err(self.error(name.pos, "only a function can be `void`"));
            }
            "slist" | "uuid" | "senum" => {
                return Err(self.error(name.pos, format!("`{}` is not supported", name.text)));
            }
            _ => {
                self.annotations()?;
                return Ok(Type::Named(name));
            }
        };
        self.annotations()?;
        Ok(Type::Base(base))
    }

    fn cpp_type(&mut self) -> Result<(), Error> {
        if self.accept_word("cpp_type") {
            self.literal("the name of a C++ type, in quotes")?;
        }
        Ok(())
    }

    fn constant(&mut self, depth: usize) -> Result<Const, Error> {
        if depth > MAX_NESTING {
            return Err(self.too_deep());
        }
        let pos = self.pos();
        let kind = match &self.peek().kind {
            TokenKind::Int(value) => ConstKind::Int(*value),
            TokenKind::Double(value) => ConstKind::Double(*value),
            TokenKind::String(text) => ConstKind::String(text.clone()),
            TokenKind::Name(name) => ConstKind::Name(name.clone()),
            TokenKind::Punct('[') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.accept(']') {
                    items.push(self.constant(depth + 1)?);
                    self.separator();
                }
                return Ok(Const { kind: ConstKind::List(items), pos });
            }
            TokenKind::Punct('{') => {
                self.at += 1;
                let mut entries = Vec::new();
                while !self.accept('}') {
                    let key = self.constant(depth + 1)?;
                    self.expect(':')?;
                    entries.push((key, self.constant(depth + 1)?));
                    self.separator();
                }
                return Ok(Const { kind: ConstKind::Map(entries), pos });
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        Ok(Const { kind, pos })
    }
}
