//! The log of raft on disk: segments, the vote, and the one thread that writes them (`writer`).
//! `scan` reads them when the log is opened.
//!
//! ```text
//! DIR/log-00000000000000000007   segments, by sequence; the last one is written to
//! DIR/vote  DIR/identity         see `seal`
//! DIR/*.new                      not finished; removed when the log is opened
//! ```
//!
//! The thread takes all commands that wait, writes them as one frame, syncs, and only then tells
//! anybody. The next frame is not written before. If anything fails it stops for good: what is on
//! disk after a failed write or sync is not known, so nothing may be built on it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use openraft::{EntryPayload, LogIdOptionExt};

use crate::codec::{self, weight};
use crate::disk::{Disk, DiskFile, TEMPORARY, read_all, read_up_to, replace, write_all};
use crate::error::{Fatal, OpenError, TornTail};
use crate::metrics::Counters;
use crate::random;
use crate::seal::{self, VOTE, Voted};
use crate::segment::{self, FrameBuilder, HEADER, Header, Record};
use crate::types::{Entry, LogId, Membership, ReplicaId, Vote};

mod scan;
mod writer;

use scan::{Scan, read_vote, scan};
use writer::Writer;

/// How the name of a segment begins.
const PREFIX: &str = "log-";

/// Lengths of segments are multiples of it: a page, so that none is shared between files.
const PAGE: u64 = 4096;

/// Most bytes in a frame, if there is more than one command in it.
const FRAME_LIMIT: usize = 8 << 20;

/// Zeros are written in such pieces.
const ZEROS: usize = 1 << 20;

/// And are synced after as many bytes, so that the syncs of frames do not have to wait for long.
const ZEROS_SYNC: u64 = 4 << 20;

/// Most bytes that one read for a follower returns.
const READ_LIMIT: usize = 4 << 20;

/// What may be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Length of a segment, in bytes.
    pub(crate) segment: u64,
    /// Memory for entries that were written lately, in bytes.
    pub(crate) cache: usize,
}

/// Calls back when something is durable, or never will be.
pub(crate) type Done = Box<dyn FnOnce(Result<(), Fatal>) + Send>;

enum Command {
    Append { entries: Vec<Entry>, done: Done },
    Truncate { index: u64, done: Done },
    Purge { upto: LogId, done: Done },
    Vote { vote: Vote, done: Done },
}

/// Where an entry is on disk.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: LogId,
    segment: u64,
    offset: u32,
    length: u32,
    /// Of its bytes, as the frame's checksum is not looked at again.
    sum: u32,
}

impl Place {
    fn range(&self) -> Range<usize> {
        let start = self.offset as usize;
        start..start + self.length as usize
    }
}

/// What is in the log, for readers.
#[derive(Default)]
struct Contents {
    /// Entries up to here are not asked for any more.
    purged: Option<LogId>,
    /// The last entry, be it durable or not.
    last: Option<LogId>,
    /// The last ones, without a gap up to `last`.
    cache: VecDeque<Entry>,
    /// What `cache` weighs.
    cached: usize,
    /// The entry before `places`.
    before_places: Option<LogId>,
    /// Index of the first of `places`: the one after `before_places`, or where the log began.
    start: u64,
    /// Durable entries, without a gap.
    places: VecDeque<Place>,
    segments: BTreeMap<u64, Arc<dyn DiskFile>>,
}

impl Contents {
    /// The last durable entry.
    fn durable(&self) -> Option<LogId> {
        self.places.back().map(|place| place.id).or(self.before_places)
    }

    fn cache_start(&self) -> u64 {
        self.last.next_index() - self.cache.len() as u64
    }

    /// Forgets durable entries from `index` on.
    fn truncate_places(&mut self, index: u64) {
        let keep = index.saturating_sub(self.start);
        self.places.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
    }

    /// What is durable goes on after `previous`: those up to it stay, if they are there.
    fn reset(&mut self, previous: Option<LogId>) {
        let at =
            previous.next_index().checked_sub(self.start).and_then(|n| usize::try_from(n).ok());
        let id = |place: usize| self.places.get(place).map(|place| place.id);
        let have = match at {
            Some(0) => previous == self.before_places,
            Some(n) => id(n - 1) == previous,
            None => false,
        };
        if have {
            self.truncate_places(previous.next_index());
        } else {
            self.places.clear();
            self.before_places = previous;
            self.start = previous.next_index();
            self.purged = previous;
        }
        self.last = previous;
    }

