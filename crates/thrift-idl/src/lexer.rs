//! Tokens of interface definitions.

use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use crate::ast::Doc;
use crate::error::{Error, Pos};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A keyword or a name, with dots if it is qualified.
    Name(String),
    Int(i64),
    Double(f64),
    String(String),
    Punct(char),
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) pos: Pos,
    /// The documentation right before it.
    pub(crate) doc: Doc,
}

struct Lexer<'a> {
    path: &'a Path,
    chars: Peekable<Chars<'a>>,
    pos: Pos,
}

/// Splits a file into tokens; the last one is `End`.
pub(crate) fn tokens(path: &Path, text: &str) -> Result<Vec<Token>, Error> {
    let mut lexer = Lexer { path, chars: text.chars().peekable(), pos: Pos { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        let doc = lexer.space()?;
        let pos = lexer.pos;
        let kind = lexer.token()?;
        let end = kind == TokenKind::End;
        tokens.push(Token { kind, pos, doc });
        if end {
            return Ok(tokens);
        }
    }
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.pos.line += 1;
            self.pos.column = 1;
        } else {
            self.pos.column += 1;
        }
        Some(c)
    }

    fn error(&self, pos: Pos, message: impl Into<String>) -> Error {
        Error::at(self.path, pos, message.into())
    }

    /// Passes over white space and comments; returns the last documentation among them.
    fn space(&mut self) -> Result<Doc, Error> {
        let mut doc = Doc::new();
        loop {
            match self.chars.peek() {
                Some(c) if c.is_whitespace() => _ = self.next(),
                Some('#') => self.line_comment(),
                Some('/') => {
                    let pos = self.pos;
                    self.next();
                    match self.next() {
                        Some('/') => self.line_comment(),
                        Some('*') => {
                            let text = self.block_comment(pos)?;
                            // `/**/` is an empty comment, `/***` a line of asterisks.
                            if let Some(text) = text.strip_prefix('*')
                                && !text.is_empty()
                                && !text.starts_with('*')
                            {
                                doc = doc_lines(text);
                            }
                        }
                        _ => {
                            return Err(self
                                .error(pos, "unexpected `/`")
                                .hint("comments begin with `//`, `#` or `/*`"));
                        }
                    }
                }
                _ => return Ok(doc),
            }
        }
    }

    fn line_comment(&mut self) {
        while self.next().is_some_and(|c| c != '\n') {}
    }

    fn block_comment(&mut self, pos: Pos) -> Result<String, Error> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('*') if self.chars.peek() == Some(&'/') => {
                    self.next();
                    return Ok(text);
                }
                Some(c) => text.push(c),
                None => return Err(self.error(pos, "this comment has no end").hint("add `*/`")),
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind, Error> {
        let pos = self.pos;
        let Some(&c) = self.chars.peek() else { return Ok(TokenKind::End) };
        match c {
            'a'..='z' | 'A'..='Z' | '_' => {
                Ok(TokenKind::Name(self.while_(|c| c.is_ascii_alphanumeric() || "_.".contains(c))))
            }
            '0'..='9' | '+' | '-' | '.' => self.number(pos),
            '"' | '\'' => self.string(pos),
            '{' | '}' | '(' | ')' | '[' | ']' | '<' | '>' | ',' | ';' | ':' | '=' | '*' | '&' => {
                self.next();
                Ok(TokenKind::Punct(c))
            }
            _ => Err(self.error(pos, format!("unexpected character `{}`", c.escape_debug()))),
        }
    }

    fn while_(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(&c) = self.chars.peek()
            && wanted(c)
        {
            text.push(c);
            self.next();
        }
        text
    }

    fn number(&mut self, pos: Pos) -> Result<TokenKind, Error> {
        let mut text = self.while_(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        // A sign belongs to the number only at its start and after an exponent.
        let sign = text.strip_prefix(['+', '-']).map_or(0, |_| 1);
        if text.get(sign..).is_some_and(|t| t.contains(['+', '-'])) && !text.contains(['e', 'E']) {
            return Err(self.error(pos, format!("`{text}` is no number")));
        }
        if let Some(stripped) = text.strip_prefix('+') {
            text = stripped.to_owned();
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.as_str()),
        };
        let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
        if let Some(hex) = hex {
            let value = i64::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with(['+', '-']));
            return match value {
                Some(value) => Ok(TokenKind::Int(if negative { -value } else { value })),
                None => Err(self.error(pos, format!("`{text}` is no 64-bit number"))),
            };
        }
        if let Ok(value) = text.parse::<i64>() {
            return Ok(TokenKind::Int(value));
        }
        match text.parse::<f64>() {
            Ok(value) if digits.contains(['.', 'e', 'E']) && value.is_finite() => {
                Ok(TokenKind::Double(value))
            }
            _ => Err(self.error(pos, format!("`{text}` is no number of 64 bits"))),
        }
    }

    fn string(&mut self, pos: Pos) -> Result<TokenKind, Error> {
        let quote = self.next();
        let mut text = String::new();
        loop {
            let c = self.next();
            if c == quote {
                return Ok(TokenKind::String(text));
            }
            text.push(match c {
                Some('\\') => match self.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some(c @ ('\\' | '"' | '\'')) => c,
                    _ => {
                        return Err(self
                            .error(self.pos, "unknown escape in a string")
                            .hint(r#"known are \n, \r, \t, \\, \" and \'"#));
                    }
                },
                Some('\n') | None => {
                    return Err(self.error(pos, "this string has no end on its line"));
                }
                Some(c) => c,
            });
        }
    }
}

