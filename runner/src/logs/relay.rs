//! The copier: from the two pipes of a process to its log files, and if wanted to the console.
//!
//! One [`Relay::turn`] waits for something to happen and does what can be done about it without
//! waiting. Nothing here allocates; the buffers are pages of their own, given back when nothing
//! comes for a while.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use super::account::{Account, Mark};
use super::files::{Directory, Job, LogFiles};
use super::pace::Pace;
use super::patience::{Patience, Verdict};
use super::rotation::{Rotation, Step};
use super::{Limits, Micros, Output};
use crate::coordinator::Pages;

/// Bytes of a buffer: as much as a pipe holds by default.
const BUFFER: usize = 64 << 10;

/// A pipe that was found full is made to hold so much, if that is allowed; until it is idle again.
const BUSY_PIPE: usize = 256 << 10;

/// So many buffers are read from one pipe before the other one has its turn.
const ROUNDS: usize = 16;

/// After so long without output, memory is given back.
const IDLE: Micros = 1_000_000;

/// What is written at a time to a console that might block.
const PIECE: usize = 4 << 10;

/// The microseconds of the clock for waiting.
pub(crate) fn now() -> Micros {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

/// How far an output has been copied; see the record of the same fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) output: Output,
    pub(crate) received: u64,
    pub(crate) dropped: (u64, Option<Errno>),
    /// `None`: nothing goes to the console.
    pub(crate) console_dropped: Option<(u64, Option<Errno>)>,
}

/// Copies both outputs of a process.
#[derive(Debug)]
pub(crate) struct Relay {
    directory: Directory,
    channels: [Channel; 2],
    pace: Pace,
    /// When to give memory back; `None`: that is done.
    idle_at: Option<Micros>,
    /// Are rotated files compressed?
    compresses: bool,
    /// Who compresses one now.
    compressor: Option<Compressor>,
    /// When compressing ends, done or not; `None`: it has time.
    compress_until: Option<Micros>,
}

/// A child that compresses a file.
#[derive(Debug)]
struct Compressor {
    pid: i32,
    /// Index of the channel whose file it is.
    channel: usize,
    job: Job,
}

impl Relay {
    pub(crate) fn new(directory: Directory, mut channels: [Channel; 2]) -> Relay {
        let compresses = channels.iter_mut().any(|channel| channel.files.backlog().is_some());
        Relay {
            directory,
            channels,
            pace: Pace::new(),
            idle_at: None,
            compresses,
            compressor: None,
            compress_until: None,
        }
    }

    /// Writes a line of our own to the log of errors.
    pub(crate) fn complain(&self, parts: &[&[u8]]) {
        let [_, stderr] = &self.channels;
        stderr.files.complain(parts);
    }

    /// Is there nothing to copy, and will there never be?
    pub(crate) fn is_over(&self) -> bool {
        self.channels.iter().all(|channel| channel.pipe.is_none() && !channel.is_busy())
    }

    /// Waits until something happens, and copies what there is. True if `wake` can be read; there may
    /// be more to copy then.
    pub(crate) fn turn(&mut self, wake: Option<BorrowedFd<'_>>) -> bool {
        for channel in self.channels.iter_mut().filter(|channel| channel.is_busy()) {
            channel.put(now(), &mut self.directory);
        }
        let (mut woken, ready, writable) = self.poll(wake);
        for (channel, writable) in self.channels.iter_mut().zip(writable) {
            if let (true, Some(console)) = (writable, &mut channel.console) {
                console.patience.hurry();
            }
        }
        if ready.contains(&true) {
            let wait = self.pace.wait(now());
            woken = woken || (wait > 0 && sleep(wake, wait));
            self.copy(ready);
        } else if self.idle_at.is_some_and(|at| at <= now()) {
            self.idle_at = None;
            self.channels.iter_mut().for_each(Channel::rest);
        }
        woken
    }

