//! `aurora job`: what runs, and making it run.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", and the recorded cases `job-*`.

mod create;
pub(in crate::commands) mod diff;
mod kill;
mod list;
mod restart;
mod status;
mod why;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::commands::{Browser, HookFile, Inspect, Reading, TiersOf, inspect, task};
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::keys::{InstanceKey, InstancesKey, Pattern, job_key};
use crate::monitor::Until;
use crate::select::JobKey;

/// What can be done with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates a job: a service or one that runs once
    Create {
        #[command(flatten)]
        reading: Reading,
        #[command(flatten)]
        browser: Browser,
        /// Waits until all tasks are this far
        #[arg(long, value_name = "STATE", default_value = "PENDING")]
        wait_until: WaitUntil,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = job_key)]
        key: JobKey,
        /// The configuration file
        file: PathBuf,
    },
    /// Adds instances to a job, like one that it has
    Add {
        #[command(flatten)]
        browser: Browser,
        #[command(flatten)]
        hooks: HookFile,
        /// Waits until the new tasks are this far
        #[arg(long, value_name = "STATE", default_value = "PENDING")]
        wait_until: WaitUntil,
        /// The instance that new ones are like
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME/INSTANCE")]
        instance: InstanceKey,
        /// How many
        #[arg(allow_negative_numbers = true)]
        count: i32,
    },
    /// Kills instances of a job
    Kill {
        #[command(flatten)]
        killing: Killing,
        /// Refuses instances that are not active
        #[arg(long)]
        strict: bool,
        /// The job and its instances, as in 0-2,5
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME/INSTANCES")]
        key: InstancesKey,
    },
    /// Kills all instances of a job
    Killall {
        #[command(flatten)]
        killing: Killing,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = job_key)]
        key: JobKey,
    },
    /// Restarts instances, some at a time; interrupting it leaves the rest as they are
    Restart {
        #[command(flatten)]
        options: Restarting,
        #[command(flatten)]
        browser: Browser,
        #[command(flatten)]
        hooks: HookFile,
        /// The job and perhaps its instances, as in 0-2,5
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
        key: InstancesKey,
    },
    /// Runs a command for each task of a job, where it runs; as `aurora task run`
    Run(task::Run),
    /// Shows the tasks of jobs
    Status {
        /// As JSON
        #[arg(long, visible_alias = "json")]
        write_json: bool,
        /// The jobs; parts may be left out or have *, ? and [a-z]
        #[arg(value_name = "CLUSTER[/ROLE[/ENV[/NAME]]]")]
        pattern: Pattern,
    },
    /// Says why tasks of a job do not run yet
    Why {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = job_key)]
        key: JobKey,
    },
    /// Lists the keys of jobs
    List {
        /// The jobs; parts may be left out or have *, ? and [a-z]
        #[arg(value_name = "CLUSTER[/ROLE[/ENV[/NAME]]]")]
        pattern: Pattern,
    },
    /// Compares a job with what runs, using $DIFF_VIEWER or diff
    Diff {
        #[command(flatten)]
        reading: Reading,
        /// Compares with this job in place of the one of the file
        #[arg(long, value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = job_key)]
        from: Option<JobKey>,
        /// The job and perhaps its instances, as in 0-2,5
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
        key: InstancesKey,
        /// The configuration file
        file: PathBuf,
    },
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
        /// Asks no scheduler for its tiers, but takes the usual ones
        #[arg(long)]
        local: bool,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = job_key)]
        key: JobKey,
        /// The configuration file
        file: PathBuf,
    },
    /// Opens the scheduler's page of a job, role or cluster in a browser
    Open {
        /// Which one
        #[arg(value_name = "CLUSTER[/ROLE[/ENV/NAME]]", value_parser = page)]
        page: PageKey,
    },
}

/// Which page: the cluster's, or with more parts that of a role or job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageKey {
    cluster: String,
    rest: Vec<String>,
}

/// Reads the key of a page.
fn page(text: &str) -> Result<PageKey, String> {
    let mut parts = text.split('/').map(str::to_owned);
    let cluster = parts.next().unwrap_or_default();
    let rest: Vec<String> = parts.collect();
    if cluster.is_empty() || rest.len() > 3 || rest.iter().any(String::is_empty) {
        return Err(format!("{text:?} is not in the form CLUSTER[/ROLE[/ENV/NAME]]"));
    }
    Ok(PageKey { cluster, rest })
}

