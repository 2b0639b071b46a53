//! What jobs would lose if hosts went down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use aurora_api::api::{ScheduledTask, TaskQuery};
use clap::{Args, Subcommand, ValueEnum};

use super::hosts::{self, Selection};
use super::{percentage, refusal};
use crate::commands::sla::live_tasks;
use crate::context::Context;
use crate::exit::Failure;
use crate::keys::{from_api, to_api};
use crate::select::JobKey;
use crate::uptime::{Span, Uptimes};

/// Jobs that are smaller say little about a cluster.
const MIN_INSTANCES: &str = "10";

/// Which hosts go down together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Grouping {
    /// Each by itself
    ByHost,
    /// All of them
    None,
}

/// Commands about the SLA of jobs.
#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub(super) enum Verb {
    /// Lists the hosts that could go down while every job keeps so many instances up for so long
    ///
    /// With --grouping=none a host is listed only if all of them could go down at once.
    SlaListSafeDomain {
        /// Not these hosts
        #[arg(long, short = 'x', value_name = "HOST,…", value_delimiter = ',')]
        exclude_hosts: Vec<String>,
        /// Not the hosts in this file, one in a line
        #[arg(long, short = 'X', value_name = "FILE")]
        exclude_file: Option<PathBuf>,
        /// Only these hosts
        #[arg(long, short, value_name = "HOST,…", value_delimiter = ',')]
        include_hosts: Vec<String>,
        /// Only the hosts in this file, one in a line
        #[arg(long, short = 'I', value_name = "FILE")]
        include_file: Option<PathBuf>,
        /// With the jobs on each host, and what they would keep
        #[arg(long, short)]
        list_jobs: bool,
        /// Jobs that need something else: lines of CLUSTER/ROLE/ENV/NAME PERCENTAGE DURATION
        #[arg(long, short, visible_alias = "override_file", value_name = "FILE")]
        override_jobs: Option<PathBuf>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Prints what each job on these hosts would keep up if they went down
    ///
    /// HOST  JOB  PREDICTED_SLA  SAFE?  PREDICTED_SAFE_IN: the percentage of instances that would
    /// have been up for DURATION, whether that is enough, and in how many seconds it would be.
    SlaProbeHosts {
        #[command(flatten)]
        hosts: Selection,
        #[command(flatten)]
        asked: Asked,
    },
}

/// Which hosts go down, and what has to stay up.
#[derive(Debug, Args)]
#[command(rename_all = "snake_case")]
pub(super) struct Asked {
    /// Which hosts go down together
    #[arg(long, value_name = "GROUPING", default_value = "by_host")]
    grouping: Grouping,
    /// Jobs with fewer instances do not count
    #[arg(long, value_name = "N", default_value = MIN_INSTANCES)]
    min_job_instance_count: usize,
    /// The cluster
    #[arg(value_name = "CLUSTER")]
    cluster: String,
    /// How many instances of a job have to be up
    #[arg(value_name = "PERCENTAGE")]
    percentage: String,
    /// For how long, such as 5m or 1d3h45m
    #[arg(value_name = "DURATION")]
    duration: String,
}

impl Asked {
    fn need(&self) -> Result<Need, Failure> {
        Need::parse(&self.percentage, &self.duration).map_err(refusal)
    }
}

impl Verb {
    /// Runs the command.
    ///
    /// # Errors
    /// Its parameters make no sense, or there is no answer.
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Verb::SlaProbeHosts { hosts, asked } => {
                let need = asked.need()?;
                let hosts = hosts.read()?;
                let Asked { grouping, min_job_instance_count, cluster, .. } = asked;
                let domain = Domain::ask(context, &cluster, Some(&hosts), min_job_instance_count)?;
                let now = context.world.now().as_secs();
                for group in grouping.groups(&hosts) {
                    for prediction in domain.predict(&group, now, |_| need) {
                        context.say(prediction);
                    }
                }
            }
            Verb::SlaListSafeDomain {
                exclude_hosts,
                exclude_file,
                include_hosts,
                include_file,
                list_jobs,
                override_jobs,
                asked,
            } => {
                let need = asked.need()?;
                let Asked { grouping, min_job_instance_count, cluster, .. } = asked;
                let others = match override_jobs {
                    Some(file) => overrides(&hosts::text(&file)?)
                        .map_err(|why| refusal(format!("{}: {why}", file.display())))?,
                    None => BTreeMap::new(),
                };
                let listed = |hosts: Vec<String>, file: Option<PathBuf>| {
                    let mut all: BTreeSet<String> = hosts.into_iter().collect();
                    if let Some(file) = file {
                        all.extend(hosts::lines(&hosts::text(&file)?));
                    }
                    Ok::<_, Failure>(all)
                };
                let included = listed(include_hosts, include_file)?;
                let excluded = listed(exclude_hosts, exclude_file)?;
                let only = (!included.is_empty()).then_some(&included);
                let domain = Domain::ask(context, &cluster, only, min_job_instance_count)?;
                let mut hosts = domain.hosts();
                hosts.retain(|host| only.is_none_or(|only| only.contains(host)));
                hosts.retain(|host| !excluded.contains(host));
                let now = context.world.now().as_secs();
                for group in grouping.groups(&hosts) {
                    let of = |job: &JobKey| others.get(job).copied().unwrap_or(need);
                    let predictions = domain.predict(&group, now, of);
                    if !predictions.iter().all(Prediction::is_safe) {
                        continue;
                    }
                    match list_jobs {
                        true => predictions.iter().for_each(|prediction| {
                            context.say(prediction.kept());
                        }),
                        false => group.iter().for_each(|host| context.say(host)),
                    }
                }
            }
        }
        Ok(())
    }
}

