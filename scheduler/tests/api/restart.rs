//! What is confirmed lasts.

use aurora_api::api::ScheduleStatus;

use crate::server::{Cluster, Server};
use crate::{create, get_tasks, is_running, job, kill, query, tasks, told};

#[test]
fn what_was_confirmed_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    assert_eq!(told(&create(&server, job("a", 3))), "OK");
    assert_eq!(told(&create(&server, job("b", 2))), "OK");
    server.wait_for("tasks to run", |s| is_running(s, "a", 3) && is_running(s, "b", 2));
    assert_eq!(told(&kill(&server, "b", &[1], None)), "OK");
    server.wait_for("the kill", |s| s.count("b", ScheduleStatus::KILLED) == 1);
    let ids = |server: &Server| {
        let tasks = tasks(&get_tasks(server, query("a")));
        let mut ids: Vec<_> =
            tasks.into_iter().map(|task| task.assigned_task.unwrap().task_id.unwrap()).collect();
        ids.sort();
        ids
    };
    let before = ids(&server);
    server.stop().unwrap();

    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    assert_eq!(ids(&server), before);
    assert!(is_running(&server, "a", 3) && is_running(&server, "b", 1));
    assert_eq!(server.count("b", ScheduleStatus::KILLED), 1);
    // It would not launch what runs.
    assert_eq!(server.seen.lock().unwrap().launched.len(), 0);
    assert_eq!(
        told(&create(&server, job("a", 1))),
        "INVALID_REQUEST Job www/prod/a already exists"
    );
    server.stop().unwrap();
}

#[test]
fn a_snapshot_and_what_came_after_it() {
    use aurora_api::api::aurora_admin as admin;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    assert_eq!(told(&create(&server, job("a", 50))), "OK");
    server.wait_for("tasks to run", |s| is_running(s, "a", 50));
    assert_eq!(told(&server.call::<admin::Snapshot>(Default::default())), "OK");
    assert_eq!(told(&create(&server, job("b", 1))), "OK");
    server.wait_for("tasks to run", |s| is_running(s, "b", 1));
    server.stop().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    assert!(is_running(&server, "a", 50) && is_running(&server, "b", 1));
}

#[test]
fn only_one_process_has_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path(), Cluster::Empty, &[]);
    let mut second = Server::begin(dir.path(), Cluster::Empty, &[]);
    let problem = second.wait().unwrap_err();
    assert!(problem.contains("another process has the log"), "{problem}");
}

/// Conformance: discovery, HTTP 16 (registration).
#[test]
fn without_mesos_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-max_registration_delay=50ms"];
    let mut server = Server::begin(dir.path(), Cluster::Deaf, &flags);
    let problem = server.wait().unwrap_err();
    assert!(problem.starts_with("Mesos did not accept this scheduler within 50ms"), "{problem}");
}

#[test]
fn updates_are_acknowledged_and_answers_are_of_what_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    assert_eq!(told(&create(&server, job("a", 20))), "OK");
    // Who was told of it sees it.
    assert_eq!(tasks(&get_tasks(&server, query("a"))).len(), 20);
    server.wait_for("tasks to run", |s| is_running(s, "a", 20));
    server.wait_for("acknowledgements", |s| s.seen.lock().unwrap().acknowledged == 40);
    assert_eq!(server.seen.lock().unwrap().launched.len(), 20);
}

/// What the loop decides by, and publishes, is what the log tells, entry by entry.
#[test]
fn every_state_is_what_the_log_tells() {
    let dir = tempfile::tempdir().unwrap();
    let verify = |options: &mut aurora_scheduler::options::Options| options.log.verify = true;
    let server = Server::begin_with(dir.path(), Cluster::Obedient, &[], verify);
    server.wait_until_active();
    assert_eq!(told(&create(&server, job("a", 10))), "OK");
    server.wait_for("tasks to run", |s| is_running(s, "a", 10));
    assert_eq!(told(&kill(&server, "a", &[3], None)), "OK");
    server.wait_for("the kill", |s| s.count("a", ScheduleStatus::KILLED) == 1);
    server.stop().unwrap();
    // And again with what was read, which comes from another pool.
    let server = Server::begin_with(dir.path(), Cluster::Obedient, &[], verify);
    server.wait_until_active();
    assert_eq!(told(&create(&server, job("b", 10))), "OK");
    server.wait_for("tasks to run", |s| is_running(s, "a", 9) && is_running(s, "b", 10));
    server.stop().unwrap();
}

/// A log that takes one entry at a time: whatever comes meanwhile waits, and nothing is lost.
#[test]
fn a_slow_log_holds_everything_back() {
    let dir = tempfile::tempdir().unwrap();
    let slow = |options: &mut aurora_scheduler::options::Options| options.log.queue_bytes = 1;
    let server = Server::begin_with(dir.path(), Cluster::Obedient, &[], slow);
    server.wait_until_active();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let server = &server;
            scope.spawn(move || assert_eq!(told(&create(server, job(name, 10))), "OK"));
        }
    });
    for name in ["a", "b", "c", "d"] {
        server.wait_for("tasks to run", |s| is_running(s, name, 10));
    }
    server.wait_for("acknowledgements", |s| s.seen.lock().unwrap().acknowledged == 80);
    server.stop().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    for name in ["a", "b", "c", "d"] {
        assert!(is_running(&server, name, 10));
    }
}
