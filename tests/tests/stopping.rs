//! How tasks are ended: who is asked, how long they may take, and that nothing survives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value as Json, json};
use thermos_tests::strace::{Call, calls, each};
use thermos_tests::stream::{Record, outcomes, runs, states, task_state};
use thermos_tests::{Process, Runner, World, need_program, need_root, wait_for};

const SOON: Duration = Duration::from_secs(20);

/// A command line that says `up`, ignores SIGTERM and never ends.
const DEAF: &str = r#"trap "" TERM; touch up; while :; do sleep 0.05; done"#;

/// A shell that says `NAME.up`, and on SIGTERM takes `seconds` before it says `NAME.term` and ends.
fn polite(name: &str, seconds: f64) -> String {
    format!(
        "bash -c 'trap \"sleep {seconds}; echo > {name}.term; exit 0\" TERM; echo > {name}.up; \
         while :; do sleep 0.05; done'"
    )
}

fn process(name: &str, cmdline: &str) -> Json {
    json!({"name": name, "cmdline": cmdline, "min_duration": 0})
}

fn finalizer(name: &str, cmdline: &str) -> Json {
    json!({"name": name, "cmdline": cmdline, "final": true})
}

fn task(processes: &[Json]) -> String {
    json!({"processes": processes}).to_string()
}

fn file(world: &World, name: &str) -> PathBuf {
    world.sandbox().join(name)
}

/// Waits until processes have made these files in the sandbox.
fn wait_files(world: &World, names: &[&str]) {
    for name in names {
        wait_for(name, SOON, || file(world, name).exists().then_some(()));
    }
}

/// Seconds from the first record of a task state to the last record of a process or the task.
fn seconds_from(records: &[Record], state: &str) -> f64 {
    let times: Vec<f64> = records
        .iter()
        .skip_while(|record| !matches!(record, Record::Task(it) if it.state == state))
        .filter_map(|record| match record {
            Record::Task(it) => Some(it.timestamp_ms as f64 / 1e3),
            Record::Process(it) => it.stop_time,
            Record::Header(_) | Record::Log(_) => None,
        })
        .collect();
    times.iter().fold(0.0, |latest: f64, time| latest.max(*time)) - times[0]
}

#[test]
fn everything_in_the_session_is_asked_and_has_its_time() {
    need_root();
    let world = World::new();
    // Bash itself dies from SIGTERM at once; what it waits for must not be killed with it.
    let compound = format!("{}; true", polite("child", 0.7));
    let background = format!("{} & {} & wait; true", polite("one", 0.3), polite("two", 0.9));
    let all = [process("compound", &compound), process("background", &background)];
    let mut runner = Runner::start(&world, "polite", &task(&all), &["--stop_grace_secs=20"]);
    wait_files(&world, &["child.up", "one.up", "two.up"]);
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"));
    for name in ["child.term", "one.term", "two.term"] {
        assert!(file(&world, name).exists(), "{name}: {:#?}", states(&records));
    }
    for name in ["compound", "background"] {
        let last = runs(&records, name).concat().pop().unwrap();
        assert_eq!((last.state, last.return_code), ("KILLED", Some(-15)), "{name}");
    }
    assert!(seconds_from(&records, "CLEANING") < 10.0, "the end was waited for too long");
}

