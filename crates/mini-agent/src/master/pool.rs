//! Amounts of resources, and how a master writes them for a framework.
//!
//! Amounts are in thousandths, as Mesos counts; ports are single numbers in ranges.

use std::collections::BTreeMap;
use std::fmt;

use mesos_scheduler::v1::framework_info::capability;
use mesos_scheduler::v1::{FrameworkInfo, Resource, resource, value};

/// A bag of resources that belong to nobody in particular (role `*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// By name, in thousandths; none is 0.
    scalars: BTreeMap<String, i64>,
    /// Disjoint, not adjacent, in order; both ends belong to them.
    ports: Vec<(u64, u64)>,
}

impl Pool {
    /// Some CPUs, memory and disk in MB, and ports from the first to the last.
    pub fn new(cpus: f64, mem: f64, disk: f64, ports: Option<(u64, u64)>) -> Pool {
        let mut pool = Pool::default();
        for (name, amount) in [("cpus", cpus), ("mem", mem), ("disk", disk)] {
            pool.put(name, milli(amount));
        }
        pool.ports.extend(ports.filter(|(first, last)| first <= last));
        pool
    }

    /// What these entries are together. `None`: some are not of this master's kind, which has no
    /// roles, reservations, volumes or sets.
    pub fn of(resources: &[Resource]) -> Option<Pool> {
        let mut pool = Pool::default();
        for resource in resources {
            let special = resource.role.as_deref().is_some_and(|role| role != "*")
                || !resource.reservations.is_empty()
                || resource.reservation.is_some()
                || resource.disk.is_some()
                || resource.revocable.is_some()
                || resource.shared.is_some();
            let kind = value::Type::try_from(resource.r#type).ok()?;
            match (kind, &resource.scalar, &resource.ranges) {
                _ if special => return None,
                (value::Type::Scalar, Some(scalar), _) if scalar.value >= 0.0 => {
                    pool.put(&resource.name, milli(scalar.value));
                }
                (value::Type::Ranges, _, Some(ranges)) if resource.name == "ports" => {
                    for range in &ranges.range {
                        if range.begin > range.end || range.end > u64::from(u16::MAX) {
                            return None;
                        }
                        pool.ports.push((range.begin, range.end));
                    }
                }
                _ => return None,
            }
        }
        pool.tidy();
        Some(pool)
    }

    /// Is there nothing?
    pub fn is_empty(&self) -> bool {
        self.scalars.is_empty() && self.ports.is_empty()
    }

    /// Is there enough for a task? Masters do not offer less.
    pub fn is_offerable(&self) -> bool {
        let amount = |name: &str| self.scalars.get(name).copied().unwrap_or_default();
        amount("cpus") >= 10 || amount("mem") >= 32_000
    }

    /// Both together.
    pub fn add(&mut self, other: &Pool) {
        for (name, amount) in &other.scalars {
            self.put(name, *amount);
        }
        self.ports.extend(&other.ports);
        self.tidy();
    }

    /// What is left without the other. `None`: not all of that is there.
    pub fn without(&self, other: &Pool) -> Option<Pool> {
        let mut left = self.clone();
        for (name, amount) in &other.scalars {
            let rest = left.scalars.get_mut(name)?;
            *rest = rest.checked_sub(*amount).filter(|rest| *rest >= 0)?;
        }
        left.scalars.retain(|_, amount| *amount > 0);
        for (first, last) in &other.ports {
            let place = left.ports.iter().position(|(f, l)| f <= first && last <= l)?;
            let (f, l) = left.ports.remove(place);
            if f < *first {
                left.ports.push((f, first - 1));
            }
            if *last < l {
                left.ports.push((last + 1, l));
            }
            left.ports.sort_unstable();
        }
        Some(left)
    }

    fn put(&mut self, name: &str, milli: i64) {
        if milli > 0 {
            let amount = self.scalars.entry(name.to_owned()).or_default();
            *amount = amount.saturating_add(milli);
        }
    }

    fn tidy(&mut self) {
        self.ports.sort_unstable();
        let mut tidy: Vec<(u64, u64)> = Vec::with_capacity(self.ports.len());
        for (first, last) in self.ports.drain(..) {
            match tidy.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => tidy.push((first, last)),
            }
        }
        self.ports = tidy;
    }

    /// As entries of an offer.
    pub fn resources(&self, style: &Style) -> Vec<Resource> {
        let mut all = Vec::new();
        if !self.ports.is_empty() {
            let range =
                self.ports.iter().map(|(begin, end)| value::Range { begin: *begin, end: *end });
            all.push(Resource {
                name: "ports".to_owned(),
                r#type: value::Type::Ranges.into(),
                ranges: Some(value::Ranges { range: range.collect() }),
                ..Resource::default()
            });
        }
        for (name, milli) in &self.scalars {
            all.push(Resource {
                name: name.clone(),
                r#type: value::Type::Scalar.into(),
                scalar: Some(value::Scalar { value: *milli as f64 / 1000.0 }),
                ..Resource::default()
            });
        }
        for resource in &mut all {
            resource.allocation_info = style.allocation();
            resource.role = style.with_role.then(|| "*".to_owned());
        }
        all
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<String> = Vec::new();
        if !self.ports.is_empty() {
            let ranges = self.ports.iter().map(|(first, last)| format!("{first}-{last}"));
            texts.push(format!("ports:[{}]", ranges.collect::<Vec<_>>().join(", ")));
        }
        let scalar = |(name, milli): (&String, &i64)| format!("{name}:{}", *milli as f64 / 1000.0);
        texts.extend(self.scalars.iter().map(scalar));
        f.write_str(&texts.join("; "))
    }
}

