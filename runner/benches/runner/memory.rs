//! Memory (PSS: shared pages count in equal parts for those who share them) and wake-ups at rest.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::spawn;
use crate::report::{Spread, Table};
use crate::subject::{Bench, Task, children_of};
use crate::{Context, Result, Sizes};

/// Long enough to outlive every measurement.
const SLEEP: &str = "sleep 300";

pub(crate) fn memory(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    let live = sizes.live;
    let one = at_rest(&bench.start(1, 0, 1, SLEEP)?, sizes.settle_short)?;
    let many = at_rest(&bench.start(live, 0, live, SLEEP)?, sizes.settle)?;
    let idle_one = idle(bench, 1)?;
    let idle_many = idle(bench, live)?;
    let per_run = |many: f64, one: f64| (many - one) / (live - 1) as f64;
    let floor = per_run(idle_many, idle_one);

    let mut table = Table::new(
        &format!("memory: PSS in KiB, {live} × `{SLEEP}`"),
        &[
            "runner",
            "coordinator median",
            "min",
            "max",
            "all",
            "all at 1",
            "per live run",
            "× floor",
        ],
    );
    let kib = |value: f64| format!("{value:.1}");
    let marginal = per_run(many.all(), one.all());
    let each = Spread::of(many.coordinators.iter().copied());
    table.row(
        "thermos_runner",
        [many.runner, each.median, each.min, each.max, many.all(), one.all(), marginal]
            .map(kib)
            .into_iter()
            .chain([format!("{:.2}", marginal / floor)]),
    );
    let blank = || "-".to_owned();
    table.row(
        "floor: bare forks that read a pipe",
        [blank(), blank(), blank(), blank()]
            .into_iter()
            .chain([idle_many, idle_one, floor].map(kib).into_iter().chain(["1.00".to_owned()])),
    );
    table.print();

    let defined = sizes.defined;
    let few = at_rest(&bench.start(1, 1, 1, SLEEP)?, sizes.settle_short)?;
    let lots = at_rest(&bench.start(defined, 1, 1, SLEEP)?, sizes.settle_short)?;
    let mut table = Table::new(
        &format!("memory: {defined} processes defined, 1 running"),
        &["KiB at 1", &format!("KiB at {defined}"), "bytes per process"],
    );
    let per_process = |lots: f64, few: f64| (lots - few) * 1024.0 / (defined - 1) as f64;
    table.row(
        "runner alone",
        [kib(few.runner), kib(lots.runner), format!("{:.0}", per_process(lots.runner, few.runner))],
    );
    table.row(
        "runner and its coordinator",
        [kib(few.all()), kib(lots.all()), format!("{:.0}", per_process(lots.all(), few.all()))],
    );
    table.print();
    Ok(())
}

/// Context switches of a task in which nothing happens: there should be none.
pub(crate) fn wakeups(bench: &mut Bench, sizes: &Sizes) -> Result<()> {
    let task = bench.start(sizes.live, 0, sizes.live, SLEEP)?;
    // What the launches set going comes to rest first.
    thread::sleep(sizes.settle_short);
    let (runner, coordinators) = (task.runner_pid(), task.coordinators());
    let count = || {
        let of_all: Result<Vec<u64>> =
            coordinators.iter().map(|pid| voluntary_switches(*pid)).collect();
        Ok::<_, Box<dyn std::error::Error>>((voluntary_switches(runner)?, of_all?))
    };
    let before = count()?;
    thread::sleep(sizes.watch);
    let after = count()?;
    let woken = before.1.iter().zip(&after.1).filter(|(before, after)| before != after).count();
    let total: u64 = before.1.iter().zip(&after.1).map(|(before, after)| after - before).sum();
    let mut table = Table::new(
        &format!("wake-ups in {} s, {} × `{SLEEP}`", sizes.watch.as_secs(), sizes.live),
        &["voluntary switches", "processes woken"],
    );
    let switches = after.0 - before.0;
    table.row("runner", [switches.to_string(), u8::from(switches > 0).to_string()]);
    table.row(
        format!("{} coordinators", coordinators.len()),
        [total.to_string(), woken.to_string()],
    );
    table.print();
    Ok(())
}

/// s6-supervise, the smallest supervisor that people use, over the same command.
pub(crate) fn peer(bench: &mut Bench, _: &Sizes) -> Result<()> {
    let mut table = Table::new("peer: PSS in KiB of one supervisor", &["KiB"]);
    let service = bench.scratch()?;
    let run = service.join("run");
    fs::write(&run, format!("#!/bin/sh\nexec {SLEEP}\n")).context("failed to write a service")?;
    fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = Command::new("s6-supervise");
    command.arg(&service).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match spawn(&mut command) {
        Ok(child) => child,
        Err(_) => {
            table.row("s6-supervise", ["not installed".to_owned()]);
            table.print();
            return Ok(());
        }
    };
    let patience = Instant::now() + Duration::from_secs(5);
    while children_of(child.id()).is_empty() && Instant::now() < patience {
        thread::sleep(Duration::from_millis(20));
    }
    let pss = pss(child.id());
    // On SIGTERM it ends its service and itself.
    kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
    child.wait()?;
    table.row("s6-supervise", [format!("{:.1}", pss?)]);
    table.print();
    Ok(())
}

/// PSS in KiB of a runner and its coordinators.
struct AtRest {
    runner: f64,
    coordinators: Vec<f64>,
}

impl AtRest {
    fn all(&self) -> f64 {
        self.runner + self.coordinators.iter().sum::<f64>()
    }
}

fn at_rest(task: &Task, settle: Duration) -> Result<AtRest> {
    thread::sleep(settle);
    let coordinators: Result<Vec<f64>> = task.coordinators().into_iter().map(pss).collect();
    Ok(AtRest { runner: pss(task.runner_pid())?, coordinators: coordinators? })
}

/// PSS in KiB of the memory floor, parent and children.
fn idle(bench: &mut Bench, count: usize) -> Result<f64> {
    let parent = bench.start_idle(count)?;
    // The children have been forked, but not all of them need have come to wait.
    thread::sleep(Duration::from_millis(500));
    let mut sum = pss(parent.pid())?;
    for child in children_of(parent.pid()) {
        sum += pss(child)?;
    }
    Ok(sum)
}

fn pss(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    Ok(field(&path, "Pss:")? as f64)
}

fn voluntary_switches(pid: u32) -> Result<u64> {
    field(&format!("/proc/{pid}/status"), "voluntary_ctxt_switches:")
}

/// The number after `name` in a file of /proc.
fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path).with(|| format!("failed to read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    number.with(|| format!("{path} has no {name}"))
}
