//! Executors: Thermos, from flags, and others, from a file.
//!
//! The file of `-custom_executor_config` is a JSON array of
//!
//! ```json
//! {
//!   "executor": {"name": "mine", "command": {"value": "mine.sh", "uris": [{"value": "/dist/mine.sh"}]},
//!                "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}]},
//!   "task_prefix": "mine-",
//!   "volume_mounts": [{"host_path": "/a", "container_path": "/b", "mode": "RO"}]
//! }
//! ```
//!
//! `executor` is a Mesos `ExecutorInfo`, `volume_mounts` are `Volume`s, both as
//! [`strict`] reads them.

use std::collections::BTreeMap;
use std::fmt;

use mesos_scheduler::strict;
use mesos_scheduler::v1::{
    CommandInfo, ExecutorId, ExecutorInfo, Resource, Volume, command_info, value, volume,
};
use serde_json::{Value, json};

use crate::core::resources::{Bag, Kind, milli};

/// Name of the Thermos executor.
pub const THERMOS: &str = "AuroraExecutor";

/// What the ids of Thermos executors begin with.
const PREFIX: &str = "thermos-";

/// Stands for the id of an executor, of which each task has its own.
const PLACEHOLDER: &str = "PLACEHOLDER";

/// An executor that tasks can name.
#[derive(Clone, Debug, PartialEq)]
pub struct Executor {
    /// What Mesos is told, but for what each task changes.
    pub info: ExecutorInfo,
    /// What its ids begin with; the id of the task follows.
    pub prefix: String,
    /// What its containers see of the host.
    pub volumes: Vec<Volume>,
}

impl Executor {
    /// What it needs for itself. Resources of unknown kinds do not count.
    pub fn overhead(&self) -> Bag {
        let mut bag = Bag::default();
        for resource in &self.info.resources {
            if let (Some(kind), Some(scalar)) = (Kind::of_mesos(&resource.name), &resource.scalar) {
                bag.put(kind, milli(scalar.value));
            }
        }
        bag
    }
}

/// What flags say about the Thermos executor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thermos {
    /// Where it is, for the fetcher of Mesos; `-thermos_executor_path`.
    pub path: String,
    /// Files that it needs besides; `-thermos_executor_resources`.
    pub files: Vec<String>,
    /// Its flags, as text for a shell; `-thermos_executor_flags`.
    pub flags: Option<String>,
    /// Let it unpack itself in the sandbox; `-thermos_home_in_sandbox`.
    pub home_in_sandbox: bool,
    /// CPUs for itself; `-thermos_executor_cpu`.
    pub cpus: f64,
    /// Memory for itself, in MB; `-thermos_executor_ram`.
    pub ram_mb: f64,
    /// What its containers see of the host; `-global_container_mounts`, each as of [`mount`].
    pub mounts: Vec<Volume>,
}

impl Thermos {
    /// The executor.
    pub fn executor(&self) -> Result<Executor, Error> {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            return Err(Error::Path(self.path.clone()));
        }
        let home = if self.home_in_sandbox { "HOME=${MESOS_SANDBOX=.} " } else { "" };
        let flags = self.flags.as_deref().unwrap_or_default();
        let command = format!("{home}${{MESOS_SANDBOX=.}}/{name} {flags}");
        let uri = |value: &String| command_info::Uri {
            value: value.clone(),
            executable: Some(true),
            ..command_info::Uri::default()
        };
        let files = std::iter::once(&self.path).chain(&self.files);
        let scalar = |name: &str, value: f64| Resource {
            name: name.to_owned(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(value::Scalar { value }),
            ..Resource::default()
        };
        Ok(Executor {
            info: ExecutorInfo {
                executor_id: ExecutorId { value: PLACEHOLDER.to_owned() },
                name: Some(THERMOS.to_owned()),
                command: Some(CommandInfo {
                    value: Some(command.trim().to_owned()),
                    uris: files.map(uri).collect(),
                    ..CommandInfo::default()
                }),
                resources: vec![scalar("cpus", self.cpus), scalar("mem", self.ram_mb)],
                ..ExecutorInfo::default()
            },
            prefix: PREFIX.to_owned(),
            volumes: self.mounts.clone(),
        })
    }
}

