//! Where services run: Amazon ECS, or a directory that stands in for it.

mod local;

use manifest_schema::gates::Admission;
use manifest_schema::manifest::{BuildManifest, ServiceStep, TaskStep};
use manifest_schema::plan::{ServiceChange, TaskRun};
use manifest_schema::{Code, Reason};
use records::config::ClusterConfig;

use crate::ecs::Ecs;
use crate::group::Group;
use crate::session::Session;
use crate::stop::Stop;
use local::LocalCluster;

/// The services of one environment.
pub(crate) enum Cluster<'a> {
    /// A directory.
    Local(LocalCluster),
    /// Amazon ECS.
    Ecs(Box<Ecs<'a>>),
}

impl<'a> Cluster<'a> {
    /// Asks nobody yet.
    pub(crate) async fn open(session: &'a Session) -> Self {
        match &session.config().cluster {
            ClusterConfig::Local(path) => Self::Local(LocalCluster::open(path, &session.request().environment)),
            ClusterConfig::Ecs(config) => Self::Ecs(Box::new(Ecs::open(session, config).await)),
        }
    }

    /// What deploying this build would change in each service, and what it would run once.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<(Vec<ServiceChange>, Vec<TaskRun>), Stop> {
        match self {
            Self::Local(cluster) => match manifest.tasks().map(no_machine).collect::<Vec<_>>() {
                none if none.is_empty() => Ok((cluster.changes(manifest)?, Vec::new())),
                reasons => Err(Stop::Refused(reasons)),
            },
            Self::Ecs(ecs) => ecs.changes(manifest).await,
        }
    }

    /// Makes a service run this build, and go back with its group. `approved` is what people agreed to.
    pub(crate) async fn deploy(
        &self,
        session: &Session,
        admission: &Admission,
        (step, approved): (&ServiceStep, &ServiceChange),
        group: &Group,
    ) -> Result<(), Stop> {
        let deployed = match self {
            Self::Local(cluster) => cluster.deploy(session, admission.manifest().manifest(), step, group).await,
            Self::Ecs(ecs) => ecs.deploy(admission, step, approved, group).await,
        };
        if let Err(stop) = &deployed {
            group.fall(&stop.reason());
        }
        deployed
    }

    /// Runs a task of this build once, to its end. `approved` is what people agreed to.
    pub(crate) async fn run(&self, admission: &Admission, step: &TaskStep, approved: &TaskRun) -> Result<(), Stop> {
        match self {
            Self::Local(_) => Err(Stop::Refused(vec![no_machine(step)])),
            Self::Ecs(ecs) => ecs.run(admission, step, approved).await,
        }
    }
}

/// A directory can say what would run, but a task that would have run has changed nothing.
fn no_machine(step: &TaskStep) -> Reason {
    let message = format!(
        "task {}: a directory stands in for the cluster, and nothing can run there: leave the step out of what is deployed \
         locally, or name an ECS cluster in the worker's configuration",
        step.task
    );
    Reason::new(Code::TaskUnsupported, message)
}
