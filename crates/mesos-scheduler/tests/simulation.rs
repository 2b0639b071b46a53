//! Seeded schedules of everything that can happen between a scheduler and two masters: cuts at any
//! byte, silence, late and lost calls, errors of HTTP, broken records, masters that die, recover and
//! hand over, redirects to dead ones, a scheduler whose log is slow. Nothing may be acknowledged
//! before it is durable, no ACCEPT may arrive twice, every kill must arrive, and in the end every
//! update is acknowledged.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use mesos_scheduler::session::{
    ACKNOWLEDGEMENTS, CallId, Command, Input, Output, Response, Session, StreamId,
};
use mesos_scheduler::v1::scheduler::event::{Error, Offers, Subscribed, Type, Update};
use mesos_scheduler::v1::scheduler::{Call, Event as Record, call as calls};
use mesos_scheduler::v1::{
    AgentId, FrameworkId, Offer, OfferId, TaskId, TaskInfo, TaskState, TaskStatus, task_status,
};
use mesos_scheduler::{
    CallError, Endpoint, Event, Format, Framework, GiveUp, Options, Receipt, call,
};

#[path = "../../mesos-executor/tests/support/chance.rs"]
mod chance;

use chance::{Cut, Random, framed, nonsense};

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

/// Something that will happen.
enum Later {
    /// A master gets a SUBSCRIBE.
    Subscribe {
        stream: StreamId,
        master: usize,
        body: Vec<u8>,
    },
    /// The session gets the head of an answer, a piece of a stream, or its end.
    Response {
        stream: StreamId,
        status: u16,
        location: Option<usize>,
        name: Option<String>,
    },
    Piece {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    Gone {
        stream: StreamId,
    },
    /// A master gets a call; the session hears of it, or not.
    Call {
        call: CallId,
        master: usize,
        name: String,
        body: Vec<u8>,
        answered: bool,
    },
    Answer {
        call: CallId,
        status: u16,
        location: Option<usize>,
        text: &'static str,
    },
    CallFailed {
        call: CallId,
        unsent: bool,
    },
    /// The leader's heartbeat on this stream.
    Heartbeat {
        stream: StreamId,
    },
    /// Agents offer what they have, and send what was not acknowledged.
    Agents,
    /// The leader dies or gives up; the other takes over.
    Die,
    /// A master is back, or has recovered.
    Back {
        master: usize,
    },
    /// The session hears who leads.
    Tell,
    /// The scheduler has written something down.
    Written {
        receipt: Receipt,
        uuid: Option<Vec<u8>>,
    },
    /// The scheduler kills a task.
    Kill,
    /// The scheduler makes a call.
    Command(Box<Call>),
    /// Everything that could go wrong has.
    Calm,
}

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Dead,
    Recovering,
    Up,
}

struct Stream {
    id: StreamId,
    name: String,
    /// Bytes until it is cut, or until nothing comes any more; `None`: neither.
    cut: Cut,
    silent: bool,
    /// When the last piece arrives.
    last: Duration,
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

