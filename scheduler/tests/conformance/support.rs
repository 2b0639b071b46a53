//! Things to test with.

use std::collections::BTreeSet;
use std::sync::Arc;

use aurora_api::api;
use aurora_scheduler::core::config::Config;
use aurora_scheduler::core::convert::Pool;
use aurora_scheduler::core::dice::Dice;
use aurora_scheduler::core::engine::{Core, Effect, Effects, Event, StatusUpdate};
use aurora_scheduler::core::jobs::{Reply, Request};
use aurora_scheduler::core::machine::Outcome;
use aurora_scheduler::core::manager::{Change, Ledger};
use aurora_scheduler::core::name::{Agent, JobKey, Millis, TaskId, Text};
use aurora_scheduler::core::offers::{Offer, Supply};
use aurora_scheduler::core::resources::Kind;
use aurora_scheduler::core::settings::Settings;
use aurora_scheduler::core::state::State;
use aurora_scheduler::core::status::Status;
use aurora_scheduler::core::task::Task;

/// A task of job `role/env/job`: 1 CPU, 128 MB of memory, 64 MB of disk.
pub(crate) fn whole() -> api::TaskConfig {
    api::TaskConfig {
        job: Some(job_key("role", "env", "job")),
        resources: Some(resources(1.0, 128, 64)),
        ..Default::default()
    }
}

pub(crate) fn job_key(role: &str, environment: &str, name: &str) -> api::JobKey {
    api::JobKey {
        role: Some(role.into()),
        environment: Some(environment.into()),
        name: Some(name.into()),
        ..Default::default()
    }
}

pub(crate) fn resources(cpus: f64, ram_mb: i64, disk_mb: i64) -> BTreeSet<api::Resource> {
    BTreeSet::from([
        api::Resource::NumCpus(thrift_wire::Double(cpus)),
        api::Resource::RamMb(ram_mb),
        api::Resource::DiskMb(disk_mb),
    ])
}

/// A ledger at time 1000, without tasks.
pub(crate) fn ledger() -> Ledger {
    Ledger::new(State::default(), Pool::default(), Settings::default(), Dice::new([7; 32]), 1000)
}

pub(crate) fn service() -> api::TaskConfig {
    api::TaskConfig { is_service: Some(true), ..whole() }
}

/// What the tests of a ledger do again and again.
pub(crate) trait Steps {
    fn config(&mut self, whole: api::TaskConfig) -> Arc<Config>;
    /// Inserts instance 0 of this.
    fn insert(&mut self, whole: api::TaskConfig) -> TaskId;
    /// Moves a task through these states; all must be allowed.
    fn walk(&mut self, id: &TaskId, path: &[Status]);
    fn go(&mut self, id: &TaskId, to: Status) -> Outcome;
    fn row(&self, id: &TaskId) -> Arc<Task>;
    fn changes(&mut self) -> Vec<Change>;
    /// The states of all changes: from, to. Deletions are left out.
    fn moves(&mut self) -> Vec<(Option<Status>, Status)>;
    /// The only task that replaces another one.
    fn replacement(&self, id: &TaskId) -> Option<Arc<Task>>;
}

impl Steps for Ledger {
    fn config(&mut self, whole: api::TaskConfig) -> Arc<Config> {
        self.pool.configs.intern(whole).unwrap()
    }

    fn insert(&mut self, whole: api::TaskConfig) -> TaskId {
        let config = self.config(whole);
        self.insert_pending(&config, [0]).unwrap().remove(0)
    }

    fn walk(&mut self, id: &TaskId, path: &[Status]) {
        for to in path {
            assert_eq!(self.go(id, *to), Outcome::Success, "to {to}");
        }
    }

    fn go(&mut self, id: &TaskId, to: Status) -> Outcome {
        if to == Status::Assigned && self.state.task(id).is_some_and(|t| t.agent.is_none()) {
            let agent = Agent::new("agent", "host");
            return self.assign(id, &Arc::new(agent), Box::default());
        }
        self.change(id, None, to, None)
    }

    fn row(&self, id: &TaskId) -> Arc<Task> {
        self.state.task(id).unwrap().clone()
    }

