//! A runner that takes over a task whose stream holds anything: nothing panics; what the engine
//! records fits what was replayed, by the tables and by the readers; a runner after it arrives at
//! the same state; and the task can be ended.
//!
//! Input: kind (0: the bytes of a stream; 1: instructions for making one), task, and for kind 0 the
//! length of what follows as instructions for the world before the stream begins.

#![no_main]

use std::collections::VecDeque;
use std::sync::LazyLock;

use aurora_api::binary;
use aurora_api::thermos::{
    ProcessState, ProcessStatus, RunnerCkpt, RunnerHeader, TaskState, TaskStatus,
};
use aurora_schema::Bindings;
use aurora_schema::task::{self, Task};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use thermos_runner::engine::{
    Controller, Effect, Engine, Event, FORKED_TIMEOUT, KILL_PATIENCE, Level, Now,
};
use thermos_runner::plan::Micros;
use thermos_runner::state::{Run, Stage};
use thermos_runner::stream::{Next, Reader, frame};
use thermos_runner::view::View;
use thrift_wire::Double;

const SECOND: Micros = 1_000_000;
/// About when the recorded streams among the seeds were written, so that their times are near.
const START: Micros = 1_795_000_000 * SECOND;
/// Orders, finals, daemons, ephemerals, limits, no limits, and a name that occurs twice.
static TASKS: LazyLock<Vec<Task>> = LazyLock::new(|| {
    [
        r#"{"name": "t", "processes": [
            {"name": "a", "cmdline": "a"}, {"name": "b", "cmdline": "b"},
            {"name": "c", "cmdline": "c"}, {"name": "d", "cmdline": "d"},
            {"name": "f", "cmdline": "f", "final": "True"}],
          "constraints": [{"order": ["a", "b", "d"]}, {"order": ["a", "c", "d"]}]}"#,
        r#"{"name": "t", "max_failures": 2, "max_concurrency": 2, "finalization_wait": 3,
          "processes": [
            {"name": "a", "cmdline": "a", "daemon": "True", "max_failures": 0, "min_duration": 1},
            {"name": "x", "cmdline": "x", "ephemeral": "True", "max_failures": 3},
            {"name": "b", "cmdline": "b", "max_failures": 2, "min_duration": 0},
            {"name": "f", "cmdline": "f", "final": "True", "daemon": "True"},
            {"name": "main", "cmdline": "m", "final": "True", "ephemeral": "True"}]}"#,
        r#"{"name": "t", "max_failures": 0, "finalization_wait": 0, "processes": [
            {"name": "a", "cmdline": "1"}, {"name": "b", "cmdline": "2", "max_failures": 0},
            {"name": "a", "cmdline": "3", "final": "True"}]}"#,
        r#"{"name": "t", "processes": [{"name": "x", "cmdline": "x"}]}"#,
    ]
    .into_iter()
    .map(|json| task::load(json.as_bytes(), "task", &Bindings::new()).unwrap().task)
    .collect()
});

// ---- streams ----

/// A number from the ends of its range, or any.
fn number(u: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match u.int_in_range(0..=9)? {
        0 => 0,
        1 => i64::MAX,
        2 => i64::MIN,
        3 => i64::MAX / 1000,
        4 => u.int_in_range(-3..=3)?,
        5 => START / 1000 + i64::from(u.arbitrary::<i32>()?),
        _ => u.arbitrary()?,
    })
}

fn seconds(u: &mut Unstructured<'_>) -> Result<Double> {
    Ok(Double(match u.int_in_range(0..=3)? {
        0 => f64::from_bits(u.arbitrary()?),
        1 => number(u)? as f64,
        _ => (START / SECOND) as f64 + f64::from(u.arbitrary::<i16>()?),
    }))
}

/// Optional fields, those that are there by the bits of one byte.
struct Fields(u8);

impl Fields {
    fn next<T>(&mut self, value: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
        let there = self.0 & 1 != 0;
        self.0 >>= 1;
        if there { value().map(Some) } else { Ok(None) }
    }
}

