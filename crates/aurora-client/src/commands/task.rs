//! `aurora task`: commands and files on the machines where tasks run, through ssh.
//!
//! What is run is decided by pure functions of a task and the options. Names that come from a
//! scheduler become part of a command line only if they are plain.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", and the recorded cases `task-*`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use aurora_api::api::read_only_scheduler::{GetTasksStatus, GetTasksStatusArgs};
use aurora_api::api::{ResponseCode, ScheduledTask};
use clap::{Args, Subcommand};

use crate::context::{Context, details};
use crate::exit::{Failure, code};
use crate::keys::{InstanceKey, InstancesKey};
use crate::monitor::{self, LIVE};
use crate::select::JobKey;
use crate::world::Program;

/// What can be done with running tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs a command for each task of a job, where it runs
    Run(Run),
    /// Opens a shell in the sandbox of a task
    Ssh {
        #[command(flatten)]
        place: Place,
        /// More options for ssh, separated by spaces
        #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
        ssh_options: Option<String>,
        /// Makes a port of the task reachable as a port of this machine; may be given several times
        #[arg(short = 'L', long = "tunnels", value_name = "PORT:NAME")]
        tunnel: Vec<String>,
        /// Runs a command in place of a shell
        #[arg(long, short)]
        command: Option<String>,
        /// Where to note the process id of ssh
        #[arg(long, short, value_name = "FILE")]
        pid_file: Option<PathBuf>,
        /// The job and perhaps an instance; otherwise any
        #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCE]")]
        key: InstancesKey,
    },
    /// Copies files to or from the sandboxes of tasks
    Scp {
        #[command(flatten)]
        place: Place,
        /// More options for scp, separated by spaces
        #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
        scp_options: Option<String>,
        /// Files of this machine, or of a task: CLUSTER/ROLE/ENV/NAME/INSTANCE:PATH
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<String>,
        /// Where to
        #[arg(value_name = "DESTINATION")]
        destination: String,
    },
}

/// A command for each task of a job.
#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    place: Place,
    /// So many at a time
    #[arg(long, short, value_name = "COUNT", default_value_t = 1)]
    threads: usize,
    /// More options for ssh, separated by spaces
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    ssh_options: Option<String>,
    /// The job and perhaps its instances, as in 0-2,5
    #[arg(value_name = "CLUSTER/ROLE/ENV/NAME[/INSTANCES]")]
    key: InstancesKey,
    /// The command; {{thermos.task_id}}, {{thermos.ports[NAME]}} and {{mesos.instance}} are
    /// replaced. In quotes or after -- it may have options of its own
    #[arg(required = true)]
    command: Vec<String>,
}

/// Where on a machine, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The user on the machine; default: the job's role
    #[arg(long, short = 'l', value_name = "USER")]
    ssh_user: Option<String>,
    /// The executor's directory in place of the task's sandbox
    #[arg(long, short = 'e')]
    executor_sandbox: bool,
}

/// A task and the machine it runs on.
#[derive(Clone, Debug)]
struct Target {
    host: String,
    user: String,
    directory: String,
    task: ScheduledTask,
}

impl Target {
    fn login(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    fn task_id(&self) -> &str {
        let task = self.task.assigned_task.as_ref();
        task.and_then(|task| task.task_id.as_deref()).unwrap_or_default()
    }

    /// The machine where it stands beside a port or a path.
    fn bracketed(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        }
    }

    fn port(&self, name: &str) -> Option<i32> {
        self.task.assigned_task.as_ref()?.assigned_ports.as_ref()?.get(name).copied()
    }
}

