//! Requests of schedulers: what is called, or how it is refused. Pure.
//!
//! Statuses and texts of refusals are those of Mesos 1.11.

use mesos_scheduler::Format;
use mesos_scheduler::v1::scheduler::{Call, call};

use crate::api::{Refusal, body_format, stream_format};

/// Where schedulers post their calls; both are the same.
pub const PATHS: [&str; 2] = ["/api/v1/scheduler", "/master/api/v1/scheduler"];

/// What can be known of a call without knowing the framework.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The call.
    pub call: Call,
    /// Its stream's name, which all but SUBSCRIBE have.
    pub stream_id: Option<String>,
    /// The encoding of the stream that SUBSCRIBE asks for.
    pub format: Format,
}

/// Headers that matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// `Content-Type`.
    pub content_type: Option<&'a str>,
    /// `Accept`.
    pub accept: Option<&'a str>,
    /// `Mesos-Stream-Id`.
    pub stream_id: Option<&'a str>,
}

/// Understands a request.
pub fn parse(headers: Headers<'_>, body: &[u8]) -> Result<Request, Refusal> {
    let call = decode(body_format(headers.content_type)?, body)?;
    validate(&call)
        .map_err(|text| Refusal::new(400, format!("Failed to validate scheduler::Call: {text}")))?;
    let subscribe = call.r#type() == call::Type::Subscribe;
    if subscribe && headers.stream_id.is_some() {
        return Err(Refusal::new(
            400,
            "Subscribe calls should not include the 'Mesos-Stream-Id' header",
        ));
    }
    let format = if subscribe { stream_format(headers.accept)? } else { Format::Json };
    Ok(Request { call, stream_id: headers.stream_id.map(str::to_owned), format })
}

fn decode(format: Format, body: &[u8]) -> Result<Call, Refusal> {
    let bad = |text: String| Refusal::new(400, text);
    match format {
        Format::Protobuf => {
            let call: Result<Call, _> = Format::Protobuf.decode(body);
            call.map_err(|_| bad("Failed to parse body into Call protobuf".to_owned()))
        }
        Format::Json => {
            let value: serde_json::Value = serde_json::from_slice(body).map_err(|error| {
                let text = String::from_utf8_lossy(body);
                let near = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
                let line = error.line().max(1);
                bad(format!(
                    "Failed to parse body into JSON: syntax error at line {line} near: {near}"
                ))
            })?;
            let reason =
                |text: String| bad(format!("Failed to convert JSON into Call protobuf: {text}"));
            if !value.is_object() {
                return Err(reason("Expecting a JSON object".to_owned()));
            }
            mesos_scheduler::json::from_value(&value).map_err(|error| {
                let text = match error.missing() {
                    Some(missing) => format!("Missing required fields: {missing}"),
                    None => error.to_string(),
                };
                reason(text)
            })
        }
    }
}

fn validate(call: &Call) -> Result<(), String> {
    use call::Type;
    let expect = |name: &str, there: bool| match there {
        true => Ok(()),
        false => Err(format!("Expecting '{name}' to be present")),
    };
    let kind = call.r#type();
    expect("type", kind != Type::Unknown)?;
    if kind == Type::Subscribe {
        expect("subscribe", call.subscribe.is_some())?;
        let info = call.subscribe.as_ref().map(|subscribe| &subscribe.framework_info);
        if info.is_some_and(|info| info.id != call.framework_id) {
            return Err("'framework_id' differs from 'subscribe.framework_info.id'".to_owned());
        }
        return Ok(());
    }
    expect("framework_id", call.framework_id.is_some())?;
    match kind {
        Type::Accept => expect("accept", call.accept.is_some()),
        Type::Decline => expect("decline", call.decline.is_some()),
        Type::AcceptInverseOffers => {
            expect("accept_inverse_offers", call.accept_inverse_offers.is_some())
        }
        Type::DeclineInverseOffers => {
            expect("decline_inverse_offers", call.decline_inverse_offers.is_some())
        }
        Type::Kill => expect("kill", call.kill.is_some()),
        Type::Shutdown => expect("shutdown", call.shutdown.is_some()),
        Type::Acknowledge => {
            expect("acknowledge", call.acknowledge.is_some())?;
            let uuid = call.acknowledge.as_ref().map(|it| it.uuid.as_slice());
            match uuid.is_some_and(is_uuid) {
                true => Ok(()),
                false => Err("Not a valid UUID".to_owned()),
            }
        }
        Type::AcknowledgeOperationStatus => {
            expect("acknowledge_operation_status", call.acknowledge_operation_status.is_some())
        }
        Type::Reconcile => expect("reconcile", call.reconcile.is_some()),
        Type::ReconcileOperations => {
            expect("reconcile_operations", call.reconcile_operations.is_some())
        }
        Type::Message => expect("message", call.message.is_some()),
        Type::Request => expect("request", call.request.is_some()),
        Type::UpdateFramework => expect("update_framework", call.update_framework.is_some()),
        Type::Teardown | Type::Revive | Type::Suppress | Type::Subscribe | Type::Unknown => Ok(()),
    }
}

/// Sixteen bytes of a known version.
fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 16 && bytes.get(6).is_some_and(|byte| (1..=5).contains(&(byte >> 4)))
}
