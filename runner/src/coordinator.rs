//! The coordinator: the small supervisor of one process run, a fork of the runner without exec.
//!
//! This is the only module with `unsafe`: it forks. Between fork and exec (or exit) it allocates
//! nothing, takes no lock and calls only what is safe after a fork. What it needs was prepared by
//! `Launch` in the runner.
//!
//! ```text
//! runner                         coordinator                        bash
//!   fork ------------------------> session, descriptors, logs,
//!   FORKED into both streams       chroot, user
//!   go byte ---------------------> fork ----------------------------> exec
//!                                  RUNNING into its stream <--------- (exec done)
//!   copies RUNNING <-------------- note
//!                                  waits, copies logs <-------------- exit
//!                                  SUCCESS, FAILED or KILLED
//!   copies the end <-------------- note, exit
//! ```
//!
//! If anything still has the pipes of copied logs when bash ends (a background process, say), a fork of
//! the coordinator, the *keeper*, goes on copying and ends with them. The run is over all the same. The
//! keeper is a process of the task like any other: what it waits for is told to end in CLEANING, and
//! what outlasts the task's time dies together with it.
//!
//! Rotated logs are compressed, if that is wanted, by further forks, one at a time. These *compressors*
//! are the only ones that allocate, so where there may be one, the coordinator keeps the heap that it
//! inherited. They have the user's rights, the lowest priority, and die of SIGTERM like any process of
//! the task; what they have made counts when the coordinator has given it its name. What waits when
//! bash ends is the keeper's.
//!
//! End of file instead of the go byte means that the runner died before FORKED was on record: the
//! coordinator exits and nothing was started. All signals stay blocked in the coordinator for its
//! whole life; only SIGKILL ends it, and bash dies with it. It outlives the runner.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Gid, Uid};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::logs::files::{Directory, Job, open_log};
use crate::logs::relay::{Channel, Console, Relay, Report};
use crate::logs::{self, Way, gzip};
use crate::proc::parse_stat;
use crate::state::Run;

mod copying;
mod prepare;
mod program;
mod record;

use copying::{copy_and_wait, keep_copying, pause_compressing, wait};
use prepare::{Prepared, become_user, prepare};
pub(crate) use program::{Environment, Program};
pub(crate) use record::{NOTE_SIZE, Note};
use record::{Reason, RecordBuffer, describe_console, describe_log};

/// The longest process name, in bytes: `coordinator.NAME` must be a file name.
pub const MAX_NAME: usize = 255 - "coordinator.".len();

/// Who bash runs as, if not as the runner's own user.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) uid: Uid,
    pub(crate) gid: Gid,
    pub(crate) groups: Vec<Gid>,
}

/// Everything that a coordinator needs, prepared before the fork.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Number of this launch, for notes.
    pub(crate) slot: u32,
    /// Name of the process; also a component of the log path.
    pub(crate) name: &'a CStr,
    /// Number of the run, as a path component.
    pub(crate) run: &'a CStr,
    /// Sequence number of the FORKED record.
    pub(crate) seq: i64,
    /// The coordinator's stream, open for appending and locked.
    pub(crate) stream: BorrowedFd<'a>,
    /// Write end of the notes.
    pub(crate) notes: BorrowedFd<'a>,
    /// The sandbox.
    pub(crate) sandbox: BorrowedFd<'a>,
    /// `/proc`.
    pub(crate) proc: BorrowedFd<'a>,
    /// `/dev/null`, open for reading and writing.
    pub(crate) null: BorrowedFd<'a>,
    /// Where the output of bash goes.
    pub(crate) way: Way,
    /// Whom to become; `None`: stay.
    pub(crate) identity: Option<&'a Identity>,
    /// Become that user only after bash was forked: the program that is executed needs root and
    /// switches by itself.
    pub(crate) late_identity: bool,
    pub(crate) chroot: bool,
    pub(crate) program: &'a Program,
    pub(crate) environment: &'a Environment,
    /// The limit of open files that the runner itself was started with.
    pub(crate) open_files: Option<(u64, u64)>,
    /// The runner's heap, which a coordinator gives back.
    pub(crate) heap: Heap,
}

/// A coordinator that waits for permission to start bash.
#[derive(Debug)]
pub(crate) struct Forked {
    /// Its pid.
    pub(crate) pid: i32,
    go: OwnedFd,
}

