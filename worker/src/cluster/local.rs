//! The directory that stands in for a cluster: per service, the image digests that would run.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use manifest_schema::Digest;
use manifest_schema::job::JobId;
use manifest_schema::manifest::{BuildManifest, BuildNumber, ServiceStep};
use manifest_schema::names::{EnvironmentName, ServiceName};
use manifest_schema::plan::{ImageChange, ServiceChange};
use serde::{Deserialize, Serialize};

use crate::group::{Group, goes_back_with_it};
use crate::session::Session;
use crate::stop::Stop;
use crate::work::private_directory;

/// The services of one environment.
pub(crate) struct LocalCluster {
    directory: PathBuf,
}

/// What a service runs: the stand-in for a task definition revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Revision {
    service: ServiceName,
    revision: u64,
    containers: BTreeMap<ServiceName, Digest>,
    build: BuildNumber,
    job: JobId,
}

impl Revision {
    /// What stands in for the task definition's ARN.
    fn name(&self) -> String {
        format!("local:{}:{}", self.service, self.revision)
    }
}

impl LocalCluster {
    pub(super) fn open(cluster: &Path, environment: &EnvironmentName) -> Self {
        Self { directory: cluster.join(environment.as_str()) }
    }

    /// What deploying this build would change in each service, in the order of its steps.
    pub(super) fn changes(&self, manifest: &BuildManifest) -> Result<Vec<ServiceChange>, Stop> {
        let mut changes = Vec::new();
        for step in manifest.services() {
            let ServiceStep { service, cluster, .. } = step;
            let now = self.read(service)?;
            let before = |container: &ServiceName| now.as_ref().and_then(|r| r.containers.get(container)).copied();
            let images = images(manifest, step).into_iter();
            changes.push(ServiceChange {
                service: service.clone(),
                cluster: cluster.clone(),
                task_definition: now.as_ref().map(Revision::name),
                settings: BTreeMap::new(),
                containers: images
                    .map(|(name, after)| (name.clone(), ImageChange { before: before(&name), elsewhere: None, after }))
                    .collect(),
            });
        }
        Ok(changes)
    }

    /// Makes a service run this build's images, or what it ran before if another service of its group can't.
    pub(super) async fn deploy(
        &self,
        session: &Session,
        manifest: &BuildManifest,
        step: &ServiceStep,
        group: &Group,
    ) -> Result<(), Stop> {
        let service = &step.service;
        let before = self.read(service)?;
        let revision = self.run(manifest, step, session.job(), before.clone())?;
        session.tell(format!("service {service}: {revision} would run (no cluster in local mode)")).await?;
        let Err(why) = group.all_arrived().await else { return Ok(()) };
        self.put_back(service, before.as_ref())?;
        Err(Stop::RolledBack(goes_back_with_it(service, &why)))
    }

    /// Doing it twice changes nothing the second time.
    fn run(
        &self,
        manifest: &BuildManifest,
        step: &ServiceStep,
        job: JobId,
        now: Option<Revision>,
    ) -> Result<String, Stop> {
        let service = &step.service;
        let containers = images(manifest, step);
        if let Some(now) = now.as_ref().filter(|now| now.job == job && now.containers == containers) {
            return Ok(now.name());
        }
        let revision = now.map_or(0, |now| now.revision) + 1;
        let next = Revision { service: service.clone(), revision, containers, build: manifest.build.number(), job };
        self.write(&next).map_err(|error| Stop::failed(format!("can't record service {service}: {error}")))?;
        Ok(next.name())
    }

    fn put_back(&self, service: &ServiceName, before: Option<&Revision>) -> Result<(), Stop> {
        let put_back = match before {
            Some(before) => self.write(before),
            None => fs::remove_file(self.path(service)),
        };
        put_back.map_err(|error| Stop::failed(format!("can't put back service {service}: {error}")))
    }

    fn path(&self, service: &ServiceName) -> PathBuf {
        self.directory.join(format!("{service}.json"))
    }

    fn read(&self, service: &ServiceName) -> Result<Option<Revision>, Stop> {
        let path = self.path(service);
        let refuse = |error: &dyn std::fmt::Display| Stop::failed(format!("{}: {error}", path.display()));
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| refuse(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refuse(&error)),
        }
    }

    fn write(&self, revision: &Revision) -> io::Result<()> {
        private_directory(&self.directory)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&manifest_schema::json::to_bytes(revision))?;
        file.as_file().sync_all()?;
        file.persist(self.path(&revision.service))?;
        fs::File::open(&self.directory)?.sync_all()
    }
}

/// Container → image digest, as the build has it.
fn images(manifest: &BuildManifest, step: &ServiceStep) -> BTreeMap<ServiceName, Digest> {
    let digest = |(container, image)| Some((Clone::clone(container), manifest.artifact(image)?.digest));
    step.containers.iter().filter_map(digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_is_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let cluster = LocalCluster::open(directory.path(), &"test".parse().unwrap());
        let service: ServiceName = "web".parse().unwrap();
        let job = JobId::new(manifest_schema::Timestamp::from_millis(0).unwrap(), [1; 10]);
        let revision = |revision| Revision {
            service: service.clone(),
            revision,
            containers: BTreeMap::new(),
            build: "0.1".parse().unwrap(),
            job,
        };
        cluster.write(&revision(1)).unwrap();
        cluster.put_back(&service, None).unwrap();
        assert!(cluster.read(&service).unwrap().is_none());
        cluster.write(&revision(2)).unwrap();
        cluster.put_back(&service, Some(&revision(1))).unwrap();
        assert_eq!(cluster.read(&service).unwrap().unwrap().name(), "local:web:1");
    }
}
