//! The structs that Aurora and Thermos configurations are made of, as data.
//!
//! Source: Aurora configuration reference, "Schema tables"; Thermos reference, "The task model".
//! Sizes are bytes, times seconds unless a name says otherwise.

use std::sync::{Arc, LazyLock};

use crate::json::Json;
use crate::number::Integer;
use crate::types::{Field, StructType, Type};
use crate::value::{Raw, Strictness, Value};

/// A schema, made when first used.
type Schema = LazyLock<Arc<StructType>>;

fn required(name: &str, ty: Type) -> Field {
    Field::required(name, ty)
}

fn optional(name: &str, ty: Type) -> Field {
    Field::optional(name, ty)
}

fn text(name: &str, default: &str) -> Field {
    Field::with_default(name, Value::string(default))
}

fn integer(name: &str, default: i64) -> Field {
    Field::with_default(name, Value::integer(default))
}

fn float(name: &str, default: f64) -> Field {
    Field::with_default(name, Value::float(default))
}

fn boolean(name: &str, default: bool) -> Field {
    Field::with_default(name, Value::boolean(default))
}

fn word(name: &str, ty: Type, default: &str) -> Field {
    Field::with_default(name, Value::scalar(ty, Raw::Text(default.into())))
}

fn of(schema: &Schema) -> Type {
    Type::Struct(Arc::clone(schema))
}

/// An attribute whose default is the struct with all its defaults.
fn all_defaults(name: &str, schema: &Schema) -> Field {
    Field::with_default(name, Value::from_struct(Arc::clone(schema), Vec::new()))
}

/// An attribute of any type with a default written as JSON. The defaults below all fit their
/// types, which the tests check; one that did not would leave the attribute optional.
fn with_json(name: &str, ty: Type, default: Json) -> Field {
    match Value::from_json(&ty, default, Strictness::Strict) {
        Ok(default) => Field::with_default(name, default),
        Err(_) => Field::optional(name, ty),
    }
}

fn empty_list(name: &str, element: Type) -> Field {
    with_json(name, Type::list(element), Json::Array(Vec::new()))
}

fn object(members: &[(&str, Json)]) -> Json {
    Json::Object(members.iter().map(|(name, json)| (Arc::from(*name), json.clone())).collect())
}

