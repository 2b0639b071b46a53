//! Appending: a queue, and a task that takes everything that waits as one batch.
//!
//! Raft takes one write after the other and waits for each to be durable. So what arrives meanwhile
//! shares the next write, and one sync serves as many entries as are waiting for it.

use super::*;

/// The right to append, in one term. Dropping it lets what was appended be written.
pub struct Writer<S: StateMachine> {
    term: Term,
    last: Position,
    queue: Arc<Queue<S::Image>>,
    progress: watch::Receiver<Progress>,
}

impl<S: StateMachine> fmt::Debug for Writer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Writer(term {}, last {})", self.term, self.last)
    }
}

/// How far a writer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries up to here are committed: durable on a quorum, and nobody will ever say otherwise.
    pub committed: Position,
    /// Why there will not be more. What was appended and is not committed may still be found
    /// committed by the next leader.
    pub ended: Option<Ended>,
}

/// An entry that was not taken, with the image that was prepared for it.
#[derive(Debug)]
pub struct Refused<I> {
    /// Why.
    pub reason: Reason,
    /// The entry.
    pub entry: Bytes,
    /// The state with it.
    pub image: I,
}

/// Why an entry was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too much is waiting: see [`Writer::room`].
    Full,
    /// It is longer than [`MAX_ENTRY`].
    TooLong,
    /// The leadership is over.
    Ended(Ended),
}

struct Pending<I> {
    entry: Bytes,
    image: I,
    since: Instant,
}

struct Waiting<I> {
    entries: std::collections::VecDeque<Pending<I>>,
    /// Bytes that were appended and are not committed.
    bytes: usize,
    /// No more will be appended.
    closed: bool,
    ended: Option<Ended>,
}

struct Queue<I> {
    waiting: Mutex<Waiting<I>>,
    /// Something was appended, or the writer was dropped.
    filled: Notify,
    /// Something was committed, or never will be.
    drained: Notify,
    limit: usize,
}

impl<I> Queue<I> {
    fn waiting(&self) -> MutexGuard<'_, Waiting<I>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: StateMachine> Writer<S> {
    pub(super) fn start(log: &Log<S>, term: Term, last: Position) -> (Writer<S>, JoinHandle<()>) {
        let queue = Arc::new(Queue {
            waiting: Mutex::new(Waiting {
                entries: std::collections::VecDeque::new(),
                bytes: 0,
                closed: false,
                ended: None,
            }),
            filled: Notify::new(),
            drained: Notify::new(),
            limit: log.options.queue_bytes,
        });
        let (sender, progress) = watch::channel(Progress { committed: last, ended: None });
        let batcher = Batcher {
            raft: log.raft.clone(),
            shared: Arc::clone(&log.shared),
            role: log.role.clone(),
            queue: Arc::clone(&queue),
            progress: sender,
            term,
            bytes: log.options.batch_bytes,
            entries: log.options.batch_entries,
        };
        let task = tokio::spawn(batcher.run());
        (Writer { term, last, queue, progress }, task)
    }

    /// Since when this replica leads.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Position of the last entry that was appended, or of the last one before.
    pub fn last(&self) -> Position {
        self.last
    }

    /// Appends an entry, without waiting for anything. `image` is the state with it, and with all
    /// entries before it.
    ///
    /// Nothing that follows from the entry may leave the process before its position is committed.
    pub fn append(
        &mut self,
        entry: Bytes,
        image: S::Image,
    ) -> Result<Position, Box<Refused<S::Image>>> {
        let length = entry.len() + ENTRY_HEADER;
        let mut waiting = self.queue.waiting();
        let reason = match &waiting.ended {
            Some(ended) => Some(Reason::Ended(ended.clone())),
            None if entry.len() > MAX_ENTRY => Some(Reason::TooLong),
            None if waiting.bytes > 0 && waiting.bytes + length > self.queue.limit => {
                Some(Reason::Full)
            }
            None => None,
        };
        if let Some(reason) = reason {
            return Err(Box::new(Refused { reason, entry, image }));
        }
        waiting.bytes += length;
        waiting.entries.push_back(Pending { entry, image, since: Instant::now() });
        drop(waiting);
        self.queue.filled.notify_one();
        self.last.0 += 1;
        Ok(self.last)
    }

    /// Waits until less than half of the queue is used, or the leadership is over.
    pub async fn room(&self) {
        loop {
            let drained = self.queue.drained.notified();
            {
                let waiting = self.queue.waiting();
                if waiting.ended.is_some() || waiting.bytes <= self.queue.limit / 2 {
                    return;
                }
            }
            drained.await;
        }
    }

