//! Reading configuration files.
//!
//! A file in Python syntax is a program. It is run by another program, `aurora-eval`, as a process of
//! its own with limits on memory and time, which prints what the file defines; nothing that the file
//! does reaches this process. A JSON file is read here.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use aurora_schema::json::{self, Json};
use aurora_schema::number::Integer;
use aurora_schema::schema::MESOS_JOB;
use aurora_schema::transfer;
use aurora_schema::types::Type;
use aurora_schema::value::{Origin, Strictness, Value};

use crate::problem::{Problem, Stage};

/// The evaluator's name.
const PROGRAM: &str = "aurora-eval";

/// Where the evaluator is, if not next to this program.
pub const PROGRAM_VARIABLE: &str = "AURORA_EVAL";

/// An answer may be this large.
pub(crate) const MAX_ANSWER: u64 = 512 << 20;

/// What goes to standard error is kept up to this.
pub(crate) const MAX_COMPLAINTS: u64 = 1 << 20;

/// What kind of file is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Jobs, in `jobs`.
    Aurora,
    /// Tasks, by `export(task)`.
    Thermos,
}

/// How files are evaluated.
#[derive(Clone, Debug)]
pub struct Evaluator {
    /// The program; by default found as said at [`PROGRAM_VARIABLE`].
    pub program: Option<PathBuf>,
    /// Whether code in the file may read other files as data.
    pub reads: bool,
    /// Address space in MiB.
    pub memory: u32,
    /// Processor time in seconds; twice that may pass on the clock.
    pub seconds: u32,
}

impl Default for Evaluator {
    fn default() -> Evaluator {
        Evaluator { program: None, reads: true, memory: 2048, seconds: 60 }
    }
}

/// What a file defines.
#[derive(Clone, Debug, Default)]
pub struct Defined {
    /// Jobs or tasks, in the order of the file, with everything that is bound to them.
    pub values: Vec<Value>,
    /// What the file printed.
    pub output: String,
}

impl Evaluator {
    fn program(&self) -> PathBuf {
        if let Some(program) = &self.program {
            return program.clone();
        }
        if let Some(program) = std::env::var_os(PROGRAM_VARIABLE) {
            return PathBuf::from(program);
        }
        let own = std::env::current_exe().ok();
        own.and_then(|own| Some(own.parent()?.join(PROGRAM))).unwrap_or(PathBuf::from(PROGRAM))
    }

    /// The command line that evaluates a file.
    pub(crate) fn command(&self, file: &Path, kind: Kind) -> Command {
        let mut command = Command::new(self.program());
        if kind == Kind::Thermos {
            command.arg("--thermos");
        }
        if !self.reads {
            command.arg("--no-reads");
        }
        command
            .arg(format!("--memory={}", self.memory))
            .arg(format!("--seconds={}", self.seconds))
            .arg(dashed(file))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts it.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Child, Problem> {
        command.spawn().map_err(|error| {
            let message = format!(
                "cannot run {}, which reads configuration files in Python syntax: {error}",
                self.program().display()
            );
            Problem::new(Stage::Load, "EvaluatorMissing", message).with_help(format!(
                "install {PROGRAM} next to this program, or say where it is with {PROGRAM_VARIABLE}; \
                 JSON configurations (--read-json) do not need it"
            ))
        })
    }

    /// So long a file, or a hook in it, may take on the clock.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(2 * u64::from(self.seconds))
    }

    /// A file that takes longer.
    pub(crate) fn late(&self, file: &Path) -> Problem {
        let message = format!(
            "{} did not come to an end within {} seconds",
            file.display(),
            self.patience().as_secs()
        );
        Problem::new(Stage::Load, "TimeoutError", message)
    }

    /// Runs a file in Python syntax.
    pub fn run(&self, file: &Path, kind: Kind) -> Result<Defined, Problem> {
        let child = self.spawn(&mut self.command(file, kind))?;
        let answer = self.wait(child, file)?;
        understand(&parse(&answer, file)?, file)
    }

