//! What Mesos is told to run: from Aurora's [`AssignedTask`] and an offer to Mesos' [`TaskInfo`].
//!
//! | in Mesos | in Aurora |
//! |---|---|
//! | `name` | `role/environment/name` of the job |
//! | `task_id` | the task's id |
//! | `resources` | what the task asks for, cut from the offer ([`allocation`]) |
//! | `labels` | `org.apache.aurora.tier`, then `org.apache.aurora.metadata.KEY` of each remark |
//! | `discovery` | job, cluster and ports, with `-populate_discovery_info` |
//! | `data` | the whole AssignedTask in Thrift's binary encoding: what the executor runs |
//! | `executor` | a copy of the configured one ([`executor`]), with an id of its own, the files and the container of the task, and its share of the offer |
//!
//! A Docker container without an executor has its container and an empty command in the task
//! itself, and no data. Pure.

use std::fmt;

use aurora_api::api::{self, AssignedTask, TaskConfig};
use aurora_api::binary;
use mesos_scheduler::v1::{
    AgentId, CommandInfo, ContainerInfo, DiscoveryInfo, ExecutorId, ExecutorInfo, Image, Label,
    Labels, Offer, Parameter, Port, Ports, Resource, TaskId, TaskInfo, Volume, command_info,
    container_info, discovery_info, image, volume,
};

use crate::core::resources::Kind;

pub mod allocation;
pub mod executor;

use allocation::{Shortage, Wanted};
use executor::{Executor, Executors};

/// Where an image is mounted in the sandbox.
const IMAGE_PATH: &str = "taskfs";

/// What flags say about tasks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The executors, by their names.
    pub executors: Executors,
    /// Name of the cluster; `-cluster_name`.
    pub cluster: String,
    /// Tell Mesos about jobs and ports; `-populate_discovery_info`.
    pub discovery: bool,
    /// May CPUs be revocable? `-enable_revocable_cpus`.
    pub revocable_cpus: bool,
    /// May memory be revocable? `-enable_revocable_ram`.
    pub revocable_ram: bool,
}

impl Settings {
    /// Can Mesos take this kind back from tasks of a revocable tier?
    pub fn is_revocable(&self, kind: Kind) -> bool {
        match kind {
            Kind::Cpu => self.revocable_cpus,
            Kind::Ram => self.revocable_ram,
            Kind::Disk | Kind::Ports | Kind::Gpu => false,
        }
    }
}

/// The tier of a task, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Tier<'a> {
    /// Its name.
    pub name: &'a str,
    /// May its resources be taken back?
    pub revocable: bool,
}

