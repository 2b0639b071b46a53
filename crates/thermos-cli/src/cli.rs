//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Template of the help of one command, in the original's order.
const HELP: &str = "{about}\n\n    {usage-heading} {usage}\n\n{all-args}{after-help}";

const SEARCH_HELP: &str = "\
Tasks are looked for below /var/run/thermos, --root, your own state directory
(~/.local/state/thermos/root), and in the executors' sandboxes below /var/lib/mesos,
--mesos-root and where `thermos launch` keeps them. Regular expressions are matched at the start of task ids.
";

const RUN_HELP: &str = "\
Records are kept in --root [default: /var/run/thermos for root, for others
~/.local/state/thermos/root]. The default sandbox is /var/lib/thermos/sandbox for root,
for others ~/.local/state/thermos/sandbox/TASK_ID. The log goes to standard error, the
outcome to standard output; the exit code tells it too (`thermos help exit-codes`).
^C ends the task with its grace period, a second ^C at once.
";

const SIMPLERUN_HELP: &str = "\
The first word that is no option starts the command line. The sandbox is a new
temporary directory. Records are kept as by `thermos run`.
";

const LAUNCH_HELP: &str = "\
FILE is a job as JSON, or a task, which is made a job. It is run by the very executor that
a Mesos agent would launch: --executor, or thermos_executor beside this program or on PATH.
Everything is kept below --mesos-root [default: /var/lib/thermos/mesos for root, for
others ~/.local/state/thermos/mesos], where `thermos status` finds it. Ports that the task
refers to and --port does not name are picked. The exit code tells the outcome (`thermos
help exit-codes`). ^C kills the task through the agent, a second ^C shuts the executor
down, a third kills everything.
";

const TAIL_HELP: &str = "\
Prints the end of the log of the newest run. If the process runs, goes on until it ends, through
rotations of the log and further runs of the process. Output that was rotated out before it could
be read is counted on standard error. Lines of several processes have their names in front.
";

const KILL_HELP: &str = "\
Regular expressions may be used to match multiple tasks; each must match a whole task id.
Everything that belongs to a task is killed at once, without grace and without its
finalizing processes. With --graceful its runner is asked to end it as it should end.
";

const INSPECT_HELP: &str = "\
References that nothing is bound to stay as they are.
";

/// `thermos`.
#[derive(Debug, Parser)]
#[command(name = "thermos", version, disable_help_subcommand = true, args_override_self = true)]
#[command(about = "Runs tasks of bash processes on this machine and looks at them.")]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// The command; absent: nothing was asked for.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Global {
    /// Where records are kept, or also searched
    #[arg(long, global = true, value_name = "PATH", display_order = 100)]
    pub(crate) root: Option<PathBuf>,
    /// Work directory of a Mesos agent, also searched
    #[arg(long = "mesos-root", global = true, value_name = "PATH", display_order = 101)]
    pub(crate) mesos_root: Option<PathBuf>,
}

/// The commands, in the order of the help.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Get the status of task(s).
    #[command(about = "Get the status of task(s).")]
    #[command(help_template = HELP)]
    #[command(override_usage = "thermos status [options] [task_name(s) or task_regexp(s)]")]
    #[command(after_help = SEARCH_HELP)]
    Status(Status),
    /// Run a thermos task.
    #[command(about = "Run a thermos task.")]
    #[command(help_template = HELP, override_usage = "thermos run [options] config")]
    #[command(after_help = RUN_HELP)]
    Run(Run),
    /// Get help about a specific command.
    #[command(about = "Get help about a specific command.")]
    #[command(help_template = HELP, override_usage = "thermos help [command, or exit-codes]")]
    Help(Help),
    /// Replay a thermos checkpoint.
    #[command(about = "Replay a thermos checkpoint.")]
    #[command(help_template = HELP)]
    #[command(override_usage = "thermos read [options] checkpoint_filename")]
    Read(Read),
    /// Inspect a thermos config and display the evaluated task
    #[command(help_template = HELP)]
    #[command(after_help = INSPECT_HELP)]
    #[command(override_usage = "thermos inspect [options] config")]
    Inspect(Inspect),
    /// Run a simple command line as a thermos task.
    #[command(about = "Run a simple command line as a thermos task.")]
    #[command(help_template = HELP)]
    #[command(override_usage = "thermos simplerun [options] [--] commandline")]
    #[command(after_help = SIMPLERUN_HELP)]
    Simplerun(Simplerun),
    /// Run a task under the executor, as a Mesos agent would.
    #[command(about = "Run a task under the executor, as a Mesos agent would.")]
    #[command(help_template = HELP)]
    #[command(override_usage = "thermos launch [options] file")]
    #[command(after_help = LAUNCH_HELP)]
    Launch(Launch),
    /// Tail the logs of a task process.
    #[command(about = "Tail the logs of a task process.")]
    #[command(help_template = HELP)]
    #[command(override_usage = "thermos tail [options] task_name [process_name]")]
    #[command(after_help = TAIL_HELP)]
    Tail(Tail),
    /// Kill task(s)
    #[command(help_template = HELP)]
    #[command(override_usage = "thermos kill [options] task_id1 [task_id2 ...]")]
    #[command(after_help = KILL_HELP)]
    Kill(Kill),
    /// Run a demonstration task and explain it.
    #[command(about = "Run a demonstration task and explain it.")]
    #[command(help_template = HELP, override_usage = "thermos demo [options]")]
    Demo(Demo),
}

