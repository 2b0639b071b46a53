//! `aurora job list`, and finding the jobs of a pattern.

use aurora_api::api::read_only_scheduler::{GetJobs, GetJobsArgs};
use aurora_api::api::{self, ResponseCode};

use crate::context::Context;
use crate::exit::{Failure, code};
use crate::keys::{Pattern, from_api};
use crate::select::JobKey;

/// The jobs of a pattern, by key. A key without anything open stands for itself, whether there is
/// such a job or not.
pub(super) fn jobs(context: &mut Context<'_>, pattern: &Pattern) -> Result<Vec<JobKey>, Failure> {
    if let Some(job) = pattern.exact().map_err(|why| Failure::new(code::USAGE, why))? {
        return Ok(vec![job]);
    }
    let clusters: Vec<String> = match pattern.cluster.as_str() {
        "*" => context.clusters()?.all().map(|cluster| cluster.name.clone()).collect(),
        name => vec![name.to_owned()],
    };
    let mut found = Vec::new();
    for cluster in clusters {
        found.extend(jobs_of(context, &cluster, pattern)?);
    }
    Ok(found)
}

fn jobs_of(
    context: &mut Context<'_>,
    cluster: &str,
    pattern: &Pattern,
) -> Result<Vec<JobKey>, Failure> {
    context.cluster(cluster)?;
    let role = pattern.one_role();
    context.info(format_args!("Retrieving jobs for role {}", role.unwrap_or("None")));
    let arguments = GetJobsArgs { owner_role: role.map(str::to_owned), ..Default::default() };
    let response = context.call::<GetJobs>(cluster, &arguments)?;
    if response.response_code != Some(ResponseCode::OK) {
        context.check(&response, code::API, "Command failure:")?;
    }
    let Some(api::Result::GetJobsResult(result)) = response.result else { return Ok(Vec::new()) };
    let keys = result.configs.iter().flatten().filter_map(|job| job.key.as_ref());
    let mut jobs: Vec<JobKey> =
        keys.map(|key| from_api(cluster, key)).filter(|job| pattern.fits(job)).collect();
    jobs.sort();
    jobs.dedup();
    Ok(jobs)
}
