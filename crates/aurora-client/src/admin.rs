//! The `aurora_admin` command line: what operators do to a cluster.
//!
//! | module | what |
//! |---|---|
//! | `hosts` | maintenance of agents |
//! | `sla` | what jobs would lose if hosts went down |
//! | `query` | tasks in a line each |
//! | `amount` | sizes, and quotas made of them |
//! | `verbs` | everything that is one call |
//!
//! Options may stand before or after the command. Source of behaviour: scheduler reference,
//! "`aurora_admin` commands", and the recorded cases of `aurora_admin`.

mod amount;
mod hosts;
mod query;
mod sla;
mod verbs;

use std::ffi::OsString;

use aurora_api::api::{Response, ResponseCode};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::cli::usage;
use crate::commands::manual;
use crate::context::{Context, Level};
use crate::exit::{Failure, code};
use crate::world::World;

/// What operators do to a cluster of Aurora
#[derive(Debug, Parser)]
#[command(name = "aurora_admin", version, disable_help_subcommand = true)]
#[command(infer_long_args = true)]
#[command(rename_all = "snake_case", rename_all_env = "snake_case")]
struct Cli {
    /// Prints more
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Prints only what went wrong
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Asks the scheduler at the given address, though it may not be the one that leads
    #[arg(long = "bypass-leader-redirect", global = true)]
    bypass_leader_redirect: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
enum Command {
    /// Prints help for a command
    Help {
        /// The command
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
    #[command(flatten)]
    Verb(verbs::Verb),
    #[command(flatten)]
    Hosts(hosts::Verb),
    #[command(flatten)]
    Sla(sla::Verb),
    /// Prints tasks, each in a line
    Query(query::Query),
    #[command(flatten)]
    Manual(manual::Verb),
}

/// Runs the program and returns its exit code. `arguments` begin with the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>, world: &mut dyn World) -> u8 {
    let mut context = Context::new(world);
    context.agent = concat!("aurora_admin/", env!("CARGO_PKG_VERSION"));
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&mut context, &error),
    };
    context.bypass_redirect = cli.bypass_leader_redirect;
    context.level = match (cli.verbose, cli.quiet) {
        (true, _) => Level::Debug,
        (_, true) => Level::Error,
        _ => Level::Info,
    };
    let done = match cli.command {
        Command::Help { command } => help(&mut context, command.as_deref()),
        Command::Verb(verb) => verb.run(&mut context),
        Command::Hosts(verb) => verb.run(&mut context),
        Command::Sla(verb) => verb.run(&mut context),
        Command::Query(query) => query.run(&mut context),
        Command::Manual(verb) => manual::run(&verb, &Cli::command(), &mut context).map(|_| ()),
    };
    let Err(failure) = done else { return code::OK };
    match failure {
        Failure::Command(_, message)
        | Failure::Authentication(message)
        | Failure::Fatal(message) => {
            context.complain(format_args!("FATAL] {message}"));
            code::REFUSED
        }
        Failure::Reported(_) => code::REFUSED,
        Failure::Interrupted => {
            context.log(Level::Error, "Command interrupted by user");
            code::INTERRUPTED
        }
    }
}

/// Says what is wrong with a command line, or what was asked about it.
fn refuse(context: &mut Context<'_>, error: &clap::Error) -> u8 {
    match usage(error, context) {
        code::OK => code::OK,
        _ => refused(error),
    }
}

/// The exit code for a command line that is wrong.
fn refused(error: &clap::Error) -> u8 {
    match error.kind() {
        // What a value cannot be, and options that do not exist.
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::NoEquals => code::USAGE,
        ErrorKind::UnknownArgument if is_option(error) => code::USAGE,
        _ => code::REFUSED,
    }
}

/// Whether it is about something that looks like an option.
fn is_option(error: &clap::Error) -> bool {
    use clap::error::{ContextKind, ContextValue};
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(text)) => text.starts_with('-'),
        _ => false,
    }
}

fn help(context: &mut Context<'_>, name: Option<&str>) -> Result<(), Failure> {
    let mut all = Cli::command();
    all.build();
    let help = match name {
        None => all.render_long_help(),
        Some(name) => match all.find_subcommand_mut(name) {
            Some(command) => command.render_long_help(),
            None => {
                let message = format!("There is no command {name}; `aurora_admin help` lists all");
                return Err(Failure::new(code::REFUSED, message));
            }
        },
    };
    context.print(&help.to_string());
    Ok(())
}

/// Prints an answer's code and reasons; goes on if it is no refusal.
fn answered(context: &mut Context<'_>, response: &Response) -> Result<(), Failure> {
    context.say_answer(response);
    match response.response_code {
        Some(ResponseCode::OK) => Ok(()),
        _ => Err(Failure::Reported(code::REFUSED)),
    }
}

/// A refusal of this program's own.
fn refusal(message: impl Into<String>) -> Failure {
    Failure::new(code::REFUSED, message)
}

/// A percentage above 0, up to 100.
fn percentage(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && *value <= 100.0);
    value.ok_or_else(|| format!("Invalid percentage {text}. Must be within (0, 100]."))
}
