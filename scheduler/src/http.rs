//! The HTTP face: one port for the API, the pages and what operators watch.
//!
//! | module | what it is |
//! |---|---|
//! | [`thrift`] | `/api`, `/apibeta`: calls of clients |
//! | [`pages`] | `/vars`, `/health`, `/offers` … |
//! | [`graph`] | `/graphdata`: variables over time |
//! | [`graphview`], [`expression`] | `/graphview`: the same, drawn |
//! | [`logconfig`] | `/logconfig`: what is logged |
//! | [`apiclient`] | `/apiclient`: calls from a browser |
//! | [`utilization`] | what tasks use |
//! | [`mname`] | the way to web servers of instances |
//! | [`inside`] | what is inside of the process |
//!
//! Nobody has to prove who they are, so only loopback is open unless the operator opens more; a page
//! of another web site cannot make a browser post to us; and what ends the process takes a post from
//! this machine. What is read is bounded in size, nesting and time.
//!
//! There is one voter of the log, so whoever serves leads. What would redirect to a leader, or say
//! that there is none, goes where [`Site::leader`] is asked.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower_http::compression::CompressionLayer;
use tracing::{debug, warn};

use crate::api::Api;
use graph::History;
use logconfig::Levels;

pub mod apiclient;
pub mod expression;
pub mod graph;
pub mod graphview;
pub mod inside;
pub mod logconfig;
pub mod mname;
pub mod pages;
pub mod thrift;
pub mod utilization;

/// Longest body of a request, in bytes.
pub const MAX_BODY: usize = 16 << 20;

/// Time for a request's headers, and for its body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// Calls that are handled, or wait for the log, at the same time; more wait.
const MAX_CALLS: usize = 64;

/// Why the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quit {
    /// In order.
    Soon,
    /// At once.
    Now,
}

/// What is served.
#[derive(Debug)]
pub struct Site {
    /// The calls.
    pub api: Api,
    /// Flags and their values, to show.
    pub flags: Vec<(&'static str, String)>,
    /// Web site whose pages may use `/api`; `*` for all.
    pub cors: Option<String>,
    /// Told when somebody wants the process to end.
    pub quit: watch::Sender<Option<Quit>>,
    /// Since when the process runs.
    pub begun: Instant,
    /// What the variables were.
    pub history: History,
    /// What is logged.
    pub levels: Levels,
    calls: Semaphore,
}

impl Site {
    /// A site for these calls.
    pub fn new(
        api: Api,
        flags: Vec<(&'static str, String)>,
        cors: Option<String>,
        quit: watch::Sender<Option<Quit>>,
    ) -> Site {
        let calls = Semaphore::new(MAX_CALLS);
        let (begun, history) = (Instant::now(), History::default());
        let levels = Levels::default();
        Site { api, flags, cors, quit, begun, history, levels, calls }
    }

    /// Who leads.
    pub fn leader(&self) -> Leader {
        match self.api.handle.state() {
            Some(_) => Leader::Here,
            None => Leader::Nobody,
        }
    }

    /// Runs something that may block, in turn.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Site>,
        act: impl FnOnce(&Site) -> T + Send + 'static,
    ) -> Result<T, Response> {
        let site = self.clone();
        let _turn = self.calls.acquire().await;
        tokio::task::spawn_blocking(move || act(&site)).await.map_err(|error| {
            warn!("a call was interrupted: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the call was interrupted\n")
        })
    }
}

/// Who leads, as far as requests care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// This process.
    Here,
    /// Nobody, yet.
    Nobody,
}

type Shared = State<Arc<Site>>;

/// All paths.
pub fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(pages::index))
        .route("/api", any(thrift::api))
        .route("/apibeta", any(thrift::apibeta_root))
        .route("/apibeta/{method}", post(thrift::apibeta))
        .route("/apihelp/index.html", get(thrift::help))
        .route("/vars", get(pages::vars))
        .route("/vars.json", get(pages::vars_json))
        .route("/health", get(pages::health))
        .route("/leaderhealth", get(pages::leader_health))
        .route("/offers", get(pages::offers))
        .route("/pendingtasks", get(pages::pending_tasks))
        .route("/state", get(pages::state))
        .route("/tiers", get(pages::tiers))
        .route("/agents", get(pages::agents))
        .route("/slaves", get(pages::agents))
        .route("/maintenance", get(pages::maintenance))
        .route("/quotas", get(pages::quotas))
        .route("/cron", get(pages::cron))
        .route("/utilization", get(utilization::totals))
        .route("/utilization/{metric}", get(utilization::roles))
        .route("/utilization/{metric}/{role}", get(utilization::jobs))
        .route("/mname", any(mname::usage))
        .route("/mname/{*path}", any(mname::redirect))
        .route("/structdump", get(inside::struct_usage))
        .route("/structdump/task/{id}", get(inside::struct_of_task))
        .route("/structdump/cron/{role}/{environment}/{name}", get(inside::struct_of_cron))
        .route("/services", get(inside::services))
        .route("/threads", get(inside::threads))
        .route("/graphdata", get(graph::data))
        .route("/graphview", get(graphview::page))
        .route("/graphview/", get(graphview::page))
        .route("/graphview/chart", get(graphview::chart))
        .route("/logconfig", get(logconfig::show).post(logconfig::change))
        .route("/apiclient", get(apiclient::show).post(apiclient::call))
        .route("/apiclient/api.html", get(apiclient::show))
        .route("/quitquitquit", post(pages::quit))
        .route("/abortabortabort", post(pages::abort))
        .fallback(pages::not_found)
        .layer(middleware::from_fn_with_state(site.clone(), watch_over))
        .layer(CompressionLayer::new())
        .with_state(site)
}

