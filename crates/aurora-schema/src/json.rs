//! JSON in and out, with the dialect of Python's `json` module, which wrote and read these
//! documents before: `NaN` and `Infinity` are numbers, integers have any size, the last of
//! repeated keys counts, and output is ASCII with `", "` and `": "` between parts.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::number::{self, Integer};

/// Arrays and objects may be nested this deep; deeper input is refused.
pub const MAX_DEPTH: usize = 100;

/// A JSON document.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction and exponent.
    Integer(Integer),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(Arc<str>),
    /// An array.
    Array(Vec<Json>),
    /// An object's members in the order written. A name that occurs again replaces the earlier
    /// member's value when the object is used.
    Object(Vec<(Arc<str>, Json)>),
}

impl Json {
    /// What it is, with an article and shortened content, for error messages.
    pub(crate) fn describe(&self) -> String {
        match self {
            Json::Null => "null".to_owned(),
            Json::Bool(value) => value.to_string(),
            Json::Integer(Integer::Big(_)) => "a very large number".to_owned(),
            Json::Integer(value) => value.to_string(),
            Json::Float(value) => number::float_exact(*value),
            Json::Text(text) => crate::error::quoted(text),
            Json::Array(_) => "a list".to_owned(),
            Json::Object(_) => "an object".to_owned(),
        }
    }
}

/// Where and why a text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Reads one JSON document in UTF-8. Work and memory are linear in its size.
///
/// Strings with one half of a surrogate pair have no UTF-8 form and are refused.
pub fn parse(source: &[u8]) -> Result<Json, SyntaxError> {
    let text = match std::str::from_utf8(source) {
        Ok(text) => text,
        Err(error) => {
            return Err(locate(source, error.valid_up_to(), "this byte is not UTF-8 text"));
        }
    };
    let mut parser = Parser { text, bytes: source, at: 0 };
    parser.document().map_err(|failure| locate(source, failure.at, failure.message))
}

/// A failure by byte offset, before it is turned into line and column.
struct Failure {
    at: usize,
    message: String,
}

