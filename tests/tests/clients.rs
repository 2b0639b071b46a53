//! Clients of the scheduler: Python's Thrift library in every encoding, with arguments that are absent,
//! empty, complete and unknown (`interop/clients.py`); and our own, through the life of a job.
//!
//! Needs the Python package `thrift` in `THERMOS_TEST_PYTHON`, or in the virtual environment
//! `tests/.venv`; and `aurora` and `aurora_admin`, which `cargo build -p aurora-client` builds.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use thermos_tests::mesos::executor_binary;
use thermos_tests::scheduler::{Scheduler, directory};

/// A cluster in one process.
fn cluster(directory: &Path) -> Scheduler {
    let flags = vec![
        "-local".to_owned(),
        format!("-work_dir={}", directory.join("cluster").display()),
        format!("-thermos_executor_path={}", executor_binary().display()),
    ];
    let scheduler = Scheduler::with(directory, flags);
    scheduler.restart();
    scheduler
}

#[test]
fn python_calls_every_method() {
    let directory = directory();
    let scheduler = cluster(directory.path());
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("THERMOS_TEST_PYTHON")
        .map_or_else(|| tests.join(".venv/bin/python"), PathBuf::from);
    let address = scheduler.address();
    let output = Command::new(&python)
        .arg(tests.join("interop/clients.py"))
        .args([address.ip().to_string(), address.port().to_string()])
        .arg(tests.join("../crates/aurora-api/idl/api.thrift"))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(
        output.status.success(),
        "clients.py: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    scheduler.stop();
}

/// A job that needs no evaluator.
const JOB: &str = r#"{"cluster": "here", "role": "root", "environment": "devel", "name": "www",
    "service": true, "instances": 2, "task": {"name": "www", "processes": [{"name": "www",
    "cmdline": "sleep 1000"}], "resources": {"cpu": 0.1, "ram": 16777216, "disk": 16777216}}}"#;

/// Our clients, with a home of their own.
struct Clients {
    programs: PathBuf,
    home: PathBuf,
}

impl Clients {
    fn new(home: PathBuf, scheduler: &Scheduler) -> Self {
        let test = env::current_exe().unwrap();
        let programs = test.ancestors().nth(2).unwrap().to_owned();
        let program = programs.join("aurora_admin");
        assert!(program.is_file(), "build the clients first: cargo build -p aurora-client");
        fs::create_dir_all(home.join(".aurora")).unwrap();
        let clusters =
            format!(r#"[{{"name": "here", "scheduler_uri": "http://{}"}}]"#, scheduler.address());
        fs::write(home.join(".aurora/clusters.json"), clusters).unwrap();
        fs::write(home.join("www.json"), JOB).unwrap();
        Self { programs, home }
    }

    /// Runs a command line that must end so and print this.
    fn run(&self, line: &str, exit: i32, prints: &str) {
        let mut words = line.split(' ');
        let output = Command::new(self.programs.join(words.next().unwrap()))
            .args(words)
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("AURORA_CONFIG_ROOT", &self.home)
            .env("no_proxy", "*")
            .output()
            .unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{line}: {text}");
        assert!(text.contains(prints), "{line} does not print {prints:?}: {text}");
    }
}

/// What the original's clients were recorded doing one after the other, done to a real scheduler.
#[test]
fn our_clients_lead_a_job_through_its_life() {
    let directory = directory();
    let scheduler = cluster(directory.path());
    let clients = Clients::new(directory.path().join("home"), &scheduler);
    let run = |line: &str, exit: i32, prints: &str| clients.run(line, exit, prints);

    let create = "aurora job create --read-json --wait-until RUNNING here/root/devel/www www.json";
    run("aurora job status here/root/devel/www", 6, "Found no jobs matching");
    run(create, 0, "Job create succeeded: job url=http://");
    run(create, 4, "already exists");
    run("aurora job list here/root", 0, "here/root/devel/www\n");
    run("aurora job status here/root/devel/www", 0, "Active tasks (2):");
    run("aurora job add --wait-until RUNNING here/root/devel/www/0 1", 0, "");
    run("aurora job status here/*/*/w*", 0, "Active tasks (3):");
    run("aurora job restart --watch-secs 1 --batch-size 3 here/root/devel/www", 0, "successfully");
    run("aurora job kill here/root/devel/www/2", 0, "Job kill succeeded");
    run("aurora quota get here/root", 0, "CPU: 0.2 core(s)");
    run("aurora sla get-task-up-count --durations 0s here/root/devel/www", 0, "- 100.00 %");
    run("aurora cron show here/root/devel/www", 6, "No cron entry found");
    run("aurora update list here", 0, "");
    run("aurora update info here/root/devel/www", 6, "There is no active update for this job.");
    run("aurora_admin query here root www", 0, "root/www/0 RUNNING\n");
    run("aurora_admin -q scheduler_snapshot here", 0, "");
    run("aurora_admin reconcile_tasks --type=implicit here", 0, "OK");
    // Whether a host is safe depends on where the two instances are.
    run("aurora_admin sla_list_safe_domain --min_job_instance_count=1 here 50 0s", 0, "");
    let probe = "aurora_admin sla_probe_hosts --hosts=local-0,local-1 --min_job_instance_count=1 \
                 here 50 0s";
    run(probe, 0, "here/root/devel/www");
    run("aurora_admin prune_tasks --states=KILLED here", 0, "Tasks pruned.");
    run("aurora job killall --no-batching here/root/devel/www", 0, "Job killall succeeded");
    run("aurora_admin query here root www", 0, "");
    scheduler.stop();
}
