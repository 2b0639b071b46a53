//! What tasks are promised, as far as no golden case shows it: runs, orders, deaths of every kind,
//! environment, descriptors and logs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use thermos_tests::stream::{ProcessStatus, Record, Value, outcomes, runs, states, task_state};
use thermos_tests::{Process, Runner, World, need_program, need_root, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// A process with a command line, that does not wait between its runs.
fn process(name: &str, cmdline: &str) -> Json {
    json!({"name": name, "cmdline": cmdline, "min_duration": 0})
}

/// The same with other settings.
fn with(mut process: Json, settings: Json) -> Json {
    process.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    process
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

fn stdout(world: &World, process: &str, run: u32) -> String {
    text(world.sandbox().join(format!(".logs/{process}/{run}/stdout")))
}

fn stderr(world: &World, process: &str, run: u32) -> String {
    text(world.sandbox().join(format!(".logs/{process}/{run}/stderr")))
}

fn kill_pid(pid: i64) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
}

/// Waits until the process runs for the n-th time (from 0), and gives that record.
fn wait_run(runner: &Runner, name: &str, run: usize) -> ProcessStatus {
    wait_for(&format!("run {run} of {name}"), SOON, || {
        let records = runner.records();
        let all = runs(&records, name);
        all.get(run)?.iter().find(|it| it.state == "RUNNING").cloned()
    })
}

fn coordinator(runner: &Runner, name: &str, run: usize) -> i64 {
    let records = runner.records();
    runs(&records, name)[run].iter().find_map(|it| it.coordinator_pid).unwrap()
}

/// Succeeds in its n-th run.
fn succeeds_in(n: u32) -> String {
    format!(r#"echo x >> "count-{n}"; [ "$(wc -l < "count-{n}")" -ge {n} ]"#)
}

#[test]
fn an_ephemeral_process_does_not_hold_up_the_end() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [
        process("regular", "sleep 0.2"),
        with(process("helper", "sleep 300"), json!({"ephemeral": true})),
    ]});
    let runner = Runner::run(&world, "ephemeral", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert_eq!(outcomes(&records, "regular"), ["SUCCESS"]);
    assert_eq!(outcomes(&records, "helper"), ["KILLED"]);
}

