//! The whole log on a simulated disk: what survives, what is refused, who may write.

use super::*;
use crate::app::{App, entry, put};
use crate::disk::sim::{Fault, Random, SimDisk};

fn options() -> Options {
    Options {
        segment_bytes: 8192,
        cache_bytes: 4096,
        snapshot: SnapshotPolicy { bytes: 4000, keep: 2 },
        verify: true,
        ..Options::new("DIR")
    }
}

/// A runtime of its own for each test, that ends everything when it ends.
fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().build().unwrap();
    let result = runtime.block_on(test);
    runtime.shutdown_timeout(Duration::from_secs(10));
    result
}

async fn open(disk: &SimDisk) -> Result<(Log<App>, Recovered), OpenError> {
    Log::open_on(Arc::new(disk.clone()), options(), App::default()).await
}

/// Appends entries up to number `last`, and returns how many are committed.
async fn append_up_to(log: &Log<App>, last: u64) -> (Position, Result<(), Ended>) {
    let (mut writer, mut state) = match log.lead().await {
        Ok(led) => led,
        Err(ended) => return (Position(0), Err(ended)),
    };
    assert_eq!(state.count, writer.last().0);
    assert_eq!(state, App::after(state.count));
    let mut progress = writer.progress();
    while writer.last().0 < last {
        let number = writer.last().0 + 1;
        let entry = entry(number);
        state.apply(&entry).unwrap();
        match writer.append(entry, state.image()) {
            Ok(position) => assert_eq!(position, Position(number)),
            Err(refused) => match refused.reason {
                Reason::Ended(ended) => return (progress.borrow().committed, Err(ended)),
                reason => panic!("{reason:?}"),
            },
        }
        // Some share a batch, some do not.
        if number % 3 == 0 {
            let reached = Progress::reached(&mut progress, Position(number)).await;
            if reached.is_err() {
                break;
            }
        }
    }
    let result = writer.wait(Position(last)).await;
    let committed = progress.borrow().committed;
    (committed, result)
}

/// A log with `last` entries.
fn with(last: u64) -> SimDisk {
    run(async {
        let disk = SimDisk::default();
        let (log, recovered) = open(&disk).await.unwrap();
        assert!(recovered.created);
        let (committed, result) = append_up_to(&log, last).await;
        assert_eq!((committed, result), (Position(last), Ok(())));
        log.close().await;
        disk
    })
}

#[test]
fn entries_come_back() {
    let disk = with(40);
    run(async {
        for last in [60, 60, 300] {
            let (log, recovered) = open(&disk).await.unwrap();
            assert!(!recovered.created && recovered.torn.is_none());
            assert_eq!(log.position(), recovered.position);
            append_up_to(&log, last).await.1.unwrap();
            log.close().await;
        }
        let (log, recovered) = open(&disk).await.unwrap();
        assert_eq!(recovered.position, Position(300));
        assert!(recovered.snapshot > Position(0), "no snapshot was taken");
        let (_writer, state) = log.lead().await.unwrap();
        assert_eq!(state, App::after(300));
        log.close().await;
    });
}

#[test]
fn snapshot_on_demand_purges_the_log() {
    let disk = with(100);
    run(async {
        let (log, _) = open(&disk).await.unwrap();
        for _ in 0..2 {
            log.snapshot().await.unwrap();
            append_up_to(&log, log.position().0 + 100).await.1.unwrap();
        }
        log.snapshot().await.unwrap();
        log.snapshot().await.unwrap();
        log.close().await;
        let names = disk.names().unwrap();
        let count = |begin: &str| names.iter().filter(|name| name.starts_with(begin)).count();
        assert_eq!(count("snapshot-"), 2, "{names:?}");
        assert!(count("log-") <= 4, "{names:?}");
        let (log, recovered) = open(&disk).await.unwrap();
        assert_eq!((recovered.snapshot, recovered.position), (Position(300), Position(300)));
        log.close().await;
    });
}

