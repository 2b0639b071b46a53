//! Calls of the existing clients and the answers they got, as recorded.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/recorded.rs"]
mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use aurora_api::api::{
    GetJobUpdateDetailsResult, JobKey, Package, Response, ResponseCode, ResponseDetail,
    Result as Outcome, TaskQuery, aurora_admin, aurora_scheduler_manager, read_only_scheduler,
};
use aurora_api::{binary, readable, tjson};
use recorded::{
    Form, Record, assert_reads, assert_survives, canonical, canonical_json, unknown_fields,
};
use serde_json::{Value as Json, json};
use thrift_wire::{
    ApplicationError, CallError, DecodeError, Fields, MessageHead, MessageKind, Method, Served,
    Wire, read_reply, write_call,
};

/// Says who served a call and with what.
struct Server;

/// Every method of every service, and what is to be checked of it.
macro_rules! services {
    ($($module:ident: [$($function:ident $method:ident $args:ident $fault:ident,)*])*) => {
        $(
            impl $module::Handler<str> for Server {
                $(fn $function(
                    &self,
                    context: &str,
                    args: $module::$args,
                ) -> Result<Response, $module::$fault> {
                    let name = <$module::$method as Method>::NAME;
                    let text = format!("{context} {name} {}", readable::to_string(&args));
                    Ok(answer(vec![text]))
                })*
            }
        )*

        /// The checks of each method, by its name.
        fn methods() -> BTreeMap<&'static str, Checks> {
            let all = [$($(Checks {
                name: <$module::$method as Method>::NAME,
                service: stringify!($module),
                request: request::<$module::$method>,
                cut: cut::<$module::$method>,
                reply: reply::<$module::$method>,
            },)*)*];
            all.into_iter().map(|checks| (checks.name, checks)).collect()
        }
    };
}

