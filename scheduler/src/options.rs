//! What the flags ask for, in the terms of those who do it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mesos_scheduler::{Credentials, Framework, Masters};
use serde_json::Value as Json;

use crate::api::validate::{Environments, Rules};
use crate::core::name::Text;
use crate::core::resources::Bag;
use crate::core::settings::{Bounds, OfferOrder, Settings, Tier, Tiers};
use crate::flags::{FlagError, Flags};
use crate::taskinfo;
use crate::taskinfo::executor::{self, Executors, Thermos};

/// What the flags ask for.
#[derive(Debug)]
pub struct Options {
    /// Who this scheduler is for clients.
    pub identity: Identity,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Site whose pages may use `/api`.
    pub cors: Option<String>,
    /// How often variables are noted.
    pub sampling_interval: Duration,
    /// How long what was noted is kept.
    pub sampling_period: Duration,
    /// Calls that are handled at the same time.
    pub workers: usize,
    /// What the core decides by.
    pub settings: Settings,
    /// What jobs may be.
    pub rules: Rules,
    /// What Mesos is told of tasks.
    pub tasks: taskinfo::Settings,
    /// Where the masters are.
    pub masters: Masters,
    /// What Mesos is told of this scheduler; id and addresses come later.
    pub framework: Framework,
    /// The connection to Mesos.
    pub driver: mesos_scheduler::Options,
    /// How long Mesos may take to accept the scheduler.
    pub max_registration_delay: Duration,
    /// The log.
    pub log: replicated_log::Options,
    /// Time between snapshots of the log, beside those by size.
    pub snapshot_interval: Duration,
}

/// Who a scheduler is for clients.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the cluster.
    pub cluster: String,
    /// What links to statistics begin with.
    pub stats_url_prefix: String,
    /// Host name that others are given.
    pub host: String,
    /// `http`, or `https` behind a proxy.
    pub scheme: String,
}

impl Options {
    /// Understands flags.
    pub fn new(flags: &Flags) -> Result<Options, FlagError> {
        let mechanism = flags.text("http_authentication_mechanism").unwrap_or("NONE");
        if mechanism != "NONE" {
            let problem = format!(
                "{mechanism} is not in this version, and without it everybody would be let in; put \
                 a proxy in front that authenticates"
            );
            return Err(FlagError::new("http_authentication_mechanism", problem));
        }
        let (listen, host) = addresses(flags)?;
        let executors = executors(flags)?;
        let cluster = flags.needed("cluster_name")?;
        let credentials = credentials(flags)?;
        Ok(Options {
            identity: Identity {
                cluster: cluster.to_owned(),
                stats_url_prefix: flags.text("viz_job_url_prefix").unwrap_or_default().to_owned(),
                host: host.clone(),
                scheme: flags.text("serverset_endpoint_name").unwrap_or("http").to_owned(),
            },
            listen,
            cors: flags.text("enable_cors_for").map(str::to_owned),
            sampling_interval: flags.time("stat_sampling_interval"),
            sampling_period: flags.time("stat_retention_period"),
            workers: flags.count("async_worker_threads"),
            settings: settings(flags, &executors)?,
            rules: Options::rules(flags)?,
            tasks: taskinfo::Settings {
                executors,
                cluster: cluster.to_owned(),
                discovery: flags.is_on("populate_discovery_info"),
                revocable_cpus: flags.is_on("enable_revocable_cpus"),
                revocable_ram: flags.is_on("enable_revocable_ram"),
            },
            masters: Masters::parse(flags.needed("mesos_master_address")?)
                .map_err(|error| FlagError::new("mesos_master_address", error.to_string()))?,
            framework: framework(flags, &host, credentials.as_ref())?,
            driver: mesos_scheduler::Options {
                credentials,
                max_waiting: flags.count("max_status_update_batch_size"),
                ..mesos_scheduler::Options::default()
            },
            max_registration_delay: flags.time("max_registration_delay"),
            log: log(flags)?,
            snapshot_interval: flags.time("dlog_snapshot_interval"),
        })
    }

