//! What people and monitors look at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use aurora_api::readable;
use axum::Extension;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};

use super::{Leader, Peer, Quit, Shared, Site, text};
use crate::core::engine::Core;
use crate::core::offers::Supply;
use crate::core::resources::Kind;
use crate::core::state::State as Stored;
use crate::core::status::Status;
use crate::core::task::Mode;
use crate::shell::{NotDone, Phase};

pub(super) fn html(page: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

pub(super) fn json_of(value: &Json) -> Response {
    super::json(value.to_string())
}

/// Text with what HTML gives a meaning taken from it.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

fn no_leader() -> Response {
    let page = "<!doctype html><title>No Leader Found</title><h1>No leader found</h1><p>The \
                scheduler does not lead yet: this is routine when it has just been started.";
    (StatusCode::SERVICE_UNAVAILABLE, html(page.to_owned())).into_response()
}

/// What is committed, for pages that only the leader shows.
#[allow(clippy::result_large_err)] // It is the answer.
pub(super) fn stored(site: &Site) -> Result<Arc<Stored>, Response> {
    match site.leader() {
        Leader::Here => site.api.handle.state().ok_or_else(no_leader),
        Leader::Nobody => Err(no_leader()),
    }
}

/// A look at the core, for pages that only the leader shows.
async fn look<T: Send + 'static>(
    site: &Arc<Site>,
    look: impl FnOnce(&mut Core) -> T + Send + 'static,
) -> Result<T, Response> {
    let seen = site.blocking(move |site| site.api.handle.look(look)).await?;
    seen.map_err(|_: NotDone| no_leader())
}

pub(super) async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "there is no such page; / lists them\n")
}

/// `/`: links.
pub(super) async fn index(State(site): Shared) -> Response {
    let cluster = escape(&site.api.identity.cluster);
    let mut page = format!(
        "<!doctype html><title>Aurora {cluster}</title><h1>Aurora scheduler of {cluster}</h1><ul>"
    );
    for path in [
        "mname",
        "agents",
        "cron",
        "maintenance",
        "offers",
        "pendingtasks",
        "quotas",
        "state",
        "tiers",
        "utilization",
        "apihelp/index.html",
        "apiclient",
        "leaderhealth",
        "health",
        "logconfig",
        "services",
        "structdump",
        "threads",
        "graphdata",
        "graphview",
        "vars",
        "vars.json",
    ] {
        // Writing to a text cannot fail.
        let _ = write!(page, "<li><a href=\"/{path}\">{path}</a>");
    }
    page += "</ul>";
    html(page)
}

/// `/health`: always well while anybody is there to say so.
pub(super) async fn health() -> Response {
    text(StatusCode::OK, "OK\n")
}

/// `/leaderhealth`, for load balancers.
pub(super) async fn leader_health(State(site): Shared) -> Response {
    let (status, current) = match site.leader() {
        Leader::Here => (StatusCode::OK, "This is the leading scheduler."),
        Leader::Nobody => {
            (StatusCode::BAD_GATEWAY, "There is no leading scheduler or the leader is unknown.")
        }
    };
    let help = "200 means that this is the leading scheduler, 503 that another one is, 502 that \
                there is none.";
    text(status, format!("Current status: {current}\n\n{help}\n"))
}

/// Every variable by its name.
pub(super) async fn variables(site: &Arc<Site>) -> BTreeMap<String, Json> {
    let mut all = BTreeMap::<String, Json>::new();
    for (name, value) in site.api.counters.all() {
        all.insert(name, json!(value));
    }
    let phase = site.api.handle.phase();
    for other in Phase::ALL {
        let name = format!("scheduler_lifecycle_{}", other.name());
        all.insert(name, json!(u8::from(other == phase)));
    }
    all.insert("framework_registered".to_owned(), json!(u8::from(phase == Phase::Active)));
    all.insert("process_uptime_secs".to_owned(), json!(site.begun.elapsed().as_secs()));
    all.insert("build.version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    for (name, value) in &site.flags {
        all.insert(format!("flag_{name}"), json!(value));
    }
    if let Some(state) = site.api.handle.state() {
        for status in Status::ALL {
            let name = format!("task_store_{}", status.name());
            all.insert(name, json!(state.count_in(status)));
        }
        for (name, size) in [
            ("mem_storage_attribute_size", size(state.hosts())),
            ("mem_storage_cron_size", size(state.crons())),
            ("mem_storage_quota_size", size(state.quotas())),
            ("mem_storage_update_size", size(state.updates())),
            ("mem_storage_maintenance_size", size(state.drains())),
        ] {
            all.insert(name.to_owned(), json!(size));
        }
    }
    let core = look(site, |core| {
        let stats = core.ledger().stats.iter();
        let mut all: Vec<_> = stats.map(|(name, n)| (name.to_owned(), n)).collect();
        all.push(("outstanding_offers".to_owned(), core.offers().len() as u64));
        all
    });
    for (name, value) in core.await.unwrap_or_default() {
        all.insert(name, json!(value));
    }
    let log = site.blocking(|site| site.api.handle.log_metrics()).await;
    if let Ok(Ok(log)) = log {
        for (name, value) in [
            ("entries_written", log.entries),
            ("bytes_written", log.bytes),
            ("entries_read", log.entries_read),
            ("bytes_read", log.bytes_read),
            ("un_snapshotted_transactions", log.since_snapshot),
            ("snapshots", log.snapshots),
            ("native_append_events", log.append.count),
            ("native_append_nanos_total", log.append.nanos),
            ("native_sync_events", log.sync.count),
            ("native_sync_nanos_total", log.sync.nanos),
        ] {
            all.insert(format!("scheduler_log_{name}"), json!(value));
        }
    }
    all
}

