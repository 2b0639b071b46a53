//! The golden cases: what the runner makes of 91 tasks, compared with what the original made of
//! them (`fixtures/golden`). Where they differ, `tests/golden/defended.txt` must say so, and name
//! the row of COMPATIBILITY.md that says why.
//!
//! `GOLDEN_OUT=DIR` keeps what was recorded. The recorder works with `--contain`, so that every
//! process it starts ends with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use thermos_tests::{Binaries, need_program, need_root, workspace};

/// How many cases run at the same time; most of them sleep.
const JOBS: &str = "12";

/// Everything takes about a minute; a runner that hangs makes the recorder wait for its own limits.
const LIMIT: Duration = Duration::from_secs(240);

#[test]
fn outcomes_are_those_of_the_original_or_defended() {
    need_root();
    need_program("python3", "python3");
    need_program("unshare", "util-linux");
    need_program("mount", "util-linux");
    need_program("ps", "procps");
    let found = Binaries::find();

    let work = tempfile::Builder::new().prefix("thermos-golden-").tempdir().unwrap();
    // Copies: a build must not replace what is being tested.
    let bin = work.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(found.runner, bin.join("thermos_runner")).unwrap();
    fs::copy(found.thermos, bin.join("thermos")).unwrap();
    let kept = env::var_os("GOLDEN_OUT").map(PathBuf::from);
    let out = kept.unwrap_or_else(|| work.path().join("out"));

    let cases = cases();
    let recorded = record(&bin, work.path(), &out, &cases);
    let differences = compare(&out);
    let text = fs::read_to_string(tool("defended.txt")).unwrap();
    let complaints = judge(&differences, &Defence::parse(&text));
    assert!(
        complaints.is_empty(),
        "{} complaints:\n\n{}\n\nThe recorder said:\n{recorded}",
        complaints.len(),
        complaints.join("\n")
    );
}

#[test]
fn every_defence_names_its_row() {
    let file = workspace().join("COMPATIBILITY.md");
    let rows = fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!("failed to read {}: {error}", file.display());
    });
    let cell = |cell: &str, row: &str| cell.trim().trim_matches('`') == row;
    let has_row = |row: &str| {
        let table = rows.lines().filter(|line| line.starts_with('|'));
        table.flat_map(|line| line.split('|')).any(|text| cell(text, row))
    };
    let text = fs::read_to_string(tool("defended.txt")).unwrap();
    let missing: Vec<String> = Defence::parse(&text)
        .into_iter()
        .filter(|defence| !has_row(&defence.row))
        .map(|defence| format!("{}: {}", defence.case, defence.row))
        .collect();
    assert!(missing.is_empty(), "no row in COMPATIBILITY.md for\n{}", missing.join("\n"));
}

/// All cases, those that took the original longest first.
fn cases() -> Vec<String> {
    let mut cases: Vec<(f64, String)> = fs::read_dir(golden())
        .unwrap()
        .flatten()
        .map(|entry| {
            let meta = fs::read_to_string(entry.path().join("meta.json")).unwrap();
            let wall = meta.lines().find_map(|line| line.trim().strip_prefix("\"wall_s\": "));
            let wall = wall.unwrap().trim_end_matches(',').parse().unwrap();
            (wall, entry.file_name().into_string().unwrap())
        })
        .collect();
    cases.sort_by(|one, other| other.0.total_cmp(&one.0));
    cases.into_iter().map(|(_, name)| name).collect()
}

/// Runs the cases; gives what the recorder printed.
fn record(bin: &Path, work: &Path, out: &Path, cases: &[String]) -> String {
    let log = work.join("recorder.log");
    let writer = fs::File::create(&log).unwrap();
    let mut child = Command::new("python3")
        .arg(tool("record.py"))
        .args(["--contain", "-j", JOBS])
        .args(cases)
        .env("THERMOS_BIN", bin)
        .env("GOLDEN_WORK", work.join("work"))
        .env("GOLDEN_OUT", out)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        thread::sleep(Duration::from_millis(50));
    };
    let said = fs::read_to_string(&log).unwrap();
    match status {
        Some(status) if status.success() => said,
        Some(status) => panic!("the recorder failed with {status}:\n{said}"),
        None => panic!("the recorder was not done after {LIMIT:?}:\n{said}"),
    }
}