/// Reads an item of `-global_container_mounts`: `host:container:mode`; without a mode, RW.
pub fn mount(text: &str) -> Result<Volume, Error> {
    let wrong = || Error::Mount(text.to_owned());
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, mode) = match parts.as_slice() {
        [host, container] => (host, container, "RW"),
        [host, container, mode] => (host, container, *mode),
        _ => return Err(wrong()),
    };
    if host.is_empty() || container.is_empty() {
        return Err(wrong());
    }
    let mode = match mode.to_ascii_uppercase().as_str() {
        "RW" => volume::Mode::Rw,
        "RO" => volume::Mode::Ro,
        _ => return Err(wrong()),
    };
    Ok(Volume {
        container_path: (*container).to_owned(),
        host_path: Some((*host).to_owned()),
        mode: mode.into(),
        ..Volume::default()
    })
}

/// All executors, by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Executors(BTreeMap<String, Executor>);

impl Executors {
    /// Thermos, and those of a file. `custom`: its text.
    pub fn new(thermos: Executor, custom: Option<&str>) -> Result<Executors, Error> {
        let mut executors = match custom {
            Some(text) => read(text)?,
            None => BTreeMap::new(),
        };
        if executors.insert(THERMOS.to_owned(), thermos).is_some() {
            return Err(Error::Duplicate(THERMOS.to_owned()));
        }
        Ok(Executors(executors))
    }

    /// The executor of this name.
    pub fn get(&self, name: &str) -> Option<&Executor> {
        self.0.get(name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What is wrong with the configuration of executors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The path of the Thermos executor names no file.
    Path(String),
    /// This is not `host:container:mode`.
    Mount(String),
    /// The file is not JSON.
    Json(String),
    /// The file is not an array.
    NotAnArray,
    /// This entry of the file, counted from 0, is wrong.
    Entry(usize, String),
    /// Two executors have this name.
    Duplicate(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(
                f,
                "-thermos_executor_path={path} does not name a file: it is needed, and ends with \
                 the name of the executor or of a script around it"
            ),
            Self::Mount(text) => write!(
                f,
                "-global_container_mounts: {text:?} is not host:container or \
                 host:container:mode with a mode of RW or RO"
            ),
            Self::Json(reason) => write!(f, "-custom_executor_config is not JSON: {reason}"),
            Self::NotAnArray => f.write_str("-custom_executor_config is not an array"),
            Self::Entry(place, reason) => {
                write!(f, "-custom_executor_config, entry {place} (from 0): {reason}")
            }
            Self::Duplicate(name) => {
                write!(f, "-custom_executor_config: there are two executors {name:?}")?;
                if name == THERMOS {
                    f.write_str(", of which one is the scheduler's own")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}

fn read(text: &str) -> Result<BTreeMap<String, Executor>, Error> {
    let value: Value = serde_json::from_str(text).map_err(|e| Error::Json(e.to_string()))?;
    let Value::Array(entries) = value else { return Err(Error::NotAnArray) };
    let mut executors = BTreeMap::new();
    for (place, value) in entries.into_iter().enumerate() {
        let executor = entry(value).map_err(|reason| Error::Entry(place, reason))?;
        let name = executor.info.name.clone().unwrap_or_default();
        if executors.insert(name.clone(), executor).is_some() {
            return Err(Error::Duplicate(name));
        }
    }
    Ok(executors)
}

fn entry(value: Value) -> Result<Executor, String> {
    let Value::Object(mut map) = value else { return Err("it is not an object".to_owned()) };
    let mut executor = map.remove("executor").unwrap_or_default();
    let prefix = map.remove("task_prefix").unwrap_or_default();
    let volumes = map.remove("volume_mounts").unwrap_or_default();
    if let Some(name) = map.keys().next() {
        return Err(format!("{name} is not known"));
    }
    let Value::Object(fields) = &mut executor else {
        return Err("executor is missing, or not an object".to_owned());
    };
    // Each task has its own; so none needs to be written.
    fields.insert("executor_id".to_owned(), json!({"value": PLACEHOLDER}));
    let info: ExecutorInfo =
        strict::from_value(&executor).map_err(|reason| format!("executor: {reason}"))?;
    if let Some(resource) = info.resources.iter().find(|resource| !is_scalar(resource)) {
        return Err(format!("executor: the resource {:?} is no SCALAR", resource.name));
    }
    let Value::String(prefix) = prefix else {
        return Err("task_prefix is missing, or not a string".to_owned());
    };
    let volumes = match volumes {
        Value::Null => Vec::new(),
        Value::Array(volumes) => volumes
            .iter()
            .map(strict::from_value)
            .collect::<Result<_, _>>()
            .map_err(|reason| format!("volume_mounts: {reason}"))?,
        _ => return Err("volume_mounts is not an array".to_owned()),
    };
    Ok(Executor { info, prefix, volumes })
}

fn is_scalar(resource: &Resource) -> bool {
    resource.r#type == i32::from(value::Type::Scalar) && resource.scalar.is_some()
}
