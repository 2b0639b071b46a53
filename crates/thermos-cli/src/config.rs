//! Tasks from files, and values from the command line.

use std::collections::BTreeMap;
use std::path::Path;

use aurora_schema::Bindings;
use aurora_schema::task::{self, ErrorKind};
use thermos_runner::flags;

use crate::cli;
use crate::exit::Code;
use crate::failure::Failure;

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
    if !options.json && !looks_like_json(path, &text) {
        return Err(Failure::usage(format!(
            "{name} is not JSON. Files in Python syntax (.aurora, .thermos) cannot be read yet; \
             write the task as JSON, and say --json if it is"
        )));
    }
    Ok(Source { text, name })
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
        let python = file("x.aurora", "task = Task()");
        let error = load(&options(&[&python], false)).unwrap_err();
        assert_eq!(error.code, Code::Usage);
        assert!(error.message.contains("--json"), "{}", error.message);
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
