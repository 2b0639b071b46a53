//! The connection to Mesos, in the terms of the core.
//!
//! What Mesos offers is kept here as it came, for the task's share of it; the core sees amounts. Each
//! update gets a token that stands for it until the core says that it is durable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aurora_api::api::AssignedTask;
use mesos_scheduler::v1::{self, scheduler::Call, task_status, value};
use mesos_scheduler::{CallError, Client, GiveUp, Masters, Options, call};
use tracing::{error, info, warn};

use crate::core::engine::{Effect, Event, Receipt, StatusUpdate};
use crate::core::jobs::Request;
use crate::core::name::{Agent, Millis, TaskId, Text};
use crate::core::offers::{Offer, Supply};
use crate::core::resources::{Kind, milli};
use crate::core::settings::Tiers;
use crate::core::task::{Attributes, Task};
use crate::counters::Counters;
use crate::shell::{Driver, Happened};
use crate::taskinfo::{self, Rest, Tier};

/// A scheduler's connection to Mesos.
#[derive(Debug)]
pub struct Mesos {
    client: Client,
    tasks: taskinfo::Settings,
    tiers: Tiers,
    counters: Arc<Counters>,
    /// The offers that the core holds, as they came, by their ids.
    offers: HashMap<Text, v1::Offer>,
    /// Updates that are not durable, by their tokens.
    updates: HashMap<u64, mesos_scheduler::Receipt>,
    next_update: u64,
    /// Had Mesos tasks of this scheduler before this process began?
    resumes: bool,
    /// What is to be told before anything new.
    told: Vec<Event>,
}

/// Counters of events start with this; the rest is the event's name in Mesos.
const EVENT: &str = "mesos_scheduler_event_";

/// The events that are counted.
const EVENTS: [&str; 12] = [
    "UNKNOWN",
    "SUBSCRIBED",
    "OFFERS",
    "RESCIND",
    "UPDATE",
    "MESSAGE",
    "FAILURE",
    "INVERSE_OFFERS",
    "RESCIND_INVERSE_OFFER",
    "UPDATE_OPERATION_STATUS",
    "HEARTBEAT",
    "ERROR",
];

/// Timers of how long updates were under way start with this; the rest is who made the update.
const DELAY: &str = "task_delivery_delay_";

/// Counter of subscriptions that were begun.
const ATTEMPTS: &str = "mesos_scheduler_subscription_attempts";

/// The number of the caller of requests that this driver makes: nobody's.
const NOBODY: u64 = 0;

impl Mesos {
    /// Looks for the masters and subscribes, in a task of the current tokio runtime.
    pub fn connect(
        masters: &Masters,
        framework: v1::FrameworkInfo,
        options: Options,
        tasks: taskinfo::Settings,
        tiers: Tiers,
        counters: Arc<Counters>,
    ) -> Result<Mesos, String> {
        let masters = masters.watch().map_err(|error| error.to_string())?;
        // Operators watch them from the start.
        for name in EVENTS {
            counters.add(format!("{EVENT}{name}"), 0);
        }
        counters.add(ATTEMPTS.to_owned(), 0);
        let resumes = framework.id.is_some();
        Ok(Mesos {
            client: Client::start(masters, framework, options),
            tasks,
            tiers,
            counters,
            offers: HashMap::new(),
            updates: HashMap::new(),
            next_update: 1,
            resumes,
            told: Vec::new(),
        })
    }

