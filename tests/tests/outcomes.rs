//! Every end of a task that an executor can report, on a real Mesos: the row of the table in
//! `thermos_executor::outcome`, or the situation, that a test is about is in its name.
//!
//! Where the end depends on what the runner finds, a script that the agent starts in place of the
//! executor prepares that, in the executor's directory, and then becomes the executor. Not here, as
//! no runner can leave it behind: an exit with 0 or 105 while the stream says ACTIVE, CLEANING or
//! FINALIZING. Such a stream is taken over.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use thermos_tests::mesos::{Cluster, Launch, Scheduler, Update, assigned, job, process};
use thermos_tests::workspace;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// After the end of an executor nothing may be left but what is being reaped.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Who processes run as where it does not matter.
const USER: &str = "daemon";

/// What a script is given, that is, the runner in the executor's file, with the directories and the
/// id of the task that the executor will be given.
const RUNNER: &str = r#"
    runner=(./thermos_executor --thermos-role=runner "--thermos_json=$PWD/before.json"
        "--sandbox=$PWD/sandbox" "--checkpoint_root=$PWD/checkpoints" "--task_id=$task")
"#;

/// A cluster, its scheduler, and the only task on it.
struct Case {
    cluster: Cluster,
    scheduler: Scheduler,
    task_id: String,
}

impl Case {
    /// Launches a task. The script is run first; `$task` in it is the task's id.
    fn launch(task_id: &str, job: &Value, script: &str) -> Case {
        Case::launch_data(
            task_id,
            aurora_api::binary::to_vec(&assigned(task_id, USER, job)),
            script,
        )
    }

