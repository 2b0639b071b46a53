//! Tasks from files, and values from the command line.

use std::collections::BTreeMap;
use std::path::Path;

use aurora_client::evaluate::{Evaluator, Kind};
use aurora_client::problem::Problem;
use aurora_schema::Bindings;
use aurora_schema::interpolate::{Limits, interpolate, interpolate_part};
use aurora_schema::task::{self, ErrorKind};
use aurora_schema::value::Value;
use thermos_runner::flags;

use crate::cli;
use crate::exit::Code;
use crate::failure::Failure;
use crate::output::emit;

/// A task as it was written, and where.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// JSON.
    pub(crate) text: Vec<u8>,
    /// For messages.
    pub(crate) name: String,
}

/// Values for references, checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    /// Ports by name.
    pub(crate) ports: BTreeMap<String, i64>,
    /// Other references: address and value.
    pub(crate) environment: Vec<(String, String)>,
}

impl Values {
    /// Understands `-P` and `-E`.
    pub(crate) fn parse(options: &cli::Bindings) -> Result<Values, Failure> {
        let mut values = Values::default();
        for port in &options.ports {
            let (name, number) =
                flags::port(port).map_err(|error| Failure::usage(format!("option -P: {error}")))?;
            values.ports.insert(name, number);
        }
        let mut check = Bindings::new();
        for binding in &options.environment {
            let (name, value) = binding.split_once('=').ok_or_else(|| {
                Failure::usage(format!("option -E: {binding:?} is not of the form NAME=VALUE"))
            })?;
            check.bind(name, value).map_err(|error| {
                Failure::usage(format!("option -E: cannot bind {name:?}: {error}"))
            })?;
            values.environment.push((name.to_owned(), value.to_owned()));
        }
        Ok(values)
    }

    /// The same for the schema. With `task`, also what every running task has.
    pub(crate) fn bindings(&self, task: Option<(&str, &str)>) -> Bindings {
        let mut bindings = Bindings::new();
        let own = task.into_iter().flat_map(|(id, user)| {
            [
                ("thermos.task_id".to_owned(), id.to_owned()),
                ("thermos.user".to_owned(), user.to_owned()),
            ]
        });
        let ports = self
            .ports
            .iter()
            .map(|(name, port)| (format!("thermos.ports[{name}]"), port.to_string()));
        for (address, value) in self.environment.iter().cloned().chain(own).chain(ports) {
            // -E was checked before; the name of a port that is no reference cannot be referred to.
            let _ = bindings.bind(&address, &value);
        }
        bindings
    }
}

fn looks_like_json(path: &Path, text: &[u8]) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
        || text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

/// Reads the one file that a command was given.
pub(crate) fn load(options: &cli::Config) -> Result<Source, Failure> {
    let [path] = options.files.as_slice() else {
        let names: Vec<String> =
            options.files.iter().map(|file| format!("'{}'", file.display())).collect();
        return Err(Failure::usage(format!(
            "Should specify precisely one config, instead got: [{}]",
            names.join(", ")
        )));
    };
    let name = path.display().to_string();
    let text = std::fs::read(path)
        .map_err(|error| Failure::usage(format!("cannot read the config {name}: {error}")))?;
    if options.json || looks_like_json(path, &text) {
        return Ok(Source { text, name });
    }
    let text = evaluate(path, options)?;
    Ok(Source { text: text.into_bytes(), name })
}

/// The task of a file in Python syntax, as JSON. What the file itself binds is put in; other
/// references stay.
///
/// In a `.aurora` file that is the task of a job, seen from inside the job; in any other file it was
/// exported.
fn evaluate(path: &Path, options: &cli::Config) -> Result<String, Failure> {
    let invalid = |problem: Problem| {
        let code = match &*problem.class {
            "EvaluatorMissing" => Code::Usage,
            _ => Code::InvalidTask,
        };
        Failure::new(code, problem.report().trim_start().trim_start_matches("x ").to_owned())
    };
    let is_aurora = path.extension().is_some_and(|extension| extension == "aurora");
    let kind = if is_aurora { Kind::Aurora } else { Kind::Thermos };
    let defined = Evaluator::default().run(path, kind).map_err(invalid)?;
    if !defined.output.is_empty() {
        emit(&defined.output)?;
    }
    let given = Values::parse(&options.bindings)?.bindings(None);
    let mut tasks = Vec::new();
    for value in &defined.values {
        let value = value.bind([given.scope()]);
        let task =
            if is_aurora { task_of_job(&value) } else { interpolate(&value, &Limits::default()) };
        let task = task.map_err(|error| {
            Failure::new(Code::InvalidTask, format!("{}: {error}", path.display()))
        })?;
        tasks.push(task.value);
    }
    let name = |task: &Value| {
        task.attribute("name").and_then(Value::as_text).unwrap_or_default().to_owned()
    };
    let names: Vec<String> = tasks.iter().map(name).collect();
    let matching: Vec<&Value> = match &options.task {
        Some(wanted) => tasks.iter().filter(|task| name(task) == *wanted).collect(),
        None => tasks.iter().collect(),
    };
    match (&matching[..], &options.task) {
        ([task], _) => Ok(task.to_json()),
        ([], None) => Err(Failure::usage(format!(
            "{} defines no task: {}",
            path.display(),
            if is_aurora { "its list `jobs` is empty" } else { "it does not call export(task)" }
        ))),
        ([], Some(wanted)) => Err(Failure::usage(format!(
            "Could not find task {wanted}! The tasks in this config are {}",
            names.join(", ")
        ))),
        _ => Err(Failure::usage(format!(
            "{} defines several tasks; choose one with --task: {}",
            path.display(),
            names.join(", ")
        ))),
    }
}

