//! The core: what an agent knows about one executor, as a function of (state, input, now).
//!
//! | phase        | what is waited for                       | leaves to              |
//! |--------------|------------------------------------------|------------------------|
//! | Launching    | SUBSCRIBE, with a deadline               | Registered, Stopping   |
//! | Registered   | whatever the executor says               | Stopping, Terminated   |
//! | Stopping     | the end of the process, with a deadline  | Terminated             |
//! | Terminated   | nothing                                  |                        |
//!
//! The stream may be lost and come back in any phase but the last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_executor::session::is_terminal;
use mesos_executor::v1::executor::event::{Acknowledged, Kill, Launch, Type};
use mesos_executor::v1::executor::{Event, call};
use mesos_executor::v1::task_status::{Reason, Source};
use mesos_executor::v1::{DurationInfo, KillPolicy, TaskId, TaskInfo, TaskState, TaskStatus};

/// Where an executor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not subscribed yet.
    Launching,
    /// It has subscribed.
    Registered,
    /// It was told to go, or will be as soon as it subscribes.
    Stopping,
    /// Its process is over.
    Terminated,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The user launches a task.
    Launch(Box<TaskInfo>),
    /// The user kills a task.
    Kill {
        /// Which.
        task_id: String,
        /// Time for it, to be passed on.
        grace: Option<Duration>,
    },
    /// The user shuts the executor down.
    Shutdown,
    /// The executor subscribed; its stream is open.
    Subscribe(call::Subscribe),
    /// The executor sent an update that passed the checks.
    Update(Box<TaskStatus>),
    /// The stream of the executor is gone.
    StreamLost,
    /// The process of the executor ended.
    Exited,
    /// The moment that [`Executor::wakeup`] named has come.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Put an event into the stream.
    Send(Box<Event>),
    /// End the stream.
    Close,
    /// Tell the user about the state of a task.
    Report(Box<TaskStatus>),
    /// SIGKILL for the executor and everything below it.
    Destroy,
}

/// A task that was handed to the executor.
#[derive(Clone, Debug, Default)]
struct Task {
    /// Updates that were taken, by uuid: a repeated one is acknowledged and told to nobody.
    seen: BTreeSet<Vec<u8>>,
    updated: bool,
    /// Over, by whosever word; what comes later is passed on and not acknowledged.
    over: bool,
}

/// What the agent knows about one executor.
#[derive(Debug)]
pub struct Executor {
    phase: Phase,
    connected: bool,
    /// It subscribed once, so its calls are taken.
    subscribed: bool,
    /// Tasks that wait for the executor to subscribe.
    queued: Vec<TaskInfo>,
    tasks: BTreeMap<String, Task>,
    grace: Duration,
    deadline: Option<Duration>,
    registration_timeout: Duration,
    /// The executor never subscribed in time: what its tasks failed of.
    unregistered: bool,
}

