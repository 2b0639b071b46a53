//! How a task ended, for people.

use std::fmt::Write;
use std::path::Path;

use aurora_api::thermos::ProcessStatus;
use thermos_runner::state::{Run, Stage};
use thermos_runner::view::View;

use crate::output::{quoted, shown};
use crate::record::{log_directory, state_name, state_of};
use crate::roots::pattern_for;
use crate::time;

/// What is said at the end of a task.
pub(crate) struct Summary<'a> {
    /// Its id.
    pub(crate) task_id: &'a str,
    /// How it ended.
    pub(crate) stage: Stage,
    /// What its stream says.
    pub(crate) view: &'a View,
    /// Its checkpoint root.
    pub(crate) root: &'a Path,
    /// Must commands be told where the root is?
    pub(crate) name_root: bool,
    /// It was over before; nothing was run now.
    pub(crate) was_over: bool,
    /// The sandbox is gone.
    pub(crate) removed: bool,
}

impl Summary<'_> {
    /// The text.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let id = shown(self.task_id);
        if self.was_over {
            writeln!(out, "Task {id} was over already ({}); nothing was run.", self.stage.name())?;
        } else {
            let after = self.seconds().map(|seconds| format!(" after {}", time::duration(seconds)));
            writeln!(out, "Task {id}: {}{}", self.stage.name(), after.unwrap_or_default())?;
        }
        self.table(out)?;
        let header = self.view.header.clone().unwrap_or_default();
        writeln!(out)?;
        if self.removed {
            writeln!(out, "sandbox:     removed, with all logs")?;
        } else {
            let path = |path: Option<&str>| shown(path.unwrap_or("unknown")).into_owned();
            writeln!(out, "sandbox:     {}", path(header.sandbox.as_deref()))?;
            writeln!(out, "logs:        {}", path(log_directory(&header).as_deref()))?;
        }
        writeln!(out, "checkpoints: {}", shown(&self.root.display().to_string()))?;
        writeln!(out, "{}", self.advice())
    }

    /// Commands that show more.
    fn advice(&self) -> String {
        let root = if self.name_root {
            format!(" --root={}", quoted(&self.root.display().to_string()))
        } else {
            String::new()
        };
        let mut text = format!(
            "look again:  thermos status{root} --verbosity=3 {}",
            quoted(&pattern_for(self.task_id))
        );
        // The process that one would want to see: one that went wrong, or the last one.
        let wrong = |(_, run): &&(&str, &ProcessStatus)| {
            self.stage != Stage::Success && matches!(state_of(run), Some(Run::Failed | Run::Lost))
        };
        let processes = self.processes();
        let process = processes.iter().find(wrong).or_else(|| processes.last());
        let process = process.map(|(name, _)| *name);
        if let Some(process) = process.filter(|_| !self.removed) {
            let _ = write!(
                text,
                "\n             thermos tail{root} {} {}",
                quoted(self.task_id),
                quoted(process)
            );
        }
        text
    }

    /// Processes with their last runs, in the order in which they first started.
    fn processes(&self) -> Vec<(&str, &ProcessStatus)> {
        let start = |name: &str| {
            let first = self.view.processes.get(name)?.first()?;
            first.fork_time.map(|time| time.0)
        };
        let mut processes: Vec<(&str, &ProcessStatus)> = self
            .view
            .processes
            .iter()
            .filter_map(|(name, runs)| Some((name.as_str(), runs.last()?)))
            .collect();
        processes.sort_by(|(a, _), (b, _)| {
            let (a, b) = (start(a), start(b));
            a.unwrap_or(f64::INFINITY).total_cmp(&b.unwrap_or(f64::INFINITY))
        });
        processes
    }

    fn table(&self, out: &mut String) -> std::fmt::Result {
        let processes = self.processes();
        if processes.is_empty() {
            return Ok(());
        }
        let widths = processes.iter().map(|(name, _)| shown(name).chars().count());
        let width = widths.max().unwrap_or(0).clamp(7, 40);
        writeln!(out)?;
        writeln!(out, "  {:<width$}  runs  last state    rc  duration", "process")?;
        for (name, last) in processes {
            let duration = match (last.start_time, last.stop_time) {
                (Some(start), Some(stop)) => time::duration(stop.0 - start.0),
                _ => String::new(),
            };
            let code = last.return_code.map(|code| code.to_string()).unwrap_or_default();
            let row = format!(
                "  {:<width$}  {:>4}  {:<10}  {code:>4}  {duration:>8}",
                shown(name),
                self.view.processes.get(name).map_or(0, Vec::len),
                state_name(last),
            );
            writeln!(out, "{}", row.trim_end())?;
            if let Some(reason) = &last.reason {
                writeln!(out, "  {:<width$}        ({})", "", shown(reason))?;
            }
        }
        Ok(())
    }

    /// From launch to end.
    fn seconds(&self) -> Option<f64> {
        let start = self.view.header.as_ref()?.launch_time_ms?;
        let end = self.view.statuses.last()?.timestamp_ms?;
        Some((end - start) as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_api::thermos::{RunnerHeader, TaskStatus};

    #[test]
    fn summary() {
        let run = |state: Run, code: Option<i32>, reason: Option<&str>| ProcessStatus {
            state: Some(state.wire()),
            return_code: code,
            start_time: code.map(|_| aurora_double(10.0)),
            stop_time: code.map(|_| aurora_double(12.5)),
            reason: reason.map(str::to_owned),
            ..ProcessStatus::default()
        };
        let view = View {
            header: Some(RunnerHeader {
                task_id: Some("a b".to_owned()),
                launch_time_ms: Some(1_000),
                sandbox: Some("/sandbox".to_owned()),
                ..RunnerHeader::default()
            }),
            statuses: vec![TaskStatus { timestamp_ms: Some(4_250), ..TaskStatus::default() }],
            processes: [
                (
                    "good".to_owned(),
                    vec![run(Run::Failed, Some(1), None), run(Run::Success, Some(0), None)],
                ),
                ("not launched".to_owned(), vec![run(Run::Failed, None, Some("no bash"))]),
            ]
            .into(),
            torn: 0,
        };
        let summary = Summary {
            task_id: "a b",
            stage: Stage::Failed,
            view: &view,
            root: Path::new("/root"),
            name_root: true,
            was_over: false,
            removed: false,
        };
        let expected = "\
Task a b: FAILED after 3.25s

  process       runs  last state    rc  duration
  good             2  SUCCESS        0     2.50s
  not launched     1  FAILED
                      (no bash)

sandbox:     /sandbox
logs:        /sandbox/.logs
checkpoints: /root
look again:  thermos status --root=/root --verbosity=3 'a b'
             thermos tail --root=/root 'a b' 'not launched'
";
        assert_eq!(summary.text(), expected);
        let text = Summary { was_over: true, removed: true, ..summary }.text();
        assert!(
            text.starts_with("Task a b was over already (FAILED); nothing was run.\n"),
            "{text}"
        );
        assert!(
            text.contains("removed, with all logs") && !text.contains("thermos tail"),
            "{text}"
        );
    }

    fn aurora_double(seconds: f64) -> thrift_wire::Double {
        thrift_wire::Double(seconds)
    }
}
