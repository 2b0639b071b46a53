//! The core of the executor: what happens next, as a function of (state, event, now).
//!
//! One task per life: registered, launched, running, stopping, done. The core knows nothing of
//! Mesos' messages, of processes or files; [`crate::shell`] turns both into events and effects.
//!
//! | phase     | what is waited for                        | leaves to            |
//! |-----------|-------------------------------------------|----------------------|
//! | Idle      | a launch, for 10 s                        | Starting, Done       |
//! | Starting  | sandbox and runner                        | Running, Leaving     |
//! | Running   | the end of the task                       | Stopping, Leaving    |
//! | Stopping  | the end of the task, with a deadline      | Leaving              |
//! | Leaving   | the agent's acknowledgement, at most 5 s  | Done                 |

use thermos_runner::plan::Micros;
use thermos_runner::state::Stage;

use crate::assignment::Assignment;
use crate::outcome::{Status, TaskState, of_runner};

/// How long an executor without a task stays.
pub const LAUNCH_TIMEOUT: Micros = 10_000_000;

/// How long a runner may take from its start to control of the task.
pub const RUNNER_START_TIMEOUT: Micros = 60_000_000;

/// How long the final update waits for its acknowledgement before the executor leaves.
pub const LEAVE_TIMEOUT: Micros = 5_000_000;

/// Time of the runner for SIGKILL and its records at the end of a grace.
pub const MARGIN: Micros = 500_000;

/// How often a runner that died is started again.
pub const RUNNER_RESTARTS: u32 = 3;

/// Where the executor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No task yet.
    Idle,
    /// The sandbox is made and the runner started.
    Starting,
    /// The runner has control.
    Running,
    /// The task has been told to end.
    Stopping,
    /// The final update is sent.
    Leaving,
    /// The executor may exit.
    Done,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The agent launches a task. A task that this executor has already is not launched again.
    Launch {
        /// The id by the agent's word.
        task_id: String,
        /// What its data says.
        assignment: Result<Box<Assignment>, String>,
        /// Time for a kill that says none, by the task's own policy, in microseconds.
        grace: Option<Micros>,
    },
    /// The agent kills a task.
    Kill {
        /// Which.
        task_id: String,
        /// Time for it by the request, in microseconds.
        grace: Option<Micros>,
    },
    /// The agent shuts the executor down; it kills what is left after this time.
    Shutdown {
        /// Microseconds.
        grace: Micros,
    },
    /// Sandbox and runner could not be set up.
    NotStarted(String),
    /// The runner says which state the task is in.
    Stage(Stage),
    /// The runner exited, with this code (negative: a signal), and the stream says this.
    RunnerExited {
        /// Exit code.
        code: i32,
        /// Last state in the stream.
        stage: Option<Stage>,
    },
    /// The sandbox uses more than the task may.
    DiskExceeded {
        /// Bytes used.
        used: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Every update so far is acknowledged, or will never be.
    Flushed,
    /// The agent takes updates.
    Connected,
    /// The agent is away, and may come back.
    Disconnected,
    /// The agent will not come back.
    AgentGone(String),
    /// The moment that [`Executor::wakeup`] named has come.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send an update.
    Update {
        /// For this task.
        task_id: String,
        /// With this state and message.
        status: Status,
    },
    /// Make the sandbox and start the runner.
    Start(Box<Assignment>),
    /// Start the runner again: it takes over what lives.
    Restart,
    /// Order the runner to end the task within this time.
    Stop {
        /// Killed or lost.
        goal: Stage,
        /// Microseconds.
        grace: Micros,
    },
    /// SIGKILL for everything that is left.
    KillEverything,
    /// Say when every update is acknowledged, at the latest after this time in microseconds.
    Flush(Micros),
}

/// The state of the executor.
#[derive(Debug)]
pub struct Executor {
    phase: Phase,
    task_id: Option<String>,
    finalization_wait: Micros,
    /// The task's own kill policy. Agents do not copy it into their kills.
    kill_grace: Option<Micros>,
    /// `--stop_timeout_in_secs`.
    stop_timeout: Micros,
    /// What will be reported, whatever the task makes of its end.
    verdict: Option<Status>,
    /// When the current phase is given up.
    deadline: Option<Micros>,
    runner_lives: bool,
    restarts: u32,
    acknowledged: bool,
    /// Is the agent away, and may come back for the final update?
    away: bool,
}

