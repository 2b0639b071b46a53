//! The core of the runner: what happens next, as a function of (state, event, now).
//!
//! The engine owns no clock, file, process or signal. It is told what happened ([`Event`]) and
//! answers with what must be done ([`Effect`]), in order. The runner stream is the only truth: every
//! change of state is a record, and a record changes the state in one place (`Engine::apply`),
//! whether it was just decided, came from a coordinator, or is replayed after a restart.

use std::collections::{BTreeSet, HashMap};

use aurora_api::thermos::{ProcessStatus, RunnerCkpt, RunnerHeader, TaskStatus};
use aurora_schema::task::Task;
use thrift_wire::Double;

use crate::plan::{Ending, Micros, Plan, Spec};
use crate::state::{Run, Stage};

/// How long a coordinator may take from fork to bash before it is killed, as in the original.
pub const FORKED_TIMEOUT: Micros = 60_000_000;

/// How long the end of a task waits for processes that do not die from SIGKILL (they hang in the
/// kernel) before it goes on without them.
pub const KILL_PATIENCE: Micros = 5_000_000;

/// So many forks are made at most before the world is looked at again: thousands in one go would keep
/// everything that they have opened open, and signals waiting.
pub const FORKS: usize = 64;

/// One moment on two clocks: the wall clock for records, one that never goes back for waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since the epoch.
    pub wall: Micros,
    /// Microseconds since some fixed moment.
    pub mono: Micros,
}

impl Now {
    /// The moment of a time stamp on the clock for waiting. A stamp in the future counts as now.
    fn mono_of(self, wall: Micros) -> Micros {
        self.mono - self.wall.saturating_sub(wall).max(0)
    }

    fn seconds(self) -> Double {
        Double(self.wall as f64 / 1e6)
    }

    fn millis(self) -> i64 {
        self.wall / 1000
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The runner has control of the stream: everything recorded was replayed.
    Start,
    /// What coordinators recorded in the absence of a runner was reported; the task goes on.
    Recovered,
    /// A coordinator recorded something.
    Recorded {
        /// What it recorded.
        status: ProcessStatus,
        /// For the end of a run: are there processes left in the run's session?
        leftovers: bool,
    },
    /// A coordinator was forked and waits for permission to start bash.
    Forked {
        /// Index of the process in the task.
        process: u32,
        /// The coordinator.
        pid: i32,
        /// Kernel start time of the coordinator, in clock ticks since boot.
        ticks: Option<i64>,
    },
    /// A coordinator could not be forked, and trying again would not help.
    NotForked {
        /// Index of the process in the task.
        process: u32,
        /// Why, for people.
        reason: String,
    },
    /// A coordinator cannot be forked now, but perhaps later.
    Deferred {
        /// Index of the process in the task.
        process: u32,
        /// When to try again, on the clock for waiting.
        until: Micros,
    },
    /// The coordinator of the current run of a process does not exist any more, and its stream holds
    /// nothing that was not reported.
    CoordinatorGone {
        /// Index of the process in the task.
        process: u32,
        /// What is known about the cause, for people.
        reason: String,
    },
    /// Nothing of the task lives: no coordinator and no descendant.
    Quiet,
    /// No coordinator lives, but something that the task started does.
    Orphans,
    /// Somebody wants the task to end.
    Stop {
        /// [`Stage::Killed`] or [`Stage::Lost`].
        goal: Stage,
        /// Time for everything up to the terminal state; 0 skips finalization.
        grace: Micros,
    },
    /// The moment that [`Engine::wakeup`] named has come.
    Tick,
}

/// Something to be done, after everything before it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append to the runner stream. Must be in the page cache before a later effect is carried out.
    Write(RunnerCkpt),
    /// Write the task's JSON to `tasks/active`, if it is not there.
    StoreTask,
    /// Fork a coordinator; answer with `Forked`, `NotForked` or `Deferred`.
    Launch {
        /// Index of the process in the task.
        process: u32,
        /// Number of the run, from 0: the name of its log directory.
        run: u32,
        /// Sequence number of the FORKED record.
        seq: i64,
    },
    /// The FORKED record is committed: let the coordinator start bash.
    Go {
        /// Index of the process in the task.
        process: u32,
    },
    /// SIGKILL what is left of a run of a process.
    Sweep {
        /// Index of the process in the task.
        process: u32,
        /// The coordinator of that run. By the time of the sweep there may be another run.
        coordinator: Claim,
        /// The coordinator itself, too: its run has not ended.
        whole: bool,
    },
    /// SIGTERM to everything that the task started.
    Terminate,
    /// SIGKILL to everything that the task started, coordinators included.
    Kill,
    /// Move the task's JSON to `tasks/finished`.
    Retire,
    /// Tell the operator.
    Log(Level, String),
}

