//! Requests that nobody should send.

use crate::server::{BINARY, Cluster, Server};

fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    (dir, server)
}

#[test]
fn too_long_a_body() {
    let (_dir, server) = server();
    let head =
        "POST /api HTTP/1.1\r\nHost: s\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n";
    let (status, _, _) = server.http(head.as_bytes());
    assert_eq!(status, 413);
}

#[test]
fn nesting_without_end() {
    let (_dir, server) = server();
    let deep = format!("[1,\"getJobs\",1,0,{}", "{\"1\":{\"rec\":".repeat(100_000));
    let (status, _, body) = server.post("/api", "", deep.as_bytes());
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(status == 200 && body.contains("nested more than"), "{status} {body}");
    // TBinary: a struct in a struct in a struct ….
    let mut deep = b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x00".to_vec();
    deep.extend(b"\x0c\x00\x09".repeat(100_000));
    let (status, _, _) = server.post("/api", BINARY, &deep);
    assert_eq!(status, 200);
    let deep = "[".repeat(100_000);
    let (status, _, _) = server.post("/apibeta/getJobs", "", deep.as_bytes());
    assert_eq!(status, 400);
}

#[test]
fn lengths_that_lie() {
    let (_dir, server) = server();
    let mut call = b"\x80\x01\x00\x01\x00\x00\x00\x0egetTasksStatus\x00\x00\x00\x00".to_vec();
    // A set of two billion task ids.
    call.extend(b"\x0c\x00\x01\x0e\x00\x04\x0b\x7f\xff\xff\xff");
    let (status, _, _) = server.post("/api", BINARY, &call);
    assert!(matches!(status, 200 | 500), "{status}");
    let mut call = b"\x80\x01\x00\x01\x7f\xff\xff\xff".to_vec();
    call.extend(b"x");
    assert_eq!(server.post("/api", BINARY, &call).0, 500);
    assert_eq!(server.post("/api", BINARY, b"").0, 500);
}

#[test]
fn pages_of_other_sites() {
    let (_dir, server) = server();
    let call = br#"[1,"getTierConfigs",1,0,{}]"#;
    assert_eq!(server.post("/api", "Origin: http://evil.example\r\n", call).0, 403);
    assert_eq!(server.post("/api", "Origin: http://scheduler\r\n", call).0, 200);
    let quit = server.post("/quitquitquit", "Origin: http://evil.example\r\n", b"");
    assert_eq!(quit.0, 403);
    assert_eq!(server.get("/quitquitquit").0, 405);
}

#[test]
fn unknown_methods_and_kinds() {
    let (_dir, server) = server();
    let (status, _, body) = server.post("/api", "", br#"[1,"getLocks",1,3,{}]"#);
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert!(
        body.starts_with(r#"[1,"getLocks",3,3,"#) && body.contains("no method getLocks"),
        "{body}"
    );
    let (_, _, body) = server.post("/api", "", br#"[1,"getJobs",2,3,{}]"#);
    assert!(String::from_utf8(body).unwrap().contains("expected a call"));
}

/// Arguments that cannot be decoded: an exception that clients do not answer by trying again.
#[test]
fn arguments_that_cannot_be_read() {
    let (_dir, server) = server();
    // A number where a struct should be is what newer clients might send, and is passed over; text
    // that is none is an error.
    let (status, _, body) = server.post("/api", "", br#"[1,"getJobs",1,3,{"1":{"str":7}}]"#);
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    // Kind 3 is an exception, 7 is PROTOCOL_ERROR.
    assert!(
        body.starts_with(r#"[1,"getJobs",3,3,"#) && body.contains(r#""2":{"i32":7}"#),
        "{body}"
    );
    let mut call = b"\x80\x01\x00\x01\x00\x00\x00\x07getJobs\x00\x00\x00\x03".to_vec();
    call.extend(b"\x0b\x00\x01\x00\x00\x00\x02\xff\xfe\x00");
    let (status, _, body) = server.post("/api", BINARY, &call);
    assert_eq!(status, 200);
    let expected = b"\x80\x01\x00\x03\x00\x00\x00\x07getJobs\x00\x00\x00\x03";
    assert!(body.starts_with(expected), "{body:?}");
    assert!(body.ends_with(b"\x08\x00\x02\x00\x00\x00\x07\x00"), "{body:?}");
}

/// The pages that end the process are for this machine, whoever else can reach the port.
#[test]
fn others_may_not_end_the_process() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_dir, server) = server();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let post = |path: &str, peer: &str| {
        let (mut ours, theirs) = tokio::io::duplex(1 << 16);
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        let router = aurora_scheduler::http::router(server.site.clone());
        let peer = peer.parse().unwrap();
        let served = aurora_scheduler::http::serve_connection(theirs, peer, router, stopped);
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let talk = async {
            ours.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            ours.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (_, answer) = runtime.block_on(async { tokio::join!(served, talk) });
        answer[9..12].to_owned()
    };
    for peer in ["192.0.2.1:1000", "[2001:db8::1]:1000", "[::ffff:192.0.2.1]:1000"] {
        for path in ["/quitquitquit", "/abortabortabort"] {
            assert_eq!(post(path, peer), "403", "{path} {peer}");
        }
    }
    assert_eq!(server.get("/health").0, 200);
    for peer in ["127.0.0.1:1000", "[::1]:1000", "[::ffff:127.0.0.1]:1000"] {
        assert_eq!(post("/quitquitquit", peer), "200", "{peer}");
    }
}
