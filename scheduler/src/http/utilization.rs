//! `/utilization`: what active tasks use, in all, by role and by job.
//!
//! Source: the original's page. CPU, memory and disk count, as they do for quota; executors do not.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::pages::{escape, html, stored};
use super::{Shared, text};
use crate::core::config::Config;
use crate::core::resources::{Bag, Kind};
use crate::core::state::State as Stored;

/// Which tasks count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Metric {
    Total,
    Dedicated,
    Quota,
    FreePool,
}

impl Metric {
    const ALL: [Metric; 4] = [Metric::Total, Metric::Dedicated, Metric::Quota, Metric::FreePool];

    /// The name in paths; there in any case.
    fn name(self) -> &'static str {
        match self {
            Metric::Total => "TOTAL_CONSUMED",
            Metric::Dedicated => "DEDICATED_CONSUMED",
            Metric::Quota => "QUOTA_CONSUMED",
            Metric::FreePool => "FREE_POOL_CONSUMED",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Metric::Total => "Total consumed",
            Metric::Dedicated => "Dedicated consumed",
            Metric::Quota => "Quota consumed",
            Metric::FreePool => "Free pool consumed",
        }
    }

    fn find(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|metric| metric.name().eq_ignore_ascii_case(name))
    }

    fn counts(self, config: &Config) -> bool {
        let dedicated = config.constrains("dedicated");
        match self {
            Metric::Total => true,
            Metric::Dedicated => dedicated,
            Metric::Quota => config.production && !dedicated,
            Metric::FreePool => !config.production && !dedicated,
        }
    }
}

/// What active tasks that count use, by a part of the key of their job.
fn sums<'a>(
    stored: &'a Stored,
    metric: Metric,
    role: Option<&str>,
    part: impl Fn(&'a Config) -> &'a str,
) -> BTreeMap<&'a str, Bag> {
    let mut sums = BTreeMap::new();
    let jobs = stored.jobs().filter(|job| role.is_none_or(|role| role == job.role()));
    for task in jobs.flat_map(|job| stored.active_tasks_of_job(job)) {
        if metric.counts(&task.config) {
            let sum: &mut Bag = sums.entry(part(&task.config)).or_default();
            *sum = *sum + task.config.resources;
        }
    }
    sums
}

/// A row: where it links to, if anywhere, its name, what is used.
type Row<'a> = (Option<String>, &'a str, Bag);

fn table<'a>(title: &str, rows: impl Iterator<Item = Row<'a>>) -> Response {
    let title = escape(title);
    let mut page = format!(
        "<!doctype html><title>{title}</title><h1>{title}</h1><table><tr><th>Name<th>CPU<th>RAM \
         MB<th>Disk MB"
    );
    for (link, name, bag) in rows {
        let whole = |kind| bag.get(kind) / 1000;
        let name = escape(name);
        let name = match link {
            Some(link) => format!("<a href=\"/utilization/{}\">{name}</a>", escape(&link)),
            None => name,
        };
        let (cpus, ram, disk) = (whole(Kind::Cpu), whole(Kind::Ram), whole(Kind::Disk));
        // Writing to a text cannot fail.
        let _ = write!(page, "<tr><td>{name}<td>{cpus}<td>{ram}<td>{disk}");
    }
    page += "</table>";
    html(page)
}

fn unknown_metric() -> Response {
    text(StatusCode::BAD_REQUEST, "Invalid metric type.")
}

/// `/utilization`: the sums of each kind.
pub(super) async fn totals(State(site): Shared) -> Response {
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let rows = Metric::ALL.into_iter().map(|metric| {
        let sum = sums(&stored, metric, None, |_| "").into_values().next();
        (Some(metric.name().to_lowercase()), metric.title(), sum.unwrap_or_default())
    });
    table("Utilization", rows)
}

/// `/utilization/METRIC`: by role.
pub(super) async fn roles(State(site): Shared, Path(name): Path<String>) -> Response {
    let Some(metric) = Metric::find(&name) else { return unknown_metric() };
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let rows = sums(&stored, metric, None, |config| config.job.role());
    let link = |role: &str| format!("{}/{role}", metric.name().to_lowercase());
    table(metric.title(), rows.into_iter().map(|(role, sum)| (Some(link(role)), role, sum)))
}

/// `/utilization/METRIC/ROLE`: by name of the job, whatever its environment.
pub(super) async fn jobs(
    State(site): Shared,
    Path((name, role)): Path<(String, String)>,
) -> Response {
    let Some(metric) = Metric::find(&name) else { return unknown_metric() };
    let stored = match stored(&site) {
        Ok(stored) => stored,
        Err(response) => return response,
    };
    let rows = sums(&stored, metric, Some(&role), |config| config.job.name());
    let title = format!("{}: {role}", metric.title());
    table(&title, rows.into_iter().map(|(job, sum)| (None, job, sum)))
}