fn locate(source: &[u8], at: usize, message: impl Into<String>) -> SyntaxError {
    let before = &source[..at.min(source.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
    // Continuation bytes (10xxxxxx) do not start a character.
    let column = before[line_start..].iter().filter(|b| **b & 0xC0 != 0x80).count() + 1;
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    SyntaxError { line, column, message: message.into() }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn document(&mut self) -> Result<Json, Failure> {
        if self.text.starts_with('\u{feff}') {
            return self.fail("a byte order mark is not JSON; save the file without it");
        }
        self.blanks();
        let document = self.value(0)?;
        self.blanks();
        if self.at < self.bytes.len() {
            return self.unexpected("the end of the document");
        }
        Ok(document)
    }

    fn value(&mut self, depth: usize) -> Result<Json, Failure> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'N') => self.word("NaN", Json::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Json::Float(f64::INFINITY)),
            _ => self.unexpected("a value"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, Failure> {
        self.enter(depth)?;
        let mut members = Vec::new();
        self.blanks();
        if self.eat(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.unexpected("a member name in double quotes");
            }
            let name = self.string()?;
            self.blanks();
            if !self.eat(b':') {
                return self.unexpected("\":\"");
            }
            self.blanks();
            let value = self.value(depth + 1)?;
            members.push((name, value));
            self.blanks();
            if self.eat(b'}') {
                members.shrink_to_fit();
                return Ok(Json::Object(members));
            }
            if !self.eat(b',') {
                return self.unexpected("\",\" or \"}\"");
            }
            self.blanks();
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, Failure> {
        self.enter(depth)?;
        let mut elements = Vec::new();
        self.blanks();
        if self.eat(b']') {
            return Ok(Json::Array(elements));
        }
        loop {
            elements.push(self.value(depth + 1)?);
            self.blanks();
            if self.eat(b']') {
                elements.shrink_to_fit();
                return Ok(Json::Array(elements));
            }
            if !self.eat(b',') {
                return self.unexpected("\",\" or \"]\"");
            }
            self.blanks();
        }
    }

    fn string(&mut self) -> Result<Arc<str>, Failure> {
        self.at += 1;
        let start = self.at;
        self.plain_run();
        if self.peek() == Some(b'"') {
            let text = Arc::from(&self.text[start..self.at]);
            self.at += 1;
            return Ok(text);
        }
        let mut out = String::from(&self.text[start..self.at]);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Arc::from(out));
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => {
                    return self.fail("a control character in a string must be written \\u00XX");
                }
                None => return self.fail("the document ends inside a string"),
            }
            let start = self.at;
            self.plain_run();
            out.push_str(&self.text[start..self.at]);
        }
    }

    /// Moves over the characters of a string that stand for themselves.
    fn plain_run(&mut self) {
        let rest = &self.bytes[self.at..];
        let run = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1F));
        self.at += run.unwrap_or(rest.len());
    }

    fn escape(&mut self) -> Result<char, Failure> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.peek() else {
            return self.fail("the document ends inside a string");
        };
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(start),
            _ => {
                self.at = start;
                return self.fail("unknown escape in a string");
            }
        })
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, Failure> {
        let first = self.four_digits()?;
        let code = match first {
            0xD800..=0xDBFF if self.bytes[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                let second = self.four_digits()?;
                if (0xDC00..=0xDFFF).contains(&second) {
                    0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                } else {
                    first
                }
            }
            other => other,
        };
        char::from_u32(code).ok_or_else(|| Failure {
            at: start,
            message: "half of a surrogate pair stands for no character".to_owned(),
        })
    }

    fn four_digits(&mut self) -> Result<u32, Failure> {
        let digits = self.bytes.get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() < 4 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return self.fail("expected four hexadecimal digits after \\u");
        }
        let code =
            digits.iter().fold(0, |code, d| code * 16 + char::from(*d).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Result<Json, Failure> {
        let start = self.at;
        self.eat(b'-');
        if self.peek() == Some(b'I') {
            return self.word("Infinity", Json::Float(f64::NEG_INFINITY));
        }
        if self.eat(b'0') {
            if self.peek().is_some_and(|b| b.is_ascii_digit()) {
                return self.fail("a number may not start with 0");
            }
        } else {
            self.digits()?;
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            whole = false;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        let number = if whole {
            Integer::parse(text).map(Json::Integer)
        } else {
            text.parse().ok().map(Json::Float)
        };
        number.ok_or_else(|| Failure { at: start, message: "this number is too long".to_owned() })
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let rest = &self.bytes[self.at..];
        let run = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        if run == 0 {
            return self.unexpected("a digit");
        }
        self.at += run;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, Failure> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.unexpected("a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn enter(&mut self, depth: usize) -> Result<(), Failure> {
        if depth >= MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        self.at += 1;
        Ok(())
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T, Failure> {
        let found = match self.text[self.at..].chars().next() {
            None => "the end of the document".to_owned(),
            Some('"') => "a string".to_owned(),
            Some(c) => crate::error::quoted(c.encode_utf8(&mut [0; 4])),
        };
        self.fail(format!("expected {expected}, found {found}"))
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Failure> {
        Err(Failure { at: self.at, message: message.into() })
    }
}

/// Appends a JSON document piece by piece: one line, ASCII, `", "` and `": "` between parts.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
    /// Whether the innermost open array or object already has a part.
    started: bool,
}

impl Writer {
    /// An empty document.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Opens an object.
    pub fn begin_object(&mut self) {
        self.separate();
        self.out.push('{');
        self.started = false;
    }

    /// Closes the innermost object.
    pub fn end_object(&mut self) {
        self.out.push('}');
        self.started = true;
    }

    /// Opens an array.
    pub fn begin_array(&mut self) {
        self.separate();
        self.out.push('[');
        self.started = false;
    }

    /// Closes the innermost array.
    pub fn end_array(&mut self) {
        self.out.push(']');
        self.started = true;
    }

    /// Writes a member's name; its value comes next.
    pub fn name(&mut self, name: &str) {
        self.separate();
        self.quote(name);
        self.out.push_str(": ");
        self.started = false;
    }

    /// Writes a string.
    pub fn text(&mut self, text: &str) {
        self.separate();
        self.quote(text);
        self.started = true;
    }

    /// Writes a 64-bit number.
    pub fn integer(&mut self, integer: i64) {
        self.raw(format_args!("{integer}"));
    }

    /// Writes a whole number of any size.
    pub fn whole(&mut self, integer: &Integer) {
        self.raw(format_args!("{integer}"));
    }

    /// Writes a float with its shortest exact digits, `1.0` for one.
    pub fn float(&mut self, float: f64) {
        self.raw(format_args!("{}", number::float_exact(float)));
    }

    /// Writes `true` or `false`.
    pub fn boolean(&mut self, boolean: bool) {
        self.raw(format_args!("{boolean}"));
    }

    /// Writes `null`.
    pub fn null(&mut self) {
        self.raw(format_args!("null"));
    }

    /// The document.
    pub fn finish(self) -> String {
        self.out
    }

    fn raw(&mut self, text: fmt::Arguments<'_>) {
        self.separate();
        let _ = self.out.write_fmt(text);
        self.started = true;
    }

    fn separate(&mut self) {
        if self.started {
            self.out.push_str(", ");
        }
    }

    fn quote(&mut self, text: &str) {
        self.out.push('"');
        let mut plain = 0;
        for (at, c) in text.char_indices() {
            if matches!(c, ' '..='~') && c != '"' && c != '\\' {
                continue;
            }
            self.out.push_str(&text[plain..at]);
            plain = at + c.len_utf8();
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
            }
        }
        self.out.push_str(&text[plain..]);
        self.out.push('"');
    }
}

/// Whether two documents say the same, as Python compares parsed JSON: objects regardless of
/// member order (the last of repeated names counts), numbers by value (`1` equals `1.0` and
/// `true`). Work is linear in the sizes, apart from sorting the members of each object.
pub fn same_value(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Null, Json::Null) => true,
        (Json::Text(a), Json::Text(b)) => a == b,
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            let (a, b) = (sorted_members(a), sorted_members(b));
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same_value(a.1, b.1))
        }
        _ => match (Number::of(a), Number::of(b)) {
            (Some(a), Some(b)) => a.same(&b),
            _ => false,
        },
    }
}

