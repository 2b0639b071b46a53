//! References in text: `{{address}}`.
//!
//! Source of behaviour: Aurora configuration reference, "Reference syntax".

use std::fmt;

/// One step of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// `.name`
    Name(Box<str>),
    /// `[index]`
    Index(Box<str>),
}

/// An address: `thermos.ports[http]`. It has at least one component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref(Box<[Component]>);

impl Ref {
    /// Reads an address.
    ///
    /// A name is a letter or underscore followed by letters, digits and underscores; an index is
    /// one or more of letters, digits, `_`, `-`, `.`, `/`; only ASCII counts. The first component
    /// may be a bare name, or begin with a dot or a bracket.
    pub fn parse(address: &str) -> Result<Ref, BadReference> {
        let bad = |reason: String| {
            Err(BadReference { address: address.into(), reason: reason.into_boxed_str() })
        };
        let Some(first) = address.chars().next() else {
            return bad("an address may not be empty".to_owned());
        };
        if address.contains(|c: char| c.is_whitespace()) {
            let tight: String = address.chars().filter(|c| !c.is_whitespace()).collect();
            let hint = match Ref::parse(&tight) {
                Ok(_) if address.trim() == tight => format!("; write {{{{{tight}}}}}"),
                _ => String::new(),
            };
            return bad(format!("a reference may not contain blanks{hint}"));
        }
        if !(is_name_start(first) || first == '.' || first == '[') {
            return bad(format!("a reference may not start with {first:?}"));
        }
        let mut components = Vec::new();
        let mut rest = address;
        let mut bare = is_name_start(first);
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let end = after.find(|c| !is_index_char(c)).unwrap_or(after.len());
                if end == 0 || !after[end..].starts_with(']') {
                    return bad(
                        "an index is one or more letters, digits, \"_\", \"-\", \".\", \"/\" in \
                         brackets"
                            .to_owned(),
                    );
                }
                components.push(Component::Index(after[..end].into()));
                rest = &after[end + 1..];
            } else {
                let after = match rest.strip_prefix('.') {
                    Some(after) => after,
                    None if bare => rest,
                    None => return bad("expected \".name\" or \"[index]\"".to_owned()),
                };
                let end = after.find(|c| !is_name_char(c)).unwrap_or(after.len());
                if !after.starts_with(is_name_start) {
                    return bad(
                        "a name is a letter or \"_\" followed by letters, digits and \"_\""
                            .to_owned(),
                    );
                }
                components.push(Component::Name(after[..end].into()));
                rest = &after[end..];
            }
            bare = false;
        }
        Ok(Ref(components.into_boxed_slice()))
    }

    /// The address of these steps, of which there must be at least one.
    pub(crate) fn from_components(components: &[Component]) -> Ref {
        Ref(components.into())
    }

    /// The steps, in order.
    pub fn components(&self) -> &[Component] {
        &self.0
    }

    /// What remains after the given leading components; `None` when they are not a proper prefix.
    pub fn after(&self, prefix: &Ref) -> Option<&[Component]> {
        self.0.strip_prefix(&*prefix.0).filter(|rest| !rest.is_empty())
    }
}

/// The address without braces.
impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, component) in self.0.iter().enumerate() {
            match component {
                Component::Name(name) if position == 0 => f.write_str(name)?,
                Component::Name(name) => write!(f, ".{name}")?,
                Component::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn is_index_char(c: char) -> bool {
    is_name_char(c) || matches!(c, '-' | '.' | '/')
}

/// What stands between braces is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference {
    address: Box<str>,
    reason: Box<str>,
}

impl BadReference {
    /// The text that is no address.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Display for BadReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed reference {}: {}", crate::error::quoted(&self.address), self.reason)
    }
}

impl std::error::Error for BadReference {}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Stands for itself.
    Plain(&'a str),
    /// `{{inner}}`: to be replaced.
    Reference {
        /// The piece with its braces.
        whole: &'a str,
        /// What stands between the braces; not yet known to be an address.
        inner: &'a str,
    },
    /// `{{&inner}}` or `{{&inner&}}`: stands for `{{inner}}`, which is not looked at.
    Escape {
        /// The piece with its braces.
        whole: &'a str,
        /// What stands between the braces, without the ampersands.
        inner: &'a str,
    },
}

/// Whether a text has anything but plain pieces.
pub fn is_templated(text: &str) -> bool {
    Tokens::new(text).any(|token| !matches!(token, Token::Plain(_)))
}

/// The pieces of a text, in order. Reading them all is linear in its length.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: &'a str,
    /// A brace piece found while looking for the end of a plain one: start and end in `rest`.
    pending: Option<(usize, usize)>,
}