/// The lines of a documentation comment, without their asterisks and common frame.
fn doc_lines(text: &str) -> Doc {
    let mut lines: Doc = text
        .lines()
        .map(|line| {
            let line = line.trim();
            let line = line.strip_prefix('*').unwrap_or(line);
            line.strip_prefix(' ').unwrap_or(line).to_owned()
        })
        .collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let blank = lines.iter().take_while(|line| line.trim().is_empty()).count();
    lines.drain(..blank);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(Path::new("t"), text).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn tokens_of_every_kind() {
        use TokenKind::*;
        assert_eq!(
            kinds("a.b 1 -2 +3 0x1F -0x10 1.5 -2e3 1E-2 'it''s' \"\\\"\\n\" {<"),
            [
                Name("a.b".to_owned()),
                Int(1),
                Int(-2),
                Int(3),
                Int(31),
                Int(-16),
                Double(1.5),
                Double(-2000.0),
                Double(0.01),
                String("it".to_owned()),
                String("s".to_owned()),
                String("\"\n".to_owned()),
                Punct('{'),
                Punct('<'),
                End
            ]
        );
    }

    #[test]
    fn comments_and_documentation() {
        let text = "// no\n# no\n/* no */ /** yes\n * two\n *   three\n */ a /**/ b /*** no */ c";
        let tokens = tokens(Path::new("t"), text).unwrap();
        assert_eq!(tokens[0].doc, ["yes", "two", "  three"]);
        assert_eq!(tokens[0].pos, Pos { line: 6, column: 5 });
        assert!(tokens[1..].iter().all(|t| t.doc.is_empty()));
    }

    #[test]
    fn errors_say_where() {
        for (text, expected) in [
            ("a\n  $", "t:2:3: unexpected character `$`"),
            ("/* x", "t:1:1: this comment has no end\n  hint: add `*/`"),
            (" / ", "t:1:2: unexpected `/`\n  hint: comments begin with `//`, `#` or `/*`"),
            ("'a\n'", "t:1:1: this string has no end on its line"),
            ("1-2", "t:1:1: `1-2` is no number"),
            ("12x", "t:1:1: `12x` is no number of 64 bits"),
            ("0xg", "t:1:1: `0xg` is no 64-bit number"),
            ("99999999999999999999", "t:1:1: `99999999999999999999` is no number of 64 bits"),
        ] {
            assert_eq!(tokens(Path::new("t"), text).unwrap_err().to_string(), expected);
        }
    }
}
