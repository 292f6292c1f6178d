//! Keys in AWS KMS.

use std::fmt;
use std::str::FromStr;

use aws::{AwsError, Call, Connection};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::{Builder, Region};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use manifest_schema::dsse::{Signed, Unsigned};
use manifest_schema::keys::PublicKey;

use crate::SigningError;

/// A key in KMS, as people name it: `[ENDPOINT]/alias/NAME`, an id, or an ARN of either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKeyName {
    endpoint: String,
    id: String,
}

impl KmsKeyName {
    /// What KMS is asked for (`KeyId` of its API).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The region that an ARN names; the key is nowhere else.
    pub fn region(&self) -> Option<&str> {
        self.id.strip_prefix("arn:").and_then(|rest| rest.split(':').nth(2))
    }

    /// The address of KMS, if it isn't AWS's own.
    pub fn endpoint(&self) -> Option<String> {
        if self.endpoint.is_empty() { None } else { Some(format!("https://{}", self.endpoint)) }
    }
}

impl FromStr for KmsKeyName {
    type Err = ();

    /// What comes after `awskms://`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (endpoint, id) = text.split_once('/').ok_or(())?;
        let host = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        // `awskms://alias/NAME` lacks a slash: it is no endpoint called alias.
        if !endpoint.chars().all(host) || endpoint == "alias" || !(is_local(id) || is_arn(id)) {
            return Err(());
        }
        Ok(Self { endpoint: endpoint.to_owned(), id: id.to_owned() })
    }
}

/// An alias, or the id of a key.
fn is_local(id: &str) -> bool {
    let alias = |c: char| c.is_ascii_alphanumeric() || "/_-".contains(c);
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    match (id.strip_prefix("alias/"), id.strip_prefix("mrk-")) {
        (Some(name), _) => !name.is_empty() && name.chars().all(alias),
        (None, Some(number)) => number.len() == 32 && hex(number),
        (None, None) => {
            let parts: Vec<&str> = id.split('-').collect();
            parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.into_iter().all(hex)
        }
    }
}

fn is_arn(id: &str) -> bool {
    let parts: Vec<&str> = id.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else { return false };
    let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let own = match resource.strip_prefix("key/") {
        Some(key) => !key.starts_with("alias/") && is_local(key),
        None => resource.starts_with("alias/") && is_local(resource),
    };
    arn == "arn" && !partition.is_empty() && service == "kms" && !region.is_empty() && digits && own
}

impl fmt::Display for KmsKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.endpoint, self.id)
    }
}

/// A key in KMS whose public half is known.
pub struct KmsKey {
    client: Client,
    /// Of the key itself: what an alias means may change between two calls.
    arn: String,
    public: PublicKey,
}

impl KmsKey {
    /// Asks for its public half.
    ///
    /// # Errors
    /// When KMS says no, or it is another kind of key.
    pub async fn open(connection: &Connection, name: &KmsKeyName) -> Result<Self, SigningError> {
        let mut config = Builder::from(connection.config());
        if let Some(region) = name.region() {
            config = config.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = name.endpoint() {
            config = config.endpoint_url(endpoint);
        }
        if name.region().or(connection.region()).is_none() {
            return Err(AwsError::no_region(call("kms:GetPublicKey", name.id())).into());
        }
        let client = Client::from_conf(config.build());
        let asked = client.get_public_key().key_id(name.id()).send().await;
        let said = asked.map_err(|error| AwsError::new(call("kms:GetPublicKey", name.id()), error))?;
        let arn = said.key_id.unwrap_or_else(|| name.id().to_owned());
        let wrong = |problem: String| SigningError::WrongKind { key: arn.clone(), problem };
        if said.key_spec != Some(KeySpec::EccNistEdwards25519) {
            let spec = said.key_spec.as_ref().map_or("unknown", KeySpec::as_str);
            return Err(wrong(format!("its key spec is {spec}, not ECC_NIST_EDWARDS25519")));
        }
        if said.key_usage != Some(KeyUsageType::SignVerify) {
            let usage = said.key_usage.as_ref().map_or("unknown", KeyUsageType::as_str);
            return Err(wrong(format!("its key usage is {usage}, not SIGN_VERIFY")));
        }
        let der = said.public_key.map(Blob::into_inner).unwrap_or_default();
        let public = PublicKey::from_spki_der(&der);
        let public = public.map_err(|error| wrong(format!("its public half can't be used ({error})")))?;
        Ok(Self { client, arn, public })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Has KMS sign, and looks whether the signature holds.
    pub(crate) async fn seal(&self, unsigned: Unsigned) -> Result<Signed, SigningError> {
        let asked = self
            .client
            .sign()
            .key_id(&self.arn)
            .message(Blob::new(unsigned.message()))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512);
        let said = asked.send().await.map_err(|error| AwsError::new(call("kms:Sign", &self.arn), error))?;
        let signature = said.signature.map(Blob::into_inner).unwrap_or_default();
        let sealed = unsigned.seal(&self.public, &signature);
        sealed.map_err(|source| SigningError::WrongSignature { key: self.arn.clone(), source })
    }
}

fn call(action: &'static str, resource: &str) -> Call {
    Call { action, resource: resource.to_owned() }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KmsKey({}, {})", self.arn, self.public.id())
    }
}
