//! `query`: tasks, each in a line of a given form.

use std::collections::BTreeSet;

use aurora_api::api::read_only_scheduler::{GetTasksStatus, GetTasksStatusArgs};
use aurora_api::api::{
    self, ACTIVE_STATES, ResponseCode, ScheduleStatus, ScheduledTask, TaskQuery,
};
use aurora_api::readable;
use serde_json::Value as Json;

use super::refusal;
use crate::context::{Context, details};
use crate::exit::Failure;
use crate::keys::parse_instances;

/// The options of `query`.
#[derive(Debug, clap::Args)]
pub(super) struct Query {
    /// Asks for much
    #[arg(long)]
    force: bool,
    /// Only tasks in these states
    #[arg(long, value_name = "STATE,…", default_value = "RUNNING")]
    states: String,
    /// Only these instances
    #[arg(long, value_name = "N,…")]
    shards: Option<String>,
    /// The form of a line; names between percent signs are replaced
    #[arg(long, short, value_name = "FORMAT")]
    #[arg(default_value = "%role%/%name%/%instanceId% %status%")]
    listformat: String,
    /// The cluster
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// Only tasks of this role
    #[arg(value_name = "ROLE")]
    role: Option<String>,
    /// Only tasks of the jobs of this name
    #[arg(value_name = "JOB")]
    job: Option<String>,
}

impl Query {
    /// Runs the command.
    ///
    /// # Errors
    /// It asks for too much, or there is no answer.
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let statuses = states(&self.states).map_err(refusal)?;
        let form = Form::parse(&self.listformat);
        if let Some(what) = self.breadth(&statuses).filter(|_| !self.force) {
            return Err(refusal(format!("--force is required for expensive queries ({what})")));
        }
        let instances = match &self.shards {
            Some(text) => parse_instances(text).map_err(refusal)?,
            None => BTreeSet::new(),
        };
        let query = TaskQuery {
            role: self.role,
            job_name: self.job,
            statuses: Some(statuses),
            instance_ids: Some(instances),
            ..Default::default()
        };
        let args = GetTasksStatusArgs { query: Some(query), ..Default::default() };
        let response = context.call::<GetTasksStatus>(&self.cluster, &args)?;
        if response.response_code != Some(ResponseCode::OK) {
            let why = details(&response);
            return Err(refusal(format!("Failed to query scheduler: {why}")));
        }
        let tasks = match response.result {
            Some(api::Result::ScheduleStatusResult(found)) => found.tasks.unwrap_or_default(),
            _ => Vec::new(),
        };
        let form = form.map_err(refusal)?;
        let lines: String = tasks.iter().map(|task| form.fill(task) + "\n").collect();
        context.print(&lines);
        Ok(())
    }

    /// Why a query asks for much, if it does.
    fn breadth(&self, statuses: &BTreeSet<ScheduleStatus>) -> Option<&'static str> {
        match (&self.role, &self.job) {
            (None, _) => Some("no role specified"),
            (_, None) => Some("no job specified"),
            _ if !statuses.iter().all(|status| ACTIVE_STATES.contains(status)) => {
                Some("states outside ACTIVE states")
            }
            _ => None,
        }
    }
}

/// Reads names of states, separated by commas.
pub(super) fn states(text: &str) -> Result<BTreeSet<ScheduleStatus>, String> {
    let of = |name: &str| {
        ScheduleStatus::from_name(name).ok_or_else(|| {
            let mut names: Vec<_> = ScheduleStatus::NAMES.iter().map(|(name, _)| *name).collect();
            names.sort_unstable();
            let names = names.join(",");
            format!("Unknown state '{name}' specified.  Valid states are:\n{names}")
        })
    };
    text.split(',').map(of).collect()
}

