//! Connections of HTTP to an agent or a master: what the shells of executors and schedulers have in
//! common.
//!
//! A subscription has a connection of its own ([`open`]); calls go over another, which is kept
//! ([`exchange`]). What fails is told as text, with its causes.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use rustix::net::sockopt;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::environment::Endpoint;

/// Buffer of a connection, in bytes.
const BUFFER: usize = 64 << 10;

/// Longest answer to a call that is read, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// When the kernel gives up a peer over TCP that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// The silence after which it is asked whether its host is there.
    pub idle: Duration,
    /// The time from one question to the next.
    pub interval: Duration,
    /// How many of them may stay without an answer.
    pub count: u32,
}

/// Where the other side listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// On TCP.
    Tcp(Endpoint, KeepAlive),
    /// On a unix socket.
    Unix(PathBuf),
}

/// A POST.
#[derive(Clone, Debug)]
pub struct Post {
    /// Where it goes, on the other side.
    pub path: &'static str,
    /// Names and values. `Content-Length` comes by itself.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Post {
    fn request(&self) -> Result<hyper::Request<Full<Bytes>>, String> {
        let mut builder = hyper::Request::post(self.path);
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        let body = Full::new(self.body.clone());
        builder.body(body).map_err(|e| format!("failed to make a request: {e}"))
    }
}

/// The head of an answer.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Status of HTTP.
    pub status: u16,
    headers: HeaderMap,
}

impl Head {
    fn of<B>(response: hyper::Response<B>) -> (Self, B) {
        let (head, body) = response.into_parts();
        (Self { status: head.status.as_u16(), headers: head.headers }, body)
    }

    /// A header's value; what is not text in it is replaced.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
    }
}

/// The body of an answered subscription.
#[derive(Debug)]
pub enum Body {
    /// Of status 200: what comes, and the connection that it needs.
    Stream(Incoming, Connection),
    /// Of any other.
    Whole(Bytes),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Is it certain that nothing of the request was sent?
    pub unsent: bool,
    /// For people.
    pub reason: String,
}

/// A task that ends with its owner.
#[derive(Debug)]
pub struct Task(pub JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection on which nothing is out.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _task: Task,
}

impl Connection {
    async fn new(target: &Target) -> Result<Self, String> {
        match target {
            Target::Unix(path) => {
                let io = UnixStream::connect(path).await;
                let io = io.map_err(|e| format!("failed to connect to {}: {e}", path.display()))?;
                Self::handshake(io).await
            }
            Target::Tcp(endpoint, keep_alive) => {
                let io = tcp(endpoint, *keep_alive).await;
                let io = io.map_err(|e| format!("failed to connect to {endpoint}: {e}"))?;
                Self::handshake(io).await
            }
        }
    }

    async fn handshake<I>(io: I) -> Result<Self, String>
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let builder = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(io)).await;
        let (sender, connection) = builder.map_err(|e| describe(&e))?;
        // Its error comes to whoever waits for the answer too.
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, _task: Task(task) })
    }
}

async fn tcp(endpoint: &Endpoint, keep_alive: KeepAlive) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, keep_alive.idle)?;
    sockopt::set_tcp_keepintvl(&stream, keep_alive.interval)?;
    sockopt::set_tcp_keepcnt(&stream, keep_alive.count)?;
    Ok(stream)
}

/// Subscribes, on a new connection.
pub async fn open(target: Target, post: Post) -> Result<(Head, Body), String> {
    let request = post.request()?;
    let mut connection = Connection::new(&target).await?;
    let response = connection.sender.send_request(request).await.map_err(|e| describe(&e))?;
    let (head, body) = Head::of(response);
    let body = match head.status {
        200 => Body::Stream(body, connection),
        _ => Body::Whole(collect(body).await?),
    };
    Ok((head, body))
}

/// Makes a call, on a connection that was kept if it is still good; and keeps it.
pub async fn exchange(
    target: &Target,
    kept: Option<Connection>,
    post: &Post,
) -> (Option<Connection>, Result<(Head, Bytes), Failure>) {
    let failed = |unsent, reason| (None, Err(Failure { unsent, reason }));
    let mut kept = kept;
    loop {
        let request = match post.request() {
            Ok(request) => request,
            Err(reason) => return failed(true, reason),
        };
        let old = kept.is_some();
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => match Connection::new(target).await {
                Ok(connection) => connection,
                Err(reason) => return failed(true, reason),
            },
        };
        // The other side may have closed a connection that was kept; then nothing was sent.
        if old && connection.sender.ready().await.is_err() {
            continue;
        }
        let response = match connection.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) if old && error.is_canceled() => continue,
            Err(error) => return failed(error.is_canceled(), describe(&error)),
        };
        let (head, body) = Head::of(response);
        return match collect(body).await {
            Ok(body) => (Some(connection), Ok((head, body))),
            Err(reason) => failed(false, reason),
        };
    }
}

async fn collect(body: Incoming) -> Result<Bytes, String> {
    let collected = Limited::new(body, MAX_ANSWER).collect().await;
    collected.map(|c| c.to_bytes()).map_err(|e| format!("failed to read an answer: {e}"))
}

/// Something of this id that is waited for.
pub type Pending<Id, T> = Option<(Id, Pin<Box<dyn Future<Output = T> + Send>>)>;

/// Waits for what is pending, and takes it away. Nothing is lost if this future is dropped.
pub async fn ready<Id: Copy, T>(pending: &mut Pending<Id, T>) -> Option<(Id, T)> {
    let (id, future) = pending.as_mut()?;
    let result = future.await;
    let id = *id;
    *pending = None;
    Some((id, result))
}

/// A stream that is being read.
#[derive(Debug)]
pub struct Stream<Id> {
    /// Whose it is.
    pub id: Id,
    /// What comes.
    pub body: Incoming,
    /// What it needs to come.
    pub connection: Connection,
}

/// The next piece of a stream; `None` at its end.
pub type Piece = Option<Result<Bytes, String>>;

/// Waits for the next piece. Nothing is lost if this future is dropped.
pub async fn piece<Id: Copy>(stream: &mut Option<Stream<Id>>) -> Option<(Id, Piece)> {
    let stream = stream.as_mut()?;
    loop {
        let piece = match stream.body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Some(Ok(data)),
                // Trailers.
                Err(_) => continue,
            },
            Some(Err(error)) => Some(Err(describe(&error))),
            None => None,
        };
        return Some((stream.id, piece));
    }
}

/// An error with its causes.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Differs from that of every other place and process: std draws the keys of its hashers from the
/// kernel.
pub fn seed(place: u8) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    RandomState::new().hash_one((place, time.as_nanos(), std::process::id()))
}
