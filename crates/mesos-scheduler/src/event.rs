//! What happens to a scheduler: the master's events, taken apart, and news of the connection.

use std::fmt;

use mesos_executor::environment::Endpoint;

use crate::answer::Rejection;
use crate::v1::scheduler::event::Type;
use crate::v1::scheduler::{self, Call};
use crate::v1::{InverseOffer, MasterInfo, Offer, OperationStatus, TaskStatus};

/// Something that a scheduler has to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A try to subscribe begins.
    Subscribing {
        /// With this master.
        master: Endpoint,
    },
    /// The master takes calls from now on; also after each reconnection. Offers from before are
    /// void; states of tasks may have been missed, so they should be reconciled.
    Subscribed {
        /// To be written down before anything else: with it a scheduler finds its tasks again.
        framework_id: String,
        /// Was there a subscription before, of this session?
        again: bool,
        /// What the master says of itself.
        master: Option<Box<MasterInfo>>,
    },
    /// Resources that may be used.
    Offers(Vec<Offer>),
    /// Resources that the operator wants back.
    InverseOffers(Vec<InverseOffer>),
    /// An offer is void. It may be one that was used meanwhile.
    Rescind {
        /// The offer.
        offer_id: String,
    },
    /// An inverse offer is void.
    RescindInverseOffer {
        /// The inverse offer.
        offer_id: String,
    },
    /// The state of a task. The same one may come several times.
    Update {
        /// To be given back with [`Command::Durable`](crate::session::Command::Durable) when the
        /// state is written down or of no interest; the update is acknowledged then, and not
        /// before. When too many are out the stream is not read further.
        receipt: Receipt,
        /// The state.
        status: Box<TaskStatus>,
    },
    /// The state of an operation that was given an id.
    UpdateOperation(Box<OperationStatus>),
    /// Bytes from an executor.
    Message {
        /// Its agent.
        agent_id: String,
        /// The executor.
        executor_id: String,
        /// The bytes.
        data: Vec<u8>,
    },
    /// An executor has ended, or an agent was removed.
    Failure {
        /// The agent.
        agent_id: Option<String>,
        /// The executor; `None`: the whole agent.
        executor_id: Option<String>,
        /// How the executor ended, as of `wait`.
        status: Option<i32>,
    },
    /// The stream of events is lost; the client tries to get it back.
    Disconnected {
        /// Why, for people.
        reason: String,
    },
    /// A call had no effect, or nobody knows.
    Refused {
        /// The call.
        call: Box<Call>,
        /// Why.
        error: CallError,
    },
    /// The master is there. To be counted at most: a master that is not is noticed by the session.
    Heartbeat,
    /// An event of a type that is not known, and that had no effect.
    Unknown(i32),
    /// Something to be logged at most.
    Trouble(String),
    /// The last event: there is no way to go on.
    GaveUp(GiveUp),
}

/// Names an update that is not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt(pub(crate) u64);

/// Why a call had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No master has seen it. With the reason.
    NotSent(String),
    /// A master may have acted upon it or not, and it cannot be repeated. With the reason.
    Unknown(String),
    /// It is wrong.
    Rejected(Rejection),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(reason) => write!(f, "it was not sent: {reason}"),
            Self::Unknown(reason) => {
                write!(f, "whether the master has acted upon it is not known: {reason}")
            }
            Self::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

/// Why there is no way to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// The master does not accept the credentials, or wants some. With its text.
    Unauthorized(String),
    /// The master calls the subscription wrong.
    Rejected(Rejection),
    /// The framework's id is dead: it was torn down, or was away for longer than its
    /// `failover_timeout`. All of its tasks are killed. To begin anew, forget the id and the tasks,
    /// and subscribe without an id. With the master's text.
    Removed(String),
    /// Another scheduler has subscribed with the same id. With the master's text.
    FailedOver(String),
    /// The master gives up on the framework for another reason: its text.
    Error(String),
    /// The framework was torn down, as was wanted.
    TornDown,
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized(text) => {
                write!(f, "the master does not accept the credentials: {text}")
            }
            Self::Rejected(rejection) => write!(f, "cannot subscribe: {rejection}"),
            Self::Removed(text) => write!(
                f,
                "the framework is gone for good, and all of its tasks: {text}. To begin anew, \
                 remove the stored framework id"
            ),
            Self::FailedOver(text) => {
                write!(f, "another scheduler has taken over the framework: {text}")
            }
            Self::Error(text) => write!(f, "the master gives up on the framework: {text}"),
            Self::TornDown => f.write_str("the framework was torn down"),
        }
    }
}

