//! Reading a log to its end, when it is opened.

use super::writer::Tail;
use super::*;

pub(super) fn read_vote(disk: &dyn Disk, path: &Path) -> Result<Voted, OpenError> {
    let file = path.join(VOTE);
    let bytes = disk.open(VOTE).and_then(|file| read_all(&*file));
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::missing(&file, "what this replica voted is not known"));
        }
        Err(error) => return Err(OpenError::io("read", &file, error)),
    };
    seal::decode_vote(&bytes).map_err(|broken| OpenError::damaged(&file, 0, &broken.to_string()))
}

/// What a scan found.
pub(super) struct Scan {
    pub(super) contents: Contents,
    /// Sequence and what came before, of each segment.
    pub(super) segments: VecDeque<(u64, Option<LogId>)>,
    pub(super) tail: Tail,
    pub(super) torn: Option<TornTail>,
    pub(super) committed: u64,
    pub(super) memberships: Vec<(LogId, Membership)>,
}

/// Reads all segments; `newest` must be there.
pub(super) fn scan(
    disk: &dyn Disk,
    path: &Path,
    replica: ReplicaId,
    newest: u64,
) -> Result<Scan, OpenError> {
    let names = disk.names().map_err(|error| OpenError::io("list", path, error))?;
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| segment_sequence(name)).collect();
    sequences.sort_unstable();
    let last_sequence = sequences.last().copied().unwrap_or(0);
    if last_sequence < newest {
        let why = "the file of the vote says that the log goes as far";
        return Err(OpenError::missing(&path.join(segment_name(newest)), why));
    }
    let mut contents = Contents::default();
    let mut segments = VecDeque::new();
    let mut memberships: Vec<(LogId, Membership)> = Vec::new();
    let mut committed = 0;
    let mut torn = None;
    let mut tail = None;
    let first_sequence = sequences.first().copied().unwrap_or_default();
    for (expected, sequence) in (first_sequence..).zip(sequences) {
        let name = segment_name(sequence);
        let file_path = path.join(&name);
        if sequence != expected {
            let missing = path.join(segment_name(expected));
            return Err(OpenError::missing(&missing, "later parts of the log are there"));
        }
        let file = disk.open(&name).map_err(|error| OpenError::io("open", &file_path, error))?;
        let bytes = read_all(&*file).map_err(|error| OpenError::io("read", &file_path, error))?;
        let header = Header::decode(&bytes)
            .map_err(|error| OpenError::damaged(&file_path, 0, &error.to_string()))?;
        check_header(&header, sequence, &bytes, replica, &file_path)?;
        if header.reset {
            contents.reset(header.previous);
            memberships.retain(|(id, _)| contents.before_places < Some(*id));
            memberships.retain(|(id, _)| Some(*id) <= header.previous);
        } else if segments.is_empty() {
            contents.reset(header.previous);
        } else if header.previous != contents.last {
            let show = |id: Option<LogId>| id.map_or("none".to_owned(), |id| id.index.to_string());
            let what = format!(
                "it continues after entry {}, and the one before it ends with entry {}",
                show(header.previous),
                show(contents.last)
            );
            return Err(OpenError::damaged(&file_path, 0, &what));
        }
        let mut wrong = None;
        let end = segment::read(&bytes, header.salt, |offset, frame| {
            committed = committed.max(frame.committed);
            for record in frame.records().flatten() {
                let found = match record {
                    Record::Entry { id, content } => {
                        let place = place(&bytes, sequence, id, content);
                        add(&mut contents, &mut memberships, place, content)
                    }
                    Record::Truncate { index } => cut(&mut contents, &mut memberships, index),
                };
                if let (Err(what), None) = (found, &wrong) {
                    wrong = Some((offset, what));
                }
            }
        })
        .map_err(|damage| {
            let next = contents.last.next_index();
            let what = match damage.valid {
                Some(valid) => format!(
                    "entries from {next} on cannot be read, and something that was written later \
                     can, at byte {valid}: they had been durable"
                ),
                None => format!("what should be entry {next} is nothing that is ever written"),
            };
            OpenError::damaged(&file_path, damage.offset as u64, &what)
        })?;
        if let Some((offset, what)) = wrong {
            return Err(OpenError::damaged(&file_path, offset as u64, &what));
        }
        if end.torn > end.offset {
            if sequence != last_sequence {
                let what = format!(
                    "entries from {} on cannot be read, and a later file of the log exists: they \
                     had been durable",
                    contents.last.next_index()
                );
                return Err(OpenError::damaged(&file_path, end.offset as u64, &what));
            }
            let length = end.torn - end.offset;
            // What is left of a torn frame must never look like part of a later one.
            write_all(&*file, &vec![0; length], end.offset as u64)
                .and_then(|()| file.sync())
                .map_err(|error| OpenError::io("repair", &file_path, error))?;
            torn = Some(TornTail {
                file: file_path,
                offset: end.offset as u64,
                bytes: length as u64,
                next_index: contents.last.next_index(),
            });
        }
        segments.push_back((sequence, header.previous));
        contents.segments.insert(sequence, Arc::clone(&file));
        tail = Some(Tail {
            sequence,
            file,
            salt: header.salt,
            offset: end.offset as u64,
            length: header.length,
        });
    }
    let Some(tail) = tail else {
        return Err(OpenError::missing(&path.join(segment_name(1)), "the log is gone"));
    };
    Ok(Scan { contents, segments, tail, torn, committed, memberships })
}

fn check_header(
    header: &Header,
    sequence: u64,
    bytes: &[u8],
    replica: ReplicaId,
    path: &Path,
) -> Result<(), OpenError> {
    let damaged = |what: String| Err(OpenError::damaged(path, 0, &what));
    if header.sequence != sequence {
        return damaged(format!("it was written as part {} of the log", header.sequence));
    }
    if header.replica != replica {
        return damaged(format!("it belongs to replica {}, not to {replica}", header.replica));
    }
    if header.length != bytes.len() as u64 {
        return damaged(format!("it has {} of its {} bytes", bytes.len(), header.length));
    }
    Ok(())
}

fn place(file: &[u8], segment: u64, id: LogId, content: &[u8]) -> Place {
    let offset = content.as_ptr().addr() - file.as_ptr().addr();
    Place {
        id,
        segment,
        offset: u32::try_from(offset).unwrap_or(u32::MAX),
        length: u32::try_from(content.len()).unwrap_or(u32::MAX),
        sum: crc32c::crc32c(content),
    }
}

fn add(
    contents: &mut Contents,
    memberships: &mut Vec<(LogId, Membership)>,
    place: Place,
    content: &[u8],
) -> Result<(), String> {
    if contents.last.is_none() {
        contents.start = place.id.index;
    }
    let next = contents.last.map_or(contents.start, |last| last.index + 1);
    if place.id.index != next {
        return Err(format!("entry {} is in the place of entry {next}", place.id.index));
    }
    let entry = codec::entry(content).ok_or_else(|| format!("entry {next} cannot be read"))?;
    if let EntryPayload::Membership(membership) = entry.payload {
        memberships.push((place.id, membership));
    }
    contents.last = Some(place.id);
    contents.places.push_back(place);
    Ok(())
}

fn cut(
    contents: &mut Contents,
    memberships: &mut Vec<(LogId, Membership)>,
    index: u64,
) -> Result<(), String> {
    if index < contents.start || index > contents.last.next_index() {
        return Err(format!("the log is cut at entry {index}, which it does not have"));
    }
    contents.truncate_places(index);
    contents.last = contents.durable();
    memberships.retain(|(id, _)| id.index < index);
    Ok(())
}
