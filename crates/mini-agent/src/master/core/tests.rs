//! The core, step by step.

use std::time::Duration;

use mesos_executor::session::is_terminal;
use mesos_scheduler::call as make;
use mesos_scheduler::json;
use mesos_scheduler::v1::task_status::{Reason, Source};
use mesos_scheduler::v1::{FrameworkId, MasterInfo, Resource, TaskId, TaskInfo, TaskState};
use serde_json::{Value, json};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct Test {
    master: Master,
    now: Now,
    effects: Vec<Effect>,
    /// Of the framework.
    id: String,
    next_stream: u64,
}

fn framework(more: Value) -> FrameworkInfo {
    let mut info =
        json!({"user": "root", "name": "test", "failover_timeout": 60.0, "checkpoint": true});
    info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json::from_value(&info).unwrap()
}

fn aware() -> FrameworkInfo {
    framework(json!({"capabilities": [{"type": "PARTITION_AWARE"}]}))
}

impl Test {
    fn new() -> Test {
        let settings = Settings {
            info: MasterInfo { id: "m".into(), ..MasterInfo::default() },
            allocation_interval: SECOND,
            heartbeat: 15 * SECOND,
            offer_timeout: None,
        };
        let mut test = Test {
            master: Master::new(settings),
            now: Now { wall: 1000 * SECOND, mono: SECOND },
            effects: Vec::new(),
            id: "f".into(),
            next_stream: 1,
        };
        test.agent("a");
        test
    }

    /// With a framework that has subscribed and has an offer.
    fn offered(info: FrameworkInfo) -> (Test, String) {
        let mut test = Test::new();
        test.subscribe(info);
        test.wait(SECOND);
        let offer = test.offers().pop().unwrap();
        (test, offer)
    }

    fn agent(&mut self, id: &str) {
        self.input(Input::AgentAdded(AgentInfo {
            id: id.into(),
            hostname: format!("host-{id}"),
            resources: Pool::new(4.0, 1024.0, 1024.0, Some((31_000, 31_009))),
            attributes: Vec::new(),
        }));
    }

    fn input(&mut self, input: Input) {
        let effects = self.master.handle(self.now, input);
        self.effects.extend(effects);
    }

    fn subscribe(&mut self, info: FrameworkInfo) -> u64 {
        let stream = self.next_stream;
        self.next_stream += 1;
        let call = Call {
            framework_id: info.id.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(call::Subscribe { framework_info: info, ..Default::default() }),
            ..Call::default()
        };
        let name = format!("s{stream}");
        let new_id = self.id.clone();
        self.input(Input::Subscribe { stream, name, call: Box::new(call), new_id });
        stream
    }

    fn call(&mut self, call: Call) {
        let framework_id = Some(FrameworkId { value: self.id.clone() });
        self.input(Input::Call(Box::new(Call { framework_id, ..call })));
    }

    /// Lets time pass, as the master wants to be woken.
    fn wait(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(at) = self.master.wakeup().filter(|at| *at <= end) {
            self.now.mono = self.now.mono.max(at);
            self.input(Input::Tick);
        }
        self.now.mono = end;
    }

