//! The Thrift face: calls of clients, checked and parsed, and their answers.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | messages in and out: encodings, methods, what cannot be decoded |
//! | [`reply`] | what is answered, and as which code |
//! | [`read`] | calls that only look: at the committed state, never at work half done |
//! | [`manage`] | calls of owners of jobs |
//! | [`admin`] | calls of operators |
//! | [`validate`] | what jobs may be |
//! | [`quota`] | what jobs of a role use |
//!
//! Source: the scheduler's interface and what its clients were seen to send. Every call is answered
//! with code, server and a list of details, perhaps empty.

use std::sync::Arc;
use std::time::Instant;

use aurora_api::api::{Response, ServerInfo};
use tracing::debug;

use crate::core::state::State;
use crate::counters::Counters;
use crate::options::Identity;
use crate::shell::{Handle, NotDone};

pub mod admin;
pub mod manage;
pub mod quota;
pub mod read;
pub mod reply;
pub mod validate;
pub mod wire;

use reply::{Problem, Reply};
use validate::Rules;

/// Who calls, as long as nobody has to prove it.
pub const USER: &str = "UNSECURE";

/// All that calls need. They block until what they change is durable.
#[derive(Debug)]
pub struct Api {
    /// Who answers.
    pub identity: Identity,
    /// What jobs may be.
    pub rules: Rules,
    /// The way to the core.
    pub handle: Handle,
    /// What was called how often.
    pub counters: Arc<Counters>,
}

/// What a call comes to.
pub type Outcome = Result<Reply, Problem>;

impl Api {
    /// Everything that is committed.
    fn state(&self) -> Result<Arc<State>, Problem> {
        self.handle.state().ok_or_else(|| NotDone::NotReady.into())
    }

    /// Counts a call and makes a response of its outcome.
    fn respond(&self, method: &str, begun: Instant, outcome: Outcome) -> Response {
        let workload = outcome.as_ref().ok().and_then(|reply| reply.workload);
        let mut response = match outcome {
            Ok(reply) => reply.into_response(),
            Err(problem) => {
                debug!("{method}: {problem}");
                problem.into_response()
            }
        };
        response.server_info = Some(ServerInfo {
            cluster_name: Some(self.identity.cluster.clone()),
            stats_url_prefix: Some(self.identity.stats_url_prefix.clone()),
            ..Default::default()
        });
        let code = response.response_code.and_then(|code| code.name()).unwrap_or("UNKNOWN");
        self.counters.add(format!("scheduler_thrift_response_{code}"), 1);
        self.counters.time(&format!("scheduler_thrift_{method}"), begun.elapsed());
        if let Some((prefix, items)) = workload {
            self.counters.add(format!("{prefix}{method}"), items as u64);
        }
        response
    }
}
