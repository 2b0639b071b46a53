//! The core: frameworks, offers, tasks and their updates, as a function of (state, input, now).
//!
//! | a framework is | until |
//! |---|---|
//! | connected | its stream is lost, another subscribes with its id, or it is torn down |
//! | away | it subscribes again, or its `failover_timeout` is over |
//! | removed | never: its id is dead |
//!
//! An update with a uuid goes to the framework until it is acknowledged, one at a time for each
//! task, again after ten seconds and then ever more seldom. What the master itself says of a task
//! (reconciliation, wrong launches, lost agents) has no uuid and is said once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mesos_executor::session::is_terminal;
use mesos_scheduler::v1::framework_info::capability;
use mesos_scheduler::v1::scheduler::event::{
    Error, Failure, Message, Offers, Rescind, Subscribed, Type, Update, UpdateOperationStatus,
};
use mesos_scheduler::v1::scheduler::{Call, Event, call};
use mesos_scheduler::v1::task_status::{Reason, Source};
use mesos_scheduler::v1::{
    AgentId, Attribute, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, MasterInfo, Offer,
    OfferId, OperationState, OperationStatus, TaskId, TaskInfo, TaskState, TaskStatus, TimeInfo,
    offer,
};

use super::pool::{Pool, Style, has};
use crate::api::Refusal;

/// Pause before an update that was not acknowledged is sent again; it doubles up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// The time of filters that do not say one.
const REFUSE: Duration = Duration::from_secs(5);

/// One moment on two clocks: the wall clock for time stamps, one that never goes back for waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since the epoch.
    pub wall: Duration,
    /// Since some fixed moment.
    pub mono: Duration,
}

/// What a master may be told to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What it says of itself.
    pub info: MasterInfo,
    /// How often resources are offered.
    pub allocation_interval: Duration,
    /// How often a stream says something.
    pub heartbeat: Duration,
    /// When an offer that is not answered is taken back; `None`: never.
    pub offer_timeout: Option<Duration>,
}

/// An agent, as a master sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentInfo {
    /// Its id.
    pub id: String,
    /// Its host's name.
    pub hostname: String,
    /// What it has.
    pub resources: Pool,
    /// What is said of its host.
    pub attributes: Vec<Attribute>,
}

/// How an agent goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It said goodbye.
    Unregistered,
    /// It is not heard of any more.
    Unreachable,
    /// An operator says that it will never be back.
    Gone,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// An agent is there.
    AgentAdded(AgentInfo),
    /// An agent is gone, with everything on it.
    AgentRemoved {
        /// Its id.
        agent: String,
        /// How.
        leaving: Leaving,
    },
    /// A framework subscribes; this is the number of its stream, and the name of that.
    Subscribe {
        /// The number.
        stream: u64,
        /// The name.
        name: String,
        /// The call.
        call: Box<Call>,
        /// An id for it, if it needs one.
        new_id: String,
    },
    /// A stream is gone.
    StreamLost {
        /// Its number.
        stream: u64,
    },
    /// A framework calls; see [`Master::check`].
    Call(Box<Call>),
    /// An executor, or the agent for it, tells the state of a task.
    Update {
        /// The framework.
        framework: String,
        /// The state.
        status: Box<TaskStatus>,
    },
    /// An executor sends something.
    Message {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// What.
        data: Vec<u8>,
    },
    /// An executor has ended, with this status as of `wait`.
    Exited {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// The status.
        status: i32,
    },
    /// The moment that [`Master::wakeup`] named has come.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Put an event into a stream.
    Send(u64, Box<Event>),
    /// End a stream.
    Close(u64),
    /// Let an agent launch a task.
    Launch {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The task.
        task: Box<TaskInfo>,
        /// Is its executor to be started?
        new_executor: bool,
    },
    /// Let an agent kill a task.
    Kill {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// The task.
        task: String,
        /// The time that the scheduler gives it.
        grace: Option<Duration>,
    },
    /// Let an agent shut an executor down.
    Shutdown {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
    },
    /// Send something to an executor.
    Message {
        /// The framework.
        framework: String,
        /// The agent.
        agent: String,
        /// The executor.
        executor: String,
        /// What.
        data: Vec<u8>,
    },
}

/// A framework's stream.
#[derive(Debug)]
struct Stream {
    number: u64,
    name: String,
    beats_at: Duration,
}

#[derive(Debug)]
struct Framework {
    info: FrameworkInfo,
    style: Style,
    stream: Option<Stream>,
    /// When it is removed if it stays away.
    dies_at: Option<Duration>,
    suppressed: bool,
    /// Agents that it does not want offers of until then.
    filters: BTreeMap<String, Duration>,
    tasks: BTreeMap<String, Task>,
    executors: BTreeMap<(String, String), Executor>,
    updates: BTreeMap<String, Updates>,
    /// Tasks of agents that are not heard of, and since when, by the wall clock.
    unreachable: BTreeMap<String, (String, Duration)>,
}

#[derive(Debug)]
struct Task {
    agent: String,
    executor: String,
    /// `None`: free again.
    resources: Option<Pool>,
    latest: TaskStatus,
}

#[derive(Debug)]
struct Executor {
    info: ExecutorInfo,
    resources: Pool,
}

