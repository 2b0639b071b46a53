//! Signals to the task: who gets them.

use super::*;

impl Shell<'_> {
    /// Pids that are never targets: coordinators, and the child that syncs.
    pub(super) fn is_ours(&self, pid: i32) -> bool {
        self.by_pid.contains_key(&pid) || self.syncing == Some(pid)
    }

    /// Everything that the task started and that lives, coordinators excluded.
    ///
    /// Descendants of the runner and of its coordinators are the task's by the kernel's word. What
    /// belongs to a coordinator of an earlier runner is known by its session only; there the owner
    /// decides.
    pub(super) fn targets(&self) -> Vec<Stat> {
        let adopted: Vec<i32> =
            self.slots.iter().flatten().filter(|l| l.adopted.is_some()).map(|l| l.pid).collect();
        let own = std::process::id() as i32;
        let mut targets =
            self.reach.proc.descendants([own].into_iter().chain(adopted.iter().copied()));
        if !adopted.is_empty() {
            let known: HashSet<i32> = targets.iter().map(|stat| stat.pid).collect();
            targets.extend(self.reach.proc.table().unwrap_or_default().iter().filter(|stat| {
                !stat.zombie
                    && adopted.contains(&stat.session)
                    && !known.contains(&stat.pid)
                    && self.reach.may_signal(stat)
            }));
        }
        targets.retain(|stat| !self.is_ours(stat.pid) && stat.pid != own);
        targets
    }

    pub(super) fn terminate(&mut self) {
        let adopted = self.has_adopted();
        for stat in self.targets() {
            if let Some(handle) = self.reach.proc.handle(&stat) {
                handle.signal(Signal::TERM);
                if adopted {
                    self.strays.push(handle);
                }
            }
        }
    }

    pub(super) fn kill(&mut self) {
        self.killing = true;
        // Coordinators first: they must not record the death of bash as its own.
        for live in self.slots.iter().flatten() {
            match &live.adopted {
                Some(handle) => handle.signal(Signal::KILL),
                None => {
                    if let Some(stat) = self.reach.proc.stat(live.pid) {
                        self.reach.proc.signal(&stat, Signal::KILL);
                    }
                }
            }
        }
        self.reach.kill_all(|| {
            self.reach.proc.kill_children(|pid| self.is_ours(pid));
            self.targets()
        });
    }

    /// SIGKILLs what is left of the session of a coordinator, and if asked, the coordinator.
    pub(super) fn sweep(&mut self, process: u32, coordinator: &Claim, whole: bool) {
        let live = self
            .current
            .get(&process)
            .and_then(|slot| self.slots[*slot as usize].as_ref())
            .filter(|live| live.pid == coordinator.pid);
        if let Some(live) = live
            && whole
        {
            match &live.adopted {
                Some(handle) => handle.signal(Signal::KILL),
                None => {
                    if let Some(stat) = self.reach.proc.stat(live.pid) {
                        self.reach.proc.signal(&stat, Signal::KILL);
                    }
                }
            }
        }
        let is_child = live.is_some_and(|live| live.adopted.is_none());
        let is_adopted = live.is_some_and(|live| live.adopted.is_some());
        // A session whose leader lives and is none of ours is somebody else's: the stream lies, or
        // the number has changed hands.
        let is_free = || self.reach.proc.stat(coordinator.pid).is_none_or(|stat| stat.zombie);
        if is_child || (self.same_boot() && (is_adopted || is_free())) {
            self.reach.kill_all(|| self.reach.session(coordinator.pid, is_child));
        }
    }
}
