//! Seeded schedules of everything that can happen between an executor and its agent: cuts at any
//! byte, repeated and late records and calls, silence, errors of HTTP, oversize and broken records,
//! wrong ids, restarts that forget what was not written down. Whatever the executor reported must
//! have reached the scheduler: each update once, in the order of its task.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesos_executor::session::{
    CallId, Command, Input, MAX_PAUSE, Now, Options, Output, Session, StreamId,
};
use mesos_executor::v1::executor::event::{Acknowledged, Launch, Subscribed, Type};
use mesos_executor::v1::executor::{Call, Event as Record, call};
use mesos_executor::v1::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo,
    TaskState, TaskStatus,
};
use mesos_executor::{Environment, Event, Format, GiveUp};

#[path = "support/chance.rs"]
mod chance;

use chance::{Cut, Random, framed, nonsense};

const MS: Duration = Duration::from_millis(1);
const MAX_RECORD: usize = 4096;

/// Something that will happen.
enum Later {
    /// The agent gets a SUBSCRIBE.
    Subscribe {
        stream: StreamId,
        body: Vec<u8>,
    },
    /// The session gets a piece of a stream, or its end.
    Piece {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    Response {
        stream: StreamId,
        status: u16,
        content_type: &'static str,
    },
    Gone {
        stream: StreamId,
        closed: bool,
    },
    /// The agent gets a call; the session hears of it, or not.
    Call {
        call: CallId,
        body: Vec<u8>,
        answered: bool,
    },
    Answer {
        call: CallId,
        status: u16,
    },
    CallFailed {
        call: CallId,
    },
    /// The agent works on the oldest update that it has accepted.
    Work {
        life: u32,
    },
    /// The agent sends an acknowledgement.
    Acknowledge {
        life: u32,
        task: String,
        uuid: Vec<u8>,
    },
    /// The agent launches a task.
    Launch {
        task: String,
    },
    /// The executor reports the next state of a task.
    Report {
        task: String,
    },
    /// The agent dies.
    Die,
    /// The agent is back.
    Back,
    /// The agent tells the executor to shut down.
    Shutdown,
    /// The executor wants something.
    Command(Command),
    /// Everything that could go wrong has.
    Calm,
}

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

#[derive(Default)]
struct Agent {
    /// Counts restarts.
    life: u32,
    up: bool,
    /// Listens, but does not take subscriptions yet.
    recovering: bool,
    subscribed: bool,
    stream: Option<Stream>,
    /// On disk: tasks by id, and whether an update of it was processed.
    tasks: BTreeMap<String, bool>,
    dropped: BTreeSet<String>,
    terminating: bool,
    torn_down: bool,
    /// It died with updates that it had accepted, and nobody could know.
    forgot: bool,
    /// On disk: uuids that went to the scheduler.
    known: BTreeSet<Vec<u8>>,
    /// In memory: accepted, not processed.
    accepted: Vec<TaskStatus>,
    /// What the scheduler got.
    scheduler: Vec<(String, TaskState)>,
}

struct Stream {
    id: StreamId,
    /// Bytes until it is cut; `None`: it is not.
    cut: Cut,
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

fn executor(id: &str) -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId { value: id.into() },
        framework_id: Some(FrameworkId { value: "framework".into() }),
        ..Default::default()
    }
}

fn task(id: &str, executor_id: &str) -> TaskInfo {
    TaskInfo {
        name: id.into(),
        task_id: TaskId { value: id.into() },
        agent_id: AgentId { value: "agent".into() },
        executor: Some(executor(executor_id)),
        data: Some(id.as_bytes().repeat(5)),
        ..Default::default()
    }
}

fn subscribed(executor_id: &str, framework_id: &str) -> Record {
    Record {
        r#type: Some(Type::Subscribed.into()),
        subscribed: Some(Subscribed {
            executor_info: executor(executor_id),
            framework_info: FrameworkInfo {
                user: "u".into(),
                name: "n".into(),
                id: Some(FrameworkId { value: framework_id.into() }),
                ..Default::default()
            },
            agent_info: AgentInfo { hostname: "h".into(), ..Default::default() },
            container_id: None,
        }),
        ..Default::default()
    }
}

