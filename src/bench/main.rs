//! Benchmarks of the executor with its runner, against named floors.
//!
//! ```sh
//! cargo bench -p thermos-executor --bench executor                    # everything, three minutes
//! cargo bench -p thermos-executor --bench executor -- --quick         # rough, half a minute
//! cargo bench -p thermos-executor --bench executor -- speed memory    # only what is named
//! ```
//!
//! The figures are those of what ships if `THERMOS_EXECUTOR` names it; otherwise the executor beside
//! this program is taken. `THERMOS_BENCH_DIR` is the directory to work in (default: /dev/shm, or
//! else the system's temporary directory).
//!
//! The agent is this program: every moment is taken at its socket, when the last byte of a call was
//! read or before the first byte of an event is written. Samples of floor and executor alternate, so
//! that a machine that is busy for a while is so for both; where it is busy all the time, `chrt -f 1`
//! in front of the program gives the figures of a quiet one. Nothing here judges a time: it prints
//! medians, percentiles, what is above the floor, and ratios. Only a task that does not do as
//! expected makes it fail.

mod agent;
#[path = "../../runner/benches/runner/report.rs"]
#[allow(dead_code, reason = "the runner's benchmark prints other tables")]
mod report;
mod subject;

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, thread};

use crate::report::{Table, percentile, ratio, sorted};
use crate::subject::{Bench, cpu_of_children, pss, sleeps};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

type Scenario = fn(&mut Bench, &Sizes) -> Result<()>;

const SCENARIOS: [(&str, Scenario); 4] =
    [("speed", speed), ("memory", memory), ("size", size), ("wakeups", wakeups)];

/// How much of everything.
struct Sizes {
    /// Lives of executors.
    lives: usize,
    /// Before memory is looked at, or wake-ups are counted.
    settle: Duration,
    /// How long wake-ups are counted: two looks at the disk's use fall into it.
    watch: Duration,
}

const FULL: Sizes =
    Sizes { lives: 500, settle: Duration::from_secs(5), watch: Duration::from_secs(130) };

const QUICK: Sizes =
    Sizes { lives: 100, settle: Duration::from_secs(2), watch: Duration::from_secs(20) };

/// For `cargo test --benches`: does it work at all?
const SMOKE: Sizes =
    Sizes { lives: 2, settle: Duration::from_millis(200), watch: Duration::from_millis(500) };

