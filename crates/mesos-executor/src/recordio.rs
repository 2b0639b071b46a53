//! RecordIO, the framing of Mesos' event streams: each record is its length in decimal digits, a
//! line feed, and as many bytes. Nothing follows a record but the next one.
//!
//! The borders of reads and of HTTP chunks mean nothing here.

use std::fmt;

/// Most digits of a length; more could only be leading zeros or a length beyond any cap.
const MAX_DIGITS: u8 = 20;

/// Why bytes are not a stream of records. The stream is of no use after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A length has a byte that is no digit, or has no digit at all.
    BadLength {
        /// The byte.
        byte: u8,
    },
    /// A length is above the cap.
    TooLong {
        /// The length, in bytes; `u64::MAX` stands for more than that.
        length: u64,
        /// The cap, in bytes.
        max: usize,
    },
    /// The stream ended inside a record.
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadLength { byte } => {
                write!(f, "failed to read the length of a record: '{}'", byte.escape_ascii())
            }
            Self::TooLong { length, max } => {
                write!(f, "a record of {length} bytes is longer than {max} bytes")
            }
            Self::Truncated => f.write_str("the stream ended inside a record"),
        }
    }
}

impl std::error::Error for Error {}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a length.
    Length { value: u64, digits: u8 },
    /// In the bytes of a record of this length.
    Bytes { length: usize, bytes: Vec<u8> },
    /// An error was found.
    Failed(Error),
}

const START: State = State::Length { value: 0, digits: 0 };

/// Takes a stream of bytes apart, in whatever pieces it comes.
///
/// ```
/// # use mesos_executor::recordio::{Decoder, Error};
/// let mut decoder = Decoder::new(1024);
/// let mut piece: &[u8] = b"5\nhello5\nwor";
/// assert_eq!(decoder.next(&mut piece)?, Some(b"hello".to_vec()));
/// assert_eq!(decoder.next(&mut piece)?, None);
/// assert!(piece.is_empty());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    max: usize,
    state: State,
}

impl Decoder {
    /// A decoder at the start of a stream that takes no record longer than `max` bytes. Such a
    /// record is refused when its length was read; none of its bytes is kept.
    pub fn new(max: usize) -> Self {
        Self { max, state: START }
    }

    /// Takes bytes off the front of `input` up to the end of a record. `None`: all of `input` was
    /// taken and the record goes on in the next piece. An error comes again at every later call.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, Error> {
        loop {
            match &mut self.state {
                State::Failed(error) => return Err(error.clone()),
                State::Length { value, digits } => {
                    let Some((&byte, rest)) = input.split_first() else { return Ok(None) };
                    *input = rest;
                    match byte {
                        b'0'..=b'9' => {
                            let digit = u64::from(byte - b'0');
                            let next = value.checked_mul(10).and_then(|v| v.checked_add(digit));
                            *digits = digits.saturating_add(1);
                            match next {
                                Some(next) if next <= self.max as u64 && *digits <= MAX_DIGITS => {
                                    *value = next;
                                }
                                // Refused as soon as that is certain: a length without end is not
                                // worth reading.
                                _ => {
                                    let length = next.unwrap_or(u64::MAX);
                                    return self.fail(Error::TooLong { length, max: self.max });
                                }
                            }
                        }
                        b'\n' if *digits > 0 => {
                            let length = usize::try_from(*value).unwrap_or(usize::MAX);
                            self.state = State::Bytes { length, bytes: Vec::new() };
                        }
                        _ => return self.fail(Error::BadLength { byte }),
                    }
                }
                State::Bytes { length, bytes } => {
                    let missing = length.saturating_sub(bytes.len());
                    let (now, rest) = input.split_at(missing.min(input.len()));
                    bytes.extend_from_slice(now);
                    *input = rest;
                    if now.len() < missing {
                        return Ok(None);
                    }
                    let record = std::mem::take(bytes);
                    self.state = START;
                    return Ok(Some(record));
                }
            }
        }
    }

    /// The stream ended: was that between two records?
    pub fn finish(&self) -> Result<(), Error> {
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            state if *state == START => Ok(()),
            _ => Err(Error::Truncated),
        }
    }

    fn fail<T>(&mut self, error: Error) -> Result<T, Error> {
        self.state = State::Failed(error.clone());
        Err(error)
    }
}

