//! The directories of an agent, as observers look for them.
//!
//! ```text
//! ROOT/slaves/AGENT/frameworks/FRAMEWORK/executors/EXECUTOR/runs/
//!   RUN/             working directory of the executor, 0750
//!     stdout stderr  what it prints
//!   latest           link to the last RUN
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// How often a parent may vanish while a run is made: others remove theirs when they are empty.
const TRIES: u32 = 10;

/// The directory of one run of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    root: PathBuf,
}

/// Can this be the name of a directory, for a path that others will look for?
pub fn is_name(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
        && id.len() <= 255
        && !id.chars().any(|c| c == '/' || c.is_control())
}

impl RunDirectory {
    /// Makes it, and points `latest` to it.
    pub fn create(
        root: &Path,
        agent: &str,
        framework: &str,
        executor: &str,
        run: &str,
    ) -> io::Result<RunDirectory> {
        for id in [agent, framework, executor, run] {
            if !is_name(id) {
                let text = format!("{id:?} cannot be the name of a directory");
                return Err(io::Error::new(ErrorKind::InvalidInput, text));
            }
        }
        let root = std::path::absolute(root)?;
        let runs = root
            .join("slaves")
            .join(agent)
            .join("frameworks")
            .join(framework)
            .join("executors")
            .join(executor)
            .join("runs");
        let path = runs.join(run);
        let mut tries = 0;
        loop {
            let made = fs::create_dir_all(&runs)
                .and_then(|()| fs::DirBuilder::new().mode(0o750).create(&path));
            match made {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
        // A link is exchanged as a whole: nobody finds none.
        let new = runs.join(format!(".latest-{run}"));
        symlink(&path, &new)?;
        fs::rename(&new, runs.join("latest"))?;
        Ok(RunDirectory { path, root })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens `stdout` or `stderr`, which the executor appends to.
    pub fn log(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o644).open(self.path.join(name))
    }

    /// Removes it, with everything in it, and what is empty above it up to the root.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let Some(runs) = self.path.parent() else { return Ok(()) };
        let latest = runs.join("latest");
        if fs::read_link(&latest).is_ok_and(|target| target == self.path) {
            fs::remove_file(&latest)?;
        }
        for parent in runs.ancestors().take_while(|parent| *parent != self.root) {
            // Others have something there.
            if fs::remove_dir(parent).is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn layout() {
        let root = tempfile::tempdir().unwrap();
        let make = |run| RunDirectory::create(root.path(), "a", "f", "e", run).unwrap();
        let (one, two) = (make("1"), make("2"));
        let runs = root.path().join("slaves/a/frameworks/f/executors/e/runs");
        assert_eq!(one.path(), runs.join("1"));
        assert_eq!(one.path().metadata().unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(fs::read_link(runs.join("latest")).unwrap(), two.path());
        one.log("stdout").unwrap();
        one.remove().unwrap();
        assert!(runs.join("latest").exists() && !one.path().exists());
        two.remove().unwrap();
        two.remove().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn names() {
        for bad in ["", ".", "..", "a/b", "a\n", &"x".repeat(256)] {
            assert!(!is_name(bad), "{bad:?}");
            let root = tempfile::tempdir().unwrap();
            RunDirectory::create(root.path(), "a", "f", bad, "r").unwrap_err();
        }
        assert!(is_name("thermos-www-data-prod-hello-0"));
    }
}
