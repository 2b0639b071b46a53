//! All that is stored, as bytes.
//!
//! A snapshot is a sequence of parts. Each part is a `DeduplicatedSnapshot` of `storage.thrift` in
//! TBinary, holds some hosts, tasks, cron jobs … and nothing that another part has; together they are
//! the state. So neither who writes nor who reads needs more memory than for one part, and a state
//! of any size is written while it changes: from a clone, which stays as it is.
//!
//! Equal states give equal parts: everything is written in the order of its names.
//!
//! As a file, each part is preceded by its length, 4 bytes, big-endian.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use aurora_api::{api, binary, storage};
use thrift_wire::{DecodeError, UnknownFields};

use super::config::{Config, ConfigNo};
use super::convert::{self, Bad, Pool};
use super::op::{Op, Transaction};
use super::state::State;
use super::task::{Host, Task};

/// At most so many tasks, hosts or events of updates go into a part.
const PART: usize = 500;

/// Longest part that is read, in bytes. A single task or update can make one long.
const MAX_PART: u32 = 256 << 20;

/// Why bytes are no transaction or snapshot.
#[derive(Debug)]
pub enum Unreadable {
    /// The bytes are not Thrift, or not of the expected type.
    Bytes(DecodeError),
    /// A value cannot be.
    Value(Bad),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Bytes(error) => error.fmt(f),
            Unreadable::Value(bad) => bad.fmt(f),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Unreadable {
        Unreadable::Bytes(error)
    }
}

impl From<Bad> for Unreadable {
    fn from(bad: Bad) -> Unreadable {
        Unreadable::Value(bad)
    }
}

// ------------------------------------------------------------------------------------- Transactions

impl Transaction {
    /// Its form in the log.
    pub fn encode(&self) -> Vec<u8> {
        binary::to_vec(&storage::Transaction::from(self))
    }

    /// Reads a transaction of the log.
    pub fn decode(bytes: &[u8], pool: &mut Pool) -> Result<Transaction, Unreadable> {
        Ok(pool.transaction(binary::from_slice(bytes)?)?)
    }
}

// ------------------------------------------------------------------------------------------ Writing

impl State {
    /// The parts of a snapshot.
    pub fn encode_snapshot(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let small = std::iter::once_with(|| self.small_things());
        let hosts = self.host_parts();
        let tasks = self.task_parts();
        let updates = self.update_parts();
        small.chain(hosts).chain(tasks).chain(updates).map(|part| binary::to_vec(&part))
    }

    /// Writes a snapshot.
    pub fn write_snapshot(&self, out: &mut dyn Write) -> io::Result<()> {
        for part in self.encode_snapshot() {
            let too_long = |_| io::Error::other("a part of the snapshot is longer than 4 GiB");
            out.write_all(&u32::try_from(part.len()).map_err(too_long)?.to_be_bytes())?;
            out.write_all(&part)?;
        }
        out.write_all(&0_u32.to_be_bytes())
    }

    /// What there is little of: framework id, cron jobs, quotas, wishes to drain hosts.
    fn small_things(&self) -> storage::DeduplicatedSnapshot {
        let metadata = storage::SchedulerMetadata {
            framework_id: self.framework().map(|id| id.to_string()),
            ..Default::default()
        };
        let crons = self.crons().map(|(_, cron)| storage::StoredCronJob {
            job_configuration: Some((**cron).clone()),
            unknown: UnknownFields::new(),
        });
        let quotas = self.quotas().map(|(role, quota)| storage::QuotaConfiguration {
            role: Some(role.to_string()),
            quota: Some((**quota).clone()),
            unknown: UnknownFields::new(),
        });
        part(storage::Snapshot {
            scheduler_metadata: Some(metadata),
            cron_jobs: Some(crons.collect()),
            quota_configurations: Some(quotas.collect()),
            host_maintenance_requests: Some(
                self.drains().map(|(_, wish)| (**wish).clone()).collect(),
            ),
            ..Default::default()
        })
    }

    fn host_parts(&self) -> impl Iterator<Item = storage::DeduplicatedSnapshot> {
        let mut hosts: Vec<Arc<Host>> = self.hosts().cloned().collect();
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hosts = hosts.into_iter();
        std::iter::from_fn(move || {
            let some: std::collections::BTreeSet<api::HostAttributes> =
                hosts.by_ref().take(PART).map(|host| (&*host).into()).collect();
            let attributes =
                storage::Snapshot { host_attributes: Some(some), ..Default::default() };
            let empty = attributes.host_attributes.as_ref().is_some_and(|hosts| hosts.is_empty());
            (!empty).then(|| part(attributes))
        })
    }

    /// Tasks in order of their jobs and ids, so that those of one configuration share it.
    fn task_parts(&self) -> impl Iterator<Item = storage::DeduplicatedSnapshot> + '_ {
        let mut tasks = self.jobs().flat_map(|job| {
            let mut tasks: Vec<&Arc<Task>> = self.tasks_of_job(job).collect();
            tasks.sort_by(|a, b| a.id.cmp(&b.id));
            tasks
        });
        std::iter::from_fn(move || {
            let mut configs: Vec<&Arc<Config>> = Vec::new();
            let mut places = HashMap::<ConfigNo, i32>::new();
            let mut rows = Vec::new();
            for task in tasks.by_ref().take(PART) {
                let place = *places.entry(task.config.number).or_insert_with(|| {
                    configs.push(&task.config);
                    // No more than there are tasks in a part.
                    configs.len() as i32 - 1
                });
                rows.push(storage::DeduplicatedScheduledTask {
                    partial_scheduled_task: Some(convert::scheduled_task(task, false)),
                    task_config_id: Some(place),
                    unknown: UnknownFields::new(),
                });
            }
            (!rows.is_empty()).then(|| storage::DeduplicatedSnapshot {
                partial_tasks: Some(rows),
                task_configs: Some(configs.iter().map(|config| config.whole.clone()).collect()),
                ..Default::default()
            })
        })
    }

    /// One part for each update.
    fn update_parts(&self) -> impl Iterator<Item = storage::DeduplicatedSnapshot> + '_ {
        self.updates().map(|(_, update)| {
            let details = storage::StoredJobUpdateDetails {
                details: Some(update.into()),
                unknown: UnknownFields::new(),
            };
            let details = Some([details].into());
            part(storage::Snapshot { job_update_details: details, ..Default::default() })
        })
    }
}

