//! What goes through raft, in raft's types and in ours.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::DiskFile;

/// Number of an entry of the application, counted from 1 over the whole life of the log. An entry
/// has its position as soon as it is appended; it can be relied on when it is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of a replica, drawn at random when its directory is made. A directory that was wiped
/// gets another one, so that what the old one voted cannot be voted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u64);

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Identity of a cluster, drawn at random when it is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One leadership. No two are equal, and each is greater than those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// Raft's term.
    pub number: u64,
    /// Who leads.
    pub replica: ReplicaId,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of replica {}", self.number, self.replica)
    }
}

/// A member of the cluster, as raft keeps it in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// `host:port` of its log; empty while nobody needs to reach it.
    pub(crate) address: String,
}

/// What raft replicates: the bytes of [`crate::batch`].
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    /// Under which the leader finds the state that it prepared; lost when the entry leaves memory.
    pub(crate) ticket: Option<u64>,
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} bytes)", self.bytes.len())
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was none: a blank entry or one of the membership.
    Nothing,
    /// It was made in another term than it was committed in, and every replica passes over it.
    Void,
    /// It counts, and its last entry has this position.
    Applied(Position),
}

/// A snapshot on its way between a file and raft.
#[derive(Clone)]
pub(crate) struct SnapshotData {
    pub(crate) file: Arc<dyn DiskFile>,
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SnapshotData")
    }
}

openraft::declare_raft_types!(
    /// The types of this crate, for raft.
    pub(crate) Types:
        D = Batch,
        R = Outcome,
        NodeId = u64,
        Node = Member,
        SnapshotData = SnapshotData,
);

pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Membership = openraft::Membership<u64, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, Member>;
pub(crate) type StorageError = openraft::StorageError<u64>;

/// The term that an entry was written in.
pub(crate) fn term_of(id: &LogId) -> Term {
    Term { number: id.leader_id.term, replica: ReplicaId(id.leader_id.node_id) }
}
