//! Messages in and out.
//!
//! What cannot be decoded is answered as far as it was understood: a message whose header is wrong
//! not at all, arguments that are wrong with an application exception, which clients do not repeat,
//! and a union without a field, which the original reads and refuses later, as an invalid request.

use std::time::Instant;

use aurora_api::api::{Response, aurora_admin, aurora_scheduler_manager, read_only_scheduler};
use aurora_api::{binary, readable, tjson};
use thrift_wire::{
    ApplicationError, DecodeError, InMessage, MessageHead, MessageKind, Method, OutMessage, Wire,
    unknown_method, write_exception,
};

use super::reply::Problem;
use super::validate::NO_CONTAINER;
use super::{Api, Outcome};

/// An encoding of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// TBinaryProtocol.
    Binary,
    /// TJSONProtocol.
    Json,
}

impl Form {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Binary => "application/vnd.apache.thrift.binary",
            Form::Json => "application/vnd.apache.thrift.json",
        }
    }
}

/// Something that is done with a method and what it runs.
trait Use {
    type Out;

    fn call<M: Method<Output = Response>>(self, run: impl FnOnce(M::Args) -> Outcome) -> Self::Out;
}

macro_rules! methods {
    ($($module:ident { $($method:ident $function:ident,)* })*) => {
        /// Names of all methods.
        pub const METHODS: &[&str] = &[$($(<$module::$method as Method>::NAME,)*)*];

        fn with_method<U: Use>(api: &Api, name: &str, what: U) -> Option<U::Out> {
            match name {
                $($(<$module::$method as Method>::NAME => {
                    Some(what.call::<$module::$method>(|args| api.$function(args)))
                })*)*
                _ => None,
            }
        }
    };
}

methods! {
    read_only_scheduler {
        GetRoleSummary get_role_summary,
        GetJobSummary get_job_summary,
        GetTasksStatus get_tasks_status,
        GetTasksWithoutConfigs get_tasks_without_configs,
        GetPendingReason get_pending_reason,
        GetConfigSummary get_config_summary,
        GetJobs get_jobs,
        GetQuota get_quota,
        PopulateJobConfig populate_job_config,
        GetJobUpdateSummaries get_job_update_summaries,
        GetJobUpdateDetails get_job_update_details,
        GetJobUpdateDiff get_job_update_diff,
        GetTierConfigs get_tier_configs,
    }
    aurora_scheduler_manager {
        CreateJob create_job,
        ScheduleCronJob schedule_cron_job,
        DescheduleCronJob deschedule_cron_job,
        StartCronJob start_cron_job,
        ReplaceCronTemplate replace_cron_template,
        RestartShards restart_shards,
        KillTasks kill_tasks,
        AddInstances add_instances,
        StartJobUpdate start_job_update,
        PauseJobUpdate pause_job_update,
        ResumeJobUpdate resume_job_update,
        AbortJobUpdate abort_job_update,
        RollbackJobUpdate rollback_job_update,
        PulseJobUpdate pulse_job_update,
    }
    aurora_admin {
        SetQuota set_quota,
        ForceTaskState force_task_state,
        PerformBackup perform_backup,
        ListBackups list_backups,
        StageRecovery stage_recovery,
        QueryRecovery query_recovery,
        DeleteRecoveryTasks delete_recovery_tasks,
        CommitRecovery commit_recovery,
        UnloadRecovery unload_recovery,
        StartMaintenance start_maintenance,
        DrainHosts drain_hosts,
        MaintenanceStatus maintenance_status,
        EndMaintenance end_maintenance,
        SlaDrainHosts sla_drain_hosts,
        Snapshot snapshot,
        TriggerExplicitTaskReconciliation trigger_explicit_task_reconciliation,
        TriggerImplicitTaskReconciliation trigger_implicit_task_reconciliation,
        PruneTasks prune_tasks,
    }
}

impl Api {
    /// Answers a message. `Err`: it is no message, and there is nothing to answer.
    pub fn message(&self, from: Form, bytes: &[u8], to: Form) -> Result<Vec<u8>, DecodeError> {
        match from {
            Form::Binary => self.message_from(&mut binary::Reader::new(bytes), to),
            Form::Json => self.message_from(&mut tjson::Reader::new(bytes), to),
        }
    }

