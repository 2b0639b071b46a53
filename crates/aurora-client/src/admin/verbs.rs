//! Commands that are one call, or two.

use aurora_api::api::aurora_admin::{
    CommitRecovery, CommitRecoveryArgs, DeleteRecoveryTasks, DeleteRecoveryTasksArgs, ListBackups,
    ListBackupsArgs, PerformBackup, PerformBackupArgs, PruneTasks, PruneTasksArgs, QueryRecovery,
    QueryRecoveryArgs, SetQuota, SetQuotaArgs, Snapshot, SnapshotArgs, StageRecovery,
    StageRecoveryArgs, TriggerExplicitTaskReconciliation, TriggerExplicitTaskReconciliationArgs,
    TriggerImplicitTaskReconciliation, TriggerImplicitTaskReconciliationArgs, UnloadRecovery,
    UnloadRecoveryArgs,
};
use aurora_api::api::{
    self, ACTIVE_STATES, ExplicitReconciliationSettings, ResponseCode, ScheduledTask, TaskQuery,
};
use clap::{Subcommand, ValueEnum};
use serde_json::Value as Json;

use super::amount::{InLog, Size, aggregate, cpus};
use super::query::states;
use super::{answered, refusal};
use crate::commands::quota::{Amounts, get};
use crate::context::{Context, details};
use crate::exit::Failure;

