//! As much of ECS's answers as a rollout is judged by (ECS API reference, `Service`, `Deployment`, `Task`).

use serde::Deserialize;

/// A service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceView {
    pub(super) service_arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub(super) status: String,
    pub(super) desired_count: u32,
    /// The task definition that the newest deployment runs.
    pub(super) task_definition: String,
    pub(super) deployments: Vec<DeploymentView>,
    /// The newest first.
    pub(super) events: Vec<ServiceEvent>,
    pub(super) deployment_configuration: DeploymentConfiguration,
    pub(super) deployment_controller: Kind,
    pub(super) task_sets: Vec<serde::de::IgnoredAny>,
    pub(super) scheduling_strategy: String,
}

/// How a service replaces its tasks.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeploymentConfiguration {
    pub(super) deployment_circuit_breaker: CircuitBreaker,
    /// `ROLLING` where there is none: services are older than the field.
    pub(super) strategy: Option<String>,
}

/// Whether ECS gives a deployment up whose tasks don't come up.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CircuitBreaker {
    pub(super) enable: bool,
    pub(super) rollback: bool,
}

/// An object of which only the type matters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Kind {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

/// What a service writes down about itself.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceEvent {
    pub(super) id: String,
    pub(super) message: String,
}

/// One rollout of a service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DeploymentView {
    pub(super) id: String,
    /// `PRIMARY` is the newest; `ACTIVE` ones still have tasks.
    pub(super) status: String,
    pub(super) task_definition: String,
    pub(super) desired_count: u32,
    pub(super) pending_count: u32,
    pub(super) running_count: u32,
    pub(super) failed_tasks: u32,
    pub(super) rollout_state: RolloutState,
    pub(super) rollout_state_reason: String,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum RolloutState {
    /// Old tasks are being replaced.
    InProgress,
    /// Only its tasks run, as many as wanted, all of them healthy.
    Completed,
    /// ECS gave it up.
    Failed,
    /// ECS doesn't say, or in a word that is newer than this.
    #[default]
    #[serde(other)]
    Unsaid,
}

impl ServiceView {
    /// The newest deployment.
    pub(super) fn primary(&self) -> Option<&DeploymentView> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }

    /// A deployment, as long as ECS lists it.
    pub(super) fn deployment(&self, id: &str) -> Option<&DeploymentView> {
        self.deployments.iter().find(|deployment| deployment.id == id)
    }

    /// What the service said when ECS gave a deployment up.
    pub(super) fn failure_of(&self, id: &str) -> Option<&str> {
        let named = format!("(deployment {id}) deployment failed");
        self.events.iter().map(|event| event.message.as_str()).find(|message| message.contains(&named))
    }

    /// Whether it is there to be deployed to.
    pub(super) fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }

    /// What has proved to run: the newest deployment if it is complete, otherwise the one that it was to replace, if that
    /// still has tasks.
    pub(super) fn proven(&self) -> &str {
        let unproven = |primary: &DeploymentView| match primary.rollout_state {
            RolloutState::Completed | RolloutState::Unsaid => false,
            RolloutState::InProgress | RolloutState::Failed => true,
        };
        let older = self.deployments.iter().find(|other| other.status != "PRIMARY" && other.running_count > 0);
        match self.primary() {
            Some(primary) if unproven(primary) => older.map_or(&self.task_definition, |older| &older.task_definition),
            Some(_) | None => &self.task_definition,
        }
    }
}

/// A task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TaskView {
    pub(super) task_arn: String,
    pub(super) task_definition_arn: String,
    /// Of a service's task, the deployment's id.
    pub(super) started_by: String,
    pub(super) last_status: String,
    pub(super) stop_code: Option<String>,
    pub(super) stopped_reason: Option<String>,
    pub(super) containers: Vec<ContainerView>,
}

/// A container of a task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerView {
    pub(super) name: String,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
    /// Of the image's manifest, as it was pulled.
    pub(super) image_digest: Option<String>,
}

impl TaskView {
    /// The last part of its ARN.
    pub(super) fn id(&self) -> &str {
        self.task_arn.rsplit('/').next().unwrap_or_default()
    }
}
