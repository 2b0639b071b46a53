//! The journal against a model, on disks that fail.

use std::path::Path;

use super::*;
use crate::codec::tests::{id, normal};
use crate::disk::sim::{Fault, Random, SimDisk};

const REPLICA: ReplicaId = ReplicaId(7);

const OPTIONS: Options = Options { segment: 4096, cache: 2000 };

#[derive(Clone, Debug)]
enum Step {
    /// As many entries of such a length, in this term.
    Append(u64, usize, usize),
    /// As many from the end.
    Truncate(u64),
    /// Up to so many before the end; negative: beyond it.
    Purge(i64),
    Vote(u64),
}

#[derive(Clone, Debug, Default)]
struct Model {
    entries: BTreeMap<u64, Entry>,
    purged: Option<LogId>,
    last: Option<LogId>,
    vote: Vote,
}

impl Model {
    fn entries_of(&self, term: u64, count: usize, length: usize) -> Vec<Entry> {
        let first = self.last.next_index();
        let numbers = first..first + count as u64;
        numbers.map(|index| normal(term, index, vec![index as u8 | 1; length])).collect()
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append(term, count, length) => {
                for entry in self.entries_of(*term, *count, *length) {
                    self.last = Some(entry.log_id);
                    self.entries.insert(entry.log_id.index, entry);
                }
            }
            Step::Truncate(count) => {
                self.entries.split_off(&self.truncation(*count));
                let last = self.entries.last_key_value().map(|(_, entry)| entry.log_id);
                self.last = last.or(self.purged);
            }
            Step::Purge(before) => {
                let upto = self.purge(*before);
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(upto));
                self.last = self.last.max(Some(upto));
            }
            Step::Vote(term) => self.vote = Vote::new(*term, 3),
        }
    }

    fn truncation(&self, count: u64) -> u64 {
        self.last.next_index().saturating_sub(count).max(self.purged.next_index())
    }

    fn purge(&self, before: i64) -> LogId {
        let index = (self.last.next_index().cast_signed() - 1 - before).max(0).cast_unsigned();
        match self.entries.get(&index) {
            Some(entry) => entry.log_id,
            None if self.last.is_some_and(|last| index > last.index) => {
                id(self.last.map_or(1, |last| last.leader_id.term), index)
            }
            None => self.purged.unwrap_or(id(1, 0)),
        }
    }
}

fn open(disk: &SimDisk) -> Result<Opened, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    remove_temporary(&*disk).map_err(|error| OpenError::io("tidy", Path::new(""), error))?;
    Journal::open(disk, Path::new("DIR"), REPLICA, OPTIONS, Arc::default())
}

fn made() -> SimDisk {
    let disk = SimDisk::default();
    create(&disk, REPLICA, OPTIONS).unwrap();
    disk
}

/// Does a step, and waits for it.
fn run(journal: &Journal, model: &Model, step: &Step) -> Result<(), Fatal> {
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    match step {
        Step::Append(term, count, length) => {
            journal.append(model.entries_of(*term, *count, *length), done);
        }
        Step::Truncate(count) => journal.truncate(model.truncation(*count), done),
        Step::Purge(before) => journal.purge(model.purge(*before), done),
        Step::Vote(term) => journal.vote(Vote::new(*term, 3), done),
    }
    receiver.recv().unwrap()
}

/// Is everything in the journal that should be, as it should be?
fn differs(journal: &Journal, vote: Vote, model: &Model) -> Option<String> {
    let (purged, last) = journal.state();
    if last != model.last || vote != model.vote {
        return Some(format!("{last:?} {vote}, not {:?} {}", model.last, model.vote));
    }
    if purged.next_index() > model.purged.next_index() {
        return Some(format!("purged up to {purged:?}, not {:?}", model.purged));
    }
    let all = model.purged.next_index()..u64::MAX;
    let found = journal.read(&all, false).unwrap();
    if !found.iter().eq(model.entries.values()) {
        return Some(format!("{} entries, not {}", found.len(), model.entries.len()));
    }
    if let Some(cached) = journal.read_cached(&all)
        && cached != found
    {
        return Some("what is in memory is not what is on disk".into());
    }
    None
}

