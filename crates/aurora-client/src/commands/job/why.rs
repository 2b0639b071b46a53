//! `aurora job why`: what keeps tasks from running, in words.

use std::collections::{BTreeMap, BTreeSet};

use aurora_api::api::read_only_scheduler::{GetPendingReason, GetPendingReasonArgs};
use aurora_api::api::{self, ScheduleStatus, ScheduledTask};

use crate::context::Context;
use crate::exit::{Failure, code};
use crate::monitor::{self, ACTIVE, instance};
use crate::select::JobKey;

/// Says for each group of a job's instances that do not run, and have the same reason, what it is.
/// As JSON it is
///
/// ```text
/// {"job": KEY, "running": COUNT, "waiting": [{"instances": [ID, …], "status": TEXT, "reason": TEXT}, …]}
/// ```
pub(super) fn why(context: &mut Context<'_>, job: &JobKey, as_json: bool) -> Result<u8, Failure> {
    let tasks = context.tasks(&job.cluster, monitor::query(job, None, Some(&ACTIVE)))?;
    if tasks.is_empty() {
        return Err(Failure::parameter(format!("Found no active tasks of {job}")));
    }
    let is_pending = |task: &ScheduledTask| monitor::status(task) == ScheduleStatus::PENDING;
    let reasons = match tasks.iter().any(is_pending) {
        true => reasons(context, job)?,
        false => BTreeMap::new(),
    };
    let running =
        tasks.iter().filter(|task| monitor::status(task) == ScheduleStatus::RUNNING).count();
    let groups = groups(&tasks, &reasons);
    if as_json {
        let waiting: Vec<serde_json::Value> = groups
            .iter()
            .map(|((status, reason), instances)| {
                serde_json::json!({
                    "instances": instances, "status": status.to_string(), "reason": reason,
                })
            })
            .collect();
        let all = serde_json::json!({
            "job": job.to_string(), "running": running, "waiting": waiting,
        });
        context.say(all);
        return Ok(code::OK);
    }
    context.say(format_args!("{running} of {} instances are running", tasks.len()));
    for ((status, reason), instances) in &groups {
        context.say(format_args!("{} {status}: {reason}", ranges(instances)));
    }
    Ok(code::OK)
}

/// What the scheduler says about tasks, by id.
fn reasons(context: &mut Context<'_>, job: &JobKey) -> Result<BTreeMap<String, String>, Failure> {
    let query = Some(monitor::query(job, None, None));
    let arguments = GetPendingReasonArgs { query, ..Default::default() };
    let response = context.call::<GetPendingReason>(&job.cluster, &arguments)?;
    context.check_plainly(&response)?;
    let Some(api::Result::GetPendingReasonResult(result)) = response.result else {
        return Ok(BTreeMap::new());
    };
    let reasons = result.reasons.into_iter().flatten();
    Ok(reasons.filter_map(|reason| Some((reason.task_id?, reason.reason?))).collect())
}

type Groups = BTreeMap<(ScheduleStatus, String), BTreeSet<i32>>;

/// The instances that do not run, by state and reason.
fn groups(tasks: &[ScheduledTask], reasons: &BTreeMap<String, String>) -> Groups {
    let mut groups = Groups::new();
    for task in tasks {
        let status = monitor::status(task);
        let id = task.assigned_task.as_ref().and_then(|task| task.task_id.as_deref());
        let said = id.and_then(|id| reasons.get(id)).map_or("", String::as_str);
        if let Some(reason) = reason(task, status, said) {
            groups.entry((status, reason)).or_default().insert(instance(task));
        }
    }
    groups
}

