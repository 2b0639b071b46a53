//! `thermos demo`: a first task, explained.

use crate::cli::{Demo, Global};
use crate::config::{Source, Values};
use crate::exit::Code;
use crate::failure::Outcome;
use crate::output::emit;
use crate::roots;
use crate::run::{Job, Sandbox};

/// The task. It leans on nothing but bash and coreutils.
const TASK: &str = include_str!("demo.json");

/// What to expect of it.
const INTRODUCTION: &str = "\
This runs a task of eight bash processes (`thermos demo --show` prints it):
  setup      runs first and writes .thermos_profile, which later processes source
  fetch-1..3 run side by side after it (fan-out)
  flaky      fails once and is run again
  combine    waits for all of these (fan-in)
  heartbeat  runs over and over meanwhile, and does not count for the end
  cleanup    runs at the very end, whatever happened before
It takes about a second. What follows is the log of the runner, then the outcome.

";

/// Runs the command.
pub(crate) fn run(global: &Global, options: Demo) -> Outcome {
    if options.show {
        emit(TASK)?;
        return Ok(Code::Success);
    }
    emit(INTRODUCTION)?;
    let values = Values { ports: [("http".to_owned(), 8080)].into(), ..Values::default() };
    let job = Job {
        source: Source { text: TASK.as_bytes().to_vec(), name: "demo.json".to_owned() },
        values,
        task: None,
        // Made from the time: every demonstration is a task of its own.
        task_id: None,
        user: None,
        chroot: false,
        root: match &global.root {
            Some(root) => root.clone(),
            None => roots::state_root()?,
        },
        sandbox: match options.sandbox {
            Some(path) => Sandbox::At(path),
            None => Sandbox::Of(roots::state_sandbox),
        },
        daemon: false,
        quiet: false,
    };
    job.run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_is_valid() {
        let values = Values { ports: [("http".to_owned(), 8080)].into(), ..Values::default() };
        let bindings = values.bindings(Some(("id", "user")));
        let loaded = aurora_schema::task::load(TASK.as_bytes(), "demo.json", &bindings).unwrap();
        assert!(loaded.warnings.is_empty());
        assert_eq!(loaded.task.processes.len(), 8);
    }
}
