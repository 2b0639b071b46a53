//! `aurora config list`.

use crate::commands::Source;
use crate::problem::Problem;

/// One line with the keys of all jobs, in the order of the file, after whatever the file printed.
pub fn list(source: &Source) -> Result<String, Problem> {
    let (jobs, output) = source.jobs()?;
    let keys: Vec<String> = jobs.iter().map(|(_, parts)| parts.to_string()).collect();
    Ok(format!("{output}jobs=[{}]\n", keys.join(", ")))
}
