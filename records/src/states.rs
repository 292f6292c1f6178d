//! States that Terraform could not save where they belong, in the production store until somebody has put them there.

use manifest_schema::job::JobId;
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::storage::{Key, prefix};
use store::{Replacement, Store};

use crate::{MOST_SECRET, RecordError, empty};

/// States that are looked at together.
const PAGE: usize = 1000;

/// Keeps the state that a job's Terraform could not save. The first one that a job keeps stays.
///
/// # Errors
/// When the store can't be written.
pub async fn keep_errored(production: &Store, key: &Key, state: &[u8]) -> Result<(), RecordError> {
    let (Replacement::Replaced(_) | Replacement::Conflict) = production.replace(key, state, None).await?;
    Ok(())
}

/// The states of a project that are still to be put where they belong, each with the job whose it is, oldest first.
///
/// # Errors
/// When the store can't be read.
pub async fn errored(
    production: &Store,
    environment: &EnvironmentName,
    project: &ProjectName,
) -> Result<Vec<(JobId, Vec<u8>)>, RecordError> {
    let (mut found, mut after): (_, Option<String>) = (Vec::new(), None);
    loop {
        let page = production.list(&prefix::errored_states(environment, project), after.as_deref(), PAGE).await?;
        for listed in &page {
            let Some(job) = Key::errored_by(&listed.key).filter(|_| listed.size > 0) else { continue };
            let key = Key::ErroredState(environment.clone(), project.clone(), job);
            found.extend(production.get(&key, MOST_SECRET).await?.map(|object| (job, object.bytes)));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            Some(_) | None => return Ok(found),
        }
    }
}

/// Empties one of them: the state is where it belongs, or a later one is.
///
/// # Errors
/// When the store can't be read or written.
pub async fn empty_errored(production: &Store, key: &Key) -> Result<(), RecordError> {
    empty(production, key).await
}
