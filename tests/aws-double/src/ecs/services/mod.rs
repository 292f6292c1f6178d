//! Services: how many tasks of which definition there are to be, and the deployments that bring that about. Their tasks
//! are states without processes and secrets; `script` says how they fare.
//!
//! True to AWS, as far as its documentation and people's reports tell: rolling deployments within their percentages, the
//! states of deployments and tasks in their order, the texts of events and reasons, the circuit breaker with its
//! threshold, and that it goes back with a new deployment of the definition that was COMPLETED last, once; an older
//! deployment is ACTIVE until the PRIMARY one is COMPLETED, and that is so when no old task serves any more. Time is
//! not: every state takes one `pace`, a task is taken for a healthy one after three, and one that ends by itself before
//! that is a failure of its deployment (AWS counts few that have been RUNNING). Not doubled: deployments by CodeDeploy,
//! by task sets, blue/green, daemons (such a service can be put there and described, nothing else), service deployments
//! and revisions as resources of their own, alarms, capacity, the load balancers themselves, auto scaling.

mod calls;
mod describe;
mod rollout;
mod task;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

pub(super) use calls::{create, delete, update};
pub(super) use describe::describe;
pub(super) use task::Serves;

use super::Ecs;
use crate::Core;
use crate::http::Refusal;

/// How many events a service remembers.
const EVENTS: usize = 100;

/// A service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) arn: String,
    cluster: String,
    name: String,
    status: Status,
    desired: usize,
    /// What CreateService said and UpdateService since, in the fields that the double only hands back.
    said: Map<String, Value>,
    deployment_configuration: Value,
    /// The newest first: that is the PRIMARY one.
    deployments: Vec<Deployment>,
    /// The last one that was COMPLETED: its id and its definition.
    completed: Option<(String, String)>,
    /// The newest first.
    events: VecDeque<Event>,
    created: SystemTime,
    created_by: String,
    /// Whether it has said that it is steady since it last wasn't.
    steady: bool,
}

/// Whether there is a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Active,
    Draining,
    Inactive,
}

/// An attempt to have a service's tasks be of one definition.
#[derive(Debug, Clone)]
struct Deployment {
    id: String,
    /// An ARN.
    definition: String,
    rollout: Rollout,
    reason: String,
    /// In a row.
    failed: usize,
    /// For how many ticks it starts nothing, after a failure.
    pause: usize,
    /// Whether it is what the circuit breaker went back to.
    goes_back: bool,
    /// Whether the service has said that it can't start its tasks.
    impaired: bool,
    created: SystemTime,
    updated: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollout {
    InProgress,
    Completed,
    Failed,
}

#[derive(Debug)]
struct Event {
    number: usize,
    at: SystemTime,
    message: String,
}

/// A service as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its ARN.
    pub arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: &'static str,
    /// How many tasks it wants.
    pub desired: usize,
    /// The newest first, which is the PRIMARY one.
    pub deployments: Vec<DeploymentView>,
    /// What it has said about itself, the newest first.
    pub events: Vec<String>,
}

