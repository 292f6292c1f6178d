//! Gate 10: the plan, the review and the approvals.
//!
//! Yes counts only from the approvals that the request names. No and revocations count from every statement that could
//! be listed, whoever left them out of the request: a person's no stands for the manifest in this environment, whatever
//! the plan and the change, until that person revokes it.

use std::collections::{BTreeMap, BTreeSet};

use super::build::CLOCK_SKEW;
use super::deployed::VerifiedDeployment;
use super::needs::{Circumstances, Needs};
use super::{Authors, Case, Findings7to9, Lifts, Reasons, StoredPlan};
use crate::digest::Digest;
use crate::dsse;
use crate::job::LaunchRequest;
use crate::json::Document;
use crate::names::PersonName;
use crate::plan::PlanSummary;
use crate::reason::{Code, Reason};
use crate::statement::{self, Decision, ReviewVerdict, Verified, subject};
use crate::trust::{EnvironmentPolicy, TrustPolicy};

/// A plan that the planner signed for exactly this request. Only gate 10 makes one:
///
/// ```compile_fail,E0451
/// use manifest_schema::gates::AdmittedPlan;
/// use manifest_schema::plan::PlanSummary;
///
/// fn forge(summary: PlanSummary, from: AdmittedPlan) -> AdmittedPlan {
///     AdmittedPlan { summary, ..from }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct AdmittedPlan {
    statement: Verified<statement::Plan>,
    summary: PlanSummary,
    summary_digest: Digest,
}

impl AdmittedPlan {
    /// The planner's statement.
    pub fn statement(&self) -> &Verified<statement::Plan> {
        &self.statement
    }

    /// What was planned.
    pub fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    /// SHA-256 of the summary's bytes, which the approvals name.
    pub fn summary_digest(&self) -> Digest {
        self.summary_digest
    }

    /// SHA-256 of the saved plan; `None` when the build has no Terraform step.
    pub fn saved_plan(&self) -> Option<Digest> {
        self.statement.subject(subject::SAVED_PLAN)
    }
}

pub(super) struct Asked<'a> {
    pub(super) case: &'a Case,
    pub(super) request: &'a LaunchRequest,
    pub(super) policy: &'a TrustPolicy,
    pub(super) environment: &'a EnvironmentPolicy,
    /// What was deployed last; `None` when that can't be believed.
    pub(super) deployed: Option<&'a VerifiedDeployment>,
}

#[derive(Default)]
pub(super) struct Decided {
    pub(super) plan: Option<AdmittedPlan>,
    pub(super) people: Vec<PersonName>,
    pub(super) lifts: Lifts,
}

pub(super) fn decide(asked: &Asked<'_>, found: &Findings7to9, reasons: &mut Reasons) -> Decided {
    let Some(plan) = reasons.keep(asked.plan()) else { return Decided::default() };
    let review = asked.review(&plan, reasons);
    let Some(envelopes) = &asked.case.approvals else {
        reasons.add(Code::ApprovalUnreadable, "the approvals of this build could not all be listed");
        return Decided::default();
    };
    let votes = asked.votes(envelopes);
    asked.standing_noes(&votes, reasons);
    let counted = asked.counted(&plan, envelopes, &votes, &review, reasons);

    let all_carry = |carries: fn(&statement::Approval) -> bool| {
        !counted.is_empty() && counted.values().all(|approvals| approvals.iter().all(|a| carries(a)))
    };
    let lifts = Lifts { rollback: all_carry(|a| a.rollback), emergency: all_carry(|a| a.emergency) };
    // How many people are needed is left open when it isn't known what runs: the request is refused for that.
    let Some(deployed) = asked.deployed else { return Decided { plan: Some(plan), ..Decided::default() } };
    let needs = Needs::of(
        asked.environment,
        &Circumstances {
            summary: &plan.summary,
            deployed: deployed.record(),
            rollback: found.rollback.is_some() || found.too_old.is_some(),
            emergency: found.freeze.is_some(),
            bot_approved: review.bot_is_clear && asked.bot_approved(&votes, &plan),
            now: asked.case.now,
        },
    );
    let people: Vec<PersonName> = counted.keys().map(|name| (*name).clone()).collect();
    if people.len() < needs.people as usize {
        reasons.add(Code::ApprovalMissing, too_few(&people, &needs));
        return Decided { plan: Some(plan), people, lifts: Lifts::default() };
    }
    Decided { plan: Some(plan), people, lifts }
}

