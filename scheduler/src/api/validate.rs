//! Checks of what users submit, and what is filled in where they leave something open.
//!
//! Source: the scheduler's configuration manager; the order of the checks and the texts are what
//! clients see. A configuration that passed has every flag and number set and no absent collection,
//! so that configurations that mean the same are equal, whatever a client leaves out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aurora_api::api;
use regex::Regex;

use crate::core::name::JobKey;
use crate::core::settings::Tiers;

/// What jobs may be. Operators set it.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Environments, matched as a whole (`-allowed_job_environments`).
    pub environments: Environments,
    /// Tiers (`-tier_config`).
    pub tiers: Tiers,
    /// Names of executors.
    pub executors: BTreeSet<String>,
    /// May jobs use Mesos' containers (`-allowed_container_types`)?
    pub mesos_containers: bool,
    /// May jobs use Docker's containers?
    pub docker_containers: bool,
    /// May they have parameters for Docker (`-allow_docker_parameters`)?
    pub docker_parameters: bool,
    /// Parameters for Docker where a job has none (`-default_docker_parameters`), in order.
    pub default_docker_parameters: Vec<(String, String)>,
    /// Do containers of Docker need an executor (`-require_docker_use_executor`)?
    pub docker_needs_executor: bool,
    /// May jobs name files to fetch (`-enable_mesos_fetcher`)?
    pub fetcher: bool,
    /// May jobs mount volumes (`-allow_container_volumes`)?
    pub volumes: bool,
    /// May jobs use GPUs (`-allow_gpu_resource`)?
    pub gpus: bool,
    /// May tiers that are not production have SLA policies (`-sla_aware_kill_non_prod`)?
    pub sla_for_all: bool,
    /// Instances that a job with an SLA policy must have
    /// (`-min_required_instances_for_sla_check`).
    pub sla_instances: i64,
    /// Longest time of an SLA policy, in seconds (`-max_sla_duration_secs`).
    pub sla_seconds: i64,
}

/// Which environments there may be.
#[derive(Clone, Debug)]
pub struct Environments {
    pattern: String,
    whole: Regex,
}

impl Environments {
    /// Those that this regular expression matches as a whole.
    pub fn new(pattern: &str) -> Result<Environments, regex::Error> {
        let whole = Regex::new(&format!("^(?:{pattern})$"))?;
        Ok(Environments { pattern: pattern.to_owned(), whole })
    }
}

/// What is wrong with a configuration, for users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

fn check(holds: bool, text: impl FnOnce() -> String) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid(text())) }
}

/// A job that passed.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its key.
    pub key: JobKey,
    /// What its instances run.
    pub config: api::TaskConfig,
    /// How many there are; positive.
    pub instances: i32,
    /// The job as it came, with the configuration filled in.
    pub whole: api::JobConfiguration,
}

/// Checks a job.
pub fn job(rules: &Rules, mut job: api::JobConfiguration) -> Result<Job, Invalid> {
    let Some(config) = job.task_config.take() else {
        return invalid("Job configuration must have taskConfig set.");
    };
    let instances = job.instance_count.unwrap_or(0);
    check(instances > 0, || "Instance count must be positive.".to_owned())?;
    let key = self::key(job.key.as_ref())?;
    let environment = key.environment();
    check(rules.environments.whole.is_match(environment), || {
        format!("Job environment {environment} doesn't match: {}", rules.environments.pattern)
    })?;
    user(job.owner.as_ref())?;
    let config = task(rules, config, instances)?;
    let own = self::key(config.job.as_ref())?;
    check(own == key, || {
        format!("Job key {key} does not match {own}, the job of its task configuration.")
    })?;
    let cron = job.cron_schedule.as_deref().is_some_and(|schedule| !schedule.is_empty());
    check(!(cron && config.is_service == Some(true)), || {
        format!("A service task may not be run on a cron schedule: {key}")
    })?;
    job.task_config = Some(config.clone());
    Ok(Job { key, config, instances, whole: job })
}