/// Counts answers, and refuses posts that a page of another web site has a browser make.
async fn watch_over(State(site): Shared, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let response = if reads || same_site(request.headers(), site.cors.as_deref()) {
        next.run(request).await
    } else {
        text(
            StatusCode::FORBIDDEN,
            "this request comes from a page of another web site; -enable_cors_for names one that \
             may make it\n",
        )
    };
    let name = format!("http_{}_responses", response.status().as_u16());
    site.api.counters.time(&name, begun.elapsed());
    response
}

/// Is this from a page of ours, from one that may, or from no page at all? Browsers say where a
/// post comes from; other clients do not.
fn same_site(headers: &HeaderMap, allowed: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let place = origin.split_once("://").map(|(_, place)| place);
    allowed.is_some_and(|allowed| allowed == "*" || allowed == origin)
        || (place.is_some() && place == host)
}

/// The same, stricter: no other web site may, and what a browser says beside `Origin` counts, too.
fn own_site(headers: &HeaderMap) -> bool {
    let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = value("host");
    let referer = value("referer").and_then(|referer| referer.split_once("://"));
    let referer = referer.map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    same_site(headers, None)
        && value("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
        && referer.is_none_or(|place| Some(place) == host)
}

/// Serves connections until the sender of `stop` says so or is gone; then the connections that are
/// open get a moment to finish what was asked.
pub async fn serve(listener: TcpListener, site: Arc<Site>, mut stop: watch::Receiver<bool>) {
    let sampling = tokio::spawn(graph::sample(site.clone()));
    let router = router(site);
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let turn = tokio::select! {
            turn = connections.clone().acquire_owned() => turn,
            () = told(&mut stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = told(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_the_connection(&error) {
                    // Out of descriptors, most likely: others have to close theirs first.
                    warn!("failed to accept a connection: {error}");
                    sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let served = serve_connection(stream, peer, router.clone(), stop.clone());
        tokio::spawn(async move {
            let _turn = turn;
            served.await;
        });
    }
    sampling.abort();
}

/// Serves one connection until it is over, or it is time to stop.
pub async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = router.layer(axum::Extension(ConnectInfo(peer)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(READ_TIMEOUT);
    let connection =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = told(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!("connection of {peer}: {error}");
    }
}

/// Waits until it is time to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    // Without a sender, too.
    let _ = stop.wait_for(|stop| *stop).await.is_ok();
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// The body of a request, if it is not too long and comes in time.
async fn body(body: Body) -> Result<Bytes, Response> {
    let too_long = || {
        text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {MAX_BODY} bytes\n"))
    };
    // Said in advance, or found out on the way.
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(too_long());
    }
    match timeout(READ_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let mut cause: Option<&dyn std::error::Error> = Some(&error);
            while let Some(error) = cause {
                if error.is::<http_body_util::LengthLimitError>() {
                    return Err(too_long());
                }
                cause = error.source();
            }
            Err(text(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}\n")))
        }
        Err(_) => Err(text(StatusCode::REQUEST_TIMEOUT, "the body took too long\n")),
    }
}

/// The fields of a form that our own page, or a program, has sent. No other web site may, whatever
/// it may do elsewhere.
async fn own_form(
    headers: &HeaderMap,
    content: Body,
) -> Result<BTreeMap<String, String>, Response> {
    if !own_site(headers) {
        let problem = "this request comes from a page of another web site\n";
        return Err(text(StatusCode::FORBIDDEN, problem));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let problem = "a form is of the type application/x-www-form-urlencoded\n";
        return Err(text(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem));
    }
    let bytes = body(content).await?;
    // Forms look like what is behind the `?` of an address.
    let address = [b"/?", bytes.as_ref()].concat();
    let fields = Uri::try_from(address).ok().and_then(|uri| Query::try_from_uri(&uri).ok());
    let Query(fields) = fields.ok_or_else(|| {
        text(StatusCode::BAD_REQUEST, "the form cannot be read, or is longer than 64 KB\n")
    })?;
    Ok(fields)
}

fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, plain, text.into()).into_response()
}

fn json(text: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text.into()).into_response()
}

/// The address of the other side.
type Peer = axum::Extension<ConnectInfo<SocketAddr>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_may_not_post() {
        for (origin, host, allowed, fine) in [
            (None, "a:1", None, true),
            (Some("http://a:1"), "a:1", None, true),
            (Some("https://a:1"), "a:1", None, true),
            (Some("http://b:1"), "a:1", None, false),
            (Some("http://a:2"), "a:1", None, false),
            (Some("null"), "a:1", None, false),
            (Some("http://b"), "a:1", Some("http://b"), true),
            (Some("http://c"), "a:1", Some("http://b"), false),
            (Some("http://c"), "a:1", Some("*"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(same_site(&headers, allowed), fine, "{origin:?} {host} {allowed:?}");
        }
    }

    #[test]
    fn whose_page_it_is() {
        for (name, value, fine) in [
            ("x-nothing", "", true),
            ("origin", "http://a:1", true),
            ("origin", "http://b:1", false),
            ("origin", "null", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "none", true),
            ("sec-fetch-site", "same-site", false),
            ("sec-fetch-site", "cross-site", false),
            ("referer", "http://a:1/logconfig?x", true),
            ("referer", "http://b:1/logconfig", false),
            ("referer", "http://a:1.example/", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "a:1".parse().unwrap());
            headers.insert(name, value.parse().unwrap());
            assert_eq!(own_site(&headers), fine, "{name} {value}");
        }
    }
}