fn too_few(people: &[PersonName], needs: &Needs) -> String {
    let by: Vec<_> = people.iter().map(ToString::to_string).collect();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    let why =
        if needs.demands.is_empty() { String::new() } else { format!(", because of {}", needs.demands.join(", ")) };
    format!("{}{by} of {} people approved this plan{why}", people.len(), needs.people)
}

/// Somebody's signed word.
struct Vote {
    statement: Digest,
    voter: Voter,
    approval: Verified<statement::Approval>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Voter {
    Person(PersonName),
    /// One of the bot's keys, by its bytes.
    Bot([u8; 32]),
}

/// What the reviews come to.
#[derive(Default)]
struct Reviewed {
    bot_is_clear: bool,
    /// In lower case: forges don't tell `Alice` from `alice`, and neither may who writes a policy.
    authors: BTreeSet<String>,
}

impl Asked<'_> {
    /// The plan: signed by enough planners, for this request, in date.
    fn plan(&self) -> Result<AdmittedPlan, Vec<Reason>> {
        let refuse = |code, message: String| vec![Reason::new(code, message)];
        let request = self.request;
        let wanted = request.plan.ok_or_else(|| refuse(Code::PlanMissing, "the request names no plan".to_owned()))?;
        let Some(StoredPlan { envelope, summary }) = &self.case.plan else {
            return Err(refuse(Code::PlanMissing, format!("no plan {} in the production store", wanted.short())));
        };
        let role = &self.policy.roles.planner;
        let opened = Verified::<statement::Plan>::open(envelope, &self.policy.keys_of(role))
            .map_err(|error| refuse(Code::PlanUntrusted, error.to_string()))?;
        if opened.signers().len() < role.threshold as usize {
            let message = format!("{} of {} planners signed the plan", opened.signers().len(), role.threshold);
            return Err(refuse(Code::PlanUntrusted, message));
        }
        let mut reasons = Reasons::default();
        let said = opened.predicate();
        for (what, same) in [
            ("statement", opened.statement() == wanted),
            ("manifest", opened.subject(subject::MANIFEST) == Some(request.manifest)),
            ("project", said.project == request.project),
            ("environment", said.environment == request.environment),
            ("summary", opened.subject(subject::SUMMARY) == Some(Digest::of(summary))),
        ] {
            if !same {
                reasons.add(Code::PlanMismatch, format!("the plan's {what} is not the one asked for"));
            }
        }
        let now = self.case.now;
        let until = said.expires_at.min(said.planned_at.plus_seconds(self.environment.approval.validity_seconds));
        if now >= until || said.planned_at > now.plus_seconds(CLOCK_SKEW) {
            reasons.add(Code::PlanExpired, format!("planned at {}, valid until {until}", said.planned_at));
        }
        if !reasons.0.is_empty() {
            return Err(reasons.0);
        }
        let summary_digest = Digest::of(summary);
        let summary =
            PlanSummary::from_bytes(summary).map_err(|error| refuse(Code::PlanMismatch, error.to_string()))?;
        let PlanSummary { project, environment, manifest, .. } = &summary;
        if (project, environment, *manifest) != (&request.project, &request.environment, request.manifest) {
            let message = format!("the summary is of {project} {} in {environment}", manifest.short());
            return Err(refuse(Code::PlanMismatch, message));
        }
        Ok(AdmittedPlan { statement: opened, summary, summary_digest })
    }