services! {
    read_only_scheduler: [
        get_role_summary GetRoleSummary GetRoleSummaryArgs GetRoleSummaryFault,
        get_job_summary GetJobSummary GetJobSummaryArgs GetJobSummaryFault,
        get_tasks_status GetTasksStatus GetTasksStatusArgs GetTasksStatusFault,
        get_tasks_without_configs GetTasksWithoutConfigs GetTasksWithoutConfigsArgs
            GetTasksWithoutConfigsFault,
        get_pending_reason GetPendingReason GetPendingReasonArgs GetPendingReasonFault,
        get_config_summary GetConfigSummary GetConfigSummaryArgs GetConfigSummaryFault,
        get_jobs GetJobs GetJobsArgs GetJobsFault,
        get_quota GetQuota GetQuotaArgs GetQuotaFault,
        populate_job_config PopulateJobConfig PopulateJobConfigArgs PopulateJobConfigFault,
        get_job_update_summaries GetJobUpdateSummaries GetJobUpdateSummariesArgs
            GetJobUpdateSummariesFault,
        get_job_update_details GetJobUpdateDetails GetJobUpdateDetailsArgs GetJobUpdateDetailsFault,
        get_job_update_diff GetJobUpdateDiff GetJobUpdateDiffArgs GetJobUpdateDiffFault,
        get_tier_configs GetTierConfigs GetTierConfigsArgs GetTierConfigsFault,
    ]
    aurora_scheduler_manager: [
        create_job CreateJob CreateJobArgs CreateJobFault,
        schedule_cron_job ScheduleCronJob ScheduleCronJobArgs ScheduleCronJobFault,
        deschedule_cron_job DescheduleCronJob DescheduleCronJobArgs DescheduleCronJobFault,
        start_cron_job StartCronJob StartCronJobArgs StartCronJobFault,
        replace_cron_template ReplaceCronTemplate ReplaceCronTemplateArgs ReplaceCronTemplateFault,
        restart_shards RestartShards RestartShardsArgs RestartShardsFault,
        kill_tasks KillTasks KillTasksArgs KillTasksFault,
        add_instances AddInstances AddInstancesArgs AddInstancesFault,
        start_job_update StartJobUpdate StartJobUpdateArgs StartJobUpdateFault,
        pause_job_update PauseJobUpdate PauseJobUpdateArgs PauseJobUpdateFault,
        resume_job_update ResumeJobUpdate ResumeJobUpdateArgs ResumeJobUpdateFault,
        abort_job_update AbortJobUpdate AbortJobUpdateArgs AbortJobUpdateFault,
        rollback_job_update RollbackJobUpdate RollbackJobUpdateArgs RollbackJobUpdateFault,
        pulse_job_update PulseJobUpdate PulseJobUpdateArgs PulseJobUpdateFault,
    ]
    aurora_admin: [
        set_quota SetQuota SetQuotaArgs SetQuotaFault,
        force_task_state ForceTaskState ForceTaskStateArgs ForceTaskStateFault,
        perform_backup PerformBackup PerformBackupArgs PerformBackupFault,
        list_backups ListBackups ListBackupsArgs ListBackupsFault,
        stage_recovery StageRecovery StageRecoveryArgs StageRecoveryFault,
        query_recovery QueryRecovery QueryRecoveryArgs QueryRecoveryFault,
        delete_recovery_tasks DeleteRecoveryTasks DeleteRecoveryTasksArgs DeleteRecoveryTasksFault,
        commit_recovery CommitRecovery CommitRecoveryArgs CommitRecoveryFault,
        unload_recovery UnloadRecovery UnloadRecoveryArgs UnloadRecoveryFault,
        start_maintenance StartMaintenance StartMaintenanceArgs StartMaintenanceFault,
        drain_hosts DrainHosts DrainHostsArgs DrainHostsFault,
        maintenance_status MaintenanceStatus MaintenanceStatusArgs MaintenanceStatusFault,
        end_maintenance EndMaintenance EndMaintenanceArgs EndMaintenanceFault,
        sla_drain_hosts SlaDrainHosts SlaDrainHostsArgs SlaDrainHostsFault,
        snapshot Snapshot SnapshotArgs SnapshotFault,
        trigger_explicit_task_reconciliation TriggerExplicitTaskReconciliation
            TriggerExplicitTaskReconciliationArgs TriggerExplicitTaskReconciliationFault,
        trigger_implicit_task_reconciliation TriggerImplicitTaskReconciliation
            TriggerImplicitTaskReconciliationArgs TriggerImplicitTaskReconciliationFault,
        prune_tasks PruneTasks PruneTasksArgs PruneTasksFault,
    ]
}

fn answer(details: Vec<String>) -> Response {
    let detail = |message| ResponseDetail { message: Some(message), ..Default::default() };
    Response {
        response_code: Some(ResponseCode::OK),
        details: Some(details.into_iter().map(detail).collect()),
        ..Default::default()
    }
}

struct Checks {
    name: &'static str,
    service: &'static str,
    request: fn(&Record),
    cut: fn(&Record),
    reply: fn(&Record),
}

fn request<M: Method<Args: PartialEq + Debug, Output = Response, Fault: Debug>>(record: &Record) {
    let (place, form, bytes) = (&record.place, record.form(), record.bytes());
    let (head, args) = form.decode_message::<M::Args>(&bytes).unwrap();
    assert_eq!(head.name, M::NAME, "{place}");
    assert_eq!(head.kind, MessageKind::Call, "{place}");
    assert_eq!(Some(i64::from(head.seq)), record.json["seq"].as_i64(), "{place}");
    assert_eq!(unknown_fields(&args), [""; 0], "{place}");
    assert_reads(&args, &record.json["args"], place);
    assert_survives(&args, place);
    assert_same_message(form, &bytes, &head, &args, place);

    // From the bytes to the handler and back.
    let (answered, served) = serve(form, &bytes).unwrap();
    assert_eq!(served, Served::Replied, "{place}");
    let outcome = match form {
        Form::Binary => read_reply::<M, _>(&mut binary::Reader::new(&answered), head.seq),
        Form::Text => read_reply::<M, _>(&mut tjson::Reader::new(&answered), head.seq),
    };
    let wanted = format!("me {} {}", M::NAME, readable::to_string(&args));
    assert_eq!(outcome.unwrap(), answer(vec![wanted]), "{place}");
}

