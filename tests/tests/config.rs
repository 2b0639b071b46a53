//! Files in Python syntax, as a user runs them, with the interpreter as the process of its own that it
//! ships as: `thermos run` of `.aurora` and `.thermos`, and hooks around what `aurora` does to a cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use thermos_tests::mesos::executor_binary;
use thermos_tests::scheduler::{Scheduler, directory};
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

/// Hooks that print, ask, refuse and read answers.
const HOOKED: &str = r#"
from gen.apache.aurora.api.ttypes import ResponseCode

class Limits(object):
  def pre_create_job(self, config):
    if config.instances() > 2:
      print('%s is too large: %d instances' % (config.job_key(), config.instances()))
      return False
    return True

class Reporter(object):
  def pre_create_job(self, config):
    config.add_metadata('by', 'reporter')
    print('creating %s' % config.job_key())
    return True

  def post_create_job(self, result, config):
    print('created: %s' % (result.responseCode == ResponseCode.OK))

  def err_create_job(self, exc, config):
    print('not created: %s' % exc)

  def pre_kill_job(self, job_key, instances=None, config=None, message=None):
    return raw_input('Kill instances %s of %s? ' % (instances, job_key)) == 'yes'

  def generic_hook(self, hook_config, event, method_name, result_or_err, args, kw):
    print('%s_%s of %s' % (event, method_name, hook_config.job_key))
    return True

hooks = [Limits(), Reporter()]
task = SimpleTask('www', 'sleep 1000')(resources=Resources(cpu=0.1, ram=16 * MB, disk=16 * MB))
job = Service(cluster='here', role='nobody', environment='devel', task=task, enable_hooks=True)
jobs = [job(name='www', instances=2), job(name='many', instances=3),
        job(name='stuck', enable_hooks='{{stuck}}')]

class Stuck(object):
  def pre_create_job(self, config):
    while config.name() == 'stuck': pass
    return True
hooks.append(Stuck())
"#;

/// What the original's client does with hooks, on a cluster in one process.
#[test]
fn hooks_surround_what_is_done_to_a_job() {
    let place = directory();
    let scheduler = Scheduler::with(
        place.path(),
        vec![
            "-local".to_owned(),
            format!("-work_dir={}", place.path().join("cluster").display()),
            format!("-thermos_executor_path={}", executor_binary().display()),
        ],
    );
    scheduler.restart();
    let home = place.path().join("home");
    fs::create_dir_all(&home).unwrap();
    let clusters =
        format!(r#"[{{"name": "here", "scheduler_uri": "http://{}"}}]"#, scheduler.address());
    fs::write(home.join("clusters.json"), clusters).unwrap();
    fs::write(home.join("www.aurora"), HOOKED).unwrap();
    let aurora = |line: &str, input: &str| {
        // A lower limit than that of the interpreter, so that the one without end has one soon.
        let mut child = Command::new("sh")
            .args(["-c", "ulimit -t 5 && exec \"$0\" \"$@\""])
            .arg(program("aurora", "aurora-client"))
            .args(line.split(' '))
            .current_dir(&home)
            .env("HOME", &home)
            .env("AURORA_CONFIG_ROOT", &home)
            .env("AURORA_EVAL", program("aurora-eval", "aurora-eval"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who asks nothing does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    };

    // One hook refuses. The other is called all the same, and nothing is created.
    let said = aurora("job create here/nobody/devel/many www.aurora", "").exits(1);
    let said =
        said.complains(&["Pre hooks stopped call to create_job: ", "pre_create_job in Limits"]);
    assert!(
        said.out.contains("here/nobody/devel/many is too large: 3 instances\n"),
        "{}",
        said.out
    );
    assert!(said.out.contains("creating here/nobody/devel/many\n"), "{}", said.out);
    assert!(scheduler.statuses().is_empty());

    // They are content, and see the answer.
    let create = "job create --wait-until=RUNNING here/nobody/devel/www www.aurora";
    let said = aurora(create, "").exits(0);
    assert!(
        said.out.starts_with("creating here/nobody/devel/www\ncreated: True\n"),
        "{}",
        said.out
    );
    assert_eq!(scheduler.statuses().get("RUNNING"), Some(&2));
    let said = aurora(create, "").exits(4).complains(&["already exists"]);
    assert!(said.out.contains("not created: APIError: INVALID_REQUEST: "), "{}", said.out);

    // The user is asked; without the file nobody is.
    let kill = "job kill --config www.aurora here/nobody/devel/www/0,1";
    let said = aurora(kill, "no\n").exits(1);
    assert!(said.out.starts_with("Kill instances [0] of here/nobody/devel/www? "), "{}", said.out);
    assert_eq!(scheduler.statuses().get("RUNNING"), Some(&2));
    let said = aurora(kill, "yes\nno\n").exits(1);
    assert!(said.out.contains("Successfully killed instances [0]\n"), "{}", said.out);
    assert_eq!(scheduler.statuses().get("RUNNING"), Some(&1));
    let restart = "job restart --watch-secs=1 --config www.aurora here/nobody/devel/www";
    let said = aurora(restart, "").exits(0);
    for line in
        ["pre_restart of here/nobody/devel/www\n", "post_restart of here/nobody/devel/www\n"]
    {
        assert!(said.out.contains(line), "{}", said.out);
    }
    assert!(!aurora("job killall here/nobody/devel/www", "").exits(0).out.contains("Kill "));

    // A hook without end is named, and has stopped nothing but its own command.
    let stuck = "job create --bind=stuck=True here/nobody/devel/stuck www.aurora";
    aurora(stuck, "").exits(1).complains(&["pre_create_job in Stuck", "processor time"]);
    let free = "job create --bind=stuck=False here/nobody/devel/stuck www.aurora";
    let said = aurora(free, "").exits(0);
    assert!(said.out.starts_with("Job create succeeded"), "{}", said.out);
    aurora("job killall here/nobody/devel/stuck", "").exits(0);
    scheduler.stop();
}
