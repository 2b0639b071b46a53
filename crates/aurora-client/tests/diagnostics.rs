//! What is said about mistakes, and where.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use aurora_client::commands::{Source, Wanted, dump};
use aurora_client::config;
use aurora_client::convert::convert;
use aurora_client::evaluate::{Evaluator, Kind};
use aurora_client::problem::Problem;
use aurora_client::select::{self, JobKey};
use aurora_schema::Bindings;

mod support;

fn source(dir: &tempfile::TempDir, text: &str) -> Source {
    let file = dir.path().join("x.aurora");
    std::fs::write(&file, text).unwrap();
    let program = Some(support::evaluator());
    Source {
        file,
        json: false,
        bindings: Bindings::new(),
        evaluator: Evaluator { program, ..Evaluator::default() },
    }
}

/// Everything that is done with a job before it is sent.
fn read(source: &Source, key: &JobKey) -> Result<(), Problem> {
    let defined = source.evaluator.run(&source.file, Kind::Aurora)?;
    let jobs = select::keys(&defined.values, &source.bindings)?;
    let config = config::prepare(select::pick(&jobs, key)?, &mut support::NoRegistry)?;
    config::check(&config.job.value)?;
    convert(&config, "user").map(drop)
}

fn problem(text: &str) -> Problem {
    let dir = tempfile::tempdir().unwrap();
    let key = JobKey::parse("c/r/e/n").unwrap();
    let mut problem = read(&source(&dir, text), &key).unwrap_err();
    // The folder is another one every time, and gone when a report would be made.
    if problem.origin.is_some() {
        let report = problem.report();
        problem.help = Some(format!("{}\n{report}", problem.help.unwrap_or_default()));
    }
    problem
}

const JOB: &str = "t = Task(name='t', processes=[Process(name='p', cmdline='x')],\n  \
                   resources=Resources(cpu=1, ram=MB, disk=MB))\n";

/// (source, line, what is said)
#[test]
fn places_and_words() {
    let job = |more: &str| {
        format!(
            "{JOB}jobs = [\n  Job(cluster='c', role='r', environment='e', name='n', {more}),\n]\n"
        )
    };
    let cases: Vec<(String, u32, &[&str])> = vec![
        ("x = (1,\ny = 2\n".to_owned(), 2, &["invalid syntax"]),
        ("print 'x'\n".to_owned(), 1, &["print("]),
        (
            "try:\n  x\nexcept ValueError, e:\n  pass\n".to_owned(),
            3,
            &["except A as b", "except ValueError, e:", "^"],
        ),
        ("a = 7\nb = a / 2\n".to_owned(), 2, &["7 // 2", "7 / 2.0"]),
        ("x = 1\n\ny = nosuch + 1\n".to_owned(), 3, &["'nosuch' is not defined", "raised here"]),
        ("t = unicode('x')\n".to_owned(), 1, &["write str"]),
        ("x = {}.has_key('x')\n".to_owned(), 1, &["key in table"]),
        ("import requests\n".to_owned(), 1, &["requests", "include()", "hashlib"]),
        ("p = Process(nmae='x')\n".to_owned(), 1, &["Unknown schema attribute nmae", "\"name\""]),
        ("p = Process().nmae()\n".to_owned(), 1, &["no attribute nmae", "\"name\""]),
        (job("task=t(max_failures='many')"), 4, &["'many'", "Integer", "task.max_failures"]),
        (job("task=t(name='{{nosuch}}')"), 4, &["{{nosuch}}", "task.name", "--bind"]),
        (job("task=t, service='maybe'"), 4, &["Cannot coerce 'maybe' to Boolean", "service"]),
        (job("task=t(processes=[Process(name='p')])"), 4, &["Process[cmdline] is required"]),
        (job("task=t, container={'image': 'x'}"), 4, &["Unknown schema attribute image"]),
        (
            format!("p = Process(name='p')\n{}", job("task=t(processes=[p])")),
            1,
            &["Process[cmdline] is required", "made here"],
        ),
        (
            job("task=t, container=Docker(image='{{docker.image[web][1.0]}}')"),
            4,
            &["image web:1.0", "container.image", "there is no registry", "NAME@DIGEST"],
        ),
    ];
    for (text, line, said) in cases {
        let problem = problem(&text);
        let all = format!("{} {}", problem.message, problem.help.clone().unwrap_or_default());
        for words in said {
            assert!(all.contains(words), "{text}\n{all}\ndoes not say {words:?}");
        }
        let origin = problem.origin.unwrap_or_else(|| panic!("{text}: no place: {all}"));
        assert_eq!(origin.line, line, "{text}\n{all}");
        assert!(origin.column > 0);
    }
}

#[test]
fn included_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("lib")).unwrap();
    std::fs::write(dir.path().join("lib/a.aurora"), "include('b.aurora')\n").unwrap();
    std::fs::write(dir.path().join("lib/b.aurora"), "\n\ndef f():\n  return 1 + 'x'\n").unwrap();
    let source = source(&dir, "include('lib/a.aurora')\nf()\n");
    let dumped = dump(&source, &Wanted::All, &mut support::NoRegistry);
    let problem = dumped.problem.unwrap();
    assert!(problem.origin.as_ref().unwrap().file.ends_with("lib/b.aurora"), "{problem}");
    assert_eq!(problem.origin.as_ref().unwrap().line, 4);
    assert!(problem.report().contains("reached from"), "{}", problem.report());
    assert!(dumped.json.contains("\"line\": 4"), "{}", dumped.json);
}

#[test]
fn cycles_of_files_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.aurora"), "include('b.aurora')\n").unwrap();
    std::fs::write(dir.path().join("b.aurora"), "include('a.aurora')\n").unwrap();
    let source = source(&dir, "include('a.aurora')\n");
    let dumped = dump(&source, &Wanted::All, &mut support::NoRegistry);
    let message = dumped.problem.unwrap().message;
    assert!(message.contains("a.aurora includes") && message.ends_with("a.aurora"), "{message}");
}