#[test]
fn processes_are_tried_again_until_they_succeed() {
    need_root();
    let world = World::new();
    let processes: Vec<Json> = [1, 2, 3]
        .map(|n| with(process(&format!("p{n}"), &succeeds_in(n)), json!({"max_failures": 5})))
        .into();
    let task = json!({"processes": processes});
    let runner = Runner::run(&world, "retry", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert_eq!(outcomes(&records, "p1"), ["SUCCESS"]);
    assert_eq!(outcomes(&records, "p2"), ["FAILED", "SUCCESS"]);
    assert_eq!(outcomes(&records, "p3"), ["FAILED", "FAILED", "SUCCESS"]);
    // Failed runs keep their code and time, and times have an order.
    for run in ["p1", "p2", "p3"].iter().flat_map(|name| runs(&records, name)) {
        let [_, forked, running, ended] = run.as_slice() else { panic!("{run:#?}") };
        assert_eq!(ended.return_code, Some(i64::from(ended.state == "FAILED")));
        let (fork, start, stop) = (forked.fork_time, running.start_time, ended.stop_time);
        assert!(fork.is_some() && fork <= start && start <= stop, "{run:#?}");
    }
}

#[test]
fn what_depends_on_a_failed_process_never_runs() {
    need_root();
    let world = World::new();
    let task = json!({
        "processes": [process("a", "true"), process("b", "exit 3"), process("c", "true")],
        "constraints": [{"order": ["a", "b", "c"]}],
        "max_failures": 2,
    });
    let runner = Runner::run(&world, "deadlock", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("FAILED"));
    assert_eq!(outcomes(&records, "a"), ["SUCCESS"]);
    assert_eq!(outcomes(&records, "b"), ["FAILED"]);
    assert!(runs(&records, "c").is_empty());
    assert!(!world.sandbox().join(".logs/c").exists());
}

#[test]
fn a_task_without_failure_limit_succeeds() {
    need_root();
    let world = World::new();
    let names = ["a", "b", "c"];
    let good = names.map(|name| process(&format!("good-{name}"), "true"));
    let bad = names
        .map(|name| with(process(&format!("bad-{name}"), "exit 1"), json!({"max_failures": 2})));
    let all: Vec<Json> = good.into_iter().chain(bad).collect();
    let task = json!({"processes": all, "max_failures": 0});
    let runner = Runner::run(&world, "unlimited", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    for name in names {
        assert_eq!(outcomes(&records, &format!("good-{name}")), ["SUCCESS"]);
        assert_eq!(outcomes(&records, &format!("bad-{name}")), ["FAILED", "FAILED"]);
    }
}

#[test]
fn finalizers_run_in_their_order_after_everything_else() {
    need_root();
    let world = World::new();
    let last = |name: &str, cmdline: &str| with(process(name, cmdline), json!({"final": true}));
    let task = json!({
        "processes": [process("a", "sleep 0.1"), last("f1", "sleep 0.1"), last("f2", "true")],
        "constraints": [{"order": ["f1", "f2"]}],
    });
    let runner = Runner::run(&world, "finalizers", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    let times = |name| {
        let run = runs(&records, name).concat();
        (run[2].start_time.unwrap(), run[3].stop_time.unwrap())
    };
    assert!(times("a").1 <= times("f1").0 && times("f1").1 <= times("f2").0);
}

#[test]
fn failing_finalizers_do_not_fail_the_task() {
    need_root();
    let world = World::new();
    let last = |name: &str, cmdline: &str, failures: u32| {
        with(process(name, cmdline), json!({"final": true, "max_failures": failures}))
    };
    let task = json!({
        "processes": [
            process("a", "true"), last("f1", "exit 1", 1), last("f2", "true", 1),
            last("twice", "exit 1", 2), last("apart", "true", 1),
        ],
        "constraints": [{"order": ["f1", "f2"]}],
    });
    let runner = Runner::run(&world, "bad-finalizers", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert_eq!(outcomes(&records, "f1"), ["FAILED"]);
    assert!(runs(&records, "f2").is_empty());
    assert_eq!(outcomes(&records, "twice"), ["FAILED", "FAILED"]);
    assert_eq!(outcomes(&records, "apart"), ["SUCCESS"]);
}

#[test]
fn finalizers_run_for_a_failed_task() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [
        process("a", "exit 1"), with(process("f", "echo cleaned"), json!({"final": true})),
    ]});
    let runner = Runner::run(&world, "failed-final", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("FAILED"));
    assert_eq!(outcomes(&records, "f"), ["SUCCESS"]);
    assert_eq!(stdout(&world, "f", 0), "cleaned\n");
}

#[test]
fn a_killed_process_is_run_again_and_is_no_failure() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [
        process("a", r#"[ -e again ] && exit 0; touch again; exec sleep 300"#)
    ]});
    let mut runner = Runner::start(&world, "kill-bash", &task.to_string(), &[]);
    wait_for("the first run", SOON, || world.sandbox().join("again").exists().then_some(()));
    kill_pid(wait_run(&runner, "a", 0).pid.unwrap());
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert_eq!(outcomes(&records, "a"), ["KILLED", "SUCCESS"]);
    assert_eq!(runs(&records, "a")[0][3].return_code, Some(-9));
}

#[test]
fn a_run_that_lost_its_coordinator_is_lost_and_ended() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [
        process("a", r#"[ -e again ] && exit 0; sleep 300 & touch again; sleep 301; true"#)
    ]});
    let mut runner = Runner::start(&world, "kill-coordinator", &task.to_string(), &[]);
    wait_for("the first run", SOON, || world.sandbox().join("again").exists().then_some(()));
    wait_run(&runner, "a", 0);
    kill_pid(coordinator(&runner, "a", 0));
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert_eq!(outcomes(&records, "a"), ["LOST", "SUCCESS"]);
    let lost = runs(&records, "a")[0].last().cloned().unwrap();
    assert!(lost.reason.unwrap().contains("signal 9"));
}

