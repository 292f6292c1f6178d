//! `RunTask`: starts tasks, once for each client token.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::definition::{Container, Definition, pairs, texts};
use super::task::{Order, Task, TaskContainer, TaskStatus};
use super::{Ecs, TaskFailure, life, may, only};
use crate::http::Refusal;
use crate::people::Caller;
use crate::{Core, State};

/// What RunTask may say; the second half makes no difference here.
const FIELDS: [&str; 16] = [
    "capacityProviderStrategy",
    "cluster",
    "clientToken",
    "count",
    "group",
    "launchType",
    "networkConfiguration",
    "overrides",
    "startedBy",
    "tags",
    "taskDefinition",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "platformVersion",
    "propagateTags",
    "referenceId",
];
const OVERRIDES: [&str; 6] =
    ["containerOverrides", "cpu", "memory", "taskRoleArn", "executionRoleArn", "ephemeralStorage"];
const CONTAINER_OVERRIDES: [&str; 6] = ["name", "command", "environment", "cpu", "memory", "memoryReservation"];

/// The service that gets a task's roles.
const TASKS: &str = "ecs-tasks.amazonaws.com";

/// What Fargate says when it has no room.
const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone";

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidParameterException", message)
}

/// Whether the caller may hand a role to a task.
pub(super) fn may_pass(caller: &Caller, role: &str) -> Result<(), Refusal> {
    may(caller, "iam:PassRole", role, &caller.context([("iam:PassedToService", TASKS.to_owned())]))
}

/// `RunTask`.
pub(super) fn run_task(
    core: &Arc<Core>,
    state: &mut State,
    body: &Value,
    caller: &Caller,
    failure: Option<TaskFailure>,
) -> Result<Value, Refusal> {
    only(body, "ecs:RunTask", &FIELDS)?;
    let cluster = state.ecs.cluster(&body["cluster"], caller.account())?;
    let named = body["taskDefinition"].as_str().unwrap_or_default();
    let definition = state.ecs.definition(named, caller.account()).cloned();
    let definition = definition.ok_or_else(|| Refusal::new(400, "ClientException", "TaskDefinition not found."))?;
    let execute = body["enableExecuteCommand"].as_bool().unwrap_or(false);
    let context =
        caller.context([("ecs:cluster", cluster.clone()), ("ecs:enable-execute-command", execute.to_string())]);
    may(caller, "ecs:RunTask", &definition.arn, &context)?;
    let roles = roles(state, caller, &definition, &body["overrides"])?;
    let provider = place(body, &definition)?;
    definition.check_runnable()?;
    let containers = overridden(&definition.containers, &body["overrides"])?;
    let token = token(body)?;

    let used = token.as_ref().and_then(|token| state.ecs.tokens.get(&(cluster.clone(), token.clone())));
    if let Some((request, tasks)) = used {
        if request != body {
            let message = "The provided client token is already in use with a different RunTask request.";
            return Err(Refusal::new(400, "ConflictException", message).with("resourceIds", json!(tasks)));
        }
        let described: Vec<_> = tasks.iter().filter_map(|arn| state.ecs.tasks.get(arn)).map(Task::described).collect();
        return Ok(json!({ "tasks": described, "failures": [] }));
    }
    if failure == Some(TaskFailure::Capacity) {
        return Ok(json!({ "tasks": [], "failures": [{ "reason": NO_CAPACITY }] }));
    }
    let count = body["count"].as_u64().unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(invalid("Count must be between 1 and 10."));
    }
    let mut tasks = Vec::new();
    for _ in 0..count {
        let task = new_task(state, body, &cluster, &definition, &containers);
        let (role, execution_role) = roles.clone();
        let task = Task { role, execution_role, provider: provider.clone(), ..task };
        tasks.push(task.arn.clone());
        let orders = task.orders.subscribe();
        tokio::spawn(life::live(Arc::clone(core), task.arn.clone(), orders, failure.clone()));
        state.ecs.tasks.insert(task.arn.clone(), task);
    }
    if let Some(token) = token {
        state.ecs.tokens.insert((cluster, token), (body.clone(), tasks.clone()));
    }
    let described: Vec<_> = tasks.iter().map(|arn| state.ecs.tasks[arn].described()).collect();
    Ok(json!({ "tasks": described, "failures": [] }))
}

/// The role of a task, and the one that ECS starts it with.
type Roles = (Option<String>, Option<String>);

/// The task's roles, if the caller may pass on both and both trust ECS.
fn roles(state: &State, caller: &Caller, definition: &Definition, overrides: &Value) -> Result<Roles, Refusal> {
    only(overrides, "ecs:RunTask overrides", &OVERRIDES)?;
    let role = |field: &str, own: &Option<String>| overrides[field].as_str().map(str::to_owned).or_else(|| own.clone());
    let task = role("taskRoleArn", &definition.task_role);
    let execution = role("executionRoleArn", &definition.execution_role);
    for arn in [&task, &execution].into_iter().flatten() {
        may_pass(caller, arn)?;
        let source = definition.arn.replacen(":task-definition/", ":task/", 1);
        if !state.people.role(arn).is_some_and(|role| state.people.trusts_service(role, TASKS, &source)) {
            let message = format!(
                "ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role \
                 being passed has the proper trust relationship and permissions and that your IAM user has permissions to \
                 pass this role."
            );
            return Err(Refusal::new(400, "ClientException", message));
        }
    }
    Ok((task, execution))
}