    /// What there is to wait for: children, pipes with bytes, consoles with room.
    fn poll(&self, wake: Option<BorrowedFd<'_>>) -> (bool, [bool; 2], [bool; 2]) {
        // A place that is not needed watches nothing of some descriptor that is there.
        let filler = self.directory.fd();
        let mut fds = [const { None }; 5];
        fds[0] = wake.map(|wake| PollFd::from_borrowed_fd(wake, PollFlags::IN));
        for (i, channel) in self.channels.iter().enumerate() {
            if let Some(pipe) = &channel.pipe
                && !channel.is_busy()
            {
                fds[1 + i] = Some(PollFd::new(pipe, PollFlags::IN));
            }
            if let Some(console) = &channel.console
                && channel.for_console < channel.filled
            {
                fds[3 + i] = Some(PollFd::new(&console.fd, PollFlags::OUT));
            }
        }
        let empty = || PollFd::from_borrowed_fd(filler, PollFlags::empty());
        let wanted = [0, 1, 2, 3, 4].map(|i: usize| fds[i].is_some());
        let mut fds = fds.map(|fd| fd.unwrap_or_else(empty));
        let at = now();
        let timeout = self.timeout().map(|due| timespec(due.saturating_sub(at).max(0)));
        let polled = rustix::event::poll(&mut fds, timeout.as_ref());
        let is_ready = |i: usize| polled.is_ok() && wanted[i] && !fds[i].revents().is_empty();
        (is_ready(0), [is_ready(1), is_ready(2)], [is_ready(3), is_ready(4)])
    }

    /// When to stop waiting.
    fn timeout(&self) -> Option<Micros> {
        let own = [self.idle_at, self.compress_until];
        self.channels.iter().flat_map(Channel::timers).chain(own).flatten().min()
    }

    fn copy(&mut self, ready: [bool; 2]) {
        let mut fullest = (0, 1);
        for (channel, ready) in self.channels.iter_mut().zip(ready) {
            if !ready {
                continue;
            }
            let capacity = channel.capacity;
            let mut found = 0;
            for _ in 0..ROUNDS {
                let n = channel.take();
                found += n;
                channel.put(now(), &mut self.directory);
                if n < BUFFER || channel.is_busy() {
                    break;
                }
            }
            if found * fullest.1 >= fullest.0 * capacity {
                fullest = (found, capacity);
            }
            channel.widen(found);
        }
        let now = now();
        self.idle_at = Some(now + IDLE);
        self.pace.read(now, fullest.0, fullest.1);
    }

    // ---- compressing ----

    /// Are rotated files compressed?
    pub(crate) fn compresses(&self) -> bool {
        self.compresses
    }

    /// Is there anything to compress, or somebody who does?
    pub(crate) fn is_compressing(&mut self) -> bool {
        self.compresses
            && (self.compressor.is_some()
                || self
                    .channels
                    .iter_mut()
                    .any(|channel| channel.files.backlog().is_some_and(|log| log.is_pending())))
    }

    /// The child that compresses, if it does so for nothing or its time is over.
    pub(crate) fn vain_compressor(&mut self) -> Option<i32> {
        if self.compress_until.is_some_and(|until| until <= now()) {
            self.stop_compressing();
        }
        let compressor = self.compressor.as_ref()?;
        let files = &mut self.channels.get_mut(compressor.channel)?.files;
        files.backlog().is_some_and(|backlog| backlog.is_vain()).then_some(compressor.pid)
    }

    /// Has a child compress the next file, if there is one and nobody is at it. `start` gives the pid
    /// of the child, which has the directory and the file; `None`: there is no room for one.
    pub(crate) fn compress_next(
        &mut self,
        start: impl Fn(BorrowedFd<'_>, BorrowedFd<'_>, &Job) -> Option<i32>,
    ) {
        if self.compressor.is_some() {
            return;
        }
        for (i, channel) in self.channels.iter_mut().enumerate() {
            let Some((job, file)) = channel.files.job(&self.directory) else { continue };
            let started = start(self.directory.fd(), file.as_fd(), &job);
            if let Some(backlog) = channel.files.backlog() {
                match started {
                    Some(_) => backlog.begun(),
                    None => backlog.put_off(),
                }
            }
            self.compressor = started.map(|pid| Compressor { pid, channel: i, job });
            return;
        }
    }

    /// A child has ended. True if it is the one that compressed; `done`: it did what it should.
    pub(crate) fn child_ended(&mut self, pid: i32, done: bool) -> bool {
        let Some(compressor) = self.compressor.take_if(|compressor| compressor.pid == pid) else {
            return false;
        };
        if let Some(channel) = self.channels.get_mut(compressor.channel) {
            channel.files.compressed(&self.directory, &compressor.job, done);
        }
        true
    }

