//! A task: its state, and how it is described.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::definition::Container;
use super::services::Serves;
use crate::process::{Log, Process};

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are AWS's own words")]
pub enum TaskStatus {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl TaskStatus {
    /// As ECS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// What a task is told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Nothing.
    Live,
    /// SIGTERM, later SIGKILL.
    Stop,
    /// SIGKILL.
    Die,
}

/// Why a task stops or stopped.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) code: &'static str,
    pub(super) reason: String,
}

/// One of a task's containers.
#[derive(Debug)]
pub(super) struct TaskContainer {
    /// With what RunTask overrode.
    pub(super) definition: Container,
    /// Of its image, once that is pulled.
    pub(super) digest: Option<String>,
    pub(super) healthy: Option<bool>,
    pub(super) exit_code: Option<i32>,
    /// What it says about its end.
    pub(super) reason: Option<String>,
    pub(super) process: Option<Process>,
    pub(super) log: Log,
}

/// A task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) arn: String,
    pub(super) cluster: String,
    pub(super) definition: String,
    pub(super) family: String,
    pub(super) revision: usize,
    pub(super) containers: Vec<TaskContainer>,
    /// What it is to a service, if it is of one: such a task has no processes.
    pub(super) serves: Option<Serves>,
    pub(super) role: Option<String>,
    /// What secrets and images are fetched with.
    pub(super) execution_role: Option<String>,
    /// Where it was placed, if it was by a capacity provider.
    pub(super) provider: Option<String>,
    pub(super) cpu: String,
    pub(super) memory: String,
    /// What RunTask said.
    pub(super) overrides: Value,
    pub(super) started_by: Option<String>,
    pub(super) group: String,
    pub(super) tags: Value,
    pub(super) fargate: bool,
    /// The unguessable part of the address of its credentials.
    pub(super) secret: String,
    pub(super) last: TaskStatus,
    pub(super) desired: TaskStatus,
    pub(super) created: SystemTime,
    pub(super) started: Option<SystemTime>,
    pub(super) stopping: Option<SystemTime>,
    pub(super) stopped: Option<SystemTime>,
    pub(super) stop: Option<Stop>,
    pub(super) orders: watch::Sender<Order>,
    pub(super) version: u64,
    /// Its current session, and when that ends.
    pub(super) session: Option<(crate::people::Keys, SystemTime, SystemTime)>,
}

/// A task as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskView {
    /// Its ARN.
    pub arn: String,
    /// The ARN of its definition.
    pub definition: String,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// The arguments of its first container's program, after the program's own path.
    pub arguments: Vec<String>,
    /// Such as `EssentialContainerExited`, once it stops.
    pub stop_code: Option<&'static str>,
    /// In ECS's words.
    pub stopped_reason: Option<String>,
    /// Of its first container's program; 128 and the signal's number if one ended it.
    pub exit_code: Option<i32>,
    /// Of its first container.
    pub reason: Option<String>,
    /// Everything that its first container wrote so far.
    pub log: String,
}

pub(super) fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1000.0
}

impl TaskContainer {
    pub(super) fn new(definition: Container) -> Self {
        let (digest, healthy, exit_code, reason, process) = (None, None, None, None, None);
        Self { definition, digest, healthy, exit_code, reason, process, log: Log::default() }
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        let all = self.definition.entry_point.iter().chain(&self.definition.command);
        all.skip(1).cloned().collect()
    }

    fn described(&self, task: &Task, number: usize) -> Value {
        let status = match task.last {
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => "PENDING",
            TaskStatus::Running | TaskStatus::Deactivating if self.exit_code.is_none() => "RUNNING",
            TaskStatus::Running
            | TaskStatus::Deactivating
            | TaskStatus::Stopping
            | TaskStatus::Deprovisioning
            | TaskStatus::Stopped => "STOPPED",
        };
        let mut container = json!({
            "containerArn": format!("{}/{}", task.arn.replacen(":task/", ":container/", 1), number + 1),
            "taskArn": task.arn, "name": self.definition.name, "image": self.definition.image,
            "lastStatus": status, "networkInterfaces": [], "healthStatus": health(self.healthy), "cpu": "0",
        });
        put(&mut container, "imageDigest", self.digest.clone());
        put(&mut container, "exitCode", self.exit_code);
        put(&mut container, "reason", self.reason.clone());
        container
    }
}

fn health(healthy: Option<bool>) -> &'static str {
    match healthy {
        Some(true) => "HEALTHY",
        Some(false) => "UNHEALTHY",
        None => "UNKNOWN",
    }
}

