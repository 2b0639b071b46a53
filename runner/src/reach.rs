//! Whom the runner may signal.
//!
//! Root signals only what the kernel itself attests to be the task's. For a process that is known
//! from a stream only, that means: it is exactly the process that the stream names (start ticks and
//! boot id), and it runs as the task's user or is our own executable. Everything else that a stream
//! says is a hint.

use std::collections::HashSet;
use std::fs::File;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::engine::Claim;
use crate::proc::{Handle, Proc, Stat};

/// Time stamps of the original's streams are compared with the kernel's with this tolerance, in
/// seconds, as the original does. Streams of our own carry exact identities.
const START_TOLERANCE: f64 = 10.0;

/// Clock ticks per second in `/proc`; part of the kernel's interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// How long processes that fork faster than they are found are chased at a time.
const CHASE: Duration = Duration::from_millis(500);

/// The process table, and the user whose processes may be signalled.
#[derive(Debug)]
pub struct Reach {
    /// The process table.
    pub proc: Proc,
    uid: u32,
    boot_id: Option<String>,
    boot_time: Option<f64>,
}

impl Reach {
    /// Reach over the processes of a task that runs as `uid`.
    pub fn new(proc: Proc, uid: u32) -> Reach {
        Reach { boot_id: proc.boot_id(), boot_time: proc.boot_time(), proc, uid }
    }

    /// The kernel's boot id.
    pub fn boot_id(&self) -> Option<&str> {
        self.boot_id.as_deref()
    }

    /// Can anything from the time of a recorded boot id still live? Streams of the original record
    /// none; there the start time must do.
    pub fn is_this_boot(&self, recorded: Option<&str>) -> bool {
        recorded.is_none() || recorded == self.boot_id()
    }

    /// Is a process that the kernel does not show as our descendant the task's? A task of root may
    /// have changed its user itself; nobody but root can have written its stream.
    pub fn may_signal(&self, stat: &Stat) -> bool {
        self.uid == 0
            || self.proc.uid(stat.pid) == Some(self.uid)
            || self.proc.is_our_executable(stat.pid)
    }

    /// The living process that a stream claims, if the kernel agrees: the same start, the task's
    /// user or our executable, and the stream in question open. The last is what tells our
    /// coordinator from that of another task of the same user.
    pub fn identify(&self, claim: &Claim, stream: &File) -> Option<Handle> {
        let stat = self.started_as_claimed(claim)?;
        let ours = self.may_signal(&stat) && self.proc.has_open(claim.pid, stream);
        if ours { self.proc.handle(&stat) } else { None }
    }

    /// The living process that a stream claims to be the bash of a run.
    pub fn identify_bash(&self, claim: &Claim, coordinator: i32) -> Option<Handle> {
        let stat = self.started_as_claimed(claim)?;
        let ours = stat.session == coordinator && self.may_signal(&stat);
        if ours { self.proc.handle(&stat) } else { None }
    }

    fn started_as_claimed(&self, claim: &Claim) -> Option<Stat> {
        let stat = self.proc.stat(claim.pid).filter(|stat| !stat.zombie)?;
        let same = match claim.ticks {
            Some(ticks) => ticks == stat.ticks,
            None => {
                let started = self.boot_time? + stat.ticks as f64 / TICKS_PER_SECOND;
                (started - claim.fork_time).abs() < START_TOLERANCE
            }
        };
        same.then_some(stat)
    }

    /// The living members of the session of a coordinator, itself excluded. `ours`: the coordinator
    /// is or was our own child, so that all of them are our descendants.
    pub fn session(&self, leader: i32, ours: bool) -> Vec<Stat> {
        let mut members = if ours {
            self.proc.descendants([rustix::process::getpid().as_raw_pid()])
        } else {
            self.proc.table().unwrap_or_default()
        };
        members.retain(|stat| {
            stat.session == leader
                && stat.pid != leader
                && !stat.zombie
                && (ours || self.may_signal(stat))
        });
        members
    }

    /// SIGKILLs what a search finds until it finds nothing, within reason. True if it found anything.
    pub fn kill_all(&self, search: impl Fn() -> Vec<Stat>) -> bool {
        let begun = Instant::now();
        let mut known: HashSet<(i32, i64)> = HashSet::new();
        loop {
            let targets = search();
            if targets.is_empty() || begun.elapsed() > CHASE {
                return !known.is_empty();
            }
            let mut new = false;
            for stat in &targets {
                new |= known.insert((stat.pid, stat.ticks));
                self.proc.signal(stat, Signal::KILL);
            }
            if !new {
                // All of them have their signal, and take a moment to die of it.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
