//! What really runs: the images that tasks say they run, compared with the build's.

use manifest_schema::Digest;
use manifest_schema::manifest::{BuildManifest, Revision, ServiceStep};
use tokio::time::Instant;

use super::follow::{GRACE, POLL, in_whatever_state};
use super::view::{ContainerView, TaskView};
use super::{Ecs, Looked, of_aws};
use crate::patience::insistently;
use crate::stop::Stop;

/// Most tasks that are told one by one.
const MOST_TOLD: usize = 5;

impl Ecs<'_> {
    /// Why the tasks of a deployment that is complete are not what it is to run, if they aren't. That they are is told.
    pub(super) async fn other_images(
        &self,
        looked: &Looked<'_>,
        step: &ServiceStep,
        manifest: &BuildManifest,
        deployment: &str,
    ) -> Result<Option<String>, Stop> {
        let tasks = self.running(looked, deployment).await?;
        if tasks.is_empty() && self.wants_tasks(looked, deployment).await? {
            return Ok(Some("ECS calls its deployment complete, and tells of no task of it that runs".to_owned()));
        }
        let revision = looked.wanted.revision;
        let mut problems: Vec<_> = tasks.iter().flat_map(|task| foreign_images(task, revision, manifest)).collect();
        if problems.is_empty() {
            let told = format!("service {}: {} running with the images of this build", step.service, tasks.len());
            self.session.tell(told).await?;
            return Ok(None);
        }
        problems.truncate(MOST_TOLD);
        Ok(Some(problems.join("; ")))
    }

    /// The tasks of a deployment that run. Not everybody at ECS knows of them at once.
    async fn running(&self, looked: &Looked<'_>, deployment: &str) -> Result<Vec<TaskView>, Stop> {
        let begun = Instant::now();
        loop {
            // What is done is done, whatever is wished by now.
            let tasks =
                insistently(|| self.api.tasks(&looked.named, "RUNNING")).await.map_err(|error| of_aws(&error))?;
            let ours = |task: &TaskView| task.started_by == deployment && task.last_status == "RUNNING";
            let tasks: Vec<_> = tasks.into_iter().filter(ours).collect();
            if !tasks.is_empty() || begun.elapsed() > GRACE || !self.wants_tasks(looked, deployment).await? {
                return Ok(tasks);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whether a deployment is there and is to have tasks.
    async fn wants_tasks(&self, looked: &Looked<'_>, deployment: &str) -> Result<bool, Stop> {
        let answer = insistently(|| self.api.service(&looked.named)).await.map_err(|error| of_aws(&error))?;
        let seen = in_whatever_state(&looked.named, answer.as_ref())?;
        Ok(seen.deployment(deployment).is_some_and(|one| one.desired_count > 0))
    }
}

/// The containers of a task that run something else than the build has. A digest is that of the image, or, where it is for
/// several platforms, that of one of its manifests: all of these are among its blobs. Tasks that ECS says no digest of are
/// pinned by their definition.
pub(super) fn foreign_images(task: &TaskView, revision: Revision<'_>, manifest: &BuildManifest) -> Vec<String> {
    let foreign = |container: &ContainerView| {
        let name = container.name.parse().ok()?;
        let artifact = manifest.artifact(revision.containers.get(&name)?)?;
        let digest = container.image_digest.as_ref()?;
        let known =
            digest.parse::<Digest>().is_ok_and(|digest| artifact.blobs().iter().any(|blob| blob.digest == digest));
        let (id, name, expected) = (task.id(), &container.name, artifact.digest);
        (!known).then(|| format!("task {id} runs {digest} in its container {name}, and not {expected}"))
    };
    task.containers.iter().filter_map(foreign).collect()
}
