//! What really runs: the images that tasks say they run, compared with the build's.

use std::time::Duration;

use manifest_schema::Digest;
use manifest_schema::manifest::{BuildManifest, Revision, ServiceStep};
use tokio::time::Instant;

use super::follow::{POLL, in_whatever_state};
use super::view::{ContainerView, TaskView};
use super::{Ecs, Looked, of_aws};
use crate::patience::insistently;
use crate::stop::Stop;

/// Most tasks that are told one by one.
const MOST_TOLD: usize = 5;
/// How long none of a deployment's tasks may be seen to run: one that is being replaced is there again by then.
const NONE_SEEN: Duration = Duration::from_secs(60);

/// What the tasks of a deployment run that is complete.
pub(super) enum Runs {
    /// The build, all of them.
    TheBuild,
    /// Something else; what, as the end of a sentence about the service.
    Other(String),
    /// Nothing that could be seen; why, in the same way.
    Nothing(String),
}

impl Ecs<'_> {
    /// Compares what runs with the build. That it is the build is told.
    pub(super) async fn what_runs(
        &self,
        looked: &Looked<'_>,
        step: &ServiceStep,
        manifest: &BuildManifest,
        deployment: &str,
    ) -> Result<Runs, Stop> {
        let begun = Instant::now();
        let tasks = loop {
            let tasks = self.running(looked, deployment).await?;
            if !tasks.is_empty() {
                break tasks;
            }
            let answer = insistently(|| self.api.service(&looked.named)).await.map_err(|error| of_aws(&error))?;
            match in_whatever_state(&looked.named, answer.as_ref())?.deployment(deployment).map(|one| one.desired_count)
            {
                None => return Ok(Runs::Nothing("its deployment is gone".to_owned())),
                Some(0) => break tasks,
                Some(_) if begun.elapsed() < NONE_SEEN => tokio::time::sleep(POLL).await,
                Some(_) => return Ok(Runs::Nothing(format!("for {NONE_SEEN:?} none of its tasks was seen to run"))),
            }
        };
        let revision = looked.wanted.revision;
        let mut problems: Vec<_> = tasks.iter().flat_map(|task| foreign_images(task, revision, manifest)).collect();
        if problems.is_empty() {
            let told = format!("service {}: {} running with the images of this build", step.service, tasks.len());
            self.session.tell(told).await?;
            return Ok(Runs::TheBuild);
        }
        problems.truncate(MOST_TOLD);
        Ok(Runs::Other(problems.join("; ")))
    }

    /// The tasks of a deployment that run.
    async fn running(&self, looked: &Looked<'_>, deployment: &str) -> Result<Vec<TaskView>, Stop> {
        // What is done is done, whatever is wished by now.
        let mut tasks =
            insistently(|| self.api.tasks(&looked.named, "RUNNING")).await.map_err(|error| of_aws(&error))?;
        tasks.retain(|task| task.started_by == deployment && task.last_status == "RUNNING");
        Ok(tasks)
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
