//! Benchmarks of copied logs against bare copiers and `s6-log`.
//!
//! ```sh
//! cargo bench -p thermos-runner --bench logs                # about two minutes
//! cargo bench -p thermos-runner --bench logs -- --quick     # small and rough
//! ```
//!
//! A writer, which is this very program, writes so many bytes into its standard output in pieces of
//! one size, waits until its pipe is empty, and notes the time and how much CPU the copier at the other
//! end has used meanwhile (the kernel's own account in nanoseconds). Wall times are from the first byte
//! to the empty pipe.
//!
//! | subject | what it is |
//! |---|---|
//! | `rotate` | a process of `thermos_runner`, 10 MB × 10 |
//! | `compress` | the same with `--rotate_log_compress`; what compresses has its own account |
//! | `both` | a process with `destination: both`, the console being a file |
//! | `file` | one with the default logger: there is no copier |
//! | copier | floor: blocking read of 64 KiB, write, again; default pipe, one file |
//! | two-file copier | floor: the same with two writes |
//! | `s6-log` | peer: `s6-log n10 s10000000 DIR`, from the Debian package s6 |
//!
//! `THERMOS_RUNNER` names another binary to measure, `THERMOS_BENCH_DIR` the directory to work in
//! (default: /dev/shm, or else the system's temporary directory). Nothing here judges a time.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BUFFER: usize = 64 << 10;

/// Bytes of a line, its end included.
const LINE: usize = 100;

/// How much of everything.
struct Sizes {
    runs: usize,
    /// Bytes in large pieces, and in lines.
    large: usize,
    small: usize,
    /// Processes of which memory is measured, and when.
    live: usize,
    settle: Duration,
}

const FULL: Sizes =
    Sizes { runs: 7, large: 1 << 30, small: 256 << 20, live: 50, settle: Duration::from_secs(10) };
const QUICK: Sizes =
    Sizes { runs: 3, large: 256 << 20, small: 64 << 20, live: 20, settle: Duration::from_secs(3) };
/// For `cargo test --benches`: does it work at all?
const SMOKE: Sizes =
    Sizes { runs: 1, large: 1 << 20, small: 1 << 20, live: 2, settle: Duration::from_millis(100) };

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["--writer", total, piece, copier, result] => write_all(total, piece, copier, result),
        ["--copier", files @ ..] => copy(files),
        ["--list"] => {
            println!("logs: benchmark");
            Ok(())
        }
        words => benchmark(words),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

// ---- the writer and the floors ----

/// Writes lines in pieces of one size, and what that took into a file: nanoseconds of wall time, and of
/// CPU of the copier.
fn write_all(total: &str, piece: &str, copier: &str, result: &str) -> Result<()> {
    let (total, piece): (usize, usize) = (total.parse()?, piece.parse()?);
    let copier = match copier {
        "parent" => std::os::unix::process::parent_id().to_string(),
        "none" => String::new(),
        pid => pid.to_owned(),
    };
    let line = [b"x".repeat(LINE - 1), b"\n".to_vec()].concat();
    let text: Vec<u8> = line.iter().copied().cycle().take(piece).collect();
    let out = io::stdout();
    let cpu = || if copier.is_empty() { Ok(0) } else { cpu_of(&copier) };
    let before = cpu()?;
    let begun = Instant::now();
    let mut written = 0;
    while written < total {
        written += rustix::io::write(&out, &text)?;
    }
    if !copier.is_empty() {
        while rustix::io::ioctl_fionread(&out)? > 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
    let wall = begun.elapsed();
    // The copier may still have the last buffer in its hands.
    thread::sleep(Duration::from_millis(20));
    fs::write(result, format!("{} {}", wall.as_nanos(), cpu()? - before))?;
    Ok(())
}

/// Nanoseconds that a process has run.
fn cpu_of(pid: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn copy(files: &[&str]) -> Result<()> {
    let files: io::Result<Vec<File>> = files.iter().map(File::create).collect();
    let (mut files, mut buffer) = (files?, vec![0; BUFFER]);
    let mut input = io::stdin().lock();
    loop {
        let n = input.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        for file in &mut files {
            file.write_all(&buffer[..n])?;
        }
    }
}

// ---- what is measured ----

/// What one run took, in seconds.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    cpu: f64,
}

struct Bench {
    dir: tempfile::TempDir,
    own: PathBuf,
    runner: PathBuf,
}

#[derive(Clone, Copy, PartialEq)]
enum Subject {
    File,
    Rotate,
    Compress,
    Both,
    Copier,
    TwoFileCopier,
    S6,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Subject::File => "file",
            Subject::Rotate => "rotate",
            Subject::Compress => "compress",
            Subject::Both => "both",
            Subject::Copier => "floor: copier",
            Subject::TwoFileCopier => "floor: two-file copier",
            Subject::S6 => "peer: s6-log",
        }
    }
}

