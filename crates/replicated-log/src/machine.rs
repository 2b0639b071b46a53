//! The application's committed state, as raft wants it.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{
    AnyError, EntryPayload, LogIdOptionExt, OptionalSend, RaftSnapshotBuilder, StorageIOError,
};
use tokio::sync::Notify;

use crate::batch;
use crate::error::Fatal;
use crate::journal::Journal;
use crate::metrics::Counters;
use crate::snapshot::Meta;
use crate::snapshots::Snapshots;
use crate::types::{
    Batch, Entry, LogId, Outcome, Position, SnapshotData, SnapshotMeta, StorageError,
    StoredMembership, Types, term_of,
};

/// A state that is changed by entries of the log, and by nothing else.
///
/// Every replica applies the same entries in the same order, so [`apply`](StateMachine::apply) must
/// depend on the state and the entry alone: no clock, no randomness, no order of a hash map.
///
/// The leader decides on its own copy of the state, ahead of the log. So that it need not do
/// everything twice, it hands over an image of its state with each entry, which is adopted when the
/// entry is committed. It must equal what applying the entry gives;
/// [`Options::verify`](crate::Options::verify) checks that.
pub trait StateMachine: Send + Sync + 'static {
    /// The state at one moment. Made and cloned in no time: of persistent maps, or behind an `Arc`.
    type Image: Clone + Send + Sync + 'static;

    /// Changes the state. An entry that cannot be applied ends the log, on every replica: a state
    /// that is not known is worse than none.
    fn apply(&mut self, entry: &[u8]) -> Result<(), Box<dyn StdError + Send + Sync>>;

    /// Replaces the state.
    fn adopt(&mut self, image: Self::Image);

    /// The state now.
    fn image(&self) -> Self::Image;

    /// Writes an image for [`restore`](StateMachine::restore), on a thread of its own. Equal states
    /// give equal bytes.
    fn encode(image: &Self::Image, out: &mut dyn Write) -> io::Result<()>;

    /// Replaces the state by one that was encoded. It must read to the end. If it fails it may be
    /// called again with an older one.
    fn restore(&mut self, input: &mut dyn Read) -> io::Result<()>;

    /// Are these images of equal states? Asked only with [`Options::verify`](crate::Options::verify).
    /// By default, equal states are those that are encoded alike.
    fn agree(one: &Self::Image, other: &Self::Image) -> io::Result<bool> {
        let encode = |image: &Self::Image| {
            let mut bytes = Vec::new();
            Self::encode(image, &mut bytes).map(|()| bytes)
        };
        Ok(encode(one)? == encode(other)?)
    }
}

/// States that the leader prepared for batches that are not applied yet, by ticket, in order. A
/// batch without one is a barrier: the state at its place is asked for.
pub(crate) struct Prepared<I> {
    tickets: Mutex<VecDeque<(u64, Option<I>)>>,
    next: AtomicU64,
    /// The state at the last barrier, and what identifies that.
    at_barrier: Mutex<Option<(u64, Position, I)>>,
}

impl<I> Prepared<I> {
    pub(crate) fn new() -> Prepared<I> {
        Prepared {
            tickets: Mutex::new(VecDeque::new()),
            next: AtomicU64::new(0),
            at_barrier: Mutex::new(None),
        }
    }

    fn tickets(&self) -> MutexGuard<'_, VecDeque<(u64, Option<I>)>> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a state until its batch is applied; the ticket goes with the batch.
    pub(crate) fn add(&self, image: Option<I>) -> u64 {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        self.tickets().push_back((ticket, image));
        ticket
    }

    /// Takes what belongs to a ticket; what was added before it will not be asked for any more.
    fn take(&self, ticket: u64) -> Option<Option<I>> {
        let mut tickets = self.tickets();
        while let Some((found, image)) = tickets.pop_front_if(|(found, _)| *found <= ticket) {
            if found == ticket {
                return Some(image);
            }
        }
        None
    }