fn sorted_members(members: &[(Arc<str>, Json)]) -> Vec<(&str, &Json)> {
    let mut sorted: Vec<(&str, &Json)> = members.iter().map(|(k, v)| (&**k, v)).collect();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    sorted.reverse();
    // The sort is stable, so after reversing the last written of equal names comes first.
    sorted.dedup_by(|later, kept| later.0 == kept.0);
    sorted
}

enum Number {
    Whole(Integer),
    Float(f64),
}

impl Number {
    fn of(json: &Json) -> Option<Number> {
        match json {
            Json::Bool(value) => Some(Number::Whole(Integer::Small(i64::from(*value)))),
            Json::Integer(value) => Some(Number::Whole(value.clone())),
            Json::Float(value) if value.fract() == 0.0 => {
                Integer::truncate(*value).map(Number::Whole)
            }
            Json::Float(value) => Some(Number::Float(*value)),
            _ => None,
        }
    }

    fn same(&self, other: &Number) -> bool {
        match (self, other) {
            (Number::Whole(a), Number::Whole(b)) => a == b,
            (Number::Float(a), Number::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Json {
        Json::Text(text.into())
    }

    fn int(n: i64) -> Json {
        Json::Integer(Integer::Small(n))
    }

    #[test]
    fn reads_what_python_reads() {
        for (source, expected) in [
            (
                " [1, -0, 2.5, 1e3] ",
                Json::Array(vec![int(1), int(0), Json::Float(2.5), Json::Float(1e3)]),
            ),
            ("\"\\u00e9\\ud83d\\ude00\\n\\/\"", text("é😀\n/")),
            ("-Infinity", Json::Float(f64::NEG_INFINITY)),
            ("1e999", Json::Float(f64::INFINITY)),
            ("100000000000000000000", Json::Integer(Integer::Big("100000000000000000000".into()))),
            (
                "{\"a\": null, \"b\": true}",
                Json::Object(vec![("a".into(), Json::Null), ("b".into(), Json::Bool(true))]),
            ),
        ] {
            assert_eq!(parse(source.as_bytes()), Ok(expected), "{source}");
        }
    }

    #[test]
    fn says_where_it_fails() {
        for (source, place, words) in [
            ("", (1, 1), "end of the document"),
            ("{\"name\": \"x\", \"processes\": [\n", (2, 1), "expected a value"),
            ("{\n \"é\" 1}", (2, 6), "\":\""),
            ("[1 2]", (1, 4), "\",\" or \"]\""),
            ("{a: 1}", (1, 2), "member name"),
            ("[1,]", (1, 4), "expected a value"),
            ("01", (1, 2), "start with 0"),
            ("1.", (1, 3), "a digit"),
            ("-", (1, 2), "a digit"),
            ("\"\\x\"", (1, 2), "escape"),
            ("\"\\ud800\"", (1, 2), "surrogate"),
            ("\"\\ud800\\u0041\"", (1, 2), "surrogate"),
            ("\"\\u12\"", (1, 4), "hexadecimal"),
            ("\"a\nb\"", (1, 3), "control character"),
            ("\"abc", (1, 5), "ends inside a string"),
            ("tru", (1, 1), "expected a value"),
            ("1 1", (1, 3), "end of the document"),
            ("\u{feff}1", (1, 1), "byte order mark"),
        ] {
            let error = parse(source.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.column), place, "{source:?}: {error}");
            assert!(error.message.contains(words), "{source:?}: {error}");
        }
        let error = parse(b"[\"\xff\"]").unwrap_err();
        assert_eq!((error.line, error.column), (1, 3));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        assert!(parse("{\"a\":".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn compares_by_value() {
        let same = |a: &str, b: &str| {
            same_value(&parse(a.as_bytes()).unwrap(), &parse(b.as_bytes()).unwrap())
        };
        assert!(same("{\"a\": 1, \"b\": [2.5]}", "{\"b\":[2.5],\"a\":1.0}"));
        assert!(same("true", "1"));
        assert!(same("{\"a\": 1, \"a\": 2}", "{\"a\": 2}"));
        assert!(same("1e20", "100000000000000000000"));
        assert!(same("-0.0", "0"));
        assert!(!same("{\"a\": 1}", "{\"a\": 1, \"b\": 2}"));
        assert!(!same("[1, 2]", "[2, 1]"));
        assert!(!same("\"1\"", "1"));
        assert!(!same("null", "0"));
        assert!(!same("9007199254740993", "9007199254740992.0"));
    }

    fn write(json: &serde_json::Value, out: &mut Writer) {
        use serde_json::Value;
        match json {
            Value::Null => out.null(),
            Value::Bool(b) => out.boolean(*b),
            Value::Number(n) => match n.as_i64() {
                Some(i) => out.integer(i),
                None => out.float(n.as_f64().unwrap()),
            },
            Value::String(s) => out.text(s),
            Value::Array(items) => {
                out.begin_array();
                items.iter().for_each(|item| write(item, out));
                out.end_array();
            }
            Value::Object(members) => {
                out.begin_object();
                for (name, value) in members {
                    out.name(name);
                    write(value, out);
                }
                out.end_object();
            }
        }
    }

    fn document() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            // The other parser reads only short fractions exactly.
            any::<i16>().prop_map(|n| (f64::from(n) / 4.0).into()),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// An independent parser reads back what we write, and we read it as the same value.
        #[test]
        fn agrees_with_another_implementation(json in document()) {
            let mut writer = Writer::new();
            write(&json, &mut writer);
            let ours = writer.finish();
            prop_assert!(ours.is_ascii());
            let theirs: serde_json::Value = serde_json::from_str(&ours).unwrap();
            prop_assert_eq!(&theirs, &json);
            let a = parse(ours.as_bytes()).unwrap();
            let b = parse(serde_json::to_string_pretty(&json).unwrap().as_bytes()).unwrap();
            prop_assert!(same_value(&a, &b));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn arbitrary_json_like_text_never_panics(text in "[\\[\\]{}\",:0-9a-fu\\\\eE+. -]{0,80}") {
            let ours = parse(text.as_bytes());
            let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
            // Ours takes all of theirs (and big numbers besides).
            if theirs.is_ok() {
                prop_assert!(ours.is_ok(), "{:?}", ours);
            }
        }
    }
}
