//! What the other side says of an error.

/// Longest part of a text that is kept, in characters.
const MAX_TEXT: usize = 512;

/// A text of the other side, for people: short, on one line.
pub fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4 * MAX_TEXT).unwrap_or(bytes)).into_owned();
    let text: String = text.trim().chars().take(MAX_TEXT).collect();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(text(&[b'x'; 10_000]).len(), MAX_TEXT);
        assert_eq!(text("é".repeat(1000).as_bytes()).chars().count(), MAX_TEXT);
    }

    #[test]
    fn texts_are_one_line() {
        assert_eq!(text(b" a\nb\tc\r\n"), "a b c");
    }
}