#[test]
fn each_leadership_has_a_term_of_its_own() {
    let disk = SimDisk::default();
    run(async {
        let mut last = None;
        for _ in 0..4 {
            let (log, _) = open(&disk).await.unwrap();
            let (writer, _) = log.lead().await.unwrap();
            assert!(Some(writer.term()) > last);
            assert_eq!(*log.role().borrow(), Role::Leader { term: writer.term() });
            last = Some(writer.term());
            drop(writer);
            log.close().await;
        }
    });
}

#[test]
fn writers_follow_one_another() {
    let disk = SimDisk::default();
    run(async {
        let (log, _) = open(&disk).await.unwrap();
        let (mut writer, mut state) = log.lead().await.unwrap();
        for number in 1..=20 {
            state.apply(&entry(number)).unwrap();
            writer.append(entry(number), state.image()).unwrap();
        }
        let mut second = Box::pin(log.lead());
        let early = tokio::time::timeout(Duration::from_millis(20), &mut second).await;
        assert!(early.is_err(), "two writers at once");
        let mut progress = writer.progress();
        drop(writer);
        let (writer, state) = second.as_mut().await.unwrap();
        drop(second);
        // What the first one appended was written.
        assert_eq!((writer.last(), state), (Position(20), App::after(20)));
        let ended = progress.wait_for(|now| now.ended.is_some()).await.unwrap().clone();
        assert_eq!(ended, Progress { committed: Position(20), ended: Some(Ended::Closed) });
        drop(writer);
        log.close().await;
    });
}

#[test]
fn barrier_covers_what_is_committed() {
    let disk = with(5);
    run(async {
        let (log, _) = open(&disk).await.unwrap();
        append_up_to(&log, 20).await.1.unwrap();
        assert_eq!(log.barrier().await, Ok(Position(20)));
        let before = log.metrics().syncs;
        log.barrier().await.unwrap();
        assert_eq!(log.metrics().syncs, before);
        log.raft.shutdown().await.unwrap();
        assert_eq!(log.barrier().await, Err(Ended::Closed));
        assert_eq!(log.lead().await.unwrap_err(), Ended::Closed);
        log.close().await;
    });
}

/// A batch that was made in one term and comes into the log in another counts nowhere.
#[test]
fn batch_of_another_term_is_void() {
    let disk = with(5);
    run(async {
        let (log, _) = open(&disk).await.unwrap();
        let (writer, _) = log.lead().await.unwrap();
        let term = writer.term();
        for other in [
            Term { number: term.number - 1, ..term },
            Term { replica: ReplicaId(term.replica.0 ^ 1), ..term },
        ] {
            let bytes = batch::encode(other, [put(1, b"void")].iter());
            let ticket = Some(log.shared.prepared.add(Some(App::after(50))));
            let outcome =
                submit(&log.raft, &log.shared, other, Batch { bytes, ticket }).await.unwrap();
            assert_eq!(outcome, Outcome::Void);
        }
        assert_eq!(log.position(), Position(5));
        drop(writer);
        assert_eq!(log.lead().await.unwrap().1, App::after(5));
        log.close().await;
    });
    assert_eq!(state_with_terms(&disk), 5);
}

/// Last position, read by a replica that was not there.
fn state_with_terms(disk: &SimDisk) -> u64 {
    run(async {
        let (log, recovered) = open(disk).await.unwrap();
        log.close().await;
        recovered.position.0
    })
}

#[test]
fn full_queue_refuses_and_tells_when_there_is_room() {
    let disk = SimDisk::default();
    run(async {
        let options = Options { queue_bytes: 1000, ..options() };
        let (log, _) = Log::open_on(Arc::new(disk.clone()), options, App::default()).await.unwrap();
        let (mut writer, mut state) = log.lead().await.unwrap();
        // Even what is longer than the queue has room if it is alone.
        let mut position = Position(0);
        let mut refusals = 0;
        for length in [5000, 300, 300, 300, 300, 300] {
            let mut entry = put(1, &vec![0; length]);
            state.apply(&entry).unwrap();
            let mut image = state.image();
            position = loop {
                match writer.append(entry, image) {
                    Ok(position) => break position,
                    Err(refused) => {
                        assert_eq!(refused.reason, Reason::Full);
                        (entry, image) = (refused.entry, refused.image);
                        refusals += 1;
                        writer.room().await;
                    }
                }
            };
        }
        assert!(refusals >= 2, "{refusals}");
        writer.wait(position).await.unwrap();
        drop(writer);
        log.close().await;
    });
}