/// Appends a record to a stream.
pub fn encode(record: &[u8], stream: &mut Vec<u8>) {
    stream.extend_from_slice(record.len().to_string().as_bytes());
    stream.push(b'\n');
    stream.extend_from_slice(record);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn all(max: usize, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), Error>) {
        let mut decoder = Decoder::new(max);
        let mut records = Vec::new();
        for piece in pieces {
            let mut piece = *piece;
            loop {
                match decoder.next(&mut piece) {
                    Ok(Some(record)) => records.push(record),
                    Ok(None) => break,
                    Err(error) => return (records, Err(error)),
                }
            }
            assert!(piece.is_empty());
        }
        (records, decoder.finish())
    }

    #[rstest]
    #[case::nothing(b"", &[], Ok(()))]
    #[case::empty(b"0\n", &[b"" as &[u8]], Ok(()))]
    #[case::empty_twice(b"0\n0\n", &[b"" as &[u8], b""], Ok(()))]
    #[case::one(b"3\nabc", &[b"abc" as &[u8]], Ok(()))]
    #[case::leading_zeros(b"003\nabc", &[b"abc" as &[u8]], Ok(()))]
    #[case::line_feeds_inside(b"2\n\n\n1\n\n", &[b"\n\n" as &[u8], b"\n"], Ok(()))]
    #[case::cap(b"9\n123456789", &[b"123456789" as &[u8]], Ok(()))]
    #[case::above_cap(b"10\n", &[], Err(Error::TooLong { length: 10, max: 9 }))]
    #[case::far_above(b"99", &[], Err(Error::TooLong { length: 99, max: 9 }))]
    #[case::zeros_for_ever(b"000000000000000000001\na", &[], Err(Error::TooLong { length: 1, max: 9 }))]
    #[case::no_length(b"\n", &[], Err(Error::BadLength { byte: b'\n' }))]
    #[case::sign(b"-1\n", &[], Err(Error::BadLength { byte: b'-' }))]
    #[case::carriage_return(b"1\r\na", &[], Err(Error::BadLength { byte: b'\r' }))]
    #[case::after_a_record(b"1\nab", &[b"a" as &[u8]], Err(Error::BadLength { byte: b'b' }))]
    #[case::short(b"3\nab", &[], Err(Error::Truncated))]
    #[case::in_length(b"3", &[], Err(Error::Truncated))]
    fn streams(#[case] stream: &[u8], #[case] records: &[&[u8]], #[case] end: Result<(), Error>) {
        let expected = (records.iter().map(|r| r.to_vec()).collect::<Vec<_>>(), end);
        assert_eq!(all(9, &[stream]), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(all(9, &bytes), expected);
        for cut in 0..stream.len() {
            let (a, b) = stream.split_at(cut);
            assert_eq!(all(9, &[a, b]), expected);
        }
    }

    #[test]
    fn errors_stay() {
        let mut decoder = Decoder::new(9);
        let error = decoder.next(&mut b"x".as_slice());
        assert_eq!(error, Err(Error::BadLength { byte: b'x' }));
        assert_eq!(decoder.next(&mut b"1\na".as_slice()), error);
        assert_eq!(decoder.finish(), Err(Error::BadLength { byte: b'x' }));
    }

    #[test]
    fn texts() {
        let text = |e: Error| e.to_string();
        assert_eq!(
            text(Error::BadLength { byte: b'\n' }),
            "failed to read the length of a record: '\\n'"
        );
        assert_eq!(
            text(Error::TooLong { length: 10, max: 9 }),
            "a record of 10 bytes is longer than 9 bytes"
        );
        assert_eq!(text(Error::Truncated), "the stream ended inside a record");
    }

    proptest! {
        #[test]
        fn any_pieces(records: Vec<Vec<u8>>, cuts in prop::collection::vec(1usize..40, 1..20)) {
            let mut stream = Vec::new();
            for record in &records {
                encode(record, &mut stream);
            }
            let mut pieces = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                pieces.push(piece);
                rest = later;
            }
            prop_assert_eq!(all(1 << 20, &pieces), (records, Ok(())));
        }

        #[test]
        fn any_bytes(pieces: Vec<Vec<u8>>) {
            let parts: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(all(64, &parts), all(64, &[&pieces.concat()]));
        }
    }
}
