//! `thermos run` and `thermos simplerun`: a task in this very process.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;
use thermos_runner::coordinator;
use thermos_runner::engine::Level;
use thermos_runner::launch;
use thermos_runner::logging;
use thermos_runner::logs;
use thermos_runner::shell::{self, Settings};
use thermos_runner::signals::{Request, Signals};
use thermos_runner::state::Stage;
use thermos_runner::view::View;

use crate::cli::{Global, Run, Simplerun};
use crate::config::{self, Source, Values};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::outcome::Summary;
use crate::output::{emit, shown, warn};
use crate::record::Record;
use crate::roots;

/// A task to run.
#[derive(Debug)]
pub(crate) struct Job {
    /// The task.
    pub(crate) source: Source,
    /// Values for its references.
    pub(crate) values: Values,
    /// The name that it must have.
    pub(crate) task: Option<String>,
    /// Its id, if it is to have a certain one.
    pub(crate) task_id: Option<String>,
    /// Who it runs as.
    pub(crate) user: Option<String>,
    /// Change the root directory to the sandbox.
    pub(crate) chroot: bool,
    /// Checkpoint root.
    pub(crate) root: PathBuf,
    /// Where its processes run.
    pub(crate) sandbox: Sandbox,
    /// In the background.
    pub(crate) daemon: bool,
    /// Say nothing but errors.
    pub(crate) quiet: bool,
}

/// Where the processes of a task run.
#[derive(Debug)]
pub(crate) enum Sandbox {
    /// In this directory.
    At(PathBuf),
    /// In a directory that depends on the task's id.
    Of(fn(&str) -> Result<PathBuf, Failure>),
    /// In a new temporary directory.
    Temporary {
        /// Remove it at the end.
        remove: bool,
    },
}

/// Runs the command `run`.
pub(crate) fn run(global: &Global, options: Run) -> Outcome {
    let job = Job {
        values: Values::parse(&options.config.bindings)?,
        source: config::load(&options.config)?,
        task: options.config.task,
        task_id: options.task_id,
        user: options.user,
        chroot: options.enable_chroot,
        root: roots::run_root(global)?,
        sandbox: match options.sandbox {
            Some(path) => Sandbox::At(path),
            None => Sandbox::Of(roots::default_sandbox),
        },
        daemon: options.daemon,
        quiet: options.quiet,
    };
    job.run()
}

/// Runs the command `simplerun`.
pub(crate) fn simple(global: &Global, options: Simplerun) -> Outcome {
    let values = Values::parse(&options.bindings)?;
    let command_line = options.command_line.join(" ");
    if !options.quiet {
        emit(&format!("Running command: '{command_line}'\n"))?;
    }
    let task = serde_json::json!({
        "name": options.name,
        "processes": [{ "name": options.name, "cmdline": command_line }],
        "resources": { "cpu": 1.0, "ram": 256_u32 << 20, "disk": 0 },
    });
    let job = Job {
        source: Source { text: task.to_string().into_bytes(), name: "command line".to_owned() },
        values,
        task: None,
        task_id: options.task_id,
        user: options.user,
        chroot: false,
        root: roots::run_root(global)?,
        sandbox: Sandbox::Temporary { remove: options.rm },
        daemon: options.daemon,
        quiet: options.quiet,
    };
    job.run()
}

