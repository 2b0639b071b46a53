//! JSON text: tokens for the readers, escapes and base64 for both sides.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::wire::MAX_DEPTH;
use crate::{DecodeError, ErrorKind};

/// Reads JSON text token by token. Text need not be UTF-8 as a whole; each string must be.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    pos: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, pos: 0 }
    }

    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    pub(crate) fn left(&self) -> usize {
        self.text.len() - self.pos
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> DecodeError {
        DecodeError::new(ErrorKind::Invalid, self.pos, message)
    }

    /// The next byte that is not white space, without taking it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.pos) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.pos += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes `wanted` if it comes next.
    #[inline]
    pub(crate) fn accept(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.pos += 1;
        }
        found
    }

    #[inline]
    pub(crate) fn expect(&mut self, wanted: u8) -> Result<(), DecodeError> {
        if self.accept(wanted) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{}`", char::from(wanted))))
    }

    /// An error about what comes next.
    #[cold]
    pub(crate) fn unexpected(&mut self, wanted: &str) -> DecodeError {
        match self.peek() {
            None => DecodeError::new(
                ErrorKind::Truncated,
                self.pos,
                format!("expected {wanted}, found the end of the input"),
            ),
            Some(byte) => self.error(format!("expected {wanted}, found `{}`", byte.escape_ascii())),
        }
    }

    /// Checks that only white space is left.
    pub(crate) fn finish(&mut self) -> Result<(), DecodeError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("the end of the input")),
        }
    }

    /// A string. Control characters may stand unescaped, as some writers leave them.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        if !self.accept(b'"') {
            return Err(self.unexpected("a string"));
        }
        let first = self.plain()?;
        if self.text.get(self.pos) == Some(&b'"') {
            self.pos += 1;
            return Ok(Cow::Borrowed(first));
        }
        let mut text = first.to_owned();
        loop {
            match self.text.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.pos += 1;
                    let c = self.escape()?;
                    text.push(c);
                }
                Some(_) => text.push_str(self.plain()?),
                None => return Err(self.ended()),
            }
        }
    }

    fn ended(&self) -> DecodeError {
        DecodeError::new(ErrorKind::Truncated, self.pos, "the input ends inside a string")
    }

    /// Text up to the next quote or backslash, which must come.
    fn plain(&mut self) -> Result<&'a str, DecodeError> {
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let Some(len) = rest.iter().position(|b| matches!(b, b'"' | b'\\')) else {
            self.pos = self.text.len();
            return Err(self.ended());
        };
        let bytes = rest.get(..len).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                self.pos += len;
                Ok(text)
            }
            Err(e) => Err(DecodeError::new(
                ErrorKind::Invalid,
                self.pos + e.valid_up_to(),
                "a string holds bytes that are not UTF-8",
            )),
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, DecodeError> {
        let Some(&byte) = self.text.get(self.pos) else {
            return Err(self.ended());
        };
        self.pos += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let start = self.pos - 2;
                let first = self.hex4()?;
                let code = match first {
                    // Half of a surrogate pair: the other half must follow.
                    0xd800..0xdc00 if self.text.get(self.pos..self.pos + 2) == Some(b"\\u") => {
                        self.pos += 2;
                        match self.hex4()? {
                            second @ 0xdc00..0xe000 => {
                                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                            }
                            _ => first,
                        }
                    }
                    _ => first,
                };
                char::from_u32(code).ok_or_else(|| {
                    DecodeError::new(
                        ErrorKind::Invalid,
                        start,
                        format!("\\u{first:04x} is half of a surrogate pair without the other"),
                    )
                })?
            }
            other => {
                return Err(DecodeError::new(
                    ErrorKind::Invalid,
                    self.pos - 1,
                    format!("`\\{}` is no escape", other.escape_ascii()),
                ));
            }
        })
    }

    fn hex4(&mut self) -> Result<u32, DecodeError> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(&byte) = self.text.get(self.pos) else {
                return Err(self.ended());
            };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(self.error("expected four hexadecimal digits after `\\u`"));
            };
            code = code * 16 + digit;
            self.pos += 1;
        }
        Ok(code)
    }

    /// A bare word or number, or the content of a string: keys are always quoted, and some writers
    /// quote other numbers too.
    fn word(&mut self, wanted: &str) -> Result<Cow<'a, str>, DecodeError> {
        if self.peek() == Some(b'"') {
            return self.string();
        }
        let rest = self.text.get(self.pos..).unwrap_or_default();
        let len = rest
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        match rest.get(..len).map(std::str::from_utf8) {
            Some(Ok(word)) if !word.is_empty() => {
                self.pos += len;
                Ok(Cow::Borrowed(word))
            }
            _ => Err(self.unexpected(wanted)),
        }
    }

    fn bad_word(&self, start: usize, wanted: &str, word: &str) -> DecodeError {
        let shown: String = word.chars().take(40).collect();
        DecodeError::new(
            ErrorKind::Invalid,
            start,
            format!("expected {wanted}, found `{}`", shown.escape_debug()),
        )
    }

    /// An integer, quoted or not.
    pub(crate) fn integer<T: TryFrom<i64>>(&mut self, wanted: &str) -> Result<T, DecodeError> {
        self.peek();
        let start = self.pos;
        let word = self.word(wanted)?;
        let value = word.parse::<i64>().ok().and_then(|v| T::try_from(v).ok());
        value.ok_or_else(|| self.bad_word(start, wanted, &word))
    }

    /// A double, quoted or not, in any of the spellings of infinities and NaN that peers use.
    pub(crate) fn double(&mut self) -> Result<f64, DecodeError> {
        self.peek();
        let start = self.pos;
        let word = self.word("a double")?;
        word.parse::<f64>().map_err(|_| self.bad_word(start, "a double", &word))
    }

    /// A bool: `true` and `false`, or the 1 and 0 of TJSON.
    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        self.peek();
        let start = self.pos;
        let word = self.word("a bool")?;
        match &*word {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => Err(self.bad_word(start, "a bool", &word)),
        }
    }

    /// Takes `null` if it comes next.
    pub(crate) fn null(&mut self) -> bool {
        self.peek();
        let found = self.text.get(self.pos..).is_some_and(|rest| rest.starts_with(b"null"));
        if found {
            self.pos += 4;
        }
        found
    }

    /// Base64 with or without padding.
    pub(crate) fn base64(&mut self) -> Result<Vec<u8>, DecodeError> {
        self.peek();
        let start = self.pos;
        let text = self.string()?;
        from_base64(&text).ok_or_else(|| {
            DecodeError::new(ErrorKind::Invalid, start, "expected base64, found other text")
        })
    }

    /// Passes over one value of plain JSON.
    pub(crate) fn skip(&mut self, depth: usize) -> Result<(), DecodeError> {
        let (close, is_object) = match self.peek() {
            Some(b'{') => (b'}', true),
            Some(b'[') => (b']', false),
            _ => return self.word("a value").map(|_| ()),
        };
        let mut depth = depth;
        crate::wire::deeper(&mut depth, self.pos)?;
        self.pos += 1;
        if self.accept(close) {
            return Ok(());
        }
        loop {
            if is_object {
                self.string()?;
                self.expect(b':')?;
            }
            self.skip(depth)?;
            if self.accept(close) {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }
}

// `skip` recurses once per level.
const _: () = assert!(MAX_DEPTH <= 256);

/// Writes a quoted string.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(text.get(plain..at).unwrap_or_default());
        if escape.is_empty() {
            _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        plain = at + 1;
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

/// Writes an integer.
pub(crate) fn write_integer(out: &mut String, value: i64) {
    _ = write!(out, "{value}");
}

/// Writes a finite double so that it reads as the same one, and the others in quotes.
pub(crate) fn write_double(out: &mut String, value: f64) {
    if value.is_finite() {
        _ = write!(out, "{value:?}");
    } else {
        out.push_str(if value.is_nan() {
            "\"NaN\""
        } else if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes quoted base64 with padding.
pub(crate) fn write_base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i > chunk.len() {
                out.push('=');
            } else {
                let digit = group >> (18 - 6 * i) & 63;
                out.push(char::from(ALPHABET.get(digit as usize).copied().unwrap_or(b'A')));
            }
        }
    }
    out.push('"');
}

/// The bytes of base64 text, or `None` if it is not that.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut group = 0_u32;
        for digit in chunk {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            group = group << 6 | u32::from(value);
        }
        group <<= 6 * (4 - chunk.len());
        let [_, three @ ..] = group.to_be_bytes();
        bytes.extend_from_slice(three.get(..chunk.len() - 1).unwrap_or_default());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_every_length() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for len in 0..bytes.len() {
            let mut text = String::new();
            write_base64(&mut text, &bytes[..len]);
            assert_eq!(text.len() - 2, len.div_ceil(3) * 4);
            assert_eq!(Lexer::new(text.as_bytes()).base64().unwrap(), &bytes[..len]);
            let bare = format!("\"{}\"", text.trim_matches('"').trim_end_matches('='));
            assert_eq!(Lexer::new(bare.as_bytes()).base64().unwrap(), &bytes[..len]);
        }
        for bad in ["A", "AAAAA", "A===", "A-", "é", "AA=A", "===="] {
            assert_eq!(from_base64(bad), None, "{bad}");
        }
    }

    #[test]
    fn strings_are_read_in_every_spelling() {
        for (text, expected) in [
            (r#""""#, ""),
            (r#""a\u0001\b\f\n\r\t\/\\\"é""#, "a\u{1}\u{8}\u{c}\n\r\t/\\\"é"),
            (r#""\ud83d\ude00 \u00e9""#, "\u{1f600} é"),
            ("\"\u{1}\t\u{1f600}\"", "\u{1}\t\u{1f600}"),
        ] {
            assert_eq!(Lexer::new(text.as_bytes()).string().unwrap(), expected);
        }
        for (text, expected) in [
            (&b"\"a"[..], "byte 2: the input ends inside a string"),
            (b"\"\\", "byte 2: the input ends inside a string"),
            (b"\"\\u12", "byte 5: the input ends inside a string"),
            (b"\"\\u12g4\"", "byte 5: expected four hexadecimal digits after `\\u`"),
            (b"\"\\q\"", "byte 2: `\\q` is no escape"),
            (b"\"\\ud83d\"", "byte 1: \\ud83d is half of a surrogate pair without the other"),
            (
                b"\"\\ud83d\\u0041\"",
                "byte 1: \\ud83d is half of a surrogate pair without the other",
            ),
            (b"\"ab\xff\"", "byte 3: a string holds bytes that are not UTF-8"),
            (b" 7", "byte 1: expected a string, found `7`"),
        ] {
            assert_eq!(Lexer::new(text).string().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn strings_are_written_with_escapes() {
        let mut out = String::new();
        write_string(&mut out, "a\"\\/\n\r\t\u{1}\u{1f}\u{7f}é\u{1f600}");
        assert_eq!(out, "\"a\\\"\\\\/\\n\\r\\t\\u0001\\u001f\u{7f}é\u{1f600}\"");
    }

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for (text, expected) in [
            ("inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("\"Infinity\"", f64::INFINITY),
            ("\"-Infinity\"", f64::NEG_INFINITY),
            ("1", 1.0),
            ("\"2.5\"", 2.5),
            ("1.0000000000000001e+300", 1e300),
            ("-0", -0.0),
        ] {
            let found = Lexer::new(text.as_bytes()).double().unwrap();
            assert_eq!(found.to_bits(), expected.to_bits(), "{text}");
        }
        assert!(Lexer::new(b"nan").double().unwrap().is_nan());
        assert!(Lexer::new(b"\"NaN\"").double().unwrap().is_nan());
        assert_eq!(Lexer::new(b"\"-7\"").integer::<i8>("an i8").unwrap(), -7);
        let error = Lexer::new(b" 300,").integer::<i8>("an i8").unwrap_err();
        assert_eq!(error.to_string(), "byte 1: expected an i8, found `300`");
        let error = Lexer::new(b"1.5").integer::<i32>("an i32").unwrap_err();
        assert_eq!(error.to_string(), "byte 0: expected an i32, found `1.5`");
    }

    #[test]
    fn doubles_are_written_shortest() {
        for (value, expected) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1e300, "1e300"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            let mut out = String::new();
            write_double(&mut out, value);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn skipping_is_bounded() {
        let mut lexer = Lexer::new(br#" {"a":[1,{"b":null},"x\"]"],"c":{}} 5"#);
        lexer.skip(0).unwrap();
        assert_eq!(lexer.peek(), Some(b'5'));
        let deep = "[".repeat(100_000);
        assert_eq!(Lexer::new(deep.as_bytes()).skip(0).unwrap_err().kind(), ErrorKind::Limit);
    }
}
