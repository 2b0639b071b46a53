//! Calls of clients over HTTP.
//!
//! Source: what the existing clients send. The encodings of request and response are chosen
//! independently; header values are compared whole, and one by one: one client sends its type twice.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{Shared, Site, body, json, text};
use crate::api::wire::{Form, METHODS};

/// `/api`: messages of Thrift, without frames.
pub(super) async fn api(State(site): Shared, request: Request) -> Response {
    let mut response = match *request.method() {
        Method::POST | Method::GET => match message(&site, request).await {
            Ok(response) | Err(response) => response,
        },
        Method::OPTIONS => StatusCode::OK.into_response(),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "calls are made with POST\n"),
    };
    let allowed = site.cors.as_deref().and_then(|site| HeaderValue::from_str(site).ok());
    if let Some(allowed) = allowed {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        let methods = HeaderValue::from_static("DELETE,GET,HEAD,OPTIONS,POST,PUT");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let names = HeaderValue::from_static("Accept,Content-Type,Origin,X-Requested-With");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    response
}

async fn message(site: &Arc<Site>, request: Request) -> Result<Response, Response> {
    let (parts, content) = request.into_parts();
    let from = input_form(&parts.headers).map_err(|unknown| {
        text(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Unsupported Content-Type: {unknown}"))
    })?;
    let to = output_form(&parts.headers);
    let bytes = body(content).await?;
    if bytes.is_empty() && parts.method == Method::GET {
        return Ok(text(StatusCode::OK, HELP));
    }
    let answer = site.blocking(move |site| site.api.message(from, &bytes, to)).await?;
    match answer {
        Ok(bytes) => {
            let kind = [(header::CONTENT_TYPE, to.media_type())];
            Ok((kind, Body::from(bytes)).into_response())
        }
        Err(error) => {
            let problem = format!("this is no message of Thrift: {error}\n");
            Err(text(StatusCode::INTERNAL_SERVER_ERROR, problem))
        }
    }
}

const HELP: &str = "\
Calls are made with POST: a message of Thrift, without a frame, of the service AuroraAdmin.

    Content-Type: application/vnd.apache.thrift.json     TJSONProtocol (also without a type)
    Content-Type: application/vnd.apache.thrift.binary   TBinaryProtocol
    Accept: application/vnd.apache.thrift.binary         for an answer in TBinaryProtocol

/apibeta/METHOD takes and gives plain JSON; /apihelp/index.html lists the methods.
";

/// Types of requests in TJSON.
const JSON_TYPES: [&str; 4] = [
    "application/json",
    "application/x-thrift",
    "application/vnd.apache.thrift.json",
    "application/vnd.apache.thrift.json; charset=utf-8",
];

/// The encoding of a request. `Err`: its type, which is none.
fn input_form(headers: &HeaderMap) -> Result<Form, String> {
    let mut form = None;
    for value in headers.get_all(header::CONTENT_TYPE) {
        let value = value.to_str().unwrap_or_default();
        let found = if JSON_TYPES.iter().any(|known| known.eq_ignore_ascii_case(value)) {
            Form::Json
        } else if value == Form::Binary.media_type() {
            Form::Binary
        } else {
            return Err(value.to_owned());
        };
        if form.is_some_and(|form| form != found) {
            return Err(format!("{value}, and another one before"));
        }
        form = Some(found);
    }
    Ok(form.unwrap_or(Form::Json))
}

/// The encoding of the answer.
fn output_form(headers: &HeaderMap) -> Form {
    let binary = headers.get(header::ACCEPT).is_some_and(|kind| kind == Form::Binary.media_type());
    if binary { Form::Binary } else { Form::Json }
}

/// `/apibeta`: a list of the methods is elsewhere.
pub(super) async fn apibeta_root() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/apihelp/index.html")]).into_response()
}

/// `/apibeta/METHOD`: plain JSON, an object of parameters by their names.
pub(super) async fn apibeta(
    State(site): Shared,
    Path(method): Path<String>,
    content: Body,
) -> Response {
    let bytes = match body(content).await {
        Ok(bytes) => bytes,
        Err(response) => return response,
    };
    let answer = site.blocking(move |site| readable(site, &method, &bytes)).await;
    match answer {
        Ok((status, answer)) => (status, json(answer)).into_response(),
        Err(response) => response,
    }
}

/// Makes a call of `/apibeta`.
pub(super) fn readable(site: &Site, method: &str, body: &[u8]) -> (StatusCode, String) {
    let refuse = |status, problem: String| (status, site.api.readable_error(method, problem));
    if !METHODS.contains(&method) {
        let problem = format!("Method {method} does not exist.");
        // Its name is the caller's: not one to count by.
        return (StatusCode::NOT_FOUND, site.api.readable_error("unknown", problem));
    }
    let body = if body.is_empty() { b"{}" } else { body };
    match serde_json::from_slice::<serde_json::Value>(body) {
        Err(_) => return refuse(StatusCode::BAD_REQUEST, "Request must be valid JSON".to_owned()),
        Ok(value) if !value.is_object() => {
            let problem = "Request data must be a JSON object of method parameters.";
            return refuse(StatusCode::BAD_REQUEST, problem.to_owned());
        }
        Ok(_) => {}
    }
    match site.api.readable(method, body) {
        Some(Ok(answer)) => (StatusCode::OK, answer),
        Some(Err(error)) => {
            let problem = format!("Failed to parse parameter: {error}");
            refuse(StatusCode::BAD_REQUEST, problem)
        }
        None => refuse(StatusCode::NOT_FOUND, format!("Method {method} does not exist.")),
    }
}

/// `/apihelp/index.html`: the methods.
pub(super) async fn help() -> Response {
    let mut page = "<!doctype html><title>Methods</title><h1>Methods</h1><ul>".to_owned();
    for method in METHODS {
        page += &format!("<li><code>POST /apibeta/{method}</code>");
    }
    page += "</ul>";
    super::pages::html(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, value.parse().unwrap());
        }
        headers
    }

    /// Conformance: HTTP 8.
    #[test]
    fn media_types() {
        let unknown = |text: &str| Err(text.to_owned());
        for (types, form) in [
            (&[][..], Ok(Form::Json)),
            (&["application/json"], Ok(Form::Json)),
            (&["application/x-thrift"], Ok(Form::Json)),
            (&["application/x-thrift", "application/x-thrift"], Ok(Form::Json)),
            (&["application/vnd.apache.thrift.json"], Ok(Form::Json)),
            (&["application/vnd.apache.thrift.json; charset=utf-8"], Ok(Form::Json)),
            (&["application/vnd.apache.thrift.json; charset=UTF-8"], Ok(Form::Json)),
            (&["application/vnd.apache.thrift.binary"], Ok(Form::Binary)),
            (&["text/plain"], unknown("text/plain")),
            (&["application/json; charset=utf-8"], unknown("application/json; charset=utf-8")),
            (
                &["application/json", "application/vnd.apache.thrift.binary"],
                unknown("application/vnd.apache.thrift.binary, and another one before"),
            ),
        ] {
            assert_eq!(input_form(&headers(header::CONTENT_TYPE, types)), form, "{types:?}");
        }
        for (types, form) in [
            (&[][..], Form::Json),
            (&["application/vnd.apache.thrift.binary"], Form::Binary),
            (&["application/vnd.apache.thrift.json"], Form::Json),
            (&["*/*"], Form::Json),
            (&["application/vnd.apache.thrift.binary, */*"], Form::Json),
        ] {
            assert_eq!(output_form(&headers(header::ACCEPT, types)), form, "{types:?}");
        }
    }
}
