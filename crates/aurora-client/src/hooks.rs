//! Hooks of job files: objects in a file's `hooks`, whose methods are called around the calls that
//! change a job which has `enable_hooks`.
//!
//! A method `pre_CALL` runs before a call and may stop it; `post_CALL` runs after one that the
//! scheduler has done, `err_CALL` after one that failed. `generic_hook` stands in for methods that an
//! object does not have. What an outcome means is decided by [`judge`], which knows no interpreter;
//! the methods run in the evaluator's process, which [`session`] keeps.
//!
//! Source of behaviour: the original's documentation of client hooks and its `hooked_api`. Hooks of
//! commands (`--skip-hooks`) are no part of a file: they belong to clients that others build.

mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use aurora_api::api::{Metadata, Response, ResponseCode};
use aurora_api::readable;
use aurora_schema::check::check_interpolated;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json::Writer;
use aurora_schema::value::Value;

use crate::config::Config;
use crate::context::{Context, Level};
use crate::convert::{Converted, convert};
use crate::exit::{Failure, code};
use crate::problem::{Problem, Stage};
use crate::select::JobKey;

pub(crate) use session::Session;

/// When a method is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Before the call.
    Pre,
    /// After one that was done.
    Post,
    /// After one that failed.
    Err,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Event::Pre => "pre",
            Event::Post => "post",
            Event::Err => "err",
        }
    }
}

