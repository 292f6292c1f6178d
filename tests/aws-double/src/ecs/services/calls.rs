//! `CreateService`, `UpdateService` and `DeleteService`.

use serde_json::{Value, json};

use super::{Service, Status, invalid};
use crate::State;
use crate::ecs::{Ecs, may, may_tag, only};
use crate::http::Refusal;
use crate::people::Caller;

/// What CreateService may say; the second half is only handed back.
const CREATE: [&str; 22] = [
    "cluster",
    "serviceName",
    "taskDefinition",
    "desiredCount",
    "deploymentConfiguration",
    "deploymentController",
    "loadBalancers",
    "schedulingStrategy",
    "tags",
    "availabilityZoneRebalancing",
    "capacityProviderStrategy",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "healthCheckGracePeriodSeconds",
    "launchType",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "propagateTags",
    "serviceConnectConfiguration",
    "serviceRegistries",
];

/// What of it isn't handed back as it was said.
pub(super) const USED: [&str; 5] =
    ["cluster", "serviceName", "taskDefinition", "desiredCount", "deploymentConfiguration"];

/// What UpdateService may say.
const UPDATE: [&str; 6] =
    ["cluster", "service", "taskDefinition", "desiredCount", "deploymentConfiguration", "forceNewDeployment"];

pub(super) fn no_definition() -> Refusal {
    Refusal::new(400, "ClientException", "TaskDefinition not found.")
}

fn no_service() -> Refusal {
    Refusal::new(400, "ServiceNotFoundException", "Service not found.")
}

/// `desiredCount`.
pub(super) fn count(body: &Value) -> Result<Option<usize>, Refusal> {
    let count = &body["desiredCount"];
    if count.is_null() {
        return Ok(None);
    }
    let count = count.as_u64().and_then(|count| usize::try_from(count).ok());
    count.map(Some).ok_or_else(|| invalid("Desired count can not be negative."))
}

/// Puts what is said over what was so far.
pub(super) fn merge(configuration: &mut Value, said: &Value) {
    for (name, value) in said.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        configuration[name] = value.clone();
    }
}

/// Whether the caller may do this to a service, with the definition that they name; the ARN of that.
fn may_change(
    state: &State,
    caller: &Caller,
    action: &str,
    (cluster, service): (&str, &str),
    body: &Value,
) -> Result<Option<String>, Refusal> {
    let named = body["taskDefinition"].as_str();
    let definition = named.and_then(|named| state.ecs.definition(named, caller.account()));
    let definition = definition.map(|definition| definition.arn.clone());
    let said = definition.clone().or_else(|| named.map(str::to_owned));
    let context = [("ecs:cluster", cluster.to_owned())].into_iter();
    let context = caller.context(context.chain(said.map(|definition| ("ecs:task-definition", definition))));
    may(caller, action, service, &context)?;
    if named.is_some() && definition.is_none() {
        return Err(no_definition());
    }
    Ok(definition)
}

/// `CreateService`.
pub(in crate::ecs) fn create(state: &mut State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:CreateService", &CREATE)?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let arn = Ecs::service_arn(&cluster, body["serviceName"].as_str().unwrap_or_default());
    let definition = may_change(state, caller, "ecs:CreateService", (&cluster, &arn), body)?;
    may_tag(caller, "CreateService", &arn, &body["tags"])?;
    if definition.is_none() {
        return Err(invalid("taskDefinition can not be empty."));
    }
    state.ecs.add_service(&cluster, body, caller.arn())?;
    Ok(json!({ "service": state.ecs.described_service(&arn, true) }))
}

/// `UpdateService`: another definition or `forceNewDeployment` is a new deployment, all else is not.
pub(in crate::ecs) fn update(state: &mut State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:UpdateService", &UPDATE)?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let arn = Ecs::service_arn(&cluster, body["service"].as_str().unwrap_or_default());
    let definition = may_change(state, caller, "ecs:UpdateService", (&cluster, &arn), body)?;
    state.ecs.update_service(&arn, definition.as_deref(), body)?;
    Ok(json!({ "service": state.ecs.described_service(&arn, false) }))
}

/// `DeleteService`: one that has tasks only if it must.
pub(in crate::ecs) fn delete(state: &mut State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:DeleteService", &["cluster", "service", "force"])?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let arn = Ecs::service_arn(&cluster, body["service"].as_str().unwrap_or_default());
    may(caller, "ecs:DeleteService", &arn, &caller.context([("ecs:cluster", cluster.clone())]))?;
    state.ecs.delete_service(&arn, body["force"].as_bool().unwrap_or(false))?;
    Ok(json!({ "service": state.ecs.described_service(&arn, false) }))
}

impl Ecs {
    /// Changes a service; `definition` is the ARN of another definition for it.
    pub(crate) fn update_service(&mut self, arn: &str, definition: Option<&str>, body: &Value) -> Result<(), Refusal> {
        let mut service = self.services.remove(arn).ok_or_else(no_service)?;
        let updated = self.update(&mut service, definition, body);
        self.services.insert(arn.to_owned(), service);
        updated
    }

    fn update(&mut self, service: &mut Service, definition: Option<&str>, body: &Value) -> Result<(), Refusal> {
        if service.status != Status::Active {
            return Err(Refusal::new(400, "ServiceNotActiveException", "Service was not ACTIVE."));
        }
        if !service.rolls() {
            let controller = service.said.get("deploymentController").and_then(|one| one["type"].as_str());
            return Err(match controller {
                Some("CODE_DEPLOY") => invalid(
                    "Unable to update task definition on services with a CODE_DEPLOY deployment controller. Use AWS \
                     CodeDeploy to trigger a new deployment.",
                ),
                _ => Refusal::not_doubled("ecs:UpdateService of a service that ECS doesn't roll"),
            });
        }
        let count = count(body)?;
        merge(&mut service.deployment_configuration, &body["deploymentConfiguration"]);
        if let Some(count) = count.filter(|count| *count != service.desired) {
            service.desired = count;
            service.steady = false;
        }
        let Some(primary) = service.deployments.first() else { return Ok(()) };
        let force = body["forceNewDeployment"].as_bool().unwrap_or(false);
        let next = definition.unwrap_or(&primary.definition).to_owned();
        if force || next != primary.definition {
            let deployment = self.new_deployment(&next);
            service.deployments.insert(0, deployment);
            service.steady = false;
        }
        Ok(())
    }

    pub(crate) fn delete_service(&mut self, arn: &str, force: bool) -> Result<(), Refusal> {
        let service = self.services.get_mut(arn).filter(|service| service.status != Status::Inactive);
        let service = service.ok_or_else(no_service)?;
        if service.desired > 0 && !force {
            let message = "The service cannot be stopped while it is scaled above 0.";
            return Err(invalid(message));
        }
        service.status = Status::Draining;
        service.desired = 0;
        Ok(())
    }
}
