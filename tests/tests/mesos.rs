//! The executor, launched by a real Mesos agent.
//!
//! Needs what `tests/run` sets up: Mesos in `target/mesos`, and the executor. What the scheduler saw
//! and when is printed: `cargo test -p thermos-tests --test mesos -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use serde_json::{Value, json};
use thermos_tests::mesos::{
    Cluster, Launch, Scheduler, assigned, executor_binary, executor_id, job, process,
};
use thermos_tests::{Process, wait_for, workspace};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// After the end of an executor nothing may be left but what is being reaped.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The grace of an agent for executors that it shuts down, and a second for a busy machine.
const SHUTDOWN: Duration = Duration::from_secs(6);

/// Who processes run as where it does not matter.
const USER: &str = "daemon";

/// How a task that ends well is reported.
const WELL: &[&str] = &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];

fn pair(cluster: Cluster) -> (Cluster, Scheduler) {
    let scheduler = Scheduler::register(&cluster);
    (cluster, scheduler)
}

/// A process that says that it is there, leaves a descendant in a session of its own without the
/// environment of the task, and goes on for long. `trap` is what it does on SIGTERM.
fn lasting(cluster: &Cluster, trap: &str) -> Value {
    // The path in the command line makes the descendant known as one of this cluster's.
    let escaped =
        format!("env -i setsid sh -c 'cd /; sleep 600; : {}' &", cluster.path().display());
    process(
        "lasting",
        &format!("trap '{trap}' TERM\n{escaped}\necho yes > there\nwhile :; do sleep .1; done"),
    )
}

/// Launches one such task and waits until it is there.
fn launch_lasting(cluster: &Cluster, scheduler: &mut Scheduler, launch: Launch) {
    let task_id = launch.task_id.clone();
    scheduler.launch(&[launch]);
    scheduler.wait_state(&task_id, "TASK_RUNNING", LONG);
    cluster.wait_file(&task_id, "there");
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn success() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let hello = "echo hello from {{mesos.instance}} on {{mesos.hostname}} > said";
    scheduler.launch(&[Launch::of("success", USER, &[process("hello", hello)])]);
    let last = scheduler.expect("success", WELL, LONG);
    assert_eq!((&*last.message, &*last.source), ("task finished", "SOURCE_EXECUTOR"));
    assert_eq!(cluster.wait_file("success", "said"), "hello from 0 on 127.0.0.1\n");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn what_a_process_leaves_behind() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let path = cluster.path().display();
    let leaves = format!("env -i setsid sh -c 'cd /; sleep 600; : {path}' &\necho bye");
    scheduler.launch(&[Launch::of("behind", USER, &[process("p", &leaves)])]);
    scheduler.expect("behind", WELL, LONG);
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn failure() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    scheduler.launch(&[Launch::of("failure", USER, &[process("no", "exit 3")])]);
    let last = scheduler.expect("failure", &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"], LONG);
    assert_eq!((&*last.message, &*last.source), ("task failed", "SOURCE_EXECUTOR"));
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn a_process_that_is_tried_again() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let mut again = process("again", "[ -e tried ] && exit 0; touch tried; exit 1");
    again["max_failures"] = json!(2);
    again["min_duration"] = json!(1);
    scheduler.launch(&[Launch::of("retry", USER, &[again])]);
    scheduler.expect("retry", WELL, LONG);
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn kill_lets_processes_end() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let process = lasting(&cluster, "echo bye > last; exit 0");
    launch_lasting(&cluster, &mut scheduler, Launch::of("kill", USER, &[process]));
    scheduler.kill("kill", None);
    let last = scheduler.expect("kill", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], LONG);
    assert_eq!(last.message, "instructed to kill the task");
    assert_eq!(cluster.wait_file("kill", "last"), "bye\n");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn kill_has_the_grace_it_is_given() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let process = lasting(&cluster, "echo no >> last");
    launch_lasting(&cluster, &mut scheduler, Launch::of("grace", USER, &[process]));
    let begun = Instant::now();
    scheduler.kill("grace", Some(Duration::from_secs(3)));
    scheduler.expect("grace", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], LONG);
    let took = begun.elapsed();
    println!("grace: over after {took:?} of 3 s");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(cluster.wait_file("grace", "last").starts_with("no\n"));
    cluster.wait_until_gone(AT_ONCE);
}

