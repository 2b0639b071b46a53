//! Numbers as the configuration language knows them: unbounded integers, floats, and the text
//! forms that Python gives them.
//!
//! Source of behaviour: Aurora configuration reference, "What each scalar accepts".

use std::fmt::Write as _;

/// The significant digits of a float's text form when it is put into a template.
const TEXT_DIGITS: usize = 12;

/// Whole numbers up to this many decimal digits are accepted; longer ones are refused rather than
/// carried around.
const MAX_INTEGER_DIGITS: usize = 4_300;

/// A whole number of any size: what fits an `i64`, or else its canonical decimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integer {
    /// Fits 64 bits.
    Small(i64),
    /// Does not fit: sign and digits without leading zeros.
    Big(Box<str>),
}

impl Integer {
    /// Reads a decimal integer as Python 2's `int(text)` does: blanks around it and a sign are
    /// allowed; underscores, prefixes, fractions and the empty text are not.
    pub fn parse(text: &str) -> Option<Integer> {
        let text = text.trim();
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = digits.trim_start_matches('0');
        if digits.len() > MAX_INTEGER_DIGITS {
            return None;
        }
        if digits.is_empty() {
            return Some(Integer::Small(0));
        }
        let canonical = if negative { format!("-{digits}") } else { digits.to_owned() };
        Some(match canonical.parse::<i64>() {
            Ok(small) => Integer::Small(small),
            Err(_) => Integer::Big(canonical.into_boxed_str()),
        })
    }

    /// The float without its fraction; `None` for infinities and NaN.
    pub fn truncate(float: f64) -> Option<Integer> {
        if !float.is_finite() {
            return None;
        }
        let whole = float.trunc();
        // Both bounds are exact powers of two, so the comparison loses nothing.
        if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) {
            return Some(Integer::Small(whole as i64));
        }
        Some(Integer::Big(format!("{whole:.0}").into_boxed_str()))
    }

    /// The nearest float.
    pub fn to_f64(&self) -> f64 {
        match self {
            Integer::Small(small) => *small as f64,
            Integer::Big(digits) => digits.parse().unwrap_or(f64::NAN),
        }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        *self == Integer::Small(0)
    }
}

impl std::fmt::Display for Integer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Integer::Small(small) => write!(f, "{small}"),
            Integer::Big(digits) => f.write_str(digits),
        }
    }
}

/// Reads a float as Python's `float(text)` does: blanks around it are allowed, `nan`, `inf` and
/// `infinity` are known in any case, `1,5` is refused.
pub fn parse_float(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// The exact form of a float, used in JSON: the shortest digits that read back as the same value,
/// always with a point or an exponent (`1.0`, `0.1`, `1e+20`); `NaN`, `Infinity`, `-Infinity`.
pub fn float_exact(float: f64) -> String {
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    layout(&format!("{float:e}"), 16)
}

/// The form of a float inside text: at most 12 significant digits (`0.333333333333`, `1e+15`).
pub fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    layout(&format!("{float:.*e}", TEXT_DIGITS - 1), TEXT_DIGITS as i32)
}

/// Turns `d.ddde±x` into Python's layout: plain digits while the exponent is in -4..`limit`.
fn layout(scientific: &str, limit: i32) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let mut digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let kept = digits.trim_end_matches('0').len().max(1);
    digits.truncate(kept);
    let mut out = String::from(sign);
    if exponent < -4 || exponent >= limit {
        out.push_str(&digits[..1]);
        if digits.len() > 1 {
            out.push('.');
            out.push_str(&digits[1..]);
        }
        let direction = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{direction}{:02}", exponent.unsigned_abs());
    } else if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&digits);
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.push_str(&digits);
            out.extend(std::iter::repeat_n('0', whole - digits.len()));
            out.push_str(".0");
        } else {
            out.push_str(&digits[..whole]);
            out.push('.');
            out.push_str(&digits[whole..]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_read_like_python() {
        let small = |n| Some(Integer::Small(n));
        for (text, expected) in [
            ("5", small(5)),
            (" +5\n", small(5)),
            ("-5", small(-5)),
            ("010", small(10)),
            ("-0", small(0)),
            ("9223372036854775808", Some(Integer::Big("9223372036854775808".into()))),
            ("-9223372036854775808", small(i64::MIN)),
            ("", None),
            ("5.0", None),
            ("0x10", None),
            ("1_000", None),
            ("- 5", None),
            ("--5", None),
        ] {
            assert_eq!(Integer::parse(text), expected, "{text:?}");
        }
        assert_eq!(Integer::parse(&"9".repeat(5_000)), None);
    }

    #[test]
    fn floats_are_truncated_towards_zero() {
        assert_eq!(Integer::truncate(5.9), Some(Integer::Small(5)));
        assert_eq!(Integer::truncate(-5.9), Some(Integer::Small(-5)));
        assert_eq!(Integer::truncate(1e20), Some(Integer::Big("100000000000000000000".into())));
        assert_eq!(Integer::truncate(f64::INFINITY), None);
        assert_eq!(Integer::truncate(f64::NAN), None);
    }

    #[test]
    fn floats_are_written_like_python() {
        for (float, exact, text) in [
            (1.0, "1.0", "1.0"),
            (0.1, "0.1", "0.1"),
            (-0.5, "-0.5", "-0.5"),
            (0.0, "0.0", "0.0"),
            (-0.0, "-0.0", "-0.0"),
            (1.0 / 3.0, "0.3333333333333333", "0.333333333333"),
            (0.1 + 0.2, "0.30000000000000004", "0.3"),
            (1e15, "1000000000000000.0", "1e+15"),
            (1e16, "1e+16", "1e+16"),
            (1e20, "1e+20", "1e+20"),
            (1e-7, "1e-07", "1e-07"),
            (1.5e-5, "1.5e-05", "1.5e-05"),
            (0.0001, "0.0001", "0.0001"),
            (123456789012345678.0, "1.2345678901234568e+17", "1.23456789012e+17"),
            (1e300, "1e+300", "1e+300"),
            (100.0, "100.0", "100.0"),
            (123.456, "123.456", "123.456"),
            (999999999999.9, "999999999999.9", "1e+12"),
        ] {
            assert_eq!(float_exact(float), exact);
            assert_eq!(float_text(float), text);
        }
        assert_eq!(float_exact(f64::NAN), "NaN");
        assert_eq!(float_exact(f64::NEG_INFINITY), "-Infinity");
        assert_eq!(float_text(f64::NEG_INFINITY), "-inf");
    }

    proptest::proptest! {
        #[test]
        fn exact_floats_read_back(float in proptest::num::f64::ANY) {
            let back = parse_float(&float_exact(float)).unwrap();
            proptest::prop_assert!(back == float || (back.is_nan() && float.is_nan()));
        }

        #[test]
        fn integers_read_back(n: i64) {
            proptest::prop_assert_eq!(Integer::parse(&n.to_string()), Some(Integer::Small(n)));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,20}") {
            let _ = (Integer::parse(&text), parse_float(&text));
        }
    }
}
