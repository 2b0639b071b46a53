//! Streams that the original wrote, taken in by our reader and by our engine.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aurora_api::thermos::{RunnerCkpt, RunnerHeader};
use aurora_schema::Bindings;
use aurora_schema::task;
use thermos_runner::engine::{Controller, Effect, Engine, Event, Now};
use thermos_runner::state::{Run, Stage};
use thermos_runner::stream::{Next, Reader};
use thermos_runner::view::View;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Every recorded runner stream, with the name of its case.
fn streams() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for case in fs::read_dir(fixtures().join("checkpoints")).unwrap() {
        let case = case.unwrap();
        let name = case.file_name().into_string().unwrap();
        let mut todo = vec![case.path()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    todo.push(entry.path());
                } else if entry.file_name() == "runner" {
                    found.push((name.clone(), entry.path()));
                }
            }
        }
    }
    found.sort();
    assert!(found.len() > 70, "only {} streams", found.len());
    found
}

fn records(path: &Path) -> Vec<RunnerCkpt> {
    let bytes = fs::read(path).unwrap();
    let mut reader = Reader::new();
    let mut records = Vec::new();
    while let Next::Record(record) = reader.next(&bytes.as_slice()).unwrap() {
        records.push(record);
    }
    records
}

fn engine(case: &str) -> Engine {
    let file = fixtures().join("golden").join(case).join("task.json");
    let mut bindings = Bindings::new();
    bindings.bind("thermos.task_id", "id").unwrap();
    bindings.bind("thermos.user", "root").unwrap();
    for port in ["http", "admin"] {
        bindings.bind(&format!("thermos.ports[{port}]"), "1").unwrap();
    }
    let loaded = task::load(&fs::read(&file).unwrap(), case, &bindings).unwrap();
    Engine::new(&loaded.task, RunnerHeader::default(), Controller::default(), 100)
}

const NOW: Now = Now { wall: 1_795_200_000_000_000, mono: 1_000_000_000_000 };

#[test]
fn every_recorded_stream_is_understood_by_the_reader() {
    for (case, path) in streams() {
        let view = View::read(&fs::File::open(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(view.stage().is_some(), "{case}");
        assert_eq!(
            view.torn > 0,
            case == "recovery_torn_checkpoint" && {
                // The copies taken before the cut are whole.
                !path.to_string_lossy().contains("at_kill")
            },
            "{}",
            path.display()
        );
        for runs in view.processes.values() {
            for run in runs {
                let state = Run::from_wire(run.state.unwrap()).unwrap();
                let ended = matches!(state, Run::Success | Run::Failed | Run::Killed);
                assert_eq!(ended, run.return_code.is_some(), "{case}: {run:?}");
                assert_eq!(ended, run.stop_time.is_some(), "{case}: {run:?}");
            }
        }
    }
}

#[test]
fn every_recorded_stream_is_replayed_to_the_recorded_state() {
    for (case, path) in streams() {
        let mut engine = engine(&case);
        let mut last: BTreeMap<String, (i64, Run)> = BTreeMap::new();
        let mut stage = None;
        for record in records(&path) {
            engine.replay(NOW, &record).unwrap_or_else(|misfit| panic!("{case}: {misfit}"));
            match record {
                RunnerCkpt::ProcessStatus(status) => {
                    let run = Run::from_wire(status.state.unwrap()).unwrap();
                    last.insert(status.process.unwrap(), (status.seq.unwrap(), run));
                }
                RunnerCkpt::TaskStatus(status) => {
                    stage = Stage::from_wire(status.state.unwrap());
                }
                _ => {}
            }
        }
        assert_eq!(engine.stage(), stage, "{case}");
        for process in 0..engine.len() {
            let run = engine.last_run(process);
            let expected = last.get(engine.name(process)).copied();
            assert_eq!(run.state.map(|state| (run.seq, state)), expected, "{case}");
        }
    }
}

/// A stream that was cut anywhere can be taken over: what follows obeys the tables of the reader.
#[test]
fn every_prefix_of_a_recorded_stream_can_be_taken_over() {
    for (case, path) in streams() {
        let records = records(&path);
        // The long ones repeat themselves.
        let step = records.len().div_ceil(40);
        for cut in (0..=records.len()).step_by(step) {
            let mut engine = engine(&case);
            let mut view = View::default();
            for record in &records[..cut] {
                engine.replay(NOW, record).unwrap();
                view.add(record.clone()).unwrap();
            }
            if engine.is_terminal() {
                continue;
            }
            let mut effects = Vec::new();
            engine.handle(NOW, Event::Start, &mut effects);
            for process in 0..engine.len() {
                let reason = "gone".to_owned();
                engine.handle(NOW, Event::CoordinatorGone { process, reason }, &mut effects);
            }
            engine.handle(NOW, Event::Recovered, &mut effects);
            engine.handle(NOW, Event::Quiet, &mut effects);
            for effect in effects {
                if let Effect::Write(record) = effect {
                    view.add(record).unwrap_or_else(|error| panic!("{case} cut at {cut}: {error}"));
                }
            }
        }
    }
}
