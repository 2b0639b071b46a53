//! Faults at chosen system calls, by strace: the n-th call of a name can be met with a signal.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};

use serde_json::json;

use crate::stream::{Record, outcomes, states, task_state};
use crate::{Runner, World, need_program, need_root, tckpt};

/// Strace, up to its output. What cargo adds makes the loader search, which is of no interest.
const STRACE: &[&str] = &["strace", "-qq", "-E", "LD_LIBRARY_PATH", "-o"];

/// A system call of a process, counted among those of the same name, from 1.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Call {
    pub name: String,
    pub nth: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{}", self.name, self.nth)
    }
}

impl Call {
    /// The command that starts the runner so that this call of it brings the signal.
    pub fn with_signal(&self, signal: &str) -> Vec<String> {
        let inject = format!("--inject={}:signal={signal}:when={}", self.name, self.nth);
        STRACE.iter().copied().chain(["/dev/null", &inject]).map(str::to_owned).collect()
    }
}

/// The calls that a runner makes for a task, in their order; those of its children are not among
/// them, nor is the first, which executes it.
pub fn calls(task_json: &str) -> Vec<Call> {
    need_program("strace", "strace");
    let world = World::new();
    let trace = world.path().join("trace");
    let command: Vec<&str> = STRACE.iter().copied().chain(trace.to_str()).collect();
    let mut runner = Runner::start_under(&world, &command, "traced", task_json, &[]);
    runner.finish(&world);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let text = fs::read_to_string(&trace).unwrap();
    let names = text.lines().skip(1).filter_map(|line| Some(line.split_once('(')?.0));
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let count = |name: &str| {
        let nth = counts.entry(name.to_owned()).or_default();
        *nth += 1;
        Call { name: name.to_owned(), nth: *nth }
    };
    names.filter(is_name).map(count).collect()
}

/// Does something with each of them, a few at a time. The first that panics is what fails.
pub fn each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(items.into_iter());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(item) = next else { return };
                    work(item);
                }
            });
        }
    });
}

/// Kills the runner at every `stride`-th system call of the life of a task, from its first lock on,
/// and starts it again. With `stride` 1, at every single one from the beginning.
pub fn kill_at_calls(stride: usize) {
    need_root();
    // Each run adds the path of its log, which has its number, and its pid.
    let trace = r#"echo "$(readlink /proc/$$/fd/1) $$" >> "$HOME/trace";"#;
    let process = |name: &str, cmdline: &str| {
        let cmdline = format!("{trace} {cmdline}");
        json!({"name": name, "cmdline": cmdline, "min_duration": 0})
    };
    let mut again = process("b", "[ -e tried ] && exit 0; touch tried; exit 4");
    again["max_failures"] = 2.into();
    let mut last = process("f", "true");
    last["final"] = true.into();
    let task = json!({
        "processes": [process("a", "sleep 0.05"), again, last],
        "constraints": [{"order": ["a", "b"]}],
    });
    let task = task.to_string();
    let calls = calls(&task);
    println!("{} system calls, of which every {stride}. is tried", calls.len());
    let locked = calls.iter().position(|call| call.name == "flock").unwrap();
    let from = if stride == 1 { 0 } else { locked };
    let tried: Vec<(usize, Call)> =
        calls.into_iter().enumerate().skip(from).step_by(stride).collect();
    assert!(!tried.is_empty());
    each(tried, |(number, call)| {
        println!("{number}: {call}");
        killed_at(&task, &call, number % 2 == 0);
    });
}

fn killed_at(task: &str, call: &Call, at_once: bool) {
    let world = World::new();
    let limit = Duration::from_secs(30);
    let command = call.with_signal("KILL");
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut runner = Runner::start_under(&world, &command, "matrix", task, &[]);
    // It ends as it would have when this run makes fewer calls than the first one did.
    let first = runner.wait(limit);
    if !at_once {
        // Coordinators go on alone meanwhile.
        thread::sleep(Duration::from_millis(150));
    }
    if !first.success() {
        runner = Runner::start(&world, "matrix", task, &[]);
        let status = runner.wait(limit);
        assert!(status.success(), "{call}: {status}: {}", runner.output());
    }
    let records = runner.records();
    let context = || format!("{call}: {:#?}\n{}", states(&records), runner.output());
    assert_eq!(task_state(&records), Some("SUCCESS"), "{}", context());
    let headers = records.iter().filter(|it| matches!(it, Record::Header(_))).count();
    assert_eq!(headers, 1, "{}", context());

    // What was started is exactly what was recorded as having run, each once, with its outcome. A
    // run that got no permission to start may be recorded as lost.
    let mut expected = Vec::new();
    for (process, ends) in
        [("a", &["SUCCESS"][..]), ("b", &["FAILED", "SUCCESS"]), ("f", &["SUCCESS"])]
    {
        let outcomes = outcomes(&records, process);
        let ran = |(_, outcome): &(usize, &&str)| **outcome != "LOST";
        let ran: Vec<(usize, &&str)> = outcomes.iter().enumerate().filter(ran).collect();
        let ended: Vec<&str> = ran.iter().map(|(_, outcome)| **outcome).collect();
        assert_eq!(ended, ends, "{process}: {}", context());
        let logs = world.sandbox().join(".logs").join(process);
        expected.extend(ran.iter().map(|(run, _)| logs.join(run.to_string()).join("stdout")));
    }
    let trace = fs::read_to_string(world.sandbox().join("trace")).unwrap();
    let started: Vec<&Path> =
        trace.lines().map(|line| Path::new(line.split_once(' ').unwrap().0)).collect();
    assert_eq!(started, expected, "{}", context());

    assert!(world.root().join("tasks/finished/matrix").is_file(), "{}", context());
    assert!(!world.root().join("tasks/active/matrix").exists(), "{}", context());
    world.wait_until_clean(limit);
    for stream in ["runner", "coordinator.a", "coordinator.b", "coordinator.f"] {
        let file = world.streams("matrix").join(stream);
        let said = tckpt(&file);
        assert!(!said.contains("TRUNCATED"), "{call}: {stream}: {said}");
        crate::stream::records(&fs::read(&file).unwrap());
    }
}
