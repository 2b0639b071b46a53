//! Answers as servers, proxies and bad luck make them.

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::testing::{Fake, Reply};

const URL: &str = "http://s:8081/api";

fn request(repeatable: bool) -> Request<'static> {
    Request { method: Method::POST, headers: Vec::new(), body: b"question", repeatable }
}

fn send(world: &mut Fake, http: &mut Http, repeatable: bool) -> Result<String, String> {
    let answer = http.send(world, URL, &request(repeatable)).map_err(|fault| fault.to_string())?;
    Ok(format!("{} {}", answer.status.as_u16(), String::from_utf8_lossy(&answer.body)))
}

/// What comes of one answer to one request.
fn outcome(reply: impl Fn() -> Reply + 'static) -> Result<String, String> {
    let mut world = Fake::new(move |_, _, _| reply());
    send(&mut world, &mut Http::default(), false)
}

fn packed(text: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

#[test]
fn answers() {
    let raw = |text: &'static str| move || Reply::Last(text.as_bytes().to_vec());
    let ok = |text: &str| Ok::<_, String>(text.to_owned());
    assert_eq!(outcome(|| Reply::http("200 OK", "", b"answer")), ok("200 answer"));
    assert_eq!(outcome(|| Reply::http("503 Full", "", b"")), ok("503 "));
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n3\r\nwer\r\n0\r\n\r\n";
    assert_eq!(outcome(raw(chunked)), ok("200 answer"));
    assert_eq!(outcome(raw("HTTP/1.1 200 OK\r\n\r\nanswer")), ok("200 answer"));
    assert_eq!(outcome(raw("HTTP/1.0 200 OK\r\n\r\nanswer")), ok("200 answer"));
    let unpacked =
        outcome(|| Reply::http("200 OK", "Content-Encoding: gzip\r\n", &packed("answer")));
    assert_eq!(unpacked, ok("200 answer"));
}

#[test]
fn answers_that_are_none() {
    let raw = |text: &'static str| move || Reply::Last(text.as_bytes().to_vec());
    let long = || {
        let head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        Reply::Last(head.into_bytes())
    };
    for (outcome, part) in [
        (outcome(Reply::nothing), "closed without an answer"),
        (outcome(raw("HTTP/1.1 2")), "closed in the middle"),
        (outcome(raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nans")), "closed in the middle"),
        (
            outcome(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nans")),
            "closed in the middle",
        ),
        (outcome(raw("SSH-2.0-OpenSSH\r\n\r\n")), "the answer is no HTTP"),
        (outcome(raw("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n")), "the answer is no HTTP"),
        (outcome(long), "head has more than"),
        (outcome(|| Reply::Bytes(Vec::new())), "no answer came in time"),
        (
            outcome(|| Reply::http("200 OK", "Content-Encoding: gzip\r\n", b"answer")),
            "cannot be unpacked",
        ),
    ] {
        let why = outcome.unwrap_err();
        assert!(why.contains(part), "{part}: {why}");
    }
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    for (url, part) in [
        ("http://nowhere:1/api", "cannot connect to nowhere:1: connection refused"),
        ("s:8081", "does not start with http"),
        ("ftp://s/", "does not start with http"),
        ("http:///api", "no address"),
    ] {
        let why = Http::default().send(&mut world, url, &request(true)).unwrap_err().to_string();
        assert!(why.contains(part), "{url}: {why}");
    }
}

#[test]
fn connections_are_used_again_where_that_is_safe() {
    let mut world = Fake::new(|_, _, _| Reply::http("200 OK", "", b"answer"));
    let mut http = Http::default();
    for (repeatable, connections) in [(true, 1), (true, 1), (false, 2), (true, 2), (true, 2)] {
        send(&mut world, &mut http, repeatable).unwrap();
        assert_eq!(world.connections(), connections);
    }
    world.now += MAX_IDLE + Duration::from_secs(1);
    send(&mut world, &mut http, true).unwrap();
    assert_eq!(world.connections(), 3);
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    // The second request over a connection finds nobody there.
    let mut used = 0;
    let mut world = Fake::new(move |connection, _, _| {
        let again = used == connection;
        used = connection;
        match again {
            true => Reply::nothing(),
            false => Reply::http("200 OK", "", b"answer"),
        }
    });
    let mut http = Http::default();
    for connections in [1, 2, 3] {
        assert_eq!(send(&mut world, &mut http, true), Ok("200 answer".to_owned()));
        assert_eq!(world.connections(), connections);
    }
}

#[test]
fn a_connection_that_the_server_closes_is_not_used_again() {
    let mut world = Fake::new(|_, _, _| Reply::http("200 OK", "Connection: close\r\n", b"answer"));
    let mut http = Http::default();
    for connections in [1, 2] {
        send(&mut world, &mut http, true).unwrap();
        assert_eq!(world.connections(), connections);
    }
}

/// The requests that come of one, where these servers answer as told.
fn followed(location: &'static str) -> (Result<String, String>, Vec<String>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = seen.clone();
    let mut world = Fake::new(move |_, peer, request| {
        let text = String::from_utf8_lossy(request);
        let line = text.lines().next().unwrap_or_default();
        note.borrow_mut().push(format!("{peer} {line} {}", text.ends_with("question")));
        match peer == "s:8081" && line.contains("/api ") {
            true => {
                Reply::http("307 Temporary Redirect", &format!("Location: {location}\r\n"), b"")
            }
            false => Reply::http("200 OK", "", b"answer"),
        }
    });
    let outcome = send(&mut world, &mut Http::default(), false);
    (outcome, seen.take())
}

#[test]
fn redirects() {
    for (location, second) in [
        ("http://t:8082/api", "t:8082 POST /api HTTP/1.1 true"),
        ("/other", "s:8081 POST /other HTTP/1.1 true"),
        ("http://t", "t:80 POST / HTTP/1.1 true"),
    ] {
        let (outcome, requests) = followed(location);
        assert_eq!(outcome, Ok("200 answer".to_owned()), "{location}");
        assert_eq!(requests, ["s:8081 POST /api HTTP/1.1 true", second]);
    }
    let (outcome, requests) = followed("/api");
    assert_eq!(outcome, Err("Exceeded 30 redirects.".to_owned()));
    assert_eq!(requests.len(), 31);
    for location in ["other", "ftp://t/", "::"] {
        assert!(followed(location).0.is_err(), "{location}");
    }
    let protected: Uri = "https://s/api".parse().unwrap();
    for (to, allowed) in [("/x", true), ("https://t/x", true), ("http://s/x", false)] {
        let to = HeaderValue::from_static(to);
        assert_eq!(redirected(&protected, &to).is_ok(), allowed, "{to:?}");
    }
}

#[test]
fn addresses_are_shown_without_passwords() {
    for (address, expected) in [
        ("http://s:8081/api", "http://s:8081/api"),
        ("https://u:a@b@s/x@y?z@", "https://s/x@y?z@"),
        ("u:a@s", "s"),
        ("http://u:a b@", "http://"),
        ("", ""),
    ] {
        assert_eq!(shown(address), expected);
    }
    let mut world = Fake::new(|_, _, _| Reply::http("307 Go", "Location: not an address\r\n", b""));
    for url in
        ["http://u:secret@s/", "http://u:secret@ s/", "ftp://u:secret@s/", "http://u:secret@"]
    {
        let why = Http::default().send(&mut world, url, &request(true)).unwrap_err().to_string();
        assert!(!why.contains("secret"), "{why}");
    }
}

#[test]
fn passwords_go_to_their_machine_only() {
    let home = tempfile::tempdir().unwrap();
    let secret = "machine t login alice password secret\n";
    std::fs::write(home.path().join(".netrc"), secret).unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = seen.clone();
    let mut world = Fake::new(move |_, peer, request| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        note.borrow_mut().push(text.contains("authorization: basic ywxpy2u6c2vjcmv0\r\n"));
        assert_eq!(text.contains("authorization"), peer == "t:1");
        match peer {
            "s:8081" => Reply::http("307 Go", "Location: http://t:1/api\r\n", b""),
            _ => Reply::http("200 OK", "", b""),
        }
    });
    let home = home.path().to_str().unwrap().to_owned();
    world.variables.insert("HOME".to_owned(), home);
    send(&mut world, &mut Http::default(), false).unwrap();
    assert_eq!(seen.take(), [false, true]);
}

#[test]
fn a_token_goes_to_whom_it_is_for() {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = seen.clone();
    let mut world = Fake::new(move |_, peer, request| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        note.borrow_mut().push((peer.to_owned(), text.contains("bearer abc")));
        match note.borrow().len() {
            1 => Reply::http("307 Go", "Location: http://s:8081/elsewhere\r\n", b""),
            2 => Reply::http("307 Go", "Location: http://t:1/api\r\n", b""),
            3 => Reply::http("307 Go", "Location: http://s:8081/api\r\n", b""),
            _ => Reply::http("200 OK", "", b""),
        }
    });
    let mut request = request(false);
    request.headers.push((header::AUTHORIZATION, HeaderValue::from_static("Bearer abc")));
    Http::default().send(&mut world, URL, &request).unwrap();
    let expected = [("s:8081", true), ("s:8081", true), ("t:1", false), ("s:8081", false)];
    let expected = expected.map(|(peer, given)| (peer.to_owned(), given));
    assert_eq!(seen.take(), expected);
}

/// The requests that come of one to `url` with these variables, where these servers answer as told: to
/// whom, the first line, and the headers that say who asks.
fn seen(
    url: &str,
    variables: &[(&str, &str)],
    replies: impl Fn(&str) -> Reply + 'static,
) -> (Result<String, String>, Vec<String>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = seen.clone();
    let mut world = Fake::new(move |_, peer, request| {
        let text = String::from_utf8_lossy(request);
        let mut lines = text.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let who = lines.filter(|line| line.to_lowercase().contains("authorization"));
        let who: String = who.map(|line| format!(" {line}")).collect();
        note.borrow_mut().push(format!("{peer} {line}{who}"));
        replies(&line)
    });
    world.variables =
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let outcome = Http::default()
        .send(&mut world, url, &request(false))
        .map(|answer| String::from_utf8_lossy(&answer.body).into_owned())
        .map_err(|fault| fault.to_string());
    (outcome, seen.take())
}

#[test]
fn a_proxy_is_told_whom_to_ask() {
    let variables = [("HTTP_PROXY", "http://alice:se%63ret@p:3128"), ("NO_PROXY", "t")];
    let (outcome, seen) =
        seen("http://u:v@s:8081/api", &variables, |line| match line.contains("//s:8081/api") {
            true => Reply::http("307 Go", "Location: http://s/next\r\n", b""),
            false if line.contains("/next") => {
                Reply::http("307 Go", "Location: http://t:1?x\r\n", b"")
            }
            false => Reply::http("200 OK", "", b"answer"),
        });
    assert_eq!(outcome, Ok("answer".to_owned()));
    let alice = "proxy-authorization: Basic YWxpY2U6c2VjcmV0";
    assert_eq!(
        seen,
        [
            // The password of an address is for the place that it names.
            format!("p:3128 POST http://s:8081/api HTTP/1.1 authorization: Basic dTp2 {alice}"),
            format!("p:3128 POST http://s/next HTTP/1.1 {alice}"),
            "t:1 POST /?x HTTP/1.1".to_owned(),
        ]
    );
}

#[test]
fn a_proxy_is_kept_for_one_scheduler() {
    let mut world = Fake::new(|_, _, _| Reply::http("200 OK", "", b"answer"));
    world.variables.insert("all_proxy".to_owned(), "p".to_owned());
    let mut http = Http::default();
    for (url, connections) in [(URL, 1), (URL, 1), ("http://t/", 2), (URL, 3)] {
        http.send(&mut world, url, &request(true)).unwrap();
        assert_eq!(world.connections(), connections);
    }
    // Who is asked directly next time is not asked through it.
    world.variables.insert("no_proxy".to_owned(), "s".to_owned());
    http.send(&mut world, URL, &request(true)).unwrap();
    assert_eq!(world.connections(), 4);
}

/// A proxy sees nothing of what goes through a tunnel, so also nothing without one.
#[test]
fn tunnels_that_are_none() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".netrc"), "default login bob password hidden\n").unwrap();
    let raw = |text: &'static str| move |_: &str| Reply::Last(text.as_bytes().to_vec());
    let ask = |proxy: &str, reply: Box<dyn Fn(&str) -> Reply>| {
        let variables = [("HTTPS_PROXY", proxy), ("HOME", home.path().to_str().unwrap())];
        let (outcome, seen) = seen("https://s/api", &variables, reply);
        (outcome.unwrap_err(), seen)
    };
    let lost = "cannot connect to s:443 through the proxy http://p:3128 of HTTPS_PROXY: ";
    for (reply, part) in [
        ("", "closed without an answer"),
        ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nwhy", "it answers 502 Bad Gateway"),
        ("HTTP/1.1 307 Go\r\nLocation: http://t/\r\n\r\n", "it answers 307"),
        ("SSH-2.0-OpenSSH\r\n\r\n", "the answer is no HTTP"),
        ("HTTP/1.1 200 OK\r\nX: y", "closed in the middle"),
        (
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "it says more than that it is connected",
        ),
    ] {
        let (why, seen) = ask("http://alice:secret@p:3128", Box::new(raw(reply)));
        assert!(why.starts_with(lost) && why.contains(part), "{part}: {why}");
        assert_eq!(
            seen,
            ["p:3128 CONNECT s:443 HTTP/1.1 proxy-authorization: Basic YWxpY2U6c2VjcmV0"]
        );
    }
    for (proxy, part) in [
        ("p", "HTTPS_PROXY has to be http://USER:PASSWORD@HOST:PORT"),
        ("a:secret@p", "does not accept the user and password that HTTPS_PROXY has"),
    ] {
        let (why, _) = ask(proxy, Box::new(raw("HTTP/1.1 407 Who\r\n\r\n")));
        assert!(why.contains("the proxy http://p:80") && why.contains(part), "{why}");
        assert!(!why.contains("secret"), "{why}");
    }
}

