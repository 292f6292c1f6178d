//! Where a change stands: what every statement about it says, and which of them a launch should name.
//!
//! It speaks for gate 10, and must say what the gates would: a yes [counts](State::Counts) here exactly if a launch that
//! names it is not refused for it. A test holds the two together. It decides nothing itself: how many people are needed
//! depends on what only production knows, and production decides again.
//!
//! A yes is one person's, for exactly this manifest, environment, plan and change, until it ends or is taken back. A no
//! stands for the manifest in the environment, whatever the plan and the change, until the same voter revokes it.

mod judge;
mod voice;

use std::collections::BTreeSet;

use manifest_schema::names::{EnvironmentName, PersonName};
use manifest_schema::trust::TrustPolicy;
use manifest_schema::{Digest, Timestamp, dsse};
use serde::Serialize;

pub use voice::{Part, State, Voice, Voter};

use crate::About;

/// What all statements about a build come to, for one change at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Every statement by somebody who may approve, once per voter, in the order of their times.
    pub voices: Vec<Voice>,
    /// Envelopes that say nothing that could count.
    pub unheard: Vec<Unheard>,
}

/// An envelope that nobody who may approve has signed, or that is no approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unheard {
    /// Digest of its payload, if it is an envelope at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
    /// The key ids that it claims; nobody checked them.
    pub claimed_keys: Vec<String>,
    /// Why it says nothing.
    pub problem: String,
}

/// Gates that a launch wants lifted. A lift holds only if every approval that counts carries it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lifts {
    /// An older or aged build.
    pub rollback: bool,
    /// A freeze window.
    pub emergency: bool,
}

/// The trust policy doesn't know the environment, so nobody can approve anything there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the trust policy knows {}, not {environment}", list(.known))]
pub struct UnknownEnvironment {
    /// The environment.
    pub environment: EnvironmentName,
    /// Those it knows.
    pub known: Vec<EnvironmentName>,
}

fn list(known: &[EnvironmentName]) -> String {
    if known.is_empty() {
        return "no environment".to_owned();
    }
    known.iter().map(EnvironmentName::as_str).collect::<Vec<_>>().join(", ")
}

impl Standing {
    /// What `envelopes`, all approval envelopes about the manifest, come to at `now`. `authors` are the identities that
    /// [`crate::authors::of`] found.
    ///
    /// # Errors
    /// When `policy` doesn't know the environment.
    pub fn of(
        policy: &TrustPolicy,
        about: &About,
        authors: &BTreeSet<String>,
        envelopes: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Self, UnknownEnvironment> {
        let environment = policy.environments.get(&about.environment).ok_or_else(|| UnknownEnvironment {
            environment: about.environment.clone(),
            known: policy.environments.keys().cloned().collect(),
        })?;
        let (votes, unheard) = judge::read(policy, envelopes);
        let validity = environment.approval.validity_seconds;
        let voices = judge::Judge { policy, about, authors, validity, now }.voices(&votes);
        Ok(Self { voices, unheard })
    }

    /// The yeses that count: one for each person and for each of the bot's keys.
    pub fn approvals(&self) -> impl Iterator<Item = &Voice> {
        self.voices.iter().filter(|voice| voice.is_yes() && voice.state == State::Counts)
    }

    /// The noes that stand. While there is one, every launch of the build in this environment is refused.
    pub fn rejections(&self) -> impl Iterator<Item = &Voice> {
        self.voices.iter().filter(|voice| voice.is_no() && voice.state == State::Counts)
    }

    /// The people whose yes counts, each once.
    pub fn people(&self) -> BTreeSet<&PersonName> {
        self.approvals().filter_map(|voice| voice.voter.person()).collect()
    }

    /// The statements that a launch should name, sorted. A person's yes without one of `lifts` is left out, because it
    /// would take the lift from the others; so is whatever the gates would refuse the launch for.
    pub fn to_name(&self, lifts: Lifts) -> Vec<Digest> {
        let carries = |voice: &Voice| (voice.rollback || !lifts.rollback) && (voice.emergency || !lifts.emergency);
        let fits = |voice: &&Voice| voice.voter.person().is_none() || carries(voice);
        let named: BTreeSet<_> = self.approvals().filter(fits).map(|voice| voice.statement).collect();
        named.into_iter().collect()
    }
}

fn unheard(envelope: &[u8], problem: String) -> Unheard {
    match dsse::inspect(envelope) {
        Ok(claims) => Unheard { statement: Some(claims.statement), claimed_keys: claims.claimed, problem },
        Err(_) => Unheard { statement: None, claimed_keys: Vec::new(), problem },
    }
}

#[cfg(test)]
mod tests;
