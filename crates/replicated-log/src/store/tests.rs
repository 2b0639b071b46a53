//! Raft's own tests of a storage.

use std::path::Path;

use openraft::testing::{StoreBuilder, Suite};

use super::*;
use crate::app::App;
use crate::disk::Disk;
use crate::disk::sim::SimDisk;
use crate::journal::{self, Opened};
use crate::machine::{Machine, Shared};
use crate::metrics::Counters;
use crate::snapshots::{Found, SnapshotPolicy, Snapshots};
use crate::types::ReplicaId;

struct OnSimDisk {
    options: journal::Options,
}

impl StoreBuilder<Types, Store, Machine<App>> for OnSimDisk {
    async fn build(&self) -> Result<((), Store, Machine<App>), StorageError> {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::default());
        let (path, replica) = (Path::new("DIR"), ReplicaId(7));
        journal::create(&*disk, replica, self.options).unwrap();
        let counters = Arc::new(Counters::default());
        let opened =
            Journal::open(Arc::clone(&disk), path, replica, self.options, Arc::clone(&counters));
        let Opened { journal, vote, .. } = opened.unwrap();
        let journal = Arc::new(journal);
        let policy = SnapshotPolicy { bytes: 1 << 20, keep: 2 };
        let found = Snapshots::open(disk, path, policy, Arc::clone(&journal), |_| Ok(()));
        let Found { snapshots, meta, .. } = found.unwrap();
        let shared = Arc::new(Shared::new(counters, Arc::new(snapshots), Arc::clone(&journal)));
        let machine = Machine::new(App::default(), meta, shared, true);
        Ok(((), Store::new(journal, vote, None), machine))
    }
}

#[test]
fn raft_accepts_the_storage() {
    for cache in [1 << 20, 0] {
        let options = journal::Options { segment: 4096, cache };
        Suite::test_all(OnSimDisk { options }).unwrap();
    }
}
