//! How workers are started, and how one proves that they are dead.

mod ecs;
mod error;
mod local;
mod stopped;

use aws::Connection;
use manifest_schema::Code;
use manifest_schema::job::{Action, JobId, TaskId};
use records::config::LauncherConfig;
use records::task::{self, Liveness};

pub use ecs::EcsLauncher;
pub use error::LauncherError;
pub use local::{LocalLauncher, Surroundings};

/// A way to start workers.
#[derive(Debug, Clone)]
pub enum Launcher {
    /// As processes on this machine.
    Local(LocalLauncher),
    /// As tasks of Amazon ECS.
    Ecs(Box<EcsLauncher>),
}

/// What is known about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It runs, or is about to.
    Running,
    /// It is provably over.
    Over(Death),
    /// Whoever runs it doesn't know it, or no longer.
    Forgotten,
    /// Nothing here can tell.
    Unknown,
}

/// How a task came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// What it was.
    pub(crate) code: Code,
    /// What is said about it by whoever ran it.
    pub(crate) said: Option<String>,
}

impl Launcher {
    /// The way that a configuration describes. Local workers will have the environment of this process, as far as
    /// [`Surroundings`] lets it through.
    pub async fn new(config: LauncherConfig, aws: &aws::Settings) -> Self {
        match config {
            LauncherConfig::Local { planner, deployer, logs } => {
                let here = Surroundings::of_this_process();
                Self::Local(LocalLauncher::new(here.find_worker(), planner, deployer, logs, here))
            }
            LauncherConfig::Ecs(config) => {
                Self::Ecs(Box::new(EcsLauncher::new(&Connection::new(aws, &[]).await, config)))
            }
        }
    }

    /// Whether a worker could be started, as far as it can be told before anything is recorded that needs one.
    pub(crate) fn ready(&self) -> Result<(), LauncherError> {
        match self {
            Self::Local(local) => local.ready(),
            Self::Ecs(_) => Ok(()),
        }
    }

    /// Starts a worker for a job. `None` when it was started but can't be named; its first event names it then.
    pub(crate) async fn start(&self, job: JobId, action: Action) -> Result<Option<TaskId>, LauncherError> {
        match self {
            Self::Local(local) => local.start(job, action).await,
            Self::Ecs(ecs) => ecs.start(job, action).await,
        }
    }

    /// For how many seconds a job may be without a worker before it is started again. A process that is started twice is
    /// two; a task that is run twice is one.
    pub(crate) fn patience(&self) -> u64 {
        match self {
            Self::Local(_) => 30,
            Self::Ecs(_) => 5,
        }
    }

    /// For how many seconds a job must have been silent before it is worth asking how its task is.
    pub(crate) fn silence(&self) -> u64 {
        match self {
            Self::Local(_) => 0,
            Self::Ecs(_) => 15,
        }
    }

    /// How a task is.
    pub(crate) async fn fate(&self, task: &TaskId) -> Result<Fate, LauncherError> {
        match self {
            Self::Local(_) => Ok(match task::liveness(task) {
                Liveness::Alive => Fate::Running,
                Liveness::Dead => Fate::Over(Death { code: Code::WorkerDied, said: None }),
                Liveness::Unknown => Fate::Unknown,
            }),
            Self::Ecs(ecs) => ecs.fate(task).await,
        }
    }

    /// Ends a task from outside, where somebody else than the worker can: its worker has not begun, or is not heard of.
    pub(crate) async fn stop(&self, task: &TaskId, why: &str) -> Result<(), LauncherError> {
        match self {
            // A worker here sees the cancellation itself, or is dead.
            Self::Local(_) => Ok(()),
            Self::Ecs(ecs) => ecs.stop(task, why).await,
        }
    }

    /// Where a person finds what a job's worker said, for messages; `None` where the task's own name says it.
    pub(crate) fn log_of(&self, job: JobId) -> Option<String> {
        match self {
            Self::Local(local) => Some(local.log_of(job).display().to_string()),
            Self::Ecs(_) => None,
        }
    }
}