impl Grouping {
    /// The hosts that go down together.
    pub(super) fn groups(self, hosts: &BTreeSet<String>) -> Vec<BTreeSet<String>> {
        match self {
            Grouping::ByHost => hosts.iter().map(|host| [host.clone()].into()).collect(),
            Grouping::None if hosts.is_empty() => Vec::new(),
            Grouping::None => vec![hosts.clone()],
        }
    }
}

/// How many instances of a job have to be up, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Need {
    pub(super) percentage: f64,
    pub(super) span: Span,
}

impl Need {
    pub(super) fn parse(percent: &str, span: &str) -> Result<Need, String> {
        Ok(Need { percentage: percentage(percent)?, span: Span::parse(span)? })
    }
}

/// Reads lines of `KEY PERCENTAGE DURATION`.
fn overrides(text: &str) -> Result<BTreeMap<JobKey, Need>, String> {
    let mut needs = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let at = |why: String| format!("line {}: {why}", index + 1);
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [] => {}
            [key, percentage, span] => {
                let key = JobKey::parse(key).map_err(at)?;
                needs.insert(key, Need::parse(percentage, span).map_err(at)?);
            }
            _ => return Err(at("expected CLUSTER/ROLE/ENV/NAME PERCENTAGE DURATION".to_owned())),
        }
    }
    Ok(needs)
}

/// The live tasks of jobs, each with its host.
pub(super) struct Domain(BTreeMap<JobKey, Vec<(String, ScheduledTask)>>);

impl Domain {
    /// Asks for the jobs that have tasks on these hosts, or for all jobs.
    ///
    /// # Errors
    /// There is no answer, or a refusal.
    pub(super) fn ask(
        context: &mut Context<'_>,
        cluster: &str,
        hosts: Option<&BTreeSet<String>>,
        min_instances: usize,
    ) -> Result<Domain, Failure> {
        let query = TaskQuery { slave_hosts: hosts.cloned(), ..Default::default() };
        let mut tasks = live_tasks(context, cluster, query)?;
        if hosts.is_some() {
            let jobs: BTreeSet<_> =
                tasks.iter().filter_map(|task| Some(to_api(&job_of(cluster, task)?))).collect();
            tasks = match jobs.is_empty() {
                true => Vec::new(),
                false => {
                    let query = TaskQuery { job_keys: Some(jobs), ..Default::default() };
                    live_tasks(context, cluster, query)?
                }
            };
        }
        Ok(Domain::of(cluster, tasks, min_instances))
    }

    fn of(cluster: &str, tasks: Vec<ScheduledTask>, min_instances: usize) -> Domain {
        let mut jobs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for task in tasks {
            let host = task.assigned_task.as_ref().and_then(|assigned| assigned.slave_host.clone());
            if let (Some(job), Some(host)) = (job_of(cluster, &task), host) {
                jobs.entry(job).or_default().push((host, task));
            }
        }
        jobs.retain(|_, tasks| tasks.len() >= min_instances);
        Domain(jobs)
    }

    /// The hosts that have tasks.
    fn hosts(&self) -> BTreeSet<String> {
        self.0.values().flatten().map(|(host, _)| host.clone()).collect()
    }

    /// What each job on these hosts would keep if all of them went down, host by host.
    pub(super) fn predict(
        &self,
        group: &BTreeSet<String>,
        now: u64,
        need: impl Fn(&JobKey) -> Need,
    ) -> Vec<Prediction> {
        let mut predictions = Vec::new();
        for (job, tasks) in &self.0 {
            let on = |host: &String| tasks.iter().any(|(place, _)| place == host);
            if !group.iter().any(on) {
                continue;
            }
            let total = Uptimes::of(tasks.iter().map(|(_, task)| task), now).len();
            let kept = tasks.iter().filter(|(host, _)| !group.contains(host));
            let kept = Uptimes::of(kept.map(|(_, task)| task), now);
            let need = need(job);
            let seconds = need.span.seconds;
            for host in group.iter().filter(|host| on(host)) {
                predictions.push(Prediction {
                    host: host.clone(),
                    job: job.clone(),
                    percentage: kept.percent_up(seconds, total),
                    wait: kept.wait(need.percentage, seconds, total),
                    need,
                });
            }
        }
        predictions.sort_by(|a, b| (&a.host, &a.job).cmp(&(&b.host, &b.job)));
        predictions
    }
}

