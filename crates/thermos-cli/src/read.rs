//! `thermos read`: what a checkpoint stream says.

use std::fmt::Write;
use std::fs::File;
use std::path::Path;

use aurora_api::thermos::{LogStatus, ProcessStatus, RunnerCkpt, RunnerHeader, TaskStatus};
use aurora_schema::number::float_exact;
use thermos_runner::state::Stage;
use thermos_runner::stream::{Next, Reader, Source};
use thermos_runner::view::{View, ViewError};

use crate::cli::Read;
use crate::document::{self, ReadDocument, TaskRecord};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{emit, shown, warn};
use crate::pprint::quote;
use crate::record::state_name;
use crate::status::to_json;
use crate::time;

/// Runs the command.
pub(crate) fn run(options: &Read) -> Outcome {
    let [path] = options.files.as_slice() else {
        return Err(Failure::usage(format!(
            "Expected one checkpoint file, got {}",
            options.files.len()
        )));
    };
    let file = open(path)?;
    if options.simple {
        return simple(path, &file);
    }
    let view = View::read(&file).map_err(|error| unreadable(path, &file, &error))?;
    if view.torn > 0 {
        warn(&format!(
            "note: the last record of {} is torn: {} bytes at the end were left out",
            path.display(),
            view.torn
        ));
    }
    if view.header.is_none() || view.statuses.is_empty() {
        return Err(Failure::new(
            Code::Corrupt,
            format!(
                "Checkpoint stream CORRUPT or outdated format: {} has no header or no state",
                path.display()
            ),
        ));
    }
    if options.json {
        emit(&to_json(&ReadDocument {
            schema: document::VERSION,
            file: path.display().to_string(),
            task: TaskRecord::of(&view),
        })?)?;
    } else {
        emit(&report(&view))?;
    }
    Ok(Code::Success)
}

fn open(path: &Path) -> Result<File, Failure> {
    let name = path.display();
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("Could not find {name}")),
        _ => Failure::usage(format!("cannot open {name}: {error}")),
    })?;
    match file.metadata() {
        Ok(meta) if meta.is_dir() => Err(Failure::usage(format!(
            "{name} is a directory; name a stream, such as ROOT/checkpoints/TASK_ID/runner"
        ))),
        Ok(_) => Ok(file),
        Err(error) => Err(Failure::usage(format!("cannot open {name}: {error}"))),
    }
}

fn unreadable(path: &Path, source: &impl Source, error: &ViewError) -> Failure {
    let path = path.display();
    if is_of_a_coordinator(source) {
        Failure::new(
            Code::Corrupt,
            format!(
                "{path} is the stream of a coordinator, which tells of one process only; read the \
                 stream `runner` in the same directory, or use --simple"
            ),
        )
    } else {
        Failure::new(Code::Corrupt, format!("Failed to recover from {path}: {error}"))
    }
}

/// A runner's stream starts with its own state, a coordinator's in the middle of a run.
fn is_of_a_coordinator(source: &impl Source) -> bool {
    matches!(
        Reader::new().next(source),
        Ok(Next::Record(RunnerCkpt::ProcessStatus(ProcessStatus { seq: Some(seq), .. }))) if seq > 0
    )
}

/// Prints record by record.
fn simple(path: &Path, file: &File) -> Outcome {
    let mut reader = Reader::new();
    loop {
        match reader.next(file) {
            Ok(Next::Record(record)) => emit(&format!("CKPT: {}\n", repr(&record)))?,
            Ok(Next::End) => return Ok(Code::Success),
            Ok(Next::Torn(bytes)) => {
                warn(&format!(
                    "note: the last record of {} is torn: {bytes} bytes at the end were left out",
                    path.display()
                ));
                return Ok(Code::Success);
            }
            Err(error) => {
                return Err(Failure::new(
                    Code::Corrupt,
                    format!("Failed to recover from {}: {error}", path.display()),
                ));
            }
        }
    }
}

/// The folded stream for people.
fn report(view: &View) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(view, &mut out);
    out
}

