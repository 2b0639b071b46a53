//! Runs `interop/thrift_interop.py`: Python's Thrift library against ours, both directions.
//!
//! Needs the Python package `thrift` in `THERMOS_TEST_PYTHON`, or in the virtual environment
//! `tests/.venv`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs a command and fails with its output if it does.
fn run(what: &str, command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{what}: {command:?}: {e}"));
    assert!(
        output.status.success(),
        "{what}: {command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A Python interpreter that has the `thrift` package.
fn python() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = env::var_os("THERMOS_TEST_PYTHON")
        .map_or_else(|| tests.join(".venv/bin/python"), PathBuf::from);
    let what = "the Python package `thrift` is missing: make a virtual environment in tests/.venv \
                and install thrift 0.25 there, or set THERMOS_TEST_PYTHON";
    run(what, Command::new(&python).args(["-c", "import thrift.protocol.TJSONProtocol"]));
    python
}

/// The path of the peer, built now.
fn peer() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-p", "aurora-api", "--example", "thrift_peer"]);
    cargo.args(["--message-format", "json"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = run("the peer cannot be built", &mut cargo);
    let messages = String::from_utf8_lossy(&output.stdout);
    // The message of the example itself is the only one with an executable.
    let path = messages
        .lines()
        .filter_map(|line| line.split_once("\"executable\":\""))
        .find_map(|(_, rest)| rest.split_once('"'));
    match path {
        Some((path, _)) => PathBuf::from(path),
        None => panic!("cargo does not say where the peer is:\n{messages}"),
    }
}

#[test]
fn python_and_rust_understand_each_other() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/thrift_interop.py");
    run("thrift_interop.py", Command::new(python()).arg(script).arg(peer()));
}
