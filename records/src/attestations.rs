//! Signed statements about builds, in the artifacts store.

use manifest_schema::Digest;
use manifest_schema::dsse::{self, MAX_ENVELOPE};
use manifest_schema::storage::{AttestationKind, Key, prefix};
use store::{Creation, Store};

use crate::RecordError;

/// Most envelopes of one kind about one build that are read.
pub const MOST_ENVELOPES: usize = 256;

/// All envelopes of a kind about a build.
///
/// # Errors
/// When there are more than [`MOST_ENVELOPES`], one is not what was stored under its name, or the store can't be read:
/// never a shorter list, nor one in which something else stands in the place of a no.
pub async fn list(artifacts: &Store, manifest: Digest, kind: AttestationKind) -> Result<Vec<Vec<u8>>, RecordError> {
    let prefix = prefix::attestations(manifest, kind);
    let listed = artifacts.list(&prefix, None, MOST_ENVELOPES + 1).await?;
    if listed.len() > MOST_ENVELOPES {
        return Err(RecordError::TooMany { prefix, limit: MOST_ENVELOPES });
    }
    let mut envelopes = Vec::with_capacity(listed.len());
    for entry in listed {
        let missing = || RecordError::Missing(entry.key.clone());
        let key = key_of(manifest, kind, &entry.key).ok_or_else(missing)?;
        let bytes = artifacts.get(&key, MAX_ENVELOPE).await?.ok_or_else(missing)?.bytes;
        // Only envelopes are stored, so what is none was altered as well.
        if key_for(manifest, kind, &bytes).ok().map(|key| key.to_string()).as_ref() != Some(&entry.key) {
            return Err(RecordError::Altered(entry.key));
        }
        envelopes.push(bytes);
    }
    Ok(envelopes)
}

/// Reads `<statement>-<16 hex of the envelope's>.json` back into a key.
fn key_of(manifest: Digest, kind: AttestationKind, key: &str) -> Option<Key> {
    let name = key.rsplit('/').next()?.strip_suffix(".json")?;
    let (statement, envelope) = name.split_once('-')?;
    let statement = Digest::from_hex(statement).ok()?;
    let envelope = Digest::from_hex(&format!("{envelope:0<64}")).ok()?;
    Some(Key::Attestation { manifest, kind, statement, envelope })
}

/// Stores an envelope about a build, under the digest of what it says.
///
/// # Errors
/// When it is no envelope, or the store can't be written.
pub async fn add(
    artifacts: &Store,
    manifest: Digest,
    kind: AttestationKind,
    envelope: &[u8],
) -> Result<Creation, RecordError> {
    Ok(artifacts.create(&key_for(manifest, kind, envelope)?, envelope).await?)
}

/// The key of an envelope: it names both digests.
fn key_for(manifest: Digest, kind: AttestationKind, envelope: &[u8]) -> Result<Key, RecordError> {
    let inspected = dsse::inspect(envelope).map_err(RecordError::Envelope)?;
    Ok(Key::Attestation { manifest, kind, statement: inspected.statement, envelope: Digest::of(envelope) })
}
