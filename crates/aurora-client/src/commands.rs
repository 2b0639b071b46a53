//! The commands: what they read, ask, do and print.
//!
//! Each noun has a module with its verbs and their options; [`run`](crate::run) picks one. A verb is a
//! function of its options and a [`Context`] that returns the exit code.

pub(crate) mod cron;
mod dump;
pub(crate) mod files;
mod inspect;
pub(crate) mod job;
mod list;
pub(crate) mod manual;
pub(crate) mod quota;
pub(crate) mod sla;
pub(crate) mod task;
pub(crate) mod update;

pub use dump::{Dump, Wanted, dump};
pub use inspect::{Inspect, inspect};
pub use list::list;

use std::path::{Path, PathBuf};

use aurora_api::api;
use aurora_api::api::read_only_scheduler::{GetTierConfigs, GetTierConfigsArgs};
use aurora_schema::Bindings;
use aurora_schema::value::{Raw, Value};
use clap::Args;

use crate::config;
use crate::context::{Context, details};
use crate::convert::{Converted, convert};
use crate::evaluate::{Defined, Evaluator, Kind, read_json};
use crate::exit::{Failure, code};
use crate::hooks::{Hooks, Session};
use crate::images::Images;
use crate::problem::{Problem, Stage};
use crate::select::{self, JobKey, Parts, parse_bindings};
use crate::tiers::Tiers;

/// The jobs of a file, with their keys.
type Jobs = Vec<(Value, Parts)>;

/// A configuration file and how to read it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// It is JSON.
    pub json: bool,
    /// What `--bind` says.
    pub bindings: Bindings,
    /// How Python syntax is evaluated.
    pub evaluator: Evaluator,
}

impl Source {
    /// Reads the file. What it printed is printed by `print`.
    fn load(&self) -> Result<Defined, Problem> {
        match self.json {
            true => read_json(&self.file),
            false => self.evaluator.run(&self.file, Kind::Aurora),
        }
    }

    /// The jobs of the file, with bindings and keys.
    fn jobs(&self) -> Result<(Jobs, String), Problem> {
        let Defined { values, output } = self.load()?;
        Ok((select::keys(&values, &self.bindings)?, output))
    }

    /// The same, and whoever calls the file's hooks, if it has some.
    fn hooked_jobs(&self) -> Result<(Jobs, String, Option<Session>), Problem> {
        let (Defined { values, output }, session) = match self.json {
            true => (self.load()?, None),
            false => Session::start(&self.evaluator, &self.file)?,
        };
        Ok((select::keys(&values, &self.bindings)?, output, session))
    }
}

/// How a configuration file is read.
#[derive(Clone, Debug, Default, Args)]
pub struct Reading {
    /// Binds a reference; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub bind: Vec<String>,
    /// The file is JSON
    #[arg(long)]
    pub read_json: bool,
    /// The program that evaluates files in Python syntax; default: aurora-eval next to this one
    #[arg(long, value_name = "PROGRAM")]
    pub evaluator: Option<PathBuf>,
    /// Code in the file may not read other files as data
    #[arg(long)]
    pub no_reads: bool,
}

impl Reading {
    /// A file, read like this.
    ///
    /// # Errors
    /// A binding is none.
    pub fn source(&self, file: &Path) -> Result<Source, Failure> {
        let bindings =
            parse_bindings(&self.bind).map_err(|message| Failure::new(code::USAGE, message))?;
        let evaluator = Evaluator {
            program: self.evaluator.clone(),
            reads: !self.no_reads,
            ..Evaluator::default()
        };
        Ok(Source { file: file.to_owned(), json: self.read_json, bindings, evaluator })
    }
}

/// Whether a page is opened.
#[derive(Debug, Args)]
pub(crate) struct Browser {
    /// Opens the job's page in a browser when it is done
    #[arg(long)]
    open_browser: bool,
}

