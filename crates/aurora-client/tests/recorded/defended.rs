//! Differences on purpose: `defended.txt`.

use std::collections::BTreeSet;

/// A section: which cases may differ, why, and how.
pub(crate) struct Section {
    /// Names of cases, * standing for anything.
    cases: Vec<String>,
    /// A row of COMPATIBILITY.md.
    pub(crate) row: String,
    patterns: Vec<String>,
}

/// Reads the sections of a program.
pub(crate) fn sections(text: &str, program: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut wanted = false;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let (cases, row) = rest.split_once("] ").unwrap_or_else(|| panic!("{line}"));
            let (of, cases) = cases.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            wanted = of == program;
            if wanted {
                let cases = cases.split_whitespace().map(str::to_owned).collect();
                sections.push(Section { cases, row: row.to_owned(), patterns: Vec::new() });
            }
        } else if wanted {
            sections.last_mut().unwrap().patterns.push(line.to_owned());
        }
    }
    sections
}

/// What is wrong: differences that no section has, and, if `all` cases were played, names and patterns
/// of sections that no difference needs.
pub(crate) fn undefended(
    sections: &[Section],
    differences: &[(String, Vec<String>)],
    all: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for (case, lines) in differences {
        for line in lines {
            let mut defended = false;
            for (at, section) in sections.iter().enumerate() {
                for (name, pattern_of_case) in section.cases.iter().enumerate() {
                    if !fits(pattern_of_case, case) {
                        continue;
                    }
                    for (number, pattern) in section.patterns.iter().enumerate() {
                        if fits(pattern, line) {
                            used.insert((at, name, None));
                            used.insert((at, 0, Some(number)));
                            defended = true;
                        }
                    }
                }
            }
            if !defended {
                wrong.push(format!("[{case}] {line}"));
            }
        }
    }
    for (at, section) in sections.iter().enumerate().filter(|_| all) {
        for (name, case) in section.cases.iter().enumerate() {
            if !used.contains(&(at, name, None)) {
                wrong.push(format!("needless: [{case}] {}", section.row));
            }
        }
        for (number, pattern) in section.patterns.iter().enumerate() {
            if !used.contains(&(at, 0, Some(number))) {
                wrong.push(format!("needless: {}: {pattern}", section.row));
            }
        }
    }
    wrong
}

/// Whether a text is what a pattern says, * standing for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_defence_without_a_difference_is_wrong() {
    let text =
        "# why\n[aurora one two-*] Row\nstdout has *\n\n[aurora_admin three] Other\nexit *\n";
    let of = |case: &str, lines: &[&str]| {
        (case.to_owned(), lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    };
    let sections = sections(text, "aurora");
    assert_eq!(sections.len(), 1);
    let both = [of("one", &["stdout has 'x'"]), of("two-b", &["stdout has 'y'"])];
    assert_eq!(undefended(&sections, &both, true), [""; 0]);
    assert_eq!(undefended(&sections, &both[..1], true), ["needless: [two-*] Row"]);
    assert_eq!(undefended(&sections, &both[..1], false), [""; 0]);
    let other = [both[0].clone(), both[1].clone(), of("three", &["stdout has 'x'"])];
    assert_eq!(undefended(&sections, &other, true), ["[three] stdout has 'x'"]);
    assert_eq!(
        undefended(&sections, &[], true),
        ["needless: [one] Row", "needless: [two-*] Row", "needless: Row: stdout has *"]
    );
}

#[test]
fn patterns() {
    for (pattern, text, fit) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("a*c*e", "abcde", true),
        ("a*c*e", "abde", false),
        ("a*a", "a", false),
        ("*", "", true),
    ] {
        assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
    }
}
