//! The snapshot files of a replica.
//!
//! ```text
//! DIR/snapshot-INDEX-POSITION            raft's last entry in it, and the application's
//! DIR/snapshot-INDEX-POSITION.damaged    was passed over for an older one; for people to look at
//! ```
//!
//! The last few are kept, with the log from the oldest of them on: if one is damaged, the one before
//! it and the log give the same state.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::LogIdOptionExt;

use crate::disk::{Disk, DiskFile, read_up_to, write_all};
use crate::error::{Fatal, OpenError};
use crate::journal::Journal;
use crate::random;
use crate::snapshot::{Meta, Reader, Writer};
use crate::types::SnapshotData;

/// How the name of a snapshot begins.
const PREFIX: &str = "snapshot-";

/// How the name of one ends that could not be read.
const DAMAGED: &str = ".damaged";

/// Name of the file that becomes a snapshot.
const SAVING: &str = "snapshot.new";

/// Name of the file that becomes a snapshot of another replica.
const INSTALLING: &str = "installing.new";

/// Name of a file for as long as it takes to remove that name.
const RECEIVING: &str = "receiving.new";

/// A snapshot is synced after as many bytes, so that the syncs of the log do not have to wait for
/// all of it.
const SYNC_EVERY: u64 = 4 << 20;

/// Bytes of one read.
const READ: usize = 1 << 20;

/// When snapshots are taken, and how many stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// One is taken when the entries since the last one have more bytes than this, and than that
    /// one had: so what is read at a start is at most about twice the state.
    pub bytes: u64,
    /// As many are kept, with the log since the oldest of them; at least one.
    pub keep: usize,
}

/// A snapshot that was read or written.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    meta: Meta,
    /// Bytes of data.
    size: u64,
}

/// All of a replica's snapshots.
pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    policy: SnapshotPolicy,
    journal: Arc<Journal>,
    /// Oldest first.
    known: Mutex<Vec<Known>>,
}

fn name_of(meta: &Meta) -> String {
    let index = meta.last.map_or(0, |id| id.index);
    format!("{PREFIX}{index:020}-{:020}", meta.position.0)
}

/// Is this the name of a snapshot?
pub(crate) fn is_snapshot(name: &str) -> bool {
    let number = |text: &str| text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
    numbers.is_some_and(|(index, position)| number(index) && number(position))
}

/// A file as a stream.
struct Stream<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    /// What was written and not synced, in bytes.
    unsynced: u64,
}

