//! Sessions of a role for a job of GitHub Actions: GitHub says which job this is, STS gives a session for it.
//!
//! A job with `permissions: id-token: write` finds an address and a bearer token in its environment; there it gets an
//! OpenID Connect token that is good for a few minutes (GitHub's "OpenID Connect reference"). It is asked for anew for each
//! session, so a job can wait longer than one lasts. What may be in order a moment later is asked again, as often as the SDK
//! asks AWS.

use std::fmt;
use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::connection::{ATTEMPTS, CONNECT, FIRST_BYTE, TLS};
use crate::pause::pause;

/// Where the token is asked for.
const ADDRESS: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
/// What shows that it may be asked for.
const BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
/// Whom the token is for, as AWS's documentation sets the provider up.
const AUDIENCE: &str = "sts.amazonaws.com";
/// Largest answer that is read, in bytes.
const LIMIT: usize = 64 << 10;

/// Sessions of one role.
pub(crate) struct GitHubSessions {
    role: String,
    session_name: String,
    sts: aws_sdk_sts::Client,
    http: Connector,
    asked: Option<(String, Zeroizing<String>)>,
}

/// Why GitHub gave no token.
struct NoToken {
    what: String,
    /// Whether it may give one in a moment.
    passes: bool,
}

/// What GitHub answers.
#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl GitHubSessions {
    pub(crate) fn new(role: &str, session_name: &str, config: &SdkConfig) -> Self {
        let limits = HttpConnectorSettings::builder().connect_timeout(CONNECT).read_timeout(FIRST_BYTE).build();
        let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        Self {
            role: role.to_owned(),
            session_name: session_name.to_owned(),
            sts: aws_sdk_sts::Client::new(config),
            http: Connector::builder().tls_provider(TLS).connector_settings(limits).build(),
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
        let mut attempt = 1;
        loop {
            match self.ask(address, bearer).await {
                Ok(token) => return Ok(token),
                Err(NoToken { passes: true, .. }) if attempt < ATTEMPTS => pause(attempt).await,
                Err(NoToken { what, .. }) => {
                    return Err(CredentialsError::provider_error(format!("GitHub's token: {what}")));
                }
            }
            attempt += 1;
        }
    }

    async fn ask(&self, address: &str, bearer: &str) -> Result<Zeroizing<String>, NoToken> {
        let failed = |what: &str| NoToken { what: what.to_owned(), passes: false };
        let passing = |what: &str| NoToken { what: what.to_owned(), passes: true };
        let mut request = HttpRequest::new(SdkBody::empty());
        let separator = if address.contains('?') { '&' } else { '?' };
        let whole = format!("{address}{separator}audience={AUDIENCE}");
        request.set_uri(whole).map_err(|_| failed(&format!("{ADDRESS} is no address")))?;
        request.headers_mut().insert("authorization", format!("bearer {bearer}"));
        request.headers_mut().insert("accept", "application/json");
        let answer = self.http.call(request).await;
        // Not the connector's own words: they could quote the request.
        let answer = answer
            .map_err(|error| passing(if error.is_timeout() { "no answer in time" } else { "can't be reached" }))?;
        match answer.status().as_u16() {
            200 => {}
            status @ (429 | 500..) => return Err(passing(&format!("HTTP {status}"))),
            status => return Err(failed(&format!("HTTP {status}"))),
        }
        let body = read(answer).await.ok_or_else(|| passing("the answer breaks off, or is too long"))?;
        let Answer { value } = serde_json::from_slice(&body).map_err(|_| failed("the answer holds none"))?;
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

async fn read(answer: HttpResponse) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = ByteStream::new(answer.into_body());
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) = body.try_next().await.ok()? {
        if bytes.len() + chunk.len() > LIMIT {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    Some(bytes)
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
