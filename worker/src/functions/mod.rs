//! Functions of AWS Lambda: what a build would change in them, and making their callers reach it.
//!
//! The function's own code (`$LATEST`) is replaced, a version is published of it, and the alias that its callers use is
//! moved there in one call. If an alarm goes off while it is watched, or the job is wished to stop, the alias is moved
//! back; `$LATEST` keeps the new code, which nobody reaches through the alias. Every change names the state that it
//! expects (`RevisionId`), so that what somebody else does at the same time is noticed and left alone.

mod alarms;
mod api;
mod look;
mod owned;
mod publish;
mod rollout;

use aws::{AwsError, Connection};
use manifest_schema::job::Action;
use manifest_schema::manifest::{BuildManifest, FunctionCode, FunctionStep, Step};
use manifest_schema::plan::FunctionChange;
use manifest_schema::{Code, Digest, Reason};
use tokio::sync::OnceCell;

use crate::patience::patiently;
use crate::references::has_aws;
use crate::session::Session;
use crate::stop::{Refusals, Stop};
use alarms::Trouble;
use api::Api;
use look::{Looked, Wanted};

pub(crate) use owned::owned_twice;

/// Lambda in the account and region of the worker.
pub(crate) struct Functions<'a> {
    session: &'a Session,
    aws: OnceCell<Aws>,
}

struct Aws {
    connection: Connection,
    api: Api,
}

impl<'a> Functions<'a> {
    /// Asks nobody yet.
    pub(crate) fn open(session: &'a Session) -> Self {
        Self { session, aws: OnceCell::new() }
    }

    async fn aws(&self) -> &Aws {
        let open = async || {
            let connection = Connection::new(&self.session.config().aws, &[]).await;
            Aws { api: Api::new(&connection), connection }
        };
        self.aws.get_or_init(open).await
    }

    /// What deploying this build would change in each function.
    ///
    /// # Errors
    /// When AWS can't be asked; with everything that isn't supported, of all functions.
    pub(crate) async fn changes(&self, manifest: &BuildManifest) -> Result<Vec<FunctionChange>, Stop> {
        let (mut changes, mut refused) = (Vec::new(), Refusals::default());
        for step in manifest.functions() {
            changes.extend(refused.sort(self.change(manifest, step).await)?);
        }
        refused.or(changes)
    }

    /// What it would change in one. Alarms are looked at where they would be watched.
    async fn change(&self, manifest: &BuildManifest, step: &FunctionStep) -> Result<FunctionChange, Stop> {
        let looked = self.look(manifest, step).await?;
        let change = looked.change();
        if change.changes() && self.session.request().action != Action::Drift {
            // What this build's Terraform may make is looked for again when the step begins.
            let may_come = change.version.is_none() && manifest.terraform().is_some();
            let mut troubles = self.troubles(step).await?;
            troubles.retain(|trouble| match trouble {
                Trouble::Missing(_) => !may_come,
                Trouble::GoesOff(..) => true,
            });
            let reasons: Vec<_> = troubles.iter().map(|trouble| unsupported(step, &in_advance(trouble))).collect();
            if !reasons.is_empty() {
                return Err(Stop::Refused(reasons));
            }
        }
        Ok(change)
    }

    /// Makes the callers of a function's alias reach this build. `approved` is what people agreed to; beside it, to what
    /// this deploy's Terraform makes of functions, if it changes any: which of them, its plan doesn't say.
    ///
    /// # Errors
    /// [`Stop::RolledBack`] when the alias was moved, and back.
    pub(crate) async fn deploy(
        &self,
        manifest: &BuildManifest,
        step: &FunctionStep,
        (approved, terraform_changes_functions): (&FunctionChange, bool),
    ) -> Result<(), Stop> {
        let looked = self.look(manifest, step).await?;
        let Some(alias) = &looked.alias else {
            let what = format!("has no alias {}: Terraform was to make it, or somebody deleted it", step.alias);
            return Err(failed(step, &what));
        };
        if approved.version.as_ref().is_some_and(|approved| *approved != alias.version) {
            let what = format!(
                "somebody moved its alias {} to version {} since the plan was approved; it is left as it is",
                step.alias, alias.version
            );
            return Err(failed(step, &what));
        }
        if !terraform_changes_functions && looked.change().revision != approved.revision {
            let by = if manifest.terraform().is_some() { "somebody, or what Terraform did," } else { "somebody" };
            return Err(failed(step, &format!("{by} changed it since the plan was approved; plan again")));
        }
        let troubles = self.troubles(step).await?;
        if !looked.change().changes() {
            for trouble in &troubles {
                self.tell(step, &in_advance(trouble)).await?;
            }
            let version = &alias.version;
            return self
                .tell(step, &format!("alias {} names version {version}, which has this code already", step.alias))
                .await;
        }
        if let Some(trouble) = troubles.first() {
            return Err(failed(step, &in_advance(trouble)));
        }
        let version = self.publish(manifest, &looked).await?;
        self.session.may_go_on()?;
        let moved = self.move_alias(step, alias, version).await?;
        self.watch(&moved).await
    }

