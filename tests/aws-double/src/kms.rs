//! KMS: keys that are asked for their public half and sign raw messages. True to AWS: states, regions, limits, errors,
//! and that a caller's policies decide. Not doubled: key policies (a key trusts its own account), grants, other kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::json;

use crate::http::{self, Refusal, Request, Response};
use crate::iam::Guard;
use crate::people::Caller;
use crate::{REGION, State};

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
    account: String,
    id: String,
    alias: String,
    secret: SigningKey,
    state: KeyState,
}

/// How KMS doesn't do what it is asked to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lie {
    None,
    OtherKey,
    Garbage,
}

impl Key {
    fn arn(&self) -> String {
        format!("arn:aws:kms:{REGION}:{}:key/{}", self.account, self.id)
    }

    /// By ARN from everywhere, by id and alias in its own account.
    fn is_called(&self, name: &str, from: &str) -> bool {
        let alias = format!("alias/{}", self.alias);
        name == self.arn()
            || name == format!("arn:aws:kms:{REGION}:{}:{alias}", self.account)
            || (from == self.account && (name == self.id || name == alias))
    }
}

impl State {
    pub(crate) fn new_key(&mut self, account: &str, alias: &str, seed: u8, state: KeyState) -> String {
        let id = format!("00000000-0000-4000-8000-{:012}", self.keys.len() + 1);
        let secret = SigningKey::from_bytes(&[seed; 32]);
        let key = Key { account: account.to_owned(), id, alias: alias.to_owned(), secret, state };
        let arn = key.arn();
        self.keys.push(key);
        arn
    }

    pub(crate) fn set_key(&mut self, alias: &str, state: KeyState) {
        for key in self.keys.iter_mut().filter(|key| key.alias == alias) {
            key.state = state;
        }
    }

    /// A call of KMS.
    pub(crate) fn kms(
        &self,
        operation: &str,
        request: &Request,
        caller: &Caller,
        lie: Lie,
    ) -> Result<Response, Refusal> {
        match operation {
            "GetPublicKey" => self.public_key(request, caller),
            "Sign" => self.sign(request, caller, lie),
            _ => Err(Refusal::not_doubled(format!("kms:{operation}"))),
        }
    }

    /// The key that a request names, if it is in the region that was asked, not switched off, and the caller's to use.
    fn find(&self, action: &str, request: &Request, caller: &Caller) -> Result<&Key, Refusal> {
        let asked = request.parameters();
        let name = asked.get("KeyId").cloned().unwrap_or_default();
        let region = request.scope().map(|scope| scope.region).unwrap_or_default();
        let here = region == REGION;
        let Some(key) = self.keys.iter().find(|key| here && key.is_called(&name, caller.account())) else {
            let message = if name.starts_with("alias/") {
                format!("Alias arn:aws:kms:{region}:{}:{name} is not found.", caller.account())
            } else {
                format!("Key '{name}' does not exist")
            };
            return Err(Refusal::new(400, "NotFoundException", message));
        };
        let conditions = [("SigningAlgorithm", "kms:SigningAlgorithm"), ("MessageType", "kms:MessageType")];
        let said = conditions.into_iter().filter_map(|(name, key)| Some((key, asked.get(name)?.clone())));
        let named = name.split_once("alias/").map(|(_, alias)| ("kms:RequestAlias", format!("alias/{alias}")));
        let aliases = ("kms:ResourceAliases", format!("alias/{}", key.alias));
        let context = caller.context(said.chain(named).chain([aliases]));
        let arn = key.arn();
        caller
            .may((action, &arn, &key.account), &context, Guard::None)
            .map_err(|message| Refusal::new(400, "AccessDeniedException", message))?;
        match key.state {
            KeyState::Disabled => Err(Refusal::new(400, "DisabledException", format!("{arn} is disabled."))),
            KeyState::PendingDeletion => {
                Err(Refusal::new(400, "KMSInvalidStateException", format!("{arn} is pending deletion.")))
            }
            KeyState::Enabled | KeyState::OtherSpec | KeyState::OtherUsage => Ok(key),
        }
    }

    fn public_key(&self, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
        let key = self.find("kms:GetPublicKey", request, caller)?;
        let (spec, usage, algorithms) = match key.state {
            KeyState::OtherSpec => ("ECC_NIST_P256", "SIGN_VERIFY", json!(["ECDSA_SHA_256"])),
            KeyState::OtherUsage => ("ECC_NIST_EDWARDS25519", "KEY_AGREEMENT", json!([])),
            KeyState::Enabled | KeyState::Disabled | KeyState::PendingDeletion => {
                ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", json!(["ED25519_SHA_512", "ED25519_PH_SHA_512"]))
            }
        };
        let der = [&SPKI[..], key.secret.verifying_key().as_bytes()].concat();
        Ok(http::json(&json!({
            "KeyId": key.arn(), "KeySpec": spec, "CustomerMasterKeySpec": spec, "KeyUsage": usage,
            "SigningAlgorithms": algorithms, "PublicKey": STANDARD.encode(der),
        })))
    }

    fn sign(&self, request: &Request, caller: &Caller, lie: Lie) -> Result<Response, Refusal> {
        let key = self.find("kms:Sign", request, caller)?;
        let asked = request.parameters();
        let asked = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        if (asked("SigningAlgorithm"), asked("MessageType")) != ("ED25519_SHA_512", "RAW")
            || key.state != KeyState::Enabled
        {
            let message = "The algorithm is incompatible with the key.";
            return Err(Refusal::new(400, "InvalidKeyUsageException", message));
        }
        let Ok(message) = STANDARD.decode(asked("Message")) else {
            return Err(Refusal::new(400, "SerializationException", "The message is no base64."));
        };
        if message.is_empty() || message.len() > LONGEST {
            let message = "1 validation error detected: 'message' is too long.";
            return Err(Refusal::new(400, "ValidationException", message));
        }
        let signature = match lie {
            Lie::None => key.secret.sign(&message).to_bytes(),
            Lie::OtherKey => SigningKey::from_bytes(&[0xee; 32]).sign(&message).to_bytes(),
            Lie::Garbage => [7; 64],
        };
        Ok(http::json(&json!({
            "KeyId": key.arn(), "Signature": STANDARD.encode(signature), "SigningAlgorithm": "ED25519_SHA_512",
        })))
    }
}
