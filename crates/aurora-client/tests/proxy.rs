//! The client behind a real proxy: plain and through a tunnel, against a scheduler that only the proxy
//! can find.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use aurora_api::api::read_only_scheduler::GetQuota;
use aurora_api::api::{Response, ResponseCode, ServerInfo};
use aurora_client::testing::message;
use rustls::{ServerConnection, StreamOwned};

/// What somebody was told, in order.
type Heard = Arc<Mutex<Vec<String>>>;

#[path = "support/tls.rs"]
mod server;
use server::{fixture, head, speech};

/// Listens on loopback, and serves each connection on a thread of its own. Lives as long as the test.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            // Who goes away early ends only its own connection.
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// The first line of a head, and what it says about who asks.
fn told(head: &str) -> String {
    let who = |line: &&str| line.to_lowercase().contains("authorization:");
    let line = head.lines().next().unwrap_or_default();
    head.lines().filter(who).fold(line.to_owned(), |told, who| format!("{told}; {who}"))
}

/// Answers one request that asks for a quota.
fn answer(mut stream: impl Read + Write, heard: &Heard) -> io::Result<()> {
    let head = head(&mut stream)?;
    heard.lock().unwrap().push(told(&head));
    let length = head.to_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    io::copy(&mut (&mut stream).take(length.parse().unwrap()), &mut io::sink())?;
    let response = Response {
        response_code: Some(ResponseCode::ERROR),
        server_info: Some(ServerInfo::default()),
        details: Some(Vec::new()),
        ..Default::default()
    };
    let body = message::<GetQuota>(response);
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(&body)?;
    stream.flush()
}

/// A scheduler whose certificate is for `scheduler.example`.
fn protected_scheduler(heard: Heard) -> SocketAddr {
    let config = speech();
    listen(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        answer(StreamOwned::new(session, stream), &heard)
    })
}

/// A proxy through which every name leads to one place. It wants to be told a password.
fn proxy(target: SocketAddr, heard: Heard) -> SocketAddr {
    listen(move |mut client| {
        let head = head(&mut client)?;
        heard.lock().unwrap().push(told(&head));
        if !head.to_lowercase().contains("\r\nproxy-authorization: ") {
            return client.write_all(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n");
        }
        let mut server = TcpStream::connect(target)?;
        match head.starts_with("CONNECT ") {
            true => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?,
            false => {
                // What is for the proxy goes no further, and the path is enough for a server.
                let is_own = |line: &&str| line.to_lowercase().starts_with("proxy-");
                let lines = head.split_inclusive("\r\n").filter(|line| !is_own(line));
                let own = lines.collect::<String>().replace("http://scheduler.example:8081", "");
                server.write_all(own.as_bytes())?;
            }
        }
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        let sending = thread::spawn(move || {
            let sent = io::copy(&mut from, &mut to);
            to.shutdown(Shutdown::Write).and(sent.map(drop))
        });
        io::copy(&mut server, &mut client)?;
        client.shutdown(Shutdown::Both)?;
        sending.join().unwrap()
    })
}

/// `aurora quota get` with a scheduler at an address and these variables, and no others.
fn quota(url: &str, variables: &[(&str, &str)]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let clusters = format!(r#"[{{"name": "west", "scheduler_uri": "{url}"}}]"#);
    std::fs::write(home.path().join("clusters.json"), clusters).unwrap();
    std::fs::write(home.path().join(".netrc"), "machine scheduler.example login u password v\n")
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_aurora"))
        .args(["quota", "get", "west/web"])
        .env_clear()
        .env("HOME", home.path())
        .env("AURORA_CONFIG_ROOT", home.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// The scheduler's refusal came back, in exit code and words.
fn assert_answered(output: &Output) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{error}");
}

const ALICE: &str = "proxy-authorization: Basic YWxpY2U6c2VjcmV0";
const NETRC: &str = "authorization: Basic dTp2";

#[test]
fn plain_calls() {
    let (asked, carried) = (Heard::default(), Heard::default());
    let heard = asked.clone();
    let scheduler = listen(move |stream| answer(stream, &heard));
    let proxy = format!("http://alice:secret@{}", proxy(scheduler, carried.clone()));
    let url = "http://scheduler.example:8081";
    assert_answered(&quota(url, &[("HTTP_PROXY", &proxy)]));
    let line = "POST http://scheduler.example:8081/api HTTP/1.1";
    assert_eq!(*carried.lock().unwrap(), [format!("{line}; {NETRC}; {ALICE}")]);
    assert_eq!(*asked.lock().unwrap(), [format!("POST /api HTTP/1.1; {NETRC}")]);

    // Directly, as the rules say so.
    let url = format!("http://{scheduler}");
    assert_answered(&quota(&url, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "127.0.0.0/8")]));
    assert_eq!(carried.lock().unwrap().len(), 1);
    assert_eq!(asked.lock().unwrap()[1], "POST /api HTTP/1.1");
}

#[test]
fn tunnels() {
    let (asked, carried) = (Heard::default(), Heard::default());
    let scheduler = protected_scheduler(asked.clone());
    let proxy = format!("http://alice:secret@{}", proxy(scheduler, carried.clone()));
    let url = "https://scheduler.example:8443";
    let authority = fixture("authority.pem");
    let trusted = ("CURL_CA_BUNDLE", authority.to_str().unwrap());
    assert_answered(&quota(url, &[("HTTPS_PROXY", &proxy), trusted]));
    // Each of the two is told only what is for it.
    let line = "CONNECT scheduler.example:8443 HTTP/1.1";
    assert_eq!(*carried.lock().unwrap(), [format!("{line}; {ALICE}")]);
    assert_eq!(*asked.lock().unwrap(), [format!("POST /api HTTP/1.1; {NETRC}")]);
}

#[test]
fn a_proxy_that_refuses() {
    let carried = Heard::default();
    let proxy = proxy("127.0.0.1:9".parse().unwrap(), carried.clone()).to_string();
    for (url, variable) in
        [("http://scheduler.example", "http_proxy"), ("https://scheduler.example", "ALL_PROXY")]
    {
        let output = quota(url, &[(variable, &proxy)]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(7), "{error}");
        let part = format!("the proxy http://{proxy} of {variable} wants to know who asks");
        assert!(error.contains(&part), "{error}");
    }
    assert_eq!(carried.lock().unwrap().len(), 2);
}
