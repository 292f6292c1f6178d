//! What a plan would do, as it leaves production: the summary that people and the bot read and approve.
//!
//! A summary carries addresses, actions and changed attribute paths; values only of attributes that the trust policy
//! allows to be shown, and never a sensitive value, a data-source result or an output's value.

mod files;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::json::{Document, schema_tag, unique_map};
use crate::manifest::{BuildNumber, Trigger};
use crate::names::{
    AlarmName, AliasName, ClusterName, EnvironmentName, FunctionName, ProjectName, ServiceName, TaskName,
};

pub use files::{FilesChange, Keys};

schema_tag!(PlanSummarySchema, "airlock/plan-summary/v1");

/// What one plan would do to one environment. Derived from the saved plan by a pure function, so that `apply` can
/// derive it again and compare the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanSummary {
    /// Always `airlock/plan-summary/v1`.
    pub schema: PlanSummarySchema,
    /// What would be deployed.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// The build's manifest.
    pub manifest: Digest,
    /// The build's number.
    pub build: BuildNumber,
    /// Version of the rules that made `findings`; another version makes the plan stale.
    pub rules: String,
    /// What Terraform would do, if the build has a Terraform step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<TerraformChanges>,
    /// What would change in each service, in the order of the steps.
    pub services: Vec<ServiceChange>,
    /// What would be run once, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskRun>,
    /// What would change in each place of S3, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FilesChange>,
    /// What would change in each scheduled task, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleChange>,
    /// What would change in each Lambda function, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionChange>,
    /// Every risk found, whatever the trust policy suppresses.
    pub findings: Vec<Finding>,
}

impl Document for PlanSummary {
    const SCHEMA: &'static str = PlanSummarySchema::NAME;
    const NAME: &'static str = "plan summary";
    // In base64 it must fit an answer of the gateway, with room for the rest.
    const LIMIT: usize = 2 << 20;
}

impl PlanSummary {
    /// Whether everything is as the build wants it: nothing to change, and nothing that was changed by somebody else.
    pub fn matches_reality(&self) -> bool {
        let as_wanted = |terraform: &TerraformChanges| {
            terraform.changes.is_empty() && terraform.drift.is_empty() && terraform.outputs.is_empty()
        };
        self.terraform.as_ref().is_none_or(as_wanted)
            && !self.services.iter().any(ServiceChange::changes)
            && !self.files.iter().any(FilesChange::changes)
            && !self.schedules.iter().any(ScheduleChange::changes)
            && !self.functions.iter().any(FunctionChange::changes)
    }
}

/// What Terraform would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TerraformChanges {
    /// Version of Terraform (or OpenTofu) that planned.
    pub version: String,
    /// Providers that could run, as the dependency lock file names them, in its order.
    pub providers: Vec<LockedProvider>,
    /// The state that the plan starts from; absent where there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateVersion>,
    /// `type.attribute` paths whose values may be shown, as the trust policy said when the plan was made.
    pub shown: Vec<String>,
    /// Resources that would change, sorted by address; those that stay as they are aren't listed. One that is imported
    /// or moved is listed for that, and again if it changes as well.
    pub changes: Vec<ResourceChange>,
    /// Resources found to differ from the state, sorted by address.
    pub drift: Vec<ResourceChange>,
    /// Names of outputs that would change, sorted. Never their values.
    pub outputs: Vec<String>,
}

/// One provider as a root module's dependency lock file (`.terraform.lock.hcl`) names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LockedProvider {
    /// Its source address.
    pub address: String,
    /// Its version.
    pub version: String,
    /// What its archive may hash to: `zh:` and the hex SHA-256 of the archive, or `h1:` and Go's hash of what is in it.
    pub hashes: Vec<String>,
}

/// Which of all states of a root module this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StateVersion {
    /// The same for all states that follow from one another.
    pub lineage: String,
    /// Grows with every change.
    pub serial: u64,
}

/// What would happen to one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceChange {
    /// Terraform's address, such as `module.web.aws_s3_bucket.logs[0]`.
    pub address: String,
    /// The resource's type, such as `aws_s3_bucket`.
    #[serde(rename = "type")]
    pub resource_type: String,
    /// What would happen.
    pub action: ResourceAction,
    /// Paths of attributes that would change, sorted: `tags.Name`, `ingress[0].cidr_blocks`.
    pub attributes: Vec<String>,
    /// Values of attributes that may be shown, by attribute path.
    #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, ValueChange>,
}

/// A shown attribute or setting before and after, as compact JSON; absent where there is none, or where it may not be
/// shown, `(known after apply)` where Terraform can't know it yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ValueChange {
    /// Before the apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// After it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What would happen to a resource. The names are those of `terraform show -json`, joined; `import` and `move` are
/// ours, for what it writes beside the actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceAction {
    /// Made.
    Create,
    /// A data source read during the apply.
    Read,
    /// Changed in place.
    Update,
    /// Destroyed.
    Delete,
    /// Destroyed, then made anew.
    DeleteCreate,
    /// Made anew, then the old one destroyed.
    CreateDelete,
    /// Dropped from the state without being destroyed.
    Forget,
    /// Something that exists is taken into the state. Listed beside what else would happen to it.
    Import,
    /// Takes over what the state has at another address, which the address names: `b (moved from a)`. Listed beside
    /// what else would happen to it.
    Move,
}