fn job_of(cluster: &str, task: &ScheduledTask) -> Option<JobKey> {
    let config = task.assigned_task.as_ref()?.task.as_ref()?;
    Some(from_api(cluster, config.job.as_ref()?))
}

/// What a job would keep.
pub(super) struct Prediction {
    host: String,
    job: JobKey,
    percentage: f64,
    /// In how many seconds it would be enough.
    wait: Option<u64>,
    need: Need,
}

impl Prediction {
    /// Whether it is enough.
    pub(super) fn is_safe(&self) -> bool {
        self.percentage >= self.need.percentage
    }

    /// `HOST  JOB  PERCENTAGE  DURATION`
    fn kept(&self) -> String {
        let Prediction { host, job, percentage, need, .. } = self;
        format!("{host}\t{job}\t{percentage:.2}\t{}", need.span.seconds)
    }
}

/// `HOST  JOB  PREDICTED_SLA  SAFE?  PREDICTED_SAFE_IN`
impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Prediction { host, job, percentage, .. } = self;
        let safe = if self.is_safe() { "True" } else { "False" };
        write!(f, "{host}\t{job}\t{percentage:.2}\t{safe}\t")?;
        match self.wait {
            Some(seconds) => write!(f, "{seconds}"),
            None => f.write_str("n/a"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use aurora_api::api::{AssignedTask, ScheduleStatus, TaskConfig, TaskEvent};

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn task(name: &str, instance: i32, host: &str, uptime: u64) -> ScheduledTask {
        let job = JobKey::parse(&format!("west/web/prod/{name}")).unwrap();
        let config = TaskConfig { job: Some(to_api(&job)), ..Default::default() };
        let running = TaskEvent {
            timestamp: Some((NOW - uptime) as i64 * 1000),
            status: Some(ScheduleStatus::RUNNING),
            ..Default::default()
        };
        ScheduledTask {
            assigned_task: Some(AssignedTask {
                task: Some(config),
                slave_host: Some(host.to_owned()),
                instance_id: Some(instance),
                ..Default::default()
            }),
            task_events: Some(vec![running]),
            ..Default::default()
        }
    }

    fn domain(min_instances: usize) -> Domain {
        let tasks = vec![
            task("big", 0, "a", 100),
            task("big", 1, "a", 100),
            task("big", 2, "b", 100),
            task("big", 3, "c", 20),
            task("small", 0, "b", 100),
        ];
        Domain::of("west", tasks, min_instances)
    }

    fn predict(domain: &Domain, group: &[&str], percent: &str) -> Vec<String> {
        let group = group.iter().map(|host| (*host).to_owned()).collect();
        let need = Need::parse(percent, "1m").unwrap();
        domain.predict(&group, NOW, |_| need).iter().map(Prediction::to_string).collect()
    }

    #[test]
    fn predictions() {
        let big = domain(2);
        assert_eq!(predict(&big, &["a"], "50"), ["a\twest/web/prod/big\t25.00\tFalse\t40"]);
        assert_eq!(predict(&big, &["a"], "75"), ["a\twest/web/prod/big\t25.00\tFalse\tn/a"]);
        assert_eq!(predict(&big, &["c"], "75"), ["c\twest/web/prod/big\t75.00\tTrue\t0"]);
        assert_eq!(
            predict(&big, &["a", "b", "nowhere"], "25"),
            ["a\twest/web/prod/big\t0.00\tFalse\t40", "b\twest/web/prod/big\t0.00\tFalse\t40"]
        );
        assert_eq!(predict(&big, &["nowhere"], "25"), [""; 0]);
        assert_eq!(
            predict(&domain(1), &["b"], "50"),
            ["b\twest/web/prod/big\t50.00\tTrue\t0", "b\twest/web/prod/small\t0.00\tFalse\tn/a"]
        );
    }

    #[test]
    fn groups() {
        let hosts: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        assert_eq!(Grouping::ByHost.groups(&hosts).len(), 2);
        assert_eq!(Grouping::None.groups(&hosts), [hosts]);
        assert!(Grouping::None.groups(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn lines_of_overrides() {
        let needs = overrides("west/web/prod/www 50 1m\n\n  west/web/prod/x\t99.5 1h \n").unwrap();
        assert_eq!(needs.len(), 2);
        for (text, why) in [
            ("west/web/prod/www 50", "line 1: expected"),
            ("\nweb 50 1m", "line 2: \"web\" is no job key"),
            ("west/web/prod/www 0 1m", "Invalid percentage 0"),
            ("west/web/prod/www 50 1x", "Invalid time span: 1x"),
        ] {
            assert!(overrides(text).unwrap_err().contains(why), "{text}");
        }
    }
}
