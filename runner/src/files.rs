//! The files of a task, opened relative to directories and never through links.
//!
//! ```text
//! ROOT/tasks/active/TASK_ID                 the task as JSON while it is not terminal
//! ROOT/tasks/finished/TASK_ID               the same file afterwards
//! ROOT/checkpoints/TASK_ID/runner           the runner stream, the only truth about the task
//! ROOT/checkpoints/TASK_ID/coordinator.NAME what the coordinators of one process recorded
//! ```
//!
//! An agent gives the directory that holds ROOT to the task's user. So everything below it is reached
//! from a directory descriptor that was opened once, a link at any name is an error, and a stream
//! that somebody else owns is not taken over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An error with the file that it is about.
#[derive(Debug)]
pub struct FileError {
    /// What was tried, as a fragment: "open", "take over".
    pub doing: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub error: io::Error,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to {} {}: {}", self.doing, self.path.display(), self.error)
    }
}

impl std::error::Error for FileError {}

/// Attaches what was tried on which file to an error.
pub fn failed<E: Into<io::Error>>(
    doing: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(E) -> FileError {
    let path = path.into();
    move |error| FileError { doing, path, error: error.into() }
}

/// Says why a string cannot be the name of one file; `None` if it can.
pub fn bad_file_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("it is empty"),
        "." | ".." => Some("it names a directory"),
        _ if name.contains('/') => Some("it contains a slash"),
        _ if name.contains('\0') => Some("it contains a NUL byte"),
        _ if name.len() > 255 => Some("it is longer than 255 bytes"),
        _ => None,
    }
}

/// Opens a directory below `parent`, making it if needed.
pub fn subdirectory(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open_directory(parent, name)
}

fn open_directory(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty()).map_err(not_through_links)
}

fn not_through_links(error: Errno) -> io::Error {
    match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::new(
            io::ErrorKind::NotADirectory,
            "it is a link or no directory; remove it, Thermos does not follow links here",
        ),
        other => other.into(),
    }
}

/// May the last name of an operator's path be a link?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastName {
    /// Links in an operator's path are the operator's business.
    MayBeLink,
    /// The directory above may belong to the task's user, as in a Mesos sandbox.
    MustNotBeLink,
}

/// Opens a directory that the operator named, making it and its parents if needed.
pub fn operator_directory(path: &Path, last: LastName) -> Result<OwnedFd, FileError> {
    let flags = match last {
        LastName::MayBeLink => {
            std::fs::create_dir_all(path).map_err(failed("make directory", path))?;
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
        }
        LastName::MustNotBeLink => {
            match rustix::fs::mkdir(path, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed("make directory", path)(error)),
            }
            DIRECTORY
        }
    };
    rustix::fs::open(path, flags, Mode::empty()).map_err(failed("open directory", path))
}

/// Opens a regular file for reading, without following a link and without waiting for the other end
/// of a pipe.
pub fn open_regular(parent: impl AsFd, name: &str, flags: OFlags) -> io::Result<File> {
    open_and_stat(parent, name, flags).map(|(file, _)| file)
}

fn open_and_stat(
    parent: impl AsFd,
    name: &str,
    flags: OFlags,
) -> io::Result<(File, rustix::fs::Stat)> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o666))?;
    let stat = rustix::fs::fstat(&fd)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(io::Error::other("it is not a regular file"));
    }
    if stat.st_nlink > 1 {
        return Err(io::Error::other("it has a second name, and may be somebody else's file"));
    }
    Ok((fd.into(), stat))
}

/// The files of one task.
#[derive(Debug)]
pub struct TaskFiles {
    task_id: String,
    root: PathBuf,
    checkpoints: OwnedFd,
    tasks: OwnedFd,
    active: OwnedFd,
    /// Effective uid of this process.
    me: u32,
}

impl TaskFiles {
    /// Opens the directories of a task below a checkpoint root, making them if needed.
    ///
    /// The caller has checked the task id with [`bad_file_name`].
    pub fn create(root: &Path, task_id: &str, last: LastName) -> Result<TaskFiles, FileError> {
        let directory = operator_directory(root, last)?;
        TaskFiles::below(directory, root, task_id, |parent, name| subdirectory(parent, name))
    }

