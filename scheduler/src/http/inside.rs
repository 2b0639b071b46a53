//! What is inside of the process: `/structdump`, `/services`, `/threads`.
//!
//! Source: the original's pages.

use std::fmt::Write;
use std::fs;
use std::sync::Arc;

use aurora_api::{api, readable};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use thrift_wire::Wire;

use super::pages::{escape, html, json_of, stored};
use super::{Shared, text};
use crate::core::name::{JobKey, TaskId};
use crate::shell::Phase;

/// `/structdump`: how it is used.
pub(super) async fn struct_usage() -> Response {
    let usage = "/structdump/task/TASK_ID or /structdump/cron/ROLE/ENVIRONMENT/JOB\n";
    text(StatusCode::BAD_REQUEST, usage)
}

/// `/structdump/task/ID`: all that is stored of a task.
pub(super) async fn struct_of_task(State(site): Shared, Path(id): Path<String>) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let task = stored.task(&TaskId::from(&*id));
    dump(&format!("Task {id}"), task.map(|task| api::ScheduledTask::from(&**task)).as_ref())
}

/// `/structdump/cron/ROLE/ENVIRONMENT/JOB`: all that is stored of a cron job.
pub(super) async fn struct_of_cron(
    State(site): Shared,
    Path((role, environment, name)): Path<(String, String, String)>,
) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let job = JobKey::new(&role, &environment, &name);
    dump(&format!("Cron job {job}"), stored.cron(&job).map(Arc::as_ref))
}

fn dump<T: Wire>(title: &str, found: Option<&T>) -> Response {
    let title = escape(title);
    let page = |text: &str| {
        let text = escape(text);
        html(format!("<!doctype html><title>{title}</title><h1>{title}</h1><pre>{text}</pre>"))
    };
    match found {
        Some(found) => {
            let text = readable::to_string(found);
            // For people: in lines.
            let value = serde_json::from_str::<Json>(&text);
            page(&value.map_or(text, |value| format!("{value:#}")))
        }
        None => (StatusCode::NOT_FOUND, page("Entity not found")).into_response(),
    }
}

/// `/services`: the parts of this process and what they are at.
pub(super) async fn services(State(site): Shared) -> Response {
    let phase = site.api.handle.phase();
    let service = |name: &str, state: &str| json!({"name": name, "state": state});
    let [log, mesos] = states(phase);
    json_of(&json!([
        service("HttpServer", "RUNNING"),
        service("ReplicatedLog", log),
        service("MesosDriver", mesos),
        service("StatisticsSampler", "RUNNING"),
    ]))
}

/// States of the log and of the connection to Mesos, by the names that the original's services have.
fn states(phase: Phase) -> [&'static str; 2] {
    match phase {
        Phase::Idle => ["NEW", "NEW"],
        Phase::PreparingStorage => ["STARTING", "NEW"],
        Phase::StoragePrepared => ["RUNNING", "NEW"],
        Phase::AwaitingRegistration => ["RUNNING", "STARTING"],
        Phase::Active => ["RUNNING", "RUNNING"],
        Phase::Dead => ["TERMINATED", "TERMINATED"],
    }
}

/// `/threads`: the threads of this process, what they are at and which CPU time they had.
pub(super) async fn threads() -> Response {
    let mut lines = String::new();
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for thread in threads {
        // It may have ended meanwhile.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let name = head.split_once('(').map_or("", |(_, name)| name);
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        // Fields 3, 14 and 15 of proc_pid_stat(5).
        let (Some(state), Some(user), Some(system)) =
            (fields.first(), fields.get(11), fields.get(12))
        else {
            continue;
        };
        let id = thread.file_name();
        let id = id.to_string_lossy();
        // Writing to a text cannot fail.
        let _ = writeln!(lines, "\"{name}\" id={id} state={state} ticks={user}+{system}");
    }
    text(StatusCode::OK, lines)
}