    fn on_event(&mut self, event: mesos_scheduler::Event) -> Happened {
        use mesos_scheduler::Event as E;
        if let Some(name) = event_name(&event) {
            self.counters.add(format!("{EVENT}{name}"), 1);
        }
        Happened::Events(match event {
            E::Subscribing { master } => {
                info!("subscribing with the master at {master}");
                self.count(ATTEMPTS);
                Vec::new()
            }
            E::Subscribed { framework_id, again, .. } => {
                info!("subscribed as framework {framework_id}");
                self.offers.clear();
                let mut events = vec![Event::Disconnected, Event::Registered(framework_id.into())];
                if again {
                    self.count("scheduler_framework_reregisters");
                }
                if again || self.resumes {
                    // What the master itself said of tasks meanwhile, of those on lost agents for
                    // one, it does not say again. A scheduler that ends often would never live to
                    // see the next regular reconciliation.
                    let request = Request::ReconcileExplicit { batch: None };
                    events.push(Event::Request(NOBODY, request));
                }
                events
            }
            E::Offers(offers) => {
                let known = offers.iter().map(offer).collect();
                let keep = |offer: v1::Offer| (Text::from(&*offer.id.value), offer);
                self.offers.extend(offers.into_iter().map(keep));
                vec![Event::Offers(known)]
            }
            E::Rescind { offer_id } => {
                self.offers.remove(&*offer_id);
                vec![Event::Rescinded(offer_id.into())]
            }
            E::Update { receipt, status } => {
                let token = self.next_update;
                self.next_update += 1;
                self.updates.insert(token, receipt);
                self.time(&status);
                vec![Event::Statuses(vec![update(&status, token)])]
            }
            E::Disconnected { reason } => {
                warn!("the connection to the master is lost: {reason}");
                self.count("scheduler_framework_disconnects");
                self.offers.clear();
                vec![Event::Disconnected]
            }
            E::Refused { call, error } => self.on_refused(&call, &error),
            E::InverseOffers(offers) => {
                self.count("scheduler_inverse_offers");
                // Always agreed to: what runs there is moved by maintenance.
                let ids: Vec<String> = offers.into_iter().map(|offer| offer.id.value).collect();
                self.send(call::accept_inverse_offers(&ids, None));
                Vec::new()
            }
            E::Failure { agent_id, executor_id, status } => {
                let agent = agent_id.unwrap_or_default();
                match executor_id {
                    Some(id) => {
                        info!("executor {id} on agent {agent} ended, status {status:?}");
                        if status.is_some_and(|status| status != 0) {
                            self.count("scheduler_lost_executors");
                        }
                    }
                    None => {
                        warn!("agent {agent} is lost");
                        self.count("slaves_lost");
                    }
                }
                Vec::new()
            }
            E::Trouble(text) => {
                warn!("Mesos: {text}");
                Vec::new()
            }
            E::Unknown(number) => {
                warn!("Mesos: ignored an event of the unknown type {number}");
                Vec::new()
            }
            E::Message { .. } => {
                self.count("scheduler_framework_message");
                Vec::new()
            }
            E::Heartbeat | E::RescindInverseOffer { .. } | E::UpdateOperation(_) => Vec::new(),
            E::GaveUp(reason) => return Happened::Over(gave_up(&reason)),
        })
    }

    /// A launch that did not happen is told. Of one that may have happened Mesos is asked.
    fn on_refused(&mut self, call: &Call, error: &CallError) -> Vec<Event> {
        let Some(accept) = &call.accept else {
            info!("a call of type {:?} had no effect: {error}", call.r#type());
            return Vec::new();
        };
        let launches = accept.operations.iter().filter_map(|operation| operation.launch.as_ref());
        let infos = launches.flat_map(|launch| &launch.task_infos);
        let mut events = Vec::new();
        for info in infos {
            let task = info.task_id.value.as_str();
            match error {
                CallError::Unknown(reason) => {
                    warn!("whether {task} was launched is not known: {reason}");
                    self.send(call::reconcile([(task, Some(info.agent_id.value.as_str()))]));
                }
                CallError::NotSent(_) | CallError::Rejected(_) => {
                    warn!("{task} was not launched: {error}");
                    events.push(Event::LaunchFailed { task: task.into(), offer_gone: false });
                }
            }
        }
        events
    }

    /// Launches tasks with one call. Those that cannot be are told of; the others are launched.
    fn launch(&mut self, offer: &Text, tasks: &[Arc<Task>], refuse: Millis) {
        let failed = |task: &Arc<Task>, offer_gone| Event::LaunchFailed {
            task: task.id.clone(),
            offer_gone,
        };
        let Some(offer) = self.offers.remove(offer) else {
            self.told.extend(tasks.iter().map(|task| failed(task, true)));
            return;
        };
        let mut rest = Rest::of(&offer);
        let mut infos = Vec::with_capacity(tasks.len());
        for task in tasks {
            let assigned = AssignedTask::from(&**task);
            let tier = Tier {
                name: task.config.tier.as_deref().unwrap_or(&self.tiers.default),
                revocable: self.tiers.get(task.config.tier.as_ref()).revocable,
            };
            match rest.task_info(&self.tasks, tier, &assigned) {
                Ok(info) => infos.push(info),
                Err(problem) => {
                    error!("failed to launch {}: {problem}", task.id);
                    self.told.push(failed(task, false));
                }
            }
        }
        let id = &offer.id.value;
        if infos.is_empty() {
            self.send(call::decline(&[id], seconds(refuse)));
        } else {
            self.send(call::accept(&[id], vec![call::launch(infos)], seconds(refuse)));
        }
    }

    /// Notes how long an update was under way, if the clocks of both sides allow to say.
    fn time(&self, status: &v1::TaskStatus) {
        let source = status.source.and_then(|number| task_status::Source::try_from(number).ok());
        let made = status.timestamp.and_then(|at| Duration::try_from_secs_f64(at).ok());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        if let (Some(source), Some(made), Some(now)) = (source, made, now)
            && made < now
        {
            self.counters.delay(&format!("{DELAY}{}", source.as_str_name()), now - made);
        }
    }

    fn count(&self, name: &str) {
        self.counters.add(name.to_owned(), 1);
    }

    fn send(&self, call: Call) {
        self.client.handle().call(call);
    }
}

impl Driver for Mesos {
    async fn next(&mut self) -> Happened {
        if !self.told.is_empty() {
            return Happened::Events(std::mem::take(&mut self.told));
        }
        match self.client.next().await {
            Some(event) => self.on_event(event),
            None => Happened::Over("the connection was given up".to_owned()),
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { offer, tasks, refuse } => self.launch(&offer, &tasks, refuse),
            Effect::Decline { offers, refuse } => {
                for offer in &offers {
                    self.offers.remove(offer);
                }
                self.send(call::decline(&offers, seconds(refuse)));
            }
            Effect::Kill(task) => self.send(call::kill(task.as_str(), None, None)),
            Effect::Acknowledge(_, receipt) => {
                let token = <[u8; 8]>::try_from(&*receipt.uuid).map(u64::from_be_bytes);
                let receipt = token.ok().and_then(|token| self.updates.remove(&token));
                if let Some(receipt) = receipt {
                    self.client.handle().durable(receipt);
                }
            }
            Effect::Reconcile(tasks) => {
                let tasks = tasks.iter().map(|(task, agent)| (task.as_str(), agent.as_deref()));
                self.send(call::reconcile(tasks));
            }
            Effect::Reply(..) | Effect::Changed(_) => {}
        }
    }
}

/// What Mesos calls an event, or the one that it comes from; `None` for what only the session tells.
fn event_name(event: &mesos_scheduler::Event) -> Option<&'static str> {
    use mesos_scheduler::Event as E;
    Some(match event {
        E::Subscribed { .. } => "SUBSCRIBED",
        E::Offers(_) => "OFFERS",
        E::Rescind { .. } => "RESCIND",
        E::Update { .. } => "UPDATE",
        E::Message { .. } => "MESSAGE",
        E::Failure { .. } => "FAILURE",
        E::InverseOffers(_) => "INVERSE_OFFERS",
        E::RescindInverseOffer { .. } => "RESCIND_INVERSE_OFFER",
        E::UpdateOperation(_) => "UPDATE_OPERATION_STATUS",
        E::Heartbeat => "HEARTBEAT",
        E::Unknown(_) => "UNKNOWN",
        E::GaveUp(GiveUp::Removed(_) | GiveUp::FailedOver(_) | GiveUp::Error(_)) => "ERROR",
        E::Subscribing { .. }
        | E::Disconnected { .. }
        | E::Refused { .. }
        | E::Trouble(_)
        | E::GaveUp(_) => return None,
    })
}