    /// Looks at a function, and refuses what isn't supported.
    async fn look<'s>(&self, manifest: &'s BuildManifest, step: &'s FunctionStep) -> Result<Looked<'s>, Stop> {
        if !has_aws(self.session) {
            let what = "this worker has no AWS, and nothing can run here: leave the step out of what is deployed locally, or \
                        name a region in `aws` of the worker's configuration";
            return Err(Stop::Refused(vec![unsupported(step, what)]));
        }
        let wanted = self.wanted(manifest, step)?;
        let api = &self.aws().await.api;
        let latest = self.at_rest(step).await?;
        let alias = self.ask(step, || api.alias(step)).await?;
        let version = match &alias {
            Some(alias) => self.ask(step, || api.function(step, Some(&alias.version))).await?,
            None => None,
        };
        let looked = Looked { wanted, latest, alias, version };
        match looked.problems() {
            none if none.is_empty() => Ok(looked),
            some => Err(Stop::Refused(some.iter().map(|problem| unsupported(step, problem)).collect())),
        }
    }

    /// What a step asks for.
    fn wanted<'s>(&self, manifest: &'s BuildManifest, step: &'s FunctionStep) -> Result<Wanted<'s>, Stop> {
        let refused = |what: String| Stop::Refused(vec![unsupported(step, &what)]);
        let name = step.code.artifact();
        let artifact = manifest.artifact(name).ok_or_else(|| refused(format!("the build has no artifact {name}")))?;
        let registry = self.session.config().registry.as_ref();
        let place = |artifact| {
            let registry = registry?;
            let repository = registry.repository(&manifest.project, artifact);
            Some(repository.map(|repository| format!("{}/{repository}", registry.address)))
        };
        let own = manifest.deploy.iter().flat_map(Step::images).filter_map(|artifact| place(artifact)?.ok()).collect();
        let place = match &step.code {
            FunctionCode::Zip(_) => None,
            FunctionCode::Image(name) => match place(name) {
                Some(place) => Some(place.map_err(|error| refused(error.to_string()))?),
                None => {
                    let what = "its image has nowhere to be: name a `registry` in the worker's configuration";
                    return Err(refused(what.to_owned()));
                }
            },
        };
        let digest: Digest = artifact.digest;
        Ok(Wanted { step, project: &manifest.project, digest, place, own })
    }

    /// What is wrong with its alarms.
    async fn troubles(&self, step: &FunctionStep) -> Result<Vec<Trouble>, Stop> {
        if step.alarms.is_empty() {
            return Ok(Vec::new());
        }
        let connection = &self.aws().await.connection;
        let states = self.ask(step, || alarms::states(connection, &step.alarms)).await?;
        Ok(alarms::troubles(&step.alarms, &states))
    }

    async fn ask<T>(&self, step: &FunctionStep, ask: impl AsyncFn() -> Result<T, AwsError>) -> Result<T, Stop> {
        patiently(self.session, ask).await?.map_err(|error| of_aws(step, &error))
    }

    async fn tell(&self, step: &FunctionStep, what: &str) -> Result<(), Stop> {
        self.session.tell(format!("function {}: {what}", step.function)).await
    }
}

/// What is wrong with an alarm before anything is changed.
fn in_advance(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Missing(alarm) => {
            format!("there is no alarm {alarm} in the worker's account and region: make it, or correct the step")
        }
        Trouble::GoesOff(alarm, why) => format!(
            "alarm {alarm} goes off already, and could not say that it is this build's fault: wait until it is over, or leave \
             it out of the step: {}",
            why.trim_end_matches('.')
        ),
    }
}

fn unsupported(step: &FunctionStep, what: &str) -> Reason {
    Reason::new(Code::FunctionUnsupported, format!("function {}: {what}", step.function))
}

/// A call that failed for good.
fn of_aws(step: &FunctionStep, error: &AwsError) -> Stop {
    failed(step, &format!("{error}: {}", error.advice()))
}

fn failed(step: &FunctionStep, what: &str) -> Stop {
    Stop::Failed(Reason::new(Code::FunctionFailed, format!("function {}: {what}", step.function)))
}
