//! The command line of `aurora`.

use std::ffi::OsString;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::{cron, files, job, manual, quota, sla, task, update};
use crate::context::{Context, Level};
use crate::exit::{Failure, code};
use crate::world::World;

/// Jobs of Aurora: files that define them, and what runs in clusters.
#[derive(Debug, Parser)]
#[command(name = "aurora", version, disable_help_subcommand = true, infer_long_args = true)]
pub struct Cli {
    /// Says more about what is done
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Command hooks to leave out, or "all"; there are none to leave out
    #[arg(long, global = true, value_name = "HOOK,HOOK,…", hide = true)]
    skip_hooks: Option<String>,
    #[command(subcommand)]
    noun: Option<Noun>,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Configuration files
    #[command(subcommand, arg_required_else_help = true)]
    Config(files::Verb),
    /// Jobs
    #[command(subcommand, arg_required_else_help = true)]
    Job(job::Verb),
    /// Running tasks, through ssh
    #[command(subcommand, arg_required_else_help = true)]
    Task(task::Verb),
    /// Updates that the scheduler carries out
    #[command(subcommand, arg_required_else_help = true)]
    Update(update::Verb),
    /// Jobs that run at given times
    #[command(subcommand, arg_required_else_help = true)]
    Cron(cron::Verb),
    /// What roles may use, and do use
    #[command(subcommand, arg_required_else_help = true)]
    Quota(quota::Verb),
    /// For how long the instances of jobs have been up
    #[command(subcommand, arg_required_else_help = true)]
    Sla(sla::Verb),
    #[command(flatten)]
    Manual(manual::Verb),
}

/// Runs a command line, the program's name first, and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, world: &mut dyn World) -> u8 {
    let mut context = Context::new(world);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, &mut context),
    };
    if cli.verbose {
        context.level = Level::Debug;
    }
    let done = match &cli.noun {
        None => {
            let help = Cli::command().render_help().to_string();
            context.print(&help);
            Ok(code::OK)
        }
        Some(Noun::Config(verb)) => files::run(verb, &mut context),
        Some(Noun::Job(verb)) => job::run(verb, &mut context),
        Some(Noun::Task(verb)) => task::run(verb, &mut context),
        Some(Noun::Update(verb)) => update::run(verb, &mut context),
        Some(Noun::Cron(verb)) => cron::run(verb, &mut context),
        Some(Noun::Quota(verb)) => quota::run(verb, &mut context),
        Some(Noun::Sla(verb)) => sla::run(verb, &mut context),
        Some(Noun::Manual(verb)) => manual::run(verb, &Cli::command(), &mut context),
    };
    finish(done, &mut context)
}

/// Says what is wrong with a command line, or prints the help that was asked for.
pub fn usage(error: &clap::Error, context: &mut Context<'_>) -> u8 {
    let text = error.render().to_string();
    match error.use_stderr() {
        true => {
            context.complain(text.trim_end());
            code::USAGE
        }
        false => {
            context.print(&text);
            code::OK
        }
    }
}

/// Says how a command ended, and returns the exit code.
pub fn finish(done: Result<u8, Failure>, context: &mut Context<'_>) -> u8 {
    match &done {
        Ok(code::OK) => context.log(Level::Debug, "Command terminated successfully"),
        Ok(code) => context.info(format_args!("Command terminated with error code {code}")),
        Err(Failure::Reported(_)) => {}
        Err(Failure::Command(_, message)) => context.complain(message),
        Err(Failure::Authentication(message)) => {
            context.log(Level::Error, format_args!("\n{message}"));
        }
        Err(Failure::Fatal(message)) => {
            context.complain(format_args!("Fatal error running command: {message}"));
        }
        Err(Failure::Interrupted) => context.log(Level::Error, "Command interrupted by user"),
    }
    match done {
        Ok(code) => code,
        Err(failure) => failure.code(),
    }
}
