//! The command line of `thermos_runner`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::Level;
use crate::error::exit;
use crate::flags::{self, Flag, Kind, Parsed};
use crate::launch::{self, Failure, Request};
use crate::log;
use crate::logging;
use crate::logs;
use crate::shell;
use crate::signals::Signals;
use aurora_schema::task::{Logger, LoggerDestination, LoggerMode, RotatePolicy};

/// Source: the original's option listing of `thermos_runner`, and the options that every binary of
/// the original inherits.
const FLAGS: &[Flag] = &[
    Flag { name: "thermos_json", kind: Kind::Value("FILE"), help: "the task, as JSON [required]" },
    Flag {
        name: "sandbox",
        kind: Kind::Value("PATH"),
        help: "the directory that the processes run in; made if it does not exist [required]",
    },
    Flag {
        name: "checkpoint_root",
        kind: Kind::Value("PATH"),
        help: "where tasks/ and checkpoints/ go [required]",
    },
    Flag {
        name: "container_sandbox",
        kind: Kind::Value("PATH"),
        help: "with a file system image: the path of the sandbox inside it",
    },
    Flag {
        name: "task_id",
        kind: Kind::Value("ID"),
        help: "the task's id [default: its name and the local time]",
    },
    Flag {
        name: "setuid",
        kind: Kind::Value("USER"),
        help: "run processes as this user (needs root)",
    },
    Flag {
        name: "enable_chroot",
        kind: Kind::Switch,
        help: "change the root directory of processes to the sandbox (needs root)",
    },
    Flag {
        name: "mesos_containerizer_path",
        kind: Kind::Value("PATH"),
        help: "Mesos' containerizer helper; its presence selects a file system image",
    },
    Flag {
        name: "preserve_env",
        kind: Kind::Switch,
        help: "pass the runner's environment on to processes",
    },
    Flag {
        name: "port",
        kind: Kind::Value("NAME:PORT"),
        help: "bind a port to a name; may be repeated",
    },
    Flag {
        name: "hostname",
        kind: Kind::Value("NAME"),
        help: "host name for the record [default: that of this machine]",
    },
    Flag {
        name: "process_logger_destination",
        kind: Kind::Value("WHERE"),
        help: "file, console, both or none, for processes without a logger [default: file]",
    },
    Flag {
        name: "process_logger_mode",
        kind: Kind::Value("MODE"),
        help: "standard or rotate, for processes without a logger [default: standard]",
    },
    Flag {
        name: "rotate_log_size_mb",
        kind: Kind::Integer("MIB"),
        help: "size of a log file before it is rotated, for processes without a logger [default: 100]",
    },
    Flag {
        name: "rotate_log_backups",
        kind: Kind::Integer("N"),
        help: "rotated log files to keep, for processes without a logger [default: 5]",
    },
    Flag {
        name: "rotate_log_compress",
        kind: Kind::Switch,
        help: "compress rotated log files (gzip), also those of processes with a logger of their own",
    },
    Flag {
        name: "stop_grace_secs",
        kind: Kind::Integer("SECS"),
        help: "time between the request to end and SIGKILL, exactly \
               [default: the larger of 60 and the task's finalization_wait]",
    },
    Flag {
        name: "supervisor_fd",
        kind: Kind::Integer("FD"),
        help: "a socket that is told of every state of the task; when it is closed, the task is ended",
    },
    Flag {
        name: "process_run_limit",
        kind: Kind::Integer("N"),
        help: "runs of one process after which it is failed; 0: no limit [default: 100]",
    },
    Flag {
        name: "log_dir",
        kind: Kind::Value("PATH"),
        help: "where the runner's own log goes [default: nowhere]",
    },
    Flag {
        name: "log_to_disk",
        kind: Kind::Value("LEVEL"),
        help: "DEBUG, INFO, WARN, ERROR or NONE, for the file in --log_dir [default: INFO]",
    },
    Flag {
        name: "log_to_stderr",
        kind: Kind::Value("LEVEL"),
        help: "the same for standard error, with google: in front for full lines [default: ERROR]",
    },
    Flag { name: "help", kind: Kind::Switch, help: "show this" },
    Flag { name: "version", kind: Kind::Switch, help: "show the version" },
    // Inherited by every binary of the original; nothing here depends on them.
    Flag { name: "short-help", kind: Kind::Switch, help: "" },
    Flag { name: "long-help", kind: Kind::Switch, help: "" },
    Flag { name: "log_simple", kind: Kind::Switch, help: "" },
    Flag { name: "log_to_stdout", kind: Kind::Value("LEVEL"), help: "" },
    Flag { name: "log_to_scribe", kind: Kind::Value("LEVEL"), help: "" },
    Flag { name: "scribe_category", kind: Kind::Value("NAME"), help: "" },
    Flag { name: "scribe_buffer", kind: Kind::Switch, help: "" },
    Flag { name: "scribe_host", kind: Kind::Value("HOST"), help: "" },
    Flag { name: "scribe_port", kind: Kind::Integer("PORT"), help: "" },
    Flag { name: "app_debug", kind: Kind::Switch, help: "" },
    Flag { name: "app_profiling", kind: Kind::Switch, help: "" },
    Flag { name: "app_profile_output", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_ignore_rc_file", kind: Kind::Switch, help: "" },
    Flag { name: "app_rc_filename", kind: Kind::Switch, help: "" },
    Flag { name: "app_daemonize", kind: Kind::Switch, help: "" },
    Flag { name: "app_daemon_stdout", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_daemon_stderr", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_pidfile", kind: Kind::Value("FILE"), help: "" },
];

const USAGE: &str = "Usage: thermos_runner --thermos_json=FILE --sandbox=PATH \
                     --checkpoint_root=PATH [options]";

/// Runs of one process after which it is failed, as in the original: what keeps a process that ends
/// at once from filling the disk with log directories.
const RUN_LIMIT: u32 = 100;

/// Does what a command line (without the program's name) asks for; returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = String>) -> i32 {
    let code = match flags::parse(FLAGS, arguments) {
        Err(error) => usage(&error.0),
        Ok(flags) if ["help", "short-help", "long-help"].iter().any(|name| flags.is_on(name)) => {
            println!(
                "{USAGE}\n\nRuns one task of bash processes and exits.\n\nOptions:\n{}",
                flags::help(FLAGS)
            );
            exit::DONE
        }
        Ok(flags) if flags.is_on("version") => {
            println!("thermos_runner {}", env!("CARGO_PKG_VERSION"));
            exit::DONE
        }
        Ok(flags) => match start(&flags) {
            Ok(code) => code,
            Err(Failure { code: exit::USAGE, message }) => usage(&message),
            Err(Failure { code, message }) => {
                log!(Level::Error, "{message}");
                code
            }
        },
    };
    logging::flush();
    code
}

