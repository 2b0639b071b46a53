//! Between rows and Thrift: the only module that knows both.
//!
//! What comes in may lack anything. What has a sensible value without being set gets it (numbers 0,
//! flags false, sets empty); what has none is an error that names the field. Fields of tasks that
//! this version does not know are dropped, as the original drops them; those of configurations are
//! kept.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use aurora_api::{api, storage};
use thrift_wire::UnknownFields;

use super::config::{Config, ConfigNo, Configs, Constraint, PartitionPolicy, Rule};
use super::name::{Agent, JobKey, TaskId, Text};
use super::op::{Op, Transaction, UpdateKey};
use super::query::Query;
use super::resources::{Bag, Kind, milli};
use super::state::Update;
use super::status::{Status, StatusSet};
use super::task::{Host, Mode, Task, TaskEvent};

/// What is wrong with a Thrift value: the field, as a path from the outside, and the problem.
///
/// It prints as one line: `assignedTask.taskId: is missing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    path: String,
    problem: String,
}

impl Bad {
    /// A problem with a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Bad {
        Bad { path: field.into(), problem: problem.into() }
    }

    fn missing(field: &str) -> Bad {
        Bad::new(field, "is missing")
    }

    /// The same, inside of another field.
    #[must_use]
    pub fn inside(mut self, field: &str) -> Bad {
        self.path = format!("{field}.{}", self.path);
        self
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for Bad {}

/// Puts the name of the field that was being read in front of an error.
trait Inside<T> {
    fn inside(self, field: &str) -> Result<T, Bad>;
}

impl<T> Inside<T> for Result<T, Bad> {
    fn inside(self, field: &str) -> Result<T, Bad> {
        self.map_err(|bad| bad.inside(field))
    }
}

/// Refuses a field that is not set.
trait Needed<T> {
    fn needed(self, field: &str) -> Result<T, Bad>;
}

impl<T> Needed<T> for Option<T> {
    fn needed(self, field: &str) -> Result<T, Bad> {
        self.ok_or_else(|| Bad::missing(field))
    }
}

// ---------------------------------------------------------------------------------------- Interning

/// Values that many rows share, each once.
#[derive(Debug, Default)]
pub struct Pool {
    /// Configurations.
    pub configs: Configs,
    texts: Shared<str>,
    agents: Shared<Agent>,
}

/// Distinct values of a kind.
#[derive(Debug)]
struct Shared<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// How many there may be before the next look at which are still used.
    sweep_at: usize,
}

impl<T: ?Sized> Default for Shared<T> {
    fn default() -> Shared<T> {
        Shared { known: HashSet::new(), sweep_at: 0 }
    }
}

impl<T: ?Sized + Eq + Hash> Shared<T> {
    fn get(&mut self, value: &T, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at.max(1024) {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.sweep_at = 2 * self.known.len();
        }
        let new = make();
        self.known.insert(new.clone());
        new
    }
}

impl Pool {
    /// The shared copy of a text.
    pub fn text(&mut self, text: &str) -> Text {
        self.texts.get(text, || text.into())
    }

    /// The shared copy of an agent.
    pub fn agent(&mut self, id: &str, host: &str) -> Arc<Agent> {
        let agent = Agent::new(self.text(id), self.text(host));
        self.agents.get(&agent, || Arc::new(agent.clone()))
    }

    /// A task, with the configuration that it comes with.
    pub fn task(&mut self, task: api::ScheduledTask) -> Result<Task, Bad> {
        self.task_of(task, None)
    }

