//! The command line.
//!
//! One table, [`FLAGS`], says what there is. `-name=value`, `-name value`, with one dash or two, and
//! with `-` for `_`. A flag for something that is true or false may stand alone.
//!
//! Source: the scheduler's flags. Those that have no effect yet are accepted all the same, so that
//! command lines of existing installations start; see [`Flag::later`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

mod value;

pub use value::{Kind, Value};

/// A flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name, without dashes.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is if it is not given, as text.
    pub default: Option<&'static str>,
    /// Accepted and checked, but without effect in this version.
    pub later: bool,
    /// What it is for.
    pub help: &'static str,
}

const fn flag(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Flag {
    Flag { name, kind, default, later: false, help }
}

const fn later(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Flag {
    Flag { name, kind, default, later: true, help }
}

/// All flags.
#[rustfmt::skip]
pub const FLAGS: &[Flag] = &[
    // ------------------------------------------------------------- Identity, network, security
    flag("cluster_name", Kind::Name, None, "name of the cluster, shown to clients; required"),
    later("serverset_path", Kind::Node, None, "path in ZooKeeper for the election of a leader"),
    flag("serverset_endpoint_name", Kind::Name, Some("http"), "scheme of the address that others are given"),
    flag("viz_job_url_prefix", Kind::Text, Some(""), "what links to statistics of jobs begin with"),
    flag("hostname", Kind::Name, None, "host name that others are given; without -ip it also opens all interfaces"),
    flag("http_port", Kind::Int(0), Some("0"), "port of the API and the pages; 0 for any"),
    flag("ip", Kind::Ip, None, "address to listen on; loopback alone without -ip and -hostname"),
    later("zk_endpoints", Kind::Endpoints, None, "servers of ZooKeeper"),
    later("zk_chroot_path", Kind::Node, None, "path in ZooKeeper under which everything is"),
    later("zk_session_timeout", Kind::Time { zero: true }, Some("15secs"), "time after which a session of ZooKeeper is over"),
    later("zk_connection_timeout", Kind::Time { zero: true }, Some("10secs"), "time to connect to ZooKeeper"),
    later("zk_digest_credentials", Kind::Text, None, "user:password for ZooKeeper"),
    later("zk_in_proc", Kind::Bool, Some("false"), "run ZooKeeper inside of this process"),
    flag("enable_cors_for", Kind::Name, None, "web site whose pages may use /api; * for all"),
    flag("http_authentication_mechanism", Kind::Word(&["NONE", "BASIC", "NEGOTIATE"]), Some("NONE"), "how callers prove who they are"),
    later("shiro_realm_modules", Kind::List, Some("INI_AUTHNZ"), "where users and permissions are kept"),
    later("shiro_ini_path", Kind::Text, None, "file of users and permissions"),
    later("shiro_credentials_matcher", Kind::Text, None, "how passwords are compared"),
    later("shiro_after_auth_filter", Kind::Text, None, "what requests pass after authentication"),
    later("kerberos_server_keytab", Kind::Readable, None, "key table of Kerberos"),
    later("kerberos_server_principal", Kind::Text, None, "name in Kerberos"),
    later("kerberos_debug", Kind::Bool, Some("false"), "talk about Kerberos"),
    later("thrift_method_interceptor_modules", Kind::List, Some(""), "what calls pass before they are handled"),
    // -------------------------------------------------------------- Mesos driver and framework
    flag("mesos_master_address", Kind::Name, None, "host:port,… or zk://host:port,…/path of the Mesos masters; required"),
    flag("mesos_driver", Kind::Word(&["SCHEDULER_DRIVER", "V0_DRIVER", "V1_DRIVER"]), Some("SCHEDULER_DRIVER"), "accepted; it is always the v1 HTTP API"),
    flag("framework_name", Kind::Name, Some("Aurora"), "name of the framework in Mesos"),
    flag("executor_user", Kind::Name, Some("root"), "user that executors run as"),
    flag("framework_failover_timeout", Kind::Time { zero: true }, Some("21days"), "how long tasks live on without a scheduler"),
    flag("framework_authentication_file", Kind::Readable, None, "file with aurora_authentication_principal and _secret"),
    flag("framework_announce_principal", Kind::Bool, Some("false"), "tell Mesos the principal as owner of the framework"),
    flag("mesos_role", Kind::Name, None, "role whose reserved resources are used, too"),
    flag("receive_revocable_resources", Kind::Bool, Some("false"), "want resources that Mesos may take back"),
    flag("allow_gpu_resource", Kind::Bool, Some("false"), "want GPUs and let tasks use them"),
    flag("partition_aware", Kind::Bool, Some("false"), "hear of agents that cannot be reached before they are given up"),
    flag("max_registration_delay", Kind::Time { zero: false }, Some("1mins"), "how long Mesos may take to accept this scheduler before it ends"),
    later("max_leading_duration", Kind::Time { zero: false }, Some("1days"), "how long a scheduler leads before it ends"),
    // ---------------------------------------------------------------- Executors and containers
    flag("custom_executor_config", Kind::Readable, None, "JSON file of further executors"),
    flag("thermos_executor_path", Kind::Name, None, "the Thermos executor, as a path or URI that agents can fetch; required"),
    flag("thermos_executor_resources", Kind::List, Some(""), "further files for the sandbox"),
    flag("thermos_executor_flags", Kind::Text, None, "flags of the executor"),
    flag("thermos_home_in_sandbox", Kind::Bool, Some("false"), "set the executor's HOME to the sandbox"),
    flag("thermos_executor_cpu", Kind::Amount, Some("0.25"), "CPUs for the executor, beside those of the task"),
    flag("thermos_executor_ram", Kind::Data, Some("128MB"), "memory for the executor, beside that of the task"),
    flag("global_container_mounts", Kind::List, Some(""), "host:container[:mode] to mount into each container"),
    flag("populate_discovery_info", Kind::Bool, Some("false"), "tell Mesos names and ports of tasks"),
    flag("allowed_container_types", Kind::Words(&["MESOS", "DOCKER"]), Some("MESOS"), "containers that jobs may use"),
    flag("allow_docker_parameters", Kind::Bool, Some("false"), "let jobs have parameters for Docker"),
    flag("default_docker_parameters", Kind::List, Some(""), "name=value for Docker where a job has none"),
    flag("require_docker_use_executor", Kind::Bool, Some("true"), "refuse containers of Docker without an executor"),
    flag("enable_mesos_fetcher", Kind::Bool, Some("false"), "let jobs name files to fetch"),
    flag("allow_container_volumes", Kind::Bool, Some("false"), "let jobs mount volumes"),
    flag("allowed_job_environments", Kind::Regex, Some("^(prod|devel|test|staging\\d*)$"), "environments that jobs may be in"),
    // ---------------------------------------------------------------------- Limits and batches
    flag("max_tasks_per_job", Kind::Int(1), Some("4000"), "instances of a job"),
    later("max_update_instance_failures", Kind::Int(1), Some("20000"), "failures that an update may allow, over all instances"),
    flag("max_status_update_batch_size", Kind::Int(1), Some("1000"), "states of tasks in one transaction"),
    later("max_task_event_batch_size", Kind::Int(1), Some("300"), "events of tasks in one transaction"),
    flag("async_worker_threads", Kind::Int(1), Some("8"), "calls that are handled at the same time"),
    later("async_task_stat_update_interval", Kind::Time { zero: true }, Some("1hrs"), "how often used resources are counted"),
    later("async_slot_stat_update_interval", Kind::Time { zero: true }, Some("1mins"), "how often free places are counted"),
    flag("stat_sampling_interval", Kind::Time { zero: false }, Some("1secs"), "how often statistics are noted"),
    flag("stat_retention_period", Kind::Time { zero: true }, Some("1hrs"), "how long statistics are kept"),
    // ---------------------------------------------------------- Scheduling, offers, preemption
    flag("max_schedule_attempts_per_sec", Kind::Rate, Some("40.0"), "rounds of scheduling per second"),
    flag("scheduling_max_batch_size", Kind::Int(1), Some("64"), "rounds in one transaction"),
    flag("max_tasks_per_schedule_attempt", Kind::Int(1), Some("5"), "tasks of a group in one round"),
    flag("first_schedule_delay", Kind::Time { zero: false }, Some("1ms"), "wait before the first round of a group"),
    flag("initial_schedule_penalty", Kind::Time { zero: false }, Some("1secs"), "wait after the first round that found no place"),
    flag("max_schedule_penalty", Kind::Time { zero: false }, Some("1mins"), "longest wait between two rounds"),
    flag("flapping_task_threshold", Kind::Time { zero: true }, Some("5mins"), "tasks that run shorter than this are flapping"),
    flag("initial_flapping_task_delay", Kind::Time { zero: false }, Some("30secs"), "first wait of a flapping task"),
    flag("max_flapping_task_delay", Kind::Time { zero: false }, Some("5mins"), "longest wait of a flapping task"),
    flag("max_reschedule_task_delay_on_startup", Kind::Time { zero: true }, Some("30secs"), "longest wait of pending tasks after a start"),
    flag("offer_reservation_duration", Kind::Time { zero: true }, Some("3mins"), "how long an agent is kept for a task that tasks were preempted for"),
    flag("hold_offers_forever", Kind::Bool, Some("false"), "never give offers back after a time"),
    flag("min_offer_hold_time", Kind::Time { zero: true }, Some("5mins"), "how long an offer is held"),
    flag("offer_hold_jitter_window", Kind::Time { zero: true }, Some("1mins"), "at most this much longer, by chance"),
    flag("offer_filter_duration", Kind::Time { zero: true }, Some("5secs"), "how long what was given back is not offered again"),
    flag("unavailability_threshold", Kind::Time { zero: true }, Some("6mins"), "how long before Mesos' maintenance a host takes no tasks"),
    flag("offer_order", Kind::Words(&["CPU", "MEMORY", "DISK", "REVOCABLE_CPU", "RANDOM"]), Some("RANDOM"), "what offers are ordered by"),
    later("offer_set_module", Kind::Text, None, "accepted; there is one way to keep offers"),
    later("offer_static_ban_cache_max_size", Kind::Int(0), None, "accepted; what an offer lacks is kept with each group"),
    later("task_assigner_modules", Kind::List, Some(""), "accepted; there is one assigner"),
    flag("tier_config", Kind::Readable, None, "JSON file of tiers"),
    flag("enable_revocable_cpus", Kind::Bool, Some("true"), "CPUs may be revocable"),
    flag("enable_revocable_ram", Kind::Bool, Some("false"), "memory may be revocable"),
    later("enable_preemptor", Kind::Bool, Some("true"), "let tasks preempt others"),
    later("preemption_delay", Kind::Time { zero: false }, Some("3mins"), "age of a waiting task before it may preempt"),
    later("preemption_slot_hold_time", Kind::Time { zero: false }, Some("5mins"), "how long a place for preemption is remembered"),
    later("preemption_slot_search_initial_delay", Kind::Time { zero: false }, Some("3mins"), "wait before the first search for such places"),
    later("preemption_slot_search_interval", Kind::Time { zero: false }, Some("1mins"), "time between two searches"),
    later("preemption_reservation_max_batch_size", Kind::Int(1), Some("5"), "places for a group at once"),
    later("preemption_slot_finder_modules", Kind::List, Some(""), "accepted"),
    // ---------------------- Reconciliation, history, updates, cron, SLA, maintenance, webhooks
    flag("transient_task_state_timeout", Kind::Time { zero: false }, Some("5mins"), "how long a task may be between two lasting states"),
    flag("initial_task_kill_retry_interval", Kind::Time { zero: false }, Some("15secs"), "wait before a kill is sent again"),
    flag("reconciliation_initial_delay", Kind::Time { zero: true }, Some("1mins"), "wait before Mesos is asked for states the first time"),
    flag("reconciliation_explicit_interval", Kind::Time { zero: false }, Some("60mins"), "time between two questions about all tasks"),
    flag("reconciliation_implicit_interval", Kind::Time { zero: false }, Some("60mins"), "time between two questions for all that Mesos knows"),
    flag("reconciliation_schedule_spread", Kind::Time { zero: true }, Some("30mins"), "how far these two are apart"),
    flag("reconciliation_explicit_batch_size", Kind::Int(1), Some("1000"), "tasks in one question"),
    flag("reconciliation_explicit_batch_interval", Kind::Time { zero: false }, Some("5secs"), "time between two questions"),
    flag("history_prune_threshold", Kind::Time { zero: true }, Some("2days"), "how long ended tasks are kept"),
    flag("history_max_per_job_threshold", Kind::Int(0), Some("100"), "how many ended tasks of a job are kept"),
    flag("history_min_retention_threshold", Kind::Time { zero: true }, Some("1hrs"), "how long every ended task is kept"),
    later("job_update_history_per_job_threshold", Kind::Int(0), Some("10"), "job updates"),
    later("job_update_history_pruning_interval", Kind::Time { zero: true }, Some("15mins"), "job updates"),
    later("job_update_history_pruning_threshold", Kind::Time { zero: true }, Some("30days"), "job updates"),
    later("enable_update_affinity", Kind::Bool, Some("false"), "job updates"),
    flag("update_affinity_reservation_hold_time", Kind::Time { zero: true }, Some("3mins"), "how long an agent is kept for an instance that is updated"),
    later("sla_aware_action_max_batch_size", Kind::Int(1), Some("300"), "service levels"),
    later("sla_aware_kill_retry_min_delay", Kind::Time { zero: true }, Some("1mins"), "service levels"),
    later("sla_aware_kill_retry_max_delay", Kind::Time { zero: true }, Some("5mins"), "service levels"),
    later("sla_aware_kill_non_prod", Kind::Bool, Some("false"), "service levels"),
    later("sla_stat_refresh_interval", Kind::Time { zero: false }, Some("1mins"), "service levels"),
    later("sla_prod_metrics", Kind::Words(&["JOB_UPTIMES", "PLATFORM_UPTIME", "MEDIANS"]), Some("JOB_UPTIMES,PLATFORM_UPTIME,MEDIANS"), "service levels"),
    later("sla_non_prod_metrics", Kind::Words(&["JOB_UPTIMES", "PLATFORM_UPTIME", "MEDIANS"]), Some(""), "service levels"),
    later("sla_coordinator_timeout", Kind::Time { zero: false }, Some("1mins"), "service levels"),
    later("max_parallel_coordinated_maintenance", Kind::Int(1), Some("10"), "hosts under maintenance at the same time"),
    flag("min_required_instances_for_sla_check", Kind::Int(0), Some("20"), "instances that a job with an SLA policy must have"),
    flag("max_sla_duration_secs", Kind::Time { zero: false }, Some("2hrs"), "longest time of an SLA policy"),
    later("host_maintenance_polling_interval", Kind::Time { zero: false }, Some("1mins"), "how often hosts under maintenance are looked at"),
    later("cron_scheduler_num_threads", Kind::Int(1), Some("10"), "cron jobs"),
    later("cron_timezone", Kind::Text, Some("GMT"), "cron jobs"),
    later("cron_start_initial_backoff", Kind::Time { zero: true }, Some("5secs"), "cron jobs"),
    later("cron_start_max_backoff", Kind::Time { zero: true }, Some("1mins"), "cron jobs"),
    later("cron_scheduling_max_batch_size", Kind::Int(1), Some("10"), "cron jobs"),
    later("webhook_config", Kind::Readable, None, "JSON file of who is told about changes of tasks"),
    // -------------------------------------------------------------- Replicated log and backups
    flag("native_log_quorum_size", Kind::Int(1), Some("1"), "voters that must have an entry; there is one voter"),
    flag("native_log_file_path", Kind::Name, None, "directory of the log; required"),
    later("native_log_zk_group_path", Kind::Node, None, "where replicas find each other"),
    later("native_log_election_timeout", Kind::Time { zero: true }, Some("15secs"), "time to become the writer of the log"),
    later("native_log_election_retries", Kind::Int(0), Some("20"), "tries to become the writer of the log"),
    later("native_log_read_timeout", Kind::Time { zero: true }, Some("5secs"), "time to read from the log"),
    later("native_log_write_timeout", Kind::Time { zero: true }, Some("3secs"), "time to write to the log"),
    later("dlog_max_entry_size", Kind::Data, Some("512KB"), "accepted; entries are whole transactions"),
    flag("dlog_snapshot_interval", Kind::Time { zero: false }, Some("1hrs"), "time between two snapshots, beside those by size"),
    later("backup_interval", Kind::Time { zero: true }, Some("1hrs"), "time between two backups"),
    later("backup_dir", Kind::Text, None, "directory of backups"),
    later("max_saved_backups", Kind::Int(1), Some("48"), "backups that are kept"),
    // --------------------------------------------------------------------------------- Our own
    flag("local", Kind::Bool, Some("false"), "run a whole cluster on this machine, on loopback: master, agents, executors"),
    flag("work_dir", Kind::Name, None, "directory of -local; one among the temporary files without it"),
];

/// What is wrong with a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError {
    /// The flag, as it was written.
    pub flag: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl FlagError {
    /// A problem with a flag of this name.
    pub fn new(flag: &str, problem: impl Into<String>) -> FlagError {
        FlagError { flag: format!("-{flag}"), problem: problem.into() }
    }
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.flag, self.problem)
    }
}

