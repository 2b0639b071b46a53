//! HTTP/1.1, one request after the other: connections that are kept, redirects, proxies, compression.
//!
//! What goes over a connection is `ureq-proto`'s; this module gives it connections. Nothing is sent
//! twice here but what may be.

use std::fmt;
use std::io::{self, Read as _};
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult, state};

use crate::netrc::{self, Credentials};
use crate::proxy::{Proxy, proxy_for, unescaped};
use crate::tls::Tls;
use crate::world::{Connection, World};

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 30;

/// So many bytes are read at once.
const PIECE: usize = 64 << 10;

/// An answer's head may have so many bytes.
const MAX_HEAD: usize = 64 << 10;

/// An answer's body may have so many bytes, also unpacked.
const MAX_BODY: u64 = 512 << 20;

/// A connection that was idle for longer is not used again: servers close them some day, and may
/// do so at the moment of the next request.
const MAX_IDLE: Duration = Duration::from_secs(20);

/// A request, without its address.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// What to do.
    pub method: Method,
    /// Beside those that HTTP itself needs.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent.
    pub body: &'r [u8],
    /// Whether doing it twice does no harm. Only then it may go over a connection that was used
    /// before, whose other end may be gone.
    pub repeatable: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unpacked.
    pub body: Vec<u8>,
    /// Who answered, after redirects.
    pub url: String,
    /// The proxy that it came through, if it could see it.
    pub proxy: Option<Proxy>,
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Why.
    Transport(String),
    /// The proxy that the environment names is none, or refuses the user: trying again is no use.
    Proxy(String),
    /// The user wants to stop.
    Interrupted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Transport(why) | Fault::Proxy(why) => f.write_str(why),
            Fault::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Peer {
    tls: bool,
    host: String,
    port: u16,
}

impl Peer {
    fn of(uri: &Uri) -> Result<Peer, Fault> {
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => {
                let uri = shown(&uri.to_string());
                return Err(transport(format!("{uri} does not start with http:// or https://")));
            }
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(transport(format!("{} names no host", shown(&uri.to_string()))));
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Peer { tls, host, port })
    }

    /// `HOST:PORT`
    fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// Who is at the other end, and the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    peer: Peer,
    proxy: Option<Proxy>,
}

impl Route {
    fn of(world: &dyn World, uri: &Uri) -> Result<Route, Fault> {
        let peer = Peer::of(uri)?;
        let proxy = proxy_for(uri, |name| world.variable(name)).map_err(Fault::Proxy)?;
        Ok(Route { peer, proxy })
    }

    /// The proxy that reads the requests. Others only carry what they cannot read.
    fn reader(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.peer.tls)
    }
}

fn transport(why: impl fmt::Display) -> Fault {
    Fault::Transport(why.to_string())
}

fn broken(error: &ureq_proto::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer is no HTTP: {error}"))
}

/// Connections, and what they need.
#[derive(Default)]
pub struct Http {
    kept: Option<(Route, Duration, Box<dyn Connection>)>,
    tls: Tls,
    netrc: Option<String>,
}

