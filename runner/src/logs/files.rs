//! The files of an output, in the hands of the task's user: opened and moved relative to a directory
//! descriptor, never through links, with nothing taken for granted.
//!
//! ```text
//! .logs/PROCESS/RUN/stdout          the current file
//!                   stdout.1        the one before it
//!                   stdout.2.gz     ..., compressed if that is wanted
//!                   stdout.gz.tmp   one that is being compressed
//! ```
//!
//! A compressed file takes the place of a plain one in two steps: it gets its name, then the plain one
//! goes. Who dies in between leaves both, which count as one; both have the same content.
//!
//! Runs in a coordinator: nothing here allocates.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::account::{MARK, Mark};
use super::backlog::Backlog;
use super::gzip::{self, Identity};
use super::{Limits, Output};

/// So many rotated files are looked for, at most, when a log is opened.
const MOST: u32 = 1 << 16;

/// Opens something for going on from.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the end of a log, without waiting for the other end of a pipe.
const LOG: OFlags = OFlags::WRONLY
    .union(OFlags::APPEND)
    .union(OFlags::CREATE)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Opens a log file for appending, making it if needed. Special files, and files with a second name
/// (somebody wants us to write into something else), are refused.
pub(crate) fn open_log(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    open_with(directory, name, LOG).map(|(file, _)| file)
}

fn open_with(
    directory: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlags,
) -> Result<(OwnedFd, Stat), Errno> {
    let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o666))?;
    let stat = rustix::fs::fstat(&file)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || stat.st_nlink > 1 {
        return Err(Errno::PERM);
    }
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok((file, stat))
}

/// A short string that ends with NUL and lives without heap.
#[derive(Clone, Debug)]
pub(crate) struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    fn new(parts: &[&[u8]]) -> Text<N> {
        let (mut bytes, mut at) = ([0; N], 0);
        for byte in parts.iter().flat_map(|part| part.iter()).take(N - 1) {
            bytes[at] = *byte;
            at += 1;
        }
        Text(bytes)
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        // There is a NUL at the end, if not before.
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// The name of a file of an output: 0 is the current one.
fn name(output: Output, index: u32) -> Text<24> {
    name_with(output, index, b"")
}

/// The name of a file that was compressed.
fn zipped(output: Output, index: u32) -> Text<24> {
    name_with(output, index, b".gz")
}

/// The name of a file that is being compressed.
fn temporary(output: Output) -> Text<24> {
    Text::new(&[output.name().as_bytes(), b".gz.tmp"])
}

fn name_with(output: Output, index: u32, ending: &[u8]) -> Text<24> {
    let base = output.name().as_bytes();
    if index == 0 {
        return Text::new(&[base]);
    }
    let (mut digits, mut at, mut rest) = ([0; 10], 10, index);
    while rest > 0 || at == 10 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    Text::new(&[base, b".", &digits[at..], ending])
}

/// The log directory of a run, and how to find it again when it was removed.
#[derive(Debug)]
pub(crate) struct Directory {
    run: OwnedFd,
    sandbox: OwnedFd,
    process: Text<256>,
    number: Text<12>,
}

impl Directory {
    pub(crate) fn new(
        run: OwnedFd,
        sandbox: BorrowedFd<'_>,
        process: &CStr,
        number: &CStr,
    ) -> Result<Directory, Errno> {
        Ok(Directory {
            run,
            sandbox: rustix::io::fcntl_dupfd_cloexec(sandbox, 3)?,
            process: Text::new(&[process.to_bytes()]),
            number: Text::new(&[number.to_bytes()]),
        })
    }

    /// The directory.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.run.as_fd()
    }

    /// Finds the directory by its names, making it if that is allowed.
    fn restore(&mut self) -> Result<(), Errno> {
        let mut fd: Option<OwnedFd> = None;
        for name in [c".logs", self.process.as_c_str(), self.number.as_c_str()] {
            let parent = fd.as_ref().map_or(self.sandbox.as_fd(), AsFd::as_fd);
            match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            fd = Some(rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?);
        }
        if let Some(fd) = fd {
            self.run = fd;
        }
        Ok(())
    }
}

/// A file to compress, whatever its name is by now, and where to.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) identity: Identity,
    pub(crate) log: &'static str,
    pub(crate) target: Text<24>,
}