impl Executor {
    /// An executor whose process is about to start. `grace`: from SHUTDOWN to SIGKILL.
    pub fn new(now: Duration, grace: Duration, registration_timeout: Duration) -> Executor {
        Executor {
            phase: Phase::Launching,
            connected: false,
            subscribed: false,
            queued: Vec::new(),
            tasks: BTreeMap::new(),
            grace,
            deadline: Some(now + registration_timeout),
            registration_timeout,
            unregistered: false,
        }
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Has it ever subscribed?
    pub fn has_subscribed(&self) -> bool {
        self.subscribed
    }

    /// The moment at which [`Input::Tick`] is due.
    pub fn wakeup(&self) -> Option<Duration> {
        self.deadline
    }

    /// Takes in what happened and says what must be done.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Launch(task) => self.launch(*task, &mut effects),
            Input::Kill { task_id, grace } => self.kill(now, task_id, grace, &mut effects),
            Input::Shutdown => self.shutdown(now, &mut effects),
            Input::Subscribe(subscribe) => self.subscribe(subscribe, &mut effects),
            Input::Update(status) => self.update(*status, &mut effects),
            Input::StreamLost => self.connected = false,
            Input::Exited => self.exited(&mut effects),
            Input::Tick => self.tick(now, &mut effects),
        }
        effects
    }

    fn send(&self, event: Event, effects: &mut Vec<Effect>) {
        // Nothing is kept for an executor that is away: it is lost, as with a real agent.
        if self.connected {
            effects.push(Effect::Send(Box::new(event)));
        }
    }

    fn launch(&mut self, task: TaskInfo, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Launching => self.queued.push(task),
            Phase::Registered => {
                self.tasks.insert(task.task_id.value.clone(), Task::default());
                self.send(launch(task), effects);
            }
            Phase::Stopping | Phase::Terminated => {
                effects.push(Effect::Report(Box::new(by_agent(
                    &task.task_id.value,
                    TaskState::TaskFailed,
                    Reason::ExecutorTerminated,
                    "Executor terminating",
                ))))
            }
        }
    }

    fn kill(
        &mut self,
        now: Duration,
        task_id: String,
        grace: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(place) = self.queued.iter().position(|t| t.task_id.value == task_id) {
            self.queued.remove(place);
            effects.push(Effect::Report(Box::new(by_agent(
                &task_id,
                TaskState::TaskKilled,
                Reason::TaskKilledDuringLaunch,
                "Killed before delivery to the executor",
            ))));
            // It has nothing to live for.
            if self.queued.is_empty() && self.phase == Phase::Launching {
                self.shutdown(now, effects);
            }
            return;
        }
        let kill_policy = grace.map(|grace| KillPolicy {
            grace_period: Some(DurationInfo {
                nanoseconds: i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX),
            }),
        });
        let kill = Kill { task_id: TaskId { value: task_id }, kill_policy };
        self.send(Event { kill: Some(kill), ..of_type(Type::Kill) }, effects);
    }

    fn shutdown(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Launching | Phase::Registered) {
            self.phase = Phase::Stopping;
            self.deadline = Some(now + self.grace);
            self.send(of_type(Type::Shutdown), effects);
        }
    }

    /// SUBSCRIBED is sent without its content, which the agent knows.
    fn subscribe(&mut self, subscribe: call::Subscribe, effects: &mut Vec<Effect>) {
        self.connected = true;
        self.subscribed = true;
        if self.phase == Phase::Stopping {
            self.send(of_type(Type::Shutdown), effects);
            self.connected = false;
            effects.push(Effect::Close);
            return;
        }
        if self.phase == Phase::Launching {
            self.phase = Phase::Registered;
            self.deadline = None;
        }
        self.send(of_type(Type::Subscribed), effects);
        for update in subscribe.unacknowledged_updates {
            self.update(update.status, effects);
        }
        let listed: BTreeSet<String> =
            subscribe.unacknowledged_tasks.into_iter().map(|task| task.task_id.value).collect();
        for (task_id, task) in &mut self.tasks {
            if !task.updated && !task.over && !listed.contains(task_id) {
                task.over = true;
                effects.push(Effect::Report(Box::new(by_agent(
                    task_id,
                    TaskState::TaskDropped,
                    Reason::AgentRestarted,
                    "Task launched during agent restart",
                ))));
            }
        }
        for task in std::mem::take(&mut self.queued) {
            self.launch(task, effects);
        }
    }

    fn update(&mut self, status: TaskStatus, effects: &mut Vec<Effect>) {
        let task_id = status.task_id.clone();
        let uuid = status.uuid().to_vec();
        let terminal = is_terminal(status.state());
        let acknowledged = match self.tasks.get_mut(&task_id.value) {
            Some(task) if !task.seen.contains(&uuid) => {
                let known = !task.over;
                if known {
                    task.seen.insert(uuid.clone());
                    task.updated = true;
                    task.over = terminal;
                }
                effects.push(Effect::Report(Box::new(status)));
                known
            }
            Some(_) => true,
            None => {
                effects.push(Effect::Report(Box::new(status)));
                false
            }
        };
        if acknowledged {
            let acknowledged = Acknowledged { task_id, uuid };
            let event = Event { acknowledged: Some(acknowledged), ..of_type(Type::Acknowledged) };
            self.send(event, effects);
        }
    }

    fn exited(&mut self, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Terminated {
            return;
        }
        self.phase = Phase::Terminated;
        self.connected = false;
        self.deadline = None;
        let (reason, message) = if self.unregistered {
            let timeout = mesos_executor::duration::format(self.registration_timeout);
            let message = format!("Executor did not register within {timeout}");
            (Reason::ExecutorRegistrationTimeout, message)
        } else {
            (Reason::ExecutorTerminated, "Executor terminated".to_owned())
        };
        let alive = self.tasks.iter_mut().filter(|(_, task)| !task.over).map(|(task_id, task)| {
            task.over = true;
            task_id.clone()
        });
        let queued = self.queued.drain(..).map(|task| task.task_id.value);
        for task_id in alive.chain(queued) {
            let status = by_agent(&task_id, TaskState::TaskFailed, reason, &message);
            effects.push(Effect::Report(Box::new(status)));
        }
        effects.push(Effect::Close);
    }

    fn tick(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.deadline = None;
        if self.phase == Phase::Launching {
            self.unregistered = true;
            self.phase = Phase::Stopping;
        }
        effects.push(Effect::Destroy);
    }
}

fn of_type(kind: Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

fn launch(task: TaskInfo) -> Event {
    Event { launch: Some(Launch { task }), ..of_type(Type::Launch) }
}

fn by_agent(task_id: &str, state: TaskState, reason: Reason, message: &str) -> TaskStatus {
    TaskStatus {
        task_id: TaskId { value: task_id.to_owned() },
        state: state.into(),
        source: Some(Source::Agent.into()),
        reason: Some(reason.into()),
        message: Some(message.to_owned()),
        ..TaskStatus::default()
    }
}

#[cfg(test)]
mod tests;
