//! HTTP for executors, on hyper.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::agent::{Answer, Guard, Shared};
use crate::api::{self, Refusal};
use crate::http::{self, Listener, Reply, response};

/// Longest call that is read, in bytes.
const MAX_CALL: usize = 16 << 20;

/// Serves until it is aborted.
pub(crate) async fn serve(listener: impl Listener, shared: Arc<Shared>) {
    let answer = move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(request, &shared).await }
    };
    http::serve(listener, answer).await;
}

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>) -> Response<Reply<Guard>> {
    match handle(request, shared).await {
        Ok(Answer::Accepted) => response(StatusCode::ACCEPTED, Reply::Whole(None)),
        Ok(Answer::Stream { records, format, guard }) => {
            let mut response = response(StatusCode::OK, Reply::Records(records, guard));
            let format = HeaderValue::from_static(format.content_type());
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        Err(refusal) => {
            shared.refused(&refusal);
            let mut response = http::refused(refusal);
            if response.status() == StatusCode::UNAUTHORIZED {
                let value = "Basic realm=\"mesos-agent-executor\",Bearer \
                             realm=\"mesos-agent-executor\"";
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(value));
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
