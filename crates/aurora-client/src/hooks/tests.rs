//! What outcomes mean, what methods are given, and which of them surround a call.

use std::cell::RefCell;
use std::rc::Rc;

use aurora_api::api::ResponseDetail;
use aurora_schema::json::Json;
use aurora_schema::schema::MESOS_JOB;
use aurora_schema::types::Type;
use aurora_schema::value::Strictness;

use super::*;
use crate::testing::{Fake, Reply};

fn key() -> JobKey {
    let [cluster, role, environment, name] = ["west", "www", "prod", "web"].map(str::to_owned);
    JobKey { cluster, role, environment, name }
}

fn problem(class: &str, message: &str) -> Box<Problem> {
    Box::new(Problem::new(Stage::Load, class, message))
}

fn returned(passed: bool, value: &str) -> Outcome {
    Outcome::Returned { name: "pre_x".to_owned(), passed, value: value.to_owned() }
}

fn raised(class: &str, message: &str) -> Outcome {
    Outcome::Raised { name: "pre_x".to_owned(), problem: problem(class, message) }
}

#[test]
fn what_outcomes_mean() {
    use Event::{Err, Post, Pre};
    let none = String::new();
    let debug = |text: &str| format!("Debug {text}");
    let warning = |text: &str| format!("Warning {text}");
    let failed = warning("Error in pre_x in A: ValueError: no");
    let refused = debug("pre_x in A returned False");
    for (event, outcome, said, verdict) in [
        (Pre, Outcome::Absent, none.clone(), "Next"),
        (Pre, returned(true, "True"), none.clone(), "Next"),
        (Pre, returned(true, "7"), none.clone(), "Next"),
        (Pre, returned(false, "False"), refused.clone(), "Stop pre_x in A returned False"),
        (
            Pre,
            returned(false, "None"),
            debug("pre_x in A returned None"),
            "Stop pre_x in A returned None, and not True, which lets the call go on",
        ),
        (Pre, raised("ValueError", "no"), failed.clone(), "Stop pre_x in A failed"),
        (Pre, raised("SystemExit", "3"), none.clone(), "End 3"),
        (Pre, Outcome::Lost(problem("TimeoutError", "late")), none.clone(), "Last late"),
        (Post, Outcome::Absent, none.clone(), "Next"),
        (Post, returned(false, "False"), refused.clone(), "Next"),
        (Post, raised("ValueError", "no"), failed.clone(), "Next"),
        (Post, raised("SystemExit", "3"), none.clone(), "End 3"),
        (Post, Outcome::Lost(problem("TimeoutError", "late")), warning("late"), "Last late"),
        (Err, returned(false, "None"), debug("pre_x in A returned None"), "Next"),
        (Err, raised("ValueError", "no"), failed, "Next"),
        (Err, Outcome::Lost(problem("TimeoutError", "late")), warning("late"), "Last late"),
    ] {
        let case = format!("{event:?} {outcome:?}");
        let (line, decided) = judge(event, "A", outcome);
        let line = line.map(|(level, text)| format!("{level:?} {text}")).unwrap_or_default();
        let decided = match decided {
            Verdict::Next => "Next".to_owned(),
            Verdict::Stop(why) => format!("Stop {why}"),
            Verdict::Last(why) => format!("Last {why}"),
            Verdict::End(problem) => format!("End {}", problem.message),
        };
        assert_eq!((line, decided.as_str()), (said, verdict), "{case}");
    }
}

fn answer(code: ResponseCode) -> Response {
    let detail = ResponseDetail { message: Some("why".to_owned()), ..Default::default() };
    Response { response_code: Some(code), details: Some(vec![detail]), ..Default::default() }
}

