//! Numbers, texts and raft's ids as bytes; little-endian, every length before its content.
//!
//! Reading never allocates more than what is left of the input, and `None` is "not what this crate
//! writes".

use std::collections::{BTreeMap, BTreeSet};

use openraft::{CommittedLeaderId, EntryPayload};

use crate::types::{Batch, Entry, LogId, Member, Membership, StoredMembership};

/// Most voters, learners and configurations that a membership can have.
const MAX_MEMBERS: usize = 1024;

/// Reads from the front of a slice.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length of four bytes.
    pub(crate) fn length(&mut self) -> Option<usize> {
        self.u32()?.try_into().ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn count(&mut self) -> Option<usize> {
        self.length().filter(|count| *count <= MAX_MEMBERS)
    }

    /// `value`, if nothing is left.
    pub(crate) fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }

    pub(crate) fn log_id(&mut self) -> Option<LogId> {
        let index = self.u64()?;
        let term = self.u64()?;
        let replica = self.u64()?;
        Some(LogId::new(CommittedLeaderId::new(term, replica), index))
    }

    pub(crate) fn optional_log_id(&mut self) -> Option<Option<LogId>> {
        let present = self.flag()?;
        let id = self.log_id()?;
        Some(present.then_some(id))
    }

    pub(crate) fn membership(&mut self) -> Option<Membership> {
        let mut configs = Vec::new();
        for _ in 0..self.count()? {
            let mut voters = BTreeSet::new();
            for _ in 0..self.count()? {
                voters.insert(self.u64()?);
            }
            configs.push(voters);
        }
        let mut members = BTreeMap::new();
        for _ in 0..self.count()? {
            let id = self.u64()?;
            members.insert(id, Member { address: self.text()? });
        }
        Some(Membership::new(configs, members))
    }

    pub(crate) fn stored_membership(&mut self) -> Option<StoredMembership> {
        let id = self.optional_log_id()?;
        Some(StoredMembership::new(id, self.membership()?))
    }
}

pub(crate) fn put_u32(value: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// A length of four bytes. What is written was bounded far below where this saturates.
pub(crate) fn put_length(length: usize, out: &mut Vec<u8>) {
    put_u32(u32::try_from(length).unwrap_or(u32::MAX), out);
}

pub(crate) fn put_log_id(id: &LogId, out: &mut Vec<u8>) {
    put_u64(id.index, out);
    put_u64(id.leader_id.term, out);
    put_u64(id.leader_id.node_id, out);
}

pub(crate) fn put_optional_log_id(id: Option<&LogId>, out: &mut Vec<u8>) {
    out.push(u8::from(id.is_some()));
    put_log_id(&id.copied().unwrap_or_default(), out);
}

pub(crate) fn put_membership(membership: &Membership, out: &mut Vec<u8>) {
    put_length(membership.get_joint_config().len(), out);
    for voters in membership.get_joint_config() {
        put_length(voters.len(), out);
        for id in voters {
            put_u64(*id, out);
        }
    }
    let members: Vec<_> = membership.nodes().collect();
    put_length(members.len(), out);
    for (id, member) in members {
        put_u64(*id, out);
        put_length(member.address.len(), out);
        out.extend_from_slice(member.address.as_bytes());
    }
}

pub(crate) fn put_stored_membership(stored: &StoredMembership, out: &mut Vec<u8>) {
    put_optional_log_id(stored.log_id().as_ref(), out);
    put_membership(stored.membership(), out);
}

/// Kinds of [`EntryPayload`], as bytes.
const BLANK: u8 = 0;
const NORMAL: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// An entry of raft: id, kind, payload to the end.
pub(crate) fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    put_log_id(&entry.log_id, out);
    match &entry.payload {
        EntryPayload::Blank => out.push(BLANK),
        EntryPayload::Normal(batch) => {
            out.push(NORMAL);
            out.extend_from_slice(&batch.bytes);
        }
        EntryPayload::Membership(membership) => {
            out.push(MEMBERSHIP);
            put_membership(membership, out);
        }
    }
}

/// What [`put_entry`] wrote.
pub(crate) fn entry(bytes: &[u8]) -> Option<Entry> {
    let mut input = Input(bytes);
    let log_id = input.log_id()?;
    let payload = match input.u8()? {
        BLANK => input.end(EntryPayload::Blank)?,
        NORMAL => {
            let bytes = bytes::Bytes::copy_from_slice(input.0);
            EntryPayload::Normal(Batch { bytes, ticket: None })
        }
        MEMBERSHIP => {
            let membership = input.membership()?;
            input.end(EntryPayload::Membership(membership))?
        }
        _ => return None,
    };
    Some(Entry { log_id, payload })
}

/// About how much memory an entry takes, in bytes.
pub(crate) fn weight(entry: &Entry) -> usize {
    const FIXED: usize = 128;
    FIXED
        + match &entry.payload {
            EntryPayload::Normal(batch) => batch.bytes.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term, 7), index)
    }

    pub(crate) fn normal(term: u64, index: u64, bytes: impl Into<bytes::Bytes>) -> Entry {
        let payload = EntryPayload::Normal(Batch { bytes: bytes.into(), ticket: None });
        Entry { log_id: id(term, index), payload }
    }

    fn memberships() -> impl Strategy<Value = Membership> {
        let voters = prop::collection::btree_set(any::<u64>(), 0..6);
        let learners = prop::collection::btree_map(any::<u64>(), ".{0,12}", 0..4);
        (prop::collection::vec(voters, 0..3), learners).prop_map(|(configs, learners)| {
            let members: BTreeMap<_, _> =
                learners.into_iter().map(|(id, address)| (id, Member { address })).collect();
            Membership::new(configs, members)
        })
    }

    proptest! {
        #[test]
        fn memberships_come_back(membership in memberships(), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            put_membership(&membership, &mut bytes);
            let mut input = Input(&bytes);
            prop_assert_eq!(input.membership(), Some(membership));
            prop_assert!(input.0.is_empty());
            let cut = cut.index(bytes.len());
            prop_assert_eq!(Input(&bytes[..cut]).membership(), None);
        }

        #[test]
        fn any_bytes_are_an_entry_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(entry) = entry(&bytes) {
                // Membership fills in what is missing, so that only the rest is told apart.
                if entry.payload != EntryPayload::Blank
                    && !matches!(entry.payload, EntryPayload::Membership(_))
                {
                    let mut again = Vec::new();
                    put_entry(&entry, &mut again);
                    prop_assert_eq!(again, bytes);
                }
            }
        }
    }

    #[test]
    fn entries_come_back() {
        for entry_in in [
            normal(3, 9, &b"abc"[..]),
            normal(3, 9, &b""[..]),
            Entry { log_id: id(u64::MAX, u64::MAX), payload: EntryPayload::Blank },
            Entry {
                log_id: id(1, 0),
                payload: EntryPayload::Membership(Membership::new(
                    vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([3, 4])],
                    BTreeMap::from([(9, Member { address: "host:1".into() })]),
                )),
            },
        ] {
            let mut bytes = Vec::new();
            put_entry(&entry_in, &mut bytes);
            let back = entry(&bytes).expect("an entry");
            assert_eq!((back.log_id, &back.payload), (entry_in.log_id, &entry_in.payload));
        }
    }
}
