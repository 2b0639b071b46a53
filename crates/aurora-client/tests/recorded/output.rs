//! Comparing what was printed, line by line.

/// What one text has and the other lacks: `NAME has 'line'`, `NAME lacks 'line'`, in order; or that
/// both have the same lines, but in another order.
pub(crate) fn compare(name: &str, found: &str, recorded: &str) -> Vec<String> {
    let found: Vec<_> = found.split_inclusive('\n').collect();
    let recorded: Vec<_> = recorded.split_inclusive('\n').collect();
    if found != recorded && sorted(&found) == sorted(&recorded) {
        return vec![format!("{name} in another order")];
    }
    // Lengths of the longest common subsequences of what follows each pair of places.
    let width = recorded.len() + 1;
    let mut common = vec![0_usize; (found.len() + 1) * width];
    for i in (0..found.len()).rev() {
        for j in (0..recorded.len()).rev() {
            common[i * width + j] = if found[i] == recorded[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < found.len() || j < recorded.len() {
        if i < found.len() && j < recorded.len() && found[i] == recorded[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == recorded.len()
            || i < found.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]
        {
            lines.push(format!("{name} has {}", shown(found[i])));
            i += 1;
        } else {
            lines.push(format!("{name} lacks {}", shown(recorded[j])));
            j += 1;
        }
    }
    lines
}

fn sorted<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let mut lines = lines.to_vec();
    lines.sort_unstable();
    lines
}

/// A line in quotes; its end is shown where it has none.
fn shown(line: &str) -> String {
    match line.strip_suffix('\n') {
        Some(line) => format!("'{line}'"),
        None => format!("'{line}' without an end"),
    }
}

#[test]
fn lines_in_order() {
    assert_eq!(compare("out", "a\nb\nc\n", "a\nb\nc\n"), [""; 0]);
    assert_eq!(compare("out", "a\nc\n", "a\nb\nc\n"), ["out lacks 'b'"]);
    assert_eq!(compare("out", "b\na\n", "a\nb\n"), ["out in another order"]);
    assert_eq!(compare("out", "a\nd\n", "a\nb\n"), ["out has 'd'", "out lacks 'b'"]);
    assert_eq!(compare("out", "a", "a\n"), ["out has 'a' without an end", "out lacks 'a'"]);
}
