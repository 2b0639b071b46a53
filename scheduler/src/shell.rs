//! The shell: one loop that turns the world into events of the core, and its effects into the world.
//!
//! ```text
//! Mesos (driver) ─┐                 ┌─ transactions ──► log ──► committed up to …
//! calls (Handle) ─┼─► core, one ────┤                                  │
//! clock ──────────┘    thread       └─ effects, held ◄─────────────────┘──► Mesos, callers
//! ```
//!
//! * The core works ahead of the log. What it wants done is held until the position of the log that
//!   it depends on is durable; then the state there is published first, so that a caller who
//!   was answered finds what he was told.
//! * A log that does not keep up stops everything that comes in: nothing is taken from Mesos or from
//!   callers until there is room again. Mesos' updates are acknowledged when they are durable.
//! * A log that fails ends the process; so does a Mesos that does not accept the scheduler in time.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use replicated_log::{Ended, Log, Position, Progress, Reason, Writer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::core::convert::Bad;
use crate::core::engine::{Append, Core, Effect, Effects, Event};
use crate::core::jobs::{Done, Refusal, Request};
use crate::core::name::Millis;
use crate::core::settings::Settings;
use crate::core::state::State;

mod store;

pub use store::{SharedPool, Store};

/// Inputs that wait for the loop before callers wait in turn.
const INPUTS: usize = 256;

/// Longest sleep: a clock that was set is noticed after this.
const CLOCK_STEP: Duration = Duration::from_secs(60);

/// How long what was decided may take to become durable when the process is asked to end.
const FAREWELL: Duration = Duration::from_secs(5);

// ---------------------------------------------------------------------------------------------- Mesos

/// The connection to Mesos.
pub trait Driver {
    /// The next thing that happened. Nothing is lost if the future is dropped.
    fn next(&mut self) -> impl Future<Output = Happened>;

    /// Does something that is durable by now: a launch, a kill, an acknowledgement ….
    fn act(&mut self, effect: Effect);
}

/// Something that a driver reports.
#[derive(Debug)]
pub enum Happened {
    /// For the core, in this order.
    Events(Vec<Event>),
    /// There is no way to go on. Why, for people.
    Over(String),
}

// -------------------------------------------------------------------------------------------- Callers

/// What callers want of the loop.
pub enum Input {
    /// To have something done.
    Ask(Ask, oneshot::Sender<Answer>),
    /// To look at what is not durable: offers, groups, counters.
    Look(Box<dyn FnOnce(&mut Core) + Send>),
    /// What the log has done.
    Metrics(oneshot::Sender<replicated_log::Metrics>),
    /// A snapshot of the log.
    Snapshot(oneshot::Sender<Result<(), String>>),
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Ask(ask, _) => f.debug_tuple("Ask").field(ask).finish(),
            Input::Look(_) => f.write_str("Look"),
            Input::Metrics(_) => f.write_str("Metrics"),
            Input::Snapshot(_) => f.write_str("Snapshot"),
        }
    }
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Create a job. Its configuration was checked.
    Create(Box<aurora_api::api::TaskConfig>, usize),
    /// Anything else.
    Request(Request),
}

/// What became of it. It is durable when it is told.
pub type Answer = Result<Done, NotDone>;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotDone {
    /// What is stored does not allow it.
    Refused(Refusal),
    /// A configuration cannot be.
    Bad(Bad),
    /// The scheduler does not lead yet, or is about to end: whether it was done is not known.
    NotReady,
}

/// For callers: how they reach the loop, and what is committed.
#[derive(Clone, Debug)]
pub struct Handle {
    inputs: mpsc::Sender<Input>,
    published: Arc<Published>,
}

/// What everybody may see.
#[derive(Debug)]
struct Published {
    /// What is committed; `None` before this scheduler leads.
    state: RwLock<Option<Arc<State>>>,
    phase: watch::Sender<Phase>,
}

