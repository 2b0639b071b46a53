//! What operators set.
//!
//! Source: the scheduler's flags; each field names its own. Faces parse and check them.

use std::collections::BTreeMap;

use super::name::{Millis, Text};
use super::resources::Bag;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// What operators set. The default is the flags' defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Host name of this scheduler, noted in every task event.
    pub scheduler: Text,
    /// What each executor needs besides the task, by its name
    /// (`-thermos_executor_cpu`, `-thermos_executor_ram`, `-custom_executor_config`).
    pub executors: BTreeMap<Text, Bag>,
    /// Tiers (`-tier_config`).
    pub tiers: Tiers,
    /// `-max_tasks_per_job`
    pub max_tasks_per_job: usize,
    /// `-max_status_update_batch_size`
    pub max_status_batch: usize,

    /// `-max_schedule_attempts_per_sec`
    pub max_rounds_per_second: f64,
    /// `-scheduling_max_batch_size`: rounds per transaction. Each transaction has a state of its own
    /// after it, which costs more than the rounds.
    pub max_rounds_per_transaction: usize,
    /// `-max_tasks_per_schedule_attempt`
    pub max_tasks_per_round: usize,
    /// `-first_schedule_delay`
    pub first_schedule_delay: Millis,
    /// `-initial_schedule_penalty`, `-max_schedule_penalty`
    pub schedule_penalty: Bounds,
    /// `-max_reschedule_task_delay_on_startup`
    pub max_startup_delay: Millis,
    /// `-flapping_task_threshold`
    pub flapping_threshold: Millis,
    /// `-initial_flapping_task_delay`, `-max_flapping_task_delay`
    pub flapping_penalty: Bounds,

    /// `-hold_offers_forever`
    pub hold_offers_forever: bool,
    /// `-min_offer_hold_time`
    pub min_offer_hold: Millis,
    /// `-offer_hold_jitter_window`
    pub offer_hold_jitter: Millis,
    /// `-offer_filter_duration`
    pub offer_filter: Millis,
    /// `-unavailability_threshold`
    pub unavailability_threshold: Millis,
    /// `-offer_order`
    pub offer_order: Vec<OfferOrder>,
    /// `-enable_revocable_cpus`
    pub revocable_cpus: bool,
    /// `-enable_revocable_ram`
    pub revocable_ram: bool,
    /// `-offer_reservation_duration`
    pub reservation_hold: Millis,
    /// `-update_affinity_reservation_hold_time`
    pub affinity_hold: Millis,

    /// `-transient_task_state_timeout`
    pub transient_timeout: Millis,
    /// `-initial_task_kill_retry_interval`; grows up to `transient_timeout`.
    pub kill_retry: Millis,
    /// `-history_prune_threshold`
    pub history_age: Millis,
    /// `-history_max_per_job_threshold`
    pub history_per_job: usize,
    /// `-history_min_retention_threshold`
    pub history_min_age: Millis,

    /// `-reconciliation_initial_delay`
    pub reconcile_delay: Millis,
    /// `-reconciliation_explicit_interval`
    pub reconcile_explicit: Millis,
    /// `-reconciliation_implicit_interval`
    pub reconcile_implicit: Millis,
    /// `-reconciliation_schedule_spread`
    pub reconcile_spread: Millis,
    /// `-reconciliation_explicit_batch_size`
    pub reconcile_batch: usize,
    /// `-reconciliation_explicit_batch_interval`
    pub reconcile_batch_interval: Millis,
}

/// Where a delay starts and where it stops growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first one.
    pub initial: Millis,
    /// The largest one.
    pub max: Millis,
}

/// What offers are ordered by. The first that differs decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferOrder {
    /// Fewest CPUs first.
    Cpu,
    /// Least memory first.
    Memory,
    /// Least disk space first.
    Disk,
    /// Fewest revocable CPUs first, those without any last.
    RevocableCpu,
    /// By chance, but the same as long as the offer is held.
    Random,
}

/// Kinds of tasks, by what others may do to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers {
    /// Tier of tasks that name none.
    pub default: Text,
    /// All of them, by name.
    pub tiers: BTreeMap<Text, Tier>,
}

/// A kind of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    /// May be killed for one that is not.
    pub preemptible: bool,
    /// Uses resources that Mesos may take back.
    pub revocable: bool,
}

impl Tiers {
    /// The tier of this name, or the default for none. A name that is not known any more counts as
    /// the default, too: the task was accepted when it was.
    pub fn get(&self, name: Option<&Text>) -> Tier {
        let tier = name.and_then(|name| self.tiers.get(name));
        tier.or_else(|| self.tiers.get(&self.default)).copied().unwrap_or_default()
    }
}

impl Default for Tiers {
    fn default() -> Tiers {
        let tier = |preemptible, revocable| Tier { preemptible, revocable };
        let tiers = [
            ("preferred", tier(false, false)),
            ("preemptible", tier(true, false)),
            ("revocable", tier(true, true)),
        ];
        Tiers {
            default: "preemptible".into(),
            tiers: tiers.map(|(name, tier)| (name.into(), tier)).into(),
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        let mut thermos = Bag::whole(0, 128, 0);
        thermos.put(super::resources::Kind::Cpu, 250);
        Settings {
            scheduler: "localhost".into(),
            executors: BTreeMap::from([(aurora_api::api::AURORA_EXECUTOR_NAME.into(), thermos)]),
            tiers: Tiers::default(),
            max_tasks_per_job: 4000,
            max_status_batch: 1000,
            max_rounds_per_second: 40.0,
            max_rounds_per_transaction: 64,
            max_tasks_per_round: 5,
            first_schedule_delay: 1,
            schedule_penalty: Bounds { initial: SECOND, max: MINUTE },
            max_startup_delay: 30 * SECOND,
            flapping_threshold: 5 * MINUTE,
            flapping_penalty: Bounds { initial: 30 * SECOND, max: 5 * MINUTE },
            hold_offers_forever: false,
            min_offer_hold: 5 * MINUTE,
            offer_hold_jitter: MINUTE,
            offer_filter: 5 * SECOND,
            unavailability_threshold: 6 * MINUTE,
            offer_order: vec![OfferOrder::Random],
            revocable_cpus: true,
            revocable_ram: false,
            reservation_hold: 3 * MINUTE,
            affinity_hold: 3 * MINUTE,
            transient_timeout: 5 * MINUTE,
            kill_retry: 15 * SECOND,
            history_age: 48 * HOUR,
            history_per_job: 100,
            history_min_age: HOUR,
            reconcile_delay: MINUTE,
            reconcile_explicit: HOUR,
            reconcile_implicit: HOUR,
            reconcile_spread: 30 * MINUTE,
            reconcile_batch: 1000,
            reconcile_batch_interval: 5 * SECOND,
        }
    }
}
