//! Workers as tasks of Amazon ECS on Fargate.
//!
//! A task is run under the job's id as `clientToken`: whoever runs it again, after an answer that was lost or a function
//! that was cut off, gets the same task (ECS API reference, `RunTask`, "Ensuring idempotency"). The only override is the
//! worker's command: the job id. Image, roles, environment and entry point are the task definition's.

use aws::{AwsError, Call, Connection};
use aws_sdk_ecs::Client;
use aws_sdk_ecs::error::ProvideErrorMetadata as _;
use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, ContainerOverride, LaunchType, NetworkConfiguration, TaskOverride,
};
use manifest_schema::job::{Action, JobId, TaskId};
use records::config::{EcsConfig, TaskDefinition};

use super::{Fate, LauncherError, stopped};

/// Whose tasks these are, for people who look at the cluster.
const STARTED_BY: &str = "airlock";
/// As `lastStatus` says that a task is over.
const STOPPED: &str = "STOPPED";
/// As `DescribeTasks` says that it knows no such task, or no longer: it forgets an hour after the end.
const MISSING: &str = "MISSING";

/// Starts workers as tasks, and asks ECS how they are.
#[derive(Debug, Clone)]
pub struct EcsLauncher {
    client: Client,
    config: EcsConfig,
}

impl EcsLauncher {
    /// Prepares everything; asks nothing over the network.
    pub fn new(connection: &Connection, config: EcsConfig) -> Self {
        Self { client: Client::new(connection.config()), config }
    }

    pub(super) async fn start(&self, job: JobId, action: Action) -> Result<Option<TaskId>, LauncherError> {
        let definition = match action {
            Action::Plan | Action::Drift => &self.config.planner,
            Action::Apply => &self.config.deployer,
        };
        let command = ContainerOverride::builder().name(&self.config.container).command(job.to_string()).build();
        let asked = self
            .client
            .run_task()
            .cluster(&self.config.cluster)
            .task_definition(definition.as_str())
            .launch_type(LaunchType::Fargate)
            .count(1)
            .client_token(job.to_string())
            .started_by(STARTED_BY)
            .enable_execute_command(false)
            .network_configuration(self.network()?)
            .overrides(TaskOverride::builder().container_overrides(command).build());
        let arn = match asked.send().await {
            Ok(output) => started(output, definition)?,
            Err(error) => match error.as_service_error() {
                // Run before, from another revision of the task definition: it is this job's task all the same.
                Some(RunTaskError::ConflictException(conflict)) if !conflict.resource_ids().is_empty() => {
                    conflict.resource_ids().first().cloned().unwrap_or_default()
                }
                Some(other) if other.message().is_some_and(is_capacity) => {
                    let said = other.message().unwrap_or_default().to_owned();
                    return Err(LauncherError::NoCapacity { definition: definition.to_string(), said });
                }
                Some(_) | None => {
                    let call = Call { action: "ecs:RunTask", resource: definition.to_string() };
                    return Err(LauncherError::Ecs(AwsError::new(call, error)));
                }
            },
        };
        Ok(Some(TaskId::Ecs { arn }))
    }

    fn network(&self) -> Result<NetworkConfiguration, LauncherError> {
        let public = if self.config.assign_public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.config.subnets.clone()))
            .set_security_groups(Some(self.config.security_groups.clone()))
            .assign_public_ip(public)
            .build();
        let network = network.map_err(|error| LauncherError::NotPlaced {
            definition: self.config.cluster.clone(),
            said: error.to_string(),
        })?;
        Ok(NetworkConfiguration::builder().awsvpc_configuration(network).build())
    }

    /// What ECS knows of a task.
    pub(super) async fn fate(&self, task: &TaskId) -> Result<Fate, LauncherError> {
        let TaskId::Ecs { arn } = task else { return Ok(Fate::Unknown) };
        let call = || Call { action: "ecs:DescribeTasks", resource: arn.clone() };
        let asked = self.client.describe_tasks().cluster(&self.config.cluster).tasks(arn).send().await;
        let found = match asked.map_err(|error| AwsError::new(call(), error)) {
            Ok(found) => found,
            // It is asked again soon.
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, "a task can't be asked after");
                return Ok(Fate::Unknown);
            }
            Err(error) => return Err(LauncherError::Ecs(error)),
        };
        if let Some(task) = found.tasks().first() {
            let is_over = task.last_status() == Some(STOPPED);
            return Ok(if is_over { Fate::Over(stopped::judge(task, &self.config.container)) } else { Fate::Running });
        }
        let is_missing = found.failures().iter().any(|failure| failure.reason() == Some(MISSING));
        Ok(if is_missing { Fate::Forgotten } else { Fate::Unknown })
    }

    /// Has ECS end a task. One that is over already stays as it is.
    pub(super) async fn stop(&self, task: &TaskId, why: &str) -> Result<(), LauncherError> {
        let TaskId::Ecs { arn } = task else { return Ok(()) };
        let call = Call { action: "ecs:StopTask", resource: arn.clone() };
        let asked = self.client.stop_task().cluster(&self.config.cluster).task(arn).reason(why).send().await;
        asked.map(drop).map_err(|error| LauncherError::Ecs(AwsError::new(call, error)))
    }
}

/// The task that was started, or why none was: ECS says the latter with HTTP 200.
fn started(output: RunTaskOutput, definition: &TaskDefinition) -> Result<String, LauncherError> {
    if let Some(arn) = output.tasks().first().and_then(|task| task.task_arn()) {
        return Ok(arn.to_owned());
    }
    let definition = definition.to_string();
    let said = |failure: &aws_sdk_ecs::types::Failure| {
        [failure.reason(), failure.detail()].into_iter().flatten().collect::<Vec<_>>().join(", ")
    };
    let said: Vec<String> = output.failures().iter().map(said).filter(|said| !said.is_empty()).collect();
    if said.is_empty() {
        return Err(LauncherError::NotPlaced { definition, said: "it names neither a task nor a failure".to_owned() });
    }
    let said = said.join("; ");
    Err(if is_capacity(&said) {
        LauncherError::NoCapacity { definition, said }
    } else {
        LauncherError::NotPlaced { definition, said }
    })
}

/// Whether ECS says that there is no room now (ECS API reference, "API failure reasons"): Fargate's capacity, a quota of
/// what may run at once, or a resource.
fn is_capacity(said: &str) -> bool {
    said.contains("apacity is unavailable")
        || said.contains("limit on the number")
        || said.starts_with("RESOURCE:")
        || said.starts_with("AGENT")
}
