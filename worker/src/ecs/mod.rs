//! Services of Amazon ECS: what a build would change in them, and making them run it.
//!
//! A service gets a revision of its *current* task definition, in which every image is pinned by digest and nothing else
//! is changed but what its step says. Its rollout is followed by its deployment's id to the end: what is stable is not
//! for that reason a success. What fails goes back: ECS does it, as the circuit breaker is switched on with every
//! rollout; only where ECS doesn't, the worker does. What somebody else deployed meanwhile is left alone.

mod api;
mod follow;
mod judge;
mod logs;
mod owned;
pub(crate) mod revise;
mod rollout;
mod run;
mod running;
mod supported;
mod tasks;
mod told;
mod view;

use aws::{AwsError, Connection};
use manifest_schema::manifest::{BuildManifest, Revision, ServiceStep, Step};
use manifest_schema::names::{ClusterName, ServiceName};
use manifest_schema::plan::{ServiceChange, TaskRun};
use manifest_schema::{Code, Reason};
use records::config::EcsServices;
use serde_json::Value;

use crate::patience::patiently;
use crate::references;
use crate::session::Session;
use crate::stop::{Refusals, Stop};
use api::{Api, Named};
use revise::{Pinned, SecretPlace, Wanted};
use view::ServiceView;

pub(crate) use owned::owned_twice;

/// ECS in the account and region of the worker.
pub(crate) struct Ecs<'a> {
    pub(crate) session: &'a Session,
    pub(crate) connection: Connection,
    pub(crate) api: Api,
    default: ClusterName,
}

/// A service as it is, and what its step asks for.
struct Looked<'a> {
    named: Named,
    /// `None` if there is no such service.
    now: Option<Now>,
    wanted: Wanted<'a>,
}

/// A service that is there.
struct Now {
    service: Value,
    view: ServiceView,
    /// Null if it names none.
    definition: Value,
}

impl<'a> Ecs<'a> {
    pub(crate) async fn open(session: &'a Session, config: &EcsServices) -> Self {
        let connection = Connection::new(&session.config().aws, &[]).await;
        Self { session, api: Api::new(&connection), connection, default: config.cluster.clone() }
    }

