//! Command line flags in the original's spellings, from a table.
//!
//! A flag is written `--name=value`, `--name value` or, for switches, `--name`; one dash or two,
//! underscores or dashes in the name, and any unambiguous beginning of it.

use std::fmt::Write;

/// How a flag takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value: it is on.
    Switch,
    /// A value; the word names it in the help.
    Value(&'static str),
    /// A whole number.
    Integer(&'static str),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// The original's spelling, without dashes in front.
    pub name: &'static str,
    /// How it takes its value.
    pub kind: Kind,
    /// One line for the help. Empty: accepted, and not worth a line.
    pub help: &'static str,
}

/// A command line that does not fit the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError(pub String);

impl std::fmt::Display for FlagError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FlagError {}

/// A command line, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    values: Vec<(&'static str, String)>,
    /// What is no flag.
    pub arguments: Vec<String>,
}

fn normal(name: &str) -> String {
    name.replace('-', "_")
}

/// Finds the row that a name means.
fn find<'a>(table: &'a [Flag], name: &str) -> Result<&'a Flag, FlagError> {
    let wanted = normal(name);
    if let Some(flag) = table.iter().find(|flag| normal(flag.name) == wanted) {
        return Ok(flag);
    }
    let candidates: Vec<&Flag> = table
        .iter()
        .filter(|flag| !wanted.is_empty() && normal(flag.name).starts_with(&wanted))
        .collect();
    match candidates.as_slice() {
        [flag] => Ok(flag),
        [] => Err(FlagError(format!("no such option: --{name}"))),
        several => {
            let names: Vec<String> = several.iter().map(|f| format!("--{}", f.name)).collect();
            Err(FlagError(format!("ambiguous option: --{name} ({}?)", names.join(", "))))
        }
    }
}

/// Parses a command line (without the program's name).
pub fn parse(
    table: &[Flag],
    arguments: impl IntoIterator<Item = String>,
) -> Result<Parsed, FlagError> {
    let mut parsed = Parsed::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            parsed.arguments.extend(arguments);
            break;
        }
        let Some(rest) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            parsed.arguments.push(argument);
            continue;
        };
        if rest.is_empty() {
            parsed.arguments.push(argument);
            continue;
        }
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        let flag = find(table, if name == "h" { "help" } else { name })?;
        let value = match (flag.kind, value) {
            (Kind::Switch, None) => "true".to_owned(),
            (Kind::Switch, Some(value)) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => "true".to_owned(),
                "false" | "0" => "false".to_owned(),
                _ => {
                    return Err(FlagError(format!(
                        "option --{}: a switch takes no value (or true, or false), got {value:?}",
                        flag.name
                    )));
                }
            },
            (_, Some(value)) => value,
            (_, None) => arguments
                .next()
                .ok_or_else(|| FlagError(format!("option --{} needs a value", flag.name)))?,
        };
        if let Kind::Integer(_) = flag.kind
            && value.trim().parse::<i64>().is_err()
        {
            return Err(FlagError(format!(
                "option --{}: expected a whole number, got {value:?}",
                flag.name
            )));
        }
        parsed.values.push((flag.name, value));
    }
    Ok(parsed)
}

impl Parsed {
    /// The last value of a flag.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.all(name).last()
    }

    /// All values of a flag that may be repeated.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = normal(name);
        self.values.iter().filter(move |(n, _)| normal(n) == name).map(|(_, value)| value.as_str())
    }

    /// Is a switch on?
    pub fn is_on(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// The last value of a flag of [`Kind::Integer`].
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.value(name)?.trim().parse().ok()
    }
}

/// The flags of a table with their help, one or two lines each.
pub fn help(table: &[Flag]) -> String {
    let mut text = String::new();
    for flag in table.iter().filter(|flag| !flag.help.is_empty()) {
        let shown = match flag.kind {
            Kind::Switch => format!("--{}", flag.name),
            Kind::Value(word) | Kind::Integer(word) => format!("--{}={word}", flag.name),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {shown}\n        {}", flag.help);
    }
    text
}

/// Parses `NAME:PORT`.
pub fn port(text: &str) -> Result<(String, i64), FlagError> {
    let bad = |why: &str| {
        FlagError(format!("invalid port {text:?}: {why}; expected NAME:PORT, such as http:8080"))
    };
    let (name, number) = text.split_once(':').ok_or_else(|| bad("no colon"))?;
    if name.is_empty() {
        return Err(bad("no name"));
    }
    match number.parse::<i64>() {
        Ok(port @ 0..=65535) => Ok((name.to_owned(), port)),
        Ok(_) => Err(bad("a port is a number from 0 to 65535")),
        Err(_) => Err(bad("the port is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Flag] = &[
        Flag { name: "task_id", kind: Kind::Value("ID"), help: "the id" },
        Flag { name: "thermos_json", kind: Kind::Value("FILE"), help: "" },
        Flag { name: "log_to_disk", kind: Kind::Value("LEVEL"), help: "" },
        Flag { name: "log_dir", kind: Kind::Value("DIR"), help: "" },
        Flag { name: "preserve_env", kind: Kind::Switch, help: "keep" },
        Flag { name: "runner-size-mb", kind: Kind::Integer("MB"), help: "size" },
        Flag { name: "help", kind: Kind::Switch, help: "" },
    ];

    fn parsed(arguments: &[&str]) -> Result<Parsed, FlagError> {
        parse(TABLE, arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn spellings() {
        for spelling in
            ["--task_id=x", "-task_id=x", "--task-id=x", "-task-id=x", "--task=x", "--ta=x"]
        {
            assert_eq!(parsed(&[spelling]).unwrap().value("task_id"), Some("x"), "{spelling}");
        }
        assert_eq!(parsed(&["--task_id", "-x"]).unwrap().value("task_id"), Some("-x"));
        assert_eq!(parsed(&["--task_id="]).unwrap().value("task_id"), Some(""));
        assert_eq!(parsed(&["--runner_size-mb", "5"]).unwrap().integer("runner-size-mb"), Some(5));
        assert!(parsed(&["-h"]).unwrap().is_on("help"));
        assert!(!parsed(&["--preserve_env=false"]).unwrap().is_on("preserve_env"));
        let both = parsed(&["a", "--task_id=1", "b", "--task_id=2", "--", "--task_id=3"]).unwrap();
        assert_eq!(both.all("task_id").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(both.arguments, ["a", "b", "--task_id=3"]);
    }

    #[test]
    fn mistakes() {
        for (arguments, expected) in [
            (&["--nosuch"][..], "no such option: --nosuch"),
            (&["--log_d"], "option --log_dir needs a value"),
            (&["--log_"], "ambiguous option: --log_ (--log_to_disk, --log_dir?)"),
            (&["--task_id"], "option --task_id needs a value"),
            (&["--preserve_env=maybe"], "a switch takes no value"),
            (&["--runner-size-mb=many"], "expected a whole number, got \"many\""),
        ] {
            let error = parsed(arguments).unwrap_err();
            assert!(error.0.contains(expected), "{error}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(port("http:80").unwrap(), ("http".to_owned(), 80));
        for bad in ["http", ":80", "http:", "http:x", "http:-1", "http:65536", "a:1:2"] {
            assert!(port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn help_lists_what_has_help() {
        assert_eq!(
            help(TABLE),
            "  --task_id=ID\n        the id\n  --preserve_env\n        keep\n  \
             --runner-size-mb=MB\n        size\n"
        );
    }
}
