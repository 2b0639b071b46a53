//! The log, as applications use it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::error::{ClientWriteError, RaftError};
use openraft::{Config, LogIdOptionExt, Raft, ServerState};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

use crate::batch::{self, ENTRY_HEADER};
use crate::disk::{Directory, Disk, Held, read_all, replace};
use crate::error::{Ended, Fatal, OpenError, TornTail};
use crate::journal::{self, Journal, Opened};
use crate::machine::{Machine, Shared, StateMachine};
use crate::metrics::{Counters, Metrics};
use crate::network::Alone;
use crate::random;
use crate::seal::{IDENTITY, Identity, VOTE};
use crate::snapshots::{Found, SnapshotPolicy, Snapshots};
use crate::store::Store;
use crate::types::{
    Batch, ClusterId, LogId, Member, Membership, Outcome, Position, ReplicaId, Term, Types, Vote,
};

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its directory (`-native_log_file_path`); made, with its parents, if it is missing. Nothing
    /// else should be in it, and it should be on a disk of its own.
    pub path: PathBuf,
    /// Voters that must have an entry before it counts (`-native_log_quorum_size`): one more than
    /// half of them. It must fit the voters in the log.
    pub quorum: u64,
    /// May a log be made where there is none?
    pub create: bool,
    /// Length of a segment, in bytes.
    pub segment_bytes: u64,
    /// Memory for entries that were written lately, in bytes: followers that lag less are served
    /// from it.
    pub cache_bytes: usize,
    /// Most bytes of entries in a batch, unless it is one entry.
    pub batch_bytes: usize,
    /// Most entries in a batch.
    pub batch_entries: usize,
    /// Most bytes of entries that were appended and are not committed, unless it is one entry.
    pub queue_bytes: usize,
    /// When snapshots are taken, apart from those that are asked for.
    pub snapshot: SnapshotPolicy,
    /// Are all states that the leader prepared compared with what applying the entries gives? Costs
    /// a look at two whole states for each batch: for tests.
    pub verify: bool,
    /// Time between two signs of life of the leader.
    pub heartbeat: Duration,
    /// How long, at least, nothing is heard from a leader before another one is elected; at most
    /// twice that.
    pub election_timeout: Duration,
}

impl Options {
    /// The usual choices, for a log with one voter in this directory.
    pub fn new(path: impl Into<PathBuf>) -> Options {
        Options {
            path: path.into(),
            quorum: 1,
            create: true,
            segment_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            batch_bytes: 1 << 20,
            batch_entries: 4096,
            queue_bytes: 32 << 20,
            snapshot: SnapshotPolicy { bytes: 64 << 20, keep: 2 },
            verify: false,
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_millis(400),
        }
    }

    fn check(&self) -> Result<(), OpenError> {
        let wrong = |text: &str| Err(OpenError::Options(text.to_owned()));
        if self.quorum == 0 {
            return wrong("a quorum of 0 was asked for; the least is 1");
        }
        if !(1 << 12..=1 << 31).contains(&self.segment_bytes)
            || !self.segment_bytes.is_multiple_of(4096)
        {
            return wrong("segments have from 4096 to 2^31 bytes, in multiples of 4096");
        }
        if self.batch_bytes == 0 || self.batch_bytes > MAX_ENTRY || self.batch_entries == 0 {
            return wrong("a batch has at least one entry, and at most 256 MiB");
        }
        if self.heartbeat.is_zero() || self.election_timeout <= self.heartbeat {
            return wrong("the election timeout must be longer than the heartbeat, which is not 0");
        }
        Ok(())
    }
}

/// Longest entry, in bytes.
pub const MAX_ENTRY: usize = 256 << 20;

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Who this replica is.
    pub replica: ReplicaId,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Was the log made just now?
    pub created: bool,
    /// Last entry of the application in the snapshot that was read; 0 without one.
    pub snapshot: Position,
    /// Bytes of data in that snapshot.
    pub snapshot_bytes: u64,
    /// Last entry of the application that was applied: with one voter, the last one there is.
    pub position: Position,
    /// What a crash had left at the end, and was cut off.
    pub torn: Option<TornTail>,
    /// Snapshots that could not be read, each with the reason; an older one and the log had all.
    pub damaged_snapshots: Vec<String>,
}

