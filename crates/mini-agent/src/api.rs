//! Requests of executors: what is asked for, or how it is refused. Pure.
//!
//! Statuses and texts of refusals are those of Mesos 1.11.

use mesos_executor::Format;
use mesos_executor::v1::executor::{Call, call};
use mesos_executor::v1::task_status::Source;
use mesos_executor::v1::{TaskState, TaskStatus};

/// Where executors post their calls.
pub const PATH: &str = "/api/v1/executor";

/// An answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Status of HTTP.
    pub status: u16,
    /// The body.
    pub text: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, text: impl Into<String>) -> Refusal {
        Refusal { status, text: text.into() }
    }

    /// Of a token that is wrong or missing.
    pub fn unauthorized() -> Refusal {
        let text = ["Basic", "Bearer"]
            .map(|scheme| format!("\"{scheme}\" authenticator returned:\n401 Unauthorized."));
        Refusal::new(401, text.join("\n\n"))
    }
}

/// What an executor wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// A stream of events.
    Subscribe(call::Subscribe, Format),
    /// To tell the state of a task.
    Update(Box<TaskStatus>),
    /// To tell the scheduler something.
    Message(Vec<u8>),
    /// To keep the connection alive.
    Heartbeat,
}

/// A call, with the ids of who made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Framework, by the caller's word.
    pub framework_id: String,
    /// Executor, by the caller's word.
    pub executor_id: String,
    /// What is wanted.
    pub wish: Wish,
}

/// Understands the body of a request; `accept` and `content_type` are its headers.
pub fn parse(
    content_type: Option<&str>,
    accept: Option<&str>,
    body: &[u8],
) -> Result<Request, Refusal> {
    let call = decode(body_format(content_type)?, body)?;
    let wish = wish(&call, accept)?;
    Ok(Request { framework_id: call.framework_id.value, executor_id: call.executor_id.value, wish })
}

fn decode(format: Format, body: &[u8]) -> Result<Call, Refusal> {
    let bad = |text: String| Refusal::new(400, text);
    match format {
        Format::Protobuf => Format::Protobuf
            .decode(body)
            .map_err(|_| bad("Failed to parse body into Call protobuf".to_owned())),
        Format::Json => {
            let json: serde_json::Value = serde_json::from_slice(body).map_err(|error| {
                let text = String::from_utf8_lossy(body);
                let near = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
                bad(format!(
                    "Failed to parse body into JSON: syntax error at line {} near: {near}",
                    error.line()
                ))
            })?;
            mesos_executor::json::from_value(&json).map_err(|error| {
                let Some(missing) = error.missing() else {
                    return bad(format!("Failed to convert JSON into Call protobuf: {error}"));
                };
                let ids = ["executor_id", "framework_id"];
                let absent: Vec<&str> =
                    ids.into_iter().filter(|id| json.get(id).is_none()).collect();
                let names = if absent.is_empty() { missing.to_owned() } else { absent.join(", ") };
                bad(format!(
                    "Failed to convert JSON into Call protobuf: Missing required fields: {names}"
                ))
            })
        }
    }
}

fn wish(call: &Call, accept: Option<&str>) -> Result<Wish, Refusal> {
    let invalid =
        |text: String| Refusal::new(400, format!("Failed to validate Executor::Call: {text}"));
    let absent = |name: &str| invalid(format!("Expecting '{name}' to be present"));
    match call.r#type() {
        call::Type::Subscribe => {
            let subscribe = call.subscribe.clone().ok_or_else(|| absent("subscribe"))?;
            Ok(Wish::Subscribe(subscribe, stream_format(accept)?))
        }
        call::Type::Update => {
            let status = call.update.clone().ok_or_else(|| absent("update"))?.status;
            let uuid = status.uuid.as_deref().ok_or_else(|| absent("uuid"))?;
            if uuid.len() != 16 {
                return Err(invalid("Not a valid UUID".to_owned()));
            }
            let (executor, framework) = (&call.executor_id.value, &call.framework_id.value);
            if status.source != Some(Source::Executor.into()) {
                return Err(invalid(format!(
                    "Received Call from executor {executor} of framework {framework} with invalid \
                     source, expecting 'SOURCE_EXECUTOR'"
                )));
            }
            if status.state() == TaskState::TaskStaging {
                return Err(invalid(format!(
                    "Received TASK_STAGING from executor {executor} of framework {framework} which \
                     is not allowed"
                )));
            }
            Ok(Wish::Update(Box::new(status)))
        }
        call::Type::Message => {
            Ok(Wish::Message(call.message.clone().ok_or_else(|| absent("message"))?.data))
        }
        call::Type::Heartbeat => Ok(Wish::Heartbeat),
        call::Type::Unknown => Err(absent("type")),
    }
}

/// The encoding of a request's body.
pub(crate) fn body_format(content_type: Option<&str>) -> Result<Format, Refusal> {
    let Some(content_type) = content_type else {
        return Err(Refusal::new(400, "Expecting 'Content-Type' to be present"));
    };
    Format::from_content_type(content_type).ok_or_else(|| {
        Refusal::new(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
    })
}

/// The encoding of a stream. JSON is what somebody gets who does not care.
pub(crate) fn stream_format(accept: Option<&str>) -> Result<Format, Refusal> {
    let Some(accept) = accept else { return Ok(Format::Json) };
    let names: Vec<&str> =
        accept.split(',').map(|name| name.split(';').next().unwrap_or_default().trim()).collect();
    if names.iter().any(|name| ["*/*", "application/*", ""].contains(name)) {
        return Ok(Format::Json);
    }
    names.iter().find_map(|name| Format::from_content_type(name)).ok_or_else(|| {
        Refusal::new(
            406,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'",
        )
    })
}

#[cfg(test)]
mod tests;