impl ResourceAction {
    /// Whether something that exists goes away.
    pub fn destroys(self) -> bool {
        match self {
            Self::Delete | Self::DeleteCreate | Self::CreateDelete | Self::Forget => true,
            Self::Create | Self::Read | Self::Update | Self::Import | Self::Move => false,
        }
    }
}

impl fmt::Display for ResourceAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::DeleteCreate | Self::CreateDelete => "replace",
            Self::Forget => "forget",
            Self::Import => "import",
            Self::Move => "move",
        })
    }
}

/// What would change in one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceChange {
    /// The service.
    pub service: ServiceName,
    /// The cluster it is in; absent where a directory stands in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// ARN of the task definition that it runs now; absent when the service doesn't exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// Container name → its image now and after.
    #[serde(deserialize_with = "unique_map")]
    pub containers: BTreeMap<ServiceName, ImageChange>,
    /// What else would change, by path: `cpu`, `memory`, `desiredCount`, `containers.app.environment.LOG_LEVEL`,
    /// `containers.app.secrets.DB`. Of environment variables never what is there now, which may be a secret; of secrets
    /// where they are, never what they are.
    #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, ValueChange>,
}

impl ServiceChange {
    /// Whether any container would run another image, or anything else would be another.
    pub fn changes(&self) -> bool {
        !self.settings.is_empty() || self.containers.values().any(ImageChange::changes)
    }
}

/// What would be run once: a revision of a service's task definition, with another command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TaskRun {
    /// The task.
    pub task: TaskName,
    /// The service that it runs like.
    pub service: ServiceName,
    /// The cluster that both are in.
    pub cluster: ClusterName,
    /// ARN of the task definition that it would be a revision of: what the service runs now; absent when the service
    /// doesn't exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// The container that runs the command.
    pub container: ServiceName,
    /// The arguments of its entry point.
    pub command: Vec<String>,
    /// Whether the build that was deployed last, and completely, has the very same step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeats: bool,
    /// Container name → its image in the service now, and in the task.
    #[serde(deserialize_with = "unique_map")]
    pub containers: BTreeMap<ServiceName, ImageChange>,
    /// What else would be another than in the service now, by path, as in services.
    #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, ValueChange>,
}

/// What would change in what a schedule or a rule starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScheduleChange {
    /// What starts it.
    pub trigger: Trigger,
    /// The cluster that it runs in; absent when the schedule, the rule or its target doesn't exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// ARN of the task definition that would be started now; absent when the schedule, the rule or its target doesn't
    /// exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// Container name → its image now and after.
    #[serde(deserialize_with = "unique_map")]
    pub containers: BTreeMap<ServiceName, ImageChange>,
    /// What else would change, by path, as in services.
    #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, ValueChange>,
}

impl ScheduleChange {
    /// Whether any container would run another image, or anything else would be another.
    pub fn changes(&self) -> bool {
        !self.settings.is_empty() || self.containers.values().any(ImageChange::changes)
    }
}

/// What would change in one Lambda function, as those see it who call its alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FunctionChange {
    /// The function.
    pub function: FunctionName,
    /// The alias that would be moved.
    pub alias: AliasName,
    /// The version that the alias names now; absent when the function or the alias doesn't exist yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether that version says of itself that a deploy of this project published it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ours: bool,
    /// That version's code and what it would be: images, or zip archives by their digests.
    pub code: ImageChange,
    /// In what else that version and the function's own configuration, of which a version would be published, differ:
    /// `environment`, `memorySize`, as Lambda calls it. Never how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<String>,
    /// Which state of that configuration this is (`RevisionId`), so that people agree to its values, too; absent when
    /// nothing would be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The alarms for which the alias would be moved back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<AlarmName>,
    /// How long they would be watched, in seconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub watch_seconds: u32,
}

impl FunctionChange {
    /// Whether another version would be published.
    pub fn changes(&self) -> bool {
        self.version.is_none() || self.code.changes() || !self.settings.is_empty()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Code before and after: a container's image, or what a function runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ImageChange {
    /// What runs now, if anything does and its digest is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// Where what runs now is from, without tag and digest, if that isn't a repository of this build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// What would run.
    pub after: Digest,
}

impl ImageChange {
    /// Whether another image would run, or the same from another place.
    pub fn changes(&self) -> bool {
        self.before != Some(self.after) || self.elsewhere.is_some()
    }
}

/// A reason for a person to look.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Finding {
    /// The rule's stable name, such as `resource.deleted`.
    pub rule: String,
    /// How bad it can be.
    pub severity: Severity,
    /// The resource or service it is about.
    pub address: String,
    /// What was found, in a sentence.
    pub message: String,
}

/// How bad a finding can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Medium,
    /// May lose data or open access.
    High,
    /// Touches what keeps production safe.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}
