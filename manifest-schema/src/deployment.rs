//! What is deployed: one record per apply that did anything.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::job::{JobId, TaskId};
use crate::json::{Document, schema_tag};
use crate::keys::PublicKey;
use crate::manifest::BuildNumber;
use crate::names::{ChangeId, EnvironmentName, PersonName, ProjectName};
use crate::statement::{Outcome, PlanBase};
use crate::time::Timestamp;

schema_tag!(DeploymentRecordSchema, "airlock/deployment-record/v1");
schema_tag!(LeaseSchema, "airlock/lease/v1");
schema_tag!(ClaimSchema, "airlock/claim/v1");
schema_tag!(HeartbeatSchema, "airlock/heartbeat/v1");

/// What one apply did, and what is live since. The newest record alone tells what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DeploymentRecord {
    /// Always `airlock/deployment-record/v1`.
    pub schema: DeploymentRecordSchema,
    /// Where.
    pub environment: EnvironmentName,
    /// Of what.
    pub project: ProjectName,
    /// From 1, one more each time.
    pub sequence: u64,
    /// The apply job.
    pub job: JobId,
    /// The build.
    pub build: BuildNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// The plan statement.
    pub plan: Digest,
    /// The change.
    pub change: ChangeId,
    /// The people whose approvals counted.
    pub approved_by: Vec<PersonName>,
    /// Keys under which the build was accepted; a drift job accepts them later, whatever the trust policy then says.
    pub builders: Vec<PublicKey>,
    /// How it ended.
    pub outcome: Outcome,
    /// When the job began to apply.
    pub started_at: Timestamp,
    /// When it ended, or was found dead.
    pub finished_at: Timestamp,
    /// Each step of the manifest, in order.
    pub steps: Vec<StepRecord>,
    /// The last complete deployment, this one included: "what runs".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<LiveBuild>,
}

/// What became of a step, and which build is live in it since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StepRecord {
    /// The step: `terraform infra`, `service web`.
    pub name: String,
    /// What became of it.
    pub outcome: StepOutcome,
    /// The build live in it now. Two when that can't be known: the one before and the one that was being deployed.
    pub live: Vec<LiveBuild>,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepOutcome {
    /// Done.
    Done,
    /// Failed, perhaps after having done part of it.
    Failed,
    /// Failed, and what was live before is live again.
    RolledBack,
    /// Begun, and nobody knows how far it came.
    Unknown,
    /// Not begun.
    NotBegun,
}

/// A build that is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LiveBuild {
    /// The build.
    pub build: BuildNumber,
    /// Its manifest.
    pub manifest: Digest,
}

impl Document for DeploymentRecord {
    const SCHEMA: &'static str = DeploymentRecordSchema::NAME;
    const NAME: &'static str = "deployment record";
    const LIMIT: usize = 1 << 20;
}

impl DeploymentRecord {
    /// The highest build that is, or may be, live in any step.
    pub fn highest_live(&self) -> Option<BuildNumber> {
        self.steps.iter().flat_map(|step| &step.live).map(|live| live.build).max()
    }

    /// What a plan made now starts from.
    pub fn base(latest: Option<&Self>) -> PlanBase {
        PlanBase {
            sequence: latest.map_or(0, |record| record.sequence),
            manifest: latest.and_then(|record| record.complete).map(|complete| complete.manifest),
        }
    }

    /// The steps of a new record: what became of each step of this build, over what was live before.
    pub fn steps(
        names: &[String],
        outcome_of: impl Fn(usize) -> StepOutcome,
        new: LiveBuild,
        before: Option<&Self>,
    ) -> Vec<StepRecord> {
        let old = |name: &String| {
            let steps = before.iter().flat_map(|record| &record.steps);
            steps.filter(|step| step.name == *name).flat_map(|step| step.live.clone()).collect::<Vec<_>>()
        };
        let record = |(index, name): (usize, &String)| {
            let outcome = outcome_of(index);
            let live = match outcome {
                StepOutcome::Done => vec![new],
                StepOutcome::NotBegun | StepOutcome::RolledBack => old(name),
                StepOutcome::Failed | StepOutcome::Unknown => {
                    let mut both = old(name);
                    if !both.contains(&new) {
                        both.push(new);
                    }
                    both
                }
            };
            StepRecord { name: name.clone(), outcome, live }
        };
        let mut steps: Vec<_> = names.iter().enumerate().map(record).collect();
        // A step that this build no longer has may still run what an older build put there.
        let gone = before.iter().flat_map(|record| &record.steps).filter(|step| !names.contains(&step.name));
        steps.extend(gone.map(|step| StepRecord { outcome: StepOutcome::NotBegun, ..step.clone() }));
        steps
    }
}

