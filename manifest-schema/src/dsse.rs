//! DSSE envelopes (secure-systems-lab/dsse, protocol and envelope v1.0): the only way in for signed bytes.
//!
//! A payload can be had from an envelope only through [`verify`]. It returns the payload's bytes exactly as they were
//! signed, with the distinct keys whose signatures hold. Everything that is wrong with an envelope, down to bytes that
//! are no JSON, is an [`EnvelopeError`]: a refused verification.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::to_bytes;
use crate::keys::{KeyId, PublicKey, SecretKey};

/// `payloadType` of every envelope here: an in-toto statement.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Media type of an envelope as a file (DSSE, envelope v1.0).
pub const MEDIA_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Largest envelope that is read, in bytes.
pub const MAX_ENVELOPE: usize = 64 << 10;
/// Most signatures of one envelope that are read.
pub const MAX_SIGNATURES: usize = 16;
/// Largest pre-authentication encoding that is signed, in bytes: the limit of AWS KMS for raw messages.
pub const MAX_PAE: usize = 4096;

/// Why an envelope proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Larger than is read.
    #[error("the envelope has {0} bytes; at most {MAX_ENVELOPE} are read")]
    TooLarge(usize),
    /// Not a DSSE envelope.
    #[error("not a DSSE envelope: {0}")]
    Malformed(String),
    /// Signed for something else.
    #[error("the envelope's payloadType is {0:?}, not {PAYLOAD_TYPE:?}")]
    PayloadType(String),
    /// More signatures than are read.
    #[error("the envelope has {0} signatures; at most {MAX_SIGNATURES} are read")]
    TooManySignatures(usize),
    /// The payload is no base64.
    #[error("the envelope's payload is not base64")]
    Base64,
    /// No signature holds under any accepted key.
    #[error("no signature by an accepted key: signed by {}", signers(.0))]
    Untrusted(Vec<String>),
    /// The payload is not the statement it should be.
    #[error("the signed payload is not {expected}: {cause}")]
    Payload {
        /// What was expected.
        expected: &'static str,
        /// What is wrong with it.
        cause: String,
    },
}

fn signers(hints: &[String]) -> String {
    if hints.is_empty() { "nobody".to_owned() } else { hints.join(", ") }
}

/// What would be signed is too long for a KMS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the statement to sign has {0} bytes with its header; at most {MAX_PAE} can be signed")]
pub struct TooLongToSign(usize);

/// The envelope as JSON. Fields that aren't named here are ignored, as the specification asks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Envelope", description = "A DSSE envelope, v1.0.")]
pub struct Envelope {
    /// Always `application/vnd.in-toto+json`.
    payload_type: String,
    /// The signed statement's bytes, in base64.
    payload: String,
    /// One per signer.
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
struct EnvelopeSignature {
    /// `SHA256:<OpenSSH fingerprint>`; only a hint, never believed.
    #[serde(default)]
    keyid: String,
    /// 64 bytes, in base64.
    sig: String,
}

/// A payload whose signature was checked, and by whose keys. Only [`verify`] makes one:
///
/// ```compile_fail,E0451
/// use manifest_schema::dsse::VerifiedPayload;
///
/// fn forge(bytes: Vec<u8>, from: VerifiedPayload) -> VerifiedPayload {
///     VerifiedPayload { bytes, ..from }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifiedPayload {
    bytes: Vec<u8>,
    signers: Vec<PublicKey>,
}

impl VerifiedPayload {
    /// The bytes that were signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Distinct accepted keys whose signature holds; at least one.
    pub fn signers(&self) -> &[PublicKey] {
        &self.signers
    }
}

/// Checks an envelope against the keys that may have signed it.
///
/// Every signature is tried with every key; the `keyid` is not looked at. Signatures that don't hold are ignored.
///
/// # Errors
/// When it is no envelope within the limits, or when no signature by one of `keys` holds.
pub fn verify(envelope: &[u8], keys: &[PublicKey]) -> Result<VerifiedPayload, EnvelopeError> {
    let Envelope { payload_type, payload, signatures } = parse(envelope)?;
    let bytes = decode(&payload).ok_or(EnvelopeError::Base64)?;
    let message = pae(&payload_type, &bytes);
    let mut signers = Vec::new();
    for signature in &signatures {
        let Some(raw) = decode(&signature.sig) else { continue };
        for key in keys {
            if !signers.contains(key) && key.verifies(&message, &raw) {
                signers.push(*key);
            }
        }
    }
    if signers.is_empty() {
        return Err(EnvelopeError::Untrusted(hints(&signatures)));
    }
    Ok(VerifiedPayload { bytes, signers })
}

/// The same payload with one signature per key of `keys` that signed it, and nothing else: what surrounds the payload
/// isn't signed, so whoever passes an envelope on could have filled it up.
///
/// # Errors
/// As [`verify`].
pub fn reduce(envelope: &[u8], keys: &[PublicKey]) -> Result<Vec<u8>, EnvelopeError> {
    let Envelope { payload_type, payload, signatures } = parse(envelope)?;
    let bytes = decode(&payload).ok_or(EnvelopeError::Base64)?;
    let message = pae(&payload_type, &bytes);
    let held = |key: &PublicKey| {
        let raw = signatures.iter().filter_map(|signature| decode(&signature.sig));
        let sig = raw.into_iter().find(|raw| key.verifies(&message, raw))?;
        Some(EnvelopeSignature { keyid: key.id().to_string(), sig: STANDARD_ENGINE.encode(sig) })
    };
    let kept: Vec<_> = keys.iter().filter_map(held).collect();
    if kept.is_empty() {
        return Err(EnvelopeError::Untrusted(hints(&signatures)));
    }
    let reduced = to_bytes(&Envelope { payload_type, payload: STANDARD_ENGINE.encode(bytes), signatures: kept });
    if reduced.len() > MAX_ENVELOPE { Err(EnvelopeError::TooLarge(reduced.len())) } else { Ok(reduced) }
}

