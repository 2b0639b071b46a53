//! Expressions of the configuration language with what the original made of them. The table was
//! translated from recorded Python expressions (kept in `expr`) into a form that needs no Python.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json;
use aurora_schema::number::Integer;
use aurora_schema::scope::{Binding, Environment, Scope};
use aurora_schema::template::Ref;
use aurora_schema::types::{Field, StructType, Type};
use aurora_schema::value::{Raw, Strictness, Value};
use serde_json::Value as J;

/// Units whose outcome differs on purpose.
const DEVIATIONS: &[(&str, &str)] = &[
    ("u009", "a value is accepted as one of its own type; it is not looked at as plain content"),
    ("u343", "all alternatives of a choice are tried for an object, not only the first"),
];

struct Types {
    inner: Arc<StructType>,
    outer: Arc<StructType>,
    req: Arc<StructType>,
}

impl Types {
    /// `Inner`, `Outer` and `Req` as the recorded expressions declare them.
    fn new() -> Types {
        let inner = StructType::new(
            "Inner",
            vec![
                Field::with_default("a", Value::string("inner-a")),
                Field::optional("n", Type::Integer),
            ],
        );
        let as_type = || Type::Struct(Arc::clone(&inner));
        let outer = StructType::new(
            "Outer",
            vec![
                Field::with_default("a", Value::string("outer-a")),
                Field::with_default("inner", Value::structure(&inner, []).unwrap()),
                Field::optional("items", Type::list(as_type())),
                Field::optional("table", Type::map(Type::String, as_type())),
            ],
        );
        let req = StructType::new(
            "Req",
            vec![Field::required("r", Type::String), Field::optional("o", Type::Integer)],
        );
        Types { inner, outer, req }
    }