#[test]
fn coordinator_killed_then_process_killed_then_running() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [
        process("a", r#"trap "" TERM; touch up-$$; while :; do sleep 0.1; done"#)
    ]});
    let args = ["--stop_grace_secs=1"];
    let mut runner = Runner::start(&world, "staged", &task.to_string(), &args);
    let up = |pid: i64| {
        let file = world.sandbox().join(format!("up-{pid}"));
        wait_for("the trap", SOON, || file.exists().then_some(()));
    };
    up(wait_run(&runner, "a", 0).pid.unwrap());
    kill_pid(coordinator(&runner, "a", 0));
    let second = wait_run(&runner, "a", 1).pid.unwrap();
    up(second);
    kill_pid(second);
    up(wait_run(&runner, "a", 2).pid.unwrap());
    assert_eq!(outcomes(&runner.records(), "a"), ["LOST", "KILLED", "RUNNING"]);
    // And it ignores being asked to end.
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"));
    assert_eq!(outcomes(&records, "a"), ["LOST", "KILLED", "KILLED"]);
}

#[test]
fn background_children_end_with_their_process() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [
        process("a", "sleep 300 & echo $! > child; exit 0"),
        process("b", "until [ -e go ]; do sleep 0.05; done"),
    ]});
    let mut runner = Runner::start(&world, "background", &task.to_string(), &[]);
    runner.wait_process("a", "SUCCESS", SOON);
    let child: i32 = text(world.sandbox().join("child")).trim().parse().unwrap();
    wait_for("the end of the child", SOON, || Process::read(child).is_none().then_some(()));
    assert_eq!(task_state(&runner.records()), Some("ACTIVE"));
    fs::write(world.sandbox().join("go"), "").unwrap();
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
}

#[test]
fn background_children_of_many_short_processes_end_with_them() {
    need_root();
    let world = World::new();
    // So short that what a run records comes in any order.
    let names: Vec<String> = (0..60).map(|i| format!("p{i}")).collect();
    let short = names.iter().map(|name| process(name, "sleep 300 & kill -9 $$"));
    let all: Vec<Json> = short
        .map(|process| with(process, json!({"ephemeral": true, "min_duration": 300})))
        .chain([process("stays", "until [ -e go ]; do sleep 0.05; done")])
        .collect();
    let task = json!({"processes": all, "max_failures": 0}).to_string();
    let mut runner = Runner::start(&world, "short", &task, &[]);
    for name in &names {
        runner.wait_process(name, "KILLED", SOON);
    }
    let left = || -> Vec<Process> {
        let all = world.leftovers().into_iter();
        all.filter(|process| process.command.trim_end() == "sleep 300").collect()
    };
    let begun = Instant::now();
    while !left().is_empty() && begun.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(20));
    }
    let survived = left();
    fs::write(world.sandbox().join("go"), "").unwrap();
    runner.finish(&world);
    assert!(survived.is_empty(), "{} survived their process: {survived:#?}", survived.len());
}

#[test]
fn background_children_end_before_the_next_run() {
    need_root();
    // However a run ends, and even if the next one starts at once.
    for (end, outcome) in
        [("exit 1", "FAILED"), ("kill -9 $$", "KILLED"), ("kill -9 $PPID; sleep 300", "LOST")]
    {
        let world = World::new();
        let cmdline = format!(
            r#"if [ -e child ]; then
                sleep 0.3; kill -0 $(cat child) && echo alive; until [ -e go ]; do sleep 0.05; done
            else
                sleep 300 & echo $! > child; {end}
            fi"#
        );
        let again = with(process("a", &cmdline), json!({"max_failures": 2}));
        let task = json!({"processes": [again]}).to_string();
        let mut runner = Runner::start(&world, "next-run", &task, &[]);
        wait_run(&runner, "a", 1);
        let child: i32 = text(world.sandbox().join("child")).trim().parse().unwrap();
        let begun = Instant::now();
        while Process::read(child).is_some() && begun.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(20));
        }
        let survived = Process::read(child);
        fs::write(world.sandbox().join("go"), "").unwrap();
        runner.finish(&world);
        assert_eq!(outcomes(&runner.records(), "a"), [outcome, "SUCCESS"]);
        assert!(survived.is_none(), "after a run that was {outcome}: {survived:?}");
        assert_eq!(stdout(&world, "a", 1), "", "after a run that was {outcome}");
    }
}

