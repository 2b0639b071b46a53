//! The format of a segment: a file of frames, each the unit of one sync.
//!
//! ```text
//! header (128 bytes): magic, format, sequence, salt, replica, what came before, checksum
//! frame:  marker u32 | crc32c u32 | length of body u32 | 0 u32 | committed u64 | body | zeros to 8
//! body:   records, each  kind u8 | length u32 | content: an entry, or that entries from some index
//!         on, in this segment, do not count
//! zeros up to the end of the file, which has its full length from the start
//! ```
//!
//! All numbers are little-endian. A checksum covers the salt of the segment, the offset of the frame
//! and everything in it, so a frame is valid at one place of one file only.
//!
//! A frame is durable before the next one is written. Hence a frame that is not valid is a write that
//! a crash tore, and nobody was told that it is durable, unless something valid follows: then bytes
//! were lost that had been durable, and reading refuses. (A last frame that was durable and then
//! rotted cannot be told from a torn one.)

use std::fmt;

use crate::codec::{Input, put_length, put_optional_log_id, put_u32, put_u64};
use crate::types::{Batch, Entry, LogId, ReplicaId};

/// First bytes of a segment.
const MAGIC: [u8; 8] = *b"raftlog\n";

/// Version of the format of segments.
pub const FORMAT: u32 = 1;

/// Length of the header of a segment, in bytes.
pub const HEADER: usize = 128;

/// Length of the header of a frame, in bytes.
pub const FRAME_HEADER: usize = 24;

/// Frames begin at multiples of it.
const ALIGN: usize = 8;

/// First bytes of a frame.
const MARKER: u32 = 0x7261_4678;

const ENTRY: u8 = 1;
const TRUNCATE: u8 = 2;

/// How a segment begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the segment, from 1 without a gap.
    pub sequence: u64,
    /// Random, so that nothing of another file can be taken for part of this one.
    pub salt: u64,
    /// Who wrote it.
    pub replica: ReplicaId,
    /// Length of the file, in bytes: it has it from the start and for ever.
    pub length: u64,
    /// Last entry before this segment.
    pub(crate) previous: Option<LogId>,
    /// The log was changed on purpose: whatever the segments before have, it goes on after `previous`.
    /// Either entries were truncated that are in them, or all of them were given up, because a
    /// snapshot of another replica goes further.
    pub reset: bool,
}

impl Header {
    /// A segment of `replica` with nothing before it.
    pub fn first(salt: u64, replica: ReplicaId, length: u64) -> Header {
        Header { sequence: 1, salt, replica, length, previous: None, reset: false }
    }

    /// Its [`HEADER`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC);
        put_u32(FORMAT, &mut out);
        put_u32(u32::from(self.reset), &mut out);
        put_u64(self.sequence, &mut out);
        put_u64(self.salt, &mut out);
        put_u64(self.replica.0, &mut out);
        put_u64(self.length, &mut out);
        put_optional_log_id(self.previous.as_ref(), &mut out);
        out.resize(HEADER - 4, 0);
        put_u32(crc32c::crc32c(&out), &mut out);
        out
    }

    /// Reads it from the beginning of a segment.
    pub fn decode(bytes: &[u8]) -> Result<Header, HeaderError> {
        let head = bytes.get(..HEADER).ok_or(HeaderError::Short)?;
        let (content, sum) = head.split_at_checked(HEADER - 4).ok_or(HeaderError::Short)?;
        let content = content.strip_prefix(&MAGIC).ok_or(HeaderError::Magic)?;
        if Input(sum).u32() != Some(crc32c::crc32c(&head[..HEADER - 4])) {
            return Err(HeaderError::Checksum);
        }
        let mut input = Input(content);
        let mut read = || {
            let format = input.u32()?;
            if format != FORMAT {
                return Some(Err(HeaderError::Format(format)));
            }
            let reset = input.u32()? != 0;
            let sequence = input.u64()?;
            let salt = input.u64()?;
            let replica = ReplicaId(input.u64()?);
            let length = input.u64()?;
            let previous = input.optional_log_id()?;
            Some(Ok(Header { sequence, salt, replica, length, previous, reset }))
        };
        read().unwrap_or(Err(HeaderError::Checksum))
    }
}

/// Why the beginning of a segment is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// There are fewer bytes than a header has.
    Short,
    /// It begins otherwise.
    Magic,
    /// Its checksum does not match.
    Checksum,
    /// It has another version of the format.
    Format(u32),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Short => write!(f, "it is shorter than its header of {HEADER} bytes"),
            HeaderError::Magic => f.write_str("it does not begin as a segment of a log does"),
            HeaderError::Checksum => f.write_str("the checksum of its header does not match"),
            HeaderError::Format(found) => {
                write!(f, "it has format {found}, and this program reads format {FORMAT}")
            }
        }
    }
}

/// A frame in the making. It keeps its memory from one frame to the next.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
}

/// Where the content of an entry is in a frame under construction.
pub(crate) type Range = std::ops::Range<usize>;

