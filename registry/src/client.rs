//! Requests to one registry: who we are is shown, what fails in passing is tried again, what is refused is told.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;
use manifest_schema::registry::{Address, Repository};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::authorization::{Authorization, Identity};
use crate::challenge::Challenge;
use crate::error::{Doing, Permission, RegistryError};

/// How often a request is made that fails in passing.
pub(crate) const ATTEMPTS: u32 = 5;
/// Until a small request is answered. Some registries copy or hash a whole blob before they answer that it is there.
const ANSWER: Duration = Duration::from_secs(300);
/// Until a token server answers.
const TOKEN: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes: errors and tokens.
const LIMIT: usize = 64 << 10;
/// Most characters of what a registry says that are told.
const SAID: usize = 500;

/// The way to a registry.
#[derive(Debug)]
pub(crate) struct Transport {
    connector: Connector,
    pub(crate) address: Address,
}

/// A request that can be made again.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// From `/v2/` on, or an address that the registry gave.
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: &'static str, url: impl Into<String>) -> Self {
        Self { method, url: url.into(), headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Headers,
    body: Zeroizing<Vec<u8>>,
}

/// What registries say when they say no (distribution-spec v1.1, "Error codes").
#[derive(Deserialize)]
struct Errors {
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// Whether the same request may be answered otherwise in a moment.
    pub(crate) fn passes(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..)
    }

    fn errors(&self) -> Vec<ErrorEntry> {
        serde_json::from_slice(&self.body).map_or(Vec::new(), |errors: Errors| errors.errors)
    }

    /// Whether the registry gives this as a reason.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.errors().iter().any(|error| error.code == code)
    }

    /// What a person is told about it: one line, of characters that do nothing.
    pub(crate) fn said(&self) -> String {
        let told: Vec<String> =
            self.errors().iter().map(|error| format!(", {} {}", error.code, error.message)).collect();
        let text = format!("HTTP {}{}", self.status, told.concat());
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect();
        plain.trim_end().to_owned()
    }

    fn challenge(&self) -> Option<Challenge> {
        Challenge::read(self.headers.get_all("www-authenticate"))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    pub(crate) problem: String,
    /// Whether there may be one in a moment.
    pub(crate) passes: bool,
}

impl Transport {
    pub(crate) fn new(address: Address) -> Self {
        Self { connector: aws::patient_connector(), address }
    }

    /// The one way out. `authorization` is shown, and told nobody.
    async fn send(
        &self,
        ask: &Ask,
        body: SdkBody,
        authorization: Option<&Zeroizing<String>>,
    ) -> Result<Answer, NoAnswer> {
        let ours = |problem: &str| NoAnswer { problem: problem.to_owned(), passes: false };
        let mut request = HttpRequest::new(body);
        request.set_method(ask.method).map_err(|_| ours("it is no method"))?;
        request.set_uri(ask.url.clone()).map_err(|_| ours("it is no address"))?;
        let headers = request.headers_mut();
        headers.insert("user-agent", concat!("airlock/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &ask.headers {
            headers.try_insert(*name, value.clone()).map_err(|_| ours("a header can't hold this"))?;
        }
        if let Some(authorization) = authorization {
            let value = authorization.as_str().to_owned();
            headers.try_insert("authorization", value).map_err(|_| ours("name or token can't be in a header"))?;
        }
        let answer = self.connector.call(request).await.map_err(|error| {
            // Not the connector's own words alone: the innermost cause is what happened.
            let mut cause: &dyn std::error::Error = &error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            NoAnswer { problem: cause.to_string(), passes: !error.is_user() }
        })?;
        read(answer).await
    }

    /// What a token server gives. The server is the registry's choice, but not in plain sight of others.
    pub(crate) async fn token(
        &self,
        url: &str,
        authorization: Option<Zeroizing<String>>,
        doing: &Doing,
    ) -> Result<Zeroizing<Vec<u8>>, RegistryError> {
        let server = url.split('?').next().unwrap_or_default();
        let local = self.address.is_loopback()
            && url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).is_some_and(is_local);
        if !url.starts_with("https://") && !local {
            let problem = format!("it sends us for a token to {server:?}, which is not https");
            return Err(RegistryError::WrongAnswer { doing: doing.clone(), problem });
        }
        let ask = Ask::new("GET", url);
        let told = |problem: String| format!("{server} gives no token: {problem}");
        let mut attempt = 1;
        loop {
            let asked = self.send(&ask, SdkBody::empty(), authorization.as_ref());
            let answer = in_time(TOKEN, asked).await;
            match answer {
                Ok(answer) if answer.status == 200 => return Ok(answer.body),
                Ok(answer) if answer.passes() && attempt < ATTEMPTS => aws::pause(attempt).await,
                Err(NoAnswer { passes: true, .. }) if attempt < ATTEMPTS => aws::pause(attempt).await,
                Ok(answer) if answer.passes() => {
                    return Err(RegistryError::Unavailable { doing: doing.clone(), said: told(answer.said()) });
                }
                Ok(answer) => return Err(RegistryError::Denied { doing: doing.clone(), said: told(answer.said()) }),
                Err(none) => {
                    return Err(RegistryError::Unreachable { doing: doing.clone(), problem: told(none.problem) });
                }
            }
            attempt += 1;
        }
    }
}

