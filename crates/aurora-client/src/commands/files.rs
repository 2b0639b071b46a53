//! `aurora config`: files of jobs.

use std::path::PathBuf;

use clap::Subcommand;

use crate::commands::{Dump, Reading, Wanted, dump, list};
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::keys::job_key;
use crate::select::JobKey;

/// `config list`: a file is wrong.
const INVALID_FILE: u8 = 4;

/// What can be done with files of jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists the keys of all jobs in a file
    List {
        #[command(flatten)]
        reading: Reading,
        /// The configuration file
        file: PathBuf,
    },
    /// Prints everything about all jobs in a file
    Dump {
        #[command(flatten)]
        reading: Reading,
        /// As JSON, which is the only form
        #[arg(long)]
        json: bool,
        /// Only the job of this key
        #[arg(long, value_name = "CLUSTER/ROLE/ENV/NAME", conflicts_with = "name", value_parser = job_key)]
        key: Option<JobKey>,
        /// Only the job of this name
        #[arg(long)]
        name: Option<String>,
        /// The configuration file
        file: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// The command line is wrong.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    match verb {
        Verb::List { reading, file } => Ok(match list(&reading.source(file)?) {
            Ok(text) => {
                context.print(&text);
                code::OK
            }
            Err(problem) => {
                let lead = "Error loading configuration file";
                context.refuse_as(&problem, lead, INVALID_FILE).code()
            }
        }),
        Verb::Dump { reading, json: _, key, name, file } => {
            let wanted = match (key, name) {
                (Some(key), _) => Wanted::Key(key.clone()),
                (_, Some(name)) => Wanted::Name(name.clone()),
                _ => Wanted::All,
            };
            let Dump { json, output, ok, problem } = dump(&reading.source(file)?, &wanted, context);
            // Standard output has the one object.
            if !output.is_empty() {
                context.complain(output.strip_suffix('\n').unwrap_or(&output));
            }
            if let Some(problem) = problem {
                context.refuse_as(&problem, "Error loading configuration", code::REFUSED);
            }
            context.say(json);
            match ok {
                true => Ok(code::OK),
                false => Err(Failure::Reported(code::INVALID_CONFIGURATION)),
            }
        }
    }
}
