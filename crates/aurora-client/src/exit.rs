//! Exit codes, and why a command ends early.
//!
//! Source of behaviour: scheduler reference, "`aurora` commands", exit codes.

use crate::world::Interrupted;

/// Exit codes, as they always were.
pub mod code {
    /// Done.
    pub const OK: u8 = 0;
    /// A check of the client's own failed, or the command line is beyond repair.
    pub const REFUSED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// A configuration is wrong.
    pub const INVALID_CONFIGURATION: u8 = 3;
    /// The command did not do all it should.
    pub const COMMAND_FAILURE: u8 = 4;
    /// What was asked for makes no sense, such as instances that do not exist.
    pub const INVALID_PARAMETER: u8 = 6;
    /// The scheduler could not be reached, or its answer was lost.
    pub const NETWORK: u8 = 7;
    /// It took too long.
    pub const TIMEOUT: u8 = 9;
    /// The scheduler refused.
    pub const API: u8 = 10;
    /// Something that should not be.
    pub const UNKNOWN: u8 = 20;
    /// The scheduler does not know or trust the user.
    pub const AUTHENTICATION: u8 = 30;
    /// The user interrupted.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a command ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// With an exit code and a message that is still to be printed.
    Command(u8, String),
    /// With an exit code; everything has been said.
    Reported(u8),
    /// The scheduler refused the user: a sentence.
    Authentication(String),
    /// The call is broken: a sentence.
    Fatal(String),
    /// The user interrupted.
    Interrupted,
}

impl Failure {
    /// A failure with a message.
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure::Command(code, message.into())
    }

    /// A parameter that makes no sense.
    pub fn parameter(message: impl Into<String>) -> Failure {
        Failure::new(code::INVALID_PARAMETER, message)
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Command(code, _) | Failure::Reported(code) => *code,
            Failure::Authentication(_) => code::AUTHENTICATION,
            Failure::Fatal(_) => code::UNKNOWN,
            Failure::Interrupted => code::INTERRUPTED,
        }
    }
}

impl From<Interrupted> for Failure {
    fn from(_: Interrupted) -> Failure {
        Failure::Interrupted
    }
}
