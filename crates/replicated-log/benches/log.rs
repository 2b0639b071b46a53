//! What the log costs, against what the disk costs.
//!
//! ```text
//! cargo bench -p replicated-log [-- [--dir DIR] [--quick] [commit | recover | snapshot ...]]
//! ```
//!
//! The floor of every commit figure is a bare `pwrite` and `fdatasync` of as many bytes, into a file
//! of zeros in the same directory, taken in turns with it. Nothing here judges a time.

#[path = "../tests/app/mod.rs"]
mod app;

use std::collections::VecDeque;
use std::error::Error;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use app::{App, put};
use bytes::Bytes;
use replicated_log::{
    Log, Metrics, Options, Position, Reason, SnapshotPolicy, StateMachine, Writer,
};

type Failure = Box<dyn Error + Send + Sync>;

/// About what saving one launched task takes in the log, in bytes.
const LAUNCH: usize = 300;

/// A task with four events and its place in the indexes, as a snapshot has it, in bytes.
const TASK: usize = 600;

struct Settings {
    parent: PathBuf,
    quick: bool,
    what: Vec<String>,
}

impl Settings {
    fn parse() -> Settings {
        let mut settings =
            Settings { parent: std::env::temp_dir(), quick: false, what: Vec::new() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--bench" => {}
                "--quick" => settings.quick = true,
                "--dir" => settings.parent = arguments.next().unwrap_or_default().into(),
                _ => settings.what.push(argument),
            }
        }
        settings
    }

    fn wants(&self, what: &str) -> bool {
        self.what.is_empty() || self.what.iter().any(|wanted| wanted == what)
    }
}

fn main() -> Result<(), Failure> {
    let settings = Settings::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    runtime.block_on(async {
        if settings.wants("commit") {
            commit(&settings).await?;
        }
        if settings.wants("recover") {
            recover(&settings).await?;
        }
        if settings.wants("snapshot") {
            snapshot(&settings).await?;
        }
        Ok(())
    })
}

/// Without snapshots, unless they are asked for.
fn options(directory: &Path) -> Options {
    Options { snapshot: SnapshotPolicy { bytes: u64::MAX, keep: 1 }, ..Options::new(directory) }
}

/// One that has `n` entries waiting at any time.
async fn clients(
    writer: &mut Writer<App>,
    state: &mut App,
    waiting: usize,
    time: Duration,
) -> Result<(), Failure> {
    let mut progress = writer.progress();
    let mut open = VecDeque::new();
    let begun = Instant::now();
    let mut number = 0;
    while begun.elapsed() < time {
        while open.len() < waiting {
            number += 1;
            open.push_back(append(writer, state, put(number % 10_000, &[1; LAUNCH])).await?);
        }
        progress.changed().await?;
        let committed = progress.borrow_and_update().committed;
        while open.front().is_some_and(|position| *position <= committed) {
            open.pop_front();
        }
    }
    writer.wait(writer.last()).await?;
    Ok(())
}

async fn append(
    writer: &mut Writer<App>,
    state: &mut App,
    mut entry: Bytes,
) -> Result<Position, Failure> {
    state.apply(&entry)?;
    let mut image = state.image();
    loop {
        match writer.append(entry, image) {
            Ok(position) => return Ok(position),
            Err(refused) if refused.reason == Reason::Full => {
                (entry, image) = (refused.entry, refused.image);
                writer.room().await;
            }
            Err(refused) => return Err(format!("{:?}", refused.reason).into()),
        }
    }
}

/// Bare writes: into a file of zeros, each synced.
struct Floor {
    file: File,
    length: u64,
    at: u64,
}

