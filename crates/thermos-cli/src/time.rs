//! Times as people read them.

use chrono::{DateTime, Local};

/// Local time as the original prints it (`Fri Nov 20 11:33:12 2026`); empty if there is no such time.
pub(crate) fn local(millis: i64) -> String {
    match DateTime::from_timestamp_millis(millis) {
        Some(time) => time.with_timezone(&Local).format("%a %b %e %H:%M:%S %Y").to_string(),
        None => String::new(),
    }
}

/// The same, for seconds.
pub(crate) fn local_seconds(seconds: f64) -> String {
    local(millis(seconds))
}

/// Whole milliseconds.
pub(crate) fn millis(seconds: f64) -> i64 {
    // `as` saturates, and makes 0 of what is no number.
    (seconds * 1e3).round() as i64
}

/// A duration, short.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    if seconds < 10.0 {
        format!("{seconds:.2}s")
    } else if seconds < 60.0 {
        format!("{seconds:.1}s")
    } else {
        let whole = seconds as u64;
        match (whole / 86400, whole / 3600 % 24, whole / 60 % 60, whole % 60) {
            (0, 0, m, s) => format!("{m}m {s:02}s"),
            (0, h, m, s) => format!("{h}h {m:02}m {s:02}s"),
            (d, h, m, _) => format!("{d}d {h:02}h {m:02}m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (seconds, expected) in [
            (-1.0, "0.00s"),
            (0.0123, "0.01s"),
            (12.34, "12.3s"),
            (61.9, "1m 01s"),
            (3_725.0, "1h 02m 05s"),
            (90_061.0, "1d 01h 01m"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn impossible_times_are_blank() {
        assert_eq!(local(i64::MAX), "");
        assert_eq!(local_seconds(f64::NAN).len(), 24);
        assert_eq!(local(1_795_174_377_000).len(), 24);
        assert_eq!(millis(1.0006), 1001);
    }
}
