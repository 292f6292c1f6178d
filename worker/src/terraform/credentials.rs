//! AWS for Terraform: sessions of a role of its own, never the worker's.
//!
//! The worker takes the role on and serves its sessions on loopback, in the form in which ECS serves those of a task's
//! role (AWS SDKs and tools reference guide, "Container credential provider"), to whoever shows a token that only this
//! job's Terraform was given. So Terraform, its backend and its providers have fresh credentials however long they take,
//! and none that can sign a statement or touch a store. Nothing else is answered, and nothing is written to disk.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws::{AwsError, Connection, Credentials, Role, Tag};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use manifest_schema::{Code, Digest, Reason, Timestamp};
use records::config::{RoleArn, WorkerRole};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use zeroize::Zeroizing;

use super::read_only;
use super::state::StatePlace;
use crate::session::Session;
use crate::stop::Stop;

/// The one path that is answered.
const PATH: &str = "/credentials";
/// A session that ends sooner is not given out any more. AWS's own clients ask again 15 minutes before the end at the
/// earliest.
const FRESH: Duration = Duration::from_secs(16 * 60);
/// A connection may take this long; it has one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most connections at a time: Terraform, its backend and its providers have one each.
const MOST_CONNECTIONS: usize = 64;
/// Room for what is answered, so that no copies are left behind: a session token has a few KiB at most.
const ANSWER_ROOM: usize = 16 << 10;

/// Sessions of Terraform's role, served for as long as this lives.
pub(super) struct Access {
    address: SocketAddr,
    token: Zeroizing<String>,
    region: String,
    endpoint: Option<String>,
    server: AbortHandle,
}

impl Access {
    /// Takes the role on, to be sure that it can be, and begins to serve its sessions.
    pub(super) async fn open(session: &Session, role: &RoleArn) -> Result<Self, Stop> {
        let connection = take_on(session, role).await;
        let token = Zeroizing::new(hex(&session.ambient().random::<32>()));
        let sessions = Sessions {
            connection,
            role: role.to_string(),
            token: Digest::of(token.as_bytes()),
            current: Mutex::default(),
        };
        sessions.current().await.map_err(|error| {
            let message = format!("Terraform can't act as its role: {error}: {}", error.advice());
            Stop::Failed(Reason::new(Code::TerraformRole, message))
        })?;

        let failed = |error: io::Error| Stop::failed(format!("can't serve Terraform's credentials: {error}"));
        let region = sessions.connection.region().unwrap_or_default().to_owned();
        let endpoint = sessions.connection.endpoint().map(str::to_owned);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = tokio::spawn(serve(listener, Arc::new(sessions))).abort_handle();
        Ok(Self { address, token, region, endpoint, server })
    }

    /// The region.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// What Terraform finds all of AWS by.
    pub(super) fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        let variables = [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Some(format!("http://{}{PATH}", self.address))),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", Some(self.token.to_string())),
            ("AWS_REGION", Some(self.region.clone())),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
        ];
        variables.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// AWS as a session of Terraform's role. The session bears the job's id, and says by its tags what it is for. That of a
/// planner can only read, whatever the role may do.
pub(super) async fn take_on(session: &Session, role: &RoleArn) -> Connection {
    let request = session.request();
    let tags = [
        Tag::new("airlock-environment", request.environment.as_str()),
        Tag::new("airlock-project", request.project.as_str()),
    ];
    let limits = match session.config().role {
        WorkerRole::Planner => Some(read_only::limits(role, &StatePlace::of(session), &session.config().state_bucket)),
        WorkerRole::Deployer => None,
    };
    let role = Role {
        arn: role.to_string(),
        external_id: None,
        session_name: Some(session.job().to_string()),
        web_identity: None,
    };
    Connection::new(&session.config().aws, &[]).await.take_on(&role, &tags, limits.as_ref()).await
}

impl Drop for Access {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where sessions come from, and who gets them.
struct Sessions {
    connection: Connection,
    role: String,
    /// Compared by digest: how long that takes says nothing about the token.
    token: Digest,
    current: Mutex<Option<Credentials>>,
}

/// What is answered.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: Timestamp,
}

impl Sessions {
    /// A session that lasts a while; a new one if the current one doesn't.
    async fn current(&self) -> Result<Credentials, AwsError> {
        let mut current = self.current.lock().await;
        let lasts = |session: &Credentials| session.expiry().is_some_and(|end| end > SystemTime::now() + FRESH);
        if let Some(session) = current.as_ref().filter(|session| lasts(session)) {
            return Ok(session.clone());
        }
        let call = || aws::Call { action: "sts:AssumeRole", resource: self.role.clone() };
        let session = self.connection.credentials(call).await?;
        Ok(current.insert(session).clone())
    }

