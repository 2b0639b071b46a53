//! Mistakes in the words that the configuration language has always used for them, which configuration
//! files may catch and people search for.
//!
//! Source of behaviour: Aurora configuration reference, "What each scalar accepts", "Check",
//! "Error classes".

use crate::error::{Cause, Error, Segment};
use crate::types::Type;

/// The message of an error that an operation raises.
pub fn message(error: &Error) -> String {
    match error.cause() {
        Some(Cause::Coercion { got, ty, words: None }) => format!("Cannot coerce '{got}' to {ty}"),
        Some(Cause::Coercion { got, ty, words: Some(words) }) => {
            format!("Cannot coerce '{got}' to {ty}: {got} is not one of {words}")
        }
        Some(Cause::NoAlternative { got, ty }) => {
            format!("{ty} typecheck failed: value {got} did not match any of its alternatives")
        }
        Some(Cause::UnknownAttribute(name)) => format!("Unknown schema attribute {name}"),
        Some(Cause::BadReference(text)) => bad_reference(text),
        Some(Cause::Endless(text)) => {
            format!("Unable to interpolate {text}!  Maximum replacements reached.")
        }
        Some(Cause::Required | Cause::Unresolved { .. } | Cause::Index | Cause::Overflow)
        | None => error.message().to_owned(),
    }
}

/// What is said of a text that is no address.
pub fn bad_reference(text: &str) -> String {
    let Some(first) = text.chars().next() else {
        return "Invalid address: ''".to_owned();
    };
    match first {
        '.' | '[' => format!("Badly formed address {text}"),
        '_' => format!("Badly formed address .{text}"),
        c if c.is_ascii_alphabetic() => format!("Badly formed address .{text}"),
        _ => text.to_owned(),
    }
}

/// The message of a failed type check of a value of this type.
pub fn check_message(ty: &Type, error: &Error) -> String {
    let mut out = String::new();
    describe(ty, error.path().segments(), error, &mut out);
    out
}

fn describe(ty: &Type, path: &[Segment], error: &Error, out: &mut String) {
    let Some((segment, rest)) = path.split_first() else {
        out.push_str(&leaf(ty, error));
        return;
    };
    match (ty, segment) {
        (Type::Struct(structure), Segment::Field(name)) => {
            if rest.is_empty() && error.cause() == Some(&Cause::Required) {
                out.push_str(&format!("{}[{name}] is required.", structure.name()));
                return;
            }
            out.push_str(&format!("{}[{name}] failed: ", structure.name()));
            if let Some(position) = structure.position(name) {
                describe(structure.fields()[position].ty(), rest, error, out);
            }
        }
        (Type::List(list), Segment::Index(_)) => {
            out.push_str(&format!("Element in {ty} failed check: "));
            describe(&list.element, rest, error, out);
        }
        (Type::Map(map), Segment::Key(key)) => {
            out.push_str(&format!("{ty}[{key}] failed check: "));
            describe(&map.value, rest, error, out);
        }
        (Type::Choice(choice), _) => match choice.alternatives.iter().find(|ty| leads(ty, path)) {
            Some(alternative) => describe(alternative, path, error, out),
            None => out.push_str(&leaf(ty, error)),
        },
        _ => out.push_str(&leaf(ty, error)),
    }
}

/// Whether values of a type have something at the end of a path.
fn leads(ty: &Type, path: &[Segment]) -> bool {
    let Some((segment, rest)) = path.split_first() else { return true };
    match (ty, segment) {
        (Type::Struct(structure), Segment::Field(name)) => structure
            .position(name)
            .is_some_and(|position| leads(structure.fields()[position].ty(), rest)),
        (Type::List(list), Segment::Index(_)) => leads(&list.element, rest),
        (Type::Map(map), Segment::Key(_)) => leads(&map.value, rest),
        (Type::Choice(choice), _) => choice.alternatives.iter().any(|ty| leads(ty, path)),
        _ => false,
    }
}

fn leaf(ty: &Type, error: &Error) -> String {
    match error.cause() {
        Some(Cause::Unresolved { got }) => {
            let kind = match ty {
                Type::String => "not a string".to_owned(),
                Type::Integer => "not an integer".to_owned(),
                Type::Float => "not a float".to_owned(),
                Type::Boolean => "not a boolean".to_owned(),
                Type::Enum(ty) => format!(
                    "not in the enumeration ({})",
                    ty.words().collect::<Vec<_>>().join(", ")
                ),
                _ => "not resolved".to_owned(),
            };
            format!("'{got}' {kind}")
        }
        Some(Cause::Coercion { .. } | Cause::Endless(_)) => {
            format!("Unable to interpolate: {}", message(error))
        }
        _ => message(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{MESOS_JOB, TASK, from_json};
    use crate::value::{Strictness, Value};

    fn check(schema: &std::sync::Arc<crate::types::StructType>, json: &str) -> String {
        let json = crate::json::parse(json.as_bytes()).unwrap();
        let value = from_json(schema, json, Strictness::Strict).unwrap();
        check_message(&value.ty(), &value.check().unwrap_err())
    }

    #[test]
    fn checks() {
        assert_eq!(
            check(&TASK, r#"{"processes": [{"name": "a"}]}"#),
            "Task[processes] failed: Element in ProcessList failed check: \
             Process[cmdline] is required."
        );
        assert_eq!(
            check(&TASK, r#"{"name": "a", "max_failures": "{{x}}"}"#),
            "Task[max_failures] failed: '{{x}}' not an integer"
        );
        assert_eq!(
            check(&TASK, r#"{"name": "a", "max_failures": "many"}"#),
            "Task[max_failures] failed: Unable to interpolate: Cannot coerce 'many' to Integer"
        );
        assert_eq!(check(&MESOS_JOB, r#"{"name": "a"}"#), "MesosJob[role] is required.");
        assert_eq!(
            check(
                &MESOS_JOB,
                r#"{"name": "a", "role": "r", "cluster": "c", "environment": "e",
                    "task": {"name": "t"}, "container": {"docker": {}}}"#
            ),
            "MesosJob[container] failed: Container[docker] failed: Docker[image] is required."
        );
        // Docker has an image too, but nothing inside of it.
        assert_eq!(
            check(
                &MESOS_JOB,
                r#"{"name": "a", "role": "r", "cluster": "c", "environment": "e",
                    "task": {"name": "t"}, "container": {"image": {"name": "i"}, "volumes": []}}"#
            ),
            "MesosJob[container] failed: Mesos[image] failed: AppcImage[image_id] is required."
        );
    }

    #[test]
    fn bad_addresses() {
        let raised = |text: &str| message(&Value::string(text).check().unwrap_err());
        assert_eq!(raised("{{ version }}"), " version ");
        assert_eq!(raised("{{1}}"), "1");
        assert_eq!(raised("{{x y}}"), "Badly formed address .x y");
        assert_eq!(raised("{{.}}"), "Badly formed address .");
    }
}
