//! Rotated files as gzip: how one is made, and how it is read.
//!
//! Making one is the work of a short-lived process with the rights of the task's user; `files` says what
//! becomes of the result. Each file says in its header which file it was made of, so that a follower
//! that holds the one knows the other:
//!
//! | bytes | what |
//! |---|---|
//! | `1f 8b 08`, flags, time, 2 bytes | the header of RFC 1952, time and name being those of the source |
//! | length | of the extra field |
//! | `t` `h`, 8, inode number | its subfield of ours, little-endian |

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::account::{MARK, Mark};

/// Bytes that are compressed at a time.
const CHUNK: usize = 64 << 10;

/// The subfield that names the source.
const SUBFIELD: [u8; 2] = *b"th";

/// So much of a file is looked at for the subfield; ours are shorter.
pub const HEAD: usize = 64;

/// What tells that a file is still the same one with the same content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
}

impl Identity {
    /// `None` for what cannot be compressed: special files, empty ones, and ones with a second name,
    /// which may be somebody else's.
    pub(crate) fn of(stat: &Stat) -> Option<Identity> {
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        (is_file && stat.st_nlink == 1 && stat.st_size > 0).then_some(Identity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
        })
    }
}

/// Opens a file that is to be compressed, without following a link and without waiting for the other
/// end of a pipe.
pub(crate) fn open(
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> Result<Option<(OwnedFd, Identity)>, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    let identity = Identity::of(&rustix::fs::fstat(&file)?);
    Ok(identity.map(|identity| (file, identity)))
}

/// Compresses a file, of which the log has the name `log`, into the new file `target` of a directory.
/// What is in the way of `target` is removed; after a failure nothing is left of it.
///
/// Fails if `source` does not stay as it is, if `go_on` says no (it is asked for every chunk), and when
/// there is no room.
pub(crate) fn compress(
    directory: BorrowedFd<'_>,
    source: BorrowedFd<'_>,
    identity: Identity,
    log: &str,
    target: &CStr,
    go_on: impl Fn() -> bool,
) -> io::Result<()> {
    let target_file = create(directory, target)?;
    let written = (|| {
        let stat = rustix::fs::fstat(source)?;
        let out = write(source, &stat, log, target_file, go_on)?;
        if Identity::of(&rustix::fs::fstat(source)?) != Some(identity) {
            return Err(io::Error::other("it has changed"));
        }
        dress(source, &stat, &out)
    })();
    if written.is_err() {
        // Its room may be needed at once.
        let _ = rustix::fs::unlinkat(directory, target, AtFlags::empty());
    }
    written
}

fn create(directory: BorrowedFd<'_>, name: &CStr) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let create = || rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o600));
    let made: Result<OwnedFd, Errno> = match create() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(directory, name, AtFlags::empty())?;
            create()
        }
        other => other,
    };
    made.map(File::from)
}

fn write(
    source: BorrowedFd<'_>,
    stat: &Stat,
    log: &str,
    target: File,
    go_on: impl Fn() -> bool,
) -> io::Result<File> {
    let mut extra = Vec::from(SUBFIELD);
    extra.extend(8u16.to_le_bytes());
    extra.extend(stat.st_ino.to_le_bytes());
    // `gunzip -N` gives the name back, without the number, which will be another one by then.
    let mut encoder = GzBuilder::new()
        .extra(extra)
        .filename(log)
        .mtime(u32::try_from(stat.st_mtime).unwrap_or(0))
        .operating_system(3)
        .write(target, Compression::default());
    let mut chunk = vec![0; CHUNK];
    loop {
        if !go_on() {
            return Err(io::Error::other("nobody waits for it"));
        }
        match rustix::io::read(source, &mut chunk) {
            Ok(0) => return encoder.finish(),
            Ok(n) => encoder.write_all(&chunk[..n])?,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Gives a compressed file the rights, the times and the mark of its source.
fn dress(source: BorrowedFd<'_>, stat: &Stat, target: &File) -> io::Result<()> {
    let mut buffer = [0; Mark::ROOM];
    if let Ok(length) = rustix::fs::fgetxattr(source, MARK, &mut buffer[..]) {
        rustix::fs::fsetxattr(target, MARK, &buffer[..length], XattrFlags::empty())?;
    }
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode & 0o777))?;
    let time = |tv_sec, tv_nsec: i64| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as i64),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as i64),
    };
    Ok(rustix::fs::futimens(target.as_fd(), &times)?)
}

/// The inode number of the file that a compressed one was made of, from its first bytes; `None` if
/// that was not done by us. Whoever owns the file can write what he likes.
pub fn source(head: &[u8]) -> Option<u64> {
    const EXTRA: u8 = 1 << 2;
    let (fixed, rest) = head.split_at_checked(10)?;
    let [0x1f, 0x8b, 8, flags, ..] = fixed else { return None };
    if flags & EXTRA == 0 {
        return None;
    }
    let (length, rest) = rest.split_first_chunk()?;
    let mut fields = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
    while let Some(([one, two, low, high], rest)) = fields.split_first_chunk() {
        let (data, rest) = rest.split_at_checked(u16::from_le_bytes([*low, *high]).into())?;
        if [*one, *two] == SUBFIELD {
            return data.try_into().ok().map(u64::from_le_bytes);
        }
        fields = rest;
    }
    None
}

