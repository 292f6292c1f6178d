//! What is written down about a job: numbered events, each with the hash of the one before.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::job::JobId;
use crate::json::{Document, nothing_more, schema_tag};
use crate::names::GroupName;
use crate::reason::Reason;
use crate::statement::Outcome;
use crate::time::Timestamp;

schema_tag!(JobEventSchema, "airlock/job-event/v1");

/// One thing that happened to a job. Events are numbered from 1, created once, and each holds the hash of the one
/// before, so that none can be changed, dropped or slipped in unnoticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Event {
    /// Always `airlock/job-event/v1`.
    pub schema: JobEventSchema,
    /// The job.
    pub job: JobId,
    /// Its place in the chain, from 1.
    pub number: u32,
    /// SHA-256 of the event before; absent on the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    pub writer: Writer,
    /// What happened.
    pub event: Happening,
}

impl Document for Event {
    const SCHEMA: &'static str = JobEventSchema::NAME;
    const NAME: &'static str = "job event";
    const LIMIT: usize = 256 << 10;
}

/// Who wrote an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Writer {
    /// The gateway or the worker.
    pub kind: WriterKind,
    /// Unique to the process.
    pub id: String,
    /// Unique to the event, so that a writer whose response was lost knows its own event again.
    pub nonce: String,
}

/// The two that write events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriterKind {
    /// launch, status and cancel.
    Gateway,
    /// The task that does the job.
    Worker,
}

/// The task that runs a worker: what proves later that it is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum TaskId {
    /// A process on this machine.
    Process {
        /// Process id.
        pid: u32,
        /// Its start time in clock ticks since boot (`/proc/<pid>/stat`, field 22), because pids are used again.
        started: u64,
        /// The machine's boot id, because start times are, too.
        boot: String,
        /// The inode of the pid namespace in which `pid` means this process (`/proc/self/ns/pid`): a container has its
        /// own numbers.
        namespace: u64,
    },
    /// An ECS task.
    Ecs {
        /// Its ARN.
        arn: String,
    },
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, .. } => write!(f, "process {pid}"),
            Self::Ecs { arn } => f.write_str(arn),
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Happening {
    /// The gateway took the request.
    #[serde(deserialize_with = "nothing_more")]
    Requested,
    /// The gateway started a task for it.
    Started {
        /// The task.
        task: TaskId,
    },
    /// A worker took the job; no other may.
    Began {
        /// The task it runs in.
        task: TaskId,
        /// Its version.
        version: String,
    },
    /// Gates 1 to 10 passed.
    Verified {
        /// Version of the trust policy in force.
        policy: u64,
        /// Gates that this action only reports.
        warnings: Vec<Reason>,
    },
    /// Gates 11 to 13 passed: every blob needed is here and is what the manifest names.
    Fetched {
        /// How many blobs.
        blobs: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// The plan is made and signed.
    Planned {
        /// Its statement.
        plan: Digest,
        /// Resources and services that would change.
        changes: u64,
        /// Risks found.
        findings: u64,
    },
    /// Gate 14 passed: this is the approved plan, and it still starts from what runs.
    #[serde(deserialize_with = "nothing_more")]
    Checked,
    /// Gate 15 passed: this job, and no other, applies this plan.
    Claimed {
        /// Which claim on the plan, from 1.
        claim: u32,
    },
    /// The worker is about to do a step. Written before anything is done.
    Intent {
        /// The step's place in the manifest, from 1.
        step: u32,
        /// The step, for people.
        name: String,
        /// The group that it is of: its steps are done at the same time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupName>,
    },
    /// The step is done.
    Done {
        /// The step.
        step: u32,
    },
    /// The step failed, with whatever it did before.
    StepFailed {
        /// The step.
        step: u32,
        /// Why.
        reason: Reason,
    },
    /// The step failed, and what was live before is live again.
    StepRolledBack {
        /// The step.
        step: u32,
        /// Why.
        reason: Reason,
    },
    /// The deployment record is written and signed.
    Recorded {
        /// Its number.
        sequence: u64,
        /// What it says.
        outcome: Outcome,
    },
    /// What the worker is doing, in lines for people.
    Progress {
        /// The lines.
        lines: Vec<String>,
    },
    /// Somebody asked for the job to be cancelled.
    #[serde(deserialize_with = "nothing_more")]
    CancelRequested,
    /// The job is over.
    Ended {
        /// How.
        outcome: JobOutcome,
        /// Why, unless it succeeded.
        reasons: Vec<Reason>,
    },
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobOutcome {
    /// It did what was asked.
    Succeeded,
    /// A gate refused it; nothing was done.
    Refused,
    /// Something went wrong.
    Failed,
    /// Something went wrong and was put back.
    RolledBack,
    /// It was cancelled.
    Cancelled,
    /// Its worker died; the gateway closed it.
    Interrupted,
}

impl fmt::Display for JobOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        })
    }
}