#[test]
fn three_layers_with_all_edges_between_them() {
    need_root();
    let world = World::new();
    let names = ["a1", "a2", "b1", "b2", "c1", "c2"];
    let processes: Vec<Json> = names.map(|name| process(name, "sleep 0.05")).into();
    let layers = [["a1", "a2"], ["b1", "b2"], ["c1", "c2"]];
    let mut orders = Vec::new();
    for pair in layers.windows(2) {
        for before in pair[0] {
            orders.extend(pair[1].map(|after| json!({"order": [before, after]})));
        }
    }
    let task = json!({"processes": processes, "constraints": orders});
    let runner = Runner::run(&world, "layers", &task.to_string(), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    let time = |name: &str| {
        let run = runs(&records, name).concat();
        (run[2].start_time.unwrap(), run[3].stop_time.unwrap())
    };
    for pair in layers.windows(2) {
        for before in pair[0] {
            for after in pair[1] {
                assert!(time(before).1 <= time(after).0, "{before} {after}");
            }
        }
    }
    let mut seen: Vec<String> = records
        .iter()
        .filter_map(|record| match record {
            Record::Process(it) => Some(it.process.clone()),
            _ => None,
        })
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, names);
    for name in names {
        assert_eq!(outcomes(&records, name), ["SUCCESS"]);
    }
}

#[test]
fn the_header_says_what_was_started() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [process("a", "echo {{thermos.ports[http]}}")]});
    let args = ["--port=http:8080", "--port=admin:9090"];
    let runner = Runner::run(&world, "header", &task.to_string(), &args);
    let records = runner.records();
    let headers: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Header(header) => Some(header),
            _ => None,
        })
        .collect();
    let [header] = headers.as_slice() else { panic!("{headers:?}") };
    let is_text = |id: i16, expected: &str| {
        assert_eq!(header.get(&id), Some(&Value::Text(expected.to_owned())));
    };
    is_text(1, "header");
    is_text(3, world.sandbox().to_str().unwrap());
    is_text(4, "host.example");
    is_text(5, "root");
    is_text(7, world.sandbox().join(".logs").to_str().unwrap());
    assert_eq!(header.get(&8), Some(&Value::Integer(0)));
    let Some(Value::Integer(launched)) = header.get(&2) else { panic!("{header:?}") };
    let Some(Record::Task(first)) = records.first() else { panic!("{records:?}") };
    assert!((launched - first.timestamp_ms).abs() < 10_000);
    let Some(Value::Map(ports)) = header.get(&6) else { panic!("{header:?}") };
    let port = |name: &str, port| (Value::Text(name.to_owned()), Value::Integer(port));
    let mut ports = ports.clone();
    ports.sort_by_key(|entry| format!("{entry:?}"));
    assert_eq!(ports, [port("admin", 9090), port("http", 8080)]);
    assert_eq!(stdout(&world, "a", 0), "8080\n");
}

#[test]
fn max_concurrency_is_kept() {
    need_root();
    let world = World::new();
    let names = ["a", "b", "c", "d"];
    let processes: Vec<Json> = names.map(|name| process(name, "sleep 0.2")).into();
    let task = json!({"processes": processes, "max_concurrency": 1});
    let runner = Runner::run(&world, "one-by-one", &task.to_string(), &[]);
    let records = runner.records();
    let mut times: Vec<(f64, f64)> = names
        .iter()
        .map(|name| {
            assert_eq!(outcomes(&records, name), ["SUCCESS"]);
            let run = runs(&records, name).concat();
            (run[1].fork_time.unwrap(), run[3].stop_time.unwrap())
        })
        .collect();
    // In the order of declaration.
    assert!(times.is_sorted_by_key(|(fork, _)| *fork), "{times:?}");
    times.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{times:?}");
}

#[test]
fn a_profile_is_in_force_for_later_processes() {
    need_root();
    let world = World::new();
    let task = json!({
        "processes": [
            process("before", "echo ${FLAVOUR-none}"),
            process("setup", "echo 'export FLAVOUR=sweet' > more; echo '. ./more' > .thermos_profile"),
            process("after", "echo ${FLAVOUR-none} $BASH_ENV; bash -c 'echo nested $FLAVOUR'"),
        ],
        "constraints": [{"order": ["before", "setup", "after"]}],
    });
    let runner = Runner::run(&world, "profile", &task.to_string(), &[]);
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
    assert_eq!(stdout(&world, "before", 0), "none\n");
    let profile = world.sandbox().join(".thermos_profile");
    assert_eq!(stdout(&world, "after", 0), format!("sweet {}\nnested sweet\n", profile.display()));
}

