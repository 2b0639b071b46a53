//! Subscriptions, and what comes over their streams.

use std::time::Duration;

use mesos_executor::session::{Command, Input};
use mesos_executor::v1::executor::Event as Record;
use mesos_executor::v1::executor::event::{Error, Kill, Launch, LaunchGroup, Message, Type};
use mesos_executor::v1::{
    DurationInfo, ExecutorId, FrameworkId, KillPolicy, TaskGroupInfo, TaskId, TaskState,
};
use mesos_executor::{Event, GiveUp};
use rstest::rstest;

use super::{Harness, MS, SECOND, acknowledged, launch, of_type, subscribed, task};

#[test]
fn events_are_taken_apart() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    let group = TaskGroupInfo { tasks: vec![task("a"), task("b")] };
    let group = Some(LaunchGroup { task_group: group });
    h.record(stream, &Record { launch_group: group, ..of_type(Type::LaunchGroup) });
    let kill = |nanoseconds| {
        let grace_period = Some(DurationInfo { nanoseconds });
        let kill_policy = Some(KillPolicy { grace_period });
        let kill = Some(Kill { task_id: TaskId { value: "t".into() }, kill_policy });
        Record { kill, ..of_type(Type::Kill) }
    };
    h.record(stream, &kill(2_000_000_000));
    h.record(stream, &kill(-1));
    h.record(
        stream,
        &Record { message: Some(Message { data: b"m".to_vec() }), ..of_type(Type::Message) },
    );
    h.record(stream, &of_type(Type::Heartbeat));
    h.record(stream, &Record { r#type: Some(77), ..Default::default() });
    h.record(stream, &Record::default());
    // What was never sent cannot be acknowledged.
    h.record(stream, &acknowledged("t", &[1; 16]));
    h.record(stream, &subscribed());
    let killed = |grace| Event::Kill { task_id: "t".into(), grace: Some(grace) };
    assert_eq!(
        h.events(),
        [
            Event::Launch(Box::new(task("t"))),
            Event::LaunchGroup(vec![task("a"), task("b")]),
            killed(2 * SECOND),
            killed(Duration::ZERO),
            Event::Message(b"m".to_vec()),
            Event::Trouble("ignored an event of the unknown type 77".into()),
            Event::Trouble("ignored an event of the unknown type 0".into()),
            Event::Trouble("ignored another SUBSCRIBED on the same stream".into()),
        ]
    );
    assert!(h.session.is_connected());
    h.record(
        stream,
        &Record { error: Some(Error { message: "bad".into() }), ..of_type(Type::Error) },
    );
    assert_eq!(h.events(), [Event::Error("bad".into())]);
}

#[rstest]
#[case(401, "no", Some(GiveUp::Unauthorized("no".into())))]
#[case(400, "Framework cannot be found",
    Some(GiveUp::Unknown("Framework cannot be found".into())))]
#[case(400, "Executor cannot be found", Some(GiveUp::Unknown("Executor cannot be found".into())))]
#[case(400, "bad\nbody", Some(GiveUp::Rejected(400, "bad body".into())))]
#[case(403, "", Some(GiveUp::Rejected(403, "".into())))]
#[case(406, "", Some(GiveUp::Rejected(406, "".into())))]
#[case(415, "", Some(GiveUp::Rejected(415, "".into())))]
#[case(404, "", None)]
#[case(429, "", None)]
#[case(500, "", None)]
#[case(503, "", None)]
#[case(202, "", None)]
#[case(307, "", None)]
fn answers_to_subscribe(
    #[case] status: u16,
    #[case] body: &str,
    #[case] reason: Option<GiveUp>,
    #[values(false, true)] checkpoint: bool,
) {
    let mut h = Harness::new(checkpoint);
    let (stream, _) = h.opened.take().unwrap();
    h.handle(Input::Response { stream, status, content_type: None, body: body.as_bytes() });
    assert_eq!(h.closed, [stream]);
    match reason {
        Some(reason) => {
            assert_eq!(h.events(), [Event::GaveUp(reason)]);
            assert_eq!(h.timer, None);
            h.handle(Input::Command(Command::Flush { within: SECOND }));
            assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 0 }]);
            h.handle(Input::Start);
            assert!(h.opened.is_none());
        }
        None => {
            h.tick();
            assert!(h.opened.is_some());
            assert_eq!(h.events(), []);
        }
    }
}

