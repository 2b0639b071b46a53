//! What the kernel says about processes.
//!
//! A process is (pid, start ticks, boot id). Nothing here trusts a bare pid: a signal goes through a
//! pidfd that was opened and then checked against the start ticks that were seen before.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// One row of the process table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process id.
    pub pid: i32,
    /// Parent.
    pub ppid: i32,
    /// Session id.
    pub session: i32,
    /// Dead, but not yet reaped?
    pub zombie: bool,
    /// Kernel start time, in clock ticks since boot.
    pub ticks: i64,
}

/// Parses the content of `/proc/PID/stat`. Allocates nothing. The command name, which the process
/// itself chooses, may hold anything: the fields are counted from the last parenthesis.
pub fn parse_stat(text: &[u8]) -> Option<Stat> {
    let pid = number(text.split(|byte| *byte == b' ').next()?)?;
    let after = text.iter().rposition(|byte| *byte == b')')? + 2;
    let mut fields = text.get(after..)?.split(|byte| byte.is_ascii_whitespace());
    let state = fields.next()?;
    let ppid = number(fields.next()?)?;
    let _group = fields.next()?;
    let session = number(fields.next()?)?;
    // Field 22 of the whole line; state is field 3.
    let ticks = number(fields.nth(22 - 7)?)?;
    Some(Stat {
        pid: i32::try_from(pid).ok()?,
        ppid: i32::try_from(ppid).ok()?,
        session: i32::try_from(session).ok()?,
        zombie: matches!(state, b"Z" | b"X"),
        ticks,
    })
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The process table, read through one descriptor of `/proc`.
#[derive(Debug)]
pub struct Proc {
    fd: OwnedFd,
}

impl Proc {
    /// Opens `/proc`.
    pub fn open() -> io::Result<Proc> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Proc { fd: rustix::fs::open("/proc", flags, Mode::empty())? })
    }

    /// The descriptor.
    pub fn fd(&self) -> impl AsFd + '_ {
        &self.fd
    }

    fn read<'a>(&self, path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, path, flags, Mode::empty()).ok()?;
        let n = rustix::io::read(&file, &mut *buffer).ok()?;
        Some(&buffer[..n])
    }

    /// One process; `None` if it does not exist.
    pub fn stat(&self, pid: i32) -> Option<Stat> {
        parse_stat(self.read(&format!("{pid}/stat"), &mut [0; 512])?)
    }

    /// Real user id of a process.
    pub fn uid(&self, pid: i32) -> Option<u32> {
        let mut buffer = [0; 2048];
        let text = self.read(&format!("{pid}/status"), &mut buffer)?;
        let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
        let field = line.split(|byte| byte.is_ascii_whitespace()).find(|f| !f.is_empty())?;
        u32::try_from(number(field)?).ok()
    }

    /// Does a process run the same executable as we do?
    pub fn is_our_executable(&self, pid: i32) -> bool {
        let stat = |path: &str| {
            rustix::fs::statat(&self.fd, path, rustix::fs::AtFlags::empty())
                .ok()
                .map(|stat| (stat.st_dev, stat.st_ino))
        };
        stat(&format!("{pid}/exe")).is_some_and(|exe| Some(exe) == stat("self/exe"))
    }

    /// Has a process this very file open?
    pub fn has_open(&self, pid: i32, file: &File) -> bool {
        let id = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        let Ok(wanted) = rustix::fs::fstat(file).map(id) else { return false };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = format!("{pid}/fd");
        let Ok(fds) = rustix::fs::openat(&self.fd, path, flags, Mode::empty()) else {
            return false;
        };
        let Ok(entries) = rustix::fs::Dir::read_from(&fds) else { return false };
        entries.flatten().any(|entry| {
            rustix::fs::statat(&fds, entry.file_name(), rustix::fs::AtFlags::empty())
                .is_ok_and(|stat| id(stat) == wanted)
        })
    }

    /// The kernel's boot id; it changes with every boot.
    pub fn boot_id(&self) -> Option<String> {
        let mut buffer = [0; 64];
        let text = self.read("sys/kernel/random/boot_id", &mut buffer)?;
        Some(std::str::from_utf8(text).ok()?.trim().to_owned())
    }

    /// Seconds since the epoch at which the kernel booted.
    pub fn boot_time(&self) -> Option<f64> {
        let mut buffer = vec![0; 64 << 10];
        let text = self.read("stat", &mut buffer)?;
        let line = text.split(|byte| *byte == b'\n').find_map(|l| l.strip_prefix(b"btime "))?;
        Some(number(line)? as f64)
    }

    /// All processes.
    pub fn table(&self) -> io::Result<Vec<Stat>> {
        let directory = rustix::fs::Dir::read_from(&self.fd)?;
        let mut table = Vec::new();
        for entry in directory {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.starts_with(|first: char| first.is_ascii_digit())
                && let Some(stat) = name.parse().ok().and_then(|pid| self.stat(pid))
            {
                table.push(stat);
            }
        }
        Ok(table)
    }

    /// The living descendants of some processes, without these themselves.
    ///
    /// Walks the kernel's lists of children, which is much quicker than the whole table: what forks
    /// faster than it is looked at cannot be caught. Without these lists (a kernel option) the table
    /// is read.
    pub fn descendants(&self, roots: impl IntoIterator<Item = i32> + Clone) -> Vec<Stat> {
        let mut todo: Vec<i32> = roots.clone().into_iter().collect();
        let mut found = Vec::new();
        let mut seen: HashSet<i32> = todo.iter().copied().collect();
        let mut buffer = String::new();
        while let Some(parent) = todo.pop() {
            buffer.clear();
            if !self.children(parent, &mut buffer) {
                if self.stat(parent).is_some() {
                    return descendants(&self.table().unwrap_or_default(), roots);
                }
                continue;
            }
            for child in buffer.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
                if seen.insert(child) {
                    todo.push(child);
                    found.extend(self.stat(child).filter(|stat| !stat.zombie));
                }
            }
        }
        found
    }

    /// SIGKILLs our own children but those that are spared. Needs no proof of identity: the pid of a
    /// child cannot change hands before we reap it. That makes it quick enough for children that
    /// fork and exit all the time.
    pub fn kill_children(&self, spared: impl Fn(i32) -> bool) {
        let mut pids = String::new();
        self.children(rustix::process::getpid().as_raw_pid(), &mut pids);
        for child in pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()) {
            if let Some(pid) = Pid::from_raw(child)
                && !spared(child)
            {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Appends the pids of a process's children. False if the kernel does not say.
    fn children(&self, pid: i32, pids: &mut String) -> bool {
        let mut add = |path: String| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let Ok(fd) = rustix::fs::openat(&self.fd, path, flags, Mode::empty()) else {
                return false;
            };
            // The lists of several threads follow each other.
            pids.push(' ');
            File::from(fd).read_to_string(pids).is_ok()
        };
        if !add(format!("{pid}/task/{pid}/children")) {
            return false;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let threads = rustix::fs::openat(&self.fd, format!("{pid}/task"), flags, Mode::empty())
            .and_then(|fd| rustix::fs::Dir::read_from(&fd));
        for thread in threads.into_iter().flatten().flatten() {
            if let Some(tid) = thread.file_name().to_str().ok().and_then(|t| t.parse::<i32>().ok())
                && tid != pid
            {
                add(format!("{pid}/task/{tid}/children"));
            }
        }
        true
    }

    /// A handle of exactly this process; `None` if it is gone.
    pub fn handle(&self, stat: &Stat) -> Option<Handle> {
        let pid = Pid::from_raw(stat.pid)?;
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => Some(pidfd),
            // Kernels before 5.3: the check below is all that can be done.
            Err(Errno::NOSYS) => None,
            Err(_) => return None,
        };
        // The pid may have changed hands before the pidfd was opened, not after.
        let same = self.stat(stat.pid).is_some_and(|now| now.ticks == stat.ticks);
        same.then_some(Handle { pid, pidfd })
    }

    /// Sends a signal to exactly this process. Errors (it is gone) are of no interest.
    pub fn signal(&self, stat: &Stat, signal: Signal) {
        if let Some(handle) = self.handle(stat) {
            handle.signal(signal);
        }
    }
}

