//! A step that runs a program of the build once, such as a migration, with what a service has: its task definition, its
//! roles, its network.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::revision::Revision;
use super::service::SecretReference;
use crate::json::{unique_map, unique_maps};
use crate::names::{ArtifactName, ClusterName, ServiceName, TaskName, VariableName};

/// What would be run once, and has to succeed before the next step begins. What it doesn't name is as the service's
/// task definition has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TaskStep {
    /// The task.
    pub task: TaskName,
    /// The service that it runs like: with its task definition as it was when the plan was made, in its network, on the
    /// same kind of machine.
    pub service: ServiceName,
    /// The cluster that the service is in; the one that the worker's configuration names, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// Container name in the task definition → image artifact.
    #[serde(deserialize_with = "unique_map")]
    pub containers: BTreeMap<ServiceName, ArtifactName>,
    /// The container that runs the command and whose exit code counts, one of `containers`; may be left out if that has
    /// only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ServiceName>,
    /// The arguments of that container's entry point, instead of the task definition's. Public.
    pub command: Vec<String>,
    /// How long it may take from its start to its end, in seconds; 900 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Container name → environment variables with public texts; other variables stay.
    #[serde(default, deserialize_with = "unique_maps", skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<ServiceName, BTreeMap<VariableName, String>>,
    /// Container name → environment variables whose values only production knows; other variables stay.
    #[serde(default, deserialize_with = "unique_maps", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<ServiceName, BTreeMap<VariableName, SecretReference>>,
}

/// How long a task may take, in seconds, if its step doesn't say.
const TIMEOUT: u32 = 900;
/// How long it can be allowed to take, in seconds: twelve hours.
const TIMEOUTS: std::ops::RangeInclusive<u32> = 1..=43_200;
/// Most bytes of a command, as JSON: all overrides of `RunTask` together have 8192 characters (ECS API reference,
/// `RunTask`, "overrides").
const LONGEST_COMMAND: usize = 7 << 10;

impl TaskStep {
    /// The container that runs the command.
    pub fn runs_in(&self) -> Option<&ServiceName> {
        let only = || self.containers.keys().next().filter(|_| self.containers.len() == 1);
        self.container.as_ref().or_else(only)
    }

    /// How long it may take, in seconds.
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds.unwrap_or(TIMEOUT)
    }

    /// What it changes in the service's task definition.
    pub fn revision(&self) -> Revision<'_> {
        let Self { containers, environment, secrets, .. } = self;
        Revision { containers, cpu: None, memory: None, environment, secrets }
    }

    /// Everything that it says beside images, as people read it, by path.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.revision().settings();
        settings.insert("service".to_owned(), self.service.to_string());
        settings.insert("command".to_owned(), format!("{:?}", self.command));
        let container = self.container.iter().map(|name| ("container".to_owned(), name.to_string()));
        let timeout = self.timeout_seconds.iter().map(|seconds| ("timeoutSeconds".to_owned(), seconds.to_string()));
        let cluster = self.cluster.iter().map(|cluster| ("cluster".to_owned(), cluster.to_string()));
        settings.extend(cluster.chain(container).chain(timeout));
        settings
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.revision().check()?;
        match self.runs_in() {
            Some(name) if self.containers.contains_key(name) => {}
            Some(name) => return Err(format!("container {name}, which runs the command, is not among its containers")),
            None => return Err("it has several containers: say which runs the command (container)".to_owned()),
        }
        if self.command.is_empty() {
            return Err("its command is empty".to_owned());
        }
        let length = serde_json::to_string(&self.command).map_err(|error| error.to_string())?.len();
        if length > LONGEST_COMMAND {
            return Err(format!(
                "its command has {length} bytes as JSON; at most {LONGEST_COMMAND} can be given to ECS"
            ));
        }
        match self.timeout_seconds.filter(|seconds| !TIMEOUTS.contains(seconds)) {
            Some(seconds) => {
                Err(format!("timeoutSeconds is {seconds}; use {} to {}", TIMEOUTS.start(), TIMEOUTS.end()))
            }
            None => Ok(()),
        }
    }
}