impl Forked {
    /// The FORKED record is committed: bash may start.
    pub(crate) fn go(self) {
        // If the coordinator is gone already, its end is noticed elsewhere.
        let _ = rustix::io::write(&self.go, b"g");
    }
}

/// Forks a coordinator. The caller is single-threaded.
pub(crate) fn fork(launch: &Launch<'_>) -> io::Result<Forked> {
    let (go_read, go_write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let everything = SigSet::all();
    let mut before = SigSet::empty();
    // A signal that arrives while the child still has the runner's handlers would wake the runner
    // through their shared pipe. The child never unblocks.
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&everything), Some(&mut before))?;
    // SAFETY: the process has one thread, so no lock can be held by another at this moment; the
    // child runs `supervise`, which calls only async-signal-safe functions and never returns.
    let forked = match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => supervise(launch, go_read.as_fd()),
        Ok(ForkResult::Parent { child }) => Ok(Forked { pid: child.as_raw(), go: go_write }),
        Err(errno) => Err(errno.into()),
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    forked
}

/// Forks a child that makes a file's data durable and exits, so that a slow disk delays nobody.
pub(crate) fn fork_sync(file: BorrowedFd<'_>) -> io::Result<i32> {
    // SAFETY: as in `fork`; the child makes system calls only.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child.as_raw()),
        ForkResult::Child => {
            let mut path = [0u8; 32];
            // Opened anew: the runner's own open file carries its lock, which must not outlive it.
            let fresh = proc_fd_path(file.as_raw_fd(), &mut path).and_then(|path| {
                rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
            });
            if let Some(fresh) = fresh {
                close_all_but(&[fresh.as_raw_fd()]);
                let _ = rustix::fs::fdatasync(&fresh);
            }
            exit()
        }
    }
}

/// Detaches from the terminal and the caller: the caller's process ends with 0, and a grandchild
/// goes on in a session of its own, with these files as output. Call it while there is one thread.
pub fn daemonize(
    stdout: &std::path::Path,
    stderr: &std::path::Path,
    pidfile: Option<&std::path::Path>,
) -> io::Result<()> {
    let open =
        |path: &std::path::Path| std::fs::File::options().create(true).append(true).open(path);
    let (stdout, stderr) = (open(stdout)?, open(stderr)?);
    let stdin = std::fs::File::open("/dev/null")?;
    for _ in 0..2 {
        // SAFETY: the process has one thread; the parent exits at once, the child goes on as if
        // nothing had happened.
        if let ForkResult::Parent { .. } = unsafe { nix::unistd::fork() }? {
            exit()
        }
        let _ = nix::unistd::setsid();
    }
    rustix::stdio::dup2_stdin(&stdin)?;
    rustix::stdio::dup2_stdout(&stdout)?;
    rustix::stdio::dup2_stderr(&stderr)?;
    if let Some(pidfile) = pidfile {
        std::fs::write(pidfile, format!("{}\n", std::process::id()))?;
    }
    Ok(())
}

/// Takes a descriptor over that the process was started with, by its number.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: borrowed only to make a descriptor of our own, which fails if there is none.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let own = rustix::io::fcntl_dupfd_cloexec(borrowed, 3)?;
    // So that nothing that we start inherits the original.
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    Ok(own)
}

/// Opens a stream once more, without the lock that comes with a descriptor.
fn reopen(proc: BorrowedFd<'_>, stream: BorrowedFd<'_>) -> Option<OwnedFd> {
    use std::io::Write as _;
    let mut path = [0u8; 24];
    write!(&mut path[..23], "self/fd/{}", stream.as_raw_fd()).ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC;
    rustix::fs::openat(proc, path, flags, Mode::empty()).ok()
}

fn proc_fd_path(fd: RawFd, buffer: &mut [u8; 32]) -> Option<&CStr> {
    use std::io::Write as _;
    write!(&mut buffer[..31], "/proc/self/fd/{fd}").ok()?;
    CStr::from_bytes_until_nul(buffer).ok()
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This child ended; its return code, negative for a signal.
    Child(i32, i32),
    /// There are children, and all of them live.
    NoneDead,
    /// There is no child.
    NoChildren,
}