/// Whole seconds, as the original has it.
fn seconds(time: Millis) -> Duration {
    Duration::from_secs(u64::try_from(time / 1000).unwrap_or(0))
}

fn gave_up(reason: &GiveUp) -> String {
    match reason {
        GiveUp::Removed(text) => format!(
            "{text}. Mesos has forgotten this framework and killed its tasks; to begin anew, start \
             with an empty -native_log_file_path"
        ),
        GiveUp::Unauthorized(_) => {
            format!("{reason} Check the principal and the secret in -framework_authentication_file")
        }
        reason => reason.to_string(),
    }
}

/// An offer for the core.
fn offer(offer: &v1::Offer) -> Offer {
    let agent = Agent::new(&*offer.agent_id.value, &*offer.hostname);
    let start = offer.unavailability.as_ref().map(|away| away.start.nanoseconds / 1_000_000);
    Offer {
        id: Text::from(&*offer.id.value),
        agent: Arc::new(agent),
        attributes: attributes(&offer.attributes),
        supplies: offer.resources.iter().flat_map(supplies).collect(),
        unavailable: start,
    }
}

/// Attributes that are texts or numbers, by name; numbers as the original prints them.
fn attributes(attributes: &[v1::Attribute]) -> Attributes {
    let mut all = BTreeMap::<Text, BTreeSet<Text>>::new();
    for attribute in attributes {
        let value = match (&attribute.text, &attribute.scalar) {
            (Some(text), _) => text.value.clone(),
            (None, Some(scalar)) => format!("{:?}", scalar.value),
            (None, None) => continue,
        };
        all.entry(Text::from(&*attribute.name)).or_default().insert(value.into());
    }
    all
}

