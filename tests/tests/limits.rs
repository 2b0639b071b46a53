//! Large tasks, small limits, and tasks that are none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use thermos_tests::stream::{Record, outcomes, runs, states, task_state};
use thermos_tests::{Runner, World, need_program, need_root, tckpt};

const LONG: Duration = Duration::from_secs(60);

fn process(name: &str, cmdline: &str) -> Json {
    json!({"name": name, "cmdline": cmdline, "min_duration": 0})
}

/// Checks that each of the processes had one run, and that it succeeded.
fn assert_one_run_each(records: &[Record], names: &[String]) {
    let mut waiting = HashSet::new();
    let mut succeeded = HashSet::new();
    for record in records {
        let Record::Process(it) = record else { continue };
        match it.state {
            "WAITING" => assert!(waiting.insert(&it.process), "{} ran again", it.process),
            "SUCCESS" => assert!(succeeded.insert(&it.process)),
            "FORKED" | "RUNNING" => {}
            other => panic!("{} is {other}: {:?}", it.process, it.reason),
        }
    }
    assert_eq!(waiting.len(), names.len());
    assert!(names.iter().all(|name| succeeded.contains(name)));
}

#[test]
fn a_thousand_processes_at_once() {
    need_root();
    let world = World::new();
    let names: Vec<String> = (0..1000).map(|i| format!("p{i}")).collect();
    let processes: Vec<Json> = names.iter().map(|name| process(name, "true")).collect();
    let mut runner =
        Runner::start(&world, "wide", &json!({"processes": processes}).to_string(), &[]);
    assert!(runner.wait(LONG).success(), "{}", runner.output());
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
    assert_one_run_each(&runner.records(), &names);
    world.wait_until_clean(LONG);
    assert!(!tckpt(&world.streams("wide").join("runner")).contains("TRUNCATED"));
}

#[test]
fn a_chain_of_three_hundred() {
    need_root();
    let world = World::new();
    let names: Vec<String> = (0..300).map(|i| format!("p{i}")).collect();
    let processes: Vec<Json> =
        names.iter().map(|name| process(name, &format!("echo {name} >> order"))).collect();
    let task = json!({"processes": processes, "constraints": [{"order": names}]});
    let mut runner = Runner::start(&world, "chain", &task.to_string(), &[]);
    assert!(runner.wait(LONG).success(), "{}", runner.output());
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
    assert_one_run_each(&runner.records(), &names);
    let order = fs::read_to_string(world.sandbox().join("order")).unwrap();
    assert!(order.lines().eq(names.iter()), "{order}");
    world.wait_until_clean(LONG);
}

#[test]
fn few_open_files_do_not_limit_a_task() {
    need_root();
    let names: Vec<String> = (0..40).map(|i| format!("p{i}")).collect();
    let processes: Vec<Json> =
        names.iter().map(|name| process(name, "ulimit -Sn; ulimit -Hn; sleep 0.3")).collect();
    let task = json!({"processes": processes}).to_string();
    // A soft limit can be raised; with a hard one, some have to wait for others.
    for (soft, hard) in [("64", "4096"), ("40", "40")] {
        let world = World::new();
        let limit = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$@\"");
        let command = ["bash", "-c", &limit, "bash"];
        let mut runner = Runner::start_under(&world, &command, "files", &task, &[]);
        assert!(runner.wait(LONG).success(), "{}", runner.output());
        let records = runner.records();
        assert_eq!(task_state(&records), Some("SUCCESS"), "{:#?}", states(&records));
        assert_one_run_each(&records, &names);
        for name in &names {
            let log = world.sandbox().join(format!(".logs/{name}/0/stdout"));
            let seen = fs::read_to_string(log).unwrap();
            assert_eq!(seen, format!("{soft}\n{hard}\n"), "{name}");
        }
        world.wait_until_clean(LONG);
    }
}

/// The command that starts the runner as a user who may have so many processes. The limit counts
/// all processes of a user, wherever they come from, so each test has users of its own.
fn with_processes(uid: u32, limit: u32) -> Vec<String> {
    need_program("setpriv", "util-linux");
    let user = format!("--reuid={uid} --regid={uid} --clear-groups");
    let script = format!("ulimit -u {limit}; exec setpriv {user} \"$@\"");
    ["bash", "-c", &script, "bash"].map(str::to_owned).into()
}

fn open_world() -> World {
    let world = World::new();
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o777)).unwrap();
    world
}