/// How loud a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For developers.
    Debug,
    /// The usual course of things.
    Info,
    /// Something to look at.
    Warn,
    /// Something went wrong.
    Error,
}

/// Who runs the task; goes into the records.
#[derive(Clone, Debug, Default)]
pub struct Controller {
    /// Pid of the runner.
    pub pid: i32,
    /// Real uid of the runner.
    pub uid: i32,
    /// Kernel start time of the runner, in clock ticks since boot.
    pub ticks: Option<i64>,
    /// The kernel's boot id.
    pub boot_id: Option<String>,
}

/// A record that does not fit the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit(pub String);

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misfit {}

/// What a stream says about a coordinator; believed only after it was checked against the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Pid, and id of the session that it leads.
    pub pid: i32,
    /// Kernel start time, in clock ticks since boot; absent in streams of the original.
    pub ticks: Option<i64>,
    /// Seconds since the epoch.
    pub fork_time: f64,
}

/// The last run of a process.
#[derive(Clone, Debug, Default)]
pub struct LastRun {
    /// `None`: the process has not run.
    pub state: Option<Run>,
    /// Sequence number of the last record.
    pub seq: i64,
    /// Runs so far, this one included.
    pub runs: u32,
    /// The coordinator, once forked.
    pub coordinator: Option<Claim>,
    /// When a coordinator that does not start bash is given up.
    forked_until: Micros,
}

/// What a record did to the state.
enum Applied {
    /// It was known already.
    Known,
    /// A run of this process is now in this state.
    Process(u32, Run),
    /// Anything else.
    Other,
}

/// Which of the two plans a process belongs to, and its place there.
#[derive(Clone, Copy, Debug)]
struct Place {
    is_final: bool,
    index: u32,
}

/// The state of a task.
#[derive(Debug)]
pub struct Engine {
    names: Vec<String>,
    by_name: HashMap<String, u32>,
    places: Vec<Place>,
    regular: Plan,
    regular_members: Vec<u32>,
    finalizing: Plan,
    final_members: Vec<u32>,
    runs: Vec<LastRun>,
    max_failures: i64,
    max_concurrency: i64,
    finalization_wait: Micros,

    controller: Controller,
    header: RunnerHeader,
    has_header: bool,
    /// Boot id of the last runner whose records were replayed.
    recorded_boot_id: Option<String>,

    stage: Option<Stage>,
    /// May the engine act on its own?
    recovered: bool,
    /// Where a kill or lose leads, and when its time is over.
    goal: Option<(Stage, Micros)>,
    /// When CLEANING began.
    cleaning_since: Option<Micros>,
    /// When SIGKILL was sent to everything.
    killing_since: Option<Micros>,
    quiet: bool,
    /// Is something left that is no coordinator's any more?
    orphans: bool,
    /// Forks that wait for their turn, or must be tried again.
    deferred: BTreeSet<(Micros, u32)>,
    /// Forks that may still be made before the next tick.
    room: usize,
    /// Runs in FORKED, by the moment at which they are given up.
    forked: BTreeSet<(Micros, u32)>,
}

