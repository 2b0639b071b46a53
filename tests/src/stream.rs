//! A reader of checkpoint streams that owes nothing to the product's own, so that what one writes
//! wrongly the other does not read rightly.
//!
//! A stream is a sequence of records, each a 4-byte big-endian length and a Thrift struct in
//! TBinary: a union of header (1), process status (2), task status (3) and log status (100).

use std::collections::BTreeMap;

const PROCESS_STATES: [&str; 7] =
    ["WAITING", "FORKED", "RUNNING", "SUCCESS", "KILLED", "FAILED", "LOST"];
const TASK_STATES: [&str; 7] =
    ["ACTIVE", "SUCCESS", "FAILED", "KILLED", "LOST", "CLEANING", "FINALIZING"];

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// What the task was started with.
    Header(BTreeMap<i16, Value>),
    /// A change of a process.
    Process(ProcessStatus),
    /// A change of the task.
    Task(TaskStatus),
    /// How far an output has been copied.
    Log(LogStatus),
}

/// A record about a log.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct LogStatus {
    pub process: String,
    pub run: i64,
    pub output: String,
    pub received: i64,
    pub dropped: i64,
    pub reason: Option<String>,
    pub console_dropped: Option<i64>,
}

/// A process record, without what only readers of our own need.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct ProcessStatus {
    pub seq: i64,
    pub process: String,
    pub state: &'static str,
    pub start_time: Option<f64>,
    pub pid: Option<i64>,
    pub stop_time: Option<f64>,
    pub return_code: Option<i64>,
    pub coordinator_pid: Option<i64>,
    pub fork_time: Option<f64>,
    pub reason: Option<String>,
}

/// A task record.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct TaskStatus {
    pub state: &'static str,
    pub timestamp_ms: i64,
    pub runner_pid: i64,
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Integer(i64),
    Double(f64),
    Text(String),
    Struct(BTreeMap<i16, Value>),
    Map(Vec<(Value, Value)>),
    List(Vec<Value>),
}

/// All complete records of a stream; one that is still being written, or torn, is left out.
/// Fails on anything else that is no record.
pub fn records(bytes: &[u8]) -> Vec<Record> {
    let mut rest = Cursor(bytes);
    let mut records = Vec::new();
    while let Some(record) = rest.integer(4).and_then(|length| rest.take(length as usize)) {
        let number = records.len();
        let parsed = Cursor(record).fields().and_then(Record::new);
        records.push(parsed.unwrap_or_else(|| panic!("record {number} is none: {record:02x?}")));
    }
    records
}

/// A short line for each record, in which processes are `NAME#SEQ STATE` and the return code if
/// there is one: easy to compare with what is expected.
pub fn states(records: &[Record]) -> Vec<String> {
    let line = |record: &Record| match record {
        Record::Header(_) => "HEADER".to_owned(),
        Record::Task(task) => format!("TASK {}", task.state),
        Record::Log(log) => format!("LOG {}/{}/{}", log.process, log.run, log.output),
        Record::Process(it) => {
            let code = it.return_code.map_or(String::new(), |code| format!(" rc={code}"));
            format!("{}#{} {}{code}", it.process, it.seq, it.state)
        }
    };
    records.iter().map(line).collect()
}

/// The records of each run of a process, from WAITING on.
pub fn runs(records: &[Record], process: &str) -> Vec<Vec<ProcessStatus>> {
    let mut runs: Vec<Vec<ProcessStatus>> = Vec::new();
    for record in records {
        match record {
            Record::Process(it) if it.process == process => match runs.last_mut() {
                Some(run) if it.state != "WAITING" => run.push(it.clone()),
                _ => runs.push(vec![it.clone()]),
            },
            _ => {}
        }
    }
    runs
}

/// How each run of a process ended, or how far it has come.
pub fn outcomes(records: &[Record], process: &str) -> Vec<&'static str> {
    runs(records, process).iter().filter_map(|run| Some(run.last()?.state)).collect()
}

/// The last state of the task.
pub fn task_state(records: &[Record]) -> Option<&'static str> {
    records.iter().rev().find_map(|record| match record {
        Record::Task(task) => Some(task.state),
        _ => None,
    })
}

