//! How whole commands end when the scheduler, or what is before it, does something else than answer:
//! exit code, what is said, how often it is asked, and for how long.

use std::cell::RefCell;
use std::ffi::OsString;
use std::rc::Rc;

use aurora_api::api::aurora_admin::Snapshot;
use aurora_api::api::aurora_scheduler_manager::{DescheduleCronJob, KillTasks};
use aurora_api::api::read_only_scheduler::GetQuota;
use aurora_api::api::{Response, ResponseCode};
use thrift_wire::{ApplicationError, MessageHead, MessageKind};

use super::*;
use crate::testing::{Fake, Reply, message};

/// A command that reads, one that changes, and one of operators.
const READ: &str = "aurora quota get west/web";
const CHANGE: &str = "aurora cron deschedule west/web/prod/www";
const OPERATE: &str = "aurora_admin scheduler_snapshot west";

/// What the other side does.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Says this, and nothing more.
    Raw(&'static [u8]),
    /// Answers, but with this code, as a number.
    Code(i32),
    /// Answers with a field that this client has never heard of.
    Newer,
    /// Answers, but to another question.
    Other,
    /// Does not know the method.
    Older,
    /// Answers the half of it.
    Half,
    /// Tells to ask elsewhere, where somebody answers.
    Elsewhere,
}

fn coded(code: i32) -> Response {
    Response { response_code: Some(ResponseCode(code)), ..Default::default() }
}

fn act<M: Method<Output = Response>>(act: Act, peer: &str) -> Reply {
    let ok = |body: &[u8]| Reply::http("200 OK", "", body);
    match act {
        Act::Raw(bytes) => Reply::Last(bytes.to_vec()),
        Act::Code(code) => ok(&message::<M>(coded(code))),
        Act::Newer => {
            let mut body = message::<M>(coded(ResponseCode::OK.0));
            // Before the two ends, that of the response and that of the reply.
            let end = body.len() - 2;
            body.splice(end..end, [&b"\x0b\x7f\x00\x00\x00\x00\x03new"[..]].concat());
            ok(&body)
        }
        Act::Other => ok(&message::<KillTasks>(coded(ResponseCode::OK.0))),
        Act::Older => {
            let mut body = Vec::new();
            let head = MessageHead { name: M::NAME.to_owned(), kind: MessageKind::Call, seq: 0 };
            let what = format!("Invalid method name: '{}'", M::NAME);
            let error = ApplicationError::new(ApplicationError::UNKNOWN_METHOD, what);
            thrift_wire::write_exception(&mut binary::Writer::new(&mut body), &head, &error);
            ok(&body)
        }
        Act::Half => {
            let Reply::Bytes(mut bytes) = ok(&message::<M>(coded(ResponseCode::OK.0))) else {
                unreachable!("an answer in HTTP goes on")
            };
            bytes.truncate(bytes.len() - 9);
            Reply::Last(bytes)
        }
        Act::Elsewhere if peer == "t:1" => ok(&message::<M>(coded(ResponseCode::OK.0))),
        Act::Elsewhere => Reply::http("307 Go", "Location: http://t:1/api\r\n", b""),
    }
}

/// How a command ends.
#[derive(Debug, PartialEq, Eq)]
struct End {
    exit: u8,
    requests: u32,
    seconds: u64,
}

/// Runs a command line. Returns also what it said.
fn run(line: &str, act_of: Act) -> (End, String) {
    let root = tempfile::tempdir().unwrap();
    let list = r#"[{"name": "west", "scheduler_uri": "http://s:8081"}]"#;
    std::fs::write(root.path().join("clusters.json"), list).unwrap();
    let requests = Rc::new(RefCell::new(0));
    let count = requests.clone();
    let method = line.to_owned();
    let mut world = Fake::new(move |_, peer, _| {
        *count.borrow_mut() += 1;
        match &*method {
            READ => act::<GetQuota>(act_of, peer),
            CHANGE => act::<DescheduleCronJob>(act_of, peer),
            _ => act::<Snapshot>(act_of, peer),
        }
    });
    let variable = crate::clusters::ROOT_VARIABLE.to_owned();
    world.variables.insert(variable, root.path().to_str().unwrap().to_owned());
    let start = world.now;
    let words = line.split(' ').map(OsString::from);
    let exit = match line.starts_with("aurora_admin") {
        true => crate::admin::run(words, &mut world),
        false => crate::run(words, &mut world),
    };
    let requests = *requests.borrow();
    (End { exit, requests, seconds: (world.now - start).as_secs() }, world.said())
}

/// What a read does for ten minutes: 120 times, every five seconds.
const LONG: u32 = 120;

#[test]
fn ends() {
    let full = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let round = b"HTTP/1.1 307 Go\r\nLocation: /api\r\nContent-Length: 0\r\n\r\n";
    let nowhere = b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\n\r\n";
    let who = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    // Each with exit codes and requests: read, change, operate.
    let lost =
        |requests| ([code::TIMEOUT, code::NETWORK, 1], [LONG * requests, requests, requests]);
    let once = |code| ([code, code, 1], [1, 1, 1]);
    for (act, (exits, requests), said) in [
        (Act::Raw(b""), lost(1), "closed without an answer"),
        (Act::Raw(full), lost(1), "503 Server Error: Service Unavailable"),
        (Act::Raw(round), lost(31), "Exceeded 30 redirects"),
        (Act::Raw(nowhere), lost(1), "307 Unexpected answer"),
        (Act::Raw(b"<html>\n"), lost(1), "the answer is no HTTP"),
        (Act::Raw(b"HTTP/3.0 200 OK\r\n\r\n"), lost(1), "the answer is no HTTP"),
        (Act::Raw(b"HTTP/1.1 200 OK\r\nContent-Le"), lost(1), "in the middle of the answer"),
        (Act::Half, lost(1), "in the middle of the answer"),
        (Act::Raw(who), once(code::AUTHENTICATION), "401 Client Error: Unauthorized"),
        (Act::Raw(forbidden), once(code::AUTHENTICATION), "403 Client Error: Forbidden"),
        (Act::Older, once(code::UNKNOWN), "Invalid method name"),
        (Act::Other, once(code::UNKNOWN), "found the reply to killTasks"),
        (Act::Code(ResponseCode::AUTH_FAILED.0), once(code::API), ""),
        // A code that newer schedulers may have is no success.
        (Act::Code(99), once(code::API), ""),
    ] {
        for (index, line) in [READ, CHANGE, OPERATE].into_iter().enumerate() {
            let (end, text) = run(line, act);
            let is_long = exits[index] == code::TIMEOUT;
            let seconds = if is_long { 600 } else { 0 };
            let expected = End { exit: exits[index], requests: requests[index], seconds };
            assert_eq!(end, expected, "{line} {act:?}: {text}");
            assert!(text.contains(said), "{line} {act:?}: {text}");
        }
    }
}

#[test]
fn answers_all_the_same() {
    for (act, requests) in [(Act::Newer, 1), (Act::Elsewhere, 2)] {
        for line in [CHANGE, OPERATE] {
            let (end, text) = run(line, act);
            assert_eq!(end, End { exit: 0, requests, seconds: 0 }, "{line} {act:?}: {text}");
        }
    }
}
