//! Trust policy versions in both stores.

use manifest_schema::Document;
use manifest_schema::dsse::MAX_ENVELOPE;
use manifest_schema::keys::PublicKey;
use manifest_schema::storage::{Key, prefix};
use manifest_schema::trust::{PinnedRoots, SignedPolicy, TrustPolicy, TrustRecord, TrustedPolicy};
use manifest_schema::{Digest, Timestamp};
use store::{Creation, Store, StoreError};

use crate::{RecordError, create, load};

/// Most versions that are read.
const MOST_VERSIONS: usize = 1000;
/// How many names are asked for at once.
const PAGE: usize = 200;
/// Most pages of names beside a version's policy that are read.
const MOST_PAGES: usize = 50;
/// Most envelopes that are shown although none of the roots that a version claims has signed them.
const MOST_OTHERS: usize = 64;

/// All versions that production has taken over, from 1, and the number of the newest.
///
/// # Errors
/// When the store can't be read.
pub async fn in_production(production: &Store) -> Result<(Vec<SignedPolicy>, u64), RecordError> {
    let listed = production.list(prefix::TRUST, None, MOST_VERSIONS).await?;
    let mut versions = Vec::new();
    let mut newest = 0;
    for entry in listed {
        let Some(number) = Key::number_of(&entry.key) else { continue };
        newest = newest.max(number);
        let record: Option<TrustRecord> = load(production, &Key::TrustRecord(number)).await?;
        versions.extend(record.map(SignedPolicy::from));
    }
    Ok((versions, newest))
}

/// All versions published in the artifacts store, from 1 to the first that is missing.
///
/// # Errors
/// When the store can't be read.
pub async fn published(artifacts: &Store) -> Result<Vec<SignedPolicy>, RecordError> {
    let mut versions = Vec::new();
    let mut before = Vec::new();
    for version in 1..=MOST_VERSIONS as u64 {
        let Some(mut signed) = bare(artifacts, version).await? else { break };
        // Unverified: whose envelopes are looked at first. The chain is followed by whoever uses the versions.
        let own = claimed_roots(&signed);
        before.extend_from_slice(&own);
        let mut others = Vec::new();
        each_envelope(artifacts, version, |envelope| {
            let known = signed.envelopes.len();
            signed.add_vote(envelope, &before);
            if signed.envelopes.len() == known && others.len() < MOST_OTHERS {
                others.push(envelope.to_vec());
            }
        })
        .await?;
        signed.envelopes.append(&mut others);
        versions.push(signed);
        before = own;
    }
    Ok(versions)
}

/// A published version without its envelopes.
async fn bare(artifacts: &Store, version: u64) -> Result<Option<SignedPolicy>, RecordError> {
    let policy = artifacts.get(&Key::TrustPolicy(version), TrustPolicy::LIMIT).await?;
    Ok(policy.map(|policy| SignedPolicy { version, policy: policy.bytes, envelopes: Vec::new() }))
}

fn claimed_roots(signed: &SignedPolicy) -> Vec<PublicKey> {
    TrustPolicy::from_bytes(&signed.policy).map_or_else(|_| Vec::new(), |policy| policy.keys_of(&policy.roles.root))
}

