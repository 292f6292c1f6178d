//! Proof, after the fact, that a deployment was what its records say: every signature and every link, checked again.
//!
//! Checked against the trust policy that was in force for that job, whose version its journal names.

use std::collections::BTreeMap;

use manifest_schema::deployment::{DeploymentRecord, StepOutcome};
use manifest_schema::gates::VerifiedManifest;
use manifest_schema::gateway::{DeploymentFiles, JobStatus};
use manifest_schema::job::{Event, Happening, Job, JobId, JobOutcome, StepState};
use manifest_schema::manifest::BuildManifest;
use manifest_schema::statement::{self, Decision, Outcome, Verified, subject};
use manifest_schema::storage::{AttestationKind, Key};
use manifest_schema::trust::{PinnedRoots, SignedPolicy, TrustPolicy, TrustedPolicy};
use manifest_schema::{Digest, Document as _};
use records::attestations;
use serde::Serialize;
use store::Store;

use crate::exit::Failure;

/// What was found out about one deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checked {
    /// The deployment's number.
    pub(crate) sequence: u64,
    /// Each thing that was checked, in order.
    pub(crate) checks: Vec<Check>,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    /// What.
    pub(crate) name: &'static str,
    /// What is wrong with it; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl Checked {
    /// A deployment of which something can't even be read.
    pub(crate) fn broken(sequence: u64, problem: String) -> Self {
        Self { sequence, checks: vec![Check { name: "what it rests on is as it was stored", problem: Some(problem) }] }
    }

    /// A deployment that its job tells of, and whose record is gone.
    pub(crate) fn gone(sequence: u64, job: JobId) -> Self {
        let problem = Some(format!("job {job} wrote it, and it is gone"));
        Self { sequence, checks: vec![Check { name: "the record is there", problem }] }
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_sound(&self) -> bool {
        self.checks.iter().all(|check| check.problem.is_none())
    }
}

/// Everything that one deployment is checked against.
pub(crate) struct Auditor<'a> {
    /// The artifacts store.
    pub(crate) artifacts: &'a Store,
    /// The roots that the auditor trusts.
    pub(crate) roots: &'a PinnedRoots,
    /// All trust policy versions.
    pub(crate) versions: &'a [SignedPolicy],
}

