//! What a coordinator says: the bytes of notes and records and the words in them, made without
//! allocation.

#![deny(unsafe_code)]

use rustix::io::Errno;

use super::{EXECUTE, Program, Trouble};

/// Room for a framed record with the longest name and reason.
pub(super) const RECORD_ROOM: usize = 768;

/// Bytes of a [`Note`] on the pipe.
pub(crate) const NOTE_SIZE: usize = 8;

/// What a coordinator tells its runner through a pipe, besides its stream: "look at slot N".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// The launch, as the runner numbered it.
    pub(crate) slot: u32,
    /// The run has ended.
    pub(crate) ended: bool,
    /// It has ended, and processes of its tree are left.
    pub(crate) leftovers: bool,
}

impl Note {
    pub(super) fn encode(self) -> [u8; NOTE_SIZE] {
        let [a, b, c, d] = self.slot.to_ne_bytes();
        [a, b, c, d, u8::from(self.ended), u8::from(self.leftovers), 0, 0]
    }

    pub(crate) fn decode(bytes: &[u8; NOTE_SIZE]) -> Note {
        let [a, b, c, d, ended, leftovers, ..] = *bytes;
        let slot = u32::from_ne_bytes([a, b, c, d]);
        Note { slot, ended: ended != 0, leftovers: leftovers != 0 }
    }
}

/// Why a run failed before it ran, in words, built without allocation.
pub(super) struct Reason {
    text: [u8; 256],
    length: usize,
}

impl Reason {
    pub(super) fn new(trouble: Trouble, program: &Program) -> Reason {
        let mut reason = Reason { text: [0; 256], length: 0 };
        let path: &[u8] = if trouble.doing == EXECUTE { program.path.as_bytes() } else { b"" };
        for part in [
            b"failed to ",
            trouble.doing.as_bytes(),
            path,
            b": ",
            describe(trouble.errno).as_bytes(),
        ] {
            let room = reason.text.len() - reason.length;
            let part = &part[..part.len().min(room)];
            reason.text[reason.length..reason.length + part.len()].copy_from_slice(part);
            reason.length += part.len();
        }
        reason
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// One framed record in the Thrift binary protocol, built without allocation. A test holds it against
/// the general codec.
pub(super) struct RecordBuffer {
    bytes: [u8; RECORD_ROOM],
    length: usize,
}

impl RecordBuffer {
    /// Members of `RunnerCkpt`.
    pub(super) const PROCESS_STATUS: i16 = 2;
    pub(super) const LOG_STATUS: i16 = 100;

    pub(super) fn new(member: i16) -> RecordBuffer {
        let mut buffer = RecordBuffer { bytes: [0; RECORD_ROOM], length: 4 };
        // A struct.
        buffer.field(12, member);
        buffer
    }

    fn raw(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn field(&mut self, ttype: u8, id: i16) {
        let [high, low] = id.to_be_bytes();
        self.raw(&[ttype, high, low]);
    }

    pub(super) fn i32(&mut self, id: i16, value: i32) {
        self.field(8, id);
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, id: i16, value: i64) {
        self.field(10, id);
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn double(&mut self, id: i16, value: f64) {
        self.field(4, id);
        self.raw(&value.to_be_bytes());
    }

    pub(super) fn string(&mut self, id: i16, value: &[u8]) {
        self.field(11, id);
        self.raw(&(value.len() as i32).to_be_bytes());
        self.raw(value);
    }

    pub(super) fn finish(&mut self) -> &[u8] {
        self.raw(&[0, 0]);
        let length = (self.length - 4) as u32;
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        &self.bytes[..self.length]
    }
}

/// Why bytes are in no log file.
pub(super) fn describe_log(errno: Errno) -> &'static str {
    match errno {
        Errno::NOENT => "the log directory was removed",
        other => describe(other),
    }
}

/// Why bytes did not reach the console.
pub(super) fn describe_console(errno: Errno) -> &'static str {
    match errno {
        Errno::AGAIN => "nobody reads it",
        Errno::PIPE | Errno::IO => "its reader is gone",
        other => describe(other),
    }
}

/// The usual words for an error number, without the C library's tables, which may allocate.
fn describe(errno: Errno) -> &'static str {
    match errno {
        Errno::ACCESS => "permission denied",
        Errno::PERM => {
            "operation not permitted (a special file, or a file with a second name, is in the way)"
        }
        Errno::NOENT => "no such file or directory",
        Errno::NOTDIR => "a link, or something that is no directory, is in the way",
        Errno::LOOP => "a symbolic link is in the way",
        Errno::NXIO => "a pipe or socket is in the way",
        Errno::ISDIR => "a directory is in the way",
        Errno::TOOBIG => "argument list too long (one argument may have 128 KiB)",
        Errno::NOEXEC => "exec format error",
        Errno::NOSPC => "no space left on device",
        Errno::DQUOT => "disk quota exceeded",
        Errno::ROFS => "read-only file system",
        Errno::MFILE => "too many open files",
        Errno::NFILE => "too many open files in the system",
        Errno::NOMEM => "cannot allocate memory",
        Errno::AGAIN => "resource temporarily unavailable (a process limit?)",
        Errno::NAMETOOLONG => "file name too long",
        Errno::IO => "input/output error",
        Errno::FBIG => "file too large (a limit of the size of files?)",
        _ => "system error",
    }
}
