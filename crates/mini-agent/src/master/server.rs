//! HTTP for schedulers, on hyper.

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::api::{self, Headers, PATHS};
use super::{Answer, Guard, Note};
use crate::api::Refusal;
use crate::http::{self, Reply, response};

/// Longest call that is read, in bytes.
const MAX_CALL: usize = 64 << 20;

/// The header that names a stream.
const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// Serves until it is aborted.
pub(super) async fn serve(listener: TcpListener, notes: UnboundedSender<Note>) {
    let answer = move |request| {
        let notes = notes.clone();
        async move { answer(request, &notes).await }
    };
    http::serve(listener, answer).await;
}

async fn answer(
    request: Request<Incoming>,
    notes: &UnboundedSender<Note>,
) -> Response<Reply<Guard>> {
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
            let mut response = http::refused(refusal);
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
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