/// What the framework has not acknowledged of a task, oldest first.
#[derive(Debug, Default)]
struct Updates {
    queue: VecDeque<TaskStatus>,
    again_at: Option<Duration>,
    pause: Duration,
}

#[derive(Debug)]
struct Outstanding {
    framework: String,
    agent: String,
    resources: Pool,
    since: Duration,
}

/// What a master knows.
#[derive(Debug)]
pub struct Master {
    settings: Settings,
    agents: BTreeMap<String, AgentInfo>,
    left: BTreeMap<String, Leaving>,
    frameworks: BTreeMap<String, Framework>,
    removed: BTreeSet<String>,
    offers: BTreeMap<String, Outstanding>,
    next_offer: u64,
    /// Who is asked first in the next round.
    turn: usize,
    allocate_at: Duration,
}

impl Master {
    /// A master without agents and frameworks.
    pub fn new(settings: Settings) -> Master {
        Master {
            settings,
            agents: BTreeMap::new(),
            left: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            removed: BTreeSet::new(),
            offers: BTreeMap::new(),
            next_offer: 0,
            turn: 0,
            allocate_at: Duration::ZERO,
        }
    }

    /// The moment at which [`Input::Tick`] is due.
    pub fn wakeup(&self) -> Option<Duration> {
        let frameworks = self.frameworks.values();
        let connected = frameworks.clone().any(|framework| framework.stream.is_some());
        let beats = frameworks.clone().filter_map(|f| f.stream.as_ref().map(|s| s.beats_at));
        let deaths = frameworks.clone().filter_map(|f| f.dies_at);
        let retries = frameworks
            .filter(|f| f.stream.is_some())
            .flat_map(|f| f.updates.values().filter_map(|u| u.again_at));
        let timeout = self.settings.offer_timeout;
        let offers =
            self.offers.values().filter_map(|offer| Some(offer.since.saturating_add(timeout?)));
        let allocation = connected.then_some(self.allocate_at);
        beats.chain(deaths).chain(retries).chain(offers).chain(allocation).min()
    }

