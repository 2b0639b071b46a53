//! How it ends: with SHUTDOWN, or with an agent that does not come back.

use std::time::Duration;

use mesos_executor::session::{Command, Input};
use mesos_executor::v1::TaskState;
use mesos_executor::v1::executor::event::Type;
use mesos_executor::{Event, GiveUp};
use rstest::rstest;

use super::{Harness, MS, SECOND, launch, of_type};

#[test]
fn shutdown_first() {
    let mut h = Harness::new(true);
    let stream = h.accept();
    h.record(stream, &of_type(Type::Shutdown));
    h.record(stream, &of_type(Type::Shutdown));
    assert_eq!(h.events(), [Event::Shutdown]);
    let reason = "last chunk".to_owned();
    h.handle(Input::Disconnected { stream, closed: true, reason });
    assert_eq!((h.timer, h.opened.is_none()), (None, true));
    h.handle(Input::Command(Command::Flush { within: 5 * SECOND }));
    assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 0 }]);
}

/// After SHUTDOWN and the end of the stream updates are still made known, and not waited for.
#[rstest]
#[case(true)]
#[case(false)]
fn shutdown_with_tasks(#[case] checkpoint: bool) {
    let (mut h, stream) = Harness::up(checkpoint);
    h.record(stream, &launch("t"));
    h.record(stream, &of_type(Type::Shutdown));
    h.handle(Input::Disconnected { stream, closed: true, reason: "last chunk".into() });
    h.update("t", TaskState::TaskKilled);
    h.handle(Input::Command(Command::Flush { within: 5 * SECOND }));
    assert!(h.call.is_some());
    let start = h.now;
    h.now += 20 * MS;
    h.answer(202, "");
    h.events();
    h.tick();
    assert_eq!(h.events(), [Event::Flushed { unsent: 0, unacknowledged: 1 }]);
    assert_eq!(h.now - start, 270 * MS);
    assert_eq!(h.timer, None);
}

#[test]
fn not_subscribed_any_more_after_shutdown() {
    let (mut h, stream) = Harness::up(true);
    h.record(stream, &launch("t"));
    h.record(stream, &of_type(Type::Shutdown));
    h.handle(Input::Disconnected { stream, closed: true, reason: "last chunk".into() });
    h.update("t", TaskState::TaskKilled);
    let uuid = h.posted_uuid();
    h.answer(403, "Executor is not subscribed");
    h.tick();
    assert_eq!(h.opened().unacknowledged_updates.len(), 1);
    // It says SHUTDOWN again, and has not looked at the update.
    let stream = h.accept();
    h.record(stream, &of_type(Type::Shutdown));
    assert_eq!(h.posted_uuid(), uuid);
    let shutdowns = h.events().into_iter().filter(|e| *e == Event::Shutdown).count();
    assert_eq!(shutdowns, 1);
}

#[test]
fn without_checkpoints_the_end_is_the_end() {
    let (mut h, stream) = Harness::up(false);
    h.record(stream, &launch("t"));
    h.update("t", TaskState::TaskRunning);
    h.handle(Input::Command(Command::Flush { within: 5 * SECOND }));
    h.events();
    h.cut(stream);
    let reason = "connection refused".to_owned();
    assert_eq!(
        h.events(),
        [
            Event::Disconnected { reason: reason.clone() },
            Event::Flushed { unsent: 1, unacknowledged: 1 },
            Event::GaveUp(GiveUp::NotCheckpointing(reason)),
        ]
    );
    assert_eq!((h.timer, h.abandoned.len()), (None, 1));
}

#[rstest]
#[case(true, 60)]
#[case(false, 60)]
fn never_subscribed(#[case] checkpoint: bool, #[case] seconds: u64) {
    let mut h = Harness::new(checkpoint);
    let start = h.now;
    let mut tries = 1;
    while h.events.is_empty() {
        let before = h.now;
        h.refuse();
        while h.opened.is_none() && h.events.is_empty() {
            h.tick();
        }
        assert!(h.now - before <= 250 * MS && h.now > before);
        tries += 1;
    }
    assert_eq!(h.now - start, Duration::from_secs(seconds));
    let timeout = Duration::from_secs(seconds);
    let reason = "connection refused".to_owned();
    assert_eq!(h.events(), [Event::GaveUp(GiveUp::NeverSubscribed { timeout, reason })]);
    assert!((240..=480).contains(&tries), "{tries}");
}

#[test]
fn recovery_timeout() {
    let (mut h, stream) = Harness::up(true);
    h.cut(stream);
    let start = h.now;
    h.tick();
    // The first try is soon.
    assert!(h.now - start <= 25 * MS);
    // A subscription that does not come to SUBSCRIBED does not count.
    h.events();
    while h.events.is_empty() {
        if h.opened.is_some() {
            let stream = h.accept();
            h.cut(stream);
        }
        h.tick();
    }
    assert_eq!(h.now - start, 30 * SECOND);
    let reason = "connection refused".to_owned();
    let timeout = 30 * SECOND;
    assert_eq!(h.events(), [Event::GaveUp(GiveUp::RecoveryTimeout { timeout, reason })]);
}
