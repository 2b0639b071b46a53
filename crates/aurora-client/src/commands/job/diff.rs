//! `aurora job diff`: what an update to a file's job would change.
//!
//! Source of behaviour: the recorded cases `job-diff-*`.

use std::collections::BTreeSet;
use std::io::Write as _;

use aurora_api::api::read_only_scheduler::{
    GetJobUpdateDiff, GetJobUpdateDiffArgs, GetTasksStatus, GetTasksStatusArgs, PopulateJobConfig,
    PopulateJobConfigArgs,
};
use aurora_api::api::{self, ConfigGroup, Range, ResponseCode, TaskConfig};
use aurora_api::readable;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::commands::{Source, TiersOf};
use crate::context::Context;
use crate::exit::{Failure, code};
use crate::keys::{InstancesKey, to_api};
use crate::monitor::{self, ACTIVE};
use crate::select::JobKey;
use crate::settings::update_settings;
use crate::world::{Program, Stream};

/// Names the program that shows differences between two files.
const VIEWER_VARIABLE: &str = "DIFF_VIEWER";

/// Compares a job with what runs: with itself, or with another job.
pub(super) fn diff(
    context: &mut Context<'_>,
    key: &InstancesKey,
    from: Option<&JobKey>,
    source: &Source,
) -> Result<u8, Failure> {
    let job = context.load_job(&key.job, source, TiersOf::Scheduler)?;
    let running = from.unwrap_or(&key.job);
    let is_cron = job.configuration.cron_schedule.is_some();
    let instance_count = job.configuration.instance_count;
    let arguments =
        PopulateJobConfigArgs { description: Some(job.configuration), ..Default::default() };
    let response = context.call::<PopulateJobConfig>(&running.cluster, &arguments)?;
    context.check(&response, code::INVALID_CONFIGURATION, "Error loading configuration")?;
    let Some(api::Result::PopulateJobResult(result)) = response.result else {
        return Err(Failure::Fatal("the scheduler populated no configuration".to_owned()));
    };
    let ours = result.task_config.unwrap_or_default();
    if is_cron {
        return diff_tasks(context, running, &ours);
    }
    let settings = match update_settings(&job.job) {
        Ok(settings) => api::JobUpdateSettings {
            update_only_these_instances: key.instances.as_ref().map(ranges_of),
            ..settings
        },
        Err(problem) => {
            let lead = "Error loading configuration";
            return Err(context.refuse_as(&problem, lead, code::INVALID_CONFIGURATION));
        }
    };
    let request = api::JobUpdateRequest {
        task_config: Some(TaskConfig { job: Some(to_api(running)), ..ours.clone() }),
        instance_count,
        settings: Some(settings),
        ..Default::default()
    };
    let arguments = GetJobUpdateDiffArgs { request: Some(request), ..Default::default() };
    let response = context.call::<GetJobUpdateDiff>(&running.cluster, &arguments)?;
    context.check(&response, code::COMMAND_FAILURE, "Error getting diff info from scheduler")?;
    let Some(api::Result::GetJobUpdateDiffResult(result)) = response.result else {
        return Err(Failure::Fatal("the scheduler says nothing about differences".to_owned()));
    };
    describe(context, &result, &ours)
}

/// What is to be done with which instances, and what changes for those that are updated.
fn describe(
    context: &mut Context<'_>,
    result: &api::GetJobUpdateDiffResult,
    ours: &TaskConfig,
) -> Result<u8, Failure> {
    context.say("This job update will:");
    for (what, groups) in [("add", &result.add), ("remove", &result.remove)] {
        for group in groups.iter().flatten() {
            context.say(format_args!("{what} instances: {}", listed(group)));
        }
    }
    for group in result.update.iter().flatten() {
        context.say(format_args!("update instances: {}\nwith diff:\n", listed(group)));
        let theirs = group.config.clone().unwrap_or_default();
        view(context, &theirs, ours)?;
        context.say("\n");
    }
    for group in result.unchanged.iter().flatten() {
        context.say(format_args!("not change instances: {}", listed(group)));
    }
    Ok(code::OK)
}

/// Runs of a cron job are compared one by one: no update changes them. Equal ones count once.
fn diff_tasks(context: &mut Context<'_>, job: &JobKey, ours: &TaskConfig) -> Result<u8, Failure> {
    let query = Some(monitor::query(job, None, Some(&ACTIVE)));
    let arguments = GetTasksStatusArgs { query, ..Default::default() };
    let response = context.call::<GetTasksStatus>(&job.cluster, &arguments)?;
    if response.response_code != Some(ResponseCode::OK) {
        let lead = "Could not get running tasks:";
        context.check(&response, code::COMMAND_FAILURE, lead)?;
    }
    let running: BTreeSet<TaskConfig> = monitor::tasks(response)
        .into_iter()
        .filter_map(|task| task.assigned_task.and_then(|task| task.task))
        .collect();
    for theirs in &running {
        view(context, theirs, ours)?;
    }
    context.say("");
    Ok(code::OK)
}

