//! The program as people start it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::process::Command;

/// Exit code and what was said.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let program = env!("CARGO_BIN_EXE_aurora-scheduler");
    let output = Command::new(program).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn wrong_flags_name_themselves() {
    let (code, text) = run(&["-http_prt=1"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("Usage: aurora-scheduler"), "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(
        last,
        "aurora-scheduler: -http_prt: there is no such flag; perhaps -http_port is meant"
    );
    let (code, text) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("a value must be supplied"), "{text}");
    let (code, text) = run(&["-local", "-mesos_master_address=h:5050"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("-mesos_master_address: does not go with -local"), "{text}");
}

#[test]
fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("-http_port={}", taken.local_addr().unwrap().port());
    let directory = tempfile::tempdir().unwrap();
    let log = format!("-native_log_file_path={}", directory.path().display());
    let flags =
        ["-cluster_name=c", "-mesos_master_address=127.0.0.1:1", "-thermos_executor_path=/x"];
    let (code, text) = run(&[&flags[..], &[&port, &log]].concat());
    assert_eq!(code, Some(1));
    assert!(text.contains("failed to listen on 127.0.0.1:"), "{text}");
}
