//! Schedules and rules whose task definition Terraform would change, though the build's own steps do.

use super::address::without_keys;
use super::format::{PlanError, Resource};
use super::owned::{creates, field, text};
use crate::json::{Kind, Node};

/// A schedule, or a target of a rule, that Terraform would make start another task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedTrigger {
    /// Where Terraform has it, without the keys of its instances: they can be made of values.
    pub address: String,
    /// Whether it is a rule's target.
    pub is_rule: bool,
    /// The schedule's or rule's name, unless that is known only after the apply.
    pub name: Option<String>,
    /// The schedule's group, or the name or ARN of the rule's event bus, if it is known.
    pub place: Option<String>,
    /// The target's id within the rule, if it is known.
    pub target: Option<String>,
    /// Whether Terraform thinks that it isn't there.
    pub creates: bool,
}

/// Where the AWS provider has what matters here.
struct Shape {
    is_rule: bool,
    name: &'static str,
    place: &'static str,
    /// The blocks, one within the other, that hold `task_definition_arn`; none is repeated.
    blocks: &'static [&'static str],
}

const RULE: Shape = Shape { is_rule: true, name: "rule", place: "event_bus_name", blocks: &["ecs_target"] };

const SCHEDULE: Shape =
    Shape { is_rule: false, name: "name", place: "group_name", blocks: &["target", "ecs_parameters"] };

/// What starts tasks by a resource's values.
enum Started<'n, 'a> {
    /// No task of ECS.
    NoTask,
    /// One of this definition; `None` where Terraform doesn't know it yet.
    Task(Option<&'n Node<'a>>),
}

/// An `aws_cloudwatch_event_target` that would start another task definition.
pub(super) fn of_target(resource: &Resource<'_>) -> Result<Option<OwnedTrigger>, PlanError> {
    of(resource, &RULE)
}

/// An `aws_scheduler_schedule` that would.
pub(super) fn of_schedule(resource: &Resource<'_>) -> Result<Option<OwnedTrigger>, PlanError> {
    of(resource, &SCHEDULE)
}

fn of(resource: &Resource<'_>, shape: &Shape) -> Result<Option<OwnedTrigger>, PlanError> {
    let creates = creates(resource)?;
    let (before, after) = (resource.node(resource.change.before)?, resource.node(resource.change.after)?);
    // What goes away starts nothing.
    let Some(after) = after.filter(|after| after.kind != Kind::Null) else { return Ok(None) };
    let Started::Task(then) = started(&after, shape.blocks) else { return Ok(None) };
    let now = match before.as_ref().map(|before| started(before, shape.blocks)) {
        Some(Started::Task(now)) => now,
        Some(Started::NoTask) | None => None,
    };
    let either = |name| field(&after, name).or_else(|| before.as_ref().and_then(|before| field(before, name)));
    Ok((then.is_none() || now != then).then(|| OwnedTrigger {
        address: without_keys(&resource.address),
        is_rule: shape.is_rule,
        name: text(either(shape.name)),
        place: text(either(shape.place)),
        target: text(either("target_id")),
        creates,
    }))
}

/// Follows the blocks inwards. A list that isn't there is one that Terraform doesn't know yet; an empty one has no block.
fn started<'n, 'a>(values: &'n Node<'a>, blocks: &[&str]) -> Started<'n, 'a> {
    let mut at = values;
    for block in blocks {
        let Some(list) = field(at, block) else { return Started::Task(None) };
        match &list.kind {
            Kind::Array(items) => match items.first() {
                Some(item) => at = item,
                None => return Started::NoTask,
            },
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_) | Kind::Object(_) => {
                return Started::Task(None);
            }
        }
    }
    Started::Task(field(at, "task_definition_arn"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::owned::owned;
    use super::*;

    fn plan(kind: &str, actions: &[&str], before: &Value, after: &Value) -> Vec<u8> {
        let change = json!({"actions": actions, "before": before, "after": after, "after_unknown": {}});
        let resource = json!({
            "address": format!("{kind}.nightly[\"key\"]"), "mode": "managed", "type": kind, "change": change,
        });
        json!({"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": [resource]})
            .to_string()
            .into()
    }

    const TARGET: &str = "aws_cloudwatch_event_target";
    const SCHEDULE: &str = "aws_scheduler_schedule";

    fn target(definition: Option<&str>, count: u32) -> Value {
        let mut ecs = json!({"task_count": count});
        if let Some(definition) = definition {
            ecs["task_definition_arn"] = definition.into();
        }
        json!({"rule": "nightly", "event_bus_name": "orders", "target_id": "report", "ecs_target": [ecs]})
    }

    fn schedule(parameters: &Value) -> Value {
        json!({"name": "nightly", "group_name": "jobs", "target": [{"ecs_parameters": parameters}]})
    }

    #[test]
    fn what_terraform_leaves_alone_is_not_its_own() {
        let runs = |definition: &str| schedule(&json!([{"task_definition_arn": definition, "launch_type": "FARGATE"}]));
        let unknown = schedule(&json!([{"launch_type": "FARGATE"}]));
        for (case, kind, actions, before, after, creates) in [
            ("changed", TARGET, "update", target(Some("n:1"), 1), target(Some("n:2"), 1), Some(false)),
            ("not known yet", TARGET, "update", target(Some("n:1"), 1), target(None, 1), Some(false)),
            ("made", TARGET, "create", Value::Null, target(Some("n:1"), 1), Some(true)),
            ("only its count", TARGET, "update", target(Some("n:1"), 1), target(Some("n:1"), 2), None),
            ("deleted", TARGET, "delete", target(Some("n:1"), 1), Value::Null, None),
            ("a schedule changed", SCHEDULE, "update", runs("n:1"), runs("n:2"), Some(false)),
            ("a schedule not known yet", SCHEDULE, "update", runs("n:1"), unknown, Some(false)),
            ("a schedule made", SCHEDULE, "create", Value::Null, runs("n:1"), Some(true)),
            (
                "a schedule that becomes one of a task",
                SCHEDULE,
                "update",
                schedule(&json!([])),
                runs("n:1"),
                Some(false),
            ),
            ("a schedule of something else", SCHEDULE, "update", runs("n:1"), schedule(&json!([])), None),
            ("a schedule as it is", SCHEDULE, "no-op", runs("n:1"), runs("n:1"), None),
            ("something else", "aws_cloudwatch_event_rule", "update", target(Some("n:1"), 1), target(None, 1), None),
        ] {
            let found = owned(&plan(kind, &[actions], &before, &after)).unwrap().triggers;
            let is_rule = kind == TARGET;
            let expected = creates.map(|creates| OwnedTrigger {
                address: format!("{kind}.nightly[…]"),
                is_rule,
                name: Some("nightly".to_owned()),
                place: Some(if is_rule { "orders" } else { "jobs" }.to_owned()),
                target: is_rule.then(|| "report".to_owned()),
                creates,
            });
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{case}");
        }
    }
}