    /// A task whose configuration is `config` unless it comes with one.
    pub(super) fn task_of(
        &mut self,
        task: api::ScheduledTask,
        config: Option<&Arc<Config>>,
    ) -> Result<Task, Bad> {
        let assigned = task.assigned_task.needed("assignedTask")?;
        let id = assigned.task_id.needed("assignedTask.taskId")?;
        let config = match (assigned.task, config) {
            (Some(whole), _) => self.configs.intern(whole).inside("assignedTask.task")?,
            (None, Some(config)) => config.clone(),
            (None, None) => return Err(Bad::missing("assignedTask.task")),
        };
        // Tasks of the original have both or none.
        let agent = match (assigned.slave_id, assigned.slave_host) {
            (None, None) => None,
            (agent, host) => {
                Some(self.agent(&agent.unwrap_or_default(), &host.unwrap_or_default()))
            }
        };
        let ports = assigned.assigned_ports.unwrap_or_default();
        let mut events = Vec::new();
        for event in task.task_events.unwrap_or_default() {
            events.push(TaskEvent {
                at: event.timestamp.unwrap_or_default(),
                status: stored_status(event.status.needed("taskEvents.status")?)
                    .inside("taskEvents.status")?,
                message: event.message.map(|message| self.text(&message)),
                scheduler: event.scheduler.map(|scheduler| self.text(&scheduler)),
            });
        }
        Ok(Task {
            id: TaskId::from(&*id),
            config,
            instance: assigned.instance_id.unwrap_or_default(),
            status: stored_status(task.status.needed("status")?).inside("status")?,
            failures: task.failure_count.unwrap_or_default(),
            partitions: task.times_partitioned.unwrap_or_default(),
            ancestor: task.ancestor_id.map(|id| TaskId::from(&*id)),
            agent,
            ports: ports.into_iter().map(|(name, port)| (self.text(&name), port)).collect(),
            events: events.into(),
        })
    }

    /// A host; `None` if its agent is not known, as the original drops such hosts, too.
    pub fn host(&mut self, host: api::HostAttributes) -> Result<Option<Host>, Bad> {
        let name = host.host.needed("host")?;
        let Some(agent) = host.slave_id else { return Ok(None) };
        let mut attributes = BTreeMap::<Text, BTreeSet<Text>>::new();
        for attribute in host.attributes.unwrap_or_default() {
            let name = attribute.name.needed("attributes.name")?;
            let values = attribute.values.unwrap_or_default();
            let values = values.iter().map(|value| self.text(value)).collect::<Vec<_>>();
            attributes.entry(self.text(&name)).or_default().extend(values);
        }
        let mode = host.mode.map_or(Ok(Mode::None), mode).inside("mode")?;
        Ok(Some(Host { name: self.text(&name), agent: self.text(&agent), attributes, mode }))
    }

