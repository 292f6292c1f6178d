//! Who calls: users, and sessions of roles, which expire.

mod caller;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::http::{Refusal, Request, Response, Service, response};
use crate::iam::{Context, Guard, Policy, Principal, Question, decide};
pub(crate) use caller::Caller;

use crate::{ACCESS_KEY, ACCOUNT, SECRET_KEY};

/// What a job shows GitHub to get a token.
pub const GITHUB_BEARER: &str = "double-github-bearer-never-printed";

/// A role that can be taken on.
#[derive(Debug, Clone)]
pub struct Role {
    /// What it is called; its ARN follows.
    pub name: String,
    /// What callers must name.
    pub external_id: Option<String>,
    /// The token that a caller without credentials must show; `None` lets in only callers with credentials. The token of
    /// GitHub is `GITHUB`.
    pub token: Option<String>,
    /// How long each session lasts at most.
    pub lasts: Duration,
    /// Its trust policy.
    pub trust: Value,
    /// What its sessions may do.
    pub policies: Vec<Value>,
}

impl Role {
    /// A role that anybody with credentials may take on, and services too, for an hour, and that may do everything.
    pub fn open(name: &str) -> Self {
        let trusted = json!({ "AWS": "*", "Service": ["ecs-tasks.amazonaws.com", "lambda.amazonaws.com"] });
        let actions = json!(["sts:AssumeRole", "sts:TagSession"]);
        Self {
            name: name.to_owned(),
            external_id: None,
            token: None,
            lasts: Duration::from_secs(3600),
            trust: json!({
                "Version": "2012-10-17",
                "Statement": { "Effect": "Allow", "Principal": trusted, "Action": actions },
            }),
            policies: vec![everything()],
        }
    }

    /// A role that these (the `Principal` of its trust policy, such as `{"Service": "lambda.amazonaws.com"}`) may take
    /// on, for an hour, and that may do what these policies allow.
    pub fn new(name: &str, trusted: &Value, policies: Vec<Value>) -> Self {
        let trust = json!({ "Effect": "Allow", "Principal": trusted, "Action": ["sts:AssumeRole", "sts:TagSession"] });
        Self { trust: json!({ "Version": "2012-10-17", "Statement": trust }), policies, ..Self::open(name) }
    }

    /// Its ARN in [`ACCOUNT`].
    pub fn arn(&self) -> String {
        self.arn_in(ACCOUNT)
    }

    /// Its ARN in an account.
    pub fn arn_in(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role/{}", self.name)
    }
}

/// A policy that allows everything.
fn everything() -> Value {
    json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "*", "Resource": "*" } })
}

/// What a caller signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`, of a session.
    pub session_token: Option<String>,
}

/// Users, roles and sessions.
#[derive(Debug)]
pub(crate) struct People {
    users: Vec<User>,
    roles: Vec<KnownRole>,
    sessions: Vec<Session>,
    tokens: Vec<String>,
}

#[derive(Debug)]
struct User {
    arn: String,
    policies: Vec<Policy>,
}

#[derive(Debug, Clone)]
pub(crate) struct KnownRole {
    pub(crate) arn: String,
    pub(crate) role: Role,
    trust: Policy,
    policies: Vec<Policy>,
}

#[derive(Debug)]
struct Session {
    role: usize,
    arn: String,
    expires: SystemTime,
    given: Given,
}

/// What a session is given when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) tags: Vec<(String, String)>,
    /// Its session policies, if it has any.
    pub(crate) limits: Option<Vec<Policy>>,
}

/// Reads a policy that a test gives.
///
/// # Panics
/// When it isn't one, or uses what isn't doubled.
pub(crate) fn policy(of: &str, document: &Value) -> Policy {
    Policy::parse(document).unwrap_or_else(|error| panic!("the policy of {of} is refused: {error}: {document}"))
}

impl Default for People {
    fn default() -> Self {
        let mut people = Self { users: Vec::new(), roles: Vec::new(), sessions: Vec::new(), tokens: Vec::new() };
        people.add_user(ACCOUNT, "ci", &[everything()]);
        people
    }
}