impl Http {
    /// Sends a request to an address and, where it is told to go elsewhere, to that one. An answer of
    /// any other status is returned.
    ///
    /// # Errors
    /// Nobody answers, or not in HTTP; the answer breaks off.
    pub fn send(
        &mut self,
        world: &mut dyn World,
        url: &str,
        request: &Request<'_>,
    ) -> Result<Answer, Fault> {
        let mut uri: Uri = url
            .parse()
            .map_err(|error| transport(format!("{:?} is no address: {error}", shown(url))))?;
        let asked = Peer::of(&uri)?;
        let mut request = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.send_once(world, &uri, &request)?;
            match (answer.status, answer.headers.get(header::LOCATION)) {
                (StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT, Some(to)) => {
                    uri = redirected(&uri, to)?;
                    // What was meant for one is not shown to another.
                    if Peer::of(&uri)? != asked {
                        request.headers.retain(|(name, _)| name != header::AUTHORIZATION);
                    }
                }
                _ => return Ok(answer),
            }
        }
        Err(transport(format!("Exceeded {MAX_REDIRECTS} redirects.")))
    }

    fn send_once(
        &mut self,
        world: &mut dyn World,
        uri: &Uri,
        request: &Request<'_>,
    ) -> Result<Answer, Fault> {
        let route = Route::of(world, uri)?;
        let fault = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => Fault::Interrupted,
            _ => transport(about_proxy(route.proxy.as_ref(), error)),
        };
        let head = self.head(world, uri, &route, request)?;
        if request.repeatable
            && let Some(mut connection) = self.take_kept(world, &route)
        {
            match exchange(&mut *connection, head.clone(), request.body, route.reader()) {
                Ok((answer, keep)) => {
                    return self.answered(world, route, connection, answer, keep);
                }
                // It was closed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(fault(error)),
            }
        }
        let mut connection = self.open(world, &route)?;
        let (answer, keep) =
            exchange(&mut *connection, head, request.body, route.reader()).map_err(fault)?;
        self.answered(world, route, connection, answer, keep)
    }

    /// A connection to who is at the end of a route.
    fn open(&mut self, world: &mut dyn World, route: &Route) -> Result<Box<dyn Connection>, Fault> {
        let Route { peer, proxy } = route;
        let (host, port) = match proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&peer.host, peer.port),
        };
        let mut connection =
            world.connect(host, port).map_err(|error| match (error.kind(), proxy) {
                (io::ErrorKind::Interrupted, _) => Fault::Interrupted,
                (_, Some(proxy)) => transport(format!(
                    "cannot connect to {proxy} for {}: {error}",
                    peer.authority()
                )),
                (_, None) => transport(format!("cannot connect to {}: {error}", peer.authority())),
            })?;
        if let Some(proxy) = proxy {
            if proxy.tls {
                connection = self
                    .tls
                    .wrap(world, &proxy.host, connection)
                    .map_err(|why| transport(format!("{proxy}: {why}")))?;
            }
            if peer.tls {
                tunnel(&mut *connection, proxy, peer)?;
            }
        }
        match peer.tls {
            true => self.tls.wrap(world, &peer.host, connection).map_err(transport),
            false => Ok(connection),
        }
    }

    /// Keeps the connection of an answer, unless it was the last one.
    fn answered(
        &mut self,
        world: &dyn World,
        route: Route,
        connection: Box<dyn Connection>,
        mut answer: Answer,
        keep: bool,
    ) -> Result<Answer, Fault> {
        answer.proxy = route.reader().cloned();
        if let Some(proxy) = &answer.proxy
            && answer.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(refused_by(proxy));
        }
        self.kept = keep.then(|| (route, world.now(), connection));
        Ok(answer)
    }

    fn take_kept(&mut self, world: &dyn World, route: &Route) -> Option<Box<dyn Connection>> {
        let (_, _, mut connection) = self.kept.take().filter(|(known, since, _)| {
            known == route && world.now().saturating_sub(*since) <= MAX_IDLE
        })?;
        connection.is_open().then_some(connection)
    }

    fn head(
        &mut self,
        world: &dyn World,
        uri: &Uri,
        route: &Route,
        request: &Request<'_>,
    ) -> Result<http::Request<()>, Fault> {
        let mut head = http::Request::new(());
        *head.method_mut() = request.method.clone();
        *head.uri_mut() = uri.clone();
        let headers = head.headers_mut();
        for (name, value) in &request.headers {
            headers.insert(name, value.clone());
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        if !request.body.is_empty() {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
        }
        if !headers.contains_key(header::AUTHORIZATION) {
            let known = own(uri).or_else(|| self.credentials(world, &route.peer.host));
            if let Some(Credentials { user, password }) = known {
                headers.insert(header::AUTHORIZATION, basic(&user, &password)?);
            }
        }
        if let Some((user, password)) = route.reader().and_then(|proxy| proxy.user.as_ref()) {
            headers.insert(header::PROXY_AUTHORIZATION, basic(user, password)?);
        }
        Ok(head)
    }

    /// What the user's file says about a host.
    fn credentials(&mut self, world: &dyn World, host: &str) -> Option<Credentials> {
        let text = self.netrc.get_or_insert_with(|| {
            let file = match world.variable("NETRC") {
                Some(file) => Some(file.into()),
                None => crate::world::home(world).map(|home| home.join(".netrc")),
            };
            // Without one, or one that cannot be read, the scheduler says what is missing.
            file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
        });
        netrc::credentials(text, host)
    }
}

/// What an address itself says about its user.
fn own(uri: &Uri) -> Option<Credentials> {
    let (user, _) = uri.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    Some(Credentials { user: unescaped(user), password: unescaped(password) })
}

