//! What can go wrong, for people.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::types::Term;

/// Why a log cannot be opened. Each names the file or number at fault and what can be done.
#[derive(Debug)]
pub enum OpenError {
    /// The file system failed.
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// Another process has the directory.
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// There is no log, and none was to be made.
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Something that was durable is gone.
    Missing {
        /// What should be there.
        path: PathBuf,
        /// Why it should.
        why: String,
    },
    /// Something that was durable is not what it was.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// In what way.
        what: String,
    },
    /// The quorum does not fit the voters.
    Quorum {
        /// The quorum that was asked for.
        asked: u64,
        /// The number of voters in the log.
        voters: u64,
    },
    /// The options cannot be.
    Options(String),
    /// The state machine refused an entry or a snapshot that it had written.
    State(String),
    /// Raft ended before it began.
    Fatal(Fatal),
}

impl OpenError {
    pub(crate) fn io(what: &'static str, path: &Path, error: io::Error) -> OpenError {
        OpenError::Io { what, path: path.to_owned(), error }
    }

    pub(crate) fn missing(path: &Path, why: &str) -> OpenError {
        OpenError::Missing { path: path.to_owned(), why: why.to_owned() }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, what: &str) -> OpenError {
        OpenError::Damaged { path: path.to_owned(), offset, what: what.to_owned() }
    }
}

/// What an operator can do about a replica whose files are not what they were.
const ADVICE: &str = "with other voters alive, move the directory away and let this replica join \
                      as a new one; otherwise repair the disk, or put back the whole directory \
                      from a copy, or restore a backup into an empty one";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Io { what, path, error } => {
                write!(f, "failed to {what} {}: {error}", path.display())
            }
            OpenError::Locked { path } => write!(
                f,
                "another process has the log in {}; each replica needs a directory of its own",
                path.display()
            ),
            OpenError::Empty { path } => {
                write!(f, "there is no log in {}, and none was to be made", path.display())
            }
            OpenError::Missing { path, why } => {
                write!(f, "{} is missing: {why}. {}", path.display(), Sentence(ADVICE))
            }
            OpenError::Damaged { path, offset, what } => write!(
                f,
                "{} is damaged at byte {offset}: {what}. Nothing was changed. {}",
                path.display(),
                Sentence(ADVICE)
            ),
            OpenError::Quorum { asked, voters } => write!(
                f,
                "a quorum of {asked} was asked for, and the log has {voters} voters, which need a \
                 quorum of {}; voters are added and removed on the leader, not by this number",
                voters / 2 + 1
            ),
            OpenError::Options(text) => write!(f, "the options of the log: {text}"),
            OpenError::State(text) => write!(f, "failed to restore the state: {text}"),
            OpenError::Fatal(fatal) => write!(f, "failed to start the log: {fatal}"),
        }
    }
}

impl std::error::Error for OpenError {}

/// Prints a fragment as a sentence.
struct Sentence<'a>(&'a str);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        if let Some(first) = chars.next() {
            write!(f, "{}{}.", first.to_ascii_uppercase(), chars.as_str())?;
        }
        Ok(())
    }
}

/// The log failed, for good: what is on disk is not known, and the process must end. It can be opened
/// again by the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal(Arc<str>);

impl Fatal {
    pub(crate) fn new(text: impl Into<Arc<str>>) -> Fatal {
        Fatal(text.into())
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

/// Why a leadership is over, or none was to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Another replica leads, or none: entries that were not committed may or may not be.
    Lost(Term),
    /// Another replica leads, or none.
    NotLeading,
    /// The log failed.
    Failed(Fatal),
    /// The log was closed.
    Closed,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Lost(term) => {
                write!(f, "this replica does not lead any more: term {term} is over")
            }
            Ended::NotLeading => f.write_str("this replica does not lead"),
            Ended::Failed(fatal) => write!(f, "the log failed: {fatal}"),
            Ended::Closed => f.write_str("the log was closed"),
        }
    }
}

impl std::error::Error for Ended {}

/// The end of a log that was not whole: what a crash left of a write that nobody was told about. It
/// was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: PathBuf,
    /// Where it began, in bytes.
    pub offset: u64,
    /// How long it was, in bytes.
    pub bytes: u64,
    /// Number in raft's log of the first entry that could be missing.
    pub next_index: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cut off {} bytes at byte {} of {}, what a crash left of an unfinished write of entry {}",
            self.bytes,
            self.offset,
            self.file.display(),
            self.next_index
        )
    }
}