impl People {
    pub(crate) fn add_user(&mut self, account: &str, name: &str, policies: &[Value]) -> Keys {
        let arn = format!("arn:aws:iam::{account}:user/{name}");
        let policies = policies.iter().map(|document| policy(&arn, document)).collect();
        if let Some(number) = self.users.iter().position(|known| known.arn == arn) {
            self.users[number].policies = policies;
            return self.user_keys(number);
        }
        self.users.push(User { arn, policies });
        self.user_keys(self.users.len() - 1)
    }

    fn user_keys(&self, number: usize) -> Keys {
        let (access_key, secret_key) = match number {
            0 => (ACCESS_KEY.to_owned(), SECRET_KEY.to_owned()),
            _ => (format!("AKIAAIRLOCKDOUBLE{number:03}"), format!("double/user/secret/never/printed/{number:03}")),
        };
        Keys { access_key, secret_key, session_token: None }
    }

    pub(crate) fn add_role(&mut self, account: &str, role: Role) -> String {
        let arn = role.arn_in(account);
        let policies = role.policies.iter().map(|document| policy(&arn, document)).collect();
        let trust = policy(&arn, &role.trust);
        self.roles.retain(|known| known.arn != arn);
        self.roles.push(KnownRole { arn: arn.clone(), role, trust, policies });
        arn
    }

    pub(crate) fn role(&self, arn: &str) -> Option<&KnownRole> {
        self.roles.iter().find(|known| known.arn == arn)
    }

    /// A new session of a role, which ends after `lasts` if that is sooner than the role's.
    pub(crate) fn open_session(
        &mut self,
        role: &str,
        name: &str,
        lasts: Option<Duration>,
        given: Given,
    ) -> Option<(Keys, SystemTime)> {
        let number = self.roles.iter().position(|known| known.arn == role)?;
        let role = &self.roles[number];
        let account = role.arn.split(':').nth(4)?;
        let arn = format!("arn:aws:sts::{account}:assumed-role/{}/{name}", role.role.name);
        let expires = SystemTime::now() + lasts.unwrap_or(role.role.lasts).min(role.role.lasts);
        self.sessions.push(Session { role: number, arn, expires, given });
        Some((session_keys(self.sessions.len() - 1), expires))
    }

    /// The ARN of the session that was opened last.
    pub(crate) fn last_session(&self) -> &str {
        self.sessions.last().map(|session| session.arn.as_str()).unwrap_or_default()
    }

    /// Who signed a request, if they may call at all.
    pub(crate) fn who(&self, service: Service, request: &Request) -> Result<Caller, Refusal> {
        let xml = matches!(service, Service::Sts | Service::S3);
        let Some(key) = request.scope().map(|scope| scope.access_key) else {
            let code = if xml { "MissingAuthenticationToken" } else { "MissingAuthenticationTokenException" };
            return Err(Refusal::new(403, code, "Request is missing Authentication Token"));
        };
        if let Some((number, user)) =
            self.users.iter().enumerate().find(|(number, _)| self.user_keys(*number).access_key == key)
        {
            return Ok(Caller::user(user, number));
        }
        let known = self.sessions.iter().enumerate().find(|(number, _)| session_keys(*number).access_key == key);
        let token = request.header("x-amz-security-token");
        match known {
            Some((number, session)) if token == session_keys(number).session_token.as_deref() => {
                if session.expires <= SystemTime::now() {
                    return Err(expired(service));
                }
                Ok(self.session_caller(session))
            }
            Some(_) | None => Err(unknown(service)),
        }
    }

    /// A service that has taken on a role for a task.
    pub(crate) fn with_role(&self, arn: &str, session: &str) -> Option<Caller> {
        let role = self.role(arn)?;
        let account = arn.split(':').nth(4)?;
        let session = format!("arn:aws:sts::{account}:assumed-role/{}/{session}", role.role.name);
        let principal = Principal::Session { role: role.arn.clone(), session };
        Some(Caller::new(principal, "AROAAIRLOCKDOUBLE000".to_owned(), role.policies.clone(), &[]))
    }

    fn session_caller(&self, session: &Session) -> Caller {
        let role = &self.roles[session.role];
        let name = session.arn.rsplit('/').next().unwrap_or_default();
        let principal = Principal::Session { role: role.arn.clone(), session: session.arn.clone() };
        let user_id = format!("AROAAIRLOCKDOUBLE000:{name}");
        Caller {
            limits: session.given.limits.clone(),
            ..Caller::new(principal, user_id, role.policies.clone(), &session.given.tags)
        }
    }

