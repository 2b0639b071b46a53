//! `thermos_runner`: runs one task and exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = thermos_runner::command::run(std::env::args().skip(1));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