    /// A change; `None` for one that means nothing any more.
    pub fn op(&mut self, op: storage::Op) -> Result<Option<Op>, Bad> {
        Ok(Some(match op {
            storage::Op::SaveFrameworkId(op) => {
                Op::SaveFramework(op.id.needed("saveFrameworkId.id")?.into())
            }
            storage::Op::SaveCronJob(op) => {
                let cron = op.job_config.needed("saveCronJob.jobConfig")?;
                Op::SaveCron(cron_key(&cron).inside("saveCronJob.jobConfig")?, Arc::new(cron))
            }
            storage::Op::RemoveJob(op) => {
                let key = op.job_key.needed("removeJob.jobKey")?;
                Op::RemoveCron(JobKey::try_from(&key).inside("removeJob.jobKey")?)
            }
            storage::Op::SaveTasks(op) => {
                let tasks = op.tasks.unwrap_or_default().into_iter();
                let tasks = tasks.map(|task| self.task(task).map(Arc::new));
                Op::SaveTasks(tasks.collect::<Result<_, _>>().inside("saveTasks.tasks")?)
            }
            storage::Op::RemoveTasks(op) => {
                let ids = op.task_ids.unwrap_or_default();
                Op::RemoveTasks(ids.iter().map(|id| TaskId::from(&**id)).collect())
            }
            storage::Op::SaveQuota(op) => {
                let quota = op.quota.needed("saveQuota.quota")?;
                check_quota(&quota).inside("saveQuota.quota")?;
                Op::SaveQuota(op.role.needed("saveQuota.role")?.into(), Arc::new(quota))
            }
            storage::Op::RemoveQuota(op) => {
                Op::RemoveQuota(op.role.needed("removeQuota.role")?.into())
            }
            storage::Op::SaveHostAttributes(op) => {
                let host = op.host_attributes.needed("saveHostAttributes.hostAttributes")?;
                match self.host(host).inside("saveHostAttributes.hostAttributes")? {
                    Some(host) => Op::SaveHost(Arc::new(host)),
                    None => return Ok(None),
                }
            }
            storage::Op::SaveJobUpdate(op) => {
                let update = op.job_update.needed("saveJobUpdate.jobUpdate")?;
                let (key, update) = job_update(update).inside("saveJobUpdate.jobUpdate")?;
                Op::SaveUpdate(key, Arc::new(update))
            }
            storage::Op::SaveJobUpdateEvent(op) => Op::SaveUpdateEvent(
                update_key(op.key).inside("saveJobUpdateEvent")?,
                op.event.needed("saveJobUpdateEvent.event")?,
            ),
            storage::Op::SaveJobInstanceUpdateEvent(op) => Op::SaveInstanceEvent(
                update_key(op.key).inside("saveJobInstanceUpdateEvent")?,
                op.event.needed("saveJobInstanceUpdateEvent.event")?,
            ),
            storage::Op::RemoveJobUpdate(op) => {
                let keys = op.keys.unwrap_or_default().into_iter();
                let keys = keys.map(|key| update_key(Some(key)));
                Op::RemoveUpdates(keys.collect::<Result<_, _>>().inside("removeJobUpdate.keys")?)
            }
            storage::Op::SaveHostMaintenanceRequest(op) => {
                let field = "saveHostMaintenanceRequest.hostMaintenanceRequest";
                let wish = op.host_maintenance_request.needed(field)?;
                Op::SaveDrain(drain_host(&wish).inside(field)?, Arc::new(wish))
            }
            storage::Op::RemoveHostMaintenanceRequest(op) => {
                Op::RemoveDrain(op.host.needed("removeHostMaintenanceRequest.host")?.into())
            }
            // Locks are no more, and history was pruned by what it meant at the time.
            storage::Op::SaveLock(_)
            | storage::Op::RemoveLock(_)
            | storage::Op::PruneJobUpdateHistory(_) => return Ok(None),
            storage::Op::Unknown(id, _) => {
                let problem = "is a change that this version does not know: it was written by a \
                               newer one, which must be used";
                return Err(Bad::new(format!("op {id}"), problem));
            }
        }))
    }

    /// A transaction of the log.
    pub fn transaction(&mut self, transaction: storage::Transaction) -> Result<Transaction, Bad> {
        let mut ops = Vec::new();
        for (number, op) in transaction.ops.unwrap_or_default().into_iter().enumerate() {
            ops.extend(self.op(op).inside(&format!("ops[{number}]"))?);
        }
        Ok(Transaction { ops })
    }
}

// ---------------------------------------------------------------------------------------- From Thrift

