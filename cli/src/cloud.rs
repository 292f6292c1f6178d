//! The way to AWS, as an environment's settings mean it. Nothing here is done before a command needs AWS.

use aws::{Connection, Tag};
use manifest_schema::manifest::BuildNumber;
use manifest_schema::names::ChangeId;

use crate::config::{Environment, EnvironmentArgs};
use crate::context::Context;
use crate::env;
use crate::exit::Failure;

/// What a session of a role is for, as far as it is known: IAM policies can ask for it, and CloudTrail shows it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Purpose {
    /// Which build.
    pub(crate) build: Option<BuildNumber>,
    /// Which change.
    pub(crate) change: Option<ChangeId>,
}

/// The way to AWS of an environment.
pub(crate) async fn connect(environment: &Environment, purpose: &Purpose) -> Connection {
    let Purpose { build, change } = purpose;
    let tags = [
        environment.project().map(|project| Tag::new("airlock-project", project.as_str())),
        build.map(|build| Tag::new("airlock-build", &build.to_string())),
        change.as_ref().map(|change| Tag::new("airlock-change", change.as_str())),
    ];
    Connection::new(environment.aws(), &tags.into_iter().flatten().collect::<Vec<_>>()).await
}

/// The environment of a command that has no `--environment`: the one that AIRLOCK_ENVIRONMENT names, or the only one.
/// Where there are several, AWS is reached as if there were none: by what every AWS tool reads.
pub(crate) fn environment(context: &Context) -> Result<Environment, Failure> {
    let named = env::get(env::ENVIRONMENT)?.map(|name| name.parse()).transpose()?;
    let project = context.project_if_any()?;
    if named.is_none() && project.as_ref().is_some_and(|project| project.config.environments.len() > 1) {
        return Ok(Environment::without_settings(project.as_ref()));
    }
    Environment::resolve(project.as_ref(), &EnvironmentArgs { environment: named, store: None })
}