    /// The durable entry before `index`.
    fn durable_before(&self, index: u64) -> Option<LogId> {
        let place = index.checked_sub(self.start + 1);
        let place = place.and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.places.get(place)).map(|place| place.id).or(self.before_places)
    }

    /// Forgets durable entries of a segment, the oldest one.
    fn drop_segment(&mut self, sequence: u64) {
        self.segments.remove(&sequence);
        while let Some(place) = self.places.pop_front_if(|place| place.segment <= sequence) {
            self.before_places = Some(place.id);
            self.start = place.id.index + 1;
        }
    }

    /// Lets go of applied entries that can be read from disk, beyond a weight. `truncate_places` was
    /// done for all that was truncated, as raft waits for that.
    fn evict(&mut self, limit: usize, unapplied: u64) {
        let end = self.durable().next_index().min(unapplied);
        while self.cached > limit {
            match self.cache.pop_front_if(|entry| entry.log_id.index < end) {
                Some(entry) => self.cached -= weight(&entry),
                None => break,
            }
        }
    }
}

struct Shared {
    disk: Arc<dyn Disk>,
    /// For messages only.
    path: PathBuf,
    contents: Mutex<Contents>,
    /// Why nothing is written any more.
    failed: OnceLock<Fatal>,
    /// Entries before this index are known to be committed.
    committed: AtomicU64,
    /// Entries from this index on stay on disk, purged or not, as an older snapshot needs them.
    retained: AtomicU64,
    /// Entries from this index on stay in memory: they are not applied yet, and have tickets.
    unapplied: AtomicU64,
    counters: Arc<Counters>,
    options: Options,
}

impl Shared {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        // Nothing panics while it holds this.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log on disk. Ends its thread when it is dropped, after everything was written.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// What was found.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) vote: Vote,
    /// What was cut off.
    pub(crate) torn: Option<TornTail>,
    /// Memberships in the log, in order.
    pub(crate) memberships: Vec<(LogId, Membership)>,
}

fn segment_name(sequence: u64) -> String {
    format!("{PREFIX}{sequence:020}")
}

fn segment_sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX).filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

/// Name of the first segment.
pub(crate) fn first_name() -> String {
    segment_name(1)
}

/// Is this a segment as [`create`] makes it?
pub(crate) fn is_unused(bytes: &[u8]) -> bool {
    let unused = |header: Header| {
        let end = segment::read(bytes, header.salt, |_, _| ());
        end == Ok(segment::End { offset: HEADER, torn: HEADER })
    };
    Header::decode(bytes).is_ok_and(unused)
}

/// Is this the name of a segment?
pub(crate) fn is_segment(name: &str) -> bool {
    segment_sequence(name).is_some()
}

/// Makes the files of an empty log. Nobody has relied on anything in this directory.
pub(crate) fn create(disk: &dyn Disk, replica: ReplicaId, options: Options) -> io::Result<()> {
    let file = zeros(disk, &format!("{}{TEMPORARY}", segment_name(1)), options.segment)?;
    let header = Header::first(random::number()?, replica, options.segment);
    write_all(&*file, &header.encode(), 0)?;
    file.sync()?;
    disk.rename(&format!("{}{TEMPORARY}", segment_name(1)), &segment_name(1))?;
    replace(disk, VOTE, &seal::encode_vote(&Voted { vote: Vote::default(), segment: 1 }))
}

/// A durable file of zeros.
fn zeros(disk: &dyn Disk, name: &str, length: u64) -> io::Result<Arc<dyn DiskFile>> {
    let file = disk.create(name)?;
    let piece = vec![0; ZEROS];
    let mut at = 0;
    while at < length {
        let n = usize::try_from(length - at).unwrap_or(ZEROS).min(ZEROS);
        write_all(&*file, piece.get(..n).unwrap_or_default(), at)?;
        at += n as u64;
        if at % ZEROS_SYNC == 0 {
            file.sync()?;
        }
    }
    file.sync()?;
    Ok(file)
}

/// Removes what was not finished.
pub(crate) fn remove_temporary(disk: &dyn Disk) -> io::Result<()> {
    for name in disk.names()? {
        if name.ends_with(TEMPORARY) {
            disk.remove(&name)?;
        }
    }
    Ok(())
}

