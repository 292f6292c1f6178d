//! Reason codes: why something was refused or failed. Stable; `airlock explain CODE` prints what is written here.
//!
//! What this version says and decides, it says with [`Code`], a closed set. What it reads may be of a newer version and
//! is a [`ReasonCode`], an open one: a code is added without a new version of any document.

mod read;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use read::{ForeignCode, NotACode, ReasonCode};

/// Declares the codes once: variant, stable name, meaning, what to do.
macro_rules! codes {
    ($($variant:ident = $name:literal: $meaning:literal => $advice:literal,)*) => {
        /// Why something was refused or failed. In documents it is a [`ReasonCode`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the gates.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What to do about it.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)* }
            }
        }
    };
}

codes! {
    RequestMalformed = "request.malformed":
        "The launch request is not one: a field is missing, unknown, or of the wrong form."
        => "Use a CLI of the same version as production, or compare the request with `airlock manifest schema launch-request`.",
    RequestKeyReused = "request.key-reused":
        "The idempotency key was used before, for a request that asks for something else."
        => "Leave the key out (it is then derived from the request), or choose another.",
    TrustMissing = "trust.missing":
        "No trust policy is published, so nobody may sign anything."
        => "Run `airlock trust publish` with a signed policy.",
    TrustBroken = "trust.broken":
        "A trust policy version is missing, damaged, or not signed by enough roots of its own and of the version before."
        => "Check the versions with `airlock trust verify`; sign the one named with the missing root keys and publish it again.",
    TrustExpired = "trust.expired":
        "The newest trust policy has expired."
        => "Sign and publish a new version with a later `expiresAt`.",
    TrustRolledBack = "trust.rolled-back":
        "The newest trust policy found is older than one that was in force before."
        => "Somebody removed versions from the store: restore them, and find out who did.",
    EnvironmentUnknown = "environment.unknown":
        "The trust policy has no such environment."
        => "Check the name, or add the environment to the next version of the trust policy.",
    EnvironmentMismatch = "environment.mismatch":
        "This is not the account and region that the trust policy means by that environment."
        => "Launch through the gateway of the right account; nothing was done here.",
    BuildUntrusted = "build.untrusted":
        "The build is not signed by enough builders of the trust policy."
        => "Sign the manifest with the builder's key (`airlock manifest sign`) and publish it again.",
    ManifestMissing = "manifest.missing":
        "The build manifest is not in the artifacts store."
        => "Publish the build (`airlock publish`), then launch again.",
    ManifestMismatch = "manifest.mismatch":
        "The bytes stored as the build manifest have another digest than the one asked for."
        => "The artifacts store was damaged or tampered with: find out how, then publish the build again.",
    ManifestMalformed = "manifest.malformed":
        "The build manifest can't be read: another schema, beyond the limits, or inconsistent."
        => "Build again with a CLI whose manifest version production reads.",
    ProjectNotAllowed = "project.not-allowed":
        "The trust policy doesn't let this project be deployed to that environment, or the manifest is of another project."
        => "Check the request's project; to allow it, add it to the next version of the trust policy.",
    SourceMissing = "source.missing":
        "A repository that the trust policy requires is not among the build's sources."
        => "Name it in `airlock.toml`, so that its commit is recorded, and build again.",
    SourceRef = "source.ref":
        "A source was built from a ref, or from uncommitted changes, that the trust policy doesn't allow."
        => "Build from an allowed branch or tag, with everything committed.",
    EvidenceMissing = "evidence.missing":
        "A report that the trust policy requires is not in the manifest."
        => "Run the scan or the tests, name the report in `airlock.toml`, and build again.",
    EvidenceUntrusted = "evidence.untrusted":
        "A required report is not signed by who must sign it, or is about something else."
        => "Have the tool's own key sign an in-toto statement about this build's artifacts or commits.",
    BuildTooOld = "build.too-old":
        "The build is older than the trust policy allows, or its signing time lies in the future."
        => "Build again, or have a rollback approved.",
    ManifestRollback = "manifest.rollback":
        "The build is lower than one that is live in some step."
        => "To go back on purpose, have a rollback approved (`airlock change approve --rollback`); otherwise deploy a newer build.",
    DriftNotDeployed = "drift.not-deployed":
        "A drift job was asked to compare reality with a build that isn't the one that runs."
        => "Leave the build to `airlock drift`, which takes the last complete deployment.",
    DeploymentUntrusted = "deployment.untrusted":
        "The newest deployment record is not signed by the deployer for this place, or the records are not in order: what runs can't be told."
        => "Somebody changed the production store: compare it with `airlock deployed` and the copies in the artifacts store, and find out who.",
    FreezeActive = "freeze.active":
        "The environment is in a freeze window."
        => "Wait for its end, or have an emergency approved (`airlock change approve --emergency`).",
    PlanMissing = "plan.missing":
        "The plan that is to be applied is not in the production store."
        => "Launch a plan job first and use the plan that it names.",
    PlanUntrusted = "plan.untrusted":
        "The plan is not signed by the planner of the trust policy."
        => "Plan again; if it happens again, somebody writes to the production store who must not.",
    PlanMismatch = "plan.mismatch":
        "The plan is for another manifest, environment or project, or its summary is not the signed one."
        => "Use the plan that was made for exactly this build and environment.",
    PlanExpired = "plan.expired":
        "The plan is older than the trust policy lets plans be."
        => "Plan again and have the new plan approved.",
    ReviewMissing = "review.missing":
        "The trust policy wants the change bot's review, and there is none for this plan."
        => "Wait for the bot, or look at its status.",
    ReviewUntrusted = "review.untrusted":
        "A review names authors whose list is missing or altered."
        => "Have the bot review the change again.",
    ApprovalMissing = "approval.missing":
        "Fewer people approved than are needed."
        => "Ask for approval (`airlock change approve`), then launch again.",
    ApprovalUntrusted = "approval.untrusted":
        "An approval named in the request is not signed by a key that may approve."
        => "Approve with a key that the trust policy gives to a person.",
    ApprovalMismatch = "approval.mismatch":
        "An approval named in the request is for another manifest, environment, project, plan or change."
        => "Have exactly this plan of this build approved.",
    ApprovalExpired = "approval.expired":
        "An approval named in the request has expired, or is dated in the future."
        => "Approve again.",
    ApprovalRejected = "approval.rejected":
        "A person said no to this build in this environment, and has not taken it back."
        => "Talk to them; they can revoke their no (`airlock change revoke`).",
    ApprovalRevoked = "approval.revoked":
        "An approval named in the request was revoked by its signer."
        => "Ask its signer why, or ask somebody else.",
    ApprovalByAuthor = "approval.by-author":
        "An approval named in the request is by an author of the change."
        => "Ask somebody who didn't write any of it.",
    ApprovalOverreach = "approval.overreach":
        "The bot's approval claims a rollback or an emergency, which only people may."
        => "Ask a person.",
    ApprovalUnreadable = "approval.unreadable":
        "The statements about this build can't be listed, so a no could be hidden."
        => "Repair access to the artifacts store, then launch again.",
    BlobMissing = "blob.missing":
        "A blob that the manifest names is not in the artifacts store."
        => "Publish the build again.",
    BlobMismatch = "blob.mismatch":
        "A blob's bytes don't have the digest and size that the manifest names."
        => "The artifacts store was damaged or tampered with: find out how, then run `airlock publish --repair` where it was built.",
    ArtifactMissing = "artifact.missing":
        "An artifact or report of the build is not in the directory that was compared with the manifest."
        => "Build it there, or name another directory; its airlock.toml says where each artifact is.",
    ArtifactMismatch = "artifact.mismatch":
        "An artifact or report in a directory is not what the manifest says."
        => "Look at the files that differ: somebody changed them, or they were built from something else.",
    ArchiveUnsafe = "archive.unsafe":
        "An archive holds something other than exactly the files that the manifest lists."
        => "Build again with `airlock manifest build`; don't make bundles by other means.",
    TerraformForbidden = "terraform.forbidden":
        "The Terraform configuration uses something that is not allowed behind the gap."
        => "Change the file named, or have the trust policy allow the provider, or relax the rule named.",
    TerraformVersion = "terraform.version":
        "The worker has a version of Terraform or OpenTofu that the trust policy doesn't allow."
        => "Have the worker's image upgraded, or the version added to the next version of the trust policy.",
    PlanEdited = "plan.edited":
        "The saved plan, or what it does, is not what was signed and approved."
        => "Somebody changed it in the production store: find out who, then plan again.",
    PlanStale = "plan.stale":
        "Since the plan was made, something else was deployed, a service changed, or the rules changed."
        => "Plan again and have the new plan approved.",
    PlanUnsupported = "plan.unsupported":
        "The plan has something that its summary can't show: a provider's action, a key that repeats a secret, or more changes than it can hold."
        => "Change what the reason names, then build and plan again; deploy what is too much in several builds.",
    PlanClaimed = "plan.claimed":
        "Another job has already begun to apply this plan."
        => "Look at that job; to deploy again, make a new plan.",
    LeaseHeld = "lease.held":
        "Another job is applying this project in this environment."
        => "Wait for it to end, then launch again.",
    TerraformMissing = "terraform.missing":
        "The worker has no Terraform (or OpenTofu) to run."
        => "Install it where the worker runs, or name it with AIRLOCK_TERRAFORM.",
    TerraformRole = "terraform.role":
        "The role that Terraform acts as can't be taken on."
        => "Let the worker's own role assume it, with session tags, and the role trust no other: \"Who Terraform is in AWS\" in docs/operations.md has both policies.",
    TerraformVariable = "terraform.variable":
        "A variable that is given by reference can't be read in production."
        => "Make the parameter or secret that is named, and let the planner read it: \"Variables that only production knows\" in docs/operations.md has the policy.",
    StateNotSaved = "state.not-saved":
        "Terraform changed things and could not save its state, so that the next plan would not know of them."
        => "Put the state that was kept in the production store where it belongs, as docs/operations.md says under \"A state that could not be saved\"; then plan again.",
    TerraformFailed = "terraform.failed":
        "Terraform ended with an error."
        => "Read its messages in the job's events; after an apply, plan again to see what is left to do.",
    ImageNotPushed = "image.not-pushed":
        "An image could not be pushed into the production registry."
        => "Repair what the message names, or wait if it is temporary, and launch again: what arrived is not sent twice. \"The registry\" in docs/operations.md has the policy that the deployer needs.",
    ImageTagTaken = "image.tag-taken":
        "The tag that the build's image is to get in the production registry names another image already."
        => "Find out who pushed that image; then deploy another build, or do without `tag` in the deployer's configuration: nothing is deployed by a tag.",
    TargetForbidden = "target.forbidden":
        "The build would deploy to something that isn't its project's, as far as the workers' configuration says."
        => "List it for the project in `targets` of both workers' configurations (\"What a project may deploy to\" in docs/operations.md), or name another in `airlock.toml`.",
    ServiceFailed = "service.failed":
        "A service could not be made to run the build, or its new tasks failed."
        => "Read the job's events: they say what became of its tasks, and what the service runs now.",
    ServiceUnsupported = "service.unsupported":
        "A service can't be deployed in the way that the build asks for."
        => "Read what the message says about the service: change the service, the step in `airlock.toml`, or the worker's configuration.",
    ServiceReplaced = "service.replaced":
        "Somebody else deployed to a service while the job did, and the job left it at that."
        => "CloudTrail says who called UpdateService; once they are done, plan again.",
    ServiceOwnedTwice = "service.owned-twice":
        "Terraform would change which task definition a service runs, and so does a service step."
        => "Let Terraform leave it alone: `lifecycle { ignore_changes = [task_definition] }` in the resource of the service.",
    TaskFailed = "task.failed":
        "A one-off task, such as a migration, did not end well, and no step after it began."
        => "Read the job's events: they have its exit code and, with `applicationLogs` in the trust policy, what it wrote last. What it did before it ended is done: repair it, and plan again.",
    TaskUnsupported = "task.unsupported":
        "A one-off task can't be run in the way that the build asks for."
        => "Read what the message says about the task: change its step in `airlock.toml`, the service whose task definition it uses, or the worker's configuration.",
    FilesFailed = "files.failed":
        "The files of the build are not all in the bucket: S3 refused something, or somebody else changed it at the same time."
        => "Read what the message says about the object, repair it, and plan again: what is there already isn't sent again.",
    FilesUnsupported = "files.unsupported":
        "Files can't be put where the build asks for."
        => "Read what the message says about the place: change the step in `airlock.toml`, or the `files` of the workers' configuration.",
    ScheduleFailed = "schedule.failed":
        "What a schedule or a rule of EventBridge starts could not be moved to the build."
        => "Read the message: it says what is started now; put right what it names, then plan again.",
    ScheduleUnsupported = "schedule.unsupported":
        "What a schedule or a rule of EventBridge starts can't be moved in the way that the build asks for."
        => "Read what the message says about it: change its step in `airlock.toml`, the schedule or rule, or the worker's configuration.",
    ScheduleOwnedTwice = "schedule.owned-twice":
        "Terraform would change which task definition a schedule or a rule starts, and so does a step."
        => "Let Terraform leave it alone: `lifecycle { ignore_changes = [ecs_target[0].task_definition_arn] }` in the rule's target, `[target[0].ecs_parameters[0].task_definition_arn]` in the schedule.",
    FunctionFailed = "function.failed":
        "A Lambda function could not be made to run the build, or an alarm went off once it did."
        => "Read the job's events: they say which version the alias names now. The function's own code ($LATEST) may be the build's all the same; nobody who calls the alias reaches it.",
    FunctionUnsupported = "function.unsupported":
        "A Lambda function can't be deployed in the way that the build asks for."
        => "Read what the message says: change the function, its alias or alarm, the step in `airlock.toml`, or the worker's configuration.",
    FunctionOwnedTwice = "function.owned-twice":
        "Terraform would change a Lambda function's code or its alias's version, and so does a step."
        => "Let Terraform leave it alone: `lifecycle { ignore_changes = [image_uri, filename, s3_key, source_code_hash] }` in the function, `[function_version]` in the alias.",
    WorkerFailed = "worker.failed":
        "The worker could not go on: a store, a key or a disk failed it."
        => "Read the message, repair what it names, and launch again.",
    WorkerDied = "worker.died":
        "The worker ended without saying so."
        => "Launch again: the next plan shows what the dead job left.",
    TaskNotStarted = "task.not-started":
        "No task could be started for the job, or it ended before its worker ran."
        => "Read what the launcher says: the task definition, the roles, the network, the log group; repair it, then launch again.",
    TaskImage = "task.image":
        "The worker's image could not be pulled."
        => "Push the image that the task definition names, let the task's execution role pull it, and give its subnets a way to the registry; then launch again.",
    TaskCapacity = "task.capacity":
        "There was no capacity for the task."
        => "Launch again later; subnets in more availability zones, or a higher quota, make it rarer.",
    TaskOutOfMemory = "task.out-of-memory":
        "The task ran out of memory and was killed."
        => "Give the task definition more memory; after an apply, plan again to see what is left to do.",
    TaskStopped = "task.stopped":
        "Somebody, or the platform, stopped the task."
        => "CloudTrail says who called StopTask; after an apply, plan again to see what is left to do.",
    JobCancelled = "job.cancelled":
        "The job was cancelled."
        => "Launch again when it should run.",
    JobDeadline = "job.deadline":
        "The job took longer than its deadline."
        => "Look at its last events for what it waited for; raise the deadline in the worker's configuration if it is too short.",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One reason: a code, and what it is about here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// The stable code.
    pub code: ReasonCode,
    /// What exactly, in a sentence for people.
    pub message: String,
}

impl Reason {
    /// A reason of this version's own.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_name_a_meaning_and_advice() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(ReasonCode::Known(*code)));
            assert!(code.meaning().ends_with('.') && code.advice().ends_with('.'), "{code}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
