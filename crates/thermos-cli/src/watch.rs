//! Waiting until files grow, or new ones are made.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// How often to look where the kernel cannot tell (no inotify left, a network file system).
const FALLBACK: Duration = Duration::from_millis(200);

/// Files that are watched.
#[derive(Debug)]
pub(crate) struct Watch {
    /// `None`: at least one file cannot be watched.
    inotify: Option<OwnedFd>,
}

impl Watch {
    /// Watches nothing yet.
    pub(crate) fn new() -> Watch {
        Watch { inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok() }
    }

    /// Also watches this file: exactly the one that is open, whatever its path leads to now.
    pub(crate) fn add(&mut self, file: &File) {
        self.watch(file.as_fd(), WatchFlags::MODIFY);
    }

    /// Also watches for new files in this directory.
    pub(crate) fn add_directory(&mut self, directory: &OwnedFd) {
        self.watch(directory.as_fd(), WatchFlags::CREATE | WatchFlags::MOVED_TO);
    }

    fn watch(&mut self, fd: BorrowedFd<'_>, events: WatchFlags) {
        if let Some(inotify) = &self.inotify {
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            if inotify::add_watch(inotify, path, events).is_err() {
                self.inotify = None;
            }
        }
    }

    /// Returns when something has changed since the last call, or after this time. It may also return
    /// for no reason.
    pub(crate) fn wait(&self, at_most: Duration) {
        let Some(inotify) = &self.inotify else {
            std::thread::sleep(at_most.min(FALLBACK));
            return;
        };
        let timeout = Timespec::try_from(at_most).ok();
        let mut fds = [PollFd::new(inotify, PollFlags::IN)];
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        let mut events = [0; 4096];
        while rustix::io::read(inotify, &mut events).is_ok_and(|n| n > 0) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Instant;

    #[test]
    fn a_change_before_the_wait_is_seen() {
        let mut file = tempfile::tempfile().unwrap();
        let mut watch = Watch::new();
        watch.add(&file);
        file.write_all(b"x").unwrap();
        let start = Instant::now();
        watch.wait(Duration::from_secs(20));
        assert!(start.elapsed() < Duration::from_secs(10));
        let start = Instant::now();
        watch.wait(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(40), "nothing has changed since");
    }

    #[test]
    fn a_new_file_is_seen() {
        use rustix::fs::{Mode, OFlags};
        let dir = tempfile::tempdir().unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        let mut watch = Watch::new();
        watch.add_directory(&fd);
        File::create(dir.path().join("new")).unwrap();
        let start = Instant::now();
        watch.wait(Duration::from_secs(20));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
