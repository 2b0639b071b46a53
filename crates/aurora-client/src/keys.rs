//! Job keys as they are written on the command line: with instances, or with parts left out.
//!
//! Source of behaviour: scheduler reference, "Job keys and instance syntax".

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use aurora_api::api;

use crate::select::{JobKey, is_identifier};

/// No job has so many instances; longer lists are slips of a finger.
const MAX_INSTANCES: usize = 1 << 20;

/// `CLUSTER/ROLE/ENV/NAME[/INSTANCES]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstancesKey {
    /// The job.
    pub job: JobKey,
    /// Which of its instances; unset: all.
    pub instances: Option<BTreeSet<i32>>,
}

impl FromStr for InstancesKey {
    type Err = String;

    fn from_str(text: &str) -> Result<InstancesKey, String> {
        if text.matches('/').count() < 4 {
            return Ok(InstancesKey { job: JobKey::parse(text)?, instances: None });
        }
        // The fourth slash ends the key.
        let (job, instances) = text.rsplit_once('/').unwrap_or((text, ""));
        let job = JobKey::parse(job)?;
        match instances {
            "" => Ok(InstancesKey { job, instances: None }),
            text => Ok(InstancesKey { job, instances: Some(parse_instances(text)?) }),
        }
    }
}

/// Reads `0-2,5`.
///
/// # Errors
/// Why it is no list of instances.
pub fn parse_instances(text: &str) -> Result<BTreeSet<i32>, String> {
    let number = |part: &str| {
        part.trim()
            .parse::<i32>()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| format!("{text:?} is no list of instances: {part:?} is no instance"))
    };
    let mut instances = BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = match part.split_once('-') {
            Some((from, to)) => (number(from)?, number(to)?),
            None => (number(part)?, number(part)?),
        };
        if from > to {
            return Err(format!("Invalid instance range: {from}-{to} goes backwards"));
        }
        if usize::try_from(to - from).unwrap_or(MAX_INSTANCES) >= MAX_INSTANCES - instances.len() {
            return Err(format!("{text:?} has more than {MAX_INSTANCES} instances"));
        }
        instances.extend(from..=to);
    }
    Ok(instances)
}

/// `CLUSTER/ROLE/ENV/NAME/INSTANCE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceKey {
    /// The job.
    pub job: JobKey,
    /// Its instance.
    pub instance: i32,
}

impl FromStr for InstanceKey {
    type Err = String;

    fn from_str(text: &str) -> Result<InstanceKey, String> {
        let form = || {
            format!(
                "Task instance specifier {text} is not in the form CLUSTER/ROLE/ENV/NAME/INSTANCE"
            )
        };
        let InstancesKey { job, instances } = text.parse().map_err(|_| form())?;
        match instances.iter().flatten().collect::<Vec<_>>()[..] {
            [instance] => Ok(InstanceKey { job, instance: *instance }),
            _ => Err(form()),
        }
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.instance)
    }
}