/// Segments that are full, one that is longer than others, truncation within a segment and across
/// one, purges of segments and of everything.
fn steps() -> Vec<Step> {
    use Step::*;
    vec![
        Vote(1),
        Append(1, 1, 100),
        Append(1, 3, 700),
        Append(1, 2, 900),
        Truncate(1),
        Append(2, 1, 9000),
        Vote(2),
        Append(2, 4, 600),
        Append(2, 4, 600),
        Truncate(6),
        Append(3, 1, 0),
        Purge(3),
        Append(3, 2, 1500),
        Purge(0),
        Append(3, 3, 800),
        Purge(-10),
        Append(3, 2, 300),
        Truncate(9),
        Append(4, 2, 300),
        Append(4, 9, 500),
        Truncate(8),
        Append(5, 9, 500),
        Truncate(11),
        Purge(0),
        Append(6, 1, 10),
        Purge(1),
        Append(6, 1, 10),
        Purge(0),
    ]
}

#[test]
fn does_what_the_model_does_and_still_after_it_is_opened_again() {
    let disk = made();
    let mut model = Model::default();
    for (n, step) in steps().iter().enumerate() {
        let Opened { journal, vote, torn, .. } = open(&disk).unwrap();
        assert_eq!(torn, None);
        assert_eq!(differs(&journal, vote, &model), None, "before step {n} {step:?}");
        run(&journal, &model, step).unwrap();
        model.run(step);
        assert_eq!(differs(&journal, model.vote, &model), None, "after step {n} {step:?}");
    }
    // What was purged is gone from the disk.
    assert!(disk.names().unwrap().len() <= 4, "{:?}", disk.names());
}

/// The whole point: whichever operation fails, however it fails, and whatever of the rest survives a
/// cut of the power: what was acknowledged is there, what was not is there as a whole or not at all.
#[test]
fn disk_that_fails_at_every_operation() {
    for fault in [Fault::Full, Fault::Broken, Fault::Power, Fault::Short] {
        let mut points = 0;
        for at in 0.. {
            let disk = made();
            disk.fail(at, fault);
            let mut before = Model::default();
            let mut after = before.clone();
            let journal = open(&disk).unwrap().journal;
            for step in steps() {
                before = after.clone();
                after.run(&step);
                if let Err(fatal) = run(&journal, &before, &step) {
                    let again = run(&journal, &before, &Step::Vote(99)).unwrap_err();
                    assert_eq!(again, fatal, "it went on after a failure");
                    assert_eq!(journal.failed(), Some(fatal));
                    break;
                }
                before = after.clone();
            }
            drop(journal);
            if !disk.failed() {
                break;
            }
            points += 1;
            assert!(
                fault != Fault::Short || before.last == after.last,
                "a short write is no error"
            );
            for seed in 0..6 {
                let mut random = Random(seed * 1_000_003 + at as u64);
                let left = disk.after_power_cut(&mut random);
                let Opened { journal, vote, .. } = open(&left)
                    .unwrap_or_else(|error| panic!("{fault:?} at {at}, seed {seed}: {error}"));
                let (one, other) =
                    (differs(&journal, vote, &before), differs(&journal, vote, &after));
                assert!(
                    one.is_none() || other.is_none(),
                    "{fault:?} at {at}, seed {seed}: {one:?}; {other:?}"
                );
                // And it can be written to.
                let model = if one.is_none() { &before } else { &after };
                run(&journal, model, &Step::Append(99, 1, 10)).unwrap();
            }
        }
        assert!(points > 60, "{fault:?}: {points} points only");
    }
}

fn random_step(random: &mut Random, term: &mut u64) -> Step {
    match random.below(10) {
        0 => Step::Truncate(random.below(5)),
        1 => Step::Purge(random.below(12).cast_signed() - 1),
        2 => {
            *term += 1;
            Step::Vote(*term)
        }
        _ => {
            let length = if random.below(9) == 0 { 6000 } else { random.below(900) };
            let count = usize::try_from(random.below(4)).unwrap();
            Step::Append(*term, count, usize::try_from(length).unwrap())
        }
    }
}

#[test]
fn random_steps_and_power_cuts() {
    for seed in 0..150 {
        let mut random = Random(seed);
        let mut disk = made();
        let mut before = Model::default();
        let mut term = 1;
        for _ in 0..4 {
            let Opened { journal, vote, .. } = open(&disk).unwrap();
            assert_eq!(differs(&journal, vote, &before), None, "seed {seed}");
            disk.fail(usize::try_from(random.below(60)).unwrap(), Fault::Power);
            let mut after = before.clone();
            for _ in 0..30 {
                let step = random_step(&mut random, &mut term);
                after = before.clone();
                after.run(&step);
                if run(&journal, &before, &step).is_err() {
                    break;
                }
                before = after.clone();
                assert_eq!(differs(&journal, before.vote, &before), None, "seed {seed} {step:?}");
            }
            drop(journal);
            disk = disk.after_power_cut(&mut random);
            let Opened { journal, vote, .. } = open(&disk).unwrap();
            if differs(&journal, vote, &before).is_some() {
                assert_eq!(differs(&journal, vote, &after), None, "seed {seed}");
                before = after;
            }
        }
    }
}

