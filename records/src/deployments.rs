//! Deployment records: what was deployed, and what runs.

use manifest_schema::deployment::DeploymentRecord;
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::{Key, prefix};
use store::Store;

use crate::{RecordError, load};

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