    /// What jobs may be.
    pub fn rules(flags: &Flags) -> Result<Rules, FlagError> {
        let pattern = flags.text("allowed_job_environments").unwrap_or_default();
        let environments = Environments::new(pattern)
            .map_err(|error| FlagError::new("allowed_job_environments", error.to_string()))?;
        let containers = flags.list("allowed_container_types");
        let allowed = |name: &str| containers.iter().any(|kind| kind == name);
        let mut parameters = Vec::new();
        for item in flags.list("default_docker_parameters") {
            match item.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
            {
                Some((name, value)) => parameters.push((name.to_owned(), value.to_owned())),
                None => {
                    let problem = format!("must be name=value, and {item:?} is not");
                    return Err(FlagError::new("default_docker_parameters", problem));
                }
            }
        }
        let executors = executors(flags)?;
        Ok(Rules {
            environments,
            tiers: tiers(flags)?,
            executors: executors.names().map(str::to_owned).collect(),
            mesos_containers: allowed("MESOS"),
            docker_containers: allowed("DOCKER"),
            docker_parameters: flags.is_on("allow_docker_parameters"),
            default_docker_parameters: parameters,
            docker_needs_executor: flags.is_on("require_docker_use_executor"),
            fetcher: flags.is_on("enable_mesos_fetcher"),
            volumes: flags.is_on("allow_container_volumes"),
            gpus: flags.is_on("allow_gpu_resource"),
            sla_for_all: flags.is_on("sla_aware_kill_non_prod"),
            sla_instances: flags.int("min_required_instances_for_sla_check"),
            sla_seconds: flags.millis("max_sla_duration_secs") / 1000,
        })
    }
}

/// Where to listen, and which host others are given.
///
/// Unlike the original nothing but loopback is open unless somebody asks for it: with `-ip`, or
/// with `-hostname`, which is of use only to others.
fn addresses(flags: &Flags) -> Result<(SocketAddr, String), FlagError> {
    let port = u16::try_from(flags.int("http_port"))
        .map_err(|_| FlagError::new("http_port", "must not be more than 65535"))?;
    let ip = flags.text("ip").and_then(|ip| ip.parse::<IpAddr>().ok());
    let hostname = flags.text("hostname");
    let listen = match (ip, hostname) {
        (Some(ip), _) => ip,
        (None, Some(_)) => Ipv4Addr::UNSPECIFIED.into(),
        (None, None) => Ipv4Addr::LOCALHOST.into(),
    };
    let host = match hostname {
        Some(name) => name.to_owned(),
        None if listen.is_unspecified() => node_name(),
        None => listen.to_string(),
    };
    Ok((SocketAddr::new(listen, port), host))
}

/// Name of this machine.
fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn read(flags: &Flags, name: &str) -> Result<Option<String>, FlagError> {
    let Some(path) = flags.text(name) else { return Ok(None) };
    let text = std::fs::read_to_string(Path::new(path));
    text.map(Some).map_err(|error| FlagError::new(name, format!("failed to read {path}: {error}")))
}

fn credentials(flags: &Flags) -> Result<Option<Credentials>, FlagError> {
    let name = "framework_authentication_file";
    let Some(text) = read(flags, name)? else { return Ok(None) };
    Credentials::parse(&text).map(Some).map_err(|error| FlagError::new(name, error.to_string()))
}

fn framework(
    flags: &Flags,
    host: &str,
    credentials: Option<&Credentials>,
) -> Result<Framework, FlagError> {
    let text = |name| flags.text(name).unwrap_or_default().to_owned();
    let announce = flags.is_on("framework_announce_principal");
    if announce && credentials.is_none() {
        let problem = "needs -framework_authentication_file, which names the principal";
        return Err(FlagError::new("framework_announce_principal", problem));
    }
    Ok(Framework {
        id: None,
        name: text("framework_name"),
        user: text("executor_user"),
        principal: credentials.filter(|_| announce).map(|c| c.principal.clone()),
        role: flags.text("mesos_role").map(str::to_owned),
        failover_timeout: flags.time("framework_failover_timeout"),
        hostname: Some(host.to_owned()),
        webui_url: None,
        revocable: flags.is_on("receive_revocable_resources"),
        gpus: flags.is_on("allow_gpu_resource"),
        partition_aware: flags.is_on("partition_aware"),
    })
}