/// The files of one output.
#[derive(Debug)]
pub(crate) struct LogFiles {
    output: Output,
    /// Rotated files that are kept; `None`: nothing is rotated.
    backups: Option<u32>,
    /// Rotated files that are there.
    kept: u32,
    /// Some of these may be compressed.
    zipped: bool,
    /// Those that are to be compressed; `None`: none are.
    backlog: Option<Backlog>,
    /// The current file; `None`: it could not be made.
    current: Option<OwnedFd>,
}

impl LogFiles {
    /// Opens the current file. What an earlier task has left under the same name is rotated, or
    /// without rotation appended to; rotated files above the number to keep are removed.
    pub(crate) fn open(
        directory: &Directory,
        output: Output,
        limits: Option<Limits>,
    ) -> Result<LogFiles, Errno> {
        let mut files = LogFiles {
            output,
            backups: limits.map(|limits| limits.backups),
            kept: 0,
            zipped: limits.is_some_and(|limits| limits.compress),
            backlog: limits
                .filter(|limits| limits.compress)
                .map(|limits| Backlog::new(limits.backups)),
            current: None,
        };
        let (file, stat) = open_with(directory.run.as_fd(), name(output, 0).as_c_str(), LOG)?;
        if let Some(backups) = files.backups {
            while files.kept < MOST {
                let zipped = files.exists(directory, &zipped(output, files.kept + 1));
                if !zipped && !files.exists(directory, &name(output, files.kept + 1)) {
                    break;
                }
                files.zipped |= zipped;
                files.kept += 1;
            }
            if files.zipped {
                files.remove_temporary(directory);
            }
            for index in backups.saturating_add(1)..=files.kept {
                files.remove(directory, index);
            }
            files.kept = files.kept.min(backups);
            if stat.st_size > 0 {
                files.rotate(directory, Mark { start: 0, dropped: 0 })?;
                return Ok(files);
            }
        }
        files.begin(file, &stat, Mark { start: 0, dropped: 0 });
        Ok(files)
    }

    /// Writes a line of our own, where the user looks first.
    pub(crate) fn complain(&self, parts: &[&[u8]]) {
        for part in parts {
            // Why the run failed is in its record, too.
            let _ = self.write(part);
        }
    }