    fn message_from<I: InMessage>(&self, input: &mut I, to: Form) -> Result<Vec<u8>, DecodeError> {
        match to {
            Form::Binary => {
                let mut bytes = Vec::new();
                self.exchange(input, &mut binary::Writer::new(&mut bytes))?;
                Ok(bytes)
            }
            Form::Json => {
                let mut text = String::new();
                self.exchange(input, &mut tjson::Writer::new(&mut text))?;
                Ok(text.into_bytes())
            }
        }
    }

    fn exchange<I: InMessage, O: OutMessage>(
        &self,
        input: &mut I,
        out: &mut O,
    ) -> Result<(), DecodeError> {
        let head = input.message_begin()?;
        if !matches!(head.kind, MessageKind::Call | MessageKind::Oneway) {
            let kind = ApplicationError::INVALID_MESSAGE_TYPE;
            let error = ApplicationError::new(kind, "expected a call, found a reply");
            write_exception(out, &head, &error);
            return Ok(());
        }
        let message = Message { api: self, head: &head, input, out: &mut *out };
        if with_method(self, &head.name, message).is_none() {
            unknown_method(out, &head);
        }
        Ok(())
    }

    /// Answers a call whose arguments are an object of JSON, by the names of the parameters. `None`:
    /// there is no such method. `Err`: a parameter is wrong.
    pub fn readable(&self, method: &str, body: &[u8]) -> Option<Result<String, DecodeError>> {
        with_method(self, method, Readable { api: self, body })
    }

    /// The response to a readable call that could not be made.
    pub fn readable_error(&self, method: &str, text: String) -> String {
        readable::to_string(&self.respond(method, Instant::now(), Err(Problem::error(text))))
    }
}

struct Message<'a, I, O> {
    api: &'a Api,
    head: &'a MessageHead,
    input: &'a mut I,
    out: &'a mut O,
}

impl<I: InMessage, O: OutMessage> Use for Message<'_, I, O> {
    type Out = ();

    fn call<M: Method<Output = Response>>(self, run: impl FnOnce(M::Args) -> Outcome) {
        let Message { api, head, input, out } = self;
        let begun = Instant::now();
        let args = M::Args::read(input).and_then(|args| input.message_end().map(|()| args));
        let outcome = match args {
            Ok(args) => run(args),
            Err(error) => match open_union(&error) {
                Some(problem) => Err(problem),
                None => {
                    let message =
                        format!("the arguments of {} cannot be decoded: {error}", M::NAME);
                    let kind = ApplicationError::PROTOCOL_ERROR;
                    write_exception(out, head, &ApplicationError::new(kind, message));
                    return;
                }
            },
        };
        let response = api.respond(M::NAME, begun, outcome);
        if head.kind == MessageKind::Oneway {
            return;
        }
        match M::reply(Ok(response)) {
            Ok(reply) => {
                out.message_begin(M::NAME, MessageKind::Reply, head.seq);
                reply.write(out);
                out.message_end();
            }
            Err(error) => _ = write_exception(out, head, &error),
        }
    }
}

struct Readable<'a> {
    api: &'a Api,
    body: &'a [u8],
}

impl Use for Readable<'_> {
    type Out = Result<String, DecodeError>;

    fn call<M: Method<Output = Response>>(self, run: impl FnOnce(M::Args) -> Outcome) -> Self::Out {
        let begun = Instant::now();
        let outcome = match readable::from_slice::<M::Args>(self.body) {
            Ok(args) => run(args),
            Err(error) => Err(open_union(&error).ok_or(error)?),
        };
        Ok(readable::to_string(&self.api.respond(M::NAME, begun, outcome)))
    }
}

/// What is said of a union without a field, if that is what is wrong.
fn open_union(error: &DecodeError) -> Option<Problem> {
    if !error.message().starts_with("the union ") {
        return None;
    }
    let path = error.path();
    Some(Problem::invalid(match path.rsplit('.').next() {
        Some("container") => NO_CONTAINER.to_owned(),
        _ => format!("{path}: {}", error.message()),
    }))
}