/// How far tasks are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "UPPER")]
pub(crate) enum WaitUntil {
    /// They exist.
    Pending,
    /// They run, or did.
    Running,
    /// They are over.
    Finished,
}

impl WaitUntil {
    /// What there is to wait for.
    fn until(self) -> Option<Until> {
        match self {
            WaitUntil::Pending => None,
            WaitUntil::Running => Some(Until::Running),
            WaitUntil::Finished => Some(Until::Over),
        }
    }
}

/// How instances are killed.
#[derive(Debug, Args)]
pub(crate) struct Killing {
    #[command(flatten)]
    browser: Browser,
    #[command(flatten)]
    hooks: HookFile,
    /// So many instances at a time
    #[arg(long, value_name = "COUNT", default_value_t = 1, allow_negative_numbers = true)]
    batch_size: i64,
    /// So many batches may fail
    #[arg(long, value_name = "COUNT", default_value_t = 0, allow_negative_numbers = true)]
    max_total_failures: i64,
    /// All instances at once
    #[arg(long)]
    no_batching: bool,
    /// Why, for those who look at the tasks later
    #[arg(long, short)]
    message: Option<String>,
}

/// How instances are restarted.
#[derive(Debug, Args)]
pub(crate) struct Restarting {
    /// So many instances at a time
    #[arg(long, value_name = "COUNT", default_value_t = 1, allow_negative_numbers = true)]
    batch_size: i64,
    /// So long an instance must run to count as restarted
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    watch_secs: u32,
    /// An instance may fail so often
    #[arg(long, value_name = "COUNT", default_value_t = 0, allow_negative_numbers = true)]
    max_per_instance_failures: i64,
    /// So many instances may fail for good
    #[arg(long, value_name = "COUNT", default_value_t = 0, allow_negative_numbers = true)]
    max_total_failures: i64,
    /// Pause between two looks
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3,
        visible_alias = "healthcheck_interval_seconds"
    )]
    healthcheck_interval_seconds: u32,
    /// Refuses instances that are not active
    #[arg(long)]
    strict: bool,
    /// Accepted for old scripts
    #[arg(long, hide = true)]
    force: bool,
}

/// Does it.
///
/// # Errors
/// It cannot be done.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    match verb {
        Verb::Run(options) => task::run_everywhere(options, context),
        Verb::Create { reading, browser, wait_until, key, file } => {
            create::create(context, key, &reading.source(file)?, browser, *wait_until)
        }
        Verb::Add { browser, hooks, wait_until, instance, count } => {
            let options = create::Adding { browser, hooks, wait_until: *wait_until };
            create::add(context, instance, *count, &options)
        }
        Verb::Kill { killing, strict, key } => kill::kill(context, key, killing, *strict),
        Verb::Killall { killing, key } => kill::killall(context, key, killing),
        Verb::Restart { options, browser, hooks, key } => {
            let mut hooks = hooks.load(context, &key.job)?;
            let code = restart::restart(context, key, options, &mut hooks)?;
            browser.show(context, &key.job)?;
            Ok(code)
        }
        Verb::Status { write_json, pattern } => status::status(context, pattern, *write_json),
        Verb::Why { json, key } => why::why(context, key, *json),
        Verb::List { pattern } => {
            for job in list::jobs(context, pattern)? {
                context.say(job);
            }
            Ok(code::OK)
        }
        Verb::Diff { reading, from, key, file } => {
            diff::diff(context, key, from.as_ref(), &reading.source(file)?)
        }
        Verb::Inspect { reading, raw, write_json, local, key, file } => {
            let form = match (raw, write_json) {
                (true, _) => Inspect::Raw,
                (_, true) => Inspect::Json,
                _ => Inspect::Human,
            };
            let tiers = if *local { TiersOf::Usual } else { TiersOf::SchedulerIfKnown };
            let job = context.load_job(key, &reading.source(file)?, tiers)?;
            context.print(&inspect(&job, form));
            Ok(code::OK)
        }
        Verb::Open { page } => {
            let parts: Vec<&str> = page.rest.iter().map(String::as_str).collect();
            let url = context.page(&page.cluster, &parts)?;
            context.browse(&url);
            Ok(code::OK)
        }
    }
}
