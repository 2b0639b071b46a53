//! What a scheduler would hand to an agent for a job that is written in a file. Pure, but for the
//! ids and ports that the caller picks.

use std::collections::{BTreeMap, BTreeSet};

use aurora_api::api::{
    AssignedTask, Container, ExecutorConfig, Identity, JobKey, MesosContainer, TaskConfig,
};
use aurora_schema::{Bindings, task};
use serde_json::{Map, Value, json};

/// What a task gets that does not say what it needs, and how that is told.
const RESOURCES: [(&str, u64, &str); 3] = [
    ("cpu", 1, "1 CPU"),
    ("ram", 256 << 20, "256 MiB of memory"),
    ("disk", 1 << 30, "1 GiB of disk"),
];

/// A job, complete.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// As the executor reads it.
    pub(crate) json: Value,
    /// Whose it is, and who its processes run as.
    pub(crate) role: String,
    /// Where it would run.
    pub(crate) environment: String,
    /// Its name.
    pub(crate) name: String,
    /// What was added to it.
    pub(crate) notes: Vec<String>,
}

impl Job {
    /// Completes the job in a text, or the task, unless it `must_be_job`. `role`: who is to run it
    /// whatever it says; `user`: who runs it if it says nothing.
    pub(crate) fn read(
        text: &[u8],
        must_be_job: bool,
        role: Option<&str>,
        user: &str,
    ) -> Result<Job, String> {
        let json: Value =
            serde_json::from_slice(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let Value::Object(members) = json else {
            return Err("it is no JSON object".to_owned());
        };
        let mut notes = Vec::new();
        let is_job = members.contains_key("task");
        let mut job = if is_job || must_be_job {
            members
        } else if members.contains_key("processes") {
            notes.push("it is a task; it was made a job".to_owned());
            let name = members.get("name").cloned();
            let mut job = Map::new();
            job.extend(name.map(|name| ("name".to_owned(), name)));
            job.insert("task".to_owned(), Value::Object(members));
            job
        } else {
            return Err("it is neither a job (it has no \"task\") nor a task (it has no \
                        \"processes\")"
                .to_owned());
        };
        let Some(Value::Object(task)) = job.get_mut("task") else {
            return Err("the job has no task".to_owned());
        };
        complete_resources(task, &mut notes);
        let task_name = task.get("name").cloned().filter(Value::is_string);
        let mut complete = |name: &str, default: Value| {
            let value = job.entry(name).or_insert(default);
            value.as_str().map(str::to_owned).ok_or(format!("{name:?} of the job is no text"))
        };
        complete("cluster", json!("local"))?;
        let environment = complete("environment", json!("devel"))?;
        let name = complete("name", task_name.unwrap_or(json!("task")))?;
        let own = complete("role", json!(user))?;
        let role = role.unwrap_or(&own).to_owned();
        if role != own {
            notes.push(format!("its role is {own}; it runs as {role}"));
            job.insert("role".to_owned(), json!(role));
        }
        Ok(Job { json: Value::Object(job), role, environment, name, notes })
    }

    /// The names of ports that the scheduler would assign: those that the task refers to, and
    /// those that names of the announcer's port map lead to.
    pub(crate) fn ports(&self, instance: i32, hostname: &str) -> BTreeSet<String> {
        let portmap = self.json.pointer("/announce/portmap").and_then(Value::as_object);
        let mut mapped = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for (name, target) in portmap.into_iter().flatten() {
            mapped.insert(name.clone());
            if let Some(target) = target.as_str().filter(|target| target.parse::<i64>().is_err()) {
                wanted.insert(target.to_owned());
            }
        }
        let mut bindings = Bindings::new();
        for (name, value) in [
            ("mesos.instance", instance.to_string().as_str()),
            ("mesos.hostname", hostname),
            ("thermos.task_id", "x"),
            ("thermos.user", "x"),
        ] {
            // A name that cannot be bound cannot be referred to.
            let _ = bindings.bind(name, value);
        }
        if let Some(task) = self.json.get("task") {
            // What is wrong with it is for the executor to say.
            let text = task.to_string();
            let ports = task::referenced_ports(text.as_bytes(), "task", &bindings);
            wanted.extend(ports.unwrap_or_default());
        }
        wanted.difference(&mapped).cloned().collect()
    }

    /// The task, as assigned to an agent.
    pub(crate) fn assign(
        &self,
        task_id: &str,
        agent_id: &str,
        hostname: &str,
        instance: i32,
        ports: BTreeMap<String, i32>,
    ) -> AssignedTask {
        let role = Some(self.role.clone());
        AssignedTask {
            task_id: Some(task_id.to_owned()),
            slave_id: Some(agent_id.to_owned()),
            slave_host: Some(hostname.to_owned()),
            instance_id: Some(instance),
            assigned_ports: Some(ports),
            task: Some(TaskConfig {
                owner: Some(Identity { user: role.clone(), ..Identity::default() }),
                job: Some(JobKey {
                    role,
                    environment: Some(self.environment.clone()),
                    name: Some(self.name.clone()),
                    ..JobKey::default()
                }),
                executor_config: Some(ExecutorConfig {
                    name: Some("AuroraExecutor".to_owned()),
                    data: Some(self.json.to_string()),
                    ..ExecutorConfig::default()
                }),
                container: Container::Mesos(MesosContainer::default()),
                ..TaskConfig::default()
            }),
            ..AssignedTask::default()
        }
    }

    /// A task's id, as the scheduler makes it.
    pub(crate) fn task_id(&self, instance: i32, unique: &str) -> String {
        let text = format!("{}-{}-{}-{instance}", self.role, self.environment, self.name);
        format!("{}-{unique}", file_name(&text))
    }
}

/// A text as a part of the name of a directory.
fn file_name(text: &str) -> String {
    let fine = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    // Directories have at most 255 bytes for their names, and more is put around this.
    let mut name: String = text.chars().map(fine).collect();
    while name.len() > 150 {
        name.pop();
    }
    name
}

fn complete_resources(task: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let resources = task.entry("resources").or_insert_with(|| Value::Object(Map::new()));
    if resources.is_null() {
        *resources = Value::Object(Map::new());
    }
    // Anything else is for the executor to refuse.
    let Some(resources) = resources.as_object_mut() else { return };
    let mut added = Vec::new();
    for (name, default, words) in RESOURCES {
        if !resources.contains_key(name) {
            added.push(words);
            resources.insert(name.to_owned(), json!(default));
        }
    }
    if !added.is_empty() {
        notes.push(format!("it does not say what it needs; it gets {}", added.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: &str = r#"{"name": "hello", "processes": [
        {"name": "a", "cmdline": "echo {{thermos.ports[http]}} {{mesos.instance}}"}]}"#;

    #[test]
    fn a_task_becomes_a_job() {
        let job = Job::read(TASK.as_bytes(), false, None, "me").unwrap();
        assert_eq!((job.role.as_str(), job.name.as_str()), ("me", "hello"));
        assert_eq!(job.json["task"]["resources"]["ram"], json!(268_435_456));
        assert_eq!(job.notes.len(), 2, "{:?}", job.notes);
        assert_eq!(job.ports(3, "h").into_iter().collect::<Vec<_>>(), ["http"]);
        assert!(Job::read(TASK.as_bytes(), true, None, "me").is_err());
        let assigned = job.assign("id", "a", "h", 3, BTreeMap::new());
        let back = aurora_api::binary::from_slice(&aurora_api::binary::to_vec(&assigned));
        assert_eq!(back, Ok(assigned));
        assert_eq!(job.task_id(3, "u"), "me-devel-hello-3-u");
    }

    #[test]
    fn a_job_keeps_what_it_says() {
        let text = r#"{"role": "www", "name": "n", "announce": {"portmap": {"a": "b", "c": "80"}},
            "task": {"resources": {"cpu": 1, "ram": 2, "disk": 3}, "processes": []}}"#;
        let job = Job::read(text.as_bytes(), true, None, "me").unwrap();
        assert_eq!((job.role.as_str(), job.notes.len()), ("www", 0));
        assert_eq!(job.ports(0, "h").into_iter().collect::<Vec<_>>(), ["b"]);
        let job = Job::read(text.as_bytes(), true, Some("me"), "me").unwrap();
        assert_eq!((job.json["role"].as_str(), job.notes.len()), (Some("me"), 1));
    }

    #[test]
    fn what_is_neither() {
        for (text, words) in [
            ("{", "no JSON"),
            ("[]", "no JSON object"),
            ("{}", "neither a job"),
            (r#"{"task": 1}"#, "no task"),
            (r#"{"task": {}, "name": 1}"#, "\"name\" of the job is no text"),
        ] {
            let error = Job::read(text.as_bytes(), false, None, "me").unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(file_name("a/b c\n.d"), "a_b_c_.d");
        assert!(file_name(&"ü".repeat(100)).len() <= 150);
    }
}
