//! Signals to the runner, turned into requests by its event loop.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// What somebody outside asks of the runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// SIGUSR1, SIGTERM, SIGHUP: end the task as KILLED, finalizing processes included.
    Kill,
    /// SIGINT: the same; the second time without any grace.
    Interrupt,
    /// SIGUSR2: end the task as LOST at once.
    Lose,
}

/// Which signal asks for what. A signal that was ignored when the runner started stays ignored if it
/// is one that terminals send: that is how `nohup` and background jobs ask to be left alone.
const REQUESTS: &[(i32, Request, bool)] = &[
    (SIGUSR1, Request::Kill, false),
    (SIGTERM, Request::Kill, false),
    (SIGHUP, Request::Kill, true),
    (SIGINT, Request::Interrupt, true),
    (SIGUSR2, Request::Lose, false),
];

/// The signals of this process.
#[derive(Debug)]
pub struct Signals {
    wake: OwnedFd,
    flags: Vec<(Arc<AtomicBool>, Request)>,
    child: Arc<AtomicBool>,
    observer: Option<fn(Request)>,
}

impl Signals {
    /// Installs the handlers. Until [`Signals::take`] is called, requests are kept.
    pub fn install() -> io::Result<Signals> {
        // Between the moment at which a handler is in place and the one at which it knows what to
        // do, a signal would be lost.
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before))?;
        let signals = Signals::install_blocked();
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        signals
    }

    fn install_blocked() -> io::Result<Signals> {
        let ignored = ignored().unwrap_or(0);
        let (wake, write) = rustix::pipe::pipe_with(
            rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK,
        )?;
        let mut flags = Vec::new();
        for &(signal, request, from_terminal) in REQUESTS {
            if from_terminal && ignored >> (signal - 1) & 1 == 1 {
                continue;
            }
            let flag = Arc::new(AtomicBool::new(false));
            // The flag first: whoever is woken must find it set.
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
            flags.push((flag, request));
        }
        // The first look at children is for those that died before we could be told.
        let child = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register(SIGCHLD, Arc::clone(&child))?;
        signal_hook::low_level::pipe::register(SIGCHLD, write)?;
        Ok(Signals { wake, flags, child, observer: None })
    }

    /// Has `observer` told of each request when it is taken.
    #[must_use]
    pub fn observed_by(self, observer: fn(Request)) -> Signals {
        Signals { observer: Some(observer), ..self }
    }

    /// Readable when a signal has arrived.
    pub fn wake(&self) -> impl AsFd + '_ {
        &self.wake
    }

    /// Empties the pipe that wakes. Call it when that is readable, before the calls below.
    pub fn drain(&self) {
        let mut buffer = [0; 256];
        while matches!(rustix::io::read(&self.wake, &mut buffer), Ok(n) if n == buffer.len()) {}
    }

    /// Has a child changed its state since the last call?
    pub fn take_child(&self) -> bool {
        self.child.swap(false, Ordering::SeqCst)
    }

    /// Takes what was asked since the last call.
    pub fn take(&self) -> Vec<Request> {
        self.flags
            .iter()
            .filter(|(flag, _)| flag.swap(false, Ordering::SeqCst))
            .map(|(_, request)| *request)
            .inspect(|request| {
                if let Some(observer) = self.observer {
                    observer(*request);
                }
            })
            .collect()
    }
}

/// The signals that this process was started with as ignored, as a bit mask.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}
