//! The shell around the engine: one thread, one loop, no polling.
//!
//! It turns the world into events (signals, notes of coordinators, dead children, the clock) and the
//! engine's effects into the world (records, forks, signals, files). It decides nothing about the
//! task.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use aurora_api::thermos::{LogStatus, ProcessState, RunnerCkpt, RunnerHeader};
use aurora_schema::task::{Logger, Task};
use nix::unistd::{Gid, Uid};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, Signal};
use rustix::time::{ClockId, clock_gettime};

use crate::coordinator::{
    self, Environment, Forked, Heap, Identity, Launch, MAX_NAME, NOTE_SIZE, Note, Program, Reaped,
};
use crate::engine::{Claim, Controller, Effect, Engine, Event, Level, Now};
use crate::error::RunError;
use crate::files::{self, LastName, TaskFiles, failed};
use crate::log;
use crate::logs::Way;
use crate::plan::Micros;
use crate::proc::{Handle, Proc, Stat};
use crate::reach::Reach;
use crate::signals::{Request, Signals};
use crate::state::{Run, Stage};
use crate::stream::{Next, Reader, Writer, frame};
use crate::users::User;

mod launching;
mod setup;
mod signals;
mod takeover;

use setup::{environment, header, program, raise_open_files, replay};

/// The grace of a kill, in seconds, if `finalization_wait` is shorter.
pub const DEFAULT_GRACE: i64 = 60;

/// Records are made durable so long after the first of them, in microseconds.
const SYNC_DELAY: Micros = 1_000_000;

/// How long a full disk may hold up a record before the task is given up, in seconds.
const WRITE_PATIENCE: u32 = 60;

/// A fork or an open file that the system has no room for is tried again after this time.
const RETRY: Micros = 1_000_000;

/// So long after a shortage of processes there is one launch at a time, with this pause.
const SHORTAGE: Micros = 10_000_000;
const SHORT_RETRY: Micros = 100_000;

/// A coordinator's stream that is still locked is tried again after this time, so many times.
const LOCK_RETRY: Micros = 50_000;
const LOCK_RETRIES: u32 = 200;

/// How often, and with which pause, a runner that starts tries to lock its stream.
const START_LOCK_RETRIES: u32 = 25;
const START_LOCK_DELAY: Duration = Duration::from_millis(10);

/// One task, ready to be run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The task, interpolated and checked.
    pub task: Task,
    /// The same as the JSON that is stored.
    pub task_json: String,
    /// Names the task below the checkpoint root; one file name.
    pub task_id: String,
    /// Working directory of the processes; made if it does not exist.
    pub sandbox: PathBuf,
    /// Checkpoint root.
    pub root: PathBuf,
    /// Host name for the header.
    pub hostname: String,
    /// Who the processes run as.
    pub user: User,
    /// Become that user (needs root). If false, `user` is who runs this.
    pub switch_user: bool,
    /// Change the root directory of processes to the sandbox (needs root).
    pub chroot: bool,
    /// Pass the runner's own environment on.
    pub preserve_env: bool,
    /// Ports for the header.
    pub ports: std::collections::BTreeMap<String, i64>,
    /// Mesos' containerizer helper: processes run in the file system image `$MESOS_DIRECTORY/taskfs`.
    pub containerizer: Option<Containerizer>,
    /// Total runs of each process; 0: no limit.
    pub run_limit: u32,
    /// Seconds of grace for a kill, exactly; `None`: the larger of `finalization_wait` and 60.
    pub grace: Option<i64>,
    /// For processes without a logger of their own.
    pub logger: Logger,
    /// Rotated logs are compressed, whoever's logger it is.
    pub compress: bool,
    /// A socket whose other end is held by whoever supervises the runner. It is told of every state
    /// of the task by one byte, the state's number; it may send [`StopOrder`]s; when it closes its
    /// end, or dies, the task is ended. Somebody who supervises also says that sandbox and checkpoint
    /// root lie in a directory that may belong to the task's user.
    pub supervisor: Option<std::sync::Arc<OwnedFd>>,
}

