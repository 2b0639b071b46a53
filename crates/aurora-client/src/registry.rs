//! Registries of images: asking one which content a tag stands for.
//!
//! Source of behaviour: Aurora configuration reference, "Binding helpers"; the registry's HTTP API,
//! version 2, with its tokens.
//!
//! ```text
//! HEAD /v2/                        200, or 401 with a challenge: it is a registry
//! HEAD /v2/NAME/manifests/TAG      200 with Docker-Content-Digest
//!      401 WWW-Authenticate: Bearer realm="…",service="…",scope="…"
//! GET  realm?service=…&scope=…     {"token": "…"}, with which the last request is made again
//! ```

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};

use crate::context::Context;
use crate::exit::Failure;
use crate::http::{Answer, Request};
use crate::images::Images;

/// The registry of a cluster that names none.
const DOCKER_HUB: &str = "https://registry-1.docker.io";

/// Which form of a manifest is asked for: its digest is what a container is started with.
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A request's headers.
type Headers = Vec<(HeaderName, HeaderValue)>;

/// Sends one request without a body. Error: a sentence.
type Send<'s> = &'s mut dyn FnMut(Method, &str, Headers) -> Result<Answer, String>;

impl Images for Context<'_> {
    fn by_digest(&mut self, cluster: &str, name: &str, tag: &str) -> Result<String, String> {
        let registry = {
            let clusters = self.clusters().map_err(|failure| match failure {
                Failure::Command(_, message) => message,
                other => {
                    format!("the list of clusters cannot be read (exit code {})", other.code())
                }
            })?;
            let Ok(entry) = clusters.get(cluster) else {
                let known: Vec<&str> = clusters.all().map(|entry| &*entry.name).collect();
                return Err(format!(
                    "Unknown cluster {cluster}, valid clusters: {}",
                    known.join(", ")
                ));
            };
            entry.docker_registry.clone().unwrap_or(DOCKER_HUB.to_owned())
        };
        let Context { http, world, .. } = self;
        let mut send = |method: Method, url: &str, headers: Headers| {
            let request = Request { method, headers, body: &[], repeatable: true };
            http.send(&mut **world, url, &request).map_err(|fault| fault.to_string())
        };
        image(&registry, name, tag, &mut send)
    }
}

/// The image by its digest, with the registry's host unless it is Docker Hub.
fn image(registry: &str, name: &str, tag: &str, send: Send<'_>) -> Result<String, String> {
    let registry = registry.trim_end_matches('/');
    let uri: Uri = registry
        .parse()
        .map_err(|error| format!("docker_registry {registry:?} is no address: {error}"))?;
    let host = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if uri.scheme().is_none() || host.is_empty() || host.contains('@') {
        return Err(format!(
            "docker_registry {registry:?} is no address: expected https://HOST[:PORT]"
        ));
    }
    let digest = digest(registry, name, tag, send)?;
    Ok(match registry == DOCKER_HUB {
        true => format!("{name}@{digest}"),
        false => format!("{host}/{name}@{digest}"),
    })
}

fn digest(registry: &str, name: &str, tag: &str, send: Send<'_>) -> Result<String, String> {
    let answer = send(Method::HEAD, &format!("{registry}/v2/"), Vec::new())?;
    let version = text(&answer.headers, &VERSION).unwrap_or("registry/2.0");
    let is_registry = matches!(answer.status, StatusCode::OK | StatusCode::UNAUTHORIZED);
    if !is_registry || !version.split_whitespace().any(|version| version == "registry/2.0") {
        return Err(format!("{registry} is no registry of version 2 ({})", answer.status));
    }
    let url = format!("{registry}/v2/{name}/manifests/{tag}");
    let accept = || (header::ACCEPT, HeaderValue::from_static(MANIFEST));
    let mut answer = send(Method::HEAD, &url, vec![accept()])?;
    if answer.status == StatusCode::UNAUTHORIZED {
        let challenge = text(&answer.headers, &header::WWW_AUTHENTICATE).unwrap_or_default();
        let token = token(registry, challenge, send)?;
        answer = send(Method::HEAD, &url, vec![accept(), (header::AUTHORIZATION, token)])?;
    }
    match answer.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(format!("{registry} has no such image")),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(format!(
                "{registry} does not let it be seen ({}); a password for it belongs into ~/.netrc",
                answer.status
            ));
        }
        status => return Err(format!("{url} answers {status}")),
    }
    match text(&answer.headers, &DIGEST) {
        Some(digest) if is_digest(digest) => Ok(digest.to_owned()),
        Some(digest) => Err(format!("{url} answers with {digest:?}, which is no digest")),
        None => Err(format!("{url} does not say the digest")),
    }
}