impl Task {
    pub(super) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Goes on to a state; never back.
    pub(super) fn reach(&mut self, status: TaskStatus) {
        if status <= self.last {
            return;
        }
        self.last = status;
        self.version += 1;
        let now = Some(SystemTime::now());
        match status {
            TaskStatus::Running => self.started = now,
            TaskStatus::Stopped => self.stopped = now,
            TaskStatus::Provisioning
            | TaskStatus::Pending
            | TaskStatus::Activating
            | TaskStatus::Deactivating
            | TaskStatus::Stopping
            | TaskStatus::Deprovisioning => {}
        }
    }

    /// Notes why it ends; the first reason stays.
    pub(super) fn ends(&mut self, code: &'static str, reason: &str) {
        self.desired = TaskStatus::Stopped;
        self.stopping.get_or_insert_with(SystemTime::now);
        self.stop.get_or_insert_with(|| Stop { code, reason: reason.to_owned() });
        self.version += 1;
    }

    /// Whether it is on its way up or runs, and is to go on.
    pub(super) fn is_wanted(&self) -> bool {
        self.desired == TaskStatus::Running
    }

    /// Notes the end of a container; whether that is the task's.
    pub(super) fn container_ended(&mut self, number: usize, exit_code: i32) -> bool {
        let Some(container) = self.containers.get_mut(number) else { return false };
        container.exit_code = Some(exit_code);
        container.process = None;
        self.version += 1;
        let essential = container.definition.essential;
        if essential {
            self.ends("EssentialContainerExited", "Essential container in task exited");
        }
        essential
    }

    /// Notes what its first container says about its end.
    pub(super) fn says(&mut self, reason: &str) {
        if let Some(container) = self.containers.first_mut() {
            container.reason = Some(reason.to_owned());
        }
    }

    pub(super) fn view(&self) -> TaskView {
        let first = self.containers.first();
        TaskView {
            arn: self.arn.clone(),
            definition: self.definition.clone(),
            status: self.last,
            arguments: first.map(TaskContainer::arguments).unwrap_or_default(),
            stop_code: self.stop.as_ref().map(|stop| stop.code),
            stopped_reason: self.stop.as_ref().map(|stop| stop.reason.clone()),
            exit_code: first.and_then(|first| first.exit_code),
            reason: first.and_then(|first| first.reason.clone()),
            log: first.map(|first| first.log.text()).unwrap_or_default(),
        }
    }

    /// As `DescribeTasks` tells it.
    pub(super) fn described(&self) -> Value {
        let containers: Vec<_> =
            self.containers.iter().enumerate().map(|(number, container)| container.described(self, number)).collect();
        let checked: Vec<bool> = self.containers.iter().filter_map(|container| container.healthy).collect();
        let healthy = (!checked.is_empty()).then(|| checked.iter().all(|healthy| *healthy));
        let mut task = json!({
            "attachments": [], "attributes": [], "availabilityZone": "eu-central-1a", "clusterArn": self.cluster,
            "containers": containers, "cpu": self.cpu, "memory": self.memory, "createdAt": seconds(self.created),
            "desiredStatus": self.desired.name(), "lastStatus": self.last.name(), "enableExecuteCommand": false,
            "group": self.group, "healthStatus": health(healthy), "launchType": if self.fargate { "FARGATE" } else { "EC2" },
            "overrides": self.overrides, "platformVersion": "1.4.0", "platformFamily": "Linux", "tags": self.tags,
            "taskArn": self.arn, "taskDefinitionArn": self.definition, "version": self.version,
            "ephemeralStorage": { "sizeInGiB": 20 },
        });
        put(&mut task, "capacityProviderName", self.provider.clone());
        put(&mut task, "startedBy", self.started_by.clone());
        put(&mut task, "startedAt", self.started.map(seconds));
        put(&mut task, "stoppingAt", self.stopping.map(seconds));
        put(&mut task, "stoppedAt", self.stopped.map(seconds));
        put(&mut task, "stopCode", self.stop.as_ref().map(|stop| stop.code));
        put(&mut task, "stoppedReason", self.stop.as_ref().map(|stop| stop.reason.clone()));
        task
    }

    /// How long its sessions are used before there is a new one.
    pub(super) fn session_is_fresh(&self, now: SystemTime) -> bool {
        self.session.as_ref().is_some_and(|(_, from, to)| {
            let half = to.duration_since(*from).unwrap_or(Duration::ZERO) / 2;
            now < *from + half
        })
    }
}

pub(super) fn put(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[name] = value.into();
    }
}
