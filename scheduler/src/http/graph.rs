//! `/graphdata`: what the variables were over the last while.
//!
//! Source: the original's page, and its flags `-stat_sampling_interval` and
//! `-stat_retention_period`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value as Json, json};
use tokio::time::MissedTickBehavior;

use super::graphview::Columns;
use super::pages::{variable_name, variables};
use super::{Shared, Site, json};

/// Variables whose values are kept; there may be some for each job, without a bound.
const MAX_SERIES: usize = 1000;

/// Variables in one answer.
const MAX_NAMES: usize = 100;

/// Samples that are kept, whatever the flags say.
const MAX_SAMPLES: u128 = 36_000;

/// The latest values of variables that are numbers.
#[derive(Debug)]
pub struct History {
    interval: Duration,
    samples: Mutex<Samples>,
}

#[derive(Debug)]
struct Samples {
    /// How many are kept.
    keep: usize,
    /// When they were taken, in milliseconds since the epoch, the oldest first.
    times: VecDeque<i64>,
    /// Values by name, none of them without one. What has fewer than there are times appeared
    /// later, and was 0 before.
    series: BTreeMap<String, VecDeque<f64>>,
}

impl Default for History {
    /// A value each second, for an hour.
    fn default() -> History {
        History::new(Duration::from_secs(1), Duration::from_secs(3600))
    }
}

impl History {
    /// One that keeps a value for each interval, for a period.
    pub fn new(interval: Duration, period: Duration) -> History {
        let interval = interval.max(Duration::from_millis(10));
        let keep = (period.as_millis() / interval.as_millis()).clamp(1, MAX_SAMPLES) as usize;
        let (times, series) = (VecDeque::new(), BTreeMap::new());
        History { interval, samples: Mutex::new(Samples { keep, times, series }) }
    }

    /// The names of all variables that are kept.
    pub(super) fn names(&self) -> Vec<String> {
        self.samples().series.keys().cloned().collect()
    }

