//! A segment, cut and flipped everywhere.

use proptest::prelude::*;

use super::*;
use crate::codec::entry;
use crate::codec::tests::{id, normal};

const SALT: u64 = 0x1122_3344_5566_7788;

fn header() -> Header {
    Header {
        sequence: 5,
        salt: SALT,
        replica: ReplicaId(9),
        length: 4096,
        previous: Some(id(2, 40)),
        reset: true,
    }
}

/// A segment of these frames, each of entries with these payloads; then `spare` zeros. And where each
/// frame ends.
fn segment(frames: &[Vec<Vec<u8>>], spare: usize) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = header().encode();
    let mut ends = Vec::new();
    let mut builder = FrameBuilder::default();
    let mut index = 41;
    for frame in frames {
        builder.clear();
        for payload in frame {
            builder.entry(&normal(3, index, payload.clone()));
            index += 1;
        }
        let offset = bytes.len() as u64;
        bytes.extend_from_slice(builder.finish(SALT, offset, index - 1));
        ends.push(bytes.len());
    }
    bytes.resize(bytes.len() + spare, 0);
    (bytes, ends)
}

/// The payloads of all frames that can be read.
fn payloads(bytes: &[u8]) -> Result<(Vec<Vec<u8>>, End), Damage> {
    let mut found = Vec::new();
    let end = read(bytes, SALT, |_, frame| {
        for record in frame.records() {
            let Some(Record::Entry { content, .. }) = record else { panic!("no entry") };
            let Some(openraft::EntryPayload::Normal(batch)) = entry(content).map(|e| e.payload)
            else {
                panic!("not normal")
            };
            found.push(batch.bytes.to_vec());
        }
    })?;
    Ok((found, end))
}

fn small() -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![b"one".to_vec()],
        vec![b"two".to_vec(), vec![], b"three, longer than the others".to_vec()],
        vec![vec![0; 40]],
        vec![b"last".to_vec()],
    ]
}

#[test]
fn header_comes_back() {
    for header in [header(), Header::first(1, ReplicaId(2), 128)] {
        let bytes = header.encode();
        assert_eq!(bytes.len(), HEADER);
        assert_eq!(Header::decode(&bytes), Ok(header));
    }
}

#[test]
fn header_cut_or_flipped_at_every_byte_is_refused() {
    let bytes = header().encode();
    for cut in 0..bytes.len() {
        assert_eq!(Header::decode(&bytes[..cut]), Err(HeaderError::Short));
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let expected =
                if at < MAGIC.len() { HeaderError::Magic } else { HeaderError::Checksum };
            assert_eq!(Header::decode(&bytes), Err(expected), "byte {at}");
        }
    }
}

#[test]
fn header_of_another_format_is_named() {
    let mut bytes = header().encode();
    bytes[8] = 2;
    let sum = crc32c::crc32c(&bytes[..HEADER - 4]);
    bytes[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(Header::decode(&bytes), Err(HeaderError::Format(2)));
}

#[test]
fn whole_segment() {
    let (bytes, ends) = segment(&small(), 100);
    let (found, end) = payloads(&bytes).unwrap();
    assert_eq!(found, small().concat());
    let last = *ends.last().unwrap();
    assert_eq!(end, End { offset: last, torn: last });
}

/// A cut file reads up to the last whole frame. That it was cut is seen by the length in its header:
/// see the journal.
#[test]
fn cut_at_every_byte() {
    let frames = small();
    let (bytes, ends) = segment(&frames, 0);
    for cut in HEADER..bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let (found, end) = payloads(&bytes[..cut]).unwrap();
        assert_eq!(found, frames[..whole].concat(), "cut at {cut}");
        let expected = whole.checked_sub(1).map_or(HEADER, |last| ends[last]);
        assert_eq!(end.offset, expected, "cut at {cut}");
    }
}

/// A crash may leave any of the sectors of the last write, whatever their order.
#[test]
fn last_frame_zeroed_from_or_up_to_every_byte_is_torn() {
    let frames = small();
    let (bytes, ends) = segment(&frames, 64);
    let (start, stop) = (ends[2], ends[3]);
    for middle in start..=stop {
        for (from, to) in [(start, middle), (middle, stop)] {
            let mut bytes = bytes.clone();
            bytes[from..to].fill(0);
            let (found, end) = payloads(&bytes).unwrap();
            // Zeros for what had been zeros change nothing.
            let whole = if segment(&frames, 64).0 == bytes { 4 } else { 3 };
            assert_eq!(found, frames[..whole].concat(), "{from}..{to}");
            let last = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            assert_eq!(end.torn, last.max(end.offset));
        }
    }
}