#[test]
fn output_is_what_the_process_wrote() {
    need_root();
    let world = World::new();
    let lines = "for i in $(seq 31); do echo out $i; echo err $i >&2; done";
    let task = json!({"processes": [process("hello", "echo hello world"), process("many", lines)]});
    Runner::run(&world, "output", &task.to_string(), &[]);
    assert_eq!(stdout(&world, "hello", 0), "hello world\n");
    assert_eq!(stderr(&world, "hello", 0), "");
    let expected = |word: &str| (1..=31).map(|i| format!("{word} {i}\n")).collect::<String>();
    assert_eq!(stdout(&world, "many", 0), expected("out"));
    assert_eq!(stderr(&world, "many", 0), expected("err"));
    let stream = fs::read(world.streams("output").join("coordinator.hello")).unwrap();
    let recorded = thermos_tests::stream::records(&stream);
    assert_eq!(states(&recorded), ["hello#1 FORKED", "hello#2 RUNNING", "hello#3 SUCCESS rc=0"]);
}

#[test]
fn another_user_has_his_ids_groups_and_logs() {
    need_root();
    need_program("unshare", "util-linux");
    need_program("mount", "mount");
    let world = World::new();
    let groups = world.path().join("group");
    fs::write(
        &groups,
        text("/etc/group") + "\nextra:x:54400:daemon,nobody\nother:x:54401:daemon\n",
    )
    .unwrap();
    let mount = format!("mount --bind {} /etc/group && exec \"$@\"", groups.display());
    let task = json!({"processes": [
        process("a", "id -u; id -ru; id -g; id -G; echo $USER $LOGNAME; touch mine || echo no"),
    ]});
    let command = ["unshare", "--mount", "bash", "-c", &mount, "bash"];
    let args = ["--setuid=nobody"];
    let mut runner = Runner::start_under(&world, &command, "nobody", &task.to_string(), &args);
    runner.finish(&world);
    assert_eq!(
        stdout(&world, "a", 0),
        "65534\n65534\n65534\n65534 54400\nnobody nobody\nno\n",
        "{}",
        stderr(&world, "a", 0)
    );
    let owner = |path: &str| {
        let meta = fs::metadata(world.sandbox().join(path)).unwrap();
        (meta.uid(), meta.gid())
    };
    assert_eq!(owner(".logs/a/0/stdout"), (65534, 65534));
    assert_eq!(owner(".logs/a/0/stderr"), (65534, 65534));
    assert_eq!(owner(".logs/a/0"), (65534, 65534));
    assert_eq!(owner(".logs/a"), (0, 0));
    // What is trusted later stays with the runner's user.
    for stream in ["runner", "coordinator.a"] {
        let meta = fs::metadata(world.streams("nobody").join(stream)).unwrap();
        assert_eq!((meta.uid(), meta.permissions().mode() & 0o022), (0, 0), "{stream}");
    }
}

#[test]
fn only_root_can_run_processes_as_another_user() {
    need_root();
    need_program("setpriv", "util-linux");
    let world = World::new();
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let task = json!({"processes": [process("a", "true")]});
    let command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let args = ["--setuid=root"];
    let mut runner = Runner::start_under(&world, &command, "no-root", &task.to_string(), &args);
    assert_eq!(runner.wait(SOON).code(), Some(104), "{}", runner.output());
    assert!(runner.output().contains("root"), "{}", runner.output());
    assert!(!world.root().exists() && !world.sandbox().exists());
}

#[test]
fn logs_belong_to_the_user_who_runs_the_runner() {
    need_root();
    need_program("setpriv", "util-linux");
    let world = World::new();
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let task = json!({"processes": [process("a", "id -u")]});
    let command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let mut runner = Runner::start_under(&world, &command, "plain", &task.to_string(), &[]);
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
    assert_eq!(stdout(&world, "a", 0), "65534\n");
    let stderr = fs::metadata(world.sandbox().join(".logs/a/0/stderr")).unwrap();
    assert_eq!((stderr.uid(), stderr.len()), (65534, 0));
}