impl Executor {
    /// An executor that has just started.
    pub fn new(now: Micros, stop_timeout: Micros) -> Executor {
        Executor {
            phase: Phase::Idle,
            task_id: None,
            finalization_wait: 0,
            kill_grace: None,
            stop_timeout,
            verdict: None,
            deadline: Some(now + LAUNCH_TIMEOUT),
            runner_lives: false,
            restarts: 0,
            acknowledged: true,
            away: false,
        }
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The task it runs.
    pub fn task_id(&self) -> Option<&str> {
        self.task_id.as_deref()
    }

    /// The moment at which [`Event::Tick`] is due.
    pub fn wakeup(&self) -> Option<Micros> {
        self.deadline
    }

    /// Takes in what happened and says what must be done.
    pub fn handle(&mut self, now: Micros, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Launch { task_id, assignment, grace } => {
                if self.task_id.is_none() {
                    self.kill_grace = grace;
                }
                self.launch(now, task_id, assignment, effects);
            }
            Event::Kill { task_id, grace } => {
                if self.task_id.as_deref() == Some(&task_id) {
                    let longest = self.finalization_wait.max(60_000_000);
                    let grace = grace.or(self.kill_grace).unwrap_or(longest);
                    let grace = grace.min(self.stop_timeout);
                    let status = Status::new(TaskState::Killed, "instructed to kill the task");
                    self.stop(now, status, grace, effects);
                }
            }
            Event::Shutdown { grace } => {
                let status = Status::new(TaskState::Killed, "told to shut down the executor");
                self.stop(now, status, grace - MARGIN, effects);
            }
            Event::NotStarted(reason) => {
                self.runner_lives = false;
                let status = Status::new(TaskState::Failed, reason);
                let status = self.verdict.take().unwrap_or(status);
                self.leave(now, status, effects);
            }
            Event::Stage(stage) => self.stage(now, stage, effects),
            Event::RunnerExited { code, stage } => self.runner_exited(now, code, stage, effects),
            Event::DiskExceeded { used, limit } => {
                let message =
                    format!("disk limit exceeded: {used} bytes used, {limit} bytes reserved");
                let grace = self.finalization_wait.max(60_000_000).min(self.stop_timeout);
                self.stop(now, Status::new(TaskState::Failed, message), grace, effects);
            }
            Event::Flushed => {
                // An agent that is away has not said anything about it.
                self.acknowledged |= !self.away;
                self.maybe_done();
            }
            Event::Connected => {
                self.away = false;
                if self.phase == Phase::Leaving {
                    self.deadline = Some(now + LEAVE_TIMEOUT);
                    effects.push(Effect::Flush(LEAVE_TIMEOUT));
                }
            }
            Event::Disconnected => self.away = true,
            Event::AgentGone(reason) => {
                self.away = false;
                let status = Status::new(TaskState::Killed, reason);
                self.stop(now, status, self.finalization_wait, effects);
                // Nobody is there to acknowledge anything.
                self.acknowledged = true;
                self.maybe_done();
            }
            Event::Tick => self.tick(now, effects),
        }
    }

    fn launch(
        &mut self,
        now: Micros,
        task_id: String,
        assignment: Result<Box<Assignment>, String>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(current) = &self.task_id {
            if *current == task_id {
                // Said twice. Nothing is lost, and what is reported of the task is true already.
                return;
            }
            let status =
                Status::new(TaskState::Lost, format!("this executor already runs task {current}"));
            self.acknowledged = false;
            effects.push(Effect::Update { task_id, status });
            return;
        }
        self.task_id = Some(task_id.clone());
        self.acknowledged = false;
        if self.phase != Phase::Idle {
            // Shut down before the launch came.
            let status = Status::new(TaskState::Killed, "the executor was shutting down");
            self.phase = Phase::Starting;
            self.leave(now, status, effects);
            return;
        }
        match assignment {
            Err(reason) => self.leave(now, Status::new(TaskState::Failed, reason), effects),
            Ok(assignment) => {
                self.phase = Phase::Starting;
                self.deadline = Some(now + RUNNER_START_TIMEOUT);
                self.finalization_wait =
                    assignment.finalization_wait.clamp(0, i32::MAX.into()) * 1_000_000;
                self.runner_lives = true;
                let status = Status::new(TaskState::Starting, "");
                effects.push(Effect::Update { task_id, status });
                effects.push(Effect::Start(assignment));
            }
        }
    }

