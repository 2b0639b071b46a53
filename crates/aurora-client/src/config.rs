//! One job made ready: what the client binds, and what it checks before anything is sent.
//!
//! Source of behaviour: Aurora configuration reference, "Steps for one job, in order".

use aurora_schema::check::check_interpolated;
use aurora_schema::error::Path;
use aurora_schema::interpolate::{Interpolated, Limits, interpolate, interpolate_part};
use aurora_schema::number::Integer;
use aurora_schema::scope::Bindings;
use aurora_schema::value::{Raw, Value};
use aurora_schema::wording;

use crate::images::{self, Images};
use crate::ports::{self, Port};
use crate::problem::{Problem, Stage, origin_of};

/// A job that the client accepts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The job, interpolated once.
    pub job: Interpolated,
    /// The same before that, with everything bound to it.
    pub bound: Value,
    /// Whether it passes the type check, which then need not be made again.
    pub sound: bool,
    /// What is accepted, but should be known.
    pub warnings: Vec<String>,
}

/// Binds what every job knows and the images that it asks for, interpolates the job, and makes the
/// client's own checks. `images` is only asked about jobs that refer to images.
///
/// Errors are of the stage `config`, or `check` where the original's type check broke on a choice.
pub fn prepare(job: &Value, images: &mut dyn Images) -> Result<Config, Problem> {
    required_parts(job)?;
    let mut standard = Bindings::new();
    for (address, value) in
        [("mesos.role", "{{role}}"), ("mesos.cluster", "{{cluster}}"), ("thermos.user", "{{role}}")]
    {
        // These are addresses.
        let _ = standard.bind(address, value);
    }
    let mut bound = job.bind([standard.scope()]);
    let resolve = |bound: &Value| {
        interpolate(bound, &Limits::default())
            .map_err(|error| Problem::of_value(Stage::Config, bound, &error))
    };
    let mut done = resolve(&bound)?;
    if images::is_wanted(&done) {
        let images = images::bindings(&bound, &done, images)?;
        bound = bound.bind([images.scope()]);
        done = resolve(&bound)?;
    }
    let job = &done.value;
    let mut warnings = Vec::new();
    check_update(job)?;
    check_announce(job, &done, &mut warnings)?;
    if is_true(job.attribute("production")) && job.attribute("tier").is_none() {
        warnings.push(
            "Job configuration attribute 'production' is deprecated.\nUse 'tier' attribute instead."
                .to_owned(),
        );
    }
    let sound = check_interpolated(job).is_ok();
    Ok(Config { job: done, bound, sound, warnings })
}

/// The parts without which nothing else can be said.
fn required_parts(job: &Value) -> Result<(), Problem> {
    let origin = origin_of(job, &Path::root());
    let name = || -> String {
        let done =
            job.attribute("name").map(|name| interpolate_part(job, name, &Limits::default()));
        match done {
            Some(Ok(done)) => done.value.as_text().unwrap_or_default().to_owned(),
            _ => String::new(),
        }
    };
    for (attribute, title) in [("cluster", "Cluster"), ("task", "Task"), ("role", "Role")] {
        if job.attribute(attribute).is_none() {
            let message = format!("{title} required for job \"{}\"", name());
            return Err(Problem::invalid(Stage::Config, message).at(origin));
        }
    }
    let task = job.attribute("task");
    if task.is_some_and(|task| task.attribute("processes").is_none()) {
        let message = format!("Processes required for task on job \"{}\"", name());
        let origin = task.and_then(|task| origin_of(task, &Path::root()));
        return Err(Problem::invalid(Stage::Config, message).at(origin));
    }
    Ok(())
}

fn is_true(value: Option<&Value>) -> bool {
    value.and_then(Value::raw) == Some(&Raw::Bool(true))
}

fn whole(value: Option<&Value>) -> Option<i64> {
    match value?.raw()? {
        Raw::Integer(Integer::Small(number)) => Some(*number),
        _ => None,
    }
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value?.raw()? {
        Raw::Integer(number) => Some(number.to_f64()),
        Raw::Float(number) => Some(*number),
        _ => None,
    }
}