/// Where a scheduler is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Begun.
    Idle,
    /// The log is being read.
    PreparingStorage,
    /// The log is read; waits to lead.
    StoragePrepared,
    /// Leads; waits for Mesos.
    AwaitingRegistration,
    /// At work.
    Active,
    /// About to end.
    Dead,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 6] = [
        Phase::Idle,
        Phase::PreparingStorage,
        Phase::StoragePrepared,
        Phase::AwaitingRegistration,
        Phase::Active,
        Phase::Dead,
    ];

    /// The name for operators.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Idle => "IDLE",
            Phase::PreparingStorage => "PREPARING_STORAGE",
            Phase::StoragePrepared => "STORAGE_PREPARED",
            Phase::AwaitingRegistration => "LEADER_AWAITING_REGISTRATION",
            Phase::Active => "ACTIVE",
            Phase::Dead => "DEAD",
        }
    }
}

/// The loop's side of [`Handle`].
#[derive(Debug)]
pub struct Door {
    inputs: mpsc::Receiver<Input>,
    published: Arc<Published>,
}

/// A handle for callers, and the door that they knock at.
pub fn door() -> (Handle, Door) {
    let (sender, inputs) = mpsc::channel(INPUTS);
    let phase = watch::Sender::new(Phase::Idle);
    let published = Arc::new(Published { state: RwLock::new(None), phase });
    (Handle { inputs: sender, published: published.clone() }, Door { inputs, published })
}

impl Handle {
    /// Everything that is committed; `None` before this scheduler leads.
    pub fn state(&self) -> Option<Arc<State>> {
        self.published.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the scheduler is in its life.
    pub fn phase(&self) -> Phase {
        *self.published.phase.borrow()
    }

    /// Waits for a phase of its life, or for its end.
    pub async fn reached(&self, phase: Phase) {
        let mut phases = self.published.phase.subscribe();
        // The sender lives as long as this handle.
        let _ = phases.wait_for(|now| *now as u8 >= phase as u8).await;
    }

    /// Has something done. Blocks until that is durable: not for threads of a runtime.
    pub fn ask(&self, ask: Ask) -> Answer {
        let (sender, answer) = oneshot::channel();
        self.send(Input::Ask(ask, sender))?;
        answer.blocking_recv().unwrap_or(Err(NotDone::NotReady))
    }

    /// Looks at the core. Blocks: not for threads of a runtime.
    pub fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Core) -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (sender, seen) = oneshot::channel();
        let look = move |core: &mut Core| _ = sender.send(look(core));
        self.send(Input::Look(Box::new(look)))?;
        seen.blocking_recv().map_err(|_| NotDone::NotReady)
    }

    /// Takes a snapshot of the log. Blocks: not for threads of a runtime.
    pub fn snapshot(&self) -> Result<Result<(), String>, NotDone> {
        let (sender, taken) = oneshot::channel();
        self.send(Input::Snapshot(sender))?;
        taken.blocking_recv().map_err(|_| NotDone::NotReady)
    }

    /// What the log has done. Blocks: not for threads of a runtime.
    pub fn log_metrics(&self) -> Result<replicated_log::Metrics, NotDone> {
        let (sender, metrics) = oneshot::channel();
        self.send(Input::Metrics(sender))?;
        metrics.blocking_recv().map_err(|_| NotDone::NotReady)
    }

    fn send(&self, input: Input) -> Result<(), NotDone> {
        if self.state().is_none() {
            return Err(NotDone::NotReady);
        }
        self.inputs.blocking_send(input).map_err(|_| NotDone::NotReady)
    }
}

impl Published {
    fn enter(&self, phase: Phase) {
        info!("{}", phase.name());
        self.phase.send_replace(phase);
    }

    fn publish(&self, state: State) {
        let state = Some(Arc::new(state));
        let old = {
            let mut place = self.state.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *place, state)
        };
        // The last one to hold it pays for taking it apart: not while readers wait.
        drop(old);
    }
}

// ----------------------------------------------------------------------------------------------- Life

/// How a scheduler is run.
#[derive(Debug)]
pub struct Plan {
    /// What the core decides by.
    pub settings: Settings,
    /// The log.
    pub log: replicated_log::Options,
    /// Time between snapshots of the log, beside those by size.
    pub snapshot_interval: Duration,
    /// How long Mesos may take to accept the scheduler.
    pub max_registration_delay: Duration,
}

