//! The recordings: `fixtures/clients`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aurora_api::readable;
use serde::Deserialize;
use serde_json::Value as Json;
use thrift_wire::Bytes;

/// What a program was recorded doing.
#[derive(Deserialize)]
pub(crate) struct Case {
    #[serde(rename = "case")]
    pub(crate) name: String,
    /// What is in the system's clusters.json, if not the usual one.
    pub(crate) clusters: Option<Json>,
    /// Files that are there, by absolute path.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Nodes of the ZooKeeper, if there is one: path and content.
    pub(crate) zk: Option<Vec<(String, String)>>,
    /// Nobody listens, at least at first.
    #[serde(default)]
    pub(crate) down: bool,
    pub(crate) steps: Vec<Step>,
}

/// One run of the program.
#[derive(Deserialize)]
pub(crate) struct Step {
    pub(crate) argv: Vec<String>,
    pub(crate) exit: u8,
    /// Changes of the environment.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Files that it left, by absolute path.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, String>,
    /// Programs that it started: `name [argument] [argument]`.
    #[serde(default)]
    pub(crate) spawned: Vec<String>,
    /// How it was ended, if it did not end itself: `SIGINT after 8s`.
    pub(crate) ended: Option<String>,
    /// When it was run, where its output depends on that: Unix seconds.
    pub(crate) now: Option<u64>,
    pub(crate) calls: Vec<Call>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// One request, and what came back.
#[derive(Clone, Deserialize)]
pub(crate) struct Call {
    /// From 1; where a number is missing, the call is as the one before.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) request: Request,
    /// Nothing: the connection was closed.
    pub(crate) answer: Option<Answer>,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Request {
    /// `POST /api HTTP/1.1`
    pub(crate) line: String,
    /// Headers that not every request has, and the host.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

#[derive(Clone, Deserialize)]
pub(crate) struct Answer {
    /// `200 OK`
    pub(crate) status: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Case {
    /// Whether a step reads a file in Python syntax.
    pub(crate) fn needs_evaluator(&self) -> bool {
        self.steps.iter().any(|step| step.argv.iter().any(|name| name.ends_with(".aurora")))
    }
}

impl Step {
    /// Every call, with those that the recording leaves out because they repeat the one before. The
    /// numbers of a step's calls need not start at 1.
    pub(crate) fn all_calls(&self) -> Vec<Call> {
        let mut all: Vec<Call> = Vec::new();
        for call in &self.calls {
            while let Some(last) = all.last().cloned()
                && last.number + 1 < call.number
            {
                all.push(Call { number: last.number + 1, ..last });
            }
            all.push(call.clone());
        }
        all
    }

    /// After how many seconds it was interrupted.
    pub(crate) fn interrupted_after(&self) -> Option<u64> {
        let text = self.ended.as_ref()?;
        let seconds = text.strip_prefix("SIGINT after ").and_then(|text| text.strip_suffix('s'));
        Some(seconds.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{text}")))
    }
}

/// All bodies that went over the wire, by `FILE:LINE`.
#[derive(Default)]
pub(crate) struct Bodies(BTreeMap<String, Vec<u8>>);

impl Bodies {
    pub(crate) fn load() -> Self {
        let mut bodies = BTreeMap::new();
        for file in ["requests", "answers", "bodies"] {
            for (index, line) in lines(file).into_iter().enumerate() {
                let bytes = match line.get("text") {
                    Some(text) => text.as_str().unwrap().as_bytes().to_vec(),
                    None => readable::from_str::<Bytes>(&line["base64"].to_string()).unwrap().0,
                };
                bodies.insert(format!("{file}:{}", index + 1), bytes);
            }
        }
        Self(bodies)
    }

    pub(crate) fn get(&self, place: &str) -> &[u8] {
        self.0.get(place).unwrap_or_else(|| panic!("no body {place}"))
    }
}

/// The cases of a program.
pub(crate) fn cases(program: &str) -> Vec<Case> {
    lines(program).into_iter().map(|line| serde_json::from_value(line).unwrap()).collect()
}

fn lines(file: &str) -> Vec<Json> {
    let text = fs::read_to_string(fixtures().join(format!("clients/{file}.jsonl"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}