#[test]
fn proxies_that_are_to_blame() {
    let ask = |variable: (&str, &str), reply: fn() -> Reply| {
        seen("http://s/api", &[variable], move |_| reply())
    };
    for (variable, reply, part) in [
        (
            ("HTTP_PROXY", "nowhere:1"),
            Reply::nothing as fn() -> Reply,
            "cannot connect to the proxy http://nowhere:1 of HTTP_PROXY for s:80: connection refused",
        ),
        (
            ("all_proxy", "p"),
            Reply::nothing,
            "through the proxy http://p:80 of all_proxy: the connection was closed without an answer",
        ),
        (
            ("HTTP_PROXY", "p"),
            || Reply::http("407 Who", "", b""),
            "the proxy http://p:80 of HTTP_PROXY wants to know who asks",
        ),
        (("HTTP_PROXY", "socks5://p"), Reply::nothing, "HTTP_PROXY names no proxy"),
    ] {
        let (outcome, _) = ask(variable, reply);
        let why = outcome.unwrap_err();
        assert!(why.contains(part), "{why}");
    }
    // Without a proxy it is an answer as any other.
    assert_eq!(ask(("X", ""), || Reply::http("407 Who", "", b"x")).0, Ok("x".to_owned()));
}

proptest! {
    /// Whatever a server says, it is an answer or a reason why not.
    #[test]
    fn anything_ends(
        head in "(HTTP/1\\.1 200 OK\r\n|HTTP/1\\.1 307 Go\r\nLocation: /x\r\n|x|\r\n){0,3}",
        headers in "((Content-Length: [0-9]{1,3}|Transfer-Encoding: chunked|Content-Encoding: gzip)\r\n){0,2}\r\n",
        body in proptest::collection::vec(any::<u8>(), 0..64),
        chunk in "([0-9a-f]{1,4}\r\n[a-z]{0,9}\r\n){0,3}",
    ) {
        let mut bytes = format!("{head}{headers}{chunk}").into_bytes();
        bytes.extend(body);
        let _ = outcome(move || Reply::Last(bytes.clone()));
    }
}
