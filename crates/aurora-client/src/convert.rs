//! A job as the scheduler gets it: `JobConfiguration` with its `TaskConfig`.
//!
//! Source of behaviour: Aurora configuration reference, "Conversion to the scheduler's structs".

use std::collections::{BTreeMap, BTreeSet};

use aurora_api::api;
use aurora_schema::Bindings;
use aurora_schema::check::check_interpolated;
use aurora_schema::error::{Error, Path, Segment};
use aurora_schema::interpolate::{Interpolated, Limits, interpolate};
use aurora_schema::json::Writer;
use aurora_schema::number::{self, Integer};
use aurora_schema::task::{self, ErrorKind};
use aurora_schema::template::{Component, Ref};
use aurora_schema::types::Type;
use aurora_schema::value::{Raw, Value};
use aurora_schema::wording;

use crate::config::{Config, portmap};
use crate::ports;
use crate::problem::{Problem, Stage, origin_of};
use crate::select::is_identifier;

/// The executor that gets the whole job as its data.
const THERMOS_EXECUTOR: &str = "AuroraExecutor";

/// What the executor is not told.
const NOT_FOR_THE_EXECUTOR: [&str; 2] = ["update_config", "instances"];

/// The instance that tasks are checked with.
const CHECKED_INSTANCE: &str = "31337";

const MIB: i64 = 1 << 20;

/// A converted job.
#[derive(Clone, Debug)]
pub struct Converted {
    /// What the scheduler gets.
    pub configuration: api::JobConfiguration,
    /// Whether it runs under the usual executor, whose data is the job.
    pub for_thermos: bool,
    /// The ports that are asked for.
    pub ports: BTreeSet<String>,
    /// The job, interpolated twice.
    pub job: Value,
}

fn invalid(message: impl std::fmt::Display) -> Problem {
    Problem::invalid(Stage::Convert, message)
}

/// A job's attribute, or one further inside; unset is none.
fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.attribute(name))
}

/// Reads attributes of an interpolated job. Each is checked when it is read.
pub(crate) struct Reader<'v> {
    pub(crate) job: &'v Value,
    /// It passed the type check as a whole.
    pub(crate) sound: bool,
}

impl<'v> Reader<'v> {
    fn path(path: &[&str]) -> Path {
        Path::from_segments(path.iter().map(|name| Segment::Field((*name).into())).collect())
    }

