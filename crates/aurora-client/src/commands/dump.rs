//! `aurora config dump`: everything about every job of a file, for programs.

use std::collections::HashMap;

use aurora_api::readable;
use aurora_schema::check::check_interpolated;
use aurora_schema::error::{Cause, Error, Segment};
use aurora_schema::json::Writer;
use aurora_schema::value::Value;

use crate::commands::{Source, login};
use crate::config;
use crate::convert::{Converted, convert};
use crate::images::Images;
use crate::problem::{Problem, Stage, origin_of};
use crate::select::{self, JobKey, Parts};
use crate::settings::update_settings;

/// A dump and whether everything in it is fine.
#[derive(Clone, Debug)]
pub struct Dump {
    /// One JSON object.
    pub json: String,
    /// What the file printed.
    pub output: String,
    /// Whether the file and all of its jobs are fine.
    pub ok: bool,
    /// What is wrong with the file as a whole.
    pub problem: Option<Problem>,
}

/// Which jobs are dumped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// The one of this key.
    Key(JobKey),
    /// The one of this name.
    Name(String),
}

/// Evaluates a file and dumps its jobs:
///
/// ```text
/// {"ok", "error": {"stage", "class", "message", "help", "file", "line", "column"},
///  "jobs": [{"select": {"cluster", "role", "environment", "name"}, "ok", "error",
///            "job", "unbound": [address, …], "thrift", "executor_data", "ports": [name, …],
///            "update_settings", "update_settings_error"}, …]}
/// ```
///
/// What does not exist is left out. `thrift` is the JobConfiguration in readable JSON, with sets in
/// the order of their text and `"@executor_data"` for the data that `executor_data` has.
pub fn dump(source: &Source, wanted: &Wanted, images: &mut dyn Images) -> Dump {
    let mut out = String::new();
    let (jobs, output) = match source.jobs() {
        Ok(jobs) => jobs,
        Err(problem) => {
            out.push_str("{\"ok\": false, \"error\": ");
            out.push_str(&problem_json(&problem));
            out.push_str(", \"jobs\": []}");
            return Dump { json: out, output: String::new(), ok: false, problem: Some(problem) };
        }
    };
    let mut ok = true;
    let mut problem = None;
    let mut entries = String::new();
    let mut entry = |parts: &Parts, job: Result<&Value, Problem>| {
        if !entries.is_empty() {
            entries.push_str(", ");
        }
        ok &= append(parts, job, images, &mut entries);
    };
    match wanted {
        Wanted::All if jobs.is_empty() => {
            problem = Some(select::no_jobs());
            entry(&Parts::default(), Err(select::no_jobs()));
        }
        Wanted::All => {
            let mut counts: HashMap<String, usize> = HashMap::with_capacity(jobs.len());
            for (_, parts) in &jobs {
                *counts.entry(parts.to_string()).or_default() += 1;
            }
            for (job, parts) in &jobs {
                let is_alone = counts.get(&parts.to_string()) == Some(&1);
                let job = if is_alone { Ok(job) } else { Err(select::ambiguous(&jobs)) };
                entry(parts, job);
            }
        }
        Wanted::Key(key) => {
            let parts = Parts {
                cluster: Some(key.cluster.clone()),
                role: Some(key.role.clone()),
                environment: Some(key.environment.clone()),
                name: Some(key.name.clone()),
            };
            entry(&parts, select::pick(&jobs, key));
        }
        Wanted::Name(name) => {
            let parts = Parts { name: Some(name.clone()), ..Parts::default() };
            entry(&parts, select::pick_by_name(&jobs, name));
        }
    }
    out.push_str(&format!("{{\"ok\": {ok}"));
    if let Some(problem) = &problem {
        out.push_str(", \"error\": ");
        out.push_str(&problem_json(problem));
    }
    out.push_str(", \"jobs\": [");
    out.push_str(&entries);
    out.push_str("]}");
    Dump { json: out, output, ok, problem }
}