    /// The reviews of exactly this plan and change by enough of the bot's keys, and the authors they name.
    fn review(&self, plan: &AdmittedPlan, reasons: &mut Reasons) -> Reviewed {
        let keys = self.policy.bot_keys();
        let mut by = BTreeSet::new();
        let mut reviewed = Reviewed { bot_is_clear: true, authors: BTreeSet::new() };
        for envelope in &self.case.reviews {
            let Ok(review) = Verified::<statement::Review>::open(envelope, &keys) else { continue };
            let said = review.predicate();
            let ours = review.subject(subject::MANIFEST) == Some(self.request.manifest)
                && review.subject(subject::SUMMARY) == Some(plan.summary_digest)
                && said.project == self.request.project
                && said.environment == self.request.environment
                && Some(said.plan) == self.request.plan
                && Some(&said.change) == self.request.change.as_ref();
            if !ours {
                continue;
            }
            by.extend(review.signers().iter().map(|key| *key.as_bytes()));
            reviewed.bot_is_clear &= said.verdict == ReviewVerdict::Approve;
            match self.authors(said.authors) {
                Ok(authors) => reviewed.authors.extend(authors.iter().map(|identity| identity.to_lowercase())),
                Err(reason) => reasons.0.push(reason),
            }
        }
        let needed = self.policy.roles.change_bot.as_ref().map_or(1, |role| role.threshold as usize);
        if by.len() < needed {
            reviewed.bot_is_clear = false;
            if self.environment.approval.review_required {
                reasons.add(Code::ReviewMissing, format!("{} of {needed} reviews of this plan", by.len()));
            }
        }
        reviewed
    }

    fn authors(&self, digest: Digest) -> Result<Vec<String>, Reason> {
        let refuse =
            |problem: String| Reason::new(Code::ReviewUntrusted, format!("authors {}: {problem}", digest.short()));
        let bytes = self.case.authors.get(&digest).ok_or_else(|| refuse("the list is missing".to_owned()))?;
        if Digest::of(bytes) != digest {
            return Err(refuse("the list was altered".to_owned()));
        }
        Authors::from_bytes(bytes).map(|authors| authors.identities).map_err(|error| refuse(error.to_string()))
    }

    /// Every statement by somebody who may approve, once per signer.
    fn votes(&self, envelopes: &[Vec<u8>]) -> Vec<Vote> {
        let bot = self.policy.bot_keys();
        let keys: Vec<_> = self.policy.approver_keys().into_iter().chain(bot.iter().copied()).collect();
        let mut votes = Vec::new();
        for envelope in envelopes {
            let Ok(approval) = Verified::<statement::Approval>::open(envelope, &keys) else { continue };
            for key in approval.signers() {
                let voter = match self.policy.person_of(key) {
                    Some(person) => Voter::Person(person.clone()),
                    None => Voter::Bot(*key.as_bytes()),
                };
                votes.push(Vote { statement: approval.statement(), voter, approval: approval.clone() });
            }
        }
        votes
    }

    fn is_revoked(votes: &[Vote], statement: Digest, voter: &Voter) -> bool {
        votes.iter().any(|vote| {
            let takes_back = Decision::Revoke { statement };
            vote.voter == *voter && vote.approval.predicate().decision == takes_back
        })
    }

    fn standing_noes(&self, votes: &[Vote], reasons: &mut Reasons) {
        for vote in votes {
            let said = vote.approval.predicate();
            let ours = vote.approval.subject(subject::MANIFEST) == Some(self.request.manifest)
                && said.project == self.request.project
                && said.environment == self.request.environment;
            if ours && said.decision == Decision::Reject && !Self::is_revoked(votes, vote.statement, &vote.voter) {
                let comment = said.comment.as_deref().map(|text| format!(": {}", clipped(text))).unwrap_or_default();
                reasons.add(
                    Code::ApprovalRejected,
                    format!("{} said no at {}{comment}", vote.voter.name(), said.issued_at),
                );
            }
        }
    }

