//! A process that appends to a log is killed at random moments, again and again: nothing that it
//! said is committed is ever missing, and the state is always the one after some entry.
//!
//! A few kills by default; `-- --ignored` for many.

mod app;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use app::{App, entry};
use replicated_log::{Log, Options, Position, Reason, SnapshotPolicy, StateMachine, Writer};

/// First argument of the process that is killed; the second is the directory.
const WRITER: &str = "--as-writer";

const KILLS: u64 = 12;
const MANY_KILLS: u64 = 500;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [first, directory] if first == WRITER => runtime(write(Path::new(directory))),
        [first, ..] if first == "--list" => Ok(()),
        rest if rest.iter().any(|argument| argument == "--ignored") => kill(MANY_KILLS),
        _ => kill(KILLS),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn runtime<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_time().build()?.block_on(future)
}

/// Short segments and frequent snapshots, so that many kills hit what is rare.
fn options(directory: &Path) -> Options {
    Options {
        segment_bytes: 64 << 10,
        cache_bytes: 16 << 10,
        batch_bytes: 2 << 10,
        snapshot: SnapshotPolicy { bytes: 40 << 10, keep: 2 },
        verify: true,
        ..Options::new(directory)
    }
}

/// Appends until it is killed; prints what is committed.
async fn write(directory: &Path) -> Result<(), Failure> {
    let (log, _) = Log::open(options(directory), App::default()).await?;
    let (mut writer, mut state) = log.lead().await?;
    let mut progress = writer.progress();
    tokio::spawn(async move {
        let mut out = std::io::stdout();
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            if writeln!(out, "{}", now.committed).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
    loop {
        append(&mut writer, &mut state).await?;
        if writer.last().0 % 40 == 0 {
            writer.wait(Position(writer.last().0 - 20)).await?;
        }
    }
}

async fn append(writer: &mut Writer<App>, state: &mut App) -> Result<(), Failure> {
    let mut next = entry(writer.last().0 + 1);
    state.apply(&next)?;
    let mut image = state.image();
    loop {
        match writer.append(next, image) {
            Ok(_) => return Ok(()),
            Err(refused) if refused.reason == Reason::Full => {
                (next, image) = (refused.entry, refused.image);
                writer.room().await;
            }
            Err(refused) => return Err(format!("{:?}", refused.reason).into()),
        }
    }
}

/// A child that does not outlive this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(times: u64) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let mut last = 0;
    let mut torn = 0;
    let mut silent = 0;
    for round in 0..times {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(WRITER).arg(directory.path()).stdout(Stdio::piped());
        let mut child = Killed(command.spawn()?);
        let out = child.0.stdout.take().ok_or("no output")?;
        let acknowledged = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&acknowledged);
        let (first, begun) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                // The last one may be cut.
                let number = line.ok().and_then(|line| line.parse().ok());
                seen.fetch_max(number.unwrap_or(0), Ordering::Relaxed);
                // Nobody listens any more after the first.
                let _ = first.send(());
            }
        });
        // Some die before they lead, most in the middle of writing.
        let moment = Duration::from_micros(round.wrapping_mul(7_919) % 60_000);
        if round % 6 != 0 {
            begun.recv().map_err(|_| "the writer ended by itself")?;
        }
        std::thread::sleep(moment);
        drop(child);
        reader.join().map_err(|_| "the reader panicked")?;

        let acknowledged = acknowledged.load(Ordering::Relaxed);
        let found = runtime(async {
            let (log, recovered) = Log::open(options(directory.path()), App::default()).await?;
            let (writer, state) = log.lead().await?;
            drop(writer);
            log.close().await;
            assert_eq!(state, App::after(state.count), "the state is after no entry");
            assert_eq!(Position(state.count), recovered.position);
            assert!(recovered.damaged_snapshots.is_empty(), "{recovered:?}");
            Ok(recovered)
        })?;
        let position = found.position.0;
        if position < acknowledged || position < last {
            let text = format!(
                "round {round}: {acknowledged} acknowledged, {last} before, {position} found"
            );
            return Err(text.into());
        }
        torn += u64::from(found.torn.is_some());
        silent += u64::from(acknowledged == 0);
        last = position;
    }
    if last < times {
        return Err(format!("{last} entries in {times} rounds: nothing was tested").into());
    }
    println!(
        "{times} kills, {silent} before the first answer, {torn} torn writes, {last} entries, \
         none missing"
    );
    Ok(())
}
