//! The calls of ECS that a rollout takes, each tried as often as everything of AWS.

use aws::{AwsError, Call, Connection};
use aws_sdk_ecs::Client;
use manifest_schema::names::{ClusterName, ServiceName};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::view::{ServiceView, TaskView};
use crate::verbatim::verbatim;

/// Most tasks that ECS lists or describes in one call.
const PAGE: usize = 100;

/// A service in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) cluster: ClusterName,
    pub(super) service: String,
}

impl Named {
    pub(super) fn new(default: &ClusterName, service: &ServiceName, cluster: Option<&ClusterName>) -> Self {
        Self { cluster: cluster.unwrap_or(default).clone(), service: service.to_string() }
    }

    fn call(&self, action: &'static str) -> Call {
        Call { action, resource: format!("service {} in cluster {}", self.service, self.cluster) }
    }
}

/// ECS, as the worker itself.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: Client,
}

impl Api {
    /// Asks nothing over the network.
    pub(super) fn new(connection: &Connection) -> Self {
        Self { client: Client::new(connection.config()) }
    }

    /// A service, as ECS tells it; `None` if there is none.
    pub(super) async fn service(&self, named: &Named) -> Result<Option<Value>, AwsError> {
        let body = json!({ "cluster": named.cluster, "services": [named.service] });
        let call = || named.call("ecs:DescribeServices");
        let mut answer = verbatim!(self.client, describe_services, call(), &body)?;
        if let Some(service) = answer["services"].as_array_mut().and_then(Vec::pop) {
            return Ok(Some(service).filter(|service| service["status"] != "INACTIVE"));
        }
        let missing = |failure: &Value| failure["reason"] == "MISSING";
        match answer["failures"].as_array().is_some_and(|failures| failures.iter().any(missing)) {
            true => Ok(None),
            false => Err(AwsError::incomplete(call(), "it names neither the service nor that it is missing")),
        }
    }

    /// A task definition, its tags among its fields, as `RegisterTaskDefinition` takes them.
    pub(crate) async fn definition(&self, arn: &str) -> Result<Value, AwsError> {
        let body = json!({ "taskDefinition": arn, "include": ["TAGS"] });
        let call = || Call { action: "ecs:DescribeTaskDefinition", resource: arn.to_owned() };
        let mut answer = verbatim!(self.client, describe_task_definition, call(), &body)?;
        let mut definition = answer["taskDefinition"].take();
        if !definition["containerDefinitions"].is_array() {
            return Err(AwsError::incomplete(call(), "it names no containers"));
        }
        if answer["tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
            definition["tags"] = answer["tags"].take();
        }
        Ok(definition)
    }

    /// Registers a revision; its ARN.
    pub(crate) async fn register(&self, definition: &Value) -> Result<String, AwsError> {
        let family = definition["family"].as_str().unwrap_or_default().to_owned();
        let call = || Call { action: "ecs:RegisterTaskDefinition", resource: format!("task-definition/{family}") };
        let answer = verbatim!(self.client, register_task_definition, call(), definition)?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().map(str::to_owned);
        arn.ok_or_else(|| AwsError::incomplete(call(), "it names no revision"))
    }

    /// Changes a service; what it is like now. `change` is what `UpdateService` takes beside its name.
    pub(super) async fn update(&self, named: &Named, change: &Value) -> Result<ServiceView, AwsError> {
        let mut body = change.clone();
        body["cluster"] = named.cluster.as_str().into();
        body["service"] = named.service.as_str().into();
        let call = || named.call("ecs:UpdateService");
        let mut answer = verbatim!(self.client, update_service, call(), &body)?;
        read(answer["service"].take(), call())
    }

    /// The tasks of a service that are to run, or that have stopped lately.
    pub(super) async fn tasks(&self, named: &Named, desired: &'static str) -> Result<Vec<TaskView>, AwsError> {
        let (mut tasks, mut next) = (Vec::new(), Value::Null);
        loop {
            let mut body = json!({
                "cluster": named.cluster, "serviceName": named.service, "desiredStatus": desired, "maxResults": PAGE,
            });
            if !next.is_null() {
                body["nextToken"] = next;
            }
            let mut listed = verbatim!(self.client, list_tasks, named.call("ecs:ListTasks"), &body)?;
            let arns = listed["taskArns"].take();
            if arns.as_array().is_some_and(|arns| !arns.is_empty()) {
                let body = json!({ "cluster": named.cluster, "tasks": arns });
                let call = || named.call("ecs:DescribeTasks");
                let mut described = verbatim!(self.client, describe_tasks, call(), &body)?;
                tasks.extend(read::<Vec<TaskView>>(described["tasks"].take(), call())?);
            }
            next = listed["nextToken"].take();
            if next.is_null() {
                return Ok(tasks);
            }
        }
    }
}

/// What came of asking for a task.
pub(super) enum Started {
    /// It is there, under this ARN.
    Task(String),
    /// There is none, and this is why: ECS says so with HTTP 200.
    Nothing(String),
}

impl Api {
    /// Runs one task. `request` is what `RunTask` takes, its client token among it: with the same one it is the same task.
    pub(super) async fn run(&self, request: &Value) -> Result<Started, AwsError> {
        let call = || Call { action: "ecs:RunTask", resource: text(&request["taskDefinition"]) };
        let answer = verbatim!(self.client, run_task, call(), request)?;
        if let Some(arn) = answer["tasks"][0]["taskArn"].as_str() {
            return Ok(Started::Task(arn.to_owned()));
        }
        let why =
            |failure: &Value| format!("{} {}", text(&failure["reason"]), text(&failure["detail"])).trim().to_owned();
        let why: Vec<String> = answer["failures"].as_array().into_iter().flatten().map(why).collect();
        match why.is_empty() {
            true => Err(AwsError::incomplete(call(), "it names neither a task nor a failure")),
            false => Ok(Started::Nothing(why.join("; "))),
        }
    }

    /// A task; `None` if ECS knows none, or doesn't yet.
    pub(super) async fn task(&self, cluster: &ClusterName, arn: &str) -> Result<Option<TaskView>, AwsError> {
        let body = json!({ "cluster": cluster, "tasks": [arn] });
        let call = || Call { action: "ecs:DescribeTasks", resource: arn.to_owned() };
        let mut answer = verbatim!(self.client, describe_tasks, call(), &body)?;
        answer["tasks"].as_array_mut().and_then(Vec::pop).map(|task| read(task, call())).transpose()
    }

    /// Has ECS end a task. One that is over stays as it is.
    pub(super) async fn stop(&self, cluster: &ClusterName, arn: &str, why: &str) -> Result<(), AwsError> {
        let body = json!({ "cluster": cluster, "task": arn, "reason": why });
        let call = Call { action: "ecs:StopTask", resource: arn.to_owned() };
        verbatim!(self.client, stop_task, call, &body).map(drop)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The parts of an answer that are looked at.
pub(super) fn read<T: DeserializeOwned>(answer: Value, call: Call) -> Result<T, AwsError> {
    serde_json::from_value(answer).map_err(|_| AwsError::incomplete(call, "its fields are not of the documented types"))
}

impl Named {
    /// What of a service is looked at.
    pub(super) fn view(&self, service: &Value) -> Result<ServiceView, AwsError> {
        read(service.clone(), self.call("ecs:DescribeServices"))
    }
}