    /// The state at the barrier with this ticket, once it was applied.
    pub(crate) fn at_barrier(&self, ticket: u64) -> Option<(Position, I)> {
        let mut place = self.at_barrier.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, position, image) = place.take_if(|(found, ..)| *found == ticket)?;
        Some((position, image))
    }
}

/// What a machine shares with the log.
pub(crate) struct Shared<I> {
    pub(crate) prepared: Prepared<I>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) journal: Arc<Journal>,
    /// It is time for a snapshot.
    pub(crate) snapshot_due: Notify,
    /// Position of the last entry that was applied.
    pub(crate) position: AtomicU64,
    /// Why raft will end, if the state machine is the reason.
    failed: Mutex<Option<Fatal>>,
}

impl<I> Shared<I> {
    pub(crate) fn new(
        counters: Arc<Counters>,
        snapshots: Arc<Snapshots>,
        journal: Arc<Journal>,
    ) -> Shared<I> {
        Shared {
            prepared: Prepared::new(),
            counters,
            snapshots,
            journal,
            snapshot_due: Notify::new(),
            position: AtomicU64::new(0),
            failed: Mutex::new(None),
        }
    }

    pub(crate) fn failed(&self) -> Option<Fatal> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, fatal: Fatal) -> StorageError {
        let error = AnyError::new(&fatal);
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(fatal);
        StorageIOError::write_state_machine(error).into()
    }
}

/// The state with all that raft wants to know of it.
pub(crate) struct Machine<S: StateMachine> {
    state: S,
    meta: Meta,
    shared: Arc<Shared<S::Image>>,
    /// Are prepared states compared with applied ones?
    verify: bool,
    /// Bytes of entries since the last snapshot.
    since_snapshot: u64,
}

impl<S: StateMachine> Machine<S> {
    /// `meta` says what `state` is of.
    pub(crate) fn new(
        state: S,
        meta: Meta,
        shared: Arc<Shared<S::Image>>,
        verify: bool,
    ) -> Machine<S> {
        shared.position.store(meta.position.0, Ordering::Relaxed);
        shared.journal.set_applied(meta.last.next_index());
        Machine { state, meta, shared, verify, since_snapshot: 0 }
    }

    fn apply_entry(&mut self, entry: Entry) -> Result<Outcome, Fatal> {
        let id = entry.log_id;
        let outcome = match entry.payload {
            EntryPayload::Blank => Outcome::Nothing,
            EntryPayload::Membership(membership) => {
                self.meta.membership = StoredMembership::new(Some(id), membership);
                Outcome::Nothing
            }
            EntryPayload::Normal(batch) => self.apply_batch(&id, &batch)?,
        };
        self.meta.last = Some(id);
        Ok(outcome)
    }

    fn apply_batch(&mut self, id: &LogId, batch: &Batch) -> Result<Outcome, Fatal> {
        let parsed = batch::decode(&batch.bytes).ok_or_else(|| {
            Fatal::new(format!("entry {} of the log is no batch of entries", id.index))
        })?;
        let prepared = batch.ticket.and_then(|ticket| {
            self.shared.prepared.take(ticket).map(|prepared| (ticket, prepared))
        });
        if parsed.term != term_of(id) {
            return Ok(Outcome::Void);
        }
        let count = parsed.entries.len() as u64;
        let before = self.meta.position;
        self.meta.position.0 += count;
        match prepared {
            Some((_, Some(image))) => {
                if self.verify {
                    self.apply_bytes(before, &parsed.entries)?;
                    compare::<S>(&self.state.image(), &image, self.meta.position)?;
                }
                self.state.adopt(image);
            }
            other => {
                self.apply_bytes(before, &parsed.entries)?;
                if let Some((ticket, None)) = other {
                    let found = (ticket, self.meta.position, self.state.image());
                    let place = &self.shared.prepared.at_barrier;
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                }
            }
        }
        self.since_snapshot += batch.bytes.len() as u64;
        self.shared.counters.since_snapshot.add(count);
        Ok(Outcome::Applied(self.meta.position))
    }

