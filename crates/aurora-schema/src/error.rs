//! Errors that say where they are.

use std::fmt;

/// One step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// An attribute of a struct.
    Field(Box<str>),
    /// An element of a list.
    Index(usize),
    /// A value of a map, by its key.
    Key(Box<str>),
}

/// Where something is inside a document, outermost step first: `processes[2].max_failures`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The document itself.
    pub fn root() -> Path {
        Path::default()
    }

    /// The path made of these steps, outermost first.
    pub fn from_segments(segments: Vec<Segment>) -> Path {
        Path(segments)
    }

    /// The steps, outermost first.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the document itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The same path seen from one attribute further out.
    pub(crate) fn push_outer(&mut self, segment: Segment) {
        self.0.insert(0, segment);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if position == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => write!(f, "[{}]", quoted(key))?,
            }
        }
        Ok(())
    }
}

/// What kind of mistake a value contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A value of the wrong type, an unknown or a missing attribute, a value outside an enumeration.
    Schema,
    /// A malformed reference, endless replacement, or text that grows beyond its bounds.
    Interpolation,
}

/// What exactly went wrong, for callers that say it in the words of the configuration language
/// (see [`crate::wording`]). Not every mistake has a cause that can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A content that its type does not take.
    Coercion {
        /// The content as text.
        got: Box<str>,
        /// The type's name.
        ty: Box<str>,
        /// An enumeration's words.
        words: Option<Box<str>>,
    },
    /// A content that no alternative of a choice takes.
    NoAlternative {
        /// The content as text.
        got: Box<str>,
        /// The choice's name.
        ty: Box<str>,
    },
    /// An attribute that a struct does not have.
    UnknownAttribute(Box<str>),
    /// An attribute that must be set and is not.
    Required,
    /// A content of the right kind was expected, but references are left in it.
    Unresolved {
        /// The content as text.
        got: Box<str>,
    },
    /// What stands between braces is no address.
    BadReference(Box<str>),
    /// References are still there after all passes; the text that they are in.
    Endless(Box<str>),
    /// An index before the start of a list.
    Index,
    /// A number that has no counterpart of the type: an infinite one as a whole number.
    Overflow,
}

/// A mistake in a value: its kind, where it is, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub(crate) fault: Fault,
    pub(crate) path: Path,
    pub(crate) message: String,
    pub(crate) cause: Option<Box<Cause>>,
}

impl Error {
    pub(crate) fn schema(message: impl Into<String>) -> Error {
        Error { fault: Fault::Schema, path: Path::root(), message: message.into(), cause: None }
    }

    pub(crate) fn interpolation(message: impl Into<String>) -> Error {
        Error {
            fault: Fault::Interpolation,
            path: Path::root(),
            message: message.into(),
            cause: None,
        }
    }

    pub(crate) fn because(mut self, cause: Cause) -> Error {
        self.cause = Some(Box::new(cause));
        self
    }

    pub(crate) fn at(mut self, segment: Segment) -> Error {
        self.path.push_outer(segment);
        self
    }

    pub(crate) fn at_path(mut self, path: Path) -> Error {
        self.path = path;
        self
    }

    /// What kind of mistake it is.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What exactly went wrong, if that can be named.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_deref()
    }

    /// What was expected and what was found, without the path.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_root() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// How much of a foreign text a message shows.
const SHOWN: usize = 60;

/// The text in double quotes, control characters escaped, cut short when long.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN {
            out.push('…');
            break;
        }
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `; did you mean "x"?` when one of the candidates is close to the name, else nothing.
pub fn suggestion<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let allowed = match name.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        6..=40 => 3,
        _ => return String::new(),
    };
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| format!("; did you mean {}?", quoted(candidate)))
        .unwrap_or_default()
}

/// Insertions, deletions, substitutions and swaps of neighbours between two short words.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let substitute = last[j] + usize::from(a[i] != b[j]);
            let mut best = substitute.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        let fields = ["name", "cmdline", "max_failures", "min_duration", "final"];
        let hint = |name| suggestion(name, fields.iter().copied());
        assert_eq!(hint("cmd_line"), "; did you mean \"cmdline\"?");
        assert_eq!(hint("max_failure"), "; did you mean \"max_failures\"?");
        assert_eq!(hint("nmae"), "; did you mean \"name\"?");
        assert_eq!(hint("zzz"), "");
        assert_eq!(hint(&"x".repeat(1_000)), "");
    }

    #[test]
    fn paths_read_like_code() {
        let path = Path::from_segments(vec![
            Segment::Field("table".into()),
            Segment::Key("a b".into()),
            Segment::Index(2),
            Segment::Field("x".into()),
        ]);
        assert_eq!(path.to_string(), "table[\"a b\"][2].x");
    }

    #[test]
    fn quoting_is_bounded() {
        assert_eq!(quoted("a\"\n"), "\"a\\\"\\n\"");
        assert!(quoted(&"é".repeat(10_000)).chars().count() < 70);
    }
}