impl std::error::Error for GiveUp {}

impl GiveUp {
    /// What an ERROR event means.
    pub(crate) fn of(message: String) -> GiveUp {
        match message.as_str() {
            "Framework has been removed" => GiveUp::Removed(message),
            "Framework failed over" => GiveUp::FailedOver(message),
            _ => GiveUp::Error(message),
        }
    }
}

/// A record of the stream, taken apart.
#[derive(Debug)]
pub(crate) enum Parsed {
    Subscribed(Box<scheduler::event::Subscribed>),
    Update(Box<TaskStatus>),
    /// To be delivered as it is.
    Event(Event),
    Error(String),
    Heartbeat,
    /// Of a type that is not known.
    Unknown(i32),
}

/// Takes an event apart. `Err`: it lacks what its type promises.
pub(crate) fn parse(event: scheduler::Event) -> Result<Parsed, &'static str> {
    // The raw number: an accessor would turn an unknown one into the default.
    let number = event.r#type.unwrap_or_default();
    let event = match Type::try_from(number) {
        Ok(Type::Subscribed) => {
            let subscribed = event.subscribed.ok_or("SUBSCRIBED without subscribed")?;
            return Ok(Parsed::Subscribed(Box::new(subscribed)));
        }
        Ok(Type::Update) => {
            let update = event.update.ok_or("UPDATE without update")?;
            return Ok(Parsed::Update(Box::new(update.status)));
        }
        Ok(Type::Error) => {
            return Ok(Parsed::Error(event.error.ok_or("ERROR without error")?.message));
        }
        Ok(Type::Heartbeat) => return Ok(Parsed::Heartbeat),
        Ok(Type::Offers) => Event::Offers(event.offers.ok_or("OFFERS without offers")?.offers),
        Ok(Type::InverseOffers) => {
            let offers = event.inverse_offers.ok_or("INVERSE_OFFERS without inverse_offers")?;
            Event::InverseOffers(offers.inverse_offers)
        }
        Ok(Type::Rescind) => {
            let rescind = event.rescind.ok_or("RESCIND without rescind")?;
            Event::Rescind { offer_id: rescind.offer_id.value }
        }
        Ok(Type::RescindInverseOffer) => {
            let rescind = event.rescind_inverse_offer;
            let rescind = rescind.ok_or("RESCIND_INVERSE_OFFER without rescind_inverse_offer")?;
            Event::RescindInverseOffer { offer_id: rescind.inverse_offer_id.value }
        }
        Ok(Type::UpdateOperationStatus) => {
            let update = event.update_operation_status;
            let update = update.ok_or("UPDATE_OPERATION_STATUS without update_operation_status")?;
            Event::UpdateOperation(Box::new(update.status))
        }
        Ok(Type::Message) => {
            let message = event.message.ok_or("MESSAGE without message")?;
            Event::Message {
                agent_id: message.agent_id.value,
                executor_id: message.executor_id.value,
                data: message.data,
            }
        }
        Ok(Type::Failure) => {
            let failure = event.failure.ok_or("FAILURE without failure")?;
            Event::Failure {
                agent_id: failure.agent_id.map(|id| id.value),
                executor_id: failure.executor_id.map(|id| id.value),
                status: failure.status,
            }
        }
        Ok(Type::Unknown) | Err(_) => return Ok(Parsed::Unknown(number)),
    };
    Ok(Parsed::Event(event))
}
