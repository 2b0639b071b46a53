//! Which ports a job asks for.
//!
//! Source of behaviour: Aurora configuration reference, "Ports".

use std::collections::{BTreeMap, BTreeSet};

use aurora_schema::interpolate::Interpolated;
use aurora_schema::template::{Component, Ref};

use crate::problem::{Problem, Stage};

/// The end of a chain of aliases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// A port that the scheduler assigns.
    Named(String),
    /// A number.
    Static(i64),
}

/// The names in references `{{thermos.ports[name]}}` that a task's processes leave open.
///
/// Error: a reference below `thermos.ports` of another form, such as `{{thermos.ports.http}}`.
pub fn referenced(job: &Interpolated) -> Result<BTreeSet<String>, Problem> {
    let mut names = BTreeSet::new();
    let Ok(prefix) = Ref::parse("thermos.ports") else { return Ok(names) };
    for (reference, place) in &job.unbound {
        let in_process = place.to_string().starts_with("task.processes[");
        match reference.after(&prefix) {
            Some([Component::Index(name)]) if in_process => {
                names.insert(name.to_string());
            }
            Some([Component::Name(_), ..]) if in_process => {
                let process = crate::convert::process_at(&job.value, place);
                let message =
                    format!("Task has invalid process: {process} refers to {{{{{reference}}}}}");
                return Err(Problem::new(Stage::Convert, "InvalidTask", message).with_help(
                    format!("ports are referred to as {{{{thermos.ports[{}]}}}}", last(reference)),
                ));
            }
            _ => {}
        }
    }
    Ok(names)
}

fn last(reference: &Ref) -> &str {
    match reference.components().last() {
        Some(Component::Name(name) | Component::Index(name)) => name,
        None => "",
    }
}

/// The announcer's aliases, each with the end of its chain.
///
/// Error: a chain that comes back to itself.
pub fn resolve(portmap: &[(String, String)]) -> Result<BTreeMap<String, Port>, Problem> {
    let targets: BTreeMap<&str, &str> =
        portmap.iter().map(|(name, target)| (&**name, &**target)).collect();
    let mut resolved = BTreeMap::new();
    for name in targets.keys() {
        let mut at = *name;
        let mut seen = BTreeSet::from([at]);
        let end = loop {
            let Some(target) = targets.get(at) else { break Port::Named(at.to_owned()) };
            if let Ok(number) = target.trim().parse::<i64>() {
                break Port::Static(number);
            }
            // A port may stand for itself.
            if *target == at {
                break Port::Named(at.to_owned());
            }
            if !seen.insert(target) {
                let message = format!("Found cycle in portmap! ({target} leads back to itself)");
                return Err(Problem::new(Stage::Config, "CycleException", message));
            }
            at = target;
        };
        resolved.insert((*name).to_owned(), end);
    }
    Ok(resolved)
}

/// The ports that the scheduler is asked for.
pub fn requested(
    referenced: &BTreeSet<String>,
    resolved: &BTreeMap<String, Port>,
) -> BTreeSet<String> {
    let ends = resolved.values().cloned();
    let used = referenced
        .iter()
        .map(|name| resolved.get(name).cloned().unwrap_or_else(|| Port::Named(name.clone())));
    let named = ends.chain(used).filter_map(|port| match port {
        Port::Named(name) => Some(name),
        Port::Static(_) => None,
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(portmap: &[(&str, &str)], referenced: &[&str]) -> Result<Vec<String>, Problem> {
        let portmap: Vec<(String, String)> =
            portmap.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let referenced = referenced.iter().map(|name| (*name).to_owned()).collect();
        Ok(requested(&referenced, &resolve(&portmap)?).into_iter().collect())
    }

    #[test]
    fn chains() {
        assert_eq!(ports(&[], &["a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(ports(&[("aurora", "http")], &["http"]).unwrap(), ["http"]);
        assert_eq!(ports(&[("a", "b"), ("b", "c")], &["a", "b", "c"]).unwrap(), ["c"]);
        assert_eq!(ports(&[("other", "elsewhere")], &["a"]).unwrap(), ["a", "elsewhere"]);
        assert_eq!(ports(&[("a", "8080"), ("b", "a")], &["a", "c"]).unwrap(), ["c"]);
        assert!(ports(&[("a", "b"), ("b", "a")], &[]).is_err());
    }
}
