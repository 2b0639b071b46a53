//! What a scheduler says to a master, ready made. The framework's id is the session's to add.

use std::time::Duration;

use crate::v1::scheduler::{Call, call};
use crate::v1::{
    AgentId, DurationInfo, ExecutorId, Filters, KillPolicy, OfferId, OperationId, Request, TaskId,
    TaskInfo, offer,
};

pub use crate::v1::scheduler::call::Type;

fn of_type(kind: Type) -> Call {
    Call { r#type: Some(kind.into()), ..Call::default() }
}

fn offers(ids: &[impl AsRef<str>]) -> Vec<OfferId> {
    ids.iter().map(|id| OfferId { value: id.as_ref().to_owned() }).collect()
}

fn agent(id: &str) -> AgentId {
    AgentId { value: id.to_owned() }
}

fn filters(refuse: Duration) -> Option<Filters> {
    Some(Filters { refuse_seconds: Some(refuse.as_secs_f64()) })
}

/// Uses offers, all of one agent, for these operations; without any it declines them. What is left
/// is not offered again for `refuse`.
pub fn accept(
    offer_ids: &[impl AsRef<str>],
    operations: Vec<offer::Operation>,
    refuse: Duration,
) -> Call {
    let accept =
        call::Accept { offer_ids: offers(offer_ids), operations, filters: filters(refuse) };
    Call { accept: Some(accept), ..of_type(Type::Accept) }
}

/// The operation that launches tasks.
pub fn launch(tasks: Vec<TaskInfo>) -> offer::Operation {
    offer::Operation {
        r#type: Some(offer::operation::Type::Launch.into()),
        launch: Some(offer::operation::Launch { task_infos: tasks }),
        ..offer::Operation::default()
    }
}

/// Gives offers back. What they offer is not offered again for `refuse`.
pub fn decline(offer_ids: &[impl AsRef<str>], refuse: Duration) -> Call {
    let decline = call::Decline { offer_ids: offers(offer_ids), filters: filters(refuse) };
    Call { decline: Some(decline), ..of_type(Type::Decline) }
}

/// Agrees to lose what inverse offers name. `refuse`: `None`, the master's own time.
pub fn accept_inverse_offers(offer_ids: &[impl AsRef<str>], refuse: Option<Duration>) -> Call {
    let accept = call::AcceptInverseOffers {
        inverse_offer_ids: offers(offer_ids),
        filters: refuse.and_then(filters),
    };
    Call { accept_inverse_offers: Some(accept), ..of_type(Type::AcceptInverseOffers) }
}

/// Does not agree.
pub fn decline_inverse_offers(offer_ids: &[impl AsRef<str>], refuse: Option<Duration>) -> Call {
    let decline = call::DeclineInverseOffers {
        inverse_offer_ids: offers(offer_ids),
        filters: refuse.and_then(filters),
    };
    Call { decline_inverse_offers: Some(decline), ..of_type(Type::DeclineInverseOffers) }
}

/// Wants offers again, without filters; in all roles if `roles` is empty.
pub fn revive(roles: &[String]) -> Call {
    Call { revive: Some(call::Revive { roles: roles.to_vec() }), ..of_type(Type::Revive) }
}

/// Wants no offers; in all roles if `roles` is empty.
pub fn suppress(roles: &[String]) -> Call {
    Call { suppress: Some(call::Suppress { roles: roles.to_vec() }), ..of_type(Type::Suppress) }
}

/// Ends a task. `grace` takes the place of the time that its own kill policy gives it. Nothing
/// repeats this; a kill may be lost.
pub fn kill(task_id: &str, agent_id: Option<&str>, grace: Option<Duration>) -> Call {
    let nanoseconds = |grace: Duration| i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
    let kill = call::Kill {
        task_id: TaskId { value: task_id.to_owned() },
        agent_id: agent_id.map(agent),
        kill_policy: grace.map(|grace| KillPolicy {
            grace_period: Some(DurationInfo { nanoseconds: nanoseconds(grace) }),
        }),
    };
    Call { kill: Some(kill), ..of_type(Type::Kill) }
}

/// Shuts an executor down, with all of its tasks.
pub fn shutdown(executor_id: &str, agent_id: &str) -> Call {
    let executor_id = ExecutorId { value: executor_id.to_owned() };
    let shutdown = call::Shutdown { executor_id, agent_id: agent(agent_id) };
    Call { shutdown: Some(shutdown), ..of_type(Type::Shutdown) }
}

/// Takes over an update, which is then not sent again. The session makes these when it is told that
/// an update is durable.
pub fn acknowledge(agent_id: &str, task_id: &str, uuid: &[u8]) -> Call {
    let acknowledge = call::Acknowledge {
        agent_id: agent(agent_id),
        task_id: TaskId { value: task_id.to_owned() },
        uuid: uuid.to_vec(),
    };
    Call { acknowledge: Some(acknowledge), ..of_type(Type::Acknowledge) }
}

/// Asks for the states of tasks: these, each with its agent if that is known; or all that are not
/// over, if there is none.
pub fn reconcile<'a>(tasks: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Call {
    let task = |(task_id, agent_id): (&str, Option<&str>)| call::reconcile::Task {
        task_id: TaskId { value: task_id.to_owned() },
        agent_id: agent_id.map(agent),
    };
    let tasks = tasks.into_iter().map(task).collect();
    Call { reconcile: Some(call::Reconcile { tasks }), ..of_type(Type::Reconcile) }
}

