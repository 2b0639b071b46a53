//! Checkpoint streams: framing, a tolerant reader, and a writer that batches.
//!
//! A stream is a concatenation of records: 4 bytes of length (unsigned, big-endian) and one
//! `RunnerCkpt` in the Thrift binary protocol. No header, no checksum, no padding. Records above
//! 64 MiB are refused, as the original does.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use aurora_api::thermos::RunnerCkpt;
use thrift_wire::binary;

/// The largest payload that a reader accepts, in bytes.
pub const MAX_RECORD: usize = 64 << 20;

/// Bytes read at a time from a stream that may be long.
const CHUNK: usize = 16 << 10;

/// Bytes read at a time from a stream of which only the newest record is of interest.
const SHORT_CHUNK: usize = 1 << 10;

/// What is wrong with a stream.
#[derive(Debug)]
pub enum StreamError {
    /// The file could not be read.
    Io(io::Error),
    /// A complete record is not one that can be understood.
    Corrupt {
        /// Where the record starts, in bytes from the start of the stream.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StreamError::Io(error) => write!(f, "cannot read: {error}"),
            StreamError::Corrupt { offset, reason } => {
                write!(f, "corrupt record at byte {offset}: {reason}")
            }
        }
    }
}

impl std::error::Error for StreamError {}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        StreamError::Io(error)
    }
}

/// What a reader found at its position.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// A record.
    Record(RunnerCkpt),
    /// The end of the stream, after a complete record.
    End,
    /// The stream ends inside a record (or in zeros, as a file system leaves them after a power
    /// failure): so many bytes are there. A reader that follows a stream tries again later; for a
    /// reader of a stream that nobody writes any more this is a torn tail.
    Torn(u64),
}

/// Something that can be read at an offset; a file, or bytes in memory.
pub trait Source {
    /// Reads up to `buf.len()` bytes at `offset`; 0 means the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl Source for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buf, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Source for &[u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let n = buf.len().min(self.len() - start);
        buf[..n].copy_from_slice(&self[start..start + n]);
        Ok(n)
    }
}

/// Reads records one after the other and remembers where it is.
#[derive(Debug)]
pub struct Reader {
    /// Where the next record starts.
    offset: u64,
    buffer: Vec<u8>,
    /// Offset of the first byte in `buffer`.
    buffered_at: u64,
    chunk: usize,
    /// Did the last read bring less than was asked for?
    ended: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

impl Reader {
    /// A reader at the start of a stream.
    pub fn new() -> Reader {
        Reader { offset: 0, buffer: Vec::new(), buffered_at: 0, chunk: CHUNK, ended: false }
    }

    /// A reader that will be pointed at the newest records of many streams.
    pub fn short() -> Reader {
        Reader { chunk: SHORT_CHUNK, ..Reader::new() }
    }

    /// Continues at `offset`, perhaps of another stream.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
        self.buffered_at = offset;
        self.buffer.clear();
        self.ended = false;
    }

    /// Has everything been returned that was there at the last look? Saves a reader that is told
    /// of every record another look.
    pub fn is_drained(&self) -> bool {
        self.ended && self.available().is_empty()
    }