impl Floor {
    fn new(path: &Path) -> io::Result<Floor> {
        let open = |create| File::options().read(true).write(true).create_new(create).open(path);
        let file = open(true)?;
        let zeros = vec![0; 4 << 20];
        let length = 64 << 20;
        for at in (0..length).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
            file.sync_data()?;
        }
        // As the log does with a segment: its name is durable before it is used.
        File::open(path.parent().unwrap_or(path))?.sync_all()?;
        Ok(Floor { file: open(false)?, length, at: 0 })
    }

    /// How many writes of so many bytes are done in this time, and how long that took, in seconds.
    fn run(&mut self, bytes: usize, time: Duration) -> io::Result<(f64, f64)> {
        let content = vec![1; bytes];
        let begun = Instant::now();
        let mut count = 0_u32;
        while begun.elapsed() < time {
            if self.at + bytes as u64 > self.length {
                self.at = 0;
            }
            self.file.write_all_at(&content, self.at)?;
            self.file.sync_data()?;
            self.at += (bytes as u64).next_multiple_of(8);
            count += 1;
        }
        Ok((f64::from(count), begun.elapsed().as_secs_f64()))
    }
}

fn since(now: &Metrics, before: &Metrics) -> (f64, f64, f64) {
    (
        (now.entries - before.entries) as f64,
        (now.syncs - before.syncs) as f64,
        (now.segment_bytes - before.segment_bytes) as f64,
    )
}

async fn commit(settings: &Settings) -> Result<(), Failure> {
    const SLICE: Duration = Duration::from_millis(200);
    let directory = tempfile::tempdir_in(&settings.parent)?;
    let slices = if settings.quick { 10 } else { 100 };
    let mut floor = Floor::new(&directory.path().join("floor"))?;
    println!(
        "commits of {LAUNCH} bytes, {slices} slices of 0.2 s; floor: pwrite + fdatasync of the bytes \
         of one frame, in turns with them"
    );
    println!(
        "{:>8} {:>11} {:>14} {:>12} {:>11} {:>13} {:>7}",
        "clients", "entries/s", "entries/sync", "bytes/sync", "syncs/s", "floor syncs/s", "ratio"
    );
    for waiting in [1, 16, 256, 4096] {
        let (log, _) = Log::open(options(&directory.path().join("log")), App::default()).await?;
        let (mut writer, mut state) = log.lead().await?;
        let (mut took, mut floor_count, mut floor_took) = (0.0, 0.0, 0.0);
        let before = log.metrics();
        for _ in 0..slices {
            let begun = Instant::now();
            clients(&mut writer, &mut state, waiting, SLICE).await?;
            took += begun.elapsed().as_secs_f64();
            let (_, syncs, bytes) = since(&log.metrics(), &before);
            let (count, seconds) = floor.run((bytes / syncs) as usize, SLICE)?;
            floor_count += count;
            floor_took += seconds;
        }
        let (entries, syncs, bytes) = since(&log.metrics(), &before);
        let append = log.metrics().append;
        drop(writer);
        log.close().await;
        println!(
            "{waiting:>8} {:>11.0} {:>14.1} {:>12.0} {:>11.0} {:>13.0} {:>7.2}   \
             p50 < {:?}, p99 < {:?}",
            entries / took,
            entries / syncs,
            bytes / syncs,
            syncs / took,
            floor_count / floor_took,
            (floor_count / floor_took) / (syncs / took),
            append.quantile(0.5),
            append.quantile(0.99),
        );
    }
    Ok(())
}

async fn recover(settings: &Settings) -> Result<(), Failure> {
    let directory = tempfile::tempdir_in(&settings.parent)?;
    let count = if settings.quick { 100_000 } else { 1_000_000 };
    let (log, _) = Log::open(options(directory.path()), App::default()).await?;
    let (mut writer, mut state) = log.lead().await?;
    for number in 0..count {
        append(&mut writer, &mut state, put(number, &[1; 92])).await?;
    }
    writer.wait(writer.last()).await?;
    let batches = log.metrics().batches;
    drop((writer, state));
    log.close().await;

    let begun = Instant::now();
    let (log, recovered) = Log::open(options(directory.path()), App::default()).await?;
    let (writer, state) = log.lead().await?;
    let took = begun.elapsed().as_secs_f64();
    assert_eq!((recovered.position.0, state.count), (count, count));
    drop(writer);
    log.close().await;

    // The floor: applying alone.
    let begun = Instant::now();
    let mut floor = App::default();
    for number in 0..count {
        floor.apply(&put(number, &[1; 92]))?;
    }
    let alone = begun.elapsed().as_secs_f64();
    println!(
        "recovery of {count} entries of 100 bytes in {batches} batches, without a snapshot: \
         {took:.2} s; applying alone: {alone:.2} s; ratio {:.2}",
        took / alone
    );
    Ok(())
}