/// A name and a password as a header says them.
fn basic(user: &str, password: &str) -> Result<HeaderValue, Fault> {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::try_from(format!("Basic {text}")).map_err(transport)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A proxy answers that it does not know the user.
fn refused_by(proxy: &Proxy) -> Fault {
    let Proxy { variable, .. } = proxy;
    Fault::Proxy(match proxy.user {
        Some(_) => format!("{proxy} does not accept the user and password that {variable} has"),
        None => format!(
            "{proxy} wants to know who asks: {variable} has to be http://USER:PASSWORD@HOST:PORT"
        ),
    })
}

/// An error on the way to an answer, with the proxy that may be to blame.
fn about_proxy(proxy: Option<&Proxy>, error: io::Error) -> String {
    match proxy {
        Some(proxy) => format!("through {proxy}: {error}"),
        None => error.to_string(),
    }
}

/// Asks a proxy for a connection to a host. What follows is between the two ends only.
fn tunnel(connection: &mut dyn Connection, proxy: &Proxy, peer: &Peer) -> Result<(), Fault> {
    let target = peer.authority();
    let lost = |why: &dyn fmt::Display| {
        transport(format!("cannot connect to {target} through {proxy}: {why}"))
    };
    let mut head = http::Request::new(());
    *head.method_mut() = Method::CONNECT;
    *head.uri_mut() = target.parse().map_err(|error| lost(&error))?;
    if let Some((user, password)) = &proxy.user {
        head.headers_mut().insert(header::PROXY_AUTHORIZATION, basic(user, password)?);
    }
    let mut input = Input::new(connection);
    let answer = Call::new(head)
        .map_err(|error| broken(&error))
        .and_then(|call| request(call, b"", None, &mut input))
        .and_then(|call| response(call, &mut input));
    let (_, answer) = answer.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Fault::Interrupted,
        _ => lost(&error),
    })?;
    match answer.status() {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(refused_by(proxy)),
        status if !status.is_success() => Err(lost(&format_args!("it answers {status}"))),
        // Nobody has asked the other end yet, so this would be somebody else's answer.
        _ if !input.bytes.is_empty() => Err(lost(&"it says more than that it is connected")),
        _ => Ok(()),
    }
}

/// Where an answer sends its reader. Never from a protected connection to an open one.
fn redirected(from: &Uri, to: &HeaderValue) -> Result<Uri, Fault> {
    let shown = shown(&from.to_string());
    let wrong = |why: String| transport(format!("{shown} answers with a redirect {why}"));
    let text = to.to_str().map_err(|error| wrong(format!("that is no text: {error}")))?;
    let target: Uri = text
        .parse()
        .map_err(|error| wrong(format!("to {text:?}, which is no address: {error}")))?;
    let mut parts = target.into_parts();
    if parts.authority.is_none() {
        if !text.starts_with('/') {
            return Err(wrong(format!("to {text:?}, which is neither an address nor a path")));
        }
        parts.authority = from.authority().cloned();
        parts.scheme = from.scheme().cloned();
    }
    if from.scheme_str() == Some("https") && parts.scheme.as_ref().is_none_or(|s| s != "https") {
        return Err(wrong(format!("to {text:?}, which is not protected as it is itself")));
    }
    Uri::from_parts(parts).map_err(|error| wrong(format!("to {text:?}: {error}")))
}

/// Scheme and place of an address.
fn origin(uri: &Uri) -> String {
    let place = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    format!("{}://{place}", uri.scheme_str().unwrap_or("http"))
}

/// A text that should be an address, as it may be shown: without a user's password.
pub(crate) fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let place = rest[..end].rfind('@').map_or(0, |at| at + 1);
    let mark = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{mark}{}", &rest[place..])
}

/// One request and its answer over a connection, and whether it can be used again.
///
/// An error of the kind `ConnectionAborted` says that the other side went away without a word.
fn exchange(
    connection: &mut dyn Connection,
    head: http::Request<()>,
    body: &[u8],
    reader: Option<&Proxy>,
) -> io::Result<(Answer, bool)> {
    let url = shown(&head.uri().to_string());
    // Whom a proxy is to ask stands before the path.
    let whom = head.uri().authority().filter(|_| reader.is_some()).map(|_| origin(head.uri()));
    let call = Call::new(head).map_err(|error| broken(&error))?;
    let mut input = Input::new(connection);
    let call = request(call, body, whom.as_deref(), &mut input)?;
    let (call, head) = response(call, &mut input)?;
    let is_packed =
        head.headers().get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let (mut body, keep) = match call {
        RecvResponseResult::RecvBody(call) => read_body(call, &mut input)?,
        RecvResponseResult::Redirect(call) => (Vec::new(), !call.must_close_connection()),
        RecvResponseResult::Cleanup(call) => (Vec::new(), !call.must_close_connection()),
    };
    if is_packed {
        body = unpack(&body)?;
    }
    let (head, ()) = head.into_parts();
    Ok((Answer { status: head.status, headers: head.headers, body, url, proxy: None }, keep))
}

/// What came over a connection and was not looked at.
struct Input<'c> {
    connection: &'c mut dyn Connection,
    piece: Vec<u8>,
    bytes: Vec<u8>,
    ended: bool,
}

