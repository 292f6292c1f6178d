//! One environment, opened: its name, its artifacts store, its gateway.

use std::path::PathBuf;

use change::{LocalTracker, Tracker};
use manifest_schema::names::{EnvironmentName, ProjectName};
use manifest_schema::trust::TrustedPolicy;
use store::Store;

use crate::config::{Environment, EnvironmentArgs};
use crate::context::Context;
use crate::exit::{Failure, OrFail as _};
use crate::gateway_client::GatewayClient;
use crate::purpose::Purpose;
use crate::trusted::{self, RootArgs};

/// One environment, opened.
pub(crate) struct Production {
    /// Its name.
    pub(crate) name: EnvironmentName,
    /// What airlock.toml, variables and flags say about it.
    pub(crate) environment: Environment,
    /// The artifacts store.
    pub(crate) artifacts: Store,
    /// The way in.
    pub(crate) client: GatewayClient,
}

impl Production {
    /// Opens the environment that is meant, for a purpose.
    ///
    /// # Errors
    /// When it is ambiguous, or a store or the gateway can't be opened.
    pub(crate) async fn open(
        context: &Context,
        arguments: &EnvironmentArgs,
        purpose: &Purpose,
    ) -> Result<Self, Failure> {
        let environment = context.environment(arguments)?;
        let name = environment.name()?.clone();
        let artifacts = Store::open(environment.artifacts()?, &environment.access(purpose)).await?;
        let client = GatewayClient::open(context, &environment, purpose).await?;
        Ok(Self { name, environment, artifacts, client })
    }

    /// The trust policy that the CI side sees.
    ///
    /// # Errors
    /// When the chain is broken.
    pub(crate) async fn policy(&self) -> Result<TrustedPolicy, Failure> {
        let roots = RootArgs::default().pinned(&self.environment)?;
        trusted::newest(&self.artifacts, &roots).await
    }
}

/// The tracker of an environment.
///
/// # Errors
/// When nothing names it.
pub(crate) fn tracker(environment: &Environment) -> Result<Tracker, Failure> {
    let directory: PathBuf = environment.changes()?.to_owned();
    Ok(Tracker::Local(LocalTracker::new(directory)))
}

/// The project that airlock.toml names.
///
/// # Errors
/// When there is no airlock.toml.
pub(crate) fn project(context: &Context, stated: Option<&ProjectName>) -> Result<ProjectName, Failure> {
    match stated {
        Some(project) => Ok(project.clone()),
        None => Ok(context.project().or_hint("name the project with --project")?.config.project),
    }
}