/// Reads a compressed file as if it were not. Memory does not depend on what is in it, and what cannot
/// be understood is its end.
#[derive(Debug, Default)]
pub(crate) struct Unzip {
    /// `None`: at the beginning.
    decoder: Option<GzDecoder<File>>,
    /// Place of the next byte that the decoder gives.
    at: u64,
    /// Known once the end was seen.
    length: Option<u64>,
}

impl Unzip {
    /// Bytes at some place of the content; 0: there is nothing.
    pub(crate) fn read_at(
        &mut self,
        file: &File,
        buffer: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        if self.length.is_some_and(|length| offset >= length) {
            return Ok(0);
        }
        if offset < self.at {
            *self = Unzip { length: self.length, ..Unzip::default() };
        }
        let mut skipped = [0; 8 << 10];
        while self.at < offset {
            let most = usize::try_from(offset - self.at).unwrap_or(usize::MAX).min(skipped.len());
            if self.read(file, &mut skipped[..most])? == 0 {
                return Ok(0);
            }
        }
        self.read(file, buffer)
    }

    /// Bytes of content.
    pub(crate) fn length(&mut self, file: &File) -> io::Result<u64> {
        let mut chunk = [0; 8 << 10];
        loop {
            if let Some(length) = self.length {
                return Ok(length);
            }
            self.read(file, &mut chunk)?;
        }
    }

    fn read(&mut self, file: &File, buffer: &mut [u8]) -> io::Result<usize> {
        use io::ErrorKind::{Interrupted, InvalidData, InvalidInput, UnexpectedEof};
        if buffer.is_empty() {
            return Ok(0);
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                none.insert(GzDecoder::new(file))
            }
        };
        let n = loop {
            match decoder.read(buffer) {
                Err(error) if error.kind() == Interrupted => {}
                Err(error)
                    if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) =>
                {
                    break 0;
                }
                other => break other?,
            }
        };
        self.at += n as u64;
        if n == 0 {
            self.length = Some(self.at);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn directory() -> (tempfile::TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        (dir, fd)
    }

    fn compress_log(directory: &OwnedFd, go_on: impl Fn() -> bool) -> io::Result<()> {
        let (file, identity) = open(directory.as_fd(), c"log.1").unwrap().unwrap();
        compress(directory.as_fd(), file.as_fd(), identity, "log", c"tmp", go_on)
    }

    fn zipped(content: &[u8]) -> File {
        let (dir, fd) = directory();
        std::fs::write(dir.path().join("log.1"), content).unwrap();
        compress_log(&fd, || true).unwrap();
        File::open(dir.path().join("tmp")).unwrap()
    }

    #[test]
    fn one_that_is_told_to_stop_leaves_nothing() {
        let (dir, fd) = directory();
        std::fs::write(dir.path().join("log.1"), vec![7; 5 * CHUNK]).unwrap();
        let chunks = std::cell::Cell::new(0);
        let go_on = || {
            chunks.set(chunks.get() + 1);
            assert!(dir.path().join("tmp").exists());
            chunks.get() < 4
        };
        compress_log(&fd, go_on).unwrap_err();
        assert_eq!(chunks.get(), 4);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_source_is_found_in_the_header() {
        let header =
            |flags: u8, rest: &[u8]| [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], rest].concat();
        let ours: Vec<u8> = [&[12, 0], &b"th"[..], &[8, 0], &7u64.to_le_bytes()].concat();
        assert_eq!(source(&header(4, &ours)), Some(7));
        assert_eq!(source(&header(12, &ours)), Some(7), "other flags do not matter");
        assert_eq!(source(&header(0, &ours)), None);
        let second = [&[17, 0], &b"xx"[..], &[1, 0, 9], &ours[2..]].concat();
        assert_eq!(source(&header(4, &second)), Some(7));
        let too_short = [&[6, 0], &b"th"[..], &[2, 0, 1, 2]].concat();
        assert_eq!(source(&header(4, &too_short)), None);
        assert_eq!(source(b"plain text, and more of it"), None);
        for end in 0..24 {
            assert_eq!(source(&header(4, &ours)[..end]), None, "{end}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_the_end() {
        let content: Vec<u8> = (0..200_000u32).flat_map(|i| i.to_le_bytes()).collect();
        let bytes = {
            let mut bytes = Vec::new();
            zipped(&content).read_to_end(&mut bytes).unwrap();
            bytes
        };
        let length = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let mut reader = Unzip::default();
            let length = reader.length(&file).unwrap();
            assert_eq!(reader.read_at(&file, &mut [0; 10], length).unwrap(), 0);
            length
        };
        assert_eq!(length(&bytes), content.len() as u64);
        let half = length(&bytes[..bytes.len() / 2]);
        assert!(0 < half && half < content.len() as u64);
        assert_eq!(length(b""), 0);
        assert_eq!(length(b"plain text"), 0);
    }

    proptest! {
        #[test]
        fn reads_at_any_place(
            content in proptest::collection::vec(any::<u8>(), 1..50_000),
            places in proptest::collection::vec((0usize..60_000, 1usize..20_000), 1..8),
        ) {
            let file = zipped(&content);
            let mut reader = Unzip::default();
            for (at, most) in places {
                let mut buffer = vec![0; most];
                let n = reader.read_at(&file, &mut buffer, at as u64).unwrap();
                let expected = content.get(at..).unwrap_or_default();
                prop_assert_eq!(&buffer[..n], &expected[..n]);
                prop_assert_eq!(n == 0, expected.is_empty());
            }
            prop_assert_eq!(reader.length(&file).unwrap(), content.len() as u64);
        }
    }
}
