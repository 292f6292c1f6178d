//! The keys that sign: in a file, or in AWS KMS, which never gives them away.
//!
//! [`KeySource`] is where a key is, as people write it; [`Signer`] is the key, ready to sign. Both kinds sign the same
//! messages, and an envelope exists only once the signature was seen to hold under the public key that was asked for at
//! the start: a KMS, or who answers in its name, is believed as little as anybody.

mod kms;
mod source;

use manifest_schema::dsse::{Signed, TooLongToSign, Unsigned, WrongSignature};
use manifest_schema::keys::{PublicKey, SecretKey};
use manifest_schema::statement::{Predicate, Statement};

pub use kms::{KmsKey, KmsKeyName};
pub use source::{KeySource, KeySourceError};

/// A private key that can sign.
#[derive(Debug)]
pub enum Signer {
    /// In this process, read from a file.
    File(SecretKey),
    /// In AWS KMS.
    Kms(KmsKey),
}

/// Nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The statement is too long. Nothing was sent anywhere.
    #[error(transparent)]
    TooLong(#[from] TooLongToSign),
    /// KMS says no.
    #[error(transparent)]
    Aws(#[from] aws::AwsError),
    /// The KMS key is there, but no statement can be signed with it.
    #[error("{key} can't sign statements: {problem}; make one with `{MAKE_KEY}`")]
    WrongKind {
        /// The key.
        key: String,
        /// What it is instead.
        problem: String,
    },
    /// What came back is not the key's signature: somebody else answers, or KMS is out of order.
    #[error("{key} returned something else than its signature: {source}")]
    WrongSignature {
        /// The key.
        key: String,
        /// Under which public key it doesn't hold.
        source: WrongSignature,
    },
}

/// How a key that fits is made.
pub const MAKE_KEY: &str = "aws kms create-key --key-spec ECC_NIST_EDWARDS25519 --key-usage SIGN_VERIFY";

impl SigningError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Aws(error) => error.is_temporary(),
            Self::TooLong(_) | Self::WrongKind { .. } | Self::WrongSignature { .. } => false,
        }
    }
}

impl Signer {
    /// The public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::File(key) => key.public(),
            Self::Kms(key) => key.public(),
        }
    }

    /// Signs exactly these bytes.
    ///
    /// # Errors
    /// When KMS says no, or returns something else than its signature.
    pub async fn seal(&self, unsigned: Unsigned) -> Result<Signed, SigningError> {
        match self {
            Self::File(key) => Ok(unsigned.sign(key)),
            Self::Kms(key) => key.seal(unsigned).await,
        }
    }

    /// Signs a statement.
    ///
    /// # Errors
    /// When it is too long to sign, which is known before anything is sent; and as [`Self::seal`].
    pub async fn sign<P: Predicate>(&self, statement: &Statement<P>) -> Result<Signed, SigningError> {
        self.seal(statement.unsigned()?).await
    }
}
