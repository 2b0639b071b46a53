//! Seeded schedules of everything that can happen between an executor and its agent: cuts at any
//! byte, repeated and late records and calls, silence, errors of HTTP, oversize and broken records,
//! wrong ids, restarts that forget what was not written down. Whatever the executor reported must
//! have reached the scheduler: each update once, in the order of its task.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_executor::session::{CallId, Options, Session, StreamId};
use mesos_executor::v1::TaskState;
use mesos_executor::{Environment, Format, GiveUp};

mod agent;
#[path = "../support/chance.rs"]
mod chance;
mod executor;
mod later;
mod network;

use agent::Agent;
use chance::Random;
use later::Later;

const MS: Duration = Duration::from_millis(1);
const MAX_RECORD: usize = 4096;

/// What kind of end a schedule has.
#[derive(Clone, Copy, PartialEq, Debug)]
enum End {
    /// Every task ends.
    Tasks,
    /// The scheduler shuts the executor down.
    Shutdown,
    /// The framework is torn down: updates go nowhere.
    Teardown,
}

struct World {
    random: Random,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Later>,
    sequence: u64,
    session: Session,
    timer: Option<Duration>,
    format: Format,
    agent: Agent,
    end: End,
    /// Nothing goes wrong from here on.
    calm: Duration,

    /// Streams and calls that the session still wants.
    open: BTreeSet<StreamId>,
    call: Option<CallId>,
    /// When a try to subscribe failed and no other is out.
    idle_since: Option<Duration>,

    /// The executor: states that are still to be reported, and those that were.
    plans: BTreeMap<String, Vec<TaskState>>,
    reported: BTreeMap<String, Vec<TaskState>>,
    shut_down: Option<Duration>,
    flushing: bool,
    flushed: Option<(Duration, usize, usize)>,
    gave_up: Option<GiveUp>,
    tries: u32,
    disconnects: u32,
}

fn environment() -> Environment {
    Environment::from_vars([
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_FRAMEWORK_ID", "framework"),
        ("MESOS_EXECUTOR_ID", "executor"),
        ("MESOS_DIRECTORY", "/sandbox"),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "15mins"),
    ])
    .unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let format = if random.chance(80) { Format::Protobuf } else { Format::Json };
        let options = Options { format, max_record: MAX_RECORD, ..Options::default() };
        let seed = [random.next(), random.next(), random.next(), random.next()];
        let end = match random.below(10) {
            0..7 => End::Tasks,
            7..9 => End::Shutdown,
            _ => End::Teardown,
        };
        let calm = Duration::from_secs(3) + random.ms(12_000);
        Self {
            now: Duration::from_secs(1),
            queue: BTreeMap::new(),
            sequence: 0,
            session: Session::new(&environment(), options, seed),
            timer: None,
            format,
            agent: Agent::new(),
            end,
            calm,
            open: BTreeSet::new(),
            call: None,
            idle_since: None,
            plans: BTreeMap::new(),
            reported: BTreeMap::new(),
            shut_down: None,
            flushing: false,
            flushed: None,
            gave_up: None,
            tries: 0,
            disconnects: 0,
            random,
        }
    }

    /// Does something go wrong now?
    fn bad(&mut self, percent: u64) -> bool {
        self.now < self.calm && self.random.chance(percent)
    }

    /// What must hold at the end.
    fn check(&self) {
        assert_eq!(self.gave_up, None);
        let Some((at, unsent, unacknowledged)) = self.flushed else { panic!("no flush") };
        match self.end {
            End::Tasks => assert_eq!((unsent, unacknowledged), (0, 0)),
            End::Shutdown => assert_eq!(unsent, 0),
            End::Teardown => {
                assert_eq!(unsent, 0);
                let since = self.shut_down.unwrap().max(self.calm + Duration::from_secs(4));
                assert!(at.saturating_sub(since) < Duration::from_secs(10), "waited for nothing");
            }
        }
        if self.end == End::Teardown {
            return;
        }
        for (id, states) in &self.reported {
            let got: Vec<_> = self.agent.scheduler.iter().filter(|(task, _)| task == id).collect();
            let got: Vec<TaskState> = got.into_iter().map(|(_, state)| *state).collect();
            if !self.agent.forgot {
                assert_eq!(&got, states, "{id}");
            } else {
                let mut rest = states.iter();
                assert!(got.iter().all(|s| rest.any(|r| r == s)), "{id}: {got:?} {states:?}");
            }
        }
    }
}

fn seeds(range: std::ops::Range<u64>) {
    let (mut tries, mut disconnects, mut updates, mut dropped, mut forgot) = (0, 0, 0, 0, 0);
    let count = range.end - range.start;
    for seed in range {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run();
            world
        });
        let Ok(world) = result else { panic!("seed {seed}") };
        tries += world.tries;
        disconnects += world.disconnects;
        updates += world.agent.scheduler.len();
        dropped += world.agent.dropped.len();
        forgot += u64::from(world.agent.forgot);
    }
    println!(
        "{count}: {tries} tries, {disconnects} losses, {updates} updates, {dropped} dropped, {forgot} forgot"
    );
    // The schedules do what they are for.
    assert!(forgot * 50 < count);
    assert!(u64::from(disconnects) > count && updates as u64 > 4 * count && dropped > 0);
}

#[test]
fn a_thousand_schedules() {
    seeds(0..1000);
}

#[test]
#[ignore = "takes minutes without optimization"]
fn ten_thousand_schedules() {
    seeds(0..10_000);
}
