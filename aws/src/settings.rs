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

/// A role to take on: with the credentials that are found (STS `AssumeRole`), or with a token that says which CI job this
/// is (STS `AssumeRoleWithWebIdentity`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RoleFields", rename_all = "kebab-case")]
pub struct Role {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy demands of callers from other accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What CloudTrail calls the session; `airlock` if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Whose token to show instead of credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_identity: Option<WebIdentity>,
}

/// Who says which CI job this is. (A token in a file needs no setting: `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`
/// are among what every AWS tool reads.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WebIdentity {
    /// GitHub Actions, asked anew for each session.
    GitHub,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RoleFields {
    arn: String,
    external_id: Option<String>,
    session_name: Option<String>,
    web_identity: Option<WebIdentity>,
}

impl TryFrom<RoleFields> for Role {
    type Error = &'static str;

    fn try_from(fields: RoleFields) -> Result<Self, Self::Error> {
        let RoleFields { arn, external_id, session_name, web_identity } = fields;
        if external_id.is_some() && web_identity.is_some() {
            return Err("a role taken on with a web identity has no external-id: its trust policy looks at the token");
        }
        Ok(Self { arn, external_id, session_name, web_identity })
    }
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

/// What a session of a role may do at most, whatever the role itself may (IAM, "Session policies"): what at least one of
/// these policies allows and none of them denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Managed policies, by ARN; at most 10.
    pub managed: Vec<String>,
    /// One more, as JSON; at most 2,048 characters.
    pub inline: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_taken_on_with_credentials_or_with_a_token() {
        let role = |text: &str| serde_json::from_str::<Role>(text).map_err(|error| error.to_string());
        let github = role(r#"{"arn":"a","web-identity":"github"}"#).unwrap();
        assert_eq!((github.web_identity, &github.external_id), (Some(WebIdentity::GitHub), &None));
        let foreign = role(r#"{"arn":"a","external-id":"x","session-name":"ci"}"#).unwrap();
        assert_eq!((foreign.external_id.as_deref(), foreign.session_name.as_deref()), (Some("x"), Some("ci")));
        for (text, problem) in [
            (r#"{"arn":"a","external-id":"x","web-identity":"github"}"#, "no external-id"),
            (r#"{"arn":"a","web-identity":"gitlab"}"#, "unknown variant"),
            (r#"{"external-id":"x"}"#, "missing field `arn`"),
            (r#"{"arn":"a","externalId":"x"}"#, "unknown field"),
        ] {
            assert!(role(text).unwrap_err().contains(problem), "{text}");
        }
        assert_eq!(serde_json::to_string(&github).unwrap(), r#"{"arn":"a","web-identity":"github"}"#);
    }

    #[test]
    fn tags_have_only_characters_that_sts_takes() {
        assert_eq!(Tag::new("airlock-build", "0.12").value(), "0.12");
        assert_eq!(Tag::new("airlock-change", "CHG-1; drop\n").value(), "CHG-1_ drop_");
        assert_eq!(Tag::new("airlock-project", &"x".repeat(300)).value().len(), 256);
    }
}