impl Bench {
    fn new() -> Result<Bench> {
        let place = match env::var_os("THERMOS_BENCH_DIR") {
            Some(place) => PathBuf::from(place),
            None if Path::new("/dev/shm").is_dir() => PathBuf::from("/dev/shm"),
            None => env::temp_dir(),
        };
        let own = env::current_exe()?;
        let runner = match env::var_os("THERMOS_RUNNER") {
            Some(named) => PathBuf::from(named),
            // This program is PROFILE/deps/logs-HASH.
            None => own.ancestors().nth(2).unwrap_or(Path::new(".")).join("thermos_runner"),
        };
        if !runner.is_file() {
            return Err(format!("there is no {}; build the runner first", runner.display()).into());
        }
        let dir = tempfile::Builder::new().prefix("thermos-logs-").tempdir_in(place)?;
        Ok(Bench { dir, own, runner })
    }

    /// `None` if the subject is not installed.
    fn measure(&self, subject: Subject, total: usize, piece: usize) -> Result<Option<Took>> {
        let scratch = tempfile::tempdir_in(self.dir.path())?;
        let result = scratch.path().join("result");
        let file = |name: &str| scratch.path().join(name).into_os_string();
        let copier = |outputs: &[&str]| {
            let mut command = Command::new(&self.own);
            command.arg("--copier").args(outputs.iter().map(|name| file(name)));
            command
        };
        match subject {
            Subject::File | Subject::Rotate | Subject::Compress | Subject::Both => {
                let pid = if subject == Subject::File { "none" } else { "parent" };
                let own = self.own.display();
                let result = result.display();
                let command = format!("exec '{own}' --writer {total} {piece} {pid} '{result}'");
                let mut child = self.start(scratch.path(), subject, &command, 1)?;
                let status = child.wait()?;
                if !status.success() {
                    return Err(format!("the runner failed: {status}").into());
                }
            }
            Subject::Copier => self.pipe(copier(&["out"]), &result, total, piece)?,
            Subject::TwoFileCopier => self.pipe(copier(&["one", "two"]), &result, total, piece)?,
            Subject::S6 => {
                let mut command = Command::new("s6-log");
                command.args(["n10", "s10000000"]).arg(file("logs"));
                match self.pipe(command, &result, total, piece) {
                    Err(error) if is_missing(&*error) => return Ok(None),
                    other => other?,
                }
            }
        }
        let text = fs::read_to_string(&result)
            .map_err(|error| format!("{} left no result: {error}", subject.name()))?;
        let (wall, cpu) = text.split_once(' ').ok_or("a result without two numbers")?;
        let seconds = |ns: &str| ns.parse::<f64>().map(|ns| ns / 1e9);
        Ok(Some(Took { wall: seconds(wall)?, cpu: seconds(cpu)? }))
    }

    /// Starts the runner with processes that have this command line.
    fn start(&self, dir: &Path, subject: Subject, command: &str, count: usize) -> Result<Child> {
        let logger = match subject {
            Subject::Rotate | Subject::Compress => {
                r#","logger":{"mode":"rotate","rotate":{"log_size":10000000,"backups":10}}"#
            }
            Subject::Both => r#","logger":{"destination":"both"}"#,
            _ => "",
        };
        let json = dir.join("task.json");
        let processes: Vec<String> = (0..count)
            .map(|i| format!(r#"{{"name":"w{i}","cmdline":"{command}"{logger}}}"#))
            .collect();
        let task = format!(r#"{{"name":"logs","processes":[{}]}}"#, processes.join(","));
        fs::write(&json, task)?;
        let flag = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        let console = File::create(dir.join("console"))?;
        Ok(Command::new(&self.runner)
            .arg(flag("thermos_json", json))
            .arg(flag("sandbox", dir.join("sandbox")))
            .arg(flag("checkpoint_root", dir.join("root")))
            .arg("--task_id=logs")
            .args((subject == Subject::Compress).then_some("--rotate_log_compress"))
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()?)
    }

    /// Runs a writer into a copier.
    fn pipe(&self, mut copier: Command, result: &Path, total: usize, piece: usize) -> Result<()> {
        let (read, write) = io::pipe()?;
        let mut copier = copier.stdin(OwnedFd::from(read)).stdout(Stdio::null()).spawn()?;
        let written = Command::new(&self.own)
            .args(["--writer", &total.to_string(), &piece.to_string(), &copier.id().to_string()])
            .arg(result)
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(write))
            .status();
        let copied = copier.wait();
        if written?.success() && copied?.success() {
            Ok(())
        } else {
            Err("writer or copier failed".into())
        }
    }

    /// Average PSS in KiB of the coordinators of so many processes that have said much and are silent.
    fn memory(&self, subject: Subject, count: usize, settle: Duration) -> Result<f64> {
        let scratch = tempfile::tempdir_in(self.dir.path())?;
        let command = "head -c 1000000 /dev/zero; echo $PPID >> ppids; exec sleep 300";
        let mut child = self.start(scratch.path(), subject, command, count)?;
        let ppids = scratch.path().join("sandbox/ppids");
        let patience = Instant::now() + Duration::from_secs(20);
        let coordinators: Vec<String> = loop {
            let text = fs::read_to_string(&ppids).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.len() == count && text.ends_with('\n') {
                break lines;
            }
            if Instant::now() > patience {
                return Err("the processes did not start".into());
            }
            thread::sleep(Duration::from_millis(10));
        };
        thread::sleep(settle);
        let mut sum = 0.0;
        for coordinator in &coordinators {
            let text = fs::read_to_string(format!("/proc/{coordinator}/smaps_rollup"))?;
            let pss = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let kib: Option<f64> =
                pss.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
            sum += kib.ok_or("no PSS")?;
        }
        // Gives the task up at once.
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::USR2)?;
        child.wait()?;
        Ok(sum / count as f64)
    }
}

fn is_missing(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::NotFound)
}

