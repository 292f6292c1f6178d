//! What starts a task, as AWS has it: which of a rule's targets is meant, and what is put in its place. Pure.

use manifest_schema::manifest::Trigger;
use manifest_schema::names::{ClusterName, ScheduleName};
use serde_json::Value;

use super::api::Rule;

/// What `GetSchedule` says of a schedule that `UpdateSchedule` doesn't take (EventBridge Scheduler API reference); its name
/// is in the request's path.
const SAID: [&str; 4] = ["Arn", "CreationDate", "LastModificationDate", "Name"];

/// A schedule, or one target of a rule, that starts a task of ECS.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    /// What is put to make it like this: a whole schedule, or a target.
    pub(super) whole: Value,
    /// Whether it is a schedule, whose target is a part of it.
    is_schedule: bool,
}

impl Target {
    /// A schedule's.
    ///
    /// # Errors
    /// With the reason for which it can't be moved, as the end of a sentence about it.
    pub(super) fn of_schedule(mut schedule: Value) -> Result<Self, String> {
        if let Value::Object(fields) = &mut schedule {
            SAID.iter().for_each(|field| drop(fields.remove(*field)));
        }
        let found = Self { whole: schedule, is_schedule: true };
        match found.starts_a_task() {
            true => Ok(found),
            false => Err(format!("its target {} is no task of ECS with EcsParameters", said(&found.target()["Arn"]))),
        }
    }

    /// One of a rule's: the one of this id, or else its only task; `None` if there is no such target yet.
    ///
    /// # Errors
    /// The same.
    pub(super) fn of_rule(rule: Rule, id: Option<&ScheduleName>) -> Result<Option<Self>, String> {
        let Rule { rule, targets } = rule;
        if let Some(service) = rule["ManagedBy"].as_str() {
            return Err(format!("{service} manages it, and would undo what is changed"));
        }
        let mut targets: Vec<_> = targets.into_iter().map(|whole| Self { whole, is_schedule: false }).collect();
        if let Some(id) = id {
            targets.retain(|target| target.whole["Id"] == id.as_str());
        }
        let Some(any) = targets.first().map(|target| said(&target.whole["Arn"])) else { return Ok(None) };
        targets.retain(Self::starts_a_task);
        let ids: Vec<String> = targets.iter().map(|target| said(&target.whole["Id"])).collect();
        match (targets.pop(), ids.len()) {
            (Some(only), 1) => Ok(Some(only)),
            (None, _) if id.is_some() => Err(format!("its target {any} is no task of ECS with EcsParameters")),
            (None, _) => Err("none of its targets is a task of ECS with EcsParameters".to_owned()),
            (Some(_), _) => Err(format!(
                "several of its targets are tasks of ECS ({}): say which is meant (target)",
                ids.join(", ")
            )),
        }
    }

    fn target(&self) -> &Value {
        if self.is_schedule { &self.whole["Target"] } else { &self.whole }
    }

    fn starts_a_task(&self) -> bool {
        self.cluster().is_some() && self.definition().is_some()
    }

    /// The task definition that it names, maybe without a revision.
    pub(super) fn definition(&self) -> Option<&str> {
        self.target()["EcsParameters"]["TaskDefinitionArn"].as_str()
    }

    /// The ARN of the cluster in which it starts tasks.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.target()["Arn"].as_str().filter(|arn| arn.split(':').nth(2) == Some("ecs") && arn.contains(":cluster/"))
    }

    /// The same cluster's name.
    pub(super) fn cluster_name(&self) -> Option<ClusterName> {
        self.cluster()?.rsplit('/').next()?.parse().ok()
    }

    /// The same in everything, but with another task definition.
    pub(super) fn with(&self, definition: &str) -> Self {
        let mut next = self.clone();
        let target = if next.is_schedule { &mut next.whole["Target"] } else { &mut next.whole };
        target["EcsParameters"]["TaskDefinitionArn"] = definition.into();
        next
    }
}

/// Whether a task definition is named with its revision.
pub(super) fn has_revision(definition: &str) -> bool {
    let name = definition.rsplit('/').next().unwrap_or_default();
    name.rsplit_once(':').is_some_and(|(_, revision)| revision.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A task definition's ARN without its revision.
pub(super) fn family(arn: &str) -> &str {
    if has_revision(arn) { arn.rsplit_once(':').map_or(arn, |(family, _)| family) } else { arn }
}

/// A step of it, in the words of a message.
pub(super) fn about(trigger: &Trigger, what: &str) -> String {
    format!("{trigger}: {what}")
}

fn said(value: &Value) -> String {
    value.as_str().unwrap_or("(unnamed)").to_owned()
}

#[cfg(test)]
mod tests;
