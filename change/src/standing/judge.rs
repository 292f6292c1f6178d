use std::collections::{BTreeMap, BTreeSet};

use manifest_schema::statement::{Approval, Decision, Verified, subject};
use manifest_schema::trust::TrustPolicy;
use manifest_schema::{Digest, Timestamp};

use super::voice::{Part, State, Voice, Voter};
use super::{Unheard, unheard};
use crate::About;

/// A clock may be this far ahead of ours, in seconds: the gates' own tolerance.
const CLOCK_SKEW: u64 = 300;

/// Longest comment that is shown, in characters; what other tools sign may be longer than ours.
const SHOWN_COMMENT: usize = 500;

/// A statement and one of those who signed it.
pub(super) struct Vote {
    voter: Voter,
    approval: Verified<Approval>,
}

/// Every statement by somebody who may approve, once per voter, and the envelopes that hold none.
pub(super) fn read(policy: &TrustPolicy, envelopes: &[Vec<u8>]) -> (Vec<Vote>, Vec<Unheard>) {
    let keys: Vec<_> = policy.approver_keys().into_iter().chain(policy.bot_keys()).collect();
    let mut votes = Vec::new();
    let mut others = Vec::new();
    let mut seen = BTreeSet::new();
    for envelope in envelopes {
        let approval = match Verified::<Approval>::open(envelope, &keys) {
            Ok(approval) => approval,
            Err(error) => {
                others.push(unheard(envelope, error.to_string()));
                continue;
            }
        };
        for key in approval.signers() {
            let voter = match policy.person_of(key) {
                Some(person) => Voter::Person(person.clone()),
                None => Voter::Bot(key.id().to_string()),
            };
            if seen.insert((approval.statement(), voter.clone())) {
                votes.push(Vote { voter, approval: approval.clone() });
            }
        }
    }
    votes.sort_by_cached_key(|vote| (vote.issued_at(), vote.statement(), vote.voter.clone()));
    (votes, others)
}

impl Vote {
    fn statement(&self) -> Digest {
        self.approval.statement()
    }

    fn said(&self) -> &Approval {
        self.approval.predicate()
    }

    fn issued_at(&self) -> Timestamp {
        self.said().issued_at
    }

    fn takes_back(&self, other: &Self) -> bool {
        let this = Decision::Revoke { statement: other.statement() };
        self.voter == other.voter && self.said().decision == this
    }
}

/// What votes are judged by.
pub(super) struct Judge<'a> {
    pub(super) policy: &'a TrustPolicy,
    pub(super) about: &'a About,
    pub(super) authors: &'a BTreeSet<String>,
    pub(super) validity: u64,
    pub(super) now: Timestamp,
}

impl Judge<'_> {
    /// The voices of `votes`, which are in the order of their times.
    pub(super) fn voices(&self, votes: &[Vote]) -> Vec<Voice> {
        let mut voices: Vec<_> = votes.iter().map(|vote| self.voice(vote, votes)).collect();
        spoil(&mut voices);
        supersede(&mut voices);
        voices
    }

    fn voice(&self, vote: &Vote, votes: &[Vote]) -> Voice {
        let said = vote.said();
        Voice {
            statement: vote.statement(),
            voter: vote.voter.clone(),
            decision: said.decision,
            rollback: said.rollback,
            emergency: said.emergency,
            issued_at: said.issued_at,
            until: (said.decision == Decision::Approve).then(|| self.until(said)),
            state: self.state(vote, votes),
            comment: said.comment.as_deref().map(shown),
        }
    }

    fn until(&self, said: &Approval) -> Timestamp {
        said.expires_at.min(said.issued_at.plus_seconds(self.validity))
    }

    fn state(&self, vote: &Vote, votes: &[Vote]) -> State {
        let revoked = votes.iter().any(|other| other.takes_back(vote));
        match vote.said().decision {
            // Whatever else it names, it takes back its signer's statement; and it can't be taken back itself.
            Decision::Revoke { .. } => {
                let is_word = |other: &Vote| !matches!(other.said().decision, Decision::Revoke { .. });
                let hits = votes.iter().any(|other| is_word(other) && vote.takes_back(other));
                if hits { State::Counts } else { State::Idle }
            }
            Decision::Approve | Decision::Reject if revoked => State::Revoked,
            Decision::Approve => self.yes(vote),
            Decision::Reject => mismatch(self.differences(vote, &[Part::Manifest, Part::Project, Part::Environment])),
        }
    }

    /// Which of `parts` the vote names differently.
    fn differences(&self, vote: &Vote, parts: &[Part]) -> Vec<Part> {
        let (about, said) = (self.about, vote.said());
        let differs = |part: &Part| match part {
            Part::Manifest => vote.approval.subject(subject::MANIFEST) != Some(about.manifest),
            Part::PlanSummary => vote.approval.subject(subject::SUMMARY) != Some(about.summary),
            Part::Plan => said.plan != about.plan,
            Part::Project => said.project != about.project,
            Part::Environment => said.environment != about.environment,
            Part::Change => said.change != about.change,
        };
        parts.iter().copied().filter(differs).collect()
    }

    fn yes(&self, vote: &Vote) -> State {
        use Part::{Change, Environment, Manifest, Plan, PlanSummary, Project};
        let said = vote.said();
        let parts = self.differences(vote, &[Manifest, PlanSummary, Plan, Project, Environment, Change]);
        if !parts.is_empty() {
            return State::Mismatch(parts);
        }
        if self.now >= self.until(said) {
            return State::Expired;
        }
        if said.issued_at > self.now.plus_seconds(CLOCK_SKEW) {
            return State::NotYet;
        }
        match &vote.voter {
            Voter::Person(person) => {
                let identities = self.policy.approvers.get(person).map_or(&[][..], |entry| entry.identities.as_slice());
                let author = identities.iter().find(|identity| self.authors.contains(*identity));
                author.map_or(State::Counts, |identity| State::ByAuthor(identity.clone()))
            }
            Voter::Bot(_) if said.rollback || said.emergency => State::Overreach,
            Voter::Bot(_) => State::Counts,
        }
    }
}

fn mismatch(parts: Vec<Part>) -> State {
    if parts.is_empty() { State::Counts } else { State::Mismatch(parts) }
}

/// A launch names statements, not voters, and gate 10 refuses it for any signer of a named statement whose yes has a
/// problem. So one such signer makes the statement useless for the others.
fn spoil(voices: &mut [Voice]) {
    let mut bad: BTreeMap<Digest, Voter> = BTreeMap::new();
    for voice in voices.iter().filter(|voice| voice.is_yes() && voice.state != State::Counts) {
        bad.entry(voice.statement).or_insert_with(|| voice.voter.clone());
    }
    for voice in voices.iter_mut().filter(|voice| voice.is_yes() && voice.state == State::Counts) {
        if let Some(voter) = bad.get(&voice.statement) {
            voice.state = State::Spoiled(voter.clone());
        }
    }
}

/// Somebody's last word is the one to name: an earlier yes adds nobody, and would take a lift from a later one.
fn supersede(voices: &mut [Voice]) {
    let mut later = BTreeSet::new();
    for voice in voices.iter_mut().rev().filter(|voice| voice.is_yes() && voice.state == State::Counts) {
        if !later.insert(voice.voter.clone()) {
            voice.state = State::Superseded;
        }
    }
}

/// A comment as terminals may show it.
fn shown(comment: &str) -> String {
    comment.chars().filter(|c| !c.is_control()).take(SHOWN_COMMENT).collect()
}