impl<'a> Stream<'a> {
    fn new(file: &'a dyn DiskFile) -> Stream<'a> {
        Stream { file, at: 0, unsynced: 0 }
    }

    fn buffered(file: &'a dyn DiskFile) -> BufReader<Stream<'a>> {
        BufReader::with_capacity(READ, Stream::new(file))
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_all(self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_EVERY {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What [`Snapshots::open`] found.
pub(crate) struct Found {
    pub(crate) snapshots: Snapshots,
    /// Of the state that was restored; the beginning if there is none.
    pub(crate) meta: Meta,
    /// Bytes of its data.
    pub(crate) size: u64,
    /// Snapshots that could not be read, and why.
    pub(crate) damaged: Vec<String>,
}

impl Snapshots {
    /// Restores the newest snapshot with which the log makes a whole.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        path: &Path,
        policy: SnapshotPolicy,
        journal: Arc<Journal>,
        mut restore: impl FnMut(&mut dyn Read) -> io::Result<()>,
    ) -> Result<Found, OpenError> {
        let names = disk.names().map_err(|error| OpenError::io("list", path, error))?;
        let mut names: Vec<String> = names.into_iter().filter(|name| is_snapshot(name)).collect();
        names.sort_unstable();
        let first = journal.first_on_disk();
        let mut damaged = Vec::new();
        let mut first_error = None;
        let mut known: Vec<Known> = Vec::new();
        let mut useless = Vec::new();
        let mut restored = None;
        for name in names.into_iter().rev() {
            let file_path = path.join(&name);
            let file =
                disk.open(&name).map_err(|error| OpenError::io("open", &file_path, error))?;
            if restored.is_some() {
                // One to fall back to, if the log reaches back to it.
                match Reader::new(Stream::buffered(&*file)) {
                    Ok((_, meta)) if meta.last.next_index() >= first => {
                        known.push(Known { name, meta, size: 0 });
                    }
                    _ => useless.push(name),
                }
                continue;
            }
            match read(&*file, &mut restore) {
                Ok((meta, size)) => {
                    known.push(Known { name, meta: meta.clone(), size });
                    restored = Some((meta, size));
                }
                Err(ReadError::State(text)) => {
                    let text = format!("{}: {text}", file_path.display());
                    return Err(OpenError::State(text));
                }
                Err(ReadError::File(crate::snapshot::Error::Io(error))) => {
                    return Err(OpenError::io("read", &file_path, error));
                }
                Err(ReadError::File(error)) => {
                    damaged.push((name, format!("{}: {error}", file_path.display())));
                    first_error.get_or_insert((file_path, error));
                }
            }
        }
        let (meta, size) = restored.unwrap_or_default();
        if meta.last.next_index() < first {
            return Err(match first_error {
                Some((path, error)) => {
                    let (offset, what) = match error {
                        crate::snapshot::Error::Damage { offset, what } => {
                            (offset, what.to_owned())
                        }
                        other => (0, other.to_string()),
                    };
                    let what =
                        format!("{what}; the log begins with entry {first} and cannot replace it");
                    OpenError::damaged(&path, offset, &what)
                }
                None => {
                    let why = format!(
                        "the log begins with entry {first}, and no snapshot has those before it"
                    );
                    OpenError::missing(&path.join(format!("{PREFIX}*")), &why)
                }
            });
        }
        for (name, _) in &damaged {
            let to = format!("{name}{DAMAGED}");
            disk.rename(name, &to)
                .map_err(|error| OpenError::io("rename", &path.join(name), error))?;
        }
        for name in useless {
            disk.remove(&name).map_err(|error| OpenError::io("remove", &path.join(name), error))?;
        }
        known.reverse();
        let snapshots =
            Snapshots { disk, path: path.to_owned(), policy, journal, known: Mutex::new(known) };
        snapshots.retain();
        let damaged = damaged.into_iter().map(|(_, text)| text).collect();
        Ok(Found { snapshots, meta, size, damaged })
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fatal(&self, what: &str, name: &str, error: &io::Error) -> Fatal {
        Fatal::new(format!("failed to {what} {}: {error}", self.path.join(name).display()))
    }

    /// Is one to be taken after as many bytes of entries?
    pub(crate) fn is_due(&self, since: u64) -> bool {
        let last = self.known().last().map_or(0, |known| known.size);
        since > self.policy.bytes.max(last)
    }

    /// Keeps the log from the oldest snapshot on.
    fn retain(&self) {
        let oldest = self.known().first().map(|known| known.meta.last.next_index());
        self.journal.retain(oldest.unwrap_or(0));
    }

    /// Writes a snapshot. Returns how many bytes of data it has.
    pub(crate) fn save(
        &self,
        meta: &Meta,
        encode: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, Fatal> {
        let write = || {
            let file = self.disk.create(SAVING)?;
            let mut writer = Writer::new(Stream::new(&*file), random::number()?, meta)?;
            encode(&mut writer)?;
            let (_, size) = writer.finish()?;
            file.sync()?;
            Ok(size)
        };
        let size = write().map_err(|error| self.fatal("write", SAVING, &error))?;
        self.adopt(SAVING, meta.clone(), size)?;
        Ok(size)
    }

    /// Gives a finished file its name, and removes those that are older than what is kept.
    fn adopt(&self, temporary: &str, meta: Meta, size: u64) -> Result<(), Fatal> {
        let name = name_of(&meta);
        self.disk
            .rename(temporary, &name)
            .and_then(|()| self.disk.sync())
            .map_err(|error| self.fatal("name", &name, &error))?;
        let mut known = self.known();
        known.retain(|known| known.name != name);
        known.push(Known { name, meta, size });
        let surplus = known.len().saturating_sub(self.policy.keep.max(1));
        let removed: Vec<Known> = known.drain(..surplus).collect();
        drop(known);
        for old in removed {
            self.disk.remove(&old.name).map_err(|error| self.fatal("remove", &old.name, &error))?;
        }
        self.retain();
        Ok(())
    }

    /// The newest one.
    pub(crate) fn current(&self) -> Result<Option<(Meta, SnapshotData)>, Fatal> {
        // Not let go of in between: the file must not be removed before it is open.
        let known = self.known();
        let Some(newest) = known.last() else { return Ok(None) };
        let file = self
            .disk
            .open(&newest.name)
            .map_err(|error| self.fatal("open", &newest.name, &error))?;
        Ok(Some((newest.meta.clone(), SnapshotData { file })))
    }

    /// A file without a name, for a snapshot of another replica.
    pub(crate) fn receive(&self) -> Result<SnapshotData, Fatal> {
        let make = || {
            let file = self.disk.create(RECEIVING)?;
            self.disk.remove(RECEIVING)?;
            Ok(SnapshotData { file })
        };
        make().map_err(|error| self.fatal("make", RECEIVING, &error))
    }

    /// Takes over a snapshot of another replica. Returns what it is of.
    pub(crate) fn install(
        &self,
        from: &dyn DiskFile,
        mut restore: impl FnMut(&Meta, &mut dyn Read) -> io::Result<()>,
    ) -> Result<Meta, Fatal> {
        let mut copy = || -> io::Result<(Meta, u64)> {
            let file = self.disk.create(INSTALLING)?;
            let mut to = Stream::new(&*file);
            let mut buffer = vec![0; READ];
            let mut at = 0;
            loop {
                let n = read_up_to(from, &mut buffer, at)?;
                if n == 0 {
                    break;
                }
                to.write_all(buffer.get(..n).unwrap_or_default())?;
                at += n as u64;
            }
            file.sync()?;
            let (mut reader, meta) = Reader::new(Stream::buffered(&*file))?;
            restore(&meta, &mut reader)?;
            let (left, size) = reader.finish()?;
            if left > 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, unread(left)));
            }
            Ok((meta, size))
        };
        let (meta, size) = copy().map_err(|error| self.fatal("install", INSTALLING, &error))?;
        self.adopt(INSTALLING, meta.clone(), size)?;
        Ok(meta)
    }
}

fn unread(left: u64) -> String {
    format!("the state machine left {left} bytes of the snapshot unread")
}

enum ReadError {
    /// The file is at fault.
    File(crate::snapshot::Error),
    /// What is in it does not suit the state machine.
    State(String),
}

/// Restores the state from a file.
fn read(
    file: &dyn DiskFile,
    restore: &mut impl FnMut(&mut dyn Read) -> io::Result<()>,
) -> Result<(Meta, u64), ReadError> {
    let (mut reader, meta) = Reader::new(Stream::buffered(file)).map_err(ReadError::File)?;
    let restored = restore(&mut reader);
    // Whether the file is whole comes first: what is damaged may well not suit.
    let (left, size) = reader.finish().map_err(ReadError::File)?;
    restored.map_err(|error| ReadError::State(error.to_string()))?;
    if left > 0 {
        return Err(ReadError::State(unread(left)));
    }
    Ok((meta, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::TEMPORARY;

    #[test]
    fn names() {
        let name = name_of(&Meta::default());
        assert_eq!(name, "snapshot-00000000000000000000-00000000000000000000");
        assert!(is_snapshot(&name));
        for other in ["snapshot-", SAVING, &name[1..], &format!("{name}{DAMAGED}"), "log-1"] {
            assert!(!is_snapshot(other), "{other}");
        }
    }

    /// What is not finished is removed by the end of its name.
    #[test]
    fn unfinished_files_are_temporary() {
        for name in [SAVING, INSTALLING, RECEIVING] {
            assert!(name.ends_with(TEMPORARY));
        }
    }
}