    fn later(&mut self, after: Duration, what: Later) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), what);
    }

    /// Does something go wrong now?
    fn bad(&mut self, percent: u64) -> bool {
        self.now < self.calm && self.random.chance(percent)
    }

    // ---------- the session ----------

    fn handle(&mut self, input: Input<'_>) {
        for output in self.session.handle(self.now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    assert_eq!(self.open, None, "one stream at a time");
                    if let Some(since) = self.idle_since.take() {
                        assert!(self.now - since <= MAX_PAUSE, "{:?}", self.now - since);
                    }
                    self.tries += 1;
                    self.open = Some(stream);
                    let master = usize::from(request.master == address(1));
                    let after = self.random.ms(20);
                    self.later(after, Later::Subscribe { stream, master, body: request.body });
                }
                Output::CloseSubscription(stream) => {
                    assert_eq!(self.open.take(), Some(stream));
                    self.idle_since = Some(self.now);
                    if self.stream.as_ref().is_some_and(|s| s.id == stream) {
                        self.stream = None;
                    }
                }
                Output::PostCall(id, request) => {
                    let call: Call = self.format.decode(&request.body).unwrap();
                    let ordered = call.acknowledge.is_none();
                    self.out.insert(id, ordered);
                    assert!(self.out.values().filter(|o| **o).count() <= 1, "order is lost");
                    assert!(self.out.values().filter(|o| !**o).count() <= ACKNOWLEDGEMENTS);
                    let name = request.headers.iter().find(|(n, _)| *n == "mesos-stream-id");
                    let name = name.unwrap().1.clone();
                    let master = usize::from(request.master == address(1));
                    self.send(id, master, name, request.body);
                }
                Output::AbandonCall(id) => assert!(self.out.remove(&id).is_some()),
                Output::Deliver(event) => self.scheduler(event),
                Output::SetTimer(at) => self.timer = at,
            }
            assert!(self.session.waiting() <= MAX_WAITING, "more than can be written down");
        }
        let reading = self.session.wants_bytes();
        if self.reading != reading {
            self.reading = reading;
            self.handle(Input::Reading(reading));
        }
    }

    /// The network takes a call.
    fn send(&mut self, call: CallId, master: usize, name: String, body: Vec<u8>) {
        let after = self.random.ms(10);
        let arrives = |answered| Later::Call { call, master, name, body, answered };
        if self.bad(4) {
            // Lost on the way, and known to be.
            let after = self.random.ms(50);
            return self.later(after, Later::CallFailed { call, unsent: true });
        }
        if self.bad(6) {
            // It arrives, perhaps very late or never, but the connection breaks.
            let failed = self.random.ms(50);
            if self.random.chance(70) {
                let after = self.random.ms(700);
                self.later(after, arrives(false));
            }
            return self.later(failed, Later::CallFailed { call, unsent: false });
        }
        if self.bad(2) {
            // Silence.
            if self.random.chance(50) {
                self.later(after, arrives(false));
            }
            return;
        }
        if self.bad(5) {
            let status = [500, 502, 504][self.random.below(3) as usize];
            if self.random.chance(50) {
                // It did its work before it failed.
                self.later(after, arrives(false));
            }
            let answer = Later::Answer { call, status, location: None, text: "" };
            return self.later(after + MS, answer);
        }
        if self.bad(4) {
            let status = [503, 404, 429][self.random.below(3) as usize];
            let answer = Later::Answer { call, status, location: None, text: "" };
            return self.later(after + MS, answer);
        }
        self.later(after, arrives(true));
    }

    // ---------- the scheduler ----------

    fn scheduler(&mut self, event: Event) {
        match event {
            Event::Subscribed { framework_id, .. } => {
                assert_eq!(framework_id, "f");
                self.command(call::reconcile([]));
            }
            Event::Offers(offers) => {
                for offer in offers {
                    let id = offer.id.value;
                    if self.random.chance(40) {
                        self.command(call::decline(&[&id], SECOND));
                        continue;
                    }
                    let task = TaskInfo {
                        name: id.clone(),
                        task_id: TaskId { value: format!("task-{id}") },
                        agent_id: offer.agent_id,
                        ..TaskInfo::default()
                    };
                    self.command(call::accept(&[&id], vec![call::launch(vec![task])], SECOND));
                }
            }
            Event::Update { receipt, status } => {
                self.writing += 1;
                let slow = self.random.chance(5) && self.now < self.calm;
                let after = self.random.ms(if slow { 8000 } else { 60 });
                self.later(after, Later::Written { receipt, uuid: status.uuid });
            }
            Event::Refused { call, error } => {
                let accept = call.accept.unwrap_or_else(|| panic!("{error}"));
                let offer = accept.offer_ids[0].value.clone();
                match error {
                    CallError::NotSent(_) => assert!(self.not_sent.insert(offer)),
                    CallError::Unknown(_) => assert!(self.unknown.insert(offer)),
                    CallError::Rejected(rejection) => panic!("{rejection}"),
                }
            }
            Event::Disconnected { .. } => self.losses += 1,
            Event::GaveUp(reason) => self.gave_up = Some(reason),
            _ => {}
        }
    }

    /// At once, but after what is going on.
    fn command(&mut self, call: Call) {
        self.later(Duration::ZERO, Later::Command(Box::new(call)));
    }

    // ---------- the masters ----------

    fn subscribe(&mut self, stream: StreamId, master: usize, body: &[u8]) {
        let answer = |status, location| Later::Response { stream, status, location, name: None };
        if self.lives[master] == Life::Dead || self.bad(5) {
            return self.later(MS, Later::Gone { stream });
        }
        if self.lives[master] == Life::Recovering {
            let status = if self.random.chance(50) { 503 } else { 404 };
            return self.later(MS, answer(status, None));
        }
        if self.bad(5) {
            let status = [500, 503, 404, 502][self.random.below(4) as usize];
            return self.later(MS, answer(status, None));
        }
        if self.leader != master {
            // Who leads, or whom it believes to lead.
            return self.later(MS, answer(307, Some(self.leader)));
        }
        if self.bad(1) {
            // Silence; the master never saw it.
            return;
        }
        let call: Call = self.format.decode(body).unwrap();
        let info = call.subscribe.unwrap().framework_info;
        assert_eq!(info.id, call.framework_id);
        if let Some(old) = self.stream.take() {
            self.later(MS, Later::Gone { stream: old.id });
        }
        self.streams += 1;
        let name = format!("stream-{}", self.streams);
        let named = (!self.bad(1)).then(|| name.clone());
        self.later(MS, Later::Response { stream, status: 200, location: None, name: named });
        let cut = self.bad(40).then(|| self.random.below(6000) as usize);
        let cut = Cut(cut);
        let silent = self.random.chance(30);
        let last = self.now + MS;
        self.offers.clear();
        self.stream = Some(Stream { id: stream, name, cut, silent, last });
        self.record(&Record {
            subscribed: Some(Subscribed {
                framework_id: FrameworkId { value: "f".into() },
                heartbeat_interval_seconds: Some(1.0),
                master_info: None,
            }),
            ..of_type(Type::Subscribed)
        });
        self.later(SECOND, Later::Heartbeat { stream });
        self.send_updates();
        self.later(10 * MS, Later::Agents);
    }

    /// Sends a record on the stream, if there is one, in pieces.
    fn record(&mut self, record: &Record) {
        self.bytes(framed(&self.format.encode(record)));
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        let Some(stream) = &mut self.stream else { return };
        let id = stream.id;
        let (bytes, gone) = stream.cut.pass(bytes);
        let silent = stream.silent;
        let mut last = stream.last.max(self.now);
        for (pause, bytes) in self.random.pieces(&bytes) {
            last += pause;
            let after = last - self.now;
            self.later(after, Later::Piece { stream: id, bytes });
        }
        if gone && !silent {
            self.stream = None;
            let after = last - self.now + MS;
            self.later(after, Later::Gone { stream: id });
        } else if let Some(stream) = &mut self.stream {
            stream.last = last;
        }
    }

    /// Now and then the stream carries nonsense.
    fn nonsense(&mut self) {
        match self.random.below(6) {
            which @ 0..4 => self.bytes(nonsense(which, MAX_RECORD)),
            4 => self.record(&of_type(Type::Update)),
            _ => self.record(&Record { r#type: Some(77), ..Record::default() }),
        }
    }

    /// What agents have to say: the oldest update of each task.
    fn send_updates(&mut self) {
        let ids: Vec<String> = self.tasks.keys().cloned().collect();
        for id in ids {
            self.send_oldest(&id);
        }
    }

    fn send_oldest(&mut self, id: &str) {
        if let Some((uuid, state)) = self.tasks.get(id).and_then(|updates| updates.front()) {
            let (uuid, state) = (uuid.clone(), *state);
            self.send_update(id, state, Some(uuid));
        }
    }

    fn send_update(&mut self, id: &str, state: TaskState, uuid: Option<Vec<u8>>) {
        let source = match uuid {
            Some(_) => task_status::Source::Executor,
            None => task_status::Source::Master,
        };
        let status = TaskStatus {
            task_id: TaskId { value: id.to_owned() },
            state: state.into(),
            agent_id: Some(AgentId { value: "agent".into() }),
            source: Some(source.into()),
            uuid,
            ..TaskStatus::default()
        };
        self.record(&Record { update: Some(Update { status }), ..of_type(Type::Update) });
    }

    fn agents(&mut self) {
        self.send_updates();
        if self.stream.is_some() && self.tasks.len() < 12 && self.now < self.calm {
            let offers = (0..1 + self.random.below(3)).map(|_| {
                self.next_offer += 1;
                Offer {
                    id: OfferId { value: format!("offer-{}", self.next_offer) },
                    framework_id: FrameworkId { value: "f".into() },
                    agent_id: AgentId { value: "agent".into() },
                    hostname: "h".into(),
                    ..Offer::default()
                }
            });
            let offers: Vec<Offer> = offers.collect();
            self.offers.extend(offers.iter().map(|offer| offer.id.value.clone()));
            self.record(&Record { offers: Some(Offers { offers }), ..of_type(Type::Offers) });
        }
        if self.bad(4) {
            self.nonsense();
        }
        let after = 300 * MS + self.random.ms(700);
        self.later(after, Later::Agents);
    }

    fn call(&mut self, call: CallId, master: usize, name: &str, body: &[u8], answered: bool) {
        let answer = |status, location, text| Later::Answer { call, status, location, text };
        let answer = match (self.lives[master], &self.stream) {
            (Life::Dead, _) => Later::CallFailed { call, unsent: true },
            (Life::Recovering, _) => answer(503, None, ""),
            _ if self.leader != master => answer(307, Some(self.leader), ""),
            (Life::Up, None) => answer(403, None, "Framework is not subscribed"),
            (Life::Up, Some(stream)) if stream.name != name => answer(
                400,
                None,
                "The stream ID 'a' included in this request didn't match the stream ID of b",
            ),
            (Life::Up, Some(_)) => {
                let call: Call = self.format.decode(body).unwrap();
                assert_eq!(call.framework_id.as_ref().unwrap().value, "f");
                self.take(call);
                answer(202, None, "")
            }
        };
        if answered {
            let after = self.random.ms(10);
            self.later(after, answer);
        }
    }

    fn take(&mut self, call: Call) {
        match call.r#type() {
            calls::Type::Accept => {
                let accept = call.accept.unwrap();
                let offer = accept.offer_ids[0].value.clone();
                assert!(self.accepted.insert(offer.clone()), "an ACCEPT arrived twice");
                assert!(!self.not_sent.contains(&offer), "it was not to be sent");
                let task = accept.operations[0].launch.as_ref().unwrap().task_infos[0].clone();
                let id = task.task_id.value;
                if !self.offers.remove(&offer) {
                    return self.send_update(&id, TaskState::TaskLost, None);
                }
                let states =
                    [TaskState::TaskStarting, TaskState::TaskRunning, TaskState::TaskFinished];
                let uuid = |random: &mut Random| {
                    [random.next().to_be_bytes(), random.next().to_be_bytes()].concat()
                };
                let updates = states.map(|state| (uuid(&mut self.random), state));
                self.tasks.insert(id.clone(), updates.into());
                self.send_oldest(&id);
            }
            calls::Type::Acknowledge => {
                let acknowledge = call.acknowledge.unwrap();
                let uuid = acknowledge.uuid;
                assert!(self.durable.contains(&uuid), "acknowledged before it was written down");
                let id = acknowledge.task_id.value;
                let updates = self.tasks.get_mut(&id).unwrap();
                if updates.front().is_some_and(|(oldest, _)| *oldest == uuid) {
                    updates.pop_front();
                    self.acknowledged.insert(uuid);
                    self.send_oldest(&id);
                }
            }
            calls::Type::Kill => {
                self.killed.insert(call.kill.unwrap().task_id.value);
            }
            calls::Type::Reconcile => {
                let ids: Vec<String> = self.tasks.keys().cloned().collect();
                for id in ids {
                    self.send_update(&id, TaskState::TaskRunning, None);
                }
            }
            calls::Type::Decline => {
                self.offers.remove(&call.decline.unwrap().offer_ids[0].value);
            }
            other => panic!("{other:?}"),
        }
    }

    fn happen(&mut self, what: Later) {
        match what {
            Later::Subscribe { stream, master, body } => {
                if self.open == Some(stream) {
                    self.subscribe(stream, master, &body);
                }
            }
            Later::Response { stream, status, location, name } => {
                // The answer to a try that the session gave up goes nowhere.
                if self.open != Some(stream) {
                    return;
                }
                let location = location.map(|master| format!("//{}/x", address(master)));
                let response = Response {
                    status,
                    content_type: Some(self.format.content_type()),
                    stream_id: name.as_deref(),
                    location: location.as_deref(),
                    body: b"",
                };
                self.handle(Input::Response { stream, response });
            }
            // What was sent on a closed stream may still come.
            Later::Piece { stream, bytes } => self.handle(Input::Bytes { stream, bytes: &bytes }),
            Later::Gone { stream } => {
                if self.stream.as_ref().is_some_and(|s| s.id == stream) {
                    self.stream = None;
                }
                if self.open.take_if(|open| *open == stream).is_some() {
                    self.idle_since = Some(self.now);
                    self.handle(Input::Disconnected { stream, reason: "gone".into() });
                }
            }
            Later::Call { call, master, name, body, answered } => {
                self.call(call, master, &name, &body, answered);
            }
            Later::Answer { call, status, location, text } => {
                self.out.remove(&call);
                let location = location.map(|master| format!("//{}/x", address(master)));
                let response = Response {
                    status,
                    location: location.as_deref(),
                    body: text.as_bytes(),
                    ..Response::default()
                };
                self.handle(Input::Answer { call, response });
            }
            Later::CallFailed { call, unsent } => {
                self.out.remove(&call);
                self.handle(Input::CallFailed { call, unsent, reason: "cut".into() });
            }
            Later::Heartbeat { stream } => {
                if self.stream.as_ref().is_some_and(|s| s.id == stream) {
                    self.record(&of_type(Type::Heartbeat));
                    self.later(SECOND, Later::Heartbeat { stream });
                }
            }
            Later::Agents => {
                // One round at a time.
                self.queue.retain(|_, what| !matches!(what, Later::Agents));
                self.agents();
            }
            Later::Die => {
                let old = self.leader;
                self.leader = 1 - old;
                self.offers.clear();
                if let Some(stream) = self.stream.take() {
                    let after = self.random.ms(5);
                    self.later(after, Later::Gone { stream: stream.id });
                }
                if self.random.chance(70) {
                    self.lives[old] = Life::Dead;
                    let after = self.random.ms(3000);
                    self.later(after, Later::Back { master: old });
                }
                let after = self.random.ms(2000);
                self.later(after, Later::Tell);
            }
            Later::Back { master } => match self.lives[master] {
                Life::Dead => {
                    self.lives[master] = Life::Recovering;
                    let after = self.random.ms(500);
                    self.later(after, Later::Back { master });
                }
                _ => self.lives[master] = Life::Up,
            },
            Later::Tell => {
                if self.told {
                    let none = self.bad(20);
                    let masters = if none { Vec::new() } else { vec![address(self.leader)] };
                    self.idle_since = None;
                    self.handle(Input::Masters(masters));
                    if none {
                        self.later(100 * MS, Later::Tell);
                    }
                }
            }
            Later::Written { receipt, uuid } => {
                self.writing -= 1;
                self.durable.extend(uuid);
                self.handle(Input::Command(Command::Durable(receipt)));
            }
            Later::Kill => {
                let id = format!("task-offer-{}", 1 + self.random.below(40));
                self.kills.insert(id.clone());
                self.command(call::kill(&id, None, None));
            }
            Later::Command(call) => self.handle(Input::Command(Command::Call(call))),
            Later::Calm => {
                // A stream that is to be cut or silent is no calm.
                if let Some(stream) = &mut self.stream {
                    stream.cut = Cut(None);
                }
            }
        }
    }

    fn step(&mut self) {
        let next = *self.queue.keys().next().unwrap();
        match self.timer {
            Some(at) if at < next.0 => {
                self.now = self.now.max(at);
                self.timer = None;
                self.handle(Input::Tick);
            }
            _ => {
                let (key, what) = self.queue.pop_first().unwrap();
                self.now = self.now.max(key.0);
                self.happen(what);
            }
        }
    }

    fn run(&mut self) {
        let masters = if self.told { vec![address(0)] } else { vec![address(0), address(1)] };
        self.handle(Input::Masters(masters));
        for _ in 0..self.random.below(4) {
            let after = self.random.ms(self.calm.as_millis() as u64 - 1000);
            self.later(after, Later::Die);
        }
        for _ in 0..self.random.below(6) {
            let after = self.random.ms(self.calm.as_millis() as u64);
            self.later(after, Later::Kill);
        }
        self.later(self.calm - self.now, Later::Calm);
        let end = self.calm + CALM;
        let mut steps = 0;
        while self.now < end {
            self.step();
            steps += 1;
            assert!(steps < 200_000, "too much happens");
            assert_eq!(self.gave_up, None);
        }
        self.check();
    }

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

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Record::default() }
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