    /// May this call be made, on the stream of this name? SUBSCRIBE always may.
    pub fn check(&self, call: &Call, stream_id: Option<&str>) -> Result<(), Refusal> {
        if call.r#type() == call::Type::Subscribe {
            return Ok(());
        }
        let id = call.framework_id.as_ref().map(|id| id.value.as_str()).unwrap_or_default();
        let Some(framework) = self.frameworks.get(id) else {
            return Err(Refusal::new(400, "Framework cannot be found"));
        };
        let Some(stream) = &framework.stream else {
            return Err(Refusal::new(403, "Framework is not subscribed"));
        };
        match stream_id {
            None => Err(Refusal::new(
                400,
                "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
            )),
            Some(name) if name != stream.name => Err(Refusal::new(
                400,
                format!(
                    "The stream ID '{name}' included in this request didn't match the stream ID \
                     currently associated with framework ID {id}"
                ),
            )),
            Some(_) => Ok(()),
        }
    }

    /// Takes in what happened and says what must be done.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::AgentAdded(info) => {
                self.left.remove(&info.id);
                self.agents.insert(info.id.clone(), info);
            }
            Input::AgentRemoved { agent, leaving } => {
                self.agent_removed(now, &agent, leaving, &mut out);
            }
            Input::Subscribe { stream, name, call, new_id } => {
                self.subscribe(now, stream, name, *call, new_id, &mut out);
            }
            Input::StreamLost { stream } => self.stream_lost(now, stream),
            Input::Call(call) => self.call(now, *call, &mut out),
            Input::Update { framework, status } => {
                self.update(now, &framework, *status, &mut out);
            }
            Input::Message { framework, agent, executor, data } => {
                let message =
                    Message { agent_id: agent_id(agent), executor_id: executor_id(executor), data };
                let event = Event { message: Some(message), ..of_type(Type::Message) };
                self.send(&framework, event, &mut out);
            }
            Input::Exited { framework, agent, executor, status } => {
                let key = (agent.clone(), executor.clone());
                let known = self.frameworks.get_mut(&framework);
                if known.is_some_and(|known| known.executors.remove(&key).is_some()) {
                    let failure = Failure {
                        agent_id: Some(agent_id(agent)),
                        executor_id: Some(executor_id(executor)),
                        status: Some(status),
                    };
                    let event = Event { failure: Some(failure), ..of_type(Type::Failure) };
                    self.send(&framework, event, &mut out);
                }
            }
            Input::Tick => {}
        }
        self.elapse(now, &mut out);
        out
    }

    fn send(&self, framework: &str, event: Event, out: &mut Vec<Effect>) {
        let stream = self.frameworks.get(framework).and_then(|f| f.stream.as_ref());
        if let Some(stream) = stream {
            out.push(Effect::Send(stream.number, Box::new(event)));
        }
    }

    // ---------- subscriptions ----------

    fn subscribe(
        &mut self,
        now: Now,
        stream: u64,
        name: String,
        call: Call,
        new_id: String,
        out: &mut Vec<Effect>,
    ) {
        let Some(subscribe) = call.subscribe else { return };
        let mut info = subscribe.framework_info;
        let mut refuse = |message: String| {
            let error = Some(Error { message });
            out.push(Effect::Send(stream, Box::new(Event { error, ..of_type(Type::Error) })));
            out.push(Effect::Close(stream));
        };
        if let Err(text) = validate(&info, &subscribe.suppressed_roles) {
            return refuse(text);
        }
        let id = match &info.id {
            Some(id) if self.removed.contains(&id.value) => {
                return refuse("Framework has been removed".to_owned());
            }
            Some(id) => id.value.clone(),
            None => new_id,
        };
        info.id = Some(FrameworkId { value: id.clone() });
        let style = Style::of(&info);
        let suppressed = !subscribe.suppressed_roles.is_empty();
        let beats_at = now.mono + self.settings.heartbeat;
        let fresh = Some(Stream { number: stream, name, beats_at });
        match self.frameworks.get_mut(&id) {
            Some(framework) => {
                if framework.info.principal != info.principal {
                    return refuse("Changing framework's principal is not allowed.".to_owned());
                }
                if let Some(old) = framework.stream.take() {
                    let message = "Framework failed over".to_owned();
                    let event = Event { error: Some(Error { message }), ..of_type(Type::Error) };
                    out.push(Effect::Send(old.number, Box::new(event)));
                    out.push(Effect::Close(old.number));
                }
                // These two never change.
                info.user.clone_from(&framework.info.user);
                info.checkpoint = framework.info.checkpoint;
                framework.info = info;
                framework.style = style;
                framework.stream = fresh;
                framework.dies_at = None;
                framework.suppressed = suppressed;
                framework.filters.clear();
            }
            None => {
                let framework = Framework {
                    info,
                    style,
                    stream: fresh,
                    dies_at: None,
                    suppressed,
                    filters: BTreeMap::new(),
                    tasks: BTreeMap::new(),
                    executors: BTreeMap::new(),
                    updates: BTreeMap::new(),
                    unreachable: BTreeMap::new(),
                };
                self.frameworks.insert(id.clone(), framework);
            }
        }
        // Offers of the former stream are void.
        self.offers.retain(|_, offer| offer.framework != id);
        let subscribed = Subscribed {
            framework_id: FrameworkId { value: id.clone() },
            heartbeat_interval_seconds: Some(self.settings.heartbeat.as_secs_f64()),
            master_info: Some(self.settings.info.clone()),
        };
        let event = Event { subscribed: Some(subscribed), ..of_type(Type::Subscribed) };
        self.send(&id, event, out);
        self.send(&id, of_type(Type::Heartbeat), out);
        // What was pending comes at once.
        if let Some(framework) = self.frameworks.get_mut(&id) {
            for updates in framework.updates.values_mut() {
                updates.again_at = Some(now.mono);
                updates.pause = RETRY.0;
            }
        }
        self.allocate_at = self.allocate_at.max(now.mono + self.settings.allocation_interval / 2);
    }

    fn stream_lost(&mut self, now: Now, stream: u64) {
        let of_stream = |framework: &&mut Framework| {
            framework.stream.as_ref().is_some_and(|current| current.number == stream)
        };
        let Some(framework) = self.frameworks.values_mut().find(of_stream) else { return };
        framework.stream = None;
        let timeout = framework.info.failover_timeout.unwrap_or_default().max(0.0);
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::MAX);
        framework.dies_at = Some(now.mono.saturating_add(timeout));
        let id = framework.info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
        self.offers.retain(|_, offer| offer.framework != id);
    }

    /// Removes a framework for good, with everything that it runs.
    fn remove(&mut self, id: &str, out: &mut Vec<Effect>) {
        let Some(framework) = self.frameworks.remove(id) else { return };
        self.removed.insert(id.to_owned());
        self.offers.retain(|_, offer| offer.framework != id);
        for (agent, executor) in framework.executors.into_keys() {
            out.push(Effect::Shutdown { framework: id.to_owned(), agent, executor });
        }
        if let Some(stream) = framework.stream {
            out.push(Effect::Close(stream.number));
        }
    }

    // ---------- calls ----------

    fn call(&mut self, now: Now, call: Call, out: &mut Vec<Effect>) {
        let kind = call.r#type();
        let Some(id) = call.framework_id.as_ref().map(|id| id.value.clone()) else { return };
        if kind == call::Type::Teardown {
            return self.remove(&id, out);
        }
        let Some(framework) = self.frameworks.get_mut(&id) else { return };
        match kind {
            call::Type::Accept => {
                if let Some(accept) = call.accept {
                    self.accept(now, &id, accept, out);
                }
            }
            call::Type::Decline => {
                let decline = call.decline.unwrap_or_default();
                let until = refused_until(now, decline.filters.as_ref());
                for offer in decline.offer_ids {
                    if let Some(offer) = self.take_offer(&id, &offer.value) {
                        self.filter(&id, offer.agent, until);
                    }
                }
            }
            call::Type::Revive => {
                framework.suppressed = false;
                framework.filters.clear();
                self.allocate_at = now.mono;
            }
            call::Type::Suppress => framework.suppressed = true,
            call::Type::Kill => {
                if let Some(kill) = call.kill {
                    self.kill(now, &id, kill, out);
                }
            }
            call::Type::Shutdown => {
                if let Some(shutdown) = call.shutdown {
                    let key = (shutdown.agent_id.value, shutdown.executor_id.value);
                    if framework.executors.contains_key(&key) {
                        let (agent, executor) = key;
                        out.push(Effect::Shutdown { framework: id, agent, executor });
                    }
                }
            }
            call::Type::Acknowledge => {
                if let Some(acknowledge) = call.acknowledge {
                    self.acknowledge(now, &id, &acknowledge, out);
                }
            }
            call::Type::Reconcile => {
                let tasks = call.reconcile.unwrap_or_default().tasks;
                self.reconcile(now, &id, &tasks, out);
            }
            call::Type::Message => {
                if let Some(message) = call.message {
                    let key = (message.agent_id.value, message.executor_id.value);
                    if framework.executors.contains_key(&key) {
                        let ((agent, executor), data) = (key, message.data);
                        out.push(Effect::Message { framework: id, agent, executor, data });
                    }
                }
            }
            call::Type::UpdateFramework => {
                if let Some(update) = call.update_framework {
                    let mut info = update.framework_info;
                    info.id = Some(FrameworkId { value: id });
                    info.user.clone_from(&framework.info.user);
                    info.checkpoint = framework.info.checkpoint;
                    framework.style = Style::of(&info);
                    framework.suppressed = !update.suppressed_roles.is_empty();
                    framework.info = info;
                }
            }
            // Nothing follows from these here: there is no maintenance, operations are answered at
            // once and only once, and offers are made whoever requests.
            call::Type::AcceptInverseOffers
            | call::Type::DeclineInverseOffers
            | call::Type::AcknowledgeOperationStatus
            | call::Type::ReconcileOperations
            | call::Type::Request => {}
            call::Type::Subscribe | call::Type::Teardown | call::Type::Unknown => {}
        }
    }

    fn take_offer(&mut self, framework: &str, offer: &str) -> Option<Outstanding> {
        let ours = self.offers.get(offer).is_some_and(|offer| offer.framework == framework);
        if ours { self.offers.remove(offer) } else { None }
    }

    fn filter(&mut self, framework: &str, agent: String, until: Duration) {
        if let Some(framework) = self.frameworks.get_mut(framework) {
            framework.filters.insert(agent, until);
        }
    }

    fn accept(&mut self, now: Now, id: &str, accept: call::Accept, out: &mut Vec<Effect>) {
        let until = refused_until(now, accept.filters.as_ref());
        let offered = self.take_offers(id, &accept.offer_ids);
        let mut left = match &offered {
            Ok((_, resources)) => resources.clone(),
            Err(_) => Pool::default(),
        };
        for operation in accept.operations {
            let operation_id = operation.id.clone();
            match (operation.r#type(), operation.launch, operation.launch_group) {
                (offer::operation::Type::Launch, Some(launch), _) => {
                    for task in launch.task_infos {
                        match &offered {
                            Ok((agent, _)) => {
                                self.launch(now, id, agent, task, &mut left, out);
                            }
                            Err(text) => {
                                let text = format!("Task launched with invalid offers: {text}");
                                let state = TaskState::TaskDropped;
                                let why = (state, Reason::InvalidOffers, text.as_str());
                                self.say(now, id, task_status(&task, why), out);
                            }
                        }
                    }
                }
                (offer::operation::Type::LaunchGroup, _, Some(group)) => {
                    let text = "this master does not launch groups of tasks";
                    for task in group.task_group.tasks {
                        let why = (TaskState::TaskError, Reason::TaskGroupInvalid, text);
                        self.say(now, id, task_status(&task, why), out);
                    }
                }
                // Nobody else hears of them.
                _ => {
                    if let Some(operation_id) = operation_id {
                        let status = OperationStatus {
                            operation_id: Some(operation_id),
                            state: OperationState::OperationError.into(),
                            message: Some("this master only launches tasks".to_owned()),
                            ..OperationStatus::default()
                        };
                        let update = Some(UpdateOperationStatus { status });
                        let event = Event {
                            update_operation_status: update,
                            ..of_type(Type::UpdateOperationStatus)
                        };
                        self.send(id, event, out);
                    }
                }
            }
        }
        if let Ok((agent, _)) = offered {
            self.filter(id, agent, until);
        }
    }

    /// Agent and resources of these offers together. `Err`: why some cannot be used.
    fn take_offers(&mut self, id: &str, offers: &[OfferId]) -> Result<(String, Pool), String> {
        let mut seen = BTreeSet::new();
        let mut error = None;
        let mut together: Option<(String, Pool)> = None;
        for OfferId { value } in offers {
            if !seen.insert(value) {
                error = Some(format!("Duplicate offer {value} in offer list"));
                continue;
            }
            match self.take_offer(id, value) {
                None => error = Some(format!("Offer {value} is no longer valid")),
                Some(offer) => match &mut together {
                    None => together = Some((offer.agent, offer.resources)),
                    Some((agent, resources)) if *agent == offer.agent => {
                        resources.add(&offer.resources);
                    }
                    Some((agent, _)) => {
                        error = Some(format!(
                            "Aggregated offers must belong to one single agent. Offer {value} uses \
                             agent {} and agent {agent}",
                            offer.agent
                        ));
                    }
                },
            }
        }
        match (error, together) {
            (Some(error), _) => Err(error),
            (None, Some(together)) => Ok(together),
            (None, None) => Err("No offers specified".to_owned()),
        }
    }

    fn launch(
        &mut self,
        now: Now,
        id: &str,
        agent: &str,
        task: TaskInfo,
        left: &mut Pool,
        out: &mut Vec<Effect>,
    ) {
        let result = match self.frameworks.get(id) {
            Some(framework) => accepted(framework, id, agent, &task, left),
            None => return,
        };
        let accepted = match result {
            Ok(accepted) => accepted,
            Err(text) => {
                let why = (TaskState::TaskError, Reason::TaskInvalid, text.as_str());
                return self.say(now, id, task_status(&task, why), out);
            }
        };
        *left = accepted.left;
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let executor = accepted.executor.executor_id.value.clone();
        let latest = TaskStatus {
            task_id: task.task_id.clone(),
            state: TaskState::TaskStaging.into(),
            agent_id: Some(agent_id(agent.to_owned())),
            executor_id: Some(executor_id(executor.clone())),
            ..TaskStatus::default()
        };
        let known = Task {
            agent: agent.to_owned(),
            executor: executor.clone(),
            resources: Some(accepted.resources),
            latest,
        };
        framework.tasks.insert(task.task_id.value.clone(), known);
        let new_executor = accepted.executor_resources.is_some();
        if let Some(resources) = accepted.executor_resources {
            let info = accepted.executor;
            framework.executors.insert((agent.to_owned(), executor), Executor { info, resources });
        }
        let (framework, agent) = (id.to_owned(), agent.to_owned());
        out.push(Effect::Launch { framework, agent, task: Box::new(task), new_executor });
    }

    fn kill(&mut self, now: Now, id: &str, kill: call::Kill, out: &mut Vec<Effect>) {
        let task_id = kill.task_id.value.clone();
        let known = self.frameworks.get(id).and_then(|framework| framework.tasks.get(&task_id));
        match known {
            Some(task) if task.resources.is_some() => {
                let grace = kill.kill_policy.and_then(|policy| policy.grace_period);
                let nanoseconds = |grace: mesos_scheduler::v1::DurationInfo| {
                    u64::try_from(grace.nanoseconds).unwrap_or_default()
                };
                out.push(Effect::Kill {
                    framework: id.to_owned(),
                    agent: task.agent.clone(),
                    executor: task.executor.clone(),
                    task: task_id,
                    grace: grace.map(nanoseconds).map(Duration::from_nanos),
                });
            }
            _ => {
                let task = call::reconcile::Task { task_id: kill.task_id, agent_id: kill.agent_id };
                self.reconcile(now, id, &[task], out);
            }
        }
    }

    fn reconcile(
        &mut self,
        now: Now,
        id: &str,
        tasks: &[call::reconcile::Task],
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.frameworks.get(id) else { return };
        let latest = |task: &Task| TaskStatus {
            uuid: None,
            data: None,
            message: Some("Reconciliation: Latest task state".to_owned()),
            ..task.latest.clone()
        };
        let statuses: Vec<TaskStatus> = if tasks.is_empty() {
            let alive = |task: &&Task| !is_terminal(task.latest.state());
            framework.tasks.values().filter(alive).map(latest).collect()
        } else {
            tasks
                .iter()
                .map(|asked| match framework.tasks.get(&asked.task_id.value) {
                    Some(task) => latest(task),
                    None => self.unknown(framework, asked),
                })
                .collect()
        };
        for mut status in statuses {
            status.set_reason(Reason::Reconciliation);
            self.say(now, id, status, out);
        }
    }

    /// What is said of a task that the master does not know.
    fn unknown(&self, framework: &Framework, asked: &call::reconcile::Task) -> TaskStatus {
        let agent = asked.agent_id.as_ref().map(|agent| agent.value.as_str());
        let unreachable = framework.unreachable.get(&asked.task_id.value);
        let (state, text, agent, since) = match (unreachable, agent) {
            (Some((agent, since)), _) => (
                TaskState::TaskUnreachable,
                "Reconciliation: Task is unreachable",
                Some(agent.as_str()),
                Some(since),
            ),
            (None, Some(agent)) if self.agents.contains_key(agent) => {
                let text = "Reconciliation: Task is unknown to the agent";
                (TaskState::TaskGone, text, Some(agent), None)
            }
            (None, Some(agent)) if self.left.get(agent) == Some(&Leaving::Gone) => {
                (TaskState::TaskGoneByOperator, "Reconciliation: Task is gone", Some(agent), None)
            }
            (None, agent) => {
                (TaskState::TaskUnknown, "Reconciliation: Task is unknown", agent, None)
            }
        };
        TaskStatus {
            task_id: asked.task_id.clone(),
            state: state.into(),
            message: Some(text.to_owned()),
            agent_id: agent.map(|agent| agent_id(agent.to_owned())),
            unreachable_time: since.map(|since| time(*since)),
            ..TaskStatus::default()
        }
    }

    // ---------- updates ----------

    /// Says something of a task on the master's own account, once.
    fn say(&self, now: Now, framework: &str, mut status: TaskStatus, out: &mut Vec<Effect>) {
        status.set_source(Source::Master);
        status.timestamp = Some(now.wall.as_secs_f64());
        let status = self.as_understood(framework, status);
        let event = Event { update: Some(Update { status }), ..of_type(Type::Update) };
        self.send(framework, event, out);
    }

    /// Many states are one for frameworks that do not know them.
    fn as_understood(&self, framework: &str, mut status: TaskStatus) -> TaskStatus {
        let aware = self
            .frameworks
            .get(framework)
            .is_some_and(|framework| has(&framework.info, capability::Type::PartitionAware));
        if !aware
            && matches!(
                status.state(),
                TaskState::TaskDropped
                    | TaskState::TaskUnreachable
                    | TaskState::TaskGone
                    | TaskState::TaskGoneByOperator
                    | TaskState::TaskUnknown
            )
        {
            status.set_state(TaskState::TaskLost);
        }
        status
    }

    /// An update of an executor or an agent.
    fn update(&mut self, now: Now, id: &str, status: TaskStatus, out: &mut Vec<Effect>) {
        let status = self.as_understood(id, status);
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let task_id = status.task_id.value.clone();
        if let Some(task) = framework.tasks.get_mut(&task_id)
            && !is_terminal(task.latest.state())
        {
            if is_terminal(status.state()) {
                task.resources = None;
            }
            task.latest = status.clone();
            let executor = ExecutorId { value: task.executor.clone() };
            task.latest.executor_id.get_or_insert(executor);
        }
        let updates = framework.updates.entry(task_id).or_default();
        updates.queue.push_back(status);
        if updates.queue.len() == 1 {
            updates.again_at = Some(now.mono);
            updates.pause = RETRY.0;
        }
        self.retry(now, out);
    }

    fn acknowledge(
        &mut self,
        now: Now,
        id: &str,
        acknowledge: &call::Acknowledge,
        out: &mut Vec<Effect>,
    ) {
        let Some(framework) = self.frameworks.get_mut(id) else { return };
        let task_id = &acknowledge.task_id.value;
        let Some(updates) = framework.updates.get_mut(task_id) else { return };
        if updates.queue.front().is_none_or(|oldest| oldest.uuid() != acknowledge.uuid) {
            return;
        }
        let over = updates.queue.pop_front().is_some_and(|it| is_terminal(it.state()));
        updates.again_at = Some(now.mono);
        updates.pause = RETRY.0;
        if updates.queue.is_empty() {
            framework.updates.remove(task_id);
            if over {
                framework.tasks.remove(task_id);
            }
        }
        self.retry(now, out);
    }

    /// Sends updates whose time has come.
    fn retry(&mut self, now: Now, out: &mut Vec<Effect>) {
        for framework in self.frameworks.values_mut() {
            let Some(stream) = &framework.stream else { continue };
            for updates in framework.updates.values_mut() {
                if updates.again_at.is_some_and(|at| at <= now.mono)
                    && let Some(status) = updates.queue.front()
                {
                    let update = Some(Update { status: status.clone() });
                    let event = Event { update, ..of_type(Type::Update) };
                    out.push(Effect::Send(stream.number, Box::new(event)));
                    updates.again_at = Some(now.mono + updates.pause);
                    updates.pause = (updates.pause * 2).min(RETRY.1);
                }
            }
        }
    }

    // ---------- agents ----------

    fn agent_removed(&mut self, now: Now, agent: &str, leaving: Leaving, out: &mut Vec<Effect>) {
        let Some(info) = self.agents.remove(agent) else { return };
        self.left.insert(agent.to_owned(), leaving);
        let offers: Vec<String> = self
            .offers
            .iter()
            .filter(|(_, offer)| offer.agent == agent)
            .map(|(id, _)| id.clone())
            .collect();
        for offer in offers {
            self.rescind(&offer, out);
        }
        let (state, reason, text) = match leaving {
            Leaving::Unregistered => (
                TaskState::TaskLost,
                Reason::AgentRemoved,
                format!("Agent {} removed: the agent unregistered", info.hostname),
            ),
            Leaving::Unreachable => (
                TaskState::TaskUnreachable,
                Reason::AgentRemoved,
                "health check timed out".to_owned(),
            ),
            Leaving::Gone => (
                TaskState::TaskGoneByOperator,
                Reason::AgentRemovedByOperator,
                "Agent has been marked gone".to_owned(),
            ),
        };
        let ids: Vec<String> = self.frameworks.keys().cloned().collect();
        for id in ids {
            let Some(framework) = self.frameworks.get_mut(&id) else { continue };
            framework.executors.retain(|(of, _), _| of != agent);
            let lost = framework.tasks.extract_if(.., |_, task| task.agent == agent);
            let lost: Vec<(String, Task)> = lost.collect();
            for (task_id, task) in lost {
                if let Some(framework) = self.frameworks.get_mut(&id) {
                    // Nobody can send these any more.
                    framework.updates.remove(&task_id);
                }
                if is_terminal(task.latest.state()) {
                    continue;
                }
                let mut status = TaskStatus {
                    task_id: TaskId { value: task_id.clone() },
                    state: state.into(),
                    message: Some(text.clone()),
                    reason: Some(reason.into()),
                    agent_id: Some(agent_id(agent.to_owned())),
                    executor_id: Some(executor_id(task.executor)),
                    ..TaskStatus::default()
                };
                if leaving == Leaving::Unreachable {
                    status.unreachable_time = Some(time(now.wall));
                    if let Some(framework) = self.frameworks.get_mut(&id) {
                        framework.unreachable.insert(task_id, (agent.to_owned(), now.wall));
                    }
                }
                self.say(now, &id, status, out);
            }
            let failure =
                Failure { agent_id: Some(agent_id(agent.to_owned())), ..Failure::default() };
            let event = Event { failure: Some(failure), ..of_type(Type::Failure) };
            self.send(&id, event, out);
        }
    }

    fn rescind(&mut self, offer: &str, out: &mut Vec<Effect>) {
        if let Some(outstanding) = self.offers.remove(offer) {
            let rescind = Rescind { offer_id: OfferId { value: offer.to_owned() } };
            let event = Event { rescind: Some(rescind), ..of_type(Type::Rescind) };
            self.send(&outstanding.framework, event, out);
        }
    }

    // ---------- time ----------

    fn elapse(&mut self, now: Now, out: &mut Vec<Effect>) {
        let dead = |f: &Framework| f.dies_at.is_some_and(|at| at <= now.mono);
        let dead: Vec<String> =
            self.frameworks.iter().filter(|(_, f)| dead(f)).map(|(id, _)| id.clone()).collect();
        for id in dead {
            self.remove(&id, out);
        }
        let heartbeat = self.settings.heartbeat;
        for framework in self.frameworks.values_mut() {
            if let Some(stream) = &mut framework.stream
                && stream.beats_at <= now.mono
            {
                stream.beats_at = now.mono + heartbeat;
                out.push(Effect::Send(stream.number, Box::new(of_type(Type::Heartbeat))));
            }
        }
        if let Some(timeout) = self.settings.offer_timeout {
            let late = |offer: &Outstanding| offer.since.saturating_add(timeout) <= now.mono;
            let late: Vec<String> =
                self.offers.iter().filter(|(_, o)| late(o)).map(|(id, _)| id.clone()).collect();
            for offer in late {
                self.rescind(&offer, out);
            }
        }
        self.retry(now, out);
        if self.allocate_at <= now.mono {
            self.allocate_at = now.mono + self.settings.allocation_interval;
            self.allocate(now, out);
        }
    }

    /// What nobody has of an agent.
    fn free(&self, agent: &AgentInfo) -> Pool {
        let offered = self.offers.values().filter(|o| o.agent == agent.id).map(|o| &o.resources);
        let tasks = self.frameworks.values().flat_map(|f| f.tasks.values());
        let tasks = tasks.filter(|t| t.agent == agent.id).filter_map(|t| t.resources.as_ref());
        let executors = self.frameworks.values().flat_map(|f| &f.executors);
        let executors = executors.filter(|((of, _), _)| *of == agent.id).map(|(_, e)| &e.resources);
        let mut used = Pool::default();
        for resources in offered.chain(tasks).chain(executors) {
            used.add(resources);
        }
        // An executor of a framework that was removed may still hold something for a moment.
        agent.resources.without(&used).unwrap_or_default()
    }

    /// Offers all that is free of each agent to one of the frameworks that want it, in turns.
    fn allocate(&mut self, now: Now, out: &mut Vec<Effect>) {
        let wants = |framework: &Framework| framework.stream.is_some() && !framework.suppressed;
        let waiting: Vec<String> =
            self.frameworks.iter().filter(|(_, f)| wants(f)).map(|(id, _)| id.clone()).collect();
        let mut made: BTreeMap<String, Vec<Offer>> = BTreeMap::new();
        for agent in self.agents.values().cloned().collect::<Vec<_>>() {
            let free = self.free(&agent);
            if !free.is_offerable() {
                continue;
            }
            let wanted = |id: &&String| {
                let filters = self.frameworks.get(*id).map(|framework| &framework.filters);
                filters.is_some_and(|filters| {
                    filters.get(&agent.id).is_none_or(|until| *until <= now.mono)
                })
            };
            let count = waiting.len();
            let order = (0..count).filter_map(|n| waiting.get((self.turn + n) % count.max(1)));
            let Some(id) = order.clone().find(wanted).cloned() else { continue };
            self.turn = self.turn.wrapping_add(1);
            let Some(framework) = self.frameworks.get(&id) else { continue };
            let offer_id = format!("{}-O{}", self.settings.info.id, self.next_offer);
            self.next_offer += 1;
            let executors = framework.executors.keys().filter(|(of, _)| *of == agent.id);
            let offer = Offer {
                id: OfferId { value: offer_id.clone() },
                framework_id: FrameworkId { value: id.clone() },
                agent_id: agent_id(agent.id.clone()),
                hostname: agent.hostname.clone(),
                resources: free.resources(&framework.style),
                executor_ids: executors.map(|(_, e)| executor_id(e.clone())).collect(),
                attributes: agent.attributes.clone(),
                allocation_info: framework.style.allocation(),
                ..Offer::default()
            };
            made.entry(id.clone()).or_default().push(offer);
            let since = now.mono;
            let outstanding =
                Outstanding { framework: id, agent: agent.id.clone(), resources: free, since };
            self.offers.insert(offer_id, outstanding);
        }
        for (id, offers) in made {
            let event = Event { offers: Some(Offers { offers }), ..of_type(Type::Offers) };
            self.send(&id, event, out);
        }
    }
}

