//! `aurora-scheduler`: schedules jobs on Mesos.

use std::process::ExitCode;

/// Rows live long and lie between others that do not: an allocator that keeps sizes apart finds and
/// gives back places without looking at their neighbours.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    aurora_scheduler::command::main(std::env::args_os().skip(1))
}