impl Journal {
    /// Reads the log of `replica`, made by [`create`], to its end.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        replica: ReplicaId,
        options: Options,
        counters: Arc<Counters>,
    ) -> Result<Opened, OpenError> {
        let Voted { vote, segment } = read_vote(&*disk, path)?;
        let Scan { contents, segments, tail, torn, committed, memberships } =
            scan(&*disk, path, replica, segment)?;
        let shared = Arc::new(Shared {
            disk,
            path: path.to_owned(),
            contents: Mutex::new(contents),
            failed: OnceLock::new(),
            committed: AtomicU64::new(committed),
            retained: AtomicU64::new(u64::MAX),
            unapplied: AtomicU64::new(0),
            counters,
            options,
        });
        let (commands, receiver) = mpsc::channel();
        let writer = Writer {
            shared: Arc::clone(&shared),
            replica,
            vote,
            segments,
            tail,
            spare: None,
            frame: FrameBuilder::default(),
            written: Vec::new(),
            waiting: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| OpenError::io("start a thread for", path, error))?;
        let journal = Journal { shared, commands: Some(commands), thread: Some(thread) };
        Ok(Opened { journal, vote, torn, memberships })
    }

    fn send(&self, command: Command) {
        let Some(commands) = &self.commands else { return };
        if let Err(mpsc::SendError(command)) = commands.send(command) {
            // The thread ends by itself only if it panicked.
            let fatal = Fatal::new("the thread that writes the log is gone");
            let fatal = self.shared.failed.get_or_init(|| fatal).clone();
            command.done()(Err(fatal));
        }
    }

    /// Last entry that was purged, and last entry.
    pub(crate) fn state(&self) -> (Option<LogId>, Option<LogId>) {
        let contents = self.shared.contents();
        (contents.purged, contents.last)
    }

    /// Appends; the entries can be read when this returns, and are durable when `done` is called.
    pub(crate) fn append(&self, entries: Vec<Entry>, done: Done) {
        {
            let mut contents = self.shared.contents();
            if let (None, Some(first)) = (contents.last, entries.first()) {
                contents.start = first.log_id.index;
            }
            for entry in &entries {
                contents.cached += weight(entry);
                contents.last = Some(entry.log_id);
                contents.cache.push_back(entry.clone());
            }
        }
        self.send(Command::Append { entries, done });
    }

    /// Forgets entries from `index` on.
    pub(crate) fn truncate(&self, index: u64, done: Done) {
        {
            let mut contents = self.shared.contents();
            while let Some(entry) = contents.cache.pop_back_if(|entry| entry.log_id.index >= index)
            {
                contents.cached -= weight(&entry);
            }
            contents.last = match contents.cache.back() {
                Some(entry) => Some(entry.log_id),
                None => contents.durable_before(index),
            };
        }
        self.send(Command::Truncate { index, done });
    }

    /// Forgets entries up to `upto`; the log may be shorter.
    pub(crate) fn purge(&self, upto: LogId, done: Done) {
        {
            let mut contents = self.shared.contents();
            contents.purged = contents.purged.max(Some(upto));
            contents.last = contents.last.max(Some(upto));
            while let Some(entry) =
                contents.cache.pop_front_if(|entry| entry.log_id.index <= upto.index)
            {
                contents.cached -= weight(&entry);
            }
        }
        self.send(Command::Purge { upto, done });
    }

    /// Keeps a vote.
    pub(crate) fn vote(&self, vote: Vote, done: Done) {
        self.send(Command::Vote { vote, done });
    }

    /// Entries before this index are known to be committed.
    pub(crate) fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Relaxed)
    }

    /// Remembers that; it is written with the next frame.
    pub(crate) fn set_committed(&self, index: u64) {
        self.shared.committed.fetch_max(index, Ordering::Relaxed);
    }

    /// Entries from this index on stay on disk.
    pub(crate) fn retain(&self, index: u64) {
        self.shared.retained.store(index, Ordering::Relaxed);
    }

    /// Entries before this index were applied.
    pub(crate) fn set_applied(&self, index: u64) {
        self.shared.unapplied.store(index, Ordering::Relaxed);
    }

    /// First entry on disk, purged or not.
    pub(crate) fn first_on_disk(&self) -> u64 {
        self.shared.contents().start
    }

    /// Why nothing is written any more.
    pub(crate) fn failed(&self) -> Option<Fatal> {
        self.shared.failed.get().cloned()
    }

    /// The entries of this range, if they are all in memory.
    pub(crate) fn read_cached(&self, range: &Range<u64>) -> Option<Vec<Entry>> {
        let contents = self.shared.contents();
        let range = clip(&contents, range);
        let skip = range.start.checked_sub(contents.cache_start());
        if range.is_empty() {
            return Some(Vec::new());
        }
        let skip = usize::try_from(skip?).ok()?;
        let count = usize::try_from(range.end - range.start).ok()?;
        Some(contents.cache.iter().skip(skip).take(count).cloned().collect())
    }

    /// The entries of this range that there are. With `limited`: the first of them, at least one.
    pub(crate) fn read(&self, range: &Range<u64>, limited: bool) -> Result<Vec<Entry>, Fatal> {
        // An entry that is not in memory is durable; what is in memory now may not be later.
        let (places, mut rest, segments) = {
            let contents = self.shared.contents();
            let range = clip(&contents, range);
            let first = contents.start;
            let durable = range.start..range.end.min(contents.cache_start()).max(range.start);
            let skip = usize::try_from(durable.start.saturating_sub(first)).unwrap_or(usize::MAX);
            let count = usize::try_from(durable.end - durable.start).unwrap_or(0);
            let places: Vec<Place> =
                contents.places.iter().skip(skip).take(count).copied().collect();
            let skip = durable.end.saturating_sub(contents.cache_start());
            let skip = usize::try_from(skip).unwrap_or(usize::MAX);
            let count = usize::try_from(range.end - durable.end).unwrap_or(0);
            let rest: Vec<Entry> = contents.cache.iter().skip(skip).take(count).cloned().collect();
            let wanted = places.iter().map(|place| place.segment);
            let segments: BTreeMap<u64, Arc<dyn DiskFile>> = wanted
                .filter_map(|n| contents.segments.get(&n).map(|file| (n, Arc::clone(file))))
                .collect();
            (places, rest, segments)
        };
        let mut entries = Vec::with_capacity(places.len() + rest.len());
        let mut bytes = 0;
        let mut places = places.as_slice();
        let mut buffer = Vec::new();
        while let Some(first) = places.first() {
            // What is near together is read at once.
            let near = |place: &&Place| {
                place.segment == first.segment
                    && place.range().end - first.range().start <= READ_LIMIT
            };
            let run = places.iter().take_while(near).count().max(1);
            let (now, later) = places.split_at(run);
            places = later;
            let start = first.range().start;
            let end = now.last().map_or(start, |place| place.range().end);
            buffer.resize(end - start, 0);
            let name = segment_name(first.segment);
            let fail = |what: &str| {
                Fatal::new(format!(
                    "failed to read {}: {what}",
                    self.shared.path.join(&name).display()
                ))
            };
            let file = segments.get(&first.segment).ok_or_else(|| fail("it is gone"))?;
            let n = read_up_to(&**file, &mut buffer, start as u64)
                .map_err(|error| fail(&error.to_string()))?;
            for place in now {
                let range = place.range();
                let content = buffer
                    .get(..n)
                    .and_then(|read| read.get(range.start - start..range.end - start))
                    .filter(|content| crc32c::crc32c(content) == place.sum)
                    .and_then(codec::entry)
                    .ok_or_else(|| {
                        fail(&format!(
                            "entry {} at byte {} is not what was written",
                            place.id.index, place.offset
                        ))
                    })?;
                bytes += weight(&content);
                entries.push(content);
                if limited && bytes >= READ_LIMIT {
                    return Ok(entries);
                }
            }
        }
        if limited {
            let mut keep = 0;
            for entry in &rest {
                if bytes >= READ_LIMIT && !(keep == 0 && entries.is_empty()) {
                    break;
                }
                bytes += weight(entry);
                keep += 1;
            }
            rest.truncate(keep);
        }
        entries.append(&mut rest);
        Ok(entries)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // A panic was printed, and whoever waited was told.
            let _ = thread.join();
        }
    }
}

/// The part of a range that there is.
fn clip(contents: &Contents, range: &Range<u64>) -> Range<u64> {
    let start = range.start.max(contents.purged.next_index()).max(contents.start);
    start..range.end.min(contents.last.next_index()).max(start)
}

impl Command {
    fn done(self) -> Done {
        match self {
            Command::Append { done, .. }
            | Command::Truncate { done, .. }
            | Command::Purge { done, .. }
            | Command::Vote { done, .. } => done,
        }
    }
}

#[cfg(test)]
mod tests;
