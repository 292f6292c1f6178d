//! Sessions of a role for a job of GitHub Actions: GitHub says which job this is, STS gives a session for it.
//!
//! A job with `permissions: id-token: write` finds an address and a bearer token in its environment; there it gets an
//! OpenID Connect token that is good for a few minutes (GitHub's "OpenID Connect reference"). It is asked for anew for each
//! session, so a job can wait longer than one lasts.

use std::fmt;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_http_client::Connector;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::get::{connector, get};

/// Where the token is asked for.
const ADDRESS: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
/// What shows that it may be asked for.
const BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
/// Whom the token is for, as AWS's documentation sets the provider up.
const AUDIENCE: &str = "sts.amazonaws.com";

/// Sessions of one role.
pub(crate) struct GitHubSessions {
    role: String,
    session_name: String,
    sts: aws_sdk_sts::Client,
    http: Connector,
    asked: Option<(String, Zeroizing<String>)>,
}

/// What GitHub answers.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl GitHubSessions {
    pub(crate) fn new(role: &str, session_name: &str, config: &SdkConfig) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Self {
            role: role.to_owned(),
            session_name: session_name.to_owned(),
            sts: aws_sdk_sts::Client::new(config),
            http: connector(),
            asked: variable(ADDRESS).zip(variable(BEARER).map(Zeroizing::new)),
        }
    }

    async fn token(&self) -> Result<Zeroizing<String>, CredentialsError> {
        let (address, bearer) = self.asked.as_ref().ok_or_else(|| {
            let missing = format!(
                "GitHub gives this job no token ({ADDRESS} and {BEARER} aren't set): add `permissions: id-token: write`"
            );
            CredentialsError::invalid_configuration(missing)
        })?;
        let failed = |what: String| CredentialsError::provider_error(format!("GitHub's token: {what}"));
        let separator = if address.contains('?') { '&' } else { '?' };
        let whole = format!("{address}{separator}audience={AUDIENCE}");
        let bearer = Zeroizing::new(format!("bearer {}", bearer.as_str()));
        let headers = [("authorization", bearer.as_str()), ("accept", "application/json")];
        let body = get(&self.http, &whole, &headers).await.map_err(failed)?;
        let Answer { value } = serde_json::from_slice(&body).map_err(|_| failed("the answer holds none".to_owned()))?;
        Ok(Zeroizing::new(value))
    }

    async fn session(&self) -> provider::Result {
        let token = self.token().await?;
        let asked = self.sts.assume_role_with_web_identity().role_arn(&self.role).role_session_name(&self.session_name);
        let given = asked.web_identity_token(token.as_str()).send().await.map_err(CredentialsError::provider_error)?;
        let session = given.credentials.ok_or_else(|| CredentialsError::unhandled("STS gave no credentials"))?;
        let expires = SystemTime::try_from(session.expiration).map_err(CredentialsError::unhandled)?;
        let keys = (session.access_key_id, session.secret_access_key, Some(session.session_token));
        let mut credentials = Credentials::new(keys.0, keys.1, keys.2, Some(expires), "GitHub");
        let features: &mut Vec<AwsCredentialFeature> = credentials.get_property_mut_or_default();
        features.push(AwsCredentialFeature::CredentialsStsAssumeRoleWebId);
        Ok(credentials)
    }
}

impl ProvideCredentials for GitHubSessions {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.session())
    }
}

impl fmt::Debug for GitHubSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubSessions").field("role", &self.role).finish_non_exhaustive()
    }
}
