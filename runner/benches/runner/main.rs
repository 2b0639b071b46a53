//! Benchmarks of the runner against named floors.
//!
//! ```sh
//! cargo bench -p thermos-runner --bench runner                    # everything, about ten minutes
//! cargo bench -p thermos-runner --bench runner -- --quick         # small and rough, about a minute
//! cargo bench -p thermos-runner --bench runner -- chain latency   # only what is named
//! ```
//!
//! The figures are best taken from static builds, as shipped, of both the runner and the floors:
//!
//! ```sh
//! RUSTFLAGS='-C target-feature=+crt-static' \
//!     cargo bench -p thermos-runner --bench runner --target x86_64-unknown-linux-gnu
//! ```
//!
//! `THERMOS_RUNNER` names another binary to measure, `THERMOS_BENCH_DIR` the directory to work in
//! (default: /dev/shm, or else the system's temporary directory). Nothing here judges a time: it prints medians,
//! smallest and largest values, and their ratios to the floors of [`floor`]. Only a task that does
//! not succeed makes it fail.

mod floor;
mod interrupt;
mod memory;
mod report;
mod speed;
mod stream;
mod subject;
mod sys;

use std::env;
use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::prctl;

use crate::subject::{Bench, Places};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

type Scenario = fn(&mut Bench, &Sizes) -> Result<()>;

const SCENARIOS: [(&str, Scenario); 7] = [
    ("chain", speed::chain),
    ("parallel", speed::parallel),
    ("latency", speed::latency),
    ("scaling", speed::scaling),
    ("memory", memory::memory),
    ("wakeups", memory::wakeups),
    ("peer", memory::peer),
];

/// How much of everything.
pub(crate) struct Sizes {
    runs: usize,
    chain: usize,
    parallel: usize,
    scaling: &'static [usize],
    /// Processes that run at the same time while memory is measured.
    live: usize,
    /// Processes of which one runs.
    defined: usize,
    settle: Duration,
    settle_short: Duration,
    watch: Duration,
}

const FULL: Sizes = Sizes {
    runs: 7,
    chain: 200,
    parallel: 1000,
    scaling: &[500, 1000, 2500, 5000],
    live: 50,
    defined: 5000,
    settle: Duration::from_secs(60),
    settle_short: Duration::from_secs(10),
    watch: Duration::from_secs(20),
};

const QUICK: Sizes = Sizes {
    runs: 3,
    scaling: &[],
    settle: Duration::from_secs(5),
    settle_short: Duration::from_secs(2),
    watch: Duration::from_secs(5),
    ..FULL
};

/// For `cargo test --benches`: does it work at all?
const SMOKE: Sizes = Sizes {
    runs: 1,
    chain: 5,
    parallel: 5,
    scaling: &[3, 6],
    live: 2,
    defined: 20,
    settle: Duration::from_millis(200),
    settle_short: Duration::from_millis(200),
    watch: Duration::from_millis(500),
};

fn main() -> ExitCode {
    let mut args = env::args().skip(1).peekable();
    let outcome = match args.next_if(|first| first == "--floor") {
        Some(_) => floor::main(args),
        None => benchmark(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            interrupt::go_on();
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

    let linkage = if cfg!(target_feature = "crt-static") { "static" } else { "dynamic" };
    let places = Places::choose();
    interrupt::watch(places.clone())?;
    // Orphans come to this program, which ends and reaps them.
    prctl::set_child_subreaper(true).context("failed to become a subreaper")?;
    println!("floors: {linkage}; working in {}", places.work.display());
    let mut bench = Bench::new(places)?;
    for (name, scenario) in SCENARIOS {
        if wanted(name) {
            eprintln!("{name} ...");
            scenario(&mut bench, sizes).with(|| format!("{name} failed"))?;
        }
    }
    Ok(())
}

/// The name of the process with this number.
pub(crate) fn process_name(number: usize) -> String {
    format!("p{number}")
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
