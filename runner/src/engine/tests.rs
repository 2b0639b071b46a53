//! The engine in a simulated world: no process, file or clock, but every order of events.

use std::collections::BTreeMap;

use aurora_schema::Bindings;
use aurora_schema::task;
use proptest::prelude::*;

use super::*;

const SECOND: Micros = 1_000_000;
const START: Micros = 1_700_000_000 * SECOND;

/// What a simulated coordinator does when it has its go byte.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Forked,
    Allowed,
    Running,
}

#[derive(Clone, Debug)]
struct Coordinator {
    seq: i64,
    life: Life,
}

/// How processes behave, by name and run.
type Script = fn(&str, u32) -> Behaviour;

#[derive(Clone, Copy, Debug)]
struct Behaviour {
    /// Return code.
    code: i32,
    /// Microseconds from start to end; `None`: until a signal.
    after: Option<Micros>,
    /// Lives on when SIGTERM comes.
    stubborn: bool,
}

const DONE: Behaviour = Behaviour { code: 0, after: Some(1000), stubborn: false };
const FAIL: Behaviour = Behaviour { code: 1, after: Some(1000), stubborn: false };
const SLEEP: Behaviour = Behaviour { code: 0, after: None, stubborn: false };
const STUBBORN: Behaviour = Behaviour { code: 0, after: None, stubborn: true };

/// The kernel and the disk.
struct World {
    task: Task,
    mono: Micros,
    engine: Engine,
    /// The runner stream.
    stream: Vec<RunnerCkpt>,
    /// What coordinators recorded, per process, all runs.
    recorded: BTreeMap<u32, Vec<ProcessStatus>>,
    live: BTreeMap<u32, Coordinator>,
    /// When running processes end, and with what.
    ends: BTreeMap<(Micros, u32), i32>,
    script: Script,
    /// (process, run) of everything that was really started.
    started: Vec<(u32, u32)>,
    retired: bool,
    kills: u32,
}

fn engine(task: &Task) -> Engine {
    let controller =
        Controller { pid: 1, uid: 0, ticks: Some(1), boot_id: Some("boot".to_owned()) };
    Engine::new(task, RunnerHeader::default(), controller, 100)
}

impl World {
    fn new(json: &str, script: Script) -> World {
        let task = task::load(json.as_bytes(), "test", &Bindings::new()).unwrap().task;
        World {
            engine: engine(&task),
            task,
            mono: 0,
            stream: Vec::new(),
            recorded: BTreeMap::new(),
            live: BTreeMap::new(),
            ends: BTreeMap::new(),
            script,
            started: Vec::new(),
            retired: false,
            kills: 0,
        }
    }

    fn now(&self) -> Now {
        Now { wall: START + self.mono, mono: self.mono }
    }

