//! What is called again, and how calls end, with a scheduler that answers as told.

use std::cell::Cell;
use std::rc::Rc;

use aurora_api::api::aurora_scheduler_manager::KillTasks;
use aurora_api::api::read_only_scheduler::{GetQuota, GetQuotaArgs};
use aurora_api::api::{ResponseDetail, ServerInfo};
use thrift_wire::{ApplicationError, MessageHead, MessageKind};

use super::*;
use crate::testing::{Fake, Reply};

/// What a scheduler does with a call.
#[derive(Clone, Copy, Debug)]
enum Act {
    Status(&'static str),
    Code(ResponseCode),
    Exception,
    Garbage,
    Empty,
    Close,
    /// The connection breaks off in the middle of the answer.
    Cut,
}

/// The reply to a call of `M`.
fn reply<M>(act: Act) -> Reply
where
    M: Method<Output = Response>,
{
    let mut body = Vec::new();
    match act {
        Act::Status(status) => return Reply::http(status, "", b"<html>"),
        Act::Close => return Reply::nothing(),
        Act::Cut => {
            let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n\x80\x01";
            return Reply::Last(cut.to_vec());
        }
        Act::Empty => {}
        Act::Garbage => body.extend_from_slice(b"<html>hello</html>"),
        Act::Exception => {
            let head = MessageHead { name: M::NAME.to_owned(), kind: MessageKind::Call, seq: 0 };
            let error = ApplicationError::new(ApplicationError::INTERNAL_ERROR, "oops");
            thrift_wire::write_exception(&mut binary::Writer::new(&mut body), &head, &error);
        }
        Act::Code(code) => {
            let response = Response {
                response_code: Some(code),
                server_info: Some(ServerInfo::default()),
                details: Some(vec![ResponseDetail {
                    message: Some("a reason".to_owned()),
                    ..Default::default()
                }]),
                ..Default::default()
            };
            body = crate::testing::message::<M>(response);
        }
    }
    Reply::http("200 OK", "", &body)
}

/// How a call ends.
#[derive(Debug, PartialEq, Eq)]
struct End {
    outcome: Result<ResponseCode, (u8, String)>,
    attempts: u32,
    seconds: u64,
}

/// Calls a method of a scheduler that does these things in turn, the last one for ever.
fn call<M>(acts: &[Act]) -> (End, String)
where
    M: Method<Output = Response>,
    M::Args: Default,
    M::Fault: Display,
{
    let acts = acts.to_vec();
    let attempts = Rc::new(Cell::new(0));
    let count = attempts.clone();
    let mut world = Fake::new(move |_, _, _| {
        let attempt = count.replace(count.get() + 1);
        reply::<M>(acts[acts.len().min(attempt as usize + 1) - 1])
    });
    let (outcome, seconds) =
        in_cluster(&mut world, |context| context.call::<M>("west", &M::Args::default()));
    let outcome = match outcome {
        Ok(response) => Ok(response.response_code.unwrap_or_default()),
        Err(failure) => Err((failure.code(), sentence(&failure))),
    };
    (End { outcome, attempts: attempts.get(), seconds }, world.said())
}

fn sentence(failure: &Failure) -> String {
    match failure {
        Failure::Command(_, text) | Failure::Authentication(text) | Failure::Fatal(text) => {
            text.clone()
        }
        Failure::Reported(_) | Failure::Interrupted => String::new(),
    }
}

/// Does something where there is a cluster `west`. Returns also how long it took.
fn in_cluster<T>(world: &mut Fake, run: impl FnOnce(&mut Context<'_>) -> T) -> (T, u64) {
    let root = tempfile::tempdir().unwrap();
    let list = r#"[{"name": "west", "scheduler_uri": "http://s:8081"},
                   {"name": "gone", "scheduler_uri": "http://nowhere:8081"},
                   {"name": "zoo", "zk": "z", "scheduler_zk_path": "/aurora"},
                   {"name": "lost"}]"#;
    std::fs::write(root.path().join("clusters.json"), list).unwrap();
    world.variables.insert(
        crate::clusters::ROOT_VARIABLE.to_owned(),
        root.path().to_str().unwrap().to_owned(),
    );
    let start = world.now;
    let outcome = run(&mut Context::new(world));
    (outcome, (world.now - start).as_secs())
}

#[test]
fn reads_are_repeated() {
    for (acts, attempts, seconds) in [
        (vec![Act::Code(ResponseCode::OK)], 1, 0),
        (vec![Act::Status("503 Service Unavailable"), Act::Code(ResponseCode::OK)], 2, 5),
        (vec![Act::Status("404 Not Found"), Act::Code(ResponseCode::OK)], 2, 5),
        (vec![Act::Close, Act::Close, Act::Code(ResponseCode::OK)], 3, 10),
        (vec![Act::Cut, Act::Code(ResponseCode::OK)], 2, 5),
        (vec![Act::Code(ResponseCode::ERROR_TRANSIENT), Act::Code(ResponseCode::OK)], 2, 5),
    ] {
        let (end, said) = call::<GetQuota>(&acts);
        assert_eq!(end, End { outcome: Ok(ResponseCode::OK), attempts, seconds }, "{acts:?}");
        assert_eq!(said.lines().count() as u32, attempts - 1, "{said}");
    }
}

#[test]
fn nothing_is_repeated_for_ever() {
    for act in [Act::Status("503 Service Unavailable"), Act::Code(ResponseCode::ERROR_TRANSIENT)] {
        let (end, _) = call::<GetQuota>(&[act]);
        let message = "Timed out attempting to issue getQuota to west".to_owned();
        let outcome = Err((code::TIMEOUT, message));
        assert_eq!(end, End { outcome, attempts: 120, seconds: 600 }, "{act:?}");
    }
}

#[test]
fn writes_are_sent_once() {
    for act in [Act::Status("503 Service Unavailable"), Act::Status("500 Oh"), Act::Close, Act::Cut]
    {
        let (end, _) = call::<KillTasks>(&[act, Act::Code(ResponseCode::OK)]);
        let (code, message) = end.outcome.unwrap_err();
        assert_eq!((code, end.attempts, end.seconds), (code::NETWORK, 1, 0), "{act:?}");
        assert!(message.contains("non-idempotent operation"), "{message}");
        assert!(message.ends_with(", not retrying"), "{message}");
    }
}

/// Who says that he did nothing may be asked again.
#[test]
fn writes_that_were_not_done_are_repeated() {
    let acts = [Act::Code(ResponseCode::ERROR_TRANSIENT), Act::Code(ResponseCode::OK)];
    let (end, said) = call::<KillTasks>(&acts);
    assert_eq!(end, End { outcome: Ok(ResponseCode::OK), attempts: 2, seconds: 5 });
    assert_eq!(said, " WARN] Connection error with scheduler: a reason, reconnecting...\n");
}

#[test]
fn what_no_repetition_mends() {
    for (act, expected, part) in [
        (Act::Status("401 Unauthorized"), code::AUTHENTICATION, "401 Client Error: Unauthorized"),
        (Act::Status("403 Forbidden"), code::AUTHENTICATION, "403 Client Error: Forbidden"),
        (Act::Exception, code::UNKNOWN, "getQuota to west: oops"),
        (Act::Garbage, code::UNKNOWN, "getQuota to west: the answer cannot be understood"),
        (Act::Empty, code::UNKNOWN, "getQuota to west: the answer cannot be understood"),
    ] {
        let (end, _) = call::<GetQuota>(&[act]);
        let (code, message) = end.outcome.unwrap_err();
        assert_eq!((code, end.attempts, end.seconds), (expected, 1, 0), "{act:?}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn every_other_code_is_an_answer() {
    for code in [
        ResponseCode::INVALID_REQUEST,
        ResponseCode::ERROR,
        ResponseCode::WARNING,
        ResponseCode::AUTH_FAILED,
        ResponseCode::JOB_UPDATING_ERROR,
    ] {
        let (end, _) = call::<KillTasks>(&[Act::Code(code)]);
        assert_eq!(end, End { outcome: Ok(code), attempts: 1, seconds: 0 });
    }
}

/// A call to a cluster that cannot be reached, with the seconds until the user has enough.
fn unreachable<M>(cluster: &str, patience: Option<u64>) -> (Failure, u64, String)
where
    M: Method<Output = Response>,
    M::Args: Default,
    M::Fault: Display,
{
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    world.patience = patience.map(|seconds| world.now + Duration::from_secs(seconds));
    let (outcome, seconds) =
        in_cluster(&mut world, |context| context.call::<M>(cluster, &M::Args::default()));
    (outcome.unwrap_err(), seconds, world.said())
}

#[test]
fn nobody_listens() {
    let (failure, seconds, said) = unreachable::<GetQuota>("gone", None);
    assert_eq!((failure.code(), seconds, said.lines().count()), (code::TIMEOUT, 600, 120));
    assert!(said.contains("cannot connect to nowhere:8081: connection refused"), "{said}");
    let (failure, seconds, _) = unreachable::<KillTasks>("gone", None);
    assert_eq!((failure.code(), seconds), (code::NETWORK, 0));
    let (failure, seconds, _) = unreachable::<GetQuota>("gone", Some(12));
    assert_eq!((failure, seconds), (Failure::Interrupted, 15));
}

/// A proxy that is none, and one that wants to know who asks: no repetition mends either.
#[test]
fn proxies_that_refuse() {
    for proxy in ["socks5://p:1", "p:1"] {
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        let mut world = Fake::new(move |_, _, _| {
            count.set(count.get() + 1);
            Reply::http("407 Proxy Authentication Required", "", b"")
        });
        world.variables.insert("HTTP_PROXY".to_owned(), proxy.to_owned());
        let (outcome, seconds) = in_cluster(&mut world, |context| {
            context.call::<GetQuota>("west", &GetQuotaArgs::default())
        });
        let failure = outcome.unwrap_err();
        assert_eq!((failure.code(), seconds), (code::NETWORK, 0));
        assert!(sentence(&failure).contains("HTTP_PROXY"), "{failure:?}");
        assert_eq!(asked.get(), u32::from(proxy == "p:1"));
    }
}

/// One that is not there may come, as the scheduler may.
#[test]
fn proxies_that_are_away() {
    let mut world = Fake::new(|_, _, _| Reply::http("502 Bad Gateway", "", b""));
    world.variables.insert("HTTP_PROXY".to_owned(), "p:1".to_owned());
    let (outcome, seconds) = in_cluster(&mut world, |context| {
        context.call::<GetQuota>("west", &GetQuotaArgs::default())
    });
    assert_eq!((outcome.unwrap_err().code(), seconds), (code::TIMEOUT, 600));
    let said = world.said();
    assert!(
        said.starts_with(
            " WARN] Transport error communicating with scheduler: Unknown error talking to \
             http://s:8081/api: 502 Server Error: Bad Gateway for url: http://s:8081/api through \
             the proxy http://p:1 of HTTP_PROXY, retrying...\n"
        ),
        "{said}"
    );
}

#[test]
fn no_scheduler_leads() {
    // Also what may not be repeated waits: nothing was sent.
    for (failure, seconds, said) in
        [unreachable::<GetQuota>("zoo", None), unreachable::<KillTasks>("zoo", None)]
    {
        assert_eq!(failure.code(), code::TIMEOUT);
        // A look of 60 s and a pause of 5 s in turn.
        assert_eq!(seconds, 650, "{said}");
        assert!(said.starts_with(
            " WARN] Could not connect to scheduler: No schedulers detected in zoo!\n"
        ));
        assert!(said.contains("Timed out trying to connect to scheduler at zoo, reconnecting..."));
    }
}

#[test]
fn clusters_that_say_nothing() {
    let (failure, _, _) = unreachable::<GetQuota>("lost", None);
    assert_eq!(failure.code(), code::UNKNOWN);
    assert!(sentence(&failure).contains("does not specify zk or scheduler_uri"));
    let (failure, _, _) = unreachable::<GetQuota>("north", None);
    assert_eq!(failure, Failure::new(code::INVALID_CONFIGURATION, "Unknown cluster: north"));
}

#[test]
fn what_is_sent() {
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    let mut world = Fake::new(move |_, peer, request| {
        let end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        assert_eq!(peer, "s:8081");
        assert!(head.starts_with("post /api http/1.1\r\n"), "{head}");
        for header in [
            "host: s:8081",
            "accept: application/vnd.apache.thrift.binary",
            "content-type: application/vnd.apache.thrift.binary",
            "accept-encoding: gzip",
            &format!("content-length: {}", request.len() - end - 4),
        ] {
            assert!(head.lines().any(|line| line == header), "{header}: {head}");
        }
        assert_eq!(head.contains("bypass-leader-redirect: true"), count.get() == 1);
        let mut expected = Vec::new();
        let arguments = GetQuotaArgs { owner_role: Some("web".to_owned()), ..Default::default() };
        write_call::<GetQuota, _>(&mut binary::Writer::new(&mut expected), 0, &arguments);
        assert_eq!(&request[end + 4..], expected);
        count.set(count.get() + 1);
        reply::<GetQuota>(Act::Code(ResponseCode::OK))
    });
    let arguments = GetQuotaArgs { owner_role: Some("web".to_owned()), ..Default::default() };
    in_cluster(&mut world, |context| {
        context.call::<GetQuota>("west", &arguments).unwrap();
        context.bypass_redirect = true;
        context.call::<GetQuota>("west", &arguments).unwrap();
    });
    assert_eq!(seen.get(), 2);
}