    /// An attribute that must be set and fit its type.
    pub(crate) fn get(&self, path: &[&str]) -> Result<&'v Value, Problem> {
        let Some(value) = at(self.job, path) else {
            let parent = at(self.job, &path[..path.len() - 1]).map(Value::ty);
            let name = path.last().copied().unwrap_or_default();
            let owner = parent.map(|ty| ty.to_string()).unwrap_or_default();
            return Err(invalid(format!("{owner}[{name}] is required."))
                .at(origin_of(self.job, &Self::path(path))));
        };
        if !self.sound {
            check_interpolated(value).map_err(|error| self.refused(path, value, &error))?;
        }
        Ok(value)
    }

    pub(crate) fn optional(&self, path: &[&str]) -> Result<Option<&'v Value>, Problem> {
        match at(self.job, path) {
            Some(_) => self.get(path).map(Some),
            None => Ok(None),
        }
    }

    fn refused(&self, path: &[&str], value: &Value, error: &Error) -> Problem {
        let mut segments = Self::path(path).segments().to_vec();
        segments.extend_from_slice(error.path().segments());
        let place = Path::from_segments(segments);
        let message = wording::check_message(&value.ty(), error);
        invalid(format!("{message} (in {place})")).at(origin_of(self.job, &place))
    }

    fn text(&self, path: &[&str]) -> Result<String, Problem> {
        Ok(self.get(path)?.as_text().unwrap_or_default().to_owned())
    }

    fn optional_text(&self, path: &[&str]) -> Result<Option<String>, Problem> {
        Ok(self.optional(path)?.and_then(Value::as_text).map(str::to_owned))
    }

    pub(crate) fn boolean(&self, path: &[&str]) -> Result<bool, Problem> {
        Ok(self.get(path)?.raw() == Some(&Raw::Bool(true)))
    }

    pub(crate) fn integer(&self, path: &[&str]) -> Result<i64, Problem> {
        match self.get(path)?.raw() {
            Some(Raw::Integer(Integer::Small(number))) => Ok(*number),
            _ => Err(self.range(path, i64::MIN, i64::MAX)),
        }
    }

    pub(crate) fn int32(&self, path: &[&str]) -> Result<i32, Problem> {
        let number = self.integer(path)?;
        i32::try_from(number)
            .map_err(|_| self.range(path, i64::from(i32::MIN), i64::from(i32::MAX)))
    }

    /// A mistake of the author's in an attribute that fits its type.
    pub(crate) fn wrong(&self, path: &[&str], message: &str) -> Problem {
        let origin = origin_of(self.job, &Self::path(path));
        Problem::new(Stage::Convert, "ValueError", message).at(origin)
    }

    fn range(&self, path: &[&str], from: i64, to: i64) -> Problem {
        let place = Self::path(path);
        invalid(format!("{place} must be from {from} to {to}")).at(origin_of(self.job, &place))
    }

    fn float(&self, path: &[&str]) -> Result<f64, Problem> {
        match self.get(path)?.raw() {
            Some(Raw::Float(number)) => Ok(*number),
            _ => Err(invalid(format!("{} must be a number", Self::path(path)))),
        }
    }

    /// A role, environment or name.
    fn identifier(&self, name: &str) -> Result<String, Problem> {
        let text = self.text(&[name])?;
        if is_identifier(&text) {
            return Ok(text);
        }
        Err(invalid(format!("Invalid {name} '{text}'"))
            .with_help("letters, digits, \"_\", \"-\" and \".\" are allowed")
            .at(origin_of(self.job, &Path::root())))
    }
}

