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

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use thermos_runner::files::subdirectory;
use thermos_runner::users::User;

/// What was made, held open so that it cannot be exchanged.
#[derive(Debug)]
pub struct Sandbox {
    /// The task as JSON, open for reading.
    pub task: OwnedFd,
}

/// Makes the sandbox. `owner`: whose it shall be; `None`: nothing changes its owner.
pub fn create(directory: &Path, task_json: &str, owner: Option<&User>) -> io::Result<Sandbox> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let upper = rustix::fs::open(directory, flags, Mode::empty())?;
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
    Ok(Sandbox { task })
}

/// Bytes on disk of everything below a directory; links are counted and not followed.
pub fn disk_usage(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let mut todo = vec![directory.to_path_buf()];
    let mut bytes = 0;
    while let Some(directory) = todo.pop() {
        // What vanishes or cannot be read meanwhile is not counted.
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes += metadata.blocks() * 512;
            if metadata.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    bytes
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

    #[test]
    fn usage_counts_blocks_and_ends_at_links() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/file"), vec![1; 100_000]).unwrap();
        symlink("/", dir.path().join("root")).unwrap();
        let used = disk_usage(dir.path());
        assert!((100_000..1_000_000).contains(&used), "{used}");
        assert_eq!(disk_usage(&dir.path().join("nosuch")), 0);
    }
}
