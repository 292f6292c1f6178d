//! Deployment records: what was deployed, and what runs.

use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::job::{Job, WriterKind};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::statement::PlanBase;
use manifest_schema::storage::{Key, prefix};
use store::Store;

use crate::{Ambient, Journal, RecordError, lease, load};

/// How many names are asked for at once.
const PAGE: usize = 1000;

/// The newest record; `None` before the first.
///
/// # Errors
/// When the store can't be read.
pub async fn latest(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Option<DeploymentRecord>, RecordError> {
    let prefix = prefix::deployed(environment, project);
    let mut after: Option<String> = None;
    loop {
        let page = production.list(&prefix, after.as_deref(), PAGE).await?;
        let full = page.len() == PAGE;
        after = page.into_iter().last().map(|entry| entry.key).or(after);
        if !full {
            break;
        }
    }
    let Some(number) = after.as_deref().and_then(Key::number_of) else { return Ok(None) };
    get(production, environment, project, number).await
}

/// One record by its number.
///
/// # Errors
/// When the store can't be read.
pub async fn get(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
    sequence: u64,
) -> Result<Option<DeploymentRecord>, RecordError> {
    load(production, &Key::Deployed(environment.clone(), project.clone(), sequence)).await
}

/// Whether a job that is over left its record unwritten, when `latest` is the newest record: it had begun a step, and
/// whoever takes its lease over writes the record before anything else.
pub fn is_missing(dead: &Job, latest: Option<&DeploymentRecord>) -> bool {
    let written = dead.recorded().is_some() || latest.is_some_and(|record| record.job == dead.id());
    dead.ended().is_some() && !dead.steps().is_empty() && !written
}

/// What a plan made now starts from.
///
/// A record that a dead job left unwritten counts as written: it will be by the time that the plan is applied, and says
/// of a job that was interrupted that what was complete before still is. Otherwise the first plan after a death could
/// never be applied.
///
/// # Errors
/// When the store can't be read.
pub async fn base(
    production: &Store,
    ambient: &Ambient,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<PlanBase, RecordError> {
    // The jobs first: when a record is written in between, it is only found not to be missing.
    let mut journals = Vec::new();
    for job in lease::unrecorded(production, environment, project).await? {
        journals.extend(Journal::open(production, ambient, WriterKind::Worker, job).await?);
    }
    let latest = latest(production, environment, project).await?;
    let base = DeploymentRecord::base(latest.as_ref());
    let missing = journals.iter().filter(|dead| is_missing(dead.job(), latest.as_ref())).count() as u64;
    Ok(PlanBase { sequence: base.sequence + missing, ..base })
}