/// Converts a job that was made ready. `user` is who is responsible.
pub fn convert(config: &Config, user: &str) -> Result<Converted, Problem> {
    let first = &config.job;
    // Only where escapes became references can a second time make a difference.
    let again = match first.unescaped {
        true => Some(
            interpolate(&first.value, &Limits::default())
                .map_err(|error| Problem::of_value(Stage::Convert, &first.value, &error))?,
        ),
        false => None,
    };
    let Interpolated { value: job, unbound, .. } = again.as_ref().unwrap_or(first);
    let sound = if again.is_some() { check_interpolated(job).is_ok() } else { config.sound };
    let reader = Reader { job, sound };
    let key = api::JobKey {
        role: Some(reader.identifier("role")?),
        environment: Some(reader.identifier("environment")?),
        name: Some(reader.identifier("name")?),
        ..api::JobKey::default()
    };
    let resources = resources(&reader)?;
    let referenced = ports::referenced(first)?;
    let resolved = ports::resolve(&portmap(job))?;
    let requested = ports::requested(&referenced, &resolved);
    let owner = api::Identity { user: Some(user.to_owned()), ..api::Identity::default() };
    let mut task = api::TaskConfig {
        job: Some(key.clone()),
        owner: Some(owner.clone()),
        is_service: Some(reader.boolean(&["service"])?),
        max_task_failures: Some(reader.int32(&["max_task_failures"])?),
        priority: Some(reader.int32(&["priority"])?),
        contact_email: reader.optional_text(&["contact"])?,
        tier: reader.optional_text(&["tier"])?,
        production: Some(reader.boolean(&["production"])?),
        partition_policy: partition_policy(&reader)?,
        sla_policy: sla_policy(&reader)?,
        metadata: Some(metadata(&reader)?),
        constraints: Some(constraints(&reader)?),
        container: container(&reader)?,
        task_links: Some(BTreeMap::new()),
        ..api::TaskConfig::default()
    };
    let ports = requested.iter().cloned().map(api::Resource::NamedPort);
    task.resources = Some(resources.into_iter().chain(ports).collect());
    validate_task(first, job)?;
    if !sound && let Err(error) = check_interpolated(job) {
        let message = wording::check_message(&job.ty(), &error);
        let problem = invalid(format!("Job not fully specified: {message}"));
        return Err(problem.at(origin_of(job, error.path())));
    }
    let open: Vec<(&Ref, &Path)> =
        unbound.iter().filter(|(reference, _)| !is_run_time(reference)).collect();
    if let Some((_, place)) = open.first() {
        let names: Vec<String> =
            open.iter().map(|(reference, _)| format!("{{{{{reference}}}}}")).collect();
        let message = format!("Config contains unbound variables: {}", names.join(", "));
        return Err(invalid(message)
            .with_help(format!("used in {place}; bind them with .bind(...) or --bind"))
            .at(origin_of(job, place)));
    }
    let executor = reader.text(&["executor_config", "name"])?;
    let for_thermos = executor == THERMOS_EXECUTOR;
    let data =
        if for_thermos { executor_data(job) } else { reader.text(&["executor_config", "data"])? };
    task.executor_config = Some(api::ExecutorConfig {
        name: Some(executor),
        data: Some(data),
        ..api::ExecutorConfig::default()
    });
    let configuration = api::JobConfiguration {
        key: Some(key),
        owner: Some(owner),
        cron_schedule: reader.optional_text(&["cron_schedule"])?,
        cron_collision_policy: Some(cron_collision_policy(&reader)?),
        task_config: Some(task),
        instance_count: Some(reader.int32(&["instances"])?),
        ..api::JobConfiguration::default()
    };
    Ok(Converted { configuration, for_thermos, ports: requested, job: job.clone() })
}

/// Whether a reference is resolved where the task runs.
fn is_run_time(reference: &Ref) -> bool {
    match reference.components() {
        [Component::Name(first), Component::Name(second)] => {
            matches!(
                (&**first, &**second),
                ("thermos", "task_id") | ("mesos", "instance" | "hostname")
            )
        }
        [Component::Name(first), Component::Name(second), _, ..] => {
            **first == *"thermos" && **second == *"ports"
        }
        _ => false,
    }
}

/// What the executor is told: the job without what only the scheduler needs.
pub fn executor_data(job: &Value) -> String {
    let mut out = Writer::new();
    out.begin_object();
    if let Some(attributes) = job.as_struct() {
        for (position, attribute) in attributes.set() {
            let name = attributes.ty().fields()[position].name();
            if !NOT_FOR_THE_EXECUTOR.contains(&name) {
                out.name(name);
                attribute.write_json(&mut out);
            }
        }
    }
    out.end_object();
    out.finish()
}

fn resources(reader: &Reader<'_>) -> Result<Vec<api::Resource>, Problem> {
    let place = Reader::path(&["task", "resources"]);
    let origin = origin_of(reader.job, &place);
    if at(reader.job, &["task", "resources"]).is_none() {
        return Err(invalid("Task must specify resources!").at(origin));
    }
    let ram = reader.integer(&["task", "resources", "ram"])?;
    let disk = reader.integer(&["task", "resources", "disk"])?;
    let cpu = reader.float(&["task", "resources", "cpu"])?;
    let gpu = reader.integer(&["task", "resources", "gpu"])?;
    if ram == 0 || disk == 0 {
        let message = format!("Must specify ram and disk resources, got ram:{ram} disk:{disk}");
        return Err(invalid(message).at(origin));
    }
    let (ram_mb, disk_mb) = (ram.div_euclid(MIB), disk.div_euclid(MIB));
    if cpu <= 0.0 || cpu.is_nan() || ram_mb <= 0 || disk_mb <= 0 {
        return Err(invalid(format!(
            "Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:{} \
             ramMb:{ram_mb} diskMb:{disk_mb}",
            number::float_exact(cpu)
        ))
        .with_help("ram and disk are in bytes: write 128*MB")
        .at(origin));
    }
    let mut all = vec![
        api::Resource::NumCpus(cpu.into()),
        api::Resource::RamMb(ram_mb),
        api::Resource::DiskMb(disk_mb),
    ];
    if gpu != 0 {
        all.push(api::Resource::NumGpus(gpu));
    }
    Ok(all)
}

