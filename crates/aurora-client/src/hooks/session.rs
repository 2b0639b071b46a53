//! The evaluator's process while it calls hooks: requests and answers, one line each.
//!
//! The process limits its own memory and processor time, over all hooks of a command; the clock is
//! watched here, for each method.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use aurora_api::readable;
use aurora_schema::json::{self, Json, Writer};
use aurora_schema::transfer;
use aurora_schema::value::Value;

use super::{Argument, Call, Change, Event, Interpreter, Outcome, write_key};
use crate::context::{Context, Level};
use crate::convert::Converted;
use crate::evaluate::{
    self, Cause, Defined, Evaluator, Kind, MAX_ANSWER, MAX_COMPLAINTS, failure, find, text,
};
use crate::problem::{Problem, Stage};

/// The version of the requests and answers.
const VERSION: &str = "1";

/// Lines that may wait to be read.
const WAITING: usize = 64;

/// Why there is no answer.
enum End {
    /// It takes too long.
    Late,
    /// The process has ended.
    Gone,
}

/// A process that has evaluated a file and now calls its hooks.
pub(crate) struct Session {
    evaluator: Evaluator,
    file: PathBuf,
    /// The classes of the hooks; none if the process does not stay.
    names: Option<Vec<String>>,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    complaints: Option<JoinHandle<Vec<u8>>>,
}

