//! The runner killed at every single system call of a task's life; see `tests/long/kill-matrix`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[test]
#[ignore = "takes minutes; tests/long/kill-matrix runs it, and `recovery` tries a sample"]
fn killed_at_every_system_call() {
    thermos_tests::strace::kill_at_calls(1);
}
