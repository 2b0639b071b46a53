//! Opening files in directories that belong to others: name by name, following no link.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thermos_runner::files;

/// For going on from only: needs no permission to read the directory.
const STEP: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory below `base`. Links in `base` itself are followed: it is an operator's path.
pub(crate) fn directory(base: &Path, names: &[&str]) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut fd = rustix::fs::open(base, flags, Mode::empty())?;
    for name in names {
        fd = rustix::fs::openat(&fd, *name, STEP, Mode::empty()).map_err(explain)?;
    }
    Ok(fd)
}

/// Opens a regular file below `base` for reading.
pub(crate) fn regular(base: &Path, names: &[&str]) -> io::Result<File> {
    let Some((name, directories)) = names.split_last() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = directory(base, directories)?;
    files::open_regular(directory, name, OFlags::RDONLY).map_err(explained)
}

/// The same, of an error that may have come from a link.
pub(crate) fn explained(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(errno) => explain(errno),
        None => error,
    }
}

fn explain(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP | Errno::NOTDIR => {
            io::Error::other("it is reached through a link, which is not followed")
        }
        other => other.into(),
    }
}

/// Splits the path of a log into the part that its operator chose and the part that lies in the hands
/// of the task's user. `None` if the path is not of a kind that a runner writes.
pub(crate) fn split(log_dir: &str, sandbox: Option<&str>) -> Option<(PathBuf, Vec<String>)> {
    let path = Path::new(log_dir);
    if !path.is_absolute() {
        return None;
    }
    let inside = sandbox.filter(|sandbox| !sandbox.is_empty()).and_then(|sandbox| {
        let rest = path.strip_prefix(sandbox).ok()?;
        Some((PathBuf::from(sandbox), rest))
    });
    let (base, rest) = match inside {
        Some(split) => split,
        None => (path.parent()?.to_path_buf(), Path::new(path.file_name()?)),
    };
    let mut names = Vec::new();
    for component in rest.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?.to_owned()),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some((base, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        std::fs::write(base.join("a/b/f"), "x").unwrap();
        regular(base, &["a", "b", "f"]).unwrap();
        symlink("b", base.join("a/link")).unwrap();
        symlink("b/f", base.join("a/g")).unwrap();
        for names in [&["a", "link", "f"][..], &["a", "g"]] {
            let error = regular(base, names).unwrap_err().to_string();
            assert!(error.contains("link"), "{error}");
        }
        let error = regular(base, &["a", "b"]).unwrap_err().to_string();
        assert!(error.contains("regular"), "{error}");
        let error = regular(base, &["a", "nosuch"]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let outer = tempfile::tempdir().unwrap();
        symlink(base, outer.path().join("base")).unwrap();
        regular(&outer.path().join("base"), &["a", "b", "f"]).unwrap();
    }

    #[test]
    fn whose_part_is_whose() {
        let split = |log_dir, sandbox| {
            split(log_dir, sandbox)
                .map(|(base, names)| (base.display().to_string(), names.join(" ")))
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(split("/s/.logs", Some("/s")), pair("/s", ".logs"));
        assert_eq!(split("/s/.logs", Some("/s/")), pair("/s/", ".logs"));
        assert_eq!(split("/x/y/logs", Some("/s")), pair("/x/y", "logs"));
        assert_eq!(split("/x/logs", None), pair("/x", "logs"));
        assert_eq!(split("/x/logs", Some("")), pair("/x", "logs"));
        assert_eq!(split("/s/../etc", Some("/s")), None);
        assert_eq!(split("logs", Some("/s")), None);
        assert_eq!(split("/", None), None);
    }
}