/// A supervisor's order to end the task within a certain time; on the wire the number of the goal's
/// state and the time in milliseconds, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopOrder {
    /// [`Stage::Killed`] or [`Stage::Lost`].
    pub goal: Stage,
    /// Time for everything up to the terminal state, in milliseconds.
    pub grace_ms: u32,
}

impl StopOrder {
    /// Bytes of an order.
    pub const SIZE: usize = 5;

    /// The order on the wire.
    pub fn encode(self) -> [u8; StopOrder::SIZE] {
        let [a, b, c, d] = self.grace_ms.to_be_bytes();
        [self.goal.wire().0 as u8, a, b, c, d]
    }

    /// `None` for anything that is no order.
    pub fn decode(bytes: [u8; StopOrder::SIZE]) -> Option<StopOrder> {
        let [goal, grace @ ..] = bytes;
        let goal = Stage::ALL.into_iter().find(|stage| stage.wire().0 == i32::from(goal))?;
        matches!(goal, Stage::Killed | Stage::Lost)
            .then_some(StopOrder { goal, grace_ms: u32::from_be_bytes(grace) })
    }
}

/// How processes are run inside a file system image.
#[derive(Clone, Debug)]
pub struct Containerizer {
    /// The helper.
    pub path: PathBuf,
    /// The root of the image.
    pub rootfs: PathBuf,
    /// Path of the sandbox inside the image.
    pub sandbox: String,
    /// Does the helper take `--launch_info` (Mesos 1.2 and later)?
    pub takes_launch_info: bool,
}

/// A coordinator that has not been reaped.
#[derive(Debug)]
struct Live {
    process: u32,
    pid: i32,
    stream: File,
    /// How much of the stream was read.
    offset: u64,
    /// Its run has ended, and it has said whether anything is left.
    ended: bool,
    leftovers: bool,
    /// Not our child: it survived the runner that forked it.
    adopted: Option<Handle>,
}

/// The event loop.
#[derive(Debug)]
pub struct Shell<'a> {
    settings: Settings,
    signals: &'a Signals,
    files: TaskFiles,
    writer: Writer,
    engine: Engine,
    reach: Reach,
    sandbox: OwnedFd,
    null: OwnedFd,
    notes_read: OwnedFd,
    notes_write: OwnedFd,
    environment: Environment,
    identity: Option<Identity>,
    open_files: Option<(u64, u64)>,
    heap: Heap,

    reader: Reader,
    slots: Vec<Option<Live>>,
    free: Vec<u32>,
    by_pid: HashMap<i32, u32>,
    /// Slot of the current run of a process.
    current: HashMap<u32, u32>,
    /// Forked, and its FORKED record is not committed yet.
    waiting_for_go: Option<(u32, Forked)>,
    forked_frame: Vec<u8>,
    lock_retries: HashMap<u32, u32>,
    /// What survived an adopted coordinator and was told to end.
    strays: Vec<Handle>,
    /// When to look again for what an adopted coordinator records; it cannot send notes.
    settle_at: Option<(Micros, Micros)>,
    sync_at: Option<Micros>,
    syncing: Option<i32>,
    interrupted: bool,
    /// While there is little room for processes, one is started after the other.
    short_until: Micros,
    /// Is there a note to read?
    noted: bool,
    /// Was everything told to die?
    killing: bool,
    supervisor: Option<std::sync::Arc<OwnedFd>>,
    /// The state that the supervisor knows.
    told: Option<Stage>,
}

fn micros(time: Timespec) -> Micros {
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000)
}

fn now() -> Now {
    Now {
        wall: micros(clock_gettime(ClockId::Realtime)),
        mono: micros(clock_gettime(ClockId::Monotonic)),
    }
}

/// Runs a task to its end, or takes over one that is running, and returns its terminal state.
pub fn run(settings: Settings, signals: &Signals) -> Result<Stage, RunError> {
    match Shell::open(settings, signals)? {
        Opened::Finished(stage) => Ok(stage),
        Opened::Running(mut shell) => {
            let stage = shell.run();
            crate::logging::flush();
            stage
        }
    }
}

