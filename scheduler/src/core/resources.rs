//! Amounts of resources.
//!
//! Mesos counts in thousandths, and so does everything here: sums of `f64` would depend on their
//! order.

use std::fmt;
use std::ops::{Add, Sub};

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// CPU cores.
    Cpu,
    /// Memory, in MB.
    Ram,
    /// Disk space, in MB.
    Disk,
    /// Ports, by their number.
    Ports,
    /// GPUs.
    Gpu,
}

impl Kind {
    /// All kinds, in the order in which bags are compared.
    pub const ALL: [Kind; 5] = [Kind::Cpu, Kind::Ram, Kind::Disk, Kind::Ports, Kind::Gpu];

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Cpu => "CPU",
            Kind::Ram => "RAM",
            Kind::Disk => "disk",
            Kind::Ports => "ports",
            Kind::Gpu => "GPU",
        }
    }

    /// The kind that Mesos calls so.
    pub fn of_mesos(name: &str) -> Option<Kind> {
        Some(match name {
            "cpus" => Kind::Cpu,
            "mem" => Kind::Ram,
            "disk" => Kind::Disk,
            "ports" => Kind::Ports,
            "gpus" => Kind::Gpu,
            _ => return None,
        })
    }

    /// What a large host has of it. Shortfalls are scored in proportion.
    fn range(self) -> i64 {
        match self {
            Kind::Cpu => 16,
            Kind::Ram => 24 * 1024,
            Kind::Disk => 450 * 1024,
            Kind::Ports => 1000,
            Kind::Gpu => 4,
        }
    }

    /// How bad it is to have `shortfall` thousandths too little: 0 to 1000.
    pub fn score(self, shortfall: i64) -> i64 {
        (shortfall / self.range()).min(1000)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An amount of each kind, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bag([i64; 5]);

impl Bag {
    /// Nothing.
    pub const EMPTY: Bag = Bag([0; 5]);

    /// Cores, megabytes of memory and of disk, whole.
    pub const fn whole(cpu: i64, ram_mb: i64, disk_mb: i64) -> Bag {
        Bag([cpu * 1000, ram_mb * 1000, disk_mb * 1000, 0, 0])
    }

    /// The amount of a kind, in thousandths.
    pub fn get(&self, kind: Kind) -> i64 {
        self.0[kind as usize]
    }

    /// Puts thousandths of a kind into it. Never overflows: it stays at the largest number.
    pub fn put(&mut self, kind: Kind, milli: i64) {
        let amount = &mut self.0[kind as usize];
        *amount = amount.saturating_add(milli);
    }

    /// This with more of a kind, in whole units.
    #[must_use]
    pub fn with(mut self, kind: Kind, whole: i64) -> Bag {
        self.put(kind, whole.saturating_mul(1000));
        self
    }

    /// Is there enough of everything in `self` for `request`?
    pub fn covers(&self, request: &Bag) -> bool {
        self.0.iter().zip(&request.0).all(|(have, need)| have >= need)
    }

    /// The larger amount of each kind.
    #[must_use]
    pub fn max(mut self, other: &Bag) -> Bag {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
        self
    }
}

impl Add for Bag {
    type Output = Bag;

    fn add(mut self, other: Bag) -> Bag {
        for kind in Kind::ALL {
            self.put(kind, other.get(kind));
        }
        self
    }
}

impl Sub for Bag {
    type Output = Bag;

    fn sub(mut self, other: Bag) -> Bag {
        for kind in Kind::ALL {
            self.put(kind, other.get(kind).saturating_neg());
        }
        self
    }
}

/// A number of Mesos or a user in thousandths, rounded as Mesos does. What is no number counts as 0.
pub fn milli(number: f64) -> i64 {
    // The conversion saturates.
    (number * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let a = Bag::whole(1, 2, 3).with(Kind::Ports, 2);
        assert_eq!((a + a - a), a);
        assert!(a.covers(&a) && (a + a).covers(&a) && !a.covers(&(a + a)));
        assert!(!a.covers(&Bag::EMPTY.with(Kind::Gpu, 1)));
        assert_eq!(Bag::whole(1, 9, 1).max(&Bag::whole(2, 1, 1)), Bag::whole(2, 9, 1));
        assert_eq!(Bag::EMPTY.with(Kind::Ram, i64::MAX).get(Kind::Ram), i64::MAX);
    }

    #[test]
    fn thousandths() {
        assert_eq!(milli(0.1 + 0.2), 300);
        assert_eq!(milli(f64::NAN), 0);
        assert_eq!(milli(f64::INFINITY), i64::MAX);
    }

    /// int(1000 × shortfall) / range, at most 1000.
    #[test]
    fn scores() {
        assert_eq!(Kind::Cpu.score(4_000), 250);
        assert_eq!(Kind::Cpu.score(1_000_000), 1000);
        assert_eq!(Kind::Ram.score(1024 * 1000), 41);
        assert_eq!(Kind::Ports.score(1_000), 1);
        assert_eq!(Kind::Gpu.score(1_000), 250);
    }
}
