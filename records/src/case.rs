//! Gathers everything that the gates decide about. Nothing gathered here is believed.

use std::collections::BTreeMap;

use manifest_schema::dsse::{self, MAX_ENVELOPE};
use manifest_schema::gates::{Authors, Case, Place, StoredPlan, VerifiedManifest};
use manifest_schema::job::LaunchRequest;
use manifest_schema::manifest::BuildManifest;
use manifest_schema::statement::{Review, Verified};
use manifest_schema::storage::{AttestationKind, Key};
use manifest_schema::trust::{PinnedRoots, SignedPolicy, TrustPolicy, TrustedPolicy};
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
    let policies = followed(&standpoint.roots, &versions);
    let manifest = blob(artifacts, digest, BuildManifest::LIMIT).await?;
    let builds = attestations::list(artifacts, digest, AttestationKind::Build).await?;
    let reviews = attestations::list(artifacts, digest, AttestationKind::Review).await?;
    let approvals = attestations::list(artifacts, digest, AttestationKind::Approval).await;
    Ok(Case {
        now,
        place: standpoint.place.clone(),
        roots: standpoint.roots.clone(),
        trust: versions,
        last_seen,
        request: request.to_bytes(),
        evidence: evidence(artifacts, digest, manifest.as_deref(), &builds, &policies).await?,
        manifest,
        builds,
        deployed: deployments::stored(production, &request.environment, &request.project).await?,
        plan: plan(production, request.plan).await?,
        authors: authors(artifacts, &reviews, &policies).await?,
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

/// Every trust policy of an unbroken chain: whose word is good enough to read what it names. The gates judge again.
fn followed(roots: &PinnedRoots, versions: &[SignedPolicy]) -> Vec<TrustPolicy> {
    match TrustedPolicy::follow(roots, versions) {
        Ok(_) => versions.iter().filter_map(|signed| TrustPolicy::from_bytes(&signed.policy).ok()).collect(),
        Err(_) => Vec::new(),
    }
}

/// The signed reports that a manifest names, if anybody who is or was a builder signed it: others' manifests aren't
/// even parsed.
async fn evidence(
    artifacts: &Store,
    digest: Digest,
    manifest: Option<&[u8]>,
    builds: &[Vec<u8>],
    policies: &[TrustPolicy],
) -> Result<BTreeMap<Digest, Vec<u8>>, RecordError> {
    let keys: Vec<_> = policies.iter().flat_map(|policy| policy.keys_of(&policy.roles.builder)).collect();
    let verified = manifest.map(|bytes| VerifiedManifest::verify(bytes, digest, builds, &keys, 1));
    let Some(Ok(verified)) = verified else { return Ok(BTreeMap::new()) };
    let signed = verified.manifest().evidence.iter().filter(|item| item.media_type == dsse::MEDIA_TYPE);
    let wanted = signed.map(|item| item.digest).take(MOST_EVIDENCE);
    blobs(artifacts, wanted, MAX_ENVELOPE).await
}

/// The lists of authors that the bot's reviews name.
async fn authors(
    artifacts: &Store,
    reviews: &[Vec<u8>],
    policies: &[TrustPolicy],
) -> Result<BTreeMap<Digest, Vec<u8>>, RecordError> {
    let keys: Vec<_> = policies.iter().flat_map(TrustPolicy::bot_keys).collect();
    let opened = reviews.iter().filter_map(|envelope| Verified::<Review>::open(envelope, &keys).ok());
    let named = opened.map(|review| review.predicate().authors);
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
        let bytes = blob(artifacts, digest, limit).await?;
        found.extend(bytes.filter(|bytes| Digest::of(bytes) == digest).map(|bytes| (digest, bytes)));
    }
    Ok(found)
}

/// A blob's bytes, or none: junk in its place is for the gates to refuse, and must not stop everything.
async fn blob(artifacts: &Store, digest: Digest, limit: usize) -> Result<Option<Vec<u8>>, RecordError> {
    match artifacts.get(&Key::Blob(digest), limit).await.map_err(RecordError::from) {
        Ok(object) => Ok(object.map(|object| object.bytes)),
        Err(error) if error.is_about_content() => Ok(None),
        Err(error) => Err(error),
    }
}
