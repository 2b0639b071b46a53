//! What tests of files need.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::path::PathBuf;

use aurora_client::images::Images;

pub(crate) mod registry;

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

/// Nobody knows images.
pub(crate) struct NoRegistry;

impl Images for NoRegistry {
    fn by_digest(&mut self, _: &str, _: &str, _: &str) -> Result<String, String> {
        Err("there is no registry".to_owned())
    }
}
