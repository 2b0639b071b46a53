//! A home of its own for every test, and the program in it.

#![allow(dead_code, reason = "every test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Nothing here takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A directory that holds everything that a test makes.
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Done {
    /// -1: killed by a signal.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Home {
    /// An empty one.
    pub(crate) fn new() -> Home {
        Home { directory: tempfile::tempdir().unwrap() }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The checkpoint root of `run`.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Makes a file in it.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program with an environment of its own. Signals are as a terminal has them, whatever the
    /// tests were started with.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("env");
        command
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_thermos")])
            .args(arguments)
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("TMPDIR", self.directory.path())
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the program.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    /// Runs the program.
    pub(crate) fn thermos(&self, arguments: &[&str]) -> Done {
        finish(self.start(arguments))
    }

    /// Runs the program with this home's checkpoint root.
    pub(crate) fn with_root(&self, arguments: &[&str]) -> Done {
        let root = format!("--root={}", self.root().display());
        let (command, rest) = arguments.split_first().unwrap();
        self.thermos(&[&[*command, root.as_str()], rest].concat())
    }

    /// Starts a task in this home's checkpoint root.
    pub(crate) fn start_task(&self, id: &str, task: &str) -> Child {
        let file = self.file(&format!("{id}.json"), task);
        let child = self.start(&[
            "run",
            &format!("--root={}", self.root().display()),
            &format!("--sandbox={}", self.path("sandbox").join(id).display()),
            &format!("--task_id={id}"),
            file.to_str().unwrap(),
        ]);
        until("the task starts", || self.log(id, "main", 0).exists());
        child
    }

    /// Where a process of a task writes.
    pub(crate) fn log(&self, id: &str, process: &str, run: u32) -> PathBuf {
        self.path("sandbox").join(id).join(format!(".logs/{process}/{run}/stdout"))
    }
}

impl Done {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Done {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Asserts a part of standard output.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Done {
        assert!(self.out.contains(text), "no {text:?} in stdout:\n{}", self.out);
        self
    }

    /// Asserts a part of standard error.
    #[track_caller]
    pub(crate) fn complains(self, text: &str) -> Done {
        assert!(self.err.contains(text), "no {text:?} in stderr:\n{}", self.err);
        self
    }
}

/// Waits for the end of a program.
pub(crate) fn finish(child: Child) -> Done {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

/// Waits until something happens.
#[track_caller]
pub(crate) fn until(what: &str, mut happens: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < PATIENCE, "waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A file that was recorded from the original.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path)
}
