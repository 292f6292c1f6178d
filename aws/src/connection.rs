//! One HTTP stack, one identity, one region.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_http_client::{Builder, tls};

use crate::error::{AwsError, Call};
use crate::github::GitHubSessions;
use crate::settings::{Limits, Role, Settings, Tag, WebIdentity};

/// How often a call is tried before its error is told.
pub(crate) const ATTEMPTS: u32 = 5;
/// The longest pause between two attempts; pauses are drawn at random below a bound that doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Until a connection stands.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// Until the first byte of an answer comes.
pub(crate) const FIRST_BYTE: Duration = Duration::from_secs(30);
/// TLS for everything.
pub(crate) const TLS: tls::Provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
/// What CloudTrail calls a session that was given no name.
const SESSION_NAME: &str = "airlock";

/// Who we are in AWS, where, and how it is reached. Clones are cheap and share connections and credentials, which are
/// refreshed before they expire.
#[derive(Debug, Clone)]
pub struct Connection {
    config: SdkConfig,
    role: Option<Role>,
}

impl Connection {
    /// Prepares everything; asks nothing over the network. `tags` go to the session of a role that is taken on.
    pub async fn new(settings: &Settings, tags: &[Tag]) -> Self {
        Self::load(settings, tags, |loader| loader).await
    }

    /// Like [`Self::new`], with credentials that don't come from the surroundings.
    pub async fn with_credentials(
        settings: &Settings,
        tags: &[Tag],
        credentials: impl ProvideCredentials + 'static,
    ) -> Self {
        Self::load(settings, tags, |loader| loader.credentials_provider(credentials)).await
    }

    async fn load(settings: &Settings, tags: &[Tag], prepare: impl FnOnce(ConfigLoader) -> ConfigLoader) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Builder::new().tls_provider(TLS).build_https())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_PAUSE))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(FIRST_BYTE).build());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let found = Self { config: prepare(loader).load().await, role: None };
        match &settings.role {
            Some(role) => found.take_on(role, tags, None).await,
            None => found,
        }
    }

    /// The same way to AWS as sessions of a role, which is taken on with what this one signs with. Limits and tags are
    /// for roles that are taken on with credentials; a token says itself whose session it is.
    pub async fn take_on(&self, role: &Role, tags: &[Tag], limits: Option<&Limits>) -> Self {
        let config = &self.config;
        let credentials = match role.web_identity {
            None => SharedCredentialsProvider::new(assume(role, tags, limits, config).await),
            Some(WebIdentity::GitHub) => {
                SharedCredentialsProvider::new(GitHubSessions::new(&role.arn, session_name(role), config))
            }
        };
        let config = config.to_builder().credentials_provider(credentials).build();
        Self { config, role: Some(role.clone()) }
    }

    /// What the clients of all services are made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The region, if anything names one.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// The address of every service, if it isn't AWS's own.
    pub fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// Credentials as they are now: of a role, a new session. `call` is what they are for, in errors.
    ///
    /// # Errors
    /// When nothing names a region, there are no credentials, or a role can't be taken on.
    pub async fn credentials(&self, call: impl Fn() -> Call) -> Result<Credentials, AwsError> {
        if self.region().is_none() {
            return Err(AwsError::no_region(call()));
        }
        let none = || CredentialsError::not_loaded("no credentials are configured");
        let provider = self.config.credentials_provider().ok_or_else(|| AwsError::no_session(call(), &none()))?;
        provider.provide_credentials().await.map_err(|error| AwsError::no_session(call(), &error))
    }

    /// The role that is taken on, if the settings name one.
    pub fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }
}

fn session_name(role: &Role) -> &str {
    role.session_name.as_deref().unwrap_or(SESSION_NAME)
}

async fn assume(role: &Role, tags: &[Tag], limits: Option<&Limits>, config: &SdkConfig) -> AssumeRoleProvider {
    let mut provider = AssumeRoleProvider::builder(&role.arn).session_name(session_name(role)).configure(config);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    if let Some(limits) = limits {
        provider = provider.policy(&limits.inline).policy_arns(limits.managed.clone());
    }
    if !tags.is_empty() {
        provider = provider.tags(tags.iter().map(|tag| (tag.key, tag.value())));
    }
    provider.build().await
}
