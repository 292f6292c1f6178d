//! KMS: keys that are asked for their public half and sign raw messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;

use crate::http::{Request, Response};
use crate::{ACCOUNT, REGION, State};

/// SubjectPublicKeyInfo of an Ed25519 key, up to its 32 bytes (RFC 8410 §4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The longest raw message that KMS signs, in bytes.
const LONGEST: usize = 4096;

/// What a key can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Enabled,
    /// Somebody switched it off.
    Disabled,
    /// It is about to be deleted.
    PendingDeletion,
    /// It is of another kind: ECC_NIST_P256.
    OtherSpec,
    /// It is of the right kind, for another purpose.
    OtherUsage,
}

#[derive(Debug)]
pub(crate) struct Key {
    id: String,
    alias: String,
    secret: SigningKey,
    state: KeyState,
}

/// How KMS doesn't do what it is asked to.
pub(crate) enum Lie {
    None,
    OtherKey,
    Garbage,
}

impl Key {
    fn arn(&self) -> String {
        format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{}", self.id)
    }

    fn is_called(&self, name: &str) -> bool {
        let alias = format!("alias/{}", self.alias);
        name == self.id
            || name == self.arn()
            || name == alias
            || name == format!("arn:aws:kms:{REGION}:{ACCOUNT}:{alias}")
    }
}

impl State {
    pub(crate) fn new_key(&mut self, alias: &str, seed: u8, state: KeyState) -> String {
        let id = format!("00000000-0000-4000-8000-{:012}", self.keys.len() + 1);
        let key = Key { id, alias: alias.to_owned(), secret: SigningKey::from_bytes(&[seed; 32]), state };
        let arn = key.arn();
        self.keys.push(key);
        arn
    }

    pub(crate) fn set_key(&mut self, alias: &str, state: KeyState) {
        for key in self.keys.iter_mut().filter(|key| key.alias == alias) {
            key.state = state;
        }
    }

    /// The key that a request names, if it is in the region that was asked and not switched off.
    fn find(&self, request: &Request) -> Result<&Key, Response> {
        let name = request.parameters().remove("KeyId").unwrap_or_default();
        let here = request.signed_by().is_some_and(|(_, region)| region == REGION);
        let Some(key) = self.keys.iter().find(|key| here && key.is_called(&name)) else {
            let message = if name.starts_with("alias/") {
                let region = request.signed_by().map(|(_, region)| region).unwrap_or_default();
                format!("Alias arn:aws:kms:{region}:{ACCOUNT}:{name} is not found.")
            } else {
                format!("Key '{name}' does not exist")
            };
            return Err(request.error(400, "NotFoundException", &message));
        };
        match key.state {
            KeyState::Disabled => Err(request.error(400, "DisabledException", &format!("{} is disabled.", key.arn()))),
            KeyState::PendingDeletion => {
                let message = format!("{} is pending deletion.", key.arn());
                Err(request.error(400, "KMSInvalidStateException", &message))
            }
            KeyState::Enabled | KeyState::OtherSpec | KeyState::OtherUsage => Ok(key),
        }
    }

    pub(crate) fn public_key(&self, request: &Request) -> Response {
        let key = match self.find(request) {
            Ok(key) => key,
            Err(refused) => return refused,
        };
        let (spec, usage, algorithms) = match key.state {
            KeyState::OtherSpec => ("ECC_NIST_P256", "SIGN_VERIFY", json!(["ECDSA_SHA_256"])),
            KeyState::OtherUsage => ("ECC_NIST_EDWARDS25519", "KEY_AGREEMENT", json!([])),
            KeyState::Enabled | KeyState::Disabled | KeyState::PendingDeletion => {
                ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", json!(["ED25519_SHA_512", "ED25519_PH_SHA_512"]))
            }
        };
        let der = [&SPKI[..], key.secret.verifying_key().as_bytes()].concat();
        Response::json(&json!({
            "KeyId": key.arn(), "KeySpec": spec, "CustomerMasterKeySpec": spec, "KeyUsage": usage,
            "SigningAlgorithms": algorithms, "PublicKey": STANDARD.encode(der),
        }))
    }

    pub(crate) fn sign(&self, request: &Request, lie: &Lie) -> Response {
        let key = match self.find(request) {
            Ok(key) => key,
            Err(refused) => return refused,
        };
        let asked = request.parameters();
        let asked = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        if (asked("SigningAlgorithm"), asked("MessageType")) != ("ED25519_SHA_512", "RAW")
            || key.state != KeyState::Enabled
        {
            return request.error(400, "InvalidKeyUsageException", "The algorithm is incompatible with the key.");
        }
        let Ok(message) = STANDARD.decode(asked("Message")) else {
            return request.error(400, "SerializationException", "The message is no base64.");
        };
        if message.is_empty() || message.len() > LONGEST {
            return request.error(400, "ValidationException", "1 validation error detected: 'message' is too long.");
        }
        let signature = match lie {
            Lie::None => key.secret.sign(&message).to_bytes(),
            Lie::OtherKey => SigningKey::from_bytes(&[0xee; 32]).sign(&message).to_bytes(),
            Lie::Garbage => [7; 64],
        };
        Response::json(&json!({
            "KeyId": key.arn(), "Signature": STANDARD.encode(signature), "SigningAlgorithm": "ED25519_SHA_512",
        }))
    }
}
