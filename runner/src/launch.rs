//! From a task file and what the operator asked for to [`Settings`]: everything that can be wrong
//! with a task is found here, before anything is created.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use aurora_schema::Bindings;
use aurora_schema::task::{self, ErrorKind, Logger};

use crate::engine::Level;
use crate::error::{RunError, exit};
use crate::files;
use crate::log;
use crate::logs::Way;
use crate::shell::{Containerizer, Settings};
use crate::users::{self, User};

/// A reason for people, and the exit code of `thermos_runner` for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of [`exit`].
    pub code: i32,
    /// What, where, why, and what to do.
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Failure { code: error.exit_code(), message: error.to_string() }
    }
}

fn failure(code: i32, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into() }
}

/// What somebody wants to be run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The task as JSON.
    pub source: Vec<u8>,
    /// Where it came from, for messages.
    pub source_name: String,
    /// Further bindings, such as of `-E`: address and value.
    pub bindings: Vec<(String, String)>,
    /// `None`: the task's name and the local time.
    pub task_id: Option<String>,
    /// Working directory of the processes.
    pub sandbox: PathBuf,
    /// Checkpoint root.
    pub root: PathBuf,
    /// `None`: the name of this machine.
    pub hostname: Option<String>,
    /// Who processes run as; `None`: whoever runs this.
    pub user: Option<String>,
    /// Change the root directory of processes to the sandbox.
    pub chroot: bool,
    /// Pass the runner's own environment on.
    pub preserve_env: bool,
    /// Ports by name.
    pub ports: BTreeMap<String, i64>,
    /// Mesos' containerizer helper, for file system images.
    pub containerizer: Option<PathBuf>,
    /// Path of the sandbox inside an image.
    pub container_sandbox: Option<String>,
    /// Total runs of each process; 0: no limit.
    pub run_limit: u32,
    /// Seconds of grace for a kill, exactly.
    pub grace: Option<i64>,
    /// For processes without a logger.
    pub logger: Logger,
    /// Rotated logs of all processes are compressed.
    pub compress: bool,
    /// See [`Settings::supervisor`].
    pub supervisor: Option<std::sync::Arc<std::os::fd::OwnedFd>>,
}

/// `NAME-YYYYmmdd-HHMMSS.uuuuuu` in local time, as the original makes ids. Characters of the name
/// that cannot be part of a file name become underscores.
pub fn synthesize_id(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if matches!(c, '/' | '\0') { '_' } else { c }).collect();
    format!("{name}-{}", chrono::Local::now().format("%Y%m%d-%H%M%S%.6f"))
}