/// Whatever the moment, before the executor is there, while it starts the runner or after.
#[test]
fn kill_while_starting() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launches: Vec<Launch> = (0..10)
        .map(|n| Launch::of(&format!("early-{n}"), USER, &[lasting(&cluster, "exit 0")]))
        .collect();
    for (n, launch) in (0u64..).zip(&launches) {
        scheduler.launch(std::slice::from_ref(launch));
        if n < 8 {
            sleep(Duration::from_millis(n * n * 5));
        } else {
            scheduler.wait_state(&launch.task_id, "TASK_STARTING", LONG);
        }
        scheduler.kill(&launch.task_id, None);
    }
    for launch in &launches {
        scheduler.wait_state(&launch.task_id, "TASK_KILLED", LONG);
        let updates = scheduler.updates(&launch.task_id);
        scheduler.print(&launch.task_id, &updates);
    }
    cluster.wait_until_gone(LONG);
    for launch in &launches {
        let updates = scheduler.updates(&launch.task_id);
        let states: Vec<&str> = updates.iter().map(|update| &*update.state).collect();
        let allowed = ["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"];
        let expected: Vec<&str> =
            allowed.into_iter().filter(|state| states.contains(state)).collect();
        assert_eq!(states, expected, "{updates:#?}");
    }
}

#[test]
fn agent_restarted() {
    let (mut cluster, mut scheduler) = pair(Cluster::start());
    scheduler.launch(&[
        Launch::of("meanwhile", USER, &[process("a", "echo yes > there; sleep 1")]),
        Launch::of(
            "later",
            USER,
            &[process("b", "echo yes >> there; while [ ! -e go ]; do sleep .1; done")],
        ),
    ]);
    for task in ["meanwhile", "later"] {
        scheduler.wait_state(task, "TASK_RUNNING", LONG);
        cluster.wait_file(task, "there");
    }
    cluster.kill_agent();
    sleep(Duration::from_secs(2));
    cluster.start_agent();
    scheduler.expect_task("meanwhile", WELL, LONG);
    sleep(Duration::from_secs(3));
    fs::write(cluster.sandbox("later").join("go"), "").unwrap();
    scheduler.expect_task("later", WELL, LONG);
    assert_eq!(cluster.wait_file("later", "there"), "yes\n", "it was started again");
    cluster.wait_until_gone(LONG);
}

/// The last update is kept for an agent that takes long to come back.
#[test]
fn agent_away_for_long() {
    let (mut cluster, mut scheduler) = pair(Cluster::start());
    let brief = process("a", "echo yes > there; sleep 1");
    scheduler.launch(&[Launch::of("kept", USER, &[brief])]);
    scheduler.wait_state("kept", "TASK_RUNNING", LONG);
    cluster.wait_file("kept", "there");
    cluster.kill_agent();
    sleep(Duration::from_secs(8));
    cluster.start_agent();
    scheduler.expect_task("kept", WELL, LONG);
    cluster.wait_until_gone(LONG);
}

#[test]
fn agent_gone_for_good() {
    let (mut cluster, mut scheduler) = pair(Cluster::with(&[("RECOVERY_TIMEOUT", "3secs")]));
    let process = lasting(&cluster, "echo bye > last; exit 0");
    launch_lasting(&cluster, &mut scheduler, Launch::of("alone", USER, &[process]));
    cluster.kill_agent();
    let begun = Instant::now();
    sleep(Duration::from_secs(1));
    assert!(!cluster.processes().is_empty(), "it did not wait for the agent");
    cluster.wait_until_gone(LONG);
    println!("agent gone: over after {:?}, of which 3 s to wait for it", begun.elapsed());
    assert_eq!(cluster.wait_file("alone", "last"), "bye\n");
}

#[test]
fn agent_gone_without_checkpointing() {
    let mut cluster = Cluster::start();
    let mut scheduler = Scheduler::register_with(&cluster, false);
    let process = lasting(&cluster, "echo bye > last; exit 0");
    launch_lasting(&cluster, &mut scheduler, Launch::of("alone", USER, &[process]));
    cluster.kill_agent();
    let begun = Instant::now();
    cluster.wait_until_gone(LONG);
    println!("agent gone without checkpointing: over after {:?}", begun.elapsed());
    assert_eq!(cluster.wait_file("alone", "last"), "bye\n");
}

