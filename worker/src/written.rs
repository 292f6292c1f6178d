//! What the authors of a project's builds wrote: keys of instances that are in it may leave production.
//!
//! An instance that a build no longer has was named by an older one, so builds that may be live count, too.

use manifest_schema::manifest::{BlobRef, BuildManifest};
use manifest_schema::{Digest, Document as _};
use policy::plan::Written;
use records::deployments;
use store::StoreError;

use crate::session::Session;
use crate::stop::Stop;

/// Adds to the text of a build's bundle what else its authors and those of live builds wrote. `shown` is from the trust
/// policy, which is public.
pub(crate) async fn by_authors(
    session: &Session,
    manifest: &BuildManifest,
    mut written: Written,
    shown: &[String],
) -> Result<Written, Stop> {
    let request = session.request();
    for text in shown.iter().flat_map(|name| name.split('.')) {
        written.add(text);
    }
    written.add(request.project.as_str());
    written.add(request.environment.as_str());
    add_variables(&mut written, manifest);
    let production = &session.sides().production;
    let live = deployments::live(production, session.ambient(), &request.environment, &request.project).await?;
    for digest in live.into_iter().filter(|digest| *digest != request.manifest) {
        match of_build(session, digest).await {
            Ok(older) => written.join(older),
            Err(missing @ StoreError::BlobMissing { .. }) => {
                tracing::warn!(%missing, "keys that only an older build has in its text can't be told");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

/// What is in an older build. Its manifest was verified when it was deployed.
async fn of_build(session: &Session, digest: Digest) -> Result<Written, StoreError> {
    let artifacts = &session.sides().artifacts;
    let bytes = artifacts.fetch(&digest, BuildManifest::LIMIT).await?;
    // One that is too old to be read names nothing.
    let Ok(manifest) = BuildManifest::from_bytes(&bytes) else { return Ok(Written::default()) };
    let Some((bundle, _)) = manifest.terraform() else { return Ok(Written::default()) };
    let blob = BlobRef { digest: bundle.digest, size: bundle.size };
    let mut written = artifacts.read_blob(&blob, Written::default()).await?;
    add_variables(&mut written, &manifest);
    Ok(written)
}

/// The values of the variables that are public.
fn add_variables(written: &mut Written, manifest: &BuildManifest) {
    let variables = manifest.terraform().into_iter().flat_map(|(_, variables)| variables.values());
    for text in variables.filter_map(|variable| manifest.public_text(variable)) {
        written.add(&text);
    }
}
