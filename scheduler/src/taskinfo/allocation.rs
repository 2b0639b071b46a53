//! What a task and its executor get of an offer.
//!
//! An offer has several entries of a kind: of different roles, reservations, disks. Each kind that
//! the task asks for is taken from the entries in turn, those that are reserved for a role first,
//! and what is taken keeps what the entry says of itself. The executor gets its part of what is
//! left, of the same kinds: kinds that only the executor asks for are not taken.

use std::collections::BTreeMap;
use std::fmt;

use aurora_api::api::{self, TaskConfig};
use mesos_scheduler::v1::{Resource, resource, value};

use crate::core::resources::{Bag, Kind, milli};

/// The order in which kinds are allocated.
const KINDS: [Kind; 5] = [Kind::Cpu, Kind::Ram, Kind::Disk, Kind::Ports, Kind::Gpu];

/// What a task asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The kinds that it names, even those of which it wants nothing.
    kinds: Vec<Kind>,
    /// Amounts in thousandths.
    amounts: Bag,
    /// The numbers of its ports, in order.
    ports: Vec<u64>,
}

impl Wanted {
    /// What this task asks for, with the ports that were chosen for it.
    pub fn of(task: &TaskConfig, ports: Option<&BTreeMap<String, i32>>) -> Wanted {
        let mut wanted = Wanted::default();
        for resource in task.resources.iter().flatten() {
            let (kind, amount) = match resource {
                api::Resource::NumCpus(cpus) => (Kind::Cpu, milli(cpus.0)),
                api::Resource::RamMb(ram) => (Kind::Ram, ram.saturating_mul(1000)),
                api::Resource::DiskMb(disk) => (Kind::Disk, disk.saturating_mul(1000)),
                api::Resource::NumGpus(gpus) => (Kind::Gpu, gpus.saturating_mul(1000)),
                api::Resource::NamedPort(_) => (Kind::Ports, 0),
                api::Resource::Unknown(..) => continue,
            };
            wanted.amounts.put(kind, amount);
            if !wanted.kinds.contains(&kind) {
                wanted.kinds.push(kind);
            }
        }
        let numbers = ports.into_iter().flatten().filter_map(|(_, n)| u64::try_from(*n).ok());
        wanted.ports = numbers.collect();
        wanted.ports.sort_unstable();
        wanted.ports.dedup();
        wanted
    }
}

/// What an offer lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortage {
    /// Of what.
    pub kind: Kind,
    /// How much, in thousandths; of ports, a thousand for each.
    pub milli: i64,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.milli as f64 / 1000.0;
        write!(f, "the offer has {missing} too little of {}", self.kind.name())
    }
}

/// Cuts out of an offer's resources what a task (first) and its executor (second) get; what is
/// `offered` is less after that, or, if it was too little, of no use. `revocable`: may Mesos take
/// this kind back from them?
pub fn allocate(
    wanted: &Wanted,
    overhead: &Bag,
    offered: &mut [Resource],
    revocable: impl Fn(Kind) -> bool,
) -> Result<(Vec<Resource>, Vec<Resource>), Shortage> {
    let (mut task, mut executor) = (Vec::new(), Vec::new());
    for kind in KINDS.into_iter().filter(|kind| wanted.kinds.contains(kind)) {
        let revocable = revocable(kind);
        let mut entries: Vec<&mut Resource> = offered
            .iter_mut()
            .filter(|entry| Kind::of_mesos(&entry.name) == Some(kind))
            .filter(|entry| entry.revocable.is_some() == revocable)
            .collect();
        // Stable: in the offer's order otherwise.
        entries.sort_by_key(|entry| !is_reserved(entry));
        if kind == Kind::Ports {
            task.extend(ports(&wanted.ports, entries)?);
            continue;
        }
        let mut take = |amount: i64, out: &mut Vec<Resource>| {
            let mut missing = amount;
            for entry in &mut entries {
                let available = milli(entry.scalar.as_ref().map_or(0.0, |s| s.value));
                let taken = missing.min(available);
                if taken > 0 {
                    missing -= taken;
                    out.push(scalar(entry, taken));
                    entry.scalar = Some(thousandths(available - taken));
                }
            }
            match missing {
                ..=0 => Ok(()),
                milli => Err(Shortage { kind, milli }),
            }
        };
        take(wanted.amounts.get(kind), &mut task)?;
        take(overhead.get(kind), &mut executor)?;
    }
    Ok((task, executor))
}

/// Is it kept for a role? In offers of today, too, which name reservations in place of a role.
fn is_reserved(entry: &Resource) -> bool {
    entry.role.as_deref().is_some_and(|role| role != "*") || !entry.reservations.is_empty()
}

fn scalar(entry: &Resource, milli: i64) -> Resource {
    Resource { scalar: Some(thousandths(milli)), ..marked(entry) }
}

fn thousandths(milli: i64) -> value::Scalar {
    value::Scalar { value: milli as f64 / 1000.0 }
}

/// A copy of an entry. Offers mark what is revocable; what that says further is not for tasks.
fn marked(entry: &Resource) -> Resource {
    let revocable = entry.revocable.as_ref().map(|_| resource::RevocableInfo::default());
    Resource { revocable, ..entry.clone() }
}

/// Exactly these ports, in ranges as long as possible.
fn ports(wanted: &[u64], entries: Vec<&mut Resource>) -> Result<Vec<Resource>, Shortage> {
    let mut missing = wanted.to_vec();
    let mut out = Vec::new();
    for entry in entries {
        let offered = entry.ranges.as_ref().map_or(&[] as &[_], |ranges| &ranges.range);
        let has = |port: u64| offered.iter().any(|r| (r.begin..=r.end).contains(&port));
        let (here, elsewhere): (Vec<u64>, Vec<u64>) = missing.iter().partition(|p| has(**p));
        missing = elsewhere;
        if here.is_empty() {
            continue;
        }
        let mut taken: Vec<value::Range> = Vec::new();
        for port in here {
            match taken.last_mut() {
                Some(last) if last.end.checked_add(1) == Some(port) => last.end = port,
                _ => taken.push(value::Range { begin: port, end: port }),
            }
        }
        let left = taken.iter().fold(offered.to_vec(), without);
        out.push(Resource { ranges: Some(value::Ranges { range: taken }), ..marked(entry) });
        entry.ranges = Some(value::Ranges { range: left });
    }
    match i64::try_from(missing.len()) {
        Ok(0) => Ok(out),
        count => {
            let milli = count.unwrap_or(i64::MAX).saturating_mul(1000);
            Err(Shortage { kind: Kind::Ports, milli })
        }
    }
}

/// Ranges without one of them, or a part of it.
fn without(ranges: Vec<value::Range>, taken: &value::Range) -> Vec<value::Range> {
    let parts = ranges.into_iter().flat_map(|range| {
        let before = taken.begin.checked_sub(1).map(|end| (range.begin, end.min(range.end)));
        let after = taken.end.checked_add(1).map(|begin| (begin.max(range.begin), range.end));
        [before, after]
    });
    let parts = parts.flatten().filter(|(begin, end)| begin <= end);
    parts.map(|(begin, end)| value::Range { begin, end }).collect()
}
