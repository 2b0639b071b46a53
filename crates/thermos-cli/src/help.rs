//! `thermos help`.

use std::fmt::Write;

use clap::CommandFactory;

use crate::cli::{Cli, Help};
use crate::exit::{self, Code};
use crate::failure::{Failure, Outcome};
use crate::output::emit;

/// The topic that is no command.
const EXIT_CODES: &str = "exit-codes";

/// Runs the command.
pub(crate) fn run(options: &Help) -> Outcome {
    match options.topics.as_slice() {
        [] => emit(&overview())?,
        [topic] if topic == EXIT_CODES || topic == "exit_codes" => emit(&exit::help())?,
        [topic] => emit(&of_command(topic)?)?,
        more => {
            return Err(Failure::usage(format!("Expected one command, got {}", more.len())));
        }
    }
    Ok(Code::Success)
}

fn app() -> clap::Command {
    let mut app = Cli::command();
    app.build();
    app
}

/// All commands, and the options that all of them have.
pub(crate) fn overview() -> String {
    let mut app = app();
    let mut text = String::from("Usage: thermos COMMAND [options] [arguments]\n\ncommands:\n");
    for command in app.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "    {:<10}\t{about}", command.get_name());
    }
    app = app.help_template("{options}");
    let _ = write!(
        text,
        "\nOptions:\n{}\n\n`thermos help COMMAND` describes a command, `thermos help {EXIT_CODES}` the \
         exit codes.\nNew here? Try `thermos demo`.\n",
        app.render_help().to_string().trim_end()
    );
    text
}

/// One command.
pub(crate) fn of_command(name: &str) -> Result<String, Failure> {
    let mut app = app();
    match app.find_subcommand_mut(name) {
        Some(command) => Ok(format!("command {name}:\n{}", command.render_help())),
        None => Err(Failure::usage(format!("unknown command: {name}; {}", choices()))),
    }
}

/// How a command is called.
pub(crate) fn usage(name: &str) -> Option<String> {
    let mut app = app();
    Some(app.find_subcommand_mut(name)?.render_usage().to_string())
}

/// What could have been asked for.
pub(crate) fn choices() -> String {
    let app = Cli::command();
    let mut names: Vec<&str> = app.get_subcommands().map(clap::Command::get_name).collect();
    names.sort_unstable();
    format!("Must supply one of the following commands: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_described() {
        let overview = overview();
        for command in app().get_subcommands() {
            let name = command.get_name();
            assert!(overview.contains(&format!("\n    {name:<10}\t")), "{overview}");
            let help = of_command(name).unwrap();
            assert!(help.starts_with(&format!("command {name}:\n")), "{help}");
            assert!(help.contains(&format!("Usage: thermos {name}")), "{help}");
        }
        assert!(of_command("nosuch").unwrap_err().message.contains("nosuch"));
    }

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }
}
