//! Every key of both stores. No path is formatted anywhere else.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, hex};
use crate::job::JobId;
use crate::manifest::BuildNumber;
use crate::names::{EnvironmentName, ProjectName};

/// A place in the artifacts store or in the production store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Immutable bytes named by their digest.
    Blob(Digest),
    /// A signed statement about a build.
    Attestation {
        /// The build's manifest.
        manifest: Digest,
        /// What the statement says.
        kind: AttestationKind,
        /// SHA-256 of the payload.
        statement: Digest,
        /// SHA-256 of the envelope.
        envelope: Digest,
    },
    /// Build → manifest digest; create-only, written last.
    Build(ProjectName, BuildNumber),
    /// The bytes of one trust policy version, in the artifacts store.
    TrustPolicy(u64),
    /// One envelope of a trust policy version, in the artifacts store.
    TrustEnvelope(u64, Digest),
    /// A trust policy version with its envelopes, in the production store.
    TrustRecord(u64),
    /// SHA-256 of an idempotency key → job; create-only.
    Launch(Digest),
    /// A job's request.
    JobRequest(JobId),
    /// One event of a job, numbered from 1; create-only.
    JobEvent(JobId, u32),
    /// When the worker was last alive; overwritten.
    JobHeartbeat(JobId),
    /// One of the files that a plan job leaves.
    JobPlan(JobId, PlanFile),
    /// Terraform's saved plan, by the plan job that made it; emptied once it can't be applied any more. It may hold
    /// secrets and is for planner and deployer only, so it is under a prefix of its own, which permissions can name.
    SavedPlan(JobId),
    /// The state that a job's Terraform could not save where it belongs; emptied once it is there. It may hold secrets and
    /// is, but for planner and deployer, for the people who put it there.
    ErroredState(EnvironmentName, ProjectName, JobId),
    /// The deployer's signed statement about the record, by its digest, of what a job did.
    JobDeployment(JobId, Digest),
    /// The job that made a plan; written last by the planner.
    PlanJob(Digest),
    /// The n-th job that may apply a plan; create-only.
    PlanClaim(Digest, u32),
    /// The n-th deployment record of a project; create-only.
    Deployed(EnvironmentName, ProjectName, u64),
    /// One apply at a time.
    Lease(EnvironmentName, ProjectName),
}

/// What a stored statement about a build says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttestationKind {
    /// Signed by the builder.
    Build,
    /// Signed by the planner; a copy.
    Plan,
    /// Signed by the change bot.
    Review,
    /// Signed by the change bot or a person.
    Approval,
    /// Signed by the deployer; a copy.
    Deployment,
}

impl AttestationKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Build, Self::Plan, Self::Review, Self::Approval, Self::Deployment];

    /// The directory's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Plan => "plan",
            Self::Review => "review",
            Self::Approval => "approval",
            Self::Deployment => "deployment",
        }
    }
}

/// The files that a plan job leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlanFile {
    /// The plan summary.
    Summary,
    /// The planner's signed statement.
    Envelope,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(f, "{}{}", prefix::BLOBS, digest.hex()),
            Self::Attestation { manifest, kind, statement, envelope } => {
                let short = hex(&envelope.as_bytes()[..8]);
                write!(f, "{}{}-{short}.json", prefix::attestations(*manifest, *kind), statement.hex())
            }
            Self::Build(project, build) => write!(f, "{}{build}.json", prefix::builds(project)),
            Self::TrustPolicy(version) => write!(f, "{}policy.json", prefix::trust_version(*version)),
            Self::TrustEnvelope(version, envelope) => {
                write!(f, "{}{}.dsse.json", prefix::trust_version(*version), hex(&envelope.as_bytes()[..8]))
            }
            Self::TrustRecord(version) => write!(f, "{}{version:06}.json", prefix::TRUST),
            Self::Launch(key) => write!(f, "launches/{}.json", key.hex()),
            Self::JobRequest(job) => write!(f, "jobs/{job}/request.json"),
            Self::JobEvent(job, number) => write!(f, "{}{number:06}.json", prefix::job_events(*job)),
            Self::JobHeartbeat(job) => write!(f, "jobs/{job}/heartbeat.json"),
            Self::JobPlan(job, PlanFile::Summary) => write!(f, "jobs/{job}/plan/summary.json"),
            Self::JobPlan(job, PlanFile::Envelope) => write!(f, "jobs/{job}/plan/plan.dsse.json"),
            Self::SavedPlan(job) => write!(f, "{}{job}.tfplan", prefix::SAVED_PLANS),
            Self::ErroredState(environment, project, job) => {
                write!(f, "{}{job}.tfstate", prefix::errored_states(environment, project))
            }
            Self::JobDeployment(job, record) => write!(f, "jobs/{job}/deployment/{}.dsse.json", record.hex()),
            Self::PlanJob(plan) => write!(f, "plans/{}/job.json", plan.hex()),
            Self::PlanClaim(plan, number) => write!(f, "{}{number:06}.json", prefix::claims(*plan)),
            Self::Deployed(environment, project, number) => {
                write!(f, "{}{number:06}.json", prefix::deployed(environment, project))
            }
            Self::Lease(environment, project) => write!(f, "environments/{environment}/{project}/lease.json"),
        }
    }
}

impl Key {
    /// The number at the end of an event's, claim's, deployment record's or trust record's key.
    pub fn number_of(key: &str) -> Option<u64> {
        key.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()
    }

    /// The job at the end of a saved plan's key.
    pub fn saved_by(key: &str) -> Option<JobId> {
        key.strip_prefix(prefix::SAVED_PLANS)?.strip_suffix(".tfplan")?.parse().ok()
    }

