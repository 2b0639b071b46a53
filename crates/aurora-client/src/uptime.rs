//! How long the instances of a job have been up, and what would be left if some went down.
//!
//! Source of behaviour: Aurora client reference, "SLA"; what the original prints.

use std::collections::BTreeMap;
use std::fmt;

use aurora_api::api::{ScheduleStatus, ScheduledTask};

/// The uptimes of a job's instances, in seconds.
#[derive(Clone, Debug, Default)]
pub struct Uptimes {
    /// Shortest first.
    seconds: Vec<u64>,
}

impl Uptimes {
    /// Of these tasks, at `now` (Unix seconds). A task is up since it was RUNNING for the first time;
    /// one that never was does not count. An instance has one task.
    pub fn of<'t>(tasks: impl IntoIterator<Item = &'t ScheduledTask>, now: u64) -> Self {
        let up = |task: &ScheduledTask| {
            let mut events = task.task_events.iter().flatten();
            let running = events.find(|event| event.status == Some(ScheduleStatus::RUNNING))?;
            let since = u64::try_from(running.timestamp?).unwrap_or(0) / 1000;
            let instance = task.assigned_task.as_ref().and_then(|task| task.instance_id);
            Some((instance, now.saturating_sub(since)))
        };
        let instances: BTreeMap<_, _> = tasks.into_iter().filter_map(up).collect();
        let mut seconds: Vec<_> = instances.into_values().collect();
        seconds.sort_unstable();
        Self { seconds }
    }

    /// How many instances there are.
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// The percentage of `total` instances that have been up for at least `seconds`; 0 of none.
    pub fn percent_up(&self, seconds: u64, total: usize) -> f64 {
        let up = self.seconds.len() - self.seconds.partition_point(|uptime| *uptime < seconds);
        if total == 0 { 0.0 } else { 100.0 * up as f64 / total as f64 }
    }

    /// For how long at least `percentile` per cent of the instances have been up; nothing of none.
    pub fn at_percentile(&self, percentile: f64) -> Option<u64> {
        let below = (percentile / 100.0 * self.len() as f64).floor() as usize;
        let index = self.len().checked_sub(below)?.checked_sub(1)?;
        self.seconds.get(index).copied()
    }

    /// In how many seconds `percent` of `total` instances will have been up for `seconds`, if all of
    /// these stay up; nothing if these are too few.
    pub fn wait(&self, percent: f64, seconds: u64, total: usize) -> Option<u64> {
        if self.percent_up(seconds, total) >= percent {
            return Some(0);
        }
        let needed = (percent * total as f64 / 100.0).ceil() as usize;
        let longest_first = self.seconds.len().checked_sub(needed)?;
        let last = self.seconds.get(longest_first)?;
        Some(seconds.saturating_sub(*last))
    }
}

/// A span of time as it is written on command lines: `1d3h45m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its length.
    pub seconds: u64,
    /// The smallest unit that it was written with.
    unit: usize,
}

/// Seconds of the units, their letters, and their names in print. Longest first, as they are written.
const UNITS: [(u64, char, &str); 4] =
    [(86_400, 'd', "days"), (3_600, 'h', "hrs"), (60, 'm', "mins"), (1, 's', "secs")];

impl Span {
    /// Reads `XdYhZmWs`: every part may be left out, but not all of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("Invalid time span: {text}");
        let mut span: Option<Self> = None;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let mut letters = tail.chars();
            let letter = letters.next().ok_or_else(wrong)?;
            let found = UNITS.iter().position(|(_, known, _)| *known == letter);
            let unit = found.ok_or_else(wrong)?;
            if span.is_some_and(|span| span.unit >= unit) {
                return Err(wrong());
            }
            let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(UNITS[unit].0));
            let before = span.map_or(0, |span| span.seconds);
            let seconds = part.and_then(|part| part.checked_add(before)).ok_or_else(wrong)?;
            span = Some(Self { seconds, unit });
            rest = letters.as_str();
        }
        span.ok_or_else(wrong)
    }
}

