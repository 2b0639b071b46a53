//! Hooks of job files, with the program as it is, the evaluator, and a scheduler that answers as told.

#![cfg(feature = "evaluator")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use aurora_api::api::aurora_scheduler_manager::{
    AddInstances, CreateJob, CreateJobArgs, KillTasks, RestartShards, StartCronJob, StartJobUpdate,
    StartJobUpdateArgs,
};
use aurora_api::api::read_only_scheduler::{
    GetJobUpdateDiff, GetTasksWithoutConfigs, GetTasksWithoutConfigsArgs, GetTierConfigs,
};
use aurora_api::api::{self, Response, ResponseCode, ScheduleStatus, ScheduledTask};
use aurora_api::binary;
use aurora_client::testing::message;
use thrift_wire::{InMessage as _, Wire};

mod support;

/// A scheduler with instances 0 and 1 of one job, which answers with a code to what changes
/// something. Their tasks never last: each look finds new ones.
struct Scheduler {
    address: String,
    /// The calls, with their arguments in readable JSON where they are of interest.
    calls: Arc<Mutex<Vec<String>>>,
}

fn task(instance: i32, status: ScheduleStatus, look: usize) -> ScheduledTask {
    ScheduledTask {
        assigned_task: Some(api::AssignedTask {
            task_id: Some(format!("task-{instance}-{look}")),
            instance_id: Some(instance),
            ..Default::default()
        }),
        status: Some(status),
        ..Default::default()
    }
}

/// What a scheduler answers to the content of a request after so many others, and how it is noted.
fn answer(body: &[u8], code: ResponseCode, earlier: usize) -> (Vec<u8>, String) {
    let mut input = binary::Reader::new(body);
    let head = input.message_begin().unwrap();
    let ok = || Response { response_code: Some(ResponseCode::OK), ..Default::default() };
    let coded = || Response { response_code: Some(code), ..ok() };
    let name = head.name.clone();
    let plain = |reply| (reply, name.clone());
    match head.name.as_str() {
        "getTierConfigs" => plain(message::<GetTierConfigs>(Response {
            result: Some(api::Result::GetTierConfigResult(Default::default())),
            ..ok()
        })),
        "getTasksWithoutConfigs" => {
            let args = GetTasksWithoutConfigsArgs::read(&mut input).unwrap();
            // Whoever asks for active tasks finds some, whoever waits for their end finds that.
            let status = match args.query.and_then(|query| query.statuses) {
                Some(_) => ScheduleStatus::RUNNING,
                None => ScheduleStatus::KILLED,
            };
            let tasks = [0, 1].map(|instance| task(instance, status, earlier)).to_vec();
            let result = api::ScheduleStatusResult { tasks: Some(tasks), ..Default::default() };
            plain(message::<GetTasksWithoutConfigs>(Response {
                result: Some(api::Result::ScheduleStatusResult(result)),
                ..ok()
            }))
        }
        "createJob" => {
            let args = CreateJobArgs::read(&mut input).unwrap();
            let text = aurora_api::readable::to_string(&args.description.unwrap());
            (message::<CreateJob>(coded()), format!("createJob {text}"))
        }
        "startJobUpdate" => {
            let args = StartJobUpdateArgs::read(&mut input).unwrap();
            let text = aurora_api::readable::to_string(&args.request.unwrap());
            let job = api::JobKey { role: Some("www".to_owned()), ..Default::default() };
            let key = api::JobUpdateKey {
                job: Some(job),
                id: Some("the-update".to_owned()),
                ..Default::default()
            };
            let result = api::StartJobUpdateResult { key: Some(key), ..Default::default() };
            let result = Some(api::Result::StartJobUpdateResult(result));
            (
                message::<StartJobUpdate>(Response { result, ..coded() }),
                format!("startJobUpdate {text}"),
            )
        }
        "getJobUpdateDiff" => plain(message::<GetJobUpdateDiff>(ok())),
        "addInstances" => plain(message::<AddInstances>(coded())),
        "killTasks" => plain(message::<KillTasks>(coded())),
        "restartShards" => plain(message::<RestartShards>(coded())),
        "startCronJob" => plain(message::<StartCronJob>(coded())),
        other => panic!("{other} is not expected"),
    }
}

/// Answers the requests of one connection.
fn serve(stream: TcpStream, code: ResponseCode, calls: &Mutex<Vec<String>>) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body).ok()?;
        let earlier = calls.lock().unwrap().len();
        let (body, noted) = answer(&body, code, earlier);
        calls.lock().unwrap().push(noted);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apache.thrift.binary\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).ok()?;
    }
}