    /// The job at the end of an unsaved state's key.
    pub fn errored_by(key: &str) -> Option<JobId> {
        key.strip_prefix(prefix::ERRORED_STATES)?.rsplit('/').next()?.strip_suffix(".tfstate")?.parse().ok()
    }
}

/// Prefixes to list under; each ends with `/`.
pub mod prefix {
    use super::{AttestationKind, Digest, EnvironmentName, JobId, ProjectName};

    /// All blobs.
    pub const BLOBS: &str = "blobs/sha256/";
    /// All builds of all projects.
    pub const BUILDS: &str = "builds/";
    /// All trust policy versions.
    pub const TRUST: &str = "trust/";
    /// All jobs.
    pub const JOBS: &str = "jobs/";
    /// All saved plans.
    pub const SAVED_PLANS: &str = "saved-plans/";
    /// All states that could not be saved.
    pub const ERRORED_STATES: &str = "errored-states/";
    /// All environments.
    pub const ENVIRONMENTS: &str = "environments/";

    /// One kind of statements about one build.
    pub fn attestations(manifest: Digest, kind: AttestationKind) -> String {
        format!("{}{}/", attestations_of(manifest), kind.as_str())
    }

    /// All statements about one build.
    pub fn attestations_of(manifest: Digest) -> String {
        format!("attestations/{}/", manifest.hex())
    }

    /// All builds of a project.
    pub fn builds(project: &ProjectName) -> String {
        format!("{BUILDS}{project}/")
    }

    /// One trust policy version in the artifacts store.
    pub fn trust_version(version: u64) -> String {
        format!("{TRUST}{version:06}/")
    }

    /// All events of a job.
    pub fn job_events(job: JobId) -> String {
        format!("{JOBS}{job}/events/")
    }

    /// All states of a project in an environment that could not be saved.
    pub fn errored_states(environment: &EnvironmentName, project: &ProjectName) -> String {
        format!("{ERRORED_STATES}{environment}/{project}/")
    }

    /// All claims on a plan.
    pub fn claims(plan: Digest) -> String {
        format!("plans/{}/claims/", plan.hex())
    }

    /// All deployment records of a project in an environment.
    pub fn deployed(environment: &EnvironmentName, project: &ProjectName) -> String {
        format!("{ENVIRONMENTS}{environment}/{project}/deployed/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout is a contract with everything that reads a bucket: docs/formats.md.
    #[test]
    fn keys_are_laid_out_as_designed() {
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        let job: JobId = "01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap();
        let project = ProjectName::new("hello").unwrap();
        let place = EnvironmentName::new("production").unwrap();
        let build = "0.12".parse().unwrap();
        let approval =
            Key::Attestation { manifest: digest, kind: AttestationKind::Approval, statement: digest, envelope: digest };
        for (key, expected) in [
            (Key::Blob(digest), format!("blobs/sha256/{hex}")),
            (approval, format!("attestations/{hex}/approval/{hex}-{}.json", &hex[..16])),
            (Key::Build(project.clone(), build), "builds/hello/0.12.json".to_owned()),
            (Key::TrustPolicy(2), "trust/000002/policy.json".to_owned()),
            (Key::TrustEnvelope(2, digest), format!("trust/000002/{}.dsse.json", &hex[..16])),
            (Key::TrustRecord(2), "trust/000002.json".to_owned()),
            (Key::Launch(digest), format!("launches/{hex}.json")),
            (Key::JobRequest(job), format!("jobs/{job}/request.json")),
            (Key::JobEvent(job, 7), format!("jobs/{job}/events/000007.json")),
            (Key::JobHeartbeat(job), format!("jobs/{job}/heartbeat.json")),
            (Key::SavedPlan(job), format!("saved-plans/{job}.tfplan")),
            (Key::JobPlan(job, PlanFile::Summary), format!("jobs/{job}/plan/summary.json")),
            (Key::JobPlan(job, PlanFile::Envelope), format!("jobs/{job}/plan/plan.dsse.json")),
            (Key::JobDeployment(job, digest), format!("jobs/{job}/deployment/{hex}.dsse.json")),
            (Key::PlanJob(digest), format!("plans/{hex}/job.json")),
            (Key::PlanClaim(digest, 1), format!("plans/{hex}/claims/000001.json")),
            (
                Key::Deployed(place.clone(), project.clone(), 3),
                "environments/production/hello/deployed/000003.json".to_owned(),
            ),
            (
                Key::ErroredState(place.clone(), project.clone(), job),
                format!("errored-states/production/hello/{job}.tfstate"),
            ),
            (Key::Lease(place, project), "environments/production/hello/lease.json".to_owned()),
        ] {
            assert_eq!(key.to_string(), expected);
        }
    }

    #[test]
    fn the_number_comes_back_from_a_key() {
        assert_eq!(Key::number_of("plans/ab/claims/000012.json"), Some(12));
        assert_eq!(Key::number_of("plans/ab/claims/x.json"), None);
        let job: JobId = "01939c7e-5d2f-7c3a-9b1e-0123456789ab".parse().unwrap();
        assert_eq!(Key::saved_by(&Key::SavedPlan(job).to_string()), Some(job));
        assert_eq!(Key::saved_by("saved-plans/x.tfplan"), None);
        assert_eq!(Key::errored_by(&format!("errored-states/production/hello/{job}.tfstate")), Some(job));
        assert_eq!(Key::errored_by(&format!("states/production/hello/{job}.tfstate")), None);
    }
}
