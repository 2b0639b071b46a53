//! Checkpoint streams, as little of them as a benchmark needs: the records a floor program writes,
//! and a reader for states and times.
//!
//! A record is a 4-byte big-endian length and a Thrift struct in TBinary: a union of header (1),
//! process status (2) and task status (3).

const I32: u8 = 8;
const I64: u8 = 10;
const DOUBLE: u8 = 4;
const STRING: u8 = 11;
const STRUCT: u8 = 12;

pub(crate) const WAITING: i32 = 0;
pub(crate) const FORKED: i32 = 1;
pub(crate) const RUNNING: i32 = 2;
pub(crate) const SUCCESS: i32 = 3;
pub(crate) const FAILED: i32 = 5;

/// Task states as the streams number them.
pub(crate) const TASK_SUCCESS: i32 = 1;

/// What a record says, as far as it is of interest here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Entry {
    Process { state: i32, start: Option<f64>, stop: Option<f64> },
    Task { state: i32 },
    Other,
}

/// The entries of a stream; a torn record at the end is left out, as a writer may be at work.
pub(crate) fn entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let mut rest = Cursor(bytes);
    let mut out = Vec::new();
    while let Some(length) = rest.int(4) {
        let Some(record) = usize::try_from(length).ok().and_then(|n| rest.take(n)) else { break };
        out.push(entry(record).ok_or_else(|| format!("record {} does not decode", out.len()))?);
    }
    Ok(out)
}

fn entry(record: &[u8]) -> Option<Entry> {
    let mut cursor = Cursor(record);
    let mut entry = Entry::Other;
    cursor.fields(|cursor, id, kind| {
        entry = match (id, kind) {
            (2, STRUCT) => {
                let (mut state, mut start, mut stop) = (0, None, None);
                cursor.fields(|cursor, id, kind| {
                    match id {
                        5 => state = i32::try_from(cursor.int(4)?).ok()?,
                        6 => start = Some(cursor.double()?),
                        8 => stop = Some(cursor.double()?),
                        _ => cursor.skip(kind)?,
                    }
                    Some(())
                })?;
                Entry::Process { state, start, stop }
            }
            (3, STRUCT) => {
                let mut state = 0;
                cursor.fields(|cursor, id, kind| {
                    match id {
                        1 => state = i32::try_from(cursor.int(4)?).ok()?,
                        _ => cursor.skip(kind)?,
                    }
                    Some(())
                })?;
                Entry::Task { state }
            }
            _ => {
                cursor.skip(kind)?;
                Entry::Other
            }
        };
        Some(())
    })?;
    Some(entry)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    /// An unsigned big-endian number of `n` bytes.
    fn int(&mut self, n: usize) -> Option<u64> {
        Some(self.take(n)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn double(&mut self) -> Option<f64> {
        self.int(8).map(f64::from_bits)
    }

    /// Calls `each` with id and type of every field up to the end of the struct.
    fn fields(&mut self, mut each: impl FnMut(&mut Self, u64, u8) -> Option<()>) -> Option<()> {
        loop {
            let kind = u8::try_from(self.int(1)?).ok()?;
            if kind == 0 {
                return Some(());
            }
            let id = self.int(2)?;
            each(self, id, kind)?;
        }
    }

    fn skip(&mut self, kind: u8) -> Option<()> {
        let size = |n| usize::try_from(n).ok();
        match kind {
            2 | 3 => drop(self.take(1)?),
            6 => drop(self.take(2)?),
            I32 => drop(self.take(4)?),
            I64 | DOUBLE => drop(self.take(8)?),
            STRING => {
                let length = size(self.int(4)?)?;
                self.take(length)?;
            }
            STRUCT => self.fields(|cursor, _, kind| cursor.skip(kind))?,
            13 => {
                let key = u8::try_from(self.int(1)?).ok()?;
                let value = u8::try_from(self.int(1)?).ok()?;
                for _ in 0..self.int(4)? {
                    self.skip(key)?;
                    self.skip(value)?;
                }
            }
            14 | 15 => {
                let element = u8::try_from(self.int(1)?).ok()?;
                for _ in 0..self.int(4)? {
                    self.skip(element)?;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// A process record with the fields that the given state carries; `time` is the state's own time
/// and `number` its pid or return code.
pub(crate) fn process_record(name: &str, seq: i64, state: i32, number: i32, time: f64) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, STRUCT, 0, 2];
    let mut field = |kind: u8, id: u8, value: &[&[u8]]| {
        out.extend([kind, 0, id]);
        value.iter().for_each(|part| out.extend(*part));
    };
    field(I64, 1, &[&seq.to_be_bytes()]);
    let length = u32::try_from(name.len()).unwrap_or(0);
    field(STRING, 3, &[&length.to_be_bytes(), name.as_bytes()]);
    field(I32, 5, &[&state.to_be_bytes()]);
    let (number, time) = (number.to_be_bytes(), time.to_bits().to_be_bytes());
    match state {
        WAITING => {}
        FORKED => {
            field(I32, 10, &[&number]);
            field(DOUBLE, 11, &[&time]);
        }
        RUNNING => {
            field(DOUBLE, 6, &[&time]);
            field(I32, 7, &[&number]);
        }
        _ => {
            field(DOUBLE, 8, &[&time]);
            field(I32, 9, &[&number]);
        }
    }
    out.extend([0, 0]);
    let length = u32::try_from(out.len() - 4).unwrap_or(0);
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}
