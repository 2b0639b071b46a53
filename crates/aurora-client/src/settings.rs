//! How an update of a job goes about it: `update_config` as the scheduler gets it.
//!
//! Source of behaviour: Aurora configuration reference, "Update settings". A job may be valid while its
//! `update_config` is not: only updates look at it this closely.

use aurora_api::api;
use aurora_schema::number::Integer;
use aurora_schema::value::{Raw, Value};

use crate::convert::Reader;
use crate::problem::{Problem, Stage};

/// A scheduler waits for pulses at least this long.
const MIN_PULSE_INTERVAL_SECS: i64 = 60;

/// The settings of an update of this job, converted as by [`crate::convert`]. Which instances are
/// updated is for the caller to say.
///
/// Errors are of the stage `update`: sizes and times out of range, and settings that contradict each
/// other.
pub fn update_settings(job: &Value) -> Result<api::JobUpdateSettings, Problem> {
    settings(&Reader { job, sound: false }).map_err(|mut problem| {
        problem.stage = Stage::Update;
        problem
    })
}

fn settings(reader: &Reader<'_>) -> Result<api::JobUpdateSettings, Problem> {
    let refused =
        |name: &str, message: &str| -> Problem { reader.wrong(&["update_config", name], message) };
    let batch_size = reader.int32(&["update_config", "batch_size"])?;
    if batch_size <= 0 {
        return Err(refused("batch_size", "Batch size should be greater than 0"));
    }
    if reader.integer(&["update_config", "watch_secs"])? < 0 {
        let message = "Watch seconds should be greater than or equal to 0";
        return Err(refused("watch_secs", message));
    }
    let pulse = match reader.optional(&["update_config", "pulse_interval_secs"])? {
        Some(_) => Some(reader.integer(&["update_config", "pulse_interval_secs"])?),
        None => None,
    };
    if pulse.is_some_and(|seconds| seconds < MIN_PULSE_INTERVAL_SECS) {
        return Err(refused(
            "pulse_interval_secs",
            &format!("Pulse interval seconds must be at least {MIN_PULSE_INTERVAL_SECS} seconds."),
        ));
    }
    let waits = reader.boolean(&["update_config", "wait_for_batch_completion"])?;
    let strategy = reader.optional(&["update_config", "update_strategy"])?;
    if strategy.is_some() && (waits || batch_size > 1) {
        let other = if waits { "wait_for_batch_completion" } else { "batch_size" };
        return Err(refused(
            other,
            &format!("Ambiguous update configuration. {other} cannot be set with update_strategy."),
        )
        .with_help("say it in update_strategy only"));
    }
    let strategy = match strategy {
        Some(strategy) => explicit(reader, strategy)?,
        None if waits => api::JobUpdateStrategy::BatchStrategy(api::BatchJobUpdateStrategy {
            group_size: Some(batch_size),
            autopause_after_batch: Some(false),
            ..Default::default()
        }),
        None => api::JobUpdateStrategy::QueueStrategy(api::QueueJobUpdateStrategy {
            group_size: Some(batch_size),
            ..Default::default()
        }),
    };
    // Schedulers that know no strategies go by these two.
    let (group_size, waits) = match &strategy {
        api::JobUpdateStrategy::QueueStrategy(queue) => (queue.group_size, waits),
        api::JobUpdateStrategy::BatchStrategy(batch) => (batch.group_size, true),
        _ => (Some(batch_size), waits),
    };
    Ok(api::JobUpdateSettings {
        update_group_size: group_size,
        max_per_instance_failures: Some(
            reader.int32(&["update_config", "max_per_shard_failures"])?,
        ),
        max_failed_instances: Some(reader.int32(&["update_config", "max_total_failures"])?),
        min_wait_in_instance_running_ms: Some(milliseconds(reader, "watch_secs")?),
        rollback_on_failure: Some(reader.boolean(&["update_config", "rollback_on_failure"])?),
        wait_for_batch_completion: Some(waits),
        block_if_no_pulses_after_ms: match pulse {
            Some(_) => Some(milliseconds(reader, "pulse_interval_secs")?),
            None => None,
        },
        sla_aware: Some(reader.boolean(&["update_config", "sla_aware"])?),
        update_strategy: Some(strategy),
        ..api::JobUpdateSettings::default()
    })
}

/// What `update_strategy` says.
fn explicit(reader: &Reader<'_>, strategy: &Value) -> Result<api::JobUpdateStrategy, Problem> {
    const PLACE: [&str; 2] = ["update_config", "update_strategy"];
    let kind = strategy.as_struct().map(|strategy| strategy.ty().name());
    let at = |name: &'static str| [PLACE[0], PLACE[1], name];
    let positive = |size: i32, name: &'static str| match size {
        1.. => Ok(size),
        _ => Err(reader.wrong(&at(name), "Batch size should be greater than 0")),
    };
    if kind == Some("VariableBatchUpdateStrategy") {
        let sizes = reader.get(&at("batch_sizes"))?.items().unwrap_or_default();
        let sizes = sizes.iter().map(|size| match size.raw() {
            Some(Raw::Integer(Integer::Small(size))) => {
                positive(i32::try_from(*size).unwrap_or_default(), "batch_sizes")
            }
            _ => positive(0, "batch_sizes"),
        });
        return Ok(api::JobUpdateStrategy::VarBatchStrategy(api::VariableBatchJobUpdateStrategy {
            group_sizes: Some(sizes.collect::<Result<Vec<i32>, Problem>>()?),
            autopause_after_batch: Some(reader.boolean(&at("autopause_after_batch"))?),
            ..Default::default()
        }));
    }
    let size = positive(reader.int32(&at("batch_size"))?, "batch_size")?;
    if kind == Some("QueueUpdateStrategy") {
        return Ok(api::JobUpdateStrategy::QueueStrategy(api::QueueJobUpdateStrategy {
            group_size: Some(size),
            ..Default::default()
        }));
    }
    Ok(api::JobUpdateStrategy::BatchStrategy(api::BatchJobUpdateStrategy {
        group_size: Some(size),
        autopause_after_batch: Some(reader.boolean(&at("autopause_after_batch"))?),
        ..Default::default()
    }))
}

