//! Values with everything that is bound to them as one JSON document: how the process that evaluates
//! configuration files hands over what they define.
//!
//! What values share is written once and shared again after reading, so that a document grows with
//! what a file says and not with how often it is used.
//!
//! ```text
//! {"types":  [TYPE, …],            a type uses types before it
//!  "nodes":  [NODE, …],            a node uses nodes before it
//!  "values": [VALUE, …]}
//!
//! TYPE     {"schema": "Task"} · {"enum": [name, [word, …]]} · {"list": T} · {"map": [T, T]}
//!          · {"choice": [name or null, [T, …]]} · {"struct": [name, [[field, T, presence], …]]}
//! T        "String", "Integer", "Float", "Boolean", or the number of a type
//! presence 0: optional, 1: required, [VALUE]: default
//! NODE     ["S", T, [file, line, column] or null, [position, CONTENT or {"x": 0}, …]]   a struct
//!          · ["L", T, [CONTENT, …]] · ["M", T, [CONTENT, CONTENT, …]]
//!          · ["C", T, open, VALUE, [struct tried, attribute] or null]   a choice · ["E", [[address, BINDING], …]]   an environment
//! CONTENT  of a known type: null, true, 1, 1.0, "text", {"f": "printed form"}, {"v": CONTENT,
//!          "s": [SCOPE, …]} · {"n": node} · {"n": node, "s": [SCOPE, …]}
//! VALUE    {"t": T, "v": CONTENT}, or a CONTENT that names a node
//! BINDING  "text" · {"e": node} · VALUE
//! SCOPE    {"e": node} · {"a": node} · {"w": "self" or "super", "in": SCOPE} · VALUE
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use crate::json::{Json, Writer};
use crate::number::Integer;
use crate::schema;
use crate::scope::{Binding, Environment, Scope};
use crate::template::Ref;
use crate::types::{EnumType, Field, Presence, StructType, Type};
use crate::value::{ChoiceValue, Data, ListValue, MapValue, Origin, Raw, StructValue, Value};

/// The values as a document.
pub fn encode(values: &[Value]) -> String {
    let mut encoder = Encoder::default();
    let mut list = Writer::new();
    list.begin_array();
    values.iter().for_each(|value| encoder.value(value, &mut list));
    list.end_array();
    let Encoder { types, nodes, .. } = encoder;
    format!("{{\"types\": [{types}], \"nodes\": [{nodes}], \"values\": {}}}", list.finish())
}

/// The values of a document. Error: it is none, with the place that is not understood.
pub fn decode(document: &Json) -> Result<Vec<Value>, String> {
    let mut decoder = Decoder { types: Vec::new(), nodes: Vec::new() };
    for ty in array(member(document, "types")?)? {
        let ty = decoder.declaration(ty)?;
        decoder.types.push(ty);
    }
    for node in array(member(document, "nodes")?)? {
        let node = decoder.node(node)?;
        decoder.nodes.push(node);
    }
    array(member(document, "values")?)?.iter().map(|value| decoder.value(value)).collect()
}

/// What was written, by its address in memory. Everything written stays alive meanwhile: it is
/// reachable from the values.
#[derive(Default)]
struct Encoder {
    /// Declarations of types, with commas between them.
    types: String,
    known_types: HashMap<*const (), usize>,
    /// The same of nodes.
    nodes: String,
    known_nodes: HashMap<*const (), usize>,
}

/// Adds an element to a list. An element is written when everything that it uses has been.
fn push(list: &mut String, element: Writer) {
    if !list.is_empty() {
        list.push_str(", ");
    }
    list.push_str(&element.finish());
}

/// Writes an object of one member.
fn object(name: &str, out: &mut Writer, member: impl FnOnce(&mut Writer)) {
    out.begin_object();
    out.name(name);
    member(out);
    out.end_object();
}

/// Writes an array.
fn list(out: &mut Writer, elements: impl FnOnce(&mut Writer)) {
    out.begin_array();
    elements(out);
    out.end_array();
}