async fn snapshot(settings: &Settings) -> Result<(), Failure> {
    let directory = tempfile::tempdir_in(&settings.parent)?;
    let tasks: u64 = if settings.quick { 100_000 } else { 1_000_000 };
    let (log, _) = Log::open(options(directory.path()), App::default()).await?;
    let (mut writer, mut state) = log.lead().await?;
    for number in 0..tasks {
        append(&mut writer, &mut state, put(number, &[1; TASK])).await?;
    }
    writer.wait(writer.last()).await?;
    let quiet = latencies::<()>(&mut writer, &mut state, Duration::from_secs(2), None).await?;
    let log = std::sync::Arc::new(log);
    let (taking, begun) = (std::sync::Arc::clone(&log), Instant::now());
    let task = tokio::spawn(async move { taking.snapshot().await.map(|()| begun.elapsed()) });
    let busy = latencies(&mut writer, &mut state, Duration::ZERO, Some(&task)).await?;
    let took = task.await??.as_secs_f64();
    let bytes = log.metrics().snapshot_bytes as f64;
    println!(
        "snapshot of {tasks} values of {TASK} bytes, {:.0} MB, while a client commits",
        bytes / 1e6
    );
    println!("  taken in {took:.2} s, {:.0} MB/s", bytes / 1e6 / took);
    println!("  append, worst:           quiet {:.3} ms, meanwhile {:.3} ms", quiet.0, busy.0);
    println!("  commit, median:          quiet {:.3} ms, meanwhile {:.3} ms", quiet.1, busy.1);
    println!("  commit, worst of 1,000:  quiet {:.3} ms, meanwhile {:.3} ms", quiet.2, busy.2);
    drop((writer, state));
    if let Ok(log) = std::sync::Arc::try_unwrap(log) {
        log.close().await;
    }

    let begun = Instant::now();
    let (log, recovered) = Log::open(options(directory.path()), App::default()).await?;
    let (writer, state) = log.lead().await?;
    let took = begun.elapsed().as_secs_f64();
    drop(writer);
    log.close().await;
    let begun = Instant::now();
    let mut encoded = Vec::new();
    App::encode(&state, &mut encoded)?;
    App::default().restore(&mut &encoded[..])?;
    let alone = begun.elapsed().as_secs_f64();
    println!(
        "  opened from it in {took:.2} s, {:.0} MB/s; encoding and restoring in memory alone: \
         {alone:.2} s; ratio {:.2}",
        recovered.snapshot_bytes as f64 / 1e6 / took,
        took / alone
    );
    Ok(())
}

/// Commits one entry after the other for some time, or until a task is done. Worst time of a call of
/// append; median and 99.9th percentile from append to commit; in ms.
async fn latencies<T>(
    writer: &mut Writer<App>,
    state: &mut App,
    time: Duration,
    until: Option<&tokio::task::JoinHandle<T>>,
) -> Result<(f64, f64, f64), Failure> {
    let begun = Instant::now();
    let mut worst = Duration::ZERO;
    let mut commits = Vec::new();
    while until.map_or(begun.elapsed() < time, |task| !task.is_finished()) {
        let entry = put(7, &[2; LAUNCH]);
        state.apply(&entry)?;
        let image = state.image();
        let start = Instant::now();
        let appended = writer.append(entry, image);
        worst = worst.max(start.elapsed());
        let position = appended.map_err(|refused| format!("{:?}", refused.reason))?;
        writer.wait(position).await?;
        commits.push(start.elapsed());
    }
    commits.sort_unstable();
    let at = |share: usize| commits.get(commits.len() * share / 1000).copied().unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    Ok((millis(worst), millis(at(500)), millis(at(999))))
}