/// Collects one dead child.
pub fn reap(block: bool) -> Reaped {
    loop {
        let mut status: c_int = 0;
        // SAFETY: `status` is a valid place for the answer.
        let pid = unsafe { libc::waitpid(-1, &mut status, if block { 0 } else { libc::WNOHANG }) };
        if pid > 0 {
            let code = if libc::WIFSIGNALED(status) {
                -libc::WTERMSIG(status)
            } else {
                libc::WEXITSTATUS(status)
            };
            return Reaped::Child(pid, code);
        }
        match pid {
            0 => return Reaped::NoneDead,
            _ if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
            _ => return Reaped::NoChildren,
        }
    }
}

/// What a process is after [`fork_on`].
enum Twin {
    /// The new one.
    Child,
    /// The old one; the pid of the new one.
    Parent(i32),
    /// There is no room for another one.
    None,
}

/// Forks a process that goes on like this one.
fn fork_on() -> Twin {
    // SAFETY: like `fork`, without the C library's handlers, of which none is needed: this process
    // has one thread, which is not using the heap, if it still has one. The child goes on with what
    // is on the stack and in pages of its own.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        0 => Twin::Child,
        pid => i32::try_from(pid).ok().filter(|pid| *pid > 0).map_or(Twin::None, Twin::Parent),
    }
}

/// Takes the lowest priority for processor and disk.
fn yield_to_others() {
    const WHO_PROCESS: i32 = 1;
    const CLASS_IDLE: i32 = 3 << 13;
    let _ = rustix::process::setpriority_process(None, 19);
    // SAFETY: of this process, it changes nothing but the order of input and output.
    unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, CLASS_IDLE) };
}

/// The output and error that this process was started with.
fn standard_outputs() -> (BorrowedFd<'static>, BorrowedFd<'static>) {
    // SAFETY: both are open: the runner was started with them, or with `/dev/null` in their place.
    unsafe { (BorrowedFd::borrow_raw(1), BorrowedFd::borrow_raw(2)) }
}

fn exit() -> ! {
    exit_with(0)
}

fn exit_with(code: i32) -> ! {
    // SAFETY: ends the process at once, without running what the runner registered for its exit.
    unsafe { libc::_exit(code) }
}

/// Why a run could not be prepared or started.
#[derive(Clone, Copy)]
struct Trouble {
    doing: &'static str,
    errno: Errno,
}

fn trouble(doing: &'static str) -> impl FnOnce(Errno) -> Trouble {
    move |errno| Trouble { doing, errno }
}

fn trouble_nix(doing: &'static str) -> impl FnOnce(nix::errno::Errno) -> Trouble {
    move |errno| Trouble { doing, errno: Errno::from_raw_os_error(errno as i32) }
}

