//! What Terraform is given.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the owner of the bucket with Terraform's states asks for: what Terraform's backend can do of that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct StateBucket {
    /// Name the bucket in the path of each request and not in the host's name, as some emulators need it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub path_style: bool,
    /// The KMS key, by ARN, that states are encrypted with, instead of a key of S3's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

/// A role of IAM, by its ARN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn(String);

impl RoleArn {
    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its partition: `aws`, `aws-us-gov`, `aws-cn`.
    pub fn partition(&self) -> &str {
        self.0.split(':').nth(1).unwrap_or_default()
    }
}

impl TryFrom<String> for RoleArn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // arn:PARTITION:iam::ACCOUNT:role/PATH/NAME (IAM, "IAM ARNs")
        let parts: Vec<&str> = text.split(':').collect();
        let sound = match parts.as_slice() {
            ["arn", _, "iam", "", account, name] => {
                account.len() == 12
                    && account.bytes().all(|digit| digit.is_ascii_digit())
                    && name.strip_prefix("role/").is_some_and(|name| !name.is_empty())
            }
            _ => false,
        };
        let refused = || format!("{text:?} is no role: expected its ARN, arn:aws:iam::ACCOUNT:role/NAME");
        if sound { Ok(Self(text)) } else { Err(refused()) }
    }
}

impl From<RoleArn> for String {
    fn from(role: RoleArn) -> Self {
        role.0
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_by_its_arn() {
        let read = |text: &str| RoleArn::try_from(text.to_owned());
        assert!(read("arn:aws:iam::222222222222:role/airlock/terraform-deployer").is_ok());
        assert!(read("arn:aws-us-gov:iam::222222222222:role/x").is_ok());
        for text in [
            "",
            "terraform",
            "arn:aws:iam::222222222222:role/",
            "arn:aws:iam::222222222222:user/ci",
            "arn:aws:iam::22222222222:role/x",
            "arn:aws:iam:eu-central-1:222222222222:role/x",
            "arn:aws:sts::222222222222:assumed-role/x/y",
        ] {
            assert!(read(text).unwrap_err().contains("expected its ARN"), "{text}");
        }
    }
}