impl Auditor<'_> {
    /// Checks one deployment: its job with all events, its record, build, plan and approvals.
    ///
    /// # Errors
    /// When the artifacts store can't be read. What is wrong with the deployment is in the answer.
    pub(crate) async fn check(
        &self,
        files: &DeploymentFiles,
        before: Option<&DeploymentRecord>,
        apply: &JobStatus,
    ) -> Result<Checked, Failure> {
        let record = &files.record;
        let mut checks = Vec::new();
        let mut add = |name: &'static str, result: Result<(), String>| {
            checks.push(Check { name, problem: result.err() });
        };
        add("numbered without a gap", numbered(record, before));
        let chain = chain(apply);
        add("the job's events are an unbroken chain", chain.as_ref().map(drop).map_err(Clone::clone));
        if let Ok(job) = &chain {
            add("the record says what the events say", same_story(job, record));
        }
        let policy = self.policy_of(&apply.events);
        add("the trust policy in force then is signed by the roots", policy.clone().map(drop));
        if let Ok(policy) = policy {
            let policy = policy.policy();
            add("the deployer signed the record", signed_by_deployer(policy, files));
            add("enough builders signed the build", self.build(policy, record).await?);
            let plan = self.plan(policy, record).await?;
            add("the planner signed the plan", plan.as_ref().map(|_| ()).map_err(Clone::clone));
            if let Ok(plan) = plan {
                add("people approved exactly this plan, in time", self.approvals(policy, record, &plan, apply).await?);
            }
        }
        Ok(Checked { sequence: record.sequence, checks })
    }

    fn policy_of(&self, events: &[Event]) -> Result<TrustedPolicy, String> {
        let named = events
            .iter()
            .find_map(|event| if let Happening::Verified { policy, .. } = event.event { Some(policy) } else { None });
        let version = named.ok_or("the job never decided the gates")?;
        let known = self.versions.get(..usize::try_from(version).map_err(|error| error.to_string())?);
        let known = known.ok_or_else(|| format!("trust policy version {version} is not published"))?;
        TrustedPolicy::follow(self.roots, known).map_err(|error| error.to_string())
    }

    async fn build(&self, policy: &TrustPolicy, record: &DeploymentRecord) -> Result<Result<(), String>, Failure> {
        let Some(object) = self.artifacts.get(&Key::Blob(record.manifest), BuildManifest::LIMIT).await? else {
            return Ok(Err("the manifest is not in the artifacts store".to_owned()));
        };
        let envelopes = attestations::list(self.artifacts, record.manifest, AttestationKind::Build).await?;
        let role = &policy.roles.builder;
        let keys = policy.keys_of(role);
        let verified = VerifiedManifest::verify(&object.bytes, record.manifest, &envelopes, &keys, role.threshold);
        Ok(match verified {
            Ok(build) if build.manifest().build.number() == record.build => Ok(()),
            Ok(build) => Err(format!("the manifest is of build {}", build.manifest().build.number())),
            Err(reasons) => Err(reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        })
    }

    async fn plan(
        &self,
        policy: &TrustPolicy,
        record: &DeploymentRecord,
    ) -> Result<Result<Verified<statement::Plan>, String>, Failure> {
        let keys = policy.keys_of(&policy.roles.planner);
        for envelope in attestations::list(self.artifacts, record.manifest, AttestationKind::Plan).await? {
            let Ok(plan) = Verified::<statement::Plan>::open(&envelope, &keys) else { continue };
            if plan.statement() != record.plan {
                continue;
            }
            let said = plan.predicate();
            let fits = plan.subject(subject::MANIFEST) == Some(record.manifest)
                && (&said.project, &said.environment) == (&record.project, &record.environment);
            return Ok(if fits { Ok(plan) } else { Err("the plan is for something else".to_owned()) });
        }
        Ok(Err("the artifacts store has no copy of the plan, signed by the planner".to_owned()))
    }

    /// The approvals that the launch named: whose they are, what they are about, and that they held when the job began.
    async fn approvals(
        &self,
        policy: &TrustPolicy,
        record: &DeploymentRecord,
        plan: &Verified<statement::Plan>,
        apply: &JobStatus,
    ) -> Result<Result<(), String>, Failure> {
        let keys: Vec<_> = policy.approver_keys().into_iter().chain(policy.bot_keys()).collect();
        let mut named = BTreeMap::new();
        for envelope in attestations::list(self.artifacts, record.manifest, AttestationKind::Approval).await? {
            if let Ok(approval) = Verified::<statement::Approval>::open(&envelope, &keys) {
                named.entry(approval.statement()).or_insert_with(Vec::new).push(approval);
            }
        }
        let mut people = std::collections::BTreeSet::new();
        for digest in &apply.request.approvals {
            let Some(approvals) = named.get(digest) else {
                return Ok(Err(format!("approval {} is missing, or of nobody who may approve", digest.short())));
            };
            for approval in approvals {
                if let Err(problem) = about(record, plan, approval) {
                    return Ok(Err(format!("approval {}: {problem}", digest.short())));
                }
                people.extend(approval.signers().iter().filter_map(|key| policy.person_of(key)).cloned());
            }
        }
        let unproven: Vec<_> = record.approved_by.iter().filter(|person| !people.contains(*person)).collect();
        Ok(match unproven.first() {
            Some(person) => Err(format!("the record names {person}, but no approval of theirs was named")),
            None => Ok(()),
        })
    }
}

