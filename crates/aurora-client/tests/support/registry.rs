//! A registry of images on loopback, which wants a token to be shown.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

const TOKEN: &str = "Bearer let-me-in";

/// The registry. It serves until the process ends.
pub(crate) struct Registry {
    /// Where it is.
    pub(crate) host: String,
}

impl Registry {
    /// A registry of these images: `NAME:TAG` and digest.
    pub(crate) fn new(images: BTreeMap<String, String>) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let own = host.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is none of our business.
                let _ = answer(&stream, &own, &images);
            }
        });
        Registry { host }
    }
}

/// One request and its answer, after which the connection is closed.
fn answer(
    stream: &TcpStream,
    host: &str,
    images: &BTreeMap<String, String>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or(Ok(String::new()))?;
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |name: &str| headers.get(name).map(String::as_str);
    let manifest = path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/manifests/"));
    let (status, more, body) = match (method, path, manifest) {
        ("HEAD", "/v2/", _) => ("200 OK", String::new(), ""),
        ("GET", "/token?service=images&scope=pull", _) => {
            ("200 OK", String::new(), r#"{"token": "let-me-in"}"#)
        }
        ("HEAD", _, Some(_)) if header("authorization") != Some(TOKEN) => {
            let realm = format!("Bearer realm=\"http://{host}/token\"");
            let challenge = format!("{realm},service=\"images\",scope=\"pull\"");
            ("401 Unauthorized", format!("WWW-Authenticate: {challenge}\r\n"), "")
        }
        ("HEAD", _, Some((name, tag)))
            if header("accept") == Some("application/vnd.docker.distribution.manifest.v2+json") =>
        {
            match images.get(&format!("{name}:{tag}")) {
                Some(digest) => ("200 OK", format!("Docker-Content-Digest: {digest}\r\n"), ""),
                None => ("404 Not Found", String::new(), ""),
            }
        }
        _ => ("400 Bad Request", String::new(), ""),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nDocker-Distribution-Api-Version: registry/2.0\r\n{more}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
