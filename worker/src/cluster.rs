//! Where services run: Amazon ECS, or a directory that stands in for it.

mod local;

use manifest_schema::gates::Admission;
use manifest_schema::manifest::{BuildManifest, ServiceStep};
use manifest_schema::plan::ServiceChange;
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

    /// What deploying this build would change in each service, in the order of its steps.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<Vec<ServiceChange>, Stop> {
        match self {
            Self::Local(cluster) => cluster.changes(manifest),
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
}
