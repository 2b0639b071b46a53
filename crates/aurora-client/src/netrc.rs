//! Passwords in `~/.netrc`.
//!
//! ```text
//! machine HOST login USER password SECRET
//! default login USER password SECRET
//! ```

/// A user's name and password. Not for printing.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a file says about a machine; what it says about all others if it does not name that one.
/// Later entries of the same machine win.
pub fn credentials(text: &str, machine: &str) -> Option<Credentials> {
    let mut own = None;
    let mut others = None;
    let mut words = Words(text);
    let mut word = words.next();
    while let Some(keyword) = word {
        let (place, wanted) = match keyword.as_str() {
            "machine" => (&mut own, words.next().as_deref() == Some(machine)),
            "default" => (&mut others, true),
            "macdef" => {
                words.skip_macro();
                word = words.next();
                continue;
            }
            // What is no entry is left out, like the tools that wrote it do.
            _ => {
                word = words.next();
                continue;
            }
        };
        let mut user = String::new();
        let mut password = String::new();
        word = loop {
            match words.next() {
                Some(word) if word == "login" || word == "user" => {
                    user = words.next().unwrap_or_default();
                }
                Some(word) if word == "password" => password = words.next().unwrap_or_default(),
                Some(word) if word == "account" => {
                    words.next();
                }
                other => break other,
            }
        };
        if wanted {
            *place = Some(Credentials { user, password });
        }
    }
    own.or(others)
}

/// Words between spaces. One in double quotes may have spaces; a backslash takes away the meaning
/// of the next character. `#` at the start of a word starts a comment.
struct Words<'t>(&'t str);

impl Words<'_> {
    fn next(&mut self) -> Option<String> {
        loop {
            self.0 = self.0.trim_start();
            if !self.0.starts_with('#') {
                break;
            }
            self.0 = self.0.split_once('\n').map_or("", |(_, rest)| rest);
        }
        let mut word = String::new();
        let mut quoted = false;
        let mut characters = self.0.char_indices();
        let end = loop {
            match characters.next() {
                None => break self.0.len(),
                Some((0, '"')) => quoted = true,
                Some((position, '"')) if quoted => break position + 1,
                Some((_, '\\')) => word.extend(characters.next().map(|(_, next)| next)),
                Some((position, character)) if !quoted && character.is_whitespace() => {
                    break position;
                }
                Some((_, character)) => word.push(character),
            }
        };
        let found = end > 0;
        self.0 = &self.0[end..];
        found.then_some(word)
    }

    /// A macro ends at an empty line.
    fn skip_macro(&mut self) {
        self.0 = self.0.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str, machine: &str) -> Option<(String, String)> {
        credentials(text, machine).map(|found| (found.user, found.password))
    }

    fn pair(user: &str, password: &str) -> Option<(String, String)> {
        Some((user.to_owned(), password.to_owned()))
    }

    #[test]
    fn entries() {
        for (text, expected) in [
            ("machine s login alice password secret\n", pair("alice", "secret")),
            ("machine s\n\tlogin alice\n\tpassword secret", pair("alice", "secret")),
            ("machine s password \"a b\\\"c\" user alice", pair("alice", "a b\"c")),
            ("machine o login x password y", None),
            ("machine o login x password y default login d password e", pair("d", "e")),
            ("default login d password e machine s login alice password p", pair("alice", "p")),
            ("# machine s login x\nmachine s login alice account z password p", pair("alice", "p")),
            ("macdef init\nmachine s login x\n\nmachine s login alice", pair("alice", "")),
            ("machine s login a password b machine s login c password d", pair("c", "d")),
            ("machine", None),
            ("machine s login", pair("", "")),
            ("", None),
            ("strange words machine s login alice password p", pair("alice", "p")),
        ] {
            assert_eq!(found(text, "s"), expected, "{text:?}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let found = credentials("machine s login alice password secret", "s").unwrap();
        assert!(!format!("{found:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn anything_ends(text in "(machine|default|macdef|login|s|\"|\\\\|#|\n| |x){0,40}") {
            let _ = credentials(&text, "s");
        }
    }
}
