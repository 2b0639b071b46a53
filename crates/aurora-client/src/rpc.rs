//! Calls to schedulers, and which of them are made again.
//!
//! Source of behaviour: scheduler reference, "RPC retry behaviour (Python)", and the recorded cases
//! `http-*`. A call that could do harm when it is done twice is sent once: when its answer is lost,
//! nobody knows whether it was done.

use std::fmt::Display;
use std::time::Duration;

use aurora_api::api::{Response, ResponseCode};
use aurora_api::binary;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{Method as Verb, StatusCode};
use thrift_wire::{CallError, Method, read_reply, write_call};

use crate::context::{Context, Level, details};
use crate::exit::{Failure, code};
use crate::http::{Answer, Fault, Request, shown};
use crate::schedulers::{Missing, beside};

/// Pause before a call is made again.
const PAUSE: Duration = Duration::from_secs(5);

/// A call is not made again after this.
const MAX_WAIT: Duration = Duration::from_secs(600);

const BINARY: &str = "application/vnd.apache.thrift.binary";

const BYPASS: HeaderName = HeaderName::from_static("bypass-leader-redirect");

/// Calls that are made again when the answer was lost. The others change something each time.
///
/// An update is known again by its metadata, and an instance that restarts restarts only once; it is
/// watched afterwards either way.
const REPEATABLE: [&str; 14] = [
    "getJobUpdateDetails",
    "getJobUpdateDiff",
    "getJobUpdateSummaries",
    "getJobs",
    "getPendingReason",
    "getQuota",
    "getTasksStatus",
    "getTasksWithoutConfigs",
    "getTierConfigs",
    "maintenanceStatus",
    "populateJobConfig",
    "queryRecovery",
    "restartShards",
    "startJobUpdate",
];

/// Whether a call may be made again when its answer was lost.
fn is_repeatable(method: &str) -> bool {
    REPEATABLE.contains(&method)
}

/// Whether a call changes something, be it only once. Nobody makes it again behind the user's back.
fn is_change(method: &str) -> bool {
    !is_repeatable(method) || ["restartShards", "startJobUpdate"].contains(&method)
}

/// What became of one attempt.
enum Attempt {
    Answered(Box<Response>),
    /// No answer: why.
    Lost(String),
    /// There is no scheduler at the moment.
    Absent,
}

impl Context<'_> {
    /// Calls a method of a cluster's scheduler. An answer that asks to come again later is not
    /// returned, but obeyed; any other is, whatever its code.
    ///
    /// # Errors
    /// There is no answer: with the exit code that says why.
    pub fn call<M>(&mut self, cluster: &str, arguments: &M::Args) -> Result<Response, Failure>
    where
        M: Method<Output = Response>,
        M::Fault: Display,
    {
        let start = self.world.now();
        loop {
            let complaint = match self.attempt::<M>(cluster, arguments)? {
                Attempt::Answered(response)
                    if response.response_code == Some(ResponseCode::ERROR_TRANSIENT) =>
                {
                    let details = details(&response);
                    format!("Connection error with scheduler: {details}, reconnecting...")
                }
                Attempt::Answered(response) => return Ok(*response),
                Attempt::Lost(why) if !is_repeatable(M::NAME) => {
                    let message = format!(
                        "Transport error communicating with scheduler during non-idempotent \
                         operation: {why}, not retrying"
                    );
                    return Err(Failure::new(code::NETWORK, message));
                }
                Attempt::Lost(why) => {
                    format!("Transport error communicating with scheduler: {why}, retrying...")
                }
                Attempt::Absent => format!(
                    "Connection error with scheduler: Timed out trying to connect to scheduler at \
                     {cluster}, reconnecting..."
                ),
            };
            self.warn(complaint);
            self.schedulers.forget(cluster);
            self.world.sleep(PAUSE)?;
            if self.world.now().saturating_sub(start) >= MAX_WAIT {
                let message = format!("Timed out attempting to issue {} to {cluster}", M::NAME);
                return Err(Failure::new(code::TIMEOUT, message));
            }
        }
    }

    /// Calls a method once.
    fn attempt<M>(&mut self, cluster: &str, arguments: &M::Args) -> Result<Attempt, Failure>
    where
        M: Method<Output = Response>,
        M::Fault: Display,
    {
        let fatal = |why: &dyn Display| {
            Failure::Fatal(format!("Error during thrift call {} to {cluster}: {why}", M::NAME))
        };
        let address = match self.find(cluster) {
            Ok(address) => beside(&address, "api"),
            Err(Missing::Absent) => return Ok(Attempt::Absent),
            Err(Missing::Failure(Failure::Fatal(why))) => return Err(fatal(&why)),
            Err(Missing::Failure(failure)) => return Err(failure),
        };
        let mut body = Vec::new();
        write_call::<M, _>(&mut binary::Writer::new(&mut body), 0, arguments);
        let answer = self.post(&address, &body, !is_change(M::NAME));
        let address = shown(&address);
        let lost = |why: &dyn Display| {
            Ok(Attempt::Lost(format!("Unknown error talking to {address}: {why}")))
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(Fault::Interrupted) => return Err(Failure::Interrupted),
            Err(Fault::Transport(why)) => return lost(&why),
            Err(Fault::Proxy(why)) => return Err(Failure::new(code::NETWORK, why)),
        };
        self.log(
            Level::Debug,
            format_args!("{} {address}: {}, {} bytes", M::NAME, answer.status, answer.body.len()),
        );
        match answer.status {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Failure::Authentication(complaint(&answer)));
            }
            _ => return lost(&complaint(&answer)),
        }
        match read_reply::<M, _>(&mut binary::Reader::new(&answer.body), 0) {
            Ok(response) => Ok(Attempt::Answered(Box::new(response))),
            Err(CallError::Fault(fault)) => Err(fatal(&fault)),
            Err(CallError::Decode(error)) => {
                Err(fatal(&format_args!("the answer cannot be understood: {error}")))
            }
        }
    }

    fn post(&mut self, address: &str, body: &[u8], repeatable: bool) -> Result<Answer, Fault> {
        let mut headers = vec![
            (ACCEPT, HeaderValue::from_static(BINARY)),
            (CONTENT_TYPE, HeaderValue::from_static(BINARY)),
            (USER_AGENT, HeaderValue::from_static(self.agent)),
        ];
        if self.bypass_redirect {
            headers.push((BYPASS, HeaderValue::from_static("true")));
        }
        let request = Request { method: Verb::POST, headers, body, repeatable };
        self.http.send(self.world, address, &request)
    }
}

/// What an answer that is none says.
fn complaint(answer: &Answer) -> String {
    let whose = match answer.status.as_u16() {
        400..500 => "Client Error",
        500..600 => "Server Error",
        _ => "Unexpected answer",
    };
    let reason = answer.status.canonical_reason().unwrap_or("unknown");
    let through = answer.proxy.as_ref().map(|proxy| format!(" through {proxy}"));
    let (status, through) = (answer.status.as_u16(), through.unwrap_or_default());
    format!("{status} {whose}: {reason} for url: {}{through}", answer.url)
}

#[cfg(test)]
mod failures;
#[cfg(test)]
mod tests;