fn number(number: usize, out: &mut Writer) {
    out.integer(number as i64);
}

impl Encoder {
    fn ty(&mut self, ty: &Type, out: &mut Writer) {
        let address: *const () = match ty {
            Type::String | Type::Integer | Type::Float | Type::Boolean => {
                return out.text(&ty.to_string());
            }
            Type::Enum(ty) => Arc::as_ptr(ty).cast(),
            Type::List(ty) => Arc::as_ptr(ty).cast(),
            Type::Map(ty) => Arc::as_ptr(ty).cast(),
            Type::Choice(ty) => Arc::as_ptr(ty).cast(),
            Type::Struct(ty) => Arc::as_ptr(ty).cast(),
        };
        if let Some(known) = self.known_types.get(&address) {
            return number(*known, out);
        }
        let mut declaration = Writer::new();
        self.declaration(ty, &mut declaration);
        push(&mut self.types, declaration);
        let position = self.known_types.len();
        self.known_types.insert(address, position);
        number(position, out);
    }

    fn declaration(&mut self, ty: &Type, out: &mut Writer) {
        match ty {
            Type::Enum(ty) => object("enum", out, |out| {
                list(out, |out| {
                    out.text(ty.name());
                    list(out, |out| ty.words().for_each(|word| out.text(word)));
                });
            }),
            Type::List(ty) => object("list", out, |out| self.ty(&ty.element, out)),
            Type::Map(ty) => object("map", out, |out| {
                list(out, |out| {
                    self.ty(&ty.key, out);
                    self.ty(&ty.value, out);
                });
            }),
            Type::Choice(ty) => object("choice", out, |out| {
                list(out, |out| {
                    match ty.name() {
                        Some(name) => out.text(name),
                        None => out.null(),
                    }
                    list(out, |out| ty.alternatives.iter().for_each(|ty| self.ty(ty, out)));
                });
            }),
            Type::Struct(ty) if schema::is_known(ty) => {
                object("schema", out, |out| out.text(ty.name()));
            }
            Type::Struct(ty) => object("struct", out, |out| {
                list(out, |out| {
                    out.text(ty.name());
                    list(out, |out| ty.fields().iter().for_each(|field| self.field(field, out)));
                });
            }),
            Type::String | Type::Integer | Type::Float | Type::Boolean => out.null(),
        }
    }

    fn field(&mut self, field: &Field, out: &mut Writer) {
        list(out, |out| {
            out.text(field.name());
            self.ty(field.ty(), out);
            match field.presence() {
                Presence::Optional => number(0, out),
                Presence::Required => number(1, out),
                // Types come before nodes, so a default cannot name one: it is written as a document.
                Presence::Default(value) => {
                    list(out, |out| out.text(&encode(std::slice::from_ref(value))));
                }
            }
        });
    }

    fn value(&mut self, value: &Value, out: &mut Writer) {
        match &value.data {
            Data::Scalar { ty, .. } => {
                out.begin_object();
                out.name("t");
                self.ty(ty, out);
                out.name("v");
                self.content(value, out);
                out.end_object();
            }
            _ => self.content(value, out),
        }
    }

    fn content(&mut self, value: &Value, out: &mut Writer) {
        let scopes = value.scopes();
        let plain = |raw: &Raw, out: &mut Writer| match raw {
            Raw::Null => out.null(),
            Raw::Bool(value) => out.boolean(*value),
            Raw::Integer(value) => out.whole(value),
            Raw::Float(value) => out.float(*value),
            Raw::Text(value) => out.text(value),
            Raw::Foreign(form) => object("f", out, |out| out.text(form)),
        };
        if let Data::Scalar { raw, .. } = &value.data
            && scopes.is_empty()
        {
            return plain(raw, out);
        }
        out.begin_object();
        match &value.data {
            Data::Scalar { raw, .. } => {
                out.name("v");
                plain(raw, out);
            }
            data => {
                let node = self.data(data);
                out.name("n");
                number(node, out);
            }
        }
        if !scopes.is_empty() {
            out.name("s");
            list(out, |out| scopes.iter().for_each(|scope| self.scope(scope, out)));
        }
        out.end_object();
    }