#[test]
fn a_process_for_which_there_is_no_room_waits_for_it() {
    need_root();
    let world = open_world();
    // Room for the runner and a coordinator beside this one, not for bash.
    let uid = 54321;
    let flags = [format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()];
    let mut other = Command::new("setpriv").args(flags).args(["sleep", "60"]).spawn().unwrap();
    let command = with_processes(uid, 3);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let task = json!({"processes": [process("a", "exec true")]}).to_string();
    let mut runner = Runner::start_under(&world, &command, "room", &task, &[]);
    runner.wait_process("a", "FORKED", LONG);
    thread::sleep(Duration::from_millis(1500));
    let held = states(&runner.records());
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(runner.wait(LONG).success(), "{}", runner.output());
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"), "{:#?}", states(&records));
    assert!(!held.iter().any(|line| line.contains("FAILED")), "{held:#?}");
    world.wait_until_clean(LONG);
}

#[test]
fn few_processes_do_not_hold_up_a_task() {
    need_root();
    let names: Vec<String> = (0..3).map(|i| format!("p{i}")).collect();
    let processes: Vec<Json> = names.iter().map(|name| process(name, "exec sleep 0.1")).collect();
    let task = json!({"processes": processes, "max_failures": 0}).to_string();
    // Room for one process and its coordinator, or for two coordinators that wait for room: who
    // comes first is chance, so there are some tries.
    let worlds: Vec<(World, Runner)> = (54330..54338)
        .map(|uid| {
            let world = open_world();
            let command = with_processes(uid, 3);
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let runner = Runner::start_under(&world, &command, "few", &task, &[]);
            (world, runner)
        })
        .collect();
    for (world, mut runner) in worlds {
        let begun = Instant::now();
        let over = |runner: &Runner| {
            let state = task_state(&runner.records());
            state.is_some_and(|state| ["SUCCESS", "FAILED"].contains(&state))
        };
        while !over(&runner) && begun.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(20));
        }
        let records = runner.records();
        let context = || format!("{:#?}", states(&records));
        assert_eq!(task_state(&records), Some("SUCCESS"), "{}", context());
        for name in &names {
            assert_eq!(outcomes(&records, name).last(), Some(&"SUCCESS"), "{}", context());
        }
        assert!(runner.wait(LONG).success(), "{}", runner.output());
        world.wait_until_clean(LONG);
    }
}

#[test]
fn a_command_line_that_is_too_long_fails_at_once() {
    need_root();
    let world = World::new();
    let long = format!("true {}", "x".repeat(128 << 10));
    let almost = format!("true {}", "x".repeat((128 << 10) - 100));
    let task = json!({"processes": [process("long", &long), process("almost", &almost)]});
    let mut runner = Runner::start(&world, "long", &task.to_string(), &[]);
    assert!(runner.wait(LONG).success(), "{}", runner.output());
    let records = runner.records();
    assert_eq!(task_state(&records), Some("FAILED"));
    assert_eq!(outcomes(&records, "long"), ["FAILED"]);
    let run = runs(&records, "long").concat();
    let last = run.last().unwrap();
    assert_eq!(last.return_code, Some(126));
    let reason = last.reason.clone().unwrap();
    assert!(reason.contains("argument list too long"), "{reason}");
    let took = last.stop_time.unwrap() - run[1].fork_time.unwrap();
    assert!(took < 1.0, "{took}");
    let stderr = fs::read_to_string(world.sandbox().join(".logs/long/0/stderr")).unwrap();
    assert_eq!(stderr, format!("thermos: {reason}\n"));
    world.wait_until_clean(LONG);
}

#[test]
fn what_is_no_task_is_refused_with_one_line_and_nothing_is_made() {
    need_root();
    let one = |settings: Json| {
        let mut process = json!({"name": "a", "cmdline": "true"});
        process.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        json!({"processes": [process]}).to_string()
    };
    let two = |rest: Json| {
        let mut task = json!({"processes": [process("a", "true"), process("b", "true")]});
        task.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        task.to_string()
    };
    // Exit code, what the line has to name, the task, further arguments.
    type Case<'a> = (i32, &'a str, String, &'a [&'a str]);
    let cases: Vec<Case> = vec![
        (2, ":1:", r#"{"processes": ["#.into(), &[]),
        (2, "", String::new(), &[]),
        (2, "", "[1, 2]".into(), &[]),
        (2, "processes", r#"{"name": "x"}"#.into(), &[]),
        (2, "processes", r#"{"processes": 7}"#.into(), &[]),
        (2, "cmdline", r#"{"processes": [{"name": "a"}]}"#.into(), &[]),
        (2, "max_failures", one(json!({"max_failures": "many"})), &[]),
        (2, "min_duration", one(json!({"min_duration": [1]})), &[]),
        (2, "destination", one(json!({"logger": {"destination": "moon"}})), &[]),
        (102, "name", one(json!({"name": ""})), &[]),
        (102, "name", one(json!({"name": "a/b"})), &[]),
        (102, "name", one(json!({"name": ".."})), &[]),
        (
            102,
            "order",
            two(json!({"constraints": [{"order": ["a", "b"]}, {"order": ["b", "a"]}]})),
            &[],
        ),
        (102, "order", two(json!({"constraints": [{"order": ["a", "nobody"]}]})), &[]),
        (102, "nowhere", one(json!({"cmdline": "echo {{nowhere}}"})), &[]),
        (101, "http", one(json!({"cmdline": "echo {{thermos.ports[http]}}"})), &[]),
        (104, "nobody-at-all", one(json!({})), &["--setuid=nobody-at-all"]),
        (104, "0day", one(json!({})), &["--setuid=0day"]),
    ];
    let mut complaints = Vec::new();
    for (code, names, task, args) in cases {
        let world = World::new();
        let mut runner = Runner::start(&world, "wrong", &task, args);
        let status = runner.wait(LONG);
        let said = runner.output();
        let mut complain =
            |what: &str| complaints.push(format!("{what}: {task}: {status}: {said}"));
        if status.code() != Some(code) {
            complain(&format!("not exit code {code}"));
        }
        // For wrong arguments and files, the usage comes before.
        let is_message = |line: &&str| !line.is_empty() && !line.starts_with("Usage:");
        let lines: Vec<&str> = said.lines().filter(is_message).collect();
        let [line] = lines.as_slice() else {
            complain("not one line");
            continue;
        };
        if !line.contains(names) {
            complain(&format!("{names} is not named"));
        }
        if code != 104 && !line.contains("wrong.json") {
            complain("the file is not named");
        }
        if world.root().exists() || world.sandbox().exists() {
            complain("something was made");
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