// ---- the tables ----

fn benchmark(words: &[&str]) -> Result<()> {
    let mut sizes = &SMOKE;
    for word in words {
        match *word {
            // What `cargo bench` gives to every benchmark.
            "--bench" => sizes = &FULL,
            "--quick" => {}
            other => return Err(format!("there is no option {other}; --quick is one").into()),
        }
    }
    if words.contains(&"--quick") {
        sizes = &QUICK;
    }
    let bench = Bench::new()?;
    let linkage = if cfg!(target_feature = "crt-static") { "static" } else { "dynamic" };
    println!("floors: {linkage}; working in {}", bench.dir.path().display());
    let all = [
        Subject::Copier,
        Subject::TwoFileCopier,
        Subject::S6,
        Subject::Rotate,
        Subject::Compress,
        Subject::Both,
        Subject::File,
    ];
    for (total, piece) in [(sizes.large, BUFFER), (sizes.large / 2, 4096), (sizes.small, LINE)] {
        let mut took: Vec<Vec<Took>> = vec![Vec::new(); all.len()];
        // In turns, so that whatever else happens on the machine happens to all.
        for _ in 0..sizes.runs {
            for (subject, took) in all.iter().zip(&mut took) {
                took.extend(bench.measure(*subject, total, piece)?);
            }
        }
        let medians: Vec<Option<Took>> = took.iter().map(|took| median(took)).collect();
        let of = |subject: Subject| {
            all.iter().position(|other| *other == subject).and_then(|at| medians[at])
        };
        println!("\n{} MiB in pieces of {piece} bytes, median of {}", total >> 20, sizes.runs);
        println!(
            "{:24} {:>10} {:>14} {:>12} {:>14} {:>12} {:>13}",
            "", "MiB/s", "CPU s per GiB", "CPU/copier", "CPU/two-file", "CPU/s6-log", "wall/s6-log"
        );
        for (subject, median) in all.iter().zip(&medians) {
            let Some(median) = median else {
                println!("{:24} not installed", subject.name());
                continue;
            };
            let ratio = |floor: Option<f64>, value: f64| match floor {
                Some(floor) if floor > 0.0 && value > 0.0 => format!("{:.2}", value / floor),
                _ => "-".to_owned(),
            };
            let gib = total as f64 / f64::from(1 << 30);
            println!(
                "{:24} {:>10.0} {:>14.3} {:>12} {:>14} {:>12} {:>13}",
                subject.name(),
                total as f64 / f64::from(1 << 20) / median.wall,
                median.cpu / gib,
                ratio(of(Subject::Copier).map(|floor| floor.cpu), median.cpu),
                ratio(of(Subject::TwoFileCopier).map(|floor| floor.cpu), median.cpu),
                ratio(of(Subject::S6).map(|peer| peer.cpu), median.cpu),
                ratio(of(Subject::S6).map(|peer| peer.wall), median.wall),
            );
        }
    }
    let live = sizes.live;
    println!(
        "\nmemory: PSS in KiB per coordinator, {live} silent processes that have written 1 MB each"
    );
    for subject in [Subject::File, Subject::Rotate, Subject::Compress, Subject::Both] {
        let kib = bench.memory(subject, live, sizes.settle)?;
        println!("{:24} {kib:>10.1}", subject.name());
    }
    Ok(())
}

/// The medians of both figures.
fn median(took: &[Took]) -> Option<Took> {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    Some(Took {
        wall: middle(took.iter().map(|took| took.wall).collect())?,
        cpu: middle(took.iter().map(|took| took.cpu).collect())?,
    })
}
