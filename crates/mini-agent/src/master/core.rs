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

use mesos_scheduler::v1::scheduler::event::{Failure, Message, Type};
use mesos_scheduler::v1::scheduler::{Call, Event, call};
use mesos_scheduler::v1::{AgentId, ExecutorId, ExecutorInfo, FrameworkInfo, TaskStatus, TimeInfo};

use super::pool::{Pool, Style};
use crate::api::Refusal;

mod agents;
mod calls;
mod frameworks;
mod interface;
mod launches;
mod offers;
mod updates;

pub use interface::{AgentInfo, Effect, Input, Leaving, Now, Settings};

/// Pause before an update that was not acknowledged is sent again; it doubles up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// The time of filters that do not say one.
const REFUSE: Duration = Duration::from_secs(5);

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