/// The life of a coordinator.
fn supervise(launch: &Launch<'_>, go: BorrowedFd<'_>) -> ! {
    close_all_but(&[
        launch.stream.as_raw_fd(),
        launch.notes.as_raw_fd(),
        launch.sandbox.as_raw_fd(),
        launch.proc.as_raw_fd(),
        launch.null.as_raw_fd(),
        go.as_raw_fd(),
    ]);
    let _ = nix::unistd::setsid();
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let _ = rustix::thread::set_name(c"thermos_coord");
    let unlocked = match launch.way {
        Way::Copy { .. } => reopen(launch.proc, launch.stream),
        Way::File | Way::Console | Way::Discard => None,
    };
    let prepared = prepare(launch);
    let mut byte = [0u8];
    loop {
        match rustix::io::read(go, &mut byte) {
            Ok(0) => exit(),
            Err(Errno::INTR) => {}
            // The descriptor is ours and valid; without a go byte nothing may start.
            Err(_) => exit(),
            Ok(_) => break,
        }
    }
    let mut recorder = Recorder::new(launch, unlocked);
    let mut tries = 0;
    let (start_time, started) = loop {
        let start_time = wall_seconds();
        let started = match &prepared {
            Ok(prepared) => start(launch, prepared),
            Err(trouble) => Err(*trouble),
        };
        match started {
            // The user may have as many processes as he is allowed to. That passes; but two that
            // wait for room may be what takes it up, so nobody waits for long.
            Err(Trouble { doing: FORK, errno: Errno::AGAIN | Errno::NOMEM }) => {
                tries += 1;
                if tries > FORK_TRIES + launch.slot % FORK_TRIES {
                    exit_with(NO_ROOM)
                }
                let delay = rustix::time::Timespec { tv_sec: 0, tv_nsec: FORK_DELAY_NS };
                let _ = rustix::thread::nanosleep(&delay);
            }
            started => break (start_time, started),
        }
    };
    let pid = match started {
        Ok(pid) => pid,
        Err(trouble) => {
            let reason = Reason::new(trouble, launch.program);
            if let Ok(prepared) = &prepared {
                // Where the user looks first.
                let line = [b"thermos: ".as_slice(), reason.text(), b"\n"];
                match (&prepared.relay, &prepared.files) {
                    (Some(relay), _) => relay.complain(&line),
                    (None, Some((_, stderr))) => line.iter().for_each(|part| {
                        let _ = rustix::io::write(stderr, part);
                    }),
                    (None, None) => {}
                }
            }
            // Readers of streams know no way from FORKED to FAILED but through RUNNING.
            let code = if trouble.errno == Errno::NOENT { 127 } else { 126 };
            recorder.running(start_time, rustix::process::getpid().as_raw_pid(), None);
            recorder.ended(code, Some(&reason), false);
            exit()
        }
    };
    // Our ends of what bash writes to are closed: its own are the last ones.
    let mut relay = prepared.ok().and_then(|prepared| prepared.relay);
    if launch.late_identity {
        // From here on only the outcome is recorded; that needs no privilege.
        let is_user = become_user(launch).is_ok();
        if let (false, Some(relay)) = (is_user, &mut relay) {
            relay.stop_compressing();
        }
    }
    recorder.running(start_time, pid, start_ticks(launch.proc, pid));
    if !relay.as_ref().is_some_and(Relay::compresses) {
        // For the long wait, nothing is kept that the runner could share or must copy.
        // SAFETY: `recorder` holds everything that is used from here on, on the stack. Only
        // compressors need a heap.
        unsafe { launch.heap.abandon() };
    }
    release_stack();
    let code = match &mut relay {
        None => wait(pid),
        Some(relay) => copy_and_wait(pid, relay, &mut recorder),
    };
    if let Some(relay) = &mut relay {
        pause_compressing(relay);
        if code == -libc::SIGTERM {
            // Everything that the task started was told to end.
            relay.stop_compressing();
        }
    }
    let leftovers = loop {
        match reap(false) {
            Reaped::Child(..) => {}
            Reaped::NoneDead => break true,
            Reaped::NoChildren => break false,
        }
    };
    if let Some(relay) = &mut relay {
        relay.settle();
        relay.reports().for_each(|report| recorder.log(report));
        let is_done = relay.is_over() && !relay.is_compressing();
        if !is_done && !keep_copying(relay, &mut recorder) {
            relay.give_up();
            relay.reports().for_each(|report| recorder.log(report));
        }
    }
    recorder.ended(code, None, leftovers);
    exit()
}

/// Bytes of stack for the child between clone and exec.
const CHILD_STACK: usize = 16 << 10;

/// What the child between clone and exec shares with its coordinator, which waits meanwhile.
struct Execution<'a> {
    launch: &'a Launch<'a>,
    prepared: &'a Prepared,
    coordinator: rustix::process::Pid,
    /// Why the program could not be executed; 0: it was.
    errno: i32,
}

/// Starts the program; returns its pid once it is executed.
///
/// The child borrows our memory until it executes (as `vfork` does): no page table is copied, and
/// what went wrong needs no pipe.
fn start(launch: &Launch<'_>, prepared: &Prepared) -> Result<i32, Trouble> {
    extern "C" fn child(execution: *mut libc::c_void) -> c_int {
        // SAFETY: `start` passes a pointer to its own `Execution` and is suspended until this
        // process executes or exits.
        let execution = unsafe { &mut *execution.cast::<Execution<'_>>() };
        let errno = execute(execution.launch, execution.prepared, execution.coordinator);
        execution.errno = errno.raw_os_error();
        exit()
    }
    #[repr(align(16))]
    struct Stack([std::mem::MaybeUninit<u8>; CHILD_STACK]);

    let mut stack = Stack([const { std::mem::MaybeUninit::uninit() }; CHILD_STACK]);
    let mut execution =
        Execution { launch, prepared, coordinator: rustix::process::getpid(), errno: 0 };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from its aligned end and outlives the child's use of it, because
    // CLONE_VFORK suspends us until the child executes or exits. All signals are blocked, so no
    // handler runs on it. The child touches nothing of ours but `execution`.
    let pid = unsafe {
        let top = stack.0.as_mut_ptr().add(CHILD_STACK);
        libc::clone(child, top.cast(), flags, (&raw mut execution).cast())
    };
    if pid < 0 {
        let errno = Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL);
        return Err(Trouble { doing: FORK, errno });
    }
    // SAFETY: the child wrote it, if at all, before it exited; the compiler must not assume that it
    // is still what was stored above.
    match unsafe { (&raw const execution.errno).read_volatile() } {
        0 => Ok(pid),
        errno => {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None);
            Err(Trouble { doing: EXECUTE, errno: Errno::from_raw_os_error(errno) })
        }
    }
}

