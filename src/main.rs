//! `thermos_executor`: launched by a Mesos agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let code = if arguments.peek().is_some_and(|first| first == thermos_executor::RUNNER_ROLE) {
        thermos_runner::command::run(arguments.skip(1))
    } else {
        thermos_executor::shell::main(arguments)
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