impl Browser {
    pub(super) fn show(&self, context: &mut Context<'_>, job: &JobKey) -> Result<(), Failure> {
        if self.open_browser {
            let url = job_page(context, job)?;
            context.browse(&url);
        }
        Ok(())
    }
}

/// A file that has the hooks of a command.
#[derive(Debug, Args)]
pub(crate) struct HookFile {
    #[command(flatten)]
    reading: Reading,
    /// A configuration file that must have the job, or the command is not done; its hooks are called
    /// if the job sets enable_hooks
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl HookFile {
    /// Reads the job, and gives its hooks.
    pub(super) fn load(&self, context: &mut Context<'_>, job: &JobKey) -> Result<Hooks, Failure> {
        let Some(file) = &self.config else { return Ok(Hooks::default()) };
        let source = self.reading.source(file)?;
        let (_, hooks) = context.load_hooked(job, &source, TiersOf::Scheduler)?;
        Ok(hooks)
    }
}

/// The address of a job's page.
pub(crate) fn job_page(context: &mut Context<'_>, job: &JobKey) -> Result<String, Failure> {
    context.page(&job.cluster, &[&job.role, &job.environment, &job.name])
}

/// Where a job's tier comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TiersOf {
    /// The scheduler of the job's cluster.
    Scheduler,
    /// That scheduler, or what is usual if the cluster is not known here.
    SchedulerIfKnown,
    /// What is usual.
    Usual,
}

/// One job of a file, ready to be sent.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the scheduler gets.
    pub configuration: api::JobConfiguration,
    /// The job with its tier, interpolated once.
    pub interpolated: Value,
    /// The same, interpolated twice: what the rest of the client reads.
    pub job: Value,
}