/// What is tried when there is no room for another process.
const FORK: &str = "fork";

/// How often, and with which pause, a coordinator tries to fork when there is no room; some try up
/// to twice as often.
const FORK_TRIES: u32 = 5;
const FORK_DELAY_NS: i64 = 200_000_000;

/// Exit code of a coordinator that found no room for bash. The run is lost, and made again.
pub(crate) const NO_ROOM: i32 = 11;

/// How often, once a second, a coordinator tries to write a record to a full disk; longer than a
/// runner does.
const WRITE_TRIES: u32 = 120;

/// What is tried when the program itself is the trouble; its path follows in messages.
const EXECUTE: &str = "execute ";

/// Becomes the program; returns only why that failed. Runs in memory that it shares.
fn execute(launch: &Launch<'_>, prepared: &Prepared, coordinator: rustix::process::Pid) -> Errno {
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(errno) = rustix::process::set_parent_process_death_signal(kill) {
        return errno;
    }
    if rustix::process::getppid() != Some(coordinator) {
        // The coordinator died in between: nobody would supervise this run.
        exit();
    }
    if let Some((stdout, stderr)) = &prepared.files
        && let Err(errno) =
            rustix::stdio::dup2_stdout(stdout).and_then(|()| rustix::stdio::dup2_stderr(stderr))
    {
        return errno;
    }
    if let Some((soft, hard)) = launch.open_files {
        let limit = rustix::process::Rlimit { current: Some(soft), maximum: Some(hard) };
        let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    }
    default_signals();
    let environment = &launch.environment;
    let environment =
        if prepared.has_profile { &environment.with_profile } else { &environment.without_profile };
    let program = launch.program;
    // SAFETY: both arrays end with a null pointer and point into strings that `launch` keeps alive.
    unsafe { libc::execve(program.path.as_ptr(), program.argv.as_ptr(), environment.as_ptr()) };
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

/// Every signal does what it does by default, and none is blocked.
fn default_signals() {
    // The kernel's form of SIG_DFL. By system call, because the C library refuses the two signals
    // that it keeps for itself, and some parents leave those ignored.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: sets a default disposition; what cannot be set is refused.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null::<u8>(),
                8,
            )
        };
    }
    // SAFETY: an empty mask; nothing else is touched.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}

/// The heap of this process, for giving it back: from the first address of the heap at the start of
/// the runner to its end at the moment of the call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heap {
    start: usize,
}

impl Heap {
    /// Finds the heap.
    pub(crate) fn find() -> Heap {
        const PAGE: usize = 4096;
        // What a static C library puts at the beginning of the heap for the main thread.
        const THREAD: usize = 4 * PAGE;

        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let range = maps.lines().find(|line| line.ends_with("[heap]")).and_then(|line| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            Some(number(start)?..number(end)?)
        });
        let Some(range) = range else { return Heap::default() };
        // SAFETY: asks for an address; every thread has one.
        let thread = unsafe { libc::__errno_location() } as usize;
        let start = if range.contains(&thread) { thread + THREAD } else { range.start };
        Heap { start: start.next_multiple_of(PAGE) }
    }

    /// Gives all of it back to the system. What the runner had there at the fork is gone for this
    /// process.
    ///
    /// # Safety
    /// Nothing in this process may use the heap afterwards.
    unsafe fn abandon(self) {
        // SAFETY: asks for the end of the heap; changes nothing.
        let end = unsafe { libc::sbrk(0) } as usize;
        let length = end.saturating_sub(self.start);
        if self.start != 0 && length > 0 {
            // SAFETY: the caller's promise; the range is the heap and page-aligned at its start.
            unsafe {
                libc::madvise(self.start as *mut libc::c_void, length, libc::MADV_DONTNEED);
            }
        }
    }
}