/// A resource for the core; nothing for one of a kind that it does not know.
fn supplies(resource: &v1::Resource) -> impl Iterator<Item = Supply> {
    let kind = Kind::of_mesos(&resource.name);
    let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
    let ranges = ranges.filter(move |_| kind == Some(Kind::Ports)).filter_map(port_range);
    let amount = milli(resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value));
    let scalar = kind.filter(|kind| *kind != Kind::Ports).map(|kind| Supply::scalar(kind, amount));
    let revocable = resource.revocable.is_some();
    ranges.map(Supply::ports).chain(scalar).map(move |supply| Supply { revocable, ..supply })
}

/// A range of ports; `None` for one without any, or beyond all ports.
fn port_range(range: &value::Range) -> Option<std::ops::RangeInclusive<i32>> {
    const LAST: u64 = 65_535;
    let port = |number: u64| i32::try_from(number.min(LAST)).ok();
    let is_range = range.begin <= LAST && range.begin <= range.end;
    if is_range { Some(port(range.begin)?..=port(range.end)?) } else { None }
}

/// An update for the core.
fn update(status: &v1::TaskStatus, token: u64) -> StatusUpdate {
    let agent = status.agent_id.as_ref().map(|id| id.value.as_str());
    let source = |number| task_status::Source::try_from(number).ok();
    let reason = |number| task_status::Reason::try_from(number).ok();
    StatusUpdate {
        task: TaskId::from(&*status.task_id.value),
        state: status.state,
        message: status.message.clone().filter(|message| !message.is_empty()),
        reason: status.reason.and_then(reason).map(|reason| reason.as_str_name().to_owned()),
        source: status.source.and_then(source).map(|source| source.as_str_name().to_owned()),
        receipt: Some(Receipt {
            agent: agent.unwrap_or_default().into(),
            uuid: Box::new(token.to_be_bytes()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(name: &str, value: f64) -> v1::Resource {
        v1::Resource {
            name: name.to_owned(),
            r#type: value::Type::Scalar.into(),
            scalar: Some(value::Scalar { value }),
            ..v1::Resource::default()
        }
    }

    fn ports(ranges: &[(u64, u64)]) -> v1::Resource {
        let range = ranges.iter().map(|&(begin, end)| value::Range { begin, end }).collect();
        v1::Resource {
            name: "ports".to_owned(),
            r#type: value::Type::Ranges.into(),
            ranges: Some(value::Ranges { range }),
            ..v1::Resource::default()
        }
    }

    #[test]
    fn supplies_of_resources() {
        let revocable = v1::Resource {
            revocable: Some(v1::resource::RevocableInfo::default()),
            ..scalar("cpus", 2.0)
        };
        let found: Vec<_> = [
            scalar("cpus", 0.1 + 0.2),
            revocable,
            scalar("mem", 128.0),
            scalar("custom", 1.0),
            ports(&[(31000, 31001), (70000, 80000), (65535, 99999), (9, 8)]),
        ]
        .iter()
        .flat_map(supplies)
        .collect();
        let cpus = Supply::scalar(Kind::Cpu, 2000);
        assert_eq!(
            found,
            [
                Supply::scalar(Kind::Cpu, 300),
                Supply { revocable: true, ..cpus },
                Supply::scalar(Kind::Ram, 128_000),
                Supply::ports(31000..=31001),
                Supply::ports(65535..=65535),
            ]
        );
    }

    #[test]
    fn attributes_of_a_host() {
        let text = |name: &str, value: &str| v1::Attribute {
            name: name.to_owned(),
            text: Some(value::Text { value: value.to_owned() }),
            ..v1::Attribute::default()
        };
        let number = v1::Attribute {
            name: "size".to_owned(),
            scalar: Some(value::Scalar { value: 1.0 }),
            ..v1::Attribute::default()
        };
        let other = v1::Attribute { name: "set".to_owned(), ..v1::Attribute::default() };
        let found = attributes(&[text("rack", "b"), text("rack", "a"), number, other]);
        let set = |values: &[&str]| values.iter().map(|value| Text::from(*value)).collect();
        let expected = [("rack", set(&["a", "b"])), ("size", set(&["1.0"]))];
        assert_eq!(found, expected.map(|(name, values)| (Text::from(name), values)).into());
    }

    #[test]
    fn updates() {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: "t".to_owned() },
            state: v1::TaskState::TaskFailed.into(),
            message: Some(String::new()),
            reason: Some(task_status::Reason::ContainerLimitationMemory.into()),
            source: Some(task_status::Source::Agent.into()),
            ..v1::TaskStatus::default()
        };
        let found = update(&status, 7);
        assert_eq!(found.reason.as_deref(), Some("REASON_CONTAINER_LIMITATION_MEMORY"));
        assert_eq!(found.source.as_deref(), Some("SOURCE_AGENT"));
        assert_eq!((found.message, found.state), (None, 3));
        assert_eq!(&*found.receipt.unwrap().uuid, &7_u64.to_be_bytes());
    }
}
