//! `DescribeServices`, and how a service is described.

use serde_json::{Value, json};

use super::{Deployment, Event, Service, invalid};
use crate::State;
use crate::ecs::definition::texts;
use crate::ecs::task::{Task, TaskStatus, seconds};
use crate::ecs::{Ecs, may, only};
use crate::http::Refusal;
use crate::people::Caller;

/// How many tasks of a deployment there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) struct Counts {
    /// On their way up.
    pub(super) pending: usize,
    /// Those that are to stop but still serve, too.
    pub(super) running: usize,
    /// Those that are to go on, in either.
    pub(super) wanted: usize,
}

/// `DescribeServices`; each service is a resource of its own to IAM.
pub(in crate::ecs) fn describe(state: &State, body: &Value, caller: &Caller) -> Result<Value, Refusal> {
    only(body, "ecs:DescribeServices", &["cluster", "services", "include"])?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let named = texts(&body["services"]);
    if named.is_empty() || named.len() > 10 {
        return Err(invalid(if named.is_empty() { "Services cannot be empty." } else { "Too many services." }));
    }
    let context = caller.context([("ecs:cluster", cluster.clone())]);
    let tags = texts(&body["include"]).iter().any(|what| what == "TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for named in named {
        let arn = Ecs::service_arn(&cluster, &named);
        may(caller, "ecs:DescribeServices", &arn, &context)?;
        match state.ecs.services.get(&arn).filter(|service| service.cluster == cluster) {
            Some(_) => services.push(state.ecs.described_service(&arn, tags)),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

impl Ecs {
    /// The tasks of a service's deployment.
    pub(super) fn tasks_of<'a>(&'a self, service: &'a str, deployment: &'a str) -> impl Iterator<Item = &'a Task> {
        self.tasks.values().filter(move |task| {
            task.serves.as_ref().is_some_and(|serves| serves.service == service)
                && task.started_by.as_deref() == Some(deployment)
        })
    }

    pub(super) fn counts(&self, service: &str, deployment: &str) -> Counts {
        let mut counts = Counts::default();
        for task in self.tasks_of(service, deployment) {
            counts.wanted += usize::from(task.is_wanted());
            match task.last {
                TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => counts.pending += 1,
                TaskStatus::Running | TaskStatus::Deactivating if task.serves_on() => counts.running += 1,
                TaskStatus::Running
                | TaskStatus::Deactivating
                | TaskStatus::Stopping
                | TaskStatus::Deprovisioning
                | TaskStatus::Stopped => {}
            }
        }
        counts
    }

    /// As `DescribeServices` tells it.
    pub(super) fn described_service(&self, arn: &str, tags: bool) -> Value {
        let Some(service) = self.services.get(arn) else { return Value::Null };
        let primary = service.deployments.first().map(|primary| primary.id.as_str());
        let deployments: Vec<_> = service
            .deployments
            .iter()
            .map(|one| self.described_deployment(service, one, Some(one.id.as_str()) == primary))
            .collect();
        let sum = |field: &str| deployments.iter().filter_map(|one| one[field].as_u64()).sum::<u64>();
        let (running, pending) = (sum("runningCount"), sum("pendingCount"));
        let events: Vec<_> = service.events.iter().map(Event::described).collect();
        let mut described = json!({
            "serviceArn": service.arn, "serviceName": service.name, "clusterArn": service.cluster,
            "status": service.status.name(), "desiredCount": service.desired, "runningCount": running,
            "pendingCount": pending, "deploymentConfiguration": service.deployment_configuration,
            "deployments": deployments, "events": events, "createdAt": seconds(service.created),
            "createdBy": service.created_by, "loadBalancers": [], "serviceRegistries": [], "placementConstraints": [],
            "placementStrategy": [], "schedulingStrategy": "REPLICA", "enableECSManagedTags": false,
            "propagateTags": "NONE", "enableExecuteCommand": false, "availabilityZoneRebalancing": "DISABLED",
        });
        if let Some(primary) = service.deployments.first() {
            described["taskDefinition"] = primary.definition.clone().into();
        }
        if service.is_on_fargate() {
            described["platformVersion"] = "LATEST".into();
            described["platformFamily"] = "Linux".into();
        }
        // Service Connect is said of deployments only, and tags only to who asks for them.
        let said = service.said.iter().filter(|(name, _)| *name != "serviceConnectConfiguration");
        for (name, value) in said.filter(|(name, _)| tags || *name != "tags") {
            described[name] = value.clone();
        }
        described
    }

    fn described_deployment(&self, service: &Service, deployment: &Deployment, primary: bool) -> Value {
        let counts = self.counts(&service.arn, &deployment.id);
        let mut described = json!({
            "id": deployment.id, "status": if primary { "PRIMARY" } else { "ACTIVE" },
            "taskDefinition": deployment.definition,
            "desiredCount": if primary { service.desired } else { counts.wanted },
            "pendingCount": counts.pending, "runningCount": counts.running, "failedTasks": deployment.failed,
            "createdAt": seconds(deployment.created), "updatedAt": seconds(deployment.updated),
            "rolloutState": deployment.rollout.name(), "rolloutStateReason": deployment.reason,
        });
        let said = ["launchType", "capacityProviderStrategy", "networkConfiguration", "serviceConnectConfiguration"];
        for field in said {
            if let Some(value) = service.said.get(field) {
                described[field] = value.clone();
            }
        }
        if service.is_on_fargate() {
            described["platformVersion"] = "1.4.0".into();
            described["platformFamily"] = "Linux".into();
        }
        described
    }
}

impl Service {
    fn is_on_fargate(&self) -> bool {
        self.said.get("launchType").is_some_and(|kind| kind == "FARGATE")
    }
}

impl Event {
    fn described(&self) -> Value {
        let id = format!("00000000-0000-4000-8000-{:012}", self.number);
        json!({ "id": id, "createdAt": seconds(self.at), "message": self.message })
    }
}
