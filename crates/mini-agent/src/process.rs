//! Processes of executors: what they get, and how they are killed.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// The search path of executors: fixed, as an agent's.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long killing may go on: longer only if what is killed cannot die.
const KILLING: Duration = Duration::from_secs(2);

/// Pauses between looks at what still lives.
const LOOK: Duration = Duration::from_millis(2);

/// Everything below a process, zombies left out.
pub fn descendants(top: Pid) -> BTreeSet<i32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // What vanishes meanwhile is not there.
        let Ok(stat) = fs::read(format!("/proc/{pid}/stat")) else { continue };
        if let Some((state, parent)) = state_and_parent(&stat) {
            parents.push((pid, state, parent));
        }
    }
    let mut found = BTreeSet::new();
    let mut todo = vec![top.as_raw_pid()];
    while let Some(parent) = todo.pop() {
        for (pid, _, _) in parents.iter().filter(|(_, _, of)| *of == parent) {
            if found.insert(*pid) {
                todo.push(*pid);
            }
        }
    }
    for (pid, state, _) in parents {
        if matches!(state, b'Z' | b'X') {
            found.remove(&pid);
        }
    }
    found
}

/// State and parent in a line of `/proc/PID/stat`; the name before them may hold anything.
fn state_and_parent(stat: &[u8]) -> Option<(u8, i32)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// SIGKILL for everything below a process that is subreaper, until nothing is left.
pub fn kill_descendants(top: Pid) {
    let until = Instant::now() + KILLING;
    loop {
        let found = descendants(top);
        if found.is_empty() || Instant::now() >= until {
            return;
        }
        // Stopped first: what forks meanwhile would escape the list.
        for signal in [Signal::STOP, Signal::KILL] {
            for pid in found.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // It may have died, and its zombie be waited for by its parent only later.
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// SIGKILL for a launcher and everything below it.
pub fn destroy(launcher: Pid) {
    kill_descendants(launcher);
    let _ = rustix::process::kill_process(launcher, Signal::KILL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn names_may_hold_anything() {
        assert_eq!(state_and_parent(b"7 (a) b) (c) S 5 7 7 0"), Some((b'S', 5)));
        assert_eq!(state_and_parent(b"7 (a"), None);
    }

    #[test]
    fn all_descendants_are_found_and_killed() {
        let script = "sleep 60 & (sleep 60 & wait) & wait";
        let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let start = Instant::now();
        while descendants(pid).len() < 3 && start.elapsed() < Duration::from_secs(10) {}
        assert!(descendants(pid).len() >= 3);
        destroy(pid);
        // It may have ended by itself, with its children.
        child.wait().unwrap();
        assert_eq!(descendants(pid), BTreeSet::new());
    }
}