/// `90 mins`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, _, name) = UNITS[self.unit];
        write!(f, "{} {name}", self.seconds / seconds)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use aurora_api::api::{AssignedTask, TaskEvent};
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn task(instance: i32, events: &[(ScheduleStatus, u64)]) -> ScheduledTask {
        let event = |(status, ago): &(ScheduleStatus, u64)| TaskEvent {
            timestamp: Some((NOW - ago) as i64 * 1000 + 753),
            status: Some(*status),
            ..Default::default()
        };
        ScheduledTask {
            assigned_task: Some(AssignedTask { instance_id: Some(instance), ..Default::default() }),
            task_events: Some(events.iter().map(event).collect()),
            ..Default::default()
        }
    }

    fn running(uptimes: &[u64]) -> Uptimes {
        let tasks: Vec<_> = uptimes
            .iter()
            .zip(0..)
            .map(|(ago, n)| task(n, &[(ScheduleStatus::RUNNING, *ago)]))
            .collect();
        Uptimes::of(&tasks, NOW)
    }

    #[test]
    fn up_since_it_first_ran() {
        let tasks = [
            task(0, &[(ScheduleStatus::PENDING, 90), (ScheduleStatus::RUNNING, 80)]),
            task(1, &[(ScheduleStatus::RUNNING, 70), (ScheduleStatus::RUNNING, 10)]),
            task(2, &[(ScheduleStatus::PENDING, 90)]),
            ScheduledTask::default(),
        ];
        assert_eq!(Uptimes::of(&tasks, NOW).seconds, [70, 80]);
    }

    #[test]
    fn percentiles() {
        let uptimes = running(&[3592, 3593, 3594, 3595, 3596, 3597, 3598, 3599]);
        for (percentile, seconds) in
            [(99.9, 3592), (90.0, 3592), (85.0, 3593), (60.0, 3595), (30.0, 3597), (10.0, 3599)]
        {
            assert_eq!(uptimes.at_percentile(percentile), Some(seconds), "{percentile}");
        }
        assert_eq!(running(&[]).at_percentile(50.0), None);
    }

    #[test]
    fn waits() {
        let uptimes = running(&[10, 20, 30, 40]);
        assert_eq!(uptimes.wait(50.0, 30, 4), Some(0));
        assert_eq!(uptimes.wait(75.0, 30, 4), Some(10));
        assert_eq!(uptimes.wait(100.0, 30, 4), Some(20));
        // One of five is down: four cannot be all of them.
        assert_eq!(uptimes.wait(80.0, 30, 5), Some(20));
        assert_eq!(uptimes.wait(81.0, 30, 5), None);
        assert_eq!(running(&[]).wait(1.0, 1, 1), None);
    }

    #[test]
    fn spans() {
        for (text, seconds, shown) in [
            ("1m", 60, "1 mins"),
            ("1h30m", 5400, "90 mins"),
            ("7d", 604_800, "7 days"),
            ("1d2h3m4s", 93_784, "93784 secs"),
            ("0s", 0, "0 secs"),
        ] {
            let span = Span::parse(text).unwrap();
            assert_eq!((span.seconds, span.to_string()), (seconds, shown.to_owned()), "{text}");
        }
        for text in ["", "x", "1", "1x", "m", "1m1h", "1m1m", "-1m", "1 m", "99999999999999999999d"]
        {
            assert_eq!(Span::parse(text), Err(format!("Invalid time span: {text}")));
        }
    }

    proptest! {
        #[test]
        fn percentile_and_percentage_agree(
            uptimes in proptest::collection::vec(0_u64..100_000, 1..40),
            percentile in 0.1_f64..99.9,
        ) {
            let uptimes = running(&uptimes);
            let seconds = uptimes.at_percentile(percentile).unwrap();
            prop_assert!(uptimes.percent_up(seconds, uptimes.len()) >= percentile);
        }

        #[test]
        fn after_the_wait_the_percentage_holds(
            uptimes in proptest::collection::vec(0_u64..1_000, 1..20),
            down in 0_usize..5,
            percent in 0.1_f64..100.0,
            seconds in 0_u64..2_000,
        ) {
            let total = uptimes.len() + down;
            match running(&uptimes).wait(percent, seconds, total) {
                Some(wait) => {
                    let later: Vec<_> = uptimes.iter().map(|uptime| uptime + wait).collect();
                    prop_assert!(running(&later).percent_up(seconds, total) >= percent - 1e-9);
                }
                None => prop_assert!(100.0 * (uptimes.len() as f64) / (total as f64) < percent),
            }
        }

        #[test]
        fn any_text_is_a_span_or_none(text in "\\PC*") {
            let _ = Span::parse(&text);
        }
    }
}