/// Answers a message, in the form it has.
fn serve(form: Form, bytes: &[u8]) -> Result<(Vec<u8>, Served), DecodeError> {
    match form {
        Form::Binary => {
            let mut answered = Vec::new();
            let out = &mut binary::Writer::new(&mut answered);
            let mut input = binary::Reader::new(bytes);
            let served = aurora_admin::dispatch(&Server, "me", &mut input, out)?;
            Ok((answered, served))
        }
        Form::Text => {
            let mut answered = String::new();
            let out = &mut tjson::Writer::new(&mut answered);
            let mut input = tjson::Reader::new(bytes);
            let served = aurora_admin::dispatch(&Server, "me", &mut input, out)?;
            Ok((answered.into_bytes(), served))
        }
    }
}

fn reply<M: Method<Reply: PartialEq + Debug, Output = Response, Fault: Debug + PartialEq>>(
    record: &Record,
) {
    let (place, form, bytes) = (&record.place, record.form(), record.bytes());
    let (head, reply) = form.decode_message::<M::Reply>(&bytes).unwrap();
    assert_eq!((head.name.as_str(), head.kind), (M::NAME, MessageKind::Reply), "{place}");
    assert_eq!(unknown_fields(&reply), [""; 0], "{place}");
    assert_survives(&reply, place);
    assert_same_message(form, &bytes, &head, &reply, place);
    let outcome: Result<Response, CallError<M::Fault>> = match form {
        Form::Binary => read_reply::<M, _>(&mut binary::Reader::new(&bytes), head.seq),
        Form::Text => read_reply::<M, _>(&mut tjson::Reader::new(&bytes), head.seq),
    };
    assert_reads(&outcome.unwrap(), &record.json["result"], place);
}

fn assert_same_message<T: Wire>(
    form: Form,
    bytes: &[u8],
    head: &MessageHead,
    value: &T,
    place: &str,
) {
    let again = form.encode_message(head, value);
    let (found_head, found) = form.decode_message::<Fields>(&again).unwrap();
    let (wanted_head, wanted) = form.decode_message::<Fields>(bytes).unwrap();
    assert_eq!(found_head, wanted_head, "{place}");
    if form == Form::Binary && found == wanted {
        assert_eq!(again, bytes, "{place}");
    }
    assert_eq!(canonical(found), canonical(wanted), "{place}");
}

#[test]
fn requests() {
    let methods = methods();
    assert_eq!(methods.len(), 45);
    let (mut seen, mut text) = (BTreeSet::new(), 0);
    for record in Record::all("requests.jsonl") {
        let method = record.str("method");
        (methods[method].request)(&record);
        seen.insert(methods[method].name);
        text += usize::from(record.form() == Form::Text);
    }
    assert!(text > 40, "{text}");
    let missing: Vec<_> = methods.keys().filter(|name| !seen.contains(*name)).copied().collect();
    // No client that was recorded has a use for these.
    assert_eq!(
        missing,
        ["forceTaskState", "getJobSummary", "getRoleSummary", "replaceCronTemplate"]
    );
}