/// How many there are. Maps know it without counting.
fn size(all: impl Iterator) -> usize {
    match all.size_hint() {
        (least, Some(most)) if least == most => least,
        _ => all.count(),
    }
}

/// A name that monitors can read.
pub(super) fn variable_name(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.' | '-');
    name.chars().map(|c| if legal(c) { c } else { '_' }).collect()
}

/// `/vars`: a name and a value in each line.
pub(super) async fn vars(State(site): Shared) -> Response {
    let mut lines = String::new();
    for (name, value) in variables(&site).await {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let value = value.replace(['\n', '\r'], " ");
        let _ = writeln!(lines, "{} {value}", variable_name(&name));
    }
    text(StatusCode::OK, lines)
}

/// `/vars.json`, for people with `?pretty=true`.
pub(super) async fn vars_json(
    State(site): Shared,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let all = variables(&site).await;
    let all: serde_json::Map<String, Json> =
        all.into_iter().map(|(name, value)| (variable_name(&name), value)).collect();
    let pretty = query.get("pretty").is_some_and(|pretty| pretty == "true");
    let all = Json::Object(all);
    super::json(if pretty { format!("{all:#}\n") } else { all.to_string() })
}

/// `/offers`: what is held, in the shape of Mesos' offers.
pub(super) async fn offers(State(site): Shared) -> Response {
    let offers = look(&site, |core| {
        let offers = core.offers().iter().map(|held| {
            let attributes = held.host.attributes.iter().flat_map(|(name, values)| {
                let text =
                    |value| json!({"name": **name, "type": "TEXT", "text": {"value": value}});
                values.iter().map(move |value| text(&**value))
            });
            // Ranges of ports come one by one, and belong together.
            let alike = |one: &Supply, next: &Supply| {
                (one.kind, one.revocable) == (next.kind, next.revocable) && one.kind == Kind::Ports
            };
            let resources = held.supplies.chunk_by(alike).filter_map(|supplies| {
                let supply = supplies.first()?;
                let mut resource = match supply.kind {
                    Kind::Ports => {
                        let range = |supply: &Supply| {
                            let ports = supply.range();
                            json!({"begin": ports.start, "end": ports.end - 1})
                        };
                        let ranges: Vec<_> = supplies.iter().map(range).collect();
                        json!({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}})
                    }
                    kind => json!({
                        "name": mesos_name(kind),
                        "type": "SCALAR",
                        "scalar": {"value": supply.milli as f64 / 1000.0},
                    }),
                };
                if supply.revocable
                    && let Some(fields) = resource.as_object_mut()
                {
                    fields.insert("revocable".to_owned(), json!({}));
                }
                Some(resource)
            });
            json!({
                "id": {"value": *held.id},
                "agent_id": {"value": *held.agent.id},
                "hostname": *held.agent.host,
                "resources": resources.collect::<Vec<_>>(),
                "attributes": attributes.collect::<Vec<_>>(),
            })
        });
        Json::Array(offers.collect())
    });
    match offers.await {
        Ok(offers) => json_of(&offers),
        Err(response) => response,
    }
}

fn mesos_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cpu => "cpus",
        Kind::Ram => "mem",
        Kind::Disk => "disk",
        Kind::Ports => "ports",
        Kind::Gpu => "gpus",
    }
}

/// `/pendingtasks`: the groups that wait for a place, and why.
pub(super) async fn pending_tasks(State(site): Shared) -> Response {
    let groups = look(&site, |core| {
        let groups: Vec<_> = core
            .groups()
            .map(|group| {
                let ids = group.queue.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
                (group.config.number, group.config.job.to_string(), ids, group.penalty)
            })
            .collect();
        let rows = groups.into_iter().map(|(number, name, ids, penalty)| {
            let reasons = core.nearest(number).unwrap_or_default();
            let reason = format!("[{}]", reasons.join(", "));
            json!({"name": name, "taskIds": ids, "penaltyMs": penalty, "reason": reason})
        });
        Json::Array(rows.collect())
    });
    match groups.await {
        Ok(groups) => json_of(&groups),
        Err(response) => response,
    }
}