fn part(snapshot: storage::Snapshot) -> storage::DeduplicatedSnapshot {
    storage::DeduplicatedSnapshot { partial_snapshot: Some(snapshot), ..Default::default() }
}

// ------------------------------------------------------------------------------------------ Reading

impl State {
    /// Reads a snapshot. What was read is parsed with the pool.
    pub fn read_snapshot(input: &mut dyn Read, pool: &mut Pool) -> io::Result<State> {
        let mut state = State::default();
        let mut bytes = Vec::new();
        loop {
            let mut length = [0; 4];
            input.read_exact(&mut length)?;
            let length = u32::from_be_bytes(length);
            if length == 0 {
                return Ok(state);
            }
            let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
            if length > MAX_PART {
                return Err(invalid(format!("a part of {length} bytes is too long")));
            }
            bytes.clear();
            if input.take(length.into()).read_to_end(&mut bytes)? < length as usize {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            state.add_part(&bytes, pool).map_err(|error| invalid(error.to_string()))?;
        }
    }

    /// Adds what a part of a snapshot has.
    pub fn add_part(&mut self, bytes: &[u8], pool: &mut Pool) -> Result<(), Unreadable> {
        Ok(self.add_deduplicated(binary::from_slice(bytes)?, pool)?)
    }

    /// Adds what a snapshot of the original's log has.
    pub fn add_deduplicated(
        &mut self,
        snapshot: storage::DeduplicatedSnapshot,
        pool: &mut Pool,
    ) -> Result<(), Bad> {
        if let Some(rest) = snapshot.partial_snapshot {
            self.add_snapshot(rest, pool)?;
        }
        let configs = snapshot.task_configs.unwrap_or_default().into_iter();
        let configs = configs.map(|config| pool.configs.intern(config));
        let configs: Vec<_> =
            configs.collect::<Result<_, _>>().map_err(|bad| bad.inside("taskConfigs"))?;
        let mut tasks = Vec::new();
        for task in snapshot.partial_tasks.unwrap_or_default() {
            let number = task.task_config_id.unwrap_or(-1);
            let config = usize::try_from(number).ok().and_then(|n| configs.get(n));
            let config = config.ok_or_else(|| {
                Bad::new("partialTasks.taskConfigId", format!("there is no configuration {number}"))
            })?;
            let task = task.partial_scheduled_task.unwrap_or_default();
            if task.assigned_task.as_ref().is_some_and(|assigned| assigned.task.is_some()) {
                let problem = "is set, though the configuration is said to be elsewhere";
                return Err(Bad::new("partialTasks.assignedTask.task", problem));
            }
            let task =
                pool.task_of(task, Some(config)).map_err(|bad| bad.inside("partialTasks"))?;
            tasks.push(Arc::new(task));
        }
        self.apply(&Op::SaveTasks(tasks));
        Ok(())
    }

    /// Adds what a snapshot or backup of the original has.
    pub fn add_snapshot(
        &mut self,
        snapshot: storage::Snapshot,
        pool: &mut Pool,
    ) -> Result<(), Bad> {
        let mut ops = Vec::new();
        for attributes in snapshot.host_attributes.unwrap_or_default() {
            let host = pool.host(attributes).map_err(|bad| bad.inside("hostAttributes"))?;
            ops.extend(host.map(|host| Op::SaveHost(Arc::new(host))));
        }
        let id = snapshot.scheduler_metadata.and_then(|metadata| metadata.framework_id);
        ops.extend(id.map(|id| Op::SaveFramework(id.into())));
        let unknown = UnknownFields::new;
        let rest = snapshot.cron_jobs.unwrap_or_default().into_iter().map(|cron| {
            storage::Op::SaveCronJob(storage::SaveCronJob {
                job_config: cron.job_configuration,
                unknown: unknown(),
            })
        });
        let rest = rest.chain(snapshot.quota_configurations.unwrap_or_default().into_iter().map(
            |quota| {
                storage::Op::SaveQuota(storage::SaveQuota {
                    role: quota.role,
                    quota: quota.quota,
                    unknown: unknown(),
                })
            },
        ));
        let drains = snapshot.host_maintenance_requests.unwrap_or_default().into_iter();
        let rest = rest.chain(drains.map(|wish| {
            storage::Op::SaveHostMaintenanceRequest(storage::SaveHostMaintenanceRequest {
                host_maintenance_request: Some(wish),
                unknown: unknown(),
            })
        }));
        for op in rest {
            ops.extend(pool.op(op)?);
        }
        for stored in snapshot.job_update_details.unwrap_or_default() {
            let details = stored.details.unwrap_or_default();
            let more = convert::update_details(details);
            ops.extend(more.map_err(|bad| bad.inside("jobUpdateDetails.details"))?);
        }
        self.apply_all(&Transaction { ops });
        for task in snapshot.tasks.unwrap_or_default() {
            let task = pool.task(task).map_err(|bad| bad.inside("tasks"))?;
            self.apply(&Op::SaveTasks(vec![Arc::new(task)]));
        }
        Ok(())
    }
}
