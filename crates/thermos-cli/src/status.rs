//! `thermos status`: the tasks on this machine.

use std::fmt::Write;
use std::io;

use thermos_runner::state::Stage;
use thermos_runner::view::View;

use crate::cli::{Global, Only, Status};
use crate::document::{self, ListedTask, LogRecord, StatusDocument, TaskRecord};
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::output::{emit, shown};
use crate::record::{self, Owners, Record, state_name};
use crate::roots::{self, Found, Patterns};
use crate::time;

/// Runs the command.
pub(crate) fn run(global: &Global, options: &Status) -> Outcome {
    let patterns = Patterns::new(&options.patterns, false)?;
    let mut tasks = roots::tasks(&roots::search(global));
    tasks.retain(|task| options.patterns.is_empty() || patterns.match_any(&task.id));
    match options.only {
        Some(Only::Active) => tasks.retain(|task| !task.finished),
        Some(Only::Finished) => tasks.retain(|task| task.finished),
        None => {}
    }
    let found = !tasks.is_empty();
    let mut owners = Owners::default();
    if options.json {
        let tasks =
            tasks.iter().map(|task| listed(task, Record::open(&task.root, &task.id), &mut owners));
        let document = StatusDocument { schema: document::VERSION, tasks: tasks.collect() };
        emit(&to_json(&document)?)?;
    } else if found {
        for (title, finished) in [("Active tasks:", false), ("Finished tasks:", true)] {
            let mut text = String::new();
            for task in tasks.iter().filter(|task| task.finished == finished) {
                let record = Record::open(&task.root, &task.id);
                // Writing to a string cannot fail.
                let _ = line(&task.id, &record, &mut owners, options.verbosity, &mut text);
                if let Ok(Record { view: Ok(view), .. }) = &record {
                    let _ = drops(&record::logs(&task.root, &task.id, view), &mut text);
                }
            }
            if !text.is_empty() {
                emit(&format!("{title}\n{text}\n"))?;
            }
        }
    } else {
        emit("No tasks found.\n")?;
    }
    Ok(if found { Code::Success } else { Code::NotFound })
}

/// A document on several lines.
pub(crate) fn to_json(document: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document)
        .map(|text| text + "\n")
        .map_err(|error| Failure::system("write JSON", error))
}

fn listed(task: &Found, record: io::Result<Record>, owners: &mut Owners) -> ListedTask {
    let mut logs = Vec::new();
    let (owner, error, record) = match record {
        Err(error) => (None, Some(format!("cannot read the checkpoint stream: {error}")), None),
        Ok(record) => {
            let owner = Some(owners.name(record.owner).to_owned());
            match record.view {
                Ok(view) => {
                    logs = record::logs(&task.root, &task.id, &view);
                    (owner, None, Some(TaskRecord::of(&view)))
                }
                Err(error) => (owner, Some(error.to_string()), None),
            }
        }
    };
    ListedTask {
        task_id: task.id.clone(),
        root: task.root.display().to_string(),
        finished: task.finished,
        owner,
        error,
        logs,
        task: record,
    }
}

/// One task in the list.
fn line(
    id: &str,
    record: &io::Result<Record>,
    owners: &mut Owners,
    verbosity: u8,
    out: &mut String,
) -> std::fmt::Result {
    let id = shown(id);
    let record = match record {
        Ok(record) => record,
        Err(error) => {
            return writeln!(out, "  {id:<20} - cannot read its checkpoint stream: {error}");
        }
    };
    write!(out, "  {id:<20} [owner: {:>8}]", shown(owners.name(record.owner)))?;
    match &record.view {
        Ok(view) if view.header.is_some() && !view.statuses.is_empty() => {
            details(view, verbosity, out)
        }
        Ok(_) => writeln!(out, " - checkpoint stream CORRUPT or outdated format"),
        Err(error) => {
            writeln!(out, " - checkpoint stream CORRUPT or outdated format ({error})")
        }
    }
}

/// Output that is missing somewhere: whatever else one wanted to know, one wants to know that.
fn drops(logs: &[LogRecord], out: &mut String) -> std::fmt::Result {
    for log in logs {
        let place = format!("{} run {}: {}", shown(&log.process), log.run, shown(&log.output));
        let why = |reason: &Option<String>| {
            reason.as_deref().map_or(String::new(), |reason| format!(": {}", shown(reason)))
        };
        if log.dropped > 0 {
            writeln!(out, "    {place}: {} bytes dropped{}", log.dropped, why(&log.reason))?;
        }
        if let Some(dropped @ 1..) = log.console_dropped {
            let why = why(&log.console_reason);
            writeln!(out, "    {place}: {dropped} bytes did not reach the console{why}")?;
        }
    }
    Ok(())
}

fn details(view: &View, verbosity: u8, out: &mut String) -> std::fmt::Result {
    let header = view.header.clone().unwrap_or_default();
    if verbosity >= 1 {
        let start = header.launch_time_ms.map(time::local).unwrap_or_default();
        let state = view.stage().map_or("UNKNOWN", Stage::name);
        write!(out, "  state: {state:>8} start: {start:>25}")?;
    }
    writeln!(out)?;
    if verbosity >= 2 {
        let ports: Vec<String> = header
            .ports
            .iter()
            .flatten()
            .map(|(name, port)| format!("{} -> {port}", shown(name)))
            .collect();
        let ports = if ports.is_empty() { "None".to_owned() } else { ports.join(" ") };
        writeln!(
            out,
            "    user: {} ports: {ports}",
            shown(header.user.as_deref().unwrap_or("None"))
        )?;
        writeln!(out, "    sandbox: {}", shown(header.sandbox.as_deref().unwrap_or("None")))?;
    }
    if verbosity >= 3 {
        writeln!(out, "    process table:")?;
        for (name, runs) in &view.processes {
            let Some(last) = runs.last() else { continue };
            writeln!(
                out,
                "      - {} runs: {} last: pid={}, rc={}, finish:{}, state:{}",
                shown(name),
                runs.len(),
                last.pid.map_or("None".to_owned(), |pid| pid.to_string()),
                last.return_code.map(|code| code.to_string()).unwrap_or_default(),
                last.stop_time.map_or("None".to_owned(), |stop| time::local_seconds(stop.0)),
                state_name(last)
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_api::thermos::LogStatus;

    #[test]
    fn dropped_output_is_told() {
        let log = |dropped, console_dropped| {
            let status = LogStatus {
                received: Some(100),
                dropped: Some(dropped),
                reason: (dropped > 0).then(|| "no space left on device".to_owned()),
                console_dropped,
                console_reason: Some("nobody\nreads it".to_owned()),
                ..LogStatus::default()
            };
            LogRecord::of("p", (3, "stdout".to_owned()), status)
        };
        let mut text = String::new();
        drops(&[log(0, None), log(7, Some(0)), log(0, Some(2))], &mut text).unwrap();
        assert_eq!(
            text,
            "    p run 3: stdout: 7 bytes dropped: no space left on device\n    \
             p run 3: stdout: 2 bytes did not reach the console: nobody\\nreads it\n"
        );
    }
}
