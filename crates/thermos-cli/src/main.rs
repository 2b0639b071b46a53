//! `thermos`: runs tasks on this machine and looks at them.
//!
//! Every command is a module: it asks [`roots`] and [`record`] for what is on disk, and prints what
//! pure functions make of it. `run`, `simplerun` and `demo` run a task in this very process, which
//! forks: no thread is ever started here. `launch` is a Mesos agent for a while, and starts this
//! program in another role between itself and the executor; it is a feature, which can be left out.
//! README.md has the exit codes, SCHEMA.md the JSON outputs.

#![cfg_attr(not(feature = "launch"), allow(dead_code, reason = "some parts only `launch` uses"))]

#[cfg(feature = "launch")]
mod assign;
mod cli;
mod config;
mod demo;
mod document;
mod exit;
mod failure;
mod help;
mod inspect;
mod kill;
#[cfg_attr(not(feature = "launch"), path = "without_launch.rs")]
mod launch;
mod outcome;
mod output;
mod pprint;
mod read;
mod record;
mod roots;
mod run;
mod spelling;
mod status;
mod tail;
mod time;
mod walk;
mod watch;

use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use cli::{Cli, Command};
use exit::Code;
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    #[cfg(feature = "launch")]
    if std::env::args_os().nth(1).is_some_and(|first| first == mini_agent::LAUNCHER_ROLE) {
        return ExitCode::from(mini_agent::launcher::main(std::env::args_os().skip(2)));
    }
    let arguments = spelling::rewrite(&Cli::command(), std::env::args_os().skip(1));
    let program = std::ffi::OsString::from("thermos");
    let parsed = Cli::command()
        .try_get_matches_from(std::iter::once(program).chain(arguments))
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let code = match parsed {
        Ok(cli) => {
            let name = cli.command.as_ref().map(Command::name);
            dispatch(cli).unwrap_or_else(|failure| report(name, &failure))
        }
        Err(error) => refuse(&error),
    };
    ExitCode::from(code.number())
}

fn dispatch(cli: Cli) -> Outcome {
    let global = &cli.global;
    match cli.command {
        None => Err(Failure::usage(help::choices())),
        Some(Command::Help(options)) => help::run(&options),
        Some(Command::Inspect(options)) => inspect::run(&options),
        Some(Command::Kill(options)) => kill::run(global, &options),
        Some(Command::Launch(options)) => launch::run(global, &options),
        Some(Command::Read(options)) => read::run(&options),
        Some(Command::Run(options)) => run::run(global, options),
        Some(Command::Simplerun(options)) => run::simple(global, options),
        Some(Command::Status(options)) => status::run(global, &options),
        Some(Command::Tail(options)) => tail::run(global, &options),
        Some(Command::Demo(options)) => demo::run(global, options),
    }
}

/// Says what went wrong, and how the command is used if it was used wrongly.
fn report(command: Option<&'static str>, failure: &Failure) -> Code {
    if failure.code == Code::Usage
        && let Some(usage) = command.and_then(help::usage)
    {
        output::warn_plain(&format!("{usage}\n"));
    }
    match failure.message.strip_prefix("ERROR: ") {
        // The original's own words.
        Some(_) => output::warn_plain(&failure.message),
        None => output::warn(&format!("error: {}", failure.message)),
    }
    failure.code
}

/// A command line that the parser does not take, or takes as a request for help.
fn refuse(error: &clap::Error) -> Code {
    let text = match error.kind() {
        ErrorKind::DisplayHelp => {
            let text = error.render().to_string();
            // The parser's own overview has no list of commands worth the name.
            if text.contains("thermos COMMAND") || !text.contains("    Usage: thermos ") {
                help::overview()
            } else {
                text
            }
        }
        ErrorKind::DisplayVersion => error.render().to_string(),
        ErrorKind::InvalidSubcommand => {
            let name = error.get(ContextKind::InvalidSubcommand).map(ToString::to_string);
            output::warn(&format!(
                "error: unknown command: {}; {}",
                name.unwrap_or_default(),
                help::choices()
            ));
            return Code::Usage;
        }
        _ => {
            output::warn_plain(error.render().to_string().trim_end());
            return Code::Usage;
        }
    };
    match output::emit(&text) {
        Ok(()) => Code::Success,
        Err(failure) => failure.code,
    }
}