/// Sends bytes to an executor; they may be lost.
pub fn message(agent_id: &str, executor_id: &str, data: Vec<u8>) -> Call {
    let executor_id = ExecutorId { value: executor_id.to_owned() };
    let message = call::Message { agent_id: agent(agent_id), executor_id, data };
    Call { message: Some(message), ..of_type(Type::Message) }
}

/// Asks for resources; without effect where the master has its own allocator.
pub fn request(requests: Vec<Request>) -> Call {
    Call { request: Some(call::Request { requests }), ..of_type(Type::Request) }
}

/// Takes over the status of an operation that was given an id.
pub fn acknowledge_operation(agent_id: Option<&str>, operation_id: &str, uuid: &[u8]) -> Call {
    let acknowledge = call::AcknowledgeOperationStatus {
        agent_id: agent_id.map(agent),
        resource_provider_id: None,
        uuid: uuid.to_vec(),
        operation_id: OperationId { value: operation_id.to_owned() },
    };
    let kind = of_type(Type::AcknowledgeOperationStatus);
    Call { acknowledge_operation_status: Some(acknowledge), ..kind }
}

/// Asks for the states of operations; of all if there is none.
pub fn reconcile_operations<'a>(
    operations: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> Call {
    let operation = |(id, agent_id): (&str, Option<&str>)| call::reconcile_operations::Operation {
        operation_id: OperationId { value: id.to_owned() },
        agent_id: agent_id.map(agent),
        resource_provider_id: None,
    };
    let operations = operations.into_iter().map(operation).collect();
    let reconcile = call::ReconcileOperations { operations };
    Call { reconcile_operations: Some(reconcile), ..of_type(Type::ReconcileOperations) }
}

/// Changes who the framework is without subscribing again.
pub fn update_framework(update: call::UpdateFramework) -> Call {
    Call { update_framework: Some(update), ..of_type(Type::UpdateFramework) }
}

/// Ends the framework for good, with all of its tasks.
pub fn teardown() -> Call {
    of_type(Type::Teardown)
}

/// What becomes of a call when the stream is lost, or when nobody knows whether it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It can be made any number of times, at any time.
    Repeat,
    /// It can be made any number of times, as long as the stream lives, whose offers it is about.
    WithStream,
    /// It must be made once at most: a master that gets an ACCEPT twice reports the tasks of the
    /// second, which run, as lost.
    Once,
}

pub(crate) fn fate(kind: Type) -> Fate {
    match kind {
        Type::Accept | Type::Message => Fate::Once,
        Type::Decline | Type::AcceptInverseOffers | Type::DeclineInverseOffers => Fate::WithStream,
        Type::Subscribe
        | Type::Teardown
        | Type::Revive
        | Type::Suppress
        | Type::Kill
        | Type::Shutdown
        | Type::Acknowledge
        | Type::Reconcile
        | Type::Request
        | Type::AcknowledgeOperationStatus
        | Type::ReconcileOperations
        | Type::UpdateFramework
        | Type::Unknown => Fate::Repeat,
    }
}