    /// The size of the current file. If it was removed, another one is begun; `mark` is for that one.
    pub(crate) fn size(&mut self, directory: &mut Directory, mark: Mark) -> Result<u64, Errno> {
        if let Some(file) = &self.current {
            let stat = rustix::fs::fstat(file)?;
            if stat.st_nlink > 0 {
                return Ok(u64::try_from(stat.st_size).unwrap_or(0));
            }
            // Bytes that go to a file without a name would be gone with us.
            self.current = None;
        }
        let current = name(self.output, 0);
        let (file, stat) = match open_with(directory.run.as_fd(), current.as_c_str(), LOG) {
            Err(Errno::NOENT) => {
                directory.restore()?;
                self.kept = 0;
                open_with(directory.run.as_fd(), current.as_c_str(), LOG)?
            }
            other => other?,
        };
        self.begin(file, &stat, mark);
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    /// Appends to the current file.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.current {
            Some(file) => rustix::io::write(file, bytes),
            None => Err(Errno::NOENT),
        }
    }

    /// Moves every file to the next number, the last one out, and begins a new one.
    ///
    /// What is in the way (a directory, say) belongs to the user, and so does the damage: a file
    /// that cannot be moved is removed as the oldest one would be.
    pub(crate) fn rotate(&mut self, directory: &Directory, mark: Mark) -> Result<(), Errno> {
        let backups = self.backups.unwrap_or(0);
        for index in (1..=self.kept.min(backups)).rev() {
            if index == backups {
                self.remove(directory, index);
            } else {
                self.move_up(directory, index);
            }
        }
        self.kept = (self.kept + 1).min(backups);
        self.move_up(directory, 0);
        self.current = None;
        if let Some(backlog) = &mut self.backlog {
            backlog.rotated();
        }
        let current = name(self.output, 0);
        let create = || open_with(directory.run.as_fd(), current.as_c_str(), LOG | OFlags::EXCL);
        let (file, stat) = match create() {
            Err(Errno::EXIST) => {
                self.remove(directory, 0);
                create()?
            }
            other => other?,
        };
        self.begin(file, &stat, mark);
        Ok(())
    }

    fn begin(&mut self, file: OwnedFd, stat: &Stat, mark: Mark) {
        let mark = Mark { start: mark.start.saturating_sub(stat.st_size), ..mark };
        let mut buffer = [0; Mark::ROOM];
        let length = mark.encode(&mut buffer);
        // Not every file system has attributes of users. A follower then cannot count what it missed.
        let _ = rustix::fs::fsetxattr(&file, MARK, &buffer[..length], XattrFlags::empty());
        self.current = Some(file);
    }

    /// What is to be compressed; `None`: nothing ever is.
    pub(crate) fn backlog(&mut self) -> Option<&mut Backlog> {
        self.backlog.as_mut()
    }

    /// The next file to compress, if there is one, open. What cannot be compressed is passed over.
    pub(crate) fn job(&mut self, directory: &Directory) -> Option<(Job, OwnedFd)> {
        let backlog = self.backlog.as_mut()?;
        loop {
            let name = name(self.output, backlog.next()?);
            match gzip::open(directory.fd(), name.as_c_str()) {
                Ok(Some((file, identity))) => {
                    let (log, target) = (self.output.name(), temporary(self.output));
                    return Some((Job { identity, log, target }, file));
                }
                Ok(None) | Err(_) => backlog.skip(),
            }
        }
    }

    /// A compressor has ended. What it made replaces its source, if it did what it should and that
    /// source is still there as it was; otherwise nothing is left of it.
    pub(crate) fn compressed(&mut self, directory: &Directory, job: &Job, done: bool) {
        let number = self.backlog.as_mut().and_then(|backlog| backlog.ended(done));
        if number.is_none_or(|number| self.replace(directory, job, number).is_err()) {
            self.remove_temporary(directory);
        }
    }

    fn replace(&self, directory: &Directory, job: &Job, number: u32) -> Result<(), Errno> {
        let (plain, zipped) = (name(self.output, number), zipped(self.output, number));
        let run = &directory.run;
        let stat = rustix::fs::statat(run, plain.as_c_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if Identity::of(&stat) != Some(job.identity) {
            return Err(Errno::STALE);
        }
        rustix::fs::renameat(run, job.target.as_c_str(), run, zipped.as_c_str())?;
        // Without that, there are both, which is no harm.
        let _ = rustix::fs::unlinkat(run, plain.as_c_str(), AtFlags::empty());
        Ok(())
    }

    fn exists(&self, directory: &Directory, name: &Text<24>) -> bool {
        rustix::fs::statat(&directory.run, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    fn remove(&self, directory: &Directory, index: u32) {
        unlink(directory, &name(self.output, index));
        if self.zipped && index > 0 {
            unlink(directory, &zipped(self.output, index));
        }
    }

    pub(crate) fn remove_temporary(&self, directory: &Directory) {
        unlink(directory, &temporary(self.output));
    }

    fn move_up(&self, directory: &Directory, index: u32) {
        rename(directory, &name(self.output, index), &name(self.output, index + 1));
        if self.zipped && index > 0 {
            rename(directory, &zipped(self.output, index), &zipped(self.output, index + 1));
        }
    }
}

/// Renames what is there, and removes what cannot be renamed.
fn rename(directory: &Directory, from: &Text<24>, to: &Text<24>) {
    match rustix::fs::renameat(&directory.run, from.as_c_str(), &directory.run, to.as_c_str()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(_) => unlink(directory, from),
    }
}

fn unlink(directory: &Directory, name: &Text<24>) {
    // What is not there, or cannot be removed, is dealt with by whoever needs the name.
    let _ = rustix::fs::unlinkat(&directory.run, name.as_c_str(), AtFlags::empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    const START: Mark = Mark { start: 0, dropped: 0 };

    fn keep(backups: u32) -> Option<Limits> {
        Some(Limits { size: 1, backups, compress: false })
    }

    fn directory(sandbox: &Path) -> Directory {
        let run = sandbox.join(".logs/p/0");
        fs::create_dir_all(&run).unwrap();
        let fd = |path: &Path| rustix::fs::open(path, DIRECTORY, Mode::empty()).unwrap();
        Directory::new(fd(&run), fd(sandbox).as_fd(), c"p", c"0").unwrap()
    }

    fn world() -> (tempfile::TempDir, std::path::PathBuf, Directory) {
        let sandbox = tempfile::tempdir().unwrap();
        let run = sandbox.path().join(".logs/p/0");
        let directory = directory(sandbox.path());
        (sandbox, run, directory)
    }

    fn listing(run: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(run)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = fs::read_to_string(entry.path()).unwrap_or_else(|_| "?".to_owned());
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        files.sort();
        files
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn names() {
        for (index, expected) in
            [(0, c"stdout"), (1, c"stdout.1"), (10, c"stdout.10"), (u32::MAX, c"stdout.4294967295")]
        {
            assert_eq!(name(Output::Stdout, index).as_c_str(), expected);
        }
        assert_eq!(name(Output::Stderr, 7).as_c_str(), c"stderr.7");
    }

    #[test]
    fn files_move_up_and_out() {
        let (_sandbox, run, directory) = world();
        let mut files = LogFiles::open(&directory, Output::Stdout, keep(2)).unwrap();
        for text in ["a", "b", "c", "d"] {
            files.write(text.as_bytes()).unwrap();
            files.rotate(&directory, START).unwrap();
        }
        files.write(b"e").unwrap();
        let expected = pairs(&[("stdout", "e"), ("stdout.1", "d"), ("stdout.2", "c")]);
        assert_eq!(listing(&run), expected);
    }

    #[test]
    fn what_an_earlier_task_left_is_rotated_and_no_more_than_wanted_is_kept() {
        let (_sandbox, run, directory) = world();
        for (name, text) in
            [("stdout", "old"), ("stdout.1", "1"), ("stdout.2", "2"), ("stdout.3", "3")]
        {
            fs::write(run.join(name), text).unwrap();
        }
        LogFiles::open(&directory, Output::Stdout, keep(2)).unwrap();
        let expected = pairs(&[("stdout", ""), ("stdout.1", "old"), ("stdout.2", "1")]);
        assert_eq!(listing(&run), expected);
        // Without rotation everything stays, and the log goes on.
        let files = LogFiles::open(&directory, Output::Stderr, None).unwrap();
        files.write(b"x").unwrap();
        LogFiles::open(&directory, Output::Stderr, None).unwrap().write(b"y").unwrap();
        assert_eq!(fs::read_to_string(run.join("stderr")).unwrap(), "xy");
    }

    #[test]
    fn what_is_in_the_way_costs_the_user_his_backups_and_nobody_else_anything() {
        let (sandbox, run, directory) = world();
        let outside = sandbox.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        let mut files = LogFiles::open(&directory, Output::Stdout, keep(3)).unwrap();
        files.write(b"a").unwrap();
        fs::create_dir(run.join("stdout.1")).unwrap();
        fs::write(run.join("stdout.1/full"), "").unwrap();
        files.rotate(&directory, START).unwrap();
        files.write(b"b").unwrap();
        symlink(&outside, run.join("stdout.2")).unwrap();
        files.rotate(&directory, START).unwrap();
        files.write(b"c").unwrap();
        // The name of the current file, taken by others as soon as it is free.
        fs::remove_file(run.join("stdout")).unwrap();
        symlink(&outside, run.join("stdout")).unwrap();
        files.rotate(&directory, START).unwrap();
        files.write(b"d").unwrap();
        assert_eq!(fs::read_to_string(run.join("stdout")).unwrap(), "d");
        assert!(fs::symlink_metadata(run.join("stdout")).unwrap().is_file());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
    }

    #[test]
    fn links_pipes_directories_and_second_names_are_refused() {
        let (sandbox, run, directory) = world();
        let log = run.join("stdout");
        let target = sandbox.path().join("target");
        fs::write(&target, "").unwrap();
        let refused = || LogFiles::open(&directory, Output::Stdout, keep(1)).unwrap_err();
        symlink(&target, &log).unwrap();
        assert_eq!(refused(), Errno::LOOP);
        fs::remove_file(&log).unwrap();
        fs::hard_link(&target, &log).unwrap();
        assert_eq!(refused(), Errno::PERM);
        fs::remove_file(&log).unwrap();
        fs::create_dir(&log).unwrap();
        assert_eq!(refused(), Errno::ISDIR);
        fs::remove_dir(&log).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&log).status().unwrap().success());
        assert_eq!(refused(), Errno::NXIO);
    }

    #[test]
    fn a_log_that_was_removed_begins_anew() {
        let (sandbox, run, mut directory) = world();
        let mut files = LogFiles::open(&directory, Output::Stdout, keep(2)).unwrap();
        files.write(b"lost").unwrap();
        assert_eq!(files.size(&mut directory, START), Ok(4));
        fs::remove_file(run.join("stdout")).unwrap();
        assert_eq!(files.size(&mut directory, START), Ok(0));
        files.write(b"b").unwrap();
        assert_eq!(fs::read_to_string(run.join("stdout")).unwrap(), "b");
        fs::remove_dir_all(sandbox.path().join(".logs")).unwrap();
        assert_eq!(files.size(&mut directory, START), Ok(0), "directories are made again");
        files.write(b"c").unwrap();
        assert_eq!(fs::read_to_string(run.join("stdout")).unwrap(), "c");
        fs::remove_dir_all(sandbox.path().join(".logs")).unwrap();
        symlink(sandbox.path(), sandbox.path().join(".logs")).unwrap();
        files.size(&mut directory, START).unwrap_err();
        assert_eq!(files.write(b"x"), Err(Errno::NOENT));
        assert!(!sandbox.path().join("p").exists());
        fs::remove_file(sandbox.path().join(".logs")).unwrap();
        assert_eq!(files.size(&mut directory, START), Ok(0), "and when the way is free again");
    }

    // ---- compressed files ----

    fn zip(backups: u32) -> Option<Limits> {
        Some(Limits { size: 1, backups, compress: true })
    }

    /// What a compressor does, in this process.
    fn compress(files: &mut LogFiles, directory: &Directory) -> Option<bool> {
        let job = begin(files, directory)?;
        let made = work(directory, &job);
        files.compressed(directory, &job.0, made);
        Some(made)
    }

    fn begin(files: &mut LogFiles, directory: &Directory) -> Option<(Job, OwnedFd)> {
        let job = files.job(directory)?;
        files.backlog()?.begun();
        Some(job)
    }

    fn work(directory: &Directory, (job, file): &(Job, OwnedFd)) -> bool {
        let target = job.target.as_c_str();
        gzip::compress(directory.fd(), file.as_fd(), job.identity, job.log, target, || true).is_ok()
    }

    /// The same listing, with what was compressed.
    fn contents(run: &Path) -> Vec<(String, String)> {
        use std::io::Read;
        let mut files = listing(run);
        for (name, text) in files.iter_mut().filter(|(name, _)| name.ends_with(".gz")) {
            let file = fs::File::open(run.join(name)).unwrap();
            text.clear();
            flate2::read::GzDecoder::new(file).read_to_string(text).unwrap();
        }
        files
    }

    #[test]
    fn compressed_files_move_up_and_out_and_count() {
        let (_sandbox, run, directory) = world();
        let mut files = LogFiles::open(&directory, Output::Stdout, zip(3)).unwrap();
        assert!(files.job(&directory).is_none());
        for text in ["a", "b", "c", "d", "e"] {
            files.write(text.as_bytes()).unwrap();
            files.rotate(&directory, START).unwrap();
            if text != "d" {
                assert_eq!(compress(&mut files, &directory), Some(true));
            }
        }
        // The newer one of two that waited went first.
        let expected =
            [("stdout", ""), ("stdout.1.gz", "e"), ("stdout.2", "d"), ("stdout.3.gz", "c")];
        assert_eq!(contents(&run), pairs(&expected));
        assert_eq!(compress(&mut files, &directory), Some(true));
        assert_eq!(compress(&mut files, &directory), None);
        // They count for who opens the log without compressing.
        drop(files);
        LogFiles::open(&directory, Output::Stdout, keep(2)).unwrap();
        let expected = pairs(&[("stdout", ""), ("stdout.1.gz", "e"), ("stdout.2.gz", "d")]);
        assert_eq!(contents(&run), expected);
    }

    #[test]
    fn a_compressed_file_has_what_its_source_had() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let (_sandbox, run, directory) = world();
        let mut files = LogFiles::open(&directory, Output::Stderr, zip(3)).unwrap();
        files.rotate(&directory, Mark { start: 70, dropped: 3 }).unwrap();
        files.write(b"text").unwrap();
        files.rotate(&directory, START).unwrap();
        let plain = run.join("stderr.1");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o640)).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        fs::File::options().append(true).open(&plain).unwrap().set_modified(time).unwrap();
        let inode = fs::metadata(&plain).unwrap().ino();
        assert_eq!(compress(&mut files, &directory), Some(true));
        let zipped = run.join("stderr.1.gz");
        let meta = fs::metadata(&zipped).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o640, 1_700_000_000));
        let bytes = fs::read(&zipped).unwrap();
        assert_eq!(gzip::source(&bytes), Some(inode));
        let mut buffer = [0; Mark::ROOM];
        let file = fs::File::open(&zipped).unwrap();
        let n = rustix::fs::fgetxattr(&file, MARK, &mut buffer[..]).unwrap();
        assert_eq!(Mark::decode(&buffer[..n]), Some(Mark { start: 70, dropped: 3 }));
        let header = flate2::read::GzDecoder::new(&bytes[..]).header().unwrap().clone();
        assert_eq!((header.filename(), header.mtime()), (Some(&b"stderr"[..]), 1_700_000_000));
    }

    #[test]
    fn rotations_while_a_file_is_compressed() {
        let (_sandbox, run, directory) = world();
        let mut files = LogFiles::open(&directory, Output::Stdout, zip(2)).unwrap();
        let write = |files: &mut LogFiles, text: &str| {
            files.write(text.as_bytes()).unwrap();
            files.rotate(&directory, START).unwrap();
        };
        write(&mut files, "a");
        let job = begin(&mut files, &directory).unwrap();
        write(&mut files, "b");
        assert!(work(&directory, &job), "its name is another file's, and that does not matter");
        files.compressed(&directory, &job.0, true);
        assert_eq!(
            contents(&run),
            pairs(&[("stdout", ""), ("stdout.1", "b"), ("stdout.2.gz", "a")])
        );
        // Rotated out while it is worked on.
        let job = begin(&mut files, &directory).unwrap();
        write(&mut files, "c");
        write(&mut files, "d");
        assert!(files.backlog().unwrap().is_vain());
        work(&directory, &job);
        files.compressed(&directory, &job.0, true);
        let expected = pairs(&[("stdout", ""), ("stdout.1", "d"), ("stdout.2", "c")]);
        assert_eq!(contents(&run), expected);
    }

    #[test]
    fn a_file_that_changes_meanwhile_stays_as_it_is() {
        let (_sandbox, run, directory) = world();
        let outside = run.join("outside");
        fs::write(&outside, "precious").unwrap();
        type Change = fn(&Path);
        let changes: [(&str, Change); 5] = [
            ("grows", |run| {
                use std::io::Write;
                let mut file = fs::File::options().append(true).open(run.join("stdout.1")).unwrap();
                file.write_all(b"more").unwrap();
            }),
            ("another file", |run| {
                fs::write(run.join("new"), "text").unwrap();
                fs::rename(run.join("new"), run.join("stdout.1")).unwrap();
            }),
            ("a link", |run| {
                fs::remove_file(run.join("stdout.1")).unwrap();
                symlink(run.join("outside"), run.join("stdout.1")).unwrap();
            }),
            ("a second name", |run| {
                fs::remove_file(run.join("stdout.1")).unwrap();
                fs::hard_link(run.join("outside"), run.join("stdout.1")).unwrap();
            }),
            ("gone", |run| fs::remove_file(run.join("stdout.1")).unwrap()),
        ];
        for (what, change) in changes {
            for before in [true, false] {
                let mut files = LogFiles::open(&directory, Output::Stdout, zip(1)).unwrap();
                files.write(b"text").unwrap();
                files.rotate(&directory, START).unwrap();
                let job = begin(&mut files, &directory).unwrap();
                if before {
                    change(&run);
                }
                let made = work(&directory, &job);
                if !before {
                    change(&run);
                }
                files.compressed(&directory, &job.0, made);
                let there = |name: &str| fs::symlink_metadata(run.join(name)).is_ok();
                assert!(!there("stdout.1.gz") && !there("stdout.gz.tmp"), "{what}");
                assert_eq!(there("stdout.1"), what != "gone", "{what}");
                assert_eq!(fs::read_to_string(&outside).unwrap(), "precious", "{what}");
                let _ = fs::remove_file(run.join("stdout.1"));
            }
        }
    }

    #[test]
    fn what_is_in_the_way_of_a_compressed_file_harms_nobody() {
        let (sandbox, run, directory) = world();
        let outside = sandbox.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        type Obstacle = fn(&Path, &Path);
        let obstacles: [(&str, Obstacle, bool); 4] = [
            ("a link", |path, outside| symlink(outside, path).unwrap(), true),
            ("a second name", |path, outside| fs::hard_link(outside, path).unwrap(), true),
            (
                "a pipe",
                |path, _| {
                    let made = std::process::Command::new("mkfifo").arg(path).status();
                    assert!(made.unwrap().success());
                },
                true,
            ),
            ("a directory", |path, _| fs::create_dir(path).unwrap(), false),
        ];
        for (what, put, gives_way) in obstacles {
            for name in ["stdout.1.gz", "stdout.gz.tmp"] {
                let mut files = LogFiles::open(&directory, Output::Stdout, zip(2)).unwrap();
                files.write(b"text").unwrap();
                files.rotate(&directory, START).unwrap();
                put(&run.join(name), &outside);
                compress(&mut files, &directory);
                let zipped = fs::symlink_metadata(run.join("stdout.1.gz"));
                assert_eq!(zipped.is_ok_and(|meta| meta.is_file()), gives_way, "{what} at {name}");
                assert_eq!(run.join("stdout.1").exists(), !gives_way, "{what} at {name}");
                assert_eq!(fs::read_to_string(&outside).unwrap(), "precious");
                // And the log goes on, with whatever lies there.
                for _ in 0..3 {
                    files.write(b"more").unwrap();
                    files.rotate(&directory, START).unwrap();
                }
                assert_eq!(fs::read_to_string(run.join("stdout.1")).unwrap(), "more");
                for entry in fs::read_dir(&run).unwrap() {
                    let path = entry.unwrap().path();
                    let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
                }
            }
        }
    }

    #[test]
    fn what_a_compressor_left_behind_is_removed() {
        let (_sandbox, run, directory) = world();
        fs::write(run.join("stdout.gz.tmp"), "half").unwrap();
        let mut files = LogFiles::open(&directory, Output::Stdout, zip(2)).unwrap();
        assert_eq!(listing(&run), pairs(&[("stdout", "")]));
        files.write(b"text").unwrap();
        files.rotate(&directory, START).unwrap();
        fs::write(run.join("stdout.gz.tmp"), "half").unwrap();
        // Both, as somebody leaves them who dies between two steps.
        fs::write(run.join("stdout.2"), "x").unwrap();
        fs::write(run.join("stdout.2.gz"), "x").unwrap();
        assert_eq!(compress(&mut files, &directory), Some(true));
        assert!(!run.join("stdout.gz.tmp").exists());
        files.write(b"more").unwrap();
        files.kept = 2;
        files.rotate(&directory, START).unwrap();
        let expected = pairs(&[("stdout", ""), ("stdout.1", "more"), ("stdout.2.gz", "text")]);
        assert_eq!(contents(&run), expected);
    }

    #[test]
    fn files_carry_their_place() {
        let (_sandbox, run, directory) = world();
        let mut files = LogFiles::open(&directory, Output::Stdout, keep(2)).unwrap();
        files.rotate(&directory, Mark { start: 70, dropped: 3 }).unwrap();
        let mark = |name: &str| {
            let file = fs::File::open(run.join(name)).unwrap();
            let mut buffer = [0; Mark::ROOM];
            let n = rustix::fs::fgetxattr(&file, MARK, &mut buffer[..]).unwrap();
            Mark::decode(&buffer[..n]).unwrap()
        };
        assert_eq!(mark("stdout"), Mark { start: 70, dropped: 3 });
        assert_eq!(mark("stdout.1"), START);
    }
}