/// Options of the commands that read a task.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Bindings {
    /// Bind a port to a name; may be repeated
    #[arg(short = 'P', long = "port", value_name = "NAME:PORT")]
    pub(crate) ports: Vec<String>,
    /// Bind a template variable; may be repeated
    #[arg(short = 'E', long = "environment", value_name = "NAME=VALUE")]
    pub(crate) environment: Vec<String>,
}

/// Options of the commands that read a task from a file.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Config {
    /// The task to take, if there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// The file is JSON (as it is taken to be if it looks like JSON)
    #[arg(long)]
    pub(crate) json: bool,
    /// Values for the task's references.
    #[command(flatten)]
    pub(crate) bindings: Bindings,
    /// The file
    #[arg(value_name = "config", hide = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// `thermos run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The task.
    #[command(flatten)]
    pub(crate) config: Config,
    /// Run processes as this user (needs root) [default: you]
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Change the root directory of processes to the sandbox (needs root)
    #[arg(long = "enable_chroot")]
    pub(crate) enable_chroot: bool,
    /// Id of the task [default: its name and the time]
    #[arg(long = "task_id", value_name = "ID")]
    pub(crate) task_id: Option<String>,
    /// Directory that the processes run in
    #[arg(long, value_name = "PATH")]
    pub(crate) sandbox: Option<PathBuf>,
    /// Detach, and run the task in the background
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Say nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// `thermos simplerun`.
#[derive(Debug, Args)]
pub(crate) struct Simplerun {
    /// Run as this user (needs root) [default: you]
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Name of the task and of its process
    #[arg(long, value_name = "NAME", default_value = "simple")]
    pub(crate) name: String,
    /// Id of the task [default: its name and the time]
    #[arg(long = "task_id", value_name = "ID")]
    pub(crate) task_id: Option<String>,
    /// Values for references in the command line.
    #[command(flatten)]
    pub(crate) bindings: Bindings,
    /// Detach, and run the task in the background
    #[arg(long)]
    pub(crate) daemon: bool,
    /// Remove the temporary sandbox, logs included, at the end
    #[arg(long, conflicts_with = "daemon")]
    pub(crate) rm: bool,
    /// Say nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
    /// The command line
    #[arg(value_name = "commandline", hide = true)]
    pub(crate) command_line: Vec<String>,
}

