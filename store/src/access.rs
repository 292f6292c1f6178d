//! How a bucket is reached, and the rules that its owner has for it. Directories need none of it.

use serde::{Deserialize, Serialize};

/// How a store is reached. The default is for directories, and for buckets that are reached the way every AWS tool
/// reaches them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Who we are in AWS, and where.
    pub aws: aws::Settings,
    /// What the session of a role that is taken on is tagged with.
    pub tags: Vec<aws::Tag>,
    /// What the bucket's owner asks for.
    pub bucket: BucketRules,
}

/// What is said about a bucket beside its name: part of configuration files, the same words everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BucketRules {
    /// The account that the bucket must belong to, 12 digits; AWS refuses every call on somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<AccountId>,
    /// Name the bucket in the path of each request and not in the host's name, as some emulators need it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub path_style: bool,
    /// The KMS key, by ARN or alias ARN, that new objects are encrypted with, instead of the bucket's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// For how long nobody may delete or change what was created once; needs a bucket with object lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Object lock (S3 user guide, "Locking objects with Object Lock").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retention {
    /// Who may still end it.
    pub mode: RetentionMode,
    /// From when the object is created.
    pub days: u16,
}

/// Who may end a retention before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetentionMode {
    /// Who may do `s3:BypassGovernanceRetention`.
    Governance,
    /// Nobody.
    Compliance,
}

/// The number of an AWS account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

/// Text that is no account's number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an AWS account: expected 12 digits")]
pub struct AccountIdError(String);

impl AccountId {
    /// The 12 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountId {
    type Error = AccountIdError;

    fn try_from(text: String) -> Result<Self, AccountIdError> {
        let sound = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if sound { Ok(Self(text)) } else { Err(AccountIdError(text)) }
    }
}

impl std::str::FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, AccountIdError> {
        text.to_owned().try_into()
    }
}

impl From<AccountId> for String {
    fn from(account: AccountId) -> Self {
        account.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_documented() {
        let rules: BucketRules = serde_json::from_str(
            r#"{"owner": "111122223333", "path-style": true, "kms-key": "arn:aws:kms:eu-central-1:111122223333:key/1",
                "retention": {"mode": "governance", "days": 30}}"#,
        )
        .unwrap();
        assert_eq!(rules.owner.as_ref().map(AccountId::as_str), Some("111122223333"));
        assert_eq!(rules.retention, Some(Retention { mode: RetentionMode::Governance, days: 30 }));
        assert_eq!(serde_json::from_str::<BucketRules>("{}").unwrap(), BucketRules::default());
        assert_eq!(serde_json::to_string(&BucketRules::default()).unwrap(), "{}");
    }

    #[test]
    fn an_account_has_twelve_digits() {
        for bad in ["", "11112222333", "1111222233333", "11112222333a"] {
            assert!(bad.parse::<AccountId>().is_err(), "{bad:?} was taken");
        }
    }
}