/// Parses a configuration.
pub(super) fn config(whole: api::TaskConfig, number: ConfigNo) -> Result<Config, Bad> {
    let job = whole.job.as_ref().needed("job")?;
    let job = JobKey::try_from(job).inside("job")?;
    let mut resources = Bag::EMPTY;
    let mut ports = Vec::new();
    for resource in whole.resources.iter().flatten() {
        match resource {
            api::Resource::NumCpus(cpus) => resources.put(Kind::Cpu, milli(cpus.0)),
            api::Resource::RamMb(mb) => resources.put(Kind::Ram, mb.saturating_mul(1000)),
            api::Resource::DiskMb(mb) => resources.put(Kind::Disk, mb.saturating_mul(1000)),
            api::Resource::NumGpus(gpus) => resources.put(Kind::Gpu, gpus.saturating_mul(1000)),
            api::Resource::NamedPort(name) => {
                resources.put(Kind::Ports, 1000);
                ports.push(Text::from(&**name));
            }
            api::Resource::Unknown(id, _) => {
                return Err(Bad::new("resources", format!("has a resource of unknown kind {id}")));
            }
        }
    }
    let mut constraints = Vec::new();
    for constraint in whole.constraints.iter().flatten() {
        let name = constraint.name.as_ref().needed("constraints.name")?;
        let rule = match constraint.constraint.as_ref().needed("constraints.constraint")? {
            api::TaskConstraint::Value(rule) => {
                let values = rule.values.iter().flatten().map(|value| Text::from(&**value));
                if rule.negated == Some(true) {
                    Rule::NoneOf(values.collect())
                } else {
                    Rule::OneOf(values.collect())
                }
            }
            api::TaskConstraint::Limit(rule) => Rule::Limit(rule.limit.unwrap_or_default()),
            api::TaskConstraint::Unknown(id, _) => {
                let problem = format!("asks {name} for something of unknown kind {id}");
                return Err(Bad::new("constraints.constraint", problem));
            }
        };
        constraints.push(Constraint { name: Text::from(&**name), rule });
    }
    constraints.sort_by_key(|constraint| matches!(constraint.rule, Rule::Limit(_)));
    let partition = match &whole.partition_policy {
        None => PartitionPolicy::Reschedule(0),
        Some(policy) if policy.reschedule == Some(true) => PartitionPolicy::Reschedule(
            policy.delay_secs.unwrap_or_default().max(0).saturating_mul(1000),
        ),
        Some(_) => PartitionPolicy::Wait,
    };
    Ok(Config {
        number,
        job,
        is_service: whole.is_service.unwrap_or_default(),
        priority: whole.priority.unwrap_or_default(),
        max_failures: whole.max_task_failures.unwrap_or_default(),
        production: whole.production.unwrap_or_default(),
        tier: whole.tier.as_deref().map(Text::from),
        executor: whole.executor_config.as_ref().and_then(|e| e.name.as_deref()).map(Text::from),
        resources,
        ports,
        constraints,
        partition,
        whole,
    })
}

impl TryFrom<&api::JobKey> for JobKey {
    type Error = Bad;

    fn try_from(key: &api::JobKey) -> Result<JobKey, Bad> {
        let part = |part: &'_ Option<String>, field| part.clone().needed(field);
        let role = part(&key.role, "role")?;
        let environment = part(&key.environment, "environment")?;
        Ok(JobKey::new(&role, &environment, &part(&key.name, "name")?))
    }
}

/// The state of this number.
pub fn status(status: api::ScheduleStatus) -> Result<Status, Bad> {
    let known = status.name().and_then(|name| Status::ALL.into_iter().find(|s| s.name() == name));
    known.ok_or_else(|| Bad::new("number", format!("{status} is not a state of a stored task")))
}

/// The state of a task in a log. The original saves new tasks as INIT and makes them PENDING in the
/// same transaction; one that was left in between can only go on to PENDING.
fn stored_status(number: api::ScheduleStatus) -> Result<Status, Bad> {
    if number == api::ScheduleStatus::INIT { Ok(Status::Pending) } else { status(number) }
}

/// The number of a state.
pub fn schedule_status(status: Status) -> api::ScheduleStatus {
    use api::ScheduleStatus as S;
    match status {
        Status::Throttled => S::THROTTLED,
        Status::Pending => S::PENDING,
        Status::Assigned => S::ASSIGNED,
        Status::Starting => S::STARTING,
        Status::Running => S::RUNNING,
        Status::Partitioned => S::PARTITIONED,
        Status::Preempting => S::PREEMPTING,
        Status::Restarting => S::RESTARTING,
        Status::Draining => S::DRAINING,
        Status::Killing => S::KILLING,
        Status::Finished => S::FINISHED,
        Status::Failed => S::FAILED,
        Status::Killed => S::KILLED,
        Status::Lost => S::LOST,
    }
}

fn mode(mode: api::MaintenanceMode) -> Result<Mode, Bad> {
    Ok(match mode {
        api::MaintenanceMode::NONE => Mode::None,
        api::MaintenanceMode::SCHEDULED => Mode::Scheduled,
        api::MaintenanceMode::DRAINING => Mode::Draining,
        api::MaintenanceMode::DRAINED => Mode::Drained,
        other => return Err(Bad::new("mode", format!("{other} is no kind of maintenance"))),
    })
}