/// Why a task cannot be launched with an offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The task lacks this field.
    Missing(&'static str),
    /// It names an executor that is not configured: any more, if it was stored before.
    UnknownExecutor(String),
    /// It has neither an executor nor a container that runs on its own.
    NothingToRun,
    /// Its container or image is of a kind that is not known.
    UnknownContainer,
    /// The offer does not have what it asks for.
    Shortage(Shortage),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(field) => write!(f, "the task has no {field}"),
            Self::UnknownExecutor(name) => write!(
                f,
                "there is no executor {name:?}: -custom_executor_config names those besides \
                 {:?}",
                executor::THERMOS
            ),
            Self::NothingToRun => {
                f.write_str("the task has neither an executor nor a Docker container")
            }
            Self::UnknownContainer => f.write_str("the task's container is of an unknown kind"),
            Self::Shortage(shortage) => shortage.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// What Mesos is told to run with this offer, which is of the agent that the task is assigned to.
pub fn task_info(
    settings: &Settings,
    tier: Tier<'_>,
    assigned: &AssignedTask,
    offer: &Offer,
) -> Result<TaskInfo, Error> {
    Rest::of(offer).task_info(settings, tier, assigned)
}

/// What is left of an offer, for one task after the other.
#[derive(Clone, Debug)]
pub struct Rest {
    agent: AgentId,
    resources: Vec<Resource>,
}

impl Rest {
    /// All of an offer.
    pub fn of(offer: &Offer) -> Rest {
        Rest { agent: offer.agent_id.clone(), resources: offer.resources.clone() }
    }

    /// What Mesos is told to run with what is left, which is less after that. A task that cannot be
    /// launched takes nothing.
    pub fn task_info(
        &mut self,
        settings: &Settings,
        tier: Tier<'_>,
        assigned: &AssignedTask,
    ) -> Result<TaskInfo, Error> {
        let mut left = self.resources.clone();
        let info = cut(settings, tier, assigned, &self.agent, &mut left)?;
        self.resources = left;
        Ok(info)
    }
}

/// Cuts a task out of what an agent offers.
fn cut(
    settings: &Settings,
    tier: Tier<'_>,
    assigned: &AssignedTask,
    agent: &AgentId,
    offered: &mut [Resource],
) -> Result<TaskInfo, Error> {
    let task = assigned.task.as_ref().ok_or(Error::Missing("configuration"))?;
    let task_id = assigned.task_id.as_deref().ok_or(Error::Missing("id"))?;
    let job = Job::of(task)?;
    let executor = match &task.executor_config {
        Some(config) => {
            let name = config.name.as_deref().unwrap_or_default();
            let unknown = || Error::UnknownExecutor(name.to_owned());
            Some(settings.executors.get(name).ok_or_else(unknown)?)
        }
        None => None,
    };
    let overhead = executor.map(Executor::overhead).unwrap_or_default();
    let wanted = Wanted::of(task, assigned.assigned_ports.as_ref());
    let (resources, executor_resources) =
        allocation::allocate(&wanted, &overhead, offered, |kind| {
            tier.revocable && settings.is_revocable(kind)
        })
        .map_err(Error::Shortage)?;

    let mut info = TaskInfo {
        name: format!("{}/{}/{}", job.role, job.environment, job.name),
        task_id: TaskId { value: task_id.to_owned() },
        agent_id: agent.clone(),
        resources,
        labels: Some(labels(task, tier)),
        discovery: settings.discovery.then(|| discovery(settings, &job, assigned)),
        ..TaskInfo::default()
    };
    match executor {
        Some(executor) => {
            let instance = assigned.instance_id.unwrap_or_default();
            let source = format!("{}.{}.{}.{instance}", job.role, job.environment, job.name);
            let executor = executor_info(executor, task, task_id, source, executor_resources)?;
            info.executor = Some(executor);
            info.data = Some(binary::to_vec(assigned));
        }
        None => {
            let api::Container::Docker(docker) = &task.container else {
                return Err(Error::NothingToRun);
            };
            info.container = Some(docker_container(docker, Vec::new()));
            info.command = Some(CommandInfo { shell: Some(false), ..CommandInfo::default() });
        }
    }
    Ok(info)
}

/// The key of a job, whole.
struct Job<'a> {
    role: &'a str,
    environment: &'a str,
    name: &'a str,
}