/// Does it.
///
/// # Errors
/// It cannot be done.
pub(crate) fn run(verb: &Verb, context: &mut Context<'_>) -> Result<u8, Failure> {
    match verb {
        Verb::Run(options) => run_everywhere(options, context),
        Verb::Ssh { place, ssh_options, tunnel, command, pid_file, key } => {
            if command.is_some() && key.instances.is_none() {
                let message = "INSTANCE must be specified when --command option is given";
                return Err(Failure::parameter(message));
            }
            let targets = targets(context, &key.job, key.instances.as_ref(), place)?;
            let Some(target) = targets.first() else {
                return Err(Failure::parameter(format!("Job {} not found", key.job)));
            };
            let options = words(ssh_options.as_deref());
            let mut program = ssh_program(target, &options, tunnel, command.as_deref())
                .map_err(Failure::parameter)?;
            program.pid_file.clone_from(pid_file);
            start(context, &program)
        }
        Verb::Scp { place, scp_options, sources, destination } => {
            let mut arguments = words(scp_options.as_deref());
            let mut files = Vec::new();
            for file in sources {
                files.push(copied(context, file, place)?.argument());
            }
            let destination = copied(context, destination, place)?;
            let chosen = |name| arguments.iter().any(|option| option == name);
            let version = match destination {
                // As sftp does it, no shell is asked.
                Copied::Sandbox { .. } if !chosen("-s") => openssh(context),
                _ => None,
            };
            if version.is_some_and(|major| major >= SFTP) && !chosen("-O") {
                arguments.push("-O".to_owned());
            }
            arguments.extend(files);
            arguments.push(match version {
                Some(_) => destination.found(),
                None => destination.argument(),
            });
            start(context, &Program::new("scp", arguments))
        }
    }
}

/// Runs a command for each task of a job.
///
/// # Errors
/// Nobody knows where the tasks are.
pub(crate) fn run_everywhere(options: &Run, context: &mut Context<'_>) -> Result<u8, Failure> {
    let Run { place, threads, ssh_options, key, command } = options;
    let targets = targets(context, &key.job, key.instances.as_ref(), place)?;
    if targets.is_empty() {
        context.warn(format_args!("No running tasks of {} were found", key.job));
    }
    let command = command.join(" ");
    let options = words(ssh_options.as_deref());
    let programs: Vec<Program> =
        targets.iter().map(|target| run_program(target, &options, &command)).collect();
    Ok(run_all(context, &targets, &programs, *threads))
}

/// The tasks of a job that run, by instance, and where.
fn targets(
    context: &mut Context<'_>,
    job: &JobKey,
    instances: Option<&BTreeSet<i32>>,
    place: &Place,
) -> Result<Vec<Target>, Failure> {
    let root = root(context, job)?;
    let query = Some(monitor::query(job, instances, Some(&LIVE)));
    let arguments = GetTasksStatusArgs { query, ..Default::default() };
    let response = context.call::<GetTasksStatus>(&job.cluster, &arguments)?;
    if response.response_code != Some(ResponseCode::OK) {
        let details = details(&response);
        let message = format!("Could not retrieve task information: {details}");
        return Err(Failure::new(code::API, message));
    }
    let mut tasks = monitor::tasks(response);
    tasks.sort_by_key(monitor::instance);
    let targets = tasks.into_iter().map(|task| target(task, job, &root, place));
    targets.collect::<Result<_, _>>().map_err(|why| Failure::new(code::UNKNOWN, why))
}

/// Where agents keep their tasks, and the name of the run that is in use.
struct Root {
    directory: String,
    run: String,
}

fn root(context: &mut Context<'_>, job: &JobKey) -> Result<Root, Failure> {
    let cluster = context.cluster(&job.cluster)?;
    let required = |name: &str, value: &Option<String>| {
        value.clone().ok_or_else(|| {
            let file = cluster.file.display();
            let message = format!(
                "cluster {} has no {name} in {file}, without which nobody knows where tasks are",
                cluster.name
            );
            Failure::new(code::INVALID_CONFIGURATION, message)
        })
    };
    Ok(Root {
        directory: required("slave_root", &cluster.slave_root)?,
        run: required("slave_run_directory", &cluster.slave_run_directory)?,
    })
}

/// Whether a name can stand in a command line.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_plain)
}