/// A job's task as its instances see it, apart from what differs between them.
fn task_of_job(
    job: &Value,
) -> Result<aurora_schema::interpolate::Interpolated, aurora_schema::error::Error> {
    let mut standard = Bindings::new();
    for (address, value) in [("mesos.role", "{{role}}"), ("mesos.cluster", "{{cluster}}")] {
        // These are addresses.
        let _ = standard.bind(address, value);
    }
    let job = job.bind([standard.scope()]);
    match job.attribute("task") {
        Some(task) => interpolate_part(&job, task, &Limits::default()),
        None => interpolate(&job, &Limits::default()),
    }
}

/// Checks that the task of a file, which holds just one, is the one that was asked for.
pub(crate) fn check_name(wanted: Option<&str>, name: &str) -> Result<(), Failure> {
    match wanted {
        Some(wanted) if wanted != name => Err(Failure::usage(format!(
            "Could not find task {wanted}! The only task in this config is {name}"
        ))),
        _ => Ok(()),
    }
}

/// Is it the task that is wrong, rather than the command line?
pub(crate) fn is_invalid(source: &Source, values: &Values) -> bool {
    let error =
        task::load(&source.text, &source.name, &values.bindings(Some(("id", "user")))).err();
    error.is_some_and(|error| !matches!(error.kind(), ErrorKind::UnboundPorts(_)))
}

/// What to do about a task that was refused, as an addition to the message.
pub(crate) fn advice(code: Code, message: &str) -> &'static str {
    if code == Code::Usage && message.contains("unbound ports") {
        "; give each of them with -P NAME:PORT"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn options(files: &[&Path], json: bool) -> cli::Config {
        let files = files.iter().map(PathBuf::from).collect();
        cli::Config { json, files, ..cli::Config::default() }
    }

    #[test]
    fn one_file() {
        let error = load(&options(&[], true)).unwrap_err();
        assert_eq!(error.message, "Should specify precisely one config, instead got: []");
        let error = load(&options(&[Path::new("a"), Path::new("b")], true)).unwrap_err();
        assert_eq!(error.message, "Should specify precisely one config, instead got: ['a', 'b']");
        let error = load(&options(&[Path::new("/nosuch.json")], true)).unwrap_err();
        assert!(error.message.contains("/nosuch.json"), "{}", error.message);
    }

    #[test]
    fn json_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        // There is no evaluator next to a test program.
        let python = file("x.aurora", "task = Task()");
        let error = load(&options(&[&python], false)).unwrap_err();
        assert_eq!(error.code, Code::Usage);
        assert!(error.message.contains("AURORA_EVAL"), "{}", error.message);
        load(&options(&[&python], true)).unwrap();
        load(&options(&[&file("x.thermos", " \n {}")], false)).unwrap();
        load(&options(&[&file("x.json", "[]")], false)).unwrap();
    }

    #[test]
    fn values() {
        let parse = |ports: &[&str], environment: &[&str]| {
            Values::parse(&cli::Bindings {
                ports: ports.iter().map(|p| (*p).to_owned()).collect(),
                environment: environment.iter().map(|e| (*e).to_owned()).collect(),
            })
        };
        let values = parse(&["http:80"], &["a.b[c]=x=y"]).unwrap();
        assert_eq!(values.ports["http"], 80);
        assert_eq!(values.environment, [("a.b[c]".to_owned(), "x=y".to_owned())]);
        for (ports, environment) in
            [(&["http"][..], &[][..]), (&["http:x"], &[]), (&[], &["novalue"]), (&[], &["1bad=x"])]
        {
            let error = parse(ports, environment).unwrap_err();
            assert_eq!(error.code, Code::Usage);
            assert!(error.message.starts_with("option -"), "{}", error.message);
        }
    }

    #[test]
    fn names() {
        check_name(None, "a").unwrap();
        check_name(Some("a"), "a").unwrap();
        let error = check_name(Some("b"), "a").unwrap_err();
        assert!(error.message.starts_with("Could not find task b!"), "{}", error.message);
    }
}