impl FrameBuilder {
    /// Begins a frame.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(FRAME_HEADER, 0);
    }

    /// Has anything been added?
    pub fn is_empty(&self) -> bool {
        self.bytes.len() <= FRAME_HEADER
    }

    /// Bytes up to now.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    fn record(&mut self, kind: u8, content: impl FnOnce(&mut Vec<u8>)) -> Range {
        self.bytes.push(kind);
        let at = self.bytes.len();
        put_u32(0, &mut self.bytes);
        content(&mut self.bytes);
        let start = at + 4;
        let mut length = Vec::with_capacity(4);
        put_length(self.bytes.len() - start, &mut length);
        if let Some(place) = self.bytes.get_mut(at..start) {
            place.copy_from_slice(&length);
        }
        start..self.bytes.len()
    }

    /// Adds an entry, and says where in the frame it is.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Range {
        self.record(ENTRY, |out| crate::codec::put_entry(entry, out))
    }

    /// Adds an entry of the application's bytes, with this term and index.
    pub fn bytes(&mut self, term: u64, index: u64, bytes: &[u8]) {
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        let log_id = LogId::new(openraft::CommittedLeaderId::new(term, 1), index);
        let payload = openraft::EntryPayload::Normal(Batch { bytes, ticket: None });
        self.entry(&Entry { log_id, payload });
    }

    /// Adds that entries from `index` on do not count.
    pub(crate) fn truncate(&mut self, index: u64) {
        self.record(TRUNCATE, |out| put_u64(index, out));
    }

    /// The bytes to write at `offset` of a segment. `committed`: entries before this index are known
    /// to be committed.
    pub fn finish(&mut self, salt: u64, offset: u64, committed: u64) -> &[u8] {
        let body = self.bytes.len().saturating_sub(FRAME_HEADER);
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        let mut head = Vec::with_capacity(FRAME_HEADER);
        put_u32(MARKER, &mut head);
        put_u32(0, &mut head);
        put_length(body, &mut head);
        put_u32(0, &mut head);
        put_u64(committed, &mut head);
        if let Some(place) = self.bytes.get_mut(..FRAME_HEADER) {
            place.copy_from_slice(&head);
        }
        let sum = checksum(salt, offset, self.bytes.get(8..).unwrap_or_default());
        if let Some(place) = self.bytes.get_mut(4..8) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        &self.bytes
    }
}

fn checksum(salt: u64, offset: u64, bytes: &[u8]) -> u32 {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&salt.to_le_bytes());
    seed[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&seed), bytes)
}

/// One thing that was written.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// An entry, as [`crate::codec::entry`] reads it.
    Entry { id: LogId, content: &'a [u8] },
    /// Entries from here on do not count.
    Truncate { index: u64 },
}

/// A valid frame.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// Entries before this index were known to be committed when it was written.
    pub(crate) committed: u64,
    body: &'a [u8],
    /// Offset of the next frame.
    next: usize,
}

impl<'a> Frame<'a> {
    /// The frame at this offset of a segment, if there is a valid one.
    fn at(bytes: &'a [u8], salt: u64, offset: usize) -> Option<Frame<'a>> {
        let mut input = Input(bytes.get(offset..)?);
        if input.u32()? != MARKER {
            return None;
        }
        let sum = input.u32()?;
        let body_length = Input(input.0).length()?;
        let length = body_length.checked_add(FRAME_HEADER)?.checked_next_multiple_of(ALIGN)?;
        let covered = bytes.get(offset.checked_add(8)?..offset.checked_add(length)?)?;
        if checksum(salt, offset as u64, covered) != sum {
            return None;
        }
        let _ = (input.u32()?, input.u32()?);
        let committed = input.u64()?;
        Some(Frame { committed, body: input.take(body_length)?, next: offset + length })
    }

    /// Its records; `None` in place of one that cannot be read, which no checksum would let pass.
    pub(crate) fn records(&self) -> impl Iterator<Item = Option<Record<'a>>> {
        let mut input = Input(self.body);
        std::iter::from_fn(move || {
            if input.0.is_empty() {
                return None;
            }
            let mut read = || {
                let kind = input.u8()?;
                let length = input.length()?;
                let content = input.take(length)?;
                match kind {
                    ENTRY => Some(Record::Entry { id: Input(content).log_id()?, content }),
                    TRUNCATE => {
                        let mut content = Input(content);
                        let index = content.u64()?;
                        content.end(Record::Truncate { index })
                    }
                    _ => None,
                }
            };
            let record = read();
            if record.is_none() {
                input.0 = &[];
            }
            Some(record)
        })
    }
}

/// How far a segment can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Where the next frame belongs.
    pub offset: usize,
    /// Behind the last byte, from `offset` on, that is not zero: what a crash left of a frame.
    /// Equal to `offset` if there is none.
    pub torn: usize,
}

/// Bytes that had been durable are not what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Offset of what cannot be read.
    pub offset: usize,
    /// Offset of a valid frame behind it, if that is what shows the damage.
    pub valid: Option<usize>,
}

/// Reads the frames of a segment, in order. `bytes` is the whole file, header included.
///
/// `Err`: something valid follows what is not valid, or a frame holds what no frame can.
pub(crate) fn read<'a>(
    bytes: &'a [u8],
    salt: u64,
    mut each: impl FnMut(usize, Frame<'a>),
) -> Result<End, Damage> {
    let mut offset = HEADER;
    while let Some(frame) = Frame::at(bytes, salt, offset) {
        if frame.records().any(|record| record.is_none()) {
            return Err(Damage { offset, valid: None });
        }
        let next = frame.next;
        each(offset, frame);
        offset = next;
    }
    let rest = bytes.get(offset..).unwrap_or_default();
    let torn = offset + rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let later = (offset + ALIGN..torn).step_by(ALIGN);
    match later.into_iter().find(|later| Frame::at(bytes, salt, *later).is_some()) {
        Some(valid) => Err(Damage { offset, valid: Some(valid) }),
        None => Ok(End { offset, torn }),
    }
}

/// The content of all entries of a segment with such a header, and where they end.
pub fn contents(header: &Header, bytes: &[u8]) -> Result<(Vec<Vec<u8>>, End), Damage> {
    let mut found = Vec::new();
    let end = read(bytes, header.salt, |_, frame| {
        for record in frame.records().flatten() {
            if let Record::Entry { content, .. } = record {
                found.push(content.to_vec());
            }
        }
    })?;
    Ok((found, end))
}

#[cfg(test)]
mod tests;