#[test]
fn wrong_prepared_state_is_found_out() {
    let disk = SimDisk::default();
    run(async {
        let (log, _) = open(&disk).await.unwrap();
        let (mut writer, state) = log.lead().await.unwrap();
        let position = writer.append(entry(1), state).unwrap();
        let Err(Ended::Failed(fatal)) = writer.wait(position).await else { panic!("not found") };
        assert!(fatal.to_string().contains("prepared for entry 1"), "{fatal}");
        log.close().await;
    });
}

#[test]
fn entry_that_cannot_be_applied_is_named_when_opening() {
    let disk = SimDisk::default();
    run(async {
        let options = Options { verify: false, ..options() };
        let (log, _) = Log::open_on(Arc::new(disk.clone()), options, App::default()).await.unwrap();
        let (mut writer, state) = log.lead().await.unwrap();
        let position = writer.append(Bytes::from_static(b"short"), state).unwrap();
        writer.wait(position).await.unwrap();
        drop(writer);
        log.close().await;
        let error = open(&disk).await.unwrap_err().to_string();
        assert!(error.contains("entry 1 of the application: an entry without a key"), "{error}");
    });
}

/// Whichever operation fails: nothing acknowledged is lost, and the state is that after some entry.
#[test]
fn disk_that_fails_at_every_operation() {
    let start = with(30);
    let mut points = 0;
    for (fault, stride) in [(Fault::Power, 1), (Fault::Full, 3), (Fault::Broken, 3)] {
        for at in (0..).step_by(stride) {
            let disk = start.copy();
            disk.fail(at, fault);
            let acknowledged = run(async {
                let Ok((log, _)) = open(&disk).await else { return Position(30) };
                let (committed, result) = append_up_to(&log, 130).await;
                if result.is_ok() {
                    // It may be that it fails here.
                    let _ = log.snapshot().await;
                } else {
                    let mut role = log.role();
                    let failed = role.wait_for(|role| matches!(role, Role::Failed(_))).await;
                    let Ok(Role::Failed(fatal)) = failed.map(|role| role.clone()) else {
                        panic!("it did not fail")
                    };
                    assert_eq!(log.lead().await.unwrap_err(), Ended::Failed(fatal));
                }
                log.close().await;
                committed.max(Position(30))
            });
            if !disk.failed() {
                break;
            }
            points += 1;
            for seed in 0..2 {
                let left = disk.after_power_cut(&mut Random(seed + 7 * at as u64));
                run(async {
                    let (log, recovered) = open(&left)
                        .await
                        .unwrap_or_else(|error| panic!("{fault:?} at {at}: {error}"));
                    assert!(
                        recovered.position >= acknowledged,
                        "{fault:?} at {at}: {acknowledged} were acknowledged, {recovered:?}"
                    );
                    append_up_to(&log, recovered.position.0 + 1).await.1.unwrap();
                    log.close().await;
                });
            }
        }
    }
    assert!(points > 150, "{points}");
}

/// What a replica has after it was opened.
fn state_of(disk: &SimDisk) -> Result<(u64, bool), OpenError> {
    let found = recover(Arc::new(disk.clone()), &options(), App::default())?;
    let mut state = found.state;
    let start = found.snapshots.meta.last.next_index();
    for entry in found.journal.read(&(start..u64::MAX), false).unwrap() {
        if let openraft::EntryPayload::Normal(batch) = entry.payload {
            for entry in batch::decode(&batch.bytes).unwrap().entries {
                state.apply(entry).unwrap();
            }
        }
    }
    assert_eq!(state, App::after(state.count), "something in the middle is missing");
    Ok((state.count, found.torn.is_some()))
}