impl Scheduler {
    fn new(code: ResponseCode) -> Scheduler {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || serve(stream, code, &noted));
            }
        });
        Scheduler { address, calls }
    }

    /// The calls that change something.
    fn changes(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|call| !call.starts_with("get")).cloned().collect()
    }
}

/// A run of the client.
struct Run {
    code: i32,
    out: String,
    error: String,
    changes: Vec<String>,
}

impl Run {
    #[track_caller]
    fn shows(&self, code: i32, out: &[&str], error: &[&str], changes: usize) {
        let all = format!("{}\n--\n{}\n--\n{:?}", self.out, self.error, self.changes);
        assert_eq!((self.code, self.changes.len()), (code, changes), "{all}");
        for line in out {
            assert!(self.out.contains(line), "no {line:?} in {all}");
        }
        for line in error {
            assert!(self.error.contains(line), "no {line:?} in {all}");
        }
    }
}

/// The job that all of this is about, with hooks before it.
fn file(hooks: &str, more: &str) -> String {
    format!(
        "{hooks}\njobs = [Job(cluster='west', role='www', environment='prod', name='web', {more}\n  \
         task=SimpleTask('web', 'echo {{{{thermos.ports[http]}}}} {{{{greeting}}}}'))\
         .bind(greeting='hello')]\n"
    )
}

const ENABLED: &str = "enable_hooks=True,";

/// Runs a command line, in which KEY and FILE stand for those, with an input.
fn run_with(file: &str, line: &str, code: ResponseCode, input: &str) -> Run {
    let scheduler = Scheduler::new(code);
    let home = tempfile::tempdir().unwrap();
    let clusters =
        format!(r#"[{{"name": "west", "scheduler_uri": "http://{}"}}]"#, scheduler.address);
    std::fs::write(home.path().join("clusters.json"), clusters).unwrap();
    std::fs::write(home.path().join("web.aurora"), file).unwrap();
    let line = line.replace("KEY", "west/www/prod/web").replace("FILE", "web.aurora");
    let mut child = Command::new(env!("CARGO_BIN_EXE_aurora"))
        .args(line.split(' '))
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("AURORA_CONFIG_ROOT", home.path())
        .env("AURORA_EVAL", support::evaluator())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever asks nothing need not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
        changes: scheduler.changes(),
    }
}

fn run(hooks: &str, line: &str) -> Run {
    run_with(&file(hooks, ENABLED), line, ResponseCode::OK, "")
}

/// Says everything that it is given.
const TELLER: &str = r"
class Teller(object):
  def pre_create_job(self, config):
    print('pre create %s as %s' % (config.job_key(), config.raw().task().name()))
    return True
  def post_create_job(self, result, config):
    print('post create %s %s' % (result.responseCode, config.instances()))
  def pre_kill_job(self, job_key, instances=None, config=None, message=None):
    print('pre kill %s %s %s %s' % (job_key, instances, config.name(), message))
    return True
  def generic_hook(self, hook_config, event, method, result_or_err, args, kw):
    config, job_key = hook_config
    what = getattr(result_or_err, 'responseCode', result_or_err)
    print('%s %s %s: %s %s' % (event, method, job_key, what, sorted(kw)))
    if method == 'restart':
      print('shards %s, %s at a time' % (args[1], args[2].batch_size))
    if method == 'start_job_update' and event == 'post':
      print('update %s' % result_or_err.result.startJobUpdateResult.key.id)
    return True
class Silent(object): pass
hooks = [Teller(), Silent()]
";

#[test]
fn every_call_is_surrounded() {
    for (line, out, changes) in [
        (
            "job create KEY FILE",
            vec![
                "pre create west/www/prod/web as web\n",
                "post create 1 1\n",
                "Job create succeeded",
            ],
            1,
        ),
        (
            "job kill --config FILE --batch-size 1 -m why KEY/0,1",
            vec![
                "pre kill west/www/prod/web [0] web why\npost kill_job west/www/prod/web: 1 \
                 ['config', 'instances', 'message']\n",
                "pre kill west/www/prod/web [1] web why\n",
                "Job kill succeeded",
            ],
            2,
        ),
        (
            "job killall --config FILE --no-batching KEY",
            vec!["pre kill west/www/prod/web None web None\n", "Job killall succeeded"],
            1,
        ),
        (
            "job restart --config FILE --watch-secs 0 KEY/0",
            vec![
                "pre restart west/www/prod/web: None ['config']\nshards [0], 1 at a time\n",
                "post restart west/www/prod/web: 1 ['config']\n",
                "restarted successfully",
            ],
            1,
        ),
        (
            "job add --config FILE KEY/0 2",
            vec!["pre add_instances west/www/prod/web: None", "post add_instances"],
            1,
        ),
        (
            "cron start --config FILE KEY",
            vec!["pre start_cronjob west/www/prod/web: None ['config']\n", "post start_cronjob"],
            1,
        ),
        (
            "update start KEY FILE",
            vec![
                "pre start_job_update west/www/prod/web: None ['instances', 'metadata']\n",
                "update the-update\n",
                "Job update has started",
            ],
            1,
        ),
    ] {
        run(TELLER, line).shows(0, &out, &[], changes);
    }
}

