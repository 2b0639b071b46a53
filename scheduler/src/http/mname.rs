//! `/mname/ROLE/ENV/JOB/INSTANCE[/PATH]`: to the web server of an instance, wherever it runs.
//!
//! Source: the original's page.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::pages::stored;
use super::{Shared, text};
use crate::core::name::JobKey;
use crate::core::state::State as Stored;
use crate::core::status::Status;

/// Names of ports that browsers may be sent to, the best first.
const PORTS: [&str; 5] = ["health", "http", "HTTP", "web", "admin"];

const USAGE: &str = "\
<!doctype html><title>mname</title><h1>mname</h1>
<p>/mname/ROLE/ENVIRONMENT/JOB/INSTANCE[/PATH] leads to the web server of an instance.";

/// Without an instance: how it is used.
pub(super) async fn usage() -> Response {
    (StatusCode::BAD_REQUEST, super::pages::html(USAGE.to_owned())).into_response()
}

/// Sends the caller to where the instance is.
pub(super) async fn redirect(State(site): Shared, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::PUT | Method::POST | Method::DELETE) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET, PUT, POST and DELETE are passed on\n");
    }
    let Some(wanted) = Wanted::of(request.uri()) else { return usage().await };
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let address = match wanted.address(&stored) {
        Ok(address) => address,
        Err(problem) => return text(StatusCode::NOT_FOUND, problem),
    };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    match HeaderValue::try_from(format!("http://{address}/{}{query}", wanted.path)) {
        Ok(place) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, place)]).into_response(),
        Err(_) => text(StatusCode::NOT_FOUND, "The host of the instance has no usable name."),
    }
}

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    job: [&'a str; 3],
    instance: i32,
    /// As it came, with whatever is escaped in it.
    path: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(uri: &'a Uri) -> Option<Wanted<'a>> {
        let mut parts = uri.path().strip_prefix("/mname/")?.splitn(5, '/');
        let job = [parts.next()?, parts.next()?, parts.next()?];
        let instance = parts.next()?.parse().ok()?;
        Some(Wanted { job, instance, path: parts.next().unwrap_or_default() })
    }

    /// Host and port of the instance.
    fn address(&self, stored: &Stored) -> Result<String, String> {
        let [role, environment, name] = self.job;
        let job = JobKey::new(role, environment, name);
        let mut tasks = stored.active_tasks_of_job(&job);
        let task = tasks.find(|task| task.instance == self.instance);
        let task = task.ok_or("No such live instance found.")?;
        let Some(host) = task.host().filter(|_| task.status == Status::Running) else {
            let state = task.status.name();
            return Err(format!("The selected instance is currently in state {state}"));
        };
        let port = |wanted: &&str| task.ports.iter().find(|(name, _)| **name == **wanted);
        match PORTS.iter().find_map(port) {
            Some((_, port)) => Ok(format!("{host}:{port}")),
            None => Err("The task does not have a registered http port.".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let job = ["www", "prod", "web"];
        for (path, expected) in [
            ("/mname/www/prod/web/3", Some((3, ""))),
            ("/mname/www/prod/web/3/", Some((3, ""))),
            ("/mname/www/prod/web/3/a/b%20c/?x=1", Some((3, "a/b%20c/"))),
            ("/mname/www/prod/web", None),
            ("/mname/www/prod/web/x", None),
            ("/mname/www/prod/web/99999999999", None),
            ("/mname/", None),
        ] {
            let uri: Uri = path.parse().unwrap();
            let expected = expected.map(|(instance, path)| Wanted { job, instance, path });
            assert_eq!(Wanted::of(&uri), expected, "{path}");
        }
    }
}