    /// Writes what is behind a value that is no scalar, once.
    fn data(&mut self, data: &Data) -> usize {
        match data {
            Data::Scalar { .. } => 0,
            Data::Struct(value) => self.structure(value),
            Data::List(items) => self.node(Arc::as_ptr(items).cast(), |encoder, out| {
                out.text("L");
                encoder.ty(&Type::List(Arc::clone(&items.ty)), out);
                list(out, |out| items.items.iter().for_each(|item| encoder.content(item, out)));
            }),
            Data::Map(map) => self.node(Arc::as_ptr(map).cast(), |encoder, out| {
                out.text("M");
                encoder.ty(&Type::Map(Arc::clone(&map.ty)), out);
                list(out, |out| {
                    for (key, value) in &map.entries {
                        encoder.content(key, out);
                        encoder.content(value, out);
                    }
                });
            }),
            Data::Choice(choice) => self.node(Arc::as_ptr(choice).cast(), |encoder, out| {
                out.text("C");
                encoder.ty(&Type::Choice(Arc::clone(&choice.ty)), out);
                out.boolean(choice.open);
                encoder.value(&choice.inner, out);
                match &choice.unfit {
                    Some((tried, attribute)) => list(out, |out| {
                        out.text(tried);
                        out.text(attribute);
                    }),
                    None => out.null(),
                }
            }),
        }
    }

    fn structure(&mut self, value: &Arc<StructValue>) -> usize {
        self.node(Arc::as_ptr(value).cast(), |encoder, out| {
            out.text("S");
            encoder.ty(&Type::Struct(Arc::clone(&value.ty)), out);
            match &value.origin {
                Some(Origin { file, line, column }) => list(out, |out| {
                    out.text(file);
                    number(*line as usize, out);
                    number(*column as usize, out);
                }),
                None => out.null(),
            }
            list(out, |out| {
                for (position, attribute) in &value.given {
                    number(usize::from(*position), out);
                    match attribute {
                        Some(attribute) => encoder.content(attribute, out),
                        None => object("x", out, |out| number(0, out)),
                    }
                }
            });
        })
    }

    fn environment(&mut self, environment: &Arc<Environment>) -> usize {
        self.node(Arc::as_ptr(environment).cast(), |encoder, out| {
            out.text("E");
            list(out, |out| {
                for (address, binding) in environment.entries() {
                    list(out, |out| {
                        out.text(&address.to_string());
                        match binding {
                            Binding::Text(value) => out.text(value),
                            Binding::Value(value) => encoder.value(value, out),
                            Binding::Environment(inner) => {
                                let node = encoder.environment(inner);
                                object("e", out, |out| number(node, out));
                            }
                        }
                    });
                }
            });
        })
    }

    /// Writes a node, an array with these elements, unless it was written already. Gives its number.
    fn node(
        &mut self,
        address: *const (),
        elements: impl FnOnce(&mut Encoder, &mut Writer),
    ) -> usize {
        if let Some(known) = self.known_nodes.get(&address) {
            return *known;
        }
        let mut node = Writer::new();
        list(&mut node, |out| elements(self, out));
        push(&mut self.nodes, node);
        let position = self.known_nodes.len();
        self.known_nodes.insert(address, position);
        position
    }

    fn scope(&mut self, scope: &Scope, out: &mut Writer) {
        match scope {
            Scope::Environment(environment) => {
                let node = self.environment(environment);
                object("e", out, |out| number(node, out));
            }
            Scope::Value(value) => self.value(value, out),
            Scope::Attributes(value) => {
                let node = self.structure(value);
                object("a", out, |out| number(node, out));
            }
            Scope::Under(name, inner) => {
                out.begin_object();
                out.name("w");
                out.text(name);
                out.name("in");
                self.scope(inner, out);
                out.end_object();
            }
        }
    }
}