#[test]
fn silence() {
    // No answer to the subscription, then none to a call.
    let mut h = Harness::new(true);
    let (stream, _) = h.opened.clone().unwrap();
    assert_eq!(h.timer, Some(h.now + 5 * SECOND));
    h.tick();
    assert_eq!(h.closed, [stream]);
    h.tick();
    assert!(h.opened.is_some());
    // An answer without events is none.
    h.accept();
    h.tick();
    assert_eq!(h.closed.len(), 2);
    h.tick();
    let stream = h.subscribe();
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    let uuid = h.posted_uuid();
    let (call, _) = h.call.clone().unwrap();
    assert_eq!(h.timer, Some(h.now + 5 * SECOND));
    h.tick();
    assert_eq!(h.abandoned, [call]);
    h.tick();
    assert_eq!(h.posted_uuid(), uuid);
    // The late answer to the first is not taken for one to the second.
    h.handle(Input::Answer { call, status: 202, body: b"" });
    assert!(h.call.is_some());
}

#[rstest]
#[case(b"16777217\n", "a record of 16777217 bytes is longer than 16777216 bytes")]
#[case(b"x", "failed to read the length of a record: 'x'")]
#[case(b"2\n\xff\xff", "failed to decode Event: failed to decode Protobuf message: invalid varint")]
#[case(b"2\n\x22\x00", "Event without launch.task")]
#[case(b"2\n\x08\x02", "LAUNCH without launch")]
fn a_stream_that_makes_no_sense(#[case] bytes: &[u8], #[case] reason: &str) {
    let (mut h, stream) = Harness::up(false);
    h.handle(Input::Bytes { stream, bytes });
    assert_eq!(h.closed, [stream]);
    assert_eq!(h.events(), [Event::Disconnected { reason: reason.into() }]);
    // What else comes from that stream is nothing.
    h.record(stream, &launch("t"));
    h.cut(stream);
    assert_eq!(h.events(), []);
    h.tick();
    h.subscribe();
    assert!(h.session.is_connected());
}

#[test]
fn wrong_ids() {
    let other = ExecutorId { value: "x".into() };
    let stranger = FrameworkId { value: "x".into() };
    for which in 0..3 {
        let mut h = Harness::new(true);
        let stream = h.accept();
        let mut record = subscribed();
        let s = record.subscribed.as_mut().unwrap();
        match which {
            0 => s.executor_info.executor_id = other.clone(),
            1 => s.executor_info.framework_id = Some(stranger.clone()),
            _ => s.framework_info.id = Some(stranger.clone()),
        }
        h.record(stream, &record);
        assert_eq!(h.closed, [stream]);
        assert!(!h.session.is_connected());
        h.tick();
        let stream = h.subscribe();
        let mut task = task("t");
        let executor = task.executor.as_mut().unwrap();
        match which {
            0 => executor.executor_id = other.clone(),
            _ => executor.framework_id = Some(stranger.clone()),
        }
        h.record(stream, &Record { launch: Some(Launch { task }), ..of_type(Type::Launch) });
        let reason = "LAUNCH is for another executor".to_owned();
        assert_eq!(h.events(), [Event::Disconnected { reason }]);
        h.tick();
        assert!(h.opened().unacknowledged_tasks.is_empty());
    }
}

#[test]
fn something_before_subscribed() {
    let mut h = Harness::new(true);
    let stream = h.accept();
    h.record(stream, &of_type(Type::Heartbeat));
    assert!(h.closed.is_empty());
    h.record(stream, &launch("t"));
    assert_eq!(h.closed, [stream]);
    assert_eq!(h.events(), []);
}

#[test]
fn pauses_are_short_again_after_a_good_stream() {
    let (mut h, stream) = Harness::up(true);
    h.cut(stream);
    for _ in 0..8 {
        h.tick();
        h.refuse();
    }
    h.tick();
    let stream = h.subscribe();
    h.now += 2 * SECOND;
    let lost = h.now;
    h.cut(stream);
    h.tick();
    assert!(h.now - lost <= 25 * MS);
    // One that breaks at once is none.
    let stream = h.subscribe();
    let mut longest = Duration::ZERO;
    let mut stream = stream;
    for _ in 0..8 {
        let lost = h.now;
        h.cut(stream);
        h.tick();
        longest = longest.max(h.now - lost);
        stream = h.subscribe();
    }
    assert!(longest > 100 * MS && longest <= 250 * MS, "{longest:?}");
}
