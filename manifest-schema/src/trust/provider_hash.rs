//! What a provider's archive hashes to, as dependency lock files write it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// A provider's archive, named by its content as `.terraform.lock.hcl` names it: `zh:` and the hex SHA-256 of the archive,
/// or `h1:` and Go's hash of what is in it (golang.org/x/mod/sumdb/dirhash, Hash1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProviderHash(String);

crate::names::string_schema!(
    ProviderHash,
    "ProviderHash",
    r"^(zh:[0-9a-f]{64}|h1:[A-Za-z0-9+/]{43}=)$",
    "What a provider's archive hashes to, as a dependency lock file has it: `zh:` and hex, or `h1:` and base64."
);

/// Text that is no hash of a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no hash of a provider: expected h1:… or zh:… as .terraform.lock.hcl has them")]
pub struct ProviderHashError(String);

impl ProviderHash {
    /// The hash of an archive as it is: `zh:`.
    pub fn of_archive(digest: Digest) -> Self {
        Self(format!("zh:{}", digest.hex()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProviderHash {
    type Error = ProviderHashError;

    fn try_from(text: String) -> Result<Self, ProviderHashError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let sound = match text.split_once(':') {
            Some(("zh", hex)) => hex.len() == 64 && hex.bytes().all(is_hex),
            Some(("h1", base64)) => STANDARD.decode(base64).is_ok_and(|bytes| bytes.len() == 32),
            Some(_) | None => false,
        };
        if sound { Ok(Self(text)) } else { Err(ProviderHashError(text)) }
    }
}

impl From<ProviderHash> for String {
    fn from(hash: ProviderHash) -> Self {
        hash.0
    }
}

impl fmt::Display for ProviderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_hashes_of_lock_files_are_taken() {
        let archive = ProviderHash::of_archive(Digest::of(b"an archive"));
        for good in ["h1:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", archive.as_str()] {
            assert_eq!(ProviderHash::try_from(good.to_owned()).unwrap().to_string(), good);
        }
        let upper = archive.as_str().to_uppercase().replacen("ZH", "zh", 1);
        let long = format!("{archive}0");
        for bad in
            ["", "h1:", "zh:", "zh:00", "h1:abc=", "h2:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", &upper, &long]
        {
            assert!(ProviderHash::try_from(bad.to_owned()).is_err(), "{bad:?} was taken");
        }
    }
}