/// Checks everything that can be checked without creating anything.
pub fn prepare(request: Request) -> Result<Settings, Failure> {
    let sandbox = absolute(&request.sandbox)?;
    let root = absolute(&request.root)?;
    // The user may be unknown and the task invalid: the task is checked first, as in the original.
    let user = find_user(request.user.as_deref());
    let user_name = match (&request.user, &user) {
        (Some(name), _) => name.clone(),
        (None, Ok(user)) => user.name.clone(),
        (None, Err(_)) => String::new(),
    };
    let task_id = match &request.task_id {
        Some(id) => id.clone(),
        None => synthesize_id(&task_name(&request)),
    };
    if let Some(why) = files::bad_file_name(&task_id) {
        return Err(RunError::TaskId { id: task_id, why }.into());
    }
    let mut bindings = Bindings::new();
    let own =
        [("thermos.task_id".to_owned(), task_id.clone()), ("thermos.user".to_owned(), user_name)];
    let ports = request
        .ports
        .iter()
        .map(|(name, port)| (format!("thermos.ports[{name}]"), port.to_string()));
    for (address, value) in request.bindings.iter().cloned().chain(own).chain(ports) {
        bindings
            .bind(&address, &value)
            .map_err(|error| failure(exit::USAGE, format!("cannot bind {address:?}: {error}")))?;
    }
    let loaded = task::load(&request.source, &request.source_name, &bindings)
        .map_err(|error| failure(code_of(error.kind()), error.to_string()))?;
    for warning in &loaded.warnings {
        log!(Level::Warn, "{}: {warning}", request.source_name);
    }
    for (i, process) in loaded.task.processes.iter().enumerate() {
        if let Some(logger) = &process.logger {
            Way::of(logger).map_err(|error| {
                failure(
                    exit::INVALID_TASK,
                    format!("{}: processes[{i}].logger.{error}", request.source_name),
                )
            })?;
        }
    }
    let user = user?;
    let switch_user = user.uid != rustix::process::geteuid().as_raw();
    let is_root = rustix::process::geteuid().is_root();
    if switch_user && !is_root {
        return Err(failure(
            exit::UNKNOWN_USER,
            format!("running processes as another user ({}) needs root", user.name),
        ));
    }
    if request.chroot && !is_root {
        return Err(failure(exit::USAGE, "changing the root directory (chroot) needs root"));
    }
    let containerizer = match request.containerizer {
        Some(path) => Some(containerizer(&path, request.container_sandbox)?),
        None => None,
    };
    let hostname = match request.hostname {
        Some(hostname) => hostname,
        None => nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_else(|_| "localhost".to_owned()),
    };
    Ok(Settings {
        task: loaded.task,
        task_json: loaded.json,
        task_id,
        sandbox,
        root,
        hostname,
        user,
        switch_user,
        chroot: request.chroot,
        preserve_env: request.preserve_env,
        ports: request.ports,
        containerizer,
        run_limit: request.run_limit,
        grace: request.grace,
        logger: request.logger,
        compress: request.compress,
        supervisor: request.supervisor,
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| failure(exit::USAGE, format!("{}: {error}", path.display())))
}

/// The task's name before anything is bound: enough for an id.
fn task_name(request: &Request) -> String {
    let mut bindings = Bindings::new();
    for (address, value) in &request.bindings {
        // A bad address is reported when it is bound in earnest.
        let _ = bindings.bind(address, value);
    }
    let names = ["thermos.task_id", "thermos.user"];
    for name in names {
        let _ = bindings.bind(name, "task");
    }
    for name in request.ports.keys() {
        let _ = bindings.bind(&format!("thermos.ports[{name}]"), "0");
    }
    task::load(&request.source, &request.source_name, &bindings)
        .map_or_else(|_| "task".to_owned(), |loaded| loaded.task.name)
}

/// The exit code for each kind of mistake in a task file.
fn code_of(kind: &ErrorKind) -> i32 {
    match kind {
        ErrorKind::Syntax { .. } | ErrorKind::Schema | ErrorKind::Interpolation => exit::USAGE,
        ErrorKind::UnboundPorts(_) => exit::INTERNAL_ERROR,
        _ => exit::INVALID_TASK,
    }
}

fn find_user(name: Option<&str>) -> Result<User, Failure> {
    let unreadable = |error| failure(exit::UNKNOWN_USER, format!("cannot look up users: {error}"));
    match name {
        Some(name) => users::by_name(&users::System, name).map_err(unreadable)?.ok_or_else(|| {
            failure(exit::UNKNOWN_USER, format!("there is no user {name:?} on this machine"))
        }),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            // Somebody without a name can still run a task.
            Ok(users::by_uid(&users::System, uid).map_err(unreadable)?.unwrap_or_else(|| User {
                name: uid.to_string(),
                uid,
                gid: rustix::process::getegid().as_raw(),
                home: "/".to_owned(),
                groups: Vec::new(),
            }))
        }
    }
}

/// Asks the helper what it understands, by its own account of the sub-command `launch`.
fn containerizer(path: &Path, sandbox: Option<String>) -> Result<Containerizer, Failure> {
    let about = format!("option --mesos_containerizer_path: {}", path.display());
    let sandbox = sandbox.ok_or_else(|| {
        failure(
            exit::USAGE,
            "option --container_sandbox is required with --mesos_containerizer_path",
        )
    })?;
    let directory = std::env::var_os("MESOS_DIRECTORY")
        .ok_or_else(|| failure(exit::USAGE, format!("{about}: MESOS_DIRECTORY is not set")))?;
    let output =
        Command::new(path).arg("launch").stdin(Stdio::null()).output().map_err(|error| {
            failure(exit::UNKNOWN_ERROR, format!("{about}: cannot run it: {error}"))
        })?;
    Ok(Containerizer {
        path: path.to_path_buf(),
        rootfs: Path::new(&directory).join("taskfs"),
        sandbox,
        takes_launch_info: String::from_utf8_lossy(&output.stderr).contains("launch_info"),
    })
}