#[test]
fn framework_torn_down() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    for (task, trap) in [("willing", "echo bye > last; exit 0"), ("stubborn", "echo no >> last")] {
        let launch = Launch::of(task, USER, &[lasting(&cluster, trap)]);
        launch_lasting(&cluster, &mut scheduler, launch);
    }
    let begun = Instant::now();
    scheduler.tear_down();
    cluster.wait_until_gone(SHUTDOWN);
    println!("teardown: over after {:?}", begun.elapsed());
    assert_eq!(cluster.wait_file("willing", "last"), "bye\n");
    assert!(cluster.wait_file("stubborn", "last").starts_with("no\n"));
    // The agent did not have to kill it: it has put its end on record.
    for task in ["willing", "stubborn"] {
        let stream = cluster
            .directory(&executor_id(task))
            .join("checkpoints/checkpoints")
            .join(task)
            .join("runner");
        let records = thermos_tests::stream::records(&fs::read(stream).unwrap());
        let states = thermos_tests::stream::states(&records);
        println!("{task}: {states:?}");
        assert!(states.last().is_some_and(|state| state.ends_with("KILLED")), "{states:?}");
    }
}

#[test]
fn executor_shut_down() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launch = Launch::of("down", USER, &[lasting(&cluster, "echo no >> last")]);
    launch_lasting(&cluster, &mut scheduler, launch);
    scheduler.shutdown(&executor_id("down"));
    let last =
        scheduler.expect("down", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], SHUTDOWN);
    assert_eq!(
        (&*last.message, &*last.source),
        ("told to shut down the executor", "SOURCE_EXECUTOR")
    );
    assert!(cluster.wait_file("down", "last").starts_with("no\n"));
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn executor_shut_down_with_a_grace_of_its_own() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let mut launch = Launch::of("soon", USER, &[lasting(&cluster, "echo no >> last")]);
    launch.shutdown_grace = Some(Duration::from_secs(2));
    launch_lasting(&cluster, &mut scheduler, launch);
    scheduler.shutdown(&executor_id("soon"));
    let limit = Duration::from_secs(3);
    let last = scheduler.expect("soon", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], limit);
    assert_eq!(last.source, "SOURCE_EXECUTOR");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn wrapper_script_and_another_file_name() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let wrapper = cluster.path().join("wrapper.sh");
    script(&wrapper, "#!/bin/bash\nexec ${MESOS_SANDBOX=.}/renamed \"$@\"\n");
    let mut launch = Launch::of("wrapped", USER, &[process("p", "echo $HOME > home; sleep 1")]);
    launch.uris = vec![(wrapper, None), (executor_binary(), Some("renamed".to_owned()))];
    launch.value = "HOME=${MESOS_SANDBOX=.} ${MESOS_SANDBOX=.}/wrapper.sh".to_owned();
    scheduler.launch(&[launch.flags("--stop_timeout_in_secs=60 --announcer-ensemble=localhost:1")]);
    scheduler.wait_state("wrapped", "TASK_RUNNING", LONG);
    cluster.runner(cluster.executor("renamed"));
    scheduler.expect("wrapped", WELL, LONG);
    let sandbox = cluster.sandbox("wrapped").display().to_string();
    assert_eq!(cluster.wait_file("wrapped", "home").trim_end(), sandbox);
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn without_a_shell() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let mut fetched = Launch::of("fetched", USER, &[process("p", "sleep .5")]);
    fetched.shell = false;
    fetched.value = "./thermos_executor".to_owned();
    fetched.arguments = vec!["some name".to_owned(), "--preserve_env".to_owned()];
    let mut installed = Launch::of("installed", USER, &[process("p", "sleep .5")]);
    installed.shell = false;
    installed.value = executor_binary().display().to_string();
    installed.arguments = vec!["thermos_executor".to_owned()];
    installed.uris.clear();
    scheduler.launch(&[fetched, installed]);
    for task in ["fetched", "installed"] {
        scheduler.expect(task, WELL, LONG);
    }
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn bad_flags_end_the_executor() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launch = Launch::of("flags", USER, &[process("p", "true")]).flags("--nosuch=1");
    scheduler.launch(&[launch]);
    let last = scheduler.expect("flags", &["TASK_FAILED"], LONG);
    assert_eq!(last.reason, "REASON_EXECUTOR_TERMINATED");
    let said = cluster.agent_log();
    assert!(said.contains("no such option: --nosuch"), "{said}");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn a_second_task_is_lost() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let first = Launch::of("first", USER, &[process("p", "while [ ! -e go ]; do sleep .1; done")]);
    let mut second = Launch::of("second", USER, &[process("p", "true")]);
    second.executor_id = first.executor_id.clone();
    scheduler.launch(&[first]);
    scheduler.wait_state("first", "TASK_RUNNING", LONG);
    scheduler.launch(&[second]);
    let lost = scheduler.wait_state("second", "TASK_LOST", LONG);
    assert_eq!(lost.message, "this executor already runs task first");
    assert_eq!(lost.source, "SOURCE_EXECUTOR");
    // It is not the one that runs.
    scheduler.kill("second", None);
    sleep(Duration::from_millis(500));
    fs::write(cluster.sandbox("first").join("go"), "").unwrap();
    scheduler.expect("first", WELL, LONG);
    assert_eq!(scheduler.updates("second").iter().filter(|it| it.state != "TASK_LOST").count(), 0);
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn unknown_user() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    scheduler.launch(&[Launch::of("user", "nosuchuser", &[process("p", "true")])]);
    let last = scheduler.expect("user", &["TASK_STARTING", "TASK_FAILED"], LONG);
    assert!(last.message.contains("user does not exist: nosuchuser"), "{last:?}");
    assert_eq!(last.source, "SOURCE_EXECUTOR");
    cluster.wait_until_gone(AT_ONCE);
}