fn task_status(u: &mut Unstructured<'_>, stage: &mut Option<Stage>) -> Result<TaskStatus> {
    // What ends the stream's use for this target comes last, and is rare.
    let mut legal: Vec<Stage> =
        Stage::ALL.into_iter().filter(|next| next.may_follow(*stage)).collect();
    legal.sort_by_key(|next| next.is_terminal());
    let odd: u8 = u.arbitrary()?;
    let next = match legal.iter().position(|next| next.is_terminal()).unwrap_or(legal.len()) {
        0 => None,
        open if odd < 240 => Some(legal[usize::from(odd) % open]),
        _ => Some(legal[usize::from(odd) % legal.len()]),
    };
    let state = match next {
        Some(next) if odd < 253 => next.wire(),
        _ => TaskState(u.arbitrary::<i8>()?.into()),
    };
    *stage = Stage::from_wire(state).or(*stage);
    let mut fields = Fields(u.arbitrary()?);
    Ok(TaskStatus {
        state: (odd != 253).then_some(state),
        timestamp_ms: fields.next(|| number(u))?,
        goal: fields.next(|| Ok(TaskState(u.int_in_range(-1..=7)?)))?,
        deadline_ms: fields.next(|| number(u))?,
        boot_id: fields.next(|| Ok(u.arbitrary::<u8>()?.to_string()))?,
        runner_start_ticks: fields.next(|| number(u))?,
        runner_pid: fields.next(|| u.arbitrary())?,
        runner_uid: fields.next(|| u.arbitrary())?,
        ..TaskStatus::default()
    })
}

/// A record of a process of which `last` is known; mostly one that may follow.
fn process_status(
    u: &mut Unstructured<'_>,
    name: &str,
    last: &mut (Option<Run>, i64),
) -> Result<ProcessStatus> {
    let legal: Vec<Run> = Run::ALL.into_iter().filter(|run| run.may_follow(last.0)).collect();
    let odd: u8 = u.arbitrary()?;
    let state = match legal.get(usize::from(odd) % legal.len().max(1)) {
        Some(next) if odd != 255 => next.wire(),
        _ => ProcessState(u.arbitrary::<i8>()?.into()),
    };
    let expected = if last.0.is_some() { last.1.wrapping_add(1) } else { 0 };
    let seq = match odd {
        253 => number(u)?,
        254 => last.1,
        _ => expected,
    };
    *last = (Run::from_wire(state).or(last.0), seq);
    let [mut fields, mut others] = [Fields(u.arbitrary()?), Fields(0)];
    if fields.0 & 0x80 != 0 {
        others = Fields(u.arbitrary()?);
    }
    Ok(ProcessStatus {
        seq: (odd != 250).then_some(seq),
        process: (odd != 251).then(|| name.to_owned()),
        state: (odd != 252).then_some(state),
        stop_time: fields.next(|| seconds(u))?,
        fork_time: fields.next(|| seconds(u))?,
        coordinator_pid: fields.next(|| u.arbitrary())?,
        coordinator_start_ticks: fields.next(|| number(u))?,
        return_code: fields.next(|| u.arbitrary())?,
        start_time: others.next(|| seconds(u))?,
        pid: others.next(|| u.arbitrary())?,
        start_ticks: others.next(|| number(u))?,
        reason: others.next(|| Ok(u.arbitrary::<&str>()?.to_owned()))?,
        ..ProcessStatus::default()
    })
}

/// Records that mostly fit the task and each other, and sometimes damage to their bytes.
fn make_stream(task: &Task, u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut names: Vec<&str> = task.processes.iter().map(|process| &*process.name).collect();
    names.push("nobody");
    let mut bytes = Vec::new();
    let mut stage = None;
    let mut lasts = vec![(None, -1); names.len()];
    frame(&RunnerCkpt::TaskStatus(task_status(u, &mut stage)?), &mut bytes);
    for _ in 0..u.int_in_range(0..=40)? {
        let kind: u8 = u.arbitrary()?;
        let record = match kind {
            0..=200 => {
                let which = usize::from(kind) % (names.len() - 1);
                RunnerCkpt::ProcessStatus(process_status(u, names[which], &mut lasts[which])?)
            }
            201..=240 => RunnerCkpt::TaskStatus(task_status(u, &mut stage)?),
            241..=253 => RunnerCkpt::RunnerHeader(RunnerHeader::default()),
            254..=255 => {
                let which = names.len() - 1;
                RunnerCkpt::ProcessStatus(process_status(u, names[which], &mut lasts[which])?)
            }
        };
        frame(&record, &mut bytes);
    }
    match u.arbitrary::<u8>()? {
        253 => bytes.truncate(u.int_in_range(0..=bytes.len())?),
        254 => bytes.resize(bytes.len() + u.int_in_range(1..=5000)?, 0),
        255 => {
            let at = u.choose_index(bytes.len())?;
            bytes[at] = u.arbitrary()?;
        }
        _ => {}
    }
    Ok(bytes)
}

