//! Who makes a call, and what they may do.

use super::User;
use crate::REGION;
use crate::iam::{Context, Guard, Policy, Principal, Question, decide, within};

/// Who makes a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    pub(crate) user_id: String,
    pub(super) policies: Vec<Policy>,
    /// The session policies, if the session has any.
    pub(super) limits: Option<Vec<Policy>>,
    pub(super) context: Context,
}

impl Caller {
    pub(super) fn new(principal: Principal, user_id: String, policies: Vec<Policy>, tags: &[(String, String)]) -> Self {
        let (arn, kind) = match &principal {
            Principal::Session { role, .. } => (role, "AssumedRole"),
            Principal::User(arn) | Principal::Service(arn) => (arn, "User"),
        };
        let mut context: Context = [
            ("aws:principalarn", arn.as_str()),
            ("aws:principalaccount", principal.account().unwrap_or_default()),
            ("aws:principaltype", kind),
            ("aws:principalisawsservice", "false"),
            ("aws:userid", &user_id),
            ("aws:requestedregion", REGION),
            // Over HTTP on loopback the double passes for TLS, as policies of buckets want it.
            ("aws:securetransport", "true"),
        ]
        .map(|(key, value)| (key.to_owned(), vec![value.to_owned()]))
        .into();
        if let Principal::User(arn) = &principal {
            context.insert("aws:username".to_owned(), vec![arn.rsplit('/').next().unwrap_or_default().to_owned()]);
        }
        context.extend(
            tags.iter().map(|(key, value)| (format!("aws:principaltag/{}", key.to_lowercase()), vec![value.clone()])),
        );
        Self { principal, user_id, policies, limits: None, context }
    }

    pub(super) fn user(user: &User, number: usize) -> Self {
        let user_id = format!("AIDAAIRLOCKDOUBLE{number:03}");
        Self::new(Principal::User(user.arn.clone()), user_id, user.policies.clone(), &[])
    }

    pub(crate) fn arn(&self) -> &str {
        self.principal.arn()
    }

    pub(crate) fn account(&self) -> &str {
        self.principal.account().unwrap_or_default()
    }

    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// What is known of a request of theirs.
    pub(crate) fn context<'a>(&self, more: impl IntoIterator<Item = (&'a str, String)>) -> Context {
        let mut context = self.context.clone();
        context.extend(more.into_iter().map(|(key, value)| (key.to_lowercase(), vec![value])));
        context
    }

    /// Whether they may do something to a resource of an account, in the words of a refusal if not.
    pub(crate) fn may(
        &self,
        (action, resource, account): (&str, &str, &str),
        context: &Context,
        guard: Guard<'_>,
    ) -> Result<(), String> {
        let question = Question { principal: &self.principal, action, resource, account, context };
        let within = self.limits.as_deref().map_or(Ok(()), |limits| within(&question, limits));
        within.and_then(|()| decide(&question, &self.policies, guard)).map_err(|denied| {
            let because = denied.because(action);
            format!("User: {} is not authorized to perform: {action} on resource: {resource} {because}", self.arn())
        })
    }
}