/// Why a scheduler ended, other than by being asked to.
#[derive(Debug)]
pub enum Failure {
    /// The log could not be opened.
    Open(replicated_log::OpenError),
    /// The log failed, or somebody else leads.
    Log(Ended),
    /// An entry is longer than the log takes.
    TooLong(usize),
    /// Mesos did not accept the scheduler in time.
    NotRegistered(Duration),
    /// Mesos will not have this scheduler.
    Driver(String),
    /// The system gave no random numbers.
    Random(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Open(error) => write!(f, "failed to open the log: {error}"),
            Failure::Log(Ended::Failed(error)) => write!(
                f,
                "failed to write the log: {error}. Nothing more is decided; nothing that was \
                 confirmed is lost. See to the disk and start again"
            ),
            Failure::Log(ended) => write!(f, "the log ended: {ended}"),
            Failure::TooLong(bytes) => {
                write!(f, "a change of {bytes} bytes is longer than the log takes")
            }
            Failure::NotRegistered(limit) => write!(
                f,
                "Mesos did not accept this scheduler within {limit:?} (-max_registration_delay): \
                 is -mesos_master_address right, and does a master lead?"
            ),
            Failure::Driver(reason) => write!(f, "Mesos does not accept this scheduler: {reason}"),
            Failure::Random(error) => write!(f, "the system gave no random numbers: {error}"),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs a scheduler until `stop` is true or something fails. `connect` makes the driver; it is told
/// the id that Mesos gave the scheduler, if it has one.
pub async fn run<D: Driver>(
    plan: Plan,
    door: Door,
    connect: impl FnOnce(Option<String>) -> Result<D, String>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let published = door.published.clone();
    let result = tokio::select! {
        result = lead(plan, door, connect, stop.clone()) => result,
        // Before it leads there is nothing to bring to an end.
        () = stopped_before_leading(&mut stop, &published) => Ok(()),
    };
    published.enter(Phase::Dead);
    result
}

async fn stopped_before_leading(stop: &mut watch::Receiver<bool>, published: &Published) {
    let asked = stop.wait_for(|stop| *stop).await.is_ok();
    let mut phases = published.phase.subscribe();
    let leads = *phases.borrow_and_update() as u8 >= Phase::AwaitingRegistration as u8;
    if !asked || leads {
        std::future::pending::<()>().await;
    }
}

async fn lead<D: Driver>(
    plan: Plan,
    door: Door,
    connect: impl FnOnce(Option<String>) -> Result<D, String>,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let published = door.published.clone();
    published.enter(Phase::PreparingStorage);
    let pool = SharedPool::default();
    let store = if plan.log.verify { Store::verifying } else { Store::new };
    let opened = Log::open(plan.log.clone(), store(pool.clone())).await;
    let (log, recovered) = opened.map_err(Failure::Open)?;
    let path = plan.log.path.display();
    if recovered.created {
        info!("made a new log in {path}");
    }
    if let Some(torn) = &recovered.torn {
        warn!("{torn}");
    }
    for damaged in &recovered.damaged_snapshots {
        warn!("a snapshot could not be read, an older one and the log had all of it: {damaged}");
    }
    published.enter(Phase::StoragePrepared);
    let (writer, state) = log.lead().await.map_err(Failure::Log)?;
    info!("read the log in {path}: {} tasks at position {}", state.task_count(), writer.last());
    // Nobody led before: this is the only place that takes it.
    let pool = pool.take().unwrap_or_default();
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Failure::Random(error.to_string()))?;
    let mut core = Core::new(state.clone(), pool, plan.settings.clone(), seed, now());
    core.listen(false);
    let framework = state.framework().map(|id| id.to_string());
    published.publish(state);
    let driver = connect(framework).map_err(Failure::Driver)?;
    published.enter(Phase::AwaitingRegistration);
    let mut shell = Shell {
        base: writer.last(),
        progress: writer.progress(),
        writer,
        log: Arc::new(log),
        core,
        driver,
        published,
        waiting: VecDeque::new(),
        images: VecDeque::new(),
        held: VecDeque::new(),
        callers: HashMap::new(),
        next_caller: 1,
        register_until: Some(Instant::now() + plan.max_registration_delay),
    };
    let result = shell.serve(door.inputs, &plan, stop).await;
    drop(shell.writer);
    // Snapshots that are being taken hold it, too; then it ends with them.
    if let Ok(log) = Arc::try_unwrap(shell.log) {
        log.close().await;
    }
    result
}

/// Milliseconds since the epoch.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
}