/// Checks what an instance runs. `instances`: how many of them there are to be.
pub fn task(
    rules: &Rules,
    mut config: api::TaskConfig,
    instances: i32,
) -> Result<api::TaskConfig, Invalid> {
    user(config.owner.as_ref())?;
    let tier = config.tier.get_or_insert_with(|| rules.tiers.default.to_string());
    check(is_identifier(tier), || format!("Tier contains illegal characters: {tier}"))?;
    let Some(kind) = rules.tiers.tiers.get(tier.as_str()) else {
        return invalid(format!("Invalid tier '{tier}' in TaskConfig."));
    };
    let production = !kind.preemptible && !kind.revocable;
    config.production = Some(production);
    let tier = tier.clone();
    let key = key(config.job.as_ref())?;
    let docker = matches!(config.container, api::Container::Docker(_));
    executor(rules, &config, docker)?;
    dedicated(&config, &key)?;
    container(rules, &mut config)?;
    resources(rules, &config)?;
    fill_in(&mut config);
    let fetches = config.mesos_fetcher_uris.iter().flatten().next().is_some();
    check(rules.fetcher || !fetches, || {
        "Mesos Fetcher for individual jobs is disabled in this cluster.".to_owned()
    })?;
    if let api::Container::Mesos(container) = &config.container {
        let mounts = container.volumes.as_ref().is_some_and(|volumes| !volumes.is_empty());
        check(rules.volumes || !mounts, || {
            "This scheduler is configured to disallow container volumes.".to_owned()
        })?;
    }
    if let Some(policy) = &config.sla_policy {
        check(production || rules.sla_for_all, || {
            format!("Tier '{tier}' does not support SlaPolicy.")
        })?;
        sla(rules, policy, i64::from(instances))?;
    }
    Ok(config)
}

/// A job's key, if each part of it is one.
pub fn key(key: Option<&api::JobKey>) -> Result<JobKey, Invalid> {
    let Some(key) = key else { return invalid("Job key null is invalid.") };
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let (role, environment, name) = (part(&key.role), part(&key.environment), part(&key.name));
    if [&role, &environment, &name].iter().all(|part| is_identifier(part)) {
        Ok(JobKey::new(&role, &environment, &name))
    } else {
        invalid(format!("Job key {role}/{environment}/{name} is invalid."))
    }
}

/// Letters, digits, `_`, `-` and `.`: 1 to 255 of them. Letters are those of ASCII, as they become
/// names of users, files and nodes of ZooKeeper.
pub fn is_identifier(text: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.');
    (1..=255).contains(&text.len()) && text.bytes().all(legal)
}

fn user(owner: Option<&api::Identity>) -> Result<(), Invalid> {
    let Some(user) = owner.and_then(|owner| owner.user.as_deref()) else { return Ok(()) };
    check(is_identifier(user), || format!("Job user contains illegal characters: {user}"))
}

fn executor(rules: &Rules, config: &api::TaskConfig, docker: bool) -> Result<(), Invalid> {
    let Some(executor) = &config.executor_config else {
        return check(docker, || "Configuration may not be null.".to_owned());
    };
    let Some(name) = executor.name.as_deref().filter(|name| !name.is_empty()) else {
        return invalid("Executor name may not be left unset.");
    };
    check(rules.executors.contains(name), || {
        format!("Configuration for executor '{name}' doesn't exist.")
    })
}

fn dedicated(config: &api::TaskConfig, key: &JobKey) -> Result<(), Invalid> {
    let mut all = config.constraints.iter().flatten();
    let of_host = all.find(|constraint| constraint.name.as_deref() == Some("dedicated"));
    let Some(constraint) = of_host else { return Ok(()) };
    let Some(api::TaskConstraint::Value(rule)) = &constraint.constraint else {
        return invalid("A dedicated constraint must be of value type.");
    };
    let mut values = rule.values.iter().flatten();
    let (Some(value), None) = (values.next(), values.next()) else {
        return invalid("A dedicated constraint must have exactly one value");
    };
    let owner = value.split('/').next().unwrap_or_default();
    check(owner == "*" || owner == key.role(), || {
        format!("Only {owner} may use hosts dedicated for that role.")
    })
}

fn container(rules: &Rules, config: &mut api::TaskConfig) -> Result<(), Invalid> {
    let has_executor = config.executor_config.is_some();
    let (allowed, name) = match &mut config.container {
        api::Container::Mesos(_) => (rules.mesos_containers, "MESOS"),
        api::Container::Docker(docker) => {
            let image = docker.image.as_deref().unwrap_or_default();
            check(!image.is_empty(), || "A container must specify an image.".to_owned())?;
            let parameters = docker.parameters.get_or_insert_default();
            if parameters.is_empty() {
                let default = rules.default_docker_parameters.iter();
                parameters.extend(default.map(|(name, value)| api::DockerParameter {
                    name: Some(name.clone()),
                    value: Some(value.clone()),
                    ..Default::default()
                }));
            } else {
                check(rules.docker_parameters, || {
                    "This scheduler is configured to disallow Docker parameters.".to_owned()
                })?;
            }
            check(has_executor || !rules.docker_needs_executor, || {
                "This scheduler is configured to require an executor for Docker-based tasks."
                    .to_owned()
            })?;
            (rules.docker_containers, "DOCKER")
        }
        api::Container::Unknown(..) => return invalid(NO_CONTAINER),
    };
    check(allowed, || {
        format!("This scheduler is not configured to allow the container type {name}")
    })
}