    /// The times after this one, and the values of variables at each. `Err`: why not.
    pub(super) fn columns(&self, names: &[&str], since: i64) -> Result<Columns, String> {
        let samples = self.samples();
        let first = samples.first_after(since);
        let times = samples.times.iter().skip(first).copied().collect();
        let rows = first..samples.times.len();
        let values = names.iter().map(|name| {
            let series = samples.find(name)?;
            Ok(rows.clone().map(|row| samples.value(series, row)).collect())
        });
        Ok((times, values.collect::<Result<_, String>>()?))
    }

    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Samples {
    fn add(&mut self, time: i64, mut values: BTreeMap<String, f64>) {
        let keep = self.keep;
        let shorten = |length: usize| length > keep;
        self.times.push_back(time);
        if shorten(self.times.len()) {
            self.times.pop_front();
        }
        for (name, series) in &mut self.series {
            // What is not there this time has not changed.
            let last = series.back().copied().unwrap_or_default();
            series.push_back(values.remove(name).unwrap_or(last));
            if shorten(series.len()) {
                series.pop_front();
            }
        }
        let room = MAX_SERIES.saturating_sub(self.series.len());
        self.series
            .extend(values.into_iter().take(room).map(|(name, value)| (name, [value].into())));
    }

    fn find(&self, name: &str) -> Result<&VecDeque<f64>, String> {
        self.series.get(name).ok_or_else(|| format!("Unknown metric {name}"))
    }

    /// The first row after a time.
    fn first_after(&self, since: i64) -> usize {
        self.times.partition_point(|time| *time <= since)
    }

    /// The value of a variable in a row.
    fn value(&self, series: &VecDeque<f64>, row: usize) -> f64 {
        let later = self.times.len() - series.len();
        row.checked_sub(later).and_then(|row| series.get(row)).copied().unwrap_or_default()
    }

    /// `{"names": ["time", …], "data": [[TIME, …], …]}`: the samples after a time. `Err`: why not.
    fn table(&self, names: &[&str], since: i64) -> Result<String, String> {
        if names.len() > MAX_NAMES {
            return Err(format!("More than {MAX_NAMES} metrics"));
        }
        let series = names.iter().map(|name| self.find(name)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<_> = std::iter::once(&"time").chain(names).collect();
        let mut text = format!("{{\"names\":{},\"data\":[", json!(names));
        let first = self.first_after(since);
        for (row, time) in self.times.iter().enumerate().skip(first) {
            let comma = if row > first { "," } else { "" };
            // Writing to a text cannot fail, also below. A number without a fraction has none here.
            let _ = write!(text, "{comma}[{time}");
            for series in &series {
                let _ = write!(text, ",{}", self.value(series, row));
            }
            text.push(']');
        }
        text += "]}";
        Ok(text)
    }
}

/// Takes samples for as long as it is let.
pub(super) async fn sample(site: Arc<Site>) {
    let mut clock = tokio::time::interval(site.history.interval);
    // A machine that was asleep has no samples of that time.
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let all = variables(&site).await;
        let number = |(name, value): (String, Json)| Some((variable_name(&name), value.as_f64()?));
        let values = all.into_iter().filter_map(number).collect();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        site.history.samples().add(time, values);
    }
}

/// `/graphdata`: names of all series; with `?metrics=a,b`, their values, after `&since=`
/// milliseconds.
pub(super) async fn data(
    State(site): Shared,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let text = site.blocking(move |site| {
        let samples = site.history.samples();
        let Some(metrics) = query.get("metrics") else {
            return Ok(json!(samples.series.keys().collect::<Vec<_>>()).to_string());
        };
        let names = metrics.split(',').filter(|name| !matches!(*name, "" | "time"));
        let since = query.get("since").and_then(|since| since.parse().ok()).unwrap_or(i64::MIN);
        samples.table(&names.collect::<Vec<_>>(), since)
    });
    match text.await {
        Ok(Ok(text)) => json(text),
        Ok(Err(problem)) => {
            let problem = json!({"error": problem}).to_string();
            (StatusCode::BAD_REQUEST, json(problem)).into_response()
        }
        Err(response) => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(values: &[(&str, f64)]) -> BTreeMap<String, f64> {
        values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn the_latest_samples_are_kept() {
        let history = History::new(Duration::from_secs(1), Duration::from_secs(3));
        let mut samples = history.samples();
        samples.add(1, values(&[("a", 1.0)]));
        samples.add(2, values(&[("a", 2.0), ("b", 0.5)]));
        samples.add(3, values(&[("b", 3.0)]));
        let rows = |rows: &str| Ok(format!(r#"{{"names":["time","a","b"],"data":{rows}}}"#));
        let both = ["a", "b"];
        assert_eq!(
            samples.table(&both, 0),
            rows("[[1,1,0],[2,2,0.5],[3,2,3]]"),
            "later ones were 0, missing ones have not changed"
        );
        samples.add(4, values(&[("a", 4.0)]));
        samples.add(5, values(&[("a", 5.0)]));
        assert_eq!(samples.table(&both, 0), rows("[[3,2,3],[4,4,3],[5,5,3]]"));
        assert_eq!(samples.table(&both, 4), rows("[[5,5,3]]"));
        assert_eq!(samples.table(&both, 5), rows("[]"));
        assert_eq!(samples.table(&["c"], 0), Err("Unknown metric c".to_owned()));
        let many = ["a"; MAX_NAMES + 1];
        assert!(samples.table(&many[1..], 0).is_ok() && samples.table(&many, 0).is_err());
    }

    #[test]
    fn there_is_a_bound() {
        let history = History::new(Duration::ZERO, Duration::MAX);
        let mut samples = history.samples();
        assert_eq!(samples.keep as u128, MAX_SAMPLES);
        for time in 0..3 {
            let name = |n: usize| (format!("{time}-{n}"), 1.0);
            samples.add(time, (0..MAX_SERIES).map(name).collect());
        }
        assert_eq!(samples.series.len(), MAX_SERIES);
    }
}
