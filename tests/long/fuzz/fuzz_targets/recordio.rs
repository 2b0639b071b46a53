//! Any bytes as a stream of records, in any pieces: no panic, the pieces do not matter, no record is
//! above the cap, and what was decoded is what was read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesos_executor::recordio::{Decoder, Error, encode};

const MAX: usize = 300;

/// The records of a stream, and how it ends.
fn all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Result<(), Error>) {
    let mut decoder = Decoder::new(MAX);
    let mut records = Vec::new();
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.finish(), Err(error.clone()));
                    return (records, Err(error));
                }
            }
        }
        assert!(piece.is_empty());
    }
    (records, decoder.finish())
}

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else { return };
    let whole = all(std::iter::once(stream));
    assert_eq!(all(stream.chunks(usize::from(*size).max(1))), whole);
    let (records, end) = whole;
    assert!(records.iter().all(|record| record.len() <= MAX));
    if let Err(error) = &end {
        assert!(!error.to_string().is_empty());
    }
    let mut again = Vec::new();
    for record in &records {
        encode(record, &mut again);
    }
    assert_eq!(all(std::iter::once(again.as_slice())), (records, Ok(())));
});
