//! From the bytes that the scheduler sent to a task for the runner: decode, bind, resolve ports,
//! validate. Pure.
//!
//! `TaskInfo.data` is an `AssignedTask` in Thrift's binary protocol. Its `executorConfig.data` is a
//! job as JSON (or, from old schedulers, one instance of a task). What the executor knows is bound
//! here: instance and host; `{{thermos.*}}` is left to the runner.

use std::collections::{BTreeMap, BTreeSet};

use aurora_api::api::{AssignedTask, Container};
use aurora_schema::Bindings;
use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::json::{self, Json};
use aurora_schema::schema::{self, MESOS_JOB, MESOS_TASK_INSTANCE};
use aurora_schema::task;
use aurora_schema::value::{Strictness, Value};
use thermos_runner::files::bad_file_name;
use thermos_runner::flags;

/// Work that interpolation may cost, for a document of any size, and per byte of it.
const BASE_WORK: u64 = 64 << 20;
const WORK_PER_BYTE: u64 = 32;

/// The beginning of every message about a task that cannot be understood.
const PREFIX: &str = "could not deserialise the Thermos task from the assigned task";

/// Where the processes of a task run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In a directory of the host.
    Directory,
    /// Inside a Docker container, executor included.
    Docker,
    /// In the root file system of an image, below the executor's sandbox.
    Image,
}

/// A task, ready for a sandbox and a runner.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The task's id.
    pub task_id: String,
    /// The agent's host, as the scheduler knows it.
    pub host: String,
    /// The role: the user that processes run as.
    pub role: Option<String>,
    /// Where processes run.
    pub isolation: Isolation,
    /// The task as JSON; only references to `thermos.*` are left.
    pub task_json: String,
    /// Every port name with its number, aliases included.
    pub ports: BTreeMap<String, i64>,
    /// Seconds for CLEANING and FINALIZING.
    pub finalization_wait: i64,
    /// Bytes that the sandbox may use.
    pub disk: i64,
}

/// Why a task cannot be run; what users see as the message of TASK_FAILED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTask(pub String);

impl std::fmt::Display for BadTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTask {}

fn bad(what: impl std::fmt::Display) -> BadTask {
    BadTask(format!("{PREFIX}: {what}"))
}

/// Decodes the envelope.
pub fn decode(data: &[u8]) -> Result<AssignedTask, BadTask> {
    aurora_api::binary::from_slice(data)
        .map_err(|error| BadTask(format!("could not deserialise the assigned task: {error}")))
}

/// Resolves an assigned task into what the runner needs.
pub fn resolve(assigned: &AssignedTask) -> Result<Assignment, BadTask> {
    let config = assigned.task.as_ref().ok_or_else(|| bad("it has no task config"))?;
    let data = config
        .executor_config
        .as_ref()
        .and_then(|config| config.data.as_deref())
        .filter(|data| !data.is_empty())
        .ok_or_else(|| bad("it has no Thermos config (executorConfig.data is empty)"))?;
    let document = json::parse(data.as_bytes()).map_err(|error| {
        bad(format_args!(
            "executorConfig.data is no JSON: line {}, column {}: {}",
            error.line, error.column, error.message
        ))
    })?;
    let Json::Object(members) = &document else {
        return Err(bad("executorConfig.data is no JSON object"));
    };
    let is_instance = members.iter().any(|(name, _)| &**name == "instance");
    let schema = if is_instance { &MESOS_TASK_INSTANCE } else { &MESOS_JOB };
    let limits =
        Limits { work: BASE_WORK + WORK_PER_BYTE * data.len() as u64, ..Limits::default() };
    let job = schema::from_json(schema, document, Strictness::Lenient).map_err(bad)?;
    let mut bindings = Bindings::new();
    let host = assigned.slave_host.clone().unwrap_or_default();
    if !is_instance {
        let instance = assigned.instance_id.unwrap_or_default().to_string();
        for (name, value) in [("mesos.instance", instance.as_str()), ("mesos.hostname", &host)] {
            bindings.bind(name, value).map_err(bad)?;
        }
    }
    let job = interpolate(&job.bind([bindings.scope()]), &limits).map_err(bad)?.value;
    let task = job.attribute("task").ok_or_else(|| bad("the job has no task"))?;
    let task_json = task.to_json();
    let checked = check(&task_json, is_instance)?;
    let resources = checked.resources.ok_or_else(|| bad("the task has no resources"))?;
    let task_id = assigned.task_id.clone().ok_or_else(|| bad("it has no task id"))?;
    if let Some(why) = bad_file_name(&task_id) {
        return Err(bad(format_args!("task id {task_id:?} cannot name a directory: {why}")));
    }
    Ok(Assignment {
        task_id,
        host,
        role: config.job.as_ref().and_then(|job| job.role.clone()),
        isolation: match &config.container {
            Container::Docker(_) => Isolation::Docker,
            Container::Mesos(mesos) if mesos.image.is_some() => Isolation::Image,
            _ => Isolation::Directory,
        },
        ports: ports(&job, assigned.assigned_ports.as_ref())?,
        finalization_wait: checked.finalization_wait,
        disk: resources.disk,
        task_json,
    })
}

/// Validates a task as the runner will, with stand-ins for what only the runner knows.
fn check(task_json: &str, is_instance: bool) -> Result<task::Task, BadTask> {
    let invalid = |error: task::LoadError| bad(format_args!("got invalid task: {error}"));
    let mut bindings = Bindings::new();
    // In the old form the scheduler has bound instance and host. If it did not, the runner will say
    // so, as it did in the original.
    let bound_before = if is_instance { &["mesos.instance", "mesos.hostname"][..] } else { &[] };
    for name in ["thermos.task_id", "thermos.user"].iter().chain(bound_before) {
        bindings.bind(name, "x").map_err(bad)?;
    }
    let ports = task::referenced_ports(task_json.as_bytes(), "task", &bindings).map_err(invalid)?;
    for port in ports {
        bindings.bind(&format!("thermos.ports[{port}]"), "1").map_err(bad)?;
    }
    Ok(task::load(task_json.as_bytes(), "task", &bindings).map_err(invalid)?.task)
}

/// The announcer's port map with the assigned ports over it, aliases followed to their numbers.
fn ports(
    job: &Value,
    assigned: Option<&BTreeMap<String, i32>>,
) -> Result<BTreeMap<String, i64>, BadTask> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    let portmap = job.attribute("announce").and_then(|announce| announce.attribute("portmap"));
    for (name, target) in portmap.and_then(Value::entries).unwrap_or_default() {
        let (Some(name), Some(target)) = (name.as_text(), target.as_text()) else {
            return Err(bad("announce.portmap: names and targets must be strings"));
        };
        map.insert(name.to_owned(), target.to_owned());
    }
    for (name, number) in assigned.into_iter().flatten() {
        map.insert(name.clone(), number.to_string());
    }
    let mut resolved = BTreeMap::new();
    for name in map.keys() {
        let mut seen = BTreeSet::from([name.as_str()]);
        let mut target = map[name].as_str();
        let number = loop {
            if let Ok(number) = target.parse::<i64>() {
                break Some(number);
            }
            match map.get(target) {
                None => break None,
                Some(_) if !seen.insert(target) => {
                    return Err(bad(format_args!("announce.portmap: a cycle through {target:?}")));
                }
                Some(next) => target = next,
            }
        };
        if let Some(number) = number {
            // The runner would refuse it as well, with an exit code that tells users nothing.
            flags::port(&format!("{name}:{number}")).map_err(|error| bad(error.0))?;
            resolved.insert(name.clone(), number);
        }
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests;