/// Gives back what deeper calls have left on the stack: preparing a run takes more of it than waiting.
#[inline(never)]
fn release_stack() {
    const PAGE: usize = 4096;
    // More than anything here uses, and less than the gap of 1 MiB that the kernel keeps free of other
    // mappings below a stack.
    const DEPTH: usize = 128 << 10;

    let here = 0u8;
    let end = (std::hint::black_box(&raw const here) as usize & !(PAGE - 1)) - PAGE;
    // SAFETY: this frame lies below those of all callers, and the range ends at least a page below
    // it, which is room for the call: nothing that anybody will read again is in the range, and
    // nothing but the stack can be.
    unsafe { libc::madvise((end - DEPTH) as *mut libc::c_void, DEPTH, libc::MADV_DONTNEED) };
}

/// Memory of its own, apart from heap and stack, which can be given back and used again.
#[derive(Debug)]
pub(crate) struct Pages {
    start: std::ptr::NonNull<u8>,
    length: usize,
}

impl Pages {
    /// So many bytes, all of them 0; none of it takes memory before it is used.
    pub(crate) fn map(length: usize) -> Result<Pages, Errno> {
        // SAFETY: a new private mapping at a place of the kernel's choice touches nothing of ours.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match std::ptr::NonNull::new(start.cast::<u8>()) {
            Some(place) if start != libc::MAP_FAILED => Ok(Pages { start: place, length }),
            _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::NOMEM)),
        }
    }

    /// Gives the memory back; the bytes are 0 again.
    pub(crate) fn release(&mut self) {
        // SAFETY: the range is our own mapping, and the exclusive reference says that nobody looks.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_DONTNEED) };
    }
}

impl std::ops::Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is readable, initialised by the kernel, and lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl std::ops::DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; it is writable, and the reference is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Closes every descriptor above standard error except these.
fn close_all_but<const N: usize>(keep: &[RawFd; N]) {
    let mut keep = *keep;
    keep.sort_unstable();
    let mut from = 3;
    for fd in keep {
        if fd < from {
            continue;
        }
        close_range(from, fd - 1);
        from = fd + 1;
    }
    close_range(from, RawFd::MAX);
}

