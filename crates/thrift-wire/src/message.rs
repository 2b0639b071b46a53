//! Remote calls: message headers, application exceptions, and the two sides of a call.

use std::fmt;

use crate::{DecodeError, Field, In, Out, StructDef, TType, UnknownFields, Wire, support};

/// What a message is. The discriminants are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageKind {
    /// A call that wants a reply.
    Call = 1,
    /// The result of a call, or one of its declared exceptions.
    Reply = 2,
    /// An [`ApplicationError`] in place of a result.
    Exception = 3,
    /// A call that gets no reply.
    Oneway = 4,
}

impl MessageKind {
    pub(crate) fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            1 => Self::Call,
            2 => Self::Reply,
            3 => Self::Exception,
            4 => Self::Oneway,
            _ => return None,
        })
    }
}

/// The header of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// The method.
    pub name: String,
    /// Call or reply.
    pub kind: MessageKind,
    /// Chosen by the caller, repeated in the reply.
    pub seq: i32,
}

/// An encoding that has messages.
pub trait OutMessage: Out {
    /// Starts a message; a struct follows.
    fn message_begin(&mut self, name: &str, kind: MessageKind, seq: i32);
    /// Ends a message.
    fn message_end(&mut self);
}

/// An encoding that has messages.
pub trait InMessage: In {
    /// Reads a header; a struct follows.
    ///
    /// # Errors
    /// The input is no message.
    fn message_begin(&mut self) -> Result<MessageHead, DecodeError>;
    /// Ends a message.
    ///
    /// # Errors
    /// The message goes on.
    fn message_end(&mut self) -> Result<(), DecodeError>;
}

/// An error of the call itself rather than of the method (Thrift's `TApplicationException`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApplicationError {
    /// For people.
    pub message: String,
    /// One of the constants of this type, or any other number.
    pub kind: i32,
    /// Fields that a newer peer added.
    pub unknown: UnknownFields,
}

impl ApplicationError {
    /// No kind given.
    pub const UNKNOWN: i32 = 0;
    /// The service has no such method.
    pub const UNKNOWN_METHOD: i32 = 1;
    /// A message of the wrong kind, such as a reply in place of a call.
    pub const INVALID_MESSAGE_TYPE: i32 = 2;
    /// The reply is to another method.
    pub const WRONG_METHOD_NAME: i32 = 3;
    /// The reply is to another call.
    pub const BAD_SEQUENCE_ID: i32 = 4;
    /// The reply holds neither a result nor an exception.
    pub const MISSING_RESULT: i32 = 5;
    /// The server failed inside the method.
    pub const INTERNAL_ERROR: i32 = 6;
    /// The arguments could not be decoded.
    pub const PROTOCOL_ERROR: i32 = 7;

    const DEF: &'static StructDef = &StructDef {
        name: "TApplicationException",
        fields: &[
            Field { id: 1, name: "message", ttype: TType::String },
            Field { id: 2, name: "type", ttype: TType::I32 },
        ],
    };

    /// An error of a kind, with a text for people.
    pub fn new(kind: i32, message: impl Into<String>) -> Self {
        Self { message: message.into(), kind, unknown: UnknownFields::new() }
    }
}

impl fmt::Display for ApplicationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Self::UNKNOWN_METHOD => "unknown method",
            Self::INVALID_MESSAGE_TYPE => "invalid message type",
            Self::WRONG_METHOD_NAME => "wrong method name",
            Self::BAD_SEQUENCE_ID => "bad sequence id",
            Self::MISSING_RESULT => "missing result",
            Self::INTERNAL_ERROR => "internal error",
            Self::PROTOCOL_ERROR => "protocol error",
            _ => return write!(f, "{} (application error {})", self.message, self.kind),
        };
        write!(f, "{} ({kind})", self.message)
    }
}

impl std::error::Error for ApplicationError {}

impl Wire for ApplicationError {
    const TTYPE: TType = TType::Struct;

    fn write<O: Out>(&self, out: &mut O) {
        let [message, kind] = Self::DEF.fields else { return };
        let mut rest = support::Rest::of(&self.unknown);
        out.struct_begin(Self::DEF);
        support::put(out, &mut rest, message, &self.message);
        support::put(out, &mut rest, kind, &self.kind);
        rest.finish(out);
        out.struct_end();
    }

    fn read<I: In>(input: &mut I) -> Result<Self, DecodeError> {
        let mut error = Self::default();
        input.struct_begin(Self::DEF)?;
        while let Some((id, ttype)) = input.field_begin(Self::DEF)? {
            match (id, ttype) {
                (1, TType::String) => error.message = support::take(input, &Self::DEF.fields[0])?,
                (2, TType::I32) => error.kind = support::take(input, &Self::DEF.fields[1])?,
                _ => support::keep(input, &mut error.unknown, id, ttype)?,
            }
        }
        Ok(error)
    }
}

/// A method of a service. Generated code implements it on an empty type per method.
pub trait Method {
    /// Its name in messages.
    const NAME: &'static str;
    /// Whether callers expect no reply.
    const ONEWAY: bool;
    /// The struct of its arguments.
    type Args: Wire;
    /// The struct of its result and declared exceptions.
    type Reply: Wire;
    /// What it returns.
    type Output;
    /// What it may fail with: its declared exceptions, or an [`ApplicationError`].
    type Fault: From<ApplicationError>;