fn log(flags: &Flags) -> Result<replicated_log::Options, FlagError> {
    let path = PathBuf::from(flags.needed("native_log_file_path")?);
    let mut options = replicated_log::Options::new(path);
    options.quorum = flags.count("native_log_quorum_size") as u64;
    Ok(options)
}

/// What the core decides by.
fn settings(flags: &Flags, executors: &Executors) -> Result<Settings, FlagError> {
    let bounds = |initial, max| {
        let bounds = Bounds { initial: flags.millis(initial), max: flags.millis(max) };
        let problem = || FlagError::new(initial, format!("must not be more than -{max}"));
        if bounds.initial > bounds.max { Err(problem()) } else { Ok(bounds) }
    };
    let order = flags.list("offer_order").iter().filter_map(|word| {
        Some(match word.as_str() {
            "CPU" => OfferOrder::Cpu,
            "MEMORY" => OfferOrder::Memory,
            "DISK" => OfferOrder::Disk,
            "REVOCABLE_CPU" => OfferOrder::RevocableCpu,
            "RANDOM" => OfferOrder::Random,
            _ => return None,
        })
    });
    let offer_order: Vec<_> = order.collect();
    if offer_order.len() > MAX_ORDERS {
        let problem = format!("must not have more than {MAX_ORDERS} words");
        return Err(FlagError::new("offer_order", problem));
    }
    Ok(Settings {
        scheduler: node_name().into(),
        executors: overheads(executors),
        tiers: tiers(flags)?,
        max_tasks_per_job: flags.count("max_tasks_per_job"),
        max_status_batch: flags.count("max_status_update_batch_size"),
        max_rounds_per_second: flags.number("max_schedule_attempts_per_sec"),
        max_rounds_per_transaction: flags.count("scheduling_max_batch_size"),
        max_tasks_per_round: flags.count("max_tasks_per_schedule_attempt"),
        // A part of a millisecond is one: 0 would be a group that never rests.
        first_schedule_delay: flags.millis("first_schedule_delay").max(1),
        schedule_penalty: bounds("initial_schedule_penalty", "max_schedule_penalty")?,
        max_startup_delay: flags.millis("max_reschedule_task_delay_on_startup"),
        flapping_threshold: flags.millis("flapping_task_threshold"),
        flapping_penalty: bounds("initial_flapping_task_delay", "max_flapping_task_delay")?,
        hold_offers_forever: flags.is_on("hold_offers_forever"),
        min_offer_hold: flags.millis("min_offer_hold_time"),
        offer_hold_jitter: flags.millis("offer_hold_jitter_window"),
        offer_filter: flags.millis("offer_filter_duration"),
        unavailability_threshold: flags.millis("unavailability_threshold"),
        offer_order,
        revocable_cpus: flags.is_on("enable_revocable_cpus"),
        revocable_ram: flags.is_on("enable_revocable_ram"),
        reservation_hold: flags.millis("offer_reservation_duration"),
        affinity_hold: flags.millis("update_affinity_reservation_hold_time"),
        transient_timeout: flags.millis("transient_task_state_timeout"),
        kill_retry: flags.millis("initial_task_kill_retry_interval"),
        history_age: flags.millis("history_prune_threshold"),
        history_per_job: flags.count("history_max_per_job_threshold"),
        history_min_age: flags.millis("history_min_retention_threshold"),
        reconcile_delay: flags.millis("reconciliation_initial_delay"),
        reconcile_explicit: flags.millis("reconciliation_explicit_interval"),
        reconcile_implicit: flags.millis("reconciliation_implicit_interval"),
        reconcile_spread: flags.millis("reconciliation_schedule_spread"),
        reconcile_batch: flags.count("reconciliation_explicit_batch_size"),
        reconcile_batch_interval: flags.millis("reconciliation_explicit_batch_interval"),
    })
}

/// Criteria that the core has room for.
const MAX_ORDERS: usize = 5;

/// What each executor needs besides the task, by its name.
fn overheads(executors: &Executors) -> BTreeMap<Text, Bag> {
    let all = executors.names().filter_map(|name| Some((name, executors.get(name)?)));
    all.map(|(name, executor)| (name.into(), executor.overhead())).collect()
}