impl std::error::Error for FlagError {}

/// Flags with their values, the defaults included.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: BTreeMap<&'static str, Value>,
    given: Vec<&'static str>,
}

impl Flags {
    /// Reads a command line, without the name of the program.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Flags, FlagError> {
        let mut flags = Flags::default();
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next() {
            let Some(text) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))
            else {
                let problem = "is no flag; flags are written as -name=value";
                return Err(FlagError { flag: argument, problem: problem.into() });
            };
            let (name, given) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            let flag = find(name)?;
            let value = match given {
                Some(value) => value,
                None if flag.kind == Kind::Bool => {
                    let word = |next: &String| matches!(next.as_str(), "true" | "false");
                    arguments.next_if(word).unwrap_or_else(|| "true".to_owned())
                }
                None => arguments.next().ok_or_else(|| {
                    let problem = format!("needs a value: -{name}={}", flag.kind.sample());
                    FlagError::new(name, problem)
                })?,
            };
            if flags.given.contains(&flag.name) {
                return Err(FlagError::new(name, "is given twice; which one counts is not clear"));
            }
            let value = flag
                .kind
                .parse(&value)
                .map_err(|right| FlagError::new(name, format!("{right}; {value:?} was given")))?;
            flags.given.push(flag.name);
            flags.values.insert(flag.name, value);
        }
        for flag in FLAGS {
            if let Some(default) = flag.default
                && !flags.values.contains_key(flag.name)
            {
                let value = flag.kind.parse(default);
                let value = value.map_err(|right| FlagError::new(flag.name, right))?;
                flags.values.insert(flag.name, value);
            }
        }
        Ok(flags)
    }

    /// Sets a flag that was not given.
    pub fn set_default(&mut self, name: &'static str, value: Value) {
        if !self.given.contains(&name) {
            self.values.insert(name, value);
        }
    }

    /// Was it given?
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains(&name)
    }

    /// Those that were given and have no effect in this version.
    pub fn without_effect(&self) -> impl Iterator<Item = &'static str> + '_ {
        let later = |name: &&str| FLAGS.iter().any(|flag| flag.name == *name && flag.later);
        self.given.iter().copied().filter(later)
    }

    /// A text; `None` if it has neither value nor default.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text that must be given.
    pub fn needed(&self, name: &str) -> Result<&str, FlagError> {
        self.text(name).ok_or_else(|| {
            let sample = find(name).map_or("TEXT", |flag| flag.kind.sample());
            FlagError::new(name, format!("a value must be supplied: -{name}={sample}"))
        })
    }

    /// Is it true?
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(Value::Bool(true)))
    }

    /// A whole number; 0 for none.
    pub fn int(&self, name: &str) -> i64 {
        match self.values.get(name) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    /// A whole number that is not negative.
    pub fn count(&self, name: &str) -> usize {
        usize::try_from(self.int(name)).unwrap_or(0)
    }

    /// A number; 0 for none.
    pub fn number(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        }
    }

    /// A time; 0 for none.
    pub fn time(&self, name: &str) -> Duration {
        match self.values.get(name) {
            Some(Value::Time(time)) => *time,
            _ => Duration::ZERO,
        }
    }

    /// A time in milliseconds.
    pub fn millis(&self, name: &str) -> i64 {
        i64::try_from(self.time(name).as_millis()).unwrap_or(i64::MAX)
    }

    /// An amount of data in bytes; 0 for none.
    pub fn data(&self, name: &str) -> u64 {
        match self.values.get(name) {
            Some(Value::Data(bytes)) => *bytes,
            _ => 0,
        }
    }

    /// The items of a list; none for none.
    pub fn list(&self, name: &str) -> &[String] {
        match self.values.get(name) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// All that have a value, by name, as text. Secrets are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.values.iter().map(|(name, value)| match *name {
            "zk_digest_credentials" => (*name, "(secret)".to_owned()),
            "mesos_master_address" => (*name, without_password(&value.to_string())),
            _ => (*name, value.to_string()),
        })
    }
}