enum Node {
    Value(Value),
    Environment(Arc<Environment>),
}

struct Decoder {
    types: Vec<Type>,
    nodes: Vec<Node>,
}

type Decoded<T> = Result<T, String>;

fn find<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    match json {
        Json::Object(members) => {
            members.iter().find(|(known, _)| **known == *name).map(|(_, json)| json)
        }
        _ => None,
    }
}

fn member<'j>(json: &'j Json, name: &str) -> Decoded<&'j Json> {
    find(json, name).ok_or_else(|| format!("there is no {name:?}"))
}

fn array(json: &Json) -> Decoded<&[Json]> {
    match json {
        Json::Array(elements) => Ok(elements),
        other => Err(format!("expected a list, got {}", other.describe())),
    }
}

fn string(json: &Json) -> Decoded<&Arc<str>> {
    match json {
        Json::Text(text) => Ok(text),
        other => Err(format!("expected a string, got {}", other.describe())),
    }
}

fn index(json: &Json) -> Decoded<usize> {
    match json {
        Json::Integer(Integer::Small(small)) => {
            usize::try_from(*small).map_err(|_| format!("{small} is no index"))
        }
        other => Err(format!("expected an index, got {}", other.describe())),
    }
}

impl Decoder {
    fn ty(&self, json: &Json) -> Decoded<Type> {
        match json {
            Json::Text(name) => match &**name {
                "String" => Ok(Type::String),
                "Integer" => Ok(Type::Integer),
                "Float" => Ok(Type::Float),
                "Boolean" => Ok(Type::Boolean),
                other => Err(format!("there is no type {other:?}")),
            },
            json => {
                let index = index(json)?;
                self.types.get(index).cloned().ok_or_else(|| format!("there is no type {index}"))
            }
        }
    }

    fn declaration(&self, json: &Json) -> Decoded<Type> {
        if let Some(name) = find(json, "schema") {
            let name = string(name)?;
            let known = schema::known(name).ok_or_else(|| format!("there is no schema {name:?}"));
            return known.map(Type::Struct);
        }
        if let Some(element) = find(json, "list") {
            return Ok(Type::list(self.ty(element)?));
        }
        if let Some(pair) = find(json, "map") {
            return match array(pair)? {
                [key, value] => Ok(Type::map(self.ty(key)?, self.ty(value)?)),
                _ => Err("a map type has two parts".to_owned()),
            };
        }
        if let Some(parts) = find(json, "enum") {
            let [name, words] = array(parts)? else {
                return Err("an enumeration has two parts".to_owned());
            };
            let words = array(words)?.iter().map(|word| Ok(Box::from(&**string(word)?)));
            let words = words.collect::<Decoded<Vec<Box<str>>>>()?;
            return Ok(Type::Enum(EnumType::new(string(name)?, words)));
        }
        if let Some(parts) = find(json, "choice") {
            let [name, alternatives] = array(parts)? else {
                return Err("a choice has two parts".to_owned());
            };
            let alternatives = array(alternatives)?
                .iter()
                .map(|ty| self.ty(ty))
                .collect::<Decoded<Vec<Type>>>()?;
            return Ok(match name {
                Json::Null => Type::choice(alternatives),
                name => Type::named_choice(string(name)?, alternatives),
            });
        }
        let [name, fields] = array(member(json, "struct")?)? else {
            return Err("a struct has two parts".to_owned());
        };
        let fields = array(fields)?.iter().map(|field| self.field(field));
        Ok(Type::structure(string(name)?, fields.collect::<Decoded<Vec<Field>>>()?))
    }