/// What this replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It follows.
    Follower {
        /// Who leads, if it knows.
        leader: Option<ReplicaId>,
    },
    /// It leads: [`Log::lead`] gives what is needed to append.
    Leader {
        /// Since when.
        term: Term,
    },
    /// The log failed, and the process must end.
    Failed(Fatal),
    /// The log was closed.
    Closed,
}

type Runtime = Raft<Types>;

/// A replica of a log.
///
/// Dropping it closes it in the background; [`close`](Log::close) waits for that.
pub struct Log<S: StateMachine> {
    raft: Runtime,
    shared: Arc<Shared<S::Image>>,
    options: Options,
    role: watch::Receiver<Role>,
    identity: (ReplicaId, ClusterId),
    /// The task of the last writer. Whoever leads holds this until that one is done.
    batcher: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    tasks: Vec<JoinHandle<()>>,
    /// Ends when nothing uses the directory any more.
    released: Option<oneshot::Receiver<()>>,
}

impl<S: StateMachine> fmt::Debug for Log<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.options.path.display())
    }
}

impl<S: StateMachine> Log<S> {
    /// Opens a log, or makes one. Restores the last snapshot and applies what is known to be
    /// committed to `state`, which must be as it was when the log was made.
    ///
    /// Needs a tokio runtime with time enabled; reading happens on threads of its own.
    pub async fn open(options: Options, state: S) -> Result<(Log<S>, Recovered), OpenError> {
        options.check()?;
        let path = options.path.clone();
        let opened = blocking(move || match Directory::open(&path) {
            Ok(Some(directory)) => Ok(directory),
            Ok(None) => Err(OpenError::Locked { path }),
            Err(error) => Err(OpenError::io("open", &path, error)),
        });
        Log::open_on(Arc::new(opened.await?), options, state).await
    }

    /// The same on any disk.
    pub(crate) async fn open_on(
        disk: Arc<dyn Disk>,
        options: Options,
        state: S,
    ) -> Result<(Log<S>, Recovered), OpenError> {
        let (disk, released) = Held::new(disk);
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let found = {
            let options = options.clone();
            blocking(move || recover(disk, &options, state)).await?
        };
        let Disks { state, replica, cluster, created, store, torn, snapshots, .. } = found;
        let Found { snapshots, meta, size, damaged } = snapshots;
        let snapshot = meta.position;
        let shared = Arc::new(Shared::new(found.counters, Arc::new(snapshots), found.journal));
        let machine = Machine::new(state, meta, Arc::clone(&shared), options.verify);
        let raft = Raft::new(replica.0, Arc::new(config(&options)?), Alone, store, machine)
            .await
            .map_err(|fatal| OpenError::Fatal(why(&shared, &fatal)))?;
        let position = Position(shared.position.load(Ordering::Relaxed));
        start(&raft, replica, found.founded, found.sole)
            .await
            .map_err(|text| OpenError::Fatal(failure(&shared).unwrap_or(Fatal::new(text))))?;

        let (sender, role) = watch::channel(Role::Follower { leader: None });
        let tasks = vec![
            tokio::spawn(watch_role(raft.clone(), Arc::clone(&shared), sender)),
            tokio::spawn(take_snapshots(raft.clone(), Arc::clone(&shared))),
        ];
        let log = Log {
            raft,
            shared,
            options,
            role,
            identity: (replica, cluster),
            batcher: tokio::sync::Mutex::new(None),
            tasks,
            released: Some(released),
        };
        let recovered = Recovered {
            replica,
            cluster,
            created,
            snapshot,
            snapshot_bytes: size,
            position,
            torn,
            damaged_snapshots: damaged,
        };
        Ok((log, recovered))
    }

