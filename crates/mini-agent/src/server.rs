//! HTTP, on hyper.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::agent::{Answer, Guard, Shared};
use crate::api::{self, Refusal};

/// Longest call that is read, in bytes.
const MAX_CALL: usize = 16 << 20;

/// Pause after a connection that could not be accepted: descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves TCP until it is aborted.
pub(crate) async fn tcp(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this future.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Records are small, and each is waited for.
                let _ = stream.set_nodelay(true);
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Serves a unix socket until it is aborted.
pub(crate) async fn unix(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve<I>(io: I, shared: Arc<Shared>)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, &shared).await) }
    });
    // Errors are those of a connection that is gone.
    let _ = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(io), service)
        .await;
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Reply> {
    match handle(request, shared).await {
        Ok(Answer::Accepted) => response(StatusCode::ACCEPTED, None, Reply::Whole(None)),
        Ok(Answer::Stream { records, format, guard }) => {
            let reply = Reply::Records(records, guard);
            response(StatusCode::OK, Some((CONTENT_TYPE, format.content_type())), reply)
        }
        Err(refusal) => {
            shared.refused(&refusal);
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            let body = Reply::Whole(Some(Bytes::from(refusal.text)));
            let mut response =
                response(status, Some((CONTENT_TYPE, "text/plain; charset=utf-8")), body);
            if status == StatusCode::UNAUTHORIZED {
                let value = "Basic realm=\"mesos-agent-executor\",Bearer \
                             realm=\"mesos-agent-executor\"";
                let value = hyper::header::HeaderValue::from_static(value);
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            response
        }
    }
}

async fn handle(request: Request<Incoming>, shared: &Arc<Shared>) -> Result<Answer, Refusal> {
    if !Shared::is_endpoint(request.uri().path()) {
        return Err(Refusal::new(404, ""));
    }
    let (head, body) = request.into_parts();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let owner = shared.authenticate(header(AUTHORIZATION))?;
    if head.method != Method::POST {
        let text = format!("Expecting one of {{ 'POST' }}, but received '{}'", head.method);
        return Err(Refusal::new(405, text));
    }
    let body = Limited::new(body, MAX_CALL).collect().await;
    let body = body.map_err(|error| Refusal::new(413, error.to_string()))?.to_bytes();
    let request = api::parse(header(CONTENT_TYPE), header(ACCEPT), &body)?;
    shared.serve(&owner, request)
}

fn response(
    status: StatusCode,
    header: Option<(HeaderName, &'static str)>,
    body: Reply,
) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}

/// The body of an answer.
enum Reply {
    Whole(Option<Bytes>),
    Records(UnboundedReceiver<Bytes>, #[allow(dead_code, reason = "it acts when dropped")] Guard),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Reply::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Reply::Records(records, _) => {
                records.poll_recv(context).map(|record| record.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Records(..) => SizeHint::default(),
        }
    }
}