    fn field(&self, json: &Json) -> Decoded<Field> {
        let [name, ty, presence] = array(json)? else {
            return Err("a field has three parts".to_owned());
        };
        let presence = match presence {
            Json::Array(default) => {
                let [document] = &default[..] else {
                    return Err("a default has one part".to_owned());
                };
                let document = crate::json::parse(string(document)?.as_bytes())
                    .map_err(|error| error.to_string())?;
                match decode(&document)?.pop() {
                    Some(value) => Presence::Default(value),
                    None => return Err("a default is missing".to_owned()),
                }
            }
            json if index(json)? == 1 => Presence::Required,
            _ => Presence::Optional,
        };
        Ok(Field::new(string(name)?, self.ty(ty)?, presence))
    }

    fn node(&self, json: &Json) -> Decoded<Node> {
        let value = match array(json)? {
            [kind, ty, origin, given] if **string(kind)? == *"S" => {
                let Type::Struct(ty) = self.ty(ty)? else {
                    return Err("a struct's type is no struct".to_owned());
                };
                self.structure(ty, origin, given)?
            }
            [kind, ty, items] if **string(kind)? == *"L" => {
                let Type::List(ty) = self.ty(ty)? else {
                    return Err("a list's type is no list".to_owned());
                };
                let items = array(items)?.iter().map(|item| self.content(&ty.element, item));
                let items = items.collect::<Decoded<Vec<Value>>>()?;
                Value::from_data(Data::List(Arc::new(ListValue { ty, items })))
            }
            [kind, ty, entries] if **string(kind)? == *"M" => {
                let Type::Map(ty) = self.ty(ty)? else {
                    return Err("a map's type is no map".to_owned());
                };
                let pairs = array(entries)?.chunks_exact(2).map(|pair| {
                    Ok((self.content(&ty.key, &pair[0])?, self.content(&ty.value, &pair[1])?))
                });
                let entries = pairs.collect::<Decoded<Vec<(Value, Value)>>>()?;
                Value::from_data(Data::Map(Arc::new(MapValue { ty, entries })))
            }
            [kind, ty, open, inner, unfit] if **string(kind)? == *"C" => {
                let Type::Choice(ty) = self.ty(ty)? else {
                    return Err("a choice's type is no choice".to_owned());
                };
                let open = *open == Json::Bool(true);
                let inner = self.value(inner)?;
                let unfit = match unfit {
                    Json::Array(parts) => match &parts[..] {
                        [tried, attribute] => {
                            Some((Arc::clone(string(tried)?), Arc::clone(string(attribute)?)))
                        }
                        _ => return Err("what is unfit has two parts".to_owned()),
                    },
                    _ => None,
                };
                let choice = ChoiceValue { ty, inner, open, unfit };
                Value::from_data(Data::Choice(Arc::new(choice)))
            }
            [kind, entries] if **string(kind)? == *"E" => {
                return self.environment(array(entries)?).map(Node::Environment);
            }
            _ => return Err("there is a node of no known kind".to_owned()),
        };
        Ok(Node::Value(value))
    }

    fn structure(&self, ty: Arc<StructType>, origin: &Json, given: &Json) -> Decoded<Value> {
        let mut attributes = Vec::new();
        for pair in array(given)?.chunks_exact(2) {
            let position = index(&pair[0])?;
            let Some(field) = ty.fields().get(position) else {
                return Err(format!("{} has no attribute number {position}", ty.name()));
            };
            let value = match find(&pair[1], "x") {
                Some(_) => None,
                None => Some(self.content(field.ty(), &pair[1])?),
            };
            attributes.push((position as u16, value));
        }
        let origin = match origin {
            Json::Array(parts) => match &parts[..] {
                [file, line, column] => Some(Origin {
                    file: Arc::clone(string(file)?),
                    line: index(line)? as u32,
                    column: index(column)? as u32,
                }),
                _ => return Err("an origin has three parts".to_owned()),
            },
            _ => None,
        };
        Ok(Value::from_struct(ty, attributes).made_at(origin.as_ref()))
    }