/// One apply at a time: who holds a project in an environment. Updated only by compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Lease {
    /// Always `airlock/lease/v1`.
    pub schema: LeaseSchema,
    /// Grows by one with every holder; what an outdated holder writes can be told by it.
    pub fence: u64,
    /// Who holds it; absent when it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<LeaseHolder>,
    /// Jobs that ended while they held it, and whose deployment records may still be unwritten, oldest first. Whoever
    /// takes the lease writes them before anything else; only then is a job taken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrecorded: Vec<JobId>,
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LeaseHolder {
    /// The apply job.
    pub job: JobId,
    /// The task that runs it.
    pub task: TaskId,
    /// The Terraform state that its holder may lock; who takes the lease over may unlock it.
    pub state: String,
    /// Since when.
    pub since: Timestamp,
}

impl Document for Lease {
    const SCHEMA: &'static str = LeaseSchema::NAME;
    const NAME: &'static str = "lease";
    const LIMIT: usize = 64 << 10;
}

/// Which job may apply a plan; create-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Claim {
    /// Always `airlock/claim/v1`.
    pub schema: ClaimSchema,
    /// The apply job.
    pub job: JobId,
    /// When it claimed.
    pub claimed_at: Timestamp,
}

impl Document for Claim {
    const SCHEMA: &'static str = ClaimSchema::NAME;
    const NAME: &'static str = "claim";
    const LIMIT: usize = 64 << 10;
}

/// When a worker was last alive; overwritten, outside the chain of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Heartbeat {
    /// Always `airlock/heartbeat/v1`.
    pub schema: HeartbeatSchema,
    /// The worker's task.
    pub task: TaskId,
    /// When it was alive.
    pub at: Timestamp,
}

impl Document for Heartbeat {
    const SCHEMA: &'static str = HeartbeatSchema::NAME;
    const NAME: &'static str = "heartbeat";
    const LIMIT: usize = 64 << 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(number: u64) -> LiveBuild {
        LiveBuild { build: BuildNumber { epoch: 0, number }, manifest: Digest::of(&number.to_le_bytes()) }
    }

    fn record(steps: Vec<StepRecord>) -> DeploymentRecord {
        DeploymentRecord {
            schema: DeploymentRecordSchema,
            environment: "production".parse().unwrap(),
            project: "hello".parse().unwrap(),
            sequence: 3,
            job: JobId::new(Timestamp::from_millis(0).unwrap(), [0; 10]),
            build: live(7).build,
            manifest: live(7).manifest,
            plan: Digest::of(b"plan"),
            change: "CHG-1".parse().unwrap(),
            approved_by: Vec::new(),
            builders: Vec::new(),
            outcome: Outcome::Failed,
            started_at: Timestamp::from_millis(0).unwrap(),
            finished_at: Timestamp::from_millis(1).unwrap(),
            steps,
            complete: Some(live(6)),
        }
    }

    /// Threat model, row 1: what may be live counts as live, whichever way the deploy was going.
    #[test]
    fn what_may_be_live_counts_as_live() {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let outcomes = [StepOutcome::Done, StepOutcome::Unknown, StepOutcome::NotBegun, StepOutcome::RolledBack];
        let step =
            |name: &str, number| StepRecord { name: name.into(), outcome: StepOutcome::Done, live: vec![live(number)] };
        let before =
            record(["a", "b", "c", "d"].map(|name| step(name, 8)).into_iter().chain([step("gone", 9)]).collect());
        let steps = DeploymentRecord::steps(&names, |index| outcomes[index], live(7), Some(&before));
        let lives: Vec<_> = steps
            .iter()
            .map(|s| (s.name.as_str(), s.live.iter().map(|l| l.build.number).collect::<Vec<_>>()))
            .collect();
        assert_eq!(lives, [("a", vec![7]), ("b", vec![8, 7]), ("c", vec![8]), ("d", vec![8]), ("gone", vec![9])]);
        assert_eq!(record(steps).highest_live(), Some(live(9).build));
        assert_eq!(DeploymentRecord::base(Some(&before)), PlanBase { sequence: 3, manifest: Some(live(6).manifest) });
        assert_eq!(DeploymentRecord::base(None), PlanBase { sequence: 0, manifest: None });
    }
}
