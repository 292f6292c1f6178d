//! STS: who somebody is, and sessions of roles. True to AWS: trust policies, external ids, session tags, expiry. Not
//! doubled: managed session policies but `ReadOnlyAccess`, source identities, the limit of one hour for chained roles.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use manifest_schema::Timestamp;
use serde_json::json;

use crate::State;
use crate::http::{Refusal, Request, Response, response};
use crate::iam::{Context, Policy, Question};
use crate::people::{Caller, Given, Keys};

fn xml(action: &str, result: &str) -> Response {
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata><RequestId>double-1</RequestId></ResponseMetadata></{action}Response>"
    );
    response(200, "text/xml", body)
}

/// `GetCallerIdentity`, which everybody may.
pub(crate) fn identity(caller: &Caller) -> Response {
    let (arn, user_id, account) = (caller.arn(), &caller.user_id, caller.account());
    xml("GetCallerIdentity", &format!("<Arn>{arn}</Arn><UserId>{user_id}</UserId><Account>{account}</Account>"))
}

/// RFC 3339, as services write it in text.
pub(crate) fn written(at: SystemTime) -> String {
    Timestamp::from_system(at).map(|at| at.to_string()).unwrap_or_default()
}

impl State {
    /// `AssumeRole`.
    pub(crate) fn assume(&mut self, request: &Request, caller: &Caller) -> Result<Response, Refusal> {
        let asked = request.parameters();
        if let Some(unknown) = ["SourceIdentity", "SerialNumber"].into_iter().find(|name| asked.contains_key(*name)) {
            return Err(Refusal::not_doubled(format!("sts:AssumeRole with {unknown}")));
        }
        let arn = asked.get("RoleArn").cloned().unwrap_or_default();
        let tags = tags(&asked);
        if !self.may_assume(&arn, &asked, &tags, caller) {
            let caller = caller.arn();
            let message = format!("User: {caller} is not authorized to perform: sts:AssumeRole on resource: {arn}");
            return Err(Refusal::new(403, "AccessDenied", message));
        }
        let limits = limits(&asked)?;
        self.session("AssumeRole", &asked, Given { tags, limits })
    }

    fn may_assume(
        &self,
        arn: &str,
        asked: &BTreeMap<String, String>,
        tags: &[(String, String)],
        caller: &Caller,
    ) -> bool {
        let Some(role) = self.people.role(arn) else { return false };
        let external_id = asked.get("ExternalId");
        if role.role.token.is_some()
            || (role.role.external_id.is_some() && role.role.external_id.as_ref() != external_id)
        {
            return false;
        }
        let name = asked.get("RoleSessionName").cloned().unwrap_or_default();
        let mut context: Context = caller.context([("sts:RoleSessionName", name)]);
        context.extend(external_id.map(|id| ("sts:externalid".to_owned(), vec![id.clone()])));
        context.extend(
            tags.iter().map(|(key, value)| (format!("aws:requesttag/{}", key.to_lowercase()), vec![value.clone()])),
        );
        if !tags.is_empty() {
            context.insert("aws:tagkeys".to_owned(), tags.iter().map(|(key, _)| key.clone()).collect());
        }
        let account = arn.split(':').nth(4).unwrap_or_default();
        let needed = if tags.is_empty() { &["sts:AssumeRole"][..] } else { &["sts:AssumeRole", "sts:TagSession"] };
        needed.iter().all(|action| {
            let question = Question { principal: &caller.principal, action, resource: arn, account, context: &context };
            self.people.trusts(role, &question, caller.policies())
        })
    }

    /// `AssumeRoleWithWebIdentity`.
    pub(crate) fn assume_with_token(&mut self, request: &Request) -> Result<Response, Refusal> {
        let asked = request.parameters();
        let shown = asked.get("WebIdentityToken").map(String::as_str).unwrap_or_default();
        let arn = asked.get("RoleArn").map(String::as_str).unwrap_or_default();
        if self.people.role_by_token(arn, shown).is_none() {
            let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
            return Err(Refusal::new(403, "AccessDenied", message));
        }
        self.session("AssumeRoleWithWebIdentity", &asked, Given::default())
    }

    fn session(&mut self, action: &str, asked: &BTreeMap<String, String>, given: Given) -> Result<Response, Refusal> {
        let said = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let seconds = said("DurationSeconds").parse().ok();
        if seconds.is_some_and(|seconds: u64| !(900..=43_200).contains(&seconds)) {
            let message = "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint";
            return Err(Refusal::new(400, "ValidationError", message));
        }
        let lasts = seconds.map(Duration::from_secs);
        let opened = self.people.open_session(said("RoleArn"), said("RoleSessionName"), lasts, given);
        let Some((keys, expires)) = opened else {
            return Err(Refusal::new(403, "AccessDenied", "there is no such role"));
        };
        let Keys { access_key, secret_key, session_token } = keys;
        let (token, expires, arn) = (session_token.unwrap_or_default(), written(expires), self.people.last_session());
        Ok(xml(
            action,
            &format!(
                "<Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>{secret_key}</SecretAccessKey>\
                 <SessionToken>{token}</SessionToken><Expiration>{expires}</Expiration></Credentials><AssumedRoleUser>\
                 <AssumedRoleId>AROA:x</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
            ),
        ))
    }
}

/// What `ReadOnlyAccess` allows of the services that are doubled.
const READ_ONLY: [&str; 12] = [
    "ec2:Describe*",
    "ecs:Describe*",
    "ecs:List*",
    "kms:Describe*",
    "kms:Get*",
    "kms:List*",
    "lambda:Get*",
    "lambda:List*",
    "s3:Get*",
    "s3:List*",
    "ssm:Get*",
    "sts:GetCallerIdentity",
];

/// Session policies: `Policy` and `PolicyArns.member.N.arn`; none if there are none.
fn limits(asked: &BTreeMap<String, String>) -> Result<Option<Vec<Policy>>, Refusal> {
    let malformed = |why: String| Refusal::new(400, "MalformedPolicyDocument", why);
    let mut limits = Vec::new();
    if let Some(text) = asked.get("Policy") {
        if text.len() > 2048 {
            return Err(Refusal::new(400, "ValidationError", "Member must have length less than or equal to 2048"));
        }
        let document = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        limits.push(Policy::parse(&document).map_err(|error| malformed(error.to_string()))?);
    }
    for arn in (1..).map_while(|number| asked.get(&format!("PolicyArns.member.{number}.arn"))) {
        if arn != "arn:aws:iam::aws:policy/ReadOnlyAccess" {
            return Err(Refusal::not_doubled(format!("sts:AssumeRole with {arn}")));
        }
        let statement = json!({ "Effect": "Allow", "Action": READ_ONLY, "Resource": "*" });
        let document = json!({ "Version": "2012-10-17", "Statement": [statement] });
        limits.push(Policy::parse(&document).map_err(|error| malformed(error.to_string()))?);
    }
    Ok((!limits.is_empty()).then_some(limits))
}

/// `Tags.member.N.Key` and `.Value`.
fn tags(asked: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let tag = |number: usize| {
        let part = |name: &str| asked.get(&format!("Tags.member.{number}.{name}")).cloned();
        Some((part("Key")?, part("Value").unwrap_or_default()))
    };
    (1..).map_while(tag).collect()
}