/// A log with two snapshots and several segments, and its last entry.
fn large() -> (SimDisk, u64) {
    let disk = with(200);
    run(async {
        let (log, _) = open(&disk).await.unwrap();
        log.snapshot().await.unwrap();
        append_up_to(&log, 260).await.1.unwrap();
        log.snapshot().await.unwrap();
        append_up_to(&log, 300).await.1.unwrap();
        log.close().await;
    });
    assert_eq!(state_of(&disk).unwrap(), (300, false));
    (disk, 300)
}

/// Every file, cut at every byte and flipped at every one: all entries, or all before what was
/// written last, or a refusal that names the file. Never anything else.
#[test]
fn damage_anywhere() {
    let (disk, all) = large();
    // Each of two threads has every other byte: these are tens of thousands of recoveries.
    let halves = std::thread::scope(|scope| {
        let threads = [0, 1].map(|first| {
            let disk = disk.copy();
            scope.spawn(move || damage_every_second_byte(&disk, all, first))
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(halves.iter().flatten().all(|count| *count > 25), "{halves:?}");
}

/// How often everything, not everything and nothing was found.
fn damage_every_second_byte(disk: &SimDisk, all: u64, first: usize) -> [u32; 3] {
    let mut seen = [0; 3];
    for name in disk.names().unwrap() {
        let whole = disk.bytes(&name);
        let cuts = (first..whole.len()).step_by(2).map(|at| (at, whole[..at].to_vec()));
        let flips = (first..whole.len()).step_by(2).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            (at, bytes)
        });
        for (at, bytes) in cuts.chain(flips) {
            let damaged = disk.copy();
            damaged.set_bytes(&name, bytes.clone());
            match state_of(&damaged) {
                Ok((count, torn)) if count == all => {
                    // Garbage where nothing was, or a snapshot that the one before replaces.
                    assert!(torn || name.starts_with("snapshot-"), "{name} at {at}");
                    seen[0] += 1;
                }
                Ok((count, torn)) => {
                    assert!(torn && count < all && count + 3 >= all, "{name} at {at}: {count}");
                    assert!(bytes.len() == whole.len(), "{name}: a cut went unnoticed");
                    seen[1] += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(&format!("DIR/{name}")), "{name} at {at}: {text}");
                    seen[2] += 1;
                }
            }
        }
    }
    seen
}

/// Every file, lost.
#[test]
fn loss_of_any_file() {
    let (disk, all) = large();
    let mut refusals = 0;
    for name in disk.names().unwrap() {
        let damaged = disk.copy();
        damaged.lose(&name);
        match state_of(&damaged) {
            Ok((count, _)) => {
                // Either snapshot, or what is older than the newer one.
                assert_eq!(count, all, "{name}");
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("is missing") || text.contains("continues after"), "{text}");
                refusals += 1;
            }
        }
    }
    assert!(refusals >= 3, "{refusals}");
}

/// Every file, with all others lost: no new log is made over what is left of one.
#[test]
fn loss_of_all_files_but_one() {
    let (disk, _) = large();
    for kept in disk.names().unwrap() {
        if kept.ends_with(crate::disk::TEMPORARY) {
            continue;
        }
        let damaged = disk.copy();
        for name in disk.names().unwrap() {
            if name != kept {
                damaged.lose(&name);
            }
        }
        let error = state_of(&damaged).err().unwrap_or_else(|| panic!("{kept} was not noticed"));
        assert!(error.to_string().contains("is missing"), "{error}");
        assert_eq!(damaged.names().unwrap(), [kept]);
    }
}

