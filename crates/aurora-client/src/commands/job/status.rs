//! `aurora job status`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aurora_api::api::read_only_scheduler::{GetTasksWithoutConfigs, GetTasksWithoutConfigsArgs};
use aurora_api::api::{Resource, ResponseCode, ScheduledTask};
use aurora_api::readable;

use super::list;
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::keys::Pattern;
use crate::monitor::{self, ACTIVE, instance};
use crate::select::JobKey;

/// A job's tasks: those that are, or should be, somewhere, and the others.
struct Tasks {
    job: JobKey,
    active: Vec<ScheduledTask>,
    inactive: Vec<ScheduledTask>,
}

/// Shows the tasks of jobs. As JSON it is
///
/// ```text
/// [{"job": KEY, "active": [ScheduledTask, …], "inactive": [ScheduledTask, …]}, …]
/// ```
///
/// with tasks as the API has them, and `{"jobspec": PATTERN, "error": TEXT}` if there is none.
pub(super) fn status(
    context: &mut Context<'_>,
    pattern: &Pattern,
    as_json: bool,
) -> Result<u8, Failure> {
    let mut all = Vec::new();
    for job in list::jobs(context, pattern)? {
        all.extend(tasks(context, job)?);
    }
    match (all.is_empty(), as_json) {
        (true, true) => {
            let pattern = serde_json::Value::from(pattern.to_string());
            let error = "No matching jobs found";
            context.say(format_args!("{{\"jobspec\":{pattern},\"error\":\"{error}\"}}"));
            Ok(code::OK)
        }
        (true, false) => {
            context.complain(format_args!("Found no jobs matching {pattern}"));
            Ok(code::INVALID_PARAMETER)
        }
        (false, true) => {
            context.print(&json(&all));
            Ok(code::OK)
        }
        (false, false) => {
            let mut out = String::new();
            for tasks in &all {
                describe(tasks, context, &mut out);
            }
            context.say(out);
            Ok(code::OK)
        }
    }
}

/// The tasks of a job, by instance; none if it has none.
fn tasks(context: &mut Context<'_>, job: JobKey) -> Result<Option<Tasks>, Failure> {
    context.cluster(&job.cluster)?;
    context.info(format_args!("Checking status of {job}"));
    let query = Some(monitor::query(&job, None, None));
    let arguments = GetTasksWithoutConfigsArgs { query, ..Default::default() };
    let response = context.call::<GetTasksWithoutConfigs>(&job.cluster, &arguments)?;
    if response.response_code != Some(ResponseCode::OK) {
        context.check(&response, code::INVALID_PARAMETER, "Command failure:")?;
    }
    let mut tasks = monitor::tasks(response);
    if tasks.is_empty() {
        context.info(format_args!("No tasks were found for jobkey {job}"));
        return Ok(None);
    }
    tasks.sort_by_key(instance);
    let (active, inactive) =
        tasks.into_iter().partition(|task| ACTIVE.contains(&monitor::status(task)));
    Ok(Some(Tasks { job, active, inactive }))
}

fn json(all: &[Tasks]) -> String {
    let list = |tasks: &[ScheduledTask]| {
        let texts: Vec<String> = tasks.iter().map(readable::to_string).collect();
        format!("[{}]", texts.join(","))
    };
    let entries: Vec<String> = all
        .iter()
        .map(|Tasks { job, active, inactive }| {
            let job = serde_json::Value::from(job.to_string());
            format!("{{\"active\":{},\"job\":{job},\"inactive\":{}}}", list(active), list(inactive))
        })
        .collect();
    format!("{}\n", indented(&format!("[{}]", entries.join(","))))
}

/// JSON with a line for each member, as people read it. Nothing but space is added: of thousands of
/// tasks nobody wants to wait for another look at what is known to be JSON.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = json;
    while let Some(place) = rest.find(['"', '{', '}', '[', ']', ',', ':']) {
        let (before, after) = rest.split_at(place);
        out.push_str(before);
        let (sign, after) = after.split_at(1);
        rest = after;
        match sign {
            "\"" => {
                let text = text_length(rest);
                out.push('"');
                out.push_str(&rest[..text]);
                rest = &rest[text..];
            }
            "{" | "[" => {
                out.push_str(sign);
                if let Some(end) = rest.chars().next().filter(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                    rest = &rest[1..];
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push_str(sign);
            }
            "," => {
                out.push(',');
                line(&mut out, depth);
            }
            _ => out.push_str(": "),
        }
    }
    out.push_str(rest);
    out
}

/// The length of a text that goes on here, with the sign that ends it.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
}