#[test]
fn who_ignores_the_request_is_killed_when_the_grace_is_over() {
    need_root();
    let world = World::new();
    let all = [process("deaf", DEAF), finalizer("last", "true")];
    let mut runner = Runner::start(&world, "deaf", &task(&all), &["--stop_grace_secs=2"]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"));
    let last = runs(&records, "deaf").concat().pop().unwrap();
    assert_eq!((last.state, last.return_code), ("KILLED", Some(-1)));
    // The time is used up: no finalization.
    assert!(runs(&records, "last").is_empty());
    let seconds = seconds_from(&records, "CLEANING");
    assert!((1.99..12.0).contains(&seconds), "{seconds} s of grace");
}

#[test]
fn a_daemon_in_its_own_session_is_asked_when_the_task_ends() {
    need_root();
    let world = World::new();
    let cmdline = format!(
        "setsid {} & until [ -e daemon.up ]; do sleep 0.02; done; exit 0",
        polite("daemon", 0.5)
    );
    let runner = Runner::run(&world, "daemon", &task(&[process("a", &cmdline)]), &[]);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    assert!(file(&world, "daemon.term").exists());
    assert!(seconds_from(&records, "CLEANING") >= 0.4);
}

#[test]
fn a_daemon_that_ignores_the_request_is_killed_at_the_deadline() {
    need_root();
    let world = World::new();
    // Twice removed, without anything of its environment, elsewhere, with other descriptors.
    let daemon =
        "trap '' TERM HUP; cd /; echo $$ > $0; exec <&- >&- 2>&-; while :; do sleep 0.05; done";
    let cmdline = format!(
        r#"(setsid env -i /bin/bash -c "{}" $PWD/pid &) ; until [ -s pid ]; do sleep 0.02; done"#,
        daemon.replace('$', r"\$")
    );
    let task = json!({"processes": [process("a", &cmdline)], "finalization_wait": 1});
    let mut runner = Runner::start(&world, "deaf-daemon", &task.to_string(), &[]);
    wait_files(&world, &["pid"]);
    let pid = wait_for("its pid", SOON, || {
        fs::read_to_string(file(&world, "pid")).ok()?.trim().parse::<i32>().ok()
    });
    runner.finish(&world);
    assert!(Process::read(pid).is_none(), "{:?}", Process::read(pid));
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"));
    let seconds = seconds_from(&records, "CLEANING");
    assert!((0.99..12.0).contains(&seconds), "{seconds} s for the daemon");
}

#[test]
fn processes_that_became_another_user_are_ended() {
    need_root();
    need_program("setpriv", "util-linux");
    let change = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let deaf = "trap \\\"\\\" TERM; while :; do sleep 0.05; done";
    let cmdline = format!(
        r#"{change} bash -c "{deaf}" & {change} setsid bash -c "{deaf}" & touch up; sleep 300; true"#
    );
    for signal in [Signal::SIGUSR1, Signal::SIGUSR2] {
        let world = World::new();
        let all = [process("a", &cmdline)];
        let mut runner = Runner::start(&world, "changed", &task(&all), &["--stop_grace_secs=1"]);
        wait_files(&world, &["up"]);
        wait_for("both of them", SOON, || {
            let left = world.leftovers();
            let changed = left.iter().filter(|it| it.command.starts_with("bash -c trap")).count();
            (changed == 2).then_some(())
        });
        runner.signal(signal);
        runner.finish(&world);
    }
    // The same when the process itself ends.
    let world = World::new();
    let all = [
        process("a", &format!(r#"{change} bash -c "{deaf}" & echo $! > child; sleep 0.3"#)),
        process("b", "until [ -e go ]; do sleep 0.05; done"),
    ];
    let mut runner = Runner::start(&world, "changed", &task(&all), &[]);
    runner.wait_process("a", "SUCCESS", SOON);
    let child = fs::read_to_string(file(&world, "child")).unwrap().trim().parse().unwrap();
    wait_for("the end of the child", SOON, || Process::read(child).is_none().then_some(()));
    fs::write(file(&world, "go"), "").unwrap();
    runner.finish(&world);
}

/// Lines of processes, each of which forks its successor and exits, for a minute at most.
fn bomb(lines: u32) -> String {
    format!(
        r#"exec perl -e '$SIG{{TERM}} = "IGNORE"; $end = time + 60;
            for (1 .. {lines}) {{ next if fork; while (time < $end) {{
                exit if fork; select undef, undef, undef, 0.05 }} exit }}
            open F, ">", "up"; sleep 60'"#
    )
}

#[test]
fn processes_that_keep_forking_are_ended() {
    need_root();
    need_program("perl", "perl-base");
    let world = World::new();
    let all = [process("bomb", &bomb(200))];
    let mut runner = Runner::start(&world, "bomb", &task(&all), &["--stop_grace_secs=1"]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("KILLED"));
}

#[test]
fn processes_that_keep_forking_in_other_sessions_are_ended() {
    need_root();
    need_program("perl", "perl-base");
    let world = World::new();
    let cmdline = bomb(50).replace("exit if fork;", "exit if fork; POSIX::setsid();");
    let cmdline = cmdline.replace("perl -e", "perl -MPOSIX -e");
    let all = [process("bomb", &cmdline)];
    let mut runner = Runner::start(&world, "bomb", &task(&all), &["--stop_grace_secs=1"]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGUSR2);
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("LOST"));
}

#[test]
fn stopped_processes_and_coordinators_are_ended() {
    need_root();
    let world = World::new();
    let all = [
        process("itself", "touch one; kill -STOP $$; sleep 300; true"),
        process("coordinator", "touch two; kill -STOP $PPID; sleep 300; true"),
    ];
    let mut runner = Runner::start(&world, "stopped", &task(&all), &["--stop_grace_secs=1"]);
    wait_files(&world, &["one", "two"]);
    runner.signal(Signal::SIGUSR1);
    runner.finish(&world);
    assert_eq!(task_state(&runner.records()), Some("KILLED"));
}

#[test]
fn signals_that_kill_let_finalizers_run() {
    need_root();
    for signal in [Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGINT, Signal::SIGHUP] {
        let world = World::new();
        let all = [process("a", "touch up; exec sleep 300"), finalizer("last", "touch cleaned")];
        let mut runner = Runner::start(&world, "kill", &task(&all), &[]);
        wait_files(&world, &["up"]);
        runner.wait_process("a", "RUNNING", SOON);
        runner.signal(signal);
        runner.finish(&world);
        let records = runner.records();
        assert_eq!(task_state(&records), Some("KILLED"), "{signal}");
        assert_eq!(outcomes(&records, "a"), ["KILLED"], "{signal}");
        assert_eq!(outcomes(&records, "last"), ["SUCCESS"], "{signal}");
        assert!(file(&world, "cleaned").exists(), "{signal}");
    }
}

#[test]
fn sigusr2_gives_up_at_once() {
    need_root();
    let world = World::new();
    let all = [process("a", DEAF), finalizer("last", "true")];
    let mut runner = Runner::start(&world, "lose", &task(&all), &[]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGUSR2);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("LOST"));
    assert_eq!(outcomes(&records, "a"), ["KILLED"]);
    assert!(runs(&records, "last").is_empty());
}

#[test]
fn a_second_interrupt_ends_the_grace() {
    need_root();
    let world = World::new();
    let all = [process("a", DEAF), finalizer("last", "true")];
    let mut runner = Runner::start(&world, "impatient", &task(&all), &[]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGINT);
    runner.wait_task("CLEANING", SOON);
    runner.signal(Signal::SIGINT);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"));
    assert_eq!(outcomes(&records, "a"), ["KILLED"]);
}

#[test]
fn a_finalizer_that_runs_goes_on_in_the_time_of_the_kill() {
    need_root();
    let world = World::new();
    let last = finalizer("last", "touch up; until [ -e go ]; do sleep 0.05; done");
    let mut runner = Runner::start(&world, "in-final", &task(&[process("a", "true"), last]), &[]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGTERM);
    wait_for("the second FINALIZING", SOON, || {
        let finalizing =
            |record: &&Record| matches!(record, Record::Task(it) if it.state == "FINALIZING");
        (runner.records().iter().filter(finalizing).count() == 2).then_some(())
    });
    fs::write(file(&world, "go"), "").unwrap();
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"));
    assert_eq!(outcomes(&records, "last"), ["SUCCESS"]);
}

#[test]
fn hangups_are_ignored_under_nohup() {
    need_root();
    need_program("nohup", "coreutils");
    let world = World::new();
    let all = [process("a", "touch up; until [ -e go ]; do sleep 0.05; done")];
    let mut runner = Runner::start_under(&world, &["nohup"], "nohup", &task(&all), &[]);
    wait_files(&world, &["up"]);
    runner.signal(Signal::SIGHUP);
    runner.signal(Signal::SIGHUP);
    fs::write(file(&world, "go"), "").unwrap();
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"), "{:#?}", states(&records));
}

#[test]
fn many_signals_at_once_are_one_request() {
    need_root();
    let world = World::new();
    let all = [process("a", "touch up; exec sleep 300"), finalizer("last", "true")];
    let mut runner = Runner::start(&world, "many", &task(&all), &[]);
    wait_files(&world, &["up"]);
    for _ in 0..300 {
        for signal in [Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGHUP] {
            runner.signal(signal);
        }
    }
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("KILLED"));
    assert_eq!(outcomes(&records, "a"), ["KILLED"]);
    assert_eq!(outcomes(&records, "last"), ["SUCCESS"]);
}

#[test]
fn a_signal_at_any_moment_is_kept_or_comes_before_everything() {
    need_root();
    let all = task(&[process("a", "exec sleep 0.1"), finalizer("last", "true")]);
    let calls = calls(&all);
    // From the first launch on, the task may end by itself before the signal.
    let first_launch = calls.iter().position(|call| call.name == "clone").unwrap();
    // A sample, and all that have to do with handlers.
    let is_tried = |(number, call): &(usize, Call)| {
        number % 9 == 0 || (call.name == "rt_sigaction" && *number < first_launch)
    };
    let tried: Vec<(usize, Call)> = calls.into_iter().enumerate().filter(is_tried).collect();
    each(tried, |(number, call)| {
        let world = World::new();
        let command = call.with_signal("USR1");
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut runner = Runner::start_under(&world, &command, "early", &all, &[]);
        if runner.wait(SOON).code().is_none() {
            // There was no handler for it yet.
            assert!(!world.root().exists(), "died at {call}, with something begun");
            return;
        }
        let records = runner.records();
        let state = task_state(&records);
        if number < first_launch || state != Some("SUCCESS") {
            assert_eq!(state, Some("KILLED"), "{call}: {}", runner.output());
        }
        world.wait_until_clean(SOON);
    });
}

#[test]
fn a_task_cannot_end_its_runner_or_coordinator_by_signals() {
    need_root();
    let world = World::new();
    // Every signal but the two that nothing can withstand.
    let cmdline = r#"
        read -r _ _ _ runner _ < <(sed 's/(.*)/x/' /proc/$PPID/stat)
        for signal in $(seq 1 64); do
            kill -$signal $runner && echo "sent $signal to $runner"
            case $signal in 9 | 19 | 32 | 33) continue ;; esac
            kill -$signal $PPID
        done 2> errors
        sleep 0.3
        kill -KILL $runner 2>> errors || kill -STOP $runner 2>> errors || echo refused
    "#;
    let mut runner = Runner::start(
        &world,
        "attack",
        &task(&[process(
            "a",
            &format!("cd /tmp; exec 2>/dev/null; {}", cmdline.replace("errors", "/dev/null")),
        )]),
        &["--setuid=nobody"],
    );
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(states(&records).last().unwrap(), "TASK SUCCESS");
    assert_eq!(outcomes(&records, "a"), ["SUCCESS"]);
    let said = fs::read_to_string(file(&world, ".logs/a/0/stdout")).unwrap();
    assert_eq!(said, "refused\n");
}
