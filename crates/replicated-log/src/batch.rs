//! A batch: entries of the application that go through raft as one of its entries.
//!
//! ```text
//! term u64 | replica u64 | count u32 | count times: length u32, bytes
//! ```
//!
//! The term is the one that the batch was made for. Raft may take it in a later one, if leadership
//! was lost and won again in between; others may have written in the meantime, so such a batch is
//! void, everywhere.

use bytes::Bytes;

use crate::codec::{Input, put_length, put_u64};
use crate::types::{ReplicaId, Term};

/// Length of what comes before each entry, in bytes.
pub(crate) const ENTRY_HEADER: usize = 4;

/// Bytes of a batch.
pub(crate) fn encode<'a>(term: Term, entries: impl ExactSizeIterator<Item = &'a Bytes>) -> Bytes {
    let mut out = Vec::new();
    put_u64(term.number, &mut out);
    put_u64(term.replica.0, &mut out);
    put_length(entries.len(), &mut out);
    for entry in entries {
        put_length(entry.len(), &mut out);
        out.extend_from_slice(entry);
    }
    out.into()
}

/// A batch, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed<'a> {
    pub(crate) term: Term,
    pub(crate) entries: Vec<&'a [u8]>,
}

/// `None` if this is no batch.
pub(crate) fn decode(bytes: &[u8]) -> Option<Parsed<'_>> {
    let mut input = Input(bytes);
    let term = Term { number: input.u64()?, replica: ReplicaId(input.u64()?) };
    let count = input.length()?;
    // Each takes at least its length.
    let mut entries = Vec::with_capacity(count.min(input.0.len() / ENTRY_HEADER));
    for _ in 0..count {
        let length = input.length()?;
        entries.push(input.take(length)?);
    }
    input.end(Parsed { term, entries })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERM: Term = Term { number: 7, replica: ReplicaId(9) };

    proptest! {
        #[test]
        fn comes_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..9)) {
            let owned: Vec<Bytes> = entries.iter().cloned().map(Bytes::from).collect();
            let bytes = encode(TERM, owned.iter());
            let expected: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(decode(&bytes), Some(Parsed { term: TERM, entries: expected }));
            let sizes: usize = entries.iter().map(|entry| ENTRY_HEADER + entry.len()).sum();
            prop_assert_eq!(bytes.len(), 20 + sizes);
            for cut in 0..bytes.len() {
                prop_assert_eq!(decode(&bytes[..cut]), None);
            }
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes);
        }
    }
}
