//! From pinned root keys to the trust policy in force.
//!
//! Version 1 is signed by the pinned roots; version N+1 by the root thresholds of N and of N+1 (the rule of TUF root
//! rotation, TUF spec §5.3). Only the newest must be unexpired. A version older than one seen before is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::TrustPolicy;
use crate::digest::Digest;
use crate::dsse;
use crate::gateway::Bytes;
use crate::json::{Document, schema_tag};
use crate::keys::PublicKey;
use crate::statement::{self, Verified, subject};
use crate::time::Timestamp;

/// The root keys that the gateway's and the worker's configuration pin: they sign version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PinnedRoots {
    /// How many distinct keys must sign.
    pub threshold: u32,
    /// The keys.
    pub keys: Vec<PublicKey>,
}

/// One version as it is stored: bytes and envelopes, nothing of it believed yet.
#[derive(Debug, Clone)]
pub struct SignedPolicy {
    /// The version under which it is stored.
    pub version: u64,
    /// The policy's exact bytes.
    pub policy: Vec<u8>,
    /// Envelopes of statements about it.
    pub envelopes: Vec<Vec<u8>>,
}

impl SignedPolicy {
    /// Adds an envelope if it is the word of a key of `keys`, for exactly this version and these bytes, that none of the
    /// envelopes here carries yet. Only that word is kept, not what may surround it: an envelope that was padded or
    /// copied would otherwise fill up whatever holds it.
    pub fn add_vote(&mut self, envelope: &[u8], keys: &[PublicKey]) {
        let digest = Digest::of(&self.policy);
        let Ok(opened) = Verified::<statement::TrustPolicy>::open(envelope, keys) else { return };
        if !self.is_vouched_for(digest, &opened) {
            return;
        }
        let known = self.signers(digest, keys);
        let new: Vec<_> = opened.signers().iter().filter(|key| !known.contains(key)).copied().collect();
        self.envelopes.extend(dsse::reduce(envelope, &new));
    }

    fn is_vouched_for(&self, digest: Digest, opened: &Verified<statement::TrustPolicy>) -> bool {
        opened.subject(subject::TRUST_POLICY) == Some(digest) && opened.predicate().version == self.version
    }

    /// Distinct keys of `keys` that signed this version and these bytes, whose digest is `digest`.
    fn signers(&self, digest: Digest, keys: &[PublicKey]) -> Vec<PublicKey> {
        let mut signers: Vec<PublicKey> = Vec::new();
        for envelope in &self.envelopes {
            let Ok(opened) = Verified::<statement::TrustPolicy>::open(envelope, keys) else { continue };
            if self.is_vouched_for(digest, &opened) {
                let new = opened.signers().iter().filter(|key| !signers.contains(key)).copied();
                signers.extend(new.collect::<Vec<_>>());
            }
        }
        signers
    }
}

schema_tag!(TrustRecordSchema, "airlock/trust-record/v1");

/// A version as the production store keeps it: one object, created once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustRecord {
    /// Always `airlock/trust-record/v1`.
    pub schema: TrustRecordSchema,
    /// The version.
    pub version: u64,
    /// The policy's bytes.
    pub policy: Bytes,
    /// The envelopes' bytes.
    pub envelopes: Vec<Bytes>,
}

impl Document for TrustRecord {
    const SCHEMA: &'static str = TrustRecordSchema::NAME;
    const NAME: &'static str = "trust record";
}

impl From<&SignedPolicy> for TrustRecord {
    fn from(signed: &SignedPolicy) -> Self {
        Self {
            schema: TrustRecordSchema,
            version: signed.version,
            policy: Bytes(signed.policy.clone()),
            envelopes: signed.envelopes.iter().cloned().map(Bytes).collect(),
        }
    }
}

impl From<TrustRecord> for SignedPolicy {
    fn from(record: TrustRecord) -> Self {
        let envelopes = record.envelopes.into_iter().map(|Bytes(envelope)| envelope).collect();
        Self { version: record.version, policy: record.policy.0, envelopes }
    }
}

/// Why no trust policy is in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// There is none.
    #[error("no trust policy is published")]
    Missing,
    /// A version is missing, damaged, or not signed by who must sign it.
    #[error("trust policy version {version}: {problem}")]
    Broken {
        /// The version.
        version: u64,
        /// What is wrong.
        problem: String,
    },
    /// The newest has expired.
    #[error("trust policy version {version} expired at {expires_at}")]
    Expired {
        /// The version.
        version: u64,
        /// When.
        expires_at: Timestamp,
    },
    /// Older than one that was in force before.
    #[error("the newest trust policy is version {newest}, but version {seen} was in force before")]
    RolledBack {
        /// The newest there is.
        newest: u64,
        /// The newest ever seen.
        seen: u64,
    },
}