/// Said of a task whose container is of no kind.
pub const NO_CONTAINER: &str = "A job must have a container type.";

fn resources(rules: &Rules, config: &api::TaskConfig) -> Result<(), Invalid> {
    let mut counts = BTreeMap::<&str, usize>::new();
    let (mut cpus, mut ram, mut disk, mut gpus) = (0.0, 0_i64, 0_i64, 0_i64);
    for resource in config.resources.iter().flatten() {
        let name = match resource {
            api::Resource::NumCpus(number) => {
                cpus += number.0;
                "CPU"
            }
            api::Resource::RamMb(mb) => {
                ram = ram.saturating_add(*mb);
                "RAM"
            }
            api::Resource::DiskMb(mb) => {
                disk = disk.saturating_add(*mb);
                "disk"
            }
            api::Resource::NumGpus(number) => {
                gpus = gpus.saturating_add(*number);
                "GPU"
            }
            api::Resource::NamedPort(_) => continue,
            api::Resource::Unknown(id, _) => {
                return invalid(format!("Resource of unknown kind {id} in TaskConfig."));
            }
        };
        *counts.entry(name).or_default() += 1;
    }
    let several: Vec<_> = counts.iter().filter(|(_, n)| **n > 1).map(|(name, _)| *name).collect();
    check(several.is_empty(), || {
        format!("Multiple resource values are not supported for {}", several.join(", "))
    })?;
    // Whatever is no number is not greater either.
    check(cpus > 0.0 && cpus.is_finite(), || "num_cpus must be greater than 0.0".to_owned())?;
    check(ram > 0, || "ram_mb must be greater than 0.0".to_owned())?;
    check(disk > 0, || "disk_mb must be greater than 0.0".to_owned())?;
    let asks_for_gpus = counts.contains_key("GPU");
    check(rules.gpus || !asks_for_gpus, || {
        "GPU resource support is disabled in this cluster.".to_owned()
    })?;
    check(gpus >= 0, || "num_gpus must not be negative".to_owned())
}

/// Sets what is open.
fn fill_in(config: &mut api::TaskConfig) {
    config.is_service.get_or_insert(false);
    config.priority.get_or_insert(0);
    config.max_task_failures.get_or_insert(0);
    config.constraints.get_or_insert_default();
    config.metadata.get_or_insert_default();
    config.mesos_fetcher_uris.get_or_insert_default();
    let links = config.task_links.get_or_insert_default();
    if links.is_empty() {
        for resource in config.resources.iter().flatten() {
            if let api::Resource::NamedPort(name) = resource
                && matches!(name.as_str(), "health" | "http")
            {
                links.insert(name.clone(), format!("http://%host%:%port:{name}%"));
            }
        }
    }
}

fn sla(rules: &Rules, policy: &api::SlaPolicy, instances: i64) -> Result<(), Invalid> {
    let (name, seconds) = match policy {
        api::SlaPolicy::CoordinatorSlaPolicy(_) => return Ok(()),
        api::SlaPolicy::CountSlaPolicy(policy) => ("Count", policy.duration_secs),
        api::SlaPolicy::PercentageSlaPolicy(policy) => ("Percentage", policy.duration_secs),
        api::SlaPolicy::Unknown(id, _) => {
            return invalid(format!("SlaPolicy of unknown kind {id} in TaskConfig."));
        }
    };
    let least = rules.sla_instances;
    check(instances >= least, || {
        format!("Job with fewer than {least} instances cannot have Percentage/Count SlaPolicy.")
    })?;
    match policy {
        api::SlaPolicy::CountSlaPolicy(policy) => {
            let count = policy.count.unwrap_or_default();
            check(instances.saturating_sub(count) >= 1, || {
                format!(
                    "Current CountSlaPolicy: count={count} will not allow any instances to be \
                     killed. Must be less than instanceCount={instances}."
                )
            })?;
        }
        api::SlaPolicy::PercentageSlaPolicy(policy) => {
            let percentage = policy.percentage.unwrap_or_default().0;
            let all = instances as f64;
            check(all - all * percentage / 100.0 >= 1.0, || {
                format!(
                    "Current PercentageSlaPolicy: percentage={percentage:.6} will not allow any \
                     instances to be killed. Must be less than {:.6}.",
                    (all - 1.0) / all * 100.0
                )
            })?;
        }
        _ => {}
    }
    let (seconds, max) = (seconds.unwrap_or_default(), rules.sla_seconds);
    check(seconds <= max, || {
        format!(
            "{name}SlaPolicy: durationSecs={seconds} must be less than cluster-wide maximum of \
             {max} secs."
        )
    })
}

#[cfg(test)]
mod tests;