    /// Gives the child that compresses away, to be ended. Its file waits again.
    pub(crate) fn give_compressor(&mut self) -> Option<i32> {
        let compressor = self.compressor.take()?;
        if let Some(channel) = self.channels.get_mut(compressor.channel)
            && let Some(backlog) = channel.files.backlog()
        {
            backlog.lost();
        }
        Some(compressor.pid)
    }

    /// What is left of children that are gone goes as well.
    pub(crate) fn remove_temporaries(&self) {
        self.channels.iter().for_each(|channel| channel.files.remove_temporary(&self.directory));
    }

    /// Compressing has so many microseconds from now on.
    pub(crate) fn limit_compressing(&mut self, time: Micros) {
        if self.compress_until.is_none() {
            self.compress_until = Some(now().saturating_add(time));
        }
    }

    /// Nothing more is compressed.
    pub(crate) fn stop_compressing(&mut self) {
        self.compress_until = None;
        for channel in &mut self.channels {
            if let Some(backlog) = channel.files.backlog() {
                backlog.stop();
            }
        }
    }

    // ---- the end ----

    /// Copies what the process has written before now, as far as the destinations take it. More may
    /// follow, from whatever still has the pipes.
    pub(crate) fn settle(&mut self) {
        for channel in &mut self.channels {
            let mut left = channel.unread();
            loop {
                channel.put(now(), &mut self.directory);
                if channel.is_busy() {
                    break;
                }
                let n = channel.take();
                // One read more, for the end of file.
                if n == 0 || left == 0 {
                    break;
                }
                left = left.saturating_sub(n);
            }
            channel.put(now(), &mut self.directory);
        }
    }

    /// Drops what could not be written, as nobody is left to try again.
    pub(crate) fn give_up(&mut self) {
        for channel in &mut self.channels {
            let rest = channel.filled - channel.for_file;
            if rest > 0 {
                channel.account.discard(rest, Errno::AGAIN);
                channel.for_file = channel.filled;
            }
            let rest = channel.filled - channel.for_console;
            if let Some(console) = &mut channel.console
                && rest > 0
            {
                console.account.discard(rest, Errno::AGAIN);
                channel.for_console = channel.filled;
            }
        }
    }

    /// An output of which bytes were dropped since its last report, if it is time for another one.
    pub(crate) fn due(&mut self) -> Option<Report> {
        let now = now();
        self.channels
            .iter_mut()
            .find(|channel| channel.report_at().is_some_and(|at| at <= now))
            .map(|channel| channel.report(now))
    }

    /// Where the outputs stand; of those that were used.
    pub(crate) fn reports(&mut self) -> impl Iterator<Item = Report> {
        let now = now();
        self.channels
            .iter_mut()
            .filter(|channel| channel.account.received() > 0)
            .map(move |channel| channel.report(now))
    }
}

/// Sleeps, unless `wake` can be read.
fn sleep(wake: Option<BorrowedFd<'_>>, micros: Micros) -> bool {
    let timeout = timespec(micros);
    match wake {
        Some(wake) => {
            let mut fds = [PollFd::from_borrowed_fd(wake, PollFlags::IN)];
            matches!(rustix::event::poll(&mut fds, Some(&timeout)), Ok(1))
        }
        None => {
            let _ = rustix::thread::nanosleep(&timeout);
            false
        }
    }
}

fn timespec(micros: Micros) -> Timespec {
    Timespec { tv_sec: micros / 1_000_000, tv_nsec: (micros % 1_000_000) * 1000 }
}

/// One output.
#[derive(Debug)]
pub(crate) struct Channel {
    output: Output,
    /// `None`: end of file.
    pipe: Option<OwnedFd>,
    /// Bytes that the pipe holds.
    capacity: usize,
    /// It was asked to hold more, which may have been refused.
    widened: bool,
    buffer: Pages,
    /// Bytes in the buffer, and how far they have got.
    filled: usize,
    for_file: usize,
    for_console: usize,
    files: LogFiles,
    rotation: Rotation,
    account: Account<Errno>,
    patience: Patience,
    console: Option<Console>,
}