/// What is known about the world while the scheduler leads.
struct Shell<D> {
    core: Core,
    driver: D,
    log: Arc<Log<Store>>,
    writer: Writer<Store>,
    progress: watch::Receiver<Progress>,
    /// Position of the log that the core calls 0.
    base: Position,
    published: Arc<Published>,
    /// What the log had no room for, in order.
    waiting: VecDeque<Append>,
    /// States by their positions, until they are committed.
    images: VecDeque<(Position, State)>,
    /// What is to be done, with the position that must be committed before.
    held: VecDeque<(Position, Effect)>,
    /// Who waits for which answer.
    callers: HashMap<u64, oneshot::Sender<Answer>>,
    next_caller: u64,
    /// Until when Mesos has to accept the scheduler, unless it has.
    register_until: Option<Instant>,
}

/// What woke the loop.
enum Woken {
    Stopped,
    Committed,
    Room,
    Clock,
    TooLate,
    SnapshotDue,
    Driver(Happened),
    Input(Input),
}

impl<D: Driver> Shell<D> {
    async fn serve(
        &mut self,
        mut inputs: mpsc::Receiver<Input>,
        plan: &Plan,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        let mut snapshots = tokio::time::interval(plan.snapshot_interval);
        snapshots.reset();
        // What the core did to begin with.
        self.handle(Event::Tick)?;
        loop {
            let pause = self.pause();
            let open = self.waiting.is_empty();
            let register_until = self.register_until;
            let woken = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => Woken::Stopped,
                changed = self.progress.changed() => match changed {
                    Ok(()) => Woken::Committed,
                    Err(_) => return Err(Failure::Log(Ended::Closed)),
                },
                () = self.writer.room(), if !open => Woken::Room,
                () = until(register_until) => Woken::TooLate,
                () = sleep(pause), if open => Woken::Clock,
                _ = snapshots.tick() => Woken::SnapshotDue,
                happened = self.driver.next(), if open => Woken::Driver(happened),
                Some(input) = inputs.recv(), if open => Woken::Input(input),
            };
            match woken {
                Woken::Stopped => return self.leave().await,
                Woken::Committed => self.committed()?,
                Woken::Room => self.append()?,
                Woken::Clock => self.handle(Event::Tick)?,
                Woken::TooLate => return Err(Failure::NotRegistered(plan.max_registration_delay)),
                Woken::SnapshotDue => self.take_snapshot(None),
                Woken::Driver(Happened::Events(events)) => {
                    for event in events {
                        self.on_event(event)?;
                    }
                }
                Woken::Driver(Happened::Over(reason)) => return Err(Failure::Driver(reason)),
                Woken::Input(input) => self.on_input(input)?,
            }
        }
    }

    /// Time until the core wants to be woken. Its deadlines are of the wall clock: should somebody
    /// set that, it is noticed within a minute.
    fn pause(&self) -> Duration {
        let wait = self.core.next_deadline().map(|at| at.saturating_sub(now()).max(0));
        let wait = wait.and_then(|wait| u64::try_from(wait).ok()).map(Duration::from_millis);
        wait.map_or(CLOCK_STEP, |wait| wait.min(CLOCK_STEP))
    }

    fn on_event(&mut self, event: Event) -> Result<(), Failure> {
        let registered = matches!(event, Event::Registered(_));
        self.handle(event)?;
        if registered && self.register_until.take().is_some() {
            self.published.enter(Phase::Active);
        }
        Ok(())
    }

    fn on_input(&mut self, input: Input) -> Result<(), Failure> {
        match input {
            Input::Look(look) => look(&mut self.core),
            // Nobody may wait for it any more, which is as good; also below.
            Input::Metrics(sender) => _ = sender.send(self.log.metrics()),
            Input::Snapshot(sender) => self.take_snapshot(Some(sender)),
            Input::Ask(ask, sender) => {
                let request = match ask {
                    Ask::Request(request) => request,
                    Ask::Create(config, instances) => {
                        match self.core.pool().configs.intern(*config) {
                            Ok(config) => Request::CreateJob { config, instances },
                            Err(bad) => {
                                let _ = sender.send(Err(NotDone::Bad(bad)));
                                return Ok(());
                            }
                        }
                    }
                };
                let caller = self.next_caller;
                self.next_caller += 1;
                self.callers.insert(caller, sender);
                self.handle(Event::Request(caller, request))?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        let mut effects = Effects::default();
        self.core.handle(now(), event, &mut effects);
        let base = self.base.0;
        let at = |position| Position(base + position);
        self.held.extend(effects.held.into_iter().map(|(p, effect)| (at(p), effect)));
        self.waiting.extend(effects.appends);
        self.append()?;
        self.release();
        Ok(())
    }

    /// Hands the log what it has room for.
    fn append(&mut self) -> Result<(), Failure> {
        while let Some(next) = self.waiting.pop_front() {
            let bytes = Bytes::from(next.transaction.encode());
            let length = bytes.len();
            match self.writer.append(bytes, next.state.clone()) {
                Ok(position) => {
                    debug_assert_eq!(position.0, self.base.0 + next.position);
                    self.images.push_back((position, next.state));
                }
                Err(refused) => match refused.reason {
                    Reason::Full => {
                        self.waiting.push_front(next);
                        return Ok(());
                    }
                    Reason::TooLong => return Err(Failure::TooLong(length)),
                    Reason::Ended(ended) => return Err(Failure::Log(ended)),
                },
            }
        }
        Ok(())
    }

    /// More of the log is durable, or never will be.
    fn committed(&mut self) -> Result<(), Failure> {
        self.release();
        let ended = self.progress.borrow().ended.clone();
        ended.map_or(Ok(()), |ended| Err(Failure::Log(ended)))
    }

    /// Does what waits for no more than what is durable.
    fn release(&mut self) {
        let committed = self.progress.borrow().committed;
        let mut newest = None;
        while let Some((_, state)) = self.images.pop_front_if(|(at, _)| *at <= committed) {
            newest = Some(state);
        }
        if let Some(state) = newest {
            self.published.publish(state);
        }
        while let Some((_, effect)) = self.held.pop_front_if(|(at, _)| *at <= committed) {
            match effect {
                Effect::Reply(caller, reply) => {
                    if let Some(caller) = self.callers.remove(&caller) {
                        // Whoever went away need not be told.
                        let _ = caller.send(reply.map_err(NotDone::Refused));
                    }
                }
                // Nobody listens.
                Effect::Changed(_) => {}
                effect => self.driver.act(effect),
            }
        }
    }

    fn take_snapshot(&self, sender: Option<oneshot::Sender<Result<(), String>>>) {
        if sender.is_none() && self.log.metrics().since_snapshot == 0 {
            return;
        }
        let log = self.log.clone();
        tokio::spawn(async move {
            let result = log.snapshot().await.map_err(|ended| ended.to_string());
            if let Err(error) = &result {
                warn!("failed to take a snapshot: {error}");
            }
            if let Some(sender) = sender {
                let _ = sender.send(result);
            }
        });
    }

    /// Brings what was decided to an end; what is not durable by then was never confirmed.
    async fn leave(&mut self) -> Result<(), Failure> {
        info!("asked to end");
        let finish = async {
            while !self.waiting.is_empty() {
                self.writer.room().await;
                self.append()?;
            }
            let last = self.writer.last();
            Progress::reached(&mut self.progress, last).await.map_err(Failure::Log)
        };
        match timeout(FAREWELL, finish).await {
            Ok(finished) => finished?,
            Err(_) => warn!("the log is too slow to wait for; what was not confirmed may be lost"),
        }
        self.release();
        Ok(())
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
