//! What can be wrong with encoded data, and where.

use std::fmt;

/// Broad class of a [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input ends before the value does. More bytes might make it whole.
    Truncated,
    /// The input is not what the encoding or the declared type allows.
    Invalid,
    /// The input goes beyond a limit, such as the nesting depth.
    Limit,
}

/// One step from a value to the part of it that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(&'static str),
    UnknownField(i16),
    Index(usize),
}

/// Why bytes could not be decoded: what was found, what was expected, the byte offset, and the path
/// of field names from the outermost value.
///
/// It prints as one line:
/// `byte 23, in task_status.state: the input ends inside a value: 4 bytes are needed, 1 is left`.
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    offset: usize,
    message: String,
    /// Innermost step first: steps are added while the error travels outwards.
    path: Vec<Step>,
}

impl DecodeError {
    /// An error at `offset`, in bytes from the start of the input.
    #[cold]
    pub fn new(kind: ErrorKind, offset: usize, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, offset, message: message.into(), path: Vec::new() }))
    }

    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where reading stopped, in bytes from the start of the input.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The text without place and path.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The path from the outermost value, such as `processes[2].seq`; empty at the top.
    pub fn path(&self) -> String {
        let mut text = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Field(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::UnknownField(id) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&format!("<unknown field {id}>"));
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    #[cold]
    pub(crate) fn within(mut self, field: &'static str) -> Self {
        self.0.path.push(Step::Field(field));
        self
    }

    #[cold]
    pub(crate) fn within_unknown(mut self, id: i16) -> Self {
        self.0.path.push(Step::UnknownField(id));
        self
    }

    #[cold]
    pub(crate) fn at_index(mut self, index: usize) -> Self {
        self.0.path.push(Step::Index(index));
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.0.offset)?;
        let path = self.path();
        if !path.is_empty() {
            write!(f, ", in {path}")?;
        }
        write!(f, ": {}", self.0.message)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({:?}, {self})", self.0.kind)
    }
}

impl std::error::Error for DecodeError {}
