//! Trust policy versions in both stores.

use manifest_schema::Document;
use manifest_schema::dsse::{self, MAX_ENVELOPE};
use manifest_schema::keys::PublicKey;
use manifest_schema::storage::{Key, prefix};
use manifest_schema::trust::{PinnedRoots, SignedPolicy, TrustPolicy, TrustRecord, TrustedPolicy};
use manifest_schema::{Digest, Timestamp};
use store::{Creation, Store};

use crate::{RecordError, create, load};

/// Most versions that are read.
const MOST_VERSIONS: usize = 1000;
/// Most envelopes of one version that are read.
const MOST_ENVELOPES: usize = 64;

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
    for version in 1..=MOST_VERSIONS as u64 {
        let Some(policy) = artifacts.get(&Key::TrustPolicy(version), TrustPolicy::LIMIT).await? else { break };
        let prefix = prefix::trust_version(version);
        let mut envelopes = Vec::new();
        for entry in artifacts.list(&prefix, None, MOST_ENVELOPES).await? {
            if let Some(key) = envelope_key(version, &entry.key)
                && let Some(object) = artifacts.get(&key, MAX_ENVELOPE).await?
            {
                envelopes.push(object.bytes);
            }
        }
        versions.push(SignedPolicy { version, policy: policy.bytes, envelopes });
    }
    Ok(versions)
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
    for candidate in published(artifacts).await?.into_iter().filter(|signed| signed.version > newest) {
        let before = TrustedPolicy::follow(roots, &known).ok();
        known.push(candidate);
        // Expiry is judged when the policy is used; a version that has expired may be a link to one that has not.
        let followed = match TrustedPolicy::follow(roots, &known) {
            Ok(followed) => followed,
            Err(error) => {
                tracing::warn!(%error, %now, "a published trust policy was not taken over");
                break;
            }
        };
        if let Some(signed) = known.last_mut() {
            // Whoever writes to the artifacts store could otherwise make the record larger than records may be, and
            // so shut production for good.
            let keys = root_keys(roots, before.as_ref(), &followed);
            signed.envelopes.retain(|envelope| dsse::verify(envelope, &keys).is_ok());
            let record = TrustRecord::from(&*signed);
            let (Creation::Created | Creation::Exists) =
                create(production, &Key::TrustRecord(signed.version), &record).await?;
        }
    }
    Ok(())
}

/// The keys whose signatures let `followed` come after `before`: only their envelopes are worth keeping.
fn root_keys(roots: &PinnedRoots, before: Option<&TrustedPolicy>, followed: &TrustedPolicy) -> Vec<PublicKey> {
    let of = |policy: &TrustedPolicy| policy.policy().keys_of(&policy.policy().roles.root);
    let mut keys = before.map_or_else(|| roots.keys.clone(), of);
    keys.extend(of(followed));
    keys
}
