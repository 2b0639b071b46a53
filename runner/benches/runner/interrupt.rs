//! Leaves nothing behind when the benchmark is interrupted.

use std::io::{self, Read};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;
use std::{process, thread};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::subject::{Places, kill_descendants};
use crate::{Context, Result};

/// Held while a program is started, and kept for ever by an interruption: nothing starts after it.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts a program unless the benchmark is being interrupted.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    let _guard = STARTING.lock().map_err(|_| "an interruption failed")?;
    command.spawn().with(|| format!("failed to start {}", command.get_program().display()))
}

/// Returns unless the benchmark is being interrupted, in which case what went wrong is no error.
pub(crate) fn go_on() {
    drop(STARTING.lock());
}

/// From now on, ^C and its like end what is running, remove the directories and
/// exit.
pub(crate) fn watch(places: Places) -> Result<()> {
    let (mut interrupted, raise) = io::pipe().context("failed to make a pipe")?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        pipe::register(signal, raise.try_clone()?).context("failed to catch signals")?;
    }
    thread::spawn(move || {
        let _raise = raise;
        if let Err(error) = interrupted.read_exact(&mut [0]) {
            eprintln!("failed to wait for signals: {error}");
            return;
        }
        let _guard = STARTING.lock();
        kill_descendants();
        // The main thread may be writing there still.
        for _ in 0..50 {
            if places.remove() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        process::exit(130);
    });
    Ok(())
}
