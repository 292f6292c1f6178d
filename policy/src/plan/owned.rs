//! What Terraform would change, though the build's own steps do.
//!
//! A plan doesn't say what a `lifecycle` block ignores, but it shows it: what is ignored doesn't change.

use manifest_schema::plan::ResourceAction;

use super::address::without_keys;
use super::format::{Plan, PlanError, Resource};
use super::owned_functions::{self, OwnedFunction};
use super::owned_schedules::{self, OwnedTrigger};
use crate::json::{Kind, Node};

/// Everything of a plan that steps change, too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owned {
    /// Services that would run another task definition.
    pub services: Vec<OwnedService>,
    /// Schedules and rules that would start another one.
    pub triggers: Vec<OwnedTrigger>,
    /// Functions and aliases that would reach other code.
    pub functions: Vec<OwnedFunction>,
}

/// A service that Terraform would make run another task definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedService {
    /// Where Terraform has it, without the keys of its instances: they can be made of values.
    pub address: String,
    /// Its name, unless that is known only after the apply.
    pub name: Option<String>,
    /// Its cluster's name or ARN, if it is known.
    pub cluster: Option<String>,
    /// Whether Terraform thinks that it isn't there.
    pub creates: bool,
}

/// What of a plan, as `terraform show -json` prints it, steps could change, too.
///
/// # Errors
/// When the plan can't be read.
pub fn owned(json: &[u8]) -> Result<Owned, PlanError> {
    let plan = Plan::parse(json)?;
    let mut owned = Owned::default();
    for resource in plan.resource_changes.iter().flatten() {
        match &*resource.resource_type {
            "aws_ecs_service" => owned.services.extend(of(resource)?),
            "aws_cloudwatch_event_target" => owned.triggers.extend(owned_schedules::of_target(resource)?),
            "aws_scheduler_schedule" => owned.triggers.extend(owned_schedules::of_schedule(resource)?),
            "aws_lambda_function" => owned.functions.extend(owned_functions::of_function(resource)?),
            "aws_lambda_alias" => owned.functions.extend(owned_functions::of_alias(resource)?),
            _ => {}
        }
    }
    Ok(owned)
}

fn of(resource: &Resource<'_>) -> Result<Option<OwnedService>, PlanError> {
    let creates = creates(resource)?;
    let (before, after) = (resource.node(resource.change.before)?, resource.node(resource.change.after)?);
    // What goes away runs nothing.
    let Some(after) = after.filter(|after| after.kind != Kind::Null) else { return Ok(None) };
    let now = before.as_ref().and_then(|before| field(before, "task_definition"));
    let then = field(&after, "task_definition");
    let either = |name| field(&after, name).or_else(|| before.as_ref().and_then(|before| field(before, name)));
    let (name, cluster) = (text(either("name")), text(either("cluster")));
    // Without a value afterwards, it is one that Terraform doesn't know yet.
    Ok((then.is_none() || now != then).then(|| OwnedService {
        address: without_keys(&resource.address),
        name,
        cluster,
        creates,
    }))
}

/// Whether Terraform thinks that a resource isn't there.
pub(super) fn creates(resource: &Resource<'_>) -> Result<bool, PlanError> {
    Ok(resource.actions()?.iter().any(|action| match action {
        ResourceAction::Create => true,
        ResourceAction::Read
        | ResourceAction::Update
        | ResourceAction::Delete
        | ResourceAction::DeleteCreate
        | ResourceAction::CreateDelete
        | ResourceAction::Forget
        | ResourceAction::Import
        | ResourceAction::Move => false,
    }))
}

/// An attribute that is known, and not null.
pub(super) fn field<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
    let Kind::Object(fields) = &node.kind else { return None };
    fields.get(name).filter(|value| value.kind != Kind::Null)
}

pub(super) fn text(node: Option<&Node<'_>>) -> Option<String> {
    match &node?.kind {
        Kind::String(text) => Some(text.clone()),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Array(_) | Kind::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(kind: &str, actions: &[&str], before: &Value, after: &Value) -> Vec<u8> {
        let change = json!({"actions": actions, "before": before, "after": after, "after_unknown": {}});
        let resource =
            json!({"address": "aws_ecs_service.web[\"key\"]", "mode": "managed", "type": kind, "change": change});
        json!({"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": [resource]})
            .to_string()
            .into()
    }

    #[test]
    fn what_terraform_leaves_alone_is_not_its_own() {
        let service = |definition: Option<&str>, count: u32| {
            let mut service = json!({"name": "web", "cluster": "arn:c/main", "desired_count": count});
            if let Some(definition) = definition {
                service["task_definition"] = definition.into();
            }
            service
        };
        let (old, new) = (service(Some("web:1"), 1), service(Some("web:2"), 1));
        let kind = "aws_ecs_service";
        for (case, plan, creates) in [
            ("changed", plan(kind, &["update"], &old, &new), Some(false)),
            ("not known yet", plan(kind, &["update"], &old, &service(None, 1)), Some(false)),
            ("made anew", plan(kind, &["delete", "create"], &old, &new), Some(false)),
            ("made", plan(kind, &["create"], &Value::Null, &new), Some(true)),
            ("only its count", plan(kind, &["update"], &old, &service(Some("web:1"), 2)), None),
            ("as it is", plan(kind, &["no-op"], &old, &old), None),
            ("deleted", plan(kind, &["delete"], &old, &Value::Null), None),
            ("something else", plan("aws_ecs_task_set", &["update"], &old, &new), None),
        ] {
            let found = owned(&plan).unwrap().services;
            let expected = creates.map(|creates| OwnedService {
                address: "aws_ecs_service.web[…]".to_owned(),
                name: Some("web".to_owned()),
                cluster: Some("arn:c/main".to_owned()),
                creates,
            });
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{case}");
        }
    }

    #[test]
    fn a_name_that_is_not_known_is_none() {
        let unnamed = json!({"task_definition": "web:2"});
        let found = owned(&plan("aws_ecs_service", &["create"], &Value::Null, &unnamed)).unwrap().services;
        assert_eq!(found.iter().map(|owned| owned.name.clone()).collect::<Vec<_>>(), [None]);
        assert!(owned(b"{}").is_err());
    }
}