fn usage(message: &str) -> i32 {
    eprintln!("{USAGE}\n\nthermos_runner: error: {message}");
    exit::USAGE
}

fn usage_error(message: String) -> Failure {
    Failure { code: exit::USAGE, message }
}

fn start(flags: &Parsed) -> Result<i32, Failure> {
    // First of all: a request to end that comes early is kept until there is something to end.
    let signals = Signals::install().map_err(|error| Failure {
        code: exit::UNKNOWN_ERROR,
        message: format!("cannot install signal handlers: {error}"),
    })?;
    if let Some(argument) = flags.arguments.first() {
        return Err(usage_error(format!("unexpected argument {argument:?}")));
    }
    set_up_logging(flags)?;
    let required = |name: &str| {
        let value = flags.value(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| usage_error(format!("--{name} is required")))
    };
    let json = PathBuf::from(required("thermos_json")?);
    let sandbox = PathBuf::from(required("sandbox")?);
    let root = PathBuf::from(required("checkpoint_root")?);
    let ports = flags
        .all("port")
        .map(flags::port)
        .collect::<Result<_, _>>()
        .map_err(|error| usage_error(format!("option --port: {error}")))?;
    let request = Request {
        source: std::fs::read(&json).map_err(|error| {
            usage_error(format!("option --thermos_json: cannot read {}: {error}", json.display()))
        })?,
        source_name: json.display().to_string(),
        bindings: Vec::new(),
        task_id: flags.value("task_id").map(str::to_owned),
        sandbox,
        root,
        hostname: flags.value("hostname").map(str::to_owned),
        user: flags.value("setuid").map(str::to_owned),
        chroot: flags.is_on("enable_chroot"),
        preserve_env: flags.is_on("preserve_env"),
        ports,
        containerizer: flags.value("mesos_containerizer_path").map(PathBuf::from),
        container_sandbox: flags.value("container_sandbox").map(str::to_owned),
        run_limit: positive(flags, "process_run_limit")?
            .map_or(RUN_LIMIT, |limit| u32::try_from(limit).unwrap_or(u32::MAX)),
        grace: positive(flags, "stop_grace_secs")?,
        logger: logger(flags)?,
        compress: flags.is_on("rotate_log_compress"),
        supervisor: match flags.integer("supervisor_fd") {
            Some(fd) => Some(Arc::new(
                i32::try_from(fd)
                    .map_err(std::io::Error::other)
                    .and_then(crate::coordinator::inherited)
                    .map_err(|error| usage_error(format!("option --supervisor_fd: {error}")))?,
            )),
            None => None,
        },
    };
    let settings = launch::prepare(request)?;
    if flags.is_on("app_daemonize") {
        let file = |name| Path::new(flags.value(name).unwrap_or("/dev/null"));
        let pidfile = flags.value("app_pidfile").map(Path::new);
        crate::coordinator::daemonize(
            file("app_daemon_stdout"),
            file("app_daemon_stderr"),
            pidfile,
        )
        .map_err(|error| Failure {
            code: exit::UNKNOWN_ERROR,
            message: format!("option --app_daemonize: {error}"),
        })?;
    }
    shell::run(settings, &signals)?;
    Ok(exit::DONE)
}