    fn environment(&self, entries: &[Json]) -> Decoded<Arc<Environment>> {
        let mut environment = Environment::new();
        for entry in entries {
            let [address, binding] = array(entry)? else {
                return Err("a binding has two parts".to_owned());
            };
            let address = Ref::parse(string(address)?).map_err(|error| error.to_string())?;
            let binding = match binding {
                Json::Text(text) => Binding::Text(Arc::clone(text)),
                json => match find(json, "e") {
                    Some(node) => Binding::Environment(self.environment_node(node)?),
                    None => Binding::Value(self.value(json)?),
                },
            };
            environment.insert(&address, binding);
        }
        Ok(Arc::new(environment))
    }

    fn environment_node(&self, json: &Json) -> Decoded<Arc<Environment>> {
        match self.nodes.get(index(json)?) {
            Some(Node::Environment(environment)) => Ok(Arc::clone(environment)),
            _ => Err("an environment is missing".to_owned()),
        }
    }

    fn value_node(&self, json: &Json) -> Decoded<&Value> {
        match self.nodes.get(index(json)?) {
            Some(Node::Value(value)) => Ok(value),
            _ => Err("a value is missing".to_owned()),
        }
    }

    fn value(&self, json: &Json) -> Decoded<Value> {
        match find(json, "t") {
            Some(ty) => self.content(&self.ty(ty)?, member(json, "v")?),
            None => self.content(&Type::String, json),
        }
    }

    fn content(&self, ty: &Type, json: &Json) -> Decoded<Value> {
        let raw = match json {
            Json::Null => Raw::Null,
            Json::Bool(value) => Raw::Bool(*value),
            Json::Integer(value) => Raw::Integer(value.clone()),
            Json::Float(value) => Raw::Float(*value),
            Json::Text(value) => Raw::Text(Arc::clone(value)),
            Json::Array(_) => return Err("a list is no content".to_owned()),
            object => {
                if let Some(form) = find(object, "f") {
                    Raw::Foreign(Arc::clone(string(form)?))
                } else {
                    let value = match find(object, "n") {
                        Some(node) => self.value_node(node)?.clone(),
                        None => self.content(ty, member(object, "v")?)?,
                    };
                    return match find(object, "s") {
                        Some(scopes) => {
                            let scopes = array(scopes)?.iter().map(|scope| self.scope(scope));
                            Ok(value.with_scopes(scopes.collect::<Decoded<Vec<Scope>>>()?))
                        }
                        None => Ok(value),
                    };
                }
            }
        };
        Ok(Value::scalar(ty.clone(), raw))
    }