    /// Whether a principal may take a role on; `external_id` and the like are in the context.
    pub(crate) fn trusts(&self, role: &KnownRole, question: &Question<'_>, identity: &[Policy]) -> bool {
        decide(question, identity, Guard::Needed(&role.trust)).is_ok()
    }

    /// Whether a service may take a role on, on behalf of a resource.
    pub(crate) fn trusts_service(&self, role: &KnownRole, service: &str, source: &str) -> bool {
        let account = role.arn.split(':').nth(4).unwrap_or_default();
        let mut context = Context::new();
        context.insert("aws:sourceaccount".to_owned(), vec![account.to_owned()]);
        context.insert("aws:sourcearn".to_owned(), vec![source.to_owned()]);
        let principal = Principal::Service(service.to_owned());
        let (action, resource) = ("sts:AssumeRole", role.arn.as_str());
        self.trusts(role, &Question { principal: &principal, action, resource, account, context: &context }, &[])
    }

    /// The role that the token of a caller without credentials opens.
    pub(crate) fn role_by_token(&self, arn: &str, token: &str) -> Option<&KnownRole> {
        let shown = if self.tokens.iter().any(|given| given == token) { "GITHUB" } else { token };
        self.role(arn).filter(|known| known.role.token.as_deref() == Some(shown.trim()))
    }

    /// GitHub's answer to a job that asks for its token: another one each time.
    pub(crate) fn github(&mut self, request: &Request) -> Response {
        let query = request.head.uri.query().unwrap_or_default();
        let allowed = request.header("authorization") == Some(&format!("bearer {GITHUB_BEARER}"))
            && query.ends_with("&audience=sts.amazonaws.com");
        if !allowed {
            return response(401, "text/plain", "no");
        }
        let token = format!("double.github.token-never-printed-{}", self.tokens.len());
        self.tokens.push(token.clone());
        response(200, "application/json", json!({ "count": 1, "value": token }).to_string())
    }

    pub(crate) fn secrets(&self) -> Vec<String> {
        let sessions = (0..self.sessions.len()).map(session_keys);
        let users = (0..self.users.len()).map(|number| self.user_keys(number));
        let keys = sessions.chain(users).flat_map(|keys| std::iter::once(keys.secret_key).chain(keys.session_token));
        let roles = self.roles.iter().filter_map(|known| known.role.token.clone()).filter(|token| token != "GITHUB");
        keys.chain([GITHUB_BEARER.to_owned()]).chain(roles).chain(self.tokens.iter().cloned()).collect()
    }
}

fn session_keys(number: usize) -> Keys {
    Keys {
        access_key: format!("ASIAAIRLOCKDOUBLE{number:03}"),
        secret_key: format!("double/session/secret/never/printed/{number:03}"),
        session_token: Some(format!("double-session-token-never-printed-{number:03}")),
    }
}

fn expired(service: Service) -> Refusal {
    let message = "The security token included in the request is expired";
    match service {
        Service::S3 => Refusal::new(400, "ExpiredToken", "The provided token has expired."),
        Service::Sts => Refusal::new(403, "ExpiredToken", message),
        Service::Lambda | Service::Scheduler => Refusal::new(403, "ExpiredTokenException", message),
        Service::CloudWatch
        | Service::Ecs
        | Service::Events
        | Service::Kms
        | Service::Logs
        | Service::Ssm
        | Service::Github
        | Service::Container => Refusal::new(400, "ExpiredTokenException", message),
    }
}

fn unknown(service: Service) -> Refusal {
    let message = "The security token included in the request is invalid.";
    match service {
        Service::S3 => {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            Refusal::new(403, "InvalidAccessKeyId", message)
        }
        Service::Sts => Refusal::new(403, "InvalidClientTokenId", message),
        Service::Lambda | Service::Scheduler => Refusal::new(403, "UnrecognizedClientException", message),
        Service::CloudWatch
        | Service::Ecs
        | Service::Events
        | Service::Kms
        | Service::Logs
        | Service::Ssm
        | Service::Github
        | Service::Container => Refusal::new(400, "UnrecognizedClientException", message),
    }
}