fn about(
    record: &DeploymentRecord,
    plan: &Verified<statement::Plan>,
    approval: &Verified<statement::Approval>,
) -> Result<(), String> {
    let said = approval.predicate();
    for (what, same) in [
        ("manifest", approval.subject(subject::MANIFEST) == Some(record.manifest)),
        ("plan summary", approval.subject(subject::SUMMARY) == plan.subject(subject::SUMMARY)),
        ("plan", said.plan == record.plan),
        ("change", said.change == record.change),
        ("project", said.project == record.project),
        ("environment", said.environment == record.environment),
    ] {
        if !same {
            return Err(format!("it is for another {what}"));
        }
    }
    if said.decision != Decision::Approve {
        return Err("it is not a yes".to_owned());
    }
    if record.started_at >= said.expires_at {
        return Err(format!("it ended at {}, before the job began to apply", said.expires_at));
    }
    Ok(())
}

fn numbered(record: &DeploymentRecord, before: Option<&DeploymentRecord>) -> Result<(), String> {
    let expected = before.map_or(0, |record| record.sequence) + 1;
    if record.sequence == expected { Ok(()) } else { Err(format!("number {expected} is missing")) }
}

/// Folds the events again: each holds the hash of the one before, and nothing impossible happened.
fn chain(apply: &JobStatus) -> Result<Job, String> {
    let mut job = Job::new(apply.job, apply.request.action);
    for event in &apply.events {
        job.take(event).map_err(|error| error.to_string())?;
    }
    match job.ended() {
        Some(_) => Ok(job),
        None => Err("the job has not ended".to_owned()),
    }
}

/// The events after the last side effect are held by nothing that comes later: the signed record must say the same.
fn same_story(job: &Job, record: &DeploymentRecord) -> Result<(), String> {
    let ended = job.ended().map(|(outcome, _)| outcome);
    let fits = match job.recorded() {
        Some((sequence, outcome)) => {
            (sequence, outcome) == (record.sequence, record.outcome) && ended == Some(ending(outcome))
        }
        // The worker died, or could not write: its successor recorded that, or found the record written already.
        None => {
            record.outcome == Outcome::Interrupted
                || matches!(ended, Some(JobOutcome::Interrupted | JobOutcome::Failed))
        }
    };
    if !fits {
        let ended = ended.map_or_else(|| "goes on".to_owned(), |outcome| format!("ended as {outcome}"));
        return Err(format!("the job {ended}, but the record says {:?}", record.outcome).to_lowercase());
    }
    for (number, step) in (1..).zip(&record.steps) {
        let told = match job.steps().iter().find(|(begun, _)| *begun == number) {
            None => StepOutcome::NotBegun,
            Some((_, StepState::Open)) => StepOutcome::Unknown,
            Some((_, StepState::Done)) => StepOutcome::Done,
            Some((_, StepState::Failed(_))) => StepOutcome::Failed,
            Some((_, StepState::RolledBack(_))) => StepOutcome::RolledBack,
        };
        if told != step.outcome {
            return Err(format!("step {number} is {:?} in the record, {told:?} in the events", step.outcome));
        }
    }
    Ok(())
}

/// How a job ends that recorded this.
fn ending(outcome: Outcome) -> JobOutcome {
    match outcome {
        Outcome::Succeeded => JobOutcome::Succeeded,
        Outcome::Failed => JobOutcome::Failed,
        Outcome::RolledBack => JobOutcome::RolledBack,
        Outcome::Cancelled => JobOutcome::Cancelled,
        Outcome::Interrupted => JobOutcome::Interrupted,
    }
}

fn signed_by_deployer(policy: &TrustPolicy, files: &DeploymentFiles) -> Result<(), String> {
    let envelope = files.envelope.as_ref().ok_or("the record is not signed")?;
    let keys = policy.keys_of(&policy.roles.deployer);
    let opened = Verified::<statement::Deployment>::open(&envelope.0, &keys).map_err(|error| error.to_string())?;
    let (said, record) = (opened.predicate(), &files.record);
    let same = said.record == Digest::of(&record.to_bytes())
        && opened.subject(subject::MANIFEST) == Some(record.manifest)
        && said.sequence == record.sequence
        && said.job == record.job
        && said.outcome == record.outcome;
    if same { Ok(()) } else { Err("the signed statement is about another record".to_owned()) }
}
