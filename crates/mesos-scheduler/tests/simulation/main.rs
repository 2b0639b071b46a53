//! Seeded schedules of everything that can happen between a scheduler and two masters: cuts at any
//! byte, silence, late and lost calls, errors of HTTP, broken records, masters that die, recover and
//! hand over, redirects to dead ones, a scheduler whose log is slow. Nothing may be acknowledged
//! before it is durable, no ACCEPT may arrive twice, every kill must arrive, and in the end every
//! update is acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mesos_scheduler::session::{CallId, Input, Output, Response, Session, StreamId};
use mesos_scheduler::v1::TaskState;
use mesos_scheduler::v1::scheduler::Event as Record;
use mesos_scheduler::v1::scheduler::event::{Error, Type};
use mesos_scheduler::{Endpoint, Event, Format, Framework, GiveUp, Options};

#[path = "../../../mesos-executor/tests/support/chance.rs"]
mod chance;
mod later;
mod masters;
mod network;
mod scheduler;

use chance::{Random, framed};
use later::Later;
use masters::{Life, Stream, of_type};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MAX_RECORD: usize = 4096;
const MAX_WAITING: usize = 3;
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// From the end of all trouble to the end of the schedule.
const CALM: Duration = Duration::from_secs(30);

fn address(master: usize) -> Endpoint {
    Endpoint::parse(["a:5050", "b:5050"][master]).unwrap()
}

struct World {
    random: Random,
    now: Duration,
    queue: BTreeMap<(Duration, u64), Later>,
    sequence: u64,
    session: Session,
    timer: Option<Duration>,
    format: Format,
    /// Are masters found by asking, or told?
    told: bool,
    calm: Duration,

    open: Option<StreamId>,
    out: BTreeMap<CallId, bool>,
    /// Since when no subscription was tried, though a master was known.
    idle_since: Option<Duration>,
    reading: bool,

    lives: [Life; 2],
    leader: usize,
    stream: Option<Stream>,
    streams: u32,
    offers: BTreeSet<String>,
    next_offer: u32,
    /// Tasks that were launched, with the updates that were not acknowledged.
    tasks: BTreeMap<String, VecDeque<(Vec<u8>, TaskState)>>,
    acknowledged: BTreeSet<Vec<u8>>,
    /// Offers for which an ACCEPT arrived.
    accepted: BTreeSet<String>,
    killed: BTreeSet<String>,

    /// The scheduler: updates written down, offers whose ACCEPT it was told was not sent, kills it
    /// wanted.
    durable: BTreeSet<Vec<u8>>,
    not_sent: BTreeSet<String>,
    unknown: BTreeSet<String>,
    kills: BTreeSet<String>,
    writing: usize,
    losses: u32,
    tries: u32,
    gave_up: Option<GiveUp>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let format = if random.chance(80) { Format::Protobuf } else { Format::Json };
        let options = Options {
            format,
            max_record: MAX_RECORD,
            max_waiting: MAX_WAITING,
            max_pause: MAX_PAUSE,
            call_timeout: SECOND,
            subscribe_timeout: 2 * SECOND,
            ..Options::default()
        };
        let calm = Duration::from_secs(5) + random.ms(20_000);
        Self {
            now: SECOND,
            queue: BTreeMap::new(),
            sequence: 0,
            session: Session::new(Framework::default().info(), options, random.next()),
            timer: None,
            format,
            told: random.chance(50),
            calm,
            open: None,
            out: BTreeMap::new(),
            idle_since: None,
            reading: true,
            lives: [Life::Up; 2],
            leader: 0,
            stream: None,
            streams: 0,
            offers: BTreeSet::new(),
            next_offer: 0,
            tasks: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            accepted: BTreeSet::new(),
            killed: BTreeSet::new(),
            durable: BTreeSet::new(),
            not_sent: BTreeSet::new(),
            unknown: BTreeSet::new(),
            kills: BTreeSet::new(),
            writing: 0,
            losses: 0,
            tries: 0,
            gave_up: None,
            random,
        }
    }

    /// Does something go wrong now?
    fn bad(&mut self, percent: u64) -> bool {
        self.now < self.calm && self.random.chance(percent)
    }

    /// What must hold at the end.
    fn check(&self) {
        assert!(self.session.is_connected());
        assert_eq!(self.writing, 0);
        assert_eq!((self.session.waiting(), self.session.queued()), (0, 0));
        for (id, updates) in &self.tasks {
            assert!(updates.is_empty(), "{id}: {updates:?}");
        }
        assert!(self.kills.is_subset(&self.killed), "{:?} {:?}", self.kills, self.killed);
        assert!(self.accepted.is_disjoint(&self.not_sent));
    }
}

/// Ends of frameworks, which the schedules do not have.
#[test]
fn errors_of_the_master_end_it() {
    let error = |message: &str| {
        let mut session = Session::new(Framework::default().info(), Options::default(), 1);
        let outputs = session.handle(SECOND, Input::Masters(vec![address(0)]));
        let stream = outputs.iter().find_map(|output| match output {
            Output::OpenSubscription(stream, _) => Some(*stream),
            _ => None,
        });
        let stream = stream.unwrap();
        let response = Response { status: 200, stream_id: Some("s"), ..Response::default() };
        session.handle(SECOND, Input::Response { stream, response });
        let record =
            Record { error: Some(Error { message: message.to_owned() }), ..of_type(Type::Error) };
        let bytes = framed(&Format::Protobuf.encode(&record));
        let outputs = session.handle(SECOND, Input::Bytes { stream, bytes: &bytes });
        let gave_up = outputs.iter().find_map(|output| match output {
            Output::Deliver(Event::GaveUp(reason)) => Some(reason.clone()),
            _ => None,
        });
        assert!(session.handle(SECOND, Input::Tick).is_empty(), "nothing after the end");
        gave_up.unwrap()
    };
    let text = |text: &str| text.to_owned();
    let removed = "Framework has been removed";
    assert_eq!(error(removed), GiveUp::Removed(text(removed)));
    assert_eq!(error("Framework failed over"), GiveUp::FailedOver(text("Framework failed over")));
    assert_eq!(error("No."), GiveUp::Error(text("No.")));
}

fn seeds(range: std::ops::Range<u64>) {
    let (mut tries, mut losses, mut updates, mut kills) = (0, 0, 0, 0);
    let (mut accepted, mut not_sent, mut unknown) = (0, 0, 0);
    let count = range.end - range.start;
    for seed in range {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.run();
            world
        });
        let Ok(world) = result else { panic!("seed {seed}") };
        tries += u64::from(world.tries);
        losses += u64::from(world.losses);
        updates += world.acknowledged.len() as u64;
        kills += world.killed.len() as u64;
        accepted += world.accepted.len() as u64;
        not_sent += world.not_sent.len() as u64;
        unknown += world.unknown.len() as u64;
    }
    println!(
        "{count}: {tries} tries, {losses} losses, {updates} updates, {kills} kills, ACCEPT: \
         {accepted} arrived, {not_sent} not sent, {unknown} unknown"
    );
    // The schedules do what they are for.
    assert!(losses > 2 * count && updates > 10 * count && kills > count);
    assert!(not_sent > 0 && unknown > 0 && accepted > 4 * count);
}

#[test]
fn three_hundred_schedules() {
    seeds(0..300);
}

#[test]
#[ignore = "takes minutes without optimization"]
fn ten_thousand_schedules() {
    seeds(0..10_000);
}