#[test]
fn flipped_at_every_bit_is_torn_at_the_end_and_damage_before() {
    let frames = small();
    let (bytes, ends) = segment(&frames, 64);
    for at in HEADER..ends[3] {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let frame = ends.iter().filter(|end| **end <= at).count();
            let start = frame.checked_sub(1).map_or(HEADER, |last| ends[last]);
            match payloads(&bytes) {
                Ok((found, end)) => {
                    assert_eq!(frame, 3, "byte {at} bit {bit} went unnoticed");
                    assert_eq!((found, end.offset), (frames[..3].concat(), start));
                    assert!(end.torn > end.offset);
                }
                Err(damage) => {
                    assert!(frame < 3, "byte {at} bit {bit}");
                    assert_eq!(damage, Damage { offset: start, valid: Some(ends[frame]) });
                }
            }
        }
    }
}

#[test]
fn frame_is_valid_at_its_own_place_of_its_own_file_only() {
    let (bytes, ends) = segment(&small(), 64);
    let first = &bytes[HEADER..ends[0]];
    // Again, behind the last one.
    let mut copied = bytes.clone();
    copied[ends[3]..ends[3] + first.len()].copy_from_slice(first);
    let (found, end) = payloads(&copied).unwrap();
    assert_eq!((found, end.offset), (small().concat(), ends[3]));
    // In another file.
    assert!(read(&bytes, SALT + 1, |_, _| panic!("a frame")).is_ok());
}

#[test]
fn frame_of_nonsense_is_damage() {
    let mut builder = FrameBuilder::default();
    builder.clear();
    builder.record(99, |out| out.extend_from_slice(b"nonsense"));
    let mut bytes = header().encode();
    bytes.extend_from_slice(builder.finish(SALT, HEADER as u64, 0));
    assert_eq!(payloads(&bytes).unwrap_err(), Damage { offset: HEADER, valid: None });
}

#[test]
fn truncation_and_committed_come_back() {
    let mut builder = FrameBuilder::default();
    builder.clear();
    assert!(builder.is_empty());
    builder.truncate(17);
    builder.entry(&normal(1, 17, &b"x"[..]));
    assert!(!builder.is_empty());
    let mut bytes = header().encode();
    bytes.extend_from_slice(builder.finish(SALT, HEADER as u64, 12));
    let mut seen = Vec::new();
    read(&bytes, SALT, |at, frame| {
        assert_eq!((at, frame.committed), (HEADER, 12));
        for record in frame.records().flatten() {
            seen.push(match record {
                Record::Truncate { index } => format!("truncate {index}"),
                Record::Entry { id, .. } => format!("entry {}", id.index),
            });
        }
    })
    .unwrap();
    assert_eq!(seen, ["truncate 17", "entry 17"]);
}

proptest! {
    #[test]
    fn any_frames_come_back(
        frames in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5),
            0..6,
        ),
        spare in 0usize..200,
    ) {
        let (bytes, _) = segment(&frames, spare);
        let (found, end) = payloads(&bytes).unwrap();
        prop_assert_eq!(found, frames.concat());
        prop_assert_eq!(end.offset, bytes.len() - spare);
    }

    /// Whatever happens to a stretch of bytes: what is read is a prefix of what was written, and of
    /// what was followed by something nothing is missing.
    #[test]
    fn overwritten_stretch_never_goes_unnoticed(
        at in any::<prop::sample::Index>(),
        junk in prop::collection::vec(any::<u8>(), 1..60),
    ) {
        let frames = small();
        let (bytes, ends) = segment(&frames, 64);
        let at = HEADER + at.index(bytes.len() - HEADER - junk.len());
        let mut changed = bytes.clone();
        changed[at..at + junk.len()].copy_from_slice(&junk);
        if let Ok((found, _)) = payloads(&changed) {
            let all = frames.concat();
            prop_assert_eq!(&found[..], &all[..found.len()]);
            if changed[..ends[2]] != bytes[..ends[2]] && at + junk.len() <= ends[2] {
                prop_assert!(false, "damage before the last frame went unnoticed");
            }
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = header().encode();
        file.extend_from_slice(&bytes);
        if let Ok(end) = read(&file, SALT, |_, _| ()) {
            prop_assert!(end.offset <= file.len() && end.torn <= file.len());
        }
    }
}
