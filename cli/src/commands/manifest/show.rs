//! `airlock manifest show`

mod stored;
mod text;

use manifest_schema::report::{ManifestReport, ManifestReportSchema, Stored};
use manifest_schema::trust::TrustedPolicy;
use store::{Store, StoreError};

use crate::build::named::{self, BuildName, NamedBuild};
use crate::config::{Environment, EnvironmentArgs};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::inspect::presence::Blobs;
use crate::inspect::signatures;
use crate::purpose::Purpose;
use crate::trusted::{self, RootArgs};

/// Which build.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A manifest file, sha256:…, project#number, or epoch.number.
    #[arg(value_name = "BUILD")]
    build: BuildName,
    /// Print the manifest's own bytes and nothing else.
    #[arg(long)]
    raw: bool,
    #[command(flatten)]
    place: EnvironmentArgs,
    #[command(flatten)]
    roots: RootArgs,
}

/// What a store holds about the build, or why none was asked; and why signatures were not checked, if so.
struct Looked {
    stored: Result<Stored, String>,
    unchecked: Option<String>,
}

impl Args {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let build = NamedBuild::find(context, &self.place, &self.build)?;
        if self.raw {
            context.out.data(&build.bytes)?;
            return Ok(Exit::Done);
        }
        let looked = self.look(context, &build)?;
        if context.out.is_json() {
            let NamedBuild { digest, manifest, .. } = build;
            let stored = looked.stored.ok();
            context.out.json(&ManifestReport { schema: ManifestReportSchema, digest, manifest, stored })?;
        } else {
            context.out.data(text::text(context, &build, &looked))?;
        }
        Ok(Exit::Done)
    }

    /// A file is shown without a store, too; a build that is named by its number is in one.
    fn look(&self, context: &Context, build: &NamedBuild) -> Result<Looked, Failure> {
        let stated = self.place.store.is_some() || !matches!(self.build, BuildName::File(_));
        let nowhere = |why: String| Looked { stored: Err(why), unchecked: None };
        let environment = match context.environment(&self.place) {
            Ok(environment) => environment,
            Err(failure) if stated => return Err(failure),
            Err(failure) => return Ok(nowhere(failure.message())),
        };
        let Some(location) = environment.artifacts_if_any() else {
            return Ok(nowhere("none is named (--store)".to_owned()));
        };
        context.block_on(async {
            match Store::open(location, &environment.access(&Purpose::of_build(build.manifest.build.number()))).await {
                Ok(store) => self.ask(context, &store, &environment, build).await,
                // What was just built may be the first of all.
                Err(StoreError::NotFound { .. }) => Ok(nowhere(format!("there is no store at {location} yet"))),
                Err(error) if stated => Err(error.into()),
                Err(error) => Ok(nowhere(error.to_string())),
            }
        })
    }

    async fn ask(
        &self,
        context: &Context,
        store: &Store,
        environment: &Environment,
        build: &NamedBuild,
    ) -> Result<Looked, Failure> {
        let manifest = &build.manifest;
        let (policy, unchecked) = match self.policy(store, environment).await {
            Ok(policy) => (Some(policy), None),
            Err(failure) => (None, Some(failure.messages().join(": "))),
        };
        if let Some(policy) = &policy {
            trusted::warn_if_expired(context, policy);
        }
        let policy = policy.as_ref().map(TrustedPolicy::policy);
        let blobs = Blobs::look(store, manifest).await?;
        let stored = Stored {
            store: store.location().to_string(),
            published: named::pointer(store, &manifest.project, manifest.build.number()).await?,
            policy: policy.map(|policy| policy.version),
            statements: signatures::read(store, build.digest, policy).await?,
            artifacts: blobs.artifacts(manifest),
            evidence: blobs.evidence(manifest),
        };
        Ok(Looked { stored: Ok(stored), unchecked })
    }

    async fn policy(&self, store: &Store, environment: &Environment) -> Result<TrustedPolicy, Failure> {
        trusted::newest(store, &self.roots.pinned(environment)?).await
    }
}
