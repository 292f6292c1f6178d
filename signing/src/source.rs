//! Where a key is, as people write it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::kms::KmsKeyName;

/// How keys in KMS begin.
const SCHEME: &str = "awskms://";

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeySource {
    /// A file: PKCS#8 PEM.
    File(PathBuf),
    /// A key in AWS KMS.
    Kms(KmsKeyName),
}

/// Text that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no key: expected a file, awskms:///alias/NAME, awskms:///KEY-ID, awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID \
     or …:alias/NAME, each also as awskms://ENDPOINT/…"
)]
pub struct KeySourceError(String);

impl FromStr for KeySource {
    type Err = KeySourceError;

    fn from_str(text: &str) -> Result<Self, KeySourceError> {
        let refused = || KeySourceError(text.to_owned());
        if let Some(named) = text.strip_prefix(SCHEME) {
            return named.parse().map(Self::Kms).map_err(|()| refused());
        }
        // A key of a kind that isn't known must not be taken for a file that is missing.
        if text.is_empty() || text.contains("://") || text.starts_with("awskms:") {
            return Err(refused());
        }
        Ok(Self::File(text.into()))
    }
}

impl TryFrom<String> for KeySource {
    type Error = KeySourceError;

    fn try_from(text: String) -> Result<Self, KeySourceError> {
        text.parse()
    }
}

impl From<KeySource> for String {
    fn from(source: KeySource) -> Self {
        source.to_string()
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Kms(name) => write!(f, "{SCHEME}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn keys_are_named_by_alias_id_or_arn() {
        let arn = format!("arn:aws:kms:eu-central-1:111111111111:key/{ID}");
        for (text, id, region, endpoint) in [
            ("awskms:///alias/builder".to_owned(), "alias/builder", None, None),
            (format!("awskms:///{ID}"), ID, None, None),
            (
                "awskms:///mrk-1234abcd12ab34cd56ef1234567890ab".to_owned(),
                "mrk-1234abcd12ab34cd56ef1234567890ab",
                None,
                None,
            ),
            (format!("awskms:///{arn}"), &arn, Some("eu-central-1"), None),
            (
                "awskms:///arn:aws-us-gov:kms:us-gov-west-1:111111111111:alias/team/builder".to_owned(),
                "arn:aws-us-gov:kms:us-gov-west-1:111111111111:alias/team/builder",
                Some("us-gov-west-1"),
                None,
            ),
            (
                "awskms://kms.eu-central-1.amazonaws.com/alias/builder".to_owned(),
                "alias/builder",
                None,
                Some("https://kms.eu-central-1.amazonaws.com"),
            ),
            ("awskms://localhost:4566/alias/b".to_owned(), "alias/b", None, Some("https://localhost:4566")),
        ] {
            let source: KeySource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
            let KeySource::Kms(name) = source else { panic!("{text} is no file") };
            assert_eq!((name.id(), name.region(), name.endpoint().as_deref()), (id, region, endpoint), "{text}");
        }
    }

    #[test]
    fn anything_else_is_a_file() {
        for text in ["builder.pem", "/etc/keys/builder.pem", "alias/builder", "keys/awskms.pem"] {
            assert_eq!(text.parse(), Ok(KeySource::File(text.into())));
        }
    }

    #[test]
    fn what_names_no_key_is_refused_and_not_taken_for_a_file() {
        for text in [
            "",
            "awskms://",
            "awskms:///",
            "awskms:/alias/builder",
            "awskms:alias/builder",
            "awskms:///builder",
            "awskms:///alias/",
            "awskms:///alias/a b",
            "awskms:///alias/a?region=x",
            "awskms://alias/builder",
            "awskms://user@host/alias/builder",
            "awskms:///1234abcd-12ab-34cd-56ef",
            "awskms:///arn:aws:kms:eu-central-1:111111111111:grant/x",
            "awskms:///arn:aws:s3:::bucket",
            "awskms:///arn:aws:kms::111111111111:alias/x",
            "awskms:///arn:aws:kms:eu-central-1:42:alias/x",
            "gcpkms://projects/p",
            "file:///keys/builder.pem",
        ] {
            let refused = text.parse::<KeySource>();
            assert_eq!(refused, Err(KeySourceError(text.to_owned())), "{text}");
            assert!(refused.unwrap_err().to_string().contains("awskms:///alias/NAME"));
        }
    }
}
