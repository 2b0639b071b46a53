//! Counters of the faces, for operators.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters by their names. They start at 0 with the process and appear when first used.
#[derive(Debug, Default)]
pub struct Counters(Mutex<BTreeMap<String, u64>>);

impl Counters {
    /// Adds to a counter.
    pub fn add(&self, name: String, n: u64) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry(name).or_default() += n;
    }

    /// Counts something that took a while.
    pub fn time(&self, name: &str, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.add(format!("{name}_events"), 1);
        self.add(format!("{name}_nanos_total"), nanos);
    }

    /// All of them, in order of their names.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
