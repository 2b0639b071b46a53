//! HTTP/1.1, one request after the other: connections that are kept, redirects, compression.
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
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Why.
    Transport(String),
    /// The user wants to stop.
    Interrupted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Transport(why) => f.write_str(why),
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
            _ => return Err(transport(format!("{uri} does not start with http:// or https://"))),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(transport(format!("{uri} names no host")));
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Peer { tls, host, port })
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
    kept: Option<(Peer, Duration, Box<dyn Connection>)>,
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
        let mut uri: Uri =
            url.parse().map_err(|error| transport(format!("{url:?} is no address: {error}")))?;
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
        let peer = Peer::of(uri)?;
        let fault = |error: io::Error| match error.kind() {
            io::ErrorKind::Interrupted => Fault::Interrupted,
            _ => transport(error),
        };
        let head = self.head(world, uri, &peer, request)?;
        if request.repeatable
            && let Some((_, _, mut connection)) = self.take_kept(world, &peer)
        {
            match exchange(&mut *connection, head.clone(), request.body) {
                Ok((answer, keep)) => {
                    self.keep(world, keep.then_some((peer, connection)));
                    return Ok(answer);
                }
                // It was closed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(fault(error)),
            }
        }
        let connection =
            world.connect(&peer.host, peer.port).map_err(|error| match error.kind() {
                io::ErrorKind::Interrupted => Fault::Interrupted,
                _ => transport(format!("cannot connect to {}:{}: {error}", peer.host, peer.port)),
            })?;
        let mut connection = match peer.tls {
            true => self.tls.wrap(world, &peer.host, connection).map_err(transport)?,
            false => connection,
        };
        let (answer, keep) = exchange(&mut *connection, head, request.body).map_err(fault)?;
        self.keep(world, keep.then_some((peer, connection)));
        Ok(answer)
    }

    fn keep(&mut self, world: &dyn World, connection: Option<(Peer, Box<dyn Connection>)>) {
        self.kept = connection.map(|(peer, connection)| (peer, world.now(), connection));
    }

    fn take_kept(
        &mut self,
        world: &dyn World,
        peer: &Peer,
    ) -> Option<(Peer, Duration, Box<dyn Connection>)> {
        let mut kept = self.kept.take().filter(|(known, since, _)| {
            known == peer && world.now().saturating_sub(*since) <= MAX_IDLE
        })?;
        kept.2.is_open().then_some(kept)
    }

    fn head(
        &mut self,
        world: &dyn World,
        uri: &Uri,
        peer: &Peer,
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
        if !headers.contains_key(header::AUTHORIZATION)
            && let Some(known) = self.credentials(world, &peer.host)
        {
            let text = format!("{}:{}", known.user, known.password);
            let text = format!("Basic {}", base64_of(text.as_bytes()));
            let mut value = HeaderValue::try_from(text).map_err(transport)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
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

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Where an answer sends its reader. Never from a protected connection to an open one.
fn redirected(from: &Uri, to: &HeaderValue) -> Result<Uri, Fault> {
    let wrong = |why: String| transport(format!("{from} answers with a redirect {why}"));
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

/// One request and its answer over a connection, and whether it can be used again.
///
/// An error of the kind `ConnectionAborted` says that the other side went away without a word.
fn exchange(
    connection: &mut dyn Connection,
    head: http::Request<()>,
    body: &[u8],
) -> io::Result<(Answer, bool)> {
    let url = head.uri().to_string();
    let call = Call::new(head).map_err(|error| broken(&error))?;
    let piece = vec![0; PIECE];
    let mut input = Input { connection, piece, bytes: Vec::new(), ended: false };
    let call = request(call, body, &mut input)?;
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
    Ok((Answer { status: head.status, headers: head.headers, body, url }, keep))
}

/// What came over a connection and was not looked at.
struct Input<'c> {
    connection: &'c mut dyn Connection,
    piece: Vec<u8>,
    bytes: Vec<u8>,
    ended: bool,
}

impl Input<'_> {
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
    input: &mut Input<'_>,
) -> io::Result<Call<state::RecvResponse>> {
    let mut call = call.proceed();
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while !call.can_proceed() {
        let written = call.write(&mut buffer).map_err(|error| broken(&error))?;
        bytes.extend_from_slice(&buffer[..written]);
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
