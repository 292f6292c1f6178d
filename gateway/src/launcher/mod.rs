//! How workers are started, and how one proves that they are dead.

mod local;

use manifest_schema::job::{Action, JobId, TaskId};
use records::task::{self, Liveness};

pub use local::{LauncherError, LocalLauncher, Surroundings};

/// A way to start workers.
#[derive(Debug, Clone)]
pub enum Launcher {
    /// As processes on this machine.
    Local(LocalLauncher),
}

impl Launcher {
    /// Whether a worker could be started, before anything is recorded that needs one.
    pub(crate) fn ready(&self) -> Result<(), LauncherError> {
        match self {
            Self::Local(local) => local.ready(),
        }
    }

    /// Starts a worker for a job. `None` when it was started but can't be named; its first event names it then.
    pub(crate) async fn start(&self, job: JobId, action: Action) -> Result<Option<TaskId>, LauncherError> {
        match self {
            Self::Local(local) => local.start(job, action).await,
        }
    }

    /// Whether a task still runs.
    pub(crate) fn liveness(&self, task: &TaskId) -> Liveness {
        match self {
            Self::Local(_) => task::liveness(task),
        }
    }

    /// Where a person finds what a job's worker said, for messages.
    pub(crate) fn log_of(&self, job: JobId) -> String {
        match self {
            Self::Local(local) => local.log_of(job).display().to_string(),
        }
    }
}
