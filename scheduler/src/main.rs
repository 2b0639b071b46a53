//! `aurora-scheduler`: schedules jobs on Mesos.

use std::process::ExitCode;

fn main() -> ExitCode {
    aurora_scheduler::command::main(std::env::args_os().skip(1))
}