/// Commands that are one call, or two.
#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub(super) enum Verb {
    /// Prints what clusters.json says of a cluster
    GetClusterConfig {
        /// As assignments of a shell
        #[arg(long)]
        sh: bool,
        /// As assignments that are exported
        #[arg(long, requires = "sh")]
        export: bool,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Prints the address of the scheduler that leads
    GetScheduler {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Sets how much of production's resources a role may use
    SetQuota(Quota),
    /// Adds to what a role may use of production's resources
    IncreaseQuota(Quota),
    /// Forgets tasks that have ended
    PruneTasks {
        /// Only those in these states; default: all that are final
        #[arg(long, value_name = "STATE,…")]
        states: Option<String>,
        /// Only those of this role
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
        /// Only those of this environment
        #[arg(long, value_name = "ENV")]
        env: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<i32>,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Asks Mesos what became of tasks
    ReconcileTasks {
        /// Of those that the scheduler knows (explicit), or of all that Mesos knows (implicit)
        #[arg(long = "type", short = 't', value_name = "TYPE", default_value = "explicit")]
        kind: Reconciliation,
        /// Of so many at a time; default: as the scheduler is configured
        #[arg(long, short, value_name = "N")]
        batch_size: Option<i32>,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Writes a backup of everything stored, now
    SchedulerBackupNow {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Lists the backups that can be recovered
    SchedulerListBackups {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Loads a backup to look at and recover
    SchedulerStageRecovery {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
        /// The backup
        #[arg(value_name = "BACKUP")]
        backup: String,
    },
    /// Prints all active tasks in the backup that is loaded
    SchedulerPrintRecoveryTasks {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Leaves tasks out of the backup that is loaded
    SchedulerDeleteRecoveryTasks {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
        /// Ids of tasks
        #[arg(value_name = "TASK,…", value_delimiter = ',')]
        tasks: Vec<String>,
    },
    /// Replaces everything stored by the backup that is loaded; the scheduler ends
    SchedulerCommitRecovery {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Forgets the backup that is loaded
    SchedulerUnloadRecovery {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Writes a snapshot into the scheduler's log, and waits until that is done
    SchedulerSnapshot {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
}

/// A role and amounts.
#[derive(Debug, clap::Args)]
pub(super) struct Quota {
    /// The cluster
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// The role
    #[arg(value_name = "ROLE")]
    role: String,
    /// CPUs
    #[arg(value_name = "CPU")]
    cpu: String,
    /// Memory
    #[arg(value_name = "RAM[MGT]")]
    ram: String,
    /// Disk space
    #[arg(value_name = "DISK[MGT]")]
    disk: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Reconciliation {
    Explicit,
    Implicit,
}

/// Makes a call without arguments and prints the answer's code and reasons.
macro_rules! plain {
    ($context:ident, $cluster:expr, $method:ident, $args:expr) => {{
        let response = $context.call::<$method>($cluster, &$args)?;
        answered($context, &response)?;
        response
    }};
}

impl Verb {
    /// Runs the command.
    ///
    /// # Errors
    /// It cannot be done, or is refused.
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Verb::GetClusterConfig { sh, export, cluster } => {
                let members = context.cluster(&cluster)?.members.clone();
                match sh {
                    true => context.print(&assignments(&members, export)),
                    false => context.say(Json::Object(members)),
                }
            }
            Verb::GetScheduler { cluster } => {
                let address = context.scheduler(&cluster)?;
                context.say(format_args!("Found leading scheduler at: {address}"));
            }
            Verb::SetQuota(quota) => {
                let amounts = quota.amounts(context)?;
                quota.set(context, amounts)?;
            }
            Verb::IncreaseQuota(quota) => quota.increase(context)?,
            Verb::PruneTasks { states: names, role, env, limit, cluster } => {
                let statuses = names.as_deref().map(states).transpose().map_err(refusal)?;
                let query =
                    TaskQuery { role, environment: env, statuses, limit, ..Default::default() };
                let args = PruneTasksArgs { query: Some(query), ..Default::default() };
                let response = context.call::<PruneTasks>(&cluster, &args)?;
                if response.response_code != Some(ResponseCode::OK) {
                    let why = details(&response);
                    return Err(refusal(format!("Failed to prune tasks: {why}")));
                }
                context.say("Tasks pruned.");
            }
            Verb::ReconcileTasks { kind: Reconciliation::Explicit, batch_size, cluster } => {
                let settings = ExplicitReconciliationSettings { batch_size, ..Default::default() };
                let args = TriggerExplicitTaskReconciliationArgs {
                    settings: Some(settings),
                    ..Default::default()
                };
                plain!(context, &cluster, TriggerExplicitTaskReconciliation, args);
            }
            Verb::ReconcileTasks { kind: Reconciliation::Implicit, batch_size: _, cluster } => {
                let args = TriggerImplicitTaskReconciliationArgs::default();
                plain!(context, &cluster, TriggerImplicitTaskReconciliation, args);
            }
            Verb::SchedulerBackupNow { cluster } => {
                plain!(context, &cluster, PerformBackup, PerformBackupArgs::default());
            }
            Verb::SchedulerListBackups { cluster } => list_backups(context, &cluster)?,
            Verb::SchedulerStageRecovery { cluster, backup } => {
                let args = StageRecoveryArgs { backup_id: Some(backup), ..Default::default() };
                plain!(context, &cluster, StageRecovery, args);
            }
            Verb::SchedulerPrintRecoveryTasks { cluster } => print_recovery(context, &cluster)?,
            Verb::SchedulerDeleteRecoveryTasks { cluster, tasks } => {
                let query =
                    TaskQuery { task_ids: Some(tasks.into_iter().collect()), ..Default::default() };
                let args = DeleteRecoveryTasksArgs { query: Some(query), ..Default::default() };
                plain!(context, &cluster, DeleteRecoveryTasks, args);
            }
            Verb::SchedulerCommitRecovery { cluster } => {
                plain!(context, &cluster, CommitRecovery, CommitRecoveryArgs::default());
            }
            Verb::SchedulerUnloadRecovery { cluster } => {
                plain!(context, &cluster, UnloadRecovery, UnloadRecoveryArgs::default());
            }
            Verb::SchedulerSnapshot { cluster } => {
                plain!(context, &cluster, Snapshot, SnapshotArgs::default());
            }
        }
        Ok(())
    }
}

impl Quota {
    /// What the command line says. Sizes below a megabyte are nothing to the scheduler.
    fn amounts(&self, context: &mut Context<'_>) -> Result<Amounts, Failure> {
        let size = |text: &str| Size::parse(text).map_err(refusal);
        let (ram, disk) = (size(&self.ram)?, size(&self.disk)?);
        for (size, text) in [(ram, &self.ram), (disk, &self.disk)] {
            if size.vanishes() {
                context.warn(format_args!(
                    "{text} bytes are less than 1 MB and count as 0; units are k, m, g and t"
                ));
            }
        }
        Ok(Amounts {
            cpus: cpus(&self.cpu).map_err(refusal)?,
            ram_mb: ram.megabytes(),
            disk_mb: disk.megabytes(),
            gpus: 0,
        })
    }

    fn set(&self, context: &mut Context<'_>, amounts: Amounts) -> Result<(), Failure> {
        context.info(format_args!("Setting quota for user:{} {}", self.role, InLog(amounts)));
        let args = SetQuotaArgs {
            owner_role: Some(self.role.clone()),
            quota: Some(aggregate(amounts)),
            ..Default::default()
        };
        plain!(context, &self.cluster, SetQuota, args);
        Ok(())
    }

    fn increase(&self, context: &mut Context<'_>) -> Result<(), Failure> {
        let more = self.amounts(context)?;
        let quota = get(context, &self.cluster, &self.role)?.and_then(|found| found.quota);
        let now = Amounts::of(&quota.unwrap_or_default());
        let role = &self.role;
        context.info(format_args!(
            "Current quota for {role}:\n\tCPU\t{:?} core(s)\n\tRAM\t{} MB\n\tDisk\t{} MB",
            now.cpus, now.ram_mb, now.disk_mb
        ));
        let then = Amounts {
            cpus: now.cpus + more.cpus,
            ram_mb: now.ram_mb.saturating_add(more.ram_mb),
            disk_mb: now.disk_mb.saturating_add(more.disk_mb),
            gpus: now.gpus,
        };
        context.info(format_args!(
            "Attempting to update quota for {role} to\n\tCPU\t{:?}\n\tRAM\t{} MB\n\tDisk\t{} MB",
            then.cpus, then.ram_mb, then.disk_mb
        ));
        self.set(context, then)
    }
}

fn list_backups(context: &mut Context<'_>, cluster: &str) -> Result<(), Failure> {
    let response = plain!(context, cluster, ListBackups, ListBackupsArgs::default());
    let backups = match response.result {
        Some(api::Result::ListBackupsResult(found)) => found.backups.unwrap_or_default(),
        _ => Default::default(),
    };
    context.say(format_args!("{} available backups:", backups.len()));
    for backup in backups {
        context.say(backup);
    }
    Ok(())
}

fn print_recovery(context: &mut Context<'_>, cluster: &str) -> Result<(), Failure> {
    let query =
        TaskQuery { statuses: Some(ACTIVE_STATES.iter().copied().collect()), ..Default::default() };
    let args = QueryRecoveryArgs { query: Some(query), ..Default::default() };
    let response = plain!(context, cluster, QueryRecovery, args);
    let tasks = match response.result {
        Some(api::Result::QueryRecoveryResult(found)) => found.tasks.unwrap_or_default(),
        _ => Default::default(),
    };
    let mut lines: Vec<String> = tasks.into_iter().map(recovered).collect();
    lines.sort();
    context.info("Role\tJob\tShard\tStatus\tTask ID");
    for line in lines {
        context.info(line);
    }
    Ok(())
}

fn recovered(task: ScheduledTask) -> String {
    let status = task.status.unwrap_or_default();
    let assigned = task.assigned_task.unwrap_or_default();
    let job = assigned.task.and_then(|task| task.job).unwrap_or_default();
    let text = Option::unwrap_or_default;
    let instance = assigned.instance_id.unwrap_or_default();
    let (role, name, id) = (text(job.role), text(job.name), text(assigned.task_id));
    format!("{role}\t{name}\t{instance}\t{status}\t{id}")
}

/// An entry of clusters.json as assignments of a shell.
fn assignments(members: &serde_json::Map<String, Json>, export: bool) -> String {
    let mut text = String::new();
    for (name, value) in members {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        let value = match value {
            Json::String(value) => quoted(value),
            other => quoted(&other.to_string()),
        };
        let export = if export { "export " } else { "" };
        text.push_str(&format!("{export}AURORA_CLUSTER_{name}={value}\n"));
    }
    text
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_written() {
        let Json::Object(members) = json!({
            "name": "west", "slave_root": "/var/lib/x y", "odd-name": "$(touch x)`id`'\"\n;", "zk_port": 3,
        }) else {
            return;
        };
        let script = format!(
            "set -u; {}printf '%s|' \"$AURORA_CLUSTER_NAME\" \"$AURORA_CLUSTER_SLAVE_ROOT\" \
             \"$AURORA_CLUSTER_ODD_NAME\" \"$AURORA_CLUSTER_ZK_PORT\"",
            assignments(&members, true)
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "west|/var/lib/x y|$(touch x)`id`'\"\n;|3|");
    }
}
