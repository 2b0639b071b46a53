//! Any bytes as a segment or as a snapshot: no panic. And real ones with some bytes changed or cut
//! off: what is read of a segment is the beginning of what was written, of which a single change
//! costs nothing but the last frame; a snapshot is whole or damaged.

#![no_main]

use std::io::{Read, Write};

use libfuzzer_sys::fuzz_target;
use replicated_log::ReplicaId;
use replicated_log::segment::{Damage, End, FrameBuilder, Header, contents};
use replicated_log::snapshot::{Meta, Reader, Writer};

const SALT: u64 = 42;

/// A segment of a frame for each piece, with two entries each, and zeros behind.
fn segment(pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Header::first(SALT, ReplicaId(1), 4096).encode();
    let mut frame = FrameBuilder::default();
    for (index, piece) in (0..).step_by(2).zip(pieces) {
        frame.clear();
        let (one, other) = piece.split_at(piece.len() / 2);
        frame.bytes(1, index, one);
        frame.bytes(1, index + 1, other);
        let offset = bytes.len() as u64;
        bytes.extend_from_slice(frame.finish(SALT, offset, index));
    }
    bytes.resize(bytes.len() + 64, 0);
    bytes
}

fn snapshot(pieces: &[&[u8]]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), SALT, &Meta::default()).unwrap();
    for piece in pieces {
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap().0
}

/// The entries of a segment, if it begins as one.
fn entries(bytes: &[u8]) -> Option<Result<(Vec<Vec<u8>>, End), Damage>> {
    Header::decode(bytes).ok().map(|header| contents(&header, bytes))
}

/// The data of a snapshot, if it is whole.
fn data(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut reader, _) = Reader::new(bytes).ok()?;
    let mut data = Vec::new();
    let read = reader.read_to_end(&mut data).is_ok();
    let finished = reader.finish();
    assert_eq!(read, finished.is_ok());
    read.then_some(data)
}

fuzz_target!(|input: &[u8]| {
    let [kind, input @ ..] = input else { return };
    match kind {
        0 => _ = entries(input),
        1 => _ = data(input),
        _ => {}
    }
    // As many changes of a byte: offset, what is flipped; a cut; then the content.
    let [changes, input @ ..] = input else { return };
    let changes = usize::from(changes % 4);
    let Some((edits, input)) = input.split_at_checked(changes * 3) else { return };
    let [cut, size, input @ ..] = input else { return };
    let pieces: Vec<&[u8]> = input.chunks(usize::from(*size).max(1)).take(40).collect();
    let whole = if kind % 2 == 0 { segment(&pieces) } else { snapshot(&pieces) };
    let mut bytes = whole.clone();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len();
        bytes[at] ^= edit[2];
    }
    bytes.truncate(bytes.len() - usize::from(*cut).min(bytes.len()));
    if kind % 2 == 0 {
        let (all, _) = entries(&whole).unwrap().unwrap();
        assert_eq!(all.len(), pieces.len() * 2);
        if let Some(Ok((found, end))) = entries(&bytes) {
            assert_eq!(found, all[..found.len()]);
            assert!(end.offset <= bytes.len() && end.torn <= bytes.len());
            assert!(changes > 1 || *cut > 0 || found.len() + 2 >= all.len());
        }
    } else if let Some(found) = data(&bytes) {
        assert_eq!(bytes, whole);
        assert_eq!(found, pieces.concat());
    }
});