#[test]
fn commands_that_wait_share_a_sync() {
    let disk = made();
    let counters = Arc::new(Counters::default());
    let journal =
        Journal::open(Arc::new(disk), Path::new("DIR"), REPLICA, OPTIONS, Arc::clone(&counters))
            .unwrap()
            .journal;
    let (sender, receiver) = mpsc::channel();
    // The thread is held in the first callback until all others are waiting.
    let (go, wait) = mpsc::channel::<()>();
    let first = Box::new(move |_| wait.recv().unwrap());
    journal.append(vec![normal(1, 0, &b"x"[..])], first);
    for index in 1..=20 {
        let sender = sender.clone();
        let done = Box::new(move |result| sender.send(result).unwrap());
        journal.append(vec![normal(1, index, &b"x"[..])], done);
    }
    go.send(()).unwrap();
    for _ in 1..=20 {
        receiver.recv().unwrap().unwrap();
    }
    assert!(counters.syncs.get() <= 3, "{} syncs", counters.syncs.get());
}

#[test]
fn memory_is_bounded_and_the_rest_is_read_from_disk() {
    let disk = made();
    let journal = open(&disk).unwrap().journal;
    let mut model = Model::default();
    journal.set_applied(u64::MAX);
    for _ in 0..40 {
        let step = Step::Append(1, 1, 500);
        run(&journal, &model, &step).unwrap();
        model.run(&step);
    }
    assert!(journal.shared.contents().cached <= OPTIONS.cache);
    assert_eq!(journal.read_cached(&(0..10)), None);
    assert_eq!(differs(&journal, Vote::default(), &model), None);
    assert_eq!(journal.read(&(30..50), true).unwrap().len(), 10);
    assert_eq!(journal.read(&(50..60), true).unwrap().len(), 0);
}

#[test]
fn what_is_not_applied_stays_in_memory() {
    let journal = open(&made()).unwrap().journal;
    let model = Model::default();
    journal.set_applied(3);
    run(&journal, &model, &Step::Append(1, 30, 300)).unwrap();
    assert_eq!(journal.read_cached(&(3..30)).unwrap().len(), 27);
}

#[test]
fn entry_that_rots_after_it_was_read_is_not_served() {
    let disk = made();
    let journal = open(&disk).unwrap().journal;
    run(&journal, &Model::default(), &Step::Append(1, 3, 500)).unwrap();
    drop(journal);
    let journal = open(&disk).unwrap().journal;
    let mut bytes = disk.bytes(&first_name());
    bytes[HEADER + 300] ^= 1;
    disk.set_bytes(&first_name(), bytes);
    let error = journal.read(&(0..3), false).unwrap_err().to_string();
    assert!(error.contains(&first_name()) && error.contains("entry 0"), "{error}");
}

#[test]
fn committed_comes_back() {
    let disk = made();
    let journal = open(&disk).unwrap().journal;
    let mut model = Model::default();
    for committed in [3, 2] {
        journal.set_committed(committed);
        let step = Step::Append(1, 5, 10);
        run(&journal, &model, &step).unwrap();
        model.run(&step);
    }
    drop(journal);
    assert_eq!(open(&disk).unwrap().journal.committed(), 3);
}

/// Reads of a follower that is far behind get as much at a time as is sensible.
#[test]
fn limited_reads() {
    let options = Options { segment: 64 << 20, cache: 3 << 20 };
    let disk = SimDisk::default();
    create(&disk, REPLICA, options).unwrap();
    let opened = Journal::open(Arc::new(disk), Path::new("DIR"), REPLICA, options, Arc::default());
    let journal = opened.unwrap().journal;
    journal.set_applied(u64::MAX);
    let mut model = Model::default();
    for _ in 0..9 {
        let step = Step::Append(1, 1, 1 << 20);
        run(&journal, &model, &step).unwrap();
        model.run(&step);
    }
    let mut next = 0;
    let mut reads = 0;
    while next < 9 {
        let read = journal.read(&(next..9), true).unwrap();
        assert_eq!(read[0].log_id.index, next);
        next += read.len() as u64;
        reads += 1;
    }
    assert!((3..=4).contains(&reads), "{reads}");
}
