//! Any answers of schedulers and proxies to a call of the client: no panic, no endless asking, and
//! nobody sees a password that is another's. An answer that is whole is understood, in whatever pieces
//! it was sent, and one that is cut is none.
//!
//! Input: flags; then either answers, each ended by NUL and 0xff, or how a body is sent, where it is
//! cut, and the body.

#![no_main]

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;

use aurora_client::http::{Http, Request};
use aurora_client::testing::{Fake, Reply};
use http::Method;
use libfuzzer_sys::fuzz_target;

/// `alice:of-the-scheduler` and `bob:of-the-proxy`, as headers say them.
const ALICE: &str = "YWxpY2U6b2YtdGhlLXNjaGVkdWxlcg==";
const BOB: &str = "Ym9iOm9mLXRoZS1wcm94eQ==";

/// A call is sent so often at most: each redirect perhaps twice, as a kept connection may be gone,
/// and perhaps after a word with the proxy.
const MAX_REQUESTS: usize = 31 * 3;

fn request(head: bool, repeatable: bool) -> Request<'static> {
    let method = if head { Method::HEAD } else { Method::POST };
    let body: &[u8] = if head { b"" } else { b"question" };
    Request { method, headers: Vec::new(), body, repeatable }
}

/// Whether bytes have one of the passwords in them, so that it may be seen anywhere.
fn knows(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    [ALICE, BOB, "of-the-"].iter().any(|secret| text.contains(secret))
}

/// Plays answers one after the other, the last one for ever.
fn play(flags: u8, bytes: &[u8]) {
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|window| window == [0, 0xff]) {
        answers.push(rest[..end].to_vec());
        rest = &rest[end + 2..];
    }
    answers.push(rest.to_vec());
    let asked = Rc::new(RefCell::new(0));
    let count = asked.clone();
    let is_known = knows(bytes);
    let stays = flags & 2 != 0;
    let proxied = flags & 4 != 0;
    let mut world = Fake::new(move |_, peer, request| {
        let number = *count.borrow();
        *count.borrow_mut() += 1;
        let request = String::from_utf8_lossy(request);
        let line = request.lines().next().unwrap_or_default();
        // A proxy reads what is for the scheduler, too, but only where it has to.
        let is_scheduler = match proxied {
            true => line.contains("://s:8081/") || line.ends_with("://s:8081 HTTP/1.1"),
            false => peer == "s:8081",
        };
        assert!(is_known || is_scheduler || !request.contains(ALICE), "{peer} {request}");
        assert!(is_known || peer == "p:3128" || !request.contains(BOB), "{peer} {request}");
        assert!(!proxied || peer == "p:3128", "{peer}");
        let answer = answers[number.min(answers.len() - 1)].clone();
        if stays { Reply::Bytes(answer) } else { Reply::Last(answer) }
    });
    if proxied {
        let proxy = "http://bob:of-the-proxy@p:3128".to_owned();
        world.variables.insert("ALL_PROXY".to_owned(), proxy);
    }
    // Behind a tunnel nobody is to be trusted, and looking for whom to trust would take long.
    world.variables.insert("REQUESTS_CA_BUNDLE".to_owned(), "/dev/null".to_owned());
    let url = match flags & 8 != 0 {
        true => "https://alice:of-the-scheduler@s:8081/api",
        false => "http://alice:of-the-scheduler@s:8081/api",
    };
    let mut http = Http::default();
    for _ in 0..2 {
        let outcome = http.send(&mut world, url, &request(flags & 16 != 0, flags & 32 != 0));
        let asked = std::mem::take(&mut *asked.borrow_mut());
        assert!(asked <= MAX_REQUESTS, "asked {asked} times");
        match outcome {
            Ok(answer) => assert!(is_known || !answer.url.contains("of-the-")),
            Err(fault) => {
                let why = fault.to_string();
                assert!(!why.is_empty() && (is_known || !why.contains("of-the-")), "{why}");
            }
        }
    }
}

/// Sends a body in some way, perhaps cut; it arrives, or does not.
fn send(flags: u8, bytes: &[u8]) {
    let [size, cut, high, body @ ..] = bytes else { return };
    let cut = usize::from(*cut) | usize::from(*high) << 8;
    let sent = match flags & 2 != 0 {
        true => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(body).and_then(|()| packer.finish()).expect("no file is written")
        }
        false => body.to_vec(),
    };
    let mut head = "HTTP/1.1 200 OK\r\n".to_owned();
    if flags & 2 != 0 {
        head.push_str("Content-Encoding: gzip\r\n");
    }
    let mut message = Vec::new();
    if flags & 4 != 0 {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        message.extend(head.bytes());
        for piece in sent.chunks(usize::from(*size).max(1)) {
            message.extend(format!("{:x}\r\n", piece.len()).bytes());
            message.extend(piece);
            message.extend(b"\r\n");
        }
        message.extend(b"0\r\n\r\n");
    } else {
        head.push_str(&format!("Content-Length: {}\r\n\r\n", sent.len()));
        message.extend(head.bytes());
        message.extend(&sent);
    }
    let whole = cut >= message.len();
    message.truncate(cut);
    let mut world = Fake::new(move |_, _, _| Reply::Last(message.clone()));
    match Http::default().send(&mut world, "http://s:8081/api", &request(false, false)) {
        Ok(answer) => assert!(whole && answer.body == body, "{:?}", answer.body),
        Err(fault) => assert!(!whole, "{fault}"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    match bytes {
        [flags, rest @ ..] if flags & 1 == 0 => play(*flags, rest),
        [flags, rest @ ..] => send(*flags, rest),
        [] => {}
    }
});
