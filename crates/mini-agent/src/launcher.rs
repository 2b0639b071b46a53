//! The process between agent and executor, as Mesos' containerizer has one: leader of a session of
//! its own, parent of the shell that runs the command, and heir of what escapes from below it.
//!
//! It is the user's program in another role: [`main`] is to be called where [`LAUNCHER_ROLE`] is
//! the first argument.

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, WaitStatus};

use crate::process;

/// The first argument that makes the user's program the launcher.
pub const LAUNCHER_ROLE: &str = "--mesos-role=launcher";

/// How long what outlives the executor may take to end by itself: a runner that loses its executor
/// ends its task in order.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How often is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Runs a command; returns its exit code, as a shell would. `arguments` are those after
/// [`LAUNCHER_ROLE`]: the program and its arguments.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    match run(arguments.into_iter().collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cannot launch the executor: {error}");
            1
        }
    }
}

fn run(arguments: Vec<OsString>) -> io::Result<u8> {
    let (program, rest) =
        arguments.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
    // Fails only for the leader of a group, which the agent does not make.
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let child = match Command::new(program).args(rest).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start {}: {error}", program.display());
            return Ok(127);
        }
    };
    let pid = i32::try_from(child.id()).ok();
    let code = loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((ended, status))) if Some(ended.as_raw_pid()) == pid => break code_of(status),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    let me = rustix::process::getpid();
    let until = Instant::now() + AFTERMATH;
    loop {
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        if process::descendants(me).is_empty() {
            break;
        }
        if Instant::now() >= until {
            process::kill_descendants(me);
            break;
        }
        std::thread::sleep(LOOK);
    }
    Ok(code)
}

fn code_of(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