/// A deployment of a service as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentView {
    /// Such as `ecs-svc/1000000000000000001`.
    pub id: String,
    /// The ARN of its definition.
    pub definition: String,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`.
    pub rollout: &'static str,
    /// Why, in ECS's words.
    pub reason: String,
    /// How many of its tasks run.
    pub running: usize,
    /// How many of its tasks have failed in a row.
    pub failed: usize,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl Rollout {
    fn name(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

impl Service {
    /// Notes an event.
    fn says(&mut self, number: &mut usize, message: &str) {
        *number += 1;
        let message = format!("(service {}) {message}", self.name);
        self.events.push_front(Event { number: *number, at: SystemTime::now(), message });
        self.events.truncate(EVENTS);
    }

    /// Whether ECS itself replaces its tasks, a few at a time: all else isn't doubled.
    fn rolls(&self) -> bool {
        let controller =
            self.said.get("deploymentController").map_or("ECS", |one| one["type"].as_str().unwrap_or("ECS"));
        let strategy = self.deployment_configuration["strategy"].as_str().unwrap_or("ROLLING");
        let scheduling = self.said.get("schedulingStrategy").and_then(Value::as_str).unwrap_or("REPLICA");
        (controller, strategy, scheduling) == ("ECS", "ROLLING", "REPLICA")
    }

    fn balanced(&self) -> bool {
        self.said.get("loadBalancers").and_then(Value::as_array).is_some_and(|balancers| !balancers.is_empty())
    }
}

impl Deployment {
    fn new(number: usize, definition: &str) -> Self {
        let id = format!("ecs-svc/{}", 1_000_000_000_000_000_000 + number);
        let (reason, now) = (format!("ECS deployment {id} in progress."), SystemTime::now());
        let (definition, rollout) = (definition.to_owned(), Rollout::InProgress);
        Self {
            id,
            definition,
            rollout,
            reason,
            failed: 0,
            pause: 0,
            goes_back: false,
            impaired: false,
            created: now,
            updated: now,
        }
    }
}

impl Ecs {
    /// The ARN of a service of a cluster that is named by name or ARN.
    pub(super) fn service_arn(cluster: &str, named: &str) -> String {
        match named.starts_with("arn:") {
            true => named.to_owned(),
            false => format!("{}/{named}", cluster.replacen(":cluster/", ":service/", 1)),
        }
    }

    /// Makes a service of the cluster, as CreateService describes it; nothing has happened to it.
    fn add_service(&mut self, cluster: &str, body: &Value, by: &str) -> Result<String, Refusal> {
        let account = cluster.split(':').nth(4).unwrap_or_default();
        let name = body["serviceName"].as_str().unwrap_or_default();
        let arn = Self::service_arn(cluster, name);
        if name.is_empty() {
            return Err(invalid("serviceName can not be empty."));
        }
        if self.services.get(&arn).is_some_and(|known| known.status != Status::Inactive) {
            return Err(invalid("Creation of service was not idempotent."));
        }
        let mut said = body.as_object().cloned().unwrap_or_default();
        for field in calls::USED {
            said.remove(field);
        }
        let mut configuration = json!({
            "deploymentCircuitBreaker": { "enable": false, "rollback": false },
            "maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0,
        });
        calls::merge(&mut configuration, &body["deploymentConfiguration"]);
        let mut service = Service {
            arn: arn.clone(),
            cluster: cluster.to_owned(),
            name: name.to_owned(),
            status: Status::Active,
            desired: calls::count(body)?.unwrap_or(1),
            said,
            deployment_configuration: configuration,
            deployments: Vec::new(),
            completed: None,
            events: VecDeque::new(),
            created: SystemTime::now(),
            created_by: by.to_owned(),
            steady: false,
        };
        if let Some(named) = body["taskDefinition"].as_str() {
            let definition = self.definition(named, account).ok_or_else(calls::no_definition)?.arn.clone();
            service.deployments.push(self.new_deployment(&definition));
        }
        self.services.insert(arn.clone(), service);
        Ok(arn)
    }

    fn new_deployment(&mut self, definition: &str) -> Deployment {
        self.deployed += 1;
        Deployment::new(self.deployed, definition)
    }

    /// A service that has been there for long.
    pub(crate) fn add_steady_service(&mut self, account: &str, cluster: &str, body: &Value) -> Result<String, Refusal> {
        let cluster = self.cluster(&cluster.into(), account)?;
        let arn = self.add_service(&cluster, body, &format!("arn:aws:iam::{account}:root"))?;
        let is_done = |ecs: &Self| ecs.services.get(&arn).is_none_or(|service| !service.rolls() || service.steady);
        for _ in 0..1000 {
            if is_done(self) {
                return Ok(arn);
            }
            self.tick_service(&arn);
        }
        Err(Refusal::not_doubled(format!("the service {arn}, which gets nowhere with its script")))
    }

    /// What DescribeServices says of it more, or otherwise.
    pub(crate) fn amend_service(&mut self, arn: &str, field: &str, value: Value) {
        if let Some(service) = self.services.get_mut(arn) {
            service.said.insert(field.to_owned(), value);
        }
    }

    pub(crate) fn service_view(&self, arn: &str) -> Option<ServiceView> {
        let service = self.services.get(arn)?;
        let deployment = |deployment: &Deployment| DeploymentView {
            id: deployment.id.clone(),
            definition: deployment.definition.clone(),
            rollout: deployment.rollout.name(),
            reason: deployment.reason.clone(),
            running: self.counts(&service.arn, &deployment.id).running,
            failed: deployment.failed,
        };
        Some(ServiceView {
            arn: service.arn.clone(),
            status: service.status.name(),
            desired: service.desired,
            deployments: service.deployments.iter().map(deployment).collect(),
            events: service.events.iter().map(|event| event.message.clone()).collect(),
        })
    }
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterException", message)
}

/// Lets time pass for all services.
pub(crate) async fn live(core: &Core) {
    loop {
        let pace = {
            let ecs = &mut core.state().ecs;
            let arns: Vec<String> = ecs.services.keys().cloned().collect();
            arns.iter().for_each(|arn| ecs.tick_service(arn));
            ecs.pace
        };
        tokio::time::sleep(pace.max(Duration::from_millis(1))).await;
    }
}