    /// The answer of the process; what it did not say itself is said for it.
    fn wait(&self, mut child: Child, file: &Path) -> Result<Vec<u8>, Problem> {
        let (Some(out), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Problem::new(Stage::Load, "InternalError", "the evaluator has no output"));
        };
        let (sender, answer) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = out.take(MAX_ANSWER).read_to_end(&mut text);
            // The other side only goes away when it no longer wants to know.
            let _ = sender.send(read.map(|_| text));
        });
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.take(MAX_COMPLAINTS).read_to_end(&mut text);
            text
        });
        let received = answer.recv_timeout(self.patience());
        if !matches!(received, Ok(Ok(_))) {
            let _ = child.kill();
        }
        let status = child.wait();
        let _ = reader.join();
        let complaints = complaints.join().unwrap_or_default();
        let name = file.display();
        match received {
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(self.late(file)),
            Ok(Err(error)) => {
                let message = format!("cannot read what {PROGRAM} says about {name}: {error}");
                Err(Problem::new(Stage::Load, "InternalError", message))
            }
            Ok(Ok(text)) if text.ends_with(b"\n") => {
                // What the file wrote to standard error, as it would have come from here.
                if !complaints.is_empty() {
                    eprint!("{}", String::from_utf8_lossy(&complaints));
                }
                Ok(text)
            }
            Ok(Ok(_)) => Err(self.death(Cause::of(status.ok(), &complaints), file)),
        }
    }

    /// A process that ended without an answer.
    pub(crate) fn death(&self, cause: Cause, file: &Path) -> Problem {
        let name = file.display();
        let (class, message) = match cause {
            Cause::Time => (
                "TimeoutError",
                format!(
                    "evaluating {name} took more than {} seconds of processor time: is there an \
                     endless loop?",
                    self.seconds
                ),
            ),
            Cause::Memory => (
                "MemoryError",
                format!("evaluating {name} took more than {} MiB of memory", self.memory),
            ),
            Cause::Depth => {
                ("RecursionError", format!("{name} is nested too deeply to be evaluated"))
            }
            Cause::Unknown(why) => {
                ("InternalError", format!("{PROGRAM} ended without an answer about {name}{why}"))
            }
        };
        Problem::new(Stage::Load, class, message)
    }
}

/// Why the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It took too much processor time.
    Time,
    /// It took too much memory.
    Memory,
    /// Its stack was too small.
    Depth,
    /// Something else: `: ` and what it said, if it did.
    Unknown(String),
}

impl Cause {
    /// The cause, by how it ended and what it complained about.
    pub(crate) fn of(status: Option<ExitStatus>, complaints: &[u8]) -> Cause {
        use std::os::unix::process::ExitStatusExt as _;
        let complaints = String::from_utf8_lossy(complaints);
        let signal = status.and_then(|status| status.signal());
        let xcpu = rustix::process::Signal::XCPU.as_raw();
        let kill = rustix::process::Signal::KILL.as_raw();
        if signal == Some(xcpu) || signal == Some(kill) {
            return Cause::Time;
        }
        if complaints.contains("memory allocation") || complaints.contains("capacity overflow") {
            return Cause::Memory;
        }
        if complaints.contains("overflowed its stack") || signal.is_some() {
            return Cause::Depth;
        }
        let own =
            |line: &&str| line.strip_prefix(PROGRAM).is_some_and(|rest| rest.starts_with(':'));
        let said = |line: &&str| !line.trim().is_empty();
        let lines = || complaints.lines().rev();
        let last = lines().find(own).or_else(|| lines().find(said));
        Cause::Unknown(last.map(|line| format!(": {line}")).unwrap_or_default())
    }
}

/// A file whose name starts with a dash is still a file.
fn dashed(file: &Path) -> PathBuf {
    match file.to_string_lossy().starts_with('-') {
        true => Path::new(".").join(file),
        false => file.to_owned(),
    }
}

/// A member of an object.
pub(crate) fn find<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    match json {
        Json::Object(members) => {
            members.iter().find(|(known, _)| **known == *name).map(|(_, json)| json)
        }
        _ => None,
    }
}

/// A member that is text.
pub(crate) fn text(json: &Json, name: &str) -> Option<String> {
    match find(json, name)? {
        Json::Text(text) => Some(text.to_string()),
        _ => None,
    }
}

