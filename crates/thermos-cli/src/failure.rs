//! Why a command did not do what it was asked for.

use crate::exit::Code;

/// A message for people, and the exit code that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the shell sees.
    pub(crate) code: Code,
    /// What, where, why, and what to do. Empty: everything has been said.
    pub(crate) message: String,
}

/// What a command returns: the exit code, or why there is none of its own.
pub(crate) type Outcome = Result<Code, Failure>;

impl Failure {
    /// A failure.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// A wrong command line.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    /// The system refused something.
    pub(crate) fn system(doing: &str, error: impl std::fmt::Display) -> Failure {
        Failure::new(Code::System, format!("cannot {doing}: {error}"))
    }
}
