//! Deployment records: what was deployed, and what runs.

use std::collections::BTreeSet;

use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::dsse::MAX_ENVELOPE;
use manifest_schema::gates::{Deployed, RecordedDeployment};
use manifest_schema::job::{Job, WriterKind};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::statement::PlanBase;
use manifest_schema::storage::{Key, prefix};
use manifest_schema::{Digest, Document};
use store::{Listed, Store};

use crate::{Ambient, Journal, RecordError, lease, load};

/// How many names are asked for at once.
const PAGE: usize = 1000;

/// The newest record; `None` before the first. Not verified: that is for the gates, which see [`stored`].
///
/// # Errors
/// When the store can't be read, or what is there are not records numbered from 1 without a gap.
pub async fn latest(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Option<DeploymentRecord>, RecordError> {
    let Some(number) = count(production, environment, project).await? else { return Ok(None) };
    get(production, environment, project, number).await?.map_or_else(
        || Err(RecordError::Missing(Key::Deployed(environment.clone(), project.clone(), number).to_string())),
        |record| Ok(Some(record)),
    )
}

/// The newest record with its envelope, for the gates to believe or not. What can't be read is never none.
///
/// # Errors
/// When the store fails.
pub async fn stored(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Deployed, RecordError> {
    match newest(production, environment, project).await {
        Err(error) if error.is_about_content() => Ok(Deployed::Unreadable(error.to_string())),
        deployed => deployed,
    }
}

async fn newest(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Deployed, RecordError> {
    let Some(sequence) = count(production, environment, project).await? else { return Ok(Deployed::Never) };
    let key = Key::Deployed(environment.clone(), project.clone(), sequence);
    let object = production.get(&key, DeploymentRecord::LIMIT).await?;
    let bytes = object.ok_or_else(|| RecordError::Missing(key.to_string()))?.bytes;
    let record = DeploymentRecord::from_bytes(&bytes)
        .map_err(|source| RecordError::Document { key: key.to_string(), source })?;
    // The job is only where the envelope is looked for; what it says of the record is what counts.
    let signed = Key::JobDeployment(record.job, Digest::of(&bytes));
    let envelope = production.get(&signed, MAX_ENVELOPE).await?.map(|object| object.bytes);
    Ok(Deployed::Latest(RecordedDeployment { sequence, record: bytes, envelope }))
}

/// How many records there are, which is the number of the newest.
async fn count(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Option<u64>, RecordError> {
    let prefix = prefix::deployed(environment, project);
    let mut after: Option<String> = None;
    let mut number = 0;
    loop {
        let page = production.list(&prefix, after.as_deref(), PAGE).await?;
        let full = page.len() == PAGE;
        for Listed { key, .. } in page {
            let expected = Key::Deployed(environment.clone(), project.clone(), number + 1).to_string();
            if key != expected {
                return Err(RecordError::OutOfOrder { found: key, expected });
            }
            number += 1;
            after = Some(key);
        }
        if !full {
            return Ok((number > 0).then_some(number));
        }
    }
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

/// Manifests of builds that are, or may be, live in any step, those of dead jobs included whose record is still missing.
///
/// # Errors
/// When the store can't be read.
pub async fn live(
    production: &Store,
    ambient: &Ambient,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<BTreeSet<Digest>, RecordError> {
    let mut live = BTreeSet::new();
    for job in lease::unrecorded(production, environment, project).await? {
        let journal = Journal::open(production, ambient, WriterKind::Worker, job).await?;
        live.extend(journal.map(|dead| dead.request().request.manifest));
    }
    if let Some(latest) = latest(production, environment, project).await? {
        let steps = latest.steps.iter().flat_map(|step| &step.live);
        live.extend(steps.chain(&latest.complete).map(|build| build.manifest));
    }
    Ok(live)
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
