//! What a plan would do, as short as a ticket wants it.

use manifest_schema::manifest::Trigger;
use manifest_schema::names::{FunctionName, ServiceName, TaskName};
use manifest_schema::plan::{FilesChange, Finding, PlanSummary, ResourceAction, TerraformChanges};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a plan would do, as short as a ticket wants it. The plan summary has the details.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanInBrief {
    /// How many resources change, and how; absent without a Terraform step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceCounts>,
    /// The services that change, in the order of the steps.
    pub services: Vec<ServiceName>,
    /// What would run once, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskName>,
    /// The places of S3 whose files change, `BUCKET/PREFIX`, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// The schedules and rules whose tasks change, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Trigger>,
    /// The Lambda functions that change, in the order of the steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<FunctionName>,
    /// Every risk found, whatever the trust policy suppresses.
    pub findings: Vec<Finding>,
}

/// How many resources change, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResourceCounts {
    /// Made.
    pub create: u64,
    /// Changed in place.
    pub update: u64,
    /// Destroyed and made anew, in either order.
    pub replace: u64,
    /// Destroyed.
    pub delete: u64,
    /// Dropped from the state without being destroyed.
    pub forget: u64,
    /// Data sources read during the apply.
    pub read: u64,
    /// Found to differ from the state.
    pub drifted: u64,
}

impl From<&PlanSummary> for PlanInBrief {
    fn from(summary: &PlanSummary) -> Self {
        Self {
            resources: summary.terraform.as_ref().map(ResourceCounts::from),
            services: summary.services.iter().map(|service| service.service.clone()).collect(),
            tasks: summary.tasks.iter().map(|run| run.task.clone()).collect(),
            files: summary.files.iter().filter(|place| place.changes()).map(FilesChange::place).collect(),
            schedules: summary.schedules.iter().map(|schedule| schedule.trigger.clone()).collect(),
            functions: summary
                .functions
                .iter()
                .filter(|change| change.changes())
                .map(|change| change.function.clone())
                .collect(),
            findings: summary.findings.clone(),
        }
    }
}

impl From<&TerraformChanges> for ResourceCounts {
    fn from(terraform: &TerraformChanges) -> Self {
        let mut counts = Self { drifted: terraform.drift.len() as u64, ..Self::default() };
        for change in &terraform.changes {
            *match change.action {
                ResourceAction::Create => &mut counts.create,
                ResourceAction::Update => &mut counts.update,
                ResourceAction::DeleteCreate | ResourceAction::CreateDelete => &mut counts.replace,
                ResourceAction::Delete => &mut counts.delete,
                ResourceAction::Forget => &mut counts.forget,
                ResourceAction::Read => &mut counts.read,
                // Listed beside what else happens to the resource, and each has a finding of its own.
                ResourceAction::Import | ResourceAction::Move => continue,
            } += 1;
        }
        counts
    }
}
