//! Maintenance of agents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_api::api::aurora_admin::{
    DrainHosts, DrainHostsArgs, EndMaintenance, EndMaintenanceArgs, MaintenanceStatus,
    MaintenanceStatusArgs, SlaDrainHosts, SlaDrainHostsArgs, StartMaintenance,
    StartMaintenanceArgs,
};
use aurora_api::api::{
    self, HostStatus, Hosts, MaintenanceMode, PercentageSlaPolicy, Response, SlaPolicy,
};
use clap::Subcommand;

use super::sla::{Domain, Grouping, Need, Prediction};
use super::{answered, refusal};
use crate::context::Context;
use crate::exit::Failure;
use crate::uptime::Span;
use crate::world::Program;

/// Pause between two looks at hosts that are drained.
const PAUSE: Duration = Duration::from_secs(5);

/// So long hosts may take to be drained.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// What jobs keep while hosts are drained, unless somebody says otherwise.
const PERCENTAGE: &str = "95";
const DURATION: &str = "30m";

/// Smaller jobs are drained without being asked.
const MIN_INSTANCES: usize = 20;

/// Which hosts.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub(super) struct Selection {
    /// A file with the names of hosts, one in a line
    #[arg(long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Names of hosts
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    hosts: Vec<String>,
}

impl Selection {
    /// The names of the hosts.
    ///
    /// # Errors
    /// None are given, or in two ways.
    pub(super) fn read(self) -> Result<BTreeSet<String>, Failure> {
        match (self.filename, self.hosts.is_empty()) {
            (Some(file), true) => {
                let hosts = lines(&text(&file)?);
                match hosts.is_empty() {
                    true => Err(refusal(format!("There are no hosts in {}", file.display()))),
                    false => Ok(hosts),
                }
            }
            (None, false) => Ok(self.hosts.into_iter().collect()),
            _ => Err(refusal("Please specify either --filename or --hosts")),
        }
    }
}

/// The content of a file.
///
/// # Errors
/// It cannot be read.
pub(super) fn text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| refusal(format!("Cannot read {}: {error}", file.display())))
}