enum Opened<'a> {
    /// The task was over before we came.
    Finished(Stage),
    Running(Box<Shell<'a>>),
}

impl<'a> Shell<'a> {
    // ---- start ----

    fn open(settings: Settings, signals: &'a Signals) -> Result<Opened<'a>, RunError> {
        if let Some(why) = files::bad_file_name(&settings.task_id) {
            return Err(RunError::TaskId { id: settings.task_id, why });
        }
        let proc = Proc::open().map_err(failed("open", "/proc"))?;
        let last = match settings.supervisor {
            Some(_) => LastName::MustNotBeLink,
            None => LastName::MayBeLink,
        };
        let files = TaskFiles::create(&settings.root, &settings.task_id, last)?;
        let (stream, size) = files.open_stream("runner")?;
        let path = files.stream_path("runner");
        let mut locked = files::try_lock(&stream).map_err(failed("lock", &path))?;
        for _ in 0..START_LOCK_RETRIES {
            if locked {
                break;
            }
            // A coordinator that was forked just before its runner died lets go of what it
            // inherited in a moment.
            std::thread::sleep(START_LOCK_DELAY);
            locked = files::try_lock(&stream).map_err(failed("lock", &path))?;
        }

        let header = header(&settings, now());
        let me = proc.stat(std::process::id() as i32);
        let reach = Reach::new(proc, settings.user.uid);
        let controller = Controller {
            pid: std::process::id() as i32,
            uid: rustix::process::getuid().as_raw() as i32,
            ticks: me.map(|stat| stat.ticks),
            boot_id: reach.boot_id().map(str::to_owned),
        };
        let mut engine = Engine::new(&settings.task, header, controller, settings.run_limit);
        let length = replay(&mut engine, &stream, &path)?;
        if let Some(stage) = engine.stage().filter(|stage| stage.is_terminal()) {
            // The last runner may have died between the record and the move.
            files.retire_task()?;
            return Ok(Opened::Finished(stage));
        }
        if !locked {
            return Err(RunError::Locked { stream: path });
        }
        if engine.stage().is_none() && files.stored_task(true)?.is_some() {
            return Err(RunError::Finished { file: files.task_path(true) });
        }
        if let Some(stored) = files.stored_task(false)?
            && !aurora_schema::task::same_task(&stored, &settings.task_json)
        {
            return Err(RunError::Changed { file: files.task_path(false) });
        }
        if size > length {
            log!(
                Level::Warn,
                "{}: cut off a torn record of {} bytes at byte {length}",
                path.display(),
                size - length
            );
            stream.set_len(length).map_err(failed("truncate", &path))?;
        }

        let sandbox = files::operator_directory(&settings.sandbox, last)?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed("open", "/dev/null"))?;
        let cloexec = rustix::pipe::PipeFlags::CLOEXEC;
        let (notes_read, notes_write) =
            rustix::pipe::pipe_with(cloexec).map_err(failed("make", "a pipe"))?;
        rustix::fs::fcntl_setfl(&notes_read, OFlags::NONBLOCK).map_err(failed("set", "a pipe"))?;
        if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
            log!(
                Level::Warn,
                "cannot become subreaper ({error}): escaped processes will be missed"
            );
        }
        let identity = settings.switch_user.then(|| Identity {
            uid: Uid::from_raw(settings.user.uid),
            gid: Gid::from_raw(settings.user.gid),
            groups: settings.user.groups.iter().copied().map(Gid::from_raw).collect(),
        });
        Ok(Opened::Running(Box::new(Shell {
            environment: environment(&settings),
            open_files: raise_open_files(),
            heap: Heap::find(),
            writer: Writer::new(stream, length),
            supervisor: settings.supervisor.clone(),
            told: None,
            killing: false,
            settings,
            signals,
            files,
            engine,
            reach,
            sandbox,
            null,
            notes_read,
            notes_write,
            identity,
            reader: Reader::short(),
            slots: Vec::new(),
            free: Vec::new(),
            by_pid: HashMap::new(),
            current: HashMap::new(),
            waiting_for_go: None,
            forked_frame: Vec::new(),
            lock_retries: HashMap::new(),
            strays: Vec::new(),
            settle_at: None,
            sync_at: None,
            syncing: None,
            interrupted: false,
            short_until: Micros::MIN,
            noted: true,
        })))
    }

    fn run(&mut self) -> Result<Stage, RunError> {
        let takeover = self.engine.stage().is_some();
        self.tell(Event::Start)?;
        if takeover {
            self.recover()?;
        }
        self.tell(Event::Recovered)?;
        loop {
            for request in self.signals.take() {
                self.request(request)?;
            }
            let child = self.signals.take_child();
            // A coordinator sends its notes before it dies.
            if child || self.noted {
                self.read_notes()?;
            }
            if child {
                self.reap()?;
                if self.killing && !self.engine.is_terminal() {
                    // Something has died, and something else may have taken its place.
                    self.kill();
                }
            }
            self.watch_adopted()?;
            let now = now();
            if self.engine.wakeup().is_some_and(|at| at <= now.mono) {
                self.tell(Event::Tick)?;
            }
            if let Some(stage) = self.engine.stage().filter(|stage| stage.is_terminal()) {
                self.commit()?;
                self.tell_supervisor();
                let _ = rustix::fs::fdatasync(self.writer.file());
                return Ok(stage);
            }
            self.commit()?;
            self.tell_supervisor();
            if self.wait() {
                self.read_supervisor()?;
            }
        }
    }

    // ---- the world becomes events ----

    fn tell(&mut self, event: Event) -> Result<(), RunError> {
        let mut todo: VecDeque<Effect> = VecDeque::new();
        let mut effects = Vec::new();
        self.engine.handle(now(), event, &mut effects);
        todo.extend(effects.drain(..));
        while let Some(effect) = todo.pop_front() {
            if let Some(event) = self.perform(effect)? {
                self.engine.handle(now(), event, &mut effects);
                // What follows from an effect comes before the effects that were still to come.
                for effect in effects.drain(..).rev() {
                    todo.push_front(effect);
                }
            }
        }
        Ok(())
    }

    fn request(&mut self, request: Request) -> Result<(), RunError> {
        let wait = self.settings.task.finalization_wait;
        let grace =
            self.settings.grace.unwrap_or(wait.max(DEFAULT_GRACE)).clamp(0, i32::MAX.into());
        let (goal, seconds) = match request {
            Request::Kill => (Stage::Killed, grace),
            Request::Interrupt if self.interrupted => (Stage::Killed, 0),
            Request::Interrupt => {
                self.interrupted = true;
                (Stage::Killed, grace)
            }
            Request::Lose => (Stage::Lost, 0),
        };
        self.tell(Event::Stop { goal, grace: seconds * 1_000_000 })
    }

    fn read_notes(&mut self) -> Result<(), RunError> {
        let mut buffer = [0; NOTE_SIZE * 64];
        // Notes are written whole, so the pipe holds whole notes.
        while let Ok(n) = rustix::io::read(&self.notes_read, &mut buffer) {
            for note in buffer[..n].as_chunks::<NOTE_SIZE>().0 {
                let note = Note::decode(note);
                if let Some(Some(live)) = self.slots.get_mut(note.slot as usize) {
                    live.ended |= note.ended;
                    live.leftovers |= note.leftovers;
                    self.read_records(note.slot)?;
                }
            }
            if n < buffer.len() {
                break;
            }
        }
        Ok(())
    }

    /// Reports what a coordinator has recorded since the last look.
    fn read_records(&mut self, slot: u32) -> Result<(), RunError> {
        loop {
            let Some(Some(live)) = self.slots.get_mut(slot as usize) else { return Ok(()) };
            self.reader.seek(live.offset);
            let next = self.reader.next(&live.stream);
            let leftovers = live.leftovers;
            if let Ok(Next::Record(RunnerCkpt::ProcessStatus(status))) = &next
                && !live.ended
                && status.state.and_then(Run::from_wire).is_some_and(Run::is_terminal)
            {
                // Read ahead of its note, which says whether anything is left of the run.
                return Ok(());
            }
            live.offset = self.reader.offset();
            match next {
                Ok(Next::Record(record)) => {
                    // What follows comes with a note of its own.
                    let drained = self.reader.is_drained();
                    match record {
                        RunnerCkpt::ProcessStatus(status) => {
                            self.tell(Event::Recorded { status, leftovers })?;
                        }
                        RunnerCkpt::LogStatus(status) => warn_of_drops(&status),
                        _ => {}
                    }
                    if drained {
                        return Ok(());
                    }
                }
                Ok(Next::End | Next::Torn(_)) => return Ok(()),
                Err(error) => {
                    let name = self.engine.name(live.process);
                    log!(Level::Error, "stream of the coordinator of {name}: {error}");
                    return Ok(());
                }
            }
        }
    }

    fn reap(&mut self) -> Result<(), RunError> {
        loop {
            match coordinator::reap(false) {
                Reaped::Child(pid, code) => {
                    if self.syncing == Some(pid) {
                        self.syncing = None;
                    }
                    if let Some(slot) = self.by_pid.get(&pid).copied() {
                        if code == coordinator::NO_ROOM {
                            self.short_until = now().mono + SHORTAGE;
                        }
                        let reason = match code {
                            0 => "its coordinator gave up before bash was started".to_owned(),
                            code if code < 0 => {
                                format!("its coordinator was killed by signal {}", -code)
                            }
                            coordinator::NO_ROOM => {
                                "there was no room for another process (a process limit?)"
                                    .to_owned()
                            }
                            code => format!("its coordinator exited with {code}"),
                        };
                        self.coordinator_gone(slot, reason)?;
                    }
                }
                Reaped::NoneDead => {
                    let ending =
                        matches!(self.engine.stage(), Some(Stage::Cleaning | Stage::Finalizing));
                    return if ending && self.is_quiet() && self.syncing.is_none() {
                        self.tell(Event::Orphans)
                    } else {
                        Ok(())
                    };
                }
                Reaped::NoChildren => {
                    return if self.is_quiet() { self.tell(Event::Quiet) } else { Ok(()) };
                }
            }
        }
    }

    /// Does nothing live but, perhaps, orphans?
    fn is_quiet(&self) -> bool {
        self.by_pid.is_empty() && self.strays.is_empty()
    }

    fn coordinator_gone(&mut self, slot: u32, reason: String) -> Result<(), RunError> {
        let Some(Some(live)) = self.slots.get(slot as usize) else { return Ok(()) };
        let process = live.process;
        // From now on the number may belong to another process.
        self.by_pid.remove(&live.pid);
        let is_live = |shell: &Self| {
            shell.current.get(&process) == Some(&slot)
                && shell.engine.last_run(process).state.is_some_and(Run::is_forked)
        };
        if is_live(self) && !self.has_ended(slot) {
            // It may have sent its notes after the last look and before it was reaped.
            self.read_notes()?;
        }
        if is_live(self) {
            // It was killed, or is not our child and cannot send notes: look for what is left.
            if let Some(Some(live)) = self.slots.get_mut(slot as usize) {
                live.leftovers |= !live.ended;
                live.ended = true;
            }
            self.read_records(slot)?;
        }
        if is_live(self) {
            self.tell(Event::CoordinatorGone { process, reason })?;
        }
        self.slots[slot as usize] = None;
        self.free.push(slot);
        if self.current.get(&process) == Some(&slot) {
            self.current.remove(&process);
        }
        Ok(())
    }

    fn has_ended(&self, slot: u32) -> bool {
        self.slots[slot as usize].as_ref().is_some_and(|live| live.ended)
    }

    /// Coordinators that survived an earlier runner: they cannot send notes and are not our children.
    fn watch_adopted(&mut self) -> Result<(), RunError> {
        if self.strays.is_empty() && self.settle_at.is_none() && !self.has_adopted() {
            return Ok(());
        }
        let now = now().mono;
        let gone = |handle: &Handle| match handle.pidfd() {
            Some(pidfd) => is_readable(pidfd),
            None => !handle.exists(),
        };
        let dead: Vec<u32> = (0..self.slots.len() as u32)
            .filter(|slot| {
                self.slots[*slot as usize]
                    .as_ref()
                    .and_then(|live| live.adopted.as_ref())
                    .is_some_and(gone)
            })
            .collect();
        for slot in dead {
            self.coordinator_gone(slot, "its coordinator is gone".to_owned())?;
        }
        if self.settle_at.is_some_and(|(at, _)| at <= now) {
            let forked: Vec<u32> = self.adopted_in(Run::Forked);
            for slot in &forked {
                self.read_records(*slot)?;
            }
            let delay = self.settle_at.map_or(0, |(_, delay)| (delay * 2).min(1_000_000));
            self.settle_at =
                (!self.adopted_in(Run::Forked).is_empty()).then_some((now + delay, delay));
        }
        let before = self.strays.len();
        self.strays.retain(|handle| !gone(handle));
        if self.strays.is_empty() && (before > 0 || !self.has_adopted()) {
            self.reap()?;
        }
        Ok(())
    }

    fn has_adopted(&self) -> bool {
        self.slots.iter().flatten().any(|live| live.adopted.is_some())
    }

    fn adopted_in(&self, run: Run) -> Vec<u32> {
        (0..self.slots.len() as u32)
            .filter(|slot| {
                self.slots[*slot as usize].as_ref().is_some_and(|live| {
                    live.adopted.is_some() && self.engine.last_run(live.process).state == Some(run)
                })
            })
            .collect()
    }

    fn tell_supervisor(&mut self) {
        let stage = self.engine.stage();
        if let (Some(supervisor), Some(stage)) = (&self.supervisor, stage)
            && self.told != Some(stage)
        {
            // If it is gone, the next wait says so.
            let _ = rustix::net::send(
                &**supervisor,
                &[stage.wire().0 as u8],
                rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT,
            );
        }
        self.told = stage;
    }

    fn read_supervisor(&mut self) -> Result<(), RunError> {
        let Some(supervisor) = self.supervisor.clone() else { return Ok(()) };
        let mut buffer = [0; StopOrder::SIZE * 16];
        // Orders are sent whole, and a socket of this kind keeps them whole.
        match rustix::net::recv(&*supervisor, &mut buffer, rustix::net::RecvFlags::DONTWAIT) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Ok((0, _)) | Err(_) => {
                log!(Level::Warn, "The supervisor of this runner is gone; ending the task.");
                self.supervisor = None;
                self.request(Request::Kill)
            }
            Ok((n, _)) => {
                for order in buffer[..n].as_chunks::<{ StopOrder::SIZE }>().0 {
                    if let Some(order) = StopOrder::decode(*order) {
                        let grace = Micros::from(order.grace_ms) * 1000;
                        self.tell(Event::Stop { goal: order.goal, grace })?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Sleeps until something happens. True when the supervisor has sent something or is gone.
    fn wait(&mut self) -> bool {
        let now = now().mono;
        if self.sync_at.is_some_and(|at| at <= now) && self.syncing.is_none() {
            self.sync_at = None;
            self.syncing = coordinator::fork_sync(self.writer.file().as_fd()).ok();
        }
        let due = self
            .engine
            .wakeup()
            .into_iter()
            .chain(self.settle_at.map(|(at, _)| at))
            .chain(if self.syncing.is_none() { self.sync_at } else { None })
            .min();
        let mut timeout = due.map(|at| Duration::from_micros((at - now).max(0) as u64));
        let signals = self.signals.wake();
        let mut fds = vec![
            PollFd::new(&signals, PollFlags::IN),
            PollFd::new(&self.notes_read, PollFlags::IN),
        ];
        if let Some(supervisor) = &self.supervisor {
            fds.push(PollFd::new(&**supervisor, PollFlags::IN));
        }
        let handles = self
            .strays
            .iter()
            .chain(self.slots.iter().flatten().filter_map(|live| live.adopted.as_ref()));
        for handle in handles {
            match handle.pidfd() {
                Some(pidfd) => fds.push(PollFd::new(pidfd, PollFlags::IN)),
                // Without pidfds (before Linux 5.3) the end of somebody else's child can only be
                // looked for.
                None => {
                    timeout = Some(
                        timeout.map_or(Duration::from_secs(1), |t| t.min(Duration::from_secs(1))),
                    )
                }
            }
        }
        let sleeps = timeout.is_none_or(|timeout| timeout > Duration::from_millis(1));
        if sleeps {
            crate::logging::flush();
        }
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        // Interrupted by a signal: its flag is set.
        let polled = rustix::event::poll(&mut fds, timeout.as_ref());
        let is_ready = |i: usize| polled.is_ok() && !fds[i].revents().is_empty();
        let (signalled, noted) = (is_ready(0), is_ready(1));
        let orphaned = self.supervisor.is_some() && is_ready(2);
        self.noted = noted;
        if signalled {
            self.signals.drain();
        }
        orphaned
    }

    // ---- effects become the world ----

    fn perform(&mut self, effect: Effect) -> Result<Option<Event>, RunError> {
        match effect {
            Effect::Write(record) => {
                if let RunnerCkpt::ProcessStatus(status) = &record
                    && status.state == Some(ProcessState::FORKED)
                {
                    self.forked_frame.clear();
                    frame(&record, &mut self.forked_frame);
                }
                self.writer.push(&record);
            }
            Effect::StoreTask => {
                self.commit()?;
                self.files.store_task(&self.settings.task_json)?;
            }
            Effect::Launch { process, .. } if !self.engine.may_launch(process) => {}
            Effect::Launch { process, run, seq } => {
                self.commit()?;
                return Ok(Some(self.launch(process, run, seq)));
            }
            Effect::Go { process } => self.go(process)?,
            Effect::Sweep { process, coordinator, whole } => {
                self.commit()?;
                self.sweep(process, &coordinator, whole);
            }
            Effect::Terminate => {
                self.commit()?;
                self.terminate();
            }
            Effect::Kill => {
                self.commit()?;
                self.kill();
            }
            Effect::Retire => {
                self.commit()?;
                self.files.retire_task()?;
            }
            Effect::Log(level, message) => log!(level, "{message}"),
        }
        Ok(None)
    }

    /// Puts the pending records into the page cache. A full disk may hold this up; when it does so
    /// for too long, the task is ended rather than run without a record of it.
    fn commit(&mut self) -> Result<(), RunError> {
        if !self.writer.is_dirty() {
            return Ok(());
        }
        self.sync_at.get_or_insert(now().mono + SYNC_DELAY);
        let mut tries = 0;
        while let Err(error) = self.writer.commit() {
            let path = self.files.stream_path("runner");
            if tries == 0 {
                log!(Level::Error, "cannot write {}: {error}; trying again", path.display());
                crate::logging::flush();
            }
            tries += 1;
            if tries > WRITE_PATIENCE {
                self.kill();
                return Err(failed("write", path)(error).into());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    }
}

/// Tells the operator of output that is in no file.
fn warn_of_drops(status: &LogStatus) {
    let dropped = status.dropped.unwrap_or_default();
    if dropped > 0 {
        log!(
            Level::Warn,
            "Process({}) run {}: {dropped} bytes of {} dropped so far: {}",
            status.process.as_deref().unwrap_or_default(),
            status.run.unwrap_or_default(),
            status.output.as_deref().unwrap_or_default(),
            status.reason.as_deref().unwrap_or("unknown reason")
        );
    }
}

fn is_readable(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut fds, Some(&zero)), Ok(1))
}

/// Has the system no room now, but perhaps later?
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_orders() {
        for goal in [Stage::Killed, Stage::Lost] {
            let order = StopOrder { goal, grace_ms: 4_500 };
            assert_eq!(StopOrder::decode(order.encode()), Some(order));
        }
        assert_eq!(StopOrder::decode([0, 0, 0, 0, 1]), None, "ACTIVE is no goal");
        assert_eq!(StopOrder::decode([99, 0, 0, 0, 1]), None);
    }
}
