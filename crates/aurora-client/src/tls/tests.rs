//! A server with a certificate, as clients meet it.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::JoinHandle;

use http::Method;
use rustls::ServerConnection;

use super::*;
use crate::http::{Fault, Http, Request};
use crate::testing::{Fake, Reply};

#[path = "../../tests/support/tls.rs"]
mod server;
use server::{fixture, head, speech};

/// Serves one connection. Returns the heads of what was asked.
fn serve(serve: fn(TcpStream, &mut Vec<String>) -> io::Result<()>) -> (SocketAddr, Serving) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let mut heads = Vec::new();
        let (stream, _) = listener.accept().unwrap();
        // Whoever is not trusted is left, and sees only that.
        let _ = serve(stream, &mut heads);
        heads
    });
    (address, serving)
}

type Serving = JoinHandle<Vec<String>>;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer";

/// A server that is protected.
fn server(stream: TcpStream, heads: &mut Vec<String>) -> io::Result<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(speech()).unwrap(), stream);
    heads.push(head(&mut stream)?);
    stream.write_all(ANSWER)?;
    stream.flush()
}

/// A proxy that is protected itself, and then the server that it leads to.
fn proxy_and_server(stream: TcpStream, heads: &mut Vec<String>) -> io::Result<()> {
    let mut outer = StreamOwned::new(ServerConnection::new(speech()).unwrap(), stream);
    heads.push(head(&mut outer)?);
    outer.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    outer.flush()?;
    let mut inner = StreamOwned::new(ServerConnection::new(speech()).unwrap(), outer);
    heads.push(head(&mut inner)?);
    inner.write_all(ANSWER)?;
    inner.flush()
}

/// A request where every name leads to one place.
fn get(url: &str, at: SocketAddr, variables: &[(&str, &str)]) -> Result<Vec<u8>, Fault> {
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    world.instead = Some(at);
    world.variables =
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let request = Request { method: Method::GET, headers: Vec::new(), body: b"", repeatable: true };
    Http::default().send(&mut world, url, &request).map(|answer| answer.body)
}

/// A proxy may be protected, too: what is for it, and what only goes through it.
#[test]
fn protected_proxies() {
    let authority = fixture("authority.pem");
    let trusted = (CERTIFICATES_VARIABLES[0], authority.to_str().unwrap());
    let proxy = ("ALL_PROXY", "https://a:b@scheduler.example:3129");
    let (address, serving) = serve(server);
    assert_eq!(get("http://s/x", address, &[trusted, proxy]), Ok(b"answer".to_vec()));
    let heads = serving.join().unwrap();
    assert!(heads[0].starts_with("GET http://s/x HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("proxy-authorization: Basic YTpi\r\n"), "{heads:?}");

    let (address, serving) = serve(proxy_and_server);
    let url = "https://scheduler.example/x";
    assert_eq!(get(url, address, &[trusted, proxy]), Ok(b"answer".to_vec()));
    let heads = serving.join().unwrap();
    assert!(heads[0].starts_with("CONNECT scheduler.example:443 HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("proxy-authorization: Basic YTpi\r\n"), "{heads:?}");
    assert!(heads[1].starts_with("GET /x HTTP/1.1\r\n"), "{heads:?}");
    assert!(!heads[1].contains("proxy-authorization"), "{heads:?}");

    // Who cannot be trusted is told nothing: the proxy, or who says that it is the other end.
    for (url, proxy, serves) in [
        ("http://s/", "https://other.example", server as fn(_, &mut _) -> _),
        ("https://other.example/", "https://scheduler.example", proxy_and_server),
    ] {
        let (address, serving) = serve(serves);
        let why = get(url, address, &[trusted, ("ALL_PROXY", proxy)]).unwrap_err().to_string();
        assert!(why.contains("not valid for name"), "{why}");
        assert!(why.contains(&format!("the proxy {proxy}:443 of ALL_PROXY")), "{why}");
        let heads = serving.join().unwrap();
        assert!(heads.iter().all(|head| head.starts_with("CONNECT ")), "{heads:?}");
    }
}

/// What comes of a request to a server, known by a name, if these certificates are trusted; and
/// whether the server saw it.
fn outcome(name: &str, trusted: &str) -> (Result<Vec<u8>, Fault>, bool) {
    let (address, serving) = serve(server);
    let url = format!("https://{name}:8443/");
    let answer = get(&url, address, &[(CERTIFICATES_VARIABLES[0], trusted)]);
    (answer, !serving.join().unwrap().is_empty())
}

#[test]
fn a_server_that_is_trusted() {
    let trusted = fixture("authority.pem");
    let (answer, seen) = outcome("scheduler.example", trusted.to_str().unwrap());
    assert_eq!((answer, seen), (Ok(b"answer".to_vec()), true));
}

#[test]
fn servers_that_are_not() {
    let authority = fixture("authority.pem");
    for (name, trusted, part) in [
        ("other.example", authority.as_path(), "not valid for name"),
        // It is nobody's authority.
        ("scheduler.example", &fixture("server.pem"), "invalid peer certificate"),
    ] {
        let (answer, seen) = outcome(name, trusted.to_str().unwrap());
        let why = answer.unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
        assert!(!seen, "the request reached a server that is not trusted");
    }
}

/// What comes of these variables when certificates are needed.
fn wrapped(variables: &[(&str, &Path)]) -> Result<(), String> {
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let text = |file: &Path| file.to_str().unwrap().to_owned();
    world.variables =
        variables.iter().map(|(name, file)| ((*name).to_owned(), text(file))).collect();
    let connection = world.connect("s", 1).unwrap();
    Tls::default().wrap(&world, "s", connection).map(drop)
}

#[test]
fn certificates_that_are_none() {
    let [first, second] = CERTIFICATES_VARIABLES;
    for (trusted, part) in [
        (PathBuf::from("/nonexistent/authority.pem"), "cannot read the certificates of"),
        (fixture("server.key"), "there are no certificates to trust"),
        // None of its files has such a name as it takes.
        (fixture(""), "there are no certificates to trust"),
    ] {
        for variable in [first, second] {
            let why = wrapped(&[(variable, &trusted)]).unwrap_err();
            assert!(why.contains(part) && why.contains(variable), "{why}");
        }
    }
}

#[test]
fn where_certificates_are() {
    let [first, second] = CERTIFICATES_VARIABLES;
    let (authority, none) = (fixture("authority.pem"), PathBuf::from("/nonexistent"));
    assert_eq!(wrapped(&[(second, &authority)]), Ok(()));
    assert_eq!(wrapped(&[(first, Path::new("")), (second, &authority)]), Ok(()));
    assert_eq!(wrapped(&[(first, &authority), (second, &none)]), Ok(()));
    assert!(wrapped(&[(first, &none), (second, &authority)]).is_err());
    let place = tempfile::tempdir().unwrap();
    std::fs::copy(&authority, place.path().join("0123abcd.0")).unwrap();
    assert_eq!(wrapped(&[(first, place.path())]), Ok(()));
}