#[test]
fn answers() {
    let methods = methods();
    let (mut replies, mut results) = (0, BTreeSet::new());
    for record in Record::all("answers.jsonl") {
        let (place, form, bytes) = (&record.place, record.form(), record.bytes());
        if record.has("broken") {
            form.decode_message::<read_only_scheduler::GetTasksWithoutConfigsReply>(&bytes)
                .unwrap_err();
        } else if record.has("exception") {
            let (head, error) = form.decode_message::<ApplicationError>(&bytes).unwrap();
            assert_eq!(head.kind, MessageKind::Exception, "{place}");
            assert_reads(&error, &record.json["exception"], place);
        } else {
            (methods[record.str("method")].reply)(&record);
            replies += 1;
            if let Some(result) = record.json["result"]["result"].as_object() {
                results.extend(result.keys().cloned());
            }
        }
    }
    assert!(replies > 200, "{replies}");
    let missing: Vec<_> = Outcome::DEF
        .fields
        .iter()
        .map(|f| f.name)
        .filter(|name| !results.contains(*name))
        .collect();
    assert_eq!(missing, ["roleSummaryResult", "jobSummaryResult"]);
}

/// Every prefix is an error, and a server answers it if it knows what was called.
fn cut<M: Method<Args: Debug>>(record: &Record) {
    let (form, bytes) = (record.form(), record.bytes());
    for len in 0..bytes.len() {
        let cut = &bytes[..len];
        form.decode_message::<M::Args>(cut).unwrap_err();
        if let Ok((answered, served)) = serve(form, cut) {
            assert_eq!(served, Served::Replied);
            let (head, error) = form.decode_message::<ApplicationError>(&answered).unwrap();
            assert_eq!((head.name.as_str(), head.kind), (M::NAME, MessageKind::Exception));
            assert_eq!(error.kind, ApplicationError::PROTOCOL_ERROR);
        }
    }
}

#[test]
fn truncated_requests() {
    let methods = methods();
    let mut seen = BTreeSet::new();
    for record in Record::all("requests.jsonl") {
        // One of each is enough.
        let method = record.str("method");
        if seen.insert((method.to_owned(), record.str("form").to_owned())) {
            (methods[method].cut)(&record);
        }
    }
}

#[test]
fn flipped_bits_do_not_panic() {
    let requests = Record::all("requests.jsonl");
    for method in ["createJob", "startJobUpdate", "slaDrainHosts", "restartShards"] {
        for form in [Form::Binary, Form::Text] {
            let mut of_method =
                requests.iter().filter(|r| r.str("method") == method && r.form() == form);
            let bytes = of_method.next().unwrap().bytes();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                // An error if the header is broken.
                _ = serve(form, &flipped);
            }
        }
    }
}