    /// What deploying this build would change in each service, and what it would run once.
    ///
    /// # Errors
    /// When ECS can't be asked; with everything that isn't supported, of all services and tasks.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<(Vec<ServiceChange>, Vec<TaskRun>), Stop> {
        let (mut services, mut tasks, mut refused) = (Vec::new(), Vec::new(), Refusals::default());
        for step in manifest.services() {
            let looked = refused.sort(self.look(manifest, step).await)?;
            services.extend(looked.map(|looked| looked.change(&step.service, step.desired_count)));
        }
        let repeated = self.repeated(manifest).await?;
        for step in manifest.tasks() {
            let run = self.task_run(manifest, step, repeated.contains(&step.task)).await;
            tasks.extend(refused.sort(run)?);
        }
        refused.or((services, tasks))
    }

    /// Looks at a service, and refuses what isn't supported.
    async fn look<'s>(&self, manifest: &'s BuildManifest, step: &'s ServiceStep) -> Result<Looked<'s>, Stop> {
        let place = Named::new(&self.default, &step.service, step.cluster.as_ref());
        let (looked, mut problems) = self.look_at(manifest, place, step.revision()).await?;
        problems.extend(looked.now.iter().flat_map(|now| supported::problems(&now.view, step)));
        let reason =
            |problem: String| Reason::new(Code::ServiceUnsupported, format!("service {}: {problem}", step.service));
        match problems.is_empty() {
            true => Ok(looked),
            false => Err(Stop::Refused(problems.into_iter().map(reason).collect())),
        }
    }

    /// Looks at a service, and why its task definition can't have what is asked for.
    async fn look_at<'s>(
        &self,
        manifest: &'s BuildManifest,
        named: Named,
        revision: Revision<'s>,
    ) -> Result<(Looked<'s>, Vec<String>), Stop> {
        let (mut wanted, mut problems) = self.wanted(manifest, revision);
        let Some(service) = self.patiently(|| self.api.service(&named)).await? else {
            return Ok((Looked { named, now: None, wanted }, problems));
        };
        let view = named.view(&service).map_err(|error| of_aws(&error))?;
        // A service of another controller needn't have one.
        let definition = match placed(&service)["taskDefinition"].as_str() {
            None | Some("") => Value::Null,
            Some(arn) => self.patiently(|| self.api.definition(arn)).await?,
        };
        wanted.secrets = self.secret_place(&view.service_arn);
        if !definition.is_null() {
            problems.extend(revise::revise(&definition, &wanted).err().into_iter().flatten());
        }
        Ok((Looked { named, now: Some(Now { service, view, definition }), wanted }, problems))
    }

    /// What a step asks for, and why it can't have it.
    pub(crate) fn wanted<'s>(&self, manifest: &BuildManifest, revision: Revision<'s>) -> (Wanted<'s>, Vec<String>) {
        let mut wanted = Wanted { revision, images: Default::default(), own: Vec::new(), secrets: None };
        let mut problems = Vec::new();
        let Some(registry) = &self.session.config().registry else {
            let what = "its images have nowhere to be: name a `registry` in the worker's configuration";
            return (wanted, vec![what.to_owned()]);
        };
        let place = |artifact| {
            let repository = registry.repository(&manifest.project, artifact);
            repository.map(|repository| format!("{}/{repository}", registry.address))
        };
        for (container, name) in revision.containers {
            match (place(name), manifest.artifact(name)) {
                (Ok(place), Some(artifact)) => {
                    drop(wanted.images.insert(container, Pinned { place, digest: artifact.digest }));
                }
                (Err(error), _) => problems.push(error.to_string()),
                (Ok(_), None) => problems.push(format!("the build has no artifact {name}")),
            }
        }
        let images = manifest.deploy.iter().flat_map(Step::images);
        wanted.own = images.filter_map(|artifact| place(artifact).ok()).collect();
        (wanted, problems)
    }

    /// Where this environment's and project's secrets are, in the account and region of a service or a cluster.
    pub(crate) fn secret_place(&self, of: &str) -> Option<SecretPlace> {
        let parts: Vec<&str> = of.split(':').collect();
        let ["arn", partition, "ecs", region, account, _] = parts.as_slice() else { return None };
        Some(SecretPlace {
            partition: (*partition).to_owned(),
            region: (*region).to_owned(),
            account: (*account).to_owned(),
            prefix: references::prefix(self.session.request()),
        })
    }

    /// Asks again for some time if ECS is busy or out of order, unless the job is wished to stop.
    async fn patiently<T>(&self, ask: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, Stop> {
        patiently(self.session, ask).await?.map_err(|error| of_aws(&error))
    }
}

impl Looked<'_> {
    fn change(&self, service: &ServiceName, desired_count: Option<u32>) -> ServiceChange {
        let now = self.now.as_ref();
        let (containers, mut settings) = revise::differences(now.map(|now| &now.definition), &self.wanted);
        settings.extend(revise::size("desiredCount", now.map(|now| now.view.desired_count), desired_count));
        ServiceChange {
            service: service.clone(),
            cluster: Some(self.named.cluster.clone()),
            task_definition: now.map(|now| now.view.task_definition.clone()),
            containers,
            settings,
        }
    }
}

/// What says what a service runs, and where: of one that another controller deploys, its primary task set.
fn placed(service: &Value) -> &Value {
    let sets = service["taskSets"].as_array().map(Vec::as_slice).unwrap_or_default();
    sets.iter().find(|set| set["status"] == "PRIMARY").unwrap_or(service)
}

/// A call that failed for good.
fn of_aws(error: &AwsError) -> Stop {
    let advice = error.advice();
    Stop::Failed(Reason::new(Code::ServiceFailed, format!("{error}: {advice}")))
}
