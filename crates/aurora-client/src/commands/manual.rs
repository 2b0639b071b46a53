//! Completions of shells, and manual pages: both made of the command line's own definition.

use std::path::PathBuf;

use clap::{Command, Subcommand};
use clap_complete::Shell;

use crate::context::Context;
use crate::exit::{Failure, code};

/// Commands about the command line itself.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Prints what makes a shell complete this command line
    ///
    /// For bash, its output belongs into a file of /etc/bash_completion.d
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: Shell,
    },
    /// Writes the manual pages of this program into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

/// Runs the command for a command line.
///
/// # Errors
/// The folder cannot be written to.
pub(crate) fn run(
    verb: &Verb,
    program: &Command,
    context: &mut Context<'_>,
) -> Result<u8, Failure> {
    match verb {
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            let name = program.get_name().to_owned();
            clap_complete::generate(*shell, &mut program.clone(), name, &mut text);
            context.print(&String::from_utf8_lossy(&text));
        }
        Verb::Man { folder } => {
            clap_mangen::generate_to(program.clone(), folder).map_err(|error| {
                let message = format!("Cannot write into {}: {error}", folder.display());
                Failure::new(code::COMMAND_FAILURE, message)
            })?;
        }
    }
    Ok(code::OK)
}