/// Methods that no client called have no recordings; their ids are spelled out here.
#[test]
fn methods_without_recordings() {
    let calls = [
        (r#"[1,"getRoleSummary",1,0,{}]"#, "getRoleSummary {}"),
        (r#"[1,"getJobSummary",1,0,{"1":{"str":"web"}}]"#, r#"getJobSummary {"role":"web"}"#),
        (r#"[1,"getJobSummary",1,0,{}]"#, "getJobSummary {}"),
        (
            r#"[1,"replaceCronTemplate",1,0,{"1":{"rec":{"4":{"str":""},"5":{"i32":2},"8":{"i32":3}}}}]"#,
            r#"replaceCronTemplate {"config":{"cronSchedule":"","cronCollisionPolicy":"RUN_OVERLAP","instanceCount":3}}"#,
        ),
        (
            r#"[1,"forceTaskState",1,0,{"1":{"str":"t"},"2":{"i32":18}}]"#,
            r#"forceTaskState {"taskId":"t","status":"PARTITIONED"}"#,
        ),
    ];
    for (call, wanted) in calls {
        let (answered, _) = serve(Form::Text, call.as_bytes()).unwrap();
        let text = String::from_utf8(answered).unwrap();
        let wanted = serde_json::to_string(&format!("me {wanted}")).unwrap();
        assert!(text.contains(&wanted), "{text} lacks {wanted}");
    }
    let result = json!({"roleSummaryResult": {
        "summaries": [{"role": "web", "jobCount": 2, "cronJobCount": 1}]
    }});
    assert_wire::<Outcome>(
        result,
        r#"{"17":{"rec":{"1":{"set":["rec",1,{"1":{"str":"web"},"2":{"i32":2},"3":{"i32":1}}]}}}}"#,
    );
    let result = json!({"jobSummaryResult": {"summaries": [{
        "job": {"instanceCount": 6},
        "stats": {
            "activeTaskCount": 1,
            "finishedTaskCount": 2,
            "failedTaskCount": 3,
            "pendingTaskCount": 4
        },
        "nextCronRunMs": 5
    }]}});
    assert_wire::<Outcome>(
        result,
        r#"{"18":{"rec":{"1":{"set":["rec",1,{"1":{"rec":{"8":{"i32":6}}},"2":{"rec":{"1":{"i32":1},"2":{"i32":2},"3":{"i32":3},"4":{"i32":4}}},"3":{"i64":5}}]}}}}"#,
    );
}

/// Members that no recording has.
#[test]
fn members_without_recordings() {
    assert_wire::<TaskQuery>(json!({"offset": 1}), r#"{"12":{"i32":1}}"#);
    assert_wire::<Package>(
        json!({"role": "web", "name": "p", "version": 7}),
        r#"{"1":{"str":"web"},"2":{"str":"p"},"3":{"i32":7}}"#,
    );
    assert_wire::<GetJobUpdateDetailsResult>(
        json!({"details": {"updateEvents": []}}),
        r#"{"1":{"rec":{"2":{"lst":["rec",0]}}}}"#,
    );
}

fn assert_wire<T: Wire + PartialEq + Debug>(readable_form: Json, wire: &str) {
    let value: T = readable::from_str(&readable_form.to_string()).unwrap();
    assert_eq!(unknown_fields(&value), [""; 0]);
    assert_eq!(tjson::to_string(&value), wire);
    assert_eq!(tjson::from_str(wire).as_ref(), Ok(&value));
    let again: Json = serde_json::from_str(&readable::to_string(&value)).unwrap();
    assert_eq!(canonical_json(again), canonical_json(readable_form));
}

#[test]
fn services_extend_one_another() {
    let call = br#"[1,"getJobs",1,7,{}]"#;
    assert_eq!(methods()["getJobs"].service, "read_only_scheduler");
    let mut text = String::new();
    let input = &mut tjson::Reader::new(call);
    let out = &mut tjson::Writer::new(&mut text);
    aurora_scheduler_manager::dispatch(&Server, "me", input, out).unwrap();
    assert!(text.contains("me getJobs {}"), "{text}");
    // Not the other way round.
    for call in ["createJob", "setQuota"] {
        let call = format!(r#"[1,"{call}",1,7,{{}}]"#);
        let mut text = String::new();
        let input = &mut tjson::Reader::new(call.as_bytes());
        let out = &mut tjson::Writer::new(&mut text);
        read_only_scheduler::dispatch(&Server, "me", input, out).unwrap();
        assert!(text.contains("there is no method"), "{text}");
    }
}

#[test]
fn an_absent_argument_is_not_an_empty_one() {
    use aurora_scheduler_manager::{KillTasks, KillTasksArgs};
    let job = JobKey { role: Some("web".to_owned()), ..Default::default() };
    let unset = KillTasksArgs { job: Some(job), ..Default::default() };
    let empty = KillTasksArgs {
        instances: Some(BTreeSet::new()),
        message: Some(String::new()),
        ..unset.clone()
    };
    assert_ne!(unset, empty);
    for (args, wire) in [
        (&unset, r#"[1,"killTasks",1,0,{"4":{"rec":{"1":{"str":"web"}}}}]"#),
        (
            &empty,
            r#"[1,"killTasks",1,0,{"4":{"rec":{"1":{"str":"web"}}},"5":{"set":["i32",0]},"6":{"str":""}}]"#,
        ),
    ] {
        let mut text = String::new();
        write_call::<KillTasks, _>(&mut tjson::Writer::new(&mut text), 0, args);
        assert_eq!(text, wire);
        assert_survives(args, wire);
    }
}