    fn tell(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.engine.handle(self.now(), event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Write(record) => self.stream.push(record),
                Effect::StoreTask | Effect::Log(..) => {}
                Effect::Launch { process, run, seq } if self.engine.may_launch(process) => {
                    self.launch(process, run, seq);
                }
                Effect::Launch { .. } => {}
                Effect::Go { process } => {
                    self.live.get_mut(&process).unwrap().life = Life::Allowed;
                }
                Effect::Sweep { process, .. } => {
                    if self.engine.last_run(process).state.is_some_and(Run::is_forked) {
                        self.drop_coordinator(process);
                        self.tell(Event::CoordinatorGone { process, reason: "swept".to_owned() });
                    }
                }
                Effect::Terminate => self.terminate(),
                Effect::Kill => {
                    self.kills += 1;
                    for process in self.live.keys().copied().collect::<Vec<_>>() {
                        self.drop_coordinator(process);
                        self.tell(Event::CoordinatorGone { process, reason: "killed".to_owned() });
                    }
                    self.tell(Event::Quiet);
                }
                Effect::Retire => self.retired = true,
            }
        }
    }

    fn launch(&mut self, process: u32, run: u32, seq: i64) {
        assert!(!self.live.contains_key(&process), "two coordinators of one process");
        self.live.insert(process, Coordinator { seq, life: Life::Forked });
        self.tell(Event::Forked { process, pid: 100, ticks: Some(7) });
        let status = self.stream.iter().rev().find_map(|record| match record {
            RunnerCkpt::ProcessStatus(status) if status.seq == Some(seq) => Some(status.clone()),
            _ => None,
        });
        self.recorded.entry(process).or_default().push(status.unwrap());
        assert_eq!(self.engine.last_run(process).runs, run + 1);
    }

    fn drop_coordinator(&mut self, process: u32) {
        self.live.remove(&process);
        self.ends.retain(|(_, other), _| *other != process);
    }

    fn record(&mut self, process: u32, status: ProcessStatus) -> ProcessStatus {
        let coordinator = self.live.get_mut(&process).unwrap();
        coordinator.seq += 1;
        let status = ProcessStatus {
            seq: Some(coordinator.seq),
            process: Some(self.task.processes[process as usize].name.clone()),
            ..status
        };
        self.recorded.entry(process).or_default().push(status.clone());
        status
    }

    /// Lets coordinators with a go byte start their bash.
    fn start_allowed(&mut self) {
        let allowed: Vec<u32> =
            self.live.iter().filter(|(_, c)| c.life == Life::Allowed).map(|(p, _)| *p).collect();
        for process in allowed {
            let run = self.engine.last_run(process).runs - 1;
            assert!(
                !self.started.contains(&(process, run)),
                "run {run} of {process} started twice"
            );
            self.started.push((process, run));
            let status = self.record(
                process,
                ProcessStatus {
                    state: Some(Run::Running.wire()),
                    start_time: Some(self.now().seconds()),
                    pid: Some(101),
                    ..ProcessStatus::default()
                },
            );
            self.live.get_mut(&process).unwrap().life = Life::Running;
            let behaviour = (self.script)(&self.task.processes[process as usize].name, run);
            if let Some(after) = behaviour.after {
                self.ends.insert((self.mono + after, process), behaviour.code);
            }
            self.tell(Event::Recorded { status, leftovers: false });
        }
    }

    fn terminate(&mut self) {
        for (process, coordinator) in self.live.clone() {
            let run = self.engine.last_run(process).runs - 1;
            let name = &self.task.processes[process as usize].name;
            if coordinator.life == Life::Running && !(self.script)(name, run).stubborn {
                self.ends.retain(|(_, other), _| *other != process);
                self.ends.insert((self.mono + 500, process), -15);
            }
        }
    }

    fn end(&mut self, process: u32, code: i32) {
        let run = match code {
            0 => Run::Success,
            1.. => Run::Failed,
            _ => Run::Killed,
        };
        let status = self.record(
            process,
            ProcessStatus {
                state: Some(run.wire()),
                stop_time: Some(self.now().seconds()),
                return_code: Some(code),
                ..ProcessStatus::default()
            },
        );
        self.live.remove(&process);
        self.tell(Event::Recorded { status, leftovers: false });
        if !self.live.contains_key(&process) {
            self.tell(Event::CoordinatorGone { process, reason: "exited".to_owned() });
        }
        if self.live.is_empty() {
            self.tell(Event::Quiet);
        }
    }

    /// One step of time. False when nothing can happen any more.
    fn step(&mut self) -> bool {
        self.start_allowed();
        let next_end = self.ends.first_key_value().map(|(key, code)| (*key, *code));
        let wakeup = self.engine.wakeup();
        match (next_end, wakeup) {
            (Some(((at, process), code)), wakeup) if wakeup.is_none_or(|wake| at <= wake) => {
                self.mono = self.mono.max(at);
                self.ends.remove(&(at, process));
                self.end(process, code);
            }
            (_, Some(wake)) => {
                self.mono = self.mono.max(wake);
                self.tell(Event::Tick);
            }
            _ => return false,
        }
        true
    }

    fn run(&mut self) {
        for _ in 0..100_000 {
            if self.engine.is_terminal() || !self.step() {
                return;
            }
        }
        panic!("the task does not end");
    }

    fn begin(&mut self) {
        self.tell(Event::Start);
        self.tell(Event::Recovered);
        if self.live.is_empty() {
            self.tell(Event::Quiet);
        }
    }

    /// The runner is killed and another one takes over: what is on disk and what lives remains.
    fn crash(&mut self) {
        // A coordinator without go byte sees the end of its pipe.
        self.live.retain(|_, coordinator| coordinator.life != Life::Forked);
        self.engine = engine(&self.task);
        for record in self.stream.clone() {
            self.engine.replay(self.now(), &record).unwrap();
        }
        if self.engine.is_terminal() {
            self.retired = true;
            return;
        }
        self.tell(Event::Start);
        for process in 0..self.engine.len() {
            if self.engine.last_run(process).state.is_none_or(Run::is_terminal) {
                continue;
            }
            for status in self.recorded.get(&process).cloned().unwrap_or_default() {
                self.tell(Event::Recorded { status, leftovers: false });
            }
            let state = self.engine.last_run(process).state;
            if state.is_some_and(Run::is_forked) && !self.live.contains_key(&process) {
                let reason = "gone".to_owned();
                self.tell(Event::CoordinatorGone { process, reason });
            }
        }
        self.tell(Event::Recovered);
        if self.live.is_empty() {
            self.tell(Event::Quiet);
        }
    }

    /// The stream in the short form of the golden cases.
    fn states(&self) -> Vec<String> {
        self.stream
            .iter()
            .map(|record| match record {
                RunnerCkpt::RunnerHeader(_) => "HEADER".to_owned(),
                RunnerCkpt::TaskStatus(status) => status.state.unwrap().name().unwrap().to_owned(),
                RunnerCkpt::ProcessStatus(status) => {
                    let code = status.return_code.map_or(String::new(), |code| format!(" {code}"));
                    let state = status.state.unwrap().name().unwrap();
                    format!("{} {state}{code}", status.process.as_deref().unwrap())
                }
                RunnerCkpt::LogStatus(_) | RunnerCkpt::Unknown(..) => unreachable!(),
            })
            .collect()
    }

    /// A reader that knows only the tables accepts the stream.
    fn check_stream(&self) {
        let mut view = crate::view::View::default();
        let mut stage = None;
        for record in &self.stream {
            if let RunnerCkpt::TaskStatus(status) = record {
                let next = Stage::from_wire(status.state.unwrap()).unwrap();
                assert!(next.may_follow(stage), "{stage:?} => {next:?}");
                stage = Some(next);
            }
            view.add(record.clone()).unwrap();
        }
    }
}