#[test]
fn damaged_snapshot_is_replaced_by_the_one_before_and_kept() {
    let (disk, all) = large();
    let mut names = disk.names().unwrap();
    names.retain(|name| name.starts_with("snapshot-"));
    let newest = names.last().unwrap().clone();
    let mut bytes = disk.bytes(&newest);
    bytes[100] ^= 1;
    disk.set_bytes(&newest, bytes);
    run(async {
        let (log, recovered) = open(&disk).await.unwrap();
        assert_eq!(recovered.position, Position(all));
        assert_eq!(recovered.damaged_snapshots.len(), 1);
        assert!(recovered.damaged_snapshots[0].contains(&newest), "{recovered:?}");
        log.close().await;
        assert!(disk.names().unwrap().contains(&format!("{newest}.damaged")));
        // With both of them damaged there is nothing to begin with.
        let older = disk.names().unwrap().into_iter().find(|name| *name == names[0]).unwrap();
        let mut bytes = disk.bytes(&older);
        bytes[100] ^= 1;
        disk.set_bytes(&older, bytes);
        let error = open(&disk).await.unwrap_err().to_string();
        assert!(error.contains(&older) && error.contains("cannot replace it"), "{error}");
    });
}

#[test]
fn segment_of_another_replica_is_refused() {
    let (disk, other) = (with(10), with(10));
    disk.set_bytes(&journal::first_name(), other.bytes(&journal::first_name()));
    let error = state_of(&disk).unwrap_err().to_string();
    assert!(error.contains("belongs to replica"), "{error}");
}

#[test]
fn quorum_that_does_not_fit_names_both_numbers() {
    let disk = with(1);
    for quorum in [2, 3] {
        let options = Options { quorum, ..options() };
        let error = recover(Arc::new(disk.clone()), &options, App::default()).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(&format!("a quorum of {quorum} was asked for")), "{text}");
        assert!(text.contains("the log has 1 voters"), "{text}");
    }
}

#[test]
fn options_that_cannot_be_are_refused() {
    let bad = |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        assert!(options.check().is_err());
    };
    bad(|o| o.quorum = 0);
    bad(|o| o.segment_bytes = 1000);
    bad(|o| o.segment_bytes = 4097);
    bad(|o| o.segment_bytes = 1 << 40);
    bad(|o| o.batch_bytes = 0);
    bad(|o| o.batch_entries = 0);
    bad(|o| o.heartbeat = Duration::ZERO);
    bad(|o| o.election_timeout = o.heartbeat);
    assert!(options().check().is_ok() && Options::new("x").check().is_ok());
}

#[test]
fn no_log_is_made_unless_it_may_be() {
    let disk = SimDisk::default();
    let refused = |options: Options| {
        let found = recover(Arc::new(disk.clone()), &options, App::default());
        found.err().unwrap().to_string()
    };
    let text = refused(Options { create: false, ..options() });
    assert_eq!(text, "there is no log in DIR, and none was to be made");
    let text = refused(Options { quorum: 2, ..options() });
    assert!(text.contains("a new log has one voter"), "{text}");
    assert_eq!(disk.names().unwrap(), [""; 0]);
}

/// A crash while the log is made leaves something that the next attempt finishes.
#[test]
fn making_a_log_can_be_interrupted_anywhere() {
    for at in 0.. {
        let disk = SimDisk::default();
        disk.fail(at, Fault::Power);
        let made = recover(Arc::new(disk.clone()), &options(), App::default()).map(drop);
        for seed in 0..4 {
            let left = disk.after_power_cut(&mut Random(seed));
            let found = recover(Arc::new(left), &options(), App::default());
            assert!(found.is_ok(), "at {at}: {:?}", found.err());
        }
        if !disk.failed() {
            made.unwrap();
            assert!(at > 5);
            break;
        }
    }
}

#[test]
fn wiped_directory_gets_another_identity() {
    let replica = |disk: &SimDisk| {
        recover(Arc::new(disk.clone()), &options(), App::default()).unwrap().replica
    };
    let disk = with(1);
    assert_eq!(replica(&disk), replica(&disk));
    assert_ne!(replica(&disk), replica(&SimDisk::default()));
}
