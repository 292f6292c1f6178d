//! Gathers everything that the gates decide about. Nothing gathered here is believed.

use std::collections::BTreeMap;

use manifest_schema::dsse::{self, MAX_ENVELOPE};
use manifest_schema::gates::{Authors, Case, Place, StoredPlan};
use manifest_schema::job::LaunchRequest;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::storage::{AttestationKind, Key};
use manifest_schema::trust::PinnedRoots;
use manifest_schema::{Digest, Document, Timestamp};
use store::Store;

use crate::{RecordError, Sides, attestations, deployments, plans, trust};

/// Most signed reports of one manifest that are read.
const MOST_EVIDENCE: usize = 64;

/// What a process knows of itself: from its own configuration and surroundings, never from a request.
#[derive(Debug, Clone)]
pub struct Standpoint {
    /// Where it runs.
    pub place: Place,
    /// The roots that it trusts.
    pub roots: PinnedRoots,
}

/// Reads both stores afresh for one decision about `request` at `now`.
///
/// # Errors
/// When a store can't be read. A listing of approvals that can't be read is not an error: the case says so, and the
/// gates refuse it.
pub async fn gather(
    sides: &Sides,
    standpoint: &Standpoint,
    request: &LaunchRequest,
    now: Timestamp,
) -> Result<Case, RecordError> {
    let Sides { artifacts, production } = sides;
    let digest = request.manifest;
    let (versions, last_seen) = trust::in_production(production).await?;
    let manifest = artifacts.get(&Key::Blob(digest), BuildManifest::LIMIT).await?.map(|object| object.bytes);
    let reviews = attestations::list(artifacts, digest, AttestationKind::Review).await?;
    let approvals = attestations::list(artifacts, digest, AttestationKind::Approval).await;
    Ok(Case {
        now,
        place: standpoint.place.clone(),
        roots: standpoint.roots.clone(),
        trust: versions,
        last_seen,
        request: request.to_bytes(),
        evidence: evidence(artifacts, digest, manifest.as_deref()).await?,
        manifest,
        builds: attestations::list(artifacts, digest, AttestationKind::Build).await?,
        deployed: deployments::stored(production, &request.environment, &request.project).await?,
        plan: plan(production, request.plan).await?,
        authors: authors(artifacts, &reviews).await?,
        reviews,
        approvals: approvals.inspect_err(|error| tracing::warn!(%error, "approvals can't be listed")).ok(),
    })
}

async fn plan(production: &Store, plan: Option<Digest>) -> Result<Option<StoredPlan>, RecordError> {
    let Some(plan) = plan else { return Ok(None) };
    match plans::job_of(production, plan).await? {
        Some(job) => plans::read(production, job).await,
        None => Ok(None),
    }
}

/// The signed reports that a manifest names. Which bytes to read is the only thing taken from the unverified manifest.
async fn evidence(
    artifacts: &Store,
    digest: Digest,
    manifest: Option<&[u8]>,
) -> Result<BTreeMap<Digest, Vec<u8>>, RecordError> {
    let sound = manifest.filter(|bytes| Digest::of(bytes) == digest);
    let Some(Ok(manifest)) = sound.map(BuildManifest::from_bytes) else { return Ok(BTreeMap::new()) };
    let signed = manifest.evidence.iter().filter(|item| item.media_type == dsse::MEDIA_TYPE);
    let wanted = signed.map(|item| item.digest).take(MOST_EVIDENCE);
    blobs(artifacts, wanted, MAX_ENVELOPE).await
}

/// The lists of authors that reviews name.
async fn authors(artifacts: &Store, reviews: &[Vec<u8>]) -> Result<BTreeMap<Digest, Vec<u8>>, RecordError> {
    #[derive(serde::Deserialize)]
    struct Named {
        predicate: NamedAuthors,
    }
    #[derive(serde::Deserialize)]
    struct NamedAuthors {
        authors: Digest,
    }

    let named = reviews.iter().filter_map(|envelope| {
        let payload = dsse::inspect(envelope).ok()?.payload;
        serde_json::from_slice::<Named>(&payload).ok().map(|named| named.predicate.authors)
    });
    blobs(artifacts, named, Authors::LIMIT).await
}

/// Small blobs that are there and whole; the gates refuse what is missing.
async fn blobs(
    artifacts: &Store,
    digests: impl Iterator<Item = Digest>,
    limit: usize,
) -> Result<BTreeMap<Digest, Vec<u8>>, RecordError> {
    let mut found = BTreeMap::new();
    for digest in digests {
        if let Some(object) = artifacts.get(&Key::Blob(digest), limit).await?
            && Digest::of(&object.bytes) == digest
        {
            found.insert(digest, object.bytes);
        }
    }
    Ok(found)
}