/// A process that cannot be mistaken for another.
#[derive(Debug)]
pub struct Handle {
    pid: Pid,
    pidfd: Option<OwnedFd>,
}

impl Handle {
    /// Sends a signal. Errors (it is gone) are of no interest.
    pub fn signal(&self, signal: Signal) {
        let _ = match &self.pidfd {
            Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, signal),
            None => rustix::process::kill_process(self.pid, signal),
        };
    }

    /// Is there still a process with this pid? Only for kernels without pidfds.
    pub fn exists(&self) -> bool {
        rustix::process::test_kill_process(self.pid).is_ok()
    }

    /// Becomes readable when the process ends; absent on kernels before 5.3.
    pub fn pidfd(&self) -> Option<&OwnedFd> {
        self.pidfd.as_ref()
    }
}

/// The living descendants of `roots` in a table, without the roots themselves.
fn descendants(table: &[Stat], roots: impl IntoIterator<Item = i32>) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<&Stat>> = HashMap::new();
    for stat in table {
        children.entry(stat.ppid).or_default().push(stat);
    }
    let mut todo: Vec<i32> = roots.into_iter().collect();
    let mut found = Vec::new();
    while let Some(parent) = todo.pop() {
        // Each parent is taken out once, so a table that is not a tree (it was read while it
        // changed) ends as well.
        for child in children.remove(&parent).unwrap_or_default() {
            todo.push(child.pid);
            if !child.zombie {
                found.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_hostile_name() {
        let line = b"4242 (a) R 1 1 1 (x) S 7 4240 4230 0 -1 4194560 120 0 0 0 0 0 0 0 20 0 1 0 \
                     987654 2625536 200 18446744073709551615\n";
        assert_eq!(
            parse_stat(line),
            Some(Stat { pid: 4242, ppid: 7, session: 4230, zombie: false, ticks: 987_654 })
        );
        for cut in 0..line.len() {
            let _ = parse_stat(&line[..cut]);
        }
    }

    #[test]
    fn ourselves() {
        let proc = Proc::open().unwrap();
        let me = std::process::id() as i32;
        let stat = proc.stat(me).unwrap();
        assert_eq!(stat.pid, me);
        assert!(!stat.zombie && stat.ticks > 0);
        assert_eq!(proc.uid(me), Some(rustix::process::getuid().as_raw()));
        assert!(proc.is_our_executable(me));
        let file = tempfile::tempfile().unwrap();
        assert!(proc.has_open(me, &file));
        assert!(!proc.has_open(1, &file));
        assert_eq!(proc.boot_id().unwrap().len(), 36);
        assert!(proc.boot_time().unwrap() > 1e9);
        assert!(proc.table().unwrap().contains(&stat));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id() as i32;
        assert!(proc.descendants([me]).iter().any(|stat| stat.pid == pid));
        assert!(descendants(&proc.table().unwrap(), [me]).iter().any(|stat| stat.pid == pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(proc.descendants([me]).iter().all(|stat| stat.pid != pid));
        assert!(proc.handle(&stat).is_some());
        assert!(proc.handle(&Stat { ticks: stat.ticks + 1, ..stat }).is_none(), "another process");
    }

    #[test]
    fn descendants_of_a_broken_table_end() {
        let row = |pid, ppid| Stat { pid, ppid, session: 1, zombie: false, ticks: 1 };
        let table = [row(2, 1), row(3, 2), row(4, 3), row(5, 9), row(6, 7), row(7, 6)];
        let pids = |roots: &[i32]| {
            let mut pids: Vec<i32> =
                descendants(&table, roots.iter().copied()).iter().map(|s| s.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(pids(&[1]), [2, 3, 4]);
        assert_eq!(pids(&[6]), [6, 7]);
        assert!(pids(&[42]).is_empty());
    }
}