fn partition_policy(reader: &Reader<'_>) -> Result<Option<api::PartitionPolicy>, Problem> {
    if reader.optional(&["partition_policy"])?.is_none() {
        return Ok(None);
    }
    Ok(Some(api::PartitionPolicy {
        reschedule: Some(reader.boolean(&["partition_policy", "reschedule"])?),
        delay_secs: Some(reader.integer(&["partition_policy", "delay_secs"])?),
        ..api::PartitionPolicy::default()
    }))
}

fn sla_policy(reader: &Reader<'_>) -> Result<Option<api::SlaPolicy>, Problem> {
    let Some(policy) = reader.optional(&["sla_policy"])? else { return Ok(None) };
    let kind = policy.as_struct().map(|policy| policy.ty().name().to_owned());
    let policy = match kind.as_deref() {
        Some("PercentageSlaPolicy") => {
            api::SlaPolicy::PercentageSlaPolicy(api::PercentageSlaPolicy {
                percentage: Some(reader.float(&["sla_policy", "percentage"])?.into()),
                duration_secs: Some(reader.integer(&["sla_policy", "duration_secs"])?),
                ..Default::default()
            })
        }
        Some("CountSlaPolicy") => api::SlaPolicy::CountSlaPolicy(api::CountSlaPolicy {
            count: Some(reader.integer(&["sla_policy", "count"])?),
            duration_secs: Some(reader.integer(&["sla_policy", "duration_secs"])?),
            ..Default::default()
        }),
        _ => api::SlaPolicy::CoordinatorSlaPolicy(api::CoordinatorSlaPolicy {
            coordinator_url: Some(reader.text(&["sla_policy", "coordinator_url"])?),
            status_key: Some(reader.text(&["sla_policy", "status_key"])?),
            ..Default::default()
        }),
    };
    Ok(Some(policy))
}

fn metadata(reader: &Reader<'_>) -> Result<BTreeSet<api::Metadata>, Problem> {
    let Some(list) = reader.optional(&["metadata"])? else { return Ok(BTreeSet::new()) };
    let text = |entry: &Value, name: &str| {
        entry.attribute(name).and_then(Value::as_text).map(str::to_owned)
    };
    let entries = list.items().unwrap_or_default().iter().map(|entry| api::Metadata {
        key: text(entry, "key"),
        value: text(entry, "value"),
        ..Default::default()
    });
    Ok(entries.collect())
}

fn constraints(reader: &Reader<'_>) -> Result<BTreeSet<api::Constraint>, Problem> {
    let Some(map) = reader.optional(&["constraints"])? else { return Ok(BTreeSet::new()) };
    let entries = map.entries().unwrap_or_default().iter().map(|(name, value)| {
        let name = name.as_text().unwrap_or_default();
        let constraint = constraint(value.as_text().unwrap_or_default()).map_err(|value| {
            Problem::new(
                Stage::Convert,
                "ValueError",
                format!(
                    "invalid literal for int() with base 10: '{value}' (in constraints[{name}])"
                ),
            )
            .with_help("a limit is written limit:NUMBER")
            .at(origin_of(reader.job, &Path::root()))
        })?;
        Ok(api::Constraint {
            name: Some(name.to_owned()),
            constraint: Some(constraint),
            ..Default::default()
        })
    });
    entries.collect()
}

