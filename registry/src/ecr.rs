//! What ECR lets in: a password that AWS gives for 12 hours (ECR API reference, `GetAuthorizationToken`).

use std::time::{Duration, SystemTime};

use aws::{AwsError, Call};
use manifest_schema::registry::Address;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::error::RegistryError;

/// How long before its end a token is not used any more: longer than a request takes.
const MARGIN: Duration = Duration::from_secs(15 * 60);

/// The tokens of one identity for one region.
#[derive(Debug)]
pub(crate) struct EcrTokens {
    client: aws_sdk_ecr::Client,
    held: Mutex<Option<Token>>,
}

struct Token {
    header: Zeroizing<String>,
    /// From when on another is asked for. If AWS doesn't say, or says that it has ended, it is used until it is turned
    /// down.
    stale: Option<SystemTime>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(until {:?})", self.stale)
    }
}

impl EcrTokens {
    /// Prepares to ask; asks nothing. A token opens every repository that the identity may use, so it is never shown to
    /// anything but ECR.
    ///
    /// # Errors
    /// When the address is neither ECR's nor on this machine, where emulators are.
    pub(crate) fn new(address: &Address, connection: &aws::Connection) -> Result<Self, RegistryError> {
        let mut config = aws_sdk_ecr::config::Builder::from(connection.config());
        match address.ecr() {
            Some((_, region)) => config = config.region(aws_sdk_ecr::config::Region::new(region.to_owned())),
            None if address.is_loopback() => {}
            None => return Err(RegistryError::NotEcr { registry: address.to_string() }),
        }
        Ok(Self { client: aws_sdk_ecr::Client::from_conf(config.build()), held: Mutex::new(None) })
    }

    /// The value of the header `Authorization`: a new one if it ends soon, or if it is the one that was turned down.
    pub(crate) async fn header(&self, rejected: Option<&str>) -> Result<Zeroizing<String>, RegistryError> {
        let mut held = self.held.lock().await;
        let good = |token: &&Token| {
            token.stale.is_none_or(|stale| SystemTime::now() < stale) && rejected != Some(token.header.as_str())
        };
        if let Some(token) = held.as_ref().filter(good) {
            return Ok(token.header.clone());
        }
        let token = self.ask().await?;
        let header = token.header.clone();
        *held = Some(token);
        Ok(header)
    }

    async fn ask(&self) -> Result<Token, AwsError> {
        let call = || Call { action: "ecr:GetAuthorizationToken", resource: "*".to_owned() };
        let answer = self.client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| AwsError::new(call(), error))?;
        let data = answer.authorization_data().first();
        let token = data.and_then(|data| data.authorization_token());
        let token = token.ok_or_else(|| AwsError::incomplete(call(), "the answer holds no token"))?;
        let expires = data.and_then(|data| data.expires_at()).and_then(|at| SystemTime::try_from(*at).ok());
        let stale = expires.and_then(|at| at.checked_sub(MARGIN)).filter(|stale| SystemTime::now() < *stale);
        Ok(Token { header: Zeroizing::new(format!("Basic {token}")), stale })
    }
}