/// `/state`: what runs where.
pub(super) async fn state(State(site): Shared) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let mut configs = serde_json::Map::new();
    let mut agents = BTreeMap::<String, Vec<String>>::new();
    for task in stored.tasks().filter(|task| task.status.is_placed()) {
        let Some(agent) = &task.agent else { continue };
        let key = format!("{}-{}", task.config.job, task.config.number.0);
        agents.entry(agent.id.to_string()).or_default().push(key.clone());
        configs.entry(key).or_insert_with(|| {
            let text = readable::to_string(&task.config.whole);
            serde_json::from_str(&text).unwrap_or(Json::Null)
        });
    }
    json_of(&json!({"taskConfigs": configs, "agents": agents}))
}

/// `/tiers`.
pub(super) async fn tiers(State(site): Shared) -> Response {
    let tiers = &site.api.rules.tiers;
    let all = tiers.tiers.iter().map(|(name, tier)| {
        let settings = json!({"preemptible": tier.preemptible, "revocable": tier.revocable});
        (name.to_string(), settings)
    });
    let all: serde_json::Map<_, _> = all.collect();
    json_of(&json!({"default": *tiers.default, "tiers": all}))
}

/// `/agents`: hosts with their maintenance and attributes.
pub(super) async fn agents(State(site): Shared) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let mut hosts: Vec<_> = stored.hosts().collect();
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    let mut page = "<!doctype html><title>Agents</title><h1>Agents</h1><table><tr><th>Host<th>\
                    Agent<th>Maintenance<th>Attributes"
        .to_owned();
    for host in hosts {
        let attributes = host.attributes.iter().map(|(name, values)| {
            format!("{name}=[{}]", values.iter().map(|v| &**v).collect::<Vec<_>>().join(","))
        });
        let attributes = attributes.collect::<Vec<_>>().join(", ");
        let name = escape(&host.name);
        let _ = write!(
            page,
            "<tr><td><a href=\"http://{name}:1338/\">{name}</a><td>{}<td>{}<td>{}",
            escape(&host.agent),
            mode(host.mode),
            escape(&attributes)
        );
    }
    page += "</table>";
    html(page)
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::None => "NONE",
        Mode::Scheduled => "SCHEDULED",
        Mode::Draining => "DRAINING",
        Mode::Drained => "DRAINED",
    }
}

/// `/maintenance`: hosts by their maintenance, and what runs on those that are drained.
pub(super) async fn maintenance(State(site): Shared) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let named = |wanted: Mode| -> BTreeSet<&str> {
        stored.hosts().filter(|host| host.mode == wanted).map(|host| &*host.name).collect()
    };
    let draining: BTreeMap<&str, Vec<&str>> = named(Mode::Draining)
        .into_iter()
        .map(|host| {
            let tasks = stored.tasks_on(host).filter(|task| task.status.is_active());
            (host, tasks.map(|task| task.id.as_str()).collect())
        })
        .collect();
    json_of(&json!({
        "DRAINED": named(Mode::Drained),
        "SCHEDULED": named(Mode::Scheduled),
        "DRAINING": draining,
    }))
}

/// `/quotas`, of one role with `?role=`.
pub(super) async fn quotas(
    State(site): Shared,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    use aurora_api::api::Resource;
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let role = query.get("role").map(String::as_str);
    let quotas = stored.quotas().filter(|(name, _)| role.is_none_or(|role| &***name == role));
    let quotas = quotas.map(|(role, quota)| {
        let (mut cpus, mut ram, mut disk) = (0.0, 0, 0);
        for resource in quota.resources.iter().flatten() {
            match resource {
                Resource::NumCpus(number) => cpus = number.0,
                Resource::RamMb(mb) => ram = *mb,
                Resource::DiskMb(mb) => disk = *mb,
                _ => {}
            }
        }
        (role.to_string(), json!({"cpu_cores": cpus, "ram_mb": ram, "disk_mb": disk}))
    });
    json_of(&Json::Object(quotas.collect()))
}

/// `/cron`: the cron jobs.
pub(super) async fn cron(State(site): Shared) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let jobs = stored.crons().map(|(job, cron)| (job.to_string(), json!(cron.cron_schedule)));
    let jobs: serde_json::Map<_, _> = jobs.collect();
    json_of(&json!({"scheduled": jobs}))
}

/// Ends the process, if somebody on this machine asks.
fn end(site: &Site, peer: &ConnectInfo<std::net::SocketAddr>, how: Quit, answer: &str) -> Response {
    if !peer.0.ip().to_canonical().is_loopback() {
        return text(StatusCode::FORBIDDEN, "only processes on this machine may ask for that\n");
    }
    site.quit.send_replace(Some(how));
    text(StatusCode::OK, answer)
}

/// `/quitquitquit`: ends the process in order.
pub(super) async fn quit(State(site): Shared, Extension(peer): Peer) -> Response {
    end(&site, &peer, Quit::Soon, "Notifying quit listener.\n")
}

/// `/abortabortabort`: ends the process at once.
pub(super) async fn abort(State(site): Shared, Extension(peer): Peer) -> Response {
    end(&site, &peer, Quit::Now, "Notifying abort listener.\n")
}
