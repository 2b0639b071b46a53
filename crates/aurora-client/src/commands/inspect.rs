//! `aurora job inspect`.
//!
//! Source of behaviour: Aurora configuration reference, "Output of `config list` and `job inspect`".

use std::fmt::Write as _;

use aurora_api::readable;
use aurora_schema::value::{Raw, Value};

use crate::commands::Loaded;

/// In which form a job is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inspect {
    /// For people.
    Human,
    /// The interpolated job as JSON.
    Json,
    /// What the scheduler gets, as readable JSON.
    Raw,
}

/// A job in the form asked for, ending with a line end.
pub fn inspect(job: &Loaded, form: Inspect) -> String {
    match form {
        Inspect::Human => {
            let mut out = String::new();
            describe(&job.job, &mut out);
            out
        }
        Inspect::Json => format!("{}\n", job.interpolated.to_json()),
        Inspect::Raw => format!("{}\n", readable::to_string(&job.configuration)),
    }
}

fn text(value: Option<&Value>) -> String {
    match value.and_then(Value::raw) {
        Some(Raw::Text(text) | Raw::Foreign(text)) => text.to_string(),
        Some(Raw::Integer(number)) => number.to_string(),
        Some(Raw::Bool(true)) => "True".to_owned(),
        Some(Raw::Bool(false)) => "False".to_owned(),
        Some(Raw::Float(number)) => aurora_schema::number::float_text(*number),
        Some(Raw::Null) | None => String::new(),
    }
}

/// The form for people.
fn describe(job: &Value, out: &mut String) {
    // Lines of text with line ends are indented like the first.
    let of = |name: &str| text(job.attribute(name)).replace('\n', "\n  ");
    // Writing to a string does not fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    line(format_args!("Job level information"));
    line(format_args!("  name:       '{}'", of("name")));
    line(format_args!("  role:       '{}'", of("role")));
    if job.attribute("contact").is_some() {
        line(format_args!("  contact:    '{}'", of("contact")));
    }
    line(format_args!("  cluster:    '{}'", of("cluster")));
    line(format_args!("  instances:  '{}'", of("instances")));
    if job.attribute("cron_schedule").is_some() {
        line(format_args!("  cron:"));
        line(format_args!("    schedule: '{}'", of("cron_schedule")));
        line(format_args!("    policy:   '{}'", of("cron_collision_policy")));
    }
    if let Some(constraints) = job.attribute("constraints").and_then(Value::entries) {
        line(format_args!("  constraints:"));
        for (name, value) in constraints {
            line(format_args!("    '{}': '{}'", text(Some(name)), text(Some(value))));
        }
    }
    if let Some(policy) = job.attribute("partition_policy") {
        line(format_args!("  partition_policy:"));
        line(format_args!("    reschedule: {}", text(policy.attribute("reschedule"))));
        line(format_args!("    delay_secs: '{}'", text(policy.attribute("delay_secs"))));
    }
    line(format_args!("  service:    {}", of("service")));
    line(format_args!("  production: {}", of("production")));
    line(format_args!(""));
    let Some(task) = job.attribute("task") else { return };
    line(format_args!("Task level information"));
    line(format_args!("  name: '{}'", text(task.attribute("name"))));
    let constraints = task.attribute("constraints").and_then(Value::items).unwrap_or_default();
    if !constraints.is_empty() {
        line(format_args!("  constraints:"));
        for constraint in constraints {
            let order = constraint.attribute("order").and_then(Value::items).unwrap_or_default();
            let names: Vec<String> = order.iter().map(|name| text(Some(name))).collect();
            line(format_args!("  {}", names.join(" < ")));
        }
    }
    line(format_args!(""));
    for process in task.attribute("processes").and_then(Value::items).unwrap_or_default() {
        line(format_args!("Process '{}':", text(process.attribute("name"))));
        for flag in ["daemon", "ephemeral", "final"] {
            if process.attribute(flag).and_then(Value::raw) == Some(&Raw::Bool(true)) {
                line(format_args!("  {flag}"));
            }
        }
        line(format_args!("  cmdline:"));
        for part in text(process.attribute("cmdline")).split('\n') {
            line(format_args!("    {part}"));
        }
        line(format_args!(""));
    }
}
