//! Counters of the faces, for operators.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Delays of a kind that are kept, the latest, for percentiles.
const DELAYS: usize = 1000;

/// Percentiles of delays, with the texts that are in their names.
const PERCENTILES: [(f64, &str); 6] = [
    (10.0, "10_0"),
    (50.0, "50_0"),
    (90.0, "90_0"),
    (99.0, "99_0"),
    (99.9, "99_9"),
    (99.99, "99_99"),
];

/// Counters by their names. They start at 0 with the process and appear when first used.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<BTreeMap<String, u64>>,
    delays: Mutex<BTreeMap<String, Delays>>,
}

/// Delays of a kind, in microseconds.
#[derive(Debug, Default)]
struct Delays {
    count: u64,
    total: u64,
    latest: VecDeque<u64>,
}

impl Counters {
    /// Adds to a counter.
    pub fn add(&self, name: String, n: u64) {
        *held(&self.counts).entry(name).or_default() += n;
    }

    /// Counts something that took a while.
    pub fn time(&self, name: &str, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.add(format!("{name}_events"), 1);
        self.add(format!("{name}_nanos_total"), nanos);
    }

    /// Counts something that came late, so that its percentiles can be seen.
    pub fn delay(&self, name: &str, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let mut all = held(&self.delays);
        if !all.contains_key(name) {
            all.insert(name.to_owned(), Delays::default());
        }
        let Some(delays) = all.get_mut(name) else { return };
        delays.count += 1;
        delays.total = delays.total.saturating_add(micros);
        delays.latest.push_back(micros);
        if delays.latest.len() > DELAYS {
            delays.latest.pop_front();
        }
    }

    /// All of them, by their names.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let mut all = held(&self.counts).clone();
        for (name, delays) in &*held(&self.delays) {
            all.insert(format!("{name}_requests_events"), delays.count);
            all.insert(format!("{name}_requests_micros_total"), delays.total);
            // The names are those of requests. What comes late has neither of these.
            for what in ["errors", "reconnects", "timeouts"] {
                all.insert(format!("{name}_{what}"), 0);
            }
            let mut latest: Vec<u64> = delays.latest.iter().copied().collect();
            latest.sort_unstable();
            for (percent, text) in PERCENTILES {
                all.insert(format!("{name}_{text}_percentile"), percentile(&latest, percent));
            }
        }
        all
    }
}

/// Nothing is left half done by a thread that panics.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A percentile of values in order; between two of them, in proportion.
fn percentile(sorted: &[u64], percent: f64) -> u64 {
    let place = sorted.len().saturating_sub(1) as f64 * percent / 100.0;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or_default() as f64;
    let (low, high) = (at(place.floor()), at(place.ceil()));
    (low + (high - low) * place.fract()).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        assert_eq!(percentile(&[], 50.0), 0);
        assert_eq!(percentile(&[7], 99.99), 7);
        let values: Vec<u64> = (0..=1000).collect();
        for (percent, expected) in [(10.0, 100), (50.0, 500), (99.9, 999), (99.99, 1000)] {
            assert_eq!(percentile(&values, percent), expected, "{percent}");
        }
        assert_eq!(percentile(&[10, 20], 50.0), 15);
    }

    #[test]
    fn the_latest_delays() {
        let counters = Counters::default();
        counters.delay("d", Duration::from_secs(1));
        for _ in 0..DELAYS {
            counters.delay("d", Duration::from_micros(5));
        }
        let all = counters.all();
        assert_eq!(all["d_requests_events"], DELAYS as u64 + 1);
        assert_eq!(all["d_requests_micros_total"], 1_000_000 + 5 * DELAYS as u64);
        assert_eq!(all["d_99_99_percentile"], 5, "the first is forgotten");
        assert_eq!(all["d_errors"], 0);
    }
}
