//! Updates and messages, over calls and over the next SUBSCRIBE.

use std::time::Duration;

use mesos_executor::session::{Command, Input};
use mesos_executor::v1::{TaskState, TaskStatus};
use mesos_executor::{Event, Format, GiveUp, recordio};
use rstest::rstest;

use super::{Harness, SECOND, acknowledged, launch, status, subscribed, task};

#[test]
fn requests() {
    let (mut h, stream) = {
        let h = Harness::new(true);
        let (_, request) = h.opened.clone().unwrap();
        assert_eq!(
            request.headers,
            [
                ("host", "10.0.0.1:5051".to_owned()),
                ("content-type", "application/x-protobuf".to_owned()),
                ("authorization", "Bearer secret".to_owned()),
                ("accept", "application/x-protobuf".to_owned()),
            ]
        );
        assert!(!format!("{:?}", h.session).contains("secret"));
        let mut h = h;
        let stream = h.subscribe();
        (h, stream)
    };
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    let (_, request) = h.call.clone().unwrap();
    assert_eq!(request.headers.len(), 3);
    assert!(request.headers.contains(&("authorization", "Bearer secret".to_owned())));
    let update = h.posted().update.unwrap().status;
    assert_eq!(update.timestamp, Some(1.5));
    assert_eq!(update.source(), mesos_executor::v1::task_status::Source::Executor);
    let uuid = update.uuid();
    assert_eq!((uuid.len(), uuid[6] >> 4, uuid[8] >> 6), (16, 4, 2));
    h.handle(Input::Command(Command::Message(b"hello".to_vec())));
    h.answer(202, "");
    assert_eq!(h.posted().message.unwrap().data, b"hello");
    h.answer(202, "");
    // Nothing to do, nothing to wake up for.
    assert_eq!(h.timer, None);
    assert!(h.call.is_none());
}

#[test]
fn acknowledged_updates_are_not_listed() {
    let (mut h, stream) = Harness::up(true);
    for id in ["a", "b"] {
        h.record(stream, &launch(id));
        h.update(id, TaskState::TaskStarting);
        let uuid = h.posted_uuid();
        h.answer(202, "");
        if id == "a" {
            h.record(stream, &acknowledged(id, &uuid));
            h.record(stream, &acknowledged(id, &uuid));
            // Another task's name does not count.
        } else {
            h.record(stream, &acknowledged("a", &uuid));
        }
    }
    h.update("a", TaskState::TaskRunning);
    assert_eq!(h.session.unacknowledged(), 2);
    let got = h.events().into_iter().filter(|e| matches!(e, Event::Acknowledged { .. }));
    assert_eq!(got.count(), 1);
    h.cut(stream);
    assert_eq!(h.abandoned.len(), 1);
    h.update("b", TaskState::TaskFinished);
    h.tick();
    let subscribe = h.opened();
    assert_eq!(subscribe.unacknowledged_tasks, [task("b")]);
    let updates: Vec<_> = subscribe
        .unacknowledged_updates
        .iter()
        .map(|u| (u.status.task_id.value.as_str(), u.status.state()))
        .collect();
    let expected = [
        ("b", TaskState::TaskStarting),
        ("a", TaskState::TaskRunning),
        ("b", TaskState::TaskFinished),
    ];
    assert_eq!(updates, expected);
    // The agent has them now; nothing is posted again.
    h.subscribe();
    assert!(h.call.is_none());
    let input = Input::Command(Command::Flush { within: SECOND });
    h.handle(input);
    assert_eq!(h.events(), [Event::Disconnected { reason: "connection refused".into() }]);
    h.tick();
    assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 3 }]);
}

#[test]
fn updates_that_an_agent_would_refuse() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.events();
    let wrong = [
        (status("", TaskState::TaskRunning), "it has no task id"),
        (status("t", TaskState::TaskStaging), "TASK_STAGING is not an executor's to send"),
        (TaskStatus { state: 99, ..status("t", TaskState::TaskLost) }, "its state is not known"),
        (
            TaskStatus { uuid: Some(vec![1; 3]), ..status("t", TaskState::TaskLost) },
            "its uuid is not 16 bytes",
        ),
    ];
    for (status, reason) in wrong {
        h.handle(Input::Command(Command::Update(Box::new(status.clone()))));
        let [Event::Refused { status: refused, reason: text }] = &h.events()[..] else { panic!() };
        assert_eq!((&**refused, text.as_str()), (&status, reason));
    }
    let uuid = Some(vec![5; 16]);
    let with = TaskStatus { uuid: uuid.clone(), ..status("t", TaskState::TaskFinished) };
    h.handle(Input::Command(Command::Update(Box::new(with))));
    assert_eq!(h.posted().update.unwrap().status.uuid, uuid);
    for (id, again, reason) in [
        ("t", [6; 16], "the task has a terminal update already"),
        ("u", [5; 16], "its uuid is that of another update"),
    ] {
        let status = TaskStatus { uuid: Some(again.to_vec()), ..status(id, TaskState::TaskLost) };
        h.handle(Input::Command(Command::Update(Box::new(status))));
        let [Event::Refused { reason: text, .. }] = &h.events()[..] else { panic!() };
        assert_eq!(text, reason);
    }
    // The agent's own refusal; another terminal update is possible then.
    h.answer(400, "Not a valid UUID");
    let [Event::Refused { reason, .. }] = &h.events()[..] else { panic!() };
    assert_eq!(reason, "the agent answered a call with HTTP 400: Not a valid UUID");
    h.update("t", TaskState::TaskFailed);
    assert!(h.call.is_some());
    assert_eq!(h.session.unacknowledged(), 1);
}

