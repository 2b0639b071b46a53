//! `/apiclient`: calls of the API from a browser.
//!
//! The original served bindings in JavaScript, and a document about the API, at
//! `/apiclient/api.html`. Here it is a form; what it sends is a call of `/apibeta`.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::Value as Json;

use super::pages::{escape, html};
use super::thrift::readable;
use super::{Shared, own_form};
use crate::api::wire::METHODS;

/// `GET /apiclient`: the form.
pub(super) async fn show() -> Response {
    html(page("getRoleSummary", "{}", None))
}

/// `POST /apiclient`, with the fields `method` and `parameters`: makes the call, and shows what was
/// answered.
pub(super) async fn call(State(site): Shared, headers: HeaderMap, content: Body) -> Response {
    let form = match own_form(&headers, content).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let field = |name: &str| form.get(name).cloned().unwrap_or_default();
    let (method, parameters) = (field("method"), field("parameters"));
    let answer = site.blocking(move |site| {
        let answer = readable(site, method.trim(), parameters.trim().as_bytes());
        (method, parameters, answer)
    });
    match answer.await {
        Ok((method, parameters, (status, answer))) => {
            // For people: in lines.
            let lines = serde_json::from_str::<Json>(&answer).map(|value| format!("{value:#}"));
            let page = page(method.trim(), &parameters, Some(&lines.unwrap_or(answer)));
            (status, html(page)).into_response()
        }
        Err(response) => response,
    }
}

fn page(method: &str, parameters: &str, answer: Option<&str>) -> String {
    let mut page = "<!doctype html><title>API</title><h1>API</h1><form method=post \
                    action=\"/apiclient\"><p><select name=method>"
        .to_owned();
    for name in METHODS {
        let selected = if *name == method { " selected" } else { "" };
        // Writing to a text cannot fail, also below.
        let _ = write!(page, "<option{selected}>{name}");
    }
    let _ = write!(
        page,
        "</select> <button>Call</button><p>Parameters by their names, an object of JSON:<br>\
         <textarea name=parameters rows=10 cols=100>\n{}</textarea></form>",
        escape(parameters)
    );
    if let Some(answer) = answer {
        let _ = write!(page, "<h2>{}</h2><pre>{}</pre>", escape(method), escape(answer));
    }
    page
}