#[test]
fn what_the_scheduler_refuses_is_told_as_a_mistake() {
    let hooks = "
class Watcher:
  def err_create_job(self, exc, config):
    print('%s of %s' % (exc, config.name()))
    raise KeyError('pager')
hooks = [Watcher()]";
    let refused = ResponseCode::INVALID_REQUEST;
    let run = run_with(&file(hooks, ENABLED), "job create KEY FILE", refused, "");
    let error = [
        "Error in err_create_job in Watcher: KeyError: 'pager'",
        "web.aurora:5",
        "Job creation failed",
    ];
    run.shows(4, &["APIError: INVALID_REQUEST: "], &error, 1);
}

/// The scheduler did all that it was asked for. It was the restart that failed.
#[test]
fn a_restart_that_gives_up_has_failed() {
    let hooks = "
class Watcher(object):
  def post_restart(self, result, *args, **kw):
    print('post %s' % result.responseCode)
  def err_restart(self, exc, job_key, shards, settings, config=None):
    print('err %s %s, %s at a time, %s: %s' % (job_key, shards, settings.batch_size, config.name(), exc))
hooks = [Watcher()]";
    let run = run(hooks, "job restart --config FILE --healthcheck-interval-seconds 1 KEY/0,1");
    let error = ["Instance 0 is unhealthy", "Restart failures threshold reached. Aborting"];
    run.shows(4, &[], &error, 1);
    let why = "Job west/www/prod/web was not restarted: [0] failed";
    assert_eq!(run.out, format!("err west/www/prod/web [0, 1], 1 at a time, web: {why}\n"));
}

#[test]
fn a_call_is_stopped() {
    for (body, why) in [
        ("return False", "pre_create_job in Checker returned False"),
        ("pass", "returned None, and not True, which lets the call go on"),
        ("raise ValueError('no disk')", "ValueError: no disk"),
        ("import subprocess", "No module named 'subprocess'"),
        ("import os; os.system('touch made')", "start programs"),
        ("import socket; socket.socket()", "no network"),
        ("open('made', 'w')", "only be read"),
        ("return input('sure? ') == 'no'", "there was no answer"),
    ] {
        let hooks = format!(
            "class Checker(object):\n  def pre_create_job(self, config):\n    {body}\nhooks = [Checker()]"
        );
        let run = run(&hooks, "job create KEY FILE");
        run.shows(1, &[], &["Pre hooks stopped call to create_job: ", why], 0);
        assert!(!run.error.contains("panicked"), "{}", run.error);
    }
}

#[test]
fn whoever_runs_it_is_asked() {
    let hooks = "
class Confirmer(object):
  def pre_kill_job(self, job_key, *args, **kw):
    return raw_input('Kill %s? ' % job_key).lower() == 'yes'
hooks = [Confirmer()]";
    let line = "job kill --config FILE KEY/0,1";
    let ask = |input| run_with(&file(hooks, ENABLED), line, ResponseCode::OK, input);
    ask("yes\nYes\n").shows(0, &["Kill west/www/prod/web? "], &[], 2);
    ask("yes\nno\n").shows(1, &["Successfully killed instances [0]"], &["Pre hooks stopped"], 1);
    ask("").shows(1, &[], &["EOFError: there was no answer"], 0);
}

#[test]
fn a_hook_changes_what_is_sent() {
    let hooks = "
class Owner(object):
  def pre_create_job(self, config):
    config.add_metadata('team', 'search')
    config.update_job(config.raw()(contact='search@example.org'))
    config.bind({'greeting': 'hi'})
    print('%s %s' % (sorted(config.ports()), config.job().taskConfig.contactEmail))
    return True
class Late(object):
  def pre_create_job(self, config):
    config.update_job(config.raw()(instances=3))
    return True
hooks = [Owner(), Late()]";
    let run = run(hooks, "job create KEY FILE");
    run.shows(0, &["['http'] search@example.org\n"], &[], 1);
    for part in [
        "\"contactEmail\":\"search@example.org\"",
        "\"metadata\":[{\"key\":\"team\",\"value\":\"search\"}]",
        "\"instanceCount\":3",
        "{{thermos.ports[http]}} hi",
    ] {
        assert!(run.changes[0].contains(part), "no {part} in {}", run.changes[0]);
    }
}