/// Goes through what is stored as envelopes of a version, past whatever else was put beside them, within bounds.
async fn each_envelope(artifacts: &Store, version: u64, mut take: impl FnMut(&[u8])) -> Result<(), RecordError> {
    let prefix = prefix::trust_version(version);
    let mut after: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let page = artifacts.list(&prefix, after.as_deref(), PAGE).await?;
        for key in page.iter().filter_map(|entry| envelope_key(version, &entry.key)) {
            match artifacts.get(&key, MAX_ENVELOPE).await {
                Ok(object) => object.iter().for_each(|object| take(&object.bytes)),
                // No envelope is so large, nor anything but a file: junk must not hide what is beside it.
                Err(StoreError::TooLarge { .. } | StoreError::Irregular { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if page.len() < PAGE {
            return Ok(());
        }
        after = page.into_iter().last().map(|entry| entry.key);
    }
    tracing::warn!(version, "too much lies beside the envelopes of a trust policy: not all of it was read");
    Ok(())
}

/// An envelope's key holds only the head of its digest, which is all that a key needs.
fn envelope_key(version: u64, key: &str) -> Option<Key> {
    let head = key.rsplit('/').next()?.strip_suffix(".dsse.json")?;
    let digest = Digest::from_hex(&format!("{head:0<64}")).ok()?;
    Some(Key::TrustEnvelope(version, digest))
}

/// Publishes a version: its bytes and envelopes. Envelopes may be added to a version that is there.
///
/// # Errors
/// When another policy is published under that version, or the store can't be written.
pub async fn publish(artifacts: &Store, signed: &SignedPolicy) -> Result<(), RecordError> {
    let key = Key::TrustPolicy(signed.version);
    // Envelopes first: a version that can be seen can be verified.
    for envelope in &signed.envelopes {
        let key = Key::TrustEnvelope(signed.version, Digest::of(envelope));
        let (Creation::Created | Creation::Exists) = artifacts.create(&key, envelope).await?;
    }
    if artifacts.create(&key, &signed.policy).await? == Creation::Exists {
        let there = artifacts.get(&key, TrustPolicy::LIMIT).await?;
        if there.is_none_or(|there| there.bytes != signed.policy) {
            return Err(RecordError::VersionTaken(signed.version));
        }
    }
    Ok(())
}

/// Takes published versions that production doesn't have yet over into it: only after an unbroken chain from the
/// pinned roots, and never back to an older one. Only the launch function does this.
///
/// # Errors
/// When a store can't be read or written. A published version that doesn't follow is left alone, with a warning: what
/// production already trusts stays in force.
pub async fn take_over(
    artifacts: &Store,
    production: &Store,
    roots: &PinnedRoots,
    now: Timestamp,
) -> Result<(), RecordError> {
    let (mut known, newest) = in_production(production).await?;
    for version in newest + 1..=MOST_VERSIONS as u64 {
        let before = TrustedPolicy::follow(roots, &known).ok();
        let Some(candidate) = (match vouched(artifacts, version, roots, before.as_ref()).await {
            Ok(candidate) => candidate,
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, version, "a published trust policy can't be read");
                break;
            }
        }) else {
            break;
        };
        known.push(candidate);
        // Expiry is judged when the policy is used; a version that has expired may be a link to one that has not.
        if let Err(error) = TrustedPolicy::follow(roots, &known) {
            tracing::warn!(%error, %now, "a published trust policy was not taken over");
            break;
        }
        if let Some(signed) = known.last() {
            match create(production, &Key::TrustRecord(version), &TrustRecord::from(signed)).await {
                Ok(Creation::Created | Creation::Exists) => {}
                Err(error @ RecordError::TooLarge { .. }) => {
                    tracing::warn!(%error, "a published trust policy was not taken over");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// A published version with the words of the roots that can let it come after `before`, and no others: whoever writes to
/// the artifacts store could otherwise make the record larger than records may be, and so shut production for good.
async fn vouched(
    artifacts: &Store,
    version: u64,
    roots: &PinnedRoots,
    before: Option<&TrustedPolicy>,
) -> Result<Option<SignedPolicy>, RecordError> {
    let Some(mut signed) = bare(artifacts, version).await? else { return Ok(None) };
    let of = |policy: &TrustedPolicy| policy.policy().keys_of(&policy.policy().roles.root);
    let mut keys = before.map_or_else(|| roots.keys.clone(), of);
    each_envelope(artifacts, version, |envelope| signed.add_vote(envelope, &keys)).await?;
    if !signed.envelopes.is_empty() {
        // One of the roots before vouches for these bytes: now they may say which roots come after.
        let known = keys.len();
        let new: Vec<_> = claimed_roots(&signed).into_iter().filter(|key| !keys.contains(key)).collect();
        keys.extend(new);
        if keys.len() > known {
            each_envelope(artifacts, version, |envelope| signed.add_vote(envelope, &keys)).await?;
        }
    }
    Ok(Some(signed))
}