    /// Everything since the last time.
    fn events(&mut self) -> Vec<Event> {
        let event = |effect| match effect {
            Effect::Send(_, event) => Some(*event),
            _ => None,
        };
        let (sent, rest) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Send(..)));
        self.effects = rest;
        let sent: Vec<Effect> = sent;
        sent.into_iter().filter_map(event).collect()
    }

    fn statuses(&mut self) -> Vec<TaskStatus> {
        self.events().into_iter().filter_map(|event| Some(event.update?.status)).collect()
    }

    /// State and message of each.
    fn said(&mut self) -> Vec<(TaskState, String)> {
        let statuses = self.statuses();
        statuses.iter().map(|it| (it.state(), it.message().to_owned())).collect()
    }

    fn offers(&mut self) -> Vec<String> {
        let offers = self.events().into_iter().filter_map(|event| event.offers);
        offers.flat_map(|offers| offers.offers).map(|offer| offer.id.value).collect()
    }

    fn errors(&mut self) -> Vec<String> {
        self.events().into_iter().filter_map(|event| Some(event.error?.message)).collect()
    }

    fn launch(&mut self, offer: &str, task: TaskInfo) {
        self.call(make::accept(&[offer], vec![make::launch(vec![task])], SECOND));
    }

    /// An executor says something.
    fn executor(&mut self, task: &str, state: TaskState, uuid: u8) {
        let status = TaskStatus {
            task_id: TaskId { value: task.into() },
            state: state.into(),
            source: Some(Source::Executor.into()),
            agent_id: Some(agent_id("a".into())),
            uuid: Some(vec![uuid; 16]),
            ..TaskStatus::default()
        };
        let framework = self.id.clone();
        self.input(Input::Update { framework, status: Box::new(status) });
    }

    fn acknowledge(&mut self, task: &str, uuid: u8) {
        self.call(make::acknowledge("a", task, &[uuid; 16]));
    }
}

fn scalar(name: &str, value: f64) -> Value {
    json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})
}

fn task(id: &str, more: Value) -> TaskInfo {
    let mut task = json!({
        "name": id, "task_id": {"value": id}, "agent_id": {"value": "a"},
        "resources": [scalar("cpus", 1.0), scalar("mem", 100.0)],
        "executor": {
            "executor_id": {"value": format!("e-{id}")},
            "resources": [scalar("cpus", 0.5)],
            "command": {"value": "run"},
        },
    });
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json::from_value(&task).unwrap()
}

fn plain(id: &str) -> TaskInfo {
    task(id, json!({}))
}