impl Session {
    /// Runs a file. If it has hooks, the process stays.
    ///
    /// # Errors
    /// As [`Evaluator::run`].
    pub(crate) fn start(
        evaluator: &Evaluator,
        file: &Path,
    ) -> Result<(Defined, Option<Session>), Problem> {
        let mut command = evaluator.command(file, Kind::Aurora);
        command.arg(format!("--hooks={VERSION}")).stdin(Stdio::piped());
        let mut child = evaluator.spawn(&mut command)?;
        let (Some(out), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Problem::new(Stage::Load, "InternalError", "the evaluator has no output"));
        };
        let (sender, lines) = sync_channel(WAITING);
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            // An unfinished line is none: its writer died.
            while (&mut out).take(MAX_ANSWER).read_until(b'\n', &mut line).is_ok()
                && line.ends_with(b"\n")
                && sender.send(std::mem::take(&mut line)).is_ok()
            {}
        });
        let complaints = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = errors.take(MAX_COMPLAINTS).read_to_end(&mut text);
            text
        });
        let mut session = Session {
            evaluator: evaluator.clone(),
            file: file.to_owned(),
            names: None,
            input: child.stdin.take(),
            child,
            lines,
            complaints: Some(complaints),
        };
        let deadline = Instant::now() + evaluator.patience();
        loop {
            let line = match session.next(deadline) {
                Ok(line) => line,
                Err(End::Late) => {
                    let _ = session.child.kill();
                    return Err(evaluator.late(file));
                }
                Err(End::Gone) => {
                    let cause = session.cause();
                    return Err(evaluator.death(cause, file));
                }
            };
            let answer = evaluate::parse(&line, file)?;
            if let Some(stream) = text(&answer, "print") {
                complain(&stream, &text(&answer, "text").unwrap_or_default());
                continue;
            }
            session.names = find(&answer, "hooks").map(texts);
            let defined = evaluate::understand(&answer, file)?;
            let stays = session.names.is_some();
            return Ok((defined, stays.then_some(session)));
        }
    }

    /// The classes of the hooks.
    pub(crate) fn names(&self) -> &[String] {
        self.names.as_deref().unwrap_or_default()
    }

    /// Says which job hooks are called for.
    ///
    /// # Errors
    /// The process does not take it.
    pub(crate) fn begin(&mut self, context: &mut Context<'_>, job: &Value) -> Result<(), Problem> {
        let request = format!("{{\"job\": {}}}", transfer::encode(std::slice::from_ref(job)));
        let answer = self.ask(context, &request).map_err(|end| self.lost(end, "the hooks"))?;
        match find(&answer, "error") {
            Some(error) => Err(failure(error)),
            None => Ok(()),
        }
    }

    /// The next line that the process says.
    fn next(&mut self, deadline: Instant) -> Result<Vec<u8>, End> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).map_err(|error| match error {
            RecvTimeoutError::Timeout => End::Late,
            RecvTimeoutError::Disconnected => End::Gone,
        })
    }

    fn tell(&mut self, line: &str) -> Result<(), End> {
        let input = self.input.as_mut().ok_or(End::Gone)?;
        let written = input.write_all(line.as_bytes()).and_then(|()| input.write_all(b"\n"));
        written.and_then(|()| input.flush()).map_err(|_| End::Gone)
    }

    /// Makes a request, prints what is to be printed and answers questions until it is answered.
    fn ask(&mut self, context: &mut Context<'_>, request: &str) -> Result<Json, End> {
        self.tell(request)?;
        let mut deadline = Instant::now() + self.evaluator.patience();
        loop {
            let line = self.next(deadline)?;
            let Ok(answer) = json::parse(&line) else { return Err(End::Gone) };
            if let Some(stream) = text(&answer, "print") {
                print(context, &stream, &text(&answer, "text").unwrap_or_default());
                continue;
            }
            let Some(question) = text(&answer, "ask") else { return Ok(answer) };
            // People may take their time.
            let asked = Instant::now();
            let reply = match question.as_str() {
                "line" => line_of(context, &text(&answer, "prompt").unwrap_or_default()),
                _ => sent(context, &answer),
            };
            deadline += asked.elapsed();
            self.tell(&reply)?;
        }
    }

    /// Why the process ended.
    fn cause(&mut self) -> Cause {
        // It is over, or has said something that cannot be understood.
        let _ = self.child.kill();
        let status = self.child.wait().ok();
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        Cause::of(status, &complaints.unwrap_or_default())
    }

    /// A process that does not answer while it is at something.
    fn lost(&mut self, end: End, what: &str) -> Problem {
        let file = self.file.display().to_string();
        let Evaluator { seconds, memory, .. } = self.evaluator;
        let (class, message) = match end {
            End::Late => {
                let limit = self.evaluator.patience().as_secs();
                let message =
                    format!("{what} of {file} did not come to an end within {limit} seconds");
                ("TimeoutError", message)
            }
            End::Gone => match self.cause() {
                Cause::Time => (
                    "TimeoutError",
                    format!(
                        "{what} of {file} took more than {seconds} seconds of processor time: is \
                         there an endless loop?"
                    ),
                ),
                Cause::Memory => (
                    "MemoryError",
                    format!("{what} of {file} took more than {memory} MiB of memory"),
                ),
                Cause::Depth => {
                    ("RecursionError", format!("{what} of {file} is nested too deeply"))
                }
                Cause::Unknown(why) => {
                    ("InternalError", format!("the evaluator ended while it was at {what}{why}"))
                }
            },
        };
        let _ = self.child.kill();
        Problem::new(Stage::Load, class, message)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its input ends, and so does it; a method that still runs is not waited for.
        drop(self.input.take());
        if self.names.is_some() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Interpreter for Session {
    fn call(
        &mut self,
        context: &mut Context<'_>,
        hook: usize,
        event: Event,
        call: &Call,
        extra: &Argument,
    ) -> (Outcome, Option<Change>) {
        let name = self.names().get(hook).cloned().unwrap_or_default();
        let usual = format!("{}_{}", event.name(), call.method);
        context.log(Level::Debug, format_args!("Running {usual} in {name}"));
        match self.ask(context, &request(hook, event, call, extra)) {
            Ok(answer) => (outcome(&answer, &usual), change(&answer)),
            Err(end) => {
                let what = format!("{usual} in {name}");
                (Outcome::Lost(Box::new(self.lost(end, &what))), None)
            }
        }
    }
}

/// The texts of an array.
fn texts(json: &Json) -> Vec<String> {
    let Json::Array(texts) = json else { return Vec::new() };
    let text = |json: &Json| match json {
        Json::Text(text) => Some(text.to_string()),
        _ => None,
    };
    texts.iter().filter_map(text).collect()
}

/// A call as the process reads it.
fn request(hook: usize, event: Event, call: &Call, extra: &Argument) -> String {
    let arguments: Vec<String> = call.arguments.iter().map(Argument::json).collect();
    let keywords: Vec<String> = call
        .keywords
        .iter()
        .map(|(name, argument)| format!("\"{name}\": {}", argument.json()))
        .collect();
    let mut key = Writer::new();
    write_key(&call.key, &mut key);
    format!(
        "{{\"call\": {hook}, \"key\": {}, \"event\": \"{}\", \"method\": \"{}\", \"arguments\": \
         [{}], \"keywords\": {{{}}}, \"extra\": {}}}",
        key.finish(),
        event.name(),
        call.method,
        arguments.join(", "),
        keywords.join(", "),
        extra.json()
    )
}

/// What an answer says about a method.
fn outcome(answer: &Json, usual: &str) -> Outcome {
    let name = text(answer, "name");
    if let Some(error) = find(answer, "error") {
        let name = name.unwrap_or_else(|| usual.to_owned());
        return Outcome::Raised { name, problem: Box::new(failure(error)) };
    }
    match name {
        Some(name) => Outcome::Returned {
            name,
            passed: find(answer, "passed") == Some(&Json::Bool(true)),
            value: text(answer, "value").unwrap_or_default(),
        },
        None => Outcome::Absent,
    }
}

/// The job that an answer or question has.
fn change(answer: &Json) -> Option<Change> {
    job(find(answer, "changed")?)
}

fn job(json: &Json) -> Option<Change> {
    let mut values = transfer::decode(find(json, "job")?).ok()?;
    let Some(Json::Array(pairs)) = find(json, "metadata") else { return None };
    let pair = |pair: &Json| match pair {
        Json::Array(parts) => match &parts[..] {
            [Json::Text(key), Json::Text(value)] => Some((key.to_string(), value.to_string())),
            _ => None,
        },
        _ => None,
    };
    Some(Change { job: values.pop()?, metadata: pairs.iter().filter_map(pair).collect() })
}

/// Prints what a file says besides its output while it is read, as it would have come from here.
fn complain(stream: &str, text: &str) {
    match stream {
        "err" => eprint!("{text}"),
        "debug" => {}
        level => eprintln!("{:>5}] {text}", level.to_uppercase()),
    }
}

fn print(context: &mut Context<'_>, stream: &str, text: &str) {
    match stream {
        "out" => context.print(text),
        "debug" => context.log(Level::Debug, text),
        "info" => context.log(Level::Info, text),
        "warn" => context.log(Level::Warning, text),
        "error" => context.log(Level::Error, text),
        _ => context.print_error(text),
    }
}

/// Asks the user.
fn line_of(context: &mut Context<'_>, prompt: &str) -> String {
    context.print(prompt);
    let line = context.world.line().ok().flatten();
    let mut out = Writer::new();
    out.begin_object();
    out.name("line");
    out.begin_array();
    if let Some(line) = line {
        out.text(&line);
    }
    out.end_array();
    out.end_object();
    out.finish()
}

/// What the scheduler would get for a job that a hook asks about.
fn sent(context: &Context<'_>, question: &Json) -> String {
    let converted = match job(question) {
        Some(change) => change.convert(&context.world.user()),
        None => Err(Problem::new(Stage::Convert, "ValueError", "there is no job")),
    };
    let mut out = Writer::new();
    match converted {
        Ok((Converted { configuration, ports, .. }, _)) => {
            out.begin_array();
            ports.iter().for_each(|port| out.text(port));
            out.end_array();
            let thrift = readable::to_string(&configuration);
            format!("{{\"thrift\": {thrift}, \"ports\": {}}}", out.finish())
        }
        Err(problem) => {
            out.begin_object();
            out.name("error");
            out.text(&problem.message);
            out.end_object();
            out.finish()
        }
    }
}

#[cfg(test)]
#[cfg(feature = "evaluator")]
mod tests;
