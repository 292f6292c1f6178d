//! One HTTP stack, one identity, one region.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::{Builder, tls};

use crate::settings::{Role, Settings, Tag};

/// How often a call is tried before its error is told.
const ATTEMPTS: u32 = 5;
/// The longest pause between two attempts; pauses are drawn at random below a bound that doubles.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Until the first byte of an answer comes.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// What CloudTrail calls a session that was given no name.
const SESSION_NAME: &str = "airlock";

/// Who we are in AWS, where, and how it is reached. Clones are cheap and share connections and credentials, which are
/// refreshed before they expire.
#[derive(Debug, Clone)]
pub struct Connection {
    config: SdkConfig,
}

impl Connection {
    /// Prepares everything; asks nothing over the network. `tags` go to the session of a role that is taken on.
    pub async fn new(settings: &Settings, tags: &[Tag]) -> Self {
        let provider = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(Builder::new().tls_provider(provider).build_https())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(LONGEST_PAUSE))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(FIRST_BYTE).build());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &settings.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let config = loader.load().await;
        let Some(role) = &settings.role else { return Self { config } };
        let credentials = assume(role, tags, &config).await;
        let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
        Self { config: config.into_builder().credentials_provider(provider).build() }
    }

    /// What the clients of all services are made from.
    pub fn config(&self) -> &SdkConfig {
        &self.config
    }

    /// The region, if anything names one.
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }
}

async fn assume(role: &Role, tags: &[Tag], config: &SdkConfig) -> AssumeRoleProvider {
    let mut provider = AssumeRoleProvider::builder(&role.arn)
        .session_name(role.session_name.as_deref().unwrap_or(SESSION_NAME))
        .configure(config);
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }
    if !tags.is_empty() {
        provider = provider.tags(tags.iter().map(|tag| (tag.key, tag.value())));
    }
    provider.build().await
}