fn is_local(authority: &str) -> bool {
    authority.parse::<Address>().is_ok_and(|address| address.is_loopback())
}

/// The answer's head, and as much of its body as errors have.
async fn read(answer: HttpResponse) -> Result<Answer, NoAnswer> {
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let mut stream = ByteStream::new(answer.into_body());
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match stream.try_next().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LIMIT => body.extend_from_slice(&chunk),
            Ok(Some(_) | None) => return Ok(Answer { status, headers, body }),
            Err(_) => return Err(NoAnswer { problem: "the answer breaks off".to_owned(), passes: true }),
        }
    }
}

async fn in_time(limit: Duration, asked: impl Future<Output = Result<Answer, NoAnswer>>) -> Result<Answer, NoAnswer> {
    let late = |_| NoAnswer { problem: format!("no answer in {} s", limit.as_secs()), passes: true };
    tokio::time::timeout(limit, asked).await.map_err(late)?
}

/// Requests about one repository.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Arc<Transport>,
    identity: Arc<Identity>,
    authorization: Authorization,
    repository: Repository,
}

impl Client {
    /// `others` are repositories that blobs are mounted from.
    pub(crate) fn new(
        transport: &Arc<Transport>,
        identity: &Arc<Identity>,
        repository: &Repository,
        rights: &str,
        others: &[Repository],
    ) -> Self {
        let mut scopes = vec![format!("repository:{repository}:{rights}")];
        scopes.extend(others.iter().map(|other| format!("repository:{other}:pull")));
        Self {
            transport: transport.clone(),
            identity: identity.clone(),
            authorization: Authorization::new(scopes),
            repository: repository.clone(),
        }
    }

    pub(crate) fn doing(&self, what: impl Into<String>, permission: Permission) -> Doing {
        Doing::new(what.into(), permission, &self.transport.address, &self.repository.to_string())
    }

