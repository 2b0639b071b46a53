//! The plan: which process may run next.
//!
//! A task has two plans, the regular one and the finalizing one (`final` processes). A plan knows
//! order, failure limits, `min_duration`, daemons, ephemerals and the run limit; it knows nothing of
//! checkpoints, pids or clocks. Every operation costs at most O(log n) of the number of processes.
//! Source of the behaviour: Aurora configuration reference, Process and Task; the conformance list of
//! the original's planner.

use std::collections::BTreeSet;

/// Microseconds on any clock that does not go back; the caller says what time it is.
pub type Micros = i64;

/// What a plan needs to know of one process.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Failed runs after which the process is failed for good; 0: never; negative: like 1.
    pub max_failures: i64,
    /// A successful run does not finish the process.
    pub daemon: bool,
    /// Counts neither for completion nor for failure of the plan.
    pub ephemeral: bool,
    /// Seconds between the end of a run and the start of the next.
    pub min_duration: i64,
    /// Indices (into the plan) of the processes that must be finished first, without repeats.
    pub after: Vec<u32>,
}

/// How a run ended, as the plan counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Return code 0.
    Success,
    /// Any other return code.
    Failure,
    /// Killed by a signal, or lost: the process is run again and nothing is held against it except
    /// the run limit.
    Loss,
}

/// What became of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It will be run again.
    Again,
    /// It is finished and unblocks what depends on it.
    Finished,
    /// It is failed for good.
    Failed,
}

/// An operation that the plan's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// `start` of a process that is blocked, running, finished or failed.
    NotRunnable(u32),
    /// `end` of a process that is not running.
    NotRunning(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many predecessors are not finished.
    Blocked(u32),
    /// May be started from this moment on.
    Runnable(Micros),
    Running,
    Finished,
    Failed,
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    max_failures: i64,
    min_duration: Micros,
    daemon: bool,
    ephemeral: bool,
    successes: u32,
    failures: u32,
    losses: u32,
}

/// The state of one plan.
#[derive(Clone, Debug)]
pub struct Plan {
    entries: Vec<Entry>,
    /// Successors of each process, flattened: those of `i` are `edges[heads[i]..heads[i + 1]]`.
    heads: Vec<u32>,
    edges: Vec<u32>,
    /// May run now, in declaration order.
    ready: BTreeSet<u32>,
    /// May run later.
    waiting: BTreeSet<(Micros, u32)>,
    running: usize,
    failed: usize,
    /// Processes that count for completion and are neither finished nor failed.
    open: usize,
    /// Total runs after which a process is failed; 0: no limit.
    run_limit: u32,
}

impl Plan {
    /// A plan in which nothing has run. `run_limit` caps the total runs of each process (0: no cap).
    pub fn new(specs: &[Spec], run_limit: u32) -> Plan {
        let mut heads = vec![0u32; specs.len() + 1];
        for before in specs.iter().flat_map(|spec| &spec.after) {
            heads[*before as usize + 1] += 1;
        }
        for i in 0..specs.len() {
            heads[i + 1] += heads[i];
        }
        let mut next = heads.clone();
        let mut edges = vec![0u32; heads[specs.len()] as usize];
        for (i, spec) in specs.iter().enumerate() {
            for before in &spec.after {
                let slot = &mut next[*before as usize];
                edges[*slot as usize] = i as u32;
                *slot += 1;
            }
        }
        let entries: Vec<Entry> = specs
            .iter()
            .map(|spec| Entry {
                state: match spec.after.len() as u32 {
                    0 => State::Runnable(Micros::MIN),
                    n => State::Blocked(n),
                },
                max_failures: if spec.max_failures < 0 { 1 } else { spec.max_failures },
                min_duration: spec.min_duration.clamp(0, i32::MAX.into()) * 1_000_000,
                daemon: spec.daemon,
                ephemeral: spec.ephemeral,
                successes: 0,
                failures: 0,
                losses: 0,
            })
            .collect();
        let ready = (0..entries.len() as u32)
            .filter(|i| matches!(entries[*i as usize].state, State::Runnable(_)))
            .collect();
        let open = entries.iter().filter(|entry| !entry.ephemeral).count();
        Plan {
            entries,
            heads,
            edges,
            ready,
            waiting: BTreeSet::new(),
            running: 0,
            failed: 0,
            open,
            run_limit,
        }
    }

    /// Moves processes whose wait is over to the ready set.
    fn advance(&mut self, now: Micros) {
        while let Some(&(at, process)) = self.waiting.first()
            && at <= now
        {
            self.waiting.pop_first();
            self.ready.insert(process);
        }
    }

    /// The processes that may be started at `now`, in declaration order, at most so many that
    /// `max_concurrency` (0: unlimited) is kept.
    pub fn startable(&mut self, now: Micros, max_concurrency: i64) -> Vec<u32> {
        self.advance(now);
        let room = match usize::try_from(max_concurrency) {
            Ok(max) if max > 0 => max.saturating_sub(self.running),
            _ => usize::MAX,
        };
        self.ready.iter().copied().take(room).collect()
    }