/// `ALGORITHM:HEX`: nothing that could be a reference again, or end the image's name.
fn is_digest(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+._-".contains(c);
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.chars().all(allowed)
            && !hex.is_empty()
            && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// Gets what the registry wants to see, as the value of an `Authorization` header.
fn token(registry: &str, challenge: &str, send: Send<'_>) -> Result<HeaderValue, String> {
    let Some(parts) = bearer(challenge) else {
        return Err(format!(
            "{registry} wants to know who asks ({challenge:?}); a password for it belongs into ~/.netrc"
        ));
    };
    let part =
        |name: &str| parts.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    let realm = part("realm").unwrap_or_default();
    // What is asked under protection is not told to somebody without.
    if registry.starts_with("https:") && !realm.starts_with("https:") {
        return Err(format!("{registry} asks for a token of {realm:?}, which is not protected"));
    }
    let mut url = realm.to_owned();
    for name in ["service", "scope"] {
        if let Some(value) = part(name) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.push_str(&format!("{name}={}", escaped(value)));
        }
    }
    let answer = send(Method::GET, &url, Vec::new())?;
    if answer.status != StatusCode::OK {
        return Err(format!("no token for {registry}: {realm} answers {}", answer.status));
    }
    let json: serde_json::Value = serde_json::from_slice(&answer.body)
        .map_err(|error| format!("no token for {registry}: {realm} answers no JSON: {error}"))?;
    let token = ["token", "access_token"].iter().find_map(|name| json[*name].as_str());
    let token = token.ok_or_else(|| format!("no token for {registry}: {realm} gives none"))?;
    let mut value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| format!("no token for {registry}: that of {realm} is no text"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The parts of a challenge `Bearer name="value",…`.
fn bearer(challenge: &str) -> Option<Vec<(String, String)>> {
    let (scheme, mut rest) = challenge.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parts = Vec::new();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        parts.push((name, value.to_owned()));
        rest = after;
    }
    parts.iter().any(|(name, _)| name == "realm").then_some(parts)
}

/// A text as part of a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(&'static str, &'static str)>;

    /// Method and address, what must be in `Authorization`; status, headers and body of the answer.
    type Exchange = (&'static str, &'static str, Option<&'static str>, u16, Pairs, &'static str);

    /// A registry that knows what it is asked.
    struct Stub(Vec<Exchange>);

    impl Stub {
        fn ask(self, registry: &str) -> Result<String, String> {
            let mut rest = self.0.into_iter();
            let done = image(registry, "library/web", "1.0", &mut |method, url, headers| {
                let (expected, address, authorization, status, answer, body) =
                    rest.next().ok_or(format!("unexpected: {method} {url}"))?;
                assert_eq!((method.as_str(), url), (expected, address));
                let given = headers.iter().find(|(name, _)| *name == header::AUTHORIZATION);
                assert_eq!(given.map(|(_, value)| value.to_str().unwrap()), authorization);
                let accepts = headers.iter().any(|(_, value)| value == MANIFEST);
                assert_eq!(accepts, url.contains("/manifests/"));
                let headers = answer.into_iter().map(|(name, value)| {
                    (HeaderName::from_static(name), HeaderValue::from_static(value))
                });
                Ok(Answer {
                    status: StatusCode::from_u16(status).unwrap(),
                    headers: headers.collect(),
                    body: body.as_bytes().to_vec(),
                    url: url.to_owned(),
                    proxy: None,
                })
            });
            assert!(rest.next().is_none(), "something was not asked");
            done
        }
    }

    const V2: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");

    #[test]
    fn an_open_registry() {
        let stub = Stub(vec![
            ("HEAD", "http://localhost:5000/v2/", None, 200, vec![V2], ""),
            (
                "HEAD",
                "http://localhost:5000/v2/library/web/manifests/1.0",
                None,
                200,
                vec![("docker-content-digest", "sha256:0f0f")],
                "",
            ),
        ]);
        let image = stub.ask("http://localhost:5000/").unwrap();
        assert_eq!(image, "localhost:5000/library/web@sha256:0f0f");
    }

    #[test]
    fn docker_hub_wants_a_token_and_is_not_named() {
        let manifest = "https://registry-1.docker.io/v2/library/web/manifests/1.0";
        let challenge = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/web:pull""#;
        let stub = Stub(vec![
            ("HEAD", "https://registry-1.docker.io/v2/", None, 401, vec![V2], ""),
            ("HEAD", manifest, None, 401, vec![("www-authenticate", challenge)], ""),
            (
                "GET",
                "https://auth.docker.io/token?service=registry.docker.io&scope=repository%3Alibrary%2Fweb%3Apull",
                None,
                200,
                vec![],
                r#"{"token": "abc", "expires_in": 300}"#,
            ),
            (
                "HEAD",
                manifest,
                Some("Bearer abc"),
                200,
                vec![("docker-content-digest", "sha256:12ab")],
                "",
            ),
        ]);
        assert_eq!(stub.ask(DOCKER_HUB).unwrap(), "library/web@sha256:12ab");
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let base = |status, headers| ("HEAD", "https://r/v2/", None, status, headers, "");
        let manifest = |status, headers| {
            ("HEAD", "https://r/v2/library/web/manifests/1.0", None, status, headers, "")
        };
        for (stub, word) in [
            (vec![base(404, vec![])], "no registry of version 2"),
            (
                vec![base(200, vec![("docker-distribution-api-version", "registry/1.0")])],
                "no registry of version 2",
            ),
            (vec![base(200, vec![]), manifest(404, vec![])], "no such image"),
            (vec![base(200, vec![]), manifest(403, vec![])], "netrc"),
            (vec![base(200, vec![]), manifest(500, vec![])], "500"),
            (vec![base(200, vec![]), manifest(200, vec![])], "does not say"),
            (
                vec![base(200, vec![]), manifest(200, vec![("docker-content-digest", "{{x}}")])],
                "no digest",
            ),
            (
                vec![base(401, vec![]), manifest(401, vec![("www-authenticate", "Basic realm=x")])],
                "who asks",
            ),
            (
                vec![
                    base(401, vec![]),
                    manifest(401, vec![("www-authenticate", "Bearer realm=\"http://evil/t\"")]),
                ],
                "not protected",
            ),
        ] {
            let error = Stub(stub).ask("https://r").unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        for registry in ["", "localhost", "https://user:password@r", "http://"] {
            let error = Stub(vec![]).ask(registry).unwrap_err();
            assert!(error.contains("no address"), "{error}");
        }
    }

    #[test]
    fn challenges() {
        let parts = bearer(r#"bearer Realm="https://a/b?c=d", service=x,scope="a,b""#).unwrap();
        let parts: Vec<(&str, &str)> = parts.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(parts, [("realm", "https://a/b?c=d"), ("service", "x"), ("scope", "a,b")]);
        for bad in ["", "Bearer", "Basic realm=\"x\"", "Bearer service=\"x\"", "Bearer realm=\"x"] {
            assert_eq!(bearer(bad), None, "{bad}");
        }
    }
}
