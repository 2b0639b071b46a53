//! Every call that the existing clients were seen to make, over the real server.

use std::fs;

use aurora_api::api::aurora_scheduler_manager as manage;
use aurora_api::api::{self, Response, ResponseCode, ScheduleStatus};
use aurora_api::{binary, readable, tjson};
use serde_json::Value as Json;
use thrift_wire::{Bytes, Fields, InMessage, MessageHead, MessageKind, Value, Wire};

use crate::server::{BINARY, Cluster, Server, fixtures};
use crate::{create, get_tasks, job, tasks, told};

struct Call {
    place: String,
    client: String,
    method: String,
    binary: bool,
    seq: i64,
    bytes: Vec<u8>,
    args: Json,
}

fn calls() -> Vec<Call> {
    let text = fs::read_to_string(fixtures("clients/requests.jsonl")).unwrap();
    let call = |(number, line): (usize, &str)| {
        let json: Json = serde_json::from_str(line).unwrap();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        let bytes = match json.get("text") {
            Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
            None => readable::from_str::<Bytes>(&json["base64"].to_string()).unwrap().0,
        };
        Call {
            place: format!("requests.jsonl:{}", number + 1),
            client: text("client"),
            method: text("method"),
            binary: text("form") == "tbinary",
            seq: json["seq"].as_i64().unwrap(),
            bytes,
            args: json["args"].clone(),
        }
    };
    text.lines().enumerate().map(call).collect()
}

/// The headers that the client sends.
fn headers(call: &Call) -> &'static str {
    match (call.client.as_str(), call.binary) {
        // It sends its type twice and accepts whatever comes.
        ("gorealis", false) => {
            "Content-Type: application/x-thrift\r\nContent-Type: application/x-thrift\r\n"
        }
        (_, true) => BINARY,
        (_, false) => "",
    }
}

/// The header of an answer, and the response in it: field 0 of the reply.
fn read_answer<I: InMessage>(input: &mut I) -> (MessageHead, Response) {
    let head = input.message_begin().unwrap();
    let mut fields = Fields::read(input).unwrap();
    input.message_end().unwrap();
    let (id, value) = fields.0.pop().unwrap();
    assert_eq!((id, fields.0.len()), (0, 0));
    let Value::Struct(fields) = value else { panic!("{value:?}") };
    (head, binary::from_slice(&binary::to_vec(&fields)).unwrap())
}

fn answer(server: &Server, call: &Call) -> Response {
    let (status, head, body) = server.post("/api", headers(call), &call.bytes);
    let place = &call.place;
    assert_eq!(status, 200, "{place}: {}", String::from_utf8_lossy(&body));
    let kind = if call.binary { "binary" } else { "json" };
    assert!(
        head.contains(&format!("content-type: application/vnd.apache.thrift.{kind}")),
        "{head}"
    );
    let (head, response) = if call.binary {
        read_answer(&mut binary::Reader::new(&body))
    } else {
        read_answer(&mut tjson::Reader::new(&body))
    };
    assert_eq!(
        (head.name.as_str(), head.kind),
        (call.method.as_str(), MessageKind::Reply),
        "{place}"
    );
    assert_eq!(i64::from(head.seq), call.seq, "{place}");
    let info = response.server_info.as_ref().unwrap();
    assert_eq!(info.cluster_name.as_deref(), Some("test"), "{place}");
    assert_eq!(info.stats_url_prefix.as_deref(), Some("http://stats/"), "{place}");
    assert!(response.details.is_some(), "{place}");
    response
}

/// Sees to it that the job of a call is there, or is not.
fn prepare(server: &Server, call: &Call) {
    let key: api::JobKey = match call.method.as_str() {
        "createJob" => read(&call.args["description"]["key"]),
        "addInstances" => read(&call.args["key"]["jobKey"]),
        "killTasks" | "restartShards" => read(&call.args["job"]),
        _ => return,
    };
    let active = |server: &Server, statuses: &[api::ScheduleStatus]| {
        let query = api::TaskQuery {
            job_keys: Some([key.clone()].into()),
            statuses: Some(statuses.iter().copied().collect()),
            ..Default::default()
        };
        tasks(&get_tasks(server, query)).len()
    };
    let args = manage::KillTasksArgs { job: Some(key.clone()), ..Default::default() };
    server.call::<manage::KillTasks>(args);
    server.wait_for("the job to be gone", |server| active(server, api::ACTIVE_STATES) == 0);
    if call.method == "createJob" {
        return;
    }
    let mut job = job("any", 3);
    job.key = Some(key.clone());
    job.task_config.as_mut().unwrap().job = Some(key.clone());
    assert_eq!(told(&create(server, job)), "OK");
    server.wait_for("the job to run", |server| active(server, &[ScheduleStatus::RUNNING]) == 3);
}

/// A struct from its form for people.
fn read<T: Wire>(json: &Json) -> T {
    readable::from_str(&json.to_string()).unwrap()
}

