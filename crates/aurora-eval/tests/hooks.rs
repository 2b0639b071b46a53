//! The process as whoever calls hooks speaks to it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use aurora_schema::json::{self, Json};
use aurora_schema::schema::MESOS_JOB;
use aurora_schema::transfer;
use aurora_schema::types::Type;
use aurora_schema::value::{Strictness, Value};

fn member<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    match json {
        Json::Object(members) => {
            members.iter().find(|(known, _)| **known == *name).map(|(_, json)| json)
        }
        _ => None,
    }
}

fn text(json: &Json, name: &str) -> String {
    match member(json, name) {
        Some(Json::Text(text)) => text.to_string(),
        _ => String::new(),
    }
}

/// A process that has evaluated a file.
struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
    file: PathBuf,
}

impl Process {
    fn start(name: &str, source: &str) -> (Process, Json) {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.aurora"));
        std::fs::write(&file, source).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_aurora-eval"))
            .arg("--hooks=1")
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut process = Process { child, lines, file };
        let report = process.hears().unwrap();
        (process, report)
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn hears(&mut self) -> Option<Json> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).unwrap();
        (read > 0).then(|| json::parse(line.as_bytes()).unwrap())
    }

    fn ask(&mut self, line: &str) -> Json {
        self.say(line);
        self.hears().unwrap()
    }

    /// Tells it of a job.
    fn begin(&mut self) {
        let job = r#"{"cluster": "c", "role": "r", "environment": "e", "name": "n"}"#;
        let ty = Type::Struct(MESOS_JOB.clone());
        let job = json::parse(job.as_bytes()).unwrap();
        let job = Value::from_json(&ty, job, Strictness::Strict).unwrap();
        let answer = self.ask(&format!("{{\"job\": {}}}", transfer::encode(&[job])));
        assert_eq!(member(&answer, "done"), Some(&Json::Bool(true)), "{answer:?}");
    }

    /// Calls a method of hook 0 with arguments.
    fn call(&mut self, event: &str, method: &str, arguments: &str, extra: &str) -> Json {
        self.ask(&format!(
            r#"{{"call": 0, "key": ["c", "r", "e", "n"], "event": "{event}", "method": "{method}",
            "arguments": {arguments}, "keywords": {{}}, "extra": {extra}}}"#
        ).replace('\n', " "))
    }

    /// Its input ends, and so does it.
    fn ends(mut self) {
        drop(self.child.stdin.take());
        assert!(self.hears().is_none());
        assert!(self.child.wait().unwrap().success());
        std::fs::remove_file(self.file).unwrap();
    }
}

const HOOKS: &str = "
class A(object):
  def pre_create_job(self, config): return config.name()
  def post_create_job(self, result, config): return result.details[0].message
  def err_create_job(self, exc, config): raise exc
  def generic_hook(self, hook_config, event, method, extra, args, kw):
    return [str(hook_config.job_key), event, method, str(extra), len(args), kw]
hooks = [A()]
";

#[test]
fn methods_are_found_and_called() {
    let (mut process, report) = Process::start("found", HOOKS);
    assert_eq!(member(&report, "hooks"), Some(&Json::Array(vec![Json::Text("A".into())])));
    process.begin();
    for (event, method, arguments, extra, name, value) in [
        ("pre", "create_job", r#"[{"config": null}]"#, "null", "pre_create_job", "'n'"),
        (
            "post",
            "create_job",
            r#"[{"config": null}]"#,
            r#"{"response": {"responseCode": "OK", "details": [{"message": "fine"}]}}"#,
            "post_create_job",
            "'fine'",
        ),
        (
            "err",
            "restart",
            r#"[{"key": ["c", "r", "e", "n"]}, null, {"settings": {"batch_size": 1}}]"#,
            r#"{"failure": ["TimeoutError", "late"]}"#,
            "generic_hook",
            "['c/r/e/n', 'err', 'restart', 'late', 3, {}]",
        ),
    ] {
        let answer = process.call(event, method, arguments, extra);
        assert_eq!(text(&answer, "name"), name, "{answer:?}");
        assert_eq!(text(&answer, "value"), value, "{answer:?}");
        assert_eq!(member(&answer, "passed"), Some(&Json::Bool(true)), "{answer:?}");
        assert_eq!(member(&answer, "changed"), None, "{answer:?}");
    }
    let refusal = r#"{"refusal": {"responseCode": "ERROR", "details": [{"message": "no"}]}}"#;
    let answer = process.call("err", "create_job", r#"[{"config": null}]"#, refusal);
    let error = member(&answer, "error").unwrap();
    assert_eq!(
        (text(error, "class").as_str(), text(error, "message").as_str()),
        ("APIError", "APIError: ERROR: no")
    );
    assert!(text(error, "file").ends_with("found.aurora"), "{answer:?}");
    process.ends();
}

#[test]
fn what_a_hook_changes_is_said_once() {
    let (mut process, _) = Process::start(
        "changes",
        "class A(object):\n  def pre_create_job(self, config):\n    \
         if config.name() == 'n': config.update_job(config.raw()(name='m'))\n    return True\nhooks = [A()]",
    );
    process.begin();
    let answer = process.call("pre", "create_job", r#"[{"config": null}]"#, "null");
    let job = member(member(&answer, "changed").unwrap(), "job").unwrap();
    let job = transfer::decode(job).unwrap().pop().unwrap();
    assert_eq!(job.attribute("name").and_then(Value::as_text), Some("m"));
    let answer = process.call("pre", "create_job", r#"[{"config": null}]"#, "null");
    assert_eq!(member(&answer, "changed"), None);
    process.ends();
}

#[test]
fn questions_and_what_is_printed_come_before_the_answer() {
    let (mut process, _) = Process::start(
        "asks",
        "class A(object):\n  def pre_kill_job(self):\n    print('well')\n    return input('sure? ')\nhooks = [A()]",
    );
    process.begin();
    let printed = process.call("pre", "kill_job", "[]", "null");
    assert_eq!((text(&printed, "print"), text(&printed, "text")), ("out".into(), "well\n".into()));
    let question = process.hears().unwrap();
    assert_eq!(
        (text(&question, "ask"), text(&question, "prompt")),
        ("line".into(), "sure? ".into())
    );
    let answer = process.ask(r#"{"line": ["yes"]}"#);
    assert_eq!(text(&answer, "value"), "'yes'");
    process.ends();
}

#[test]
fn strange_requests_are_refused() {
    let (mut process, _) = Process::start("strange", HOOKS);
    let why = |answer: Json| text(member(&answer, "error").unwrap(), "message");
    assert!(why(process.call("pre", "create_job", "[]", "null")).contains("about which job"));
    process.begin();
    for (request, word) in [
        (r#"{"call": 7}"#, "which"),
        (r#"{"call": -1}"#, "which"),
        (r#"{"call": "x"}"#, "which"),
        ("{}", "which"),
        (r#"{"call": 0}"#, "key"),
        (r#"{"job": 3}"#, "types"),
    ] {
        let said = why(process.ask(request));
        assert!(said.contains(word), "{request}: {said}");
    }
    // What is no JSON is nobody that it knows.
    process.say("hello");
    process.ends();
}

#[test]
fn without_hooks_it_does_not_stay() {
    for (number, source) in ["", "hooks = []", "hooks = None"].iter().enumerate() {
        let (process, report) = Process::start(&format!("none{number}"), source);
        assert_eq!(member(&report, "hooks"), None);
        let mut process = process;
        assert!(process.hears().is_none());
        process.ends();
    }
}
