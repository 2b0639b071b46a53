//! Hooks that do what no hook should: each ends in time, with its name. Needs the evaluator.

use std::path::Path;

use super::super::Hooks;
use super::*;
use crate::exit::{Failure, code};
use crate::select::JobKey;
use crate::testing::{Fake, Reply};

/// The evaluator of the same build: `AURORA_EVAL`, else next to the folder of the test program.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os("AURORA_EVAL") {
        return PathBuf::from(program);
    }
    let own = std::env::current_exe().unwrap();
    own.parent().unwrap().parent().unwrap().join("aurora-eval")
}

fn started(
    directory: &Path,
    hooks: &str,
    seconds: u32,
    context: &mut Context<'_>,
) -> Result<Hooks, Box<Problem>> {
    let file = directory.join("hooked.aurora");
    let job = "jobs = [Job(cluster='c', role='r', environment='e', name='n', \
               task=SimpleTask('n', 'echo'))]";
    std::fs::write(&file, format!("{hooks}\n{job}\n")).unwrap();
    let evaluator =
        Evaluator { program: Some(program()), memory: 768, seconds, ..Evaluator::default() };
    let (defined, session) = Session::start(&evaluator, &file)?;
    let session = session.expect("the file has hooks");
    Ok(Hooks::of(session, &defined.values[0], context)?)
}

fn key() -> JobKey {
    let [cluster, role, environment, name] = ["c", "r", "e", "n"].map(str::to_owned);
    JobKey { cluster, role, environment, name }
}

/// What becomes of a call with a hook of such a body before it; and what was printed.
fn before(body: &str, seconds: u32) -> (Result<(), Failure>, Vec<u8>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "class Bad(object):\n  def pre_kill_job(self, *args, **kw):\n    {body}\nhooks = [Bad(), Bad()]"
    );
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let mut context = Context::new(&mut world);
    let mut hooks = started(directory.path(), &text, seconds, &mut context).unwrap();
    let call = Call::kill_job(&key(), None, None);
    let done = hooks.before(&mut context, &call);
    drop(hooks);
    (done, world.out, world.error)
}

#[test]
fn hooks_without_end() {
    for body in [
        "while True: pass",
        "sum(range(10 ** 12))",
        "exec('while True:\\n  try:\\n    while True: pass\\n  except BaseException: pass')",
        "import time; time.sleep(1000)",
        "while True: print('y' * 1000)",
    ] {
        let (done, out, _) = before(body, 1);
        let Err(Failure::Command(code::REFUSED, message)) = done else {
            panic!("{body}: {done:?}")
        };
        let named = message.contains("pre_kill_job in Bad of ") && message.contains(" second");
        assert!(named && message.contains("hooked.aurora"), "{body}: {message}");
        assert!(out.len() < 4 << 20, "{} bytes were printed", out.len());
    }
}

#[test]
fn hooks_without_bounds() {
    for (body, word) in [
        ("x = 'x' * (10 ** 12)", "memory"),
        ("x = []\n    while True: x.append('y' * 10 ** 7)", "memory"),
        ("f = lambda: f(); f()", "Recursion"),
    ] {
        let (done, _, said) = before(body, 60);
        let Err(Failure::Command(code::REFUSED, message)) = done else {
            panic!("{body}: {done:?}")
        };
        let all = message + &String::from_utf8_lossy(&said);
        assert!(all.contains(word) || all.contains("processor time"), "{body}: {all}");
        assert!(all.contains("pre_kill_job in Bad"), "{body}: {all}");
    }
}

#[test]
fn the_process_is_gone_with_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let mut context = Context::new(&mut world);
    let hooks = started(directory.path(), "hooks = [object()]", 60, &mut context).unwrap();
    let file = directory.path().to_string_lossy().into_owned();
    let evaluators = || {
        let all = std::fs::read_dir("/proc").unwrap();
        let lines = all.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&file)).count()
    };
    assert_eq!(evaluators(), 1);
    drop(hooks);
    assert_eq!(evaluators(), 0);
}

#[test]
fn what_is_no_list_is_a_mistake_when_it_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = Fake::new(|_, _, _| Reply::nothing());
    let mut context = Context::new(&mut world);
    let problem = started(directory.path(), "hooks = 7", 60, &mut context).err().unwrap();
    assert!(problem.message.contains("not iterable"), "{problem}");
    assert!(problem.help.is_some_and(|help| help.contains("hooks = [")));
}

#[test]
fn another_version_is_named() {
    let evaluator = Evaluator { program: Some(program()), ..Evaluator::default() };
    let file = Path::new("hooked.aurora");
    let mut command = evaluator.command(file, Kind::Aurora);
    let output = command.arg("--hooks=0").output().unwrap();
    let cause = Cause::of(Some(output.status), &output.stderr);
    let message = evaluator.death(cause, file).message;
    assert!(message.contains("version 0") && message.contains("one release"), "{message}");
}