/// `limit:N`, or values, perhaps negated. Error: what is no number.
fn constraint(text: &str) -> Result<api::TaskConstraint, &str> {
    if let Some(limit) = text.strip_prefix("limit:") {
        let number = limit.trim().parse::<i32>().map_err(|_| limit)?;
        return Ok(api::TaskConstraint::Limit(api::LimitConstraint {
            limit: Some(number),
            ..Default::default()
        }));
    }
    let (negated, values) = match text.strip_prefix('!') {
        Some(values) => (true, values),
        None => (false, text),
    };
    Ok(api::TaskConstraint::Value(api::ValueConstraint {
        negated: Some(negated),
        values: Some(values.split(',').map(str::to_owned).collect()),
        ..Default::default()
    }))
}

fn container(reader: &Reader<'_>) -> Result<api::Container, Problem> {
    let Some(container) = reader.optional(&["container"])? else {
        return Ok(api::Container::Mesos(api::MesosContainer::default()));
    };
    let Type::Struct(kind) = container.chosen().map_or(container.ty(), |(inner, _)| inner.ty())
    else {
        return Err(invalid("container must be Container, Docker or Mesos"));
    };
    let text = |value: &Value, name: &str| {
        value.attribute(name).and_then(Value::as_text).map(str::to_owned)
    };
    let items = |value: &Value, name: &str| -> Vec<Value> {
        value.attribute(name).and_then(Value::items).unwrap_or_default().to_vec()
    };
    match kind.name() {
        "Docker" | "Container" => {
            let docker = match kind.name() {
                "Docker" => Some(container),
                _ => container.attribute("docker"),
            };
            let Some(docker) = docker else {
                return Err(invalid("Container[docker] is required.")
                    .with_help("write container=Docker(image=...), or leave it out")
                    .at(origin_of(reader.job, &Reader::path(&["container"]))));
            };
            let parameters = items(docker, "parameters");
            let parameters = parameters.iter().map(|parameter| api::DockerParameter {
                name: text(parameter, "name"),
                value: text(parameter, "value"),
                ..Default::default()
            });
            Ok(api::Container::Docker(api::DockerContainer {
                image: text(docker, "image"),
                parameters: Some(parameters.collect()),
                ..Default::default()
            }))
        }
        _ => {
            let image = container.attribute("image").map(|image| match text(image, "tag") {
                Some(tag) => api::Image::Docker(api::DockerImage {
                    name: text(image, "name"),
                    tag: Some(tag),
                    ..Default::default()
                }),
                None => api::Image::Appc(api::AppcImage {
                    name: text(image, "name"),
                    image_id: text(image, "image_id"),
                    ..Default::default()
                }),
            });
            let volumes = items(container, "volumes");
            let volumes = volumes.iter().map(|volume| api::Volume {
                container_path: text(volume, "container_path"),
                host_path: text(volume, "host_path"),
                mode: text(volume, "mode").and_then(|mode| api::Mode::from_name(&mode)),
                ..Default::default()
            });
            Ok(api::Container::Mesos(api::MesosContainer {
                image,
                volumes: Some(volumes.collect()),
                ..Default::default()
            }))
        }
    }
}

fn cron_collision_policy(reader: &Reader<'_>) -> Result<api::CronCollisionPolicy, Problem> {
    let text = reader.text(&["cron_collision_policy"])?;
    api::CronCollisionPolicy::from_name(&text.to_uppercase()).ok_or_else(|| {
        let known: Vec<&str> =
            api::CronCollisionPolicy::NAMES.iter().map(|(name, _)| *name).collect();
        invalid(format!("Invalid CronCollisionPolicy type: {text}"))
            .with_help(format!("known are {}", known.join(", ")))
            .at(origin_of(reader.job, &Path::root()))
    })
}

