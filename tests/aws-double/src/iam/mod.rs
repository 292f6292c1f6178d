//! Who may do what: IAM's evaluation as a pure function over values.
//!
//! True to AWS: identity policies and resource policies, explicit deny first, default deny, both sides across accounts,
//! `Action`/`NotAction`, `Resource`/`NotResource`, wildcards, policy variables, the condition operators of
//! `condition`, principals by ARN, account, session and service. Not doubled: permission boundaries, service and resource control policies, `NotPrincipal`; a document that uses what isn't doubled is no policy here.

mod condition;
mod policy;
mod wildcard;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use policy::Policy;

/// What is known of a request, by condition key in lower case; each has one value or several.
pub type Context = BTreeMap<String, Vec<String>>;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// A user, by ARN.
    User(String),
    /// A session of a role.
    Session {
        /// The role's ARN.
        role: String,
        /// The session's.
        session: String,
    },
    /// A service, such as `ecs-tasks.amazonaws.com`.
    Service(String),
}

impl Principal {
    /// As refusals name it.
    pub fn arn(&self) -> &str {
        match self {
            Self::User(arn) | Self::Session { session: arn, .. } => arn,
            Self::Service(name) => name,
        }
    }

    /// The account that its ARN names; a service has none.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::User(arn) | Self::Session { role: arn, .. } => arn.split(':').nth(4),
            Self::Service(_) => None,
        }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Who.
    pub principal: &'a Principal,
    /// Such as `ecs:RunTask`.
    pub action: &'a str,
    /// The ARN that it is done to, or `*`.
    pub resource: &'a str,
    /// Whose that is.
    pub account: &'a str,
    /// What else is known.
    pub context: &'a Context,
}

/// What a resource says itself.
#[derive(Debug, Clone, Copy)]
pub enum Guard<'a> {
    /// It has no policy.
    None,
    /// Its policy lets in those whom it names, besides those of its account whose own policies do: buckets, functions.
    Adds(&'a Policy),
    /// Nobody gets in whom its policy doesn't let in: roles, keys.
    Needed(&'a Policy),
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// A policy of the caller says so.
    ByIdentity,
    /// The resource's policy says so.
    ByResource,
    /// No policy of the caller allows it.
    NoIdentity,
    /// A policy of the caller's session says so.
    BySession,
    /// No policy of the caller's session allows it.
    NoSession,
    /// The resource's policy doesn't allow it.
    NoResource,
}

impl Denied {
    /// AWS's words, for the end of its message.
    pub fn because(self, action: &str) -> String {
        match self {
            Self::ByIdentity => "with an explicit deny in an identity-based policy".to_owned(),
            Self::ByResource => "with an explicit deny in a resource-based policy".to_owned(),
            Self::BySession => "with an explicit deny in a session policy".to_owned(),
            Self::NoSession => format!("because no session policy allows the {action} action"),
            Self::NoIdentity => format!("because no identity-based policy allows the {action} action"),
            Self::NoResource => format!("because no resource-based policy allows the {action} action"),
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ByIdentity => "explicit deny of the caller's policies",
            Self::ByResource => "explicit deny of the resource's policy",
            Self::NoIdentity => "not allowed by the caller's policies",
            Self::BySession => "explicit deny of the session's policies",
            Self::NoSession => "not allowed by the session's policies",
            Self::NoResource => "not allowed by the resource's policy",
        })
    }
}

/// How a resource's policy lets somebody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Grant {
    /// Not.
    None,
    /// It trusts the account, which must let them do it too.
    Account,
    /// It names them.
    Named,
}

/// Whether a session's own policies let something through, which is then decided as without them.
///
/// # Errors
/// Why the answer is no.
pub fn within(question: &Question<'_>, limits: &[Policy]) -> Result<(), Denied> {
    match limits {
        limits if limits.iter().any(|policy| policy.denies(question, false)) => Err(Denied::BySession),
        limits if limits.iter().any(|policy| policy.allows(question)) => Ok(()),
        _ => Err(Denied::NoSession),
    }
}

/// Decides; `identity` are the caller's own policies.
///
/// # Errors
/// Why the answer is no.
pub fn decide(question: &Question<'_>, identity: &[Policy], guard: Guard<'_>) -> Result<(), Denied> {
    if identity.iter().any(|policy| policy.denies(question, false)) {
        return Err(Denied::ByIdentity);
    }
    let (policy, needed) = match guard {
        Guard::None => (None, false),
        Guard::Adds(policy) => (Some(policy), false),
        Guard::Needed(policy) => (Some(policy), true),
    };
    if policy.is_some_and(|policy| policy.denies(question, true)) {
        return Err(Denied::ByResource);
    }
    let allowed = identity.iter().any(|policy| policy.allows(question));
    let grant = policy.map_or(Grant::None, |policy| policy.grants(question));
    let Some(from) = question.principal.account() else {
        return if grant == Grant::Named { Ok(()) } else { Err(Denied::NoResource) };
    };
    if from != question.account {
        return match (allowed, grant) {
            (true, Grant::Account | Grant::Named) => Ok(()),
            (false, _) => Err(Denied::NoIdentity),
            (true, Grant::None) => Err(Denied::NoResource),
        };
    }
    match (grant, needed) {
        (Grant::Named, _) => Ok(()),
        (Grant::Account, _) | (Grant::None, false) if allowed => Ok(()),
        (Grant::Account, _) | (Grant::None, false) => Err(Denied::NoIdentity),
        (Grant::None, true) => Err(Denied::NoResource),
    }
}
