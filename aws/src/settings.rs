//! What may be said about how AWS is reached.

use serde::{Deserialize, Serialize};

/// How AWS is reached. What is left out comes from where every AWS tool takes it: variables, profiles, the task's or
/// the machine's role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The region, such as `eu-central-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The address of every service, instead of AWS's own: an emulator, or a private endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// A role to take on with the credentials that are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// A role to take on (STS `AssumeRole`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy demands of callers from other accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What CloudTrail calls the session; `airlock` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
}

/// A session tag: IAM policies can ask for it (`aws:PrincipalTag/…`) and CloudTrail shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Such as `airlock-project`.
    pub key: &'static str,
    /// At most 256 of the characters that STS takes; others become `_`.
    value: String,
}

impl Tag {
    /// A tag whose value STS takes (STS API reference, `Tag`).
    pub fn new(key: &'static str, value: &str) -> Self {
        let fits = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
        Self { key, value: value.chars().take(256).map(|c| if fits(c) { c } else { '_' }).collect() }
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn tags_have_only_characters_that_sts_takes() {
        assert_eq!(Tag::new("airlock-build", "0.12").value(), "0.12");
        assert_eq!(Tag::new("airlock-change", "CHG-1; drop\n").value(), "CHG-1_ drop_");
        assert_eq!(Tag::new("airlock-project", &"x".repeat(300)).value().len(), 256);
    }
}