    /// Who this replica is.
    pub fn replica(&self) -> ReplicaId {
        self.identity.0
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.identity.1
    }

    /// What this replica is, and every change of that.
    pub fn role(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    /// Counters since it was opened.
    pub fn metrics(&self) -> Metrics {
        self.shared.counters.read()
    }

    /// Last entry of the application that was applied here.
    pub fn position(&self) -> Position {
        Position(self.shared.position.load(Ordering::Relaxed))
    }

    /// Waits until this replica leads, and until everything that any leader before it committed is
    /// applied here (a barrier through the log, so no other replica leads as it returns). Gives what
    /// is needed to append, and the state to begin with.
    ///
    /// There is one writer at a time: this waits for the one before it to be dropped.
    pub async fn lead(&self) -> Result<(Writer<S>, S::Image), Ended> {
        let mut last = self.batcher.lock().await;
        if let Some(task) = last.take() {
            // It cannot fail but by being aborted or by panicking, and is over then as well.
            let _ = task.await;
        }
        let mut role = self.role.clone();
        loop {
            let term = match &*role.borrow_and_update() {
                Role::Leader { term } => Some(*term),
                Role::Follower { .. } => None,
                Role::Failed(fatal) => return Err(Ended::Failed(fatal.clone())),
                Role::Closed => return Err(Ended::Closed),
            };
            if let Some(term) = term {
                match self.settle(term).await {
                    Ok((position, image)) => {
                        let (writer, task) = Writer::start(self, term, position);
                        *last = Some(task);
                        return Ok((writer, image));
                    }
                    Err(Ended::Lost(_)) => {}
                    Err(ended) => return Err(ended),
                }
            }
            if role.changed().await.is_err() {
                return Err(Ended::Closed);
            }
        }
    }

    /// Makes sure that this replica leads now, and that everything committed up to now, by whomever,
    /// is applied here: what is read of the state afterwards is not stale. Writes nothing. Gives the
    /// last position that was applied.
    pub async fn barrier(&self) -> Result<Position, Ended> {
        match self.raft.ensure_linearizable().await {
            Ok(_) => Ok(self.position()),
            Err(RaftError::APIError(_)) => Err(Ended::NotLeading),
            Err(RaftError::Fatal(fatal)) => Err(ended(&self.shared, &fatal)),
        }
    }

    /// The state behind everything in the log, in this term.
    async fn settle(&self, term: Term) -> Result<(Position, S::Image), Ended> {
        let ticket = self.shared.prepared.add(None);
        let bytes = batch::encode(term, [].iter());
        match submit(&self.raft, &self.shared, term, Batch { bytes, ticket: Some(ticket) }).await? {
            Outcome::Applied(_) => {}
            Outcome::Void | Outcome::Nothing => return Err(Ended::Lost(term)),
        }
        self.shared.prepared.at_barrier(ticket).ok_or(Ended::Lost(term))
    }

    /// Takes a snapshot of what is applied now, and waits for it.
    pub async fn snapshot(&self) -> Result<(), Ended> {
        let mut metrics = self.raft.metrics();
        let wanted = metrics.borrow().last_applied;
        loop {
            let (have, running) = {
                let now = metrics.borrow_and_update();
                (now.snapshot, now.running_state.clone())
            };
            if let Err(fatal) = running {
                return Err(ended(&self.shared, &fatal));
            }
            if have >= wanted {
                return Ok(());
            }
            // Ignored while one is being taken, so asked for again after that.
            let asked = self.raft.trigger().snapshot().await;
            asked.map_err(|fatal| ended(&self.shared, &fatal))?;
            if metrics.changed().await.is_err() {
                return Err(Ended::Closed);
            }
        }
    }

    /// Ends it; waits until everything was written and the directory is free.
    pub async fn close(mut self) {
        // Nothing can be done about a task that panicked; it was printed.
        let _ = self.raft.shutdown().await;
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        if let Some(task) = self.batcher.lock().await.take() {
            let _ = task.await;
        }
        let released = self.released.take();
        // What is the last to hold the journal waits for its thread.
        let _ = blocking(move || {
            drop(self);
            Ok(())
        })
        .await;
        if let Some(released) = released {
            // An error is what it ends with.
            let _ = released.await;
        }
    }
}

impl<S: StateMachine> Drop for Log<S> {
    fn drop(&mut self) {
        if !self.tasks.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let raft = self.raft.clone();
            runtime.spawn(async move { raft.shutdown().await });
        }
    }
}