/// The executors that tasks can name.
fn executors(flags: &Flags) -> Result<Executors, FlagError> {
    let wrong =
        |flag: &'static str| move |error: executor::Error| FlagError::new(flag, error.to_string());
    let mounts = flags.list("global_container_mounts").iter();
    let mounts = mounts.map(|text| executor::mount(text)).collect::<Result<_, _>>();
    let thermos = Thermos {
        path: flags.needed("thermos_executor_path")?.to_owned(),
        files: flags.list("thermos_executor_resources").to_vec(),
        flags: flags.text("thermos_executor_flags").map(str::to_owned),
        home_in_sandbox: flags.is_on("thermos_home_in_sandbox"),
        cpus: flags.number("thermos_executor_cpu"),
        ram_mb: flags.data("thermos_executor_ram") as f64 / f64::from(1 << 20),
        mounts: mounts.map_err(wrong("global_container_mounts"))?,
    };
    let thermos = thermos.executor().map_err(wrong("thermos_executor_path"))?;
    let custom = read(flags, "custom_executor_config")?;
    Executors::new(thermos, custom.as_deref()).map_err(wrong("custom_executor_config"))
}

/// The tiers of `-tier_config`, or the usual ones.
fn tiers(flags: &Flags) -> Result<Tiers, FlagError> {
    let name = "tier_config";
    match read(flags, name)? {
        Some(text) => parse_tiers(&text).map_err(|problem| FlagError::new(name, problem)),
        None => Ok(Tiers::default()),
    }
}

