//! Durations in the text form of Mesos: a number, possibly with a fraction, and a unit.

use std::fmt;
use std::time::Duration;

/// Units, the longest first; what a number of them is in nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("weeks", 604_800_000_000_000),
    ("days", 86_400_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("mins", 60_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Longest duration of Mesos, about 292 years: it counts nanoseconds in 63 bits.
pub const MAX: Duration = Duration::from_nanos(i64::MAX as u64);

/// Why a text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No number at the start, or one with a sign or an exponent.
    Number,
    /// No unit after the number, or an unknown one.
    Unit,
    /// Longer than [`MAX`].
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "does not start with a number",
            Self::Unit => "its unit is none of ns, us, ms, secs, mins, hrs, days, weeks",
            Self::TooLong => "longer than 292 years",
        })
    }
}

impl std::error::Error for Error {}

/// Reads a duration such as `15mins`, `500ms` or `1.5secs`. What is below a nanosecond is cut off.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(Error::Number);
    }
    let unit = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ns)| *ns);
    let unit = u128::from(unit.ok_or(Error::Unit)?);
    let mut nanos: u128 = 0;
    for digit in whole.bytes() {
        nanos = nanos * 10 + u128::from(digit - b'0') * unit;
        if nanos > MAX.as_nanos() {
            return Err(Error::TooLong);
        }
    }
    // Beyond 18 digits nothing is left of even a week.
    let mut part: u128 = 0;
    let mut scale: u128 = 1;
    for digit in fraction.bytes().take(18) {
        part = part * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    nanos += part * unit / scale;
    match u64::try_from(nanos) {
        Ok(nanos) if Duration::from_nanos(nanos) <= MAX => Ok(Duration::from_nanos(nanos)),
        _ => Err(Error::TooLong),
    }
}

/// Writes a duration in the longest unit in which it is a whole number, at most to [`MAX`].
pub fn format(duration: Duration) -> String {
    let nanos = duration.min(MAX).as_nanos();
    let fits = |(_, unit): &&(&str, u64)| nanos.is_multiple_of(u128::from(*unit));
    match UNITS.iter().find(fits) {
        Some((name, unit)) if nanos > 0 => format!("{}{name}", nanos / u128::from(*unit)),
        _ => "0ns".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("15mins", Ok(900_000_000_000))]
    #[case("2secs", Ok(2_000_000_000))]
    #[case("500ms", Ok(500_000_000))]
    #[case("1.5secs", Ok(1_500_000_000))]
    #[case(".5secs", Ok(500_000_000))]
    #[case("1.secs", Ok(1_000_000_000))]
    #[case("0ns", Ok(0))]
    #[case("0.9ns", Ok(0))]
    #[case("1.5us", Ok(1_500))]
    #[case("2hrs", Ok(7_200_000_000_000))]
    #[case("1days", Ok(86_400_000_000_000))]
    #[case("1weeks", Ok(604_800_000_000_000))]
    #[case("0.1weeks", Ok(60_480_000_000_000))]
    #[case(" 5secs\n", Ok(5_000_000_000))]
    #[case("0.333333333333333333333333secs", Ok(333_333_333))]
    #[case("9223372036854775807ns", Ok(i64::MAX as u64))]
    #[case("9223372036854775808ns", Err(Error::TooLong))]
    #[case("15250.9weeks", Err(Error::TooLong))]
    #[case("99999999999999999999999999999999999999999999999999weeks", Err(Error::TooLong))]
    #[case("", Err(Error::Number))]
    #[case("secs", Err(Error::Number))]
    #[case(".secs", Err(Error::Number))]
    #[case("-1secs", Err(Error::Number))]
    #[case("+1secs", Err(Error::Number))]
    #[case("1.2.3secs", Err(Error::Number))]
    #[case("1", Err(Error::Unit))]
    #[case("1 secs", Err(Error::Unit))]
    #[case("1sec", Err(Error::Unit))]
    #[case("1s", Err(Error::Unit))]
    #[case("1Secs", Err(Error::Unit))]
    #[case("1e3secs", Err(Error::Unit))]
    #[case("1é", Err(Error::Unit))]
    fn texts(#[case] text: &str, #[case] nanos: Result<u64, Error>) {
        assert_eq!(parse(text), nanos.map(Duration::from_nanos));
    }

    #[rstest]
    #[case(0, "0ns")]
    #[case(1, "1ns")]
    #[case(1_500_000_000, "1500ms")]
    #[case(900_000_000_000, "15mins")]
    #[case(604_800_000_000_000, "1weeks")]
    fn written(#[case] nanos: u64, #[case] text: &str) {
        assert_eq!(format(Duration::from_nanos(nanos)), text);
    }

    proptest! {
        #[test]
        fn there_and_back(nanos in 0..=i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_panic(text: String, number in "[0-9.]{0,60}(secs|weeks|ns)") {
            let _ = (parse(&text), parse(&number));
        }
    }
}