/// The capacity provider that the task is placed by, if it is by one and may be placed there at all.
fn place(body: &Value, definition: &Definition) -> Result<Option<String>, Refusal> {
    let strategy = body["capacityProviderStrategy"].as_array().map(Vec::as_slice).unwrap_or_default();
    let provider = strategy.first().and_then(|first| first["capacityProvider"].as_str());
    match (body["launchType"].as_str(), provider) {
        (Some("FARGATE"), None) | (None, Some("FARGATE" | "FARGATE_SPOT")) => {}
        (Some(_), Some(_)) => {
            let message = "Specifying both a launch type and capacity provider strategy is not supported. Remove one and \
                           try again.";
            return Err(invalid(message));
        }
        (Some(_) | None, _) => return Err(Refusal::not_doubled("ecs:RunTask anywhere but on Fargate")),
    }
    if !definition.fargate {
        return Err(invalid("Task definition does not support launch_type FARGATE."));
    }
    let network = &body["networkConfiguration"]["awsvpcConfiguration"];
    if network.is_null() {
        return Err(invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified."));
    }
    if texts(&network["subnets"]).is_empty() {
        return Err(invalid("subnets can not be empty."));
    }
    Ok(provider.map(str::to_owned))
}

/// The containers with what RunTask overrides.
fn overridden(containers: &[Container], overrides: &Value) -> Result<Vec<Container>, Refusal> {
    let mut containers = containers.to_vec();
    for one in overrides["containerOverrides"].as_array().into_iter().flatten() {
        only(one, "ecs:RunTask container overrides", &CONTAINER_OVERRIDES)?;
        let name = one["name"].as_str().unwrap_or_default();
        let Some(container) = containers.iter_mut().find(|container| container.name == name) else {
            let message = format!("Override for container named {name} is not a container in the TaskDefinition.");
            return Err(invalid(message));
        };
        if one["command"].is_array() {
            container.command = texts(&one["command"]);
        }
        container.environment.extend(pairs(&one["environment"], "value"));
    }
    Ok(containers)
}

fn token(body: &Value) -> Result<Option<String>, Refusal> {
    let Some(token) = body["clientToken"].as_str() else { return Ok(None) };
    if token.len() > 64 || !token.bytes().all(|byte| (33..=126).contains(&byte)) {
        let message = "clientToken can be up to 64 ASCII characters in the range of 33-126.";
        return Err(invalid(message));
    }
    Ok(Some(token.to_owned()))
}

fn new_task(state: &mut State, body: &Value, cluster: &str, definition: &Definition, containers: &[Container]) -> Task {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let mut overrides = json!({ "inferenceAcceleratorOverrides": [] });
    for (name, value) in body["overrides"].as_object().into_iter().flatten() {
        overrides[name] = value.clone();
    }
    let given = body["overrides"]["containerOverrides"].as_array().filter(|given| !given.is_empty());
    let named = || containers.iter().map(|container| json!({ "name": container.name })).collect();
    overrides["containerOverrides"] = given.map_or_else(named, |given| json!(given));
    let size = |name: &str, own: &str| body["overrides"][name].as_str().unwrap_or(own).to_owned();
    let task = state.ecs.new_task(cluster, definition);
    Task {
        containers: containers.iter().cloned().map(TaskContainer::new).collect(),
        cpu: size("cpu", &definition.cpu),
        memory: size("memory", &definition.memory),
        overrides,
        started_by: text("startedBy"),
        group: text("group").unwrap_or_else(|| format!("family:{}", definition.family)),
        tags: if body["tags"].is_array() { body["tags"].clone() } else { json!([]) },
        ..task
    }
}

impl Ecs {
    /// A task of a definition as it is; nothing has happened to it.
    pub(super) fn new_task(&mut self, cluster: &str, definition: &Definition) -> Task {
        self.started += 1;
        let id = format!("{:032x}", 0xd0b1_e000_0000_0000_0000_u128 + self.started as u128);
        Task {
            arn: format!("{}/{id}", cluster.replacen(":cluster/", ":task/", 1)),
            cluster: cluster.to_owned(),
            definition: definition.arn.clone(),
            family: definition.family.clone(),
            revision: definition.revision,
            containers: definition.containers.iter().cloned().map(TaskContainer::new).collect(),
            serves: None,
            role: definition.task_role.clone(),
            execution_role: definition.execution_role.clone(),
            provider: None,
            cpu: definition.cpu.clone(),
            memory: definition.memory.clone(),
            overrides: json!({ "inferenceAcceleratorOverrides": [], "containerOverrides": [] }),
            started_by: None,
            group: String::new(),
            tags: json!([]),
            fargate: definition.fargate,
            secret: format!("{:08x}-double-credentials", self.started),
            last: TaskStatus::Provisioning,
            desired: TaskStatus::Running,
            created: SystemTime::now(),
            started: None,
            stopping: None,
            stopped: None,
            stop: None,
            orders: watch::Sender::new(Order::Live),
            version: 1,
            session: None,
        }
    }
}