/// Reads a stream in every way there is. Returns its records if it is not corrupt.
fn read(bytes: &[u8]) -> Option<Vec<RunnerCkpt>> {
    let mut readers = [Reader::new(), Reader::short()];
    let mut records = Vec::new();
    loop {
        let offset = readers[0].offset();
        let [one, two] = readers.each_mut().map(|reader| reader.next(&bytes));
        let (one, two) = match (one, two) {
            (Ok(one), Ok(two)) => (one, two),
            (Err(one), Err(two)) => {
                assert_eq!(one.to_string(), two.to_string());
                assert!(View::read_from(&bytes).is_err());
                return None;
            }
            other => panic!("the readers disagree: {other:?}"),
        };
        assert_eq!(one, two);
        assert_eq!(readers[0].offset(), readers[1].offset());
        let end = match one {
            Next::Record(record) => {
                assert!(readers[0].offset() > offset);
                let mut again = Vec::new();
                frame(&record, &mut again);
                let mut reader = Reader::new();
                assert_eq!(reader.next(&&*again).ok(), Some(Next::Record(record.clone())));
                assert_eq!(reader.offset(), again.len() as u64);
                records.push(record);
                continue;
            }
            Next::Torn(n) => offset + n,
            Next::End => offset,
        };
        assert_eq!(end, bytes.len() as u64);
        assert_eq!(readers[0].offset(), offset);
        assert_eq!(readers[0].next(&bytes).ok(), Some(one), "looked again");
        return Some(records);
    }
}

/// What a reader makes of a stream, one record at a time or all at once.
fn view(bytes: &[u8], records: &[RunnerCkpt]) {
    let mut view = View::default();
    let added = records.iter().try_for_each(|record| view.add(record.clone()));
    match View::read_from(&bytes) {
        Ok(whole) => {
            assert_eq!(added, Ok(()));
            view.torn = whole.torn;
            assert_eq!(view, whole);
        }
        Err(error) => assert!(added.is_err(), "{error}"),
    }
    let _ = (view.stage(), view.boot_id(), view.live().count());
}

// ---- the world ----

struct World<'a, 'b> {
    u: &'a mut Unstructured<'b>,
    task: &'a Task,
    engine: Engine,
    view: View,
    stage: Option<Stage>,
    stream: Vec<RunnerCkpt>,
    now: Now,
    /// Of the coordinator that was forked last.
    pid: i32,
    /// What happens in consequence of effects, later.
    pending: VecDeque<Event>,
    /// Have coordinators recorded only what coordinators record?
    honest: bool,
}

fn engine(task: &Task) -> Engine {
    let controller =
        Controller { pid: 1, uid: 0, ticks: Some(1), boot_id: Some("boot".to_owned()) };
    Engine::new(task, RunnerHeader::default(), controller, 100)
}

impl World<'_, '_> {
    fn forked(&self, process: u32) -> bool {
        self.engine.last_run(process).state.is_some_and(Run::is_forked)
    }

    fn any_forked(&self) -> bool {
        (0..self.engine.len()).any(|process| self.forked(process))
    }

    /// Takes in the record of an earlier runner. False: the runner refuses the stream.
    fn replay(&mut self, record: &RunnerCkpt) -> bool {
        // As it was before the record, for repeats.
        let known = match record {
            RunnerCkpt::ProcessStatus(status) => {
                let named = |p: &u32| Some(self.engine.name(*p)) == status.process.as_deref();
                (0..self.engine.len()).rfind(named).is_some_and(|process| {
                    let last = self.engine.last_run(process);
                    last.state.is_some() && status.seq.is_some_and(|seq| seq <= last.seq)
                })
            }
            _ => false,
        };
        if self.engine.replay(self.now, record).is_err() {
            return false;
        }
        // Readers are stricter about repeats only.
        if let Err(error) = self.view.add(record.clone()) {
            assert!(known, "replayed, but readers refuse it: {error}");
        }
        self.stage = self.view.stage();
        assert_eq!(self.engine.stage(), self.stage);
        self.stream.push(record.clone());
        true
    }

