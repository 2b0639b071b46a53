//! What a task runs, once for all tasks that run the same.
//!
//! Configurations are large and few, tasks small and many. So each distinct one exists once, with a
//! number, and two tasks run the same if their configurations have the same number. What the
//! scheduler decides by is parsed into fields; what it only hands on (executor data, container,
//! links …) stays as it came, inside [`Config::whole`].

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aurora_api::api;
use hashbrown::HashTable;

use super::convert::{self, Bad};
use super::name::{JobKey, Millis, Text};
use super::resources::Bag;

/// A task's configuration.
#[derive(Debug)]
pub struct Config {
    /// Of one pool, equal configurations have equal numbers, as long as one of them is in use.
    pub number: ConfigNo,
    /// The job.
    pub job: JobKey,
    /// Runs for good: started again whatever its end.
    pub is_service: bool,
    /// The higher, the sooner placed.
    pub priority: i32,
    /// Failures after which it is not started again; -1 is no limit.
    pub max_failures: i32,
    /// Neither preemptible nor revocable.
    pub production: bool,
    /// Name of the tier; the default tier if unset.
    pub tier: Option<Text>,
    /// Name of the executor, unless the container runs on its own.
    pub executor: Option<Text>,
    /// What the task itself needs, ports included.
    pub resources: Bag,
    /// Names of the ports to choose, in order.
    pub ports: Vec<Text>,
    /// Where it may run: value constraints first, then limits, each in order of their names.
    pub constraints: Vec<Constraint>,
    /// What happens while its agent cannot be reached.
    pub partition: PartitionPolicy,
    /// All of it, as it came.
    pub whole: api::TaskConfig,
}

/// Number of a configuration. No two configurations of a process have the same one, wherever they
/// were interned. Not durable: another process counts differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigNo(pub u64);

/// Where a task may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    /// Name of an attribute.
    pub name: Text,
    /// What is asked of it.
    pub rule: Rule,
}

/// What is asked of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// One of some values.
    OneOf(Vec<Text>),
    /// None of some values; the attribute may also be missing.
    NoneOf(Vec<Text>),
    /// On hosts with a common value, fewer tasks of the job than this before it is placed.
    Limit(i32),
}

/// What happens while the agent of a task cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionPolicy {
    /// A replacement is started after this time.
    Reschedule(Millis),
    /// It is waited for.
    Wait,
}

impl Config {
    /// Does it ask for an attribute of this name?
    pub fn constrains(&self, name: &str) -> bool {
        self.constraints.iter().any(|constraint| &*constraint.name == name)
    }

    /// Does it matter where the other tasks of the job are?
    pub fn has_limits(&self) -> bool {
        self.constraints.iter().any(|constraint| matches!(constraint.rule, Rule::Limit(_)))
    }
}

impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        self.whole == other.whole
    }
}

impl Eq for Config {}

/// Number of the next configuration. For the whole process, so that states that were read apart
/// can meet.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// All configurations that are in use.
#[derive(Debug, Default)]
pub struct Configs {
    /// With their hashes: a configuration is large, and a table that grows asks for all of them.
    known: HashTable<(u64, Arc<Config>)>,
    /// Secret, as users choose what is hashed.
    hasher: RandomState,
    /// How many there may be before the next look at which are still used.
    sweep_at: usize,
}

impl Configs {
    /// The configuration of this value, parsed when it is met for the first time.
    pub fn intern(&mut self, whole: api::TaskConfig) -> Result<Arc<Config>, Bad> {
        let hash = self.hasher.hash_one(&whole);
        let same = |(other, config): &(u64, Arc<Config>)| *other == hash && config.whole == whole;
        if let Some((_, config)) = self.known.find(hash, same) {
            return Ok(config.clone());
        }
        self.sweep();
        let number = ConfigNo(NEXT.fetch_add(1, Ordering::Relaxed));
        let config = Arc::new(convert::config(whole, number)?);
        self.known.insert_unique(hash, (hash, config.clone()), |(hash, _)| *hash);
        Ok(config)
    }

    /// How many are known, used or not.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Is none known?
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets what nobody uses, each time that twice as many are known as were left the last time.
    fn sweep(&mut self) {
        if self.known.len() >= self.sweep_at.max(1024) {
            self.known.retain(|(_, config)| Arc::strong_count(config) > 1);
            self.sweep_at = 2 * self.known.len();
        }
    }
}
