use thrift_wire::Double;

use super::*;
use crate::flags::Flags;
use crate::options::Options;

fn rules(flags: &[&str]) -> Rules {
    let flags = flags.iter().chain(&["-thermos_executor_path=/x"]);
    let flags = flags.map(|flag| (*flag).to_owned());
    Options::rules(&Flags::parse(flags).unwrap()).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn job_key(name: &str) -> api::JobKey {
    api::JobKey {
        role: some("www"),
        environment: some("prod"),
        name: some(name),
        ..Default::default()
    }
}

fn minimal() -> api::JobConfiguration {
    let resources =
        [api::Resource::NumCpus(Double(1.0)), api::Resource::RamMb(64), api::Resource::DiskMb(64)];
    let executor = api::ExecutorConfig {
        name: some("AuroraExecutor"),
        data: some("{}"),
        ..Default::default()
    };
    api::JobConfiguration {
        key: Some(job_key("hello")),
        owner: Some(api::Identity { user: some("www"), ..Default::default() }),
        task_config: Some(api::TaskConfig {
            job: Some(job_key("hello")),
            resources: Some(resources.into()),
            executor_config: Some(executor),
            ..Default::default()
        }),
        instance_count: Some(2),
        ..Default::default()
    }
}

fn constraint(name: &str, constraint: api::TaskConstraint) -> api::Constraint {
    api::Constraint { name: some(name), constraint: Some(constraint), ..Default::default() }
}

fn one_of(values: &[&str]) -> api::TaskConstraint {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    let rule = api::ValueConstraint { values: Some(values), ..Default::default() };
    api::TaskConstraint::Value(rule)
}

fn docker(image: Option<&str>, parameters: usize) -> api::Container {
    let parameter =
        api::DockerParameter { name: some("a"), value: some("b"), ..Default::default() };
    api::Container::Docker(api::DockerContainer {
        image: image.map(str::to_owned),
        parameters: Some(vec![parameter; parameters]),
        ..Default::default()
    })
}

type Edit = fn(&mut api::JobConfiguration, &mut api::TaskConfig);

/// What becomes of the smallest job after an edit.
fn edited(flags: &[&str], edit: Edit) -> Result<Job, String> {
    let mut whole = minimal();
    let mut config = whole.task_config.take().unwrap();
    edit(&mut whole, &mut config);
    whole.task_config = Some(config);
    job(&rules(flags), whole).map_err(|error| error.to_string())
}

fn resources(config: &mut api::TaskConfig) -> &mut BTreeSet<api::Resource> {
    config.resources.as_mut().unwrap()
}

/// Conformance: configuration 1, 2.
#[test]
fn what_is_refused() {
    let none: &[&str] = &[];
    let docker_allowed: &[&str] = &["-allowed_container_types=MESOS,DOCKER"];
    let cases: &[(&[&str], Edit, &str)] = &[
        (none, |job, _| job.instance_count = Some(0), "Instance count must be positive."),
        (none, |job, _| job.instance_count = Some(-1), "Instance count must be positive."),
        (none, |job, _| job.instance_count = None, "Instance count must be positive."),
        (none, |job, _| job.key = None, "Job key null is invalid."),
        (none, |job, _| job.key = Some(job_key("a/b")), "Job key www/prod/a/b is invalid."),
        (none, |job, _| job.key.as_mut().unwrap().role = None, "Job key /prod/hello is invalid."),
        (
            none,
            |job, config| {
                for key in [&mut job.key, &mut config.job] {
                    key.as_mut().unwrap().environment = some("production");
                }
            },
            r"Job environment production doesn't match: ^(prod|devel|test|staging\d*)$",
        ),
        (
            none,
            |job, _| job.owner.as_mut().unwrap().user = some("a b"),
            "Job user contains illegal characters: a b",
        ),
        (none, |_, config| config.tier = some("a b"), "Tier contains illegal characters: a b"),
        (none, |_, config| config.tier = some("gold"), "Invalid tier 'gold' in TaskConfig."),
        (none, |_, config| config.job = None, "Job key null is invalid."),
        (
            none,
            |_, config| config.job = Some(job_key("other")),
            "Job key www/prod/hello does not match www/prod/other, the job of its task \
             configuration.",
        ),
        (none, |_, config| config.executor_config = None, "Configuration may not be null."),
        (
            none,
            |_, config| config.executor_config.as_mut().unwrap().name = None,
            "Executor name may not be left unset.",
        ),
        (
            none,
            |_, config| config.executor_config.as_mut().unwrap().name = some("x"),
            "Configuration for executor 'x' doesn't exist.",
        ),
        (
            none,
            |_, config| {
                let limit = api::LimitConstraint { limit: Some(1), ..Default::default() };
                let limit = constraint("dedicated", api::TaskConstraint::Limit(limit));
                config.constraints = Some([limit].into());
            },
            "A dedicated constraint must be of value type.",
        ),
        (
            none,
            |_, config| {
                let rule = constraint("dedicated", one_of(&["www/a", "www/b"]));
                config.constraints = Some([rule].into());
            },
            "A dedicated constraint must have exactly one value",
        ),
        (
            none,
            |_, config| {
                config.constraints = Some([constraint("dedicated", one_of(&["other/a"]))].into());
            },
            "Only other may use hosts dedicated for that role.",
        ),
        (
            docker_allowed,
            |_, c| c.container = docker(None, 0),
            "A container must specify an image.",
        ),
        (
            docker_allowed,
            |_, c| c.container = docker(Some("i"), 1),
            "This scheduler is configured to disallow Docker parameters.",
        ),
        (
            docker_allowed,
            |_, config| {
                config.container = docker(Some("i"), 0);
                config.executor_config = None;
            },
            "This scheduler is configured to require an executor for Docker-based tasks.",
        ),
        (
            none,
            |_, c| c.container = docker(Some("i"), 0),
            "This scheduler is not configured to allow the container type DOCKER",
        ),
        (
            &["-allowed_container_types=DOCKER"],
            |_, _| {},
            "This scheduler is not configured to allow the container type MESOS",
        ),
        (
            none,
            |_, config| {
                resources(config).insert(api::Resource::NumCpus(Double(2.0)));
                resources(config).insert(api::Resource::RamMb(2));
            },
            "Multiple resource values are not supported for CPU, RAM",
        ),
        (none, |_, c| c.resources = None, "num_cpus must be greater than 0.0"),
        (
            none,
            |_, c| c.resources = Some([api::Resource::NumCpus(Double(f64::NAN))].into()),
            "num_cpus must be greater than 0.0",
        ),
        (
            none,
            |_, c| _ = resources(c).remove(&api::Resource::RamMb(64)),
            "ram_mb must be greater than 0.0",
        ),
        (
            none,
            |_, c| _ = resources(c).remove(&api::Resource::DiskMb(64)),
            "disk_mb must be greater than 0.0",
        ),
        (
            none,
            |_, c| _ = resources(c).insert(api::Resource::NumGpus(1)),
            "GPU resource support is disabled in this cluster.",
        ),
        (
            none,
            |_, config| {
                let uri = api::MesosFetcherURI { value: some("http://x"), ..Default::default() };
                config.mesos_fetcher_uris = Some([uri].into());
            },
            "Mesos Fetcher for individual jobs is disabled in this cluster.",
        ),
        (
            none,
            |_, config| {
                let volumes = Some(vec![api::Volume::default()]);
                config.container =
                    api::Container::Mesos(api::MesosContainer { volumes, ..Default::default() });
            },
            "This scheduler is configured to disallow container volumes.",
        ),
        (
            none,
            |job, config| {
                job.cron_schedule = some("* * * * *");
                config.is_service = Some(true);
            },
            "A service task may not be run on a cron schedule: www/prod/hello",
        ),
    ];
    for (flags, edit, text) in cases {
        assert_eq!(edited(flags, *edit).err().as_deref(), Some(*text));
    }
    let whole = api::JobConfiguration { task_config: None, ..minimal() };
    let error = job(&rules(none), whole).unwrap_err().to_string();
    assert_eq!(error, "Job configuration must have taskConfig set.");
}

/// Conformance: configuration 1, 2.
#[test]
fn what_is_allowed() {
    let docker_allowed = "-allowed_container_types=MESOS,DOCKER";
    let cases: &[(&[&str], Edit)] = &[
        (&[], |_, _| {}),
        (&[], |job, _| job.owner = None),
        (&[], |_, c| c.constraints = Some([constraint("dedicated", one_of(&["www/x"]))].into())),
        (&[], |_, c| c.constraints = Some([constraint("dedicated", one_of(&["*/x"]))].into())),
        (&[], |_, config| {
            for port in ["http", "health", "admin"] {
                resources(config).insert(api::Resource::NamedPort(port.to_owned()));
            }
        }),
        (&["-allow_gpu_resource=true"], |_, c| _ = resources(c).insert(api::Resource::NumGpus(1))),
        (&[docker_allowed], |_, c| c.container = docker(Some("i"), 0)),
        (&[docker_allowed, "-allow_docker_parameters=true"], |_, c| {
            c.container = docker(Some("i"), 1);
        }),
        (&[docker_allowed, "-require_docker_use_executor=false"], |_, config| {
            config.container = docker(Some("i"), 0);
            config.executor_config = None;
        }),
        (&["-enable_mesos_fetcher=true"], |_, config| {
            let uri = api::MesosFetcherURI { value: some("http://x"), ..Default::default() };
            config.mesos_fetcher_uris = Some([uri].into());
        }),
        (&["-allow_container_volumes=true"], |_, config| {
            let volumes = Some(vec![api::Volume::default()]);
            config.container =
                api::Container::Mesos(api::MesosContainer { volumes, ..Default::default() });
        }),
        (&["-allowed_job_environments=.*"], |job, config| {
            for key in [&mut job.key, &mut config.job] {
                key.as_mut().unwrap().environment = some("anything");
            }
        }),
    ];
    for (flags, edit) in cases {
        edited(flags, *edit).unwrap();
    }
}

#[test]
fn what_is_filled_in() {
    let job = edited(&[], |_, config| {
        config.production = Some(true);
        for port in ["http", "health", "admin"] {
            resources(config).insert(api::Resource::NamedPort(port.to_owned()));
        }
    });
    let config = job.unwrap().config;
    assert_eq!(config.tier.as_deref(), Some("preemptible"));
    assert_eq!(config.production, Some(false));
    assert_eq!((config.is_service, config.priority), (Some(false), Some(0)));
    assert_eq!(config.max_task_failures, Some(0));
    assert_eq!((config.metadata, config.constraints), (Some([].into()), Some([].into())));
    let links: Vec<_> = config.task_links.into_iter().flatten().collect();
    let link = |name: &str| (name.to_owned(), format!("http://%host%:%port:{name}%"));
    assert_eq!(links, [link("health"), link("http")]);

    let config = edited(&[], |_, config| config.tier = some("preferred")).unwrap().config;
    assert_eq!(config.production, Some(true));

    // Parameters of the scheduler only where the job has none.
    let flags = &[
        "-allowed_container_types=DOCKER",
        "-allow_docker_parameters=true",
        "-default_docker_parameters=read-only=true,tmpfs=/tmp,tmpfs=/run",
    ];
    for (own, expected) in [(0, vec!["true", "/tmp", "/run"]), (1, vec!["b"])] {
        let edit: Edit = if own == 0 {
            |_, config| config.container = docker(Some("i"), 0)
        } else {
            |_, config| config.container = docker(Some("i"), 1)
        };
        let config = edited(flags, edit).unwrap().config;
        let api::Container::Docker(docker) = config.container else { panic!("no Docker") };
        let values = docker.parameters.into_iter().flatten().filter_map(|p| p.value);
        assert_eq!(values.collect::<Vec<_>>(), expected);
    }
}

/// Conformance: configuration 3.
#[test]
fn sla_policies() {
    let count = |count, seconds| {
        api::SlaPolicy::CountSlaPolicy(api::CountSlaPolicy {
            count: Some(count),
            duration_secs: Some(seconds),
            ..Default::default()
        })
    };
    let percentage = |percentage, seconds| {
        api::SlaPolicy::PercentageSlaPolicy(api::PercentageSlaPolicy {
            percentage: Some(Double(percentage)),
            duration_secs: Some(seconds),
            ..Default::default()
        })
    };
    let coordinator = api::SlaPolicy::CoordinatorSlaPolicy(api::CoordinatorSlaPolicy::default());
    let few = "Job with fewer than 20 instances cannot have Percentage/Count SlaPolicy.";
    for (tier, instances, policy, error) in [
        ("preferred", 20, count(19, 1800), None),
        ("preferred", 1, coordinator.clone(), None),
        (
            "preemptible",
            20,
            count(10, 1800),
            Some("Tier 'preemptible' does not support SlaPolicy."),
        ),
        ("preferred", 19, count(1, 1800), Some(few)),
        ("preferred", 19, percentage(1.0, 1800), Some(few)),
        (
            "preferred",
            20,
            count(20, 1800),
            Some(
                "Current CountSlaPolicy: count=20 will not allow any instances to be killed. Must \
                 be less than instanceCount=20.",
            ),
        ),
        ("preferred", 20, percentage(95.0, 1800), None),
        (
            "preferred",
            20,
            percentage(96.0, 1800),
            Some(
                "Current PercentageSlaPolicy: percentage=96.000000 will not allow any instances to \
                 be killed. Must be less than 95.000000.",
            ),
        ),
        (
            "preferred",
            20,
            count(1, 7201),
            Some(
                "CountSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of 7200 \
                 secs.",
            ),
        ),
        (
            "preferred",
            20,
            percentage(1.0, 7201),
            Some(
                "PercentageSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of \
                 7200 secs.",
            ),
        ),
    ] {
        let mut whole = minimal();
        whole.instance_count = Some(instances);
        let config = whole.task_config.as_mut().unwrap();
        config.tier = some(tier);
        config.sla_policy = Some(policy);
        let found = job(&rules(&[]), whole).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), error);
    }
}

#[test]
fn identifiers() {
    for text in ["a", "www-data", "a.b_c", "0", &"x".repeat(255)] {
        assert!(is_identifier(text), "{text}");
    }
    for text in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(256)] {
        assert!(!is_identifier(text), "{text}");
    }
}

#[test]
fn two_ways_to_say_the_same_are_equal() {
    let terse = edited(&[], |_, _| {}).unwrap().config;
    let wordy = edited(&[], |_, config| {
        config.is_service = Some(false);
        config.priority = Some(0);
        config.max_task_failures = Some(0);
        config.constraints = Some([].into());
        config.metadata = Some([].into());
        config.task_links = Some([].into());
        config.mesos_fetcher_uris = Some([].into());
        config.tier = some("preemptible");
        config.production = Some(true);
    });
    assert_eq!(terse, wordy.unwrap().config);
}
