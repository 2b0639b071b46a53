//! Calls of operators (`AuroraAdmin`).

use std::collections::BTreeSet;

use aurora_api::api::{self, Result as Arm, aurora_admin as calls};

use super::reply::{Problem, Reply};
use super::{Api, Outcome, USER, manage};
use crate::core::convert::{self, maintenance_mode};
use crate::core::jobs::Request;
use crate::core::name::TaskId;
use crate::core::query::Query;
use crate::shell::Ask;

impl Api {
    pub(super) fn set_quota(&self, _: calls::SetQuotaArgs) -> Outcome {
        Err(Problem::missing("Changes of quota are"))
    }

    /// Always done, even where the state machine does not allow it and nothing happens.
    pub(super) fn force_task_state(&self, args: calls::ForceTaskStateArgs) -> Outcome {
        let task = args.task_id.ok_or_else(|| Problem::error("taskId must be set."))?;
        let status = args.status.ok_or_else(|| Problem::error("status must be set."))?;
        let status = convert::status(status)?;
        let user = USER.to_owned();
        let request = Request::ForceState { task: TaskId::from(&*task), status, user };
        self.handle.ask(Ask::Request(request))?;
        Ok(Reply::changed(1))
    }

    pub(super) fn perform_backup(&self, _: calls::PerformBackupArgs) -> Outcome {
        Err(Problem::missing("Backups are"))
    }

    /// There are none.
    pub(super) fn list_backups(&self, _: calls::ListBackupsArgs) -> Outcome {
        let result =
            api::ListBackupsResult { backups: Some(BTreeSet::new()), ..Default::default() };
        Ok(Reply::result(Arm::ListBackupsResult(result)))
    }

    pub(super) fn stage_recovery(&self, _: calls::StageRecoveryArgs) -> Outcome {
        Err(Problem::missing("Backups are"))
    }

    pub(super) fn query_recovery(&self, _: calls::QueryRecoveryArgs) -> Outcome {
        Err(Problem::error(NO_BACKUP))
    }

    pub(super) fn delete_recovery_tasks(&self, _: calls::DeleteRecoveryTasksArgs) -> Outcome {
        Err(Problem::error(NO_BACKUP))
    }

    pub(super) fn commit_recovery(&self, _: calls::CommitRecoveryArgs) -> Outcome {
        Err(Problem::error(NO_BACKUP))
    }

    /// Without one that is loaded there is nothing to do.
    pub(super) fn unload_recovery(&self, _: calls::UnloadRecoveryArgs) -> Outcome {
        Ok(Reply::done())
    }

    pub(super) fn start_maintenance(&self, _: calls::StartMaintenanceArgs) -> Outcome {
        Err(Problem::missing(MAINTENANCE))
    }

    pub(super) fn drain_hosts(&self, _: calls::DrainHostsArgs) -> Outcome {
        Err(Problem::missing(MAINTENANCE))
    }

    /// Of hosts that are known.
    pub(super) fn maintenance_status(&self, args: calls::MaintenanceStatusArgs) -> Outcome {
        let state = self.state()?;
        let hosts = args.hosts.and_then(|hosts| hosts.host_names).unwrap_or_default();
        let known = hosts.iter().filter_map(|name| state.host(name));
        let statuses: BTreeSet<_> = known
            .map(|host| api::HostStatus {
                host: Some(host.name.to_string()),
                mode: Some(maintenance_mode(host.mode)),
                ..Default::default()
            })
            .collect();
        let result =
            api::MaintenanceStatusResult { statuses: Some(statuses), ..Default::default() };
        Ok(Reply::result(Arm::MaintenanceStatusResult(result)))
    }

    pub(super) fn end_maintenance(&self, _: calls::EndMaintenanceArgs) -> Outcome {
        Err(Problem::missing(MAINTENANCE))
    }

    pub(super) fn sla_drain_hosts(&self, _: calls::SlaDrainHostsArgs) -> Outcome {
        Err(Problem::missing(MAINTENANCE))
    }

    pub(super) fn snapshot(&self, _: calls::SnapshotArgs) -> Outcome {
        self.handle.snapshot()?.map_err(Problem::error)?;
        Ok(Reply::done())
    }

    pub(super) fn trigger_explicit_task_reconciliation(
        &self,
        args: calls::TriggerExplicitTaskReconciliationArgs,
    ) -> Outcome {
        let batch = match args.settings.and_then(|settings| settings.batch_size) {
            None => None,
            Some(size) => match usize::try_from(size) {
                Ok(size) if size > 0 => Some(size),
                _ => return Err(Problem::invalid("Batch size must be greater than zero.")),
            },
        };
        self.handle.ask(Ask::Request(Request::ReconcileExplicit { batch }))?;
        Ok(Reply::done())
    }

    pub(super) fn trigger_implicit_task_reconciliation(
        &self,
        _: calls::TriggerImplicitTaskReconciliationArgs,
    ) -> Outcome {
        self.handle.ask(Ask::Request(Request::ReconcileImplicit))?;
        Ok(Reply::done())
    }

    pub(super) fn prune_tasks(&self, args: calls::PruneTasksArgs) -> Outcome {
        let query = args.query.ok_or_else(|| Problem::error("query must be set."))?;
        let query = Query::try_from(&query)?;
        let done = self.handle.ask(Ask::Request(Request::PruneTasks(query)))?;
        Ok(Reply::changed(manage::tasks(done)))
    }
}

const NO_BACKUP: &str = "No backup loaded.";
const MAINTENANCE: &str = "Maintenance of hosts is";