macro_rules! schema {
    ($(#[$doc:meta])* $name:ident = $title:literal [$($field:expr),* $(,)?]) => {
        $(#[$doc])*
        pub static $name: Schema = LazyLock::new(|| StructType::new($title, vec![$($field),*]));
    };
}

schema! {
    /// What a process or task needs: cpu in cores, ram and disk in bytes.
    RESOURCES = "Resources" [
        required("cpu", Type::Float),
        required("ram", Type::Integer),
        required("disk", Type::Integer),
        integer("gpu", 0),
    ]
}

schema! {
    /// An order of processes: each after the one named before it.
    CONSTRAINT = "Constraint" [optional("order", Type::list(Type::String))]
}

schema! {
    /// When logs are rotated and how many are kept.
    ROTATE_POLICY = "RotatePolicy" [
        integer("log_size", 100 << 20),
        integer("backups", 5),
    ]
}

schema! {
    /// Where the output of a process goes.
    LOGGER = "Logger" [
        word(
            "destination",
            Type::enumeration("LoggerDestination", &["file", "console", "both", "none"]),
            "file",
        ),
        word("mode", Type::enumeration("LoggerMode", &["standard", "rotate"]), "standard"),
        optional("rotate", of(&ROTATE_POLICY)),
    ]
}

schema! {
    /// One command line of a task.
    PROCESS = "Process" [
        required("name", Type::String),
        required("cmdline", Type::String),
        integer("max_failures", 1),
        boolean("daemon", false),
        boolean("ephemeral", false),
        integer("min_duration", 5),
        boolean("final", false),
        optional("logger", of(&LOGGER)),
        optional("resources", of(&RESOURCES)),
    ]
}

schema! {
    /// Processes that share a sandbox.
    TASK = "Task" [
        text("name", "{{processes[0].name}}"),
        optional("processes", Type::list(of(&PROCESS))),
        empty_list("constraints", of(&CONSTRAINT)),
        optional("resources", of(&RESOURCES)),
        integer("max_failures", 1),
        integer("max_concurrency", 0),
        integer("finalization_wait", 30),
        optional("user", Type::String),
    ]
}

schema! {
    /// What the runner binds under `thermos`.
    THERMOS_CONTEXT = "ThermosContext" [
        optional("ports", Type::map(Type::String, Type::Integer)),
        optional("task_id", Type::String),
        optional("user", Type::String),
    ]
}

schema! {
    /// What the executor binds under `mesos`.
    MESOS_CONTEXT = "MesosContext" [
        required("instance", Type::Integer),
        required("hostname", Type::String),
    ]
}

schema! {
    /// One batch after another, of one size.
    QUEUE_UPDATE_STRATEGY = "QueueUpdateStrategy" [integer("batch_size", 1)]
}

schema! {
    /// Whole batches of one size.
    BATCH_UPDATE_STRATEGY = "BatchUpdateStrategy" [
        integer("batch_size", 1),
        boolean("autopause_after_batch", false),
    ]
}

schema! {
    /// Whole batches of given sizes.
    VARIABLE_BATCH_UPDATE_STRATEGY = "VariableBatchUpdateStrategy" [
        required("batch_sizes", Type::list(Type::Integer)),
        boolean("autopause_after_batch", false),
    ]
}

schema! {
    /// How a job is updated.
    UPDATE_CONFIG = "UpdateConfig" [
        integer("batch_size", 1),
        integer("watch_secs", 45),
        integer("max_per_shard_failures", 0),
        integer("max_total_failures", 0),
        boolean("rollback_on_failure", true),
        boolean("wait_for_batch_completion", false),
        optional("pulse_interval_secs", Type::Integer),
        boolean("sla_aware", false),
        optional("update_strategy", Type::choice(vec![
            of(&QUEUE_UPDATE_STRATEGY),
            of(&BATCH_UPDATE_STRATEGY),
            of(&VARIABLE_BATCH_UPDATE_STRATEGY),
        ])),
    ]
}

schema! {
    /// A health check over HTTP on the port named `health`.
    HTTP_HEALTH_CHECKER = "HttpHealthChecker" [
        text("endpoint", "/health"),
        text("expected_response", "ok"),
        integer("expected_response_code", 0),
    ]
}

schema! {
    /// A health check by a command's exit code.
    SHELL_HEALTH_CHECKER = "ShellHealthChecker" [required("shell_command", Type::String)]
}

schema! {
    /// Which health check is made.
    HEALTH_CHECKER_CONFIG = "HealthCheckerConfig" [
        optional("http", of(&HTTP_HEALTH_CHECKER)),
        optional("shell", of(&SHELL_HEALTH_CHECKER)),
    ]
}

schema! {
    /// Health checks and how they count.
    HEALTH_CHECK_CONFIG = "HealthCheckConfig" [
        with_json(
            "health_checker",
            of(&HEALTH_CHECKER_CONFIG),
            object(&[("http", object(&[]))]),
        ),
        float("initial_interval_secs", 15.0),
        float("interval_secs", 10.0),
        integer("max_consecutive_failures", 0),
        integer("min_consecutive_successes", 1),
        float("timeout_secs", 1.0),
    ]
}

schema! {
    /// How a task is asked to stop over HTTP. `port` is a port's name.
    HTTP_LIFECYCLE_CONFIG = "HttpLifecycleConfig" [
        text("port", "health"),
        text("graceful_shutdown_endpoint", "/quitquitquit"),
        text("shutdown_endpoint", "/abortabortabort"),
        integer("graceful_shutdown_wait_secs", 5),
        integer("shutdown_wait_secs", 5),
    ]
}

schema! {
    /// How a task is asked to stop.
    LIFECYCLE_CONFIG = "LifecycleConfig" [optional("http", of(&HTTP_LIFECYCLE_CONFIG))]
}

schema! {
    /// How a task is announced in ZooKeeper.
    ANNOUNCER = "Announcer" [
        text("primary_port", "http"),
        with_json(
            "portmap",
            Type::map(Type::String, Type::String),
            object(&[("aurora", Json::Text("{{primary_port}}".into()))]),
        ),
        optional("zk_path", Type::String),
    ]
}

schema! {
    /// A parameter of the Docker container.
    PARAMETER = "Parameter" [required("name", Type::String), required("value", Type::String)]
}

schema! {
    /// A Docker container.
    DOCKER = "Docker" [
        required("image", Type::String),
        empty_list("parameters", of(&PARAMETER)),
    ]
}

schema! {
    /// An AppC image.
    APPC_IMAGE = "AppcImage" [required("name", Type::String), required("image_id", Type::String)]
}

schema! {
    /// A Docker image for the Mesos container.
    DOCKER_IMAGE = "DockerImage" [required("name", Type::String), required("tag", Type::String)]
}

schema! {
    /// A directory of the host inside the container.
    VOLUME = "Volume" [
        required("container_path", Type::String),
        required("host_path", Type::String),
        required("mode", Type::enumeration("Mode", &["RO", "RW"])),
    ]
}

schema! {
    /// The Mesos container.
    MESOS = "Mesos" [
        optional("image", Type::choice(vec![of(&APPC_IMAGE), of(&DOCKER_IMAGE)])),
        empty_list("volumes", of(&VOLUME)),
    ]
}

schema! {
    /// The deprecated wrapper around Docker.
    CONTAINER = "Container" [optional("docker", of(&DOCKER))]
}

schema! {
    /// What happens when a task's host is cut off.
    PARTITION_POLICY = "PartitionPolicy" [
        boolean("reschedule", true),
        integer("delay_secs", 0),
    ]
}

schema! {
    /// A note on a job.
    METADATA = "Metadata" [required("key", Type::String), required("value", Type::String)]
}

schema! {
    /// Which executor runs the task.
    EXECUTOR_CONFIG = "ExecutorConfig" [text("name", "AuroraExecutor"), text("data", "")]
}

schema! {
    /// At least this percentage of instances must be up.
    PERCENTAGE_SLA_POLICY = "PercentageSlaPolicy" [
        required("percentage", Type::Float),
        required("duration_secs", Type::Integer),
    ]
}

schema! {
    /// At least this many instances must be up.
    COUNT_SLA_POLICY = "CountSlaPolicy" [
        required("count", Type::Integer),
        required("duration_secs", Type::Integer),
    ]
}

schema! {
    /// A service is asked.
    COORDINATOR_SLA_POLICY = "CoordinatorSlaPolicy" [
        required("coordinator_url", Type::String),
        text("status_key", "drain"),
    ]
}

schema! {
    /// A job: instances of a task.
    MESOS_JOB = "MesosJob" [
        text("name", "{{task.name}}"),
        required("role", Type::String),
        optional("contact", Type::String),
        required("cluster", Type::String),
        required("environment", Type::String),
        integer("instances", 1),
        required("task", of(&TASK)),
        optional("announce", of(&ANNOUNCER)),
        optional("tier", Type::String),
        optional("cron_schedule", Type::String),
        text("cron_collision_policy", "KILL_EXISTING"),
        all_defaults("update_config", &UPDATE_CONFIG),
        optional("constraints", Type::map(Type::String, Type::String)),
        empty_list("metadata", of(&METADATA)),
        boolean("service", false),
        integer("max_task_failures", 1),
        boolean("production", false),
        integer("priority", 0),
        all_defaults("health_check_config", &HEALTH_CHECK_CONFIG),
        with_json("lifecycle", of(&LIFECYCLE_CONFIG), object(&[("http", object(&[]))])),
        optional("task_links", Type::map(Type::String, Type::String)),
        all_defaults("executor_config", &EXECUTOR_CONFIG),
        boolean("enable_hooks", false),
        optional("partition_policy", of(&PARTITION_POLICY)),
        optional("sla_policy", Type::choice(vec![
            of(&COORDINATOR_SLA_POLICY),
            of(&COUNT_SLA_POLICY),
            of(&PERCENTAGE_SLA_POLICY),
        ])),
        optional("container", Type::choice(vec![of(&CONTAINER), of(&DOCKER), of(&MESOS)])),
    ]
}

schema! {
    /// One instance of a job, as the executor works with it.
    MESOS_TASK_INSTANCE = "MesosTaskInstance" [
        required("task", of(&TASK)),
        required("instance", Type::Integer),
        required("role", Type::String),
        optional("announce", of(&ANNOUNCER)),
        required("environment", Type::String),
        all_defaults("health_check_config", &HEALTH_CHECK_CONFIG),
        optional("lifecycle", of(&LIFECYCLE_CONFIG)),
    ]
}

/// All structs, in the order declared.
pub fn all() -> impl Iterator<Item = &'static Arc<StructType>> {
    [
        &RESOURCES,
        &CONSTRAINT,
        &ROTATE_POLICY,
        &LOGGER,
        &PROCESS,
        &TASK,
        &THERMOS_CONTEXT,
        &MESOS_CONTEXT,
        &QUEUE_UPDATE_STRATEGY,
        &BATCH_UPDATE_STRATEGY,
        &VARIABLE_BATCH_UPDATE_STRATEGY,
        &UPDATE_CONFIG,
        &HTTP_HEALTH_CHECKER,
        &SHELL_HEALTH_CHECKER,
        &HEALTH_CHECKER_CONFIG,
        &HEALTH_CHECK_CONFIG,
        &HTTP_LIFECYCLE_CONFIG,
        &LIFECYCLE_CONFIG,
        &ANNOUNCER,
        &PARAMETER,
        &DOCKER,
        &APPC_IMAGE,
        &DOCKER_IMAGE,
        &VOLUME,
        &MESOS,
        &CONTAINER,
        &PARTITION_POLICY,
        &METADATA,
        &EXECUTOR_CONFIG,
        &PERCENTAGE_SLA_POLICY,
        &COUNT_SLA_POLICY,
        &COORDINATOR_SLA_POLICY,
        &MESOS_JOB,
        &MESOS_TASK_INSTANCE,
    ]
    .into_iter()
    .map(|schema| &**schema)
}

/// The struct of this name.
pub fn known(name: &str) -> Option<Arc<StructType>> {
    all().find(|ty| ty.name() == name).cloned()
}

/// Whether this is one of the structs above itself, rather than one that only looks like it.
pub(crate) fn is_known(ty: &Arc<StructType>) -> bool {
    all().any(|known| Arc::ptr_eq(known, ty))
}

/// A value of a schema from JSON; see [`Value::from_json`].
pub fn from_json(
    schema: &Arc<StructType>,
    json: Json,
    strictness: Strictness,
) -> Result<Value, crate::error::Error> {
    Value::from_json(&Type::Struct(Arc::clone(schema)), json, strictness)
}

/// A whole number that fits 64 bits.
pub(crate) fn as_i64(value: &Value) -> Option<i64> {
    match value.raw()? {
        Raw::Integer(Integer::Small(small)) => Some(*small),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Presence;

    /// A default that does not fit its type would silently become no default.
    #[test]
    fn every_default_is_there() {
        for (schema, defaults) in [
            (&HEALTH_CHECK_CONFIG, 6),
            (&ANNOUNCER, 2),
            (&TASK, 5),
            (&PROCESS, 5),
            (&DOCKER, 1),
            (&MESOS, 1),
            (&UPDATE_CONFIG, 7),
            (&MESOS_JOB, 13),
            (&MESOS_TASK_INSTANCE, 1),
        ] {
            let count = schema
                .fields()
                .iter()
                .filter(|field| matches!(field.presence(), Presence::Default(_)))
                .count();
            assert_eq!(count, defaults, "{}", schema.name());
        }
    }
}
