//! The session, step by step.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use mesos_executor::recordio;
use mesos_scheduler::answer::Rejection;
use mesos_scheduler::call::{self, Type as Kind};
use mesos_scheduler::session::{
    CallId, Command, Input, Output, Request, Response, Session, StreamId,
};
use mesos_scheduler::v1::scheduler::event::{self, Type};
use mesos_scheduler::v1::scheduler::{Call, Event as Record, call as calls};
use mesos_scheduler::v1::{AgentId, FrameworkId, TaskId, TaskStatus};
use mesos_scheduler::{
    CallError, Credentials, Endpoint, Event, Format, Framework, GiveUp, Options, Receipt,
};
use proptest::prelude::*;
use rstest::rstest;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn at(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Record::default() }
}

fn subscribed(id: &str) -> Record {
    Record {
        subscribed: Some(event::Subscribed {
            framework_id: FrameworkId { value: id.into() },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..of_type(Type::Subscribed)
    }
}

fn update(task: &str, uuid: Option<u8>) -> Record {
    let status = TaskStatus {
        task_id: TaskId { value: task.into() },
        agent_id: Some(AgentId { value: "agent".into() }),
        uuid: uuid.map(|byte| vec![byte; 16]),
        ..TaskStatus::default()
    };
    Record { update: Some(event::Update { status }), ..of_type(Type::Update) }
}

fn record(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    recordio::encode(&Format::Protobuf.encode(record), &mut bytes);
    bytes
}

struct Test {
    session: Session,
    now: Duration,
    stream: Option<StreamId>,
    asked: Vec<(Endpoint, Call)>,
    headers: Vec<(&'static str, String)>,
    posted: Vec<(CallId, Call)>,
    events: Vec<Event>,
    timer: Option<Duration>,
}

impl Test {
    fn with(framework: Framework, options: Options) -> Test {
        Test {
            session: Session::new(framework.info(), options, 5),
            now: SECOND,
            stream: None,
            asked: Vec::new(),
            headers: Vec::new(),
            posted: Vec::new(),
            events: Vec::new(),
            timer: None,
        }
    }

    /// One that has subscribed with `a:1` as framework `f`.
    fn up() -> Test {
        let mut test = Test::with(Framework::default(), Options::default());
        test.masters(&["a:1"]);
        test.ok();
        test.record(&subscribed("f"));
        test.events.clear();
        test
    }

    fn handle(&mut self, input: Input<'_>) {
        for output in self.session.handle(self.now, input) {
            match output {
                Output::OpenSubscription(stream, Request { master, headers, body }) => {
                    self.stream = Some(stream);
                    self.asked.push((master, Format::Protobuf.decode(&body).unwrap()));
                    self.headers = headers;
                }
                Output::CloseSubscription(_) => self.stream = None,
                Output::PostCall(id, Request { headers, body, .. }) => {
                    self.headers = headers;
                    self.posted.push((id, Format::Protobuf.decode(&body).unwrap()));
                }
                Output::AbandonCall(call) => self.posted.retain(|(id, _)| *id != call),
                Output::Deliver(event) => self.events.push(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    fn masters(&mut self, masters: &[&str]) {
        self.handle(Input::Masters(masters.iter().map(|text| at(text)).collect()));
    }

    fn ok(&mut self) {
        let response = Response { status: 200, stream_id: Some("s"), ..Response::default() };
        self.handle(Input::Response { stream: self.stream.unwrap(), response });
    }

    fn refuse(&mut self, status: u16, location: Option<&str>, body: &str) {
        let stream = self.stream.take().unwrap();
        let response = Response { status, location, body: body.as_bytes(), ..Response::default() };
        self.handle(Input::Response { stream, response });
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.handle(Input::Bytes { stream: self.stream.unwrap(), bytes });
    }

    fn record(&mut self, event: &Record) {
        self.bytes(&record(event));
    }

    fn cut(&mut self) {
        let stream = self.stream.take().unwrap();
        self.handle(Input::Disconnected { stream, reason: "cut".into() });
    }

    fn call(&mut self, call: Call) {
        self.handle(Input::Command(Command::Call(Box::new(call))));
    }

    fn answer(&mut self, status: u16, body: &str) {
        let (call, _) = self.posted.remove(0);
        let response = Response { status, body: body.as_bytes(), ..Response::default() };
        self.handle(Input::Answer { call, response });
    }

    /// Lets time pass, timer by timer.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.timer.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.timer = None;
            self.handle(Input::Tick);
        }
        self.now = end;
    }

    fn kinds(&self) -> Vec<Kind> {
        self.posted.iter().map(|(_, call)| call.r#type()).collect()
    }

    fn receipts(&self) -> Vec<Receipt> {
        let receipt = |event: &Event| match event {
            Event::Update { receipt, .. } => Some(*receipt),
            _ => None,
        };
        self.events.iter().filter_map(receipt).collect()
    }

    fn gave_up(&self) -> Option<&GiveUp> {
        self.events.iter().find_map(|event| match event {
            Event::GaveUp(reason) => Some(reason),
            _ => None,
        })
    }
}

#[test]
fn subscribes_with_what_it_knows() {
    let credentials = Credentials::new("aurora", "s3cret").unwrap();
    let options = Options { credentials: Some(credentials), ..Options::default() };
    let framework = Framework { id: Some("f".into()), ..Framework::default() };
    let mut test = Test::with(framework, options);
    assert_eq!(test.asked, []);
    test.masters(&["a:1"]);
    let (master, call) = test.asked.pop().unwrap();
    assert_eq!(master, at("a:1"));
    assert_eq!(call.framework_id.as_ref().unwrap().value, "f");
    assert_eq!(call.subscribe.unwrap().framework_info.id, call.framework_id);
    let expected = [
        ("host", "a:1"),
        ("content-type", "application/x-protobuf"),
        ("authorization", "Basic YXVyb3JhOnMzY3JldA=="),
        ("accept", "application/x-protobuf"),
    ];
    assert_eq!(test.headers, expected.map(|(name, value)| (name, value.to_owned())));
    test.ok();
    test.record(&subscribed("f"));
    test.call(call::revive(&[]));
    let stream_id = ("mesos-stream-id", "s".to_owned());
    assert_eq!(test.headers.last(), Some(&stream_id));
    assert_eq!(test.posted[0].1.framework_id.as_ref().unwrap().value, "f");
}

#[test]
fn the_id_of_the_first_subscription_is_that_of_all_later_ones() {
    let mut test = Test::up();
    assert_eq!(test.asked[0].1.framework_id, None);
    test.cut();
    assert!(matches!(test.events[0], Event::Disconnected { .. }));
    test.wait(SECOND);
    assert_eq!(test.asked[1].1.framework_id.as_ref().unwrap().value, "f");
    test.ok();
    test.record(&subscribed("other"));
    // That is not this framework.
    assert!(!test.session.is_connected());
    test.wait(SECOND);
    test.ok();
    test.record(&subscribed("f"));
    let last = test.events.last().unwrap();
    assert!(matches!(last, Event::Subscribed { again: true, .. }), "{last:?}");
    // Some masters say it twice.
    test.record(&subscribed("f"));
    assert!(test.session.is_connected());
}

#[test]
fn heartbeats() {
    let mut test = Test::up();
    test.wait(40 * SECOND);
    test.record(&of_type(Type::Heartbeat));
    test.wait(44 * SECOND);
    assert!(test.session.is_connected());
    test.wait(SECOND);
    assert!(!test.session.is_connected());
    let lost = Event::Disconnected { reason: "no heartbeat for 45s".into() };
    assert_eq!(test.events[..2], [Event::Heartbeat, lost]);
}

#[test]
fn nothing_is_missed_while_nothing_is_read() {
    let mut test = Test::up();
    test.wait(40 * SECOND);
    test.handle(Input::Reading(false));
    test.wait(1000 * SECOND);
    assert!(test.session.is_connected());
    test.handle(Input::Reading(true));
    test.wait(44 * SECOND);
    assert!(test.session.is_connected());
    test.wait(SECOND);
    assert!(!test.session.is_connected());
}

#[rstest]
#[case(None, 45)]
#[case(Some(1.0), 3)]
#[case(Some(-1.0), 45)]
#[case(Some(f64::NAN), 45)]
#[case(Some(1e300), 45)]
fn intervals(#[case] interval: Option<f64>, #[case] seconds: u32) {
    let mut test = Test::up();
    let mut record = subscribed("f");
    record.subscribed.as_mut().unwrap().heartbeat_interval_seconds = interval;
    test.record(&record);
    test.wait(seconds * SECOND - MS);
    assert!(test.session.is_connected());
    test.wait(MS);
    assert!(!test.session.is_connected());
}

#[test]
fn pauses_grow_and_stay_within_their_bounds() {
    let mut test = Test::with(Framework::default(), Options::default());
    test.masters(&["a:1"]);
    let (min, max) = (250 * MS, 10 * SECOND);
    for round in 0..12 {
        let tries = test.asked.len();
        test.refuse(503, None, "Master has not finished recovery");
        let longest = (min * (1 << round)).min(max);
        let pause = test.timer.unwrap() - test.now;
        assert!(longest / 2 <= pause && pause <= longest, "{round}: {pause:?}");
        test.wait(pause - MS);
        assert_eq!(test.asked.len(), tries);
        test.wait(MS);
        assert_eq!(test.asked.len(), tries + 1);
    }
    // A stream that lived makes them short again.
    test.ok();
    test.record(&subscribed("f"));
    test.wait(2 * SECOND);
    test.cut();
    assert!(test.timer.unwrap() - test.now <= min);
}

#[test]
fn follows_redirects() {
    let mut test = Test::with(Framework::default(), Options::default());
    test.masters(&["a:1", "b:2"]);
    test.refuse(307, Some("//c:3/master/api/v1/scheduler"), "");
    test.cut();
    // The one that was named is dead: the next of the list, at once.
    let asked = |test: &Test| test.asked.iter().map(|(m, _)| m.to_string()).collect::<Vec<_>>();
    assert_eq!(asked(&test), ["a:1", "c:3", "b:2"]);
    test.refuse(307, Some("//b:2/x"), "");
    test.refuse(307, Some("//b:2/x"), "");
    test.refuse(307, Some("//b:2/x"), "");
    test.refuse(307, Some("//b:2/x"), "");
    test.refuse(307, Some("//b:2/x"), "");
    // In a circle: a pause.
    assert_eq!(test.stream, None);
    test.wait(SECOND);
    assert_eq!(asked(&test)[7..], ["a:1"]);
    test.ok();
    test.record(&subscribed("f"));
    // A call says it too.
    test.call(call::revive(&[]));
    let (call, _) = test.posted.remove(0);
    let location = Some("//d:4/x");
    let response = Response { status: 307, location, ..Response::default() };
    test.handle(Input::Answer { call, response });
    test.wait(SECOND);
    assert_eq!(asked(&test)[8..], ["d:4"]);
    test.ok();
    test.record(&subscribed("f"));
    assert_eq!(test.kinds(), [Kind::Revive], "it is not lost");
}

#[test]
fn another_leader() {
    let mut test = Test::up();
    test.masters(&["a:1"]);
    test.masters(&[]);
    assert!(test.session.is_connected());
    test.masters(&["b:2"]);
    assert_eq!(test.asked.last().unwrap().0, at("b:2"));
    let reason = "b:2 leads in place of a:1".to_owned();
    assert_eq!(test.events[0], Event::Disconnected { reason });
    test.cut();
    test.masters(&[]);
    let tries = test.asked.len();
    test.wait(1000 * SECOND);
    assert_eq!(test.asked.len(), tries, "there is nobody to be asked");
    test.masters(&["c:3"]);
    assert_eq!(test.asked.last().unwrap().0, at("c:3"));
}

#[test]
fn acknowledged_when_durable() {
    let mut test = Test::up();
    test.record(&update("t", Some(1)));
    test.record(&update("by-the-master", None));
    assert_eq!((test.posted.len(), test.session.waiting()), (0, 2));
    let receipts = test.receipts();
    test.handle(Input::Command(Command::Durable(receipts[1])));
    assert_eq!((test.posted.len(), test.session.waiting()), (0, 1), "these have no uuid");
    test.handle(Input::Command(Command::Durable(receipts[0])));
    let acknowledge = test.posted[0].1.acknowledge.clone().unwrap();
    assert_eq!(acknowledge.task_id.value, "t");
    assert_eq!(acknowledge.agent_id.value, "agent");
    assert_eq!(acknowledge.uuid, [1; 16]);
    test.answer(202, "");
    assert_eq!(test.session.waiting(), 0);
    // Once is enough.
    test.handle(Input::Command(Command::Durable(receipts[0])));
    assert_eq!(test.posted.len(), 0);
}

#[test]
fn acknowledgements_outlive_the_stream() {
    let mut test = Test::up();
    test.record(&update("t", Some(1)));
    test.cut();
    test.handle(Input::Command(Command::Durable(test.receipts()[0])));
    assert_eq!(test.posted.len(), 0);
    test.wait(SECOND);
    test.ok();
    test.record(&subscribed("f"));
    assert_eq!(test.kinds(), [Kind::Acknowledge]);
}

#[test]
fn a_slow_log_stops_the_stream() {
    let options = Options { max_waiting: 2, ..Options::default() };
    let mut test = Test::with(Framework::default(), options);
    test.masters(&["a:1"]);
    test.ok();
    let mut all = record(&subscribed("f"));
    for place in 0..5 {
        all.extend(record(&update(&format!("t{place}"), Some(place))));
    }
    test.bytes(&all);
    assert_eq!(test.receipts().len(), 2);
    assert!(!test.session.wants_bytes());
    test.wait(1000 * SECOND);
    assert!(test.session.is_connected(), "no heartbeat is missed");
    test.handle(Input::Command(Command::Durable(test.receipts()[0])));
    // Durable, but not acknowledged.
    assert_eq!(test.receipts().len(), 2);
    test.answer(202, "");
    assert_eq!(test.receipts().len(), 3);
    for place in 1..5 {
        test.handle(Input::Command(Command::Durable(test.receipts()[place])));
        test.answer(202, "");
    }
    assert_eq!((test.receipts().len(), test.session.waiting()), (5, 0));
    assert!(test.session.wants_bytes());
}

fn accept(offer: &str) -> Call {
    call::accept(&[offer], vec![call::launch(Vec::new())], SECOND)
}

#[test]
fn calls_keep_their_order() {
    let mut test = Test::up();
    test.call(accept("o1"));
    test.call(call::kill("t", None, None));
    test.call(call::decline(&["o2"], SECOND));
    assert_eq!(test.kinds(), [Kind::Accept]);
    test.answer(202, "");
    assert_eq!(test.kinds(), [Kind::Kill]);
    test.answer(202, "");
    assert_eq!(test.kinds(), [Kind::Decline]);
}

/// What becomes of the calls that are out and that wait when the stream is cut.
#[test]
fn calls_of_a_lost_stream() {
    let mut test = Test::up();
    test.call(accept("out"));
    test.call(accept("waits"));
    test.call(call::decline(&["o"], SECOND));
    test.call(call::message("a", "e", vec![1]));
    test.call(call::kill("t", None, None));
    test.call(call::reconcile([("t", Some("a"))]));
    test.cut();
    let fates: Vec<_> = test
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Refused { call, error } => Some((call.r#type(), error.clone())),
            _ => None,
        })
        .collect();
    let reason = "cut".to_owned();
    let expected = [
        (Kind::Accept, CallError::Unknown(reason.clone())),
        (Kind::Accept, CallError::NotSent(reason.clone())),
        (Kind::Message, CallError::NotSent(reason)),
    ];
    assert_eq!(fates, expected);
    // Without a stream there are no offers.
    test.events.clear();
    test.call(accept("late"));
    test.call(call::decline(&["late"], SECOND));
    assert!(matches!(
        test.events.as_slice(),
        [Event::Refused { error: CallError::NotSent(_), .. }]
    ));
    test.call(call::shutdown("e", "a"));
    test.wait(SECOND);
    test.ok();
    test.record(&subscribed("f"));
    for kind in [Kind::Kill, Kind::Reconcile, Kind::Shutdown] {
        assert_eq!(test.kinds(), [kind]);
        test.answer(202, "");
    }
    assert_eq!(test.kinds(), []);
}

#[rstest]
#[case::not_now(503, true)]
#[case::starting(404, true)]
#[case::broken(500, false)]
fn an_answer_that_says_nothing(#[case] status: u16, #[case] again: bool) {
    let mut test = Test::up();
    test.call(accept("o"));
    test.answer(status, "oh");
    test.wait(SECOND / 10);
    let refused = test.events.iter().any(|event| matches!(event, Event::Refused { .. }));
    assert_eq!(refused, !again, "{:?}", test.events);
    assert_eq!(test.posted.len(), usize::from(again));
    // What can be made twice is.
    let mut test = Test::up();
    test.call(call::kill("t", None, None));
    test.answer(status, "oh");
    assert_eq!(test.kinds(), []);
    test.wait(SECOND / 10);
    assert_eq!(test.kinds(), [Kind::Kill]);
}

#[test]
fn an_answer_that_does_not_come() {
    let mut test = Test::up();
    test.call(accept("o"));
    test.call(call::kill("t", None, None));
    test.wait(10 * SECOND);
    assert!(matches!(
        test.events.as_slice(),
        [Event::Refused { error: CallError::Unknown(_), .. }, Event::Trouble(_)]
    ));
    test.wait(SECOND / 10);
    assert_eq!(test.kinds(), [Kind::Kill]);
    // After some failures the stream is not believed either.
    for _ in 0..7 {
        let (call, _) = test.posted.remove(0);
        let failed = Input::CallFailed { call, unsent: true, reason: "refused".into() };
        test.handle(failed);
        if test.session.is_connected() {
            test.wait(4 * SECOND);
        }
    }
    assert!(!test.session.is_connected());
}

#[test]
fn a_wrong_call() {
    let mut test = Test::up();
    test.call(call::kill("t", None, None));
    test.answer(400, "Not a valid UUID");
    let rejection = Rejection { status: 400, text: "Not a valid UUID".into() };
    let [Event::Refused { call, error }] = test.events.as_slice() else { panic!() };
    assert_eq!((call.r#type(), error), (Kind::Kill, &CallError::Rejected(rejection)));
    assert!(test.session.is_connected());
    // One that is not a scheduler's to make.
    test.call(Call { r#type: Some(Kind::Subscribe.into()), ..Call::default() });
    test.call(Call::default());
    assert_eq!((test.events.len(), test.posted.len()), (3, 0));
}

#[rstest]
#[case("Framework is not subscribed", 403)]
#[case("Framework cannot be found", 400)]
fn not_subscribed(#[case] text: &str, #[case] status: u16) {
    let mut test = Test::up();
    test.call(call::kill("t", None, None));
    test.answer(status, text);
    assert!(!test.session.is_connected());
    test.wait(SECOND);
    test.ok();
    test.record(&subscribed("f"));
    assert_eq!(test.kinds(), [Kind::Kill]);
}

#[rstest]
#[case(401, GiveUp::Unauthorized("no".into()))]
#[case(400, GiveUp::Rejected(Rejection { status: 400, text: "no".into() }))]
#[case(403, GiveUp::Rejected(Rejection { status: 403, text: "no".into() }))]
#[case(406, GiveUp::Rejected(Rejection { status: 406, text: "no".into() }))]
fn refused_for_good(#[case] status: u16, #[case] reason: GiveUp) {
    let mut test = Test::with(Framework::default(), Options::default());
    test.masters(&["a:1"]);
    test.refuse(status, None, "no");
    assert_eq!(test.gave_up(), Some(&reason));
    assert_eq!(test.timer, None);
    test.masters(&["b:1"]);
    assert_eq!(test.asked.len(), 1);
}

#[rstest]
#[case(200)]
#[case(202)]
#[case(301)]
#[case(404)]
#[case(500)]
fn refused_for_now(#[case] status: u16) {
    let mut test = Test::with(Framework::default(), Options::default());
    test.masters(&["a:1"]);
    // 200 without the name of the stream.
    test.refuse(status, None, "");
    test.wait(SECOND);
    assert_eq!((test.asked.len(), test.gave_up()), (2, None));
}

#[test]
fn torn_down() {
    let mut test = Test::up();
    test.call(call::teardown());
    test.answer(202, "");
    assert_eq!(test.gave_up(), Some(&GiveUp::TornDown));
    // The stream ends before the answer comes.
    let mut test = Test::up();
    test.call(call::teardown());
    test.cut();
    test.wait(SECOND);
    test.ok();
    let message = "Framework has been removed".to_owned();
    test.record(&Record { error: Some(event::Error { message }), ..of_type(Type::Error) });
    assert_eq!(test.gave_up(), Some(&GiveUp::TornDown));
}

#[test]
fn suppressed_roles_are_remembered() {
    let suppressed = |test: &mut Test| {
        test.cut();
        test.wait(20 * SECOND);
        let roles = test.asked.pop().unwrap().1.subscribe.unwrap().suppressed_roles;
        test.ok();
        test.record(&subscribed("f"));
        roles
    };
    let mut test = Test::up();
    test.call(call::suppress(&[]));
    assert_eq!(suppressed(&mut test), ["*"]);
    test.call(call::revive(&["*".to_owned()]));
    assert_eq!(suppressed(&mut test), [""; 0]);
    test.call(call::suppress(&["other".to_owned()]));
    assert_eq!(suppressed(&mut test), [""; 0], "a role that it does not have");
}

#[test]
fn an_updated_framework_is_remembered() {
    let mut test = Test::up();
    let framework = Framework { name: "new".into(), ..Framework::default() };
    let update = calls::UpdateFramework { framework_info: framework.info(), ..Default::default() };
    test.call(call::update_framework(update));
    let info = test.posted[0].1.update_framework.clone().unwrap().framework_info;
    assert_eq!((info.name.as_str(), info.id.unwrap().value.as_str()), ("new", "f"));
    test.answer(200, "");
    test.cut();
    test.wait(SECOND);
    let info = test.asked.pop().unwrap().1.subscribe.unwrap().framework_info;
    assert_eq!((info.name.as_str(), info.id.unwrap().value.as_str()), ("new", "f"));
}

#[rstest]
#[case::too_long(b"999999999999\n".to_vec())]
#[case::no_length(b"x\n".to_vec())]
#[case::not_protobuf(b"3\n\xff\xff\xff".to_vec())]
#[case::lacks_something(record(&of_type(Type::Offers)))]
#[case::lacks_something_required(b"4\n\x08\x03\x22\x00".to_vec())]
fn a_stream_that_makes_no_sense(#[case] bytes: Vec<u8>) {
    let mut test = Test::up();
    test.bytes(&bytes);
    let [Event::Disconnected { reason }] = test.events.as_slice() else { panic!() };
    assert!(reason.starts_with("the stream makes no sense: "), "{reason}");
}

#[test]
fn events_before_subscribed() {
    let mut test = Test::with(Framework::default(), Options::default());
    test.masters(&["a:1"]);
    test.ok();
    test.record(&of_type(Type::Heartbeat));
    test.record(&update("t", Some(1)));
    assert_eq!((test.stream, test.receipts().len()), (None, 0));
}

#[test]
fn an_event_of_tomorrow() {
    let mut test = Test::up();
    test.record(&Record { r#type: Some(99), ..Record::default() });
    assert_eq!(test.events, [Event::Unknown(99)]);
    assert!(test.session.is_connected());
}

proptest! {
    /// A subscription that is answered with anything.
    #[test]
    fn any_bytes(pieces: Vec<Vec<u8>>) {
        let mut test = Test::up();
        for piece in pieces {
            if let Some(stream) = test.stream {
                test.handle(Input::Bytes { stream, bytes: &piece });
            }
        }
    }

    /// However the stream is cut into pieces, the same comes out.
    #[test]
    fn any_pieces(cuts in prop::collection::vec(1usize..40, 1..20)) {
        let mut all = Vec::new();
        for place in 0..9 {
            all.extend(record(&update(&format!("t{place}"), Some(place))));
        }
        let mut whole = Test::up();
        whole.bytes(&all);
        let mut test = Test::up();
        let mut rest = all.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, later) = rest.split_at((*cut).min(rest.len()));
            test.bytes(piece);
            rest = later;
        }
        prop_assert_eq!(test.events, whole.events);
    }
}
