//! Standard output, and text that is safe to put there.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};

use crate::failure::Failure;

/// Writes to standard output at once.
///
/// Somebody who does not want to read on (`thermos status | head`) is no reason to fail.
pub(crate) fn emit(text: &str) -> Result<(), Failure> {
    write(text.as_bytes()).map(drop).map_err(|error| Failure::system("write the output", error))
}

/// Writes bytes to standard output at once; false if nobody reads it any more.
pub(crate) fn write(bytes: &[u8]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says something on standard error.
pub(crate) fn warn(message: &str) {
    warn_plain(&format!("thermos: {message}"));
}

/// The same, without saying who says it.
pub(crate) fn warn_plain(message: &str) {
    // Nothing can be done about a standard error that is gone.
    let _ = writeln!(io::stderr(), "{message}");
}

/// A name or path on one line, without anything that a terminal would obey: ids, names and paths
/// come from files that others may have written.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(
            text.chars()
                .map(
                    |c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() },
                )
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// A word as a shell reads it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.chars().any(char::is_control) {
        let escaped = word.replace('\\', "\\\\").replace('\'', "\\'");
        let escaped: String = escaped
            .chars()
            .map(|c| match c {
                c if c.is_ascii_control() => format!("\\x{:02x}", u32::from(c)),
                c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            })
            .collect();
        format!("$'{escaped}'")
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Makes a log harmless for a terminal, piece by piece.
///
/// Tabs and line ends stay; other control characters are shown as `^X`, bytes that are no text as
/// `\xNN`. A character that is split between two pieces is kept until its rest arrives.
#[derive(Debug, Default)]
pub(crate) struct Sanitizer {
    pending: Vec<u8>,
}

impl Sanitizer {
    /// The harmless form of what came next.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut out = String::with_capacity(self.pending.len());
        let mut rest: &[u8] = &self.pending;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    harmless(text, &mut out);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (text, tail) = rest.split_at(error.valid_up_to());
                    harmless(std::str::from_utf8(text).unwrap_or_default(), &mut out);
                    rest = tail;
                    let Some(bad) = error.error_len() else { break };
                    for byte in &tail[..bad] {
                        out.push_str(&format!("\\x{byte:02x}"));
                    }
                    rest = &tail[bad..];
                }
            }
        }
        let kept = rest.len();
        self.pending.drain(..self.pending.len() - kept);
        out
    }

    /// What was kept, when nothing follows.
    pub(crate) fn finish(&mut self) -> String {
        self.pending.drain(..).map(|byte| format!("\\x{byte:02x}")).collect()
    }
}

fn harmless(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\t' | '\n' => out.push(c),
            '\x7f' => out.push_str("^?"),
            c if c.is_ascii_control() => {
                out.push('^');
                out.push(char::from(c as u8 + b'@'));
            }
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_one_line() {
        assert_eq!(shown("with space %"), "with space %");
        assert_eq!(shown("a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown("ü"), "ü");
    }

    #[test]
    fn words_for_a_shell() {
        for (word, expected) in [
            ("demo-2026.1", "demo-2026.1"),
            ("", "''"),
            ("with space", "'with space'"),
            ("it's", "'it'\\''s'"),
            ("a\nb'c", "$'a\\x0ab\\'c'"),
            ("50%", "50%"),
            ("$HOME", "'$HOME'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    #[test]
    fn logs_are_harmless() {
        let mut sanitizer = Sanitizer::default();
        assert_eq!(sanitizer.push(b"a\tb\n\x1b]0;x\x07\r\n\x7f"), "a\tb\n^[]0;x^G^M\n^?");
        assert_eq!(sanitizer.push(b"\xff\xc2\x9b31m"), "\\xff\\x9b31m");
        assert_eq!(sanitizer.push("ü".as_bytes()), "ü");
        assert_eq!(sanitizer.push(b"\xc3"), "");
        assert_eq!(sanitizer.push(b"\xbc!"), "ü!");
        assert_eq!(sanitizer.push(b"\xe2\x82"), "");
        assert_eq!(sanitizer.finish(), "\\xe2\\x82");
        assert_eq!(sanitizer.finish(), "");
    }
}