    fn wrote(&mut self, record: RunnerCkpt) {
        let again = binary::from_slice::<RunnerCkpt>(&binary::to_vec(&record));
        assert_eq!(again.as_ref(), Ok(&record));
        if let RunnerCkpt::TaskStatus(status) = &record {
            let next = status.state.and_then(Stage::from_wire).expect("a known state");
            assert!(next.may_follow(self.stage), "{next:?} after {:?}", self.stage);
            self.stage = Some(next);
        }
        self.view.add(record.clone()).expect("readers accept what the engine writes");
        self.stream.push(record);
    }

    /// Tells the engine, and does what it asks for in the order of the shell.
    fn tell(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.engine.handle(self.now, event, &mut effects);
        let mut todo = VecDeque::from(effects);
        while let Some(effect) = todo.pop_front() {
            if let Some(event) = self.perform(effect) {
                let mut effects = Vec::new();
                self.engine.handle(self.now, event, &mut effects);
                effects.into_iter().rev().for_each(|effect| todo.push_front(effect));
            }
        }
    }

    fn choice(&mut self, n: u8) -> u8 {
        self.u.int_in_range(0..=n - 1).unwrap_or(0)
    }

    fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Write(record) => self.wrote(record),
            Effect::Launch { process, .. } if !self.engine.may_launch(process) => {}
            Effect::Launch { process, run, seq } => {
                if self.honest {
                    let last = self.engine.last_run(process);
                    assert_eq!(last.state, Some(Run::Waiting));
                    assert_eq!((last.runs, last.seq), (run + 1, seq - 1));
                }
                return Some(match self.choice(8) {
                    6 => Event::NotForked { process, reason: "why not".to_owned() },
                    7 => Event::Deferred { process, until: self.now.mono + SECOND },
                    _ => {
                        self.pid += 1;
                        Event::Forked { process, pid: self.pid, ticks: Some(7) }
                    }
                });
            }
            Effect::Sweep { process, coordinator, whole } => {
                let current = self.engine.last_run(process).coordinator;
                if whole && current == Some(coordinator) && self.choice(4) != 3 {
                    self.gone(process);
                }
            }
            Effect::Kill => {
                if self.choice(4) != 3 {
                    (0..self.engine.len()).for_each(|process| self.gone(process));
                    self.pending.push_back(Event::Quiet);
                }
            }
            Effect::Retire => assert!(self.engine.is_terminal(), "retired before its end"),
            Effect::Log(level, text) => {
                // A decision of the engine's own that the tables refused.
                let refused = text.starts_with("invalid transition")
                    || text.starts_with("process \"")
                    || text.starts_with("the task has no process");
                assert!(!(self.honest && level == Level::Error && refused), "{text}");
            }
            Effect::Go { process } => assert!(!self.honest || self.forked(process)),
            Effect::StoreTask | Effect::Terminate => {}
        }
        None
    }

    fn gone(&mut self, process: u32) {
        self.pending.push_back(Event::CoordinatorGone { process, reason: "gone".to_owned() });
    }

    fn settle(&mut self) {
        while let Some(event) = self.pending.pop_front() {
            // The shell says so only when nothing is left that the engine knows of.
            if event != Event::Quiet || !self.any_forked() {
                self.tell(event);
            }
        }
    }

    fn wait(&mut self, time: Micros) {
        self.now.mono += time;
        self.now.wall += time;
    }

    /// Something that a coordinator's stream may hold, whoever wrote it.
    fn recorded(&mut self, honest: bool) -> Result<Option<Event>> {
        let process = self.u.choose_index(self.engine.len() as usize)? as u32;
        let last = self.engine.last_run(process);
        let mut last = (last.state, last.seq);
        let name = self.engine.name(process).to_owned();
        let mut status = process_status(self.u, &name, &mut last)?;
        if honest {
            let last = self.engine.last_run(process);
            let run = match last.state {
                Some(Run::Forked) => Run::Running,
                Some(Run::Running) => *self.u.choose(&[Run::Success, Run::Failed, Run::Killed])?,
                _ => return Ok(None),
            };
            status.seq = Some(last.seq + 1);
            status.state = Some(run.wire());
            status.process = Some(name);
        }
        Ok(Some(Event::Recorded { status, leftovers: self.u.arbitrary()? }))
    }

    /// The life of a task from where the stream ends.
    fn live(&mut self) -> Result<()> {
        let takeover = self.stage.is_some();
        self.tell(Event::Start);
        assert!(self.engine.stage().is_some());
        if takeover {
            for _ in 0..self.u.int_in_range(0..=6)? {
                if let Some(event) = self.recorded(false)? {
                    self.tell(event);
                }
            }
            for process in 0..self.engine.len() {
                if self.forked(process) && self.u.arbitrary()? {
                    self.gone(process);
                }
            }
            self.settle();
        }
        if !self.any_forked() {
            self.tell(Event::Quiet);
        }
        self.tell(Event::Recovered);
        self.settle();
        for _ in 0..100 {
            if self.u.is_empty() || self.engine.is_terminal() {
                break;
            }
            let event = match self.u.int_in_range(0..=15)? {
                0..=3 => {
                    if let Some(at) = self.engine.wakeup() {
                        // Without a bound the clock would leave the centuries that clocks show.
                        self.wait((at - self.now.mono).clamp(0, 1 << 50));
                    }
                    Some(Event::Tick)
                }
                4 => {
                    let time = self.u.int_in_range(0..=2 * FORKED_TIMEOUT)?;
                    self.wait(time);
                    Some(Event::Tick)
                }
                5..=9 => self.recorded(true)?,
                10 => {
                    self.honest = false;
                    self.recorded(false)?
                }
                11 => {
                    let process = self.u.choose_index(self.engine.len() as usize)? as u32;
                    Some(Event::CoordinatorGone { process, reason: "gone".to_owned() })
                }
                12 => Some(Event::Orphans),
                13 => {
                    let goal = *self.u.choose(&[Stage::Killed, Stage::Lost])?;
                    let grace = self.u.int_in_range(0..=i64::from(i32::MAX))? * SECOND;
                    Some(Event::Stop { goal, grace })
                }
                14 => {
                    // Somebody sets the clock.
                    self.now.wall = self.u.int_in_range(0..=2 * START)?;
                    None
                }
                _ => (!self.any_forked()).then_some(Event::Quiet),
            };
            if let Some(event) = event {
                self.tell(event);
            }
            self.settle();
        }
        Ok(())
    }

    /// Ends the task by force, whatever hangs.
    fn end(&mut self) {
        self.tell(Event::Stop { goal: Stage::Killed, grace: 0 });
        self.settle();
        self.wait(KILL_PATIENCE);
        self.tell(Event::Tick);
        self.settle();
        assert!(self.engine.is_terminal(), "cannot be ended in {:?}", self.engine.stage());
    }

    /// A runner that replays the stream arrives at the same state.
    fn check_stream(&self) {
        let mut again = engine(self.task);
        for record in &self.stream {
            again.replay(self.now, record).expect("another runner accepts the stream");
        }
        assert_eq!(again.stage(), self.engine.stage());
        for process in 0..again.len() {
            let [one, two] = [&again, &self.engine].map(|engine| engine.last_run(process));
            assert_eq!((one.state, one.seq, one.runs), (two.state, two.seq, two.runs));
            assert_eq!(one.coordinator.map(|c| c.pid), two.coordinator.map(|c| c.pid));
        }
    }
}

