//! Who we are, as AWS itself says.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;

use crate::connection::Connection;
use crate::error::{AwsError, Call};

/// Who calls, as STS answers `GetCallerIdentity`, which nobody needs a permission for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account's id, 12 digits.
    pub account: String,
    /// The user, or the session of a role.
    pub arn: String,
    /// IAM's unique id: another one if a user or role of the same name is made again.
    pub user_id: String,
    /// Where the credentials came from, as far as it can be told.
    pub source: &'static str,
    /// When they expire; those of users don't.
    pub expires: Option<SystemTime>,
}

impl Connection {
    /// Asks STS.
    ///
    /// # Errors
    /// When nothing names a region, there are no credentials, they aren't good, or STS can't be asked.
    pub async fn identity(&self) -> Result<Identity, AwsError> {
        let call = || Call { action: "sts:GetCallerIdentity", resource: "*".to_owned() };
        let credentials = self.credentials(call).await?;
        let (source, expires) = (source(&credentials), credentials.expiry());
        // Asked with exactly the credentials that are described.
        let config = aws_sdk_sts::config::Builder::from(self.config()).credentials_provider(credentials).build();
        let asked = aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await;
        let said = asked.map_err(|error| AwsError::new(call(), error))?;
        match (said.account, said.arn, said.user_id) {
            (Some(account), Some(arn), Some(user_id)) => Ok(Identity { account, arn, user_id, source, expires }),
            _ => Err(AwsError::incomplete(call(), "the answer names no account, ARN or user id")),
        }
    }
}

/// What the SDK notes about where it found credentials: the last note is about those that are used.
fn source(credentials: &Credentials) -> &'static str {
    let features = credentials.get_property::<Vec<AwsCredentialFeature>>();
    match features.and_then(|features| features.last()) {
        Some(AwsCredentialFeature::CredentialsEnvVars) => "environment variables",
        Some(AwsCredentialFeature::CredentialsStsAssumeRole) => "a role that was taken on",
        Some(
            AwsCredentialFeature::CredentialsStsAssumeRoleWebId
            | AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken
            | AwsCredentialFeature::CredentialsProfileStsWebIdToken,
        ) => "a role that was taken on with a web identity",
        Some(
            AwsCredentialFeature::CredentialsProfile
            | AwsCredentialFeature::CredentialsProfileSourceProfile
            | AwsCredentialFeature::CredentialsProfileNamedProvider
            | AwsCredentialFeature::CredentialsProfileProcess
            | AwsCredentialFeature::CredentialsProfileSso,
        ) => "a profile",
        Some(AwsCredentialFeature::CredentialsHttp) => "the task's role",
        Some(AwsCredentialFeature::CredentialsImds) => "the machine's role",
        // The enum is open, and notes are a courtesy of the SDK.
        Some(_) | None => "elsewhere",
    }
}