impl Context<'_> {
    /// Reads one job of a file and converts it. What the file printed, and warnings, are printed.
    ///
    /// # Errors
    /// The file or the job is wrong: everything has been said.
    pub fn load_job(
        &mut self,
        key: &JobKey,
        source: &Source,
        tiers: TiersOf,
    ) -> Result<Loaded, Failure> {
        let jobs = source.jobs().map(|(jobs, output)| (jobs, output, ()));
        let picked = jobs.and_then(|jobs| pick(jobs, key, self));
        let (mut config, output, ()) = picked.map_err(|problem| self.refuse(&problem))?;
        self.complete(&mut config, &output, key, tiers)
    }

    /// The same for a command whose calls the job's hooks surround.
    ///
    /// # Errors
    /// As before.
    pub(crate) fn load_hooked(
        &mut self,
        key: &JobKey,
        source: &Source,
        tiers: TiersOf,
    ) -> Result<(Loaded, Hooks), Failure> {
        let picked = source.hooked_jobs().and_then(|jobs| pick(jobs, key, self));
        let (mut config, output, session) = picked.map_err(|problem| self.refuse(&problem))?;
        let loaded = self.complete(&mut config, &output, key, tiers)?;
        let enabled = config.job.value.attribute("enable_hooks").and_then(Value::raw);
        let hooks = match session {
            Some(session) if enabled == Some(&Raw::Bool(true)) => {
                Hooks::of(session, &config.bound, self).map_err(|problem| self.refuse(&problem))?
            }
            _ => Hooks::default(),
        };
        Ok((loaded, hooks))
    }

    /// A job as hooks have left it; none if they have not changed it.
    ///
    /// # Errors
    /// It is wrong now: everything has been said.
    pub(crate) fn changed(&mut self, hooks: &mut Hooks) -> Result<Option<Loaded>, Failure> {
        let Some(change) = hooks.take_change() else { return Ok(None) };
        let converted = change.convert(&self.world.user());
        let (Converted { configuration, job, .. }, interpolated) =
            converted.map_err(|problem| self.refuse(&problem))?;
        Ok(Some(Loaded { configuration, interpolated, job }))
    }

    /// Says what there is to be said about a job, gives it its tier and converts it.
    fn complete(
        &mut self,
        config: &mut config::Config,
        output: &str,
        key: &JobKey,
        tiers: TiersOf,
    ) -> Result<Loaded, Failure> {
        self.print(output);
        for warning in &config.warnings {
            for line in warning.lines() {
                self.warn(line);
            }
        }
        let tiers = self.tiers(&key.cluster, tiers)?;
        config.bound = tiers.fill_as(&config.bound, &config.job.value);
        config.job.value = tiers.fill(&config.job.value);
        let Converted { configuration, job, .. } =
            convert(config, &self.world.user()).map_err(|problem| self.refuse(&problem))?;
        Ok(Loaded { configuration, interpolated: config.job.value.clone(), job })
    }

    fn tiers(&mut self, cluster: &str, tiers: TiersOf) -> Result<Tiers, Failure> {
        let ask = match tiers {
            TiersOf::Scheduler => true,
            TiersOf::SchedulerIfKnown => self.clusters()?.get(cluster).is_ok(),
            TiersOf::Usual => false,
        };
        if !ask {
            return Ok(Tiers::default());
        }
        let response = self.call::<GetTierConfigs>(cluster, &GetTierConfigsArgs::default())?;
        if response.response_code != Some(api::ResponseCode::OK) {
            let message = "Error getting tier configurations.";
            self.complain(message);
            self.complain(format_args!("\t{}", details(&response)));
            let message = format!("Error loading configuration: {message}");
            return Err(Failure::new(code::INVALID_CONFIGURATION, message));
        }
        match response.result {
            Some(api::Result::GetTierConfigResult(result)) => Ok(Tiers::of(&result)),
            _ => Ok(Tiers::default()),
        }
    }

    /// Says what is wrong with a configuration.
    fn refuse(&mut self, problem: &Problem) -> Failure {
        self.refuse_as(problem, "Error loading configuration", code::INVALID_CONFIGURATION)
    }

    /// Says what is wrong with a configuration, after a lead. A file may also end the program itself,
    /// with an exit code of its own.
    pub(crate) fn refuse_as(&mut self, problem: &Problem, lead: &str, code: u8) -> Failure {
        let fatal = problem.class == "SystemExit" && problem.stage == Stage::Config;
        if problem.class == "SystemExit" && problem.stage == Stage::Load {
            return Failure::Reported(match problem.message.as_str() {
                "" | "None" => code::OK,
                // As the system does it, of a larger number the last byte counts.
                text => match text.parse::<i64>() {
                    Ok(code) => code.to_le_bytes()[0],
                    Err(_) => {
                        self.complain(text);
                        code::REFUSED
                    }
                },
            });
        }
        let lead = if fatal { "FATAL" } else { lead };
        match problem.origin {
            // The sign that the report starts with is no part of a sentence.
            Some(_) => {
                let report = problem.report();
                let report = report.trim_start().trim_start_matches("x ").trim_end_matches('\n');
                self.complain(format_args!("{lead}: {report}"));
            }
            None => {
                self.complain(format_args!("{lead}: {}", problem.message.trim_end()));
                if let Some(help) = &problem.help {
                    self.complain(format_args!("  help: {help}"));
                }
            }
        }
        Failure::Reported(if fatal { code::REFUSED } else { code })
    }
}

/// The job of a key, made ready, and what else came with the jobs.
fn pick<T>(
    (jobs, output, rest): (Jobs, String, T),
    key: &JobKey,
    images: &mut dyn Images,
) -> Result<(config::Config, String, T), Problem> {
    let config = config::prepare(select::pick(&jobs, key)?, images)?;
    config::check(&config.job.value)?;
    Ok((config, output, rest))
}

/// Who runs this: the environment's word, else that of the user database.
pub fn login() -> String {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if let Some(name) = ["LOGNAME", "USER", "LNAME", "USERNAME"].into_iter().find_map(set) {
        return name;
    }
    let own = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.find(|fields| fields.get(2) == Some(&&*own));
    entry.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(own)
}
