//! A disk in memory that fails when it is told to, and forgets what was not synced when its power is
//! cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile};

/// What a disk writes as a whole, in bytes.
const SECTOR: usize = 512;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `ENOSPC`, once; a write has then written half.
    Full,
    /// `EIO`, once.
    Broken,
    /// A write writes half of its bytes and says so, once. This is no failure.
    Short,
    /// Nothing works from now on.
    Power,
}

#[derive(Clone, Default)]
struct File {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that differ, or may.
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Rename(String, String),
    Remove(String),
}

#[derive(Clone, Default)]
struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the directory.
    changes: Vec<NameChange>,
    /// Operations up to now that change something.
    operations: usize,
    /// Which of them fails, and how.
    fault: Option<(usize, Fault)>,
    /// Did it?
    failed: bool,
    dead: bool,
}

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

struct Handle(SimDisk, usize);

/// A generator of numbers that look random. (Sebastiano Vigna's SplitMix64.)
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

impl State {
    /// One more operation; how it fails, if it does.
    fn operation(&mut self) -> Result<Option<Fault>, io::Error> {
        if self.dead {
            return Err(io::Error::other("no power"));
        }
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, fault)) if at == number => {
                self.failed = true;
                match fault {
                    Fault::Full | Fault::Short => Ok(Some(fault)),
                    Fault::Broken => Err(io::Error::other("the disk is broken")),
                    Fault::Power => {
                        self.dead = true;
                        Ok(Some(fault))
                    }
                }
            }
            _ => Ok(None),
        }
    }

    /// One that cannot be done by half.
    fn whole(&mut self) -> io::Result<()> {
        match self.operation()? {
            Some(Fault::Full) => Err(ErrorKind::StorageFull.into()),
            Some(Fault::Power) => Err(io::Error::other("no power")),
            Some(Fault::Short | Fault::Broken) | None => Ok(()),
        }
    }
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Operation `at`, from now on, will fail.
    pub(crate) fn fail(&self, at: usize, fault: Fault) {
        let mut state = self.state();
        state.operations = 0;
        state.fault = Some((at, fault));
    }

    /// Did it?
    pub(crate) fn failed(&self) -> bool {
        self.state().failed
    }

    /// The same, as it is now, with nothing that fails.
    pub(crate) fn copy(&self) -> SimDisk {
        let state = State { fault: None, failed: false, dead: false, ..self.state().clone() };
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// What is left when the power is cut now: what was synced, and any of the sectors and the
    /// first of the names that were not.
    pub(crate) fn after_power_cut(&self, random: &mut Random) -> SimDisk {
        let old = self.state();
        let mut state = State { names: old.durable_names.clone(), ..State::default() };
        let kept = usize::try_from(random.below(old.changes.len() as u64 + 1)).unwrap();
        for change in old.changes.iter().take(kept) {
            match change {
                NameChange::Set(name, file) => {
                    state.names.insert(name.clone(), *file);
                }
                NameChange::Rename(from, to) => {
                    if let Some(file) = state.names.remove(from) {
                        state.names.insert(to.clone(), file);
                    }
                }
                NameChange::Remove(name) => {
                    state.names.remove(name);
                }
            }
        }
        for file in &old.files {
            let mut bytes = file.durable.clone();
            let length = match random.below(3) {
                0 => file.durable.len(),
                1 => file.cached.len(),
                // Unless it is to be cut, what is between is possible as well.
                _ => {
                    usize::try_from(
                        random.below((file.cached.len().abs_diff(file.durable.len())) as u64 + 1),
                    )
                    .unwrap()
                        + file.cached.len().min(file.durable.len())
                }
            };
            bytes.resize(length, 0);
            for sector in &file.dirty {
                let start = sector * SECTOR;
                let end = (start + SECTOR).min(length).min(file.cached.len());
                if start < end && random.below(2) == 0 {
                    bytes[start..end].copy_from_slice(&file.cached[start..end]);
                }
            }
            state.files.push(File { durable: bytes.clone(), cached: bytes, ..File::default() });
        }
        state.durable_names = state.names.clone();
        SimDisk(Arc::new(Mutex::new(state)))
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.names[name]].cached.clone()
    }

    /// Replaces the bytes of a file, behind everybody's back.
    pub(crate) fn set_bytes(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let file = state.names[name];
        state.files[file] = File { durable: bytes.clone(), cached: bytes, ..File::default() };
    }

    /// Removes a file, behind everybody's back.
    pub(crate) fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name).unwrap();
        state.durable_names = state.names.clone();
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.whole()?;
        let file = state.files.len();
        state.files.push(File::default());
        state.names.insert(name.to_owned(), file);
        state.changes.push(NameChange::Set(name.to_owned(), file));
        drop(state);
        Ok(Arc::new(Handle(self.clone(), file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.state().names.get(name).copied();
        Ok(Arc::new(Handle(self.clone(), file.ok_or(ErrorKind::NotFound)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.whole()?;
        let file = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        state.changes.push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.whole()?;
        state.names.remove(name).ok_or(ErrorKind::NotFound)?;
        state.changes.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.whole()?;
        state.durable_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }
}

impl DiskFile for Handle {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.state().files[self.1].cached.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.0.state();
        let bytes = &state.files[self.1].cached;
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.state();
        let fault = state.operation()?;
        let n = if fault.is_some() { bytes.len().div_ceil(2) } else { bytes.len() };
        let start = usize::try_from(offset).unwrap();
        let file = &mut state.files[self.1];
        if file.cached.len() < start + n {
            file.cached.resize(start + n, 0);
        }
        file.cached[start..start + n].copy_from_slice(&bytes[..n]);
        file.dirty.extend(start / SECTOR..(start + n).div_ceil(SECTOR));
        match fault {
            Some(Fault::Full) => Err(ErrorKind::StorageFull.into()),
            Some(Fault::Power) => Err(io::Error::other("no power")),
            Some(Fault::Short | Fault::Broken) | None => Ok(n),
        }
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.state();
        state.whole()?;
        let file = &mut state.files[self.1];
        file.durable = file.cached.clone();
        file.dirty.clear();
        Ok(())
    }
}
