//! Workers as tasks of Amazon ECS.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which tasks are run where. Nothing of it is taken from a request: a request can't choose a role, a subnet or an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EcsConfig {
    /// The cluster, by name or ARN.
    pub cluster: String,
    /// The task definition of workers that plan.
    pub planner: TaskDefinition,
    /// The task definition of workers that apply: another role, another key.
    pub deployer: TaskDefinition,
    /// The container in both that is the worker, whose command becomes the job id.
    pub container: String,
    /// Where tasks are placed; several availability zones help when one has no capacity.
    pub subnets: Vec<String>,
    /// What their network interfaces may reach.
    pub security_groups: Vec<String>,
    /// Whether they get public addresses; only without NAT and without VPC endpoints.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assign_public_ip: bool,
}

/// A task definition's ARN with its revision: what runs is exactly what was reviewed, not the newest of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskDefinition(String);

impl TaskDefinition {
    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TaskDefinition {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // arn:PARTITION:ecs:REGION:ACCOUNT:task-definition/FAMILY:REVISION (ECS, "Task definition parameters")
        let parts: Vec<&str> = text.split(':').collect();
        let sound = match parts.as_slice() {
            ["arn", _, "ecs", _, _, name, revision] => {
                name.starts_with("task-definition/") && revision.parse::<u32>().is_ok_and(|number| number > 0)
            }
            _ => false,
        };
        let refused = || format!("{text:?} is no task definition: expected its ARN with the revision");
        if sound { Ok(Self(text)) } else { Err(refused()) }
    }
}

impl From<TaskDefinition> for String {
    fn from(definition: TaskDefinition) -> Self {
        definition.0
    }
}

impl fmt::Display for TaskDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_definition_is_named_with_its_revision() {
        let read = |text: &str| TaskDefinition::try_from(text.to_owned());
        assert!(read("arn:aws:ecs:eu-central-1:222222222222:task-definition/airlock-planner:7").is_ok());
        for text in [
            "airlock-planner",
            "airlock-planner:7",
            "arn:aws:ecs:eu-central-1:222222222222:task-definition/airlock-planner",
            "arn:aws:ecs:eu-central-1:222222222222:task-definition/airlock-planner:0",
            "arn:aws:ecs:eu-central-1:222222222222:task-definition/airlock-planner:latest",
            "arn:aws:ecs:eu-central-1:222222222222:task/airlock/0123:7",
        ] {
            assert!(read(text).unwrap_err().contains("with the revision"), "{text}");
        }
    }
}