impl<'a> Tokens<'a> {
    /// Starts reading.
    pub fn new(text: &'a str) -> Tokens<'a> {
        Tokens { rest: text, pending: None }
    }

    fn braced(&mut self, end: usize) -> Token<'a> {
        let (whole, rest) = self.rest.split_at(end);
        self.rest = rest;
        let inner = &whole[2..whole.len() - 2];
        match inner.strip_prefix('&') {
            // `{{&}}` has nothing to escape; it is a (malformed) reference.
            Some(escaped) if !escaped.is_empty() => {
                let inner = escaped.strip_suffix('&').filter(|inner| !inner.is_empty());
                Token::Escape { whole, inner: inner.unwrap_or(escaped) }
            }
            _ => Token::Reference { whole, inner },
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let found = self.pending.take().or_else(|| find_braces(self.rest));
        let Some((start, end)) = found else {
            return Some(Token::Plain(std::mem::take(&mut self.rest)));
        };
        if start > 0 {
            let (plain, rest) = self.rest.split_at(start);
            self.rest = rest;
            self.pending = Some((0, end - start));
            return Some(Token::Plain(plain));
        }
        Some(self.braced(end))
    }
}

/// The first `{{`, one or more characters that are no braces, `}}`: start and end.
fn find_braces(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("{{") {
        let start = from + found;
        let inner = start + 2;
        // No opening pair can start inside the run, since it has no braces.
        let run = text[inner..].find(['{', '}'])?;
        if run > 0 && text[inner + run..].starts_with("}}") {
            return Some((start, inner + run + 2));
        }
        from = if run > 0 { inner + run } else { start + 1 };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        for (address, canonical) in [
            ("a", "a"),
            ("a.b[c]", "a.b[c]"),
            (".a", "a"),
            ("[x].y", "[x].y"),
            ("_a1", "_a1"),
            ("a[b-c/d.e_f]", "a[b-c/d.e_f]"),
            ("thermos.ports[http]", "thermos.ports[http]"),
        ] {
            assert_eq!(Ref::parse(address).unwrap().to_string(), canonical);
        }
        for address in [
            "", " x ", "1", "a b", "a[]", "a[b c]", "a$", "a[b", "a]b", "/x", "!x", "a.", "a..b",
            "a.1", "x|y", "a-b", "é", "&", ".", "[a]b", "json .",
        ] {
            assert!(Ref::parse(address).is_err(), "{address:?}");
        }
        let message = Ref::parse(" x ").unwrap_err().to_string();
        assert!(message.ends_with("may not contain blanks; write {{x}}"), "{message}");
    }

    #[test]
    fn pieces() {
        let kinds = |text| -> String {
            Tokens::new(text)
                .map(|token| match token {
                    Token::Plain(text) => format!("<{text}>"),
                    Token::Reference { inner, .. } => format!("ref({inner})"),
                    Token::Escape { inner, .. } => format!("esc({inner})"),
                })
                .collect()
        };
        for (text, expected) in [
            ("", ""),
            ("a {{x}} b", "<a >ref(x)< b>"),
            ("{{x}}{{y}}", "ref(x)ref(y)"),
            ("{{a{{b}}}}", "<{{a>ref(b)<}}>"),
            ("{{{x}}}", "<{>ref(x)<}>"),
            ("{{{{x}}}}", "<{{>ref(x)<}}>"),
            ("{{}} {x} {{x }} }} {{", "<{{}} {x} >ref(x )< }} {{>"),
            ("{{x", "<{{x>"),
            ("{{x}", "<{{x}>"),
            ("{{x}y}}", "<{{x}y}}>"),
            ("{{x{y}}", "<{{x{y}}>"),
            ("{{&x}}", "esc(x)"),
            ("{{&x&}}", "esc(x)"),
            ("{{&a b}}", "esc(a b)"),
            ("{{&&x}}", "esc(&x)"),
            ("{{&}}", "ref(&)"),
            ("{{&&}}", "esc(&)"),
            ("{{a\nb}}", "ref(a\nb)"),
            ("é{{é}}é", "<é>ref(é)<é>"),
        ] {
            assert_eq!(kinds(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_cover_the_text(text in "[{}&a .\\[\\]é]{0,60}") {
            let mut joined = String::new();
            for token in Tokens::new(&text) {
                joined.push_str(match token {
                    Token::Plain(text) => text,
                    Token::Reference { whole, .. } | Token::Escape { whole, .. } => whole,
                });
            }
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn addresses_read_back(address in "\\PC{0,30}|[a-z.\\[\\]0-9_/-]{0,12}") {
            if let Ok(reference) = Ref::parse(&address) {
                prop_assert_eq!(Ref::parse(&reference.to_string()), Ok(reference));
            }
        }
    }
}