/// Key ids that an envelope claims and the digest of its payload, unverified: to find and to name it, not to believe it.
///
/// # Errors
/// When it is no envelope within the limits.
pub fn inspect(envelope: &[u8]) -> Result<UnverifiedEnvelope, EnvelopeError> {
    let parsed = parse(envelope)?;
    let payload = decode(&parsed.payload).ok_or(EnvelopeError::Base64)?;
    Ok(UnverifiedEnvelope { statement: Digest::of(&payload), claimed: hints(&parsed.signatures), payload })
}

/// What an envelope claims.
#[derive(Debug, Clone)]
pub struct UnverifiedEnvelope {
    /// SHA-256 of its payload.
    pub statement: Digest,
    /// The key ids that it names.
    pub claimed: Vec<String>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// A statement's exact bytes, short enough for a KMS to sign, and not signed yet.
///
/// It is used up by its signature: [`Self::sign`] where the key is in this process; [`Self::message`] and
/// [`Self::seal`] where it isn't.
#[derive(Debug, Clone)]
pub struct Unsigned {
    payload: Vec<u8>,
    message: Vec<u8>,
}

/// A statement with its signature.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The DSSE envelope: one payload, one signature.
    pub envelope: Vec<u8>,
    /// SHA-256 of the payload: the statement's name in requests and claims.
    pub statement: Digest,
}

/// What came back from a signer is not the signature that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold under {0}")]
pub struct WrongSignature(KeyId);

impl Unsigned {
    /// A payload to sign.
    ///
    /// # Errors
    /// When the pre-authentication encoding is longer than a KMS signs, whatever kind of key is used, so that a later
    /// move to a KMS can't fail.
    pub fn new(payload: Vec<u8>) -> Result<Self, TooLongToSign> {
        let message = pae(PAYLOAD_TYPE, &payload);
        if message.len() > MAX_PAE { Err(TooLongToSign(message.len())) } else { Ok(Self { payload, message }) }
    }

    /// The bytes to sign: the pre-authentication encoding, at most [`MAX_PAE`] bytes.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Puts a signature around it that somebody else made over [`Self::message`].
    ///
    /// # Errors
    /// When the signature doesn't hold under `key`, as strictly as [`verify`] checks it.
    pub fn seal(self, key: &PublicKey, signature: &[u8]) -> Result<Signed, WrongSignature> {
        if key.verifies(&self.message, signature) {
            Ok(self.enclose(key, signature))
        } else {
            Err(WrongSignature(key.id()))
        }
    }

    /// Signs it with a key that is in this process.
    pub fn sign(self, key: &SecretKey) -> Signed {
        let signature = key.sign(&self.message);
        self.enclose(&key.public(), &signature)
    }

    fn enclose(self, key: &PublicKey, signature: &[u8]) -> Signed {
        let signature = EnvelopeSignature { keyid: key.id().to_string(), sig: STANDARD_ENGINE.encode(signature) };
        let envelope = to_bytes(&Envelope {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: STANDARD_ENGINE.encode(&self.payload),
            signatures: vec![signature],
        });
        Signed { envelope, statement: Digest::of(&self.payload) }
    }
}

fn parse(envelope: &[u8]) -> Result<Envelope, EnvelopeError> {
    if envelope.len() > MAX_ENVELOPE {
        return Err(EnvelopeError::TooLarge(envelope.len()));
    }
    let parsed: Envelope =
        serde_json::from_slice(envelope).map_err(|error| EnvelopeError::Malformed(error.to_string()))?;
    if parsed.payload_type != PAYLOAD_TYPE {
        return Err(EnvelopeError::PayloadType(parsed.payload_type));
    }
    if parsed.signatures.len() > MAX_SIGNATURES {
        return Err(EnvelopeError::TooManySignatures(parsed.signatures.len()));
    }
    Ok(parsed)
}

/// What people may read of claimed key ids: bounded, without control characters.
fn hints(signatures: &[EnvelopeSignature]) -> Vec<String> {
    let clean = |id: &str| id.chars().filter(|c| !c.is_control()).take(64).collect::<String>();
    signatures.iter().map(|s| if s.keyid.is_empty() { "an unnamed key".to_owned() } else { clean(&s.keyid) }).collect()
}

/// DSSE v1 pre-authentication encoding: `DSSEv1 LEN(type) type LEN(body) body`.
fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut message = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    message.extend_from_slice(body);
    message
}

const TOLERANT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD_ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, TOLERANT);
const URL_SAFE_ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, TOLERANT);

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD_ENGINE.decode(text).or_else(|_| URL_SAFE_ENGINE.decode(text)).ok()
}

#[cfg(test)]
mod tests;
