//! Where files of builds are put: Amazon S3, or a directory that stands in for it.

use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use store::AccountId;

use super::is_default;
use super::stand_in::{self, StandIn};

/// Where files are put. In a configuration, a path, or `{"s3": {}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesConfig {
    /// The directory that stands in for S3, with one directory for each bucket.
    Local(PathBuf),
    /// Amazon S3.
    S3(Buckets),
}

/// How buckets of the worker's region are written to. Which of them are a project's, [`TargetsConfig`] says.
///
/// [`TargetsConfig`]: super::TargetsConfig
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Buckets {
    /// The account that all of them belong to, 12 digits, if it isn't the worker's own; AWS refuses every call on somebody
    /// else's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub owner: Option<AccountId>,
    /// Name the bucket in the path of each request and not in the host's name, as some emulators need it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path_style: bool,
    /// The KMS key, by ARN or alias ARN, that new objects are encrypted with, instead of the bucket's own default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kms_key: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Named {
    S3(Buckets),
}

impl Serialize for FilesConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Local(path) => path.serialize(serializer),
            Self::S3(buckets) => Named::S3(buckets.clone()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for FilesConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a directory, or {\"s3\": {}}";
        Ok(match stand_in::deserialize(deserializer, expected, "files are put into one store; leave one key")? {
            StandIn::Directory(path) => Self::Local(path),
            StandIn::Real(Named::S3(buckets)) => Self::S3(buckets),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_into_a_directory_or_s3() {
        let s3 = r#"{"s3":{"owner":"111122223333","pathStyle":true,"kmsKey":"k"}}"#;
        for text in [r#""files""#, s3, r#"{"s3":{}}"#] {
            let read: FilesConfig = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
        for (text, problem) in [
            ("7", "expected a directory, or {\"s3\""),
            (r#"{"gcs": {}}"#, "unknown variant `gcs`"),
            (r#"{"s3": {"owner": "me"}}"#, "me"),
            (r#"{"s3": {"bucket": "b"}}"#, "unknown field `bucket`"),
            (r#"{"s3": {}, "local": "b"}"#, "leave one key"),
        ] {
            let error = serde_json::from_str::<FilesConfig>(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
