//! Names in Rust's fashion.

/// Splits `taskId`, `task_id`, `HTTPPort` and `TASK_ID` into words in lower case.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = Vec::new();
    let mut word = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let previous = i.checked_sub(1).and_then(|p| chars.get(p)).copied().unwrap_or('_');
        let next_is_lower = chars.get(i + 1).is_some_and(char::is_ascii_lowercase);
        // A capital begins a word after a small letter or digit (taskId), and so does the last one
        // of a row before a small letter (HTTPPort).
        let begins = c.is_ascii_uppercase()
            && (previous.is_ascii_lowercase()
                || previous.is_ascii_digit()
                || previous.is_ascii_uppercase() && next_is_lower);
        if (c == '_' || begins) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c != '_' {
            word.push(c.to_ascii_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What a name of underscores alone becomes.
fn or_underscore(name: String, prefix: &str) -> String {
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("{prefix}{name}")
    } else {
        name
    }
}

/// For fields, functions and modules: `task_id`.
pub(crate) fn snake(name: &str) -> String {
    let name = or_underscore(words(name).join("_"), "f");
    match name.as_str() {
        // These cannot be raw identifiers.
        "self" | "super" | "crate" => format!("{name}_"),
        "as" | "async" | "await" | "abstract" | "become" | "box" | "break" | "const"
        | "continue" | "do" | "dyn" | "else" | "enum" | "extern" | "false" | "final" | "fn"
        | "for" | "gen" | "if" | "impl" | "in" | "let" | "loop" | "macro" | "match" | "mod"
        | "move" | "mut" | "override" | "priv" | "pub" | "ref" | "return" | "static" | "struct"
        | "trait" | "true" | "try" | "type" | "typeof" | "unsafe" | "unsized" | "use"
        | "virtual" | "where" | "while" | "yield" => format!("r#{name}"),
        _ => name,
    }
}

/// For modules, which are files too: without `r#`.
pub(crate) fn module(name: &str) -> String {
    match snake(name).strip_prefix("r#") {
        Some(keyword) => format!("{keyword}_"),
        None => snake(name),
    }
}

/// For types and variants: `TaskId`. A name in camel case keeps its capitals (`SLAPolicy`).
pub(crate) fn camel(name: &str) -> String {
    let keep = name.starts_with(|c: char| c.is_ascii_uppercase())
        && !name.contains('_')
        && name.chars().any(|c| c.is_ascii_lowercase());
    let name = if keep {
        name.to_owned()
    } else {
        let mut text = String::new();
        for word in words(name) {
            let mut chars = word.chars();
            text.extend(chars.next().map(|c| c.to_ascii_uppercase()));
            text.push_str(chars.as_str());
        }
        text
    };
    let name = or_underscore(name, "F");
    if name == "Self" { "Self_".to_owned() } else { name }
}

/// For constants: `TASK_ID`. A name without small letters is kept.
pub(crate) fn screaming(name: &str) -> String {
    if !name.chars().any(|c| c.is_ascii_lowercase()) && name.contains(|c: char| c != '_') {
        return name.to_owned();
    }
    or_underscore(words(name).join("_").to_ascii_uppercase(), "F")
}

/// The candidate most like `name`, if it is like enough to be what was meant.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = name.len() / 3;
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(d, _)| *d <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance, without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, &above) in b.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(ca != *cb)).min(above + 1).min(left + 1);
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_rusts_fashion() {
        for (name, expected) in [
            ("taskId", ["task_id", "TaskId", "TASK_ID"]),
            ("task_id", ["task_id", "TaskId", "TASK_ID"]),
            ("TaskID", ["task_id", "TaskID", "TASK_ID"]),
            ("HTTPPort", ["http_port", "HTTPPort", "HTTP_PORT"]),
            ("ROLE", ["role", "Role", "ROLE"]),
            ("A1_B", ["a1_b", "A1B", "A1_B"]),
            ("type", ["r#type", "Type", "TYPE"]),
            ("self", ["self_", "Self_", "SELF"]),
            ("_x", ["x", "X", "X"]),
            ("__", ["f", "F", "F"]),
            ("_1", ["f1", "F1", "_1"]),
        ] {
            assert_eq!([snake(name), camel(name), screaming(name)], expected, "{name}");
        }
        assert_eq!(module("type"), "type_");
    }

    #[test]
    fn nearest_name() {
        let known = ["TaskStatus", "ProcessStatus", "string"];
        assert_eq!(nearest("TaskStaus", known.into_iter()), Some("TaskStatus"));
        assert_eq!(nearest("String", known.into_iter()), Some("string"));
        assert_eq!(nearest("Header", known.into_iter()), None);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
