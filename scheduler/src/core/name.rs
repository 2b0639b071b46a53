//! Names of things: jobs, tasks, agents, offers.
//!
//! All of them are shared text, so that a row costs a pointer for a name that a thousand others have.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use uuid::Uuid;

use super::rows::Row;

/// Text that many rows share.
pub type Text = Arc<str>;

/// Milliseconds: since the epoch for moments, plain for durations.
pub type Millis = i64;

/// How names are hashed: quickly, and alike in every process, as iteration must not depend on chance.
/// Names that many have to be looked up by are chosen by operators (hosts), by Mesos (offers, agents)
/// or by chance (task ids end in a random UUID), so that nobody can make them collide.
pub type Fixed = foldhash::fast::FixedState;

/// A map from names.
pub type Map<K, V> = std::collections::HashMap<K, V, Fixed>;

/// Names a job.
#[derive(Clone)]
pub struct JobKey(Arc<JobParts>);

#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
struct JobParts {
    role: String,
    environment: String,
    name: String,
}

impl JobKey {
    /// A key of these three parts. Nothing is checked here: faces check what users send.
    pub fn new(role: &str, environment: &str, name: &str) -> JobKey {
        JobKey(Arc::new(JobParts {
            role: role.to_owned(),
            environment: environment.to_owned(),
            name: name.to_owned(),
        }))
    }

    /// The least key of a role: all others of the role follow it.
    pub fn least_of_role(role: &str) -> JobKey {
        JobKey::new(role, "", "")
    }

    /// Unix account of the tasks, owner of quota.
    pub fn role(&self) -> &str {
        &self.0.role
    }

    /// Such as `prod` or `devel`.
    pub fn environment(&self) -> &str {
        &self.0.environment
    }

    /// Unique within role and environment.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl PartialEq for JobKey {
    fn eq(&self, other: &JobKey) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for JobKey {}

impl PartialOrd for JobKey {
    fn partial_cmp(&self, other: &JobKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for JobKey {
    fn cmp(&self, other: &JobKey) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl Hash for JobKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// `role/environment/name`, as users write it.
impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.role(), self.environment(), self.name())
    }
}

impl fmt::Debug for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a name, alike in every process.
pub(super) fn hash_of(name: &str) -> u64 {
    Fixed::default().hash_one(name)
}

/// Half of it, which is enough where a wrong name among four thousand million is only one that is
/// compared in vain.
pub(super) fn half_hash_of(name: &str) -> u32 {
    let hash = hash_of(name);
    (hash ^ (hash >> 32)) as u32
}

/// Names one run of an instance, for all time.
///
/// It knows its hash: who looks a task up need not read the id, which is long and lies somewhere
/// else. And it may know the row of the task in the table where it was stored first, so that who has
/// the id from there need not look it up at all.
pub struct TaskId {
    text: Text,
    hash: u32,
    row: AtomicU32,
}

impl TaskId {
    /// An id for a new run: `role-environment-name-instance-uuid`, in which every character but
    /// letters, digits, `_` and `-` is replaced by `-`. The UUID is a random one made of `random`.
    pub fn new(job: &JobKey, instance: i32, random: [u8; 16]) -> TaskId {
        let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
        let mut buffer = Uuid::encode_buffer();
        let uuid = &*uuid.hyphenated().encode_lower(&mut buffer);
        let mut id = String::with_capacity(
            job.role().len() + job.environment().len() + job.name().len() + uuid.len() + 12,
        );
        for part in [job.role(), job.environment(), job.name()] {
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            id.extend(part.chars().map(|c| if legal(c) { c } else { '-' }));
            id.push('-');
        }
        id.push_str(&instance.to_string());
        id.push('-');
        id.push_str(uuid);
        TaskId::from(&*id)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn hash(&self) -> u32 {
        self.hash
    }

    /// Where the task may be. Look whether it is: this may be about another table, or an old row, or
    /// [`NOWHERE`].
    pub(super) fn row(&self) -> Row {
        self.row.load(Relaxed)
    }

    /// The task is here, says this and each copy that is made of it, if they know nothing yet. The
    /// first table counts, which is that of who made the task; those of others that follow come later.
    pub(super) fn is_at(&self, row: Row) {
        if self.row() == NOWHERE {
            self.row.store(row, Relaxed);
        }
    }
}

/// No table has so many rows.
pub(super) const NOWHERE: Row = Row::MAX;

impl Clone for TaskId {
    fn clone(&self) -> TaskId {
        TaskId { text: self.text.clone(), hash: self.hash, row: self.row().into() }
    }
}

impl PartialEq for TaskId {
    fn eq(&self, other: &TaskId) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || (self.hash == other.hash && self.text == other.text)
    }
}

impl Eq for TaskId {}

impl PartialOrd for TaskId {
    fn partial_cmp(&self, other: &TaskId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TaskId {
    fn cmp(&self, other: &TaskId) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for TaskId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl From<&str> for TaskId {
    fn from(id: &str) -> TaskId {
        TaskId { text: id.into(), hash: half_hash_of(id), row: NOWHERE.into() }
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A Mesos agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agent {
    /// Its id; changes when the agent loses its memory.
    pub id: Text,
    /// Name of its host.
    pub host: Text,
    /// The hash of it, so that who looks something up by host need not read it.
    host_hash: u32,
}

impl Agent {
    /// The agent of this id on this host.
    pub fn new(id: impl Into<Text>, host: impl Into<Text>) -> Agent {
        let host = host.into();
        Agent { id: id.into(), host_hash: half_hash_of(&host), host }
    }

    pub(super) fn host_hash(&self) -> u32 {
        self.host_hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_id_format() {
        let id = TaskId::new(&JobKey::new("www.data", "prod", "a_b c"), 12, [0xff; 16]);
        assert_eq!(id.as_str(), "www-data-prod-a_b-c-12-ffffffff-ffff-4fff-bfff-ffffffffffff");
        let id = TaskId::new(&JobKey::new("ü", "e", "n"), 0, [0; 16]);
        assert_eq!(id.as_str(), "--e-n-0-00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn jobs_of_a_role_are_neighbours() {
        let mut keys =
            [JobKey::new("b", "a", "a"), JobKey::new("a", "z", "z"), JobKey::new("b", "", "")];
        keys.sort();
        assert_eq!(keys[1], JobKey::least_of_role("b"));
        assert_eq!(keys[2].to_string(), "b/a/a");
    }
}
