//! A step that makes an ECS service run images of the build: which, and what else about the service it changes.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::revision::Revision;
use crate::json::{unique_map, unique_maps};
use crate::names::{ArtifactName, ClusterName, GroupName, ParameterName, ServiceName, VariableName};

/// What a service would be made to run. What it doesn't name stays as the service's current task definition has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceStep {
    /// The service.
    pub service: ServiceName,
    /// The cluster it is in; the one that the worker's configuration names, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// What it rolls out with: neighbouring steps of one group do so at the same time, and if one fails all go back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupName>,
    /// Container name in the task definition → image artifact.
    #[serde(deserialize_with = "unique_map")]
    pub containers: BTreeMap<ServiceName, ArtifactName>,
    /// CPU units of a task: 1024 are one vCPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory of a task, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// How many tasks the service keeps running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<u32>,
    /// Container name → environment variables with public texts; other variables stay.
    #[serde(default, deserialize_with = "unique_maps", skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<ServiceName, BTreeMap<VariableName, String>>,
    /// Container name → environment variables whose values only production knows; other variables stay.
    #[serde(default, deserialize_with = "unique_maps", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<ServiceName, BTreeMap<VariableName, SecretReference>>,
}

/// Where production has what a container gets as a secret. ECS reads it when a task starts; nothing of Airlock does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SecretReference {
    /// What production's Parameter Store has as `/airlock/ENVIRONMENT/PROJECT/NAME`.
    Parameter(ParameterName),
    /// What production's Secrets Manager has as `airlock/ENVIRONMENT/PROJECT/NAME`.
    Secret(ParameterName),
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "parameter {name}"),
            Self::Secret(name) => write!(f, "secret {name}"),
        }
    }
}

/// More tasks than a service may have (Amazon ECS service quotas, "Tasks per service").
const MOST_TASKS: u32 = 10_000;

impl ServiceStep {
    /// A step that changes images and nothing else.
    pub fn new(service: ServiceName, containers: BTreeMap<ServiceName, ArtifactName>) -> Self {
        Self {
            service,
            cluster: None,
            group: None,
            containers,
            cpu: None,
            memory: None,
            desired_count: None,
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
        }
    }

    /// What it changes in the service's task definition.
    pub fn revision(&self) -> Revision<'_> {
        let Self { containers, cpu, memory, environment, secrets, .. } = self;
        Revision { containers, cpu: *cpu, memory: *memory, environment, secrets }
    }

    /// Everything that it sets beside images, as people read it, by path: `cpu`, `desiredCount`,
    /// `containers.app.environment.LOG_LEVEL`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.revision().settings();
        let count = self.desired_count.map(|count| ("desiredCount".to_owned(), count.to_string()));
        let cluster = self.cluster.iter().map(|cluster| ("cluster".to_owned(), cluster.to_string()));
        let group = self.group.iter().map(|group| ("group".to_owned(), group.to_string()));
        settings.extend(cluster.chain(group).chain(count));
        settings
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.revision().check()?;
        match self.desired_count.filter(|count| *count > MOST_TASKS) {
            Some(count) => Err(format!("desiredCount is {count}; at most {MOST_TASKS} are possible")),
            None => Ok(()),
        }
    }
}