    /// The registry and the repository, as messages call them.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.transport.address, self.repository)
    }

    /// The address of something in the repository.
    pub(crate) fn url(&self, what: &str) -> String {
        format!("{}/v2/{}/{what}", self.transport.address.origin(), self.repository)
    }

    /// An address that the registry gave, which has to be one of its own.
    pub(crate) fn located(&self, answer: &Answer, doing: &Doing) -> Result<String, RegistryError> {
        let wrong = |problem: String| RegistryError::WrongAnswer { doing: doing.clone(), problem };
        let origin = self.transport.address.origin();
        let location = answer.header("location").ok_or_else(|| wrong("it has no Location".to_owned()))?;
        let path = location.strip_prefix(&origin).unwrap_or(location);
        if path.starts_with('/') && !path.starts_with("//") {
            return Ok(format!("{origin}{path}"));
        }
        let elsewhere: String = location.chars().take(SAID).collect();
        Err(wrong(format!("it sends us to {elsewhere:?}, and uploads go nowhere but to {origin}")))
    }

    /// Asks until there is an answer that isn't about the moment.
    pub(crate) async fn ask(&self, ask: &Ask, doing: &Doing) -> Result<Answer, RegistryError> {
        let mut attempt = 1;
        loop {
            let answer = self.ask_once(ask, doing).await?;
            match answer {
                Ok(answer) if !answer.passes() => return self.let_in(answer, doing),
                Err(NoAnswer { passes: false, .. }) => return Err(given_up(answer, doing)),
                Ok(_) | Err(_) if attempt == ATTEMPTS => return Err(given_up(answer, doing)),
                Ok(_) | Err(_) => aws::pause(attempt).await,
            }
            attempt += 1;
        }
    }

    /// Asks once, or twice if who we are has to be shown anew.
    pub(crate) async fn ask_once(&self, ask: &Ask, doing: &Doing) -> Result<Result<Answer, NoAnswer>, RegistryError> {
        let mut renewed = false;
        loop {
            let header = self.header(doing).await?;
            let sent = self.transport.send(ask, SdkBody::from(ask.body.clone()), header.as_ref());
            let answer = in_time(ANSWER, sent).await;
            match &answer {
                Ok(refused) if refused.status == 401 && !renewed => {
                    renewed = true;
                    if !self.renew(header.as_ref(), refused, doing).await? {
                        return Ok(answer);
                    }
                }
                Ok(_) | Err(_) => return Ok(answer),
            }
        }
    }

    /// Sends a body that can't be had again. If who we are was turned down, it is shown anew the next time.
    pub(crate) async fn stream(
        &self,
        ask: &Ask,
        body: SdkBody,
        doing: &Doing,
    ) -> Result<Result<Answer, NoAnswer>, RegistryError> {
        let header = self.header(doing).await?;
        let answer = self.transport.send(ask, body, header.as_ref()).await;
        if let Ok(refused) = &answer
            && refused.status == 401
            && !self.renew(header.as_ref(), refused, doing).await?
        {
            return Err(RegistryError::Denied { doing: doing.clone(), said: refused.said() });
        }
        Ok(answer)
    }

    async fn header(&self, doing: &Doing) -> Result<Option<Zeroizing<String>>, RegistryError> {
        self.authorization.header(&self.identity, &self.transport, doing).await
    }

    async fn renew(
        &self,
        rejected: Option<&Zeroizing<String>>,
        answer: &Answer,
        doing: &Doing,
    ) -> Result<bool, RegistryError> {
        let rejected = rejected.map(|header| header.as_str());
        self.authorization.after(rejected, answer.challenge(), &self.identity, &self.transport, doing).await
    }

    /// What everybody is told in the same words: that we are not let in, or that there is no such repository.
    pub(crate) fn let_in(&self, answer: Answer, doing: &Doing) -> Result<Answer, RegistryError> {
        if matches!(answer.status, 401 | 403) {
            return Err(RegistryError::Denied { doing: doing.clone(), said: answer.said() });
        }
        if answer.status == 404 && answer.has_code("NAME_UNKNOWN") {
            let registry = self.transport.address.to_string();
            return Err(RegistryError::NoRepository { registry, repository: self.repository.to_string() });
        }
        Ok(answer)
    }
}

/// The error for what failed once too often.
pub(crate) fn given_up(answer: Result<Answer, NoAnswer>, doing: &Doing) -> RegistryError {
    match answer {
        Ok(answer) if answer.passes() => RegistryError::Unavailable { doing: doing.clone(), said: answer.said() },
        Ok(answer) if matches!(answer.status, 401 | 403) => {
            RegistryError::Denied { doing: doing.clone(), said: answer.said() }
        }
        Ok(answer) => RegistryError::Refused { doing: doing.clone(), said: answer.said() },
        Err(none) => RegistryError::Unreachable { doing: doing.clone(), problem: none.problem },
    }
}