impl Engine {
    /// A task that has not started. `header` is written once per stream; `run_limit` caps the total
    /// runs of each process (0: no cap).
    pub fn new(
        task: &Task,
        header: RunnerHeader,
        controller: Controller,
        run_limit: u32,
    ) -> Engine {
        let mut places = Vec::with_capacity(task.processes.len());
        let mut members = [Vec::new(), Vec::new()];
        let counts = task.counts();
        for (i, process) in task.processes.iter().enumerate() {
            if !counts[i] {
                // Overridden by a later process of the same name; belongs to neither plan.
                places.push(Place { is_final: process.is_final, index: u32::MAX });
                continue;
            }
            let side = &mut members[usize::from(process.is_final)];
            places.push(Place { is_final: process.is_final, index: side.len() as u32 });
            side.push(i as u32);
        }
        let mut specs = [Vec::new(), Vec::new()];
        for ((process, before), counts) in
            task.processes.iter().zip(task.dependencies()).zip(&counts)
        {
            if !counts {
                continue;
            }
            specs[usize::from(process.is_final)].push(Spec {
                max_failures: process.max_failures,
                daemon: process.daemon,
                ephemeral: process.ephemeral,
                min_duration: process.min_duration,
                after: before.into_iter().map(|b| places[b as usize].index).collect(),
            });
        }
        let [regular_members, final_members] = members;
        let names: Vec<String> = task.processes.iter().map(|p| p.name.clone()).collect();
        Engine {
            by_name: names.iter().cloned().zip(0..).collect(),
            runs: vec![LastRun::default(); names.len()],
            names,
            places,
            regular: Plan::new(&specs[0], run_limit),
            regular_members,
            finalizing: Plan::new(&specs[1], run_limit),
            final_members,
            max_failures: task.max_failures,
            max_concurrency: task.max_concurrency,
            finalization_wait: task.finalization_wait.clamp(0, i32::MAX.into()) * 1_000_000,
            controller,
            header,
            has_header: false,
            recorded_boot_id: None,
            stage: None,
            recovered: false,
            goal: None,
            cleaning_since: None,
            killing_since: None,
            quiet: true,
            orphans: false,
            deferred: BTreeSet::new(),
            room: FORKS,
            forked: BTreeSet::new(),
        }
    }

    /// The task's state; `None` before the first record.
    pub fn stage(&self) -> Option<Stage> {
        self.stage
    }

    /// Is the task over?
    pub fn is_terminal(&self) -> bool {
        self.stage.is_some_and(Stage::is_terminal)
    }

    /// The last run of a process.
    pub fn last_run(&self, process: u32) -> &LastRun {
        &self.runs[process as usize]
    }

    /// The name of a process.
    pub fn name(&self, process: u32) -> &str {
        &self.names[process as usize]
    }

    /// The number of processes of the task.
    pub fn len(&self) -> u32 {
        self.names.len() as u32
    }

    /// Has the task no process at all?
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The boot id that the last runner in the stream recorded, if it recorded one.
    pub fn recorded_boot_id(&self) -> Option<&str> {
        self.recorded_boot_id.as_deref()
    }

    /// Takes a record of an earlier runner into the state, without any effect.
    pub fn replay(&mut self, now: Now, record: &RunnerCkpt) -> Result<(), Misfit> {
        if let RunnerCkpt::TaskStatus(status) = record
            && status.boot_id.is_some()
        {
            self.recorded_boot_id.clone_from(&status.boot_id);
        }
        // What lived when the record was written may live still.
        self.quiet = false;
        self.apply(now, record).map(drop)
    }

    /// The moment at which [`Event::Tick`] is due; `None`: never.
    pub fn wakeup(&self) -> Option<Micros> {
        let first = |set: &BTreeSet<(Micros, u32)>| set.first().map(|(at, _)| *at);
        let of_stage = match self.stage? {
            Stage::Active => self.regular.next_ready_at(),
            Stage::Cleaning => self.deadline(),
            Stage::Finalizing => {
                self.finalizing.next_ready_at().into_iter().chain(self.deadline()).min()
            }
            Stage::Success | Stage::Failed | Stage::Killed | Stage::Lost => return None,
        };
        if let Some(since) = self.killing_since {
            return Some(since + KILL_PATIENCE);
        }
        of_stage.into_iter().chain(first(&self.deferred)).chain(first(&self.forked)).min()
    }

