//! Small documents that lead from one name to another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::job::JobId;
use crate::json::{Document, schema_tag};
use crate::manifest::BuildNumber;
use crate::names::ProjectName;

schema_tag!(BuildPointerSchema, "airlock/build-pointer/v1");
schema_tag!(PlanPointerSchema, "airlock/plan-pointer/v1");
schema_tag!(LaunchPointerSchema, "airlock/launch-pointer/v1");

/// Build → manifest. Written last when a build is published: where it is, everything that the manifest names is, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BuildPointer {
    /// Always `airlock/build-pointer/v1`.
    pub schema: BuildPointerSchema,
    /// The project.
    pub project: ProjectName,
    /// The build.
    pub build: BuildNumber,
    /// Its manifest.
    pub manifest: Digest,
}

impl Document for BuildPointer {
    const SCHEMA: &'static str = BuildPointerSchema::NAME;
    const NAME: &'static str = "build pointer";
    const LIMIT: usize = 64 << 10;
}

/// Plan statement → the job that made it. Written last by the planner: where it is, the whole plan is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanPointer {
    /// Always `airlock/plan-pointer/v1`.
    pub schema: PlanPointerSchema,
    /// The plan job.
    pub job: JobId,
}

impl Document for PlanPointer {
    const SCHEMA: &'static str = PlanPointerSchema::NAME;
    const NAME: &'static str = "plan pointer";
    const LIMIT: usize = 64 << 10;
}

/// Idempotency key → the job it launched, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LaunchPointer {
    /// Always `airlock/launch-pointer/v1`.
    pub schema: LaunchPointerSchema,
    /// The job.
    pub job: JobId,
    /// [`crate::job::LaunchRequest::fingerprint`] of what was asked.
    pub request: Digest,
}

impl Document for LaunchPointer {
    const SCHEMA: &'static str = LaunchPointerSchema::NAME;
    const NAME: &'static str = "launch pointer";
    const LIMIT: usize = 64 << 10;
}
