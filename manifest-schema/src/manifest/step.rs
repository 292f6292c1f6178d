//! The steps of a deploy.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FilesStep, FunctionStep, ScheduleStep, ServiceStep, TaskStep};
use crate::json::unique_map;
use crate::names::{ArtifactName, GroupName, ParameterName};

/// One thing to do when the build is deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Step {
    /// Plan and apply a Terraform bundle. At most one in a manifest.
    Terraform {
        /// The bundle.
        artifact: ArtifactName,
        /// Input variables. Texts are public: what is secret is named here, and only production has its value.
        #[serde(default, deserialize_with = "unique_map", skip_serializing_if = "BTreeMap::is_empty")]
        variables: BTreeMap<String, Variable>,
    },
    /// Make an ECS service run images of this build.
    Service(ServiceStep),
    /// Run a program of this build once, such as a migration.
    Task(TaskStep),
    /// Make a place in S3 hold files of this build.
    Files(FilesStep),
    /// Make what a schedule or a rule of EventBridge starts run images of this build.
    Schedule(ScheduleStep),
    /// Make a Lambda function run code of this build.
    Function(FunctionStep),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terraform { artifact, .. } => write!(f, "terraform {artifact}"),
            Self::Service(step) => write!(f, "service {}", step.service),
            Self::Task(step) => write!(f, "task {}", step.task),
            Self::Files(step) => step.fmt(f),
            Self::Schedule(step) => step.trigger.fmt(f),
            Self::Function(step) => write!(f, "function {}", step.function),
        }
    }
}

impl Step {
    /// The images that it runs.
    pub fn images(&self) -> impl Iterator<Item = &ArtifactName> {
        let (containers, function) = match self {
            Self::Terraform { .. } | Self::Files(_) => (None, None),
            Self::Service(service) => (Some(service.containers.values()), None),
            Self::Task(task) => (Some(task.containers.values()), None),
            Self::Function(function) => (None, function.code.image()),
            Self::Schedule(schedule) => (Some(schedule.containers.values()), None),
        };
        containers.into_iter().flatten().chain(function)
    }

    /// The group that it is of.
    pub fn group(&self) -> Option<&GroupName> {
        match self {
            Self::Terraform { .. } | Self::Task(_) | Self::Files(_) | Self::Function(_) | Self::Schedule(_) => None,
            Self::Service(service) => service.group.as_ref(),
        }
    }
}

/// The value of a Terraform input variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Variable {
    /// A fixed text.
    Value(String),
    /// The digest of an artifact of this build, `sha256:…`.
    DigestOf(ArtifactName),
    /// What production's Parameter Store has as `/airlock/ENVIRONMENT/PROJECT/NAME`.
    Parameter(ParameterName),
    /// What production's Secrets Manager has as `airlock/ENVIRONMENT/PROJECT/NAME`.
    Secret(ParameterName),
}

impl Variable {
    /// Whether only production knows the value.
    pub fn is_reference(&self) -> bool {
        match self {
            Self::Value(_) | Self::DigestOf(_) => false,
            Self::Parameter(_) | Self::Secret(_) => true,
        }
    }
}