/// Runs something that reads and writes, off the runtime.
async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(_) => Err(OpenError::Fatal(Fatal::new("reading the log was interrupted"))),
    }
}

/// What is on disk, read.
pub(crate) struct Disks<S> {
    /// As the last snapshot has it.
    pub(crate) state: S,
    replica: ReplicaId,
    cluster: ClusterId,
    created: bool,
    counters: Arc<Counters>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) snapshots: Found,
    store: Store,
    pub(crate) torn: Option<TornTail>,
    /// Is there a membership?
    founded: bool,
    /// Is this the only voter?
    sole: bool,
}

/// Reads what is on disk; makes it, if there is nothing.
pub(crate) fn recover<S: StateMachine>(
    disk: Arc<dyn Disk>,
    options: &Options,
    mut state: S,
) -> Result<Disks<S>, OpenError> {
    let path = &options.path;
    let counters = Arc::new(Counters::default());
    let (replica, cluster, created) = identify(&*disk, options)?;
    let Opened { journal, vote, torn, memberships } = Journal::open(
        Arc::clone(&disk),
        path,
        replica,
        journal_options(options),
        Arc::clone(&counters),
    )?;
    let journal = Arc::new(journal);
    let snapshots = Snapshots::open(disk, path, options.snapshot, Arc::clone(&journal), |input| {
        state.restore(input)
    })?;
    counters.snapshot_bytes.set(snapshots.size);
    let membership = memberships.last().map(|(_, membership)| membership).or_else(|| {
        let stored = &snapshots.meta.membership;
        stored.log_id().is_some().then(|| stored.membership())
    });
    check_quorum(options, membership)?;
    let founded = membership.is_some();
    let sole = membership.is_some_and(|membership| is_sole(membership, replica));
    let committed = committed(&journal, sole)?;
    let store = Store::new(Arc::clone(&journal), forget_leading(vote, replica), committed);
    Ok(Disks {
        state,
        replica,
        cluster,
        created,
        counters,
        journal,
        snapshots,
        store,
        torn,
        founded,
        sole,
    })
}

fn journal_options(options: &Options) -> journal::Options {
    journal::Options { segment: options.segment_bytes, cache: options.cache_bytes }
}