    /// The struct to send for an outcome.
    ///
    /// # Errors
    /// The outcome is no declared exception and goes out as an application exception.
    fn reply(outcome: Result<Self::Output, Self::Fault>) -> Result<Self::Reply, ApplicationError>;

    /// The outcome that a struct stands for.
    ///
    /// # Errors
    /// A declared exception, or `MISSING_RESULT`.
    fn outcome(reply: Self::Reply) -> Result<Self::Output, Self::Fault>;
}

/// Why a call brought no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<F> {
    /// The server answered with an exception.
    Fault(F),
    /// The reply could not be decoded.
    Decode(DecodeError),
}

impl<F> From<DecodeError> for CallError<F> {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl<F: fmt::Display> fmt::Display for CallError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault) => fault.fmt(f),
            Self::Decode(error) => write!(f, "the reply cannot be decoded: {error}"),
        }
    }
}

impl<F: fmt::Debug + fmt::Display> std::error::Error for CallError<F> {}

/// Writes a call of method `M`.
pub fn write_call<M: Method, O: OutMessage>(out: &mut O, seq: i32, args: &M::Args) {
    let kind = if M::ONEWAY { MessageKind::Oneway } else { MessageKind::Call };
    out.message_begin(M::NAME, kind, seq);
    args.write(out);
    out.message_end();
}

/// Reads the reply to call `seq` of method `M`.
///
/// # Errors
/// The server answered with an exception, or with something that is no reply to this call.
pub fn read_reply<M: Method, I: InMessage>(
    input: &mut I,
    seq: i32,
) -> Result<M::Output, CallError<M::Fault>> {
    let fault = |kind, message: String| {
        Err(CallError::Fault(M::Fault::from(ApplicationError::new(kind, message))))
    };
    let head = input.message_begin()?;
    match head.kind {
        MessageKind::Exception => {
            let error = ApplicationError::read(input)?;
            input.message_end()?;
            return Err(CallError::Fault(error.into()));
        }
        MessageKind::Reply => {}
        MessageKind::Call | MessageKind::Oneway => {
            return fault(
                ApplicationError::INVALID_MESSAGE_TYPE,
                format!("expected the reply to {}, found a call of {}", M::NAME, head.name),
            );
        }
    }
    if head.name != M::NAME {
        return fault(
            ApplicationError::WRONG_METHOD_NAME,
            format!("expected the reply to {}, found the reply to {}", M::NAME, head.name),
        );
    }
    if head.seq != seq {
        return fault(
            ApplicationError::BAD_SEQUENCE_ID,
            format!("expected the reply to call {seq} of {}, found {}", M::NAME, head.seq),
        );
    }
    let reply = M::Reply::read(input)?;
    input.message_end()?;
    M::outcome(reply).map_err(CallError::Fault)
}

/// What became of a call on the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// A reply was written: a result or an exception.
    Replied,
    /// The call wants no reply and nothing was written.
    NoReply,
}

/// Answers a message with an application exception.
pub fn write_exception<O: OutMessage>(
    out: &mut O,
    head: &MessageHead,
    error: &ApplicationError,
) -> Served {
    if head.kind == MessageKind::Oneway {
        return Served::NoReply;
    }
    out.message_begin(&head.name, MessageKind::Exception, head.seq);
    error.write(out);
    out.message_end();
    Served::Replied
}

/// Answers a call of a method that does not exist.
pub fn unknown_method<O: OutMessage>(out: &mut O, head: &MessageHead) -> Served {
    let message = format!("there is no method {}", head.name);
    write_exception(out, head, &ApplicationError::new(ApplicationError::UNKNOWN_METHOD, message))
}

/// Serves a call of method `M`, whose header was read: reads the arguments, runs `run`, writes the
/// reply. Arguments that cannot be decoded are answered with `PROTOCOL_ERROR`, and `run` is not
/// called.
pub fn serve<M: Method, I: InMessage, O: OutMessage>(
    head: &MessageHead,
    input: &mut I,
    out: &mut O,
    run: impl FnOnce(M::Args) -> Result<M::Output, M::Fault>,
) -> Served {
    if !matches!(head.kind, MessageKind::Call | MessageKind::Oneway) {
        let message = format!("expected a call of {}, found a reply", M::NAME);
        let error = ApplicationError::new(ApplicationError::INVALID_MESSAGE_TYPE, message);
        return write_exception(out, head, &error);
    }
    let args = match M::Args::read(input).and_then(|args| input.message_end().map(|()| args)) {
        Ok(args) => args,
        Err(e) => {
            let message = format!("the arguments of {} cannot be decoded: {e}", M::NAME);
            let error = ApplicationError::new(ApplicationError::PROTOCOL_ERROR, message);
            return write_exception(out, head, &error);
        }
    };
    let outcome = run(args);
    if M::ONEWAY || head.kind == MessageKind::Oneway {
        return Served::NoReply;
    }
    match M::reply(outcome) {
        Ok(reply) => {
            out.message_begin(M::NAME, MessageKind::Reply, head.seq);
            reply.write(out);
            out.message_end();
            Served::Replied
        }
        Err(error) => write_exception(out, head, &error),
    }
}
