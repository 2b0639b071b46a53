//! Files that do what no configuration should: each ends in a clean error, in time and memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use aurora_client::evaluate::{Defined, Evaluator, Kind};
use aurora_client::problem::Problem;

mod support;

fn evaluate_in(dir: &Path, source: &str, evaluator: Evaluator) -> Result<Defined, Problem> {
    let file = dir.join("hostile.aurora");
    std::fs::write(&file, source).unwrap();
    evaluator.run(&file, Kind::Aurora)
}

fn limited() -> Evaluator {
    Evaluator {
        program: Some(support::evaluator()),
        memory: 768,
        seconds: 30,
        ..Evaluator::default()
    }
}

/// The class and message of the error that a source gives.
fn error(source: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let problem = evaluate_in(dir.path(), source, limited()).unwrap_err();
    (problem.class, problem.message)
}

/// The same for what takes forever.
fn error_soon(source: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let evaluator = Evaluator { seconds: 1, ..limited() };
    let problem = evaluate_in(dir.path(), source, evaluator).unwrap_err();
    (problem.class, problem.message)
}

#[test]
fn time() {
    for source in [
        "while True: pass",
        "while True:\n  try:\n    while True: pass\n  except BaseException:\n    pass",
        "sum(range(10 ** 12))",
        "x = 7 ** (10 ** 9)",
    ] {
        let (class, message) = error_soon(source);
        assert!(class == "TimeoutError" || class == "MemoryError", "{source}: {class}: {message}");
    }
}

#[test]
fn memory() {
    for source in ["x = 'x' * (10 ** 12)", "x = []\nwhile True: x.append('y' * 10 ** 8)"] {
        let (class, message) = error(source);
        assert_eq!(class, "MemoryError", "{source}: {message}");
    }
}

#[test]
fn depth() {
    let cases = [
        ("def f(): return f()\nf()".to_owned(), "RecursionError"),
        ("f = lambda: f()\nf()".to_owned(), "RecursionError"),
        (format!("x = {}1{}", "(".repeat(100_000), ")".repeat(100_000)), "SyntaxError"),
        (format!("x = {}1", "-".repeat(200_000)), "SyntaxError"),
        ("T = String\nfor i in range(100): T = List(T)".to_owned(), "ValueError"),
        ("include('hostile.aurora')".to_owned(), "RecursionError"),
    ];
    for (source, expected) in cases {
        let (class, message) = error(&source);
        assert_eq!(class, expected, "{}: {message}", &source[..source.len().min(60)]);
    }
    // These may be evaluated or refused, but must not go wrong.
    for source in [
        format!("x = {}1", "1+".repeat(50_000)),
        format!("x = a{}", ".b".repeat(50_000)),
        "s = String('x')\nfor i in range(100000): s = String('x').bind(a=s)\njobs = []".to_owned(),
    ] {
        let dir = tempfile::tempdir().unwrap();
        if let Err(problem) = evaluate_in(dir.path(), &source, limited()) {
            assert_ne!(problem.class, "InternalError", "{problem}");
        }
    }
}

#[test]
fn nothing_is_written_started_or_connected() {
    let dir = tempfile::tempdir().unwrap();
    for (source, word) in [
        ("open('made', 'w')", "only be read"),
        ("open('made', 'a+')", "only be read"),
        ("import io\nio.open('made', 'w')", "only be read"),
        ("import io\nio.FileIO('made', 'w')", "FileIO"),
        ("import os\nos.system('touch made')", "start programs"),
        ("import os\nos.remove('hostile.aurora')", "not change"),
        ("import subprocess", "subprocess"),
        ("import ctypes", "ctypes"),
        ("import marshal", "marshal"),
        ("import socket\nsocket.socket()", "no network"),
        ("import posix", "posix"),
        ("import sys\nsys.modules['posix']", "posix"),
        ("__import__('_thread')", "_thread"),
        ("from . import x", "relative"),
        ("import helper", "include()"),
    ] {
        let problem = evaluate_in(dir.path(), source, limited()).unwrap_err();
        assert!(problem.message.contains(word), "{source}: {problem}");
    }
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["hostile.aurora"]);
}

#[test]
fn only_regular_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for (source, word) in [
        ("open('/dev/zero').read()", "regular"),
        ("open('.').read()", "directory"),
        ("open('/nosuch').read()", "No such file"),
        ("include('/dev/zero')", "regular"),
    ] {
        let problem = evaluate_in(dir.path(), source, limited()).unwrap_err();
        assert!(problem.message.contains(word), "{source}: {problem}");
    }
    let closed = Evaluator { reads: false, ..limited() };
    for source in
        ["open('/etc/hostname')", "import os\nos.path.exists('/etc')", "import os\nos.listdir('/')"]
    {
        let problem = evaluate_in(dir.path(), source, closed.clone()).unwrap_err();
        assert!(problem.message.contains("switched off"), "{source}: {problem}");
    }
    evaluate_in(dir.path(), "jobs = []", closed).unwrap();
}

#[test]
fn sources_are_bounded() {
    let large = format!("x = '{}'\n", "x".repeat(17 << 20));
    let (_, message) = error(&large);
    assert!(message.contains("larger than 16 MiB"), "{message}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("latin.aurora");
    std::fs::write(&file, b"x = 1\ny = '\xfc'\n").unwrap();
    let problem = limited().run(&file, Kind::Aurora).unwrap_err();
    assert!(problem.message.contains(":2: the file is not UTF-8"), "{problem}");
}

/// What an interpreter might break on.
#[test]
fn odd_code() {
    for source in [
        "[c.__name__ for c in object.__subclasses__()]\njobs = []",
        "import re\nre.match(r'(a*)*b', 'a' * 5000)\njobs = []",
        "class X(Struct):\n  pass\nX.__class__.__class__\njobs = []",
        "String.__new__(object)",
        "del __builtins__\njobs = []",
        "import sys\nsys.exit()",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "jobs = jobs2 = [Process]\n",
        "jobs = 5",
        "jobs = {}",
        "jobs = [Job().bind]",
        "Job.name = 5\njobs = [Job()]",
        "\u{0}",
        "x = '\u{202e}'\njobs = []",
    ] {
        let dir = tempfile::tempdir().unwrap();
        if let Err(problem) = evaluate_in(dir.path(), source, limited()) {
            assert_ne!(problem.class, "EvaluatorMissing", "{source}");
            assert!(!problem.message.contains("strange"), "{source}: {problem}");
        }
    }
}

#[test]
fn a_missing_evaluator_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Evaluator { program: Some(dir.path().join("none")), ..Evaluator::default() };
    let problem = evaluate_in(dir.path(), "jobs = []", missing).unwrap_err();
    assert_eq!(problem.class, "EvaluatorMissing");
    assert!(problem.help.unwrap().contains("AURORA_EVAL"));
}

/// No file can be written, but the answer may go to one.
#[test]
fn an_answer_that_goes_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (source, answer) = (dir.path().join("a.aurora"), dir.path().join("answer"));
    std::fs::write(&source, "jobs = []").unwrap();
    let status = std::process::Command::new(support::evaluator())
        .arg(&source)
        .stdout(std::fs::File::create(&answer).unwrap())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let answer: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&answer).unwrap()).unwrap();
    assert!(answer.is_object(), "{answer}");
}
