//! What crosses the gateway: the only requests that production answers, and its answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deployment::DeploymentRecord;
use crate::digest::Digest;
use crate::job::{Event, JobId, JobOutcome, LaunchRequest, Phase};
use crate::json::{Document, schema_tag};
use crate::names::{EnvironmentName, ProjectName};
use crate::reason::Reason;
use crate::time::Timestamp;

schema_tag!(LaunchResponseSchema, "airlock/launch-response/v1");
schema_tag!(StatusRequestSchema, "airlock/status-request/v1");
schema_tag!(StatusResponseSchema, "airlock/status-response/v1");
schema_tag!(CancelRequestSchema, "airlock/cancel-request/v1");
schema_tag!(CancelResponseSchema, "airlock/cancel-response/v1");

/// Largest answer, in bytes.
pub const MAX_ANSWER: usize = 4 << 20;

/// Exact bytes inside JSON, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        STANDARD.encode(bytes.0)
    }
}

crate::names::string_schema!(Bytes, "Bytes", "^[A-Za-z0-9+/]*={0,2}$", "Exact bytes, in base64.");

/// launch-deploy-job answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LaunchResponse {
    /// Always `airlock/launch-response/v1`.
    pub schema: LaunchResponseSchema,
    /// The answer.
    pub result: Launched,
}

/// What became of a launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Launched {
    /// There is a job.
    Accepted {
        /// The job.
        job: JobId,
        /// Whether an earlier launch with the same key had made it.
        existing: bool,
    },
    /// There is none, for these reasons.
    Refused {
        /// Every reason.
        reasons: Vec<Reason>,
    },
}

impl Document for LaunchResponse {
    const SCHEMA: &'static str = LaunchResponseSchema::NAME;
    const NAME: &'static str = "launch response";
}

/// get-deploy-job-status takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StatusRequest {
    /// Always `airlock/status-request/v1`.
    pub schema: StatusRequestSchema,
    /// What is asked.
    pub query: Query,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Query {
    /// How is this job?
    Job {
        /// The job.
        job: JobId,
        /// Only events after this number.
        after: u32,
    },
    /// What was deployed?
    Deployed {
        /// Where.
        environment: EnvironmentName,
        /// Of what.
        project: ProjectName,
        /// Only records after this number.
        after: u64,
    },
    /// Which jobs were there?
    Jobs {
        /// Only jobs after this one, in the order of their ids.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<JobId>,
    },
}

impl Document for StatusRequest {
    const SCHEMA: &'static str = StatusRequestSchema::NAME;
    const NAME: &'static str = "status request";
    const LIMIT: usize = 64 << 10;
}

/// get-deploy-job-status answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StatusResponse {
    /// Always `airlock/status-response/v1`.
    pub schema: StatusResponseSchema,
    /// Schemas that production reads: which documents may be sent to it.
    pub reads: Vec<String>,
    /// The answer.
    pub answer: Answer,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Answer {
    /// The job is not known here.
    UnknownJob,
    /// The job.
    Job(Box<JobStatus>),
    /// The deployments, oldest first.
    Deployed {
        /// Each record with its signed statement.
        deployments: Vec<DeploymentFiles>,
        /// Whether there are more after the last.
        more: bool,
        /// The apply job that holds the project's lease, live or not; absent when it is free.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        applying: Option<JobId>,
    },
    /// The jobs, oldest first.
    Jobs {
        /// Each with what it was asked to do.
        jobs: Vec<JobLine>,
        /// Whether there are more after the last.
        more: bool,
    },
}

impl Document for StatusResponse {
    const SCHEMA: &'static str = StatusResponseSchema::NAME;
    const NAME: &'static str = "status response";
    const LIMIT: usize = MAX_ANSWER;
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JobLine {
    /// The job.
    pub job: JobId,
    /// What it was asked to do.
    pub request: LaunchRequest,
    /// When it was launched.
    pub requested_at: Timestamp,
    /// How far it has come.
    pub phase: Phase,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<JobOutcome>,
}

/// How a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct JobStatus {
    /// The job.
    pub job: JobId,
    /// What it was asked to do.
    pub request: LaunchRequest,
    /// When it was launched.
    pub requested_at: Timestamp,
    /// How far it has come.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The task that runs it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When its worker was last known to be alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<Timestamp>,
    /// Whether somebody asked for it to be cancelled.
    pub cancelling: bool,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<JobOutcome>,
    /// Why, unless it succeeded.
    pub reasons: Vec<Reason>,
    /// Events after the number asked for, in order.
    pub events: Vec<Event>,
    /// Whether there are more after the last.
    pub more: bool,
    /// The plan that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanFiles>,
    /// The deployment that it recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentFiles>,
}

/// A plan as it leaves production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanFiles {
    /// The plan statement.
    pub statement: Digest,
    /// The planner's envelope.
    pub envelope: Bytes,
    /// The plan summary's bytes.
    pub summary: Bytes,
    /// Why it can no longer be applied, if it can't: claimed by a job that began, expired, or something else runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<String>,
}

/// A deployment as it leaves production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DeploymentFiles {
    /// The record.
    pub record: DeploymentRecord,
    /// The deployer's envelope; absent when the deployer died before it could sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Bytes>,
}

/// cancel-deploy-job takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CancelRequest {
    /// Always `airlock/cancel-request/v1`.
    pub schema: CancelRequestSchema,
    /// The job.
    pub job: JobId,
}

impl Document for CancelRequest {
    const SCHEMA: &'static str = CancelRequestSchema::NAME;
    const NAME: &'static str = "cancel request";
    const LIMIT: usize = 64 << 10;
}

/// cancel-deploy-job answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CancelResponse {
    /// Always `airlock/cancel-response/v1`.
    pub schema: CancelResponseSchema,
    /// The answer.
    pub result: Cancelled,
}

/// What became of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cancelled {
    /// The worker will stop as soon as it safely can.
    Requested,
    /// The job was over already.
    AlreadyEnded,
    /// The job is not known here.
    UnknownJob,
}

impl Document for CancelResponse {
    const SCHEMA: &'static str = CancelResponseSchema::NAME;
    const NAME: &'static str = "cancel response";
    const LIMIT: usize = 64 << 10;
}

/// Why a function of the gateway gave no answer, as Lambda passes it on. (A refusal is an answer.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionError {
    /// Whether trying again helps.
    #[serde(rename = "errorType")]
    pub kind: Trouble,
    /// What is wrong and what to do, in a sentence for people.
    #[serde(rename = "errorMessage")]
    pub message: String,
}

/// Whether trying again helps. The names are apart from those that Lambda itself gives to errors (`Runtime.…`,
/// `Sandbox.…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// The same request may succeed later without anybody doing anything.
    #[serde(rename = "Airlock.Temporary")]
    Temporary,
    /// Somebody has to do something first.
    #[serde(rename = "Airlock.Permanent")]
    Permanent,
    /// What was sent is not a request of the function.
    #[serde(rename = "Airlock.BadRequest")]
    BadRequest,
}

impl Trouble {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Temporary => "Airlock.Temporary",
            Self::Permanent => "Airlock.Permanent",
            Self::BadRequest => "Airlock.BadRequest",
        }
    }
}
