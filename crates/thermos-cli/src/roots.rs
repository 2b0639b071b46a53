//! Where tasks are: checkpoint roots, and the tasks in them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use regex::Regex;
use thermos_runner::files::LastName;

use crate::cli::Global;
use crate::failure::Failure;
use crate::output::warn;

/// The checkpoint root of the original, always searched.
const ROOT: &str = "/var/run/thermos";

/// The work directory of a Mesos agent, always searched.
const MESOS_ROOT: &str = "/var/lib/mesos";

/// The sandbox of `run` for root, as in the original: one for all tasks.
const SANDBOX: &str = "/var/lib/thermos/sandbox";

/// Where root launches tasks.
const ROOTS_MESOS_ROOT: &str = "/var/lib/thermos/mesos";

/// Where this user's tasks are kept.
pub(crate) fn state_directory() -> Option<PathBuf> {
    // A relative path there is to be ignored, by the specification.
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    Some(base.or_else(|| Some(home()?.join(".local/state")))?.join("thermos"))
}

fn own_state_directory() -> Result<PathBuf, Failure> {
    state_directory().ok_or_else(|| {
        Failure::usage(
            "this user has no home directory; say where to keep things with --root and --sandbox",
        )
    })
}

/// Where this user launches tasks: the work directory of the agent of `launch`.
pub(crate) fn own_mesos_root() -> Result<PathBuf, Failure> {
    match state_mesos_root() {
        _ if is_root() => Ok(PathBuf::from(ROOTS_MESOS_ROOT)),
        Some(root) => Ok(root),
        None => Err(Failure::usage(
            "this user has no home directory; say where to keep things with --mesos-root",
        )),
    }
}

fn state_mesos_root() -> Option<PathBuf> {
    Some(state_directory()?.join("mesos"))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The checkpoint root that a task is run with.
pub(crate) fn run_root(global: &Global) -> Result<PathBuf, Failure> {
    match &global.root {
        Some(root) => Ok(root.clone()),
        None if is_root() => Ok(PathBuf::from(ROOT)),
        None => Ok(own_state_directory()?.join("root")),
    }
}

/// The checkpoint root in this user's state directory.
pub(crate) fn state_root() -> Result<PathBuf, Failure> {
    Ok(own_state_directory()?.join("root"))
}

/// The sandbox that `run` gives a task.
pub(crate) fn default_sandbox(task_id: &str) -> Result<PathBuf, Failure> {
    if is_root() { Ok(PathBuf::from(SANDBOX)) } else { state_sandbox(task_id) }
}

/// The sandbox of a task in this user's state directory.
pub(crate) fn state_sandbox(task_id: &str) -> Result<PathBuf, Failure> {
    Ok(own_state_directory()?.join("sandbox").join(task_id))
}

/// The checkpoint roots that an operator chose.
fn named(global: &Global) -> impl Iterator<Item = PathBuf> {
    let own = state_directory().map(|state| state.join("root"));
    global.root.clone().into_iter().chain([PathBuf::from(ROOT)]).chain(own)
}

/// May the last name of a root that was found be a link? Below an agent it lies in a directory that
/// belongs to the task's user, who can make it one at any time.
pub(crate) fn last_name(global: &Global, root: &Path) -> LastName {
    let is_root = |named: PathBuf| std::path::absolute(named).is_ok_and(|named| named == root);
    if named(global).any(is_root) { LastName::MayBeLink } else { LastName::MustNotBeLink }
}

/// All checkpoint roots to search, each once.
pub(crate) fn search(global: &Global) -> Vec<PathBuf> {
    let agents = global
        .mesos_root
        .clone()
        .into_iter()
        .chain([PathBuf::from(MESOS_ROOT), PathBuf::from(ROOTS_MESOS_ROOT)])
        .chain(state_mesos_root());
    let mut seen = BTreeSet::new();
    let mut roots = Vec::new();
    for root in named(global).chain(agents.flat_map(|agent| of_agent(&agent))) {
        let Ok(canonical) = root.canonicalize() else { continue };
        if seen.insert(canonical) {
            roots.push(std::path::absolute(&root).unwrap_or(root));
        }
    }
    roots
}

/// Would `search` find this root without being told?
pub(crate) fn is_searched_anyway(root: &Path) -> bool {
    let canonical = root.canonicalize().ok();
    search(&Global::default()).iter().any(|other| other.canonicalize().ok() == canonical)
}

/// Checkpoint roots below the work directory of a Mesos agent.
fn of_agent(agent: &Path) -> Vec<PathBuf> {
    let mut level = vec![agent.join("slaves")];
    for next in ["frameworks", "executors", "runs", "checkpoints"] {
        level = level
            .iter()
            .flat_map(|directory| subdirectories(directory))
            .map(|directory| directory.join(next))
            // A run directory belongs to the task's user: what it holds may be a link to anywhere.
            .filter(|path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir()))
            .collect();
    }
    level
}