    /// Is a launch of this process still wanted? Between the decision and its turn, the failure of
    /// another launch may have ended the stage.
    pub fn may_launch(&self, process: u32) -> bool {
        let is_final = self.places[process as usize].is_final;
        let stage_fits = match self.stage {
            Some(Stage::Active) => !is_final,
            Some(Stage::Finalizing) => is_final,
            _ => false,
        };
        stage_fits && self.runs[process as usize].state == Some(Run::Waiting)
    }

    /// Has a coordinator not started its bash yet?
    pub fn awaits_bash(&self) -> bool {
        !self.forked.is_empty()
    }

    /// Takes in what happened and says what must be done.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        if self.is_terminal() {
            return;
        }
        match event {
            Event::Start => self.take_control(now, effects),
            Event::Recovered => self.recovered(now, effects),
            Event::Tick => self.room = FORKS,
            Event::Recorded { status, leftovers } => {
                self.recorded(now, status, leftovers, effects);
            }
            Event::Forked { process, pid, ticks } => {
                (self.quiet, self.orphans) = (false, false);
                let status = ProcessStatus {
                    coordinator_pid: Some(pid),
                    fork_time: Some(now.seconds()),
                    coordinator_start_ticks: ticks,
                    ..self.next_status(process, Run::Forked)
                };
                self.write_process(now, status, effects);
                effects.push(Effect::Go { process });
            }
            Event::NotForked { process, reason } => {
                let name = &self.names[process as usize];
                effects.push(Effect::Log(
                    Level::Error,
                    format!("Process({name}) could not be launched: {reason}"),
                ));
                let status = ProcessStatus {
                    stop_time: Some(now.seconds()),
                    reason: Some(reason),
                    ..self.next_status(process, Run::Failed)
                };
                self.write_process(now, status, effects);
            }
            Event::Deferred { process, until } => {
                if self.may_launch(process) {
                    self.deferred.insert((until, process));
                }
            }
            Event::CoordinatorGone { process, reason } => {
                self.coordinator_gone(now, process, reason, effects);
            }
            Event::Quiet => self.quiet = true,
            Event::Orphans => self.orphans = true,
            Event::Stop { goal, grace } => self.stop(now, goal, grace, effects),
        }
        if self.recovered {
            self.advance(now, effects);
        }
    }

    // ---- taking control, and being told to stop ----

    fn take_control(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let stage = self.stage;
        self.announce(now, stage.unwrap_or(Stage::Active), effects);
        effects.push(Effect::StoreTask);
        if !self.has_header {
            let header = RunnerCkpt::RunnerHeader(self.header.clone());
            self.write(now, header, effects);
        }
    }

    fn recovered(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.recovered = true;
        if self.stage == Some(Stage::Cleaning) && !self.quiet && self.in_time(now) {
            // The runner before may have died between the record and the signal.
            effects.push(Effect::Terminate);
        }
        // A run that is still in WAITING has no coordinator that could start anything: one that was
        // being forked got no permission and is gone.
        for process in 0..self.len() {
            if self.runs[process as usize].state == Some(Run::Waiting) {
                self.deferred.insert((now.mono, process));
            }
        }
    }

    fn stop(&mut self, now: Now, goal: Stage, grace: Micros, effects: &mut Vec<Effect>) {
        let deadline = now.mono.saturating_add(grace.max(0));
        self.goal = Some(match self.goal {
            // A second request cannot prolong the first, and giving up outranks killing.
            Some((before, until)) => {
                let goal = if goal == Stage::Lost { goal } else { before };
                (goal, until.min(deadline))
            }
            None => (goal, deadline),
        });
        let Some(stage) = self.stage else { return };
        effects.push(Effect::Log(
            Level::Info,
            format!(
                "Told to end the task as {} within {} s.",
                goal.name(),
                grace.max(0) as f64 / 1e6
            ),
        ));
        self.announce(now, stage, effects);
        if stage == Stage::Active && self.recovered {
            self.enter_cleaning(now, effects);
        }
    }

    // ---- what coordinators say and do ----

    fn recorded(
        &mut self,
        now: Now,
        status: ProcessStatus,
        leftovers: bool,
        effects: &mut Vec<Effect>,
    ) {
        let line = self.describe(&status);
        let record = RunnerCkpt::ProcessStatus(status);
        match self.apply(now, &record) {
            Ok(Applied::Process(process, run)) => {
                effects.push(Effect::Write(record));
                effects.extend(line);
                // While the task is being cleaned up, what is left has been told to end and may
                // take the time that it was given.
                let cleaning = self.stage == Some(Stage::Cleaning);
                if run.is_terminal() && leftovers && !cleaning {
                    effects.extend(self.sweep(process, false));
                }
                if run == Run::Running && cleaning {
                    // It was not there yet when everything was told to end.
                    effects.push(Effect::Terminate);
                }
            }
            Ok(Applied::Known | Applied::Other) => {}
            Err(misfit) => effects.push(Effect::Log(
                Level::Error,
                format!("Ignored a record of a coordinator: {misfit}"),
            )),
        }
    }

    fn coordinator_gone(
        &mut self,
        now: Now,
        process: u32,
        reason: String,
        effects: &mut Vec<Effect>,
    ) {
        match self.runs[process as usize].state {
            Some(run) if run.is_forked() => {}
            _ => return,
        }
        if self.killing_since.is_some() {
            let status = self.killed_status(now, process);
            self.write_process(now, status, effects);
            return;
        }
        effects.push(Effect::Log(
            Level::Warn,
            format!("Process({}) is lost: {reason}", self.names[process as usize]),
        ));
        let status = ProcessStatus { reason: Some(reason), ..self.next_status(process, Run::Lost) };
        self.write_process(now, status, effects);
        // Its tree must not outlive it.
        effects.extend(self.sweep(process, true));
    }

    fn sweep(&self, process: u32, whole: bool) -> Option<Effect> {
        let coordinator = self.runs[process as usize].coordinator?;
        Some(Effect::Sweep { process, coordinator, whole })
    }

    fn killed_status(&self, now: Now, process: u32) -> ProcessStatus {
        ProcessStatus {
            stop_time: Some(now.seconds()),
            return_code: Some(-1),
            ..self.next_status(process, Run::Killed)
        }
    }

    // ---- stages ----

    /// Goes as far as the state allows.
    fn advance(&mut self, now: Now, effects: &mut Vec<Effect>) {
        loop {
            let before = self.stage;
            match before {
                Some(Stage::Active) => self.active(now, effects),
                Some(Stage::Cleaning) => self.cleaning(now, effects),
                Some(Stage::Finalizing) => self.finalizing(now, effects),
                _ => return,
            }
            if self.stage == before {
                return;
            }
        }
    }

    fn active(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let healthy = self.regular.is_healthy(self.max_failures);
        if healthy && !self.regular.is_complete() && self.goal.is_none() {
            self.launch(now, effects);
            return;
        }
        effects.push(if healthy {
            Effect::Log(Level::Info, "Regular plan complete.".to_owned())
        } else {
            Effect::Log(Level::Warn, "Regular plan unhealthy!".to_owned())
        });
        self.enter_cleaning(now, effects);
    }

    fn enter_cleaning(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.announce(now, Stage::Cleaning, effects);
        self.deferred.clear();
        // Without time to react there is no point in asking.
        if !self.quiet && self.in_time(now) {
            effects.push(Effect::Terminate);
        }
    }

    fn in_time(&self, now: Now) -> bool {
        self.deadline().is_some_and(|deadline| now.mono < deadline)
    }

    fn cleaning(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let in_time = self.in_time(now);
        if self.quiet || !in_time {
            if !self.all_dead(now, in_time, effects) {
                return;
            }
            if in_time {
                self.killing_since = None;
                self.announce(now, Stage::Finalizing, effects);
            } else {
                effects.push(Effect::Log(
                    Level::Info,
                    "Exceeded finalization wait, skipping finalization.".to_owned(),
                ));
                self.finish(now, effects);
            }
        } else {
            self.give_up_forked(now, effects);
        }
    }

    fn finalizing(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let in_time = self.in_time(now);
        if in_time && !self.finalizing.is_complete() && !self.finalizing.is_deadlocked() {
            self.launch(now, effects);
        } else if self.all_dead(now, in_time, effects) {
            self.finish(now, effects);
        }
    }

    /// SIGKILLs what lives and waits for it to be gone. True when nothing is left to wait for; runs
    /// that did not say how they ended are recorded as killed then.
    fn all_dead(&mut self, now: Now, in_time: bool, effects: &mut Vec<Effect>) -> bool {
        if !self.quiet {
            match self.killing_since {
                // Coordinators that have recorded the end of their run exit by themselves.
                None if in_time && !self.orphans && !self.any_forked() => return false,
                None => {
                    self.killing_since = Some(now.mono);
                    self.deferred.clear();
                    effects.push(Effect::Kill);
                    return false;
                }
                Some(since) if now.mono < since + KILL_PATIENCE => return false,
                Some(_) => effects.push(Effect::Log(
                    Level::Error,
                    "Some processes did not die from SIGKILL; going on without them.".to_owned(),
                )),
            }
        }
        for process in 0..self.len() {
            if self.runs[process as usize].state.is_some_and(Run::is_forked) {
                let status = self.killed_status(now, process);
                self.write_process(now, status, effects);
            }
        }
        true
    }

    fn any_forked(&self) -> bool {
        self.runs.iter().any(|run| run.state.is_some_and(Run::is_forked))
    }

    fn finish(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let stage = match self.goal {
            Some((goal, _)) => goal,
            None if self.regular.is_healthy(self.max_failures) => Stage::Success,
            None => Stage::Failed,
        };
        effects.push(match stage {
            Stage::Success => Effect::Log(Level::Info, "Task succeeded.".to_owned()),
            other => Effect::Log(Level::Info, format!("Task ended as {}.", other.name())),
        });
        self.announce(now, stage, effects);
        effects.push(Effect::Retire);
    }

    /// The end of the time for CLEANING and FINALIZING together.
    fn deadline(&self) -> Option<Micros> {
        match self.goal {
            Some((_, deadline)) => Some(deadline),
            None => self.cleaning_since.map(|since| since.saturating_add(self.finalization_wait)),
        }
    }

    /// Starts what the current plan allows.
    fn launch(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.give_up_forked(now, effects);
        let is_final = self.stage == Some(Stage::Finalizing);
        let (plan, members) = if is_final {
            (&mut self.finalizing, &self.final_members)
        } else {
            (&mut self.regular, &self.regular_members)
        };
        let mut launches: Vec<u32> = plan
            .startable(now.mono, self.max_concurrency)
            .into_iter()
            .map(|index| members[index as usize])
            .collect();
        for process in &launches {
            let status = self.next_status(*process, Run::Waiting);
            self.write_process(now, status, effects);
        }
        // The rest has its turn after the next look at what else has happened.
        for process in launches.split_off(self.room.min(launches.len())) {
            self.deferred.insert((now.mono, process));
        }
        while launches.len() < self.room
            && let Some(&(until, process)) = self.deferred.first()
            && until <= now.mono
        {
            self.deferred.pop_first();
            launches.push(process);
        }
        self.room -= launches.len();
        for process in launches {
            let run = &self.runs[process as usize];
            effects.push(Effect::Launch {
                process,
                run: run.runs - 1,
                seq: run.seq.saturating_add(1),
            });
        }
    }

    /// Kills coordinators that did not start bash in time.
    fn give_up_forked(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(&(until, process)) = self.forked.first()
            && until <= now.mono
        {
            self.forked.pop_first();
            effects.extend(self.sweep(process, true));
        }
    }
}

mod records;

#[cfg(test)]
mod tests;