    /// Answers one request.
    async fn answer(&self, head: &Parts) -> Response<Full<Bytes>> {
        if let Some(status) = refusal(head, self.token) {
            tracing::warn!(status = status.as_u16(), "somebody asked for Terraform's credentials in a wrong way");
            return empty(status);
        }
        let session = match self.current().await {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(%error, "Terraform's role can't be taken on again");
                return empty(StatusCode::SERVICE_UNAVAILABLE);
            }
        };
        match written(&session) {
            Some(body) => {
                let mut response = Response::new(Full::new(Bytes::from_owner(body)));
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                response
            }
            None => {
                tracing::warn!("STS gave a session without a token or an end");
                empty(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}

/// Why a request gets nothing; `token` is the digest of what it must show.
fn refusal(head: &Parts, token: Digest) -> Option<StatusCode> {
    let shown = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if Digest::of(shown) != token {
        Some(StatusCode::UNAUTHORIZED)
    } else if head.uri.path() != PATH || head.uri.query().is_some() {
        Some(StatusCode::NOT_FOUND)
    } else if head.method != Method::GET {
        Some(StatusCode::METHOD_NOT_ALLOWED)
    } else {
        None
    }
}

/// A session as SDKs read it.
fn written(session: &Credentials) -> Option<Zeroizing<Vec<u8>>> {
    let answer = Answer {
        access_key_id: session.access_key_id(),
        secret_access_key: session.secret_access_key(),
        token: session.session_token()?,
        expiration: Timestamp::from_system(session.expiry()?).ok()?.whole_seconds(),
    };
    let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_ROOM));
    serde_json::to_writer(&mut *body, &answer).ok()?;
    Some(body)
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

async fn serve(listener: TcpListener, sessions: Arc<Sessions>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let one = one_request(stream, Arc::clone(&sessions));
                    connections.spawn(tokio::time::timeout(PATIENCE, one));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for Terraform's credentials could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn one_request(stream: TcpStream, sessions: Arc<Sessions>) {
    let service = service_fn(|request: Request<_>| {
        let (head, _) = request.into_parts();
        let sessions = Arc::clone(&sessions);
        async move { Ok::<_, Infallible>(sessions.answer(&head).await) }
    });
    let served = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::warn!(%error, "a request for Terraform's credentials ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_shows_the_token_on_the_one_path_is_answered() {
        let token = "0f".repeat(32);
        let refused = |method: &str, uri: &str, shown: Option<&str>| {
            let mut request = Request::builder().method(method).uri(uri);
            if let Some(shown) = shown {
                request = request.header(AUTHORIZATION, shown);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            refusal(&head, Digest::of(token.as_bytes())).map(|status| status.as_u16())
        };
        assert_eq!(refused("GET", "/credentials", Some(&token)), None);
        for (method, uri, shown, status) in [
            ("GET", "/credentials", None, 401),
            ("GET", "/credentials", Some(""), 401),
            ("GET", "/credentials", Some(&token[1..]), 401),
            ("GET", "/credentials", Some(&format!("Bearer {token}")), 401),
            ("GET", "/credentials", Some(&token.to_uppercase()), 401),
            ("GET", "/", None, 401),
            ("GET", "/", Some(&token), 404),
            ("GET", "/credentials/", Some(&token), 404),
            ("GET", "/credentials?x", Some(&token), 404),
            ("POST", "/credentials", Some(&token), 405),
            ("HEAD", "/credentials", Some(&token), 405),
        ] {
            assert_eq!(refused(method, uri, shown), Some(status), "{method} {uri} {shown:?}");
        }
    }

    #[test]
    fn a_session_is_written_as_sdks_read_it() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_900);
        let session = |token, end| Credentials::new("ASIA", "secret", token, end, "test");
        let body = written(&session(Some("token".to_owned()), Some(end))).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let expected = serde_json::json!({
            "AccessKeyId": "ASIA", "SecretAccessKey": "secret", "Token": "token", "Expiration": "2027-01-15T08:00:00Z",
        });
        assert_eq!(answer, expected);
        assert!(written(&session(None, Some(end))).is_none(), "keys of a user are never given out");
        assert!(written(&session(Some("token".to_owned()), None)).is_none());
    }
}