#[test]
fn a_subscription() {
    let mut test = Test::new();
    let stream = test.subscribe(aware());
    let [Effect::Send(one, subscribed), Effect::Send(two, heartbeat)] = test.effects.as_slice()
    else {
        panic!("{:?}", test.effects)
    };
    assert_eq!((*one, *two), (stream, stream));
    let subscribed = subscribed.subscribed.as_ref().unwrap();
    assert_eq!(subscribed.framework_id.value, "f");
    assert_eq!(subscribed.heartbeat_interval_seconds, Some(15.0));
    assert_eq!(heartbeat.r#type(), Type::Heartbeat);
    test.effects.clear();
    test.wait(31 * SECOND);
    let beats = test.events().iter().filter(|event| event.r#type() == Type::Heartbeat).count();
    assert_eq!(beats, 2);
}

#[test]
fn what_calls_need() {
    let mut test = Test::new();
    let mut call = make::revive(&[]);
    call.framework_id = Some(FrameworkId { value: "f".into() });
    let refused = |test: &Test, call: &Call, stream: Option<&str>| {
        test.master.check(call, stream).unwrap_err()
    };
    let unknown = refused(&test, &call, Some("s1"));
    assert_eq!(unknown, Refusal::new(400, "Framework cannot be found"));
    let stream = test.subscribe(aware());
    assert_eq!(test.master.check(&call, Some("s1")), Ok(()));
    assert_eq!(refused(&test, &call, None).status, 400);
    let other = refused(&test, &call, Some("s2"));
    assert!(other.text.starts_with("The stream ID 's2' included in this request didn't match"));
    test.input(Input::StreamLost { stream });
    let lost = refused(&test, &call, Some("s1"));
    assert_eq!(lost, Refusal::new(403, "Framework is not subscribed"));
}

#[test]
fn frameworks_that_are_refused() {
    let error = |info: Value| {
        let mut test = Test::new();
        test.subscribe(framework(info));
        assert!(matches!(test.effects.last(), Some(Effect::Close(1))));
        test.errors().pop().unwrap()
    };
    let multi = json!([{"type": "MULTI_ROLE"}]);
    assert_eq!(
        error(json!({"role": "r", "capabilities": multi})),
        "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
    );
    assert_eq!(
        error(json!({"roles": ["r"]})),
        "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
    );
    let bad = error(json!({"roles": ["a b"], "capabilities": multi}));
    assert!(bad.starts_with("'FrameworkInfo.roles' contains invalid role: "), "{bad}");
}

#[test]
fn failover() {
    let mut test = Test::new();
    let old = test.subscribe(aware());
    test.effects.clear();
    let again = FrameworkInfo {
        id: Some(FrameworkId { value: "f".into() }),
        user: "other".into(),
        ..aware()
    };
    let new = test.subscribe(again.clone());
    assert!(test.effects.contains(&Effect::Close(old)), "{:?}", test.effects);
    assert_eq!(test.errors(), ["Framework failed over"]);
    // The end of the old stream is not that of the framework.
    test.input(Input::StreamLost { stream: old });
    test.wait(100 * SECOND);
    assert!(!test.offers().is_empty());
    // A changed principal is refused, and the stream stays.
    let stream = test.subscribe(FrameworkInfo { principal: Some("p".into()), ..again.clone() });
    assert!(
        test.effects.contains(&Effect::Close(stream))
            && !test.effects.contains(&Effect::Close(new))
    );
    assert_eq!(test.errors(), ["Changing framework's principal is not allowed."]);
    // Away for too long.
    test.input(Input::StreamLost { stream: new });
    test.wait(59 * SECOND);
    let back = test.subscribe(again.clone());
    assert_eq!(test.errors(), [""; 0]);
    test.input(Input::StreamLost { stream: back });
    test.wait(60 * SECOND);
    test.subscribe(again);
    assert_eq!(test.errors(), ["Framework has been removed"]);
    // An id that was never seen is taken.
    test.subscribe(FrameworkInfo { id: Some(FrameworkId { value: "invented".into() }), ..aware() });
    assert_eq!(test.errors(), [""; 0]);
}

#[test]
fn offers_filters_and_suppression() {
    let (mut test, offer) = Test::offered(aware());
    assert_eq!(offer, "m-O0");
    test.wait(10 * SECOND);
    assert_eq!(test.offers(), [""; 0], "it is out");
    test.call(make::decline(&[&offer, "unknown"], 3 * SECOND));
    test.wait(2 * SECOND);
    assert_eq!(test.offers(), [""; 0]);
    test.wait(2 * SECOND);
    assert_eq!(test.offers(), ["m-O1"]);
    test.call(make::decline(&["m-O1"], 1000 * SECOND));
    test.wait(10 * SECOND);
    test.call(make::revive(&[]));
    assert_eq!(test.offers(), ["m-O2"], "at once");
    test.call(make::suppress(&[]));
    test.call(make::decline(&["m-O2"], Duration::ZERO));
    test.wait(10 * SECOND);
    assert_eq!(test.offers(), [""; 0]);
    test.call(make::revive(&[]));
    assert_eq!(test.offers(), ["m-O3"]);
    // No operations: as if it were declined.
    test.call(make::accept(&["m-O3"], Vec::new(), SECOND));
    test.wait(3 * SECOND);
    assert_eq!(test.offers(), ["m-O4"]);
}

#[test]
fn offers_time_out() {
    let mut test = Test::new();
    test.master.settings.offer_timeout = Some(3 * SECOND);
    test.subscribe(aware());
    test.wait(SECOND);
    assert_eq!(test.offers(), ["m-O0"]);
    test.wait(3 * SECOND);
    let events = test.events();
    let rescinded = events.iter().find_map(|event| event.rescind.as_ref());
    assert_eq!(rescinded.unwrap().offer_id.value, "m-O0");
}

#[test]
fn two_frameworks_take_turns() {
    let mut test = Test::new();
    let one = test.subscribe(aware());
    test.id = "g".into();
    let two = test.subscribe(aware());
    let mut got = Vec::new();
    for _ in 0..4 {
        test.wait(SECOND);
        for effect in std::mem::take(&mut test.effects) {
            if let Effect::Send(stream, event) = effect
                && let Some(offers) = event.offers
            {
                got.push(stream);
                test.id = offers.offers[0].framework_id.value.clone();
                test.call(make::decline(&[&offers.offers[0].id.value], Duration::ZERO));
            }
        }
    }
    assert_eq!(got.iter().filter(|s| **s == one).count(), 2, "{got:?}");
    assert_eq!(got.iter().filter(|s| **s == two).count(), 2, "{got:?}");
}

#[test]
fn a_task() {
    let (mut test, offer) = Test::offered(aware());
    test.launch(&offer, plain("t"));
    let launched = matches!(
        test.effects.as_slice(),
        [Effect::Launch { agent, new_executor: true, task, .. }]
            if agent == "a" && task.task_id.value == "t"
    );
    assert!(launched, "{:?}", test.effects);
    test.effects.clear();
    test.executor("t", TaskState::TaskRunning, 1);
    test.executor("t", TaskState::TaskFinished, 2);
    // One at a time, again and again.
    assert_eq!(test.statuses().len(), 1);
    test.wait(10 * SECOND);
    let again = test.statuses();
    assert_eq!(again.iter().map(|s| s.uuid().to_vec()).collect::<Vec<_>>(), [vec![1; 16]]);
    test.wait(19 * SECOND);
    assert_eq!(test.statuses().len(), 0);
    test.wait(SECOND);
    assert_eq!(test.statuses().len(), 1);
    // A wrong uuid is nothing.
    test.acknowledge("t", 9);
    assert_eq!(test.statuses().len(), 0);
    test.acknowledge("t", 1);
    let last = test.statuses();
    assert_eq!(last[0].state(), TaskState::TaskFinished);
    // Known until that is acknowledged.
    test.call(make::reconcile([("t", Some("a"))]));
    assert_eq!(test.said()[0].0, TaskState::TaskFinished);
    test.acknowledge("t", 2);
    test.call(make::reconcile([("t", Some("a"))]));
    assert_eq!(test.said()[0].0, TaskState::TaskGone);
    test.wait(1000 * SECOND);
    assert_eq!(test.statuses().len(), 0);
}

#[test]
fn pending_updates_come_again_with_the_next_subscription() {
    let (mut test, offer) = Test::offered(aware());
    test.launch(&offer, plain("t"));
    test.input(Input::StreamLost { stream: 1 });
    test.executor("t", TaskState::TaskRunning, 1);
    assert_eq!(test.statuses().len(), 0);
    let id = Some(FrameworkId { value: "f".into() });
    test.subscribe(FrameworkInfo { id, ..aware() });
    assert_eq!(test.statuses().len(), 1);
}

#[test]
fn resources_come_back() {
    let (mut test, offer) = Test::offered(aware());
    let free = |test: &Test| test.master.free(&test.master.agents["a"]).to_string();
    assert_eq!(free(&test), "");
    test.launch(&offer, plain("t"));
    test.call(make::suppress(&[]));
    let left = "ports:[31000-31009]; cpus:2.5; disk:1024; mem:924";
    assert_eq!(free(&test), left);
    test.executor("t", TaskState::TaskFinished, 1);
    assert_eq!(free(&test), "ports:[31000-31009]; cpus:3.5; disk:1024; mem:1024");
    let (framework, agent, executor) = ("f".into(), "a".into(), "e-t".into());
    test.input(Input::Exited { framework, agent, executor, status: 768 });
    assert_eq!(free(&test), "ports:[31000-31009]; cpus:4; disk:1024; mem:1024");
    let failure = test.events().into_iter().find_map(|event| event.failure).unwrap();
    assert_eq!((failure.status, failure.executor_id.unwrap().value), (Some(768), "e-t".into()));
}

#[test]
fn tasks_that_cannot_be_launched() {
    let other = |id: &str| json!({"agent_id": {"value": id}});
    let command = json!({"value": "run"});
    let cases = [
        (task("a/b", json!({})), "'a/b' contains invalid characters"),
        (task("t", other("zz")), "Task uses invalid agent zz while agent a is expected"),
        (task("t", json!({"resources": []})), "Task uses no resources"),
        (
            task("t", json!({"command": command})),
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (
            task("t", json!({"executor": null})),
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        ),
        (
            task(
                "t",
                json!({"executor": {"executor_id": {"value": "e"}, "framework_id": {"value": "zz"}}}),
            ),
            "ExecutorInfo has an invalid FrameworkID (Actual: zz vs Expected: f)",
        ),
        (
            task("t", json!({"resources": [scalar("cpus", 3.6)]})),
            "Total resources cpus:4.1 required by task and its executor is more than available \
             ports:[31000-31009]; cpus:4; disk:1024; mem:1024",
        ),
    ];
    for (task, text) in cases {
        let (mut test, offer) = Test::offered(aware());
        test.launch(&offer, task);
        assert_eq!(test.said(), [(TaskState::TaskError, text.to_owned())]);
        let launch = |effect: &Effect| matches!(effect, Effect::Launch { .. });
        assert!(!test.effects.iter().any(launch));
    }
    let (mut test, offer) = Test::offered(aware());
    let twice = vec![make::launch(vec![plain("t"), plain("t")])];
    test.call(make::accept(&[&offer], twice, SECOND));
    assert_eq!(test.said(), [(TaskState::TaskError, "Task has duplicate ID: t".to_owned())]);
    // A second task in the executor needs the same executor, and does not pay for it.
    test.wait(3 * SECOND);
    let offer = test.offers().pop().unwrap();
    let executor = json!({
        "executor_id": {"value": "e-t"}, "resources": [scalar("cpus", 0.5)],
        "command": {"value": "run"},
    });
    let second = task("second", json!({"executor": executor}));
    let mut third = task("third", json!({"executor": executor}));
    third.executor.as_mut().unwrap().command.as_mut().unwrap().value = Some("other".into());
    test.effects.clear();
    test.call(make::accept(&[&offer], vec![make::launch(vec![second, third])], SECOND));
    let said = test.said();
    assert!(said[0].1.starts_with("ExecutorInfo is not compatible"), "{said:?}");
    assert!(matches!(&test.effects[..], [Effect::Launch { new_executor: false, .. }]));
}

#[test]
fn offers_that_cannot_be_used() {
    for (info, state) in
        [(aware(), TaskState::TaskDropped), (framework(json!({})), TaskState::TaskLost)]
    {
        let (mut test, offer) = Test::offered(info);
        test.launch("nope", plain("t"));
        let text = "Task launched with invalid offers: Offer nope is no longer valid";
        assert_eq!(test.said(), [(state, text.to_owned())]);
        let launch = vec![make::launch(vec![plain("t")])];
        test.call(make::accept(&[&offer, &offer], launch, SECOND));
        let text = "Task launched with invalid offers: Duplicate offer m-O0 in offer list";
        assert_eq!(test.said(), [(state, text.to_owned())]);
    }
}

#[test]
fn reconciliation() {
    for (info, plain_states) in [(aware(), false), (framework(json!({})), true)] {
        let lost = |state| if plain_states { TaskState::TaskLost } else { state };
        let (mut test, offer) = Test::offered(info);
        test.launch(&offer, plain("t"));
        test.executor("t", TaskState::TaskRunning, 1);
        test.effects.clear();
        let latest = (TaskState::TaskRunning, "Reconciliation: Latest task state".to_owned());
        test.call(make::reconcile([]));
        let status = test.statuses().pop().unwrap();
        assert_eq!(status.uuid, None);
        assert_eq!((status.source(), status.reason()), (Source::Master, Reason::Reconciliation));
        assert_eq!(status.executor_id.unwrap().value, "e-t");
        let asked = [("t", Some("a")), ("u1", Some("a")), ("u2", None), ("u3", Some("zz"))];
        test.call(make::reconcile(asked));
        let said = test.said();
        assert_eq!(said[0], latest);
        let unknown = "Reconciliation: Task is unknown";
        assert_eq!(said[1], (lost(TaskState::TaskGone), format!("{unknown} to the agent")));
        assert_eq!(said[2], (lost(TaskState::TaskUnknown), unknown.to_owned()));
        assert_eq!(said[3], (lost(TaskState::TaskUnknown), unknown.to_owned()));
        // Killing what nobody knows is asking about it.
        test.call(make::kill("u1", Some("a"), None));
        assert_eq!(test.said()[0].0, lost(TaskState::TaskGone));
        test.effects.clear();
        test.call(make::kill("t", None, Some(SECOND)));
        let killed = matches!(&test.effects[..], [Effect::Kill { executor, grace: Some(grace), .. }]
            if executor == "e-t" && *grace == SECOND);
        assert!(killed, "{:?}", test.effects);
    }
}

#[test]
fn agents_that_leave() {
    let cases = [
        (Leaving::Unregistered, TaskState::TaskLost, TaskState::TaskUnknown),
        (Leaving::Unreachable, TaskState::TaskUnreachable, TaskState::TaskUnreachable),
        (Leaving::Gone, TaskState::TaskGoneByOperator, TaskState::TaskGoneByOperator),
    ];
    for (leaving, state, later) in cases {
        let (mut test, offer) = Test::offered(aware());
        test.launch(&offer, plain("t"));
        test.executor("t", TaskState::TaskRunning, 1);
        test.wait(3 * SECOND);
        test.events();
        let agent = "a".to_owned();
        test.input(Input::AgentRemoved { agent, leaving });
        let events = test.events();
        let kinds: Vec<Type> = events.iter().map(|event| event.r#type()).collect();
        assert_eq!(kinds, [Type::Rescind, Type::Update, Type::Failure]);
        let status = &events[1].update.as_ref().unwrap().status;
        assert_eq!((status.state(), status.uuid.is_some()), (state, false));
        assert_eq!(status.unreachable_time.is_some(), leaving == Leaving::Unreachable);
        assert_eq!(events[2].failure.as_ref().unwrap().executor_id, None);
        test.call(make::reconcile([("t", Some("a"))]));
        assert_eq!(test.said()[0].0, later);
        test.wait(100 * SECOND);
        assert_eq!(test.offers(), [""; 0]);
        assert!(is_terminal(state) || leaving == Leaving::Unreachable);
    }
}

#[test]
fn teardown() {
    let (mut test, offer) = Test::offered(aware());
    test.launch(&offer, plain("t"));
    test.effects.clear();
    test.call(make::teardown());
    let shutdown =
        Effect::Shutdown { framework: "f".into(), agent: "a".into(), executor: "e-t".into() };
    assert_eq!(test.effects, [shutdown, Effect::Close(1)]);
    let id = Some(FrameworkId { value: "f".into() });
    test.subscribe(FrameworkInfo { id, ..aware() });
    assert_eq!(test.errors(), ["Framework has been removed"]);
}

#[test]
fn what_goes_to_executors() {
    let (mut test, offer) = Test::offered(aware());
    test.launch(&offer, plain("t"));
    test.effects.clear();
    test.call(make::message("a", "e-t", vec![1]));
    test.call(make::message("a", "unknown", vec![1]));
    test.call(make::shutdown("e-t", "a"));
    test.call(make::shutdown("e-t", "zz"));
    assert!(matches!(&test.effects[..], [Effect::Message { .. }, Effect::Shutdown { .. }]));
    let (framework, agent, executor) = ("f".into(), "a".into(), "e-t".into());
    test.input(Input::Message { framework, agent, executor, data: vec![2] });
    let message = test.events().pop().unwrap().message.unwrap();
    assert_eq!((message.data, message.executor_id.value), (vec![2], "e-t".into()));
}

#[test]
fn the_style_of_offers() {
    let entries = |info: FrameworkInfo| -> Vec<Resource> {
        let mut test = Test::new();
        test.subscribe(info);
        test.wait(SECOND);
        let event = test.events().into_iter().find_map(|event| event.offers).unwrap();
        event.offers[0].resources.clone()
    };
    assert!(entries(aware()).iter().all(|entry| entry.role() == "*" && entry.role.is_some()));
    let multi = framework(json!({"roles": ["r"], "capabilities": [{"type": "MULTI_ROLE"}]}));
    assert!(entries(multi).iter().all(|entry| entry.allocation_info.is_some()));
}