/// Never silence: each is TASK_FAILED by the executor, which says why and ends.
#[test]
fn broken_task_data() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let blob = |name: &str| {
        fs::read(workspace().join("fixtures/blobs").join(name).with_extension("tbinary")).unwrap()
    };
    let good = blob("minimal");
    let of = |change: &dyn Fn(&mut Value)| {
        let mut job = job(USER, &[process("p", "true")]);
        change(&mut job);
        aurora_api::binary::to_vec(&assigned("x", USER, &job))
    };
    let id = |task_id: Option<&str>| {
        let mut assigned = assigned("x", USER, &job(USER, &[process("p", "true")]));
        assigned.task_id = task_id.map(str::to_owned);
        aurora_api::binary::to_vec(&assigned)
    };
    let no_id = id(None);
    let with_id = |task_id| id(Some(task_id));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("truncated", good[..good.len() / 2].to_vec(), "could not deserialise the assigned task"),
        ("cut-by-one", good[..good.len() - 1].to_vec(), "could not deserialise the assigned task"),
        ("empty", Vec::new(), "could not deserialise the assigned task"),
        ("noise", (0..=255).collect(), "could not deserialise the assigned task"),
        ("no-data", blob("bad_empty_data"), "executorConfig.data is empty"),
        ("no-config", blob("bad_no_executor_config"), "executorConfig.data is empty"),
        ("no-json", blob("bad_not_json"), "is no JSON: line 1, column 2"),
        ("cycle", blob("bad_cycle"), "got invalid task"),
        ("unbound", blob("bad_unbound_ref"), "nosuch.ref"),
        ("no-resources", of(&|job| job["task"]["resources"] = Value::Null), "resources"),
        ("no-task", of(&|job| job["task"] = Value::Null), "task"),
        ("no-id", no_id, "no task id"),
        ("path-as-id", with_id("../../../../escaped"), "id"),
        ("slash-in-id", with_id("a/b"), "id"),
        ("empty-id", with_id(""), "id"),
    ];
    let launches: Vec<Launch> =
        cases.iter().map(|(id, data, _)| Launch::new(id, data.clone())).collect();
    scheduler.launch(&launches);
    for (id, _, words) in cases {
        let updates = scheduler.wait_end(id, LONG);
        let last = updates.last().unwrap();
        println!("{id}: {} {:?}", last.state, last.message);
        assert_eq!((&*last.state, &*last.source), ("TASK_FAILED", "SOURCE_EXECUTOR"), "{last:?}");
        assert!(last.message.contains(words), "{id}: {words:?} is not in {:?}", last.message);
    }
    cluster.wait_until_gone(AT_ONCE);
}

