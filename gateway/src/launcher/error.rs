//! Why no worker could be started, or asked after.

use std::io;
use std::path::PathBuf;

use aws::{AwsError, ErrorKind};
use manifest_schema::{Code, Reason};
use records::config::ConfigError;
use records::with_causes;

use super::local::{WORKER, WORKER_VARIABLE};

/// No worker could be started, or it can't be asked how one is.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// There is none.
    #[error("{WORKER} not found {places}: build it, or set {WORKER_VARIABLE} to its path")]
    NoWorker {
        /// Where it was looked for.
        places: String,
    },
    /// What should be the worker can't be run.
    #[error("{path} is not a program that can be run: build {WORKER}, or set {WORKER_VARIABLE} to its path")]
    NotAProgram {
        /// What was found.
        path: PathBuf,
    },
    /// It couldn't read what it has to know of itself.
    #[error("the worker could not begin")]
    Configuration(#[source] ConfigError),
    /// Its log can't be written.
    #[error("can't write the worker's log {path}")]
    Log {
        /// The file or its directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system doesn't start it.
    #[error("can't start {path}")]
    Spawn {
        /// The program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A call to ECS failed.
    #[error("{0}")]
    Ecs(AwsError),
    /// ECS has no room for the task just now.
    #[error("ECS has no capacity for task definition {definition}: {said}")]
    NoCapacity {
        /// The task definition.
        definition: String,
        /// What ECS said.
        said: String,
    },
    /// ECS took the call and started nothing.
    #[error("ECS did not start task definition {definition}: {said}")]
    NotPlaced {
        /// The task definition.
        definition: String,
        /// What ECS said.
        said: String,
    },
}

impl LauncherError {
    /// Whether the same call may succeed later without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            // A process table or memory that is full for now.
            Self::Spawn { source, .. } => {
                matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory)
            }
            Self::Ecs(error) => error.is_temporary(),
            Self::NoCapacity { .. } => true,
            Self::NoWorker { .. }
            | Self::NotAProgram { .. }
            | Self::Configuration(_)
            | Self::Log { .. }
            | Self::NotPlaced { .. } => false,
        }
    }

    /// Whether the job ends with it at once. On a machine of one's own, who launches is told, repairs it and launches
    /// again; far away, a job that nobody can start must say so itself.
    pub(crate) fn ends_job(&self) -> bool {
        match self {
            Self::Ecs(_) | Self::NotPlaced { .. } => !self.is_temporary(),
            Self::NoCapacity { .. }
            | Self::NoWorker { .. }
            | Self::NotAProgram { .. }
            | Self::Configuration(_)
            | Self::Log { .. }
            | Self::Spawn { .. } => false,
        }
    }

    /// What a person can do about it, where the message doesn't say.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Ecs(error) if error.kind() == ErrorKind::Denied && error.call().action == "ecs:RunTask" => {
                Some(format!(
                    "{}; the gateway also needs iam:PassRole on the task's two roles, for ecs-tasks.amazonaws.com",
                    error.advice()
                ))
            }
            Self::Ecs(error) if error.kind() == ErrorKind::Other => Some(format!(
                "compare the gateway's `launcher` with {}: cluster, container, subnets, security groups",
                error.call().resource
            )),
            Self::Ecs(error) => Some(error.advice()),
            Self::NoCapacity { .. } => Some(
                "it is tried again; subnets in more availability zones, or a higher quota, make it rarer".to_owned(),
            ),
            Self::NotPlaced { .. } => Some("look that the task definition is active and fits the cluster".to_owned()),
            Self::Configuration(error) => Some(error.advice().to_owned()),
            Self::NoWorker { .. } | Self::NotAProgram { .. } | Self::Log { .. } | Self::Spawn { .. } => None,
        }
    }

    /// As the end of the job that waited for it.
    pub(crate) fn reason(&self) -> Reason {
        let code = match self {
            Self::NoCapacity { .. } => Code::TaskCapacity,
            Self::NoWorker { .. }
            | Self::NotAProgram { .. }
            | Self::Configuration(_)
            | Self::Log { .. }
            | Self::Spawn { .. }
            | Self::Ecs(_)
            | Self::NotPlaced { .. } => Code::TaskNotStarted,
        };
        let advice = self.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        Reason::new(code, format!("no worker was started: {}{advice}", with_causes(self)))
    }
}
