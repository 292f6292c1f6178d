//! A task: its state, and how it is described.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::definition::Container;
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

/// A task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) arn: String,
    pub(super) cluster: String,
    pub(super) definition: String,
    pub(super) family: String,
    pub(super) revision: usize,
    /// With what RunTask overrode.
    pub(super) container: Container,
    pub(super) role: Option<String>,
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
    pub(super) exit_code: Option<i32>,
    /// What its container says about its end.
    pub(super) reason: Option<String>,
    pub(super) orders: watch::Sender<Order>,
    pub(super) process: Option<Process>,
    pub(super) log: Log,
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
    /// The arguments of its program, after the program's own path.
    pub arguments: Vec<String>,
    /// Such as `EssentialContainerExited`, once it stops.
    pub stop_code: Option<&'static str>,
    /// In ECS's words.
    pub stopped_reason: Option<String>,
    /// Of its program; 128 and the signal's number if one ended it.
    pub exit_code: Option<i32>,
    /// Of its container.
    pub reason: Option<String>,
    /// Everything that its program wrote so far.
    pub log: String,
}

fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1000.0
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

    pub(super) fn arguments(&self) -> Vec<String> {
        let all = self.container.entry_point.iter().chain(&self.container.command);
        all.skip(1).cloned().collect()
    }

    pub(super) fn view(&self) -> TaskView {
        TaskView {
            arn: self.arn.clone(),
            definition: self.definition.clone(),
            status: self.last,
            arguments: self.arguments(),
            stop_code: self.stop.as_ref().map(|stop| stop.code),
            stopped_reason: self.stop.as_ref().map(|stop| stop.reason.clone()),
            exit_code: self.exit_code,
            reason: self.reason.clone(),
            log: self.log.text(),
        }
    }

    /// As `DescribeTasks` tells it.
    pub(super) fn described(&self) -> Value {
        let container_status = match self.last {
            TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating => "PENDING",
            TaskStatus::Running => "RUNNING",
            TaskStatus::Deactivating | TaskStatus::Stopping | TaskStatus::Deprovisioning | TaskStatus::Stopped => {
                "STOPPED"
            }
        };
        let mut container = json!({
            "containerArn": self.arn.replacen(":task/", ":container/", 1) + "/1",
            "taskArn": self.arn, "name": self.container.name, "image": self.container.image,
            "lastStatus": container_status, "networkInterfaces": [], "healthStatus": "UNKNOWN", "cpu": "0",
        });
        put(&mut container, "exitCode", self.exit_code);
        put(&mut container, "reason", self.reason.clone());
        let mut task = json!({
            "attachments": [], "attributes": [], "availabilityZone": "eu-central-1a", "clusterArn": self.cluster,
            "containers": [container], "cpu": self.cpu, "memory": self.memory, "createdAt": seconds(self.created),
            "desiredStatus": self.desired.name(), "lastStatus": self.last.name(), "enableExecuteCommand": false,
            "group": self.group, "healthStatus": "UNKNOWN", "launchType": if self.fargate { "FARGATE" } else { "EC2" },
            "overrides": self.overrides, "platformVersion": "1.4.0", "platformFamily": "Linux", "tags": self.tags,
            "taskArn": self.arn, "taskDefinitionArn": self.definition, "version": self.version,
            "ephemeralStorage": { "sizeInGiB": 20 },
        });
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

fn put(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object[name] = value.into();
    }
}