/// A trust policy that is signed through an unbroken chain from the pinned roots. [`TrustedPolicy::establish`] makes one
/// that is in force: newest, unexpired. Nothing else makes one from a policy that merely was read:
///
/// ```compile_fail,E0451
/// use manifest_schema::trust::{TrustPolicy, TrustedPolicy};
///
/// fn forge(policy: TrustPolicy, from: TrustedPolicy) -> TrustedPolicy {
///     TrustedPolicy { policy, ..from }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct TrustedPolicy {
    policy: TrustPolicy,
    digest: Digest,
    deployers: Vec<PublicKey>,
}

impl TrustedPolicy {
    /// Follows the chain from `roots` through `versions`, which are in order from 1.
    ///
    /// # Errors
    /// When there is none, a version doesn't follow from the one before, the newest has expired at `now`, or it is
    /// older than `last_seen`.
    pub fn establish(
        roots: &PinnedRoots,
        versions: &[SignedPolicy],
        last_seen: u64,
        now: Timestamp,
    ) -> Result<Self, ChainError> {
        let newest = Self::follow(roots, versions)?;
        let version = newest.policy.version;
        if version < last_seen {
            return Err(ChainError::RolledBack { newest: version, seen: last_seen });
        }
        if now >= newest.policy.expires_at {
            return Err(ChainError::Expired { version, expires_at: newest.policy.expires_at });
        }
        Ok(newest)
    }

    /// The newest version of an unbroken chain, expired or not: to look at it, or to sign its successor.
    ///
    /// # Errors
    /// When there is none, or a version doesn't follow from the one before.
    pub fn follow(roots: &PinnedRoots, versions: &[SignedPolicy]) -> Result<Self, ChainError> {
        if roots.threshold == 0 {
            return Err(ChainError::Broken { version: 1, problem: "the pinned roots have threshold 0".to_owned() });
        }
        let mut current: Option<Self> = None;
        for (expected, signed) in (1..).zip(versions) {
            let broken = |problem: String| ChainError::Broken { version: expected, problem };
            if signed.version != expected {
                return Err(broken(format!("is missing; version {} comes next", signed.version)));
            }
            let next = Self::step(roots, current.as_ref(), signed).map_err(broken)?;
            current = Some(next);
        }
        current.ok_or(ChainError::Missing)
    }

    fn step(roots: &PinnedRoots, before: Option<&Self>, signed: &SignedPolicy) -> Result<Self, String> {
        let digest = Digest::of(&signed.policy);
        match before {
            None => require(signed, digest, &roots.keys, roots.threshold, "the pinned roots")?,
            Some(before) => {
                let root = &before.policy.roles.root;
                let keys = before.policy.keys_of(root);
                require(signed, digest, &keys, root.threshold, "the roots of the version before")?;
            }
        }
        // Enough roots vouch for these bytes; only now are they read.
        let policy = TrustPolicy::from_bytes(&signed.policy).map_err(|error| error.to_string())?;
        if policy.version != signed.version {
            return Err(format!("says that it is version {}", policy.version));
        }
        let root = &policy.roles.root;
        require(signed, digest, &policy.keys_of(root), root.threshold, "its own roots")?;
        let mut deployers = before.map_or_else(Vec::new, |before| before.deployers.clone());
        let new = policy.keys_of(&policy.roles.deployer).into_iter().filter(|key| !deployers.contains(key));
        deployers.extend(new.collect::<Vec<_>>());
        Ok(Self { policy, digest, deployers })
    }

    /// The policy.
    pub fn policy(&self) -> &TrustPolicy {
        &self.policy
    }

    /// The deployer's keys in this version and in all before it: what was deployed stays deployed when they are replaced.
    pub fn deployers(&self) -> &[PublicKey] {
        &self.deployers
    }

    /// SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// At least `threshold` distinct keys of `keys` signed this version and these bytes.
fn require(signed: &SignedPolicy, digest: Digest, keys: &[PublicKey], threshold: u32, who: &str) -> Result<(), String> {
    let signers = signed.signers(digest, keys);
    if signers.len() >= threshold as usize {
        Ok(())
    } else {
        Err(format!("signed by {} of {who}; {threshold} must sign", signers.len()))
    }
}

#[cfg(test)]
mod tests;
