//! HTTP for schedulers, on hyper.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

use super::api::{self, Headers, PATHS};
use super::{Answer, Guard, Note};
use crate::api::Refusal;

/// Longest call that is read, in bytes.
const MAX_CALL: usize = 64 << 20;

/// Pause after a connection that could not be accepted: descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// The header that names a stream.
const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, notes: UnboundedSender<Note>) {
    // Connections end with this future.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Records are small, and each is waited for.
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(stream, notes.clone()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, notes: UnboundedSender<Note>) {
    let service = service_fn(|request| {
        let notes = notes.clone();
        async move { Ok::<_, Infallible>(answer(request, &notes).await) }
    });
    // Errors are those of a connection that is gone.
    let _ = hyper::server::conn::http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, notes: &UnboundedSender<Note>) -> Response<Reply> {
    match handle(request, notes).await {
        Ok(Answer::Accepted) => response(StatusCode::ACCEPTED, Reply::Whole(None)),
        Ok(Answer::Done) => response(StatusCode::OK, Reply::Whole(None)),
        Ok(Answer::Stream { records, name, format, guard }) => {
            let mut response = response(StatusCode::OK, Reply::Records(records, guard));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            if let Ok(name) = HeaderValue::from_str(&name) {
                headers.insert(STREAM_ID, name);
            }
            response
        }
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            let mut response = response(status, Reply::Whole(Some(Bytes::from(refusal.text))));
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, plain);
            if status == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

async fn handle(
    request: Request<Incoming>,
    notes: &UnboundedSender<Note>,
) -> Result<Answer, Refusal> {
    if !PATHS.contains(&request.uri().path()) {
        return Err(Refusal::new(404, "404 Not Found."));
    }
    if request.method() != Method::POST {
        let text = format!(
            "405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{}'.",
            request.method()
        );
        return Err(Refusal::new(405, text));
    }
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_CALL).collect().await;
    let body = body.map_err(|error| Refusal::new(413, error.to_string()))?.to_bytes();
    let header = |name: HeaderName| head.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = Headers {
        content_type: header(CONTENT_TYPE),
        accept: header(ACCEPT),
        stream_id: header(STREAM_ID),
    };
    let request = api::parse(headers, &body)?;
    let ending = || Refusal::new(503, "this master is ending");
    let (answer, wait) = oneshot::channel();
    notes.send(Note::Call(Box::new(request), answer)).map_err(|_| ending())?;
    wait.await.unwrap_or_else(|_| Err(ending()))
}

fn response(status: StatusCode, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
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