fn number(json: &Json, name: &str) -> Option<u32> {
    match find(json, name)? {
        Json::Integer(Integer::Small(number)) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn strange(detail: &str, file: &Path) -> Problem {
    let message = format!("{PROGRAM} says something strange about {}: {detail}", file.display());
    Problem::new(Stage::Load, "InternalError", message)
}

/// An answer as JSON.
pub(crate) fn parse(answer: &[u8], file: &Path) -> Result<Json, Problem> {
    json::parse(answer).map_err(|error| strange(&error.to_string(), file))
}

/// What an answer says about a file.
pub(crate) fn understand(answer: &Json, file: &Path) -> Result<Defined, Problem> {
    let output = text(answer, "output").unwrap_or_default();
    if let Some(error) = find(answer, "error") {
        return Err(failure(error));
    }
    let Some(document) = find(answer, "defined") else {
        return Err(strange("there is no answer in it", file));
    };
    let values = transfer::decode(document).map_err(|detail| strange(&detail, file))?;
    if let Some(Json::Array(foreign)) = find(answer, "foreign") {
        for (position, what) in foreign.iter().enumerate() {
            if let Json::Text(what) = what {
                let message =
                    format!("{what} has no attribute 'cluster': jobs[{position}] is no Job");
                return Err(Problem::new(Stage::Select, "AttributeError", message));
            }
        }
    }
    Ok(Defined { values, output })
}

/// A mistake that the process reports.
pub(crate) fn failure(error: &Json) -> Problem {
    let stage = match text(error, "stage").as_deref() {
        Some("select") => Stage::Select,
        _ => Stage::Load,
    };
    let class = text(error, "class").unwrap_or_default();
    let mut problem = Problem::new(stage, &class, text(error, "message").unwrap_or_default());
    if let (Some(file), Some(line)) = (text(error, "file"), number(error, "line")) {
        let column = number(error, "column").unwrap_or(1);
        problem.origin = Some(Box::new(Origin { file: file.into(), line, column }));
    }
    problem.help = text(error, "help");
    if let Some(Json::Array(entries)) = find(error, "trace") {
        for entry in entries {
            if let Json::Array(parts) = entry
                && let [Json::Text(file), Json::Integer(Integer::Small(line))] = &parts[..]
            {
                problem.trace.push((file.to_string(), usize::try_from(*line).unwrap_or(0)));
            }
        }
    }
    if problem.class == "SyntaxError" || problem.class == "IndentationError" {
        let place = problem.origin.as_ref().map(|origin| {
            let name = Path::new(&*origin.file).file_name().unwrap_or_default();
            format!(" ({}, line {})", name.to_string_lossy(), origin.line)
        });
        problem.message.push_str(&place.unwrap_or_default());
    }
    if problem.class == "SystemExit" {
        problem.help.get_or_insert("the file ends the program with sys.exit".to_owned());
    }
    problem
}

/// Reads a JSON file: one job, or an object with a list of `jobs`.
pub fn read_json(file: &Path) -> Result<Defined, Problem> {
    let name = file.display();
    let load = |class: &str, message: String| Problem::new(Stage::Load, class, message);
    let content = std::fs::read(file)
        .map_err(|error| load("IOError", format!("cannot read {name}: {error}")))?;
    let document = json::parse(&content).map_err(|error| {
        let origin = Origin {
            file: name.to_string().into(),
            line: error.line as u32,
            column: error.column as u32,
        };
        load("ValueError", format!("{name} is no JSON: {}", error.message)).at(Some(&origin))
    })?;
    let jobs = match document {
        Json::Object(members) => match members.iter().position(|(member, _)| **member == *"jobs") {
            Some(position) => match members.into_iter().nth(position) {
                Some((_, Json::Array(jobs))) => jobs,
                _ => return Err(load("TypeError", format!("{name}: jobs is no list"))),
            },
            None => vec![Json::Object(members)],
        },
        _ => return Err(load("ValueError", format!("{name} is neither a job nor a list of jobs"))),
    };
    let ty = Type::Struct(MESOS_JOB.clone());
    let mut values = Vec::with_capacity(jobs.len());
    for job in jobs {
        let value = Value::from_json(&ty, job, Strictness::Strict).map_err(|error| {
            let class = match error.cause() {
                Some(aurora_schema::error::Cause::UnknownAttribute(_)) => "AttributeError",
                _ => "ValueError",
            };
            let mut message = aurora_schema::wording::message(&error);
            if !error.path().is_root() {
                message.push_str(&format!(" (in {})", error.path()));
            }
            load(class, message).with_help(error.message().to_owned())
        })?;
        values.push(value);
    }
    Ok(Defined { values, output: String::new() })
}