/// Who this replica is; made up if it is nobody yet. Says as well whether that was so.
fn identify(disk: &dyn Disk, options: &Options) -> Result<(ReplicaId, ClusterId, bool), OpenError> {
    let path = &options.path;
    let io = |what, name: &str, error| OpenError::io(what, &path.join(name), error);
    let names = disk.names().map_err(|error| OpenError::io("list", path, error))?;
    if names.iter().any(|name| name == IDENTITY) {
        journal::remove_temporary(disk).map_err(|error| OpenError::io("tidy", path, error))?;
        let bytes = disk
            .open(IDENTITY)
            .and_then(|file| read_all(&*file))
            .map_err(|error| io("read", IDENTITY, error))?;
        let identity = Identity::decode(&bytes)
            .map_err(|broken| OpenError::damaged(&path.join(IDENTITY), 0, &broken.to_string()))?;
        let Some((cluster, _)) = identity.cluster else {
            let what = "it names no cluster";
            return Err(OpenError::damaged(&path.join(IDENTITY), 0, what));
        };
        return Ok((identity.replica, cluster, false));
    }
    // The first segment comes first and the identity last, so without one nothing was ever promised
    // here, unless it was lost.
    let vote_alone = || {
        names.iter().any(|name| name == VOTE) && !names.iter().any(|name| journal::is_segment(name))
    };
    if names.iter().any(|name| snapshot_or_later_segment(name)) || vote_alone() {
        return Err(OpenError::missing(
            &path.join(IDENTITY),
            "there is, or was, a log, and which replica it is of is not known",
        ));
    }
    if names.iter().any(|name| journal::is_segment(name)) {
        check_unused(disk, path)?;
    }
    if !options.create {
        return Err(OpenError::Empty { path: path.clone() });
    }
    if options.quorum != 1 {
        return Err(OpenError::Options(format!(
            "a quorum of {} was asked for; a new log has one voter, and a quorum of 1",
            options.quorum
        )));
    }
    journal::remove_temporary(disk).map_err(|error| OpenError::io("tidy", path, error))?;
    let make = || {
        let replica = ReplicaId(random::number()?.max(1));
        let cluster = ClusterId(u128::from_le_bytes(random::bytes()?));
        journal::create(disk, replica, journal_options(options))?;
        let identity = Identity { replica, cluster: Some((cluster, 1)) };
        replace(disk, IDENTITY, &identity.encode())?;
        Ok((replica, cluster, true))
    };
    make().map_err(|error| OpenError::io("make a log in", path, error))
}

fn snapshot_or_later_segment(name: &str) -> bool {
    crate::snapshots::is_snapshot(name)
        || (journal::is_segment(name) && name != journal::first_name())
}

/// Refuses a first segment with something in it: its identity was lost, not never written.
fn check_unused(disk: &dyn Disk, path: &Path) -> Result<(), OpenError> {
    let name = journal::first_name();
    let bytes = disk
        .open(&name)
        .and_then(|file| read_all(&*file))
        .map_err(|error| OpenError::io("read", &path.join(&name), error))?;
    if journal::is_unused(&bytes) {
        Ok(())
    } else {
        let why = "there is a log, and which replica it is of is not known";
        Err(OpenError::missing(&path.join(IDENTITY), why))
    }
}

fn check_quorum(options: &Options, membership: Option<&Membership>) -> Result<(), OpenError> {
    let voters = membership.map_or(1, |membership| membership.voter_ids().count() as u64);
    if options.quorum != voters / 2 + 1 {
        return Err(OpenError::Quorum { asked: options.quorum, voters });
    }
    if voters > 1 {
        return Err(OpenError::Options(format!(
            "the log has {voters} voters; this version runs logs with one"
        )));
    }
    Ok(())
}

fn is_sole(membership: &Membership, replica: ReplicaId) -> bool {
    membership.voter_ids().eq([replica.0])
}

/// Last entry that is known to be committed. With one voter, what is durable is.
fn committed(journal: &Journal, sole: bool) -> Result<Option<LogId>, OpenError> {
    let (purged, last) = journal.state();
    let next = journal.committed().min(last.next_index());
    if sole {
        return Ok(last);
    }
    if next <= purged.next_index() {
        return Ok(purged);
    }
    let entries = journal.read(&(next - 1..next), false).map_err(OpenError::Fatal)?;
    Ok(entries.last().map(|entry| entry.log_id))
}

/// A replica that led does not go on leading in the same term after a restart: what it had proposed
/// and not committed would come in between, and a term would not name one leadership.
fn forget_leading(vote: Vote, replica: ReplicaId) -> Vote {
    if vote.leader_id.node_id == replica.0 {
        Vote::new(vote.leader_id.term, vote.leader_id.node_id)
    } else {
        vote
    }
}

fn config(options: &Options) -> Result<Config, OpenError> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4).max(1);
    let election = millis(options.election_timeout);
    let config = Config {
        cluster_name: "log".into(),
        heartbeat_interval: millis(options.heartbeat),
        election_timeout_min: election,
        election_timeout_max: election.saturating_mul(2),
        // Followed by bytes, here: see `take_snapshots`.
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 0,
        ..Config::default()
    };
    config.validate().map_err(|error| OpenError::Options(error.to_string()))
}