fn check(bytes: &[u8], task: &Task, u: &mut Unstructured<'_>) {
    let Some(records) = read(bytes) else { return };
    view(bytes, &records);
    let mut world = World {
        u,
        task,
        engine: engine(task),
        view: View::default(),
        stage: None,
        stream: Vec::new(),
        now: Now { wall: START, mono: 1000 * SECOND },
        pid: 100,
        pending: VecDeque::new(),
        honest: true,
    };
    if !records.iter().all(|record| world.replay(record)) || world.engine.is_terminal() {
        return;
    }
    // When the instructions run out the task goes on, without surprises.
    let _ = world.live();
    world.settle();
    world.check_stream();
    world.end();
    world.check_stream();
}

fuzz_target!(|data: &[u8]| {
    let &[kind, task, ref rest @ ..] = data else { return };
    let task = &TASKS[usize::from(task) % TASKS.len()];
    if kind % 2 == 1 {
        let mut u = Unstructured::new(rest);
        if let Ok(bytes) = make_stream(task, &mut u) {
            check(&bytes, task, &mut u);
        }
    } else if let Some((length, rest)) = rest.split_first()
        && let Some((instructions, bytes)) = rest.split_at_checked((*length).into())
    {
        check(bytes, task, &mut Unstructured::new(instructions));
    }
});
