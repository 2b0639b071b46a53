//! The format of a snapshot: a stream of checksummed chunks.
//!
//! ```text
//! header (32 bytes): magic, format, salt, checksum
//! chunk:  kind u32 | length u32 | crc32c u32 | content
//! ```
//!
//! One chunk of metadata, any of data, one end, which counts what came before. All numbers are
//! little-endian. A checksum covers the salt of the file, the number of the chunk, its kind, length
//! and content: chunks cannot change places. A snapshot gets its name when it is durable, so anything
//! that is not whole is damage.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use crate::codec::{
    Input, put_length, put_optional_log_id, put_stored_membership, put_u32, put_u64,
};
use crate::types::{LogId, Position, SnapshotMeta, StoredMembership};

const MAGIC: [u8; 8] = *b"raftsnap";

/// Version of the format of snapshots.
pub const FORMAT: u32 = 1;

const HEADER: usize = 32;
const CHUNK_HEADER: usize = 12;

/// Content of a chunk when it is written, in bytes.
const CHUNK: usize = 1 << 20;

/// Longest content of a chunk that is read, in bytes.
const MAX_CHUNK: usize = 16 << 20;

const META: u32 = 1;
const DATA: u32 = 2;
const END: u32 = 3;

/// What a snapshot is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Last entry of raft in it.
    pub(crate) last: Option<LogId>,
    /// The membership then.
    pub(crate) membership: StoredMembership,
    /// Last entry of the application in it.
    pub position: Position,
}

impl Meta {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_optional_log_id(self.last.as_ref(), &mut out);
        put_stored_membership(&self.membership, &mut out);
        put_u64(self.position.0, &mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Meta> {
        let mut input = Input(bytes);
        let last = input.optional_log_id()?;
        let membership = input.stored_membership()?;
        let position = Position(input.u64()?);
        input.end(Meta { last, membership, position })
    }

    /// The same for raft.
    pub(crate) fn raft(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.last,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{}-{}", last_index(self), self.position),
        }
    }
}

fn last_index(meta: &Meta) -> u64 {
    meta.last.map_or(0, |id| id.index)
}

fn checksum(salt: u64, number: u64, head: &[u8], content: &[u8]) -> u32 {
    let mut seed = [0; 16];
    seed[..8].copy_from_slice(&salt.to_le_bytes());
    seed[8..].copy_from_slice(&number.to_le_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&seed), head);
    crc32c::crc32c_append(sum, content)
}

/// Writes a snapshot.
pub struct Writer<W> {
    out: W,
    salt: u64,
    number: u64,
    /// Bytes of data in chunks that were written.
    data: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins one. `salt` is random.
    pub fn new(mut out: W, salt: u64, meta: &Meta) -> io::Result<Writer<W>> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&MAGIC);
        put_u32(FORMAT, &mut header);
        put_u32(0, &mut header);
        put_u64(salt, &mut header);
        header.resize(HEADER - 4, 0);
        put_u32(crc32c::crc32c(&header), &mut header);
        out.write_all(&header)?;
        let mut writer = Writer { out, salt, number: 0, data: 0, buffer: Vec::new() };
        writer.chunk(META, &meta.encode())?;
        writer.buffer.reserve_exact(CHUNK);
        Ok(writer)
    }

    fn chunk(&mut self, kind: u32, content: &[u8]) -> io::Result<()> {
        let mut head = Vec::with_capacity(CHUNK_HEADER);
        put_u32(kind, &mut head);
        put_length(content.len(), &mut head);
        put_u32(checksum(self.salt, self.number, &head, content), &mut head);
        self.number += 1;
        self.out.write_all(&head)?;
        self.out.write_all(content)
    }

    fn flush_chunk(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            let content = std::mem::take(&mut self.buffer);
            let done = self.chunk(DATA, &content);
            self.data += content.len() as u64;
            self.buffer = content;
            self.buffer.clear();
            done?;
        }
        Ok(())
    }

    /// Ends it, and gives back where it went and how many bytes of data it has. Without this it is
    /// not whole.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        self.flush_chunk()?;
        let mut content = Vec::new();
        put_u64(self.data, &mut content);
        put_u64(self.number, &mut content);
        self.chunk(END, &content)?;
        self.out.flush()?;
        Ok((self.out, self.data))
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.buffer.len();
        let n = room.min(bytes.len());
        self.buffer.extend_from_slice(bytes.get(..n).unwrap_or_default());
        if self.buffer.len() >= CHUNK {
            self.flush_chunk()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a snapshot cannot be read.
#[derive(Debug)]
pub enum Error {
    /// Reading failed.
    Io(io::Error),
    /// The file is not what was written.
    Damage {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What.
        what: &'static str,
    },
    /// It has another version of the format.
    Format(u32),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io(error) => write!(f, "{error}"),
            Error::Damage { offset, what } => write!(f, "damaged at byte {offset}: {what}"),
            Error::Format(found) => {
                write!(f, "it has format {found}, and this program reads format {FORMAT}")
            }
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Io(error) => error,
            other => io::Error::new(ErrorKind::InvalidData, other.to_string()),
        }
    }
}

