//! The header that lets requests in, for one push: what the registry asks for, kept until it ends or is turned down.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::challenge::Challenge;
use crate::client::Transport;
use crate::credentials::Credentials;
use crate::ecr::EcrTokens;
use crate::error::{Doing, RegistryError};

/// What a token is good for that doesn't say (distribution, token authentication specification).
const DEFAULT_LIFE: u64 = 60;

/// Who we are for a registry.
#[derive(Debug)]
pub(crate) enum Identity {
    /// Whatever the registry asks to be shown.
    Asked(Credentials),
    /// Always a password that AWS gives.
    Ecr(EcrTokens),
}

/// What is shown with each request of a push. All requests share it; one at a time renews it.
#[derive(Debug)]
pub(crate) struct Authorization {
    /// What tokens are asked for, such as `repository:app:pull,push`.
    scopes: Vec<String>,
    held: Mutex<Held>,
}

/// What the registry asked for, and what was shown for it.
#[derive(Default)]
struct Held {
    challenge: Option<Challenge>,
    header: Option<Zeroizing<String>>,
    /// When it is to be renewed, whether or not it was turned down.
    stale: Option<Instant>,
}

impl std::fmt::Debug for Held {
    /// Without the header.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({:?})", self.challenge)
    }
}

/// What a token server answers.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Authorization {
    /// For requests that need these scopes.
    pub(crate) fn new(scopes: Vec<String>) -> Self {
        Self { scopes, held: Mutex::default() }
    }

    /// What to show now; nothing before the registry asked.
    pub(crate) async fn header(
        &self,
        identity: &Identity,
        transport: &Transport,
        doing: &Doing,
    ) -> Result<Option<Zeroizing<String>>, RegistryError> {
        let credentials = match identity {
            Identity::Ecr(tokens) => return tokens.header(None).await.map(Some),
            Identity::Asked(credentials) => credentials,
        };
        let mut held = self.held.lock().await;
        if held.stale.is_some_and(|stale| stale <= Instant::now()) {
            self.renew(&mut held, credentials, transport, doing).await?;
        }
        Ok(held.header.clone())
    }

    /// Another header after `rejected` was turned down with this challenge; false if there is none to be had.
    pub(crate) async fn after(
        &self,
        rejected: Option<&str>,
        challenge: Option<Challenge>,
        identity: &Identity,
        transport: &Transport,
        doing: &Doing,
    ) -> Result<bool, RegistryError> {
        let credentials = match identity {
            Identity::Ecr(tokens) => {
                let header = tokens.header(rejected).await?;
                return Ok(rejected != Some(header.as_str()));
            }
            Identity::Asked(credentials) => credentials,
        };
        let mut held = self.held.lock().await;
        if held.header.as_ref().map(|header| header.as_str()) != rejected {
            // Somebody else has renewed it meanwhile.
            return Ok(true);
        }
        held.challenge = challenge;
        self.renew(&mut held, credentials, transport, doing).await?;
        Ok(held.header.is_some() && held.header.as_ref().map(|header| header.as_str()) != rejected)
    }

    async fn renew(
        &self,
        held: &mut Held,
        credentials: &Credentials,
        transport: &Transport,
        doing: &Doing,
    ) -> Result<(), RegistryError> {
        (held.header, held.stale) = (None, None);
        match &held.challenge {
            None => {}
            Some(Challenge::Basic) => held.header = basic(credentials),
            Some(Challenge::Bearer { realm, service }) => {
                let asked = Instant::now();
                let address = self.address(realm, service.as_deref());
                let answer = transport.token(&address, basic(credentials), doing).await?;
                let answer: Option<Answer> = serde_json::from_slice(&answer).ok();
                let life = answer.as_ref().and_then(|answer| answer.expires_in).unwrap_or(DEFAULT_LIFE);
                let token = answer.and_then(|answer| answer.token.or(answer.access_token)).map(Zeroizing::new);
                let token = token.ok_or_else(|| RegistryError::WrongAnswer {
                    doing: doing.clone(),
                    problem: format!("{realm} gives no token"),
                })?;
                held.header = Some(Zeroizing::new(format!("Bearer {}", token.as_str())));
                held.stale = asked.checked_add(Duration::from_secs(life - life / 5));
            }
        }
        Ok(())
    }

    /// Where a token for our scopes is asked for.
    fn address(&self, realm: &str, service: Option<&str>) -> String {
        let service = service.map(|service| ("service", service));
        let scopes = self.scopes.iter().map(|scope| ("scope", scope.as_str()));
        let query: Vec<String> =
            service.into_iter().chain(scopes).map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        format!("{realm}{}{}", if realm.contains('?') { '&' } else { '?' }, query.join("&"))
    }
}

/// Name and password as a header; nobody has none.
fn basic(credentials: &Credentials) -> Option<Zeroizing<String>> {
    match credentials {
        Credentials::Anonymous | Credentials::Ecr(_) => None,
        Credentials::Basic { user, password } => {
            let pair = Zeroizing::new(format!("{user}:{}", password.as_str()));
            let encoded = Zeroizing::new(BASE64.encode(pair.as_bytes()));
            Some(Zeroizing::new(format!("Basic {}", encoded.as_str())))
        }
    }
}

/// As part of a query (RFC 3986, section 3.4): all but what is never special.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b':') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_every_scope_at_once() {
        let scopes = vec!["repository:a/b:pull,push".to_owned(), "repository:c:pull".to_owned()];
        let authorization = Authorization::new(scopes);
        let expected = "scope=repository:a/b:pull%2Cpush&scope=repository:c:pull";
        assert_eq!(authorization.address("https://a/t", None), format!("https://a/t?{expected}"));
        assert_eq!(
            authorization.address("https://a/t?x=1", Some("my & service")),
            format!("https://a/t?x=1&service=my%20%26%20service&{expected}")
        );
    }

    #[test]
    fn name_and_password_are_one_header() {
        let password = Zeroizing::new("open sesame".to_owned());
        let known = Credentials::Basic { user: "Aladdin".to_owned(), password };
        // RFC 7617, section 2.
        assert_eq!(basic(&known).unwrap().as_str(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic(&Credentials::Anonymous), None);
        assert!(!format!("{known:?}").contains("sesame"));
    }
}
