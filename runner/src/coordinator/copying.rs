//! Waiting for bash while its output is copied, and afterwards: the keeper and the compressors.

#![deny(unsafe_code)]

use super::*;

/// Waits for the end of bash and returns its code.
pub(super) fn wait(bash: i32) -> i32 {
    loop {
        // Orphans of the run become our children and are reaped here as well.
        match reap(true) {
            Reaped::Child(child, code) if child == bash => return code,
            Reaped::Child(..) | Reaped::NoneDead => {}
            Reaped::NoChildren => exit(),
        }
    }
}

/// The same, while its output is copied.
pub(super) fn copy_and_wait(bash: i32, relay: &mut Relay, recorder: &mut Recorder) -> i32 {
    // Made only now: it takes a descriptor. Without one, the end is noticed when the pipes say so.
    let deaths = signals(&[Signal::SIGCHLD]);
    loop {
        loop {
            match reap(false) {
                Reaped::Child(child, code) if child == bash => return code,
                Reaped::Child(child, code) => see_to_death(relay, child, code),
                Reaped::NoneDead => break,
                Reaped::NoChildren => exit(),
            }
        }
        see_to_compressor(relay);
        if deaths.is_none() && relay.is_over() {
            return wait(bash);
        }
        if relay.turn(deaths.as_ref().map(AsFd::as_fd))
            && let Some(deaths) = &deaths
        {
            // Who died is asked above; several deaths may be one signal.
            while let Ok(Some(_)) = deaths.read_signal() {}
        }
        while let Some(report) = relay.due() {
            recorder.log(report);
        }
    }
}

/// Something other than bash has died. Like everything that the task started, a compressor may have
/// been told to end; then no other one is wanted.
fn see_to_death(relay: &mut Relay, child: i32, code: i32) {
    if relay.child_ended(child, code == 0) && code == -libc::SIGTERM {
        relay.stop_compressing();
    }
}

/// Ends a compressor that works for nothing, and starts one if there is something to do.
fn see_to_compressor(relay: &mut Relay) {
    if !relay.compresses() {
        return;
    }
    if let Some(pid) = relay.vain_compressor().and_then(rustix::process::Pid::from_raw) {
        // It is our child and was not reaped: the number is its own.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    relay.compress_next(fork_compressor);
}

/// Ends the compressor, if there is one. Somebody else begins anew.
pub(super) fn pause_compressing(relay: &mut Relay) {
    let Some(pid) = relay.give_compressor() else { return };
    let pid = nix::unistd::Pid::from_raw(pid);
    let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
    if let Ok(nix::sys::wait::WaitStatus::Signaled(_, Signal::SIGTERM, _)) =
        nix::sys::wait::waitpid(pid, None)
    {
        relay.stop_compressing();
    }
    relay.remove_temporaries();
}

/// Forks a child that compresses a rotated file; returns its pid. `None`: there is no room for it.
fn fork_compressor(directory: BorrowedFd<'_>, file: BorrowedFd<'_>, job: &Job) -> Option<i32> {
    let coordinator = rustix::process::getpid();
    match fork_on() {
        Twin::Child => {}
        Twin::Parent(pid) => return Some(pid),
        Twin::None => return None,
    }
    close_all_but(&[directory.as_raw_fd(), file.as_raw_fd()]);
    let _ = rustix::thread::set_name(c"thermos_gzip");
    yield_to_others();
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    // A handler of the runner would hide what we are told.
    default_signals();
    let go_on = || rustix::process::getppid() == Some(coordinator);
    let target = job.target.as_c_str();
    let compress = || gzip::compress(directory, file, job.identity, job.log, target, go_on);
    // What unwinds must not come back as another coordinator.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compress));
    exit_with(if let Ok(Ok(())) = done { 0 } else { 1 })
}

/// So long, in microseconds, a keeper goes on compressing when there is nothing to copy any more.
const COMPRESS_AFTER: logs::Micros = 10_000_000;

/// Forks a keeper, which copies until nothing has the pipes any more and compresses what waits for that;
/// returns in the coordinator only. False if there is no room for a keeper: whoever writes from now on is told that nobody reads.
pub(super) fn keep_copying(relay: &mut Relay, recorder: &mut Recorder) -> bool {
    // The end of the run is recorded when the keeper has left the session: what is left of that is
    // killed then.
    let Ok((left, leaves)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) else {
        return false;
    };
    match fork_on() {
        Twin::Child => {}
        Twin::Parent(_) => {
            drop(leaves);
            // End of file: it has left.
            while let Err(Errno::INTR) = rustix::io::read(&left, &mut [0u8]) {}
            return true;
        }
        Twin::None => return false,
    }
    let _ = nix::unistd::setsid();
    drop(leaves);
    let _ = rustix::thread::set_name(c"thermos_logs");
    recorder.retire();
    let copies = !relay.is_over();
    // One that compresses hears of its children, and of being told to end.
    let signals =
        if relay.compresses() { signals(&[Signal::SIGCHLD, Signal::SIGTERM]) } else { None };
    while !relay.is_over() || relay.is_compressing() {
        if relay.is_over() {
            relay.limit_compressing(COMPRESS_AFTER);
        }
        see_to_compressor(relay);
        relay.turn(signals.as_ref().map(AsFd::as_fd));
        while let Some(Ok(Some(signal))) = signals.as_ref().map(SignalFd::read_signal) {
            if signal.ssi_signo == Signal::SIGTERM as u32 {
                relay.stop_compressing();
            }
        }
        while let Reaped::Child(child, code) = reap(false) {
            see_to_death(relay, child, code);
        }
        while let Some(report) = relay.due() {
            recorder.log(report);
        }
    }
    if copies {
        relay.reports().for_each(|report| recorder.log(report));
    }
    exit()
}

/// A descriptor that can be read when one of these signals has come; `None`: there was none left.
fn signals(wanted: &[Signal]) -> Option<SignalFd> {
    let mask: SigSet = wanted.iter().copied().collect();
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok()
}