/// Reads a snapshot: its data through [`Read`], which ends with an error where it is damaged.
pub struct Reader<R> {
    input: R,
    salt: u64,
    number: u64,
    /// Bytes read from `input`.
    offset: u64,
    /// Bytes of data in chunks that were read.
    data: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was given out.
    given: usize,
    ended: bool,
    /// The first damage that was found: nothing is read after it.
    damage: Option<(u64, &'static str)>,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    pub fn new(input: R) -> Result<(Reader<R>, Meta), Error> {
        let mut reader = Reader {
            input,
            salt: 0,
            number: 0,
            offset: 0,
            data: 0,
            buffer: Vec::new(),
            given: 0,
            ended: false,
            damage: None,
        };
        let mut header = [0; HEADER];
        reader.fill(&mut header)?;
        let damage = |what| Error::Damage { offset: 0, what };
        let content = header.strip_prefix(&MAGIC).ok_or(damage("it does not begin as one does"))?;
        if Input(&header[HEADER - 4..]).u32() != Some(crc32c::crc32c(&header[..HEADER - 4])) {
            return Err(damage("the checksum of its header does not match"));
        }
        let mut fields = Input(content);
        let read = (fields.u32(), fields.u32(), fields.u64());
        let (Some(format), Some(_), Some(salt)) = read else {
            return Err(damage("its header is too short"));
        };
        if format != FORMAT {
            return Err(Error::Format(format));
        }
        reader.salt = salt;
        let at = reader.offset;
        let damage = |what| Error::Damage { offset: at, what };
        if reader.chunk()? != META {
            return Err(damage("its metadata does not come first"));
        }
        let meta = Meta::decode(&reader.buffer).ok_or(damage("its metadata cannot be read"))?;
        reader.buffer.clear();
        Ok((reader, meta))
    }

    fn damage(&self, what: &'static str) -> Error {
        Error::Damage { offset: self.offset, what }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        match self.input.read_exact(buffer) {
            Ok(()) => {
                self.offset += buffer.len() as u64;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Err(self.damage("the file ends in the middle of this part"))
            }
            Err(error) => Err(Error::Io(error)),
        }
    }

    /// Reads a chunk into the buffer, and says of which kind it is.
    fn chunk(&mut self) -> Result<u32, Error> {
        let start = self.offset;
        let at_start = |what| Error::Damage { offset: start, what };
        let mut head = [0; CHUNK_HEADER];
        self.fill(&mut head)?;
        let mut fields = Input(&head);
        let (Some(kind), Some(length), Some(sum)) = (fields.u32(), fields.length(), fields.u32())
        else {
            return Err(at_start("a chunk without a header"));
        };
        if length > MAX_CHUNK || !matches!(kind, META | DATA | END) {
            return Err(at_start("no chunk begins like this"));
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length, 0);
        let filled = self.fill(&mut buffer);
        self.buffer = buffer;
        filled?;
        if checksum(self.salt, self.number, &head[..8], &self.buffer) != sum {
            return Err(at_start("the checksum of a chunk does not match"));
        }
        self.number += 1;
        self.given = 0;
        Ok(kind)
    }

    /// Reads chunks until there is something to give out, or the end.
    fn advance(&mut self) -> Result<(), Error> {
        if let Some((offset, what)) = self.damage {
            return Err(Error::Damage { offset, what });
        }
        let result = self.next_chunks();
        if let Err(Error::Damage { offset, what }) = result {
            self.damage = Some((offset, what));
            self.buffer.clear();
            self.given = 0;
        }
        result
    }