impl<'a> Job<'a> {
    fn of(task: &'a TaskConfig) -> Result<Job<'a>, Error> {
        let key = task.job.as_ref().ok_or(Error::Missing("job"))?;
        Ok(Job {
            role: key.role.as_deref().ok_or(Error::Missing("job.role"))?,
            environment: key.environment.as_deref().ok_or(Error::Missing("job.environment"))?,
            name: key.name.as_deref().ok_or(Error::Missing("job.name"))?,
        })
    }
}

fn label(key: String, value: String) -> Label {
    Label { key, value: Some(value) }
}

fn labels(task: &TaskConfig, tier: Tier<'_>) -> Labels {
    let tier = label("org.apache.aurora.tier".to_owned(), tier.name.to_owned());
    let remarks = task.metadata.iter().flatten().map(|remark| {
        let key = remark.key.as_deref().unwrap_or_default();
        let value = remark.value.clone().unwrap_or_default();
        label(format!("org.apache.aurora.metadata.{key}"), value)
    });
    Labels { labels: std::iter::once(tier).chain(remarks).collect() }
}

fn discovery(settings: &Settings, job: &Job<'_>, assigned: &AssignedTask) -> DiscoveryInfo {
    let port = |(name, number): (&String, &i32)| Port {
        number: u32::try_from(*number).unwrap_or_default(),
        name: Some(name.clone()),
        protocol: Some("TCP".to_owned()),
        ..Port::default()
    };
    let ports: Vec<Port> = assigned.assigned_ports.iter().flatten().map(port).collect();
    DiscoveryInfo {
        visibility: discovery_info::Visibility::Cluster.into(),
        name: Some(format!("{}.{}.{}", job.name, job.environment, job.role)),
        environment: Some(job.environment.to_owned()),
        location: Some(settings.cluster.clone()),
        ports: (!ports.is_empty()).then_some(Ports { ports }),
        ..DiscoveryInfo::default()
    }
}

fn executor_info(
    executor: &Executor,
    task: &TaskConfig,
    task_id: &str,
    source: String,
    resources: Vec<Resource>,
) -> Result<ExecutorInfo, Error> {
    let mut info = executor.info.clone();
    info.executor_id = ExecutorId { value: format!("{}{task_id}", executor.prefix) };
    info.labels = Some(Labels { labels: vec![label("source".to_owned(), source.clone())] });
    info.source = Some(source);
    info.resources = resources;
    let uris = task.mesos_fetcher_uris.iter().flatten().map(|uri| command_info::Uri {
        value: uri.value.clone().unwrap_or_default(),
        executable: Some(false),
        // Mesos would take an absent one for true.
        extract: Some(uri.extract.unwrap_or(false)),
        cache: Some(uri.cache.unwrap_or(false)),
        output_file: uri.output_file.clone(),
    });
    let mut uris = uris.peekable();
    if uris.peek().is_some() {
        info.command.get_or_insert_default().uris.extend(uris);
    }
    match &task.container {
        api::Container::Mesos(mesos) => {
            if let Some(image) = &mesos.image {
                info.container = Some(mesos_container(mesos, image, &executor.volumes)?);
            }
        }
        api::Container::Docker(docker) => {
            info.container = Some(docker_container(docker, executor.volumes.clone()));
        }
        api::Container::Unknown(..) => return Err(Error::UnknownContainer),
    }
    Ok(info)
}

/// The executor runs outside of the image, which it finds mounted in its sandbox.
fn mesos_container(
    mesos: &api::MesosContainer,
    image: &api::Image,
    mounts: &[Volume],
) -> Result<ContainerInfo, Error> {
    let image = match image {
        api::Image::Docker(docker) => {
            let name = docker.name.as_deref().unwrap_or_default();
            let tag = docker.tag.as_deref().unwrap_or_default();
            Image {
                r#type: image::Type::Docker.into(),
                docker: Some(image::Docker {
                    name: format!("{name}:{tag}"),
                    ..image::Docker::default()
                }),
                ..Image::default()
            }
        }
        api::Image::Appc(appc) => Image {
            r#type: image::Type::Appc.into(),
            appc: Some(image::Appc {
                name: appc.name.clone().unwrap_or_default(),
                id: appc.image_id.clone(),
                ..image::Appc::default()
            }),
            ..Image::default()
        },
        api::Image::Unknown(..) => return Err(Error::UnknownContainer),
    };
    let own = mesos.volumes.iter().flatten().map(|own| Volume {
        container_path: own.container_path.clone().unwrap_or_default(),
        host_path: own.host_path.clone(),
        mode: match own.mode {
            Some(api::Mode::RW) => volume::Mode::Rw.into(),
            _ => volume::Mode::Ro.into(),
        },
        ..Volume::default()
    });
    let root = Volume {
        container_path: IMAGE_PATH.to_owned(),
        mode: volume::Mode::Ro.into(),
        image: Some(image),
        ..Volume::default()
    };
    Ok(ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        mesos: Some(container_info::MesosInfo::default()),
        volumes: mounts.iter().cloned().chain(own).chain(std::iter::once(root)).collect(),
        ..ContainerInfo::default()
    })
}

fn docker_container(docker: &api::DockerContainer, volumes: Vec<Volume>) -> ContainerInfo {
    let parameter = |parameter: &api::DockerParameter| Parameter {
        key: parameter.name.clone().unwrap_or_default(),
        value: parameter.value.clone().unwrap_or_default(),
    };
    ContainerInfo {
        r#type: container_info::Type::Docker.into(),
        volumes,
        docker: Some(container_info::DockerInfo {
            image: docker.image.clone().unwrap_or_default(),
            parameters: docker.parameters.iter().flatten().map(parameter).collect(),
            ..container_info::DockerInfo::default()
        }),
        ..ContainerInfo::default()
    }
}

#[cfg(test)]
mod tests;