/// `zk://user:password@…` without the password.
fn without_password(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_, rest)) if address.starts_with("zk://") => format!("zk://(secret)@{rest}"),
        _ => address.to_owned(),
    }
}

fn find(name: &str) -> Result<&'static Flag, FlagError> {
    let plain = name.replace('-', "_");
    FLAGS.iter().find(|flag| flag.name == plain).ok_or_else(|| {
        let near = FLAGS.iter().filter(|flag| alike(flag.name, &plain)).map(|flag| flag.name);
        let near: Vec<_> = near.map(|name| format!("-{name}")).collect();
        let hint = if near.is_empty() {
            "-help lists those there are".to_owned()
        } else {
            format!("perhaps {} is meant", near.join(" or "))
        };
        FlagError::new(name, format!("there is no such flag; {hint}"))
    })
}

/// Could one name be the other with a slip? That is, are they equal but for a stretch of up to two
/// letters in each?
fn alike(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let front = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[front..], &other[front..]);
    let back = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    one.len() - back <= 2 && other.len() - back <= 2
}

/// How the program is used.
pub fn usage() -> String {
    let mut text = "\
Usage: aurora-scheduler -cluster_name=NAME -mesos_master_address=HOST:PORT
           -native_log_file_path=DIRECTORY -thermos_executor_path=FILE [-flag=value …]
       aurora-scheduler -local [-work_dir=DIRECTORY] [-flag=value …]

Schedules jobs on Mesos. Clients speak Thrift over HTTP to /api.

Times have a unit: ns us ms secs mins hrs days; sizes BITS Kb Mb Gb BYTES KB MB GB TB PB.
Flags marked * are accepted and have no effect in this version.

"
    .to_owned();
    for flag in FLAGS {
        let Flag { name, kind, default, later, help } = flag;
        let mark = if *later { "*" } else { " " };
        text += &format!(" {mark}-{name}={}\n      {help}", kind.sample());
        match default {
            Some("") | None => text += "\n",
            Some(default) => text += &format!(" [default: {default}]\n"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Flags, String> {
        Flags::parse(line.iter().map(|word| (*word).to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn every_default_is_a_value() {
        let flags = parse(&[]).unwrap();
        for flag in FLAGS {
            assert_eq!(flags.values.contains_key(flag.name), flag.default.is_some(), "{flag:?}");
        }
        assert_eq!(FLAGS.len(), 139);
        let mut names: Vec<_> = FLAGS.iter().map(|flag| flag.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FLAGS.len());
    }

    #[test]
    fn spellings() {
        for line in [
            &["-http_port=8081"][..],
            &["-http_port", "8081"],
            &["--http_port=8081"],
            &["--http-port", "8081"],
            &["-http-port=8081"],
        ] {
            let flags = parse(line).unwrap();
            assert_eq!(flags.int("http_port"), 8081, "{line:?}");
            assert!(flags.is_given("http_port") && !flags.is_given("hostname"));
        }
        for (line, on) in [
            (&["-allow_gpu_resource=true"][..], true),
            (&["-allow_gpu_resource", "true"], true),
            (&["-allow_gpu_resource", "false", "-http_port=1"], false),
            (&["-allow_gpu_resource", "-http_port=1"], true),
            (&["-http_port=1", "-allow_gpu_resource"], true),
        ] {
            assert_eq!(parse(line).unwrap().is_on("allow_gpu_resource"), on, "{line:?}");
        }
        let flags = parse(&["-thermos_executor_flags", "--a=b --c"]).unwrap();
        assert_eq!(flags.text("thermos_executor_flags"), Some("--a=b --c"));
        assert!(
            parse(&["-thermos_executor_resources="])
                .unwrap()
                .list("thermos_executor_resources")
                .is_empty()
        );
    }

    #[test]
    fn errors_name_the_flag_and_what_would_be_right() {
        for (line, text) in [
            (
                &["-http_port=x"][..],
                "-http_port: must be a whole number, at least 0; \"x\" was given",
            ),
            (
                &["-http-port=-1"],
                "-http-port: must be a whole number, at least 0; \"-1\" was given",
            ),
            (&["-http_port"], "-http_port: needs a value: -http_port=N"),
            (&["-http_prt=1"], "-http_prt: there is no such flag; perhaps -http_port is meant"),
            (&["-xyzzy=1"], "-xyzzy: there is no such flag; -help lists those there are"),
            (&["-help"], "-help: there is no such flag; -help lists those there are"),
            (&["word"], "word: is no flag; flags are written as -name=value"),
            (&["-ip=::1", "-ip=::1"], "-ip: is given twice; which one counts is not clear"),
            (
                &["-backup_interval=1h"],
                "-backup_interval: must be a time such as 15secs, with one of the units ns, us, ms, \
                 secs, mins, hrs, days; \"1h\" was given",
            ),
            (
                &["-first_schedule_delay=0ms"],
                "-first_schedule_delay: must be more than 0; \"0ms\" was given",
            ),
        ] {
            assert_eq!(parse(line).err().as_deref(), Some(text));
        }
        let error = parse(&[]).unwrap().needed("cluster_name").unwrap_err();
        assert_eq!(
            error.to_string(),
            "-cluster_name: a value must be supplied: -cluster_name=TEXT"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let flags = parse(&[
            "-zk_digest_credentials=me:hush",
            "-mesos_master_address=zk://me:hush@h:1/mesos",
        ]);
        let text: Vec<_> =
            flags.unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert!(!text.join(" ").contains("hush"));
        assert!(text.contains(&"mesos_master_address=zk://(secret)@h:1/mesos".to_owned()));
    }

    #[test]
    fn any_line_is_read_or_refused() {
        use proptest::prelude::*;
        let word = prop_oneof![
            Just("-".to_owned()),
            Just("--".to_owned()),
            "-{0,2}[a-z_]{0,12}=?[0-9a-zA-Z.,:]{0,9}",
            prop::sample::select(FLAGS).prop_map(|flag| format!("-{}", flag.name)),
            (prop::sample::select(FLAGS), ".{0,9}").prop_map(|(f, v)| format!("-{}={v}", f.name)),
        ];
        proptest!(|(line in prop::collection::vec(word, 0..6))| {
            let _ = Flags::parse(line);
        });
    }

    #[test]
    fn usage_names_every_flag() {
        let text = usage();
        assert!(FLAGS.iter().all(|flag| text.contains(&format!("-{}=", flag.name))));
    }

    #[test]
    fn flags_without_effect_are_marked() {
        let text = usage();
        for flag in FLAGS {
            let mark = if flag.later { " *" } else { "  " };
            assert!(text.contains(&format!("\n{mark}-{}=", flag.name)), "{}", flag.name);
        }
        let flags = parse(&["-zk_in_proc=true", "-http_port=1", "-backup_dir=/b"]).unwrap();
        let named: Vec<_> = flags.without_effect().collect();
        assert_eq!(named, ["zk_in_proc", "backup_dir"]);
    }
}
