//! Sizes as they are written on command lines, and quotas.

use std::fmt;

use aurora_api::api::{Resource, ResourceAggregate};

use crate::commands::quota::Amounts;

/// A size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(u64);

/// Names of units, without the `b` that may follow, and their powers of 1024.
const UNITS: [(char, u32); 4] = [('k', 1), ('m', 2), ('g', 3), ('t', 4)];

impl Size {
    /// Reads `512M`, `8GB` or a number of bytes.
    pub(super) fn parse(text: &str) -> Result<Size, String> {
        let lower = text.to_ascii_lowercase();
        let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
        let (number, unit) = lower.split_at(digits);
        let mut letters = unit.chars();
        let factor = match letters.next() {
            None => Some(1),
            Some(letter) if matches!(letters.as_str(), "" | "b") => {
                UNITS.iter().find(|(known, _)| *known == letter).map(|(_, power)| 1 << (10 * power))
            }
            Some(_) => None,
        };
        let factor: u64 = factor.ok_or_else(|| {
            format!("Invalid size: {text} has no known unit: kb, mb, gb, tb, k, m, g, t")
        })?;
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.map(Size).ok_or_else(|| format!("Invalid size: {text} is no number, or too large"))
    }

    /// Whole megabytes.
    pub(super) fn megabytes(self) -> i64 {
        // 64 bits of bytes are 44 bits of megabytes.
        (self.0 >> 20) as i64
    }

    /// Whether it is something, but less than a megabyte.
    pub(super) fn vanishes(self) -> bool {
        self.0 > 0 && self.megabytes() == 0
    }
}

/// A number of CPUs.
pub(super) fn cpus(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
    value.ok_or_else(|| format!("{text} is no number of CPUs"))
}

/// The quota of these amounts.
pub(super) fn aggregate(amounts: Amounts) -> ResourceAggregate {
    let resources = [
        Resource::NumCpus(amounts.cpus.into()),
        Resource::RamMb(amounts.ram_mb),
        Resource::DiskMb(amounts.disk_mb),
    ];
    ResourceAggregate { resources: Some(resources.into()), ..Default::default() }
}

/// `cpu:1.000000 ram:1024 disk: 1024`
pub(super) struct InLog(pub(super) Amounts);

impl fmt::Display for InLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Amounts { cpus, ram_mb, disk_mb, .. } = self.0;
        write!(f, "cpu:{cpus:.6} ram:{ram_mb} disk: {disk_mb}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (text, megabytes) in [
            ("8GB", 8192),
            ("100G", 102_400),
            ("512m", 512),
            ("1T", 1 << 20),
            ("1048576k", 1024),
            ("2097152", 2),
            ("100", 0),
            ("0", 0),
        ] {
            assert_eq!(Size::parse(text).map(Size::megabytes), Ok(megabytes), "{text}");
        }
        for text in
            ["", "1Q", "x", "-1G", "1.5G", "1GiB", "G", "99999999999999999999", "99999999999T"]
        {
            assert!(Size::parse(text).is_err(), "{text}");
        }
        assert!(Size::parse("100").is_ok_and(Size::vanishes));
        assert!(!Size::parse("0").is_ok_and(Size::vanishes));
    }

    #[test]
    fn numbers_of_cpus() {
        assert_eq!(cpus("4.5"), Ok(4.5));
        for text in ["", "x", "inf", "NaN"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_none(text in "\\PC*") {
            let _ = Size::parse(&text);
        }
    }
}