    fn changes(&mut self) -> Vec<Change> {
        std::iter::from_fn(|| self.next_change()).collect()
    }

    fn moves(&mut self) -> Vec<(Option<Status>, Status)> {
        let moves = self.changes().into_iter().filter_map(|change| match change {
            Change::Moved { task, from } => Some((from, task.status)),
            Change::Deleted(_) => None,
        });
        moves.collect()
    }

    fn replacement(&self, id: &TaskId) -> Option<Arc<Task>> {
        let mut found = self.state.tasks().filter(|task| task.ancestor.as_ref() == Some(id));
        let first = found.next().cloned();
        assert!(found.next().is_none(), "two replacements");
        first
    }
}

/// The defaults, but for the rate limit, which would only make tests longer.
pub(crate) fn settings() -> Settings {
    Settings { max_rounds_per_second: 1e6, ..Settings::default() }
}

/// A core with a clock and everything that it ever wanted done.
pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) now: Millis,
    pub(crate) effects: Vec<Effect>,
    /// What the log has made of it.
    pub(crate) replica: State,
    /// How many cores there were before this one: each has its own chance.
    cores: u8,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> World {
        World::of(State::default(), settings)
    }

    /// A world that begins with this state.
    pub(crate) fn of(state: State, settings: Settings) -> World {
        World::nth(0, state, settings, 1_000_000)
    }

    fn nth(cores: u8, state: State, settings: Settings, now: Millis) -> World {
        let replica = state.clone();
        let core = Core::new(state, Pool::default(), settings, [cores; 32], now);
        let mut world = World { core, now, effects: vec![], replica, cores };
        world.event(Event::Tick);
        world
    }

    /// A new core with what is stored, as after a crash.
    pub(crate) fn restart(self, settings: Settings) -> World {
        World::nth(self.cores + 1, self.replica, settings, self.now)
    }

    pub(crate) fn event(&mut self, event: Event) {
        let mut out = Effects::default();
        self.core.handle(self.now, event, &mut out);
        for append in out.appends {
            self.replica.apply_all(&append.transaction);
            assert_eq!(self.replica, append.state);
        }
        self.effects.extend(out.held.into_iter().map(|(_, effect)| effect));
    }

    /// Lets time pass; everything that becomes due happens at its time.
    pub(crate) fn wait(&mut self, millis: Millis) {
        let end = self.now + millis;
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.event(Event::Tick);
        }
        self.now = end;
    }

    pub(crate) fn request(&mut self, request: Request) -> Reply {
        self.event(Event::Request(1, request));
        let replies = self.effects.extract_if(.., |effect| matches!(effect, Effect::Reply(..)));
        match replies.last() {
            Some(Effect::Reply(1, reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// Creates a job and returns the ids of its tasks, by instance.
    pub(crate) fn create(&mut self, whole: api::TaskConfig, instances: usize) -> Vec<TaskId> {
        let config = self.core.pool().configs.intern(whole).unwrap();
        let job = config.job.clone();
        self.request(Request::CreateJob { config, instances }).unwrap();
        self.tasks(&job)
    }

    /// Ids of the active tasks of a job, by instance.
    pub(crate) fn tasks(&self, job: &JobKey) -> Vec<TaskId> {
        let mut tasks: Vec<_> = self.core.state().active_tasks_of_job(job).collect();
        tasks.sort_by_key(|task| task.instance);
        tasks.into_iter().map(|task| task.id.clone()).collect()
    }

    /// What Mesos reports: a task and a state by its number there.
    pub(crate) fn report(&mut self, task: &TaskId, state: i32) {
        let update = StatusUpdate {
            task: task.clone(),
            state,
            message: None,
            reason: None,
            source: None,
            receipt: None,
        };
        self.event(Event::Statuses(vec![update]));
    }

    pub(crate) fn offer(&mut self, offers: impl IntoIterator<Item = Offer>) {
        self.event(Event::Offers(offers.into_iter().collect()));
    }

    pub(crate) fn row(&self, id: &TaskId) -> Arc<Task> {
        self.core.state().task(id).unwrap().clone()
    }

    pub(crate) fn status(&self, id: &TaskId) -> Status {
        self.row(id).status
    }

    /// Launches since the last time: offers and tasks.
    pub(crate) fn launches(&mut self) -> Vec<(String, TaskId)> {
        let launches = self.effects.extract_if(.., |e| matches!(e, Effect::Launch { .. }));
        let launches = launches.flat_map(|effect| match effect {
            Effect::Launch { offer, tasks, .. } => {
                tasks.iter().map(|task| (offer.to_string(), task.id.clone())).collect()
            }
            _ => vec![],
        });
        launches.collect()
    }

    /// Offers that were given back since the last time.
    pub(crate) fn declined(&mut self) -> Vec<String> {
        let declined = self.effects.extract_if(.., |e| matches!(e, Effect::Decline { .. }));
        let offers = declined.flat_map(|effect| match effect {
            Effect::Decline { offers, .. } => offers,
            _ => vec![],
        });
        offers.map(|offer| offer.to_string()).collect()
    }

    /// Tasks that were to be killed since the last time.
    pub(crate) fn kills(&mut self) -> Vec<TaskId> {
        let kills = self.effects.extract_if(.., |e| matches!(e, Effect::Kill(_)));
        let kills = kills.filter_map(|effect| match effect {
            Effect::Kill(id) => Some(id),
            _ => None,
        });
        kills.collect()
    }

    pub(crate) fn stats(&self) -> &aurora_scheduler::core::stats::Stats {
        &self.core.ledger().stats
    }

    /// Ids of the held offers, in order.
    pub(crate) fn held(&self) -> Vec<String> {
        self.core.offers().iter().map(|held| held.id.to_string()).collect()
    }

    /// A task of this configuration on an agent, RUNNING.
    pub(crate) fn running(&mut self, whole: api::TaskConfig, agent: &str) -> TaskId {
        let id = self.create(whole, 1).remove(0);
        self.offer([offer(&format!("for-{id}"), agent)]);
        self.wait(1);
        assert_eq!(self.launches().len(), 1);
        self.report(&id, 1);
        assert_eq!(self.status(&id), Status::Running);
        id
    }
}

/// An offer of 8 CPUs, 16 GB of memory, 256 GB of disk and ten ports, by agent `a` on host `a.host`.
pub(crate) fn offer(id: &str, agent: &str) -> Offer {
    let host = format!("{agent}.host");
    Offer {
        id: id.into(),
        agent: Arc::new(Agent::new(agent, host)),
        attributes: Default::default(),
        supplies: [
            Supply::scalar(Kind::Cpu, 8_000),
            Supply::scalar(Kind::Ram, 16 * 1024 * 1000),
            Supply::scalar(Kind::Disk, 256 * 1024 * 1000),
            Supply::ports(31000..=31004),
            Supply::ports(31010..=31014),
        ]
        .into(),
        unavailable: None,
    }
}

/// The offer with values of an attribute.
pub(crate) fn with_attribute(mut offer: Offer, name: &str, values: &[&str]) -> Offer {
    let values = values.iter().map(|value| Text::from(*value));
    offer.attributes.entry(name.into()).or_default().extend(values);
    offer
}

/// The configuration with a constraint on a value.
pub(crate) fn with_value(
    mut whole: api::TaskConfig,
    name: &str,
    negated: bool,
    values: &[&str],
) -> api::TaskConfig {
    let rule = api::ValueConstraint {
        negated: Some(negated),
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        ..Default::default()
    };
    constrain(&mut whole, name, api::TaskConstraint::Value(rule));
    whole
}

/// The configuration with a limit.
pub(crate) fn with_limit(mut whole: api::TaskConfig, name: &str, limit: i32) -> api::TaskConfig {
    let rule = api::LimitConstraint { limit: Some(limit), ..Default::default() };
    constrain(&mut whole, name, api::TaskConstraint::Limit(rule));
    whole
}

fn constrain(whole: &mut api::TaskConfig, name: &str, rule: api::TaskConstraint) {
    whole.constraints.get_or_insert_default().insert(api::Constraint {
        name: Some(name.into()),
        constraint: Some(rule),
        ..Default::default()
    });
}

/// The configuration for another job.
pub(crate) fn job(name: &str) -> api::TaskConfig {
    api::TaskConfig { job: Some(job_key("role", "env", name)), ..whole() }
}
