//! The directory sandbox of a task, below the executor's own.
//!
//! ```text
//! MESOS_DIRECTORY/             given to the task's user
//!   checkpoints/               the runner's; root's
//!   task.json                  what the runner runs, for people
//!   sandbox/                   the task's, 0700
//! ```
//!
//! From the moment at which the user owns the upper directory, nothing in it is found by name any
//! more by anybody with root's rights without looking: all of this is made before.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use thermos_runner::files::subdirectory;
use thermos_runner::users::User;

/// A directory that is not a link.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What was made, held open so that it cannot be exchanged.
#[derive(Debug)]
pub struct Sandbox {
    /// The task's own directory.
    pub directory: OwnedFd,
    /// The task as JSON, open for reading.
    pub task: OwnedFd,
}

/// Makes the sandbox. `owner`: whose it shall be; `None`: nothing changes its owner.
pub fn create(directory: &Path, task_json: &str, owner: Option<&User>) -> io::Result<Sandbox> {
    let upper = rustix::fs::open(directory, DIRECTORY, Mode::empty())?;
    subdirectory(&upper, "checkpoints")?;
    let sandbox = subdirectory(&upper, "sandbox")?;
    match rustix::fs::unlinkat(&upper, "task.json", AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let task = rustix::fs::openat(&upper, "task.json", flags, Mode::from_raw_mode(0o644))?;
    File::from(task.try_clone()?).write_all(task_json.as_bytes())?;
    if let Some(owner) = owner {
        let (uid, gid) =
            (rustix::process::Uid::from_raw(owner.uid), rustix::process::Gid::from_raw(owner.gid));
        for fd in [sandbox.as_fd(), upper.as_fd()] {
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&sandbox, Mode::from_raw_mode(0o700))?;
    }
    Ok(Sandbox { directory: sandbox, task })
}

/// How deep the use of a sandbox is looked at: each level takes a descriptor. What lies deeper is not
/// counted.
const DEPTH: usize = 128;

/// Adds up what the files below a directory use, a few at a time, so that nobody waits for it.
///
/// As in the original: the blocks of regular files, the lengths of links, nothing for directories.
/// What vanishes or cannot be read meanwhile is not counted; links are not followed.
#[derive(Debug)]
pub struct Usage {
    levels: Vec<Dir>,
    bytes: u64,
}

impl Usage {
    /// Nothing counted yet.
    pub fn of(directory: impl AsFd) -> Usage {
        Usage { levels: Dir::read_from(directory).into_iter().collect(), bytes: 0 }
    }

    /// Looks at so many more names; `Some`: those were all, and use so many bytes.
    pub fn look(&mut self, names: usize) -> Option<u64> {
        for _ in 0..names {
            let Some(level) = self.levels.last_mut() else { return Some(self.bytes) };
            let Some(Ok(entry)) = level.next() else {
                self.levels.pop();
                continue;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(fd) = level.fd() else { continue };
            let Ok(stat) = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let positive = |number: i64| u64::try_from(number).unwrap_or(0);
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => self.bytes += positive(stat.st_blocks) * 512,
                FileType::Symlink => self.bytes += positive(stat.st_size),
                FileType::Directory => {
                    let below = rustix::fs::openat(fd, name, DIRECTORY, Mode::empty());
                    let below = below.and_then(Dir::new);
                    if self.levels.len() < DEPTH {
                        self.levels.extend(below);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn makes_what_the_runner_needs_and_follows_no_links() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = create(dir.path(), "{}", None).unwrap();
        let mut text = String::new();
        use std::io::{Read, Seek};
        let mut task = File::from(sandbox.task);
        task.rewind().unwrap();
        task.read_to_string(&mut text).unwrap();
        assert_eq!(text, "{}");
        for name in ["checkpoints", "sandbox"] {
            let path = dir.path().join(name);
            assert!(path.is_dir());
            std::fs::remove_dir(&path).unwrap();
            symlink("/tmp", &path).unwrap();
            create(dir.path(), "{}", None).unwrap_err();
            std::fs::remove_file(&path).unwrap();
        }
    }

    fn usage(directory: &Path, step: usize) -> u64 {
        let mut usage = Usage::of(File::open(directory).unwrap());
        std::iter::repeat_with(|| usage.look(step)).flatten().next().unwrap()
    }

    #[test]
    fn usage_counts_blocks_and_ends_at_links() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(usage(dir.path(), 10), 0);
        std::fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        std::fs::write(dir.path().join("a/file"), vec![1; 100_000]).unwrap();
        std::fs::write(dir.path().join("a/b/c/file"), vec![1; 100_000]).unwrap();
        symlink("/", dir.path().join("a/root")).unwrap();
        symlink("..", dir.path().join("a/b/up")).unwrap();
        let used = usage(dir.path(), 1);
        assert!((200_003..1_000_000).contains(&used), "{used}");
        assert_eq!(usage(dir.path(), 1000), used, "steps do not matter");
    }

    #[test]
    fn usage_of_a_sandbox_that_is_deep_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_path_buf();
        for _ in 0..DEPTH + 20 {
            path.push("d");
        }
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("file"), "not seen").unwrap();
        std::fs::write(dir.path().join("file"), vec![1; 5000]).unwrap();
        let used = usage(dir.path(), 7);
        assert!((5000..50_000).contains(&used), "{used}");
    }
}