/// What a method answers: codes that may come, and the result with OK.
fn expected(method: &str) -> (&'static [ResponseCode], Option<&'static str>) {
    const OK: &[ResponseCode] = &[ResponseCode::OK];
    const NO: &[ResponseCode] = &[ResponseCode::INVALID_REQUEST];
    const OK_OR_NO: &[ResponseCode] = &[ResponseCode::OK, ResponseCode::INVALID_REQUEST];
    const OK_OR_ERROR: &[ResponseCode] = &[ResponseCode::OK, ResponseCode::ERROR];
    const ERROR: &[ResponseCode] = &[ResponseCode::ERROR];
    match method {
        "getRoleSummary" => (OK, Some("roleSummaryResult")),
        "getJobSummary" => (OK, Some("jobSummaryResult")),
        "getTasksStatus" | "getTasksWithoutConfigs" => (OK, Some("scheduleStatusResult")),
        "getPendingReason" => (OK, Some("getPendingReasonResult")),
        "getConfigSummary" => (OK, Some("configSummaryResult")),
        "getJobs" => (OK, Some("getJobsResult")),
        "getQuota" => (OK, Some("getQuotaResult")),
        "populateJobConfig" => (OK_OR_NO, Some("populateJobResult")),
        "getJobUpdateSummaries" => (OK, Some("getJobUpdateSummariesResult")),
        "getJobUpdateDetails" => (OK, Some("getJobUpdateDetailsResult")),
        "getJobUpdateDiff" => (OK_OR_NO, Some("getJobUpdateDiffResult")),
        "getTierConfigs" => (OK, Some("getTierConfigResult")),
        "maintenanceStatus" => (OK, Some("maintenanceStatusResult")),
        "listBackups" => (OK, Some("listBackupsResult")),
        "pulseJobUpdate" => (OK, Some("pulseJobUpdateResult")),
        "createJob" | "addInstances" | "restartShards" => (OK_OR_NO, None),
        "killTasks"
        | "snapshot"
        | "triggerImplicitTaskReconciliation"
        | "unloadRecovery"
        | "descheduleCronJob" => (OK, None),
        "triggerExplicitTaskReconciliation" => (OK_OR_NO, None),
        // One of them asks for tasks that run.
        "pruneTasks" => (OK_OR_ERROR, None),
        "queryRecovery" | "deleteRecoveryTasks" | "commitRecovery" => (ERROR, None),
        // Features that are not there.
        "setQuota"
        | "performBackup"
        | "stageRecovery"
        | "startMaintenance"
        | "drainHosts"
        | "slaDrainHosts"
        | "endMaintenance"
        | "scheduleCronJob"
        | "startCronJob"
        | "replaceCronTemplate"
        | "startJobUpdate"
        | "pauseJobUpdate"
        | "resumeJobUpdate"
        | "abortJobUpdate"
        | "rollbackJobUpdate" => (NO, None),
        other => panic!("{other} is not known here"),
    }
}

#[test]
fn every_recorded_call_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    // The environments and containers that the recordings use.
    let flags = [
        "-allowed_job_environments=.*",
        "-allowed_container_types=MESOS,DOCKER",
        "-allow_docker_parameters=true",
        "-enable_mesos_fetcher=true",
        "-allow_container_volumes=true",
        "-allow_gpu_resource=true",
        "-min_required_instances_for_sla_check=1",
    ];
    let server = Server::start(dir.path(), Cluster::Obedient, &flags);
    let calls = calls();
    assert!(calls.len() > 300, "{}", calls.len());
    let mut refused = Vec::new();
    for call in &calls {
        prepare(&server, call);
        let response = answer(&server, call);
        let (allowed, arm) = expected(&call.method);
        let code = response.response_code.unwrap();
        assert!(allowed.contains(&code), "{} {}: {response:?}", call.place, call.method);
        if code == ResponseCode::OK {
            let result = response.result.as_ref().map(readable::to_string);
            let found = result.as_deref().and_then(|text| text.split('"').nth(1));
            assert_eq!(found, arm, "{} {}", call.place, call.method);
        } else {
            let text = told(&response);
            assert!(text.contains(' '), "{}", call.place);
            if allowed.contains(&ResponseCode::OK) {
                refused.push(format!("{}: {text}", call.method));
            }
        }
    }
    // What the clients create is created, but for what they themselves expect to be refused.
    let expected = [
        "addInstances: INVALID_REQUEST Instance count must be positive.",
        "createJob: INVALID_REQUEST Current CountSlaPolicy: count=2 will not allow any instances \
         to be killed. Must be less than instanceCount=2.",
        // Neither an executor nor Docker.
        "createJob: INVALID_REQUEST Configuration may not be null.",
        "createJob: INVALID_REQUEST Configuration may not be null.",
        "pruneTasks: ERROR Tasks in non-terminal state cannot be pruned.",
        "restartShards: INVALID_REQUEST Not all requested shards are active.",
        "triggerExplicitTaskReconciliation: INVALID_REQUEST Batch size must be greater than zero.",
    ];
    assert_eq!(refused, expected);
    server.stop().unwrap();
}

/// Whatever is cut off or turned around is answered, and the next call is, too.
#[test]
fn broken_calls_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    for (number, call) in calls().iter().enumerate().step_by(7) {
        let bytes = &call.bytes;
        let mut flipped = bytes.clone();
        let place = bytes.len() * (number % 5) / 5;
        flipped[place] ^= 1 << (number % 8);
        for broken in [&bytes[..bytes.len() / 2], &bytes[..bytes.len() - 1], &flipped] {
            let (status, _, body) = server.post("/api", headers(call), broken);
            let text = String::from_utf8_lossy(&body);
            assert!(matches!(status, 200 | 500), "{} {status} {text}", call.place);
        }
    }
    assert_eq!(server.get("/health"), (200, "OK\n".to_owned()));
}