/// Shows the differences of two tasks: with the user's program, else with `diff`, on a terminal in
/// its form for people.
fn view(context: &mut Context<'_>, theirs: &TaskConfig, ours: &TaskConfig) -> Result<(), Failure> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(code::COMMAND_FAILURE, format!("Cannot {what}: {error}"))
    };
    let file = |task: &TaskConfig| -> std::io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix("aurora-").suffix(".json").tempfile()?;
        file.write_all(text(task).as_bytes())?;
        Ok(file)
    };
    let cannot = |error: std::io::Error| failed("write what is compared", &error);
    let (theirs, ours) = (file(theirs).map_err(cannot)?, file(ours).map_err(cannot)?);
    let chosen = context.world.variable(VIEWER_VARIABLE).filter(|viewer| !viewer.is_empty());
    let mut words: Vec<String> = match &chosen {
        Some(viewer) => viewer.split_whitespace().map(str::to_owned).collect(),
        None if context.is_colourful(Stream::Out) => {
            let words = ["diff", "-u", "--color=always", "--label=running", "--label=file"];
            words.map(str::to_owned).to_vec()
        }
        None => vec!["diff".to_owned()],
    };
    let files = [theirs.path(), ours.path()].map(|path| path.to_string_lossy().into_owned());
    let program = words.remove(0);
    let program = Program::new(&program, words.into_iter().chain(files));
    // That there are differences is no failure of the program.
    context
        .world
        .run(&program)
        .map(drop)
        .map_err(|error| failed(&format!("run {}", program.name), &error))
}

/// A task as text to compare: a line for each member, by name; what the executor is told is unfolded,
/// so that the order in which somebody wrote it does not matter.
fn text(task: &TaskConfig) -> String {
    let mut value: Value = serde_json::from_str(&readable::to_string(task)).unwrap_or_default();
    if let Some(data) = value.pointer_mut("/executorConfig/data")
        && let Some(unfolded) = data.as_str().and_then(|data| serde_json::from_str(data).ok())
    {
        *data = unfolded;
    }
    sort(&mut value);
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn sort(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.sort_keys();
            members.values_mut().for_each(sort);
        }
        Value::Array(elements) => elements.iter_mut().for_each(sort),
        _ => {}
    }
}

/// The ranges of a group: `[0-1, 3]`.
pub(in crate::commands) fn listed(group: &ConfigGroup) -> String {
    let ranges = group.instances.iter().flatten().map(|range| {
        let (first, last) = (range.first.unwrap_or_default(), range.last.unwrap_or_default());
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    });
    format!("[{}]", ranges.collect::<Vec<_>>().join(", "))
}

/// Instances as an API has them.
pub(in crate::commands) fn ranges_of(instances: &BTreeSet<i32>) -> BTreeSet<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for instance in instances {
        match ranges.last_mut() {
            Some(range) if range.last.and_then(|last| last.checked_add(1)) == Some(*instance) => {
                range.last = Some(*instance);
            }
            _ => ranges.push(Range {
                first: Some(*instance),
                last: Some(*instance),
                ..Range::default()
            }),
        }
    }
    ranges.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_what_the_executor_is_told_does_not_matter() {
        let task = |data: &str| TaskConfig {
            executor_config: Some(api::ExecutorConfig {
                data: Some(data.to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let one = text(&task(r#"{"b": [{"d": 1, "c": 2}], "a": 0.5}"#));
        let other = text(&task(r#"{"a": 0.5, "b": [{"c": 2, "d": 1}]}"#));
        assert_eq!(one, other);
        assert!(one.contains("      \"a\": 0.5,\n"), "{one}");
        assert!(text(&task("no JSON")).contains("\"data\": \"no JSON\""));
    }

    #[test]
    fn instances_as_ranges() {
        for (instances, expected) in [(vec![], "[]"), (vec![1], "[1]"), (vec![0, 1, 3], "[0-1, 3]")]
        {
            let group = ConfigGroup {
                instances: Some(ranges_of(&instances.into_iter().collect())),
                ..Default::default()
            };
            assert_eq!(listed(&group), expected);
        }
    }
}
