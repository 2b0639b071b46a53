//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::commands::{self, Dump, Inspect, Source, Wanted};
use crate::evaluate::Evaluator;
use crate::problem::{Problem, Stage};
use crate::select::{JobKey, parse_bindings};

/// Exit codes, as they always were.
mod code {
    /// A check of the client's own failed.
    pub(super) const REFUSED: u8 = 1;
    /// The command line is wrong.
    pub(super) const USAGE: u8 = 2;
    /// A configuration is wrong.
    pub(super) const INVALID_CONFIG: u8 = 3;
    /// `config list`: a file is wrong.
    pub(super) const INVALID_FILE: u8 = 4;
}

/// Jobs of Aurora: what is configured.
#[derive(Debug, Parser)]
#[command(name = "aurora", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Configuration files
    Config {
        #[command(subcommand)]
        verb: ConfigVerb,
    },
    /// Jobs
    Job {
        #[command(subcommand)]
        verb: JobVerb,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
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
        #[arg(long, value_name = "CLUSTER/ROLE/ENV/NAME", conflicts_with = "name")]
        key: Option<String>,
        /// Only the job of this name
        #[arg(long)]
        name: Option<String>,
        /// The configuration file
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum JobVerb {
    /// Shows a job as it would be sent
    Inspect {
        #[command(flatten)]
        reading: Reading,
        /// What the scheduler would get, as JSON
        #[arg(long)]
        raw: bool,
        /// The job as JSON
        #[arg(long, conflicts_with = "raw")]
        write_json: bool,
        /// Only this process decides what a file may do; accepted for old scripts
        #[arg(long, hide = true)]
        local: bool,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME")]
        key: String,
        /// The configuration file
        file: PathBuf,
    },
}

/// How a configuration file is read.
#[derive(Debug, Args)]
struct Reading {
    /// Binds a reference; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    bind: Vec<String>,
    /// The file is JSON
    #[arg(long)]
    read_json: bool,
    /// The program that evaluates files in Python syntax; default: aurora-eval next to this one
    #[arg(long, value_name = "PROGRAM")]
    evaluator: Option<PathBuf>,
    /// Code in the file may not read other files as data
    #[arg(long)]
    no_reads: bool,
}

impl Reading {
    fn source(self, file: PathBuf) -> Result<Source, String> {
        let bindings = parse_bindings(&self.bind)?;
        let evaluator =
            Evaluator { program: self.evaluator, reads: !self.no_reads, ..Evaluator::default() };
        Ok(Source { file, json: self.read_json, bindings, evaluator })
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { code::USAGE } else { 0 });
        }
    };
    let done = match cli.noun {
        Noun::Config { verb: ConfigVerb::List { reading, file } } => list(reading, file),
        Noun::Config { verb: ConfigVerb::Dump { reading, json: _, key, name, file } } => {
            dump(reading, key, name, file)
        }
        Noun::Job { verb: JobVerb::Inspect { reading, raw, write_json, local: _, key, file } } => {
            let form = match (raw, write_json) {
                (true, _) => Inspect::Raw,
                (_, true) => Inspect::Json,
                _ => Inspect::Human,
            };
            inspect(reading, form, &key, file)
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(code::USAGE)
        }
    }
}

fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // A reader that has seen enough is no mistake.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(lead: &str, problem: &Problem) {
    let report = problem.report();
    // The sign that the report starts with is no part of a sentence.
    let report = report.trim_start().trim_start_matches("x ");
    eprintln!("{lead}: {report}");
}

/// The exit code of a file that ends the program itself.
fn exit_of(problem: &Problem) -> Option<u8> {
    if problem.stage != Stage::Load || problem.class != "SystemExit" {
        return None;
    }
    match problem.message.as_str() {
        "" | "None" => Some(0),
        text => Some(text.parse::<i64>().map_or_else(
            |_| {
                eprintln!("{text}");
                1
            },
            |code| code as u8,
        )),
    }
}

fn list(reading: Reading, file: PathBuf) -> Result<u8, String> {
    Ok(match commands::list(&reading.source(file)?) {
        Ok(text) => {
            print(&text);
            0
        }
        Err(problem) => match exit_of(&problem) {
            Some(code) => code,
            None => {
                complain("Error loading configuration file", &problem);
                code::INVALID_FILE
            }
        },
    })
}

fn inspect(reading: Reading, form: Inspect, key: &str, file: PathBuf) -> Result<u8, String> {
    let key = JobKey::parse(key)?;
    Ok(match commands::inspect(&reading.source(file)?, &key, form) {
        Ok((text, warnings)) => {
            warnings.iter().for_each(|warning| eprintln!("Warning: {warning}"));
            print(&text);
            0
        }
        Err(problem) if problem.stage == Stage::Config && problem.class == "SystemExit" => {
            complain("FATAL", &problem);
            code::REFUSED
        }
        Err(problem) => match exit_of(&problem) {
            Some(code) => code,
            None => {
                complain("Error loading configuration", &problem);
                code::INVALID_CONFIG
            }
        },
    })
}

fn dump(
    reading: Reading,
    key: Option<String>,
    name: Option<String>,
    file: PathBuf,
) -> Result<u8, String> {
    let wanted = match (key, name) {
        (Some(key), _) => Wanted::Key(JobKey::parse(&key)?),
        (_, Some(name)) => Wanted::Name(name),
        _ => Wanted::All,
    };
    let Dump { json, output, ok, problem } = commands::dump(&reading.source(file)?, &wanted);
    // Standard output has the one object.
    eprint!("{output}");
    if let Some(problem) = problem {
        complain("Error loading configuration", &problem);
    }
    print(&json);
    print("\n");
    Ok(if ok { 0 } else { code::INVALID_CONFIG })
}
