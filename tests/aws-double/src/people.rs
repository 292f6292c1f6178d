//! Who calls: a user, and sessions of roles, which expire.

use std::time::{Duration, SystemTime};

use manifest_schema::Timestamp;

use crate::http::{Request, Response};
use crate::{ACCESS_KEY, ACCOUNT, SECRET_KEY, USER, sts};

/// What a job shows GitHub to get a token.
pub const GITHUB_BEARER: &str = "double-github-bearer-never-printed";

/// A role that can be taken on.
#[derive(Debug, Clone)]
pub struct Role {
    /// What it is called; its ARN follows.
    pub name: &'static str,
    /// What callers must name.
    pub external_id: Option<&'static str>,
    /// The token that a caller without credentials must show; `None` lets in only callers with credentials. The token of
    /// GitHub is `GITHUB`.
    pub token: Option<String>,
    /// How long each session lasts.
    pub lasts: Duration,
}

impl Role {
    /// A role that anybody with credentials may take on, for an hour.
    pub fn open(name: &'static str) -> Self {
        Self { name, external_id: None, token: None, lasts: Duration::from_secs(3600) }
    }

    /// Its ARN.
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role/{}", self.name)
    }
}

/// Users and sessions.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub(crate) roles: Vec<Role>,
    sessions: Vec<Session>,
    tokens: Vec<String>,
}

#[derive(Debug)]
struct Session {
    arn: String,
    expires: SystemTime,
}

/// Who makes a call.
pub(crate) struct Caller {
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

fn access_key(session: usize) -> String {
    format!("ASIAAIRLOCKDOUBLE{session:03}")
}

fn secret_key(session: usize) -> String {
    format!("double/session/secret/never/printed/{session:03}")
}

fn session_token(session: usize) -> String {
    format!("double-session-token-never-printed-{session:03}")
}

impl People {
    /// Who signed a request, if they may call at all.
    pub(crate) fn who(&self, request: &Request) -> Result<Caller, Response> {
        let Some((key, _)) = request.signed_by() else {
            return Err(request.error(403, "MissingAuthenticationToken", "Request is missing Authentication Token"));
        };
        if key == ACCESS_KEY {
            return Ok(Caller { arn: USER.to_owned(), user_id: "AIDAAIRLOCKDOUBLE000".to_owned() });
        }
        let known = self.sessions.iter().enumerate().find(|(number, _)| access_key(*number) == key);
        let (json, message) = (request.header("x-amz-target").is_some(), "The security token included in the request");
        match known {
            Some((number, session)) if request.header("x-amz-security-token") == Some(&session_token(number)) => {
                if session.expires <= SystemTime::now() {
                    let code = if json { "ExpiredTokenException" } else { "ExpiredToken" };
                    return Err(request.error(400, code, &format!("{message} is expired")));
                }
                let name = session.arn.rsplit('/').next().unwrap_or_default();
                Ok(Caller { arn: session.arn.clone(), user_id: format!("AROAAIRLOCKDOUBLE000:{name}") })
            }
            Some(_) | None => {
                let code = if json { "UnrecognizedClientException" } else { "InvalidClientTokenId" };
                Err(request.error(403, code, &format!("{message} is invalid.")))
            }
        }
    }

    /// `AssumeRole`.
    pub(crate) fn assume(&mut self, request: &Request) -> Response {
        let asked = request.parameters();
        let role = self.roles.iter().find(|role| Some(&role.arn()) == asked.get("RoleArn"));
        match role.cloned() {
            Some(role) if role.token.is_none() && role.external_id == asked.get("ExternalId").map(String::as_str) => {
                self.session(request, &role, "AssumeRole")
            }
            Some(_) | None => {
                let arn = asked.get("RoleArn").cloned().unwrap_or_default();
                let message = format!("User: {USER} is not authorized to perform: sts:AssumeRole on resource: {arn}");
                request.error(403, "AccessDenied", &message)
            }
        }
    }

    /// `AssumeRoleWithWebIdentity`.
    pub(crate) fn assume_with_token(&mut self, request: &Request) -> Response {
        let asked = request.parameters();
        let shown = asked.get("WebIdentityToken").cloned().unwrap_or_default();
        let shown = if self.tokens.contains(&shown) { "GITHUB".to_owned() } else { shown };
        let role = self.roles.iter().find(|role| Some(&role.arn()) == asked.get("RoleArn"));
        match role.cloned() {
            Some(role) if role.token.as_deref() == Some(shown.trim()) => {
                self.session(request, &role, "AssumeRoleWithWebIdentity")
            }
            Some(_) | None => {
                request.error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
            }
        }
    }

    fn session(&mut self, request: &Request, role: &Role, action: &str) -> Response {
        let name = request.parameters().remove("RoleSessionName").unwrap_or_default();
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/{name}", role.name);
        let (number, expires) = (self.sessions.len(), SystemTime::now() + role.lasts);
        self.sessions.push(Session { arn: arn.clone(), expires });
        let expires = Timestamp::from_system(expires).map(|at| at.to_string()).unwrap_or_default();
        let keys = [access_key(number), secret_key(number), session_token(number)];
        sts::session(action, &keys, &expires, &arn)
    }

    /// GitHub's answer to a job that asks for its token: another one each time.
    pub(crate) fn github(&mut self, request: &Request) -> Response {
        let allowed = request.header("authorization") == Some(&format!("bearer {GITHUB_BEARER}"))
            && request.target.ends_with("&audience=sts.amazonaws.com");
        if !allowed {
            return Response::new(401, "text/plain", "no");
        }
        let token = format!("double.github.token-never-printed-{}", self.tokens.len());
        self.tokens.push(token.clone());
        Response::new(200, "application/json", serde_json::json!({ "count": 1, "value": token }).to_string())
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        let sessions = (0..self.sessions.len()).flat_map(|number| [secret_key(number), session_token(number)]);
        let fixed = [SECRET_KEY.to_owned(), GITHUB_BEARER.to_owned()];
        let roles = self.roles.iter().filter_map(|role| role.token.clone()).filter(|token| token != "GITHUB");
        sessions.chain(fixed).chain(roles).chain(self.tokens.iter().cloned()).collect()
    }
}