fn cron_key(cron: &api::JobConfiguration) -> Result<JobKey, Bad> {
    JobKey::try_from(cron.key.as_ref().needed("key")?).inside("key")
}

fn update_key(key: Option<api::JobUpdateKey>) -> Result<UpdateKey, Bad> {
    let key = key.needed("key")?;
    let job = JobKey::try_from(key.job.as_ref().needed("key.job")?).inside("key.job")?;
    Ok(UpdateKey { job, id: key.id.needed("key.id")?.into() })
}

fn drain_host(wish: &api::HostMaintenanceRequest) -> Result<Text, Bad> {
    Ok(Text::from(&**wish.host.as_ref().needed("host")?))
}

/// A stored quota has exactly these three; anything else would silently mean something else.
fn check_quota(quota: &api::ResourceAggregate) -> Result<(), Bad> {
    let mut kinds: Vec<_> = quota.resources.iter().flatten().map(std::mem::discriminant).collect();
    let one = api::Resource::NumCpus(thrift_wire::Double(0.0));
    let needed = [one, api::Resource::RamMb(0), api::Resource::DiskMb(0)];
    for kind in needed.iter().map(std::mem::discriminant) {
        match kinds.iter().position(|k| *k == kind) {
            Some(place) => _ = kinds.swap_remove(place),
            None => return Err(Bad::new("resources", "must be exactly CPU, RAM and disk")),
        }
    }
    if kinds.is_empty() {
        Ok(())
    } else {
        Err(Bad::new("resources", "must be exactly CPU, RAM and disk"))
    }
}

/// An update, with the strategy that its deprecated settings mean if it has none.
fn job_update(mut update: api::JobUpdate) -> Result<(UpdateKey, api::JobUpdate), Bad> {
    let key = update.summary.as_ref().and_then(|summary| summary.key.clone());
    let key = update_key(key).inside("summary")?;
    let settings = update.instructions.as_mut().and_then(|i| i.settings.as_mut());
    if let Some(settings) = settings.filter(|settings| settings.update_strategy.is_none()) {
        let group_size = settings.update_group_size;
        settings.update_strategy = Some(if settings.wait_for_batch_completion == Some(true) {
            api::JobUpdateStrategy::BatchStrategy(api::BatchJobUpdateStrategy {
                group_size,
                autopause_after_batch: Some(false),
                ..Default::default()
            })
        } else {
            api::JobUpdateStrategy::QueueStrategy(api::QueueJobUpdateStrategy {
                group_size,
                ..Default::default()
            })
        });
    }
    Ok((key, update))
}

/// What a snapshot says of an update, as the changes that lead there.
pub(super) fn update_details(details: api::JobUpdateDetails) -> Result<Vec<Op>, Bad> {
    let (key, update) = job_update(details.update.needed("update")?).inside("update")?;
    let mut ops = vec![Op::SaveUpdate(key.clone(), Arc::new(update))];
    let events = details.update_events.unwrap_or_default().into_iter();
    ops.extend(events.map(|event| Op::SaveUpdateEvent(key.clone(), event)));
    let events = details.instance_events.unwrap_or_default().into_iter();
    ops.extend(events.map(|event| Op::SaveInstanceEvent(key.clone(), event)));
    Ok(ops)
}

impl TryFrom<&api::TaskQuery> for Query {
    type Error = Bad;