/// Reads `{"default": NAME, "tiers": {NAME: {"preemptible": …, "revocable": …}, …}}`.
fn parse_tiers(text: &str) -> Result<Tiers, String> {
    let json: Json = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    let object = json.as_object().ok_or("must be a JSON object with default and tiers")?;
    if let Some(name) = object.keys().find(|name| !matches!(name.as_str(), "default" | "tiers")) {
        return Err(format!("has a property {name:?}; default and tiers are all there are"));
    }
    let default = object.get("default").and_then(Json::as_str).filter(|name| !name.is_empty());
    let default = default.ok_or("must have default, the name of a tier")?;
    let all = object.get("tiers").and_then(Json::as_object).filter(|tiers| !tiers.is_empty());
    let mut tiers = BTreeMap::new();
    for (name, settings) in all.ok_or("must have tiers, an object with at least one of them")? {
        let settings = settings.as_object().ok_or_else(|| format!("tier {name:?} is no object"))?;
        let mut tier = Tier::default();
        for (property, value) in settings {
            let place = match property.as_str() {
                "preemptible" => &mut tier.preemptible,
                "revocable" => &mut tier.revocable,
                _ => {
                    return Err(format!(
                        "tier {name:?} has a property {property:?}; preemptible and revocable are all \
                     there are"
                    ));
                }
            };
            *place = value
                .as_bool()
                .ok_or_else(|| format!("tier {name:?}: {property} must be true or false"))?;
        }
        tiers.insert(Text::from(&**name), tier);
    }
    if !tiers.contains_key(default) {
        return Err(format!("default is {default:?}, which is none of the tiers"));
    }
    Ok(Tiers { default: default.into(), tiers })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [&str; 4] = [
        "-cluster_name=c",
        "-mesos_master_address=h:5050",
        "-native_log_file_path=/l",
        "-thermos_executor_path=/x/thermos_executor",
    ];

    fn options(more: &[&str]) -> Result<Options, String> {
        let line = NEEDED.iter().chain(more).map(|flag| (*flag).to_owned());
        let flags = Flags::parse(line).map_err(|error| error.to_string())?;
        Options::new(&flags).map_err(|error| error.to_string())
    }

    /// The flags' defaults are those of the core.
    #[test]
    fn defaults() {
        let options = options(&[]).unwrap();
        let mut settings = options.settings;
        let core = Settings::default();
        settings.scheduler = core.scheduler.clone();
        assert_eq!(format!("{settings:?}"), format!("{core:?}"));
        assert_eq!(options.identity.cluster, "c");
        assert_eq!(options.framework.failover_timeout, Duration::from_secs(21 * 86_400));
        assert_eq!((options.log.quorum, options.workers), (1, 8));
    }

    #[test]
    fn only_loopback_unless_asked() {
        for (flags, listen, host) in [
            (&[][..], "127.0.0.1:0", Some("127.0.0.1")),
            (&["-http_port=8081"], "127.0.0.1:8081", Some("127.0.0.1")),
            (&["-ip=10.0.0.1"], "10.0.0.1:0", Some("10.0.0.1")),
            (&["-ip=10.0.0.1", "-hostname=a.b"], "10.0.0.1:0", Some("a.b")),
            (&["-hostname=a.b"], "0.0.0.0:0", Some("a.b")),
            (&["-ip=0.0.0.0"], "0.0.0.0:0", None),
        ] {
            let options = options(flags).unwrap();
            assert_eq!(options.listen.to_string(), listen, "{flags:?}");
            let expected = host.map_or_else(node_name, str::to_owned);
            assert_eq!(options.identity.host, expected, "{flags:?}");
        }
    }

    #[test]
    fn what_cannot_be() {
        for (flags, text) in [
            (&["-http_port=65536"][..], "-http_port: must not be more than 65535"),
            (
                &["-initial_schedule_penalty=2mins"],
                "-initial_schedule_penalty: must not be more than -max_schedule_penalty",
            ),
            (
                &["-default_docker_parameters=a"],
                "-default_docker_parameters: must be name=value, and \"a\" is not",
            ),
            (
                &["-framework_announce_principal=true"],
                "-framework_announce_principal: needs -framework_authentication_file, which names \
                 the principal",
            ),
            (
                &["-http_authentication_mechanism=BASIC"],
                "-http_authentication_mechanism: BASIC is not in this version, and without it \
                 everybody would be let in; put a proxy in front that authenticates",
            ),
            (
                &["-offer_order=CPU,CPU,CPU,CPU,CPU,CPU"],
                "-offer_order: must not have more than 5 words",
            ),
        ] {
            assert_eq!(options(flags).err().as_deref(), Some(text));
        }
        for missing in NEEDED {
            let line = NEEDED.iter().filter(|flag| **flag != missing);
            let flags = Flags::parse(line.map(|flag| (*flag).to_owned())).unwrap();
            let text = Options::new(&flags).unwrap_err().to_string();
            let name = missing.split('=').next().unwrap();
            assert!(text.starts_with(&format!("{name}: a value must be supplied")), "{text}");
        }
    }

    /// Conformance: configuration 14.
    #[test]
    fn tiers_from_json() {
        let tiers = parse_tiers(
            r#"{"default":"a","tiers":{"a":{},"b":{"preemptible":true,"revocable":true}}}"#,
        );
        let tier = |preemptible, revocable| Tier { preemptible, revocable };
        let expected = [("a", tier(false, false)), ("b", tier(true, true))];
        let expected = expected.map(|(name, tier)| (Text::from(name), tier)).into();
        assert_eq!(tiers, Ok(Tiers { default: "a".into(), tiers: expected }));
        for (text, error) in [
            ("", "is no JSON: "),
            ("[]", "must be a JSON object with default and tiers"),
            (r#"{"tiers":{"a":{}}}"#, "must have default, the name of a tier"),
            (r#"{"default":"","tiers":{"a":{}}}"#, "must have default, the name of a tier"),
            (r#"{"default":"a","tiers":{}}"#, "must have tiers, an object"),
            (r#"{"default":"a","tiers":{"b":{}}}"#, "default is \"a\", which is none of the tiers"),
            (r#"{"default":"a","tiers":{"a":{}},"x":1}"#, "has a property \"x\""),
            (r#"{"default":"a","tiers":{"a":{"x":1}}}"#, "tier \"a\" has a property \"x\""),
            (r#"{"default":"a","tiers":{"a":{"revocable":1}}}"#, "tier \"a\": revocable must be"),
        ] {
            let found = parse_tiers(text).unwrap_err();
            assert!(found.starts_with(error), "{text}: {found}");
        }
    }
}