/// The logger that flags describe. A number of 0 counts as not given, as in the original.
fn logger(flags: &Parsed) -> Result<Logger, Failure> {
    let destination = match flags.value("process_logger_destination") {
        None | Some("file") => LoggerDestination::File,
        Some("console") => LoggerDestination::Console,
        Some("both") => LoggerDestination::Both,
        Some("none") => LoggerDestination::None,
        Some(other) => {
            return Err(usage_error(format!(
                "option --process_logger_destination: expected file, console, both or none, \
                 got {other:?}"
            )));
        }
    };
    let mode = match flags.value("process_logger_mode") {
        None | Some("standard") => LoggerMode::Standard,
        Some("rotate") => LoggerMode::Rotate,
        Some(other) => {
            return Err(usage_error(format!(
                "option --process_logger_mode: expected standard or rotate, got {other:?}"
            )));
        }
    };
    let given = |name: &str| Ok::<_, Failure>(positive(flags, name)?.filter(|value| *value > 0));
    let rotate = RotatePolicy {
        log_size: given("rotate_log_size_mb")?
            .map_or(logs::DEFAULT_LOG_SIZE, |mib| mib.saturating_mul(1 << 20)),
        backups: given("rotate_log_backups")?.unwrap_or(logs::DEFAULT_BACKUPS),
    };
    Ok(Logger { destination, mode, rotate: Some(rotate) })
}

fn positive(flags: &Parsed, name: &str) -> Result<Option<i64>, Failure> {
    match flags.integer(name) {
        Some(value) if value < 0 => {
            Err(usage_error(format!("option --{name}: expected 0 or more, got {value}")))
        }
        value => Ok(value),
    }
}

fn set_up_logging(flags: &Parsed) -> Result<(), Failure> {
    let level = |name: &str, default| -> Result<(Option<Level>, bool), Failure> {
        let Some(value) = flags.value(name) else { return Ok((default, false)) };
        let (scheme, level) = value.split_once(':').unwrap_or(("", value));
        let level = match level.to_ascii_uppercase().as_str() {
            "DEBUG" => Some(Level::Debug),
            "INFO" => Some(Level::Info),
            "WARN" | "WARNING" => Some(Level::Warn),
            "ERROR" | "FATAL" => Some(Level::Error),
            "NONE" => None,
            other => {
                return Err(usage_error(format!(
                    "option --{name}: expected DEBUG, INFO, WARN, ERROR, FATAL or NONE, got {other:?}"
                )));
            }
        };
        Ok((level, scheme == "google"))
    };
    let (stderr, google) = level("log_to_stderr", Some(Level::Error))?;
    logging::to_stderr(stderr, google);
    let (disk, _) = level("log_to_disk", Some(Level::Info))?;
    if let (Some(directory), Some(level)) = (flags.value("log_dir"), disk) {
        logging::to_disk(Path::new(directory), "thermos_runner", level).map_err(|error| {
            usage_error(format!("option --log_dir: cannot write to {directory}: {error}"))
        })?;
    }
    Ok(())
}