/// The form for people.
fn describe(tasks: &Tasks, context: &Context<'_>, out: &mut String) {
    for (title, tasks) in [("Active", &tasks.active), ("Inactive", &tasks.inactive)] {
        // Writing to a string does not fail.
        let _ = writeln!(out, "{title} tasks ({}):", tasks.len());
        for task in tasks {
            let _ = describe_task(task, context, out);
        }
    }
}

/// Text, or the word for what is not there.
fn or_none(text: Option<&String>) -> &str {
    text.map_or("None", String::as_str)
}

fn describe_task(
    task: &ScheduledTask,
    context: &Context<'_>,
    out: &mut String,
) -> std::fmt::Result {
    let assigned = task.assigned_task.as_ref();
    let config = assigned.and_then(|assigned| assigned.task.as_ref());
    let job = config.and_then(|config| config.job.as_ref());
    writeln!(
        out,
        "\tTask role: {}, env: {}, name: {}, instance: {}, status: {} on {}",
        or_none(job.and_then(|job| job.role.as_ref())),
        or_none(job.and_then(|job| job.environment.as_ref())),
        or_none(job.and_then(|job| job.name.as_ref())),
        instance(task),
        monitor::status(task),
        or_none(assigned.and_then(|assigned| assigned.slave_host.as_ref())),
    )?;
    let resources = config.iter().flat_map(|config| config.resources.iter().flatten());
    let resources: Vec<String> = resources.filter_map(resource).collect();
    if !resources.is_empty() {
        writeln!(out, "\t  {}", resources.join(", "))?;
    }
    let ports = assigned.and_then(|assigned| assigned.assigned_ports.as_ref());
    if let Some(ports) = ports.filter(|ports| !ports.is_empty()) {
        writeln!(out, "\t  assigned ports: {}", ports_text(ports))?;
        writeln!(
            out,
            "\t  failure count: {} (max {})",
            task.failure_count.unwrap_or_default(),
            config.and_then(|config| config.max_task_failures).unwrap_or_default()
        )?;
    }
    writeln!(out, "\t  events:")?;
    for event in task.task_events.iter().flatten() {
        writeln!(
            out,
            "\t   {} {}: {}",
            context.time(event.timestamp.unwrap_or_default()),
            event.status.unwrap_or_default(),
            or_none(event.message.as_ref())
        )?;
    }
    let metadata: Vec<_> =
        config.iter().flat_map(|config| config.metadata.iter().flatten()).collect();
    if !metadata.is_empty() {
        writeln!(out, "\t  metadata:")?;
        for entry in metadata {
            let (key, value) = (or_none(entry.key.as_ref()), or_none(entry.value.as_ref()));
            writeln!(out, "\t\t  (key: '{key}', value: '{value}')")?;
        }
    }
    Ok(())
}

/// As a dictionary of Python 2, which scripts are used to.
fn ports_text(ports: &BTreeMap<String, i32>) -> String {
    let texts: Vec<String> =
        ports.iter().map(|(name, port)| format!("u'{name}': {port}")).collect();
    format!("{{{}}}", texts.join(", "))
}

/// A resource for people. A whole number of cores keeps its point.
fn resource(resource: &Resource) -> Option<String> {
    Some(match resource {
        Resource::NumCpus(cpus) => format!("CPU: {:?} core(s)", f64::from(*cpus)),
        Resource::RamMb(ram) => format!("RAM: {ram} MB"),
        Resource::DiskMb(disk) => format!("Disk: {disk} MB"),
        Resource::NamedPort(name) => format!("Port: {name}"),
        Resource::NumGpus(gpus) => format!("GPU: {gpus} GPU(s)"),
        Resource::Unknown(..) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_people_is_as_others_write_it() {
        for text in [
            r#"[]"#,
            r#"[{"a":{},"b":[],"c":[1,{"d":null}],"e":"x, {y}: [z] \" \\"}]"#,
            r#"{"a":-1.5,"b":true,"c":"é\u0001"}"#,
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(indented(text), serde_json::to_string_pretty(&value).unwrap());
        }
        for broken in ["", "{", "\"", "}}", "\"\\"] {
            let _ = indented(broken);
        }
    }

    #[test]
    fn what_python_would_print() {
        let ports = BTreeMap::from([("admin".to_owned(), 31000), ("http".to_owned(), 31001)]);
        assert_eq!(ports_text(&ports), "{u'admin': 31000, u'http': 31001}");
        for (cpus, text) in [(0.5, "CPU: 0.5 core(s)"), (2.0, "CPU: 2.0 core(s)")] {
            assert_eq!(resource(&Resource::NumCpus(cpus.into())).unwrap(), text);
        }
    }
}
