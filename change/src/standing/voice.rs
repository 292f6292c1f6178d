use std::fmt;

use manifest_schema::names::PersonName;
use manifest_schema::statement::Decision;
use manifest_schema::{Digest, Timestamp};
use serde::Serialize;

/// One voter's statement, and what it comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Voice {
    /// The statement's digest.
    pub statement: Digest,
    /// Whose it is.
    pub voter: Voter,
    /// What it decides.
    pub decision: Decision,
    /// Whether it says rollback.
    pub rollback: bool,
    /// Whether it says emergency.
    pub emergency: bool,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When a yes ends: what it says or what the policy allows, whichever is earlier. A no and a revocation don't end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What it comes to.
    pub state: State,
    /// What its signer wants others to know, without control characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Voice {
    pub(super) fn is_yes(&self) -> bool {
        self.decision == Decision::Approve
    }

    pub(super) fn is_no(&self) -> bool {
        self.decision == Decision::Reject
    }
}

/// Somebody who may approve.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Voter {
    /// A person, whichever of their keys they use.
    Person(PersonName),
    /// One of the change bot's keys, by its id.
    Bot(String),
}

impl Voter {
    /// The person, if it is one.
    pub fn person(&self) -> Option<&PersonName> {
        match self {
            Self::Person(person) => Some(person),
            Self::Bot(_) => None,
        }
    }
}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => f.pad(person.as_str()),
            Self::Bot(_) => f.pad("the change bot"),
        }
    }
}

/// What a statement comes to. Of several problems the first in this order is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A yes that counts, a no that stands, a revocation that took something back.
    Counts,
    /// Its voter took it back.
    Revoked,
    /// About something else; which parts differ.
    Mismatch(Vec<Part>),
    /// A yes that is over.
    Expired,
    /// A yes from the future: somebody's clock is wrong.
    NotYet,
    /// A yes by an author of the change, under this identity.
    ByAuthor(String),
    /// The bot claims a rollback or an emergency, which only people may.
    Overreach,
    /// A sound yes that also bears the signature of this voter, whose yes it can't be: naming it would be refused.
    Spoiled(Voter),
    /// A sound yes after which its voter said a later one, which is named instead.
    Superseded,
    /// A revocation of nothing that this voter said here.
    Idle,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counts => f.pad("counts"),
            Self::Revoked => f.pad("revoked"),
            Self::Mismatch(parts) => {
                let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
                write!(f, "for another {}", parts.join(", "))
            }
            Self::Expired => f.pad("expired"),
            Self::NotYet => f.pad("dated in the future"),
            Self::ByAuthor(identity) => write!(f, "by an author of the change ({identity})"),
            Self::Overreach => f.pad("claims a rollback or an emergency, which only people may"),
            Self::Spoiled(voter) => write!(f, "also signed by {voter}, for whom it doesn't count"),
            Self::Superseded => f.pad("superseded by a later yes"),
            Self::Idle => f.pad("takes back nothing"),
        }
    }
}

/// A part of what an approval answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The build.
    Manifest,
    /// What people read.
    PlanSummary,
    /// The plan statement.
    Plan,
    /// What would be deployed.
    Project,
    /// Where.
    Environment,
    /// The change.
    Change,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Manifest => "manifest",
            Self::PlanSummary => "plan summary",
            Self::Plan => "plan",
            Self::Project => "project",
            Self::Environment => "environment",
            Self::Change => "change",
        })
    }
}
