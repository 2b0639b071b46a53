//! What Mesos is told, as the JSON that it would be.

use std::collections::{BTreeMap, BTreeSet};

use aurora_api::api;
use mesos_scheduler::json;
use mesos_scheduler::v1::Resource;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::executor::{Error as ExecutorError, THERMOS, Thermos, mount};
use super::*;
use crate::core::resources::Bag;

fn thermos() -> Thermos {
    Thermos {
        path: "/usr/share/aurora/bin/thermos_executor".to_owned(),
        cpus: 0.25,
        ram_mb: 128.0,
        ..Thermos::default()
    }
}

const CUSTOM: &str = r#"[{
    "executor": {
        "name": "myExecutor",
        "command": {
            "value": "myExecutor.a", "shell": "false",
            "arguments": ["localhost:2181", "-verbose", "-config myConfiguration.config"],
            "uris": [
                {"value": "/dist/myExecutor.a", "executable": true, "extract": false, "cache": true},
                {"value": "/home/user/myConfiguration.config", "executable": false,
                 "extract": false, "cache": false}]
        },
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.00}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 512}}]
    },
    "volume_mounts": [
        {"mode": "RO", "container_path": "/path/on/container", "host_path": "/path/to/host/directory"},
        {"mode": "RW", "container_path": "/container", "host_path": "/host"}],
    "task_prefix": "my-executor-"
}]"#;

fn settings() -> Settings {
    Settings {
        executors: Executors::new(thermos().executor().unwrap(), Some(CUSTOM)).unwrap(),
        cluster: "devcluster".to_owned(),
        discovery: false,
        revocable_cpus: true,
        revocable_ram: false,
    }
}

const TIER: Tier<'_> = Tier { name: "preferred", revocable: false };

fn assigned() -> AssignedTask {
    let text = |text: &str| Some(text.to_owned());
    let resources = [
        api::Resource::NumCpus(1.5.into()),
        api::Resource::RamMb(256),
        api::Resource::DiskMb(1024),
        api::Resource::NamedPort("http".to_owned()),
        api::Resource::NamedPort("admin".to_owned()),
    ];
    AssignedTask {
        task_id: text("www-data-prod-hello-0-f00"),
        slave_id: text("agent-S0"),
        slave_host: text("host"),
        task: Some(TaskConfig {
            job: Some(api::JobKey {
                role: text("www-data"),
                environment: text("prod"),
                name: text("hello"),
                ..Default::default()
            }),
            resources: Some(resources.into()),
            executor_config: Some(api::ExecutorConfig {
                name: text(THERMOS),
                data: text("{}"),
                ..Default::default()
            }),
            ..Default::default()
        }),
        assigned_ports: Some([("http".to_owned(), 31_001), ("admin".to_owned(), 31_000)].into()),
        instance_id: Some(3),
        ..Default::default()
    }
}

fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})
}

fn ranges(ranges: &[(u64, u64)]) -> Value {
    let ranges: Vec<Value> =
        ranges.iter().map(|(begin, end)| json!({"begin": begin, "end": end})).collect();
    json!({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}})
}

