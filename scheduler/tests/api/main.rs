//! The scheduler from outside: calls over HTTP to a real server with a real core and a real log. Only
//! Mesos is played.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod conformance;
mod hostile;
mod pages;
mod recorded;
mod restart;
mod server;

use aurora_api::api::aurora_scheduler_manager as manage;
use aurora_api::api::read_only_scheduler as read;
use aurora_api::api::{self, Response, ResponseCode, Result as Arm};
use server::Server;
use thrift_wire::Double;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn key(name: &str) -> api::JobKey {
    api::JobKey {
        role: some("www"),
        environment: some("prod"),
        name: some(name),
        ..Default::default()
    }
}

/// The smallest job there can be.
fn job(name: &str, instances: i32) -> api::JobConfiguration {
    let resources =
        [api::Resource::NumCpus(Double(0.1)), api::Resource::RamMb(16), api::Resource::DiskMb(16)];
    api::JobConfiguration {
        key: Some(key(name)),
        owner: Some(api::Identity { user: some("www"), ..Default::default() }),
        task_config: Some(api::TaskConfig {
            job: Some(key(name)),
            is_service: Some(true),
            resources: Some(resources.into()),
            executor_config: Some(api::ExecutorConfig {
                name: some("AuroraExecutor"),
                data: some("{\"task\":{}}"),
                ..Default::default()
            }),
            ..Default::default()
        }),
        instance_count: Some(instances),
        ..Default::default()
    }
}

fn create(server: &Server, job: api::JobConfiguration) -> Response {
    let args = manage::CreateJobArgs { description: Some(job), ..Default::default() };
    server.call::<manage::CreateJob>(args)
}

fn kill(server: &Server, name: &str, instances: &[i32], message: Option<&str>) -> Response {
    server.call::<manage::KillTasks>(manage::KillTasksArgs {
        job: Some(key(name)),
        instances: (!instances.is_empty()).then(|| instances.iter().copied().collect()),
        message: message.map(str::to_owned),
        ..Default::default()
    })
}

fn query(name: &str) -> api::TaskQuery {
    api::TaskQuery {
        role: some("www"),
        environment: some("prod"),
        job_name: some(name),
        ..Default::default()
    }
}

fn get_tasks(server: &Server, query: api::TaskQuery) -> Response {
    let args = read::GetTasksStatusArgs { query: Some(query), ..Default::default() };
    server.call::<read::GetTasksStatus>(args)
}

fn tasks(response: &Response) -> Vec<api::ScheduledTask> {
    assert_eq!(response.response_code, Some(ResponseCode::OK), "{response:?}");
    match &response.result {
        Some(Arm::ScheduleStatusResult(result)) => result.tasks.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Code and details of a response, in one line.
fn told(response: &Response) -> String {
    let code = response.response_code.unwrap();
    let details = response.details.iter().flatten().filter_map(|detail| detail.message.as_deref());
    let details: Vec<_> = details.collect();
    format!("{code} {}", details.join(" | ")).trim_end().to_owned()
}

fn is_running(server: &Server, name: &str, instances: usize) -> bool {
    server.count(name, api::ScheduleStatus::RUNNING) == instances
}
