//! The runner comes back after a death of its own or of others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[test]
fn killed_at_system_calls() {
    thermos_tests::strace::kill_at_calls(13);
}