    fn ty(&self, json: &J) -> Type {
        if let Some(name) = json.as_str() {
            return match name {
                "String" => Type::String,
                "Integer" => Type::Integer,
                "Float" => Type::Float,
                "Boolean" => Type::Boolean,
                "Inner" => Type::Struct(Arc::clone(&self.inner)),
                "Outer" => Type::Struct(Arc::clone(&self.outer)),
                "Req" => Type::Struct(Arc::clone(&self.req)),
                other => panic!("{other}"),
            };
        }
        let (kind, parameters) = json.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "list" => Type::list(self.ty(parameters)),
            "map" => Type::map(self.ty(&parameters[0]), self.ty(&parameters[1])),
            "choice" => {
                Type::choice(parameters.as_array().unwrap().iter().map(|ty| self.ty(ty)).collect())
            }
            "enum" => {
                let words: Vec<&str> =
                    parameters.as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
                Type::enumeration(&format!("Enum_{}", words.join("_")), &words)
            }
            other => panic!("{other}"),
        }
    }

    fn node(&self, json: &J) -> Result<Value, String> {
        let ty = self.ty(&json["type"]);
        let mut value = if let Some(text) = json["load"].as_str() {
            let strictness = match json["strict"].as_bool() {
                Some(true) => Strictness::Strict,
                _ => Strictness::Lenient,
            };
            let document = json::parse(text.as_bytes()).map_err(|e| e.to_string())?;
            Value::from_json(&ty, document, strictness).map_err(|e| e.to_string())?
        } else if let Some(fields) = json["fields"].as_array() {
            self.structure(&ty, fields)?
        } else {
            self.argument(&ty, &json["arg"])?
        };
        for step in json["then"].as_array().into_iter().flatten() {
            value = if let Some(scopes) = step["bind"].as_array() {
                value.bind(self.scopes(scopes)?)
            } else if let Some(scopes) = step["in_scope"].as_array() {
                value.in_scope(self.scopes(scopes)?)
            } else {
                let fields = self.fields(&ty, step["set"].as_array().unwrap())?;
                let fields = fields.iter().map(|(name, value)| (&**name, value.clone()));
                value.with_attributes(fields).map_err(|e| e.to_string())?
            };
        }
        Ok(value)
    }

    fn structure(&self, ty: &Type, fields: &[J]) -> Result<Value, String> {
        let Type::Struct(structure) = ty else { return Err("not a struct".to_owned()) };
        let fields = self.fields(ty, fields)?;
        let fields = fields.iter().map(|(name, value)| (&**name, value.clone()));
        Value::structure(structure, fields).map_err(|e| e.to_string())
    }

    fn fields(&self, ty: &Type, fields: &[J]) -> Result<Vec<(String, Option<Value>)>, String> {
        let Type::Struct(structure) = ty else { return Err("not a struct".to_owned()) };
        let mut out = Vec::new();
        for field in fields {
            let name = field[0].as_str().unwrap();
            let position = structure.position(name).ok_or("unknown attribute")?;
            let value = match field[1].get("empty") {
                Some(_) => None,
                None => Some(self.argument(structure.fields()[position].ty(), &field[1])?),
            };
            out.push((name.to_owned(), value));
        }
        Ok(out)
    }

    /// What a type's constructor makes of an argument.
    fn argument(&self, ty: &Type, argument: &J) -> Result<Value, String> {
        if let Some(node) = argument.get("node") {
            let value = self.node(node)?;
            return match ty {
                ty if value.ty() == *ty => Ok(value),
                Type::Choice(choice) => Value::choice(choice, value).map_err(|e| e.to_string()),
                _ => Err("another type".to_owned()),
            };
        }
        if let Type::Choice(choice) = ty
            && argument.get("json").is_none()
        {
            let mut tried = choice.alternatives.iter();
            return tried
                .find_map(|ty| self.argument(ty, argument).ok())
                .ok_or("no alternative".to_owned())
                .and_then(|value| Value::choice(choice, value).map_err(|e| e.to_string()));
        }
        if let Some(items) = argument["items"].as_array() {
            let Type::List(list) = ty else { return Err("not a list".to_owned()) };
            let items: Result<Vec<Value>, String> =
                items.iter().map(|item| self.argument(&list.element, item)).collect();
            return Value::list(list, items?).map_err(|e| e.to_string());
        }
        if let Some(entries) = argument["entries"].as_array() {
            if let Type::Struct(_) = ty {
                let fields: Vec<J> = entries
                    .iter()
                    .map(|entry| serde_json::json!([entry[0]["json"], entry[1]]))
                    .collect();
                return self.structure(ty, &fields);
            }
            let Type::Map(map) = ty else { return Err("not a map".to_owned()) };
            let entries: Result<Vec<(Value, Value)>, String> = entries
                .iter()
                .map(|entry| {
                    Ok((self.argument(&map.key, &entry[0])?, self.argument(&map.value, &entry[1])?))
                })
                .collect();
            return Value::map(map, entries?).map_err(|e| e.to_string());
        }
        let plain = &argument["json"];
        let raw = match plain {
            J::Null => Raw::Null,
            J::Bool(b) => Raw::Bool(*b),
            J::String(s) => Raw::Text(s.as_str().into()),
            J::Number(n) => match n.as_i64() {
                Some(i) => Raw::Integer(Integer::Small(i)),
                None => Raw::Float(n.as_f64().unwrap()),
            },
            big => Raw::Integer(Integer::parse(big["$int"].as_str().unwrap()).unwrap()),
        };
        match ty {
            Type::Enum(_) => {
                // The constructor of an enumeration looks at words without references.
                let value = Value::scalar(ty.clone(), raw);
                let done = interpolate(&value, &Limits::default()).map_err(|e| e.to_string())?;
                let _ = done;
                Ok(value)
            }
            Type::Choice(_) => {
                let document = json::parse(plain.to_string().as_bytes()).unwrap();
                Value::from_json(ty, document, Strictness::Strict).map_err(|e| e.to_string())
            }
            ty if ty.is_scalar() => Ok(Value::scalar(ty.clone(), raw)),
            _ => Err("not a scalar".to_owned()),
        }
    }

    fn scopes(&self, scopes: &[J]) -> Result<Vec<Scope>, String> {
        let mut out = Vec::new();
        for scope in scopes {
            if let Some(node) = scope.get("value") {
                out.push(Scope::Value(self.node(node)?));
                continue;
            }
            let mut environment = Environment::new();
            for entry in scope["env"].as_array().unwrap() {
                let reference =
                    Ref::parse(entry[0].as_str().unwrap()).map_err(|e| e.to_string())?;
                let binding = match entry[1]["text"].as_str() {
                    Some(text) => Binding::Text(text.into()),
                    None => Binding::Value(self.node(&entry[1]["node"])?),
                };
                environment.insert(&reference, binding);
            }
            out.push(Scope::Environment(Arc::new(environment)));
        }
        Ok(out)
    }
}