    fn scope(&self, json: &Json) -> Decoded<Scope> {
        if let Some(node) = find(json, "e") {
            return self.environment_node(node).map(Scope::Environment);
        }
        if let Some(node) = find(json, "a") {
            return match &self.value_node(node)?.data {
                Data::Struct(value) => Ok(Scope::Attributes(Arc::clone(value))),
                _ => Err("attributes of no struct".to_owned()),
            };
        }
        if let Some(name) = find(json, "w") {
            let name = match &**string(name)? {
                "self" => "self",
                "super" => "super",
                other => return Err(format!("nothing is under {other:?}")),
            };
            return Ok(Scope::Under(name, Arc::new(self.scope(member(json, "in")?)?)));
        }
        self.value(json).map(Scope::Value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpolate::{Limits, interpolate};

    fn there_and_back(value: &Value) -> Value {
        let document = encode(std::slice::from_ref(value));
        let json = crate::json::parse(document.as_bytes()).unwrap();
        decode(&json).unwrap().pop().unwrap()
    }

    fn reference(address: &str) -> Ref {
        Ref::parse(address).unwrap()
    }

    #[test]
    fn everything_that_is_bound_comes_along() {
        let profile = StructType::new(
            "Profile",
            vec![
                Field::required("stage", Type::String),
                Field::with_default("cpu", Value::float(1.0)),
                Field::optional("tags", Type::list(Type::enumeration("Tag", &["A", "B"]))),
            ],
        );
        let stage = Value::structure(&profile, [("stage", Some(Value::string("{{s}}")))]).unwrap();
        let mut inner = Environment::new();
        inner.insert(&reference("s"), Binding::Text("prod".into()));
        inner.insert(&reference("deep.er[1]"), Binding::Value(Value::integer(7)));
        let mut outer = Environment::new();
        outer.insert(&reference("profile"), Binding::Value(stage));
        outer.insert(&reference("table"), Binding::Environment(Arc::new(inner.clone())));
        let origin = Origin { file: "a.aurora".into(), line: 3, column: 5 };
        let process = Value::structure(
            &schema::PROCESS,
            [
                ("name", Some(Value::string("{{profile.stage}}-{{table.s}}-{{deep.er[1]}}"))),
                ("max_failures", None),
            ],
        )
        .unwrap()
        .made_at(Some(&origin))
        .bind([Scope::Environment(Arc::new(outer)), Scope::Environment(Arc::new(inner))]);
        let back = there_and_back(&process);
        assert_eq!(back, process);
        assert_eq!(back.as_struct().unwrap().origin(), Some(&origin));
        let done = interpolate(&back, &Limits::default()).unwrap().value;
        assert_eq!(done.attribute("name").unwrap().as_text(), Some("prod-prod-7"));
        assert_eq!(done.attribute("max_failures"), None);
    }

    #[test]
    fn every_content() {
        for value in [
            Value::string("é{{x}}\n"),
            Value::scalar(Type::Integer, Raw::Null),
            Value::scalar(Type::Integer, Raw::Foreign("[1]".into())),
            Value::scalar(Type::Float, Raw::Float(f64::INFINITY)),
            Value::scalar(Type::Integer, Raw::Integer(Integer::Big("1".repeat(40).into()))),
            Value::boolean(true).bind([Scope::Value(Value::string("x"))]),
            Value::scalar(Type::enumeration("E", &["a"]), Raw::Text("a".into())),
            Value::string("x").bind([Scope::Under(
                "super",
                Arc::new(Scope::Under("self", Arc::new(Scope::Environment(Arc::default())))),
            )]),
        ] {
            assert_eq!(there_and_back(&value), value);
        }
        let map = Type::map(Type::String, Type::choice(vec![Type::Integer, Type::String]));
        let json = crate::json::parse(br#"{"a": 1, "b": "{{x}}"}"#).unwrap();
        let value = Value::from_json(&map, json, crate::value::Strictness::Strict).unwrap();
        assert_eq!(there_and_back(&value), value);
    }

    #[test]
    fn what_is_shared_is_written_once() {
        let process = Value::structure(
            &schema::PROCESS,
            [("cmdline", Some(Value::string(&"x".repeat(1_000))))],
        )
        .unwrap();
        let list = Type::list(process.ty());
        let Type::List(list) = list else { panic!() };
        let many = Value::list(&list, vec![process; 100]).unwrap();
        let document = encode(&[many.clone(), many.clone()]);
        assert!(document.len() < 3_500, "{}", document.len());
        let json = crate::json::parse(document.as_bytes()).unwrap();
        assert_eq!(decode(&json).unwrap(), [many.clone(), many]);
    }

    #[test]
    fn nonsense_is_refused() {
        for document in [
            "{}",
            r#"{"types": [], "nodes": [], "values": [{"n": 0}]}"#,
            r#"{"types": [{"schema": "Nothing"}], "nodes": [], "values": []}"#,
            r#"{"types": [], "nodes": [["L", 0, []]], "values": []}"#,
            r#"{"types": [{"list": 0}], "nodes": [], "values": []}"#,
            r#"{"types": [], "nodes": [["E", [["x y", "v"]]]], "values": []}"#,
            r#"{"types": [{"schema": "Task"}], "nodes": [["S", 0, null, [99, 1]]], "values": []}"#,
        ] {
            let json = crate::json::parse(document.as_bytes()).unwrap();
            assert!(decode(&json).is_err(), "{document}");
        }
    }
}