    fn next_chunks(&mut self) -> Result<(), Error> {
        while !self.ended && self.given == self.buffer.len() {
            let start = self.offset;
            match self.chunk()? {
                DATA => self.data += self.buffer.len() as u64,
                END => {
                    let mut fields = Input(&self.buffer);
                    let counts = (fields.u64(), fields.u64());
                    if counts != (Some(self.data), Some(self.number - 1)) {
                        let what = "the counts at its end do not match";
                        return Err(Error::Damage { offset: start, what });
                    }
                    let mut more = [0];
                    match self.input.read(&mut more) {
                        Ok(0) => {}
                        Ok(_) => return Err(self.damage("something follows its end")),
                        Err(error) => return Err(Error::Io(error)),
                    }
                    self.buffer.clear();
                    self.given = 0;
                    self.ended = true;
                }
                _ => {
                    let what = "metadata in the middle";
                    return Err(Error::Damage { offset: start, what });
                }
            }
        }
        Ok(())
    }

    /// Reads the rest, so that damage in it is found, and says how many bytes of data that was and
    /// how many there are.
    pub fn finish(mut self) -> Result<(u64, u64), Error> {
        let mut left = 0;
        loop {
            left += (self.buffer.len() - self.given) as u64;
            self.given = self.buffer.len();
            if self.ended {
                return Ok((left, self.data));
            }
            self.advance()?;
        }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.buffer.len() {
            self.advance()?;
        }
        let ready = self.buffer.get(self.given..).unwrap_or_default();
        let n = ready.len().min(out.len());
        if let (Some(out), Some(ready)) = (out.get_mut(..n), ready.get(..n)) {
            out.copy_from_slice(ready);
        }
        self.given += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::codec::tests::id;
    use crate::types::Membership;

    fn meta() -> Meta {
        let membership = Membership::new(vec![BTreeSet::from([1, 2, 3])], None);
        Meta {
            last: Some(id(3, 99)),
            membership: StoredMembership::new(Some(id(1, 2)), membership),
            position: Position(1234),
        }
    }

    fn write(pieces: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 42, &meta()).unwrap();
        for piece in pieces {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn read(bytes: &[u8]) -> Result<(Meta, Vec<u8>), io::Error> {
        let (mut reader, meta) = Reader::new(bytes)?;
        let mut data = Vec::new();
        reader.read_to_end(&mut data)?;
        let total = data.len() as u64;
        assert_eq!(reader.finish()?, (0, total));
        Ok((meta, data))
    }

    #[test]
    fn comes_back_in_any_pieces() {
        let large = vec![7; CHUNK * 2 + 5];
        for pieces in [&[][..], &[&b""[..]], &[b"a", b"bc"], &[&large, b"x", &large]] {
            let bytes = write(pieces);
            assert_eq!(read(&bytes).unwrap(), (meta(), pieces.concat()));
        }
    }

    #[test]
    fn cut_at_every_byte_is_damage() {
        let bytes = write(&[b"some data"]);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn flipped_at_every_bit_is_damage() {
        let bytes = write(&[b"some data"]);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let error = read(&bytes).expect_err("flip went unnoticed");
                assert!(error.to_string().contains("damaged at byte"), "{error}");
            }
        }
    }

    #[test]
    fn something_behind_the_end_is_damage() {
        let mut bytes = write(&[b"x"]);
        bytes.push(0);
        assert!(read(&bytes).is_err());
    }

    #[test]
    fn chunks_cannot_change_places() {
        let data = [vec![1; CHUNK], vec![2; CHUNK]].concat();
        let bytes = write(&[&data]);
        let first = bytes.len() - (CHUNK_HEADER + 16) - 2 * (CHUNK_HEADER + CHUNK);
        let second = first + CHUNK_HEADER + CHUNK;
        let mut swapped = bytes.clone();
        swapped[first..second].copy_from_slice(&bytes[second..second + CHUNK_HEADER + CHUNK]);
        swapped[second..second + CHUNK_HEADER + CHUNK].copy_from_slice(&bytes[first..second]);
        assert!(read(&bytes).is_ok());
        assert!(read(&swapped).is_err());
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = write(&[]);
        bytes[8] = 9;
        let sum = crc32c::crc32c(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
        assert!(read(&bytes).unwrap_err().to_string().contains("format 9"));
    }

    #[test]
    fn what_is_left_unread_is_counted_and_checked() {
        let bytes = write(&[b"some data"]);
        let (mut reader, _) = Reader::new(&bytes[..]).unwrap();
        reader.read_exact(&mut [0; 4]).unwrap();
        assert_eq!(reader.finish().unwrap(), (5, 9));
        let (reader, _) = Reader::new(&bytes[..bytes.len() - 1]).unwrap();
        assert!(reader.finish().is_err());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes).is_err());
            let mut behind = write(&[b"x"]);
            behind.truncate(HEADER);
            behind.extend_from_slice(&bytes);
            prop_assert!(read(&behind).is_err());
        }
    }
}