/// How resources are written for a framework, as its capabilities want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Name the role of each entry.
    with_role: bool,
    /// Say for which of the framework's roles it is.
    allocated_to: Option<String>,
}

impl Style {
    /// The style for this framework.
    pub fn of(framework: &FrameworkInfo) -> Style {
        let multi = has(framework, capability::Type::MultiRole);
        let refined = has(framework, capability::Type::ReservationRefinement);
        let role = || framework.roles.first().cloned().unwrap_or_else(|| "*".to_owned());
        Style { with_role: !refined, allocated_to: multi.then(role) }
    }

    /// For resources and offers.
    pub fn allocation(&self) -> Option<resource::AllocationInfo> {
        let role = self.allocated_to.clone()?;
        Some(resource::AllocationInfo { role: Some(role) })
    }
}

/// Has a framework this capability?
pub fn has(framework: &FrameworkInfo, kind: capability::Type) -> bool {
    framework.capabilities.iter().any(|capability| capability.r#type() == kind)
}

fn milli(amount: f64) -> i64 {
    // The conversion saturates.
    (amount * 1000.0).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesos_scheduler::json;
    use serde_json::{Value, json};

    fn pool(value: Value) -> Option<Pool> {
        let entries: Vec<Resource> =
            value.as_array().unwrap().iter().map(|v| json::from_value(v).unwrap()).collect();
        Pool::of(&entries)
    }

    fn scalar(name: &str, value: f64) -> Value {
        json!({"name": name, "type": "SCALAR", "scalar": {"value": value}})
    }

    fn ports(ranges: &[(u64, u64)]) -> Value {
        let ranges: Vec<Value> =
            ranges.iter().map(|(b, e)| json!({"begin": b, "end": e})).collect();
        json!({"name": "ports", "type": "RANGES", "ranges": {"range": ranges}})
    }

    #[test]
    fn arithmetic() {
        let all = Pool::new(4.0, 1024.0, 0.0, Some((31_000, 31_009)));
        let part = pool(json!([
            scalar("cpus", 0.1),
            scalar("cpus", 0.2),
            ports(&[(31_003, 31_004), (31_009, 31_009)]),
        ]));
        let part = part.unwrap();
        let left = all.without(&part).unwrap();
        assert_eq!(left.to_string(), "ports:[31000-31002, 31005-31008]; cpus:3.7; mem:1024");
        let mut back = left.clone();
        back.add(&part);
        assert_eq!(back, all);
        assert_eq!(left.without(&part), None, "its ports are gone");
        assert_eq!(all.without(&all), Some(Pool::default()));
        assert!(Pool::default().is_empty() && !all.is_empty());
        let disk = pool(json!([scalar("disk", 1.0)])).unwrap();
        assert_eq!(all.without(&disk), None);
        assert!(all.is_offerable() && !disk.is_offerable());
    }

    #[test]
    fn what_this_master_does_not_have() {
        let mut special = scalar("cpus", 1.0);
        special["role"] = json!("www");
        let mut revocable = scalar("cpus", 1.0);
        revocable["revocable"] = json!({});
        for entry in
            [special, revocable, scalar("cpus", -1.0), ports(&[(2, 1)]), ports(&[(1, 70_000)])]
        {
            assert_eq!(pool(json!([entry])), None);
        }
    }

    /// Recorded from offers to frameworks of three kinds.
    #[test]
    fn styles() {
        let pool = Pool::new(1.0, 0.0, 0.0, None);
        let written = |info: Value| {
            let mut framework = json!({"user": "u", "name": "n"});
            framework.as_object_mut().unwrap().extend(info.as_object().unwrap().clone());
            let style = Style::of(&json::from_value(&framework).unwrap());
            json::to_value(&pool.resources(&style)[0])
        };
        let base = scalar("cpus", 1.0);
        let with = |more: Value| {
            let mut all = base.clone();
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        assert_eq!(written(json!({"role": "r"})), with(json!({"role": "*"})));
        let multi = json!({"roles": ["r"], "capabilities": [{"type": "MULTI_ROLE"}]});
        assert_eq!(written(multi), with(json!({"role": "*", "allocation_info": {"role": "r"}})));
        let refined = json!({"roles": ["r"], "capabilities": [
            {"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}]});
        assert_eq!(written(refined), with(json!({"allocation_info": {"role": "r"}})));
    }
}