/// Real subdirectories; `latest` and other links lead to what is found anyway.
fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}

/// A task that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// Its id.
    pub(crate) id: String,
    /// The checkpoint root where it is.
    pub(crate) root: PathBuf,
    /// Is it over?
    pub(crate) finished: bool,
}

/// All tasks, by id.
pub(crate) fn tasks(roots: &[PathBuf]) -> Vec<Found> {
    let mut tasks = BTreeSet::new();
    for root in roots {
        for (list, finished) in [("active", false), ("finished", true)] {
            let directory = root.join("tasks").join(list);
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    if error.kind() != io::ErrorKind::NotFound {
                        // Silence would say that there are no tasks.
                        warn(&format!("cannot look into {}: {error}", directory.display()));
                    }
                    continue;
                }
            };
            for entry in entries.flatten() {
                if let Ok(id) = entry.file_name().into_string() {
                    tasks.insert(Found { id, root: root.clone(), finished });
                }
            }
        }
    }
    tasks.into_iter().collect()
}

/// Regular expressions for task ids.
#[derive(Debug)]
pub(crate) struct Patterns(Vec<Regex>);

impl Patterns {
    /// Compiles expressions that must match an id from its start and, if `whole`, to its end.
    pub(crate) fn new(patterns: &[String], whole: bool) -> Result<Patterns, Failure> {
        let compile = |pattern: &String| {
            let end = if whole { r"\z" } else { "" };
            // Compiled alone first: "a)(b" must not become valid by what is put around it.
            Regex::new(pattern).and_then(|_| Regex::new(&format!(r"\A(?:{pattern}){end}"))).map_err(
                |error| {
                    let error = error.to_string();
                    let reason = error.lines().last().unwrap_or_default();
                    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
                    Failure::usage(format!(
                        "{pattern:?} is no regular expression: {reason}; put a backslash before \
                         characters that mean themselves"
                    ))
                },
            )
        };
        patterns.iter().map(compile).collect::<Result<_, _>>().map(Patterns)
    }

    /// Does any of them match?
    pub(crate) fn match_any(&self, id: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(id))
    }
}

/// A pattern that matches this id, for advice.
pub(crate) fn pattern_for(id: &str) -> String {
    let is_own_pattern =
        Regex::new(&format!(r"\A(?:{id})\z")).is_ok_and(|pattern| pattern.is_match(id));
    if is_own_pattern { id.to_owned() } else { regex::escape(id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn roots_of_an_agent() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("slaves/S 1/frameworks/F/executors/E%1/runs");
        std::fs::create_dir_all(runs.join("one/checkpoints")).unwrap();
        std::fs::create_dir_all(runs.join("two")).unwrap();
        std::fs::create_dir_all(runs.join("three")).unwrap();
        symlink("one", runs.join("latest")).unwrap();
        symlink("/", runs.join("three/checkpoints")).unwrap();
        let global = Global { root: None, mesos_root: Some(dir.path().to_path_buf()) };
        let found: Vec<_> =
            search(&global).into_iter().filter(|root| root.starts_with(dir.path())).collect();
        assert_eq!(found, [runs.join("one/checkpoints")]);
    }

    #[test]
    fn tasks_with_odd_names() {
        let dir = tempfile::tempdir().unwrap();
        let (active, finished) =
            (dir.path().join("tasks/active"), dir.path().join("tasks/finished"));
        std::fs::create_dir_all(&active).unwrap();
        std::fs::create_dir_all(&finished).unwrap();
        std::fs::write(active.join("50% of it"), "{}").unwrap();
        std::fs::write(finished.join("a b"), "{}").unwrap();
        let tasks = tasks(&[dir.path().to_path_buf()]);
        let seen: Vec<_> = tasks.iter().map(|task| (task.id.as_str(), task.finished)).collect();
        assert_eq!(seen, [("50% of it", false), ("a b", true)]);
    }

    #[test]
    fn matching() {
        let patterns = |pattern: &str, whole| Patterns::new(&[pattern.to_owned()], whole).unwrap();
        assert!(patterns("task-1", false).match_any("task-10"));
        assert!(!patterns("task-1", true).match_any("task-10"));
        assert!(!patterns("ask", false).match_any("task"));
        assert!(patterns("a|task", true).match_any("task"));
        assert!(!patterns("a|task", true).match_any("ab"));
        for bad in ["(", "a)(b", "*"] {
            let error = Patterns::new(&[bad.to_owned()], true).unwrap_err();
            assert!(error.message.contains("no regular expression"), "{}", error.message);
        }
        assert_eq!(pattern_for("demo-1.2"), "demo-1.2");
        for id in ["a(b", "x+y", "$1", "50%"] {
            assert!(patterns(&pattern_for(id), true).match_any(id), "{id}");
        }
    }
}
