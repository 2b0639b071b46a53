//! Values of flags: what a text means as a value of a kind.
//!
//! Source: the scheduler's command line. Units are exact and case-sensitive.

use std::fmt;
use std::path::Path;
use std::time::Duration;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Text that is not empty.
    Name,
    /// `true` or `false`.
    Bool,
    /// A whole number, at least this.
    Int(i64),
    /// A number above 0.
    Rate,
    /// A number, not negative.
    Amount,
    /// A time: digits and a unit, such as `15secs`. Whether it may be 0.
    Time {
        /// May it be 0?
        zero: bool,
    },
    /// An amount of data: digits and a unit, such as `512KB`.
    Data,
    /// Texts with commas between them.
    List,
    /// `host:port` with commas between them.
    Endpoints,
    /// Some of these words, with commas between them.
    Words(&'static [&'static str]),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A regular expression that must match the whole.
    Regex,
    /// A file that can be read.
    Readable,
    /// A path in ZooKeeper.
    Node,
    /// An address of IPv4 or IPv6.
    Ip,
}

/// What a flag was given.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`Kind::Text`], [`Kind::Name`], [`Kind::Word`], [`Kind::Regex`], [`Kind::Readable`],
    /// [`Kind::Node`] and [`Kind::Ip`].
    Text(String),
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Rate`] and [`Kind::Amount`].
    Number(f64),
    /// Of [`Kind::Time`].
    Time(Duration),
    /// Of [`Kind::Data`], in bytes.
    Data(u64),
    /// Of [`Kind::List`], [`Kind::Words`] and [`Kind::Endpoints`].
    List(Vec<String>),
}

impl Kind {
    /// What a text means. `Err`: what would be right, for people.
    pub fn parse(self, text: &str) -> Result<Value, String> {
        let own = || Value::Text(text.to_owned());
        match self {
            Kind::Text => Ok(own()),
            Kind::Name if text.is_empty() => Err("must not be empty".to_owned()),
            Kind::Name => Ok(own()),
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err("must be true or false".to_owned()),
            },
            Kind::Int(least) => match text.parse::<i64>() {
                Ok(number) if number > i64::from(i32::MAX) => {
                    Err(format!("must not be more than {}", i32::MAX))
                }
                Ok(number) if number >= least => Ok(Value::Int(number)),
                _ => Err(format!("must be a whole number, at least {least}")),
            },
            Kind::Rate | Kind::Amount => match text.parse::<f64>() {
                Ok(number) if number.is_finite() && number > 0.0 => Ok(Value::Number(number)),
                Ok(0.0) if self == Kind::Amount => Ok(Value::Number(0.0)),
                _ if self == Kind::Rate => Err("must be a number above 0".to_owned()),
                _ => Err("must be a number, not negative".to_owned()),
            },
            Kind::Time { zero } => match time(text) {
                Some(time) if zero || !time.is_zero() => Ok(Value::Time(time)),
                Some(_) => Err("must be more than 0".to_owned()),
                None => Err("must be a time such as 15secs, with one of the units ns, us, ms, \
                             secs, mins, hrs, days"
                    .to_owned()),
            },
            Kind::Data => data(text).map(Value::Data).ok_or_else(|| {
                "must be an amount of data such as 512KB, with one of the units BITS, Kb, Mb, Gb, \
                 BYTES, KB, MB, GB, TB, PB"
                    .to_owned()
            }),
            Kind::List => Ok(Value::List(list(text))),
            Kind::Endpoints => {
                let list = list(text);
                match list.iter().find(|item| !is_endpoint(item)) {
                    Some(item) => Err(format!("must be host:port, and {item:?} is not")),
                    None => Ok(Value::List(list)),
                }
            }
            Kind::Words(words) => {
                let list = list(text);
                match list.iter().find(|item| !words.contains(&item.as_str())) {
                    Some(item) => Err(format!("may have {}, but not {item:?}", words.join(", "))),
                    None => Ok(Value::List(list)),
                }
            }
            Kind::Word(words) if words.contains(&text) => Ok(own()),
            Kind::Word(words) => Err(format!("must be one of {}", words.join(", "))),
            Kind::Regex => match regex::Regex::new(text) {
                Ok(_) => Ok(own()),
                Err(error) => Err(format!("must be a regular expression: {error}")),
            },
            Kind::Readable => match std::fs::File::open(Path::new(text)) {
                Ok(_) => Ok(own()),
                Err(error) => Err(format!("must be a file that can be read: {error}")),
            },
            Kind::Node if is_node(text) => Ok(own()),
            Kind::Node => Err("must be an absolute path without empty parts".to_owned()),
            Kind::Ip => match text.parse::<std::net::IpAddr>() {
                Ok(_) => Ok(own()),
                Err(_) => Err("must be an IP address".to_owned()),
            },
        }
    }

    /// What it takes, for the usage text.
    pub fn sample(self) -> &'static str {
        match self {
            Kind::Text | Kind::Name => "TEXT",
            Kind::Bool => "true|false",
            Kind::Int(_) => "N",
            Kind::Rate | Kind::Amount => "NUMBER",
            Kind::Time { .. } => "TIME",
            Kind::Data => "SIZE",
            Kind::List => "A,B,…",
            Kind::Endpoints => "HOST:PORT,…",
            Kind::Words(_) => "WORD,…",
            Kind::Word(_) => "WORD",
            Kind::Regex => "REGEX",
            Kind::Readable => "FILE",
            Kind::Node => "/PATH",
            Kind::Ip => "ADDRESS",
        }
    }
}

/// Splits digits from the letters behind them.
fn amount(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}

fn time(text: &str) -> Option<Duration> {
    let (n, unit) = amount(text)?;
    let seconds = |factor| n.checked_mul(factor).map(Duration::from_secs);
    // Beyond what milliseconds since the epoch can be added to.
    let limit = Duration::from_secs(100 * 366 * 24 * 60 * 60);
    let time = match unit {
        "ns" => Duration::from_nanos(n),
        "us" => Duration::from_micros(n),
        "ms" => Duration::from_millis(n),
        "secs" => Duration::from_secs(n),
        "mins" => seconds(60)?,
        "hrs" => seconds(60 * 60)?,
        "days" => seconds(24 * 60 * 60)?,
        _ => return None,
    };
    (time <= limit).then_some(time)
}

fn data(text: &str) -> Option<u64> {
    let (n, unit) = amount(text)?;
    let bits = |shift: u32| n.checked_mul(1 << shift).map(|bits| bits / 8);
    let bytes = |shift: u32| n.checked_mul(1 << shift);
    match unit {
        "BITS" => bits(0),
        "Kb" => bits(10),
        "Mb" => bits(20),
        "Gb" => bits(30),
        "BYTES" => bytes(0),
        "KB" => bytes(10),
        "MB" => bytes(20),
        "GB" => bytes(30),
        "TB" => bytes(40),
        "PB" => bytes(50),
        _ => None,
    }
}

/// The items of a list. Empty ones at the end are left out, and `''` is an empty list.
fn list(text: &str) -> Vec<String> {
    let mut items: Vec<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
    while items.last().is_some_and(String::is_empty) {
        items.pop();
    }
    if items == ["''"] { Vec::new() } else { items }
}

/// `host:port`; an empty host is any address, and the port `*` is 0.
fn is_endpoint(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(_, port)| port == "*" || port.parse::<u16>().is_ok())
}

fn is_node(path: &str) -> bool {
    path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|p| !p.is_empty()))
}

/// Units of time, the longest first, with their nanoseconds.
const TIMES: [(&str, u128); 7] = [
    ("days", 24 * 60 * 60 * 1_000_000_000),
    ("hrs", 60 * 60 * 1_000_000_000),
    ("mins", 60 * 1_000_000_000),
    ("secs", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Units of data, the largest first, with their bytes.
const SIZES: [(&str, u128); 6] = [
    ("PB", 1 << 50),
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("KB", 1 << 10),
    ("BYTES", 1),
];

/// An amount in the largest unit in which it is whole; nothing in the unit that is given.
fn write_amount(
    f: &mut fmt::Formatter<'_>,
    amount: u128,
    units: &[(&str, u128)],
    none: &str,
) -> fmt::Result {
    match units.iter().find(|(_, size)| amount.is_multiple_of(*size)) {
        Some((unit, size)) if amount > 0 => write!(f, "{}{unit}", amount / size),
        _ => write!(f, "{amount}{none}"),
    }
}

/// As it can be given again.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Bool(value) => value.fmt(f),
            Value::Int(number) => number.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Time(time) => write_amount(f, time.as_nanos(), &TIMES, "secs"),
            Value::Data(bytes) => write_amount(f, u128::from(*bytes), &SIZES, "BYTES"),
            Value::List(items) => f.write_str(&items.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let ms = Duration::from_millis;
        for (text, time) in [
            ("1ns", Some(Duration::from_nanos(1))),
            ("2us", Some(Duration::from_micros(2))),
            ("3ms", Some(ms(3))),
            ("4secs", Some(ms(4000))),
            ("5mins", Some(ms(300_000))),
            ("6hrs", Some(ms(21_600_000))),
            ("21days", Some(ms(1_814_400_000))),
            ("0secs", Some(ms(0))),
            ("1min", None),
            ("1h", None),
            ("1s", None),
            ("1Secs", None),
            ("1 secs", None),
            ("secs", None),
            ("-1secs", None),
            ("1.5secs", None),
            ("", None),
            ("5", None),
            ("99999999999999999999secs", None),
            ("18446744073709551615days", None),
            ("1000000days", None),
        ] {
            assert_eq!(super::time(text), time, "{text}");
        }
        assert!(Kind::Time { zero: false }.parse("0secs").is_err());
    }

    #[test]
    fn amounts_of_data() {
        for (text, bytes) in [
            ("8BITS", Some(1)),
            ("8Kb", Some(1024)),
            ("1Mb", Some(1 << 17)),
            ("1Gb", Some(1 << 27)),
            ("7BYTES", Some(7)),
            ("512KB", Some(512 << 10)),
            ("128MB", Some(128 << 20)),
            ("1GB", Some(1 << 30)),
            ("1TB", Some(1 << 40)),
            ("1PB", Some(1 << 50)),
            ("1kb", None),
            ("1mb", None),
            ("99999999999PB", None),
        ] {
            assert_eq!(data(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_printed_can_be_given_again() {
        for (kind, text, printed) in [
            (Kind::Time { zero: true }, "0mins", "0secs"),
            (Kind::Time { zero: true }, "60secs", "1mins"),
            (Kind::Time { zero: true }, "90secs", "90secs"),
            (Kind::Time { zero: true }, "1500ms", "1500ms"),
            (Kind::Time { zero: true }, "48hrs", "2days"),
            (Kind::Data, "0GB", "0BYTES"),
            (Kind::Data, "128MB", "128MB"),
            (Kind::Data, "1025BYTES", "1025BYTES"),
            (Kind::Amount, "0.25", "0.25"),
            (Kind::List, "a, b,", "a,b"),
            (Kind::Bool, "TRUE", "true"),
        ] {
            let value = kind.parse(text).unwrap();
            assert_eq!(value.to_string(), printed, "{text}");
            assert_eq!(kind.parse(printed), Ok(value), "{text}");
        }
    }

    #[test]
    fn lists() {
        for (text, items) in [
            ("", &[][..]),
            ("''", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            ("a, b,,", &["a", "b"]),
            ("a, ,", &["a"]),
            (",", &[]),
            (",a", &["", "a"]),
        ] {
            assert_eq!(list(text), items, "{text:?}");
        }
    }

    #[test]
    fn checks() {
        for (kind, good, bad) in [
            (Kind::Name, &["x"][..], &[""][..]),
            (Kind::Bool, &["true", "FALSE"], &["", "1", "yes"]),
            (Kind::Int(1), &["1", "2147483647"], &["0", "x", "1.0", "2147483648"]),
            (Kind::Rate, &["0.5", "40"], &["0", "-1", "NaN", "inf"]),
            (Kind::Amount, &["0", "0.25"], &["-1", "inf"]),
            (Kind::Endpoints, &["a:1,b:2", ":80", "a:*"], &["a", "a:x", "a:1,b"]),
            (Kind::Words(&["CPU", "RANDOM"]), &["CPU,RANDOM", ""], &["cpu", "CPU,X"]),
            (Kind::Word(&["NONE"]), &["NONE"], &["none", ""]),
            (Kind::Regex, &["^a$"], &["("]),
            (Kind::Readable, &["/proc/self/stat"], &["/nonexistent"]),
            (Kind::Node, &["/", "/a/b"], &["a", "/a/", "//a"]),
            (Kind::Ip, &["127.0.0.1", "::1"], &["localhost"]),
        ] {
            for text in good {
                assert!(kind.parse(text).is_ok(), "{kind:?} {text}");
            }
            for text in bad {
                assert!(kind.parse(text).is_err(), "{kind:?} {text}");
            }
        }
    }
}