fn process(name: &str, extra: &str) -> String {
    format!(r#"{{"name": "{name}", "cmdline": "x", "min_duration": 1 {extra}}}"#)
}

fn task_of(processes: &[String], extra: &str) -> String {
    format!(r#"{{"name": "t", "processes": [{}] {extra}}}"#, processes.join(","))
}

fn order(names: &[&str]) -> String {
    format!(r#", "constraints": [{{"order": {names:?}}}]"#)
}

fn outcome(json: &str, script: Script) -> Vec<String> {
    let mut world = World::new(json, script);
    world.begin();
    world.run();
    world.check_stream();
    assert!(world.retired);
    world.states()
}

fn of<'a>(states: &'a [String], name: &str) -> Vec<&'a str> {
    states.iter().filter_map(|s| s.strip_prefix(name)?.strip_prefix(' ')).collect()
}

#[test]
fn one_process() {
    assert_eq!(
        outcome(&task_of(&[process("a", "")], ""), |_, _| DONE),
        [
            "ACTIVE",
            "HEADER",
            "a WAITING",
            "a FORKED",
            "a RUNNING",
            "a SUCCESS 0",
            "CLEANING",
            "FINALIZING",
            "SUCCESS"
        ]
    );
}

#[test]
fn no_process() {
    let states = ["ACTIVE", "HEADER", "CLEANING", "FINALIZING", "SUCCESS"];
    assert_eq!(outcome(r#"{"name": "t", "processes": []}"#, |_, _| DONE), states);
}

#[test]
fn only_ephemerals_start_nothing() {
    let json = task_of(&[process("e", r#", "ephemeral": true"#)], "");
    assert_eq!(
        outcome(&json, |_, _| SLEEP),
        ["ACTIVE", "HEADER", "CLEANING", "FINALIZING", "SUCCESS"]
    );
}

#[test]
fn a_pass_waits_before_it_forks() {
    let json = task_of(&[process("a", ""), process("b", "")], "");
    let states = outcome(&json, |_, _| DONE);
    assert_eq!(states[2..6], ["a WAITING", "b WAITING", "a FORKED", "b FORKED"]);
}

#[test]
fn failure_with_dependents_fails_the_task() {
    let extra = format!(r#"{}, "max_failures": 2"#, order(&["a", "b", "c"]));
    let json = task_of(&[process("a", ""), process("b", ""), process("c", "")], &extra);
    let states = outcome(&json, |name, _| if name == "b" { FAIL } else { DONE });
    assert_eq!(of(&states, "a").last(), Some(&"SUCCESS 0"));
    assert_eq!(of(&states, "b").last(), Some(&"FAILED 1"));
    assert!(of(&states, "c").is_empty());
    assert_eq!(states.last().unwrap(), "FAILED");
}

#[test]
fn unlimited_task_failures() {
    let json = task_of(&[process("a", ""), process("b", "")], r#", "max_failures": 0"#);
    assert_eq!(outcome(&json, |_, _| FAIL).last().unwrap(), "SUCCESS");
}

#[test]
fn finalizers_run_after_failure_in_order_and_do_not_count() {
    let last = r#", "final": true"#;
    let json =
        task_of(&[process("a", ""), process("f", last), process("g", last)], &order(&["f", "g"]));
    let states = outcome(&json, |name, _| if name == "g" { FAIL } else { DONE });
    assert_eq!(states.last().unwrap(), "SUCCESS");
    let states = outcome(&json, |name, _| if name == "a" { FAIL } else { DONE });
    assert_eq!(states.last().unwrap(), "FAILED");
    assert_eq!(of(&states, "g").last(), Some(&"SUCCESS 0"));
    let states = outcome(&json, |name, _| if name == "f" { FAIL } else { DONE });
    assert_eq!(states.last().unwrap(), "SUCCESS");
    assert!(of(&states, "g").is_empty(), "its predecessor failed");
}

#[test]
fn finalization_wait() {
    let json = |wait| {
        task_of(
            &[process("a", ""), process("f", r#", "final": true"#)],
            &format!(r#", "finalization_wait": {wait}"#),
        )
    };
    let script: Script = |name, _| if name == "f" { STUBBORN } else { DONE };
    let states = outcome(&json(3), script);
    assert_eq!(
        states[states.len() - 3..],
        ["f RUNNING", "f KILLED -1", "SUCCESS"],
        "killed first, then recorded, then over"
    );
    let states = outcome(&json(0), script);
    assert!(of(&states, "f").is_empty());
    assert_eq!(states[states.len() - 2..], ["CLEANING", "SUCCESS"]);
}

#[test]
fn ephemeral_is_ended_with_the_task() {
    let json = task_of(&[process("a", ""), process("e", r#", "ephemeral": true"#)], "");
    let script: Script = |name, _| if name == "e" { SLEEP } else { DONE };
    let states = outcome(&json, script);
    assert_eq!(states[states.len() - 4..], ["CLEANING", "e KILLED -15", "FINALIZING", "SUCCESS"]);
}

fn stopped(script: Script, goal: Stage, grace: Micros) -> (Vec<String>, World) {
    let json = task_of(&[process("a", ""), process("f", r#", "final": true"#)], "");
    let mut world = World::new(&json, script);
    world.begin();
    world.start_allowed();
    world.tell(Event::Stop { goal, grace });
    world.run();
    world.check_stream();
    (world.states(), world)
}

#[test]
fn kill_runs_finalizers() {
    let script: Script = |name, _| if name == "f" { DONE } else { SLEEP };
    let (states, world) = stopped(script, Stage::Killed, 60 * SECOND);
    assert_eq!(
        states[5..],
        [
            "ACTIVE",
            "CLEANING",
            "a KILLED -15",
            "FINALIZING",
            "f WAITING",
            "f FORKED",
            "f RUNNING",
            "f SUCCESS 0",
            "KILLED"
        ]
    );
    assert_eq!(world.kills, 0);
}

#[test]
fn kill_of_the_stubborn_takes_the_grace() {
    let (states, world) = stopped(|_, _| STUBBORN, Stage::Killed, 7 * SECOND);
    assert_eq!(states[5..], ["ACTIVE", "CLEANING", "a KILLED -1", "KILLED"]);
    assert_eq!((world.mono, world.kills), (7 * SECOND, 1));
}

#[test]
fn lose_is_immediate() {
    let (states, world) = stopped(|_, _| SLEEP, Stage::Lost, 0);
    assert_eq!(states[5..], ["ACTIVE", "CLEANING", "a KILLED -1", "LOST"]);
    assert_eq!(world.mono, 0);
}

#[test]
fn kill_while_finalizing_lets_finalizers_go_on() {
    let json = task_of(&[process("a", ""), process("f", r#", "final": true"#)], "");
    let mut world = World::new(&json, |name, _| match name {
        "f" => Behaviour { after: Some(20 * SECOND), ..DONE },
        _ => DONE,
    });
    world.begin();
    while world.engine.stage() != Some(Stage::Finalizing) {
        world.step();
    }
    world.start_allowed();
    world.tell(Event::Stop { goal: Stage::Killed, grace: 60 * SECOND });
    world.run();
    let states = world.states();
    assert_eq!(of(&states, "f"), ["WAITING", "FORKED", "RUNNING", "SUCCESS 0"]);
    assert_eq!(states.last().unwrap(), "KILLED");
}

#[test]
fn a_second_kill_does_not_prolong_the_first_and_lose_outranks_it() {
    let json = task_of(&[process("a", "")], "");
    let mut world = World::new(&json, |_, _| STUBBORN);
    world.begin();
    world.start_allowed();
    world.tell(Event::Stop { goal: Stage::Killed, grace: 10 * SECOND });
    world.mono += SECOND;
    world.tell(Event::Stop { goal: Stage::Killed, grace: 60 * SECOND });
    assert_eq!(world.engine.wakeup(), Some(10 * SECOND));
    world.tell(Event::Stop { goal: Stage::Lost, grace: 0 });
    assert_eq!(world.states().last().unwrap(), "LOST");
}

#[test]
fn the_goal_survives_the_runner() {
    let json = task_of(&[process("a", "")], "");
    let mut world = World::new(&json, |_, _| STUBBORN);
    world.begin();
    world.start_allowed();
    world.tell(Event::Stop { goal: Stage::Killed, grace: 10 * SECOND });
    world.mono += 4 * SECOND;
    world.crash();
    assert_eq!(world.engine.wakeup(), Some(10 * SECOND), "the clock is not restarted");
    world.run();
    assert_eq!(world.states().last().unwrap(), "KILLED");
}

#[test]
fn a_coordinator_that_hangs_is_given_up() {
    let json = task_of(&[process("a", "")], "");
    let mut world = World::new(&json, |_, _| DONE);
    world.begin();
    world.live.get_mut(&0).unwrap().life = Life::Forked;
    assert_eq!(world.engine.wakeup(), Some(FORKED_TIMEOUT));
    world.mono = FORKED_TIMEOUT;
    world.tell(Event::Tick);
    world.run();
    let states = world.states();
    assert_eq!(
        of(&states, "a"),
        ["WAITING", "FORKED", "LOST", "WAITING", "FORKED", "RUNNING", "SUCCESS 0"]
    );
}

#[test]
fn a_launch_that_fails_is_a_failed_run() {
    let json = task_of(&[process("a", r#", "max_failures": 2"#)], "");
    let mut engine = World::new(&json, |_, _| DONE).engine;
    let now = |mono| Now { wall: START + mono, mono };
    let mut effects = Vec::new();
    engine.handle(now(0), Event::Start, &mut effects);
    engine.handle(now(0), Event::Recovered, &mut effects);
    engine.handle(now(0), Event::NotForked { process: 0, reason: "no".to_owned() }, &mut effects);
    assert_eq!(engine.last_run(0).state, Some(Run::Failed));
    assert_eq!(engine.wakeup(), Some(SECOND), "min_duration");
    engine.handle(now(SECOND), Event::Tick, &mut effects);
    engine.handle(now(SECOND), Event::Deferred { process: 0, until: 3 * SECOND }, &mut effects);
    assert_eq!(engine.wakeup(), Some(3 * SECOND));
    effects.clear();
    engine.handle(now(3 * SECOND), Event::Tick, &mut effects);
    assert!(matches!(effects[..], [Effect::Launch { process: 0, run: 1, seq: 3 }]), "{effects:?}");
}

#[test]
fn a_failed_launch_takes_back_the_launches_behind_it() {
    let json = task_of(&[process("a", ""), process("b", "")], "");
    let mut world = World::new(&json, |_, _| DONE);
    let mut effects = Vec::new();
    world.engine.handle(world.now(), Event::Start, &mut effects);
    world.engine.handle(world.now(), Event::Recovered, &mut effects);
    assert!(world.engine.may_launch(0) && world.engine.may_launch(1));
    let reason = "no".to_owned();
    world.engine.handle(world.now(), Event::NotForked { process: 0, reason }, &mut effects);
    assert!(world.engine.is_terminal(), "one failure fails the task");
    assert!(!world.engine.may_launch(1));
}

#[test]
fn thousands_are_forked_in_turns_between_which_the_world_is_looked_at() {
    let names: Vec<String> = (0..1000).map(|i| process(&format!("p{i}"), "")).collect();
    let mut world = World::new(&task_of(&names, ""), |_, _| SLEEP);
    world.begin();
    assert_eq!(world.live.len(), FORKS);
    for turn in 2..=1000usize.div_ceil(FORKS) {
        assert_eq!(world.engine.wakeup(), Some(world.mono), "the next turn is due");
        world.tell(Event::Tick);
        assert_eq!(world.live.len(), (turn * FORKS).min(1000));
    }
    world.start_allowed();
    assert_eq!(world.engine.wakeup(), None);
    assert_eq!(world.started.len(), 1000);
    // What ends between two turns makes no more room: the turn does.
    let mut world = World::new(&task_of(&names, ""), |_, _| DONE);
    world.begin();
    world.start_allowed();
    world.mono += 1000;
    world.ends.pop_first();
    world.end(0, 0);
    assert_eq!(world.engine.last_run(0).state, Some(Run::Success));
    assert_eq!(world.live.len(), FORKS - 1);
    world.run();
    assert_eq!(world.engine.stage(), Some(Stage::Success));
    assert_eq!(world.started.len(), 1000);
}

#[test]
fn a_sweep_is_of_the_run_that_ended_even_if_the_next_begins_at_once() {
    let json = r#"{"name": "t", "processes": [
        {"name": "a", "cmdline": "x", "min_duration": 0, "max_failures": 2}]}"#;
    let mut world = World::new(json, |_, _| FAIL);
    world.begin();
    world.start_allowed();
    let status = world.record(
        0,
        ProcessStatus {
            state: Some(Run::Failed.wire()),
            stop_time: Some(world.now().seconds()),
            return_code: Some(1),
            ..ProcessStatus::default()
        },
    );
    let mut effects = Vec::new();
    let now = world.now();
    world.engine.handle(now, Event::Recorded { status, leftovers: true }, &mut effects);
    let place = |wanted: fn(&Effect) -> bool| effects.iter().position(wanted).unwrap();
    let sweep = place(|e| {
        matches!(e, Effect::Sweep { coordinator: Claim { pid: 100, .. }, whole: false, .. })
    });
    assert!(sweep < place(|effect| matches!(effect, Effect::Launch { run: 1, .. })));
}

#[test]
fn nothing_wakes_a_task_that_only_runs() {
    let json = task_of(&[process("a", ""), process("b", "")], "");
    let mut world = World::new(&json, |_, _| SLEEP);
    world.begin();
    world.start_allowed();
    assert_eq!(world.engine.wakeup(), None);
}

#[test]
fn strange_records_of_coordinators_are_ignored() {
    let json = task_of(&[process("a", "")], "");
    let mut world = World::new(&json, |_, _| SLEEP);
    world.begin();
    world.start_allowed();
    let before = world.stream.len();
    let status = |seq, name: &str, state: i32| ProcessStatus {
        seq: Some(seq),
        process: Some(name.to_owned()),
        state: Some(aurora_api::thermos::ProcessState(state)),
        ..ProcessStatus::default()
    };
    for status in [
        status(1, "a", 3),
        status(9, "a", 3),
        status(3, "nosuch", 3),
        status(3, "a", 77),
        status(3, "a", 1),
        ProcessStatus::default(),
    ] {
        world.tell(Event::Recorded { status, leftovers: false });
    }
    assert_eq!(world.stream.len(), before);
}

fn random_task() -> impl Strategy<Value = String> {
    let process = (0i64..3, any::<bool>(), any::<bool>(), any::<bool>(), 0i64..2);
    (proptest::collection::vec(process, 1..6), 0i64..3, 0i64..3, 0i64..4, any::<u32>()).prop_map(
        |(rows, max_failures, max_concurrency, wait, edges)| {
            let names: Vec<String> = (0..rows.len()).map(|i| format!("p{i}")).collect();
            let processes: Vec<String> = rows
                .iter()
                .zip(&names)
                .map(|((failures, daemon, ephemeral, last, duration), name)| {
                    format!(
                        r#"{{"name": "{name}", "cmdline": "x", "max_failures": {failures},
                            "daemon": {daemon}, "ephemeral": {ephemeral}, "final": {last},
                            "min_duration": {duration}}}"#
                    )
                })
                .collect();
            let mut constraints = Vec::new();
            for after in 1..rows.len() {
                for before in 0..after {
                    let (b, a) = (rows[before], rows[after]);
                    let legal = !b.1 && b.3 == a.3 && (!b.2 || a.2);
                    if legal && edges >> (after * 5 + before) & 1 == 1 {
                        constraints.push(format!(r#"{{"order": ["p{before}", "p{after}"]}}"#));
                    }
                }
            }
            format!(
                r#"{{"name": "t", "processes": [{}], "constraints": [{}],
                    "max_failures": {max_failures}, "max_concurrency": {max_concurrency},
                    "finalization_wait": {wait}}}"#,
                processes.join(","),
                constraints.join(",")
            )
        },
    )
}

/// A behaviour per (process, run) without any state.
fn mixed(name: &str, run: u32) -> Behaviour {
    let i = u32::from(name.as_bytes()[1] - b'0');
    match (i * 7 + run * 3) % 9 {
        0..=2 => DONE,
        3 => FAIL,
        4 => Behaviour { after: Some(3 * SECOND), ..DONE },
        5 => Behaviour { code: -9, ..DONE },
        6 => SLEEP,
        7 => STUBBORN,
        _ => Behaviour { after: Some(1), ..FAIL },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the task, whenever it is killed, and however often its runner dies in between: it
    /// ends in a terminal state, its stream obeys the tables, and no run is started twice.
    #[test]
    fn every_task_ends_and_nothing_runs_twice(
        json in random_task(),
        crashes in proptest::collection::vec(0usize..40, 0..4),
        kill_at in 0usize..60,
    ) {
        let mut world = World::new(&json, mixed);
        world.begin();
        let mut step = 0;
        while !world.engine.is_terminal() {
            if crashes.contains(&step) {
                world.crash();
                if world.engine.is_terminal() {
                    break;
                }
            }
            if step == kill_at {
                world.tell(Event::Stop { goal: Stage::Killed, grace: 5 * SECOND });
            }
            if step > 60 && !world.step() || step > 20_000 {
                prop_assert!(false, "stuck: {:?}", world.states().last());
            } else if step <= 60 {
                world.step();
            }
            step += 1;
        }
        world.check_stream();
        prop_assert!(world.retired);
        prop_assert!(world.live.is_empty(), "left behind: {:?}", world.live);
    }

    /// Replaying any prefix of a stream gives the state that the engine had when it wrote it.
    #[test]
    fn replay_is_the_same_function(json in random_task(), cut in 0usize..80) {
        let mut world = World::new(&json, mixed);
        world.begin();
        let mut steps = 0;
        while steps < cut && !world.engine.is_terminal() && world.step() {
            steps += 1;
        }
        let mut again = engine(&world.task);
        for record in &world.stream {
            again.replay(world.now(), record).unwrap();
        }
        prop_assert_eq!(again.stage(), world.engine.stage());
        for process in 0..again.len() {
            let (a, b) = (again.last_run(process), world.engine.last_run(process));
            prop_assert_eq!((a.state, a.seq, a.runs), (b.state, b.seq, b.runs));
        }
    }
}