/// A number of seconds of `update_config` in milliseconds.
fn milliseconds(reader: &Reader<'_>, name: &str) -> Result<i32, Problem> {
    let seconds = reader.integer(&["update_config", name])?;
    let milliseconds = seconds.checked_mul(1_000).and_then(|all| i32::try_from(all).ok());
    milliseconds.ok_or_else(|| {
        let most = i32::MAX / 1_000;
        reader.wrong(&["update_config", name], &format!("{name} must be at most {most} (24 days)"))
    })
}

#[cfg(test)]
mod tests {
    use aurora_schema::schema::MESOS_JOB;
    use aurora_schema::types::Type;
    use aurora_schema::value::Strictness;

    use super::*;

    fn settings_of(update: &str) -> Result<api::JobUpdateSettings, Problem> {
        let text = format!(r#"{{"update_config": {update}}}"#);
        let json = aurora_schema::json::parse(text.as_bytes()).unwrap();
        let job = Value::from_json(&Type::Struct(MESOS_JOB.clone()), json, Strictness::Strict);
        let done = aurora_schema::interpolate::interpolate(
            &job.unwrap(),
            &aurora_schema::interpolate::Limits::default(),
        );
        update_settings(&done.unwrap().value)
    }

    #[test]
    fn what_nobody_says() {
        let settings = settings_of("{}").unwrap();
        assert_eq!(settings.update_group_size, Some(1));
        assert_eq!(settings.min_wait_in_instance_running_ms, Some(45_000));
        assert_eq!(settings.block_if_no_pulses_after_ms, None);
        assert_eq!(settings.wait_for_batch_completion, Some(false));
        let queue = api::QueueJobUpdateStrategy { group_size: Some(1), ..Default::default() };
        assert_eq!(settings.update_strategy, Some(api::JobUpdateStrategy::QueueStrategy(queue)));
    }

    #[test]
    fn strategies() {
        let settings =
            settings_of(r#"{"batch_size": 3, "wait_for_batch_completion": true}"#).unwrap();
        let batch = |size, pauses| {
            Some(api::JobUpdateStrategy::BatchStrategy(api::BatchJobUpdateStrategy {
                group_size: Some(size),
                autopause_after_batch: Some(pauses),
                ..Default::default()
            }))
        };
        assert_eq!(settings.update_strategy, batch(3, false));
        assert_eq!(settings.update_group_size, Some(3));
        let settings =
            settings_of(r#"{"update_strategy": {"batch_size": 4, "autopause_after_batch": true}}"#)
                .unwrap();
        assert_eq!(settings.update_strategy, batch(4, true));
        assert_eq!(settings.update_group_size, Some(4));
        assert_eq!(settings.wait_for_batch_completion, Some(true));
        let settings = settings_of(r#"{"update_strategy": {"batch_size": 4}}"#).unwrap();
        let queue = api::QueueJobUpdateStrategy { group_size: Some(4), ..Default::default() };
        assert_eq!(settings.update_strategy, Some(api::JobUpdateStrategy::QueueStrategy(queue)));
        assert_eq!(settings.wait_for_batch_completion, Some(false));
        let settings = settings_of(r#"{"update_strategy": {"batch_sizes": [1, 2]}}"#).unwrap();
        assert_eq!(settings.update_group_size, Some(1));
    }

    #[test]
    fn what_is_refused() {
        for (update, word) in [
            (r#"{"batch_size": 0}"#, "Batch size"),
            (r#"{"watch_secs": -1}"#, "Watch seconds"),
            (r#"{"watch_secs": 2147484}"#, "at most 2147483"),
            (r#"{"pulse_interval_secs": 59}"#, "at least 60"),
            (r#"{"batch_size": 2, "update_strategy": {"batch_size": 2}}"#, "Ambiguous"),
            (
                r#"{"wait_for_batch_completion": true, "update_strategy": {"batch_size": 2}}"#,
                "Ambiguous",
            ),
            (r#"{"update_strategy": {"batch_sizes": [1, 0]}}"#, "greater than 0"),
            (r#"{"update_strategy": {"batch_sizes": [1, 4294967296]}}"#, "greater than 0"),
            (r#"{"batch_size": 4294967296}"#, "batch_size"),
        ] {
            let problem = settings_of(update).unwrap_err();
            assert_eq!(problem.stage, Stage::Update, "{update}");
            assert!(problem.message.contains(word), "{update}: {}", problem.message);
        }
    }
}