/// The differences, as pairs of case and line.
fn compare(out: &Path) -> Vec<(String, String)> {
    let output = Command::new("python3")
        .arg(tool("compare.py"))
        .args([&golden(), out])
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    // Its last line counts the cases that agree; without it, something went wrong.
    let mut lines: Vec<&str> = stdout.lines().collect();
    let summary = lines.pop().unwrap_or_default();
    assert!(
        summary.ends_with("cases agree wholly"),
        "the comparison failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{summary}");
    let pair = |line: &str| line.split_once(": ").map(|(case, what)| (case.into(), what.into()));
    lines.into_iter().filter_map(pair).collect()
}

/// A case that differs on purpose.
#[derive(Debug)]
struct Defence {
    case: String,
    row: String,
    patterns: Vec<Pattern>,
}

/// One of its differences.
#[derive(Debug)]
struct Pattern {
    text: String,
    /// Whether it may be missing, as it depends on who is first.
    optional: bool,
}

impl Defence {
    /// Reads the list of defences: `[case] row` and under it one pattern for each difference, with
    /// a question mark before those that need not appear.
    fn parse(text: &str) -> Vec<Defence> {
        let mut all: Vec<Defence> = Vec::new();
        for line in text.lines().map(str::trim_end) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some((case, row)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                let (case, row) = (case.to_owned(), row.trim().to_owned());
                assert!(!row.is_empty(), "{case} names no row");
                assert!(all.iter().all(|other| other.case != case), "{case} is there twice");
                all.push(Defence { case, row, patterns: Vec::new() });
            } else {
                let last = all.last_mut().expect("the first line names no case");
                let (optional, text) = match line.strip_prefix("? ") {
                    Some(text) => (true, text.to_owned()),
                    None => (false, line.to_owned()),
                };
                last.patterns.push(Pattern { text, optional });
            }
        }
        all
    }
}

/// What is wrong: differences without a defence, and defences without a difference.
fn judge(differences: &[(String, String)], defences: &[Defence]) -> Vec<String> {
    let by_case: BTreeMap<&str, &Defence> =
        defences.iter().map(|defence| (defence.case.as_str(), defence)).collect();
    let is_defended = |case: &str, line: &str| {
        let defence = by_case.get(case);
        defence.is_some_and(|it| it.patterns.iter().any(|pattern| matches(&pattern.text, line)))
    };
    let undefended = differences
        .iter()
        .filter(|(case, line)| !is_defended(case, line))
        .map(|(case, line)| format!("undefended: [{case}] {line}"));
    let stale = defences.iter().flat_map(|defence| {
        let appears = |pattern: &str| {
            differences.iter().any(|(case, line)| *case == defence.case && matches(pattern, line))
        };
        let gone = defence.patterns.iter().filter(move |it| !it.optional && !appears(&it.text));
        gone.map(|pattern| format!("stale defence: [{}] {}", defence.case, pattern.text))
    });
    undefended.chain(stale).collect()
}

/// Whether a line is what the pattern says, in which `*` stands for anything.
fn matches(pattern: &str, line: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == line };
    let Some(mut line) = line.strip_prefix(head) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return line.ends_with(part);
        }
        match line.find(part) {
            Some(at) => line = &line[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn golden() -> PathBuf {
    workspace().join("fixtures/golden")
}

fn tool(name: &str) -> PathBuf {
    workspace().join("tests/golden").join(name)
}

#[test]
fn patterns_match_whole_lines() {
    assert!(matches("exit 0, golden -9", "exit 0, golden -9"));
    assert!(!matches("exit 0", "exit 0, golden -9"));
    assert!(matches("log *: *, golden none", "log x/0/stdout: 12, golden none"));
    assert!(matches("log *", "log "));
    assert!(!matches("log *: none", "log x: none, golden 3"));
    assert!(!matches("*a*a", "a"));
}

#[test]
fn differences_and_defences_must_meet() {
    let difference = |case: &str, line: &str| (case.to_owned(), line.to_owned());
    let defences = Defence::parse(
        "# text\n[one] Row 1\nexit *, golden 1\nlog *\n? y\n\n[two] Row 2\nx\n? z\n",
    );
    let differences = [
        difference("one", "exit 2, golden 1"),
        difference("one", "path /x"),
        difference("two", "z"),
        difference("three", "x"),
    ];
    assert_eq!(
        judge(&differences, &defences),
        [
            "undefended: [one] path /x",
            "undefended: [three] x",
            "stale defence: [one] log *",
            "stale defence: [two] x",
        ]
    );
}