fn target(task: ScheduledTask, job: &JobKey, root: &Root, place: &Place) -> Result<Target, String> {
    let assigned = task.assigned_task.clone().unwrap_or_default();
    let host = assigned.slave_host.unwrap_or_default();
    let id = assigned.task_id.unwrap_or_default();
    let user = place.ssh_user.as_ref().unwrap_or(&job.role).clone();
    for (what, name) in [("host", &host), ("task id", &id), ("user", &user)] {
        if !is_plain(name) {
            let instance = monitor::instance(&task);
            return Err(format!(
                "the {what} of instance {instance} of {job} is {name:?}: not used"
            ));
        }
    }
    let mut directory = format!(
        "{}/slaves/*/frameworks/*/executors/thermos-{id}/runs/{}",
        root.directory, root.run
    );
    if !place.executor_sandbox {
        directory.push_str("/sandbox");
    }
    Ok(Target { host, user, directory, task })
}

/// Options that were given as one word.
fn words(options: Option<&str>) -> Vec<String> {
    options.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn run_program(target: &Target, options: &[String], command: &str) -> Program {
    let mut arguments = vec!["-n".to_owned(), "-q".to_owned()];
    arguments.extend_from_slice(options);
    arguments.push(target.login());
    arguments.push(format!("cd {};{}", target.directory, filled(command, target)));
    Program::new("ssh", arguments)
}

/// A command with what is known about a task in place of references.
fn filled(command: &str, target: &Target) -> String {
    let mut filled = command
        .replace("{{thermos.task_id}}", target.task_id())
        .replace("{{mesos.instance}}", &monitor::instance(&target.task).to_string());
    let ports = target.task.assigned_task.as_ref().and_then(|task| task.assigned_ports.as_ref());
    for (name, port) in ports.into_iter().flatten() {
        filled = filled.replace(&format!("{{{{thermos.ports[{name}]}}}}"), &port.to_string());
    }
    filled
}

/// Runs programs and prints what they say, each line after the machine's name. A task whose command
/// fails makes the whole one fail.
fn run_all(
    context: &mut Context<'_>,
    targets: &[Target],
    programs: &[Program],
    threads: usize,
) -> u8 {
    let mut complaints = Vec::new();
    context.world.capture(programs, threads, &mut |out, position, captured| {
        let Some(target) = targets.get(position) else { return };
        let what = format!("{} (instance {})", target.host, monitor::instance(&target.task));
        match captured {
            Ok(captured) => {
                let text = String::from_utf8_lossy(&captured.output);
                let lines: String =
                    text.lines().map(|line| format!("{}:  {line}\n", target.host)).collect();
                // A reader that has seen enough is no mistake.
                let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
                if captured.code != 0 {
                    complaints.push(format!("{what}: the command ended with {}", captured.code));
                }
            }
            Err(error) => complaints.push(format!("{what}: cannot run ssh: {error}")),
        }
    });
    for complaint in &complaints {
        context.warn(complaint);
    }
    if complaints.is_empty() { code::OK } else { code::COMMAND_FAILURE }
}

fn ssh_program(
    target: &Target,
    options: &[String],
    tunnels: &[String],
    command: Option<&str>,
) -> Result<Program, String> {
    let mut arguments = vec!["-t".to_owned()];
    arguments.extend_from_slice(options);
    for tunnel in tunnels {
        let parts =
            tunnel.split_once(':').and_then(|(port, name)| Some((port.parse::<u16>().ok()?, name)));
        let Some((port, name)) = parts else {
            return Err(format!("Could not parse tunnel: {tunnel}.  Must be of form PORT:NAME"));
        };
        let Some(remote) = target.port(name) else {
            return Err(format!("Task {} has no port named {name}", target.task_id()));
        };
        arguments.push("-L".to_owned());
        arguments.push(format!("{port}:{}:{remote}", target.bracketed()));
    }
    arguments.push(target.login());
    let command = filled(command.unwrap_or("bash"), target);
    arguments.push(format!("cd {};{command}", target.directory));
    Ok(Program::new("ssh", arguments))
}

/// Since this OpenSSH, scp copies as sftp does unless it gets `-O`. Then nobody looks for a destination
/// that is a pattern, as that of a sandbox is.
const SFTP: u32 = 9;

/// A file to copy, or where to.
enum Copied {
    /// As scp is told of it.
    Plain(String),
    /// In a sandbox: the login, the sandbox as a pattern, and the path in it.
    Sandbox { place: String, directory: String, path: String },
}

impl Copied {
    /// As scp is told of something that exists.
    fn argument(&self) -> String {
        match self {
            Copied::Plain(argument) => argument.clone(),
            Copied::Sandbox { place, directory, path } => format!("{place}:{directory}/{path}"),
        }
    }

    /// As scp is told of something that may not exist: a shell on the other machine finds the sandbox
    /// first. What is not found stays as it is, which is no file.
    fn found(&self) -> String {
        match self {
            Copied::Plain(argument) => argument.clone(),
            Copied::Sandbox { place, directory, path } => {
                format!("{place}:\"$(cd {directory} && pwd || echo '{directory}')\"/{path}")
            }
        }
    }
}

/// A file, as the user names it.
fn copied(context: &mut Context<'_>, file: &str, place: &Place) -> Result<Copied, Failure> {
    // What looks like a path is one, whatever else is in it.
    let parts = file.split_once(':').filter(|_| !file.starts_with(['/', '.']));
    let Some((key, path)) = parts else {
        // What looks like an option is still a file.
        let file = if file.starts_with('-') { format!("./{file}") } else { file.to_owned() };
        return Ok(Copied::Plain(file));
    };
    let key: InstanceKey = key.parse().map_err(Failure::parameter)?;
    let instances = BTreeSet::from([key.instance]);
    let targets = targets(context, &key.job, Some(&instances), place)?;
    let Some(target) = targets.first() else {
        return Err(Failure::parameter(format!("Job or instance {key} not found")));
    };
    let plain = plain_path(path);
    if plain == "~" || plain.starts_with("~/") {
        let message = format!("Command does not support tilde expansion for path: {path}");
        return Err(Failure::parameter(message));
    }
    let place = format!("{}@{}", target.user, target.bracketed());
    Ok(match plain.starts_with('/') {
        true => Copied::Plain(format!("{place}:{plain}")),
        false => Copied::Sandbox { place, directory: target.directory.clone(), path: plain },
    })
}

/// A path without parts that say nothing, or take another back.
fn plain_path(path: &str) -> String {
    let root = if path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", None) if !root.is_empty() => {}
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    match parts.is_empty() && root.is_empty() {
        true => ".".to_owned(),
        false => format!("{root}{}", parts.join("/")),
    }
}

/// Which OpenSSH is here, if it is one.
fn openssh(context: &mut Context<'_>) -> Option<u32> {
    let mut said = Vec::new();
    context.world.capture(&[Program::new("ssh", ["-V"])], 1, &mut |_, _, captured| {
        said = captured.map(|captured| captured.output).unwrap_or_default();
    });
    major(&String::from_utf8_lossy(&said))
}

/// The 9 of `OpenSSH_9.2p1 …`.
fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("OpenSSH_")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn start(context: &mut Context<'_>, program: &Program) -> Result<u8, Failure> {
    context.world.run(program).map_err(|error| {
        let message = format!("Cannot run {}: {error}", program.name);
        Failure::new(code::COMMAND_FAILURE, message)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aurora_api::api::AssignedTask;

    use super::*;

    fn placed(host: &str, id: &str, place: &Place) -> Result<Target, String> {
        let root = Root { directory: "/var/lib/mesos".to_owned(), run: "latest".to_owned() };
        let task = ScheduledTask {
            assigned_task: Some(AssignedTask {
                task_id: Some(id.to_owned()),
                slave_host: Some(host.to_owned()),
                instance_id: Some(3),
                assigned_ports: Some(BTreeMap::from([("http".to_owned(), 31011)])),
                ..Default::default()
            }),
            ..Default::default()
        };
        target(task, &JobKey::parse("c/web/prod/hello").unwrap(), &root, place)
    }

    fn place() -> Place {
        Place { ssh_user: None, executor_sandbox: false }
    }

    #[test]
    fn what_ssh_is_told() {
        let target = placed("a1", "t-3", &place()).unwrap();
        let sandbox =
            "cd /var/lib/mesos/slaves/*/frameworks/*/executors/thermos-t-3/runs/latest/sandbox";
        let command =
            "echo {{thermos.task_id}} {{thermos.ports[http]}} {{mesos.instance}} {{other}}";
        let program = run_program(&target, &words(Some("-v  -p 22")), command);
        assert_eq!(
            program.arguments,
            [
                "-n",
                "-q",
                "-v",
                "-p",
                "22",
                "web@a1",
                &format!("{sandbox};echo t-3 31011 3 {{{{other}}}}")
            ]
        );
        let tunnels = ["9000:http".to_owned()];
        let program = ssh_program(&target, &[], &tunnels, None).unwrap();
        assert_eq!(
            program.arguments,
            ["-t", "-L", "9000:a1:31011", "web@a1", &format!("{sandbox};bash")]
        );
        let program = ssh_program(
            &placed("::1", "t-3", &place()).unwrap(),
            &words(Some("-v")),
            &tunnels,
            Some("echo {{thermos.ports[http]}}"),
        );
        assert_eq!(
            program.unwrap().arguments,
            ["-t", "-v", "-L", "9000:[::1]:31011", "web@::1", &format!("{sandbox};echo 31011")]
        );
        let own = Place { ssh_user: Some("me".to_owned()), executor_sandbox: true };
        let program =
            ssh_program(&placed("a1", "t-3", &own).unwrap(), &[], &[], Some("ls")).unwrap();
        let executor = sandbox.trim_end_matches("/sandbox");
        assert_eq!(program.arguments, ["-t", "me@a1", &format!("{executor};ls")]);
    }

    #[test]
    fn paths() {
        for (path, plain) in [
            ("", "."),
            (".", "."),
            ("a/", "a"),
            ("./a//b/./c", "a/b/c"),
            ("a/../b", "b"),
            ("a/..", "."),
            ("../a", "../a"),
            ("../../a/../..", "../../.."),
            ("/a/../../b/", "/b"),
            ("/", "/"),
            ("~/x", "~/x"),
            ("./~", "~"),
            ("~x", "~x"),
        ] {
            assert_eq!(plain_path(path), plain, "{path}");
        }
    }

    #[test]
    fn destinations() {
        let file = Copied::Sandbox {
            place: "web@a".to_owned(),
            directory: "/s/*".to_owned(),
            path: "x".to_owned(),
        };
        assert_eq!(file.argument(), "web@a:/s/*/x");
        assert_eq!(file.found(), "web@a:\"$(cd /s/* && pwd || echo '/s/*')\"/x");
    }

    #[test]
    fn versions() {
        for (text, expected) in [
            ("OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19", Some(9)),
            ("OpenSSH_10.0p2", Some(10)),
            ("OpenSSH_for_Windows_8.1p1", None),
            ("Dropbear v2022.83", None),
            ("", None),
        ] {
            assert_eq!(major(text), expected, "{text}");
        }
    }

    #[test]
    fn tunnels_that_are_none() {
        let target = placed("a1", "t-3", &place()).unwrap();
        for (tunnel, message) in [
            ("nope", "Could not parse tunnel: nope.  Must be of form PORT:NAME"),
            ("x:http", "Could not parse tunnel: x:http.  Must be of form PORT:NAME"),
            ("70000:http", "Could not parse tunnel: 70000:http.  Must be of form PORT:NAME"),
            ("1:nope", "Task t-3 has no port named nope"),
        ] {
            let tunnels = [tunnel.to_owned()];
            assert_eq!(ssh_program(&target, &[], &tunnels, None).unwrap_err(), message);
        }
    }

    #[test]
    fn nothing_strange_gets_into_a_command_line() {
        for (host, id, what) in [
            ("-oProxyCommand=x", "t", "host"),
            ("a b", "t", "host"),
            ("", "t", "host"),
            ("a", "t;reboot", "task id"),
            ("a", "$(reboot)", "task id"),
        ] {
            assert!(placed(host, id, &place()).unwrap_err().contains(what), "{host} {id}");
        }
        let user = Place { ssh_user: Some("-x".to_owned()), executor_sandbox: false };
        assert!(placed("a", "t", &user).unwrap_err().contains("user"));
        assert!(placed("::1", "t_1-2.3", &place()).is_ok());
    }
}
