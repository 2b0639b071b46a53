//! The original's many spellings of options, turned into the one that the parser knows.
//!
//! One dash or two, underscores or dashes, any unambiguous beginning of a name, the value behind `=`
//! or in the next word, options in front of the command.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// Its first argument ends the options: what follows is a command line of its own.
const TAKES_A_COMMAND_LINE: &str = "simplerun";

fn normal(name: &str) -> String {
    name.replace('_', "-")
}

/// The options that can be meant at some place.
fn options(commands: &[&Command]) -> Vec<Arg> {
    let mut options: Vec<Arg> = Vec::new();
    for command in commands {
        for arg in command.get_arguments() {
            let known = |other: &Arg| other.get_long() == arg.get_long();
            if arg.get_long().is_some() && !options.iter().any(known) {
                options.push(arg.clone());
            }
        }
    }
    options.push(Arg::new("help").long("help").short('h').action(clap::ArgAction::Help));
    options
}

/// What a word with a dash in front means: an option, and the value written in the same word.
fn find<'a>(options: &'a [Arg], word: &str) -> Option<(&'a Arg, Option<String>)> {
    let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    let wanted = normal(name);
    let long = |arg: &Arg| arg.get_long().map(normal).unwrap_or_default();
    if let Some(arg) = options.iter().find(|arg| long(arg) == wanted) {
        return Some((arg, value));
    }
    if !word.starts_with("--")
        && let Some(first) = body.chars().next()
        && let Some(arg) = options.iter().find(|arg| arg.get_short() == Some(first))
    {
        let attached = &body[first.len_utf8()..];
        let attached = attached.strip_prefix('=').unwrap_or(attached);
        return match (takes_value(arg), attached.is_empty()) {
            (_, true) => Some((arg, None)),
            (true, false) => Some((arg, Some(attached.to_owned()))),
            (false, false) => None,
        };
    }
    let mut beginning = options.iter().filter(|arg| long(arg).starts_with(&wanted));
    match (beginning.next(), beginning.next()) {
        (Some(arg), None) if !wanted.is_empty() => Some((arg, value)),
        _ => None,
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn joined(name: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

/// Rewrites a command line (without the program's name) for the parser `app`.
pub(crate) fn rewrite(
    app: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Vec<OsString> {
    let all: Vec<&Command> = std::iter::once(app).chain(app.get_subcommands()).collect();
    let mut known = options(&all);
    let mut command: Option<OsString> = None;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter();
    while let Some(word) = arguments.next() {
        let text = word.to_str().unwrap_or_default();
        if text == "--" {
            after.push(word);
            after.extend(arguments);
            break;
        }
        if text.is_empty() && word.as_encoded_bytes().starts_with(b"-") {
            // No text at all: the parser knows whether it may be a path.
            if command.is_none() { &mut before } else { &mut after }.push(word);
            continue;
        }
        if !text.starts_with('-') || text == "-" {
            if command.is_none() {
                if let Some(found) = app.find_subcommand(text) {
                    known = options(&[app, found]);
                }
                command = Some(word);
            } else if command.as_deref() == Some(OsStr::new(TAKES_A_COMMAND_LINE)) {
                after.push("--".into());
                after.push(word);
                after.extend(arguments);
                break;
            } else {
                after.push(word);
            }
            continue;
        }
        let target = if command.is_none() { &mut before } else { &mut after };
        let Some((arg, value)) = find(&known, text) else {
            // The parser says what is wrong with it.
            target.push(word);
            continue;
        };
        let name = arg.get_long().unwrap_or_default();
        match (takes_value(arg), value) {
            (true, Some(value)) => target.push(joined(name, OsStr::new(&value))),
            (true, None) => match arguments.next() {
                Some(value) => target.push(joined(name, &value)),
                None => target.push(format!("--{name}").into()),
            },
            (false, None) => target.push(format!("--{name}").into()),
            (false, Some(value)) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => target.push(format!("--{name}").into()),
                "false" | "0" => {}
                _ => target.push(word),
            },
        }
    }
    command.into_iter().chain(before).chain(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;
    use rstest::rstest;

    #[test]
    fn paths_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt;
        let root = OsString::from_vec(b"--root=/\xff".to_vec());
        let words = rewrite(&Cli::command(), ["status".into(), root.clone()]);
        assert_eq!(words, [OsString::from("status"), root]);
    }

    fn rewritten(line: &str) -> String {
        let words = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from);
        let words = rewrite(&Cli::command(), words);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[rstest]
    #[case("status", "status")]
    #[case("--root=/r status", "status --root=/r")]
    #[case("-root /r status x", "status --root=/r x")]
    #[case("--verbosity 3 status x", "status --verbosity=3 x")]
    #[case("status x --mesos_root /m", "status x --mesos-root=/m")]
    #[case(
        "run --task-id=1 -P http:80 -Padmin:81 f",
        "run --task_id=1 --port=http:80 --port=admin:81 f"
    )]
    #[case("run -task_id 1 f", "run --task_id=1 f")]
    #[case("run --task_i=1 f", "run --task_id=1 f")]
    #[case("run -E a=-b -E c=--d f", "run --environment=a=-b --environment=c=--d f")]
    #[case("run --environment a=b f", "run --environment=a=b f")]
    #[case("run --enable-chroot=true --daemon=false f", "run --enable_chroot f")]
    #[case("tail -n5 -n 6 -n=7 id", "tail --lines=5 --lines=6 --lines=7 id")]
    #[case("simplerun -E a=b echo -n --root x", "simplerun --environment=a=b -- echo -n --root x")]
    #[case("simplerun -- echo -- x", "simplerun -- echo -- x")]
    #[case("simplerun echo -- x", "simplerun -- echo -- x")]
    #[case("kill --root=/r -- -weird", "kill --root=/r -- -weird")]
    #[case("status --nosuch", "status --nosuch")]
    #[case("-h", "--help")]
    #[case("run -h", "run --help")]
    #[case("nosuch --root=/x", "nosuch --root=/x")]
    #[case("read -", "read -")]
    fn spellings(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(rewritten(line), expected);
    }
}