impl<'c> Input<'c> {
    fn new(connection: &'c mut dyn Connection) -> Input<'c> {
        Input { connection, piece: vec![0; PIECE], bytes: Vec::new(), ended: false }
    }

    fn more(&mut self) -> io::Result<()> {
        let read = loop {
            match self.connection.read(&mut self.piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_gone(&error) => break 0,
                Err(error) => {
                    let why = match error.kind() {
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                            "no answer came in time".to_owned()
                        }
                        _ => format!("cannot read the answer: {error}"),
                    };
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Ok(read) => break read,
            }
        };
        self.bytes.extend_from_slice(&self.piece[..read]);
        self.ended = read == 0;
        Ok(())
    }

    fn used(&mut self, bytes: usize) {
        self.bytes.drain(..bytes);
    }
}

/// Whether an error says what the end of a stream says.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
    )
}

fn request(
    call: Call<state::Prepare>,
    body: &[u8],
    whom: Option<&str>,
    input: &mut Input<'_>,
) -> io::Result<Call<state::RecvResponse>> {
    let mut call = call.proceed();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while !call.can_proceed() {
        let written = call.write(&mut buffer).map_err(|error| broken(&error))?;
        bytes.extend_from_slice(&buffer[..written]);
    }
    if let Some(whom) = whom
        && let Some(target) = bytes.iter().position(|byte| *byte == b' ')
    {
        bytes.splice(target + 1..=target, whom.bytes());
    }
    let unfinished = || io::Error::other("the request cannot be written");
    let next = call.proceed().map_err(|error| broken(&error))?.ok_or_else(unfinished)?;
    let call = match next {
        SendRequestResult::RecvResponse(call) => call,
        // Nobody asks for permission to send a body.
        SendRequestResult::Await100(_) => return Err(unfinished()),
        SendRequestResult::SendBody(mut call) => {
            bytes.extend_from_slice(body);
            call.consume_direct_write(body.len()).map_err(|error| broken(&error))?;
            call.proceed().ok_or_else(unfinished)?
        }
    };
    let sent = input.connection.write_all(&bytes).and_then(|()| input.connection.flush());
    match sent {
        // Who does not want to read it all may still have said why.
        Err(error) if !is_gone(&error) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("cannot send the request: {error}"),
        )),
        _ => Ok(call),
    }
}

fn response(
    mut call: Call<state::RecvResponse>,
    input: &mut Input<'_>,
) -> io::Result<(RecvResponseResult, http::Response<()>)> {
    loop {
        let (used, head) =
            call.try_response(&input.bytes, false).map_err(|error| broken(&error))?;
        input.used(used);
        if let Some(head) = head {
            let unfinished = || io::Error::other("the answer has no end");
            return Ok((call.proceed().ok_or_else(unfinished)?, head));
        }
        if used == 0 {
            if input.bytes.len() > MAX_HEAD {
                let why = format!("the answer's head has more than {MAX_HEAD} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            input.more()?;
        }
        if input.ended {
            let (kind, why) = match input.bytes.is_empty() {
                true => (
                    io::ErrorKind::ConnectionAborted,
                    "the connection was closed without an answer",
                ),
                false => (
                    io::ErrorKind::InvalidData,
                    "the connection was closed in the middle of the answer",
                ),
            };
            return Err(io::Error::new(kind, why));
        }
    }
}

fn read_body(
    mut call: Call<state::RecvBody>,
    input: &mut Input<'_>,
) -> io::Result<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    let mut buffer = vec![0; PIECE];
    loop {
        let (used, read) = call.read(&input.bytes, &mut buffer).map_err(|error| broken(&error))?;
        input.used(used);
        body.extend_from_slice(&buffer[..read]);
        if body.len() as u64 > MAX_BODY {
            return Err(too_large());
        }
        let delimited = call.body_mode() != ureq_proto::BodyMode::CloseDelimited;
        if delimited && call.can_proceed() {
            break;
        }
        if used == 0 && read == 0 {
            if input.ended && delimited {
                let why = "the connection was closed in the middle of the answer";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            if input.ended {
                break;
            }
            input.more()?;
        }
    }
    let keep = match call.proceed() {
        Some(RecvBodyResult::Cleanup(call)) => !call.must_close_connection(),
        Some(RecvBodyResult::Redirect(call)) => !call.must_close_connection(),
        None => false,
    };
    Ok((body, keep && !input.ended))
}

fn too_large() -> io::Error {
    let why = format!("the answer has more than {} MiB", MAX_BODY >> 20);
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).take(MAX_BODY + 1).read_to_end(&mut body).map_err(
        |error| {
            let why = format!("the answer cannot be unpacked: {error}");
            io::Error::new(io::ErrorKind::InvalidData, why)
        },
    )?;
    if body.len() as u64 > MAX_BODY {
        return Err(too_large());
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