/// The value as other text sees it.
fn text(value: &Value) -> Option<String> {
    let mut environment = Environment::new();
    environment.insert(&Ref::parse("v").unwrap(), Binding::Value(value.clone()));
    let probe = Value::string("{{v}}").bind([Scope::Environment(Arc::new(environment))]);
    let done = interpolate(&probe, &Limits::default()).ok()?;
    done.value.as_text().map(str::to_owned)
}

fn same(ours: &str, theirs: &J) -> bool {
    let theirs = if let Some(big) = theirs["$int"].as_str() {
        big.to_owned()
    } else if let Some(float) = theirs["$float"].as_str() {
        float.replace("nan", "NaN").replace("inf", "Infinity")
    } else {
        theirs.to_string()
    };
    let parse = |text: &str| json::parse(text.as_bytes()).unwrap();
    json::same_value(&parse(ours), &parse(&theirs))
}

fn check_unit(types: &Types, unit: &J) -> Result<(), String> {
    let expect = &unit["expect"];
    let made = types.node(&unit["make"]);
    if expect.get("error").is_some() {
        return match made {
            Err(_) => Ok(()),
            Ok(value) => match interpolate(&value, &Limits::default()) {
                // A null is refused, though later than by the original.
                Err(_) => Ok(()),
                Ok(done) => Err(format!("no error, but {}", done.value.to_json())),
            },
        };
    }
    let refused_early = expect["check"] == J::Bool(false);
    let value = match made {
        Ok(value) => value,
        Err(_) if refused_early => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Some(ty) = expect["type"].as_str()
        && value.ty().to_string() != ty
    {
        return Err(format!("type {}", value.ty()));
    }
    let done = interpolate(&value, &Limits::default());
    if expect.get("interpolation_error").is_some() && done.is_ok() {
        return Err("interpolated".to_owned());
    }
    if let Some(theirs) = expect.get("value") {
        let done = done.map_err(|e| e.to_string())?;
        if !same(&done.value.to_json(), theirs) {
            return Err(format!("value {}", done.value.to_json()));
        }
        let unbound: Vec<String> = done.unbound.keys().map(ToString::to_string).collect();
        let mut expected: Vec<&str> =
            expect["unbound"].as_array().unwrap().iter().map(|u| u.as_str().unwrap()).collect();
        expected.sort_unstable();
        if unbound != expected {
            return Err(format!("unbound {unbound:?}"));
        }
    }
    if let Some(ok) = expect["check"].as_bool()
        && value.check().is_ok() != ok
    {
        return Err(format!("check {:?}", value.check()));
    }
    if let Some(theirs) = expect["str"].as_str()
        && let Some(ours) = text(&value)
        && ours != theirs
    {
        return Err(format!("text {ours:?}"));
    }
    Ok(())
}

#[test]
fn recorded_expressions() {
    let table = include_str!("../../../fixtures/config/units.json");
    let table: Vec<J> = serde_json::from_str(table).unwrap();
    assert!(table.len() > 150);
    let types = Types::new();
    let mut failures = Vec::new();
    for unit in &table {
        let id = unit["id"].as_str().unwrap();
        let deviates = DEVIATIONS.iter().any(|(deviation, _)| *deviation == id);
        match check_unit(&types, unit) {
            Ok(()) if deviates => failures.push(format!("{id}: no longer deviates")),
            Err(error) if !deviates => {
                failures
                    .push(format!("{id} {}: {error}; expected {}", unit["expr"], unit["expect"]));
            }
            _ => {}
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
