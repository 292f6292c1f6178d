//! The number of a build that no CI counts.

use manifest_schema::manifest::BuildManifest;
use manifest_schema::{Digest, Document as _};
use store::{Store, StoreError};

use super::named;
use crate::config::Environment;
use crate::context::Context;
use crate::exit::Failure;
use crate::purpose::Purpose;

/// How many builds, from the newest, are looked at for one that is the same.
const MOST_COMPARED: usize = 50;

/// Gives `manifest` the number of the published build that is the same but for its number; otherwise the one after the
/// highest of its epoch, which is 1 where nothing is published.
///
/// # Errors
/// When there is a store that can't be read.
pub(crate) fn assign(
    context: &Context,
    manifest: &mut BuildManifest,
    environment: &Environment,
) -> Result<(), Failure> {
    manifest.build.number = 1;
    let Some(location) = environment.artifacts_if_any() else { return Ok(()) };
    let number = context.block_on(async {
        match Store::open(location, &environment.access(&Purpose::default())).await {
            // The first build is made before anything is published.
            Err(StoreError::NotFound { .. }) => Ok(1),
            Err(error) => Err(error.into()),
            Ok(store) => choose(&store, manifest).await,
        }
    })?;
    manifest.build.number = number;
    Ok(())
}

async fn choose(store: &Store, manifest: &BuildManifest) -> Result<u64, Failure> {
    let mut builds = named::published(store, &manifest.project).await?;
    builds.retain(|build| build.epoch == manifest.build.epoch);
    let Some(highest) = builds.last() else { return Ok(1) };
    for build in builds.iter().rev().take(MOST_COMPARED) {
        // Its digest is what it would have with that number: nothing has to be fetched and read.
        let mut same = manifest.clone();
        same.build.number = build.number;
        if named::pointer(store, &manifest.project, *build).await? == Some(Digest::of(&same.to_bytes())) {
            return Ok(build.number);
        }
    }
    Ok(highest.number.saturating_add(1))
}
