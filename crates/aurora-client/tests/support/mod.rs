//! The evaluator for tests.

use std::path::PathBuf;

/// The evaluator of the same build: `AURORA_EVAL`, else next to the folder of the test program.
pub(crate) fn evaluator() -> PathBuf {
    if let Some(program) = std::env::var_os("AURORA_EVAL") {
        return PathBuf::from(program);
    }
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().parent().unwrap().join("aurora-eval");
    assert!(program.exists(), "build the evaluator first: cargo build -p aurora-eval");
    program
}