#[test]
fn a_hook_changes_an_update() {
    let hooks = "
class Slow(object):
  def pre_start_job_update(self, config, message, instances=None, metadata=None):
    assert (message, instances, list(metadata)) == ('why', [0, 2], ['org.apache.aurora.client.update_id'])
    config.update_job(config.raw()(instances=7, update_config=UpdateConfig(batch_size=5)))
    return True
hooks = [Slow()]";
    let run = run(hooks, "update start -m why KEY/0,2 FILE");
    run.shows(0, &["Job update has started"], &[], 1);
    for part in [
        "\"instanceCount\":7",
        "\"updateGroupSize\":5",
        "\"updateOnlyTheseInstances\":[{\"first\":0,\"last\":0},{\"first\":2,\"last\":2}]",
        "org.apache.aurora.client.update_id",
    ] {
        assert!(run.changes[0].contains(part), "no {part} in {}", run.changes[0]);
    }
}

#[test]
fn a_hook_spoils_the_job() {
    let hooks = "
class Spoiler(object):
  def pre_create_job(self, config):
    config.update_job(config.raw()(contact='{{nobody}}'))
    return True
hooks = [Spoiler()]";
    let error = ["Error loading configuration: ", "unbound variables: {{nobody}}"];
    run(hooks, "job create KEY FILE").shows(3, &[], &error, 0);
}

#[test]
fn hooks_are_only_called_where_they_are_enabled() {
    let loud = "
class Loud(object):
  def generic_hook(self, *args): print('LOUD')
hooks = [Loud()]";
    for (text, line) in [
        (file(loud, ""), "job create KEY FILE"),
        (file("", ENABLED), "job create KEY FILE"),
        (file("hooks = []", ENABLED), "job create KEY FILE"),
        (file("hooks = None", ENABLED), "job create KEY FILE"),
        (file("def hooks(): pass", ""), "job create KEY FILE"),
        (file(loud, ENABLED), "job kill KEY/0"),
        (file(loud, ENABLED), "job inspect KEY FILE"),
    ] {
        let run = run_with(&text, line, ResponseCode::OK, "");
        assert!(run.code == 0 && !run.out.contains("LOUD"), "{line}: {} {}", run.out, run.error);
    }
    // Hooks of commands are others: these are not skipped.
    run(loud, "job create --skip-hooks=all KEY FILE").shows(1, &["LOUD"], &[], 0);
}

#[test]
fn lines_for_the_user() {
    let hooks = "
import logging, sys
from twitter.common import log
from gen.apache.aurora.api.ttypes import ResponseCode
from apache.aurora.common.aurora_job_key import AuroraJobKey
print('read')
logging.warning('early')
class Logger(object):
  def pre_create_job(self, config):
    log.info('to %s', config.cluster())
    logging.getLogger(__name__).debug('not shown')
    sys.stderr.write('by itself\\n')
    assert config.job_key() == AuroraJobKey.from_path('west/www/prod/web')
    return True
  def post_create_job(self, result, config):
    if result.responseCode == ResponseCode.OK: log.error('done: %d%%', 100)
hooks = [Logger()]";
    let run = run(hooks, "job create KEY FILE");
    let error = [" INFO] to west\n", "by itself\n", "ERROR] done: 100%\n", " WARN] early\n"];
    run.shows(0, &["read\n"], &error, 1);
    assert!(!run.error.contains("not shown"), "{}", run.error);
}

#[test]
fn mistakes_in_the_list_of_hooks() {
    let class = "class Checker(object):\n  def pre_create_job(self, config): return True\n";
    for (hooks, code, why) in [
        (format!("{class}hooks = [Checker]"), 1, "write hooks = [Checker()]"),
        (format!("{class}hooks = Checker()"), 3, "not iterable"),
        (
            "class Old(object):\n  def pre_create_job(self): return True\nhooks = [Old()]"
                .to_owned(),
            1,
            "it is called as pre_create_job(config)",
        ),
    ] {
        run(&hooks, "job create KEY FILE").shows(code, &[], &[why], 0);
    }
}

#[test]
fn a_hook_ends_the_command() {
    let hooks = "
import sys
class Leaver(object):
  def pre_create_job(self, config):
    print('leaving')
    sys.exit(42)
hooks = [Leaver()]";
    run(hooks, "job create KEY FILE").shows(42, &["leaving\n"], &[], 0);
}