    fn try_from(query: &api::TaskQuery) -> Result<Query, Bad> {
        let texts = |set: &Option<BTreeSet<String>>| -> BTreeSet<Text> {
            set.iter().flatten().map(|text| Text::from(&**text)).collect()
        };
        let statuses = query.statuses.as_ref().map(|statuses| {
            // A state that no stored task can have matches nothing. INIT is such a state.
            (statuses.len(), statuses.iter().filter_map(|s| status(*s).ok()).collect::<StatusSet>())
        });
        let jobs = query.job_keys.iter().flatten().map(JobKey::try_from);
        Ok(Query {
            role: query.role.clone().filter(|role| !role.trim().is_empty()),
            environment: query.environment.clone(),
            name: query.job_name.clone(),
            ids: texts(&query.task_ids).iter().map(|id| TaskId::from(&**id)).collect(),
            impossible: statuses.is_some_and(|(given, known)| given > 0 && known.is_empty()),
            statuses: statuses.map(|(_, known)| known),
            instances: query.instance_ids.clone().unwrap_or_default(),
            hosts: texts(&query.slave_hosts),
            jobs: jobs.collect::<Result<_, _>>().inside("jobKeys")?,
            offset: query.offset.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            limit: query.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0),
        })
    }
}

// ------------------------------------------------------------------------------------------ To Thrift

impl From<&JobKey> for api::JobKey {
    fn from(key: &JobKey) -> api::JobKey {
        api::JobKey {
            role: Some(key.role().to_owned()),
            environment: Some(key.environment().to_owned()),
            name: Some(key.name().to_owned()),
            unknown: UnknownFields::new(),
        }
    }
}

impl From<&UpdateKey> for api::JobUpdateKey {
    fn from(key: &UpdateKey) -> api::JobUpdateKey {
        api::JobUpdateKey {
            job: Some((&key.job).into()),
            id: Some(key.id.to_string()),
            unknown: UnknownFields::new(),
        }
    }
}

impl From<&Task> for api::ScheduledTask {
    fn from(task: &Task) -> api::ScheduledTask {
        scheduled_task(task, true)
    }
}

impl From<&Task> for api::AssignedTask {
    fn from(task: &Task) -> api::AssignedTask {
        assigned_task(task, true)
    }
}

/// A task, with its configuration or without.
pub(super) fn scheduled_task(task: &Task, with_config: bool) -> api::ScheduledTask {
    let events = task.events.iter().map(|event| api::TaskEvent {
        timestamp: Some(event.at),
        status: Some(schedule_status(event.status)),
        message: event.message.as_deref().map(str::to_owned),
        scheduler: event.scheduler.as_deref().map(str::to_owned),
        unknown: UnknownFields::new(),
    });
    api::ScheduledTask {
        assigned_task: Some(assigned_task(task, with_config)),
        status: Some(schedule_status(task.status)),
        failure_count: Some(task.failures),
        task_events: Some(events.collect()),
        ancestor_id: task.ancestor.as_ref().map(TaskId::to_string),
        times_partitioned: Some(task.partitions),
        unknown: UnknownFields::new(),
    }
}

fn assigned_task(task: &Task, with_config: bool) -> api::AssignedTask {
    let ports = task.ports.iter().map(|(name, port)| (name.to_string(), *port));
    api::AssignedTask {
        task_id: Some(task.id.to_string()),
        slave_id: task.agent.as_ref().map(|agent| agent.id.to_string()),
        slave_host: task.agent.as_ref().map(|agent| agent.host.to_string()),
        task: with_config.then(|| task.config.whole.clone()),
        assigned_ports: Some(ports.collect()),
        instance_id: Some(task.instance),
        unknown: UnknownFields::new(),
    }
}

impl From<&Host> for api::HostAttributes {
    fn from(host: &Host) -> api::HostAttributes {
        let attributes = host.attributes.iter().map(|(name, values)| api::Attribute {
            name: Some(name.to_string()),
            values: Some(values.iter().map(|value| value.to_string()).collect()),
            unknown: UnknownFields::new(),
        });
        api::HostAttributes {
            host: Some(host.name.to_string()),
            attributes: Some(attributes.collect()),
            mode: Some(maintenance_mode(host.mode)),
            slave_id: Some(host.agent.to_string()),
            unknown: UnknownFields::new(),
        }
    }
}

