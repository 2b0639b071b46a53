//! Evaluates one configuration file in Python syntax and prints what it defines as JSON.
//!
//! ```text
//! aurora-eval [--thermos] [--no-reads] [--hooks=1] [--memory=MIB] [--seconds=N] FILE
//! ```
//!
//! It is run by the `aurora` and `thermos` tools as a process of its own: the file is a program, and
//! whatever it does to its interpreter must not reach theirs. The process limits its own memory, time
//! and files before it reads anything. It exits with 0 when it has an answer, also a bad one, which
//! is the last and only thing on its standard output (see [`report`]), and with 2 when it was called
//! in a wrong way. With `--hooks`, the number of a protocol, it stays after its answer as long as its
//! standard input is open, and calls the hooks of a file that has some (see [`hooks`]).
//!
//! | module | what |
//! |---|---|
//! | [`interpreter`] | the interpreter, the namespace, running files |
//! | [`object`], [`environment`], [`classes`], [`convert`] | the language's values in Python |
//! | [`hooks`] | calling hooks |
//! | [`host`] | what code can learn from outside |
//! | [`python2`] | old forms |
//! | [`report`] | the answer |
//! | [`limits`] | memory, time, files |

mod classes;
mod convert;
mod environment;
mod hooks;
mod host;
mod interpreter;
mod limits;
mod object;
mod python2;
mod report;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use interpreter::{Kind, Request};
use limits::Limits;
use report::{Failure, Report};

/// The stack of the thread that evaluates. It is only touched as far as it is used.
const STACK: usize = 256 << 20;

/// How it was called.
#[derive(Debug)]
struct Options {
    request: Request,
    limits: Limits,
    reads: bool,
}

fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Options, String> {
    let mut kind = Kind::Aurora;
    let mut limits = Limits::default();
    let (mut reads, mut hooks) = (true, false);
    let mut file: Option<PathBuf> = None;
    let number =
        |text: &str| text.parse::<u64>().ok().filter(|number| (1..1 << 20).contains(number));
    for argument in arguments {
        let text = argument.to_string_lossy();
        if text == "--thermos" {
            kind = Kind::Thermos;
        } else if text == "--no-reads" {
            reads = false;
        } else if let Some(version) = text.strip_prefix("--hooks=") {
            hooks = version == hooks::VERSION;
            if !hooks {
                return Err(format!(
                    "the client calls hooks in version {version} of the protocol, this program in \
                     version {}: install both from one release",
                    hooks::VERSION
                ));
            }
        } else if let Some(value) = text.strip_prefix("--memory=") {
            let mib = number(value).ok_or(format!("--memory={value}: expected MiB"))?;
            limits.memory = mib << 20;
        } else if let Some(value) = text.strip_prefix("--seconds=") {
            limits.seconds = number(value).ok_or(format!("--seconds={value}: expected seconds"))?;
        } else if text.starts_with("--") {
            return Err(format!("there is no option {text}"));
        } else if file.replace(PathBuf::from(&argument)).is_some() {
            return Err("expected one file".to_owned());
        }
    }
    let file = file.ok_or("expected a file")?;
    Ok(Options { request: Request { file, kind, hooks }, limits, reads })
}

fn internal(message: String) -> Report {
    Report::Failed(Box::new(Failure {
        stage: "load",
        class: "InternalError".to_owned(),
        message,
        ..Failure::default()
    }))
}

fn main() -> ExitCode {
    let options = match parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("aurora-eval: {message}");
            eprintln!(
                "usage: aurora-eval [--thermos] [--no-reads] [--hooks=1] [--memory=MIB] [--seconds=N] \
                 FILE"
            );
            return ExitCode::from(2);
        }
    };
    if let Err(message) = limits::apply(&options.limits) {
        return answer(&internal(message).to_json());
    }
    let evaluate = move || {
        if let Err(message) = limits::forbid_processes() {
            return internal(message).to_json();
        }
        host::allow_reads(options.reads);
        if options.request.hooks {
            host::print_to(host::Printing::Report);
        }
        interpreter::evaluate(&options.request, |report| {
            answer(&report.to_json());
        });
        // Taking the interpreter down would cost time and can only fail.
        std::process::exit(0)
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(evaluate);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(report)) => answer(&report),
        Ok(Err(_)) => answer(&internal("the interpreter gave up".to_owned()).to_json()),
        Err(error) => answer(&internal(format!("cannot start a thread: {error}")).to_json()),
    }
}

fn answer(report: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out
        .write_all(report.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