/// Whether the job may only run on machines set aside for it.
fn is_dedicated(job: &Value) -> bool {
    let constraints = job.attribute("constraints").and_then(Value::entries).unwrap_or_default();
    constraints.iter().any(|(name, _)| name.as_text() == Some("dedicated"))
}

/// At least this part of a dedicated job's instances must be allowed to fail.
const DEDICATED_PERCENT: i64 = 2;

/// The bounds of an update. What is not resolved yet is not looked at.
fn check_update(job: &Value) -> Result<(), Problem> {
    let die = |message: String| {
        Err(Problem::new(Stage::Config, "SystemExit", message).at(origin_of(job, &Path::root())))
    };
    let update = job.attribute("update_config");
    let failures = whole(update.and_then(|update| update.attribute("max_total_failures")));
    if let (Some(failures), Some(instances)) = (failures, whole(job.attribute("instances"))) {
        if failures >= instances {
            return die(format!(
                "max_total_failures in update_config must be lesser than the job size.\n\
                 Based on your job size ({instances}) you should use max_total_failures <= {}.",
                instances - 1
            ));
        }
        let least = instances.saturating_mul(DEDICATED_PERCENT) / 100;
        if is_dedicated(job) && failures < least {
            return die(format!(
                "Since this is a dedicated job, you must set your max_total_failures in\n\
                 your update configuration to no less than {DEDICATED_PERCENT}% of your job size.\n\
                 Based on your job size ({instances}) you should use max_total_failures >= {least}."
            ));
        }
    }
    let health = job.attribute("health_check_config");
    for (part, name) in [
        (update, "watch_secs"),
        (health, "max_consecutive_failures"),
        (health, "min_consecutive_successes"),
        (health, "initial_interval_secs"),
        (health, "interval_secs"),
    ] {
        let value = part.and_then(|part| part.attribute(name));
        if let Some(found) = number(value)
            && found < 0.0
        {
            return die(format!(
                "Invalid value ({found}) specified for {name}. Value cannot be less than 0."
            ));
        }
    }
    Ok(())
}

/// The announcer's aliases, as text.
pub(crate) fn portmap(job: &Value) -> Vec<(String, String)> {
    let announce = job.attribute("announce");
    let entries = announce.and_then(|announce| announce.attribute("portmap"));
    let entries = entries.and_then(Value::entries).unwrap_or_default().iter();
    entries
        .filter_map(|(name, target)| {
            Some((name.as_text()?.to_owned(), target.as_text()?.to_owned()))
        })
        .collect()
}

fn check_announce(
    job: &Value,
    done: &Interpolated,
    warnings: &mut Vec<String>,
) -> Result<(), Problem> {
    let Some(announce) = job.attribute("announce") else {
        return Ok(());
    };
    let origin = origin_of(job, &Path::root());
    let portmap = portmap(job);
    let primary = announce.attribute("primary_port").and_then(Value::as_text).unwrap_or_default();
    // A reference of a wrong form is found again, as an error, when the job is converted.
    let referenced = ports::referenced(done).unwrap_or_default();
    if !referenced.contains(primary) && !portmap.iter().any(|(name, _)| name == primary) {
        warnings.push(format!(
            "Announcer specified primary port as {primary} but no processes have bound that port. \
             If you would like to utilize this port, you should bind it in a process"
        ));
    }
    let resolved = ports::resolve(&portmap).map_err(|problem| problem.at(origin))?;
    let statics = resolved.values().any(|port| matches!(port, Port::Static(_)));
    if statics && !is_dedicated(job) {
        let message = "Job must be dedicated in order to specify static ports!";
        return Err(Problem::new(Stage::Config, "ValueError", message)
            .with_help("add a constraint `dedicated`, or let the scheduler choose the ports")
            .at(origin));
    }
    Ok(())
}

/// The type check of an interpolated job, as a message in the words of the language.
pub fn check(job: &Value) -> Result<(), Problem> {
    check_interpolated(job).map_err(|error| {
        let message = wording::check_message(&job.ty(), &error);
        Problem::new(Stage::Check, "TypeCheckError", format!("TypeCheck(FAILED): {message}"))
            .at(origin_of(job, error.path()))
    })
}