#[test]
fn what_follows_a_call() {
    let text =
        |code: &str| format!(r#"{{"responseCode":"{code}","details":[{{"message":"why"}}]}}"#);
    let failure =
        |class, message: &str| Some((Event::Err, Argument::Failure(class, message.into())));
    for (answered, expected) in [
        (Ok(answer(ResponseCode::OK)), Some((Event::Post, Argument::Response(text("OK"))))),
        (
            Ok(answer(ResponseCode::INVALID_REQUEST)),
            Some((Event::Err, Argument::Refusal(text("INVALID_REQUEST")))),
        ),
        (Err(Failure::new(code::NETWORK, "lost")), failure("NotRetriableError", "lost")),
        (Err(Failure::new(code::TIMEOUT, "late")), failure("TimeoutError", "late")),
        (Err(Failure::new(code::COMMAND_FAILURE, "no")), failure("CommandError", "no")),
        (Err(Failure::Authentication("who?".into())), failure("CommandError", "who?")),
        (Err(Failure::Fatal("broken".into())), failure("ThriftInternalError", "broken")),
        (Err(Failure::Interrupted), None),
    ] {
        assert_eq!(consequence(&answered), expected, "{answered:?}");
    }
}

#[test]
fn what_methods_are_given() {
    let some = BTreeSet::from([2, 0]);
    let message = "why \"not\"".to_owned();
    for (call, arguments, keywords) in [
        (Call::create_job(&key()), "{\"config\": null}", ""),
        (Call::add_instances(&key(), 3, 2), "KEY 3 2", "config={\"config\": null}"),
        (
            Call::kill_job(&key(), Some(&some), None),
            "KEY",
            "instances=[0, 2] config={\"config\": null} message=null",
        ),
        (
            Call::kill_job(&key(), None, Some(&message)),
            "KEY",
            r#"instances=null config={"config": null} message="why \"not\"""#,
        ),
        (
            Call::restart(&key(), None, vec![("batch_size", 5)]),
            "KEY null {\"settings\": {\"batch_size\": 5}}",
            "config={\"config\": null}",
        ),
        (Call::start_cronjob(&key()), "KEY", "config={\"config\": null}"),
        (
            Call::start_job_update(&key(), Some(&message), Some(&some), ("a", "b")),
            r#"{"config": null} "why \"not\"""#,
            "instances=[0, 2] metadata={\"map\": {\"a\": \"b\"}}",
        ),
    ] {
        let shown: Vec<String> = call.arguments.iter().map(Argument::json).collect();
        let shown = shown.join(" ").replace(r#"{"key": ["west", "www", "prod", "web"]}"#, "KEY");
        assert_eq!(shown, arguments, "{}", call.method);
        let named = call.keywords.iter();
        let named: Vec<String> =
            named.map(|(name, argument)| format!("{name}={}", argument.json())).collect();
        assert_eq!(named.join(" "), keywords, "{}", call.method);
    }
}

/// Gives outcomes in turn and notes what it is asked for.
struct Script {
    outcomes: Vec<(Outcome, Option<Change>)>,
    noted: Rc<RefCell<Vec<String>>>,
}

impl Interpreter for Script {
    fn call(
        &mut self,
        _: &mut Context<'_>,
        hook: usize,
        event: Event,
        call: &Call,
        extra: &Argument,
    ) -> (Outcome, Option<Change>) {
        let extra = match extra {
            Argument::Nothing => "",
            Argument::Response(_) => " response",
            Argument::Refusal(_) => " refusal",
            _ => " failure",
        };
        let line = format!("{}_{} of {hook}{extra}", event.name(), call.method);
        self.noted.borrow_mut().push(line);
        self.outcomes.remove(0)
    }
}

/// Hooks A, B, … that do this in turn, and what they will have been asked for.
fn hooks(count: usize, outcomes: Vec<Outcome>) -> (Hooks, Rc<RefCell<Vec<String>>>) {
    let names = ('A'..).take(count).map(String::from).collect();
    let noted = Rc::default();
    let outcomes = outcomes.into_iter().map(|outcome| (outcome, None)).collect();
    let script = Script { outcomes, noted: Rc::clone(&noted) };
    (Hooks::new(names, Box::new(script)), noted)
}

#[test]
fn all_are_asked_before_a_call_is_stopped() {
    let outcomes = vec![
        returned(false, "False"),
        Outcome::Absent,
        raised("ValueError", "no"),
        returned(true, "True"),
    ];
    let (mut hooks, noted) = hooks(4, outcomes);
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let stopped = hooks.before(&mut Context::new(&mut world), &Call::create_job(&key()));
    let why = "Pre hooks stopped call to create_job: pre_x in A returned False; pre_x in C failed";
    assert_eq!(stopped, Err(Failure::new(code::REFUSED, why)));
    assert_eq!(noted.borrow().len(), 4);
    let said = String::from_utf8(world.error).unwrap();
    assert_eq!(said, " WARN] Error in pre_x in C: ValueError: no\n");
}

#[test]
fn what_comes_after_changes_nothing() {
    let call = Call::start_cronjob(&key());
    for (answered, method) in [
        (Ok(answer(ResponseCode::OK)), "post_start_cronjob of 0 response"),
        (Ok(answer(ResponseCode::ERROR)), "err_start_cronjob of 0 refusal"),
        (Err(Failure::new(code::NETWORK, "lost")), "err_start_cronjob of 0 failure"),
    ] {
        let (mut hooks, noted) = hooks(2, vec![raised("ValueError", "no"), returned(false, "0")]);
        let mut world = Fake::new(|_, _, _| Reply::nothing());
        let passed_on = hooks.after(&mut Context::new(&mut world), &call, answered.clone());
        assert_eq!(passed_on, answered);
        assert_eq!(noted.borrow()[0], method);
        assert_eq!(noted.borrow().len(), 2);
    }
}

#[test]
fn a_hook_may_end_the_command() {
    for (status, code) in [("3", 3), ("None", 0), ("-1", 255), ("not today", 1)] {
        let (mut hooks, noted) = hooks(2, vec![raised("SystemExit", status)]);
        let mut world = Fake::new(|_, _, _| Reply::nothing());
        let mut context = Context::new(&mut world);
        let ended = hooks.before(&mut context, &Call::create_job(&key()));
        assert_eq!(ended, Err(Failure::Reported(code)), "{status}");
        assert_eq!(noted.borrow().len(), 1);
    }
}

#[test]
fn nothing_is_called_once_the_interpreter_is_gone() {
    let call = Call::kill_job(&key(), None, None);
    let (mut hooks, noted) = hooks(2, vec![Outcome::Lost(problem("TimeoutError", "late"))]);
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let mut context = Context::new(&mut world);
    let done = Ok(answer(ResponseCode::OK));
    assert_eq!(hooks.after(&mut context, &call, done.clone()), done);
    // The next batch is not killed behind the back of a hook that cannot be asked.
    let stopped = hooks.before(&mut context, &call).unwrap_err();
    assert_eq!(stopped, Failure::new(code::REFUSED, "Pre hooks stopped call to kill_job: late"));
    assert_eq!(hooks.after(&mut context, &call, done.clone()), done);
    assert_eq!(noted.borrow().len(), 1);
}

#[test]
fn without_hooks_nothing_happens() {
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let mut context = Context::new(&mut world);
    let mut hooks = Hooks::default();
    let call = Call::create_job(&key());
    assert_eq!(hooks.before(&mut context, &call), Ok(()));
    assert!(hooks.after(&mut context, &call, Err(Failure::Interrupted)).is_err());
    assert!(hooks.take_change().is_none());
}

#[test]
fn a_changed_job_is_converted_with_its_metadata() {
    let text = r#"{"cluster": "west", "role": "www", "environment": "prod", "name": "web",
        "metadata": [{"key": "a", "value": "b"}], "instances": 2, "task": {"name": "web",
        "processes": [{"name": "web", "cmdline": "{{who}}"}],
        "resources": {"cpu": 1.0, "ram": 16777216, "disk": 16777216}}}"#;
    let json: Json = aurora_schema::json::parse(text.as_bytes()).unwrap();
    let ty = Type::Struct(MESOS_JOB.clone());
    let job = Value::from_json(&ty, json, Strictness::Strict).unwrap();
    let metadata = vec![("c".to_owned(), "d".to_owned())];
    let refused =
        Change { job: job.clone(), metadata: metadata.clone() }.convert("me").unwrap_err();
    assert!(refused.message.contains("{{who}}"), "{refused}");
    let mut bindings = aurora_schema::Bindings::new();
    bindings.bind("who", "echo").unwrap();
    let job = job.bind([bindings.scope()]);
    let (converted, _) = Change { job, metadata }.convert("me").unwrap();
    assert_eq!(converted.configuration.instance_count, Some(2));
    let task = converted.configuration.task_config.unwrap();
    let pairs: Vec<_> = task.metadata.iter().flatten().map(|m| (&m.key, &m.value)).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(pairs, [(&text("a"), &text("b")), (&text("c"), &text("d"))]);
}
