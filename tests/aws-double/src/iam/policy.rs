//! Policy documents: read strictly, so that a policy means here what it means in AWS, or nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::condition::{self, Condition};
use super::wildcard::{expand, fits};
use super::{Grant, Principal, Question};

/// A policy.
#[derive(Debug, Clone)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    allow: bool,
    principal: Option<Principals>,
    actions: Patterns,
    resources: Option<Patterns>,
    conditions: Vec<Condition>,
}

/// What is named, or everything but that.
#[derive(Debug, Clone)]
struct Patterns {
    named: Vec<String>,
    not: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    version: String,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    principal: Option<RawPrincipal>,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, OneOrMany<Scalar>>>,
}

#[derive(Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(value: OneOrMany<T>) -> Self {
        match value {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Bool(bool),
    Number(serde_json::Number),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawPrincipal {
    Anybody(String),
    Named(Principals),
}

/// Whom a statement of a resource is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "RawPrincipals")]
struct Principals {
    aws: Vec<String>,
    services: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrincipals {
    #[serde(rename = "AWS")]
    aws: Option<OneOrMany<String>>,
    #[serde(rename = "Service")]
    services: Option<OneOrMany<String>>,
    /// Web identities are told apart by their token, not here.
    #[serde(rename = "Federated")]
    _federated: Option<OneOrMany<String>>,
}

impl From<RawPrincipals> for Principals {
    fn from(raw: RawPrincipals) -> Self {
        let list = |named: Option<OneOrMany<String>>| named.map(Vec::from).unwrap_or_default();
        Self { aws: list(raw.aws), services: list(raw.services) }
    }
}

impl Policy {
    /// Reads a document.
    ///
    /// # Errors
    /// What about it is wrong, or not doubled.
    pub fn parse(document: &Value) -> Result<Self, String> {
        let document: Document = serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
        if document.version != "2012-10-17" {
            return Err(format!("the policy's version is {}, not 2012-10-17", document.version));
        }
        let statements = document.statement.as_array().cloned().unwrap_or_else(|| vec![document.statement]);
        let read = |statement| serde_json::from_value(statement).map_err(|error| error.to_string());
        let statements = statements.into_iter().map(|statement| Statement::read(read(statement)?));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
    }

    /// Whether it forbids this; `guards` says whether it is the resource's own.
    pub(super) fn denies(&self, question: &Question<'_>, guards: bool) -> bool {
        let about = |statement: &Statement| !guards || statement.grant(question.principal) != Grant::None;
        self.statements.iter().any(|statement| !statement.allow && about(statement) && statement.fits(question))
    }

    /// Whether it, as the caller's own, lets them do this.
    pub(super) fn allows(&self, question: &Question<'_>) -> bool {
        self.statements.iter().any(|statement| statement.allow && statement.fits(question))
    }

    /// How it, as the resource's own, lets the caller do this.
    pub(super) fn grants(&self, question: &Question<'_>) -> Grant {
        let fitting = self.statements.iter().filter(|statement| statement.allow && statement.fits(question));
        fitting.map(|statement| statement.grant(question.principal)).max().unwrap_or(Grant::None)
    }
}

impl Statement {
    fn read(raw: RawStatement) -> Result<Self, String> {
        let patterns = |named: Option<OneOrMany<String>>, not: Option<OneOrMany<String>>, what: &str| match (named, not)
        {
            (Some(named), None) => Ok(Some(Patterns { named: named.into(), not: false })),
            (None, Some(named)) => Ok(Some(Patterns { named: named.into(), not: true })),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(format!("a statement has {what} and Not{what}")),
        };
        let actions = patterns(raw.action, raw.not_action, "Action")?.ok_or("a statement has no Action")?;
        let resources = patterns(raw.resource, raw.not_resource, "Resource")?;
        if raw.principal.is_none() && resources.is_none() {
            return Err("a statement has neither Resource nor Principal".to_owned());
        }
        let principal = match raw.principal {
            Some(RawPrincipal::Anybody(who)) if who == "*" => {
                Some(Principals { aws: vec![who], services: vec!["*".to_owned()] })
            }
            Some(RawPrincipal::Anybody(who)) => return Err(format!("{who} is no principal")),
            Some(RawPrincipal::Named(named)) => Some(named),
            None => None,
        };
        let texts = |keys: BTreeMap<String, OneOrMany<Scalar>>| {
            let texts = |values| Vec::from(values).into_iter().map(Scalar::text).collect();
            keys.into_iter().map(|(key, values)| (key, texts(values))).collect()
        };
        let conditions = raw.condition.into_iter().map(|(operator, keys)| (operator, texts(keys))).collect();
        let conditions = condition::parse(&conditions)?;
        Ok(Self { allow: matches!(raw.effect, Effect::Allow), principal, actions, resources, conditions })
    }

    /// Whether it is about this action, resource and circumstances.
    fn fits(&self, question: &Question<'_>) -> bool {
        let action = |pattern: &String| fits(&pattern.to_lowercase(), &question.action.to_lowercase());
        let resource = |pattern: &String| {
            expand(pattern, question.context).is_some_and(|pattern| fits(&pattern, question.resource))
        };
        self.actions.fits(action)
            && self.resources.as_ref().is_none_or(|resources| resources.fits(resource))
            && self.conditions.iter().all(|condition| condition.holds(question.context))
    }

    /// How it is about somebody.
    fn grant(&self, principal: &Principal) -> Grant {
        let Some(named) = &self.principal else { return Grant::None };
        let whether = |yes: bool| if yes { Grant::Named } else { Grant::None };
        let aws = |wanted: &String| match principal {
            Principal::Service(_) => Grant::None,
            Principal::User(arn) if wanted == arn => Grant::Named,
            Principal::Session { role, session } if wanted == role || wanted == session => Grant::Named,
            Principal::User(_) | Principal::Session { .. } => {
                let account = principal.account().unwrap_or_default();
                if wanted == account || *wanted == format!("arn:aws:iam::{account}:root") {
                    Grant::Account
                } else {
                    whether(wanted == "*")
                }
            }
        };
        match principal {
            Principal::Service(name) => whether(named.services.iter().any(|wanted| wanted == name || wanted == "*")),
            Principal::User(_) | Principal::Session { .. } => named.aws.iter().map(aws).max().unwrap_or(Grant::None),
        }
    }
}

impl Patterns {
    fn fits(&self, fits: impl Fn(&String) -> bool) -> bool {
        self.named.iter().any(fits) != self.not
    }
}
