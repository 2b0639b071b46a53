//! `thermos run` of files in Python syntax: `.aurora` and `.thermos`, as a user runs them, with the
//! interpreter as the process of its own that it ships as.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thermos_tests::{Binaries, World, program, wait_for};

/// Exit codes, as `thermos help exit-codes` has them.
mod exit {
    pub(super) const SUCCESS: i32 = 0;
    pub(super) const USAGE: i32 = 2;
    pub(super) const FAILED: i32 = 3;
    pub(super) const INVALID_TASK: i32 = 6;
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    errors: String,
}

impl Said {
    #[track_caller]
    fn exits(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.errors);
        self
    }

    #[track_caller]
    fn complains(self, words: &[&str]) -> Said {
        for word in words {
            assert!(self.errors.contains(word), "no {word:?} in {}", self.errors);
        }
        self
    }
}

/// A world with one configuration file.
struct Configured {
    world: World,
    file: PathBuf,
}

impl Configured {
    fn new(name: &str, text: &str) -> Configured {
        let world = World::new();
        let file = world.path().join(name);
        fs::write(&file, text).unwrap();
        Configured { world, file }
    }

    /// `thermos run` of the file, to its end.
    fn run(&self, options: &[&str]) -> Said {
        let mut command = Command::new(Binaries::find().thermos);
        command
            .arg("run")
            .arg(format!("--root={}", self.world.root().display()))
            .arg(format!("--sandbox={}", self.world.sandbox().display()))
            .args(options)
            .arg(&self.file)
            .env("AURORA_EVAL", program("aurora-eval", "aurora-eval"))
            .env("HOME", self.world.path())
            .env("GREETING", "hello");
        let output = command.output().unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn stdout(&self, process: &str) -> String {
        let file = self.world.sandbox().join(format!(".logs/{process}/0/stdout"));
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Nothing was started.
    #[track_caller]
    fn is_untouched(&self) {
        assert!(!self.world.sandbox().join(".logs").exists(), "a process was started");
        assert!(!self.world.root().join("checkpoints").exists(), "a task was recorded");
    }

    /// Nobody is left, neither processes of the task nor the interpreter.
    #[track_caller]
    fn is_quiet(&self) {
        let own = |path: &Path| {
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&*self.world.path().to_string_lossy())
        };
        wait_for("everything to end", Duration::from_secs(20), || {
            let all = fs::read_dir("/proc").unwrap();
            let mut processes = all.filter_map(|entry| Some(entry.ok()?.path()));
            (!processes.any(|path| own(&path))).then_some(())
        });
    }
}

const JOBS: &str = r#"
import os

class Profile(Struct):
  stage = Required(String)
  times = Default(Integer, 2)

greet = Process(name='greet', cmdline='echo %s from {{profile.stage}} as {{role}} in {{mesos.cluster}} {{extra}}'
                % os.environ['GREETING'])
count = Process(name='count', cmdline='for i in $(seq {{profile.times}}); do echo $i; done')
task = SequentialTask(name='{{profile.stage}}-task', processes=[greet, count],
                      resources=Resources(cpu=0.1, ram=16 * MB, disk=16 * MB))
job = Service(cluster='west', role='www', environment='{{profile.stage}}', name='hello', task=task)
jobs = [job.bind(profile=Profile(stage=stage)) for stage in ('prod', 'test')]
"#;

#[test]
fn one_of_several_jobs() {
    let config = Configured::new("hello.aurora", JOBS);
    let said = config.run(&["--task=test-task", "-E", "extra=today"]).exits(exit::SUCCESS);
    assert!(said.out.contains("SUCCESS"), "{}", said.out);
    assert_eq!(config.stdout("greet"), "hello from test as www in west today\n");
    assert_eq!(config.stdout("count"), "1\n2\n");
    config.is_quiet();
}

#[test]
fn several_jobs_and_no_choice() {
    let config = Configured::new("hello.aurora", JOBS);
    let words = ["several tasks", "--task", "prod-task, test-task"];
    config.run(&["-E", "extra=x"]).exits(exit::USAGE).complains(&words);
    config.is_untouched();
}

#[test]
fn a_job_that_is_not_there() {
    let config = Configured::new("hello.aurora", JOBS);
    let words = ["Could not find task devel-task!", "prod-task, test-task"];
    config.run(&["--task=devel-task"]).exits(exit::USAGE).complains(&words);
    config.is_untouched();
}

#[test]
fn what_is_not_bound_is_not_run() {
    let config = Configured::new("hello.aurora", JOBS);
    config.run(&["--task=prod-task"]).exits(exit::INVALID_TASK).complains(&["extra"]);
    config.is_untouched();
}

#[test]
fn a_task_that_fails() {
    let config = Configured::new(
        "bad.aurora",
        "task = SimpleTask('bad', 'echo seen; exit 7')\n\
         jobs = [Job(cluster='c', role='r', environment='e', name='bad', task=task)]\n",
    );
    let said = config.run(&[]).exits(exit::FAILED);
    assert!(said.out.contains("FAILED"), "{}", said.out);
    assert_eq!(config.stdout("bad"), "seen\n");
    config.is_quiet();
}

#[test]
fn an_exported_task_with_ports() {
    let config = Configured::new(
        "web.thermos",
        "serve = Process(name='serve', cmdline='echo {{thermos.ports[http]}} {{thermos.task_id}} {{who}}')\n\
         last = Process(name='last', cmdline='echo over', final=True)\n\
         export(Task(name='web', processes=[serve, last]))\n",
    );
    config.run(&["-E", "who=me", "--task_id=web-1"]).exits(exit::USAGE).complains(&["http", "-P"]);
    config.is_untouched();
    config.run(&["-P", "http:8080", "-E", "who=me", "--task_id=web-1"]).exits(exit::SUCCESS);
    assert_eq!(config.stdout("serve"), "8080 web-1 me\n");
    assert_eq!(config.stdout("last"), "over\n");
    config.is_quiet();
}

#[test]
fn mistakes_point_at_their_line() {
    for (name, text, words) in [
        ("syntax.aurora", "a = 1\njobs = [Job(name='x' role='y')]\n", ["syntax.aurora:2", "comma"]),
        (
            "raise.thermos",
            "def f():\n  raise ValueError('no disk')\nf()\n",
            ["raise.thermos:2", "no disk"],
        ),
        ("typo.aurora", "\n\np = Process(nmae='x')\n", ["typo.aurora:3", "name"]),
        ("none.thermos", "Task(name='x')\n", ["no task", "export"]),
        ("forbidden.aurora", "import subprocess\n", ["forbidden.aurora:1", "subprocess"]),
    ] {
        let config = Configured::new(name, text);
        let said = config.run(&[]).complains(&words);
        assert!(matches!(said.code, Some(exit::USAGE | exit::INVALID_TASK)), "{}", said.errors);
        config.is_untouched();
    }
}

#[test]
fn a_file_without_end() {
    // The task is never reached; the limit of the process ends it.
    let config = Configured::new("loop.thermos", "x = 'x'\nwhile True: x += x\n");
    config.run(&[]).exits(exit::INVALID_TASK).complains(&["memory", "loop.thermos"]);
    config.is_untouched();
    config.is_quiet();
}