/// Why a task does not run; none if it does. `said` is what the scheduler says about it.
fn reason(task: &ScheduledTask, status: ScheduleStatus, said: &str) -> Option<String> {
    let events = task.task_events.as_deref().unwrap_or_default();
    let last = events.last().and_then(|event| event.message.as_deref()).unwrap_or_default();
    let then = |text: &str| match last {
        "" => text.to_owned(),
        last => format!("{text} ({last})"),
    };
    Some(match status {
        ScheduleStatus::RUNNING => return None,
        ScheduleStatus::PENDING if said.is_empty() => {
            "no agent was looked at yet, or none made an offer".to_owned()
        }
        ScheduleStatus::PENDING => {
            let reasons: Vec<String> = said.split(',').map(|veto| explain(veto.trim())).collect();
            format!("no agent fits; the best of them: {}", reasons.join("; "))
        }
        ScheduleStatus::THROTTLED => {
            then("it failed soon after its start and waits before the next")
        }
        ScheduleStatus::ASSIGNED => then("its agent was told to start it"),
        ScheduleStatus::STARTING => then("its executor is preparing it"),
        ScheduleStatus::KILLING => then("it is being killed"),
        ScheduleStatus::RESTARTING => then("it is being restarted"),
        ScheduleStatus::PREEMPTING => then("it makes room for a more important task"),
        ScheduleStatus::DRAINING => then("its agent is being drained"),
        ScheduleStatus::PARTITIONED => then("its agent cannot be reached"),
        other => then(&format!("it is {other}")),
    })
}

/// What each of the scheduler's reasons starts with, and what to do about it.
const ADVICE: [(&str, &str); 5] = [
    ("Insufficient", "no agent has so much left: ask for less, or wait"),
    ("Constraint not satisfied", "no agent with room has the values that `constraints` ask for"),
    ("Limit not satisfied", "every agent, rack or the like has as many as the limit allows"),
    ("Host", "agents are under maintenance"),
    ("Not dedicated", "agents with room are set aside for others"),
];

/// A reason, with what to do about it.
fn explain(veto: &str) -> String {
    match ADVICE.iter().find(|(start, _)| veto.starts_with(start)) {
        Some((_, advice)) => format!("{veto} ({advice})"),
        None => veto.to_owned(),
    }
}

/// `0-2,5`
pub(super) fn ranges(instances: &BTreeSet<i32>) -> String {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for instance in instances {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*instance) => *last = *instance,
            _ => ranges.push((*instance, *instance)),
        }
    }
    let text = |(first, last): &(i32, i32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(instance: i32, status: ScheduleStatus, message: &str) -> ScheduledTask {
        let message = (!message.is_empty()).then(|| message.to_owned());
        ScheduledTask {
            assigned_task: Some(api::AssignedTask {
                task_id: Some(format!("t{instance}")),
                instance_id: Some(instance),
                ..Default::default()
            }),
            status: Some(status),
            task_events: Some(vec![api::TaskEvent { message, ..Default::default() }]),
            ..Default::default()
        }
    }

    #[test]
    fn equal_reasons_are_one_line() {
        let tasks = [
            task(0, ScheduleStatus::RUNNING, ""),
            task(1, ScheduleStatus::PENDING, ""),
            task(2, ScheduleStatus::PENDING, ""),
            task(3, ScheduleStatus::PENDING, ""),
            task(4, ScheduleStatus::STARTING, "Initializing sandbox."),
            task(5, ScheduleStatus::PENDING, ""),
        ];
        let short = "Insufficient: CPU".to_owned();
        let reasons: BTreeMap<String, String> =
            ["t1", "t2", "t5"].map(|id| (id.to_owned(), short.clone())).into();
        let groups = groups(&tasks, &reasons);
        let lines: Vec<String> = groups
            .iter()
            .map(|((status, reason), instances)| {
                format!("{} {status}: {reason}", ranges(instances))
            })
            .collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines
                .iter()
                .any(|line| line
                    == "4 STARTING: its executor is preparing it (Initializing sandbox.)")
        );
        assert!(lines.iter().any(|line| line.starts_with("3 PENDING: no agent was looked at")));
        assert!(lines.iter().any(|line| {
            line.starts_with(
                "1-2,5 PENDING: no agent fits; the best of them: Insufficient: CPU (no",
            )
        }));
    }

    #[test]
    fn ranges_of_instances() {
        for (instances, expected) in [
            (vec![], ""),
            (vec![7], "7"),
            (vec![0, 1, 2, 5], "0-2,5"),
            (vec![i32::MAX - 1, i32::MAX], "2147483646-2147483647"),
        ] {
            assert_eq!(ranges(&instances.into_iter().collect()), expected);
        }
    }
}
