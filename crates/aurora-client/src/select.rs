//! Job keys, and finding jobs by them.
//!
//! Source of behaviour: Aurora configuration reference, "Job keys and selection", "--bind".

use std::fmt;

use aurora_schema::Bindings;
use aurora_schema::interpolate::{Limits, interpolate_part};
use aurora_schema::value::Value;

use crate::problem::{Problem, Stage};

/// A job's place: `cluster/role/environment/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobKey {
    /// Any text.
    pub cluster: String,
    /// Letters, digits, `_`, `-`, `.`, as the following.
    pub role: String,
    /// What it runs for: `prod`, `devel`, …
    pub environment: String,
    /// Its name.
    pub name: String,
}

/// Whether a text may be a role, environment or name. The original's pattern lets one line end at
/// the end pass.
pub fn is_identifier(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

impl JobKey {
    /// Reads a key of four parts.
    pub fn parse(text: &str) -> Result<JobKey, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let [cluster, role, environment, name] = parts[..] else {
            return Err(format!(
                "{text:?} is no job key: expected CLUSTER/ROLE/ENV/NAME, got {} part{}",
                parts.len(),
                if parts.len() == 1 { "" } else { "s" }
            ));
        };
        for (what, part) in [("role", role), ("environment", environment), ("name", name)] {
            if !is_identifier(part) {
                return Err(format!(
                    "{text:?} is no job key: {what} {part:?} has other characters than letters, \
                     digits, \"_\", \"-\", \".\""
                ));
            }
        }
        Ok(JobKey {
            cluster: cluster.to_owned(),
            role: role.to_owned(),
            environment: environment.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.cluster, self.role, self.environment, self.name)
    }
}

/// The parts of a key that a job has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Unset only if the file forgot it.
    pub cluster: Option<String>,
    /// The same.
    pub role: Option<String>,
    /// The same.
    pub environment: Option<String>,
    /// Has a default.
    pub name: Option<String>,
}

impl Parts {
    /// Whether these are the parts of that key.
    fn are(&self, key: &JobKey) -> bool {
        let same = |own: &Option<String>, other: &str| own.as_deref() == Some(other);
        same(&self.cluster, &key.cluster)
            && same(&self.role, &key.role)
            && same(&self.environment, &key.environment)
            && same(&self.name, &key.name)
    }
}

/// As a key; what is not set is called missing.
impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "{MISSING}".to_owned());
        write!(
            f,
            "{}/{}/{}/{}",
            part(&self.cluster),
            part(&self.role),
            part(&self.environment),
            part(&self.name)
        )
    }
}

/// Reads `NAME=VALUE` of `--bind`. Error: why it is none.
pub fn parse_bindings(arguments: &[String]) -> Result<Bindings, String> {
    let mut bindings = Bindings::new();
    for argument in arguments {
        let (name, value) = argument.split_once('=').ok_or_else(|| {
            format!("Binding parameter must be formatted name=value: {argument:?}")
        })?;
        bindings
            .bind(name, value)
            .map_err(|error| format!("Could not parse binding parameter {argument}: {error}"))?;
    }
    Ok(bindings)
}

/// The jobs of a file with the command line's bindings, and their keys. One job whose key cannot be
/// read spoils the file.
pub fn keys(jobs: &[Value], bindings: &Bindings) -> Result<Vec<(Value, Parts)>, Problem> {
    jobs.iter()
        .map(|job| {
            let job = job.bind([bindings.scope()]);
            let parts = parts(&job)?;
            Ok((job, parts))
        })
        .collect()
}

fn parts(job: &Value) -> Result<Parts, Problem> {
    let ty = job.ty();
    for name in ["cluster", "role", "environment", "name"] {
        let known = job.as_struct().is_some_and(|job| job.ty().position(name).is_some());
        if !known {
            let message = format!("{ty} has no attribute {name}: only a Job can be in jobs");
            return Err(Problem::new(Stage::Select, "AttributeError", message)
                .at(crate::problem::origin_of(job, &aurora_schema::error::Path::root())));
        }
    }
    let part = |name: &str| -> Result<Option<String>, Problem> {
        let Some(attribute) = job.attribute(name) else { return Ok(None) };
        let done = interpolate_part(job, attribute, &Limits::default())
            .map_err(|error| Problem::of_value(Stage::Select, job, &error))?;
        Ok(Some(done.value.as_text().unwrap_or_default().to_owned()))
    };
    Ok(Parts {
        cluster: part("cluster")?,
        role: part("role")?,
        environment: part("environment")?,
        name: part("name")?,
    })
}

fn candidates(jobs: &[(Value, Parts)]) -> String {
    let lines: Vec<String> = jobs.iter().map(|(_, parts)| format!("\n  {parts}")).collect();
    format!("Candidates are:{}", lines.concat())
}

/// Nothing is defined.
pub fn no_jobs() -> Problem {
    Problem::new(Stage::Config, "ValueError", "No job defined in this config!")
        .with_help("put jobs into the list `jobs`")
}

/// Several jobs are meant.
pub fn ambiguous(jobs: &[(Value, Parts)]) -> Problem {
    let message = format!(
        "Multiple jobs match, please disambiguate by specifying a job key.\n{}",
        candidates(jobs)
    );
    Problem::new(Stage::Config, "ValueError", message)
}

/// The one job of a key.
pub fn pick<'j>(jobs: &'j [(Value, Parts)], key: &JobKey) -> Result<&'j Value, Problem> {
    if jobs.is_empty() {
        return Err(no_jobs());
    }
    let matches: Vec<&Value> =
        jobs.iter().filter(|(_, parts)| parts.are(key)).map(|(job, _)| job).collect();
    match matches[..] {
        [job] => Ok(job),
        [] => {
            let mut message = format!("Could not find job {key}\n");
            for (_, parts) in jobs.iter().filter(|(_, parts)| parts.environment.is_none()) {
                message.push_str(&format!(
                    "Job {parts} in configuration file doesn't specify an environment\n"
                ));
            }
            message.push_str(&candidates(jobs));
            Err(Problem::new(Stage::Config, "ValueError", message))
        }
        _ => Err(ambiguous(jobs)),
    }
}

/// The one job of a name, whatever the rest of its key.
pub fn pick_by_name<'j>(jobs: &'j [(Value, Parts)], name: &str) -> Result<&'j Value, Problem> {
    if jobs.is_empty() {
        return Err(no_jobs());
    }
    let mut matches = jobs.iter().filter(|(_, parts)| parts.name.as_deref() == Some(name));
    match (matches.next(), matches.next()) {
        (Some((job, _)), None) => Ok(job),
        (None, _) => {
            let message = format!("Could not find job {name}\n{}", candidates(jobs));
            Err(Problem::new(Stage::Config, "ValueError", message))
        }
        _ => Err(ambiguous(jobs)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_four_parts() {
        let key = JobKey::parse("west/www-data/prod/hello.1").unwrap();
        assert_eq!(key.to_string(), "west/www-data/prod/hello.1");
        JobKey::parse("any text/r/e/n").unwrap();
        for bad in ["", "a", "a/b/c", "a/b/c/d/e", "a//c/d", "a/b/c/d e", "a/b/c/é"] {
            assert!(JobKey::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bindings() {
        parse_bindings(&["a.b[c]=x=y".to_owned(), "n=".to_owned()]).unwrap();
        assert!(parse_bindings(&["n".to_owned()]).unwrap_err().contains("name=value"));
        assert!(parse_bindings(&["1=x".to_owned()]).unwrap_err().starts_with("Could not parse"));
    }
}
