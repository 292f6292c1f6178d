//! What each type of statement says. Everything long is named by digest, so that a statement fits a KMS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::digest::Digest;
use crate::job::JobId;
use crate::names::{ChangeId, EnvironmentName, ProjectName};
use crate::time::Timestamp;

/// The builder says: I made this. Subject: the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Build {
    /// When the build was signed. Gate 7 measures a build's age from the earliest of these.
    pub built_at: Timestamp,
}

impl Predicate for Build {
    const TYPE: &'static str = "urn:airlock:build:v1";
    const NAME: &'static str = "a build statement";
}

/// The planner says: applying this build here would do this. Subjects: manifest, plan summary, saved plan (only when
/// there is a Terraform step).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Plan {
    /// What would be deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// The plan job.
    pub job: JobId,
    /// What ran when it was planned.
    pub base: PlanBase,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// When it can no longer be applied.
    pub expires_at: Timestamp,
}

impl Predicate for Plan {
    const TYPE: &'static str = "urn:airlock:plan:v1";
    const NAME: &'static str = "a plan statement";
}

/// What a plan starts from: the latest deployment record, whatever its outcome. The task definitions it starts from
/// are in the plan summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanBase {
    /// Number of the latest deployment record; 0 when there is none.
    pub sequence: u64,
    /// Manifest of the last complete deployment: "what runs". None before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
}

/// The change bot says: this is what I found out about the change. Subjects: manifest, plan summary, facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Review {
    /// What would be deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// The change.
    pub change: ChangeId,
    /// The plan statement that was reviewed.
    pub plan: Digest,
    /// Whether the processes were followed.
    pub verdict: ReviewVerdict,
    /// SHA-256 of the document that lists the authors' forge identities ([`crate::gates::Authors`]); none of them may
    /// approve.
    pub authors: Digest,
    /// When it was reviewed.
    pub reviewed_at: Timestamp,
}

impl Predicate for Review {
    const TYPE: &'static str = "urn:airlock:review:v1";
    const NAME: &'static str = "a review statement";
}

/// What a review concludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReviewVerdict {
    /// The correct processes were followed.
    Approve,
    /// A person must look: deviations were found.
    Person,
}

/// The change bot or a person says yes, no, or takes either back. Subjects: manifest, plan summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Approval {
    /// What would be deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// The change.
    pub change: ChangeId,
    /// The plan statement.
    pub plan: Digest,
    /// Yes, no, or an earlier statement taken back.
    pub decision: Decision,
    /// A *yes* that also lets an older or aged build through (gates 7 and 8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rollback: bool,
    /// A *yes* that also holds in a freeze window (gate 9).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When a *yes* ends. A *no* and a revocation don't end.
    pub expires_at: Timestamp,
    /// What its signer wants others to know, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Predicate for Approval {
    const TYPE: &'static str = "urn:airlock:approval:v1";
    const NAME: &'static str = "an approval statement";
}

/// What an approval statement decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Decision {
    /// Yes.
    Approve,
    /// No. It stands, for this manifest and environment, until its signer revokes it.
    Reject,
    /// The signer's own earlier statement counts no more.
    Revoke {
        /// Digest of that statement.
        statement: Digest,
    },
}

/// The deployer says: I did this. Subject: the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Deployment {
    /// What was deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// The change.
    pub change: ChangeId,
    /// The plan statement.
    pub plan: Digest,
    /// The apply job.
    pub job: JobId,
    /// How it ended.
    pub outcome: Outcome,
    /// Number of the deployment record.
    pub sequence: u64,
    /// SHA-256 of the deployment record's bytes, which tell what each step did.
    pub record: Digest,
    /// When it ended.
    pub finished_at: Timestamp,
}

impl Predicate for Deployment {
    const TYPE: &'static str = "urn:airlock:deployment:v1";
    const NAME: &'static str = "a deployment statement";
}

/// How an apply ended that did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step is done.
    Succeeded,
    /// A step failed.
    Failed,
    /// A step failed and what it changed was put back.
    RolledBack,
    /// Cancelled between or within steps.
    Cancelled,
    /// The worker died.
    Interrupted,
}

/// The roots say: this is the trust policy. Subject: the trust policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustPolicy {
    /// Its version.
    pub version: u64,
}

impl Predicate for TrustPolicy {
    const TYPE: &'static str = "urn:airlock:trust-policy:v1";
    const NAME: &'static str = "a trust policy statement";
}