/// The environment that a process has written to a file.
fn environment(text: &str) -> BTreeMap<String, String> {
    let pair =
        |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}

#[test]
fn users_environments_and_the_token() {
    const TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(key.path(), "0123456789abcdef0123456789abcdef").unwrap();
    let credentials = tempfile::NamedTempFile::new().unwrap();
    let anybody = json!({"credentials": [{"principal": "somebody", "secret": "unused"}]});
    fs::write(credentials.path(), anybody.to_string()).unwrap();
    let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
    let (cluster, mut scheduler) = pair(Cluster::with(&[
        ("AUTHENTICATE_HTTP_EXECUTORS", "true"),
        ("JWT_SECRET_KEY", &path(&key)),
        ("HTTP_CREDENTIALS", &path(&credentials)),
    ]));
    let tell = "id -un > who; stat -c '%U %a' . > box; env > env; echo yes > there; while [ ! -e go ]; do sleep .1; done";
    let tell = [process("p", tell)];
    let cases = [
        ("plain", "", "nobody"),
        ("preserve", "--preserve_env", "nobody"),
        ("other", "--execute-as-user=daemon", "daemon"),
    ];
    let launches = cases.map(|(task, flags, _)| Launch::of(task, "nobody", &tell).flags(flags));
    scheduler.launch(&launches);
    for (task, _, user) in cases {
        scheduler.wait_state(task, "TASK_RUNNING", LONG);
        cluster.wait_file(task, "there");
        let sandbox = cluster.sandbox(task);
        assert_eq!(fs::read_to_string(sandbox.join("who")).unwrap(), format!("{user}\n"));
        assert_eq!(fs::read_to_string(sandbox.join("box")).unwrap(), format!("{user} 700\n"));
        let owner = User::from_name(user).unwrap().unwrap();
        for dir in [&*sandbox, sandbox.parent().unwrap()] {
            let metadata = fs::metadata(dir).unwrap();
            assert_eq!(metadata.uid(), owner.uid.as_raw(), "{}", dir.display());
            assert_eq!(metadata.gid(), owner.gid.as_raw(), "{}", dir.display());
        }
        let text = fs::read_to_string(sandbox.join("env")).unwrap();
        let environment = environment(&text);
        assert!(!environment.contains_key(TOKEN), "{environment:#?}");
        assert!(!text.contains("eyJ"), "a token by another name: {environment:#?}");
        assert_eq!(environment.contains_key("MESOS_EXECUTOR_ID"), task == "preserve");
        assert_eq!(environment["HOME"], sandbox.display().to_string());
    }
    // Only what the agent started has the token: not the runners and nothing below them.
    let has_token = |it: &Process| {
        let environment = fs::read(format!("/proc/{}/environ", it.pid)).unwrap_or_default();
        environment.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes())
    };
    let (with, without): (Vec<Process>, Vec<Process>) =
        cluster.processes().into_iter().partition(has_token);
    let below =
        |it: &&Process| it.command.contains("--thermos-role") || it.command.contains("bash");
    let leaked: Vec<&Process> = with.iter().filter(below).collect();
    assert!(!with.is_empty() && !without.is_empty() && leaked.is_empty(), "{with:#?} {without:#?}");
    for (task, ..) in cases {
        fs::write(cluster.sandbox(task).join("go"), "").unwrap();
        scheduler.expect(task, WELL, LONG);
    }
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn runner_killed() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let once = process("p", "echo yes >> there; while [ ! -e go ]; do sleep .1; done");
    scheduler.launch(&[Launch::of("runner", USER, &[once])]);
    scheduler.wait_state("runner", "TASK_RUNNING", LONG);
    cluster.wait_file("runner", "there");
    let executor = cluster.executor("thermos_executor");
    for _ in 0..2 {
        let runner = cluster.runner(executor);
        signal(runner, Signal::SIGKILL);
        let another = || Some(cluster.runner(executor)).filter(|it| *it != runner);
        wait_for("another runner", LONG, another);
        sleep(Duration::from_millis(300));
    }
    fs::write(cluster.sandbox("runner").join("go"), "").unwrap();
    scheduler.expect("runner", WELL, LONG);
    assert_eq!(cluster.wait_file("runner", "there"), "yes\n", "it was started again");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn runner_killed_while_the_task_is() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let process = lasting(&cluster, "echo bye > last; exit 0");
    launch_lasting(&cluster, &mut scheduler, Launch::of("both", USER, &[process]));
    // The order is lost with this runner, so the next one must get it too.
    let runner = cluster.runner(cluster.executor("thermos_executor"));
    signal(runner, Signal::SIGSTOP);
    scheduler.kill("both", None);
    sleep(Duration::from_millis(500));
    signal(runner, Signal::SIGKILL);
    scheduler.expect("both", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], LONG);
    assert_eq!(cluster.wait_file("both", "last"), "bye\n");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn runner_killed_again_and_again() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launch = Launch::of("often", USER, &[lasting(&cluster, "echo no >> last")]);
    launch_lasting(&cluster, &mut scheduler, launch);
    let executor = cluster.executor("thermos_executor");
    let mut killed = Vec::new();
    for _ in 0..4 {
        let fresh = || Some(cluster.runner(executor)).filter(|it| !killed.contains(it));
        let runner = wait_for("another runner", LONG, fresh);
        sleep(Duration::from_millis(200));
        signal(runner, Signal::SIGKILL);
        killed.push(runner);
    }
    let last = scheduler.expect("often", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], LONG);
    assert_eq!(last.message, "task killed by signal 9");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn runner_that_does_nothing_any_more() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launch = Launch::of("stuck", USER, &[lasting(&cluster, "echo no >> last")]);
    launch_lasting(&cluster, &mut scheduler, launch);
    signal(cluster.runner(cluster.executor("thermos_executor")), Signal::SIGSTOP);
    scheduler.kill("stuck", Some(Duration::from_secs(1)));
    let limit = Duration::from_secs(4);
    scheduler.expect("stuck", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], limit);
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn executor_killed() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launch = Launch::of("orphan", USER, &[lasting(&cluster, "echo no >> last")]);
    launch_lasting(&cluster, &mut scheduler, launch);
    let begun = Instant::now();
    signal(cluster.executor("thermos_executor"), Signal::SIGKILL);
    let last = scheduler.expect("orphan", &["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"], LONG);
    assert_eq!(last.source, "SOURCE_AGENT");
    cluster.wait_until_gone(LONG);
    println!("executor killed: over after {:?}", begun.elapsed());
}

