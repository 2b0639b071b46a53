//! The journal, as raft wants it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogIdOptionExt, LogState, OptionalSend, RaftLogReader, StorageIOError};
use tokio::sync::oneshot;

use crate::error::Fatal;
use crate::journal::{Done, Journal};
use crate::types::{Entry, LogId, StorageError, Types, Vote};

/// Reader and writer of the log.
#[derive(Clone)]
pub(crate) struct Store {
    journal: Arc<Journal>,
    /// As last written.
    vote: Arc<Mutex<Vote>>,
    /// Last entry that is known to be committed.
    committed: Arc<Mutex<Option<LogId>>>,
}

pub(crate) fn read_error(fatal: Fatal) -> StorageError {
    StorageIOError::read_logs(AnyError::new(&fatal)).into()
}

fn write_error(fatal: Fatal) -> StorageError {
    StorageIOError::write_logs(AnyError::new(&fatal)).into()
}

fn set<T>(place: &Mutex<T>, value: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = value;
}

fn get<T: Clone>(place: &Mutex<T>) -> T {
    place.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Store {
    /// `committed`: last entry that is known to be.
    pub(crate) fn new(journal: Arc<Journal>, vote: Vote, committed: Option<LogId>) -> Store {
        Store {
            journal,
            vote: Arc::new(Mutex::new(vote)),
            committed: Arc::new(Mutex::new(committed)),
        }
    }

    async fn wait(&self, ask: impl FnOnce(Done)) -> Result<(), StorageError> {
        let (sender, receiver) = oneshot::channel();
        ask(Box::new(move |result| {
            // Nobody waits any more when raft was shut down.
            let _ = sender.send(result);
        }));
        let result = receiver.await.unwrap_or_else(|_| Err(self.gone()));
        result.map_err(write_error)
    }

    fn gone(&self) -> Fatal {
        self.journal.failed().unwrap_or_else(|| Fatal::new("the log was closed"))
    }

    async fn read(&self, range: Range<u64>, limited: bool) -> Result<Vec<Entry>, StorageError> {
        if let Some(entries) = self.journal.read_cached(&range) {
            return Ok(entries);
        }
        let journal = Arc::clone(&self.journal);
        let read = tokio::task::spawn_blocking(move || journal.read(&range, limited));
        match read.await {
            Ok(result) => result.map_err(read_error),
            Err(_) => Err(read_error(Fatal::new("reading the log was interrupted"))),
        }
    }
}

fn range(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        wanted: R,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(range(&wanted), false).await
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(start..end, true).await
    }
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Store;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let (last_purged_log_id, last_log_id) = self.journal.state();
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Store {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        self.wait(|done| self.journal.vote(*vote, done)).await?;
        set(&self.vote, *vote);
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = get(&self.vote);
        Ok((vote != Vote::default()).then_some(vote))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.journal.set_committed(committed.next_index());
        set(&self.committed, committed);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(get(&self.committed))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().collect();
        let done = move |result: Result<(), Fatal>| {
            callback.log_io_completed(result.map_err(io::Error::other));
        };
        self.journal.append(entries, Box::new(done));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        self.wait(|done| self.journal.truncate(from.index, done)).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        self.wait(|done| self.journal.purge(upto, done)).await
    }
}

#[cfg(test)]
mod tests;