impl Job {
    /// Runs the task to its end.
    pub(crate) fn run(self) -> Outcome {
        // One line per event, as the original has it.
        logging::to_stderr(Some(if self.quiet { Level::Error } else { Level::Info }), true);
        let mut settings = self.prepare()?;
        config::check_name(self.task.as_deref(), &settings.task.name)?;
        let was_over = stage_of(&settings.root, &settings.task_id).is_some_and(Stage::is_terminal);
        let mut temporary = None;
        settings.sandbox = match &self.sandbox {
            Sandbox::At(path) => absolute(path)?,
            Sandbox::Of(directory) => absolute(&directory(&settings.task_id)?)?,
            Sandbox::Temporary { .. } => {
                let directory = temporary_directory(&settings)?;
                let path = directory.path().to_path_buf();
                temporary = Some(directory);
                path
            }
        };
        if self.daemon {
            emit("Daemonizing and starting runner.\n")?;
            if !self.quiet {
                // The last chance to say anything.
                warn(&format!(
                    "the task is {}, its sandbox {}",
                    shown(&settings.task_id),
                    settings.sandbox.display()
                ));
            }
            let null = Path::new("/dev/null");
            coordinator::daemonize(null, null, None)
                .map_err(|error| Failure::system("detach", error))?;
            logging::to_stderr(None, false);
        }
        let signals = Signals::install()
            .map_err(|error| Failure::system("install signal handlers", error))?
            .observed_by(|request| {
                if request == Request::Interrupt {
                    // If nobody reads it, the task ends all the same.
                    let _ = emit("Got keyboard interrupt, killing job!\n");
                }
            });
        let (task_id, root) = (settings.task_id.clone(), settings.root.clone());
        let ended = shell::run(settings, &signals);
        // From here on ^C ends this program as usual. Failing to arrange that harms nobody.
        let _ = signal_hook::flag::register_conditional_default(
            SIGINT,
            Arc::new(AtomicBool::new(true)),
        );
        let removed = matches!(self.sandbox, Sandbox::Temporary { remove: true });
        if let Some(directory) = temporary {
            let path = if removed { directory.path().to_path_buf() } else { directory.keep() };
            if !removed && !self.quiet {
                warn(&format!("the sandbox is {}", path.display()));
            }
            // What is to be removed goes with the directory's handle.
        }
        let stage =
            ended.map_err(|error| Failure::new(Code::of_run_error(&error), error.to_string()))?;
        if !self.quiet {
            let view = view_of(&root, &task_id).unwrap_or_default();
            let summary = Summary {
                task_id: &task_id,
                stage,
                view: &view,
                name_root: !roots::is_searched_anyway(&root),
                root: &root,
                was_over,
                removed,
            };
            emit(&summary.text())?;
        }
        Ok(Code::of_stage(stage))
    }

    /// Checks everything, and makes nothing.
    fn prepare(&self) -> Result<Settings, Failure> {
        let request = launch::Request {
            source: self.source.text.clone(),
            source_name: self.source.name.clone(),
            bindings: self.values.environment.clone(),
            task_id: self.task_id.clone(),
            // Known when the task's id is.
            sandbox: PathBuf::from("."),
            root: self.root.clone(),
            hostname: None,
            user: self.user.clone(),
            chroot: self.chroot,
            preserve_env: false,
            ports: self.values.ports.clone(),
            containerizer: None,
            container_sandbox: None,
            run_limit: 0,
            grace: None,
            logger: logs::DEFAULT_LOGGER,
            compress: false,
            supervisor: None,
        };
        launch::prepare(request).map_err(|failure| {
            let mut code = Code::of_failure(&failure);
            if code == Code::Usage && config::is_invalid(&self.source, &self.values) {
                code = Code::InvalidTask;
            }
            let advice = config::advice(code, &failure.message);
            Failure::new(code, format!("{}{advice}", failure.message))
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::usage(format!("option --sandbox: {}: {error}", path.display())))
}

/// Makes a sandbox that the task's user can work in.
fn temporary_directory(settings: &Settings) -> Result<tempfile::TempDir, Failure> {
    let failed = |error| Failure::system("make a temporary sandbox", error);
    let private = std::fs::Permissions::from_mode(0o700);
    let directory = tempfile::Builder::new()
        .prefix("thermos-")
        .permissions(private)
        .tempdir()
        .map_err(failed)?;
    if settings.switch_user {
        let (uid, gid) = (settings.user.uid, settings.user.gid);
        std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).map_err(failed)?;
    }
    Ok(directory)
}

fn view_of(root: &Path, task_id: &str) -> Option<View> {
    Record::open(root, task_id).ok()?.view.ok()
}

fn stage_of(root: &Path, task_id: &str) -> Option<Stage> {
    view_of(root, task_id)?.stage()
}