impl Record {
    fn new(mut union: BTreeMap<i16, Value>) -> Option<Record> {
        let (id, Value::Struct(fields)) = union.pop_first()? else { return None };
        let integer = |id| match fields.get(&id)? {
            Value::Integer(value) => Some(*value),
            _ => None,
        };
        let double = |id| match fields.get(&id)? {
            Value::Double(value) => Some(*value),
            _ => None,
        };
        let text = |id| match fields.get(&id)? {
            Value::Text(value) => Some(value.clone()),
            _ => None,
        };
        let state =
            |names: &[&'static str], id| names.get(usize::try_from(integer(id)?).ok()?).copied();
        Some(match id {
            1 => Record::Header(fields),
            2 => Record::Process(ProcessStatus {
                seq: integer(1)?,
                process: text(3)?,
                state: state(&PROCESS_STATES, 5)?,
                start_time: double(6),
                pid: integer(7),
                stop_time: double(8),
                return_code: integer(9),
                coordinator_pid: integer(10),
                fork_time: double(11),
                reason: text(102),
            }),
            3 => Record::Task(TaskStatus {
                state: state(&TASK_STATES, 1)?,
                timestamp_ms: integer(2)?,
                runner_pid: integer(3)?,
            }),
            100 => Record::Log(LogStatus {
                process: text(1)?,
                run: integer(2)?,
                output: text(3)?,
                received: integer(5)?,
                dropped: integer(6)?,
                reason: text(7),
                console_dropped: integer(8),
            }),
            _ => return None,
        })
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n)?;
        self.0 = tail;
        Some(head)
    }

    /// A signed big-endian number of `n` bytes.
    fn integer(&mut self, n: usize) -> Option<i64> {
        let bytes = self.take(n)?;
        let filler = if bytes.first()? & 0x80 == 0 { 0 } else { -1 };
        Some(bytes.iter().fold(filler, |sum, byte| sum << 8 | i64::from(*byte)))
    }

    fn kind(&mut self) -> Option<u8> {
        Some(*self.take(1)?.first()?)
    }

    fn fields(&mut self) -> Option<BTreeMap<i16, Value>> {
        let mut fields = BTreeMap::new();
        loop {
            let kind = self.kind()?;
            if kind == 0 {
                return Some(fields);
            }
            let id = i16::try_from(self.integer(2)?).ok()?;
            fields.insert(id, self.value(kind)?);
        }
    }

    fn value(&mut self, kind: u8) -> Option<Value> {
        Some(match kind {
            2 | 3 => Value::Integer(self.integer(1)?),
            4 => Value::Double(f64::from_bits(self.integer(8)? as u64)),
            6 => Value::Integer(self.integer(2)?),
            8 => Value::Integer(self.integer(4)?),
            10 => Value::Integer(self.integer(8)?),
            11 => {
                let length = usize::try_from(self.integer(4)?).ok()?;
                Value::Text(String::from_utf8_lossy(self.take(length)?).into_owned())
            }
            12 => Value::Struct(self.fields()?),
            13 => {
                let (key, value, count) = (self.kind()?, self.kind()?, self.integer(4)?);
                let pair = |_| Some((self.value(key)?, self.value(value)?));
                Value::Map((0..count).map(pair).collect::<Option<_>>()?)
            }
            14 | 15 => {
                let (kind, count) = (self.kind()?, self.integer(4)?);
                let element = |_| self.value(kind);
                Value::List((0..count).map(element).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams that the original left, and what its own reader made of them.
    #[test]
    fn streams_of_the_original_are_read() {
        let fixtures = crate::workspace().join("fixtures");
        let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
        let text = String::from_utf8(read("golden/recovery_running/states.txt")).unwrap();
        let all: Vec<&str> = text.lines().collect();
        let bytes = read("checkpoints/recovery_running/snap.at_kill/runner");
        let parsed = records(&bytes);
        assert_eq!(states(&parsed), all[..parsed.len()]);
        assert!(parsed.len() > 3);
        let Record::Header(header) = &parsed[1] else { panic!("no header") };
        assert_eq!(header.get(&4), Some(&Value::Text("host.example".to_owned())));
        assert_eq!(header.get(&6), Some(&Value::Map(Vec::new())));
        let torn = &bytes[..bytes.len() - 7];
        assert_eq!(records(torn), parsed[..parsed.len() - 1]);
    }
}