    /// Opens the directories of a task that exists. Everything that is done with the files later is
    /// done below the directory that `root` is now, whatever becomes of that name.
    pub fn open(root: &Path, task_id: &str, last: LastName) -> Result<TaskFiles, FileError> {
        if let Some(why) = bad_file_name(task_id) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, why);
            return Err(failed("open", root.join("checkpoints").join(task_id))(error));
        }
        let flags = match last {
            LastName::MayBeLink => DIRECTORY.difference(OFlags::NOFOLLOW),
            LastName::MustNotBeLink => DIRECTORY,
        };
        let directory = rustix::fs::open(root, flags, Mode::empty()).map_err(not_through_links);
        let directory = directory.map_err(failed("open directory", root))?;
        TaskFiles::below(directory, root, task_id, |parent, name| open_directory(parent, name))
    }

    /// `open_or_make` is for what a task has from its start; the lists of tasks are made if needed.
    fn below(
        root_fd: OwnedFd,
        root: &Path,
        task_id: &str,
        open_or_make: fn(&OwnedFd, &str) -> io::Result<OwnedFd>,
    ) -> Result<TaskFiles, FileError> {
        let path = |path: &str| failed("open directory", root.join(path));
        let checkpoints = open_or_make(&root_fd, "checkpoints").map_err(path("checkpoints"))?;
        let checkpoints =
            open_or_make(&checkpoints, task_id).map_err(path(&format!("checkpoints/{task_id}")))?;
        let tasks = subdirectory(&root_fd, "tasks").map_err(path("tasks"))?;
        Ok(TaskFiles {
            checkpoints,
            active: subdirectory(&tasks, "active").map_err(path("tasks/active"))?,
            tasks,
            me: rustix::process::geteuid().as_raw(),
            task_id: task_id.to_owned(),
            root: root.to_path_buf(),
        })
    }

    /// The path of a stream, for messages.
    pub fn stream_path(&self, name: &str) -> PathBuf {
        self.root.join("checkpoints").join(&self.task_id).join(name)
    }

    /// The path of the task's JSON, for messages.
    pub fn task_path(&self, finished: bool) -> PathBuf {
        let state = if finished { "finished" } else { "active" };
        self.root.join("tasks").join(state).join(&self.task_id)
    }

    /// Opens a stream for reading and appending, making it if needed; also says how long it is.
    pub fn open_stream(&self, name: &str) -> Result<(File, u64), FileError> {
        let path = || self.stream_path(name);
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE;
        let (file, stat) = open_and_stat(&self.checkpoints, name, flags)
            .map_err(|error| failed("open", path())(error))?;
        let owner = stat.st_uid;
        if owner != self.me && owner != 0 {
            let error = format!("it belongs to uid {owner}; a runner trusts only its own streams");
            return Err(failed("take over", path())(io::Error::other(error)));
        }
        Ok((file, u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// Opens a stream for reading only.
    pub fn read_stream(&self, name: &str) -> Result<File, FileError> {
        open_regular(&self.checkpoints, name, OFlags::RDONLY)
            .map_err(failed("open", self.stream_path(name)))
    }

    /// The task's JSON as stored in `tasks/active`, or `tasks/finished`; `None` if there is none.
    pub fn stored_task(&self, finished: bool) -> Result<Option<String>, FileError> {
        let mut text = String::new();
        let opened = if finished {
            open_directory(&self.tasks, "finished")
                .and_then(|finished| open_regular(finished, &self.task_id, OFlags::RDONLY))
        } else {
            open_regular(&self.active, &self.task_id, OFlags::RDONLY)
        };
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", self.task_path(finished))(error)),
            Ok(mut file) => {
                file.read_to_string(&mut text).map_err(failed("read", self.task_path(finished)))?
            }
        };
        Ok(Some(text))
    }

    /// Writes the task's JSON to `tasks/active`, whole or not at all, if it is not there.
    pub fn store_task(&self, json: &str) -> Result<(), FileError> {
        let path = self.task_path(false);
        if self.stored_task(false)?.is_some() {
            return Ok(());
        }
        // Readers list the directory: the temporary name lives elsewhere.
        let temporary = "task.tmp";
        match rustix::fs::unlinkat(&self.checkpoints, temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(failed("replace", path)(error)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file =
            open_regular(&self.checkpoints, temporary, flags).map_err(failed("write", &path))?;
        file.write_all(json.as_bytes()).map_err(failed("write", &path))?;
        rustix::fs::renameat(&self.checkpoints, temporary, &self.active, self.task_id.as_str())
            .map_err(failed("write", &path))
    }

    /// Moves the task's JSON to `tasks/finished`; its modification time becomes the end of the task.
    pub fn retire_task(&self) -> Result<(), FileError> {
        let name = self.task_id.as_str();
        let finished = subdirectory(&self.tasks, "finished")
            .map_err(failed("open directory", self.root.join("tasks/finished")))?;
        match rustix::fs::renameat(&self.active, name, &finished, name) {
            Ok(()) => {
                let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
                let times = Timestamps { last_access: now, last_modification: now };
                rustix::fs::utimensat(&finished, name, &times, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(failed("touch", self.task_path(true)))
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed("move", self.task_path(false))(error)),
        }
    }
}

/// Takes the exclusive lock of a stream; false if somebody else holds it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn layout_and_life_of_the_task_file() {
        let dir = tempfile::tempdir().unwrap();
        let files = TaskFiles::create(dir.path(), "id", LastName::MayBeLink).unwrap();
        assert_eq!(files.stored_task(false).unwrap(), None);
        files.store_task("{}").unwrap();
        files.store_task("{1}").unwrap();
        assert_eq!(files.stored_task(false).unwrap().as_deref(), Some("{}"), "written once");
        files.retire_task().unwrap();
        files.retire_task().unwrap();
        assert_eq!(files.stored_task(false).unwrap(), None);
        assert_eq!(std::fs::read_to_string(dir.path().join("tasks/finished/id")).unwrap(), "{}");
        let left: Vec<_> = std::fs::read_dir(dir.path().join("checkpoints/id")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn links_and_pipes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), dir.path().join("checkpoints")).unwrap();
        let error =
            TaskFiles::create(dir.path(), "id", LastName::MayBeLink).unwrap_err().to_string();
        assert!(error.contains("checkpoints") && error.contains("link"), "{error}");
        std::fs::remove_file(dir.path().join("checkpoints")).unwrap();

        let files = TaskFiles::create(dir.path(), "id", LastName::MayBeLink).unwrap();
        let stream = files.stream_path("runner");
        symlink(elsewhere.path().join("target"), &stream).unwrap();
        files.open_stream("runner").unwrap_err();
        assert!(!elsewhere.path().join("target").exists());
        std::fs::remove_file(&stream).unwrap();
        std::fs::write(elsewhere.path().join("file"), "").unwrap();
        std::fs::hard_link(elsewhere.path().join("file"), &stream).unwrap();
        let error = files.open_stream("runner").unwrap_err().to_string();
        assert!(error.contains("second name"), "{error}");
        std::fs::remove_file(&stream).unwrap();
        let status = std::process::Command::new("mkfifo").arg(&stream).status().unwrap();
        assert!(status.success());
        let error = files.open_stream("runner").unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_supervised_runner_follows_no_link_at_the_end_of_a_path() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/tmp", dir.path().join("link")).unwrap();
        operator_directory(&dir.path().join("link"), LastName::MayBeLink).unwrap();
        operator_directory(&dir.path().join("link"), LastName::MustNotBeLink).unwrap_err();
        operator_directory(&dir.path().join("new"), LastName::MustNotBeLink).unwrap();
    }

    #[test]
    fn a_task_that_is_opened_stays_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (run, elsewhere) = (dir.path().join("run"), dir.path().join("elsewhere"));
        for root in [&run, &elsewhere] {
            let files = TaskFiles::create(root, "id", LastName::MayBeLink).unwrap();
            files.open_stream("runner").unwrap();
            files.store_task("{}").unwrap();
        }
        let open = |last| TaskFiles::open(&run, "id", last);
        let before = open(LastName::MustNotBeLink).unwrap();
        std::fs::rename(&run, dir.path().join("away")).unwrap();
        symlink(&elsewhere, &run).unwrap();
        let error = open(LastName::MustNotBeLink).unwrap_err().to_string();
        assert!(error.contains("run") && error.contains("link"), "{error}");
        open(LastName::MayBeLink).unwrap();
        before.retire_task().unwrap();
        assert!(dir.path().join("away/tasks/finished/id").exists());
        assert!(elsewhere.join("tasks/active/id").exists());
        for id in ["other", "..", "a/b"] {
            TaskFiles::open(&elsewhere, id, LastName::MayBeLink).unwrap_err();
        }
        assert!(!elsewhere.join("checkpoints/other").exists(), "nothing is made");
    }

    #[test]
    fn file_names() {
        for bad in ["", ".", "..", "a/b", "/", "a\0", &"x".repeat(256)] {
            assert!(bad_file_name(bad).is_some(), "{bad:?}");
        }
        for good in ["a", "...", "-x", "50%", "with space", "ü", &"x".repeat(255)] {
            assert_eq!(bad_file_name(good), None, "{good:?}");
        }
    }

    #[test]
    fn one_lock() {
        let dir = tempfile::tempdir().unwrap();
        let files = TaskFiles::create(dir.path(), "id", LastName::MayBeLink).unwrap();
        let (first, _) = files.open_stream("runner").unwrap();
        let (second, _) = files.open_stream("runner").unwrap();
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }
}
