//! What steps change in a task definition: what services, one-off tasks and scheduled tasks have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::service::SecretReference;
use crate::names::{ArtifactName, ServiceName, VariableName};

/// What a step changes in a task definition, which makes a revision of it. What it doesn't name stays.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'a> {
    /// Container name → image artifact.
    pub containers: &'a BTreeMap<ServiceName, ArtifactName>,
    /// CPU units of a task: 1024 are one vCPU.
    pub cpu: Option<u32>,
    /// Memory of a task, in MiB.
    pub memory: Option<u32>,
    /// Container name → environment variables with public texts.
    pub environment: &'a BTreeMap<ServiceName, BTreeMap<VariableName, String>>,
    /// Container name → environment variables whose values only production knows.
    pub secrets: &'a BTreeMap<ServiceName, BTreeMap<VariableName, SecretReference>>,
}

/// CPU units that ECS takes for a task (ECS API reference, `RegisterTaskDefinition`, "cpu").
const CPU: std::ops::RangeInclusive<u32> = 128..=196_608;
/// Memory that a task can be given, in MiB: what Docker needs at least, and more than any machine has.
const MEMORY: std::ops::RangeInclusive<u32> = 6..=33_554_432;
/// Most variables that one step sets.
const MOST_VARIABLES: usize = 200;
/// Longest text of a variable, in bytes: a whole task definition has at most 64 KiB.
const LONGEST_TEXT: usize = 16 << 10;

impl<'a> Revision<'a> {
    /// Everything beside images, as people read it, by path: `cpu`, `containers.app.environment.LOG_LEVEL`.
    pub fn settings(self) -> BTreeMap<String, String> {
        let numbers = [("cpu", self.cpu), ("memory", self.memory)];
        let numbers = numbers.into_iter().filter_map(|(path, number)| Some((path.to_owned(), number?.to_string())));
        let texts = variables(self.environment)
            .map(|(container, name, text)| (environment_path(container, name), format!("{text:?}")));
        let secrets = variables(self.secrets)
            .map(|(container, name, reference)| (secret_path(container, name), reference.to_string()));
        numbers.chain(texts).chain(secrets).collect()
    }

    /// Every container that it says anything about.
    pub fn named_containers(self) -> BTreeSet<&'a ServiceName> {
        self.containers.keys().chain(self.environment.keys()).chain(self.secrets.keys()).collect()
    }

    pub(super) fn check(self) -> Result<(), String> {
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
        let number = variables(self.environment).count() + variables(self.secrets).count();
        if number > MOST_VARIABLES {
            return Err(format!("{number} variables of containers; at most {MOST_VARIABLES} are read"));
        }
        if let Some((container, name, _)) = variables(self.environment).find(|(.., text)| text.len() > LONGEST_TEXT) {
            let path = environment_path(container, name);
            return Err(format!("{path} is longer than {LONGEST_TEXT} bytes"));
        }
        let twice = |(container, name): &(&ServiceName, &VariableName)| {
            self.secrets.get(*container).is_some_and(|secrets| secrets.contains_key(*name))
        };
        match variables(self.environment).map(|(container, name, _)| (container, name)).find(twice) {
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