    /// Ends the task; `verdict` is what is reported then.
    fn stop(&mut self, now: Micros, verdict: Status, grace: Micros, effects: &mut Vec<Effect>) {
        let grace = grace.max(0);
        match self.phase {
            Phase::Idle => {
                self.phase = Phase::Done;
                self.deadline = None;
            }
            Phase::Starting | Phase::Running | Phase::Stopping => {
                self.verdict.get_or_insert(verdict);
                let deadline = now + grace + MARGIN;
                if self.phase == Phase::Stopping && self.deadline.is_some_and(|d| d <= deadline) {
                    return;
                }
                self.phase = Phase::Stopping;
                self.deadline = Some(deadline);
                effects.push(Effect::Stop { goal: Stage::Killed, grace });
            }
            Phase::Leaving | Phase::Done => {}
        }
    }

    fn stage(&mut self, now: Micros, stage: Stage, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
            self.deadline = None;
            self.update(Status::new(TaskState::Running, ""), effects);
        }
        if stage.is_terminal() && matches!(self.phase, Phase::Running | Phase::Stopping) {
            let of_task = of_runner(0, Some(stage));
            let status = self.verdict.take().unwrap_or(of_task);
            self.leave(now, status, effects);
        }
    }

    fn runner_exited(
        &mut self,
        now: Micros,
        code: i32,
        stage: Option<Stage>,
        effects: &mut Vec<Effect>,
    ) {
        self.runner_lives = false;
        if let Some(stage) = stage.filter(|stage| stage.is_terminal()) {
            self.stage(now, stage, effects);
        }
        match self.phase {
            Phase::Starting | Phase::Running | Phase::Stopping => {
                // It took control, and died: what it supervised may live, and can be adopted.
                let died = stage.is_some() && code <= 0;
                let in_time = self.phase != Phase::Stopping
                    || self.deadline.is_some_and(|deadline| now < deadline);
                if died && in_time && self.restarts < RUNNER_RESTARTS {
                    self.restarts += 1;
                    self.runner_lives = true;
                    effects.push(Effect::Restart);
                    if let (Phase::Stopping, Some(deadline)) = (self.phase, self.deadline) {
                        let grace = (deadline - MARGIN - now).max(0);
                        effects.push(Effect::Stop { goal: Stage::Killed, grace });
                    }
                    return;
                }
                effects.push(Effect::KillEverything);
                let status = self.verdict.take().unwrap_or_else(|| of_runner(code, stage));
                self.leave(now, status, effects);
            }
            Phase::Idle | Phase::Leaving | Phase::Done => {}
        }
        self.maybe_done();
    }

    fn tick(&mut self, now: Micros, effects: &mut Vec<Effect>) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.deadline = None;
        match self.phase {
            Phase::Idle => self.phase = Phase::Done,
            Phase::Starting => {
                effects.push(Effect::KillEverything);
                let status =
                    Status::new(TaskState::Lost, "the runner did not start within its deadline");
                self.leave(now, status, effects);
            }
            Phase::Stopping => {
                // Dead first, reported then.
                effects.push(Effect::KillEverything);
                let status = Status::new(TaskState::Killed, "task killed");
                let status = self.verdict.take().unwrap_or(status);
                self.leave(now, status, effects);
            }
            // The update is the last that anybody hears of the task: it waits for the agent, which
            // either comes back or is given up.
            Phase::Leaving if self.away => {}
            Phase::Leaving => {
                effects.push(Effect::KillEverything);
                self.phase = Phase::Done;
            }
            Phase::Running | Phase::Done => {}
        }
    }

    fn update(&mut self, status: Status, effects: &mut Vec<Effect>) {
        if let Some(task_id) = self.task_id.clone() {
            self.acknowledged = false;
            effects.push(Effect::Update { task_id, status });
        }
    }

    fn leave(&mut self, now: Micros, status: Status, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Leaving | Phase::Done) {
            return;
        }
        self.update(status, effects);
        self.phase = Phase::Leaving;
        self.deadline = Some(now + LEAVE_TIMEOUT);
        effects.push(Effect::Flush(LEAVE_TIMEOUT));
        self.maybe_done();
    }

    fn maybe_done(&mut self) {
        if self.phase == Phase::Leaving && self.acknowledged && !self.runner_lives {
            self.phase = Phase::Done;
            self.deadline = None;
        }
    }
}

#[cfg(test)]
mod tests;
