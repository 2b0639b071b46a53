//! Errors for people who write interface definitions.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a file, both counted from 1; columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pos {
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// What is wrong with an interface definition.
///
/// Prints as `file:line:column: what`, and a second line with a hint where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    path: PathBuf,
    pos: Option<Pos>,
    message: String,
    hint: Option<String>,
    included_from: Vec<(PathBuf, Pos)>,
}

impl Error {
    pub(crate) fn file(path: &Path, message: String) -> Self {
        Self { path: path.into(), pos: None, message, hint: None, included_from: Vec::new() }
    }

    pub(crate) fn at(path: &Path, pos: Pos, message: String) -> Self {
        Self { pos: Some(pos), ..Self::file(path, message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Notes which `include` led to the file.
    pub(crate) fn included(mut self, path: &Path, pos: Pos) -> Self {
        self.included_from.push((path.into(), pos));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(pos) = self.pos {
            write!(f, "{}:{}:", pos.line, pos.column)?;
        }
        write!(f, " {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        for (path, pos) in &self.included_from {
            write!(f, "\n  included at {}:{}:{}", path.display(), pos.line, pos.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
