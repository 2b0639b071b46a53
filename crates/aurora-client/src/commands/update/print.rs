//! Updates in print.

use std::fmt::Write as _;

use aurora_api::api::{JobUpdateDetails, JobUpdateSummary, Metadata};
use serde_json::{Map, Value, json};

use crate::keys::from_api;
use crate::select::JobKey;

/// A table of updates; nothing of none.
pub(super) fn list(cluster: &str, summaries: &[JobUpdateSummary]) -> String {
    let mut text = String::new();
    let mut row = |job: &str, id: &str, status: &str, user: &str, from: &str, to: &str| {
        let _ = writeln!(text, "{job:<47} {id:<36} {status:<15} {user:<11} {from:<19} {to:<19}");
    };
    if !summaries.is_empty() {
        row("JOB", "UPDATE ID", "STATUS", "CREATED BY", "STARTED", "LAST MODIFIED");
    }
    for summary in summaries {
        let Row { job, id, status, user, started, modified } = Row::of(cluster, summary);
        row(&job, &id, &status, &user, &started, &modified);
    }
    text
}

/// A list of updates.
pub(super) fn list_as_json(cluster: &str, summaries: &[JobUpdateSummary]) -> String {
    let of = |summary| {
        let Row { job, id, status, user, started, modified } = Row::of(cluster, summary);
        json!({
            "job": job,
            "id": id,
            "user": user,
            "started": started,
            "last_modified": modified,
            "status": status,
        })
    };
    pretty(&summaries.iter().map(of).collect())
}

/// What is said about an update in one line.
struct Row {
    job: String,
    id: String,
    status: String,
    user: String,
    started: String,
    modified: String,
}

impl Row {
    fn of(cluster: &str, summary: &JobUpdateSummary) -> Row {
        let key = summary.key.clone().unwrap_or_default();
        let state = summary.state.clone().unwrap_or_default();
        Row {
            job: from_api(cluster, &key.job.unwrap_or_default()).to_string(),
            id: key.id.unwrap_or_default(),
            status: state.status.map(|status| status.to_string()).unwrap_or_default(),
            user: summary.user.clone().unwrap_or_default(),
            started: time(state.created_timestamp_ms),
            modified: time(state.last_modified_timestamp_ms),
        }
    }
}

/// Everything about an update, for people.
pub(super) fn details(key: &JobKey, details: &JobUpdateDetails) -> String {
    let summary = summary(details);
    let Row { id, status, started, modified, .. } = Row::of(&key.cluster, &summary);
    let mut text = format!(
        "Job: {key}, UpdateID: {id}\nStarted {started}, last activity: {modified}\n\
         Current status: {status}\n"
    );
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}");
    };
    line(format_args!("Update events:"));
    for event in details.update_events.iter().flatten() {
        let status = event.status.unwrap_or_default();
        line(format_args!("  Status: {status} at {}", time(event.timestamp_ms)));
        if let Some(message) = &event.message {
            line(format_args!("      message: {message}"));
        }
    }
    line(format_args!("Instance events:"));
    for event in details.instance_events.iter().flatten() {
        let action = event.action.unwrap_or_default();
        let instance = event.instance_id.unwrap_or_default();
        line(format_args!("  Instance {instance} at {}: {action}", time(event.timestamp_ms)));
        if let Some(message) = &event.message {
            line(format_args!("      message: {message}"));
        }
    }
    line(format_args!("Metadata:"));
    for Metadata { key, value, .. } in summary.metadata.iter().flatten() {
        let (key, value) =
            (key.as_deref().unwrap_or_default(), value.as_deref().unwrap_or_default());
        line(format_args!("  {key}: {value}"));
    }
    text
}

/// Everything about an update. Times are milliseconds but the last, as they always were.
pub(super) fn details_as_json(key: &JobKey, details: &JobUpdateDetails) -> String {
    let summary = summary(details);
    let Row { id, status, modified, .. } = Row::of(&key.cluster, &summary);
    let created = summary.state.as_ref().and_then(|state| state.created_timestamp_ms);
    let with_message = |mut event: Map<String, Value>, message: &Option<String>| {
        if let Some(message) = message {
            event.insert("message".to_owned(), json!(message));
        }
        Value::Object(event)
    };
    let object = |value: Value| match value {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let update_events = details.update_events.iter().flatten().map(|event| {
        let members = json!({
            "status": event.status.map(|status| status.to_string()),
            "timestampMs": event.timestamp_ms,
        });
        with_message(object(members), &event.message)
    });
    let instance_events = details.instance_events.iter().flatten().map(|event| {
        let members = json!({
            "instance": event.instance_id,
            "timestamp": event.timestamp_ms,
            "action": event.action.map(|action| action.to_string()),
        });
        with_message(object(members), &event.message)
    });
    let metadata = summary.metadata.iter().flatten().map(|Metadata { key, value, .. }| {
        Value::Object(Map::from_iter([(key.clone().unwrap_or_default(), json!(value))]))
    });
    pretty(&json!({
        "updateId": id,
        "job": key.to_string(),
        "started": created,
        "last_modified": modified,
        "status": status,
        "update_events": update_events.collect::<Value>(),
        "instance_update_events": instance_events.collect::<Value>(),
        "metadata": metadata.collect::<Value>(),
    }))
}

fn summary(details: &JobUpdateDetails) -> JobUpdateSummary {
    details.update.as_ref().and_then(|update| update.summary.clone()).unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// A time in UTC: `2026-11-21T20:15:00`.
fn time(millis: Option<i64>) -> String {
    let Some(millis) = millis else { return String::new() };
    match chrono::DateTime::from_timestamp(millis.div_euclid(1000), 0) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S").to_string(),
        None => millis.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(Some(1_700_000_000_999)), "2023-11-14T22:13:20");
        assert_eq!(time(Some(-1)), "1969-12-31T23:59:59");
        assert_eq!(time(Some(i64::MAX)), i64::MAX.to_string());
        assert_eq!(time(None), "");
    }

    #[test]
    fn of_nothing() {
        assert_eq!(list("west", &[]), "");
        assert_eq!(list_as_json("west", &[]), "[]");
        assert!(list("west", &[JobUpdateSummary::default()]).ends_with(" \n"));
    }
}