/// The number of a kind of maintenance.
pub fn maintenance_mode(mode: Mode) -> api::MaintenanceMode {
    match mode {
        Mode::None => api::MaintenanceMode::NONE,
        Mode::Scheduled => api::MaintenanceMode::SCHEDULED,
        Mode::Draining => api::MaintenanceMode::DRAINING,
        Mode::Drained => api::MaintenanceMode::DRAINED,
    }
}

impl From<&Update> for api::JobUpdateDetails {
    fn from(update: &Update) -> api::JobUpdateDetails {
        api::JobUpdateDetails {
            update: Some((*update.update).clone()),
            update_events: Some(update.events.iter().cloned().collect()),
            instance_events: Some(update.instance_events.iter().cloned().collect()),
            unknown: UnknownFields::new(),
        }
    }
}

impl From<&Op> for storage::Op {
    fn from(op: &Op) -> storage::Op {
        let unknown = UnknownFields::new();
        match op {
            Op::SaveFramework(id) => storage::Op::SaveFrameworkId(storage::SaveFrameworkId {
                id: Some(id.to_string()),
                unknown,
            }),
            Op::SaveTasks(tasks) => storage::Op::SaveTasks(storage::SaveTasks {
                tasks: Some(tasks.iter().map(|task| (&**task).into()).collect()),
                unknown,
            }),
            Op::RemoveTasks(ids) => storage::Op::RemoveTasks(storage::RemoveTasks {
                task_ids: Some(ids.iter().map(TaskId::to_string).collect()),
                unknown,
            }),
            Op::SaveHost(host) => storage::Op::SaveHostAttributes(storage::SaveHostAttributes {
                host_attributes: Some((&**host).into()),
                unknown,
            }),
            Op::SaveCron(_, cron) => storage::Op::SaveCronJob(storage::SaveCronJob {
                job_config: Some((**cron).clone()),
                unknown,
            }),
            Op::RemoveCron(job) => {
                storage::Op::RemoveJob(storage::RemoveJob { job_key: Some(job.into()), unknown })
            }
            Op::SaveQuota(role, quota) => storage::Op::SaveQuota(storage::SaveQuota {
                role: Some(role.to_string()),
                quota: Some((**quota).clone()),
                unknown,
            }),
            Op::RemoveQuota(role) => storage::Op::RemoveQuota(storage::RemoveQuota {
                role: Some(role.to_string()),
                unknown,
            }),
            Op::SaveUpdate(_, update) => storage::Op::SaveJobUpdate(storage::SaveJobUpdate {
                job_update: Some((**update).clone()),
                unknown,
            }),
            Op::SaveUpdateEvent(key, event) => {
                storage::Op::SaveJobUpdateEvent(storage::SaveJobUpdateEvent {
                    event: Some(event.clone()),
                    key: Some(key.into()),
                    unknown,
                })
            }
            Op::SaveInstanceEvent(key, event) => {
                storage::Op::SaveJobInstanceUpdateEvent(storage::SaveJobInstanceUpdateEvent {
                    event: Some(event.clone()),
                    key: Some(key.into()),
                    unknown,
                })
            }
            Op::RemoveUpdates(keys) => storage::Op::RemoveJobUpdate(storage::RemoveJobUpdates {
                keys: Some(keys.iter().map(Into::into).collect()),
                unknown,
            }),
            Op::SaveDrain(_, wish) => {
                storage::Op::SaveHostMaintenanceRequest(storage::SaveHostMaintenanceRequest {
                    host_maintenance_request: Some((**wish).clone()),
                    unknown,
                })
            }
            Op::RemoveDrain(host) => {
                storage::Op::RemoveHostMaintenanceRequest(storage::RemoveHostMaintenanceRequest {
                    host: Some(host.to_string()),
                    unknown,
                })
            }
        }
    }
}

impl From<&Transaction> for storage::Transaction {
    fn from(transaction: &Transaction) -> storage::Transaction {
        storage::Transaction {
            ops: Some(transaction.ops.iter().map(Into::into).collect()),
            schema_version: Some(storage::CURRENT_SCHEMA_VERSION),
            unknown: UnknownFields::new(),
        }
    }
}
