//! `thermos inspect`: what a task looks like when everything that is known has been put in.

use aurora_schema::check::check_interpolated;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json::{self, Json};
use aurora_schema::schema;
use aurora_schema::task;
use aurora_schema::value::Strictness;

use crate::cli::{Format, Inspect};
use crate::config::{self, Source, Values};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{emit, warn};
use crate::pprint;

/// Runs the command.
pub(crate) fn run(options: &Inspect) -> Outcome {
    let values = Values::parse(&options.config.bindings)?;
    let source = config::load(&options.config)?;
    let text = evaluate(&source, &values)?;
    let document = json::parse(text.as_bytes())
        .map_err(|error| Failure::new(Code::InvalidTask, format!("{}: {error}", source.name)))?;
    config::check_name(options.config.task.as_deref(), &name_of(&document))?;
    // What is printed may still lack values; whether it could be run is another question.
    match task::load(&source.text, &source.name, &values.bindings(Some(("TASK_ID", "USER")))) {
        Ok(loaded) => {
            for warning in loaded.warnings {
                warn(&format!("warning: {}: {warning}", source.name));
            }
        }
        Err(error) => {
            warn(&format!("warning: this task cannot be run as it is: {error}"));
        }
    }
    match options.format {
        Format::Python => emit(&format!("{}\n", pprint::pformat(&document)))?,
        Format::Json => emit(&format!("{text}\n"))?,
    }
    Ok(Code::Success)
}

fn name_of(document: &Json) -> String {
    let Json::Object(members) = document else { return String::new() };
    members
        .iter()
        .rev()
        .find_map(|(name, value)| match value {
            Json::Text(text) if &**name == "name" => Some(text.to_string()),
            _ => None,
        })
        .unwrap_or_default()
}

/// The task with all values put in that are known, as JSON. References without a value stay.
fn evaluate(source: &Source, values: &Values) -> Result<String, Failure> {
    let invalid = |at: &dyn std::fmt::Display| {
        Failure::new(Code::InvalidTask, format!("{}: {at}", source.name))
    };
    let document = json::parse(&source.text).map_err(|error| {
        let (line, column) = (error.line, error.column);
        Failure::new(
            Code::InvalidTask,
            format!("{}:{line}:{column}: {}", source.name, error.message),
        )
    })?;
    let raw = schema::from_json(&schema::TASK, document, Strictness::Strict)
        .map_err(|error| invalid(&error))?;
    let bound = raw.bind([values.bindings(None).scope()]);
    let evaluated = interpolate(&bound, &Limits::default()).map_err(|error| invalid(&error))?;
    check_interpolated(&evaluated.value).map_err(|error| invalid(&error))?;
    Ok(evaluated.value.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Bindings;

    fn evaluated(json: &str, options: &Bindings) -> Result<String, Failure> {
        let source = Source { text: json.as_bytes().to_vec(), name: "t.json".to_owned() };
        evaluate(&source, &Values::parse(options).unwrap())
    }

    #[test]
    fn values_are_put_in_and_the_rest_stays() {
        let json = r#"{"processes": [{"name": "p",
            "cmdline": "{{greeting}} {{who}} {{thermos.ports[http]}} {{thermos.task_id}}"}]}"#;
        let options = Bindings {
            ports: vec!["http:80".to_owned()],
            environment: vec!["greeting=hi".to_owned()],
        };
        let text = evaluated(json, &options).unwrap();
        assert!(text.contains("\"hi {{who}} 80 {{thermos.task_id}}\""), "{text}");
        assert!(text.contains("\"name\": \"p\""), "{text}");
        assert_eq!(name_of(&json::parse(text.as_bytes()).unwrap()), "p");
    }

    #[test]
    fn mistakes_are_named() {
        for (json, expected) in [
            ("{", "t.json:1:"),
            (r#"{"processes": [{"name": "p"}]}"#, "cmdline"),
            (r#"{"processes": [], "nosuch": 1}"#, "nosuch"),
        ] {
            let error = evaluated(json, &Bindings::default()).unwrap_err();
            assert_eq!(error.code, Code::InvalidTask);
            assert!(error.message.contains(expected), "{}", error.message);
        }
    }
}
