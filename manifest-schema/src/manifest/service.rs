//! A step that makes an ECS service run images of the build: which, and what else about the service it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// CPU units that ECS takes for a task (ECS API reference, `RegisterTaskDefinition`, "cpu").
const CPU: std::ops::RangeInclusive<u32> = 128..=196_608;
/// Memory that a task can be given, in MiB: what Docker needs at least, and more than any machine has.
const MEMORY: std::ops::RangeInclusive<u32> = 6..=33_554_432;
/// More tasks than a service may have (Amazon ECS service quotas, "Tasks per service").
const MOST_TASKS: u32 = 10_000;
/// Most variables that one step sets.
const MOST_VARIABLES: usize = 200;
/// Longest text of a variable, in bytes: a whole task definition has at most 64 KiB.
const LONGEST_TEXT: usize = 16 << 10;

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

    /// Everything that it sets beside images, as people read it, by path: `cpu`, `desiredCount`,
    /// `containers.app.environment.LOG_LEVEL`.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let numbers = [("cpu", self.cpu), ("memory", self.memory), ("desiredCount", self.desired_count)];
        let numbers = numbers.into_iter().filter_map(|(path, number)| Some((path.to_owned(), number?.to_string())));
        let texts = variables(&self.environment)
            .map(|(container, name, text)| (environment_path(container, name), format!("{text:?}")));
        let secrets = variables(&self.secrets)
            .map(|(container, name, reference)| (secret_path(container, name), reference.to_string()));
        let cluster = self.cluster.iter().map(|cluster| ("cluster".to_owned(), cluster.to_string()));
        let group = self.group.iter().map(|group| ("group".to_owned(), group.to_string()));
        cluster.chain(group).chain(numbers).chain(texts).chain(secrets).collect()
    }

    /// Every container that it says anything about.
    pub fn named_containers(&self) -> BTreeSet<&ServiceName> {
        self.containers.keys().chain(self.environment.keys()).chain(self.secrets.keys()).collect()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.containers.is_empty() {
            return Err("no container is named".to_owned());
        }
        if let Some(cpu) = self.cpu.filter(|cpu| !CPU.contains(cpu)) {
            return Err(format!(
                "cpu is {cpu}; use {} to {} units, of which 1024 are one vCPU",
                CPU.start(),
                CPU.end()
            ));
        }
        if let Some(memory) = self.memory.filter(|memory| !MEMORY.contains(memory)) {
            return Err(format!("memory is {memory}; use {} to {} MiB", MEMORY.start(), MEMORY.end()));
        }
        if let Some(count) = self.desired_count.filter(|count| *count > MOST_TASKS) {
            return Err(format!("desiredCount is {count}; at most {MOST_TASKS} are possible"));
        }
        let number = variables(&self.environment).count() + variables(&self.secrets).count();
        if number > MOST_VARIABLES {
            return Err(format!("{number} variables of containers; at most {MOST_VARIABLES} are read"));
        }
        if let Some((container, name, _)) = variables(&self.environment).find(|(.., text)| text.len() > LONGEST_TEXT) {
            let path = environment_path(container, name);
            return Err(format!("{path} is longer than {LONGEST_TEXT} bytes"));
        }
        let twice = |(container, name): &(&ServiceName, &VariableName)| {
            self.secrets.get(*container).is_some_and(|secrets| secrets.contains_key(*name))
        };
        match variables(&self.environment).map(|(container, name, _)| (container, name)).find(twice) {
            Some((container, name)) => {
                Err(format!("variable {name} of container {container} is both a text and a secret"))
            }
            None => Ok(()),
        }
    }
}

/// How a container's environment variable is called in plans and comparisons.
pub fn environment_path(container: &ServiceName, name: &VariableName) -> String {
    format!("containers.{container}.environment.{name}")
}

/// How a container's secret is called in plans and comparisons.
pub fn secret_path(container: &ServiceName, name: &VariableName) -> String {
    format!("containers.{container}.secrets.{name}")
}

/// Each variable of each container.
fn variables<T>(
    of: &BTreeMap<ServiceName, BTreeMap<VariableName, T>>,
) -> impl Iterator<Item = (&ServiceName, &VariableName, &T)> {
    of.iter().flat_map(|(container, variables)| variables.iter().map(move |(name, value)| (container, name, value)))
}