/// The lines of a text that say something.
pub(super) fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Commands about the maintenance of hosts.
#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
pub(super) enum Verb {
    /// Marks hosts for maintenance: tasks are put there only if there is no other place
    ///
    /// Mark all hosts that are to be drained before draining the first, so that what runs there does
    /// not move from one to the next.
    HostDeactivate {
        #[command(flatten)]
        hosts: Selection,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Ends the maintenance of hosts: tasks may be put there again
    HostActivate {
        #[command(flatten)]
        hosts: Selection,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Prints the maintenance of hosts
    HostStatus {
        #[command(flatten)]
        hosts: Selection,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
    /// Ends everything that runs on hosts, group by group, and keeps it away; sla_host_drain is
    /// better at it
    ///
    /// A group is left alone if a job of 20 instances or more would keep less than 95 % of them up
    /// for 30 minutes.
    HostDrain(Drain),
    /// Has the scheduler end everything that runs on hosts when the SLA of its jobs allows, and keep
    /// it away
    SlaHostDrain {
        #[command(flatten)]
        hosts: Selection,
        /// How many instances of jobs without a policy of their own have to be up
        #[arg(long, value_name = "PERCENTAGE", default_value = PERCENTAGE)]
        default_percentage: String,
        /// For how long
        #[arg(long, value_name = "DURATION", default_value = DURATION)]
        default_duration: String,
        /// After this long what still runs is ended whatever the SLA
        #[arg(long, value_name = "DURATION", default_value = "7d")]
        force_drain_timeout: String,
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
    },
}

/// The options of `host_drain`.
#[derive(Debug, clap::Args)]
#[command(rename_all = "snake_case")]
pub(super) struct Drain {
    #[command(flatten)]
    hosts: Selection,
    /// A program to run for each host that was drained, with its name
    #[arg(long, value_name = "PATH")]
    post_drain_script: Option<String>,
    /// Which hosts are drained together: by_host or none (all)
    #[arg(long, value_name = "GROUPING", default_value = "by_host")]
    grouping: String,
    /// Another percentage than 95; all three are needed
    #[arg(long, value_name = "PERCENTAGE")]
    override_percentage: Option<String>,
    /// Another time than 30 minutes
    #[arg(long, value_name = "DURATION")]
    override_duration: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    override_reason: Option<String>,
    /// A file for the names of hosts that were not drained
    #[arg(long, value_name = "FILE")]
    unsafe_hosts_file: Option<PathBuf>,
    /// The cluster
    #[arg(value_name = "CLUSTER")]
    cluster: String,
}

impl Verb {
    /// Runs the command.
    ///
    /// # Errors
    /// Its parameters make no sense, or the scheduler refuses.
    pub(super) fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        match self {
            Verb::HostDeactivate { hosts, cluster } => {
                let hosts = hosts.read()?;
                start(context, &cluster, &hosts).map(|_| ())
            }
            Verb::HostActivate { hosts, cluster } => {
                let hosts = hosts.read()?;
                end(context, &cluster, &hosts)
            }
            Verb::HostStatus { hosts, cluster } => {
                let hosts = hosts.read()?;
                let response = status(context, &cluster, &hosts)?;
                answered(context, &response)?;
                for (host, mode) in statuses(response) {
                    context.info(format_args!("{host} is in state: {mode}"));
                }
                Ok(())
            }
            Verb::HostDrain(drain) => drain.run(context),
            Verb::SlaHostDrain {
                hosts,
                default_percentage,
                default_duration,
                force_drain_timeout,
                cluster,
            } => {
                let need = Need::parse(&default_percentage, &default_duration).map_err(refusal)?;
                let timeout = Span::parse(&force_drain_timeout).map_err(refusal)?;
                let hosts = hosts.read()?;
                let all = listed(&hosts);
                context.info(format_args!("Asking scheduler to drain tasks by SLA on: {all}"));
                let args = SlaDrainHostsArgs {
                    hosts: Some(named(&hosts)),
                    default_sla_policy: Some(SlaPolicy::PercentageSlaPolicy(PercentageSlaPolicy {
                        percentage: Some(need.percentage.into()),
                        duration_secs: Some(seconds(need.span)),
                        ..Default::default()
                    })),
                    timeout_secs: Some(seconds(timeout)),
                    ..Default::default()
                };
                let response = context.call::<SlaDrainHosts>(&cluster, &args)?;
                answered(context, &response)
            }
        }
    }
}

fn seconds(span: Span) -> i64 {
    i64::try_from(span.seconds).unwrap_or(i64::MAX)
}

fn named(hosts: &BTreeSet<String>) -> Hosts {
    Hosts { host_names: Some(hosts.clone()), ..Default::default() }
}

/// Hosts in one line.
fn listed(hosts: &BTreeSet<String>) -> String {
    hosts.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// The hosts in an answer, each with its maintenance, by name.
fn statuses(response: Response) -> Vec<(String, MaintenanceMode)> {
    let found = match response.result {
        Some(api::Result::StartMaintenanceResult(found)) => found.statuses,
        Some(api::Result::DrainHostsResult(found)) => found.statuses,
        Some(api::Result::MaintenanceStatusResult(found)) => found.statuses,
        Some(api::Result::EndMaintenanceResult(found)) => found.statuses,
        _ => None,
    };
    let of = |status: HostStatus| Some((status.host?, status.mode?));
    found.unwrap_or_default().into_iter().filter_map(of).collect()
}

/// Marks hosts; returns those that the scheduler knows.
fn start(
    context: &mut Context<'_>,
    cluster: &str,
    hosts: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    context.info(format_args!("Starting maintenance for: {}", listed(hosts)));
    let args = StartMaintenanceArgs { hosts: Some(named(hosts)), ..Default::default() };
    let response = context.call::<StartMaintenance>(cluster, &args)?;
    answered(context, &response)?;
    let known: BTreeSet<String> = statuses(response).into_iter().map(|(host, _)| host).collect();
    let unknown: BTreeSet<String> = hosts.difference(&known).cloned().collect();
    if !unknown.is_empty() {
        let unknown = listed(&unknown);
        context.warn(format_args!("Skipping maintenance for unknown hosts: {unknown}"));
    }
    Ok(known)
}

fn end(context: &mut Context<'_>, cluster: &str, hosts: &BTreeSet<String>) -> Result<(), Failure> {
    context.info(format_args!("Ending maintenance for: {}", listed(hosts)));
    let args = EndMaintenanceArgs { hosts: Some(named(hosts)), ..Default::default() };
    let response = context.call::<EndMaintenance>(cluster, &args)?;
    answered(context, &response)?;
    let response = status(context, cluster, hosts)?;
    for (host, mode) in statuses(response) {
        if mode != MaintenanceMode::NONE {
            context.warn(format_args!("{host} is still in state: {mode}"));
        }
    }
    Ok(())
}

fn status(
    context: &mut Context<'_>,
    cluster: &str,
    hosts: &BTreeSet<String>,
) -> Result<Response, Failure> {
    context.info(format_args!("Maintenance status for: {}", listed(hosts)));
    let args = MaintenanceStatusArgs { hosts: Some(named(hosts)), ..Default::default() };
    context.call::<MaintenanceStatus>(cluster, &args)
}

impl Drain {
    fn run(self, context: &mut Context<'_>) -> Result<(), Failure> {
        let grouping = match &*self.grouping {
            "by_host" => Grouping::ByHost,
            "none" => Grouping::None,
            other => {
                return Err(refusal(format!(
                    "Unknown grouping function {other}. Must be one of: by_host, none"
                )));
            }
        };
        let need = self.need()?;
        let hosts = self.hosts.read()?;
        if let (Some(_), Some(reason)) = (&self.override_percentage, &self.override_reason) {
            let hosts = listed(&hosts);
            context.warn(format_args!(
                "Default SLA values (percentage: {PERCENTAGE}, duration: 30 mins) are overridden \
                 for the following hosts: {hosts}. New percentage: {:?}, duration: {}, override \
                 reason: {reason}",
                need.percentage, need.span
            ));
        }
        let cluster = &self.cluster;
        let known = start(context, cluster, &hosts)?;
        let mut left = BTreeSet::new();
        for group in grouping.groups(&known) {
            left.extend(drain_group(context, cluster, &group, need, &self.post_drain_script)?);
        }
        if left.is_empty() {
            return Ok(());
        }
        context.info(
            "The following hosts WERE NOT DRAINED due to failed SLA check or external failures:",
        );
        let text: String = left.iter().map(|host| format!("{host}\n")).collect();
        context.print(&text);
        if let Some(file) = &self.unsafe_hosts_file {
            std::fs::write(file, &text)
                .map_err(|error| refusal(format!("Cannot write {}: {error}", file.display())))?;
            context.info(format_args!("Written unsafe host names into: {}", file.display()));
        }
        Ok(())
    }

    /// What jobs have to keep.
    fn need(&self) -> Result<Need, Failure> {
        let Drain { override_percentage, override_duration, override_reason, .. } = self;
        match (override_percentage, override_duration, override_reason) {
            (None, None, None) => Need::parse(PERCENTAGE, DURATION).map_err(refusal),
            (Some(percent), Some(span), Some(_)) => Need::parse(percent, span).map_err(refusal),
            _ => Err(refusal(
                "All --override_* options are required when attempting to override default SLA \
                 values.",
            )),
        }
    }
}

/// Drains hosts if their jobs can bear it; returns those that were not.
fn drain_group(
    context: &mut Context<'_>,
    cluster: &str,
    group: &BTreeSet<String>,
    need: Need,
    script: &Option<String>,
) -> Result<BTreeSet<String>, Failure> {
    let all = listed(group);
    context.info(format_args!("Beginning SLA check for {all}"));
    let domain = Domain::ask(context, cluster, Some(group), MIN_INSTANCES)?;
    let now = context.world.now().as_secs();
    let mut predictions = domain.predict(group, now, |_| need);
    predictions.retain(|prediction| !prediction.is_safe());
    if !predictions.is_empty() {
        context.warn(format_args!(
            "Some hosts did not pass SLA check and will not be drained! Skipping hosts: {all}"
        ));
        predictions.iter().for_each(|prediction: &Prediction| context.say(prediction));
        return Ok(group.clone());
    }
    context.info("All hosts passed SLA check.");
    context.info(format_args!("Draining tasks on: {all}"));
    let args = DrainHostsArgs { hosts: Some(named(group)), ..Default::default() };
    let response = context.call::<DrainHosts>(cluster, &args)?;
    answered(context, &response)?;
    let mut left = wait_for_drained(context, cluster, group)?;
    if let Some(script) = script {
        for host in group.difference(&left.clone()) {
            let program = Program::new(script, [host.as_str()]);
            match context.world.run(&program) {
                Ok(0) => {}
                Ok(code) => {
                    context.warn(format_args!("{script} failed for {host} with exit code {code}"));
                    left.insert(host.clone());
                }
                Err(error) => return Err(refusal(format!("Cannot run {script}: {error}"))),
            }
        }
    }
    Ok(left)
}

/// Waits until hosts are drained; returns those that are not after a while.
fn wait_for_drained(
    context: &mut Context<'_>,
    cluster: &str,
    group: &BTreeSet<String>,
) -> Result<BTreeSet<String>, Failure> {
    let mut left = group.clone();
    let start = context.world.now();
    while !left.is_empty() {
        if context.world.now().saturating_sub(start) >= MAX_WAIT {
            let minutes = MAX_WAIT.as_secs() / 60;
            let left = listed(&left);
            context.warn(format_args!("Not drained within {minutes} minutes: {left}"));
            break;
        }
        context.info(format_args!("Waiting for hosts to be in DRAINED: {}", listed(&left)));
        context.world.sleep(PAUSE)?;
        let response = status(context, cluster, &left)?;
        answered(context, &response)?;
        for (host, mode) in statuses(response) {
            if mode == MaintenanceMode::DRAINED {
                left.remove(&host);
            }
        }
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file() {
        let hosts = lines("b.example\n\n  a.example \r\nb.example");
        assert_eq!(listed(&hosts), "a.example, b.example");
        assert_eq!(listed(&lines("\n \n")), "");
    }
}