/// An entry of an offer with something more.
fn with(mut entry: Value, more: Value) -> Value {
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn resources(entries: &[Value]) -> Vec<Resource> {
    entries.iter().map(|entry| json::from_value(entry).unwrap()).collect()
}

fn offer(entries: &[Value]) -> Offer {
    Offer {
        agent_id: AgentId { value: "agent-S0".to_owned() },
        hostname: "host".to_owned(),
        resources: resources(entries),
        ..Offer::default()
    }
}

fn plenty() -> Offer {
    offer(&[
        ranges(&[(31_000, 31_010)]),
        scalar("cpus", 4.0),
        scalar("mem", 4096.0),
        scalar("disk", 4096.0),
        scalar("gpus", 2.0),
        scalar("bandwidth", 1.0),
    ])
}

/// The message as JSON, without its data, which is checked.
fn told(settings: &Settings, tier: Tier<'_>, assigned: &AssignedTask, offer: &Offer) -> Value {
    let mut info = task_info(settings, tier, assigned, offer).unwrap();
    if let Some(data) = info.data.take() {
        assert_eq!(aurora_api::binary::from_slice::<AssignedTask>(&data).as_ref(), Ok(assigned));
    }
    json::to_value(&info)
}

#[test]
fn a_thermos_task() {
    let expected = json!({
        "name": "www-data/prod/hello",
        "task_id": {"value": "www-data-prod-hello-0-f00"},
        "agent_id": {"value": "agent-S0"},
        "resources": [
            scalar("cpus", 1.5), scalar("mem", 256.0), scalar("disk", 1024.0),
            ranges(&[(31_000, 31_001)]),
        ],
        "labels": {"labels": [{"key": "org.apache.aurora.tier", "value": "preferred"}]},
        "executor": {
            "executor_id": {"value": "thermos-www-data-prod-hello-0-f00"},
            "name": "AuroraExecutor",
            "source": "www-data.prod.hello.3",
            "labels": {"labels": [{"key": "source", "value": "www-data.prod.hello.3"}]},
            "command": {
                "value": "${MESOS_SANDBOX=.}/thermos_executor",
                "uris": [{"value": "/usr/share/aurora/bin/thermos_executor", "executable": true}],
            },
            "resources": [scalar("cpus", 0.25), scalar("mem", 128.0)],
        },
    });
    assert_eq!(told(&settings(), TIER, &assigned(), &plenty()), expected);
}

#[test]
fn the_executor_is_unchanged_but_for_what_is_the_tasks() {
    let mut assigned = assigned();
    let task = assigned.task.as_mut().unwrap();
    task.executor_config.as_mut().unwrap().name = Some("myExecutor".to_owned());
    let uri = |value: &str, extract, cache, output: Option<&str>| api::MesosFetcherURI {
        value: Some(value.to_owned()),
        extract,
        cache,
        output_file: output.map(str::to_owned),
        ..Default::default()
    };
    let uris = [
        uri("http://a/1.tar", Some(true), Some(true), Some("one.tar")),
        uri("http://a/2", None, None, None),
    ];
    task.mesos_fetcher_uris = Some(uris.into());
    let info = told(&settings(), TIER, &assigned, &plenty());
    let executor = json!({
        "executor_id": {"value": "my-executor-www-data-prod-hello-0-f00"},
        "name": "myExecutor",
        "source": "www-data.prod.hello.3",
        "labels": {"labels": [{"key": "source", "value": "www-data.prod.hello.3"}]},
        "command": {
            "value": "myExecutor.a", "shell": false,
            "arguments": ["localhost:2181", "-verbose", "-config myConfiguration.config"],
            "uris": [
                {"value": "/dist/myExecutor.a", "executable": true, "extract": false, "cache": true},
                {"value": "/home/user/myConfiguration.config", "executable": false,
                 "extract": false, "cache": false},
                {"value": "http://a/1.tar", "executable": false, "extract": true, "cache": true,
                 "output_file": "one.tar"},
                {"value": "http://a/2", "executable": false, "extract": false, "cache": false},
            ],
        },
        "resources": [scalar("cpus", 1.0), scalar("mem", 512.0)],
    });
    assert_eq!(info["executor"], executor);
}

#[test]
fn labels_of_tier_and_metadata() {
    let mut assigned = assigned();
    let remark = |key: &str, value: &str| api::Metadata {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
        ..Default::default()
    };
    assigned.task.as_mut().unwrap().metadata = Some([remark("a", "1"), remark("b", "2")].into());
    let info = told(&settings(), TIER, &assigned, &plenty());
    let label = |key: &str, value: &str| json!({"key": key, "value": value});
    let expected = json!({"labels": [
        label("org.apache.aurora.tier", "preferred"),
        label("org.apache.aurora.metadata.a", "1"),
        label("org.apache.aurora.metadata.b", "2"),
    ]});
    assert_eq!(info["labels"], expected);
}

#[test]
fn discovery_with_and_without_ports() {
    let settings = Settings { discovery: true, ..settings() };
    let mut assigned = assigned();
    let info = told(&settings, TIER, &assigned, &plenty());
    let port = |name: &str, number: u32| json!({"name": name, "number": number, "protocol": "TCP"});
    let mut expected = json!({
        "visibility": "CLUSTER", "name": "hello.prod.www-data", "environment": "prod",
        "location": "devcluster",
        "ports": {"ports": [port("admin", 31_000), port("http", 31_001)]},
    });
    assert_eq!(info["discovery"], expected);
    for none in [None, Some(BTreeMap::new())] {
        assigned.assigned_ports = none;
        let info = told(&settings, TIER, &assigned, &plenty());
        expected.as_object_mut().unwrap().remove("ports");
        assert_eq!(info["discovery"], expected);
    }
}

fn contained(container: api::Container) -> AssignedTask {
    let mut assigned = assigned();
    assigned.task.as_mut().unwrap().container = container;
    assigned
}

fn mesos(image: Option<api::Image>, volumes: Vec<api::Volume>) -> api::Container {
    let volumes = Some(volumes);
    api::Container::Mesos(api::MesosContainer { image, volumes, ..Default::default() })
}

fn docker() -> api::Container {
    let parameter = |name: &str, value: &str| api::DockerParameter {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
        ..Default::default()
    };
    api::Container::Docker(api::DockerContainer {
        image: Some("repository/image:tag".to_owned()),
        parameters: Some(vec![
            parameter("tmpfs", "/tmp"),
            parameter("read-only", "true"),
            parameter("tmpfs", "/run"),
        ]),
        ..Default::default()
    })
}

fn mounted() -> Settings {
    let thermos = Thermos { mounts: vec![mount("/host:/container:ro").unwrap()], ..thermos() };
    let executors = Executors::new(thermos.executor().unwrap(), None).unwrap();
    Settings { executors, ..settings() }
}

#[test]
fn images_for_the_mesos_containerizer() {
    let volume = api::Volume {
        container_path: Some("/in".to_owned()),
        host_path: Some("/out".to_owned()),
        mode: Some(api::Mode::RW),
        ..Default::default()
    };
    let text = |text: &str| Some(text.to_owned());
    let docker = api::Image::Docker(api::DockerImage {
        name: text("debian"),
        tag: text("12"),
        ..Default::default()
    });
    let appc = api::Image::Appc(api::AppcImage {
        name: text("debian"),
        image_id: text("sha512-1"),
        ..Default::default()
    });
    let cases = [
        (docker, json!({"type": "DOCKER", "docker": {"name": "debian:12"}})),
        (appc, json!({"type": "APPC", "appc": {"name": "debian", "id": "sha512-1"}})),
    ];
    for (image, expected) in cases {
        let assigned = contained(mesos(Some(image), vec![volume.clone()]));
        let info = told(&mounted(), TIER, &assigned, &plenty());
        let expected = json!({"type": "MESOS", "mesos": {}, "volumes": [
            {"host_path": "/host", "container_path": "/container", "mode": "RO"},
            {"host_path": "/out", "container_path": "/in", "mode": "RW"},
            {"container_path": "taskfs", "mode": "RO", "image": expected},
        ]});
        assert_eq!(info["executor"]["container"], expected);
    }
    // Without an image there is no container, and nothing is mounted.
    let assigned = contained(mesos(None, vec![volume]));
    let info = told(&mounted(), TIER, &assigned, &plenty());
    assert_eq!(info["executor"]["container"], Value::Null);
}

#[test]
fn docker_with_and_without_an_executor() {
    let mut assigned = contained(docker());
    let parameters = json!([
        {"key": "tmpfs", "value": "/tmp"},
        {"key": "read-only", "value": "true"},
        {"key": "tmpfs", "value": "/run"},
    ]);
    let mut expected = json!({
        "type": "DOCKER", "docker": {"image": "repository/image:tag", "parameters": parameters},
        "volumes": [{"host_path": "/host", "container_path": "/container", "mode": "RO"}],
    });
    let info = told(&mounted(), TIER, &assigned, &plenty());
    assert_eq!(info["executor"]["container"], expected);
    assert_eq!((&info["container"], &info["command"]), (&Value::Null, &Value::Null));

    assigned.task.as_mut().unwrap().executor_config = None;
    let info = told(&mounted(), TIER, &assigned, &plenty());
    expected.as_object_mut().unwrap().remove("volumes");
    assert_eq!(info["container"], expected);
    assert_eq!(info["command"], json!({"shell": false}));
    assert_eq!((&info["executor"], &info["data"]), (&Value::Null, &Value::Null));
    assert_eq!(info["resources"].as_array().unwrap().len(), 4);
}

#[test]
fn what_cannot_be_launched() {
    let fails = |change: &dyn Fn(&mut AssignedTask)| {
        let mut assigned = assigned();
        change(&mut assigned);
        task_info(&settings(), TIER, &assigned, &plenty()).unwrap_err()
    };
    let task = |assigned: &mut AssignedTask| assigned.task.take().unwrap();
    let unknown = fails(&|a| {
        let config = a.task.as_mut().unwrap().executor_config.as_mut().unwrap();
        config.name = Some("old".to_owned());
    });
    assert_eq!(unknown, Error::UnknownExecutor("old".to_owned()));
    assert!(unknown.to_string().contains("-custom_executor_config"), "{unknown}");
    assert_eq!(fails(&|a| drop(task(a))), Error::Missing("configuration"));
    assert_eq!(fails(&|a| a.task_id = None), Error::Missing("id"));
    assert_eq!(fails(&|a| a.task.as_mut().unwrap().job = None), Error::Missing("job"));
    let none = fails(&|a| a.task.as_mut().unwrap().executor_config = None);
    assert_eq!(none, Error::NothingToRun);
}

// ---------- several tasks with one offer ----------

/// What one task took is not there for the next one; one that does not fit takes nothing.
#[test]
fn tasks_share_an_offer() {
    let offer = offer(&[
        with(scalar("cpus", 2.0), json!({"role": "www"})),
        scalar("cpus", 2.0),
        scalar("mem", 1000.0),
        scalar("disk", 4096.0),
        ranges(&[(31_000, 31_003)]),
    ]);
    let with_ports = |http, admin| AssignedTask {
        assigned_ports: Some([("http".to_owned(), http), ("admin".to_owned(), admin)].into()),
        ..assigned()
    };
    let mut rest = Rest::of(&offer);
    let mut tell = |assigned: &AssignedTask| rest.task_info(&settings(), TIER, assigned);
    let texts = |all: &[Resource]| all.iter().map(json::to_value).collect::<Vec<_>>();
    let www = |amount| with(scalar("cpus", amount), json!({"role": "www"}));

    // 1.5 CPUs, and 0.25 of its executor.
    let first = tell(&with_ports(31_002, 31_001)).unwrap();
    assert_eq!(texts(&first.resources)[0], www(1.5));
    assert_eq!(texts(&first.executor.unwrap().resources)[0], www(0.25));
    // A port that is taken.
    let problem = tell(&with_ports(31_000, 31_001)).unwrap_err();
    assert!(matches!(problem, Error::Shortage(Shortage { kind: Kind::Ports, milli: 1000 })));
    let second = tell(&with_ports(31_000, 31_003)).unwrap();
    assert_eq!(texts(&second.resources)[..2], [www(0.25), scalar("cpus", 1.25)]);
    assert_eq!(texts(&second.resources)[4], ranges(&[(31_000, 31_000), (31_003, 31_003)]));
    assert_eq!(texts(&second.executor.unwrap().resources)[0], scalar("cpus", 0.25));
    let problem = tell(&AssignedTask { assigned_ports: None, ..assigned() }).unwrap_err();
    assert!(matches!(problem, Error::Shortage(Shortage { kind: Kind::Cpu, milli: 1000 })));
}

// ---------- allocation ----------

/// What a task that asks for so much, and an executor with this overhead, get of these entries.
fn allocated(
    wanted: &[api::Resource],
    ports: &[i32],
    overhead: Bag,
    entries: &[Value],
    revocable: bool,
) -> Result<(Vec<Value>, Vec<Value>), String> {
    let resources: BTreeSet<api::Resource> = wanted.iter().cloned().collect();
    let task = TaskConfig { resources: Some(resources), ..Default::default() };
    let ports = ports.iter().enumerate().map(|(place, port)| (place.to_string(), *port)).collect();
    let wanted = Wanted::of(&task, Some(&ports));
    let settings = settings();
    let (task, executor) =
        allocation::allocate(&wanted, &overhead, &mut self::resources(entries), |kind| {
            revocable && settings.is_revocable(kind)
        })
        .map_err(|shortage| shortage.to_string())?;
    let texts = |all: Vec<Resource>| all.iter().map(json::to_value).collect();
    Ok((texts(task), texts(executor)))
}

fn thousandths(amounts: &[(Kind, i64)]) -> Bag {
    let mut bag = Bag::EMPTY;
    for (kind, milli) in amounts {
        bag.put(*kind, *milli);
    }
    bag
}

fn cpus(amount: f64) -> api::Resource {
    api::Resource::NumCpus(amount.into())
}

fn role(name: &str) -> Value {
    json!({"role": name})
}

#[test]
fn reserved_entries_first() {
    let entries = [
        with(scalar("cpus", 1.0), role("*")),
        scalar("cpus", 1.0),
        with(scalar("cpus", 1.0), role("www")),
        with(scalar("cpus", 1.0), json!({"reservations": [{"type": "STATIC", "role": "db"}]})),
    ];
    let expected = vec![
        with(scalar("cpus", 1.0), role("www")),
        with(scalar("cpus", 1.0), json!({"reservations": [{"type": "STATIC", "role": "db"}]})),
        with(scalar("cpus", 0.5), role("*")),
    ];
    let executor = vec![with(scalar("cpus", 0.25), role("*"))];
    let overhead = thousandths(&[(Kind::Cpu, 250)]);
    let result = allocated(&[cpus(2.5)], &[], overhead, &entries, false);
    assert_eq!(result, Ok((expected, executor)));
}

#[test]
fn what_entries_say_of_themselves_is_kept() {
    let said = json!({
        "role": "www", "allocation_info": {"role": "www"}, "disk": {"persistence": {"id": "p"}},
        "reservation": {"principal": "me"},
    });
    let entries = [with(scalar("disk", 100.0), said.clone())];
    let result = allocated(&[api::Resource::DiskMb(30)], &[], Bag::EMPTY, &entries, false);
    assert_eq!(result, Ok((vec![with(scalar("disk", 30.0), said)], vec![])));
}

#[test]
fn revocable_resources() {
    let revocable = json!({"revocable": {}});
    let entries = [
        scalar("cpus", 8.0),
        with(scalar("cpus", 2.0), revocable.clone()),
        with(scalar("mem", 999.0), revocable.clone()),
        scalar("mem", 100.0),
    ];
    let wanted = [cpus(1.0), api::Resource::RamMb(50)];
    let overhead = thousandths(&[(Kind::Cpu, 500)]);
    let result = allocated(&wanted, &[], overhead, &entries, true);
    let task = vec![with(scalar("cpus", 1.0), revocable.clone()), scalar("mem", 50.0)];
    let executor = vec![with(scalar("cpus", 0.5), revocable)];
    assert_eq!(result, Ok((task, executor)));
    // Others do not get them.
    let result = allocated(&wanted, &[], overhead, &entries, false);
    let task = vec![scalar("cpus", 1.0), scalar("mem", 50.0)];
    assert_eq!(result, Ok((task, vec![scalar("cpus", 0.5)])));
    let result = allocated(&[cpus(3.0)], &[], Bag::EMPTY, &entries, true);
    assert_eq!(result, Err("the offer has 1 too little of CPU".to_owned()));
}

#[test]
fn only_kinds_of_the_task_are_for_the_executor() {
    let entries = [scalar("cpus", 1.0), scalar("mem", 100.0)];
    let overhead = Bag::whole(0, 64, 0);
    let result = allocated(&[cpus(1.0)], &[], overhead, &entries, false);
    assert_eq!(result, Ok((vec![scalar("cpus", 1.0)], vec![])));
}

#[test]
fn ports_in_ranges() {
    let entries =
        [with(ranges(&[(1, 3), (10, 12)]), role("*")), with(ranges(&[(20, 29)]), role("www"))];
    let named = [api::Resource::NamedPort("a".to_owned())];
    let result = allocated(&named, &[12, 2, 11, 3, 25, 21, 20, 22], Bag::EMPTY, &entries, false);
    let expected = vec![
        with(ranges(&[(20, 22), (25, 25)]), role("www")),
        with(ranges(&[(2, 3), (11, 12)]), role("*")),
    ];
    assert_eq!(result, Ok((expected, vec![])));
    let result = allocated(&named, &[1, 4, 5], Bag::EMPTY, &entries, false);
    assert_eq!(result, Err("the offer has 2 too little of ports".to_owned()));
    // A name without a number.
    let result = allocated(&named, &[], Bag::EMPTY, &entries, false);
    assert_eq!(result, Ok((vec![], vec![])));
}

#[test]
fn amounts() {
    let entries = [scalar("cpus", 0.1), scalar("cpus", 0.2), scalar("gpus", 1.0)];
    let result = allocated(&[cpus(0.3)], &[], Bag::EMPTY, &entries, false);
    assert_eq!(result, Ok((vec![scalar("cpus", 0.1), scalar("cpus", 0.2)], vec![])));
    // Exactly all, with an executor that needs nothing.
    let result = allocated(&[api::Resource::NumGpus(1)], &[], Bag::EMPTY, &entries, false);
    assert_eq!(result, Ok((vec![scalar("gpus", 1.0)], vec![])));
    let huge = api::Resource::RamMb(i64::MAX);
    assert!(allocated(&[huge], &[], Bag::EMPTY, &entries, false).is_err());
}

proptest! {
    /// Task and executor get exactly what they ask for, and no entry gives more than it has; or the
    /// offer has less than that.
    #[test]
    fn no_more_and_no_less(
        offered in prop::collection::vec((0i64..3000, 0..3usize), 0..6),
        task in 0i64..4000,
        executor in 0i64..2000,
    ) {
        let roles = ["*", "a", "b"];
        let entries: Vec<Value> = offered
            .iter()
            .map(|(milli, place)| {
                with(scalar("cpus", *milli as f64 / 1000.0), role(roles[*place]))
            })
            .collect();
        let wanted = [cpus(task as f64 / 1000.0)];
        let overhead = thousandths(&[(Kind::Cpu, executor)]);
        let total: i64 = offered.iter().map(|(milli, _)| milli).sum();
        match allocated(&wanted, &[], overhead, &entries, false) {
            Ok((of_task, of_executor)) => {
                let sum = |all: &[Value], role: Option<&str>| -> i64 {
                    let ours = all.iter().filter(|e| role.is_none_or(|r| e["role"] == r));
                    let amount = |e: &Value| e["scalar"]["value"].as_f64().unwrap() * 1000.0;
                    ours.map(|e| amount(e).round() as i64).sum()
                };
                prop_assert_eq!(sum(&of_task, None), task);
                prop_assert_eq!(sum(&of_executor, None), executor);
                for role in roles {
                    let used = sum(&of_task, Some(role)) + sum(&of_executor, Some(role));
                    prop_assert!(used <= sum(&entries, Some(role)));
                }
                // What is nobody's is used last.
                let free = sum(&of_task, Some("*")) > 0;
                let kept = sum(&of_executor, Some("a")) + sum(&of_executor, Some("b"));
                prop_assert!(!free || kept == 0);
            }
            Err(_) => prop_assert!(total < task + executor),
        }
    }
}

// ---------- executors ----------

#[test]
fn command_lines_of_thermos() {
    let command =
        |thermos: Thermos| json::to_value(&thermos.executor().unwrap().info)["command"].clone();
    let uri = |value: &str| json!({"value": value, "executable": true});
    let wrapper = Thermos {
        path: "/path/to/wrapper.sh".to_owned(),
        files: vec!["/usr/share/aurora/bin/thermos_executor.pex".to_owned(), "/b".to_owned()],
        flags: Some("--runner-logger-mode=rotate --a".to_owned()),
        home_in_sandbox: true,
        ..Thermos::default()
    };
    let expected = json!({
        "value": "HOME=${MESOS_SANDBOX=.} ${MESOS_SANDBOX=.}/wrapper.sh --runner-logger-mode=rotate --a",
        "uris": [
            uri("/path/to/wrapper.sh"), uri("/usr/share/aurora/bin/thermos_executor.pex"), uri("/b"),
        ],
    });
    assert_eq!(command(wrapper), expected);
    let bare = Thermos { path: "executor".to_owned(), ..Thermos::default() };
    assert_eq!(command(bare)["value"], "${MESOS_SANDBOX=.}/executor");
    for path in ["", "/a/"] {
        let thermos = Thermos { path: path.to_owned(), ..Thermos::default() };
        assert_eq!(thermos.executor(), Err(ExecutorError::Path(path.to_owned())));
    }
}

#[test]
fn mounts() {
    let volume = |mode: &str| json!({"host_path": "/h", "container_path": "/c", "mode": mode});
    for (text, mode) in [("/h:/c:rw", "RW"), ("/h:/c:RO", "RO"), ("/h:/c", "RW")] {
        assert_eq!(json::to_value(&mount(text).unwrap()), volume(mode));
    }
    for text in ["", "/h", "/h:/c:xx", "/h:/c:rw:x", ":/c:rw", "/h::rw", "/h:/c:"] {
        assert_eq!(mount(text), Err(ExecutorError::Mount(text.to_owned())));
    }
}

#[test]
fn executors_of_a_file() {
    let executors = |text: &str| Executors::new(thermos().executor().unwrap(), Some(text));
    let both = executors(CUSTOM).unwrap();
    assert_eq!(both.names().collect::<Vec<_>>(), ["AuroraExecutor", "myExecutor"]);
    let overhead = thousandths(&[(Kind::Cpu, 1000), (Kind::Ram, 512_000)]);
    assert_eq!(both.get("myExecutor").unwrap().overhead(), overhead);
    assert_eq!(both.get("myExecutor").unwrap().volumes.len(), 2);
    assert_eq!(executors("[]").unwrap().names().count(), 1);
    // Without a name, and with as little as possible.
    let least = executors(r#"[{"executor": {}, "task_prefix": "", "volume_mounts": null}]"#);
    assert_eq!(least.unwrap().get("").unwrap().overhead(), Bag::EMPTY);
    let entry = |reason: &str| Err(ExecutorError::Entry(0, reason.to_owned()));
    let cases = [
        ("{}", Err(ExecutorError::NotAnArray)),
        ("[1]", entry("it is not an object")),
        (r#"[{"task_prefix": "a"}]"#, entry("executor is missing, or not an object")),
        (r#"[{"executor": {}}]"#, entry("task_prefix is missing, or not a string")),
        (r#"[{"executor": {}, "task_prefix": "a", "b": 1}]"#, entry("b is not known")),
        (r#"[{"executor": {"b": 1}, "task_prefix": "a"}]"#, entry("executor: b is not known")),
        (
            r#"[{"executor": {}, "task_prefix": "a", "volume_mounts": {}}]"#,
            entry("volume_mounts is not an array"),
        ),
        (
            r#"[{"executor": {}, "task_prefix": "a", "volume_mounts": [{"mode": "RO"}]}]"#,
            entry("volume_mounts: Volume without container_path"),
        ),
        (
            r#"[{"executor": {"resources": [{"name": "ports", "type": "RANGES"}]}, "task_prefix": "a"}]"#,
            entry("executor: the resource \"ports\" is no SCALAR"),
        ),
        (
            r#"[{"executor": {"name": "a"}, "task_prefix": ""}, {"executor": {"name": "a"}, "task_prefix": ""}]"#,
            Err(ExecutorError::Duplicate("a".to_owned())),
        ),
        (
            r#"[{"executor": {"name": "AuroraExecutor"}, "task_prefix": ""}]"#,
            Err(ExecutorError::Duplicate(THERMOS.to_owned())),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(executors(text).map(|_| ()), expected, "{text}");
    }
    let error = executors("[,]").unwrap_err().to_string();
    assert!(error.starts_with("-custom_executor_config is not JSON: "), "{error}");
}