/// Appends one job. Returns whether it is fine.
fn append(
    parts: &Parts,
    job: Result<&Value, Problem>,
    images: &mut dyn Images,
    out: &mut String,
) -> bool {
    out.push_str("{\"select\": ");
    out.push_str(&parts_json(parts));
    let failed = |problem: &Problem, out: &mut String| {
        out.push_str(", \"ok\": false, \"error\": ");
        out.push_str(&problem_json(problem));
        out.push('}');
        false
    };
    let config = match job.and_then(|job| config::prepare(job, images)) {
        Ok(config) => config,
        Err(problem) => return failed(&problem, out),
    };
    let job = &config.job.value;
    out.push_str(", \"job\": ");
    out.push_str(&job.to_json());
    out.push_str(", \"unbound\": ");
    out.push_str(&texts_json(config.job.unbound.keys().map(ToString::to_string)));
    if !config.sound
        && let Some(error) = fails_in_choice(job)
    {
        let message = aurora_schema::wording::check_message(&job.ty(), &error);
        let problem =
            Problem::new(Stage::Check, "TypeCheckError", message).at(origin_of(job, error.path()));
        return failed(&problem, out);
    }
    match convert(&config, &login()) {
        Ok(converted) => {
            let Converted { mut configuration, for_thermos, ports, job } = converted;
            let mut data = None;
            if for_thermos
                && let Some(task) = &mut configuration.task_config
                && let Some(executor) = &mut task.executor_config
            {
                data = executor.data.replace("@executor_data".to_owned());
            }
            out.push_str(", \"ok\": true, \"thrift\": ");
            out.push_str(&sorted_sets(&readable::to_string(&configuration)));
            if let Some(data) = data {
                out.push_str(", \"executor_data\": ");
                out.push_str(&data);
            }
            out.push_str(", \"ports\": ");
            out.push_str(&texts_json(ports.into_iter()));
            // A job that cannot be updated can be created.
            match update_settings(&job) {
                Ok(settings) => {
                    out.push_str(", \"update_settings\": ");
                    out.push_str(&readable::to_string(&settings));
                }
                Err(problem) => {
                    out.push_str(", \"update_settings_error\": ");
                    out.push_str(&problem_json(&problem));
                }
            }
            out.push('}');
            true
        }
        Err(problem) => failed(&problem, out),
    }
}

/// Whether a check failed inside what a choice holds: there the original broke down instead of
/// saying so.
fn fails_in_choice(job: &Value) -> Option<Error> {
    let error = check_interpolated(job).err()?;
    if error.cause() != Some(&Cause::Required) && error.cause().is_none() {
        return None;
    }
    let mut at = job;
    for segment in error.path().segments() {
        if at.chosen().is_some() {
            return Some(error);
        }
        let next = match segment {
            Segment::Field(name) => at.attribute(name),
            Segment::Index(index) => at.items().and_then(|items| items.get(*index)),
            Segment::Key(_) => None,
        };
        at = next?;
    }
    None
}

/// Thrift's sets have an order of their own; readers of a dump get the order of the text, with the
/// members of objects by name.
fn sorted_sets(readable: &str) -> String {
    const SETS: [&str; 4] = ["resources", "constraints", "metadata", "values"];
    fn sort(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    sort(member);
                    if SETS.contains(&name.as_str())
                        && let serde_json::Value::Array(elements) = member
                    {
                        elements.sort_by_cached_key(ToString::to_string);
                    }
                }
            }
            serde_json::Value::Array(elements) => elements.iter_mut().for_each(sort),
            _ => {}
        }
    }
    match serde_json::from_str::<serde_json::Value>(readable) {
        Ok(mut value) => {
            sort(&mut value);
            value.to_string()
        }
        Err(_) => readable.to_owned(),
    }
}

fn texts_json(texts: impl Iterator<Item = String>) -> String {
    let mut out = Writer::new();
    out.begin_array();
    texts.for_each(|text| out.text(&text));
    out.end_array();
    out.finish()
}

fn parts_json(parts: &Parts) -> String {
    let mut out = Writer::new();
    out.begin_object();
    for (name, part) in [
        ("cluster", &parts.cluster),
        ("role", &parts.role),
        ("environment", &parts.environment),
        ("name", &parts.name),
    ] {
        out.name(name);
        match part {
            Some(part) => out.text(part),
            None => out.null(),
        }
    }
    out.end_object();
    out.finish()
}

/// A problem as JSON.
pub(crate) fn problem_json(problem: &Problem) -> String {
    let mut out = Writer::new();
    out.begin_object();
    for (name, text) in
        [("stage", problem.stage.name()), ("class", &problem.class), ("message", &problem.message)]
    {
        out.name(name);
        out.text(text);
    }
    if let Some(help) = &problem.help {
        out.name("help");
        out.text(help);
    }
    if let Some(origin) = &problem.origin {
        out.name("file");
        out.text(&origin.file);
        out.name("line");
        out.integer(i64::from(origin.line));
        out.name("column");
        out.integer(i64::from(origin.column));
    }
    out.end_object();
    out.finish()
}