#[rstest]
#[case(403, "Executor is not subscribed", true)]
#[case(401, "", true)]
#[case(400, "Executor cannot be found", true)]
#[case(500, "", false)]
#[case(503, "", false)]
#[case(404, "", false)]
fn answers_to_updates(#[case] status: u16, #[case] body: &str, #[case] resubscribes: bool) {
    // Also without checkpoints: the agent is there.
    let (mut h, stream) = Harness::up(false);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    h.update("t", TaskState::TaskFinished);
    let uuid = h.posted_uuid();
    h.events();
    h.answer(status, body);
    assert!(h.call.is_none());
    h.tick();
    if resubscribes {
        assert_eq!(h.closed, [stream]);
        assert!(matches!(&h.events()[..], [Event::Disconnected { .. }]));
        assert_eq!(h.opened().unacknowledged_updates.len(), 2);
    } else {
        assert!(h.closed.is_empty());
        // The same update, before the next.
        assert_eq!(h.posted_uuid(), uuid);
    }
}

#[test]
fn calls_that_never_get_through() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    let uuid = h.posted_uuid();
    let mut tries = 0;
    while h.opened.is_none() {
        if h.call.is_some() {
            tries += 1;
            assert_eq!(h.posted_uuid(), uuid);
            let (call, _) = h.call.take().unwrap();
            h.handle(Input::CallFailed { call, reason: "reset".into() });
        }
        h.tick();
    }
    assert_eq!(tries, 8);
    assert_eq!(h.closed, [stream]);
    assert_eq!(h.opened().unacknowledged_updates.len(), 1);
}

#[test]
fn messages() {
    let mut h = Harness::new(true);
    for place in 0..1002u32 {
        let data = place.to_be_bytes().to_vec();
        h.handle(Input::Command(Command::Message(data)));
    }
    assert_eq!(h.events().len(), 2);
    h.subscribe();
    // One whose fate is not known is not sent twice.
    assert_eq!(h.posted().message.unwrap().data, 0u32.to_be_bytes());
    let (call, _) = h.call.take().unwrap();
    h.handle(Input::CallFailed { call, reason: "reset".into() });
    h.tick();
    assert_eq!(h.posted().message.unwrap().data, 1u32.to_be_bytes());
    h.answer(202, "");
    // Updates come first.
    h.update("t", TaskState::TaskRunning);
    h.answer(202, "");
    assert!(h.posted().update.is_some());
}

/// Whatever was cut off of a stream, and wherever: the next SUBSCRIBE says what the agent needs.
#[test]
fn a_cut_at_every_byte() {
    let uuids: Vec<[u8; 16]> = (0..3u8).map(|n| [n; 16]).collect();
    let records = [
        subscribed(),
        launch("t"),
        acknowledged("t", &uuids[0]),
        acknowledged("t", &uuids[1]),
        acknowledged("t", &uuids[2]),
    ];
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for record in &records {
        recordio::encode(&Format::Protobuf.encode(record), &mut bytes);
        ends.push(bytes.len());
    }
    let states = [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished];
    for cut in 0..=bytes.len() {
        let mut h = Harness::new(true);
        let stream = h.accept();
        let seen = ends.iter().filter(|end| **end <= cut).count();
        let (before, after) = bytes[..cut].split_at(cut.min(ends[1]));
        h.handle(Input::Bytes { stream, bytes: before });
        let made = if seen >= 2 { 3 } else { 0 };
        for (state, uuid) in states.iter().zip(&uuids).take(made) {
            let status = TaskStatus { uuid: Some(uuid.to_vec()), ..status("t", *state) };
            h.handle(Input::Command(Command::Update(Box::new(status))));
            h.answer(202, "");
        }
        for byte in after.chunks(1) {
            h.handle(Input::Bytes { stream, bytes: byte });
        }
        h.cut(stream);
        h.tick();
        let subscribe = h.opened();
        let left: Vec<_> =
            subscribe.unacknowledged_updates.iter().map(|u| u.status.uuid().to_vec()).collect();
        let acknowledged = seen.saturating_sub(2);
        assert_eq!(left, uuids[acknowledged.min(made)..made], "{cut}");
        let tasks = usize::from(seen == 2);
        assert_eq!(subscribe.unacknowledged_tasks.len(), tasks, "{cut}");
    }
}

/// What was in a SUBSCRIBE that was not answered does not count as sent.
#[test]
fn listed_is_not_sent() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskFinished);
    h.answer(202, "");
    h.cut(stream);
    h.tick();
    h.refuse();
    h.events();
    h.handle(Input::Command(Command::Flush { within: Duration::ZERO }));
    assert_eq!(h.events(), [Event::Flushed { unsent: 1, unacknowledged: 1 }]);
    h.tick();
    h.handle(Input::Command(Command::Flush { within: SECOND }));
    let (stream, _) = h.opened.take().unwrap();
    h.handle(Input::Response { stream, status: 401, content_type: None, body: b"" });
    let reason = GiveUp::Unauthorized(String::new());
    assert_eq!(
        h.events(),
        [Event::Flushed { unsent: 1, unacknowledged: 1 }, Event::GaveUp(reason)]
    );
}