impl Channel {
    /// An output that comes through a pipe, of which this is the end to read.
    pub(crate) fn new(
        directory: &Directory,
        output: Output,
        pipe: OwnedFd,
        limits: Option<Limits>,
        console: Option<Console>,
    ) -> Result<Channel, Errno> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        Ok(Channel {
            output,
            capacity: rustix::pipe::fcntl_getpipe_size(&pipe).unwrap_or(BUFFER),
            pipe: Some(pipe),
            widened: false,
            buffer: Pages::map(BUFFER)?,
            filled: 0,
            for_file: 0,
            for_console: 0,
            files: LogFiles::open(directory, output, limits)?,
            rotation: Rotation::new(limits.map(|limits| limits.size)),
            account: Account::new(),
            patience: Patience::Good,
            console,
        })
    }

    /// Does the buffer hold anything that has to go somewhere?
    fn is_busy(&self) -> bool {
        self.for_file < self.filled || self.for_console < self.filled
    }

    /// Bytes in the pipe.
    fn unread(&self) -> usize {
        let unread = self.pipe.as_ref().and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok());
        unread.map_or(0, |unread| usize::try_from(unread).unwrap_or(usize::MAX))
    }

    /// Fills the buffer, which must not be busy; says with how many bytes.
    fn take(&mut self) -> usize {
        let Some(pipe) = &self.pipe else { return 0 };
        let n = loop {
            match rustix::io::read(pipe, &mut *self.buffer) {
                Ok(n) => break n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return 0,
                Err(_) => break 0,
            }
        };
        if n == 0 {
            self.pipe = None;
        }
        self.filled = n;
        self.for_file = 0;
        self.for_console = if self.console.is_some() { 0 } else { n };
        self.account.receive(n);
        if let Some(console) = &mut self.console {
            console.account.receive(n);
        }
        n
    }

    /// Brings what is in the buffer to where it goes, as far as possible without waiting.
    fn put(&mut self, now: Micros, directory: &mut Directory) {
        if self.for_file < self.filled {
            self.put_file(now, directory);
        }
        if let Some(console) = &mut self.console
            && self.for_console < self.filled
        {
            self.for_console += console.put(now, &self.buffer[self.for_console..self.filled]);
        }
    }

    fn put_file(&mut self, now: Micros, directory: &mut Directory) {
        let mut verdict = self.patience.admit(now).map_err(|verdict| (verdict, None));
        while verdict.is_ok() && self.for_file < self.filled {
            match self.put_some(directory) {
                Ok(n) => {
                    self.for_file += n;
                    self.patience.succeeded();
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    if matches!(errno, Errno::NOSPC | Errno::DQUOT)
                        && let Some(backlog) = self.files.backlog()
                    {
                        // The half of a compressed file is worth less than what comes now.
                        backlog.interrupt();
                    }
                    verdict = Err((self.patience.failed(now), Some(errno)));
                }
            }
        }
        if let Err((Verdict::Drop, errno)) = verdict {
            // Without a new try, it is what it was the last time.
            let reason = errno.or(self.account.dropped().1).unwrap_or(Errno::IO);
            self.account.discard(self.filled - self.for_file, reason);
            self.for_file = self.filled;
        }
    }

    /// One step of writing to the current file, or beginning another one.
    fn put_some(&mut self, directory: &mut Directory) -> Result<usize, Errno> {
        let start = i64::try_from(self.account.written()).unwrap_or(i64::MAX);
        let mark = Mark { start, dropped: self.account.dropped().0 };
        self.rotation.found(self.files.size(directory, mark)?);
        let bytes = &self.buffer[self.for_file..self.filled];
        match self.rotation.step(bytes) {
            Step::Rotate => {
                self.files.rotate(directory, mark)?;
                self.rotation.rotated();
                Ok(0)
            }
            Step::Write(n) => {
                let n = match self.files.write(&bytes[..n])? {
                    0 => return Err(Errno::IO),
                    n => n,
                };
                self.rotation.wrote(&bytes[..n]);
                self.account.write(n);
                Ok(n)
            }
        }
    }

    /// Makes room in the pipe of a process that writes faster than we read. A pipe of lines is full
    /// with fewer bytes than it could hold: what does not fit into the rest of a page begins another.
    fn widen(&mut self, found: usize) {
        if let Some(pipe) = &self.pipe
            && found > self.capacity / 2
            && !self.widened
        {
            self.widened = true;
            // Refused when the user has many pipes. Then it is not tried again until it is idle.
            if let Ok(capacity) = rustix::pipe::fcntl_setpipe_size(pipe, BUSY_PIPE) {
                self.capacity = capacity;
            }
        }
    }

    /// Gives back what is needed only while something comes.
    fn rest(&mut self) {
        if self.is_busy() {
            return;
        }
        self.buffer.release();
        if let Some(pipe) = &self.pipe
            && self.widened
        {
            self.widened = false;
            if let Ok(capacity) = rustix::pipe::fcntl_setpipe_size(pipe, BUFFER) {
                self.capacity = capacity;
            }
        }
    }

    fn timers(&self) -> [Option<Micros>; 3] {
        let kept = |is_kept: bool, patience: &Patience| {
            if is_kept { patience.retry_at() } else { None }
        };
        [
            kept(self.for_file < self.filled, &self.patience),
            self.console
                .as_ref()
                .and_then(|console| kept(self.for_console < self.filled, &console.patience)),
            self.report_at(),
        ]
    }

    fn report_at(&self) -> Option<Micros> {
        let console = self.console.as_ref().and_then(|console| console.account.due());
        self.account.due().into_iter().chain(console).min()
    }

    fn report(&mut self, now: Micros) -> Report {
        self.account.recorded(now);
        if let Some(console) = &mut self.console {
            console.account.recorded(now);
        }
        Report {
            output: self.output,
            received: self.account.received(),
            dropped: self.account.dropped(),
            console_dropped: self.console.as_ref().map(|console| console.account.dropped()),
        }
    }
}