/// What can be printed of a task: its name, and where it is in the task's readable form.
const KEYS: [(&str, &str); 31] = [
    ("ancestorId", "/ancestorId"),
    ("assignedPorts", "/assignedTask/assignedPorts"),
    ("constraints", "/assignedTask/task/constraints"),
    ("contactEmail", "/assignedTask/task/contactEmail"),
    ("data", "/assignedTask/task/executorConfig/data"),
    ("docker", "/assignedTask/task/container/docker"),
    ("environment", "/assignedTask/task/job/environment"),
    ("failureCount", "/failureCount"),
    ("image", "/assignedTask/task/container/mesos/image"),
    ("instanceId", "/assignedTask/instanceId"),
    ("isService", "/assignedTask/task/isService"),
    ("maxTaskFailures", "/assignedTask/task/maxTaskFailures"),
    ("mesosFetcherUris", "/assignedTask/task/mesosFetcherUris"),
    ("metadata", "/assignedTask/task/metadata"),
    ("name", "/assignedTask/task/job/name"),
    ("partitionPolicy", "/assignedTask/task/partitionPolicy"),
    ("priority", "/assignedTask/task/priority"),
    ("production", "/assignedTask/task/production"),
    ("resources", "/assignedTask/task/resources"),
    ("role", "/assignedTask/task/job/role"),
    ("slaPolicy", "/assignedTask/task/slaPolicy"),
    ("slaveHost", "/assignedTask/slaveHost"),
    ("slaveId", "/assignedTask/slaveId"),
    ("status", "/status"),
    ("taskEvents", "/taskEvents"),
    ("taskId", "/assignedTask/taskId"),
    ("taskLinks", "/assignedTask/task/taskLinks"),
    ("tier", "/assignedTask/task/tier"),
    ("timesPartitioned", "/timesPartitioned"),
    ("user", "/assignedTask/task/owner/user"),
    ("volumes", "/assignedTask/task/container/mesos/volumes"),
];

/// The form of a line.
#[derive(Debug, PartialEq)]
struct Form(Vec<Part>);

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    /// A place in a task's readable form.
    Place(&'static str),
}

impl Form {
    /// Reads `%name%` and text between. A percent sign alone is text.
    fn parse(text: &str) -> Result<Form, String> {
        let word = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            let name = after.split_once('%').filter(|(name, _)| word(name));
            let Some((name, tail)) = name else {
                parts.push(Part::Text(format!("{before}%")));
                rest = after;
                continue;
            };
            let Some((_, place)) = KEYS.iter().find(|(key, _)| *key == name) else {
                let keys: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
                return Err(format!(
                    "Unknown key in format string.  Valid keys are:\n{}",
                    keys.join(",")
                ));
            };
            parts.extend([Part::Text(before.to_owned()), Part::Place(place)]);
            rest = tail;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Form(parts))
    }

    /// A task in this form. What it does not have is `None`.
    fn fill(&self, task: &ScheduledTask) -> String {
        let task: Json = serde_json::from_str(&readable::to_string(task)).unwrap_or_default();
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place(place) => match task.pointer(place) {
                None => "None".to_owned(),
                Some(Json::String(text)) => text.clone(),
                Some(value) => value.to_string(),
            },
        };
        self.0.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use aurora_api::api::{AssignedTask, JobKey, TaskConfig};
    use proptest::prelude::*;

    use super::*;

    fn task() -> ScheduledTask {
        let text = |text: &str| Some(text.to_owned());
        let job = JobKey { role: text("web"), name: text("www"), ..Default::default() };
        let config = TaskConfig { job: Some(job), priority: Some(3), ..Default::default() };
        ScheduledTask {
            status: Some(ScheduleStatus::RUNNING),
            assigned_task: Some(AssignedTask {
                task: Some(config),
                assigned_ports: Some([("http".to_owned(), 31000)].into()),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn forms() {
        for (form, line) in [
            ("%role%/%name% %status%", "web/www RUNNING"),
            ("%priority%% of %tier%", "3% of None"),
            ("%assignedPorts%", r#"{"http":31000}"#),
            ("100 % sure, 50%", "100 % sure, 50%"),
            ("%%", "%%"),
            ("", ""),
        ] {
            assert_eq!(Form::parse(form).unwrap().fill(&task()), line, "{form}");
        }
        assert!(Form::parse("%nope%").unwrap_err().contains("ancestorId,assignedPorts"));
    }

    #[test]
    fn names_of_states() {
        let both = [ScheduleStatus::FAILED, ScheduleStatus::LOST];
        assert_eq!(states("FAILED,LOST"), Ok(both.into()));
        for text in ["", "failed", "FAILED,"] {
            assert!(states(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_form_or_none(text in "[%a-zA-Z ]*") {
            let _ = Form::parse(&text);
        }
    }
}