    /// Marks a process as running. The wait for `min_duration` is not enforced here: a recovered
    /// stream tells what did run.
    pub fn start(&mut self, process: u32) -> Result<(), PlanError> {
        match self.entries.get(process as usize).map(|entry| entry.state) {
            Some(State::Runnable(at)) => {
                self.ready.remove(&process);
                self.waiting.remove(&(at, process));
                self.entries[process as usize].state = State::Running;
                self.running += 1;
                Ok(())
            }
            _ => Err(PlanError::NotRunnable(process)),
        }
    }

    /// Marks a process as running, whatever the plan thinks of it: a stream that is replayed tells
    /// what did run, perhaps under another version's rules.
    pub fn force_start(&mut self, process: u32) {
        let Some(entry) = self.entries.get_mut(process as usize) else { return };
        let counts = usize::from(!entry.ephemeral);
        match entry.state {
            State::Running => return,
            State::Runnable(at) => {
                self.ready.remove(&process);
                self.waiting.remove(&(at, process));
            }
            State::Blocked(_) => {}
            State::Finished => self.open += counts,
            State::Failed => {
                self.open += counts;
                self.failed -= 1;
            }
        }
        entry.state = State::Running;
        self.running += 1;
    }

    /// Counts the end of a run at the moment `at` and decides what becomes of the process.
    pub fn end(&mut self, process: u32, ending: Ending, at: Micros) -> Result<Fate, PlanError> {
        let entry = match self.entries.get_mut(process as usize) {
            Some(entry) if entry.state == State::Running => entry,
            _ => return Err(PlanError::NotRunning(process)),
        };
        match ending {
            Ending::Success => entry.successes += 1,
            Ending::Failure => entry.failures += 1,
            Ending::Loss => entry.losses += 1,
        }
        let limit = self.run_limit;
        let exhausted = limit != 0 && entry.successes + entry.failures + entry.losses >= limit;
        let fate = match ending {
            // An ephemeral process never fails its task, whatever stopped it.
            _ if exhausted && entry.ephemeral => Fate::Finished,
            Ending::Success if !entry.daemon => Fate::Finished,
            _ if exhausted => Fate::Failed,
            Ending::Failure
                if entry.max_failures != 0 && i64::from(entry.failures) >= entry.max_failures =>
            {
                if entry.ephemeral {
                    Fate::Finished
                } else {
                    Fate::Failed
                }
            }
            Ending::Success | Ending::Failure | Ending::Loss => Fate::Again,
        };
        self.running -= 1;
        match fate {
            Fate::Again => {
                let ready_at = at.saturating_add(entry.min_duration);
                entry.state = State::Runnable(ready_at);
                self.waiting.insert((ready_at, process));
            }
            Fate::Finished => {
                entry.state = State::Finished;
                self.open -= usize::from(!entry.ephemeral);
                self.release_successors(process, at);
            }
            Fate::Failed => {
                entry.state = State::Failed;
                self.failed += 1;
                self.open -= usize::from(!entry.ephemeral);
            }
        }
        Ok(fate)
    }

    fn release_successors(&mut self, process: u32, at: Micros) {
        let range =
            self.heads[process as usize] as usize..self.heads[process as usize + 1] as usize;
        for edge in range {
            let successor = self.edges[edge];
            let entry = &mut self.entries[successor as usize];
            if let State::Blocked(n) = &mut entry.state {
                *n -= 1;
                if *n == 0 {
                    entry.state = State::Runnable(at);
                    self.ready.insert(successor);
                }
            }
        }
    }

    /// The moment at which the next waiting process becomes ready; `None` if none waits or if one is
    /// ready already (then only `max_concurrency` holds it back and an end will release it).
    pub fn next_ready_at(&self) -> Option<Micros> {
        if !self.ready.is_empty() {
            return None;
        }
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Is every process that counts finished or failed? True at once for a plan of ephemerals only.
    pub fn is_complete(&self) -> bool {
        self.open == 0
    }

    /// Can nothing happen any more although the plan is not complete? The usual cause is a failed
    /// process on which others depend.
    pub fn is_deadlocked(&self) -> bool {
        self.running == 0 && self.ready.is_empty() && self.waiting.is_empty() && !self.is_complete()
    }

    /// Is the plan within the task's `max_failures` (0: unlimited) and able to go on?
    pub fn is_healthy(&self, max_failures: i64) -> bool {
        let limit = if max_failures < 0 { 1 } else { max_failures as usize };
        (limit == 0 || self.failed < limit) && !self.is_deadlocked()
    }

    /// Processes that are running now.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Is this process running?
    pub fn is_running(&self, process: u32) -> bool {
        self.entries.get(process as usize).is_some_and(|entry| entry.state == State::Running)
    }

    /// Failed runs of a process so far.
    pub fn failures(&self, process: u32) -> u32 {
        self.entries.get(process as usize).map_or(0, |entry| entry.failures)
    }
}

#[cfg(test)]
mod tests;