    /// The same with all that the executor is given.
    fn launch_data(task_id: &str, data: Vec<u8>, script: &str) -> Case {
        let cluster = Cluster::start();
        let mut scheduler = Scheduler::register(&cluster);
        let mut launch = Launch::new(task_id, data);
        let path = cluster.path().join("first.sh");
        let text = format!(
            "#!/bin/bash\nset -e\ntask={task_id}\n{script}\nexec \"${{as[@]}}\" ./thermos_executor \
             \"${{flags[@]}}\"\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        launch.value = format!("exec {}", path.display());
        scheduler.launch(&[launch]);
        Case { cluster, scheduler, task_id: task_id.to_owned() }
    }

    /// Waits for the end, which must be reported so, by the executor, and leave nothing behind.
    fn expect(&self, states: &[&str], message: &str) -> Update {
        self.expect_within(LONG, states, message)
    }

    fn expect_within(&self, limit: Duration, states: &[&str], message: &str) -> Update {
        let last = self.scheduler.expect(&self.task_id, states, limit);
        assert!(last.message.contains(message), "{message:?} is not in {:?}", last.message);
        assert_eq!(last.source, "SOURCE_EXECUTOR");
        self.cluster.wait_until_gone(AT_ONCE);
        last
    }

    /// Sends the runner a signal once the task runs.
    fn signal_runner(&self, signal: Signal) {
        self.scheduler.wait_state(&self.task_id, "TASK_RUNNING", LONG);
        self.cluster.wait_file(&self.task_id, "there");
        let runner = self.cluster.runner(self.cluster.executor("thermos_executor"));
        kill(Pid::from_raw(runner), signal).unwrap();
    }
}

/// A job of one process.
fn job_of(command_line: &str) -> Value {
    job(USER, &[process("p", command_line)])
}

/// A process that says that it is there and stays.
const STAYS: &str = "echo yes > there; while :; do sleep .1; done";

/// A script that runs another task with the same id before the executor comes.
fn before(command_line: &str, run: &str) -> String {
    let task = json!({"name": "task", "processes": [process("p", command_line)]});
    format!("cat >before.json <<'EOF'\n{task}\nEOF\n{RUNNER}{run}")
}

#[test]
fn runner_0_stream_success() {
    let case = Case::launch("t", &job_of("true"), "");
    case.expect(&["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"], "task finished");
}

#[test]
fn runner_0_stream_failed() {
    let case = Case::launch("t", &job_of("false"), "");
    case.expect(&["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"], "task failed");
}

#[test]
fn runner_0_stream_killed() {
    let case = Case::launch("t", &job_of(STAYS), "");
    case.signal_runner(Signal::SIGUSR1);
    case.expect(&["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], "task killed");
}

#[test]
fn runner_0_stream_lost() {
    let case = Case::launch("t", &job_of(STAYS), "");
    case.signal_runner(Signal::SIGUSR2);
    case.expect(&["TASK_STARTING", "TASK_RUNNING", "TASK_LOST"], "task lost");
}

/// The task was over before: its runner says nothing and runs nothing.
#[test]
fn runner_0_stream_of_before() {
    for (command_line, run, state, message) in [
        ("true", "\"${runner[@]}\"", "TASK_FINISHED", "task finished"),
        ("false", "\"${runner[@]}\"", "TASK_FAILED", "task failed"),
        (STAYS, "\"${runner[@]}\" & sleep 1; kill -USR1 $!; wait $!", "TASK_KILLED", "task killed"),
        (STAYS, "\"${runner[@]}\" & sleep 1; kill -USR2 $!; wait $!", "TASK_LOST", "task lost"),
    ] {
        let case = Case::launch("t", &job_of("touch again"), &before(command_line, run));
        case.expect(&["TASK_STARTING", "TASK_RUNNING", state], message);
        assert!(!case.cluster.sandbox("t").join("again").exists(), "it was run");
    }
}

/// The id was used, and the stream is gone.
#[test]
fn runner_105_stream_unreadable() {
    let script =
        "mkdir -p checkpoints/tasks/finished; echo '{}' > checkpoints/tasks/finished/$task";
    let case = Case::launch("t", &job_of("true"), script);
    case.expect(&["TASK_STARTING", "TASK_LOST"], "checkpoint could not be read");
}

#[test]
fn runner_101_port_not_assigned() {
    let case = Case::launch("t", &job_of("echo {{thermos.ports[http]}}"), "");
    case.expect(&["TASK_STARTING", "TASK_LOST"], "internal error");
}

/// An instance of the old form, in which the scheduler should have bound everything.
#[test]
fn runner_102_reference_not_bound() {
    let mut instance = job_of("echo {{mesos.instance}}");
    instance["instance"] = json!(4);
    let case = Case::launch("t", &instance, "");
    case.expect(&["TASK_STARTING", "TASK_FAILED"], "invalid task");
}

#[test]
fn runner_103_another_runner() {
    let run = "\"${runner[@]}\" & while [[ ! -e sandbox/there ]]; do sleep .1; done";
    let case = Case::launch("t", &job_of("true"), &before(STAYS, run));
    case.expect(&["TASK_STARTING", "TASK_LOST"], "unknown error");
}

#[test]
fn runner_of_another_exit_code_stream_that_is_none() {
    let script = "mkdir -p checkpoints/checkpoints/$task; echo nonsense > checkpoints/checkpoints/$task/runner";
    let case = Case::launch("t", &job_of("true"), script);
    case.expect(&["TASK_STARTING", "TASK_LOST"], "unknown reason with exit status 1");
}

/// A user database that knows the user only while it is asked the first time.
const FORGETFUL: &str = r#"
    mkdir bin
    cat >bin/getent <<'EOF'
#!/bin/bash
[[ $2 == passwd && $3 == elsewhere ]] || exit 2
cd "${0%/*}"
mkdir asked || SECOND
echo "elsewhere:x:1:1::/:/bin/bash"
EOF
    chmod +x bin/getent
    PATH=$PWD/bin:$PATH
    flags=(--execute-as-user=elsewhere)
"#;

#[test]
fn runner_104_user_unknown_to_it() {
    let case = Case::launch("t", &job_of("true"), &FORGETFUL.replace("SECOND", "exit 2"));
    case.expect(&["TASK_STARTING", "TASK_FAILED"], "unknown user");
}

#[test]
fn runner_does_not_start_in_time() {
    let case = Case::launch("t", &job_of("true"), &FORGETFUL.replace("SECOND", "exec sleep 600"));
    let limit = Duration::from_secs(60) + LONG;
    case.expect_within(limit, &["TASK_STARTING", "TASK_LOST"], "did not start");
}

/// Whoever knows users does not answer: a kill is obeyed meanwhile, and in the end the task is failed.
#[test]
fn user_looked_up_for_ever() {
    let script = FORGETFUL.replace("mkdir asked || SECOND", "exec sleep 600");
    let case = Case::launch("t", &job_of("true"), &script);
    case.scheduler.wait_state("t", "TASK_STARTING", LONG);
    case.scheduler.kill("t", None);
    case.expect(&["TASK_STARTING", "TASK_KILLED"], "instructed to kill the task");

    let case = Case::launch("t", &job_of("true"), &script);
    let message = "failed to initialise sandbox: looking up user elsewhere took longer than 30s";
    case.expect_within(2 * LONG, &["TASK_STARTING", "TASK_FAILED"], message);
}

/// A runner that is killed for good. With fewer kills it is started again: `mesos.rs`.
#[test]
fn runner_killed_by_a_signal() {
    let case = Case::launch("t", &job_of(STAYS), "");
    case.scheduler.wait_state("t", "TASK_RUNNING", LONG);
    let executor = case.cluster.executor("thermos_executor");
    for _ in 0..4 {
        kill(Pid::from_raw(case.cluster.runner(executor)), Signal::SIGKILL).unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    case.expect(&["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"], "killed by signal 9");
}

/// There is room for the executor, and for no further process of this user.
#[test]
fn runner_that_cannot_be_started() {
    let script =
        "chown 54321 .; ulimit -u 1; as=(setpriv --reuid=54321 --regid=54321 --clear-groups)";
    let case = Case::launch("t", &job_of("true"), script);
    case.expect(&["TASK_STARTING", "TASK_FAILED"], "cannot start the runner: ");
}

#[test]
fn sandbox_that_cannot_be_made() {
    for script in ["ln -s /tmp sandbox", "echo >sandbox", "ln -s /tmp checkpoints"] {
        let case = Case::launch("t", &job_of("true"), script);
        case.expect(&["TASK_STARTING", "TASK_FAILED"], "failed to initialise sandbox: ");
    }
}

#[test]
fn sandbox_above_its_limit() {
    let mut job =
        job_of("head -c 4000000 /dev/zero > file; trap 'exit 0' TERM; while :; do sleep .1; done");
    job["task"]["resources"]["disk"] = json!(1_048_576);
    let case = Case::launch("t", &job, "");
    let limit = Duration::from_secs(60) + LONG;
    let states = ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"];
    let last = case.expect_within(limit, &states, "disk limit exceeded: ");
    assert!(last.message.ends_with("bytes used, 1048576 bytes reserved"), "{last:?}");
}

/// Each recorded blob whose task ends by itself.
#[test]
fn recorded_blobs() {
    let well = &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"][..];
    let refused = &["TASK_FAILED"][..];
    let started = &["TASK_STARTING", "TASK_FAILED"][..];
    let cases = [
        ("minimal", well, "task finished"),
        ("gpu_sla", well, "task finished"),
        ("unicode", well, "task finished"),
        ("mesos_task_instance", started, "invalid task"),
        ("docker", started, "Docker"),
        ("mesos_appc", started, "image"),
        ("mesos_image_volumes", started, "image"),
        ("bad_cycle", refused, "got invalid task"),
        ("bad_empty_data", refused, "no Thermos config"),
        ("bad_no_executor_config", refused, "no Thermos config"),
        ("bad_not_json", refused, "is no JSON: line 1, column 2"),
        ("bad_unbound_ref", refused, "nosuch.ref"),
    ];
    let cluster = Cluster::start();
    let mut scheduler = Scheduler::register(&cluster);
    let blobs = workspace().join("fixtures/blobs");
    let launches = cases.map(|(name, ..)| {
        // Several have the same id, which Mesos would not take.
        let data = fs::read(blobs.join(format!("{name}.tbinary"))).unwrap();
        Launch::new(name, data).flags("--nosetuid")
    });
    scheduler.launch(&launches);
    for (launch, (name, states, message)) in launches.iter().zip(cases) {
        let last = scheduler.expect(&launch.task_id, states, LONG);
        assert!(last.message.contains(message), "{name}: {last:?}");
        assert_eq!(last.source, "SOURCE_EXECUTOR", "{name}");
    }
    cluster.wait_until_gone(AT_ONCE);
}