/// What a method is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// The job of the file.
    Config,
    Key(JobKey),
    Nothing,
    Number(i64),
    Text(String),
    Instances(Vec<i32>),
    Map(Vec<(String, String)>),
    /// How a restart goes about it.
    Settings(Vec<(&'static str, i64)>),
    /// An answer of the scheduler, in readable JSON.
    Response(String),
    /// The same as a mistake.
    Refusal(String),
    /// No answer: what kind of mistake that is, and a sentence.
    Failure(&'static str, String),
}

impl Argument {
    fn text(text: Option<&String>) -> Argument {
        text.map_or(Argument::Nothing, |text| Argument::Text(text.clone()))
    }

    fn instances(instances: Option<&BTreeSet<i32>>) -> Argument {
        instances
            .map_or(Argument::Nothing, |all| Argument::Instances(all.iter().copied().collect()))
    }

    /// As the evaluator reads it.
    fn json(&self) -> String {
        let mut out = Writer::new();
        let tagged = |tag: &str, content: &str| format!("{{\"{tag}\": {content}}}");
        match self {
            Argument::Config => return tagged("config", "null"),
            Argument::Nothing => out.null(),
            Argument::Number(number) => out.integer(*number),
            Argument::Text(text) => out.text(text),
            Argument::Instances(instances) => {
                out.begin_array();
                instances.iter().for_each(|instance| out.integer(i64::from(*instance)));
                out.end_array();
            }
            Argument::Key(key) => {
                write_key(key, &mut out);
                return tagged("key", &out.finish());
            }
            Argument::Map(entries) => {
                out.begin_object();
                for (name, value) in entries {
                    out.name(name);
                    out.text(value);
                }
                out.end_object();
                return tagged("map", &out.finish());
            }
            Argument::Settings(settings) => {
                out.begin_object();
                for (name, value) in settings {
                    out.name(name);
                    out.integer(*value);
                }
                out.end_object();
                return tagged("settings", &out.finish());
            }
            Argument::Response(response) => return tagged("response", response),
            Argument::Refusal(response) => return tagged("refusal", response),
            Argument::Failure(class, message) => {
                out.begin_array();
                out.text(class);
                out.text(message);
                out.end_array();
                return tagged("failure", &out.finish());
            }
        }
        out.finish()
    }
}

fn write_key(key: &JobKey, out: &mut Writer) {
    out.begin_array();
    for part in [&key.cluster, &key.role, &key.environment, &key.name] {
        out.text(part);
    }
    out.end_array();
}

/// A call that hooks surround, as methods see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    method: &'static str,
    key: JobKey,
    arguments: Vec<Argument>,
    keywords: Vec<(&'static str, Argument)>,
}

impl Call {
    fn new(method: &'static str, key: &JobKey, arguments: Vec<Argument>) -> Call {
        Call { method, key: key.clone(), arguments, keywords: Vec::new() }
    }

    fn with(mut self, keyword: &'static str, argument: Argument) -> Call {
        self.keywords.push((keyword, argument));
        self
    }

    /// `job create`
    pub(crate) fn create_job(key: &JobKey) -> Call {
        Call::new("create_job", key, vec![Argument::Config])
    }

    /// `job add`
    pub(crate) fn add_instances(key: &JobKey, instance: i32, count: i32) -> Call {
        let numbers = [instance, count].map(|number| Argument::Number(i64::from(number)));
        let arguments = [Argument::Key(key.clone())].into_iter().chain(numbers).collect();
        Call::new("add_instances", key, arguments).with("config", Argument::Config)
    }

    /// One batch of `job kill` or `job killall`
    pub(crate) fn kill_job(
        key: &JobKey,
        instances: Option<&BTreeSet<i32>>,
        message: Option<&String>,
    ) -> Call {
        Call::new("kill_job", key, vec![Argument::Key(key.clone())])
            .with("instances", Argument::instances(instances))
            .with("config", Argument::Config)
            .with("message", Argument::text(message))
    }

    /// `job restart`, all of it
    pub(crate) fn restart(
        key: &JobKey,
        instances: Option<&BTreeSet<i32>>,
        settings: Vec<(&'static str, i64)>,
    ) -> Call {
        let arguments = vec![
            Argument::Key(key.clone()),
            Argument::instances(instances),
            Argument::Settings(settings),
        ];
        Call::new("restart", key, arguments).with("config", Argument::Config)
    }

    /// `cron start`
    pub(crate) fn start_cronjob(key: &JobKey) -> Call {
        Call::new("start_cronjob", key, vec![Argument::Key(key.clone())])
            .with("config", Argument::Config)
    }

    /// `update start`
    pub(crate) fn start_job_update(
        key: &JobKey,
        message: Option<&String>,
        instances: Option<&BTreeSet<i32>>,
        metadata: (&str, &str),
    ) -> Call {
        let metadata = vec![(metadata.0.to_owned(), metadata.1.to_owned())];
        Call::new("start_job_update", key, vec![Argument::Config, Argument::text(message)])
            .with("instances", Argument::instances(instances))
            .with("metadata", Argument::Map(metadata))
    }
}

/// What became of a method.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The object has none for this.
    Absent,
    /// It returned something, true or not.
    Returned { name: String, passed: bool, value: String },
    /// It raised an exception.
    Raised { name: String, problem: Box<Problem> },
    /// The interpreter is gone.
    Lost(Box<Problem>),
}

/// What hooks have made of the job.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The job, with what is bound to it.
    pub(crate) job: Value,
    /// Metadata besides that of the job.
    pub(crate) metadata: Vec<(String, String)>,
}

impl Change {
    /// The job as the scheduler gets it, and as it is after interpolation.
    ///
    /// # Errors
    /// It is no complete job.
    pub(crate) fn convert(&self, user: &str) -> Result<(Converted, Value), Problem> {
        let job = interpolate(&self.job, &Limits::default())
            .map_err(|error| Problem::of_value(Stage::Config, &self.job, &error))?;
        let sound = check_interpolated(&job.value).is_ok();
        let config = Config { job, bound: self.job.clone(), sound, warnings: Vec::new() };
        let mut converted = convert(&config, user)?;
        if let Some(task) = &mut converted.configuration.task_config {
            let metadata = self.metadata.iter().map(|(key, value)| Metadata {
                key: Some(key.clone()),
                value: Some(value.clone()),
                ..Metadata::default()
            });
            task.metadata.get_or_insert_default().extend(metadata);
        }
        Ok((converted, config.job.value))
    }
}

/// Who calls methods.
pub(crate) trait Interpreter {
    /// Calls the method of a hook, by its number, for an event. `extra` is what became of the call.
    fn call(
        &mut self,
        context: &mut Context<'_>,
        hook: usize,
        event: Event,
        call: &Call,
        extra: &Argument,
    ) -> (Outcome, Option<Change>);
}

/// What follows from an outcome.
#[derive(Debug)]
enum Verdict {
    /// The next hook is called.
    Next,
    /// The same, but the call is not made: why.
    Stop(String),
    /// No further hook can be called; the call is not made.
    Last(String),
    /// The command ends, as the hook wants it.
    End(Box<Problem>),
}

/// What an outcome means, and what is to be said about it. Only before a call can it be stopped:
/// afterwards it is made, and hooks are only heard.
fn judge(event: Event, hook: &str, outcome: Outcome) -> (Option<(Level, String)>, Verdict) {
    let stop = |reason: String| match event {
        Event::Pre => Verdict::Stop(reason),
        Event::Post | Event::Err => Verdict::Next,
    };
    match outcome {
        Outcome::Absent | Outcome::Returned { passed: true, .. } => (None, Verdict::Next),
        Outcome::Returned { name, value, .. } => {
            let said = format!("{name} in {hook} returned {value}");
            let advice = match value.as_str() {
                "None" => ", and not True, which lets the call go on",
                _ => "",
            };
            (Some((Level::Debug, said.clone())), stop(format!("{said}{advice}")))
        }
        Outcome::Raised { problem, .. } if problem.class == "SystemExit" => {
            (None, Verdict::End(problem))
        }
        Outcome::Raised { name, problem } => {
            let said = format!("Error in {name} in {hook}: {}", explained(&problem));
            (Some((Level::Warning, said)), stop(format!("{name} in {hook} failed")))
        }
        Outcome::Lost(problem) => {
            let said = problem.to_string();
            match event {
                Event::Pre => (None, Verdict::Last(said)),
                Event::Post | Event::Err => {
                    (Some((Level::Warning, said.clone())), Verdict::Last(said))
                }
            }
        }
    }
}

/// An exception with its class, place and advice.
fn explained(problem: &Problem) -> String {
    let class = &problem.class;
    if problem.origin.is_some() {
        let report = problem.report();
        let report = report.trim_start().trim_start_matches("x ").trim_end_matches('\n');
        return format!("{class}: {report}");
    }
    let help = problem.help.as_ref().map(|help| format!("\n  help: {help}"));
    format!("{class}: {}{}", problem.message.trim_end(), help.unwrap_or_default())
}

/// Which methods follow a call, and what they are given. After an interrupt there are none.
fn consequence(answered: &Result<Response, Failure>) -> Option<(Event, Argument)> {
    let failure = match answered {
        Ok(response) => {
            let text = readable::to_string(response);
            return Some(match response.response_code {
                Some(ResponseCode::OK) => (Event::Post, Argument::Response(text)),
                _ => (Event::Err, Argument::Refusal(text)),
            });
        }
        Err(failure) => failure,
    };
    let (class, message) = match failure {
        Failure::Interrupted => return None,
        Failure::Command(code::NETWORK, message) => ("NotRetriableError", message.as_str()),
        Failure::Command(code::TIMEOUT, message) => ("TimeoutError", message.as_str()),
        Failure::Fatal(message) => ("ThriftInternalError", message.as_str()),
        Failure::Command(_, message) | Failure::Authentication(message) => {
            ("CommandError", message.as_str())
        }
        Failure::Reported(_) => ("CommandError", "the command failed"),
    };
    Some((Event::Err, Argument::Failure(class, message.to_owned())))
}

/// The hooks of one command; none, for most.
#[derive(Default)]
pub(crate) struct Hooks {
    /// The class of each.
    names: Vec<String>,
    interpreter: Option<Box<dyn Interpreter>>,
    change: Option<Change>,
    /// Why no more can be called.
    lost: Option<String>,
}

impl Hooks {
    /// The hooks of a file, for one of its jobs.
    ///
    /// # Errors
    /// The evaluator does not take the job.
    pub(crate) fn of(
        mut session: Session,
        job: &Value,
        context: &mut Context<'_>,
    ) -> Result<Hooks, Problem> {
        session.begin(context, job)?;
        Ok(Hooks::new(session.names().to_vec(), Box::new(session)))
    }

    /// Hooks of these classes.
    pub(crate) fn new(names: Vec<String>, interpreter: Box<dyn Interpreter>) -> Hooks {
        Hooks { names, interpreter: Some(interpreter), ..Hooks::default() }
    }

    /// Calls what comes before a call. All hooks are called, even if the first does not want it.
    ///
    /// # Errors
    /// A hook stops it.
    pub(crate) fn before(&mut self, context: &mut Context<'_>, call: &Call) -> Result<(), Failure> {
        let reasons = self.run(context, Event::Pre, call, &Argument::Nothing)?;
        match reasons.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(
                code::REFUSED,
                format!("Pre hooks stopped call to {}: {}", call.method, reasons.join("; ")),
            )),
        }
    }

    /// Calls what comes after a call, and passes on what became of that.
    ///
    /// # Errors
    /// The call failed, or a hook ends the command.
    pub(crate) fn after(
        &mut self,
        context: &mut Context<'_>,
        call: &Call,
        answered: Result<Response, Failure>,
    ) -> Result<Response, Failure> {
        if self.interpreter.is_some()
            && let Some((event, extra)) = consequence(&answered)
        {
            self.run(context, event, call, &extra)?;
        }
        answered
    }

    /// What hooks have changed the job to, once.
    pub(crate) fn take_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// Calls the methods for an event. Returns why the call is not to be made.
    fn run(
        &mut self,
        context: &mut Context<'_>,
        event: Event,
        call: &Call,
        extra: &Argument,
    ) -> Result<Vec<String>, Failure> {
        let mut reasons = Vec::new();
        let Some(interpreter) = &mut self.interpreter else { return Ok(reasons) };
        if let Some(why) = &self.lost {
            return Ok(vec![why.clone()]);
        }
        for (number, hook) in self.names.iter().enumerate() {
            let (outcome, change) = interpreter.call(context, number, event, call, extra);
            if change.is_some() {
                self.change = change;
            }
            let (said, verdict) = judge(event, hook, outcome);
            if let Some((level, text)) = said {
                context.log(level, text);
            }
            match verdict {
                Verdict::Next => {}
                Verdict::Stop(reason) => reasons.push(reason),
                Verdict::Last(reason) => {
                    reasons.push(reason.clone());
                    self.lost = Some(reason);
                    break;
                }
                Verdict::End(problem) => {
                    return Err(context.refuse_as(&problem, "", code::REFUSED));
                }
            }
        }
        Ok(reasons)
    }
}