/// `Err`: what is wrong with a framework, in the words of the ERROR event.
fn validate(info: &FrameworkInfo, suppressed: &[String]) -> Result<(), String> {
    let multi = has(info, capability::Type::MultiRole);
    let roles: Vec<&str> = match multi {
        true if info.role.is_some() => {
            let text =
                "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable";
            return Err(text.to_owned());
        }
        true => info.roles.iter().map(String::as_str).collect(),
        false if !info.roles.is_empty() => {
            let text = "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable";
            return Err(text.to_owned());
        }
        false => vec![info.role()],
    };
    let valid = |role: &str| {
        role == "*"
            || !role.is_empty()
                && !role.starts_with('-')
                && role.split('/').all(|part| !matches!(part, "" | "." | ".." | "*"))
                && !role.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\')
    };
    if let Some(role) = roles.iter().find(|role| !valid(role)) {
        let field = if multi { "roles" } else { "role" };
        return Err(format!("'FrameworkInfo.{field}' contains invalid role: {role:?}"));
    }
    if let Some(role) = suppressed.iter().find(|role| !roles.contains(&role.as_str())) {
        return Err(format!("Suppressed role '{role}' is not contained in the list of roles"));
    }
    Ok(())
}

/// A task that can be launched.
struct Accepted {
    executor: ExecutorInfo,
    resources: Pool,
    /// Those of its executor, if that is to be started.
    executor_resources: Option<Pool>,
    left: Pool,
}