    fn apply_bytes(&mut self, before: Position, entries: &[&[u8]]) -> Result<(), Fatal> {
        for (number, entry) in (before.0 + 1..).zip(entries) {
            self.state.apply(entry).map_err(|error| {
                Fatal::new(format!("failed to apply entry {number} of the application: {error}"))
            })?;
            self.shared.counters.entries_read.add(1);
            self.shared.counters.bytes_read.add(entry.len() as u64);
        }
        Ok(())
    }
}

/// Refuses a prepared state that is not what applying gave.
fn compare<S: StateMachine>(
    applied: &S::Image,
    prepared: &S::Image,
    position: Position,
) -> Result<(), Fatal> {
    match S::agree(applied, prepared) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fatal::new(format!(
            "the state that was prepared for entry {position} is not what applying it gives"
        ))),
        Err(error) => {
            Err(Fatal::new(format!("failed to compare states at entry {position}: {error}")))
        }
    }
}

impl<S: StateMachine> RaftStateMachine<Types> for Machine<S> {
    type SnapshotBuilder = Builder<S>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.meta.last, self.meta.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter();
        let mut outcomes = Vec::with_capacity(entries.size_hint().0);
        for entry in entries {
            let outcome = self.apply_entry(entry).map_err(|fatal| self.shared.fail(fatal))?;
            outcomes.push(outcome);
        }
        self.shared.position.store(self.meta.position.0, Ordering::Relaxed);
        self.shared.journal.set_applied(self.meta.last.next_index());
        if self.shared.snapshots.is_due(self.since_snapshot) {
            self.shared.snapshot_due.notify_one();
        }
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Builder<S> {
        self.since_snapshot = 0;
        self.shared.counters.since_snapshot.set(0);
        Builder {
            image: self.state.image(),
            meta: self.meta.clone(),
            shared: Arc::clone(&self.shared),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        let received = self.shared.snapshots.receive();
        received.map(Box::new).map_err(|fatal| self.shared.fail(fatal))
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<SnapshotData>,
    ) -> Result<(), StorageError> {
        let installed = self.shared.snapshots.install(&*snapshot.file, |found, data| {
            if found.raft() != *meta {
                let text = "what was received is not the snapshot that was announced";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.state.restore(data)
        });
        self.meta = installed.map_err(|fatal| self.shared.fail(fatal))?;
        self.since_snapshot = 0;
        self.shared.counters.since_snapshot.set(0);
        self.shared.position.store(self.meta.position.0, Ordering::Relaxed);
        self.shared.journal.set_applied(self.meta.last.next_index());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let current = self.shared.snapshots.current().map_err(|fatal| self.shared.fail(fatal))?;
        Ok(current.map(raft_snapshot))
    }
}

fn raft_snapshot((meta, data): (Meta, SnapshotData)) -> Snapshot<Types> {
    Snapshot { meta: meta.raft(), snapshot: Box::new(data) }
}

/// Takes a snapshot of a state that goes on changing.
pub(crate) struct Builder<S: StateMachine> {
    image: S::Image,
    meta: Meta,
    shared: Arc<Shared<S::Image>>,
}

impl<S: StateMachine> RaftSnapshotBuilder<Types> for Builder<S> {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let (image, meta) = (self.image.clone(), self.meta.clone());
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let bytes = shared.snapshots.save(&meta, |out| S::encode(&image, out))?;
            shared.counters.snapshots.add(1);
            shared.counters.snapshot_bytes.set(bytes);
            shared.counters.snapshot.record(begun.elapsed());
            shared.snapshots.current()
        });
        let saved = match task.await {
            Ok(saved) => saved,
            Err(_) => Err(Fatal::new("taking a snapshot was interrupted")),
        };
        let current = saved.map_err(|fatal| self.shared.fail(fatal))?;
        let missing = || self.shared.fail(Fatal::new("the snapshot just taken is gone"));
        current.map(raft_snapshot).ok_or_else(missing)
    }
}
