//! What is answered, and as which code.

use std::fmt;

use aurora_api::api::{Response, ResponseCode, ResponseDetail, Result as Arm};

use super::validate::Invalid;
use crate::core::convert::Bad;
use crate::core::jobs::Refusal;
use crate::shell::NotDone;

/// A call that was handled.
#[derive(Debug, Default)]
pub struct Reply {
    result: Option<Arm>,
    details: Vec<String>,
    /// Name prefix of the counter of what was read or changed, and how much that was.
    pub(super) workload: Option<(&'static str, usize)>,
}

impl Reply {
    /// It was done.
    pub fn done() -> Reply {
        Reply::default()
    }

    /// It was done to so many things.
    pub fn changed(items: usize) -> Reply {
        Reply { workload: Some(("thrift_workload_", items)), ..Reply::default() }
    }

    /// This is what was asked for, so many things.
    pub fn read(result: Arm, items: usize) -> Reply {
        let workload = Some(("scheduler_thrift_workload_", items));
        Reply { result: Some(result), workload, ..Reply::default() }
    }

    /// This is what came of it.
    pub fn result(result: Arm) -> Reply {
        Reply { result: Some(result), ..Reply::default() }
    }

    /// With a remark for people.
    #[must_use]
    pub fn remark(mut self, detail: impl Into<String>) -> Reply {
        self.details.push(detail.into());
        self
    }

    pub(super) fn into_response(self) -> Response {
        response(ResponseCode::OK, self.details, self.result)
    }
}

/// A call that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    code: ResponseCode,
    text: String,
}

impl Problem {
    /// What was asked for is not possible as things are.
    pub fn invalid(text: impl Into<String>) -> Problem {
        Problem { code: ResponseCode::INVALID_REQUEST, text: text.into() }
    }

    /// The call itself is wrong.
    pub fn error(text: impl Into<String>) -> Problem {
        Problem { code: ResponseCode::ERROR, text: text.into() }
    }

    /// A feature of the original that this version does not have.
    pub fn missing(feature: &str) -> Problem {
        Problem::invalid(format!("{feature} not supported by this version of the scheduler."))
    }

    /// The text for users.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_response(self) -> Response {
        response(self.code, vec![self.text], None)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.text)
    }
}

impl std::error::Error for Problem {}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Problem {
        Problem::invalid(invalid.to_string())
    }
}

impl From<Bad> for Problem {
    fn from(bad: Bad) -> Problem {
        Problem::invalid(bad.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let code = match refusal {
            Refusal::Updating => ResponseCode::JOB_UPDATING_ERROR,
            Refusal::NotEnded => ResponseCode::ERROR,
            _ => ResponseCode::INVALID_REQUEST,
        };
        Problem { code, text: refusal.to_string() }
    }
}

impl From<NotDone> for Problem {
    fn from(reason: NotDone) -> Problem {
        match reason {
            NotDone::Refused(refusal) => refusal.into(),
            NotDone::Bad(bad) => bad.into(),
            NotDone::NotReady => {
                let text = "Storage is not READY".to_owned();
                Problem { code: ResponseCode::ERROR_TRANSIENT, text }
            }
        }
    }
}

fn response(code: ResponseCode, details: Vec<String>, result: Option<Arm>) -> Response {
    let detail = |message| ResponseDetail { message: Some(message), ..ResponseDetail::default() };
    Response {
        response_code: Some(code),
        details: Some(details.into_iter().map(detail).collect()),
        result,
        ..Response::default()
    }
}