/// `Err`: what is wrong with a task, in the words of the TASK_ERROR update.
fn accepted(
    framework: &Framework,
    id: &str,
    agent: &str,
    task: &TaskInfo,
    left: &Pool,
) -> Result<Accepted, String> {
    let task_id = &task.task_id.value;
    if task_id.is_empty() || task_id == "." || task_id == ".." || task_id.contains(['/', '\\']) {
        return Err(format!("'{task_id}' contains invalid characters"));
    }
    if framework.tasks.contains_key(task_id) {
        return Err(format!("Task has duplicate ID: {task_id}"));
    }
    if task.agent_id.value != agent {
        let used = &task.agent_id.value;
        return Err(format!("Task uses invalid agent {used} while agent {agent} is expected"));
    }
    let mut executor = match (&task.executor, &task.command) {
        (Some(executor), None) => executor.clone(),
        (None, Some(_)) => {
            return Err("this master launches only tasks with an ExecutorInfo".to_owned());
        }
        _ => {
            return Err("Task should have at least one (but not both) of CommandInfo or \
                        ExecutorInfo present"
                .to_owned());
        }
    };
    let own = FrameworkId { value: id.to_owned() };
    let framework_id = executor.framework_id.get_or_insert_with(|| own.clone());
    if *framework_id != own {
        return Err(format!(
            "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {id})",
            framework_id.value
        ));
    }
    let foreign = || "Task or executor uses resources that this master does not have".to_owned();
    let resources = Pool::of(&task.resources).ok_or_else(foreign)?;
    let executor_resources = Pool::of(&executor.resources).ok_or_else(foreign)?;
    if resources.is_empty() {
        return Err("Task uses no resources".to_owned());
    }
    let key = (agent.to_owned(), executor.executor_id.value.clone());
    let running = framework.executors.get(&key);
    if let Some(running) = running
        && running.info != executor
    {
        return Err("ExecutorInfo is not compatible with existing ExecutorInfo with same \
                    ExecutorID."
            .to_owned());
    }
    let mut wanted = resources.clone();
    if running.is_none() {
        wanted.add(&executor_resources);
    }
    let rest = left.without(&wanted).ok_or_else(|| {
        format!(
            "Total resources {wanted} required by task and its executor is more than available \
             {left}"
        )
    })?;
    let executor_resources = running.is_none().then_some(executor_resources);
    Ok(Accepted { executor, resources, executor_resources, left: rest })
}

fn task_status(task: &TaskInfo, why: (TaskState, Reason, &str)) -> TaskStatus {
    let (state, reason, message) = why;
    TaskStatus {
        task_id: task.task_id.clone(),
        state: state.into(),
        message: Some(message.to_owned()),
        reason: Some(reason.into()),
        agent_id: Some(task.agent_id.clone()),
        ..TaskStatus::default()
    }
}

fn refused_until(now: Now, filters: Option<&mesos_scheduler::v1::Filters>) -> Duration {
    let seconds = filters.and_then(|filters| filters.refuse_seconds);
    let refuse = seconds.map_or(REFUSE, |seconds| {
        Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
    });
    now.mono.saturating_add(refuse)
}

fn time(since_epoch: Duration) -> TimeInfo {
    TimeInfo { nanoseconds: i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX) }
}

fn agent_id(value: String) -> AgentId {
    AgentId { value }
}

fn executor_id(value: String) -> ExecutorId {
    ExecutorId { value }
}

fn of_type(kind: Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

#[cfg(test)]
mod tests;