fn main() -> ExitCode {
    let mut args = env::args().skip(1).peekable();
    let outcome = match args.next_if(|first| first == subject::FLOOR) {
        Some(_) => subject::floor(args),
        None => benchmark(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn benchmark(args: impl Iterator<Item = String>) -> Result<()> {
    let (mut sizes, mut filters) = (&SMOKE, Vec::new());
    let mut quick = false;
    for arg in args {
        match arg.as_str() {
            // What `cargo bench` gives to every benchmark.
            "--bench" => sizes = &FULL,
            "--quick" => quick = true,
            "--list" => {
                SCENARIOS.iter().for_each(|(name, _)| println!("{name}: benchmark"));
                return Ok(());
            }
            "--help" | "-h" => {
                let names = SCENARIOS.map(|(name, _)| name).join(" ");
                println!("usage: [--quick] [--list] [SCENARIO ...]\nscenarios: {names}");
                return Ok(());
            }
            _ if arg.starts_with('-') => return Err(format!("there is no option {arg}").into()),
            _ => filters.push(arg),
        }
    }
    if quick {
        sizes = &QUICK;
    }
    let wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    if !SCENARIOS.iter().any(|(name, _)| wanted(name)) {
        return Err(format!("no scenario matches {}", filters.join(" ")).into());
    }
    let mut bench = Bench::new()?;
    println!("working in {}", bench.work().display());
    for (name, scenario) in SCENARIOS {
        if wanted(name) {
            eprintln!("{name} ...");
            scenario(&mut bench, sizes).with(|| format!("{name} failed"))?;
        }
    }
    Ok(())
}

/// From the start to SUBSCRIBE, from LAUNCH to TASK_RUNNING, from the end of the last process to the
/// terminal update.
fn speed(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    let (mut start, mut run, mut speak, mut end) = (vec![], vec![], vec![], vec![]);
    let (mut floor_start, mut floor_speak, mut floor_end) = (vec![], vec![], vec![]);
    let (mut cpu, mut floor_cpu) = (vec![], vec![]);
    for _ in 0..sizes.lives {
        floor_start.push(bench.floor_start()?);
        let before = cpu_of_children()?;
        let (spoke, ended) = bench.floor_bash()?;
        floor_speak.push(spoke);
        floor_end.push(ended);
        let between = cpu_of_children()?;
        floor_cpu.push(between.saturating_sub(before));
        let life = bench.start()?;
        start.push(life.started);
        let running = life.launch()?;
        run.push(running.running);
        speak.push(running.spoke);
        end.push(running.end()?);
        cpu.push(cpu_of_children()?.saturating_sub(between));
    }
    let mut table = Table::new(
        &format!("speed in ms, {} lives of an executor with one process", sizes.lives),
        &["p50", "p99", "max", "p50 above floor", "p99 above floor", "p50 / floor", "p99 / floor"],
    );
    let mut rows = |name: &str, times: &[Duration], floor: &str, of_floor: &[Duration]| {
        let (times, of_floor) = (Percentiles::of(times), Percentiles::of(of_floor));
        let [p50, p99, max] = times.cells();
        let above = [times.p50 - of_floor.p50, times.p99 - of_floor.p99].map(ms);
        let ratios = [ratio(times.p50, of_floor.p50), ratio(times.p99, of_floor.p99)];
        table.row(name, [p50, p99, max].into_iter().chain(above).chain(ratios));
        table.row(format!("  floor: {floor}"), of_floor.cells());
    };
    rows(
        "start to SUBSCRIBE",
        &start,
        "a program that connects and sends the same bytes",
        &floor_start,
    );
    let bash = "bash alone, start to its first word";
    rows("LAUNCH to TASK_RUNNING", &run, bash, &floor_speak);
    rows("LAUNCH to the first word of bash", &speak, bash, &floor_speak);
    rows(
        "release of bash to TASK_FINISHED",
        &end,
        "bash alone, release to its being reaped",
        &floor_end,
    );
    rows("CPU of a whole life, bash included", &cpu, "CPU of bash alone", &floor_cpu);
    table.print();
    Ok(())
}

/// PSS of executor, runner and coordinator of a task with one process.
fn memory(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    let mut floor = Vec::new();
    for _ in 0..3 {
        floor.push(bench.floor_idle()?);
    }
    thread::sleep(sizes.settle);
    let of_floor: Result<Vec<f64>> = floor.iter().map(|child| pss(child.id())).collect();
    for child in &mut floor {
        child.kill()?;
        child.wait()?;
    }
    let of_floor: f64 = of_floor?.iter().sum();

    let running = bench.start()?.launch()?;
    thread::sleep(sizes.settle);
    let mut each = [0.0; 3];
    for (pss_of, pid) in each.iter_mut().zip(running.processes()?) {
        *pss_of = pss(pid)?;
    }
    running.end()?;
    let sum: f64 = each.iter().sum();
    let kib = |value: f64| format!("{value:.0}");
    let mut table = Table::new(
        &format!("memory: PSS in KiB after {} s, bash excluded", sizes.settle.as_secs_f64()),
        &["executor", "runner", "coordinator", "all", "/ floor"],
    );
    let cells = each.into_iter().chain([sum]).map(kib);
    table.row("one process", cells.chain([ratio(sum, of_floor)]));
    let blank = || "-".to_owned();
    table.row(
        "  floor: three programs that wait",
        [blank(), blank(), blank(), kib(of_floor), ratio(1.0, 1.0)],
    );
    table.print();
    Ok(())
}

/// What an agent has to copy into a sandbox.
fn size(bench: &mut Bench, _: &Sizes) -> Result<()> {
    let bytes = fs::metadata(bench.executor()).context("failed to look at the executor")?.len();
    let mut table = Table::new("size of the executor's file, runner included", &["bytes", "MiB"]);
    table.row("thermos_executor", [bytes.to_string(), format!("{:.2}", bytes as f64 / 1048576.0)]);
    table.print();
    Ok(())
}

/// What wakes while nothing happens: the look at the disk's use, once a minute, and nothing else.
fn wakeups(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    let running = bench.start()?.launch()?;
    // The last acknowledgement is taken in first.
    thread::sleep(sizes.settle);
    let processes = running.processes()?;
    let count = || processes.iter().map(|pid| sleeps(*pid)).collect::<Result<Vec<u64>>>();
    let before = count()?;
    thread::sleep(sizes.watch);
    let after = count()?;
    running.end()?;
    let mut table = Table::new(
        &format!("wake-ups in {} s", sizes.watch.as_secs_f64()),
        &["executor", "runner", "coordinator"],
    );
    table.row("one process", after.iter().zip(&before).map(|(a, b)| (a - b).to_string()));
    let looks = (sizes.settle + sizes.watch).as_secs() / 60;
    table.row("  floor: looks at the disk", [looks, 0, 0].map(|number| number.to_string()));
    table.print();
    Ok(())
}

/// Of times, in seconds.
struct Percentiles {
    p50: f64,
    p99: f64,
    max: f64,
}

impl Percentiles {
    fn of(times: &[Duration]) -> Percentiles {
        let sorted = sorted(times.iter().map(Duration::as_secs_f64));
        let of = |share| percentile(&sorted, share);
        Percentiles { p50: of(0.5), p99: of(0.99), max: of(1.0) }
    }

    fn cells(&self) -> [String; 3] {
        [self.p50, self.p99, self.max].map(ms)
    }
}

/// Seconds as milliseconds.
fn ms(seconds: f64) -> String {
    format!("{:.2}", seconds * 1e3)
}

/// Says in an error what was being done.
pub(crate) trait Context<T>: Sized {
    fn with(self, what: impl FnOnce() -> String) -> Result<T>;

    fn context(self, what: &str) -> Result<T> {
        self.with(|| what.to_owned())
    }
}

impl<T> Context<T> for Option<T> {
    fn with(self, what: impl FnOnce() -> String) -> Result<T> {
        self.ok_or_else(|| what().into())
    }
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn with(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| format!("{}: {error}", what()).into())
    }
}