    /// How far it has come, and every change of that.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until an entry is committed. Others can do the same with [`Writer::progress`] and
    /// [`Progress::reached`].
    pub async fn wait(&self, position: Position) -> Result<(), Ended> {
        Progress::reached(&mut self.progress(), position).await
    }
}

impl<S: StateMachine> Drop for Writer<S> {
    fn drop(&mut self) {
        self.queue.waiting().closed = true;
        self.queue.filled.notify_one();
    }
}

impl Progress {
    /// Waits until an entry is committed.
    pub async fn reached(
        progress: &mut watch::Receiver<Progress>,
        position: Position,
    ) -> Result<(), Ended> {
        let done = |now: &Progress| now.committed >= position || now.ended.is_some();
        match progress.wait_for(done).await.map(|now| now.clone()) {
            Ok(now) if now.committed >= position => Ok(()),
            Ok(Progress { ended: Some(ended), .. }) => Err(ended),
            Ok(_) | Err(_) => Err(Ended::Closed),
        }
    }
}

struct Batcher<I> {
    raft: Runtime,
    shared: Arc<Shared<I>>,
    role: watch::Receiver<Role>,
    queue: Arc<Queue<I>>,
    progress: watch::Sender<Progress>,
    term: Term,
    /// Most bytes and entries of a batch.
    bytes: usize,
    entries: usize,
}

/// What to do next.
enum Next<I> {
    Batch(Vec<Pending<I>>),
    Wait,
    Close,
}

impl<I: Clone + Send + Sync + 'static> Batcher<I> {
    async fn run(mut self) {
        let ended = self.work().await;
        // Others learn it from the queue or from the progress, whichever they look at.
        let dropped = {
            let mut waiting = self.queue.waiting();
            waiting.ended = Some(ended.clone());
            std::mem::take(&mut waiting.entries)
        };
        drop(dropped);
        self.queue.drained.notify_waiters();
        self.progress.send_modify(|progress| progress.ended = Some(ended));
    }

    /// Writes batches until that is not possible any more.
    async fn work(&mut self) -> Ended {
        loop {
            let result = match self.next() {
                Next::Batch(batch) => self.write(batch).await,
                Next::Close => return Ended::Closed,
                Next::Wait => {
                    tokio::select! {
                        () = self.queue.filled.notified() => Ok(()),
                        ended = left(&mut self.role, self.term) => Err(ended),
                    }
                }
            };
            if let Err(ended) = result {
                return ended;
            }
        }
    }

    /// Takes what is waiting.
    fn next(&self) -> Next<I> {
        let mut waiting = self.queue.waiting();
        let mut bytes = 0;
        let mut batch = Vec::new();
        while let Some(pending) = waiting.entries.pop_front_if(|pending| {
            bytes += pending.entry.len() + ENTRY_HEADER;
            batch.is_empty() || bytes <= self.bytes && batch.len() < self.entries
        }) {
            batch.push(pending);
        }
        match batch.is_empty() {
            false => Next::Batch(batch),
            true if waiting.closed => Next::Close,
            true => Next::Wait,
        }
    }

    async fn write(&mut self, pending: Vec<Pending<I>>) -> Result<(), Ended> {
        let bytes = batch::encode(self.term, pending.iter().map(|pending| &pending.entry));
        let lengths: usize = pending.iter().map(|pending| pending.entry.len()).sum();
        let image = pending.last().map(|pending| pending.image.clone());
        let since: Vec<Instant> = pending.iter().map(|pending| pending.since).collect();
        drop(pending);
        let ticket = Some(self.shared.prepared.add(image));
        let count = since.len();
        match submit(&self.raft, &self.shared, self.term, Batch { bytes, ticket }).await? {
            Outcome::Applied(position) => {
                self.queue.waiting().bytes -= lengths + count * ENTRY_HEADER;
                self.queue.drained.notify_waiters();
                self.progress.send_modify(|progress| progress.committed = position);
                let counters = &self.shared.counters;
                counters.entries.add(count as u64);
                counters.bytes.add(lengths as u64);
                counters.batches.add(1);
                let now = Instant::now();
                for since in since {
                    counters.append.record(now.saturating_duration_since(since));
                }
                Ok(())
            }
            Outcome::Void | Outcome::Nothing => Err(Ended::Lost(self.term)),
        }
    }
}

/// Waits until this replica does not lead in this term any more.
async fn left(role: &mut watch::Receiver<Role>, term: Term) -> Ended {
    let led = |role: &Role| *role == Role::Leader { term };
    match role.wait_for(|role| !led(role)).await.map(|role| role.clone()) {
        Ok(Role::Failed(fatal)) => Ended::Failed(fatal),
        Ok(Role::Closed) | Err(_) => Ended::Closed,
        Ok(Role::Leader { .. } | Role::Follower { .. }) => Ended::Lost(term),
    }
}