/// Founds the cluster if that was not done, and does not wait for an election without rivals.
async fn start(
    raft: &Runtime,
    replica: ReplicaId,
    founded: bool,
    sole: bool,
) -> Result<(), String> {
    if !founded {
        let voters = BTreeMap::from([(replica.0, Member::default())]);
        raft.initialize(voters).await.map_err(|error| error.to_string())?;
    } else if sole {
        raft.trigger().elect().await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Our reason of a failure, if it is ours.
fn failure<I>(shared: &Shared<I>) -> Option<Fatal> {
    shared.journal.failed().or_else(|| shared.failed())
}

fn why<I>(shared: &Shared<I>, fatal: &openraft::error::Fatal<u64>) -> Fatal {
    failure(shared).unwrap_or_else(|| Fatal::new(fatal.to_string()))
}

/// How raft ended.
fn ended<I>(shared: &Shared<I>, fatal: &openraft::error::Fatal<u64>) -> Ended {
    match fatal {
        openraft::error::Fatal::Stopped if failure(shared).is_none() => Ended::Closed,
        fatal => Ended::Failed(why(shared, fatal)),
    }
}

/// Tells what this replica is.
async fn watch_role<I: Send + Sync + 'static>(
    raft: Runtime,
    shared: Arc<Shared<I>>,
    role: watch::Sender<Role>,
) {
    let mut metrics = raft.metrics();
    drop(raft);
    loop {
        let (now, ended) = {
            let metrics = metrics.borrow_and_update();
            match &metrics.running_state {
                Err(openraft::error::Fatal::Stopped) if failure(&shared).is_none() => {
                    (Role::Closed, true)
                }
                Err(fatal) => (Role::Failed(why(&shared, fatal)), true),
                Ok(()) if metrics.state == ServerState::Leader => {
                    let id = metrics.vote.leader_id;
                    let term = Term { number: id.term, replica: ReplicaId(id.node_id) };
                    (Role::Leader { term }, false)
                }
                Ok(()) => {
                    let leader = metrics.current_leader.map(ReplicaId);
                    (Role::Follower { leader }, false)
                }
            }
        };
        role.send_if_modified(|role| {
            let changed = *role != now;
            *role = now;
            changed
        });
        if ended {
            return;
        }
        if metrics.changed().await.is_err() {
            role.send_replace(failure(&shared).map_or(Role::Closed, Role::Failed));
            return;
        }
    }
}

/// Takes a snapshot whenever one is due.
async fn take_snapshots<I: Send + Sync + 'static>(raft: Runtime, shared: Arc<Shared<I>>) {
    let mut metrics = raft.metrics();
    let trigger = raft.clone();
    drop(raft);
    loop {
        tokio::select! {
            () = shared.snapshot_due.notified() => {
                if trigger.trigger().snapshot().await.is_err() {
                    return;
                }
            }
            changed = metrics.changed() => {
                if changed.is_err() || metrics.borrow().running_state.is_err() {
                    return;
                }
            }
        }
    }
}

/// Has raft take a batch, and waits until it is applied.
async fn submit<I>(
    raft: &Runtime,
    shared: &Shared<I>,
    term: Term,
    batch: Batch,
) -> Result<Outcome, Ended> {
    match raft.client_write(batch).await {
        Ok(written) => Ok(written.data),
        Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => Err(Ended::Lost(term)),
        Err(RaftError::APIError(error)) => {
            Err(Ended::Failed(Fatal::new(format!("raft refused an entry: {error}"))))
        }
        Err(RaftError::Fatal(fatal)) => Err(ended(shared, &fatal)),
    }
}

mod writer;

pub use writer::{Progress, Reason, Refused, Writer};

#[cfg(test)]
mod tests;
