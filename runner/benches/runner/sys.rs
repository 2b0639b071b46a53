//! The unsafe corner of the floor programs: fork, and leaving a forked child.
#![allow(unsafe_code)]

use nix::unistd::ForkResult;

/// Forks. Only for the floor programs, which never start a thread.
pub(crate) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: fork is unsafe because a child of a process with several threads may find locks held
    // by threads that do not exist in it. The floor modes run before the benchmark starts its
    // signal thread, and start none themselves: there is one thread and no lock to inherit.
    unsafe { nix::unistd::fork() }
}

/// Ends a forked child without running the exit handlers it shares with its parent.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: `_exit` touches no memory of this process and does not return.
    unsafe { nix::libc::_exit(code) }
}