/// Checks the task as the executor would see it, with an instance, a host name, ports and so on.
fn validate_task(first: &Interpolated, job: &Value) -> Result<(), Problem> {
    let mut instance = Bindings::new();
    for (address, value) in [("mesos.instance", CHECKED_INSTANCE), ("mesos.hostname", "")] {
        // These are addresses.
        let _ = instance.bind(address, value);
    }
    let again = match first.unescaped || !first.unbound.is_empty() {
        true => Some(
            interpolate(&first.value.bind([instance.scope()]), &Limits::default())
                .map_err(|error| Problem::of_value(Stage::Convert, job, &error))?,
        ),
        false => None,
    };
    let done = again.as_ref().unwrap_or(first);
    let Some(task) = done.value.attribute("task") else {
        return Err(invalid("Task required"));
    };
    let place = |path: &Path| {
        let mut segments = vec![Segment::Field("task".into())];
        segments.extend_from_slice(path.segments());
        Path::from_segments(segments)
    };
    let refused = |message: String, path: &Path| {
        invalid(format!("Task is invalid: {message}")).at(origin_of(job, &place(path)))
    };
    if let Err(error) = task::validate(task) {
        let path = error.path().clone();
        return Err(match error.kind() {
            ErrorKind::Name => {
                let name = process_name(task, &path);
                refused(format!("Task has invalid process: Invalid process name: {name}"), &path)
                    .with_help(error.message().to_owned())
            }
            ErrorKind::Plan => {
                refused(format!("Task has invalid plan: {}", plan_message(error.message())), &path)
            }
            _ => {
                let message = match check_interpolated(task) {
                    Err(error) => wording::check_message(&task.ty(), &error),
                    Ok(()) => format!("{}: {}", error.path(), error.message()),
                };
                refused(format!("Failed to fully evaluate task: {message}"), &path)
            }
        });
    }
    let open: Vec<(&Ref, &Path)> = done
        .unbound
        .iter()
        .filter(|(reference, place)| {
            place.segments().first() == Some(&Segment::Field("task".into()))
                && !is_bound_when_run(reference)
        })
        .collect();
    if let Some((_, path)) = open.first() {
        let names: Vec<String> =
            open.iter().map(|(reference, _)| format!("{{{{{reference}}}}}")).collect();
        let message = format!(
            "Unexpected unbound refs: {}. Make sure you are not nesting template variables.",
            names.join(" ")
        );
        return Err(invalid(format!("Task is invalid: {message}"))
            .with_help(format!("used in {path}; bind them with .bind(...) or --bind"))
            .at(origin_of(job, path)));
    }
    Ok(())
}

/// Whether the runner binds a reference.
fn is_bound_when_run(reference: &Ref) -> bool {
    match reference.components() {
        [Component::Name(first), Component::Name(second)] => {
            **first == *"thermos" && matches!(&**second, "task_id" | "user")
        }
        [Component::Name(first), Component::Name(second), Component::Index(_)] => {
            **first == *"thermos" && **second == *"ports"
        }
        _ => false,
    }
}

fn plan_message(detail: &str) -> String {
    let kind = if detail.contains("cycle") {
        "Cycles detected in the task schedule!"
    } else if detail.contains("order") && !detail.contains("depend") {
        "Invalid process dependencies!"
    } else {
        return detail.replace("may not depend on", "may not depend upon");
    };
    format!("{kind} ({detail})")
}

fn process_name(task: &Value, path: &Path) -> String {
    let index = path.segments().iter().find_map(|segment| match segment {
        Segment::Index(index) => Some(*index),
        _ => None,
    });
    let processes = task.attribute("processes").and_then(Value::items).unwrap_or_default();
    let name = index.and_then(|index| processes.get(index)?.attribute("name")?.as_text());
    name.unwrap_or_default().to_owned()
}

/// The process that a place in a job belongs to, for messages.
pub(crate) fn process_at(job: &Value, path: &Path) -> String {
    match job.attribute("task") {
        Some(task) => format!("Process {:?}", process_name(task, path)),
        None => "a process".to_owned(),
    }
}