/// The runner's own output, which others may be slow to read, or not read at all.
#[derive(Debug)]
pub(crate) struct Console {
    fd: OwnedFd,
    kind: Kind,
    account: Account<Errno>,
    patience: Patience,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file takes everything.
    File,
    /// Opened anew, so that writing does not block us, while others go on as they like.
    Own,
    /// A socket can be asked not to block.
    Socket,
    /// Blocks if it is given more than it has room for. When it says that there is some, a small
    /// piece is let in.
    Shared,
}

impl Console {
    /// Takes a share in an inherited output, `/proc/self/fd/NUMBER`. Needs the rights with which it
    /// was opened.
    pub(crate) fn open(
        fd: BorrowedFd<'_>,
        proc: BorrowedFd<'_>,
        path: &std::ffi::CStr,
    ) -> Result<Console, Errno> {
        let own = rustix::io::fcntl_dupfd_cloexec(fd, 3)?;
        let stat = rustix::fs::fstat(&own)?;
        let (fd, kind) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => (own, Kind::File),
            FileType::Socket => (own, Kind::Socket),
            _ => {
                let flags = OFlags::WRONLY
                    | OFlags::APPEND
                    | OFlags::NONBLOCK
                    | OFlags::NOCTTY
                    | OFlags::CLOEXEC;
                match rustix::fs::openat(proc, path, flags, Mode::empty()) {
                    Ok(anew) => (anew, Kind::Own),
                    Err(_) => (own, Kind::Shared),
                }
            }
        };
        Ok(Console { fd, kind, account: Account::new(), patience: Patience::Good })
    }

    /// Writes, and says how much of it is done with: written or dropped.
    fn put(&mut self, now: Micros, bytes: &[u8]) -> usize {
        let mut done = 0;
        let mut verdict = self.patience.admit(now).map_err(|verdict| (verdict, None));
        while verdict.is_ok() && done < bytes.len() {
            match self.write(&bytes[done..]) {
                Ok(n) => {
                    done += n;
                    self.account.write(n);
                    self.patience.succeeded();
                }
                Err(Errno::INTR) => {}
                // It will not come back.
                Err(errno @ (Errno::PIPE | Errno::IO)) => {
                    verdict = Err((Verdict::Drop, Some(errno)));
                }
                Err(errno) => verdict = Err((self.patience.failed(now), Some(errno))),
            }
        }
        if let Err((Verdict::Drop, errno)) = verdict {
            let reason = errno.or(self.account.dropped().1).unwrap_or(Errno::AGAIN);
            self.account.discard(bytes.len() - done, reason);
            done = bytes.len();
        }
        done
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::File | Kind::Own => rustix::io::write(&self.fd, bytes),
            Kind::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                rustix::net::send(&self.fd, bytes, flags)
            }
            Kind::Shared => {
                let mut fds = [PollFd::new(&self.fd, PollFlags::OUT)];
                match rustix::event::poll(&mut fds, Some(&timespec(0))) {
                    Ok(1) => rustix::io::write(&self.fd, &bytes[..bytes.len().min(PIECE)]),
                    Ok(_) => Err(Errno::AGAIN),
                    Err(errno) => Err(errno),
                }
            }
        }
    }
}
