//! A step that makes what a schedule or a rule of EventBridge starts run images of the build.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::revision::Revision;
use super::service::SecretReference;
use crate::json::{unique_map, unique_maps};
use crate::names::{ArtifactName, EventBusName, ScheduleName, ServiceName, VariableName};

/// What would be started from now on. What it doesn't name is as the task definition has it that is started now; when
/// it is started, and with what, stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScheduleStep {
    /// What starts it.
    pub trigger: Trigger,
    /// Container name in the task definition → image artifact.
    #[serde(deserialize_with = "unique_map")]
    pub containers: BTreeMap<ServiceName, ArtifactName>,
    /// CPU units of a task: 1024 are one vCPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Memory of a task, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// Container name → environment variables with public texts; other variables stay.
    #[serde(default, deserialize_with = "unique_maps", skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<ServiceName, BTreeMap<VariableName, String>>,
    /// Container name → environment variables whose values only production knows; other variables stay.
    #[serde(default, deserialize_with = "unique_maps", skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<ServiceName, BTreeMap<VariableName, SecretReference>>,
}

impl ScheduleStep {
    /// What it changes in the task definition.
    pub fn revision(&self) -> Revision<'_> {
        let Self { trigger: _, containers, cpu, memory, environment, secrets } = self;
        Revision { containers, cpu: *cpu, memory: *memory, environment, secrets }
    }
}

/// What starts tasks by the clock, or when something happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Trigger {
    /// A schedule of EventBridge Scheduler.
    Schedule {
        /// The schedule.
        name: ScheduleName,
        /// The group that it is in; `default` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<ScheduleName>,
    },
    /// A rule of EventBridge.
    Rule {
        /// The rule.
        name: ScheduleName,
        /// Its event bus; `default` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_bus: Option<EventBusName>,
        /// The id of the target that is meant; may be left out if only one of the rule's targets is a task of ECS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<ScheduleName>,
    },
}

impl Trigger {
    /// The group of schedules, or the event bus, if none is named.
    pub const DEFAULT: &str = "default";

    /// A schedule's group, or a rule's event bus.
    pub fn place(&self) -> &str {
        match self {
            Self::Schedule { group, .. } => group.as_ref().map_or(Self::DEFAULT, ScheduleName::as_str),
            Self::Rule { event_bus, .. } => event_bus.as_ref().map_or(Self::DEFAULT, EventBusName::as_str),
        }
    }

    /// Two steps of one would each undo the other.
    pub(super) fn expect_different<'a>(triggers: impl Iterator<Item = &'a Self>) -> Result<(), String> {
        let mut seen: Vec<&Self> = Vec::new();
        for trigger in triggers {
            if seen.iter().any(|other| other.may_be(trigger)) {
                return Err(format!("{trigger}: there is another step of it"));
            }
            seen.push(trigger);
        }
        Ok(())
    }

    /// Whether both may start the same task.
    fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Schedule { name, .. }, Self::Schedule { name: other_name, .. }) => {
                (name, self.place()) == (other_name, other.place())
            }
            (Self::Rule { name, target, .. }, Self::Rule { name: other_name, target: other_target, .. }) => {
                let one_of_all = target.is_none() || other_target.is_none();
                (name, self.place()) == (other_name, other.place()) && (one_of_all || target == other_target)
            }
            (Self::Schedule { .. }, Self::Rule { .. }) | (Self::Rule { .. }, Self::Schedule { .. }) => false,
        }
    }
}

/// `schedule nightly`, `schedule jobs/nightly`, `rule hourly`, `rule orders/hourly (target report)`.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.place() == Self::DEFAULT { String::new() } else { format!("{}/", self.place()) };
        match self {
            Self::Schedule { name, .. } => write!(f, "schedule {place}{name}"),
            Self::Rule { name, target: None, .. } => write!(f, "rule {place}{name}"),
            Self::Rule { name, target: Some(target), .. } => write!(f, "rule {place}{name} (target {target})"),
        }
    }
}