fn write_report(view: &View, out: &mut String) -> std::fmt::Result {
    let header = view.header.clone().unwrap_or_default();
    let text = |value: &Option<String>| shown(value.as_deref().unwrap_or("None")).into_owned();
    writeln!(out, "Recovered Task Header:")?;
    writeln!(out, "  id:      {}", text(&header.task_id))?;
    writeln!(out, "  user:    {}", text(&header.user))?;
    writeln!(out, "  host:    {}", text(&header.hostname))?;
    writeln!(out, "  sandbox: {}", text(&header.sandbox))?;
    let ports: Vec<String> =
        header.ports.iter().flatten().map(|(name, n)| format!("{}->{n}", shown(name))).collect();
    if !ports.is_empty() {
        writeln!(out, "  ports:   {}", ports.join(" "))?;
    }
    writeln!(out, "Recovered Task States:")?;
    for status in &view.statuses {
        writeln!(
            out,
            "  {} [pid: {}] => {}",
            status.timestamp_ms.map(time::local).unwrap_or_default(),
            status.runner_pid.map(|pid| pid.to_string()).unwrap_or_default(),
            status.state.and_then(Stage::from_wire).map_or("UNKNOWN", Stage::name)
        )?;
    }
    writeln!(out, "Recovered Processes:")?;
    for (name, runs) in &view.processes {
        writeln!(out, "  {}   runs: {}", shown(name), runs.len())?;
        for (number, run) in runs.iter().enumerate().rev() {
            write!(
                out,
                "    {number:>2}: pid={}, rc={}, finish:{}, state:{}",
                run.pid.map(|pid| pid.to_string()).unwrap_or_default(),
                run.return_code.map(|code| code.to_string()).unwrap_or_default(),
                run.stop_time.map_or("None".to_owned(), |stop| time::local_seconds(stop.0)),
                state_name(run)
            )?;
            match &run.reason {
                Some(reason) => writeln!(out, ", reason:{}", shown(reason))?,
                None => writeln!(out)?,
            }
        }
    }
    Ok(())
}

/// A record as the original prints it: a Python expression. Fields that the original does not know
/// follow where they are set.
fn repr(record: &RunnerCkpt) -> String {
    let (mut task, mut process, mut header, mut log) = (None, None, None, String::new());
    match record {
        RunnerCkpt::TaskStatus(status) => task = Some(task_status(status)),
        RunnerCkpt::ProcessStatus(status) => process = Some(process_status(status)),
        RunnerCkpt::RunnerHeader(found) => header = Some(runner_header(found)),
        RunnerCkpt::LogStatus(status) => log = format!(", log_status={}", log_status(status)),
        RunnerCkpt::Unknown(..) => {}
    }
    let part = |part: Option<String>| part.unwrap_or_else(|| "None".to_owned());
    format!(
        "RunnerCkpt(task_status={}, process_status={}, runner_header={}{log})",
        part(task),
        part(process),
        part(header)
    )
}

fn log_status(status: &LogStatus) -> String {
    format!(
        "LogStatus(process={}, run={}, output={}, time={}, received={}, dropped={}, reason={}, \
         console_dropped={}, console_reason={})",
        literal(&status.process),
        or_none(status.run),
        literal(&status.output),
        or_none(status.time.map(|time| float_exact(time.0))),
        or_none(status.received),
        or_none(status.dropped),
        literal(&status.reason),
        or_none(status.console_dropped),
        literal(&status.console_reason),
    )
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "None".to_owned(), |value| value.to_string())
}

fn literal(value: &Option<String>) -> String {
    or_none(value.as_ref().map(|text| format!("u{}", quote(text))))
}

/// `, NAME=VALUE` for what is set.
fn addition(name: &str, value: Option<impl ToString>) -> String {
    value.map(|value| format!(", {name}={}", value.to_string())).unwrap_or_default()
}

fn task_status(status: &TaskStatus) -> String {
    format!(
        "TaskStatus(state={}, runner_uid={}, runner_pid={}, timestamp_ms={}{}{}{}{})",
        or_none(status.state.map(|state| state.0)),
        or_none(status.runner_uid),
        or_none(status.runner_pid),
        or_none(status.timestamp_ms),
        addition("boot_id", status.boot_id.as_ref().map(|id| format!("u{}", quote(id)))),
        addition("runner_start_ticks", status.runner_start_ticks),
        addition("goal", status.goal.map(|goal| goal.0)),
        addition("deadline_ms", status.deadline_ms),
    )
}