fn close_range(from: RawFd, to: RawFd) {
    if from > to {
        return;
    }
    // SAFETY: closes descriptors that nothing in this process refers to any more: the child never
    // returns to the code that owns them.
    let done = unsafe { libc::close_range(from as u32, to as u32, 0) };
    if done != 0 && to == RawFd::MAX {
        // Kernels before 5.9: what matters are the streams' locks, and those have low numbers.
        for fd in from..4096 {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

fn wall_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    // Microseconds, as the original records.
    now.tv_sec as f64 + (now.tv_nsec / 1000) as f64 / 1e6
}

fn start_ticks(proc: BorrowedFd<'_>, pid: i32) -> Option<i64> {
    use std::io::Write as _;
    let mut path = [0u8; 24];
    write!(&mut path[..23], "{pid}/stat").ok()?;
    let path = CStr::from_bytes_until_nul(&path).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, path, flags, Mode::empty()).ok()?;
    let mut text = [0u8; 512];
    let n = rustix::io::read(&file, &mut text).ok()?;
    Some(parse_stat(&text[..n])?.ticks)
}

/// Writes the coordinator's records. Holds no reference to the heap.
struct Recorder {
    stream: RawFd,
    notes: RawFd,
    slot: u32,
    /// Number of the run.
    run: i32,
    seq: i64,
    name: [u8; MAX_NAME],
    name_length: usize,
    /// The stream, opened anew for a keeper: the lock on it must not outlive the coordinator.
    unlocked: Option<OwnedFd>,
}

impl Recorder {
    fn new(launch: &Launch<'_>, unlocked: Option<OwnedFd>) -> Recorder {
        let bytes = launch.name.to_bytes();
        let name_length = bytes.len().min(MAX_NAME);
        let mut name = [0; MAX_NAME];
        name[..name_length].copy_from_slice(&bytes[..name_length]);
        Recorder {
            stream: launch.stream.as_raw_fd(),
            notes: launch.notes.as_raw_fd(),
            slot: launch.slot,
            run: launch.run.to_str().ok().and_then(|run| run.parse().ok()).unwrap_or(0),
            seq: launch.seq,
            name,
            name_length,
            unlocked,
        }
    }

    /// From now on only logs are recorded, and neither a lock is held nor a note sent.
    fn retire(&mut self) {
        for fd in [self.stream, self.notes] {
            // SAFETY: both are used by `self` alone, and below no more.
            unsafe { libc::close(fd) };
        }
        self.notes = -1;
        // Without a descriptor, records go nowhere.
        self.stream = self.unlocked.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    }

    fn running(&mut self, start_time: f64, pid: i32, ticks: Option<i64>) {
        let mut record = self.begin(Run::Running);
        record.double(6, start_time);
        record.i32(7, pid);
        if let Some(ticks) = ticks {
            record.i64(101, ticks);
        }
        self.commit(record, false, false);
    }

    fn ended(&mut self, code: i32, reason: Option<&Reason>, leftovers: bool) {
        let run = match code {
            0 => Run::Success,
            1.. => Run::Failed,
            _ => Run::Killed,
        };
        let mut record = self.begin(run);
        record.double(8, wall_seconds());
        record.i32(9, code);
        if let Some(reason) = reason {
            record.string(102, reason.text());
        }
        self.commit(record, true, leftovers);
    }

    /// How far an output has been copied. A full disk may also be the one that the streams are on:
    /// there is one try, and what could not be recorded is part of the next record.
    fn log(&mut self, report: Report) {
        if self.stream < 0 {
            return;
        }
        let mut record = RecordBuffer::new(RecordBuffer::LOG_STATUS);
        record.string(1, &self.name[..self.name_length]);
        record.i32(2, self.run);
        record.string(3, report.output.name().as_bytes());
        record.double(4, wall_seconds());
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        record.i64(5, count(report.received));
        let (dropped, reason) = report.dropped;
        record.i64(6, count(dropped));
        if let Some(errno) = reason {
            record.string(7, describe_log(errno).as_bytes());
        }
        if let Some((dropped, reason)) = report.console_dropped {
            record.i64(8, count(dropped));
            if let Some(errno) = reason {
                record.string(9, describe_console(errno).as_bytes());
            }
        }
        // SAFETY: the descriptor is open as long as it is here.
        let stream = unsafe { BorrowedFd::borrow_raw(self.stream) };
        let bytes = record.finish();
        match rustix::io::write(stream, bytes) {
            Ok(n) if n < bytes.len() => cut(stream, n),
            Ok(_) | Err(_) => {}
        }
    }

    fn begin(&mut self, run: Run) -> RecordBuffer {
        self.seq = self.seq.saturating_add(1);
        let mut record = RecordBuffer::new(RecordBuffer::PROCESS_STATUS);
        record.i64(1, self.seq);
        record.string(3, &self.name[..self.name_length]);
        record.i32(5, run.wire().0);
        record
    }

    fn commit(&self, mut record: RecordBuffer, ended: bool, leftovers: bool) {
        // SAFETY: both descriptors are open for the whole life of a coordinator.
        let (stream, notes) =
            unsafe { (BorrowedFd::borrow_raw(self.stream), BorrowedFd::borrow_raw(self.notes)) };
        // One write: readers of a growing stream see all of it or a torn tail that grows.
        let bytes = record.finish();
        let (mut written, mut tries) = (0, 0);
        while written < bytes.len() {
            match rustix::io::write(stream, &bytes[written..]) {
                Ok(n) => written += n,
                Err(Errno::INTR) => {}
                Err(_) if tries < WRITE_TRIES => {
                    // A full disk. How the run ended is worth waiting for space.
                    tries += 1;
                    cut(stream, written);
                    written = 0;
                    let second = rustix::time::Timespec { tv_sec: 1, tv_nsec: 0 };
                    let _ = rustix::thread::nanosleep(&second);
                }
                // The runner notices the end of a coordinator that recorded nothing.
                Err(_) => break,
            }
        }
        let note = Note { slot: self.slot, ended, leftovers };
        // Nobody reads when the runner is dead; a new runner finds the record in the stream.
        let _ = rustix::io::write(notes, &note.encode());
    }
}

/// Cuts so many bytes off the end of a stream: a torn record would hide the next one.
fn cut(stream: BorrowedFd<'_>, bytes: usize) {
    if bytes > 0
        && let Ok(stat) = rustix::fs::fstat(stream)
    {
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let _ = rustix::fs::ftruncate(stream, size.saturating_sub(bytes as u64));
    }
}

#[cfg(test)]
mod tests;