fn of_type(kind: Type) -> Record {
    Record { r#type: Some(kind.into()), ..Default::default() }
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
            agent: Agent { up: true, ..Agent::default() },
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
        let now = Now { wall: self.now, mono: self.now };
        for output in self.session.handle(now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    assert!(self.open.is_empty(), "one stream at a time");
                    if let Some(since) = self.idle_since.take() {
                        assert!(self.now - since <= MAX_PAUSE, "{:?}", self.now - since);
                    }
                    self.tries += 1;
                    self.open.insert(stream);
                    let after = self.random.ms(20);
                    self.later(after, Later::Subscribe { stream, body: request.body });
                }
                Output::CloseSubscription(stream) => {
                    assert!(self.open.remove(&stream));
                    if self.shut_down.is_none() {
                        self.idle_since = Some(self.now);
                    }
                    if self.agent.stream.as_ref().is_some_and(|s| s.id == stream) {
                        self.agent.stream = None;
                    }
                }
                Output::PostCall(call, request) => {
                    assert!(self.call.is_none(), "one call at a time");
                    self.call = Some(call);
                    self.send(call, request.body);
                }
                Output::AbandonCall(call) => {
                    assert_eq!(self.call.take(), Some(call));
                }
                Output::Deliver(event) => self.executor(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    /// The network takes a call.
    fn send(&mut self, call: CallId, body: Vec<u8>) {
        let after = self.random.ms(10);
        if self.bad(5) {
            // Lost on the way.
            let after = self.random.ms(50);
            return self.later(after, Later::CallFailed { call });
        }
        if self.bad(5) {
            // It arrives, perhaps very late, but the connection breaks.
            let failed = self.random.ms(50);
            let after = self.random.ms(700);
            self.later(failed, Later::CallFailed { call });
            return self.later(after, Later::Call { call, body, answered: false });
        }
        if self.bad(2) {
            // Silence.
            if self.random.chance(50) {
                self.later(after, Later::Call { call, body, answered: false });
            }
            return;
        }
        if self.bad(6) {
            let status = [500, 503, 404, 502, 429, 302][self.random.below(6) as usize];
            if self.random.chance(30) {
                // It did its work before it failed.
                self.later(after, Later::Call { call, body, answered: false });
            }
            return self.later(after + MS, Later::Answer { call, status });
        }
        self.later(after, Later::Call { call, body, answered: true });
    }

    // ---------- the executor ----------

    fn executor(&mut self, event: Event) {
        match event {
            Event::Launch(info) => {
                let id = info.task_id.value.clone();
                assert_eq!(*info, task(&id, "executor"), "an altered task");
                if self.reported.contains_key(&id) {
                    return;
                }
                let terminal = [
                    TaskState::TaskFinished,
                    TaskState::TaskFailed,
                    TaskState::TaskKilled,
                    TaskState::TaskLost,
                ][self.random.below(4) as usize];
                let mut plan = vec![TaskState::TaskStarting, TaskState::TaskRunning];
                if self.random.chance(30) {
                    plan.push(TaskState::TaskKilling);
                }
                plan.push(terminal);
                self.plans.insert(id.clone(), plan);
                self.reported.insert(id.clone(), Vec::new());
                self.report(&id);
            }
            Event::Shutdown => {
                assert_eq!(self.shut_down, None, "told twice");
                self.shut_down = Some(self.now);
                self.idle_since = None;
                let ids: Vec<String> = self.plans.keys().cloned().collect();
                for id in ids {
                    if let Some(plan) = self.plans.get_mut(&id) {
                        let last = plan.pop();
                        plan.clear();
                        plan.extend(last);
                    }
                    self.report(&id);
                }
                self.flush();
            }
            Event::Flushed { unsent, unacknowledged } => {
                self.flushing = false;
                self.flushed = Some((self.now, unsent, unacknowledged));
            }
            Event::GaveUp(reason) => self.gave_up = Some(reason),
            Event::Refused { status, reason } => panic!("refused {status:?}: {reason}"),
            Event::Disconnected { .. } => self.disconnects += 1,
            _ => {}
        }
    }

    /// Reports the next state of a task.
    fn report(&mut self, id: &str) {
        let Some(plan) = self.plans.get_mut(id) else { return };
        if plan.is_empty() {
            return;
        }
        let state = plan.remove(0);
        if plan.is_empty() {
            self.plans.remove(id);
        } else {
            let slow = self.random.chance(33);
            let after = self.random.ms(if slow { 20 } else { 3000 });
            self.later(after, Later::Report { task: id.to_owned() });
        }
        self.reported.get_mut(id).unwrap().push(state);
        let status = TaskStatus {
            task_id: TaskId { value: id.to_owned() },
            state: state.into(),
            ..Default::default()
        };
        self.later(Duration::ZERO, Later::Command(Command::Update(Box::new(status))));
    }

    fn flush(&mut self) {
        if !self.flushing {
            self.flushing = true;
            let within = Duration::from_secs(60);
            self.later(Duration::ZERO, Later::Command(Command::Flush { within }));
        }
    }

    // ---------- the agent ----------

    fn subscribe(&mut self, stream: StreamId, body: &[u8]) {
        if !self.agent.up || self.bad(5) {
            return self.later(MS, Later::Gone { stream, closed: false });
        }
        if self.agent.recovering {
            let status = if self.random.chance(50) { 503 } else { 404 };
            return self.later(MS, Later::Response { stream, status, content_type: "" });
        }
        if self.bad(5) {
            let status = [500, 503, 404, 502, 302][self.random.below(5) as usize];
            return self.later(MS, Later::Response { stream, status, content_type: "" });
        }
        if self.bad(1) {
            // Silence; the agent never saw it.
            return;
        }
        let call: Call = self.format.decode(body).unwrap();
        let subscribe = call.subscribe.unwrap();
        // The former stream gets its last chunk.
        if let Some(old) = self.agent.stream.take() {
            let after = old.last.saturating_sub(self.now) + MS;
            self.later(after, Later::Gone { stream: old.id, closed: true });
        }
        self.agent.subscribed = true;
        let content_type = if self.bad(1) { "text/html" } else { self.format.content_type() };
        self.later(MS, Later::Response { stream, status: 200, content_type });
        let cut = self.bad(25).then(|| self.random.below(1500) as usize);
        let cut = Cut(cut);
        self.agent.stream = Some(Stream { id: stream, cut, last: self.now + MS });
        if self.agent.terminating {
            // It does not look at the rest of the call.
            self.record(&of_type(Type::Shutdown));
            if let Some(old) = self.agent.stream.take() {
                let after = old.last.saturating_sub(self.now) + MS;
                self.later(after, Later::Gone { stream: old.id, closed: true });
            }
            return;
        }
        let listed: BTreeSet<String> =
            subscribe.unacknowledged_tasks.iter().map(|t| t.task_id.value.clone()).collect();
        let waiting: Vec<_> = self.agent.accepted.iter().map(|s| s.task_id.value.clone()).collect();
        for update in subscribe.unacknowledged_updates {
            self.accept(update.status);
        }
        for (id, processed) in &self.agent.tasks {
            if !processed && !listed.contains(id) && !waiting.contains(id) {
                self.agent.dropped.insert(id.clone());
            }
        }
        let wrong = self.bad(3);
        let first = match (wrong, self.random.chance(50)) {
            (true, true) => subscribed("other", "framework"),
            (true, false) => subscribed("executor", "other"),
            (false, _) => subscribed("executor", "framework"),
        };
        self.record(&first);
        if self.bad(5) {
            self.record(&first);
        }
    }

    fn accept(&mut self, status: TaskStatus) {
        self.agent.accepted.push(status);
        let slow = self.random.chance(25);
        let after = self.random.ms(if slow { 400 } else { 5 });
        let life = self.agent.life;
        self.later(after, Later::Work { life });
    }

    /// Processes the oldest update: writes it down, passes it on, acknowledges it.
    fn work(&mut self) {
        if self.agent.accepted.is_empty() {
            return;
        }
        let status = self.agent.accepted.remove(0);
        let task = status.task_id.value.clone();
        let uuid = status.uuid().to_vec();
        assert_eq!(uuid.len(), 16);
        assert_eq!(status.source(), mesos_executor::v1::task_status::Source::Executor);
        assert!(status.timestamp.is_some());
        if self.agent.torn_down {
            return;
        }
        assert!(!self.agent.dropped.contains(&task), "an update of a dropped task {task}");
        if self.agent.known.insert(uuid.clone()) {
            self.agent.scheduler.push((task.clone(), status.state()));
        }
        self.agent.tasks.insert(task.clone(), true);
        let slow = self.random.chance(33);
        let after = self.random.ms(if slow { 200 } else { 2 });
        let life = self.agent.life;
        self.later(after, Later::Acknowledge { life, task, uuid });
    }

    /// Sends a record on the stream, if there is one, in pieces.
    fn record(&mut self, record: &Record) {
        self.bytes(framed(&self.format.encode(record)));
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        let Some(stream) = &mut self.agent.stream else { return };
        let id = stream.id;
        let (bytes, gone) = stream.cut.pass(bytes);
        let mut last = stream.last.max(self.now);
        for (pause, bytes) in self.random.pieces(&bytes) {
            last += pause;
            let after = last - self.now;
            self.later(after, Later::Piece { stream: id, bytes });
        }
        if gone {
            self.agent.stream = None;
            let after = last - self.now + MS;
            self.later(after, Later::Gone { stream: id, closed: false });
        } else if let Some(stream) = &mut self.agent.stream {
            stream.last = last;
        }
    }

    /// Now and then the stream carries nonsense.
    fn nonsense(&mut self) {
        match self.random.below(6) {
            which @ 0..4 => self.bytes(nonsense(which, MAX_RECORD)),
            4 => self.record(&Record { launch: None, ..of_type(Type::Launch) }),
            _ => self.record(&Record {
                launch: Some(Launch { task: task("foreign", "other") }),
                ..of_type(Type::Launch)
            }),
        }
    }

    fn call(&mut self, call: CallId, body: &[u8], answered: bool) {
        if !self.agent.up {
            return self.later(MS, Later::CallFailed { call });
        }
        let status = if self.agent.recovering {
            503
        } else if !self.agent.subscribed {
            403
        } else {
            let call: Call = self.format.decode(body).unwrap();
            assert_eq!(call.r#type(), call::Type::Update);
            self.accept(call.update.unwrap().status);
            202
        };
        if answered {
            let after = self.random.ms(10);
            self.later(after, Later::Answer { call, status });
        }
    }

    fn happen(&mut self, what: Later) {
        match what {
            Later::Subscribe { stream, body } => {
                if self.open.contains(&stream) {
                    self.subscribe(stream, &body);
                }
            }
            Later::Response { stream, status, content_type } => {
                let content_type = (!content_type.is_empty()).then_some(content_type);
                // The answer to a try that the session gave up goes nowhere.
                if self.open.contains(&stream) {
                    self.handle(Input::Response { stream, status, content_type, body: b"text" });
                }
            }
            Later::Piece { stream, bytes } => {
                // What was sent on a closed stream may still come.
                self.handle(Input::Bytes { stream, bytes: &bytes });
            }
            Later::Gone { stream, closed } => {
                if self.agent.stream.as_ref().is_some_and(|s| s.id == stream) {
                    self.agent.stream = None;
                }
                if self.open.remove(&stream) {
                    if self.shut_down.is_none() {
                        self.idle_since = Some(self.now);
                    }
                    let reason = "gone".into();
                    self.handle(Input::Disconnected { stream, closed, reason });
                }
            }
            Later::Call { call, body, answered } => self.call(call, &body, answered),
            Later::Answer { call, status } => {
                self.call.take_if(|c| *c == call);
                self.handle(Input::Answer { call, status, body: b"" });
            }
            Later::CallFailed { call } => {
                self.call.take_if(|c| *c == call);
                self.handle(Input::CallFailed { call, reason: "cut".into() });
            }
            Later::Work { life } => {
                if life == self.agent.life {
                    self.work();
                }
            }
            Later::Acknowledge { life, task, uuid } => {
                if life != self.agent.life {
                    return;
                }
                let record = Record {
                    acknowledged: Some(Acknowledged { task_id: TaskId { value: task }, uuid }),
                    ..of_type(Type::Acknowledged)
                };
                self.record(&record);
                if self.bad(10) {
                    self.record(&record);
                }
                if self.bad(5) {
                    self.nonsense();
                }
            }
            Later::Launch { task: id } => {
                if !self.agent.up || !self.agent.subscribed || self.agent.terminating {
                    // It comes when there is an executor; later ones are the scheduler's business.
                    if self.now < self.calm {
                        self.later(100 * MS, Later::Launch { task: id });
                    }
                    return;
                }
                self.agent.tasks.insert(id.clone(), false);
                let launch = Some(Launch { task: task(&id, "executor") });
                let record = Record { launch, ..of_type(Type::Launch) };
                self.record(&record);
                if self.bad(10) {
                    self.record(&record);
                }
            }
            Later::Report { task } => self.report(&task),
            Later::Command(command) => self.handle(Input::Command(command)),
            Later::Calm => {}
            Later::Die => {
                self.agent.life += 1;
                self.agent.up = false;
                self.agent.subscribed = false;
                // Without a stream nobody hears of the death.
                let forgets = !self.agent.accepted.is_empty() && self.agent.stream.is_none();
                self.agent.forgot |= forgets && self.agent.terminating;
                self.agent.accepted.clear();
                if let Some(stream) = self.agent.stream.take() {
                    let after = self.random.ms(5);
                    self.later(after, Later::Gone { stream: stream.id, closed: false });
                }
                let after = self.random.ms(3000);
                self.later(after, Later::Back);
            }
            Later::Back => {
                if self.agent.up {
                    self.agent.recovering = false;
                } else {
                    self.agent.up = true;
                    self.agent.recovering = true;
                    let after = self.random.ms(500);
                    self.later(after, Later::Back);
                }
            }
            Later::Shutdown => {
                self.agent.terminating = true;
                self.agent.torn_down = self.end == End::Teardown;
                self.record(&of_type(Type::Shutdown));
            }
        }
    }

    fn step(&mut self) -> bool {
        let next = self.queue.keys().next().map(|(at, _)| *at);
        match (next, self.timer) {
            (None, None) => return false,
            (Some(at), timer) if timer.is_none_or(|t| at <= t) => {
                let (key, what) = self.queue.pop_first().unwrap();
                self.now = self.now.max(key.0);
                self.happen(what);
            }
            (_, Some(at)) => {
                self.now = self.now.max(at);
                self.timer = None;
                self.handle(Input::Tick);
            }
            (Some(_), None) => unreachable!(),
        }
        true
    }

    fn run(&mut self) {
        self.handle(Input::Start);
        let tasks = 1 + self.random.below(4);
        for place in 0..tasks {
            let after = self.random.ms(4000);
            self.later(after, Later::Launch { task: format!("task-{place}") });
        }
        for _ in 0..self.random.below(3) {
            let after = self.random.ms(self.calm.as_millis() as u64);
            self.later(after, Later::Die);
        }
        if self.end != End::Tasks {
            let after = self.random.ms(self.calm.as_millis() as u64);
            self.later(after, Later::Shutdown);
        }
        // Late enough for the last agent to be back.
        let over = self.calm + Duration::from_secs(6);
        self.later(over - self.now, Later::Calm);
        let mut steps = 0;
        while self.gave_up.is_none() && self.step() {
            steps += 1;
            assert!(steps < 100_000, "no end");
            let done = self.plans.is_empty() && self.now >= over;
            if self.end == End::Tasks && done && self.flushed.is_none() {
                self.flush();
            }
            if self.flushed.is_some() && self.plans.is_empty() && self.queue.is_empty() {
                break;
            }
        }
        self.check();
    }

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