#[test]
fn no_descriptor_is_inherited() {
    need_root();
    let world = World::new();
    let file = world.path().join("inherited");
    fs::write(&file, "kept").unwrap();
    let task = json!({"processes": [process(
        "a",
        "for n in $(seq 0 300); do [ -e /proc/$$/fd/$n ] && echo $n; done; readlink /proc/$$/fd/0; \
         { echo written >&7; } 2>&- || echo refused"
    )]});
    let open = format!("exec 7<>{0} 9<{0} 200<{0}; exec \"$@\"", file.display());
    let command = ["bash", "-c", &open, "bash"];
    let mut runner = Runner::start_under(&world, &command, "fds", &task.to_string(), &[]);
    runner.finish(&world);
    assert_eq!(stdout(&world, "a", 0), "0\n1\n2\n/dev/null\nrefused\n");
    assert_eq!(text(&file), "kept");
}

#[test]
fn signals_and_mask_of_a_process_are_those_of_a_fresh_one() {
    need_root();
    let world = World::new();
    let task = json!({"processes": [process("a", "exec cat /proc/self/status")]});
    // Started with everything ignored that can be.
    let ignore = "trap '' PIPE XFSZ QUIT INT HUP TSTP TTIN TTOU USR1; exec \"$@\"";
    let command = ["bash", "-c", ignore, "bash"];
    let mut runner = Runner::start_under(&world, &command, "signals", &task.to_string(), &[]);
    runner.finish(&world);
    let status = stdout(&world, "a", 0);
    for signals in ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"] {
        let line = format!("{signals}:\t{}", "0".repeat(16));
        assert!(status.lines().any(|other| other == line), "no {line:?} in {status}");
    }
}

#[test]
fn the_environment_is_preserved_on_request_only() {
    need_root();
    let command = ["env", "FLAVOUR=sweet", "HOME=/elsewhere", "LD_PRELOAD="];
    let seen = |args: &[&str]| {
        let world = World::new();
        let task = json!({"processes": [process("a", "exec /usr/bin/env")]});
        let mut runner = Runner::start_under(&world, &command, "env", &task.to_string(), args);
        runner.finish(&world);
        let text = stdout(&world, "a", 0);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // Bash's own.
        lines.retain(|line| !["PWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own)));
        lines.sort();
        (lines, format!("HOME={}", world.sandbox().display()))
    };
    let path = format!("PATH={}", std::env::var("PATH").unwrap());
    let (lines, home) = seen(&[]);
    assert_eq!(lines, [home, "LOGNAME=root".into(), path.clone(), "USER=root".into()]);
    let (lines, home) = seen(&["--preserve_env"]);
    for line in [home, path, "FLAVOUR=sweet".into(), "LD_PRELOAD=".into(), "USER=root".into()] {
        assert_eq!(lines.iter().filter(|other| **other == line).count(), 1, "{line}: {lines:#?}");
    }
}

#[test]
fn output_goes_where_flags_and_loggers_say() {
    need_root();
    let logger = |destination: &str| json!({"logger": {"destination": destination}});
    let task = json!({"processes": [
        process("plain", "echo plain out; echo plain err >&2"),
        with(process("file", "echo file out"), logger("file")),
        with(process("console", "echo console out; echo console err >&2"), logger("console")),
        with(process("none", "echo none out; echo none err >&2"), logger("none")),
    ]});
    let files = |world: &World, process: &str| {
        let dir = world.sandbox().join(format!(".logs/{process}/0"));
        fs::read_dir(dir).unwrap().count()
    };
    for (flag, plain_files, plain_shown) in
        [("file", 2, false), ("console", 0, true), ("none", 0, false)]
    {
        let world = World::new();
        let flag = format!("--process_logger_destination={flag}");
        let runner = Runner::run(&world, "logs", &task.to_string(), &[&flag]);
        assert_eq!(task_state(&runner.records()), Some("SUCCESS"));
        assert_eq!(files(&world, "plain"), plain_files, "{flag}");
        assert_eq!(files(&world, "file"), 2);
        assert_eq!(files(&world, "console"), 0);
        assert_eq!(files(&world, "none"), 0);
        let shown = runner.output();
        assert!(shown.contains("console out\n") && shown.contains("console err\n"), "{shown}");
        assert_eq!(shown.contains("plain out\n"), plain_shown, "{flag}: {shown}");
        assert_eq!(shown.contains("plain err\n"), plain_shown, "{flag}: {shown}");
        assert!(!shown.contains("none ") && !shown.contains("file out"), "{flag}: {shown}");
        assert_eq!(stdout(&world, "file", 0), "file out\n");
    }
}