    /// Where the next record starts, in bytes from the start of the stream.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn available(&self) -> &[u8] {
        let skip = usize::try_from(self.offset - self.buffered_at).unwrap_or(usize::MAX);
        self.buffer.get(skip..).unwrap_or_default()
    }

    /// Reads until at least `want` bytes from the current offset are buffered or the end is reached.
    fn fill(&mut self, source: &impl Source, want: usize) -> io::Result<()> {
        if self.available().len() >= want {
            return Ok(());
        }
        let skip = self.buffer.len() - self.available().len();
        self.buffer.drain(..skip);
        self.buffered_at = self.offset;
        // A length field is not believed until the bytes are there: memory grows with what is read.
        while self.buffer.len() < want {
            let filled = self.buffer.len();
            self.buffer.resize(filled + self.chunk, 0);
            let n = source.read_at(&mut self.buffer[filled..], self.buffered_at + filled as u64);
            self.buffer.truncate(filled + n.as_ref().map_or(0, |n| *n));
            let n = n?;
            self.ended = n < self.chunk;
            if n == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The next record. After `End` and `Torn` the position is unchanged, so the call can be repeated
    /// when the stream may have grown.
    pub fn next(&mut self, source: &impl Source) -> Result<Next, StreamError> {
        self.fill(source, 4)?;
        let available = self.available();
        let Some(header) = available.first_chunk::<4>() else {
            return Ok(match available.len() {
                0 => Next::End,
                n => self.torn(n),
            });
        };
        let length = u32::from_be_bytes(*header) as usize;
        if length > MAX_RECORD {
            return Err(self.corrupt(format!(
                "the record says that it has {length} bytes, more than the {MAX_RECORD} allowed"
            )));
        }
        self.fill(source, 4 + length)?;
        let available = self.available();
        let Some(payload) = available.get(4..4 + length) else {
            return Ok(self.torn(available.len()));
        };
        match binary::from_slice::<RunnerCkpt>(payload) {
            Ok(record) => {
                self.offset += 4 + length as u64;
                Ok(Next::Record(record))
            }
            Err(error) => {
                let error = error.to_string();
                match self.zeros_to_the_end(source)? {
                    Some(n) => Ok(Next::Torn(n)),
                    None => Err(self.corrupt(error)),
                }
            }
        }
    }

    fn torn(&mut self, n: usize) -> Next {
        // What is here will be completed by another write: read it again then.
        self.buffer.clear();
        self.buffered_at = self.offset;
        Next::Torn(n as u64)
    }

    fn corrupt(&self, reason: String) -> StreamError {
        StreamError::Corrupt { offset: self.offset, reason }
    }

    /// How many bytes follow, if all of them are zero.
    fn zeros_to_the_end(&self, source: &impl Source) -> io::Result<Option<u64>> {
        let mut chunk = [0u8; 4096];
        let mut at = self.offset;
        loop {
            let n = source.read_at(&mut chunk, at)?;
            if n == 0 {
                return Ok(Some(at - self.offset));
            }
            if chunk[..n].iter().any(|byte| *byte != 0) {
                return Ok(None);
            }
            at += n as u64;
        }
    }
}

/// Appends one record, framed, to a buffer.
pub fn frame(record: &RunnerCkpt, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.extend([0; 4]);
    binary::append(record, buffer);
    let length = (buffer.len() - start - 4) as u32;
    buffer[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Collects records and writes them with one system call.
///
/// The rule of the runner: nothing is acted upon before its record is committed, that is, in the page
/// cache, where it survives the death of any process.
#[derive(Debug)]
pub struct Writer {
    file: File,
    pending: Vec<u8>,
    /// Bytes of complete records in the file.
    length: u64,
}

impl Writer {
    /// A writer that appends after the first `length` bytes of `file`, which was opened for appending.
    pub fn new(file: File, length: u64) -> Writer {
        Writer { file, pending: Vec::new(), length }
    }

    /// The file, for locks and syncs.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Adds a record to what the next commit writes.
    pub fn push(&mut self, record: &RunnerCkpt) {
        frame(record, &mut self.pending);
    }

    /// Is there anything to commit?
    pub fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what is pending. After an error nothing of it is in the file (a torn tail is cut off)
    /// and the call can be repeated.
    pub fn commit(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = (&self.file).write_all(&self.pending) {
            // Cutting frees no space that is needed and cannot fail for lack of it.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += self.pending.len() as u64;
        self.pending.clear();
        // One big burst must not hold its memory for the life of the task.
        self.pending.shrink_to(4096);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_api::thermos::{TaskState, TaskStatus};
    use proptest::prelude::*;

    fn record(pid: i32) -> RunnerCkpt {
        RunnerCkpt::TaskStatus(TaskStatus {
            state: Some(TaskState::ACTIVE),
            timestamp_ms: Some(0x01a1_f8a9_7c32),
            runner_pid: Some(pid),
            runner_uid: Some(0),
            ..TaskStatus::default()
        })
    }

    fn all(bytes: &[u8]) -> (Vec<RunnerCkpt>, Result<Next, StreamError>) {
        let mut reader = Reader::new();
        let mut records = Vec::new();
        loop {
            match reader.next(&bytes) {
                Ok(Next::Record(record)) => records.push(record),
                other => return (records, other),
            }
        }
    }

    #[test]
    fn the_first_record_byte_by_byte() {
        let mut bytes = Vec::new();
        frame(&record(0x53d9), &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "000000250c000308000100000000\
             0a0002000001a1f8a97c32080003000053d908000400000000\
             0000"
        );
    }

    #[test]
    fn every_cut_is_a_torn_tail_and_nothing_before_it_is_lost() {
        let mut bytes = Vec::new();
        let ends: Vec<usize> = (0..3)
            .map(|i| {
                frame(&record(i), &mut bytes);
                bytes.len()
            })
            .collect();
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (records, last) = all(&bytes[..cut]);
            assert_eq!(records.len(), whole);
            let start = ends[..whole].last().copied().unwrap_or(0);
            match last.unwrap() {
                Next::End => assert_eq!(cut, start),
                Next::Torn(n) => assert_eq!(n as usize, cut - start),
                Next::Record(_) => unreachable!(),
            }
        }
    }

    #[test]
    fn a_tail_of_zeros_is_torn() {
        for n in 1..70 {
            let mut bytes = Vec::new();
            frame(&record(1), &mut bytes);
            bytes.extend(vec![0; n]);
            let (records, last) = all(&bytes);
            assert_eq!((records.len(), last.unwrap()), (1, Next::Torn(n as u64)));
        }
    }

    #[test]
    fn oversize_and_garbage_are_corrupt() {
        let mut bytes = Vec::new();
        frame(&record(1), &mut bytes);
        let mut oversize = bytes.clone();
        oversize.extend((MAX_RECORD as u32 + 1).to_be_bytes());
        let error = all(&oversize).1.unwrap_err().to_string();
        assert!(error.contains("at byte 41") && error.contains("67108865"), "{error}");
        let mut garbage = bytes.clone();
        garbage.extend([0, 0, 0, 2, 99, 99]);
        garbage.extend(&bytes);
        assert!(matches!(all(&garbage).1, Err(StreamError::Corrupt { offset: 41, .. })));
    }

    #[test]
    fn a_follower_sees_what_is_appended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runner");
        let open = || File::options().create(true).append(true).read(true).open(&path).unwrap();
        let mut writer = Writer::new(open(), 0);
        let (file, mut reader) = (open(), Reader::new());
        assert_eq!(reader.next(&file).unwrap(), Next::End);
        let mut bytes = Vec::new();
        frame(&record(7), &mut bytes);
        (&file).write_all(&bytes[..10]).unwrap();
        assert_eq!(reader.next(&file).unwrap(), Next::Torn(10));
        (&file).write_all(&bytes[10..]).unwrap();
        assert_eq!(reader.next(&file).unwrap(), Next::Record(record(7)));
        writer.push(&record(8));
        writer.push(&record(9));
        assert_eq!(reader.next(&file).unwrap(), Next::End, "nothing is written before the commit");
        writer.commit().unwrap();
        reader.seek(reader.offset());
        assert_eq!(reader.next(&file).unwrap(), Next::Record(record(8)));
        assert_eq!(reader.next(&file).unwrap(), Next::Record(record(9)));
        assert_eq!(reader.next(&file).unwrap(), Next::End);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = all(&bytes);
        }
    }
}