/// `CLUSTER[/ROLE[/ENV[/NAME]]]`, each part perhaps with `*`, `?` and `[…]`. What is left out is `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// A name, or `*` for all clusters.
    pub cluster: String,
    /// A pattern.
    pub role: String,
    /// A pattern.
    pub environment: String,
    /// A pattern.
    pub name: String,
    text: String,
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Pattern, String> {
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 4 || parts.iter().any(|part| part.is_empty()) {
            return Err(format!("{text:?} is not in the form CLUSTER[/ROLE[/ENV[/NAME]]]"));
        }
        let part = |position: usize| parts.get(position).copied().unwrap_or("*").to_owned();
        Ok(Pattern {
            cluster: part(0),
            role: part(1),
            environment: part(2),
            name: part(3),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// The one job that is meant, if nothing is left open.
    ///
    /// # Errors
    /// It is no job key.
    pub fn exact(&self) -> Result<Option<JobKey>, String> {
        let parts = [&self.cluster, &self.role, &self.environment, &self.name];
        match parts.into_iter().any(|part| is_glob(part)) {
            true => Ok(None),
            false => JobKey::parse(&self.text).map(Some),
        }
    }

    /// The role, if only one is meant.
    pub fn one_role(&self) -> Option<&str> {
        (!is_glob(&self.role)).then_some(&*self.role)
    }

    /// Whether a job of the cluster is meant.
    pub fn fits(&self, job: &JobKey) -> bool {
        matches(&self.role, &job.role)
            && matches(&self.environment, &job.environment)
            && matches(&self.name, &job.name)
    }
}

/// Whether a part of a pattern stands for several names.
fn is_glob(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// Whether a name fits a pattern as shells know them: `*`, `?`, `[a-z]`, `[!a-z]`. A bracket that is
/// not closed stands for itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut read) = (0, 0);
    // Where the last star was, and what it had taken.
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => match class(&pattern[at..], name[read]) {
                Some((length, true)) => Some(length),
                Some((_, false)) => None,
                None => (name[read] == '[').then_some(1),
            },
            Some(other) => (*other == name[read]).then_some(1),
            None => None,
        };
        match (step, star) {
            (Some(length), _) => {
                at += length;
                read += 1;
            }
            (None, Some((place, taken))) => {
                star = Some((place, taken + 1));
                at = place + 1;
                read = taken + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// The length of a class that starts here, and whether a character is in it.
fn class(pattern: &[char], character: char) -> Option<(usize, bool)> {
    let negated = pattern.get(1) == Some(&'!');
    let first = if negated { 2 } else { 1 };
    // A bracket right at the start is one of the characters.
    let end = (first + 1..pattern.len()).find(|position| pattern[*position] == ']')?;
    let mut members = &pattern[first..end];
    let mut found = false;
    while let [from, rest @ ..] = members {
        members = match rest {
            ['-', to, rest @ ..] => {
                found |= (*from..=*to).contains(&character);
                rest
            }
            _ => {
                found |= *from == character;
                rest
            }
        };
    }
    Some((end + 1, found != negated))
}

/// A key as schedulers know it. They serve one cluster.
pub fn to_api(job: &JobKey) -> api::JobKey {
    api::JobKey {
        role: Some(job.role.clone()),
        environment: Some(job.environment.clone()),
        name: Some(job.name.clone()),
        ..api::JobKey::default()
    }
}

/// A scheduler's key as people write it.
pub fn from_api(cluster: &str, job: &api::JobKey) -> JobKey {
    JobKey {
        cluster: cluster.to_owned(),
        role: job.role.clone().unwrap_or_default(),
        environment: job.environment.clone().unwrap_or_default(),
        name: job.name.clone().unwrap_or_default(),
    }
}

/// `[0, 1, 2]`, as lists of instances are printed.
pub fn listed<'i>(instances: impl IntoIterator<Item = &'i i32>) -> String {
    let texts: Vec<String> = instances.into_iter().map(i32::to_string).collect();
    format!("[{}]", texts.join(", "))
}

/// A role, environment or name, for command lines.
///
/// # Errors
/// Why it is none.
pub fn identifier(text: &str) -> Result<String, String> {
    match is_identifier(text) {
        true => Ok(text.to_owned()),
        false => {
            Err(format!("{text:?} has other characters than letters, digits, \"_\", \"-\", \".\""))
        }
    }
}

/// A job key, for command lines.
///
/// # Errors
/// Why it is none.
pub fn job_key(text: &str) -> Result<JobKey, String> {
    JobKey::parse(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn instances() {
        for (text, expected) in [
            ("c/r/e/n", None),
            ("c/r/e/n/", None),
            ("c/r/e/n/0", Some(vec![0])),
            ("c/r/e/n/0,2-3", Some(vec![0, 2, 3])),
            ("c/r/e/n/3,1-2,2", Some(vec![1, 2, 3])),
        ] {
            let key: InstancesKey = text.parse().unwrap();
            assert_eq!(key.job.to_string(), "c/r/e/n");
            assert_eq!(key.instances.map(|all| all.into_iter().collect()), expected, "{text}");
        }
        for bad in [
            "c/r/e",
            "c/r/e/n/x",
            "c/r/e/n/3-1",
            "c/r/e/n/-1",
            "c/r/e/n/0,",
            "c/r/e/n/0/1",
            "c/r/e/n/99999999999",
            "c/r/e/n/0-2147483647",
            "c/r/e/n/0-1048575,2000000",
        ] {
            assert!(bad.parse::<InstancesKey>().is_err(), "{bad}");
        }
        assert!("c/r/e/n/3-1".parse::<InstancesKey>().unwrap_err().contains("backwards"));
        assert_eq!("c/r/e/n/7".parse::<InstanceKey>().unwrap().to_string(), "c/r/e/n/7");
        for bad in ["c/r/e/n", "c/r/e/n/", "c/r/e/n/1,2", "c/r/e/n/x"] {
            assert!(bad.parse::<InstanceKey>().unwrap_err().contains("not in the form"), "{bad}");
        }
    }

    #[test]
    fn patterns() {
        let job = JobKey::parse("c/web/prod/hello").unwrap();
        for (text, fits, exact) in [
            ("c", true, false),
            ("c/web", true, false),
            ("c/db", false, false),
            ("c/*/prod/*", true, false),
            ("c/web/prod/hell?", true, false),
            ("c/w?b/prod/[h-i]*", true, false),
            ("c/w?b/prod/[!h]*", false, false),
            ("*/web/prod/hello", true, false),
            ("c/web/prod/hello", true, true),
        ] {
            let pattern: Pattern = text.parse().unwrap();
            assert_eq!(pattern.fits(&job), fits, "{text}");
            assert_eq!(pattern.exact().unwrap().is_some(), exact, "{text}");
            assert_eq!(pattern.to_string(), text);
        }
        assert_eq!("c/w*".parse::<Pattern>().unwrap().one_role(), None);
        assert_eq!("c/web".parse::<Pattern>().unwrap().one_role(), Some("web"));
        for bad in ["", "c/", "c//p", "c/r/e/n/0"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        assert!("c/r/e/n%".parse::<Pattern>().unwrap().exact().is_err());
    }

    #[test]
    fn globs() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?", "", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("[!]a]", "b", true),
            ("[abc", "[abc", true),
            ("[abc", "a", false),
            ("*[0-9]", "web42", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }

    /// The pattern as a regular expression, which is another's idea of the same.
    fn oracle(pattern: &str, name: &str) -> bool {
        let mut expression = "(?s)^".to_owned();
        for character in pattern.chars() {
            match character {
                '*' => expression.push_str(".*"),
                '?' => expression.push('.'),
                other => expression.push_str(&regex::escape(&other.to_string())),
            }
        }
        expression.push('$');
        regex::Regex::new(&expression).unwrap().is_match(name)
    }

    proptest! {
        #[test]
        fn stars_are_what_others_take_them_for(pattern in "[ab*?]{0,12}", name in "[ab]{0,12}") {
            prop_assert_eq!(matches(&pattern, &name), oracle(&pattern, &name));
        }

        #[test]
        fn anything_can_be_parsed(text in "[a/*?\\[\\]!0-9,-]{0,24}") {
            let _ = text.parse::<InstancesKey>();
            let _ = text.parse::<Pattern>();
            let _ = matches(&text, "a");
        }
    }
}