    /// The people whose yes is named, trusted, about exactly this, in date, not taken back, and not an author's.
    fn counted<'v>(
        &self,
        plan: &AdmittedPlan,
        envelopes: &[Vec<u8>],
        votes: &'v [Vote],
        review: &Reviewed,
        reasons: &mut Reasons,
    ) -> BTreeMap<&'v PersonName, Vec<&'v statement::Approval>> {
        let mut counted: BTreeMap<&PersonName, Vec<&statement::Approval>> = BTreeMap::new();
        for named in &self.request.approvals {
            let of_it: Vec<&Vote> = votes.iter().filter(|vote| vote.statement == *named).collect();
            if of_it.is_empty() {
                reasons.0.push(not_trusted(*named, envelopes));
            }
            for vote in of_it {
                let problems = self.problems(vote, plan, votes, review);
                if let (Voter::Person(person), true) = (&vote.voter, problems.is_empty()) {
                    counted.entry(person).or_default().push(vote.approval.predicate());
                }
                reasons.0.extend(problems);
            }
        }
        counted
    }

    fn problems(&self, vote: &Vote, plan: &AdmittedPlan, votes: &[Vote], review: &Reviewed) -> Vec<Reason> {
        let mut problems = Reasons::default();
        let said = vote.approval.predicate();
        let who = format!("the approval by {} ({})", vote.voter.name(), vote.statement.short());
        let request = self.request;
        for (what, same) in [
            ("manifest", vote.approval.subject(subject::MANIFEST) == Some(request.manifest)),
            ("plan summary", vote.approval.subject(subject::SUMMARY) == Some(plan.summary_digest)),
            ("plan", Some(said.plan) == request.plan),
            ("project", said.project == request.project),
            ("environment", said.environment == request.environment),
            ("change", Some(&said.change) == request.change.as_ref()),
        ] {
            if !same {
                problems.add(Code::ApprovalMismatch, format!("{who} is for another {what}"));
            }
        }
        if said.decision != Decision::Approve {
            problems.add(Code::ApprovalMismatch, format!("{who} is not a yes"));
        }
        let now = self.case.now;
        let until = said.expires_at.min(said.issued_at.plus_seconds(self.environment.approval.validity_seconds));
        if now >= until || said.issued_at > now.plus_seconds(CLOCK_SKEW) {
            problems.add(Code::ApprovalExpired, format!("{who} is of {}, valid until {until}", said.issued_at));
        }
        if Self::is_revoked(votes, vote.statement, &vote.voter) {
            problems.add(Code::ApprovalRevoked, format!("{who} was revoked"));
        }
        match &vote.voter {
            Voter::Person(person) => {
                let identities = self.policy.approvers.get(person).map_or(&[][..], |entry| entry.identities.as_slice());
                let wrote = |identity: &&String| review.authors.contains(&identity.to_lowercase());
                if let Some(identity) = identities.iter().find(wrote) {
                    problems.add(Code::ApprovalByAuthor, format!("{who} is by an author of the change ({identity})"));
                }
            }
            Voter::Bot(_) if said.rollback || said.emergency => {
                problems.add(Code::ApprovalOverreach, format!("{who} claims a rollback or an emergency"));
            }
            Voter::Bot(_) => {}
        }
        problems.0
    }

    /// Whether enough of the bot's keys said a yes that is named and stands. Problems were reported with the others.
    fn bot_approved(&self, votes: &[Vote], plan: &AdmittedPlan) -> bool {
        let review = Reviewed::default();
        let sound = votes.iter().filter(|vote| {
            let named = self.request.approvals.contains(&vote.statement);
            matches!(vote.voter, Voter::Bot(_)) && named && self.problems(vote, plan, votes, &review).is_empty()
        });
        let by: BTreeSet<_> = sound.map(|vote| &vote.voter).collect();
        self.policy.roles.change_bot.as_ref().is_some_and(|role| by.len() >= role.threshold as usize)
    }
}

impl Voter {
    fn name(&self) -> &str {
        match self {
            Self::Person(person) => person.as_str(),
            Self::Bot(_) => "the change bot",
        }
    }
}

/// As much of a comment as its signer may write: nothing holds them to it.
fn clipped(comment: &str) -> &str {
    &comment[..comment.floor_char_boundary(500)]
}

/// A named approval that nobody who may approve has signed: there, or not.
fn not_trusted(named: Digest, envelopes: &[Vec<u8>]) -> Reason {
    let inspected = envelopes.iter().filter_map(|envelope| dsse::inspect(envelope).ok());
    match inspected.into_iter().find(|envelope| envelope.statement == named) {
        Some(envelope) => Reason::new(
            Code::ApprovalUntrusted,
            format!("approval {} is signed by {}, who may not approve", named.short(), envelope.claimed.join(", ")),
        ),
        None => Reason::new(Code::ApprovalMissing, format!("approval {} is not in the artifacts store", named.short())),
    }
}
