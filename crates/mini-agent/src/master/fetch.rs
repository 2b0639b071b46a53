//! Files that an executor wants in its directory before it starts.
//!
//! The part of Mesos' fetcher that one machine needs: local files, executable or not.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use mesos_scheduler::v1::command_info::Uri;

/// Suffixes of archives, which a real fetcher unpacks.
const ARCHIVES: [&str; 9] =
    [".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".gz", ".zip"];

/// Copies all of them into `directory`, in which nobody else is active yet.
pub(super) fn fetch(uris: &[Uri], directory: &Path) -> Result<(), String> {
    uris.iter().try_for_each(|uri| {
        one(uri, directory).map_err(|reason| format!("Failed to fetch '{}': {reason}", uri.value))
    })
}

fn one(uri: &Uri, directory: &Path) -> Result<(), String> {
    let executable = uri.executable.unwrap_or(false);
    let source = source(&uri.value)?;
    if !executable && uri.extract.unwrap_or(true) && ARCHIVES.iter().any(|s| uri.value.ends_with(s))
    {
        return Err("this agent does not unpack archives".to_owned());
    }
    let name = match &uri.output_file {
        Some(name) => PathBuf::from(name),
        None => source.file_name().map(PathBuf::from).ok_or("it names no file")?,
    };
    // Nothing outside of the directory.
    let plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || name.as_os_str().is_empty() {
        return Err(format!("{} is not a name inside of the sandbox", name.display()));
    }
    let target = directory.join(name);
    let text = |what: &str, error: io::Error| format!("failed to {what}: {error}");
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(|e| text("make its directory", e))?;
    }
    fs::copy(&source, &target).map_err(|e| text("copy it", e))?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(&target, fs::Permissions::from_mode(mode))
        .map_err(|e| text("set its mode", e))
}

/// The path of a local file.
fn source(value: &str) -> Result<PathBuf, String> {
    let path = value.strip_prefix("file://").unwrap_or(value);
    if path.contains("://") || !path.starts_with('/') {
        return Err("this agent only fetches local files, by their absolute path".to_owned());
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(value: &str) -> Uri {
        Uri { value: value.to_owned(), ..Uri::default() }
    }

    #[test]
    fn local_files() {
        let from = tempfile::tempdir().unwrap();
        let to = tempfile::tempdir().unwrap();
        let path = from.path().join("program");
        fs::write(&path, "x").unwrap();
        let path = path.display().to_string();
        let uris = [
            Uri { executable: Some(true), ..uri(&path) },
            Uri { output_file: Some("a/b".into()), ..uri(&format!("file://{path}")) },
        ];
        fetch(&uris, to.path()).unwrap();
        for (name, mode) in [("program", 0o755), ("a/b", 0o644)] {
            let file = to.path().join(name);
            assert_eq!(fs::read_to_string(&file).unwrap(), "x");
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
    }

    #[test]
    fn what_is_not_fetched() {
        let to = tempfile::tempdir().unwrap();
        let outside = |name: &str| Uri { output_file: Some(name.into()), ..uri("/etc/hosts") };
        let cases = [
            uri("/nosuch"),
            uri("relative"),
            uri("http://a/b"),
            uri("/a/b.tar.gz"),
            uri("/"),
            outside("../x"),
            outside("/x"),
            outside(""),
        ];
        for case in cases {
            let error = fetch(std::slice::from_ref(&case), to.path()).unwrap_err();
            assert!(error.starts_with("Failed to fetch '"), "{case:?}: {error}");
        }
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    }
}