fn process_status(status: &ProcessStatus) -> String {
    format!(
        "ProcessStatus(seq={}, process={}, start_time={}, coordinator_pid={}, pid={}, \
         return_code={}, state={}, stop_time={}, fork_time={}{}{}{})",
        or_none(status.seq),
        literal(&status.process),
        or_none(status.start_time.map(|time| float_exact(time.0))),
        or_none(status.coordinator_pid),
        or_none(status.pid),
        or_none(status.return_code),
        or_none(status.state.map(|state| state.0)),
        or_none(status.stop_time.map(|time| float_exact(time.0))),
        or_none(status.fork_time.map(|time| float_exact(time.0))),
        addition("coordinator_start_ticks", status.coordinator_start_ticks),
        addition("start_ticks", status.start_ticks),
        addition("reason", status.reason.as_ref().map(|reason| format!("u{}", quote(reason)))),
    )
}

fn runner_header(header: &RunnerHeader) -> String {
    let ports = header.ports.as_ref().map(|ports| {
        let ports: Vec<String> =
            ports.iter().map(|(name, port)| format!("u{}: {port}", quote(name))).collect();
        format!("{{{}}}", ports.join(", "))
    });
    format!(
        "RunnerHeader(launch_time_ms={}, uid={}, task_id={}, hostname={}, sandbox={}, log_dir={}, \
         ports={}, user={})",
        or_none(header.launch_time_ms),
        or_none(header.uid),
        literal(&header.task_id),
        literal(&header.hostname),
        literal(&header.sandbox),
        literal(&header.log_dir),
        or_none(ports),
        literal(&header.user),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_api::thermos::{ProcessState, TaskState};
    use thrift_wire::Double;

    /// Recorded: `read --simple` of the original.
    #[test]
    fn records() {
        let task = TaskStatus {
            state: Some(TaskState::ACTIVE),
            runner_uid: Some(0),
            runner_pid: Some(28751),
            timestamp_ms: Some(1_795_174_374_885),
            ..TaskStatus::default()
        };
        assert_eq!(
            repr(&RunnerCkpt::TaskStatus(task)),
            "RunnerCkpt(task_status=TaskStatus(state=0, runner_uid=0, runner_pid=28751, \
             timestamp_ms=1795174374885), process_status=None, runner_header=None)"
        );
        let header = RunnerHeader {
            launch_time_ms: Some(1_795_174_374_765),
            uid: Some(0),
            task_id: Some("r3".to_owned()),
            hostname: Some("vm".to_owned()),
            sandbox: Some("/mnt/sb3".to_owned()),
            log_dir: Some("/mnt/sb3/.logs".to_owned()),
            ports: Some([("http".to_owned(), 99)].into()),
            user: Some("root".to_owned()),
            ..RunnerHeader::default()
        };
        assert_eq!(
            repr(&RunnerCkpt::RunnerHeader(header)),
            "RunnerCkpt(task_status=None, process_status=None, \
             runner_header=RunnerHeader(launch_time_ms=1795174374765, uid=0, task_id=u'r3', \
             hostname=u'vm', sandbox=u'/mnt/sb3', log_dir=u'/mnt/sb3/.logs', \
             ports={u'http': 99}, user=u'root'))"
        );
        let mut process = ProcessStatus {
            seq: Some(3),
            process: Some("a".to_owned()),
            return_code: Some(0),
            state: Some(ProcessState::SUCCESS),
            stop_time: Some(Double(1_795_174_375.094_033)),
            ..ProcessStatus::default()
        };
        assert_eq!(
            repr(&RunnerCkpt::ProcessStatus(process.clone())),
            "RunnerCkpt(task_status=None, process_status=ProcessStatus(seq=3, process=u'a', \
             start_time=None, coordinator_pid=None, pid=None, return_code=0, state=3, \
             stop_time=1795174375.094033, fork_time=None), runner_header=None)"
        );
        process.reason = Some("it's over".to_owned());
        let text = repr(&RunnerCkpt::ProcessStatus(process));
        assert!(text.contains("fork_time=None, reason=u\"it's over\"), "), "{text}");
    }
}