/// `thermos launch`.
#[derive(Debug, Args)]
pub(crate) struct Launch {
    /// The file is a job, and never a task
    #[arg(long = "json-job", conflicts_with = "blob")]
    pub(crate) json_job: bool,
    /// The file is what a scheduler sent (TaskInfo.data)
    #[arg(long)]
    pub(crate) blob: bool,
    /// Role of the job: the user that its processes run as (needs root) [default: the job's; you]
    #[arg(long, value_name = "USER")]
    pub(crate) role: Option<String>,
    /// The instance of the job [default: 0; the blob's]
    #[arg(long, value_name = "N")]
    pub(crate) instance: Option<i32>,
    /// Assign a port to a name; may be repeated
    #[arg(short = 'P', long = "port", value_name = "NAME:PORT")]
    pub(crate) ports: Vec<String>,
    /// The executor
    #[arg(long, value_name = "PATH")]
    pub(crate) executor: Option<PathBuf>,
    /// Its options, in the words of a shell
    #[arg(long = "executor-flags", value_name = "FLAGS", allow_hyphen_values = true)]
    pub(crate) executor_flags: Option<String>,
    /// Remove sandbox, logs and checkpoints at the end
    #[arg(long)]
    pub(crate) rm: bool,
    /// Kill the task after this time
    #[arg(long, value_name = "SECS")]
    pub(crate) timeout: Option<u32>,
    /// The file
    #[arg(value_name = "file", hide = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// `thermos inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The task.
    #[command(flatten)]
    pub(crate) config: Config,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "python")]
    pub(crate) format: Format,
}

/// How `inspect` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// As the original does: a Python 2 literal.
    Python,
    /// JSON.
    Json,
}

/// `thermos status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// How much to tell: 1 adds states, 2 users, ports and sandboxes, 3 processes
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) verbosity: u8,
    /// Only these tasks
    #[arg(long, value_name = "active|finished")]
    pub(crate) only: Option<Only>,
    /// Print JSON; see SCHEMA.md
    #[arg(long)]
    pub(crate) json: bool,
    /// Regular expressions, matched at the start of task ids
    #[arg(value_name = "regexp", hide = true)]
    pub(crate) patterns: Vec<String>,
}

/// Which tasks `status` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Those that are not over.
    Active,
    /// Those that are over.
    Finished,
}

/// `thermos read`.
#[derive(Debug, Args)]
pub(crate) struct Read {
    /// Print record by record, of any checkpoint stream
    #[arg(long)]
    pub(crate) simple: bool,
    /// Print JSON; see SCHEMA.md
    #[arg(long, conflicts_with = "simple")]
    pub(crate) json: bool,
    /// The file
    #[arg(value_name = "checkpoint_filename", hide = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// `thermos tail`.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// The log of standard error instead of standard output
    #[arg(long)]
    pub(crate) stderr: bool,
    /// How many lines of the end to print first
    #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 10)]
    pub(crate) lines: usize,
    /// Go on until the process ends (the default)
    #[arg(long, overrides_with = "no_follow")]
    pub(crate) follow: bool,
    /// Print what is there and end
    #[arg(long = "no-follow", overrides_with = "follow")]
    pub(crate) no_follow: bool,
    /// All processes of the task
    #[arg(long)]
    pub(crate) all: bool,
    /// Task and processes
    #[arg(value_name = "task_name", hide = true)]
    pub(crate) arguments: Vec<String>,
}

/// `thermos kill`.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Ask the runner to end the task, and wait for its end
    #[arg(long)]
    pub(crate) graceful: bool,
    /// With --graceful: how long to wait [default: without limit]
    #[arg(long, value_name = "SECS", requires = "graceful")]
    pub(crate) timeout: Option<u32>,
    /// Let expressions match at the start of an id, as the original does
    #[arg(long)]
    pub(crate) prefix: bool,
    /// End tasks as LOST instead of KILLED
    #[arg(long)]
    pub(crate) lose: bool,
    /// Regular expressions
    #[arg(value_name = "task_id", hide = true)]
    pub(crate) patterns: Vec<String>,
}

/// `thermos demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Directory that the processes run in
    #[arg(long, value_name = "PATH")]
    pub(crate) sandbox: Option<PathBuf>,
    /// Print the task instead of running it
    #[arg(long)]
    pub(crate) show: bool,
}

/// `thermos help`.
#[derive(Debug, Args)]
pub(crate) struct Help {
    /// A command, or `exit-codes`
    #[arg(value_name = "command", hide = true)]
    pub(crate) topics: Vec<String>,
}

impl Command {
    /// The word that it is called by.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Status(_) => "status",
            Command::Run(_) => "run",
            Command::Help(_) => "help",
            Command::Read(_) => "read",
            Command::Inspect(_) => "inspect",
            Command::Simplerun(_) => "simplerun",
            Command::Launch(_) => "launch",
            Command::Tail(_) => "tail",
            Command::Kill(_) => "kill",
            Command::Demo(_) => "demo",
        }
    }
}
