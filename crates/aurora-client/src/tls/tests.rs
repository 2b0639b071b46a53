//! A server with a certificate, as clients meet it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::thread::JoinHandle;

use http::Method;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::http::{Fault, Http, Request};
use crate::testing::{Fake, Reply};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/clients/tls").join(name)
}

/// A server for one connection whose certificate is for `scheduler.example`. It returns whether it
/// got a request.
fn server() -> (SocketAddr, JoinHandle<bool>) {
    let certificates = CertificateDer::pem_file_iter(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let mut request = [0; 1024];
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer";
        matches!(stream.read(&mut request), Ok(read) if read > 0)
            && stream.write_all(answer).and_then(|()| stream.flush()).is_ok()
    });
    (address, serving)
}

/// What comes of a request to a server, known by a name, if these certificates are trusted; and
/// whether the server saw it.
fn outcome(name: &str, trusted: &str) -> (Result<Vec<u8>, Fault>, bool) {
    let (address, serving) = server();
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    world.listening = Some(address);
    world.variables.insert(CERTIFICATES_VARIABLE.to_owned(), trusted.to_owned());
    let request = Request { method: Method::GET, headers: Vec::new(), body: b"", repeatable: true };
    let url = format!("https://{name}:8443/");
    let answer = Http::default().send(&mut world, &url, &request).map(|answer| answer.body);
    drop(world);
    (answer, serving.join().unwrap())
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

#[test]
fn certificates_that_are_none() {
    for (trusted, part) in [
        (PathBuf::from("/nonexistent/authority.pem"), "cannot read the certificates of"),
        (fixture("server.key"), "there are no certificates to trust"),
    ] {
        let mut world = Fake::new(|_, _, _| Reply::nothing());
        let file = trusted.to_str().unwrap().to_owned();
        world.variables.insert(CERTIFICATES_VARIABLE.to_owned(), file);
        let connection = world.connect("s", 1).unwrap();
        let why = Tls::default().wrap(&world, "s", connection).err().unwrap();
        assert!(why.contains(part), "{why}");
    }
}
