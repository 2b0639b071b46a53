//! What a request means: its method and arguments, without what differs from run to run.

use aurora_api::api::{aurora_admin, aurora_scheduler_manager, read_only_scheduler};
use aurora_api::{binary, readable};
use serde_json::{Value as Json, json};
use thrift_wire::{DecodeError, InMessage as _, MessageKind, Method, Wire as _};

/// Metadata by which a client knows its own update again: a random text.
const OWN_UPDATE: &str = "org.apache.aurora.client.update_id";

/// A method and its arguments. What is not set is not there; sets are in one order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Meaning {
    pub(crate) method: String,
    pub(crate) args: Json,
}

/// Reads a request in the binary encoding.
pub(crate) fn meaning(body: &[u8]) -> Result<Meaning, String> {
    let mut meaning = meaning_as_sent(body)?;
    normalise(&mut meaning.args);
    Ok(meaning)
}

fn meaning_as_sent(body: &[u8]) -> Result<Meaning, String> {
    let head = binary::Reader::new(body).message_begin().map_err(|error| error.to_string())?;
    if head.kind != MessageKind::Call {
        return Err(format!("a {:?} of {}", head.kind, head.name));
    }
    let method = METHODS.iter().find(|(name, _)| *name == head.name);
    let (_, read) = method.ok_or_else(|| format!("no method {}", head.name))?;
    let text = read(body).map_err(|error| format!("{}: {error}", head.name))?;
    let args = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(Meaning { method: head.name, args })
}

/// The random id that a recorded request has for the update that it starts: sixteen bytes.
pub(crate) fn own_update(body: &[u8]) -> Option<[u8; 16]> {
    let args = meaning_as_sent(body).ok()?.args;
    let metadata = args.pointer("/request/metadata")?.as_array()?;
    let own = metadata.iter().find(|entry| entry["key"] == OWN_UPDATE)?;
    let digits = own["value"].as_str()?.replace('-', "");
    Some(u128::from_str_radix(&digits, 16).ok()?.to_be_bytes())
}

type Read = fn(&[u8]) -> Result<String, DecodeError>;

/// The arguments of a call of `M`, by name.
fn read<M: Method>(body: &[u8]) -> Result<String, DecodeError> {
    let mut input = binary::Reader::new(body);
    input.message_begin()?;
    let args = M::Args::read(&mut input)?;
    input.message_end()?;
    input.finish()?;
    Ok(readable::to_string(&args))
}

macro_rules! methods {
    ($($module:ident: [$($method:ident)*])*) => {
        const METHODS: &[(&str, Read)] =
            &[$($((<$module::$method as Method>::NAME, read::<$module::$method>),)*)*];
    };
}

methods! {
    read_only_scheduler: [
        GetRoleSummary GetJobSummary GetTasksStatus GetTasksWithoutConfigs GetPendingReason
        GetConfigSummary GetJobs GetQuota PopulateJobConfig GetJobUpdateSummaries
        GetJobUpdateDetails GetJobUpdateDiff GetTierConfigs
    ]
    aurora_scheduler_manager: [
        CreateJob ScheduleCronJob DescheduleCronJob StartCronJob ReplaceCronTemplate RestartShards
        KillTasks AddInstances StartJobUpdate PauseJobUpdate ResumeJobUpdate AbortJobUpdate
        RollbackJobUpdate PulseJobUpdate
    ]
    aurora_admin: [
        SetQuota ForceTaskState PerformBackup ListBackups StageRecovery QueryRecovery
        DeleteRecoveryTasks CommitRecovery UnloadRecovery StartMaintenance DrainHosts
        MaintenanceStatus EndMaintenance SlaDrainHosts Snapshot
        TriggerExplicitTaskReconciliation TriggerImplicitTaskReconciliation PruneTasks
    ]
}

/// The executor's data is compared as what it says, not as text; random ids are not compared.
fn normalise(json: &mut Json) {
    match json {
        Json::Object(members) => {
            if let Some(Json::String(data)) = members.get("data")
                && let Ok(value) = serde_json::from_str(data)
            {
                members.insert("data".to_owned(), value);
            }
            if members.get("key").and_then(Json::as_str) == Some(OWN_UPDATE) {
                members.insert("value".to_owned(), json!("random"));
            }
            members.values_mut().for_each(normalise);
        }
        Json::Array(items) => items.iter_mut().for_each(normalise),
        Json::Number(number) => {
            // 5 and 5.0 are the same to whoever reads the data.
            if let Some(whole) = number.as_f64().filter(|value| value.fract() == 0.0) {
                *json = json!(whole);
            }
        }
        _ => {}
    }
}

/// Where two values differ: paths, with what was found and what was wanted.
pub(crate) fn differences(found: &Json, wanted: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", found, wanted, &mut lines);
    lines
}

fn compare(path: &str, found: &Json, wanted: &Json, lines: &mut Vec<String>) {
    match (found, wanted) {
        (Json::Object(found), Json::Object(wanted)) => {
            let mut names: Vec<_> = found.keys().chain(wanted.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = format!("{path}.{name}");
                match (found.get(name), wanted.get(name)) {
                    (Some(found), Some(wanted)) => compare(&path, found, wanted, lines),
                    (Some(found), None) => lines.push(format!("{path}: {found}, recorded unset")),
                    (None, wanted) => {
                        lines.push(format!("{path}: unset, recorded {}", wanted.unwrap()));
                    }
                }
            }
        }
        (Json::Array(found), Json::Array(wanted)) if found.len() == wanted.len() => {
            for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                compare(&format!("{path}[{index}]"), found, wanted, lines);
            }
        }
        _ if found != wanted => lines.push(format!("{path}: {found}, recorded {wanted}")),
        _ => {}
    }
}
