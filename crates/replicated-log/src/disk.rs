//! What the log asks of a file system: one flat directory, writes at an offset, and knowing what is
//! durable.
//!
//! It is a trait so that tests can have a disk that fills up, fails, writes less than it was given,
//! or loses what was not synced.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

/// A directory.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Makes an empty file for reading and writing; one of that name is emptied.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading and writing.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name; what had that name is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Returns when all names are durable.
    fn sync(&self) -> io::Result<()>;
    /// All names, in any order.
    fn names(&self) -> io::Result<Vec<String>>;
}

/// A file.
pub(crate) trait DiskFile: Send + Sync + 'static {
    /// Its length, in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads some bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Returns when all that was written, and the length, is durable.
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of the bytes.
pub(crate) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                bytes = bytes.get(n..).unwrap_or_default();
                at += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Fills the buffer, or as much of it as the file has.
pub(crate) fn read_up_to(file: &dyn DiskFile, buffer: &mut [u8], mut at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(n) => {
                filled += n;
                at += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The whole file.
pub(crate) fn read_all(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.length()?).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    let n = read_up_to(file, &mut bytes, 0)?;
    bytes.truncate(n);
    Ok(bytes)
}

/// Puts a small file in the place of another, or of none, as a whole: when this returns it is
/// durable, and before that there was either.
pub(crate) fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{name}{TEMPORARY}");
    let file = disk.create(&temporary)?;
    write_all(&*file, bytes, 0)?;
    file.sync()?;
    disk.rename(&temporary, name)?;
    disk.sync()
}

/// How the name of a file ends that was not finished.
pub(crate) const TEMPORARY: &str = ".new";

/// A disk that tells when nobody uses it any more.
pub(crate) struct Held {
    // In this order: the other is told after the disk is let go of.
    disk: Arc<dyn Disk>,
    _users: tokio::sync::oneshot::Sender<()>,
}

impl Held {
    /// What is received is an error, once nobody uses the disk any more.
    pub(crate) fn new(disk: Arc<dyn Disk>) -> (Held, tokio::sync::oneshot::Receiver<()>) {
        let (users, released) = tokio::sync::oneshot::channel();
        (Held { disk, _users: users }, released)
    }
}

impl Disk for Held {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.disk.names()
    }
}

/// A real directory, by its descriptor: it may be renamed, and no link in it is followed.
pub(crate) struct Directory {
    fd: OwnedFd,
    /// Locked as long as this lives. The kernel drops the lock with the process, however it ends.
    _lock: OwnedFd,
}

/// Name of the file that is locked. The directory itself would do, but not on every file system.
const LOCK: &str = "lock";

impl Directory {
    /// Opens it; it and its parents are made if they are missing. `Ok(None)`: another process has it.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Directory>> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let fd = rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        // The name of the directory itself must last as well.
        if let Some(parent) = std::path::absolute(path)?.parent() {
            File::open(parent)?.sync_all()?;
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock = rustix::fs::openat(&fd, LOCK, flags, Mode::from_raw_mode(0o600))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Directory { fd, _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self, name: &str, more: OFlags) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | more;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::from_raw_mode(0o600))?;
        Ok(Arc::new(File::from(fd)))
    }
}

impl Disk for Directory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, OFlags::CREATE | OFlags::TRUNC)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, OFlags::empty())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let name = CString::from(entry?.file_name()).into_string();
            // What is not UTF-8 is not ours.
            names.extend(name.ok().filter(|name| !matches!(&**name, "." | ".." | LOCK)));
        }
        Ok(names)
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
pub(crate) mod sim;
