//! `aurora sla`: for how long the instances of a job have been up.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", and the recorded cases `sla-*`.

use aurora_api::api::read_only_scheduler::{GetTasksWithoutConfigs, GetTasksWithoutConfigsArgs};
use aurora_api::api::{self, LIVE_STATES, ScheduledTask, TaskQuery};
use clap::Subcommand;

use crate::context::{Context, details};
use crate::exit::{Failure, code};
use crate::keys::{self, to_api};
use crate::select::JobKey;
use crate::uptime::{Span, Uptimes};

/// The verbs of `sla`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Prints which percentage of a job's instances has been up for how long
    GetTaskUpCount {
        /// For how long
        #[arg(long, value_name = "SPAN,…", value_delimiter = ',', value_parser = Span::parse)]
        #[arg(default_value = "1m,10m,1h,12h,7d")]
        durations: Vec<Span>,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
    },
    /// Prints for how long which percentage of a job's instances has been up
    GetJobUptime {
        /// Which percentages, each between 0 and 100
        #[arg(long, value_name = "PERCENT,…", value_delimiter = ',', value_parser = percentile)]
        #[arg(default_value = "99,95,90,85,75,60,50,30,10")]
        percentiles: Vec<f64>,
        /// The job
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME", value_parser = keys::job_key)]
        key: JobKey,
    },
}

fn percentile(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| *value > 0.0 && *value < 100.0);
    value.ok_or_else(|| {
        format!("Invalid percentile value:{text}. Must be between 0.0 and 100.0 exclusive.")
    })
}

/// Runs the command.
///
/// # Errors
/// There is no answer, or a refusal.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    match verb {
        Verb::GetTaskUpCount { durations, key } => {
            let uptimes = uptimes(context, key)?;
            let mut durations = durations.clone();
            durations.sort();
            for span in durations {
                let percent = uptimes.percent_up(span.seconds, uptimes.len());
                context.say(format_args!("{span}\t- {percent:.2} %"));
            }
        }
        Verb::GetJobUptime { percentiles, key } => {
            let uptimes = uptimes(context, key)?;
            let mut percentiles = percentiles.clone();
            percentiles.sort_by(|a, b| b.total_cmp(a));
            for percentile in percentiles {
                let seconds = match uptimes.at_percentile(percentile) {
                    Some(seconds) => format!("{seconds}.0"),
                    None => "0".to_owned(),
                };
                context.say(format_args!("{percentile:?} percentile\t- {seconds} seconds"));
            }
        }
    }
    Ok(code::OK)
}

fn uptimes(context: &mut Context<'_>, key: &JobKey) -> Result<Uptimes, Failure> {
    let query = TaskQuery { job_keys: Some([to_api(key)].into()), ..Default::default() };
    let tasks = live_tasks(context, &key.cluster, query)?;
    let now = context.world.now().as_secs();
    Ok(Uptimes::of(&tasks, now))
}

/// The tasks of a query that run, or did a moment ago.
///
/// # Errors
/// There is no answer, or a refusal.
pub(crate) fn live_tasks(
    context: &mut Context<'_>,
    cluster: &str,
    query: TaskQuery,
) -> Result<Vec<ScheduledTask>, Failure> {
    let query = TaskQuery { statuses: Some(LIVE_STATES.iter().copied().collect()), ..query };
    let arguments = GetTasksWithoutConfigsArgs { query: Some(query), ..Default::default() };
    let response = context.call::<GetTasksWithoutConfigs>(cluster, &arguments)?;
    context.say_answer(&response);
    if response.response_code != Some(api::ResponseCode::OK) {
        let message = format!("Cannot get the tasks: {}", details(&response));
        return Err(Failure::new(code::API, message));
    }
    Ok(match response.result {
        Some(api::Result::ScheduleStatusResult(found)) => found.tasks.unwrap_or_default(),
        _ => Vec::new(),
    })
}

impl Context<'_> {
    /// Prints what a scheduler answered, in one line.
    pub(crate) fn say_answer(&mut self, response: &api::Response) {
        let name = response.response_code.map_or("nothing".to_owned(), |code| code.to_string());
        let details = details(response);
        self.info(format_args!("Response from scheduler: {name} (message: {details})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        assert_eq!(percentile("99.9"), Ok(99.9));
        for text in ["0", "100", "-1", "NaN", "x", ""] {
            assert!(percentile(text).is_err(), "{text}");
        }
    }
}