#[test]
fn executor_told_to_terminate() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let launch = Launch::of("term", USER, &[lasting(&cluster, "echo bye > last; exit 0")]);
    launch_lasting(&cluster, &mut scheduler, launch);
    signal(cluster.executor("thermos_executor"), Signal::SIGTERM);
    scheduler.expect("term", &["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], LONG);
    assert_eq!(cluster.wait_file("term", "last"), "bye\n");
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn fifty_tasks_at_once() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let ids: Vec<String> = (0..50).map(|n| format!("many-{n}")).collect();
    let launches: Vec<Launch> =
        ids.iter().map(|id| Launch::of(id, USER, &[process("p", "sleep 1")])).collect();
    scheduler.launch(&launches);
    for id in &ids {
        scheduler.expect(id, WELL, 3 * LONG);
    }
    cluster.wait_until_gone(AT_ONCE);
}

#[test]
fn ports_and_their_aliases() {
    let (cluster, mut scheduler) = pair(Cluster::start());
    let ports = "{{thermos.ports[http]}} {{thermos.ports[aurora]}} {{thermos.ports[fixed]}}";
    let mut job = job(USER, &[process("p", &format!("echo {ports} > ports"))]);
    job["announce"] = json!({
        "primary_port": "http", "stats": {}, "portmap": {"aurora": "web", "web": "http", "fixed": "8080"},
    });
    let mut assigned = assigned("ports", USER, &job);
    assigned.assigned_ports = Some([("http".to_owned(), 31_234)].into());
    scheduler.launch(&[Launch::new("ports", aurora_api::binary::to_vec(&assigned))]);
    scheduler.expect("ports", WELL, LONG);
    assert_eq!(cluster.wait_file("ports", "ports"), "31234 31234 8080\n");
    cluster.wait_until_gone(AT_ONCE);
}
